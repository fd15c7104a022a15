"""Formats made of named chunks with sizes: WAV, RF64, Wave64, AIFF, CAF, MP4; and AU, a header.

One chunk holds the audio and states its size, which shows a cut file. The samples themselves
carry no checksum: damage inside them cannot be seen. Streamed files state no size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .structure import Structure, read_at, read_span

_UNKNOWN = 0xFFFFFFFF  # 32-bit size of a stream whose length was not known yet
_STREAMED = 0x7F000000  # sizes from here on that no file has are written for streams too
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the identifiers of Wave64's chunks
_MOST_CHUNKS = 100_000  # more are not credible


@dataclass(frozen=True)
class Chunk:
    """One chunk; its content lies at bytes ``start`` to ``start + size``."""

    name: bytes
    start: int
    size: int | None  # as stated; None = not known, it goes on to the end of the file

    def stop(self, end: int) -> int:
        """Where its content ends, which is not after the end of the file."""
        return end if self.size is None else min(self.start + self.size, end)


@dataclass(frozen=True)
class _Grammar:
    format: str
    data: bytes  # the chunk that holds the audio
    described_by: tuple[bytes, ...]  # chunks that say how to decode it


_GRAMMARS = {
    "RIFF": _Grammar("WAV", b"data", (b"fmt ",)),
    "W64": _Grammar("Wave64", b"data", (b"fmt ",)),
    "FORM": _Grammar("AIFF", b"SSND", (b"COMM",)),
    "CAF": _Grammar("CAF", b"data", (b"desc", b"kuki", b"pakt")),
    "AU": _Grammar("AU", b"data", (b"head",)),
    "MP4": _Grammar("MP4", b"mdat", ()),
}


def identify(head: bytes) -> str:
    """Which chunk grammar a file follows, from its first 16 bytes; empty if none.

    >>> identify(b"RIFF....WAVEfmt "), identify(b"fLaC............")
    ('RIFF', '')
    """
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "RIFF"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "FORM"
    if head[:4] == b"riff" and head[4:16] == bytes.fromhex("2e91cf11a5d628db04c10000"):
        return "W64"
    return {b"caff": "CAF", b".snd": "AU"}.get(head[:4], "MP4" if head[4:8] == b"ftyp" else "")


def chunks(stream: BinaryIO, grammar: str, start: int, stop: int) -> Iterator[Chunk]:
    """Top-level chunks, in file order."""
    if grammar == "RIFF":
        return _riff(stream, start, stop)
    if grammar == "FORM":
        return _walk(stream, start + 12, stop, order="big", align=2)
    if grammar == "W64":
        return _wave64(stream, start + 40, stop)
    if grammar == "CAF":
        return _caf(stream, start + 8, stop)
    return _au(stream, start) if grammar == "AU" else _boxes(stream, start, stop)


def examine(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the stated size of the audio chunk with what is there."""
    kind = identify(read_at(stream, start, 16))
    if kind == "MP4":
        return _examine_mp4(stream, start, stop)
    grammar = _GRAMMARS[kind]
    name = grammar.data.decode()
    for chunk in chunks(stream, kind, start, stop):
        if chunk.name != grammar.data:
            continue
        if chunk.size is None or chunk.size >= _STREAMED > stop - chunk.start:
            reason = f"its {name} chunk does not state its size"
            return Structure(grammar.format, "undetectable", reason)
        present = max(chunk.stop(stop) - chunk.start, 0)
        reason = f"{present} of the {chunk.size} bytes that its {name} chunk states are there"
        if present == chunk.size:
            return Structure(grammar.format, "complete", reason)
        share = present / chunk.size
        return Structure(grammar.format, "truncated", reason, share=share)
    return Structure(grammar.format, "truncated", f"it has no {name} chunk")


def _examine_mp4(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Whether all boxes are whole, and the index is there without which nothing decodes."""
    found = list(chunks(stream, "MP4", start, stop))
    names = {box.name for box in found}
    for box in found:
        present = max(stop - box.start, 0)
        if box.size is not None and present < box.size and box.name in (b"mdat", b"moov", b"moof"):
            lost = "" if b"moov" in names else ", and it has no moov box"
            reason = f"{present} of the {box.size} bytes that its {box.name.decode()} box states"
            return Structure("MP4", "truncated", f"{reason} are there{lost}")
    for name in (b"moov", b"mdat"):
        if name not in names:
            return Structure("MP4", "truncated", f"it has no {name.decode()} box")
    return Structure("MP4", "complete", "its moov and mdat boxes are whole")


def encoded(stream: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """The chunks that describe the audio, in a fixed order, then the audio itself.

    Of several chunks of a name the first counts, as for decoders; of MP4 every ``mdat`` does.
    Without an audio chunk: all bytes.
    """
    kind = identify(read_at(stream, start, 16))
    grammar = _GRAMMARS[kind]
    found: dict[bytes, list[Chunk]] = {}
    for chunk in chunks(stream, kind, start, stop):
        wanted = chunk.name == grammar.data or chunk.name in grammar.described_by
        if wanted and (kind == "MP4" or chunk.name not in found):
            found.setdefault(chunk.name, []).append(chunk)
    if grammar.data not in found:
        found = {b"": [Chunk(b"", start, None)]}
    for name in (*grammar.described_by, grammar.data, b""):
        for chunk in found.get(name, []):
            yield name
            yield from read_span(stream, chunk.start, chunk.stop(stop))


def _walk(stream: BinaryIO, position: int, stop: int, *, order: str, align: int) -> Iterator[Chunk]:
    """Chunks of a four-byte name and a 32-bit size."""
    for _ in range(_MOST_CHUNKS):
        header = read_at(stream, position, 8) if position < stop else b""
        if len(header) < 8:
            return
        size = int.from_bytes(header[4:], "little" if order == "little" else "big")
        yield Chunk(header[:4], position + 8, size)
        position += 8 + size + -size % align


def _riff(stream: BinaryIO, start: int, stop: int) -> Iterator[Chunk]:
    order = "big" if read_at(stream, start, 4) == b"RIFX" else "little"
    long_size: int | None = None  # of the data chunk of RF64, stated elsewhere
    for chunk in _walk(stream, start + 12, stop, order=order, align=2):
        if chunk.name == b"ds64":
            long_size = int.from_bytes(read_at(stream, chunk.start + 8, 8), "little") or None
        if chunk.name == b"data" and chunk.size == _UNKNOWN:
            yield Chunk(chunk.name, chunk.start, long_size)
            return  # what follows a chunk of unknown size cannot be found
        yield chunk


def _wave64(stream: BinaryIO, position: int, stop: int) -> Iterator[Chunk]:
    for _ in range(_MOST_CHUNKS):
        header = read_at(stream, position, 24) if position < stop else b""
        size = int.from_bytes(header[16:], "little")  # with this header
        if len(header) < 24 or size < 24:
            return
        known = header[4:16] == _W64_TAIL
        yield Chunk(header[:4] if known else header[:16], position + 24, size - 24)
        position += size + -size % 8


def _caf(stream: BinaryIO, position: int, stop: int) -> Iterator[Chunk]:
    for _ in range(_MOST_CHUNKS):
        header = read_at(stream, position, 12) if position < stop else b""
        size = int.from_bytes(header[4:], "big", signed=True)
        if len(header) < 12:
            return
        yield Chunk(header[:4], position + 12, None if size < 0 else size)
        if size < 0:
            return
        position += 12 + size


def _au(stream: BinaryIO, start: int) -> Iterator[Chunk]:
    offset, size = (int.from_bytes(read_at(stream, start + at, 4), "big") for at in (4, 8))
    yield Chunk(b"head", start + 12, 12)  # encoding, sampling rate, channels; then an annotation
    yield Chunk(b"data", start + offset, None if size == _UNKNOWN else size)


def _boxes(stream: BinaryIO, position: int, stop: int) -> Iterator[Chunk]:
    for _ in range(_MOST_CHUNKS):
        header = read_at(stream, position, 16) if position < stop else b""
        size, long = int.from_bytes(header[:4], "big"), int.from_bytes(header[8:], "big")
        skip = 16 if size == 1 else 8
        if len(header) < 8:
            return
        if size == 0:
            yield Chunk(header[4:8], position + skip, None)
            return
        size = long if size == 1 else size
        if size < skip:
            return
        yield Chunk(header[4:8], position + skip, size - skip)
        position += size
