"""Means over runs: as the bootstrap of one run, as a t interval over splits, as counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, Predictions, Tracks
from matt.evaluation.intervals import AGREES, DIFFERS, OPEN, bootstrap, mean_of
from matt.evaluation.scores import score
from matt.reproduce.measures import Bench, beside, only_of_one

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


def bench_of_runs(runs, **settings):
    """A bench with one row, of these runs."""
    by_split = {f"{number}": run for number, run in enumerate(runs)}
    return Bench(lambda feature_set, model, part: by_split, **settings)


@pytest.mark.parametrize("unit", ["track_of_bag", "bag"])
def test_one_run_is_the_bootstrap_of_the_evaluation(unit):
    predictions = made(3)
    whole = bootstrap(predictions, unit=unit, rounds=200)
    row = bench_of_runs([predictions], rounds=200).row("mfcc", "MLP", unit=unit)
    for name in ("accuracy", "macro_f1", "tail_recall", "tail_top_2", "below_200_top_5"):
        found = row.mean(name)
        assert found.value == whole.estimates[name]
        assert found.interval == whole.interval(name)
        assert np.isnan(found.sd)
    assert (row.n, row.unit) == (whole.n, whole.unit)


def test_seeds_of_one_split_share_their_artists():
    runs = [made(seed) for seed in (1, 2, 3)]
    found = bench_of_runs(runs, rounds=300).row("mfcc", "MLP").mean("accuracy")
    values = [score(run, unit="track_of_bag").accuracy for run in runs]
    assert found.value == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    each = [bootstrap(run, unit="track_of_bag", rounds=300).rounds["accuracy"] for run in runs]
    assert found.interval == pytest.approx(np.quantile(np.mean(each, axis=0), [0.025, 0.975]))


def test_splits_of_other_tracks_have_a_t_interval():
    runs = [made(seed, first=100 * seed) for seed in (1, 2, 3, 4)]
    row = bench_of_runs(runs, ratio=0.25).row("mfcc", "MLP")
    values = [score(run, unit="track_of_bag").macro_f1 for run in runs]
    over = mean_of(values, ratio=0.25, within=(0, 1))
    assert row.mean("macro_f1") == over
    assert row.n == round(np.mean([score(run, unit="track_of_bag").n for run in runs]))


def test_a_tail_may_differ_from_split_to_split():
    runs = [made(seed, first=100 * seed) for seed in (1, 2, 3)]
    rarest = {id(run): run.genres[number] for number, run in enumerate(runs)}
    row = bench_of_runs(runs).row("mfcc", "MLP", tail=lambda run: (rarest[id(run)],))
    for number, (run, recall) in enumerate(zip(runs, row.mean("tail_recall").each, strict=True)):
        assert recall == score(run, unit="track_of_bag").genres[number].recall
    n = [score(run, unit="track_of_bag").genres[number].n for number, run in enumerate(runs)]
    assert row.n_of("tail") == round(np.mean(n))


def test_a_published_number_agrees_where_the_interval_about_ours_is_near_it():
    many, few = (made(3, n=n, n_artists=n // 2) for n in (4_000, 60))
    row, small = (bench_of_runs([some], rounds=200).row("mfcc", "MLP") for some in (many, few))
    found = row.mean("accuracy")
    assert found.high - found.low < 0.04
    assert beside(row, "accuracy", found.value) == AGREES
    assert beside(row, "accuracy", found.high + 0.05) == DIFFERS
    value = small.mean("accuracy").value
    assert beside(small, "accuracy", value) == OPEN  # equal, but nobody knows how nearly
    assert beside(row, "accuracy", None) == beside(None, "accuracy", 0.5) == ""
    assert beside(row, "accuracy", float("nan")) == ""
    sure = bench_of_runs([few], rounds=0).row("mfcc", "MLP")
    assert beside(sure, "accuracy", value) == OPEN  # without an interval


@given(st.integers(0, 1000))
def test_lone_tracks_are_those_of_bags_of_one(seed):
    predictions = made(seed, n=20)
    sizes = predictions.bags.sizes
    expected = sorted(predictions.bags.track_ids[np.repeat(sizes == 1, sizes)].tolist())
    alone = predictions.per_track()
    for some in (predictions, alone):
        found = only_of_one(some, predictions)
        assert expected == ([] if found is None else sorted(found.tracks.track_id.tolist()))


def test_a_row_is_scored_once_and_nothing_is_no_row():
    found = []
    bench = Bench(lambda *key: found.append(key) or {})
    assert bench.row("mfcc", "MLP") is bench.row("mfcc", "MLP") is None
    assert found == [("mfcc", "MLP", "test")]
    row = bench_of_runs([made(0)], rounds=0).row("mfcc", "MLP", tail=())
    assert np.isnan(row.mean("tail_recall").value)
    assert np.isnan(row.mean("accuracy").low)
