"""A model on disk: ``model.json`` says what it is, ``weights.safetensors`` holds its arrays.

Nothing is pickled, so opening a model runs none of its content. ``model.json`` is written last and
holds the checksum of the weights: a folder without it, or with another one's weights, is no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..files import read_json, replacing, write_json
from .network import BagNetwork, build_network
from .settings import ModelSettings

SCHEMA = "matt.model/1"
MODEL, WEIGHTS = "model.json", "weights.safetensors"


def write_model(
    path: Path | str, kind: str, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a model folder; each file is whole or absent.

    Parameters
    ----------
    path : path
        The folder, made if it is missing; a model that it holds is replaced.
    kind : str
        Which classifier reads it.
    content : mapping
        What JSON can hold.
    arrays : mapping of str to array
    """
    from safetensors.numpy import save

    path = Path(path)
    data = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    with replacing(path / WEIGHTS) as temporary:
        temporary.write_bytes(data)
    head = {"schema": SCHEMA, "kind": kind, "weights_sha256": hashlib.sha256(data).hexdigest()}
    write_json(path / MODEL, {**head, **content})


def read_model(path: Path | str) -> dict[str, Any]:
    """Content of ``model.json``, with its ``kind``.

    Raises
    ------
    DataError
        If the folder is no model, or one of another version of the layout.
    """
    path = Path(path)
    if not (path / MODEL).is_file():
        raise DataError(
            f"{path} is not a model folder (no {MODEL}); give the folder that a model was saved to"
        )
    content = read_json(path / MODEL)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f"{path / MODEL} has the schema {schema!r}, expected {SCHEMA!r}; "
            "open it with the version of matt that wrote it, or train again"
        )
    if not isinstance(content.get("kind"), str):
        raise DataError(f"{path / MODEL} names no kind of classifier; save the model again")
    return dict(content)


def read_weights(path: Path | str, content: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Arrays of a model, by name.

    Parameters
    ----------
    path : path
    content : mapping
        What `read_model` gave.

    Raises
    ------
    DataError
        If the file is missing, broken, or not the one that ``model.json`` was written for.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    file = Path(path) / WEIGHTS
    if not file.is_file():
        raise DataError(f"{path} has no {WEIGHTS}; copy the whole model folder, or train again")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != content.get("weights_sha256"):
        raise DataError(
            f"{file} is not the file that {MODEL} was written for; copy the whole model folder "
            "again, or train again"
        )
    try:
        arrays: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}); save the model again") from error
    return arrays


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
