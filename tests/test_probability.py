import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored import GENRES, catalogue, predictions, several_genres
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from matt.errors import ConfigError, DataError
from matt.evaluation.probability import brier, log_loss, reliability, reliability_of
from matt.evaluation.scores import score

seeds = st.integers(0, 99)


def drawn(seed, n=61, n_genres=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_genres, size=n)
    return rng.dirichlet(np.ones(n_genres), n), labels, labels[:, None] == np.arange(n_genres)


@given(seeds)
def test_log_loss_and_brier_agree_with_scikit_learn(seed):
    p, labels, truth = drawn(seed)
    assert log_loss(p, truth) == pytest.approx(sk.log_loss(labels, p, labels=range(5)))
    # Brier's own score sums over the genres; a mean squared error averages over them.
    assert brier(p, truth) == pytest.approx(5 * sk.mean_squared_error(truth, p))
    pairs = sk.log_loss(truth.ravel(), p.ravel())
    assert log_loss(p, truth, link="sigmoid") == pytest.approx(pairs)
    pairs = sk.brier_score_loss(truth.ravel(), p.ravel())
    assert brier(p, truth, link="sigmoid") == pytest.approx(pairs)


def test_the_ends_of_the_scales():
    truth = np.eye(3, dtype=bool)
    sure = np.eye(3)
    assert log_loss(sure, truth) == brier(sure, truth) == reliability(sure, truth).error == 0
    wrong = np.roll(sure, 1, axis=1)
    assert brier(wrong, truth) == 2
    assert log_loss(wrong, truth) == pytest.approx(-np.log(np.finfo(float).eps))
    assert reliability(wrong, truth).error == 1
    uniform = np.full((3, 3), 1 / 3)
    assert log_loss(uniform, truth) == pytest.approx(np.log(3))
    for metric in (log_loss, brier):
        assert np.isnan(metric(np.empty((0, 3)), np.empty((0, 3), bool)))
    assert np.isnan(reliability(np.empty((0, 3)), np.empty((0, 3), bool)).error)


@given(seeds, st.integers(1, 12))
def test_bins_agree_with_scikit_learn(seed, bins):
    p, _, truth = drawn(seed, n=301)
    found = reliability(p, truth, bins=bins)
    best = p.argmax(axis=1)
    right, confidence = truth[np.arange(len(p)), best], p.max(axis=1)
    share, mean = calibration_curve(right, confidence, n_bins=bins)
    held = found.n > 0
    np.testing.assert_allclose(found.share[held], share)
    np.testing.assert_allclose(found.confidence[held], mean)
    assert np.isnan(found.share[~held]).all()
    assert found.n.sum() == len(p)
    assert found.error == pytest.approx(np.sum(found.n[held] * np.abs(share - mean)) / len(p))


def test_calibration_by_hand():
    """Sure to .9 twice and right once, sure to .6 twice and right twice: (.4 + .4) / 2."""
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    truth = np.array([0, 1, 0, 1])[:, None] == np.arange(2)
    found = reliability(p, truth, bins=10)
    assert np.flatnonzero(found.n).tolist() == [6, 9]
    assert found.error == pytest.approx(0.4)
    assert reliability(p, truth, bins=1).error == pytest.approx(0)  # .75 in all, 3 of 4
    with pytest.raises(ConfigError, match="0 bins hold nothing"):
        reliability(p, truth, bins=0)


def test_probabilities_that_are_true_are_calibrated():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(3), 20_000)
    labels = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    truth = labels[:, None] == np.arange(3)
    assert reliability(p, truth).error < 0.02
    assert reliability(np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True), truth).error > 0.1


def test_scores_have_them_with_a_fitting_link():
    some = predictions(catalogue())
    known = some.labels >= 0
    scores = score(some)
    assert scores.log_loss == pytest.approx(
        sk.log_loss(some.labels[known], some.probabilities[known], labels=range(len(GENRES)))
    )
    assert scores.calibration_error == pytest.approx(reliability_of(some).error)
    several = predictions(several_genres(), link="sigmoid")
    known = several.bags.known
    truth, p = several.labels[known].ravel(), several.probabilities[known].ravel()
    assert score(several).log_loss == pytest.approx(sk.log_loss(truth, p))
    assert score(several).brier == pytest.approx(sk.brier_score_loss(truth, p))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (predictions(catalogue(), link="none"), "no probabilities \\(link none\\)"),
        (predictions(several_genres()), "a softmax shares one genre's probability"),
    ],
)
def test_what_is_no_probability_is_refused_with_the_reason(made, reason):
    with pytest.raises(DataError, match=reason):
        reliability_of(made)
    scores = score(made)
    for name in ("log_loss", "brier", "calibration_error"):
        assert np.isnan(getattr(scores, name))
        assert re.search(reason, scores.reasons[name])
    assert scores.micro_ap > 0
