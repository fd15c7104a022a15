import os
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile as sf
import soxr
from audio_files import ENCODINGS, SR, cut, flip, make, music, without_length, write
from mutagen.ogg import OggPage

from matt.audio import (
    EXTRA_SUFFIXES,
    SUFFIXES,
    audio_hash,
    decoder_version,
    inspect,
    mpeg,
    quiet_decoders,
    read_blocks,
    structure,
)
from matt.audio.mpeg import parse_frame
from matt.audio.ogg import checksum
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
        ("empty", r"is empty \(0 bytes\); restore it or leave it out"),
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
        (b"\0\0\0\x20ftypM4A " + bytes(100), "AAC in MP4 or ALAC in MP4"),
        (bytes.fromhex("fff150800d1ffc") + bytes(100), r"AAC \(ADTS\)"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100), "WMA"),
        (b"wvpk" + bytes(100), "WavPack"),
        (b"MAC " + bytes(100), "Monkey's Audio"),
        (bytes.fromhex("1a45dfa3") + bytes(100), "Matroska or WebM"),
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


DETECT_DAMAGE = [".mp3", ".flac", ".ogg", ".opus"]


@pytest.fixture(autouse=True)
def _silence():
    with quiet_decoders():
        yield


def salvage(path):
    damages = []
    blocks = list(read_blocks(path, sr=None, on_damage="salvage", damages=damages))
    return np.concatenate(blocks), damages


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_sound_files_are_complete(tmp_path, suffix):
    path = make(tmp_path, suffix)
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("complete", ())
    assert (file.path, file.sr, file.channels, file.duration) == (path, SR, 2, 3.0)
    samples, damages = salvage(path)
    assert (len(samples), damages) == (3 * SR, [])


@pytest.mark.parametrize("suffix", [s for s in ENCODINGS if s != ".caf"])
@pytest.mark.parametrize("keep", [0.98, -1], ids=["2 percent", "one byte"])
def test_a_file_cut_short_is_seen_fails_and_can_be_salvaged(tmp_path, suffix, keep):
    path = make(tmp_path, suffix, 10.0)
    whole = np.concatenate(list(read_blocks(path, sr=None)))
    cut(path, keep)
    file = inspect(path)
    assert file.completeness == "truncated"
    with pytest.raises(AudioError, match=r"truncated: .*; restore the file, or .* --salvage") as e:
        list(read_blocks(path, sr=None))
    assert str(path) in str(e.value)
    assert file.decoder in str(e.value)
    samples, (damage,) = salvage(path)
    assert 0.8 * len(whole) < len(samples) < len(whole)
    assert damage.finished
    assert damage.kept == len(samples) / SR
    if suffix in (".ogg", ".opus"):  # the length is stated by the last page
        assert damage.stated is None
        assert str(damage).startswith(f"kept {damage.kept:.1f} s: truncated")
    else:
        assert damage.stated == pytest.approx(10.0, abs=0.01)
        assert str(damage).startswith(f"kept {damage.kept:.1f} of 10.0 s: truncated")
    n = len(samples) - 5000  # what is kept is what was there; codecs differ in the last frame
    np.testing.assert_allclose(samples[:n], whole[:n], atol=1e-4)


def test_a_caf_cut_short_fails(tmp_path):
    """libsndfile does not open one that lacks more than a few bytes, so nothing is salvaged."""
    path = cut(make(tmp_path, ".caf"), 0.9)
    with pytest.raises(AudioError, match=r"cannot be opened: truncated: .* bytes that its data"):
        list(read_blocks(path, sr=None, on_damage="salvage"))


@pytest.mark.parametrize("suffix", DETECT_DAMAGE)
def test_damage_in_the_middle_fails_and_can_be_salvaged(tmp_path, suffix):
    path = make(tmp_path, suffix, 20.0)
    flip(path, 0.5, 4000)
    with pytest.raises(AudioError, match="restore the file, or keep what decodes with --salvage"):
        list(read_blocks(path, sr=None))
    samples, (damage,) = salvage(path)
    assert 0.8 < len(samples) / (20 * SR) <= 1  # both sides of the damage
    assert suffix == ".opus" or len(samples) < 20 * SR  # Opus conceals what is missing
    assert damage.kept == len(samples) / SR
    assert damage.stated == 20.0
    assert np.isfinite(samples).all()


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".opus"])
def test_a_single_flipped_byte_of_audio_is_seen_where_there_are_checksums(tmp_path, suffix):
    path = flip(make(tmp_path, suffix, 10.0), 0.6)
    with pytest.raises(AudioError, match=r"checksum|decoder failed"):
        list(read_blocks(path, sr=None))


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".w64", ".caf", ".au"])
def test_damaged_pcm_cannot_be_seen(tmp_path, suffix):
    path = flip(make(tmp_path, suffix), 0.5, 40)
    assert inspect(path).completeness == "complete"
    assert len(np.concatenate(list(read_blocks(path, sr=None)))) == 3 * SR


def test_what_lies_behind_damage_is_still_the_audio(tmp_path):
    path = make(tmp_path, ".flac", 20.0)
    whole = np.concatenate(list(read_blocks(path, sr=None)))
    samples, _ = salvage(flip(path, 0.4, 9000))
    np.testing.assert_array_equal(samples[-5 * SR :], whole[-5 * SR :])
    np.testing.assert_array_equal(samples[: 5 * SR], whole[: 5 * SR])


def test_mp3_without_a_length_is_undetectable(tmp_path):
    path = without_length(make(tmp_path, ".mp3", 10.0))
    file = inspect(path)
    assert file.completeness == "undetectable"
    assert file.reason == "no Xing, Info or VBRI header says how many frames there should be"
    cut(path, 0.5)
    file = inspect(path)
    assert file.completeness == "undetectable"
    assert file.reason.endswith("its last frame is cut")
    assert len(np.concatenate(list(read_blocks(path, sr=None)))) > 4 * SR


def test_mp3_bytes_missing_from_the_middle(tmp_path):
    path = make(tmp_path, ".mp3", 10.0)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + content[middle + 3001 :])
    file = inspect(path)
    assert file.completeness == "truncated"
    assert len(file.breaks) == 1
    assert "MPEG sync is lost after" in file.breaks[0]


@pytest.mark.parametrize("junk", [b"\0" * 700, b"junk" * 500], ids=["zeros", "text"])
def test_junk_around_the_frames_of_an_mp3_is_no_damage(tmp_path, junk):
    path = make(tmp_path, ".mp3")
    whole = np.concatenate(list(read_blocks(path, sr=None)))
    path.write_bytes(junk + path.read_bytes() + junk)
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("complete", ())
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(path, sr=None))), whole)


def test_two_mp3_files_joined_are_read_to_the_end(tmp_path):
    path = make(tmp_path, ".mp3")
    path.write_bytes(path.read_bytes() + b"ID3\4\0\0\0\0\0\x05hello" + path.read_bytes())
    assert inspect(path).breaks == ()
    assert len(np.concatenate(list(read_blocks(path, sr=None)))) == pytest.approx(6 * SR, abs=3000)


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF], ids=["sox", "ffmpeg"])
def test_wav_of_a_stream_does_not_state_its_length(tmp_path, size):
    path = make(tmp_path, ".wav")
    content = bytearray(path.read_bytes())
    at = content.find(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    file = inspect(path)
    assert file.completeness == "undetectable"
    assert file.reason == "its data chunk does not state its size"
    assert len(np.concatenate(list(read_blocks(path, sr=None)))) == 3 * SR


def test_rf64_states_its_size_elsewhere(tmp_path):
    path = write(tmp_path / "long.wav", music(3.0), format="RF64")
    assert path.read_bytes()[:4] == b"RF64"
    assert inspect(path).completeness == "complete"
    assert inspect(cut(path, 0.9)).completeness == "truncated"


def test_ogg_pages_that_are_missing_or_repeated(tmp_path):
    path = make(tmp_path, ".ogg", 10.0)
    content = path.read_bytes()
    starts = [at for at in range(len(content)) if content[at : at + 5] == b"OggS\0"]
    assert len(starts) > 5
    third, fourth, fifth = starts[3:6]
    path.write_bytes(content[:fourth] + content[fifth:])
    assert "page 4 is missing" in inspect(path).breaks[0]
    path.write_bytes(content[:fourth] + content[third:])
    assert "page 4 is missing" in inspect(path).breaks[0]


def test_ogg_whose_last_page_is_missing_altogether(tmp_path):
    path = make(tmp_path, ".ogg", 10.0)
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS\0")])
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("truncated", ())
    assert file.reason == "no page says that it is the last"


def test_ogg_checksum_is_that_of_mutagen():
    """An independent implementation writes pages; ours must agree on their checksum."""
    for size in (0, 1, 255, 3000):
        page = OggPage()
        page.packets = [bytes(range(256)) * 12][:1]
        page.packets = [page.packets[0][:size]]
        content = page.write()
        stated = int.from_bytes(content[22:26], "little")
        assert checksum(content[:22] + bytes(4) + content[26:]) == stated


@pytest.mark.parametrize(
    ("n_samples", "channels"), [(1, 1), (17, 2), (4096, 1), (4097, 2), (100_003, 1)]
)
@pytest.mark.parametrize("signal", ["silence", "noise"])
def test_the_last_frame_of_a_flac_is_found(tmp_path, n_samples, channels, signal):
    rng = np.random.default_rng(n_samples)
    shape = (n_samples, channels)
    samples = rng.uniform(-1, 1, shape) if signal == "noise" else np.zeros(shape)
    path = write(tmp_path / "a.flac", samples.astype(np.float32), sr=44_100)
    file = inspect(path)
    assert file.completeness == "complete"
    assert file.reason == (
        f"the last frame ends at sample {n_samples} of the {n_samples} that STREAMINFO states"
    )
    assert inspect_safely(cut(path, -1)) == "truncated"


def inspect_safely(path):
    """Completeness, also where the decoder cannot even open what is left."""
    try:
        return inspect(path).completeness
    except AudioError as error:
        return "truncated" if "truncated" in str(error) else str(error)


@pytest.mark.parametrize(
    ("header", "length", "samples", "sr", "layer"),
    [  # worked by hand from the tables of ISO 11172-3 and 13818-3
        ("fffb9000", 417, 1152, 44_100, 3),  # MPEG-1 layer III, 128 kb/s: 144 * 128000 / 44100
        ("fffb9200", 418, 1152, 44_100, 3),  # with padding
        ("fffa94c0", 384, 1152, 48_000, 3),  # 48 kHz, mono, with a checksum
        ("fff380c4", 208, 576, 22_050, 3),  # MPEG-2 layer III, 64 kb/s: 72 * 64000 / 22050
        ("ffe38800", 576, 576, 8_000, 3),  # MPEG-2.5, 64 kb/s
        ("fffdc000", 835, 1152, 44_100, 2),  # MPEG-1 layer II, 256 kb/s
        ("ffffc000", 416, 384, 44_100, 1),  # MPEG-1 layer I, 384 kb/s: 4 * (12 * 384000 // 44100)
    ],
)
def test_mpeg_headers(header, length, samples, sr, layer):
    frame = parse_frame(bytes.fromhex(header))
    assert (frame.length, frame.samples, frame.sr, frame.layer) == (length, samples, sr, layer)


@pytest.mark.parametrize(
    "header", ["00000000", "fffbf000", "fffb0000", "fffb9c00", "fff99000", "ff"]
)
def test_what_is_no_mpeg_header(header):
    assert parse_frame(bytes.fromhex(header)) is None


def test_libsndfile_would_hide_the_damage(tmp_path):
    """Why the container is examined: the decoder alone goes on without a word."""
    path = flip(make(tmp_path, ".ogg", 10.0), 0.5, 50)
    samples, _ = sf.read(path)
    assert len(samples) < 10 * SR


@pytest.mark.parametrize("size", [5, 418, 1_000, 4_099])
def test_mpeg_frames_are_counted_wherever_a_read_ends(tmp_path, monkeypatch, size):
    whole, short = make(tmp_path, ".mp3", 2.0), tmp_path / "short.mp3"
    content = whole.read_bytes()
    at = len(content) // 2
    short.write_bytes(content[:at] + bytes(1_500) + content[at + 700 : -100])
    at_once = [mpeg_structure(path) for path in (whole, short)]
    assert at_once[0].completeness == "complete"
    assert at_once[1].completeness == "truncated"
    assert len(at_once[1].breaks) == 1
    monkeypatch.setattr(structure, "BLOCK", size)
    assert [mpeg_structure(path) for path in (whole, short)] == at_once


def mpeg_structure(path):
    with path.open("rb") as file:
        return mpeg.examine(structure.FileBytes(file), 0, path.stat().st_size)
