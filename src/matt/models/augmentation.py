"""Random sub-bags: each epoch shows a random non-empty subset of the tracks of every bag.

It keeps a network from learning albums by heart, and it is how a bag too large for a step is shown.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags


def sub_bags(bags: Bags, rng: np.random.Generator) -> Bags:
    """Replace every bag by a random non-empty subset of its tracks.

    Parameters
    ----------
    bags : Bags
    rng : numpy Generator
        ``default_rng([seed, epoch])`` draws the same for a whole epoch wherever it is drawn.

    Returns
    -------
    Bags
        As many bags, in the same order, with the same labels. A bag of n tracks keeps 1 to n of
        them, each number equally likely, and each subset of that size; tracks stay in their order.

    Examples
    --------
    >>> bags = Bags([5, 7, 9, 11], offsets=[0, 3, 4], labels=[1, 0])
    >>> shown = sub_bags(bags, np.random.default_rng([0, 1]))
    >>> len(shown), shown.labels, set(shown.track_ids) <= {5, 7, 9, 11}
    (2, array([1, 0]), True)
    """
    place = _random_places(bags, rng)  # (n,), 0 is first
    sizes = rng.integers(1, bags.sizes, endpoint=True)  # (b,)
    return _keep(bags, place < np.repeat(sizes, bags.sizes))


def cap_bags(
    bags: Bags, counts: NDArray[np.int64], *, max_segments: int, rng: np.random.Generator
) -> tuple[Bags, int]:
    """Replace every bag of too many segments by a random sub-bag that fits.

    Parameters
    ----------
    bags : Bags
    counts : int array, shape (n,)
        Segments of each track, in bag order.
    max_segments : int >= 1
    rng : numpy Generator

    Returns
    -------
    bags : Bags
        As many bags, in the same order. A bag that fits is left as it is; of another one tracks
        are drawn until the next would not fit, at least one: a track is never cut.
    n_capped : int
        How many bags did not fit.
    """
    over = np.add.reduceat(counts, bags.offsets[:-1]) > max_segments
    if not over.any():
        return bags, 0
    place = _random_places(bags, rng)
    order = np.argsort(np.repeat(bags.offsets[:-1], bags.sizes) + place)  # drawn order, bag by bag
    running = np.cumsum(counts[order])
    before = running[bags.offsets[:-1]] - counts[order][bags.offsets[:-1]]
    fits = np.empty(len(counts), bool)
    fits[order] = running - np.repeat(before, bags.sizes) <= max_segments
    keep = fits | (place == 0) | np.repeat(~over, bags.sizes)
    return _keep(bags, keep), int(over.sum())


def _random_places(bags: Bags, rng: np.random.Generator) -> NDArray[np.int64]:
    """Place of each track in a random order of its bag, shape (n,)."""
    owner = np.repeat(np.arange(len(bags)), bags.sizes)
    order = np.lexsort((rng.random(len(owner)), owner))
    place = np.empty(len(owner), np.int64)
    place[order] = np.arange(len(owner)) - np.repeat(bags.offsets[:-1], bags.sizes)
    return place


def _keep(bags: Bags, keep: NDArray[np.bool_]) -> Bags:
    sizes = np.add.reduceat(keep, bags.offsets[:-1], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return replace(bags, track_ids=bags.track_ids[keep], offsets=offsets)
