"""Bytes over headers: what can be read exactly is, and the rest is refused with the true reason."""

import sys
import zlib

import numpy as np
import pytest
import soundfile as sf
from audio_files import SR, cut, make, music, write
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.ogg import OggPage

from matt.audio import (
    EXTRA_SUFFIXES,
    FORMATS,
    SUFFIXES,
    audio_hash,
    inspect,
    read_blocks,
    read_segments,
)
from matt.audio.containers import examine
from matt.audio.segments import SegmentPolicy
from matt.cli import doctor
from matt.errors import AudioError

UNKNOWN = 0xFFFFFFFF


def decode(path, **options):
    return np.concatenate(list(read_blocks(path, sr=None, **options)))


def little(number, size=4):
    return number.to_bytes(size, "little")


# ---- unfinished files ----


def unfinished_wav(path, subtype, *, riff=0, data=0, junk=0, lost=0, container="WAV"):
    sf.write(path, music(1.0), SR, format=container, subtype=subtype)
    content = path.read_bytes()
    at = content.find(b"data")
    head = content[:4] + little(riff) + content[8:12]
    fill = b"JUNK" + little(junk) + bytes(junk + junk % 2) if junk else b""
    body = content[12:at] + fill + b"data" + little(data) + content[at + 8 : len(content) - lost]
    path.write_bytes(head + body)


@given(
    st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"]),
    st.sampled_from([0, UNKNOWN, 36, 4088]),
    st.sampled_from([0, 5, 4008]),
    st.integers(0, 40),
)
@settings(max_examples=25)
def test_an_unfinished_wav_is_read_to_its_end_and_told(tmp_path_factory, subtype, riff, junk, lost):
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    sf.write(path, music(1.0), SR, subtype=subtype)
    whole = decode(path)
    size = sf.info(path).frames * {"PCM_U8": 2, "PCM_16": 4, "PCM_24": 6}.get(subtype, 8)
    unfinished_wav(path, subtype, riff=riff, junk=junk, lost=lost)
    kept = (size - lost) * len(whole) // size
    damages = []
    np.testing.assert_array_equal(decode(path, damages=damages), whole[:kept])
    found = inspect(path)
    assert found.completeness == "undetectable"
    assert found.reason.startswith("unfinished: its data chunk was never given its size")
    (damage,) = damages
    assert str(damage).startswith(f"kept {kept / SR:.1f} s: unfinished")


def test_a_placeholder_of_some_bytes_is_no_length(tmp_path):
    path = tmp_path / "a.wav"
    sf.write(path, music(1.0), SR)
    whole = decode(path)
    unfinished_wav(path, "PCM_16", riff=72, data=36)
    np.testing.assert_array_equal(decode(path), whole)
    assert inspect(path).reason.startswith("unfinished")


def test_rf64_whose_sizes_were_never_written(tmp_path):
    path = tmp_path / "a.wav"
    write(path, music(1.0), format="RF64")
    whole, content = decode(path), path.read_bytes()
    at = content.find(b"ds64")
    path.write_bytes(content[: at + 8] + bytes(24) + content[at + 32 :])
    np.testing.assert_array_equal(decode(path), whole)
    assert inspect(path).reason.startswith("unfinished")


@pytest.mark.parametrize(("suffix", "name", "skip", "size"), [
    (".au", b".snd", 4, 4), (".aiff", b"SSND", 0, 4), (".w64", b"data", 12, 8),
])  # fmt: skip
def test_other_unfinished_files(tmp_path, suffix, name, skip, size):
    path = make(tmp_path, suffix, 1.0)
    whole, content = decode(path), bytearray(path.read_bytes())
    at = content.find(name) + 4 + skip
    content[at : at + size] = little(24, 8) if suffix == ".w64" else bytes(size)
    path.write_bytes(content)
    np.testing.assert_array_equal(decode(path), whole)
    assert inspect(path).reason.startswith("unfinished")


SIZES = {  # where the size of the audio lies behind its name, how long, in which order, what it adds
    ".wav": (b"data", 4, 4, "little", 0), ".aiff": (b"SSND", 4, 4, "big", 8),
    ".w64": (b"data", 16, 8, "little", 24), ".caf": (b"data", 4, 8, "big", 4),
    ".au": (b".snd", 8, 4, "big", 0),
}  # fmt: skip


def state(path, n_bytes):
    """Have a file say that its audio is so long."""
    name, skip, size, order, more = SIZES[path.suffix]
    content = bytearray(path.read_bytes())
    at = content.find(name) + skip
    content[at : at + size] = (n_bytes + more).to_bytes(size, order)
    path.write_bytes(content)


def chunk(suffix, name, body):
    if suffix == ".w64":
        tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
        return name + tail + little(24 + len(body), 8) + body + bytes(-len(body) % 8)
    size = len(body).to_bytes(8 if suffix == ".caf" else 4, "little" if suffix == ".wav" else "big")
    return name + size + body + bytes(len(body) % 2 if suffix != ".caf" else 0)


@given(
    st.sampled_from(sorted(SIZES)),
    st.integers(30, 94),
    st.sampled_from([None, 0, UNKNOWN, "as the data says"]),
)
@settings(max_examples=60)
def test_a_size_that_is_stale_is_no_size(tmp_path_factory, suffix, percent, riff):
    """However much of the audio it states, and whatever the header says of the whole."""
    path = make(tmp_path_factory.mktemp("stale"), suffix, 1.0)
    whole = decode(path)
    stated = 4 * (len(whole) * percent // 100)
    state(path, stated)
    if suffix == ".wav" and riff is not None:
        told = stated + 36 if isinstance(riff, str) else riff
        content = path.read_bytes()
        path.write_bytes(content[:4] + little(told) + content[8:])
    damages = []
    np.testing.assert_array_equal(decode(path, damages=damages), whole)
    said = inspect(path).reason
    assert said.startswith("unfinished: its ")
    own = {".aiff": 8, ".caf": 4}.get(suffix, 0)  # bytes of the chunk that are no audio
    assert f"states {stated + own} bytes, which is not its size" in said
    assert [damage.stated for damage in damages] == [None]


def test_ten_milliseconds_are_no_length(tmp_path):
    path = make(tmp_path, ".wav", 12.0)
    whole = decode(path)
    state(path, 4 * SR // 100)
    np.testing.assert_array_equal(decode(path), whole)


@given(
    st.sampled_from([".wav", ".aiff", ".w64", ".caf"]),
    st.sampled_from([b"LIST", b"id3 ", b"bext", b"cue ", b"smpl", b"SAXL", b"free", b"what"]),
    st.binary(max_size=9000),
    st.integers(0, 3000),
    st.integers(1, 600),
)
@settings(max_examples=60)
def test_what_is_behind_the_audio_is_no_audio(tmp_path_factory, suffix, name, body, zeros, n):
    """True chunks, fillings before and behind them, and a few bytes of anything."""
    path = make(tmp_path_factory.mktemp("behind"), suffix, 0.2)
    whole, before, content = decode(path), audio_hash(path), path.read_bytes()
    found = chunk(suffix, name, body)
    filled = (
        b"" if name == b"what" else bytes(16 * zeros)
    )  # what nobody knows is a chunk in its place
    for behind in (found, found + found, filled + found, bytes(zeros), body[:n]):
        path.write_bytes(content + behind)
        np.testing.assert_array_equal(decode(path), whole)
        assert audio_hash(path) == before
        assert inspect(path).completeness == "complete"


def test_rf64_with_sizes_of_minus_one_and_bw64(tmp_path):
    path = tmp_path / "a.wav"
    write(path, music(1.0), format="RF64")
    whole, content = decode(path), path.read_bytes()
    at = content.find(b"ds64")
    for name in (b"RF64", b"BW64"):
        path.write_bytes(name + content[4:])
        np.testing.assert_array_equal(decode(path), whole)
        assert inspect(path).completeness == "complete"
        path.write_bytes(name + content[4 : at + 8] + b"\xff" * 24 + content[at + 32 :])
        np.testing.assert_array_equal(decode(path), whole)
        assert inspect(path).reason.startswith("unfinished")


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".w64", ".au"])
def test_unfinished_files_of_other_audio_have_other_hashes(tmp_path, suffix):
    hashes = set()
    for seed in (0, 1):
        path = write(tmp_path / f"a{suffix}", music(0.5, seed=seed))
        content = bytearray(path.read_bytes())
        name, skip, size = {
            ".wav": (b"data", 0, 4), ".aiff": (b"SSND", 0, 4), ".w64": (b"data", 12, 8),
            ".au": (b".snd", 4, 4),
        }[suffix]  # fmt: skip
        at = content.find(name) + 4 + skip
        content[at : at + size] = little(24, 8) if suffix == ".w64" else bytes(size)
        path.write_bytes(content)
        hashes.add(audio_hash(path))
    assert len(hashes) == 2


@pytest.mark.parametrize(
    "behind", [b"", b"LIST" + little(4) + b"INFO", b"id3 " + little(5) + b"words\0"]
)
def test_a_wav_of_no_audio_is_not_unfinished(tmp_path, behind):
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros((0, 1)), SR)
    path.write_bytes(path.read_bytes() + behind)
    with pytest.raises(
        AudioError, match=r"holds no audio \(0 samples\); restore the file or leave"
    ):
        decode(path)


@pytest.mark.parametrize("keep", [14, 30, 42])
def test_a_wav_that_ends_within_its_header_says_so(tmp_path, keep):
    path = make(tmp_path, ".wav", 1.0)
    path.write_bytes(path.read_bytes()[:keep])
    for read in (decode, inspect):
        with pytest.raises(AudioError, match="truncated: it has no data chunk"):
            read(path)


@pytest.mark.parametrize("name", [b"LIST", b"bext", b"odd?"])
def test_the_byte_after_an_odd_chunk_may_be_missing(tmp_path, name):
    path = make(tmp_path, ".wav", 1.0)
    whole, before, content = decode(path), audio_hash(path), path.read_bytes()
    for at in (12, content.find(b"data")):
        path.write_bytes(content[:at] + name + little(7) + b"INFOodd" + content[at:])
        np.testing.assert_array_equal(decode(path), whole)
        assert audio_hash(path) == before
        assert inspect(path).completeness == "complete"


# ---- FLAC ----


@given(
    st.one_of(st.integers(1, 20_000).map(bytes), st.binary(min_size=1, max_size=6000)),
    st.sampled_from(["music", "silence", "wide", "clicks", "odd"]),
    st.sampled_from(["PCM_S8", "PCM_16", "PCM_24"]),
    st.integers(1, 9000),
)
@settings(max_examples=60)
def test_what_is_behind_the_last_flac_frame_is_no_audio(tmp_path_factory, behind, what, subtype, n):
    path = tmp_path_factory.mktemp("flac") / "a.flac"
    samples = music(1.0, channels=3 if what == "odd" else 2)[:n]
    samples = {
        "silence": 0 * samples, "wide": samples[:, :1] * [[1, 0.99]],
        "clicks": np.where(np.arange(len(samples)) % 700 == 699, 0.9, 0)[:, None],
    }.get(what, samples)  # fmt: skip
    sf.write(path, samples, SR, subtype=subtype)
    whole, content = decode(path), path.read_bytes()
    path.write_bytes(content + behind)
    np.testing.assert_array_equal(decode(path), whole)
    found = inspect(path)
    assert found.completeness == "complete"
    assert f"; {len(behind)} bytes behind it are no audio" in found.reason


@pytest.mark.parametrize("seconds", [(1.0, 2.0), (1.0, 1.0), (2.0, 1.0, 1.0), (0.2, 0.2, 0.2)])
@pytest.mark.parametrize("between", [b"", bytes(999)])
def test_flac_streams_one_after_the_other_are_all_read(tmp_path, seconds, between):
    paths = [tmp_path / f"{number}.flac" for number in range(len(seconds))]
    for number, path in enumerate(paths):
        write(path, music(seconds[number], seed=number))
    joined = tmp_path / "joined.flac"
    joined.write_bytes(between.join(path.read_bytes() for path in paths))
    np.testing.assert_array_equal(decode(joined), np.concatenate([decode(path) for path in paths]))
    found = inspect(joined)
    assert found.completeness == "complete"
    assert found.reason.startswith(f"{len(seconds)} streams, one after the other: ")
    assert found.duration == pytest.approx(sum(seconds))
    cut(joined, -2000)
    with pytest.raises(AudioError, match="one after the other: its last frame is not whole"):
        decode(joined)


# ---- MPEG ----


@pytest.mark.parametrize("junk", [
    bytes(65_535), bytes(65_536), bytes(65_537), bytes(900_000), b"<html>not found</html>" * 4000,
    b"\xff" * 70_000, b"\xff\xfb\x90\x64" * 20_000,
    b"ID3\4\0\0\0\5\0\0" + bytes(5 << 14) + bytes(70_000),
], ids=["65535", "65536", "65537", "900k", "html", "ones", "syncs", "tag"])  # fmt: skip
def test_junk_before_the_first_frame(tmp_path, junk):
    path = make(tmp_path, ".mp3")
    whole, content = decode(path), path.read_bytes()
    path.write_bytes(junk + content)
    np.testing.assert_array_equal(decode(path), whole)
    assert ("bytes of junk lie before" in inspect(path).reason) == (
        junk[:3] == b"ID3" or len(junk) > 65_535
    )


def test_junk_without_end_is_no_audio(tmp_path):
    path = make(tmp_path, ".mp3")
    path.write_bytes(bytes(2_000_000) + path.read_bytes())
    with pytest.raises(AudioError, match="holds no audio format that"):
        decode(path)


def free(frames, length):
    """Frames of equal length, with headers that do not say how long they are."""
    content = bytearray(frames)
    content[2::length] = bytes(byte & 0x0F for byte in content[2::length])
    return bytes(content)


@pytest.mark.parametrize("before", [b"", bytes(100_000), b"ID3\4\0\0\0\0\0\x0a" + bytes(10)])
def test_free_bitrate(tmp_path, before):
    path = tmp_path / "a.mp3"
    options = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.6}
    sf.write(path, music(2.0, sr=48_000), 48_000, **options)
    content = path.read_bytes()
    # Without the first frame, which states a length; no frame is padded at this rate.
    length = content.find(content[:3], 4)
    frames = content[length:]
    assert len(frames) % length == 0
    path.write_bytes(before + free(frames, length))
    assert len(decode(path)) == 1152 * len(frames) // length
    assert inspect(path).breaks == ()


# ---- Ogg ----


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_streams_one_after_the_other_are_all_read(tmp_path, suffix, n):
    links = [write(tmp_path / f"{i}{suffix}", music(0.6 + 0.2 * i, seed=i)) for i in range(n)]
    path = tmp_path / f"all{suffix}"
    path.write_bytes(b"".join(link.read_bytes() for link in links))
    expected = np.concatenate([decode(link) for link in links])
    np.testing.assert_array_equal(decode(path), expected)
    found = inspect(path)
    assert (found.completeness, found.breaks) == ("complete", ())
    assert found.duration == len(expected) / found.sr
    parts = list(read_segments(path, sr=None, policy=SegmentPolicy("all", 0.25)))
    joined = np.concatenate([part.samples for part in parts])
    shared = min(len(joined), len(expected))
    np.testing.assert_array_equal(joined[:shared], expected[:shared])


@pytest.mark.parametrize(("other", "told"), [
    ({"sr": 48_000}, "Vorbis of 48000 Hz in 2 channels"),
    ({"channels": 1}, "Vorbis of 24000 Hz in 1 channel"),
])  # fmt: skip
def test_streams_that_differ_are_refused_with_the_reason(tmp_path, other, told):
    samples = music(1.0, **other)
    links = [make(tmp_path, ".ogg", 1.0).read_bytes()] * 2
    links.append(write(tmp_path / "b.ogg", samples, sr=other.get("sr", SR)).read_bytes())
    path = tmp_path / "all.ogg"
    path.write_bytes(b"".join(links))
    match = f"3 streams follow each other, the first is Vorbis of 24000 Hz in 2 channels, number 3 is {told}"
    with pytest.raises(AudioError, match=match):
        decode(path)
    damages = []
    assert len(decode(path, on_damage="salvage", damages=damages)) == 2 * SR
    assert match in str(damages[0])


def test_a_link_that_is_cut_is_told(tmp_path):
    first, second = make(tmp_path, ".ogg", 2.0).read_bytes(), write(tmp_path / "b.ogg", music(1.0))
    path = tmp_path / "all.ogg"
    path.write_bytes(first[: first.rfind(b"OggS\0")] + second.read_bytes())
    with pytest.raises(AudioError, match=r"the stream before byte .* has no last page"):
        decode(path)
    assert len(decode(path, on_damage="salvage")) > SR
    path.write_bytes(first + second.read_bytes()[:-100])
    assert inspect(path).completeness == "truncated"


# ---- formats ----


def test_who_looks_for_files_and_who_tries_formats_go_by_one_list():
    pytest.importorskip("av", reason="the extra formats")
    checks = doctor.try_formats()
    assert [check.name for check in checks] == [known.name for known in FORMATS]
    assert not [check for check in checks if check.reads not in ("yes", "not tried: no encoder")]
    assert {suffix for known in FORMATS for suffix in known.suffixes} == SUFFIXES | EXTRA_SUFFIXES
    assert not SUFFIXES & EXTRA_SUFFIXES


def speex(n_frames):
    """Frames of random noise at 8 kHz, 160 samples each, and the comment that has to be there."""
    rng = np.random.default_rng(0)
    about = [1, 80, 8_000, 0, 4, 1, 2**32 - 1, 160, 0, 1, 0, 0, 0]
    head = b"Speex   1.2".ljust(28, b"\0") + b"".join(map(little, about))
    noise = [bytes([0x08]) + rng.bytes(5) for _ in range(n_frames)]
    content = b""
    for number, packets in enumerate(([head], [little(4) + b"made" + little(0)], noise)):
        page = OggPage()
        page.serial, page.sequence, page.packets = 7, number, packets
        page.first, page.last = number == 0, number == 2
        page.position = 160 * n_frames if page.last else 0
        content += page.write()
    return content


def musepack(n_frames):
    """Stream version 8: frames of 1,152 samples of silence in two channels."""

    def packet(key, body):
        return key + bytes([len(body) + 3]) + body

    header = bytes([8, 0x80 | 1152 * n_frames >> 7, 1152 * n_frames & 0x7F, 0, 0, 0x10])
    header = zlib.crc32(header).to_bytes(4, "big") + header
    gain = packet(b"RG", bytes([1]) + bytes(8))
    sounds = packet(b"AP", bytes(40)) * n_frames
    return b"MPCK" + packet(b"SH", header) + gain + sounds + packet(b"SE", b"")


def wav(samples):
    about = little(1, 2) + little(2, 2) + little(SR) + little(4 * SR) + little(4, 2) + little(16, 2)
    body = b"WAVEfmt " + little(16) + about + b"data" + little(len(samples)) + samples
    return b"RIFF" + little(len(body)) + body


DTS = [bytes.fromhex(sync) for sync in ("7ffe8001", "fe7f0180", "1fffe80007f1", "ff1f00e8f107")]
DISC = b"".join(DTS[1] + bytes(2044) for _ in range(20))  # frames as they lie in a WAV
NAMED = {
    **{f"DTS {number}": (sync + bytes(2000), "DTS") for number, sync in enumerate(DTS)},
    "DTS as a WAV": (wav(DISC), "DTS in WAV"),
    "DTS of 14 bits as a WAV": (wav((DTS[3] + bytes(2042)) * 20), "DTS in WAV"),
    "Musepack": (b"MPCK" + bytes(2000), "Musepack"),
    "Musepack 7": (b"MP+\x07" + bytes(2000), "Musepack 7"),
    "Speex": (speex(3)[:150], "Speex in Ogg"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_format_is_named_by_its_first_bytes_whoever_can_decode_it(tmp_path, monkeypatch, name):
    content, container = NAMED[name]
    path = tmp_path / "music.mp3"
    path.write_bytes(content)
    assert examine(path).format == container
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=rf"holds {container}, which needs PyAV; pip install"):
        decode(path)


@pytest.mark.parametrize("name", ["DTS 0", "DTS 1", "DTS 2", "DTS 3", "Musepack", "Speex"])
def test_what_only_begins_like_a_format_is_refused_by_the_name_of_that_format(tmp_path, name):
    pytest.importorskip("av")
    content, container = NAMED[name]
    path = tmp_path / "music.mp3"
    path.write_bytes(content)
    for on_damage in ("fail", "salvage"):
        with pytest.raises(AudioError, match=container):
            decode(path, on_damage=on_damage)


def test_a_wav_that_holds_the_start_of_dts_by_chance_is_samples(tmp_path):
    path, rng = tmp_path / "a.wav", np.random.default_rng(0)
    for places in ([0], [0, 2048, 4096], [0, 2048, 4096, 6148, 8192]):
        samples = bytearray(rng.bytes(40_000))
        for place in places:
            samples[place : place + 4] = DTS[1]
        path.write_bytes(wav(bytes(samples)))
        assert (inspect(path).format, len(decode(path))) == ("WAV PCM_16", 10_000)


@pytest.mark.parametrize(
    ("content", "name", "sr", "n"),
    [(speex(50), "Ogg SPEEX", 8_000, 50 * 160), (musepack(3), "Musepack MPC8", 44_100, 3 * 1152)],
)
def test_formats_that_nobody_writes_here_are_decoded(tmp_path, content, name, sr, n):
    pytest.importorskip("av")
    path = tmp_path / "music.mp3"
    path.write_bytes(content)
    file = inspect(path)
    assert (file.format, file.sr, file.duration) == (name, sr, pytest.approx(n / sr))
    assert len(decode(path)) == n


def dsf(n_blocks=20, tag=b""):
    """Two channels of DSD64, of as many ones as zeros: silence."""
    sounds = b"\x69" * 4096 * 2 * n_blocks
    about = [1, 0, 2, 2, 2_822_400, 1]
    described = (
        b"".join(map(little, about)) + little(4096 * 8 * n_blocks, 8) + little(4096) + bytes(4)
    )
    body = b"fmt " + little(12 + len(described), 8) + described
    body += b"data" + little(12 + len(sounds), 8) + sounds
    at = 28 + len(body) if tag else 0
    return (
        b"DSD " + little(28, 8) + little(28 + len(body) + len(tag), 8) + little(at, 8) + body + tag
    )


def test_dsf(tmp_path):
    pytest.importorskip("av", reason="the extra formats")
    path = tmp_path / "a.dsf"
    path.write_bytes(dsf())
    found = inspect(path)
    assert (found.format, found.sr, found.completeness) == (
        "DSF DSD_LSBF_PLANAR",
        352_800,
        "complete",
    )
    assert np.abs(decode(path)[1000:]).max() < 0.01
    before = audio_hash(path)
    path.write_bytes(dsf(tag=b"ID3\4\0\0\0\0\0\x0a" + bytes(10)))
    assert audio_hash(path) == before
    path.write_bytes(dsf()[:-5000])
    assert inspect(path).completeness == "truncated"


@pytest.mark.parametrize("content", [
    b"\x0b\x77" + bytes(2000), b"TTA1" + bytes(2000), b"\x7f\xfe\x80\x01" + bytes(2000),
    b"MPCK" + bytes(2000), b"DSD " + bytes(2000),
])  # fmt: skip
def test_what_only_begins_like_a_format_is_refused(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    for read in (decode, inspect):
        with pytest.raises(AudioError):
            read(path)
