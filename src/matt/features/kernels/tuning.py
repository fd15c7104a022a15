"""Tuning, from the peaks of spectra: what `librosa.estimate_tuning` finds at a lower price.

librosa interpolates every bin of every frame and then keeps the peaks; here only what lies between
150 and 4,000 Hz and rises above its neighbours is ever looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        low, high, width = self._low, self._high, rows.shape[1]
        here = rows[:, low:high]
        peak = here > rows[:, low - 1 : high - 1]
        peak &= here >= rows[:, low + 1 : high + 1]
        peak &= here > (THRESHOLD * loudest)[:, None]
        frame, column = np.divmod(np.flatnonzero(peak).astype(np.int32), np.int32(high - low))
        column += np.int32(low)
        flat, at = rows.reshape(-1), frame * np.int32(width) + column
        self._found.append(
            (frame + np.int32(begin), column, flat[at - 1], flat[at], flat[at + 1], loudest[frame])
        )

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
        frame, column, before, here, after, loudest = map(
            np.concatenate, zip(*self._found, strict=True)
        )
        low, high = _pitched(self.n_fft, sr)
        wanted = (column >= low) & (column < high)
        if silent is not None:
            wanted &= frame < len(silent)
            wanted &= ~silent[np.minimum(frame, len(silent) - 1)]
        if power:
            wanted &= np.square(here) > THRESHOLD * np.square(loudest)
        chosen = np.flatnonzero(wanted)
        if not len(chosen):
            return 0.0
        column, before, here, after = (x[chosen] for x in (column, before, here, after))
        if power:
            before, here, after = np.square(before), np.square(here), np.square(after)
        slope = (after - before) / 2
        bend = (after + before) - 2 * here.astype(np.float64)
        # A parabola through three points; where its top is not between them there is no shift.
        inside = np.abs(slope) < np.abs(bend)
        shift = np.where(inside, -slope / np.where(inside, bend, 1), 0).astype(np.float32)
        magnitude = here + np.float32(0.5) * slope * shift
        loud = np.flatnonzero(magnitude >= _median(magnitude))
        pitch = ((column[loud] + shift[loud].astype(np.float64)) * sr / self.n_fft).astype("f4")
        semitones = 12 * np.log2(pitch / np.float32(440 / 16))
        residual = (semitones - np.floor(semitones)).astype(np.float64)
        residual -= residual >= 0.5
        counts, edges = np.histogram(residual, bins=CENTS, range=(-0.5, 0.5))
        return float(edges[counts.argmax()])


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
