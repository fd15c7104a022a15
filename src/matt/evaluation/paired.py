"""Two models on the same tracks: the interval of each difference, and whether it may be chance.

Both are seeded, and in both it is artists that are resampled or swapped, with all that is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..predictions import Predictions
from .resampling import ROUNDS, Resampled, blocks, check_settings, draws, estimates
from .tally import Tally
from .units import Items, joined, matched


def paired_bootstrap(
    first: Predictions,
    second: Predictions,
    *,
    unit: str = "spread",
    rounds: int = ROUNDS,
    seed: int = 0,
    confidence: float = 0.95,
    fewer_than: int | None = None,
) -> Resampled:
    """Differences first - second of every metric, both on the same resamples.

    What makes a resample hard makes it hard for both, so the interval of the difference is
    narrower than two intervals side by side suggest.

    Parameters
    ----------
    first, second : Predictions
        Of the same tracks, matched by track id and by the names of genres.
    unit : {"spread", "bag", "track"}
        ``"spread"`` compares track by track, whatever the bags; ``"bag"`` needs the same bags.
    rounds, seed, confidence, fewer_than
        As in `bootstrap`; the tail is the first's.

    Raises
    ------
    DataError
        If they are of other tracks, labels or genres.
    """
    check_settings(rounds, confidence)
    one, two = matched(first, second, unit=unit)
    ours, theirs = (Tally.of(items, fewer_than=fewer_than) for items in (one, two))
    made = [
        _less(ours.metrics(counts), theirs.metrics(counts))
        for counts in draws(ours.n_artists, rounds, seed)
    ]
    point = _less(*(_arrays(estimates(tally)) for tally in (ours, theirs)))
    usable = _comparable(ours.names, one, two)
    return Resampled(
        one.unit,
        len(one),
        one.n_artists,
        seed,
        confidence,
        {name: float(point[name][0]) if usable[name] else np.nan for name in ours.names},
        {name: np.concatenate([part[name] for part in made]) for name in ours.names},
    )


def sign_flip(
    first: Predictions,
    second: Predictions,
    *,
    unit: str = "spread",
    rounds: int = ROUNDS,
    seed: int = 0,
    fewer_than: int | None = None,
) -> dict[str, float]:
    """Find p values of differences: how often are they as large where models are swapped?

    If the two models were equally good, it would not matter which of them an artist's predictions
    are from. In each round a coin decides so for every artist, and the metrics are computed again.

    Parameters
    ----------
    first, second, unit, rounds, seed, fewer_than
        As in `paired_bootstrap`.

    Returns
    -------
    dict of str to float
        Two-sided, in (0, 1], at least ``1 / (rounds + 1)``; 1 where the models predict the same.
        NaN where a metric is undefined, and for average precision where the links differ, because
        the scores of two links have no order among each other.

    Raises
    ------
    DataError
        If they are of other tracks, labels or genres.

    References
    ----------
    .. [1] Noreen, *Computer-Intensive Methods for Testing Hypotheses*, 1989; two-sided, and the
       observed arrangement counts as one of the rounds (Phipson & Smyth 2010).
    """
    check_settings(rounds)
    one, two = matched(first, second, unit=unit)
    tally = Tally.of(joined(one, two), fewer_than=fewer_than)
    n_artists, rng = one.n_artists, np.random.default_rng(seed)
    kept = np.zeros((1, n_artists))
    observed = _swapped(tally, kept)
    extreme, defined = dict.fromkeys(tally.names, 0), dict.fromkeys(tally.names, 0)
    for wide in blocks(rounds, 2 * n_artists):
        made = _swapped(tally, rng.integers(2, size=(wide, n_artists)).astype(np.float64))
        for name, values in made.items():
            seen = ~np.isnan(values)
            # Sums in another order differ in the last digits.
            large = np.abs(values[seen]) >= np.abs(observed[name]) - 1e-9
            extreme[name] += int(large.sum())
            defined[name] += int(seen.sum())
    usable = _comparable(tally.names, one, two)
    return {
        name: float("nan")
        if np.isnan(observed[name][0]) or not usable[name] or _ranked(name, one, two)
        else (1 + extreme[name]) / (1 + defined[name])
        for name in tally.names
    }


def _swapped(tally: Tally, flips: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Differences where the artists with flip 1 change models: (R, A) -> (R,)."""
    return _less(
        tally.metrics(np.hstack([1 - flips, flips])), tally.metrics(np.hstack([flips, 1 - flips]))
    )


def _arrays(values: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array([value]) for name, value in values.items()}


def _less(
    ours: Mapping[str, NDArray[np.float64]], theirs: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    return {name: values - theirs[name] for name, values in ours.items()}


def _comparable(names: tuple[str, ...], one: Items, two: Items) -> dict[str, bool]:
    """Which metrics mean the same for both: those of probabilities only under one link."""
    probable = {"log_loss", "brier", "calibration_error"}
    return {name: one.link == two.link or name not in probable for name in names}


def _ranked(name: str, one: Items, two: Items) -> bool:
    """Whether a metric ranks scores that have no order among each other, or none at all."""
    if one.no_ranking or two.no_ranking:
        return name in ("micro_ap", "macro_ap") or "top_" in name
    return name in ("micro_ap", "macro_ap") and one.link != two.link
