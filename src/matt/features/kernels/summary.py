"""The 518 summary columns of FMA's features.csv: seven statistics of 74 rows of frame features.

What the columns mean is what FMA's extraction script computed, oddities included:

- frames of 2,048 samples every 512, at the file's own sampling rate; the constant-Q transform has
  7 octaves of 12 bins from C1, and its tuning is estimated;
- chroma_stft, spectral centroid, bandwidth, contrast and rolloff are computed as if the sampling
  rate were 22,050 Hz, whatever it is. Their unit is therefore hertz only at that rate; with
  ``frequencies="true"`` they are computed at the true rate and are always in hertz;
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
  such audio is resampled to 44,100 Hz. With true frequencies, so is audio below 16,000 Hz, where
  the highest band of spectral contrast would be empty.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import Frequencies, Precision
from .frames import SIZES, frame_features

__all__ = ["COLUMNS", "SIZES", "STATISTICS", "frame_features", "summarised", "summary"]

CONSTANT = 1e-6  # relative deviation below which a row of float32 values is constant
STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")
COLUMNS: tuple[tuple[str, str, str], ...] = tuple(
    (feature, statistic, f"{number:02d}")
    for feature, size in SIZES.items()
    for statistic in STATISTICS
    for number in range(1, size + 1)
)
"""Feature, statistic and number of each of the 518 values, in lexicographic order."""


def summary(
    y: NDArray[np.floating[Any]],
    sr: int,
    *,
    frequencies: Frequencies = "fma",
    precision: Precision = "exact",
) -> NDArray[np.float32]:
    """Compute the 518 values of one segment of audio.

    Parameters
    ----------
    y : float array, shape (samples,)
        Mono audio, usually in [-1, 1].
    sr : int > 0
        Its sampling rate in Hz.
    frequencies : {"fma", "true"}
        Whether chroma_stft and the spectral shapes take it for 22,050 Hz, or for what it is.
    precision : {"exact", "fast"}
        Whether spectra are computed in double precision, as librosa does, or in single, which
        moves spectral contrast by up to 1 %.

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
    rows = frame_features(y, sr, frequencies=frequencies, precision=precision)
    return summarised(rows)


def summarised(rows: Mapping[str, NDArray[np.floating[Any]]]) -> NDArray[np.float32]:
    """Seven statistics of all frame features, float32 of shape (518,)."""
    found = statistics(np.concatenate([rows[name] for name in SIZES]))  # (7, 74)
    ends = np.cumsum([0, *SIZES.values()])
    parts = (found[:, a:b].ravel() for a, b in itertools.pairwise(ends))
    return np.concatenate(list(parts)).astype(np.float32)


def statistics(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Summarise rows of frame features: (rows, T) -> (7, rows), in the order of `STATISTICS`."""
    frames, middle = rows.shape[1], rows.shape[1] // 2
    ordered = np.partition(rows, middle, axis=1)
    median = ordered[:, middle].astype(np.float64)
    if frames % 2 == 0:  # the largest below: to have both put in place takes four times as long
        median = (median + ordered[:, :middle].max(axis=1)) / 2
    rows = np.asarray(rows, np.float64, order="C")
    mean = rows.mean(axis=1)
    centred = rows - mean[:, None]
    squared = centred * centred
    m2 = squared.mean(axis=1)
    m3 = np.einsum("rt,rt->r", squared, centred) / frames
    m4 = np.einsum("rt,rt->r", squared, squared) / frames
    varies = m2 > (CONSTANT * mean) ** 2
    deviation = np.sqrt(m2)
    m2 = np.where(varies, m2, 1)
    skew = np.where(varies, m3 / m2**1.5, 0)
    kurtosis = np.where(varies, m4 / m2**2 - 3, 0)  # Fisher's: 0 for a normal distribution
    return np.stack([kurtosis, rows.max(axis=1), mean, median, rows.min(axis=1), skew, deviation])
