"""Shape of a spectrum: centroid, bandwidth and rolloff, in bins, and its contrast.

A spectrum is cut into groups of 32 bins. One product gives each group's sum and first two moments
about its own middle, small numbers that single precision holds; the moments of the whole follow
from them in double precision, and the group in which the rolloff lies from their running sum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROUP = 32  # bins
ROLLOFF = 0.85
_OFFSETS = np.arange(GROUP) - (GROUP - 1) / 2
_MOMENTS = np.stack([np.ones(GROUP), _OFFSETS, _OFFSETS**2], axis=1).astype(np.float32)  # (32, 3)


def group_moments(rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Sum and first two moments of every group.

    Parameters
    ----------
    rows : float32 array, shape (T, 32 G), contiguous
        Magnitudes, followed by zeros.
    out : float32 array, shape (T, 3 G), contiguous
    """
    np.matmul(rows.reshape(-1, GROUP), _MOMENTS, out=out.reshape(-1, 3))


def rolloff(power: NDArray[np.float32], moments: NDArray[np.float32]) -> NDArray[np.intp]:
    """First bin up to which a spectrum holds 85 % of its sum.

    Parameters
    ----------
    power : float32 array, shape (T, bins)
        Squares of the magnitudes.
    moments : float32 array, shape (T, 3 G)
        Of each group of 32 bins, as `group_moments` has them; the last may be incomplete.

    Returns
    -------
    int array, shape (T,)
        0 where a spectrum is all zeros.
    """
    sums = moments[:, ::3]  # (T, G)
    running = np.cumsum(sums, axis=1, dtype=np.float64)
    threshold = ROLLOFF * running[:, -1:]  # (T, 1)
    group = (running < threshold).sum(axis=1)
    frame = np.arange(len(power))
    start = np.minimum(GROUP * group, power.shape[1] - GROUP)  # the last group ends where bins do
    cut = np.lib.stride_tricks.sliding_window_view(power, GROUP, axis=1)
    within = np.sqrt(cut[frame, start])  # (T, 32)
    within[np.arange(GROUP) < (GROUP * group - start)[:, None]] = 0
    left = threshold[:, 0] - running[frame, group] + sums[frame, group]
    below = np.cumsum(within, axis=1, dtype=np.float64) < left[:, None]
    bins: NDArray[np.intp] = start + below.sum(axis=1)
    return bins


def centroid_and_bandwidth(
    moments: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of a spectrum in bins: (T, 3 G) -> two (T,).

    Both are 0 where a spectrum is all zeros.
    """
    split = moments.reshape(len(moments), -1, 3)
    zeroth, first, second = np.moveaxis(split, 2, 0).astype(np.float64)  # (T, G)
    middles = np.arange(zeroth.shape[1]) * GROUP + (GROUP - 1) / 2  # (G,)
    total = zeroth.sum(axis=1)  # (T,)
    norm = np.where(total > 0, total, 1)
    centroid = (zeroth @ middles + first.sum(axis=1)) / norm
    away = middles - centroid[:, None]  # (T, G)
    spread = (second + away * (2 * first + away * zeroth)).sum(axis=1) / norm
    return centroid, np.sqrt(np.maximum(spread, 0))


def contrast(
    rows: NDArray[np.float32],
    bands: tuple[tuple[slice, int], ...],
    peaks: NDArray[np.float32],
    valleys: NDArray[np.float32],
) -> None:
    """Sums of the largest and of the smallest magnitudes of each band, into two (T, bands)."""
    for number, (bins, share) in enumerate(bands):
        if share == 1:
            np.minimum.reduce(rows[:, bins], axis=1, out=valleys[:, number])
            np.maximum.reduce(rows[:, bins], axis=1, out=peaks[:, number])
            continue
        ordered = np.sort(rows[:, bins], axis=1)
        np.add.reduce(ordered[:, :share], axis=1, out=valleys[:, number])
        np.add.reduce(ordered[:, -share:], axis=1, out=peaks[:, number])
