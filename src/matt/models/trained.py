"""Networks of torch: trained, put into files, built again from files without a graph, and asked.

`neural` reaches torch through this module alone, and only where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import ConfigError, DataError
from ..features.store import FeatureStore
from .arrays import Said
from .checkpoint import Checkpoint
from .device import find_device, reproducible
from .distributed import current
from .finishing import Finished, finish
from .members import members, say
from .network import BagNetwork, build_network
from .optimisation import check_precision
from .reading import Reader, inputs_once, most_segments
from .saving import check_bags, check_training
from .settings import ModelSettings, TrainingSettings
from .training import Progress, Row, prepare, train
from .written import write_graph

VERSIONS = {"torch": str(torch.__version__)}


def check_here(
    bags: Bags, valid: Bags | None, model: ModelSettings, training: TrainingSettings
) -> torch.device:
    """Device to train on, of all processes, once it is known that they can.

    Raises
    ------
    DataError, ConfigError
        As `NeuralClassifier.fit`.
    """
    ranks = current()
    with ranks.together():
        device = ranks.device(training.device)
        check_precision(training.precision, device)
        check_bags(bags, valid, model)
        check_training(bags, valid, model, training, n_processes=ranks.size)
    return device


def check_row(
    model: ModelSettings, training: TrainingSettings, shape: Sequence[int], n_genres: int
) -> None:
    """Refuse a network that could not be built, or not on the device of its training.

    Raises
    ------
    ConfigError
    """
    find_device(training.device)
    build_network(model, shape, n_genres)


def at_once(networks: Sequence[BagNetwork], training: TrainingSettings) -> int:
    """Segments that are encoded at once; 0 before any network is trained."""
    return most_segments(training, networks[0]) if networks else 0


def ask(
    networks: Sequence[BagNetwork],
    training: TrainingSettings,
    features: FeatureStore,
    bags: Bags,
    *,
    link: str,
    only: int | None = None,
) -> Said:
    """What all networks say together, or one of them, with its embeddings."""
    chosen = networks if only is None else [networks[only]]
    device = next(chosen[0].parameters()).device
    reader = Reader.open(features, bags.track_ids, device, max_bytes=0)
    most = at_once(networks, training)
    kept = only is not None
    return say(chosen, reader, bags, link=link, max_segments=most, embeddings=kept)


def files_of(
    networks: Sequence[BagNetwork], shape: Sequence[int]
) -> tuple[dict[str, NDArray[Any]], bytes | None]:
    """Weights of networks by name, and their graph, None if it cannot be written.

    Parameters
    ----------
    networks : sequence of BagNetwork
    shape : sequence of int
        Of a segment.
    """
    return network_arrays(networks), write_graph(networks, shape)


def network_arrays(networks: Sequence[BagNetwork]) -> dict[str, NDArray[Any]]:
    """Weights of networks by name; those of several have the number of theirs in front, from 1."""
    return {
        (name if len(networks) == 1 else f"{number}.{name}"): value.cpu().numpy()
        for number, network in enumerate(networks, start=1)
        for name, value in network.state_dict().items()
    }


def load_networks(
    settings: ModelSettings,
    feature_shape: Sequence[int],
    n_genres: int,
    arrays: Mapping[str, NDArray[Any]],
    place: Path,
    n_networks: int,
) -> list[BagNetwork]:
    """Build all networks of a saved model; see `load_network`.

    Raises
    ------
    DataError
        If the weights are not those of so many.
    """
    if n_networks == 1:
        return [load_network(settings, feature_shape, n_genres, arrays, place)]
    parts: list[dict[str, NDArray[Any]]] = [{} for _ in range(min(n_networks, len(arrays) + 1))]
    for key, array in arrays.items():
        number, _, name = key.partition(".")
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= len(parts)):
            raise DataError(
                f"the weights do not fit {place}: {key} is of none of its {n_networks} networks; "
                "copy the model again, or train again"
            )
        parts[int(number) - 1][name] = array
    return [load_network(settings, feature_shape, n_genres, part, place) for part in parts]


def load_network(
    settings: ModelSettings,
    feature_shape: Sequence[int],
    n_genres: int,
    arrays: Mapping[str, NDArray[Any]],
    place: Path,
) -> BagNetwork:
    """Build the network of a saved model, ready to predict.

    Parameters
    ----------
    settings, feature_shape, n_genres
        As in `build_network`.
    arrays : mapping of str to array
        Its weights.
    place : Path
        Of the description, for messages.

    Raises
    ------
    DataError
        If the weights are not those of such a network.
    """
    try:
        with torch.device("meta"):  # shapes without memory: a file cannot ask for what it lacks
            network = build_network(settings, feature_shape, n_genres)
    except ConfigError as error:
        raise DataError(
            f"{place} is damaged ({error}); copy the model again, or train again"
        ) from error
    blank = network.state_dict()
    wanted = {name: tuple(value.shape) for name, value in blank.items()}
    found = {name: array.shape for name, array in arrays.items()}
    if wanted != found:
        wrong = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
        raise DataError(
            f"the weights do not fit {place}: {len(wrong)} differ (first: {wrong[0]} has the shape "
            f"{found.get(wrong[0])}, expected {wanted.get(wrong[0])}); copy the model again, or "
            "train again"
        )
    tensors = {name: torch.tensor(array, dtype=blank[name].dtype) for name, array in arrays.items()}
    network.load_state_dict(tensors, assign=True)
    return network.eval()


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
