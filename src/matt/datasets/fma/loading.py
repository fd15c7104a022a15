"""Tracks, genres and features of FMA, from the index: only what is asked for is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DataError, did_you_mean, first_few
from ...features.kernels.frames import SIZES
from ...features.spec import FeatureSpec
from ...features.store import FeatureStore
from ...files import read_parquet
from ...tracks import Tracks
from .indexing import (
    ECHONEST_SCHEMA,
    Index,
    indexed_features,
    indexed_genres,
    indexed_tracks,
    open_index,
)
from .places import audio_of, check_split, check_subset, clip
from .tables import LISTS, GenreTree

ALL = "1-9"
NAMES = {
    "chroma": "chroma_stft",  # what FMA's paper calls chroma
    "tonnetz": "tonnetz",
    "mfcc": "mfcc",
    "centroid": "spectral_centroid",
    "bandwidth": "spectral_bandwidth",
    "contrast": "spectral_contrast",
    "rolloff": "spectral_rolloff",
    "rms": "rmse",
    "zcr": "zcr",
}
"""The nine single sets, in the order of their numbers 1 to 9."""

PAPER = (*NAMES, "3+6", "3+6+4", ALL)
"""The twelve sets of the paper's first table."""

FAULTS = ("triple_chroma",)
_CHROMAS = ("chroma_cens", "chroma_cqt", "chroma_stft")


def descriptors(
    groups: str | Sequence[str] = ALL, *, faults: Collection[str] = ()
) -> tuple[str, ...]:
    """Descriptors of a feature set, in the order of their columns.

    Parameters
    ----------
    groups : str or sequence of str
        A name of `NAMES` or of a descriptor, a number from 1 to 9, several of these joined by
        ``"+"`` or as a sequence, or ``"1-9"``: all 11 descriptors, 518 columns.
    faults : collection of str
        ``"triple_chroma"``: in ``"1-9"`` chroma_cens stands in for the other two chromas as well,
        as in the released code of the paper: 518 columns, 350 of them distinct.

    Raises
    ------
    ConfigError
        If a name is unknown or occurs twice, or a fault does not concern the set.

    Examples
    --------
    >>> descriptors("3+6+4")
    ('mfcc', 'spectral_contrast', 'spectral_centroid')
    >>> len(descriptors("1-9")), descriptors("chroma")
    (11, ('chroma_stft',))
    """
    parts = groups.split("+") if isinstance(groups, str) else list(groups)
    found = tuple(SIZES) if parts == [ALL] else tuple(_one(part.strip()) for part in parts)
    if len(set(found)) < len(found) or not found:
        raise ConfigError(f"features {groups!r} name a descriptor twice, or none; name each once")
    for fault in faults:
        if fault not in FAULTS:
            raise ConfigError(f"unknown fault {fault!r}; {did_you_mean(fault, FAULTS)}")
        if not set(_CHROMAS) <= set(found):
            raise ConfigError(
                f"the fault {fault!r} concerns all three chromas, features {groups!r} do not hold "
                f"them; use {ALL!r} or leave the fault out"
            )
        found = tuple(_CHROMAS[0] if name in _CHROMAS else name for name in found)
    return found


def set_name(groups: str | Sequence[str], faults: Collection[str] = ()) -> str:
    """Name of a feature, part of its identity: equal where, and only where, the columns are equal.

    >>> set_name("3+6"), set_name(("mfcc", "contrast")), set_name("1-9", ["triple_chroma"])
    ('fma:mfcc+spectral_contrast', 'fma:mfcc+spectral_contrast', 'fma:1-9 triple_chroma')
    """
    found = descriptors(groups)
    name = ALL if found == tuple(SIZES) else "+".join(found)
    return " ".join([f"fma:{name}", *sorted(set(faults))])


def _one(name: str) -> str:
    if name in SIZES:
        return name
    numbers = {str(i): long for i, long in enumerate(NAMES.values(), start=1)}
    if name in NAMES or name in numbers:
        return NAMES.get(name) or numbers[name]
    raise ConfigError(f"unknown features {name!r}; {did_you_mean(name, [*PAPER, *SIZES])}")


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
    ids, values, known = indexed_features(opened, names, subset)
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


SHORT = {
    "title": "track_title",
    "artist": "artist_name",
    "album": "album_title",
    "duration": "track_duration",
    "genre_top": "track_genre_top",
    "date": "track_date_recorded",
}
"""Shorter names of some columns."""

COLUMNS = ("title", "artist", "album", "duration", "subset")
_FIELDS = ("track_id", "artist_id", "album_id", "split")


def load_tracks(
    directory: Path | str,
    subset: str = "medium",
    split: str | None = None,
    *,
    labels: str = "top",
    columns: Sequence[str] = COLUMNS,
    audio: Path | str | None = None,
) -> Tracks:
    """Tracks of FMA.

    Parameters
    ----------
    directory : path
        Folder that holds ``fma_metadata``, after ``matt fma index``.
    subset : {"small", "medium", "large", "full"}
        8,000, 25,000 or all 106,574 tracks; each holds the ones before it. ``"full"`` has the
        tracks of ``"large"``, as whole tracks instead of clips.
    split : {"training", "validation", "test"}, optional
        Of all splits by default: what a rare genre is, is counted from the training tracks of the
        table, so take a split with ``Bags.from_tracks(tracks, split="test")``.
    labels : {"top", "all"}
        ``"top"``: the top genre, -1 where a track has several (never in small and medium).
        ``"all"``: every genre of the hierarchy that a track belongs to, one column a genre.
    columns : sequence of str
        Further columns: those of `COLUMNS`, ``"genre_tags"`` (titles of all genres given to a
        track), ``"genre_top"``, or any column of tracks.csv by its flat name
        (``"album_listens"``). Only these are read. Long texts come as objects.
    audio : path, optional
        Folder of the clips; by default the one below ``directory``, if it is there.

    Returns
    -------
    Tracks
        In the order of their ids. Genres are those that occur in the subset, by name. An album that
        FMA does not know is -1, so that its tracks are bags of one. ``path`` is empty where there
        is no folder of audio; that a file is there is seen when it is read. Of a simulated FMA
        there is a further column ``simulated``.

    Raises
    ------
    DataError
        If there is no index, a CSV has changed since, a name is unknown, or a folder is the wrong
        one.

    Examples
    --------
    >>> from matt.datasets import fma
    >>> tracks = fma.load_tracks("data/fma", subset="medium")  # doctest: +SKIP
    >>> len(tracks), len(tracks.genres)  # doctest: +SKIP
    (25000, 16)
    """
    check_subset(subset)
    check_split(split)
    if labels not in ("top", "all"):
        raise DataError(f"unknown labels {labels!r}; {did_you_mean(labels, ('top', 'all'))}")
    opened = open_index(directory)
    full_names = [_full_name(opened, name) for name in columns]
    label_column = "track_genre_top" if labels == "top" else "track_genres_all"
    found = indexed_tracks(opened, subset, [*_FIELDS, label_column, *full_names])
    values: NDArray[Any]
    if labels == "top":
        genres, values = _top(found[label_column])
    else:
        genres, values = _all(*found[label_column], names=indexed_genres(opened).names)
    order = np.argsort(found["track_id"])
    if split is not None:
        order = order[found["split"][order] == split]
    kept = {name: found[full][order] for name, full in zip(columns, full_names, strict=True)}
    if opened.simulated:
        kept["simulated"] = np.ones(len(order), bool)
    ids = found["track_id"][order]
    folder = audio_of(opened.root, subset, audio)
    paths = [f"{folder}/{clip(i)}" for i in ids.tolist()] if folder else [""] * len(ids)
    return Tracks(
        ids,
        values[order],
        genres,
        artist_id=found["artist_id"][order],
        album_id=found["album_id"][order],
        split=found["split"][order],
        path=np.array(paths, np.str_),
        columns=kept,
    )


def load_genres(directory: Path | str) -> GenreTree:
    """FMA's hierarchy of genres.

    Raises
    ------
    DataError
        If there is no index.
    """
    return indexed_genres(open_index(directory))


def _full_name(opened: Index, name: str) -> str:
    known = opened.manifest["columns"]
    full = SHORT.get(name, name)
    if full not in known or full in (*_FIELDS, *LISTS):
        guess = did_you_mean(name, [*SHORT, *known])
        raise DataError(f"FMA has no further column {name!r} of tracks; {guess}")
    return full


def _top(titles: NDArray[np.str_]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Genres by name, and the label of each track, -1 where it is empty."""
    found, code = np.unique(titles, return_inverse=True)
    genres = tuple(title for title in found.tolist() if title)
    return genres, code - int(len(genres) < len(found))  # "" sorts first


def _all(
    ids: NDArray[np.int32], offsets: NDArray[np.int64], *, names: Mapping[int, str]
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Genres by name, and one column a genre, shape (n, G)."""
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    found, code = np.unique(ids, return_inverse=True)
    used = sorted((i for i in found.tolist() if i in names), key=lambda i: names[i])
    place = {i: label for label, i in enumerate(used)}
    target = np.array([place.get(i, -1) for i in found.tolist()], np.int64)[code]
    labels = np.zeros((len(offsets) - 1, len(used)), bool)
    labels[row[target >= 0], target[target >= 0]] = True
    return tuple(names[i] for i in used), labels
