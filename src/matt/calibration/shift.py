"""Prior shift: what predictions would be if genres were as frequent as they are here, not there.

By Bayes' rule, logits that assume the prior a become logits that assume the prior p by

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

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..predictions import Predictions, probabilities_of
from .priors import Prior, TrainedPrior, as_logits, shares_of


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
        The same bags with other logits, of segments too.

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
    link = predictions.link
    trained, assumed = check_prior(prior, predictions.genres, link=link, trained=trained)
    if prior == "estimate":
        wanted = estimate_prior(predictions, assumed, start=trained.bags)
    else:
        wanted = shares_of(prior, predictions.genres, link=link, trained=trained)
    shift = (as_logits(wanted, link) - as_logits(assumed, link)).astype(np.float32)
    alone = predictions.segment_logits
    return replace(
        predictions,
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
