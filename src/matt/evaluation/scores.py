"""What predictions scored: `Predictions` in, `Scores` out, always with the unit and the count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..predictions import Predictions
from . import metrics, probability
from .ranking import average_precision, ranks
from .tally import HEADLINE, KS
from .units import Items, items_of


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
    top_2, top_3, top_5 : float
        Share of items whose genre is among the first guesses; ties count against it.
    tail_top_2, tail_top_3, tail_top_5 : float
        The same over the items of rare genres.
    log_loss, brier, calibration_error : float
        Of probabilities, see `matt.evaluation.probability`; NaN where the link is none.
    n_artists : int
        Artists of the items: what is resampled for intervals.
    intervals : dict of str to (low, high)
        By the name of the score; empty unless they were asked for.
    confidence : float
    rounds, seed : int
        Of the intervals, see `matt.evaluation.resampling`.
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
    top_2: float = nan
    top_3: float = nan
    top_5: float = nan
    tail_top_2: float = nan
    tail_top_3: float = nan
    tail_top_5: float = nan
    log_loss: float = nan
    brier: float = nan
    calibration_error: float = nan
    n_artists: int = 0
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    confidence: float = 0.95
    rounds: int = 0
    seed: int = 0


def score(predictions: Predictions, *, unit: str = "bag", fewer_than: int | None = None) -> Scores:
    """Score predictions; items whose genre is unknown are left out and counted.

    Parameters
    ----------
    predictions : Predictions
        One genre an item or several, with any link: scores that are no probabilities are ranked.
    unit : {"bag", "spread", "track"}
        What one item is. ``"bag"``: a bag under its own label. ``"spread"``: each track under the
        *track's own* label, with the prediction of its bag; the result says ``"bag over tracks"``.
        Large bags weigh more then, and a bag that mixes genres cannot be wholly right.
        ``"track"``: lone tracks. Where every bag is a lone track, so says the result.
    fewer_than : int, optional
        A genre is rare with fewer training tracks than this; `metrics.tail` has the default.

    Returns
    -------
    Scores

    Raises
    ------
    ConfigError
        If the unit is unknown.
    DataError
        If the unit is ``"track"``, but bags were predicted.
    """
    return score_items(items_of(predictions, unit=unit), fewer_than=fewer_than)


def score_items(items: Items, *, fewer_than: int | None = None) -> Scores:
    """Score items as `score` does, e.g. those of bags of one size."""
    counts, n_genres, truth = items.train_counts, len(items.genres), items.truth
    rare = metrics.tail(counts, fewer_than=fewer_than)
    ap, micro = np.full(n_genres, nan), nan
    if not items.no_ranking:
        micro = average_precision(items.values, truth)
        ap = np.array([average_precision(items.values[:, g], truth[:, g]) for g in range(n_genres)])
    confusion = None
    if items.labels is not None:
        confusion = metrics.confusion_matrix(items.labels, items.best, n_genres)
    of_tail = np.asarray(truth[:, rare].any(axis=1))  # (n,)
    made: dict[str, Any] = _of_probabilities(items) | _top_k(items, of_tail)
    return Scores(
        unit=items.unit,
        n=len(items),
        n_unknown=items.n_unknown,
        n_tail=int(of_tail.sum()),
        accuracy=nan if confusion is None else metrics.accuracy(confusion),
        balanced_accuracy=nan if confusion is None else metrics.balanced_accuracy(confusion),
        macro_f1=nan if confusion is None else metrics.macro_f1(confusion),
        tail_recall=nan if confusion is None else metrics.tail_recall(confusion, rare),
        micro_ap=micro,
        macro_ap=metrics.mean_defined(ap),
        tail_rule=metrics.tail_rule(counts, fewer_than=fewer_than),
        genres=_genre_scores(items, rare, confusion, ap),
        confusion=confusion,
        reasons=_reasons(items, int(of_tail.sum()), rare),
        n_artists=items.n_artists,
        **made,
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


def _top_k(items: Items, of_tail: NDArray[np.bool_]) -> dict[str, float]:
    if items.labels is None or not len(items) or items.no_ranking:
        return {}
    rank = ranks(items.values, items.labels)
    found = {k: rank <= k for k in KS if k < len(items.genres)}
    overall = {f"top_{k}": float(hit.mean()) for k, hit in found.items()}
    if not of_tail.any():
        return overall
    return overall | {f"tail_top_{k}": float(hit[of_tail].mean()) for k, hit in found.items()}


def _of_probabilities(items: Items) -> dict[str, float]:
    values, truth, link = items.probabilities, items.truth, items.link
    if values is None:
        return {}
    return {
        "log_loss": probability.log_loss(values, truth, link=link),
        "brier": probability.brier(values, truth, link=link),
        "calibration_error": probability.reliability(values, truth, link=link).error,
    }


def _genre_scores(
    items: Items,
    rare: NDArray[np.bool_],
    confusion: metrics.Confusion | None,
    ap: NDArray[np.float64],
) -> tuple[GenreScores, ...]:
    rows = [
        GenreScores(genre, int(n_train), bool(is_rare), int(n), average_precision=float(value))
        for genre, n_train, is_rare, n, value in zip(
            items.genres, items.train_counts, rare, items.truth.sum(axis=0), ap, strict=True
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


def _reasons(items: Items, n_tail: int, rare: NDArray[np.bool_]) -> dict[str, str]:
    """Why a score is undefined, by its name."""
    if not len(items):
        return dict.fromkeys(HEADLINE, "no item has a known genre")
    reasons: dict[str, str] = {}
    if items.no_probabilities:
        probable = ("log_loss", "brier", "calibration_error")
        reasons |= dict.fromkeys(probable, items.no_probabilities)
    if items.no_ranking:
        ranking = (
            "micro_ap",
            "macro_ap",
            *(f"{tail}top_{k}" for tail in ("", "tail_") for k in KS),
        )
        reasons |= dict.fromkeys(ranking, items.no_ranking)
    if items.labels is None:
        ranked = {"micro_ap", "macro_ap", "log_loss", "brier", "calibration_error"}
        single = [name for name in HEADLINE if name not in ranked]
        reason = "an item may have several genres; average precision ranks them"
        return reasons | dict.fromkeys(single, reason)
    if not n_tail:
        names = ("tail_recall", *(f"tail_top_{k}" for k in KS))
        reason = "no item has a rare genre" if rare.any() else "no genre is rare"
        reasons |= dict.fromkeys(names, reason)
    for k in () if items.no_ranking else KS:
        if k >= len(items.genres):
            reason = f"{k} guesses leave none of {len(items.genres)} genres out"
            reasons |= dict.fromkeys((f"top_{k}", f"tail_top_{k}"), reason)
    return reasons
