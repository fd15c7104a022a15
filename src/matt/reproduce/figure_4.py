"""Figure 4: precision and recall of every model, and its accuracy, beside the paper's own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..comparison import Row
from ..datasets.fma.loading import ALL
from ..evaluation.intervals import NOTHING
from ..evaluation.items import items_of
from ..evaluation.metrics import micro_curve, step_sum
from ..evaluation.tables import Cell, Column, Table
from ..predictions import Predictions
from .data import LOGMEL, Data
from .figures import Bar, accuracy_bars, mean_curve, precision_recall
from .layout import save_picture
from .measures import ALONE, TEST, Bench, bench_of
from .paper_curves import FOLDER, Curve, read_curves
from .plan import AVERAGED, MODELS, Request, Results, rows_on
from .published import ACCURACY_4, AVERAGE_PRECISION_4, MODELS_1, TABLE_1, WHY_NOT, why_4
from .sources import FOLDER as SHARED
from .targets import Made

PAPER_ACCURACY = {
    **{name: value / 100 for name, value in zip(MODELS_1[:4], TABLE_1["1-9"], strict=False)},
    **{name: value / 100 for name, value in ACCURACY_4.items()},
}
"""Accuracy of the paper's bars; of LR, KNN, SVM and MLP as its first table has them."""


_SHORT = {AVERAGED: "control: averaged"}


def curves_of(predictions: Mapping[str, Predictions]) -> Curve:
    """Mean micro-flattened curve of repeats, each track under its own label."""
    parts = {id(some): items_of(some, unit="spread") for some in predictions.values()}
    return mean_curve([micro_curve(i.values, i.truth) for i in parts.values()])


def _part(model: str) -> str:
    return TEST if "+" in model or model == AVERAGED else ALONE


def _set(model: str, feature_set: str) -> str:
    return LOGMEL if "CRNN" in model else feature_set


def ap_table(
    bench: Bench,
    paper: Mapping[str, Curve],
    *,
    feature_set: str,
    comparable: bool = True,
    notes: Sequence[str] = (),
) -> Table:
    """Average precision and accuracy of every model of figure 4 beside the paper's.

    Parameters
    ----------
    bench : Bench
    paper : dict of str to curve
        Where it is not at hand, the published area stands in.
    feature_set : str
    comparable : bool
        Whether the paper's numbers are of such data at all.
    notes : sequence of str
    """
    columns = (
        Column("model"),
        Column("unit"),
        Column("repeats", "int"),
        Column("n", "int"),
        Column("micro AP", "share"),
        Column("95 % of micro AP", "interval"),
        Column("the paper's AP", "share"),
        Column("accuracy", "share"),
        Column("95 % of accuracy", "interval"),
        Column("the paper's accuracy", "share"),
        Column("why it may differ"),
    )
    rows: list[tuple[Cell, ...]] = []
    used: dict[str, None] = {}
    for model in (*MODELS, AVERAGED):
        row = bench.row(_set(model, feature_set), model, part=_part(model))
        ap, accuracy = (
            (row.mean("micro_ap"), row.mean("accuracy")) if row is not None else (NOTHING, NOTHING)
        )
        theirs = step_sum(*paper[model]) if model in paper else AVERAGE_PRECISION_4.get(model)
        accuracy_is = PAPER_ACCURACY.get(model)
        reasons = why_4(model) if model in MODELS else ()
        if not comparable:
            theirs, accuracy_is, reasons = None, None, ()
        used |= dict.fromkeys(reasons)
        sizes: tuple[Cell, ...] = ("", None, None) if row is None else (row.unit, len(row), row.n)
        measured = (ap.value, ap.interval, theirs, accuracy.value, accuracy.interval)
        told = ", ".join(reasons) + ("" if row is not None else "; ours was not run")
        rows.append((model, *sizes, *measured, accuracy_is, told.strip("; ")))
    explained = tuple(f"{name}: {WHY_NOT[name]}." for name in used)
    return Table(
        "Fig. 4: average precision and accuracy", columns, tuple(rows), (*explained, *notes)
    )


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Every model on all features and, where there are any, log-mels; and the control."""
    return rows_on(data, request, (*MODELS, AVERAGED))


def make(results: Results, request: Request, folder: Path) -> Made:
    """Both panels of curves, the bars, and their table."""
    data, feature_set = results.data, results.data.fullest
    bench = bench_of(results, rounds=request.rounds)
    comparable = feature_set == ALL  # else it is other data, to which the paper says nothing
    place = Path(os.environ.get(SHARED, "")) / FOLDER
    there = comparable and bool(os.environ.get(SHARED)) and place.is_dir()
    paper = read_curves(place) if there else {}
    pictures: dict[str, Path] = {}
    panels = {"figure_4a": [m for m in MODELS if "CRNN" not in m]}
    panels["figure_4b"] = [m for m in MODELS if "CRNN" in m]
    for name, models in panels.items():
        ours = {}
        for model in models:
            found = bench.find(_set(model, feature_set), model, _part(model))
            row = bench.row(_set(model, feature_set), model, part=_part(model))
            if row is not None:
                ours[model] = curves_of(found), row.mean("micro_ap").value
        theirs = {model: paper[model] for model in models if model in paper}
        if ours or theirs:
            kind = "log-mels" if name == "figure_4b" else f"features {feature_set}"
            pictures[name] = folder / f"{name}.png"
            figure = precision_recall(ours, theirs, title=kind)
            save_picture(figure, pictures[name], data)
    bars = []
    for model in (*MODELS, AVERAGED):
        row = bench.row(_set(model, feature_set), model, part=_part(model))
        mean = NOTHING if row is None else row.mean("accuracy")
        theirs_is = PAPER_ACCURACY.get(model) if comparable else None
        if row is not None or theirs_is is not None:
            bars.append(Bar(_SHORT.get(model, model), mean, theirs_is))
    pictures["figure_4c"] = folder / "figure_4c.png"
    save_picture(accuracy_bars(bars), pictures["figure_4c"], data)
    notes = [*data.notes, *data.logmel_notes]
    if not comparable:
        notes.append("The paper's numbers are of FMA-medium's genres and features: not these.")
    elif not paper:
        notes.append("The paper's own curves are not at hand: only the area beneath them is told.")
    table = ap_table(bench, paper, feature_set=feature_set, comparable=comparable, notes=notes)
    return Made(tables={"figure_4": table}, pictures=pictures)
