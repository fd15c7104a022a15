"""Attributes of ASF (WMA), which mutagen changes; each other one has to stay where it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from struct import unpack_from
from typing import Any

from ..audio.structure import FileBytes
from ..errors import DataError
from .families import Rest, Values

_NAMES = {"genre": "WM/Genre", "mood": "WM/Mood", "grouping": "WM/ContentGroupDescription"}
_TEXT = 0  # type of an attribute
_HEADER, _EXTENSION = 30, 46  # bytes of an object before the objects in it
_MOST = 1 << 28  # bytes of the header


def _guid(text: str) -> bytes:
    return bytes.fromhex(text)


_ABOUT = _guid("3326b2758e66cf11a6d900aa0062ce6c")  # title, author, copyright, description, rating
_MORE = _guid("40a4d0d207e3d21197f000a0c95ea850")
_OF_STREAMS = _guid("eacbf8c5af5b77488467aa8c44fa4cca")
_LIBRARY = _guid("941c23449894d149a1411d134e457054")
_PADDING = _guid("74d40618dfca0945a4ba9aabcb96aae8")
_EXTENDED = _guid("b503bf5f2ea9cf118ee300c00c205365")


class Asf:
    """The attributes of a file.

    Raises
    ------
    DataError
        If its header cannot be taken apart.
    """

    family = "ASF"

    def __init__(self, path: Path, file: FileBytes) -> None:
        from mutagen.asf import ASF

        self._file: Any = ASF(path)  # type: ignore[no-untyped-call]
        size = int.from_bytes(file.at(16, 8), "little")
        if not _HEADER <= size <= min(_MOST, file.size):
            raise DataError("its header is not whole, or has more than 256 MiB")
        self._pieces = list(_pieces(b"".join(file.span(_HEADER, size))))

    def values(self, field: str) -> Values:
        """What they say."""
        found = map(str, (self._file.tags or {}).get(_NAMES[field], []))
        return tuple(text for text in found if text)

    def stored(self, values: Values, separator: str) -> Values:
        """As they are."""
        return values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else."""
        if values:
            self._file.tags[_NAMES[field]] = list(values)
        elif _NAMES[field] in self._file.tags:
            del self._file.tags[_NAMES[field]]

    def rest(self, without: Collection[str]) -> Rest:
        """Attributes of no such field, and all other objects of the header but padding."""
        mine = {_NAMES[field] for field in without}
        return [(name, content) for name, content in self._pieces if name not in mine]

    def save(self) -> None:
        """Write them into the file."""
        self._file.save()


def _pieces(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Attributes, and objects that hold none, of a header or its extension."""
    at = 0
    while at < len(data):
        name, size = data[at : at + 16], int.from_bytes(data[at + 16 : at + 24], "little")
        if size < 24 or at + size > len(data):
            raise DataError("the objects of its header are not whole")
        content = data[at + 24 : at + size]
        if name == _EXTENDED:
            yield from _pieces(content[_EXTENSION - 24 :])
        elif name == _ABOUT:
            yield from _about(content)
        elif name in (_MORE, _OF_STREAMS, _LIBRARY):
            yield from _attributes(content, name)
        elif name != _PADDING:
            yield f"object {name.hex()}", content
        at += size


def _about(content: bytes) -> Iterator[tuple[str, bytes]]:
    at = 10
    names = ("Title", "Author", "Copyright", "Description", "Rating")
    for number, name in enumerate(names):
        size = int.from_bytes(content[2 * number : 2 * number + 2], "little")
        if size:
            yield name, _ABOUT + content[at : at + size].rstrip(b"\0")
        at += size


def _attributes(content: bytes, where: bytes) -> Iterator[tuple[str, bytes]]:
    """Name of each, and where it stands, language, stream and type before what it says."""
    at = 2
    for _ in range(int.from_bytes(content[:2], "little")):
        if where == _MORE:
            (n_name,) = unpack_from("<H", content, at)
            begin, of = at + 2, b""
            kind, size = unpack_from("<HH", content, begin + n_name)
            value_at = begin + n_name + 4
        else:
            n_name, kind, size = unpack_from("<HHI", content, at + 4)
            begin, of = at + 12, content[at : at + 4]
            value_at = begin + n_name
        at = value_at + size
        if at > len(content):
            raise DataError("the attributes in its header are not whole")
        value = content[value_at:at]
        told = value.rstrip(b"\0") if kind == _TEXT else value
        name = content[begin : begin + n_name].decode("utf-16-le").strip("\0")
        yield name, where + of + kind.to_bytes(2, "little") + told
