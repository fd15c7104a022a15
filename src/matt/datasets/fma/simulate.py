"""A simulated FMA: tracks and features of FMA's shape, none of it real.

FMA's genres and its counts by genre and split are kept, bag sizes have the shape of a real
catalogue, and features are drawn from a model (`hierarchy`) that was calibrated to what simple
classifiers reach on FMA. It serves to test, to time and to try things without a download. Nothing
about music follows from it, and every number that comes from it has to be called simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DataError, did_you_mean
from ...features.store import FeatureStore
from ...files import read_json, write_json, write_text
from ...tracks import SPLITS, Tracks
from . import sheets
from .hierarchy import BLOCK, Hierarchy
from .parameters import MEDIUM, genres
from .places import METADATA, SIMULATED
from .simulated_audio import write_clips
from .simulated_catalogue import SUBSETS, Catalogue, plan

AUDIO = "fma_medium"
FEATURES = ("all", "medium", "none")
_KIND = "simulated FMA"
_NOTE = "none of this is real; call every number that comes from it simulated"
_VERSION = 1  # of what a seed means: raise it whenever a value changes
_README = """\
This is a simulated FMA. None of it is real.

It has the layout of the FMA data set (tracks.csv, genres.csv, features.csv and, where asked for,
clips), its genres and, in full size, its numbers of tracks by genre and split. Titles, artists,
albums, durations, features and sounds are made up by a random number generator.

Use it to test and to time software. Nothing about music follows from it. Call every number that
comes from it simulated. fma_metadata/SIMULATED.json says how it was made.
"""


def simulate(n_tracks: int = MEDIUM, seed: int = 0) -> tuple[Tracks, FeatureStore]:
    """Simulate in memory: what `write_tree` writes, without the files.

    Parameters
    ----------
    n_tracks : int
        50 to 106,574. Up to 25,000 all are in medium; 25,000 gives FMA-medium's counts exactly.
    seed : int >= 0

    Returns
    -------
    tracks : Tracks
        ``columns`` hold ``title``, ``artist``, ``album``, ``duration`` in seconds, ``subset``
        (small, medium, large: the smallest that holds the track) and ``simulated``, true
        everywhere.
    features : FeatureStore
        Float32, shape (518,), in the order of `matt.features.kernels.frames.COLUMNS`.

    Raises
    ------
    ConfigError
        If an argument is out of range.

    Examples
    --------
    >>> tracks, features = simulate(50)
    >>> len(tracks.genres), features.spec.shape, bool(tracks.columns["simulated"].all())
    (16, (518,), True)
    """
    catalogue = _plan(n_tracks, seed)
    values = np.concatenate(list(Hierarchy.calibrated().blocks(catalogue, seed=seed)))
    tracks = Tracks(
        catalogue.track_id,
        catalogue.label,
        genres(),
        artist_id=catalogue.artist_id,
        album_id=catalogue.album_id,
        split=np.array(SPLITS)[catalogue.split],
        columns={
            "title": np.array([sheets.title(i) for i in catalogue.track_id.tolist()]),
            "artist": np.array([sheets.artist_name(i) for i in catalogue.artist_id.tolist()]),
            "album": np.array([sheets.album_title(i) for i in catalogue.album_id.tolist()]),
            "duration": sheets.durations(catalogue, seed=seed),
            "subset": np.array(SUBSETS)[catalogue.subset],
            "simulated": np.ones(len(catalogue), bool),
        },
    )
    return tracks, FeatureStore.from_arrays("simulated-fma", tracks.track_id, values)


def write_tree(
    root: Path | str,
    *,
    n_tracks: int = MEDIUM,
    seed: int = 0,
    features: str = "all",
    digits: int = 9,
    audio: bool = False,
    seconds: float = 30.0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Write a simulated FMA in FMA's layout, unless it is there already.

    The marker ``fma_metadata/SIMULATED.json`` is there from the start, so that no part of the tree
    can be taken for real; it says ``"complete": true`` at the end. The same call finishes an
    unfinished tree. Memory does not grow with features.csv (950 MB at full size with 9 digits).

    Parameters
    ----------
    root : path
        An empty or new folder, or one that an equal call has begun.
    n_tracks, seed
        As in `simulate`.
    features : {"all", "medium", "none"}
        Of which tracks features.csv has rows; with ``"none"`` there is no such file.
    digits : int
        Digits after the point in features.csv, 1 to 9. FMA has 9, which keep float32 exactly.
    audio : bool
        Also write a clip of every track of medium: about 240 kB each at 30 s.
    seconds : float
        Length of a clip, at least 0.5.
    progress : callable, optional
        Called with (what is written, rows done, rows in all).

    Returns
    -------
    Path
        The marker: parameters, seed and counts.

    Raises
    ------
    ConfigError
        If an argument makes no sense.
    DataError
        If the folder holds something else.
    """
    if features not in FEATURES:
        raise ConfigError(f"unknown features {features!r}; {did_you_mean(features, FEATURES)}")
    if not 1 <= digits <= 9:
        raise ConfigError(f"digits={digits} is out of range; use 1 to 9")
    if not seconds >= 0.5:
        raise ConfigError(f"seconds={seconds} is too short for a clip; use 0.5 or more")
    root = Path(root)
    catalogue = _plan(n_tracks, seed)
    marker = root / METADATA / SIMULATED
    content: dict[str, Any] = {
        "kind": _KIND,
        "note": _NOTE,
        "parameters": {
            "version": _VERSION,
            "n_tracks": n_tracks,
            "seed": seed,
            "features": features,
            "digits": digits,
            "audio": audio,
            "seconds": seconds,
        },
    }
    if _is_complete(root, marker, content["parameters"]):
        return marker
    write_json(marker, {**content, "complete": False})
    write_text(root / "README.txt", _README)
    metadata = root / METADATA
    sheets.write_genres(metadata / "genres.csv", catalogue, seed=seed)
    if features != "none":
        blocks = _feature_rows(catalogue, seed, only_medium=features == "medium", tell=progress)
        sheets.write_features(metadata / "features.csv", blocks, digits=digits)
    sheets.write_tracks(metadata / "tracks.csv", catalogue, seed=seed)
    if audio:
        tell = None if progress is None else lambda done, of: progress("clips", done, of)
        write_clips(root / AUDIO, catalogue, seed=seed, seconds=seconds, progress=tell)
    write_json(marker, {**content, "counts": _counts(catalogue), "complete": True})
    return marker


def _plan(n_tracks: int, seed: int) -> Catalogue:
    if seed < 0:
        raise ConfigError(f"seed={seed} is negative; use 0 or more")
    return plan(n_tracks, seed=seed)


def _feature_rows(
    catalogue: Catalogue,
    seed: int,
    *,
    only_medium: bool,
    tell: Callable[[str, int, int], None] | None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Track ids and features, block by block."""
    blocks = Hierarchy.calibrated().blocks(catalogue, seed=seed)
    for number, values in enumerate(blocks):
        rows = np.arange(number * BLOCK, number * BLOCK + len(values))
        kept = (catalogue.subset[rows] < 2) | (not only_medium)
        yield catalogue.track_id[rows[kept]], values[kept]
        if tell is not None:
            tell("features.csv", int(rows[-1]) + 1, len(catalogue))


def _counts(catalogue: Catalogue) -> dict[str, Any]:
    return {
        "tracks": len(catalogue),
        "subsets": {
            name: int((catalogue.subset == number).sum()) for number, name in enumerate(SUBSETS)
        },
        "splits": {
            name: int((catalogue.split == number).sum()) for number, name in enumerate(SPLITS)
        },
        "artists": len(np.unique(catalogue.artist_id)),
        "without an album": int((catalogue.album_id < 0).sum()),
        "without one top genre": int((catalogue.label < 0).sum()),
    }


def _is_complete(root: Path, marker: Path, parameters: dict[str, Any]) -> bool:
    """Whether there is nothing left to do; a folder of somebody else's raises."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; name a new folder for the simulated FMA")
    if not root.exists() or not any(root.iterdir()):
        return False
    found = read_json(marker) if marker.is_file() else None
    if not isinstance(found, dict) or found.get("kind") != _KIND:
        raise DataError(f"{root} is not empty and holds no simulated FMA; name a new folder")
    made_with = found.get("parameters", {})
    for name, value in parameters.items():
        if made_with.get(name) != value:
            raise DataError(
                f"{root} holds a simulated FMA made with {name}={made_with.get(name)!r}, not "
                f"{value!r}; delete it or name another folder"
            )
    return bool(found.get("complete"))
