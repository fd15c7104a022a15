"""Scores of a part of the items: by the size of their bags, by the training tracks of genres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import DataError, first_few
from ..predictions import Predictions
from . import metrics
from .ranking import average_precision
from .resampling import Resampled, bootstrap, score_with_intervals
from .scores import Scores
from .tally import KS, SHOTS, Tally, shots
from .units import Items, items_of

SIZES: tuple[tuple[int, int | None], ...] = ((1, 1), (2, 3), (4, 9), (10, None))


@dataclass(frozen=True, eq=False)
class ShotScores:
    """What the genres with many, some or few training tracks scored.

    Attributes
    ----------
    name : str
        One of `tally.SHOTS`.
    least, most : int, int or None
        Training tracks of its genres.
    unit : str
    n_genres, n : int
        Its genres, and items that have one of them.
    recall, macro_ap : float
        Means over its genres that have items; NaN where there is none. Multi-label predictions have
        no recall.
    top_2, top_3, top_5 : float
        Share of its items whose genre is among the first guesses of all genres.
    intervals : dict of str to (low, high)
        Of recall and top k; empty unless they were asked for.
    """

    name: str
    least: int
    most: int | None
    unit: str
    n_genres: int
    n: int
    recall: float = nan
    macro_ap: float = nan
    top_2: float = nan
    top_3: float = nan
    top_5: float = nan
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """Its genres in words, e.g. ``"20-100"``."""
        if self.most is None:
            return f"> {self.least - 1}"
        return f"{self.least}-{self.most}" if self.least else f"< {self.most + 1}"


def size_name(least: int, most: int | None) -> str:
    """Sizes of bags in words.

    >>> [size_name(*size) for size in SIZES]
    ['1', '2-3', '4-9', '10+']
    """
    return f"{least}+" if most is None else str(least) if least == most else f"{least}-{most}"


def by_size(
    predictions: Predictions,
    *,
    unit: str = "bag",
    bags: Bags | None = None,
    fewer_than: int | None = None,
    rounds: int = 0,
    seed: int = 0,
) -> dict[str, Scores]:
    """Score bags of 1, 2-3, 4-9 and 10 or more tracks apart.

    Parameters
    ----------
    predictions : Predictions
    unit : {"bag", "spread", "track"}
        As in `score`.
    bags : Bags, optional
        Whose sizes count; by default those of the predictions. With it, tracks that are predicted
        alone can be told apart by the size of the album that they are from.
    fewer_than : int, optional
        As in `score`.
    rounds, seed : int
        With rounds, scores have the intervals of `bootstrap`, from the artists of each part.

    Returns
    -------
    dict of str to Scores
        By the size in words, in the order of `SIZES`; a size without items is there too.

    Raises
    ------
    DataError
        If a track is in none of the bags.
    """
    items = items_of(predictions, unit=unit)
    sizes = items.sizes
    if bags is not None:
        sizes = _sizes_in(bags, items)
    found = {}
    for least, most in SIZES:
        inside = (sizes >= least) & (True if most is None else sizes <= most)
        part = items.take(np.flatnonzero(inside))
        found[size_name(least, most)] = score_with_intervals(
            part, rounds=rounds, seed=seed, fewer_than=fewer_than
        )
    return found


def _sizes_in(bags: Bags, items: Items) -> NDArray[np.int64]:
    """Size of the bag of each item, shape (n,)."""
    order = np.argsort(bags.track_ids)
    place = np.searchsorted(bags.track_ids, items.track_id, sorter=order)
    found = order[place.clip(max=len(order) - 1)]
    absent = items.track_id[bags.track_ids[found] != items.track_id]
    if absent.size:
        raise DataError(
            f"{absent.size} of {len(items)} predicted tracks are in none of the bags (first: "
            f"{first_few(absent)}); give bags of the same tracks"
        )
    sizes: NDArray[np.int64] = np.repeat(bags.sizes, bags.sizes)[found]
    return sizes


def by_shot(
    predictions: Predictions | Items,
    *,
    unit: str = "spread",
    rounds: int = 0,
    seed: int = 0,
    resampled: Resampled | None = None,
) -> tuple[ShotScores, ...]:
    """Score the genres with many (> 100), some (20-100) and few (< 20) training tracks apart.

    The paper's two tails, fewer than 100 and fewer than 200, come behind them.

    Parameters
    ----------
    predictions : Predictions or Items
    unit : {"spread", "bag", "track"}
        As in `score`.
    rounds, seed : int
        With rounds, recall and top k have the intervals of `bootstrap`.
    resampled : Resampled, optional
        A bootstrap of the same items that was made already, instead.
    """
    items = predictions if isinstance(predictions, Items) else items_of(predictions, unit=unit)
    if resampled is None and rounds and len(items):
        resampled = bootstrap(items, rounds=rounds, seed=seed)
    tally = Tally.of(items)
    told = tally.metrics(np.ones((1, tally.n_artists)))
    ends = {} if resampled is None else resampled.intervals()
    ap = np.full(len(items.genres), nan)
    for g in () if items.no_ranking else range(len(ap)):
        ap[g] = average_precision(items.values[:, g], items.truth[:, g])
    names = ("recall", *(f"top_{k}" for k in KS))
    found = []
    for name, chosen in shots(items.train_counts).items():
        least, most = SHOTS[name]
        values = {score: float(told[f"{name}_{score}"][0]) for score in names}
        found.append(
            ShotScores(
                name,
                least,
                most,
                items.unit,
                int(chosen.sum()),
                int(items.truth[:, chosen].any(axis=1).sum()),
                macro_ap=metrics.mean_defined(ap[chosen]),
                intervals={n: ends[key] for n in names if (key := f"{name}_{n}") in ends},
                **values,
            )
        )
    return tuple(found)
