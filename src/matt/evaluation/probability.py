"""Metrics of probabilities: log loss, Brier score, calibration. A lower one is better.

They judge **forecasts** by the link. With ``softmax`` an item is one forecast over all genres, and
its confidence is the probability of the most likely one. With ``sigmoid`` each pair of item and
genre is a forecast of its own, yes or no, because the genres of an item exclude nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..predictions import Predictions
from .units import items_of

BINS = 15
_LEAST = float(np.finfo(np.float64).eps)  # as in scikit-learn: what is impossible costs 36, not inf


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
    means = [np.divide(s, n, out=np.full(bins, np.nan), where=n > 0) for s in sums]
    return Reliability(np.linspace(0, 1, bins + 1), n.astype(np.float64), *means)


def reliability_of(predictions: Predictions, *, unit: str = "bag", bins: int = BINS) -> Reliability:
    """Sort the forecasts of predictions into bins of confidence, see `reliability`.

    Raises
    ------
    DataError
        If they are no probabilities.
    """
    items = items_of(predictions, unit=unit)
    if items.probabilities is None:
        raise DataError(
            f"calibration is of probabilities, but {items.no_probabilities}; "
            "use a model with a fitting link"
        )
    return reliability(items.probabilities, items.truth, link=items.link, bins=bins)


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


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
