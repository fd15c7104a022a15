"""Table II: top-K accuracy on rare genres, by both definitions of rare, per track and per bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..comparison import Row
from ..datasets.fma.checking import TYPED_TAILS
from ..evaluation.intervals import Repeated
from ..evaluation.items import items_of
from ..evaluation.tables import Cell, Column, Table
from .data import LOGMEL, Data
from .layout import means_of, notes_of, runs_of, why, why_notes
from .measures import ALONE, MAJORITY, TEST, bench_of
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

    @property
    def names(self) -> tuple[str, ...] | None:
        """Genres of the list; None where training tracks are counted."""
        return None if self.definition == COUNTS else tuple(TYPED_TAILS[self.fewer_than][0])

    @property
    def group(self) -> str:
        """Of `tally.Tally`, which tells its genres apart."""
        return f"below_{self.fewer_than}" if self.definition == COUNTS else "tail"


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
    bench = bench_of(results, rounds=request.rounds)
    for name in (*MODELS_2, AVERAGED):
        key = _key(results.data, name)
        if key not in results.cells:
            continue
        for tail in TAILS:
            for unit in ("track",) if name in _LONE else ("spread", "bag"):
                part = ALONE if unit == "track" else TEST
                row = bench.row(*key, part=part, unit=unit, tail=tail.names)
                yield _row(results, name, tail, row, runs_of(results, *key))
    for name, model in ((SINGLES, "MLP+MATT"), (MAJORITY, MAJORITY)):
        for tail in TAILS:
            key = results.data.fullest, model
            row = bench.row(*key, part=ALONE, unit="track", tail=tail.names)
            yield _row(results, name, tail, row, f"{0 if row is None else len(row.runs)}")


def _row(
    results: Results, name: str, tail: Tail, row: Repeated | None, told: str
) -> tuple[Cell, ...]:
    ours = means_of(row, *(f"{tail.group}_top_{k}" for k in KS))
    n, unit = (None, "") if row is None else (row.n_of(tail.group), row.unit)
    published = name in TABLE_2 and tail.definition == TYPED and unit != "bag"
    paper: list[Cell] = [""] * (2 * len(KS))
    if published:
        start = len(KS) * THRESHOLDS.index(tail.fewer_than)
        theirs, end = TABLE_2[name], start + len(KS)
        paper = ["<5" if p is None else f"{p:.2f}" for p in theirs.paper[start:end]]
        paper += [f"{value:.2f}" for value in theirs.notebook[start:end]]
    reasons = why(results, why_2(name)) if published else ""
    control = name not in MODELS_2
    first: tuple[Cell, ...] = (name, control, tail.definition, tail.fewer_than)
    return (*first, *ours, told, n, unit, *paper, reasons)


def _key(data: Data, name: str) -> tuple[str, str]:
    return (LOGMEL if "CRNN" in name else data.fullest), name


def _tail_notes(results: Results) -> Iterator[str]:
    """Which genres each tail holds, and how many test tracks; nothing to score is said."""
    made = (results.by_split(*_key(results.data, name), ALONE) for name in MODELS_2[:4])
    found = next((some for some in made if some), None)
    if found is None:
        return
    items = items_of(next(iter(found.values())), unit="track")
    tested = items.truth.sum(axis=0)
    for tail in TAILS:
        rare = [
            g
            for g, (genre, count) in enumerate(zip(items.genres, items.train_counts, strict=True))
            if (count < tail.fewer_than if tail.names is None else genre in tail.names)
        ]
        n = int(tested[rare].sum())
        told = ", ".join(f"{items.genres[g]} ({items.train_counts[g]:,})" for g in rare)
        what = f"Tail {tail.definition}, fewer than {tail.fewer_than}"
        if not rare:
            yield f"{what}: no genre of this data, so nothing can be scored."
        elif not n:
            yield f"{what}: {told}; no test track has such a genre, so nothing can be scored."
        else:
            yield f"{what}: {told}; {n:,} test tracks. In brackets: training tracks."
