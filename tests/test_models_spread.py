"""The spread of a bag: worked by hand, against NumPy, and what must hold for any ragged bags."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matt.bags import Bags
from matt.features.store import FeatureStore
from matt.library.explain import explain
from matt.models.network import FEW, PRIOR_TRACKS, USUAL, BagSpread, build_network, log_spread
from matt.models.neural import NeuralClassifier
from matt.models.settings import MAP_ENCODERS, ModelSettings, TrainingSettings
from matt.tracks import Tracks

F, G = 4, 3


def bags(sizes, seed=0):
    """Segments (N, F), one a track, and offsets."""
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(sum(sizes), F)))
    return x, torch.tensor([0, *np.cumsum(sizes)])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 99))
def test_it_is_a_deviation_drawn_towards_the_usual_one(sizes, seed):
    """As if there were PRIOR_TRACKS more degrees of freedom, of the usual variance."""
    x, offsets = bags(sizes, seed)
    found = log_spread(x, torch.zeros(len(x), dtype=x.dtype), offsets).numpy()
    for row, bag in zip(found, x.split(sizes), strict=True):
        n = len(bag)
        variance = bag.numpy().var(axis=0, ddof=1) if n > 1 else np.zeros(F)
        drawn = ((n - 1) * variance + PRIOR_TRACKS * USUAL) / (n - 1 + PRIOR_TRACKS)
        np.testing.assert_allclose(row, np.log(np.sqrt(drawn / USUAL)), atol=1e-9)


def test_a_lone_segment_has_none_and_many_tracks_have_their_deviation():
    x, offsets = bags([1, 5000])
    found = log_spread(3 * x, torch.zeros(len(x), dtype=x.dtype), offsets)
    torch.testing.assert_close(found[0], torch.zeros_like(found[0]))
    deviation = np.sqrt(9 / USUAL)
    torch.testing.assert_close(
        found[1].exp(), torch.full((F,), deviation).double(), rtol=0.05, atol=0
    )


def test_each_track_has_one_vote_however_many_segments():
    x, offsets = bags([3, 2])
    whole = log_spread(x, torch.zeros(5, dtype=x.dtype), offsets)
    copies = torch.tensor([1, 4, 2, 1, 3])
    longer = x.repeat_interleave(copies, dim=0)
    sizes = copies.repeat_interleave(copies).log().to(x.dtype)
    ends = torch.tensor([0, 7, 11])
    torch.testing.assert_close(log_spread(longer, sizes, ends), whole)


def test_where_a_bag_lies_and_the_order_of_its_tracks_are_no_matter():
    x, offsets = bags([4, 2])
    alone = torch.zeros(6, dtype=x.dtype)
    moved = x[[3, 1, 0, 2, 5, 4]] + torch.tensor([7.0, -2.0, 0.0, 1.0])
    torch.testing.assert_close(log_spread(moved, alone, offsets), log_spread(x, alone, offsets))


@pytest.mark.parametrize(("n_features", "factor"), [(5, 1.0), (FEW, 1.0), (8 * FEW, 1 / 8)])
def test_many_entries_move_logits_no_further_than_few(n_features, factor):
    x = torch.randn(6, n_features, generator=torch.Generator().manual_seed(0))
    offsets, alone = torch.tensor([0, 2, 6]), torch.zeros(6)
    spread = BagSpread(n_features, G)
    torch.nn.init.ones_(spread.weight)
    expected = factor * log_spread(x, alone, offsets).sum(1, keepdim=True)
    torch.testing.assert_close(spread(x, alone, offsets), expected.expand(-1, G))


def test_no_bag_at_all_has_no_spread():
    found = BagSpread(F, G)(torch.zeros(0, F), torch.zeros(0), torch.zeros(1, dtype=torch.int64))
    assert found.shape == (0, G)


@pytest.mark.parametrize(
    "settings",
    [{"encoder": name} for name in MAP_ENCODERS] + [{"tanh_pooled": True}, {"spread": False}],
)
def test_what_has_none(settings):
    shape = (96, 1366) if settings.get("encoder") else (F,)
    network = build_network(ModelSettings(**settings), shape, G)
    assert network.spread is None
    assert not any("track_of_bag" in name for name, _ in network.named_parameters())


@pytest.fixture(scope="module")
def problem():
    """Two genres of equal means: the tracks of an album are alike in one, and apart in the other."""
    rng = np.random.default_rng(1)
    album = np.repeat(np.arange(80), 6)
    label = album % 2
    centre = rng.normal(size=(80, F))[album]
    values = centre + np.where(label, 0.1, 1.0)[:, None] * rng.normal(size=(len(album), F))
    split = np.where(album < 50, "training", np.where(album < 60, "validation", "test"))
    tracks = Tracks(
        np.arange(len(album)),
        label,
        ("apart", "alike"),
        album_id=album,
        artist_id=album,
        split=split,
    )
    return tracks, FeatureStore.from_arrays("toy", tracks.track_id, values)


def accuracy(problem, settings, **training):
    tracks, store = problem
    train, valid, test = (
        Bags.from_tracks(tracks, split=s) for s in ("training", "validation", "test")
    )
    model = NeuralClassifier(settings, TrainingSettings(lr=0.02, epochs=60, **training))
    model.fit(store, train, valid=valid)
    predictions = model.predict(store, tracks, test, explain=True)
    return (predictions.best == test.labels).mean(), predictions


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_genres_that_differ_in_nothing_else_are_told_apart(problem, head):
    """In the mean over seeds: of twenty albums a network that guesses has many right now and then."""
    with_it, without = (
        np.mean([accuracy(problem, settings, seed=seed)[0] for seed in range(5)])
        for settings in (
            ModelSettings(hidden=(5,), head=head),
            ModelSettings(hidden=(5,), head=head, spread=False),
        )
    )
    assert with_it > 0.9 > 0.8 > without


def test_a_head_is_tuned_beside_it(problem):
    assert accuracy(problem, ModelSettings(hidden=(5,)), head_tuning="crt")[0] > 0.9


def test_margins_of_tracks_still_sum_to_the_logits_of_their_bag(problem):
    _, predictions = accuracy(problem, ModelSettings(hidden=(5,), pooling="dot"))
    sums = np.add.reduceat(explain(predictions).margins, predictions.bags.offsets[:-1], axis=0)
    centred = predictions.logits - predictions.logits.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(sums, centred, atol=1e-4)


@pytest.mark.parametrize("held", [1, 7, 40])
def test_predictions_do_not_depend_on_how_many_segments_are_held(problem, held, monkeypatch):
    tracks, store = problem
    model = NeuralClassifier(ModelSettings(hidden=(5,)), TrainingSettings(epochs=3, n_networks=2))
    every = Bags.from_tracks(tracks)
    model.fit(store, every.take(range(9)))
    whole = model.predict(store, tracks, every, explain=True)
    monkeypatch.setattr("matt.models.arrays._HELD_NUMBERS", 4 * held)
    parts = model.predict(store, tracks, every, explain=True)
    for name in ("logits", "attention", "segment_logits", "segment_offsets"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-6)
