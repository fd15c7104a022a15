"""The log-mel map against numpy's spectra, Slaney's formula and ideal signals."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from matt import ConfigError, DataError
from matt.features.kernels.frames import logmel
from matt.features.spec import FeatureSpec

SR = 12_000


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
    y = np.sin(2 * np.pi * 1000 * np.arange(SR) / SR)
    loudest = logmel(y).astype(float).mean(axis=1).argmax()
    bank = slaney_filters(SR, 2048, 96)
    assert bank[loudest, round(1000 * 2048 / SR)] == bank[:, round(1000 * 2048 / SR)].max()


@given(gain=st.floats(1e-3, 1), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_loudness_is_kept(gain, seed):
    y = np.random.default_rng(seed).normal(scale=0.1, size=6_000)
    louder, softer = logmel(y).astype(float), logmel(gain * y).astype(float)
    np.testing.assert_allclose(louder - softer, -20 * np.log10(gain), atol=0.07)


def test_nothing_lies_more_than_80_db_below_the_loudest():
    y = np.zeros(2 * SR)
    y[:SR] = np.random.default_rng(0).normal(size=SR)
    found = logmel(y).astype(float)
    assert found.max() - found.min() == pytest.approx(80, abs=0.07)


def test_silence_is_the_floor():
    assert (logmel(np.zeros(SR)) == -100).all()


def test_audio_shorter_than_a_frame_is_refused():
    with pytest.raises(DataError, match="at least n_fft=2048 samples, got shape"):
        logmel(np.zeros(2047))
    with pytest.raises(DataError, match="one channel"):
        logmel(np.zeros((2, SR)))


def test_too_many_bands_are_a_matter_of_settings():
    with pytest.raises(ConfigError, match="use fewer bands or a larger n_fft"):
        logmel(np.zeros(SR), n_fft=64)


def test_fast_moves_few_values_and_those_by_the_last_bit():
    rng = np.random.default_rng(0)
    y = rng.normal(scale=0.1, size=3 * SR) * np.linspace(0, 1, 3 * SR) ** 4
    exact, fast = logmel(y), logmel(y, precision="fast")
    moved = exact != fast
    assert 0 < moved.mean() < 0.005
    steps = np.abs(exact.astype(float) - fast.astype(float)) / np.spacing(np.abs(exact)).astype(
        float
    )
    assert steps.max() <= 1
