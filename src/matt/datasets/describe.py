"""What any table of tracks holds: genres, bags, how pure they are, what is missing.

Numbers only; `matt.evaluation.distribution` makes tables and pictures of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import DataError, check_arguments, in_a_line
from ..tracks import SPLITS, Tracks

ALL, NO_SPLIT = "all", "no split"


@dataclass(frozen=True, eq=False)
class SplitCounts:
    """One split, or all of a table.

    Attributes
    ----------
    name : str
        ``"training"``, ``"validation"``, ``"test"``, ``"no split"`` or ``"all"``.
    n_tracks : int
    counts : int array, shape (G,)
        Tracks of each genre; a track with several genres counts in each.
    n_unlabelled, n_without_artist, n_without_album : int
        Tracks whose genre, artist or album is unknown.
    n_alone : int
        Tracks without artist or album, or both: each is a bag of one.
    sizes : int array, shape (b,)
        Tracks of each bag (album-artist pair), in order of first appearance.
    bag_counts : int array, shape (G,)
        Bags of each genre, by the majority of their tracks.
    n_genre_bags : int or None
        Bags when the genre is part of the key as well; None with several genres a track.
    n_mixed : int
        Bags with at least one track whose genre is not that of the bag.
    n_impure : int
        Tracks whose genre is not that of their bag.
    n_labelled : int
        Tracks with a known genre, of which ``n_impure`` are some.
    """

    name: str
    n_tracks: int
    counts: NDArray[np.int64]
    n_unlabelled: int
    n_without_artist: int
    n_without_album: int
    n_alone: int
    sizes: NDArray[np.int64]
    bag_counts: NDArray[np.int64]
    n_genre_bags: int | None
    n_mixed: int
    n_impure: int

    __repr__ = in_a_line

    @property
    def n_labelled(self) -> int:
        """Tracks with a known genre."""
        return self.n_tracks - self.n_unlabelled

    @property
    def n_singletons(self) -> int:
        """Bags of one track."""
        return int((self.sizes == 1).sum())

    @property
    def histogram(self) -> dict[int, int]:
        """Bags of each size that occurs."""
        sizes, times = np.unique(self.sizes, return_counts=True)
        return dict(zip(sizes.tolist(), times.tolist(), strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        share = self.n_impure / self.n_labelled if self.n_labelled else None
        return {
            "tracks": self.n_tracks,
            "tracks_by_genre": self.counts.tolist(),
            "without_genre": self.n_unlabelled,
            "without_artist": self.n_without_artist,
            "without_album": self.n_without_album,
            "alone": self.n_alone,
            "bags": len(self.sizes),
            "bags_by_genre": self.bag_counts.tolist(),
            "bags_with_genre_in_the_key": self.n_genre_bags,
            "bags_by_size": {str(size): n for size, n in self.histogram.items()},
            "singletons": self.n_singletons,
            "mean_size": float(self.sizes.mean()),
            "median_size": float(np.median(self.sizes)),
            "largest": int(self.sizes.max()),
            "mixed_bags": self.n_mixed,
            "impure_tracks": self.n_impure,
            "impure_share": share,
        }


@dataclass(frozen=True, eq=False)
class Description:
    """What a table of tracks holds.

    Attributes
    ----------
    genres : tuple of str, length G
    train_counts : int array, shape (G,)
        What makes a genre rare, as in `Tracks.train_counts`.
    parts : tuple of SplitCounts
        Each split that has tracks, then all.
    simulated : bool
        Whether any track says that it is simulated; then all numbers have to say so.
    """

    genres: tuple[str, ...]
    train_counts: NDArray[np.int64]
    parts: tuple[SplitCounts, ...]
    simulated: bool = False

    __repr__ = in_a_line

    def part(self, name: str) -> SplitCounts:
        """One part by its name.

        Raises
        ------
        DataError
            If no track is in it.
        """
        for part in self.parts:
            if part.name == name:
                return part
        there = ", ".join(part.name for part in self.parts)
        raise DataError(f"no track is in the part {name!r}; there are: {there}")

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps(..., allow_nan=False)``."""
        return {
            "simulated": self.simulated,
            "genres": list(self.genres),
            "training_tracks": self.train_counts.tolist(),
            "parts": {part.name: part.to_json() for part in self.parts},
        }


def describe(tracks: Tracks) -> Description:
    """Count what a table of tracks holds.

    Bags are made within each split. Purity is judged on bags whose key has no genre in it: with the
    genre in the key, every bag would be pure by definition.

    Parameters
    ----------
    tracks : Tracks
        At least one.

    Raises
    ------
    DataError
        If there are no tracks.

    Examples
    --------
    >>> tracks = Tracks([1, 2, 3], [0, 0, 1], ("A", "B"), artist_id=[7] * 3, album_id=[4] * 3)
    >>> whole = describe(tracks).part("all")
    >>> whole.histogram, whole.n_impure
    ({3: 1}, 1)
    """
    check_arguments(tracks=(tracks, Tracks))
    if not len(tracks):
        raise DataError("there are no tracks to describe; check the filters")
    parts = [
        _part(tracks, np.flatnonzero(tracks.split == split), split or NO_SPLIT)
        for split in (*SPLITS, "")
        if (tracks.split == split).any()
    ]
    if len(parts) == 1 and parts[0].name == NO_SPLIT:
        parts = []
    parts.append(_part(tracks, np.arange(len(tracks)), ALL))
    marked = tracks.columns.get("simulated", np.zeros(1, bool))
    return Description(tracks.genres, tracks.train_counts, tuple(parts), bool(marked.any()))


def _part(tracks: Tracks, rows: NDArray[np.int64], name: str) -> SplitCounts:
    part = tracks.take(rows)
    bags = Bags.from_tracks(part, by="album")
    labels = part.labels[part.rows(bags.track_ids)]  # in bag order
    of_track = np.repeat(np.arange(len(bags)), bags.sizes)
    different = labels != bags.labels[of_track]
    known = part.labelled[part.rows(bags.track_ids)]
    if part.multi_label:
        impure = known & different.any(axis=1)
        bag_counts = bags.labels.sum(axis=0)
        n_genre_bags = None
    else:
        impure = known & different
        bag_counts = np.bincount(bags.labels[bags.known], minlength=len(part.genres))
        n_genre_bags = len(np.unique(of_track[known] * len(part.genres) + labels[known]))
    no_artist, no_album = part.artist_id == -1, part.album_id == -1
    return SplitCounts(
        name=name,
        n_tracks=len(part),
        counts=part.counts,
        n_unlabelled=int((~part.labelled).sum()),
        n_without_artist=int(no_artist.sum()),
        n_without_album=int(no_album.sum()),
        n_alone=int((no_artist | no_album).sum()),
        sizes=bags.sizes,
        bag_counts=bag_counts.astype(np.int64),
        n_genre_bags=n_genre_bags,
        n_mixed=len(np.unique(of_track[impure])),
        n_impure=int(impure.sum()),
    )
