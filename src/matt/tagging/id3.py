"""ID3v2: frames of a field are taken out and put in, and all others keep every byte.

No library promises that: of two frames that it takes for the same it keeps one, it drops what it
cannot read, and it writes the others anew. So a tag is taken apart into frames here, and mutagen
says what those of a field hold.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, NamedTuple

from ..errors import DataError
from .families import Rest, Values, replaced

_UNSYNCHRONISED, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10  # flags of a header; the last in 2.4
_SYNC = re.compile(rb"\xff(?:[\xe0-\xff]|\Z)")  # what unsynchronisation leaves nowhere
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9]{2}")  # of a frame; a blank behind it may be one of 2.2
_PADDING = 1024  # bytes behind the frames of a tag that is new, or has outgrown its room
_OLD = {"TCO": "TCON", "TT1": "TIT1", "GP1": "GRP1", "TXX": "TXXX"}  # names in 2.2
_FIELD = {"TCON": "genre", "TMOO": "mood", "TXXX": "mood", "TIT1": "grouping", "GRP1": "grouping"}
_OF_V1 = ((b"TIT2", 3, 33), (b"TPE1", 33, 63), (b"TALB", 63, 93), (b"TDRC", 93, 97))


class _Frame(NamedTuple):
    name: bytes
    flags: bytes
    content: bytes
    field: str = ""  # that it says something in
    texts: Values = ()


class Id3:
    """An ID3v2 tag, whose version stays.

    Several texts are several in 2.4, one text before. Where there is a ``GRP1``, that is the
    grouping, and ``TIT1`` is the name of a work, as for iTunes.

    Parameters
    ----------
    content : bytes
        Empty for a new tag, of version 2.4.
    v1 : bytes
        An ID3v1 that stands alone, whose texts a new tag takes over: players do not look at it any
        more where there is an ID3v2.

    Raises
    ------
    DataError
        If it cannot be taken apart, or a frame of a field cannot be read.
    """

    def __init__(self, content: bytes, v1: bytes = b"") -> None:
        self._room, self._safe = len(content), True
        self._head = content[:6] or b"ID3\4\0\0"
        self._major = self._head[3]
        self.family = f"ID3v2.{self._major}"
        if content:
            frames, self._safe = self._taken_apart(content)
            if self._major < 4:
                self._head = self._head[:5] + bytes([self._head[5] & ~_UNSYNCHRONISED])
        else:
            frames = _of_v1(v1) if v1 else []
        self._frames = [self._understood(frame) for frame in frames]
        if any(_name(frame) == "GRP1" for frame in self._frames):
            self._frames = [
                frame._replace(field="") if _name(frame) == "TIT1" else frame
                for frame in self._frames
            ]

    def values(self, field: str) -> Values:
        """What it says."""
        said = (text for frame in self._frames if frame.field == field for text in frame.texts)
        return tuple(text for text in said if text)

    def stored(self, values: Values, separator: str) -> Values:
        """Versions before 2.4 know one text a field."""
        return (separator.join(values),) if self._major < 4 and values else values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else, where it stood."""
        mood = "TMOO" if self._major == 4 else "TXXX"
        has_grp1 = any(_name(frame) == "GRP1" for frame in self._frames)
        grouping = "GRP1" if has_grp1 else "TIT1"
        name = {"genre": "TCON", "mood": mood, "grouping": grouping}[field]
        if self._major == 2:
            name = next(old for old, now in _OLD.items() if now == name)
        texts = self.stored(values, separator)
        told = self._encoded(("MOOD", *texts) if name[:3] == "TXX" else texts)
        flags = b"" if self._major == 2 else b"\0\0"
        new = [_Frame(name.encode(), flags, told, field, texts)] if texts else []
        self._frames = replaced(self._frames, new, lambda frame: frame.field == field)

    def rest(self, without: Collection[str]) -> Rest:
        """Frames of no such field."""
        return [
            (_name(frame), frame.flags + frame.content)
            for frame in self._frames
            if frame.field not in without
        ]

    def content(self) -> bytes:
        """Its bytes, in the room that there was where they fit."""
        body = b"".join(self._bytes(frame, self._safe) for frame in self._frames)
        foot = 10 if self._has_footer else 0  # where no padding may be
        left = self._room - 10 - len(body)
        padding = 0 if foot else left if left >= 0 else _PADDING
        size = len(body) + padding
        if size >= 1 << 28:
            raise DataError(f"its {self.family} tag would be larger than 256 MiB")
        told = self._head[3:] + _syncsafe(size)
        return b"ID3" + told + body + bytes(padding) + (b"3DI" + told if foot else b"")

    # ---- frames ----

    @property
    def _has_footer(self) -> bool:
        return self._major == 4 and bool(self._head[5] & _FOOTER)

    def _taken_apart(self, content: bytes) -> tuple[list[_Frame], bool]:
        """Its frames, and whether they state sizes in seven bits a byte, as 2.4 is to.

        Some programs write 2.4 with sizes in eight bits. Versions 2.2 and 2.3 are unsynchronised
        when they are done, so that frames state their sizes without the zeros between 0xFF and what
        may follow it; some programs state them with these, and ffprobe reads nothing else. The
        reading counts that ends where the tag does, or in zeros only.
        """
        flags, size = content[5], _from_syncsafe(content[6:10])
        if content[:3] != b"ID3" or self._major not in (2, 3, 4) or size is None:
            raise DataError(f"its ID3v2 tag is of no known version ({self.family})")
        body = content[10 : 10 + size]
        if len(body) < size or any(content[10 + size + (10 if self._has_footer else 0) :]):
            raise DataError(f"its {self.family} tag is not as long as it says")
        if flags & _EXTENDED and not _begins_with_a_frame(body):
            raise DataError(f"its {self.family} tag has an extended header")
        ways: list[tuple[bytes, bool, Callable[[bytes], bytes]]] = [(body, False, bytes)]
        if self._major == 4:
            ways = [(body, True, bytes), (body, False, bytes)]
        elif flags & _UNSYNCHRONISED:
            ways = [(_without_zeros(body), False, bytes), (body, False, _without_zeros)]
        read = [(safe, *self._walk(data, safe, plain)) for data, safe, plain in ways]
        whole = [(frames, safe) for safe, frames, is_whole in read if is_whole]
        if not whole:
            frames = max((frames for _, frames, _ in read), key=len)
            last = _name(frames[-1]) if frames else "its header"
            raise DataError(
                f"the sizes of the frames in its {self.family} tag make no sense behind {last}"
            )
        # Zeros behind the last frame are part of it or padding: in 2.4 its first way decides.
        same = [
            [frame.name if self._major == 4 else frame for frame in frames] for frames, _ in whole
        ]
        if any(one != same[0] for one in same):
            raise DataError(
                f"the sizes of the frames in its {self.family} tag can be read in two ways"
            )
        return whole[0]

    def _walk(
        self, data: bytes, safe: bool, plain: Callable[[bytes], bytes]
    ) -> tuple[list[_Frame], bool]:
        """Frames, and whether they end where the data or their padding does."""
        n = 3 if self._major == 2 else 4
        frames, at = [], 0
        while len(name := data[at : at + n]) == n and _NAME.match(name):
            told = data[at + n : at + 2 * n]
            size = _from_syncsafe(told) if safe else int.from_bytes(told, "big")
            if size is None:
                break
            begin = at + 2 * n + (0 if n == 3 else 2)
            content = plain(data[begin : begin + size])
            frames.append(_Frame(name, data[at + 2 * n : begin], content))
            at = begin + size
        return frames, at <= len(data) and not any(data[at:])

    def _bytes(self, frame: _Frame, safe: bool) -> bytes:
        n = len(frame.content)
        if n >= 1 << (24 if self._major == 2 else 28):
            raise DataError(f"its frame {_name(frame)} would have {n:,} bytes")
        size = _syncsafe(n) if safe and self._major == 4 else n.to_bytes(len(frame.name), "big")
        return frame.name + size + frame.flags + frame.content

    def _understood(self, frame: _Frame) -> _Frame:
        """A frame with the field that it says something in, and what it says."""
        from mutagen.id3 import ID3

        field = _FIELD.get(name := _name(frame), "")
        if not field or not frame.content:
            return frame._replace(field="" if name == "TXXX" else field)
        body = self._bytes(frame, True)
        flags = self._head[5] & _UNSYNCHRONISED if self._major == 4 else 0
        alone = b"ID3" + bytes([self._major, 0, flags]) + _syncsafe(len(body)) + body
        read: list[Any] = []
        with suppress(Exception):  # of a frame that it cannot read
            # Translated, frames of an old version would be replaced by those of a new one.
            tag: Any = ID3(io.BytesIO(alone), translate=False, load_v1=False)  # type: ignore[no-untyped-call]
            read = [*tag.values()]
        if name == "TXXX" and (not read or read[0].desc.upper() != "MOOD"):
            return frame
        if not read:
            raise DataError(f"the frame {name} of its {self.family} tag cannot be read")
        texts = read[0].genres if field == "genre" else read[0].text
        return frame._replace(field=field, texts=tuple(map(str, texts)))

    def _encoded(self, texts: Values) -> bytes:
        """Texts with a zero between them; in 2.4 without 0xFF, so that nothing is to be put in."""
        if all(text.isascii() for text in texts):
            return b"\0" + "\0".join(texts).encode("ascii")
        if self._major == 4:
            return b"\3" + "\0".join(texts).encode()
        return b"\1" + b"\0\0".join(b"\xff\xfe" + text.encode("utf-16-le") for text in texts)


def _name(frame: _Frame) -> str:
    """As in 2.3, whatever the version: some programs write names of 2.2 into tags of 2.3."""
    told = frame.name.rstrip(b"\0 ").decode("latin-1")
    return _OLD.get(told, told)


def _begins_with_a_frame(body: bytes) -> bool:
    """Some programs set the flag of an extended header that is not there."""
    from mutagen.id3 import Frames

    return body[:4].decode("latin-1") in Frames


def _without_zeros(data: bytes) -> bytes:
    """Data as before they were unsynchronised; as they are where they cannot have been."""
    return data if _SYNC.search(data) else data.replace(b"\xff\0", b"\xff")


def _from_syncsafe(data: bytes) -> int | None:
    """A number in seven bits a byte; None where a byte has eight."""
    if max(data, default=0) > 127:
        return None
    return sum(byte << 7 * place for place, byte in enumerate(reversed(data)))


def _syncsafe(n: int) -> bytes:
    return bytes(n >> shift & 127 for shift in (21, 14, 7, 0))


def _of_v1(content: bytes) -> list[_Frame]:
    """Frames of 2.4 that say what an ID3v1 says, but for its genre."""
    if not content[3:127].isascii():
        raise DataError(
            "its only tag is an ID3v1 with letters of an alphabet that it does not name, and "
            "players look at no ID3v1 beside a new tag"
        )
    told = [(name, content[start:stop], b"\0") for name, start, stop in _OF_V1]
    has_number = content[125] == 0 != content[126]
    told.append((b"COMM", content[97 : 125 if has_number else 127], b"\0XXX\0"))
    if has_number:
        told.append((b"TRCK", str(content[126]).encode(), b"\0"))
    texts = ((name, text.split(b"\0")[0].strip(), before) for name, text, before in told)
    return [
        _Frame(name, b"\0\0", before + text)
        for name, text, before in texts
        if text and (name != b"TDRC" or text.isdigit())
    ]
