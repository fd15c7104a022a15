"""A GPU trains and predicts what the CPU does.

``make check-gpu`` runs these. With ``MATT_TEST_DEVICE=cpu`` (or ``mps``) they run on another device,
where most of what they compare is the same by construction: a rehearsal of the tests, not of a GPU.
"""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ranks import keep, kept, launch
from test_models_distributed import CASES, DOT, PLAIN, data, place, train_crnn
from test_models_training import problem

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.features.spec import FeatureSpec
from matt.features.store import FeatureStore
from matt.models import reading
from matt.models.device import find_device
from matt.models.distributed import Ranks
from matt.models.encoders import ENCODERS
from matt.models.network import build_network
from matt.models.neural import NeuralClassifier
from matt.models.optimisation import autocast, make_optimizer, make_scaler, step
from matt.models.pooling import POOLINGS
from matt.models.reading import Reader
from matt.models.settings import MAP_ENCODERS, ModelSettings, TrainingSettings
from matt.tracks import Tracks

HERE = "test_models_gpu"
DEVICE = os.environ.get("MATT_TEST_DEVICE", "cuda")
CUDA = torch.cuda.is_available()
needs_cuda = pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not CUDA, reason="needs a CUDA device"),
]

MAPS = (32, 64)  # mel bands and frames: narrow ones
# AdamW makes full steps of gradients that are rounding alone; plain SGD makes none of them.
SGD = TrainingSettings(optimizer="sgd", lr=0.05, epochs=3, max_bags=7, weight_average=0.9)
EVERY = [
    *(("mlp", pooling) for pooling in POOLINGS),
    ("identity", "dot"),
    *((encoder, pooling) for encoder in MAP_ENCODERS for pooling in ("mean", "dot", "abmil")),
]
PRECISIONS = ["bfloat16", *(["float16"] if DEVICE == "cuda" else [])]

assert {encoder for encoder, _ in EVERY} == {*ENCODERS}


@pytest.fixture(autouse=True)
def _whole_float32():
    """Let a GPU keep all bits of float32, which it rounds to 10 in convolutions otherwise."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def maps():
    """Bags of log-mels, whose genre is a loud band."""
    bags, ids, _, offsets = problem(13)
    rng = np.random.default_rng(0)
    genre = np.repeat(np.repeat(bags.labels, bags.sizes), np.diff(offsets))
    values = rng.standard_normal((offsets[-1], *MAPS)) + 3 * np.eye(3, MAPS[0])[genre][..., None]
    return FeatureStore.from_arrays("maps", ids, values, offsets), bags, None


def given(encoder):
    return maps() if encoder in MAP_ENCODERS else data()


def model_of(encoder, pooling="mean"):
    return ModelSettings(encoder=encoder, pooling=pooling, hidden=(11,), dropout=0.0)


def fit(some, model, settings, device=DEVICE, **more):
    features, bags, valid = some
    classifier = NeuralClassifier(model, replace(settings, device=device))
    return classifier.fit(features, bags, valid=valid, **more)


def predict(classifier, some, **more):
    features, bags, _ = some
    tracks = Tracks(bags.track_ids, np.full(len(bags.track_ids), -1), bags.genres)
    return classifier.predict(features, tracks, bags, **more)


def column(classifier, name):
    return np.array([row[name] for row in classifier.history])


def device_of(classifier):
    (found,) = {p.device.type for network in classifier._networks for p in network.parameters()}
    return found


@pytest.mark.parametrize(("encoder", "pooling"), EVERY)
def test_every_encoder_and_pooling_learns_on_the_gpu_what_it_does_on_the_cpu(encoder, pooling):
    some, model = given(encoder), model_of(encoder, pooling)
    there, here = (fit(some, model, SGD, device) for device in (DEVICE, "cpu"))
    assert (device_of(there), device_of(here)) == (DEVICE, "cpu")
    np.testing.assert_allclose(column(there, "loss"), column(here, "loss"), rtol=1e-3)
    np.testing.assert_allclose(
        predict(there, some).logits, predict(here, some).logits, rtol=1e-3, atol=5e-3
    )


@pytest.mark.parametrize("name", [name for name in CASES if name != "breaks down"])
def test_every_kind_of_training_does_on_the_gpu_what_it_does_on_the_cpu(name):
    model, settings = CASES[name]
    some = data(several=name == "several genres")
    there, here = (fit(some, model, settings, device) for device in (DEVICE, "cpu"))
    assert len(there.history) == len(here.history)
    for key in ("loss", "valid_loss"):
        np.testing.assert_allclose(column(there, key), column(here, key), rtol=1e-3, atol=1e-4)
    assert there.temperature == pytest.approx(here.temperature, rel=1e-2)


@pytest.mark.parametrize(
    "more",
    [
        {"mix": 0.3},
        {"sampler": "balanced"},
        {"head_tuning": "tau_norm", "logit_adjustment": 0.0},
        {"sub_bags": False, "validate": "average"},
        {"schedule": "cosine", "clip_norm": 0.5},
    ],
    ids=str,
)
def test_what_is_drawn_and_tuned_is_the_same_on_the_gpu(more):
    settings = replace(SGD, **more)
    there, here = (fit(data(), DOT, settings, device) for device in (DEVICE, "cpu"))
    np.testing.assert_allclose(column(there, "loss"), column(here, "loss"), rtol=1e-3)
    np.testing.assert_allclose(
        predict(there, data()).logits, predict(here, data()).logits, rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_model_of_the_gpu_predicts_and_explains_the_same_on_the_cpu(tmp_path, encoder):
    some = given(encoder)
    there = fit(some, model_of(encoder, "dot"), SGD)
    there.save(tmp_path / "model")
    here = NeuralClassifier.load(tmp_path / "model")
    assert (device_of(there), device_of(here)) == (DEVICE, "cpu")
    said, again = (predict(one, some, explain=True) for one in (there, here))
    for name in ("logits", "segment_logits", "attention"):
        np.testing.assert_allclose(
            getattr(again, name), getattr(said, name), rtol=1e-4, atol=1e-4, err_msg=name
        )


@pytest.fixture
def _no_step_left_out(monkeypatch):
    """Begin with a factor of the loss at which nothing overflows in float16."""
    monkeypatch.setattr("matt.models.training.make_scaler", small_scaler)


def small_scaler(settings, device):
    is_half = settings.precision == "float16"
    return torch.amp.GradScaler(device.type, init_scale=2.0**8, enabled=is_half)


@pytest.mark.usefixtures("_no_step_left_out")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_training_in_16_bits_is_finite_and_near_float32(encoder, precision):
    some, model = given(encoder), model_of(encoder, "dot")
    whole = fit(some, model, SGD)
    half = fit(some, model, replace(SGD, precision=precision))
    assert half.notes == whole.notes  # none of them says that training broke down
    for network in half._networks:
        assert all(value.dtype == torch.float32 for value in network.parameters())
        assert all(bool(value.isfinite().all()) for value in network.state_dict().values())
    np.testing.assert_allclose(column(half, "loss"), column(whole, "loss"), rtol=0.05)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_gradients_in_16_bits_point_where_those_of_float32_do(encoder, precision):
    features, bags, _ = given(encoder)
    device = torch.device(DEVICE)
    x = torch.from_numpy(features.read(bags.track_ids)[0]).to(device, torch.float32)
    labels = torch.arange(len(x), device=device) % 3
    gradients = []
    for chosen in ("float32", precision):
        torch.manual_seed(0)
        network = build_network(model_of(encoder), features.spec.shape, 3).to(device).train()
        settings = TrainingSettings(device=DEVICE, precision=chosen)
        scaler = small_scaler(settings, device)
        with autocast(settings, device):
            alone = torch.arange(len(x) + 1, device=device), torch.zeros(len(x), device=device)
            logits = network(x, *alone).logits
        assert logits.dtype == torch.float32
        loss = torch.nn.functional.cross_entropy(logits, labels)
        scaler.scale(loss).backward()
        scaler.unscale_(torch.optim.SGD(network.parameters(), lr=0.1)) if scaler.is_enabled() else 0
        gradients.append(
            torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        )
    whole, half = gradients
    assert half.isfinite().all()
    assert torch.nn.functional.cosine_similarity(whole, half, dim=0) > 0.98


def test_float16_leaves_out_a_step_that_overflows():
    device = torch.device(DEVICE)
    settings = TrainingSettings(device="auto", precision="float16", optimizer="sgd")
    network = torch.nn.Linear(5, 3).to(device)
    optimizer = make_optimizer(network, settings)
    scaler = torch.amp.GradScaler(DEVICE, init_scale=2.0**16)
    before = network.weight.detach().clone()
    for size, moves in ((1e36, False), (1.0, True)):
        loss = network(torch.full((2, 5), size, device=device)).sum()
        step(loss, network, optimizer, clip_norm=1.0, scaler=scaler)
        assert torch.equal(network.weight, before) != moves
    assert scaler.get_scale() == 2.0**15


class Killed(Exception):
    """As if the process ended."""


@pytest.mark.parametrize("precision", ["float32", *PRECISIONS])
@pytest.mark.parametrize("encoder", ["mlp", "crnn"])
def test_a_killed_training_goes_on_to_the_same_model(tmp_path, encoder, precision):
    some = given(encoder)
    model = replace(model_of(encoder), dropout=0.3)  # drawn on the GPU
    settings = replace(SGD, precision=precision, epochs=5)

    def die(row):
        if row["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        fit(some, model, settings, checkpoint=tmp_path, progress=die)
    seen = []
    resumed = fit(some, model, settings, checkpoint=tmp_path, progress=seen.append)
    whole = fit(some, model, settings)
    assert [row["epoch"] for row in seen] == [3, 4, 5]
    # Sums in another order round differently, and 16 bits make much of that.
    rtol = 1e-4 if precision == "float32" else 1e-2
    np.testing.assert_allclose(column(resumed, "loss"), column(whole, "loss"), rtol=rtol)
    np.testing.assert_allclose(
        predict(resumed, some).logits, predict(whole, some).logits, rtol=rtol, atol=10 * rtol
    )


@needs_cuda
def test_a_training_of_the_cpu_is_not_taken_up_by_the_gpu(tmp_path):
    fit(data(), PLAIN, SGD, "cpu", checkpoint=tmp_path)
    with pytest.raises(DataError, match="device"):
        fit(data(), PLAIN, replace(SGD, epochs=4), DEVICE, checkpoint=tmp_path)


@pytest.mark.parametrize("encoder", ["mlp", "crnn"])
def test_values_of_the_store_and_of_memory_are_the_same_on_the_gpu(encoder):
    features, bags, _ = given(encoder)
    device = torch.device(DEVICE)
    parts = [bags.track_ids[start : start + 5] for start in range(0, len(bags.track_ids), 5)]
    kept, read = (
        Reader.open(features, bags.track_ids, device, max_bytes=size) for size in (2**30, 0)
    )
    assert (kept.memory is None, read.memory is None) == (False, True)
    for (one, offsets), (other, others) in zip(kept.each(parts), read.each(parts), strict=True):
        assert one.device.type == other.device.type == DEVICE
        assert torch.equal(one, other)
        np.testing.assert_array_equal(offsets, others)


def train_twice(rank, out):
    """Equal seeds, in a process that has not touched the GPU before."""
    for encoder, pooling in (("mlp", "mean"), ("mlp", "max"), ("mlp", "dot"), ("crnn", "dot")):
        settings = replace(SGD, optimizer="adamw", lr=0.01, deterministic=True)
        model = replace(model_of(encoder, pooling), dropout=0.3)
        try:
            for number in range(2):
                fitted = fit(given(encoder), model, settings)
                keep(fitted, Path(out) / f"{encoder}-{pooling}-{number}")
        except ConfigError as error:  # what has no deterministic algorithm is refused
            (Path(out) / f"{encoder}-{pooling}.refused").write_text(str(error))


def test_deterministic_trainings_end_with_the_same_bytes_or_are_refused(tmp_path):
    for output, code in launch(tmp_path, HERE, "train_twice", tmp_path, size=1):
        assert code == 0, output
    refused = [path.read_text() for path in tmp_path.glob("*.refused")]
    assert all("deterministic=true" in text for text in refused)
    assert not list(tmp_path.glob("mlp*.refused")), refused
    firsts = sorted(tmp_path.glob("*-0.npz"))
    assert len(firsts) + len(refused) == 4
    for first in firsts:
        weights, columns, _ = kept(first)
        others, again, _ = kept(first.with_name(first.name.replace("-0", "-1")))
        assert str(columns) == str(again)
        assert all((others[name] == weights[name]).all() for name in weights), first.stem


@needs_cuda
@pytest.mark.parametrize("encoder", ["crnn", "crnn_tf", "lstm"])
def test_a_step_takes_about_the_memory_that_its_segments_were_chosen_for(encoder):
    device, spec = torch.device("cuda"), FeatureSpec.logmel()
    network = build_network(ModelSettings(encoder=encoder), spec.shape, 16).to(device).train()
    settings = reading.settled(TrainingSettings(device="cuda"), network)
    n = settings.max_segments
    x = torch.randn(n, *spec.shape, device=device)
    optimizer = make_optimizer(network, settings)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    offsets, alone = torch.arange(n + 1, device=device), torch.zeros(n, device=device)
    loss = network(x, offsets, alone).logits.square().mean()
    step(loss, network, optimizer, clip_norm=0.0, scaler=make_scaler(settings, device))
    taken = torch.cuda.max_memory_allocated() - before
    assert reading.BUDGET / 8 < taken < 2 * reading.BUDGET


@needs_cuda
def test_the_gpu_is_found_by_its_names_and_no_other_is():
    assert find_device("auto").type == find_device("cuda").type == "cuda"
    assert find_device("cuda:0").index == 0
    with pytest.raises(ConfigError, match=r"cuda:99.*not available"):
        find_device("cuda:99")


def train_crnn_on_one_gpu(rank, folder, name, max_bags):
    os.environ["LOCAL_RANK"] = "0"
    torch.backends.cudnn.allow_tf32 = False
    train_crnn(rank, folder, name, max_bags)


@needs_cuda
@pytest.mark.parametrize("max_bags", [7, 1])  # 1: one rank has no bag
@pytest.mark.parametrize("name", ["crnn", "crnn_tf"])
def test_two_processes_on_one_gpu_share_batch_normalisation(tmp_path, name, max_bags):
    """NCCL wants a GPU a process; gloo carries what lies on one between two."""
    here = tmp_path, name, max_bags
    for output, code in launch(tmp_path, HERE, "train_crnn_on_one_gpu", *here):
        assert code == 0, output
    train_crnn("alone", *here)
    _, columns, _ = kept(place(tmp_path, "crnn", "alone"))
    weights = [kept(place(tmp_path, "crnn", rank)) for rank in (0, 1)]
    for _, theirs, _ in weights:
        np.testing.assert_allclose(theirs["loss"], columns["loss"], rtol=1e-3)
    assert all((weights[0][0][key] == weights[1][0][key]).all() for key in weights[0][0])


def sum_through_nccl(rank):
    """One process as if it were the first of two: its sums are its own, and go through NCCL."""
    device = torch.device("cuda", 0)
    torch.cuda.set_device(device)
    ranks = Ranks(rank, 2)
    network = torch.nn.Linear(5, 3).to(device)
    network(torch.ones(2, 5, device=device)).sum().backward()
    before = [value.grad.clone() for value in network.parameters()]
    ranks.sum_gradients(network)
    for value, was in zip(network.parameters(), before, strict=True):
        assert torch.equal(value.grad, was)
    assert ranks.total(torch.tensor(1.5, device=device)) == 1.5
    assert ranks.first(lambda: {"x": [1.0, math.inf]}) == {"x": [1.0, math.inf]}
    shared = ranks.adapt(build_network(model_of("crnn"), MAPS, 3), device).to(device).train()
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in shared.modules())
    assert dist.get_world_size() == 1


@needs_cuda
@pytest.mark.skipif(not dist.is_nccl_available(), reason="torch was built without NCCL")
def test_gradients_go_through_nccl(tmp_path):
    for output, code in launch(
        tmp_path, HERE, "sum_through_nccl", size=1, backend="cpu:gloo,cuda:nccl"
    ):
        assert code == 0, output


def test_bags_of_a_batch_may_be_few_on_the_gpu():
    """One bag, one track, one segment: no dimension is lost on the way."""
    features, bags, _ = data()
    alone = Bags(bags.track_ids[:1], [0, 1], [0], genres=bags.genres)
    fitted = fit(data(), DOT, SGD)
    assert predict(fitted, (features, alone, None)).logits.shape == (1, 3)
