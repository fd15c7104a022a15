"""Features of FMA, from the index: only the descriptors and rows that are asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, did_you_mean, first_few
from ...features.spec import FeatureSpec
from ...features.store import FeatureStore
from ...files import read_parquet
from .feature_sets import ALL, descriptors, set_name
from .index_files import ECHONEST_SCHEMA
from .index_reading import read_features
from .indexing import open_index
from .places import check_subset

_UNKNOWN = "NaN or infinite values"


def load_features(
    directory: Path | str,
    groups: str | Sequence[str] = ALL,
    *,
    subset: str = "medium",
    faults: Collection[str] = (),
    unknown: str = "drop",
) -> FeatureStore:
    """Features of FMA's features.csv, one row a track.

    Parameters
    ----------
    directory, subset
        As in `load_tracks`.
    groups, faults
        Feature set by name, see `feature_sets.descriptors`.
    unknown : {"drop", "error"}
        What to do with tracks that have NaN or infinite values: leave them out and list them in
        ``failures``, or raise.

    Returns
    -------
    FeatureStore
        Float32, shape (columns,). Its ``failures`` hold ids and reasons of the tracks without
        values; drop them: ``tracks.drop(store.failures["track_id"])``.

    Raises
    ------
    DataError
        If there is no index, or it lacks the descriptors.
    ConfigError
        If a name is unknown.
    """
    check_subset(subset)
    if unknown not in ("drop", "error"):
        raise DataError(f"unknown is {unknown!r}; {did_you_mean(unknown, ('drop', 'error'))}")
    names = descriptors(groups, faults=faults)
    opened = open_index(directory)
    missing = [name for name in names if name not in opened.manifest["descriptors"]]
    if missing:
        raise DataError(
            f"the index of {opened.root} holds no {', '.join(missing)}; put FMA's features.csv "
            f"into {opened.root / opened.manifest['metadata']} and run 'matt fma index' again"
        )
    ids, values, known = read_features(opened, names, subset)
    name = set_name(groups, faults)
    return _store(f"simulated {name}" if opened.simulated else name, ids, values, known, unknown)


def load_echonest(
    directory: Path | str, part: str = "audio_features", *, unknown: str = "drop"
) -> FeatureStore:
    """Echonest's features of 13,129 tracks.

    Parameters
    ----------
    part : {"audio_features", "temporal_features"}
        8 or 224 values.
    unknown : {"drop", "error"}
        As in `load_features`.

    Raises
    ------
    DataError
        If there is no index, or it holds no echonest.csv.
    """
    parts = ("audio_features", "temporal_features")
    if part not in parts:
        raise DataError(f"Echonest has no numbers {part!r}; {did_you_mean(part, parts)}")
    opened = open_index(directory)
    if "echonest.csv" not in opened.manifest["sources"]:
        raise DataError(
            f"the index of {opened.root} holds no echonest.csv; put it beside tracks.csv and run "
            "'matt fma index' again"
        )
    table, _ = read_parquet(opened.path / "echonest.parquet", schema=ECHONEST_SCHEMA)
    names = [name for name in table.column_names if name.startswith(f"echonest_{part}_")]
    values = np.stack([table[name].to_numpy() for name in names], axis=1).astype(np.float32)
    known = np.asarray(np.isfinite(values).all(axis=1))
    ids = table["track_id"].to_numpy()
    return _store(f"fma:echonest {part}", ids, values, known, unknown)


def _store(
    name: str,
    ids: NDArray[np.int64],
    values: NDArray[np.float32],
    known: NDArray[np.bool_],
    unknown: str,
) -> FeatureStore:
    if unknown == "error" and not known.all():
        raise DataError(
            f"{name}: {int((~known).sum())} of {len(ids)} tracks have {_UNKNOWN} (first: "
            f"{first_few(np.sort(ids[~known]))}); leave them out with unknown='drop'"
        )
    # Rows without values stay where they are; nothing points to them.
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(ids[rows])]
    lost = np.sort(ids[~known])
    return FeatureStore(
        FeatureSpec.embedding(name, values.shape[1:]),
        ids[rows],
        np.zeros(len(rows), np.int64),
        rows,
        np.ones(len(rows), np.int64),
        (values,),
        {"track_id": lost, "reason": np.full(len(lost), _UNKNOWN)},
    )
