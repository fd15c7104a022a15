"""Encoders: one embedding per segment, (N, *feature_shape) -> (N, D).

An encoder has the attributes ``embedding_dim`` and ``segment_floats``, about as many numbers of a
segment as are in memory at once in a training step, and takes its inputs already standardised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from .crnn import CRNN, CRNNTF, FrameLSTM
from .dropout import Dropout
from .registry import ENCODERS as ENCODERS
from .settings import ModelSettings


class MLP(nn.Module):
    """Linear layers, each followed by ReLU and dropout; a map is read as one long vector.

    Parameters
    ----------
    feature_shape : sequence of int
        Of one segment.
    hidden : sequence of int
        Units of each layer; the last one is the embedding.
    dropout : float, 0 <= dropout < 1
    """

    def __init__(
        self, feature_shape: Sequence[int], *, hidden: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        sizes = [math.prod(feature_shape), *hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.embedding_dim = sizes[-1]
        self.segment_floats = 3 * sum(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *feature_shape) -> (N, D)."""
        h: Tensor = self.layers(x.flatten(1))
        return h


class Identity(nn.Module):
    """The features themselves, flattened: the release's "Blank"."""

    def __init__(self, feature_shape: Sequence[int]) -> None:
        super().__init__()
        self.embedding_dim = math.prod(feature_shape)
        self.segment_floats = 3 * max(1, self.embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *feature_shape) -> (N, D), D being the product of the shape."""
        return x.flatten(1)


Encoder = MLP | Identity | CRNN | CRNNTF | FrameLSTM

ENCODERS.fill(
    ModelSettings,
    mlp=lambda shape, s: MLP(shape, hidden=s.hidden, dropout=s.dropout),
    identity=lambda shape, s: Identity(shape),
    crnn=lambda shape, s: CRNN(
        shape,
        units=s.recurrent_units,
        dropout=s.dropout,
        block_dropout=s.block_dropout,
        by_channel=s.channel_dropout,
    ),
    crnn_tf=lambda shape, s: CRNNTF(
        shape,
        units=s.recurrent_units,
        dropout=s.dropout,
        block_dropout=s.block_dropout,
        by_channel=s.channel_dropout,
    ),
    lstm=lambda shape, s: FrameLSTM(shape, units=s.recurrent_units, dropout=s.dropout),
)
