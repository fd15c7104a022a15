"""A model on disk: ``model.json`` says what it is, ``weights.safetensors`` holds its arrays.

Nothing is pickled, so opening a model runs none of its content. ``model.json`` is written last and
holds the checksum of the weights: a folder without it, or with another one's weights, is no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..calibration.coverage import Coverage
from ..calibration.priors import TrainedPrior
from ..errors import ConfigError, DataError
from ..features.spec import FeatureSpec
from ..files import read_json, replacing, write_json

SCHEMA = "matt.model/1"
MODEL, WEIGHTS = "model.json", "weights.safetensors"


class Learned(Protocol):
    """What a classifier of any kind knows besides its arrays and settings."""

    genres: tuple[str, ...]
    train_counts: NDArray[np.int64]
    spec: FeatureSpec | None
    link: str
    prior: TrainedPrior | None
    coverage: Coverage | None
    notes: tuple[str, ...]


def describe(model: Learned, **versions: str) -> dict[str, Any]:
    """What `restore` reads: content of ``model.json`` that models of all kinds have.

    Parameters
    ----------
    model : Learned
        Fitted.
    **versions
        Of libraries that made it, besides our own and numpy's.
    """
    return {
        "genres": list(model.genres),
        "train_counts": model.train_counts.tolist(),
        "link": model.link,
        "prior": None if model.prior is None else model.prior.to_json(),
        "coverage": None if model.coverage is None else model.coverage.to_json(),
        "spec_digest": None if model.spec is None else model.spec.digest,
        "spec": None if model.spec is None else model.spec.to_json(),
        "notes": list(model.notes),
        "versions": {"matt": __version__, **versions, "numpy": np.__version__},
    }


def restore(model: Learned, content: Mapping[str, Any], *, links: tuple[str, ...]) -> None:
    """Give a model what `describe` wrote; call it inside `reading`.

    Parameters
    ----------
    model : Learned
        Gets its attributes.
    content : mapping
    links : tuple of str
        Those that such a model can have.
    """
    model.genres = tuple(str(genre) for genre in content["genres"])
    model.train_counts = np.array(content["train_counts"], np.int64)
    model.spec = FeatureSpec.from_json(content["spec"])
    model.link = str(content["link"])
    model.notes = tuple(str(note) for note in content["notes"])
    prior, coverage, n_genres = content["prior"], content["coverage"], len(model.genres)
    if model.train_counts.shape != (n_genres,):
        raise DataError("genres and training counts do not fit each other")
    model.prior = None if prior is None else TrainedPrior.from_json(prior, n_genres=n_genres)
    model.coverage = None if coverage is None else Coverage.from_json(coverage)
    if model.spec.digest != content["spec_digest"]:
        raise DataError("the digest of its spec differs")
    if model.link not in links:
        raise DataError(f"unknown link {model.link!r}")


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """Say of whatever goes wrong inside that the file is damaged.

    Raises
    ------
    DataError
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"{place} is damaged ({why}); copy the model again, or train again"
        ) from error


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
