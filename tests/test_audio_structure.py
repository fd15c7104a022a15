"""Parsers work about as much as there are bytes, whatever these are; counted, never timed."""

import re
from contextlib import suppress

import mutagen.apev2
import numpy as np
import pytest
from audio_files import make, make_pyav
from hypothesis import given
from hypothesis import strategies as st
from mutagen.ogg import OggPage

from matt.audio import audio_hash, containers, flac, inspect
from matt.audio.structure import BLOCK, MOST_FALSE, FileBytes, audio_extent, find_header
from matt.datasets import found_tags
from matt.datasets.tags import read_tags
from matt.errors import AudioError

FRAME = bytes.fromhex("fffb9064") + bytes(413)  # of MPEG-1 layer III, 128 kb/s
ADTS = bytes.fromhex("fff150801abffc") + bytes(206)
FALSE_FLAC = bytes.fromhex("fff8190800") + b"\x8e"  # a header with its checksum, and no frame


def ogg_page(flags, body=b"\x01vorbis"):
    page = OggPage()
    page.packets = [body]
    page.first = bool(flags & 2)
    return page.write()


def streaminfo():
    head = bytearray(b"fLaC\x80\0\0\x22" + bytes(34))
    head[10:12], head[18:22] = b"\xff\xff", bytes.fromhex("0ac442f0")
    return bytes(head)


def ape_tag():
    """The shortest that there is: a footer."""
    return b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16)


KINDS = {  # n -> content that grows with n
    "false Ogg captures": lambda n: ogg_page(2) + b"OggS\1" * n,
    "Ogg captures without pages": lambda n: ogg_page(2) + b"OggS\0\0\0\0" * n,
    "Ogg pages in junk": lambda n: ogg_page(2) + (b"junk" + ogg_page(0, b"")) * n,
    "Ogg links": lambda n: (ogg_page(2) + ogg_page(0, b"abc")) * n,
    "ID3v1 behind": lambda n: FRAME + (b"TAG" + bytes(125)) * n,
    "APE behind": lambda n: FRAME * 2 + ape_tag() * n,
    "ID3v2 before": lambda n: b"ID3\4\0\0\0\0\0\0" * n + FRAME * 3,
    "false FLAC frames": lambda n: streaminfo() + FALSE_FLAC * n,
    "FLAC syncs": lambda n: streaminfo() + b"\xff\xf8" * n,
    "FLAC metadata": lambda n: b"fLaC\0\0\0\x22" + bytes(34) + b"\1\0\0\0" * n,
    "false WavPack": lambda n: b"wvpk" * n,
    "WavPack headers": lambda n: (b"wvpk\xff\xff\xff\0\0\4" + bytes(6)) * n,
    "WavPack blocks in junk": lambda n: (b"wvpk\x18\0\0\0\0\4" + bytes(22) + b"junk") * n,
    "ADTS syncs": lambda n: ADTS * 3 + b"\xff\xf1\x50\x80" * n,
    "ADTS frames in junk": lambda n: (ADTS * 2 + b"junk") * (n // 50),
    "MPEG syncs": lambda n: FRAME * 3 + b"\xff\xfb\x90\x64" * n,
    "MPEG syncs first": lambda n: b"\xff\xfb\x90\x64" * n,
    "MPEG frames in junk": lambda n: (FRAME * 2 + b"junk") * (n // 50),
    "free bitrate": lambda n: b"\xff\xfb\0\0" * n,
    "chunks of nothing": lambda n: b"RIFF\0\0\0\0WAVE" + b"note\0\0\0\0" * n,
    "boxes of nothing": lambda n: b"\0\0\0\x08ftypM4A " + b"\0\0\0\x08free" * n,
    "Matroska elements": lambda n: bytes.fromhex("1a45dfa380") + b"\xec\x80" * n,
    "table of True Audio": lambda n: (
        b"TTA1\1\0\1\0\x10\0\x44\xac\0\0" + (n * 46_080).to_bytes(4, "little") + bytes(4 * n)
    ),
}


class Counted(FileBytes):
    """Counts what is read, and how often is looked."""

    read = looks = 0

    def piece(self, position, size=1):
        Counted.looks += 1
        return super().piece(position, size)

    def _read(self, position, size):
        found = super()._read(position, size)
        Counted.read += len(found)
        return found


@pytest.fixture
def counted(monkeypatch):
    for module in (containers, found_tags):
        monkeypatch.setattr(module, "FileBytes", Counted)


def work(function, path):
    Counted.read = Counted.looks = 0
    with suppress(AudioError):
        function(path)
    return np.array([Counted.read, Counted.looks])


@pytest.mark.parametrize("function", [containers.examine, audio_hash, read_tags])
@pytest.mark.parametrize("kind", KINDS)
def test_work_grows_with_the_bytes_and_not_faster(kind, function, tmp_path, counted):
    n = 3000
    done = []
    for size in (n, 4 * n):
        path = tmp_path / f"{size}.mp3"
        path.write_bytes(KINDS[kind](size))
        done.append(work(function, path))
        # No byte is read much more than once by any of the parsers that try.
        assert done[-1][0] <= 2 * path.stat().st_size + 8 * BLOCK
    assert done[1][1] <= 4.4 * done[0][1] + 3000


def test_no_byte_of_a_flac_file_is_summed_twice(tmp_path, monkeypatch):
    summed = []
    crc16 = flac._crc16
    monkeypatch.setattr(
        flac, "_crc16", lambda content: summed.append(len(content)) or crc16(content)
    )
    path = tmp_path / "a.flac"
    path.write_bytes(KINDS["false FLAC frames"](2000))
    assert containers.examine(path).completeness == "undetectable"
    assert sum(summed) <= path.stat().st_size


@pytest.mark.parametrize("kind", ["WavPack headers", "MPEG syncs", "FLAC syncs"])
def test_a_file_of_false_starts_is_given_up_and_the_reason_is_told(kind, tmp_path, counted):
    path = tmp_path / "a.bin"
    path.write_bytes(KINDS[kind](MOST_FALSE + 1000))
    (told,) = containers.examine(path).breaks
    assert told == f"{MOST_FALSE:,} places look like the start of a frame and are none"
    assert len(audio_hash(path)) == 64


# Reading ------------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=40_000), st.data())
def test_looks_anywhere_see_the_bytes_of_the_file(tmp_path_factory, content, data):
    path = tmp_path_factory.mktemp("bytes") / "a"
    path.write_bytes(content)
    looks = st.lists(st.tuples(st.integers(0, len(content) + 9), st.integers(0, 9000)), max_size=30)
    with path.open("rb") as stream:
        file = FileBytes(stream)
        for position, size in data.draw(looks):
            assert file.at(position, size) == content[position : position + size]
        assert b"".join(file.span(3, len(content))) == content[3:]


@pytest.mark.parametrize("step", [-7, 7, -5000, 5000])
def test_a_walk_in_either_direction_reads_each_byte_about_once(tmp_path, step):
    path = tmp_path / "a"
    path.write_bytes(bytes(1_000_000))
    with path.open("rb") as stream:
        file = FileBytes(stream)
        for position in range(0, 1_000_000, abs(step))[:: 1 if step > 0 else -1]:
            file.at(position, 7)
        assert file.n_read <= 1_000_000


@given(st.data())
def test_headers_are_found_wherever_a_piece_ends(tmp_path_factory, data):
    content = data.draw(st.lists(st.sampled_from([b"ab", b"a", b"b", b"c" * 900]), max_size=60))
    content = b"".join(content) or b"c"
    start = data.draw(st.integers(0, len(content) - 1))
    stop = data.draw(st.integers(start, len(content)))
    path = tmp_path_factory.mktemp("found") / "a"
    path.write_bytes(content)
    with path.open("rb") as stream:
        found = find_header(FileBytes(stream), start, stop, re.compile(b"ab"), 2)
    at = content.find(b"ab", start)
    assert found == (at if 0 <= at < stop else -1)


@given(
    st.lists(st.sampled_from([b"TAG" + bytes(125), b"ID3\4\0\0\0\0\0\5" + bytes(5)]), max_size=9)
)
def test_tags_before_the_audio_are_all_peeled(tmp_path_factory, tags):
    path = tmp_path_factory.mktemp("tags") / "a"
    before = b"".join(tags)
    path.write_bytes(before + FRAME * 2 + b"TAG" + bytes(125))
    with path.open("rb") as stream:
        assert audio_extent(FileBytes(stream)) == (len(before), len(before) + 2 * len(FRAME))


@pytest.mark.parametrize("kind", [".mp3", ".ogg", ".flac", ".wav", "wavpack", "adts"])
def test_a_sound_file_is_looked_through_once(kind, tmp_path, counted):
    if kind[0] != ".":
        pytest.importorskip("av", reason="the extra formats")
    path = make(tmp_path, kind) if kind[0] == "." else make_pyav(tmp_path, kind)
    if kind == ".mp3":
        tags = mutagen.apev2.APEv2()
        tags["Title"] = "a"
        tags.save(path)
    read, _ = work(inspect, path)
    assert read <= path.stat().st_size + 8 * BLOCK
