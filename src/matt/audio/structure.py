"""What the bytes of an audio file say before anything is decoded.

A container module (`mpeg`, `ogg`, `flac`, `chunks`) answers two questions about an open file:

- ``examine(file, start, stop) -> Structure``: is everything there that the file says it holds?
- ``encoded(file, start, stop) -> iterator of bytes``: the encoded audio, without any tags.

``start`` and ``stop`` lie inside the tags that any format may have around it: ID3v2 before the
audio; ID3v1, APE, Lyrics3 after it. They nest in any order (a file may carry APE inside ID3v1 after
Lyrics3), so both ends are peeled until nothing is recognised any more.

Sizes found in a file are never trusted: each is checked against the file's own length first.
`FileBytes` reads each byte about once, and looking for a header in vain has a limit: whatever the
bytes are, time grows with their number, and memory does not.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

Completeness = Literal["complete", "truncated", "undetectable"]
Part = bytes | tuple[int, int]
"""Content, or the bytes of the file between two positions."""

CHUNK = 1 << 18  # bytes read at a time: constant memory, few system calls
BLOCK = 1 << 14  # bytes read for a look
_HELD = 8  # blocks
_MOST_TAGS = 10_000  # before the audio
MOST_FALSE = 50_000  # places that look like a header and are none; a gigabyte of noise has fewer
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
    links : tuple of (start, stop)
        Streams that follow each other, each whole in itself; empty for a single one.
    unfinished : bool
        Whether the program that wrote the file never came to state its length: the audio goes to
        the end of the file, and what was still to be written is lost.
    """

    format: str
    completeness: Completeness
    reason: str
    breaks: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    share: float | None = 1.0
    seconds: float | None = None
    links: tuple[tuple[int, int], ...] = ()
    unfinished: bool = False

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the file cannot be taken as it is, in words; empty for a sound one."""
        missing = (f"truncated: {self.reason}",) if self.completeness == "truncated" else ()
        return missing + self.breaks


class Hopeless(Exception):
    """So much looks like a header and is none that nobody could tell what the file is."""


def _nothing() -> None:
    pass


class FileBytes:
    """An open file for parsers, which look at a few bytes here and there.

    Blocks are read, and the last few are held. So whoever goes through a file in either direction,
    looking to and fro, reads each byte about once however small the looks are, and whoever jumps
    reads little.

    Parameters
    ----------
    file : binary file
    alive : callable, optional
        Called before each read.

    Attributes
    ----------
    size : int
        Of the file in bytes, when it was opened.
    n_read : int
        Bytes read so far.
    """

    def __init__(self, file: BinaryIO, alive: Callable[[], None] = _nothing) -> None:
        self._file, self._alive = file, alive
        self.size = os.fstat(file.fileno()).st_size
        self.n_read = 0
        self._held, self._base = b"", 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._false = 0

    def at(self, position: int, size: int) -> bytes:
        """Up to ``size`` bytes at a position; fewer at the end of the file."""
        held, begin = self.piece(position, size)
        return held[begin : begin + size]

    def piece(self, position: int, size: int = 1) -> tuple[bytes, int]:
        """What is held around a position, and where in it that lies.

        At least ``size`` bytes follow, as far as there are so many in the file.
        """
        end = min(position + size, self.size)
        if position < self._base or end > self._base + len(self._held):
            if end - position > CHUNK:
                self._held, self._base = self._read(position, end - position), position
            else:
                first, last = position // BLOCK, max(position, end - 1) // BLOCK
                self._held = b"".join(map(self._block, range(first, last + 1)))
                self._base = first * BLOCK
        return self._held, position - self._base

    def span(self, start: int, stop: int) -> Iterator[bytes]:
        """Bytes ``start`` to ``stop``, a piece at a time."""
        while start < stop:
            piece = self._read(start, min(CHUNK, stop - start))
            if not piece:
                return
            start += len(piece)
            yield piece

    def missed(self, weight: int = 1) -> None:
        """Note a place that looked like a header and was none, or cost as much as some of these.

        Raises
        ------
        Hopeless
            If there were too many.
        """
        self._false += weight
        if self._false > MOST_FALSE:
            raise Hopeless(f"{MOST_FALSE:,} places look like the start of a frame and are none")

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._read(number * BLOCK, BLOCK)
        self._blocks.move_to_end(number)
        while len(self._blocks) > _HELD:
            self._blocks.popitem(last=False)
        return self._blocks[number]

    def _read(self, position: int, size: int) -> bytes:
        self._alive()
        self._file.seek(position)
        found = self._file.read(size)
        self.n_read += len(found)
        return found


def find_header(
    file: FileBytes,
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

    Raises
    ------
    Hopeless
        If too much looks like one and is none.
    """
    while start < stop:
        piece, begin = file.piece(start, size)
        base = start - begin
        if len(piece) - begin < min(size, file.size - start):
            return -1  # the file has become shorter
        # A header that begins later may end in the next piece.
        until = min(
            len(piece) - size + 1 if base + len(piece) < file.size else len(piece), stop - base
        )
        for match in sync.finditer(piece, begin):
            at = match.start()
            if at >= until:
                break
            if is_one(base + at, piece[at : at + size]):
                return base + at
            file.missed()
        start = base + max(until, begin + 1)
    return -1


def audio_extent(file: FileBytes) -> tuple[int, int]:
    """Where the audio lies between the tags at both ends of a file.

    Returns
    -------
    start, stop : int
        ``0 <= start <= stop <= file.size``.
    """
    *_, (_, start) = (0, 0), *leading_tags(file)
    *_, (stop, _) = (file.size, 0), *trailing_tags(file, start)
    return start, stop


def leading_tags(file: FileBytes) -> Iterator[tuple[int, int]]:
    """Where each tag before the audio lies, the first one first."""
    start = 0
    for _ in range(_MOST_TAGS):
        if (length := leading_tag(file, start, file.size)) == 0:
            return
        yield start, start + length
        start += length


def trailing_tags(file: FileBytes, start: int) -> Iterator[tuple[int, int]]:
    """Where each tag behind the audio lies, the last one first; the audio begins at ``start``."""
    stop = file.size
    while (length := _trailing_tag(file, start, stop)) > 0:
        yield stop - length, stop
        stop -= length


def leading_tag(file: FileBytes, position: int, stop: int) -> int:
    """Length of the tag that begins at ``position``; 0 if none does, or if it would not fit."""
    head = file.at(position, _APE)
    length = 0
    if head[:3] == b"ID3" and len(head) >= _ID3V2 and max(head[6:10]) < 0x80:
        length = _ID3V2 + _syncsafe(head[6:10]) + (_ID3V2 if head[5] & 0x10 else 0)
    elif head[:8] == b"APETAGEX" and _little(head[20:24]) & _APE_IS_HEADER:
        length = _APE + _little(head[12:16])
    elif head[:3] == b"TAG" and stop - position >= _ID3V1:
        length = _ID3V1
    return length if position + length <= stop else 0


def _trailing_tag(file: FileBytes, start: int, stop: int) -> int:
    """Length of the tag that ends at ``stop``; 0 if none does, or if it would not fit."""
    foot = file.at(max(start, stop - _ID3V1), min(_ID3V1, stop - start))
    length = 0
    if foot[-32:-24] == b"APETAGEX":
        header = _APE if _little(foot[-12:-8]) & _APE_HAS_HEADER else 0
        length = _little(foot[-20:-16]) + header  # the size it states includes this footer
    elif foot[-10:-7] == b"3DI" and max(foot[-4:]) < 0x80:
        length = _ID3V2 + _syncsafe(foot[-4:]) + _ID3V2
    elif foot[-9:] == b"LYRICS200" and foot[-15:-9].isdigit():
        length = int(foot[-15:-9]) + 15
    elif foot[-9:] == b"LYRICSEND":
        tail = file.at(max(start, stop - _LYRICS1_MOST - 20), _LYRICS1_MOST + 20)
        begin = tail[: stop - start].rfind(b"LYRICSBEGIN")
        length = min(len(tail), stop - start) - begin if begin >= 0 else 0
    elif foot[:3] == b"TAG" and len(foot) == _ID3V1:  # last: "APETAGEX" may lie there, too
        enhanced = file.at(max(start, stop - _ID3V1 - _ENHANCED), 4)
        length = _ID3V1 + (_ENHANCED if enhanced == b"TAG+" else 0)
    return length if start + length <= stop else 0


def _syncsafe(four: bytes) -> int:
    """Number of 28 bits, seven in each byte.

    >>> _syncsafe(bytes([0, 0, 2, 1]))
    257
    """
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]


def _little(four: bytes) -> int:
    return int.from_bytes(four, "little")
