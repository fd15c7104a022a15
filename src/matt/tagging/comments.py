"""Vorbis comments, in FLAC and in Ogg: those of others keep every byte, be they text or not."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..audio.structure import FileBytes
from ..errors import DataError
from .families import FIELDS, Rest, Values, decoded, replaced

_STREAMINFO, _PADDING, _COMMENTS = 0, 1, 4  # kinds of the blocks of FLAC
_ROOM = 1024  # bytes of padding where there was not enough
_MOST = 1 << 24  # bytes of a block, which are fewer


class Comments:
    """A vendor, and comments such as ``GENRE=Rock``; new ones where there are no bytes.

    Raises
    ------
    DataError
        If they cannot be taken apart.
    """

    family = "Vorbis comments"

    def __init__(self, content: bytes = b"") -> None:
        content = content or b"\4\0\0\0matt" + bytes(4)
        self._vendor, at = _counted(content, 0)
        n, at = int.from_bytes(content[at : at + 4], "little"), at + 4
        self._comments: list[bytes] = []
        for _ in range(n):
            comment, at = _counted(content, at)
            self._comments.append(comment)
        if at > len(content):
            raise DataError("its Vorbis comments are not whole")
        self.behind = content[at:]

    def values(self, field: str) -> Values:
        """What they say."""
        own = [one.partition(b"=") for one in self._comments if _field(one) == field]
        told = [decoded(text, f"its comment {name.decode('ascii')}") for name, _, text in own]
        return tuple(text for text in told if text)

    def stored(self, values: Values, separator: str) -> Values:
        """As they are."""
        return values

    def put(self, field: str, values: Values, separator: str) -> None:
        """Say something else, where it stood."""
        new = [f"{field.upper()}={value}".encode() for value in values]
        self._comments = replaced(self._comments, new, lambda one: _field(one) == field)

    def rest(self, without: Collection[str]) -> Rest:
        """Vendor, and comments of no such field."""
        others = [one for one in self._comments if _field(one) not in without]
        named = [(one.partition(b"=")[0].decode("latin-1"), one) for one in others]
        return [("vendor", self._vendor), *named]

    def text(self) -> bytes:
        """Their bytes, without what is behind them."""
        pieces = (self._vendor, *self._comments)
        sizes = [len(piece).to_bytes(4, "little") for piece in pieces]
        told = [size + piece for size, piece in zip(sizes, pieces, strict=True)]
        return told[0] + len(self._comments).to_bytes(4, "little") + b"".join(told[1:])


def _counted(content: bytes, at: int) -> tuple[bytes, int]:
    """Bytes behind their number, and where they end."""
    begin = at + 4
    size = int.from_bytes(content[at:begin], "little")
    if begin + size > len(content):
        raise DataError("its Vorbis comments are not whole")
    return content[begin : begin + size], begin + size


def _field(comment: bytes) -> str:
    name, equals, _ = comment.partition(b"=")
    told = name.decode("latin-1").lower() if equals else ""
    return told if told in FIELDS else ""


class Flac(Comments):
    """The metadata blocks of a FLAC file, of which one may hold comments.

    Raises
    ------
    DataError
        If they cannot be taken apart, or several hold comments.
    """

    def __init__(self, content: bytes) -> None:
        self._blocks: list[tuple[int, bytes]] = []
        at = 0
        while at < len(content):
            size = int.from_bytes(content[at + 1 : at + 4], "big")
            self._blocks.append((content[at] & 0x7F, content[at + 4 : at + 4 + size]))
            at += 4 + size
        held = [block for code, block in self._blocks if code == _COMMENTS]
        if at != len(content) or len(held) > 1 or self._blocks[0][0] != _STREAMINFO:
            several = "it has two blocks of Vorbis comments"
            raise DataError(several if len(held) > 1 else "its metadata blocks are not whole")
        super().__init__(*held)
        if not held:
            self._blocks.insert(1, (_COMMENTS, b""))

    def rest(self, without: Collection[str]) -> Rest:
        """Other comments, and other blocks but padding."""
        others = [(f"block {code}", block) for code, block in self._blocks]
        mine = {f"block {_PADDING}", f"block {_COMMENTS}"}
        return [*super().rest(without), *(pair for pair in others if pair[0] not in mine)]

    def content(self) -> bytes:
        """Its bytes, as many as before where the padding allows it."""
        told = self.text() + self.behind
        old = next(len(block) for code, block in self._blocks if code == _COMMENTS)
        blocks = [(code, told if code == _COMMENTS else block) for code, block in self._blocks]
        more = len(told) - old
        sizes = {at: len(block) for at, (code, block) in enumerate(blocks) if code == _PADDING}
        if sizes and more:
            # The largest; one that does not do is made anew.
            at = max(sizes, key=sizes.__getitem__)
            left = sizes[at] - more
            blocks[at] = (_PADDING, bytes(left if 0 <= left < _MOST else _ROOM))
        elif more:
            blocks.append((_PADDING, bytes(-more - 4 if more <= -4 else _ROOM)))
        if len(told) >= _MOST:
            raise DataError("its Vorbis comments would have more than 16 MiB")
        last = len(blocks) - 1
        heads = [bytes([code | (0x80 if at == last else 0)]) for at, (code, _) in enumerate(blocks)]
        return b"".join(
            head + len(block).to_bytes(3, "big") + block
            for head, (_, block) in zip(heads, blocks, strict=True)
        )


def flac_stop(file: FileBytes, start: int, stop: int) -> int:
    """Where the metadata blocks end that begin at ``start``.

    Raises
    ------
    DataError
        If no frame follows them.
    """
    at, head = start, b"\0"
    while not head[0] & 0x80 and at < stop:
        head = file.at(at, 4)
        file.missed()  # real files have a few
        at += 4 + int.from_bytes(head[1:], "big")
    if at > stop or (at < stop and file.at(at, 2) not in (b"\xff\xf8", b"\xff\xf9")):
        raise DataError("its metadata blocks do not end where its audio begins")
    return at


class Ogg(Comments):
    """The comments of the first stream of an Ogg file."""

    def __init__(self, path: Path, head: bytes) -> None:
        """Read them from the second packet; ``head`` is what the first one begins with."""
        from mutagen.ogg import OggPage

        self._path = path
        self._read, self._framing, skipped = _codec(head)
        with open(path, "rb") as file:
            serial = OggPage(file).serial  # type: ignore[no-untyped-call]
            pages: list[Any] = []
            while not pages or not (pages[-1].complete or len(pages[-1].packets) > 1):
                page = OggPage(file)  # type: ignore[no-untyped-call]
                pages += [page] if page.serial == serial else []
        packet = OggPage.to_packets(pages)[0]  # type: ignore[no-untyped-call]
        super().__init__(packet[skipped:])

    def rest(self, without: Collection[str]) -> Rest:
        """Other comments, and what stands behind them."""
        return [*super().rest(without), ("end", self.behind.rstrip(b"\0"))]

    def save(self) -> None:
        """Have mutagen put them into pages."""
        file = self._read(self._path)
        told = self.text() + self._framing
        file.tags.write = lambda framing=True: told
        file.save()


def _codec(head: bytes) -> tuple[Any, bytes, int]:
    """What reads such a stream, what ends its comments, and bytes before them in their packet."""
    from mutagen import oggflac, oggopus, oggspeex, oggvorbis

    known: dict[bytes, tuple[Any, bytes, int]] = {
        b"\x01vorbis": (oggvorbis.OggVorbis, b"\1", 7),
        b"OpusHead": (oggopus.OggOpus, b"", 8),
        b"Speex   ": (oggspeex.OggSpeex, b"", 0),
        b"\x7fFLAC": (oggflac.OggFLAC, b"", 4),
    }
    for name, told in known.items():
        if head.startswith(name):
            return told
    raise DataError("nothing is written into an Ogg stream of this kind")
