"""What training makes of how frequent the genres are: their weights, and what outputs assume."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.priors import TrainedPrior, log_prior
from .augmentation import expected_draws
from .settings import TrainingSettings


def genre_weights(
    bags: Bags, each: NDArray[Any], settings: TrainingSettings
) -> NDArray[np.float64] | None:
    """Weight of each genre in the class-balanced loss, shape (G,); None in any other.

    Divided by their mean over what is shown, so that a learning rate means the same as without.

    Parameters
    ----------
    bags : Bags
        With one genre a bag.
    each : array, shape (b,)
        What a bag counts: 1, or its segments.
    settings : TrainingSettings
    """
    if settings.loss != "class_balanced":
        return None
    n_genres, beta = len(bags.genres), settings.class_balanced_beta
    n = np.bincount(bags.labels, each, minlength=n_genres).clip(1)
    weights = (1 - beta) / (1 - beta**n)  # one over the effective number
    shown = np.bincount(
        bags.labels, each * expected_draws(bags, settings.sampler), minlength=n_genres
    )
    return np.asarray(weights * shown.sum() / (weights @ shown))


def trained_prior(
    bags: Bags, n_segments: NDArray[np.int64], settings: TrainingSettings
) -> TrainedPrior:
    """Priors of training bags, and what the outputs of a network trained with them assume.

    The loss is lowest where ``softmax(logits + tau log p)`` is the probability of each genre among
    what is shown, p being its share there, times its weight: logits then assume p^(1 - tau) w. Of
    the focal loss that is taken to hold as well.

    Parameters
    ----------
    bags, n_segments, settings
        As in `BagLoss.of`.

    Examples
    --------
    >>> bags = Bags(range(4), range(5), [0, 0, 0, 1])
    >>> prior = trained_prior(bags, np.ones(4, int), TrainingSettings(logit_adjustment=0))
    >>> prior.bags, prior.assumed
    (array([0.7, 0.3]), array([0.7, 0.3]))
    """
    several, n_genres = bags.multi_label, len(bags.genres)
    one_each = np.ones(len(bags))
    of_bags, of_segments, shown = (
        log_prior(bags.labels, counts, n_genres=n_genres)
        for counts in (one_each, n_segments, expected_draws(bags, settings.sampler))
    )
    assumed = (1 - settings.logit_adjustment) * shown
    weights = genre_weights(bags, one_each, settings)
    if weights is not None:
        assumed = assumed + np.log(weights)
    return TrainedPrior(*(_shares(logits, several) for logits in (of_bags, of_segments, assumed)))


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
        _shares(log_prior(labels, weights, n_genres=n_genres), bags.multi_label)
        for weights in (np.ones(len(labels)), counts)
    )
    return TrainedPrior(of_tracks, of_segments, of_tracks)


def _shares(logits: NDArray[np.float64], several: bool) -> NDArray[np.float64]:
    if several:
        return np.asarray(1 / (1 + np.exp(-logits)))
    exp = np.exp(logits - logits.max())
    return np.asarray(exp / exp.sum())
