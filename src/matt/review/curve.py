"""How often the model was right when a person decided: a curve over the decisions.

Each album counts once, by the decision that stands of it. What the model had said then is right
where it is one of the genres that were decided; a genre that was rejected is wrong. Where the model
had said nothing, or a tag was kept that names no genre, nobody knows, and the album is left out.

Mind what it is not. Albums that are decided first are those of which the model is unsure, which are
harder than the library; who saw an answer before deciding may have been led by it; and albums by
one artist are no independent trials, as the interval takes them to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.genres import folded
from ..evaluation import style
from ..evaluation.intervals import wilson
from ..evaluation.style import COMMON, FAINT, TAIL
from ..evaluation.tables import Table, percent
from .decisions import ReviewDecision

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECENT = 20  # decisions of which the newest share is told
BIAS = (
    "Albums that matt is unsure of are mostly decided first, and are harder than the library; who "
    "sees an answer before deciding may be led by it. So this is not how often matt is right in "
    "the library. The interval (95 %, Wilson) takes albums to be independent of each other."
)
_MOST = 100  # points
_ROWS = 10  # of the table


@dataclass(frozen=True)
class Point:
    """What held after some decisions.

    Attributes
    ----------
    n : int
        Decisions until then that say whether the model was right.
    right : int
        How often it was.
    low, high : float
        Wilson's interval of the share that was right.
    recent : float
        The same share of the last `RECENT` decisions; NaN where there were fewer.
    """

    n: int
    right: int
    low: float
    high: float
    recent: float

    @property
    def share(self) -> float:
        """How often the model was right, in [0, 1]."""
        return self.right / self.n


def was_right(decision: ReviewDecision) -> bool | None:
    """Whether the model had said what was decided; None where nobody knows.

    Examples
    --------
    >>> was_right(ReviewDecision("a", (1,), "changed", ("hip hop",), "Hip-Hop", 0.4, 0.0))
    True
    >>> was_right(ReviewDecision("a", (1,), "rejected", (), "Rock", 0.4, 0.0))
    False
    """
    if decision.said is None:
        return None
    if decision.verdict == "rejected":
        return False
    if not decision.genres:
        return None
    return folded(decision.said) in map(folded, decision.genres)


def curve(decisions: Iterable[ReviewDecision], *, most: int = _MOST) -> tuple[Point, ...]:
    """The share that was right after each decision, or after some of many.

    Parameters
    ----------
    decisions : iterable of ReviewDecision
        One an album, in the order in which they were made:
        ``Decisions.open(library).latest().values()``.
    most : int >= 1
        Points, at equal distances; the last decision is always one.

    Returns
    -------
    tuple of Point
        Empty where no decision says whether the model was right.

    Examples
    --------
    >>> one = ReviewDecision("a", (1,), "accepted", ("Rock",), "Rock", 0.6, 0.0)
    >>> two = ReviewDecision("b", (2,), "changed", ("Folk",), "Rock", 0.5, 1.0)
    >>> [(point.n, point.share) for point in curve([one, two])]
    [(1, 1.0), (2, 0.5)]
    """
    known = [right for right in map(was_right, decisions) if right is not None]
    until = np.concatenate([[0], np.cumsum(known, dtype=np.int64)])
    places = np.unique(np.linspace(len(known), 1, min(most, len(known))).round().astype(np.int64))
    return tuple(_point(until.tolist(), n) for n in places.tolist())


def _point(until: Sequence[int], n: int) -> Point:
    low, high = wilson(until[n], n)
    recent = (until[n] - until[n - RECENT]) / RECENT if n >= RECENT else float("nan")
    return Point(n, until[n], low, high, recent)


def curve_table(points: Sequence[Point]) -> Table:
    """Table of the curve: its last point, and some before it at equal distances."""
    step = -(-len(points) // _ROWS) or 1
    return Table.of(
        "What matt had said, and what you decided",
        points[(len(points) - 1) % step :: step],
        ("decisions", "int", lambda point: point.n),
        ("matt was right", "int", lambda point: point.right),
        ("share", "percent", lambda point: point.share),
        ("interval", "interval", lambda point: (point.low, point.high)),
        (f"of the last {RECENT}", "percent", lambda point: point.recent),
        notes=(BIAS,),
    )


def curve_picture(points: Sequence[Point]) -> Figure:
    """Picture of the curve; `matt.evaluation.style.png` makes bytes of it, ``save`` a file.

    Parameters
    ----------
    points : sequence of Point
        Of `curve`; a picture without any says so.
    """
    with style.settings():
        figure, pane = style.axes(height=2.7)
        if points:
            n = [point.n for point in points]
            low, high = [point.low for point in points], [point.high for point in points]
            look: dict[str, Any] = {
                "color": COMMON,
                "alpha": 0.18,
                "linewidth": 0,
                "label": "95 % interval",
            }
            pane.fill_between(n, low, high, **look)
            mark = "o" if len(points) == 1 else None
            share = [point.share for point in points]
            pane.plot(n, share, color=COMMON, marker=mark, label="of all decisions until then")
            if n[-1] > RECENT:
                recent = [point.recent for point in points]
                told = f"of the last {RECENT}"
                pane.plot(n, recent, color=TAIL, linestyle="--", linewidth=1.1, label=told)
            figure.legend(loc="outside upper left", ncols=3)
            pane.set_xlim(0, n[-1] * 1.02)
        else:
            text = "no decision yet says whether matt was right"
            pane.text(0.5, 0.5, text, ha="center", va="center", transform=pane.transAxes)
        pane.set(ylim=(0, 1), xlabel="albums decided", ylabel="matt had said it")
        pane.locator_params(axis="x", integer=True)
        pane.yaxis.set_major_formatter(lambda value, _: percent(value))
        pane.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
    return figure


def in_words(points: Sequence[Point]) -> str:
    """The last point as a sentence; an empty text where there is none.

    Examples
    --------
    >>> one = ReviewDecision("a", (1,), "accepted", ("Rock",), "Rock", 0.6, 0.0)
    >>> in_words(curve([one]))
    'Of the 1 that tells, matt had said 1 as you decided (21 to 100 %).'
    """
    if not points:
        return ""
    last = points[-1]
    tell = "tells" if last.n == 1 else "tell"
    ends = f"{round(100 * last.low)} to {round(100 * last.high)} %"
    told = f"Of the {last.n:,} that {tell}, matt had said {last.right:,} as you decided ({ends})"
    grown = last.n >= 2 * RECENT
    recent = f"; of the last {RECENT}, {round(RECENT * last.recent)}" if grown else ""
    return f"{told}{recent}."
