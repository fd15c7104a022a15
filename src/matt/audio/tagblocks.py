"""Tags that lie around the audio of any format: ID3v2 before it; ID3v1, APE, Lyrics3 after it.

They nest in any order (a file may carry APE inside ID3v1 after Lyrics3), so both ends are peeled
until nothing is recognised any more.
"""

from __future__ import annotations

from typing import BinaryIO

from .structure import read_at

_ID3V2, _ID3V1, _ENHANCED, _APE = 10, 128, 227, 32  # sizes of headers, tags and footers
_APE_HAS_HEADER, _APE_IS_HEADER = 1 << 31, 1 << 29
_LYRICS1_MOST = 5100  # bytes of lyrics that version 1 allows


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
