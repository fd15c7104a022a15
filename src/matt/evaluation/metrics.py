"""Metrics of labels and predicted genres; numpy only. An undefined one is NaN, never 0.

Most metrics are read off a **confusion matrix**: rows are true genres, columns are predicted ones.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Confusion = NDArray[np.int64] | NDArray[np.float64]
FEW = 100  # training tracks; the lower of the paper's two thresholds
BALANCED = 1.5  # largest genre against the smallest: below, rare would be a matter of luck


def confusion_matrix(
    labels: NDArray[np.integer],
    predicted: NDArray[np.integer],
    n_genres: int,
    weights: NDArray[np.floating] | None = None,
) -> Confusion:
    """Count how often each genre was taken for each.

    Parameters
    ----------
    labels, predicted : int array, shape (b,)
        True and predicted genre of each item; items whose label is -1 (unknown) are dropped.
    n_genres : int
    weights : array, shape (b,), optional
        What each item counts; 1 by default.

    Returns
    -------
    array, shape (G, G)
        Rows are true genres, columns predicted ones. Integers, or floats where there are weights.

    Raises
    ------
    DataError
        If lengths differ or a genre is out of range.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 0, 1, -1]), np.array([0, 1, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise DataError(
            f"labels have shape {labels.shape}, predictions {predicted.shape}; give one genre "
            "index an item (several genres an item have no confusion matrix)"
        )
    known = labels >= 0
    true, best = labels[known], predicted[known]
    if true.size and not (max(true.max(), best.max()) < n_genres and best.min() >= 0):
        raise DataError(
            f"labels run to {true.max()}, predictions from {best.min()} to {best.max()}, but there "
            f"are {n_genres} genres; use 0 to {n_genres - 1}"
        )
    flat = np.bincount(
        true * n_genres + best,
        weights=None if weights is None else weights[known],
        minlength=n_genres * n_genres,
    )
    return flat.reshape(n_genres, n_genres)


def accuracy(confusion: Confusion) -> float:
    """Share of items whose genre was found, in [0, 1]; NaN without items."""
    return float(_ratio(np.trace(confusion), confusion.sum()))


def recalls(confusion: Confusion) -> NDArray[np.float64]:
    """Share of each true genre that was found, shape (G,); NaN where a genre has no item."""
    return _ratio(np.diagonal(confusion), confusion.sum(axis=1))


def precisions(confusion: Confusion) -> NDArray[np.float64]:
    """Share of right ones where each genre was predicted, shape (G,); NaN where it never was."""
    return _ratio(np.diagonal(confusion), confusion.sum(axis=0))


def f1_scores(confusion: Confusion) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall, shape (G,); NaN where a genre has no item.

    A genre that has items but is never predicted scores 0.
    """
    n_true = confusion.sum(axis=1)
    f1 = _ratio(2 * np.diagonal(confusion), n_true + confusion.sum(axis=0))
    return np.where(n_true > 0, f1, np.nan)


def mean_defined(values: NDArray[np.float64]) -> float:
    """Mean of the values that are not NaN; NaN, without a warning, where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def macro_f1(confusion: Confusion) -> float:
    """Mean F1 of the genres that have items, in [0, 1]: every genre counts the same.

    >>> macro_f1(np.array([[3, 0, 0], [1, 1, 0], [0, 0, 0]]))  # F1: 6/7, 2/3, undefined
    0.7619047619047619
    """
    return mean_defined(f1_scores(confusion))


def balanced_accuracy(confusion: Confusion) -> float:
    """Mean recall of the genres that have items, in [0, 1]."""
    return mean_defined(recalls(confusion))


def tail(train_counts: NDArray[np.integer], *, fewer_than: int | None = None) -> NDArray[np.bool_]:
    """Which genres are rare, shape (G,).

    Parameters
    ----------
    train_counts : int array, shape (G,)
        Training tracks of each genre.
    fewer_than : int, optional
        Rare is a genre with fewer training tracks than this. By default it is 100, the paper's
        threshold, where that divides the genres: if no genre or more than half of them have fewer
        than 100, the rarest third is rare instead (at least one; genres equal to the first that is
        left out are left out too). Where that leaves none, because the rarest are equal, it is all
        of these, however many. A balanced table, whose largest genre has less than `BALANCED` times
        the tracks of the smallest, has no tail.

    Examples
    --------
    >>> tail(np.array([900, 80, 400]))
    array([False,  True, False])
    >>> tail(np.array([90, 12, 40, 70, 55, 30]))  # all small: the rarest two of six
    array([False,  True, False, False, False,  True])
    """
    threshold, _ = _threshold(train_counts, fewer_than)
    rare: NDArray[np.bool_] = train_counts < threshold
    return rare


def tail_rule(train_counts: NDArray[np.integer], *, fewer_than: int | None = None) -> str:
    """Say in words what `tail` called rare, for notes under tables.

    >>> tail_rule(np.array([90, 12, 40, 70, 55, 30]))
    'tail: fewer than 40 training tracks (the rarest third), 2 of 6 genres'
    """
    threshold, why = _threshold(train_counts, fewer_than)
    n_rare = int((train_counts < threshold).sum())
    if not n_rare:
        return f"tail: no genre has fewer than {threshold} training tracks"
    share = f"{n_rare} of {len(train_counts)} genres"
    return f"tail: fewer than {threshold} training tracks{why}, {share}"


def tail_recall(confusion: Confusion, tail: NDArray[np.bool_]) -> float:
    """Mean recall of the rare genres that have items; NaN where there is none."""
    return mean_defined(recalls(confusion)[tail])


def wilson(hits: float, n: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion; sound where counts are small or the share is 0 or 1.

    Parameters
    ----------
    hits, n : number, 0 <= hits <= n
    confidence : float, 0 < confidence < 1

    Returns
    -------
    low, high : float
        In [0, 1]; NaN where n is 0.

    Examples
    --------
    >>> low, high = wilson(0, 4)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.49)
    """
    if not 0 <= hits <= n:
        raise DataError(f"{hits} hits of {n} is no proportion; give 0 <= hits <= n")
    if n == 0:
        return float("nan"), float("nan")
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    centre = (hits + z2 / 2) / (n + z2)
    half = (z2 * (hits * (n - hits) / n + z2 / 4)) ** 0.5 / (n + z2)
    # The share itself is a bound, so that 0 and 1 are met exactly.
    return max(0.0, min(hits / n, centre - half)), min(1.0, max(hits / n, centre + half))


def _threshold(train_counts: NDArray[np.integer], fewer_than: int | None) -> tuple[int, str]:
    """What fewer tracks than a genre needs to be rare, and which genres these are, in words."""
    if fewer_than is not None:
        return fewer_than, ""
    n_small = int((train_counts < FEW).sum())
    if 0 < n_small <= len(train_counts) / 2 or len(train_counts) < 2:
        return FEW, ""
    counts = np.sort(train_counts)
    if counts[-1] < BALANCED * counts[0]:
        return int(counts[0]), ""
    third = int(counts[max(1, len(counts) // 3)])
    if counts[0] < third or counts[0] == counts[-1]:
        return third, " (the rarest third)"
    return int(counts[0]) + 1, " (the rarest, which are equal)"


def _ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """Divide; NaN, not a warning, where the whole is 0."""
    whole = np.asarray(whole, np.float64)
    empty = np.full(whole.shape, np.nan)
    ratio: NDArray[np.float64] = np.divide(part, whole, out=empty, where=whole != 0)
    return ratio
