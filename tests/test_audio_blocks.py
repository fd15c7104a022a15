import os
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile as sf
import soxr
from audio_files import ENCODINGS, SR, flip, make, music, without_length, write

from matt.audio import (
    EXTRA_SUFFIXES,
    SUFFIXES,
    audio_hash,
    decoder_version,
    inspect,
    quiet_decoders,
    read_blocks,
)
from matt.errors import AudioError, ConfigError


def decode(path, **options):
    return np.concatenate(list(read_blocks(path, **{"sr": None, **options})))


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_native_decode_is_the_mean_of_the_channels(tmp_path, suffix):
    path = make(tmp_path, suffix)
    expected = sf.read(path, dtype="float32", always_2d=True)[0]
    np.testing.assert_allclose(decode(path), expected.mean(axis=1), atol=1e-6)
    assert not np.allclose(expected[:, 0], expected[:, 1], atol=0.01)
    assert suffix in SUFFIXES


@pytest.mark.parametrize(("sr", "channels"), [(44_100, 2), (22_050, 1), (11_025, 1)])
@pytest.mark.parametrize("block_seconds", [0.3, 5.0])
def test_mp3_in_blocks_is_mp3_at_once(tmp_path, sr, channels, block_seconds):
    """Frames borrow bits from earlier ones, so a decoder that is disturbed between blocks errs."""
    path = tmp_path / "vbr.mp3"
    write(path, music(6.0, sr=sr, channels=channels), sr=sr, bitrate_mode="VARIABLE")
    expected = sf.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    np.testing.assert_allclose(decode(path, block_seconds=block_seconds), expected, atol=1e-6)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8", "ULAW"])
def test_every_channel_counts_the_same(tmp_path, subtype):
    samples = music(1.0, channels=5)
    path = write(tmp_path / "five.wav", samples, subtype=subtype)
    expected = sf.read(path)[0].mean(axis=1)
    np.testing.assert_allclose(decode(path), expected, atol=1e-6)


@pytest.mark.parametrize("sr", [7_919, 12_000, 22_050, 44_100])
@pytest.mark.parametrize("block_seconds", [0.013, 0.7, 60.0])
def test_resampling_a_stream_equals_resampling_the_whole(tmp_path, sr, block_seconds):
    path = make(tmp_path, ".flac", 2.3)
    mono = sf.read(path, dtype="float32")[0].mean(axis=1)
    whole = soxr.resample(mono, SR, sr, quality="HQ")
    streamed = decode(path, sr=sr, block_seconds=block_seconds)
    assert len(streamed) == len(whole)
    np.testing.assert_allclose(streamed, whole, atol=1e-6)


def test_blocks_have_the_length_asked_for(tmp_path):
    path = make(tmp_path, ".wav", 3.0)
    lengths = [len(block) for block in read_blocks(path, sr=None, block_seconds=0.7)]
    assert lengths == [16_800, 16_800, 16_800, 16_800, 4_800]


def test_blocks_do_not_share_memory(tmp_path):
    first, second = read_blocks(make(tmp_path, ".wav", 2.0), sr=None, block_seconds=1.0)
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff"])
def test_a_tenth_of_a_second(tmp_path, suffix):
    path = make(tmp_path, suffix, 0.1)
    assert len(decode(path)) == 2_400
    assert len(decode(path, sr=12_000)) == 1_200


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg"])
def test_content_decides_and_not_the_suffix(tmp_path, suffix):
    path = make(tmp_path, suffix)
    mislabelled = path.rename(tmp_path / "music.wav")
    assert inspect(mislabelled).format.lower().startswith(suffix[1:])
    assert len(decode(mislabelled)) == 3 * SR


@pytest.mark.skipif(sys.platform != "linux", reason="names are no bytes on this system")
def test_names_need_not_be_utf8(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.flac")
    make(tmp_path, ".flac").rename(path)
    assert len(decode(path)) == 3 * SR


def test_memory_does_not_grow_with_duration(tmp_path):
    peaks = []
    for hours in (0.5, 3.0):
        sr = 100  # Hz: three hours are a million samples
        samples = np.zeros(round(hours * 3600 * sr), dtype=np.float32)
        path = write(tmp_path / "long.wav", samples, sr=sr)
        size = samples.nbytes
        del samples
        tracemalloc.start()
        n = sum(len(block) for block in read_blocks(path, sr=50))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n == hours * 3600 * 50
    assert peaks[1] < 1.1 * peaks[0] + 10_000
    assert peaks[1] < size / 3


# MP3 and FLAC that do not state their length


@pytest.mark.parametrize(
    ("sr", "channels"),
    [(44_100, 2), (32_000, 1), (24_000, 2), (22_050, 1), (8_000, 2), (11_025, 1)],
)
def test_mp3_of_varying_bitrate_without_a_length_is_read_to_its_end(tmp_path, sr, channels):
    loud = music(2.0, sr=sr, channels=channels)
    samples = np.concatenate([loud, np.zeros((4 * sr, channels), np.float32)])
    path = write(tmp_path / "vbr.mp3", samples, sr=sr, bitrate_mode="VARIABLE")
    complete = decode(path)
    assert len(complete) == len(samples)
    without_length(path)
    assert sf.info(path).frames < 0.9 * len(samples)  # where libsndfile alone would stop
    stripped = decode(path)
    # The header also says how much of the encoder's delay is to be left out.
    delay = int(np.argmax(np.correlate(stripped[: 2 * sr], complete[2000:4000], "valid"))) - 2000
    assert delay in (576, 1105 - 529)
    np.testing.assert_allclose(stripped[delay : delay + len(complete)], complete, atol=1e-6)
    assert inspect(path).completeness == "undetectable"
    assert inspect(path).duration == pytest.approx(6.0, abs=0.5)


def test_mp3_that_states_too_few_frames_is_read_to_its_end(tmp_path):
    path = make(tmp_path, ".mp3")
    content = bytearray(path.read_bytes())
    complete = decode(path)
    at = content.find(b"Xing") + 8
    stated = int.from_bytes(content[at : at + 4], "big")
    content[at : at + 4] = (stated // 2).to_bytes(4, "big")
    path.write_bytes(content)
    assert sf.info(path).frames < 0.6 * len(complete)
    np.testing.assert_array_equal(decode(path), complete)


def test_mp3_with_a_vbri_header_is_read_to_its_end(tmp_path):
    """Fraunhofer's header: at byte 36 of a silent first frame, the frame count at byte 14 of it."""
    path = make(tmp_path, ".mp3")
    content = path.read_bytes()
    first = content.find(content[:2], 4)
    stated = content[content.find(b"Xing") + 8 :][:4]
    vbri = content[:4] + bytes(32) + b"VBRI" + bytes(10) + stated
    path.write_bytes(vbri.ljust(first, b"\0") + content[first:])
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("complete", ())
    assert "VBRI" in file.reason
    assert file.duration == pytest.approx(3.0, abs=0.1)
    assert len(decode(path)) == pytest.approx(3 * SR, abs=3000)


def test_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    path = make(tmp_path, ".flac")
    complete = decode(path)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # 36 bits in STREAMINFO
    content[22:26] = bytes(4)
    path.write_bytes(content)
    np.testing.assert_array_equal(decode(path), complete)
    file = inspect(path)
    assert (file.duration, file.completeness) == (3.0, "undetectable")


# Bad input


def unreadable(folder, kind):
    path = folder / f"{kind}.mp3"
    if kind == "text":
        path.write_text("This is not music.\n" * 500)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "random":
        path.write_bytes(np.random.default_rng(0).bytes(100_000))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "No such file or directory; check the path"),
        ("empty", r"is empty \(0 bytes\); restore or delete it"),
        ("text", "holds no audio format that libsndfile .* knows; check what it is"),
        ("random", "holds no audio format"),
        ("folder", "is a folder; name an audio file"),
        pytest.param(
            "pipe",
            "is no regular file; name an audio file",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no named pipes"),
        ),
    ],
)
def test_unreadable_files_say_why(tmp_path, kind, message):
    path = unreadable(tmp_path, kind)
    for read in (decode, inspect):
        with pytest.raises(AudioError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_permission_denied(tmp_path):
    path = make(tmp_path, ".flac")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(AudioError, match="make it readable"):
        decode(path)


def test_permission_denied_to_any_user(tmp_path, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    path = make(tmp_path, ".flac")
    monkeypatch.setattr("matt.audio.containers.open", denied, raising=False)
    with pytest.raises(AudioError, match=r"cannot be read: Permission denied; make it readable"):
        decode(path)


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".ogg"])
def test_no_samples(tmp_path, suffix):
    path = write(tmp_path / f"none{suffix}", np.empty((0, 2), np.float32))
    with pytest.raises(AudioError, match=r"holds no audio \(0 samples\)"):
        decode(path)


def test_too_short_to_be_resampled(tmp_path):
    path = write(tmp_path / "one.wav", music(1 / SR))
    assert len(decode(path)) == 1
    with pytest.raises(AudioError, match="1 samples at 24000 Hz are none at 8000 Hz"):
        decode(path, sr=8_000)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_fail_the_file(tmp_path, value):
    samples = music(3.0)
    samples[-7, 1] = value
    path = write(tmp_path / "broken.wav", samples, subtype="FLOAT")
    for on_damage in ("fail", "salvage"):
        with pytest.raises(AudioError, match="holds NaN or infinite samples"):
            decode(path, on_damage=on_damage)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\0\0\0\x20ftypM4A " + bytes(100), r"MP4 audio \(AAC or ALAC\)"),
        (bytes.fromhex("fff150800d1ffc") + bytes(100), r"AAC audio \(ADTS\)"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100), r"Windows Media audio"),
        (b"wvpk" + bytes(100), "WavPack audio"),
        (b"MAC " + bytes(100), "Monkey's Audio"),
        (bytes.fromhex("1a45dfa3") + bytes(100), "Matroska or WebM audio"),
    ],
    ids=["mp4", "aac", "wma", "wavpack", "ape", "matroska"],
)
def test_formats_of_the_extra_say_what_to_install(tmp_path, monkeypatch, content, name):
    path = tmp_path / "music.mp3"
    path.write_bytes(content)
    monkeypatch.setitem(sys.modules, "av", None)
    message = rf"music.mp3 holds {name}.*, which needs PyAV; pip install 'matt-mgc\[formats\]'$"
    for read in (decode, inspect):
        with pytest.raises(AudioError, match=message):
            read(path)
    assert not SUFFIXES & EXTRA_SUFFIXES


def test_wrong_arguments(tmp_path):
    path = make(tmp_path, ".wav")
    with pytest.raises(ConfigError, match="sr must be at least 1 Hz, got 0"):
        decode(path, sr=0)
    with pytest.raises(ConfigError, match="block_seconds must be positive, got 0"):
        decode(path, block_seconds=0)
    with pytest.raises(ConfigError, match="on_damage must be 'fail' or 'salvage', got 'ignore'"):
        decode(path, on_damage="ignore")


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_nothing_but_our_errors_from_damaged_bytes(tmp_path, suffix):
    """Flip and cut in many places: a file decodes, or fails as an AudioError."""
    rng = np.random.default_rng(7)
    original = make(tmp_path, suffix, 0.5).read_bytes()
    path = tmp_path / f"damaged{suffix}"
    outcomes = set()
    with quiet_decoders():
        for trial in range(120):
            content = bytearray(original)
            reach = 200 if trial % 2 else len(content)  # headers are the interesting part
            for _ in range(3 if trial else 0):
                content[rng.integers(min(reach, len(content)))] = rng.integers(256)
            path.write_bytes(
                content[: rng.integers(20, len(content) + 1)] if trial % 3 else content
            )
            assert len(audio_hash(path)) == 64
            for on_damage in ("fail", "salvage"):
                try:
                    outcomes.add(np.isfinite(decode(path, sr=16_000, on_damage=on_damage)).all())
                except AudioError:
                    outcomes.add("failed")
    assert outcomes == {True, "failed"}


# File descriptor 2


def test_decoders_can_be_silenced(tmp_path, capfd):
    path = flip(make(tmp_path, ".mp3"), 0.5, 5000)
    list(read_blocks(path, sr=None, on_damage="salvage"))
    os.write(2, b"before ")
    with quiet_decoders():
        list(read_blocks(path, sr=None, on_damage="salvage"))
        os.write(2, b"hidden ")
        print("hidden too", file=sys.__stderr__)
    os.write(2, b"after")
    assert capfd.readouterr().err.endswith("before after")


def test_errors_pass_through_the_silence(capfd):
    with pytest.raises(ZeroDivisionError), quiet_decoders():
        1 / 0  # noqa: B018
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


# Real clips


OLD_MODULES = pytest.mark.filterwarnings(  # imported by audioread, which librosa imports
    "ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning"
)


@OLD_MODULES
def test_real_clips(shared_data):
    librosa = pytest.importorskip("librosa")
    clips = sorted((shared_data / "fma_clips").glob("*.mp3"))
    assert len(clips) == 10
    for path in clips:
        file = inspect(path)
        assert file.decoder == f"libsndfile {sf.__libsndfile_version__}"
        assert file.decoder in decoder_version()
        assert file.completeness == "complete"
        assert file.breaks == ()
        assert 29.9 < file.duration < 30.1
        samples = decode(path)
        expected, sr = librosa.load(path, sr=None)
        assert (file.sr, len(samples)) == (sr, len(expected))
        np.testing.assert_allclose(samples, expected, atol=1e-6)


@OLD_MODULES
def test_real_clip_resampled_as_librosa_does(shared_data):
    librosa = pytest.importorskip("librosa")
    path = shared_data / "fma_clips" / "000574.mp3"
    expected, _ = librosa.load(path, sr=12_000, res_type="soxr_hq")
    samples = decode(path, sr=12_000)
    assert abs(len(samples) - len(expected)) <= 1  # librosa rounds up and fills with a zero
    n = min(len(samples), len(expected))
    np.testing.assert_allclose(samples[:n], expected[:n], atol=1e-6)
