"""Formats that PyAV decodes: real files, made here by the encoders of ffmpeg that come with it.

Whole and damaged, before and after tagging, and a library of them from tags to features.
"""

import hashlib
import sys
import tracemalloc

import mutagen
import mutagen.apev2
import mutagen.asf
import mutagen.id3
import mutagen.mp4
import mutagen.oggflac
import mutagen.wavpack
import numpy as np
import pytest
from audio_files import PYAV_ENCODINGS, SR, STEP, cut, flip, make_pyav, quantised, tones, write_pyav
from hypothesis import given
from hypothesis import strategies as st

from matt import FeatureStore
from matt.audio import (
    EXTRA_SUFFIXES,
    SUFFIXES,
    SegmentPolicy,
    audio_hash,
    decoder_version,
    inspect,
    quiet_decoders,
    read_blocks,
    read_segments,
)
from matt.audio.containers import examine
from matt.audio.mpeg import parse_adts
from matt.cli.doctor import try_formats
from matt.datasets.folder import scan
from matt.errors import AudioError
from matt.features.extract import extract
from matt.features.kernels.frames import logmel
from matt.features.plan import Plan
from matt.features.spec import FeatureSpec

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


KINDS = ["aac", "alac", "adts", "wma", "wavpack", "oggflac", "matroska"]


def salvage(path):
    damages = []
    return decode(path, on_damage="salvage", damages=damages), damages


def untag(path):
    """Take away what ffmpeg writes behind the audio of WavPack: the name of the encoder."""
    if path.suffix == ".wv":
        mutagen.apev2.APEv2(path).delete()


def index_first(path):
    """Write an MP4 anew with its index before the audio, as it is written for streaming."""
    moved = path.with_name("first.m4a")
    with (
        av.open(str(path)) as source,
        av.open(str(moved), "w", format="mp4", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return moved


@pytest.mark.parametrize("kind", ["aac", "alac", "wma", "wavpack"])
@pytest.mark.parametrize("keep", [0.7, -1], ids=["30 percent", "one byte"])
def test_a_file_cut_short_is_seen_fails_and_can_be_salvaged(tmp_path, kind, keep):
    path = make_pyav(tmp_path, kind, 10.0)
    path = index_first(path) if kind in ("aac", "alac") else path
    untag(path)
    whole = decode(path)
    cut(path, keep)
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("truncated", ())
    with pytest.raises(AudioError, match=r"truncated: .*; restore the file, or .* --salvage") as e:
        decode(path)
    assert str(path) in str(e.value)
    assert file.decoder in str(e.value)
    samples, (damage,) = salvage(path)
    assert 0.5 * len(whole) < len(samples) <= len(whole)
    assert keep < 0 or len(samples) < 0.8 * len(whole)
    assert damage.finished
    assert damage.kept == len(samples) / SR
    assert damage.stated == pytest.approx(10.0, abs=0.1)
    n = len(samples) - 8192
    np.testing.assert_allclose(samples[:n], whole[:n], atol=1e-4)


def test_an_mp4_that_lost_its_index_cannot_be_opened(tmp_path):
    path = cut(make_pyav(tmp_path, "aac", 10.0), 0.5)
    for on_damage in ("fail", "salvage"):
        with pytest.raises(
            AudioError,
            match=r"cannot be opened: truncated: \d+ of the \d+ bytes that its mdat box states are "
            r"there, and it has no moov box; .*; restore the file or leave it out",
        ):
            decode(path, on_damage=on_damage)


def test_a_matroska_file_cut_short_is_seen_by_its_length(tmp_path):
    path = cut(make_pyav(tmp_path, "matroska", 10.0), 0.7)
    with pytest.raises(AudioError, match=r"only [67]\.\d of 10\.0 s decode; restore"):
        decode(path)
    samples, (damage,) = salvage(path)
    assert len(samples) == pytest.approx(7 * SR, abs=SR)
    assert "only" in damage.reason


def test_a_cut_adts_stream_is_undetectable(tmp_path):
    path = make_pyav(tmp_path, "adts", 10.0)
    assert inspect(path).completeness == "undetectable"
    cut(path, -10)
    file = inspect(path)
    assert file.completeness == "undetectable"
    assert file.reason.endswith("its last frame is cut")


@pytest.mark.parametrize("kind", ["aac", "alac", "adts", "wma", "wavpack", "oggflac"])
def test_damage_in_the_middle_fails_and_can_be_salvaged(tmp_path, kind):
    path = make_pyav(tmp_path, kind, 20.0)
    whole = decode(path)
    size = path.stat().st_size
    flip(path, 0.5, size // 20)
    with pytest.raises(AudioError, match="restore the file, or keep what decodes with --salvage"):
        decode(path)
    samples, (damage,) = salvage(path)
    assert 0.8 * len(whole) < len(samples) <= len(whole)
    assert damage.kept == len(samples) / SR
    assert np.isfinite(samples).all()
    quarter = len(whole) // 4  # both sides of the damage are kept
    np.testing.assert_allclose(samples[:quarter], whole[:quarter], atol=1e-4)
    np.testing.assert_allclose(samples[-quarter:], whole[-quarter:], atol=1e-4)


@pytest.mark.parametrize("position", [0.2, 0.5, 0.9])
def test_a_single_flipped_byte_of_wavpack_is_seen(tmp_path, position):
    path = flip(make_pyav(tmp_path, "wavpack", 10.0), position)
    with pytest.raises(AudioError, match="the decoder failed after"):
        decode(path)


def test_wavpack_blocks_that_are_missing(tmp_path):
    path = make_pyav(tmp_path, "wavpack", 10.0)
    content = path.read_bytes()
    starts = [at for at in range(len(content)) if content[at : at + 4] == b"wvpk"]
    assert len(starts) > 7
    path.write_bytes(content[: starts[3]] + content[starts[4] :])
    file = inspect(path)
    assert file.completeness == "complete"
    assert len(file.breaks) == 1
    assert file.breaks[0].endswith("are missing")
    path.write_bytes(content[: starts[-1]])
    assert inspect(path).completeness == "truncated"


def test_wavpack_of_unknown_length_is_read_to_its_end(tmp_path):
    path = make_pyav(tmp_path, "wavpack", 4.0)
    content = bytearray(path.read_bytes())
    content[12:16] = b"\xff" * 4  # the total, in the first block
    path.write_bytes(content)
    file = inspect(path)
    assert (file.completeness, file.duration) == ("undetectable", 4.0)
    assert len(decode(path)) == 4 * SR


@pytest.mark.parametrize(("sr", "channels"), [(2 * SR, 2), (SR, 1)], ids=["rate", "channels"])
def test_a_stream_that_changes_within_is_damage(tmp_path, sr, channels):
    path = make_pyav(tmp_path, "adts", 2.0)
    n = len(decode(path))
    other = write_pyav(tmp_path / "b.aac", "adts", tones(1.0, sr=sr, channels=channels), sr=sr)
    path.write_bytes(path.read_bytes() + other.read_bytes())
    what = "the sampling rate changes from 24000 to 48000 Hz"
    if channels == 1:
        what = "the number of channels changes from 2 to 1"
    with pytest.raises(AudioError, match=what):
        decode(path)
    samples, (damage,) = salvage(path)
    assert len(samples) == pytest.approx(n, abs=1024)
    assert what in damage.reason


def test_what_monkeys_audio_states_is_compared(tmp_path):
    """Nothing here can encode it: a descriptor by hand, with sections that add up."""
    sections = [52, 24, 12, 44, 4321, 0, 5]
    sizes = b"".join(n.to_bytes(4, "little") for n in sections)
    descriptor = b"MAC " + (3990).to_bytes(2, "little") + bytes(2) + sizes
    path = tmp_path / "a.ape"
    path.write_bytes(descriptor.ljust(sum(sections), b"x"))
    assert examine(path).completeness == "complete"
    tags = mutagen.apev2.APEv2()
    tags["Title"] = "title"
    before = audio_hash(path)
    tags.save(path)
    assert examine(path).completeness == "complete"
    assert audio_hash(path) == before
    path.write_bytes(descriptor.ljust(sum(sections) - 1, b"x"))
    structure = examine(path)
    assert structure.completeness == "truncated"
    assert structure.reason == "4457 of the 4458 bytes that its descriptor states are there"
    with pytest.raises(AudioError, match=r"Monkey's Audio, PyAV .* cannot be opened: truncated"):
        decode(path)


@pytest.mark.parametrize(
    ("header", "length"),
    [  # bits 30 to 42 of ISO 14496-3, 1.A.2.2
        ("fff150800d1ffc", 104),
        ("fff94c40ffffe0", 2047),
    ],
)
def test_adts_headers(header, length):
    assert parse_adts(bytes.fromhex(header)).length == length


@pytest.mark.parametrize("header", ["fffb90640d1ffc", "fff17c800d1ffc", "fff15080001ffc", "fff150"])
def test_what_is_no_adts_header(header):
    assert parse_adts(bytes.fromhex(header)) is None


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return {kind: make_pyav(folder, kind, 0.7).read_bytes() for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_nothing_but_our_errors_from_damaged_bytes(tmp_path_factory, originals, kind, data):
    """Flip and cut anywhere: a file decodes, or fails as an AudioError."""
    content = bytearray(originals[kind])
    keep = data.draw(st.one_of(st.just(len(content)), st.integers(20, len(content))), "keep")
    reach = data.draw(st.sampled_from([100, 700, keep]), "reach")  # headers, or anywhere
    for _ in range(data.draw(st.integers(0, 4), "flips")):
        at = data.draw(st.integers(0, min(reach, keep) - 1), "at")
        content[at] = data.draw(st.integers(0, 255), "byte")
    path = tmp_path_factory.mktemp("damaged") / "music"
    path.write_bytes(content[:keep])
    assert len(audio_hash(path)) == 64
    with quiet_decoders():
        for on_damage in ("fail", "salvage"):
            try:
                assert np.isfinite(decode(path, sr=16_000, on_damage=on_damage)).all()
            except AudioError as error:
                assert str(path) in str(error)  # noqa: PT017
                assert "; " in str(error)  # noqa: PT017


BIG = "la " * 60_000


def tag_mp4(path, text):
    file = mutagen.mp4.MP4(path)
    file["\xa9nam"] = text
    file["covr"] = [mutagen.mp4.MP4Cover(bytes(70_000))]
    file.save()


def tag_asf(path, text):
    file = mutagen.asf.ASF(path)
    file["Title"] = text[:9999]  # 16 bits of size
    file["WM/Picture"] = mutagen.asf.ASFByteArrayAttribute(bytes(60_000))
    file.save()


def tag_wavpack(path, text):
    file = mutagen.wavpack.WavPack(path)
    file["Title"] = text
    file.save()


def tag_id3(path, text):
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=3, text=text))
    tags.save(path, v1=2)


def tag_ape(path, text):
    tags = mutagen.apev2.APEv2()
    tags["Title"] = text
    tags.save(path)


def tag_ogg(path, text):
    file = mutagen.oggflac.OggFLAC(path)
    file["title"] = text
    file.save()


@pytest.mark.parametrize(
    ("kind", "tag"),
    [
        ("aac", tag_mp4),
        ("alac", tag_mp4),
        ("adts", tag_id3),
        ("adts", tag_ape),
        ("wma", tag_asf),
        ("wavpack", tag_wavpack),
        ("wavpack", tag_id3),
        ("oggflac", tag_ogg),
    ],
)
def test_tags_change_neither_hash_nor_samples_but_audio_does(tmp_path, kind, tag):
    path = make_pyav(tmp_path, kind, 4.0)
    untagged, before, samples = path.read_bytes(), audio_hash(path), decode(path)
    for text in ("a title", BIG, "short again"):
        tag(path, text)
        assert path.read_bytes() != untagged
        assert audio_hash(path) == before
        file = inspect(path)
        assert (file.completeness, file.breaks) in (("complete", ()), ("undetectable", ()))
        assert (file.completeness == "undetectable") == (kind == "adts")
        np.testing.assert_array_equal(decode(path), samples)
    middle = len(untagged) // 2
    position = path.read_bytes().find(untagged[middle : middle + 100])
    assert position > 0
    assert audio_hash(flip(path, position + 50)) != before


def test_wma_is_hashed_by_its_data_object(tmp_path):
    path = make_pyav(tmp_path, "wma", 1.0)
    content = path.read_bytes()
    at = content.find(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c"))
    size = int.from_bytes(content[at + 16 : at + 24], "little")
    expected = hashlib.sha256(content[at + 24 : at + size]).hexdigest()
    assert audio_hash(path) == expected


LIBRARY_SR = 8_000
SPEC = FeatureSpec.logmel(
    "small",
    sr=LIBRARY_SR,
    n_fft=256,
    hop_length=128,
    n_mels=17,
    segments=SegmentPolicy("first", 0.5),
)


def tag(path, **tags):
    """Tags as each format keeps them, by mutagen."""
    if path.suffix == ".m4a":
        file = mutagen.mp4.MP4(path)
        names = {"title": "\xa9nam", "artist": "\xa9ART", "album": "\xa9alb", "genre": "\xa9gen"}
    elif path.suffix == ".wma":
        file = mutagen.asf.ASF(path)
        names = {
            "title": "Title",
            "artist": "Author",
            "album": "WM/AlbumTitle",
            "genre": "WM/Genre",
        }
    elif path.suffix == ".aac":
        file = mutagen.id3.ID3()
        for frame, name in zip(("TIT2", "TPE1", "TALB", "TCON"), tags, strict=True):
            file.add(getattr(mutagen.id3, frame)(encoding=3, text=tags[name]))
        file.save(path)
        return
    else:
        file = mutagen.oggflac.OggFLAC(path) if path.suffix == ".oga" else mutagen.File(path)
        names = {name: name for name in tags}
    for name, text in tags.items():
        file[names[name]] = text
    file.save()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """One track each in six formats; their kinds in the order of the scan, by path."""
    root = tmp_path_factory.mktemp("music")
    kinds = ["aac", "adts", "alac", "oggflac", "wavpack", "wma"]
    for number, kind in enumerate(kinds):
        path = make_pyav(root, kind, 1.1 + number / 10, sr=16_000)
        tag(path, title=f"Töne {kind}", artist="Ärtist", album="Albüm", genre="Dub")
    return root, kinds


def test_tags_of_all_formats_are_scanned(library):
    root, kinds = library
    found = scan(root)
    assert found.problems == ()
    assert found.tracks.columns["title"].tolist() == [f"Töne {kind}" for kind in kinds]
    assert set(found.tracks.columns["artist"].tolist()) == {"Ärtist"}
    assert set(found.tracks.columns["album"].tolist()) == {"Albüm"}
    assert found.tracks.genres == ("Dub",)
    assert len(set(found.tracks.album_id.tolist())) == 1
    expected = 1.1 + np.arange(len(kinds)) / 10
    np.testing.assert_allclose(found.tracks.columns["duration"], expected, atol=0.2)


def test_features_of_all_formats_are_extracted(library, tmp_path):
    root, kinds = library
    tracks = scan(root).tracks
    report = extract(tracks, SPEC, tmp_path / "store", workers=1)
    assert (report.extracted, report.failures) == (len(kinds), ())
    values, offsets = FeatureStore.open(tmp_path / "store").read(tracks.track_id)
    assert offsets.tolist() == list(range(len(kinds) + 1))
    for row, path in enumerate(tracks.path):
        (segment,) = read_segments(str(path), sr=LIBRARY_SR, policy=SPEC.segments)
        expected = logmel(segment.samples, sr=LIBRARY_SR, n_fft=256, hop_length=128, n_mels=17)
        np.testing.assert_allclose(values[row], expected, atol=0.1)
    provenance = Plan.load(tmp_path / "store", 0).provenance
    assert provenance["decoder"] == decoder_version()
    assert "PyAV" in provenance["decoder"]


def test_doctor_writes_and_reads_every_format():
    checks = {check.name: check for check in try_formats()}
    for name in ("AAC in MP4", "ALAC in MP4", "WMA", "WavPack", "FLAC in Ogg"):
        assert (checks[name].reads, checks[name].truncation) == ("yes", "yes")
        assert checks[name].decoder.startswith("PyAV")
    assert (checks["AAC (ADTS)"].reads, checks["AAC (ADTS)"].truncation) == ("yes", "undetectable")
    assert checks["Monkey's Audio"].reads == "not tried: no encoder"
    assert checks["FLAC"].decoder.startswith("libsndfile")


def test_doctor_without_pyav_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    checks = {check.name: check for check in try_formats()}
    for name in ("AAC in MP4", "WMA", "WavPack", "Monkey's Audio"):
        assert checks[name].reads == "no: pip install 'matt-mgc[formats]'"
    assert checks["MP3"].reads == "yes"
