"""ASF, in which WMA lies: objects with a size each, first the header, then the data.

Writing tags makes the header longer, but leaves the size of the file that it states as it was;
ffmpeg then takes no word of it, not the duration either, and guesses. So that is read here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from .structure import Structure, read_at, read_span

MAGIC = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # of the header object
_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_OBJECT = 24  # bytes of identifier and size, which counts these too
_HEADER = 30  # bytes of the header object before the objects in it
_MOST_OBJECTS = 10_000  # more are not credible


def examine(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the stated size of the data object with what is there."""
    seconds, streamed = _duration(stream, start, stop)
    found = _data(stream, start, stop)
    if found is None:
        return Structure("ASF", "truncated", "it has no data object", seconds=seconds)
    begin, size = found
    if streamed or size < 0:
        reason = "its data object does not state its size"
        return Structure("ASF", "undetectable", reason)
    present = min(stop - begin, size)
    reason = f"{present} of the {size} bytes that its data object states are there"
    whole = present == size
    return Structure("ASF", "complete" if whole else "truncated", reason, seconds=seconds)


def encoded(stream: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """Content of the data object; without one, all bytes."""
    begin, size = _data(stream, start, stop) or (start, -1)
    return read_span(stream, begin, min(begin + size, stop) if size >= 0 else stop)


def _objects(stream: BinaryIO, position: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Identifier, begin and size of the content of each object in a row; -1: of unknown size."""
    for _ in range(_MOST_OBJECTS):
        head = read_at(stream, position, _OBJECT) if position < stop else b""
        size = int.from_bytes(head[16:], "little")
        if len(head) < _OBJECT:
            return
        yield head[:16], position + _OBJECT, size - _OBJECT if size >= _OBJECT else -1
        if size < _OBJECT:
            return
        position += size


def _data(stream: BinaryIO, start: int, stop: int) -> tuple[int, int] | None:
    found = (place for name, *place in _objects(stream, start, stop) if name == _DATA)
    return next(((begin, size) for begin, size in found), None)


def _duration(stream: BinaryIO, start: int, stop: int) -> tuple[float | None, bool]:
    """Seconds that the header states, and whether it was written before they were known."""
    for name, begin, size in _objects(stream, start + _HEADER, stop):
        if name == _PROPERTIES and size >= 68:
            # Identifier 16, size of the file, date, packets; duration and time to send in 100 ns,
            # which both begin with the preroll, in ms; flags.
            content = read_at(stream, begin, 68)
            ticks = int.from_bytes(content[40:48], "little")
            preroll = int.from_bytes(content[56:64], "little")
            seconds = ticks / 10_000_000 - preroll / 1000
            streamed = bool(content[64:65] and content[64] & 1)
            return (seconds if seconds > 0 and not streamed else None), streamed
        if name == _DATA:
            break
    return None, False
