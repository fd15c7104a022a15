"""Table I: twelve feature sets by six models, with controls, beside the paper's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..comparison import Row
from ..evaluation.tables import Cell, Column, Table
from .data import Data
from .layout import COUNTED, MAJORITY, OURS, THEIRS, cells_of, notes_of, runs_of, why, why_notes
from .measures import Sums, accuracy, macro_f1, measure
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
    part: str = "test"
    control: bool = False


LINES = (
    *(Line(name, name, "alone") for name in MODELS_1[:4]),
    *(Line(name, name) for name in MODELS_1[4:]),
    Line(TRACK, TRACK, "alone", control=True),
    Line(AVERAGED, AVERAGED, control=True),
    Line(SINGLES, "MLP+MATT", "alone", control=True),
)


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Six models and the fitted controls on every feature set."""
    return rows_on(data, request, (*MODELS_1, *CONTROLS), data.feature_sets)


def make(results: Results, request: Request, folder: Path) -> Made:
    """Both layouts of the table: a row a model, and the paper's own, a row a feature set."""
    return Made(tables={"table_1": long_table(results, request), "table_1_wide": wide(results)})


def long_table(results: Results, request: Request) -> Table:
    """One row a feature set and model: ours, its uncertainty, the paper's, why it may differ."""
    rows: list[tuple[Cell, ...]] = []
    keys = []
    for name in results.data.feature_sets:
        for line in LINES:
            keys.append((name, line.model))
            runs = results.sums(name, line.model, part=line.part)
            paper = _paper(name, line.name)
            told = why(results, why_1(name, line.name)) if paper is not None else ""
            rows.append(_row(name, line, runs, runs_of(results, *keys[-1]), paper, told, request))
        rows.append(_majority(results, name, request))
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


def wide(results: Results) -> Table:
    """Print the paper's layout: a row a feature set, accuracy a model, ours (paper)."""
    shown = [line for line in LINES if not line.control or line.name == AVERAGED]
    rows: list[tuple[Cell, ...]] = []
    for name in results.data.feature_sets:
        cells: list[Cell] = [name]
        for line in shown:
            found = measure(results.sums(name, line.model, part=line.part), accuracy, rounds=0)
            paper = _paper(name, line.name)
            ours = f"{100 * found.mean:.1f}" if found.runs else "-"
            cells.append(ours if paper is None else f"{ours} ({100 * paper:g})")
        rows.append(tuple(cells))
    columns = (Column("features"), *(Column(line.name) for line in shown))
    keys = [(name, line.model) for name in results.data.feature_sets for line in shown]
    notes = (*notes_of(results, keys), "Per cent: ours, and in brackets the paper's.")
    return Table("Table I as the paper prints it", columns, tuple(rows), notes)


def _row(
    name: str,
    line: Line,
    runs: tuple[Sums, ...],
    told_runs: str,
    paper: float | None,
    told: str,
    request: Request,
) -> tuple[Cell, ...]:
    share = measure(runs, accuracy, rounds=request.rounds)
    f1 = measure(runs, macro_f1, rounds=request.rounds)
    first: tuple[Cell, ...] = (name, line.name, line.control)
    counted: tuple[Cell, ...] = (
        told_runs,
        runs[0].n if runs else None,
        runs[0].unit if runs else "",
    )
    return (*first, *cells_of(share), *cells_of(f1), *counted, paper, told)


def _majority(results: Results, name: str, request: Request) -> tuple[Cell, ...]:
    """Row of what knows nothing but the counts of training."""
    runs = results.majority(name)
    return _row(name, Line(MAJORITY, "", control=True), runs, f"{len(runs)}", None, "", request)


def _paper(feature_set: str, model: str) -> float | None:
    """The paper's accuracy in [0, 1], where it has one."""
    if feature_set not in TABLE_1 or model not in MODELS_1:
        return None
    return TABLE_1[feature_set][MODELS_1.index(model)] / 100
