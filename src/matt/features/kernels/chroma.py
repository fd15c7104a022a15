"""Chroma of a constant-Q transform, its smoothed form, and the tonal centroids of that.

Chroma has a row a pitch class and a column a frame: numbers of one kind lie side by side, so that a
processor computes several at once. The definitions are those of `librosa.feature`.

Tuning is found from the peaks of spectra, as `librosa.estimate_tuning` does, at a lower price:
librosa interpolates every bin of every frame and then keeps the peaks; here only what lies between
150 and 4,000 Hz and rises above its neighbours is ever looked at.

The constant-Q transform has seven octaves of twelve bins from C1, as `librosa.cqt` computes them.
An octave lower, at half the sampling rate, the filters are the same numbers. So one bank serves
all octaves, and each is a product of a real matrix with frames of audio that was halved in rate
once more.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .filters import CLASSES, constant_q_filters, highest_frequency

LOWEST, HIGHEST = 150.0, 4_000.0  # Hz
THRESHOLD = np.float32(0.1)  # of the loudest bin of a frame
CENTS = 100  # steps of a semitone


class Peaks:
    """Peaks of magnitude spectra in the range of pitches, gathered block by block.

    Parameters
    ----------
    n_fft : int
    rates : int
        Sampling rates in Hz for which a tuning will be asked.
    """

    def __init__(self, n_fft: int, *rates: int) -> None:
        self.n_fft = n_fft
        bins = [_pitched(n_fft, sr) for sr in rates]
        self._low, self._high = min(low for low, _ in bins), max(high for _, high in bins)
        self._found: list[tuple[NDArray[Any], ...]] = []

    def add(self, begin: int, rows: NDArray[np.float32], loudest: NDArray[np.float32]) -> None:
        """Look at a block of frames.

        Parameters
        ----------
        begin : int
            Its first frame.
        rows : float32 array, shape (frames, 1 + n_fft // 2 or more), contiguous
            Magnitudes.
        loudest : float32 array, shape (frames,)
            Their maxima.
        """
        from .shapes import peaks_between  # compiles

        frame, column, values = peaks_between(rows, self._low, self._high, loudest, THRESHOLD)
        frame += np.int32(begin)
        self._found.append((frame, column, values))

    def tuning(
        self, sr: int, *, power: bool = False, silent: NDArray[np.bool_] | None = None
    ) -> float:
        """Estimate the deviation from A = 440 Hz, as librosa does from the same spectra.

        Parameters
        ----------
        sr : int
            Sampling rate in Hz; one of those that were announced.
        power : bool
            Judge the peaks by the squares of the magnitudes.
        silent : bool array, shape (frames,), optional
            Frames that do not count; neither do frames beyond them.

        Returns
        -------
        float
            In fractions of a semitone, -0.5 <= tuning < 0.5; 0 where nothing has a pitch.
        """
        from .shapes import tops  # compiles

        frame, column, magnitudes = (
            np.concatenate(a, axis=-1) for a in zip(*self._found, strict=True)
        )
        if silent is None:
            silent = np.zeros(frame.max(initial=0) + 1, bool)
        limits = _pitched(self.n_fft, sr)
        bins, heights = tops((frame, column), magnitudes, limits, silent, THRESHOLD, power)
        if not len(bins):
            return 0.0
        loud = np.flatnonzero(heights >= _median(heights))
        pitches = (bins[loud] * sr / self.n_fft).astype("f4")
        semitones = 12 * np.log2(pitches / np.float32(440 / 16))
        residual = (semitones - np.floor(semitones)).astype(np.float64)
        residual -= residual >= 0.5
        # The bins of numpy's histogram: no number of single precision lies as near to an edge as
        # rounding reaches here, but for those that are met exactly.
        counts = np.bincount(((residual + 0.5) * CENTS).astype(np.intp))
        return float(np.linspace(-0.5, 0.5, CENTS + 1)[counts.argmax()])


def _pitched(n_fft: int, sr: int) -> tuple[int, int]:
    """First bin that may hold a pitch, and the first above that may not."""
    frequencies = np.arange(1 + n_fft // 2) * sr / n_fft
    allowed = (frequencies >= LOWEST) & (frequencies < min(HIGHEST, sr / 2))
    first = int(allowed.argmax())
    return first, first + int(allowed.sum())


def _median(values: NDArray[np.float32]) -> np.float32:
    """As numpy's, which looks for NaN besides."""
    middle = len(values) // 2
    ordered = np.partition(values, middle)
    if len(values) % 2:
        return np.float32(ordered[middle])
    return np.float32((ordered[:middle].max() + ordered[middle]) / 2)


OCTAVES, BINS = 7, CLASSES
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
    float32 array, shape (7, frames, 12)
        By octave, the lowest first; with ``frames >= 1 + samples // hop_length``.
    """
    from .fourier import halved  # compiles

    halvings, bank = _bank(sr, hop_length, tuning)
    for _ in range(halvings):
        y = halved(y)
    hop = hop_length // 2**halvings
    frames = 1 + len(y) // hop
    found = np.empty((OCTAVES, frames, BINS), np.float32)
    for octave in reversed(range(OCTAVES)):
        _respond(y, bank, hop, found[octave])
        # With half the samples the energy halves too; as in librosa, a factor makes up for it.
        found[octave] *= np.float32(2 ** ((OCTAVES - 1 - octave + halvings) / 2))
        if octave:
            y, hop = halved(y), hop // 2
    return found


def _respond(
    y: NDArray[np.float32], bank: NDArray[np.float32], hop: int, out: NDArray[np.float32]
) -> None:
    """Magnitudes of the responses of one octave, into ``out`` (T, 12)."""
    from .fourier import folded  # compiles

    half = bank.shape[1]
    response = np.empty((2, *out.shape), np.float32)
    sums, differences = np.empty((2, min(_BLOCK, len(out)), half), np.float32)
    for begin in range(0, len(out), _BLOCK):
        here = response[:, begin : begin + _BLOCK]
        n = here.shape[1]
        folded(y, begin * hop - half, hop, sums[:n], differences[:n])
        np.matmul(sums[:n], bank[0], out=here[0])
        np.matmul(differences[:n], bank[1], out=here[1])
    np.square(response, out=response)
    np.add(response[0], response[1], out=out)
    np.sqrt(out, out=out)


@lru_cache(maxsize=256)
def _bank(sr: int, hop_length: int, tuning: float) -> tuple[int, NDArray[Any]]:
    """How often the rate is halved at first, and the filters, shape (2, n_fft / 2, 12).

    They are for the rate that is left. Each is turned by a phase, which no magnitude tells, to
    where its real part is even and its imaginary part odd: sample j mirrors ``n_fft + 1 - j``, and
    1 mirrors 0. So half of them say all.
    """
    spare = int(np.ceil(np.log2(sr / 2 / highest_frequency(OCTAVES, tuning)))) - 2
    halvings = max(0, min(spare, _twos(hop_length) - OCTAVES + 1))
    bank = constant_q_filters(sr / 2**halvings, OCTAVES, tuning)  # (12, n_fft)
    half = bank.shape[1] // 2
    mirrored = np.roll(bank[:, ::-1], 2, axis=1)
    bank *= np.exp(-0.5j * np.angle((bank * mirrored).sum(axis=1, keepdims=True)))
    own = bank[:, 1 : half + 1].T
    return halvings, np.stack([own.real, own.imag]).astype(np.float32, order="C")


def _twos(number: int) -> int:
    """How often a number can be halved."""
    return (number & -number).bit_length() - 1


_STEPS = (0.4, 0.2, 0.1, 0.05)  # loudness of a pitch class is quantised to quarters
_SMOOTHED = 41  # frames
_PIECE = 128  # frames that are smoothed by one product
_ROUNDING = 1e-12  # more than that of sums of twelve numbers up to 1


def fold(cqt: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the octaves: (7, T, 12) -> (12, T)."""
    return np.ascontiguousarray(cqt.sum(axis=0).T)


def normalised(chroma: NDArray[Any], order: float) -> NDArray[Any]:
    """Divide non-negative columns by their norm; what is all but zero stays as it is."""
    length = np.linalg.norm(chroma, ord=order, axis=0)
    return chroma / np.where(length < np.finfo(chroma.dtype).tiny, 1, length)


def cens(chroma: NDArray[np.float32]) -> NDArray[np.float64]:
    """Quantised, smoothed over 41 frames, and scaled to length 1: (12, T) -> (12, T).

    References
    ----------
    .. [1] Mueller & Ewert, "Chroma Toolbox", ISMIR 2011.
    """
    shares = normalised(chroma, 1)
    steps = [(shares > step).view(np.uint8) for step in _STEPS]
    return normalised(_smoothed(0.25 * np.add.reduce(steps, dtype=np.uint8)), 2)


def _smoothed(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve with a Hann window of 41 frames, in products: (n, T) -> (n, T)."""
    n, frames = rows.shape
    pieces = -(-frames // _PIECE)
    padded = np.zeros((n, pieces * _PIECE + _SMOOTHED - 1))
    padded[:, _SMOOTHED // 2 :][:, :frames] = rows
    band = _smoothing()
    cut = np.lib.stride_tricks.sliding_window_view(padded, len(band), axis=1)[:, ::_PIECE]
    smooth: NDArray[np.float64] = (cut @ band).reshape(n, -1)[:, :frames]
    return smooth


def tonnetz(chroma: NDArray[Any]) -> NDArray[Any]:
    """Position on the circles of fifths, minor and major thirds: (12, T) -> (6, T).

    References
    ----------
    .. [1] Harte, Sandler & Gasser, "Detecting harmonic change in musical audio", 2006.
    """
    position: NDArray[Any] = _circles() @ normalised(chroma, 1)
    position[np.abs(position) < _ROUNDING] = 0  # pitch classes that cancel; dust has a skew, too
    return position


@cache
def _smoothing() -> NDArray[np.float64]:
    """The window in each column, one row further down each time: (168, 128)."""
    window = np.hanning(_SMOOTHED + 2)[1:-1]
    band = np.zeros((_PIECE + _SMOOTHED - 1, _PIECE))
    for column in range(_PIECE):
        band[column : column + _SMOOTHED, column] = window / window.sum()
    return band


@cache
def _circles() -> NDArray[np.float64]:
    """Sine and cosine on each circle, shape (6, 12); the circle of major thirds is half as wide."""
    angles = np.pi * np.outer([7 / 6, 3 / 2, 2 / 3], np.arange(CLASSES))  # (3, 12)
    both = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    circles: NDArray[np.float64] = both.reshape(6, CLASSES)
    circles[4:] /= 2
    return circles
