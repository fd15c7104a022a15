"""Covers: pictures that lie in the tags of tracks, as far as a browser may be given them."""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from html import escape
from typing import Any, NamedTuple

from ..evaluation.tables import plain

_MOST = 2**23  # bytes of a picture
_MOST_ENCODED = 2 * _MOST
_MOST_KEPT = 2**26  # bytes of all pictures that are kept
_MOST_TRACKS = 3  # of an album that are looked at
_FRONT = 3  # what ID3, FLAC and ASF call the front of an album
_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_TINTS = ["#5b7aa8", "#7a6aa8", "#a86a8c", "#a8765b", "#8c8a4f", "#5f8f66", "#4f8f8c", "#6b7686"]


class Cover(NamedTuple):
    """Bytes of a picture, and what kind it is by its first ones."""

    content: bytes
    kind: str


def kind_of_picture(content: bytes) -> str:
    """Media type of a picture by its first bytes; empty of anything else.

    >>> kind_of_picture(b"GIF89a..."), kind_of_picture(b"<svg onload=alert(1)>")
    ('image/gif', '')
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for sign, kind in _KINDS if content.startswith(sign)), "")


def cover_of(paths: Iterable[str]) -> Cover | None:
    """The first usable picture in the tags of some tracks, a front cover if there is one.

    Parameters
    ----------
    paths : iterable of str
        Of which the first few are looked at.
    """
    for _, path in zip(range(_MOST_TRACKS), paths):
        try:
            found = list(_pictures(path))
        except Exception:  # a parser of untrusted bytes may fail in any way at all
            continue
        for content in found:
            if len(content) <= _MOST and (kind := kind_of_picture(content)):
                return Cover(content, kind)
    return None


def _pictures(path: str) -> Iterator[bytes]:
    """Pictures of a file, front covers first."""
    import mutagen

    opened: Any = mutagen.File(path)
    if opened is None:
        return
    found = [*getattr(opened, "pictures", ()), *_of_tags(opened.tags or {})]
    for _, content in sorted(
        ((getattr(one, "type", 0) != _FRONT, bytes(getattr(one, "data", one))) for one in found),
        key=lambda pair: pair[0],
    ):
        yield content


def _of_tags(tags: Any) -> Iterator[Any]:
    """Pictures of tags, as each family keeps them."""
    from mutagen.flac import Picture

    read: Any = Picture  # which ships no types

    if hasattr(tags, "getall"):
        yield from tags.getall("APIC")
        return
    yield from tags.get("covr", ())
    for text in tags.get("metadata_block_picture", ())[:_MOST_TRACKS]:
        if len(text) <= _MOST_ENCODED:
            yield read(base64.b64decode(text))
    for one in tags.get("WM/Picture", ()):
        if isinstance(one.value, bytes):
            yield _of_asf(one.value)
    for name in ("Cover Art (Front)", "Cover Art (front)"):
        if name in tags:
            yield bytes(tags[name].value).partition(b"\0")[2]


def _of_asf(value: bytes) -> bytes:
    """The picture behind its type, its size, and two texts in UTF-16."""
    size, at = int.from_bytes(value[1:5], "little"), 5
    for _ in range(2):
        while value[at : at + 2] not in (b"\0\0", b""):
            at += 2
        at += 2
    return value[at : at + size]


def stand_in(name: str, artist: str) -> Cover:
    """A calm square with a letter, where there is no picture; always the same for an album."""
    letter = next((char for char in plain(name) if char.isalnum()), "\u266a")
    digest = blake2b(f"{artist}\0{name}".encode(errors="replace"), digest_size=1).digest()
    tint = _TINTS[digest[0] % len(_TINTS)]
    return Cover(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120">'
        f'<rect width="120" height="120" fill="{tint}"/>'
        f'<circle cx="60" cy="60" r="44" fill="none" stroke="#fff" stroke-opacity=".25"/>'
        f'<text x="60" y="60" fill="#fff" fill-opacity=".92" font-family="system-ui, sans-serif" '
        f'font-size="40" text-anchor="middle" dominant-baseline="central">'
        f"{escape(letter.upper())}</text></svg>".encode(),
        "image/svg+xml",
    )


class Covers:
    """Pictures that were asked for, as many as fit; the one not asked for the longest goes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Cover] = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.Lock()  # one at a time: a tag may hold many megabytes

    def get(self, key: str, make: Callable[[], Cover]) -> Cover:
        """The picture of an album, read if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            cover = make()
            self._kept[key] = cover
            self._n_bytes += len(cover.content)
            while self._n_bytes > _MOST_KEPT:
                _, gone = self._kept.popitem(last=False)
                self._n_bytes -= len(gone.content)
            return cover
