"""Explanations against predictions of bags from which the track was really taken out."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, DataError, FeatureStore, NeuralClassifier, Predictions, Tracks
from matt.library.explain import _of_others, explain
from matt.models.settings import ModelSettings, TrainingSettings

SEGMENTS = np.array([1, 3, 2, 1, 1, 2, 1])  # of 7 tracks
ALBUMS = [1, 1, 1, 2, 3, 3, 3]


@pytest.fixture(scope="module", params=["mean", "dot", "shared"])
def library(request):
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    tracks = Tracks(
        [13, 11, 7, 5, 3, 2, 17], [0, 0, 0, 1, 2, 2, 2], ("A", "B", "C"), artist_id=ALBUMS, album_id=ALBUMS
    )  # fmt: skip
    values = rng.normal(size=(SEGMENTS.sum(), 4)) + np.repeat(tracks.labels, SEGMENTS)[:, None]
    offsets = np.concatenate([[0], np.cumsum(SEGMENTS)])
    store = FeatureStore.from_arrays("toy", tracks.track_id, values, offsets)
    training = TrainingSettings(epochs=30, lr=0.02, logit_adjustment=0.0, sub_bags=False)
    settings = ModelSettings(hidden=(5,), pooling=request.param, spread=False)
    model = NeuralClassifier(settings, training)
    model.fit(store, Bags.from_tracks(tracks, by="track"))
    return store, tracks, model


def test_margins_sum_to_the_centred_logits(library):
    store, tracks, model = library
    predictions = model.predict(store, tracks, Bags.from_tracks(tracks), explain=True)
    sums = np.add.reduceat(explain(predictions).margins, predictions.bags.offsets[:-1], axis=0)
    centred = predictions.logits - predictions.logits.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(sums, centred, atol=1e-5)


def test_attention_of_a_bag_sums_to_one(library):
    store, tracks, model = library
    predictions = model.predict(store, tracks, Bags.from_tracks(tracks), explain=True)
    sums = np.add.reduceat(explain(predictions).attention, predictions.bags.offsets[:-1], axis=0)
    np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_the_effect_is_what_happens_when_the_track_is_left_out(library):
    store, tracks, model = library
    whole = model.predict(store, tracks, Bags.from_tracks(tracks), explain=True)
    effects = explain(whole).effects
    bag = np.repeat(np.arange(len(whole)), whole.bags.sizes)
    for row, track_id in enumerate(whole.bags.track_ids):
        if whole.bags.sizes[bag[row]] == 1:
            assert np.isnan(effects[row]).all()
            continue
        rest = tracks.take(np.isin(tracks.track_id, whole.bags.take([bag[row]]).track_ids))
        rest = rest.drop([track_id])
        without = model.predict(store, rest, Bags.from_tracks(rest))
        expected = whole.probabilities[bag[row]] - without.probabilities[0]
        np.testing.assert_allclose(effects[row], expected, atol=1e-5)


def test_attention_has_woken_up_where_there_is_any(library):
    """Otherwise the tests above would say nothing about attention."""
    store, tracks, model = library
    predictions = model.predict(store, tracks, Bags.from_tracks(tracks), explain=True)
    shares = explain(predictions).attention[:3]
    assert np.allclose(shares, 1 / 3, atol=1e-4) == (model.model.pooling == "mean")


def test_predictions_without_segments_are_refused(library):
    store, tracks, model = library
    with pytest.raises(DataError, match="explain=True"):
        explain(model.predict(store, tracks, Bags.from_tracks(tracks)))


def explained(library, settings):
    store, tracks, _ = library
    model = NeuralClassifier(settings, TrainingSettings(epochs=3, lr=0.02))
    model.fit(store, Bags.from_tracks(tracks, by="track"))
    return model.predict(store, tracks, Bags.from_tracks(tracks), explain=True)


def test_what_is_no_sum_over_segments_has_attention_alone(library):
    predictions = explained(library, ModelSettings(head="mlp"))
    told = explain(predictions)
    assert np.isnan(told.margins).all()
    assert np.isnan(told.effects).all()
    sums = np.add.reduceat(told.attention, predictions.bags.offsets[:-1], axis=0)
    np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_scores_that_are_no_probabilities_have_no_explanation(library):
    predictions = explained(library, ModelSettings(tanh_pooled=True))
    with pytest.raises(DataError, match="these scores are no probabilities"):
        explain(predictions)


def of_scores(scores, segment_logits):
    """Predictions of one bag of single segments, from scores (n, G) as a network would make them."""
    weights = np.exp(scores - scores.max(axis=0))
    attention = (weights / weights.sum(axis=0)).astype(np.float32)
    n, n_genres = scores.shape
    tracks = Tracks(np.arange(n), np.zeros(n, int), [f"genre {g}" for g in range(n_genres)], album_id=np.ones(n, int), artist_id=np.ones(n, int))  # fmt: skip
    logits = (attention * segment_logits).sum(axis=0, keepdims=True)
    return Predictions(
        Bags.from_tracks(tracks), tracks, logits.astype(np.float32), segment_offsets=np.arange(n + 1),
        attention=attention, segment_logits=segment_logits.astype(np.float32),
    )  # fmt: skip


def softmax(x, axis):
    exp = np.exp(x - x.max(axis=axis, keepdims=True))
    return exp / exp.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize("gap", [0, 5, 20, 60])
def test_the_effect_keeps_its_digits_where_one_track_has_nearly_all_attention(gap):
    """Scores of 1e4 whose softmax leaves the others e^-60: attention of 1 in any precision."""
    scores = np.array([[0.0, 0.2], [-1.0, 0.5], [1.5, -0.3], [0.4, 1.0], [-0.6, 0.1]]) + 1e4
    scores[2] += gap
    segment_logits = np.random.default_rng(0).normal(size=scores.shape).astype(np.float32)
    effects = explain(of_scores(scores, segment_logits)).effects
    whole = softmax((softmax(scores, 0) * segment_logits).sum(axis=0), 0)
    for k in range(len(scores)):
        rest = np.delete(scores, k, axis=0), np.delete(segment_logits, k, axis=0)
        without = softmax((softmax(rest[0], 0) * rest[1]).sum(axis=0), 0)
        np.testing.assert_allclose(effects[k], whole - without, atol=1e-6)


def test_others_without_any_attention_say_nothing():
    """A score that is 1e4 above the others leaves them nothing, in any precision."""
    scores = np.zeros((4, 3))
    scores[1] = 1e4
    effects = explain(of_scores(scores, np.arange(12.0).reshape(4, 3))).effects
    assert np.isnan(effects[1]).all()
    np.testing.assert_array_equal(effects[[0, 2, 3]], 0)


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_sums_of_others_are_those_of_each_bag_alone(sizes, seed):
    values = np.random.default_rng(seed).normal(size=(sum(sizes), 3))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    found = _of_others(values, offsets)
    for start, end in pairwise(offsets):
        for row in range(start, end):
            rest = np.delete(values[start:end], row - start, axis=0).sum(axis=0)
            np.testing.assert_allclose(found[row], rest, atol=1e-12)
