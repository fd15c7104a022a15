"""Rows of the tables of recipes, and what an earlier implementation measured of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..comparison import Row, bag_model, track_model
from ..recipes import PLAIN

_PLAIN = PLAIN.training
_ADJUSTED = replace(_PLAIN, logit_adjustment=1.0)
_SUB_BAGS = replace(_ADJUSTED, sub_bags=True)
_SEGMENTS = replace(_SUB_BAGS, segment_loss=0.5)
_MEAN = PLAIN.model
_DOT, _SHARED = replace(_MEAN, pooling="dot"), replace(_MEAN, pooling="shared")
_TRUE = replace(_DOT, query="true", scale="fixed")

CONTROL, ADJUSTED = "control: MLP per track, averaged over the bag", "the control + LA"
ALONE = "MLP per track"
_TRUE_QUERY = "MATT, dot, true query"
_MIL = "+MIL (mean)"

SMALL_ROWS: tuple[Row, ...] = (
    bag_model(_TRUE_QUERY, _TRUE, _PLAIN),
    bag_model(_MIL, _MEAN, _PLAIN),
    track_model(ALONE, _MEAN, _PLAIN, average=False),
    track_model(CONTROL, _MEAN, _PLAIN, average=True),
    track_model(ADJUSTED, _MEAN, _ADJUSTED, average=True),
    bag_model("mean + LA + random sub-bags + per-segment loss", _MEAN, _SEGMENTS),
    bag_model("shared attention from the mean + the same", _SHARED, _SEGMENTS),
)
MFCC_ROWS: tuple[Row, ...] = (
    track_model(ALONE, _MEAN, _PLAIN, average=False),
    track_model(CONTROL, _MEAN, _PLAIN, average=True),
    bag_model(_MIL, _MEAN, _PLAIN),
    bag_model(_TRUE_QUERY, _TRUE, _PLAIN),
    track_model(ADJUSTED, _MEAN, _ADJUSTED, average=True),
    bag_model("MATT, dot, all queries + LA", _DOT, _ADJUSTED),
    bag_model("mean + LA + random sub-bags", _MEAN, _SUB_BAGS),
    bag_model("shared attention + LA + random sub-bags", _SHARED, _SUB_BAGS),
)


@dataclass(frozen=True)
class Found:
    """What was found before, by row.

    Attributes
    ----------
    accuracy, macro_f1 : float
    accuracy_sd, macro_f1_sd : float, or None
        Over splits.
    difference : (float, float), or None
        Of macro-F1, and half the width of its 95 % interval.
    more : float
        Mean recall of the three rarest genres, or of the tail.
    """

    accuracy: float
    macro_f1: float
    accuracy_sd: float | None = None
    macro_f1_sd: float | None = None
    difference: tuple[float, float] | None = None
    more: float | None = None


def _balanced(accuracy: float, f1: float, difference: float, half: float) -> Found:
    return Found(accuracy, f1, difference=(difference, half))


def _tailed(accuracy: float, f1: float, few: float, difference: float, half: float) -> Found:
    return Found(accuracy, f1, difference=(difference, half), more=few)


def _mfcc(accuracy: float, sd: float, f1: float, f1_sd: float, tail: float) -> Found:
    return Found(accuracy, f1, sd, f1_sd, more=tail)


BALANCED = dict(
    zip(
        (row.name for row in SMALL_ROWS),
        (
            _balanced(0.469, 0.451, -0.049, 0.023),
            _balanced(0.492, 0.479, -0.021, 0.014),
            _balanced(0.443, 0.433, -0.067, 0.014),
            _balanced(0.514, 0.500, 0.0, 0.0),
            _balanced(0.523, 0.504, 0.004, 0.017),
            _balanced(0.529, 0.518, 0.018, 0.013),
            _balanced(0.524, 0.510, 0.010, 0.014),
        ),
        strict=True,
    )
)
LONG_TAIL = dict(
    zip(
        (row.name for row in SMALL_ROWS),
        (
            _tailed(0.326, 0.243, 0.039, -0.166, 0.037),
            _tailed(0.335, 0.251, 0.039, -0.158, 0.034),
            _tailed(0.315, 0.244, 0.037, -0.164, 0.026),
            _tailed(0.322, 0.234, 0.024, -0.175, 0.034),
            _tailed(0.444, 0.409, 0.289, 0.0, 0.0),
            _tailed(0.455, 0.431, 0.329, 0.023, 0.019),
            _tailed(0.448, 0.422, 0.316, 0.013, 0.014),
        ),
        strict=True,
    )
)
TWO_GENRES = dict(
    zip(
        (row.name for row in MFCC_ROWS),
        (
            _mfcc(0.639, 0.04, 0.610, 0.04, 0.41),
            _mfcc(0.610, 0.05, 0.557, 0.08, 0.34),
            _mfcc(0.574, 0.07, 0.463, 0.10, 0.14),
            _mfcc(0.586, 0.06, 0.469, 0.09, 0.14),
            _mfcc(0.814, 0.04, 0.811, 0.04, 0.97),
            _mfcc(0.848, 0.06, 0.847, 0.06, 0.95),
            _mfcc(0.890, 0.03, 0.889, 0.03, 0.95),
            _mfcc(0.890, 0.03, 0.889, 0.03, 0.95),
        ),
        strict=True,
    )
)
