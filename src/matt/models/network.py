"""The network: standardise, encode, one logit per segment and genre, pool.

    l_kg = M_g . h_k + c_g                            logits of one segment        (N, G)
    a_kg = softmax over the bag of (e_kg - log n_k)   n_k: segments of k's track   (N, G) or (N, 1)
    o_g  = sum_k a_kg l_kg                            logits of the bag            (B, G)

-log n_k gives every *track* of a bag one vote before attention learns anything, however long it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .encoders import ENCODERS, Encoder
from .pooling import POOLINGS, bag_index, segment_softmax, segment_sum
from .settings import ModelSettings

CLIP = 10.0  # standard deviations: beyond it a value says "extreme", and nothing more


class Output(NamedTuple):
    """What the network says of a batch.

    Attributes
    ----------
    logits : Tensor, shape (B, G)
        Of each bag.
    segment_logits : Tensor, shape (N, G)
        Of each segment alone.
    attention : Tensor, shape (N, G) or (N, 1)
        How much each segment counted; sums to 1 over each bag.
    """

    logits: Tensor
    segment_logits: Tensor
    attention: Tensor


class Standardise(nn.Module):
    """Subtract the mean, divide by the standard deviation, clip: (N, *shape) -> the same, float32.

    Mean and scale are buffers, so they are saved with the network.

    Parameters
    ----------
    shape : sequence of int
        Of one segment. A map (F, T) has one mean per band, (F, 1); a vector one per entry.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        kept = moment_shape(shape)
        self.mean = nn.Buffer(torch.zeros(kept))
        self.scale = nn.Buffer(torch.ones(kept))

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, *shape), within ±10."""
        return ((x.to(self.mean.dtype) - self.mean) / self.scale).clamp(-CLIP, CLIP)


def moment_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of mean and scale of features of that shape.

    >>> moment_shape((140,)), moment_shape((96, 1360))
    ((140,), (96, 1))
    """
    return (shape[0], *[1] * (len(shape) - 1)) if shape else ()


class BagNetwork(nn.Module):
    """Encoder, one linear score per segment and genre, attention: eq. (1)-(5) of the paper.

    Parameters
    ----------
    inputs : Standardise
        Applied to features before the encoder.
    encoder : nn.Module
        (N, *feature_shape) -> (N, D).
    pooling : nn.Module
        (N, D) -> scores (N, G) or (N, 1).
    embedding_dim, n_genres : int
    pooled_dropout : float, 0 <= pooled_dropout < 1
        Dropout of the pooled embedding. As pooling is linear, that is one mask a bag on the way
        from h to the logits, but not on the way to the scores.
    """

    def __init__(
        self,
        inputs: Standardise,
        encoder: nn.Module,
        pooling: nn.Module,
        embedding_dim: int,
        n_genres: int,
        *,
        pooled_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoder = encoder
        self.pooling = pooling
        self.classifier = nn.Linear(embedding_dim, n_genres)  # M, c
        self.pooled_dropout = pooled_dropout

    def forward(
        self, x: Tensor, offsets: Tensor, log_sizes: Tensor, *, genre: Tensor | None = None
    ) -> Output:
        """Classify bags and, on the way, every segment.

        Parameters
        ----------
        x : Tensor, shape (N, *feature_shape)
            Segments in bag order.
        offsets : int Tensor, shape (B + 1,)
            Start of each bag.
        log_sizes : Tensor, shape (N,)
            log n_k, the number of segments of each segment's track.
        genre : int Tensor, shape (B,), optional
            Read each bag with the query of this genre alone.

        Returns
        -------
        Output
        """
        bag = bag_index(offsets)  # (N,)
        h: Tensor = self.encoder(self.inputs(x))  # (N, D)
        value = h
        if self.training and self.pooled_dropout:
            mask = h.new_ones(len(offsets) - 1, h.shape[1])  # (B, D)
            value = h * nn.functional.dropout(mask, self.pooled_dropout)[bag]
        segment_logits = _wide(self.classifier(value))  # (N, G)
        scores = self._scores(h, log_sizes, None if genre is None else genre[bag])
        logits, attention = self.pool(scores, segment_logits, offsets)
        return Output(logits, segment_logits, attention)

    def segments(self, x: Tensor, log_sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, G or 1) and logits (N, G) of segments: all that `pool` needs of a bag.

        A bag of any size can so be read in parts.
        """
        h: Tensor = self.encoder(self.inputs(x))  # (N, D)
        return self._scores(h, log_sizes, None), _wide(self.classifier(h))

    def pool(
        self, scores: Tensor, segment_logits: Tensor, offsets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of bags (B, G) and attention (N, G or 1), in at least float32."""
        with torch.autocast(scores.device.type, enabled=False):
            attention = segment_softmax(_wide(scores), offsets)  # sums to 1 over each bag
            return segment_sum(attention * _wide(segment_logits), offsets), attention

    def _scores(self, h: Tensor, log_sizes: Tensor, genre: Tensor | None) -> Tensor:
        with torch.autocast(h.device.type, enabled=False):
            scores: Tensor = self.pooling(_wide(h), genre) - log_sizes[:, None]
            return scores  # (N, G or 1)


def build_network(
    settings: ModelSettings, feature_shape: Sequence[int], n_genres: int
) -> BagNetwork:
    """Build the network of some settings; parameters come from torch's random generator.

    Raises
    ------
    ConfigError
        If the encoder cannot read features of that shape.
    """
    encoder: Encoder = ENCODERS[settings.encoder](feature_shape, settings)
    dim = encoder.embedding_dim
    return BagNetwork(
        Standardise(feature_shape),
        encoder,
        POOLINGS[settings.pooling](dim, n_genres, settings.scale == "learned"),
        dim,
        n_genres,
        pooled_dropout=settings.pooled_dropout,
    )


def _wide(x: Tensor) -> Tensor:
    """Float32 where autocast gave less: sums over a bag of 16-bit numbers would lose small ones."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
