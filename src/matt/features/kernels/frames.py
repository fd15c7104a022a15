"""Frame features from one pass over the spectra; the summary and the log-mel made of them.

Frames are cut every 512 samples, 2,048 long. What needs the whole segment (the tuning, what is
silent, decibels below the loudest) is settled after the pass; of the spectra only their power is
kept for it, and only when chroma is asked for.

**The summary** has the 518 columns of FMA's features.csv: seven statistics of 74 rows. What they
mean is what FMA's extraction script computed, oddities included:

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
- **Constant rows** have no skew and no kurtosis; both are 0. So that rounding does not pass for a
  row that varies, tonnetz is 0 where pitch classes cancel.
- **Short audio.** Below 1.25 s the transforms run on audio padded with zeros, but only the frames
  centred within the audio count.
- **Rates** below 11,025 Hz have no seven octaves, above 48,000 Hz some mel bands hold no frequency:
  such audio is resampled to 44,100 Hz. With true frequencies, so is audio below 16,000 Hz, where
  the highest band of spectral contrast would be empty.

**The log-mel** is a map in decibels, as the paper's extraction makes it: power spectra (Hann
window, centred frames, the ends mirrored), a mel filter bank on Slaney's scale with Slaney's area
normalisation from 0 Hz to half the sampling rate, then ``10 log10(max(1e-10, power))`` with
everything more than 80 dB below the loudest value raised to that floor. The reference power is 1:
loudness is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..spec import LOWEST_SR as LOWEST_TRUE_SR
from ..spec import Frequencies, Precision
from .chroma import Peaks, cens, constant_q, fold, normalised, tonnetz
from .filters import CLASSES
from .spectra import BLOCK, chroma_bank, contrast_bands, decibels, mel_bank, spectra

N_FFT, HOP, N_MELS = 2048, 512, 128
N_BINS = 1 + N_FFT // 2
FMA_SR = 22_050  # the rate that FMA's script left to librosa's default
LOWEST_SR, HIGHEST_SR, OTHERWISE_SR = 11_025, 48_000, 44_100
CROSSING = np.float32(1e-10)  # librosa's: what is smaller has no sign
SHORTEST = 1.25  # seconds; the filters of the lowest octave span just over one
SILENCE = 1e-6  # magnitude, relative to the loudest frame: -120 dB

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
_FROM_CQT = ("chroma_cens", "chroma_cqt", "tonnetz")
_SHAPES = ("spectral_centroid", "spectral_bandwidth", "spectral_rolloff")


def frame_features(
    y: NDArray[np.floating[Any]],
    sr: int,
    *,
    names: Collection[str] = tuple(SIZES),
    frequencies: Frequencies = "fma",
    precision: Precision = "exact",
) -> dict[str, NDArray[np.float32]]:
    """Compute frame features of one segment.

    Parameters
    ----------
    y : float array, shape (samples,)
        Mono audio, usually in [-1, 1].
    sr : int > 0
        Its sampling rate in Hz.
    names : collection of str
        Which of `SIZES`.
    frequencies : {"fma", "true"}
        Whether chroma_stft and the spectral shapes take the sampling rate for 22,050 Hz, as FMA's
        script does, or for what it is.
    precision : {"exact", "fast"}
        Whether spectra are computed in double or in single precision.

    Returns
    -------
    dict of name to float32 array, shape (size, frames)
        The sizes are those of `SIZES`, and there are ``1 + samples // 512`` frames (of the
        resampled audio where the rate is an unusual one).

    Raises
    ------
    DataError
        If the audio is empty, is not one channel, or holds NaN or infinite samples.
    """
    y, sr = _checked(y, sr, frequencies)
    frames = 1 + len(y) // HOP
    if len(y) < int(SHORTEST * sr):
        y = np.pad(y, (0, int(SHORTEST * sr) - len(y)))
    axis_sr = FMA_SR if frequencies == "fma" else sr
    wanted = set(names)
    peaks = Peaks(N_FFT, sr, axis_sr)
    raw = _one_pass(y, sr, axis_sr, wanted, precision, peaks)
    raw = {name: values[:frames] for name, values in raw.items()}
    # Judged by the short frames: the long ones of the low octaves carry rounding errors of their
    # neighbours into silence.
    silent = raw["loudest"][:, 0] <= SILENCE * raw["loudest"].max()  # (T,)
    for values in raw.values():
        values[silent] = 0

    rows = {name: raw[name].T for name in raw if name in SIZES}
    if "chroma_stft" in wanted:
        tuning = peaks.tuning(axis_sr, power=True, silent=silent)
        chroma = raw["power"] @ chroma_bank(axis_sr, N_FFT, tuning)
        rows["chroma_stft"] = normalised(np.ascontiguousarray(chroma[:, :CLASSES].T), np.inf)
    if wanted.intersection(_FROM_CQT):
        cqt = constant_q(y, sr=sr, hop_length=HOP, tuning=peaks.tuning(sr))
        chroma = fold(cqt[:, :frames])
        chroma[:, silent] = 0
        rows["chroma_cqt"] = normalised(chroma, np.inf)
        rows["chroma_cens"] = cens(chroma)
        rows["tonnetz"] = tonnetz(rows["chroma_cens"])
    if "mfcc" in wanted:
        rows["mfcc"] = _cepstrum(decibels(raw["mel"])).T
    if "spectral_contrast" in wanted:
        shares = np.array([share for _, share in contrast_bands(axis_sr, N_FFT)], np.float32)
        peak, valley = (decibels(raw[name] / shares) for name in ("peaks", "valleys"))
        rows["spectral_contrast"] = (peak - valley).T
    if "shapes" in raw:
        hertz = raw["shapes"].T * np.float32(axis_sr / N_FFT)
        rows |= zip(_SHAPES, np.split(hertz, 3), strict=True)
    if "zcr" in wanted:
        rows["zcr"] = zero_crossing_rate(y)[None, :frames]
    return {name: np.asarray(rows[name], np.float32) for name in names}


def _one_pass(
    y: NDArray[np.float32],
    sr: int,
    axis_sr: int,
    wanted: set[str],
    precision: Precision,
    peaks: Peaks,
) -> dict[str, NDArray[Any]]:
    """Everything that is read off the spectra, each of shape (frames, numbers); fills ``peaks``."""
    from .shapes import GROUP, contrast, shapes  # compiles

    pitched = not wanted.isdisjoint((*_FROM_CQT, "chroma_stft"))
    widths = {"loudest": 1}
    if "chroma_stft" in wanted:
        widths["power"] = N_BINS
    if "mfcc" in wanted:
        widths["mel"], mel = N_MELS, mel_bank(sr, N_FFT, N_MELS)
    if "spectral_contrast" in wanted:
        bands = contrast_bands(axis_sr, N_FFT)
        widths["peaks"] = widths["valleys"] = len(bands)
    if not wanted.isdisjoint(_SHAPES):
        widths["shapes"] = len(_SHAPES)
    if "rmse" in wanted:
        widths["rmse"] = 1
    raw = {name: np.empty((1 + len(y) // HOP, n), np.float32) for name, n in widths.items()}

    block = np.zeros((BLOCK, N_BINS + -N_BINS % GROUP), np.float32)  # zeros follow each spectrum
    blocks = spectra(
        y,
        n_fft=N_FFT,
        hop_length=HOP,
        precision=precision,
        out=raw.get("power"),
        magnitudes=block,
    )
    for frames, power in blocks:
        here = {name: values[frames] for name, values in raw.items()}
        rows = block[: len(power)]  # magnitudes
        loudest = here["loudest"][:, 0]  # found among whole numbers, whose order is the same
        rows.view(np.int32).max(axis=1, out=loudest.view(np.int32))
        if pitched:
            peaks.add(frames.start, rows, loudest)
        if "mfcc" in wanted:
            mel.apply(power, here["mel"])
        if "spectral_contrast" in wanted:
            contrast(rows, bands, here["peaks"], here["valleys"])
        if "shapes" in here:
            shapes(rows, here["shapes"])
        if "rmse" in wanted:
            here["rmse"][:, 0] = np.sqrt(power @ _energy())
    return raw


def zero_crossing_rate(y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of the samples of a frame that have another sign than the one before, shape (frames,).

    Samples within 1e-10 of zero count as positive, and a frame's first sample never counts.
    """
    frames = 1 + len(y) // HOP
    negative = y < -CROSSING
    crosses = np.zeros((frames - 1) * HOP + N_FFT, bool)  # the first frame begins before the audio
    np.not_equal(negative[1:], negative[:-1], out=crosses[N_FFT // 2 + 1 :][: len(y) - 1])
    bits = np.packbits(crosses).reshape(-1, HOP // 8).view(np.uint64)  # (hops, 8)
    counts = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    per_frame = np.lib.stride_tricks.sliding_window_view(counts, N_FFT // HOP).sum(axis=1)
    rate: NDArray[np.float64] = (per_frame - crosses[: frames * HOP : HOP]) / N_FFT
    return rate


def _checked(
    y: NDArray[np.floating[Any]], sr: int, frequencies: Frequencies
) -> tuple[NDArray[np.float32], int]:
    y = np.asarray(y, np.float32)
    if y.ndim != 1 or not y.size:
        raise DataError(
            f"audio must be one channel with samples in it, got shape {y.shape}; "
            "mix the channels, and leave out empty files"
        )
    if not np.isfinite(y).all():
        raise DataError("audio holds NaN or infinite samples; the file is damaged, replace it")
    lowest = LOWEST_SR if frequencies == "fma" else LOWEST_TRUE_SR
    if not lowest <= sr <= HIGHEST_SR:
        import soxr

        y = np.pad(y, (0, max(0, sr // 100 - len(y))))  # soxr gives nothing for a few samples
        y, sr = soxr.resample(y, sr, OTHERWISE_SR), OTHERWISE_SR
        y[np.abs(y) <= SILENCE * np.abs(y).max()] = 0  # rounding errors would cross zero
    return y, sr


def _cepstrum(mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 128) -> (T, 20); exactly 0 above the first coefficient where all bands are equal."""
    first = mel[:, :1]
    found = np.asarray((mel - first) @ _cosines(), np.float32)
    found[:, :1] += first * np.float32(N_MELS**0.5)
    return found


@cache
def _cosines() -> NDArray[np.float32]:
    """The first 20 rows of an orthonormal cosine transform of 128 numbers, shape (128, 20)."""
    import scipy.fft

    rows = scipy.fft.dct(np.eye(N_MELS), axis=1, norm="ortho")[:, : SIZES["mfcc"]]
    return rows.astype(np.float32, order="C")


@cache
def _energy() -> NDArray[np.float32]:
    """From the power of a spectrum to the mean square of its frame, by Parseval's theorem."""
    weights = np.full(N_BINS, 2 / N_FFT**2, np.float32)
    weights[[0, -1]] /= 2  # every other bin stands for two
    return weights


__all__ = ["COLUMNS", "SIZES", "STATISTICS", "frame_features", "summarised", "summary"]

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
    from .statistics import statistics  # compiles

    found = statistics(np.concatenate([rows[name] for name in SIZES]))  # (7, 74)
    ends = np.cumsum([0, *SIZES.values()])
    parts = (found[:, a:b].ravel() for a, b in itertools.pairwise(ends))
    return np.concatenate(list(parts)).astype(np.float32)


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
    for frames, power in spectra(
        y, n_fft=n_fft, hop_length=hop_length, precision=precision, mirrored=True
    ):
        bank.apply(power, mel[frames])
    return decibels(mel).T.astype(np.float16)
