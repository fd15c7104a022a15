"""Schedules against torch's own, clipping against a step written out.

Training in 16 bits, the scaler of the loss, and deterministic algorithms.

The average of the weights against the formula, and what training does with it.
"""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from test_models_training import CPU, FAST, F, G, data, run, weights, without_seconds
from torch import nn

from matt.errors import ConfigError, DataError
from matt.models import reading, training
from matt.models.checkpoint import Checkpoint
from matt.models.device import reproducible
from matt.models.network import build_network
from matt.models.neural import NeuralClassifier
from matt.models.optimisation import (
    WeightAverage,
    autocast,
    check_precision,
    learning_rate,
    make_optimizer,
    make_scaler,
    restore_scaler,
    scaler_state,
    set_learning_rate,
    step,
)
from matt.models.settings import ModelSettings, PoolingName, Schedule, TrainingSettings
from matt.models.training import train
from matt.tracks import Tracks

__all__ = ["data"]  # a fixture
PLAIN = replace(
    FAST, optimizer="sgd", lr=0.1, weight_decay=0.0, epochs=1, max_bags=1000, sub_bags=False,
    weight_average=0.0,
)  # fmt: skip
MODEL = ModelSettings(hidden=(11,), dropout=0.0)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        ("constant", lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0)),
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=13)),
        ("step", lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=4, gamma=0.3)),
    ],
)
def test_schedules_agree_with_torch(schedule, theirs):
    settings = TrainingSettings(
        lr=0.7, schedule=schedule, epochs=13, step_epochs=4, step_factor=0.3
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.7)
    scheduler = theirs(optimizer)
    for epoch in range(1, 14):
        assert learning_rate(settings, epoch=epoch) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_every_epoch_is_trained_with_its_own_rate(data, schedule, monkeypatch):
    seen = []
    real = torch.optim.SGD.step

    def watch(optimizer, *given, **more):
        seen.append(optimizer.param_groups[0]["lr"])
        return real(optimizer, *given, **more)

    monkeypatch.setattr(torch.optim.SGD, "step", watch)
    settings = replace(PLAIN, epochs=5, schedule=schedule, step_epochs=2)
    run(data, settings, valid=False)  # one step an epoch
    assert seen == [learning_rate(settings, epoch=epoch) for epoch in range(1, 6)]
    assert (len(set(seen)) > 1) == (schedule != "constant")


def test_a_rate_reaches_every_group_of_weights():
    network = build_network(MODEL, (F,), G)
    optimizer = make_optimizer(network, PLAIN)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))]})
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


@pytest.mark.parametrize("share", [0.3, 2.0])
def test_a_step_is_no_longer_than_the_clipped_gradient(data, share):
    """A step of plain SGD is the gradient times lr: clipping scales it, or leaves it."""
    with reproducible(PLAIN, CPU):
        start = weights(build_network(MODEL, (F,), G))
    free = weights(run(data, PLAIN, model=MODEL, valid=False)[0]) - start
    norm = float(free.norm()) / PLAIN.lr
    clipped = replace(PLAIN, clip_norm=share * norm)
    short = weights(run(data, clipped, model=MODEL, valid=False)[0]) - start
    torch.testing.assert_close(short, free * min(share, 1.0), rtol=1e-4, atol=1e-7)


def test_clipping_keeps_a_training_alive_that_breaks_down_without(data):
    wild = replace(FAST, optimizer="sgd", lr=1e20, weight_decay=0.0, epochs=2)
    with pytest.raises(DataError, match=r"broke down in epoch 1.*clip_norm"):
        run(data, wild)
    network, history = run(data, replace(wild, clip_norm=1e-20))
    assert len(history) == 2
    assert np.isfinite(weights(network).numpy()).all()


ANY = replace(FAST, device="auto")  # `run` trains on the CPU
HALF = replace(ANY, precision="float16")


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_layers_compute_in_16_bits_and_weights_stay(data, precision):
    seen = []
    settings = replace(ANY, precision=precision, epochs=2)
    network = build_network(MODEL, (5,), 3)
    network.encoder.register_forward_hook(lambda module, _, out: seen.append((module, out.dtype)))
    features, bags, valid = data
    reader = reading.Reader.open(features, np.append(bags.track_ids, valid.track_ids), CPU)
    train(network, reader, bags, settings=settings, history=[], valid=valid)
    expected = {"bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    assert {dtype for _, dtype in seen} == {expected, torch.float32}  # validation is float32
    assert {value.dtype for value in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_an_easy_task_is_learned_in_any_precision(data, precision):
    best = [
        max(row["valid_macro_f1"] for row in run(data, settings)[1])
        for settings in (FAST, replace(ANY, precision=precision))
    ]
    assert min(best) > 0.9


@pytest.mark.parametrize("pooling", get_args(PoolingName))
def test_scores_softmax_and_sums_are_float32_to_the_bit_under_autocast(pooling):
    """From the same embeddings everything behind the encoder is the same with and without it."""
    network = build_network(ModelSettings(encoder="identity", pooling=pooling), (7,), 3).eval()
    h, offsets = torch.randn(11, 7), torch.tensor([0, 2, 3, 11])
    sizes = torch.rand(11)
    torch.nn.init.normal_(network.spread.weight)
    encoded = network.segments(h, sizes)
    expected = network.pool(encoded, offsets)
    with torch.autocast("cpu", torch.bfloat16):
        if not network.pooling.reads_logits:
            found = network._scores(network.inputs(h), sizes, None)
            assert found.dtype == torch.float32
            assert torch.equal(found, encoded.scores)
        for one, other in zip(network.pool(encoded, offsets), expected, strict=True):
            assert one.dtype == torch.float32
            assert torch.equal(one, other)


def test_prediction_of_a_model_trained_in_16_bits_is_float32(data):
    features, bags, valid = data
    trained = NeuralClassifier(MODEL, replace(FAST, precision="bfloat16", epochs=2))
    trained.fit(features, bags, valid=valid)
    tracks = Tracks(valid.track_ids, np.full(len(valid.track_ids), -1), bags.genres)
    expected = trained.predict(features, tracks, valid).logits
    trained.training = replace(trained.training, precision="float32")
    np.testing.assert_array_equal(trained.predict(features, tracks, valid).logits, expected)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_breakdown_in_16_bits_is_noticed(data, precision):
    wild = replace(ANY, precision=precision, optimizer="sgd", lr=1e30, weight_decay=0.0)
    with pytest.raises(DataError, match=r"broke down in epoch 1.*lower lr"):
        run(data, wild)


def test_float16_needs_a_gpu(data, monkeypatch):
    features, bags, valid = data
    message = r"'float16' needs a CUDA device.*'bfloat16'"
    with pytest.raises(ConfigError, match=message):
        replace(HALF, device="cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=message):
        NeuralClassifier(MODEL, HALF).fit(features, bags, valid=valid)
    check_precision("bfloat16", CPU)
    check_precision("float16", torch.device("cuda"))


def test_a_step_with_a_scaler_is_the_step_without():
    """Factors are powers of two, so that scaling and scaling back changes no bit."""
    x = torch.randn(13, 5)

    def stepped(settings, factor):
        torch.manual_seed(3)
        network = torch.nn.Linear(5, 3)
        optimizer = make_optimizer(network, settings)
        scaler = torch.amp.GradScaler("cpu", init_scale=factor, enabled=factor > 1)
        for _ in range(4):
            loss = network(x).square().mean()
            step(loss, network, optimizer, clip_norm=settings.clip_norm, scaler=scaler)
        return torch.cat([value.detach().flatten() for value in network.parameters()])

    for settings in (FAST, replace(FAST, clip_norm=0.1), replace(FAST, optimizer="sgd", lr=0.5)):
        assert torch.equal(stepped(settings, 2.0**10), stepped(settings, 1.0))


def test_a_gradient_that_overflows_costs_one_step_and_halves_the_factor():
    network = torch.nn.Linear(5, 3)
    optimizer, scaler = make_optimizer(network, HALF), make_scaler(HALF, CPU)
    before = [value.detach().clone() for value in network.parameters()]
    loss = network(torch.full((2, 5), 1e36)).sum()
    step(loss, network, optimizer, clip_norm=0.0, scaler=scaler)
    for value, was in zip(network.parameters(), before, strict=True):
        assert torch.equal(value, was)
    assert scaler_state(scaler)["scale"] == 2.0**15
    step(network(torch.ones(2, 5)).sum(), network, optimizer, clip_norm=0.0, scaler=scaler)
    assert not torch.equal(network.weight, before[0])


def test_a_scaler_goes_on_where_it_was():
    one, other = make_scaler(HALF, CPU), make_scaler(HALF, CPU)
    network = torch.nn.Linear(5, 3)
    optimizer = make_optimizer(network, HALF)
    for size in (1e36, 1.0, 1.0):  # halved, then two good steps
        loss = network(torch.full((2, 5), size)).sum()
        step(loss, network, optimizer, clip_norm=0.0, scaler=one)
    assert scaler_state(one)["_growth_tracker"] == 2
    restore_scaler(other, scaler_state(one))
    assert other.state_dict() == one.state_dict() != make_scaler(HALF, CPU).state_dict()
    with pytest.raises(DataError, match=r"scaler of the loss.*move it away"):
        restore_scaler(other, {})
    with pytest.raises(DataError, match=r"scaler of the loss.*move it away"):
        restore_scaler(make_scaler(FAST, CPU), scaler_state(one))


class Killed(Exception):
    """As if the process ended."""


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_killed_training_goes_on_to_the_same_weights(data, precision, tmp_path, monkeypatch):
    """The first factors overflow in float16, so that the state of the scaler decides the steps."""
    monkeypatch.setattr(
        "matt.models.training.make_scaler",
        lambda settings, device: torch.amp.GradScaler(
            device.type, init_scale=2.0**22, growth_interval=3, enabled=precision == "float16"
        ),
    )
    settings = replace(ANY, precision=precision, epochs=6, patience=6)
    features, bags, valid = data
    model = ModelSettings(hidden=(11,), dropout=0.5)
    network = build_network(model, (5,), 3)
    kept = Checkpoint.of(tmp_path, network, features.spec, bags, valid, (model, settings))

    def die(row):
        if row["epoch"] == 3:
            raise Killed

    with pytest.raises(Killed):
        run(data, settings, model=model, checkpoint=kept, progress=die)
    seen = []
    resumed, history = run(data, settings, model=model, checkpoint=kept, progress=seen.append)
    whole, expected = run(data, settings, model=model)
    assert [row["epoch"] for row in seen] == [4, 5, 6]
    assert [row["loss"] for row in history] == [row["loss"] for row in expected]
    assert torch.equal(weights(resumed), weights(whole))


def test_a_scaler_that_forgets_would_end_elsewhere(data, tmp_path, monkeypatch):
    """What the test above could not see otherwise."""
    monkeypatch.setattr("matt.models.training.restore_scaler", lambda scaler, state: None)
    with pytest.raises(AssertionError):
        test_a_killed_training_goes_on_to_the_same_weights(data, "float16", tmp_path, monkeypatch)


def test_deterministic_algorithms_are_used_and_given_back(data, monkeypatch):
    seen = []
    real = torch.optim.AdamW.step

    def watch(optimizer, *given, **more):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return real(optimizer, *given, **more)

    monkeypatch.setattr(torch.optim.AdamW, "step", watch)
    ours = replace(FAST, epochs=1, deterministic=True)
    plain, _ = run(data, replace(ours, deterministic=False))
    assert set(seen) == {False}
    seen.clear()
    strict, _ = run(data, ours)
    assert set(seen) == {True}
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(weights(strict), weights(plain))  # a CPU was deterministic before


def test_what_has_no_deterministic_algorithm_is_told_with_a_remedy():
    target, index = torch.zeros(3), torch.tensor([0, 0])
    strict = replace(FAST, deterministic=True)
    with (
        pytest.raises(ConfigError, match=r"deterministic=true: put_.*deterministic=false"),
        reproducible(strict, CPU),
    ):
        target.put_(index, torch.ones(2), accumulate=False)
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="another"), reproducible(strict, CPU):
        raise RuntimeError("another error")


def test_autocast_is_told_the_precision():
    with autocast(replace(FAST, precision="bfloat16"), CPU):
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        with autocast(FAST, CPU):
            assert not torch.is_autocast_enabled("cpu")


AVERAGED = replace(FAST, weight_average=0.9)


def small(value):
    """A network of one weight and batch normalisation, all its numbers of one value."""
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    for held in network.state_dict().values():
        held.fill_(value)
    return network


def test_the_average_is_worked_by_hand():
    """Decays of 1/10 and, as 2/11 is more, 0.15: 0.1 + 0.9 x 2 = 1.9, 0.15 x 1.9 + 0.85 x 4."""
    average = WeightAverage(small(1), decay=0.15)
    for value, expected in ((2, 1.9), (4, 3.685)):
        average.update(small(value))
        for name, held in average.network.state_dict().items():
            if name == "1.num_batches_tracked":
                assert held.item() == value  # a count is copied
            else:
                assert held.item() == pytest.approx(expected, rel=1e-6), name


def test_without_decay_it_is_the_network_itself():
    network = small(1)
    average = WeightAverage(network, decay=0.0)
    average.update(small(2))
    assert average.network is network
    assert average.state() == {}
    assert network[0].weight.item() == 1


def test_it_goes_on_from_its_state():
    first, second = WeightAverage(small(1), decay=0.9), WeightAverage(small(7), decay=0.9)
    first.update(small(2))
    second.restore(first.state())
    for average in (first, second):
        average.update(small(5))
    assert second.steps == 2
    torch.testing.assert_close(second.state(), first.state(), rtol=0, atol=0)


def test_training_ends_in_the_average_of_what_its_steps_made(data, monkeypatch):
    made = []
    real = training.step

    def step(loss, network, *rest, **given):
        if not made:
            made.append(weights(network).double())
        real(loss, network, *rest, **given)
        made.append(weights(network).double())

    monkeypatch.setattr(training, "step", step)
    network, _ = run(data, AVERAGED, valid=False)
    expected = made[0]
    for t, new in enumerate(made[1:]):
        decay = min(0.9, (t + 1) / (t + 10))
        expected = decay * expected + (1 - decay) * new
    assert len(made) > 30
    torch.testing.assert_close(weights(network).double(), expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(expected, made[-1], rtol=1e-3)


def test_the_weights_that_are_trained_know_nothing_of_it(data):
    plain, averaged = run(data)[1], run(data, AVERAGED)[1]
    assert [row["loss"] for row in averaged] == [row["loss"] for row in plain]
    assert without_seconds(averaged) != without_seconds(plain)  # another one is validated


def test_what_is_validated_is_the_average(data, monkeypatch):
    judged = []
    real = training.validate

    def validate(network, *rest):
        judged.append(weights(network).clone())
        return real(network, *rest)

    monkeypatch.setattr(training, "validate", validate)
    network, history = run(data, AVERAGED)
    f1 = [(row["valid_macro_f1"], -row["valid_loss"]) for row in history]
    torch.testing.assert_close(weights(network), judged[f1.index(max(f1))], rtol=0, atol=0)


def test_batch_normalisation_is_averaged_with_the_weights():
    network = build_network(ModelSettings(encoder="crnn", recurrent_units=3), (96, 128), G)
    average = WeightAverage(network, decay=0.5)
    assert set(average.state()) == {"steps", *network.state_dict()}
    assert average.network.encoder is not network.encoder
