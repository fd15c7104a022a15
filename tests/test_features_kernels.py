"""Each kernel beside the function of librosa, numpy or scipy that it stands for.

The log-mel map against numpy's spectra, Slaney's formula and ideal signals.

FMA's own script on ten real clips, ideal signals, and the cases it leaves undefined.
"""

import itertools
import tracemalloc

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import scipy.stats
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from matt import ConfigError, DataError, FeatureStore, Tracks
from matt.features.extract import extract
from matt.features.kernels.chroma import Peaks, cens, constant_q, fold, normalised, tonnetz
from matt.features.kernels.compiled import compiled
from matt.features.kernels.filters import (
    chroma_filters,
    constant_q_filters,
    hann,
    highest_frequency,
    mel_filters,
)
from matt.features.kernels.fourier import halved
from matt.features.kernels.frames import (
    COLUMNS,
    SIZES,
    STATISTICS,
    frame_features,
    logmel,
    summary,
    zero_crossing_rate,
)
from matt.features.kernels.shapes import contrast, shapes
from matt.features.kernels.spectra import BLOCK, contrast_bands, decibels, mel_bank, spectra
from matt.features.kernels.statistics import central_moments
from matt.features.spec import SUMMARY_SIZE, FeatureSettings, FeatureSpec

SR, N_FFT, HOP = 22_050, 2048, 512
ROOM = 31  # zeros behind 1025 bins make groups of 32


def music(seconds=2.3, sr=SR, seed=0):
    """Decaying notes of a scale that is 20 cents sharp, with noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * sr)) / sr
    y = 0.01 * rng.normal(size=len(t))
    for start, note in zip(
        np.arange(0, seconds, 0.2), itertools.cycle([0, 4, 7, 12, 9, 5]), strict=False
    ):
        pitch = 261.63 * 2 ** ((note + 0.2) / 12)
        for harmonic in (1, 2, 3):
            y += (
                (t >= start)
                * np.exp(-6 * np.abs(t - start))
                * np.sin(2 * np.pi * harmonic * pitch * t)
                / 9
            )
    return y.astype(np.float32)


def gathered(y, **options):
    """Magnitudes of all frames, (T, bins)."""
    return np.sqrt(np.concatenate([power.copy() for _, power in spectra(y, **options)]))


# ---- filters ----


@pytest.mark.parametrize("n", [1, 2, 7, 64, 2048])
def test_the_window_is_scipys(n):
    np.testing.assert_allclose(hann(n), scipy.signal.get_window("hann", n), atol=1e-15)


@pytest.mark.parametrize(("sr", "n_fft", "n_mels"), [(12_000, 2048, 96), (1_900, 512, 17), (48_000, 2048, 1)])  # fmt: skip
def test_mel_filters_are_librosas(sr, n_fft, n_mels):
    expected = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels)
    np.testing.assert_allclose(mel_filters(sr, n_fft, n_mels), expected, atol=2e-7 * expected.max())


@pytest.mark.parametrize("sr", [11_025, 22_050, 48_000])
@pytest.mark.parametrize("tuning", [-0.5, 0.0, 0.13])
def test_pitch_classes_are_librosas(sr, tuning):
    expected = librosa.filters.chroma(sr=sr, n_fft=1024, tuning=tuning)
    np.testing.assert_allclose(chroma_filters(sr, 1024, tuning), expected, atol=1e-7)


@pytest.mark.parametrize("tuning", [-0.5, 0.0, 0.49])
def test_constant_q_filters_are_librosas_wavelets_but_for_what_is_dropped(tuning):
    pitches = librosa.cqt_frequencies(
        84, fmin=librosa.note_to_hz("C1") * 2 ** (tuning / 12), bins_per_octave=12
    )
    lengths, cutoff = librosa.filters.wavelet_lengths(freqs=pitches, sr=SR)
    assert highest_frequency(7, tuning) == pytest.approx(cutoff)
    wavelets, lengths = librosa.filters.wavelet(freqs=pitches[-12:], sr=SR)
    n = wavelets.shape[1]
    # A product with a spectrum is one with the samples under the spectrum of the filter; half of
    # it is left out, that of the negative frequencies, where a wavelet has next to nothing.
    found = np.fft.ifft(constant_q_filters(SR, 7, tuning) * np.sqrt(lengths)[:, None])
    expected = np.fft.fft(wavelets * (lengths[:, None] / n))
    dropped = np.abs(found[:, : n // 2 + 1] - expected[:, : n // 2 + 1])
    kept = dropped < 1e-6
    np.testing.assert_allclose(np.where(kept, 0, np.abs(found[:, : n // 2 + 1])), 0, atol=1e-12)
    assert (dropped.sum(axis=1) < 0.01 * np.abs(expected).sum(axis=1)).all()
    assert np.abs(found[:, n // 2 + 1 :]).max() < 1e-12


@pytest.mark.parametrize("sr", [11_025, 12_000, 16_000, 22_050, 24_000])
def test_halves_of_constant_q_filters_mirror_each_other_at_any_tuning(sr):
    """But for a phase; sample 1 mirrors 0, and the middle of all others lies half a sample on."""
    for tuning in np.arange(-50, 50) / 100:
        filters = constant_q_filters(sr, 7, tuning)
        mirrored = np.roll(filters[:, ::-1], 2, axis=1)
        phase = (mirrored.conj() * filters.conj()).sum(axis=1, keepdims=True)
        phase /= np.abs(phase)
        np.testing.assert_allclose(mirrored.conj(), filters * phase, atol=1e-9)


# ---- spectra ----


@pytest.mark.parametrize("samples", [2048, BLOCK * HOP - 1, BLOCK * HOP, 50_001])
@pytest.mark.parametrize("mirrored", [False, True])
def test_magnitudes_are_librosas(samples, mirrored):
    y = np.random.default_rng(0).normal(size=samples).astype(np.float32)
    mode = "reflect" if mirrored else "constant"
    expected = np.abs(librosa.stft(y, n_fft=N_FFT, hop_length=HOP, pad_mode=mode)).T
    found = gathered(y, n_fft=N_FFT, hop_length=HOP, mirrored=mirrored)
    assert found.shape == (1 + samples // HOP, 1025)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    fast = gathered(y, n_fft=N_FFT, hop_length=HOP, mirrored=mirrored, precision="fast")
    np.testing.assert_allclose(fast, expected, atol=1e-6 * expected.max())
    assert (fast != found).any()


@given(st.integers(1, 3000), st.integers(1, 65) | st.just(2048), st.integers(1, 400))
@settings(max_examples=25)
def test_any_frame_length_and_hop(samples, n_fft, hop_length):
    y = np.random.default_rng(samples).normal(size=samples).astype(np.float32)
    padded = np.pad(y, (n_fft // 2, n_fft))
    window = librosa.filters.get_window("hann", n_fft)
    starts = range(0, samples + 1, hop_length)
    expected = [np.abs(np.fft.rfft(padded[s : s + n_fft] * window)) for s in starts]
    found = gathered(y, n_fft=n_fft, hop_length=hop_length)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    kept, roots = np.empty_like(found), np.zeros((BLOCK, 3 + found.shape[1]), np.float32)
    for frames, power in spectra(y, n_fft=n_fft, hop_length=hop_length, out=kept, magnitudes=roots):
        assert np.shares_memory(power, kept[frames])
        np.testing.assert_array_equal(roots[: len(power), :-3], found[frames])
    np.testing.assert_array_equal(np.sqrt(kept), found)
    assert (roots[:, -3:] == 0).all()


def test_memory_does_not_grow_with_the_audio():
    """Beyond the audio with its ends and what was asked for: here, the numbers of MFCC."""
    peaks = []
    for seconds in (20, 60):
        y = music(1.0, 44_100).repeat(seconds)[: seconds * 44_100]
        frame_features(y, 44_100, names=["mfcc"])
        tracemalloc.start()
        frame_features(y, 44_100, names=["mfcc"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    grown = (peaks[1] - peaks[0]) / 40  # bytes a second of audio
    assert grown < 2.5 * 4 * 44_100  # one copy of the audio, and half of one


def test_half_a_minute_takes_less_than_60_mb():
    y = music(1.0, 44_100).repeat(30)
    frame_features(y, 44_100)
    tracemalloc.start()
    frame_features(y, 44_100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_what_cannot_be_kept_is_compiled_all_the_same(monkeypatch):
    """Numba refuses to keep code where neither the package nor the user's cache can be written."""
    tried = []

    def nowhere(*, error_model, cache, forceinline):
        tried.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr("numba.njit", nowhere)
    assert compiled(abs) is abs
    assert tried == [True, False]


# ---- tuning ----


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sr", [11_025, 22_050, 48_000])
def test_tuning_is_what_librosa_finds(seed, sr):
    y = music(1.7, sr, seed) if seed % 2 else np.random.default_rng(seed).normal(size=2 * sr)
    magnitudes = gathered(y.astype(np.float32), n_fft=N_FFT, hop_length=HOP)
    peaks = Peaks(N_FFT, sr, SR)
    for begin in range(0, len(magnitudes), 13):
        block = magnitudes[begin : begin + 13]
        peaks.add(begin, block, block.max(axis=1))
    assert peaks.tuning(sr) == librosa.estimate_tuning(S=magnitudes.T, sr=sr)
    assert peaks.tuning(SR, power=True) == librosa.estimate_tuning(S=magnitudes.T**2, sr=SR)


def test_silent_frames_have_no_say_in_the_tuning():
    loud = gathered(music(), n_fft=N_FFT, hop_length=HOP)
    peaks = Peaks(N_FFT, SR)
    other = gathered(0.5 * music(1.1, seed=3), n_fft=N_FFT, hop_length=HOP)
    both = np.concatenate([other, loud])
    peaks.add(0, both, both.max(axis=1))
    silent = np.arange(len(both)) < len(other)
    assert peaks.tuning(SR, silent=silent) == librosa.estimate_tuning(S=loud.T, sr=SR)
    assert peaks.tuning(SR, silent=~silent[: len(other) + 1]) == librosa.estimate_tuning(
        S=other.T, sr=SR
    )


def test_where_nothing_has_a_pitch_the_tuning_is_0():
    peaks = Peaks(N_FFT, SR)
    peaks.add(0, np.zeros((5, 1025), np.float32), np.zeros(5, np.float32))
    assert peaks.tuning(SR) == peaks.tuning(SR, power=True) == 0


# ---- constant-Q ----


@pytest.mark.parametrize("samples", [1, 2, 801, 1665, 1666, 1667, 1859, 50_001])
def test_half_the_rate_is_soxrs(samples):
    y = np.random.default_rng(samples).normal(size=samples).astype(np.float32)
    expected = soxr.resample(y, 2, 1, quality="HQ")
    np.testing.assert_allclose(halved(y), expected, atol=1e-6 * np.abs(y).max())


@pytest.mark.parametrize("sr", [11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("tuning", [-0.5, 0.13, 0.49])
def test_constant_q_is_librosas(sr, tuning):
    y = music(1.9, sr)
    options = {"n_bins": 84, "bins_per_octave": 12, "tuning": tuning}
    expected = np.abs(librosa.cqt(y, sr=sr, hop_length=HOP, **options)).T
    found = np.concatenate(constant_q(y, sr=sr, hop_length=HOP, tuning=tuning), axis=1)
    assert len(found) >= 1 + len(y) // HOP
    np.testing.assert_allclose(found[: len(expected)], expected, atol=3e-6 * expected.max())


@pytest.mark.parametrize("frames", [67, 128, 300])
def test_chroma_of_a_constant_q_transform_is_librosas(frames):
    cqt = np.random.default_rng(0).random((7, frames, 12)).astype(np.float32) ** 3
    options = {"C": np.concatenate(cqt, axis=1).T, "n_chroma": 12, "bins_per_octave": 12}
    chroma = fold(cqt)
    np.testing.assert_allclose(
        normalised(chroma, np.inf), librosa.feature.chroma_cqt(**options), rtol=1e-6
    )
    smooth = librosa.feature.chroma_cens(**options)
    np.testing.assert_allclose(cens(chroma), smooth, rtol=1e-6)
    np.testing.assert_allclose(
        tonnetz(cens(chroma)), librosa.feature.tonnetz(chroma=smooth), atol=1e-6
    )
    assert (normalised(np.zeros((12, 2), np.float32), 1) == 0).all()


@given(st.lists(st.lists(st.floats(1e-3, 1), min_size=12, max_size=12), min_size=1, max_size=9))
def test_pitch_classes_that_cancel_leave_nothing_of_a_tonal_centroid(frames):
    """All but rounding is gone of sines where a class is as loud as the one on C's other side."""
    chroma = np.array(frames).T
    chroma += chroma[-np.arange(12) % 12]
    rows = tonnetz(chroma)
    assert (rows[::2] == 0).all()
    np.testing.assert_allclose(rows, librosa.feature.tonnetz(chroma=chroma), atol=1e-6)


# ---- shapes ----


@pytest.mark.parametrize("kind", ["noise", "tone", "sparse"])
def test_shapes_are_librosas(kind):
    rng = np.random.default_rng(0)
    rows = np.zeros((37, 1025 + ROOM), np.float32)
    spectrum = rows[:, :1025]
    spectrum[:] = {
        "noise": rng.random((37, 1025)),
        "tone": np.exp(-0.5 * (np.arange(1025) - rng.uniform(20, 900, (37, 1))) ** 2),
        "sparse": rng.random((37, 1025)) ** 40,
    }[kind]
    found = np.empty((37, 3))
    shapes(rows, found)
    expected = {"S": spectrum.T.astype(np.float64), "sr": 2048}  # hertz are bins
    for column, name, tolerance in ((0, "centroid", 1e-5), (1, "bandwidth", 1e-4), (2, "rolloff", 0)):  # fmt: skip
        librosas = getattr(librosa.feature, f"spectral_{name}")(**expected)[0]
        np.testing.assert_allclose(found[:, column], librosas, rtol=tolerance)


def test_an_empty_spectrum_has_no_shape():
    found = np.full((3, 3), np.nan)
    shapes(np.zeros((3, 64), np.float32), found)
    assert (found == 0).all()


@given(st.integers(0, 1023), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_lines_have_the_shape_of_their_formulas(bin_, loudness):
    """A line has no width; of two, the stronger one holds what the rolloff asks for, or not."""
    rows = np.zeros((2, 1024), np.float32)
    rows[:, bin_] = loudness
    rows[1, 0] += 9 * loudness
    found = np.empty((2, 3))
    shapes(rows, found)
    np.testing.assert_allclose(found[0], [bin_, 0, bin_], atol=1e-4)
    np.testing.assert_allclose(found[1], [bin_ / 10, 0.3 * bin_, 0], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("sr", [16_000, 22_050, 44_100, 48_000])
def test_contrast_is_librosas(sr):
    rows = np.random.default_rng(0).random((23, 1025)).astype(np.float32)
    rows[3], rows[5, ::2], rows[7] = 0, 0, np.arange(1025)
    bands = contrast_bands(sr, N_FFT)
    peaks, valleys = np.empty((2, 23, 7), np.float32)
    contrast(rows, bands, peaks, valleys)
    shares = [share for _, share in bands]
    expected = librosa.feature.spectral_contrast(S=rows.T, sr=sr, linear=True).T
    np.testing.assert_allclose((peaks - valleys) / shares, expected, rtol=1e-5)


# ---- mel, decibels, zero crossings ----


@pytest.mark.parametrize(("sr", "n_mels"), [(12_000, 96), (22_050, 128), (16_000, 3), (48_000, 1)])
def test_a_mel_bank_in_groups_is_the_whole_bank(sr, n_mels):
    power = np.random.default_rng(0).random((29, 1025)).astype(np.float32)
    found = np.empty((29, n_mels), np.float32)
    mel_bank(sr, N_FFT, n_mels).apply(power, found)
    expected = power @ librosa.filters.mel(sr=sr, n_fft=N_FFT, n_mels=n_mels).T
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e20])
def test_decibels_are_librosas(scale):
    power = scale * np.random.default_rng(0).random((5, 7)) ** 30
    np.testing.assert_allclose(decibels(power.copy()), librosa.power_to_db(power), rtol=1e-12)


def test_mfcc_is_the_cosine_transform_of_decibels():
    y = music()
    power = gathered(y, n_fft=N_FFT, hop_length=HOP) ** 2
    mel = power @ librosa.filters.mel(sr=SR, n_fft=N_FFT).T
    expected = scipy.fft.dct(librosa.power_to_db(mel), axis=1, norm="ortho")[:, :20].T
    np.testing.assert_allclose(frame_features(y, SR, names=["mfcc"])["mfcc"], expected, atol=1e-3)


@given(
    st.lists(st.sampled_from([-1.0, -1e-11, -0.0, 0.0, 1e-11, 1.0]), min_size=1, max_size=40),
    st.integers(1, 90),
)
@settings(max_examples=40)
def test_zero_crossings_are_librosas(pattern, times):
    y = np.repeat(pattern, times).astype(np.float32)
    expected = librosa.feature.zero_crossing_rate(y, frame_length=N_FFT, hop_length=HOP)[0]
    np.testing.assert_array_equal(zero_crossing_rate(y), expected)


SR_LOGMEL = 12_000


def slaney_filters(sr, n_fft, n_mels):
    """Triangles of area 1 on Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    step, bend = np.log(6.4) / 27, 15.0  # mel at 1 kHz
    top = sr / 2 * 3 / 200 if sr / 2 < 1000 else bend + np.log(sr / 2 / 1000) / step
    mels = np.linspace(0, top, n_mels + 2)
    edges = np.where(mels < bend, mels * 200 / 3, 1000 * np.exp(step * (mels - bend)))
    frequencies = np.arange(1 + n_fft // 2) * sr / n_fft
    bank = np.zeros((n_mels, len(frequencies)))
    for i, (low, centre, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rise = (frequencies - low) / (centre - low)
        fall = (high - frequencies) / (high - centre)
        bank[i] = np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)
    return bank


def oracle(y, sr, n_fft, hop_length, n_mels):
    """The same map in double precision: numpy's spectra, the filters above."""
    window = scipy.signal.get_window("hann", n_fft)  # periodic
    mirrored = np.pad(y.astype(float), n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, n_fft)[::hop_length]
    power = np.abs(np.fft.rfft(frames * window)).T ** 2
    decibels = 10 * np.log10(np.maximum(1e-10, slaney_filters(sr, n_fft, n_mels) @ power))
    return np.maximum(decibels, decibels.max() - 80)


@pytest.mark.parametrize(
    ("sr", "n_fft", "hop_length", "n_mels"),
    [
        (12_000, 2048, 256, 96),
        (12_000, 1024, 256, 64),
        (22_050, 2048, 512, 128),
        (1_900, 512, 128, 17),
    ],
)
def test_equals_an_independent_computation(sr, n_fft, hop_length, n_mels):
    rng = np.random.default_rng(0)
    y = rng.normal(scale=0.1, size=2 * sr + 77) * np.linspace(0, 1, 2 * sr + 77) ** 4
    found = logmel(y, sr=sr, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels)
    expected = oracle(y, sr, n_fft, hop_length, n_mels)
    # Half a step of float16 below 128 dB, and the rounding of single-precision spectra.
    np.testing.assert_allclose(found.astype(float), expected, atol=0.035)


def test_the_papers_map_is_96_by_1360():
    spec = FeatureSpec.logmel()
    y = np.random.default_rng(0).normal(scale=0.1, size=348_000)
    found = logmel(y)
    assert found.shape == spec.shape == (96, 1360)
    assert found.dtype == spec.dtype == "float16"


def test_a_tone_lights_up_the_band_of_its_frequency():
    y = np.sin(2 * np.pi * 1000 * np.arange(SR_LOGMEL) / SR_LOGMEL)
    loudest = logmel(y).astype(float).mean(axis=1).argmax()
    bank = slaney_filters(SR_LOGMEL, 2048, 96)
    assert (
        bank[loudest, round(1000 * 2048 / SR_LOGMEL)]
        == bank[:, round(1000 * 2048 / SR_LOGMEL)].max()
    )


@given(gain=st.floats(1e-3, 1), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_loudness_is_kept(gain, seed):
    y = np.random.default_rng(seed).normal(scale=0.1, size=6_000)
    louder, softer = logmel(y).astype(float), logmel(gain * y).astype(float)
    np.testing.assert_allclose(louder - softer, -20 * np.log10(gain), atol=0.07)


def test_nothing_lies_more_than_80_db_below_the_loudest():
    y = np.zeros(2 * SR_LOGMEL)
    y[:SR_LOGMEL] = np.random.default_rng(0).normal(size=SR_LOGMEL)
    found = logmel(y).astype(float)
    assert found.max() - found.min() == pytest.approx(80, abs=0.07)


def test_silence_is_the_floor():
    assert (logmel(np.zeros(SR_LOGMEL)) == -100).all()


def test_audio_shorter_than_a_frame_is_refused():
    with pytest.raises(DataError, match="at least n_fft=2048 samples, got shape"):
        logmel(np.zeros(2047))
    with pytest.raises(DataError, match="one channel"):
        logmel(np.zeros((2, SR_LOGMEL)))


def test_too_many_bands_are_a_matter_of_settings():
    with pytest.raises(ConfigError, match="use fewer bands or a larger n_fft"):
        logmel(np.zeros(SR_LOGMEL), n_fft=64)


def test_fast_moves_few_values_and_those_by_the_last_bit():
    rng = np.random.default_rng(0)
    y = rng.normal(scale=0.1, size=3 * SR_LOGMEL) * np.linspace(0, 1, 3 * SR_LOGMEL) ** 4
    exact, fast = logmel(y), logmel(y, precision="fast")
    moved = exact != fast
    assert 0 < moved.mean() < 0.005
    steps = np.abs(exact.astype(float) - fast.astype(float)) / np.spacing(np.abs(exact)).astype(
        float
    )
    assert steps.max() <= 1


SR_SUMMARY = 22_050
RMS_OF_TONE = 0.3 / np.sqrt(2) * np.sqrt(3 / 8)  # of windowed frames; 3/8 is a Hann window's power
HIGHER = np.array([statistic in ("skew", "kurtosis") for _, statistic, _ in COLUMNS])


def tone(frequency, *, seconds=1.5, sr=SR_SUMMARY, gain=0.3):
    return (gain * np.sin(2 * np.pi * frequency * np.arange(int(seconds * sr)) / sr)).astype("f4")


def value(values, feature, statistic, number=1):
    return values[COLUMNS.index((feature, statistic, f"{number:02d}"))]


def assert_close(found, expected):
    """The tolerances of parity: 1e-3 relative, and 1e-3 absolute where there are high moments."""
    tolerance = 1e-3 * np.abs(expected) + np.where(HIGHER, 1e-3, 0)
    wrong = [
        (column, a, b)
        for column, a, b, t in zip(COLUMNS, found, expected, tolerance, strict=True)
        if not abs(a - b) <= t
    ]
    assert not wrong


@pytest.fixture(scope="module")
def reference(shared_data):
    """(columns, values by track id), as FMA's script wrote them."""
    lines = (shared_data / "fma_clips" / "features_fma_script.csv").read_text().splitlines()
    header = list(zip(*(line.split(",")[1:] for line in lines[:3]), strict=True))
    rows = (line.split(",") for line in lines[3:] if not line.startswith("track_id"))
    return header, {int(row[0]): np.array(row[1:], float) for row in rows}


@pytest.mark.parametrize("track_id", [2, 5, 182, 255, 256, 368, 459, 574, 676, 690])
def test_equals_the_output_of_fmas_script_on_real_clips(reference, shared_data, track_id):
    columns, expected = reference
    assert tuple(columns) == COLUMNS
    y, sr = soundfile.read(shared_data / "fma_clips" / f"{track_id:06d}.mp3", always_2d=True)
    assert_close(summary(y.mean(axis=1), sr), expected[track_id])


def test_extraction_of_whole_clips_equals_the_output_of_fmas_script(
    reference, shared_data, tmp_path
):
    """Clips are longer than 30 s by some frames, so their middle 30 s are other values."""
    spec = FeatureSettings(policy="whole", silence="keep").spec()
    paths = [shared_data / "fma_clips" / f"{track_id:06d}.mp3" for track_id in reference[1]]
    n = len(paths)
    tracks = Tracks(np.array(list(reference[1])), np.full(n, -1), ("Rock",), path=list(map(str, paths)))  # fmt: skip
    extract(tracks, spec, tmp_path / "store", workers=2)
    store = FeatureStore.open(tmp_path / "store")
    for track_id, expected in reference[1].items():
        (values,), _ = store.read(np.array([track_id]))
        assert_close(values, expected)


def test_columns_are_unique_sorted_and_as_many_as_the_spec_says():
    assert len(set(COLUMNS)) == SUMMARY_SIZE
    assert sorted(COLUMNS) == list(COLUMNS)


def test_statistics_are_those_of_scipy_and_numpy():
    y = np.random.default_rng(0).normal(size=SR_SUMMARY).astype("f4")
    rows = frame_features(y, SR_SUMMARY)
    oracles = {
        "kurtosis": lambda x: scipy.stats.kurtosis(x, axis=1),
        "max": lambda x: x.max(axis=1),
        "mean": lambda x: x.mean(axis=1),
        "median": lambda x: np.median(x, axis=1),
        "min": lambda x: x.min(axis=1),
        "skew": lambda x: scipy.stats.skew(x, axis=1),
        "std": lambda x: x.std(axis=1),
    }
    assert tuple(oracles) == STATISTICS
    expected = [oracles[s](rows[f].astype(float)) for f, s in itertools.product(SIZES, STATISTICS)]
    np.testing.assert_allclose(
        summary(y, SR_SUMMARY), np.concatenate(expected), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("frames", [1, 2, 31, 32, 65, 2584])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_moments_are_those_of_scipy_for_any_number_of_frames(frames, dtype):
    rows = (np.random.default_rng(0).gamma(2, size=(3, frames)) + 1e3).astype(dtype)
    mean, *others = central_moments(rows)
    np.testing.assert_allclose(mean, rows.mean(axis=1, dtype=float), rtol=1e-12)
    for order, found in enumerate(others, 2):
        expected = scipy.stats.moment(rows.astype(float), order, axis=1)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_tone_has_its_own_centroid_pitch_class_and_zero_crossings():
    values = summary(tone(440), SR_SUMMARY)
    assert value(values, "spectral_centroid", "median") == pytest.approx(440, rel=0.01)
    assert value(values, "zcr", "median") == pytest.approx(2 * 440 / SR_SUMMARY, abs=2 / 2048)
    assert value(values, "rmse", "median") == pytest.approx(RMS_OF_TONE, rel=0.01)
    for chroma in ("chroma_stft", "chroma_cqt", "chroma_cens"):
        medians = [value(values, chroma, "median", number) for number in range(1, 13)]
        assert np.argmax(medians) == 9  # A, counted from C


def test_the_frequency_axis_is_that_of_22050_hz_at_any_rate():
    values = summary(tone(880, sr=44_100), 44_100)
    assert value(values, "spectral_centroid", "median") == pytest.approx(440, rel=0.01)
    # The constant-Q transform knows the true rate: an A all the same, not one octave and a bit off.
    fifth = summary(tone(660, sr=44_100), 44_100)
    medians = [value(fifth, "chroma_cqt", "median", number) for number in range(1, 13)]
    assert np.argmax(medians) == 4  # E


def test_chroma_has_twelve_bins_an_octave():
    """Told another number, librosa folds bins of the transform into the wrong pitch classes."""
    y = sum(tone(f) for f in (261.63, 329.63, 392.00))  # C, E, G
    chroma = frame_features(y, SR_SUMMARY)["chroma_cqt"].mean(axis=1)
    assert set(np.argsort(chroma)[-3:]) == {0, 4, 7}


def test_all_silent_audio_has_finite_values_and_no_chroma():
    values = summary(np.zeros(SR_SUMMARY, "f4"), SR_SUMMARY)
    assert np.isfinite(values).all()
    for (feature, statistic, _), found in zip(COLUMNS, values, strict=True):
        if feature.startswith(("chroma", "tonnetz", "zcr", "rmse")):
            assert found == 0, (feature, statistic)


@pytest.mark.parametrize("sr", [11_025, 44_100, 96_000])
def test_frames_of_silence_do_not_depend_on_rounding(sr):
    """In the middle of the audio and at its end; a gain of 1 + 1e-6 moves rounding errors only."""
    rng = np.random.default_rng(0)
    y = tone(220, seconds=4, sr=sr) + rng.normal(scale=0.02, size=4 * sr).astype("f4")
    y[int(1.1 * sr) : int(2.7 * sr)] = 0
    y[int(3.6 * sr) :] = 0
    found, expected = summary(y * np.float32(1 + 1e-6), sr), summary(y, sr)
    if sr > 48_000:  # contrast reads the band that the resampler left empty, silence or not
        contrast = np.array([feature == "spectral_contrast" for feature, _, _ in COLUMNS])
        found[contrast] = expected[contrast]
    assert_close(found, expected)
    assert (frame_features(y, sr)["chroma_cqt"].max(axis=0) == 0).any()


def test_a_silent_frame_has_no_chroma_and_its_neighbours_do():
    y = np.concatenate([tone(440), np.zeros(SR_SUMMARY, "f4")])
    rows = frame_features(y, SR_SUMMARY)
    last = 1 + len(tone(440)) // 512
    for feature in ("chroma_stft", "chroma_cqt"):
        assert (rows[feature][:, last + 3 :] == 0).all()
        assert (rows[feature][:, : last - 3].max(axis=0) == 1).all()  # scaled to 1, as librosa does


@pytest.mark.parametrize("sr", [8_000, 11_025, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("samples", [1, 7, 801, 4_410])
def test_short_audio_and_unusual_rates_have_finite_values(samples, sr):
    y = np.random.default_rng(samples).normal(scale=0.1, size=samples)
    assert np.isfinite(summary(y, sr)).all()


@pytest.mark.parametrize("sr", [11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_no_length_around_a_second_is_too_short_for_the_lowest_octave(sr):
    for seconds in (0.9, 1.02, 1.1, 1.26, 1.5):
        flat = tone(440 * 2 ** (-0.49 / 12), seconds=seconds, sr=sr)  # the longest filters
        assert np.isfinite(summary(flat, sr)).all()


def test_padding_of_short_audio_is_not_counted():
    y = tone(440, seconds=0.3)
    rows = frame_features(y, SR_SUMMARY)
    assert {row.shape for row in rows.values()} == {(n, 1 + len(y) // 512) for n in SIZES.values()}
    assert value(summary(y, SR_SUMMARY), "rmse", "median") == pytest.approx(RMS_OF_TONE, rel=0.02)


def test_low_rates_keep_their_pitch():
    chroma = frame_features(tone(440, sr=8_000), 8_000)["chroma_cqt"].mean(axis=1)
    assert np.argmax(chroma) == 9


def test_input_is_not_changed():
    y = tone(440)
    before = y.copy()
    summary(y, SR_SUMMARY)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("how", ["every second", "backwards", "read-only", "big-endian"])
def test_values_do_not_depend_on_how_samples_lie_in_memory(how):
    y = music(1.5)
    laid = {
        "every second": lambda: np.repeat(y, 2)[::2],
        "backwards": lambda: y[::-1].copy()[::-1],
        "read-only": lambda: np.frombuffer(y.tobytes(), np.float32),
        "big-endian": lambda: y.astype(">f4"),
    }[how]()
    np.testing.assert_array_equal(summary(laid, SR), summary(y, SR))
    np.testing.assert_array_equal(logmel(laid, sr=SR), logmel(y, sr=SR))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(0), "leave out empty files"),
        (np.zeros((2, 3000)), "mix the channels"),
        (np.full(3000, np.nan), "NaN or infinite samples"),
    ],
)
def test_what_is_no_audio_is_refused(y, message):
    with pytest.raises(DataError, match=message):
        summary(y, SR_SUMMARY)


def test_tuning_is_estimated():
    """A tone 30 cents sharp has the chroma of the tone itself."""
    sharp = tone(440 * 2 ** (0.3 / 12))
    assert librosa.estimate_tuning(y=sharp, sr=SR_SUMMARY) == pytest.approx(0.3, abs=0.02)
    for feature in ("chroma_cqt", "chroma_cens"):
        found, expected = (
            np.median(frame_features(y, SR_SUMMARY)[feature], axis=1) for y in (sharp, tone(440))
        )
        np.testing.assert_allclose(found, expected, atol=0.03)
