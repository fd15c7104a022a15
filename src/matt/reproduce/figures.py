"""Figures 1 and 4 of the paper, at the width of its columns: drawn, and the numbers beside."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..comparison import Row
from ..datasets.fma.loading import ALL
from ..errors import DataError
from ..evaluation import style
from ..evaluation.intervals import MeanScore, Repeated
from ..evaluation.items import items_of
from ..evaluation.metrics import micro_curve, step_sum
from ..evaluation.style import COMMON, FAINT, INK, TAIL
from ..evaluation.tables import Table
from ..predictions import Predictions
from .data import FOLDER as SHARED
from .data import Data
from .measures import Bench, beside, mean, part_of, set_of
from .plan import (
    AVERAGED,
    MODELS,
    SCORES_NOTE,
    Request,
    Results,
    published_as,
    rows_on,
    score_of,
)
from .published import (
    ACCURACY_4,
    AVERAGE_PRECISION_4,
    FOLDER,
    INVALID,
    MODELS_1,
    TABLE_1,
    THRESHOLDS,
    WHY_NOT,
    Curve,
    read_curves,
    why_4,
)
from .targets import BESIDE, Made, counted, measured, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID = np.linspace(0, 1, 401)  # recalls at which curves of repeats are averaged
_MIDDLE = "#E69F00"  # orange of Okabe and Ito's palette
_SMALL: dict[str, Any] = {"fontsize": 7.5, "handlelength": 1.4, "columnspacing": 1.0}
# Colour and marker of each line of a panel; in grey, the markers tell them apart.
_LOOKS = (
    ("#56B4E9", "o"),
    ("#E69F00", "s"),
    (INK, "^"),
    ("#009E73", "D"),
    (COMMON, "v"),
    (TAIL, "P"),
)
PAPER_ACCURACY = {
    **{name: value / 100 for name, value in zip(MODELS_1[:4], TABLE_1["1-9"], strict=False)},
    **{name: value / 100 for name, value in ACCURACY_4.items()},
}
"""Accuracy of the paper's bars; of LR, KNN, SVM and MLP as its first table has them."""


_SHORT = {AVERAGED: "control: averaged"}
_SHOWN = (*MODELS, AVERAGED)


@dataclass(frozen=True)
class Bar:
    """One bar of the accuracy panel: ours with its interval, and the paper's."""

    name: str
    ours: MeanScore
    paper: float | None = None


def distribution(counts: NDArray[np.integer], genres: Sequence[str]) -> Figure:
    """Fig. 1: training tracks of each genre, from the most to the fewest, with both tails marked.

    Parameters
    ----------
    counts : int array, shape (G,)
    genres : sequence of str, length G
    """
    counts = np.asarray(counts)
    if len(counts) != len(genres):
        raise DataError(f"{len(counts)} counts for {len(genres)} genres; give one a genre")
    order = np.argsort(-counts, kind="stable")
    few, some = THRESHOLDS
    from matplotlib.patches import Patch

    with style.settings():
        figure, ax = style.axes(height=0.75 + 0.17 * len(genres), width=style.COLUMN)
        colours = [TAIL if c < few else _MIDDLE if c < some else COMMON for c in counts[order]]
        style.bar_values(ax, counts[order].tolist(), colours, ",", space=0.16)
        style.names(ax.yaxis, [genres[g] for g in order], counts[order] < few, most=26)
        ax.set_xlabel(f"training tracks (n = {counts.sum():,})")
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.locator_params(axis="x", nbins=4)
        told = {COMMON: f"{some} and more", _MIDDLE: f"{few}-{some - 1}", TAIL: f"below {few}"}
        used = {colour: text for colour, text in told.items() if colour in colours}
        if len(used) > 1:
            patches = [Patch(color=colour, label=text) for colour, text in used.items()]
            figure.legend(handles=patches, loc="outside upper right", **_SMALL, ncols=len(used))
    return figure


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Mean precision of several curves at equal recalls.

    Parameters
    ----------
    curves : sequence of (precision, recall)
        From the highest threshold down; at a recall, a curve has the precision of the first
        threshold that reaches it, as in its average precision.
    """
    made = []
    for precision, recall in curves:
        place = np.searchsorted(recall, _GRID, side="left").clip(max=len(recall) - 1)
        made.append(precision[place])
    return np.mean(made, axis=0), _GRID


def precision_recall(
    ours: Mapping[str, tuple[Curve, float]], paper: Mapping[str, Curve], *, title: str
) -> Figure:
    """Fig. 4 (a) and (b): our curves solid, the paper's own dotted beneath in the same colour.

    Parameters
    ----------
    ours : dict of str to (curve, average precision)
        By model, at most six with the paper's together.
    paper : dict of str to curve
    title : str
    """
    names = [name for name in MODELS if name in ours or name in paper]
    names += [name for name in ours if name not in names]
    if len(names) > len(_LOOKS) or not names:
        raise DataError(f"{len(names)} models in one picture; draw 1 to {len(_LOOKS)}")
    with style.settings():
        figure, ax = style.axes(height=3.9, width=style.COLUMN)
        for name, (colour, marker) in zip(names, _LOOKS, strict=False):
            if name in paper:
                _line(ax, paper[name], colour, marker, dotted=True)
        handles = []
        for name, (colour, marker) in zip(names, _LOOKS, strict=False):
            if name in ours:
                _line(ax, ours[name][0], colour, marker)
            areas = [style.share(ours[name][1]) if name in ours else "-"]
            if name in paper:
                areas.append(style.share(step_sum(*paper[name])) + "*" * (name in INVALID))
            label = f"{style.label(name, most=24)} {' / '.join(areas)}"
            handles += ax.plot(
                *([], []), color=colour, marker=marker, markersize=4, label=label, linewidth=1.4
            )
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1.02)
        ax.set(xlabel="recall", ylabel="precision")
        ax.set_title(style.label(title), loc="left")
        ax.grid(color=FAINT, alpha=0.2, linewidth=0.6)
        told = "AP: ours"
        if paper:
            told += " / the paper's, dotted"
            told += "; * invalid" if set(INVALID) & set(paper) else ""
        figure.legend(
            handles=handles,
            loc="outside lower left",
            title=told,
            title_fontsize=7.5,
            alignment="left",
            **{**_SMALL, "fontsize": 7, "handlelength": 2},
            ncols=2,
        )
    return figure


def accuracy_bars(bars: Sequence[Bar]) -> Figure:
    """Fig. 4 (c): our accuracy with its 95 % interval, the paper's as a diamond."""
    with style.settings():
        figure, ax = style.axes(height=0.8 + 0.22 * len(bars), width=style.COLUMN)
        for place, bar in enumerate(bars):
            if bar.ours.value == bar.ours.value:
                ax.barh(place, bar.ours.value, color="#9CC9E3", edgecolor=COMMON, height=0.7)
                if bar.ours.interval is not None:
                    ax.plot(bar.ours.interval, [place] * 2, color=INK, linewidth=1.2)
            if bar.paper is not None:
                ax.plot(bar.paper, place, "D", color=TAIL, markersize=5, markeredgecolor="white")
        style.names(ax.yaxis, [bar.name for bar in bars], most=24)
        style.rows(ax, len(bars))
        ax.set_xlim(0, 1)
        ax.set_xlabel("accuracy")
        handles = [
            ax.barh([np.nan], [np.nan], color="#9CC9E3", edgecolor=COMMON, label="ours"),
            *ax.plot([], [], color=INK, linewidth=1.2, label="95 %"),
        ]
        if any(bar.paper is not None for bar in bars):
            handles += ax.plot([], [], "D", color=TAIL, markersize=5, label="paper")
        figure.legend(handles=handles, loc="outside upper right", **_SMALL, ncols=3)
    return figure


def _line(ax: Axes, curve: Curve, colour: str, marker: str, *, dotted: bool = False) -> None:
    precision, recall = mean_curve([curve])
    reached = recall <= (curve[1].max() if len(curve[1]) else 0)
    look: dict[str, Any] = {"linestyle": ":", "linewidth": 1.1} if dotted else {"linewidth": 1.4}
    look |= {"marker": marker, "markersize": 3.5, "markevery": (25, 50) if dotted else 50}
    look |= {"markerfacecolor": "white", "markeredgewidth": 0.7} if dotted else {}
    ax.plot(recall[reached], precision[reached], color=colour, **look)


def no_rows(data: Data, request: Request) -> tuple[Row, ...]:
    """What figure 1 needs, which is of the tracks alone."""
    return ()


def make_figure_1(results: Results, bench: Bench, folder: Path) -> Made:
    """The picture, and its numbers: of the first split, where each seed has one of its own."""
    tracks = results.divisions[0].tracks
    path = folder / "figure_1.png"
    save_picture(distribution(tracks.train_counts, tracks.genres), path, results.data)
    order = np.argsort(-tracks.train_counts, kind="stable")
    test = tracks.take(tracks.split == "test").counts

    def below(few: int) -> Callable[[int], bool]:
        return lambda g: bool(tracks.train_counts[g] < few)

    table = Table.of(
        "Fig. 1: genres by their training tracks",
        order.tolist(),
        ("genre", "text", lambda g: tracks.genres[g]),
        ("training tracks", "int", lambda g: int(tracks.train_counts[g])),
        ("test tracks", "int", lambda g: int(test[g])),
        *((f"below {few}", "flag", below(few)) for few in THRESHOLDS),
        notes=results.data.notes,
    )
    return Made(tables={"figure_1": table}, pictures={"figure_1": path})


def curves_of(predictions: Mapping[str, Predictions]) -> Curve:
    """Mean micro-flattened curve of repeats, each track under its own label."""
    parts = {id(some): items_of(some, unit="track_of_bag") for some in predictions.values()}
    return mean_curve([micro_curve(i.values, i.truth) for i in parts.values()])


def ap_table(
    bench: Bench,
    paper: Mapping[str, Curve],
    *,
    feature_set: str,
    comparable: bool = True,
    real: bool = True,
    notes: Sequence[str] = (),
) -> Table:
    """Average precision and accuracy of every model of figure 4 beside the paper's.

    Parameters
    ----------
    bench : Bench
    paper : dict of str to curve
        Where it is not at hand, the published area stands in.
    feature_set : str
    comparable : bool
        Whether the paper's numbers are of such data at all.
    real : bool
        Whether ours say anything of music, so that there are verdicts.
    notes : sequence of str
    """

    def theirs(model: str) -> float | None:
        if not comparable:
            return None
        return ap_of(paper, published_as(model))

    def accuracy(model: str) -> float | None:
        return PAPER_ACCURACY.get(published_as(model)) if comparable else None

    def reasons(model: str) -> tuple[str, ...]:
        return why_4(published_as(model)) if accuracy(model) is not None else ()

    def verdict(row: Repeated | None, metric: str, published: float | None) -> str:
        return beside(row, metric, published) if real else ""

    def told(line: tuple[str, Repeated | None]) -> str:
        lacking = ("; ours was not run",) if line[1] is None else ()
        return "".join((", ".join(reasons(line[0])), *lacking)).strip("; ")

    lines, row = [(model, _row(bench, model, feature_set)) for model in _SHOWN], itemgetter(1)
    used = dict.fromkeys(reason for model in _SHOWN for reason in reasons(model))
    return Table.of(
        "Fig. 4: average precision and accuracy",
        lines,
        ("model", "text", itemgetter(0)),
        *counted(row, "unit", "repeats", "n"),
        *measured("micro_ap", "micro AP", row),
        ("the paper's AP", "share", lambda line: theirs(line[0])),
        ("AP's verdict", "text", lambda line: verdict(line[1], "micro_ap", theirs(line[0]))),
        *measured("accuracy", "accuracy", row),
        ("the paper's accuracy", "share", lambda line: accuracy(line[0])),
        (
            "accuracy's verdict",
            "text",
            lambda line: verdict(line[1], "accuracy", accuracy(line[0])),
        ),
        ("why it may differ", "text", told),
        notes=(SCORES_NOTE, BESIDE, *(f"{name}: {WHY_NOT[name]}." for name in used), *notes),
    )


def ap_of(paper: Mapping[str, Curve], model: str) -> float | None:
    """Area beneath a curve of the paper; the published one where the curve is not at hand."""
    return step_sum(*paper[model]) if model in paper else AVERAGE_PRECISION_4.get(model)


def _row(bench: Bench, model: str, feature_set: str) -> Repeated | None:
    return bench.row(set_of(model, feature_set), model, part=part_of(model))


def needs_figure_4(data: Data, request: Request) -> tuple[Row, ...]:
    """Every model on all features and, where there are any, log-mels; and the control."""
    return rows_on(data, request, _SHOWN)


def make_figure_4(results: Results, bench: Bench, folder: Path) -> Made:
    """Both panels of curves, the bars, and their table."""
    data, feature_set = results.data, results.data.fullest
    comparable = feature_set == ALL  # else it is other data, to which the paper says nothing
    place = Path(os.environ.get(SHARED, "")) / FOLDER
    there = comparable and bool(os.environ.get(SHARED)) and place.is_dir()
    paper = read_curves(place) if there else {}
    pictures: dict[str, Path] = {}
    # As the paper draws them, then all scores of its attention; six lines of a panel can be told.
    panels: dict[str, Sequence[str]] = {}
    for name, here in (("a", False), ("b", True)):
        some = [m for m in MODELS if ("CRNN" in m) == here]
        panels[f"figure_4{name}"] = [m for m in some if score_of(m) in ("", "dot")]
        panels[f"figure_4{name}_scores"] = [m for m in some if score_of(m)]
    for name, models in panels.items():
        ours = {}
        for model in models:
            found = bench.find(set_of(model, feature_set), model, part_of(model))
            row = _row(bench, model, feature_set)
            if row is not None:
                ours[model] = curves_of(found), row.mean("micro_ap").value
        theirs = {m: paper[published_as(m)] for m in models if published_as(m) in paper}
        if ours or theirs:
            kind = "log-mels" if "4b" in name else f"features {feature_set}"
            pictures[name] = folder / f"{name}.png"
            figure = precision_recall(ours, theirs, title=kind)
            save_picture(figure, pictures[name], data)
    bars = []
    for model in _SHOWN:
        row = _row(bench, model, feature_set)
        theirs_is = PAPER_ACCURACY.get(published_as(model)) if comparable else None
        if row is not None or theirs_is is not None:
            bars.append(Bar(_SHORT.get(model, model), mean(row, "accuracy"), theirs_is))
    pictures["figure_4c"] = folder / "figure_4c.png"
    save_picture(accuracy_bars(bars), pictures["figure_4c"], data)
    notes = [*data.notes, *data.logmel_notes]
    if not comparable:
        notes.append("The paper's numbers are of FMA-medium's genres and features: not these.")
    elif not paper:
        notes.append("The paper's own curves are not at hand: only the area beneath them is told.")
    given: dict[str, Any] = {"comparable": comparable, "real": data.real, "notes": notes}
    table = ap_table(bench, paper, feature_set=feature_set, **given)
    return Made(tables={"figure_4": table}, pictures=pictures)
