"""The network: inputs on one scale, encode, one logit per segment and genre, pool.

    l_kg = M_g . h_k + c_g                            logits of one segment        (N, G)
    a_kg = softmax over the bag of (e_kg - log n_k)   n_k: segments of k's track   (N, G) or (N, 1)
    o_g  = sum_k a_kg l_kg                            logits of the bag            (B, G)

-log n_k gives every *track* of a bag one vote before attention learns anything, however long it is.

Pooling logits needs a classifier that is linear in the embedding. Where it is not, with a hidden
layer or with the release's tanh, embeddings are pooled first: the second and only other path,

    z_bg = sum_k a_kg h_k      pooled embeddings, one for each column of attention   (B, G or 1, D)
    o_g  = head(z_bg)_g        logits of the bag                                     (B, G)

**The spread of a bag** is added to its logits. A mean forgets whether the tracks of an album are
alike, which differs between genres. Of each entry f of the inputs x, with one vote a track,
u_k = 1 / n_k:

    m_f = sum_k u_k x_kf / n,    n = sum_k u_k                                 (B, F)
    s_f = 1/2 log( (sum_k u_k (x_kf - m_f)^2 + c v) / ((n - 1 + c) v) )        (B, F)
    o_g = sum_k a_kg l_kg + min(1, 50 / F) W_g . s                             (B, G)

That is the log of a standard deviation which is drawn towards v, as if c more tracks had been there
and had differed so; of a lone segment it is 0. W starts at 0, so training starts from the mean. The
factor has its steps move logits no further for more entries, F, for hundreds of them would be
learned by heart. A standard deviation beside the mean is the statistics pooling of speaker
recognition [1]_; that few tracks say little of it is what c and v are for. How far it is drawn
depends on the number of tracks, so s says something of that, too.

References
----------
.. [1] Snyder et al., "X-vectors: Robust DNN embeddings for speaker recognition", ICASSP 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .arrays import CLIP, FEW, N_QUANTILES, PRIOR_TRACKS, USUAL, moment_shape
from .encoders import ENCODERS, Encoder
from .pooling import POOLINGS, Pooling, bag_index, segment_sum
from .settings import ModelSettings

_AT_ONCE = 2**18  # values that are ranked at once: on the way they take ten times their memory


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


class Quantiles(nn.Module):
    """Rank of a value among the training values, as a normal score: (N, *shape) -> the same.

    A value gets the quantile of the normal distribution at its rank, so each feature is normally
    distributed over the training segments whatever its scale and its outliers. Ranks are read off
    a table of quantiles, linearly between two; a value that several quantiles share has the mean of
    their ranks, and one outside of the table its end.

    Parameters
    ----------
    shape : sequence of int
        Of one segment, as in `Standardise`.
    """

    table: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.n_features = math.prod(moment_shape(shape))
        self.table = nn.Buffer(torch.linspace(-1, 1, N_QUANTILES).repeat(self.n_features, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, *shape), within about ±3."""
        wide = x.to(self.table.dtype)
        n, length = len(x), math.prod(x.shape[2:])
        rows = wide.reshape(n, self.n_features, length).transpose(0, 1)  # (F, N, T)
        flat = rows.reshape(self.n_features, n * length)  # (F, N T)
        step = max(1, _AT_ONCE // max(1, flat.shape[1]))
        parts = zip(torch.split(self.table, step), torch.split(flat, step), strict=True)
        score = torch.cat([self._scores(*part) for part in parts])
        return score.reshape(rows.shape).transpose(0, 1).reshape(x.shape)

    @staticmethod
    def _scores(table: Tensor, flat: Tensor) -> Tensor:
        """Of values (f, N) of some features with their table (f, Q)."""
        flat = flat.contiguous()
        low = torch.searchsorted(table, flat)
        high = torch.searchsorted(table, flat, right=True)
        last = N_QUANTILES - 1
        left = (low - 1).clamp(0, last - 1)
        from_, to = table.gather(1, left), table.gather(1, left + 1)
        part = (flat - from_) / (to - from_).clamp_min(torch.finfo(flat.dtype).tiny)
        rank = torch.where(high > low, (low + high - 1) / 2, left + part.clamp(0, 1)) / last
        edge = 1 / (2 * N_QUANTILES)
        return math.sqrt(2) * torch.erfinv(2 * rank.clamp(edge, 1 - edge) - 1)


INPUTS: dict[str, Callable[[Sequence[int]], nn.Module]] = {
    "standard": Standardise,
    "quantile": Quantiles,
}


class MLPHead(nn.Sequential):
    """One hidden layer with ReLU before the logits: a reading of "+MIL", whose head is unpublished.

    Parameters
    ----------
    embedding_dim, hidden, n_genres : int
        Units of the input, of the hidden layer and of the output.
    """

    def __init__(self, embedding_dim: int, hidden: int, n_genres: int) -> None:
        super().__init__(nn.Linear(embedding_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_genres))


HEADS: dict[str, Callable[[int, int, ModelSettings], nn.Module]] = {
    "linear": lambda dim, n_genres, s: nn.Linear(dim, n_genres),
    "mlp": lambda dim, n_genres, s: MLPHead(dim, s.head_hidden, n_genres),
}


class BagSpread(nn.Module):
    """Logits of how far the segments of each bag are apart.

    Parameters
    ----------
    n_features : int
        Entries of a segment, F; those of a map are read as one long vector.
    n_genres : int
    """

    def __init__(self, n_features: int, n_genres: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_genres, n_features))

    def forward(self, x: Tensor, log_sizes: Tensor, offsets: Tensor) -> Tensor:
        """Inputs (N, ...) of F entries, log n_k (N,) and offsets (B + 1,) -> (B, G)."""
        s = log_spread(x.reshape(len(x), self.weight.shape[1]), log_sizes, offsets)  # (B, F)
        return s @ self.weight.T * min(1.0, FEW / s.shape[1])


@torch.no_grad()
def log_spread(x: Tensor, log_sizes: Tensor, offsets: Tensor) -> Tensor:
    """Return s above: inputs (N, F), log n_k (N,) and offsets (B + 1,) -> (B, F).

    Examples
    --------
    >>> x, alone = torch.tensor([[3.0], [0.0], [2.0]]), torch.zeros(3)
    >>> log_spread(x, alone, torch.tensor([0, 1, 3]))  # log of (0 + 1) / 1, of (2 + 1) / 1.5
    tensor([[0.0000],
            [0.3466]])
    """
    votes = (-log_sizes).exp()[:, None]  # (N, 1)
    n = segment_sum(votes, offsets)  # (B, 1)
    bag = bag_index(offsets)
    mean = segment_sum(votes * x, offsets) / n  # (B, F)
    squares = segment_sum(votes * (x - mean[bag]).square(), offsets)
    drawn = PRIOR_TRACKS * USUAL
    return ((squares + drawn) / ((n - 1) * USUAL + drawn)).log() / 2


class BagOutput(NamedTuple):
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
    ) -> BagOutput:
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
        BagOutput
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
        return BagOutput(logits, segment_logits, attention)

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
