"""The neural classifier: a network with everything that makes it usable years later.

Standardisation, genres, training counts and the specification of its features are part of the
model, so that it cannot be given other features, or genres in another order, without noticing.
Where it has several networks, they are trained one after another and finished
together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..bags import Bags
from ..calibration.priors import Prior, reprior
from ..errors import ConfigError, DataError, check_arguments, in_a_line
from ..features.store import FeatureStore
from ..predictions import Predictions
from ..settings import made
from ..tracks import Tracks
from .checkpoint import Checkpoint
from .device import reproducible
from .distributed import current
from .finishing import Finished, finish
from .members import Said, members, say
from .network import BagNetwork, build_network
from .optimisation import check_precision
from .reading import Reader, inputs_once, most_segments
from .registry import check_plug_ins
from .saving import (
    MODEL,
    Fitted,
    check_bags,
    check_fit,
    check_fitted,
    check_training,
    described,
    fit_notes,
    fitted_in_words,
    link_of,
    read_model,
    read_weights,
    readied,
    restore,
    telling_damage,
    write_model,
)
from .settings import ModelSettings, TrainingSettings
from .training import Progress, Row, prepare, train


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


def fit_networks(
    features: FeatureStore,
    bags: Bags,
    valid: Bags | None,
    settings: tuple[ModelSettings, TrainingSettings],
    device: torch.device,
    *,
    link: str,
    networks: list[BagNetwork],
    history: list[Row],
    progress: Progress | None,
    checkpoint: Path | str | None,
) -> Finished:
    """Train as many networks as the settings say, tune their heads and calibrate them.

    Parameters
    ----------
    features, bags, valid, progress, checkpoint
        As in `NeuralClassifier.fit`; the state of a second network and of further ones is kept in
        folders inside that of the first.
    settings : (ModelSettings, TrainingSettings)
    device : torch.device
    link : {"softmax", "sigmoid", "none"}
    networks : list
        Gets each network that has been trained for an epoch.
    history : list
        Gets their rows; of several networks with the number of each, ``network``, from 1.
    """
    model, training = settings
    ranks = current()
    notes: tuple[str, ...] = ()
    for number, one in enumerate(members(training), start=1):
        several = {"network": number} if training.n_networks > 1 else {}
        place = Path(checkpoint or "") / f"network-{number}" if number > 1 else checkpoint or ""
        rows: list[Row] = []
        with reproducible(one, device):
            network, reader = prepare(features, bags, valid, model, device)
            kept = Checkpoint.of(place, network, features.spec, bags, valid, (model, one))
            ranks.agree("training", kept.identity)
            try:
                with inputs_once(network, reader) as ready:
                    told = train(
                        network,
                        ready,
                        bags,
                        settings=one,
                        history=rows,
                        valid=valid,
                        true_query=model.query == "true",
                        progress=_named(progress, several),
                        checkpoint=None if checkpoint is None else kept,
                    )
            finally:
                if rows:
                    networks.append(network)
                history += [{**several, **row} for row in rows]
        who = f"network {number}: " if several else ""
        notes += tuple(who + note for note in told)
    with reproducible(training, device):
        done = finish(networks, reader, bags, valid, training, link=link)
    return done._replace(notes=notes + done.notes)


def _named(progress: Progress | None, several: Mapping[str, float]) -> Progress | None:
    """Say of each row of which network it is."""
    if progress is None or not several:
        return progress
    tell: Callable[[Mapping[str, float]], None] = progress
    return lambda row: tell({**several, **row})


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
        self._networks: list[BagNetwork] = []

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
        ranks = current()
        with ranks.together():
            device = ranks.device(self.training.device)
            check_precision(self.training.precision, device)
            check_bags(bags, valid, self.model)
            check_training(bags, valid, self.model, self.training, n_processes=ranks.size)
        self.history, self._networks = [], []
        self.temperature, self.prior, self.coverage, self.thresholds = 1.0, None, None, None
        self.genres, self.train_counts = bags.genres, bags.train_counts.copy()
        self.spec, self.link = features.spec, link_of(bags, self.model)
        told: tuple[str, ...] = ()
        try:
            done = fit_networks(
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
        rows, known = readied(self, self._networks, features, tracks, bags)
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
                attention=said.attention.cpu().numpy(),
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
        readied(self, self._networks, features, tracks, bags)
        if not 0 <= network < len(self._networks):
            raise DataError(
                f"network={network} is none of this model's {len(self._networks)}; "
                f"give 0 to {len(self._networks) - 1}"
            )
        said = self._say(features, bags, only=network)
        return Embeddings(
            said.embeddings.cpu().numpy(),
            said.attention.cpu().numpy(),
            self._said(said.segment_logits),
            self._said(said.logits),
            said.offsets,
            said.offsets[bags.offsets],
        )

    def save(self, path: Path | str) -> None:
        """Write a model folder: ``model.json`` and ``weights.safetensors``.

        Raises
        ------
        DataError
            If the model is not fitted.
        """
        spec = check_fitted(self.spec, self._networks)
        content = {
            **described(self, spec, {"torch": torch.__version__}),
            "temperature": self.temperature,
            "model": self.model.to_json(),
            "training": self.training.to_json(),
        }
        if plug_ins := self.model.plug_ins | self.training.plug_ins:
            content["plug_ins"] = {kind: one.source for kind, one in plug_ins.items()}
        write_model(path, "neural", content, network_arrays(self._networks))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open a model folder, on the CPU.

        Raises
        ------
        DataError
            If the folder is no model of this kind, or its parts do not fit each other.
        """
        content = read_model(path, kind="neural")
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
        return most_segments(self.training, networks[0]) if networks else 0

    def _say(self, features: FeatureStore, bags: Bags, *, only: int | None = None) -> Said:
        """What all networks say together, or one of them, with its embeddings."""
        networks = self._networks if only is None else [self._networks[only]]
        device = next(networks[0].parameters()).device
        reader = Reader.open(features, bags.track_ids, device, max_bytes=0)
        return say(
            networks,
            reader,
            bags,
            link=self.link,
            max_segments=self._most_segments(),
            embeddings=only is not None,
        )

    def _said(self, logits: Tensor) -> NDArray[np.float32]:
        """Logits, or the scores in [0, 1] that the release calls its output."""
        said = logits.exp() if self.link == "none" else logits / self.temperature
        return np.asarray(said.cpu(), np.float32)
