"""All 518 values beside a plain librosa transcription, on signals made for it.

A value has to lie within 1e-3 of the transcription's, relative, or, where it is next to nothing,
within a millionth of what its row reaches, or a hundredth of that of its feature: single precision holds no more. Skew and kurtosis have
1e-3 absolute besides. Two kinds of values are left out, each by a rule that is applied below:

- skew and kurtosis of a row that is constant, for which librosa has NaN and `matt` 0, or that is
  empty but for rounding errors, a millionth of what the feature reaches;
- values that rounding decides in librosa itself: inaudible gains, which have no meaning for any of
  them, move them by more than a quarter of the tolerance.
"""

import librosa
import numpy as np
import pytest
import scipy.signal
import soxr

from benchmarks import plain_features
from matt.features.kernels.frames import COLUMNS, SHORTEST, SIZES, STATISTICS, summary

HIGHER = np.array([statistic in ("skew", "kurtosis") for _, statistic, _ in COLUMNS])
FEATURE = np.array([feature for feature, _, _ in COLUMNS])
GAINS = [1 + 1e-6, 1 - 2e-6]
RATES = [11_025, 16_000, 22_050, 32_000, 44_100, 48_000]


def noise(n, slope, seed=0):
    """Noise whose power falls with frequency to the power of ``slope``."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n))
    y = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 1) ** (slope / 2), n)
    return 0.3 * y / np.abs(y).max()


def clicks(t, rng):
    """About a hundred a second, of any loudness, above faint noise."""
    sr = round(1 / (t[1] - t[0]))
    loud = rng.random(len(t)) < 100 / sr
    return loud * rng.uniform(-1, 1, len(t)) + 1e-3 * noise(len(t), 0)


def stereo(t, rng):
    """A tone on the left, plucked ones on the right, noise on both, mixed to mono."""
    left = 0.2 * np.sin(2 * np.pi * 220 * t) + 0.05 * rng.normal(size=len(t))
    right = 0.2 * np.sin(2 * np.pi * 523 * t) * np.exp(-3 * (t % 1)) + 0.02 * rng.normal(
        size=len(t)
    )
    return 0.5 * (left + right)


SIGNALS = {
    "tone": lambda t, rng: 0.3 * np.sin(2 * np.pi * 330 * t),
    "white": lambda t, rng: noise(len(t), 0),
    "pink": lambda t, rng: noise(len(t), 1),
    "clicks": clicks,
    "chirp": lambda t, rng: 0.3 * scipy.signal.chirp(t, 100, t[-1], 3500, method="logarithmic"),
    "stereo": stereo,
}


def signal(name, sr, seconds):
    t = np.arange(int(sr * seconds)) / sr
    return SIGNALS[name](t, np.random.default_rng(0)).astype(np.float32)


def plain(y, sr, frequencies):
    """The transcription, on the audio that the policy for short audio makes."""
    frames = 1 + len(y) // 512
    padded = np.pad(y, (0, max(0, int(SHORTEST * sr) - len(y))))
    axis_sr = sr if frequencies == "true" else 22_050
    return plain_features.summary(padded, sr, axis_sr=axis_sr, frames=frames)


def reach(values):
    """Largest magnitude of the row that a value describes, and of its whole feature."""
    rows, features = {}, {}
    for (feature, statistic, number), value in zip(COLUMNS, values, strict=True):
        if statistic in ("max", "min"):
            rows[feature, number] = max(rows.get((feature, number), 0), abs(value))
            features[feature] = max(features.get(feature, 0), abs(value))
    own = np.array([rows[feature, number] for feature, _, number in COLUMNS])
    return own, np.array([features[feature] for feature in FEATURE])


def compare(y, sr, frequencies="fma", without=()):
    """Assert parity; give back how many of the values that are compared rounding decides."""
    found = summary(y, sr, frequencies=frequencies)
    if not 11_025 <= sr <= 48_000:
        y, sr = soxr.resample(y, sr, 44_100), 44_100
    expected = plain(y, sr, frequencies)
    others = [plain(y * np.float32(gain), sr, frequencies) for gain in GAINS]
    moved = np.max([np.abs(other - expected) for other in others], axis=0)
    constant = np.isnan(expected)
    assert (found[constant] == 0).all()
    assert HIGHER[constant].all()
    own, whole = reach(expected)
    tolerance = 1e-3 * np.abs(expected) + np.where(
        HIGHER, 1e-3, 1e-6 * np.maximum(own, 1e-2 * whole)
    )
    dust = HIGHER & (own <= 1e-6 * whole)
    compared = ~constant & ~dust & ~np.isin(FEATURE, without)
    unstable = compared & ~(moved <= tolerance / 4)
    wrong = compared & ~unstable & ~(np.abs(found - expected) <= tolerance)
    assert not [(COLUMNS[i], found[i], expected[i], moved[i]) for i in np.flatnonzero(wrong)]
    return unstable.sum()


def test_the_transcription_has_our_columns():
    rows = plain_features.frame_features(signal("pink", 22_050, 1.5), 22_050)
    assert {name: len(row) for name, row in rows.items()} == dict(SIZES)
    assert tuple(rows) == tuple(SIZES)  # lexicographic
    assert tuple(sorted(STATISTICS)) == STATISTICS


@pytest.mark.parametrize("sr", RATES)
@pytest.mark.parametrize("name", SIGNALS)
def test_signals_at_all_rates(name, sr):
    unstable = compare(signal(name, sr, 2.1), sr)
    # Pure tones have rows that hold little but rounding errors; noise has none.
    assert unstable <= {"white": 5, "pink": 5, "stereo": 5}.get(name, 80)


@pytest.mark.parametrize("sr", RATES[1:])
@pytest.mark.parametrize("name", ["pink", "stereo"])
def test_true_frequencies_are_librosas_with_the_rate_told(name, sr):
    assert compare(signal(name, sr, 2.3), sr, "true") <= 5


@pytest.mark.parametrize("sr", RATES)
@pytest.mark.parametrize("seconds", [1.0, 1.3])
def test_about_a_second(sr, seconds):
    compare(signal("stereo", sr, seconds), sr)


@pytest.mark.parametrize("frequencies", ["fma", "true"])
def test_a_rate_too_low_for_seven_octaves(frequencies):
    """The resampler leaves the upper half of the spectrum empty but for rounding errors.

    Spectral contrast reads nothing else there, so it is not compared.
    """
    y = signal("stereo", 8_000, 3.1)
    compare(y, 8_000, frequencies, without=["spectral_contrast"])


def test_half_a_minute():
    assert compare(signal("pink", 44_100, 30), 44_100) <= 5


@pytest.mark.slow
def test_ten_minutes():
    assert compare(signal("stereo", 22_050, 600), 22_050) <= 5


def test_fast_is_near():
    """Single precision is told from double by spectral contrast alone, and there by 1 %."""
    y = signal("stereo", 44_100, 2.9)
    exact, fast = summary(y, 44_100), summary(y, 44_100, precision="fast")
    assert (exact != fast).any()
    off = np.abs(fast - exact) - 1e-6 * reach(exact)[0]
    rough = (FEATURE == "spectral_contrast") | HIGHER
    assert (off[~rough] <= 1e-3 * np.abs(exact[~rough])).all()
    assert (off <= 1e-2 * np.maximum(np.abs(exact), 1)).all()


def test_librosa_moves_its_own_values_of_a_tone():
    """Why values are left out: a gain that nobody can hear changes what librosa says of a tone."""
    y = signal("tone", 22_050, 2.9)
    a, b = (librosa.feature.spectral_contrast(y=gain * y, sr=22_050) for gain in (1, 1 + 1e-6))
    assert np.abs(a - b).max() > 1e-3
