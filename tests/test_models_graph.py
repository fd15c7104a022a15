"""Saved networks say the same through their graph as torch does, whatever they are made of."""

from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch

from matt.bags import Bags
from matt.features.store import FeatureStore
from matt.models.network import BagNetwork, build_network
from matt.models.neural import NeuralClassifier
from matt.models.registry import EncoderName, PoolingName
from matt.models.saving import link_of
from matt.models.settings import InputsName, ModelSettings, TrainingSettings
from matt.tracks import Tracks

COUNTS = [2, 1, 3, 1, 4, 1, 2]  # 14 segments of 7 tracks
IDS = np.arange(7) * 3 + 1
ALBUMS = [5, 5, 6, 6, 6, 8, 9]
GENRES = ("Rock", "Folk", "Noise")
VECTOR, MAP = (7,), (23, 54)  # sizes that no pool divides
HEADS = {"linear": {}, "mlp": {"head": "mlp", "head_hidden": 9}, "tanh": {"tanh_pooled": True}}


def problem(shape, labels):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((sum(COUNTS), *shape)).astype(np.float32)
    tracks = Tracks(IDS, labels, GENRES, ALBUMS, album_id=ALBUMS)
    store = FeatureStore.from_arrays("toy", IDS, values, offsets=np.cumsum([0, *COUNTS]))
    return tracks, store


def awake(network: BagNetwork, *, seed):
    """Weights as after a long training: scales that start at 0, statistics of batches, a spread."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.startswith("inputs.") or not value.dtype.is_floating_point:
            continue
        drawn = torch.randn(value.shape, generator=generator)
        if name.endswith("scale") or name.startswith("spread"):
            value.copy_(0.7 + 0.2 * drawn)
        elif "running_mean" in name or "bias" in name:
            value.add_(0.1 * drawn)
        elif value.ndim == 2:
            value.mul_(6.0 if name.startswith("classifier") else 2.0)
        elif "running_var" in name:
            value.copy_(1 + 0.3 * drawn.abs())


def saved(model_settings, folder, *, n_networks=1, several=False):
    """A model as it was fitted, and as it is opened again, with what both are asked of."""
    shape = MAP if model_settings.reads_maps else VECTOR
    labels = np.arange(7) % 3
    if several:
        labels = np.eye(3, dtype=bool)[labels] | (np.arange(7) % 4 == 0)[:, None]
    tracks, store = problem(shape, labels)
    bags = Bags.from_tracks(tracks)
    training = TrainingSettings(n_networks=n_networks, max_segments=5)
    model = NeuralClassifier(model_settings, training)
    model.genres, model.train_counts, model.spec = GENRES, bags.train_counts, store.spec
    model.link = link_of(bags, model_settings)
    model._networks = [build_network(model_settings, shape, len(GENRES)) for _ in range(n_networks)]
    for number, network in enumerate(model._networks):
        awake(network, seed=number)
    model.save(folder)
    return model, NeuralClassifier.load(folder), (store, tracks, bags)


def assert_alike(model, opened, asked):
    assert opened._graph is not None
    assert not opened._networks
    here, there = (one.predict(*asked, explain=True) for one in (model, opened))
    for name in ("logits", "attention", "segment_logits", "segment_offsets"):
        np.testing.assert_allclose(
            getattr(there, name), getattr(here, name), rtol=0, atol=1e-4, err_msg=name
        )
    assert np.ptp(here.logits, axis=0).min() > 1e-3  # ten times what may differ
    inside, found = (one.embed(*asked, network=0) for one in (model, opened))
    np.testing.assert_allclose(found.embeddings, inside.embeddings, rtol=0, atol=1e-4)


ENCODERS, POOLINGS = get_args(EncoderName), get_args(PoolingName)
SMALL = {"hidden": (11,), "recurrent_units": 5, "attention_dim": 6}
MADE_OF = dict.fromkeys(
    [
        *product(ENCODERS, POOLINGS, ["linear"]),
        *product(["mlp"], POOLINGS, HEADS),
        *product(ENCODERS, ["dot", "max"], HEADS),
    ]
)


@pytest.mark.parametrize(("encoder", "pooling", "head"), MADE_OF)
def test_a_graph_says_what_its_networks_said(tmp_path, encoder, pooling, head):
    given = ModelSettings(encoder=encoder, pooling=pooling, **SMALL, **HEADS[head])
    assert_alike(*saved(given, tmp_path))


@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize("several", [False, True], ids=["one genre", "several"])
@pytest.mark.parametrize("inputs", get_args(InputsName))
@pytest.mark.parametrize("spread", [False, True], ids=["mean", "spread"])
def test_so_do_several_networks_and_other_inputs(tmp_path, n_networks, several, inputs, spread):
    given = ModelSettings(inputs=inputs, spread=spread, pooling="additive", **SMALL)
    assert_alike(*saved(given, tmp_path, n_networks=n_networks, several=several))
