"""Temperature: one number by which logits are divided, so that 80 % sure is right in 80 %."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .priors import as_logits, log_prior

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(
    logits: NDArray[Any], labels: NDArray[Any], link: str, *, assumed: NDArray[np.float64] | None
) -> float:
    """Temperature of the lowest log loss on labelled bags that were not trained on.

    Logits that assume another prior than the bags have are first given the bags' own: a temperature
    corrects how sure a model is and must not stand in for a prior. No genre changes its place, as
    all logits are divided alike. Each bag is as if it had failed with probability 1 / (b + 2), as
    in Platt's scaling: a few bags that are all right would otherwise ask for certainty.

    Parameters
    ----------
    logits : array, shape (b, G)
    labels : int array, shape (b,), or bool array, shape (b, G)
        All known.
    link : {"softmax", "sigmoid"}
    assumed : array, shape (G,), or None
        Shares of the genres that the logits assume; None takes them as those of the bags.

    Returns
    -------
    float
        Between 0.05 and 20. 1 where nothing lowers the log loss, which so never rises.

    References
    ----------
    .. [1] Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    .. [2] Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    from scipy.optimize import minimize_scalar

    n_genres = logits.shape[1]
    shift = np.zeros(n_genres)
    if assumed is not None:
        ours = log_prior(labels, np.ones(len(labels)), n_genres=n_genres)
        shift = ours - as_logits(assumed, link)
    truth = labels if labels.ndim == 2 else np.eye(n_genres)[labels]  # (b, G)
    doubt = 1 / (len(labels) + 2)
    others = 1 if link == "sigmoid" else max(n_genres - 1, 1)
    soft = np.where(truth, 1 - doubt, doubt / others)
    values = logits.astype(np.float64)

    def loss(temperature: float, targets: NDArray[Any]) -> float:
        return log_loss(values / temperature + shift, targets, link)

    found = minimize_scalar(
        lambda log: loss(float(np.exp(log)), soft),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    temperature = float(np.exp(found.x))
    return temperature if loss(temperature, truth) < loss(1.0, truth) else 1.0


def log_loss(logits: NDArray[Any], targets: NDArray[Any], link: str) -> float:
    """Mean over bags of the cross-entropy of targets (b, G) and logits (b, G), in nats.

    With the link ``"sigmoid"`` it is the mean over genres as well.
    """
    logits = logits.astype(np.float64)
    if link == "sigmoid":
        return float(np.mean(np.logaddexp(0, logits) - targets * logits))
    log_sum = np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return float(-np.mean(np.sum(targets * (logits - log_sum), axis=1)))
