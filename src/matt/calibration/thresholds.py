"""Thresholds: the probability from which a genre is given, where a bag may have several.

Each genre has its own, chosen on the validation bags by the best F1. F1 alone would give a genre
that is hard to hear far more often than it is true: of one that cannot be told at all, to every
bag. So of all thresholds only those count with which a genre is given about as often as it is true
there, between `LEAST` and `MOST` times. With any number allowed, ``within=(0, inf)``, they are the
thresholds of MTG-Jamendo's evaluation scripts.

A genre that no validation bag has cannot be asked. It gets the median of the others'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, first_few, in_a_line

LEAST, MOST = 0.8, 1.25  # times that a genre is given, for each time that it is true


@dataclass(frozen=True, eq=False)
class Thresholds:
    """From which probability on each genre is given.

    Attributes
    ----------
    values : array, shape (G,)
        In [0, 1].
    own : bool array, shape (G,)
        Whether a genre's threshold was chosen on bags that have it; if not, it is the median of
        those that were.
    """

    values: NDArray[np.float64]
    own: NDArray[np.bool_]

    __repr__ = in_a_line

    def notes(self, genres: tuple[str, ...]) -> tuple[str, ...]:
        """Say which genres have their threshold from the others; nothing where none has."""
        without = np.flatnonzero(~self.own)
        if not without.size:
            return ()
        names, median = first_few(genres[g] for g in without), self.values[without[0]]
        those = "1 genre is" if without.size == 1 else f"{without.size} genres are"
        told = f"{those} on no validation album ({names}); the threshold there is the median of"
        return (f"{told} the other genres', {median:.3f}",)


def choose_thresholds(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.bool_],
    *,
    within: tuple[float, float] = (LEAST, MOST),
) -> Thresholds:
    """Choose the threshold of each genre by the best F1, see above.

    Parameters
    ----------
    probabilities : array, shape (b, G)
        Of bags that were not trained on.
    truth : bool array, shape (b, G)
        Which genres each bag has; some bag has one.
    within : (float, float)
        How often a genre may be given at least and at most, times the bags that have it. Where
        equal probabilities leave no such number, the nearest to it is taken.

    Raises
    ------
    DataError
        If no bag has a genre.

    Examples
    --------
    Folk is best given to the first two bags, Jazz is on none of them:

    >>> p = np.array([[0.9, 0.1], [0.5, 0.2], [0.3, 0.1]])
    >>> truth = np.array([[True, False], [True, False], [False, False]])
    >>> found = choose_thresholds(p, truth)
    >>> found.values, found.own
    (array([0.4, 0.4]), array([ True, False]))
    """
    own = np.asarray(truth.any(axis=0))
    if not own.any():
        raise DataError(
            f"none of {len(truth)} validation albums has a genre, so no threshold can be chosen; "
            "tag more albums of the validation artists"
        )
    values = np.zeros(truth.shape[1])
    for g in np.flatnonzero(own):
        values[g] = _best(probabilities[:, g].astype(np.float64), truth[:, g], within)
    values[~own] = np.median(values[own])
    return Thresholds(values, own)


def _best(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], within: tuple[float, float]
) -> float:
    """Threshold of one genre: half-way from the last score that is given to the next one."""
    order = np.argsort(-scores, kind="stable")
    falling, n_true = scores[order], int(truth.sum())
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # of equal scores
    n_given, hits = last + 1, np.cumsum(truth[order])[last]
    f1 = 2 * hits / (n_given + n_true)
    allowed = (n_given >= within[0] * n_true) & (n_given <= within[1] * n_true)
    if not allowed.any():
        apart = np.abs(np.log(n_given / n_true))
        allowed = apart == apart.min()
    best = last[int(np.argmax(np.where(allowed, f1, -1)))]  # of equal ones the fewest given
    if best + 1 == len(falling):
        return float(falling[best])
    middle = (falling[best] + falling[best + 1]) / 2
    return float(middle if middle > falling[best + 1] else falling[best])
