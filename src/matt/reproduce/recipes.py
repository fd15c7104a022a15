"""Ways to train, on real tracks over repeated artist-disjoint splits, beside what was found before.

Every row has one hidden layer of 128 units, AdamW with a rate and decay of 1e-3, at most 200
epochs, and its best epoch chosen by the macro-F1 of validation in the unit that is scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..comparison import Row, bag_model, track_model
from ..evaluation.intervals import VERDICTS, WIDENED, MeanScore, Repeated, verdict_of
from ..evaluation.tables import Cell, Table, capital
from ..predictions import Predictions
from ..recipes import PLAIN
from .data import MFCC, SMALL, Data
from .measures import ALONE, TEST, Bench, difference, mean
from .plan import Request, Results
from .targets import Made, notes_of, runs_of

TAIL_RATIO = 50.0
SPLITS = {SMALL: 10, MFCC: 5}
"""Artist-disjoint splits that were used."""
_PLAIN = PLAIN.training
_ADJUSTED = replace(_PLAIN, logit_adjustment=1.0)
_SUB_BAGS = replace(_ADJUSTED, sub_bags=True)
_SEGMENTS = replace(_SUB_BAGS, segment_loss=0.5)
_MEAN = PLAIN.model
_DOT, _SHARED = replace(_MEAN, pooling="dot"), replace(_MEAN, pooling="shared")
_TRUE = replace(_DOT, query="true", scale="fixed")

CONTROL, ADJUSTED = "control: MLP per track, averaged over the bag", "the control + LA"
LONE = "MLP per track"
_TRUE_QUERY = "MATT, dot, true query"
_MIL = "+MIL (mean)"

SMALL_ROWS: tuple[Row, ...] = (
    bag_model(_TRUE_QUERY, _TRUE, _PLAIN),
    bag_model(_MIL, _MEAN, _PLAIN),
    track_model(LONE, _MEAN, _PLAIN, average=False),
    track_model(CONTROL, _MEAN, _PLAIN, average=True),
    track_model(ADJUSTED, _MEAN, _ADJUSTED, average=True),
    bag_model("mean + LA + random sub-bags + per-segment loss", _MEAN, _SEGMENTS),
    bag_model("shared attention from the mean + the same", _SHARED, _SEGMENTS),
)
MFCC_ROWS: tuple[Row, ...] = (
    track_model(LONE, _MEAN, _PLAIN, average=False),
    track_model(CONTROL, _MEAN, _PLAIN, average=True),
    bag_model(_MIL, _MEAN, _PLAIN),
    bag_model(_TRUE_QUERY, _TRUE, _PLAIN),
    track_model(ADJUSTED, _MEAN, _ADJUSTED, average=True),
    bag_model("MATT, dot, all queries + LA", _DOT, _ADJUSTED),
    bag_model("mean + LA + random sub-bags", _MEAN, _SUB_BAGS),
    bag_model("shared attention + LA + random sub-bags", _SHARED, _SUB_BAGS),
)


@dataclass(frozen=True)
class Earlier:
    """What was found before, by row.

    Attributes
    ----------
    accuracy, macro_f1 : (float, float)
        Mean over splits, and standard deviation; NaN where it was not told.
    difference : (float, float), or None
        Of macro-F1, and half the width of its 95 % interval.
    more : float
        Mean recall of the three rarest genres, or of the tail.
    """

    accuracy: tuple[float, float]
    macro_f1: tuple[float, float]
    difference: tuple[float, float] | None = None
    more: float | None = None


def _balanced(accuracy: float, f1: float, difference: float, half: float) -> Earlier:
    return Earlier((accuracy, math.nan), (f1, math.nan), difference=(difference, half))


def _tailed(accuracy: float, f1: float, few: float, difference: float, half: float) -> Earlier:
    return replace(_balanced(accuracy, f1, difference, half), more=few)


def _mfcc(accuracy: float, sd: float, f1: float, f1_sd: float, tail: float) -> Earlier:
    return Earlier((accuracy, sd), (f1, f1_sd), more=tail)


def _by_row(rows: Sequence[Row], *found: Earlier) -> dict[str, Earlier]:
    return {row.name: each for row, each in zip(rows, found, strict=True)}


BALANCED = _by_row(
    SMALL_ROWS,
    _balanced(0.469, 0.451, -0.049, 0.023),
    _balanced(0.492, 0.479, -0.021, 0.014),
    _balanced(0.443, 0.433, -0.067, 0.014),
    _balanced(0.514, 0.500, 0.0, 0.0),
    _balanced(0.523, 0.504, 0.004, 0.017),
    _balanced(0.529, 0.518, 0.018, 0.013),
    _balanced(0.524, 0.510, 0.010, 0.014),
)
LONG_TAIL = _by_row(
    SMALL_ROWS,
    _tailed(0.326, 0.243, 0.039, -0.166, 0.037),
    _tailed(0.335, 0.251, 0.039, -0.158, 0.034),
    _tailed(0.315, 0.244, 0.037, -0.164, 0.026),
    _tailed(0.322, 0.234, 0.024, -0.175, 0.034),
    _tailed(0.444, 0.409, 0.289, 0.0, 0.0),
    _tailed(0.455, 0.431, 0.329, 0.023, 0.019),
    _tailed(0.448, 0.422, 0.316, 0.013, 0.014),
)
TWO_GENRES = _by_row(
    MFCC_ROWS,
    _mfcc(0.639, 0.04, 0.610, 0.04, 0.41),
    _mfcc(0.610, 0.05, 0.557, 0.08, 0.34),
    _mfcc(0.574, 0.07, 0.463, 0.10, 0.14),
    _mfcc(0.586, 0.06, 0.469, 0.09, 0.14),
    _mfcc(0.814, 0.04, 0.811, 0.04, 0.97),
    _mfcc(0.848, 0.06, 0.847, 0.06, 0.95),
    _mfcc(0.890, 0.03, 0.889, 0.03, 0.95),
    _mfcc(0.890, 0.03, 0.889, 0.03, 0.95),
)


def impossible(data: Data) -> str:
    """Why these rows are not for some data."""
    if data.key in SPLITS:
        return ""
    return f"these rows are of {SMALL} and {MFCC}, over repeated splits"


def rows_of(data: Data) -> tuple[Row, ...]:
    """The rows of the table of some data."""
    return MFCC_ROWS if data.key == MFCC else SMALL_ROWS


def found_of(data: Data) -> dict[str, Earlier]:
    """What was found before on some data, by row; nothing for another tail."""
    if data.key == MFCC:
        return TWO_GENRES
    return {1.0: BALANCED, TAIL_RATIO: LONG_TAIL}.get(data.imbalance, {})


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Every row on the only feature set."""
    rows = []
    for row in rows_of(data):
        if request.epochs is not None:
            row = replace(row, training=replace(row.training, epochs=request.epochs))
        rows.append(replace(row, bags=data.bags, features=data.fullest))
    return tuple(rows)


def make(results: Results, bench: Bench, folder: Path) -> Made:
    """Means over splits, paired differences to the control, and what was found before."""
    data = results.data
    (name,) = data.feature_sets
    against = ADJUSTED if data.imbalance > 1 or data.key == MFCC else CONTROL
    before = found_of(data)
    by_row = {row.name: _found(bench, name, row) for row in rows_of(data)}
    notes = (
        *notes_of(results, [(name, row.name) for row in rows_of(data)]),
        "Unit: a bag over its tracks, each under its own label; of the row without bags, a track.",
        "LA: the loss adds the log prior, as counted in the unit that is trained on.",
        f"Differences are to: {against}; ± half the 95 % t interval over splits, {WIDENED}.",
        "few: mean recall of the three genres with the fewest training tracks."
        if data.key == SMALL
        else "tail recall: of Hip-Hop.",
        *_verdict_notes(data),
    )

    def value(metric: str) -> Callable[[str], Cell]:
        return lambda row: mean(by_row[row], metric).mean_and_sd

    def paired(row: str) -> MeanScore:
        return mean(difference(by_row[row], by_row[against]), "macro_f1")

    def earlier(name: str) -> Callable[[str], Cell]:
        return lambda row: getattr(before.get(row), name, None)

    def other(cell: Callable[[str], Cell]) -> Callable[[str], Cell]:
        return lambda row: None if row == against else cell(row)

    def verdict(row: str) -> str:
        if row not in before:
            return ""
        f1, same = mean(by_row[row], "macro_f1"), row == against
        return _verdict(data, bench, before[row], f1, paired(row), same=same)

    few = "few" if data.key == SMALL else "tail recall"
    table = Table.of(
        f"Recipes on {data.name}",
        by_row,
        ("training", "text", str),
        ("control", "flag", lambda row: row in (CONTROL, ADJUSTED)),
        ("accuracy", "mean and sd", value("accuracy")),
        ("macro-F1", "mean and sd", value("macro_f1")),
        ("average precision", "mean and sd", value("micro_ap")),
        (few, "mean and sd", value("tail_recall")),
        ("difference of macro-F1", "difference", other(lambda row: paired(row).difference)),
        ("splits", "text", lambda row: runs_of(results, name, row)),
        ("before: accuracy", "mean and sd", earlier("accuracy")),
        ("before: macro-F1", "mean and sd", earlier("macro_f1")),
        (f"before: {few}", "share", earlier("more")),
        ("before: difference", "difference", other(earlier("difference"))),
        ("verdict", "text", verdict),
        notes=notes,
    )
    return Made(tables={"recipes": table})


def _rarest(predictions: Predictions) -> tuple[str, ...]:
    """Genres with the fewest training tracks: three, or the rarer of two."""
    counts = predictions.train_counts
    few = np.argsort(counts, kind="stable")[: 3 if len(counts) > 2 else 1]
    return tuple(predictions.genres[g] for g in few)


def _found(bench: Bench, feature_set: str, row: Row) -> Repeated | None:
    part = ALONE if row.lone and not row.average else TEST
    return bench.row(feature_set, row.name, part=part, tail=_rarest)


def _verdict(
    data: Data, bench: Bench, found: Earlier, f1: MeanScore, paired: MeanScore, *, same: bool
) -> str:
    """Say whether what was found before is found again, by both intervals, widened alike."""
    if f1.n < 2:
        return "too few splits"
    n = SPLITS[data.key]
    wider = math.sqrt(1 + n * bench.ratio)  # than a t interval of independent splits
    if found.difference is not None and not same:
        apart, before = paired.value - found.difference[0], wider * found.difference[1]
        mine = paired.half_width
    else:
        (earlier, sd), mine = found.macro_f1, f1.half_width
        apart, before = f1.value - earlier, mine
        if not math.isnan(sd):
            from scipy.stats import t

            before = wider * float(t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    if math.isnan(apart):
        return ""
    most = math.hypot(mine, before)
    return f"{verdict_of(MeanScore(apart, apart - most, apart + most))}: {apart:+.3f} ± {most:.3f}"


def _verdict_notes(data: Data) -> tuple[str, ...]:
    if not found_of(data):
        return (f"Nothing was found before on a tail of 1 to {data.imbalance:g}.",)
    n = SPLITS[data.key]
    before = (
        f"before: an earlier implementation on {n} splits of its own; splits, weights and batches "
        "are drawn otherwise here. Its interval is a plain t interval."
    )
    verdict = (
        "verdict: now less before, of the difference to the control where it was given, else of "
        "macro-F1; ± the root of the sum of squares of half both 95 % intervals, widened alike. "
        f"{capital(VERDICTS)}"
    )
    return before, verdict
