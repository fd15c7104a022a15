"""Frame features: rows of numbers, one column a frame, all from one pass over the spectra.

`matt.features.kernels.summary` says what they mean and what becomes of silence. Frames are cut
every 512 samples, 2,048 long. What needs the whole segment (the tuning, what is silent, decibels
below the loudest) is settled after the pass; of the spectra only their power is kept for it, and
only when chroma is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..spec import LOWEST_SR as LOWEST_TRUE_SR
from ..spec import Frequencies, Precision
from .banks import chroma_bank, contrast_bands, mel_bank
from .chroma import cens, fold, normalised, tonnetz
from .constantq import constant_q
from .decibels import decibels
from .shapes import centroid_and_bandwidth, contrast, group_moments, rolloff
from .spectra import BLOCK, spectra
from .tuning import Peaks

N_FFT, HOP, N_MELS = 2048, 512, 128
N_BINS = 1 + N_FFT // 2
_ROOM = -N_BINS % 32  # zeros, so that bins come in groups
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

    rows = {name: raw[name] for name in raw if name in SIZES}
    if "chroma_stft" in wanted:
        tuning = peaks.tuning(axis_sr, power=True, silent=silent)
        chroma = raw["power"] @ chroma_bank(axis_sr, N_FFT, tuning)
        rows["chroma_stft"] = normalised(chroma, np.inf)
    if wanted.intersection(_FROM_CQT):
        cqt = constant_q(y, sr=sr, hop_length=HOP, tuning=peaks.tuning(sr))[:frames]  # (T, 84)
        cqt[silent] = 0
        chroma = fold(cqt)
        rows["chroma_cqt"] = normalised(chroma, np.inf)
        rows["chroma_cens"] = cens(chroma)
        rows["tonnetz"] = tonnetz(rows["chroma_cens"])
    if "mfcc" in wanted:
        rows["mfcc"] = _cepstrum(decibels(raw["mel"]))
    if "spectral_contrast" in wanted:
        shares = np.array([share for _, share in contrast_bands(axis_sr, N_FFT)], np.float32)
        peak, valley = (decibels(raw[name] / shares) for name in ("peaks", "valleys"))
        rows["spectral_contrast"] = peak - valley
    if "moments" in raw:
        centroid, bandwidth = centroid_and_bandwidth(raw["moments"])
        rows["spectral_centroid"] = centroid[:, None] * (axis_sr / N_FFT)
        rows["spectral_bandwidth"] = bandwidth[:, None] * (axis_sr / N_FFT)
        last = rolloff(raw["power"], raw["moments"])
        rows["spectral_rolloff"] = last[:, None] * (axis_sr / N_FFT)
    if "zcr" in wanted:
        rows["zcr"] = zero_crossing_rate(y)[:frames, None]
    return {name: np.asarray(rows[name], np.float32).T for name in names}


def _one_pass(
    y: NDArray[np.float32],
    sr: int,
    axis_sr: int,
    wanted: set[str],
    precision: Precision,
    peaks: Peaks,
) -> dict[str, NDArray[Any]]:
    """Everything that is read off the spectra, each of shape (frames, numbers); fills ``peaks``."""
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
        widths["moments"] = 3 * (N_BINS + _ROOM) // 32
        widths["power"] = N_BINS
    if "rmse" in wanted:
        widths["rmse"] = 1
    raw = {name: np.empty((1 + len(y) // HOP, n), np.float32) for name, n in widths.items()}

    squares = np.empty((BLOCK, N_BINS), np.float32)
    for frames, rows in spectra(y, n_fft=N_FFT, hop_length=HOP, precision=precision, room=_ROOM):
        here = {name: values[frames] for name, values in raw.items()}
        magnitudes = rows[:, :N_BINS]  # (B, 1025)
        loudest = magnitudes.max(axis=1, out=here["loudest"][:, 0])
        power = np.square(magnitudes, out=here.get("power", squares[: len(rows)]))
        if pitched:
            peaks.add(frames.start, rows, loudest)
        if "mfcc" in wanted:
            mel.apply(power, here["mel"])
        if "spectral_contrast" in wanted:
            contrast(magnitudes, bands, here["peaks"], here["valleys"])
        if "moments" in here:
            group_moments(rows, here["moments"])
        if "rmse" in wanted:
            here["rmse"][:, 0] = np.sqrt(power @ _energy())
    return raw


def zero_crossing_rate(y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of the samples of a frame that have another sign than the one before, shape (frames,).

    Samples within 1e-10 of zero count as positive, and a frame's first sample never counts.
    """
    frames = 1 + len(y) // HOP
    negative = np.pad(y < -CROSSING, N_FFT // 2, mode="edge")
    crosses = np.zeros((frames - 1) * HOP + N_FFT, bool)
    size = min(len(crosses), len(negative))
    np.not_equal(negative[1:size], negative[: size - 1], out=crosses[1:size])
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
