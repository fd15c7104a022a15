"""Ogg: pages with checksums, numbered per stream; the last page of a stream says that it is.

Cut, flipped, dropped and repeated pages are all seen. Vorbis, Opus, Speex and FLAC-in-Ogg are
told apart by their first packet. Re-tagging rewrites and renumbers pages but leaves the audio
packets as they are, so the encoded audio is hashed packet by packet.

Streams may follow each other in one file, as of a radio recording, or of files joined end to end.
Decoders stop after the first, so each such link is decoded as a file of its own; only the rate and
the channels have to stay what they are.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from .structure import MOST_BREAKS, FileBytes, Structure, find_header

_FIELDS = Struct("<5x B 8x 3I B")  # flags, serial, sequence, checksum, number of segments
_HEADER, _LACING = _FIELDS.size, 255  # bytes before the table of segments, and of that at most
_CAPTURE = re.compile(rb"OggS\x00")
_FIRST, _LAST = 2, 4  # flags of a page
_FLAC = b"\x7fFLAC"
_COMMENTED = (b"\x01vorbis", b"OpusHead", b"Speex   ")  # their second packet is the comment
_CODECS = (  # first bytes, name, where the rate lies and where the number of channels
    (b"\x01vorbis", "Vorbis", 12, 11),
    (b"OpusHead", "Opus", 12, 9),
    (b"Speex   ", "Speex", 36, 48),
)
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000)
_MOST_STREAMS = 64  # side by side in one file; real ones have one or two
_HOLE = 5  # what one costs, in false starts
_MOST_LINKS = 10_000  # one after the other
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """One page, or what lies between pages (``body`` None)."""

    position: int  # byte in the file
    flags: int = 0
    serial: int = 0  # which logical stream
    sequence: int = 0
    lacing: bytes = b""
    body: bytes | None = None
    sound: bool = False  # whether the checksum holds


def checksum(content: bytes) -> int:
    """Ogg's CRC-32: the polynomial of zlib, most significant bit first, no inversion.

    Reversing the bits of every byte turns one into the other, which is much faster than a loop.
    """
    crc = zlib.crc32(content.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "big").translate(_REVERSED), "little")


def pages(file: FileBytes, start: int, stop: int) -> Iterator[Page]:
    """All pages in order; a `Page` without a body stands where none could be read."""

    def is_one(position: int, header: bytes) -> bool:
        return _length(file, position, stop) > 0

    position = start
    while position < stop:
        length = _length(file, position, stop)
        if length:
            yield _page(file, position, length)
            position += length
            continue
        yield Page(position)
        file.missed(_HOLE)
        position = find_header(file, position + 1, stop, _CAPTURE, _HEADER, is_one)
        if position < 0:
            return


def examine(file: FileBytes, start: int, stop: int) -> Structure:
    """Check every page: capture, length, checksum, sequence, and the flag on the last one."""
    sequences: dict[int, int] = {}  # number of the last page of each stream of this link
    ended: set[int] = set()
    breaks: list[str] = []
    hole = -1  # where pages stopped; damage only if more follow
    links: list[tuple[int, list[str]]] = []  # where each begins, and what its streams are
    begun = False  # whether pages came that are not the first of their stream
    for page in pages(file, start, stop):
        if page.body is None:
            hole = page.position
            continue
        if page.flags & _FIRST:
            if begun or not links:
                if set(sequences) != ended:
                    breaks.append(f"the stream before byte {page.position} has no last page")
                sequences, ended, begun = {}, set(), False
                links.append((page.position, []))
            links[-1][1].append(_kind(page.body))
            sequences[page.serial] = page.sequence - 1
            ended.discard(page.serial)
        else:
            begun = True
        expected = sequences.get(page.serial, page.sequence - 1) + 1
        if hole >= 0:
            breaks.append(f"no Ogg page at byte {hole}, pages go on at byte {page.position}")
        elif not page.sound:
            breaks.append(f"the checksum of the Ogg page at byte {page.position} does not hold")
        elif page.sequence != expected:
            breaks.append(f"Ogg page {expected} is missing before byte {page.position}")
        hole = -1
        sequences[page.serial] = page.sequence
        if page.flags & _LAST:
            ended.add(page.serial)
        if len(sequences) > _MOST_STREAMS or len(links) > _MOST_LINKS:
            breaks = ["more streams in one Ogg file than anyone has"]
            break
        del breaks[MOST_BREAKS:]
    kinds = " ".join(links[0][1]) if links else ""
    # Names of their own, because the libsndfile that comes with soundfile cannot open them.
    name = next((f"{codec} in Ogg" for codec in ("FLAC", "Speex") if codec in kinds), "Ogg")
    spans, change = _alike(links, stop)
    if change:
        breaks.insert(0, change)
    damage = tuple(breaks)
    if not sequences:
        return Structure(name, "truncated", "its first page is not whole", damage)
    share = None if change else 1.0
    if set(sequences) == ended:
        reason = "the last page says that it is the last"
        return Structure(name, "complete", reason, damage, share=share, links=spans)
    reason = "its last page is cut" if hole >= 0 else "no page says that it is the last"
    return Structure(name, "truncated", reason, damage, share=None, links=spans)


def _kind(first: bytes) -> str:
    """Codec of a stream, with the rate and channels of what it decodes to, by its first packet."""
    if first.startswith(_FLAC):
        bits = int.from_bytes(first[27:30], "big")  # rate 20, channels less one 3
        return _described("FLAC", bits >> 4, (bits >> 1 & 7) + 1)
    for magic, codec, rate_at, channels_at in _CODECS:
        if first.startswith(magic):
            rate = int.from_bytes(first[rate_at : rate_at + 4], "little")
            if codec == "Opus":  # what it states is the rate of the original
                rate = rate if rate in _OPUS_RATES else 48_000
            return _described(codec, rate, int.from_bytes(first[channels_at:][:1]))
    return "no audio"


def _described(codec: str, rate: int, channels: int) -> str:
    return f"{codec} of {rate} Hz in {channels} channel{'s' * (channels != 1)}"


def _alike(
    links: list[tuple[int, list[str]]], stop: int
) -> tuple[tuple[tuple[int, int], ...], str]:
    """Links that can be joined, where there are several; and what the first of the others is."""
    if len(links) < 2:
        return (), ""
    starts = [start for start, _ in links]
    spans = tuple(zip(starts, [*starts[1:], stop], strict=True))
    first = links[0][1]
    for number, (_, kinds) in enumerate(links):
        if kinds != first:
            change = (
                f"{len(links)} streams follow each other, the first is {' and '.join(first)}, "
                f"number {number + 1} is {' and '.join(kinds)}; only what lies before that one can "
                "be decoded"
            )
            return spans[:number], change
    return spans, ""


def encoded(file: FileBytes, start: int, stop: int) -> Iterator[bytes]:
    """A digest of the packets of each stream, in order of their first pages.

    Without the comment packet. In FLAC-in-Ogg all metadata packets are left out, and the number of
    them is masked in the first packet. Packets of several streams may be interleaved otherwise
    by a tagger, therefore each stream has a digest of its own.
    """
    packets: dict[int, _Packets] = {}
    for page in pages(file, start, stop):
        if page.body is None:
            continue
        if page.serial not in packets and len(packets) < _MOST_STREAMS:
            packets[page.serial] = _Packets()
        if page.serial in packets:
            packets[page.serial].add(page.lacing, page.body)
    for stream_packets in packets.values():
        yield stream_packets.digest()


class _Packets:
    """Digest of the audio packets of one stream, fed page by page."""

    def __init__(self) -> None:
        self._digest = sha256()
        self._index = 0  # of the packet being read
        self._size = 0  # bytes of it seen so far
        self._keep = True
        self._first = b""

    def add(self, lacing: bytes, body: bytes) -> None:
        at = 0
        for lace in lacing:
            self._piece(body[at : at + lace])
            at += lace
            if lace < 255:  # the packet ends here
                if self._keep:
                    self._digest.update(b"%d;" % self._size)  # where one ends belongs to it
                self._index, self._size = self._index + 1, 0

    def _piece(self, piece: bytes) -> None:
        if self._size == 0:
            if self._index == 0:
                self._first = piece[:9]
                if piece.startswith(_FLAC):
                    piece = piece[:7] + b"\0\0" + piece[9:]  # number of metadata packets
            self._keep = self._is_audio(piece)
        self._size += len(piece)
        if self._keep:
            self._digest.update(piece)

    def _is_audio(self, piece: bytes) -> bool:
        if self._index == 0:
            return True
        if self._first.startswith(_FLAC):
            return piece[:1] == b"\xff"  # a frame's sync; metadata types are lower
        return not (self._index == 1 and self._first.startswith(_COMMENTED))

    def digest(self) -> bytes:
        return self._digest.digest()


def _length(file: FileBytes, position: int, stop: int) -> int:
    """Bytes of the page at ``position``; 0 if there is none, or not all of it."""
    held, begin = file.piece(position, _HEADER + _LACING)
    table = begin + _HEADER
    if len(held) < table or not held.startswith(b"OggS\0", begin):
        return 0
    n = held[table - 1]
    length = _HEADER + n + sum(held[table : table + n])
    return length if position + length <= stop else 0


def _page(file: FileBytes, position: int, length: int) -> Page:
    content = file.at(position, length)
    flags, serial, sequence, stated, n = _FIELDS.unpack_from(content)
    sound = checksum(b"%b\0\0\0\0%b" % (content[:22], content[26:])) == stated
    lacing, body = content[_HEADER : _HEADER + n], content[_HEADER + n :]
    return Page(position, flags, serial, sequence, lacing, body, sound)
