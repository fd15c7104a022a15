"""How scores fall as bags lose tracks, tracks lose their album or artist, or tags are wrong.

Test bags are damaged, predicted and put back: each track is scored under its own label with the
prediction of the damaged bag that it came to lie in, so that every condition scores equal tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..comparison import FittedRow, Row
from ..errors import DataError
from ..evaluation.intervals import ARTISTS, Repeated
from ..evaluation.plots import along
from ..evaluation.tables import Cell, ColumnOf, Table, capital
from ..evaluation.tally import HEADINGS
from ..predictions import Predictions
from ..tracks import Tracks
from .data import Data
from .measures import Bench, difference, mean
from .plan import AVERAGED, Request, Results, matt, rows_on
from .targets import Made, counted, measured, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = (1, 2, 3, 5, 10)  # tracks that are left of a bag
SHARES = (10, 25, 50, 75, 100)  # per cent of the tracks
WHOLE = "whole"
_COLUMN = "damaged bag"

# Bags of the test split -> their predictions
Predict = Callable[[Bags], Predictions]
MODELS = ("MLP+MIL", matt("MLP+MATT", "dot"), AVERAGED)
METRICS = ("accuracy", "macro_f1")
_KINDS = {
    "cut": ("tracks left of each bag, at most", "{}"),
    "missing": ("tracks without album or artist", "{} %"),
    "wrong": ("tracks with the tags of another", "{} %"),
}


@dataclass(frozen=True)
class Condition:
    """One kind of damage.

    Attributes
    ----------
    kind : {"cut", "missing", "wrong"}
        Bags are cut to so many random tracks; so many per cent of the tracks have no album or
        artist and are alone; so many per cent of the tracks swap their places at random.
    level : int
    """

    kind: str
    level: int

    @property
    def part(self) -> str:
        """Name of its predictions."""
        return f"{self.kind}-{self.level}"


CONDITIONS = (
    *(Condition("cut", size) for size in SIZES),
    *(Condition("missing", share) for share in SHARES),
    *(Condition("wrong", share) for share in SHARES),
)


def degrade(fitted: FittedRow) -> dict[str, Predictions]:
    """Predict the test bags under every condition; see `matt.comparison.Further`.

    Returns
    -------
    dict of str to Predictions
        By `Condition.part`, and `WHOLE` ones.
    """
    test = fitted.bags("test")
    predict: Predict = fitted.predict
    if fitted.row.lone:
        predict = partial(fitted.average, fitted.predict(fitted.bags("test", by="track")))
    made = damaged(predict, fitted.tracks, test, seed=fitted.seed)
    return {WHOLE: predict(test)} | dict(made)


def damaged(
    predict: Predict, tracks: Tracks, test: Bags, *, seed: int
) -> Iterator[tuple[str, Predictions]]:
    """Predictions under every condition, each drawn by the seed.

    Parameters
    ----------
    predict : callable
        Bags of test tracks -> their predictions.
    tracks : Tracks
        With splits.
    test : Bags
        Of the test split, undamaged.
    seed : int

    Yields
    ------
    (str, Predictions)
        `Condition.part`, and predictions of equal tracks.
    """
    for number, condition in enumerate(CONDITIONS):
        rng = np.random.default_rng([seed, number])
        if condition.kind == "cut":
            made = predict(cut(test, condition.level, rng=rng))  # in the order of the whole bags
            there = tracks.take(tracks.rows(test.track_ids))
            yield condition.part, replace(made, bags=test, tracks=there)
        else:
            change = {"missing": without_tags, "wrong": mixed_up}[condition.kind]
            place = change(test, condition.level / 100, rng=rng)
            yield condition.part, predict(regrouped(tracks, test, place))


def cut(bags: Bags, size: int, *, rng: np.random.Generator) -> Bags:
    """Bags of at most so many of their tracks, drawn at random.

    >>> bags = Bags([3, 5, 8, 9], offsets=[0, 3, 4], labels=[0, 1])
    >>> cut(bags, 2, rng=np.random.default_rng(0)).sizes
    array([2, 1])
    """
    if size < 1:
        raise DataError(f"a bag of {size} tracks is none; cut to 1 or more")
    bag = np.repeat(np.arange(len(bags)), bags.sizes)
    order = np.lexsort([rng.random(len(bag)), bag])
    rank = np.arange(len(bag)) - np.repeat(bags.offsets[:-1], bags.sizes)
    kept = np.sort(order[rank < size])  # in the order of the bag
    offsets = np.append(0, np.cumsum(np.minimum(bags.sizes, size)))
    return bags.with_tracks(kept, offsets, bags.labels)


def without_tags(bags: Bags, share: float, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Bag of each track, in bag order, where a share of the tracks has none and is -1."""
    place = np.repeat(np.arange(len(bags)), bags.sizes)
    place[_some(len(place), share, rng)] = -1
    return place


def mixed_up(bags: Bags, share: float, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Bag of each track, in bag order, where a share of the tracks has swapped places at random.

    Bags keep their sizes. A track may come back to its own bag by chance.
    """
    place = np.repeat(np.arange(len(bags)), bags.sizes)
    chosen = _some(len(place), share, rng)
    place[chosen] = place[rng.permutation(chosen)]
    return place


def regrouped(tracks: Tracks, bags: Bags, place: NDArray[np.int64]) -> Bags:
    """Bags of the same test tracks in other places, shape (n,) in bag order; -1 is alone."""
    column = np.full(len(tracks), -1)
    column[tracks.rows(bags.track_ids)] = place
    changed = replace(tracks, columns={**tracks.columns, _COLUMN: column})
    return Bags.from_tracks(changed, by=(_COLUMN,), split="test")


def _some(n: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(n)[: round(share * n)]


@dataclass(frozen=True, eq=False)
class Damaged:
    """One model under every condition.

    Attributes
    ----------
    model : str
    whole : Repeated, or None
        Undamaged bags.
    parts : dict of Condition to Repeated, or None
    """

    model: str
    whole: Repeated | None
    parts: dict[Condition, Repeated | None]


def called(model: str) -> str:
    """Name of the model that also predicts damaged bags."""
    return f"{model} [damaged bags]"


def curves(bench: Bench, models: Sequence[str], *, feature_set: str) -> tuple[Damaged, ...]:
    """Scores of each model under every condition, on equal tracks."""
    made = []
    for model in models:
        name = called(model)
        parts = {
            condition: bench.row(feature_set, name, part=condition.part, like=WHOLE)
            for condition in CONDITIONS
        }
        made.append(Damaged(model, bench.row(feature_set, name, part=WHOLE, like=WHOLE), parts))
    return tuple(made)


def degradation_table(made: Sequence[Damaged], *, notes: Sequence[str] = ()) -> Table:
    """One row a condition and model: scores, and what the damage cost."""
    lines = [
        (condition, curve, curve.whole if condition is None else curve.parts[condition])
        for condition in (None, *CONDITIONS)
        for curve in made
    ]

    def columns_of(metric: str) -> list[ColumnOf[_Line]]:
        heading = HEADINGS[metric]

        def lost(line: _Line) -> Cell:
            condition, curve, row = line
            less = None if condition is None else difference(row, curve.whole)
            return mean(less, metric).effect

        scores = measured(metric, heading, itemgetter(2))
        return [*scores, (f"{heading} less whole bags", "effect", lost)]

    rowed = [curve.whole for curve in made if curve.whole is not None]
    over = "artists" if all(row.method == ARTISTS for row in rowed) else "splits"
    read = (
        "Every condition scores the same test tracks, each under its own label with the prediction "
        "of the bag that it lies in; the damage is drawn anew for each repeat. A cut bag still "
        f"speaks for all its tracks. Intervals: 95 %, over {over}. {capital(AVERAGED)} is the "
        "control."
    )
    chance = "Tracks with the tags of another swap their places at random; bags keep their sizes."
    return Table.of(
        "Damaged bags",
        lines,
        ("damage", "text", lambda line: _named(line[0])),
        ("model", "text", lambda line: line[1].model),
        *counted(itemgetter(2), "repeats", "n"),
        *(column for metric in METRICS for column in columns_of(metric)),
        notes=(read, chance, *notes),
    )


# None of undamaged bags; a model; and its row of results.
_Line = tuple[Condition | None, Damaged, Repeated | None]


def degradation_picture(made: Sequence[Damaged], kind: str) -> Figure:
    """Accuracy of each model under one kind of damage, from whole bags on.

    Parameters
    ----------
    made : sequence of Damaged
    kind : {"cut", "missing", "wrong"}
    """
    label, layout = _KINDS[kind]
    some = [condition for condition in CONDITIONS if condition.kind == kind]
    ticks = [layout.format(condition.level) for condition in some]
    lines = {}
    for curve in made:
        means = [mean(curve.parts[condition], "accuracy") for condition in some]
        whole = mean(curve.whole, "accuracy")
        lines[curve.model] = [*means, whole] if kind == "cut" else [whole, *means]
    ticks = [*ticks, "all"] if kind == "cut" else ["0 %", *ticks]
    return along(lines, ticks, label=label, score="accuracy")


def _named(condition: Condition | None) -> str:
    if condition is None:
        return "none: whole bags"
    label, layout = _KINDS[condition.kind]
    return f"{label}: {layout.format(condition.level)}"


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Bag models and the control, which also predict damaged bags."""
    rows = rows_on(data, request, MODELS)
    return tuple(replace(row, name=called(row.name), further=degrade) for row in rows)


def make(results: Results, bench: Bench, folder: Path) -> Made:
    """The table, and a picture for each kind of damage."""
    feature_set = results.data.fullest
    made = curves(bench, MODELS, feature_set=feature_set)
    table = degradation_table(made, notes=results.data.notes)
    saved = {}
    if any(curve.whole is not None for curve in made):
        for kind in _KINDS:
            saved[f"damage_{kind}"] = folder / f"damage_{kind}.png"
            save_picture(degradation_picture(made, kind), saved[f"damage_{kind}"], results.data)
    title = f"{table.title}, features {feature_set}"
    return Made(tables={"degradation": replace(table, title=title)}, pictures=saved)
