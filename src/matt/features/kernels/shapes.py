"""What spectra look like: centroid, bandwidth, rolloff, contrast and peaks, as compiled loops.

Sums run in double precision, over 16 numbers side by side, so that a processor adds several at
once. Only contrast of wide bands sorts: numpy does it faster than any selection here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled, inlined

LANES = 16  # numbers side by side
GROUP = 2 * LANES  # bins
ROLLOFF = 0.85


@compiled
def shapes(rows: NDArray[np.float32], out: NDArray[np.floating[Any]]) -> None:
    """Mean and standard deviation of spectra, and up to where they hold 85 % of their sum.

    Parameters
    ----------
    rows : float32 array, shape (T, 32 G), contiguous
        Magnitudes, followed by zeros.
    out : float array, shape (T, 3)
        Centroid, bandwidth and rolloff, in bins; all are 0 where a spectrum is all zeros.
    """
    sums = np.empty((3, LANES))
    for t in range(len(rows)):
        row = rows[t]
        total, first, second = _moments(row, sums)
        centroid = bandwidth = rolloff = 0.0
        if total > 0:
            centroid = first / total
            bandwidth = np.sqrt(max(second / total - centroid * centroid, 0.0))
            rolloff = _reached(row, ROLLOFF * total)
        out[t, 0], out[t, 1], out[t, 2] = centroid, bandwidth, rolloff


@inlined
def _moments(row: NDArray[np.float32], sums: NDArray[np.float64]) -> tuple[float, float, float]:
    """Sums of ``x``, ``k x`` and ``k**2 x`` over the bins ``k = 16 g + i``, at first for each i."""
    zeroth, first, second = sums[0], sums[1], sums[2]
    for i in range(LANES):
        zeroth[i] = first[i] = second[i] = 0
    for pair in range(len(row) // GROUP):  # of g: to store the sums takes longer than to add
        even, odd = np.float64(2 * pair), np.float64(2 * pair + 1)
        for i in range(LANES):
            a, b = np.float64(row[GROUP * pair + i]), np.float64(row[GROUP * pair + LANES + i])
            zeroth[i] += a + b
            a, b = even * a, odd * b
            first[i] += a + b
            second[i] += even * a + odd * b
    total = mean = square = 0.0
    for i in range(LANES):
        g0, g1, g2 = zeroth[i], LANES * first[i], LANES * LANES * second[i]
        total, mean, square = total + g0, mean + g1 + i * g0, square + g2 + 2 * i * g1 + i * i * g0
    return total, mean, square


@inlined
def _reached(row: NDArray[np.float32], threshold: float) -> int:
    """First bin up to which a spectrum sums to a threshold above 0."""
    running = 0.0
    for begin in range(0, len(row), GROUP):
        x, group = row[begin : begin + GROUP], 0.0
        for k in range(0, GROUP, 8):  # in pairs: each addition waits for the one before
            low = (x[k] + x[k + 1]) + (x[k + 2] + x[k + 3])
            group += low + ((x[k + 4] + x[k + 5]) + (x[k + 6] + x[k + 7]))
        if running + group >= threshold:
            for k in range(begin, begin + GROUP):
                running += row[k]
                if running >= threshold:
                    return k
            return begin + GROUP - 1  # but for rounding
        running += group
    return len(row) - 1


def contrast(
    rows: NDArray[np.float32],
    bands: tuple[tuple[slice, int], ...],
    peaks: NDArray[np.float32],
    valleys: NDArray[np.float32],
) -> None:
    """Sums of the largest and of the smallest magnitudes of each band, into two (T, bands).

    Wide bands are sorted in pairs, a wider one with a narrower one, since numpy sorts so few
    numbers in networks for the next power of two. The signs of one band are changed. As whole
    numbers, which are sorted faster, all that are marked as negative then come first, and both
    bands in the order of their magnitudes.

    Parameters
    ----------
    rows : float32 array, shape (T, bins), contiguous
        Magnitudes.
    bands : tuple of (slice, int)
        Bins of each band, and how many of them are its peak and its valley.
    peaks, valleys : float32 arrays, shape (T, bands)
    """
    wide = []
    for number, (bins, share) in enumerate(bands):
        if share == 1:
            ends = peaks[:, number].view(np.int32), valleys[:, number].view(np.int32)
            _extremes(rows.view(np.int32), bins.start, bins.stop, *ends)
        else:
            wide.append((bins.stop - bins.start, bins.start, share, number))
    wide.sort()
    while wide:
        pair = [wide.pop(), *wide[:1]]
        del wide[:1]
        both = _side_by_side(rows, pair[0][:2], pair[-1][:2])
        both.view(np.int32).sort(axis=1)
        for (width, _, share, number), begin in zip(pair, (0, pair[0][0]), strict=False):
            _ends(both, begin, begin + width, share, peaks[:, number], valleys[:, number])


@compiled
def _side_by_side(
    rows: NDArray[np.float32], one: tuple[int, int], other: tuple[int, int]
) -> NDArray[np.float32]:
    """Two bands, each told by its width and first bin, the signs of one changed."""
    both = np.empty((len(rows), one[0] + other[0]), np.float32)
    for t in range(len(rows)):
        here, there = rows[t, one[1] :], rows[t, other[1] :]
        first, second = both[t], both[t, one[0] :]
        for k in range(one[0]):
            first[k] = -here[k]
        for k in range(other[0]):
            second[k] = there[k]
    return both


@compiled
def _extremes(
    bits: NDArray[np.int32],
    begin: int,
    end: int,
    peaks: NDArray[np.int32],
    valleys: NDArray[np.int32],
) -> None:
    for t in range(len(bits)):
        low = high = bits[t, begin]
        for k in range(begin, end):
            low, high = min(low, bits[t, k]), max(high, bits[t, k])
        valleys[t], peaks[t] = low, high


@compiled
def _ends(
    ordered: NDArray[np.float32],
    begin: int,
    end: int,
    share: int,
    peaks: NDArray[np.float32],
    valleys: NDArray[np.float32],
) -> None:
    for t in range(len(ordered)):
        low = high = np.float32(0)
        for k in range(share):
            low, high = low + abs(ordered[t, begin + k]), high + abs(ordered[t, end - 1 - k])
        valleys[t], peaks[t] = low, high


@compiled
def peaks_between(
    rows: NDArray[np.float32], low: int, high: int, loudest: NDArray[np.float32], share: np.float32
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Where spectra rise above both neighbours and a share of their maximum.

    Parameters
    ----------
    rows : float32 array, shape (T, bins)
    low, high : int
        The bins that are looked at, ``0 < low < high < bins``.
    loudest : float32 array, shape (T,)
        Maxima.
    share : float32

    Returns
    -------
    frames, bins : int32 arrays, shape (peaks,)
        Of each peak, in order. It may be as high as the bin after it.
    values : float32 array, shape (4, peaks)
        Of the bin before it, itself, and the bin after; the maximum of the frame.
    """
    n = high - low
    pairs = (n + 1) // 2
    frame, column = np.empty(len(rows) * pairs, np.int32), np.empty(len(rows) * pairs, np.int32)
    values = np.empty((4, len(rows) * pairs), np.float32)
    is_peak = np.zeros(2 * pairs, np.uint8)
    begin = found = 0
    for t in range(len(rows)):
        before, here, after = rows[t, low - 1 :], rows[t, low:], rows[t, low + 1 :]
        limit = share * loudest[t]
        for k in range(n):
            is_peak[k] = (here[k] > before[k]) & (here[k] >= after[k]) & (here[k] > limit)
        # Of two neighbours one at most is a peak. What is none is overwritten: to ask whether it
        # is one takes a processor, which cannot guess the answer, far longer.
        for pair in range(pairs):
            column[found] = low + 2 * pair + is_peak[2 * pair + 1]
            found += is_peak[2 * pair] | is_peak[2 * pair + 1]
        for i in range(begin, found):
            k = column[i] - low
            frame[i] = t
            values[0, i], values[1, i], values[2, i] = before[k], here[k], after[k]
            values[3, i] = loudest[t]
        begin = found
    return frame[:found].copy(), column[:found].copy(), values[:, :found].copy()


@compiled
def tops(
    where: tuple[NDArray[np.int32], NDArray[np.int32]],
    magnitudes: NDArray[np.float32],
    bins: tuple[int, int],
    silent: NDArray[np.bool_],
    threshold: np.float32,
    power: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Where a parabola through each of some peaks has its top, and how high.

    Parameters
    ----------
    where : two int32 arrays, shape (peaks,)
        Frame and bin.
    magnitudes : float32 array, shape (4, peaks)
        At the bin before a peak, at its own, at the bin after, and the largest of its frame.
    bins : (int, int)
        The first bin of which peaks count, and the first above of which they do not.
    silent : bool array, shape (frames,)
        Frames that do not count; neither do frames beyond them.
    threshold : float32
        Share of the largest that a peak exceeds.
    power : bool
        Take the squares of the magnitudes.

    Returns
    -------
    bins : float64 array, shape (n,)
        Where the tops of the peaks that count are: at the peak where it is not between the
        neighbours.
    heights : float32 array, shape (n,)
    """
    frame, bin_ = where
    n = 0
    at, height = np.empty(len(bin_), np.float64), np.empty(len(bin_), np.float32)
    for i in range(len(bin_)):
        if frame[i] >= len(silent) or silent[frame[i]]:
            continue
        a, b, c, most = magnitudes[0, i], magnitudes[1, i], magnitudes[2, i], magnitudes[3, i]
        if power:
            a, b, c, most = a * a, b * b, c * c, most * most
        slope = (c - a) * np.float32(0.5)
        bend = np.float64(c + a) - 2 * np.float64(b)
        shift = np.float32(-slope / bend if abs(slope) < abs(bend) else 0)
        at[n] = bin_[i] + np.float64(shift)
        height[n] = b + np.float32(0.5) * slope * shift
        # What does not count is overwritten, as in `peaks_between`.
        n += (bin_[i] >= bins[0]) & (bin_[i] < bins[1]) & (b > threshold * most)
    return at[:n], height[:n]
