"""Several networks in one classifier: the same settings, other seeds, and the mean probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ..bags import Bags
from .arrays import HELD, NetworkSaid, Said, parts_of, segment_counts, together
from .network import BagNetwork
from .pooling import bag_index
from .reading import Reader, encode
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
    parts = parts_of(np.add.reduceat(counts, bags.offsets[:-1]), most=HELD)
    found = []
    for network in networks:
        some = (bags.take(np.arange(part.start, part.stop)) for part in parts)
        found.append([_of_one(network, reader, each, max_segments, embeddings) for each in some])
    return together(found, link, counts)


def _of_one(
    network: BagNetwork, reader: Reader, bags: Bags, max_segments: int, embeddings: bool
) -> NetworkSaid:
    """Logits, attention, and logits and embedding of each segment, as one network has them."""
    encoded, offsets = encode(
        network, reader, bags.track_ids, max_segments=max_segments, embeddings=embeddings
    )
    whole = torch.from_numpy(offsets[bags.offsets]).to(encoded.scores.device)
    shared = network.spread_logits(encoded, whole).expand(len(bags), -1)[bag_index(whole)]
    alone = network.segment_logits(encoded.values) + shared
    said = *network.pool(encoded, whole), alone, encoded.embeddings
    return NetworkSaid(*(part.cpu().numpy() for part in said))
