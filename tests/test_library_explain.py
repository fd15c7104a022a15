"""Explanations against predictions of bags from which the track was really taken out."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matt import (
    Bags,
    BaselineClassifier,
    BlendClassifier,
    DataError,
    FeatureSpec,
    FeatureStore,
    NeuralClassifier,
    Predictions,
    Tracks,
)
from matt.library import explain as explaining
from matt.library.explain import _of_others, explain, explain_album
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings
from matt.models.tagger import Tagger

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


# ---- albums taken apart, whatever the model is ----


def music(spec=None, several=False):
    """Thirty albums of four tracks, of one to three segments each, in two genres."""
    rng = np.random.default_rng(1)
    album = np.repeat(np.arange(30), 4)
    labels = np.eye(2, dtype=bool)[album % 2] if several else album % 2
    if several:
        labels[::5] = True
    tracks = Tracks(np.arange(120) + 9, labels, ("A", "B"), artist_id=album, album_id=album)
    sizes = rng.integers(1, 4, 120)
    size = 5 if spec is None else spec.shape[0]
    values = rng.normal(size=(sizes.sum(), size)).astype("f4")
    values[:, 0] += np.repeat(album % 2, sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return as_store(spec, tracks.track_id, values, offsets), tracks


def as_store(spec, ids, values, offsets):
    made = FeatureStore.from_arrays("toy", np.asarray(ids), values, np.asarray(offsets))
    return made if spec is None else replace(made, spec=spec)


QUICK = TrainingSettings(epochs=6, lr=0.02, threads=1)


AWAKE = TrainingSettings(epochs=40, lr=0.05, logit_adjustment=0.0, sub_bags=False, threads=1)


def network(**settings):
    return NeuralClassifier(ModelSettings(hidden=(4,), **settings), QUICK)


KINDS = {
    "mean": lambda: network(pooling="mean"),
    "attention": lambda: NeuralClassifier(ModelSettings(hidden=(4,), pooling="dot"), AWAKE),
    "max": lambda: network(pooling="max", spread=False),
    "several layers": lambda: network(head="mlp"),
    "several networks": lambda: NeuralClassifier(ModelSettings(hidden=(4,)), replace(QUICK, n_networks=2)),
    "blend": lambda: BlendClassifier(network(), ["lr"]),
    "lr": lambda: BaselineClassifier(BaselineSettings(classifier="lr")),
    "knn": lambda: BaselineClassifier(BaselineSettings(classifier="knn", n_neighbors=7)),
    "svm": lambda: BaselineClassifier(BaselineSettings(classifier="svm")),
    "tagger": Tagger,
    "lr of several genres": lambda: BaselineClassifier(BaselineSettings(classifier="lr")),
    "network of several genres": network,
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def asked(request):
    """A fitted model of a kind, its features and tracks."""
    torch.set_num_threads(1)
    model = KINDS[request.param]()
    store, tracks = music(FeatureSpec.musicnn() if request.param == "tagger" else None, "genres" in request.param)  # fmt: skip
    if request.param != "tagger":
        bags = Bags.from_tracks(tracks)
        model.fit(store, bags.take(range(20)), valid=bags.take(range(20, 28)))
    return model, store, tracks


def predicted(model, store, tracks, ids):
    """What the model says of an album of these tracks alone."""
    some = tracks.take(tracks.rows(np.asarray(ids)))
    return model.predict(store, some, Bags.from_tracks(some)).probabilities[0]


def test_an_album_without_a_track_is_the_album_of_the_other_tracks(asked):
    model, store, tracks = asked
    album = Bags.from_tracks(tracks).take([29])
    told = explain_album(model, store, tracks, album)
    np.testing.assert_allclose(
        told.whole.probabilities[0], predicted(model, store, tracks, album.track_ids), atol=1e-6
    )
    for row, left_out in enumerate(album.track_ids):
        rest = [one for one in album.track_ids if one != left_out]
        expected = predicted(model, store, tracks, rest)
        np.testing.assert_allclose(told.without[row], expected, atol=1e-5)
        np.testing.assert_allclose(
            told.alone[row], predicted(model, store, tracks, [left_out]), atol=1e-5
        )
    np.testing.assert_array_equal(told.effects, told.whole.probabilities - told.without)
    assert np.ptp(told.without, axis=0).max() > 1e-4  # else nothing was tried


def test_a_segment_alone_is_a_track_of_this_segment(asked):
    model, store, tracks = asked
    album = Bags.from_tracks(tracks).take([28])
    told = explain_album(model, store, tracks, album)
    values, offsets = store.read(album.track_ids)
    np.testing.assert_array_equal(told.segment_offsets, offsets)
    spec = store.spec if store.spec.kind == "musicnn" else None
    for row, value in enumerate(values):
        lone = Tracks([5], tracks.labels[:1], tracks.genres)
        only = as_store(spec, [5], value[None], [0, 1])
        expected = model.predict(only, lone, Bags.from_tracks(lone)).probabilities[0]
        np.testing.assert_allclose(told.segments[row], expected, atol=1e-5)


def test_attention_is_told_only_where_there_is_any(asked):
    model, store, tracks = asked
    told = explain_album(model, store, tracks, Bags.from_tracks(tracks).take([29]))
    attends = isinstance(model, NeuralClassifier) and model.model.pooling in ("dot", "max")
    if not isinstance(model, NeuralClassifier | BlendClassifier) or model_pools_by_mean(model):
        assert told.attention is None
    if attends:
        assert told.attention.shape == (4, 2)
        np.testing.assert_allclose(told.attention.sum(axis=0), 1, atol=1e-5)


def model_pools_by_mean(model):
    network = model.network if isinstance(model, BlendClassifier) else model
    return network.model.pooling == "mean"


def test_the_only_track_of_an_album_cannot_be_left_out(asked):
    model, store, tracks = asked
    lone = Bags.from_tracks(tracks, by="track").take([3])
    told = explain_album(model, store, tracks, lone)
    assert np.isnan(told.without).all()
    assert told.attention is None
    np.testing.assert_allclose(told.alone, told.whole.probabilities, atol=1e-6)


def test_of_a_very_large_album_the_strangest_tracks_are_tried(monkeypatch):
    """As many as the features allow that may be read; the others have no effect, not 0."""
    store, tracks = music(FeatureSpec.musicnn())
    every = Bags.from_tracks(replace(tracks, album_id=np.ones(120), artist_id=np.ones(120)))
    n_bytes = int(store.n_segments.sum()) * store.spec.n_bytes
    monkeypatch.setattr(explaining, "_ASKED_BYTES", 7 * n_bytes + 1)
    told = explain_album(Tagger(), store, tracks, every)
    tried = ~np.isnan(told.without).any(axis=1)
    assert tried.sum() == 7
    apart = np.abs(told.alone - told.alone.mean(axis=0))[:, told.genre]
    assert apart[tried].min() >= apart[~tried].max()


def test_only_one_album_is_explained_at_a_time():
    store, tracks = music(FeatureSpec.musicnn())
    with pytest.raises(DataError, match="but these are 30; take one"):
        explain_album(Tagger(), store, tracks, Bags.from_tracks(tracks))


def test_scores_that_are_no_probabilities_explain_no_album(library):
    store, tracks, _ = library
    model = NeuralClassifier(ModelSettings(tanh_pooled=True), QUICK)
    model.fit(store, Bags.from_tracks(tracks, by="track"))
    with pytest.raises(DataError, match="these scores are no probabilities"):
        explain_album(model, store, tracks, Bags.from_tracks(tracks).take([0]))
