"""Every table of one run: its models beside their control, from predictions alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..bags import Bags
from ..predictions import Predictions
from .detail import calibration_table, detail_table, shot_table, size_table
from .probability import reliability_of
from .repeats import protocol_for
from .resampling import ROUNDS, bootstrap, score_with_intervals
from .scores import Scores, majority
from .slices import ShotScores, by_shot, by_size
from .summaries import genre_table, score_table
from .tables import Table
from .units import items_of

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
        for unit in ("bag", "spread") if (predictions.bags.sizes > 1).any() else ("bag",):
            rows.append(
                (name, score_with_intervals(predictions, unit=unit, rounds=rounds, seed=seed))
            )
    constant = majority(first)
    rows += [
        (MAJORITY, score_with_intervals(constant, unit=unit, rounds=rounds, seed=seed))
        for unit in (("bag", "spread") if (first.bags.sizes > 1).any() else ("bag",))
    ]
    spread = next(scores for name, scores in rows if scores.unit != "bag")
    sizes = [
        (name, by_size(predictions, bags=bags or first.bags, rounds=rounds, seed=seed))
        for name, predictions in made.items()
    ]
    tables = {
        "scores": score_table(rows, title=title),
        "detail": detail_table(rows, title=f"{title}: more metrics"),
        "genres": genre_table(spread, title=f"{model[:1].upper()}{model[1:]} by genre"),
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
    items = items_of(predictions, unit="spread")
    made = bootstrap(items, rounds=rounds, seed=seed) if rounds and len(items) else None
    return by_shot(items, resampled=made)


def _calibration(predictions: Predictions, model: str) -> Table:
    items = items_of(predictions)
    title, reason = f"Calibration: {model}", items.no_probabilities
    found = None if reason else reliability_of(predictions)
    return calibration_table(found, unit=items.unit, title=title, reason=reason)
