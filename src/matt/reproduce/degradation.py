"""How scores fall as bags lose tracks, tracks lose their album or artist, or tags are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..comparison import Row
from ..evaluation.intervals import ARTISTS, NOTHING, Repeated
from ..evaluation.plots import along
from ..evaluation.tables import Cell, Column, Table
from .damage import CONDITIONS, WHOLE, Condition, degrade
from .data import Data
from .layout import save_picture
from .measures import Bench, bench_of, difference
from .plan import AVERAGED, Request, Results, rows_on
from .targets import Made

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODELS = ("MLP+MIL", "MLP+MATT", AVERAGED)
METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
_KINDS = {
    "cut": ("tracks left of each bag, at most", "{}"),
    "missing": ("tracks without album or artist", "{} %"),
    "wrong": ("tracks with the tags of another", "{} %"),
}


@dataclass(frozen=True, eq=False)
class Curve:
    """One model under every condition.

    Attributes
    ----------
    model : str
    whole : Repeated, or None
        Undamaged bags.
    parts : dict of Condition to Repeated, or None
    """

    model: str
    whole: Repeated | None
    parts: dict[Condition, Repeated | None]


def called(model: str) -> str:
    """Name of the model that also predicts damaged bags."""
    return f"{model} [damaged bags]"


def curves(bench: Bench, models: Sequence[str], *, feature_set: str) -> tuple[Curve, ...]:
    """Scores of each model under every condition, on equal tracks."""
    made = []
    for model in models:
        name = called(model)
        parts = {
            condition: bench.row(feature_set, name, part=condition.part, like=WHOLE)
            for condition in CONDITIONS
        }
        made.append(Curve(model, bench.row(feature_set, name, part=WHOLE, like=WHOLE), parts))
    return tuple(made)


def degradation_table(made: Sequence[Curve], *, notes: Sequence[str] = ()) -> Table:
    """One row a condition and model: scores, and what the damage cost."""
    columns = [Column("damage"), Column("model"), Column("repeats", "int"), Column("n", "int")]
    for heading in METRICS.values():
        columns += [
            Column(heading, "share"),
            Column(f"95 % of {heading}", "interval"),
            Column(f"{heading} less whole bags", "effect"),
        ]
    rows: list[tuple[Cell, ...]] = []
    for condition in (None, *CONDITIONS):
        for curve in made:
            row = curve.whole if condition is None else curve.parts[condition]
            cells: list[Cell] = []
            for metric in METRICS:
                found = NOTHING if row is None else row.mean(metric)
                lost = None if condition is None else difference(row, curve.whole)
                less = NOTHING if lost is None else lost.mean(metric)
                cells += [found.value, found.interval, less.effect]
            sizes = (None, None) if row is None else (len(row), row.n)
            rows.append((_named(condition), curve.model, *sizes, *cells))
    rowed = [curve.whole for curve in made if curve.whole is not None]
    over = "artists" if all(row.method == ARTISTS for row in rowed) else "splits"
    read = (
        "Every condition scores the same test tracks, each under its own label with the prediction "
        "of the bag that it lies in; the damage is drawn anew for each repeat. A cut bag still "
        f"speaks for all its tracks. Intervals: 95 %, over {over}. {AVERAGED[:1].upper()}"
        f"{AVERAGED[1:]} is the control."
    )
    chance = "Tracks with the tags of another swap their places at random; bags keep their sizes."
    return Table("Damaged bags", tuple(columns), tuple(rows), (read, chance, *notes))


def degradation_picture(made: Sequence[Curve], kind: str, metric: str = "accuracy") -> Figure:
    """Scores of each model under one kind of damage, from whole bags on.

    Parameters
    ----------
    made : sequence of Curve
    kind : {"cut", "missing", "wrong"}
    metric : str
        One of `METRICS`.
    """
    label, layout = _KINDS[kind]
    some = [condition for condition in CONDITIONS if condition.kind == kind]
    ticks = [layout.format(condition.level) for condition in some]
    lines = {}
    for curve in made:
        rows = [curve.parts[condition] for condition in some]
        means = [NOTHING if row is None else row.mean(metric) for row in rows]
        whole = NOTHING if curve.whole is None else curve.whole.mean(metric)
        lines[curve.model] = [*means, whole] if kind == "cut" else [whole, *means]
    ticks = [*ticks, "all"] if kind == "cut" else ["0 %", *ticks]
    return along(lines, ticks, label=label, score=METRICS[metric])


def _named(condition: Condition | None) -> str:
    if condition is None:
        return "none: whole bags"
    label, layout = _KINDS[condition.kind]
    return f"{label}: {layout.format(condition.level)}"


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Bag models and the control, which also predict damaged bags."""
    rows = rows_on(data, request, MODELS)
    return tuple(replace(row, name=called(row.name), further=degrade) for row in rows)


def make(results: Results, request: Request, folder: Path) -> Made:
    """The table, and a picture for each kind of damage."""
    feature_set = results.data.fullest
    bench = bench_of(results, rounds=request.rounds)
    made = curves(bench, MODELS, feature_set=feature_set)
    table = degradation_table(made, notes=results.data.notes)
    saved = {}
    if any(curve.whole is not None for curve in made):
        for kind in _KINDS:
            saved[f"damage_{kind}"] = folder / f"damage_{kind}.png"
            save_picture(degradation_picture(made, kind), saved[f"damage_{kind}"], results.data)
    title = f"{table.title}, features {feature_set}"
    return Made(tables={"degradation": replace(table, title=title)}, pictures=saved)
