"""Several networks in one classifier: the same settings, other seeds, and the mean probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..bags import Bags
from .arrays import NetworkSaid, Said, segment_counts, together
from .network import BagNetwork, Encoded
from .pooling import bag_index
from .reading import Reader, encode_bags
from .settings import TrainingSettings


def members(settings: TrainingSettings) -> list[TrainingSettings]:
    """Return the settings of each network, which differ in their seeds.

    The first has the seed itself, so it is the network that would be trained alone. The others'
    are drawn from it, and are no other run's.

    Examples
    --------
    >>> [one.seed == 3 for one in members(TrainingSettings(seed=3, n_networks=2))]
    [True, False]
    """
    found = [settings]
    for number in range(1, settings.n_networks):
        drawn = np.random.SeedSequence([settings.seed, number]).generate_state(1)
        found.append(replace(settings, seed=int(drawn[0])))
    return found


@torch.no_grad()
def say(
    networks: Sequence[BagNetwork],
    reader: Reader,
    bags: Bags,
    *,
    link: str,
    max_segments: int,
    embeddings: bool = False,
) -> Said:
    """Predict bags with all networks and average.

    Parameters
    ----------
    networks : sequence of BagNetwork
        Set to evaluation by this.
    reader : Reader
        Of the tracks of the bags.
    bags : Bags
    link : {"softmax", "sigmoid", "none"}
        How each network's logits become what is averaged.
    max_segments : int >= 1
        Encoded at once.
    embeddings : bool
        Keep those of the last network.
    """
    counts = segment_counts(reader.features, bags.track_ids)
    found = []
    for network in networks:
        each = encode_bags(
            *(network, reader, bags.track_ids, bags.offsets),
            max_segments=max_segments,
            embeddings=embeddings,
        )
        found.append([_of_one(network, *some) for some in each])
    return together(found, link, counts)


def _of_one(network: BagNetwork, encoded: Encoded, offsets: Tensor) -> NetworkSaid:
    """Logits, attention, and logits and embedding of each segment, as one network has them."""
    shared = network.spread_logits(encoded, offsets).expand(len(offsets) - 1, -1)
    alone = network.segment_logits(encoded.values) + shared[bag_index(offsets)]
    said = *network.pool(encoded, offsets), alone, encoded.embeddings
    return NetworkSaid(*(part.cpu().numpy() for part in said))
