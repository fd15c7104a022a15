"""The default recipe on as many tracks as FMA-medium has, in simulated features."""

from __future__ import annotations

from functools import cache

import numpy as np

from matt import FeatureStore, Tracks, splits
from matt.comparison import FittedRow, fitted_rows
from matt.config import Settings
from matt.processes import cores
from matt.reproduce.data import open_data

from .paired import Claim, cost

N_TRACKS, N_COLUMNS, MOST_SECONDS = 25_000, 518, 240.0


@cache
def data() -> tuple[Tracks, FeatureStore, str]:
    """Split tracks of 16 genres, their features, and what bags are."""
    found = open_data("simulated", n_tracks=N_TRACKS)
    tracks = found.tracks.with_split(np.full(len(found.tracks), ""))
    store = found.features(found.fullest)
    assert store.spec.shape == (N_COLUMNS,)
    return splits.by_artist(tracks, validation=0.1, test=0.1, seed=0), store, found.bags


def fit(workers: int) -> FittedRow:
    """Networks and all that is blended with them, without the controls and the report of a run."""
    tracks, store, bags = data()
    (row,) = fitted_rows(Settings(bags=bags), controls=False)
    return FittedRow.of(row, store, tracks, seed=0, workers=workers)


def seconds() -> tuple[float, float]:
    """Seconds with a process a core, and what it may take."""
    data()
    return cost(lambda: fit(cores())), MOST_SECONDS


def claims() -> list[Claim]:
    """Time of training."""
    facts = {"n": N_TRACKS, "data": "simulated"}
    return [
        Claim(
            claim=f"default recipe on {N_TRACKS:,} x {N_COLUMNS} features, {cores()} cores",
            peer="4 minutes",
            goal=1.0,
            pair=seconds,
            runs=2,
            facts=facts,
        )
    ]
