"""Magnitude spectra of audio, a block of frames at a time.

The transform runs in double precision as librosa does it or in single precision; what it gives is
rounded to single precision either way. A block of frames stays in the cache of a core while
everything is computed from it, before the next one comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import Precision

BLOCK = 256  # frames that are handed on together
TRANSFORMED = 64  # frames that are transformed together; their spectra are four times as large


def spectra(
    y: NDArray[np.float32],
    *,
    n_fft: int,
    hop_length: int,
    precision: Precision = "exact",
    mirrored: bool = False,
    room: int = 0,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Compute magnitudes of centred frames under a Hann window, block by block.

    Parameters
    ----------
    y : float32 array, shape (samples,)
    n_fft, hop_length : int > 0
        Length of a frame and distance between two, in samples.
    precision : {"exact", "fast"}
        Whether the transform runs in double or in single precision.
    mirrored : bool
        Whether the ends of the audio are mirrored, which takes at least ``n_fft`` samples;
        otherwise there is silence around it.
    room : int
        Columns of zeros after the spectrum, for those who want rows of another length.

    Yields
    ------
    frames : slice
        Which of the ``1 + samples // hop_length`` frames.
    magnitudes : float32 array, shape (at most 256, 1 + n_fft // 2 + room)
        Of these frames. The next block overwrites it.
    """
    half = n_fft // 2
    frames = 1 + len(y) // hop_length
    ends = (half, n_fft - half)
    padded = np.pad(y, ends, mode="reflect") if mirrored else np.pad(y, ends)
    window = _window(n_fft, precision)
    real = window.dtype
    block, step = min(BLOCK, frames), min(TRANSFORMED, frames)
    samples = np.empty((step - 1) * hop_length + n_fft, real)
    cut = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop_length]  # (B, n_fft)
    windowed = np.empty((step, n_fft), real)
    transform = _transform(precision, step, half + 1)
    single = np.empty((step, half + 1), np.complex64)
    magnitudes = np.zeros((block, half + 1 + room), np.float32)
    for begin in range(0, frames, block):
        end = min(begin + block, frames)
        for first in range(begin, end, step):
            n = min(step, end - first)
            size = (n - 1) * hop_length + n_fft
            samples[:size] = padded[first * hop_length : first * hop_length + size]
            np.multiply(cut[:n], window, out=windowed[:n])
            single[:n] = transform(windowed[:n])
            here = magnitudes[first - begin : first - begin + n]
            np.abs(single[:n], out=here[:, : half + 1])
        yield slice(begin, end), magnitudes[: end - begin]


def _transform(
    precision: Precision, frames: int, bins: int
) -> Callable[[NDArray[Any]], NDArray[np.complexfloating[Any]]]:
    """The quicker transform: numpy's in double precision, scipy's in single.

    Scipy's takes four rows at once in single precision, in double two, which does not make up for
    its copies. Numpy's overwrites its last result.
    """
    if precision == "fast":
        import scipy.fft

        return partial(scipy.fft.rfft, axis=1)
    held = np.empty((frames, bins), np.complex128)
    return lambda rows: np.fft.rfft(rows, axis=1, out=held[: len(rows)])


@lru_cache(maxsize=8)
def _window(n_fft: int, precision: Precision) -> NDArray[Any]:
    import librosa

    window: NDArray[Any] = librosa.filters.get_window("hann", n_fft)  # periodic
    return window.astype(np.float64 if precision == "exact" else np.float32)
