"""Pictures of intervals: differences row by row, and scores along a condition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DataError
from . import style
from .repeated import OverRepeats
from .style import AGAINST, COMMON, FAINT, FOR, INK, TAIL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RED = "#B3001B"
# Colour, dashes and marker of each line: told apart without colour, too.
_LINES: tuple[tuple[str, object, str], ...] = (
    (COMMON, "-", "o"),
    (TAIL, (0, (5, 1.5)), "s"),
    (FOR, (0, (1, 1)), "^"),
    (AGAINST, (0, (6, 1.5, 1, 1.5)), "D"),
    (INK, (0, (3, 1, 1, 1, 1, 1)), "v"),
)


@dataclass(frozen=True)
class Interval:
    """One row of `forest`.

    Attributes
    ----------
    name : str
    mean : OverRepeats
        Nothing is drawn where it is NaN, and no bar where it has no interval.
    red : bool
        Drawn in red and as a cross: a number that is not to be trusted.
    rule : bool
        A line above the row, where a new part begins.
    """

    name: str
    mean: OverRepeats
    red: bool = False
    rule: bool = False


def forest(panels: Mapping[str, Sequence[Interval]], *, label: str) -> Figure:
    """Differences with their intervals, one panel a metric, one row a comparison.

    Parameters
    ----------
    panels : dict of str to sequence of Interval
        By the name of the metric, with equal rows, from top to bottom.
    label : str
        What the differences are to, for the axis.

    Raises
    ------
    DataError
        If panels have other rows.
    """
    rows = next(iter(panels.values()), ())
    names = [row.name for row in rows]
    if any([row.name for row in some] != names for some in panels.values()):
        raise DataError("panels of one picture need the same rows; give each the same names")
    with style.settings():
        figure, panes = style.panels(len(panels), height=0.9 + 0.2 * len(names))
        for pane, (metric, some) in zip(panes, panels.items(), strict=True):
            pane.axvline(0, color=INK, linewidth=0.8)
            for place, row in enumerate(some):
                if row.rule:
                    pane.axhline(place - 0.5, color=FAINT, linewidth=0.5, alpha=0.6)
                if math.isnan(row.mean.value):
                    continue
                colour, marker = (RED, "X") if row.red else (COMMON, "o")
                if row.mean.interval is not None:
                    pane.plot(row.mean.interval, [place] * 2, color=colour, linewidth=1.4)
                pane.plot(row.mean.value, place, marker, color=colour, markersize=4.5)
            pane.set_ylim(len(names) - 0.5, -0.5)
            pane.set_yticks([])
            pane.spines["left"].set_visible(False)
            pane.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.6)
            pane.locator_params(axis="x", nbins=4)
            pane.margins(x=0.06)
            pane.set_title(style.label(metric), loc="left")
        style.names(panes[0].yaxis, names, most=44)
        for tick, row in zip(panes[0].yaxis.get_ticklabels(), rows, strict=True):
            tick.set_color(RED if row.red else INK)
        figure.supxlabel(style.label(label, most=90), fontsize=9)
    return figure


def along(
    lines: Mapping[str, Sequence[OverRepeats]], ticks: Sequence[str], *, label: str, score: str
) -> Figure:
    """Scores along a condition, one line a model, with intervals.

    Parameters
    ----------
    lines : dict of str to sequence of OverRepeats
        By the name of the model, one a tick; at most five.
    ticks : sequence of str
        Of the condition, at equal distances.
    label, score : str
        What the condition is, and which score.

    Raises
    ------
    DataError
        If a line has too few or too many means, or there are too many lines.
    """
    if len(lines) > len(_LINES) or any(len(means) != len(ticks) for means in lines.values()):
        raise DataError(
            f"{len(lines)} lines of {len(ticks)} points; draw at most {len(_LINES)} lines, with a "
            "mean a tick"
        )
    with style.settings():
        figure, pane = style.axes(height=2.7, width=style.COLUMN)
        step = 0.08
        for number, (name, means) in enumerate(lines.items()):
            colour, dashes, marker = _LINES[number]
            shift = (number - (len(lines) - 1) / 2) * step
            x = [place + shift for place in range(len(ticks))]
            for place, mean in zip(x, means, strict=True):
                if mean.interval is not None:
                    pane.plot([place] * 2, mean.interval, color=colour, linewidth=0.9, alpha=0.7)
            pane.plot(
                x,
                [mean.value for mean in means],
                color=colour,
                linestyle=dashes,
                marker=marker,
                markersize=4,
                label=style.label(name, most=44),
            )
        pane.set_xticks(range(len(ticks)), labels=[style.label(tick) for tick in ticks])
        pane.set(xlabel=style.label(label), ylabel=style.label(score))
        pane.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}".removeprefix("0"))
        pane.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=1, handlelength=3.2)
    return figure
