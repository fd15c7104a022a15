"""Near-duplicates of a feature table, beside scikit-learn's brute-force radius search."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from matt import FeatureStore, Tracks

from .paired import Claim

N_TRACKS, N_COLUMNS = 25_000, 518


@cache
def table() -> tuple[Tracks, FeatureStore]:
    """Made-up features in which every hundredth track is a slightly changed copy of another."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((N_TRACKS, N_COLUMNS), dtype=np.float32)
    copies = np.arange(0, N_TRACKS, 100)
    values[copies] = values[copies + 1] + 0.01 * values[copies]
    tracks = Tracks(np.arange(N_TRACKS), np.zeros(N_TRACKS, int), ("any",))
    return tracks, FeatureStore.from_arrays("made-up", tracks.track_id, values)


def ours() -> Any:
    """Our search."""
    from matt.datasets.near_duplicates import find_near_duplicates

    return find_near_duplicates(*table())


def by_scikit_learn() -> Any:
    """All pairs within a radius, by brute force in blocks."""
    from sklearn.neighbors import NearestNeighbors

    _, features = table()
    values, _ = features.read(features.track_ids)
    search = NearestNeighbors(radius=0.2 * N_COLUMNS**0.5, algorithm="brute").fit(values)
    return search.radius_neighbors(values, return_distance=False)


def claims() -> list[Claim]:
    """25,000 tracks with 518 columns."""
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
        )
    ]
