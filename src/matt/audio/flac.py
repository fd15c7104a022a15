"""Native FLAC: metadata blocks, then frames with checksums.

STREAMINFO states the number of samples. Instead of decoding everything, the last frame is looked
for: its header says which samples it holds, its checksum whether it is whole. Damage in the middle
breaks the checksum of a frame and is seen by the decoder when it gets there, not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .structure import FileBytes, Structure

_STREAMINFO = 34  # bytes
_MOST_TAIL = 1 << 21  # bytes in which the last frame must lie; a larger one is not credible


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
    end = _end_of_last_frame(file, layout, stop)
    stated = layout.n_samples
    if stated == 0:
        reason = "STREAMINFO does not say how many samples there should be"
        if end is None:
            return Structure("FLAC", "undetectable", reason)
        # libsndfile needs a length to read to the end: give it the one found.
        before = file.at(start, 8) + layout.streaminfo[:13]
        bits = int.from_bytes(layout.streaminfo[13:18], "big") | end
        head = before + bits.to_bytes(5, "big")
        return Structure("FLAC", "undetectable", reason, parts=(head, (start + len(head), stop)))
    if end is None:
        return Structure("FLAC", "truncated", "its last frame is not whole")
    reason = f"the last frame ends at sample {end} of the {stated} that STREAMINFO states"
    return Structure("FLAC", "truncated" if end < stated else "complete", reason)


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


def _end_of_last_frame(file: FileBytes, layout: _Layout, stop: int) -> int | None:
    """Sample at which the frame that fills the file to its last byte ends; None without one."""
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
            if crc == 0:  # as that of anything with its checksum
                return end
            shift, until = _product(shift, _zeros(until - at)), at
        file.missed()
        at = tail.rfind(sync, 0, at)
    return None


def _frame_end(header: bytes, layout: _Layout) -> int | None:
    """Sample at which a frame ends, from its header; None if that is not one."""
    # sync 14, reserved 1, variable 1 | block size 4, rate 4 | channels 4, bits 3, reserved 1 | ...
    header = header.ljust(16, b"\0")  # a frame of silence may be shorter than that
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
    variable = header[1] & 1
    return (number if variable else number * layout.block_size) + size


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
