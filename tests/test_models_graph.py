"""Saved networks say the same through their graph as torch does, whatever they are made of."""

import copy
import hashlib
import json
import pickle
import shutil
import sys
from itertools import product
from types import SimpleNamespace
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file
from scipy.special import ndtri

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.features.store import FeatureStore
from matt.models.arrays import NetworkArrays, normal_score, ranked
from matt.models.exported import export_model
from matt.models.graph import Networks
from matt.models.network import BagNetwork, BagSpread, Encoded, Quantiles, build_network
from matt.models.neural import NeuralClassifier
from matt.models.pooling import Max, Mean, Pooling, bag_index
from matt.models.registry import EncoderName, PoolingName
from matt.models.saving import GRAPH, MODEL, WEIGHTS, link_of, write_model
from matt.models.settings import InputsName, ModelSettings, TrainingSettings
from matt.models.written import write_graph
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
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model._networks = [
            build_network(model_settings, shape, len(GENRES)) for _ in range(n_networks)
        ]
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
    made_of = ModelSettings(encoder=encoder, pooling=pooling, **SMALL, **HEADS[head])
    assert_alike(*saved(made_of, tmp_path))


@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize("several", [False, True], ids=["one genre", "several"])
@pytest.mark.parametrize("inputs", get_args(InputsName))
@pytest.mark.parametrize("spread", [False, True], ids=["mean", "spread"])
def test_so_do_several_networks_and_other_inputs(tmp_path, n_networks, several, inputs, spread):
    made_of = ModelSettings(inputs=inputs, spread=spread, pooling="additive", **SMALL)
    assert_alike(*saved(made_of, tmp_path, n_networks=n_networks, several=several))


def run_export(path, values, sizes):
    """Probabilities of one bag by onnxruntime alone, of tracks of so many segments."""
    session = onnxruntime.InferenceSession(path)
    track = np.repeat(np.arange(len(sizes)) * 7 - 3, sizes)
    (found,) = session.run(None, {"segments": values, "track": track})
    return found


EXPORTED = dict.fromkeys(
    [
        *product(["mlp"], POOLINGS, HEADS),
        *product(ENCODERS, ["dot"], ["linear"]),
    ]
)


@pytest.mark.parametrize(("encoder", "pooling", "head"), EXPORTED)
def test_one_file_says_the_probabilities_of_a_bag(tmp_path, encoder, pooling, head):
    made_of = ModelSettings(encoder=encoder, pooling=pooling, **SMALL, **HEADS[head])
    model, opened, asked = saved(made_of, tmp_path)
    compare_export(model, opened, asked, tmp_path / "bag.onnx")


@pytest.mark.parametrize("several", [False, True], ids=["one genre", "several"])
@pytest.mark.parametrize("inputs", ["standard", "quantile"])
def test_it_does_so_for_several_networks(tmp_path, inputs, several):
    made_of = ModelSettings(inputs=inputs, pooling="abmil", **SMALL)
    model, opened, asked = saved(made_of, tmp_path, n_networks=3, several=several)
    compare_export(model, opened, asked, tmp_path / "bag.onnx")


def compare_export(model, opened, asked, path):
    store, tracks, bags = asked
    for one in (model, opened):
        export_model(one, path)
        said = one.predict(store, tracks, bags)
        wanted = said.logits if one.link == "none" else said.probabilities
        for number in range(len(bags)):
            ids = bags.take([number]).track_ids
            values, offsets = store.read(ids)
            found = run_export(path, values.astype(np.float32), np.diff(offsets))
            np.testing.assert_allclose(found, wanted[number], rtol=0, atol=2e-5)
    told = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(told["genres"]) == list(GENRES)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    made_of = ModelSettings(pooling="dot", hidden=(3,))
    return folder, *saved(made_of, folder)


@given(data=st.data())
def test_any_ragged_bags_are_pooled_as_torch_does(data):
    """Scores, values and sizes of any kind, by either way of pooling."""
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    per_bag = data.draw(st.integers(1, len(sizes)))
    n, counts = sum(sizes), np.array(sizes)
    numbers = st.floats(-50, 50, width=32)
    columns = data.draw(st.sampled_from([1, 3]))
    scores = data.draw(arrays(np.float32, (n, columns), elements=numbers))
    values = data.draw(arrays(np.float32, (n, 3), elements=numbers))
    inputs = data.draw(arrays(np.float32, (n, 2), elements=st.floats(-3, 3, width=32)))
    weight = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    highest = columns == 3 and data.draw(st.booleans())
    ends = np.concatenate([[0], np.cumsum(counts)])
    offsets = ends[sorted({0, *range(0, len(sizes), per_bag), len(sizes)})]
    log_sizes = np.log(np.repeat(counts, counts)).astype(np.float32)
    part = NetworkArrays((), (), weight, False, highest)
    found = part.pool(scores, values, inputs, log_sizes, offsets)
    network = BagNetwork(
        torch.nn.Identity(),
        torch.nn.Identity(),
        Max() if highest else Mean(),
        torch.nn.Identity(),
        spread=BagSpread(2, 3),
    ).eval()
    with torch.no_grad():
        network.spread.weight.copy_(torch.from_numpy(weight))
        shifted = values if highest else scores - log_sizes[:, None]
        given_ = map(torch.from_numpy, (shifted, values, inputs, log_sizes, inputs[:, :0]))
        encoded, where = Encoded(*given_), torch.from_numpy(offsets)
        logits, attention = network.pool(encoded, where)
        spread = network.spread_logits(encoded, where)[bag_index(where)]
    np.testing.assert_allclose(found[0], logits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[1], attention, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[2], torch.from_numpy(values) + spread, rtol=0, atol=1e-4)


@given(data=st.data())
def test_inputs_are_ranked_as_torch_does(data):
    """Tables with equal quantiles and constants, values between, upon and beyond them."""
    few = st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0, 1e30])
    table = np.sort(data.draw(arrays(np.float32, (2, 257), elements=few)), axis=1)
    x = data.draw(arrays(np.float32, (5, 2), elements=few | st.floats(-4, 4, width=32)))
    module = Quantiles((2,))
    module.table = torch.from_numpy(table)
    np.testing.assert_allclose(ranked(x, table), module(torch.from_numpy(x)), rtol=0, atol=2e-5)


def test_normal_scores_are_those_of_scipy():
    p = np.concatenate([np.geomspace(1e-10, 0.5, 999), 1 - np.geomspace(1e-10, 0.5, 999)])
    np.testing.assert_allclose(normal_score(p), ndtri(p), rtol=1e-13, atol=1e-14)


def test_a_graph_spoilt_at_any_byte_is_refused(small, tmp_path):
    folder, *_ = small
    shutil.copytree(folder, tmp_path / "model")
    file = tmp_path / "model" / GRAPH
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"is not the file that model.json .* copy the whole"):
            NeuralClassifier.load(tmp_path / "model")
    file.unlink()
    with pytest.raises(DataError, match=r"has no model.onnx; copy the whole model folder"):
        NeuralClassifier.load(tmp_path / "model")


def planted(folder, path, graph):
    """The model with another graph, whose digest it gives."""
    shutil.copytree(folder, path)
    (path / GRAPH).write_bytes(graph)
    content = json.loads((path / MODEL).read_text())
    content["graph_sha256"] = hashlib.sha256(graph).hexdigest()
    (path / MODEL).write_text(json.dumps(content))
    return path


@given(place=st.integers(0), change=st.integers(1, 255))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_spoilt_graph_with_its_digest_is_refused_or_runs(small, place, change):
    """Whoever gives the digest, too, gets an error in words, or numbers: nothing else happens."""
    folder, _, opened, asked = small
    whole = bytearray((folder / GRAPH).read_bytes())
    whole[place % len(whole)] ^= change
    graph = opened._graph
    try:
        made = Networks.open(
            bytes(whole),
            graph.arrays,
            opened.model,
            VECTOR,
            len(GENRES),
            n_networks=1,
            most_segments=5,
            place=folder / GRAPH,
        )
    except DataError:
        pass
    else:
        made.say(asked[0], asked[2], link="softmax")


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def operator(model):
    model.graph.node[0].op_type = "Loop"


def domain(model):
    model.opset_import.add(domain="com.microsoft", version=1)


def of_domain(model):
    model.graph.node[0].domain = "com.microsoft"


def function(model):
    model.functions.add(name="f", domain="local")


def nested(model):
    model.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    model.graph.node[0].attribute[-1].g.name = "inner"


def narrow(model):
    model.graph.output[1].name = model.graph.node[-2].output[0] = "other"


@pytest.mark.parametrize(
    "change", [external, operator, domain, of_domain, function, nested, narrow]
)
def test_what_is_never_written_is_refused(small, tmp_path, change):
    model = onnx.load_from_string((small[0] / GRAPH).read_bytes())
    change(model)
    path = planted(small[0], tmp_path / "model", model.SerializeToString())
    with pytest.raises(DataError, match=r"model.onnx .* copy the whole model folder again"):
        NeuralClassifier.load(path)


def test_a_graph_is_no_larger_than_its_weights_explain(small, tmp_path):
    whole = (small[0] / GRAPH).read_bytes()
    path = planted(small[0], tmp_path / "model", whole + bytes(2**25))
    with pytest.raises(DataError, match=r"has [\d,]+ bytes, more than"):
        NeuralClassifier.load(path)


def test_weights_beside_the_graph_have_to_fit(small, tmp_path):
    shutil.copytree(small[0], tmp_path / "model")
    weights = load_file(tmp_path / "model" / WEIGHTS)
    content = json.loads((tmp_path / "model" / MODEL).read_text())
    body = {key: value for key, value in content.items() if not key.endswith("sha256")}
    weights["inputs.table"] = np.ones((4, 257), np.float32)
    graph = (small[0] / GRAPH).read_bytes()
    write_model(tmp_path / "model", "neural", body, weights, graph=graph)
    with pytest.raises(DataError, match=r"inputs.table has the shape \(4, 257\), expected \(7"):
        NeuralClassifier.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (None, "onnxruntime is needed, and cannot be imported"),
        (SimpleNamespace(__version__="1.9.0"), "onnxruntime 1.9.0 is too old, 1.20 or newer"),
    ],
)
def test_the_runtime_is_missing_or_too_old(small, monkeypatch, fake, message):
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    with pytest.raises(ConfigError, match=message) as found:
        NeuralClassifier.load(small[0])
    assert "pip install" in str(found.value).rpartition(";")[2]


def test_an_opened_model_can_go_to_another_process(small):
    _, _, opened, asked = small
    again = pickle.loads(pickle.dumps(opened))
    one, two = (model.predict(*asked).logits for model in (opened, again))
    np.testing.assert_array_equal(one, two)


class Squared(Pooling):
    """A pooling with a layer and an attention of its own."""

    def attention(self, scores, offsets):
        return super().attention(scores.square(), offsets)

    def forward(self, h, genre=None):
        return h[:, :1]


def test_what_cannot_be_written_stays_with_torch(small, tmp_path):
    _, model, _, _ = small
    network = copy.deepcopy(model._networks[0])
    network.pooling = Squared()
    assert write_graph([network], VECTOR) is None
    other = copy.copy(model)
    other._networks = [network]
    other.save(tmp_path / "model")
    assert not (tmp_path / "model" / GRAPH).exists()
    with pytest.raises(ConfigError, match=r"attention of its own\); export one without plug-ins"):
        export_model(other, tmp_path / "bag.onnx")
