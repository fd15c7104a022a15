"""The networks of one classifier trained one after another, finished together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ..bags import Bags
from ..features.store import FeatureStore
from .checkpoint import Checkpoint
from .device import reproducible
from .distributed import current
from .finishing import Finished, finish
from .members import members
from .network import BagNetwork
from .reading import inputs_once
from .settings import ModelSettings, TrainingSettings
from .training import Progress, Row, prepare, train


def fit_networks(
    features: FeatureStore,
    bags: Bags,
    valid: Bags | None,
    settings: tuple[ModelSettings, TrainingSettings],
    device: torch.device,
    *,
    link: str,
    networks: list[BagNetwork],
    history: list[Row],
    progress: Progress | None,
    checkpoint: Path | str | None,
) -> Finished:
    """Train as many networks as the settings say, tune their heads and calibrate them.

    Parameters
    ----------
    features, bags, valid, progress, checkpoint
        As in `NeuralClassifier.fit`; the state of a second network and of further ones is kept in
        folders inside that of the first.
    settings : (ModelSettings, TrainingSettings)
    device : torch.device
    link : {"softmax", "sigmoid", "none"}
    networks : list
        Gets each network that has been trained for an epoch.
    history : list
        Gets their rows; of several networks with the number of each, ``network``, from 1.
    """
    model, training = settings
    ranks = current()
    notes: tuple[str, ...] = ()
    for number, one in enumerate(members(training), start=1):
        several = {"network": number} if training.n_networks > 1 else {}
        place = Path(checkpoint or "") / f"network-{number}" if number > 1 else checkpoint or ""
        rows: list[Row] = []
        with reproducible(one, device):
            network, reader = prepare(features, bags, valid, model, device)
            kept = Checkpoint.of(place, network, features.spec, bags, valid, (model, one))
            ranks.agree("training", kept.identity)
            try:
                with inputs_once(network, reader) as ready:
                    told = train(
                        network,
                        ready,
                        bags,
                        settings=one,
                        history=rows,
                        valid=valid,
                        true_query=model.query == "true",
                        progress=_named(progress, several),
                        checkpoint=None if checkpoint is None else kept,
                    )
            finally:
                if rows:
                    networks.append(network)
                history += [{**several, **row} for row in rows]
        who = f"network {number}: " if several else ""
        notes += tuple(who + note for note in told)
    with reproducible(training, device):
        done = finish(networks, reader, bags, valid, training, link=link)
    return done._replace(notes=notes + done.notes)


def _named(progress: Progress | None, several: Mapping[str, float]) -> Progress | None:
    """Say of each row of which network it is."""
    if progress is None or not several:
        return progress
    tell: Callable[[Mapping[str, float]], None] = progress
    return lambda row: tell({**several, **row})
