"""Targets: what can be made, which cells each needs, what comes out, and what all tables share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..comparison import Row
from ..errors import first_few
from ..evaluation import style
from ..evaluation.intervals import VERDICTS, WIDENED, Repeated
from ..evaluation.tables import Cell, ColumnOf, Table
from ..faults import PROTOCOLS, fault_texts
from .data import LOGMEL, Data
from .measures import Bench, mean
from .plan import Request, Results
from .published import WHY_NOT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIMULATED = "simulated"
_WHY = {**WHY_NOT, SIMULATED: "ours are of simulated data, which says nothing of music"}
_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False, kw_only=True)
class Made:
    """What a target made.

    Attributes
    ----------
    tables : dict of str to Table
        By the name of their file.
    pictures : dict of str to Path
    notes : tuple of str
        Sentences, e.g. claims.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """One thing to make.

    Attributes
    ----------
    title : str
    needs : callable
        (data, request) -> rows, whose cells have to be run first.
    make : callable
        (results, their rows, folder) -> Made. Where cells are missing it makes what can be made and
        says so.
    impossible : callable
        data -> why it cannot be made of it; nothing where it can.
    """

    title: str
    needs: Callable[[Data, Request], tuple[Row, ...]]
    make: Callable[[Results, Bench, Path], Made]
    impossible: Callable[[Data], str] = lambda data: ""


def runs_of(results: Results, feature_set: str, model: str) -> str:
    """How many runs there are, of how many that were wanted.

    A model that has no randomness, on one split, wants one.
    """
    wanted = {cell.digest for cell in results.cells.get((feature_set, model), ())}
    there = wanted & results.report.results.keys()
    return f"{len(there)}" if there == wanted else f"{len(there)} of {len(wanted)}, partial"


def save_picture(figure: Figure, path: Path, data: Data) -> None:
    """Write a picture; one of simulated data says so itself, wherever it is taken."""
    if not data.real:
        figure.text(1, 1, "simulated", ha="right", va="top", fontsize=7.5, color=style.FAINT)
    style.save(figure, path)


BESIDE = (
    f"Beside a number of the paper, which is of one run and has no interval: {VERDICTS} What is "
    "simulated is compared with none."
)
"""Note of a table with verdicts on published numbers."""


def why(results: Results, keys: Iterable[str]) -> str:
    """Short names of the reasons why a number of the paper may differ from ours."""
    first = () if results.data.real else (SIMULATED,)
    return ", ".join((*first, *keys))


def why_notes(table: Table) -> tuple[str, ...]:
    """Explain the short names in the last column of a table, "why it may differ"."""
    names = {name for row in table.rows for name in str(row[-1]).split(", ")}
    return tuple(f"{name}: {text}." for name, text in _WHY.items() if name in names)


def notes_of(results: Results, keys: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What has to be known of a table: data, protocol, uncertainty, and what is missing."""
    data, n = results.data, len(results.divisions)
    notes = [f"Data: {data.name}. Protocol: {results.protocol}.", *data.notes]
    if data.imbalance > 1:
        notes.append(
            f"Training tracks are cut to a tail of 1 to {data.imbalance:g}: whole bags, in an "
            "order of the genres that each split draws."
        )
    shared = n == 1 or len({division.name for division in results.divisions}) == 1
    given = data.official and all("." not in d.name for d in results.divisions)
    if shared or given:
        notes.append(
            f"{n} seed{'s' * (n > 1)} on one split: mean ± standard deviation over seeds; 95 %: "
            "bootstrap over the test artists of the mean over seeds."
        )
    else:
        notes.append(
            f"{n} artist-disjoint splits: mean ± standard deviation over splits; 95 %: t interval "
            f"over splits, {WIDENED}."
        )
    notes += fault_texts(PROTOCOLS.get(results.protocol, ()))
    if any(key[0] == LOGMEL for key in keys if key in results.cells):
        notes += data.logmel_notes
    lost = [f"{key[1]} on {key[0]}, {told}" for key in keys for told in results.failed(*key)]
    if lost:
        notes.append(f"PARTIAL: {len(lost)} runs failed ({first_few(lost, most=5)}).")
    return tuple(notes)


def measured(
    metric: str,
    heading: str,
    of: Callable[[_Item], Repeated | None],
    *,
    kind: str = "share",
    ends: str = "",
) -> list[ColumnOf[_Item]]:
    """Columns of a metric and of its interval.

    Parameters
    ----------
    metric, heading : str
    of : callable
        Item of the table -> its row of results.
    kind : {"share", "mean and sd"}
    ends : str
        Heading of the interval, if it is another than "95 % of" the metric's.
    """

    def value(item: _Item) -> Cell:
        found = mean(of(item), metric)
        return found.value if kind == "share" else found.mean_and_sd

    def interval(item: _Item) -> Cell:
        return mean(of(item), metric).interval

    return [(heading, kind, value), (ends or f"95 % of {heading}", "interval", interval)]


def counted(of: Callable[[_Item], Repeated | None], *names: str) -> list[ColumnOf[_Item]]:
    """Columns "n", items of a repeat, "unit", what one is, and "repeats"; see `measured`."""

    def cell(name: str) -> Callable[[_Item], Cell]:
        def shown(item: _Item) -> Cell:
            row = of(item)
            if row is None:
                return "" if name == "unit" else None
            return row.unit if name == "unit" else row.n if name == "n" else len(row)

        return shown

    return [(name, "text" if name == "unit" else "int", cell(name)) for name in names]
