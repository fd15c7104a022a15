"""FMA's own CSVs, what is checked of them, and the hierarchy of 163 genres.

They have several rows of column names, then a row with the name of the index, then data. Arrow
reads them. Where it cannot, or where a file looks cut off, the file is read a second time, line by
line, to name the line.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, did_you_mean, first_few
from ...tracks import SPLITS
from ..genres import joined

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Genre:
    """One genre.

    Attributes
    ----------
    genre_id : int
    title : str
    parent : int
        Id of the genre above it, 0 at the top.
    top_level : int
        Id of the top genre above it; its own at the top.
    n_tracks : int
        As FMA counts them, over everything.
    """

    genre_id: int
    title: str
    parent: int
    top_level: int
    n_tracks: int


@dataclass(frozen=True)
class GenreTree:
    """All genres, by id.

    Attributes
    ----------
    genres : mapping of int to Genre

    Raises
    ------
    DataError
        If a parent is missing, or genres are above each other in a circle.

    Examples
    --------
    >>> tree = GenreTree.of([Genre(12, "Rock", 0, 12, 90), Genre(25, "Punk", 12, 12, 40)])
    >>> tree.path(25), tree.find("punk").genre_id, [genre.title for genre in tree.roots]
    (('Rock', 'Punk'), 25, ['Rock'])
    """

    genres: Mapping[int, Genre]

    def __post_init__(self) -> None:
        lost = [i for i, g in self.genres.items() if g.parent and g.parent not in self.genres]
        if lost:
            raise DataError(
                f"{len(lost)} genres have a parent that is not there (first: {first_few(lost)}); "
                "add them to genres.csv"
            )
        for genre_id in self.genres:
            self._above(genre_id)

    @classmethod
    def of(cls, genres: Iterable[Genre]) -> GenreTree:
        """Tree of some genres."""
        return cls({genre.genre_id: genre for genre in genres})

    def __len__(self) -> int:
        return len(self.genres)

    @property
    def roots(self) -> tuple[Genre, ...]:
        """Genres at the top."""
        return tuple(genre for genre in self.genres.values() if not genre.parent)

    def children(self, genre_id: int) -> tuple[Genre, ...]:
        """Genres directly below one."""
        return tuple(genre for genre in self.genres.values() if genre.parent == genre_id)

    def path(self, genre_id: int) -> tuple[str, ...]:
        """Titles from the top genre down to this one."""
        return tuple(self.genres[i].title for i in reversed(self._above(genre_id)))

    def find(self, title: str) -> Genre:
        """Genre of a title, whatever its letter case.

        Raises
        ------
        DataError
            If there is none; the message has the nearest.
        """
        for genre in self.genres.values():
            if genre.title.casefold() == title.casefold():
                return genre
        known = [genre.title for genre in self.genres.values()]
        raise DataError(f"FMA has no genre {title!r}; {did_you_mean(title, known)}")

    @cached_property
    def names(self) -> Mapping[int, str]:
        """Titles by id; where two genres share a title, with the id behind it."""
        titles = [genre.title for genre in self.genres.values()]
        return {
            i: genre.title if titles.count(genre.title) == 1 else f"{genre.title} ({i})"
            for i, genre in self.genres.items()
        }

    def _above(self, genre_id: int) -> list[int]:
        """The genre and all above it, upwards."""
        if genre_id not in self.genres:
            raise DataError(f"FMA has no genre with the id {genre_id}; see load_genres(...).genres")
        found = [genre_id]
        while parent := self.genres[found[-1]].parent:
            if parent in found:
                raise DataError(
                    f"genres {first_few(found)} are above each other; correct genres.csv"
                )
            found.append(parent)
        return found


INDEX = "track_id"
AGAIN = "fetch it again with 'matt fma fetch metadata', or copy it again"
_BLOCK = 2**24  # bytes that Arrow reads at once; a row has to fit in


@dataclass(frozen=True)
class Sheet:
    """A file as a whole: what identifies it, and how it ends.

    Attributes
    ----------
    path : Path
    n_bytes, mtime_ns : int
    sha256 : str
    lines : int
        Line breaks.
    whole : bool
        Whether the last byte is a line break and quotes are balanced.
    """

    path: Path
    n_bytes: int
    mtime_ns: int
    sha256: str
    lines: int
    whole: bool


def survey(path: Path) -> Sheet:
    """Read a file once, for its hash and its end.

    Raises
    ------
    DataError
        If it is not there, is empty, or cannot be read.
    """
    digest, lines, quotes, last = hashlib.sha256(), 0, 0, b""
    try:
        stat = path.stat()
        with path.open("rb") as file:
            while data := file.read(2**22):
                digest.update(data)
                lines += data.count(b"\n")
                quotes += data.count(b'"')
                last = data[-1:]
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; {AGAIN}, or name the folder above fma_metadata"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {AGAIN}") from error
    if not last:
        raise DataError(f"{path} is empty; {AGAIN}")
    whole = last == b"\n" and quotes % 2 == 0
    return Sheet(path, stat.st_size, stat.st_mtime_ns, digest.hexdigest(), lines, whole)


def read_names(path: Path, *, levels: int, index: str = INDEX) -> tuple[tuple[str, ...], ...]:
    """Names of the columns after the index, one tuple of ``levels`` parts each.

    Raises
    ------
    DataError
        If the rows of names are not there, differ in length, or repeat a name.
    """
    with _rows(path) as rows:
        head: list[list[str]] = [next(rows, []) for _ in range(levels + (levels > 1))]
    kind = f"{levels} row{'s' if levels > 1 else ''} of column names"
    where = 0 if levels == 1 else levels
    if not head[where] or head[where][0].strip() != index or (levels > 1 and any(head[where][1:])):
        seen = head[where][0] if head[where] else ""
        raise DataError(
            f"{path}, line {where + 1} begins with {seen[:40]!r}: expected {kind}"
            + (f", then a row with {index!r} alone" if levels > 1 else f", the first {index!r}")
            + f"; this is not FMA's {path.name}, {AGAIN}"
        )
    widths = {len(row) for row in head}
    if len(widths) > 1:
        raise DataError(
            f"{path}: the {len(head)} rows of its head have {first_few(sorted(widths))} cells; "
            f"{AGAIN}"
        )
    names = tuple(zip(*([cell.strip() for cell in row[1:]] for row in head[:levels]), strict=True))
    twice = sorted({"_".join(name) for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: columns {first_few(twice)} occur more than once; {AGAIN}")
    return names


def check_names(path: Path, names: tuple[tuple[str, ...], ...], needed: Any) -> None:
    """Refuse a file that lacks a column.

    Raises
    ------
    DataError
        Naming the columns, and what the first was perhaps called.
    """
    missing = [name for name in needed if name not in names]
    if missing:
        first = "_".join(missing[0])
        guess = did_you_mean(first, ["_".join(name) for name in names])
        raise DataError(
            f"{path} lacks {len(missing)} columns (first: {first}; "
            f"{guess if guess.startswith('did') else 'nothing like it is there'}); "
            "check its rows of column names"
        )


def read_table(
    source: Sheet, *, levels: int, numbers: Mapping[str, Any], index: str = INDEX
) -> pa.Table:
    """Read one of FMA's CSVs.

    Parameters
    ----------
    source : Sheet
    levels : int
        Rows of column names.
    numbers : mapping of str to Arrow type
        Columns that are numbers, by their joined names (``"track_duration"``); all others are text.
        Nothing is null in a text; an empty number is.

    Returns
    -------
    pyarrow.Table
        The index first, under its name; the other columns under their joined names.

    Raises
    ------
    DataError
        If the file is cut off, a row has too few or too many cells, a number is none, or an index
        repeats; the message names file and line.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    path = source.path
    names = read_names(path, levels=levels, index=index)
    joined = [index, *("_".join(name) for name in names)]
    types = {name: numbers.get(name, pa.string()) for name in joined} | {index: pa.int64()}
    if not source.whole:
        raise DataError(f"{path}: {_explain(path, types, levels) or _last_line(source)}")
    try:
        table = pc.read_csv(
            path,
            read_options=pc.ReadOptions(
                column_names=joined, skip_rows=levels + (levels > 1), block_size=_BLOCK
            ),
            parse_options=pc.ParseOptions(newlines_in_values=len(numbers) < len(names)),
            convert_options=pc.ConvertOptions(column_types=types),
        )
    except pa.ArrowInvalid as error:
        why = _explain(path, types, levels) or f"it cannot be read ({error}); {AGAIN}"
        raise DataError(f"{path}: {why}") from error
    _check_index(path, table[index])
    return table


def _check_index(path: Path, column: pa.ChunkedArray) -> None:
    import numpy as np

    if column.null_count:
        raise DataError(f"{path}: {column.null_count} rows have no id; {AGAIN}")
    ids, times = np.unique(column.to_numpy(), return_counts=True)
    if (times > 1).any():
        raise DataError(
            f"{path}: {int((times > 1).sum())} ids occur more than once (first: "
            f"{first_few(ids[times > 1])}); {AGAIN}"
        )
    if len(ids) and ids[0] < 0:
        raise DataError(f"{path}: the id {ids[0]} is negative; {AGAIN}")


def _last_line(source: Sheet) -> str:
    return f"line {source.lines + 1} does not end: the file is cut off; {AGAIN}"


def _explain(path: Path, types: Mapping[str, Any], levels: int) -> str:
    """Find the first line that is wrong; empty if there is none."""
    checked = {i: (name, kind) for i, (name, kind) in enumerate(types.items()) if _number(kind)}
    began = 1
    with _rows(path) as rows:
        try:
            for number, row in enumerate(rows):
                began, line = rows.line_num + 1, began
                if number < levels + (levels > 1) or not row:
                    continue
                if len(row) != len(types):
                    cut = next(rows, None) is None
                    return (
                        f"line {line} has {len(row)} cells, expected {len(types)}"
                        + ("; the file is cut off" if cut else "")
                        + f"; {AGAIN}"
                    )
                for i, (name, kind) in checked.items():
                    if not _fits(row[i], kind, empty=i > 0):
                        return f"line {line}: {name} is {row[i][:40]!r}, expected a number; {AGAIN}"
        except csv.Error as error:
            return f"the row that begins in line {began} does not end ({error}); {AGAIN}"
        except UnicodeDecodeError:
            return f"below line {began} it is not UTF-8 text; {AGAIN}"
    return ""


def _number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _fits(text: str, kind: Any, *, empty: bool) -> bool:
    import pyarrow as pa

    if not text.strip():
        return empty
    try:
        (int if pa.types.is_integer(kind) else float)(text)
    except ValueError:
        return text in ("NA", "N/A", "null", "NULL") and empty
    return True


@contextmanager
def _rows(path: Path) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield csv.reader(file, strict=True)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; {AGAIN}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV in UTF-8 ({error}); {AGAIN}") from error


RANKS = {"small": 0, "medium": 1, "large": 2}
"""Order of the subsets: each holds those before it."""

_INTEGERS = {
    "album": ("comments", "favorites", "id", "listens", "tracks"),
    "artist": ("comments", "favorites", "id"),
    "track": ("bit_rate", "comments", "duration", "favorites", "interest", "listens", "number"),
}
_FLOATS = {"artist": ("latitude", "longitude")}
_NEEDED = (
    ("track", "title"),
    ("track", "genre_top"),
    ("track", "genres"),
    ("track", "genres_all"),
    ("album", "id"),
    ("artist", "id"),
    ("set", "split"),
    ("set", "subset"),
)
LISTS = ("track_genres", "track_genres_all")


def read_genres(source: Sheet) -> GenreTree:
    """Read genres.csv.

    Raises
    ------
    DataError
        If it cannot be read, or is no hierarchy.
    """
    import pyarrow as pa

    needed = ("#tracks", "parent", "title", "top_level")
    names = read_names(source.path, levels=1, index="genre_id")
    check_names(source.path, names, [(name,) for name in needed])
    numbers = {name: pa.int64() for name in needed if name != "title"}
    table = read_table(source, levels=1, numbers=numbers, index="genre_id")
    columns = [table[name].to_pylist() for name in ("genre_id", "title", "parent", "top_level")]
    counts = [n or 0 for n in table["#tracks"].to_pylist()]
    try:
        return GenreTree.of(
            Genre(genre_id, title, parent or 0, top or genre_id, n)
            for genre_id, title, parent, top, n in zip(*columns, counts, strict=True)
        )
    except DataError as error:
        raise DataError(f"{source.path}: {error}") from error


def read_tracks(
    source: Sheet, genres: GenreTree
) -> tuple[dict[str, pa.Array], list[dict[str, Any]]]:
    """Read tracks.csv.

    Returns
    -------
    columns : dict of str to pyarrow.Array
        By flat names (``"album_title"``); ``split`` and ``subset`` without a prefix; lists of ids
        as lists; -1 for whole numbers that are missing; ``genre_tags`` holds the titles of all
        genres that were given to a track.
    unmatched : list of dict
        Genres that genres.csv does not have.

    Raises
    ------
    DataError
        If the file cannot be read, or a split, a subset or a list of genres is none.
    """
    import pyarrow as pa

    path = source.path
    names = read_names(path, levels=2)
    check_names(path, names, _NEEDED)
    integers = {f"{level}_{name}" for level, all_ in _INTEGERS.items() for name in all_}
    floats = {f"{level}_{name}" for level, all_ in _FLOATS.items() for name in all_}
    numbers = dict.fromkeys(integers | floats, pa.float64())
    table = read_table(source, levels=2, numbers=numbers)
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if name in integers:
            column = _whole(path, name, column)
        elif name in floats:
            column = column.fill_null(float("nan"))
        columns[name.removeprefix("set_")] = column
    ids = columns[INDEX].to_pylist()
    for name, known in (("split", SPLITS), ("subset", tuple(RANKS))):
        _check_words(path, ids, columns[name].to_pylist(), name, known)
    for name in LISTS:
        columns[name] = pa.array(_lists(path, ids, columns[name].to_pylist()), pa.list_(pa.int32()))
    titles = {i: genre.title for i, genre in genres.genres.items()}
    columns["genre_tags"] = pa.array(
        joined(titles[i] for i in row if i in titles) for row in columns["track_genres"].to_pylist()
    )
    return columns, _strange_genres(columns, genres)


def _whole(path: Any, name: str, column: pa.Array) -> pa.Array:
    """Whole numbers, -1 where there is none; Arrow may have read them as 12.0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.fill_null(column.cast(pa.int64()), -1)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {name} holds a number with a fraction ({error})") from error


def _check_words(
    path: Any, ids: list[int], words: list[str], name: str, known: tuple[str, ...]
) -> None:
    wrong = [(i, word) for i, word in zip(ids, words, strict=True) if word not in known]
    if wrong:
        track_id, word = wrong[0]
        raise DataError(
            f"{path}: {len(wrong)} tracks have an unknown {name} (first: track {track_id} has "
            f"{word!r}; {did_you_mean(word, known)})"
        )


def _lists(path: Any, ids: list[int], texts: list[str]) -> list[list[int]]:
    read: dict[str, list[int]] = {"": []}
    for track_id, text in zip(ids, texts, strict=True):
        if text in read:
            continue
        try:
            if text[0] + text[-1] != "[]":
                raise ValueError(text)
            read[text] = [int(part) for part in text[1:-1].split(",") if part.strip()]
        except ValueError:
            raise DataError(
                f"{path}: the genres of track {track_id} are {text[:60]!r}, expected ids like "
                "[21, 10]; fetch it again"
            ) from None
    return [read[text] for text in texts]


def _strange_genres(columns: dict[str, pa.Array], genres: GenreTree) -> list[dict[str, Any]]:
    titles = {genre.title for genre in genres.genres.values()}
    tops = sorted(set(columns["track_genre_top"].to_pylist()) - titles - {""})
    ids = set(columns["track_genres_all"].flatten().to_pylist())
    strange = sorted(ids - set(genres.genres))
    found = []
    if tops:
        told = f"top genres are not in genres.csv (first: {first_few(tops)})"
        found.append({"what": told, "n": len(tops), "genres": tops})
    if strange:
        told = f"genre ids are not in genres.csv, and left out (first: {first_few(strange)})"
        found.append({"what": told, "n": len(strange), "genres": strange})
    return found
