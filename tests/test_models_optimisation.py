"""Schedules against torch's own, clipping against a step written out."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from test_models_training import CPU, FAST, F, G, data, run, weights

from matt.errors import DataError
from matt.models.device import reproducible
from matt.models.network import build_network
from matt.models.optimisation import learning_rate, make_optimizer, set_learning_rate
from matt.models.settings import ModelSettings, Schedule, TrainingSettings

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
