"""Pictures of curves: precision and recall, reliability, coverage; of one model or of several.

Models differ in colour and in the dashes of their lines, so that grey prints can be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from . import style
from .probability import Reliability
from .ranking import step_sum
from .style import AGAINST, COMMON, FAINT, FOR, INK, TAIL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

MOST = 6  # lines of one picture
PANELS = 24  # genres of one picture
FEW = 10  # forecasts of a bin, below which its share says little: drawn hollow
_COLUMNS = 4
_LINES: tuple[tuple[str, object], ...] = (
    (COMMON, "-"),
    (TAIL, (0, (5, 1.5))),
    (FOR, (0, (1, 1))),
    (AGAINST, (0, (6, 1.5, 1, 1.5))),
    (INK, (0, (3, 1, 1, 1, 1, 1))),
    ("#E69F00", (0, (8, 2))),
)


@dataclass(frozen=True, eq=False)
class GenrePanel:
    """One genre of `genre_curves`.

    Attributes
    ----------
    genre : str
    n : int
        Items that have it.
    share : float
        Of all items: the precision of chance.
    curves : dict of str to (precision, recall)
        By the name of the model.
    rare : bool
    """

    genre: str
    n: int
    share: float
    curves: Mapping[str, Curve]
    rare: bool = False


def micro_curves(curves: Mapping[str, Curve], *, chance: float, unit: str, n: int) -> Figure:
    """Precision and recall over all pairs of item and genre, a line a model.

    Parameters
    ----------
    curves : dict of str to (precision, recall)
        From the highest threshold down, as `matt.evaluation.ranking.micro_curve` gives them; at
        most `MOST`.
    chance : float
        Share of true pairs, drawn as a line.
    unit : str
        What an item is.
    n : int
        Items.
    """
    _few(curves)
    with style.settings():
        figure, ax = style.axes(height=4.0)
        for (name, curve), look in zip(curves.items(), _LINES, strict=False):
            _steps(ax, curve, look, f"{style.label(name, most=44)} (AP {_share(step_sum(*curve))})")
        ax.axhline(chance, color=FAINT, linewidth=1, label=f"chance (AP {_share(chance)})")
        _unit_square(ax)
        ax.set(xlabel=f"recall (n = {n:,}, unit: {style.label(unit)})", ylabel="precision")
        _legend(figure, ax)
    return figure


def genre_curves(panels: Sequence[GenrePanel], *, unit: str) -> Figure:
    """Precision and recall of each genre against the others, a small panel a genre.

    Parameters
    ----------
    panels : sequence of GenrePanel
        The first `PANELS` are drawn.
    unit : str
        What an item is.
    """
    panels = panels[:PANELS]
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    _few(names)
    looks = dict(zip(names, _LINES, strict=False))
    n_rows = -(-len(panels) // _COLUMNS)
    with style.settings():
        figure, axes = style.grid(n_rows, _COLUMNS, height=0.75 + 1.6 * n_rows)
        for ax, panel in zip(axes, panels, strict=False):
            ax.axhline(panel.share, color=FAINT, linewidth=1)
            for name, curve in panel.curves.items():
                _steps(ax, curve, looks[name], style.label(name, most=44), width=1.3)
            _unit_square(ax)
            title = style.label(panel.genre, most=20)
            colour = TAIL if panel.rare else INK
            ax.set_title(title, loc="left", pad=13, fontsize=8.5, color=colour)
            told = [_share(step_sum(*curve)) for curve in panel.curves.values()]
            under = f"n = {panel.n:,}" + (f", AP {' / '.join(told)}" if len(told) <= 2 else "")
            text = ax.text(0, 1.03, under, transform=ax.transAxes, fontsize=7, color=FAINT)
            text.set_in_layout(False)
            ax.set_xticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=7)
            ax.set_yticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=7)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        figure.supxlabel(f"recall (unit: {style.label(unit)})", fontsize=9)
        figure.supylabel("precision", fontsize=9)
        if len(names) > 1:
            _legend(figure, axes[0])
    return figure


def reliability(bins: Mapping[str, Reliability], *, unit: str) -> Figure:
    """How often forecasts of some confidence come true, and how many there are of each.

    A model whose line runs below the diagonal is too sure of itself.

    Parameters
    ----------
    bins : dict of str to Reliability
        Of models, at most `MOST`.
    unit : str
        What an item is.
    """
    _few(bins)
    with style.settings():
        figure, (top, foot) = style.stacked(height=4.6, ratios=[3, 1])
        top.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="as sure as right")
        for (name, found), (colour, dashes) in zip(bins.items(), _LINES, strict=False):
            used = found.n > 0
            error = f"{style.label(name, most=44)} (error {_share(found.error)})"
            at, right = found.confidence[used], found.share[used]
            top.plot(at, right, color=colour, linestyle=dashes, label=error)
            few = found.n[used] < FEW
            for which, face in ((~few, colour), (few, "white")):
                top.plot(
                    at[which], right[which], "o", color=colour, markerfacecolor=face, markersize=4
                )
            share = found.n / max(found.n.sum(), 1)
            foot.stairs(share, found.edges, color=colour, linestyle=dashes, linewidth=1.4)
        _unit_square(top)
        top.set_ylabel("share that came true")
        _legend(figure, top)
        foot.set_xlim(-0.01, 1.01)
        foot.set_ylim(bottom=0)
        foot.set(xlabel=f"confidence (unit: {style.label(unit)})", ylabel="forecasts")
        foot.yaxis.set_major_formatter("{x:.0%}")
        foot.locator_params(axis="y", nbins=3)
    return figure


def coverage(curves: Mapping[str, Curve], *, unit: str, n: int) -> Figure:
    """Accuracy when only the surest items are answered, a line a model.

    Parameters
    ----------
    curves : dict of str to (covered, accuracy)
        Share and accuracy of `matt.calibration.coverage.Coverage`; at most `MOST`.
    unit : str
    n : int
    """
    _few(curves)
    with style.settings():
        figure, ax = style.axes(height=3.2)
        for (name, (covered, right)), (colour, dashes) in zip(curves.items(), _LINES, strict=False):
            end = f" (all: {_share(float(right[-1]))})" if len(right) else ""
            label = f"{style.label(name, most=44)}{end}"
            marker = "o" if len(right) == 1 else None
            ax.plot(covered, right, color=colour, linestyle=dashes, label=label, marker=marker)
        _unit_square(ax)
        ax.set_ylabel("accuracy")
        ax.set_xlabel(f"share answered, the surest first (n = {n:,}, unit: {style.label(unit)})")
        _legend(figure, ax)
    return figure


def _steps(
    ax: Axes, curve: Curve, look: tuple[str, object], label: str, *, width: float = 1.6
) -> None:
    """Draw precision over recall as the steps that average precision sums."""
    precision, recall = curve
    start = precision[:1]
    ax.step(
        np.append([0.0] * len(start), recall),
        np.append(start, precision),
        where="pre",
        color=look[0],
        linestyle=look[1],
        linewidth=width,
        label=label,
    )


def _legend(figure: Figure, ax: Axes) -> None:
    """Name the lines above the picture, where they cover none."""
    handles, labels = ax.get_legend_handles_labels()
    columns = 1 if max(map(len, labels)) > 34 else 2
    figure.legend(
        handles, labels, loc="outside upper left", ncols=columns, handlelength=3, borderpad=0.2
    )


def _unit_square(ax: Axes) -> None:
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.02, 1.04)
    ax.grid(color=FAINT, alpha=0.2, linewidth=0.6)


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}".removeprefix("0")


def _few(names: Mapping[str, object] | Sequence[str]) -> None:
    if not names or len(names) > MOST:
        raise DataError(f"{len(names)} lines in one picture; draw 1 to {MOST}")
