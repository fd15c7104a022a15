"""What an epoch shows: sub-bags, how often each bag, and which segments; by hand and by counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt.bags import Bags
from matt.models.augmentation import (
    SegmentDropout,
    cap_bags,
    draw_shares,
    expected_draws,
    sample_bags,
    sub_bags,
)

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=13)


def bags_of(sizes):
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    ids = np.random.default_rng(1).permutation(1000)[: offsets[-1]]
    return Bags(ids, offsets, np.arange(len(sizes)) % 3, genres=("a", "b", "c"))


def parts(bags):
    return np.split(bags.track_ids, bags.offsets[1:-1])


def is_subsequence(short, long):
    rest = iter(long.tolist())
    return all(item in rest for item in short.tolist())


@given(SIZES, st.integers(0, 2**32))
def test_every_bag_becomes_a_non_empty_subset_in_its_order(sizes, seed):
    bags = bags_of(sizes)
    shown = sub_bags(bags, np.random.default_rng(seed))
    assert len(shown) == len(bags)
    np.testing.assert_array_equal(shown.labels, bags.labels)
    assert shown.genres == bags.genres
    np.testing.assert_array_equal(shown.train_counts, bags.train_counts)
    for kept, whole in zip(parts(shown), parts(bags), strict=True):
        assert 1 <= len(kept) <= len(whole)
        assert is_subsequence(kept, whole)


@given(SIZES, st.integers(0, 2**32))
def test_the_same_generator_draws_the_same(sizes, seed):
    bags = bags_of(sizes)
    first, second = (sub_bags(bags, np.random.default_rng([seed, 3])) for _ in range(2))
    np.testing.assert_array_equal(first.track_ids, second.track_ids)
    np.testing.assert_array_equal(first.offsets, second.offsets)


def test_sizes_and_tracks_are_equally_likely():
    n_bags, size = 6000, 4
    bags = bags_of([size] * 5).take(np.zeros(n_bags, int))  # one bag, many times
    shown = sub_bags(bags, np.random.default_rng(0))
    by_size = np.bincount(shown.sizes, minlength=size + 1)[1:]
    by_track = np.unique(shown.track_ids, return_counts=True)[1]
    # Five standard deviations of a binomial.
    assert np.abs(by_size - n_bags / size).max() < 5 * np.sqrt(n_bags / size)
    expected = n_bags * (size + 1) / 2 / size
    assert np.abs(by_track - expected).max() < 5 * np.sqrt(n_bags / 4)


@given(SIZES, st.integers(1, 25), st.integers(0, 2**32), st.data())
def test_a_bag_that_is_too_large_becomes_one_that_fits(sizes, most, seed, data):
    bags = bags_of(sizes)
    n = len(bags.track_ids)
    counts = np.array(data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n)))
    segments = dict(zip(bags.track_ids.tolist(), counts.tolist(), strict=True))
    capped, n_capped = cap_bags(bags, counts, max_segments=most, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(capped.labels, bags.labels)
    over = 0
    for kept, whole in zip(parts(capped), parts(bags), strict=True):
        total = sum(segments[track] for track in whole.tolist())
        size = sum(segments[track] for track in kept.tolist())
        assert len(kept) >= 1
        assert is_subsequence(kept, whole)
        if total <= most:
            np.testing.assert_array_equal(kept, whole)
        else:
            over += 1
            assert size <= most or len(kept) == 1
    assert n_capped == over


def test_a_capped_bag_shows_other_tracks_at_another_time():
    bags, counts = bags_of([9]), np.full(9, 2)
    drawn = [
        cap_bags(bags, counts, max_segments=7, rng=np.random.default_rng(s)) for s in range(20)
    ]
    assert {len(shown.track_ids) for shown, _ in drawn} == {3}
    assert {track for shown, _ in drawn for track in shown.track_ids} == set(bags.track_ids)


def test_the_given_bags_stay_as_they_are():
    bags = bags_of([3, 5])
    before = bags.track_ids.copy(), bags.offsets.copy()
    sub_bags(bags, np.random.default_rng(0))
    np.testing.assert_array_equal(bags.track_ids, before[0])
    np.testing.assert_array_equal(bags.offsets, before[1])


def labelled(labels):
    return Bags(np.arange(len(labels)), np.arange(len(labels) + 1), labels, genres=("a", "b", "c"))


def test_samplers_are_worked_by_hand():
    """16 bags of one genre and 4 of another."""
    bags = labelled([0] * 16 + [2] * 4)
    for sampler, shown in (
        ("natural", (16, 4)),
        ("balanced", (10, 10)),
        ("sqrt", (40 / 3, 20 / 3)),
    ):
        draws = expected_draws(bags, sampler)
        np.testing.assert_allclose((draws[:16].sum(), draws[16:].sum()), shown)
        assert len(set(draws[:16])) == len(set(draws[16:])) == 1


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=50),
    st.integers(0, 2**32),
    st.sampled_from(["natural", "sqrt", "balanced"]),
)
def test_each_bag_is_shown_as_often_as_is_expected_up_to_rounding(labels, seed, sampler):
    bags = labelled(labels)
    shown = sample_bags(bags, sampler, np.random.default_rng(seed))
    assert len(shown) == len(bags)
    np.testing.assert_array_equal(shown.labels, bags.labels[shown.track_ids])
    times = np.bincount(shown.track_ids, minlength=len(bags))
    due = expected_draws(bags, sampler)
    assert (times >= np.floor(due - 1e-9)).all()
    assert (times <= np.ceil(due + 1e-9)).all()


def test_over_epochs_each_bag_of_a_genre_is_shown_alike():
    bags = labelled([0] * 30 + [1] * 7)
    rngs = [np.random.default_rng([0, epoch]) for epoch in range(400)]
    ids = np.concatenate([sample_bags(bags, "balanced", rng).track_ids for rng in rngs])
    times = np.bincount(ids) / 400
    np.testing.assert_allclose(times, expected_draws(bags, "balanced"), atol=0.12)  # five sd


@given(SIZES, st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 0.99]))
def test_segment_dropout_leaves_every_track_something(counts, seed, rate):
    ids = np.random.default_rng(1).permutation(1000)[: len(counts)]
    twice = np.append(ids, ids[:1])
    counts = np.array([*counts, counts[0]])
    drawn = SegmentDropout.draw(twice, counts, rate=rate, rng=np.random.default_rng(seed))
    rows, offsets = drawn.of(twice)
    owner = np.repeat(np.arange(len(twice)), counts)[rows]
    np.testing.assert_array_equal(np.diff(offsets), np.bincount(owner, minlength=len(twice)))
    assert (np.diff(offsets) >= 1).all()
    assert (np.diff(rows) > 0).all()
    if not rate:
        assert len(rows) == counts.sum()


def test_segment_dropout_leaves_out_its_share_and_does_not_mind_the_batches():
    ids, counts = np.arange(300), np.full(300, 100)
    drawn = SegmentDropout.draw(ids, counts, rate=0.3, rng=np.random.default_rng(0))
    rows, offsets = drawn.of(ids)
    assert len(rows) / 30_000 == pytest.approx(0.7, abs=0.015)  # five sd
    part, some = drawn.of(ids[[7, 3]])
    for place, track in enumerate((7, 3)):
        here = part[some[place] : some[place + 1]] - 100 * place
        np.testing.assert_array_equal(here, rows[offsets[track] : offsets[track + 1]] - 100 * track)


def test_shares_of_a_mixture_come_from_their_distribution():
    shares = draw_shares(20_000, 0.4, np.random.default_rng(0))
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.mean() == pytest.approx(0.5, abs=0.015)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.005)  # of Beta(a, a)
