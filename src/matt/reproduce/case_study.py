"""The case study: what is lost where tracks come without their album, over all feature sets.

The paper's "segment level" is the accuracy on bags that happen to hold one track. Beside it stands
what the words say: every test track alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np

from ..comparison import Row
from ..evaluation.ranking import average_precision
from ..evaluation.repeats import spread_of
from ..evaluation.tables import Cell, Column, Table
from ..evaluation.units import items_of
from ..predictions import Predictions
from .data import Data
from .layout import MAJORITY, notes_of, runs_of, why, why_notes
from .measures import Sums, accuracy, measure
from .plan import AVERAGED, Request, Results, rows_on
from .published import AVERAGE_PRECISION_4, CASE_STUDY
from .targets import Made

_MODELS = ("MLP", "MLP+MATT", AVERAGED)


def of_one(predictions: Predictions) -> Predictions | None:
    """Only the bags that hold one track; None where there is none."""
    lone = np.flatnonzero(predictions.bags.sizes == 1)
    return predictions.take(lone) if len(lone) else None


@dataclass(frozen=True)
class Line:
    """A row.

    Attributes
    ----------
    name : str
    model, part : str
        As in `plan.Results.predictions`.
    chosen : callable
        Which of the predictions.
    paper, paper_ap : float
        Of the features "1-9", in [0, 1]; NaN where there is none.
    why : tuple of str
        Keys of `published.WHY_NOT`.
    """

    name: str
    model: str
    part: str
    chosen: Callable[[Predictions], Predictions | None] = lambda predictions: predictions
    paper: float = nan
    paper_ap: float = nan
    why: tuple[str, ...] = ()


_OWN = ("triple chroma", "test selection", "single run")
LINES = (
    Line(
        "MLP+MATT, bags",
        "MLP+MATT",
        "test",
        paper=CASE_STUDY["MLP+MATT, bags"] / 100,
        paper_ap=AVERAGE_PRECISION_4["MLP+MATT"],
        why=(*_OWN, "bag unit"),
    ),
    Line("MLP+MATT, all tracks alone", "MLP+MATT", "alone"),
    Line(
        "MLP+MATT, bags that hold one track",
        "MLP+MATT",
        "test",
        of_one,
        CASE_STUDY["MLP+MATT, alone"] / 100,
        why=(*_OWN, "single bags"),
    ),
    Line("MLP", "MLP", "alone", paper=CASE_STUDY["MLP"] / 100, why=("copied",)),
    Line("MLP, bags that hold one track", "MLP", "alone-one"),
    Line(AVERAGED, AVERAGED, "test"),
)


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """The models of the case study on every feature set."""
    return rows_on(data, request, _MODELS, data.feature_sets)


def make(results: Results, request: Request, folder: Path) -> Made:
    """Accuracy and average precision of each row on every feature set."""
    rows: list[tuple[Cell, ...]] = []
    for name in results.data.feature_sets:
        rows += [_row(results, name, line, request) for line in LINES]
        rows.append(_constant(results, name, request))
    columns = (
        Column("features"),
        Column("model"),
        Column("accuracy", "spread"),
        Column("95 %", "interval"),
        Column("average precision", "spread"),
        Column("runs"),
        Column("n", "int"),
        Column("unit"),
        Column("paper", "share"),
        Column("paper's average precision", "share"),
        Column("why it may differ"),
    )
    keys = [(name, model) for name in results.data.feature_sets for model in _MODELS]
    notes = [*notes_of(results, keys)]
    notes.append("Average precision: micro, over all pairs of track and genre, by step summation.")
    notes.append(
        "The paper calls its 63.69 an accuracy of segments, but its notebook has it of bags that "
        "happen to hold one track: compare it with that row, and with MLP on the same tracks."
    )
    notes += why_notes({str(row[-1]) for row in rows})
    table = Table("Case study: tracks without their album", columns, tuple(rows), tuple(notes))
    return Made(tables={"case_study": table})


def _row(results: Results, name: str, line: Line, request: Request) -> tuple[Cell, ...]:
    made = _chosen(results, name, line)
    items = [items_of(some, unit="spread") for some in made]
    runs = tuple(Sums.of(some) for some in items)
    found = measure(runs, accuracy, rounds=request.rounds)
    ap = spread_of([average_precision(some.values, some.truth) for some in items])
    first = name == "1-9"
    told = why(results, line.why) if line.why and first else ""
    return (
        name,
        line.name,
        found.spread,
        found.interval,
        (ap.mean, ap.sd),
        runs_of(results, name, line.model),
        runs[0].n if runs else None,
        runs[0].unit if runs else "",
        line.paper if first else None,
        line.paper_ap if first else None,
        told,
    )


def _constant(results: Results, name: str, request: Request) -> tuple[Cell, ...]:
    """Row of the majority genre."""
    runs = results.majority(name)
    found = measure(runs, accuracy, rounds=request.rounds)
    sizes: tuple[Cell, ...] = (runs[0].n, runs[0].unit) if runs else (None, "")
    scores: tuple[Cell, ...] = (found.spread, found.interval, None)
    return (name, MAJORITY, *scores, f"{len(runs)}", *sizes, None, None, "")


def _chosen(results: Results, name: str, line: Line) -> list[Predictions]:
    if line.part != "alone-one":
        made = (line.chosen(some) for some in results.predictions(name, line.model, line.part))
        return [some for some in made if some is not None]
    # Tracks that are alone in their bag, by the model of lone tracks.
    kept = []
    for result in results.fits(name, line.model).values():
        bags, alone = result.predictions("test").bags, result.predictions("alone")
        lone = bags.track_ids[bags.offsets[:-1][bags.sizes == 1]]
        if len(lone):
            kept.append(alone.take(alone.tracks.rows(lone)))
    return kept
