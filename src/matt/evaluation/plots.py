"""Pictures for a report or a paper: one style, safe for the colour-blind, on white.

Every function returns a `matplotlib.figure.Figure` that belongs to no window and no global state;
`style.png` and `style.save` write it. Names are untrusted: they are put on one line, cut where they
are long, and never read as formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, did_you_mean
from . import style
from .style import AGAINST, COMMON, FAINT, FOR, INK, TAIL

if TYPE_CHECKING:
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
    best_epoch: int | None = None,
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
    best_epoch : int, optional
        The epoch whose weights were kept; it is marked.
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
                marker = "o" if len(rows) == 1 else None
                values = np.array([row[name] for row in rows], np.float64)
                ax.plot(
                    np.insert(epochs, starts, np.nan),
                    np.insert(values, starts, np.nan),
                    color=colour,
                    label=style.label(name),
                    marker=marker,
                )
            if best_epoch is not None:
                ax.axvline(
                    best_epoch,
                    color=FAINT,
                    linestyle="--",
                    linewidth=1,
                    label=f"kept: epoch {best_epoch}",
                )
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
            defined = [value for value in values if not np.isnan(value)]
            ax.plot(defined, [place] * len(defined), "o", color=colour, alpha=0.45, markersize=4)
            if defined:
                mean = float(np.mean(defined))
                ax.plot([mean, mean], [place - 0.32, place + 0.32], color=colour, linewidth=2.4)
                ax.annotate(
                    f"{mean:.3f}".lstrip("0"),
                    (1.0, place),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8.5,
                )
        style.names(ax.yaxis, list(rows))
        ax.set_xlim(0, 1)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.6)
        ax.set_xlabel(style.label(label))
    return figure


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
        figure.suptitle(
            f"{style.label(title, most=70)} (n = {len(tracks)} track{'s' * (len(tracks) != 1)})",
            x=0.01,
            ha="left",
            fontsize=9,
        )
    return figure


def _rare(tail: NDArray[np.bool_] | None, n_genres: int) -> NDArray[np.bool_]:
    return np.zeros(n_genres, bool) if tail is None else np.asarray(tail, bool)


def _same_length(names: Sequence[str], **arrays: NDArray[Any]) -> None:
    for what, array in arrays.items():
        if len(array) != len(names):
            raise DataError(
                f"{len(array)} {what} for {len(names)} names; give one a name, in the same order"
            )
