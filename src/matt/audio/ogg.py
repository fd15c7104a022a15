"""Ogg: pages with checksums, numbered per stream; the last page of a stream says that it is.

Cut, flipped, dropped and repeated pages are all seen. Vorbis, Opus, Speex and FLAC-in-Ogg are
told apart by their first packet. Re-tagging rewrites and renumbers pages but leaves the audio
packets as they are, so the encoded audio is hashed packet by packet.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO

from .structure import MOST_BREAKS, Structure, find_header, read_at

_HEADER = 27  # bytes before the table of segments
_CAPTURE = re.compile(b"OggS")
_FIRST, _LAST = 2, 4  # flags of a page
_FLAC = b"\x7fFLAC"
_COMMENTED = (b"\x01vorbis", b"OpusHead", b"Speex   ")  # their second packet is the comment
_MOST_STREAMS = 64  # in one file; real ones have one or two
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Page:
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
    return int(f"{crc:032b}"[::-1], 2)


def pages(stream: BinaryIO, start: int, stop: int) -> Iterator[Page]:
    """All pages in order; a `Page` without a body stands where none could be read."""
    position = start
    while position < stop:
        page = _page(stream, position, stop)
        if page is not None:
            yield page
            position += _HEADER + len(page.lacing) + sum(page.lacing)
            continue
        yield Page(position)
        position = find_header(stream, position + 1, stop, _CAPTURE, 4)
        if position < 0:
            return


def examine(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Check every page: capture, length, checksum, sequence, and the flag on the last one."""
    sequences: dict[int, int] = {}  # number of the last page of each stream
    ended: set[int] = set()
    breaks: list[str] = []
    hole = -1  # where pages stopped; damage only if more follow
    links = 1
    name = "Ogg"
    for page in pages(stream, start, stop):
        if page.body is None:
            hole = page.position
            continue
        if page.flags & _FIRST:
            links += bool(sequences) and set(sequences) == ended
            # A name of its own, because the libsndfile that comes with soundfile cannot open it.
            name = "FLAC in Ogg" if page.body.startswith(_FLAC) else name
            sequences[page.serial] = page.sequence - 1
            ended.discard(page.serial)
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
        if len(sequences) > _MOST_STREAMS:
            breaks = [f"more than {_MOST_STREAMS} streams in one Ogg file"]
            break
        del breaks[MOST_BREAKS:]
    if links > 1:
        breaks.insert(0, f"{links} streams one after the other, only the first can be decoded")
    damage = tuple(breaks)
    if not sequences:
        return Structure(name, "truncated", "its first page is not whole", damage)
    if set(sequences) == ended:
        reason, share = "the last page says that it is the last", 1.0 if links == 1 else None
        return Structure(name, "complete", reason, damage, share=share)
    reason = "its last page is cut" if hole >= 0 else "no page says that it is the last"
    return Structure(name, "truncated", reason, damage, share=None)


def encoded(stream: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """A digest of the packets of each stream, in order of their first pages.

    Without the comment packet. In FLAC-in-Ogg all metadata packets are left out, and the number of
    them is masked in the first packet. Packets of several streams may be interleaved otherwise
    by a tagger, therefore each stream has a digest of its own.
    """
    packets: dict[int, _Packets] = {}
    for page in pages(stream, start, stop):
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


def _page(stream: BinaryIO, position: int, stop: int) -> Page | None:
    """Read the page at ``position``; None if there is none, or not all of it."""
    header = read_at(stream, position, _HEADER)
    if len(header) < _HEADER or header[:5] != b"OggS\0":
        return None
    lacing = stream.read(header[26])
    body = stream.read(sum(lacing))
    if position + _HEADER + header[26] + sum(lacing) > stop or len(body) < sum(lacing):
        return None
    stated = int.from_bytes(header[22:26], "little")
    sound = checksum(header[:22] + bytes(4) + header[26:] + lacing + body) == stated
    serial, sequence = (int.from_bytes(header[at : at + 4], "little") for at in (14, 18))
    return Page(position, header[5], serial, sequence, lacing, body, sound)
