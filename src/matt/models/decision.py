"""How much of the shares of genres a decision takes back, chosen on validation bags."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.priors import as_logits
from ..evaluation.metrics import confusion_matrix, macro_f1

DECIDED = tuple(round(0.1 * step, 1) for step in range(16))  # taus of a decision
_BESIDE = 2  # neighbours on either side


def balanced_tau(
    likelihoods: NDArray[np.floating], shares: NDArray[np.float64], valid: Bags
) -> float:
    """How much of the shares of genres a decision takes back: the tau of the highest macro-F1.

    Of one validation set the best of many taus is best by luck as well, so each is judged together
    with its neighbours.

    Parameters
    ----------
    likelihoods : array, shape (b, G)
        Logits that take all genres for equally frequent.
    shares : array, shape (G,)
    valid : Bags
        Labelled; a bag counts as many times as it has tracks.
    """
    n, prior = len(valid.genres), as_logits(shares, "softmax")
    found = np.empty(len(DECIDED))
    for place, tau in enumerate(DECIDED):
        best = (likelihoods + (1 - tau) * prior).argmax(axis=1)
        found[place] = macro_f1(confusion_matrix(valid.labels, best, n, valid.sizes * 1.0))
    beside = np.pad(found, _BESIDE, mode="edge")
    smooth = np.convolve(beside, np.full(2 * _BESIDE + 1, 1 / (2 * _BESIDE + 1)), "valid")
    close = smooth >= smooth.max() - 1e-9
    return float(min(np.array(DECIDED)[close], key=lambda tau: abs(tau - 1)))
