"""How sure a network may be: its temperature and its coverage curve, from the validation bags."""

from __future__ import annotations

import numpy as np
import torch

from ..bags import Bags
from ..calibration.coverage import Coverage, coverage_of
from ..calibration.priors import TrainedPrior
from ..calibration.temperature import fit_temperature
from ..predictions import probabilities_of
from .network import BagNetwork
from .reading import Reader, encode
from .training_settings import TrainingSettings


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
