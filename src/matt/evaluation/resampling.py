"""Intervals and tests by resampling **artists**: their bags and tracks move together.

Tracks of an artist sound alike, so they are right or wrong together, and intervals that take them
for independent are too narrow. The unit of chance is therefore the artist; a bag without a known
one stands for itself. Everything is seeded and gives the same numbers again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..predictions import Predictions
from .scores import Scores, score_items
from .tally import Tally, rounds_at_once
from .units import Items, items_of

ROUNDS = 1_000


@dataclass(frozen=True, eq=False)
class Resampled:
    """Metrics, or their differences, with what resampling made of them.

    Attributes
    ----------
    unit : str
        What an item is, as in `Scores`.
    n, n_artists : int
        Items, and artists that were resampled.
    seed : int
    confidence : float
        Of `interval`.
    estimates : dict of str to float
        On all items, by the name of the metric; NaN where undefined.
    rounds : dict of str to array, shape (R,)
        On each resample; NaN where undefined there.
    """

    unit: str
    n: int
    n_artists: int
    seed: int
    confidence: float
    estimates: Mapping[str, float]
    rounds: Mapping[str, NDArray[np.float64]]

    def interval(self, name: str) -> tuple[float, float]:
        """Percentile interval over the rounds in which the metric is defined.

        Returns
        -------
        low, high : float
            NaN where the metric is undefined, or where there are fewer than two artists: one artist
            says nothing of another.
        """
        made = self.rounds[name]
        made = made[~np.isnan(made)]
        if not made.size or self.n_artists < 2 or np.isnan(self.estimates[name]):
            return float("nan"), float("nan")
        ends = (1 - self.confidence) / 2, (1 + self.confidence) / 2
        low, high = np.quantile(made, ends)
        return float(low), float(high)

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Every interval that is defined, by the name of its metric."""
        found = {name: self.interval(name) for name in self.estimates}
        return {name: ends for name, ends in found.items() if not np.isnan(ends[0])}


def bootstrap(
    predictions: Predictions | Items,
    *,
    unit: str = "bag",
    rounds: int = ROUNDS,
    seed: int = 0,
    confidence: float = 0.95,
    fewer_than: int | None = None,
) -> Resampled:
    """Resample the artists with replacement and compute every metric on each resample.

    Parameters
    ----------
    predictions : Predictions or Items
    unit : {"bag", "spread", "track"}
        As in `score`; of `Items`, theirs.
    rounds : int >= 1
    seed : int
    confidence : float, 0 < confidence < 1
    fewer_than : int, optional
        Tail threshold in training tracks, as in `score`.

    Returns
    -------
    Resampled
        The metrics of `tally.HEADLINE`, and recall and top k of many-, medium- and few-shot genres.

    References
    ----------
    .. [1] Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 8 and 13.
    """
    check_settings(rounds, confidence)
    items = predictions if isinstance(predictions, Items) else items_of(predictions, unit=unit)
    tally = Tally.of(items, fewer_than=fewer_than)
    made = [tally.metrics(counts) for counts in draws(tally.n_artists, rounds, seed)]
    return Resampled(
        items.unit,
        len(items),
        items.n_artists,
        seed,
        confidence,
        estimates(tally),
        {name: np.concatenate([part[name] for part in made]) for name in tally.names},
    )


def score_with_intervals(
    predictions: Predictions | Items,
    *,
    unit: str = "bag",
    rounds: int = ROUNDS,
    seed: int = 0,
    confidence: float = 0.95,
    fewer_than: int | None = None,
) -> Scores:
    """Score predictions as `score` does, with the intervals of `bootstrap`.

    With ``rounds=0`` there are none.
    """
    items = predictions if isinstance(predictions, Items) else items_of(predictions, unit=unit)
    scores = score_items(items, fewer_than=fewer_than)
    if not rounds or not len(items):
        return scores
    made = bootstrap(items, rounds=rounds, seed=seed, confidence=confidence, fewer_than=fewer_than)
    return replace(
        scores, intervals=made.intervals(), confidence=confidence, rounds=rounds, seed=seed
    )


def estimates(tally: Tally) -> dict[str, float]:
    """Every metric on all items."""
    every = tally.metrics(np.ones((1, tally.n_artists)))
    return {name: float(values[0]) for name, values in every.items()}


def draws(n_artists: int, rounds: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each artist is drawn: (R, A) in blocks, the same whatever their size."""
    rng = np.random.default_rng(seed)
    if not n_artists:
        yield np.zeros((rounds, 0))
        return
    for wide in blocks(rounds, n_artists):
        shares = np.full(n_artists, 1 / n_artists)
        yield rng.multinomial(n_artists, shares, size=wide).astype(np.float64)


def blocks(rounds: int, n_artists: int) -> Iterator[int]:
    """Sizes of the blocks of rounds that fit into memory; their sum is ``rounds``."""
    most = rounds_at_once(n_artists)
    for start in range(0, rounds, most):
        yield min(most, rounds - start)


def check_settings(rounds: int, confidence: float = 0.95) -> None:
    """Refuse what gives no interval."""
    if rounds < 1:
        raise ConfigError(f"{rounds} rounds of resampling give no interval; use 1,000")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence {confidence} is no share; use e.g. 0.95")
