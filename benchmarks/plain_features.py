"""The 518 columns with librosa's own functions, one after the other: a peer and an oracle.

It computes what FMA's extraction script computes, without what `matt.features` does differently:
silence is not gated, short audio not padded, no rate treated as unusual, and nothing is shared.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_FFT, HOP = 2048, 512
DEFAULT_SR = 22_050  # what librosa assumes where it is told no rate


def frame_features(
    y: NDArray[np.float32], sr: int, *, axis_sr: int = DEFAULT_SR, frames: int | None = None
) -> dict[str, NDArray[Any]]:
    """Frame features, each (size, frames), in the order of FMA's columns.

    ``axis_sr`` is the rate that chroma_stft and the spectral shapes are told. Only the first
    ``frames`` frames are looked at, where a number is given.
    """
    from librosa import cqt, feature, power_to_db, stft

    constant_q = np.abs(cqt(y, sr=sr, hop_length=HOP, n_bins=84, bins_per_octave=12, tuning=None))[
        :, :frames
    ]  # (84, T)
    octaves = {"C": constant_q, "n_chroma": 12, "n_octaves": 7, "bins_per_octave": 12}
    spectrum = np.abs(stft(y, n_fft=N_FFT, hop_length=HOP))[:, :frames]  # (1025, T)
    cens = feature.chroma_cens(**octaves)
    mel = feature.melspectrogram(S=spectrum**2, sr=sr)
    shape = {"S": spectrum, "sr": axis_sr}
    return {
        "chroma_cens": cens,
        "chroma_cqt": feature.chroma_cqt(**octaves),
        "chroma_stft": feature.chroma_stft(S=spectrum**2, sr=axis_sr, n_chroma=12),
        "mfcc": feature.mfcc(S=power_to_db(mel), n_mfcc=20),
        "rmse": feature.rms(S=spectrum),
        "spectral_bandwidth": feature.spectral_bandwidth(**shape),
        "spectral_centroid": feature.spectral_centroid(**shape),
        "spectral_contrast": feature.spectral_contrast(**shape, n_bands=6),
        "spectral_rolloff": feature.spectral_rolloff(**shape),
        "tonnetz": feature.tonnetz(chroma=cens),
        "zcr": feature.zero_crossing_rate(y, frame_length=N_FFT, hop_length=HOP)[:, :frames],
    }


def statistics(rows: NDArray[Any]) -> NDArray[np.float64]:
    """(rows, T) -> (7, rows), in the order of FMA's columns."""
    from scipy.stats import kurtosis, skew

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows that are all but constant
        moments = kurtosis(rows, axis=1), skew(rows, axis=1)
    return np.stack(
        [
            moments[0],
            rows.max(axis=1),
            rows.mean(axis=1),
            np.median(rows, axis=1),
            rows.min(axis=1),
            moments[1],
            rows.std(axis=1),
        ]
    )


def summary(
    y: NDArray[np.float32], sr: int, *, axis_sr: int = DEFAULT_SR, frames: int | None = None
) -> NDArray[np.float64]:
    """The 518 values, in lexicographic order of feature, statistic and number."""
    rows = frame_features(y, sr, axis_sr=axis_sr, frames=frames)
    return np.concatenate([statistics(rows[name]).ravel() for name in rows])


def summary_of_file(path: Path) -> NDArray[np.float64]:
    """The same of all of an audio file, decoded by librosa at its own rate."""
    import librosa

    y, sr = librosa.load(path, sr=None, mono=True)
    return summary(y, int(sr))


def log_mel(y: NDArray[np.float32], sr: int = 12_000) -> NDArray[Any]:
    """A log-mel of 96 bands, frames of 2,048 samples every 256, in dB."""
    import librosa

    mel = librosa.feature.melspectrogram(y=y, sr=sr, n_fft=N_FFT, hop_length=256, n_mels=96)
    return librosa.power_to_db(mel)
