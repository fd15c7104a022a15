"""Native FLAC: metadata blocks, then frames with checksums.

STREAMINFO states the number of samples. Instead of decoding everything, the last frame is looked
for: its header says which samples it holds, its checksum whether it is whole. Damage in the middle
breaks the checksum of a frame and is seen by the decoder when it gets there, not before.

libFLAC fails on what lies behind the last frame, and the checksum of a frame does not tell how many
zeros follow it. Where the file does not end with the last frame, that is taken apart as far as it
takes to know its length. Streams that follow each other are links, as in Ogg.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from .structure import FileBytes, Structure, find_header

_STREAMINFO = 34  # bytes
_MOST_TAIL = 1 << 21  # bytes in which the last frame must lie; a larger one is not credible
_MOST_BEHIND = 1 << 20  # bytes behind it that are looked through
_BEGIN = re.compile(rb"fLaC\0\0\0\x22")
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_PROBES = 8  # frames that are looked at between the ends of a file
_MOST_LINKS = 1000  # one after the other
_DEPTHS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}  # bits of a sample, by their code in a frame
_SIDE = {8: 1, 9: 0, 10: 1}  # channel that is a difference, by the code of the channels


@dataclass(frozen=True)
class _Layout:
    streaminfo: bytes
    frames: int  # byte at which the first frame begins

    @property
    def sr(self) -> int:
        return int.from_bytes(self.streaminfo[10:13], "big") >> 4

    @property
    def n_samples(self) -> int:  # 0 = not stated
        return int.from_bytes(self.streaminfo[13:18], "big") & (1 << 36) - 1

    @property
    def block_size(self) -> int:  # of a stream with a fixed one
        return int.from_bytes(self.streaminfo[:2], "big")

    @property
    def depth(self) -> int:  # bits of a sample
        return (int.from_bytes(self.streaminfo[12:14], "big") >> 4 & 31) + 1

    @property
    def longest_frame(self) -> int:
        """Bytes; from the uncompressed size where it is not stated."""
        stated = int.from_bytes(self.streaminfo[7:10], "big")
        most = int.from_bytes(self.streaminfo[2:4], "big")
        channels = (self.streaminfo[12] >> 1 & 7) + 1
        return min(stated or most * channels * 4 + 1024, _MOST_TAIL)


def examine(file: FileBytes, start: int, stop: int) -> Structure:
    """Compare the samples stated with the end of the last whole frame."""
    layout = _layout(file, start, stop)
    if layout is None:
        return Structure("FLAC", "truncated", "its metadata is not whole")
    end, until = _last_frame(file, layout, stop) or (None, stop)
    stated = layout.n_samples
    if end != stated != 0 or _goes_back(file, layout, stop):
        links = _links(file, start, layout.frames, stop)
        if len(links) > 1:
            return _joined(file, links)
        if end != stated and (found := _stated_frame(file, layout, stop)):
            end, until = found
    behind = stop - until
    parts: tuple[tuple[int, int], ...] = ((start, until),) if behind else ()
    more = f"; {behind} bytes behind it are no audio" if behind else ""
    if stated == 0:
        reason = "STREAMINFO does not say how many samples there should be"
        if end is None:
            return Structure("FLAC", "undetectable", reason)
        # libsndfile needs a length to read to the end: give it the one found.
        before = file.at(start, 8) + layout.streaminfo[:13]
        bits = int.from_bytes(layout.streaminfo[13:18], "big") | end
        head = before + bits.to_bytes(5, "big")
        told = (head, (start + len(head), until))
        return Structure("FLAC", "undetectable", reason + more, parts=told)
    if end is None:
        return Structure("FLAC", "truncated", "its last frame is not whole")
    reason = f"the last frame ends at sample {end} of the {stated} that STREAMINFO states{more}"
    return Structure("FLAC", "truncated" if end < stated else "complete", reason, parts=parts)


def _goes_back(file: FileBytes, layout: _Layout, stop: int) -> bool:
    """Whether a later frame holds earlier samples, looking at a few.

    So it is with streams of one length that follow each other, whose last frame is as the first
    stream states. What looks like a frame by chance costs a look for the start of a stream.
    """

    def is_one(position: int, header: bytes) -> bool:
        return _frame_end(header, layout) is not None

    latest = 0
    for probe in range(1, _PROBES + 1):
        begin = layout.frames + probe * (stop - layout.frames) // (_PROBES + 1)
        until = min(begin + 2 * layout.longest_frame, stop)
        found = find_header(file, begin, until, _SYNC, 16, is_one)
        end = _frame_end(file.at(found, 16), layout) if found >= 0 else None
        if end is not None and end < latest:
            return True
        latest = end or latest
    return False


def _links(file: FileBytes, start: int, frames: int, stop: int) -> list[tuple[int, int]]:
    """Where each stream lies, if others follow the first one."""
    begins = [start]
    position = frames
    while len(begins) < _MOST_LINKS:
        position = find_header(file, position, stop, _BEGIN, 8)
        if position < 0:
            break
        begins.append(position)
        position += 8
    return list(pairwise([*begins, stop]))


def _joined(file: FileBytes, links: list[tuple[int, int]]) -> Structure:
    """What streams that follow each other state; the first that is not whole says how it ends."""
    each = [examine(file, begin, end) for begin, end in links]
    worst = next((one for one in each if one.completeness != "complete"), each[0])
    spans = []
    for link, one in zip(links, each, strict=True):
        last = one.parts[-1] if one.parts else link
        spans.append((link[0], last[1]) if isinstance(last, tuple) else link)
    reason = f"{len(links)} streams, one after the other: {worst.reason}"
    share = 1.0 if worst.completeness == "complete" else None
    return replace(worst, reason=reason, parts=(), share=share, links=tuple(spans))


def encoded(file: FileBytes, start: int, stop: int) -> Iterator[bytes]:
    """STREAMINFO and the frames; all other metadata blocks are left out."""
    layout = _layout(file, start, stop)
    if layout is None:
        yield from file.span(start, stop)
        return
    yield layout.streaminfo
    yield from file.span(layout.frames, stop)


def _layout(file: FileBytes, start: int, stop: int) -> _Layout | None:
    """Walk the metadata blocks; None if they run over the end or STREAMINFO is not the first."""
    position, last = start + 4, False
    while not last:
        header = file.at(position, 4) if position < stop else b""
        if len(header) < 4:
            return None
        file.missed()  # real files have a few
        last = bool(header[0] & 0x80)
        position += 4 + int.from_bytes(header[1:], "big")
    kind, streaminfo = file.at(start + 4, 1), file.at(start + 8, _STREAMINFO)
    if position > stop or kind[0] & 0x7F or len(streaminfo) < _STREAMINFO:
        return None
    return _Layout(streaminfo, position)


def _last_frame(file: FileBytes, layout: _Layout, stop: int) -> tuple[int, int] | None:
    """Sample and byte at which the frame that fills the file to its end ends.

    Zeros may follow it. None without such a frame.
    """
    begin = max(layout.frames, stop - layout.longest_frame)
    tail = file.at(begin, stop - begin)
    sync = file.at(layout.frames, 2)
    if sync not in (b"\xff\xf8", b"\xff\xf9"):
        return None
    # Of the bytes from `until` on: their checksum, and what as many zeros make of a 1. So no byte
    # is summed twice, however many places look like frames.
    crc, shift, until = 0, 1, len(tail)
    at = tail.rfind(sync)
    while at >= 0:
        end = _frame_end(tail[at : at + 16], layout)
        if end is not None:
            crc ^= _product(_crc16(tail[at:until]), shift)
            if crc == 0:  # as that of anything with its checksum, and zeros behind it
                length = _frame_length(tail[at:], layout) if tail.endswith(b"\0") else None
                return end, begin + at + length if length else stop
            shift, until = _product(shift, _zeros(until - at)), at
        file.missed()
        at = tail.rfind(sync, 0, at)
    return None


def _stated_frame(file: FileBytes, layout: _Layout, stop: int) -> tuple[int, int] | None:
    """As `_last_frame`, of the frame that ends where STREAMINFO says, with anything behind it."""
    sync = file.at(layout.frames, 2)
    if sync not in (b"\xff\xf8", b"\xff\xf9"):
        return None
    begin = max(layout.frames, stop - layout.longest_frame - _MOST_BEHIND)
    tail = file.at(begin, stop - begin)
    at = tail.rfind(sync)
    while at >= 0:
        if _frame_end(tail[at : at + 16], layout) == layout.n_samples:
            length = _frame_length(tail[at : at + layout.longest_frame], layout)
            return (layout.n_samples, begin + at + length) if length else None
        file.missed()
        at = tail.rfind(sync, 0, at)
    return None


def _frame_length(frame: bytes, layout: _Layout) -> int | None:
    """Bytes of the frame that these begin with, its checksum included; None if it is not whole."""
    header = _frame_header(frame[:16].ljust(16, b"\0"))
    if header is None:
        return None
    _, n_samples, begin = header
    try:
        bits = "".join(f"{byte:08b}" for byte in frame)
        position = 8 * begin
        code = frame[3] >> 4
        for channel in range(code + 1 if code < 8 else 2):
            depth = _DEPTHS.get(frame[3] >> 1 & 7, layout.depth) + (channel == _SIDE.get(code))
            position = _subframe_end(bits, position, depth, n_samples)
    except ValueError:  # it ends before, or makes no sense
        return None
    length = (position + 7) // 8 + 2
    return length if length <= len(frame) and _crc16(frame[:length]) == 0 else None


def _subframe_end(bits: str, at: int, depth: int, n_samples: int) -> int:
    """Bit behind the samples of one channel in a frame.

    Raises
    ------
    ValueError
        If there are fewer bits, or they mean nothing.
    """

    def number(begin: int, size: int) -> int:
        return int(bits[begin : begin + size], 2)

    kind, wasted, at = number(at + 1, 6), number(at + 7, 1), at + 8
    if wasted:
        one = bits.index("1", at)
        depth, at = depth - (one - at) - 1, one + 1
    if kind < 2:  # all alike, or as they are
        return at + (depth * n_samples if kind else depth)
    if kind < 8 or 12 < kind < 32:
        raise ValueError("reserved")
    order = kind - 8 if kind < 32 else kind - 31
    at += order * depth
    if kind >= 32:  # with coefficients
        at += 9 + order * (number(at, 4) + 1)
    width, partitions, at = 4 + number(at, 2), number(at + 2, 4), at + 6
    for partition in range(1 << partitions):
        rice, at = number(at, width), at + width
        n = (n_samples >> partitions) - (0 if partition else order)
        if rice == (1 << width) - 1:
            at += 5 + n * number(at, 5)
            continue
        for _ in range(n):
            at = bits.index("1", at) + 1 + rice
    return at


def _frame_end(header: bytes, layout: _Layout) -> int | None:
    """Sample at which a frame ends, from its header; None if that is not one."""
    # A frame of silence may be shorter than that.
    found = _frame_header(header.ljust(16, b"\0"))
    if found is None:
        return None
    number, size, _ = found
    variable = header[1] & 1
    return (number if variable else number * layout.block_size) + size


def _frame_header(header: bytes) -> tuple[int, int, int] | None:
    """Number of a frame or its first sample, its samples, and bytes of its header."""
    # sync 14, reserved 1, variable 1 | block size 4, rate 4 | channels 4, bits 3, reserved 1 | ...
    first, n_extra = header[4], 0
    while first & 0x80 >> n_extra and n_extra < 7:  # leading ones, as in UTF-8
        n_extra += 1
    if n_extra == 1:
        return None
    number = first & (0xFF >> n_extra + 1 if n_extra else 0x7F)
    at = 5
    for byte in header[5 : 5 + max(n_extra - 1, 0)]:
        number, at = number << 6 | byte & 0x3F, at + 1
    code, rate = header[2] >> 4, header[2] & 15
    size_at = at
    at += {6: 1, 7: 2}.get(code, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if code == 0 or rate == 15 or _crc8(header[: at + 1]) != 0:
        return None
    if code in (6, 7):
        size = int.from_bytes(header[size_at : size_at + code - 5], "big") + 1
    else:
        size = 192 if code == 1 else 144 << code if code < 6 else 1 << code
    return number, size, at + 1


def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    table, top, mask = [], 1 << bits - 1, (1 << bits) - 1
    for byte in range(256):
        crc = byte << bits - 8
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
        table.append(crc)
    return tuple(table)


_CRC8, _CRC16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)


def _crc8(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc16(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc = crc << 8 & 0xFFFF ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _product(a: int, b: int) -> int:
    """Product of two polynomials, modulo that of the checksum of 16 bits."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x18005 if a & 0x8000 else 0)
        b >>= 1
    return product


def _zeros(n_bytes: int) -> int:
    """What a checksum of 1 becomes over so many zeros."""
    result, square = 1, 0x100  # that of one byte
    while n_bytes:
        if n_bytes & 1:
            result = _product(result, square)
        square = _product(square, square)
        n_bytes >>= 1
    return result
