"""All metrics of the same items: as they are, and of many weighted versions of them at once.

The scores of tables and the intervals about them come from here: they are of the same items and by
the same arithmetic. A resample counts every artist some number of times. Nearly all metrics follow
from sums over items, and those of a resample are the counts times the sums of each artist: one
matrix product for all resamples. Average precision needs an order besides. Items are sorted once;
what lies between two thresholds that matter is summed by artist, and a cumulative sum over
thresholds is the curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .items import Items
from .metrics import mean_defined, ranks, ratio

KS = (2, 3, 5)  # guesses, as in the paper's Table II
# Genres by their training tracks: least and most, None without end. The last two are the paper's.
SHOTS: dict[str, tuple[int, int | None]] = {
    "many": (101, None),
    "medium": (20, 100),
    "few": (0, 19),
    "below_100": (0, 99),
    "below_200": (0, 199),
}
PROBABLE = ("log_loss", "brier", "calibration_error")  # of probabilities, under one link
# The headline metrics, and what tables call them.
HEADINGS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "tail_recall": "tail recall",
    "micro_ap": "micro AP",
    "macro_ap": "macro AP",
    **{f"top_{k}": f"Top@{k}" for k in KS},
    **{f"tail_top_{k}": f"tail Top@{k}" for k in KS},
    **dict(zip(PROBABLE, ("log loss", "Brier", "calibration error"), strict=True)),
}
HEADLINE = tuple(HEADINGS)
# What there is besides where an item may have several genres.
SETS = {
    "micro_f1": "micro-F1",
    "sample_f1": "F1 by item",
    "macro_roc_auc": "macro ROC-AUC",
    "micro_roc_auc": "micro ROC-AUC",
    **{f"precision_at_{k}": f"precision@{k}" for k in KS},
    **{f"recall_at_{k}": f"recall@{k}" for k in KS},
    "coverage_error": "coverage error",
    "genres_given": "genres given",
    "genres_true": "genres true",
}
# Of the order of all items, which scores of two links do not share; and of that within each item.
RANKED = ("micro_ap", "macro_ap", "macro_roc_auc", "micro_roc_auc")
GUESSED = (
    *(name for name in HEADLINE if "top_" in name),
    *(name for name in SETS if "_at_" in name),
    "coverage_error",
)
_CELLS = 4_000_000  # numbers in memory at once: rounds times thresholds, or times artists

Counts = NDArray[np.float64]  # (R, A)


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums by artist of which every metric is made.

    Attributes
    ----------
    n_artists : int
    sums : dict of str to array, shape (A, ...)
    rankings : tuple of Ranking, length 1 + G
        Of all pairs of item and genre, and of each genre.
    groups : dict of str to bool array, shape (G,)
        Genres whose mean recall and top k are told apart; ``tail`` and `SHOTS`.
    losses : dict of str to float
        Log loss, Brier score and calibration error of the items as they are.
    several : bool
        Whether an item may have several genres; there are the metrics of `SETS` then.
    """

    n_artists: int
    sums: dict[str, NDArray[np.float64]]
    rankings: tuple[Ranking, ...]
    groups: dict[str, NDArray[np.bool_]]
    losses: dict[str, float]
    several: bool = False

    @classmethod
    def of(cls, items: Items, *, fewer_than: int | None = None) -> Tally:
        """Sum items by artist; genres of fewer training tracks than ``fewer_than`` are the tail."""
        n_artists, n_genres = items.n_artists, len(items.genres)
        ranked = not items.no_ranking
        rows, genres = np.nonzero(items.truth)
        by_genre = _Sums(items.artist, n_artists, n_genres)
        sums = {"n_true": by_genre(rows, genres)}
        if items.labels is not None:
            every = np.arange(len(items))
            hits = np.flatnonzero(items.balanced == items.labels)
            place = ranks(items.values, items.labels)
            likely = np.bincount(items.artist, items.best == items.labels, minlength=n_artists)
            sums["likely_hits"] = likely.astype(np.float64)
            sums["hits"] = by_genre(hits, items.labels[hits])
            sums["n_predicted"] = by_genre(every, items.balanced)
            for k in (k for k in KS if ranked and k < n_genres):
                found = np.flatnonzero(place <= k)
                sums[f"top_{k}"] = by_genre(found, items.labels[found])
        else:
            sums |= _of_sets(items, by_genre)
        losses: dict[str, float] = {}
        if items.probabilities is not None:
            sums |= _of_probabilities(items, items.probabilities)
            losses = _losses(items, items.probabilities)
        scores, artist = items.values, items.artist
        truth = items.truth & ranked  # where nothing is true, average precision is undefined
        several = items.labels is None
        flat = Ranking.of(
            scores.ravel(), truth.ravel(), artist.repeat(n_genres), n_artists, roc=several
        )
        alone = [
            Ranking.of(scores[:, g], truth[:, g], artist, n_artists, roc=several)
            for g in range(n_genres)
        ]
        rare = metrics.tail(items.train_counts, fewer_than=fewer_than)
        groups = {"tail": rare} | shots(items.train_counts)
        return cls(n_artists, sums, (flat, *alone), groups, losses, several)

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that `metrics` gives."""
        told = [f"{name}_recall" for name in self.groups]
        told += [f"{name}_top_{k}" for name in self.groups for k in KS]
        return tuple(dict.fromkeys((*HEADLINE, *told, *(SETS if self.several else ()))))

    @cached_property
    def scores(self) -> dict[str, float]:
        """Every metric of the items as they are; NaN where it is undefined."""
        found = dict.fromkeys(self.names, float("nan")) | self.losses
        found["micro_ap"], *by_genre = (ranking.area for ranking in self.rankings)
        found["macro_ap"] = float(mean_defined(np.array(by_genre)))
        if self.several:
            found["micro_roc_auc"] = self.rankings[0].roc_area
            found["macro_roc_auc"] = float(mean_defined(self.roc_areas))
        made = {name: values.sum(axis=0) for name, values in self.sums.items()}
        return found | {name: float(value) for name, value in self._of_sums(made).items()}

    @property
    def average_precisions(self) -> NDArray[np.float64]:
        """Average precision of each genre against the others, shape (G,); NaN without an item."""
        return np.array([ranking.area for ranking in self.rankings[1:]])

    @property
    def roc_areas(self) -> NDArray[np.float64]:
        """Area under the ROC curve of each genre, shape (G,), of items of several genres."""
        return np.array([ranking.roc_area for ranking in self.rankings[1:]])

    def n_of(self, group: str) -> int:
        """Items that have a genre of one of the groups (with several genres an item, pairs)."""
        return int(self.sums["n_true"][:, self.groups[group]].sum())

    def metrics(self, counts: Counts) -> dict[str, NDArray[np.float64]]:
        """Metrics of each resample.

        Parameters
        ----------
        counts : float array, shape (R, A)
            How often each artist counts.

        Returns
        -------
        dict of str to array, shape (R,)
            NaN where a metric is undefined.
        """
        # (R, ...) of each sum
        made = {name: np.tensordot(counts, sums, axes=1) for name, sums in self.sums.items()}
        undefined = np.full(len(counts), np.nan)
        found = dict.fromkeys(self.names, undefined)
        found |= self._of_ranks(counts)
        found |= self._of_sums(made)
        if "log_loss" in made:
            n = made["n"]
            found |= {name: ratio(made[name], n) for name in ("log_loss", "brier")}
            gaps = np.abs(made["right"] - made["confidence"]).sum(axis=1)  # (R, bins) -> (R,)
            found["calibration_error"] = ratio(gaps, made["forecasts"])
        return found

    def _of_sums(self, made: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
        """Of sums over artists: (G,) -> one number each, (R, G) -> (R,)."""
        n_true = made["n_true"]
        n = n_true.sum(axis=-1)
        found: dict[str, Any] = {}
        if "hits" in made:
            hits, n_predicted = made["hits"], made["n_predicted"]
            recall = ratio(hits, n_true)
            found["macro_f1"] = mean_defined(metrics.f1_of(hits, n_true, n_predicted))
            for name, chosen in self.groups.items():
                found[f"{name}_recall"] = mean_defined(recall[..., chosen])
            if self.several:
                n_given = n_predicted.sum(axis=-1)
                found["micro_f1"] = metrics.f1_of(hits.sum(axis=-1), n, n_given)
                found["genres_given"] = ratio(n_given, made["items"])
            else:
                found["accuracy"] = ratio(made["likely_hits"], n)
                found["balanced_accuracy"] = mean_defined(recall)
        for k in (k for k in KS if f"top_{k}" in made):
            found[f"top_{k}"] = ratio(made[f"top_{k}"].sum(axis=-1), n)
            for name, chosen in self.groups.items():
                of_group = n_true[..., chosen].sum(axis=-1)
                share = ratio(made[f"top_{k}"][..., chosen].sum(axis=-1), of_group)
                found[f"{name}_top_{k}"] = share
        if self.several:
            found["genres_true"] = ratio(n, made["items"])
            found |= {name: ratio(made[name], made["items"]) for name in SETS if name in made}
        return found

    def _of_ranks(self, counts: Counts) -> dict[str, NDArray[np.float64]]:
        turned = np.ascontiguousarray(counts.T)  # (A, R)
        micro, *by_genre = (ranking.average_precision(turned) for ranking in self.rankings)
        found = {"micro_ap": micro, "macro_ap": mean_defined(np.stack(by_genre, axis=1))}
        if self.several:
            micro, *by_genre = (ranking.roc_auc(turned) for ranking in self.rankings)
            found["micro_roc_auc"] = micro
            found["macro_roc_auc"] = mean_defined(np.stack(by_genre, axis=1))
        return found


@dataclass(frozen=True, eq=False)
class Ranking:
    """Scores in order; only thresholds at which something is true matter for their areas.

    Attributes
    ----------
    area, roc_area : float
        Average precision and area under the ROC curve of all scores, each counted once; NaN where
        nothing is true, or where that curve was not asked for.
    step : int array, shape (m,)
        Which of J such thresholds reaches a score first, from the highest on; J where none does.
    true : bool array, shape (m,)
    tied : bool array, shape (m,)
        Whether a score lies on such a threshold.
    artist : int array, shape (m,)
    n_artists : int
    """

    area: float
    roc_area: float
    step: NDArray[np.int64]
    true: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    artist: NDArray[np.int64]
    n_artists: int

    @classmethod
    def of(
        cls,
        scores: NDArray[np.floating],
        truth: NDArray[np.bool_],
        artist: NDArray[np.int64],
        n_artists: int,
        *,
        roc: bool = False,
    ) -> Ranking:
        """Sort scores, shape (m,); equal ones are one threshold."""
        area = metrics.average_precision(scores, truth)
        roc_area = metrics.roc_auc(scores, truth) if roc else float("nan")
        order = np.argsort(-scores, kind="stable")
        scores = scores[order]
        tie = np.cumsum(np.append(False, scores[1:] != scores[:-1])[: len(scores)])
        true = truth[order]
        steps = np.unique(tie[true])
        tied, step = np.isin(tie, steps), np.searchsorted(steps, tie)
        return cls(area, roc_area, step, true, tied, artist[order], n_artists)

    @cached_property
    def _counted(self) -> tuple[Any, Any]:
        """Pairs between one threshold and the next, and the true ones: sparse, (J, A) each."""
        n_steps = self._n_steps
        below = self.step < n_steps  # what ranks lower than all that is true changes nothing
        return self._by_step(below), self._by_step(self.true)

    @property
    def _n_steps(self) -> int:
        return int(self.step[self.true].max(initial=-1)) + 1

    def _by_step(self, which: NDArray[np.bool_]) -> Any:
        """How many of the chosen pairs each artist has at each threshold: sparse, (J, A)."""
        from scipy.sparse import csr_array

        return csr_array(
            (np.ones(which.sum()), (self.step[which], self.artist[which])),
            shape=(self._n_steps, self.n_artists),
        )

    def average_precision(self, turned: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average precision of each resample: counts (A, R) -> (R,); NaN where nothing is true."""
        above, hits = self._counted
        n_steps, n_rounds = above.shape[0], turned.shape[1]
        found = np.full(n_rounds, np.nan)
        if not n_steps:
            return found
        wide = max(1, _CELLS // n_steps)
        for start in range(0, n_rounds, wide):
            part = np.ascontiguousarray(turned[:, start : start + wide])
            new = hits @ part  # (J, r)
            true = np.cumsum(new, axis=0)
            precision = ratio(true, np.cumsum(above @ part, axis=0))
            area = np.einsum("jr,jr->r", new, np.nan_to_num(precision, copy=False))
            found[start : start + wide] = ratio(area, true[-1])
        return found

    def roc_auc(self, turned: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area under the ROC curve of each resample: counts (A, R) -> (R,); NaN as above, and where
        nothing is false.
        """
        above, hits = self._counted
        n_steps, n_rounds = above.shape[0], turned.shape[1]
        found = np.full(n_rounds, np.nan)
        if not n_steps:
            return found
        tied = self._by_step(self.tied & ~self.true)
        false = np.bincount(self.artist[~self.true], minlength=self.n_artists)
        wide = max(1, _CELLS // n_steps)
        for start in range(0, n_rounds, wide):
            part = np.ascontiguousarray(turned[:, start : start + wide])
            new, n_false = hits @ part, false @ part  # (J, r), (r,)
            lower = n_false - np.cumsum(above @ part - new, axis=0) + tied @ part / 2
            area = np.einsum("jr,jr->r", new, lower)
            found[start : start + wide] = ratio(area, new.sum(axis=0) * n_false)
        return found


def shots(train_counts: NDArray[np.integer]) -> dict[str, NDArray[np.bool_]]:
    """Which genres have many, some or few training tracks, shape (G,) each; see `SHOTS`."""
    return {
        name: (train_counts >= least) & (True if most is None else train_counts <= most)
        for name, (least, most) in SHOTS.items()
    }


def rounds_at_once(n_artists: int) -> int:
    """How many resamples fit into memory together."""
    return max(1, _CELLS // max(n_artists, 1))


@dataclass(frozen=True)
class _Sums:
    """How many of the chosen items each artist has in each column."""

    artist: NDArray[np.int64]
    n_artists: int
    n_columns: int

    def __call__(
        self,
        rows: NDArray[np.int64],
        column: NDArray[np.int64],
        weights: NDArray[Any] | None = None,
    ) -> NDArray[np.float64]:
        flat = np.bincount(
            self.artist[rows] * self.n_columns + column,
            weights,
            minlength=self.n_artists * self.n_columns,
        )
        return flat.reshape(self.n_artists, self.n_columns).astype(np.float64)


def _of_sets(items: Items, by_genre: _Sums) -> dict[str, NDArray[np.float64]]:
    """Sums of what is known of items that may have several genres."""
    artist, n_artists, truth = items.artist, items.n_artists, items.truth

    def by_artist(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(artist, values, minlength=n_artists).astype(np.float64)

    n_true = truth.sum(axis=1)
    sums = {"items": by_artist(np.ones(len(items)))}
    if items.given is not None:
        right = truth & items.given
        sums["hits"] = by_genre(*np.nonzero(right))
        sums["n_predicted"] = by_genre(*np.nonzero(items.given))
        f1 = metrics.f1_of(right.sum(axis=1), n_true, items.given.sum(axis=1))
        sums["sample_f1"] = by_artist(f1)
    if not items.no_ranking:
        sums["coverage_error"] = by_artist(metrics.guesses_needed(items.values, truth))
        found = metrics.found_among(items.values, truth)
        for k in (k for k in KS if k < truth.shape[1]):
            sums[f"precision_at_{k}"] = by_artist(found[:, k - 1] / k)
            sums[f"recall_at_{k}"] = by_artist(found[:, k - 1] / n_true)
    return sums


def _of_probabilities(items: Items, values: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    artist, n_artists, link = items.artist, items.n_artists, items.link
    rows, confidence, right = metrics.forecasts(values, items.truth, link=link)
    in_bins = _Sums(artist, n_artists, metrics.BINS)
    place = metrics.bin_of(confidence, metrics.BINS)
    losses = metrics.log_losses(values, items.truth, link=link)
    squares = metrics.squared_errors(values, items.truth, link=link)
    return {
        "n": np.bincount(artist, minlength=n_artists).astype(np.float64),
        "log_loss": np.bincount(artist, losses, minlength=n_artists).astype(np.float64),
        "brier": np.bincount(artist, squares, minlength=n_artists).astype(np.float64),
        "forecasts": np.bincount(artist[rows], minlength=n_artists).astype(np.float64),
        "confidence": in_bins(rows, place, confidence),
        "right": in_bins(rows, place, right),
    }


def _losses(items: Items, values: NDArray[np.floating]) -> dict[str, float]:
    told: dict[str, Any] = {"truth": items.truth, "link": items.link}
    return {
        "log_loss": metrics.log_loss(values, **told),
        "brier": metrics.brier(values, **told),
        "calibration_error": metrics.reliability(values, **told).error,
    }
