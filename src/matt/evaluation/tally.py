"""All metrics of many weighted versions of the same items at once.

A resample counts every artist some number of times. Nearly all metrics follow from sums over
items, and those of a resample are the counts times the sums of each artist: one matrix product for
all resamples. Average precision needs an order besides. Items are sorted once; what lies between
two thresholds that matter is summed by artist, and a cumulative sum over thresholds is the curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import probability
from .metrics import tail
from .ranking import ranks
from .units import Items

KS = (2, 3, 5)  # guesses, as in the paper's Table II
# Genres by their training tracks: least and most, None without end. The last two are the paper's.
SHOTS: dict[str, tuple[int, int | None]] = {
    "many": (101, None),
    "medium": (20, 100),
    "few": (0, 19),
    "below_100": (0, 99),
    "below_200": (0, 199),
}
HEADLINE = (
    *("accuracy", "balanced_accuracy", "macro_f1", "tail_recall", "micro_ap", "macro_ap"),
    *(f"top_{k}" for k in KS),
    *(f"tail_top_{k}" for k in KS),
    *("log_loss", "brier", "calibration_error"),
)
_CELLS = 4_000_000  # numbers in memory at once: rounds times thresholds, or times artists

Counts = NDArray[np.float64]  # (R, A)


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums by artist of which every metric of a resample is made.

    Attributes
    ----------
    n_artists : int
    sums : dict of str to array, shape (A, ...)
    rankings : tuple of Ranking, length 1 + G
        Of all pairs of item and genre, and of each genre.
    groups : dict of str to bool array, shape (G,)
        Genres whose mean recall and top k are told apart; ``tail`` and `SHOTS`.
    """

    n_artists: int
    sums: dict[str, NDArray[np.float64]]
    rankings: tuple[Ranking, ...]
    groups: dict[str, NDArray[np.bool_]]

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
            hits = np.flatnonzero(items.best == items.labels)
            place = ranks(items.values, items.labels)
            sums["hits"] = by_genre(hits, items.labels[hits])
            sums["n_predicted"] = by_genre(every, items.best)
            for k in (k for k in KS if ranked and k < n_genres):
                found = np.flatnonzero(place <= k)
                sums[f"top_{k}"] = by_genre(found, items.labels[found])
        if items.probabilities is not None:
            sums |= _of_probabilities(items, items.probabilities)
        scores, artist = items.values, items.artist
        truth = items.truth & ranked  # where nothing is true, average precision is undefined
        flat = Ranking.of(scores.ravel(), truth.ravel(), artist.repeat(n_genres), n_artists)
        alone = [Ranking.of(scores[:, g], truth[:, g], artist, n_artists) for g in range(n_genres)]
        rare = tail(items.train_counts, fewer_than=fewer_than)
        return cls(n_artists, sums, (flat, *alone), {"tail": rare} | shots(items.train_counts))

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that `metrics` gives."""
        told = [f"{name}_recall" for name in self.groups]
        told += [f"{name}_top_{k}" for name in self.groups for k in KS]
        return tuple(dict.fromkeys((*HEADLINE, *told)))

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
        if "hits" in made:
            found |= self._of_genres(made)
        if "log_loss" in made:
            n = made["n"]
            found |= {name: _ratio(made[name], n) for name in ("log_loss", "brier")}
            gaps = np.abs(made["right"] - made["confidence"]).sum(axis=1)  # (R, bins) -> (R,)
            found["calibration_error"] = _ratio(gaps, made["forecasts"])
        return found

    def _of_genres(self, made: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        n_true, hits = made["n_true"], made["hits"]  # (R, G)
        recall = _ratio(hits, n_true)
        f1 = np.where(n_true > 0, _ratio(2 * hits, n_true + made["n_predicted"]), np.nan)
        n = n_true.sum(axis=1)
        found = {
            "accuracy": _ratio(hits.sum(axis=1), n),
            "balanced_accuracy": _mean_defined(recall),
            "macro_f1": _mean_defined(f1),
        }
        kept = [k for k in KS if f"top_{k}" in made]
        found |= {f"top_{k}": _ratio(made[f"top_{k}"].sum(axis=1), n) for k in kept}
        for name, chosen in self.groups.items():
            found[f"{name}_recall"] = _mean_defined(recall[:, chosen])
            of_group = n_true[:, chosen].sum(axis=1)
            for k in kept:
                share = _ratio(made[f"top_{k}"][:, chosen].sum(axis=1), of_group)
                found[f"{name}_top_{k}"] = share
        return found

    def _of_ranks(self, counts: Counts) -> dict[str, NDArray[np.float64]]:
        turned = np.ascontiguousarray(counts.T)  # (A, R)
        micro, *by_genre = (ranking.average_precision(turned) for ranking in self.rankings)
        return {"micro_ap": micro, "macro_ap": _mean_defined(np.stack(by_genre, axis=1))}


@dataclass(frozen=True, eq=False)
class Ranking:
    """Scores in order, as counts by artist between thresholds.

    Only thresholds at which something is true matter for average precision; J is their number.

    Attributes
    ----------
    above : sparse array, shape (J, A)
        Pairs between one threshold and the next higher one.
    true : sparse array, shape (J, A)
        Those of them that are true.
    """

    above: Any
    true: Any

    @classmethod
    def of(
        cls,
        scores: NDArray[np.floating],
        truth: NDArray[np.bool_],
        artist: NDArray[np.int64],
        n_artists: int,
    ) -> Ranking:
        """Sort scores, shape (m,); equal ones are one threshold."""
        from scipy.sparse import csr_array

        order = np.argsort(-scores, kind="stable")
        scores = scores[order]
        tie = np.cumsum(np.append(False, scores[1:] != scores[:-1])[: len(scores)])
        true, artist = truth[order], artist[order]
        steps = np.unique(tie[true])
        step = np.searchsorted(steps, tie)
        below = step < len(steps)  # what ranks lower than all that is true changes nothing
        shape = len(steps), n_artists
        above, hits = (
            csr_array((np.ones(which.sum()), (step[which], artist[which])), shape=shape)
            for which in (below, true)
        )
        return cls(above, hits)

    def average_precision(self, turned: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average precision of each resample: counts (A, R) -> (R,); NaN where nothing is true."""
        n_steps, n_rounds = self.above.shape[0], turned.shape[1]
        found = np.full(n_rounds, np.nan)
        if not n_steps:
            return found
        wide = max(1, _CELLS // n_steps)
        for start in range(0, n_rounds, wide):
            part = np.ascontiguousarray(turned[:, start : start + wide])
            new = self.true @ part  # (J, r)
            true = np.cumsum(new, axis=0)
            precision = _ratio(true, np.cumsum(self.above @ part, axis=0))
            area = np.einsum("jr,jr->r", new, np.nan_to_num(precision, copy=False))
            found[start : start + wide] = _ratio(area, true[-1])
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


def _of_probabilities(items: Items, values: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    artist, n_artists, link = items.artist, items.n_artists, items.link
    rows, confidence, right = probability.forecasts(values, items.truth, link=link)
    in_bins = _Sums(artist, n_artists, probability.BINS)
    place = probability.bin_of(confidence, probability.BINS)
    losses = probability.log_losses(values, items.truth, link=link)
    squares = probability.squared_errors(values, items.truth, link=link)
    return {
        "n": np.bincount(artist, minlength=n_artists).astype(np.float64),
        "log_loss": np.bincount(artist, losses, minlength=n_artists).astype(np.float64),
        "brier": np.bincount(artist, squares, minlength=n_artists).astype(np.float64),
        "forecasts": np.bincount(artist[rows], minlength=n_artists).astype(np.float64),
        "confidence": in_bins(rows, place, confidence),
        "right": in_bins(rows, place, right),
    }


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    empty = np.full(np.shape(part), np.nan)
    ratio: NDArray[np.float64] = np.divide(part, whole, out=empty, where=whole > 0)
    return ratio


def _mean_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean along the last axis of what is not NaN; NaN where all is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1))
