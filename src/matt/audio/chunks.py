"""Formats of named chunks with sizes: WAV, RF64, Wave64, AIFF, CAF, DSF, MP4, ASF; AU is a header.

One chunk holds the audio and states its size, which shows a cut file. The samples themselves
carry no checksum: damage inside them cannot be seen. Streamed files state no size.

A recorder writes sizes of nothing first, or of what it has so far, and the true ones when it is
done. Where it never came to that, bytes follow the audio chunk that are no chunks: they are the
audio, to the end of the file. Zeros may fill up the end of a sector, and a few bytes may be
anything: these are no audio.
Programs that forget the byte after a chunk of odd size are common, too. libsndfile gets such a WAV
with a header that holds (`Structure.parts`).

ASF is what WMA lies in. Writing tags makes its header longer, but leaves the size of the file that
it states as it was; ffmpeg then takes no word of it, not the duration either, and guesses. So that
is read here. More formats that only PyAV decodes state sizes: Monkey's Audio in a descriptor and
True Audio in a table, both at the start; WavPack in each of its blocks, with the samples in it, and
a total in the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

from .structure import (
    MOST_BREAKS,
    MOST_SPANS,
    FileBytes,
    Part,
    Structure,
    find_header,
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
_USUAL = (  # names of chunks
    *(b"fmt ", b"data", b"LIST", b"fact", b"bext", b"id3 ", b"ID3 ", b"JUNK", b"iXML", b"cue "),
    *(b"smpl", b"inst", b"acid", b"PEAK", b"DISP", b"cart", b"axml", b"chna", b"plst", b"afsp"),
    *(b"_PMX", b"SAUR", b"umid", b"levl", b"PAD ", b"FLLR", b"junk", b"INFO", b"strc", b"list"),
    *(b"COMM", b"SSND", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"MARK", b"INST", b"APPL", b"FVER"),
    *(b"COMT", b"MIDI", b"AESD", b"SAXL", b"CHAN", b"basc", b"trns", b"cate"),
    *(b"info", b"free", b"uuid", b"strg", b"mark", b"regn", b"edct", b"midi", b"ovvw", b"peak"),
    *(b"pakt", b"kuki", b"desc", b"chan"),
)
_NAMES = re.compile(rb"ID3[\2-\4]|APETAGEX|" + b"|".join(map(re.escape, _USUAL)))
_FILLED, _JUNK = 1 << 16, 1 << 12  # bytes behind the audio that are no audio: zeros; anything
_HOLE = 5  # what one between blocks costs, in false starts
_FOLLOWERS = 3  # chunks after the audio that are believed without looking further
_DTS = re.compile(rb"\xfe\x7f\x01\x80|\xff\x1f\x00\xe8[\xf0-\xff]\x07")  # of 16 bits, of 14
_DTS_FRAMES, _LOOKED_AT = 4, 1 << 16  # so many, equally far apart, in the first bytes of a WAV
_CAPTURE = re.compile(rb"wvpk(?s:.{5})\x04")
_WAVPACK = 32  # bytes of the header of a block
_LONGEST = 1 << 24  # bytes of one block; more are not credible


@dataclass(frozen=True)
class Chunk:
    """One chunk; its content lies at bytes ``start`` to ``start + size``."""

    name: bytes
    start: int
    size: int | None  # as stated; None = not known, it goes on to the end of the file
    unfinished: bool = False  # whether its size was to be stated later, and never was
    placeholder: int = 0  # what is stated instead

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
    overhead: int = 0  # bytes of the audio chunk before the samples


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


def _dsf(head: bytes) -> _Head | None:
    size = int.from_bytes(head[4:12], "little")  # with this header
    return (head[:4], 12, size - 12) if len(head) >= 12 and size >= 12 else None


def _asf(head: bytes) -> _Head | None:
    size = int.from_bytes(head[16:], "little")  # with this header
    return (head[:16], 24, size - 24 if size >= 24 else None) if len(head) >= 24 else None


_GRAMMARS = {
    "RIFF": _Grammar("WAV", b"data", (b"fmt ",), 12, partial(_iff, order="little"), 2),
    "RIFX": _Grammar("WAV", b"data", (b"fmt ",), 12, partial(_iff, order="big"), 2),
    "W64": _Grammar("Wave64", b"data", (b"fmt ",), 40, _wave64, 8),
    "FORM": _Grammar("AIFF", b"SSND", (b"COMM",), 12, partial(_iff, order="big"), 2, 8),
    "CAF": _Grammar("CAF", b"data", (b"desc", b"kuki", b"pakt"), 8, _caf, 1, 4),
    "DSF": _Grammar("DSF", b"data", (b"fmt ",), 0, _dsf),
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
    simple = {b"caff": "CAF", b".snd": "AU", b"DSD ": "DSF"}
    return simple.get(head[:4], "MP4" if head[4:8] == b"ftyp" else "")


def chunks(file: FileBytes, kind: str, start: int, stop: int) -> Iterator[Chunk]:
    """Top-level chunks, in file order; nothing comes after audio of unknown size."""
    grammar = _GRAMMARS[kind]
    if kind == "AU":
        offset, size = (int.from_bytes(file.at(start + at, 4), "big") for at in (4, 8))
        yield Chunk(b"head", start + 12, 12)  # encoding, sampling rate, channels; then a note
        data = Chunk(b"data", start + offset, None if size == _UNKNOWN else size)
        yield _as_it_is(file, grammar, data, stop)
        return
    long_size: int | None = None  # of the data chunk of RF64, stated elsewhere
    for found in _in_a_row(file, grammar, start + grammar.begin, stop):
        chunk = found
        if kind in ("RIFF", "RIFX"):
            if chunk.name == b"ds64":
                long = int.from_bytes(file.at(chunk.start + 8, 8), "little", signed=True)
                long_size = long if long > 0 else None
            if chunk.name == b"data" and chunk.size == _UNKNOWN:
                late = long_size is None and file.at(start, 4) in (b"RF64", b"BW64")
                chunk = replace(chunk, size=long_size, unfinished=late)
        if chunk.name == grammar.data and kind not in ("MP4", "ASF"):
            chunk = _as_it_is(file, grammar, chunk, stop)
        yield chunk
        if chunk.size is None or found.size == _UNKNOWN:
            return  # what follows a chunk of unknown size cannot be found


def _in_a_row(file: FileBytes, grammar: _Grammar, position: int, stop: int) -> Iterator[Chunk]:
    for _ in range(_MOST_CHUNKS):
        found = grammar.read(file.at(position, 24)) if position < stop else None
        if found is None:
            return
        name, skip, size = found
        yield Chunk(name, position + skip, size)
        if size is None:
            return
        position += skip + size
        pad = -size % grammar.align
        # Where the byte after an odd size is missing, the next name begins at once.
        if not (pad and grammar.align == 2 and file.at(position, 4) in _USUAL):
            position += pad


def _as_it_is(file: FileBytes, grammar: _Grammar, chunk: Chunk, stop: int) -> Chunk:
    """The audio chunk, without a size if that was to be stated later and never was."""
    if chunk.size is None or chunk.start + chunk.size >= stop:
        return chunk
    end = chunk.start + chunk.size
    after = end + -chunk.size % grammar.align
    nothing = chunk.size <= grammar.overhead
    if after >= stop or _NAMES.search(file.at(end, 16)):
        return chunk
    if not nothing:
        # Zeros fill up a sector or a cluster, and a few bytes are no sound worth its while.
        rest = file.at(end, min(_FILLED + 16, stop - end)).lstrip(b"\0")
        if _NAMES.search(rest[:16]) or stop - end <= (0 if rest else _FILLED):
            return chunk
        if grammar.format == "DSF" or stop - end <= min(_JUNK, chunk.size):
            return chunk
    for number, follower in enumerate(_in_a_row(file, grammar, after, stop)):
        # Audio in the place of a name and a size does not pass for a chunk.
        name = follower.name.removesuffix(_W64_TAIL)
        credible = len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)
        if not credible or (follower.size or 0) > stop - follower.start:
            break
        if number == _FOLLOWERS or follower.stop(stop) + 1 >= stop:
            return chunk
    return replace(chunk, size=None, unfinished=True, placeholder=chunk.size)


def _described(file: FileBytes, kind: str, start: int, stop: int) -> bytes:
    """Content of the ``fmt`` chunk of a WAV, at most 4 KiB."""
    grammar = _GRAMMARS[kind]
    for chunk in _in_a_row(file, grammar, start + grammar.begin, stop):
        if chunk.name == b"fmt " and chunk.size is not None:
            return file.at(chunk.start, min(chunk.size, 4096))
    return b""


def examine(file: FileBytes, start: int, stop: int) -> Structure:
    """Compare the stated size of the audio chunk with what is there."""
    kind = identify(file.at(start, 16))
    if kind == "MP4":
        return _examine_mp4(file, start, stop)
    if kind == "ASF":
        return _examine_asf(file, start, stop)
    grammar = _GRAMMARS[kind]
    name = grammar.data.decode()
    for chunk in chunks(file, kind, start, stop):
        if chunk.name != grammar.data:
            continue
        parts, called = _sound_header(file, kind, chunk, start, stop), grammar.format
        if called == "WAV" and _holds_dts(file.at(chunk.start, _LOOKED_AT)):
            called = "DTS in WAV"
        if chunk.unfinished:
            said = "was never given its size"
            if chunk.placeholder > grammar.overhead:
                said = f"states {chunk.placeholder} bytes, which is not its size"
            reason = (
                f"unfinished: its {name} chunk {said}, "
                f"{max(stop - chunk.start, 0)} bytes go on to the end of the file"
            )
            return Structure(called, "undetectable", reason, parts=parts, unfinished=True)
        if chunk.size is None or chunk.size >= _STREAMED > stop - chunk.start:
            reason = f"its {name} chunk does not state its size"
            return Structure(called, "undetectable", reason, parts=parts)
        present = max(chunk.stop(stop) - chunk.start, 0)
        reason = f"{present} of the {chunk.size} bytes that its {name} chunk states are there"
        if present == chunk.size:
            return Structure(called, "complete", reason, parts=parts)
        share = present / chunk.size
        return Structure(called, "truncated", reason, parts=parts, share=share)
    return Structure(grammar.format, "truncated", f"it has no {name} chunk")


def _holds_dts(samples: bytes) -> bool:
    """Whether the samples of a WAV are frames of DTS, as on CDs; played, they would be noise."""
    found = [match.start() for match in _DTS.finditer(samples)]
    apart = {after - before for before, after in pairwise(found)}
    return len(found) >= _DTS_FRAMES and len(apart) == 1


def _sound_header(
    file: FileBytes, kind: str, chunk: Chunk, start: int, stop: int
) -> tuple[Part, ...]:
    """What libsndfile can read of a file whose own header would mislead it; else nothing."""
    if kind == "AU" and chunk.unfinished:
        return (start, start + 8), _UNKNOWN.to_bytes(4, "big"), (start + 12, stop)
    if kind in ("FORM", "W64", "CAF") and chunk.placeholder > _GRAMMARS[kind].overhead:
        size, n = stop - chunk.start, 4 if kind == "FORM" else 8
        told = (size + 24).to_bytes(n, "little") if kind == "W64" else size.to_bytes(n, "big")
        return (start, chunk.start - n), told, (chunk.start, stop)
    if kind == "W64" and chunk.stop(stop) < stop:
        return ((start, chunk.stop(stop)),)  # libsndfile takes 24 bytes of what follows for audio
    if kind not in ("RIFF", "RIFX") or not (
        chunk.unfinished or file.at(start, 4) == b"BW64" or _unpadded(file, kind, start, chunk)
    ):
        return ()
    order: Literal["little", "big"] = "big" if kind == "RIFX" else "little"
    described = _described(file, kind, start, chunk.start)
    size = chunk.stop(stop) - chunk.start
    size -= size % max(int.from_bytes(described[12:14], order), 1)  # whole samples
    riff, data = (min(n, _UNKNOWN).to_bytes(4, order) for n in (size + 28 + len(described), size))
    about = len(described).to_bytes(4, order) + described + bytes(len(described) % 2)
    head = kind.encode() + riff + b"WAVEfmt " + about + b"data" + data
    return head, (chunk.start, chunk.start + size)


def _unpadded(file: FileBytes, kind: str, start: int, data: Chunk) -> bool:
    """Whether the byte after a chunk of odd size before the audio is missing."""
    position = start + _GRAMMARS[kind].begin
    for chunk in _in_a_row(file, _GRAMMARS[kind], position, data.start):
        if chunk.start - position != 8:
            return True
        position = chunk.start + (chunk.size or 0) + (chunk.size or 0) % 2
    return False


def _examine_mp4(file: FileBytes, start: int, stop: int) -> Structure:
    """Whether all boxes are whole, and the index is there without which nothing decodes."""
    found = list(chunks(file, "MP4", start, stop))
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


def _examine_asf(file: FileBytes, start: int, stop: int) -> Structure:
    """Compare the stated size of the data object with what is there."""
    seconds, streamed = _asf_duration(file, start, stop)
    found = chunks(file, "ASF", start, stop)
    data = next((chunk for chunk in found if chunk.name == _ASF_DATA), None)
    if data is None:
        return Structure("ASF", "truncated", "it has no data object", seconds=seconds)
    if streamed or data.size is None:
        return Structure("ASF", "undetectable", "its data object does not state its size")
    present = min(stop - data.start, data.size)
    reason = f"{present} of the {data.size} bytes that its data object states are there"
    whole = present == data.size
    return Structure("ASF", "complete" if whole else "truncated", reason, seconds=seconds)


def _asf_duration(file: FileBytes, start: int, stop: int) -> tuple[float | None, bool]:
    """Seconds that the header states, and whether it was written before they were known."""
    for chunk in _in_a_row(file, _GRAMMARS["ASF"], start + _ASF_HEADER, stop):
        if chunk.name == _ASF_PROPERTIES and chunk.size is not None and chunk.size >= 68:
            # Identifier 16, size of the file, date, packets; duration and time to send in 100 ns,
            # which both begin with the preroll, in ms; flags.
            content = file.at(chunk.start, 68)
            ticks = int.from_bytes(content[40:48], "little")
            preroll = int.from_bytes(content[56:64], "little")
            seconds = ticks / 10_000_000 - preroll / 1000
            streamed = bool(content[64:65] and content[64] & 1)
            return (seconds if seconds > 0 and not streamed else None), streamed
        if chunk.name == _ASF_DATA:
            break
    return None, False


def encoded(file: FileBytes, start: int, stop: int) -> Iterator[bytes]:
    """The chunks that describe the audio, in a fixed order, then the audio itself.

    Each with its name before it, except in ASF. Of several chunks of a name the first counts, as
    for decoders; of MP4 every ``mdat`` does. Without an audio chunk: all bytes.
    """
    kind = identify(file.at(start, 16))
    grammar = _GRAMMARS[kind]
    found: dict[bytes, list[Chunk]] = {}
    for chunk in chunks(file, kind, start, stop):
        wanted = chunk.name == grammar.data or chunk.name in grammar.described_by
        if wanted and (kind == "MP4" or chunk.name not in found):
            found.setdefault(chunk.name, []).append(chunk)
    if grammar.data not in found:
        found = {b"": [Chunk(b"", start, None)]}
    for name in (*grammar.described_by, grammar.data, b""):
        for chunk in found.get(name, []):
            if kind != "ASF":
                yield name
            yield from file.span(chunk.start, chunk.stop(stop))


def examine_monkey(file: FileBytes, start: int, stop: int) -> Structure:
    """Compare the sizes of the sections of Monkey's Audio with the bytes that are there.

    Versions before 3.98 have no descriptor; how long such a file should be is not looked at.
    """
    head = file.at(start, 36)
    if len(head) < 36:
        return Structure("Monkey's Audio", "truncated", "its header is not whole")
    if int.from_bytes(head[4:6], "little") < _WITH_DESCRIPTOR:
        return Structure("Monkey's Audio", "undetectable", "its version does not state its size")
    # Descriptor, header, seek table, header of the original file, frames (64 bit), its end.
    sizes = [int.from_bytes(head[at : at + 4], "little") for at in range(8, 36, 4)]
    stated = sum(sizes) + sizes[5] * ((1 << 32) - 1)
    reason = f"{stop - start} of the {stated} bytes that its descriptor states are there"
    return Structure("Monkey's Audio", "truncated" if stop - start < stated else "complete", reason)


def examine_true_audio(file: FileBytes, start: int, stop: int) -> Structure:
    """Compare the sizes of the frames of True Audio with the bytes that are there."""
    head = file.at(start, 22)
    sr, n_samples = (int.from_bytes(head[at : at + 4], "little") for at in (10, 14))
    n_frames = -(-n_samples // max(256 * sr // 245, 1))
    size = 4 * n_frames
    table = file.at(start + 22, size) if size < stop - start else b""
    if len(head) < 22 or len(table) < size:
        return Structure("True Audio", "truncated", "its header is not whole")
    sizes = sum(int.from_bytes(table[at : at + 4], "little") for at in range(0, size, 4))
    stated = 22 + size + 4 + sizes
    reason = f"{stop - start} of the {stated} bytes that its table of frames states are there"
    return Structure("True Audio", "truncated" if stop - start < stated else "complete", reason)


@dataclass(frozen=True)
class _Block:
    length: int  # bytes, header included
    total: int | None  # samples per channel of the file; of meaning in the first block only
    begin: int  # its first sample
    n_samples: int  # per channel; 0 for a block without audio

    @property
    def end(self) -> int:
        return self.begin + self.n_samples


def examine_wavpack(file: FileBytes, start: int, stop: int) -> Structure:
    """Compare the samples of WavPack's blocks with the total that the first one states.

    The decoder checks a checksum in every block. ffmpeg gives up where a block does not begin at
    once after the last one, so it is shown the file without what is no block (`Structure.parts`).
    """
    position, total, end, cut = start, None, 0, ""
    breaks: list[str] = []
    spans: list[tuple[int, int]] = []
    begin, first = start, True
    while position < stop:
        block = _block(file.at(position, _WAVPACK))
        if block is not None and position + block.length <= stop:
            if block.n_samples:
                total, first = (block.total, False) if first else (total, False)
                joined = bool(spans) and spans[-1][1] == position
                if block.begin > end and not joined and len(breaks) < MOST_BREAKS:
                    breaks.append(f"WavPack samples {end} to {block.begin} are missing")
                end = max(end, block.end)
            position += block.length
            continue
        found = find_header(file, position + 1, stop, _CAPTURE, _WAVPACK, _is_block)
        if found < 0:
            cut = "; its last block is cut" if block is not None else ""
            break  # what is left is no audio
        file.missed(_HOLE)
        if len(breaks) < MOST_BREAKS:
            breaks.append(
                f"no WavPack block at byte {position}, blocks go on at byte {found}, "
                f"after sample {end}"
            )
        if len(spans) < MOST_SPANS:
            spans.append((begin, position))
            begin = found
        position = found
    parts: tuple[Part, ...] = ()
    if breaks or cut:
        parts = tuple(span for span in (*spans, (begin, position)) if span[0] < span[1])
    damage = tuple(breaks)
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
