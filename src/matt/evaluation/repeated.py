"""One row of a table predicted several times, by seed or by split, with intervals of its means.

Where every repeat has the same test tracks, the artists are resampled, and the mean over repeats is
computed on each resample: the interval says what other test artists would change. Where repeats
have other test tracks, it is a t interval over repeats, wider by what these share in training.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, first_few
from ..predictions import Predictions
from .repeats import paired_over_splits, spread_of
from .resampling import ROUNDS, Resampled, bootstrap
from .units import Items, items_of, matched

ARTISTS, SPLITS = "artists", "splits"
_TYPED = 100  # between the counts that `with_tail` makes up


@dataclass(frozen=True)
class OverRepeats:
    """A metric, or a difference of two rows, over repeats.

    Attributes
    ----------
    value : float
        Mean over the repeats in which it is defined; NaN where there is none.
    low, high : float
        95 % interval; NaN where there is none.
    each : tuple of float
        One a repeat.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    each: tuple[float, ...] = ()

    @property
    def sd(self) -> float:
        """Standard deviation over repeats; NaN for a single one."""
        return spread_of(self.each).sd

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval, where there is one."""
        return None if math.isnan(self.low) else (self.low, self.high)

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0."""
        return (self.low > 0) - (self.high < 0)


@dataclass(frozen=True, eq=False)
class Repeated:
    """Metrics of one row, one `Resampled` a repeat.

    Attributes
    ----------
    parts : dict of str to Resampled
        By the name of the repeat.
    tests : dict of str to str
        Which tracks and artists each repeat was tested on, as a digest.
    test_share : float
        Share of the tracks that is tested, for intervals over splits.
    """

    parts: Mapping[str, Resampled]
    tests: Mapping[str, str]
    test_share: float = 0.2

    @classmethod
    def of(
        cls,
        predictions: Mapping[str, Predictions],
        *,
        unit: str = "spread",
        like: Mapping[str, Predictions] | None = None,
        tail: Sequence[str] | None = None,
        rounds: int = ROUNDS,
        seed: int = 0,
        test_share: float = 0.2,
    ) -> Repeated:
        """Resample the predictions of each repeat.

        Parameters
        ----------
        predictions : dict of str to Predictions
            By the name of the repeat. The same object for several repeats, of a model without
            randomness, is resampled once.
        unit : {"spread", "bag", "track"}
        like : dict of str to Predictions, optional
            Of the same tracks and repeats: whose artists count, for bags that were mixed up.
        tail : sequence of str, optional
            Genres that count as rare instead of those with few training tracks.
        rounds, seed
            As in `bootstrap`.
        test_share : float

        Raises
        ------
        DataError
            If there are no predictions, or ``like`` is of other tracks.
        """
        if not predictions:
            raise DataError("no repeat was predicted; run it first")
        parts: dict[str, Resampled] = {}
        tests: dict[str, str] = {}
        made: dict[tuple[int, int], str] = {}
        for name, some in predictions.items():
            reference = None if like is None else like[name]
            first = made.setdefault((id(some), id(reference)), name)
            if first == name:
                items = _items(some, reference, unit=unit)
                items = items if tail is None else with_tail(items, tail)
                fewer_than = None if tail is None else _TYPED
                parts[name] = bootstrap(items, rounds=rounds, seed=seed, fewer_than=fewer_than)
                tests[name] = _test_of(items)
            parts[name], tests[name] = parts[first], tests[first]
        return cls(parts, tests, test_share)

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def method(self) -> str:
        """What intervals are over: ``"artists"``, or ``"splits"`` that have other test tracks."""
        return ARTISTS if len(set(self.tests.values())) == 1 else SPLITS

    @property
    def n_items(self) -> int:
        """Items of a repeat; of several splits, their mean, rounded."""
        return round(sum(part.n for part in self.parts.values()) / max(len(self), 1))

    @property
    def unit(self) -> str:
        """What an item is."""
        return next((part.unit for part in self.parts.values()), "")

    def mean(self, name: str) -> OverRepeats:
        """Mean of a metric over repeats."""
        parts = list(self.parts.values())
        each = [part.estimates[name] for part in parts]
        value = spread_of(each).mean
        if self.method == SPLITS:
            found = paired_over_splits(each, test_share=self.test_share)
            return OverRepeats(value, found.low, found.high, tuple(each))
        used = [part.rounds[name] for part in parts if not math.isnan(part.estimates[name])]
        if not used:
            return OverRepeats(value, each=tuple(each))
        together: Mapping[str, NDArray[np.float64]] = {name: np.mean(used, axis=0)}
        low, high = replace(parts[0], estimates={name: value}, rounds=together).interval(name)
        return OverRepeats(value, low, high, tuple(each))

    def less(self, other: Repeated) -> Repeated:
        """Differences to another row, repeat by repeat; repeats that one of them lacks are left
        out.

        Raises
        ------
        DataError
            If a repeat of the two was tested on other tracks.
        """
        common = [name for name in self.parts if name in other.parts]
        apart = [name for name in common if self.tests[name] != other.tests[name]]
        if apart:
            raise DataError(
                f"repeats {first_few(apart)} of two rows were tested on other tracks; compare "
                "predictions of the same test tracks"
            )
        parts = {name: _less(self.parts[name], other.parts[name]) for name in common}
        return replace(self, parts=parts, tests={name: self.tests[name] for name in common})


def with_tail(items: Items, genres: Sequence[str]) -> Items:
    """Items whose rare genres are the named ones, whatever was trained on.

    The training counts are made up then: 0 for those genres, and many for the others.
    """
    rare = np.isin(items.genres, list(genres))
    counts: NDArray[np.int64] = np.where(rare, 0, 10 * _TYPED).astype(np.int64)
    return replace(items, train_counts=counts)


def _items(some: Predictions, reference: Predictions | None, *, unit: str) -> Items:
    if reference is None:
        return items_of(some, unit=unit)
    return matched(reference, some, unit=unit)[1]


def _less(one: Resampled, two: Resampled) -> Resampled:
    estimates = {name: value - two.estimates[name] for name, value in one.estimates.items()}
    rounds = {name: values - two.rounds[name] for name, values in one.rounds.items()}
    return replace(one, estimates=estimates, rounds=rounds)


def _test_of(items: Items) -> str:
    order = np.argsort(items.track_id)
    told = np.concatenate([items.track_id[order], items.artist[order]])
    return hashlib.sha256(np.ascontiguousarray(told, "<i8").tobytes()).hexdigest()[:16]
