"""Several networks in one classifier: the mean of their probabilities, saved and resumed as one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy.special import expit, logit, softmax
from test_models_training import problem

from matt.bags import Bags
from matt.errors import DataError
from matt.features.store import FeatureStore
from matt.library.explain import explain
from matt.models import training
from matt.models.arrays import average
from matt.models.members import members
from matt.models.neural import NeuralClassifier
from matt.models.saving import MODEL, WEIGHTS, write_model
from matt.models.settings import ModelSettings, TrainingSettings
from matt.tracks import Tracks

MODEL_OF = ModelSettings(hidden=(7,), pooling="dot")
ONE = TrainingSettings(lr=0.02, epochs=6, max_bags=7)
THREE = replace(ONE, n_networks=3)


@pytest.fixture(scope="module")
def data():
    bags, ids, values, offsets = problem()
    valid, more_ids, more, more_offsets = problem(12, seed=1, first_id=1000)
    store = FeatureStore.from_arrays(
        "toy",
        np.append(ids, more_ids),
        np.concatenate([values, more]),
        np.concatenate([offsets, offsets[-1] + more_offsets[1:]]),
    )
    per_track = np.repeat(valid.labels, valid.sizes)
    return store, bags, valid, Tracks(valid.track_ids, per_track, valid.genres)


@pytest.fixture(scope="module")
def three(data):
    store, bags, valid, _ = data
    return NeuralClassifier(MODEL_OF, THREE).fit(store, bags, valid=valid)


def raw(model, data):
    """Probabilities before the temperature."""
    store, _, valid, tracks = data
    said = model.predict(store, tracks, valid)
    return torch.from_numpy(said.logits * model.temperature).softmax(1).numpy()


def test_means_are_worked_by_hand():
    p = np.array([[[0.9, 0.1]], [[0.2, 0.8]]])
    even = softmax(average(np.log(p) + 5, "softmax"), axis=-1)  # a constant changes nothing
    np.testing.assert_allclose(even, [[0.55, 0.45]])
    np.testing.assert_allclose(expit(average(logit(p), "sigmoid")), p.mean(0))
    np.testing.assert_allclose(np.exp(average(np.log(p), "none")), p.mean(0))
    far = np.array([[[500.0, -500.0]], [[-500.0, 500.0]]])
    np.testing.assert_allclose(softmax(average(far, "softmax"), axis=-1), [[0.5, 0.5]])
    np.testing.assert_allclose(expit(average(far, "sigmoid")), [[0.5, 0.5]])


def test_three_networks_say_the_mean_of_what_each_says(data, three):
    store, bags, valid, _ = data
    assert len(three._networks) == 3
    alone = []
    for settings in members(THREE):
        single = NeuralClassifier(MODEL_OF, replace(settings, n_networks=1))
        alone.append(raw(single.fit(store, bags, valid=valid), data))
    assert not np.allclose(alone[0], alone[1], atol=0.01)
    np.testing.assert_allclose(raw(three, data), np.mean(alone, axis=0), atol=1e-5)


def test_seeds_differ_between_networks_and_between_runs():
    runs = [[one.seed for one in members(replace(THREE, seed=seed))] for seed in range(50)]
    assert [run[0] for run in runs] == list(range(50))
    assert len({seed for run in runs for seed in run}) == 150


def test_the_history_tells_the_networks_apart(data, three):
    store, bags, *_ = data
    numbers = [row["network"] for row in three.history]
    assert numbers == sorted(numbers)
    assert set(numbers) == {1, 2, 3}
    told = []
    NeuralClassifier(MODEL_OF, replace(THREE, epochs=2)).fit(store, bags, progress=told.append)
    assert [(row["network"], row["epoch"]) for row in told] == [
        (number, epoch) for number in (1, 2, 3) for epoch in (1, 2)
    ]
    single = NeuralClassifier(MODEL_OF, ONE).fit(store, bags)
    assert "network" not in single.history[0]


def test_saved_and_loaded_they_predict_the_same(data, three, tmp_path):
    store, _, valid, tracks = data
    three.save(tmp_path)
    loaded = NeuralClassifier.load(tmp_path)
    for explained in (False, True):
        first, second = (
            model.predict(store, tracks, valid, explain=explained) for model in (three, loaded)
        )
        np.testing.assert_allclose(first.logits, second.logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(first.segment_logits, second.segment_logits, rtol=0, atol=1e-5)


def test_attention_is_the_mean_and_exact_parts_are_none(data, three):
    store, _, valid, tracks = data
    said = three.predict(store, tracks, valid, explain=True)
    starts = said.segment_offsets[valid.offsets[:-1]]
    np.testing.assert_allclose(np.add.reduceat(said.attention, starts, axis=0), 1, rtol=1e-5)
    told = explain(said)
    assert np.isfinite(told.attention).all()
    assert np.isnan(told.margins).all()  # no sum over segments


def test_weights_that_do_not_fit_are_refused(three, tmp_path):
    three.save(tmp_path)
    content, arrays = json.loads((tmp_path / MODEL).read_text()), load_file(tmp_path / WEIGHTS)
    head = ("schema", "kind", "weights_sha256", "graph_sha256")
    body = {k: v for k, v in content.items() if k not in head}
    for n_networks, message in (
        (2, r"3\..* is of none of its 2 networks"),
        (10**9, "the weights do not fit"),
    ):
        settings = body["training"] | {"n_networks": n_networks}
        write_model(tmp_path, "neural", body | {"training": settings}, dict(sorted(arrays.items())))
        with pytest.raises(DataError, match=message):
            NeuralClassifier.load(tmp_path)
    write_model(tmp_path, "neural", body, {"x": np.ones(2)})
    with pytest.raises(DataError, match="x is of none of its 3 networks"):
        NeuralClassifier.load(tmp_path)


def test_a_killed_training_of_several_goes_on_to_the_same_bytes(data, three, tmp_path, monkeypatch):
    store, bags, valid, tracks = data
    real, done = training._epoch, []

    def cut(*given, epoch, **more):
        done.append(epoch)
        if len(done) == 9:  # in the third epoch of the second network
            raise KeyboardInterrupt
        return real(*given, epoch=epoch, **more)

    monkeypatch.setattr(training, "_epoch", cut)
    with pytest.raises(KeyboardInterrupt):
        NeuralClassifier(MODEL_OF, THREE).fit(store, bags, valid=valid, checkpoint=tmp_path)
    again = NeuralClassifier(MODEL_OF, THREE).fit(store, bags, valid=valid, checkpoint=tmp_path)
    assert len(done) == 9 + 18 - 8
    first, second = (model.predict(store, tracks, valid).logits for model in (three, again))
    np.testing.assert_array_equal(first, second)
    assert len(again.history) == len(three.history)


def test_heads_of_all_networks_are_tuned(data):
    store, bags, valid, tracks = data
    model = NeuralClassifier(MODEL_OF, replace(THREE, head_tuning="crt", epochs=2))
    model.fit(store, bags, valid=valid)
    assert sum("head tuned by crt" in note for note in model.notes) == 3
    model.predict(store, tracks, Bags.from_tracks(tracks, by="track"), prior="uniform")
