"""Filter banks over the bins of a spectrum, designed by librosa and kept for the next segment."""

from __future__ import annotations

import itertools
import warnings
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError

_GROUPS = 8
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
        bank = _mel(sr, n_fft, n_mels)  # (F, bins)
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


def _mel(sr: int, n_fft: int, n_mels: int) -> NDArray[np.float32]:
    """Slaney's filters, shape (n_mels, 1 + n_fft / 2)."""
    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            bank: NDArray[np.float32] = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels)
        except UserWarning as warning:
            raise ConfigError(
                f"n_mels={n_mels} bands do not all hold a frequency at sr={sr} and n_fft={n_fft}; "
                "use fewer bands or a larger n_fft"
            ) from warning
    return bank


@lru_cache(maxsize=256)
def chroma_bank(sr: int, n_fft: int, tuning: float) -> NDArray[np.float32]:
    """From power to twelve pitch classes, shape (1 + n_fft / 2, 12)."""
    import librosa

    bank: NDArray[np.float32] = librosa.filters.chroma(sr=sr, n_fft=n_fft, tuning=tuning)
    return bank.T.copy()


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
