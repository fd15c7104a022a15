"""Scores of several genres an item: scikit-learn as the oracle, of items as they are and weighted."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import GENRES, TRAIN, catalogue, predictions, several_genres

from matt.evaluation.intervals import bootstrap, paired_bootstrap, sign_flip
from matt.evaluation.items import items_of
from matt.evaluation.scores import by_shot, majority, score, score_with_intervals
from matt.evaluation.summaries import genre_table, overview, set_table
from matt.evaluation.tally import HEADLINE, SETS, Tally
from matt.predictions import Predictions

G = len(GENRES)


def said(seed=0, *, decimals=None, n_bags=17, link="sigmoid", thresholds=True):
    """Predictions with thresholds of some kind; a rounded logit has ties."""
    some = predictions(several_genres(seed, n_bags), seed, link=link, decimals=decimals)
    if not thresholds:
        return some
    return replace(some, thresholds=np.random.default_rng([seed, 2]).uniform(0.2, 0.9, G))


def top(p, truth, k):
    """True genres among the first k of each item, without ties."""
    first = np.argsort(-p, axis=1)[:, :k]
    return np.take_along_axis(truth, first, axis=1).sum(axis=1)


def oracle(p, truth, given_, w):
    """What scikit-learn makes of them; means over the genres where it is defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = w[:, None] * truth
        here = np.flatnonzero(weighted.any(axis=0))
        parting = [g for g in here if (w[:, None] * ~truth)[:, g].any()]
        each = sk.f1_score(truth, given_, average=None, sample_weight=w, zero_division=0)
        areas = [sk.roc_auc_score(truth[:, g], p[:, g], sample_weight=w) for g in parting]
        n_true = truth.sum(axis=1)
        told = {
            "macro_f1": each[here].mean(),
            "micro_f1": sk.f1_score(truth, given_, average="micro", sample_weight=w),
            "sample_f1": sk.f1_score(truth, given_, average="samples", sample_weight=w),
            "macro_roc_auc": np.mean(areas) if areas else np.nan,
            "micro_roc_auc": sk.roc_auc_score(truth, p, average="micro", sample_weight=w),
            "macro_ap": np.mean(
                [sk.average_precision_score(truth[:, g], p[:, g], sample_weight=w) for g in here]
            ),
            "micro_ap": sk.average_precision_score(truth, p, average="micro", sample_weight=w),
            "coverage_error": sk.coverage_error(truth, p, sample_weight=w),
            "genres_given": np.average(given_.sum(axis=1), weights=w),
            "genres_true": np.average(n_true, weights=w),
        }
    for k in (2, 3, 5):
        found = top(p, truth, k)
        told[f"precision_at_{k}"] = np.average(found / k, weights=w)
        told[f"recall_at_{k}"] = np.average(found / n_true, weights=w)
    return told


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([None, 1, 0]), st.integers(1, 17))
def test_all_agree_with_scikit_learn(seed, decimals, n_bags):
    some = said(seed, decimals=decimals, n_bags=n_bags)
    items = items_of(some)
    if not len(items):
        return
    np.testing.assert_array_equal(items.given, items.values >= some.thresholds)
    told, scores = oracle(items.values, items.truth, items.given, np.ones(len(items))), score(some)
    for name, value in told.items():
        if decimals is None or "_at_" not in name:
            assert getattr(scores, name) == pytest.approx(value, nan_ok=True), name
    assert (scores.confusion, scores.n) == (None, len(items))


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([None, 1]), st.sampled_from(["bag", "track_of_bag"]))
def test_a_resample_counts_its_artists_as_weights_do(seed, decimals, unit):
    items = items_of(said(seed, decimals=decimals), unit=unit)
    tally = Tally.of(items)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(items.n_artists, np.full(items.n_artists, 1 / items.n_artists), 3)
    made = tally.metrics(counts.astype(np.float64))
    for i, weights in enumerate(counts):
        told = oracle(items.values, items.truth, items.given, weights[items.artist].astype(float))
        for name, value in told.items():
            if decimals is None or "_at_" not in name:
                assert made[name][i] == pytest.approx(value, nan_ok=True), name


@pytest.mark.parametrize("unit", ["bag", "track_of_bag"])
@pytest.mark.parametrize(
    "some",
    [
        said(),
        said(decimals=0),
        said(thresholds=False),
        said(link="none", thresholds=False),
        said(link="softmax", thresholds=False),
        majority(said()),
        predictions(several_genres(), link="sigmoid", train=np.full(G, 300)),
    ],
    ids=["plain", "ties", "one half", "no probabilities", "softmax", "majority", "no tail"],
)
def test_estimates_are_the_scores_and_what_is_undefined_has_a_reason(some, unit):
    made, scores = bootstrap(some, unit=unit, rounds=3), score(some, unit=unit)
    for name in (*HEADLINE, *SETS):
        assert made.estimates[name] == pytest.approx(getattr(scores, name), abs=0, nan_ok=True)
        assert np.isnan(made.estimates[name]) == (name in scores.reasons), name


def test_one_genre_an_item_has_nothing_of_this():
    some = predictions(catalogue(2))
    scores = score(some)
    assert np.isnan([getattr(scores, name) for name in SETS]).all()
    assert not set(SETS) & (set(scores.reasons) | set(bootstrap(some, rounds=2).estimates))
    assert "sets" not in overview({"m": some}, model="m", rounds=0)
    assert "threshold" not in [column.name for column in genre_table(scores).columns]


def test_ties_count_against_an_item():
    some = said(3)
    equal = replace(some, logits=np.zeros_like(some.logits))
    scores, items = score(equal), items_of(equal)
    few = items.truth.sum(axis=1) <= G - 5
    assert scores.coverage_error == G
    assert scores.macro_roc_auc == scores.micro_roc_auc == 0.5
    assert scores.recall_at_5 <= 1 - few.mean()


def test_genres_without_an_item_are_left_out_and_counted():
    some = said(1)
    labels = some.labels.copy()
    labels[:, 2] = False
    labels[:, 4] = True  # on each item: nothing is to be told apart
    some = replace(some, bags=replace(some.bags, labels=labels))
    scores = score(some)
    assert [np.isnan(genre.f1) for genre in scores.genres] == [g == 2 for g in range(G)]
    assert [np.isnan(genre.roc_auc) for genre in scores.genres] == [g in (2, 4) for g in range(G)]
    assert scores.macro_f1 == pytest.approx(np.nanmean([genre.f1 for genre in scores.genres]))
    roc = np.nanmean([genre.roc_auc for genre in scores.genres])
    assert scores.macro_roc_auc == pytest.approx(roc)
    (note,) = [n for n in set_table([("m", scores)]).notes if n.startswith("Means over genres")]
    assert "the 6 of 7 genres that an item has (bag), ROC-AUC over the 5 that not all have" in note


def test_the_table_of_genres_has_thresholds_and_counts():
    some = said(2)
    for genre, limit in zip(score(some).genres, some.thresholds, strict=True):
        assert genre.threshold == limit
        assert genre.hits <= min(genre.n, genre.n_predicted)
        assert genre.recall == genre.hits / genre.n
    table = genre_table(score(some))
    assert {"threshold", "ROC-AUC"} <= {column.name for column in table.columns}
    tables = overview({"m": some}, model="m", rounds=9)
    assert list(tables)[:2] == ["scores", "sets"]
    assert "95 % of macro ROC-AUC" in [column.name for column in tables["sets"].columns]
    for shot in by_shot(some):
        assert np.isnan(shot.recall) == (shot.n == 0)
        assert np.isnan(shot.top_2)


def test_two_models_are_compared_by_what_each_gives():
    tracks = several_genres(n_bags=40)
    one, two = (predictions(tracks, i, link="sigmoid", skill=s) for i, s in enumerate((4, 0)))
    two = replace(two, thresholds=np.full(G, 0.9))
    made, p = paired_bootstrap(one, two, rounds=99), sign_flip(one, two, rounds=99)
    for name in ("micro_f1", "sample_f1", "macro_roc_auc", "micro_roc_auc", "recall_at_3"):
        assert made.interval(name)[0] > 0, name
        assert p[name] == 1 / 100, name
    ours, theirs = (score(some, unit="track_of_bag").micro_f1 for some in (one, two))
    assert made.estimates["micro_f1"] == pytest.approx(ours - theirs)
    assert made.interval("coverage_error")[1] < 0  # lower is better
    none = predictions(tracks, 1, link="none")
    p = sign_flip(one, none, rounds=9)
    assert np.isnan([p["micro_f1"], p["macro_roc_auc"]]).all()
    assert not np.isnan([p["recall_at_2"], p["coverage_error"]]).any()


def test_columns_of_genres_in_another_order_keep_their_thresholds():
    some = said(4)
    order = np.random.default_rng(0).permutation(G)
    genres = tuple(GENRES[g] for g in order)
    tracks = some.tracks.with_genres(genres)
    bags = replace(
        some.bags, labels=some.labels[:, order], genres=genres, train_counts=TRAIN[order]
    )
    moved = Predictions(
        bags, tracks, some.logits[:, order], "sigmoid", thresholds=some.thresholds[order]
    )
    made = paired_bootstrap(some, moved, unit="bag", rounds=3)
    for name in ("macro_f1", "micro_f1", "macro_roc_auc", "coverage_error"):
        assert made.estimates[name] == pytest.approx(0, abs=1e-12), name


def test_intervals_come_with_the_scores():
    scores = score_with_intervals(said(5, n_bags=60), rounds=99)
    for name in ("micro_f1", "macro_roc_auc", "precision_at_2", "genres_given", "coverage_error"):
        low, high = scores.intervals[name]
        assert low < getattr(scores, name) < high
