"""Pictures for a report or a paper: one style, safe for the colour-blind, on white.

Every function returns a `matplotlib.figure.Figure` that belongs to no window and no global state;
`style.png` and `style.save` write it. Names are untrusted: they are put on one line, cut where they
are long, and never read as formulas. Models differ in colour and in the dashes of their lines, so
that grey prints can be read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, did_you_mean
from . import style
from .intervals import MeanScore
from .metrics import Reliability, step_sum
from .style import AGAINST, COMMON, FAINT, FOR, INK, TAIL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def genre_distribution(
    counts: NDArray[np.integer],
    genres: Sequence[str],
    *,
    tail: NDArray[np.bool_] | None = None,
    unit: str = "training tracks",
) -> Figure:
    """How many items each genre has, from the most to the fewest.

    Parameters
    ----------
    counts : int array, shape (G,)
    genres : sequence of str, length G
    tail : bool array, shape (G,), optional
        Genres to draw in another colour.
    unit : str
        What is counted.
    """
    counts, rare = np.asarray(counts), _rare(tail, len(genres))
    _same_length(genres, counts=counts, tail=rare)
    order = np.argsort(-counts, kind="stable")
    with style.settings():
        figure, ax = style.axes(height=0.7 + 0.24 * len(genres))
        colours = [TAIL if rare[g] else COMMON for g in order]
        style.bar_values(ax, counts[order].tolist(), colours, ",")
        style.names(ax.yaxis, [genres[g] for g in order], rare[order])
        ax.set_xlabel(f"{style.label(unit)} (n = {counts.sum():,})")
        ax.xaxis.set_major_formatter("{x:,.0f}")
        if rare.any():
            style.legend(figure, {COMMON: "other genres", TAIL: "tail"})
    return figure


def confusion(
    confusion: NDArray[Any],
    genres: Sequence[str],
    *,
    tail: NDArray[np.bool_] | None = None,
    unit: str = "item",
) -> Figure:
    """Which genre was taken for which: counts, shaded by the share of each true genre.

    Genres run from the most items to the fewest, so a column that is dark at its foot is a common
    genre that swallows rare ones. A grey row has no item.

    Parameters
    ----------
    confusion : array, shape (G, G)
        Rows are true genres.
    genres : sequence of str, length G
    tail : bool array, shape (G,), optional
        Genres whose names are drawn in another colour.
    unit : str
        What is counted.
    """
    confusion, rare, n_genres = np.asarray(confusion), _rare(tail, len(genres)), len(genres)
    _same_length(genres, rows=confusion, columns=confusion.T, tail=rare)
    order = np.argsort(-confusion.sum(axis=1), kind="stable")
    confusion, rare = confusion[np.ix_(order, order)], rare[order]
    n_true, genres = confusion.sum(axis=1), [genres[g] for g in order]
    shares = confusion / np.maximum(n_true, 1)[:, None]
    readable = n_genres <= 24  # numbers in cells
    with style.settings():
        side = min(0.34 * n_genres, 10.5) if n_genres > 4 else 0.5 * n_genres + 0.4
        figure, ax = style.axes(width=side + 2.8, height=side + 1.7)
        ax.set_facecolor("#E4E4E4")
        empty = np.broadcast_to((n_true == 0)[:, None], shares.shape)
        image = ax.imshow(np.ma.masked_where(empty, shares), cmap="Blues", vmin=0, vmax=1)
        if readable:
            for i, j in np.argwhere(confusion):
                colour = "white" if shares[i, j] > 0.55 else INK
                text = f"{confusion[i, j]:.4g}"
                ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=7.5)
            for edge in np.arange(n_genres - 1) + 0.5:
                ax.axhline(edge, color="white", linewidth=1)
                ax.axvline(edge, color="white", linewidth=1)
        with_n = [
            f"{style.cut(g, most=24)} ({n:,.6g})" for g, n in zip(genres, n_true, strict=True)
        ]
        style.names(ax.yaxis, with_n, rare)
        style.names(ax.xaxis, genres, rare, most=24)
        for name in ax.get_xticklabels() if n_genres > 4 else ():
            tilt = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
            name.set(**(tilt if readable else {"rotation": 90}))
        for axis in (ax.xaxis, ax.yaxis) if not readable else ():
            axis.set_tick_params(labelsize=6)
        ax.spines[:].set_visible(False)
        ax.set(xlabel="predicted", ylabel="true (n)")
        ax.set_title(f"n = {n_true.sum():,.6g}, unit: {style.label(unit)}", loc="left")
        bar = figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02, aspect=30)
        bar.set_label("share of the true genre")
        bar.outline.set_visible(False)
    return figure


def history(
    rows: Sequence[Mapping[str, float]],
    *,
    losses: Sequence[str] = ("loss", "valid_loss"),
    scores: Sequence[str] = ("valid_macro_f1", "valid_tail_recall"),
) -> Figure:
    """Losses and scores over the epochs of one training.

    Parameters
    ----------
    rows : sequence of dict
        One an epoch, with ``"epoch"`` and the columns named below. Where epochs start again there
        is another line, of the next network of a model that has several.
    losses, scores : sequence of str
        Columns of the left panel and of the right one, whose axis runs from 0 to 1; a panel without
        a column is left out.
    """
    from matplotlib.ticker import MaxNLocator

    wanted = ["epoch", *losses, *scores]
    for name in wanted if rows else ():
        if name not in rows[0]:
            raise DataError(f"history has no column {name!r}; {did_you_mean(name, rows[0])}")
    epochs = np.array([row["epoch"] for row in rows], np.float64)
    starts = np.flatnonzero(np.diff(epochs) <= 0) + 1  # of the next network: a new line
    colours = (COMMON, TAIL, FOR, AGAINST, "#E69F00", "#56B4E9")
    with style.settings():
        shown = {title: names for title, names in (("loss", losses), ("score", scores)) if names}
        figure, axes = style.panels(len(shown), height=2.6)
        for ax, (title, names) in zip(axes, shown.items(), strict=True):
            for name, colour in zip(names, colours, strict=False):
                look: dict[str, Any] = {"color": colour, "marker": "o" if len(rows) == 1 else None}
                values = np.array([row[name] for row in rows], np.float64)
                x, y = (np.insert(some, starts, np.nan) for some in (epochs, values))
                ax.plot(x, y, label=style.label(name), **look)
            ax.set(xlabel="epoch", title=title)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.legend()
            if title == "score":
                ax.set_ylim(0, 1)
    return figure


def comparison(
    rows: Mapping[str, Sequence[float]], *, label: str, highlight: Sequence[str] = ()
) -> Figure:
    """Scores of several models over splits: a point a split, a bar at the mean.

    Parameters
    ----------
    rows : dict of str to sequence of float
        Scores in [0, 1] of each model, one a split; NaN where undefined.
    label : str
        Which score, and of which unit.
    highlight : sequence of str
        Rows drawn in another colour.
    """
    with style.settings():
        figure, ax = style.axes(height=0.7 + 0.26 * len(rows))
        for place, (name, values) in enumerate(rows.items()):
            colour = TAIL if name in highlight else COMMON
            mean = _points(ax, place, values, color=colour, alpha=0.45, markersize=4)
            if not math.isnan(mean):
                at: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points"}
                text = f"{mean:.3f}".lstrip("0")
                ax.annotate(text, (1.0, place), **at, va="center", fontsize=8.5)
        style.names(ax.yaxis, list(rows))
        ax.set_xlim(0, 1)
        style.rows(ax, len(rows))
        ax.set_xlabel(style.label(label))
    return figure


def _points(pane: Axes, place: int, values: Sequence[float], **look: Any) -> float:
    """Draw a point a score in a row, and a bar at their mean; it is returned, NaN without any."""
    defined = [value for value in values if not math.isnan(value)]
    pane.plot(defined, [place] * len(defined), "o", **look)
    if not defined:
        return math.nan
    mean = math.fsum(defined) / len(defined)
    pane.plot([mean] * 2, [place - 0.32, place + 0.32], color=look["color"], linewidth=2.4)
    return mean


def contributions(
    tracks: Sequence[str],
    margins: NDArray[np.floating],
    *,
    genre: str,
    title: str,
    effects: NDArray[np.floating] | None = None,
    most: int = 25,
) -> Figure:
    """How much each track of one bag spoke for a genre, or against it.

    Parameters
    ----------
    tracks : sequence of str, length n
        Titles.
    margins : array, shape (n,)
        Part of each track in the logit of the genre, centred over the genres: above 0 it spoke for
        the genre.
    genre : str
        As a rule the predicted one.
    title : str
        Which album this is.
    effects : array, shape (n,), optional
        Probability of the genre less its probability without the track, drawn in a second panel
        ("probability lost"); NaN where there is none, as for the only track of a bag.
    most : int
        Tracks that are drawn, those with the largest margins of either sign; the others become one
        bar, the sum of their margins.
    """
    margins = np.asarray(margins, float)
    if effects is not None and np.isnan(effects).all():
        effects = None
    _same_length(tracks, margins=margins, effects=margins if effects is None else effects)
    strongest = np.argsort(-np.abs(margins), kind="stable")
    shown, rest = strongest[:most], strongest[most:]
    shown = shown[np.argsort(-margins[shown], kind="stable")]
    names, series = [tracks[k] for k in shown], [margins[shown].tolist()]
    labels = [f"part in the margin of {style.label(genre, most=30)}"]
    if effects is not None:
        series.append(effects[shown].tolist())
        labels.append("probability lost")
    if len(rest):
        names.append(f"({len(rest)} others, sum)")
        for values, last in zip(series, (float(margins[rest].sum()), np.nan), strict=False):
            values.append(last)
    with style.settings():
        ratios = [3, 2][: len(series)]
        figure, panes = style.panels(len(series), height=1.0 + 0.24 * len(names), ratios=ratios)
        for pane, values, label, space in zip(panes, series, labels, (0.32, 0.42), strict=False):
            colours = [FOR if value >= 0 else AGAINST for value in values]
            style.bar_values(pane, values, colours, "+.2f", space=space)
            pane.axvline(0, color=INK, linewidth=0.8)
            pane.spines["left"].set_visible(False)
            pane.set_xlabel(label)
            pane.set_yticks([])
            pane.locator_params(axis="x", nbins=4)
        style.names(panes[0].yaxis, names, most=34)
        n = f"(n = {len(tracks)} track{'s' * (len(tracks) != 1)})"
        figure.suptitle(f"{style.label(title, most=70)} {n}", x=0.01, ha="left", fontsize=9)
    return figure


def heard(
    tracks: Sequence[str],
    alone: NDArray[np.floating],
    effects: NDArray[np.floating],
    others: Sequence[str],
    spans: Sequence[Sequence[tuple[float, float, float]]],
    *,
    genre: str,
    title: str,
    most: int = 40,
) -> Figure:
    """What the tracks of one album say of its genre, each by itself, and where.

    Parameters
    ----------
    tracks : sequence of str, length n
        Titles, the first on top.
    alone : array, shape (n,)
        Probability of the genre by the track alone.
    effects : array, shape (n,)
        Probability of the genre less that without the track; without a panel if all are NaN.
    others : sequence of str, length n
        What the track is alone, where that is another genre; else ``""``.
    spans : sequence of sequence of (float, float, float)
        Start and end in seconds of each excerpt of each track, and the probability of the genre by
        it alone; without a panel if there are no tracks.
    genre, title : str
    most : int
        Tracks that are drawn, the first ones and the last ones.
    """
    alone, effects = np.asarray(alone, float), np.asarray(effects, float)
    _same_length(tracks, alone=alone, effects=effects, others=np.asarray(others))
    n, half = len(tracks), most // 2
    shown = list(range(n)) if n <= most else [*range(half), *range(n - half, n)]
    called = style.label(genre, most=20)
    wanted = [True, not np.isnan(effects).all(), bool(spans)]
    ratios = [width for width, there in zip((3, 2, 3), wanted, strict=True) if there]
    with style.settings():
        figure, panes = style.panels(len(ratios), height=1.1 + 0.24 * len(shown), ratios=ratios)
        pane = panes[0]
        colours = [AGAINST if others[k] else FOR for k in shown]
        pane.barh(range(len(shown)), alone[shown], color=colours, height=0.72)
        for place, k in enumerate(shown):
            if others[k]:
                x = alone[k] + 0.02
                pane.text(x, place, style.label(others[k], most=24), va="center", fontsize=8)
        pane.set_xlim(0, 1)
        pane.set_xticks([0, 0.5, 1], labels=["0", ".5", "1"])
        pane.set_xlabel(f"{called}, alone")
        style.rows(pane, len(shown))
        style.names(pane.yaxis, [tracks[k] for k in shown], most=30)
        if wanted[1]:
            values = effects[shown].tolist()
            signs = [FOR if value >= 0 else AGAINST for value in values]
            style.bar_values(panes[1], values, signs, "+.2f", space=0.45)
            panes[1].axvline(0, color=INK, linewidth=0.8)
            panes[1].spines["left"].set_visible(False)
            panes[1].set_xlabel("adds")
            panes[1].locator_params(axis="x", nbins=3)
            panes[1].set_yticks([])
            panes[1].set_ylim(len(shown) - 0.5, -0.5)
        if wanted[2]:
            _excerpts(panes[-1], [spans[k] for k in shown])
            panes[-1].set_xlabel("excerpts")
        left = f", {n - len(shown)} between them not drawn" if n > len(shown) else ""
        said = f"{style.label(title, most=80)}{left}"
        figure.suptitle(said, x=0.01, ha="left", fontsize=9)
    return figure


def _excerpts(pane: Axes, spans: Sequence[Sequence[tuple[float, float, float]]]) -> None:
    """Draw excerpts along the time of their tracks, the darker the likelier."""
    from matplotlib.colors import to_rgb

    end = max((stop for some in spans for _, stop, _ in some), default=1.0)
    for place, some in enumerate(spans):
        pane.plot(
            [0, max((stop for _, stop, _ in some), default=0)],
            [place] * 2,
            color=FAINT,
            linewidth=0.6,
            alpha=0.6,
            zorder=1,
        )
        for start, stop, value in some:
            wide = max(stop - start, end / 80)  # seconds of which something can be seen
            pane.barh(
                place,
                wide,
                left=start,
                height=0.6,
                zorder=2,
                color=[1 - (0.08 + 0.92 * value) * (1 - part) for part in to_rgb(COMMON)],
                edgecolor=FAINT,
                linewidth=0.4,
            )
    pane.set_ylim(len(spans) - 0.5, -0.5)
    pane.set_xlim(0, 1.02 * end)
    pane.locator_params(axis="x", nbins=4)
    pane.xaxis.set_major_formatter(lambda at, _: f"{int(at) // 60}:{int(at) % 60:02}")
    pane.set_yticks([])
    pane.spines["left"].set_visible(False)


def _rare(tail: NDArray[np.bool_] | None, n_genres: int) -> NDArray[np.bool_]:
    return np.zeros(n_genres, bool) if tail is None else np.asarray(tail, bool)


def _same_length(names: Sequence[str], **arrays: NDArray[Any]) -> None:
    for what, array in arrays.items():
        if len(array) != len(names):
            raise DataError(
                f"{len(array)} {what} for {len(names)} names; give one a name, in the same order"
            )


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
        From the highest threshold down, as `matt.evaluation.metrics.micro_curve` gives them; at
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
            _steps(
                ax,
                curve,
                look,
                f"{style.label(name, most=44)} (AP {style.share(step_sum(*curve))})",
            )
        ax.axhline(chance, color=FAINT, linewidth=1, label=f"chance (AP {style.share(chance)})")
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
        figure, axes = style.panels(_COLUMNS, rows=n_rows, height=0.75 + 1.6 * n_rows)
        for ax, panel in zip(axes, panels, strict=False):
            ax.axhline(panel.share, color=FAINT, linewidth=1)
            for name, curve in panel.curves.items():
                _steps(ax, curve, looks[name], style.label(name, most=44), width=1.3)
            _unit_square(ax)
            title = style.label(panel.genre, most=20)
            colour = TAIL if panel.rare else INK
            ax.set_title(title, loc="left", pad=13, fontsize=8.5, color=colour)
            told = [style.share(step_sum(*curve)) for curve in panel.curves.values()]
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
        figure, (top, foot) = style.panels(1, rows=2, height=4.6, stacked=[3, 1])
        top.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="as sure as right")
        for (name, found), (colour, dashes) in zip(bins.items(), _LINES, strict=False):
            used = found.n > 0
            error = f"{style.label(name, most=44)} (error {style.share(found.error)})"
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
            end = f" (all: {style.share(float(right[-1]))})" if len(right) else ""
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
    (precision, recall), (colour, dashes) = curve, look
    start = precision[:1]
    x, y = np.append([0.0] * len(start), recall), np.append(start, precision)
    how: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": width}
    ax.step(x, y, where="pre", label=label, **how)


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


def _few(names: Mapping[str, object] | Sequence[str]) -> None:
    if not names or len(names) > MOST:
        raise DataError(f"{len(names)} lines in one picture; draw 1 to {MOST}")


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
            _points(left, place, row.scores, color=colour, alpha=0.35, markersize=3)
            if row.difference is not None:
                middle, half = row.difference
                if not math.isnan(half):
                    right.plot([middle - half, middle + half], [place] * 2, color=colour)
                right.plot(middle, place, "o", color=colour, markersize=4.5)
        right.axvline(0, color=INK, linewidth=0.8)
        for pane in (left, right):
            style.rows(pane, len(rows))
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


RED = "#B3001B"
# Colour, dashes and marker of each line: told apart without colour, too.
_CURVES = tuple((*look, marker) for look, marker in zip(_LINES, "os^Dv", strict=False))


@dataclass(frozen=True)
class Interval:
    """One row of `forest`.

    Attributes
    ----------
    name : str
    mean : Mean
        Nothing is drawn where it is NaN, and no bar where it has no interval.
    red : bool
        Drawn in red and as a cross: a number that is not to be trusted.
    rule : bool
        A line above the row, where a new part begins.
    """

    name: str
    mean: MeanScore
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
            style.rows(pane, len(names))
            pane.set_yticks([])
            pane.spines["left"].set_visible(False)
            pane.locator_params(axis="x", nbins=4)
            pane.margins(x=0.06)
            pane.set_title(style.label(metric), loc="left")
        style.names(panes[0].yaxis, names, most=44)
        for tick, row in zip(panes[0].yaxis.get_ticklabels(), rows, strict=True):
            tick.set_color(RED if row.red else INK)
        figure.supxlabel(style.label(label, most=90), fontsize=9)
    return figure


def along(
    lines: Mapping[str, Sequence[MeanScore]], ticks: Sequence[str], *, label: str, score: str
) -> Figure:
    """Scores along a condition, one line a model, with intervals.

    Parameters
    ----------
    lines : dict of str to sequence of Mean
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
    if len(lines) > len(_CURVES) or any(len(means) != len(ticks) for means in lines.values()):
        raise DataError(
            f"{len(lines)} lines of {len(ticks)} points; draw at most {len(_CURVES)} lines, with a "
            "mean a tick"
        )
    with style.settings():
        figure, pane = style.axes(height=2.7, width=style.COLUMN)
        step = 0.08
        for number, (name, means) in enumerate(lines.items()):
            colour, dashes, marker = _CURVES[number]
            shift = (number - (len(lines) - 1) / 2) * step
            x = [place + shift for place in range(len(ticks))]
            for place, mean in zip(x, means, strict=True):
                if mean.interval is not None:
                    pane.plot([place] * 2, mean.interval, color=colour, linewidth=0.9, alpha=0.7)
            look: dict[str, Any] = {"color": colour, "linestyle": dashes, "marker": marker}
            y = [mean.value for mean in means]
            pane.plot(x, y, markersize=4, label=style.label(name, most=44), **look)
        pane.set_xticks(range(len(ticks)), labels=[style.label(tick) for tick in ticks])
        pane.set(xlabel=style.label(label), ylabel=style.label(score))
        pane.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}".removeprefix("0"))
        pane.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=1, handlelength=3.2)
    return figure
