"""Pairs of tracks that sound alike to a degree that chance does not explain: copies, edits, covers.

A track is described by the mean of its segments; of features with a time axis (a log-mel), mean
and standard deviation over time. Each column is brought to the scale of its middle 68 % (median 0,
half their range 1) and cut off at ±4, because one wild column would otherwise drown all others.
The distance of two tracks is the root mean square difference of their columns: 0 for copies, about
1.4 for two tracks taken at random.

The default threshold, `THRESHOLD`, lies in a gap. Among 7,997 real FMA tracks with 46 features,
pairs up to 0.05 have the same title, version or artist wherever these are known, few pairs lie
between 0.05 and 0.25, and from 0.3 on their number grows as that of mere neighbours does. Where
tracks lie closer together than there (few columns, one style), a third of the typical distance to
the tenth neighbour is used instead.

No two tracks are closer than their shadows on fewer dimensions. So every pair is compared on the
principal axes of the columns first, `_AXES` of them, tile by tile; few pairs are near enough there
to be compared whole, and none that belongs to the result is missed. Only the shadows of all tracks
are held, and their vectors where they are small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from ..errors import DataError, in_a_line
from ..features.store import FeatureStore
from ..processes import cores
from ..tracks import Tracks

THRESHOLD = 0.2
FEWEST_COLUMNS = 8  # with fewer, neighbours by mere chance are as close as copies
_NEIGHBOUR, _SHARE = 10, 1 / 3
_CUT = 4.0
_ROUNDING = 1e-6  # of float32 in a difference of squares, so that copies count as such
_SAMPLE = 512  # tracks whose neighbours tell what is typical
_AXES = 64
_SHADOW = 1e-5  # of float32 in distances of shadows, which may so look nearer than they are
_CELLS = 2**20  # distances held at once, 4 MiB: more would leave the caches
_MANY = 1 / 64  # of the pairs of a tile; beyond it to compare all whole is quicker
_READ = 2**23  # numbers read at once: 32 MiB
_HELD = 2**26  # numbers of vectors that are held: 256 MiB


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Pairs of tracks whose features nearly agree.

    Attributes
    ----------
    threshold : float
        Largest distance of a pair.
    typical : float
        Median distance of a track to its tenth neighbour.
    n_tracks, n_columns : int
        What was compared.
    n_pairs, n_across_splits, n_across_artists : int
        All pairs, those in two splits, and those of two known artists.
    first, second : int array, shape (k,)
        Track ids of the pairs that are listed: across splits first, then the closest.
    distance : array, shape (k,)
    across_splits, across_artists : bool array, shape (k,)
    """

    threshold: float
    typical: float
    n_tracks: int
    n_columns: int
    n_pairs: int
    n_across_splits: int
    n_across_artists: int
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float64]
    across_splits: NDArray[np.bool_]
    across_artists: NDArray[np.bool_]

    __repr__ = in_a_line


def find_near_duplicates(
    tracks: Tracks, features: FeatureStore, *, threshold: float | None = None, most: int = 10_000
) -> NearDuplicates:
    """Compare every track that has features with every other, in tiles.

    Takes about 32 n² multiplications and, beside the features, 66 n numbers and no more than
    600 MB. Vectors of more than 256 MB are read again where they are needed, and their columns
    are on the scale of every k-th track.

    Parameters
    ----------
    tracks : Tracks
    features : FeatureStore
    threshold : float > 0, optional
        By default `THRESHOLD`, or less where tracks lie close together.
    most : int >= 1
        Pairs that are listed; all are counted.

    Raises
    ------
    DataError
        If fewer than two tracks have features, or these have too few columns and no threshold is
        given.
    """
    tracks = tracks.take(np.isin(tracks.track_id, features.track_ids))
    if len(tracks) < 2:
        raise DataError(f"{len(tracks)} tracks have features; two are needed to compare")
    vectors = _Vectors.of(features, tracks.track_id)
    d = vectors.n_columns
    if not d or (d < FEWEST_COLUMNS and threshold is None):
        raise DataError(
            f"{d} columns of features cannot tell copies from neighbours ({FEWEST_COLUMNS} are "
            "needed); give a threshold of your own to look for pairs all the same"
        )
    shadows, highest, typical = _looked_through(vectors, len(tracks))
    limit = (min(THRESHOLD, typical * _SHARE) or THRESHOLD) if threshold is None else threshold
    split, artist = np.unique(tracks.split, return_inverse=True)[1], tracks.artist_id
    assigned = tracks.split != ""

    def found_from(start: int) -> NDArray[np.float64]:
        """Pairs of some rows of tiles, all of them counted in the first column."""
        counts, kept = np.zeros((5, 1)), np.zeros((5, 0))
        most_square = limit**2 * d + _ROUNDING * highest
        for i, j, square in _near(vectors, shadows, start, most_square, highest):
            across = (split[i] != split[j]) & assigned[i] & assigned[j]
            other = (artist[i] != artist[j]) & (artist[i] >= 0) & (artist[j] >= 0)
            # Pairs across splits come first, whatever their distance.
            square += np.where(across, 0, 4 * _CUT**2 * d)
            pairs = np.array([i, j, across, other, square])
            counts[:3, 0] += len(i), across.sum(), other.sum()
            kept = _first(np.concatenate([kept, pairs], axis=1), most)
        return np.concatenate([counts, kept], axis=1)

    counts, pairs = np.zeros(3), np.zeros((5, 0))
    with threadpoolctl.threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as threads:
        for found in threads.map(found_from, range(0, len(tracks), _tile())):
            counts += found[:3, 0]
            pairs = _first(np.concatenate([pairs, found[:, 1:]], axis=1), most)
    i, j = pairs[:2].astype(np.int64)
    distance = np.sqrt(_squares(vectors, i, j) / d)
    order = np.lexsort((j, i, distance, -pairs[2]))
    return NearDuplicates(
        threshold=float(limit),
        typical=typical,
        n_tracks=len(tracks),
        n_columns=d,
        n_pairs=int(counts[0]),
        n_across_splits=int(counts[1]),
        n_across_artists=int(counts[2]),
        first=tracks.track_id[i[order]],
        second=tracks.track_id[j[order]],
        distance=distance[order],
        across_splits=pairs[2, order].astype(bool),
        across_artists=pairs[3, order].astype(bool),
    )


def track_vectors(features: FeatureStore, track_ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """One vector a track, shape (n, d): the mean of its segments, see the head of this module."""
    shape = features.spec.shape
    out = np.empty((len(track_ids), _size(features)), np.float32)
    step = max(1, _READ // max(1, math.prod(shape)))
    for start in range(0, len(track_ids), step):
        values, offsets = features.read(track_ids[start : start + step])
        if len(shape) > 1:
            values = values.astype(np.float32, copy=False)
            parts = values.mean(axis=-1), values.std(axis=-1)
            values = np.concatenate(parts, axis=-1).reshape(len(values), -1)
        if len(values) > len(offsets) - 1:
            summed = np.add.reduceat(values.astype(np.float32, copy=False), offsets[:-1])
            values = summed / np.diff(offsets)[:, None]
        out[start : start + step] = values
    return out


def _size(features: FeatureStore) -> int:
    """Numbers of a vector."""
    *bands, last = features.spec.shape
    return 2 * math.prod(bands) if bands else last


def standardised(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns on the scale of their middle 68 %, cut off at ±4; constant ones are dropped."""
    middle, scale = _scales(x)
    keep = np.isfinite(scale)
    return _on_scale(x[:, keep], middle[keep], scale[keep])


def _scales(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median of each column and half the range of its middle 68 %, infinite if it is constant."""
    found = []
    for part in np.array_split(x, -(-x.size // _READ), axis=1):  # each is copied
        low, middle, high = np.percentile(part, [15.87, 50, 84.13], axis=0)
        scale = (high - low) / 2
        scale = np.where(scale > 0, scale, part.std(axis=0))
        found.append((middle, np.where(scale > 0, scale, np.inf)))
    middle, scale = np.concatenate(found, axis=1).astype(np.float32)
    return middle, scale


def _on_scale(
    x: NDArray[np.float32], middle: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Vectors (n, d), changed in place; a column whose scale is infinite becomes 0."""
    x -= middle
    x /= scale
    return np.clip(x, -_CUT, _CUT, out=x)


@dataclass(frozen=True, eq=False)
class _Vectors:
    """Vectors of tracks on their scale; constant columns are 0.

    Attributes
    ----------
    features : FeatureStore
    track_ids : int array, shape (n,)
    middle, scale : array, shape (d,)
    held : array, shape (n, d), or None
        All of them, if they are small.
    """

    features: FeatureStore
    track_ids: NDArray[np.int64]
    middle: NDArray[np.float32]
    scale: NDArray[np.float32]
    held: NDArray[np.float32] | None

    @classmethod
    def of(cls, features: FeatureStore, track_ids: NDArray[np.int64]) -> _Vectors:
        """Learn the scale, from every k-th track if not all can be held."""
        step = -(-len(track_ids) * _size(features) // _HELD)
        sample = track_vectors(features, track_ids[::step])
        middle, scale = _scales(sample)
        held = _on_scale(sample, middle, scale) if step == 1 else None
        return cls(features, track_ids, middle, scale, held)

    @property
    def n_columns(self) -> int:
        """Columns that vary."""
        return int(np.isfinite(self.scale).sum())

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        if self.held is not None:
            return self.held[rows]
        read = track_vectors(self.features, self.track_ids[rows])
        return _on_scale(read, self.middle, self.scale)


def _looked_through(vectors: _Vectors, n: int) -> tuple[NDArray[np.float32], float, float]:
    """Read all vectors once.

    Returns
    -------
    shadows : array, shape (n, k + 2)
        Each track on the k principal axes, the squared length of that, and 1.
    highest : float
        Squared length of the longest vector.
    typical : float
        Median distance to the tenth neighbour, over a sample of evenly spaced tracks.
    """
    few = vectors[np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))]
    axes = np.linalg.eigh((few.T @ few).astype(np.float64))[1]  # orthonormal, whatever they are
    axes = axes[:, -_AXES:].astype(np.float32)  # (d, k)
    lengths = np.einsum("ij,ij->i", few, few)
    place = min(_NEIGHBOUR, n - 1)  # place 0 is the track itself
    nearest = np.full((len(few), place + 1), np.inf, np.float32)
    shadows = np.ones((n, axes.shape[1] + 2), np.float32)
    highest, step = 0.0, max(1, _READ // max(len(axes), len(few)))
    for start in range(0, n, step):
        here = slice(start, start + step)
        x = vectors[here]
        squares = np.einsum("ij,ij->i", x, x)
        np.matmul(x, axes, out=shadows[here, :-2])
        highest = max(highest, float(squares.max()))
        distance = lengths[:, None] + squares - 2 * (few @ x.T)
        nearest = np.concatenate([nearest, distance], axis=1)
        nearest = np.partition(nearest, place, axis=1)[:, : place + 1]
    shadows[:, -2] = np.einsum("ij,ij->i", shadows[:, :-2], shadows[:, :-2])
    typical = np.sqrt(np.median(nearest[:, place]).clip(min=0) / vectors.n_columns)
    return shadows, highest, float(typical)


def _near(
    vectors: _Vectors, shadows: NDArray[np.float32], start: int, most: float, highest: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Yield pairs of tracks of one row of tiles that are at most so far apart.

    Parameters
    ----------
    vectors : _Vectors
    shadows, highest
        As `_looked_through` gives them.
    start : int
        First track of the row of tiles.
    most : float
        Squared distance.

    Yields
    ------
    i, j : int array, shape (k,)
    square : array, shape (k,)
        Their squared distance.
    """
    size = _tile()
    # |a - b|² as one product: (-2a, 1, |a|²) . (b, |b|², 1).
    turned = shadows[start : start + size, [*range(shadows.shape[1] - 2), -1, -2]]
    turned[:, :-2] *= -2
    memory = np.empty((len(turned), size), np.float32)  # new pages take longer to fill
    for other in range(start, len(shadows), size):
        shadow = shadows[other : other + size]
        apart = np.matmul(turned, shadow.T, out=memory[:, : len(shadow)])
        i, j = _places(apart, most + _SHADOW * highest, start, other)
        if len(i) <= _MANY * apart.size:
            square = _squares(vectors, i, j)
            near = square <= most
            i, j, square = i[near], j[near], square[near]
        else:
            x, y = (vectors[slice(at, at + size)] for at in (start, other))
            lengths = (np.einsum("ij,ij->i", z, z) for z in (x, y))
            apart = np.add.outer(*lengths) - 2 * (x @ y.T)
            i, j = _places(apart, most, start, other)
            square = apart[i - start, j - other].astype(np.float64)
        if len(i):
            yield i, j, square


def _tile() -> int:
    """Tracks on one side of a tile."""
    return max(1, int(_CELLS**0.5))


def _places(
    apart: NDArray[np.float32], most: float, start: int, other: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the pairs of a tile whose squared distance is at most so much, each pair once."""
    i, j = np.divmod(np.flatnonzero(apart <= most), apart.shape[1])
    i, j = i + start, j + other
    return i[j > i], j[j > i]


def _squares(vectors: _Vectors, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squared distances of pairs of rows, shape (k,)."""
    found = np.empty(len(i))
    step = max(1, _READ // (4 * len(vectors.scale)))
    for start in range(0, len(i), step):
        here = slice(start, start + step)
        rows, at = np.unique([i[here], j[here]], return_inverse=True)
        x = vectors[rows].astype(np.float64)
        a, b = at.reshape(2, -1)
        found[here] = np.square(x[a] - x[b]).sum(axis=1)
    return found


def _first(pairs: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The columns with the lowest last row."""
    if pairs.shape[1] <= most:
        return pairs
    return pairs[:, np.argpartition(pairs[-1], most)[:most]]
