"""Whether the arrays of a saved baseline are what its description says: nothing is trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import first_few
from ..features.spec import FeatureSpec
from .estimators import ESTIMATORS
from .settings import BaselineSettings


def faults(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    spec: FeatureSpec,
    genres: Sequence[str],
    link: str,
) -> Iterator[str]:
    """Yield what is wrong with the names, types, shapes and ranges of arrays; nothing if they fit.

    Parameters
    ----------
    settings : BaselineSettings
    arrays : mapping of str to array
        As read from a file.
    spec : FeatureSpec
    genres : sequence of str
    link : {"softmax", "sigmoid"}
    """
    settings = settings.effective
    estimator = ESTIMATORS[settings.classifier]
    whole = {"seen", "n_support"}
    for name, array in arrays.items():
        wanted = "int64" if name in whole else "bool" if name == "labels" else "float64"
        if array.dtype != wanted or not np.isfinite(array).all():
            yield f"{name} does not hold finite numbers of type {wanted}"
            return
    n_features = int(np.prod(spec.shape))
    n_seen = arrays["seen"].size if "seen" in arrays else 0
    try:
        shapes: dict[str, tuple[int, ...]] = {
            "seen": (n_seen,),
            "mean": (n_features,),
            "scale": (n_features,),
        }
        shapes |= estimator.shapes(settings, arrays, n_features, n_seen)
    except (KeyError, TypeError, OverflowError) as error:
        yield f"no array {error}"
        return
    found = {name: array.shape for name, array in arrays.items()}
    for name in sorted(shapes.keys() | found):
        if shapes.get(name) != found.get(name):
            yield f"{name} has the shape {found.get(name)}, expected {shapes.get(name)}"
            return
    seen = arrays["seen"]
    if n_seen < 2 or seen[0] < 0 or seen[-1] >= len(genres) or (np.diff(seen) < 1).any():
        yield f"genres {first_few(seen.tolist())} of {len(genres)} are no genres that differ"
    if (arrays["scale"] <= 0).any():
        yield "scale is not above 0"
    if (arrays.get("n_support", seen) < 0).any():
        yield "n_support is below 0"
    if link == "sigmoid" and not estimator.several:
        yield f"the link 'sigmoid' is none of {settings.classifier!r}"
