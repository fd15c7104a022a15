"""The protocol: several artist-disjoint splits of the same tracks, alike for every row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from .. import splits
from ..config import SplitSettings
from ..errors import ConfigError, DataError
from ..tracks import Tracks


@dataclass(frozen=True, eq=False)
class Division:
    """One split of the tracks.

    Attributes
    ----------
    name : str
    seed : int
        Of the split and of the trainings on it.
    tracks : Tracks
        With splits; training is thinned where the protocol says so.
    """

    name: str
    seed: int
    tracks: Tracks


@dataclass(frozen=True, kw_only=True)
class RepeatedSplits:
    """How often tracks are split, and how.

    Attributes
    ----------
    repeats : int >= 1
        Each with a seed of its own, of the split and of the training.
    folds : int, 0 or >= 2
        0: each repeat is one split of training, validation and test artists. Else each repeat is a
        cross-validation of so many folds; validation artists are drawn from the others.
    imbalance : float >= 1
        Cut training tracks to an exponential tail, from the largest genre to 1/imbalance of it, in
        an order of the genres that each repeat draws; whole bags. 1 leaves all. Validation and
        test are never cut.
    keep : dict of str to int
        Cut training tracks of these genres to so many, in the same way.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    repeats: int = 5
    folds: int = 0
    imbalance: float = 1.0
    keep: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ConfigError(
                f"repeats must be at least 1, got {self.repeats}; 5 or more are usual"
            )
        if self.folds < 0 or self.folds == 1:
            raise ConfigError(f"folds must be 0 (none) or at least 2, got {self.folds}; try 5")
        if not self.imbalance >= 1:
            raise ConfigError(f"imbalance must be at least 1 (none), got {self.imbalance}; try 50")

    def divide(
        self, tracks: Tracks, shares: SplitSettings, *, seed: int, by: str
    ) -> list[Division]:
        """Split the tracks as often as the protocol says.

        Parameters
        ----------
        tracks : Tracks
            Tracks that come with splits keep them: repeats then differ in the training's seed (and
            in what is thinned) alone.
        shares : SplitSettings
        seed : int
            Of the first repeat; the others follow.
        by : str
            What a bag is: thinning cuts whole ones.

        Raises
        ------
        DataError
            If nothing can be trained, validated or tested; or folds are wanted of given splits.
        """
        given = bool((tracks.split != "").any())
        if given and self.folds:
            raise DataError(
                "the tracks come with splits, so there is nothing to fold; leave out --folds, or "
                "the column of the splits"
            )
        found = []
        for number in range(self.repeats):
            here = seed + number
            for name, split in self._splits(tracks, shares, here, given=given):
                if self.imbalance > 1:
                    keep = splits.long_tail(split, ratio=self.imbalance, seed=here)
                    split = splits.thin(split, keep, by=by, seed=here)
                if self.keep:
                    split = splits.thin(split, self.keep, by=by, seed=here)
                _check(split, name)
                found.append(Division(f"{number}{name}", here, split))
        return found

    def _splits(
        self, tracks: Tracks, shares: SplitSettings, seed: int, *, given: bool
    ) -> Iterator[tuple[str, Tracks]]:
        if given:
            yield "", tracks
        elif not self.folds:
            chosen = {"validation": shares.validation, "test": shares.test}
            yield "", splits.by_artist(tracks, **chosen, seed=seed)
        else:
            # Of the artists that are not tested, validation takes as large a part as without folds.
            validation = shares.validation / (1 - shares.test)
            for number, (rest, _) in enumerate(splits.folds(tracks, k=self.folds, seed=seed)):
                inner = splits.by_artist(rest, validation=validation, test=0, seed=seed + number)
                assigned = np.full(len(tracks), "test", "<U10")
                assigned[tracks.rows(rest.track_id)] = inner.split
                yield f".{number}", tracks.with_split(assigned)


def _check(tracks: Tracks, name: str) -> None:
    n_trained = int((tracks.train_counts > 0).sum())
    if n_trained < 2:
        raise DataError(
            f"{n_trained} genre has labelled training tracks, a comparison needs two; label more "
            "tracks, or use a smaller imbalance"
        )
    for split in ("validation", "test"):
        if not (tracks.labelled & (tracks.split == split)).any():
            raise DataError(
                f"no {split} track has a known genre, and rows are ranked on validation; a genre "
                "needs three artists for that (or give a split of your own with all three parts)"
            )
