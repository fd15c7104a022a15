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
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, in_a_line
from ..features.store import FeatureStore
from ..tracks import Tracks

THRESHOLD = 0.2
FEWEST_COLUMNS = 8  # with fewer, neighbours by mere chance are as close as copies
_NEIGHBOUR, _SHARE = 10, 1 / 3
_CUT = 4.0
_ROUNDING = 1e-6  # of float32 in a difference of squares, so that copies count as such
_SAMPLE = 512  # tracks whose neighbours tell what is typical
_CELLS = 2**23  # distances held at once: 32 MiB


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
    """Compare every track that has features with every other, in blocks.

    Takes about n² · d multiplications and little memory beside the n · d numbers themselves.

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
    x = standardised(track_vectors(features, tracks.track_id))  # (n, d)
    n, d = x.shape
    if not d or (d < FEWEST_COLUMNS and threshold is None):
        raise DataError(
            f"{d} columns of features cannot tell copies from neighbours ({FEWEST_COLUMNS} are "
            "needed); give a threshold of your own to look for pairs all the same"
        )
    typical = _typical(x)
    limit = (min(THRESHOLD, typical * _SHARE) or THRESHOLD) if threshold is None else threshold
    split, artist = np.unique(tracks.split, return_inverse=True)[1], tracks.artist_id
    assigned = tracks.split != ""
    squares = np.einsum("ij,ij->i", x, x)  # (n,)
    most_square = limit**2 * d + _ROUNDING * float(squares.max())
    counts = np.zeros(3, np.int64)
    kept: list[NDArray[Any]] = []
    n_kept = 0
    step = max(1, _CELLS // n)
    for start in range(0, n, step):
        stop = min(start + step, n)
        near = x[start:stop] @ x[start:].T  # (rows, n - start)
        near *= -2
        near += squares[start:stop, None]
        near += squares[start:]
        i, j = np.nonzero(near <= most_square)
        i, j, square = i[j > i] + start, j[j > i] + start, near[i, j][j > i]
        if not len(i):
            continue
        across = (split[i] != split[j]) & assigned[i] & assigned[j]
        other = (artist[i] != artist[j]) & (artist[i] >= 0) & (artist[j] >= 0)
        counts += len(i), across.sum(), other.sum()
        # Pairs across splits come first, whatever their distance.
        kept.append(np.array([i, j, across, other, square + np.where(across, 0, 4 * _CUT**2 * d)]))
        n_kept += len(i)
        if n_kept > 4 * most:
            kept = [_first(np.concatenate(kept, axis=1), most)]
            n_kept = most
    pairs = _first(np.concatenate(kept, axis=1), most) if kept else np.zeros((5, 0))
    i, j = pairs[:2].astype(np.int64)
    distance = np.sqrt(np.mean((x[i].astype(np.float64) - x[j]) ** 2, axis=1)) if len(i) else i
    order = np.lexsort((j, i, distance, -pairs[2]))
    return NearDuplicates(
        threshold=float(limit),
        typical=typical,
        n_tracks=n,
        n_columns=d,
        n_pairs=int(counts[0]),
        n_across_splits=int(counts[1]),
        n_across_artists=int(counts[2]),
        first=tracks.track_id[i[order]],
        second=tracks.track_id[j[order]],
        distance=np.asarray(distance, np.float64)[order],
        across_splits=pairs[2, order].astype(bool),
        across_artists=pairs[3, order].astype(bool),
    )


def track_vectors(features: FeatureStore, track_ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """One vector a track, shape (n, d): the mean of its segments, see the head of this module."""
    size = int(np.prod(features.spec.shape[:-1])) * 2 if len(features.spec.shape) > 1 else 0
    out = np.empty((len(track_ids), size or features.spec.shape[0]), np.float32)
    step = max(1, _CELLS // max(1, int(np.prod(features.spec.shape))))
    for start in range(0, len(track_ids), step):
        values, offsets = features.read(track_ids[start : start + step])
        if size:
            values = values.astype(np.float32, copy=False)
            parts = values.mean(axis=-1), values.std(axis=-1)
            values = np.concatenate(parts, axis=-1).reshape(len(values), -1)
        summed = np.add.reduceat(values.astype(np.float32, copy=False), offsets[:-1])
        out[start : start + step] = summed / np.diff(offsets)[:, None]
    return out


def standardised(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns on the scale of their middle 68 %, cut off at ±4; constant ones are dropped."""
    low, middle, high = np.percentile(x, [15.87, 50, 84.13], axis=0)
    scale = (high - low) / 2
    scale = np.where(scale > 0, scale, x.std(axis=0))
    keep = scale > 0
    z = (x[:, keep] - middle[keep].astype(np.float32)) / scale[keep].astype(np.float32)
    return np.asarray(np.clip(z, -_CUT, _CUT), np.float32)


def _typical(x: NDArray[np.float32]) -> float:
    """Median distance to the tenth neighbour, over a sample of evenly spaced rows."""
    n, d = x.shape
    rows = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))
    squares = np.einsum("ij,ij->i", x, x)
    place = min(_NEIGHBOUR, n - 1)  # place 0 is the row itself
    found = []
    for part in np.array_split(rows, -(-len(rows) * n // _CELLS)):
        distance = squares[part, None] + squares - 2 * (x[part] @ x.T)
        found.append(np.partition(distance, place, axis=1)[:, place])
    return float(np.sqrt(np.median(np.concatenate(found)).clip(min=0) / d))


def _first(pairs: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The columns with the lowest last row."""
    if pairs.shape[1] <= most:
        return pairs
    return pairs[:, np.argpartition(pairs[-1], most)[:most]]
