"""Thresholds of several genres: the best F1 against scikit-learn, counts that hold, genres unseen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_curve

from matt import DataError
from matt.calibration.thresholds import LEAST, MOST, choose_thresholds

ANY = (0, np.inf)
ROUNDED = st.sampled_from([1, 2, 9])


@st.composite
def forecasts(draw, *, decimals=ROUNDED):
    """Probabilities and truths of bags, with ties or without, and genres that nobody has."""
    n, n_genres = draw(st.integers(1, 40)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    truth = rng.random((n, n_genres)) < rng.random(n_genres) / 2
    truth[0, 0] = True
    p = (rng.random((n, n_genres)) + draw(st.floats(0, 2)) * truth).clip(0, 3) / 3
    return p.round(draw(decimals)), truth


@given(forecasts())
def test_without_a_bound_no_threshold_has_a_better_f1(drawn):
    p, truth = drawn
    found = choose_thresholds(p, truth, within=ANY)
    np.testing.assert_array_equal(found.own, truth.any(axis=0))
    for g in np.flatnonzero(found.own):
        precision, recall, _ = precision_recall_curve(truth[:, g], p[:, g])
        every = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
        ours = f1_score(truth[:, g], p[:, g] >= found.values[g])
        assert ours == pytest.approx(every.max())


@given(forecasts(decimals=st.just(17)))
def test_a_genre_is_given_about_as_often_as_it_is_true(drawn):
    p, truth = drawn
    found = choose_thresholds(p, truth)
    times = (p >= found.values).sum(axis=0)[found.own] / truth.sum(axis=0)[found.own]
    assert ((times >= LEAST) & (times <= MOST)).all()


@given(forecasts(), st.data())
def test_the_order_of_bags_changes_nothing_and_genres_are_apart(drawn, data):
    p, truth = drawn
    order = np.array(data.draw(st.permutations(range(len(p)))))
    found = choose_thresholds(p, truth)
    np.testing.assert_array_equal(choose_thresholds(p[order], truth[order]).values, found.values)
    for g in np.flatnonzero(found.own):
        alone = choose_thresholds(p[:, [g]], truth[:, [g]])
        assert alone.values[0] == found.values[g]


@given(forecasts())
def test_a_genre_that_no_bag_has_gets_the_median_of_the_others_and_says_so(drawn):
    p, truth = drawn
    genres = tuple(f"genre {g}" for g in range(truth.shape[1]))
    found = choose_thresholds(p, truth)
    notes = found.notes(genres)
    assert len(notes) == (not found.own.all())
    if notes:
        np.testing.assert_array_equal(found.values[~found.own], np.median(found.values[found.own]))
        assert f"genre {np.flatnonzero(~found.own)[0]}" in notes[0]
        assert "on no validation album" in notes[0]


def test_equal_probabilities_leave_the_nearest_number():
    p = np.array([[0.9], [0.9], [0.9], [0.2], [0.2]])
    for true, n_given in ((1, 3), (2, 3), (4, 5)):
        truth = np.arange(5)[:, None] < true
        assert (p >= choose_thresholds(p, truth).values).sum() == n_given


def test_thresholds_next_to_each_other_still_part_the_bags():
    high = np.nextafter(0.3, 1)
    found = choose_thresholds(np.array([[high], [0.3]]), np.array([[True], [False]]))
    assert 0.3 < found.values[0] <= high


def test_validation_albums_without_any_genre_are_refused():
    with pytest.raises(DataError, match="none of 3 validation albums has a genre"):
        choose_thresholds(np.zeros((3, 2)), np.zeros((3, 2), bool))
