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


def shapes(rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """Centroid, bandwidth and rolloff of a block, in bins.

    Parameters
    ----------
    rows : float32 array, shape (T, a multiple of 32), contiguous
        Magnitudes, followed by zeros.

    Returns
    -------
    three float64 arrays, shape (T,)
        0 where a spectrum is all zeros.
    """
    groups = rows.reshape(len(rows), -1, GROUP)  # (T, G, 32)
    sums = groups.reshape(-1, GROUP) @ _MOMENTS  # (T G, 3)
    zeroth, first, second = sums.T.astype(np.float64).reshape(3, *groups.shape[:2])  # (T, G)
    middles = np.arange(groups.shape[1]) * GROUP + (GROUP - 1) / 2  # (G,)

    running = np.cumsum(zeroth, axis=1)
    total = running[:, -1]  # (T,)
    norm = np.where(total > 0, total, 1)
    centroid = (zeroth @ middles + first.sum(axis=1)) / norm
    away = middles - centroid[:, None]  # (T, G)
    spread = (second + away * (2 * first + away * zeroth)).sum(axis=1) / norm
    bandwidth = np.sqrt(np.maximum(spread, 0))

    threshold = ROLLOFF * total[:, None]  # (T, 1)
    group = (running < threshold).sum(axis=1)
    frame = np.arange(len(rows))
    below = running[frame, group] - zeroth[frame, group]
    within = np.cumsum(groups[frame, group], axis=1, dtype=np.float64) + below[:, None]  # (T, 32)
    rolloff = GROUP * group + (within < threshold).sum(axis=1)
    return centroid, bandwidth, rolloff.astype(np.float64)


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
