"""Metrics of arrays; numpy only. An undefined one is NaN, never 0.

Three kinds. Most are read off a **confusion matrix**: rows are true genres, columns are predicted
ones. Others **rank**: precision and recall at every threshold, average precision, the place of the
true genre. The last judge **forecasts**, where a lower value is better, and these follow the link:
with ``softmax`` an item is one forecast over all genres, and its confidence is the probability of
the most likely one; with ``sigmoid`` each pair of item and genre is a forecast of its own, yes or
no, because the genres of an item exclude nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, in_a_line

Confusion = NDArray[np.int64] | NDArray[np.float64]
FEW = 100  # training tracks; the lower of the paper's two thresholds
BALANCED = 1.5  # largest genre against the smallest: below, rare would be a matter of luck
BINS = 15  # of confidence
_LEAST = float(np.finfo(np.float64).eps)  # as in scikit-learn: what is impossible costs 36, not inf
_RANGES = {
    "log_loss": (0.0, np.inf),
    "brier": (0.0, 2.0),
    **dict.fromkeys(("coverage_error", "genres_given", "genres_true"), (0.0, np.inf)),
}


def range_of(name: str, *, difference: bool = False) -> tuple[float, float]:
    """Least and most that a metric can be; of a difference of two, its negative and the most.

    >>> range_of("macro_f1"), range_of("macro_f1", difference=True)
    ((0.0, 1.0), (-1.0, 1.0))
    """
    least, most = _RANGES.get(name, (0.0, 1.0))
    return (-most, most) if difference else (least, most)


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
    return float(ratio(np.trace(confusion), confusion.sum()))


def recalls(confusion: Confusion) -> NDArray[np.float64]:
    """Share of each true genre that was found, shape (G,); NaN where a genre has no item."""
    return ratio(np.diagonal(confusion), confusion.sum(axis=1))


def f1_scores(confusion: Confusion) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall, shape (G,); NaN where a genre has no item.

    A genre that has items but is never predicted scores 0.
    """
    return f1_of(np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0))


def f1_of(hits: Any, n_true: Any, n_predicted: Any) -> NDArray[np.float64]:
    """The same from counts of any equal shape: items found, items, and items predicted."""
    return np.where(n_true > 0, ratio(2 * hits, n_true + n_predicted), np.nan)


def mean_defined(values: NDArray[np.float64]) -> Any:
    """Mean along the last axis of what is not NaN; NaN, without a warning, where there is none."""
    if values.ndim == 1:  # left out, not counted as 0, so that no sum is rounded otherwise
        values = values[~np.isnan(values)]
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1))


def macro_f1(confusion: Confusion) -> float:
    """Mean F1 of the genres that have items, in [0, 1]: every genre counts the same.

    >>> macro_f1(np.array([[3, 0, 0], [1, 1, 0], [0, 0, 0]]))  # F1: 6/7, 2/3, undefined
    0.7619047619047619
    """
    return float(mean_defined(f1_scores(confusion)))


def balanced_accuracy(confusion: Confusion) -> float:
    """Mean recall of the genres that have items, in [0, 1]."""
    return float(mean_defined(recalls(confusion)))


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
    return float(mean_defined(recalls(confusion)[tail]))


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
        return step_sum(*micro_curve(scores, labels))
    if scores.shape != labels.shape:
        raise DataError(
            f"{labels.size} labels for {scores.size} scores; give each score whether it is true"
        )
    return step_sum(*precision_recall(scores, labels.astype(bool)))


def roc_auc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often what is true is above what is not, ties counting half.

    Parameters
    ----------
    scores : array, shape (m,)
    truth : bool array, shape (m,)

    Returns
    -------
    float
        In [0, 1]; .5 for a random order, NaN where all or nothing is true.

    Examples
    --------
    >>> roc_auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    _, place = np.unique(scores, return_inverse=True)  # from the lowest
    n_true, n_false = (np.bincount(place[which], minlength=1) for which in (truth, ~truth))
    size = max(len(n_true), len(n_false))
    n_true, n_false = (np.pad(n, (0, size - len(n))) for n in (n_true, n_false))
    below = np.cumsum(n_false) - n_false / 2
    return float(ratio(n_true @ below, n_true.sum() * float(n_false.sum())))


def found_among(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of an item's genres are among its first k guesses, shape (n, G): k from 1 to G.

    Of equal scores those that are not true come first.

    >>> found_among(np.array([[0.9, 0.5, 0.5]]), np.array([[True, True, False]]))
    array([[1, 1, 2]])
    """
    order = np.lexsort((truth, -scores), axis=1)
    return np.cumsum(np.take_along_axis(truth, order, axis=1), axis=1)


def guesses_needed(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many guesses it takes to have all genres of an item, shape (n,); ties count against it.

    Their mean is the coverage error. Each item has a genre.

    >>> guesses_needed(np.array([[0.9, 0.5, 0.5]]), np.array([[True, True, False]]))
    array([3])
    """
    lowest = np.where(truth, scores, np.inf).min(axis=1, keepdims=True)
    return np.asarray((scores >= lowest).sum(axis=1))


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


@dataclass(frozen=True, eq=False)
class Reliability:
    """Forecasts by their confidence, in bins of equal width.

    Attributes
    ----------
    edges : array, shape (bins + 1,)
        From 0 to 1; a bin holds its lower edge.
    n : array, shape (bins,)
        Forecasts.
    confidence, share : array, shape (bins,)
        Mean confidence, and the share that came true; NaN where a bin is empty.
    """

    edges: NDArray[np.float64]
    n: NDArray[np.float64]
    confidence: NDArray[np.float64]
    share: NDArray[np.float64]

    __repr__ = in_a_line

    @property
    def error(self) -> float:
        """Expected calibration error: mean of abs(share - confidence) over forecasts, in [0, 1].

        NaN without forecasts.
        """
        total = self.n.sum()
        gaps = np.abs(self.share - self.confidence)
        return float(np.nansum(self.n * gaps) / total) if total else float("nan")


def log_loss(
    probabilities: NDArray[np.floating], truth: NDArray[np.bool_], *, link: str = "softmax"
) -> float:
    """Mean negative log-probability of what is true, in nats; NaN without items.

    Parameters
    ----------
    probabilities : array, shape (n, G)
        Taken as at least 2.2e-16, so that an impossible genre costs 36 and not infinity.
    truth : bool array, shape (n, G)
    link : {"softmax", "sigmoid"}
        With ``"sigmoid"`` the mean over pairs of item and genre.

    Examples
    --------
    >>> p, truth = np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([[True, False], [False, True]])
    >>> round(log_loss(p, truth), 4)  # (log 2 + log 4/3) / 2
    0.4904
    """
    return _mean(log_losses(probabilities, truth, link=link))


def brier(
    probabilities: NDArray[np.floating], truth: NDArray[np.bool_], *, link: str = "softmax"
) -> float:
    """Mean squared distance of probabilities and truth; NaN without items.

    Parameters
    ----------
    probabilities : array, shape (n, G)
    truth : bool array, shape (n, G)
    link : {"softmax", "sigmoid"}
        With ``"softmax"`` summed over the genres of an item, as Brier has it, so in [0, 2]; with
        ``"sigmoid"`` the mean over pairs, in [0, 1].

    References
    ----------
    .. [1] Brier, "Verification of forecasts expressed in terms of probability", 1950.

    Examples
    --------
    >>> brier(np.array([[0.5, 0.5]]), np.array([[True, False]]))
    0.5
    """
    return _mean(squared_errors(probabilities, truth, link=link))


def reliability(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.bool_],
    *,
    link: str = "softmax",
    bins: int = BINS,
) -> Reliability:
    """Sort forecasts into bins of confidence.

    Parameters
    ----------
    probabilities : array, shape (n, G)
    truth : bool array, shape (n, G)
    link : {"softmax", "sigmoid"}
    bins : int >= 1

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> p, truth = np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([[True, False], [True, False]])
    >>> reliability(p, truth, bins=1).error  # one of two came true, with confidence 3/4
    0.25
    """
    if bins < 1:
        raise ConfigError(f"{bins} bins hold nothing; give 1 or more")
    _, confidence, right = forecasts(probabilities, truth, link=link)
    place = bin_of(confidence, bins)
    n = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights, minlength=bins) for weights in (confidence, right)]
    means = [ratio(s, n) for s in sums]
    return Reliability(np.linspace(0, 1, bins + 1), n.astype(np.float64), *means)


def log_losses(
    probabilities: NDArray[np.floating], truth: NDArray[np.bool_], *, link: str
) -> NDArray[np.float64]:
    """Log loss of each item, shape (n,)."""
    if link == "sigmoid":
        of_truth = np.where(truth, probabilities, 1 - probabilities)
        return np.asarray(-np.log(of_truth.clip(_LEAST, 1)).mean(axis=1))
    return np.asarray(-np.log(np.where(truth, probabilities, 0).sum(axis=1).clip(_LEAST, 1)))


def squared_errors(
    probabilities: NDArray[np.floating], truth: NDArray[np.bool_], *, link: str
) -> NDArray[np.float64]:
    """Brier score of each item, shape (n,)."""
    squares = (probabilities - truth) ** 2
    return np.asarray(squares.mean(axis=1) if link == "sigmoid" else squares.sum(axis=1))


def forecasts(
    probabilities: NDArray[np.floating], truth: NDArray[np.bool_], *, link: str
) -> tuple[NDArray[np.int64], NDArray[np.floating], NDArray[np.bool_]]:
    """Item, confidence and outcome of each forecast, shape (m,): m is n, or n G with sigmoid."""
    n, n_genres = probabilities.shape
    if link == "sigmoid":
        return np.repeat(np.arange(n), n_genres), probabilities.ravel(), truth.ravel()
    best = probabilities.argmax(axis=1)
    rows = np.arange(n)
    return rows, probabilities[rows, best], truth[rows, best]


def bin_of(confidence: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    """Bin of each confidence, shape (m,)."""
    return (confidence * bins).astype(np.int64).clip(0, bins - 1)


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


def ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """Divide; NaN, not a warning, where the whole is 0."""
    whole = np.asarray(whole, np.float64)
    empty = np.full(np.broadcast_shapes(np.shape(part), whole.shape), np.nan)
    found: NDArray[np.float64] = np.divide(part, whole, out=empty, where=whole != 0)
    return found


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
