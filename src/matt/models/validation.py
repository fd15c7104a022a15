"""What a network says of the validation bags, by which its best epoch is chosen."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from ..bags import Bags
from ..evaluation import metrics
from .losses import BagLoss
from .network import BagNetwork, Encoded, Output
from .pooling import bag_index, segment_sum
from .reading import Reader, encode
from .training_settings import TrainingSettings


@torch.no_grad()
def validate(
    network: BagNetwork,
    reader: Reader,
    valid: Bags | None,
    objective: BagLoss,
    settings: TrainingSettings,
    train_counts: NDArray[np.int64],
) -> dict[str, float]:
    """Loss, macro-F1 and tail recall of the validation bags, weighted by their tracks.

    Parameters
    ----------
    network : BagNetwork
        Set to evaluation.
    reader : Reader
    valid : Bags, optional
        Without any, everything is NaN.
    objective : BagLoss
    settings : TrainingSettings
        Of which ``validate`` says how the bags are predicted.
    train_counts : int array, shape (G,)
        Which make a genre rare.

    Returns
    -------
    dict
        ``valid_loss``, ``valid_macro_f1``, ``valid_tail_recall``.
    """
    if valid is None:
        return dict.fromkeys(("valid_loss", "valid_macro_f1", "valid_tail_recall"), math.nan)
    encoded = encode(network, reader, valid.track_ids, max_segments=settings.max_segments)
    return judge(network, encoded, valid, objective, settings, train_counts)


@torch.no_grad()
def judge(
    network: BagNetwork,
    encoded: tuple[Encoded, NDArray[np.int64]],
    valid: Bags,
    objective: BagLoss,
    settings: TrainingSettings,
    train_counts: NDArray[np.int64],
) -> dict[str, float]:
    """Return what `validate` does, of tracks that are encoded already.

    Parameters
    ----------
    network, valid, objective, settings, train_counts
        As in `validate`.
    encoded : tuple
        What `encode` gave of the tracks of the bags.
    """
    segments, track_offsets = encoded
    lone = settings.validate == "average"
    unit = torch.from_numpy(track_offsets if lone else track_offsets[valid.offsets])
    unit = unit.to(segments.scores.device)
    truth = np.repeat(valid.labels, valid.sizes, axis=0) if lone else valid.labels
    labels = torch.from_numpy(truth).to(unit.device)
    logits, attention = network.pool(segments, unit)
    segment_logits = network.segment_logits(segments.values)
    loss = objective(Output(logits, segment_logits, attention), labels, bag_index(unit))
    probabilities = logits.sigmoid() if valid.multi_label else logits.softmax(1)
    if lone:
        bag_offsets = torch.from_numpy(valid.offsets).to(unit.device)
        probabilities = segment_sum(probabilities, bag_offsets) / bag_offsets.diff()[:, None]
    rare = metrics.tail(train_counts)
    f1, recall = agreement(valid, probabilities.cpu().numpy(), rare)
    return {"valid_loss": float(loss), "valid_macro_f1": f1, "valid_tail_recall": recall}


def agreement(
    bags: Bags, probabilities: NDArray[np.float32], rare: NDArray[np.bool_]
) -> tuple[float, float]:
    """Macro-F1 and tail recall of bags, each bag weighted by its tracks.

    Parameters
    ----------
    bags : Bags
        All labelled.
    probabilities : array, shape (b, G)
    rare : bool array, shape (G,)
    """
    sizes = bags.sizes.astype(np.float64)
    if not bags.multi_label:
        best = probabilities.argmax(axis=1)
        confusion = metrics.confusion_matrix(bags.labels, best, len(bags.genres), sizes)
        return metrics.macro_f1(confusion), metrics.tail_recall(confusion, rare)
    said = probabilities > 0.5  # (b, G)
    hits, true, guessed = (sizes @ part for part in (said & bags.labels, bags.labels, said))
    there = true > 0
    f1 = (2 * hits / (true + guessed).clip(1))[there]
    recall = (hits / true.clip(1))[there & rare]
    return metrics.mean_defined(f1), metrics.mean_defined(recall)
