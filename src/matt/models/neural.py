"""The neural classifier: a network with everything that makes it usable years later.

Standardisation, genres, training counts and the specification of its features are part of the
model, so that it cannot be given other features, or genres in another order, without noticing.
Where it has several networks, they are trained one after another and finished
together.

torch is needed to train, and by models whose networks could not be written as a graph. All others
predict without it once they are opened from files: see `matt.models.graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.priors import Prior, reprior
from ..errors import DataError, check_arguments, in_a_line
from ..features.store import FeatureStore
from ..predictions import Predictions
from ..settings import made
from ..tracks import Tracks
from .arrays import Floats, Said
from .extra import check_extra
from .graph import Networks
from .registry import check_plug_ins
from .saving import (
    GRAPH,
    MODEL,
    Fitted,
    check_fit,
    check_fitted,
    described,
    fit_notes,
    fitted_in_words,
    link_of,
    read_graph,
    read_model,
    read_weights,
    readied,
    restore,
    telling_damage,
    write_model,
)
from .settings import ModelSettings, TrainingSettings


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a network makes of the segments of bags on its way to their logits.

    Segments lie track by track, tracks in bag order; all arrays are of NumPy.

    Attributes
    ----------
    embeddings : float array, shape (N, D)
        Of each segment, h_k.
    attention : float array, shape (N, G) or (N, 1)
        How much each segment counts for each genre, or for all; sums to 1 over each bag.
    segment_logits : float array, shape (N, G)
        As in `Predictions`: attention times them sums to the bag's logits if the head is linear.
    logits : float array, shape (b, G)
        Of each bag: what the head makes of ``pooled``, plus what the bag's spread adds.
    track_offsets : int array, shape (n + 1,)
        Where the segments of each track start.
    bag_offsets : int array, shape (b + 1,)
        Where the segments of each bag start.
    """

    embeddings: NDArray[np.float32]
    attention: NDArray[np.float32]
    segment_logits: NDArray[np.float32]
    logits: NDArray[np.float32]
    track_offsets: NDArray[np.int64]
    bag_offsets: NDArray[np.int64]

    __repr__ = in_a_line

    @property
    def pooled(self) -> NDArray[np.float32]:
        """Embedding of each bag, z_bg, shape (b, G, D), or (b, 1, D): the attention's mean."""
        starts = self.bag_offsets[:-1]
        columns = [
            np.add.reduceat(column[:, None] * self.embeddings, starts, axis=0)
            for column in self.attention.T
        ]
        return np.stack(columns, axis=1)


class NeuralClassifier(Fitted):
    """Encoder, attention pooling and a linear classifier, trained on labelled bags.

    With ``n_networks`` of the training there are several, which differ in their seeds and whose
    probabilities are averaged.

    Parameters
    ----------
    model : ModelSettings, optional
    training : TrainingSettings, optional

    Attributes
    ----------
    genres, train_counts, spec, prior, coverage, notes
        As in `GenreClassifier`.
    link : {"softmax", "sigmoid", "none"}
        ``"sigmoid"`` if a bag may have several genres, ``"none"`` under `tanh_pooled`.
    temperature : float > 0
        Logits are divided by it; fitted on the validation bags, 1 where there are none.
    thresholds : array, shape (G,), or None
        Where a bag may have several genres: from which probability on each is given, chosen on the
        validation bags. None without any.
    history : list of dict
        One row an epoch, see `training.train`; not saved with the model. Of several networks one
        after another, with the number of each in ``network``.

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
        check_arguments(
            model=(model, ModelSettings | None), training=(training, TrainingSettings | None)
        )
        super().__init__()
        self.model = model or ModelSettings()
        self.training = training or TrainingSettings()
        self.temperature = 1.0
        self._networks: list[Any] = []  # of torch: trained here, or without a graph
        self._graph: Networks | None = None  # of all of them, where they come from files
        self._versions: dict[str, str] = {}

    def __repr__(self) -> str:
        kind = f"{self.model.encoder} encoder, {self.model.pooling} pooling"
        return f"NeuralClassifier({kind}; {fitted_in_words(self)})"

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
        check_fit(features, bags, valid)
        check_extra("training a network")
        from . import trained

        device = trained.check_here(bags, valid, self.model, self.training)
        self.history, self._networks, self._graph = [], [], None
        self._versions = trained.VERSIONS
        self.temperature, self.prior, self.coverage, self.thresholds = 1.0, None, None, None
        self.genres, self.train_counts = bags.genres, bags.train_counts.copy()
        self.spec, self.link = features.spec, link_of(bags, self.model)
        told: tuple[str, ...] = ()
        try:
            done = trained.fit_networks(
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
            self.prior, self.temperature, self.coverage, self.thresholds, told = done
        finally:
            most = trained.at_once(self._networks, self.training)
            self.notes = told + fit_notes(bags, self.history, most)
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
        """Predict bags of any size, as every `GenreClassifier` does.

        Parameters
        ----------
        features, tracks, bags, prior
            As in `GenreClassifier.predict`.
        explain : bool
            Also return the attention and the logits of every segment.
        """
        predictions, _ = self._predict(features, tracks, bags, explain)
        return predictions if prior is None else reprior(predictions, prior, trained=self.prior)

    def each(
        self, features: FeatureStore, tracks: Tracks, bags: Bags, *, explain: bool = False
    ) -> list[Predictions]:
        """Predict bags with all networks, and then with each of them alone.

        Parameters
        ----------
        features, tracks, bags, explain
            As in `predict`; of all of them together alone there are explanations.
        """
        whole, said = self._predict(features, tracks, bags, explain)
        alone = replace(whole, segment_offsets=None, attention=None, segment_logits=None)
        return [whole, *(replace(alone, logits=self._said(logits)) for logits in said.each)]

    def _predict(
        self, features: FeatureStore, tracks: Tracks, bags: Bags, explain: bool
    ) -> tuple[Predictions, Said]:
        rows, known = readied(self, self._any, features, tracks, bags)
        said = self._say(features, bags)
        logits = self._said(said.logits)
        decision = None if self.prior is None else self.prior.decision
        predictions = Predictions(
            known, rows, logits, self.link, thresholds=self.thresholds, decision=decision
        )
        if explain:
            predictions = replace(
                predictions,
                segment_offsets=said.offsets,
                attention=said.attention,
                segment_logits=self._said(said.segment_logits),
            )
        return predictions, said

    def embed(
        self, features: FeatureStore, tracks: Tracks, bags: Bags, *, network: int = 0
    ) -> Embeddings:
        """Look inside: the embedding of every segment, its attention, and the logits.

        Parameters
        ----------
        features, tracks, bags
            As in `GenreClassifier.predict`.
        network : int >= 0
            Which of several networks (``n_networks`` of the training). Each has embeddings in a
            space of its own, so nothing is averaged here: only the logits of a lone network are
            those of `predict`.

        Raises
        ------
        ArgumentError, DataError
            As in `GenreClassifier.predict`; also if there is no such network.

        Examples
        --------
        >>> owner = [5, 5, 6, 6]
        >>> tracks = Tracks([1, 2, 3, 4], [0, 0, 1, 1], ("Rock", "Folk"), owner, album_id=owner)
        >>> store = FeatureStore.from_arrays("toy", tracks.track_id, np.eye(4))
        >>> bags = Bags.from_tracks(tracks)
        >>> model = NeuralClassifier(training=TrainingSettings(epochs=1)).fit(store, bags)
        >>> inside = model.embed(store, tracks, bags)
        >>> inside.embeddings.shape, inside.attention.T.tolist(), inside.bag_offsets.tolist()
        ((4, 128), [[0.5, 0.5, 0.5, 0.5]], [0, 2, 4])
        """
        readied(self, self._any, features, tracks, bags)
        if not 0 <= network < len(self._any):
            raise DataError(
                f"network={network} is none of this model's {len(self._any)}; "
                f"give 0 to {len(self._any) - 1}"
            )
        said = self._say(features, bags, only=network)
        return Embeddings(
            np.asarray(said.embeddings, np.float32),
            np.asarray(said.attention, np.float32),
            self._said(said.segment_logits),
            self._said(said.logits),
            said.offsets,
            said.offsets[bags.offsets],
        )

    def save(self, path: Path | str) -> None:
        """Write a model folder: ``model.json``, ``weights.safetensors`` and ``model.onnx``.

        The last is missing if a plug-in has layers that cannot be written as ONNX, see
        `matt.models.written`: to predict with such a model needs torch.

        Raises
        ------
        DataError
            If the model is not fitted.
        """
        spec = check_fitted(self.spec, self._any)
        if self._graph is not None:
            arrays: Mapping[str, NDArray[Any]] = self._graph.arrays
            graph: bytes | None = self._graph.data
            most = self._graph.most_segments
        else:
            from . import trained

            arrays, graph = trained.files_of(self._networks, spec.shape)
            most = trained.at_once(self._networks, self.training)
        content = {
            **described(self, spec, self._versions),
            "temperature": self.temperature,
            "model": self.model.to_json(),
            "training": self.training.to_json(),
            "most_segments": most,
        }
        if plug_ins := self.model.plug_ins | self.training.plug_ins:
            content["plug_ins"] = {kind: one.source for kind, one in plug_ins.items()}
        write_model(path, "neural", content, arrays, graph=graph)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open a model folder, on the CPU.

        Raises
        ------
        DataError
            If the folder is no model of this kind, or its parts do not fit each other.
        ConfigError
            If its networks have no graph and torch is not installed, or onnxruntime is too old.
        """
        content = read_model(path, kind="neural")
        place, has_graph = Path(path) / MODEL, "graph_sha256" in content
        if not has_graph:
            check_extra(
                f"{path}, a model without {GRAPH} (saved before there were any, or with a "
                "plug-in that cannot be written as one),"
            )
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
            versions = dict(content["versions"])
            model._versions = {name: str(versions[name]) for name in ("torch",) if name in versions}
            most = int(content["most_segments"]) if has_graph else 1
            if most < 1:
                raise DataError(f"most_segments is {most}")
        arrays = read_weights(path, content)
        shape, n_genres, n = spec.shape, len(model.genres), model.training.n_networks
        if has_graph:
            model._graph = Networks.open(
                read_graph(path, content),
                arrays,
                model.model,
                shape,
                n_genres,
                n_networks=n,
                most_segments=most,
                place=Path(path) / GRAPH,
            )
        else:
            from . import trained

            model._networks = trained.load_networks(model.model, shape, n_genres, arrays, place, n)
        return model

    @property
    def _any(self) -> list[Any] | Networks:
        """Networks that can be asked; none before they are fitted."""
        return self._networks if self._graph is None else self._graph

    def _say(self, features: FeatureStore, bags: Bags, *, only: int | None = None) -> Said:
        """What all networks say together, or one of them, with its embeddings."""
        if self._graph is not None:
            return self._graph.say(features, bags, link=self.link, only=only)
        from . import trained

        return trained.ask(self._networks, self.training, features, bags, link=self.link, only=only)

    def _said(self, logits: Floats) -> NDArray[np.float32]:
        """Logits, or the scores in [0, 1] that the release calls its output."""
        return np.asarray(
            np.exp(logits) if self.link == "none" else logits / self.temperature, np.float32
        )
