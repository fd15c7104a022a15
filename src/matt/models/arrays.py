"""What follows the encoders of networks, and what comes before them, on arrays of NumPy.

Training needs gradients, and so `network` and `pooling` say the same in torch; prediction with a
saved model needs neither, and a machine that only predicts no torch. The formulas stand there.
Sums over a bag are made in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, first_few
from ..features.store import FeatureStore

Floats = NDArray[Any]  # of either width
Offsets = NDArray[np.int64]

CLIP = 10.0  # standard deviations: beyond it a value says "extreme", and nothing more
N_QUANTILES = 257
USUAL = 0.5  # v: half of the variance of inputs, which is about 1, lies between bags
PRIOR_TRACKS = 2.0  # c
FEW = 50  # entries
_CACHED = 2**15  # values that are ranked at once, with all that is made of them
_HELD = 2**16  # segments that are pooled at once
_HELD_NUMBERS = 2**19  # of their inputs, where these are held as well


def moment_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of mean and scale of features of that shape.

    >>> moment_shape((140,)), moment_shape((96, 1360))
    ((140,), (96, 1))
    """
    return (shape[0], *[1] * (len(shape) - 1)) if shape else ()


def standardised(x: Floats, mean: Floats, scale: Floats) -> Floats:
    """See `matt.models.network.Standardise`: (N, *shape) -> the same."""
    found: Floats = ((x.astype(mean.dtype) - mean) / scale).clip(-CLIP, CLIP)
    return found


def ranked(x: Floats, table: Floats) -> Floats:
    """See `matt.models.network.Quantiles`: (N, *shape) and a table (F, Q) -> (N, *shape).

    Examples
    --------
    The second of three quantiles is the middle one, and half way to it a quarter:

    >>> ranked(np.array([[2.0], [1.0]]), np.array([[0.0, 2.0, 4.0]])).T.round(2)
    array([[ 0.  , -0.67]])
    """
    n_features = len(table)
    rows = np.moveaxis(x.astype(table.dtype).reshape(len(x), n_features, -1), 1, 0)  # (F, N, T)
    flat = np.ascontiguousarray(rows).reshape(n_features, -1)
    step = max(1, _CACHED // max(1, flat.shape[1]))
    for start in range(0, n_features, step):
        part = slice(start, start + step)
        flat[part] = _scores(flat[part], table[part])
    return np.moveaxis(flat.reshape(rows.shape), 0, 1).reshape(x.shape)


def _scores(flat: Floats, table: Floats) -> Floats:
    """Normal scores of values (f, N) of some features with a table (f, Q)."""
    last = table.shape[1] - 1
    low = np.empty(flat.shape, np.int64)
    for row, values, found in zip(table, flat, low, strict=True):
        found[:] = row.searchsorted(values)
    left = (low - 1).clip(0, last - 1)
    from_, to = np.take_along_axis(table, left, 1), np.take_along_axis(table, left + 1, 1)
    with np.errstate(over="ignore"):  # beside quantiles that are equal: infinite, and cut to 0 or 1
        part = (flat - from_) / np.maximum(to - from_, np.finfo(table.dtype).tiny)
    rank = (left + part.clip(0, 1)).astype(table.dtype)
    shared = np.take_along_axis(table, low.clip(0, last), 1) == flat
    for f in np.flatnonzero(shared.any(axis=1)):  # where a value is a quantile, or several
        ties = shared[f]
        high = table[f].searchsorted(flat[f, ties], "right")
        rank[f, ties] = (low[f, ties] + high - 1) / 2
    edge = 1 / (2 * (last + 1))
    return normal_score((rank / last).clip(edge, 1 - edge))


# Coefficients of numerator and denominator, of the highest power first.
_CENTRAL = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
_OUTER = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip


def normal_score(p: Floats) -> Floats:
    """Quantile of the normal distribution, for p from 1e-10 to 1 - 1e-10.

    Algorithm AS 241 of Wichura (1988), without its far tails. scipy has it, too, but to import
    `scipy.special` takes part of the second in which a small library is to be answered.

    Examples
    --------
    >>> normal_score(np.array([0.5, 0.025])).round(4) + 0.0
    array([ 0.  , -1.96])
    """
    q = p - 0.5
    r = 0.180625 - q * q
    found: Floats = q * np.polyval(_CENTRAL[0], r) / np.polyval(_CENTRAL[1], r)
    outside = np.abs(q) > 0.425
    p, q = p[outside], q[outside]
    far = np.sqrt(-np.log(np.minimum(p, 1 - p))) - 1.6
    found[outside] = np.copysign(np.polyval(_OUTER[0], far) / np.polyval(_OUTER[1], far), q)
    return found


def bag_index(offsets: Offsets) -> Offsets:
    """Bag number of each segment: (B + 1,) -> (N,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def segment_sum(x: Floats, offsets: Offsets) -> NDArray[np.float64]:
    """Sum over the segments of each bag, none of which is empty: (N, ...) -> (B, ...)."""
    if len(x) == len(offsets) - 1:  # each is alone
        return x.astype(np.float64)
    summed: NDArray[np.float64] = np.add.reduceat(x, offsets[:-1], axis=0, dtype=np.float64)
    return summed


def segment_softmax(scores: Floats, offsets: Offsets) -> NDArray[np.float32]:
    """Softmax over the segments of each bag: scores (N, K) -> attention (N, K).

    Examples
    --------
    >>> segment_softmax(np.array([[0.0], [0.0], [7.0]]), np.array([0, 2, 3])).T
    array([[0.5, 0.5, 1. ]], dtype=float32)
    """
    bag = bag_index(offsets)
    exp = np.exp(scores - np.maximum.reduceat(scores, offsets[:-1], axis=0)[bag])
    return np.asarray(exp / segment_sum(exp, offsets)[bag], np.float32)


def segment_highest(scores: Floats, offsets: Offsets) -> NDArray[np.float32]:
    """See `matt.models.pooling.Max`: scores (N, K) -> attention (N, K)."""
    bag = bag_index(offsets)
    highest = scores == np.maximum.reduceat(scores, offsets[:-1], axis=0)[bag]
    return np.asarray(highest / segment_sum(highest, offsets)[bag], np.float32)


def log_spread(x: Floats, log_sizes: Floats, offsets: Offsets) -> NDArray[np.float64]:
    """See `matt.models.network.log_spread`: (N, F), log n_k (N,) and offsets (B + 1,) -> (B, F).

    Examples
    --------
    >>> x, alone = np.array([[3.0], [0.0], [2.0]]), np.zeros(3)
    >>> log_spread(x, alone, np.array([0, 1, 3])).T.round(4)
    array([[0.    , 0.3466]])
    """
    votes = np.exp(-log_sizes)[:, None]
    n = segment_sum(votes, offsets)
    mean = segment_sum(votes * x, offsets) / n
    squares = segment_sum(votes * np.square(x - mean[bag_index(offsets)]), offsets)
    drawn = PRIOR_TRACKS * USUAL
    found: NDArray[np.float64] = np.log((squares + drawn) / ((n - 1) * USUAL + drawn)) / 2
    return found


def log_softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def average(logits: Floats, link: str) -> Floats:
    """Logits (n, G) of the mean probability of several networks (K, n, G).

    Examples
    --------
    One network says 1 : 1 and another one 3 : 1, so together 5 : 3:

    >>> odds = np.array([[[1.0, 1.0]], [[3.0, 1.0]]])
    >>> np.exp(average(np.log(odds), "softmax")).round(3)
    array([[0.625, 0.375]])
    """
    if len(logits) == 1:
        only: Floats = logits[0]
        return only
    if link == "sigmoid":
        yes, no = (
            np.logaddexp.reduce(-np.logaddexp(0, -sign * logits), axis=0) for sign in (1, -1)
        )
        return np.asarray(yes - no)
    said = log_softmax(logits) if link == "softmax" else logits
    return np.asarray(np.logaddexp.reduce(said, axis=0) - math.log(len(logits)))


class Said(NamedTuple):
    """What networks say of bags together.

    Attributes
    ----------
    logits : array, shape (b, G)
    each : array, shape (K, b, G)
        Those of each network.
    attention : array, shape (N, G) or (N, 1)
        The mean over the networks.
    segment_logits : array, shape (N, G)
        With what the spread of its bag adds: attention times them sums to the bag's logits, of one
        network.
    embeddings : array, shape (N, D) or (N, 0)
        Of one network, where they were asked for.
    offsets : int array, shape (n + 1,)
        Where each track starts.
    """

    logits: Floats
    each: Floats
    attention: Floats
    segment_logits: Floats
    embeddings: Floats
    offsets: Offsets


class NetworkSaid(NamedTuple):
    """What one network says of bags, as in `Said`."""

    logits: Floats
    attention: Floats
    segment_logits: Floats
    embeddings: Floats


def together(found: Sequence[Sequence[NetworkSaid]], link: str, counts: NDArray[np.int64]) -> Said:
    """Put together what each network said of each part of the bags, and average.

    Parameters
    ----------
    found : sequence, of each network, of each part
    link : {"softmax", "sigmoid", "none"}
        How each network's logits become what is averaged.
    counts : int array, shape (n,)
        Segments of each track.
    """
    joined = [NetworkSaid(*map(np.concatenate, zip(*parts, strict=True))) for parts in found]
    logits = np.stack([one.logits for one in joined])
    alone = np.stack([one.segment_logits for one in joined])
    attention = np.mean([one.attention for one in joined], axis=0)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    last = joined[-1].embeddings
    return Said(average(logits, link), logits, attention, average(alone, link), last, offsets)


@dataclass(frozen=True, eq=False)
class NetworkArrays:
    """A network but for its encoder and scores.

    Attributes
    ----------
    inputs : tuple of array
        A table of quantiles, (F, Q), or mean and scale.
    head : tuple of (array, array)
        Weights (D, G) and biases of each layer, ReLU between them; none where logits are pooled.
    spread : array, shape (G, F), or None
    tanh : bool
        As in `matt.models.network.BagNetwork`.
    takes_highest : bool
        Whether the segment with the highest logit speaks for its bag, and no scores are read.
    """

    inputs: tuple[Floats, ...]
    head: tuple[tuple[Floats, Floats], ...]
    spread: Floats | None
    tanh: bool
    takes_highest: bool

    def prepare(self, x: Floats) -> NDArray[np.float32]:
        """What the encoder reads: (N, *feature_shape) -> the same."""
        ready = ranked(x, *self.inputs) if len(self.inputs) == 1 else standardised(x, *self.inputs)
        return np.ascontiguousarray(ready, np.float32)

    def pool(
        self, scores: Floats, values: Floats, inputs: Floats, log_sizes: Floats, offsets: Offsets
    ) -> tuple[Floats, Floats, Floats]:
        """Logits of bags (B, G), attention (N, K) and logits of segments (N, G).

        Parameters
        ----------
        scores : array, shape (N, K)
            Without -log n_k; unused where the highest logit is taken.
        values : array, shape (N, G) or (N, D)
            Logits, or embeddings where there is a head.
        inputs : array, shape (N, *feature_shape)
            Unused without a spread.
        log_sizes : array, shape (N,)
        offsets : int array, shape (B + 1,)
        """
        alone = self.classify(values[:, None]) if self.head else values
        if self.takes_highest:
            attention = segment_highest(alone, offsets)
        else:
            attention = segment_softmax(scores - log_sizes[:, None], offsets)
        if self.head:
            columns = [segment_sum(a[:, None] * values, offsets) for a in attention.T]
            logits = self.classify(np.stack(columns, axis=1))
        else:
            logits = segment_sum(attention * values, offsets)
        if self.spread is not None:
            spread = log_spread(inputs.reshape(len(inputs), -1), log_sizes, offsets)
            added = spread @ self.spread.T * min(1.0, FEW / spread.shape[1])  # (B, G)
            logits, alone = logits + added, alone + added[bag_index(offsets)]
        return logits.astype(np.float32), attention, alone.astype(np.float32)

    def classify(self, pooled: Floats) -> Floats:
        """(B, K, D) -> (B, G): each genre from the embedding of its own column, K being G or 1."""
        z = np.tanh(pooled) if self.tanh else pooled
        for number, (weight, bias) in enumerate(self.head):
            z = (z if number == 0 else np.maximum(z, 0)) @ weight + bias
        if self.tanh:
            z = log_softmax(z)
        chosen = z[:, 0] if z.shape[1] == 1 else z.diagonal(axis1=1, axis2=2)
        return np.asarray(chosen)


def segment_counts(features: FeatureStore, track_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Segments of each track, shape (n,), all at least 1.

    Raises
    ------
    DataError
        If a track has no features, or features of no segment.
    """
    counts = features.counts(track_ids)
    empty = np.unique(track_ids[counts < 1])
    if empty.size:
        raise DataError(
            f"{empty.size} tracks have no segment in {features.spec.name!r} (first: "
            f"{first_few(empty)}); leave them out with tracks.drop(...)"
        )
    return counts


def most_held(shape: Sequence[int], *, spread: bool) -> int:
    """Segments that are pooled at once, in whole bags.

    The spread of a bag is made of the inputs of its segments, beside which all else is small.

    >>> most_held((518,), spread=True), most_held((518,), spread=False)
    (1012, 65536)
    """
    return max(1, _HELD_NUMBERS // max(1, math.prod(shape))) if spread else _HELD


def parts_of(counts: NDArray[np.int64], *, most: int) -> list[slice]:
    """Consecutive tracks that hold at most so many segments together, or one track alone.

    >>> parts_of(np.array([2, 2, 9, 1]), most=4)
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    ends = np.cumsum(counts)
    parts: list[slice] = []
    start = 0
    while start < len(counts):
        read = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, read + most, side="right")))
        parts.append(slice(start, stop))
        start = stop
    return parts


def check_finite(
    x: Floats,
    ids: NDArray[np.int64],
    offsets: NDArray[np.int64],
    name: str,
    *,
    role: str = "training ",
) -> None:
    """Refuse values (N, ...) that are not finite, naming the tracks whose segments hold them.

    Raises
    ------
    DataError
    """
    bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if bad.any():
        tracks = np.unique(np.repeat(ids, np.diff(offsets))[bad])
        raise DataError(
            f"feature {name!r} holds NaN or infinite values for {len(tracks)} {role}tracks "
            f"(first: {first_few(tracks)}); extract them again, or leave them out with "
            "tracks.drop(...)"
        )
