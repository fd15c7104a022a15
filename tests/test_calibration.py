"""Temperature and coverage: against scipy, by hand, and what must hold for any predictions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss as sklearn_log_loss

from matt.bags import Bags
from matt.calibration.coverage import Coverage, coverage, coverage_of
from matt.calibration.temperature import fit_temperature, log_loss
from matt.errors import ConfigError, DataError
from matt.predictions import Predictions, probabilities_of
from matt.tracks import Tracks

G = 3


def draw(n, *, heat, seed=0, prior=(0.6, 0.3, 0.1)):
    """Logits whose probabilities are right once they are divided by ``heat``, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(G, n, p=prior)
    values = labels[:, None] == np.arange(G)
    x = 1.5 * values + rng.standard_normal((n, G))  # each genre's own evidence: log odds 1.5 x - c
    return heat * (1.5 * x + np.log(prior)), labels


def loss(logits, labels, link="softmax"):
    targets = labels if labels.ndim == 2 else np.eye(logits.shape[1])[labels]
    return log_loss(logits, targets, link)


def test_the_log_loss_agrees_with_scikit_learn():
    logits, labels = draw(50, heat=1)
    said = probabilities_of(logits, "softmax")
    assert loss(logits, labels) == pytest.approx(sklearn_log_loss(labels, said, labels=range(G)))
    several = np.random.default_rng(0).random((50, G)) < 0.4
    each = [
        sklearn_log_loss(several[:, g], probabilities_of(logits, "sigmoid")[:, g]) for g in range(G)
    ]
    assert loss(logits, several, "sigmoid") == pytest.approx(np.mean(each))


@pytest.mark.parametrize("heat", [0.4, 1.0, 3.0])
def test_the_temperature_is_recovered(heat):
    logits, labels = draw(20_000, heat=heat)
    assert fit_temperature(logits, labels, "softmax", assumed=None) == pytest.approx(heat, rel=0.05)


def test_the_temperature_agrees_with_scipy():
    logits, labels = draw(20_000, heat=2.0, seed=1)
    found = minimize_scalar(lambda t: loss(logits / t, labels), bounds=(1, 4), method="bounded").x
    assert fit_temperature(logits, labels, "softmax", assumed=None) == pytest.approx(
        found, rel=0.01
    )


def test_a_temperature_does_not_stand_in_for_a_prior():
    """Logits that take all genres for equally frequent, where they are not, need none of it."""
    means = np.array([0.0, 1.0, 2.0])  # three genres in a row, the one in the middle frequent
    rng = np.random.default_rng(0)
    labels = rng.choice(G, 20_000, p=[0.1, 0.8, 0.1])
    x = means[labels] + rng.standard_normal(20_000)
    even = x[:, None] * means - means**2 / 2
    right = fit_temperature(even, labels, "softmax", assumed=np.full(G, 1 / G))
    assert right == pytest.approx(1, rel=0.05)
    assert fit_temperature(even, labels, "softmax", assumed=None) > 1.3


@given(st.integers(1, 30), st.integers(0, 2**32), st.floats(-3, 3), st.sampled_from(["softmax", "sigmoid"]))  # fmt: skip
def test_the_log_loss_never_rises_and_no_genre_changes_its_place(n, seed, log_scale, link):
    rng = np.random.default_rng(seed)
    logits = np.exp(log_scale) * rng.standard_normal((n, G))
    labels = rng.integers(0, G, n) if link == "softmax" else rng.random((n, G)) < 0.5
    found = fit_temperature(logits, labels, link, assumed=None)
    assert 0.05 <= found <= 20
    assert loss(logits / found, labels, link) <= loss(logits, labels, link)
    np.testing.assert_array_equal(np.argsort(logits / found, axis=1), np.argsort(logits, axis=1))


def test_few_bags_that_are_all_right_do_not_make_certain():
    logits, labels = np.array([[1.0, 0.0, 0.0], [0.0, 1.2, 0.0], [0.0, 0.0, 0.8]]), np.arange(3)
    said = probabilities_of(
        logits / fit_temperature(logits, labels, "softmax", assumed=None), "softmax"
    )
    assert said.max() < 0.95
    many = np.repeat(logits, 300, axis=0), np.repeat(labels, 300)
    said = probabilities_of(logits / fit_temperature(*many, "softmax", assumed=None), "softmax")
    assert said.max() > 0.99


def predictions(probabilities, labels):
    n = len(probabilities)
    tracks = Tracks(np.arange(n), labels, ("a", "b", "c"))
    bags = Bags.from_tracks(tracks, by="track")
    return Predictions(bags, tracks, np.log(np.array(probabilities)).astype(np.float32))


SAID = [[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.4, 0.3, 0.3], [0.8, 0.1, 0.1]]


def test_the_curve_is_worked_by_hand():
    """Surest first: right, wrong, then two alike of which one is right; the unknown is left out."""
    found = coverage(predictions(SAID, [0, 1, 0, -1, 2]))
    np.testing.assert_allclose(found.confidence, [0.9, 0.8, 0.7], rtol=1e-6)
    np.testing.assert_array_equal(found.answered, [1, 2, 4])
    np.testing.assert_array_equal(found.right, [1, 1, 2])
    np.testing.assert_allclose(found.accuracy, [1, 1 / 2, 1 / 2])
    np.testing.assert_allclose(found.share, [1 / 4, 1 / 2, 1])
    assert found.bar(0.4) == pytest.approx(0.7)  # 2 of 4, with one more that is wrong: 2 / 5
    assert found.bar(0.5) == pytest.approx(0.9)  # 1 / 2
    with pytest.raises(
        DataError, match=r"0.6 is not reached on the 4 validation albums.*: 0.50 can"
    ):
        found.bar(0.6)


@given(st.integers(1, 40), st.integers(0, 2**32))
def test_at_full_coverage_the_curve_has_the_accuracy(n, seed):
    rng = np.random.default_rng(seed)
    said, labels = rng.dirichlet(np.ones(G), n), rng.integers(0, G, n)
    curve = coverage_of(said, labels)
    assert curve.answered[-1] == curve.n == n
    assert curve.accuracy[-1] == (said.argmax(axis=1) == labels).mean()
    assert curve.confidence[-1] == said.max(axis=1).min()


def test_a_bar_keeps_its_promise_on_other_bags():
    """Drawn again and again, given genres are right at least as often as was asked."""
    kept = []
    for seed in range(40):
        logits, labels = draw(300, heat=1, seed=seed)
        said = probabilities_of(logits, "softmax")
        bar = coverage_of(said[:150], labels[:150]).bar(0.8)
        sure = said[150:].max(axis=1) >= bar
        kept.append((said[150:].argmax(axis=1) == labels[150:])[sure].mean())
    assert np.mean(kept) > 0.79


def test_a_saved_curve_is_short_and_has_the_same_bars():
    logits, labels = draw(5000, heat=1)
    whole = coverage_of(probabilities_of(logits, "softmax"), labels)
    content = whole.to_json()
    short = Coverage.from_json(content)
    assert len(short.answered) <= 200
    assert (short.n, short.answered[-1]) == (whole.n, whole.answered[-1])
    for accuracy in (0.7, 0.8, 0.9):
        assert short.bar(accuracy) == pytest.approx(whole.bar(accuracy), abs=0.03)
    for name, value in (("right", [9] * len(short.right)), ("answered", [2]), ("n", 3)):
        with pytest.raises(ValueError, match="the coverage curve"):
            Coverage.from_json(content | {name: value})


def test_what_has_no_curve_is_refused():
    some = predictions(SAID, [0, 1, 0, -1, 2])
    several = replace(some.bags, labels=np.eye(5, 3, dtype=bool))
    with pytest.raises(DataError, match="may have several genres here"):
        coverage(replace(some, bags=several, tracks=replace(some.tracks, labels=several.labels)))
    with pytest.raises(DataError, match="no probabilities"):
        coverage(replace(some, link="none"))
    with pytest.raises(DataError, match="none of 5 bags has a known genre"):
        coverage(predictions(SAID, [-1] * 5))
    for wrong in (0, 1, 1.5, True, "0.8"):
        with pytest.raises(ConfigError, match="accuracy must be above 0 and below 1"):
            coverage(some).bar(wrong)
