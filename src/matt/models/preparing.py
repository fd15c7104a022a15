"""What a training starts from: a network that knows the moments of its inputs, and its tracks."""

from __future__ import annotations

import numpy as np
import torch

from ..bags import Bags
from ..features.store import FeatureStore
from .distributed import current
from .network import BagNetwork, build_network
from .reading import Reader, moments, quantiles
from .settings import ModelSettings


def prepare(
    features: FeatureStore,
    bags: Bags,
    valid: Bags | None,
    model: ModelSettings,
    device: torch.device,
) -> tuple[BagNetwork, Reader]:
    """Network with random weights, and the reader of its tracks, on a device.

    Parameters
    ----------
    features : FeatureStore
    bags : Bags
        To learn from. What the network's inputs need to know of their segments, the first of
        several processes computes for all.
    valid : Bags, optional
        What the training reads besides.
    model : ModelSettings
    device : torch.device

    Raises
    ------
    DataError
        If a track has no features, or a value of a training track is not finite.
    ConfigError
        If the encoder cannot read such features, or cannot be trained by several processes.
    """
    ranks = current()
    every = bags.track_ids if valid is None else np.append(bags.track_ids, valid.track_ids)
    with ranks.together():
        reader = Reader.open(features, every, device)
        network = build_network(model, features.spec.shape, len(bags.genres))
        network = ranks.adapt(network, device)

    learn = quantiles if model.chosen_inputs == "quantile" else moments

    def compute() -> list[list[float]]:
        return [value.tolist() for value in learn(reader, bags.track_ids)]

    for buffer, found in zip(network.inputs.buffers(), ranks.first(compute), strict=True):
        buffer.copy_(torch.tensor(found, dtype=torch.float64))
    return network.to(device), reader
