"""Own music as one object: a folder, the model that is asked, and where its features are kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from ..calibration.priors import Prior
from ..datasets.folder import Scan, scan
from ..datasets.memory import library_key
from ..errors import check_arguments
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..models.classifier import GenreClassifier
from ..models.tagger import Tagger, check_asked
from ..processes import Progress
from .cache import FEATURES, SCANS, cache_folder
from .learned import Learned, load_model
from .predict import LibraryPrediction, bar_of, predict_library, spec_of
from .selection import Selection

_EVERYTHING = Selection()


class Library:
    """A person's own music. Its files are only read.

    Parameters
    ----------
    path : path
        Folder of tagged music.
    model : path or GenreClassifier, optional
        A run of ``matt train``, a model folder or a packed model; by default the shipped tagger.
    genres : path, optional
        A vocabulary of one's own (`matt.datasets.genres`).
    store : path, optional
        Where features are kept; by default where the command line keeps them.
    **reading
        Further options of `matt.datasets.folder.scan`, e.g. ``artist="composer"``.

    Raises
    ------
    DataError
        If the model is none; the folder is looked at when it is first needed.

    Examples
    --------
    ::

        library = matt.Library("~/Music", model="runs/mine")
        found = library.predict()
        for row in found.at("album"):
            print(row["status"], row["artist"], row["album"], row["genre"])
        found.write("genres.csv")
    """

    def __init__(
        self,
        path: Path | str,
        *,
        model: GenreClassifier | Path | str | None = None,
        genres: Path | str | None = None,
        store: Path | str | None = None,
        **reading: Any,
    ) -> None:
        check_arguments(path=(path, Path | str))
        self.path = Path(path).expanduser()
        self.learned: Learned | None = None
        if model is None:
            self.model: GenreClassifier = Tagger()
        elif isinstance(model, str | os.PathLike):
            place = Path(model).expanduser()
            self.model, self.learned = load_model(place), Learned.of(place)
        else:
            check_arguments(model=(model, GenreClassifier))
            self.model = model
        self.store = store_of(self.path, spec_of(self.model)) if store is None else Path(store)
        self._reading = reading if genres is None else {"genres": genres, **reading}

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r}, model={self.model!r})"

    @cached_property
    def scan(self) -> Scan:
        """What the folder holds, read once; make another `Library` when it has changed."""
        return scan(self.path, remembered=cache_folder() / SCANS, **self._reading)

    @property
    def features(self) -> FeatureStore:
        """Features that are there already.

        Raises
        ------
        DataError
            If there are none yet: `predict` extracts them.
        """
        return FeatureStore.open(self.store)

    def predict(
        self,
        selection: Selection = _EVERYTHING,
        *,
        abstain_below: float | None = None,
        accuracy: float | None = None,
        prior: Prior | None = None,
        top: int = 3,
        progress: Callable[[Progress], None] | None = None,
        **options: Any,
    ) -> LibraryPrediction:
        """Predict a genre for every album, as ``matt predict`` does.

        Parameters
        ----------
        selection : Selection
            Which albums; by default all.
        abstain_below, accuracy : float, optional
            Below which probability, or for which accuracy, an album gets no genre.
        prior, top, progress
            As in `predict_library`.
        **options
            Of the extraction, e.g. ``workers``.

        Raises
        ------
        DataError, ConfigError
            As in `predict_library` and `matt.library.predict.bar_of`.
        """
        if isinstance(self.model, Tagger):
            check_asked(prior=prior, accuracy=accuracy)
        bar = bar_of(self.model, below=abstain_below, accuracy=accuracy, prior=prior)
        found = predict_library(
            selection.of(self.scan),
            self.model,
            self.store,
            prior=prior,
            bar=bar,
            top=top,
            learned=self.learned,
            progress=progress,
            **options,
        )
        return found.of(selection)


def store_of(folder: Path, spec: FeatureSpec) -> Path:
    """Where the features of a folder are kept unless the user says: outside the music itself."""
    return cache_folder() / FEATURES / library_key(folder) / f"{spec.kind}-{spec.digest}"
