"""What an epoch shows: which bags how often, which of their tracks, and which of their segments.

Random sub-bags keep a network from learning albums by heart, and they are how a bag too large for a
step is shown. All is drawn for a whole epoch from ``default_rng([seed, epoch])`` before the bags
are dealt out to steps, so it depends on nothing that happened before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags, gather, vote_many

POWERS = {"natural": 1.0, "sqrt": 0.5, "balanced": 0.0}  # of the bags of a genre


def expected_draws(bags: Bags, sampler: str) -> NDArray[np.float64]:
    """How often a sampler shows each bag in an epoch, on average: shape (b,), b in all.

    Parameters
    ----------
    bags : Bags
        All labelled; with one genre a bag, unless the sampler is ``"natural"``.
    sampler : {"natural", "sqrt", "balanced"}
        Genres are shown as often as they have bags, as the square root of that, or all alike; the
        bags of a genre are shown alike.

    Examples
    --------
    >>> bags = Bags(range(5), range(6), [0, 0, 0, 0, 1])
    >>> expected_draws(bags, "balanced")
    array([0.625, 0.625, 0.625, 0.625, 2.5  ])
    """
    if sampler == "natural":
        return np.ones(len(bags))
    n = np.bincount(bags.labels)[bags.labels]  # (b,): bags of each one's genre
    draws = n ** (POWERS[sampler] - 1)
    return np.asarray(draws * len(bags) / draws.sum())


def sample_bags(bags: Bags, sampler: str, rng: np.random.Generator) -> Bags:
    """Bags of one epoch, as many as there are.

    A bag that is expected x times is shown floor(x) or ceil(x) times, as systematic sampling does:
    no rare bag is missed by chance where each is due.

    Parameters
    ----------
    bags, sampler
        As in `expected_draws`; ``"natural"`` gives the bags themselves and draws nothing.
    rng : numpy Generator
    """
    if sampler == "natural":
        return bags
    order = rng.permutation(len(bags))
    ends = np.cumsum(expected_draws(bags, sampler)[order])
    marks = rng.random() + np.arange(len(bags))  # one in each unit of length
    chosen = np.searchsorted(ends, marks * (ends[-1] / len(bags)), side="right")
    return bags.take(order[chosen.clip(max=len(bags) - 1)])


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
        As many bags, in the same order, with the same labels; with several genres a track, those of
        at least half of the known tracks that are left. A bag of n tracks keeps 1 to n of
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


@dataclass(frozen=True, eq=False)
class SegmentDropout:
    """Which segments of each track one epoch shows; make one with `draw`.

    Attributes
    ----------
    ids : int array, shape (n,)
        Tracks, sorted.
    offsets : int array, shape (n + 1,)
        Where each starts in ``shown``.
    shown : bool array, shape (N,)
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    shown: NDArray[np.bool_]

    @classmethod
    def draw(
        cls,
        track_ids: NDArray[np.int64],
        counts: NDArray[np.int64],
        *,
        rate: float,
        rng: np.random.Generator,
    ) -> SegmentDropout:
        """Leave out each segment with probability ``rate``, but of no track all.

        Parameters
        ----------
        track_ids : int array, shape (n,)
        counts : int array, shape (n,)
            Segments of each.
        rate : float in [0, 1)
        rng : numpy Generator
        """
        ids, first = np.unique(track_ids, return_index=True)
        offsets = np.concatenate([[0], np.cumsum(counts[first])])
        luck = rng.random(offsets[-1])
        most = np.repeat(np.maximum.reduceat(luck, offsets[:-1]), np.diff(offsets))
        return cls(ids, offsets, (luck >= rate) | (luck == most))

    def of(self, track_ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the segments shown, among all of these tracks, and their offsets (n + 1,)."""
        rows, offsets = gather(self.offsets, np.searchsorted(self.ids, track_ids))
        shown = self.shown[rows]
        sizes = np.add.reduceat(shown, offsets[:-1], dtype=np.int64)
        return np.flatnonzero(shown), np.concatenate([[0], np.cumsum(sizes)])

    def counts(self, track_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Segments shown of each track, shape (n,)."""
        return np.diff(self.of(track_ids)[1])


def draw_shares(n: int, alpha: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Share of each bag in its mixture with another, shape (n,), from Beta(alpha, alpha).

    Parameters
    ----------
    n : int
    alpha : float > 0
        Small ones leave most bags nearly as they are; 1 mixes in any proportion alike.
    rng : numpy Generator

    References
    ----------
    .. [1] Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; of hidden layers:
       Verma et al., "Manifold Mixup", ICML 2019.
    """
    drawn: NDArray[Any] = rng.beta(alpha, alpha, n)
    return drawn.astype(np.float32)


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
    shown = bags.with_tracks(keep, offsets, bags.labels)
    if shown.track_labels is None:
        return shown
    bag = np.repeat(np.arange(len(shown)), shown.sizes)
    voted = vote_many(bag, shown.track_labels, bags.train_counts)
    known = voted.any(axis=1, keepdims=True)
    return replace(shown, labels=np.where(known, voted, bags.labels))
