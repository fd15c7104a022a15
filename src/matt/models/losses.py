"""Losses: of bags and of their segments, with the prior of the genres taken into account.

With **logit adjustment** the loss sees ``logits + tau * log prior`` while prediction uses the
logits alone. A genre that is rare in training then has to win by a larger margin there, and
predictions are made as if (tau = 1) all genres were equally frequent. The prior is counted in the
unit of the loss: bags for the loss of bags, segments for the loss of segments.

References
----------
.. [1] Menon et al., "Long-tail learning via logit adjustment", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..bags import Bags
from .network import Output


@dataclass(frozen=True, eq=False)
class BagLoss:
    """Mean loss of the bags plus ``segment_weight`` times the mean loss of their segments.

    Attributes
    ----------
    link : {"softmax", "sigmoid"}
        A key of `LOSSES`.
    bag_shift, segment_shift : Tensor, shape (G,)
        tau * log prior, added to logits.
    segment_weight : float >= 0
    """

    link: str
    bag_shift: Tensor
    segment_shift: Tensor
    segment_weight: float

    def __call__(
        self,
        output: Output,
        labels: Tensor,
        bag: Tensor,
        *,
        share: tuple[float, float] = (1.0, 1.0),
    ) -> Tensor:
        """Loss of a batch.

        Parameters
        ----------
        output : Output
        labels : int Tensor, shape (B,), or bool Tensor, shape (B, G)
        bag : int Tensor, shape (N,)
            Bag of each segment.
        share : (float, float)
            Of a batch that is dealt to several processes, how much of its bags and of its segments
            this is. The losses of all shares sum to the loss of the batch.

        Returns
        -------
        Tensor, shape ()
            Of no bag at all 0, still with a gradient of 0 for each weight that was used.
        """
        if not len(labels):
            return output.logits.sum() + output.segment_logits.sum()
        loss = LOSSES[self.link]
        total = share[0] * loss(output.logits + self.bag_shift, labels)
        if self.segment_weight:
            alone = loss(output.segment_logits + self.segment_shift, labels[bag])
            total = total + self.segment_weight * share[1] * alone
        return total

    @classmethod
    def of(
        cls, bags: Bags, n_segments: NDArray[np.int64], *, tau: float, segment_weight: float
    ) -> BagLoss:
        """Loss with the priors of training bags.

        Parameters
        ----------
        bags : Bags
            All labelled; with several genres a bag the link is sigmoid.
        n_segments : int array, shape (b,)
            Segments of each bag.
        tau : float >= 0
            Logit adjustment.
        segment_weight : float >= 0
        """
        link = "sigmoid" if bags.multi_label else "softmax"
        one_each = np.ones(len(bags), np.int64)
        shifts = [
            tau * log_prior(bags.labels, weights, n_genres=len(bags.genres))
            for weights in (one_each, n_segments)
        ]
        bag_shift, segment_shift = (torch.from_numpy(s.astype(np.float32)) for s in shifts)
        return cls(link, bag_shift, segment_shift, segment_weight)

    def to(self, device: torch.device) -> BagLoss:
        """Return the same loss on a device."""
        shifts = self.bag_shift.to(device), self.segment_shift.to(device)
        return BagLoss(self.link, *shifts, self.segment_weight)


def log_prior(
    labels: NDArray[Any], weights: NDArray[np.int64], *, n_genres: int
) -> NDArray[np.float64]:
    """Log of how frequent each genre is, (count + 1/2) / sum; a genre without a bag stays finite.

    Parameters
    ----------
    labels : int array, shape (b,), or bool array, shape (b, G)
    weights : int array, shape (b,)
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


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, G) and genre indices (B,)."""
    return functional.cross_entropy(logits, labels)


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over bags and genres of the binary cross-entropy of logits and labels, both (B, G)."""
    return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": cross_entropy,
    "sigmoid": binary_cross_entropy,
}
