"""Means over runs: as the bootstrap of one run, as a t interval over splits, as counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, Predictions, Tracks
from matt.evaluation.metrics import tail
from matt.evaluation.repeats import paired_over_splits
from matt.evaluation.resampling import bootstrap
from matt.evaluation.scores import score
from matt.reproduce.measures import NOTHING, Sums, accuracy, macro_f1, measure

G = 6


def made(seed, *, n=60, n_artists=17, first=0):
    rng = np.random.default_rng(seed)
    who = np.random.default_rng(first)
    tracks = Tracks(
        first + np.arange(n),
        who.integers(G, size=n),
        tuple("ABCDEF"),
        artist_id=who.integers(n_artists, size=n),
        album_id=who.integers(3, size=n),
        split=["test"] * n,
    )
    bags = Bags.from_tracks(tracks, by="album")
    bags = Bags(bags.track_ids, bags.offsets, bags.labels, bags.genres, [5, 300, 40, 900, 80, 1])
    logits = rng.standard_normal((len(bags), G)).astype(np.float32)
    known = bags.labels >= 0
    logits[known, bags.labels[known]] += 1
    return Predictions(bags, tracks.take(tracks.rows(bags.track_ids)), logits)


@pytest.mark.parametrize("unit", ["spread", "bag"])
def test_one_run_is_the_bootstrap_of_the_evaluation(unit):
    predictions = made(3)
    whole = bootstrap(predictions, unit=unit, rounds=200, seed=5)
    sums = Sums.of(predictions, unit=unit)
    rare = tail(predictions.train_counts)
    for name, metric in {
        "accuracy": accuracy,
        "macro_f1": macro_f1,
        "tail_recall": lambda sums: sums.recall(rare),
        "tail_top_2": lambda sums: sums.top_k(2, rare),
        "tail_top_5": lambda sums: sums.top_k(5, rare),
    }.items():
        found = measure([sums], metric, rounds=200, seed=5)
        assert found.mean == pytest.approx(whole.estimates[name])
        assert found.interval == pytest.approx(whole.interval(name))
        assert np.isnan(found.sd)
    assert (sums.n, sums.unit) == (whole.n, whole.unit)


def test_seeds_of_one_split_share_their_artists():
    runs = [made(seed) for seed in (1, 2, 3)]
    found = measure([Sums.of(run) for run in runs], accuracy, rounds=300)
    values = [score(run, unit="spread").accuracy for run in runs]
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    each = [bootstrap(run, unit="spread", rounds=300).rounds["accuracy"] for run in runs]
    assert found.interval == pytest.approx(np.quantile(np.mean(each, axis=0), [0.025, 0.975]))


def test_splits_of_other_tracks_have_a_t_interval():
    runs = [made(seed, first=100 * seed) for seed in (1, 2, 3, 4)]
    found = measure([Sums.of(run) for run in runs], macro_f1)
    over = paired_over_splits([score(run, unit="spread").macro_f1 for run in runs])
    assert found.mean == pytest.approx(over.mean)
    assert found.low == pytest.approx(max(over.low, 0))
    assert found.high == pytest.approx(min(over.high, 1))


@given(st.integers(0, 1000))
def test_sums_are_counts(seed):
    predictions = made(seed)
    sums = Sums.of(predictions)
    spread = predictions.spread()
    assert sums.true.sum() == sums.predicted.sum() == len(spread)
    assert sums.hits.sum() == (spread.best == spread.labels).sum()
    assert (sums.hits <= sums.true).all()
    assert sums.true.sum(axis=0).tolist() == np.bincount(spread.labels, minlength=G).tolist()
    assert (sums.top[2] <= sums.top[3]).all()
    assert (sums.top[3] <= sums.top[5]).all()


def test_undefined_is_no_number():
    none = np.zeros(G, bool)
    sums = Sums.of(made(0))
    assert np.isnan(measure([sums], lambda s: s.top_k(2, none)).mean)
    assert np.isnan(measure([sums], lambda s: s.top_k(9, ~none)).mean)
    assert measure([], accuracy) is NOTHING
    assert np.isnan(measure([sums], accuracy, rounds=0).low)
