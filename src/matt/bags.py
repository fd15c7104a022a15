"""Bags: groups of tracks that are classified together, stored as flat arrays (CSR)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DataError, check_arguments, did_you_mean
from .tracks import Tracks, genres_in_words, named, pandas

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Bags:
    """A ragged list of bags: bag ``b`` holds ``track_ids[offsets[b]:offsets[b + 1]]``.

    A mini-batch is itself a `Bags`, made with `take`; nothing is padded or masked. A lone track is
    a bag of one.

    Attributes
    ----------
    track_ids : int array, shape (n,)
        Tracks in bag order.
    offsets : int array, shape (b + 1,)
        Where each bag starts; the last entry is n.
    labels : int array, shape (b,), or bool array, shape (b, G)
        Genre index of each bag, -1 where it is unknown; or one column a genre, an all-false row
        where none is known.
    genres : tuple of str, length G
        Names, in the order of the labels; by default the numbers "0", "1", ...
    train_counts : int array, shape (G,)
        Labelled training *tracks* of each genre in the table that the bags were made from: what
        makes a genre rare. By default counted from the bags themselves.
    track_labels : bool array, shape (n, G), optional
        With several genres a bag, those of each of its tracks in bag order, an all-false row where
        none is known: a genre of few tracks of a bag is none of the bag's, and yet theirs.

    Raises
    ------
    DataError
        If the arrays do not describe non-empty bags with one label each.

    Examples
    --------
    >>> bags = Bags([5, 7, 9], offsets=[0, 2, 3], labels=[1, 0], genres=("Folk", "Rock"))
    >>> len(bags), bags.sizes
    (2, array([2, 1]))
    >>> bags.take([1]).track_ids
    array([9])
    """

    track_ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    labels: NDArray[Any]
    genres: tuple[str, ...] = ()
    train_counts: NDArray[np.int64] = field(default_factory=lambda: np.array([], np.int64))
    track_labels: NDArray[np.bool_] | None = None

    if TYPE_CHECKING:  # what may be given; the attributes above are what is kept

        def __init__(
            self,
            track_ids: ArrayLike,
            offsets: ArrayLike,
            labels: ArrayLike,
            genres: Iterable[str] = ...,
            train_counts: ArrayLike = ...,
            track_labels: NDArray[np.bool_] | None = ...,
        ) -> None: ...

    def __repr__(self) -> str:
        known = genres_in_words(self.genres, int((~self.known).sum()))
        return f"Bags({len(self):,} bags of {len(self.track_ids):,} tracks; {known})"

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels)
        labels = labels.astype(bool) if labels.ndim == 2 else labels.astype(np.int64)
        for name, value in (
            ("track_ids", np.asarray(self.track_ids, np.int64)),
            ("offsets", np.asarray(self.offsets, np.int64)),
            ("labels", labels),
            ("genres", tuple(self.genres) or tuple(map(str, range(_width(labels))))),
        ):
            object.__setattr__(self, name, value)
        self._check()
        counts = np.asarray(self.train_counts, np.int64)
        if not len(counts):
            counts = self._tracks_per_genre()
        object.__setattr__(self, "train_counts", counts)

    def _check(self) -> None:
        if len(self.offsets) != len(self.labels) + 1:
            raise DataError(
                f"{len(self.labels)} labels need {len(self.labels) + 1} offsets, "
                f"got {len(self.offsets)}"
            )
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.track_ids):
            raise DataError(
                f"offsets must run from 0 to n={len(self.track_ids)}, "
                f"got {self.offsets[0]} to {self.offsets[-1]}"
            )
        empty = np.flatnonzero(self.sizes < 1)
        if empty.size:
            raise DataError(
                f"{empty.size} of {len(self)} bags are empty (first: bag {empty[0]}); "
                "drop them before building Bags"
            )
        if not self.multi_label and self.labels.min(initial=-1) < -1:
            raise DataError(f"label {self.labels.min()} names no genre; use -1 for unknown")
        if _width(self.labels) > len(self.genres):
            raise DataError(
                f"labels need at least {_width(self.labels)} genres, got {len(self.genres)}"
            )

        wanted = (len(self.track_ids), len(self.genres))
        if self.track_labels is not None and (
            not self.multi_label or self.track_labels.shape != wanted
        ):
            raise DataError(
                f"track_labels have shape {self.track_labels.shape}; give them to bags of several "
                f"genres alone, with shape {wanted}, or leave them out"
            )

    def _tracks_per_genre(self) -> NDArray[np.int64]:
        if self.multi_label:
            summed: NDArray[np.int64] = (self.labels * self.sizes[:, None]).sum(axis=0)
            return summed
        known = self.labels >= 0
        counts = np.bincount(self.labels[known], self.sizes[known], minlength=len(self.genres))
        return counts.astype(np.int64)

    @classmethod
    def from_tracks(
        cls, tracks: Tracks, by: str | Sequence[str] = "album", *, split: str | None = None
    ) -> Bags:
        """Group tracks into bags.

        Parameters
        ----------
        tracks : Tracks
        by : {"album", "track"} or sequence of column names
            ``"album"`` groups by (album_id, artist_id), the paper's album-artist pair, and leaves a
            track whose album or artist is unknown alone. ``"track"`` makes bags of one. Columns
            group by equal values; -1, NaN and "" are unknown, and such a track is alone.
        split : str, optional
            Use only the tracks of this split. Ties and ``train_counts`` still come from the
            training tracks of the whole table.

        Returns
        -------
        Bags
            In order of first appearance, tracks in table order. A bag has the label of the
            majority of its *known* tracks, ties going to the genre with fewer training tracks;
            with several genres a track, a bag has every genre of at least half its known tracks.
            Without a known track it is unknown.

        Raises
        ------
        DataError
            If there are no tracks, or a column is unknown.
        """
        check_arguments(tracks=(tracks, Tracks), by=(by, str | Sequence))
        chosen = tracks if split is None else tracks.in_split(split)
        if not len(chosen):
            raise DataError("no tracks to put into bags; check the split and the filters")
        bag = _bag_of(chosen, by)
        order = np.argsort(bag, kind="stable")
        sizes = np.bincount(bag)
        counts = tracks.train_counts
        majority = vote_many if chosen.multi_label else vote
        return cls(
            chosen.track_id[order],
            np.concatenate([[0], np.cumsum(sizes)]),
            majority(bag, chosen.labels, counts),
            chosen.genres,
            counts,
            chosen.labels[order] if chosen.multi_label else None,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of tracks in each bag, shape (b,)."""
        return np.diff(self.offsets)

    @property
    def multi_label(self) -> bool:
        """Whether a bag may have several genres."""
        return self.labels.ndim == 2

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which bags have a known genre, shape (b,)."""
        return np.asarray(self.labels.any(axis=1) if self.multi_label else self.labels >= 0)

    def to_pandas(self) -> pd.DataFrame:
        """One row a track, in bag order: ``bag`` (its number), ``track_id``, ``bag_label``.

        The label is a genre name, as in `Tracks.to_pandas`; ``attrs["train_counts"]`` maps each
        genre to its training tracks. Needs pandas.

        Raises
        ------
        ConfigError
            If pandas is not installed.

        Examples
        --------
        >>> bags = Bags([5, 7, 9], offsets=[0, 2, 3], labels=[1, 0], genres=("Folk", "Rock"))
        >>> bags.to_pandas().groupby("bag").size().tolist()
        [2, 1]
        """
        bag = np.repeat(np.arange(len(self)), self.sizes)
        labels = named(self.labels[bag], self.genres)
        columns = {"bag": bag, "track_id": self.track_ids, "bag_label": labels}
        frame: pd.DataFrame = pandas().DataFrame(columns)
        counts = zip(self.genres, self.train_counts.tolist(), strict=False)
        frame.attrs = {"genres": self.genres, "train_counts": dict(counts)}
        return frame

    def labelled(self) -> Bags:
        """Return the bags whose genre is known.

        Raises
        ------
        DataError
            If there is none.
        """
        if not self.known.any():
            raise DataError(f"none of {len(self)} bags has a known genre; label some tracks first")
        return self.take(np.flatnonzero(self.known))

    def take(self, which: NDArray[np.int64] | Sequence[int]) -> Bags:
        """Return the chosen bags, in the given order."""
        which = np.asarray(which, np.int64)
        rows, offsets = gather(self.offsets, which)
        return self.with_tracks(rows, offsets, self.labels[which])

    def with_tracks(
        self, rows: NDArray[Any], offsets: NDArray[np.int64], labels: NDArray[Any]
    ) -> Bags:
        """Return bags of the chosen rows of `track_ids`, with other offsets and labels."""
        own = None if self.track_labels is None else self.track_labels[rows]
        ids = self.track_ids[rows]
        return replace(self, track_ids=ids, offsets=offsets, labels=labels, track_labels=own)

    def batches(
        self,
        *,
        max_bags: int,
        max_segments: int | None = None,
        counts: NDArray[np.int64] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Iterator[Bags]:
        """Yield every bag once, in batches.

        Parameters
        ----------
        max_bags : int >= 1
            Bags a batch, at most.
        max_segments : int >= 1, optional
            Segments a batch, at most; a bag that exceeds it alone is a batch of its own.
        counts : int array, shape (n,), optional
            Segments of each track, in bag order (`FeatureStore.counts`); 1 by default.
        rng : numpy Generator, optional
            Shuffle the bags.
        """
        if max_bags < 1 or (max_segments is not None and max_segments < 1):
            raise DataError(
                f"a batch needs room for a bag, got max_bags={max_bags} and "
                f"max_segments={max_segments}; give 1 or more"
            )
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        per_track = np.ones(len(self.track_ids), np.int64) if counts is None else counts
        segments = np.add.reduceat(per_track, self.offsets[:-1])
        batch: list[int] = []
        total = 0
        for bag in order:
            full = len(batch) == max_bags
            if max_segments is not None and batch and total + segments[bag] > max_segments:
                full = True
            if full:
                yield self.take(batch)
                batch, total = [], 0
            batch.append(int(bag))
            total += int(segments[bag])
        yield self.take(batch)


def _width(labels: NDArray[Any]) -> int:
    return labels.shape[1] if labels.ndim == 2 else int(labels.max(initial=-1)) + 1


def _bag_of(tracks: Tracks, by: str | Sequence[str]) -> NDArray[np.int64]:
    """Bag of each track, numbered in order of first appearance, shape (n,)."""
    if by == "track":
        return np.arange(len(tracks))
    names = ("album_id", "artist_id") if by == "album" else (by,) if isinstance(by, str) else by
    known = {"album_id", "artist_id", "split", "path", *tracks.columns}
    for name in names:
        if name not in known:
            raise DataError(f"cannot group by {name!r}; {did_you_mean(name, known)}")
    columns = (
        tracks.columns[name] if name in tracks.columns else getattr(tracks, name) for name in names
    )
    return group(columns, len(tracks))


def group(columns: Iterable[NDArray[Any]], n: int) -> NDArray[np.int64]:
    """Group of each row, by equal values in all columns; a row with an unknown value is alone.

    Parameters
    ----------
    columns : iterable of array, shape (n,)
        -1, NaN and "" are unknown.
    n : int

    Returns
    -------
    int array, shape (n,)
        Numbered in order of first appearance.

    Examples
    --------
    >>> group([np.array([7, 3, 7, -1, -1])], 5)
    array([0, 1, 0, 2, 3])
    """
    key, alone = np.zeros(n, np.int64), np.zeros(n, bool)
    for column in columns:
        alone |= _unknown(column)
        code = _codes(column)
        key = _codes(key * (code.max() + 1) + code)
    return _codes(np.where(alone, n + np.arange(n), key))


def gather(
    offsets: NDArray[np.int64], which: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the chosen parts of a ragged array, and the offsets of the result.

    >>> gather(np.array([0, 2, 5, 6]), np.array([2, 0]))
    (array([5, 0, 1]), array([0, 1, 3]))
    """
    sizes = np.diff(offsets)[which]
    new = np.concatenate([[0], np.cumsum(sizes)])
    # Row i of the result sits (i - start of its new part) into its old part.
    return np.arange(new[-1]) + np.repeat(offsets[which] - new[:-1], sizes), new


def vote(
    bag: NDArray[np.int64], labels: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Majority of the known tracks of each bag, ties to the rarer genre: (n,) -> (b,)."""
    winner = np.full(int(bag.max()) + 1, -1, np.int64)
    known = labels >= 0
    if not known.any():
        return winner
    # Genres from the most common to the rarest, equal ones from the last to the first: of equal
    # votes the highest rank wins.
    order = np.lexsort((-np.arange(len(counts)), -counts))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(counts))
    # Only pairs that occur, so memory grows with tracks and not with bags x genres.
    pairs, votes = np.unique(bag[known] * len(counts) + labels[known], return_counts=True)
    which, genre = np.divmod(pairs, len(counts))  # sorted by bag
    starts = np.flatnonzero(np.diff(which, prepend=-1))
    best = np.maximum.reduceat(votes * len(counts) + rank[genre], starts)
    winner[which[starts]] = order[best % len(counts)]
    return winner


def vote_many(
    bag: NDArray[np.int64], labels: NDArray[np.bool_], counts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Genres of at least half the known tracks of each bag: (n, G) -> (b, G)."""
    n_bags = int(bag.max()) + 1
    row, genre = np.nonzero(labels)
    # Only pairs that occur: bags x genres counts of eight bytes would be much larger.
    pairs, votes = np.unique(bag[row] * len(counts) + genre, return_counts=True)
    which, genre = np.divmod(pairs, len(counts))
    known = np.bincount(bag, labels.any(axis=1), minlength=n_bags)
    majority = np.zeros((n_bags, len(counts)), bool)
    majority[which, genre] = 2 * votes >= known[which]
    return majority


def _codes(column: NDArray[Any]) -> NDArray[np.int64]:
    """Number of each value, in order of first appearance: by hashing, so linear in n."""
    if column.dtype.kind in "iuU":  # no NaN, of which no two are equal
        first: dict[int | str, int] = {}
        return np.array([first.setdefault(value, len(first)) for value in column.tolist()])
    import pyarrow as pa  # which imports pandas, where it is installed: half a second

    return np.asarray(pa.array(column).dictionary_encode().indices, np.int64)


def _unknown(column: NDArray[Any]) -> NDArray[np.bool_]:
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column) | (column == -1))
    return np.asarray(column == ("" if column.dtype.kind in "US" else -1))
