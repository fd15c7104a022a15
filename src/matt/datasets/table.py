"""Any table: a CSV, TSV or Parquet file and a small TOML become `Tracks` and features.

The least that will do, if the columns have usual names (`USUAL`)::

    table = "tracks.csv"
    genre = "genre"
    features = "feature_*"

What the keys mean is told by `TableSettings`. Whole numbers stay the ids that they are; other names
become `matt.tracks.stable_id` of the name, and the name is kept in the column ``track``, ``artist``
or ``album``. Further columns of the table are kept as they are; one that is called as a field of
`Tracks` gets ``table_`` before its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, did_you_mean, first_few, in_a_line
from ..features.store import FeatureStore
from ..files import read_toml
from ..settings import Many, Texts, Whole, made
from ..tracks import ALL_ARTISTS, SPLITS, Tracks, stable_id
from . import cells
from .columns import how_to_find, line_numbers, read_columns, read_heading
from .credits import Credits, normalise, same_genre
from .genres import Vocabulary, vocabulary
from .identity import Claim, Merge, identify
from .layout import Layout, kind_of, recognised
from .meanings import bags_of
from .words import Words, known_words

if TYPE_CHECKING:
    import pyarrow as pa

SPLIT_NAMES = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of splits that are understood without being told, in any letter case."""

MISSING = ("", "nan", "NaN", "<NA>", "NA", "None", "null", "NULL", "N/A", "n/a", "#N/A", "#NA")
"""Cells that mean "unknown" unless the TOML says otherwise. In columns of artist, album and genre
so do, unless it does, the words for it in any language (`matt.datasets.words`)."""
_OF_IDS = re.compile(r"(?i).*(?:id|uuid|gid|mbid|key|uri|url|hash|code)")
"""Names of columns whose texts are no names, so that none is like another."""


@dataclass(frozen=True, kw_only=True)
class JoinSettings(Layout):
    """A second table whose columns are added to the rows of the first."""

    table: str
    """Its file, relative to the TOML."""
    on: str = ""
    """Column of the first table that says which row belongs to it; the track by default."""
    key: str = ""
    """Name of that column in the second table; the same by default."""


@dataclass(frozen=True, kw_only=True)
class TableSettings(Layout):
    """A table of tracks; only ``table`` has to be said if the columns have usual names."""

    table: str = ""
    """File, relative to the TOML: ``.csv``, ``.tsv`` (also compressed, e.g. ``.csv.gz``) or
    ``.parquet``.
    """
    track: str = ""
    """Column with the ids; without a name, of this or the next three or ``split``, the usual ones
    are looked for (`matt.datasets.table.USUAL`).
    """
    artist: str = ""
    """Column with the artists."""
    album: str = ""
    """Column with the albums."""
    genre: str = ""
    """Column with the genres."""
    genre_separator: str = ""
    """What stands between the genres of a track, e.g. ``","``; without it a cell is one genre."""
    several: Literal["all", "first"] = "all"
    """Of several genres keep all (multi-label), or the first alone."""
    genres: Texts = ()
    """The genres that are wanted; others become unknown. All by default."""
    min_tracks: Whole = 0
    """Genres of fewer tracks become unknown."""
    split: str = ""
    """Column with the names of the splits."""
    split_names: Mapping[str, str] | None = None
    """What the table's names of splits mean: ``"training"``, ``"validation"``, ``"test"``, or
    ``""`` for tracks that are in none. `SPLIT_NAMES` are understood anyway.
    """
    features: Texts = ()
    """Columns of numbers, as names or patterns such as ``"mfcc_*"``."""
    log1p: Texts = ()
    """Those of them that are replaced by log(1 + x), such as variances."""
    embeddings: str = ""
    """Column with the path of a ``.npy`` file for each track, relative to the TOML, or in Parquet
    with lists of numbers. One axis more than a vector means several segments a track.
    """
    audio: str = ""
    """Column with the path of the audio file of each track, relative to the TOML."""
    not_finite: Literal["drop", "error"] = "drop"
    """What happens to tracks whose features hold NaN or infinite values."""
    name: str = ""
    """Of the features; the name of the file by default."""
    missing: Texts = MISSING
    """Cells that mean "unknown": these alone if you name any."""
    words: str = ""
    """File with further words for unknown, no genre and various artists, relative to the TOML
    (`matt.datasets.words`).
    """
    merge: bool = True
    """Whether names of artists, albums and genres that mean the same are one, and of an artist with
    guests the leading one counts. Not done to numbers, nor to columns that are called ids.
    """
    vocabulary: str | bool = False
    """By which names of genres are read: ``true`` for the one that comes with the package, or a
    file of your own over it, relative to the TOML (`matt.datasets.genres`). Genres that are named
    in ``genres`` stay.
    """
    repeated: Literal["error", "first", "best_known"] = "error"
    """Of several rows of a track keep none and say so, the first, or the one with the most cells
    filled in.
    """
    join: Annotated[tuple[JoinSettings, ...], Many] = ()
    """See `JoinSettings`."""

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        if not self.table:
            yield "no table is named; add a line such as table = 'tracks.csv'"
        for name, meaning in (self.split_names or {}).items():
            if meaning not in ("", *SPLITS):
                yield f"split_names: {name!r} means {meaning!r}; {did_you_mean(meaning, SPLITS)}"
        if self.features and self.embeddings:
            yield "features and embeddings are both named; keep one of them"
        if self.log1p and not self.features:
            yield "log1p names columns, but features names none; name both"
        yield from super().problems()

    @property
    def splits(self) -> dict[str, str]:
        """Every understood name of a split in lower case, and what it means."""
        given = {name.casefold(): meaning for name, meaning in (self.split_names or {}).items()}
        return {**SPLIT_NAMES, **given}


def read_settings(path: Path | str) -> TableSettings:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        Naming the file and everything that is wrong in it.
    """
    return parse(read_toml(path), where=str(path))


def parse(content: Mapping[str, Any], *, where: str = "table settings") -> TableSettings:
    """Check a dictionary as it comes out of a TOML file.

    Examples
    --------
    >>> parse({"table": "tracks.csv", "features": "mfcc_*"}).features
    ('mfcc_*',)
    """
    return made(TableSettings, content, where=where)


USUAL: Mapping[str, tuple[str, ...]] = {
    "track": ("track_id", "track", "song_id", "id"),
    "artist": ("artist_id", "artist", "artist_name"),
    "album": ("album_id", "album", "album_title"),
    "genre": ("genre", "genre_top", "genres", "label"),
    "split": ("split", "set_split"),
}
"""Names of columns that are looked for, in this order, where the TOML names none."""

ROLES = (*USUAL, "embeddings", "audio")
_RESERVED = {ALL_ARTISTS, *(field.name for field in fields(Tracks))}


@dataclass(frozen=True, eq=False)
class JoinedTable:
    """The first table with the columns of all, and which of them is what."""

    settings: TableSettings
    path: Path
    columns: dict[str, pa.ChunkedArray]
    roles: dict[str, str]
    feature_names: tuple[str, ...]
    notes: list[str]
    layout: Layout
    kept: NDArray[np.int64] | None = None
    """Rows of the file, where some were left out."""

    @classmethod
    def open(cls, settings: TableSettings, folder: Path) -> JoinedTable:
        """Read the files, find the columns, join.

        Raises
        ------
        ConfigError, DataError
            As `matt.datasets.table.load`.
        """
        joins = settings.join
        paths = [folder / settings.table, *(folder / join.table for join in joins)]
        notes: list[str] = []
        layouts = []
        for path, given in zip(paths, (settings, *joins), strict=True):
            layout, some = recognised(path, given)
            layouts.append(layout)
            notes += some
        headings = [
            read_heading(path, layout).names for path, layout in zip(paths, layouts, strict=True)
        ]
        known = [*dict.fromkeys(name for names in headings for name in names)]
        told = paths[0].name + (f" and {len(joins)} more" if joins else "")

        def where(is_wanted: Callable[[str], bool]) -> str:
            hints = (how_to_find(p, layout, is_wanted) for p, layout in zip(paths, layouts))
            return next(filter(None, hints), "")

        roles = {role: _role(settings, role, known, told, where) for role in ROLES}
        chosen = matching(settings.features, known, told, "features", roles, where)
        keys = [
            _keys(join, roles, headings[: i + 1], headings[i + 1]) for i, join in enumerate(joins)
        ]
        text = {*roles.values(), *(key for pair in keys for key in pair)} - {""}
        parts = []
        for path, layout, names in zip(paths, layouts, headings, strict=True):
            columns, some = read_columns(
                path,
                layout,
                text=[name for name in names if name in text],
                numbers=[name for name in names if name in chosen],
                missing=settings.missing,
            )
            parts.append(columns)
            notes += some
        columns = parts[0]
        for path, other, (on, key) in zip(paths[1:], parts[1:], keys, strict=True):
            columns = _joined(columns, other, on, key, paths[0], path, notes)
        return cls(settings, paths[0], columns, roles, chosen, notes, layouts[0])

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def texts(self, role: str) -> NDArray[np.str_]:
        """Cells of the column that has a role, shape (n,)."""
        return cells.texts(self.columns[self.roles[role]], self.settings.missing)

    def where(self, rows: Collection[int]) -> str:
        """The lines of some rows of the first table, for a message."""
        if self.kept is not None:
            rows = self.kept[list(rows)].tolist()
        lines = line_numbers(self.path, self.layout, rows)
        unit = "row" if kind_of(self.path) == ".parquet" else "line"
        return f"{unit}{'s' if len(lines) > 1 else ''} {first_few(lines)} of {self.path.name}"

    def one_row_a_track(self, track: NDArray[np.int64]) -> JoinedTable:
        """Leave out what repeats a track, by the settings; an unknown track repeats none."""
        how = self.settings.repeated
        if how == "error" or len(np.unique(track)) == len(track) or (track < 0).any():
            return self
        rank = np.zeros(self.n, np.int64)
        if how == "best_known":
            rank = cells.best_known(self.columns, self.settings.missing)
        kept = cells.one_row_each(track, rank)
        which = "the first" if how == "first" else "the one that says most"
        self.notes.append(
            f"{self.n - len(kept):,} of {self.n:,} rows repeat a track and are left out: "
            f"{which} of each is kept"
        )
        columns = {name: column.take(kept) for name, column in self.columns.items()}
        return replace(self, columns=columns, kept=kept)

    def further(self, taken: Collection[str]) -> dict[str, NDArray[Any]]:
        """Columns that are neither features nor have a role of their own."""
        used = {*self.roles.values(), *self.feature_names}
        found, left = {}, []
        for name, column in self.columns.items():
            if name in used:
                continue
            array = cells.further(column)
            if array is None:
                left.append(name)
            else:
                clash = name in _RESERVED or name in taken
                found[f"table_{name}" if clash else name] = array
        if left:
            self.notes.append(f"{first_few(left)}: left out, lists or very long texts")
        return found


_Where = Callable[[Callable[[str], bool]], str]
"""How a column could be found whose name is wanted; empty if by no setting."""


def _role(
    settings: TableSettings, role: str, known: Sequence[str], told: str, where: _Where
) -> str:
    named: str = getattr(settings, role)
    if named and named not in known:
        remedy = where(named.__eq__) or did_you_mean(named, known)
        raise ConfigError(f"{role} = {named!r}, but {told} has no such column; {remedy}")
    return named or next((name for name in USUAL.get(role, ()) if name in known), "")


def matching(
    patterns: Sequence[str],
    known: Sequence[str],
    told: str,
    key: str,
    roles: Mapping[str, str],
    where: _Where,
) -> tuple[str, ...]:
    """Columns that match a pattern and have no role, in the order of the table."""
    role_of = {name: role for role, name in roles.items()}
    free = [name for name in known if name not in role_of]
    for pattern in patterns:
        if any(fnmatchcase(name, pattern) for name in free):
            continue
        for name in known:
            if fnmatchcase(name, pattern):
                raise ConfigError(
                    f"{key} = {pattern!r} matches {name!r} alone, which is the {role_of[name]}; "
                    "name columns of numbers that are nothing else"
                )
        remedy = where(partial(fnmatchcase, pat=pattern)) or did_you_mean(pattern, free)
        raise ConfigError(f"{key} = {pattern!r} matches no column of {told}; {remedy}")
    return tuple(name for name in free if any(fnmatchcase(name, p) for p in patterns))


def _keys(
    join: JoinSettings,
    roles: Mapping[str, str],
    before: Sequence[Sequence[str]],
    second: Sequence[str],
) -> tuple[str, str]:
    """Columns that say which rows belong together: of the tables so far, and of the next one."""
    first = [name for names in before for name in names]
    on = join.on or roles["track"]
    key = join.key or on
    for name, names, where in ((on, first, "what is joined so far"), (key, second, join.table)):
        if name not in names:
            raise ConfigError(
                f"join needs the column {name!r}, which {where} has not; "
                f"{did_you_mean(name, names)} (keys: on, key)"
            )
    return on, key


def _joined(
    columns: dict[str, pa.ChunkedArray],
    other: dict[str, pa.ChunkedArray],
    on: str,
    key: str,
    first: Path,
    second: Path,
    notes: list[str],
) -> dict[str, pa.ChunkedArray]:
    """Columns of another table beside the rows that they belong to; missing where none does."""
    import pyarrow as pa

    left, right = cells.texts(columns[on]), cells.texts(other[key])
    numbers = [cells.ids(side, negative_is_missing=False) for side in (left, right)]
    if all(side.names is None for side in numbers):  # so that 000002 finds 2
        left, right = (side.values.astype(np.str_) for side in numbers)
    different, rows, times = np.unique(right, return_index=True, return_counts=True)
    if (twice := different[times > 1]).size:
        raise DataError(
            f"{second}: {twice.size} values of {key!r} occur more than once (first: "
            f"{first_few(twice)}), so nobody knows which row to take; keep one of each"
        )
    place = np.searchsorted(different, left).clip(max=len(different) - 1)
    absent = different[place] != left
    if absent.all():
        raise DataError(
            f"no {on!r} of {first} is among the {key!r} of {second} (e.g. {str(left[0])!r} and "
            f"{str(right[0])!r}); name the columns that fit with on and key"
        )
    if absent.any():
        notes.append(
            f"{int(absent.sum()):,} of {len(left):,} tracks are not in {second.name} "
            f"(first: {first_few(left[absent])}); what it says of them is unknown"
        )
    taken = pa.array(rows[place], mask=absent)
    clash = sorted((columns.keys() & other.keys()) - {key})
    if clash:
        notes.append(f"{first_few(clash)}: taken from {first.name}, although {second.name} has it")
    added = {name: column.take(taken) for name, column in other.items() if name not in columns}
    return columns | added


@dataclass(frozen=True, eq=False)
class TrackTable:
    """What a table holds.

    Attributes
    ----------
    path : Path
        The TOML, or the folder that paths count from.
    settings : TableSettings
    tracks : Tracks
    features : FeatureStore or None
        Of exactly those tracks; None if the table names no features.
    notes : tuple of str
        What was dropped, is unknown, or looks wrong.
    """

    path: Path
    settings: TableSettings
    tracks: Tracks
    features: FeatureStore | None
    notes: tuple[str, ...]

    __repr__ = in_a_line


def load(path: Path | str, *, files: bool = True) -> TrackTable:
    """Load the table that a TOML file describes.

    Parameters
    ----------
    path : path
    files : bool
        Whether the files that it names have to be there. Without them the table says who the
        tracks are, which is enough to score predictions; embeddings in files are not read then.

    Raises
    ------
    ConfigError
        If the TOML is wrong, or names a column that is not there.
    DataError
        If a file is missing, damaged, or does not hold what the TOML says; with its line.
    """
    path = Path(path)
    settings = read_settings(path)
    try:
        return _load(settings, path.parent, path, files=files)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read(settings: TableSettings, folder: Path | str = ".") -> TrackTable:
    """Load a table by settings instead of a TOML; paths count from a folder."""
    return _load(settings, Path(folder), Path(folder), files=True)


def _load(settings: TableSettings, folder: Path, path: Path, *, files: bool) -> TrackTable:
    words = known_words(folder / settings.words if settings.words else None)
    source = JoinedTable.open(settings, folder)
    names = source.texts("track") if source.roles["track"] else None
    if names is None:
        names = np.arange(source.n).astype(np.str_)
        source.notes.append("no column names the tracks; they are numbered from 0")
    track = cells.ids(names, negative_is_missing=False)
    source = source.one_row_a_track(track.values)
    if source.kept is not None:
        track = cells.ids(source.texts("track"), negative_is_missing=False)
    what = source.roles["track"] or "track"
    cells.check_unique(track.values, names, what, source.where)
    columns: dict[str, NDArray[Any]] = {}
    owners = _owners(source, columns, words)
    _keep_names(columns, "track", track, source)
    labels, genres = _labels(source, words, folder, owners)
    tracks = Tracks(
        track.values,
        labels,
        genres,
        artist_id=owners["artist"],
        album_id=owners["album"],
        split=_splits(source),
        path=_audio(source, folder, files=files),
        columns=columns | source.further(columns),
    )
    features, tracks = _features(source, tracks, folder, files=files)
    return TrackTable(path, settings, tracks, features, tuple(source.notes))


def _owners(
    source: JoinedTable, columns: dict[str, NDArray[Any]], words: Words
) -> dict[str, NDArray[np.int64]]:
    """Artist and album of each track."""
    texts = {role: np.full(source.n, "", "<U1") for role in ("artist", "album")}
    credits, guests = Credits(words), dict[int, tuple[str, ...]]()
    owners = {}
    named = {}
    for role in texts:
        if not source.roles[role]:
            effect = {
                "artist": "a split by artist takes every track for an artist of its own",
                "album": "every track is a bag of one",
            }
            source.notes.append(f"no column names the {role}; {effect[role]}")
            owners[role] = np.full(source.n, -1, np.int64)
            continue
        told = texts[role] = source.texts(role)
        artist = role == "artist"
        if source.settings.missing == MISSING:
            is_unknown = credits.is_unknown if artist else words.is_unknown
            texts[role] = cells.known(texts[role], is_unknown)
        if artist:
            texts[role] = cells.known(texts[role], credits.is_various)
            for row in np.flatnonzero(told != texts[role]).tolist():
                guests[row] = credits.read(str(told[row])).guests
        found = cells.ids(texts[role])
        _keep_names(columns, role, found, source)
        owners[role] = found.values
        named[role] = found.names is not None and not _OF_IDS.fullmatch(source.roles[role])
    if source.settings.merge and any(named.values()):
        artists, albums = (texts[role].tolist() for role in ("artist", "album"))
        claims = [
            Claim(by, album, guests=guests.get(row, ()), compilation=True)
            for row, (by, album) in enumerate(zip(artists, albums, strict=True))
        ]
        same = identify(claims, words, id_of=lambda kind, of, name: stable_id(name))
        made = {"artist": same.artist_id, "album": same.album_id}
        owners |= {role: made[role] for role, is_name in named.items() if is_name}
        if named.get("artist") and (same.all_artists != "").any():
            columns[ALL_ARTISTS] = same.all_artists
        source.notes.extend(_told(same.merges, {role for role in named if named[role]}))
    for role in named:
        unknown = int((owners[role] < 0).sum())
        if unknown:
            source.notes.append(f"{unknown:,} of {source.n:,} tracks have no {role}")
    return owners


def _told(merges: Sequence[Merge], roles: Collection[str]) -> Iterator[str]:
    for role in ("artist", "album"):
        found = [merge for merge in merges if merge.what == role and role in roles]
        if found:
            shown = (
                f"{merge.name!r} also as {first_few(map(repr, merge.others), most=2)}"
                for merge in found
            )
            yield (
                f"{len(found):,} {role}s go by several names and are one each "
                f"({first_few(shown, most=3)}); if they differ, say merge = false"
            )


def _keep_names(
    columns: dict[str, NDArray[Any]], role: str, found: cells.Ids, source: JoinedTable
) -> None:
    if found.names is not None:
        others = source.columns.keys() - {source.roles[role]}
        columns[f"{role}_key" if role in others else role] = found.names


def _labels(
    source: JoinedTable, words: Words, folder: Path, owners: Mapping[str, NDArray[np.int64]]
) -> tuple[NDArray[Any], tuple[str, ...]]:
    if not source.roles["genre"]:
        source.notes.append("no column names the genre; all tracks are unlabelled")
        return np.full(source.n, -1, np.int64), ()
    import pyarrow as pa

    settings, column = source.settings, source.columns[source.roles["genre"]]
    listed = cells.lists(column, settings.missing, settings.genre_separator)
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    several = settings.several == "all" and (is_list or bool(settings.genre_separator))
    found = cells.GenreCells(listed, [])
    if by := _vocabulary(settings, words, folder):
        albums = bags_of(owners["artist"], owners["album"])
        found = found.read_by(by, albums, same_genre if settings.merge else normalise)
    if settings.missing == MISSING:
        found = found.without(words.is_no_genre, settings.genres)
    if settings.merge:
        found = found.spelled_alike(same_genre, settings.genres)
    found = found.frequent(settings.min_tracks, several=several)
    labels, genres, notes = cells.genre_labels(found.cells, several=several, wanted=settings.genres)
    source.notes.extend([*found.notes, *notes])
    return labels, genres


def _vocabulary(settings: TableSettings, words: Words, folder: Path) -> Vocabulary | None:
    """What the settings name, with the wanted genres kept."""
    if not settings.vocabulary:
        return None
    own = folder / settings.vocabulary if isinstance(settings.vocabulary, str) else None
    return vocabulary(own, words).keeping(settings.genres)


def _splits(source: JoinedTable) -> NDArray[np.str_]:
    if not source.roles["split"]:
        return np.full(source.n, "", "<U10")
    found = cells.splits(source.texts("split"), source.settings.splits, source.where)
    none = int((found == "").sum())
    if none:
        source.notes.append(f"{none:,} of {source.n:,} tracks are in no split")
    return found


def _audio(source: JoinedTable, folder: Path, *, files: bool) -> NDArray[np.str_]:
    if not source.roles["audio"]:
        return np.full(source.n, "", "<U1")
    named = source.texts("audio").tolist()
    paths = [str((folder / cell).absolute()) if cell else "" for cell in named]
    if not files:
        return np.array(paths, np.str_)
    absent = [path for path in paths if path and not Path(path).is_file()]
    there = sum(path != "" for path in paths)
    if len(absent) == there:
        first = f" (first: {absent[0]})" if absent else ""
        raise DataError(
            f"none of {there} audio files exists{first}; paths count from {folder}, the folder of "
            "the TOML"
        )
    if absent or there < len(paths):
        source.notes.append(
            f"{len(paths) - there + len(absent):,} of {len(paths):,} tracks have no audio file"
            + (f" (first: {absent[0]} does not exist)" if absent else "")
        )
    return np.array(paths, np.str_)


def _features(
    source: JoinedTable, tracks: Tracks, folder: Path, *, files: bool
) -> tuple[FeatureStore | None, Tracks]:
    """Features, and the tracks that have them."""
    settings, names = source.settings, source.feature_names
    role = source.roles["embeddings"]
    if names:
        log1p = matching(settings.log1p, names, "the features", "log1p", {}, lambda _: "")
        columns = [source.columns[name] for name in names]
        values = cells.from_columns(columns, names, set(log1p))
        identity = "\n".join([*names, *(f"log1p {name}" for name in log1p)])
    elif role:
        import pyarrow as pa

        column = source.columns[role]
        nested = pa.types.is_nested(column.type)
        if not nested and not files:
            return None, tracks
        values = (
            cells.from_lists(column)
            if nested
            else cells.from_files(source.texts("embeddings"), folder)
        )
        identity = role
    else:
        return None, tracks
    if len(values.rows) < len(tracks):
        gone = np.delete(np.arange(len(tracks)), values.rows)
        source.notes.append(_dropped(tracks, gone, "without features"))
    finite = values.finite()
    if not finite.all():
        bad = values.rows[~finite]
        why = _first_bad(source, int(bad[0]), values.values[~finite][0]) if names else ""
        if settings.not_finite == "error" or not finite.any():
            remedy = "correct them"
            never = [] if not names else [n for n, ok in zip(names, values.ever_finite()) if not ok]
            if never:
                remedy += f", or leave out of features what is sound nowhere: {first_few(never)}"
            elif finite.any():
                remedy += ", or say not_finite = 'drop' if others are sound"
            raise DataError(
                f"{len(bad)} of {len(finite)} tracks hold NaN, infinite or too large features "
                f"(first: {first_few(_names(tracks, bad))}{why}); {remedy}"
            )
        source.notes.append(_dropped(tracks, bad, "with NaN, infinite or too large features", why))
        values = values.take(finite)
    kept = tracks.take(values.rows)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:6]
    name = settings.name or source.path.name.partition(".")[0]
    store = FeatureStore.from_arrays(
        f"{name}-{digest}", kept.track_id, values.values, values.offsets
    )
    return store, kept


def _first_bad(source: JoinedTable, row: int, values: NDArray[np.float32]) -> str:
    """The first feature of a track that is no finite number, as the table has it."""
    name = source.feature_names[int(np.flatnonzero(~np.isfinite(values))[0])]
    cell = source.columns[name][row].as_py()
    most = float(np.finfo(np.float32).max)
    said = f"; {name} is {'empty' if cell is None else cell}"
    if cell is None or not most < abs(cell) < np.inf:
        return said
    return f"{said}, and 32 bits hold no more than {most:.2g}"


def _dropped(tracks: Tracks, rows: NDArray[np.int64], how: str, why: str = "") -> str:
    first = first_few(_names(tracks, rows)) + why
    return f"{len(rows):,} of {len(tracks):,} tracks {how} are left out (first: {first})"


def _names(tracks: Tracks, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Ids as the table has them."""
    return tracks.known_as[rows]
