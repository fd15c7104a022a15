"""Tables I and II and the case study, with controls, beside the paper's numbers.

Table I is twelve feature sets by six models; table II top-K accuracy on rare genres, by both
definitions of rare, per track and per bag. The case study is what is lost where tracks come without
their album: the paper's "segment level" is the accuracy on bags that happen to hold one track, and
beside it stands what the words say, every test track alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path

from ..comparison import Row
from ..datasets.fma.checking import TYPED_TAILS
from ..evaluation.intervals import NOTHING, Repeated
from ..evaluation.items import items_of
from ..evaluation.tables import Cell, Column, Table
from .data import Data
from .measures import ALONE, MAJORITY, TEST, Bench, part_of, set_of
from .plan import AVERAGED, CONTROLS, TRACK, Request, Results, rows_on
from .published import (
    AVERAGE_PRECISION_4,
    CASE_STUDY,
    KS,
    MODELS_1,
    MODELS_2,
    TABLE_1,
    TABLE_2,
    THRESHOLDS,
    why_1,
    why_2,
)
from .targets import (
    COUNTED,
    OURS,
    THEIRS,
    Made,
    counts_of,
    means_of,
    notes_of,
    runs_of,
    why,
    why_notes,
)

SINGLES = "MLP+MATT, all tracks alone"


@dataclass(frozen=True)
class Entry:
    """A line of a table: which predictions are scored, under which name, beside which numbers.

    Attributes
    ----------
    name : str
    model, part : str
        As in `measures.Bench.row`.
    control : bool
    of_one : bool
        Only tracks that are alone in their bag.
    paper, paper_ap : float
        Of the features "1-9", in [0, 1]; NaN where there is none.
    why : tuple of str
        Keys of `published.WHY_NOT`.
    """

    name: str
    model: str
    part: str = TEST
    control: bool = False
    of_one: bool = False
    paper: float = nan
    paper_ap: float = nan
    why: tuple[str, ...] = ()


ENTRIES_1 = (
    *(Entry(name, name, part_of(name)) for name in MODELS_1),
    Entry(TRACK, TRACK, ALONE, control=True),
    Entry(AVERAGED, AVERAGED, control=True),
    Entry(SINGLES, "MLP+MATT", ALONE, control=True),
)


def needs_table_1(data: Data, request: Request) -> tuple[Row, ...]:
    """Six models and the fitted controls on every feature set."""
    return rows_on(data, request, (*MODELS_1, *CONTROLS), data.feature_sets)


def make_table_1(results: Results, bench: Bench, folder: Path) -> Made:
    """Both layouts of the table: a row a model, and the paper's own, a row a feature set."""
    return Made(
        tables={"table_1": long_table(results, bench), "table_1_wide": wide(results, bench)}
    )


def long_table(results: Results, bench: Bench) -> Table:
    """One row a feature set and model: ours, its uncertainty, the paper's, why it may differ."""
    rows: list[tuple[Cell, ...]] = []
    keys = []
    for name in results.data.feature_sets:
        for entry in ENTRIES_1:
            keys.append((name, entry.model))
            row = bench.row(name, entry.model, part=entry.part)
            paper = _paper(name, entry.name)
            told = why(results, why_1(name, entry.name)) if paper is not None else ""
            rows.append(_row_1(name, entry, row, runs_of(results, *keys[-1]), paper, told))
        constant = bench.row(name, MAJORITY, part=ALONE, unit="track")
        told_runs = f"{0 if constant is None else len(constant.runs)}"
        entry = Entry(MAJORITY, MAJORITY, ALONE, control=True)
        rows.append(_row_1(name, entry, constant, told_runs, None, ""))
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


def wide(results: Results, bench: Bench) -> Table:
    """Print the paper's layout: a row a feature set, accuracy a model, ours (paper)."""
    shown = [entry for entry in ENTRIES_1 if not entry.control or entry.name == AVERAGED]
    rows: list[tuple[Cell, ...]] = []
    for name in results.data.feature_sets:
        cells: list[Cell] = [name]
        for entry in shown:
            row = bench.row(name, entry.model, part=entry.part)
            paper = _paper(name, entry.name)
            ours = "-" if row is None else f"{100 * row.mean('accuracy').value:.1f}"
            cells.append(ours if paper is None else f"{ours} ({100 * paper:g})")
        rows.append(tuple(cells))
    columns = (Column("features"), *(Column(entry.name) for entry in shown))
    keys = [(name, entry.model) for name in results.data.feature_sets for entry in shown]
    notes = (*notes_of(results, keys), "Per cent: ours, and in brackets the paper's.")
    return Table("Table I as the paper prints it", columns, tuple(rows), notes)


def _row_1(
    name: str, entry: Entry, row: Repeated | None, runs: str, paper: float | None, told: str
) -> tuple[Cell, ...]:
    found = means_of(row, "accuracy", "macro_f1")
    return (name, entry.name, entry.control, *found, runs, *counts_of(row), paper, told)


def _paper(feature_set: str, model: str) -> float | None:
    """The paper's accuracy in [0, 1], where it has one."""
    if feature_set not in TABLE_1 or model not in MODELS_1:
        return None
    return TABLE_1[feature_set][MODELS_1.index(model)] / 100


COUNTS, TYPED = "by counts", "typed in"
DEFINITIONS = (COUNTS, TYPED)


@dataclass(frozen=True)
class Rare:
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


TAILS = tuple(Rare(definition, n) for n in THRESHOLDS for definition in DEFINITIONS)


def needs_table_2(data: Data, request: Request) -> tuple[Row, ...]:
    """The nine models on all features and, where there are any, log-mels; and the control."""
    return rows_on(data, request, (*MODELS_2, AVERAGED))


def make_table_2(results: Results, bench: Bench, folder: Path) -> Made:
    """The table, a row a model, tail and unit."""
    rows = list(_rows_2(results, bench))
    columns = (
        Column("model"),
        Column("control", "flag"),
        Column("tail"),
        Column("fewer than", "int"),
        *(
            c
            for k in KS
            for c in (Column(f"top {k}", "mean and sd"), Column(f"95 % of {k}", "interval"))
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


def _rows_2(results: Results, bench: Bench) -> Iterator[tuple[Cell, ...]]:
    for name in (*MODELS_2, AVERAGED):
        key = _key(results.data, name)
        if key not in results.cells:
            continue
        for tail in TAILS:
            for unit in ("track",) if part_of(name) == ALONE else ("track_of_bag", "bag"):
                part = ALONE if unit == "track" else TEST
                row = bench.row(*key, part=part, unit=unit, tail=tail.names)
                yield _row_2(results, name, tail, row, runs_of(results, *key))
    for name, model in ((SINGLES, "MLP+MATT"), (MAJORITY, MAJORITY)):
        for tail in TAILS:
            key = results.data.fullest, model
            row = bench.row(*key, part=ALONE, unit="track", tail=tail.names)
            yield _row_2(results, name, tail, row, f"{0 if row is None else len(row.runs)}")


def _row_2(
    results: Results, name: str, tail: Rare, row: Repeated | None, told: str
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
    return set_of(name, data.fullest), name


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


_CASE_STUDY = ("MLP", "MLP+MATT", AVERAGED)
_OWN = ("triple chroma", "test selection", "single run")
ENTRIES_CASE_STUDY = (
    Entry(
        "MLP+MATT, bags",
        "MLP+MATT",
        TEST,
        paper=CASE_STUDY["MLP+MATT, bags"] / 100,
        paper_ap=AVERAGE_PRECISION_4["MLP+MATT"],
        why=(*_OWN, "bag unit"),
    ),
    Entry("MLP+MATT, all tracks alone", "MLP+MATT", ALONE),
    Entry(
        "MLP+MATT, bags that hold one track",
        "MLP+MATT",
        TEST,
        of_one=True,
        paper=CASE_STUDY["MLP+MATT, alone"] / 100,
        why=(*_OWN, "single bags"),
    ),
    Entry("MLP", "MLP", ALONE, paper=CASE_STUDY["MLP"] / 100, why=("copied",)),
    Entry("MLP, bags that hold one track", "MLP", ALONE, of_one=True),
    Entry(AVERAGED, AVERAGED, TEST),
)


def needs_case_study(data: Data, request: Request) -> tuple[Row, ...]:
    """The models of the case study on every feature set."""
    return rows_on(data, request, _CASE_STUDY, data.feature_sets)


def make_case_study(results: Results, bench: Bench, folder: Path) -> Made:
    """Accuracy and average precision of each row on every feature set."""
    rows: list[tuple[Cell, ...]] = []
    for name in results.data.feature_sets:
        rows += [_row_case_study(results, bench, name, entry) for entry in ENTRIES_CASE_STUDY]
        rows.append(_constant(bench, name))
    columns = (
        Column("features"),
        Column("model"),
        Column("accuracy", "mean and sd"),
        Column("95 %", "interval"),
        Column("average precision", "mean and sd"),
        Column("runs"),
        Column("n", "int"),
        Column("unit"),
        Column("paper", "share"),
        Column("paper's average precision", "share"),
        Column("why it may differ"),
    )
    keys = [(name, model) for name in results.data.feature_sets for model in _CASE_STUDY]
    notes = [*notes_of(results, keys)]
    notes.append("Average precision: micro, over all pairs of track and genre, by step summation.")
    notes.append(
        "The paper calls its 63.69 an accuracy of segments, but its notebook has it of bags that "
        "happen to hold one track: compare it with that row, and with MLP on the same tracks."
    )
    notes += why_notes({str(row[-1]) for row in rows})
    table = Table("Case study: tracks without their album", columns, tuple(rows), tuple(notes))
    return Made(tables={"case_study": table})


def _row_case_study(results: Results, bench: Bench, name: str, entry: Entry) -> tuple[Cell, ...]:
    row = bench.row(name, entry.model, part=entry.part, of_one=TEST if entry.of_one else None)
    share, ap = (
        NOTHING if row is None else row.mean(metric) for metric in ("accuracy", "micro_ap")
    )
    first = name == "1-9"
    told = why(results, entry.why) if entry.why and first else ""
    return (
        name,
        entry.name,
        share.mean_and_sd,
        share.interval,
        ap.mean_and_sd,
        runs_of(results, name, entry.model),
        *counts_of(row),
        entry.paper if first else None,
        entry.paper_ap if first else None,
        told,
    )


def _constant(bench: Bench, name: str) -> tuple[Cell, ...]:
    """Row of the majority genre."""
    row = bench.row(name, MAJORITY, part=ALONE, unit="track")
    share = NOTHING if row is None else row.mean("accuracy")
    runs = 0 if row is None else len(row.runs)
    scores: tuple[Cell, ...] = (share.mean_and_sd, share.interval, None)
    return (name, MAJORITY, *scores, f"{runs}", *counts_of(row), None, None, "")
