"""What every classifier of bags can do; `load` opens any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, Self, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.coverage import Coverage
from ..calibration.priors import Prior, TrainedPrior
from ..errors import DataError, did_you_mean
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..predictions import Predictions
from ..tracks import Tracks
from .saving import MODEL, read_model

# Home of each kind, so that a kind is imported when a model of it is opened.
KINDS = {
    "baseline": ("baselines", "BaselineClassifier"),
    "blend": ("blend", "BlendClassifier"),
    "neural": ("neural", "NeuralClassifier"),
    "tagger": ("tagger", "Tagger"),
}


@runtime_checkable
class GenreClassifier(Protocol):
    """A classifier of bags, of any kind: fit it, predict with it, save and load it.

    Attributes
    ----------
    genres : tuple of str
        In the order of its probabilities; empty until it is fitted.
    train_counts : int array, shape (G,)
        Training tracks of each genre.
    spec : FeatureSpec or None
        Of the features it takes.
    link : {"softmax", "sigmoid", "none"}
        How its logits become probabilities.
    prior : TrainedPrior or None
        How frequent genres were in training, and what the outputs assume.
    coverage : Coverage or None
        Accuracy against the share answered, on the validation bags, where a bag has one genre;
        None without any.
    history : list of dict
        One row an epoch; empty where there are no epochs.
    notes : tuple of str
        What the last fit wants to be known, such as genres without a training bag.
    """

    genres: tuple[str, ...]
    train_counts: NDArray[np.int64]
    spec: FeatureSpec | None
    link: str
    prior: TrainedPrior | None
    coverage: Coverage | None
    history: list[dict[str, float]]
    notes: tuple[str, ...]

    def fit(
        self,
        features: FeatureStore,
        bags: Bags,
        *,
        valid: Bags | None = None,
        progress: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Self:
        """Learn from labelled bags and return the classifier itself.

        Parameters
        ----------
        features : FeatureStore
        bags : Bags
            All labelled (`Bags.labelled`).
        valid : Bags, optional
            Labelled bags of other tracks, to choose between epochs or settings.
        progress : callable, optional
            Called with numbers by name, e.g. once an epoch.

        Raises
        ------
        ArgumentError
            If arguments are swapped.
        DataError
            If labels or features are missing or not finite, or fewer than two genres have bags.
        """
        ...

    def predict(
        self, features: FeatureStore, tracks: Tracks, bags: Bags, *, prior: Prior | None = None
    ) -> Predictions:
        """Predict bags; a genre that the classifier does not know becomes an unknown label.

        Parameters
        ----------
        features : FeatureStore
            Of the specification that was fitted.
        tracks : Tracks
            Holds at least the tracks of the bags.
        bags : Bags
            Labelled or not.
        prior : {"training", "uniform", "estimate"} or mapping of genre to share, optional
            Predict as if genres were so frequent, see `matt.calibration.priors.reprior`; by
            default as the classifier learned them.

        Returns
        -------
        Predictions
            With the training counts of the bags that were fitted.

        Raises
        ------
        ArgumentError
            If arguments are swapped.
        DataError
            If it is not fitted, or features are missing, or of another specification.
        ConfigError
            If the prior names no shares of its genres.
        """
        ...

    def save(self, path: Path | str) -> None:
        """Write a model folder."""
        ...

    @staticmethod
    def load(path: Path | str) -> GenreClassifier:
        """Open a model folder of any kind.

        Raises
        ------
        DataError
            If the folder is no model, or of an unknown kind.
        """
        kind = read_model(path)["kind"]
        if kind not in KINDS:
            raise DataError(
                f"{Path(path) / MODEL} is of the unknown kind {kind!r}; {did_you_mean(kind, KINDS)}"
            )
        module, name = KINDS[kind]
        found = getattr(import_module(f"{__package__}.{module}"), name)
        return cast("GenreClassifier", found.load(path))
