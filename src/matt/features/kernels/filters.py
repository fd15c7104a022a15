"""Windows and filters, with librosa's definitions and values, without its second of loading.

Slaney's mel scale, Ellis's pitch classes, and the wavelets of a constant-Q transform; a filter is a
row over the bins of a spectrum, or over samples. librosa is the oracle in the tests.

References
----------
.. [1] Slaney, "Auditory Toolbox", technical report 1998-010, Interval Research, 1998.
.. [2] Ellis, "Chroma feature analysis and synthesis", 2007.
.. [3] Schoerkhuber & Klapuri, "Constant-Q transform toolbox for music processing", SMC 2010.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError

CLASSES = 12  # pitch classes, and bins of an octave
C1 = 440 * 2 ** (-45 / 12)  # Hz
_BEND_HZ, _BEND_MEL, _STEP = 1000.0, 15.0, np.log(6.4) / 27  # linear below, logarithmic above
_CENTRE, _WIDTH = 5.0, 2.0  # octaves above 27.5 Hz: where pitch classes weigh most, and how far
_HANN_WIDTH = 1.50018310546875  # equivalent noise bandwidth in bins, as librosa has it
SPARSITY = 0.01  # the smallest coefficients of a filter are dropped, up to this share of their sum


def hann(n: int) -> NDArray[np.float64]:
    """One period of a raised cosine, shape (n,); 1 where there is room for no more.

    >>> hann(4).round(3).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    return window if n > 1 else np.ones(n)


def mel_filters(sr: int, n_fft: int, n_mels: int) -> NDArray[np.float32]:
    """Triangles of area 1 from 0 Hz to half the sampling rate, shape (n_mels, 1 + n_fft // 2).

    Raises
    ------
    ConfigError
        If so many bands leave one without any frequency.
    """
    top = _mel(sr / 2)
    edges = _hertz(np.linspace(0, top, n_mels + 2))[:, None]
    bins = np.arange(1 + n_fft // 2) * sr / n_fft
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (bins - low) / (centre - low), (high - bins) / (high - centre)
    bank = np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)
    if not bank.any(axis=1).all():
        raise ConfigError(
            f"n_mels={n_mels} bands do not all hold a frequency at sr={sr} and n_fft={n_fft}; "
            "use fewer bands or a larger n_fft"
        )
    return bank.astype(np.float32)


def _mel(hertz: float) -> float:
    if hertz < _BEND_HZ:
        return hertz * _BEND_MEL / _BEND_HZ
    return float(_BEND_MEL + np.log(hertz / _BEND_HZ) / _STEP)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _BEND_HZ * np.exp(_STEP * (mel - _BEND_MEL))
    return np.where(mel < _BEND_MEL, mel * _BEND_HZ / _BEND_MEL, above)


def chroma_filters(sr: int, n_fft: int, tuning: float) -> NDArray[np.float32]:
    """From power to pitch classes from C on, shape (12, 1 + n_fft // 2).

    A bin belongs to the classes around its pitch by a Gaussian as wide as a semitone, or as a bin
    where that is wider; all classes of a bin have length 1 together. Octaves far from the middle of
    the piano weigh less, again by a Gaussian.

    Parameters
    ----------
    sr, n_fft : int > 0
    tuning : float
        Deviation from A = 440 Hz in semitones.
    """
    bins = np.arange(1, 2 + n_fft // 2) * sr / n_fft
    lowest_a = 27.5 * 2 ** (tuning / CLASSES)
    pitch = CLASSES * np.log2(bins / lowest_a)  # semitones
    pitch = np.concatenate([[pitch[0] - 1.5 * CLASSES], pitch])  # 0 Hz has none: far below
    width = np.maximum(np.diff(pitch), 1)
    pitch = pitch[:-1]
    from_c = pitch - 3 - np.arange(CLASSES)[:, None] + CLASSES  # C is 3 semitones above A
    away = np.remainder(from_c + CLASSES / 2, CLASSES) - CLASSES / 2
    weights = np.exp(-2 * (away / width) ** 2)
    weights /= np.linalg.norm(weights, axis=0)
    weights *= np.exp(-0.5 * ((pitch / CLASSES - _CENTRE) / _WIDTH) ** 2)
    bank: NDArray[np.float32] = weights.astype(np.float32)
    return bank


def highest_frequency(octaves: int, tuning: float) -> float:
    """Where the response of the highest filter above C1 ends, in Hz."""
    top = float(_pitches(octaves, tuning)[-1])
    return top * (1 + 0.5 * _HANN_WIDTH * _relative_bandwidth())


def constant_q_filters(sr: float, octaves: int, tuning: float) -> NDArray[np.complex128]:
    """The highest of some octaves from C1, shape (12, n), n a power of two.

    The product with n samples is what librosa has from a product of spectra, without the smallest
    coefficients of each.

    Parameters
    ----------
    sr : float
        Sampling rate in Hz.
    octaves : int
    tuning : float
        Deviation from A = 440 Hz in semitones.
    """
    pitches = _pitches(octaves, tuning)[-CLASSES:]
    lengths = sr / (pitches * _relative_bandwidth())  # samples
    n = 2 ** int(np.ceil(np.log2(lengths.max())))
    wavelets = np.zeros((CLASSES, n), complex)
    for wavelet, pitch, length in zip(wavelets, pitches, lengths, strict=True):
        t = np.arange(-length // 2, length // 2)
        window = hann(len(t))
        begin = (n - len(t)) // 2
        phase = 2j * np.pi * pitch / sr * t
        wavelet[begin : begin + len(t)] = np.exp(phase) * window / window.sum()
    spectra = np.fft.fft(wavelets * (lengths[:, None] / n))[:, : n // 2 + 1]
    bank: NDArray[Any] = np.fft.fft(_sparse(spectra), n=n) / np.sqrt(lengths)[:, None]
    return bank


def _pitches(octaves: int, tuning: float) -> NDArray[np.float64]:
    """Hertz of all semitones from C1 on."""
    return C1 * 2 ** ((tuning + np.arange(octaves * CLASSES)) / CLASSES)


def _relative_bandwidth() -> float:
    """Of a filter whose neighbours are a semitone away, to its frequency."""
    ratio = 2 ** (2 / CLASSES)
    return float((ratio - 1) / (ratio + 1))


def _sparse(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows without their smallest numbers, as many as hold less than 1 % of the sum."""
    size = np.abs(rows)
    ordered = np.sort(size, axis=1)
    dropped = np.cumsum(ordered / size.sum(axis=1, keepdims=True), axis=1) < SPARSITY
    least = np.take_along_axis(ordered, dropped.sum(axis=1)[:, None], axis=1)
    return np.where(size >= least, rows, 0)
