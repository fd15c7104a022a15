"""What the cells of a table mean: text, ids, genres, splits, features, further columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, did_you_mean, first_few
from ..tracks import MAX_ID, SPLITS, stable_id
from .genres import Vocabulary
from .meanings import too_few_left, understand

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 2**28
_WHOLE = re.compile(r"-?\d{1,999}(\.0*)?")  # of more digits Python makes no number
_SEPARATORS = (";", "|", ",", "/")
_OFTEN = 0.05  # share of genre cells with a separator from which on it is worth a note

Where = Callable[[Collection[int]], str]
"""Says in which lines some rows stand."""


def texts(column: pa.ChunkedArray, missing: Collection[str] = ()) -> NDArray[np.str_]:
    """Cells as text without spaces around it, ``""`` where there is none, shape (n,).

    Whole numbers are written without a decimal point, since a column of ids with gaps often comes
    as floats.
    """
    return np.array(texts_of(column, missing), np.str_)


def texts_of(column: pa.ChunkedArray, missing: Collection[str] = ()) -> list[str]:
    """The same as a list, in which a long text does not make all others long."""
    gone = {"", *missing}
    plain = (_text(cell) for cell in column.to_pylist())
    return ["" if cell in gone else cell for cell in plain]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def lists(column: pa.ChunkedArray, missing: Collection[str], separator: str) -> list[list[str]]:
    """Cells as lists of texts: lists as they are, text cut at a separator.

    The brackets and quotes with which Python writes a list are not part of it.
    """
    import pyarrow as pa

    gone = {"", *missing}
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        cells = [[_text(part) for part in cell or ()] for cell in column.to_pylist()]
    else:
        cells = []
        for cell in texts_of(column, missing):
            listed = separator and cell.startswith("[") and cell.endswith("]")
            inner = cell[1:-1] if listed else cell
            parts = inner.split(separator) if separator else [inner]
            cells.append([part.strip(" \t'\"") if listed else part.strip() for part in parts])
    return [[*dict.fromkeys(part for part in cell if part not in gone)] for cell in cells]


@dataclass(frozen=True, eq=False)
class Ids:
    """Numbers for names.

    Attributes
    ----------
    values : int array, shape (n,)
        In [0, 2**53), -1 where there was no name.
    names : str array, shape (n,), or None
        What the table says, where the numbers are not its own.
    """

    values: NDArray[np.int64]
    names: NDArray[np.str_] | None


def ids(names: NDArray[np.str_], *, negative_is_missing: bool = True) -> Ids:
    """Whole numbers as they are if all are; else `matt.tracks.stable_id` of every name.

    Examples
    --------
    >>> ids(np.array(["7", "", "-1", "12.0"])).values
    array([ 7, -1, -1, 12])
    >>> bool(ids(np.array(["artist_7", "7"])).values[1] == stable_id("7"))
    True
    """
    different, which = np.unique(names, return_inverse=True)
    there = [name for name in different.tolist() if name]
    if all(_WHOLE.fullmatch(name) for name in there):
        numbers = {name: int(name.partition(".")[0]) for name in there}
        low = min(numbers.values(), default=0)
        if max(numbers.values(), default=0) < MAX_ID and (negative_is_missing or low >= 0):
            values = [max(numbers.get(name, -1), -1) for name in different.tolist()]
            return Ids(np.array(values, np.int64)[which], None)
    values = [stable_id(name) if name else -1 for name in different.tolist()]
    return Ids(np.array(values, np.int64)[which], names)


def best_known(columns: Mapping[str, pa.ChunkedArray], missing: Collection[str]) -> NDArray[Any]:
    """How many cells of each row say something, shape (n,)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known: NDArray[Any] = np.zeros(len(next(iter(columns.values()))), np.int64)
    gone = pa.array({"", *missing}, pa.string())
    for column in columns.values():
        here = column.is_valid()
        if pa.types.is_string(column.type):
            here = pc.and_not(here, pc.is_in(pc.utf8_trim_whitespace(column), value_set=gone))
        elif pa.types.is_floating(column.type):
            here = pc.and_not(here, pc.fill_null(pc.is_nan(column), True))
        known += here.to_numpy().astype(np.int64)
    return known


def one_row_each(values: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows to keep, in order: of each value the one of the highest rank, or the first of these.

    >>> one_row_each(np.array([7, 8, 7, 7]), np.array([1, 1, 2, 2]))
    array([1, 2])
    """
    order = np.lexsort((np.arange(len(values)), -rank, values))
    first = np.flatnonzero(np.diff(values[order], prepend=-2))
    return np.sort(order[first])


def check_unique(values: NDArray[np.int64], names: NDArray[np.str_], what: str, at: Where) -> None:
    """Refuse ids that are missing or occur more than once.

    Raises
    ------
    DataError
        Naming them and their lines.
    """
    absent = np.flatnonzero(values < 0)
    if absent.size:
        raise DataError(
            f"{absent.size} of {len(values)} tracks have no {what} ({at(absent[:5].tolist())}); "
            "fill them in, or leave those rows out"
        )
    different, times = np.unique(values, return_counts=True)
    twice = different[times > 1]
    if twice.size:
        rows = np.flatnonzero(values == twice[0])
        raise DataError(
            f"{twice.size} ids of {what} occur more than once (first: {str(names[rows[0]])!r}, "
            f"{at(rows[:5].tolist())}); keep one row a track, say repeated = 'first' or "
            "'best_known', or name another column as track"
        )


def known(names: NDArray[np.str_], is_unknown: Callable[[str], bool]) -> NDArray[np.str_]:
    """Names with ``""`` for each that is a word for nobody, shape (n,)."""
    different, which = np.unique(names, return_inverse=True)
    kept = ["" if name and is_unknown(name) else name for name in different.tolist()]
    return np.array(kept, np.str_)[which]


@dataclass(frozen=True)
class GenreCells:
    """Genres of tracks, as cells hold them.

    Attributes
    ----------
    cells : list of list of str
        Of each track; none where unknown.
    notes : list of str
        What was made of the cells.
    """

    cells: list[list[str]]
    notes: list[str]

    def without(self, is_no_genre: Callable[[str], bool], wanted: Collection[str]) -> GenreCells:
        """Words for no genre left out, unless they are wanted as genres."""
        times = Counter(genre for cell in self.cells for genre in cell)
        gone = {
            genre: n for genre, n in times.items() if genre not in wanted and is_no_genre(genre)
        }
        if not gone:
            return self
        told = first_few(f"{genre!r} {n:,}" for genre, n in _by_size(gone))
        kept = [[genre for genre in cell if genre not in gone] for cell in self.cells]
        note = (
            f"read as no genre: {told}; if one of these is a genre, say so in a file of words, "
            f"names = [{_by_size(gone)[0][0]!r}]"
        )
        return GenreCells(kept, [*self.notes, note])

    def read_by(
        self, vocabulary: Vocabulary, albums: Sequence[Hashable], same: Callable[[str], str]
    ) -> GenreCells:
        """Genres as a vocabulary has them (`matt.datasets.meanings.understand`).

        Raises
        ------
        ConfigError
            If a user's vocabulary leaves too few to tell apart.
        """
        found = understand(self.cells, albums, vocabulary, same=same)
        main = {some[0] for some in found.genres if some}
        if fault := too_few_left(found.meanings, main, vocabulary):
            raise ConfigError(fault)
        other = [some for some in found.meanings if some.becomes != (some.written,)]
        if not other:
            return self
        told = first_few((f"{some.written!r} = {some.told!r}" for some in other), most=3)
        note = f"{len(other):,} names of genres are read by the vocabulary ({told})"
        return GenreCells([[*some] for some in found.genres], [*self.notes, note])

    def spelled_alike(self, same: Callable[[str], str], wanted: Sequence[str]) -> GenreCells:
        """Each genre spelled as it is most often, or as it is wanted."""
        times = Counter(genre for cell in self.cells for genre in cell)
        shown = {same(genre): genre for genre in reversed(wanted)}
        spellings: dict[str, list[str]] = {}
        # Of equally frequent ones neither SHOUTED nor in small letters.
        plain = sorted(times, key=lambda genre: (genre.isupper(), genre.islower(), genre))
        for genre in sorted(plain, key=lambda genre: -times[genre]):
            shown.setdefault(same(genre), genre)
            spellings.setdefault(same(genre), []).append(genre)
        kept = {genre: genre if genre in wanted else shown[same(genre)] for genre in times}
        if all(genre == name for genre, name in kept.items()):
            return self
        several = [some for some in spellings.values() if len(some) > 1]
        notes = list(self.notes)
        if several:
            told = first_few((" = ".join(map(repr, some)) for some in several), most=3)
            notes.append(
                f"{len(several):,} genres are spelled in several ways and are one each ({told}); "
                "if they differ, say merge = false"
            )
        return GenreCells([[*dict.fromkeys(kept[g] for g in cell)] for cell in self.cells], notes)

    def frequent(self, least: int, *, several: bool) -> GenreCells:
        """Genres of fewer tracks left out.

        Raises
        ------
        ConfigError
            If no genre is left.
        """
        times = Counter(genre for cell in self.cells for genre in (cell if several else cell[:1]))
        rare = {
            genre: times[genre] for cell in self.cells for genre in cell if times[genre] < least
        }
        if not rare:
            return self
        if len(rare) == len(times):
            largest, n = _by_size(rare)[0]
            raise ConfigError(
                f"min_tracks = {least}, but the largest genre, {largest!r}, has {n:,} tracks; say "
                "at most that many"
            )
        told = first_few(f"{genre!r} {n:,}" for genre, n in _by_size(rare))
        note = (
            f"{len(rare):,} genres have fewer than {least:,} tracks and count as unknown, "
            f"{sum(rare.values()):,} labels in all ({told})"
        )
        listed = (cell if several else cell[:1] for cell in self.cells)
        kept = [[genre for genre in cell if genre not in rare] for cell in listed]
        return GenreCells(kept, [*self.notes, note])


def _by_size(times: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(times.items(), key=lambda item: (-item[1], item[0]))


def genre_labels(
    cells: Sequence[Sequence[str]], *, several: bool, wanted: Sequence[str] = ()
) -> tuple[NDArray[Any], tuple[str, ...], list[str]]:
    """Labels of tracks from the names of their genres.

    Parameters
    ----------
    cells : sequence of sequences of str
        Genres of each track, none where unknown.
    several : bool
        Keep all (one boolean column a genre), or the first of each track.
    wanted : sequence of str, optional
        These genres in this order; all in the order of the alphabet by default.

    Returns
    -------
    labels : int array, shape (n,), or bool array, shape (n, G)
    genres : tuple of str, length G
    notes : list of str
        How many are unknown, not wanted, or have several.
    """
    kept = [cell if several else cell[:1] for cell in cells]
    counted = Counter(genre for cell in kept for genre in cell)
    for genre in wanted:
        if genre not in counted:
            raise DataError(f"genres: no track has {genre!r}; {did_you_mean(genre, counted)}")
    genres = tuple(wanted) or tuple(sorted(counted))
    place = {genre: index for index, genre in enumerate(genres)}
    if several:
        labels = np.zeros((len(cells), len(genres)), bool)
        pairs = [(i, place[g]) for i, cell in enumerate(kept) for g in cell if g in place]
        if pairs:
            labels[tuple(np.array(pairs).T)] = True
    else:
        labels = np.array([place.get(cell[0], -1) if cell else -1 for cell in kept], np.int64)
    notes = _genre_notes(cells, counted, place, several=several)
    return labels, genres, notes


def _genre_notes(
    cells: Sequence[Sequence[str]],
    counted: Mapping[str, int],
    place: Mapping[str, int],
    *,
    several: bool,
) -> list[str]:
    notes = []
    n, unknown = len(cells), sum(not cell for cell in cells)
    many = sum(len(cell) > 1 for cell in cells)
    if unknown:
        notes.append(f"{unknown:,} of {n:,} tracks have no genre; they are unlabelled")
    if many:
        used = "all of them count" if several else "the first of each counts"
        notes.append(f"{many:,} of {n:,} tracks have several genres; {used}")
    other = [genre for genre in counted if genre not in place]
    if other:
        lost = sum(counted[genre] for genre in other)
        notes.append(
            f"{lost:,} labels are of {len(other)} genres that are not wanted "
            f"(first: {first_few(sorted(other))}); they count as unknown"
        )
    for separator in _SEPARATORS:
        if many:
            break
        holding = sum(times for genre, times in counted.items() if separator in genre)
        if holding > _OFTEN * n:
            notes.append(
                f"{holding:,} of {n:,} genres hold {separator!r}; if that parts several genres, "
                f"say genre_separator = {separator!r}"
            )
            break
    return notes


def splits(names: NDArray[np.str_], meaning: Mapping[str, str], at: Where) -> NDArray[np.str_]:
    """Splits by their own names, shape (n,); an empty cell is in none.

    Raises
    ------
    DataError
        If a name has no meaning.
    """
    different, which = np.unique(names, return_inverse=True)
    for i, name in enumerate(different.tolist()):
        if name and name.casefold() not in meaning:
            rows = np.flatnonzero(which == i)
            raise DataError(
                f"{len(rows)} tracks are in the split {name!r} ({at(rows[:1].tolist())}); "
                f"say what it means, e.g. split_names = {{ {name!r} = 'training' }}, with "
                f"{first_few(SPLITS)} or '' for none"
            )
    known = [meaning[name.casefold()] if name else "" for name in different.tolist()]
    return np.array(known, "<U10")[which]


def further(column: pa.ChunkedArray) -> NDArray[Any] | None:
    """Any other column as an array: numbers as numbers, missing -1 or NaN, all else as text.

    None for columns of lists or bytes, and of texts so long (`MOST_BYTES`) that an array of them,
    where each takes the room of the longest, does not pay.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_integer(kind):
        return np.asarray(column.fill_null(-1).to_numpy()).astype(np.int64)
    if pa.types.is_floating(kind):
        return np.asarray(column.to_numpy(), np.float64)
    if pa.types.is_boolean(kind) and not column.null_count:
        return np.asarray(column.to_numpy(), bool)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return None
    written = texts_of(column)
    if len(written) * max(map(len, written), default=0) * 4 > MOST_BYTES:
        return None
    return np.array(written, np.str_)


@dataclass(frozen=True, eq=False)
class Values:
    """Arrays of some tracks, one or more segments each.

    Attributes
    ----------
    rows : int array, shape (n,)
        Which tracks of the table have values.
    values : array, shape (N, *shape)
    offsets : int array, shape (n + 1,)
    """

    rows: NDArray[np.int64]
    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def finite(self) -> NDArray[np.bool_]:
        """Which of the tracks hold neither NaN nor infinite values, shape (n,)."""
        flat = self.values.reshape(len(self.values), -1)
        return np.logical_and.reduceat(np.isfinite(flat).all(axis=1), self.offsets[:-1])

    def ever_finite(self) -> NDArray[np.bool_]:
        """Which of the features are finite in any segment, shape (F,)."""
        return np.asarray(np.isfinite(self.values.reshape(len(self.values), -1)).any(axis=0))

    def take(self, which: NDArray[np.bool_]) -> Values:
        """Return the chosen tracks, by a mask of shape (n,)."""
        sizes = np.diff(self.offsets)
        values = self.values[np.repeat(which, sizes)]
        return Values(self.rows[which], values, np.concatenate([[0], np.cumsum(sizes[which])]))


def from_columns(
    columns: Sequence[pa.ChunkedArray], names: Sequence[str], log1p: set[str]
) -> Values:
    """One row of numbers a track.

    Raises
    ------
    DataError
        If a column holds no numbers, or one whose logarithm is wanted holds less than -1.
    """
    import pyarrow as pa

    values = np.empty((len(columns[0]), len(columns)), np.float32)
    for i, (name, column) in enumerate(zip(names, columns, strict=True)):
        kind = column.type
        if pa.types.is_null(kind):
            numbers = np.full(len(column), np.nan)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            numbers = np.asarray(column.cast(pa.float64()).to_numpy())
        else:
            raise DataError(
                f"the feature {name!r} holds {kind}, not numbers; leave it out of features"
            )
        if name in log1p:
            if np.nanmin(numbers, initial=0) <= -1:
                raise DataError(
                    f"log1p of {name!r} does not exist: it holds {np.nanmin(numbers):g}; "
                    "leave it out of log1p"
                )
            numbers = np.log1p(numbers)
        with np.errstate(over="ignore"):  # what does not fit is infinite, and told as such
            values[:, i] = numbers
    rows = np.arange(len(values))
    return Values(rows, values, np.arange(len(values) + 1))


def from_lists(column: pa.ChunkedArray) -> Values:
    """Lists of numbers, or lists of such lists: one, or several segments a track.

    Raises
    ------
    DataError
        If their lengths differ, or they hold no numbers.
    """
    rows, arrays, labels = [], [], []
    for row, cell in enumerate(column.to_pylist()):
        if cell is not None and len(cell):
            try:
                arrays.append(np.asarray(cell, np.float32))
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"the embedding in row {row + 1} is no array of numbers ({error}); give every "
                    "segment of a track as many numbers"
                ) from error
            rows.append(row)
            labels.append(f"row {row + 1}")
    return _stacked(rows, arrays, labels)


def from_files(cells: NDArray[np.str_], folder: Path) -> Values:
    """Arrays of ``.npy`` files; an empty cell is a track without one.

    Raises
    ------
    DataError
        If files are missing, hold no numbers, or differ in shape.
    """
    rows = np.flatnonzero(cells != "").tolist()
    paths = [folder / str(cells[row]) for row in rows]
    absent = [path for path in paths if not path.is_file()]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(paths)} embeddings do not exist (first: {absent[0]}); "
            f"paths count from {folder}, the folder of the TOML"
        )
    return _stacked(rows, [_load(path) for path in paths], [str(path) for path in paths])


def _load(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} is no array of numpy ({error}); write it again with numpy.save"
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or not array.ndim:
        told = f"{array.dtype}, shape {array.shape}" if isinstance(array, np.ndarray) else "several"
        raise DataError(
            f"{path} holds {told}, expected an array of numbers; write one with numpy.save"
        )
    return array if array.dtype == np.float16 else array.astype(np.float32)


def _stacked(rows: list[int], arrays: list[NDArray[Any]], labels: list[str]) -> Values:
    """Segments of all tracks under each other; a vector is one segment."""
    if not arrays:
        raise DataError("no track has an embedding; check the column that is named")
    empty = [label for array, label in zip(arrays, labels, strict=True) if not array.size]
    if empty:
        raise DataError(
            f"{len(empty)} of {len(arrays)} embeddings are empty (first: {empty[0]}); leave the "
            "cell empty where there is none"
        )
    shapes = [array.shape if array.ndim == 1 else array.shape[1:] for array in arrays]
    counted = Counter(shapes)
    if len(counted) > 1:
        usual = counted.most_common(1)[0][0]
        odd = [i for i, shape in enumerate(shapes) if shape != usual]
        raise DataError(
            f"{len(odd)} of {len(arrays)} embeddings have another shape than {usual} a segment "
            f"(first: {labels[odd[0]]} with {shapes[odd[0]]}; all: {first_few(counted)}); "
            "make them alike, or leave those cells empty"
        )
    segments = [array[None] if array.ndim == 1 else array for array in arrays]
    offsets = np.concatenate([[0], np.cumsum([len(some) for some in segments])])
    return Values(np.array(rows, np.int64), np.concatenate(segments), offsets)
