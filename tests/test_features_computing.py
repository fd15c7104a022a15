"""Several features of one segment: each is what it is alone, and one that fails fails alone."""

from dataclasses import replace

import librosa
import numpy as np
import pytest

from matt import ConfigError, DataError
from matt.audio import SegmentPolicy
from matt.features.computing import compute, computed, fitted
from matt.features.kernels import frames
from matt.features.kernels.frames import COLUMNS
from matt.features.spec import FeatureSpec

SR, SECONDS = 22_050, 3.0
CUT = SegmentPolicy("first", duration=SECONDS)
SPECS = [
    FeatureSpec.summary(segments=CUT),
    FeatureSpec.mfcc(segments=CUT),
    FeatureSpec.chroma(segments=CUT),
    FeatureSpec.contrast(segments=CUT),
    FeatureSpec.logmel(sr=SR, n_mels=17, segments=CUT),
    FeatureSpec.summary(frequencies="true", segments=CUT),
    FeatureSpec.mfcc(precision="fast", segments=CUT),
]


@pytest.fixture(scope="module")
def samples():
    t = np.arange(int(SECONDS * SR)) / SR
    y = 0.3 * np.sin(2 * np.pi * 392 * t) * np.exp(-2 * (t % 0.5))
    return (y + 0.01 * np.random.default_rng(0).normal(size=len(t))).astype(np.float32)


def test_together_is_as_alone(samples):
    together = compute(samples, SR, SPECS)
    for spec, values in zip(SPECS, together, strict=True):
        assert (values.shape, values.dtype) == (spec.shape, spec.dtype)
        np.testing.assert_array_equal(values, computed(samples, SR, spec))


def test_frame_sequences_are_those_of_librosa(samples):
    mfcc, chroma, contrast = compute(samples, SR, SPECS[1:4])
    feature = librosa.feature
    np.testing.assert_allclose(mfcc, feature.mfcc(y=samples, sr=SR), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(chroma, feature.chroma_stft(y=samples, sr=SR), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(contrast, feature.spectral_contrast(y=samples, sr=SR), atol=1e-3)


def test_what_can_be_shared_is_computed_once(samples, monkeypatch):
    passes = []
    monkeypatch.setattr(
        frames, "spectra", lambda *a, _real=frames.spectra, **k: passes.append(k) or _real(*a, **k)
    )
    compute(samples, SR, [*SPECS[:4], SPECS[5]])
    assert len(passes) == 1  # at FMA's rate, its axis is the true one
    compute(samples, SR, [SPECS[1], SPECS[6]])
    assert [options["precision"] for options in passes[1:]] == ["exact", "fast"]


def test_at_another_rate_fmas_axis_is_its_own(samples):
    rate = 32_000
    specs = [
        FeatureSpec.summary(segments=CUT),
        FeatureSpec.summary(frequencies="true", segments=CUT),
    ]
    fma, true = compute(samples, rate, specs)
    centroid = COLUMNS.index(("spectral_centroid", "mean", "01"))
    assert true[centroid] / fma[centroid] == pytest.approx(rate / 22_050)
    mfcc = COLUMNS.index(("mfcc", "mean", "02"))  # knows its rate either way
    assert true[mfcc] == fma[mfcc]
    np.testing.assert_array_equal(fma, computed(samples, rate, specs[0]))


def test_an_error_of_one_spec_costs_no_other(samples):
    narrow = replace(SPECS[1], shape=(20, 7))
    impossible = FeatureSpec.logmel(sr=SR, n_fft=64, n_mels=90, segments=CUT)
    strange = FeatureSpec.embedding("clap", (5,))
    found = compute(samples, SR, [narrow, SPECS[1], impossible, strange])
    assert [type(values) for values in found] == [DataError, np.ndarray, ConfigError, DataError]
    assert "the spec says (20, 7)" in str(found[0])
    assert "import it as a table" in str(found[3])
    with pytest.raises(ConfigError, match="use fewer bands"):
        computed(samples, SR, impossible)


def test_audio_that_is_no_audio_fails_every_spec(samples):
    for bad in (samples * np.float32(1e20), np.append(samples, np.float32("nan"))):
        found = compute(bad, SR, SPECS)
        assert [type(values) for values in found] == [DataError] * len(SPECS)


def test_silence_has_sequences_too():
    mfcc, chroma, contrast = compute(np.zeros(int(SECONDS * SR), np.float32), SR, SPECS[1:4])
    assert (mfcc[1:] == 0).all()
    assert (chroma == 0).all()
    assert (contrast == 0).all()


def test_values_that_do_not_fit_are_refused():
    spec = FeatureSpec.logmel(segments=CUT)
    with pytest.raises(DataError, match="do not fit float16"):
        fitted(np.full(spec.shape, 1e6), spec)
