"""``python -m benchmarks.folds [PAIRS]``: what answers out of fold cost beside the training itself.

A run with the default settings and its controls, of made-up features of the size of the summary,
is made with answers out of fold and without, in turn.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from matt import FeatureStore, Tracks
from matt.config import Settings
from matt.experiment import run

from .paired import Claim, measure, show

N_ARTISTS, N_ALBUMS, N_TRACKS = 60, 2, 6  # albums an artist, tracks an album
N_GENRES, N_FEATURES = 7, 518


def library() -> tuple[Tracks, FeatureStore]:
    """Tracks of artists that play one genre each, and features in which all of these are heard."""
    rng = np.random.default_rng(0)
    artist = np.repeat(np.arange(N_ARTISTS), N_ALBUMS * N_TRACKS)
    album = np.arange(len(artist)) // N_TRACKS
    genre = artist % N_GENRES
    tracks = Tracks(
        np.arange(len(artist)), genre, tuple("ABCDEFG"), artist_id=artist, album_id=album
    )
    heard = [
        rng.normal(size=(n, N_FEATURES))
        for n in (N_GENRES, N_ARTISTS, album.max() + 1, len(artist))
    ]
    of = genre, artist, album, np.arange(len(artist))
    values = sum(some[which] for some, which in zip(heard, of, strict=True))
    return tracks, FeatureStore.from_arrays("made up", tracks.track_id, values)


def train(*, out_of_fold: bool) -> None:
    """One run into a folder that goes."""
    tracks, features = library()
    with tempfile.TemporaryDirectory(prefix="matt-bench-") as folder:
        run(tracks, features, Settings(), Path(folder) / "run", out_of_fold=out_of_fold)


def main() -> None:
    """Measure and print."""
    claim = Claim(
        f"a run of {N_ARTISTS * N_ALBUMS * N_TRACKS:,} tracks with answers out of fold",
        "the same without",
        0.6,
        ours=partial(train, out_of_fold=True),
        theirs=partial(train, out_of_fold=False),
        runs=int(sys.argv[1]) if len(sys.argv) > 1 else 3,
    )
    print(show(measure(claim)))


if __name__ == "__main__":
    main()
