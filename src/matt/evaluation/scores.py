"""What predictions scored: `Predictions` in, `Scores` out, always with the unit and the count.

The whole of them, or a part: by the size of their bags, by the training tracks of their genres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import DataError, first_few
from ..predictions import Predictions
from . import metrics
from .intervals import CONFIDENCE, ROUNDS, resample
from .items import Items, items_of
from .metrics import BINS, Reliability
from .tally import GUESSED, HEADLINE, KS, PROBABLE, RANKED, SETS, SHOTS, Tally, shots

SIZES: tuple[tuple[int, int | None], ...] = ((1, 1), (2, 3), (4, 9), (10, None))


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
        Items for which it was predicted, and those of them that have it; None, like the three
        shares below, where items may have several genres and nothing says which are given.
    precision, recall, f1 : float
    average_precision : float
    roc_auc, threshold : float
        Where items may have several genres: area under the ROC curve, and from which probability on
        it is given.
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
    roc_auc: float = nan
    threshold: float = nan


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
    accuracy : float
        Of the likely genre, in [0, 1]; NaN of multi-label predictions, like the next one.
    balanced_accuracy, macro_f1, tail_recall : float
        Of the balanced decision, see `matt.predictions.Decision`, in [0, 1]; of multi-label
        predictions the last two are of the genres that are given.
    micro_ap, macro_ap : float
        Average precision over all pairs of item and genre, and its mean over genres.
    tail_rule : str
        Which genres count as rare.
    genres : tuple of GenreScores, length G
    confusion : array, shape (G, G), or None
        Rows are true genres, columns those of the balanced decision, like the predicted ones of
        ``genres``; None for multi-label predictions.
    reasons : dict of str to str
        Why a score is NaN, by the name of the score.
    top_2, top_3, top_5 : float
        Share of items whose genre is among the first guesses; ties count against it.
    tail_top_2, tail_top_3, tail_top_5 : float
        The same over the items of rare genres.
    micro_f1, sample_f1, genres_given, genres_true : float
        Where items may have several genres: F1 of all pairs of item and genre, its mean over items,
        and how many genres an item is given and has in the mean. NaN else, like the next ones.
    macro_roc_auc, micro_roc_auc : float
        Area under the ROC curve: its mean over genres, and of all pairs of item and genre.
    precision_at_2, recall_at_2, precision_at_3, recall_at_3, precision_at_5, recall_at_5 : float
        How many of the first guesses an item has, and how many of its genres are among them.
    coverage_error : float
        Guesses that it takes to have all genres of an item.
    log_loss, brier, calibration_error : float
        Of probabilities, see `matt.evaluation.metrics`; NaN where the link is none.
    n_artists : int
        Artists of the items: what is resampled for intervals.
    intervals : dict of str to (low, high)
        By the name of the score; empty unless they were asked for.
    confidence : float
    rounds, seed : int
        Of the intervals, see `matt.evaluation.intervals`.
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
    micro_f1: float = nan
    sample_f1: float = nan
    macro_roc_auc: float = nan
    micro_roc_auc: float = nan
    precision_at_2: float = nan
    precision_at_3: float = nan
    precision_at_5: float = nan
    recall_at_2: float = nan
    recall_at_3: float = nan
    recall_at_5: float = nan
    coverage_error: float = nan
    genres_given: float = nan
    genres_true: float = nan
    n_artists: int = 0
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    confidence: float = CONFIDENCE
    rounds: int = 0
    seed: int = 0

    def __repr__(self) -> str:
        names = ("accuracy", "balanced_accuracy", "macro_f1", "tail_recall", "macro_ap")
        shown = [f"{name} {value:.3f}" for name in names if isfinite(value := getattr(self, name))]
        unknown = f", {self.n_unknown:,} unknown" if self.n_unknown else ""
        return f"Scores({self.n:,} items by {self.unit}{unknown}; {', '.join(shown)})"


@dataclass(frozen=True, eq=False)
class ShotScores:
    """What the genres with many, some or few training tracks scored.

    Attributes
    ----------
    name : str
        One of `tally.SHOTS`.
    least, most : int, int or None
        Training tracks of its genres.
    unit : str
    n_genres, n : int
        Its genres, and items that have one of them.
    recall, macro_ap : float
        Means over its genres that have items; NaN where there is none.
    top_2, top_3, top_5 : float
        Share of its items whose genre is among the first guesses of all genres.
    intervals : dict of str to (low, high)
        Of recall and top k; empty unless they were asked for.
    """

    name: str
    least: int
    most: int | None
    unit: str
    n_genres: int
    n: int
    recall: float = nan
    macro_ap: float = nan
    top_2: float = nan
    top_3: float = nan
    top_5: float = nan
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """Its genres in words, e.g. ``"20-100"``."""
        if self.most is None:
            return f"> {self.least - 1}"
        return f"{self.least}-{self.most}" if self.least else f"< {self.most + 1}"


def score(predictions: Predictions, *, unit: str = "bag", fewer_than: int | None = None) -> Scores:
    """Score predictions; items whose genre is unknown are left out and counted.

    Parameters
    ----------
    predictions : Predictions
        One genre an item or several, with any link: scores that are no probabilities are ranked.
    unit : {"bag", "track_of_bag", "track"}
        What one item is. ``"bag"``: a bag under its own label. ``"track_of_bag"``: each track under
        the *track's own* label, with the prediction of its bag; the result says ``"bag over
        tracks"``. Large bags weigh more then, and a bag that mixes genres cannot be wholly right.
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
    return score_with_intervals(predictions, unit=unit, rounds=0, fewer_than=fewer_than)


def score_with_intervals(
    predictions: Predictions | Items,
    *,
    unit: str = "bag",
    rounds: int = ROUNDS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    fewer_than: int | None = None,
) -> Scores:
    """Score predictions as `score` does, with the intervals of `bootstrap`.

    With ``rounds=0`` there are none. Items, e.g. those of bags of one size, are scored as they are.
    """
    items = items_of(predictions, unit=unit)
    tally = Tally.of(items, fewer_than=fewer_than)
    rare = tally.groups["tail"]
    n_tail = int(items.truth[:, rare].any(axis=1).sum())
    confusion = None
    if items.labels is not None:
        confusion = metrics.confusion_matrix(items.labels, items.balanced, len(items.genres))
    names = (*HEADLINE, *(SETS if tally.several else ()))
    made: dict[str, Any] = {name: tally.scores[name] for name in names}
    scores = Scores(
        unit=items.unit,
        n=len(items),
        n_unknown=items.n_unknown,
        n_tail=n_tail,
        tail_rule=metrics.tail_rule(items.train_counts, fewer_than=fewer_than),
        genres=_genre_scores(items, tally, confusion),
        confusion=confusion,
        reasons=_reasons(items, n_tail, rare),
        n_artists=items.n_artists,
        **made,
    )
    if not rounds or not len(items):
        return scores
    ends = resample(items, tally, rounds=rounds, seed=seed, confidence=confidence).intervals()
    return replace(scores, intervals=ends, confidence=confidence, rounds=rounds, seed=seed)


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


def size_name(least: int, most: int | None) -> str:
    """Sizes of bags in words.

    >>> [size_name(*size) for size in SIZES]
    ['1', '2-3', '4-9', '10+']
    """
    return f"{least}+" if most is None else str(least) if least == most else f"{least}-{most}"


def by_size(
    predictions: Predictions,
    *,
    unit: str = "bag",
    bags: Bags | None = None,
    rounds: int = 0,
    seed: int = 0,
) -> dict[str, Scores]:
    """Score bags of 1, 2-3, 4-9 and 10 or more tracks apart.

    Parameters
    ----------
    predictions : Predictions
    unit : {"bag", "track_of_bag", "track"}
        As in `score`.
    bags : Bags, optional
        Whose sizes count; by default those of the predictions. With it, tracks that are predicted
        alone can be told apart by the size of the album that they are from.
    rounds, seed : int
        With rounds, scores have the intervals of `bootstrap`, from the artists of each part.

    Returns
    -------
    dict of str to Scores
        By the size in words, in the order of `SIZES`; a size without items is there too.

    Raises
    ------
    DataError
        If a track is in none of the bags.
    """
    items = items_of(predictions, unit=unit)
    sizes = items.sizes if bags is None else _sizes_in(bags, items)
    found = {}
    for least, most in SIZES:
        inside = (sizes >= least) & (True if most is None else sizes <= most)
        part = items.take(np.flatnonzero(inside))
        found[size_name(least, most)] = score_with_intervals(part, rounds=rounds, seed=seed)
    return found


def by_shot(
    predictions: Predictions | Items, *, unit: str = "track_of_bag", rounds: int = 0, seed: int = 0
) -> tuple[ShotScores, ...]:
    """Score the genres with many (> 100), some (20-100) and few (< 20) training tracks apart.

    The paper's two tails, fewer than 100 and fewer than 200, come behind them.

    Parameters
    ----------
    predictions : Predictions or Items
    unit : {"track_of_bag", "bag", "track"}
        As in `score`.
    rounds, seed : int
        With rounds, recall and top k have the intervals of `bootstrap`.
    """
    items = items_of(predictions, unit=unit)
    tally = Tally.of(items)
    made = resample(items, tally, rounds=rounds, seed=seed) if rounds and len(items) else None
    ends = {} if made is None else made.intervals()
    names = ("recall", *(f"top_{k}" for k in KS))
    found = []
    for name, chosen in shots(items.train_counts).items():
        least, most = SHOTS[name]
        values = {score: tally.scores[f"{name}_{score}"] for score in names}
        found.append(
            ShotScores(
                name,
                least,
                most,
                items.unit,
                int(chosen.sum()),
                int(items.truth[:, chosen].any(axis=1).sum()),
                macro_ap=float(metrics.mean_defined(tally.average_precisions[chosen])),
                intervals={n: ends[key] for n in names if (key := f"{name}_{n}") in ends},
                **values,
            )
        )
    return tuple(found)


def reliability_of(predictions: Predictions, *, unit: str = "bag", bins: int = BINS) -> Reliability:
    """Sort the forecasts of predictions into bins of confidence, see `metrics.reliability`.

    Raises
    ------
    DataError
        If they are no probabilities.
    """
    items = items_of(predictions, unit=unit)
    if items.probabilities is None:
        raise DataError(
            f"calibration is of probabilities, but {items.no_probabilities}; "
            "use a model with a fitting link"
        )
    return metrics.reliability(items.probabilities, items.truth, link=items.link, bins=bins)


def _sizes_in(bags: Bags, items: Items) -> NDArray[np.int64]:
    """Size of the bag of each item, shape (n,)."""
    order = np.argsort(bags.track_ids)
    place = np.searchsorted(bags.track_ids, items.track_id, sorter=order)
    found = order[place.clip(max=len(order) - 1)]
    absent = items.track_id[bags.track_ids[found] != items.track_id]
    if absent.size:
        raise DataError(
            f"{absent.size} of {len(items)} predicted tracks are in none of the bags (first: "
            f"{first_few(absent)}); give bags of the same tracks"
        )
    sizes: NDArray[np.int64] = np.repeat(bags.sizes, bags.sizes)[found]
    return sizes


def _genre_scores(
    items: Items, tally: Tally, confusion: metrics.Confusion | None
) -> tuple[GenreScores, ...]:
    undefined = np.full(len(items.genres), nan)
    precision = recall = f1 = roc = limits = undefined
    n_predicted = hits = None
    if confusion is not None:
        n_predicted, hits = confusion.sum(axis=0), np.diagonal(confusion)
    elif items.given is not None and items.thresholds is not None:
        n_predicted, hits = items.given.sum(axis=0), (items.given & items.truth).sum(axis=0)
        limits = items.thresholds
    if n_predicted is not None and hits is not None:
        n_true = items.truth.sum(axis=0)
        precision, recall = metrics.ratio(hits, n_predicted), metrics.ratio(hits, n_true)
        f1 = metrics.f1_of(hits, n_true, n_predicted)
    if tally.several:
        roc = tally.roc_areas
    n, n_train, rare = items.truth.sum(axis=0), items.train_counts, tally.groups["tail"]
    areas = tally.average_precisions
    return tuple(
        GenreScores(
            genre,
            int(n_train[g]),
            bool(rare[g]),
            int(n[g]),
            n_predicted=None if n_predicted is None else int(n_predicted[g]),
            hits=None if hits is None else int(hits[g]),
            precision=float(precision[g]),
            recall=float(recall[g]),
            f1=float(f1[g]),
            average_precision=float(areas[g]),
            roc_auc=float(roc[g]),
            threshold=float(limits[g]),
        )
        for g, genre in enumerate(items.genres)
    )


def _reasons(items: Items, n_tail: int, rare: NDArray[np.bool_]) -> dict[str, str]:
    """Why a score is undefined, by its name."""
    known = (*HEADLINE, *(SETS if items.labels is None else ()))
    if not len(items):
        return dict.fromkeys(known, "no item has a known genre")
    reasons: dict[str, str] = {}
    if items.no_probabilities:
        reasons |= dict.fromkeys(PROBABLE, items.no_probabilities)
    if items.no_ranking:
        reasons |= dict.fromkeys((*RANKED, *GUESSED), items.no_ranking)
    if not n_tail:
        names = ("tail_recall", *(f"tail_top_{k}" for k in KS))
        reason = "no item has a rare genre" if rare.any() else "no genre is rare"
        reasons |= dict.fromkeys(names, reason)
    if items.labels is None:
        single = [name for name in HEADLINE if "accuracy" in name or "top_" in name]
        reasons |= dict.fromkeys(single, "an item may have several genres")
        if items.given is None:
            names = ("macro_f1", "tail_recall", "micro_f1", "sample_f1", "genres_given")
            reasons |= dict.fromkeys(names, "nothing says which genres are given")
        if not (items.truth.any(axis=0) & ~items.truth.all(axis=0)).any():
            reasons["macro_roc_auc"] = "no genre parts the items"
    for k in () if items.no_ranking else KS:
        if k >= len(items.genres):
            reason = f"{k} guesses leave none of {len(items.genres)} genres out"
            those = ("precision_at", "recall_at") if items.labels is None else ("top", "tail_top")
            reasons |= dict.fromkeys((f"{name}_{k}" for name in those), reason)
    return {name: reason for name, reason in reasons.items() if name in known}
