"""Several networks in one classifier: the same settings, other seeds, and the mean probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..bags import Bags
from .network import BagNetwork
from .pooling import bag_index
from .reading import Reader, encode, parts_of, segment_counts
from .settings import TrainingSettings

_HELD = 2**16  # segments whose inputs are held at once, in whole bags


class Said(NamedTuple):
    """What networks say of bags together.

    Attributes
    ----------
    logits : Tensor, shape (b, G)
    each : Tensor, shape (K, b, G)
        Those of each network.
    attention : Tensor, shape (N, G) or (N, 1)
        The mean over the networks.
    segment_logits : Tensor, shape (N, G)
        With what the spread of its bag adds: attention times them sums to the bag's logits, of one
        network.
    embeddings : Tensor, shape (N, D) or (N, 0)
        Of one network, where they were asked for.
    offsets : int array, shape (n + 1,)
        Where each track starts.
    """

    logits: Tensor
    each: Tensor
    attention: Tensor
    segment_logits: Tensor
    embeddings: Tensor
    offsets: NDArray[np.int64]


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
    parts = parts_of(np.add.reduceat(counts, bags.offsets[:-1]), most=_HELD)
    found = []
    for network in networks:
        some = (bags.take(np.arange(part.start, part.stop)) for part in parts)
        said = [_of_one(network, reader, each, max_segments, embeddings) for each in some]
        found.append([torch.cat(column) for column in zip(*said, strict=True)])
    *stacked, kept = zip(*found, strict=True)
    logits, attention, alone = map(torch.stack, stacked)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    whole, of_segments = average(logits, link), average(alone, link)
    return Said(whole, logits, attention.mean(0), of_segments, kept[-1], offsets)


def _of_one(
    network: BagNetwork, reader: Reader, bags: Bags, max_segments: int, embeddings: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, attention, and logits and embedding of each segment, as one network has them."""
    encoded, offsets = encode(
        network, reader, bags.track_ids, max_segments=max_segments, embeddings=embeddings
    )
    whole = torch.from_numpy(offsets[bags.offsets]).to(encoded.scores.device)
    shared = network.spread_logits(encoded, whole).expand(len(bags), -1)[bag_index(whole)]
    alone = network.segment_logits(encoded.values) + shared
    return *network.pool(encoded, whole), alone, encoded.embeddings


def average(logits: Tensor, link: str) -> Tensor:
    """Logits (n, G) of the mean probability of several networks (K, n, G).

    Examples
    --------
    One network says 1 : 1 and another one 3 : 1, so together 5 : 3:

    >>> odds = torch.tensor([[[1.0, 1.0]], [[3.0, 1.0]]])
    >>> average(odds.log(), "softmax").exp()
    tensor([[0.6250, 0.3750]])
    """
    if len(logits) == 1:
        return logits[0]
    if link == "sigmoid":
        yes, no = (logsigmoid(sign * logits).logsumexp(0) for sign in (1, -1))
        return yes - no
    said = logits.log_softmax(-1) if link == "softmax" else logits
    return said.logsumexp(0) - math.log(len(logits))
