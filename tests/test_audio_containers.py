import base64
import hashlib
import re
import sys

import mutagen.aiff
import mutagen.apev2
import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.oggflac
import mutagen.oggopus
import mutagen.oggvorbis
import mutagen.wave
import numpy as np
import pytest
from audio_files import ENCODINGS, flip, make, music, write
from mutagen.ogg import OggPage

from matt.audio import audio_hash, inspect, read_blocks
from matt.audio.containers import examine
from matt.errors import AudioError

BIG = "la " * 60_000  # more than two Ogg pages: everything after it moves


def tag_id3(path, text):
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=3, text=text))
    tags.add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=bytes(9999)))
    tags.save(path, v1=2)


def tag_ape(path, text):
    tags = mutagen.apev2.APEv2()
    tags["Title"] = text
    tags.save(path)


def tag_wrapped(cls):
    def tag(path, text):
        file = cls(path)
        if file.tags is None:
            file.add_tags()
        file.tags.add(mutagen.id3.TIT2(encoding=3, text=text))
        file.save()

    return tag


def tag_flac(path, text):
    file = mutagen.flac.FLAC(path)
    file["title"] = text
    picture = mutagen.flac.Picture()
    picture.data = bytes(100_000)
    file.add_picture(picture)
    file.save(padding=lambda _: 4321)


def tag_ogg(cls):
    def tag(path, text):
        file = cls(path)
        file["title"] = text
        file["metadata_block_picture"] = base64.b64encode(bytes(50_000)).decode()
        file.save()

    return tag


def tag_au(path, text):
    content = path.read_bytes()
    annotation = text.encode().ljust(len(text) + -len(text) % 8, b"\0")
    offset = int.from_bytes(content[4:8], "big")
    header = content[:4] + (24 + len(annotation)).to_bytes(4, "big") + content[8:24]
    path.write_bytes(header + annotation + content[offset:])


def tag_caf(path, text):
    """CAF keeps text in a chunk of its own, here behind the audio."""
    content = path.read_bytes()
    at = content.find(b"data")
    end = at + 12 + int.from_bytes(content[at + 4 : at + 12], "big")
    entry = (1).to_bytes(4, "big") + b"title\0" + text.encode() + b"\0"
    path.write_bytes(content[:end] + b"info" + len(entry).to_bytes(8, "big") + entry)


TAGGERS = [
    (".mp3", tag_id3),
    (".mp3", tag_ape),
    (".flac", tag_flac),
    (".flac", tag_id3),
    (".ogg", tag_ogg(mutagen.oggvorbis.OggVorbis)),
    (".opus", tag_ogg(mutagen.oggopus.OggOpus)),
    (".wav", tag_wrapped(mutagen.wave.WAVE)),
    (".aiff", tag_wrapped(mutagen.aiff.AIFF)),
    (".au", tag_au),
    (".caf", tag_caf),
    (".w64", tag_id3),
]


@pytest.mark.parametrize(("suffix", "tag"), TAGGERS)
def test_tags_do_not_change_the_hash_but_audio_does(tmp_path, suffix, tag):
    path = make(tmp_path, suffix, 4.0)
    untagged, before = path.read_bytes(), audio_hash(path)
    assert re.fullmatch(r"[0-9a-f]{64}", before)
    for text in ("a title", BIG, "short again"):
        tag(path, text)
        assert path.read_bytes() != untagged
        assert audio_hash(path) == before
    position = path.read_bytes().find(untagged[-500:-400])  # bytes of audio, where they are now
    assert position > 0
    assert audio_hash(flip(path, position + 50)) != before


@pytest.mark.parametrize(("suffix", "tag"), TAGGERS)
def test_tagged_files_are_complete_and_decode_as_before(tmp_path, suffix, tag):
    path = make(tmp_path, suffix, 4.0)
    before = np.concatenate(list(read_blocks(path, sr=None)))
    tag(path, BIG)
    file = inspect(path)
    assert (file.completeness, file.breaks) == ("complete", ())
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(path, sr=None))), before)


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_other_audio_has_another_hash_and_a_copy_the_same(tmp_path, suffix):
    path = make(tmp_path, suffix, 1.0)
    copy = tmp_path / "copy.bin"  # the name does not matter
    copy.write_bytes(path.read_bytes())
    assert audio_hash(copy) == audio_hash(path)
    assert audio_hash(write(path, music(1.0, seed=1))) != audio_hash(copy)


def test_all_tags_at_the_end_of_an_mp3_are_peeled(tmp_path):
    path = make(tmp_path, ".mp3", 1.0)
    audio, before = path.read_bytes(), audio_hash(path)
    assert before == hashlib.sha256(audio).hexdigest()  # no tags: all bytes are frames
    lyrics = b"LYRICSBEGININD0000200"
    lyrics2 = lyrics + b"%06d" % len(lyrics) + b"LYRICS200"
    lyrics1 = b"LYRICSBEGIN some words LYRICSEND"
    id3v1 = b"TAG" + b"title".ljust(125, b"\0")
    enhanced = b"TAG+" + bytes(223)
    id3v2 = b"ID3\4\0\0\0\0\0\x20" + bytes(32)
    with_footer = b"ID3\4\0\x10\0\0\0\x20" + bytes(32) + b"3DI\4\0\x10\0\0\0\x20"
    ape = tmp_path / "ape"
    ape.write_bytes(b"")
    tag_ape(ape, "words")
    ape = ape.read_bytes()
    for around in (
        (b"", lyrics2 + id3v1),
        (id3v2, lyrics1 + id3v1),
        (id3v2 + id3v2, ape + id3v1),
        (with_footer, ape),
        (b"", lyrics2 + ape + id3v1),
        (b"", enhanced + id3v1),
        (id3v2, with_footer),
    ):
        path.write_bytes(around[0] + audio + around[1])
        assert audio_hash(path) == before
        assert inspect(path).completeness == "complete"


def test_a_tag_that_claims_more_than_the_file_is_no_tag(tmp_path):
    path = tmp_path / "a.mp3"
    content = b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(300)
    path.write_bytes(content)
    assert audio_hash(path) == hashlib.sha256(content).hexdigest()


def ogg_flac(flac, *, comment, pages_of):
    """Wrap a FLAC file of one frame as its mapping to Ogg says."""
    content = flac.read_bytes()
    blocks, at, last = [], 4, False
    while not last:
        size = int.from_bytes(content[at + 1 : at + 4], "big")
        blocks.append(content[at : at + 4 + size])
        last, at = content[at] & 0x80, at + 4 + size
    streaminfo = bytes([0]) + blocks[0][1:]
    vorbis = len(comment).to_bytes(4, "little") + comment + bytes(4)
    extra = [bytes([1, 0, 0, 9]) + bytes(9)] if len(comment) > 9 else []  # padding too
    headers = [*extra, bytes([0x84]) + len(vorbis).to_bytes(3, "big") + vorbis]
    first = b"\x7fFLAC\1\0" + len(headers).to_bytes(2, "big") + b"fLaC" + streaminfo
    pages = OggPage.from_packets([first])
    pages += OggPage.from_packets(headers, sequence=1)
    pages += OggPage.from_packets([content[at:]], len(pages), default_size=pages_of, wiggle_room=0)
    pages[0].first, pages[-1].last, pages[-1].position = True, True, 4000
    for page in pages:
        page.serial = 77
    return b"".join(page.write() for page in pages)


def test_flac_in_ogg(tmp_path, monkeypatch):
    flac = write(tmp_path / "a.flac", music(4000 / 24_000))
    path = tmp_path / "a.oga"
    hashes = set()
    for comment, pages_of in ((b"", 4096), (b"a long comment" * 9000, 4096), (b"abc", 700)):
        path.write_bytes(ogg_flac(flac, comment=comment, pages_of=pages_of))
        hashes.add(audio_hash(path))
        structure = examine(path)
        assert (structure.completeness, structure.breaks) == ("complete", ())
    assert len(hashes) == 1
    # The libsndfile that comes with soundfile cannot open it.
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=r"holds FLAC in Ogg, which needs PyAV; pip install 'matt"):
        inspect(path)
    assert audio_hash(flip(path, 0.9)) not in hashes


def test_chunks_of_odd_size_are_followed_by_a_byte(tmp_path):
    path = make(tmp_path, ".wav", 1.0)
    before, content = audio_hash(path), path.read_bytes()
    at = content.find(b"data")
    path.write_bytes(content[:at] + b"note" + (5).to_bytes(4, "little") + b"words\0" + content[at:])
    assert audio_hash(path) == before
    assert inspect(path).completeness == "complete"


def test_where_an_ogg_packet_ends_belongs_to_the_audio(tmp_path):
    hashes = set()
    for packets in ([b"head", b"abcd", b"ef"], [b"head", b"ab", b"cdef"]):
        (page,) = OggPage.from_packets(packets)
        (tmp_path / "a.ogg").write_bytes(page.write())
        hashes.add(audio_hash(tmp_path / "a.ogg"))
    assert len(hashes) == 2


def box(name, content):
    return (8 + len(content)).to_bytes(4, "big") + name + content


def test_mp4_is_hashed_by_its_media_data(tmp_path):
    path = tmp_path / "a.m4a"
    audio = np.random.default_rng(0).bytes(5000)
    hashes = set()
    for order in (0, 1):
        boxes = [box(b"moov", b"tags" * (order + 1)), box(b"mdat", audio)]
        path.write_bytes(box(b"ftyp", b"M4A \0\0\0\0") + b"".join(boxes[:: 1 - 2 * order]))
        hashes.add(audio_hash(path))
    long = (1).to_bytes(4, "big") + b"mdat" + (16 + len(audio)).to_bytes(8, "big") + audio
    open_ended = bytes(4) + b"mdat" + audio
    for mdat in (long, open_ended):
        path.write_bytes(box(b"ftyp", b"M4A \0\0\0\0") + mdat)
        hashes.add(audio_hash(path))
    assert hashes == {hashlib.sha256(b"mdat" + audio).hexdigest()}
    assert audio_hash(flip(path, -1 + len(path.read_bytes()))) not in hashes


def test_what_is_no_known_audio_is_hashed_whole(tmp_path):
    path = tmp_path / "notes.mp3"
    path.write_text("no music")
    assert audio_hash(path) == hashlib.sha256(b"no music").hexdigest()


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(AudioError, match="is empty"):
        audio_hash(tmp_path / "empty.mp3")
    with pytest.raises(AudioError, match=r"missing.mp3 cannot be read: .*; check the path"):
        audio_hash(tmp_path / "missing.mp3")


def test_real_clips_keep_their_hash_when_tags_are_rewritten(shared_data, tmp_path):
    hashes = set()
    for clip in sorted((shared_data / "fma_clips").glob("*.mp3")):
        path = tmp_path / clip.name
        path.write_bytes(clip.read_bytes())
        tag_id3(path, BIG)
        tag_ape(path, "end")
        assert audio_hash(path) == audio_hash(clip)
        hashes.add(audio_hash(clip))
    assert len(hashes) == 10
