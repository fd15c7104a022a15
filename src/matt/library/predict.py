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
from ..models.classifier import GenreClassifier
from ..models.neural import NeuralClassifier
from ..predictions import Predictions
from ..tracks import Tracks


@dataclass(frozen=True, eq=False)
class LibraryPrediction:
    """What was said of a library.

    Attributes
    ----------
    predictions : Predictions
        Of its albums, with attention where the model has any.
    extraction : Report
        Which files could not be used, and why.
    """

    predictions: Predictions
    extraction: Report


def predict_library(
    scan: Scan,
    model: GenreClassifier,
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
    model : GenreClassifier
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
    return LibraryPrediction(predict_explained(model, features, tracks, bags), report)


def predict_explained(
    model: GenreClassifier, features: FeatureStore, tracks: Tracks, bags: Bags
) -> Predictions:
    """Predict bags, with attention and the logits of segments if the model is a network."""
    if isinstance(model, NeuralClassifier):
        return model.predict(features, tracks, bags, explain=True)
    return model.predict(features, tracks, bags)


def check_explains(model: GenreClassifier) -> None:
    """Refuse a model that cannot say which tracks decided.

    Raises
    ------
    DataError
    """
    if not isinstance(model, NeuralClassifier):
        raise DataError(
            "the model is a baseline, which averages over tracks and weighs none, so no track's "
            "part can be shown; leave out --explain, or train a network with 'matt train'"
        )


def spec_of(model: GenreClassifier) -> FeatureSpec:
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
