"""What a training comes to, in a few lines that a person with a library understands.

They count albums where tables have scores, of the same predictions: what is right, what saying the
same of every album would get, how sure to be, which genres are found and which are not, and whether
something simpler does as well. The tables say the same, and more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..comparison import BAG_MODEL, STRONG
from ..evaluation.intervals import ROUNDS, paired_bootstrap
from ..evaluation.items import Items, items_of
from ..evaluation.scores import majority, score_with_intervals
from ..evaluation.style import cut
from ..evaluation.tables import capital, percent
from ..library.status import SURE
from ..models.blend import CALLED
from ..predictions import Predictions
from ..tracks import Tracks

LEARNABLE = 10  # albums below which nobody can expect a genre to be learned
_NAMED = 3  # genres that are named in a line
_SIMPLE = {"control": "a plain network", **{key: CALLED[name] for key, name in STRONG.items()}}
_UNITS = {"album": "album", "track": "track"}


@dataclass(frozen=True)
class RunLines:
    """What is told of a training.

    Attributes
    ----------
    told : tuple of str
    weak : bool
        Whether saying the same of every album would have got as many right.
    """

    told: tuple[str, ...]
    weak: bool


def lines_of(
    made: Mapping[str, Predictions],
    tracks: Tracks,
    *,
    by: str = "album",
    model: str = BAG_MODEL,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> RunLines | None:
    """Tell what a training came to, or None where albums have several genres or none to score.

    Parameters
    ----------
    made : mapping of str to Predictions
        Of the test split, under the names that `matt.experiment.run` saves.
    tracks : Tracks
        With splits: how many albums a genre was learned from.
    by : str
        What was classified together.
    model : str
        What the tables call the model, see `matt.reports.subjects.model_name`.
    rounds, seed : int
        Of the intervals, as in the tables.
    """
    first = made["test"]
    if first.bags.multi_label or not first.bags.known.any():
        return None
    items, unit = items_of(first), _UNITS.get(by, "group")
    right, always = _right(first), _right(majority(first))
    told = [_scored(items, right, always, unit), _sure(first, unit, rounds=rounds, seed=seed)]
    learned = Bags.from_tracks(tracks, by=by, split="training").labelled()
    told.append(_found(items, np.bincount(learned.labels, minlength=len(items.genres)), unit))
    simple = {key: made[key] for key in _SIMPLE if key in made and model == BAG_MODEL}
    if simple:
        told.append(_compared(first, simple, rounds=rounds, seed=seed))
    return RunLines(tuple(told), weak=right <= always)


def _right(predictions: Predictions) -> int:
    items = items_of(predictions)
    return int((items.best == items.labels).sum())


def _scored(items: Items, right: int, always: int, unit: str) -> str:
    said = _name(items.genres[int(items.train_counts.argmax())])
    as_many = " as many" if always == right else " more" if always > right else ""
    return (
        f"{right:,} of {_counted(len(items), unit)} by artists it had not heard "
        f"{'was' if right == 1 else 'were'} right; always saying {said} would get "
        f"{always:,}{as_many and ','}{as_many}."
    )


def _sure(predictions: Predictions, unit: str, *, rounds: int, seed: int) -> str:
    """What chance may do, and how often what is said surely is right."""
    scores, items = (
        score_with_intervals(predictions, rounds=rounds, seed=seed),
        items_of(predictions),
    )
    low, high = scores.intervals.get("accuracy", (np.nan, np.nan))
    told = []
    if np.isnan(low):
        told.append("they are by one artist, which says nothing of others")
    elif low < high:
        ends = f"{round(low * scores.n):,} to {round(high * scores.n):,}"
        told.append(f"with other artists it might be {ends} of {scores.n:,}")
    if items.probabilities is not None:
        sure = items.probabilities.max(axis=1) >= SURE
        right = int((sure & (items.best == items.labels)).sum())
        many = _counted(int(sure.sum()), unit)
        told.append(
            f"of the {many} it is sure of ({percent(SURE)} or more), {right:,} "
            f"{'is' if right == 1 else 'are'} right"
            if sure.any()
            else f"it is sure ({percent(SURE)} or more) of no {unit}"
        )
    return f"{capital('; '.join(told))}."


def _found(items: Items, learned: NDArray[np.int64], unit: str) -> str:
    """Which genres are found best, which never, and which nobody could try."""
    labels, n_genres = items.labels, len(items.genres)
    n = items.truth.sum(axis=0)
    hits = np.bincount(labels[items.best == labels], minlength=n_genres)  # type: ignore[index]
    order = sorted(range(n_genres), key=lambda g: (-hits[g] / max(n[g], 1), -n[g]))
    told = []
    if hits.any():
        best = [f"{_name(items.genres[g])} ({hits[g]} of {n[g]})" for g in order if hits[g]]
        told.append(f"Found best: {_listed(best)}")
    missed = [g for g in np.argsort(learned, kind="stable").tolist() if n[g] and not hits[g]]
    if missed:
        first, *others = missed
        names = [f"{_name(items.genres[first])} (from {_counted(int(learned[first]), unit)})"]
        names += [f"{_name(items.genres[g])} ({learned[g]:,})" for g in others]
        few = ", which are too few" if learned[missed].max() < LEARNABLE else ""
        told.append(f"never found: {_listed(names)}{few}")
    untried = [_name(items.genres[g]) for g in range(n_genres) if learned[g] and not n[g]]
    if untried:
        told.append(f"not tried, for want of {unit}s to test: {_listed(untried)}")
    return f"{capital('; '.join(told))}."


def _compared(
    first: Predictions, simple: Mapping[str, Predictions], *, rounds: int, seed: int
) -> str:
    """Whether the best of some simple models does as well."""
    got = {key: _right(some) for key, some in simple.items()}
    key = max(got, key=lambda name: got[name])
    who = f"{_SIMPLE[key]}, track by track"
    if got[key] >= _right(first):
        return f"A simple model does as well: {who}, got {got[key]:,}."
    less = paired_bootstrap(first, simple[key], unit="bag", rounds=rounds, seed=seed)
    low, _ = less.interval("accuracy") if rounds else (np.nan, np.nan)
    doubt = "" if low > 0 else "; that is too close to call this one better"
    return f"The best simple model, {who}, got {got[key]:,}{doubt}."


def _counted(n: int, unit: str) -> str:
    return f"{n:,} {unit}{'s' * (n != 1)}"


def _name(genre: str) -> str:
    return cut(genre, most=30)


def _listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    if more > 0:
        return f"{', '.join(names[:_NAMED])} and {more:,} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
