"""FMA's own script on ten real clips, ideal signals, and the cases it leaves undefined."""

import itertools

import librosa
import numpy as np
import pytest
import scipy.stats
import soundfile

from matt import DataError
from matt.features.kernels.frames import COLUMNS, SIZES, STATISTICS, frame_features, summary
from matt.features.spec import SUMMARY_SIZE

SR = 22_050
RMS_OF_TONE = 0.3 / np.sqrt(2) * np.sqrt(3 / 8)  # of windowed frames; 3/8 is a Hann window's power
HIGHER = np.array([statistic in ("skew", "kurtosis") for _, statistic, _ in COLUMNS])


def tone(frequency, *, seconds=1.5, sr=SR, gain=0.3):
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


def test_columns_are_unique_sorted_and_as_many_as_the_spec_says():
    assert len(set(COLUMNS)) == SUMMARY_SIZE
    assert sorted(COLUMNS) == list(COLUMNS)


def test_statistics_are_those_of_scipy_and_numpy():
    y = np.random.default_rng(0).normal(size=SR).astype("f4")
    rows = frame_features(y, SR)
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
    np.testing.assert_allclose(summary(y, SR), np.concatenate(expected), rtol=1e-5, atol=1e-6)


def test_a_tone_has_its_own_centroid_pitch_class_and_zero_crossings():
    values = summary(tone(440), SR)
    assert value(values, "spectral_centroid", "median") == pytest.approx(440, rel=0.01)
    assert value(values, "zcr", "median") == pytest.approx(2 * 440 / SR, abs=2 / 2048)
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
    chroma = frame_features(y, SR)["chroma_cqt"].mean(axis=1)
    assert set(np.argsort(chroma)[-3:]) == {0, 4, 7}


def test_all_silent_audio_has_finite_values_and_no_chroma():
    values = summary(np.zeros(SR, "f4"), SR)
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
    y = np.concatenate([tone(440), np.zeros(SR, "f4")])
    rows = frame_features(y, SR)
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
    rows = frame_features(y, SR)
    assert {row.shape for row in rows.values()} == {(n, 1 + len(y) // 512) for n in SIZES.values()}
    assert value(summary(y, SR), "rmse", "median") == pytest.approx(RMS_OF_TONE, rel=0.02)


def test_low_rates_keep_their_pitch():
    chroma = frame_features(tone(440, sr=8_000), 8_000)["chroma_cqt"].mean(axis=1)
    assert np.argmax(chroma) == 9


def test_input_is_not_changed():
    y = tone(440)
    before = y.copy()
    summary(y, SR)
    np.testing.assert_array_equal(y, before)


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
        summary(y, SR)


def test_tuning_is_estimated():
    """A tone 30 cents sharp has the chroma of the tone itself."""
    sharp = tone(440 * 2 ** (0.3 / 12))
    assert librosa.estimate_tuning(y=sharp, sr=SR) == pytest.approx(0.3, abs=0.02)
    for feature in ("chroma_cqt", "chroma_cens"):
        found, expected = (
            np.median(frame_features(y, SR)[feature], axis=1) for y in (sharp, tone(440))
        )
        np.testing.assert_allclose(found, expected, atol=0.03)
