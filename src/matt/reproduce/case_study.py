"""The case study: what is lost where tracks come without their album, over all feature sets.

The paper's "segment level" is the accuracy on bags that happen to hold one track. Beside it stands
what the words say: every test track alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from pathlib import Path

from ..comparison import Row
from ..evaluation.intervals import NOTHING
from ..evaluation.tables import Cell, Column, Table
from .data import Data
from .layout import counts_of, notes_of, runs_of, why, why_notes
from .measures import ALONE, MAJORITY, TEST, Bench, bench_of
from .plan import AVERAGED, Request, Results, rows_on
from .published import AVERAGE_PRECISION_4, CASE_STUDY
from .targets import Made

_MODELS = ("MLP", "MLP+MATT", AVERAGED)


@dataclass(frozen=True)
class Line:
    """A row.

    Attributes
    ----------
    name : str
    model, part : str
        As in `measures.Bench.row`.
    of_one : bool
        Only tracks that are alone in their bag.
    paper, paper_ap : float
        Of the features "1-9", in [0, 1]; NaN where there is none.
    why : tuple of str
        Keys of `published.WHY_NOT`.
    """

    name: str
    model: str
    part: str
    of_one: bool = False
    paper: float = nan
    paper_ap: float = nan
    why: tuple[str, ...] = ()


_OWN = ("triple chroma", "test selection", "single run")
LINES = (
    Line(
        "MLP+MATT, bags",
        "MLP+MATT",
        TEST,
        paper=CASE_STUDY["MLP+MATT, bags"] / 100,
        paper_ap=AVERAGE_PRECISION_4["MLP+MATT"],
        why=(*_OWN, "bag unit"),
    ),
    Line("MLP+MATT, all tracks alone", "MLP+MATT", ALONE),
    Line(
        "MLP+MATT, bags that hold one track",
        "MLP+MATT",
        TEST,
        of_one=True,
        paper=CASE_STUDY["MLP+MATT, alone"] / 100,
        why=(*_OWN, "single bags"),
    ),
    Line("MLP", "MLP", ALONE, paper=CASE_STUDY["MLP"] / 100, why=("copied",)),
    Line("MLP, bags that hold one track", "MLP", ALONE, of_one=True),
    Line(AVERAGED, AVERAGED, TEST),
)


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """The models of the case study on every feature set."""
    return rows_on(data, request, _MODELS, data.feature_sets)


def make(results: Results, request: Request, folder: Path) -> Made:
    """Accuracy and average precision of each row on every feature set."""
    bench = bench_of(results, rounds=request.rounds)
    rows: list[tuple[Cell, ...]] = []
    for name in results.data.feature_sets:
        rows += [_row(results, bench, name, line) for line in LINES]
        rows.append(_constant(bench, name))
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


def _row(results: Results, bench: Bench, name: str, line: Line) -> tuple[Cell, ...]:
    row = bench.row(name, line.model, part=line.part, of_one=TEST if line.of_one else None)
    share, ap = (
        NOTHING if row is None else row.mean(metric) for metric in ("accuracy", "micro_ap")
    )
    first = name == "1-9"
    told = why(results, line.why) if line.why and first else ""
    return (
        name,
        line.name,
        share.spread,
        share.interval,
        ap.spread,
        runs_of(results, name, line.model),
        *counts_of(row),
        line.paper if first else None,
        line.paper_ap if first else None,
        told,
    )


def _constant(bench: Bench, name: str) -> tuple[Cell, ...]:
    """Row of the majority genre."""
    row = bench.row(name, MAJORITY, part=ALONE, unit="track")
    share = NOTHING if row is None else row.mean("accuracy")
    runs = 0 if row is None else len(row.runs)
    scores: tuple[Cell, ...] = (share.spread, share.interval, None)
    return (name, MAJORITY, *scores, f"{runs}", *counts_of(row), None, None, "")
