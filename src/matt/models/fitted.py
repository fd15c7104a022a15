"""What every fitted classifier knows of its data, and keeps in ``model.json`` in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


class Fitted(Protocol):
    """Attributes that all classifiers share, see `GenreClassifier`."""

    genres: tuple[str, ...]
    train_counts: NDArray[np.int64]
    spec: FeatureSpec | None
    link: str
    prior: TrainedPrior | None
    coverage: Coverage | None
    notes: tuple[str, ...]


def described(model: Fitted, spec: FeatureSpec, versions: Mapping[str, str]) -> dict[str, Any]:
    """What JSON can hold of a fitted model.

    Parameters
    ----------
    model : Fitted
    spec : FeatureSpec
        Of the features that it takes.
    versions : mapping of str to str
        Of the library that fitted it; those of matt and NumPy are added.
    """
    return {
        "genres": list(model.genres),
        "train_counts": model.train_counts.tolist(),
        "link": model.link,
        "prior": None if model.prior is None else model.prior.to_json(),
        "coverage": None if model.coverage is None else model.coverage.to_json(),
        "spec_digest": spec.digest,
        "spec": spec.to_json(),
        "notes": list(model.notes),
        "versions": {"matt": __version__, **versions, "numpy": np.__version__},
    }


def restore(model: Fitted, content: Mapping[str, Any], *, links: Sequence[str]) -> FeatureSpec:
    """Give a model what `described` wrote, and return its spec.

    Parameters
    ----------
    model : Fitted
    content : mapping
        As read from a file; call this within `telling_damage`.
    links : sequence of str
        Those that it may have.

    Raises
    ------
    DataError
        If parts do not fit each other.
    """
    spec = FeatureSpec.from_json(content["spec"])
    model.genres = tuple(str(genre) for genre in content["genres"])
    model.train_counts = np.array(content["train_counts"], np.int64)
    model.spec, model.link = spec, str(content["link"])
    model.notes = tuple(str(note) for note in content["notes"])
    if spec.digest != content["spec_digest"]:
        raise DataError("the digest of its spec differs")
    if model.train_counts.shape != (len(model.genres),):
        raise DataError("genres and training counts do not fit each other")
    if model.link not in links:
        raise DataError(f"unknown link {model.link!r}")
    prior, coverage = content["prior"], content["coverage"]
    n_genres = len(model.genres)
    model.prior = None if prior is None else TrainedPrior.from_json(prior, n_genres=n_genres)
    model.coverage = None if coverage is None else Coverage.from_json(coverage)
    return spec


@contextmanager
def telling_damage(place: Path) -> Iterator[None]:
    """Whatever is wrong with the content of a file means that it is damaged.

    Raises
    ------
    DataError
        Naming the file.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else error
        raise DataError(
            f"{place} is damaged ({why}); copy the model again, or train again"
        ) from error
