"""Metrics of ranked scores: precision and recall at every threshold, average precision, top k."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError


def precision_recall(
    scores: NDArray[np.floating], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall when everything down to each distinct score is accepted.

    Parameters
    ----------
    scores : array, shape (m,)
        Only their order matters; equal scores are accepted together.
    truth : bool array, shape (m,)

    Returns
    -------
    precision, recall : array, shape (number of distinct scores,)
        From the highest threshold to the lowest, so recall rises; empty where nothing is true.

    Examples
    --------
    >>> scores, truth = np.array([0.9, 0.8, 0.1]), np.array([True, False, True])
    >>> precision, recall = precision_recall(scores, truth)
    >>> precision.round(2), recall
    (array([1.  , 0.5 , 0.67]), array([0.5, 0.5, 1. ]))
    """
    n_true = np.count_nonzero(truth)
    if not n_true:
        return np.array([]), np.array([])
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of each tied group
    hits = np.cumsum(truth[order])[last]
    return hits / (last + 1), hits / n_true


def step_sum(precision: NDArray[np.floating], recall: NDArray[np.floating]) -> float:
    """Area under a precision-recall curve as a sum of steps, without interpolation.

    The points may be in either direction; the recall of a step is weighted with the precision at
    its upper end, as scikit-learn does.

    >>> step_sum(np.array([1.0, 0.5]), np.array([0.5, 1.0]))
    0.75
    """
    if not len(recall):
        return float("nan")
    if recall[0] > recall[-1]:
        precision, recall = precision[::-1], recall[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def average_precision(scores: NDArray[np.floating], labels: NDArray[Any]) -> float:
    """Average precision: the mean precision over all true pairs of item and genre.

    Parameters
    ----------
    scores : array, shape (b, G) or (m,)
        Two axes are flattened into pairs of item and genre ("micro"); one axis is a single genre.
    labels : int array, shape (b,), or bool array, shape (b, G) or (m,)
        With two axes of scores: the labels of bags, where -1 or an all-false row is unknown and is
        dropped. With one: which items are true.

    Returns
    -------
    float
        In [0, 1]; NaN where nothing is true. A random order scores the share of true pairs (1 / G
        with one genre an item), not 0.

    Examples
    --------
    >>> average_precision(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
    0.8333333333333333
    """
    if scores.ndim == 2:
        truth = truth_of(labels, scores.shape[1])
        known = truth.any(axis=1)
        scores, labels = scores[known].ravel(), truth[known].ravel()
    if scores.shape != labels.shape:
        raise DataError(
            f"{labels.size} labels for {scores.size} scores; give each score whether it is true"
        )
    return step_sum(*precision_recall(scores, labels.astype(bool)))


def truth_of(labels: NDArray[Any], n_genres: int) -> NDArray[np.bool_]:
    """Labels as one column a genre: (b,) or (b, G) -> (b, G); unknown is an all-false row.

    >>> truth_of(np.array([2, -1]), 3)
    array([[False, False,  True],
           [False, False, False]])
    """
    if labels.ndim == 2:
        return labels.astype(bool)
    truth: NDArray[np.bool_] = labels[:, None] == np.arange(n_genres)
    return truth


def tail_top_k_accuracy(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    train_counts: NDArray[np.integer],
    *,
    k: int,
    fewer_than: int,
) -> float:
    """Top-k accuracy over the items of rare genres.

    A genre is rare when it has fewer than ``fewer_than`` *training* tracks.

    Parameters
    ----------
    scores : array, shape (b, G)
        Only their order within a row matters.
    labels : int array, shape (b,)
        True genre of each item; -1 is unknown and is dropped.
    train_counts : int array, shape (G,)
        Training tracks of each genre.
    k : int, 1 <= k <= G
        How many guesses count.
    fewer_than : int
        Tail threshold in training tracks; the paper uses 100 and 200.

    Returns
    -------
    float
        Fraction in [0, 1] of items; NaN where no item has a rare genre, because the metric is then
        undefined, not 0. Ties count against the true genre, so a constant classifier scores 0.

    Raises
    ------
    DataError
        If ``k`` is no number of guesses.

    References
    ----------
    .. [1] Liu & Zhang, "MATT", IEEE SMC 2022, Table II.

    Examples
    --------
    Genre 1 is rare; its item is missed by the first guess and found by the second:

    >>> p = np.array([[0.9, 0.1], [0.6, 0.4]])
    >>> y, counts = np.array([0, 1]), np.array([5000, 40])
    >>> tail_top_k_accuracy(p, y, counts, k=1, fewer_than=100)
    0.0
    >>> tail_top_k_accuracy(p, y, counts, k=2, fewer_than=100)
    1.0
    """
    _check_k(k, scores.shape[1])
    rare = np.append(train_counts < fewer_than, False)[labels]  # an unknown label, -1, is not rare
    return top_k_accuracy(scores[rare], labels[rare], k=k)


def top_k_accuracy(scores: NDArray[np.floating], labels: NDArray[np.integer], *, k: int) -> float:
    """Share of items whose true genre is among the first k guesses.

    Parameters
    ----------
    scores : array, shape (b, G)
    labels : int array, shape (b,)
        -1 is unknown and is dropped.
    k : int, 1 <= k <= G

    Returns
    -------
    float
        In [0, 1]; NaN without items. Ties count against the true genre.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1, 0.0], [0.4, 0.4, 0.2]])
    >>> top_k_accuracy(p, np.array([0, 1]), k=1), top_k_accuracy(p, np.array([0, 1]), k=2)
    (0.5, 1.0)
    """
    _check_k(k, scores.shape[1])
    known = labels >= 0
    if not known.any():
        return float("nan")
    return float((ranks(scores[known], labels[known]) <= k).mean())


def ranks(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Place of the true genre, shape (b,): 1 is best, and of equal scores the true one is last.

    >>> ranks(np.array([[0.2, 0.2, 0.6]]), np.array([0]))
    array([3])
    """
    true = np.take_along_axis(scores, labels[:, None], axis=1)
    return np.asarray((scores >= true).sum(axis=1))


def micro_curve(
    scores: NDArray[np.floating], labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall over all pairs of item and genre: the curves of the paper.

    Parameters
    ----------
    scores : array, shape (b, G)
    labels : int array, shape (b,), or bool array, shape (b, G)
        Unknown items are dropped.

    Returns
    -------
    precision, recall : array
        As in `precision_recall`; `step_sum` makes them the micro average precision.
    """
    truth = truth_of(labels, scores.shape[1])
    known = truth.any(axis=1)
    return precision_recall(scores[known].ravel(), truth[known].ravel())


def genre_curves(
    scores: NDArray[np.floating], labels: NDArray[Any]
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """Precision and recall of each genre against the others, length G; see `micro_curve`.

    A genre without an item has empty curves.
    """
    truth = truth_of(labels, scores.shape[1])
    known = truth.any(axis=1)
    return tuple(
        precision_recall(scores[known, g], truth[known, g]) for g in range(scores.shape[1])
    )


def _check_k(k: int, n_genres: int) -> None:
    if not 1 <= k <= n_genres:
        raise DataError(f"k={k} guesses of {n_genres} genres; use 1 to {n_genres}")
