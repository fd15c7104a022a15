"""Priors: how frequent each genre is, was in training, or is taken to be by a model's outputs.

Predictions can be given another one. By Bayes' rule, logits that assume the prior a become logits
that assume the prior p by

    o_g + log p_g - log a_g,

and nothing is trained again. With several genres a bag each genre is a question of its own, and log
odds take the place of logs. A prior that nobody knows can be estimated from unlabelled predictions:
the maximum of their likelihood, found by EM [1]_.

References
----------
.. [1] Saerens, Latinne & Decaestecker, "Adjusting the outputs of a classifier to new a priori
   probabilities: a simple procedure", Neural Computation 14, 2002.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import ConfigError, DataError, check_arguments, did_you_mean, first_few, in_a_line
from ..files import read_json, reading
from ..predictions import Decision, Predictions, check_tau, probabilities_of

NAMES = ("training", "uniform", "estimate")
SMALLEST = 1e-12  # a share below it would be certainty, which no album could change
_SHARES = ("bags", "segments", "assumed", "tracks")
_ROUNDED = 0.01  # how far from 1 rounded shares may sum
Prior = str | Mapping[str, float]


@dataclass(frozen=True, eq=False)
class TrainedPrior:
    """Priors that belong to a model.

    Attributes
    ----------
    bags : array, shape (G,)
        Share of each genre among the training bags, or tracks where those are learned alone.
    segments : array, shape (G,)
        Among their segments.
    assumed : array, shape (G,), or None
        What the outputs take for the share of each genre. After plain cross-entropy it is ``bags``;
        with logit adjustment tau it goes like its power 1 - tau, so that with tau = 1 all genres
        are alike. None if it cannot be known.
    tracks : array, shape (G,), or None
        Among the training tracks. None where probability and decision are not apart: the largest
        output is taken as it is, of models of before and where a bag may have several genres, too.
    tau : float >= 0
        Of the decision, see `matt.predictions.Decision`; chosen on validation.
    """

    bags: NDArray[np.float64]
    segments: NDArray[np.float64]
    assumed: NDArray[np.float64] | None
    tracks: NDArray[np.float64] | None = None
    tau: float = 1.0

    __repr__ = in_a_line

    @property
    def decision(self) -> Decision | None:
        """How a genre is decided, if that is apart from probability and outputs assume ``bags``."""
        if self.tracks is None or self.assumed is None:
            return None
        if not np.array_equal(self.assumed, self.bags):
            return None
        return Decision(self.bags, self.tracks, self.tau)

    def to_json(self) -> dict[str, Any]:
        """Plain lists."""
        lists = {name: getattr(self, name) for name in _SHARES}
        return {n: None if v is None else v.tolist() for n, v in lists.items()} | {"tau": self.tau}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, n_genres: int) -> Self:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            If a share is missing or not in [0, 1].
        """
        lists = {name: content[name] for name in _SHARES[:-1]} | {"tracks": content.get("tracks")}
        arrays = {n: None if v is None else np.array(v, np.float64) for n, v in lists.items()}
        if arrays["bags"] is None or arrays["segments"] is None:
            raise ValueError("the prior has no shares of bags and segments")
        for name, shares in arrays.items():
            if shares is None:
                continue
            if shares.shape != (n_genres,) or not ((shares >= 0) & (shares <= 1)).all():
                raise ValueError(f"the prior {name!r} holds no {n_genres} shares in [0, 1]")
        tau = float(content.get("tau", 1.0))
        check_tau(tau)
        return cls(**arrays, tau=tau)  # type: ignore[arg-type]


def shares_of(
    prior: Prior, genres: Sequence[str], *, link: str, trained: TrainedPrior | None
) -> NDArray[np.float64]:
    """Share of each genre, shape (G,), that a prior other than ``"estimate"`` names.

    Parameters
    ----------
    prior, trained
        As in `matt.calibration.priors.reprior`.
    genres : sequence of str
    link : {"softmax", "sigmoid"}

    Raises
    ------
    ConfigError
        If the name is unknown, a genre is unknown or left out, or a number is no share.
    """
    if isinstance(prior, str):
        if prior not in NAMES:
            raise ConfigError(f"unknown prior {prior!r}; {did_you_mean(prior, NAMES)}")
        if prior == "training" and trained is not None:
            return trained.bags
        return np.full(len(genres), 1 / len(genres) if link == "softmax" else 0.5)
    for genre, share in prior.items():
        if genre not in genres:
            raise ConfigError(
                f"the prior names the unknown genre {genre!r}; {did_you_mean(genre, genres)}"
            )
        number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not (number and math.isfinite(share) and 0 <= share <= 1):
            raise ConfigError(f"the prior of {genre!r} is {share!r}; give a share in [0, 1]")
    absent = [genre for genre in genres if genre not in prior]
    if absent:
        raise ConfigError(
            f"the prior leaves out {len(absent)} of {len(genres)} genres ({first_few(absent)}); "
            "give each a share, 0 for what cannot be"
        )
    shares = np.array([prior[genre] for genre in genres], np.float64)
    if link == "softmax":
        if abs(shares.sum() - 1) > _ROUNDED:
            raise ConfigError(
                f"the shares of the prior sum to {shares.sum():.4g}; they must sum to 1"
            )
        shares = shares / shares.sum()
    return shares


def read_prior(text: str) -> Prior:
    """Read a prior as it is given on the command line: a name, JSON, or a file of JSON.

    Raises
    ------
    ConfigError
        If it is none of them.

    Examples
    --------
    >>> read_prior('{"Folk": 0.8, "Rock": 0.2}')
    {'Folk': 0.8, 'Rock': 0.2}
    """
    if text in NAMES:
        return text
    where = "the prior"
    if text.lstrip().startswith("{"):
        with reading(where, "is not JSON ({})", "correct it", kind=ConfigError):
            content = json.loads(text)
    elif Path(text).is_file():
        where = text
        content = read_json(text, remedy="correct it", kind=ConfigError)
    else:
        raise ConfigError(
            f"the prior {text!r} is no file and none of {', '.join(NAMES)}; give one of them, "
            'or shares such as \'{"Folk": 0.8, "Rock": 0.2}\''
        )
    if not isinstance(content, dict):
        raise ConfigError(f"{where} holds no shares; write it as " + "'{\"Folk\": 0.8, ...}'")
    return content


def log_prior(labels: NDArray[Any], weights: NDArray[Any], *, n_genres: int) -> NDArray[np.float64]:
    """Log of how frequent each genre is, (count + 1/2) / sum; a genre without a bag stays finite.

    Parameters
    ----------
    labels : int array, shape (b,), or bool array, shape (b, G)
    weights : array, shape (b,)
        What a bag counts.
    n_genres : int

    Returns
    -------
    array, shape (G,)
        With several genres a bag: the log *odds* of each genre, which is what a logit is there.

    Examples
    --------
    >>> np.exp(log_prior(np.array([0, 0, 0, 1]), np.array([1, 1, 1, 1]), n_genres=2))
    array([0.7, 0.3])
    """
    if labels.ndim == 2:
        counts = (labels * weights[:, None]).sum(axis=0) + 0.5
        odds: NDArray[np.float64] = np.log(counts / (weights.sum() + 1 - counts))
        return odds
    counts = np.bincount(labels, weights, minlength=n_genres) + 0.5
    prior: NDArray[np.float64] = np.log(counts / counts.sum())
    return prior


def as_logits(shares: NDArray[np.float64], link: str) -> NDArray[np.float64]:
    """Logs of shares, or with the link ``"sigmoid"`` their log odds; finite for 0 and 1."""
    shares = shares.clip(SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(shares) - (np.log1p(-shares) if link == "sigmoid" else 0))


def reprior(predictions: Predictions, prior: Prior, *, trained: TrainedPrior | None) -> Predictions:
    """Predictions as if the genres had other shares.

    Parameters
    ----------
    predictions : Predictions
        As the model gives them.
    prior : {"training", "uniform", "estimate"} or mapping of genre to share
        As frequent as in training; all alike; estimated from these predictions; or each genre's
        share, summing to 1. With several genres a bag a share is that of the bags that have the
        genre: ``"uniform"`` is one half, and they need not sum to 1.
    trained : TrainedPrior or None
        Of the model.

    Returns
    -------
    Predictions
        The same bags with other logits, of segments too. What they assume is in their decision.

    Raises
    ------
    ConfigError
        If the prior has an unknown name or genre, or shares that are none.
    DataError
        If the predictions are no probabilities, or their assumed prior is unknown.

    Examples
    --------
    A model that took two genres for equally frequent, where one has 4 of 5 bags:

    >>> from matt import Bags, Tracks
    >>> bags = Bags([7], [0, 1], [-1], genres=("Folk", "Rock"))
    >>> said = Predictions(bags, Tracks([7], [-1], bags.genres), np.zeros((1, 2), np.float32))
    >>> even = np.array([0.5, 0.5])
    >>> trained = TrainedPrior(even, even, even)
    >>> reprior(said, {"Folk": 0.8, "Rock": 0.2}, trained=trained).probabilities.round(3)
    array([[0.8, 0.2]])
    """
    check_arguments(predictions=(predictions, Predictions))
    link = predictions.link
    trained, assumed = check_prior(prior, predictions.genres, link=link, trained=trained)
    decision = predictions.decision
    if decision is not None:
        assumed = decision.bags
    if prior == "estimate":
        wanted = estimate_prior(predictions, assumed, start=trained.bags)
    else:
        wanted = shares_of(prior, predictions.genres, link=link, trained=trained)
    shift = (as_logits(wanted, link) - as_logits(assumed, link)).astype(np.float32)
    alone = predictions.segment_logits
    if decision is not None:
        tracks = trained.tracks if prior == "training" and trained.tracks is not None else wanted
        decision = replace(decision, bags=wanted, tracks=tracks)
    return replace(
        predictions,
        decision=decision,
        logits=predictions.logits + shift,
        # Attention sums to 1 over a bag, so what is added to each segment is added to the bag.
        segment_logits=None if alone is None else alone + shift,
    )


def check_prior(
    prior: Prior, genres: Sequence[str], *, link: str, trained: TrainedPrior | None
) -> tuple[TrainedPrior, NDArray[np.float64]]:
    """Refuse a prior that outputs cannot be given, before there are any.

    Parameters
    ----------
    prior, trained
        As in `reprior`.
    genres : sequence of str
    link : {"softmax", "sigmoid", "none"}

    Returns
    -------
    trained : TrainedPrior
    assumed : array, shape (G,)
        Shares that the outputs assume.

    Raises
    ------
    ConfigError, DataError
        As in `reprior`.
    """
    if link == "none":
        raise DataError(
            "these scores are no probabilities (link none), so no prior can be put into them; "
            "leave prior out, or train a model with tanh_pooled=false"
        )
    if trained is None or trained.assumed is None:
        raise DataError(
            "the prior that these outputs assume is unknown, since the head was normalised; leave "
            "prior out, or train with head_tuning='none' or 'crt'"
        )
    if prior != "estimate":
        shares_of(prior, genres, link=link, trained=trained)
    return trained, trained.assumed


def estimate_prior(
    predictions: Predictions,
    assumed: NDArray[np.float64],
    *,
    start: NDArray[np.float64],
    max_iter: int = 1000,
    tolerance: float = 1e-7,
) -> NDArray[np.float64]:
    """Shares of the genres among unlabelled bags, by EM.

    The share of a genre is the mean of its probability, probabilities follow from the shares, and
    so on in turn. Half a bag for each genre, in the shares of the start, is counted besides: a
    handful of albums cannot make a genre impossible, and bags that say nothing change nothing.

    Parameters
    ----------
    predictions : Predictions
        With probabilities; each bag counts once.
    assumed : array, shape (G,)
        Shares that their logits assume.
    start : array, shape (G,)
        Shares to begin with, such as those of the training bags.
    max_iter : int >= 1
    tolerance : float > 0
        Largest change of a share at which it ends.

    Returns
    -------
    array, shape (G,)
    """
    link, (n, n_genres) = predictions.link, predictions.logits.shape
    likelihood = predictions.logits.astype(np.float64) - as_logits(assumed, link)
    besides = n_genres / 2 if link == "softmax" else 1
    shares = start
    for _ in range(max_iter):
        found = probabilities_of(likelihood + as_logits(shares, link), link)  # (b, G)
        new = (found.sum(axis=0) + besides * start) / (n + besides)
        change = np.abs(new - shares).max()
        shares = new
        if change < tolerance:
            break
    return shares


def natural_prior(bags: Bags, counts: NDArray[np.int64]) -> TrainedPrior:
    """Priors of a classifier that learns from lone tracks as they come, which it assumes.

    Parameters
    ----------
    bags : Bags
        All labelled; each of its tracks is learned from alone.
    counts : int array, shape (n,)
        Segments of each track.
    """
    labels, n_genres = np.repeat(bags.labels, bags.sizes, axis=0), len(bags.genres)
    of_tracks, of_segments = (
        as_shares(log_prior(labels, weights, n_genres=n_genres), bags.multi_label)
        for weights in (np.ones(len(labels)), counts)
    )
    return TrainedPrior(of_tracks, of_segments, of_tracks)


def decision_of(bags: Bags) -> Decision:
    """Shares of genres among training bags, of one genre each, and among their tracks."""
    each, n_genres = (np.ones(len(bags)), bags.sizes), len(bags.genres)
    of_bags, of_tracks = (log_prior(bags.labels, weights, n_genres=n_genres) for weights in each)
    return Decision(as_shares(of_bags, several=False), as_shares(of_tracks, several=False))


def as_shares(logits: NDArray[np.float64], several: bool) -> NDArray[np.float64]:
    """Shares of genres whose logs, or log-odds where there are several a bag, are given."""
    if several:
        return np.asarray(1 / (1 + np.exp(-logits)))
    exp = np.exp(logits - logits.max())
    return np.asarray(exp / exp.sum())
