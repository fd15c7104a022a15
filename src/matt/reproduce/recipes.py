"""Ways to train, on real tracks over repeated artist-disjoint splits, beside what was found before.

Every row has one hidden layer of 128 units, AdamW with a rate and decay of 1e-3, at most 200
epochs, and its best epoch chosen by the macro-F1 of validation in the unit that is scored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..comparison import Row
from ..evaluation.ranking import average_precision
from ..evaluation.repeats import OverSplits, paired_over_splits, spread_of
from ..evaluation.tables import Cell, Column, Table
from ..evaluation.units import items_of
from .data import MFCC, SMALL, Data
from .layout import notes_of, runs_of
from .measures import Sums
from .plan import Request, Results
from .recipe_rows import (
    ADJUSTED,
    BALANCED,
    CONTROL,
    LONG_TAIL,
    MFCC_ROWS,
    SMALL_ROWS,
    TWO_GENRES,
    Found,
)
from .targets import Made

TAIL_RATIO = 50.0
SPLITS = {SMALL: 10, MFCC: 5}
"""Artist-disjoint splits that were used."""


def impossible(data: Data) -> str:
    """Why these rows are not for some data."""
    if data.key in SPLITS:
        return ""
    return f"these rows are of {SMALL} and {MFCC}, over repeated splits"


def rows_of(data: Data) -> tuple[Row, ...]:
    """The rows of the table of some data."""
    return MFCC_ROWS if data.key == MFCC else SMALL_ROWS


def found_of(data: Data) -> dict[str, Found]:
    """What was found before on some data, by row; nothing for another tail."""
    if data.key == MFCC:
        return TWO_GENRES
    return {1.0: BALANCED, TAIL_RATIO: LONG_TAIL}.get(data.imbalance, {})


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Every row on the only feature set."""
    rows = []
    for row in rows_of(data):
        if request.epochs is not None:
            row = replace(row, training=replace(row.training, epochs=request.epochs))
        rows.append(replace(row, bags=data.bags, features=data.fullest))
    return tuple(rows)


def make(results: Results, request: Request, folder: Path) -> Made:
    """Means over splits, paired differences to the control, and what was found before."""
    data = results.data
    (name,) = data.feature_sets
    against = ADJUSTED if data.imbalance > 1 or data.key == MFCC else CONTROL
    by_row = {row.name: _values(results, name, row) for row in rows_of(data)}
    rows = [_row(results, row.name, by_row, against) for row in rows_of(data)]
    columns = (
        Column("training"),
        Column("control", "flag"),
        Column("accuracy", "spread"),
        Column("macro-F1", "spread"),
        Column("average precision", "spread"),
        Column("few" if data.key == SMALL else "tail recall", "spread"),
        Column("difference of macro-F1", "difference"),
        Column("splits"),
        Column("before: accuracy", "spread"),
        Column("before: macro-F1", "spread"),
        Column("before: few" if data.key == SMALL else "before: tail recall", "share"),
        Column("before: difference", "difference"),
        Column("verdict"),
    )
    notes = (
        *notes_of(results, [(name, row.name) for row in rows_of(data)]),
        "Unit: a bag over its tracks, each under its own label; of the row without bags, a track.",
        "LA: the loss adds the log prior, as counted in the unit that is trained on.",
        f"Differences are to: {against}; paired over splits, ± half the 95 % t interval.",
        "few: mean recall of the three genres with the fewest training tracks."
        if data.key == SMALL
        else "tail recall: of Hip-Hop.",
        *_verdict_notes(data),
    )
    title = f"Recipes on {data.name}"
    return Made(tables={"recipes": Table(title, columns, tuple(rows), notes)})


@dataclass(frozen=True)
class _Values:
    """Scores of a row by split."""

    accuracy: dict[str, float]
    macro_f1: dict[str, float]
    ap: dict[str, float]
    few: dict[str, float]


def _values(results: Results, feature_set: str, row: Row) -> _Values:
    made = _Values({}, {}, {}, {})
    part = "alone" if row.lone and not row.average else "test"
    for split, result in results.fits(feature_set, row.name).items():
        items = items_of(result.predictions(part), unit="spread")
        sums, one = Sums.of(items), np.ones((1, items.n_artists))
        rarest = np.argsort(sums.train_counts, kind="stable")[: 3 if len(sums.genres) > 2 else 1]
        few = np.isin(np.arange(len(sums.genres)), rarest)
        made.accuracy[split] = float(sums.accuracy(one)[0])
        made.macro_f1[split] = float(sums.macro_f1(one)[0])
        made.few[split] = float(sums.recall(few)(one)[0])
        made.ap[split] = average_precision(items.values, items.truth)
    return made


def _row(results: Results, name: str, by_row: dict[str, _Values], against: str) -> tuple[Cell, ...]:
    ours, control = by_row[name], by_row[against]
    paired = paired_over_splits(
        [value - control.macro_f1[s] for s, value in ours.macro_f1.items() if s in control.macro_f1]
    )
    before = found_of(results.data).get(name)
    (feature_set,) = results.data.feature_sets
    same = name == against
    return (
        name,
        name in (CONTROL, ADJUSTED),
        *(_spread(some) for some in (ours.accuracy, ours.macro_f1, ours.ap, ours.few)),
        None if same else (paired.mean, paired.half_width),
        runs_of(results, feature_set, name),
        *_before(before, same=same),
        "" if before is None else _verdict(results.data, before, ours, paired, same=same),
    )


def _spread(values: dict[str, float]) -> tuple[float, float]:
    found = spread_of(values.values())
    return found.mean, found.sd


def _before(found: Found | None, *, same: bool) -> tuple[Cell, ...]:
    if found is None:
        return None, None, None, None
    nan = float("nan")
    return (
        (found.accuracy, found.accuracy_sd or nan),
        (found.macro_f1, found.macro_f1_sd or nan),
        found.more,
        None if same else found.difference,
    )


def _verdict(data: Data, found: Found, ours: _Values, paired: OverSplits, *, same: bool) -> str:
    """Whether what was found before is found again, by both intervals."""
    if len(ours.macro_f1) < 2:
        return "too few splits"
    if found.difference is not None and not same:
        apart, before = paired.mean - found.difference[0], found.difference[1]
        mine = paired.half_width
    else:
        one = paired_over_splits(list(ours.macro_f1.values()))
        apart, mine = one.mean - found.macro_f1, one.half_width
        before = mine
        if found.macro_f1_sd is not None:
            from scipy.stats import t

            n = SPLITS[data.key]
            before = float(t.ppf(0.975, n - 1)) * found.macro_f1_sd / math.sqrt(n)
    most = math.hypot(mine, before)
    return (
        f"agrees: {apart:+.3f}, within {most:.3f}"
        if abs(apart) <= most
        else (f"differs: {apart:+.3f}, more than {most:.3f}")
    )


def _verdict_notes(data: Data) -> tuple[str, ...]:
    if not found_of(data):
        return (f"Nothing was found before on a tail of 1 to {data.imbalance:g}.",)
    n = SPLITS[data.key]
    before = (
        f"before: an earlier implementation on {n} splits of its own; splits, weights and batches "
        "are drawn otherwise here."
    )
    verdict = (
        "verdict: now less before, of the difference to the control where it was given, else of "
        "macro-F1; and how much both 95 % intervals allow (root of the sum of squares of half "
        "their widths)."
    )
    return before, verdict
