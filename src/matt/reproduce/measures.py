"""Rows of results, each scored once, however many tables show or compare it.

A row is a model on a feature set, in one unit and with one tail, over all repeats. Every table of a
page takes its means, intervals and counts from here, so that one row is the same in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ..evaluation.intervals import NOTHING, ROUNDS, MeanScore, Repeated, Tail, overlap, verdict_of
from ..evaluation.scores import majority
from ..predictions import Predictions
from .data import LOGMEL
from .plan import AVERAGED, Results

TEST, ALONE = "test", "alone"
MAJORITY = "majority genre"
"""Name of the model that knows nothing but the counts of training; its part is `ALONE`."""


def set_of(model: str, feature_set: str) -> str:
    """What a model reads where the others read a feature set: CRNNs read log-mels."""
    return LOGMEL if "CRNN" in model else feature_set


def part_of(model: str) -> str:
    """What is scored of a model: bags, or of a plain model each track alone."""
    return TEST if "+" in model or model == AVERAGED else ALONE


# (feature set, model, part) -> predictions by the name of the split; empty where there are none
Find = Callable[[str, str, str], Mapping[str, Predictions]]


@dataclass(frozen=True, eq=False)
class Bench:
    """Rows by feature set, model and part.

    Attributes
    ----------
    find : callable
        (feature set, model, part) -> predictions by the name of the split.
    rounds : int
        Of the bootstrap.
    ratio : float
        By which splits share tracks, see `matt.evaluation.intervals.overlap`.
    """

    find: Find
    rounds: int = ROUNDS
    ratio: float = 0.0
    _rows: dict[Any, Repeated | None] = field(default_factory=dict, repr=False)

    def row(
        self,
        feature_set: str,
        model: str,
        *,
        part: str = TEST,
        unit: str = "track_of_bag",
        tail: Tail | None = None,
        like: str | None = None,
        of_one: str | None = None,
    ) -> Repeated | None:
        """Metrics of a row, None where no repeat was predicted.

        Parameters
        ----------
        feature_set, model : str
        part : str
            Of the predictions, see `plan.fit_cell`.
        unit, tail
            As in `Repeated.of`.
        like : str, optional
            Another part of the same row, whose artists count.
        of_one : str, optional
            Another part of the same row: only tracks that are alone in their bag there.
        """
        tail = tail if tail is None or callable(tail) else tuple(tail)
        key = (feature_set, model, part, unit, tail, like, of_one)
        if key not in self._rows:
            found = dict(self.find(feature_set, model, part))
            if of_one is not None:
                bags = self.find(feature_set, model, of_one)
                chosen = ((name, only_of_one(some, bags[name])) for name, some in found.items())
                found = {name: some for name, some in chosen if some is not None}
            reference = None if like is None else self.find(feature_set, model, like)
            given: dict[str, Any] = {"rounds": self.rounds, "ratio": self.ratio}
            self._rows[key] = (
                Repeated.of(found, unit=unit, like=reference, tail=tail, **given) if found else None
            )
        return self._rows[key]


def mean(row: Repeated | None, metric: str) -> MeanScore:
    """Mean of a metric of a row; of none, where there is none."""
    return NOTHING if row is None else row.mean(metric)


def difference(first: Repeated | None, second: Repeated | None) -> Repeated | None:
    """First less second, where both are there and share a repeat."""
    if first is None or second is None:
        return None
    made = first.less(second)
    return made if len(made) else None


def beside(row: Repeated | None, metric: str, published: float | None) -> str:
    """Say whether a score agrees with a published one, which is a number without an interval.

    Returns
    -------
    {"agrees", "differs", "undecided", ""}
        Of `verdict_of`; nothing where one of the two is not there.
    """
    found = mean(row, metric)
    if published is None or math.isnan(published) or math.isnan(found.value):
        return ""
    return verdict_of(found.shifted(published))


def only_of_one(predictions: Predictions, grouped: Predictions) -> Predictions | None:
    """Lone tracks that are alone in their bag in other predictions, too; None without any."""
    lone = grouped.bags.track_ids[grouped.bags.offsets[:-1][grouped.bags.sizes == 1]]
    first = predictions.bags.track_ids[predictions.bags.offsets[:-1]]
    rows = np.flatnonzero((predictions.bags.sizes == 1) & np.isin(first, lone))
    return predictions.take(rows) if len(rows) else None


@lru_cache(maxsize=1)  # all tables of a page share their rows
def bench_of(results: Results, *, rounds: int = ROUNDS) -> Bench:
    """Rows of finished cells, and of the majority genre."""

    def find(feature_set: str, model: str, part: str) -> dict[str, Predictions]:
        if model != MAJORITY:
            return results.by_split(feature_set, model, part)
        every = (results.by_split(*key, part) for key in results.cells if key[0] == feature_set)
        found = next((some for some in every if some), {})
        if results.data.official and results.data.imbalance == 1:  # one split: the same for all
            return dict.fromkeys(found, majority(next(iter(found.values())))) if found else {}
        return {name: majority(some) for name, some in found.items()}

    parted = [division.tracks for division in results.divisions]
    return Bench(find, rounds, overlap(results.data.tracks, parted))
