"""musicnn gives what its authors' weights give, of whatever audio there is."""

import librosa
import numpy as np
import onnxruntime
import pytest
from audio_files import music, write
from hypothesis import given
from hypothesis import strategies as st

from matt import ConfigError, DataError
from matt.audio import SegmentPolicy, read_blocks, read_segments
from matt.features.computing import compute, computed
from matt.features.extract import extract
from matt.features.kernels import musicnn
from matt.features.kernels.musicnn import N_SAMPLES, TAGS, encoded, log_mel
from matt.features.spec import EXCERPT, FeatureSpec
from matt.features.store import FeatureStore
from matt.models.tagger import card
from matt.tracks import Tracks

FRAMES, HOP = 187, 256


def windows_of(path, n=10):
    """Windows whose frames are those of the whole file, centred: half a frame begins before it."""
    y = np.concatenate(list(read_blocks(path, sr=16_000)))
    y = np.pad(y, (HOP, 2 * HOP))
    return [y[start : start + N_SAMPLES] for start in range(0, n * FRAMES * HOP, FRAMES * HOP)]


@pytest.fixture(scope="module")
def golden(shared_data):
    return np.load(shared_data / "musicnn_msd" / "golden_10_clips.npz")


def test_every_clip_has_the_logits_and_layers_that_were_published(shared_data, golden):
    clips = sorted((shared_data / "fma_clips").glob("*.mp3"))
    assert len(clips) == 10
    for clip in clips:
        excerpts = windows_of(clip)
        found = np.stack([encoded(excerpt) for excerpt in excerpts])
        pooled = np.stack([encoded(excerpt, layer="pooled") for excerpt in excerpts])
        wanted = {name: golden[f"{clip.stem}/{name}"] for name in ("logits", "penultimate")}
        maximum, mean = golden[f"{clip.stem}/max_pool"], golden[f"{clip.stem}/mean_pool"]
        np.testing.assert_allclose(
            log_mel(excerpts[0]), golden[f"{clip.stem}/mel_first_window"], atol=1e-3
        )
        np.testing.assert_allclose(found[:, 200:], wanted["logits"], atol=1e-2)
        np.testing.assert_allclose(found[:, :200], wanted["penultimate"], atol=1e-2)
        np.testing.assert_allclose(pooled[:, 0:1506:2], maximum, atol=1e-2)
        np.testing.assert_allclose(pooled[:, 1:1506:2], mean, atol=1e-2)
        np.testing.assert_array_equal(pooled[:, 1506:], found[:, 200:])


def test_the_log_mel_is_librosas():
    y = music(N_SAMPLES / 16_000, sr=16_000, channels=1)[:, 0]
    mel = librosa.feature.melspectrogram(y=y, sr=16_000, n_fft=512, hop_length=256, n_mels=96)
    np.testing.assert_allclose(log_mel(y), np.log10(1 + 10_000 * mel.T[1:188]), atol=1e-5)


@given(st.sampled_from([(N_SAMPLES - 1,), (N_SAMPLES + 1,), (0,), (N_SAMPLES, 2)]))
def test_what_is_no_excerpt_is_refused(shape):
    with pytest.raises(DataError, match=r"an excerpt of musicnn is 48128 samples .* got the shape"):
        encoded(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("seconds", "sr", "n"), [(0.5, 8_000, 1), (2.9, 44_100, 1), (7.0, 8_000, 2), (40.0, 16_000, 3)]
)
def test_short_and_narrow_files_have_windows_too(tmp_path, seconds, sr, n):
    path = write(tmp_path / "a.wav", music(seconds, sr=sr), sr=sr)
    spec = FeatureSpec.musicnn()
    excerpts = list(read_segments(path, sr=spec.sr, policy=spec.segments))
    assert [len(excerpt.samples) for excerpt in excerpts] == [N_SAMPLES] * n
    values = np.stack([computed(excerpt.samples, excerpt.sr, spec) for excerpt in excerpts])
    assert values.shape == (n, 250)
    assert np.isfinite(values).all()


def test_a_short_file_is_repeated_not_followed_by_silence(tmp_path):
    path = write(tmp_path / "a.wav", music(1.0, sr=16_000), sr=16_000)
    (excerpt,) = read_segments(path, sr=16_000, policy=FeatureSpec.musicnn().segments)
    once = excerpt.samples[:16_000]
    np.testing.assert_array_equal(excerpt.samples, np.resize(once, N_SAMPLES))


def test_extraction_is_the_same_alone_and_beside_a_summary_and_silence_has_no_excerpt(tmp_path):
    loud = write(tmp_path / "loud.wav", music(12.0, sr=16_000), sr=16_000)
    half = np.concatenate([np.zeros((16_000 * 8, 2)), music(4.0, sr=16_000)])
    late = write(tmp_path / "late.wav", half, sr=16_000)
    mute = write(tmp_path / "mute.wav", np.zeros(16_000 * 12), sr=16_000)
    paths = np.array([str(loud), str(late), str(mute)])
    tracks = Tracks(np.arange(3), np.full(3, -1), ("Rock",), path=paths)
    spec = FeatureSpec.musicnn()
    extract(tracks, spec, tmp_path / "store", workers=1)
    store = FeatureStore.open(tmp_path / "store")
    assert store.silent["track_id"].tolist() == [2]
    assert dict(zip(store.track_ids.tolist(), store.n_segments.tolist())) == {0: 3, 1: 1}
    values, _ = store.read(np.array([0]))
    alone = [
        computed(excerpt.samples, excerpt.sr, spec)
        for excerpt in read_segments(loud, sr=16_000, policy=spec.segments)
    ]
    np.testing.assert_allclose(values, alone, atol=1e-5)


def test_any_number_of_windows(tmp_path):
    path = write(tmp_path / "a.wav", music(40.0, sr=16_000), sr=16_000)
    for n in (1, 2, 5):
        policy = SegmentPolicy("spread", EXCERPT, short="tile", n_segments=n)
        found = list(read_segments(path, sr=16_000, policy=policy))
        assert len(found) == n
        assert np.diff([excerpt.start for excerpt in found]) == pytest.approx(40 / n, abs=1e-3)


def test_onnxruntime_too_old_or_missing_is_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setattr(musicnn, "session", musicnn.session.__wrapped__)
    monkeypatch.setattr(onnxruntime, "__version__", "1.2.3")
    with pytest.raises(
        ConfigError, match=r"onnxruntime 1\.2\.3 is too old, 1\.20 or newer .*; pip install"
    ):
        encoded(np.zeros(N_SAMPLES, np.float32))
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(
        ConfigError, match=r"cannot be imported \(.*\); pip install --force-reinstall"
    ):
        encoded(np.zeros(N_SAMPLES, np.float32))


def test_there_are_fifty_tags_and_none_twice():
    assert len(TAGS) == len(set(TAGS)) == 50


@pytest.mark.parametrize(
    ("seconds", "sr"), [(30.0, 44_100), (30.0, 16_000), (7.0, 22_050), (1.3, 8_000)]
)
def test_combined_is_the_summary_and_the_mean_of_windows_of_the_same_audio(seconds, sr):
    y = music(seconds, sr=sr, channels=1)[:, 0]
    found = computed(y, sr, FeatureSpec.combined())
    np.testing.assert_array_equal(found[:518], computed(y, sr, FeatureSpec.summary()))
    at_rate = librosa.resample(y, orig_sr=sr, target_sr=16_000, res_type="soxr_hq")
    tiled = at_rate if len(at_rate) >= N_SAMPLES else np.resize(at_rate, N_SAMPLES)
    parts = min(3, len(tiled) // N_SAMPLES)
    middles = [(2 * part + 1) * len(tiled) / parts / 2 for part in range(parts)]
    excerpts = [tiled[max(round(m - N_SAMPLES / 2), 0) :][:N_SAMPLES] for m in middles]
    wanted = np.mean([encoded(excerpt) for excerpt in excerpts], axis=0)
    np.testing.assert_allclose(found[518:], wanted, atol=2e-2)


def test_silent_windows_of_combined_say_nothing():
    y = music(30.0, sr=16_000, channels=1)[:, 0]
    y[: 2 * len(y) // 3] = 0
    last = computed(y, 16_000, FeatureSpec.combined())[518:]
    middle = 5 * len(y) // 6 - N_SAMPLES // 2
    np.testing.assert_allclose(last, encoded(y[middle : middle + N_SAMPLES]), atol=1e-5)


def test_several_from_one_pass_are_what_each_is_alone():
    y = music(12.0, sr=22_050, channels=1)[:, 0]
    specs = [FeatureSpec.summary(), FeatureSpec.combined()]
    for spec, found in zip(specs, compute(y, 22_050, specs), strict=True):
        np.testing.assert_array_equal(found, computed(y, 22_050, spec))


def test_the_shipped_graph_is_what_the_tool_makes_of_the_weights(shared_data):
    from safetensors.numpy import load_file

    from tools.make_musicnn import PLACE, build, published

    weights = load_file(shared_data / "musicnn_msd" / "weights.safetensors")
    assert f"{sum(w.size for w in weights.values()):,} weights" in card()
    made = build(weights).SerializeToString()
    assert made == PLACE.read_bytes()
    plain = onnxruntime.InferenceSession(
        published(weights).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    mel = np.random.default_rng(0).uniform(0, 4, (3, FRAMES, 96)).astype(np.float32)
    wanted = plain.run(["pooled", "penultimate", "logits"], {"mel": mel})
    found = musicnn.session().run(["pooled", "penultimate", "logits"], {"mel": mel})
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
