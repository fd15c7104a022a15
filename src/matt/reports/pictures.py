"""Pictures of predictions under several names: one run beside its controls, or several runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..calibration.coverage import coverage_of
from ..evaluation import curves, plots
from ..evaluation.metrics import tail
from ..evaluation.probability import reliability
from ..evaluation.ranking import precision_recall
from ..evaluation.report import Picture
from ..evaluation.scores import Scores
from ..evaluation.units import Items, items_of
from ..predictions import Predictions


def items_by_name(made: Mapping[str, Predictions], *, unit: str = "spread") -> dict[str, Items]:
    """Items of the first few predictions, as many as a picture has lines."""
    return {name: items_of(p, unit=unit) for name, p in list(made.items())[: curves.MOST]}


def curve_pictures(items: Mapping[str, Items]) -> dict[str, Picture]:
    """Precision and recall of each name: ``curves``, and for the genres ``genre-curves``.

    Names whose scores rank nothing are left out; empty where there is none.
    """
    ranked = {name: some for name, some in items.items() if len(some) and not some.no_ranking}
    if not ranked:
        return {}
    first = next(iter(ranked.values()))
    micro = {
        name: precision_recall(some.values.ravel(), some.truth.ravel())
        for name, some in ranked.items()
    }
    figure = curves.micro_curves(
        micro, chance=float(first.truth.mean()), unit=first.unit, n=len(first)
    )
    rare, n = tail(first.train_counts), first.truth.sum(axis=0)
    order = np.argsort(-first.train_counts, kind="stable")
    panels = [
        curves.GenrePanel(
            first.genres[g],
            int(n[g]),
            float(n[g] / len(first)),
            {name: _of_genre(some, first.genres[g]) for name, some in ranked.items()},
            bool(rare[g]),
        )
        for g in order
        if n[g]
    ]
    by_genre = curves.genre_curves(panels, unit=first.unit)
    left = len(panels) - curves.PANELS
    more = f" The {left} genres with the fewest training tracks are not drawn." if left > 0 else ""
    absent = int((n == 0).sum())
    untested = f" {absent} genres have no test item." if absent else ""
    return {
        "curves": Picture.of(
            figure,
            "Precision and recall over all pairs of item and genre; AP is the area of the steps.",
        ),
        "genre-curves": Picture.of(
            by_genre,
            "Precision and recall of each genre against the others, from the most to the fewest "
            "training tracks, rare ones in the tail's colour; the level line is chance."
            f"{more}{untested}",
        ),
    }


def sure_pictures(items: Mapping[str, Items]) -> dict[str, Picture]:
    """Calibration and coverage: ``reliability``, ``coverage``.

    Names without probabilities, or of another unit than the first, are left out.
    """
    units = [some.unit for some in items.values()]
    sure = {
        name: (some, some.probabilities)
        for name, some in items.items()
        if some.probabilities is not None and len(some) and some.unit == units[0]
    }
    if not sure:
        return {}
    first = next(some for some, _ in sure.values())
    bins = {
        name: reliability(values, some.truth, link=some.link)
        for name, (some, values) in sure.items()
    }
    found = {
        "reliability": Picture.of(
            curves.reliability(bins, unit=first.unit),
            "How often forecasts of some confidence come true. Below the diagonal a model is too "
            "sure, above it not sure enough; hollow points are of fewer than ten "
            "forecasts. Beneath, the share of forecasts in each bin.",
        )
    }
    answers = {
        name: coverage_of(values.astype(np.float64), some.labels)
        for name, (some, values) in sure.items()
        if some.labels is not None
    }
    covered = {name: (made.share, made.accuracy) for name, made in answers.items()}
    if covered:
        found["coverage"] = Picture.of(
            curves.coverage(covered, unit=first.unit, n=len(first)),
            "Accuracy if only the surest items are answered and the others are left to a person.",
        )
    return found


def distribution_picture(scores: Scores) -> Picture:
    """Training tracks of each genre."""
    counts = np.array([genre.train_tracks for genre in scores.genres])
    rare = np.array([genre.tail for genre in scores.genres])
    figure = plots.genre_distribution(counts, [g.genre for g in scores.genres], tail=rare)
    return Picture.of(figure, "Training tracks of each genre, the tail in its colour.")


def confusion_picture(scores: Scores, model: str) -> Picture | None:
    """Which genre was taken for which; None where an item may have several genres."""
    if scores.confusion is None:
        return None
    rare = np.array([genre.tail for genre in scores.genres])
    names = [genre.genre for genre in scores.genres]
    figure = plots.confusion(scores.confusion, names, tail=rare, unit=scores.unit)
    return Picture.of(figure, f"Confusion on the test split: {model} (unit: {scores.unit}).")


def _of_genre(items: Items, genre: str) -> curves.Curve:
    g = items.genres.index(genre)
    return precision_recall(items.values[:, g], items.truth[:, g])
