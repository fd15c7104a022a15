"""Genres for the albums of a scanned folder: extract what is missing, then predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bags import Bags
from ..datasets.folder import Scan
from ..errors import DataError
from ..features.extract import Progress, Report, extract
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..models.neural import NeuralClassifier
from ..predictions import Predictions


@dataclass(frozen=True, eq=False)
class LibraryPrediction:
    """What was said of a library.

    Attributes
    ----------
    predictions : Predictions
        Of its albums, with attention.
    extraction : Report
        Which files could not be used, and why.
    """

    predictions: Predictions
    extraction: Report


def predict_library(
    scan: Scan,
    model: NeuralClassifier,
    store: Path,
    *,
    by: str = "album",
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> LibraryPrediction:
    """Predict the genre of every album of a scanned folder.

    Parameters
    ----------
    scan : Scan
    model : NeuralClassifier
        Its FeatureSpec decides what is extracted.
    store : Path
        Where features are kept; what is there already is not extracted again.
    by : str
        What is classified together, as in `Bags.from_tracks`.
    progress : callable, optional
        Called during extraction.
    **options
        For `matt.features.extract.extract`, e.g. ``workers``.

    Returns
    -------
    LibraryPrediction
        A genre tag that the model does not know counts as unknown.

    Raises
    ------
    DataError
        If no file could be used, or the store holds features of another spec.
    """
    report = extract(scan.tracks, spec_of(model), store, progress=progress, **options)
    features = FeatureStore.open(store)
    usable = scan.tracks.take(np.isin(scan.tracks.track_id, features.track_ids))
    if not len(usable):
        raise DataError(
            f"none of {len(scan.tracks)} files could be used (first: "
            f"{report.failures[0].path}: {report.failures[0].reason}); see the list of failures"
        )
    tracks = usable.with_genres(model.genres, unknown="drop")
    bags = Bags.from_tracks(tracks, by=by)
    return LibraryPrediction(model.predict(features, tracks, bags, explain=True), report)


def spec_of(model: NeuralClassifier) -> FeatureSpec:
    """What a model wants to be fed.

    Raises
    ------
    DataError
        If it is not fitted, or was fitted on values that are not computed from audio.
    """
    if model.spec is None:
        raise DataError("the model is not fitted; fit it, or load one that is")
    if model.spec.segments is None:
        raise DataError(
            f"the model reads {model.spec.name!r}, which matt does not compute from audio; "
            "train one with 'matt train'"
        )
    return model.spec
