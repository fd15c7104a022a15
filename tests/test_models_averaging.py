"""The average of the weights against the formula, and what training does with it."""

from dataclasses import replace

import pytest
import torch
from test_models_training import FAST, G, data, run, weights, without_seconds
from torch import nn

from matt.models import training
from matt.models.network import build_network
from matt.models.optimisation import WeightAverage
from matt.models.settings import ModelSettings

__all__ = ["data"]  # a fixture
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
