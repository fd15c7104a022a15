"""Optimisers, the learning rate of each epoch, and the step with its clipped gradient."""

from __future__ import annotations

import math
from typing import Any

import torch

from .distributed import current
from .network import BagNetwork
from .training_settings import TrainingSettings


def make_optimizer(network: BagNetwork, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Optimiser of all weights of a network."""
    kinds: dict[str, Any] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    optimizer: torch.optim.Optimizer = kinds[settings.optimizer](
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    return optimizer


def learning_rate(settings: TrainingSettings, *, epoch: int) -> float:
    """Learning rate of an epoch, which depends on nothing but its number, from 1.

    Examples
    --------
    >>> settings = TrainingSettings(lr=0.8, schedule="step", step_epochs=2, step_factor=0.5)
    >>> [learning_rate(settings, epoch=epoch) for epoch in (1, 2, 3, 4, 5)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """
    done = epoch - 1
    if settings.schedule == "cosine":
        return settings.lr * (1 + math.cos(math.pi * done / settings.epochs)) / 2
    if settings.schedule == "step":
        return float(settings.lr * settings.step_factor ** (done // settings.step_epochs))
    return settings.lr


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Let all weights of an optimiser be trained with one learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def step(
    loss: torch.Tensor,
    network: BagNetwork,
    optimizer: torch.optim.Optimizer,
    *,
    clip_norm: float,
    scaler: torch.amp.GradScaler,
) -> None:
    """Change the weights by the gradient of a loss, no longer than ``clip_norm`` unless it is 0.

    Of several processes each gives the loss of its share, and the gradients are summed. With a
    scaler that is enabled, a step whose gradient overflows is left out.
    """
    optimizer.zero_grad()
    torch.autograd.backward(scaler.scale(loss))
    current().sum_gradients(network)
    if clip_norm:
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    scaler.step(optimizer)
    scaler.update()
