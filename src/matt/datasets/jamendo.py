"""MTG-Jamendo: Tracks with several genres each, from its own tables.

Its repository has a table of all tracks, ``autotagging_genre.tsv``, and of each of five splits
three tables, ``splits/split-0/autotagging_genre-train.tsv`` and so on, in which no artist is in two
[1]_. Behind the duration of a track stand its tags, as many columns as there are, each with its
kind in front (``genre---rock``). The splits merged into one table are read, too: there is a column
``split`` then, and the tags are in one cell with ``|`` between.

Neither audio nor features are in these tables. Ids are those of `matt.datasets.table`, so that
features that were kept under the one are found under the other.

References
----------
.. [1] Bogdanov, Won, Tovstogan, Porter & Serra, "The MTG-Jamendo dataset for automatic music
   tagging", Machine Learning for Music Discovery Workshop, ICML 2019.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, check_arguments, did_you_mean, first_few
from ..tracks import Tracks
from . import cells
from .audit import crossing_artists
from .columns import lines_of, named_faults
from .layout import Layout
from .table import SPLIT_NAMES

KINDS = ("genre", "instrument", "mood/theme")
SPLITS = range(5)
_COLUMNS = ("track_id", "artist_id", "album_id", "path", "duration", "tags")
_SPLIT = "split"
_PARTS = ("train", "validation", "test")
_LAYOUT = Layout(delimiter="\t", encoding="utf-8")
_MARK, _SEPARATOR = "---", "|"
_SUFFIXES = (".tsv", ".tsv.gz")
_REMEDY = "copy the table again from github.com/MTG/mtg-jamendo-dataset"


@dataclass(frozen=True)
class _Line:
    """What one line says of a track."""

    track: str
    artist: str
    album: str
    path: str
    duration: float
    tags: tuple[str, ...]
    split: str


def load_tracks(
    path: Path | str,
    *,
    split: int | None = None,
    kind: str = "genre",
    audio: Path | str | None = None,
) -> Tracks:
    """Read tracks, their tags as genres, and their split.

    Parameters
    ----------
    path : path
        The repository, its folder ``data``, the folder of one split, or a table: of all tracks, or
        merged.
    split : int, 0 to 4, optional
        Which split. By default that of the folder or table, else 0; a table of all tracks without
        the folder ``splits`` beside it leaves them in none.
    kind : {"genre", "instrument", "mood/theme"}
        Which tags count.
    audio : path, optional
        Folder of the audio files; by default that of the tables, if the first track's is there.
        Tracks without a file have no path.

    Returns
    -------
    Tracks
        With several genres a track, in the order of the alphabet; ``columns`` has ``track``,
        ``artist`` and ``album`` as the tables call them, and ``duration`` in seconds.

    Raises
    ------
    DataError
        If a table is missing, cannot be read, names a track twice, or an artist is in two splits;
        with its line.

    Examples
    --------
    >>> tracks = load_tracks("mtg-jamendo-dataset", split=0)  # doctest: +SKIP
    >>> len(tracks), len(tracks.genres)  # doctest: +SKIP
    (55094, 87)
    """
    check_arguments(path=(path, Path | str), split=(split, int | None))
    path = Path(path)
    if kind not in KINDS:
        raise DataError(f"unknown kind of tags {kind!r}; {did_you_mean(kind, KINDS)}")
    if split is not None and split not in SPLITS:
        raise DataError(f"split {split} is none of MTG-Jamendo's; give 0 to {SPLITS[-1]}")
    lines = _of_folder(path, split, kind) if path.is_dir() else _of_table(path, split, kind)
    ids = {
        role: cells.ids(np.array([getattr(line, role) for line in lines], np.str_))
        for role in ("track", "artist", "album")
    }
    labels, genres, _ = cells.genre_labels([line.tags for line in lines], several=True)
    if not genres:
        raise DataError(f"{path}: no track has a tag of the kind {kind!r}; name another kind")
    named = {role: found.names for role, found in ids.items() if found.names is not None}
    columns: dict[str, Any] = {**named, "duration": np.array([line.duration for line in lines])}
    tracks = Tracks(
        ids["track"].values,
        labels,
        genres,
        artist_id=ids["artist"].values,
        album_id=ids["album"].values,
        split=np.array([line.split for line in lines], np.str_),
        path=_audio([line.path for line in lines], path, audio),
        columns=columns,
    )
    _check_artists(tracks, path)
    return tracks


def is_jamendo(path: Path) -> bool:
    """Whether a path is a folder of these tables, or such a table."""
    if path.is_dir():
        return _folder_of(path, None) is not None
    if not path.name.lower().endswith(_SUFFIXES) or not path.is_file():
        return False
    try:
        return set(_COLUMNS) <= set(next(_rows(path), (0, []))[1])
    except DataError:
        return False


def _of_folder(folder: Path, split: int | None, kind: str) -> list[_Line]:
    """Lines of the three tables of a split."""
    place = _folder_of(folder, split)
    if place is None:
        told = "" if split is None else f" of split {split}"
        raise DataError(
            f"{folder} holds no tables{told} of MTG-Jamendo; name its repository, a folder with "
            "autotagging_genre-train.tsv and the others in it, or a table"
        )
    lines: dict[str, _Line] = {}
    for part in _PARTS:
        table = _table_in(place, part, kind)
        if table is None:
            raise DataError(f"{place} has no table {_stem(kind)}-{part}.tsv; {_REMEDY}")
        for line in _lines(table, kind):
            if line.track in lines:
                there = lines[line.track].split
                raise DataError(f"{table}: {line.track} is in the {there} table, too; {_REMEDY}")
            lines[line.track] = replace(line, split=SPLIT_NAMES[part])
    return list(lines.values())


def _of_table(path: Path, split: int | None, kind: str) -> list[_Line]:
    """Lines of one table, in the splits that it names, or that lie beside it."""
    lines = list(_lines(path, kind))
    if any(line.split for line in lines):
        return lines
    place = _folder_of(path.parent, split)
    if place is None:
        if split is None:
            return lines
        raise DataError(
            f"{path} names no splits, and there are no tables of split {split} beside it; {_REMEDY}"
        )
    parts = {line.track: line.split for line in _of_folder(place, None, kind)}
    return [replace(line, split=parts.get(line.track, "")) for line in lines]


def _stem(kind: str) -> str:
    return f"autotagging_{kind.replace('/', '')}"


def _table_in(folder: Path, part: str, kind: str) -> Path | None:
    named = (folder / f"{_stem(kind)}-{part}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in named if path.is_file()), None)


def _folder_of(folder: Path, split: int | None) -> Path | None:
    """The folder with the tables of a split, in or under a folder."""
    name = f"split-{split or 0}"
    places = [folder / "splits" / name, folder / "data" / "splits" / name, folder / name]
    if split is None or folder.name == name:
        places.append(folder)
    for place in places:
        if any(_table_in(place, _PARTS[0], kind) for kind in KINDS):
            return place
    return None


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line that is not empty; names of the columns in small letters."""
    with named_faults(path, _LAYOUT), lines_of(path, _LAYOUT) as reader:
        first = True
        try:
            for row in reader:
                kept = [cell.strip() for cell in row]
                if any(kept):
                    yield reader.line_num, [cell.lower() for cell in kept] if first else kept
                    first = False
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}; {_REMEDY}") from error


def _lines(path: Path, kind: str) -> Iterator[_Line]:
    """What each line of a table says."""
    if not path.is_file():
        raise DataError(f"{path} does not exist; name a table or a folder of MTG-Jamendo")
    rows = _rows(path)
    _, header = next(rows, (0, []))
    absent = [name for name in _COLUMNS if name not in header]
    if absent:
        raise DataError(
            f"{path} is no table of MTG-Jamendo: it has no column {first_few(absent)}; its "
            f"columns are {', '.join(_COLUMNS)} and perhaps {_SPLIT}"
        )
    place = {name: header.index(name) for name in (*_COLUMNS, _SPLIT) if name in header}
    seen: dict[str, int] = {}
    for number, row in rows:
        try:
            line = _line(row, header, place, kind)
            if line.track in seen:
                raise ValueError(f"{line.track} is on line {seen[line.track]}, too")
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}; {_REMEDY}") from error
        seen[line.track] = number
        yield line


def _line(row: Sequence[str], header: Sequence[str], place: Mapping[str, int], kind: str) -> _Line:
    """What one line says; every cell from the tags on is a tag if they are the last column."""
    tags, n = place["tags"], len(header)
    last = tags == n - 1
    if len(row) < n - last or (len(row) > n and not last):
        raise ValueError(f"{len(row)} cells for {n} columns")
    cell = {name: row[column] if column < len(row) else "" for name, column in place.items()}
    if not cell["track_id"]:
        raise ValueError("no track is named")
    try:
        duration = float(cell["duration"])
    except ValueError:
        raise ValueError(f"the duration {cell['duration']!r} is no number of seconds") from None
    if not (math.isfinite(duration) and duration >= 0):
        raise ValueError(f"the duration {cell['duration']!r} is none")
    meaning = SPLIT_NAMES.get(cell.get(_SPLIT, "").casefold(), "")
    if cell.get(_SPLIT) and not meaning:
        raise ValueError(f"unknown split {cell[_SPLIT]!r}")
    told = row[tags:] if last else [cell["tags"]]
    every = [tag.strip() for some in told for tag in some.split(_SEPARATOR)]
    return _Line(
        cell["track_id"],
        cell["artist_id"],
        cell["album_id"],
        cell["path"],
        duration,
        tuple(dict.fromkeys(name for name in (_of_kind(tag, kind) for tag in every) if name)),
        meaning,
    )


def _of_kind(tag: str, kind: str) -> str:
    """Name of a tag of a kind; a tag without its kind in front is of any."""
    before, mark, name = tag.partition(_MARK)
    if not mark:
        return tag
    return name if before == kind else ""


def _audio(named: Sequence[str], path: Path, audio: Path | str | None) -> NDArray[np.str_]:
    """Path of the audio file of each track, empty where there is none."""
    root = Path(audio) if audio is not None else path if path.is_dir() else path.parent
    root = root.absolute()
    if audio is None and not (named and named[0] and (root / named[0]).is_file()):
        return np.full(len(named), "", "<U1")
    files = [root / name if name else root for name in named]
    found = [str(file) if file.is_file() else "" for file in files]
    if not any(found):
        raise DataError(
            f"none of {len(found)} audio files is under {root} (first: {files[0]}); name the "
            "folder that holds them as audio"
        )
    return np.array(found, np.str_)


def _check_artists(tracks: Tracks, path: Path) -> None:
    """Refuse splits that share an artist: the test would measure memory.

    Raises
    ------
    DataError
    """
    crossing = crossing_artists(tracks).groups
    if crossing:
        names = first_few(group.name for group in crossing)
        raise DataError(
            f"{path}: {len(crossing)} artists are in more than one split ({names}); {_REMEDY}, or "
            "split the tracks anew with matt.splits.by_artist"
        )
