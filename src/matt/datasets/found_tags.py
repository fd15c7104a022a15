"""Tags in and around an audio file: its format's own, ID3v2 before it, APEv2 and ID3v1 behind it.

Each is a mapping of the names that its family uses; what the names mean is in `tags`. The richer
comes first. mutagen reads most of them; what lies in chunks (WAV, AIFF, CAF, Wave64) and elements
(Matroska) is read here, as far as the bytes go, whatever a header says of them.
"""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..audio import chunks
from ..audio.containers import identify, identify_head
from ..audio.structure import FileBytes, leading_tags, trailing_tags

_BY_CHUNKS = ("RIFF", "RIFX", "FORM", "CAF", "W64", "AU")
# RIFF's INFO, the texts of AIFF, the information of CAF and Matroska's names, by those of Vorbis.
_TEXTS = {
    "inam": "title",
    "iart": "artist",
    "iaar": "albumartist",
    "iprd": "album",
    "ialb": "album",
    "ignr": "genre",
    "icrd": "date",
    "itrk": "tracknumber",
    "iprt": "tracknumber",
    "name": "title",
    "auth": "artist",
    "track number": "tracknumber",
    "part_number": "tracknumber",
    "recorded date": "date",
}
_OF_ALBUM = {"title": "album", "artist": "albumartist"}
_UNTAGGED = ("MP3", "AC-3", "E-AC-3", "DTS")  # formats that have no tags of their own
_MOST_TAG = 1 << 24  # bytes of a tag that is read; a larger one holds pictures, or nonsense
_MOST_AROUND = 16  # tags around the audio that are read of one file
_MOST_TEXTS = 1000  # of one file
_MOST_ELEMENTS = 100_000  # of Matroska; more are not credible
_LONGEST_TEXT = 4096  # bytes


@dataclass
class FoundTags:
    """What was found in one file.

    Attributes
    ----------
    tags : list of mapping
        The richer first: values by the names of a family, or a tag of mutagen.
    duration : float
        Seconds, as the header claims; NaN where it does not say.
    errors : list of Exception
        What parsers said of tags that are damaged.
    """

    tags: list[Any] = field(default_factory=list)
    duration: float = math.nan
    errors: list[Exception] = field(default_factory=list)

    def add(self, parse: Callable[..., Any], *given: Any, **options: Any) -> None:
        """Add what a parser reads; a damaged tag costs itself only, as long as there is another."""
        try:
            found = parse(*given, **options)
        except Exception as error:  # a parser of untrusted bytes may fail in any way at all
            self.errors.append(error)
        else:
            if found:
                self.tags.append(found)


def find_tags(file: Any) -> FoundTags:
    """Find all tags of an open file; the audio is not decoded.

    Raises
    ------
    Exception
        Of any kind, if it is damaged where the tags are, or no known format.
    """
    held = FileBytes(file)
    before = list(leading_tags(held))
    start = before[-1][1] if before else 0
    head = held.at(start, 16)
    kind = chunks.identify(head)
    found = FoundTags()
    if kind in _BY_CHUNKS:
        _add_chunks(found, held, kind, start)
    elif identify_head(head) == "Matroska":
        _add_matroska(found, held, start)
    elif _add_own(found, file, held, start):
        del before[0]  # it was read as the file's own
    _add_around(found, held, before, start)
    if found.errors and not found.tags:
        raise found.errors[0]
    return found


def _add_own(found: FoundTags, file: Any, held: FileBytes, start: int) -> bool:
    """Add what mutagen takes for the tags of the file; whether that is the ID3v2 before it."""
    from mutagen import File as mutagen_file
    from mutagen.mp3 import HeaderNotFoundError

    head = held.at(start, 40)
    known = identify_head(head[:16])
    file.seek(0)
    kind = known or _frames(held, start, os.fspath(file.name))
    read = _mutagen_of(head, kind)
    parsed: Any
    if start and known:
        parsed = read(io.BufferedReader(_From(file, start)))
    elif known:
        # Named by its descriptor, so that a wrong suffix does not outvote the content.
        with open(file.fileno(), "rb", closefd=False) as nameless:
            nameless.seek(0)  # the descriptor stands where the other's buffer ended
            parsed = read(nameless)
    else:
        try:
            parsed = read(file)
        except HeaderNotFoundError:  # ID3, but no MP3 that mutagen knows behind it
            parsed = _aac(file)
            if parsed is None and identify(held, start, held.size) not in _UNTAGGED:
                raise
    if parsed is None:
        if identify(held, start, held.size) not in _UNTAGGED:
            raise ValueError("unknown format")
        return False
    found.duration = float(getattr(parsed.info, "length", math.nan) or math.nan)
    own = parsed.tags
    version = getattr(own, "version", None)  # of ID3
    alone = read is not mutagen_file  # without ID3v1, which comes last
    if version and not alone and (start or version[0] == 1):
        return False  # what is around the audio is read next
    if own:
        found.tags.append(own)
    return bool(start and version and not known)


def _frames(held: FileBytes, start: int, name: str | bytes) -> str:
    """MP3 or ADTS, which have no first bytes of their own; where nothing says so, empty.

    The suffix of MP3 is believed, so that most files need no look at their frames.
    """
    if os.fsencode(name)[-4:].lower() == b".mp3":
        return "MP3"
    return identify(held, start, held.size)


def _mutagen_of(head: bytes, kind: str) -> Callable[[Any], Any]:
    """What reads a file by its format; mutagen tries all that it has, which takes longer.

    It goes by the suffix, too, which may be wrong.
    """
    import mutagen
    from mutagen import aac, flac, mp3, oggopus, oggvorbis

    kinds: dict[bool, Any] = {
        kind == "FLAC": flac.FLAC,
        head[28:36] == b"OpusHead" and kind == "Ogg": oggopus.OggOpus,
        head[28:35] == b"\x01vorbis" and kind == "Ogg": oggvorbis.OggVorbis,
        kind == "MP3": partial(mp3.MP3, load_v1=False),
        kind == "ADTS": aac.AAC,
    }
    return kinds.get(True, mutagen.File)  # type: ignore[no-any-return]


class _From(io.RawIOBase):
    """A binary file from a position on."""

    def __init__(self, file: Any, start: int) -> None:
        self._file, self._start, self._at = file, start, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        size = os.fstat(self._file.fileno()).st_size - self._start
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _aac(file: Any) -> Any:
    """Read a file as AAC, which mutagen takes for MP3 if it has ID3 tags; None if it is none."""
    from mutagen.aac import AAC, AACError

    file.seek(0)
    try:
        return AAC(file)  # type: ignore[no-untyped-call]
    except AACError:
        return None


# ---- around the audio ----


def _add_around(
    found: FoundTags, held: FileBytes, before: list[tuple[int, int]], start: int
) -> None:
    from mutagen.apev2 import APEv2
    from mutagen.id3 import ID3

    spans = [*before, *trailing_tags(held, start)][:_MOST_AROUND]
    kinds = [
        (held.at(begin, 3), held.at(end - 32, 8) if end >= 32 else b"") for begin, end in spans
    ]

    def content(span: tuple[int, int]) -> bytes:
        return held.at(span[0], min(span[1] - span[0], _MOST_TAG))

    for span, (magic, _) in zip(spans, kinds, strict=True):
        if magic == b"ID3":
            found.add(ID3, io.BytesIO(content(span)), load_v1=False)
    for span, (magic, foot) in zip(spans, kinds, strict=True):
        if magic == b"APE" or foot == b"APETAGEX":
            found.add(APEv2, io.BytesIO(content(span)))
    for span, (magic, foot) in zip(spans, kinds, strict=True):
        if magic == b"TAG" and foot != b"APETAGEX":
            found.add(_id3v1, content(span)[-128:])


def _id3v1(content: bytes) -> Any:
    """Frames of ID3v1; None without any text: its genre is then 0 as nobody set it, not Blues."""
    from mutagen.id3 import ID3, ParseID3v1

    tag = ID3()  # type: ignore[no-untyped-call]
    for frame in (ParseID3v1(content) or {}).values():  # type: ignore[no-untyped-call]
        tag.add(frame)  # type: ignore[no-untyped-call]
    return tag if {"TIT2", "TPE1", "TALB"} & set(tag) else None


# ---- in chunks ----


def _add_chunks(found: FoundTags, held: FileBytes, kind: str, start: int) -> None:
    """Add ID3, then texts, of a WAV, AIFF, CAF or Wave64, and its duration."""
    from mutagen.id3 import ID3

    order = "big" if kind in ("RIFX", "FORM", "CAF") else "little"
    texts: dict[str, list[str]] = {}
    described, data = b"", None
    for chunk in chunks.chunks(held, kind, start, held.size):
        name = chunk.name.upper()
        content = b""
        if name in _READ:
            size = chunk.stop(held.size) - chunk.start
            content = held.at(chunk.start, min(max(size, 0), _MOST_TAG))
        if name == b"ID3 ":
            found.add(ID3, io.BytesIO(content), load_v1=False)
        elif name == b"LIST" and content[:4] == b"INFO":
            for key, value in _pairs(content[4:], order):
                _note(texts, key.decode("latin-1"), value)
        elif name == b"INFO":
            keys = content[4:].split(b"\0")
            for key, value in zip(keys[::2], keys[1::2], strict=False):
                _note(texts, key.decode("utf-8", "replace"), value)
        elif name in (b"NAME", b"AUTH"):
            _note(texts, name.decode(), content)
        elif name in (b"FMT ", b"COMM", b"DESC"):
            described = described or content
        elif name in (b"DATA", b"SSND"):
            data = data or chunk
    if texts:
        found.tags.append(texts)
    if kind != "AU":
        if data is None or not described:
            raise ValueError("it ends within its header")
        found.duration = _duration(kind, described, data, held.size)


_READ = (b"ID3 ", b"LIST", b"INFO", b"NAME", b"AUTH", b"FMT ", b"COMM", b"DESC")


def _pairs(content: bytes, order: Any) -> Iterator[tuple[bytes, bytes]]:
    """Names and texts of a list; the byte after one of odd size may be missing."""
    at = 0
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], order)
        yield name, content[at + 8 : at + 8 + size]
        at += 8 + size
        if size % 2 and content[at : at + 1] == b"\0":
            at += 1


def _note(texts: dict[str, list[str]], key: str, value: bytes) -> None:
    """Note a text, which may end in zeros, and is in some code page where it is not UTF-8."""
    name = _TEXTS.get(key.strip().lower(), key.strip().lower())
    value = value[:_LONGEST_TEXT].split(b"\0")[0]
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("cp1252", "replace")
    if text.strip() and len(texts) < _MOST_TEXTS:
        texts.setdefault(name, []).append(text.strip())


def _duration(kind: str, described: bytes, data: chunks.Chunk, size: int) -> float:
    """Seconds by the header; where it does not say, by the bytes that are there."""
    n_bytes = size - data.start if data.size is None else data.size
    if kind == "FORM":
        channels, n_samples, bits, exponent, mantissa = struct.unpack(
            ">hLhHQ", described[:18].ljust(18, b"\0")
        )
        sr = float(mantissa) * 2.0 ** max((exponent & 0x7FFF) - 16_446, -1022)
        sr = float(int(sr)) if exponent < 0x401E + 32 else 0.0
        a_sample = channels * (bits // 8)
        if data.unfinished and a_sample > 0:
            n_samples = (n_bytes - 8) // a_sample
        return n_samples / sr if sr > 0 else math.nan
    if kind == "CAF":
        sr, a_packet, samples = struct.unpack(">d8xLL", described[:24].ljust(24, b"\0"))
        return (n_bytes - 4) / a_packet * samples / sr if a_packet and sr > 0 else math.nan
    order = ">" if kind == "RIFX" else "<"
    sr, block = struct.unpack(f"{order}4xL4xH", described[:14].ljust(14, b"\0"))
    return n_bytes / block / sr if block and sr else math.nan


# ---- Matroska ----


def _add_matroska(found: FoundTags, held: FileBytes, start: int) -> None:
    """Add the tags of a Matroska or WebM file, and its duration."""
    texts: dict[str, list[str]] = {}
    scale, ticks = 1_000_000.0, math.nan
    for name, begin, stop in _segment(held, start):
        if name == _INFO:
            for inner, at, end in _elements(held, begin, stop):
                if inner == _TITLE:
                    _note(texts, "title", held.at(at, end - at))
                elif inner == _SCALE:
                    scale = float(int.from_bytes(held.at(at, min(end - at, 8)), "big"))
                elif inner == _DURATION and end - at in (4, 8):
                    (ticks,) = struct.unpack(">d" if end - at == 8 else ">f", held.at(at, end - at))
        elif name == _TAGS:
            for inner, at, end in _elements(held, begin, stop):
                if inner == _TAG:
                    _note_tag(texts, held, at, end)
    if texts:
        found.tags.append(texts)
    found.duration = ticks * scale / 1e9


_SEGMENT, _INFO, _TITLE, _SCALE = 0x18538067, 0x1549A966, 0x7BA9, 0x2AD7B1
_DURATION, _TAGS, _TAG, _TARGETS = 0x4489, 0x1254C367, 0x7373, 0x63C0
_LEVEL, _SIMPLE, _NAME, _STRING = 0x68CA, 0x67C8, 0x45A3, 0x4487


def _note_tag(texts: dict[str, list[str]], held: FileBytes, start: int, stop: int) -> None:
    level = 0
    for name, at, end in _elements(held, start, stop):
        if name == _TARGETS:
            for inner, begin, until in _elements(held, at, end):
                if inner == _LEVEL:
                    level = int.from_bytes(held.at(begin, min(until - begin, 8)), "big")
        elif name == _SIMPLE:
            both = {
                inner: held.at(b, min(e - b, _LONGEST_TEXT))
                for inner, b, e in _elements(held, at, end)
            }
            key = both.get(_NAME, b"").decode("utf-8", "replace").lower()
            if level >= 50:  # of the album
                key = _OF_ALBUM.get(key, key)
            _note(texts, key, both.get(_STRING, b""))


def _segment(held: FileBytes, start: int) -> Iterator[tuple[int, int, int]]:
    for name, begin, stop in _elements(held, start, held.size):
        if name == _SEGMENT:
            yield from _elements(held, begin, stop)


def _elements(held: FileBytes, position: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Identifier, start and stop of the elements in a row; one of unknown size is the last."""
    for _ in range(_MOST_ELEMENTS):
        head = held.at(position, 12) if position < stop else b""
        n = 9 - head[0].bit_length() if head else 9  # bytes of the identifier
        if n > 4 or len(head) <= n or head[n] == 0:
            return
        width = 9 - head[n].bit_length()  # bytes of the size
        size = int.from_bytes(head[n : n + width], "big") & (1 << 7 * width) - 1
        begin = position + n + width
        unknown = size == (1 << 7 * width) - 1
        end = stop if unknown else min(begin + size, stop)
        yield int.from_bytes(head[:n], "big"), begin, end
        if unknown:
            return
        position = begin + size
