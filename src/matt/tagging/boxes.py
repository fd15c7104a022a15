"""Tags of MP4: ``ilst`` in ``moov``, and the offsets that count from the start of the file.

What grows takes its room from a ``free`` box behind ``ilst``, or behind ``moov``. Where there is
none, audio behind ``moov`` moves, and the tables of its chunks with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..audio import chunks
from ..audio.structure import FileBytes
from .families import MP4, Tag, Unwritable, box, boxes

_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta")
_OFFSETS = {b"stco": 4, b"co64": 8}  # bytes of one
_ABSOLUTE = (b"saio", b"iloc", b"tfra")  # further offsets, which nobody needs in music
_LARGEST = 1 << 28
_NEW_META = bytes(4) + box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
_FREE = (b"free", b"skip")
_DEEPEST = 10  # boxes in each other; tables of chunks are the fifth
_ROOM = 1024  # bytes left free behind what is moved


@dataclass
class Index:
    """The index of an MP4 with its tag; see `Place`."""

    tag: Tag
    start: int
    stop: int
    wrap: Callable[[bytes], bytes]
    there: bool
    rest: tuple[Any, ...]


def mp4(file: FileBytes, stop: int) -> Index:
    """Find the index and the tags in it."""
    top = list(chunks.chunks(file, "MP4", 0, stop))
    moovs = [chunk for chunk in top if chunk.name == b"moov"]
    mdats = [chunk.start for chunk in top if chunk.name == b"mdat"]
    if len(moovs) != 1 or not mdats or top[-1].stop(stop) != stop:
        raise Unwritable("it is not whole, or has more than one index")
    (moov,) = moovs
    begin, end = moov.start - 8, moov.stop(stop)
    if moov.size is None or moov.size > _LARGEST or file.at(begin + 4, 4) != b"moov":
        raise Unwritable("its index does not state a credible size")
    after = top[top.index(moov) + 1 :]
    free = after[0].stop(stop) if after and after[0].name in _FREE else end
    content = file.at(moov.start, moov.size)
    ilst = _descend(content, _PATH)
    tag = MP4.read(ilst) if ilst is not None else MP4.new()
    moves = any(chunk.name not in _FREE for chunk in after)
    fragmented = any(chunk.name in (b"moof", b"mfra", b"sidx", b"meta") for chunk in top)

    def wrap(blob: bytes) -> bytes:
        new = box(b"moov", _ascend(content, _PATH, blob))
        left = free - begin - len(new)
        if left == 0 or not moves:
            return new
        if left >= 8:
            return new + box(b"free", bytes(left - 8))
        new += box(b"free", bytes(_ROOM))
        by = len(new) - (free - begin)
        if fragmented:
            raise Unwritable("it is in fragments, and has no room for more")
        return _moved(new, by, free)

    rest = [
        (chunk.name, _digest(file.span(chunk.start, chunk.stop(stop))))
        for chunk in top
        if chunk.name not in (b"moov", b"mdat", *_FREE)
    ]
    rest += _rest(content, (), min(mdats))
    return Index(tag, begin, free, wrap, ilst is not None, tuple(rest))


def _digest(pieces: Any) -> str:
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


_PATH = (b"udta", b"meta", b"ilst")


def _skip(name: bytes, content: bytes) -> int:
    """Bytes before the boxes of a box: the version of ``meta``, which QuickTime does not have."""
    return 4 if name == b"meta" and content[4:8] != b"hdlr" else 0


def _inside(name: bytes, content: bytes) -> list[tuple[bytes, bytes, bytes]]:
    return boxes(content[_skip(name, content) :], bytes(4) if name == b"udta" else b"")


def _descend(content: bytes, path: tuple[bytes, ...], name: bytes = b"") -> bytes | None:
    found = [inner for inner in _inside(name, content) if inner[0] == path[0]]
    if len(found) > 1:
        raise Unwritable("it has more than one tag")
    if not found:
        return None
    return _descend(found[0][2], path[1:], path[0]) if path[1:] else found[0][2]


def _ascend(content: bytes, path: tuple[bytes, ...], blob: bytes, name: bytes = b"") -> bytes:
    """The content of a box with another ``ilst`` in it, made where it was not."""
    if not path:
        return blob
    inside = boxes(b"") if not content else _inside(name, content)
    prefix = content[: _skip(name, content)]
    kept = sum(len(header) + len(inner) for _, header, inner in inside)
    suffix = content[len(prefix) + kept :]
    out, done = [], False
    for at, header, inner in inside:
        if at == path[0]:
            out.append(box(at, _ascend(inner, path[1:], blob, at)))
            done = True
        elif not (name == b"meta" and at in _FREE):  # room there is given up for that behind
            out.append(header + inner)
    if not done:
        fresh = _NEW_META if path[0] == b"meta" else b""
        out.append(box(path[0], _ascend(fresh, path[1:], blob, path[0])))
    return prefix + b"".join(out) + suffix


def _moved(moov: bytes, by: int, behind: int) -> bytes:
    """The index, for audio that lies so many bytes further on."""
    if any(name in moov for name in _ABSOLUTE):
        raise Unwritable("its index holds offsets that are not known")

    def walk(at: int, stop: int, deep: int = 0) -> None:
        while deep <= _DEEPEST and at + 8 <= stop:
            size, name = (
                int.from_bytes(content[at : at + 4], "big"),
                bytes(content[at + 4 : at + 8]),
            )
            if size < 8 or at + size > stop:
                raise Unwritable("its boxes are damaged")
            if name in _PARENTS and name != b"udta":
                walk(at + 8, at + size, deep + 1)
            elif name in _OFFSETS:
                _shift(content, at + 12, at + size, _OFFSETS[name], by, behind)
            at += size

    content = bytearray(moov)
    walk(0, len(content))
    return bytes(content)


def _shift(content: bytearray, at: int, stop: int, n: int, by: int, behind: int) -> None:
    count = int.from_bytes(content[at : at + 4], "big")
    if at + 4 + count * n > stop:
        raise Unwritable("its table of chunks is damaged")
    for entry in range(at + 4, at + 4 + count * n, n):
        old = int.from_bytes(content[entry : entry + n], "big")
        new = old + by if old >= behind else old
        if new >= 1 << 8 * n:
            raise Unwritable("it is too large for its table of chunks")
        content[entry : entry + n] = new.to_bytes(n, "big")


def _rest(content: bytes, path: tuple[bytes, ...], base: int) -> list[Any]:
    """Digests of all boxes of the index but ``ilst``; offsets as they count from the audio."""
    found: list[Any] = []
    if len(path) > _DEEPEST:
        raise Unwritable("its boxes lie deeper in each other than any have to")
    for name, _, inner in _inside(path[-1] if path else b"", content):
        if name in _OFFSETS:
            n = _OFFSETS[name]
            offsets = (
                int.from_bytes(inner[at : at + n], "big") - base
                for at in range(8, len(inner) - n + 1, n)
            )
            found.append((name, _digest(b"%d;" % offset for offset in offsets)))
        elif name in _PARENTS or (name == b"meta" and path == (b"udta",)):
            found += _rest(inner, (*path, name), base)
        elif (name not in (b"ilst", *_FREE) and path != (b"udta", b"meta")) or name not in (
            b"ilst",
            b"hdlr",
            *_FREE,
        ):
            found.append((*path, name, _digest([inner])))
    return found
