"""Temperature and coverage: against scipy, by hand, and what must hold for any predictions.

Prior shift: Bayes' rule by hand, EM against an optimiser, and shifted libraries it recovers.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp, softmax
from sklearn.metrics import log_loss as sklearn_log_loss

from matt.bags import Bags
from matt.calibration.coverage import Coverage, coverage, coverage_of
from matt.calibration.priors import (
    TrainedPrior,
    as_logits,
    estimate_prior,
    log_prior,
    read_prior,
    reprior,
    shares_of,
)
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


GENRES = ("Folk", "Jazz", "Rock")
EVEN = np.full(G, 1 / G)
SKEWED = np.array([0.7, 0.2, 0.1])
TRAINED = TrainedPrior(SKEWED, SKEWED, SKEWED)


def predictions_shift(logits, *, link="softmax"):
    logits = np.array(logits, np.float32)
    labels = np.full(len(logits), -1)
    if link == "sigmoid":
        labels = np.zeros(logits.shape, bool)
    tracks = Tracks(np.arange(len(logits)), labels, GENRES)
    return Predictions(Bags.from_tracks(tracks, by="track"), tracks, logits, link)


def library(n, shares, *, assumed, strength=2.0, seed=0):
    """Predictions of bags whose genres have these shares, by a model that assumes others."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(G, n, p=shares)
    x = strength * np.eye(G)[labels] + rng.standard_normal((n, G))
    return predictions_shift(strength * x + np.log(assumed)), np.bincount(labels, minlength=G) / n


def test_another_prior_is_worked_by_hand():
    """Odds of Folk to Rock 7 : 1 under shares of .7 and .1 are 1 : 1 where both are alike."""
    said = predictions_shift([np.log([7.0, 4.0, 1.0])])
    even = reprior(said, "uniform", trained=TRAINED).probabilities
    np.testing.assert_allclose(even, [[10 / 40, 20 / 40, 10 / 40]], rtol=1e-6)
    other = reprior(said, {"Rock": 0.5, "Folk": 0.5, "Jazz": 0.0}, trained=TRAINED).probabilities
    np.testing.assert_allclose(other, [[0.5, 0, 0.5]], atol=1e-6)
    same = reprior(said, "training", trained=TRAINED)
    np.testing.assert_allclose(same.logits, said.logits)


def test_what_the_outputs_assume_decides():
    """A model that takes all genres for alike gets the training's shares put in, once."""
    said = predictions_shift(np.zeros((1, G)))
    adjusted = TrainedPrior(SKEWED, SKEWED, EVEN)
    np.testing.assert_allclose(
        reprior(said, "training", trained=adjusted).probabilities, [SKEWED], rtol=1e-6
    )
    np.testing.assert_allclose(reprior(said, "uniform", trained=adjusted).logits, said.logits)


def test_several_genres_a_bag_are_shifted_each_by_its_odds():
    said = predictions_shift(np.zeros((2, G)), link="sigmoid")  # one half each
    trained = TrainedPrior(SKEWED, SKEWED, np.full(G, 0.5))
    np.testing.assert_allclose(
        reprior(said, "training", trained=trained).probabilities, [SKEWED] * 2, rtol=1e-6
    )
    wanted = {"Folk": 0.9, "Jazz": 0.5, "Rock": 0.8}  # may sum to more than 1
    np.testing.assert_allclose(
        reprior(said, wanted, trained=trained).probabilities, [[0.9, 0.5, 0.8]] * 2, rtol=1e-6
    )


def test_segments_are_shifted_with_their_bags():
    said = predictions_shift(np.zeros((2, G)))
    rng = np.random.default_rng(0)
    alone, attention = rng.standard_normal((5, G)).astype(np.float32), rng.random((5, 1))
    offsets = np.array([0, 2, 5])
    attention /= np.repeat(np.add.reduceat(attention, [0, 2]), [2, 3], axis=0)
    bags = np.add.reduceat(attention * alone, [0, 2], axis=0).astype(np.float32)
    whole = replace(
        said, logits=bags, segment_offsets=offsets, attention=attention, segment_logits=alone
    )
    moved = reprior(whole, "uniform", trained=TRAINED)
    pooled = np.add.reduceat(attention * moved.segment_logits, [0, 2], axis=0)
    np.testing.assert_allclose(pooled, moved.logits, rtol=1e-5)


def test_certain_predictions_are_counted_with_half_a_bag_a_genre_of_the_start():
    certain = predictions_shift(50 * np.eye(G)[[0, 0, 0, 2]])
    expected = (np.array([3, 0, 1]) + 1.5 * SKEWED) / 5.5
    np.testing.assert_allclose(estimate_prior(certain, EVEN, start=SKEWED), expected)
    each = predictions_shift(100 * (np.eye(G)[[0, 0, 0, 2]] - 0.5), link="sigmoid")
    found = estimate_prior(each, np.full(G, 0.5), start=SKEWED)
    np.testing.assert_allclose(found, (np.array([3, 0, 1]) + SKEWED) / 5)


@pytest.mark.parametrize("n", [1, 1000])
def test_predictions_that_say_nothing_leave_the_prior_as_it_is(n):
    nothing = predictions_shift(np.tile(np.log(EVEN), (n, 1)))
    np.testing.assert_allclose(estimate_prior(nothing, EVEN, start=SKEWED), SKEWED)


def test_em_finds_the_maximum_that_an_optimiser_finds():
    said, _ = library(200, [0.1, 0.2, 0.7], assumed=SKEWED, strength=1.2)
    likelihood = said.logits.astype(float) - np.log(SKEWED)

    def loss(free):
        shares = softmax(np.append(free, 0))
        fit = logsumexp(likelihood + np.log(shares), axis=1).sum()
        return -(fit + 1.5 * SKEWED @ np.log(shares))  # half a bag for each genre

    best = softmax(np.append(minimize(loss, np.zeros(G - 1), tol=1e-10).x, 0))
    np.testing.assert_allclose(
        estimate_prior(said, SKEWED, start=SKEWED, tolerance=1e-10), best, atol=1e-4
    )


@pytest.mark.parametrize("assumed", [EVEN, SKEWED], ids=["adjusted", "plain"])
@pytest.mark.parametrize("shares", [(0.05, 0.15, 0.8), (1 / 3, 1 / 3, 1 / 3), (0.7, 0.2, 0.1)])
def test_a_shifted_prior_is_recovered(shares, assumed):
    said, there = library(4000, shares, assumed=assumed)
    found = estimate_prior(said, assumed, start=SKEWED)
    np.testing.assert_allclose(found, there, atol=0.02)
    trained = TrainedPrior(SKEWED, SKEWED, assumed)
    known = reprior(said, dict(zip(GENRES, there, strict=True)), trained=trained).probabilities
    estimated = reprior(said, "estimate", trained=trained).probabilities
    np.testing.assert_allclose(estimated, known, atol=0.03)


def test_the_prior_in_shares_and_logits_is_the_same():
    labels = np.array([0, 0, 1, 0, 2])
    np.testing.assert_allclose(
        as_logits(np.exp(log_prior(labels, np.ones(5), n_genres=G)), "softmax"),
        log_prior(labels, np.ones(5), n_genres=G),
    )
    several = np.eye(G, dtype=bool)[labels]
    odds = log_prior(several, np.ones(5), n_genres=G)
    np.testing.assert_allclose(as_logits(1 / (1 + np.exp(-odds)), "sigmoid"), odds)
    assert np.isfinite(as_logits(np.array([0.0, 1.0]), "sigmoid")).all()


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("unifrom", "unknown prior 'unifrom'; did you mean 'uniform'"),
        ({"Folk": 0.5, "Jaz": 0.5}, "unknown genre 'Jaz'; did you mean 'Jazz'"),
        ({"Folk": 0.5, "Jazz": 0.5}, r"leaves out 1 of 3 genres \(Rock\); give each a share, 0"),
        ({"Folk": 0.5, "Jazz": 0.5, "Rock": 0.5}, "sum to 1.5; they must sum to 1"),
        ({"Folk": 1.5, "Jazz": 0, "Rock": -0.5}, r"the prior of 'Folk' is 1.5; give a share"),
        ({"Folk": "1", "Jazz": 0, "Rock": 0}, "the prior of 'Folk' is '1'"),
        ({"Folk": float("nan"), "Jazz": 0, "Rock": 0}, "the prior of 'Folk' is nan"),
    ],
)
def test_a_prior_that_is_none_is_refused(prior, message):
    with pytest.raises(ConfigError, match=message):
        reprior(predictions_shift(np.zeros((1, G))), prior, trained=TRAINED)


def test_rounded_shares_sum_to_1():
    given = {"Folk": 0.333, "Jazz": 0.333, "Rock": 0.333}
    np.testing.assert_allclose(shares_of(given, GENRES, link="softmax", trained=TRAINED), EVEN)


def test_outputs_without_a_prior_are_refused():
    with pytest.raises(DataError, match="link none"):
        reprior(
            replace(predictions_shift(np.zeros((1, G))), link="none"), "uniform", trained=TRAINED
        )
    unknown = TrainedPrior(SKEWED, SKEWED, None)
    with pytest.raises(DataError, match="since the head was normalised; leave prior out"):
        reprior(predictions_shift(np.zeros((1, G))), "uniform", trained=unknown)


def test_a_prior_is_read_from_the_command_line(tmp_path):
    shares = {"Folk": 0.25, "Jazz": 0.75}
    file = tmp_path / "shares.json"
    file.write_text(json.dumps(shares))
    assert read_prior("estimate") == "estimate"
    assert read_prior(json.dumps(shares)) == read_prior(str(file)) == shares
    with pytest.raises(ConfigError, match="'unifrom' is no file and none of training, uniform"):
        read_prior("unifrom")
    with pytest.raises(ConfigError, match="the prior is not JSON"):
        read_prior("{Folk: 1}")
    file.write_text("[1]")
    with pytest.raises(ConfigError, match="holds no shares"):
        read_prior(str(file))


def test_a_saved_prior_is_the_same_and_a_damaged_one_is_refused():
    for assumed in (EVEN, None):
        saved = json.loads(json.dumps(TrainedPrior(SKEWED, EVEN, assumed).to_json()))
        found = TrainedPrior.from_json(saved, n_genres=G)
        np.testing.assert_array_equal(found.bags, SKEWED)
        np.testing.assert_array_equal(found.segments, EVEN)
        assert (found.assumed is None) == (assumed is None)
    for name, wrong in (("bags", [1.0]), ("assumed", [2.0, 0, 0]), ("segments", None)):
        with pytest.raises(ValueError, match="the prior"):
            TrainedPrior.from_json(saved | {name: wrong}, n_genres=G)
