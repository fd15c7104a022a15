"""Any table: a CSV, TSV or Parquet file and a small TOML become `Tracks` and features.

The least that will do, if the columns have usual names (`USUAL`)::

    table = "tracks.csv"
    genre = "genre"
    features = "feature_*"

What the keys mean is told by `matt.datasets.table_settings.TableSettings`. Whole numbers stay the
ids that they are; other names become `matt.tracks.stable_id` of the name, and the name is kept in
the column ``track``, ``artist`` or ``album``. Further columns of the table are kept as they are;
one that is called as a field of `Tracks` gets ``table_`` before its name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, first_few
from ..features.store import FeatureStore
from ..tracks import Tracks
from . import cells, embeddings
from .table_settings import TableSettings, read_settings
from .table_source import USUAL as USUAL
from .table_source import Source, matching


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


def load(path: Path | str) -> TrackTable:
    """Load the table that a TOML file describes.

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
        return _load(settings, path.parent, path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read(settings: TableSettings, folder: Path | str = ".") -> TrackTable:
    """Load a table by settings instead of a TOML; paths count from a folder."""
    return _load(settings, Path(folder), Path(folder))


def _load(settings: TableSettings, folder: Path, path: Path) -> TrackTable:
    source = Source.open(settings, folder)
    names = source.texts("track") if source.roles["track"] else None
    if names is None:
        names = np.arange(source.n).astype(np.str_)
        source.notes.append("no column names the tracks; they are numbered from 0")
    track = cells.ids(names, negative_is_missing=False)
    what = source.roles["track"] or "track"
    cells.check_unique(track.values, names, what, source.where)
    columns: dict[str, NDArray[Any]] = {}
    owners = {role: _owner(source, role, columns) for role in ("artist", "album")}
    _keep_names(columns, "track", track, source)
    labels, genres = _labels(source)
    tracks = Tracks(
        track.values,
        labels,
        genres,
        artist_id=owners["artist"],
        album_id=owners["album"],
        split=_splits(source),
        path=_audio(source, folder),
        columns=columns | source.further(columns),
    )
    features, tracks = _features(source, tracks, folder)
    return TrackTable(path, settings, tracks, features, tuple(source.notes))


def _owner(source: Source, role: str, columns: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Artist or album of each track."""
    if not source.roles[role]:
        told = {
            "artist": "a split by artist takes every track for an artist of its own",
            "album": "every track is a bag of one",
        }
        source.notes.append(f"no column names the {role}; {told[role]}")
        return np.full(source.n, -1, np.int64)
    found = cells.ids(source.texts(role))
    _keep_names(columns, role, found, source)
    unknown = int((found.values < 0).sum())
    if unknown:
        source.notes.append(f"{unknown:,} of {source.n:,} tracks have no {role}")
    return found.values


def _keep_names(
    columns: dict[str, NDArray[Any]], role: str, found: cells.Ids, source: Source
) -> None:
    if found.names is not None:
        others = source.columns.keys() - {source.roles[role]}
        columns[f"{role}_key" if role in others else role] = found.names


def _labels(source: Source) -> tuple[NDArray[Any], tuple[str, ...]]:
    if not source.roles["genre"]:
        source.notes.append("no column names the genre; all tracks are unlabelled")
        return np.full(source.n, -1, np.int64), ()
    import pyarrow as pa

    settings, column = source.settings, source.columns[source.roles["genre"]]
    listed = cells.lists(column, settings.missing, settings.genre_separator)
    is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    several = settings.several == "all" and (is_list or bool(settings.genre_separator))
    labels, genres, notes = cells.genre_labels(listed, several=several, wanted=settings.genres)
    source.notes.extend(notes)
    return labels, genres


def _splits(source: Source) -> NDArray[np.str_]:
    if not source.roles["split"]:
        return np.full(source.n, "", "<U10")
    found = cells.splits(source.texts("split"), source.settings.splits, source.where)
    none = int((found == "").sum())
    if none:
        source.notes.append(f"{none:,} of {source.n:,} tracks are in no split")
    return found


def _audio(source: Source, folder: Path) -> NDArray[np.str_]:
    if not source.roles["audio"]:
        return np.full(source.n, "", "<U1")
    named = source.texts("audio").tolist()
    paths = [str((folder / cell).absolute()) if cell else "" for cell in named]
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


def _features(source: Source, tracks: Tracks, folder: Path) -> tuple[FeatureStore | None, Tracks]:
    """Features, and the tracks that have them."""
    settings, names = source.settings, source.feature_names
    role = source.roles["embeddings"]
    if names:
        log1p = matching(settings.log1p, names, "the features", "log1p", without=())
        columns = [source.columns[name] for name in names]
        values = embeddings.from_columns(columns, names, set(log1p))
        identity = "\n".join([*names, *(f"log1p {name}" for name in log1p)])
    elif role:
        import pyarrow as pa

        column = source.columns[role]
        nested = pa.types.is_nested(column.type)
        values = (
            embeddings.from_lists(column)
            if nested
            else embeddings.from_files(source.texts("embeddings"), folder)
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
        if settings.not_finite == "error" or not finite.any():
            raise DataError(
                f"{len(bad)} of {len(finite)} tracks hold NaN or infinite features (first: "
                f"{first_few(_names(tracks, bad))}); fill them in, or say not_finite = 'drop' if "
                "others are sound"
            )
        source.notes.append(_dropped(tracks, bad, "with NaN or infinite features"))
        values = values.take(finite)
    kept = tracks.take(values.rows)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:6]
    name = settings.name or source.path.name.partition(".")[0]
    store = FeatureStore.from_arrays(
        f"{name}-{digest}", kept.track_id, values.values, values.offsets
    )
    return store, kept


def _dropped(tracks: Tracks, rows: NDArray[np.int64], why: str) -> str:
    first = first_few(_names(tracks, rows))
    return f"{len(rows):,} of {len(tracks):,} tracks {why} are left out (first: {first})"


def _names(tracks: Tracks, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Ids as the table has them: text ids are kept in the column ``track``."""
    return tracks.columns.get("track", tracks.track_id)[rows]
