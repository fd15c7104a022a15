"""The average of the weights over the steps of a training, which forgets exponentially.

torch's ``AveragedModel`` is not used: it starts from the weights after the first step, names all
weights anew, and averages whole numbers or copies everything that is no parameter.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from .network import BagNetwork


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
