"""Networks as saved weights, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from .network import BagNetwork, build_network
from .settings import ModelSettings


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
