"""Each kernel beside the function of librosa, numpy or scipy that it stands for."""

import itertools
import tracemalloc

import librosa
import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from matt.features.kernels.chroma import Peaks, cens, constant_q, fold, normalised, tonnetz
from matt.features.kernels.frames import (
    centroid_and_bandwidth,
    contrast,
    frame_features,
    group_moments,
    rolloff,
    zero_crossing_rate,
)
from matt.features.kernels.spectra import BLOCK, contrast_bands, decibels, mel_bank, spectra

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
    """All blocks of `spectra`, (T, bins)."""
    return np.concatenate([rows.copy() for _, rows in spectra(y, **options)])


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


@given(st.integers(1, 3000), st.integers(1, 65), st.integers(1, 400))
@settings(max_examples=25)
def test_any_frame_length_and_hop(samples, n_fft, hop_length):
    y = np.random.default_rng(samples).normal(size=samples).astype(np.float32)
    padded = np.pad(y, (n_fft // 2, n_fft))
    window = librosa.filters.get_window("hann", n_fft)
    starts = range(0, samples + 1, hop_length)
    expected = [np.abs(np.fft.rfft(padded[s : s + n_fft] * window)) for s in starts]
    found = gathered(y, n_fft=n_fft, hop_length=hop_length, room=3)
    np.testing.assert_allclose(found[:, :-3], expected, rtol=1e-4, atol=1e-6)
    assert (found[:, -3:] == 0).all()


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


@pytest.mark.parametrize("sr", [11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("tuning", [-0.5, 0.13, 0.49])
def test_constant_q_is_librosas(sr, tuning):
    y = music(1.9, sr)
    options = {"n_bins": 84, "bins_per_octave": 12, "tuning": tuning}
    expected = np.abs(librosa.cqt(y, sr=sr, hop_length=HOP, **options)).T
    found = constant_q(y, sr=sr, hop_length=HOP, tuning=tuning)
    assert len(found) >= 1 + len(y) // HOP
    np.testing.assert_allclose(found[: len(expected)], expected, atol=3e-6 * expected.max())


def test_chroma_of_a_constant_q_transform_is_librosas():
    cqt = np.random.default_rng(0).random((67, 84)).astype(np.float32) ** 3
    options = {"C": cqt.T, "n_chroma": 12, "bins_per_octave": 12}
    chroma = fold(cqt)
    np.testing.assert_allclose(
        normalised(chroma, np.inf).T, librosa.feature.chroma_cqt(**options), rtol=1e-6
    )
    smooth = librosa.feature.chroma_cens(**options)
    np.testing.assert_allclose(cens(chroma).T, smooth, rtol=1e-6)
    np.testing.assert_allclose(
        tonnetz(cens(chroma)).T, librosa.feature.tonnetz(chroma=smooth), atol=1e-6
    )
    assert (normalised(np.zeros((2, 12), np.float32), 1) == 0).all()


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
    moments = np.empty((37, 3 * 33), np.float32)
    group_moments(rows, moments)
    expected = {"S": spectrum.T.astype(np.float64), "sr": 2048}  # hertz are bins
    centroid, bandwidth = centroid_and_bandwidth(moments)
    np.testing.assert_allclose(
        centroid, librosa.feature.spectral_centroid(**expected)[0], rtol=1e-5
    )
    np.testing.assert_allclose(
        bandwidth, librosa.feature.spectral_bandwidth(**expected)[0], rtol=1e-4
    )
    np.testing.assert_array_equal(
        rolloff(spectrum**2, moments), librosa.feature.spectral_rolloff(**expected)[0]
    )


def test_an_empty_spectrum_has_no_shape():
    rows, moments = np.zeros((3, 64), np.float32), np.empty((3, 6), np.float32)
    group_moments(rows, moments)
    assert (rolloff(rows, moments) == 0).all()
    assert [(x == 0).all() for x in centroid_and_bandwidth(moments)] == [True, True]


@pytest.mark.parametrize("sr", [16_000, 22_050, 44_100, 48_000])
def test_contrast_is_librosas(sr):
    rows = np.random.default_rng(0).random((23, 1025)).astype(np.float32)
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
