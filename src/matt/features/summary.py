"""The 518 summary columns of FMA's features.csv: seven statistics of 74 rows of frame features.

What the columns mean is what FMA's extraction script computed, oddities included:

- frames of 2,048 samples every 512, at the file's own sampling rate; the constant-Q transform has
  7 octaves of 12 bins from C1, and its tuning is estimated;
- chroma_stft, spectral centroid, bandwidth, contrast and rolloff are computed as if the sampling
  rate were 22,050 Hz, whatever it is. Their unit is therefore hertz only at that rate;
- tonnetz is computed from chroma_cens.

Where that script has no defined value, this module defines one:

- **Silence.** In a frame of digital silence, chroma, tonnetz and the spectral shapes would describe
  rounding errors. A frame whose spectrum peaks 120 dB or more below that of the loudest frame is
  taken as zeros, in both transforms: its chroma and tonnetz are then 0, and so are its centroid,
  bandwidth, contrast and rolloff.
- **Constant rows** have no skew and no kurtosis; both are 0.
- **Short audio.** Below 1.25 s the transforms run on audio padded with zeros, but only the frames
  centred within the audio count.
- **Rates** below 11,025 Hz have no seven octaves, above 48,000 Hz some mel bands hold no frequency:
  such audio is resampled to 44,100 Hz.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

N_FFT, HOP = 2048, 512
FMA_SR = 22_050  # the rate that FMA's script left to librosa's default
LOWEST_SR, HIGHEST_SR, OTHERWISE_SR = 11_025, 48_000, 44_100
SHORTEST = 1.25  # seconds; the filters of the lowest octave span just over one
SILENCE = 1e-6  # magnitude, relative to the loudest frame: -120 dB
CONSTANT = 1e-6  # relative deviation below which a row of float32 values is constant

SIZES: Mapping[str, int] = {
    "chroma_cens": 12,
    "chroma_cqt": 12,
    "chroma_stft": 12,
    "mfcc": 20,
    "rmse": 1,
    "spectral_bandwidth": 1,
    "spectral_centroid": 1,
    "spectral_contrast": 7,
    "spectral_rolloff": 1,
    "tonnetz": 6,
    "zcr": 1,
}
STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")
COLUMNS: tuple[tuple[str, str, str], ...] = tuple(
    (feature, statistic, f"{number:02d}")
    for feature, size in SIZES.items()
    for statistic in STATISTICS
    for number in range(1, size + 1)
)
"""Feature, statistic and number of each of the 518 values, in lexicographic order."""


def summary(y: NDArray[np.floating[Any]], sr: int) -> NDArray[np.float32]:
    """Compute the 518 values of one segment of audio.

    Parameters
    ----------
    y : float array, shape (samples,)
        Mono audio, usually in [-1, 1].
    sr : int > 0
        Its sampling rate in Hz.

    Returns
    -------
    float32 array, shape (518,)
        In the order of `COLUMNS`; finite.

    Raises
    ------
    DataError
        If the audio is empty, is not one channel, or holds NaN or infinite samples.

    References
    ----------
    .. [1] Defferrard et al., "FMA: A Dataset for Music Analysis", ISMIR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050).astype("f4")
    >>> values = summary(tone, 22_050)
    >>> round(float(values[COLUMNS.index(("spectral_centroid", "median", "01"))]))
    440
    """
    rows = frame_features(y, sr)
    return np.concatenate([_statistics(rows[feature]).ravel() for feature in SIZES]).astype("f4")


def frame_features(y: NDArray[np.floating[Any]], sr: int) -> dict[str, NDArray[Any]]:
    """Compute the frame features under the statistics, each of shape (size, frames).

    Parameters and errors are those of `summary`; the sizes are those of `SIZES`, and there are
    ``1 + samples // 512`` frames (of the resampled audio where the rate is an unusual one).
    """
    import librosa

    y, sr = _checked(y, sr)
    frames = 1 + len(y) // HOP
    y = librosa.util.fix_length(y, size=max(len(y), int(SHORTEST * sr)))

    tuning = _tuning(librosa.stft(y, n_fft=N_FFT), sr)
    cqt = librosa.cqt(y, sr=sr, hop_length=HOP, n_bins=84, bins_per_octave=12, tuning=tuning)
    cqt = np.abs(cqt)[:, :frames]  # (84, T)
    stft = np.abs(librosa.stft(y, n_fft=N_FFT, hop_length=HOP))[:, :frames]  # (1025, T)
    # Judged by the short frames: the long ones of the low octaves carry rounding errors of their
    # neighbours into silence.
    peak = stft.max(axis=0)  # (T,)
    silent = peak <= SILENCE * peak.max()
    stft[:, silent] = 0
    cqt[:, silent[: cqt.shape[1]]] = 0
    power = stft**2
    mel = librosa.feature.melspectrogram(S=power, sr=sr)  # (128, T)
    cens = librosa.feature.chroma_cens(C=cqt, n_chroma=12, n_octaves=7, bins_per_octave=12)
    return {
        "chroma_cens": cens,
        "chroma_cqt": librosa.feature.chroma_cqt(C=cqt, n_octaves=7, bins_per_octave=12),
        "chroma_stft": librosa.feature.chroma_stft(
            S=power, sr=FMA_SR, n_chroma=12, tuning=_tuning(power, FMA_SR)
        ),
        "mfcc": librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20),
        "rmse": librosa.feature.rms(S=stft),
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(S=stft, sr=FMA_SR),
        "spectral_centroid": librosa.feature.spectral_centroid(S=stft, sr=FMA_SR),
        "spectral_contrast": librosa.feature.spectral_contrast(S=stft, sr=FMA_SR, n_bands=6),
        "spectral_rolloff": librosa.feature.spectral_rolloff(S=stft, sr=FMA_SR),
        "tonnetz": librosa.feature.tonnetz(chroma=cens),
        "zcr": librosa.feature.zero_crossing_rate(y, frame_length=N_FFT, hop_length=HOP)[
            :, :frames
        ],
    }


def _checked(y: NDArray[np.floating[Any]], sr: int) -> tuple[NDArray[np.float32], int]:
    y = np.asarray(y, np.float32)
    if y.ndim != 1 or not y.size:
        raise DataError(
            f"audio must be one channel with samples in it, got shape {y.shape}; "
            "mix the channels, and leave out empty files"
        )
    if not np.isfinite(y).all():
        raise DataError("audio holds NaN or infinite samples; the file is damaged, replace it")
    if not LOWEST_SR <= sr <= HIGHEST_SR:
        import soxr

        y = np.pad(y, (0, max(0, sr // 100 - len(y))))  # soxr gives nothing for a few samples
        y, sr = soxr.resample(y, sr, OTHERWISE_SR), OTHERWISE_SR
        y[np.abs(y) <= SILENCE * np.abs(y).max()] = 0  # rounding errors would cross zero
    return y, sr


def _tuning(spectrum: NDArray[Any], sr: int) -> float:
    """Deviation from A = 440 Hz in fractions of a semitone; 0 where nothing has a pitch."""
    import librosa

    pitch, magnitude = librosa.piptrack(S=np.abs(spectrum), sr=sr, n_fft=N_FFT)
    pitched = pitch > 0
    if not pitched.any():
        return 0.0
    loud = magnitude >= np.median(magnitude[pitched])
    return float(librosa.pitch_tuning(pitch[loud & pitched], bins_per_octave=12))


def _statistics(rows: NDArray[Any]) -> NDArray[np.float64]:
    """(rows, T) -> (7, rows), in the order of `STATISTICS`."""
    rows = np.asarray(rows, np.float64)
    mean = rows.mean(axis=1)
    centred = rows - mean[:, None]
    m2, m3, m4 = ((centred**power).mean(axis=1) for power in (2, 3, 4))
    varies = m2 > (CONSTANT * mean) ** 2
    m2 = np.where(varies, m2, 1)
    skew = np.where(varies, m3 / m2**1.5, 0)
    kurtosis = np.where(varies, m4 / m2**2 - 3, 0)  # Fisher's: 0 for a normal distribution
    return np.stack(
        [
            kurtosis,
            rows.max(axis=1),
            mean,
            np.median(rows, axis=1),
            rows.min(axis=1),
            skew,
            rows.std(axis=1),
        ]
    )
