"""Losses: of bags and of their segments, with the prior of the genres taken into account.

With **logit adjustment** [1]_ the loss sees ``logits + tau * log prior`` while prediction uses the
logits alone. A genre that is rare in training then has to win by a larger margin there, and
predictions are made as if (tau = 1) all genres were equally frequent. The prior is counted in the
unit of the loss: bags for the loss of bags, segments for the loss of segments. With tau = 1 and
plain counts this is the balanced softmax of [2]_; here each count has one half more, so that a
genre without a bag stays finite.

The **class-balanced** loss [3]_ weighs a bag by how little its genre has of new things to show,
(1 - beta) / (1 - beta^n) with n bags of the genre; the **focal** loss [4]_ by how badly it is
predicted, (1 - p)^gamma with p the probability of its own genre.

References
----------
.. [1] Menon et al., "Long-tail learning via logit adjustment", ICLR 2021.
.. [2] Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020.
.. [3] Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.
.. [4] Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..bags import Bags
from ..calibration.priors import log_prior
from .augmentation import expected_draws
from .network import Output
from .priors import genre_weights
from .segments import segment_sum
from .settings import TrainingSettings

_TINY = 1e-12


class Mix(NamedTuple):
    """Which bag of the batch each one is mixed with.

    Attributes
    ----------
    partner : int Tensor, shape (B,)
    share : Tensor, shape (B,)
        Of the bag itself, in [0, 1].
    """

    partner: Tensor
    share: Tensor


@dataclass(frozen=True, eq=False)
class Term:
    """Loss of one unit, bags or segments.

    Attributes
    ----------
    link : {"softmax", "sigmoid"}
        A key of `LOSSES`.
    shift : Tensor, shape (G,)
        tau * log prior, added to logits.
    weights : Tensor, shape (G,), or None
        What an item of each genre counts; the mean over training items is 1.
    gamma : float >= 0
        Of the focal loss; 0 leaves it out.
    """

    link: str
    shift: Tensor
    weights: Tensor | None = None
    gamma: float = 0.0

    def __call__(self, logits: Tensor, labels: Tensor, mix: Mix | None = None) -> Tensor:
        """Mean loss of logits (B, G) and labels (B,) or (B, G).

        Mixed bags have mixed logits, and the loss of either label in the same proportion.
        """
        if mix is None:
            return self._each(logits + self.shift, labels).mean()
        own = mix.share[:, None]
        mixed = own * logits + (1 - own) * logits[mix.partner] + self.shift
        there = self._each(mixed, labels[mix.partner])
        return (mix.share * self._each(mixed, labels) + (1 - mix.share) * there).mean()

    def _each(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = LOSSES[self.link](logits, labels, self.gamma)
        return loss if self.weights is None else self.weights[labels] * loss

    def to(self, device: torch.device) -> Term:
        """Return the same term on a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Term(self.link, self.shift.to(device), weights, self.gamma)


@dataclass(frozen=True, eq=False)
class BagLoss:
    """Mean loss of the bags plus ``segment_weight`` times the mean loss of their segments.

    Attributes
    ----------
    bags, segments : Term
    segment_weight : float >= 0
    """

    bags: Term
    segments: Term
    segment_weight: float

    def __call__(
        self,
        output: Output,
        labels: Tensor,
        bag: Tensor,
        *,
        share: tuple[float, float] = (1.0, 1.0),
        mix: Mix | None = None,
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
        mix : Mix, optional
            Mix the bags; segments stay as they are.

        Returns
        -------
        Tensor, shape ()
            Of no bag at all 0, still with a gradient of 0 for each weight that was used.
        """
        if not len(labels):
            return output.logits.sum() + output.segment_logits.sum()
        total = share[0] * self.bags(output.logits, labels, mix)
        if self.segment_weight:
            alone = self.segments(output.segment_logits, labels[bag])
            total = total + self.segment_weight * share[1] * alone
        return total

    @classmethod
    def of(cls, bags: Bags, n_segments: NDArray[np.int64], settings: TrainingSettings) -> BagLoss:
        """Loss with the priors of training bags, as often as the sampler shows them.

        Parameters
        ----------
        bags : Bags
            All labelled; with several genres a bag the link is sigmoid.
        n_segments : int array, shape (b,)
            Segments of each bag.
        settings : TrainingSettings
            Of the loss, its logit adjustment and the sampler.
        """
        link = "sigmoid" if bags.multi_label else "softmax"
        gamma = settings.focal_gamma if settings.loss == "focal" else 0.0
        terms = []
        for each in (np.ones(len(bags)), n_segments):
            shown = expected_draws(bags, settings.sampler) * each  # (b,)
            prior = log_prior(bags.labels, shown, n_genres=len(bags.genres))
            weights = genre_weights(bags, each, settings)
            terms.append(
                Term(
                    link,
                    torch.from_numpy((settings.logit_adjustment * prior).astype(np.float32)),
                    None if weights is None else torch.from_numpy(weights.astype(np.float32)),
                    gamma,
                )
            )
        return cls(terms[0], terms[1], settings.segment_loss)

    def to(self, device: torch.device) -> BagLoss:
        """Return the same loss on a device."""
        return BagLoss(self.bags.to(device), self.segments.to(device), self.segment_weight)


def attention_divergence(attention: Tensor, log_sizes: Tensor, offsets: Tensor) -> Tensor:
    """How far attention is from one vote a track: its Kullback-Leibler divergence, in nats.

    With one segment a track it is log n less the entropy of the attention, n tracks in the bag.

    Parameters
    ----------
    attention : Tensor, shape (N, K)
    log_sizes : Tensor, shape (N,)
        log n_k, the number of segments of each segment's track.
    offsets : int Tensor, shape (B + 1,)

    Returns
    -------
    Tensor, shape ()
        Mean over bags and columns; 0 for the mean.

    Examples
    --------
    >>> even, one_each = torch.tensor([[0.5], [0.5]]), torch.zeros(2)
    >>> float(attention_divergence(even, one_each, torch.tensor([0, 2])))
    0.0
    """
    tracks = segment_sum((-log_sizes).exp(), offsets).log()  # (B,)
    votes = -log_sizes - tracks.repeat_interleave(offsets.diff())  # (N,), logs that sum to 1
    told = attention * (attention.clamp_min(_TINY).log() - votes[:, None])
    return segment_sum(told, offsets).mean()


def disagreement(logits: Tensor, segment_logits: Tensor, bag: Tensor, term: Term) -> Tensor:
    """How far segments alone are from their bags: the mean of (l'_kg - o'_g)^2.

    l' and o' are what the loss compares with labels: the logs of the probabilities of a segment and
    of its bag, both with the prior of segments in them; with several genres a bag the logits
    themselves. The gradient goes through both.

    Parameters
    ----------
    logits : Tensor, shape (B, G)
    segment_logits : Tensor, shape (N, G)
    bag : int Tensor, shape (N,)
        Bag of each segment.
    term : Term
        Of the segments.

    Returns
    -------
    Tensor, shape ()
        Mean over segments and genres; 0 where each bag has one segment.

    Examples
    --------
    >>> two, none = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), Term("sigmoid", torch.zeros(2))
    >>> float(disagreement(two.mean(0, keepdim=True), two, torch.tensor([0, 0]), none))
    0.5
    """
    said = [one + term.shift for one in (segment_logits, logits)]
    if term.link == "softmax":
        said = [one.log_softmax(1) for one in said]
    return (said[0] - said[1][bag]).square().mean()


def cross_entropy(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Cross-entropy (B,) of logits (B, G) and genre indices (B,), focal with gamma > 0."""
    return _focal(functional.cross_entropy(logits, labels, reduction="none"), gamma)


def binary_cross_entropy(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Mean over genres of the binary cross-entropy (B,) of logits and labels, both (B, G)."""
    each = functional.binary_cross_entropy_with_logits(
        logits, labels.to(logits.dtype), reduction="none"
    )
    return _focal(each, gamma).mean(1)


def _focal(loss: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma times a loss -log p; clamped, since the slope of a root at 0 is infinite."""
    return loss * (-torch.expm1(-loss)).clamp_min(_TINY) ** gamma if gamma else loss


LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "softmax": cross_entropy,
    "sigmoid": binary_cross_entropy,
}
