"""Bags as they may come: cut to a few tracks, tracks without album or artist, tracks mixed up.

Test bags are damaged, predicted and put back: each track is scored under its own label with the
prediction of the damaged bag that it came to lie in, so that every condition scores equal tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..comparison import Fitted
from ..errors import DataError
from ..predictions import Predictions
from ..tracks import Tracks

SIZES = (1, 2, 3, 5, 10)  # tracks that are left of a bag
SHARES = (10, 25, 50, 75, 100)  # per cent of the tracks
WHOLE = "whole"
_COLUMN = "damaged bag"

# Bags of the test split -> their predictions
Predict = Callable[[Bags], Predictions]


@dataclass(frozen=True)
class Condition:
    """One kind of damage.

    Attributes
    ----------
    kind : {"cut", "missing", "wrong"}
        Bags are cut to so many random tracks; so many per cent of the tracks have no album or
        artist and are alone; so many per cent of the tracks swap their places at random.
    level : int
    """

    kind: str
    level: int

    @property
    def part(self) -> str:
        """Name of its predictions."""
        return f"{self.kind}-{self.level}"


CONDITIONS = (
    *(Condition("cut", size) for size in SIZES),
    *(Condition("missing", share) for share in SHARES),
    *(Condition("wrong", share) for share in SHARES),
)


def degrade(fitted: Fitted) -> dict[str, Predictions]:
    """Predict the test bags under every condition; see `matt.comparison.Further`.

    Returns
    -------
    dict of str to Predictions
        By `Condition.part`, and `WHOLE` ones.
    """
    test = fitted.bags("test")
    predict: Predict = fitted.predict
    if fitted.row.lone:
        predict = fitted.predict(fitted.bags("test", by="track")).average_over
    made = damaged(predict, fitted.tracks, test, seed=fitted.seed)
    return {WHOLE: predict(test)} | dict(made)


def damaged(
    predict: Predict, tracks: Tracks, test: Bags, *, seed: int
) -> Iterator[tuple[str, Predictions]]:
    """Predictions under every condition, each drawn by the seed.

    Parameters
    ----------
    predict : callable
        Bags of test tracks -> their predictions.
    tracks : Tracks
        With splits.
    test : Bags
        Of the test split, undamaged.
    seed : int

    Yields
    ------
    (str, Predictions)
        `Condition.part`, and predictions of equal tracks.
    """
    for number, condition in enumerate(CONDITIONS):
        rng = np.random.default_rng([seed, number])
        if condition.kind == "cut":
            made = predict(cut(test, condition.level, rng=rng))  # in the order of the whole bags
            there = tracks.take(tracks.rows(test.track_ids))
            yield condition.part, Predictions(test, there, made.logits, made.link)
        else:
            change = {"missing": without_tags, "wrong": mixed_up}[condition.kind]
            place = change(test, condition.level / 100, rng=rng)
            yield condition.part, predict(regrouped(tracks, test, place))


def cut(bags: Bags, size: int, *, rng: np.random.Generator) -> Bags:
    """Bags of at most so many of their tracks, drawn at random.

    >>> bags = Bags([3, 5, 8, 9], offsets=[0, 3, 4], labels=[0, 1])
    >>> cut(bags, 2, rng=np.random.default_rng(0)).sizes
    array([2, 1])
    """
    if size < 1:
        raise DataError(f"a bag of {size} tracks is none; cut to 1 or more")
    bag = np.repeat(np.arange(len(bags)), bags.sizes)
    order = np.lexsort([rng.random(len(bag)), bag])
    rank = np.arange(len(bag)) - np.repeat(bags.offsets[:-1], bags.sizes)
    kept = np.sort(order[rank < size])  # in the order of the bag
    offsets = np.append(0, np.cumsum(np.minimum(bags.sizes, size)))
    return replace(bags, track_ids=bags.track_ids[kept], offsets=offsets)


def without_tags(bags: Bags, share: float, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Bag of each track, in bag order, where a share of the tracks has none and is -1."""
    place = np.repeat(np.arange(len(bags)), bags.sizes)
    place[_some(len(place), share, rng)] = -1
    return place


def mixed_up(bags: Bags, share: float, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Bag of each track, in bag order, where a share of the tracks has swapped places at random.

    Bags keep their sizes. A track may come back to its own bag by chance.
    """
    place = np.repeat(np.arange(len(bags)), bags.sizes)
    chosen = _some(len(place), share, rng)
    place[chosen] = place[rng.permutation(chosen)]
    return place


def regrouped(tracks: Tracks, bags: Bags, place: NDArray[np.int64]) -> Bags:
    """Bags of the same test tracks in other places, shape (n,) in bag order; -1 is alone."""
    column = np.full(len(tracks), -1)
    column[tracks.rows(bags.track_ids)] = place
    changed = replace(tracks, columns={**tracks.columns, _COLUMN: column})
    return Bags.from_tracks(changed, by=(_COLUMN,), split="test")


def _some(n: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(n)[: round(share * n)]
