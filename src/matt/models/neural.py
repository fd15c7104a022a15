"""The neural classifier: a network with everything that makes it usable years later.

Standardisation, genres, training counts and the specification of its features are part of the
model, so that it cannot be given other features, or genres in another order, without noticing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..bags import Bags
from ..errors import DataError
from ..features.blocks import check_spec
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..predictions import Predictions
from ..tracks import Tracks
from .checkpoint import Checkpoint
from .checks import align, check_bags, fit_notes, link_of
from .device import reproducible
from .distributed import current
from .fitted import described, restore, telling_damage
from .loading import load_network
from .network import BagNetwork
from .preparing import prepare
from .reading import Reader, encode
from .saving import MODEL, read_model, read_weights, write_model
from .settings import ModelSettings, read_settings
from .training import train
from .training_settings import TrainingSettings


class NeuralClassifier:
    """Encoder, attention pooling and a linear classifier, trained on labelled bags.

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
        Logits are divided by it.
    history : list of dict
        One row an epoch, see `training.train`; not saved with the model.
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
        self.history: list[dict[str, float]] = []
        self.notes: tuple[str, ...] = ()
        self._network: BagNetwork | None = None

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
            check_bags(bags, valid, self.model)
        self.history, self._network = [], None
        with reproducible(self.training, device):
            network, reader = prepare(features, bags, valid, self.model, device)
            self.genres, self.train_counts = bags.genres, bags.train_counts.copy()
            self.spec, self.link = features.spec, link_of(bags, self.model)
            self.temperature = 1.0
            used = self.model, self.training
            kept = Checkpoint.of(checkpoint or "", network, features.spec, bags, valid, used)
            ranks.agree("training", kept.identity)
            told: tuple[str, ...] = ()
            try:
                told = train(
                    network,
                    reader,
                    bags,
                    settings=self.training,
                    history=self.history,
                    valid=valid,
                    true_query=self.model.query == "true",
                    progress=progress,
                    checkpoint=None if checkpoint is None else kept,
                )
            finally:
                self._network = network if self.history else None
                self.notes = told + fit_notes(bags, self.history, self.training.max_segments)
        return self

    def predict(
        self, features: FeatureStore, tracks: Tracks, bags: Bags, *, explain: bool = False
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

        Returns
        -------
        Predictions
            With the training counts of the bags that were fitted.

        Raises
        ------
        DataError
            If the model is not fitted, or features are missing or of another specification.
        """
        network, spec = self._fitted()
        check_spec(features.spec, spec, f"the given store {features.spec.name!r}")
        rows = tracks.take(tracks.rows(bags.track_ids)).with_genres(self.genres, unknown="drop")
        device = next(network.parameters()).device
        reader = Reader.open(features, bags.track_ids, device, max_bytes=0)
        scores, values, offsets = encode(
            network, reader, bags.track_ids, max_segments=self.training.max_segments
        )
        with torch.no_grad():
            whole = torch.from_numpy(offsets[bags.offsets]).to(device)
            logits, attention = network.pool(scores, values, whole)
            segment_logits = network.segment_logits(values)
        predictions = Predictions(
            align(bags, self.genres, self.train_counts),
            rows,
            self._said(logits),
            self.link,
        )
        if not explain:
            return predictions
        return replace(
            predictions,
            segment_offsets=offsets,
            attention=attention.cpu().numpy(),
            segment_logits=self._said(segment_logits),
        )

    def save(self, path: Path | str) -> None:
        """Write a model folder: ``model.json`` and ``weights.safetensors``.

        Raises
        ------
        DataError
            If the model is not fitted.
        """
        network, spec = self._fitted()
        content = {
            **described(self, spec, {"torch": torch.__version__}),
            "temperature": self.temperature,
            "model": asdict(self.model),
            "training": asdict(self.training),
        }
        arrays = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
        write_model(path, "neural", content, arrays)

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
        with telling_damage(place):
            model = cls(
                read_settings(ModelSettings, content["model"]),
                read_settings(TrainingSettings, content["training"]),
            )
            links = ("none",) if model.model.tanh_pooled else ("softmax", "sigmoid")
            spec = restore(model, content, links=links)
            model.temperature = float(content["temperature"])
            if not model.temperature > 0:
                raise DataError(f"the temperature {model.temperature} is not above 0")
        arrays = read_weights(path, content)
        model._network = load_network(model.model, spec.shape, len(model.genres), arrays, place)
        return model

    def _said(self, logits: Tensor) -> NDArray[np.float32]:
        """Logits, or the scores in [0, 1] that the release calls its output."""
        said = logits.exp() if self.link == "none" else logits / self.temperature
        return np.asarray(said.cpu(), np.float32)

    def _fitted(self) -> tuple[BagNetwork, FeatureSpec]:
        if self._network is None or self.spec is None:
            raise DataError("this model is not fitted; call fit(...), or load a saved one")
        return self._network, self.spec
