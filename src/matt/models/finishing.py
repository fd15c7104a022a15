"""What is done once training is over: the head tuned, and how sure the network may be found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
from .members import say
from .memory import settled
from .network import BagNetwork
from .reading import Reader
from .training_settings import TrainingSettings


class Finished(NamedTuple):
    """What a finished network has besides its weights, as in `NeuralClassifier`."""

    prior: TrainedPrior
    temperature: float
    coverage: Coverage | None
    notes: tuple[str, ...]


def finish(
    networks: Sequence[BagNetwork],
    reader: Reader,
    bags: Bags,
    valid: Bags | None,
    settings: TrainingSettings,
    *,
    link: str,
) -> Finished:
    """Tune the heads of trained networks as ``head_tuning`` says, then calibrate them together.

    Of several processes the first one does so for all.

    Parameters
    ----------
    networks : sequence of BagNetwork
        Set to evaluation; their heads may change.
    reader : Reader
        Of all tracks of both kinds of bags.
    bags, valid : Bags
        Labelled. Without validation bags nothing is calibrated.
    settings : TrainingSettings
    link : {"softmax", "sigmoid", "none"}
    """
    heads = [network.classifier for network in networks]

    def compute() -> dict[str, Any]:
        tuned = [tune_head(network, reader, bags, valid, settings) for network in networks]
        prior = tuned[0][0]
        if any(one.assumed is None for one, _ in tuned):
            prior = replace(prior, assumed=None)
        temperature, found = 1.0, None
        if valid is not None and link != "none":
            temperature, found = calibrate(networks, reader, valid, prior, settings, link=link)
        return {
            "prior": prior.to_json(),
            "temperature": temperature,
            "coverage": None if found is None else found.to_json(),
            "notes": [note for _, notes in tuned for note in notes],
            "heads": [[value.tolist() for value in head.parameters()] for head in heads],
        }

    told = current().first(compute)
    with torch.no_grad():
        for head, weights in zip(heads, told["heads"], strict=True):
            for value, new in zip(head.parameters(), weights, strict=True):
                value.copy_(torch.tensor(new, dtype=value.dtype))
    curve = told["coverage"]
    return Finished(
        TrainedPrior.from_json(told["prior"], n_genres=len(bags.genres)),
        told["temperature"],
        None if curve is None else Coverage.from_json(curve),
        tuple(told["notes"]),
    )


def calibrate(
    networks: Sequence[BagNetwork],
    reader: Reader,
    valid: Bags,
    prior: TrainedPrior,
    settings: TrainingSettings,
    *,
    link: str,
) -> tuple[float, Coverage | None]:
    """Temperature and coverage of networks that predict together.

    Parameters
    ----------
    networks : sequence of BagNetwork
    reader : Reader
    valid : Bags
        All labelled.
    prior : TrainedPrior
        That their logits assume.
    settings : TrainingSettings
    link : {"softmax", "sigmoid"}

    Returns
    -------
    temperature : float > 0
    coverage : Coverage or None
        None where a bag may have several genres.
    """
    most = settled(settings, networks[0]).max_segments
    said = say(networks, reader, valid, link=link, max_segments=most)
    logits = said.logits.cpu().numpy()
    temperature = fit_temperature(logits, valid.labels, link, assumed=prior.assumed)
    if valid.multi_label:
        return temperature, None
    probabilities = probabilities_of((logits / temperature).astype(np.float32), link)
    return temperature, coverage_of(probabilities, valid.labels)
