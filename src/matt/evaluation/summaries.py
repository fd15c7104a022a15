"""Tables of scores: of several models, of one model by genre, and over several splits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .metrics import wilson
from .repeats import paired_over_splits
from .scores import Scores
from .tables import Cell, Column, Table

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
) -> Table:
    """Mean and standard deviation of scores over splits or seeds.

    Parameters
    ----------
    rows : dict of str to sequence of Scores
        Scores of each model, one a split, all of one unit.
    title : str
    against : str, optional
        A row with which every other is compared split by split, in macro-F1.

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
        *(Column(heading, "spread") for heading in _HEADINGS.values()),
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
            values = [v for s in scores if not math.isnan(v := getattr(s, key))]
            cell.append(_mean_sd(values))
            if 0 < len(values) < len(scores):
                partial.append(f"{name}: {heading} is of {len(values)} of {len(scores)} splits.")
        if against is not None:
            cell.append(None if name == against else _difference(scores, rows[against]))
        cells.append(tuple(cell))
    notes = [
        f"{size}{'.' if len(sizes) == 1 else ': ' + ', '.join(names) + '.'}"
        for size, names in sizes.items()
    ]
    if against is not None:
        notes.append(
            f"Control: {against}. Differences are paired by split, ± half of the 95 % t interval; "
            "splits share tracks, so the true interval is wider."
        )
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


def _mean_sd(values: Sequence[float]) -> tuple[float, float] | None:
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def _sizes(scores: Sequence[Scores]) -> str:
    """How many splits of how many items."""
    least, most = min(s.n for s in scores), max(s.n for s in scores)
    items = f"{least:,}" + (f" to {most:,}" if least < most else "") + " items"
    return f"{len(scores)} splits of {items}" if len(scores) > 1 else f"1 split of {items}"


def _difference(scores: Sequence[Scores], control: Sequence[Scores]) -> tuple[float, float] | None:
    """Mean paired difference of macro-F1, and half the width of its 95 % t interval."""
    if len(scores) != len(control):
        return None
    pairs = zip(scores, control, strict=True)
    found = paired_over_splits([a.macro_f1 - b.macro_f1 for a, b in pairs])
    return (found.mean, found.half_width) if found.n else None


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
