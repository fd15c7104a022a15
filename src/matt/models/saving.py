"""A model on disk: ``model.json`` says what it is, ``weights.safetensors`` holds its arrays.

Nothing is pickled, so opening a model runs none of its content. ``model.json`` is written last and
holds the checksum of the weights: a folder without it, or with another one's weights, is no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files import read_arrays, read_json, replacing, write_json

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
    file = Path(path) / WEIGHTS
    if not file.is_file():
        raise DataError(f"{path} has no {WEIGHTS}; copy the whole model folder, or train again")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != content.get("weights_sha256"):
        raise DataError(
            f"{file} is not the file that {MODEL} was written for; copy the whole model folder "
            "again, or train again"
        )
    return read_arrays(file, remedy="save the model again")[0]
