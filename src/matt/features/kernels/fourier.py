"""The power spectrum of a frame of 2,048 real samples, as compiled loops.

The frame is taken for 1,024 complex numbers, the even samples their real and the odd ones their
imaginary parts; the spectrum of the real samples follows from theirs by symmetry [1]_. Those are
transformed in steps of four, along rows of a matrix at a time, so that every loop runs over at
least 16 numbers that lie side by side, and a processor computes several at once:

1. number ``64 r + c`` stands in row ``r`` of 16 and column ``c`` of 64;
2. all columns are transformed, in two steps of four;
3. what is now in row ``k`` is turned by ``exp(-2 pi i k c / 1024)``, and the matrix transposed;
4. all columns of the new matrix are transformed, in three steps of four.

Real and imaginary parts are arrays of their own. All of it stays in the nearest cache.

References
----------
.. [1] Press et al., "Numerical Recipes", 3rd ed., section 12.3: FFT of a single real function.
.. [2] Van Loan, "Computational Frameworks for the Fast Fourier Transform", 1992, section 1.7: the
   Stockham framework, that is `_steps`.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled, inlined

N_FFT = 2048
HALF = N_FFT // 2  # complex numbers
ROWS, COLUMNS = 16, 64
QUARTER = HALF // 4
_LINE = 64  # bytes

Reals = NDArray[np.floating[Any]]
Tables = tuple[Reals, ...]


@lru_cache(maxsize=2)
def _tables(dtype: np.dtype[Any]) -> Tables:
    """Real and imaginary parts of all roots of unity that are needed, in its precision."""
    k1, k0 = np.arange(4)[:, None, None], np.arange(4)  # row k is 4 k0 + k1 after two steps
    c = np.arange(COLUMNS)[:, None]
    turns = [
        np.arange(4) / ROWS,
        np.arange(16) / COLUMNS,
        (k1 + 4 * k0) * c / HALF,
        np.arange(HALF) / N_FFT,
    ]
    roots = [np.exp(-2j * np.pi * turn.ravel()) for turn in turns]
    return tuple(_aligned(part.astype(dtype)) for root in roots for part in (root.real, root.imag))


def _aligned(values: Reals) -> Reals:
    """A copy that begins where a line of the cache does: no vector lies across two of them."""
    room = np.empty(values.nbytes + _LINE, np.uint8)
    begin = -room.ctypes.data % _LINE
    copied = room[begin : begin + values.nbytes].view(values.dtype).reshape(values.shape)
    copied[:] = values
    return copied


def powers(
    y: NDArray[np.float32],
    begin: int,
    hop: int,
    window: Reals,
    out: NDArray[np.float32],
    magnitudes: NDArray[np.float32] | None = None,
) -> None:
    """Squared magnitudes of the spectra of frames.

    Parameters
    ----------
    y : float32 array, shape (samples,)
        Silence is assumed around it.
    begin, hop : int
        Frame ``t`` starts at sample ``begin + t * hop``, which may be below 0.
    window : float array, shape (2048,)
        Its precision is that of the transform.
    out : float32 array, shape (frames, 1025)
    magnitudes : float32 array, shape (frames, 1025 or more), optional
        Where their roots are put, if they are wanted.
    """
    if magnitudes is None:
        magnitudes = np.empty((0, 0), np.float32)
    y = np.require(y, np.float32, ["C", "W"])  # one type, for which the loops are compiled
    work = _aligned(np.empty((4, HALF), window.dtype))
    _powers(y, begin, hop, _aligned(window), _tables(window.dtype), work, out, magnitudes)


@compiled
def _powers(
    y: NDArray[np.float32],
    begin: int,
    hop: int,
    window: Reals,
    tables: Tables,
    work: Reals,
    out: NDArray[np.float32],
    magnitudes: NDArray[np.float32],
) -> None:
    a_re, a_im, b_re, b_im = work[0], work[1], work[2], work[3]
    for t in range(len(out)):
        _pairs(_cut(y, begin + t * hop, N_FFT), window, a_re, a_im)
        _transform(a_re, a_im, b_re, b_im, tables)
        _power(a_re, a_im, tables[-2], tables[-1], b_re, out[t])
        if len(magnitudes):
            for k in range(HALF + 1):
                magnitudes[t, k] = np.sqrt(out[t, k])


REACH = 192  # samples: half the length of soxr's filter, beyond which it is 1e-8 and less
KEPT = HALF - REACH + 1  # of the 1,024 numbers that a block gives; the others lack neighbours


def halved(y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every second sample of filtered audio, what soxr calls HQ, in a third of its time.

    The filter is soxr's own, read off from what it makes of an impulse. It is applied to blocks of
    spectra. With the even samples as real and the odd ones as imaginary parts of z, and the filter
    at even and at odd lags as those of ``conj(g)``, the real part of ``g * z`` is the sum of both
    convolutions, at every second sample. Two blocks are transformed back at once: their real parts
    are real and imaginary part of what comes of both.

    Parameters
    ----------
    y : float32 array, shape (samples,)
        Silence is assumed around it.

    Returns
    -------
    float32 array, shape (ceil(samples / 2),)
    """
    out = np.empty((len(y) + 1) // 2, np.float32)
    y = np.require(y, np.float32, ["C", "W"])
    work = _aligned(np.empty((6, HALF), np.float32))
    _halved(y, _response(), _tables(work.dtype), work, out)
    return out


@compiled
def _halved(
    y: NDArray[np.float32], g: Tables, tables: Tables, work: Reals, out: NDArray[np.float32]
) -> None:
    g_re, g_im = g
    re, im = work[4], work[5]
    for begin in range(0, len(out), 2 * KEPT):
        for block in range(2):
            z = _cut(y, 2 * (begin + block * KEPT) - REACH, N_FFT)
            b_re, b_im = work[2 * block], work[2 * block + 1]
            for i in range(HALF):
                re[i], im[i] = z[2 * i], z[2 * i + 1]
            _transform(re, im, b_re, b_im, tables)
            for k in range(HALF):
                b_re[k] = re[k] * g_re[k] - im[k] * g_im[k]
                b_im[k] = re[k] * g_im[k] + im[k] * g_re[k]
        _joined(work[0], work[1], work[2], work[3], re, im)
        # With real and imaginary parts exchanged on both sides it is the inverse transform.
        _transform(im, re, work[1], work[0], tables)
        for i in range(min(KEPT, len(out) - begin)):
            out[begin + i] = re[REACH // 2 + i]
        begin += KEPT
        for i in range(min(KEPT, len(out) - begin)):
            out[begin + i] = im[REACH // 2 + i]


@inlined
def _joined(a_re: Reals, a_im: Reals, b_re: Reals, b_im: Reals, re: Reals, im: Reals) -> None:
    """From two spectra to that of twice the real part of one plus i times that of the other."""
    re[0], im[0] = 2 * a_re[0], 2 * b_re[0]
    for i in range(HALF - 1):
        k, mirrored = i + 1, HALF - 1 - i
        re[k] = (a_re[k] + a_re[mirrored]) - (b_im[k] - b_im[mirrored])
        im[k] = (a_im[k] - a_im[mirrored]) + (b_re[k] + b_re[mirrored])


@compiled
def _cut(y: NDArray[np.float32], begin: int, n: int) -> NDArray[np.float32]:
    """So many samples from ``begin`` on, which may be below 0; zeros where there are none."""
    end = begin + n
    if begin >= 0 and end <= len(y):
        return y[begin:end]
    cut = np.zeros(n, np.float32)
    for i in range(max(begin, 0), min(end, len(y))):
        cut[i - begin] = y[i]
    return cut


@compiled
def folded(
    y: NDArray[np.float32],
    begin: int,
    hop: int,
    sums: NDArray[np.float32],
    differences: NDArray[np.float32],
) -> None:
    """Sums and differences of the samples of a frame that mirror each other.

    Of n samples these are 1 and 0, then j and ``n + 1 - j``: the middle of all but the former is
    that of filters that are made of a spectrum.

    Parameters
    ----------
    y : float32 array, shape (samples,)
        Silence is assumed around it.
    begin, hop : int
        Frame ``t`` starts at sample ``begin + t * hop``, which may be below 0.
    sums, differences : float32 arrays, shape (frames, n / 2)
        Where those of sample 1 to ``n / 2`` are put.
    """
    half = sums.shape[1]
    for t in range(len(sums)):
        frame, sum_, difference = _cut(y, begin + t * hop, 2 * half), sums[t], differences[t]
        sum_[0], difference[0] = frame[1] + frame[0], frame[1] - frame[0]
        for i in range(1, half):
            mirrored = np.uint64(2 * half - i)  # a signed one would be looked at: is it negative?
            sum_[i] = frame[i + 1] + frame[mirrored]
            difference[i] = frame[i + 1] - frame[mirrored]


@cache
def _response() -> Tables:
    """Spectrum of ``g``, over 1,024: real and imaginary parts."""
    import soxr

    middle = 2 * N_FFT
    impulses = np.zeros((2, 2 * middle))
    impulses[0, middle], impulses[1, middle + 1] = 1, 1
    even, odd = (soxr.resample(impulse, 2, 1, quality="HQ") for impulse in impulses)
    lags = np.arange(1 - REACH // 2, REACH // 2 + 1)
    g = np.zeros(HALF, complex)
    g[lags] = even[middle // 2 + lags] - 1j * odd[middle // 2 + lags]
    spectrum = np.fft.fft(g) / N_FFT
    return tuple(_aligned(part.astype(np.float32)) for part in (spectrum.real, spectrum.imag))


@inlined
def _transform(re: Reals, im: Reals, b_re: Reals, b_im: Reals, tables: Tables) -> None:
    """The spectrum of 1,024 complex numbers, in their place; ``b`` is overwritten."""
    row_re, row_im, column_re, column_im, turn_re, turn_im, _, _ = tables
    _steps(re, im, b_re, b_im, 4, COLUMNS, row_re, row_im)
    _last(b_re, b_im, re, im, 4, 1)
    _turned(re, im, turn_re, turn_im, b_re, b_im)
    _steps(b_re, b_im, re, im, 16, ROWS, column_re, column_im)
    _steps(re, im, b_re, b_im, 4, 4 * ROWS, row_re, row_im)
    _last(b_re, b_im, re, im, 1, QUARTER)


@inlined
def _pairs(y: NDArray[np.float32], window: Reals, re: Reals, im: Reals) -> None:
    """Samples under the window, the even ones and the odd ones."""
    for i in range(HALF):
        re[i] = y[2 * i] * window[2 * i]
        im[i] = y[2 * i + 1] * window[2 * i + 1]


@inlined
def _steps(
    x_re: Reals, x_im: Reals, y_re: Reals, y_im: Reals, m: int, s: int, w_re: Reals, w_im: Reals
) -> None:
    """One step of four: x of shape (4, m, s) -> y of shape (m, 4, s).

    ``y[p, k] = w[p]**k * sum(x[j, p] * (-1j)**(j * k) for j in range(4))``, where ``w[p]`` is
    ``exp(-2 pi i p / (4 m))``: transforms of length ``4 m`` have become four of length ``m`` each.
    """
    for p in range(m):
        w1_re, w1_im = w_re[p], w_im[p]
        w2_re, w2_im = w1_re * w1_re - w1_im * w1_im, w1_re * w1_im + w1_re * w1_im
        w3_re, w3_im = w1_re * w2_re - w1_im * w2_im, w1_re * w2_im + w1_im * w2_re
        i, o = p * s, 4 * p * s
        for q in range(s):
            j0, j1, j2, j3 = i + q, i + q + m * s, i + q + 2 * m * s, i + q + 3 * m * s
            even_re, even_im = x_re[j0] + x_re[j2], x_im[j0] + x_im[j2]
            odd_re, odd_im = x_re[j1] + x_re[j3], x_im[j1] + x_im[j3]
            left_re, left_im = x_re[j0] - x_re[j2], x_im[j0] - x_im[j2]
            right_re, right_im = x_re[j1] - x_re[j3], x_im[j1] - x_im[j3]
            k0, k1, k2, k3 = o + q, o + q + s, o + q + 2 * s, o + q + 3 * s
            y_re[k0], y_im[k0] = even_re + odd_re, even_im + odd_im
            re, im = left_re + right_im, left_im - right_re
            y_re[k1], y_im[k1] = re * w1_re - im * w1_im, re * w1_im + im * w1_re
            re, im = even_re - odd_re, even_im - odd_im
            y_re[k2], y_im[k2] = re * w2_re - im * w2_im, re * w2_im + im * w2_re
            re, im = left_re - right_im, left_im + right_re
            y_re[k3], y_im[k3] = re * w3_re - im * w3_im, re * w3_im + im * w3_re


@inlined
def _last(x_re: Reals, x_im: Reals, y_re: Reals, y_im: Reals, between: int, apart: int) -> None:
    """The last step, for which m is 1 and all w are: x of shape (4, 256) -> y of 1,024 numbers.

    Result k of column q goes to ``between * q + apart * k``: 1 and 256 keep the shape, 4 and 1
    transpose it.
    """
    for q in range(QUARTER):
        j0, j1, j2, j3 = q, q + QUARTER, q + 2 * QUARTER, q + 3 * QUARTER
        even_re, even_im = x_re[j0] + x_re[j2], x_im[j0] + x_im[j2]
        odd_re, odd_im = x_re[j1] + x_re[j3], x_im[j1] + x_im[j3]
        left_re, left_im = x_re[j0] - x_re[j2], x_im[j0] - x_im[j2]
        right_re, right_im = x_re[j1] - x_re[j3], x_im[j1] - x_im[j3]
        k = between * q
        y_re[k], y_im[k] = even_re + odd_re, even_im + odd_im
        y_re[k + apart], y_im[k + apart] = left_re + right_im, left_im - right_re
        y_re[k + 2 * apart], y_im[k + 2 * apart] = even_re - odd_re, even_im - odd_im
        y_re[k + 3 * apart], y_im[k + 3 * apart] = left_re - right_im, left_im + right_re


@inlined
def _turned(x_re: Reals, x_im: Reals, w_re: Reals, w_im: Reals, y_re: Reals, y_im: Reals) -> None:
    """Products with roots of unity, and (4, 256) transposed."""
    for q in range(QUARTER):
        for k in range(4):
            j = QUARTER * k + q
            y_re[4 * q + k] = x_re[j] * w_re[j] - x_im[j] * w_im[j]
            y_im[4 * q + k] = x_re[j] * w_im[j] + x_im[j] * w_re[j]


@inlined
def _power(
    z_re: Reals, z_im: Reals, w_re: Reals, w_im: Reals, high: Reals, out: NDArray[np.float32]
) -> None:
    """From the spectrum z of the pairs to the power of the spectrum of the samples.

    With ``e = (z[k] + conj(z[-k])) / 2`` and ``d = (z[k] - conj(z[-k])) / 2``, bin k is
    ``e - 1j * w[k] * d`` and bin ``1024 - k`` the conjugate of ``e + 1j * w[k] * d``. The latter
    are kept in ``high`` first: a loop that writes in two directions runs one by one.
    """
    n = HALF // 2 - 1
    out[0] = (z_re[0] + z_im[0]) ** 2
    out[HALF // 2] = z_re[n + 1] ** 2 + z_im[n + 1] ** 2
    out[HALF] = (z_re[0] - z_im[0]) ** 2
    for i in range(n):
        k, mirrored = i + 1, HALF - 1 - i
        e_re, e_im = z_re[k] + z_re[mirrored], z_im[k] - z_im[mirrored]
        d_re, d_im = z_re[k] - z_re[mirrored], z_im[k] + z_im[mirrored]
        re, im = d_re * w_re[k] - d_im * w_im[k], d_re * w_im[k] + d_im * w_re[k]
        low_re, low_im = e_re + im, e_im - re
        high_re, high_im = e_re - im, e_im + re
        out[k] = (low_re * low_re + low_im * low_im) / 4
        high[i] = (high_re * high_re + high_im * high_im) / 4
    for i in range(n):
        out[HALF - 1 - i] = high[i]
