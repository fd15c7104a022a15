"""Intervals of all metrics by resampling artists."""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from matt import Bags, Predictions, Tracks
from matt.evaluation.intervals import bootstrap
from matt.evaluation.items import Items, items_of
from matt.evaluation.tally import KS

from .paired import Claim

N_TRACKS, N_BAGS, N_GENRES = 2_573, 750, 16  # FMA-medium's test split
ROUNDS, FEWER = 1_000, 20


def as_large_as_fma() -> Predictions:
    """Predictions of the size of FMA-medium's test split, two albums an artist."""
    rng = np.random.default_rng(0)
    album = np.append(np.arange(N_BAGS), rng.integers(N_BAGS, size=N_TRACKS - N_BAGS))
    genre = rng.choice(N_GENRES, N_BAGS, p=rng.dirichlet(np.ones(N_GENRES)))
    names = tuple(f"genre {number}" for number in range(N_GENRES))
    tracks = Tracks(np.arange(N_TRACKS), genre[album], names, artist_id=album // 2, album_id=album)
    bags = Bags.from_tracks(tracks)
    known = bags.labels[:, None] == np.arange(N_GENRES)
    logits = rng.normal(size=known.shape) + 1.5 * known
    return Predictions(bags, tracks.take(tracks.rows(bags.track_ids)), logits.astype(np.float32))


@cache
def resampled(unit: str) -> Items:
    """What is drawn from them."""
    return items_of(as_large_as_fma(), unit=unit)


def ours(unit: str, rounds: int) -> None:
    """Our bootstrap."""
    bootstrap(resampled(unit), rounds=rounds)


def by_scikit_learn(unit: str, rounds: int) -> None:
    """The same metrics with scikit-learn, resample by resample, weighted by how often it drew."""
    from sklearn import metrics as sk

    items = resampled(unit)
    rng = np.random.default_rng(0)
    y, p, best, truth = items.labels, items.values, items.best, items.truth
    assert y is not None
    of_artist = items.n_artists
    every = range(len(items.genres))
    rare = items.train_counts < 100
    for _ in range(rounds):
        counts = rng.multinomial(of_artist, np.full(of_artist, 1 / of_artist))
        w = counts[items.artist]
        present = np.unique(y[w > 0])
        chosen = rare[y]
        sk.accuracy_score(y, best, sample_weight=w)
        sk.precision_recall_fscore_support(
            y, best, labels=present, sample_weight=w, zero_division=0
        )
        sk.average_precision_score(truth, p, average="micro", sample_weight=w)
        for g in present:
            sk.average_precision_score(truth[:, g], p[:, g], sample_weight=w)
        for k in KS:
            sk.top_k_accuracy_score(y, p, k=k, labels=every, sample_weight=w)
            if chosen.any() and w[chosen].any():
                sk.top_k_accuracy_score(
                    y[chosen], p[chosen], k=k, labels=every, sample_weight=w[chosen]
                )
        sk.log_loss(y, p, labels=every, sample_weight=w)
        sk.mean_squared_error(truth, p, sample_weight=w)


def claims() -> list[Claim]:
    """Equal rounds beside scikit-learn; and the full number of rounds beside scikit-learn's few."""
    facts = {"n_tracks": N_TRACKS, "n_bags": N_BAGS, "n_genres": N_GENRES}
    found = []
    for unit, n in (("bag", N_BAGS), ("track_of_bag", N_TRACKS)):
        found.append(
            Claim(
                claim=f"Bootstrap of all metrics over artists, {FEWER} rounds of {n:,} items",
                peer="a loop with scikit-learn's metrics",
                goal=10,
                ours=partial(ours, unit, FEWER),
                theirs=partial(by_scikit_learn, unit, FEWER),
                before=partial(resampled, unit),
                facts={**facts, "rounds": FEWER},
            )
        )
    found.append(
        Claim(
            claim=f"Bootstrap of all metrics over artists, {ROUNDS:,} rounds of {N_TRACKS:,} items",
            peer=f"{FEWER} rounds of a loop with scikit-learn's metrics",
            goal=1,
            ours=partial(ours, "track_of_bag", ROUNDS),
            theirs=partial(by_scikit_learn, "track_of_bag", FEWER),
            before=partial(resampled, "track_of_bag"),
            facts={**facts, "rounds": ROUNDS, "rounds_of_peer": FEWER},
        )
    )
    return found
