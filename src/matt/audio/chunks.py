"""Formats made of named chunks with sizes: WAV, RF64, Wave64, AIFF, CAF, MP4, ASF; AU is a header.

One chunk holds the audio and states its size, which shows a cut file. The samples themselves
carry no checksum: damage inside them cannot be seen. Streamed files state no size.

ASF is what WMA lies in. Writing tags makes its header longer, but leaves the size of the file that
it states as it was; ffmpeg then takes no word of it, not the duration either, and guesses. So that
is read here. Two more formats that only PyAV decodes state sizes: Monkey's Audio in a descriptor at
the start; WavPack in each of its blocks, with the samples in it, and a total in the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Literal

from .structure import (
    MOST_BREAKS,
    MOST_SPANS,
    Part,
    Structure,
    find_header,
    read_at,
    read_span,
)

_UNKNOWN = 0xFFFFFFFF  # 32-bit size of a stream whose length was not known yet
_STREAMED = 0x7F000000  # sizes from here on that no file has are written for streams too
_MOST_CHUNKS = 100_000  # more are not credible
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the identifiers of Wave64's chunks
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # identifiers of ASF's objects: header,
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEADER = 30  # bytes of the header object before the objects in it
_WITH_DESCRIPTOR = 3980  # version of Monkey's Audio times 1000
_CAPTURE = re.compile(b"wvpk")
_WAVPACK = 32  # bytes of the header of a block
_LONGEST = 1 << 24  # bytes of one block; more are not credible


@dataclass(frozen=True)
class Chunk:
    """One chunk; its content lies at bytes ``start`` to ``start + size``."""

    name: bytes
    start: int
    size: int | None  # as stated; None = not known, it goes on to the end of the file

    def stop(self, end: int) -> int:
        """Where its content ends, which is not after the end of the file."""
        return end if self.size is None else min(self.start + self.size, end)


_Head = tuple[bytes, int, int | None]
"""Name of a chunk, bytes of its header, size of its content; read from 24 bytes."""


@dataclass(frozen=True)
class _Grammar:
    format: str
    data: bytes  # the chunk that holds the audio
    described_by: tuple[bytes, ...]  # chunks that say how to decode it
    begin: int  # byte at which the first chunk lies
    read: Callable[[bytes], _Head | None]
    align: int = 1


def _iff(head: bytes, *, order: Literal["little", "big"]) -> _Head | None:
    size = int.from_bytes(head[4:8], order)
    return (head[:4], 8, size) if len(head) >= 8 else None


def _wave64(head: bytes) -> _Head | None:
    size = int.from_bytes(head[16:], "little")  # with this header
    name = head[:4] if head[4:16] == _W64_TAIL else head[:16]
    return (name, 24, size - 24) if len(head) >= 24 and size >= 24 else None


def _caf(head: bytes) -> _Head | None:
    size = int.from_bytes(head[4:12], "big", signed=True)
    return (head[:4], 12, size if size >= 0 else None) if len(head) >= 12 else None


def _box(head: bytes) -> _Head | None:
    size, long = int.from_bytes(head[:4], "big"), int.from_bytes(head[8:16], "big")
    skip, size = (16, long) if size == 1 else (8, size)
    if len(head) < 8 or 0 < size < skip or (skip == 16 and size == 0):
        return None
    return head[4:8], skip, size - skip if size else None


def _asf(head: bytes) -> _Head | None:
    size = int.from_bytes(head[16:], "little")  # with this header
    return (head[:16], 24, size - 24 if size >= 24 else None) if len(head) >= 24 else None


_GRAMMARS = {
    "RIFF": _Grammar("WAV", b"data", (b"fmt ",), 12, partial(_iff, order="little"), 2),
    "RIFX": _Grammar("WAV", b"data", (b"fmt ",), 12, partial(_iff, order="big"), 2),
    "W64": _Grammar("Wave64", b"data", (b"fmt ",), 40, _wave64, 8),
    "FORM": _Grammar("AIFF", b"SSND", (b"COMM",), 12, partial(_iff, order="big"), 2),
    "CAF": _Grammar("CAF", b"data", (b"desc", b"kuki", b"pakt"), 8, _caf),
    "AU": _Grammar("AU", b"data", (b"head",), 0, lambda head: None),
    "MP4": _Grammar("MP4", b"mdat", (), 0, _box),
    "ASF": _Grammar("ASF", _ASF_DATA, (), 0, _asf),
}


def identify(head: bytes) -> str:
    """Which chunk grammar a file follows, from its first 16 bytes; empty if none.

    >>> identify(b"RIFF....WAVEfmt "), identify(b"fLaC............")
    ('RIFF', '')
    """
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "RIFX" if head[:4] == b"RIFX" else "RIFF"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "FORM"
    if head[:4] == b"riff" and head[4:16] == bytes.fromhex("2e91cf11a5d628db04c10000"):
        return "W64"
    if head[:16] == _ASF:
        return "ASF"
    return {b"caff": "CAF", b".snd": "AU"}.get(head[:4], "MP4" if head[4:8] == b"ftyp" else "")


def chunks(stream: BinaryIO, kind: str, start: int, stop: int) -> Iterator[Chunk]:
    """Top-level chunks, in file order."""
    if kind == "AU":
        offset, size = (int.from_bytes(read_at(stream, start + at, 4), "big") for at in (4, 8))
        yield Chunk(b"head", start + 12, 12)  # encoding, sampling rate, channels; then a note
        yield Chunk(b"data", start + offset, None if size == _UNKNOWN else size)
        return
    long_size: int | None = None  # of the data chunk of RF64, stated elsewhere
    for chunk in _in_a_row(stream, _GRAMMARS[kind], start + _GRAMMARS[kind].begin, stop):
        if kind in ("RIFF", "RIFX"):
            if chunk.name == b"ds64":
                long = read_at(stream, chunk.start + 8, 8)
                long_size = int.from_bytes(long, "little") or None
            if chunk.name == b"data" and chunk.size == _UNKNOWN:
                yield Chunk(chunk.name, chunk.start, long_size)
                return  # what follows a chunk of unknown size cannot be found
        yield chunk


def _in_a_row(stream: BinaryIO, grammar: _Grammar, position: int, stop: int) -> Iterator[Chunk]:
    for _ in range(_MOST_CHUNKS):
        found = grammar.read(read_at(stream, position, 24)) if position < stop else None
        if found is None:
            return
        name, skip, size = found
        yield Chunk(name, position + skip, size)
        if size is None:
            return
        position += skip + size + -size % grammar.align


def examine(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the stated size of the audio chunk with what is there."""
    kind = identify(read_at(stream, start, 16))
    if kind == "MP4":
        return _examine_mp4(stream, start, stop)
    if kind == "ASF":
        return _examine_asf(stream, start, stop)
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


def _examine_asf(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the stated size of the data object with what is there."""
    seconds, streamed = _asf_duration(stream, start, stop)
    found = chunks(stream, "ASF", start, stop)
    data = next((chunk for chunk in found if chunk.name == _ASF_DATA), None)
    if data is None:
        return Structure("ASF", "truncated", "it has no data object", seconds=seconds)
    if streamed or data.size is None:
        return Structure("ASF", "undetectable", "its data object does not state its size")
    present = min(stop - data.start, data.size)
    reason = f"{present} of the {data.size} bytes that its data object states are there"
    whole = present == data.size
    return Structure("ASF", "complete" if whole else "truncated", reason, seconds=seconds)


def _asf_duration(stream: BinaryIO, start: int, stop: int) -> tuple[float | None, bool]:
    """Seconds that the header states, and whether it was written before they were known."""
    for chunk in _in_a_row(stream, _GRAMMARS["ASF"], start + _ASF_HEADER, stop):
        if chunk.name == _ASF_PROPERTIES and chunk.size is not None and chunk.size >= 68:
            # Identifier 16, size of the file, date, packets; duration and time to send in 100 ns,
            # which both begin with the preroll, in ms; flags.
            content = read_at(stream, chunk.start, 68)
            ticks = int.from_bytes(content[40:48], "little")
            preroll = int.from_bytes(content[56:64], "little")
            seconds = ticks / 10_000_000 - preroll / 1000
            streamed = bool(content[64:65] and content[64] & 1)
            return (seconds if seconds > 0 and not streamed else None), streamed
        if chunk.name == _ASF_DATA:
            break
    return None, False


def encoded(stream: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """The chunks that describe the audio, in a fixed order, then the audio itself.

    Each with its name before it, except in ASF. Of several chunks of a name the first counts, as
    for decoders; of MP4 every ``mdat`` does. Without an audio chunk: all bytes.
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
            if kind != "ASF":
                yield name
            yield from read_span(stream, chunk.start, chunk.stop(stop))


def examine_monkey(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the sizes of the sections of Monkey's Audio with the bytes that are there.

    Versions before 3.98 have no descriptor; how long such a file should be is not looked at.
    """
    head = read_at(stream, start, 36)
    if len(head) < 36:
        return Structure("Monkey's Audio", "truncated", "its header is not whole")
    if int.from_bytes(head[4:6], "little") < _WITH_DESCRIPTOR:
        return Structure("Monkey's Audio", "undetectable", "its version does not state its size")
    # Descriptor, header, seek table, header of the original file, frames (64 bit), its end.
    sizes = [int.from_bytes(head[at : at + 4], "little") for at in range(8, 36, 4)]
    stated = sum(sizes) + sizes[5] * ((1 << 32) - 1)
    reason = f"{stop - start} of the {stated} bytes that its descriptor states are there"
    return Structure("Monkey's Audio", "truncated" if stop - start < stated else "complete", reason)


@dataclass(frozen=True)
class _Block:
    length: int  # bytes, header included
    total: int | None  # samples per channel of the file; of meaning in the first block only
    begin: int  # its first sample
    n_samples: int  # per channel; 0 for a block without audio

    @property
    def end(self) -> int:
        return self.begin + self.n_samples


def examine_wavpack(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the samples of WavPack's blocks with the total that the first one states.

    The decoder checks a checksum in every block. ffmpeg gives up where a block does not begin at
    once after the last one, so it is shown the file without what is no block (`Structure.parts`).
    """
    position, total, end, cut = start, None, 0, ""
    breaks: list[str] = []
    spans: list[tuple[int, int]] = []
    begin, first = start, True
    while position < stop:
        block = _block(read_at(stream, position, _WAVPACK))
        if block is not None and position + block.length <= stop:
            if block.n_samples:
                total, first = (block.total, False) if first else (total, False)
                if block.begin > end and not (spans and spans[-1][1] == position):
                    breaks.append(f"WavPack samples {end} to {block.begin} are missing")
                end = max(end, block.end)
            position += block.length
            continue
        found = find_header(stream, position + 1, stop, _CAPTURE, _WAVPACK, _is_block)
        if found < 0:
            cut = "; its last block is cut" if block is not None else ""
            break  # what is left is no audio
        breaks.append(
            f"no WavPack block at byte {position}, blocks go on at byte {found}, after sample {end}"
        )
        if len(spans) < MOST_SPANS:
            spans.append((begin, position))
            begin = found
        position = found
    parts: tuple[Part, ...] = ()
    if breaks or cut:
        parts = tuple(span for span in (*spans, (begin, position)) if span[0] < span[1])
    damage = tuple(breaks[:MOST_BREAKS])
    if total is None:
        reason = f"it does not say how many samples there should be{cut}"
        return Structure("WavPack", "undetectable", reason, damage, parts)
    reason = f"its blocks end at sample {end} of the {total} that it states{cut}"
    return Structure("WavPack", "truncated" if end < total else "complete", reason, damage, parts)


def _is_block(position: int, header: bytes) -> bool:
    return _block(header) is not None


def _block(header: bytes) -> _Block | None:
    """Read the header of a block; None if it is none."""
    size, version = (int.from_bytes(header[at : at + n], "little") for at, n in ((4, 4), (8, 2)))
    credible = _WAVPACK <= size + 8 <= _LONGEST and version >> 8 == 4
    if len(header) < _WAVPACK or header[:4] != b"wvpk" or not credible:
        return None
    low, index, n_samples = (int.from_bytes(header[at : at + 4], "little") for at in (12, 16, 20))
    total = None if low == _UNKNOWN else low + (header[11] << 32) - header[11]
    return _Block(size + 8, total, index + (header[10] << 32), n_samples)
