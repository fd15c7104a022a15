"""The work of a cell: fit a model on a split, predict bags and lone tracks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..bags import Bags
from ..comparison import fit_row, predict_row
from ..errors import DataError
from ..features.store import FeatureStore
from ..grid.cells import Cell, data_digest, features_digest
from ..grid.fitting import Material
from ..grid.protocol import Division
from ..models.classifier import GenreClassifier
from ..models.settings import BaselineSettings
from ..predictions import Predictions
from ..tracks import Tracks
from .data import LOGMEL, Data
from .plan import Model

# What a fitted model predicts besides: (model, its row, features, tracks, by, seed) -> by name.
Further = Callable[
    [GenreClassifier, Any, FeatureStore, Tracks, str, int], Mapping[str, Predictions]
]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A model on a feature set, on every split.

    Attributes
    ----------
    feature_set : str
        One of `Data.feature_sets`; of a model that reads log-mels it is `LOGMEL`.
    model : Model
    further : callable, optional
        A function of a module, for what is predicted besides, e.g. bags that are cut: see
        `Further`. Its name is part of what decides the cell.
    """

    feature_set: str
    model: Model
    further: Further | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Feature set and name of the model."""
        return self.feature_set, self.model.name

    @property
    def store(self) -> str:
        """Name of the store that it reads."""
        triple = "triple_chroma" in self.model.faults and self.feature_set != LOGMEL
        return f"{self.feature_set} triple_chroma" if triple else self.feature_set


def jobs_of(models: Sequence[Model], feature_sets: Sequence[str]) -> tuple[Job, ...]:
    """Every model on every feature set; models of log-mels once."""
    plain = [
        Job(feature_set=name, model=m) for name in feature_sets for m in models if not m.logmel
    ]
    return (*plain, *(Job(feature_set=LOGMEL, model=m) for m in models if m.logmel))


def make_material(data: Data, jobs: Sequence[Job], divisions: Sequence[Division]) -> Material:
    """What all cells share: splits, and the features that any job reads."""
    stores = {
        job.store: data.features(job.feature_set, job.model.faults)
        for job in {job.store: job for job in jobs}.values()
    }
    return Material(tuple(divisions), stores)


def make_cells(
    data: Data, jobs: Sequence[Job], divisions: Sequence[Division], material: Material
) -> dict[tuple[str, str], tuple[Cell, ...]]:
    """Cells of each job, one a division, by `Job.key`.

    Cells of a model without randomness are equal where only the seed differs, and so run once.
    """
    stores = {name: features_digest(store) for name, store in material.features.items()}
    splits = [data_digest(division.tracks, data.bags) for division in divisions]
    made: dict[tuple[str, str], tuple[Cell, ...]] = {}
    for job in jobs:
        cells = []
        for number, division in enumerate(divisions):
            facts = {
                "reproduce": 1,
                "row": _facts(job.model),
                "bags": data.bags,
                "data": splits[number],
                "features": stores[job.store],
                "seed": division.seed if job.model.random else None,
                "further": _name(job.further),
            }
            cells.append(
                Cell(
                    name=f"{job.model.name}, {job.feature_set} (split {division.name})",
                    facts=facts,
                    task=(job, number, data.bags),
                    group=f"{job.model.name}, {job.store}",
                )
            )
        made[job.key] = tuple(cells)
    return made


def work(material: Material, cell: Cell) -> dict[str, Predictions]:
    """Fit the model of a cell on its split; see `matt.grid.engine`.

    Returns
    -------
    dict of str to Predictions
        ``"test"``: bags of the test split; of a model of lone tracks their average over the bag.
        ``"alone"``: every test track alone. ``"valid"``: bags of the validation split, where
        there are any.
    """
    job, number, by = cell.task
    division, features = material.divisions[number], material.features[job.store]
    tracks = _with_features(division.tracks, features, job)
    row = job.model.row
    fitted = fit_row(row, features, tracks, by=by, seed=division.seed)
    made: dict[str, Predictions] = {}
    test = Bags.from_tracks(tracks, by=by, split="test")
    alone = Bags.from_tracks(tracks, by="track", split="test")
    made["alone"] = fitted.predict(features, tracks, alone)
    made["test"] = (
        made["alone"].average_over(test)
        if row.lone and made["alone"].link != "none"
        else fitted.predict(features, tracks, test)
    )
    if (tracks.split == "validation").any():
        unit = "track" if row.lone and not row.average else by
        valid = Bags.from_tracks(tracks, by=unit, split="validation")
        made["valid"] = predict_row(row, fitted, features, tracks, valid)
    if job.further is not None:
        made |= job.further(fitted, row, features, tracks, by, division.seed)
    return made


def _with_features(tracks: Tracks, features: FeatureStore, job: Job) -> Tracks:
    there = np.isin(tracks.track_id, features.track_ids)
    if not there.any():
        raise DataError(
            f"none of {len(tracks)} tracks has features {job.feature_set!r}; extract them, or use "
            "other data"
        )
    return tracks.take(there)


def _facts(model: Model) -> dict[str, Any]:
    row = model.row
    settings, training = asdict(row.model), asdict(row.training)
    for some in (settings, training):
        some.pop("seed", None)
    return {
        "model": settings,
        "training": None if isinstance(row.model, BaselineSettings) else training,
        "lone": row.lone,
        "average": row.average,
        "genre_in_training_key": row.genre_in_training_key,
        "test_selection": row.test_selection,
    }


def _name(function: Further | None) -> str | None:
    return None if function is None else f"{function.__module__}.{function.__qualname__}"
