"""Several models on the same test tracks: ranked, and each beside a baseline, paired."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from ..errors import ConfigError, DataError, did_you_mean
from ..predictions import Predictions
from .intervals import ROUNDS, Resampled, bootstrap, sign_flip
from .items import items_of, matched
from .scores import Scores, score_with_intervals
from .summaries import notes_of, score_columns
from .tables import ColumnOf, Table
from .tally import HEADINGS

_SHOWN = ("macro_f1", "accuracy", "tail_recall", "micro_ap")
ON_TEST = (
    "These are scores of test tracks. Who chooses a model by them has used the test up: its score "
    "is then too good, the more so the more models were tried. Choose on validation, with 'matt "
    "compare SOURCE --grid FILE', and look here once."
)


@dataclass(frozen=True, eq=False)
class Standing:
    """One model of a comparison.

    Attributes
    ----------
    rank : int
        By macro-F1; a model without one is last.
    name : str
    scores : Scores
        With intervals, where there were rounds; the tail is that of the baseline's counts.
    difference : Resampled or None
        This model less the baseline, on the same resamples; None for the baseline itself, or
        without rounds.
    p : dict of str to float
        Of `sign_flip`, by the name of the metric.
    """

    rank: int
    name: str
    scores: Scores
    difference: Resampled | None
    p: Mapping[str, float]


def contrast(
    made: Mapping[str, Predictions],
    *,
    baseline: str | None = None,
    unit: str = "track_of_bag",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> tuple[Standing, ...]:
    """Rank models by macro-F1, each with its paired difference to a baseline.

    Parameters
    ----------
    made : mapping of str to Predictions
        By name, of the same test tracks.
    baseline : str, optional
        What the others are compared with; by default the first.
    unit : {"track_of_bag", "bag", "track"}
        See `matt.evaluation.items.matched`.
    rounds, seed : int
        Of bootstrap and sign flips; 0 rounds for neither.

    Raises
    ------
    ConfigError
        If nothing has the name of the baseline.
    DataError
        If two predict other tracks, genres or labels; the message names both.
    """
    against = next(iter(made)) if baseline is None else baseline
    if against not in made:
        raise ConfigError(f"nothing is named {against!r}; {did_you_mean(against, made)}")
    found = []
    for name, predictions in made.items():
        try:
            pair = made[against], predictions  # the tail is that of the first
            base, items = matched(*pair, unit=unit)
            if name == against:  # its own order of genres and tracks
                items = items_of(predictions, unit=unit)
            difference, p = None, dict[str, float]()
            if rounds and name != against:
                row, other = (bootstrap(some, rounds=rounds, seed=seed) for some in (items, base))
                difference = row.less(other)
                p = sign_flip(*pair, unit=unit, rounds=rounds, seed=seed)
        except DataError as error:
            raise DataError(f"{name} and {against} cannot be compared: {error}") from error
        scores = score_with_intervals(items, rounds=rounds, seed=seed)
        found.append(Standing(0, name, scores, difference, p))
    found.sort(key=lambda row: (math.isnan(row.scores.macro_f1), -row.scores.macro_f1))
    return tuple(replace(row, rank=rank) for rank, row in enumerate(found, start=1))


def contrast_table(
    standings: Sequence[Standing], *, remarks: Mapping[str, str] | None = None
) -> Table:
    """One row a model, the best first.

    Parameters
    ----------
    standings : sequence of Standing
    remarks : mapping of str to str, optional
        What is to be said of a model in a column of its own, e.g. that it is partial.
    """
    scores = [row.scores for row in standings]
    told = remarks or {}
    remark: ColumnOf[Standing] = ("remark", "text", lambda row: told.get(row.name, ""))
    return Table.of(
        "Test split, ranked by macro-F1",
        standings,
        ("rank", "int", attrgetter("rank")),
        ("model", "text", attrgetter("name")),
        *score_columns(scores, attrgetter("scores")),
        *[remark] * any(told.values()),
        notes=(ON_TEST, *notes_of(scores)),
    )


def difference_table(standings: Sequence[Standing], *, baseline: str) -> Table:
    """One row a model: the interval of each difference to the baseline, and its p value.

    Parameters
    ----------
    standings : sequence of Standing
    baseline : str
        Name of the one without differences.
    """
    found = [(row, row.difference) for row in standings if row.difference is not None]
    adjusted = holm({row.name: row.p["macro_f1"] for row, _ in found})

    def columns_of(key: str) -> list[ColumnOf[tuple[Standing, Resampled]]]:
        return [
            (HEADINGS[key], "signed interval", lambda row: row[1].interval(key)),
            (f"p of {HEADINGS[key]}", "number", lambda row: row[0].p[key]),
        ]

    intervals = (
        f"Baseline: {baseline}; a difference above 0 is in favour of the row. 95 % intervals of a "
        "paired bootstrap over artists: both models on the same resamples."
    )
    chance = (
        "p: how often a difference is as large where a coin swaps the two models for each artist, "
        "two-sided. Holm: p of macro-F1, corrected for the number of rows."
    )
    return Table.of(
        "Differences to the baseline",
        found,
        ("model", "text", lambda row: row[0].name),
        *columns_of(_SHOWN[0]),
        ("p, Holm", "number", lambda row: adjusted[row[0].name]),
        *(column for key in _SHOWN[1:] for column in columns_of(key)),
        notes=(intervals, chance),
    )


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Correct p values for their number, by Holm's step-down method; NaN stays and does not count.

    References
    ----------
    .. [1] Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Examples
    --------
    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    known = sorted((value, name) for name, value in p.items() if not math.isnan(value))
    found, least = {}, 0.0
    for place, (value, name) in enumerate(known):
        least = max(least, min(1.0, value * (len(known) - place)))
        found[name] = least
    return found | {name: value for name, value in p.items() if math.isnan(value)}
