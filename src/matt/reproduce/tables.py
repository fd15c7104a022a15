"""Tables I and II and the case study, with controls, beside the paper's numbers.

Table I is twelve feature sets by six models, of which the one with attention has three scores;
table II top-K accuracy on rare genres, by both
definitions of rare, per track and per bag. The case study is what is lost where tracks come without
their album: the paper's "segment level" is the accuracy on bags that happen to hold one track, and
beside it stands what the words say, every test track alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from operator import itemgetter
from pathlib import Path

from ..comparison import Row
from ..datasets.fma.checking import TYPED_TAILS
from ..evaluation.intervals import MeanScore, Repeated
from ..evaluation.items import items_of
from ..evaluation.tables import Cell, ColumnOf, Table
from .data import Data
from .measures import ALONE, MAJORITY, TEST, Bench, beside, mean, part_of, set_of
from .plan import (
    AVERAGED,
    CONTROLS,
    SCORES_NOTE,
    TRACK,
    Request,
    Results,
    published_as,
    rows_of,
    rows_on,
)
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
from .targets import BESIDE, Made, counted, measured, notes_of, runs_of, why, why_notes

ROWS_1, ROWS_2 = rows_of(MODELS_1), rows_of(MODELS_2)
ATTENTION = rows_of(["MLP+MATT"])


def singles(model: str) -> str:
    """Name of a model of bags where every track is alone."""
    return f"{model}, all tracks alone"


@dataclass(frozen=True)
class Entry:
    """A line of a table: which predictions are scored, under which name, beside which numbers.

    Attributes
    ----------
    name : str
    model, part, unit : str
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
    unit: str = "track_of_bag"

    def row(self, bench: Bench, feature_set: str) -> Repeated | None:
        """Its metrics."""
        of_one = TEST if self.of_one else None
        return bench.row(feature_set, self.model, part=self.part, unit=self.unit, of_one=of_one)

    def runs(self, results: Results, feature_set: str, row: Repeated | None) -> str:
        """How many runs there are; of the majority genre as many as its row has."""
        if self.model == MAJORITY:
            return f"{0 if row is None else len(row.runs)}"
        return runs_of(results, feature_set, self.model)


CONSTANT = Entry(MAJORITY, MAJORITY, ALONE, control=True, unit="track")
ENTRIES_1 = (
    *(Entry(name, name, part_of(name)) for name in ROWS_1),
    Entry(TRACK, TRACK, ALONE, control=True),
    Entry(AVERAGED, AVERAGED, control=True),
    *(Entry(singles(name), name, ALONE, control=True) for name in ATTENTION),
    CONSTANT,
)
# Feature set, entry, and its row of results.
_Line = tuple[str, Entry, Repeated | None]


def needs_table_1(data: Data, request: Request) -> tuple[Row, ...]:
    """Six models, the last with each score, and the fitted controls on every feature set."""
    return rows_on(data, request, (*ROWS_1, *CONTROLS), data.feature_sets)


def make_table_1(results: Results, bench: Bench, folder: Path) -> Made:
    """Both layouts of the table: a row a model, and the paper's own, a row a feature set."""
    return Made(
        tables={"table_1": long_table(results, bench), "table_1_wide": wide(results, bench)}
    )


def _lines(results: Results, bench: Bench, entries: Sequence[Entry]) -> list[_Line]:
    """Every entry on every feature set."""
    names = results.data.feature_sets
    return [(name, entry, entry.row(bench, name)) for name in names for entry in entries]


def long_table(results: Results, bench: Bench) -> Table:
    """One row a feature set and model: ours, its uncertainty, the paper's, why it may differ."""

    def reasons(line: _Line) -> str:
        known = _paper(line[0], line[1].name) is not None
        return why(results, why_1(line[0], published_as(line[1].name))) if known else ""

    def verdict(line: _Line) -> str:
        return beside(line[2], "accuracy", _paper(line[0], line[1].name)) if real else ""

    lines, of, real = _lines(results, bench, ENTRIES_1), itemgetter(2), results.data.real
    table = Table.of(
        "Table I: accuracy by feature set",
        lines,
        ("features", "text", itemgetter(0)),
        ("model", "text", lambda line: line[1].name),
        ("control", "flag", lambda line: line[1].control),
        *measured("accuracy", "accuracy", of, kind="mean and sd", ends="95 %"),
        *measured("macro_f1", "macro-F1", of, kind="mean and sd"),
        ("runs", "text", lambda line: line[1].runs(results, line[0], line[2])),
        *counted(of, "n", "unit"),
        ("paper", "share", lambda line: _paper(line[0], line[1].name)),
        ("verdict", "text", verdict),
        ("why it may differ", "text", reasons),
    )
    notes = (
        *notes_of(results, list(dict.fromkeys((line[0], line[1].model) for line in lines))),
        "unit: a track is predicted alone; a bag over tracks counts once for each of its tracks.",
        SCORES_NOTE,
        BESIDE,
        *why_notes(table),
    )
    return replace(table, notes=notes)


def wide(results: Results, bench: Bench) -> Table:
    """Print the paper's layout: a row a feature set, accuracy a model, ours (paper)."""
    shown = [entry for entry in ENTRIES_1 if not entry.control or entry.name == AVERAGED]
    names = results.data.feature_sets

    def both(entry: Entry) -> Callable[[str], Cell]:
        def cell(name: str) -> str:
            row, paper = entry.row(bench, name), _paper(name, entry.name)
            ours = "-" if row is None else f"{100 * row.mean('accuracy').value:.1f}"
            return ours if paper is None else f"{ours} ({100 * paper:g})"

        return cell

    keys = [(name, entry.model) for name in names for entry in shown]
    return Table.of(
        "Table I as the paper prints it",
        names,
        ("features", "text", str),
        *((entry.name, "text", both(entry)) for entry in shown),
        notes=(
            *notes_of(results, keys),
            "Per cent: ours, and in brackets the paper's.",
            SCORES_NOTE,
        ),
    )


def _paper(feature_set: str, model: str) -> float | None:
    """The paper's accuracy in [0, 1], where it has one."""
    name = published_as(model)
    if feature_set not in TABLE_1 or name not in MODELS_1:
        return None
    return TABLE_1[feature_set][MODELS_1.index(name)] / 100


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
    """The nine models, attention with each score, on all features and log-mels; and the control."""
    return rows_on(data, request, (*ROWS_2, AVERAGED))


def make_table_2(results: Results, bench: Bench, folder: Path) -> Made:
    """The table, a row a model, tail and unit."""

    def guesses(k: int) -> list[ColumnOf[_Line2]]:
        def found(line: _Line2) -> MeanScore:
            return mean(line[-1], f"{line[1].group}_top_{k}")

        return [
            (f"top {k}", "mean and sd", lambda line: found(line).mean_and_sd),
            (f"95 % of {k}", "interval", lambda line: found(line).interval),
        ]

    def told(place: int) -> Callable[[_Line2], Cell]:
        return lambda line: line[3][place]

    def verdicts(line: _Line2) -> str:
        if not results.data.real:
            return ""
        exact = [float(value) / 100 if value else None for value in line[3][len(KS) :]]
        names = [f"{line[1].group}_top_{k}" for k in KS]
        said = [beside(line[-1], *each) for each in zip(names, exact, strict=True)]
        return ", ".join(f"{k} {what}" for k, what in zip(KS, said, strict=True) if what)

    theirs = [f"{where} {k}" for where in ("paper", "notebook") for k in KS]
    table = Table.of(
        "Table II: top-K accuracy on rare genres",
        _lines_2(results, bench),
        ("model", "text", itemgetter(0)),
        ("control", "flag", lambda line: line[0] not in ROWS_2),
        ("tail", "text", lambda line: line[1].definition),
        ("fewer than", "int", lambda line: line[1].fewer_than),
        *(column for k in KS for column in guesses(k)),
        ("runs", "text", itemgetter(2)),
        ("n", "int", lambda line: None if line[-1] is None else line[-1].n_of(line[1].group)),
        *counted(itemgetter(-1), "unit"),
        *((heading, "text", told(place)) for place, heading in enumerate(theirs)),
        ("verdict", "text", verdicts),
        (
            "why it may differ",
            "text",
            lambda line: why(results, why_2(published_as(line[0]))) if any(line[3]) else "",
        ),
    )
    keys = [_key(results.data, name) for name in (*ROWS_2, AVERAGED)]
    notes = [*notes_of(results, keys), *_tail_notes(results)]
    if results.data.logmel() is None:
        notes.append(f"No rows of CRNNs: {results.data.no_logmels}.")
    notes.append(
        "Per cent in the columns of the paper and of its notebook. Their unit is a track of a bag "
        "and their tail is typed in; rows of other units and tails have none."
    )
    notes += [SCORES_NOTE, f"{BESIDE} Of each K, with the number of the notebook."]
    notes += why_notes(table)
    return Made(tables={"table_2": replace(table, notes=tuple(notes))})


# Model, tail, runs, numbers of the paper and of its notebook, and the row of results.
_Line2 = tuple[str, Rare, str, list[str], Repeated | None]


def _lines_2(results: Results, bench: Bench) -> Iterator[_Line2]:
    for name in (*ROWS_2, AVERAGED):
        key = _key(results.data, name)
        if key not in results.cells:
            continue
        for tail in TAILS:
            for unit in ("track",) if part_of(name) == ALONE else ("track_of_bag", "bag"):
                part = ALONE if unit == "track" else TEST
                row = bench.row(*key, part=part, unit=unit, tail=tail.names)
                yield name, tail, runs_of(results, *key), _published(name, tail, unit), row
    alone = [(singles(model), model) for model in ATTENTION]
    for name, model in (*alone, (MAJORITY, MAJORITY)):
        for tail in TAILS:
            key = results.data.fullest, model
            row = bench.row(*key, part=ALONE, unit="track", tail=tail.names)
            runs = f"{0 if row is None else len(row.runs)}"
            yield name, tail, runs, _published(name, tail, "track"), row


def _published(name: str, tail: Rare, unit: str) -> list[str]:
    """What the paper prints, then its notebook; nothing for other tails and units than theirs."""
    called = published_as(name)
    if called not in TABLE_2 or tail.definition != TYPED or unit == "bag":
        return [""] * (2 * len(KS))
    start = len(KS) * THRESHOLDS.index(tail.fewer_than)
    theirs, end = TABLE_2[called], start + len(KS)
    paper = ["<5" if p is None else f"{p:.2f}" for p in theirs.paper[start:end]]
    return [*paper, *(f"{value:.2f}" for value in theirs.notebook[start:end])]


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


_CASE_STUDY = ("MLP", *ATTENTION, AVERAGED)
_OWN = ("triple chroma", "test selection", "single run")
_SEGMENTS = (
    "The paper calls its 63.69 an accuracy of segments, but its notebook has it of bags that "
    "happen to hold one track: compare it with that row, and with MLP on the same tracks."
)


def _of_attention(model: str) -> tuple[Entry, ...]:
    """Rows of a model in the case study; with the paper's numbers, where it is the paper's."""
    bags = Entry(f"{model}, bags", model, TEST)
    alone = Entry(f"{model}, bags that hold one track", model, TEST, of_one=True)
    if published_as(model) == "MLP+MATT":
        paper, paper_ap = CASE_STUDY["MLP+MATT, bags"] / 100, AVERAGE_PRECISION_4["MLP+MATT"]
        bags = replace(bags, paper=paper, paper_ap=paper_ap, why=(*_OWN, "bag unit"))
        paper = CASE_STUDY["MLP+MATT, alone"] / 100
        alone = replace(alone, paper=paper, why=(*_OWN, "single bags"))
    return bags, Entry(singles(model), model, ALONE), alone


ENTRIES_CASE_STUDY = (
    *(entry for model in ATTENTION for entry in _of_attention(model)),
    Entry("MLP", "MLP", ALONE, paper=CASE_STUDY["MLP"] / 100, why=("copied",)),
    Entry("MLP, bags that hold one track", "MLP", ALONE, of_one=True),
    Entry(AVERAGED, AVERAGED, TEST),
    CONSTANT,
)


def needs_case_study(data: Data, request: Request) -> tuple[Row, ...]:
    """The models of the case study on every feature set."""
    return rows_on(data, request, _CASE_STUDY, data.feature_sets)


def make_case_study(results: Results, bench: Bench, folder: Path) -> Made:
    """Accuracy and average precision of each row on every feature set."""

    def theirs(cell: Callable[[Entry], Cell]) -> Callable[[_Line], Cell]:
        return lambda line: cell(line[1]) if line[0] == "1-9" else None

    def ap(line: _Line) -> Cell:
        return None if line[1] is CONSTANT else mean(line[2], "micro_ap").mean_and_sd

    def verdict(line: _Line) -> str:
        comparable = line[0] == "1-9" and results.data.real
        return beside(line[2], "accuracy", line[1].paper) if comparable else ""

    of = itemgetter(2)
    table = Table.of(
        "Case study: tracks without their album",
        _lines(results, bench, ENTRIES_CASE_STUDY),
        ("features", "text", itemgetter(0)),
        ("model", "text", lambda line: line[1].name),
        *measured("accuracy", "accuracy", of, kind="mean and sd", ends="95 %"),
        ("average precision", "mean and sd", ap),
        ("runs", "text", lambda line: line[1].runs(results, line[0], line[2])),
        *counted(of, "n", "unit"),
        ("paper", "share", theirs(lambda entry: entry.paper)),
        ("paper's average precision", "share", theirs(lambda entry: entry.paper_ap)),
        ("verdict", "text", verdict),
        (
            "why it may differ",
            "text",
            lambda line: why(results, line[1].why) if line[1].why and line[0] == "1-9" else "",
        ),
    )
    keys = [(name, model) for name in results.data.feature_sets for model in _CASE_STUDY]
    notes = (
        *notes_of(results, keys),
        "Average precision: micro, over all pairs of track and genre, by step summation.",
        _SEGMENTS,
        SCORES_NOTE,
        f"{BESIDE} Of accuracy.",
        *why_notes(table),
    )
    return Made(tables={"case_study": replace(table, notes=notes)})
