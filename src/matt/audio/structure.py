"""What the bytes of an audio file say before anything is decoded.

A container module (`mpeg`, `ogg`, `flac`, `chunks`) answers two questions about an open file:

- ``examine(stream, start, stop) -> Structure``: is everything there that the file says it holds?
- ``encoded(stream, start, stop) -> iterator of bytes``: the encoded audio, without any tags.

``start`` and ``stop`` lie inside the tags that any format may have around it: ID3v2 before the
audio; ID3v1, APE, Lyrics3 after it. They nest in any order (a file may carry APE inside ID3v1 after
Lyrics3), so both ends are peeled until nothing is recognised any more.

Sizes found in a file are never trusted: each is checked against the file's own length first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

Completeness = Literal["complete", "truncated", "undetectable"]
Part = bytes | tuple[int, int]
"""Content, or the bytes of the file between two positions."""

CHUNK = 1 << 18  # bytes read at a time: constant memory, few system calls
MOST_BREAKS = 5  # told of one file
MOST_SPANS = 10_000  # between breaks; after that the decoder has to find its way itself

_ID3V2, _ID3V1, _ENHANCED, _APE = 10, 128, 227, 32  # sizes of headers, tags and footers
_APE_HAS_HEADER, _APE_IS_HEADER = 1 << 31, 1 << 29
_LYRICS1_MOST = 5100  # bytes of lyrics that version 1 allows


@dataclass(frozen=True)
class Structure:
    """What an audio file states about itself, compared with what is there.

    Attributes
    ----------
    format : str
        Of the container, e.g. ``"MP3"``.
    completeness : {"complete", "truncated", "undetectable"}
        ``"undetectable"``: the file does not state how long it should be.
    reason : str
        What the completeness rests on.
    breaks : tuple of str
        Damage in the middle that the container shows, in file order; at most `MOST_BREAKS`.
    parts : tuple of bytes or (start, stop)
        What the decoder has to read instead of the file: the length it would not find otherwise,
        and no bytes that are no audio. Empty: the file as it is.
    share : float or None
        Length that the decoder will expect, as a share of the length stated: below 1 where it
        goes by what is there. None: the whole length is not stated.
    seconds : float or None
        Length stated, where the decoder would only guess it.
    """

    format: str
    completeness: Completeness
    reason: str
    breaks: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    share: float | None = 1.0
    seconds: float | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the file cannot be taken as it is, in words; empty for a sound one."""
        missing = (f"truncated: {self.reason}",) if self.completeness == "truncated" else ()
        return missing + self.breaks


def read_at(stream: BinaryIO, position: int, size: int) -> bytes:
    """Read up to ``size`` bytes at a position, which a file must be able to have."""
    stream.seek(position)
    return stream.read(size)


def read_span(stream: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """Bytes ``start`` to ``stop`` of a file, a piece at a time."""
    stream.seek(start)
    while start < stop:
        piece = stream.read(min(CHUNK, stop - start))
        if not piece:
            return
        start += len(piece)
        yield piece


def find_header(
    stream: BinaryIO,
    start: int,
    stop: int,
    sync: re.Pattern[bytes],
    size: int,
    is_one: Callable[[int, bytes], bool] = lambda position, header: True,
) -> int:
    """Position of the next header; -1 if there is none.

    Parameters
    ----------
    sync : pattern
        How one begins.
    size : int
        Bytes of a header, which may lie across two pieces of the file.
    is_one : callable
        Of a position and its header: whether it really is one.
    """
    for base in range(start, stop, CHUNK):
        piece = read_at(stream, base, CHUNK + size - 1)
        for match in sync.finditer(piece):
            at = match.start()
            if at < CHUNK and is_one(base + at, piece[at : at + size]):
                return base + at
    return -1


def audio_extent(stream: BinaryIO, size: int) -> tuple[int, int]:
    """Where the audio lies between the tags at both ends of a file.

    Parameters
    ----------
    stream : binary file
    size : int
        Of the file in bytes.

    Returns
    -------
    start, stop : int
        ``0 <= start <= stop <= size``.
    """
    start = 0
    while (length := leading_tag(stream, start, size)) > 0:
        start += length
    stop = size
    while (length := _trailing_tag(stream, start, stop)) > 0:
        stop -= length
    return start, stop


def leading_tag(stream: BinaryIO, position: int, stop: int) -> int:
    """Length of the tag that begins at ``position``; 0 if none does, or if it would not fit."""
    head = read_at(stream, position, _APE)
    length = 0
    if head[:3] == b"ID3" and len(head) >= _ID3V2 and max(head[6:10]) < 0x80:
        length = _ID3V2 + _syncsafe(head[6:10]) + (_ID3V2 if head[5] & 0x10 else 0)
    elif head[:8] == b"APETAGEX" and _little(head[20:24]) & _APE_IS_HEADER:
        length = _APE + _little(head[12:16])
    elif head[:3] == b"TAG" and stop - position >= _ID3V1:
        length = _ID3V1
    return length if position + length <= stop else 0


def _trailing_tag(stream: BinaryIO, start: int, stop: int) -> int:
    """Length of the tag that ends at ``stop``; 0 if none does, or if it would not fit."""
    foot = read_at(stream, max(start, stop - _ID3V1), min(_ID3V1, stop - start))
    length = 0
    if foot[:3] == b"TAG" and len(foot) == _ID3V1:
        enhanced = read_at(stream, max(start, stop - _ID3V1 - _ENHANCED), 4)
        length = _ID3V1 + (_ENHANCED if enhanced == b"TAG+" else 0)
    elif foot[-32:-24] == b"APETAGEX":
        header = _APE if _little(foot[-12:-8]) & _APE_HAS_HEADER else 0
        length = _little(foot[-20:-16]) + header  # the size it states includes this footer
    elif foot[-10:-7] == b"3DI" and max(foot[-4:]) < 0x80:
        length = _ID3V2 + _syncsafe(foot[-4:]) + _ID3V2
    elif foot[-9:] == b"LYRICS200" and foot[-15:-9].isdigit():
        length = int(foot[-15:-9]) + 15
    elif foot[-9:] == b"LYRICSEND":
        tail = read_at(stream, max(start, stop - _LYRICS1_MOST - 20), _LYRICS1_MOST + 20)
        begin = tail[: stop - start].rfind(b"LYRICSBEGIN")
        length = min(len(tail), stop - start) - begin if begin >= 0 else 0
    return length if start + length <= stop else 0


def _syncsafe(four: bytes) -> int:
    """Number of 28 bits, seven in each byte.

    >>> _syncsafe(bytes([0, 0, 2, 1]))
    257
    """
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]


def _little(four: bytes) -> int:
    return int.from_bytes(four, "little")
