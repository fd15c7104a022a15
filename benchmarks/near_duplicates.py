"""Near-duplicates of a feature table, beside scikit-learn's brute-force radius search."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from matt import FeatureStore, Tracks

from .paired import Claim, cost

N_TRACKS, N_COLUMNS = 25_000, 518
N_MANY, MOST_SECONDS, MOST_MB = 100_000, 60.0, 1_000.0


@cache
def table(n_tracks: int = N_TRACKS) -> tuple[Tracks, FeatureStore]:
    """Made-up features in which every hundredth track is a slightly changed copy of another."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n_tracks, N_COLUMNS), dtype=np.float32)
    copies = np.arange(0, n_tracks, 100)
    values[copies] = values[copies + 1] + 0.01 * values[copies]
    tracks = Tracks(np.arange(n_tracks), np.zeros(n_tracks, int), ("any",))
    return tracks, FeatureStore.from_arrays("made-up", tracks.track_id, values)


def ours(n_tracks: int = N_TRACKS) -> Any:
    """Our search."""
    from matt.datasets.near_duplicates import find_near_duplicates

    return find_near_duplicates(*table(n_tracks))


def seconds_of_many() -> tuple[float, float]:
    """Seconds of a search of many, and what it may take."""
    table(N_MANY)
    return cost(partial(ours, N_MANY)), MOST_SECONDS


def memory_of_many() -> tuple[float, float]:
    """Peak of a process that searches many, the features included, and what it may be."""
    return cost(partial(ours, N_MANY), memory=True), MOST_MB


def by_scikit_learn() -> Any:
    """All pairs within a radius, by brute force in blocks."""
    from sklearn.neighbors import NearestNeighbors

    _, features = table()
    values, _ = features.read(features.track_ids)
    search = NearestNeighbors(radius=0.2 * N_COLUMNS**0.5, algorithm="brute").fit(values)
    return search.radius_neighbors(values, return_distance=False)


def claims() -> list[Claim]:
    """25,000 tracks with 518 columns, and 100,000."""
    many = {"n": N_MANY, "data": "made up"}
    return [
        Claim(
            claim=f"near-duplicates of {N_TRACKS:,} x {N_COLUMNS} features",
            peer="scikit-learn radius_neighbors, brute force",
            goal=1.0,
            ours=ours,
            theirs=by_scikit_learn,
            before=table,
            runs=2,
            facts={"n": N_TRACKS, "data": "made up"},
        ),
        Claim(
            claim=f"near-duplicates of {N_MANY:,} x {N_COLUMNS} features: time",
            peer="a minute",
            goal=1.0,
            pair=seconds_of_many,
            runs=3,
            facts=many,
        ),
        Claim(
            claim=f"near-duplicates of {N_MANY:,} x {N_COLUMNS} features: peak memory",
            peer="1 GB",
            goal=1.0,
            pair=memory_of_many,
            unit="MB",
            runs=3,
            facts=many,
        ),
    ]
