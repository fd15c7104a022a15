"""Power spectra of audio, a block of frames at a time, and filter banks over their bins.

The transform runs in double precision as librosa does it or in single precision; what it gives is
rounded to single precision either way. A block of frames stays in the cache of a core while
everything is computed from it, before the next one comes. Filter banks are kept for the next
segment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import Precision
from .filters import chroma_filters, hann, mel_filters

AMIN, TOP_DB = 1e-10, 80.0


def decibels(power: NDArray[Any]) -> NDArray[Any]:
    """``10 log10(max(1e-10, power))``, raised to at most 80 dB below the loudest.

    Parameters
    ----------
    power : float array
        It is overwritten.

    Returns
    -------
    float array
        Of the same shape and type.

    Examples
    --------
    >>> decibels(np.array([10.0, 1.0, 0.0])).tolist()
    [10.0, 0.0, -70.0]
    """
    # Rows of equal numbers: numpy compares several at once with these, but not with one number.
    np.maximum(power, np.full(power.shape[-1:], AMIN, power.dtype), out=power)
    np.log(power, out=power)
    power *= 10 / np.log(10)
    least = power.max() - power.dtype.type(TOP_DB)
    np.maximum(power, np.full(power.shape[-1:], least), out=power)
    return power


_GROUPS = 8
_TRANSFORMED = 64  # frames at once; in double precision their spectra are four times as large
_LOWEST_EDGE, _CONTRAST_BANDS, _QUANTILE = 200.0, 6, 0.02  # librosa's defaults


class MelBank:
    """A mel filter bank, applied in groups of neighbouring filters to the bins that they cover.

    Parameters
    ----------
    sr : int > 0
        Sampling rate in Hz.
    n_fft, n_mels : int > 0
        Length of a frame in samples, number of bands.

    Raises
    ------
    ConfigError
        If so many bands leave one without any frequency.
    """

    def __init__(self, sr: int, n_fft: int, n_mels: int) -> None:
        bank = mel_filters(sr, n_fft, n_mels)  # (F, bins)
        self.n_mels = n_mels
        self._groups = []
        for filters in np.array_split(np.arange(n_mels), min(_GROUPS, n_mels)):
            rows = slice(int(filters[0]), int(filters[-1]) + 1)
            covered = np.flatnonzero(bank[rows].any(axis=0))
            bins = slice(int(covered[0]), int(covered[-1]) + 1)
            self._groups.append((bins, rows, bank[rows, bins].T.copy()))

    def apply(self, power: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """(T, bins) -> (T, n_mels), into ``out``."""
        for bins, bands, filters in self._groups:
            np.matmul(power[:, bins], filters, out=out[:, bands])


@lru_cache(maxsize=8)
def mel_bank(sr: int, n_fft: int, n_mels: int) -> MelBank:
    """The `MelBank` of these settings."""
    return MelBank(sr, n_fft, n_mels)


@lru_cache(maxsize=256)
def chroma_bank(sr: int, n_fft: int, tuning: float) -> NDArray[np.float32]:
    """From power to twelve pitch classes, shape (1 + n_fft / 2, 16): products like full columns."""
    return np.pad(chroma_filters(sr, n_fft, tuning).T, ((0, 0), (0, 4)))


@lru_cache(maxsize=8)
def contrast_bands(sr: int, n_fft: int) -> tuple[tuple[slice, int], ...]:
    """Bins of each band of spectral contrast, and how many of them are its peak and its valley.

    They are those of `librosa.feature.spectral_contrast`: octaves from 200 Hz with all below and
    all above, neighbours sharing a bin, 2 % of the bins but at least one.
    """
    frequencies = np.arange(1 + n_fft // 2) * sr / n_fft
    edges = [0.0, *(_LOWEST_EDGE * 2.0**octave for octave in range(_CONTRAST_BANDS + 1))]
    bands = []
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = np.flatnonzero((frequencies >= low) & (frequencies <= high))
        first, last = int(inside[0]), int(inside[-1])
        if number > 0:
            first -= 1
        if number == _CONTRAST_BANDS:
            last = len(frequencies) - 1
        share = max(1, round(_QUANTILE * (last - first + 1)))
        stop = last + 1 if number == _CONTRAST_BANDS else last
        bands.append((slice(first, stop), share))
    return tuple(bands)


BLOCK = 256  # frames that are handed on together


def spectra(
    y: NDArray[np.float32],
    *,
    n_fft: int,
    hop_length: int,
    precision: Precision = "exact",
    mirrored: bool = False,
    out: NDArray[np.float32] | None = None,
    magnitudes: NDArray[np.float32] | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Compute the power of centred frames under a Hann window, block by block.

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
    out : float32 array, shape (1 + samples // hop_length, 1 + n_fft // 2), optional
        Where the power of all frames is kept.
    magnitudes : float32 array, shape (256, 1 + n_fft // 2 or more), optional
        Where the roots of the power are put for as long as the block is current.

    Yields
    ------
    frames : slice
        Which of the ``1 + samples // hop_length`` frames.
    power : float32 array, shape (at most 256, 1 + n_fft // 2)
        Of these frames: part of ``out``, or else the next block overwrites it.
    """
    half = n_fft // 2
    frames = 1 + len(y) // hop_length
    first = -half  # where the first frame begins
    if mirrored:
        y, first = np.pad(y, (half, n_fft - half), mode="reflect"), 0
    window = _window(n_fft, precision)
    powers = _powers(n_fft)
    held = np.empty((min(BLOCK, frames), half + 1), np.float32) if out is None else out
    for begin in range(0, frames, BLOCK):
        end = min(begin + BLOCK, frames)
        here = held[: end - begin] if out is None else out[begin:end]
        roots = None if magnitudes is None else magnitudes[: end - begin]
        powers(y, first + begin * hop_length, hop_length, window, here, roots)
        yield slice(begin, end), here


def _powers(n_fft: int) -> Callable[..., None]:
    """What computes the power of frames of this length."""
    from . import fourier  # compiles

    return fourier.powers if n_fft == fourier.N_FFT else _powers_of_any_length


def _powers_of_any_length(
    y: NDArray[np.float32],
    begin: int,
    hop: int,
    window: NDArray[Any],
    out: NDArray[np.float32],
    magnitudes: NDArray[np.float32] | None = None,
) -> None:
    """As `fourier.powers`, in three times its time."""
    import scipy.fft

    end = begin + (len(out) - 1) * hop + len(window)
    samples = np.pad(y[max(begin, 0) : max(end, 0)], (max(-begin, 0), max(end - len(y), 0)))
    cut = np.lib.stride_tricks.sliding_window_view(samples, len(window))[::hop]
    for t in range(0, len(out), _TRANSFORMED):
        here = out[t : t + _TRANSFORMED]
        spectrum = scipy.fft.rfft(cut[t : t + len(here)] * window, axis=1)
        here[:] = np.square(spectrum.real) + np.square(spectrum.imag)
    if magnitudes is not None:
        np.sqrt(out, out=magnitudes[:, : out.shape[1]])


@lru_cache(maxsize=8)
def _window(n_fft: int, precision: Precision) -> NDArray[Any]:
    return hann(n_fft).astype(np.float64 if precision == "exact" else np.float32)
