"""The network: inputs on one scale, encode, one logit per segment and genre, pool.

    l_kg = M_g . h_k + c_g                            logits of one segment        (N, G)
    a_kg = softmax over the bag of (e_kg - log n_k)   n_k: segments of k's track   (N, G) or (N, 1)
    o_g  = sum_k a_kg l_kg                            logits of the bag            (B, G)

-log n_k gives every *track* of a bag one vote before attention learns anything, however long it is.

What `matt.models.spread` reads of how far the segments of a bag are apart is added to its logits.

Pooling logits needs a classifier that is linear in the embedding. Where it is not, with a hidden
layer or with the release's tanh, embeddings are pooled first: the second and only other path,

    z_bg = sum_k a_kg h_k      pooled embeddings, one for each column of attention   (B, G or 1, D)
    o_g  = head(z_bg)_g        logits of the bag                                     (B, G)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .encoders import ENCODERS, Encoder
from .heads import HEADS
from .inputs import INPUTS
from .pooling import POOLINGS, Pooling, bag_index, segment_sum
from .settings import ModelSettings
from .spread import BagSpread


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


class Encoded(NamedTuple):
    """What is kept of segments until they are pooled.

    Attributes
    ----------
    scores : Tensor, shape (N, G) or (N, 1)
    values : Tensor, shape (N, G) or (N, D)
        Logits of each segment alone, or embeddings where those are pooled first.
    inputs : Tensor, shape (N, *feature_shape) or (N, 0)
        What the spread of a bag is made of; nothing where the network reads none.
    log_sizes : Tensor, shape (N,)
        log n_k, the number of segments of each segment's track.
    embeddings : Tensor, shape (N, D) or (N, 0)
        Nothing unless they were asked for.
    """

    scores: Tensor
    values: Tensor
    inputs: Tensor
    log_sizes: Tensor
    embeddings: Tensor


class BagNetwork(nn.Module):
    """Encoder, classifier and attention: eq. (1)-(5) of the paper.

    Parameters
    ----------
    inputs : nn.Module
        Applied to features before the encoder.
    encoder : nn.Module
        (N, *feature_shape) -> (N, D).
    pooling : Pooling
        (N, D) -> scores (N, G) or (N, 1).
    classifier : nn.Module
        (..., D) -> logits (..., G).
    pooled_first : bool
        Pool embeddings and classify them, instead of pooling the logits of segments. A linear
        classifier gives the same either way; any other one needs it.
    tanh : bool
        A tanh on the pooled embedding; needs ``pooled_first``. In evaluation the logit of a genre
        is then, as in the paper's release, the *log* of its own entry in the softmax of the logits
        that its query made.
    pooled_dropout : float, 0 <= pooled_dropout < 1
        Dropout of the pooled embedding. As pooling is linear, that is one mask a bag on the way
        from h to the logits, but not on the way to the scores.
    input_dropout : float, 0 <= input_dropout < 1
        Dropout of the inputs: on the way to the logits and to the scores.
    spread : BagSpread, optional
        Reads how far the segments of a bag are apart.
    """

    def __init__(
        self,
        inputs: nn.Module,
        encoder: nn.Module,
        pooling: Pooling,
        classifier: nn.Module,
        *,
        pooled_first: bool = False,
        tanh: bool = False,
        pooled_dropout: float = 0.0,
        input_dropout: float = 0.0,
        spread: BagSpread | None = None,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoder = encoder
        self.pooling = pooling
        self.classifier = classifier  # M, c
        self.pooled_first = pooled_first
        self.tanh = tanh
        self.pooled_dropout = pooled_dropout
        self.input_dropout = input_dropout
        self.spread = spread

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
        inputs = x = self.inputs(x)
        if self.training and self.input_dropout:
            x = nn.functional.dropout(x, self.input_dropout)
        h: Tensor = self.encoder(x)  # (N, D)
        mask = None
        if self.training and self.pooled_dropout:
            ones = h.new_ones(len(offsets) - 1, h.shape[1])  # (B, D)
            mask = nn.functional.dropout(ones, self.pooled_dropout)
        of_segment = None if mask is None else mask[bag]  # (N, D)
        segment_logits = self._alone(h, of_segment)
        scores = self._scores(h, log_sizes, None if genre is None else genre[bag])
        values = h if self.pooled_first else segment_logits
        encoded = Encoded(scores, values, inputs, log_sizes, h)
        logits, attention = self.pool(encoded, offsets, mask=mask)
        return Output(logits, segment_logits, attention)

    def segments(self, x: Tensor, log_sizes: Tensor, *, embeddings: bool = False) -> Encoded:
        """All that `pool` needs of segments: a bag of any size can so be read in parts."""
        x = self.inputs(x)
        h: Tensor = self.encoder(x)  # (N, D)
        scores = self._scores(h, log_sizes, None)
        values = _wide(h) if self.pooled_first else self._alone(h)
        inputs = x.new_empty(len(x), 0) if self.spread is None else x
        kept = _wide(h) if embeddings else h.new_empty(len(h), 0)
        return Encoded(scores, values, inputs, log_sizes, kept)

    def pool(
        self, encoded: Encoded, offsets: Tensor, *, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of bags (B, G) and attention (N, G or 1), in at least float32.

        Parameters
        ----------
        encoded : Encoded
            As `segments` gives it.
        offsets : int Tensor, shape (B + 1,)
        mask : Tensor, shape (B, D), optional
            Factors of the pooled embeddings, where those are pooled first.
        """
        scores, values = _wide(encoded.scores), _wide(encoded.values)
        with torch.autocast(scores.device.type, enabled=False):
            attention = self.pooling.attention(scores, offsets)  # sums to 1 over each bag
            if self.pooled_first:
                logits = self.classify(pool_embeddings(attention, values, offsets), mask)
            else:
                logits = segment_sum(attention * values, offsets)
            return logits + self.spread_logits(encoded, offsets), attention

    def spread_logits(self, encoded: Encoded, offsets: Tensor) -> Tensor:
        """What the spread of each bag adds to its logits, (B, G), or 0 as (1, 1)."""
        if self.spread is None:
            return encoded.log_sizes.new_zeros(1, 1)
        found: Tensor = self.spread(_wide(encoded.inputs), encoded.log_sizes, offsets)
        return found

    def segment_logits(self, values: Tensor) -> Tensor:
        """Logits (N, G) of the values of `segments`: what each says as a bag of its own."""
        return self._alone(values) if self.pooled_first else values

    def _alone(self, h: Tensor, mask: Tensor | None = None) -> Tensor:
        """(N, D) -> (N, G)."""
        if not self.pooled_first:
            return _wide(self.classifier(h if mask is None else h * mask))
        with torch.autocast(h.device.type, enabled=False):
            return self.classify(_wide(h)[:, None], mask)

    def classify(self, pooled: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, K, D) -> (B, G): each genre from the embedding of its own column, K being G or 1."""
        z = pooled.tanh() if self.tanh else pooled
        if mask is not None:
            z = z * _wide(mask)[:, None]
        logits: Tensor = self.classifier(z)  # (B, K, G)
        if self.tanh and not self.training:
            logits = logits.log_softmax(-1)
        return logits[:, 0] if logits.shape[1] == 1 else logits.diagonal(dim1=1, dim2=2)

    def _scores(self, h: Tensor, log_sizes: Tensor, genre: Tensor | None) -> Tensor:
        if self.pooling.reads_logits:
            with torch.no_grad():
                highest: Tensor = self.pooling(self._alone(h))
                return highest  # (N, G)
        with torch.autocast(h.device.type, enabled=False):
            asked = () if genre is None else (genre,)
            scores: Tensor = self.pooling(_wide(h), *asked) - log_sizes[:, None]
            return scores  # (N, G or 1)


def pool_embeddings(attention: Tensor, h: Tensor, offsets: Tensor) -> Tensor:
    """Pooled embeddings, one for each column of attention: (N, K), (N, D) -> (B, K, D)."""
    pooled = [segment_sum(a[:, None] * h, offsets) for a in attention.unbind(1)]
    return torch.stack(pooled, dim=1)


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
    dim = getattr(encoder, "embedding_dim", None)
    if not isinstance(dim, int):
        raise ConfigError(
            f"encoder {settings.encoder!r} has the embedding_dim {dim!r}; set it to the D of the "
            "embeddings (N, D) that it makes, and see matt.testing.check_encoder"
        )
    if not hasattr(encoder, "segment_floats"):  # as many as of an MLP
        encoder.segment_floats = 3 * (math.prod(feature_shape) + dim)
    pooling = POOLINGS[settings.pooling](dim, n_genres, settings)
    if not isinstance(pooling, Pooling):
        raise ConfigError(
            f"pooling {settings.pooling!r} made a {type(pooling).__name__}; derive it from "
            "matt.models.pooling.Pooling, and see matt.testing.check_pooling"
        )
    return BagNetwork(
        INPUTS[settings.chosen_inputs](feature_shape),
        encoder,
        pooling,
        HEADS[settings.head](dim, n_genres, settings),
        pooled_first=settings.head != "linear" or settings.tanh_pooled,
        tanh=settings.tanh_pooled,
        pooled_dropout=settings.pooled_dropout,
        input_dropout=settings.input_dropout,
        spread=BagSpread(math.prod(feature_shape), n_genres) if settings.reads_spread else None,
    )


def _wide(x: Tensor) -> Tensor:
    """Float32 where autocast gave less: sums over a bag of 16-bit numbers would lose small ones."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
