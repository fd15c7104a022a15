"""Means over runs with their intervals: over test artists where runs share them, else over splits.

What `matt.evaluation.resampling` does for one run and every metric is done here for the mean of
several runs and the few metrics of the paper's tables, so that a table of hundreds of runs takes
seconds. The same seeds draw the same artists there and here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..evaluation.ranking import ranks
from ..evaluation.repeats import paired_over_splits, spread_of
from ..evaluation.resampling import ROUNDS, draws
from ..evaluation.units import Items, items_of
from ..predictions import Predictions

KS = (2, 3, 5)

# (how often each artist counts: (R, A)) -> (R,)
Weighted = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Sums:
    """Items of one run, summed by artist and genre, shape (A, G) each.

    Attributes
    ----------
    unit : str
        What an item is, as in `Items`.
    n : int
        Items.
    track_id : int array, shape (n,)
    genres : tuple of str, length G
    train_counts : int array, shape (G,)
    true, hits, predicted : array, shape (A, G)
        Items by their genre, those of them that were found, and items by what was predicted.
    top : dict of int to array, shape (A, G)
        Items, by their genre, whose genre is among the first K guesses; ties count against it.
    """

    unit: str
    n: int
    track_id: NDArray[np.int64]
    genres: tuple[str, ...]
    train_counts: NDArray[np.int64]
    true: NDArray[np.float64]
    hits: NDArray[np.float64]
    predicted: NDArray[np.float64]
    top: dict[int, NDArray[np.float64]]

    @classmethod
    def of(cls, predictions: Predictions | Items, *, unit: str = "spread") -> Sums:
        """Sum items; of predictions in a unit of `matt.evaluation.units.items_of`.

        Raises
        ------
        DataError
            If an item may have several genres.
        """
        items = predictions if isinstance(predictions, Items) else items_of(predictions, unit=unit)
        if items.labels is None:
            raise DataError(
                "the paper's tables are of one genre an item, but here an item may have several; "
                "use 'matt evaluate'"
            )
        n_artists, n_genres, labels = items.n_artists, len(items.genres), items.labels

        def summed(genre: NDArray[np.int64], which: NDArray[np.bool_]) -> NDArray[np.float64]:
            flat = items.artist[which] * n_genres + genre[which]
            counted = np.bincount(flat, minlength=n_artists * n_genres)
            return counted.reshape(n_artists, n_genres).astype(np.float64)

        every = np.ones(len(items), bool)
        rank = ranks(items.values, labels)
        return cls(
            items.unit,
            len(items),
            items.track_id,
            items.genres,
            items.train_counts,
            summed(labels, every),
            summed(labels, items.best == labels),
            summed(items.best, every),
            {k: summed(labels, rank <= k) for k in KS if k < n_genres},
        )

    @property
    def n_artists(self) -> int:
        """Artists, or bags without a known one."""
        return len(self.true)

    def accuracy(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of items whose genre was found: (R, A) -> (R,)."""
        return _ratio(counts @ self.hits.sum(axis=1), counts @ self.true.sum(axis=1))

    def macro_f1(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean F1 of the genres that have items: (R, A) -> (R,)."""
        true = counts @ self.true  # (R, G)
        f1 = _ratio(2 * (counts @ self.hits), true + counts @ self.predicted)
        there = true > 0
        return _ratio(np.where(there, f1, 0).sum(axis=1), there.sum(axis=1))

    def top_k(self, k: int, genres: NDArray[np.bool_]) -> Weighted:
        """Top-K accuracy over the items of some genres; NaN throughout where K guesses are all."""

        def weighted(counts: NDArray[np.float64]) -> NDArray[np.float64]:
            if k not in self.top:
                return np.full(len(counts), np.nan)
            return _ratio(
                counts @ self.top[k][:, genres].sum(axis=1),
                counts @ self.true[:, genres].sum(axis=1),
            )

        return weighted

    def recall(self, genres: NDArray[np.bool_]) -> Weighted:
        """Mean recall of some genres, of those that have items."""

        def weighted(counts: NDArray[np.float64]) -> NDArray[np.float64]:
            true = counts @ self.true[:, genres]
            recall = _ratio(counts @ self.hits[:, genres], true)
            there = true > 0
            return _ratio(np.where(there, recall, 0).sum(axis=1), there.sum(axis=1))

        return weighted


@dataclass(frozen=True)
class Measure:
    """A mean over runs.

    Attributes
    ----------
    mean, sd : float
        Over runs; the deviation of a single run is NaN.
    low, high : float
        95 % interval of the mean.
    runs : int
    """

    mean: float
    sd: float
    low: float
    high: float
    runs: int

    @property
    def spread(self) -> tuple[float, float]:
        """Mean and deviation, as tables hold them."""
        return self.mean, self.sd

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high, as tables hold them."""
        return self.low, self.high


NOTHING = Measure(math.nan, math.nan, math.nan, math.nan, 0)


def measure(
    runs: Sequence[Sums],
    metric: Callable[[Sums], Weighted],
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Measure:
    """Mean of a metric over runs, with its interval.

    Where all runs are of the same items (seeds of one split) the interval is a bootstrap over their
    artists of the mean over runs; where they are of different ones, a t interval over splits.

    Parameters
    ----------
    runs : sequence of Sums
    metric : callable
        ``Sums.accuracy``, ``Sums.macro_f1``, or what gives `Sums.top_k` of sums.
    rounds : int >= 0
        Of the bootstrap; with 0 there is no interval.
    seed : int

    Examples
    --------
    >>> measure([], lambda sums: sums.accuracy).runs
    0
    """
    if not runs:
        return NOTHING
    weighted = [metric(sums) for sums in runs]
    values = [
        float(some(np.ones((1, sums.n_artists)))[0])
        for some, sums in zip(weighted, runs, strict=True)
    ]
    found = spread_of(values)
    low, high = math.nan, math.nan
    if not same_items(runs):
        over = paired_over_splits(values)
        # A mean of shares is one, however few splits there are.
        low, high = (float(np.clip(end, 0, 1)) for end in (over.low, over.high))
    elif rounds and runs[0].n_artists > 1 and found.n:
        made = []
        for counts in _draws(runs[0].n_artists, rounds, seed):
            made.append(np.mean([some(counts) for some in weighted], axis=0))
        defined = np.concatenate(made)
        defined = defined[~np.isnan(defined)]
        if defined.size:
            low, high = (float(end) for end in np.quantile(defined, (0.025, 0.975)))
    return Measure(found.mean, found.sd, low, high, len(runs))


@lru_cache(maxsize=8)
def _draws(n_artists: int, rounds: int, seed: int) -> tuple[NDArray[np.float64], ...]:
    """Draws of artists; every row of a table has the same, and they take longer than the rest."""
    return tuple(draws(n_artists, rounds, seed))


def same_items(runs: Sequence[Sums]) -> bool:
    """Whether all runs scored the same items."""
    first = runs[0]
    return all(
        np.array_equal(sums.track_id, first.track_id) and np.array_equal(sums.true, first.true)
        for sums in runs[1:]
    )


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    empty = np.full(part.shape, np.nan)
    ratio: NDArray[np.float64] = np.divide(part, whole, out=empty, where=whole > 0)
    return ratio


def accuracy(sums: Sums) -> Weighted:
    """Accuracy, as `measure` takes it."""
    return sums.accuracy


def macro_f1(sums: Sums) -> Weighted:
    """Macro-F1, as `measure` takes it."""
    return sums.macro_f1
