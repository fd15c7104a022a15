"""Genres for the albums of a scanned folder: extract what is missing, then predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.coverage import check_share
from ..calibration.priors import Prior
from ..datasets.folder import Scan
from ..errors import ConfigError, DataError, check_arguments
from ..features.extract import extract
from ..features.report import ExtractionReport
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore, with_features
from ..files import check_new
from ..models.blend import BlendClassifier
from ..models.classifier import GenreClassifier
from ..models.neural import NeuralClassifier
from ..models.tagger import Tagger
from ..predictions import Predictions
from ..processes import Progress, uncollected
from ..tracks import Tracks
from .albums import album_rows, in_order, track_rows
from .export import check_level, write_rows
from .learned import Judged, Learned, load_model
from .selection import Selection

_EXPLAINS = NeuralClassifier, BlendClassifier  # those with attention
_SHIPPED = (
    "genres are those of the tagger that comes with matt, a probability is a genre's share of what "
    "it hears: see 'matt model card'; 'matt train' learns yours"
)
_UNKNOWN = (
    "a model without its run does not tell which albums it was trained on, and of those it says "
    "what their tags say; name the run of 'matt train' if you have it"
)


@dataclass(frozen=True, eq=False)
class AskedModel:
    """A model that is asked about a library, and what is known of it.

    Attributes
    ----------
    model : GenreClassifier
    spec : FeatureSpec
        What it wants to be fed.
    learned : Learned or None
        What it has learned from; None where nobody knows, and of the shipped tagger.
    """

    model: GenreClassifier
    spec: FeatureSpec
    learned: Learned | None = None

    @classmethod
    def open(cls, model: GenreClassifier | Path | str | None = None) -> AskedModel:
        """Open a run, a model folder or a packed model; by default the shipped tagger.

        Raises
        ------
        DataError
            If it is none of them, or reads what matt does not compute from audio.
        """
        check_arguments(model=(model, GenreClassifier | Path | str | None))
        if model is None:
            model = Tagger()
        if isinstance(model, GenreClassifier):
            return cls(model, spec_of(model))
        place = Path(model).expanduser()
        opened = load_model(place)
        return cls(opened, spec_of(opened), Learned.of(place))

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads its answers should know."""
        if isinstance(self.model, Tagger):
            return (_SHIPPED,)
        return (_UNKNOWN,) if self.learned is None else ()

    @property
    def bar(self) -> float | None:
        """`bar_of` it, where nobody asks for another."""
        return bar_of(self.model, below=None, accuracy=None, prior=None)


@dataclass(frozen=True, eq=False)
class LibraryPrediction:
    """What was said of a library.

    Attributes
    ----------
    predictions : Predictions
        Of its albums; with attention where the model has any and tracks were predicted alone, too.
    extraction : ExtractionReport
        Which files could not be used, and why.
    aspects : list of dict
        What else was heard of each album, by name: of the shipped tagger mood, decade and voice;
        empty for every other model.
    rows : list of dict
        One an album, in the order of the predictions unless they are selected:
        `matt.library.albums.album_rows`.
    bar : float or None
        Probability below which no genre was given.
    """

    predictions: Predictions
    extraction: ExtractionReport
    aspects: list[dict[str, str | None]]
    rows: list[dict[str, Any]]
    bar: float | None = None

    def at(self, level: str = "album") -> list[dict[str, Any]]:
        """Rows of albums or tracks, by what there is to do: see docs/library/predict.md.

        Raises
        ------
        ConfigError
            If the level is neither ``"album"`` nor ``"track"``, or it is tracks and none of them
            was predicted alone.
        """
        check_level(level)
        return in_order(self.rows if level == "album" else track_rows(self.rows, bar=self.bar))

    def of(self, selection: Selection) -> LibraryPrediction:
        """The same with rows of the albums alone that are asked for, now that they are known."""
        return replace(self, rows=selection.rows(self.rows))

    def write(
        self, path: Path | str, *, level: str = "album", bom: bool = False, force: bool = False
    ) -> None:
        """Write these rows as .json, .csv or .parquet: see `matt.library.export.write_rows`.

        Raises
        ------
        DataError
            If the file is there already, and nobody says ``force``.
        """
        check_new(Path(path), force=force)
        write_rows(Path(path), self.at(level), level=level, bom=bom)


def predict_library(
    scan: Scan,
    model: GenreClassifier,
    store: Path,
    *,
    by: str = "album",
    prior: Prior | None = None,
    bar: float | None = None,
    costs: NDArray[np.float64] | None = None,
    top: int = 3,
    learned: Learned | None = None,
    alone: bool = True,
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
    prior : {"training", "uniform", "estimate"} or mapping of genre to share, optional
        As in `GenreClassifier.predict`.
    bar, costs, top
        As in `matt.library.albums.album_rows`; see `bar_of`.
    learned : Learned, optional
        What the model has learned from, where that is known: `Learned.of`.
    alone : bool
        Whether it is also said what each track is by itself, and what it did for its album.
    progress : callable, optional
        Called during extraction.
    **options
        For `matt.features.extract.extract`, e.g. ``workers``.

    Returns
    -------
    LibraryPrediction
        Empty for a scan without tracks. A genre tag that the model does not know counts as unknown.

    Raises
    ------
    DataError
        If no file could be used, or the store holds features of another spec.
    """
    check_arguments(scan=(scan, Scan), model=(model, GenreClassifier), store=(store, Path | str))
    if not len(scan.tracks):  # a selection may leave nothing
        return _nothing(scan, model, bar)
    report = extract(scan.tracks, spec_of(model), store, progress=progress, **options)
    features = FeatureStore.open(store)
    usable = with_features(scan.tracks, features, report=report)
    tracks = usable.with_genres(model.genres, unknown="drop")
    bags = Bags.from_tracks(tracks, by=by)
    aspects: list[dict[str, str | None]] = []
    if isinstance(model, Tagger) and prior is None:
        said, aspects = model.tell(features, tracks, bags)
    elif alone:
        said = predict_explained(model, features, tracks, bags, prior=prior)
    else:
        said = model.predict(features, tracks, bags, prior=prior)
    single = None
    if alone:
        lone = Bags.from_tracks(said.tracks, by="track")
        single = model.predict(features, said.tracks, lone, prior=prior)
    if learned is None:
        judged = Judged.of(said, False if isinstance(model, Tagger) else None)
    else:
        judged = learned.judge(said, prior=prior, trained=model.prior)
    with uncollected():
        rows = album_rows(
            said,
            top=top,
            bar=bar,
            aspects=aspects,
            costs=costs,
            alone=single,
            judged=judged,
            vocabulary=scan.vocabulary,
        )
    return LibraryPrediction(said, report, aspects, rows, bar)


def _nothing(scan: Scan, model: GenreClassifier, bar: float | None) -> LibraryPrediction:
    """What is said of no albums."""
    bags = Bags([], [0], [], model.genres, model.train_counts)
    tracks = scan.tracks.with_genres(model.genres, unknown="drop")
    logits = np.zeros((0, len(model.genres)), np.float32)
    report = ExtractionReport(total=0, extracted=0, reused=0, unchanged=0, deleted=0)
    return LibraryPrediction(Predictions(bags, tracks, logits, model.link), report, [], [], bar)


def predict_explained(
    model: GenreClassifier,
    features: FeatureStore,
    tracks: Tracks,
    bags: Bags,
    *,
    prior: Prior | None = None,
) -> Predictions:
    """Predict bags, with attention and the logits of segments if the model is a network."""
    if isinstance(model, _EXPLAINS):
        return model.predict(features, tracks, bags, explain=True, prior=prior)
    return model.predict(features, tracks, bags, prior=prior)


def bar_of(
    model: GenreClassifier, *, below: float | None, accuracy: float | None, prior: Prior | None
) -> float | None:
    """Probability that a genre needs to be given, or None if every album gets one.

    Parameters
    ----------
    model : GenreClassifier
    below : float, optional
        That probability itself; of the shipped tagger there is one by default.
    accuracy : float, optional
        How often given genres shall be right: the bar is read off the model's coverage.
    prior : optional
        That the albums are predicted with.

    Raises
    ------
    ConfigError
        If both are given, one is no share, or the accuracy is asked for with a prior.
    DataError
        If the model knows no coverage, or the accuracy is not reached.
    """
    if below is not None:
        check_share("abstain_below", below)
        if accuracy is not None:
            raise ConfigError("a bar and an accuracy are two bars; give abstain_below or accuracy")
        return below
    if accuracy is None:
        return model.bar if isinstance(model, Tagger) else None
    check_share("accuracy", accuracy)
    if prior is not None:
        raise ConfigError(
            "the accuracy is known for albums as the model predicts them, not with another prior; "
            "leave prior out, or give abstain_below instead of accuracy"
        )
    if model.coverage is None:
        raise DataError(
            "the model was not tried on validation albums of one genre each, so no accuracy can be "
            "promised; train it with validation artists, or give abstain_below"
        )
    return model.coverage.bar(accuracy)


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
