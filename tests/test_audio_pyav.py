"""Formats that PyAV decodes: real files, made here by the encoders of ffmpeg that come with it."""

import sys
import tracemalloc

import numpy as np
import pytest
from audio_files import PYAV_ENCODINGS, SR, STEP, make_pyav, quantised, tones, write_pyav

from matt.audio import (
    EXTRA_SUFFIXES,
    SUFFIXES,
    SegmentPolicy,
    audio_hash,
    decoder_version,
    inspect,
    read_blocks,
    read_segments,
)
from matt.errors import AudioError

av = pytest.importorskip("av", reason="PyAV, of the extra [formats], is not installed")

LOSSLESS = ["alac", "alac24", "wavpack", "wavpack-float", "wavpack-8", "oggflac", "matroska"]
LOSSY = ["aac", "adts", "wma"]
DELAY = {"adts": 1024, "wma": -2048}  # of ffmpeg's encoder; its decoder of WMA skips two frames


def decode(path, **options):
    return np.concatenate(list(read_blocks(path, **{"sr": None, **options})))


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize(("sr", "channels"), [(8_000, 1), (48_000, 2), (44_100, 6)])
def test_lossless_files_decode_to_the_samples_that_were_written(tmp_path, kind, sr, channels):
    samples = tones(1.3, sr=sr, channels=channels)
    path = write_pyav(tmp_path / "a", kind, samples, sr=sr)
    sample_format = PYAV_ENCODINGS[kind][3]
    written = samples
    if STEP[sample_format]:
        scale = {"u8p": 2.0**-7, "s16": 2.0**-15, "s16p": 2.0**-15, "s32p": 2.0**-31}[sample_format]
        written = (quantised(samples, sample_format) - 128.0 * (sample_format == "u8p")) * scale
    decoded = decode(path)
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, written.mean(axis=1), atol=1e-6)
    file = inspect(path)
    assert (file.sr, file.channels, file.breaks) == (sr, channels, ())
    assert file.duration == pytest.approx(len(samples) / sr, abs=0.001)  # Matroska counts in ms
    assert file.completeness == ("undetectable" if kind == "matroska" else "complete")


@pytest.mark.parametrize("kind", LOSSY)
@pytest.mark.parametrize(("sr", "channels"), [(8_000, 1), (48_000, 2)])
def test_lossy_files_decode_to_nearly_the_same_at_the_same_place(tmp_path, kind, sr, channels):
    path = make_pyav(tmp_path, kind, 3.0, sr=sr, channels=channels)
    original, decoded = tones(3.0, sr=sr, channels=channels).mean(axis=1), decode(path)
    delay = DELAY.get(kind, 0)
    if kind == "wma" and sr == 8_000:
        delay = -512  # frames are shorter at low rates
    original = original[max(-delay, 0) :]
    decoded = decoded[max(delay, 0) :]
    assert abs(len(decoded) - len(original)) <= 2 * 2048
    n = min(len(original), len(decoded)) - 2048
    error = decoded[4096:n] - original[4096:n]
    assert np.mean(error**2) < 0.003 * np.mean(original[4096:n] ** 2)  # 25 dB
    shifted = decoded[4097 : n + 1] - original[4096:n]  # a sample beside it is worse
    assert np.mean(shifted**2) > 2 * np.mean(error**2)
    file = inspect(path)
    assert (file.sr, file.channels) == (sr, channels)
    assert file.duration == pytest.approx(3.0, abs=4096 / sr)


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        ("aac", "MP4 AAC"),
        ("alac", "MP4 ALAC"),
        ("adts", "ADTS AAC"),
        ("wma", "ASF WMAV2"),
        ("wavpack", "WavPack"),
        ("oggflac", "Ogg FLAC"),
        ("matroska", "Matroska FLAC"),
    ],
)
def test_content_decides_and_the_decoder_is_named(tmp_path, kind, encoding):
    path = make_pyav(tmp_path, kind).rename(tmp_path / "music.mp3")
    file = inspect(path)
    assert file.format == encoding
    assert file.decoder.startswith(f"PyAV {av.__version__} (libavcodec ")
    assert decoder_version().endswith(f", {file.decoder}")
    assert decoder_version().startswith("libsndfile ")


def test_a_picture_before_the_audio_is_passed_over(tmp_path):
    plain, covered = make_pyav(tmp_path, "alac"), tmp_path / "cover.m4a"
    write_pyav(covered, "alac", tones(3.0), cover=True)
    with av.open(str(covered)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    np.testing.assert_array_equal(decode(covered), decode(plain))


def test_a_file_without_audio(tmp_path):
    path = tmp_path / "picture.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        image = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"cannot be opened: it has no audio stream; restore"):
        decode(path)


@pytest.mark.parametrize("kind", ["aac", "alac", "adts", "wma", "wavpack", "oggflac"])
def test_blocks_joined_do_not_depend_on_their_length(tmp_path, kind):
    path = make_pyav(tmp_path, kind)
    whole = decode(path, block_seconds=60.0)
    np.testing.assert_array_equal(decode(path, block_seconds=0.0131), whole)
    first, second, *_ = read_blocks(path, sr=None, block_seconds=0.5)
    assert (len(first), len(second)) == (SR // 2, SR // 2)
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize("kind", ["aac", "wma", "wavpack"])
def test_segments_are_cut_as_from_any_file(tmp_path, kind):
    path = make_pyav(tmp_path, kind, 5.0)
    whole, n = decode(path), SR
    segments = list(read_segments(path, sr=None, policy=SegmentPolicy("all", 1.0)))
    for number, segment in enumerate(segments[:4]):
        np.testing.assert_array_equal(segment.samples, whole[number * n : (number + 1) * n])
    (middle,) = read_segments(path, sr=None, policy=SegmentPolicy("middle", 1.0))
    at = round(middle.start * SR)
    assert at == pytest.approx(2 * SR, abs=4096)
    np.testing.assert_array_equal(middle.samples, whole[at : at + n])


@pytest.mark.parametrize("kind", ["aac", "alac"])
def test_memory_does_not_grow_with_duration(tmp_path, kind):
    peaks = []
    for seconds in (60.0, 240.0):
        path = make_pyav(tmp_path, kind, seconds, sr=8_000, channels=1)
        tracemalloc.start()
        n = sum(len(block) for block in read_blocks(path, sr=4_000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n == pytest.approx(4_000 * seconds, abs=1024)
    assert peaks[1] < 1.2 * peaks[0] + 10_000


def test_file_tags_in_no_encoding_at_all_do_no_harm(tmp_path):
    path = make_pyav(tmp_path, "wavpack")
    before = decode(path)
    content = path.read_bytes()
    broken = b"title\0\xff\xfe\xfd"
    item = (3).to_bytes(4, "little") + bytes(4) + broken
    footer = b"APETAGEX" + (2000).to_bytes(4, "little") + (32 + len(item)).to_bytes(4, "little")
    path.write_bytes(content + item + footer + (1).to_bytes(4, "little") + bytes(12))
    np.testing.assert_array_equal(decode(path), before)


# Without PyAV


@pytest.mark.parametrize("kind", PYAV_ENCODINGS)
def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch, kind):
    path = make_pyav(tmp_path, kind, 0.5)
    before = audio_hash(path)
    monkeypatch.setitem(sys.modules, "av", None)
    for read in (decode, inspect):
        with pytest.raises(AudioError, match=r"holds .*, which needs PyAV; pip install ") as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert str(caught.value).endswith("pip install 'matt-mgc[formats]'")
    assert audio_hash(path) == before
    assert "PyAV" not in decoder_version()


def test_files_of_these_formats_are_found_by_their_suffix():
    assert {suffix for suffix, *_ in PYAV_ENCODINGS.values()} - {".mka", ".oga"} < EXTRA_SUFFIXES
    assert ".oga" in SUFFIXES
    assert not SUFFIXES & EXTRA_SUFFIXES
