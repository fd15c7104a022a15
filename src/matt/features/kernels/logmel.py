"""Log-mel maps in decibels, as the paper's extraction makes them.

Power spectra (Hann window, centred frames, the ends mirrored), a mel filter bank on Slaney's scale
with Slaney's area normalisation from 0 Hz to half the sampling rate, then
``10 log10(max(1e-10, power))`` with everything more than 80 dB below the loudest value raised to
that floor. The reference power is 1: loudness is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..spec import Precision
from .banks import mel_bank
from .decibels import decibels
from .spectra import spectra


def logmel(
    y: NDArray[np.floating[Any]],
    *,
    sr: int = 12_000,
    n_fft: int = 2048,
    hop_length: int = 256,
    n_mels: int = 96,
    precision: Precision = "exact",
) -> NDArray[np.float16]:
    """Compute the log-mel map of one segment of audio.

    Parameters
    ----------
    y : float array, shape (samples,)
        Mono audio; at least ``n_fft`` samples.
    sr : int > 0
        Its sampling rate in Hz.
    n_fft, hop_length : int > 0
        Length of a frame and distance between two, in samples.
    n_mels : int > 0
        Number of mel bands.
    precision : {"exact", "fast"}
        Whether spectra are computed in double precision, as librosa does, or in single.

    Returns
    -------
    float16 array, shape (n_mels, 1 + samples // hop_length)
        Decibels, within 80 of the loudest; steps of 0.06 dB or finer.

    Raises
    ------
    DataError
        If the audio is shorter than a frame or not one channel.
    ConfigError
        If so many mel bands leave one without any frequency.

    Examples
    --------
    >>> import numpy as np
    >>> logmel(np.zeros(348_000, "f4")).shape
    (96, 1360)
    """
    y = np.asarray(y, np.float32)
    if y.ndim != 1 or len(y) < n_fft:
        raise DataError(
            f"a log-mel needs one channel of at least n_fft={n_fft} samples, got shape {y.shape}; "
            "use longer segments or a smaller n_fft"
        )
    bank = mel_bank(sr, n_fft, n_mels)
    mel = np.empty((1 + len(y) // hop_length, n_mels), np.float32)  # (T, F)
    for frames, magnitudes in spectra(
        y, n_fft=n_fft, hop_length=hop_length, precision=precision, mirrored=True
    ):
        bank.apply(np.square(magnitudes, out=magnitudes), mel[frames])
    return decibels(mel).T.astype(np.float16)
