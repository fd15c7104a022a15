"""What a reproduction is of: tracks with their splits, and their features by feature set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import SplitSettings
from ..datasets.fma import loading as fma_sets
from ..errors import ConfigError
from ..features.store import FeatureStore
from ..grid.study import Division, RepeatedSplits
from ..tracks import Tracks

SIMULATED, SMALL, MFCC = "simulated", "fma-small-46", "fma-mfcc"
NAMES = (SIMULATED, SMALL, MFCC)
TREE = "fma"
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
        What it was opened by: one of `NAMES`, or `TREE`.
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
    read_logmel: Callable[[], FeatureStore | None] = field(default=lambda: None, repr=False)

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
        kept = tuple(f for f in faults if f == "triple_chroma" and set_name == fma_sets.ALL)
        return self.read(set_name, kept)

    def logmel(self) -> FeatureStore | None:
        """Log-mels of some or all of the tracks, if there are any."""
        return self.read_logmel()

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
            tracks = tracks.with_split(np.full(len(tracks), ""))
        protocol = RepeatedSplits(
            repeats=seeds, folds=folds, imbalance=self.imbalance, keep=self.thinned
        )
        return tuple(protocol.divide(tracks, SplitSettings(), seed=seed, by=self.bags))
