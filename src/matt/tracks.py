"""Tracks: who recorded what. One row a track, as columns; every statement about data starts here.

Conventions, the same in every module:

- A **label** is the index of a genre in ``genres``; -1 means that the genre is unknown. With
  several genres a track, ``labels`` is a boolean array (n, G) and an all-false row means unknown.
- ``artist_id`` and ``album_id`` are -1 where the artist or album is unknown.
- ``split`` is ``"training"``, ``"validation"``, ``"test"`` or ``""`` (not assigned).
- Ids lie below 2**53, so that they survive JSON and float64 exactly.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ConfigError, DataError, did_you_mean, first_few
from .files import as_array, read_parquet, reading, write_parquet

if TYPE_CHECKING:
    import pandas as pd

MAX_ID = 2**53
SPLITS = ("training", "validation", "test")
ALL_ARTISTS = "all_artists"
"""Column with the ids of everybody whom a track names, if they are several: `Tracks.everybody`."""
_WHOLE = re.compile(r"\s*(\d{1,20})(?:\.0*)?\s*")
_IDS = re.compile(r"~?\d{1,16}(?: ~?\d{1,16})*")
_SCHEMA = "matt.tracks/1"
_FIELDS = ("track_id", "artist_id", "album_id", "split", "path", "labels")


@dataclass(frozen=True, eq=False)
class Tracks:
    """A table of tracks.

    Attributes
    ----------
    track_id : int array, shape (n,)
        Unique, in [0, 2**53).
    labels : int array, shape (n,), or bool array, shape (n, G)
        Genre index, -1 unknown; or one column a genre, an all-false row unknown.
    genres : tuple of str, length G
        Names, in the order of the labels.
    artist_id, album_id : int array, shape (n,)
        -1 where missing (the default).
    split : str array, shape (n,)
        ``"training"``, ``"validation"``, ``"test"`` or ``""`` (the default).
    path : str array, shape (n,)
        Audio file of each track, ``""`` (the default) where there is none.
    columns : dict of str to array, shape (n,)
        Whatever else is known (title, artist, duration in seconds, ...), kept by every method.

    Raises
    ------
    DataError
        If the columns disagree in length, ids repeat or are out of range, a label names no genre,
        or a split has an unknown name.

    Examples
    --------
    >>> tracks = Tracks([7, 8, 9], [0, 0, 1], ("Rock", "Folk"), split=["training", "test", "test"])
    >>> tracks.in_split("test").track_id
    array([8, 9])
    """

    track_id: NDArray[np.int64]
    labels: NDArray[Any]
    genres: tuple[str, ...]
    artist_id: NDArray[np.int64] = field(default_factory=lambda: np.array([], np.int64))
    album_id: NDArray[np.int64] = field(default_factory=lambda: np.array([], np.int64))
    split: NDArray[np.str_] = field(default_factory=lambda: np.array([], "<U10"))
    path: NDArray[np.str_] = field(default_factory=lambda: np.array([], "<U1"))
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    if TYPE_CHECKING:  # what may be given; the attributes above are what is kept

        def __init__(
            self,
            track_id: ArrayLike,
            labels: ArrayLike,
            genres: Iterable[str],
            artist_id: ArrayLike = ...,
            album_id: ArrayLike = ...,
            split: ArrayLike = ...,
            path: ArrayLike = ...,
            columns: Mapping[str, Any] = ...,
        ) -> None: ...

    def __repr__(self) -> str:
        sizes = {name: int((self.split == name).sum()) for name in SPLITS}
        splits = ", ".join(f"{size:,} {name}" for name, size in sizes.items() if size)
        known = genres_in_words(self.genres, int((~self.labelled).sum()))
        return f"Tracks({len(self):,} tracks of {known}; {splits or 'no splits'})"

    def __post_init__(self) -> None:
        n, labels = len(self.track_id), np.asarray(self.labels)
        if isinstance(self.genres, str):
            raise DataError(f"genres is the text {self.genres!r}; give a sequence of names")
        _check_whole("track_id", self.track_id, "for names make ids with matt.tracks.stable_id")
        _check_whole(
            "labels", labels, "give the place of each track's genre in genres, -1 where unknown"
        )
        missing = np.full(n, -1, np.int64)
        given = {
            "track_id": np.asarray(self.track_id, np.int64),
            "labels": labels.astype(bool if labels.ndim == 2 else np.int64),
            "genres": tuple(str(genre) for genre in self.genres),
            "artist_id": np.asarray(self.artist_id, np.int64) if len(self.artist_id) else missing,
            "album_id": np.asarray(self.album_id, np.int64) if len(self.album_id) else missing,
            "split": np.asarray(self.split, np.str_) if len(self.split) else np.full(n, "", "<U10"),
            "path": np.asarray(self.path, np.str_) if len(self.path) else np.full(n, "", "<U1"),
            "columns": {name: np.asarray(column) for name, column in self.columns.items()},
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        _check_lengths({name: getattr(self, name) for name in _FIELDS} | dict(self.columns), n)
        clash = set(self.columns) & {*_FIELDS, "genres"}
        if clash:
            raise DataError(
                f"columns {sorted(clash)} are fields of Tracks; pass them as such or rename them"
            )
        _check_ids(self.track_id)
        _check_labels(self.labels, self.genres)
        for name in np.unique(self.split):
            if name not in ("", *SPLITS):
                raise DataError(f"unknown split {str(name)!r}; {did_you_mean(str(name), SPLITS)}")

    def __len__(self) -> int:
        return len(self.track_id)

    @property
    def multi_label(self) -> bool:
        """Whether a track may have several genres."""
        return self.labels.ndim == 2

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which tracks have a known genre, shape (n,)."""
        return np.asarray(self.labels.any(axis=1) if self.multi_label else self.labels >= 0)

    @property
    def train_counts(self) -> NDArray[np.int64]:
        """Labelled training tracks of each genre, shape (G,): what makes a genre rare.

        Where no track is in any split, all tracks count as training tracks.
        """
        return self._counts((self.split == "training") | ~(self.split != "").any())

    @property
    def counts(self) -> NDArray[np.int64]:
        """Labelled tracks of each genre, shape (G,)."""
        return self._counts(slice(None))

    def _counts(self, which: NDArray[np.bool_] | slice) -> NDArray[np.int64]:
        labels = self.labels[which]
        if self.multi_label:
            return np.asarray(labels.sum(axis=0, dtype=np.int64))
        return np.bincount(labels[labels >= 0], minlength=len(self.genres)).astype(np.int64)

    def everybody(self, *, alike: bool = False) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and id of every artist whom a track names, shapes (m,): its own artist and others.

        The others are guests and further values of a tag. They stand in the column `ALL_ARTISTS`,
        as ids with spaces between, empty where the artist is alone.

        Parameters
        ----------
        alike : bool
            With ids, too, that stand for names like theirs, which may well be the same: ``~`` is
            before them.

        Examples
        --------
        >>> duet = Tracks([1, 2], [0, 0], ("Folk",), artist_id=[7, 8],
        ...               columns={"all_artists": ["7 9 ~5", ""]})
        >>> [part.tolist() for part in duet.everybody()]
        [[0, 1, 0, 0], [7, 8, 7, 9]]
        """
        rows = np.flatnonzero(self.artist_id >= 0)
        column = self.columns.get(ALL_ARTISTS)
        if column is None or column.dtype.kind != "U":
            return rows, self.artist_id[rows]
        texts, which = np.unique(column, return_inverse=True)
        listed = [_ids_in(text, alike) for text in texts.tolist()]
        of_rows = [listed[place] for place in which.tolist()]
        more = np.repeat(np.arange(len(self)), [len(some) for some in of_rows])
        ids = np.array([one for some in of_rows for one in some], np.int64)
        return np.concatenate([rows, more]), np.concatenate([self.artist_id[rows], ids])

    def take(self, rows: NDArray[Any]) -> Tracks:
        """Return the chosen rows (indices or a boolean mask), in the given order."""
        rows = np.asarray(rows, None if len(rows) else np.int64)
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        if np.array_equal(places, np.arange(len(self))):
            return self  # texts take long to copy
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in _FIELDS},
            columns={name: column[rows] for name, column in self.columns.items()},
        )

    def in_split(self, name: str) -> Tracks:
        """Return the tracks of one split.

        Raises
        ------
        DataError
            If the name is unknown, or no track is in that split.
        """
        if name not in SPLITS:
            raise DataError(f"unknown split {name!r}; {did_you_mean(name, SPLITS)}")
        rows = np.flatnonzero(self.split == name)
        if not rows.size:
            raise DataError(
                f"no track is in the {name} split (of {len(self)}); "
                "split the tracks with matt.splits.by_artist, or use more data"
            )
        return self.take(rows)

    def rows(self, track_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each given id, shape (len(track_ids),).

        Raises
        ------
        DataError
            If an id is not there.
        """
        track_ids = np.asarray(track_ids, np.int64)
        if not len(self):
            raise DataError("the table of tracks is empty; check the filters")
        order = np.argsort(self.track_id, kind="stable")
        place = np.searchsorted(self.track_id, track_ids, sorter=order).clip(max=len(self) - 1)
        found: NDArray[np.int64] = order[place]
        absent = np.unique(track_ids[self.track_id[found] != track_ids])
        if absent.size:
            raise DataError(
                f"{absent.size} of {len(track_ids)} tracks are not in the table "
                f"(first: {first_few(absent)}); were the ids made from another data set?"
            )
        return found

    @property
    def known_as(self) -> NDArray[Any]:
        """What the table that they come from calls the tracks: its texts, else ids, shape (n,).

        Texts stand in the column ``track``, or ``track_key`` where the table has another ``track``.
        """
        for name in ("track_key", "track"):
            column = self.columns.get(name)
            # Another column may be called so, e.g. the number of a track on its album.
            if column is not None and column.dtype.kind == "U" and len(self):
                ids = [stable_id(text) for text in column.tolist()]
                if np.array_equal(ids, self.track_id):
                    return column
        return self.track_id

    def rows_known_as(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Row of each track that a table calls so, shape (len(names),).

        Whole numbers may be written in any way: ``"007"`` and ``"7.0"`` are 7, unless the table has
        that very text.

        Raises
        ------
        DataError
            If a track is not there.

        Examples
        --------
        >>> tracks = Tracks([7, 8], [0, 0], ("Folk",))
        >>> tracks.rows_known_as(["008", "7.0"])
        array([1, 0])
        """
        place = {str(name): row for row, name in enumerate(self.known_as.tolist())}
        numbers = {number: row for row, number in enumerate(self.track_id.tolist())}
        found = []
        for name in names:
            row = place.get(name)
            if row is None and (whole := _WHOLE.fullmatch(name)):
                row = numbers.get(int(whole[1]))
            found.append(-1 if row is None else row)
        rows = np.array(found, np.int64)
        absent = [name for name, row in zip(names, found, strict=True) if row < 0]
        if absent:
            raise DataError(
                f"{len(absent)} of {len(names)} tracks are not in the table (first: "
                f"{first_few(absent)}); were the ids made from another data set?"
            )
        return rows

    def drop(self, track_ids: NDArray[np.int64]) -> Tracks:
        """Return the tracks that are not named; an id that is not there is no error."""
        return self.take(~np.isin(self.track_id, track_ids))

    def with_split(self, split: NDArray[np.str_]) -> Tracks:
        """Return the same tracks in other splits, shape (n,)."""
        return replace(self, split=np.asarray(split, np.str_))

    def with_genres(self, genres: Sequence[str], *, unknown: str = "error") -> Tracks:
        """Return the same tracks with labels in the order of other genres, matched by name.

        Parameters
        ----------
        genres : sequence of str
            The wanted genres, as a classifier knows them.
        unknown : {"error", "drop"}
            What to do with a label whose genre is not wanted: raise, or make it unknown.

        Raises
        ------
        DataError
            If a used genre is not wanted and ``unknown="error"``.
        """
        wanted = tuple(genres)
        if wanted == self.genres:
            return self
        lost = [
            genre
            for genre, n in zip(self.genres, self.counts, strict=True)
            if n and genre not in wanted
        ]
        if lost and unknown == "error":
            raise DataError(
                f"{len(lost)} genres are unknown here (first: {first_few(lost)}); "
                f"{did_you_mean(lost[0], wanted)}"
            )
        return replace(self, labels=relabel(self.labels, self.genres, wanted), genres=wanted)

    def to_columns(self) -> dict[str, Any]:
        """All columns by name, labels included; `from_columns` is the way back."""
        labels = self.labels.tolist() if self.multi_label else self.labels
        fields = {name: getattr(self, name) for name in _FIELDS if name != "labels"}
        return {**fields, "labels": labels, **self.columns}

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[Any]], genres: Sequence[str]) -> Tracks:
        """Tracks of what `to_columns` gave."""
        fields = {name: columns[name] for name in _FIELDS}
        rest = {name: column for name, column in columns.items() if name not in fields}
        return cls(**fields, genres=tuple(genres), columns=rest)

    def to_pandas(self) -> pd.DataFrame:
        """One row a track, with the columns of `to_columns` under their names.

        ``labels`` holds genre names: categories in the order of the genres, empty where unknown;
        with several genres a track, tuples of names. ``attrs["genres"]`` has all names. Needs
        pandas.

        Raises
        ------
        ConfigError
            If pandas is not installed.

        Examples
        --------
        >>> tracks = Tracks([7, 8, 9], [1, -1, 0], ("Rock", "Folk"))
        >>> tracks.to_pandas()[["track_id", "labels"]].iloc[0].to_dict()
        {'track_id': 7, 'labels': 'Folk'}
        """
        labels = named(self.labels, self.genres)
        frame: pd.DataFrame = pandas().DataFrame({**self.to_columns(), "labels": labels})
        frame.attrs["genres"] = self.genres
        return frame

    def save(self, path: Path | str) -> None:
        """Write one Parquet file, one row a track; genre names are in its metadata."""
        write_parquet(path, self.to_columns(), schema=_SCHEMA, genres=self.genres)

    @classmethod
    def load(cls, path: Path | str) -> Tracks:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is missing or is no table of tracks.
        """
        table, meta = read_parquet(path, schema=_SCHEMA)
        with reading(path, "is no table of tracks ({})", "make it again"):
            columns = {name: as_array(table[name]) for name in table.column_names}
            return cls.from_columns(columns, meta["genres"])


def pandas() -> Any:
    """Module pandas, which not everybody needs.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        return import_module("pandas")
    except ImportError as error:
        raise ConfigError(
            "to_pandas needs pandas, which is not installed; run: pip install 'matt-mgc[notebook]'"
        ) from error


def named(labels: NDArray[Any], genres: Sequence[str]) -> Any:
    """Labels as a column of pandas: categories, or tuples of names where there may be several."""
    if labels.ndim == 2:
        return [tuple(np.array(genres, object)[row].tolist()) for row in labels]
    return pandas().Categorical.from_codes(labels, categories=list(genres))


def genres_in_words(genres: Sequence[str], n_unknown: int) -> str:
    """Number and names of genres, for one line; names from files may hold anything.

    >>> genres_in_words(("Rock", "Folk"), 3)
    '2 genres (Rock, Folk), 3 unknown'
    """
    shown = ["".join(c if c.isprintable() else "?" for c in name[:24]) for name in genres[:6]]
    unknown = f", {n_unknown:,} unknown" if n_unknown else ""
    return f"{len(genres)} genres ({first_few(shown)}){unknown}"


def stable_id(text: str) -> int:
    """Id of a text, in [0, 2**53): the same on every machine and in every run.

    Examples
    --------
    >>> stable_id("Artist/Album/01.flac") == stable_id("Artist/Album/01.flac")
    True
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % MAX_ID


def _ids_in(text: str, alike: bool) -> list[int]:
    """Ids of `ALL_ARTISTS`; none where a column of that name is somebody else's."""
    if not _IDS.fullmatch(text):
        return []
    return [int(part.lstrip("~")) for part in text.split() if alike or part[0] != "~"]


def _check_whole(name: str, column: ArrayLike, remedy: str) -> None:
    """Refuse fractions where whole numbers are meant: they would be cut silently.

    Raises
    ------
    DataError
        Naming the first that is none; of whole numbers of another type the first.
    """
    array = np.asarray(column)
    if array.dtype.kind not in "iub" and array.size:
        values = array.ravel().tolist()
        first = next((value for value in values if not _is_whole(value)), values[0])
        raise DataError(
            f"{name} must hold whole numbers, got {array.dtype} (first: {first!r}); {remedy}"
        )


def _is_whole(value: Any) -> bool:
    try:
        return float(value).is_integer()
    except (TypeError, ValueError):
        return False


def _check_lengths(columns: Mapping[str, NDArray[Any]], n: int) -> None:
    """Refuse columns of another length than n.

    Raises
    ------
    DataError
    """
    for name, column in columns.items():
        if len(column) != n:
            raise DataError(
                f"column {name!r} has {len(column)} rows, track_id has {n}; give one a track"
            )


def _check_ids(track_id: NDArray[np.int64]) -> None:
    """Refuse ids that repeat or lie outside [0, 2**53).

    Raises
    ------
    DataError
    """
    ids, times = np.unique(track_id, return_counts=True)
    if (times > 1).any():
        raise DataError(
            f"{int((times > 1).sum())} track ids occur more than once (first: "
            f"{first_few(ids[times > 1])}); give every track its own id"
        )
    if len(ids) and (ids[0] < 0 or ids[-1] >= MAX_ID):
        raise DataError(
            f"track ids must be in [0, 2**53), got {ids[0]} to {ids[-1]}; "
            "make ids from names with matt.tracks.stable_id"
        )


def _check_labels(labels: NDArray[Any], genres: Sequence[str]) -> None:
    """Refuse genres that repeat and labels that name no genre.

    Parameters
    ----------
    labels : int array, shape (n,), or bool array, shape (n, G)
    genres : sequence of str, length G

    Raises
    ------
    DataError
    """
    if len(set(genres)) != len(genres):
        raise DataError(f"genres repeat: {first_few(genres)}; merge them first")
    if labels.ndim == 2:
        if labels.shape[1] != len(genres):
            raise DataError(
                f"labels have {labels.shape[1]} columns for {len(genres)} genres; "
                "give one column a genre"
            )
    elif len(labels) and (labels.min() < -1 or labels.max() >= len(genres)):
        raise DataError(
            f"labels run from {labels.min()} to {labels.max()} but there are "
            f"{len(genres)} genres; use -1 for unknown and 0 to {len(genres) - 1}"
        )


def relabel(labels: NDArray[Any], old: Sequence[str], new: Sequence[str]) -> NDArray[Any]:
    """Labels in another order of genres, matched by name; a genre that is not there is unknown.

    Parameters
    ----------
    labels : int array, shape (n,), or bool array, shape (n, len(old))
    old, new : sequence of str

    Returns
    -------
    int array, shape (n,), or bool array, shape (n, len(new))

    Examples
    --------
    >>> relabel(np.array([0, 1, -1]), ["Folk", "Rock"], ["Rock", "Jazz"])
    array([-1,  0, -1])
    """
    place = {genre: index for index, genre in enumerate(new)}
    target = np.array([place.get(genre, -1) for genre in old], np.int64)
    if labels.ndim == 1:
        return np.asarray(np.append(target, -1)[labels])  # -1, unknown, reads the last entry
    moved = np.zeros((len(labels), len(new)), bool)
    moved[:, target[target >= 0]] = labels[:, target >= 0]
    return moved
