"""Probability and decision apart: what logits assume, and the genre that is decided beside it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scored import GENRES, catalogue, predictions
from sklearn.metrics import f1_score

from matt import Bags, DataError, Predictions, Tracks
from matt.calibration.priors import TrainedPrior, reprior
from matt.evaluation.scores import score, score_with_intervals
from matt.models.decision import DECIDED, balanced_tau
from matt.predictions import Decision

G = len(GENRES)
SHARES = st.lists(st.floats(0.01, 1), min_size=G, max_size=G).map(
    lambda found: np.array(found) / sum(found)
)


def said(seed, *, by="album", decision=None):
    return replace(predictions(catalogue(seed), seed, by=by), decision=decision)


@given(seed=st.integers(0, 99), bags=SHARES, tracks=SHARES, tau=st.floats(0, 2))
def test_in_either_unit_the_balanced_genre_takes_back_tau_of_its_shares(seed, bags, tracks, tau):
    found = said(seed, decision=Decision(bags, tracks, tau))
    alike = found.logits - np.log(bags)  # as if all genres were equally frequent
    each = found.per_track()
    for some, shares, rows in (
        (found, bags, alike),
        (each, tracks, np.repeat(alike, found.bags.sizes, axis=0)),
    ):
        np.testing.assert_allclose(
            some.probabilities, softmax(rows + np.log(shares), axis=1), rtol=1e-3, atol=1e-6
        )
        wanted = rows + (1 - tau) * np.log(shares)
        decided = np.take_along_axis(wanted, some.balanced[:, None], axis=1)[:, 0]
        assert (decided >= wanted.max(axis=1) - 1e-4).all()
    if tau == 0:
        np.testing.assert_array_equal(found.balanced, found.best)


@given(seed=st.integers(0, 99), bags=SHARES, tracks=SHARES)
def test_tracks_are_averaged_as_if_all_genres_were_equally_frequent(seed, bags, tracks):
    alone = said(seed, by="track", decision=Decision(bags, tracks))
    albums = Bags.from_tracks(catalogue(seed), by="album")
    mean = alone.average_over(albums)
    even = softmax(alone.logits - np.log(bags), axis=1)
    rows = alone.tracks.rows(albums.track_ids)
    wanted = np.add.reduceat(even[rows], albums.offsets[:-1], axis=0) / albums.sizes[:, None]
    np.testing.assert_allclose(softmax(mean.logits - np.log(bags), axis=1), wanted, atol=1e-4)
    assert mean.decision is alone.decision


@given(seed=st.integers(0, 99), bags=SHARES, tracks=SHARES)
def test_another_prior_goes_from_what_the_decision_says_is_assumed(seed, bags, tracks):
    trained = TrainedPrior(bags, bags, bags, tracks, 0.7)
    found = said(seed, decision=trained.decision)
    same = reprior(found, "training", trained=trained)
    np.testing.assert_allclose(same.logits, found.logits, atol=1e-5)
    np.testing.assert_array_equal(same.balanced, found.balanced)
    even = reprior(found, "uniform", trained=trained)
    np.testing.assert_allclose(even.probabilities, softmax(found.likelihoods, axis=1), atol=1e-5)
    np.testing.assert_array_equal(even.balanced, even.best)  # nothing to take back
    back = reprior(even, "training", trained=trained)
    np.testing.assert_allclose(back.logits, found.logits, atol=1e-4)
    assert (back.decision.tracks is tracks, back.decision.tau) == (True, 0.7)


def test_there_is_no_decision_where_what_is_assumed_is_something_else():
    even, other = np.full(G, 1 / G), np.arange(1, G + 1) / 28
    assert TrainedPrior(even, even, even, other).decision.tracks is other
    for trained in (
        TrainedPrior(even, even, even),  # not apart
        TrainedPrior(even, even, None, even),  # unknown
        TrainedPrior(even, even, other, even),
    ):
        assert trained.decision is None
    raw = said(0)
    np.testing.assert_array_equal(raw.balanced, raw.best)
    np.testing.assert_array_equal(raw.likelihoods, raw.logits)


@given(seed=st.integers(0, 30), bags=SHARES, tracks=SHARES, tau=st.floats(0, 2))
def test_accuracy_is_of_the_likely_genre_and_macro_f1_of_the_balanced_one(seed, bags, tracks, tau):
    from sklearn.metrics import (
        accuracy_score,
        log_loss,
        precision_recall_fscore_support,
        recall_score,
    )

    each = said(seed, decision=Decision(bags, tracks, tau)).per_track()
    known = each.bags.known
    truth, there = each.labels[known], np.unique(each.labels[known])
    found = score(each)
    assert found.accuracy == pytest.approx(accuracy_score(truth, each.best[known]))
    decided = each.balanced[known]
    told = {"labels": there, "average": "macro", "zero_division": 0}
    assert found.macro_f1 == pytest.approx(f1_score(truth, decided, **told))
    assert found.balanced_accuracy == pytest.approx(recall_score(truth, decided, **told))
    assert found.log_loss == pytest.approx(
        log_loss(truth, each.probabilities[known], labels=np.arange(G)), rel=1e-4
    )
    each_genre = precision_recall_fscore_support(
        truth, decided, labels=np.arange(G), zero_division=np.nan
    )
    for name, values in zip(("precision", "recall"), each_genre, strict=False):
        np.testing.assert_allclose([getattr(genre, name) for genre in found.genres], values)
    assert found.macro_f1 == pytest.approx(
        np.nanmean([genre.f1 for genre in found.genres if genre.n])
    )
    whole = score_with_intervals(each, rounds=30)
    assert whole.accuracy == found.accuracy
    low, high = whole.intervals["accuracy"]
    assert low <= high


def test_a_decision_is_kept_with_predictions_and_models(tmp_path):
    found = said(3, decision=Decision(np.full(G, 1 / G), np.arange(1, G + 1) / 28, 0.4))
    found.save(tmp_path / "p.parquet")
    again = Predictions.load(tmp_path / "p.parquet")
    np.testing.assert_array_equal(again.balanced, found.balanced)
    assert again.decision.tau == 0.4
    few = found.take([2, 0])
    np.testing.assert_array_equal(few.balanced, found.balanced[[2, 0]])
    shares = found.decision.bags
    prior = TrainedPrior(shares, shares, shares, found.decision.tracks, 0.4)
    back = TrainedPrior.from_json(prior.to_json(), n_genres=G)
    np.testing.assert_array_equal(back.decision.tracks, found.decision.tracks)
    before = {
        name: value for name, value in prior.to_json().items() if name not in ("tracks", "tau")
    }
    assert TrainedPrior.from_json(before, n_genres=G).decision is None


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_a_tau_that_is_none_is_refused(wrong):
    even = np.full(G, 1 / G)
    with pytest.raises(DataError, match="tau must be finite and at least 0"):
        Decision(even, even, wrong)
    content = TrainedPrior(even, even, even, even).to_json() | {"tau": wrong}
    with pytest.raises(DataError, match="tau"):
        TrainedPrior.from_json(content, n_genres=G)


def test_shares_that_are_none_and_a_decision_about_others_are_refused():
    even = np.full(G, 1 / G)
    with pytest.raises(DataError, match="the shares of tracks are"):
        Decision(even, even[1:])
    with pytest.raises(DataError, match="the shares of bags are"):
        Decision(even - 0.5, even)
    with pytest.raises(DataError, match="the decision is about 2 genres"):
        said(0, decision=Decision(even[:2], even[:2]))
    with pytest.raises(DataError, match="exclude each other"):
        replace(said(0, decision=Decision(even, even)), link="sigmoid")


@given(seed=st.integers(0, 10**6), tilt=st.floats(0, 1.5))
@settings(max_examples=25, deadline=None)
def test_tau_has_the_highest_macro_f1_together_with_its_neighbours(seed, tilt):
    rng = np.random.default_rng(seed)
    n, shares = 60, np.array([0.7, 0.2, 0.1])
    albums = np.sort(rng.integers(0, 40, n))
    labels = rng.choice(3, 40, p=shares)[albums]
    tracks = Tracks(np.arange(n), labels, ("a", "b", "c"), artist_id=albums, album_id=albums)
    valid = Bags.from_tracks(tracks, by="album")
    x = np.eye(3)[valid.labels] + rng.standard_normal((len(valid), 3)) - tilt * np.log(shares)
    there = np.unique(valid.labels)
    f1 = [
        f1_score(
            valid.labels, (x + (1 - tau) * np.log(shares)).argmax(axis=1), labels=there,
            average="macro", sample_weight=valid.sizes, zero_division=0,
        )
        for tau in DECIDED
    ]  # fmt: skip
    last = len(f1) - 1
    smooth = [
        np.mean([f1[min(max(i + j, 0), last)] for j in range(-2, 3)]) for i in range(last + 1)
    ]
    best = [tau for tau, value in zip(DECIDED, smooth) if value > max(smooth) - 1e-9]
    assert balanced_tau(x, shares, valid) == min(best, key=lambda tau: abs(tau - 1))


def test_where_nothing_is_to_be_taken_back_tau_is_as_usual():
    tracks = Tracks(np.arange(9), np.arange(9) % 3, ("a", "b", "c"))
    valid = Bags.from_tracks(tracks, by="track")
    x = np.random.default_rng(0).standard_normal((9, 3))
    assert balanced_tau(x, np.full(3, 1 / 3), valid) == 1
