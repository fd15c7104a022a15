"""Table II: top-K accuracy on rare genres, by both definitions of rare, per track and per bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..comparison import Row
from ..datasets.fma.checking import TYPED_TAILS
from ..evaluation.tables import Cell, Column, Table
from .data import LOGMEL, Data
from .layout import MAJORITY, notes_of, runs_of, why, why_notes
from .measures import NOTHING, Measure, Sums, measure
from .plan import AVERAGED, Request, Results, rows_on
from .published import KS, MODELS_2, TABLE_2, THRESHOLDS, why_2
from .targets import Made

COUNTS, TYPED = "by counts", "typed in"
SINGLES = "MLP+MATT, all tracks alone"
DEFINITIONS = (COUNTS, TYPED)
_LONE = ("LR", "KNN", "SVM", "MLP", "CRNN", "CRNN-TF")


@dataclass(frozen=True)
class Tail:
    """Which genres are rare.

    Attributes
    ----------
    definition : {"by counts", "typed in"}
        By training tracks; or the list in the paper's notebooks, whatever the counts are.
    fewer_than : int
        Training tracks.
    """

    definition: str
    fewer_than: int

    def of(self, sums: Sums) -> NDArray[np.bool_]:
        """Whether each genre is rare, shape (G,)."""
        if self.definition == COUNTS:
            return np.asarray(sums.train_counts < self.fewer_than)
        names, _ = TYPED_TAILS[self.fewer_than]
        return np.isin(np.array(sums.genres), names)


TAILS = tuple(Tail(definition, n) for n in THRESHOLDS for definition in DEFINITIONS)


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """The nine models on all features and, where there are any, log-mels; and the control."""
    return rows_on(data, request, (*MODELS_2, AVERAGED))


def make(results: Results, request: Request, folder: Path) -> Made:
    """The table, a row a model, tail and unit."""
    rows = list(_rows(results, request))
    columns = (
        Column("model"),
        Column("control", "flag"),
        Column("tail"),
        Column("fewer than", "int"),
        *(
            c
            for k in KS
            for c in (Column(f"top {k}", "spread"), Column(f"95 % of {k}", "interval"))
        ),
        Column("runs"),
        Column("n", "int"),
        Column("unit"),
        *(Column(f"paper {k}") for k in KS),
        *(Column(f"notebook {k}") for k in KS),
        Column("why it may differ"),
    )
    keys = [_key(results.data, name) for name in (*MODELS_2, AVERAGED)]
    notes = [*notes_of(results, keys), *_tail_notes(results)]
    if results.data.logmel() is None:
        notes.append(f"No rows of CRNNs: {results.data.no_logmels}.")
    notes.append(
        "Per cent in the columns of the paper and of its notebook. Their unit is a track of a bag "
        "and their tail is typed in; rows of other units and tails have none."
    )
    notes += why_notes({str(row[-1]) for row in rows})
    table = Table("Table II: top-K accuracy on rare genres", columns, tuple(rows), tuple(notes))
    return Made(tables={"table_2": table})


def _rows(results: Results, request: Request) -> Iterator[tuple[Cell, ...]]:
    for name in (*MODELS_2, AVERAGED):
        key = _key(results.data, name)
        if key not in results.cells:
            continue
        units = ("track",) if name in _LONE else ("spread", "bag")
        for tail in TAILS:
            for unit in units:
                part = "alone" if unit == "track" else "test"
                runs = results.sums(*key, part=part, unit=unit)
                row = _row(results, name, tail, runs, runs_of(results, *key), request)
                yield row
    singles = results.sums(*_key(results.data, "MLP+MATT"), part="alone", unit="track")
    constant = results.majority(results.data.fullest)
    for name, runs in ((SINGLES, singles), (MAJORITY, constant)):
        for tail in TAILS:
            yield _row(results, name, tail, runs, f"{len(runs)}", request)


def _row(
    results: Results, name: str, tail: Tail, runs: tuple[Sums, ...], told: str, request: Request
) -> tuple[Cell, ...]:
    found = [_measure(runs, k, tail, request.rounds) for k in KS]
    ours: list[Cell] = [c for some in found for c in (some.spread, some.interval)]
    n = int(np.mean([sums.true[:, tail.of(sums)].sum() for sums in runs])) if runs else None
    unit = runs[0].unit if runs else ""
    published = name in TABLE_2 and tail.definition == TYPED and unit != "bag"
    paper: list[Cell] = [""] * (2 * len(KS))
    if published:
        start = len(KS) * THRESHOLDS.index(tail.fewer_than)
        row, end = TABLE_2[name], start + len(KS)
        paper = ["<5" if p is None else f"{p:.2f}" for p in row.paper[start:end]]
        paper += [f"{value:.2f}" for value in row.notebook[start:end]]
    reasons = why(results, why_2(name)) if published else ""
    control = name not in MODELS_2
    first: tuple[Cell, ...] = (name, control, tail.definition, tail.fewer_than)
    return (*first, *ours, told, n, unit, *paper, reasons)


def _measure(runs: tuple[Sums, ...], k: int, tail: Tail, rounds: int) -> Measure:
    if not runs:
        return NOTHING
    return measure(runs, lambda sums: sums.top_k(k, tail.of(sums)), rounds=rounds)


def _key(data: Data, name: str) -> tuple[str, str]:
    return (LOGMEL if "CRNN" in name else data.fullest), name


def _tail_notes(results: Results) -> Iterator[str]:
    """Which genres each tail holds, and how many test tracks; nothing to score is said."""
    data = results.data
    runs = next(
        (
            found
            for name in MODELS_2[:4]
            if (found := results.sums(*_key(data, name), part="alone", unit="track"))
        ),
        (),
    )
    if not runs:
        return
    sums = runs[0]
    for tail in TAILS:
        rare = tail.of(sums)
        n = int(sums.true[:, rare].sum())
        told = ", ".join(
            f"{genre} ({count:,})"
            for genre, count, here in zip(sums.genres, sums.train_counts, rare, strict=True)
            if here
        )
        what = f"Tail {tail.definition}, fewer than {tail.fewer_than}"
        if not rare.any():
            yield f"{what}: no genre of this data, so nothing can be scored."
        elif not n:
            yield f"{what}: {told}; no test track has such a genre, so nothing can be scored."
        else:
            yield f"{what}: {told}; {n:,} test tracks. In brackets: training tracks."
