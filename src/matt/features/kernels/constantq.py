"""Constant-Q magnitudes: seven octaves of twelve bins from C1, as `librosa.cqt` computes them.

An octave lower, at half the sampling rate, the filters are the same numbers. So one bank serves
all octaves, and each is a product of a real matrix with frames of audio that was halved in rate
once more.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

OCTAVES, BINS = 7, 12
SPARSITY = (
    0.01  # librosa drops the smallest coefficients of a filter, up to this share of their sum
)
_BLOCK = 256  # frames


def constant_q(
    y: NDArray[np.float32], *, sr: int, hop_length: int, tuning: float
) -> NDArray[np.float32]:
    """Compute magnitudes of the constant-Q transform.

    Parameters
    ----------
    y : float32 array, shape (samples,)
        Silence is assumed around it.
    sr : int
        Sampling rate in Hz, at least 11,025.
    hop_length : int
        Samples between frames, a multiple of 64.
    tuning : float
        In fractions of a semitone.

    Returns
    -------
    float32 array, shape (frames, 84)
        With ``frames >= 1 + samples // hop_length``.
    """
    import soxr

    halvings, bank = _bank(sr, hop_length, tuning)
    if halvings:
        y = soxr.resample(y, 2**halvings, 1, quality="HQ")
    hop = hop_length // 2**halvings
    frames = 1 + len(y) // hop
    found = np.empty((frames, OCTAVES * BINS), np.float32)
    for octave in reversed(range(OCTAVES)):
        here = found[:, octave * BINS : (octave + 1) * BINS]
        _respond(y, bank, hop, here)
        # With half the samples the energy halves too; as in librosa, a factor makes up for it.
        here *= np.float32(2 ** ((OCTAVES - 1 - octave + halvings) / 2))
        if octave:
            y, hop = soxr.resample(y, 2, 1, quality="HQ"), hop // 2
    return found


def _respond(
    y: NDArray[np.float32], bank: NDArray[np.float32], hop: int, out: NDArray[np.float32]
) -> None:
    """Magnitudes of the responses of one octave, into ``out`` (T, 12)."""
    n_fft = len(bank)
    padded = np.pad(y, (n_fft // 2, n_fft // 2 + hop))
    cut = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]  # (T, n_fft)
    block = np.empty((min(_BLOCK, len(out)), n_fft), np.float32)
    for begin in range(0, len(out), _BLOCK):
        n = min(_BLOCK, len(out) - begin)
        block[:n] = cut[begin : begin + n]
        response = block[:n] @ bank  # (B, 24)
        np.square(response, out=response)
        np.sqrt(response[:, :BINS] + response[:, BINS:], out=out[begin : begin + n])


@lru_cache(maxsize=256)
def _bank(sr: int, hop_length: int, tuning: float) -> tuple[int, NDArray[Any]]:
    """How often the rate is halved at first, and the filters, shape (n_fft, 24).

    The columns are the real and then the imaginary parts, at the rate that is left.
    """
    import librosa

    fmin = librosa.note_to_hz("C1") * 2.0 ** (tuning / BINS)
    freqs = librosa.cqt_frequencies(OCTAVES * BINS, fmin=fmin, bins_per_octave=BINS)
    _, cutoff = librosa.filters.wavelet_lengths(freqs=freqs, sr=sr)
    spare = int(np.ceil(np.log2(sr / 2 / cutoff))) - 2
    halvings = max(0, min(spare, _twos(hop_length) - OCTAVES + 1))
    top = freqs[-BINS:]
    wavelets, lengths = librosa.filters.wavelet(freqs=top, sr=sr / 2**halvings)  # (12, n_fft)
    n_fft = wavelets.shape[1]
    half = np.fft.fft(wavelets * (lengths[:, None] / n_fft))[:, : n_fft // 2 + 1]
    half = librosa.util.sparsify_rows(half, quantile=SPARSITY).toarray()
    # What librosa multiplies with a frame's spectrum, written as a product with the frame itself.
    bank = np.fft.fft(half, n=n_fft) / np.sqrt(lengths)[:, None]
    return halvings, np.concatenate([bank.real, bank.imag]).T.astype(np.float32, order="C")


def _twos(number: int) -> int:
    """How often a number can be halved."""
    return (number & -number).bit_length() - 1
