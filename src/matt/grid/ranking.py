"""Ranked tables: by macro-F1 of validation, never of test, with differences to the control."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from ..evaluation.intervals import MeanScore, mean_of, paired_note
from ..evaluation.metrics import range_of
from ..evaluation.scores import Scores
from ..evaluation.summaries import MAJORITY
from ..evaluation.tables import ColumnOf, Table, capital
from ..evaluation.tally import HEADINGS

_SHOWN = ("macro_f1", "accuracy", "tail_recall")

_UNIT = "Each track under its own label, with its bag's prediction; of a row alone, with its own"

# Scores of each row, one a repeat; None where its cell failed.
Repeats = Sequence[Scores | None]


@dataclass(frozen=True, eq=False)
class RankedRow:
    """Where one row stands.

    Attributes
    ----------
    name, against : str
        The row, and its own control.
    control : bool
    rank : int or None
        None for a row without all repeats: the splits that it lacks may be hard ones.
    scores : dict of str to sequence of Scores or None
        By part: ``"validation"``, and ``"test"`` where it was asked for.
    ratios : dict of str to float
        By part: how splits share tracks, as `matt.evaluation.intervals.overlap` gives it.
    """

    name: str
    against: str
    control: bool
    rank: int | None
    scores: Mapping[str, Repeats]
    ratios: Mapping[str, float] = field(default_factory=dict)

    def values(self, key: str = "macro_f1", part: str = "validation") -> list[float]:
        """One score of each repeat; NaN where its cell failed."""
        return [math.nan if s is None else float(getattr(s, key)) for s in self.scores[part]]

    def mean(self, key: str = "macro_f1", *, part: str = "validation") -> MeanScore:
        """Mean of a score over splits."""
        return self._over(self.values(key, part), part, range_of(key))

    def less(
        self, other: RankedRow, *, key: str = "macro_f1", part: str = "validation"
    ) -> MeanScore:
        """Paired difference of a score to another row's, split by split."""
        pairs = zip(self.values(key, part), other.values(key, part), strict=True)
        apart = [one - two for one, two in pairs]
        return self._over(apart, part, range_of(key, difference=True))

    def _over(self, values: list[float], part: str, within: tuple[float, float]) -> MeanScore:
        return mean_of(values, ratio=self.ratios.get(part, 0.0), within=within)

    @property
    def n_splits(self) -> int:
        """Splits that are there."""
        return sum(scores is not None for scores in self.scores["validation"])


def stand(
    controls: Mapping[str, str],
    scores: Mapping[str, Mapping[str, Repeats]],
    ratios: Mapping[str, float] | None = None,
) -> tuple[list[RankedRow], RankedRow | None]:
    """Rank rows by mean macro-F1 of validation.

    Parameters
    ----------
    controls : dict of str to str
        Each row's own control; a control's is its own.
    scores : dict of str to dict of str to sequence of Scores or None
        By name of the row, then by part; that of the majority class may be there, too.
    ratios : dict of str to float, optional
        By part, see `RankedRow`.

    Returns
    -------
    standings : list of RankedRow
        The best first, then those without a rank.
    reference : RankedRow or None
        What all are compared with: the control that ranks highest, so that it had the same choice.
        Without any, None.
    """
    rows = []
    for name, parts in scores.items():
        against = controls.get(name, name)
        rows.append(RankedRow(name, against, against == name, None, parts, ratios or {}))
    means = {row.name: row.mean().value for row in rows}
    whole = [r for r in rows if all(r.scores["validation"]) and not math.isnan(means[r.name])]
    whole.sort(key=lambda row: -means[row.name])
    rest = sorted((row for row in rows if row not in whole), key=lambda row: -row.n_splits)
    ranked = [replace(row, rank=place) for place, row in enumerate(whole, start=1)]
    rows = [*ranked, *rest]
    compared = (r for r in rows if r.control and r.name != MAJORITY and r.n_splits)
    return rows, next(compared, None)


def ranking_table(
    standings: Sequence[RankedRow],
    reference: RankedRow | None,
    *,
    parts: Sequence[str] = ("validation",),
    notes: Sequence[str] = (),
) -> Table:
    """Rank, scores and paired differences of each row.

    Parameters
    ----------
    standings : sequence of RankedRow
    reference : RankedRow, optional
    parts : sequence of str
        ``"validation"``, and ``"test"`` for the columns that decide nothing.
    notes : sequence of str
        Said after those of the table itself.
    """
    by_name = {row.name: row for row in standings}
    others = {row.against for row in standings if not row.control}
    own = reference is not None and len(others) > 1

    def columns_of(part: str) -> list[ColumnOf[RankedRow]]:
        before = "" if part == "validation" else f"{part} "
        found = [mean_and_sd(key, part, f"{before}{HEADINGS[key]}") for key in _SHOWN]
        less = f"{before}macro-F1 less"
        best: ColumnOf[RankedRow] = (
            f"{less} best control",
            "difference",
            lambda row: difference(row, reference, part),
        )
        its_own: ColumnOf[RankedRow] = (
            f"{less} own control",
            "difference",
            lambda row: difference(row, by_name.get(row.against), part),
        )
        return [*found, best, its_own] if own else [*found, best]

    def mean_and_sd(key: str, part: str, heading: str) -> ColumnOf[RankedRow]:
        return heading, "mean and sd", lambda row: row.mean(key, part=part).mean_and_sd

    return Table.of(
        "Ranked by macro-F1 of validation",
        standings,
        ("rank", "int", attrgetter("rank")),
        ("row", "text", attrgetter("name")),
        ("control", "flag", attrgetter("control")),
        ("n", "int", attrgetter("n_splits")),
        *(column for part in parts for column in columns_of(part)),
        notes=(*_notes(standings, reference, own=own, test="test" in parts), *notes),
    )


def difference(
    row: RankedRow, against: RankedRow | None, part: str = "validation"
) -> tuple[float, float] | None:
    """Paired difference of macro-F1; None to itself, or to nothing."""
    if against is None or against.name == row.name:
        return None
    return row.less(against, part=part).difference


def _notes(
    standings: Sequence[RankedRow], reference: RankedRow | None, *, own: bool, test: bool
) -> list[str]:
    every = [s for row in standings for s in row.scores["validation"] if s is not None]
    n_splits = len(standings[0].scores["validation"]) if standings else 0
    notes = [f"Unit. {_UNIT}. Mean ± standard deviation over n splits."]
    if every:
        sizes = sorted({s.n for s in every})
        items = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
        rule = every[0].tail_rule
        notes.append(f"{n_splits} splits, {items} validation tracks. {capital(rule)}.")
    if reference is not None:
        notes.append(
            f"Best control: the row {reference.name!r}. A control knows no bags in training and is "
            "averaged over them: the track model of the same inputs, encoder and loss, an SVM, "
            "logistic regression, boosted trees. The best of them had the same choice."
            + (" A row's own control has its own settings." if own else "")
        )
        notes.append(
            f"{paired_note(max(reference.ratios.values(), default=0.0))} The first of many rows is "
            "first by luck, too: its validation score flatters."
        )
    if test:
        notes.append("Columns of test ranked nothing. To choose by them would spoil them.")
    if any(row.rank is None for row in standings):
        notes.append("A row without a rank lacks splits, because cells of it failed.")
    return notes
