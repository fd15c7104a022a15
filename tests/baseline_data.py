"""Tracks and settings that the tests of baselines share."""

import numpy as np

from matt.features.store import FeatureStore
from matt.tracks import Tracks

F = 4
OURS = {
    "lr": {},
    "knn": {"n_neighbors": 7},
    "svm": {},
    "mlp_sklearn": {"hidden": (6, 3), "max_iter": 30},
    "svm_stacked": {},
    "hgb": {"trees": 9, "leaves": 4},
}


def make_data(n_genres, *, n=70, several=False):
    """Tracks of one segment each, genres that overlap, columns of very different scale."""
    rng = np.random.default_rng(n_genres)
    labels = rng.permutation(np.arange(n) % n_genres)
    x = rng.standard_normal((n, F)) * [1, 20, 0.1, 3] + labels[:, None] * [1, 10, 0.1, 0]
    if several:
        labels = np.eye(n_genres, dtype=bool)[labels] | (rng.random((n, n_genres)) < 0.2)
    genres = [f"genre {g}" for g in range(n_genres)]
    tracks = Tracks(
        np.arange(n), labels, genres, split=np.where(np.arange(n) < 50, "training", "test")
    )
    store = FeatureStore.from_arrays("toy", tracks.track_id, x)
    return tracks, store, x.astype(np.float32).astype(np.float64)
