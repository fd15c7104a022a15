"""Table I: twelve feature sets by six models, with controls, beside the paper's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..comparison import Row
from ..evaluation.intervals import Repeated
from ..evaluation.tables import Cell, Column, Table
from .data import Data
from .layout import COUNTED, OURS, THEIRS, counts_of, means_of, notes_of, runs_of, why, why_notes
from .measures import ALONE, MAJORITY, TEST, bench_of
from .plan import AVERAGED, CONTROLS, TRACK, Request, Results, rows_on
from .published import MODELS_1, TABLE_1, why_1
from .targets import Made

SINGLES = "MLP+MATT, all tracks alone"


@dataclass(frozen=True)
class Line:
    """A row: which predictions are scored, and under which name.

    Attributes
    ----------
    name : str
    model : str
        That was fitted.
    part : {"test", "alone"}
        Of what it predicted, see `plan.fit_cell`.
    control : bool
    """

    name: str
    model: str
    part: str = TEST
    control: bool = False


LINES = (
    *(Line(name, name, ALONE) for name in MODELS_1[:4]),
    *(Line(name, name) for name in MODELS_1[4:]),
    Line(TRACK, TRACK, ALONE, control=True),
    Line(AVERAGED, AVERAGED, control=True),
    Line(SINGLES, "MLP+MATT", ALONE, control=True),
)


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Six models and the fitted controls on every feature set."""
    return rows_on(data, request, (*MODELS_1, *CONTROLS), data.feature_sets)


def make(results: Results, request: Request, folder: Path) -> Made:
    """Both layouts of the table: a row a model, and the paper's own, a row a feature set."""
    return Made(
        tables={"table_1": long_table(results, request), "table_1_wide": wide(results, request)}
    )


def long_table(results: Results, request: Request) -> Table:
    """One row a feature set and model: ours, its uncertainty, the paper's, why it may differ."""
    bench = bench_of(results, rounds=request.rounds)
    rows: list[tuple[Cell, ...]] = []
    keys = []
    for name in results.data.feature_sets:
        for line in LINES:
            keys.append((name, line.model))
            row = bench.row(name, line.model, part=line.part)
            paper = _paper(name, line.name)
            told = why(results, why_1(name, line.name)) if paper is not None else ""
            rows.append(_row(name, line, row, runs_of(results, *keys[-1]), paper, told))
        constant = bench.row(name, MAJORITY, part=ALONE, unit="track")
        told_runs = f"{0 if constant is None else len(constant.runs)}"
        line = Line(MAJORITY, MAJORITY, ALONE, control=True)
        rows.append(_row(name, line, constant, told_runs, None, ""))
    columns = (
        Column("features"),
        Column("model"),
        Column("control", "flag"),
        *OURS,
        *COUNTED,
        *THEIRS,
    )
    used = {str(row[-1]) for row in rows}
    notes = (
        *notes_of(results, list(dict.fromkeys(keys))),
        "unit: a track is predicted alone; a bag over tracks counts once for each of its tracks.",
        *why_notes(used),
    )
    return Table("Table I: accuracy by feature set", columns, tuple(rows), notes)


def wide(results: Results, request: Request) -> Table:
    """Print the paper's layout: a row a feature set, accuracy a model, ours (paper)."""
    shown = [line for line in LINES if not line.control or line.name == AVERAGED]
    bench = bench_of(results, rounds=request.rounds)
    rows: list[tuple[Cell, ...]] = []
    for name in results.data.feature_sets:
        cells: list[Cell] = [name]
        for line in shown:
            row = bench.row(name, line.model, part=line.part)
            paper = _paper(name, line.name)
            ours = "-" if row is None else f"{100 * row.mean('accuracy').value:.1f}"
            cells.append(ours if paper is None else f"{ours} ({100 * paper:g})")
        rows.append(tuple(cells))
    columns = (Column("features"), *(Column(line.name) for line in shown))
    keys = [(name, line.model) for name in results.data.feature_sets for line in shown]
    notes = (*notes_of(results, keys), "Per cent: ours, and in brackets the paper's.")
    return Table("Table I as the paper prints it", columns, tuple(rows), notes)


def _row(
    name: str, line: Line, row: Repeated | None, runs: str, paper: float | None, told: str
) -> tuple[Cell, ...]:
    found = means_of(row, "accuracy", "macro_f1")
    return (name, line.name, line.control, *found, runs, *counts_of(row), paper, told)


def _paper(feature_set: str, model: str) -> float | None:
    """The paper's accuracy in [0, 1], where it has one."""
    if feature_set not in TABLE_1 or model not in MODELS_1:
        return None
    return TABLE_1[feature_set][MODELS_1.index(model)] / 100
