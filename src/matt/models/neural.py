"""The neural classifier: a network with everything that makes it usable years later.

Standardisation, genres, training counts and the specification of its features are part of the
model, so that it cannot be given other features, or genres in another order, without noticing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..bags import Bags
from ..calibration.coverage import Coverage
from ..calibration.priors import Prior, TrainedPrior, reprior
from ..errors import DataError
from ..features.blocks import check_spec
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..predictions import Predictions
from ..settings import made
from ..tracks import Tracks
from .distributed import current
from .fitting import fit_networks
from .loading import load_networks, network_arrays
from .members import say
from .network import BagNetwork
from .optimisation import check_precision
from .reading import Reader, settled
from .registry import check_plug_ins
from .saving import (
    MODEL,
    align,
    check_bags,
    check_training,
    described,
    fit_notes,
    link_of,
    read_model,
    read_weights,
    restore,
    telling_damage,
    write_model,
)
from .settings import ModelSettings, TrainingSettings


class NeuralClassifier:
    """Encoder, attention pooling and a linear classifier, trained on labelled bags.

    With ``n_networks`` of the training there are several, which differ in their seeds and whose
    probabilities are averaged.

    Parameters
    ----------
    model : ModelSettings, optional
    training : TrainingSettings, optional

    Attributes
    ----------
    genres : tuple of str
        In the order of its logits; empty until it is fitted.
    train_counts : int array, shape (G,)
        Training tracks of each genre.
    spec : FeatureSpec or None
        Of the features it takes.
    link : {"softmax", "sigmoid", "none"}
        ``"sigmoid"`` if a bag may have several genres, ``"none"`` under `tanh_pooled`.
    temperature : float > 0
        Logits are divided by it; fitted on the validation bags, 1 where there are none.
    prior : TrainedPrior or None
        How frequent genres were in training, and what the logits assume.
    coverage : Coverage or None
        Accuracy against the share answered, on the validation bags, where a bag has one genre.
    history : list of dict
        One row an epoch, see `training.train`; not saved with the model. Of several networks one
        after another, with the number of each in ``network``.
    notes : tuple of str
        What the last fit wants to be known, such as genres without a training bag.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(40) % 2
    >>> tracks = Tracks(np.arange(40), labels, ("Rock", "Folk"))
    >>> values = labels[:, None] + 0.1 * rng.standard_normal((40, 3))
    >>> store = FeatureStore.from_arrays("toy", tracks.track_id, values)
    >>> bags = Bags.from_tracks(tracks, by="track")
    >>> model = NeuralClassifier(training=TrainingSettings(lr=0.01, epochs=30)).fit(store, bags)
    >>> bool((model.predict(store, tracks, bags).best == labels).all())
    True
    """

    def __init__(
        self, model: ModelSettings | None = None, training: TrainingSettings | None = None
    ) -> None:
        self.model = model or ModelSettings()
        self.training = training or TrainingSettings()
        self.genres: tuple[str, ...] = ()
        self.train_counts: NDArray[np.int64] = np.array([], np.int64)
        self.spec: FeatureSpec | None = None
        self.link = "softmax"
        self.temperature = 1.0
        self.prior: TrainedPrior | None = None
        self.coverage: Coverage | None = None
        self.history: list[dict[str, float]] = []
        self.notes: tuple[str, ...] = ()
        self._networks: list[BagNetwork] = []

    def fit(
        self,
        features: FeatureStore,
        bags: Bags,
        *,
        valid: Bags | None = None,
        progress: Callable[[Mapping[str, float]], None] | None = None,
        checkpoint: Path | str | None = None,
    ) -> Self:
        """Learn from labelled bags; of several processes all do so with the same arguments.

        Parameters
        ----------
        features : FeatureStore
        bags : Bags
            All labelled, of two genres or more; a genre without a bag keeps its column.
        valid : Bags, optional
            Labelled bags of other tracks, in the same genres: the best epoch is chosen by them.
            Without them training runs for all epochs and the last one counts.
        progress : callable, optional
            Called with the row of the history after each epoch, by the first of the processes.
        checkpoint : path, optional
            A folder in which the state is kept after every epoch. If it holds one already, a fit
            that was killed goes on from there, to the same weights; what is kept of a whole fit
            gives its model at once. Remove the folder to start again.

        Returns
        -------
        NeuralClassifier
            Itself, fitted.

        Raises
        ------
        DataError
            If labels or features are missing or not finite, fewer than two genres have bags, or
            the loss is no longer finite in the first epoch; later, the best weights are kept and
            ``notes`` says so. Also if the checkpoint is damaged, or of other settings, data or
            versions.
        ConfigError
            If settings do not fit the bags or this machine.
        """
        ranks = current()
        with ranks.together():
            device = ranks.device(self.training.device)
            check_precision(self.training.precision, device)
            check_bags(bags, valid, self.model)
            check_training(bags, valid, self.model, self.training, n_processes=ranks.size)
        self.history, self._networks = [], []
        self.temperature, self.prior, self.coverage = 1.0, None, None
        self.genres, self.train_counts = bags.genres, bags.train_counts.copy()
        self.spec, self.link = features.spec, link_of(bags, self.model)
        told: tuple[str, ...] = ()
        try:
            self.prior, self.temperature, self.coverage, told = fit_networks(
                features,
                bags,
                valid,
                (self.model, self.training),
                device,
                link=self.link,
                networks=self._networks,
                history=self.history,
                progress=progress,
                checkpoint=checkpoint,
            )
        finally:
            self.notes = told + fit_notes(bags, self.history, self._most_segments())
        return self

    def predict(
        self,
        features: FeatureStore,
        tracks: Tracks,
        bags: Bags,
        *,
        explain: bool = False,
        prior: Prior | None = None,
    ) -> Predictions:
        """Predict bags of any size.

        Parameters
        ----------
        features : FeatureStore
            Of the specification that was fitted.
        tracks : Tracks
            Holds at least the tracks of the bags.
        bags : Bags
            Labelled or not. Genres are matched by name; one that the model does not know becomes
            an unknown label.
        explain : bool
            Also return the attention and the logits of every segment.
        prior : {"training", "uniform", "estimate"} or mapping of genre to share, optional
            Predict as if genres were so frequent, see `matt.calibration.priors.reprior`; by
            default as the loss left it.

        Returns
        -------
        Predictions
            With the training counts of the bags that were fitted.

        Raises
        ------
        DataError
            If the model is not fitted, or features are missing or of another specification.
        ConfigError
            If the prior names no shares of the model's genres.
        """
        networks, spec = self._fitted()
        check_spec(features.spec, spec, f"the given store {features.spec.name!r}")
        rows = tracks.take(tracks.rows(bags.track_ids)).with_genres(self.genres, unknown="drop")
        device = next(networks[0].parameters()).device
        reader = Reader.open(features, bags.track_ids, device, max_bytes=0)
        most = self._most_segments()
        said = say(networks, reader, bags, link=self.link, max_segments=most)
        bags = align(bags, self.genres, self.train_counts)
        predictions = Predictions(bags, rows, self._said(said.logits), self.link)
        if explain:
            predictions = replace(
                predictions,
                segment_offsets=said.offsets,
                attention=said.attention.cpu().numpy(),
                segment_logits=self._said(said.segment_logits),
            )
        return predictions if prior is None else reprior(predictions, prior, trained=self.prior)

    def save(self, path: Path | str) -> None:
        """Write a model folder: ``model.json`` and ``weights.safetensors``.

        Raises
        ------
        DataError
            If the model is not fitted.
        """
        networks, spec = self._fitted()
        content = {
            **described(self, spec, {"torch": torch.__version__}),
            "temperature": self.temperature,
            "model": self.model.to_json(),
            "training": self.training.to_json(),
        }
        if plug_ins := self.model.plug_ins | self.training.plug_ins:
            content["plug_ins"] = {kind: one.source for kind, one in plug_ins.items()}
        write_model(path, "neural", content, network_arrays(networks))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open a model folder, on the CPU.

        Raises
        ------
        DataError
            If the folder is no model of this kind, or its parts do not fit each other.
        """
        content = read_model(path)
        if content["kind"] != "neural":
            raise DataError(
                f"{path} holds a model of kind {content['kind']!r}, not 'neural'; "
                "open it with GenreClassifier.load"
            )
        place = Path(path) / MODEL
        check_plug_ins(content, place)
        with telling_damage(place):
            model = cls(
                made(ModelSettings, content["model"]),
                made(TrainingSettings, content["training"]),
            )
            links = ("none",) if model.model.tanh_pooled else ("softmax", "sigmoid")
            spec = restore(model, content, links=links)
            model.temperature = float(content["temperature"])
            if not model.temperature > 0:
                raise DataError(f"the temperature {model.temperature} is not above 0")
        arrays = read_weights(path, content)
        model._networks = load_networks(
            model.model, spec.shape, len(model.genres), arrays, place, model.training.n_networks
        )
        return model

    def _most_segments(self) -> int:
        """Segments that are encoded at once; 0 before any network is trained."""
        networks = self._networks
        return settled(self.training, networks[0]).max_segments if networks else 0

    def _said(self, logits: Tensor) -> NDArray[np.float32]:
        """Logits, or the scores in [0, 1] that the release calls its output."""
        said = logits.exp() if self.link == "none" else logits / self.temperature
        return np.asarray(said.cpu(), np.float32)

    def _fitted(self) -> tuple[list[BagNetwork], FeatureSpec]:
        if not self._networks or self.spec is None:
            raise DataError("this model is not fitted; call fit(...), or load a saved one")
        return self._networks, self.spec
