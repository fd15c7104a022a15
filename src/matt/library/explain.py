"""Which tracks decided: explanations of bag predictions, from saved arrays alone.

With attention a and segment logits l the logits of a bag are a sum over its segments,

    o_g = sum_k a_kg l_kg,

so each track's part in it is known exactly. Two readings of it, both per track and genre:

- the **margin** is what the track added to o_g, centred over genres, because a constant that all
  genres share moves no probability;
- **leave-one-out** is what the probability would be without the track. The attention of the others
  then grows to sum to 1 again, which is exact too: o' = (sum of their parts) / (sum of their
  attention). Both are summed over the others, not subtracted from the whole, of which nothing but
  rounding is left where one track has nearly all attention.

A model that reads the spread of a bag adds what it says to all of the bag's segments alike; without
a track the spread is taken to be what it was. A blend does the same with what its members say that
are no networks, and with what averaging several networks bends: what is told of it is exact of the
sum, and of a track no more than what its networks have of it.

Margins say who spoke for a genre; leave-one-out says who could not be missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, check_arguments, in_a_line
from ..predictions import Predictions, probabilities_of

_ALONE = float(np.finfo(np.float32).tiny)  # attention below it has lost digits, or is 0
_ROUNDING = 1e-3  # of logits, relative to the largest: single precision over large bags


@dataclass(frozen=True, eq=False)
class Explanation:
    """What each track of each bag did; rows are tracks in bag order.

    Attributes
    ----------
    attention : float array, shape (n, G)
        Share of its bag's attention, in [0, 1].
    margins : float array, shape (n, G)
        Part in the bag's logits, centred over genres; sums over a bag to its centred logits. NaN
        where logits are no sums over segments, because the model's head is not linear.
    effects : float array, shape (n, G)
        Probability of the bag less its probability without the track; NaN for the only track of a
        bag, where the others have no attention at all, and where margins are NaN.
    """

    attention: NDArray[np.float64]
    margins: NDArray[np.float64]
    effects: NDArray[np.float64]

    __repr__ = in_a_line


def explain(predictions: Predictions) -> Explanation:
    """Explain predictions that carry attention and segment logits.

    Parameters
    ----------
    predictions : Predictions
        Made with ``predict(..., explain=True)``.

    Returns
    -------
    Explanation

    Raises
    ------
    DataError
        If the predictions do not carry the segments.
    """
    check_arguments(predictions=(predictions, Predictions))
    a, logits = predictions.attention, predictions.segment_logits
    starts = predictions.segment_offsets
    if a is None or logits is None or starts is None:
        raise DataError(
            "these predictions carry no attention; make them with predict(..., explain=True)"
        )
    a = np.broadcast_to(a, logits.shape).astype(np.float64)  # (N, G)
    attention = np.add.reduceat(a, starts[:-1], axis=0)  # (n, G)
    parts = np.add.reduceat(a * logits, starts[:-1], axis=0)  # (n, G)
    bag = np.repeat(np.arange(len(predictions)), predictions.bags.sizes)  # (n,)
    rest = _of_others(attention, predictions.bags.offsets)  # (n, G)
    alone = np.asarray((rest < _ALONE).any(axis=1))  # (n,)
    whole = np.add.reduceat(parts, predictions.bags.offsets[:-1], axis=0)  # (b, G): the logits
    others = _of_others(parts, predictions.bags.offsets)
    without = others / np.where(alone[:, None], 1, rest)
    effects = probabilities_of(whole, predictions.link)[bag] - probabilities_of(
        without, predictions.link
    )
    effects[alone] = np.nan
    margins = parts - parts.mean(axis=1, keepdims=True)
    apart = np.abs(whole - predictions.logits).max(axis=1, initial=0)  # (b,)
    if (apart > _ROUNDING * (1 + np.abs(logits).max(initial=0))).any():
        margins[:], effects[:] = np.nan, np.nan
    return Explanation(attention, margins, effects)


def _of_others(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum over the other rows of each bag, shape (n, G), without a subtraction.

    >>> _of_others(np.array([[1.0], [1e-20], [3.0], [7.0]]), np.array([0, 3, 4]))[:, 0]
    array([3., 4., 1., 0.])
    """
    before, behind = np.zeros_like(values), np.zeros_like(values)
    sizes = np.diff(offsets)
    order = np.argsort(-sizes, kind="stable")
    first, last, larger = offsets[:-1][order], offsets[1:][order] - 1, -sizes[order]
    for step in range(1, int(sizes.max(initial=0))):
        n = int(np.searchsorted(larger, -step))  # bags of more than ``step`` rows
        row = first[:n] + step
        before[row] = before[row - 1] + values[row - 1]
        row = last[:n] - step
        behind[row] = behind[row + 1] + values[row + 1]
    return before + behind
