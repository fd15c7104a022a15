"""Optimisers, the learning rate of each epoch, and the step with its clipped gradient.

In 16 bits only some layers compute. Weights, their optimiser, recurrent layers, scores, softmax and
the sums of the pooling stay float32 whatever is chosen; so does all prediction, that of validation
bags included.

The average of the weights forgets exponentially. torch's ``AveragedModel`` is not used: it starts
from the weights after the first step, names all weights anew, and averages whole numbers or copies
everything that is no parameter.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from .distributed import current
from .network import BagNetwork
from .settings import TrainingSettings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse what a device does not train in.

    Raises
    ------
    ConfigError
    """
    if precision == "float16" and device.type != "cuda":
        raise ConfigError(
            f"precision 'float16' needs a CUDA device, and this is {device.type!r}; use "
            "precision='bfloat16', which has the range of float32, or device='cuda'"
        )
    if precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError(
            f"precision 'bfloat16' is more than {torch.cuda.get_device_name(device)} has; use "
            "precision='float16' or 'float32'"
        )


def autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    """Context in which convolutions and linear layers compute in the precision of the training."""
    dtype = DTYPES[settings.precision]
    if dtype == torch.float32:
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, dtype)


def make_scaler(settings: TrainingSettings, device: torch.device) -> torch.amp.GradScaler:
    """Scaler of the loss, which does nothing but in float16.

    Gradients below 6e-8 are 0 there. So the loss is multiplied by a factor that grows as long as no
    gradient overflows; a step in which one does is left out, and the factor halved.
    """
    return torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")


def scaler_state(scaler: torch.amp.GradScaler) -> dict[str, float]:
    """What a scaler knows, as numbers; nothing of one that does nothing."""
    return {name: float(value) for name, value in scaler.state_dict().items()}


def restore_scaler(scaler: torch.amp.GradScaler, state: dict[str, float]) -> None:
    """Let a scaler go on from `scaler_state`.

    Raises
    ------
    DataError
        If that is the state of no such scaler.
    """
    if set(state) != set(scaler.state_dict()):
        raise DataError(
            f"the checkpoint knows {sorted(state)} of the scaler of the loss, expected "
            f"{sorted(scaler.state_dict())}; move it away to start from the first epoch"
        )
    if not state:
        return
    whole = {name: int(state[name]) for name in ("growth_interval", "_growth_tracker")}
    scaler.load_state_dict(state | whole)


class WeightAverage:
    """A network with the average of another one's weights: a <- d a + (1 - d) w after each step.

    After the step number t, from 0, d is ``min(decay, (t + 1) / (t + 10))``, so that the first
    weights, which are random, are soon forgotten. Buffers such as the moments of batch
    normalisation are averaged alike, and whole numbers copied. Several processes
    have equal weights after each step, and so equal averages.

    Parameters
    ----------
    network : BagNetwork
        Which is trained.
    decay : float, 0 <= decay < 1
        With 0 there is no average, and ``network`` is the given one itself.
    """

    def __init__(self, network: BagNetwork, *, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.network = copy.deepcopy(network).eval() if decay else network

    @torch.no_grad()
    def update(self, network: BagNetwork) -> None:
        """Take in the weights of a network after one more step."""
        if not self.decay:
            return
        decay = min(self.decay, (self.steps + 1) / (self.steps + 10))
        self.steps += 1
        new = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name], 1 - decay)
            else:
                value.copy_(new[name])

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs; nothing without an average."""
        if not self.decay:
            return {}
        return {"steps": torch.tensor(self.steps), **self.network.state_dict()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave.

        Raises
        ------
        KeyError, RuntimeError
            If a name is missing, or a shape is another one.
        """
        if self.decay:
            weights = dict(state)
            self.steps = int(weights.pop("steps"))
            self.network.load_state_dict(weights)


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
