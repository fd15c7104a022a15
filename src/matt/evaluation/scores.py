"""What predictions scored: `Predictions` in, `Scores` out, always with the unit and the count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, did_you_mean
from ..predictions import Predictions
from . import metrics
from .ranking import average_precision, truth_of

UNITS = ("bag", "spread")


@dataclass(frozen=True)
class GenreScores:
    """What one genre scored; NaN where undefined.

    Attributes
    ----------
    genre : str
    train_tracks : int
        Training tracks, which make a genre rare.
    tail : bool
        Whether it counts as rare.
    n : int
        Items that have the genre.
    n_predicted, hits : int, or None
        Items for which it was predicted, and those of them that have it; None for multi-label
        predictions, like the three shares below.
    precision, recall, f1 : float
    average_precision : float
    """

    genre: str
    train_tracks: int
    tail: bool
    n: int
    n_predicted: int | None = None
    hits: int | None = None
    precision: float = nan
    recall: float = nan
    f1: float = nan
    average_precision: float = nan


@dataclass(frozen=True, eq=False)
class Scores:
    """What predictions scored, always with the unit and how many items there were.

    Attributes
    ----------
    unit : {"track", "bag", "bag over tracks"}
        What an item is; see `score`.
    n, n_unknown : int
        Items that were scored, and items left out because their genre is unknown.
    n_tail : int
        Scored items of rare genres.
    accuracy, balanced_accuracy, macro_f1, tail_recall : float
        In [0, 1]. Multi-label predictions have none of them.
    micro_ap, macro_ap : float
        Average precision over all pairs of item and genre, and its mean over genres.
    tail_rule : str
        Which genres count as rare.
    genres : tuple of GenreScores, length G
    confusion : array, shape (G, G), or None
        Rows are true genres; None for multi-label predictions.
    reasons : dict of str to str
        Why a score is NaN, by the name of the score.
    """

    unit: str
    n: int
    n_unknown: int
    n_tail: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    tail_recall: float
    micro_ap: float
    macro_ap: float
    tail_rule: str
    genres: tuple[GenreScores, ...]
    confusion: metrics.Confusion | None
    reasons: Mapping[str, str]


def score(predictions: Predictions, *, unit: str = "bag", fewer_than: int | None = None) -> Scores:
    """Score predictions; items whose genre is unknown are left out and counted.

    Parameters
    ----------
    predictions : Predictions
        One genre an item or several, with any link: scores that are no probabilities are ranked.
    unit : {"bag", "spread"}
        What one item is. ``"bag"``: a bag under its own label; where every bag is a lone track the
        result says ``"track"``. ``"spread"``: each track under the *track's own* label, with the
        prediction of its bag; the result says ``"bag over tracks"``. Large bags weigh more then,
        and a bag that mixes genres cannot be wholly right.
    fewer_than : int, optional
        A genre is rare with fewer training tracks than this; `metrics.tail` has the default.

    Returns
    -------
    Scores

    Raises
    ------
    ConfigError
        If the unit is unknown.
    """
    if unit not in UNITS:
        raise ConfigError(f"unknown unit {unit!r}; {did_you_mean(unit, UNITS)}")
    lone = bool((predictions.bags.sizes == 1).all())
    scored = predictions.spread() if unit == "spread" and not lone else predictions
    name = "track" if lone else "bag over tracks" if unit == "spread" else "bag"
    counts, n_genres = scored.train_counts, len(scored.genres)
    rare = metrics.tail(counts, fewer_than=fewer_than)
    known = np.flatnonzero(scored.bags.known)
    truth = truth_of(scored.labels[known], n_genres)  # (n, G)
    values = (scored.logits if scored.link == "none" else scored.probabilities)[known]  # (n, G)
    ap = np.array([average_precision(values[:, g], truth[:, g]) for g in range(n_genres)])
    confusion = None
    if not scored.bags.multi_label:
        confusion = metrics.confusion_matrix(scored.labels[known], scored.best[known], n_genres)
    n_true = truth.sum(axis=0)  # (G,)
    n_tail = int(truth[:, rare].any(axis=1).sum())
    return Scores(
        unit=name,
        n=len(known),
        n_unknown=len(scored) - len(known),
        n_tail=n_tail,
        accuracy=nan if confusion is None else metrics.accuracy(confusion),
        balanced_accuracy=nan if confusion is None else metrics.balanced_accuracy(confusion),
        macro_f1=nan if confusion is None else metrics.macro_f1(confusion),
        tail_recall=nan if confusion is None else metrics.tail_recall(confusion, rare),
        micro_ap=average_precision(values, truth),
        macro_ap=metrics.mean_defined(ap),
        tail_rule=metrics.tail_rule(counts, fewer_than=fewer_than),
        genres=_genre_scores(scored, rare, n_true, confusion, ap),
        confusion=confusion,
        reasons=_reasons(len(known), n_tail, rare, multi_label=scored.bags.multi_label),
    )


def majority(predictions: Predictions) -> Predictions:
    """Say the same of every bag, what training alone suggests: the control every model must beat.

    Returns
    -------
    Predictions
        Of the same bags, with the log prior (training tracks + 1/2) as logits. With several genres
        an item the link is none, because counts of genres are no probabilities there.
    """
    log_prior = np.log(predictions.train_counts + 0.5)  # (G,)
    return Predictions(
        predictions.bags,
        predictions.tracks,
        np.tile(log_prior.astype(np.float32), (len(predictions), 1)),
        "none" if predictions.bags.multi_label else "softmax",
    )


def _genre_scores(
    scored: Predictions,
    rare: NDArray[np.bool_],
    n_true: NDArray[np.int64],
    confusion: metrics.Confusion | None,
    ap: NDArray[np.float64],
) -> tuple[GenreScores, ...]:
    rows = [
        GenreScores(genre, int(n_train), bool(is_rare), int(n), average_precision=float(value))
        for genre, n_train, is_rare, n, value in zip(
            scored.genres, scored.train_counts, rare, n_true, ap, strict=True
        )
    ]
    if confusion is None:
        return tuple(rows)
    precision, recall = metrics.precisions(confusion), metrics.recalls(confusion)
    f1 = metrics.f1_scores(confusion)
    return tuple(
        replace(
            row,
            hits=int(confusion[g, g]),
            n_predicted=int(confusion[:, g].sum()),
            precision=float(precision[g]),
            recall=float(recall[g]),
            f1=float(f1[g]),
        )
        for g, row in enumerate(rows)
    )


def _reasons(n: int, n_tail: int, rare: NDArray[np.bool_], *, multi_label: bool) -> dict[str, str]:
    """Why a score is undefined, by its name."""
    single = ("accuracy", "balanced_accuracy", "macro_f1", "tail_recall")
    if not n:
        return dict.fromkeys((*single, "micro_ap", "macro_ap"), "no item has a known genre")
    if multi_label:
        return dict.fromkeys(
            single, "an item may have several genres; average precision ranks them"
        )
    if not n_tail:
        return {"tail_recall": "no item has a rare genre" if rare.any() else "no genre is rare"}
    return {}
