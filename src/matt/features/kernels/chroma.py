"""Chroma of a constant-Q transform, its smoothed form, and the tonal centroids of that.

Arrays have one row a frame. The definitions are those of `librosa.feature`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = 12
_STEPS = (0.4, 0.2, 0.1, 0.05)  # loudness of a pitch class is quantised to quarters
_SMOOTHED = 41  # frames


def fold(cqt: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the octaves: (T, 84) -> (T, 12)."""
    folded: NDArray[np.float32] = cqt.reshape(len(cqt), -1, CLASSES).sum(axis=1)
    return folded


def normalised(rows: NDArray[Any], order: float) -> NDArray[Any]:
    """Divide non-negative rows by their norm; what is all but zero stays as it is."""
    length = np.linalg.norm(rows, ord=order, axis=1, keepdims=True)
    return rows / np.where(length < np.finfo(rows.dtype).tiny, 1, length)


def cens(chroma: NDArray[np.float32]) -> NDArray[np.float64]:
    """Quantised, smoothed over 41 frames, and scaled to length 1: (T, 12) -> (T, 12).

    References
    ----------
    .. [1] Mueller & Ewert, "Chroma Toolbox", ISMIR 2011.
    """
    import scipy.ndimage

    shares = normalised(chroma, 1)
    quantised = np.sum([shares > step for step in _STEPS], axis=0) * 0.25
    smooth = scipy.ndimage.convolve1d(quantised, _smoothing(), axis=0, mode="constant")
    return normalised(smooth, 2)


def tonnetz(chroma: NDArray[Any]) -> NDArray[Any]:
    """Position on the circles of fifths, minor and major thirds: (T, 12) -> (T, 6).

    References
    ----------
    .. [1] Harte, Sandler & Gasser, "Detecting harmonic change in musical audio", 2006.
    """
    return normalised(chroma, 1) @ _circles()


@cache
def _smoothing() -> NDArray[np.float64]:
    import librosa

    window: NDArray[np.float64] = librosa.filters.get_window("hann", _SMOOTHED + 2, fftbins=False)
    window /= window.sum()
    return window


@cache
def _circles() -> NDArray[np.float64]:
    """Sine and cosine on each circle, shape (12, 6); the circle of major thirds is half as wide."""
    angles = np.pi * np.outer(np.arange(CLASSES), [7 / 6, 3 / 2, 2 / 3])  # (12, 3)
    both = np.stack([np.sin(angles), np.cos(angles)], axis=2)
    circles: NDArray[np.float64] = both.reshape(CLASSES, 6) * np.array([1, 1, 1, 1, 0.5, 0.5])
    return circles
