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

What training makes of how frequent the genres are: their weights, and what outputs assume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..bags import Bags
from ..calibration.priors import TrainedPrior, as_shares, decision_of, log_prior
from .augmentation import expected_draws
from .network import BagOutput
from .pooling import segment_sum
from .registry import LOSSES as LOSSES
from .settings import TrainingSettings

_TINY = 1e-12


def cross_entropy(logits: Tensor, labels: Tensor, gamma: float = 0.0) -> Tensor:
    """Cross-entropy of each bag, focal with gamma > 0.

    Parameters
    ----------
    logits : Tensor, shape (B, G)
    labels : int Tensor, shape (B,), or bool Tensor, shape (B, G)
        Where bags may have several genres it is the mean over genres of the binary cross-entropy.
    gamma : float >= 0

    Returns
    -------
    Tensor, shape (B,)
    """
    if labels.ndim == 1:
        return _focal(functional.cross_entropy(logits, labels, reduction="none"), gamma)
    each = functional.binary_cross_entropy_with_logits(
        logits, labels.to(logits.dtype), reduction="none"
    )
    return _focal(each, gamma).mean(1)


def _focal(loss: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma times a loss -log p; clamped, since the slope of a root at 0 is infinite."""
    return loss * (-torch.expm1(-loss)).clamp_min(_TINY) ** gamma if gamma else loss


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
        From logits to probabilities.
    shift : Tensor, shape (G,)
        tau * log prior, added to logits.
    weights : Tensor, shape (G,), or None
        What an item of each genre counts; the mean over training items is 1.
    each : callable
        Logits (B, G) and labels to the loss of each, (B,).
    """

    link: str
    shift: Tensor
    weights: Tensor | None = None
    each: Callable[[Tensor, Tensor], Tensor] = cross_entropy

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
        loss = self.each(logits, labels)
        return loss if self.weights is None else self.weights[labels] * loss

    def to(self, device: torch.device) -> Term:
        """Return the same term on a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Term(self.link, self.shift.to(device), weights, self.each)


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
        output: BagOutput,
        labels: Tensor,
        bag: Tensor,
        *,
        share: tuple[float, float] = (1.0, 1.0),
        mix: Mix | None = None,
        own: Tensor | None = None,
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
        own : bool Tensor, shape (N, G), optional
            Labels of each segment, by default those of its bag.

        Returns
        -------
        Tensor, shape ()
            Of no bag at all 0, still with a gradient of 0 for each weight that was used.
        """
        if not len(labels):
            return output.logits.sum() + output.segment_logits.sum()
        total = share[0] * self.bags(output.logits, labels, mix)
        if self.segment_weight:
            alone = self.segments(output.segment_logits, labels[bag] if own is None else own)
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

        def of_each(logits: Tensor, labels: Tensor) -> Tensor:
            loss: Tensor = LOSSES[settings.loss](logits, labels, settings)
            return loss

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
                    of_each,
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
    themselves. Their loss is a mean over genres, the G-th part of the log loss of a bag, so that
    the G-th part of the mean is taken there, too. The gradient goes through both.

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
        Mean over segments and genres, as said; 0 where each bag has one segment.

    Examples
    --------
    >>> two, none = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), Term("sigmoid", torch.zeros(2))
    >>> float(disagreement(two.mean(0, keepdim=True), two, torch.tensor([0, 0]), none))
    0.25
    """
    said = [one + term.shift for one in (segment_logits, logits)]
    if term.link == "softmax":
        said = [one.log_softmax(1) for one in said]
    apart = (said[0] - said[1][bag]).square().mean()
    return apart if term.link == "softmax" else apart / logits.shape[1]


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
    of_bags, of_segments, assumed = (
        as_shares(logits, several) for logits in (of_bags, of_segments, assumed)
    )
    apart = settings.decision == "balanced" and not several
    tracks = decision_of(bags).tracks if apart else None
    return TrainedPrior(of_bags, of_segments, assumed, tracks)


LOSSES.fill(
    TrainingSettings,
    cross_entropy=lambda logits, labels, s: cross_entropy(logits, labels),
    class_balanced=lambda logits, labels, s: cross_entropy(logits, labels),  # of weights, see Term
    focal=lambda logits, labels, s: cross_entropy(logits, labels, s.focal_gamma),
)
