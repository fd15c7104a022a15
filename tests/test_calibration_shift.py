"""Prior shift: Bayes' rule by hand, EM against an optimiser, and shifted libraries it recovers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from matt.bags import Bags
from matt.calibration.priors import (
    TrainedPrior,
    as_logits,
    estimate_prior,
    log_prior,
    read_prior,
    reprior,
    shares_of,
)
from matt.errors import ConfigError, DataError
from matt.predictions import Predictions
from matt.tracks import Tracks

GENRES = ("Folk", "Jazz", "Rock")
G = 3
EVEN = np.full(G, 1 / G)
SKEWED = np.array([0.7, 0.2, 0.1])
TRAINED = TrainedPrior(SKEWED, SKEWED, SKEWED)


def predictions(logits, *, link="softmax"):
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
    return predictions(strength * x + np.log(assumed)), np.bincount(labels, minlength=G) / n


def test_another_prior_is_worked_by_hand():
    """Odds of Folk to Rock 7 : 1 under shares of .7 and .1 are 1 : 1 where both are alike."""
    said = predictions([np.log([7.0, 4.0, 1.0])])
    even = reprior(said, "uniform", trained=TRAINED).probabilities
    np.testing.assert_allclose(even, [[10 / 40, 20 / 40, 10 / 40]], rtol=1e-6)
    other = reprior(said, {"Rock": 0.5, "Folk": 0.5, "Jazz": 0.0}, trained=TRAINED).probabilities
    np.testing.assert_allclose(other, [[0.5, 0, 0.5]], atol=1e-6)
    same = reprior(said, "training", trained=TRAINED)
    np.testing.assert_allclose(same.logits, said.logits)


def test_what_the_outputs_assume_decides():
    """A model that takes all genres for alike gets the training's shares put in, once."""
    said = predictions(np.zeros((1, G)))
    adjusted = TrainedPrior(SKEWED, SKEWED, EVEN)
    np.testing.assert_allclose(
        reprior(said, "training", trained=adjusted).probabilities, [SKEWED], rtol=1e-6
    )
    np.testing.assert_allclose(reprior(said, "uniform", trained=adjusted).logits, said.logits)


def test_several_genres_a_bag_are_shifted_each_by_its_odds():
    said = predictions(np.zeros((2, G)), link="sigmoid")  # one half each
    trained = TrainedPrior(SKEWED, SKEWED, np.full(G, 0.5))
    np.testing.assert_allclose(
        reprior(said, "training", trained=trained).probabilities, [SKEWED] * 2, rtol=1e-6
    )
    wanted = {"Folk": 0.9, "Jazz": 0.5, "Rock": 0.8}  # may sum to more than 1
    np.testing.assert_allclose(
        reprior(said, wanted, trained=trained).probabilities, [[0.9, 0.5, 0.8]] * 2, rtol=1e-6
    )


def test_segments_are_shifted_with_their_bags():
    said = predictions(np.zeros((2, G)))
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
    certain = predictions(50 * np.eye(G)[[0, 0, 0, 2]])
    expected = (np.array([3, 0, 1]) + 1.5 * SKEWED) / 5.5
    np.testing.assert_allclose(estimate_prior(certain, EVEN, start=SKEWED), expected)
    each = predictions(100 * (np.eye(G)[[0, 0, 0, 2]] - 0.5), link="sigmoid")
    found = estimate_prior(each, np.full(G, 0.5), start=SKEWED)
    np.testing.assert_allclose(found, (np.array([3, 0, 1]) + SKEWED) / 5)


@pytest.mark.parametrize("n", [1, 1000])
def test_predictions_that_say_nothing_leave_the_prior_as_it_is(n):
    nothing = predictions(np.tile(np.log(EVEN), (n, 1)))
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
        reprior(predictions(np.zeros((1, G))), prior, trained=TRAINED)


def test_rounded_shares_sum_to_1():
    given = {"Folk": 0.333, "Jazz": 0.333, "Rock": 0.333}
    np.testing.assert_allclose(shares_of(given, GENRES, link="softmax", trained=TRAINED), EVEN)


def test_outputs_without_a_prior_are_refused():
    with pytest.raises(DataError, match="link none"):
        reprior(replace(predictions(np.zeros((1, G))), link="none"), "uniform", trained=TRAINED)
    unknown = TrainedPrior(SKEWED, SKEWED, None)
    with pytest.raises(DataError, match="since the head was normalised; leave prior out"):
        reprior(predictions(np.zeros((1, G))), "uniform", trained=unknown)


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
