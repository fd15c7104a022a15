"""What is compared: ways to predict bags, each fitted and applied alike.

A comparison is a list of `Row`: what a model is trained on (bags or lone tracks), and how its
predictions reach the bag. A row on one split with one seed is a `Cell`. The controls stand in every
table, because without them nobody can tell what bags and attention are worth.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .bags import Bags
from .calibration.priors import decision_of
from .calibration.temperature import fit_temperature
from .calibration.thresholds import choose_thresholds
from .config import Settings
from .errors import ConfigError, MattError, first_few
from .features.store import FeatureStore, with_features
from .library.predict import predict_explained
from .models.baselines import BaselineClassifier
from .models.blend import BESIDE, CALLED, NETWORK, BlendClassifier, blendable, usable
from .models.classifier import GenreClassifier
from .models.decision import balanced_tau
from .models.estimators import approximated
from .models.extra import check_extra
from .models.neural import NeuralClassifier
from .models.settings import (
    BaselineSettings,
    BlendName,
    ModelSettings,
    StrongName,
    TrainingSettings,
)
from .predictions import Decision, Predictions
from .provenance import digest
from .runs import Run
from .tracks import Tracks

BAG_MODEL = "bag model"
LONE_BATCH = 256  # lone tracks a step; a bag counts as one bag, so bags take fewer
_GENRE = "genre in the key"

_DETERMINISTIC = ("knn", "svm", "svm_stacked", "lr", "hgb")
# What every baseline had before there was a choice: left out of the facts of a cell, so that what
# was computed then is found.
_BEFORE = {
    "inputs": "standard",
    "c": 1.0,
    "trees": 150,
    "leaves": 12,
    "search": False,
    "decision": "argmax",
}

Epoch = Callable[[Mapping[str, float]], None]
# What a fitted row predicts besides, by name.
Further = Callable[["FittedRow"], Mapping[str, Predictions]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to predict bags.

    Attributes
    ----------
    name : str
        In tables.
    model : ModelSettings or BaselineSettings
    training : TrainingSettings
        Of a network; a baseline has none of it.
    lone : bool
        Trained on lone tracks instead of bags, and predicted so.
    average : bool
        Of a model of lone tracks: average its probabilities over the bag.
    genre_in_training_key, test_selection : bool
        Faults of the paper's release, see `matt.faults`: bags of training are keyed by their
        genre as well; the best epoch is chosen on the test split, by the same score.
    bags : str
        What a bag is, as in `Bags.from_tracks`.
    features : str
        What it reads: the name of one of several stores; empty where there is one.
    further : callable, optional
        A function of a module, for what is predicted besides, e.g. bags that are cut: see
        `Further`.
    blend : tuple of str
        What is averaged with a network, see `matt.models.blend`, as far as it can read the data.
    """

    name: str
    model: ModelSettings | BaselineSettings
    training: TrainingSettings = field(default_factory=TrainingSettings)
    lone: bool = False
    average: bool = False
    genre_in_training_key: bool = False
    test_selection: bool = False
    bags: str = "album"
    features: str = ""
    further: Further | None = None
    blend: tuple[BlendName, ...] = ()

    @property
    def random(self) -> bool:
        """Whether a seed changes anything."""
        return not (
            isinstance(self.model, BaselineSettings) and self.model.classifier in _DETERMINISTIC
        )

    @property
    def chosen_on(self) -> str:
        """The split on which its best epoch and all else is chosen."""
        return "test" if self.test_selection else "validation"

    def facts(self) -> dict[str, Any]:
        """All that decides its result besides bags, features and seed; not what it is called."""
        model, training = self.model.to_json(), self.training.to_json()
        if isinstance(self.model, BaselineSettings):
            model = {name: v for name, v in model.items() if v != _BEFORE.get(name, object)}
        for settings in (model, training):
            settings.pop("seed", None)  # each cell has its own
            if settings.get("decision") == "argmax":  # as it was before there was a choice
                del settings["decision"]
        return {
            "model": model,
            "training": None if isinstance(self.model, BaselineSettings) else training,
            "lone": self.lone,
            "average": self.average,
            "genre_in_training_key": self.genre_in_training_key,
            "test_selection": self.test_selection,
            **({"blend": list(self.blend)} if self.blend else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A row on a split with a seed: one piece of work with a result of its own.

    Attributes
    ----------
    name : str
        For people; it decides nothing.
    facts : mapping
        Everything that decides the result, JSON-serialisable: row, data, features, seed.
    row : Row, optional
        None of cells whose work is something else.
    split : int
        Place of its split among those that all cells share.
    group : str
        Cells of one group take about equally long: they differ in split or seed.

    Examples
    --------
    >>> Cell(name="one", facts={"lr": 0.1}).digest == Cell(name="two", facts={"lr": 0.1}).digest
    True
    """

    name: str
    facts: Mapping[str, Any]
    row: Row | None = None
    split: int = 0
    group: str = ""

    @cached_property
    def digest(self) -> str:
        """Its key: sixteen hex digits of the facts and of the version of matt."""
        content = {"facts": dict(self.facts), "matt": __version__}
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def bag_model(
    name: str, model: ModelSettings, training: TrainingSettings, *, faults: Collection[str] = ()
) -> Row:
    """A network of bags, with those of the named faults that are a row's and not its settings'."""
    return Row(
        name=name,
        model=model,
        training=training,
        genre_in_training_key="genre_in_training_key" in faults,
        test_selection="test_selection" in faults,
    )


def track_model(
    name: str, model: ModelSettings, training: TrainingSettings, *, average: bool
) -> Row:
    """The control: a plain network of lone tracks, with the same encoder, loss and budget.

    It has no fault of the model that it stands beside.

    Its best epoch is chosen by what is scored: lone tracks, or their average over the bags.
    """
    plain = replace(
        training,
        sub_bags=False,
        segment_loss=0.0,
        agreement=0.0,
        dropped_batch=False,
        max_bags=max(training.max_bags, LONE_BATCH),
        validate="average" if average else "bags",
    )
    network = replace(
        model,
        pooling="mean",
        pooling_settings=None,
        spread=False,
        query="all",
        frozen_queries=False,
        tanh_pooled=False,
    )
    return Row(name=name, model=network, training=plain, lone=True, average=average)


def baseline(settings: BaselineSettings) -> Row:
    """A baseline of the paper: of lone tracks, its probabilities averaged over the bag."""
    return Row(name=settings.classifier, model=settings, lone=True, average=True)


def strong_controls(
    tracks: Tracks, shape: Sequence[int], *, bags: str = "album", features: str = ""
) -> tuple[dict[str, Row], list[str]]:
    """Controls of other kinds than networks: what anybody would try who has no use for bags.

    Each sees ranks of lone tracks, has one setting chosen on validation among three, is averaged
    over the bag as if all genres were equally frequent, and is calibrated and decided like a
    network.

    Parameters
    ----------
    tracks : Tracks
        With splits.
    shape : sequence of int
        Of one segment of the features.
    bags, features : str
        As in `Row`.

    Returns
    -------
    rows : dict of str to Row
        By the name under which predictions are saved.
    notes : list of str
        Which are left out, or approximated, and why.
    """
    names, why = usable(tuple(STRONG.values()), shape, several=tracks.multi_label)
    rows = {
        key: Row(
            name=f"control: {CALLED[name]}, averaged over the bag",
            model=replace(BESIDE, classifier=name),
            lone=True,
            average=True,
            bags=bags,
            features=features,
        )
        for key, name in STRONG.items()
        if name in names
    }
    reasons = dict.fromkeys(why.values())
    absent = {
        told: ", ".join(CALLED[name] for name in why if why[name] == told) for told in reasons
    }
    notes = [f"Not among the controls: {some}, as {told}." for told, some in absent.items()]
    n = int((tracks.labelled & (tracks.split == "training")).sum())
    told = {name: approximated(name, n) for name in names}
    notes += [f"Of the controls, the {CALLED[name]}: {why}." for name, why in told.items() if why]
    return rows, notes


STRONG: dict[str, StrongName] = {
    "control-svm": "svm_stacked",
    "control-lr": "lr",
    "control-hgb": "hgb",
}


def fitted_rows(settings: Settings, *, controls: bool) -> list[Row]:
    """What a run fits, in this order: its model and, with ``controls``, the track model."""
    if settings.baseline is None:
        faults = settings.present_faults
        row = bag_model(BAG_MODEL, settings.model, settings.training, faults=faults)
        rows = [replace(row, blend=settings.blended)]
    else:
        rows = [baseline(settings.baseline)]
    if controls:
        model, training = settings.model, settings.training
        rows.append(track_model("track model", model, training, average=True))
    return [replace(row, bags=settings.bags) for row in rows]


def single(row: Row) -> Row:
    """The row as one network, with nothing beside it, and chosen on validation."""
    training = replace(row.training, n_networks=1)
    return replace(row, blend=(), test_selection=False, training=training)


def check_rows(
    rows: Sequence[Row], shapes: Mapping[str, Sequence[int]], *, n_genres: int = 2
) -> None:
    """Refuse rows that could not be fitted, before anything is computed: encoder, shape, device.

    Parameters
    ----------
    rows : sequence of Row
    shapes : mapping of str to sequence of int
        Of one segment of the features that rows read, by `Row.features`.
    n_genres : int
        As far as it is known.

    Raises
    ------
    ConfigError
        Listing all problems, each with the rows that have it; or if torch is not installed.
    """
    check_extra("training")
    from .models import trained

    found: dict[str, list[str]] = {}
    seen: dict[str, str] = {}  # problem of rows that are equal here, "" if there is none
    for row in rows:
        key = repr((row.model, row.training.device, row.features))
        if key not in seen:
            try:
                if not isinstance(row.model, BaselineSettings):
                    trained.check_row(row.model, row.training, shapes[row.features], n_genres)
                seen[key] = ""
            except MattError as error:
                seen[key] = str(error)
        if seen[key]:
            found.setdefault(seen[key], []).append(row.name)
    if found:
        told = (f"{first_few(map(repr, names), most=3)}: {why}" for why, names in found.items())
        raise ConfigError(f"nothing was run; {'; '.join(told)}")


def fit_row(
    row: Row,
    features: FeatureStore,
    tracks: Tracks,
    *,
    seed: int,
    progress: Epoch | None = None,
    checkpoint: Path | None = None,
    workers: int = 1,
    fitting: Callable[[int, int], None] | None = None,
) -> GenreClassifier:
    """Fit one row on the training split, its best epoch chosen on the validation split.

    Under its fault `test_selection` that is the test split.

    Parameters
    ----------
    row : Row
    features : FeatureStore
        Holds every labelled track.
    tracks : Tracks
        With splits.
    seed : int
    progress : callable, optional
        Called after each epoch.
    checkpoint : Path, optional
        Folder of its state, as in `NeuralClassifier.fit`.
    workers, fitting
        Of what is blended with a network, as in `BlendClassifier.fit`.
    """
    unit = "track" if row.lone else row.bags
    if row.genre_in_training_key and unit != "track":
        train = genre_keyed(tracks, by=unit).labelled()
    else:
        train = Bags.from_tracks(tracks, by=unit, split="training").labelled()
    valid, split = None, row.chosen_on
    if (tracks.labelled & (tracks.split == split)).any():
        unit = "track" if row.lone and not row.average else row.bags
        valid = Bags.from_tracks(tracks, by=unit, split=split).labelled()
    if isinstance(row.model, BaselineSettings):
        baseline = BaselineClassifier(replace(row.model, seed=seed))
        return baseline.fit(features, train, valid=valid, progress=progress)
    training = row.training if row.training.seed == seed else replace(row.training, seed=seed)
    lone = Bags.from_tracks(tracks, by="track", split="training").labelled() if row.blend else train
    further, names, left_out = _beside(row, training, lone, valid, features.spec.shape)
    training = replace(training, n_networks=training.n_networks + further)
    network = NeuralClassifier(row.model, training)
    if names:
        blend = BlendClassifier(network, names).fit(
            features,
            train,
            valid=valid,
            lone=lone,
            progress=progress,
            checkpoint=checkpoint,
            workers=workers,
            fitting=fitting,
        )
        blend.notes += left_out
        return blend
    network.fit(features, train, valid=valid, progress=progress, checkpoint=checkpoint)
    network.notes += left_out
    return network


def _beside(
    row: Row, training: TrainingSettings, lone: Bags, valid: Bags | None, shape: Sequence[int]
) -> tuple[int, tuple[StrongName, ...], tuple[str, ...]]:
    """Further networks and other classifiers of a row's blend, and what to tell of the rest."""
    if not row.blend or isinstance(row.model, BaselineSettings):
        return 0, (), ()
    if valid is None or not blendable(row.model, training):
        why = "no validation albums" if valid is None else "its largest output is taken as it is"
        return 0, (), (f"not blended: {why}",)
    others = [name for name in row.blend if name != NETWORK]
    names, absent = usable(others, shape, several=lone.multi_label)
    notes = [f"not in the blend: {CALLED[name]}, as {why}" for name, why in absent.items()]
    further = row.blend.count(NETWORK)
    if further and len(shape) > 1:
        further = 0
        notes.append("not in the blend: further networks, as features are maps")
    return further, names, tuple(notes)


def take_part(out: Run, features: FeatureStore, settings: Settings, *, controls: bool) -> None:
    """Fit the networks of a run beside the process that makes it, see `models.distributed`.

    Parameters
    ----------
    out : Run
        Which holds its tracks already; nothing is written to it.
    features : FeatureStore
    settings : Settings
    controls : bool
        As that process has it.
    """
    tracks = out.tracks()
    for row in fitted_rows(settings, controls=controls):
        if not isinstance(row.model, BaselineSettings):  # which the first process fits alone
            fit_row(row, features, tracks, seed=settings.seed, checkpoint=out.checkpoint(row.name))


def genre_keyed(tracks: Tracks, *, by: str) -> Bags:
    """Training bags keyed by the genre of their tracks as well: a fault of the paper's release.

    A mixed album becomes a bag for each of its genres, so that all bags are pure, by their labels.

    Examples
    --------
    >>> tracks = Tracks([1, 2, 3], [0, 1, 0], ("Folk", "Rock"), album_id=[5, 5, 5],
    ...                 artist_id=[7, 7, 7], split=["training"] * 3)
    >>> genre_keyed(tracks, by="album").sizes
    array([2, 1])
    """
    _, genre = np.unique(tracks.labels, axis=0, return_inverse=True)
    genre = np.where(tracks.labelled, genre.reshape(-1), -1)
    columns = {**tracks.columns, _GENRE: genre}
    names = ("album_id", "artist_id") if by == "album" else (by,)
    return Bags.from_tracks(replace(tracks, columns=columns), (*names, _GENRE), split="training")


@dataclass(frozen=True, eq=False)
class FittedRow:
    """A row, fitted, with what it was fitted on."""

    row: Row
    model: GenreClassifier
    features: FeatureStore
    tracks: Tracks
    seed: int

    @classmethod
    def of(
        cls, row: Row, features: FeatureStore, tracks: Tracks, *, seed: int, **options: Any
    ) -> FittedRow:
        """Fit a row, see `fit_row` and its options, on those of the tracks that have features."""
        there = with_features(tracks, features)
        return cls(row, fit_row(row, features, there, seed=seed, **options), features, there, seed)

    def beside(self, row: Row) -> FittedRow | None:
        """A row of lone tracks, where it has been fitted in the blend of this one."""
        if isinstance(self.model, BlendClassifier) and isinstance(row.model, BaselineSettings):
            for name, other in self.model.others.items():
                if row.model == replace(BESIDE, classifier=name) and row.bags == self.row.bags:
                    return replace(self, row=row, model=other)
        return None

    def bags(self, split: str, by: str = "") -> Bags:
        """Bags of a split, as the row has them or ``by`` something else."""
        return Bags.from_tracks(self.tracks, by=by or self.row.bags, split=split)

    def predict(self, bags: Bags) -> Predictions:
        """Predict bags whole, whatever the row says."""
        return self.model.predict(self.features, self.tracks, bags)

    def predict_row(self, bags: Bags, *, explain: bool = False) -> Predictions:
        """Predict bags as the row says: whole, lone, or lone and averaged over the bags.

        Whole bags come with attention and the logits of segments, if these are to ``explain``.
        Averages have thresholds of their own, chosen on the averages of the validation bags.
        """
        if self.row.lone:
            alone = self._alone(bags)
            return self.average(alone, bags) if self.row.average else alone
        if explain:
            return predict_explained(self.model, self.features, self.tracks, bags)
        return self.predict(bags)

    def average(self, alone: Predictions, bags: Bags) -> Predictions:
        """Average predictions of lone tracks over bags: as sure, and decided, as bags need it."""
        averaged = alone.average_over(bags)
        if averaged.thresholds is not None:
            return replace(averaged, thresholds=self._thresholds_of_bags)
        if averaged.decision is None:
            return averaged
        temperature, decision = self._decision_of_bags
        logits = averaged.likelihoods / temperature + np.log(decision.bags)
        return replace(averaged, logits=logits.astype(np.float32), decision=decision)

    def _alone(self, bags: Bags) -> Predictions:
        rows = self.tracks.rows(bags.track_ids)
        return self.predict(Bags.from_tracks(self.tracks.take(rows), by="track"))

    @cached_property
    def _averaged_on(self) -> Predictions | None:
        """Averages over the bags by which all is chosen, if there are any."""
        if not (self.tracks.labelled & (self.tracks.split == self.row.chosen_on)).any():
            return None
        valid = self.bags(self.row.chosen_on).labelled()
        return self._alone(valid).average_over(valid)

    @cached_property
    def _thresholds_of_bags(self) -> NDArray[np.float64] | None:
        said = self._averaged_on
        return None if said is None else choose_thresholds(said.probabilities, said.labels).values

    @cached_property
    def _decision_of_bags(self) -> tuple[float, Decision]:
        """Temperature and decision of averages over bags."""
        decision, said = decision_of(self.bags("training").labelled()), self._averaged_on
        if said is None:
            return 1.0, decision
        even = np.full(len(said.genres), 1 / len(said.genres))
        temperature = fit_temperature(said.likelihoods, said.labels, "softmax", assumed=even)
        tau = balanced_tau(said.likelihoods / temperature, decision.tracks, said.bags)
        return temperature, replace(decision, tau=tau)


def data_digest(tracks: Tracks, by: str) -> str:
    """Sixteen hex digits of ids, labels, splits and bags: what a cell learns from and is tested on.

    Parameters
    ----------
    tracks : Tracks
    by : str
        What a bag is, as in `Bags.from_tracks`.
    """
    content = hashlib.sha256(digest(tracks).encode())
    bags = Bags.from_tracks(tracks, by=by)
    for array in (bags.track_ids, bags.offsets):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def features_digest(features: FeatureStore) -> str:
    """Sixteen hex digits of features: spec and tracks, and the values where they are in memory.

    Extracted features are known by their spec and their files, which nothing changes once they are
    written.
    """
    content = hashlib.sha256(features.spec.digest.encode())
    for array in (features.track_ids, features.n_segments):
        content.update(np.ascontiguousarray(array).tobytes())
    for block in features.blocks:
        if isinstance(block, np.ndarray):
            content.update(features.start.tobytes())
            content.update(np.ascontiguousarray(block).view(np.uint8).data)
        else:
            content.update(f"{block.name} {block.stat().st_size}".encode())
    return content.hexdigest()[:16]
