"""Tables of scores, from predictions alone: all of one run, its models beside their control.

Scores of several models, by genre and over splits first; then what looks closer: more metrics,
sizes of bags, training tracks, calibration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..bags import Bags
from ..predictions import Predictions
from .intervals import ROUNDS, bootstrap, mean_of, paired_note, protocol_for, wilson
from .items import items_of
from .metrics import Reliability, range_of
from .scores import (
    Scores,
    ShotScores,
    by_shot,
    by_size,
    majority,
    reliability_of,
    score_with_intervals,
)
from .tables import Cell, Column, Table
from .tally import KS, SHOTS

# Column heading of each score, in the order of the tables.
_HEADINGS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "tail_recall": "tail recall",
    "micro_ap": "micro AP",
}
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
    shown = intervals_of(scores)
    columns = [Column("model"), Column("unit"), Column("n", "int")]
    columns += score_columns(shown)
    columns.append(Column("n tail", "int"))
    cells: list[tuple[Cell, ...]] = [
        (name, s.unit, s.n, *score_cells(s, shown), s.n_tail) for name, s in rows
    ]
    return Table(title, tuple(columns), tuple(cells), notes_of(scores))


def intervals_of(scores: Sequence[Scores]) -> str:
    """Heading of the columns of intervals, e.g. ``"95 % of "``; nothing where no row has them."""
    told = {f"{100 * s.confidence:g} % of " for s in scores if s.rounds}
    return min(told, default="")


def score_columns(shown: str) -> list[Column]:
    """Columns of the four scores of every table, with their intervals under such a heading."""
    columns = []
    for heading in _HEADINGS.values():
        columns.append(Column(heading, "share"))
        if shown:
            columns.append(Column(f"{shown}{heading}", "interval"))
    return [*columns, Column("artists", "int")] if shown else columns


def score_cells(scores: Scores, shown: str) -> list[Cell]:
    """Cells of `score_columns`."""
    cells: list[Cell] = []
    for key in _HEADINGS:
        cells.append(getattr(scores, key))
        if shown:
            cells.append(scores.intervals.get(key))
    return [*cells, scores.n_artists] if shown else cells


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
    columns = [
        Column("model"),
        Column("unit"),
        *(Column(heading, "mean and sd") for heading in _HEADINGS.values()),
    ]
    if against is not None:
        columns.append(Column("macro-F1 less control", "difference"))
    cells: list[tuple[Cell, ...]] = []
    sizes: dict[str, list[str]] = {}
    partial: list[str] = []
    for name, scores in rows.items():
        sizes.setdefault(_sizes(scores), []).append(name)
        cell: list[Cell] = [name, " / ".join(dict.fromkeys(s.unit for s in scores))]
        for key, heading in _HEADINGS.items():
            found = mean_of([getattr(s, key) for s in scores])
            cell.append(found.mean_and_sd)
            if 0 < found.n < len(scores):
                partial.append(f"{name}: {heading} is of {found.n} of {len(scores)} splits.")
        if against is not None:
            cell.append(None if name == against else _difference(scores, rows[against], ratio))
        cells.append(tuple(cell))
    notes = [
        f"{size}{'.' if len(sizes) == 1 else ': ' + ', '.join(names) + '.'}"
        for size, names in sizes.items()
    ]
    if against is not None:
        notes.append(f"Control: {against}. {paired_note(ratio)}")
    every = [s for scores in rows.values() for s in scores]
    return Table(title, tuple(columns), tuple(cells), (*notes, *notes_of(every), *partial))


def genre_table(scores: Scores, *, title: str = "By genre") -> Table:
    """Scores of each genre, from the most to the fewest training tracks.

    Returns
    -------
    Table
        Recall with its 95 % Wilson interval; the tail is marked.
    """
    columns = (
        Column("genre"),
        Column("tail", "flag"),
        Column("training tracks", "int"),
        Column("n", "int"),
        Column("predicted", "int"),
        Column("precision", "share"),
        Column("recall", "share"),
        Column("95 % of recall", "interval"),
        Column("F1", "share"),
        Column("AP", "share"),
    )
    cells: list[tuple[Cell, ...]] = []
    for g in sorted(scores.genres, key=lambda genre: -genre.train_tracks):
        interval = None if g.hits is None else wilson(g.hits, g.n)
        shares = (g.precision, g.recall, interval, g.f1, g.average_precision)
        cells.append((g.genre, g.tail, g.train_tracks, g.n, g.n_predicted, *shares))
    notes = [*notes_of([scores], intervals=False)]
    if scores.unit == "bag over tracks" and scores.confusion is not None:
        notes.append(
            "The intervals take tracks for independent. Those of one bag are not, so the true "
            "intervals are wider."
        )
    return Table(
        f"{title} ({scores.n:,} items, unit: {scores.unit})", columns, tuple(cells), tuple(notes)
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
    scores: Sequence[Scores], headings: Mapping[str, str] = _HEADINGS, *, intervals: bool = True
) -> tuple[str, ...]:
    """What is the same for many rows, said once.

    Parameters
    ----------
    scores : sequence of Scores
    headings : mapping of str to str
        What the columns call the scores, for those that are undefined.
    intervals : bool
        Say what the intervals are, where there are any.
    """
    units = dict.fromkeys(_UNITS[s.unit] for s in scores)
    rules = dict.fromkeys(s.tail_rule for s in scores)
    unknown = dict.fromkeys(f"{s.n_unknown:,} ({s.unit})" for s in scores if s.n_unknown)
    reasons: dict[str, dict[str, None]] = {}
    for s in scores:
        for key, reason in s.reasons.items():
            if key in headings:
                reasons.setdefault(reason, {})[headings[key]] = None
    notes = [f"Unit. {'; '.join(units)}." if units else ""]
    if len(rules) > 1:  # by split, each by its own training counts
        notes.append(f"{_upper(next(iter(rules)))}; in other splits by their own counts.")
    else:
        notes += [f"{_upper(rule)}." for rule in rules]
    if unknown:
        notes.append(f"Left out, because the genre is unknown: {', '.join(unknown)}.")
    for reason, names in reasons.items():
        are = "are" if len(names) > 1 else "is"
        notes.append(f"{_upper(', '.join(names))} {are} undefined where {reason}.")
    for confidence, rounds, seed in dict.fromkeys(
        (s.confidence, s.rounds, s.seed) for s in scores if s.rounds and intervals
    ):
        notes.append(
            f"{100 * confidence:g} % intervals are percentiles of {rounds:,} resamples of the "
            f"artists (seed {seed}), whose bags move together. They say what other test artists "
            "would change, and nothing of another training or split."
        )
    return tuple(note for note in notes if note)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def files_table(manifest: Mapping[str, Any]) -> Table:
    """Files that were left out of a run or used in part, and why; without rows where there is none.

    Parameters
    ----------
    manifest : mapping
        Of the run: ``failures`` and ``partial`` are lists of objects with a path and a reason.
    """
    kinds = {"failures": "left out", "partial": "used in part"}
    told = [
        (row["path"], what, row["reason"])
        for kind, what in kinds.items()
        for row in manifest.get(kind, ())
    ]
    columns = (Column("file"), Column("what became of it"), Column("why"))
    return Table("Files that were left out or used in part", columns, tuple(told))


_GUESSES = tuple(f"top_{k}" for k in KS)
_SHARES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_ap": "macro AP",
    **{name: f"Top@{k}" for name, k in zip(_GUESSES, KS, strict=True)},
    **{f"tail_{name}": f"tail Top@{k}" for name, k in zip(_GUESSES, KS, strict=True)},
}
_LOSSES = {
    "log_loss": ("log loss", "number"),
    "brier": ("Brier", "number"),
    "calibration_error": ("calibration error", "share"),
}


def detail_table(rows: Iterable[tuple[str, Scores]], *, title: str = "More metrics") -> Table:
    """One row of the other scores a model: by genre, by guesses, of probabilities."""
    rows = list(rows)
    columns = (
        Column("model"),
        Column("unit"),
        Column("n", "int"),
        *(Column(heading, "share") for heading in _SHARES.values()),
        *(Column(heading, kind) for heading, kind in _LOSSES.values()),
    )
    cells = [
        (name, s.unit, s.n, *(getattr(s, key) for key in (*_SHARES, *_LOSSES))) for name, s in rows
    ]
    headings = {**_SHARES, **{key: heading for key, (heading, _) in _LOSSES.items()}}
    return Table(
        title, columns, tuple(cells), notes_of([s for _, s in rows], headings, intervals=False)
    )


def size_table(
    rows: Sequence[tuple[str, Mapping[str, Scores]]], *, title: str = "By size of the bag"
) -> Table:
    """Scores of bags of one size after the other, each of all models.

    Parameters
    ----------
    rows : sequence of (str, dict of str to Scores)
        Name of a model, and what `matt.evaluation.scores.by_size` gave.
    title : str
    """
    every = [scores for _, sizes in rows for scores in sizes.values()]
    shown = intervals_of(every)
    columns = [Column("tracks in the bag"), Column("model"), Column("unit"), Column("n", "int")]
    columns += score_columns(shown)
    names = dict.fromkeys(size for _, sizes in rows for size in sizes)
    cells: list[tuple[Cell, ...]] = [
        (size, name, sizes[size].unit, sizes[size].n, *score_cells(sizes[size], shown))
        for size in names
        for name, sizes in rows
        if size in sizes
    ]
    return Table(title, tuple(columns), tuple(cells), notes_of(every))


def shot_table(
    rows: Sequence[tuple[str, Sequence[ShotScores]]],
    *,
    title: str = "By training tracks of the genre",
    confidence: float = 0.95,
) -> Table:
    """Scores of genres with many, some and few training tracks, each of all models.

    Parameters
    ----------
    rows : sequence of (str, sequence of ShotScores)
        Name of a model, and what `matt.evaluation.scores.by_shot` gave.
    title : str
    confidence : float
        Of the intervals, where there are any.
    """
    with_ends = any(shot.intervals for _, shots in rows for shot in shots)
    columns = [
        Column("genres"),
        Column("training tracks"),
        Column("model"),
        Column("unit"),
        Column("number of genres", "int"),
        Column("n", "int"),
        Column("mean recall", "share"),
    ]
    if with_ends:
        columns.append(Column(f"{100 * confidence:g} % of mean recall", "interval"))
    columns += [Column(f"Top@{k}", "share") for k in KS]
    columns.append(Column("macro AP", "share"))
    cells: list[tuple[Cell, ...]] = []
    for place, group in enumerate(SHOTS):
        for name, shots in rows:
            shot = shots[place]
            ends: list[Cell] = [shot.intervals.get("recall")] if with_ends else []
            cells.append(
                (
                    group.replace("_", " "),
                    shot.rule,
                    name,
                    shot.unit,
                    shot.n_genres,
                    shot.n,
                    shot.recall,
                    *ends,
                    *(getattr(shot, key) for key in _GUESSES),
                    shot.macro_ap,
                )
            )
    means = (
        "Recall and AP are means over the genres of a row that have items; Top@K is the share of "
        "its items whose genre is among the first K guesses of all genres, ties counting against "
        "it. A dash: the row has no item, or K guesses leave no genre out, or an item may have "
        "several genres."
    )
    paper = "The last two are the tails of the paper, counted in training tracks."
    return Table(title, tuple(columns), tuple(cells), (means, paper))


def pair_table(scores: Scores, *, title: str = "Most-confused pairs", most: int = 15) -> Table:
    """Which genre was most often taken for which other.

    Parameters
    ----------
    scores : Scores
    title : str
    most : int
        Pairs that are shown, those with the most items.
    """
    columns = (
        Column("true"),
        Column("taken for"),
        Column("n", "int"),
        Column("of the true genre", "share"),
        Column("training tracks of the true genre", "int"),
        Column("of the other", "int"),
    )
    if scores.confusion is None:
        return Table(title, columns, (), ("Undefined: an item may have several genres.",))
    wrong = scores.confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = [
        (
            scores.genres[g].genre,
            scores.genres[h].genre,
            int(wrong[g, h]),
            float(wrong[g, h] / scores.genres[g].n),
            scores.genres[g].train_tracks,
            scores.genres[h].train_tracks,
        )
        for g, h in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[g, h]
    ]
    n = int(wrong.sum())
    shown = sum(row[2] for row in cells)
    note = f"{shown:,} of {n:,} mistakes among {scores.n:,} items (unit: {scores.unit})."
    return Table(title, columns, tuple(cells), (note,))


def calibration_table(
    reliability: Reliability | None, *, unit: str, title: str = "Calibration", reason: str = ""
) -> Table:
    """Forecasts by their confidence: how sure, and how often right.

    Parameters
    ----------
    reliability : Reliability, or None
        None where there are no probabilities; the table then has no rows and says why.
    unit : str
        What an item is.
    title : str
    reason : str
        Why there are no probabilities.
    """
    columns = (
        Column("confidence from", "share"),
        Column("to", "share"),
        Column("forecasts", "int"),
        Column("mean confidence", "share"),
        Column("share right", "share"),
        Column("right less confidence", "signed"),
    )
    if reliability is None:
        return Table(title, columns, (), (f"Undefined: {reason}.",))
    edges = reliability.edges
    cells = [
        (
            float(edges[i]),
            float(edges[i + 1]),
            int(n),
            float(reliability.confidence[i]),
            float(reliability.share[i]),
            float(reliability.share[i] - reliability.confidence[i]),
        )
        for i, n in enumerate(reliability.n)
        if n
    ]
    note = (
        f"Calibration error {reliability.error:.3f}: the mean of the last column without its sign, "
        f"over forecasts (unit: {unit}). Bins without a forecast are left out."
    )
    return Table(title, columns, tuple(cells), (note,))


MAJORITY = "control: majority class"


def overview(
    made: Mapping[str, Predictions],
    *,
    model: str,
    rounds: int = ROUNDS,
    seed: int = 0,
    bags: Bags | None = None,
    title: str = "Test split",
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

    Returns
    -------
    dict of str to Table
        ``scores`` (with intervals, and a note where one split is too small), ``detail``,
        ``genres``, ``sizes``, ``shots`` and ``calibration``, in this order. Names and columns are
        kept from version to version; further ones may be added.
    """
    first = next(iter(made.values()))
    rows: list[tuple[str, Scores]] = []
    for name, predictions in made.items():
        for unit in ("bag", "track_of_bag") if (predictions.bags.sizes > 1).any() else ("bag",):
            rows.append(
                (name, score_with_intervals(predictions, unit=unit, rounds=rounds, seed=seed))
            )
    constant = majority(first)
    rows += [
        (MAJORITY, score_with_intervals(constant, unit=unit, rounds=rounds, seed=seed))
        for unit in (("bag", "track_of_bag") if (first.bags.sizes > 1).any() else ("bag",))
    ]
    by_track = next(scores for name, scores in rows if scores.unit != "bag")
    sizes = [
        (name, by_size(predictions, bags=bags or first.bags, rounds=rounds, seed=seed))
        for name, predictions in made.items()
    ]
    tables = {
        "scores": score_table(rows, title=title),
        "detail": detail_table(rows, title=f"{title}: more metrics"),
        "genres": genre_table(by_track, title=f"{model[:1].upper()}{model[1:]} by genre"),
        "sizes": size_table(sizes),
        "shots": shot_table([(name, _shots(p, rounds, seed)) for name, p in made.items()]),
        "calibration": _calibration(first, model),
    }
    tables["scores"] = with_protocol(tables["scores"], first)
    return tables


def with_protocol(table: Table, predictions: Predictions) -> Table:
    """Return a table with a note where the test split is too small to rank models.

    Nothing is said of tracks that are in no test split.
    """
    tracks = predictions.tracks
    tested = (tracks.split == "test") & tracks.labelled
    note = protocol_for(tracks).note if tested.any() else ""
    return replace(table, notes=(*table.notes, note)) if note else table


def _shots(predictions: Predictions, rounds: int, seed: int) -> tuple[ShotScores, ...]:
    items = items_of(predictions, unit="track_of_bag")
    made = bootstrap(items, rounds=rounds, seed=seed) if rounds and len(items) else None
    return by_shot(items, resampled=made)


def _calibration(predictions: Predictions, model: str) -> Table:
    items = items_of(predictions)
    title, reason = f"Calibration: {model}", items.no_probabilities
    found = None if reason else reliability_of(predictions)
    return calibration_table(found, unit=items.unit, title=title, reason=reason)
