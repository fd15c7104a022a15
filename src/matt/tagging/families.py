"""Tags of each family: what they say in a field, and how they are made to say something else.

A tag that lies in bytes of its own (ID3v2, APEv2, ID3v1, the INFO of a WAV) is read from them and
gives new ones; one that is woven into its file (Vorbis comments, MP4, ASF) is changed by mutagen in
a copy of the file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal, Protocol

from ..errors import DataError

FIELDS = ("genre", "mood", "grouping")
Field = Literal["genre", "mood", "grouping"]
Values = tuple[str, ...]

_NAMES: Mapping[str, Mapping[str, str]] = {
    "Vorbis comments": {"genre": "genre", "mood": "mood", "grouping": "grouping"},
    "APEv2": {"genre": "Genre", "mood": "Mood", "grouping": "Grouping"},
    "MP4": {"genre": "\xa9gen", "mood": "----:com.apple.iTunes:MOOD", "grouping": "\xa9grp"},
    "ASF": {"genre": "WM/Genre", "mood": "WM/Mood", "grouping": "WM/ContentGroupDescription"},
}
_V1_SIZE, _V1_UNKNOWN = 128, 255
_MOOD = "TXXX:MOOD"
_UNSYNCHRONISED, _EXTENDED = 0x80, 0x40  # of the header of an ID3v2
_SYNC = re.compile(rb"\xff(?:[\xe0-\xff]|\Z)")  # what unsynchronisation leaves nowhere
_FRAME_UNSYNCHRONISED = 0x02  # of a frame's second byte of flags, in 2.4


class Tag(Protocol):
    """A tag of a file."""

    family: str

    def values(self, field: str) -> Values:
        """What it says in a field, one text a value, as they are stored."""

    def stored(self, values: Values, separator: str) -> Values:
        """As `values` gives them back once they are written."""

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else; nothing removes the field."""

    def rest(self) -> dict[Any, Any]:
        """Everything else that it says, comparable."""


class InBytes(Tag, Protocol):
    """A tag with bytes of its own."""

    def content(self) -> bytes:
        """Its bytes."""


class Id3:
    """An ID3v2 tag. Its version stays, but that 2.2 becomes 2.3.

    Parameters
    ----------
    content : bytes
        Empty for a new tag, of version 2.4.
    texts : bytes
        Of an ID3v1 that stands alone, whose texts a new tag takes over: players do not look at it
        any more where there is an ID3v2.
    """

    def __init__(self, content: bytes, texts: bytes = b"") -> None:
        from mutagen.id3 import ID3, ParseID3v1

        self._tag: Any
        self._room = len(content)
        content = _synchronised(content)
        self._ids = frozenset(_frame_ids(content))
        # Translated, frames of an old version would be replaced by those of a new one.
        if content:
            self._tag = ID3(  # type: ignore[no-untyped-call]
                io.BytesIO(content), translate=False, load_v1=False
            )
            self._version = max(self._tag.version[1], 3)
            if content[3] == 4 and content[5] & _UNSYNCHRONISED:
                # It was said of all frames at once; the others lose it as they are written.
                self._tag.unknown_frames = [
                    one[:9] + bytes([one[9] | _FRAME_UNSYNCHRONISED]) + one[10:]
                    for one in self._tag.unknown_frames
                ]
        else:
            self._tag = ID3()  # type: ignore[no-untyped-call]
            self._version = 4
            for frame in (ParseID3v1(texts) or {}).values():  # type: ignore[no-untyped-call]
                if frame.FrameID != "TCON":
                    self._tag.add(frame)
            self._ids = frozenset(frame.FrameID for frame in self._tag.values())
        self.family = f"ID3v2.{self._version}"

    def values(self, field: str) -> Values:
        """What it says."""
        if field == "genre":
            found = [text for frame in self._tag.getall("TCON") for text in frame.genres]
        elif field == "mood":
            found = [str(text) for key in ("TMOO", *self._moods()) for text in self._texts(key)]
        else:
            found = self._texts("TIT1") or self._texts("GRP1")
        return tuple(text for text in map(str, found) if text)

    def _texts(self, key: str) -> list[Any]:
        return [text for frame in self._tag.getall(key) for text in frame.text]

    def _moods(self) -> list[str]:
        return [key for key in self._tag if key.upper().startswith(_MOOD)]

    def stored(self, values: Values, separator: str) -> Values:
        """Version 2.3 knows one text a field."""
        return (separator.join(values),) if self._version == 3 and values else values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else."""
        from mutagen.id3 import GRP1, TCON, TIT1, TMOO, TXXX

        texts = list(self.stored(values, separator))
        latin = all(ord(char) < 256 for text in texts for char in text)
        given: dict[str, Any] = {"encoding": 0 if latin else (3 if self._version == 4 else 1)}
        kinds: list[Any] = [TCON]
        keys = ["TCON"]
        if field == "mood":
            keys = ["TMOO", *self._moods()]
            kinds = [TMOO if self._version == 4 else TXXX]
            given |= {} if self._version == 4 else {"desc": "MOOD"}
        elif field == "grouping":
            keys = ["TIT1", "GRP1"]
            kinds = [TIT1, *([GRP1] if "GRP1" in self._tag else [])]
        for key in keys:
            self._tag.delall(key)
        for kind in kinds if texts else ():
            self._tag.add(kind(text=texts, **given))

    def rest(self) -> dict[Any, Any]:
        """Frames of other kinds, those that mutagen does not know, and the names of all."""
        mine = {"TCON", "TMOO", "TIT1", "GRP1", *self._moods()}
        frames = {key: _visible(frame) for key, frame in self._tag.items() if key not in mine}
        unknown = tuple(sorted(_digest(one) for one in self._tag.unknown_frames))
        ids = self._ids - {"TCON", "TMOO", "TIT1", "GRP1", "TXXX"}  # the last are in frames
        return {**frames, **({"unknown": unknown, "ids": ids} if frames or unknown else {})}

    def content(self) -> bytes:
        """Its bytes, in the room that there was where they fit."""
        file = io.BytesIO(bytes(self._room) if not self._room else _header_of(self._room))
        self._tag.save(file, v1=0, v2_version=self._version, v23_sep=None)
        return file.getvalue()


def _header_of(size: int) -> bytes:
    """An ID3v2 tag without frames, of a size."""
    n = size - 10
    sizes = bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127])
    return b"ID3\4\0\0" + sizes + bytes(n)


def _synchronised(content: bytes) -> bytes:
    """An ID3v2.2 or 2.3 without unsynchronisation, the zeros between 0xFF and what may follow it.

    They are put into the whole tag when it is done, so frames state their sizes without them, and
    mutagen reads nothing else. Some programs state sizes with them, and ffprobe reads nothing else.
    The reading counts that makes sense up to the padding.

    Raises
    ------
    DataError
        If neither does, or both do and differ.
    """
    from mutagen.id3 import Frames

    major, flags, body = content[3:4], content[5:6], content[10:]
    if content[:3] != b"ID3" or major not in (b"\2", b"\3") or not flags[0] & _UNSYNCHRONISED:
        return content
    # Some set the flag and begin with a frame all the same.
    extended = flags[0] & _EXTENDED and body[:4].decode("latin-1") not in Frames
    readings = set()
    for data, of_frame in ((_without_zeros(body), bytes), (body, _without_zeros)):
        start = 4 + int.from_bytes(data[:4], "big") if extended else 0
        frames, whole = _frames(data[start:], major[0])
        if whole:
            plain = ((head, of_frame(told)) for head, told in frames)
            readings.add(b"".join(_with_size(head, told) for head, told in plain))
    if len(readings) != 1:
        raise DataError(
            "the sizes in its ID3v2 tag, which is unsynchronised, can be read in "
            f"{'two ways' if readings else 'no way'}"
        )
    found = readings.pop()
    head = _header_of(10 + len(found))
    kept = flags[0] & ~(_UNSYNCHRONISED | _EXTENDED)
    return content[:5] + bytes([kept]) + head[6:10] + found


def _without_zeros(data: bytes) -> bytes:
    """Data as before they were unsynchronised; as they are where they cannot have been."""
    return data if _SYNC.search(data) else data.replace(b"\xff\0", b"\xff")


def _with_size(head: bytes, content: bytes) -> bytes:
    """A frame of version 2.2 or 2.3."""
    n = len(head) // 2 if len(head) == 6 else 4
    return head[:n] + len(content).to_bytes(n, "big") + head[2 * n :] + content


def _frames(data: bytes, major: int) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Head and content of each frame, and whether they end where the data or their padding does."""
    n_name, n_head = (3, 6) if major == 2 else (4, 10)
    found, at = [], 0
    while len(name := data[at : at + n_name]) == n_name and name.isalnum() and name.isupper():
        head = data[at : at + n_head]
        size = head[n_name : 2 * n_name]
        n = _safe(size) if major == 4 else int.from_bytes(size, "big")
        found.append((head, data[at + n_head : at + n_head + n]))
        at += n_head + n
    return found, at <= len(data) and not any(data[at:])


def _frame_ids(content: bytes) -> list[str]:
    """Names of the frames of an ID3v2 by its bytes: mutagen drops those that it cannot read."""
    from mutagen.id3 import Frames_2_2

    if content[:3] != b"ID3":
        return []
    major, flags, data = content[3], content[5], content[10:]
    at = 0
    if flags & _EXTENDED and major > 2:
        at = _safe(data[:4]) if major == 4 else 4 + int.from_bytes(data[:4], "big")
    found = []
    for head, _ in _frames(data[at:], major)[0]:
        told = head[: 3 if major == 2 else 4].decode("ascii")
        known: Any = Frames_2_2.get(told) if major == 2 else None
        found.append(known.__base__.__name__ if known else told)
    return found


def _safe(four: bytes) -> int:
    return (
        int.from_bytes(four, "big")
        if max(four, default=0) > 127
        else sum(byte << 7 * place for place, byte in enumerate(reversed(four)))
    )


def _visible(frame: Any) -> Any:
    """What a frame says, comparable and small; how its text is encoded is no part of it."""
    told = {name: value for name, value in vars(frame).items() if name != "encoding"}
    return type(frame).__name__, tuple(sorted((name, _small(told[name])) for name in told))


def _small(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return _digest(bytes(value))
    if isinstance(value, list | tuple):
        return " ".join(_small(one) for one in value)
    return repr(str(value))


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


class Ape:
    """An APEv2 tag; new where it has no bytes."""

    family = "APEv2"

    def __init__(self, content: bytes) -> None:
        from mutagen.apev2 import APEv2

        self._tag: Any = APEv2(io.BytesIO(content)) if content else APEv2()  # type: ignore[no-untyped-call]

    def values(self, field: str) -> Values:
        """What it says."""
        found = self._tag.get(_NAMES["APEv2"][field])
        return tuple(text for text in found if text) if found is not None else ()

    def stored(self, values: Values, separator: str) -> Values:
        """As they are."""
        return values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else."""
        key = _NAMES["APEv2"][field]
        if values:
            self._tag[key] = list(values)
        else:
            self._tag.pop(key, None)

    def rest(self) -> dict[Any, Any]:
        """Other items."""
        mine = {name.lower() for name in _NAMES["APEv2"].values()}
        return {
            key.lower(): (value.kind, _small(value.value))
            for key, value in self._tag.items()
            if key.lower() not in mine
        }

    def content(self) -> bytes:
        """Its bytes."""
        file = io.BytesIO()
        self._tag.save(file)
        return file.getvalue()


class Id3v1:
    """The last 128 bytes of some files; of the fields it has the genre, as a number."""

    family = "ID3v1"

    def __init__(self, content: bytes) -> None:
        self._bytes = bytearray(content)

    def values(self, field: str) -> Values:
        """The genre, if it is a number with a name and the tag says anything at all."""
        from mutagen.id3 import TCON

        number = self._bytes[-1]
        if field != "genre" or number >= len(TCON.GENRES) or not any(self._bytes[3:-1]):
            return ()
        return (TCON.GENRES[number],)

    def stored(self, values: Values, separator: str) -> Values:
        """The first, if it has a number."""
        from mutagen.id3 import TCON

        return values[:1] if values and values[0] in TCON.GENRES else ()

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say another genre, or none where it has no number."""
        from mutagen.id3 import TCON

        if field == "genre":
            known = self.stored(values, separator)
            self._bytes[-1] = TCON.GENRES.index(known[0]) if known else _V1_UNKNOWN

    def rest(self) -> dict[Any, Any]:
        """All other bytes."""
        return {"bytes": _digest(bytes(self._bytes[:-1]))}

    def content(self) -> bytes:
        """Its bytes."""
        return bytes(self._bytes)


class Info:
    """The INFO list of a WAV: of the fields it has the genre, as one text."""

    family = "RIFF"

    def __init__(self, content: bytes, order: Literal["little", "big"]) -> None:
        self._order: Literal["little", "big"] = order
        self._texts: list[tuple[bytes, bytes]] = []
        at = 4
        while at + 8 <= len(content):
            size = int.from_bytes(content[at + 4 : at + 8], order)
            self._texts.append((content[at : at + 4], content[at + 8 : at + 8 + size]))
            at += 8 + size + size % 2
        if content[:4] != b"INFO" or at < len(content) or self._broken(content):
            raise DataError("its INFO list is damaged")

    def _broken(self, content: bytes) -> bool:
        return self.content() != content + bytes(len(content) % 2)

    def values(self, field: str) -> Values:
        """The genre."""
        if field != "genre":
            return ()
        texts = [text.split(b"\0")[0] for name, text in self._texts if name == b"IGNR"]
        return tuple(text.decode("utf-8", "replace") for text in texts if text)

    def stored(self, values: Values, separator: str) -> Values:
        """One text."""
        return ("; ".join(values),) if values else ()

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say another genre."""
        if field != "genre":
            if values:
                raise DataError(f"a WAV with INFO tags alone has no room for {field}")
            return
        self._texts = [pair for pair in self._texts if pair[0] != b"IGNR"]
        self._texts += [(b"IGNR", text.encode() + b"\0") for text in self.stored(values, "")]

    def rest(self) -> dict[Any, Any]:
        """Other texts."""
        return {"texts": tuple(pair for pair in self._texts if pair[0] != b"IGNR")}

    def content(self) -> bytes:
        """Its bytes."""
        return b"INFO" + b"".join(
            name + len(text).to_bytes(4, self._order) + text + bytes(len(text) % 2)
            for name, text in self._texts
        )


class Woven:
    """Tags that mutagen changes in their file: Vorbis comments, MP4, ASF.

    Parameters
    ----------
    family : {"Vorbis comments", "MP4", "ASF"}
    file : mutagen.FileType
    """

    def __init__(self, family: str, file: Any) -> None:
        self.family, self._file = family, file
        self._names = _NAMES[family]

    def values(self, field: str) -> Values:
        """What it says."""
        found = (self._file.tags or {}).get(self._names[field], [])
        texts = (one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in found)
        return tuple(text for text in map(str, texts) if text)

    def stored(self, values: Values, separator: str) -> Values:
        """As they are."""
        return values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else."""
        if self._file.tags is None:
            self._file.add_tags()
        name = self._names[field]
        if not values:
            if name in self._file.tags:
                del self._file.tags[name]
        elif name.startswith("----"):
            self._file.tags[name] = [value.encode() for value in values]
        else:
            self._file.tags[name] = list(values)

    def rest(self) -> dict[Any, Any]:
        """Other comments, atoms or attributes, and the other metadata blocks of a FLAC file."""
        mine = {name.lower() for name in self._names.values()}
        found: dict[Any, Any] = {}
        tags: Sequence[tuple[str, Any]]
        tags = (
            self._file.tags
            if isinstance(self._file.tags, list)
            else [*(self._file.tags or {}).items()]
        )
        for key, value in tags:
            if str(key).lower() not in mine:
                found.setdefault(key, []).append(_small(value))
        for number, block in enumerate(getattr(self._file, "metadata_blocks", ())):
            if block.code not in (1, 4):  # padding, comments
                found["block", block.code, number] = _digest(block.write())
        return found

    def save(self) -> None:
        """Write it into the file that it was read from."""
        self._file.save()
