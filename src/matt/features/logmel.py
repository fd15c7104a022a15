"""Log-mel maps in decibels, as the paper's extraction makes them.

Power spectra (Hann window, centred frames, the ends mirrored), a mel filter bank on Slaney's scale
with Slaney's area normalisation from 0 Hz to half the sampling rate, then
``10 log10(max(1e-10, power))`` with everything more than 80 dB below the loudest value raised to
that floor. The reference power is 1: loudness is kept.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError

TOP_DB = 80.0


def logmel(
    y: NDArray[np.floating[Any]],
    *,
    sr: int = 12_000,
    n_fft: int = 2048,
    hop_length: int = 256,
    n_mels: int = 96,
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
    import librosa

    y = np.asarray(y, np.float32)
    if y.ndim != 1 or len(y) < n_fft:
        raise DataError(
            f"a log-mel needs one channel of at least n_fft={n_fft} samples, got shape {y.shape}; "
            "use longer segments or a smaller n_fft"
        )
    spectrum = librosa.stft(y, n_fft=n_fft, hop_length=hop_length, pad_mode="reflect")
    power = np.square(np.abs(spectrum))  # (1 + n_fft / 2, T)
    mel = _filters(sr, n_fft, n_mels) @ power  # (F, T)
    decibels = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=TOP_DB)
    return np.asarray(decibels, np.float16)


@lru_cache(maxsize=4)
def _filters(sr: int, n_fft: int, n_mels: int) -> NDArray[np.float32]:
    """Mel filter bank, shape (n_mels, 1 + n_fft / 2)."""
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
