"""Tables of scores, from predictions alone: all of one run, its models beside their control.

Scores of several models, by genre and over splits first; then what looks closer: more metrics,
sizes of bags, training tracks, calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.costs import DECISION, check_link, decided
from ..predictions import Predictions
from .intervals import ROUNDS, mean_of, paired_note, protocol_for, wilson
from .items import items_of
from .metrics import accuracy, confusion_matrix, macro_f1, range_of
from .scores import (
    GenreScores,
    Scores,
    ShotScores,
    by_shot,
    by_size,
    majority,
    reliability_of,
    score_with_intervals,
)
from .tables import Cell, Column, ColumnOf, Table, capital
from .tally import HEADINGS, KS, SETS, SHOTS

# Scores of every table, in this order; and those of the table of details.
_SHOWN = ("accuracy", "macro_f1", "tail_recall", "micro_ap")
_DETAIL = tuple(name for name in HEADINGS if name not in _SHOWN)
_NAMED = HEADINGS | SETS
# Of items that may have several genres: those with intervals, and the others.
_OF_SETS = (
    *("macro_f1", "micro_f1", "sample_f1", "macro_ap", "micro_ap"),
    *("macro_roc_auc", "micro_roc_auc"),
)
_NUMBERS = ("log_loss", "brier", "coverage_error", "genres_given", "genres_true")
_Item = TypeVar("_Item")
_UNITS = {
    "track": "track: each track alone",
    "bag": "bag: each bag under its own label",
    "bag over tracks": "bag over tracks: each track under its own label, with its bag's prediction",
}


def score_table(rows: Iterable[tuple[str, Scores]], *, title: str = "Scores") -> Table:
    """One row of scores a model, each with its unit and number of items.

    Parameters
    ----------
    rows : iterable of (str, Scores)
        A name may occur with several units.
    title : str

    Returns
    -------
    Table
        With a column for the interval of each score, and one for the number of artists, where a row
        has intervals. Its notes explain the units, the tail, what was left out, and why a score is
        undefined.
    """
    rows = list(rows)
    scores = [s for _, s in rows]
    return Table.of(
        title,
        rows,
        ("model", "text", lambda row: row[0]),
        ("unit", "text", _of("unit")),
        *score_columns(scores, itemgetter(1)),
        ("n tail", "int", _of("n_tail")),
        notes=notes_of(scores),
    )


def _of(name: str) -> Callable[[tuple[str, Any]], Cell]:
    """Cell of a pair: what its second is by that name."""
    return lambda row: getattr(row[1], name)


def score_columns(
    scores: Sequence[Scores], of: Callable[[_Item], Scores], keys: Sequence[str] = _SHOWN
) -> list[ColumnOf[_Item]]:
    """Columns of n and of scores, with intervals where any row has them.

    Parameters
    ----------
    scores : sequence of Scores
        Of all rows.
    of : callable
        Item of the table -> its scores.
    keys : sequence of str
        Which scores; by default the four of every table.
    """
    intervals = min({f"{100 * s.confidence:g} % of " for s in scores if s.rounds}, default="")

    def value(key: str) -> Callable[[_Item], Cell]:
        return lambda item: getattr(of(item), key)

    def ends(key: str) -> Callable[[_Item], Cell]:
        return lambda item: of(item).intervals.get(key)

    columns: list[ColumnOf[_Item]] = [("n", "int", value("n"))]
    for key in keys:
        columns.append((_NAMED[key], "share", value(key)))
        if intervals:
            columns.append((f"{intervals}{_NAMED[key]}", "interval", ends(key)))
    return [*columns, ("artists", "int", value("n_artists"))] if intervals else columns


def split_table(
    rows: Mapping[str, Sequence[Scores]],
    *,
    title: str = "Mean ± standard deviation over splits",
    against: str | None = None,
    ratio: float = 0.0,
) -> Table:
    """Mean and standard deviation of scores over splits or seeds.

    Parameters
    ----------
    rows : dict of str to sequence of Scores
        Scores of each model, one a split, all of one unit.
    title : str
    against : str, optional
        A row with which every other is compared split by split, in macro-F1.
    ratio : float >= 0
        By which splits share tracks, as `matt.evaluation.intervals.overlap` gives it.

    Returns
    -------
    Table
        The standard deviation is that of a sample (n - 1); it is left out for a single split.
        A split where a score is undefined does not count for it, and a note says so. The
        difference to ``against`` comes with half the width of its 95 % t interval over splits.
    """
    means = {
        key: {name: mean_of([getattr(s, key) for s in scores]) for name, scores in rows.items()}
        for key in _SHOWN
    }

    def mean_and_sd(key: str) -> Callable[[str], Cell]:
        return lambda name: means[key][name].mean_and_sd

    columns: list[ColumnOf[str]] = [
        ("model", "text", str),
        ("unit", "text", lambda name: " / ".join(dict.fromkeys(s.unit for s in rows[name]))),
        *((HEADINGS[key], "mean and sd", mean_and_sd(key)) for key in _SHOWN),
    ]
    sizes: dict[str, list[str]] = {}
    for name, scores in rows.items():
        sizes.setdefault(_sizes(scores), []).append(name)
    notes = [
        f"{size}{'.' if len(sizes) == 1 else ': ' + ', '.join(names) + '.'}"
        for size, names in sizes.items()
    ]
    if against is not None:
        control = rows[against]
        columns.append(
            (
                "macro-F1 less control",
                "difference",
                lambda name: None if name == against else _difference(rows[name], control, ratio),
            )
        )
        notes.append(f"Control: {against}. {paired_note(ratio)}")
    notes += notes_of([s for scores in rows.values() for s in scores])
    notes += [
        f"{name}: {HEADINGS[key]} is of {means[key][name].n} of {len(scores)} splits."
        for name, scores in rows.items()
        for key in _SHOWN
        if 0 < means[key][name].n < len(scores)
    ]
    return Table.of(title, rows, *columns, notes=notes)


def genre_table(scores: Scores, *, title: str = "By genre") -> Table:
    """Scores of each genre, from the most to the fewest training tracks.

    Returns
    -------
    Table
        Recall with its 95 % Wilson interval; the tail is marked.
    """
    notes = [*notes_of([scores], intervals=False)]
    given = any(genre.hits is not None for genre in scores.genres)
    if scores.unit == "bag over tracks" and given:
        notes.append(
            "The intervals take tracks for independent. Those of one bag are not, so the true "
            "intervals are wider."
        )
    several: list[ColumnOf[GenreScores]] = []
    if scores.confusion is None:
        several = [
            ("ROC-AUC", "share", attrgetter("roc_auc")),
            ("threshold", "share", attrgetter("threshold")),
        ]
    return Table.of(
        f"{title} ({scores.n:,} items, unit: {scores.unit})",
        sorted(scores.genres, key=lambda genre: -genre.train_tracks),
        ("genre", "text", attrgetter("genre")),
        ("tail", "flag", attrgetter("tail")),
        ("training tracks", "int", attrgetter("train_tracks")),
        ("n", "int", attrgetter("n")),
        ("predicted", "int", attrgetter("n_predicted")),
        ("precision", "share", attrgetter("precision")),
        ("recall", "share", attrgetter("recall")),
        ("95 % of recall", "interval", lambda g: None if g.hits is None else wilson(g.hits, g.n)),
        ("F1", "share", attrgetter("f1")),
        ("AP", "share", attrgetter("average_precision")),
        *several,
        notes=notes,
    )


def _sizes(scores: Sequence[Scores]) -> str:
    """How many splits of how many items."""
    least, most = min(s.n for s in scores), max(s.n for s in scores)
    items = f"{least:,}" + (f" to {most:,}" if least < most else "") + " items"
    return f"{len(scores)} splits of {items}" if len(scores) > 1 else f"1 split of {items}"


def _difference(
    scores: Sequence[Scores], control: Sequence[Scores], ratio: float
) -> tuple[float, float] | None:
    """Mean paired difference of macro-F1, and half the width of its 95 % t interval."""
    if len(scores) != len(control):
        return None
    apart = [a.macro_f1 - b.macro_f1 for a, b in zip(scores, control, strict=True)]
    return mean_of(apart, ratio=ratio, within=range_of("macro_f1", difference=True)).difference


def notes_of(
    scores: Sequence[Scores], names: Collection[str] = _SHOWN, *, intervals: bool = True
) -> tuple[str, ...]:
    """What is the same for many rows, said once.

    Parameters
    ----------
    scores : sequence of Scores
    names : collection of str
        Scores of the table: of those that are undefined it is said why.
    intervals : bool
        Say what the intervals are, where there are any.
    """
    units = dict.fromkeys(_UNITS[s.unit] for s in scores)
    rules = dict.fromkeys(s.tail_rule for s in scores)
    unknown = dict.fromkeys(f"{s.n_unknown:,} ({s.unit})" for s in scores if s.n_unknown)
    reasons: dict[str, dict[str, None]] = {}
    for s in scores:
        for key, reason in s.reasons.items():
            if key in names:
                reasons.setdefault(reason, {})[_NAMED[key]] = None
    notes = [f"Unit. {'; '.join(units)}." if units else ""]
    if len(rules) > 1:  # by split, each by its own training counts
        notes.append(f"{capital(next(iter(rules)))}; in other splits by their own counts.")
    else:
        notes += [f"{capital(rule)}." for rule in rules]
    if unknown:
        notes.append(f"Left out, because the genre is unknown: {', '.join(unknown)}.")
    for reason, told in reasons.items():
        are = "are" if len(told) > 1 else "is"
        notes.append(f"{capital(', '.join(told))} {are} undefined where {reason}.")
    for confidence, rounds, seed in dict.fromkeys(
        (s.confidence, s.rounds, s.seed) for s in scores if s.rounds and intervals
    ):
        notes.append(
            f"{100 * confidence:g} % intervals are percentiles of {rounds:,} resamples of the "
            f"artists (seed {seed}), whose bags move together. They say what other test artists "
            "would change, and nothing of another training or split."
        )
    return tuple(note for note in notes if note)


def files_table(
    manifest: Mapping[str, Any], *, title: str = "Files that were left out or used in part"
) -> Table:
    """Files that were left out of a run or used in part, and why; without rows where there is none.

    Parameters
    ----------
    manifest : mapping
        Of the run: ``failures``, ``partial`` and ``silent`` are lists of objects with a path and a
        reason.
    title : str
    """
    kinds = {"failures": "left out", "partial": "used in part", "silent": "not heard"}
    return Table.of(
        title,
        [(what, row) for kind, what in kinds.items() for row in manifest.get(kind, ())],
        ("file", "text", lambda told: told[1]["path"]),
        ("what became of it", "text", lambda told: told[0]),
        ("why", "text", lambda told: told[1]["reason"]),
    )


def detail_table(rows: Iterable[tuple[str, Scores]], *, title: str = "More metrics") -> Table:
    """One row of the other scores a model: by genre, by guesses, of probabilities."""
    rows = list(rows)
    return Table.of(
        title,
        rows,
        ("model", "text", lambda row: row[0]),
        ("unit", "text", _of("unit")),
        ("n", "int", _of("n")),
        *((HEADINGS[key], "number" if key in _NUMBERS else "share", _of(key)) for key in _DETAIL),
        notes=notes_of([s for _, s in rows], _DETAIL, intervals=False),
    )


def set_table(
    rows: Iterable[tuple[str, Scores]], *, title: str = "Several genres an item"
) -> Table:
    """One row a model of what there is where an item may have several genres.

    Its notes say over how many genres the means are.
    """
    rows = list(rows)
    scores = [s for _, s in rows]
    further = [name for name in (*SETS, "calibration_error") if name not in _OF_SETS]
    defined: dict[str, None] = {}
    for s in scores:
        there = [genre.n for genre in s.genres if genre.n]
        parting = sum(n < s.n for n in there)
        told = f"{len(there)} of {len(s.genres)} genres that an item has ({s.unit})"
        apart = "" if parting == len(there) else f", ROC-AUC over the {parting} that not all have"
        defined[told + apart] = None
    notes = [f"Means over genres are over the {'; '.join(defined)}."] if defined else []
    notes.append(
        "Genres are given from their thresholds on. precision@K and recall@K are of the first K "
        "guesses; ties count against an item."
    )
    return Table.of(
        title,
        rows,
        ("model", "text", lambda row: row[0]),
        ("unit", "text", _of("unit")),
        *score_columns(scores, itemgetter(1), _OF_SETS),
        *((_NAMED[key], "number" if key in _NUMBERS else "share", _of(key)) for key in further),
        notes=(*notes_of(scores, (*_OF_SETS, *further)), *notes),
    )


def size_table(rows: Sequence[tuple[str, Mapping[str, Scores]]]) -> Table:
    """Scores of bags of one size after the other, each of all models.

    Parameters
    ----------
    rows : sequence of (str, dict of str to Scores)
        Name of a model, and what `matt.evaluation.scores.by_size` gave.
    """
    every = [scores for _, sizes in rows for scores in sizes.values()]
    names = dict.fromkeys(size for _, sizes in rows for size in sizes)
    return Table.of(
        "By size of the bag",
        [(size, name, sizes[size]) for size in names for name, sizes in rows if size in sizes],
        ("tracks in the bag", "text", lambda row: row[0]),
        ("model", "text", lambda row: row[1]),
        ("unit", "text", lambda row: row[2].unit),
        *score_columns(every, itemgetter(2)),
        notes=notes_of(every),
    )


def shot_table(rows: Sequence[tuple[str, Sequence[ShotScores]]]) -> Table:
    """Scores of genres with many, some and few training tracks, each of all models.

    Parameters
    ----------
    rows : sequence of (str, sequence of ShotScores)
        Name of a model, and what `matt.evaluation.scores.by_shot` gave.
    """
    ends: ColumnOf[tuple[str, ShotScores]] = (
        "95 % of mean recall",
        "interval",
        lambda row: row[1].intervals.get("recall"),
    )

    means = (
        "Recall and AP are means over the genres of a row that have items; Top@K is the share of "
        "its items whose genre is among the first K guesses of all genres, ties counting against "
        "it. A dash: the row has no item, or K guesses leave no genre out, or an item may have "
        "several genres."
    )
    paper = "The last two are the tails of the paper, counted in training tracks."
    return Table.of(
        "By training tracks of the genre",
        [(name, shots[place]) for place in range(len(SHOTS)) for name, shots in rows],
        ("genres", "text", lambda row: row[1].name.replace("_", " ")),
        ("training tracks", "text", _of("rule")),
        ("model", "text", lambda row: row[0]),
        ("unit", "text", _of("unit")),
        ("number of genres", "int", _of("n_genres")),
        ("n", "int", _of("n")),
        ("mean recall", "share", _of("recall")),
        *[ends] * any(shot.intervals for _, shots in rows for shot in shots),
        *((f"Top@{k}", "share", _of(f"top_{k}")) for k in KS),
        ("macro AP", "share", _of("macro_ap")),
        notes=(means, paper),
    )


def pair_table(scores: Scores, *, most: int = 15) -> Table:
    """Which genre was most often taken for which other.

    Parameters
    ----------
    scores : Scores
    most : int
        Pairs that are shown, those with the most items.
    """
    pairs: list[tuple[GenreScores, GenreScores, int]] = []
    note = "Undefined: an item may have several genres."
    if scores.confusion is not None:
        wrong = scores.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = [
            (scores.genres[g], scores.genres[h], int(wrong[g, h]))
            for g, h in zip(*np.unravel_index(order, wrong.shape), strict=True)
            if wrong[g, h]
        ]
        told = f"{sum(n for *_, n in pairs):,} of {int(wrong.sum()):,} mistakes"
        note = f"{told} among {scores.n:,} items (unit: {scores.unit})."
    return Table.of(
        "Most-confused pairs",
        pairs,
        ("true", "text", lambda pair: pair[0].genre),
        ("taken for", "text", lambda pair: pair[1].genre),
        ("n", "int", lambda pair: pair[2]),
        ("of the true genre", "share", lambda pair: pair[2] / pair[0].n),
        ("training tracks of the true genre", "int", lambda pair: pair[0].train_tracks),
        ("of the other", "int", lambda pair: pair[1].train_tracks),
        notes=(note,),
    )


def calibration_table(predictions: Predictions, *, title: str = "Calibration") -> Table:
    """Forecasts by their confidence: how sure, and how often right.

    Where there are no probabilities the table has no rows and says why.
    """
    items, bins = items_of(predictions), list[tuple[float, ...]]()
    note = f"Undefined: {items.no_probabilities}."
    if not items.no_probabilities:
        found = reliability_of(predictions)
        arrays = (found.edges[:-1], found.edges[1:], found.n, found.confidence, found.share)
        bins = [tuple(row) for row in np.stack(arrays, axis=1)[found.n > 0].tolist()]
        note = (
            f"Calibration error {found.error:.3f}: the mean of the last column without its sign, "
            f"over forecasts (unit: {items.unit}). Bins without a forecast are left out."
        )
    return Table.of(
        title,
        bins,
        ("confidence from", "share", itemgetter(0)),
        ("to", "share", itemgetter(1)),
        ("forecasts", "int", lambda row: int(row[2])),
        ("mean confidence", "share", itemgetter(3)),
        ("share right", "share", itemgetter(4)),
        ("right less confidence", "signed", lambda row: row[4] - row[3]),
        notes=(note,),
    )


MAJORITY = "control: majority class"


def overview(
    made: Mapping[str, Predictions],
    *,
    model: str,
    rounds: int = ROUNDS,
    seed: int = 0,
    bags: Bags | None = None,
    title: str = "Test split",
    briefly: Collection[str] = (),
    costs: NDArray[np.float64] | None = None,
) -> dict[str, Table]:
    """Tables of predictions of the same test tracks.

    Parameters
    ----------
    made : mapping of str to Predictions
        By the name that the tables give each. The first is the model; the others stand beside it.
    model : str
        What the model is called in titles.
    rounds : int
        Resamples of the artists for intervals; 0 for none.
    seed : int
        Of the resamples.
    bags : Bags, optional
        Whose sizes tell items apart; by default those of the first.
    title : str
        Of the table of scores: which tracks these are.
    briefly : collection of str
        Names whose scores are told, and nothing by size or training tracks.
    costs : array, shape (G, G), optional
        Of answers, see `matt.calibration.costs`: there is a table ``costs`` then.

    Returns
    -------
    dict of str to Table
        ``scores`` (with intervals, and a note where one split is too small), ``sets`` where an item
        may have several genres, ``detail``, ``genres``, ``sizes``, ``shots`` and ``calibration``,
        in this order. Names and columns are kept from version to version; further ones may be
        added.
    """
    first = next(iter(made.values()))
    rows = [
        (name, score_with_intervals(predictions, unit=unit, rounds=rounds, seed=seed))
        for name, predictions in (*made.items(), (MAJORITY, majority(first)))
        for unit in (("bag", "track_of_bag") if (predictions.bags.sizes > 1).any() else ("bag",))
    ]
    by_track = next(scores for _, scores in rows if scores.unit != "bag")
    closer = {name: some for name, some in made.items() if name not in briefly}
    shots = [(name, by_shot(some, rounds=rounds, seed=seed)) for name, some in closer.items()]
    sizes = [
        (name, by_size(some, bags=bags or first.bags, rounds=rounds, seed=seed))
        for name, some in closer.items()
    ]
    several = {}
    if first.bags.multi_label:
        several["sets"] = set_table(rows, title=f"{title}: several genres an item")
    return {
        "scores": with_protocol(score_table(rows, title=title), first),
        **several,
        "detail": detail_table(rows, title=f"{title}: more metrics"),
        "genres": genre_table(by_track, title=f"{capital(model)} by genre"),
        "sizes": size_table(sizes),
        "shots": shot_table(shots),
        "calibration": calibration_table(first, title=f"Calibration: {model}"),
        **({} if costs is None else {"costs": cost_table(made, costs)}),
    }


def cost_table(made: Mapping[str, Predictions], costs: NDArray[np.float64]) -> Table:
    """Mean cost of what each decision answers: the likely genre, the balanced one, the cheapest.

    Parameters
    ----------
    made : mapping of str to Predictions
        Of genres that exclude each other.
    costs : array, shape (G, G)
        See `matt.calibration.costs.costs_of`.

    Raises
    ------
    DataError
        If a bag may have several genres, or scores are no probabilities.
    """
    rows: list[tuple[Cell, ...]] = []
    for name, predictions in made.items():
        check_link("sigmoid" if predictions.bags.multi_label else predictions.link)
        for unit in ("bag", "track_of_bag") if (predictions.bags.sizes > 1).any() else ("bag",):
            items = items_of(predictions, unit=unit)
            cheapest = decided(items.values, costs)
            answers = {"likely": items.best, "balanced": items.balanced, DECISION: cheapest}
            for decision, answer in answers.items():
                counts = confusion_matrix(items.truth.argmax(axis=1), answer, len(costs))
                mean = float((counts * costs).sum() / len(items)) if len(items) else None
                said = accuracy(counts), macro_f1(counts)
                rows.append((name, items.unit, decision, len(items), mean, *said))
    names = ("model", "unit", "decision"), ("accuracy", "macro-F1")
    columns = (*map(Column, names[0]), Column("n", "int"), Column("mean cost", "number"))
    shares = (Column(score, "share") for score in names[1])
    note = f"{capital(DECISION)}: the answer of least expected cost under the probabilities."
    return Table("Costs of each decision", (*columns, *shares), tuple(rows), (note,))


def with_protocol(table: Table, predictions: Predictions) -> Table:
    """Return a table with a note where the test split is too small to rank models.

    Nothing is said of tracks that are in no test split.
    """
    tracks = predictions.tracks
    tested = (tracks.split == "test") & tracks.labelled
    note = protocol_for(tracks).note if tested.any() else ""
    return replace(table, notes=(*table.notes, note)) if note else table
