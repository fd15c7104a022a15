"""Rows of results side by side, each resampled once, however many tables compare it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..evaluation.repeated import Repeated
from ..evaluation.resampling import ROUNDS
from ..predictions import Predictions
from .plan import Results

TEST, ALONE = "test", "alone"

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
    test_share : float
        Share of the tracks that is tested, for intervals over splits.
    """

    find: Find
    rounds: int = ROUNDS
    test_share: float = 0.2
    _rows: dict[Any, Repeated | None] = field(default_factory=dict, repr=False)

    def row(
        self,
        feature_set: str,
        model: str,
        *,
        part: str = TEST,
        unit: str = "spread",
        tail: Sequence[str] | None = None,
        like: str | None = None,
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
        """
        typed = None if tail is None else tuple(tail)
        key = (feature_set, model, part, unit, typed, like)
        if key not in self._rows:
            found = self.find(feature_set, model, part)
            reference = None if like is None else self.find(feature_set, model, like)
            made = None
            if found:
                made = Repeated.of(
                    found,
                    unit=unit,
                    like=reference,
                    tail=typed,
                    rounds=self.rounds,
                    test_share=self.test_share,
                )
            self._rows[key] = made
        return self._rows[key]


def difference(first: Repeated | None, second: Repeated | None) -> Repeated | None:
    """First less second, where both are there and share a repeat."""
    if first is None or second is None:
        return None
    made = first.less(second)
    return made if len(made) else None


def bench_of(results: Results, *, rounds: int = ROUNDS) -> Bench:
    """Read finished cells; a cell that serves several splits is read once."""
    read: dict[tuple[str, str], Predictions] = {}

    def find(feature_set: str, model: str, part: str) -> dict[str, Predictions]:
        found = {}
        for cell in results.cells.get((feature_set, model), ()):
            result = results.report.results.get(cell.digest)
            if result is None:
                continue
            if (cell.digest, part) not in read:
                read[cell.digest, part] = result.predictions(part)
            found[results.divisions[cell.split].name] = read[cell.digest, part]
        return found

    tracks, every = results.divisions[0].tracks, results.data.tracks  # the first may be thinned
    tested = int((tracks.labelled & (tracks.split == "test")).sum())
    share = min(max(tested / max(int(every.labelled.sum()), 1), 0.01), 0.99)
    return replace(Bench(find, rounds), test_share=share)
