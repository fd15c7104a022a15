"""What is compared: ways to predict bags, each fitted and applied alike.

A comparison is a list of `Row`: what a model is trained on (bags or lone tracks), and how its
predictions reach the bag. The controls stand in every table, because without them nobody can tell
what bags and attention are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .bags import Bags
from .config import Settings
from .features.store import FeatureStore
from .library.predict import predict_explained
from .models.baselines import BaselineClassifier
from .models.classifier import GenreClassifier
from .models.neural import NeuralClassifier
from .models.settings import BaselineSettings, ModelSettings, TrainingSettings
from .predictions import Predictions
from .runs import Run
from .tracks import Tracks

BAG_MODEL = "bag model"
LONE_BATCH = 256  # lone tracks a step; a bag counts as one bag, so bags take fewer
_GENRE = "genre in the key"

Epoch = Callable[[Mapping[str, float]], None]


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
    """

    name: str
    model: ModelSettings | BaselineSettings
    training: TrainingSettings = field(default_factory=TrainingSettings)
    lone: bool = False
    average: bool = False
    genre_in_training_key: bool = False
    test_selection: bool = False


def bag_model(
    name: str, model: ModelSettings, training: TrainingSettings, *, faults: Collection[str] = ()
) -> Row:
    """A network of bags, with those of the named faults that are a row's and not its settings'."""
    own = {key: key in faults for key in ("genre_in_training_key", "test_selection")}
    return Row(name=name, model=model, training=training, **own)


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
        model, pooling="mean", spread=False, query="all", frozen_queries=False, tanh_pooled=False
    )
    return Row(name=name, model=network, training=plain, lone=True, average=average)


def baseline(settings: BaselineSettings) -> Row:
    """A baseline of the paper: of lone tracks, its probabilities averaged over the bag."""
    return Row(name=settings.classifier, model=settings, lone=True, average=True)


def fitted_rows(settings: Settings, *, controls: bool) -> list[Row]:
    """What a run fits, in this order: its model and, with ``controls``, the track model."""
    if settings.baseline is None:
        faults = settings.present_faults
        rows = [bag_model(BAG_MODEL, settings.model, settings.training, faults=faults)]
    else:
        rows = [baseline(settings.baseline)]
    if controls:
        model, training = settings.model, settings.training
        rows.append(track_model("track model", model, training, average=True))
    return rows


def fit_row(
    row: Row,
    features: FeatureStore,
    tracks: Tracks,
    *,
    by: str,
    seed: int,
    progress: Epoch | None = None,
    checkpoint: Path | None = None,
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
    by : str
        What a bag is, as in `Bags.from_tracks`.
    seed : int
    progress : callable, optional
        Called after each epoch.
    checkpoint : Path, optional
        Folder of its state, as in `NeuralClassifier.fit`.
    """
    unit = "track" if row.lone else by
    if row.genre_in_training_key and unit != "track":
        train = genre_keyed(tracks, by=unit).labelled()
    else:
        train = Bags.from_tracks(tracks, by=unit, split="training").labelled()
    valid, split = None, "test" if row.test_selection else "validation"
    if (tracks.labelled & (tracks.split == split)).any():
        unit = "track" if row.lone and not row.average else by
        valid = Bags.from_tracks(tracks, by=unit, split=split).labelled()
    if isinstance(row.model, BaselineSettings):
        baseline = BaselineClassifier(replace(row.model, seed=seed))
        return baseline.fit(features, train, valid=valid, progress=progress)
    return NeuralClassifier(row.model, replace(row.training, seed=seed)).fit(
        features, train, valid=valid, progress=progress, checkpoint=checkpoint
    )


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
            kept, by, seed = out.checkpoint(row.name), settings.bags, settings.seed
            fit_row(row, features, tracks, by=by, seed=seed, checkpoint=kept)


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


def predict_row(
    row: Row, model: GenreClassifier, features: FeatureStore, tracks: Tracks, bags: Bags
) -> Predictions:
    """Predict bags as the row says: whole, lone, or lone and averaged over the bags."""
    if not row.lone:
        return predict_explained(model, features, tracks, bags)
    alone = Bags.from_tracks(tracks.take(tracks.rows(bags.track_ids)), by="track")
    predictions = model.predict(features, tracks, alone)
    return predictions.average_over(bags) if row.average else predictions
