"""What is done once training is over: the head tuned, and how sure the network may be found out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from ..bags import Bags
from ..calibration.coverage import Coverage, coverage_of
from ..calibration.priors import TrainedPrior
from ..calibration.temperature import fit_temperature
from ..predictions import probabilities_of
from .decoupling import tune_head
from .distributed import current
from .network import BagNetwork
from .reading import Reader, encode
from .training_settings import TrainingSettings


class Finished(NamedTuple):
    """What a finished network has besides its weights, as in `NeuralClassifier`."""

    prior: TrainedPrior
    temperature: float
    coverage: Coverage | None
    notes: tuple[str, ...]


def finish(
    network: BagNetwork,
    reader: Reader,
    bags: Bags,
    valid: Bags | None,
    settings: TrainingSettings,
    *,
    link: str,
) -> Finished:
    """Tune the head of a trained network as ``head_tuning`` says, then calibrate it.

    Of several processes the first one does so for all.

    Parameters
    ----------
    network : BagNetwork
        Set to evaluation; its head may change.
    reader : Reader
        Of all tracks of both kinds of bags.
    bags, valid : Bags
        Labelled. Without validation bags nothing is calibrated.
    settings : TrainingSettings
    link : {"softmax", "sigmoid", "none"}
    """

    def compute() -> dict[str, Any]:
        prior, notes = tune_head(network, reader, bags, valid, settings)
        temperature, found = 1.0, None
        if valid is not None and link != "none":
            temperature, found = calibrate(network, reader, valid, prior, settings)
        return {
            "prior": prior.to_json(),
            "temperature": temperature,
            "coverage": None if found is None else found.to_json(),
            "notes": notes,
            "head": [value.tolist() for value in network.classifier.parameters()],
        }

    told = current().first(compute)
    with torch.no_grad():
        for value, new in zip(network.classifier.parameters(), told["head"], strict=True):
            value.copy_(torch.tensor(new, dtype=value.dtype))
    curve = told["coverage"]
    return Finished(
        TrainedPrior.from_json(told["prior"], n_genres=len(bags.genres)),
        told["temperature"],
        None if curve is None else Coverage.from_json(curve),
        tuple(told["notes"]),
    )


@torch.no_grad()
def calibrate(
    network: BagNetwork,
    reader: Reader,
    valid: Bags,
    prior: TrainedPrior,
    settings: TrainingSettings,
) -> tuple[float, Coverage | None]:
    """Temperature and coverage of a network.

    Parameters
    ----------
    network : BagNetwork
        Set to evaluation.
    reader : Reader
    valid : Bags
        All labelled.
    prior : TrainedPrior
        That its logits assume.
    settings : TrainingSettings

    Returns
    -------
    temperature : float > 0
    coverage : Coverage or None
        None where a bag may have several genres.
    """
    scores, values, track_offsets = encode(
        network, reader, valid.track_ids, max_segments=settings.max_segments
    )
    whole = torch.from_numpy(track_offsets[valid.offsets]).to(scores.device)
    logits = network.pool(scores, values, whole)[0].cpu().numpy()
    if valid.multi_label:
        return fit_temperature(logits, valid.labels, "sigmoid", assumed=prior.assumed), None
    temperature = fit_temperature(logits, valid.labels, "softmax", assumed=prior.assumed)
    said = probabilities_of((logits / temperature).astype(np.float32), "softmax")
    return temperature, coverage_of(said, valid.labels)
