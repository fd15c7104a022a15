"""AAC as a bare stream: a chain of ADTS frames, each with a header that says where the next begins.

Nothing states how many frames there should be, so a stream that is cut between two frames looks
whole; one that is cut within a frame is told as such.
"""

from __future__ import annotations

from typing import BinaryIO

from .structure import CHUNK, MOST_BREAKS, Structure, read_at

_HEADER = 7  # bytes, without a checksum
_SAME = 0xFFFE_FDC0  # sync, version, profile, sampling rate, channels: equal in all frames


def parse_frame(header: bytes) -> tuple[int, int] | None:
    """Length of a frame in bytes, and what all frames of a stream share; None if it is no header.

    >>> parse_frame(bytes.fromhex("fff150801abffc"))[0]
    213
    """
    if len(header) < _HEADER or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    length = int.from_bytes(header[3:6], "big") >> 5 & 0x1FFF
    sr_index = header[2] >> 2 & 15
    if length < _HEADER or sr_index > 12:
        return None
    return length, int.from_bytes(header[:4], "big") & _SAME


def examine(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Follow the chain of frames to its end."""
    position, same, n_frames, end = start, 0, 0, ""
    breaks: list[str] = []
    while position + _HEADER <= stop:
        frame = parse_frame(read_at(stream, position, _HEADER))
        if frame is not None and same in (0, frame[1]):
            if position + frame[0] > stop:
                end = "; its last frame is cut"
                break
            n_frames, position, same = n_frames + 1, position + frame[0], frame[1]
            continue
        found = _find(stream, position + 1, stop, same)
        if found < 0:
            break  # what is left is no audio
        if len(breaks) < MOST_BREAKS:
            breaks.append(
                f"ADTS sync is lost after {n_frames} frames, at byte {position} "
                f"({found - position} bytes are no audio)"
            )
        position = found
    if position < stop < position + _HEADER and read_at(stream, position, 1) == b"\xff":
        end = "; its last frame is cut"
    reason = f"ADTS does not say how many frames there should be{end}"
    return Structure("ADTS", "undetectable", reason, tuple(breaks))


def _find(stream: BinaryIO, start: int, stop: int, same: int) -> int:
    """Position of the next frame that another one or the end follows; -1 if there is none."""
    sync = b"\xff"
    for base in range(start, stop, CHUNK):
        piece = read_at(stream, base, CHUNK + _HEADER - 1)
        at = piece.find(sync)
        while 0 <= at < CHUNK:
            frame = parse_frame(piece[at : at + _HEADER])
            if frame is not None and frame[1] == same:
                after = base + at + frame[0]
                follower = parse_frame(read_at(stream, after, _HEADER)) if after < stop else None
                if after == stop or (follower is not None and follower[1] == same):
                    return base + at
            at = piece.find(sync, at + 1)
    return -1
