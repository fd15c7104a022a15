"""Tags of MP4: items of a field are taken out and put in, and mutagen finds room for them.

Every other item stays as it is, and every other box of the index is compared: each position in the
file that it states has to lead to the same byte of the same ``mdat``.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ..audio import chunks
from ..audio.structure import FileBytes
from ..errors import DataError
from .families import Rest, Values, decoded, replaced

_HOLD_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"meta"}
_TAGS = (b"moov", b"udta", b"meta")
_POSITIONS = {b"stco": 4, b"co64": 8}  # bytes of each
_NOBODY_MOVES = (b"moof", b"saio", b"iloc")  # hold positions, too, and mutagen leaves them
_MOST = 1 << 28  # bytes of the index
_TEXT, _UTF16, _ANY = 1, 2, 0  # types of data
_APPLE = b"com.apple.iTunes"
_FIELD = {b"\xa9gen": "genre", b"gnre": "genre", b"\xa9grp": "grouping"}

_Item = tuple[bytes, bytes]  # name and content


class Mp4:
    """The items of the ``ilst`` of a file.

    Raises
    ------
    DataError
        If they cannot be taken apart, or the file is of fragments.
    """

    family = "MP4"

    def __init__(self, path: Path, file: FileBytes) -> None:
        self._path = path
        top = list(chunks.chunks(file, "MP4", 0, file.size))
        index = [box for box in top if box.name == b"moov"]
        self._mdats = [box.start for box in top if box.name == b"mdat"]
        if any(box.name in _NOBODY_MOVES for box in top):
            raise DataError("it consists of fragments (moof), which nothing moves safely")
        if len(index) != 1 or not index[0].size or index[0].size > _MOST:
            raise DataError("it has no index (moov), several, or one of more than 256 MiB")
        moov = b"".join(file.span(index[0].start, index[0].start + index[0].size))
        self._boxes = list(_leaves(moov, (b"moov",)))
        names = [names[-1] for names, _ in self._boxes]
        for name in _NOBODY_MOVES:
            if name in names:
                raise DataError(f"its index has {name.decode()}, which nothing moves safely")
        held = [content for names, content in self._boxes if names == (*_TAGS, b"ilst")]
        if len(held) > 1:
            raise DataError("it has several lists of tags (ilst)")
        self._items: list[_Item] = list(_boxes(held[0])) if held else []
        if any(not name for name, _ in self._items):
            raise DataError("its list of tags (ilst) is not whole")

    def values(self, field: str) -> Values:
        """What they say."""
        told = (_texts(item) for item in self._items if _field(item) == field)
        return tuple(text for texts in told for text in texts if text)

    def stored(self, values: Values, separator: str) -> Values:
        """As they are."""
        return values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else, where it stood."""
        data = b"".join(
            _box(b"data", _TEXT.to_bytes(4, "big") + bytes(4) + value.encode()) for value in values
        )
        name = {"genre": b"\xa9gen", "mood": b"----", "grouping": b"\xa9grp"}[field]
        if field == "mood":
            data = _box(b"mean", bytes(4) + _APPLE) + _box(b"name", bytes(4) + b"MOOD") + data
        new = [(name, data)] if values else []
        self._items = replaced(self._items, new, lambda item: _field(item) == field)

    def rest(self, without: Collection[str]) -> Rest:
        """Items of no such field, and all other boxes of the index, but room and headings."""
        others = [item for item in self._items if _field(item) not in without]
        told = [(name.decode("latin-1"), content) for name, content in others]
        for names, content in self._boxes:
            name = "/".join(one.decode("latin-1") for one in names)
            if width := _POSITIONS.get(names[-1]):
                told.append((name, self._places(content, width)))
            elif names[:-1] != _TAGS or names[-1] not in (b"ilst", b"free", b"hdlr"):
                told.append((name, content))
        return told

    def _places(self, content: bytes, width: int) -> bytes:
        """Positions in the file as the number of an ``mdat`` and a byte in it."""
        found = []
        for at in range(8, len(content), width):
            position = int.from_bytes(content[at : at + width], "big")
            which = bisect(self._mdats, position)
            found.append((which, position - self._mdats[which - 1] if which else position))
        return content[:8] + repr(found).encode()

    def save(self) -> None:
        """Have mutagen make room for them; what it cannot read it writes back as it is."""
        from mutagen.mp4 import MP4

        try:
            file: Any = MP4(self._path)  # type: ignore[no-untyped-call]
        except Exception as error:  # of what it thinks an item should be
            raise DataError(f"mutagen cannot read its tags (ilst): {error}") from error
        if file.tags is None:
            file.add_tags()
        file.tags.clear()
        unread: dict[str, list[bytes]] = {}
        for name, content in self._items:
            unread.setdefault(name.decode("latin-1"), []).append(content)
        file.tags._failed_atoms = unread
        file.save()


def _box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each box; what is none at the end without a name."""
    at = 0
    while at < len(data):
        size, skip = int.from_bytes(data[at : at + 4], "big"), 8
        if size == 1:
            size, skip = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if size < skip or at + size > len(data):
            yield b"", data[at:]
            return
        yield data[at + 4 : at + 8], data[at + skip : at + size]
        at += size


def _leaves(data: bytes, names: tuple[bytes, ...]) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
    """Boxes that are not taken for holding others, each with the names that lead to it."""
    for name, content in _boxes(data):
        if name in _HOLD_BOXES:
            yield from _leaves(content[4:] if name == b"meta" else content, (*names, name))
        else:
            yield (*names, name), content


def _field(item: _Item) -> str:
    """The field of an item; empty for others."""
    name, content = item
    if name != b"----":
        return _FIELD.get(name, "")
    told = {part: text[4:] for part, text in _boxes(content) if part in (b"mean", b"name")}
    is_mood = told.get(b"mean") == _APPLE and told.get(b"name", b"").upper() == b"MOOD"
    return "mood" if is_mood else ""


def _texts(item: _Item) -> Iterator[str]:
    """What an item says.

    Raises
    ------
    DataError
        If it is no text, and no number of a genre.
    """
    from mutagen.id3 import TCON

    name, content = item
    shown = f"its {name.decode('latin-1')}"
    for part, data in _boxes(content):
        if part in (b"mean", b"name") and name == b"----":
            continue
        kind, text = int.from_bytes(data[:4], "big"), data[8:]
        number = int.from_bytes(text, "big") - 1
        if part == b"data" and name == b"gnre" and 0 <= number < len(TCON.GENRES):
            yield TCON.GENRES[number]
        elif part == b"data" and name != b"gnre" and kind in (_ANY, _TEXT):
            yield decoded(text, shown)
        elif part == b"data" and name != b"gnre" and kind == _UTF16:
            yield text.decode("utf-16-be")
        else:
            raise DataError(f"{shown} cannot be read")
