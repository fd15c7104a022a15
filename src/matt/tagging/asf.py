"""The header of an ASF file (WMA): attributes of a field are taken out and put in.

It is written here, not by mutagen, which moves attributes of others from one object to another. A
first value lies where every program looks; only the library of metadata may have several of a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from struct import pack, unpack_from
from typing import NamedTuple

from ..errors import DataError
from .families import Rest, Values, replaced

_FIELD = {"WM/Genre": "genre", "WM/Mood": "mood", "WM/ContentGroupDescription": "grouping"}
_TEXT = 0  # type of an attribute
_HEADER = 30  # bytes of the header before its objects
_PADDING = 1024  # bytes at its end where it has outgrown its room
_MOST = 0xFFFF  # bytes of a value that programs look for first

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # what the header begins with
_EXTENSION = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")  # identifiers of objects
_FIRST = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")
_OF_STREAMS = bytes.fromhex("eacbf8c5af5b77488467aa8c44fa4cca")
_LIBRARY = bytes.fromhex("941c23449894d149a1411d134e457054")
_EMPTY = bytes.fromhex("74d40618dfca0945a4ba9aabcb96aae8")


class _Attribute(NamedTuple):
    name: str
    kind: int
    value: bytes
    content: bytes  # all of it

    @property
    def field(self) -> str:
        return _FIELD.get(self.name, "")


class _Object(NamedTuple):
    guid: bytes
    content: bytes
    attributes: tuple[_Attribute, ...] = ()

    def bytes(self) -> bytes:
        content = self.content
        if self.guid in (_FIRST, _OF_STREAMS, _LIBRARY):
            held = b"".join(one.content for one in self.attributes)
            content = pack("<H", len(self.attributes)) + held
        return self.guid + pack("<Q", 24 + len(content)) + content


class Asf:
    """The attributes of a file.

    Parameters
    ----------
    content : bytes
        Its header.

    Raises
    ------
    DataError
        If it cannot be taken apart, or an attribute of a field is no text.
    """

    family = "ASF"

    def __init__(self, content: bytes) -> None:
        self._room, self._foot = len(content), content[28:30]
        self._objects = [*_objects(content[_HEADER:])]
        inside = [one.content for one in self._objects if one.guid == _EXTENSION]
        if len(inside) != 1 or inside[0][18:22] != pack("<I", len(inside[0]) - 22):
            raise DataError("the extension of its header is not whole")
        self._inner = [*_objects(inside[0][22:])]

    def values(self, field: str) -> Values:
        """What they say."""
        told = [one for one in self._attributes() if one.field == field]
        if any(one.kind != _TEXT for one in told):
            raise DataError(f"its {told[0].name} is no text")
        texts = (one.value.decode("utf-16-le").strip("\0") for one in told)
        return tuple(text for text in texts if text)

    def stored(self, values: Values, separator: str) -> Values:
        """As they are."""
        return values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else, the first value where it stood."""
        name = next(name for name in _FIELD if _FIELD[name] == field)
        told = [value.encode("utf-16-le") + b"\0\0" for value in values]
        if any(len(value) > _MOST for value in told):
            raise DataError(f"its {name} would have more than {_MOST:,} bytes")
        named = name.encode("utf-16-le") + b"\0\0"
        n = len(named)
        first = [
            _Attribute(name, _TEXT, one, pack("<H", n) + named + pack("<HH", _TEXT, len(one)) + one)
            for one in told[:1]
        ]
        others = [
            _Attribute(name, _TEXT, one, pack("<HHHHI", 0, 0, n, _TEXT, len(one)) + named + one)
            for one in told[1:]
        ]
        self._objects = _with(self._objects, _FIRST, first, field)
        self._inner = _with(_with(self._inner, _OF_STREAMS, [], field), _LIBRARY, others, field)

    def rest(self, without: Collection[str]) -> Rest:
        """Attributes of no such field, and all other objects but padding and what holds others."""
        told = [
            (one.name, each.guid + one.content)
            for each in (*self._objects, *self._inner)
            for one in each.attributes
            if one.field not in without
        ]
        known = (_FIRST, _OF_STREAMS, _LIBRARY, _EMPTY, _EXTENSION)
        others = [one for one in (*self._objects, *self._inner) if one.guid not in known]
        return [*told, *((f"object {one.guid.hex()}", one.content) for one in others)]

    def content(self) -> bytes:
        """Its bytes, in the room that there was where they fit."""
        inner = b"".join(one.bytes() for one in self._inner)
        objects = [
            one._replace(content=one.content[:18] + pack("<I", len(inner)) + inner)
            if one.guid == _EXTENSION
            else one
            for one in self._objects
            if one.guid != _EMPTY
        ]
        body = b"".join(one.bytes() for one in objects)
        left = self._room - _HEADER - len(body) - 24
        n = len(objects)
        if left != -24:  # it fills its room
            body += _Object(_EMPTY, bytes(left if left >= 0 else _PADDING)).bytes()
            n += 1
        return _ASF + pack("<QI", _HEADER + len(body), n) + self._foot + body

    def _attributes(self) -> Iterator[_Attribute]:
        for one in (*self._objects, *self._inner):
            yield from one.attributes


def _with(objects: list[_Object], guid: bytes, new: list[_Attribute], field: str) -> list[_Object]:
    """Objects, the first of a kind with other attributes of a field, and no other with any."""
    if new and not any(one.guid == guid for one in objects):
        objects = [*objects, _Object(guid, b"")]
    found = []
    for one in objects:
        if one.guid == guid:
            told = replaced(one.attributes, new, lambda held: held.field == field)
            one, new = one._replace(attributes=tuple(told)), []
        found.append(one)
    return found


def _objects(data: bytes) -> Iterator[_Object]:
    """The objects of a header, or of its extension."""
    at = 0
    while at < len(data):
        guid, size = data[at : at + 16], int.from_bytes(data[at + 16 : at + 24], "little")
        if size < 24 or at + size > len(data):
            raise DataError("the objects of its header are not whole")
        content = data[at + 24 : at + size]
        at += size
        if guid in (_FIRST, _OF_STREAMS, _LIBRARY):
            yield _Object(guid, b"", tuple(_attributes(content, is_first=guid == _FIRST)))
        else:
            yield _Object(guid, content)


def _attributes(data: bytes, *, is_first: bool) -> Iterator[_Attribute]:
    at = 2
    for _ in range(int.from_bytes(data[:2], "little")):
        if is_first:
            (n_name,) = unpack_from("<H", data, at)
            kind, size = unpack_from("<HH", data, at + 2 + n_name)
            begin, value_at = at + 2, at + 6 + n_name
        else:
            n_name, kind, size = unpack_from("<HHI", data, at + 4)
            begin, value_at = at + 12, at + 12 + n_name
        name = data[begin : begin + n_name].decode("utf-16-le", "replace").strip("\0")
        end = value_at + size
        if end > len(data):
            break
        yield _Attribute(name, kind, data[value_at:end], data[at:end])
        at = end
    if at != len(data):
        raise DataError("the attributes in its header are not whole")
