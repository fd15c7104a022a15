"""Seven numbers that describe a row: moments in two compiled passes, the median by selection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled

CONSTANT = 1e-6  # relative deviation below which a row of float32 values is constant
SIDE_BY_SIDE = 32  # sums at once: each waits for its last addition


def statistics(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Summarise rows of frame features.

    Parameters
    ----------
    rows : float array, shape (n, T)

    Returns
    -------
    float64 array, shape (7, n)
        Kurtosis (Fisher's: 0 for a normal distribution), maximum, mean, median, minimum, skew and
        standard deviation. Kurtosis and skew of a constant row are 0.
    """
    frames, middle = rows.shape[1], rows.shape[1] // 2
    ordered = np.partition(rows, middle, axis=1)
    median = ordered[:, middle].astype(np.float64)
    if frames % 2 == 0:  # the largest below: to have both put in place takes four times as long
        median = (median + ordered[:, :middle].max(axis=1)) / 2
    mean, m2, m3, m4 = central_moments(np.ascontiguousarray(rows))
    varies = m2 > (CONSTANT * mean) ** 2
    deviation = np.sqrt(m2)
    m2 = np.where(varies, m2, 1)
    skew = np.where(varies, m3 / m2**1.5, 0)
    kurtosis = np.where(varies, m4 / m2**2 - 3, 0)
    return np.stack([kurtosis, rows.max(axis=1), mean, median, rows.min(axis=1), skew, deviation])


@compiled
def central_moments(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Mean, and means of squares, cubes and fourth powers around it: (n, T) -> (4, n)."""
    n, frames = rows.shape
    whole = frames - frames % SIDE_BY_SIDE
    found = np.zeros((4, n))
    sums = np.empty((4, SIDE_BY_SIDE))
    s1, s2, s3, s4 = sums[0], sums[1], sums[2], sums[3]
    for r in range(n):
        row = rows[r]
        for i in range(SIDE_BY_SIDE):
            s1[i] = s2[i] = s3[i] = s4[i] = 0
        for begin in range(0, whole, SIDE_BY_SIDE):
            for i in range(SIDE_BY_SIDE):
                s1[i] += row[begin + i]
        for t in range(whole, frames):
            s1[0] += row[t]
        mean = _sum(s1) / frames
        for begin in range(0, whole, SIDE_BY_SIDE):
            for i in range(SIDE_BY_SIDE):
                away = row[begin + i] - mean
                s2[i] += away * away
                s3[i] += away * away * away
                s4[i] += away * away * away * away
        for t in range(whole, frames):
            away = row[t] - mean
            s2[0] += away * away
            s3[0] += away * away * away
            s4[0] += away * away * away * away
        found[0, r] = mean
        for order in range(1, 4):
            found[order, r] = _sum(sums[order]) / frames
    return found


@compiled
def _sum(values: NDArray[np.float64]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total
