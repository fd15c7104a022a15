"""What a reproduction is of: tracks with their splits, and their features by feature set.

They are simulated, inside the package, or files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags, group
from ..config import SplitSettings
from ..datasets import table
from ..datasets.embedded import fma_mfcc
from ..datasets.fma import loading as sets
from ..datasets.fma.loading import load_features, load_tracks
from ..datasets.fma.simulate import simulate
from ..datasets.invented.catalogue import MEDIUM
from ..datasets.invented.features import LOGMEL_SHAPE, simulated_logmels
from ..datasets.table import parse
from ..errors import ConfigError, DataError, did_you_mean
from ..features.kernels.frames import COLUMNS
from ..features.store import FeatureStore, with_features
from ..grid.study import Division, RepeatedSplits
from ..tracks import SPLITS, Tracks

SIMULATED, SMALL, MFCC = "simulated", "fma-small-46", "fma-mfcc"
NAMES = (SIMULATED, SMALL, MFCC)
TREE, TABLE = "fma", "table"
LOGMEL = "logmel"
"""The feature set that the rows of CRNNs read."""

# (feature set, faults) -> store
Reader = Callable[[str, tuple[str, ...]], FeatureStore]


@dataclass(frozen=True, eq=False, kw_only=True)
class Data:
    """Tracks, and their features by feature set.

    Attributes
    ----------
    key : str
        What it was opened by: one of `NAMES`, `TREE`, or `TABLE`.
    name : str
        For people.
    real : bool
        If not, every number of it has to be called simulated.
    tracks : Tracks
        With the official split, where there is one; else without splits.
    bags : str
        What a bag is, as in `Bags.from_tracks`.
    feature_sets : tuple of str
        In the order of their table.
    notes : tuple of str
        What has to be known wherever a number of this data is shown.
    imbalance : float >= 1
        Training tracks are cut to a tail of 1 to so many; 1 leaves them.
    thinned : mapping of str to int
        Training tracks that named genres keep, at most.
    usual_seeds : int
        How many seeds, or splits, are usual.
    no_logmels : str
        Why there are none, if there are none.
    logmel_notes : tuple of str
        What has to be known wherever a number of a row of CRNNs is shown.
    read : callable
        (feature set, faults) -> its features, see `features`.
    logmel : callable
        Log-mels of some or all of the tracks, if there are any.
    splits : tuple of Division
        Of these tracks, once they are `divided`.
    """

    key: str
    name: str
    real: bool
    tracks: Tracks
    bags: str
    feature_sets: tuple[str, ...]
    notes: tuple[str, ...] = ()
    imbalance: float = 1.0
    thinned: Mapping[str, int] = field(default_factory=dict)
    usual_seeds: int = 5
    no_logmels: str = "it has no audio, and so no log-mels"
    logmel_notes: tuple[str, ...] = ()
    read: Reader = field(repr=False)
    logmel: Callable[[], FeatureStore | None] = field(default=lambda: None, repr=False)
    splits: tuple[Division, ...] = field(default=(), repr=False)

    @cached_property
    def known(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Track ids, sorted, and their labels."""
        order = np.argsort(self.tracks.track_id)
        return self.tracks.track_id[order], self.tracks.labels[order]

    @property
    def fullest(self) -> str:
        """The feature set on which models are compared: the last, which holds the most."""
        return self.feature_sets[-1]

    @property
    def official(self) -> bool:
        """Whether the tracks come with a split."""
        return bool((self.tracks.split != "").any())

    def features(self, set_name: str, faults: Collection[str] = ()) -> FeatureStore:
        """Features of one of `feature_sets`, or of `LOGMEL`.

        Parameters
        ----------
        set_name : str
        faults : collection of str
            Of which ``"triple_chroma"`` counts, for the set "1-9" of FMA.

        Raises
        ------
        ConfigError
            If the set is unknown, or there are no log-mels.
        """
        if set_name == LOGMEL:
            store = self.logmel()
            if store is None:
                raise ConfigError(
                    f"{self.name}: {self.no_logmels}; the rows of CRNNs cannot be run"
                )
            return store
        if set_name not in self.feature_sets:
            raise ConfigError(
                f"{self.name} has no features {set_name!r}; use {', '.join(self.feature_sets)}"
            )
        kept = tuple(f for f in faults if f == "triple_chroma" and set_name == sets.ALL)
        return self.read(set_name, kept)

    def divisions(self, seeds: int, *, folds: int = 0, seed: int = 0) -> tuple[Division, ...]:
        """Splits of the tracks: one a seed, or one a seed and fold.

        Parameters
        ----------
        seeds : int >= 1
        folds : int, 0 or >= 2
            0: the official split or, where there is none, one artist-disjoint split a seed. Else
            the official split is put aside, and each seed is a cross-validation of so many
            artist-disjoint folds.
        seed : int
            The first.
        """
        tracks = self.tracks
        if folds and self.official:
            tracks = _unsplit(tracks)
        protocol = RepeatedSplits(
            repeats=seeds, folds=folds, imbalance=self.imbalance, keep=self.thinned
        )
        return tuple(protocol.divide(tracks, SplitSettings(), seed=seed, by=self.bags))

    def divided(self, seeds: int, *, folds: int = 0, seed: int = 0) -> Data:
        """Return the same with its `divisions`."""
        return replace(self, splits=self.divisions(seeds, folds=folds, seed=seed))

    def fewest_bags(self, set_name: str) -> int | None:
        """Bags with a known genre that the smallest training split has of a feature set.

        None where the tracks are not divided yet.
        """
        counts = (
            len(Bags.from_tracks(there, by=self.bags, split="training").labelled())
            for division in self.splits
            for there in [with_features(division.tracks, self.features(set_name))]
        )
        return min(counts, default=None)


FOLDER = "MATT_SHARED_DATA"
LOGMELS = "logmel"  # folder of extracted log-mels below the folder of an FMA
BEYOND = "musicnn"  # likewise, of features that the paper does not have
_BEYOND = (
    "Beyond the paper: features of musicnn, which was trained on the Million Song Dataset; whether "
    "tracks of FMA occur in it was not checked."
)
_SMALL_FILE = "fma_small_46.csv.gz"
_TRACKS_FILE = "fma_medium_tracks.csv.gz"
_SMALL_TABLE = {
    "table": _SMALL_FILE,
    "features": ["zcr_*", "spec_*", "mfcc_*"],
    "log1p": "*_var*",
    "genre": "genre_top",
    "album": "artist_run",
    "join": [{"table": _TRACKS_FILE}],
}
MOST_LOGMELS = 2_000  # simulated: 25 kB each
TAIL = {"Hip-Hop": 40}


def open_data(
    name: str,
    *,
    seed: int = 0,
    imbalance: float | None = None,
    n_tracks: int | None = None,
    n_logmels: int | None = None,
    features: str = "",
) -> Data:
    """Open data by name, or an indexed FMA tree by its folder.

    Parameters
    ----------
    name : str
        ``"simulated"``: a simulated FMA with the official split's sizes. ``"fma-small-46"``: 46
        features of FMA-small, files of which are in the folder that the environment variable
        MATT_SHARED_DATA names. ``"fma-mfcc"``: the tracks inside the package. Else a folder:
        FMA-medium with its official split, after ``matt fma index``; or the TOML of any table that
        has features.
    seed : int
        Of what is simulated.
    imbalance : float, optional
        Cut training tracks to an exponential tail of 1 to so many, by whole bags, in an order of
        the genres that each split draws.
    n_tracks, n_logmels : int, optional
        Of what is simulated: tracks (25,000), and those of them with log-mels (at most 2,000).
    features : {"", "musicnn"}
        In place of those of the paper; of an indexed FMA tree.

    Raises
    ------
    ConfigError, DataError
    """
    if name != SIMULATED and (n_tracks is not None or n_logmels is not None):
        raise ConfigError(
            f"the data {name} has as many tracks as it has; leave out the numbers, or use "
            f"{SIMULATED}"
        )
    if features not in ("", BEYOND) or (features and not Path(name).is_dir()):
        raise ConfigError(
            f"features {features!r} of the data {name}: only {BEYOND!r} can stand in for the "
            "paper's, and only in a folder of FMA that has its audio; leave features out"
        )
    ratio = 1.0 if imbalance is None else imbalance
    if name == SIMULATED:
        return _simulated(n_tracks or MEDIUM, n_logmels or MOST_LOGMELS, seed, ratio)
    if name == SMALL:
        return _small(ratio)
    if name == MFCC:
        return _mfcc(imbalance)
    if Path(name).suffix.lower() == ".toml":
        return _table(Path(name), ratio)
    if Path(name).is_dir():
        tree = _tree(Path(name), ratio)
        return _beyond(tree, Path(name) / BEYOND) if features else tree
    raise ConfigError(
        f"no data {name!r}: neither a folder, the TOML of a table, nor a name; "
        f"{did_you_mean(name, NAMES)}"
    )


def _simulated(n_tracks: int, n_logmels: int, seed: int, imbalance: float) -> Data:
    if n_logmels > MOST_LOGMELS:
        raise ConfigError(
            f"{n_logmels:,} simulated log-mels are too many; use {MOST_LOGMELS:,} or fewer"
        )
    tracks, features = simulate(n_tracks, seed)
    heard = min(n_logmels, MOST_LOGMELS, n_tracks)

    @cache
    def logmels() -> FeatureStore:
        kept = some_tracks(tracks, heard, seed=seed)
        return simulated_logmels(tracks.take(tracks.rows(kept)), seed=seed)

    size = " x ".join(map(str, LOGMEL_SHAPE))
    return Data(
        key=SIMULATED,
        name=f"simulated FMA, {n_tracks:,} tracks",
        real=False,
        tracks=tracks,
        bags="album",
        feature_sets=sets.PAPER,
        notes=("Simulated data: nothing about music follows from any number here.",),
        imbalance=imbalance,
        logmel_notes=(
            (
                f"Rows of CRNNs: simulated log-mels of {size} of about {heard:,} of the tracks, "
                "where the paper has 96 x 1360 of 25,000; a run of that size needs a GPU."
            ),
        ),
        read=_columns_of(features),
        logmel=logmels,
    )


def _columns_of(features: FeatureStore) -> Reader:
    """Feature sets as columns of all 518."""
    names = np.array([name for name, _, _ in COLUMNS])
    values, _ = features.read(features.track_ids)

    @cache
    def read(set_name: str, faults: tuple[str, ...]) -> FeatureStore:
        wanted = sets.descriptors(set_name, faults=faults)
        columns = np.concatenate([np.flatnonzero(names == name) for name in wanted])
        name = f"simulated {sets.set_name(set_name, faults)}"
        return FeatureStore.from_arrays(name, features.track_ids, values[:, columns])

    return read


def _tree(folder: Path, imbalance: float) -> Data:
    tracks = load_tracks(folder, "medium")
    simulated = bool(tracks.columns.get("simulated", np.zeros(1, bool)).any())
    everything = load_features(folder, sets.ALL)
    lost = everything.failures["track_id"]
    notes = ["Simulated data: nothing about music follows from any number here."] * simulated
    if len(lost):
        notes.append(f"{len(lost):,} tracks have no features and are left out.")
    place = folder / LOGMELS

    @cache
    def logmels() -> FeatureStore | None:
        return FeatureStore.open(place) if (place / "spec.json").is_file() else None

    @cache
    def read(set_name: str, faults: tuple[str, ...]) -> FeatureStore:
        return load_features(folder, set_name, faults=faults)

    return Data(
        key=TREE,
        name=f"{'simulated ' * simulated}FMA-medium in {folder.name}",
        real=not simulated,
        tracks=tracks.drop(lost),
        bags="album",
        feature_sets=sets.PAPER,
        notes=tuple(notes),
        imbalance=imbalance,
        no_logmels=f"{place} holds no log-mels; extract them with 'matt extract' (a full-size run "
        "of the rows of CRNNs needs a GPU)",
        read=read,
        logmel=logmels,
    )


def _beyond(data: Data, place: Path) -> Data:
    """The same tracks with features that the paper does not have, from a store of them."""
    if not (place / "spec.json").is_file():
        raise DataError(
            f"{place} holds no features of musicnn; extract them there, see docs/features.md"
        )
    store = FeatureStore.open(place)
    if store.spec.kind != "musicnn":
        raise DataError(f"{place} holds {store.spec.kind}, not musicnn; extract it there")
    return replace(
        data,
        name=f"{data.name}, features of musicnn",
        tracks=with_features(data.tracks, store),
        feature_sets=(BEYOND,),
        notes=(*data.notes, _BEYOND),
        read=_only(store),
    )


def _small(imbalance: float) -> Data:
    folder = os.environ.get(FOLDER, "")
    if not folder or not (Path(folder) / _SMALL_FILE).is_file():
        where = f"{FOLDER} is {folder!r}" if folder else f"{FOLDER} is not set"
        raise DataError(
            f"{where}, but {_SMALL_FILE} and {_TRACKS_FILE} are needed; set it to their folder, "
            "see docs/data.md, or give a table of your own by its TOML"
        )
    read = table.read(parse(_SMALL_TABLE), folder)
    if read.features is None:
        raise DataError(f"{_SMALL_FILE} has no features; get the file again")
    return Data(
        key=SMALL,
        name="FMA-small, 46 features",
        real=True,
        tracks=_unsplit(read.tracks),
        bags="album",
        feature_sets=("46",),
        notes=(
            "Bags are runs of neighbouring tracks of an artist: this file has no album ids.",
            "Every split is drawn anew, artists whole; validation and test are never cut.",
        ),
        imbalance=imbalance,
        usual_seeds=10,
        read=_only(read.features),
    )


def _table(path: Path, imbalance: float) -> Data:
    read = table.load(path)
    if read.features is None:
        raise DataError(
            f"{path} names no features; add features = 'COLUMNS*' or embeddings to it, or extract "
            "them and give a folder"
        )
    if read.tracks.multi_label:
        raise DataError(
            f"{path} has several genres a track, and the paper's tables are of one; name a column "
            "with one genre"
        )
    return Data(
        key=TABLE,
        name=f"the table {path.stem}",
        real=True,
        tracks=read.tracks,
        bags="album",
        feature_sets=(read.features.spec.name,),
        notes=tuple(read.notes),
        imbalance=imbalance,
        usual_seeds=10,
        read=_only(read.features),
    )


def _mfcc(imbalance: float | None) -> Data:
    if imbalance is not None:
        raise ConfigError(
            f"the data {MFCC} has a tail of its own (Hip-Hop, 40 training tracks); leave out "
            "--imbalance"
        )
    tracks, features = fma_mfcc()
    return Data(
        key=MFCC,
        name="FMA, 2,000 tracks, 140 MFCC statistics",
        real=True,
        tracks=tracks,
        bags="artist_run",
        feature_sets=("mfcc",),
        notes=(
            "Rock against a Hip-Hop tail cut to 40 training tracks.",
            "Bags are runs of neighbouring tracks of an artist.",
            "Every split is drawn anew, artists whole.",
        ),
        thinned=TAIL,
        read=_only(features),
    )


def _unsplit(tracks: Tracks) -> Tracks:
    return tracks.with_split(np.full(len(tracks), ""))


def _only(store: FeatureStore) -> Reader:
    """Reader of data with one feature set."""
    return lambda set_name, faults: store


def some_tracks(tracks: Tracks, most: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Ids of about so many tracks, artists whole, with every genre of every split in proportion.

    Parameters
    ----------
    tracks : Tracks
        With splits, and one genre each.
    most : int
    seed : int
    """
    if len(tracks) <= most:
        return tracks.track_id
    rng = np.random.default_rng(seed)
    artist = group([tracks.artist_id], len(tracks))
    share = most / len(tracks)
    kept = np.zeros(len(tracks), bool)
    for split in SPLITS:
        for genre in range(len(tracks.genres)):
            rows = np.flatnonzero((tracks.split == split) & (tracks.labels == genre))
            wanted = int(np.floor(share * len(rows)))
            # Cut before the artist with which there would be too many, but keep one of each genre.
            order = rng.permutation(np.unique(artist[rows]))
            sizes = np.bincount(artist[rows], minlength=artist.max() + 1)[order]
            n = max(1, int((np.cumsum(sizes) <= wanted).sum()))
            kept[rows[np.isin(artist[rows], order[:n])]] = True
    return tracks.track_id[kept]
