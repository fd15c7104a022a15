"""A picture of many rows: each repeat as a point, and the difference to the control."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import style
from .style import COMMON, FAINT, INK, TAIL

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Dots:
    """One row of the picture.

    Attributes
    ----------
    name : str
    scores : sequence of float
        One a repeat; NaN where there is none.
    difference : (float, float), optional
        To the control: mean, and half the width of its interval.
    control : bool
        Drawn in another colour.
    """

    name: str
    scores: Sequence[float]
    difference: tuple[float, float] | None = None
    control: bool = False


def dots(rows: Sequence[Dots], *, label: str, against: str) -> Figure:
    """Scores of each row on the left, a point a repeat and a bar at the mean; differences right.

    Parameters
    ----------
    rows : sequence of Dots
        From top to bottom.
    label : str
        Which score.
    against : str
        What the differences are to.
    """
    with style.settings():
        figure, (left, right) = style.panels(2, height=1.0 + 0.25 * len(rows), ratios=[3, 2])
        for place, row in enumerate(rows):
            colour = TAIL if row.control else COMMON
            defined = [score for score in row.scores if not math.isnan(score)]
            left.plot(defined, [place] * len(defined), "o", color=colour, alpha=0.35, markersize=3)
            if defined:
                mean = math.fsum(defined) / len(defined)
                left.plot([mean, mean], [place - 0.32, place + 0.32], color=colour, linewidth=2.4)
            if row.difference is not None:
                middle, half = row.difference
                if not math.isnan(half):
                    right.plot([middle - half, middle + half], [place] * 2, color=colour)
                right.plot(middle, place, "o", color=colour, markersize=4.5)
        right.axvline(0, color=INK, linewidth=0.8)
        for pane in (left, right):
            pane.set_ylim(len(rows) - 0.5, -0.5)
            pane.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.6)
            pane.locator_params(axis="x", nbins=5)
        style.names(left.yaxis, [row.name for row in rows], most=44)
        right.set_yticks([])
        right.spines["left"].set_visible(False)
        right.margins(x=0.08)
        left.set_xlabel(style.label(label))
        right.set_xlabel(style.label(f"less {against}, 95 %", most=40))
        if any(row.control for row in rows):
            style.legend(figure, {COMMON: "row", TAIL: "control"})
    return figure
