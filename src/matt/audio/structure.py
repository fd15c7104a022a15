"""What the bytes of an audio file say before anything is decoded.

A container module (`mpeg`, `ogg`, `flac`, `chunks`, ...) answers two questions about an open file:

- ``examine(stream, start, stop) -> Structure``: is everything there that the file says it holds?
- ``encoded(stream, start, stop) -> iterator of bytes``: the encoded audio, without any tags.

``start`` and ``stop`` lie inside the tags that any format may have around it (`tagblocks`).
Sizes found in a file are never trusted: each is checked against the file's own length first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from .splice import Part

Completeness = Literal["complete", "truncated", "undetectable"]

CHUNK = 1 << 18  # bytes read at a time: constant memory, few system calls


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


MOST_BREAKS = 5


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
