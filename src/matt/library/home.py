"""Own music as one object: a folder, the model that is asked, and where its features are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..bags import Bags
from ..calibration.priors import Prior
from ..datasets.audit import hashes_of, is_cheap
from ..datasets.folder import Scan, scan
from ..errors import check_arguments
from ..features.extract import extract
from ..features.store import FeatureStore, with_features
from ..models.classifier import GenreClassifier
from ..models.tagger import Tagger, check_asked
from ..processes import Progress
from ..tracks import Tracks
from .cache import SCANS, cache_folder, library_of, own_folder, store_of
from .check import Finding, check_library
from .explained import explained_rows
from .playlist import By, check_playlist, title_of, tracks_to_play, write_playlist
from .predict import AskedModel, LibraryPrediction, bar_of, predict_library
from .selection import Selection
from .similar import rows_at, similar_albums, space_of

_EVERYTHING = Selection()


class Library:
    """A person's own music. Its files are only read.

    Parameters
    ----------
    path : path
        Folder of tagged music; if it is part of a library of which there are features for the
        model already, these are used.
    model : path or GenreClassifier, optional
        A run of ``matt train``, a model folder or a packed model; by default the shipped tagger.
    genres : path, optional
        A vocabulary of one's own (`matt.datasets.genres`).
    store : path, optional
        Where features of this folder are kept; by default where the command line keeps them.
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
        for finding in library.check():
            print(finding.about, finding.told)
        library.explain("~/Music/Ann/One")  # which tracks decided
        library.similar("~/Music/Ann/One")  # albums by other artists that sound like it
        library.playlist("jazz.m3u8", genre="Jazz")
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
        self._asked = AskedModel.open(model)
        self.model, self.learned = self._asked.model, self._asked.learned
        spec = self._asked.spec
        self._within = library_of(self.path, spec) if store is None else None
        self.store = store_of(self._within, spec) if self._within is not None else Path(store or "")
        self._reading = reading if genres is None else {"genres": genres, **reading}

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r}, model={self.model!r})"

    @cached_property
    def scan(self) -> Scan:
        """What the folder holds, read once; make another `Library` when it has changed."""
        place = cache_folder() / SCANS
        return scan(self.path, within=self._within, remembered=place, **self._reading)

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
            selection.of(self.scan, root=own_folder(self.path)),
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

    def explain(self, album: Path | str, **options: Any) -> list[dict[str, Any]]:
        """Say why albums have their genres, as ``matt explain`` does.

        Parameters
        ----------
        album : path
            Folder of an album, or a file: all albums with a track there are explained.
        **options
            Of the extraction.

        Returns
        -------
        list of dict
            As ``matt explain --json`` has them.

        Raises
        ------
        DataError
            If the library has no track there that can be heard.
        """
        features, tracks = self._heard(options)
        tracks = tracks.with_genres(self.model.genres, unknown="drop")
        bags = Bags.from_tracks(tracks)
        here = np.isin(bags.track_ids, tracks.track_id[rows_at(tracks, Path(album).expanduser())])
        of = np.unique(np.repeat(np.arange(len(bags)), bags.sizes)[here])
        return explained_rows(
            self.model,
            features,
            tracks,
            bags.take(of),
            bar=self._asked.bar,
            vocabulary=self.scan.vocabulary,
            learned=self.learned,
        )

    def check(self, **options: Any) -> tuple[Finding, ...]:
        """Look for what is odd, the surest first, as ``matt check`` does.

        Parameters
        ----------
        **options
            Of `predict`.
        """
        rows = self.predict(**options).rows
        features, hashes = self.features, hashes_of(self.scan.tracks, store=self.store)
        near = features if is_cheap(features) else None
        return check_library(self.scan, rows, features=near, hashes=hashes)

    def similar(self, album: Path | str, *, most: int = 10, **options: Any) -> list[dict[str, Any]]:
        """Name the albums by other artists that sound most like one, as ``matt similar`` does.

        Parameters
        ----------
        album : path
            Folder of an album or of an artist, or a file.
        most : int >= 1
        **options
            Of the extraction.

        Raises
        ------
        DataError
            If the library has no track there, or nothing by another artist.
        """
        features, tracks = self._heard(options)
        space = space_of(self.model, features, tracks)
        return similar_albums(tracks, space, rows_at(tracks, Path(album).expanduser()), most=most)

    def playlist(
        self,
        out: Path | str,
        *,
        genre: str | None = None,
        like: Path | str | None = None,
        by: By = "both",
        most: int | None = None,
        absolute: bool = False,
        force: bool = False,
        **options: Any,
    ) -> Tracks:
        """Write the tracks of a genre, or what sounds like an album, as ``matt playlist`` does.

        Parameters
        ----------
        out : path
            Ends in ``.m3u8``.
        genre, like, by, most
            As in `matt.library.playlist.tracks_to_play`.
        absolute, force : bool
            As in `matt.library.playlist.write_playlist`.
        **options
            Of the extraction.

        Returns
        -------
        Tracks
            In their order, with those that a playlist cannot name.

        Raises
        ------
        DataError, ConfigError
            If there are none, the file is there, or nothing is asked for.
        """
        check_playlist(Path(out), force=force)
        place = None if like is None else Path(like).expanduser()
        title = title_of(genre, place)
        chosen, _ = tracks_to_play(
            self.scan,
            self._asked,
            self.store,
            genre=genre,
            like=place,
            by=by,
            most=most,
            **options,
        )
        write_playlist(Path(out), chosen, title=title, absolute=absolute, force=force)
        return chosen

    def _heard(self, options: Mapping[str, Any]) -> tuple[FeatureStore, Tracks]:
        """Features of all that can be heard, extracted if they are missing, and its tracks."""
        report = extract(self.scan.tracks, self._asked.spec, self.store, **options)
        features = FeatureStore.open(self.store)
        return features, with_features(self.scan.tracks, features, report=report)
