"""Tables that look closer: more metrics, sizes of bags, training tracks, calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .probability import Reliability
from .scores import Scores
from .slices import ShotScores
from .summaries import intervals_of, notes_of, score_cells, score_columns
from .tables import Cell, Column, Table
from .tally import KS, SHOTS

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
        Name of a model, and what `matt.evaluation.slices.by_size` gave.
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
        Name of a model, and what `matt.evaluation.slices.by_shot` gave.
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
