"""Values through the inputs once: the same numbers, and the network as it was afterwards."""

import numpy as np
import pytest
import torch

from matt.bags import Bags
from matt.features.store import FeatureStore
from matt.models import fitting
from matt.models.neural import NeuralClassifier
from matt.models.reading import inputs_once
from matt.models.settings import ModelSettings, TrainingSettings
from matt.models.training import prepare
from matt.tracks import Tracks

CPU = torch.device("cpu")


def data(shape=(5,)):
    """Forty tracks on twenty albums, two segments each."""
    album = np.arange(40) // 2
    tracks = Tracks(np.arange(40), album % 2, ("a", "b"), album_id=album, artist_id=album)
    values = np.random.default_rng(0).lognormal(size=(80, *shape)).astype(np.float16)
    store = FeatureStore.from_arrays("toy", tracks.track_id, values, np.arange(0, 81, 2))
    return tracks, store, Bags.from_tracks(tracks, by="album")


@pytest.mark.parametrize("inputs", ["standard", "quantile"])
@pytest.mark.parametrize("n_at_once", [1, 3, 1000])
def test_the_values_are_those_of_the_inputs(inputs, n_at_once, monkeypatch):
    monkeypatch.setattr("matt.models.reading._PART", 5 * n_at_once)
    _, store, bags = data()
    network, reader = prepare(store, bags, None, ModelSettings(inputs=inputs), CPU)
    learned = network.inputs
    raw, offsets = reader.read(bags.track_ids[::-1].copy())
    with inputs_once(network, reader) as ready:
        found, where = ready.read(bags.track_ids[::-1].copy())
        torch.testing.assert_close(network.inputs(found), learned(raw), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(where, offsets)
    assert network.inputs is learned
    assert reader.memory.dtype == torch.float16  # as it was


def test_the_network_is_whole_after_an_error():
    _, store, bags = data()
    network, reader = prepare(store, bags, None, ModelSettings(), CPU)
    learned = network.inputs
    with pytest.raises(RuntimeError, match="stop"), inputs_once(network, reader):
        raise RuntimeError("stop")
    assert network.inputs is learned


@pytest.mark.parametrize(("shape", "settings"), [((5,), {}), ((8, 130), {"encoder": "lstm"})])
def test_a_model_is_the_same_with_and_without(shape, settings, monkeypatch):
    tracks, store, bags = data(shape)
    model = ModelSettings(**settings, hidden=(7,), recurrent_units=3)
    training = TrainingSettings(epochs=3, max_bags=6)
    learn, valid = bags.take(np.arange(14)), bags.take(np.arange(14, 20))
    once = NeuralClassifier(model, training).fit(store, learn, valid=valid)
    monkeypatch.setattr("matt.models.reading.IN_MEMORY_BYTES", 0)
    told = []
    monkeypatch.setattr(fitting, "train", spied(fitting.train, told))
    always = NeuralClassifier(model, training).fit(store, learn, valid=valid)
    assert told == [type(always._networks[0].inputs)]  # nothing was left out
    for one, other in zip(
        once._networks[0].state_dict().values(), always._networks[0].state_dict().values(), strict=True
    ):  # fmt: skip
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        once.predict(store, tracks, bags).logits,
        always.predict(store, tracks, bags).logits,
        atol=1e-5,
    )


def spied(train, told):
    def spy(network, *args, **kwargs):
        told.append(type(network.inputs))
        return train(network, *args, **kwargs)

    return spy
