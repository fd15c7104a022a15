"""Tags of each family: what they say in a field, and how they are made to say something else.

A tag is taken apart into the pieces that its format has: frames, items, comments. Those of a field
are taken out and others put in; all others stay as they are, whether or not anybody can read them.
A tag that lies in bytes of its own (here, `id3`, `asf`, and that of FLAC in `comments`) gives new
ones; one that is woven into its file (Ogg in `comments`, `mp4`) is put there by mutagen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Literal, NamedTuple, Protocol, TypeVar

from ..errors import DataError

FIELDS = ("genre", "mood", "grouping")
Field = Literal["genre", "mood", "grouping"]
Values = tuple[str, ...]
Rest = list[tuple[str, bytes]]
"""Name and content of each piece of a tag, to be compared."""

_APE_FLAGS, _APE_IS_HEADER = b"\0\0\0\x80", 0x20  # there is a header; and this is it
_APE_2 = (2000).to_bytes(4, "little")  # its version
_V1_UNKNOWN = 255
_V1_BYTES = 128  # of an ID3v1, the end of its file
_BETWEEN = re.compile(r"[;,|\\/]")
_Piece = TypeVar("_Piece")


class Tag(Protocol):
    """A tag of a file."""

    family: str

    def values(self, field: str) -> Values:
        """What it says in a field, one text a value, as they are stored."""

    def stored(self, values: Values, separator: str) -> Values:
        """As `values` gives them back once they are written."""

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else; nothing removes the field."""

    def rest(self, without: Collection[str]) -> Rest:
        """All else that it holds, but for what it says in some fields."""


class InBytes(Tag, Protocol):
    """A tag with bytes of its own."""

    def content(self) -> bytes:
        """Its bytes."""


class Woven(Tag, Protocol):
    """A tag that is woven into its file."""

    def save(self) -> None:
        """Write it into the file that it was read from."""


def decoded(text: bytes, what: str) -> str:
    """A text of UTF-8.

    Raises
    ------
    DataError
        If it is none: written anew, it would be lost.
    """
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise DataError(f"{what} is no UTF-8") from None


def replaced(
    pieces: Iterable[_Piece], new: Iterable[_Piece], is_old: Callable[[_Piece], bool]
) -> list[_Piece]:
    """Pieces with others in the place of the old ones, or behind all.

    >>> replaced([1, 2, 3, 5], [8, 10], lambda number: number % 2 == 1)
    [8, 10, 2]
    >>> replaced([2, 4], [7], lambda number: number % 2 == 1)
    [2, 4, 7]
    """
    pieces = [*pieces]
    at = next((at for at, one in enumerate(pieces) if is_old(one)), len(pieces))
    others = [one for one in pieces[at:] if not is_old(one)]
    return [*pieces[:at], *new, *others]


def said_in(text: str) -> set[str]:
    """What a text may say: itself, and what stands between signs in it, without case.

    >>> sorted(said_in("Rock/Pop; Folk")), sorted(said_in("Rock"))
    (['folk', 'pop', 'rock', 'rock/pop; folk'], ['rock'])
    """
    parts = (part.strip().casefold() for part in (text, *_BETWEEN.split(text)))
    return {part for part in parts if part}


class Ape:
    """An APEv2 tag; new where it has no bytes. Other items keep every byte and their place.

    Raises
    ------
    DataError
        If it cannot be taken apart, or an item of a field cannot be read.
    """

    family = "APEv2"

    def __init__(self, content: bytes) -> None:
        self._has_header = not content or content[:8] == b"APETAGEX"
        foot = content[-32:] or b"APETAGEX" + _APE_2 + bytes(8) + _APE_FLAGS + bytes(8)
        head = content[:32] or foot[:23] + bytes([foot[23] | _APE_IS_HEADER]) + foot[24:]
        self._head, self._foot = head[20:], foot[20:]
        if foot[:12] != b"APETAGEX" + _APE_2:
            raise DataError("its APE tag is not of version 2, or has no footer")
        self._items: list[_Item] = []
        body, at = content[32 if self._has_header else 0 : -32], 0
        while at < len(body):
            end = body.find(b"\0", at + 8)
            size = int.from_bytes(body[at : at + 4], "little")
            key, value = body[at + 8 : end], body[end + 1 : end + 1 + size]
            if end < 0 or len(value) < size:
                raise DataError(f"the items of its APEv2 tag make no sense behind {self._last}")
            self._items.append(_Item(body[at + 4 : at + 8], key, value))
            at = end + 1 + size
        if len(self._items) != int.from_bytes(foot[16:20], "little") and content:
            raise DataError("its APEv2 tag has not as many items as it says")

    @property
    def _last(self) -> str:
        return self._items[-1].name if self._items else "its header"

    def values(self, field: str) -> Values:
        """What it says."""
        own = [item for item in self._items if item.field == field]
        for item in own:
            if item.flags[0] & 6:
                raise DataError(f"the item {item.name} of its APEv2 tag is no text")
        told = (decoded(item.value, f"the item {item.name} of its APEv2 tag") for item in own)
        return tuple(text for texts in told for text in texts.split("\0") if text)

    def stored(self, values: Values, separator: str) -> Values:
        """As they are."""
        return values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else, where it stood."""
        new = [_Item(bytes(4), field.title().encode(), "\0".join(values).encode())]
        self._items = replaced(self._items, new if values else [], lambda one: one.field == field)

    def rest(self, without: Collection[str]) -> Rest:
        """Items of no such field."""
        others = (item for item in self._items if item.field not in without)
        return [(item.name, item.flags + item.key + b"\0" + item.value) for item in others]

    def content(self) -> bytes:
        """Its bytes."""
        body = b"".join(
            len(item.value).to_bytes(4, "little") + item.flags + item.key + b"\0" + item.value
            for item in self._items
        )
        sizes = (len(body) + 32).to_bytes(4, "little") + len(self._items).to_bytes(4, "little")
        told = b"APETAGEX" + _APE_2 + sizes
        made = (told + self._head if self._has_header else b"") + body + told + self._foot
        if made[-_V1_BYTES:].startswith(b"TAG"):
            raise DataError("its APEv2 tag would be taken for an ID3v1 by other programs")
        return made


class _Item(NamedTuple):
    """One of an APEv2 tag."""

    flags: bytes
    key: bytes
    value: bytes

    @property
    def name(self) -> str:
        return self.key.decode("latin-1")

    @property
    def field(self) -> str:
        return self.name.lower()


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
        """The genre that it says, if that is one of them, or else the first that has a number."""
        from mutagen.id3 import TCON

        numbers = {genre.casefold(): genre for genre in TCON.GENRES}
        known = [numbers[one.casefold()] for one in values if one.casefold() in numbers]
        parts = {part for one in values for part in said_in(one)}
        kept = [one for one in self.values("genre") if one.casefold() in parts]
        return (*kept, *known)[:1]

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say another genre, or none where it has no number."""
        from mutagen.id3 import TCON

        if field == "genre":
            known = self.stored(values, separator)
            self._bytes[-1] = TCON.GENRES.index(known[0]) if known else _V1_UNKNOWN

    def rest(self, without: Collection[str]) -> Rest:
        """All other bytes."""
        return [("text", bytes(self._bytes[: -1 if "genre" in without else None]))]

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
        return tuple(decoded(text, "the IGNR of its INFO list") for text in texts if text)

    def stored(self, values: Values, separator: str) -> Values:
        """One text."""
        return ("; ".join(values),) if values else ()

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say another genre."""
        if field != "genre":
            if values:
                raise DataError(f"a WAV with INFO tags alone has no room for {field}")
            return
        new = [(b"IGNR", text.encode() + b"\0") for text in self.stored(values, "")]
        self._texts = replaced(self._texts, new, lambda pair: pair[0] == b"IGNR")

    def rest(self, without: Collection[str]) -> Rest:
        """Other texts."""
        told = [(name.decode("latin-1"), text) for name, text in self._texts]
        return [pair for pair in told if pair[0] != "IGNR" or "genre" not in without]

    def content(self) -> bytes:
        """Its bytes."""
        return b"INFO" + b"".join(
            name + len(text).to_bytes(4, self._order) + text + bytes(len(text) % 2)
            for name, text in self._texts
        )
