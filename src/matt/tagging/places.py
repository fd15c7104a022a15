"""Where tags lie in a file, and what else has to change when one of them grows.

Every container gives its tags as places, and the edits that follow from edits in these: sizes that
are stated, the numbers of Ogg's pages, the offsets of MP4. Whatever is not edited is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, BinaryIO, Literal

from ..audio import chunks, ogg
from ..audio.containers import identify
from ..audio.structure import FileBytes, audio_extent, leading_tags, trailing_tags
from .boxes import mp4
from .families import (
    APE,
    ASF,
    ID3,
    ID3V1,
    VORBIS,
    Tag,
    Unwritable,
    asf_name,
    info,
)

Edit = tuple[int, int, bytes]
"""Bytes ``start`` to ``stop`` of a file, and what stands there instead."""

_PIECE = 1 << 20  # bytes moved at a time
_LARGEST = 1 << 28  # bytes of a tag; more are not credible


def _itself(blob: bytes) -> bytes:
    return blob


def _alone(edits: list[Edit]) -> list[Edit]:
    return edits


@dataclass
class Place:
    """A tag, the bytes of the file that it takes, and what lies around it there."""

    tag: Tag
    start: int
    stop: int
    wrap: Callable[[bytes], bytes] = _itself
    there: bool = True


@dataclass
class Found:
    """The tags of one file, those that count first; one that could be made comes last."""

    places: list[Place]
    rest: tuple[Any, ...] = ()
    finish: Callable[[list[Edit]], list[Edit]] = field(default=_alone)


def find_places(file: FileBytes) -> Found:
    """Find all tags of a file.

    Raises
    ------
    Unwritable
        If it is of a format that cannot be written, or does not follow its own.
    """
    start, stop = audio_extent(file)
    kind = identify(file, start, stop)
    if kind == "chunks":
        kind = chunks.identify(file.at(start, 16))
    around, rest = _around(file, start)
    if kind in _FIXED and start > 0:
        raise Unwritable("a tag lies before its own first bytes, which its offsets do not count")
    if kind in ("MP3", "ADTS", "True Audio"):
        own = Found([Place(ID3[4].new(), 0, 0, there=False)])
    elif kind in ("WavPack", "Monkey's Audio", "Musepack", "Musepack 7"):
        v1 = [place.start for place in around if place.tag.family is ID3V1 and place.start >= stop]
        end = min(v1, default=file.size)
        own = Found([Place(APE.new(), end, end, there=False)])
        around.sort(key=lambda place: place.tag.family is not APE)
    elif kind in _READERS:
        own = _READERS[kind](file, start, stop)
    else:
        raise Unwritable("tags of its format cannot be written")
    places = [*own.places, *around]
    places.sort(key=lambda place: not place.there)
    return Found(places, own.rest + rest, own.finish)


def splice(file: BinaryIO, edits: Iterable[Edit]) -> None:
    """Carry out edits of an open file, in place, from its end to its start."""
    joined: list[tuple[int, int, list[bytes]]] = []
    for start, stop, content in sorted(edits):
        if joined and joined[-1][1] == start:  # what follows has to move once only
            joined[-1] = (joined[-1][0], stop, [*joined[-1][2], content])
        else:
            joined.append((start, stop, [content]))
    for start, stop, contents in reversed(joined):
        content = b"".join(contents)
        _resize(file, stop, len(content) - (stop - start))
        file.seek(start)
        file.write(content)


def _resize(file: BinaryIO, position: int, by: int) -> None:
    """Move all from a position on, towards the end or the start."""
    size = file.seek(0, 2)
    moves = range(position, size, _PIECE)
    for at in moves if by < 0 else reversed(moves) if by else ():
        file.seek(at)
        piece = file.read(min(_PIECE, size - at))
        file.seek(at + by)
        file.write(piece)
    if by < 0:
        file.truncate(size + by)


def _digest(content: Iterable[bytes]) -> str:
    digest = sha256()
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()


def _blob(file: FileBytes, start: int, stop: int) -> bytes:
    if stop - start > _LARGEST:
        raise Unwritable("it has a tag of more than 256 MiB")
    return file.at(start, stop - start)


def _around(file: FileBytes, start: int) -> tuple[list[Place], tuple[Any, ...]]:
    """ID3v2, APEv2, ID3v1 before and behind the audio, in this order; and what else is there."""
    kinds: dict[str, list[Place]] = {"ID3": [], "APE": [], "TAG": []}
    rest: list[str] = []
    for begin, end in [*leading_tags(file), *trailing_tags(file, start)]:
        blob = _blob(file, begin, end)
        if blob[:3] == b"ID3":
            if begin > start:
                raise Unwritable("an ID3v2 tag lies behind its audio")
            kinds["ID3"].append(Place(ID3.get(blob[3], ID3[4]).read(blob), begin, end))
        elif blob[-32:-24] == b"APETAGEX" or blob[:8] == b"APETAGEX":
            kinds["APE"].append(Place(APE.read(blob), begin, end))
        elif blob[-128:-125] == b"TAG":
            kinds["TAG"].append(Place(ID3V1.read(blob[-128:]), end - 128, end))
            rest.append(_digest([blob[:-128]]))
        else:
            rest.append(_digest([blob]))
    return [place for places in kinds.values() for place in places], tuple(rest)


# ---- FLAC ----


def _flac(file: FileBytes, start: int, stop: int) -> Found:
    blocks: list[tuple[int, int, int]] = []  # type, start and stop with its header
    at, last = start + 4, False
    while not last:
        head = file.at(at, 4)
        if len(head) < 4 or at >= stop:
            raise Unwritable("its metadata is cut")
        last = bool(head[0] & 0x80)
        end = at + 4 + int.from_bytes(head[1:], "big")
        blocks.append((head[0] & 0x7F, at, end))
        at = end
        file.missed()
    comments = [block for block in blocks if block[0] == 4]
    if at > stop or blocks[0][0] != 0 or len(comments) > 1:
        raise Unwritable("its metadata is damaged")
    rest = tuple(
        (kind, _digest(file.span(begin + 4, end)))
        for kind, begin, end in blocks
        if kind not in (1, 4)
    )
    flag = file.at(comments[0][1], 1)[0] & 0x80 if comments else 0
    alone = not comments and len(blocks) == 1  # STREAMINFO is no longer the last block then

    def wrap(blob: bytes) -> bytes:
        if len(blob) >= 1 << 24:
            raise Unwritable("its comments would be larger than FLAC allows")
        return bytes([4 | (0x80 if alone else flag)]) + len(blob).to_bytes(3, "big") + blob

    def finish(edits: list[Edit]) -> list[Edit]:
        """Take what is needed from padding, if there is enough of it, or give it back."""
        inside = [edit for edit in edits if start < edit[0] <= at]
        grown = _grown(inside)
        for kind, begin, end in blocks:
            left = end - begin - 4 - grown
            if inside and kind == 1 and 0 <= left < 1 << 24:
                first = file.at(begin, 1)
                padding = first + left.to_bytes(3, "big") + bytes(left)
                return [*edits, (begin, end, padding)]
        if inside and alone:
            return [*edits, (blocks[0][1], blocks[0][1] + 1, b"\0")]
        return edits

    if comments:
        (_, begin, end) = comments[0]
        place = Place(VORBIS.read(_blob(file, begin + 4, end)), begin, end, wrap)
    else:
        begin = blocks[0][2]
        place = Place(VORBIS.new(), begin, begin, wrap, there=False)
    return Found([place], rest, finish)


def _grown(edits: Iterable[Edit]) -> int:
    return sum(len(content) - (end - begin) for begin, end, content in edits)


# ---- Ogg ----

_COMMENTS = {  # what begins the first packet; what begins the comment packet, and ends it
    b"\x01vorbis": b"\x03vorbis",
    b"OpusHead": b"OpusTags",
    b"Speex   ": b"",
    b"\x7fFLAC": b"\x84",
}


def _ogg(file: FileBytes, start: int, stop: int) -> Found:
    """Find the comments of the first stream; pages of headers are made anew where they change."""
    serial, magic = -1, b""
    headers: list[ogg.Page] = []  # pages of the first stream on which its comments lie
    packets = [bytearray()]
    for page in ogg.pages(file, start, stop):
        if page.body is None or not page.sound:
            raise Unwritable("a page of its headers is damaged")
        if serial < 0:
            serial = page.serial
            known = [magic for magic in _COMMENTS if page.body.startswith(magic)]
            if not known or len(page.lacing) != 1 + len(page.body) // 255 or not page.flags & 2:
                raise Unwritable("its first stream is no audio whose tags can be written")
            magic = known[0]
            continue
        if page.serial != serial:
            if len(headers) > 64 or page.flags & 2 == 0:
                raise Unwritable("other streams lie within its headers")
            continue
        headers.append(page)
        at = 0
        for lace in page.lacing:
            packets[-1] += page.body[at : at + lace]
            at += lace
            if lace < 255:
                packets.append(bytearray())
        if page.lacing and page.lacing[-1] < 255:
            packets.pop()
            break
        if sum(map(len, packets)) > _LARGEST:
            raise Unwritable("its comments are not credible")
    else:
        raise Unwritable("its headers are cut")
    first, last = headers[0], headers[-1]
    head = file.at(last.position, 14)
    if head[6:14] not in (bytes(8), b"\xff" * 8) or last.flags & 4 or len(packets) > 255:
        raise Unwritable("audio lies on the page of its comments")
    before = _COMMENTS[magic]
    n = 4 if magic == b"\x7fFLAC" else len(before)
    if magic == b"\x7fFLAC":
        before = bytes(packets[0][:1]) if packets[0][0] & 0x7F == 4 else b"\x84"
    if not packets[0].startswith(before):
        raise Unwritable("its second packet holds no comments")

    def wrap(blob: bytes) -> bytes:
        middle = len(blob).to_bytes(3, "big") if magic == b"\x7fFLAC" else b""
        if magic == b"\x7fFLAC" and len(blob) >= 1 << 24:
            raise Unwritable("its comments would be larger than FLAC allows")
        return _paged([before + middle + blob, *map(bytes, packets[1:])], serial, first.sequence)

    def finish(edits: list[Edit]) -> list[Edit]:
        """Remove the other old pages, and number those that follow."""
        mine = [edit for edit in edits if edit[0] == first.position]
        if not mine:
            return edits
        more = _n_pages(mine[0][2]) - len(headers)
        gone: list[Edit] = [(p.position, _end(p), b"") for p in headers[1:]]
        return [*edits, *gone, *(_renumbered(file, last, stop, more) if more else ())]

    place = Place(VORBIS.read(bytes(packets[0][n:])), first.position, _end(first), wrap)
    others = tuple(_digest([bytes(packet)]) for packet in packets[1:])
    return Found([place], others, finish)


def _end(page: ogg.Page) -> int:
    return page.position + 27 + len(page.lacing) + len(page.body or b"")


def _paged(packets: list[bytes], serial: int, sequence: int) -> bytes:
    """Lay packets out in pages, the last of which ends with the last of them."""
    content = b"".join(packets)
    laces = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    pages, at, continued = [], 0, False
    for begin in range(0, len(laces), 255):
        lacing = laces[begin : begin + 255]
        body = content[at : at + sum(lacing)]
        at += len(body)
        granule = b"\xff" * 8 if lacing == b"\xff" * 255 else bytes(8)
        pages.append(_page(int(continued), granule, serial, sequence, lacing, body))
        sequence, continued = sequence + 1, lacing[-1] == 255
    return b"".join(pages)


def _page(
    flags: int, granule: bytes, serial: int, number: int, lacing: bytes, body: bytes
) -> bytes:
    head = b"OggS\0" + bytes([flags]) + granule + serial.to_bytes(4, "little")
    head += (number & 0xFFFFFFFF).to_bytes(4, "little")
    tail = bytes([len(lacing)]) + lacing + body
    return head + ogg.checksum(head + bytes(4) + tail).to_bytes(4, "little") + tail


def _n_pages(content: bytes) -> int:
    at, n = 0, 0
    while at < len(content):
        laces = content[at + 26]
        at += 27 + laces + sum(content[at + 27 : at + 27 + laces])
        n += 1
    return n


def _renumbered(file: FileBytes, last: ogg.Page, stop: int, more: int) -> Iterator[Edit]:
    """Headers of the pages that follow in the stream; what is damaged must stay seen to be so."""
    for page in ogg.pages(file, _end(last), stop):
        if page.body is None or not page.sound:
            raise Unwritable("a page is damaged, and would have to be numbered anew")
        if page.serial != last.serial:
            continue
        if page.flags & 2:
            return  # another stream of the same number
        old = file.at(page.position, 14)
        new = _page(old[5], old[6:14], page.serial, page.sequence + more, page.lacing, page.body)
        yield page.position, page.position + 27, new[:27]


# ---- RIFF, AIFF, DSF ----


def _riff(file: FileBytes, start: int, stop: int) -> Found:
    kind = chunks.identify(file.at(start, 16))
    order: Literal["little", "big"] = "little" if kind == "RIFF" else "big"
    if file.at(start, 4) in (b"RF64", b"BW64"):
        raise Unwritable("tags of RF64 cannot be written")
    stated = int.from_bytes(file.at(start + 4, 4), order)
    if abs(stated + 8 - (stop - start)) > 1:
        raise Unwritable("it does not state its size rightly")
    found = list(chunks.chunks(file, kind, start, stop))
    begins = [chunk.start - 8 for chunk in found]
    places: list[Place] = []
    rest: list[Any] = []
    for chunk, after in zip(found, [*begins[1:], stop], strict=True):
        if chunk.size is None or chunk.unfinished or chunk.start + chunk.size > stop:
            raise Unwritable("its chunks are cut or do not state their sizes")
        end = chunk.start + chunk.size
        if after - end not in (0, 1):
            raise Unwritable("something that is no chunk lies between its chunks")
        name, head = chunk.name.upper(), file.at(chunk.start, 4)
        if name == b"ID3 ":
            blob = _blob(file, chunk.start, end)
            tag = ID3.get(blob[3] if len(blob) > 3 else 0, ID3[4]).read(blob)
        elif name == b"LIST" and head == b"INFO":
            tag = info(order).read(_blob(file, chunk.start, end))
        else:
            if name not in (b"DATA", b"SSND"):
                rest.append((chunk.name, _digest(file.span(chunk.start, end))))
            continue
        places.append(Place(tag, chunk.start - 8, after, _chunk(chunk.name, order)))
    places.sort(key=lambda place: place.tag.family.name.startswith("RIFF"))
    new = b"id3 " if kind != "FORM" else b"ID3 "
    pad = bytes((stop - start) % 2)
    absent = Place(ID3[4].new(), stop, stop, lambda blob: pad + _chunk(new, order)(blob), False)

    def finish(edits: list[Edit]) -> list[Edit]:
        inside = [edit for edit in edits if start < edit[0] and edit[1] <= stop]
        size = stop - start - 8 + _grown(inside)
        if size >= 1 << 32:
            raise Unwritable("it would be larger than its size can say")
        return [*edits, (start + 4, start + 8, size.to_bytes(4, order))] if inside else edits

    return Found([*places, absent], tuple(rest), finish)


def _chunk(name: bytes, order: Literal["little", "big"]) -> Callable[[bytes], bytes]:
    def wrap(blob: bytes) -> bytes:
        return name + len(blob).to_bytes(4, order) + blob + bytes(len(blob) % 2)

    return wrap


def _dsf(file: FileBytes, start: int, stop: int) -> Found:
    """Header of 28 bytes: name, its size, that of the file, where ID3 begins or zero."""
    total, pointer = (int.from_bytes(file.at(at, 8), "little") for at in (12, 20))
    end = pointer or file.size
    if total != file.size or not 28 <= end <= file.size or stop != file.size:
        raise Unwritable("it does not state its size rightly")
    blob = _blob(file, end, file.size)
    tag = ID3.get(blob[3] if len(blob) > 3 else 0, ID3[4]).read(blob) if pointer else ID3[4].new()

    def finish(edits: list[Edit]) -> list[Edit]:
        size = file.size + _grown(edits)
        return [*edits, (12, 28, size.to_bytes(8, "little") + end.to_bytes(8, "little"))]

    return Found([Place(tag, end, file.size, there=bool(pointer))], (), finish)


# ---- ASF ----

_CONTENT = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")  # extended content description
_LIBRARIES = (  # metadata, metadata library; the latter lies in the header extension, as the former
    bytes.fromhex("eacbf8c5af5b77488467aa8c44fa4cca"),
    bytes.fromhex("941c23449894d149a1411d134e457054"),
)
_EXTENSION = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")
_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def _asf(file: FileBytes, start: int, stop: int) -> Found:
    size = int.from_bytes(file.at(16, 8), "little")
    if not 30 <= size <= min(stop, _LARGEST):
        raise Unwritable("its header is cut")
    objects = list(_objects(file.at(0, size), 30))
    described = [o for o in objects if o[0] == _CONTENT]
    properties = [o for o in objects if o[0] == _PROPERTIES]
    if len(described) > 1 or len(properties) != 1:
        raise Unwritable("its header is damaged")
    for name, _, content in objects:
        if name == _EXTENSION and _in_libraries(content):
            raise Unwritable("its metadata library holds these fields, too")
    rest = tuple(_digest([n, c]) for n, _, c in objects if n not in (_CONTENT, _PROPERTIES))
    rest += (_digest([properties[0][2][:16], properties[0][2][24:]]),)

    def finish(edits: list[Edit]) -> list[Edit]:
        inside = [edit for edit in edits if edit[1] <= size]
        grown = _grown(inside)
        count = int.from_bytes(file.at(24, 4), "little") + (not described)
        head = (16, 28, (size + grown).to_bytes(8, "little") + count.to_bytes(4, "little"))
        at = properties[0][1] + 40  # the size of the file
        stated = int.from_bytes(file.at(at, 8), "little")
        told: list[Edit] = [(at, at + 8, (stated + grown).to_bytes(8, "little"))]
        return [*edits, head, *(told if stated == file.size else [])] if inside else edits

    def wrap(blob: bytes) -> bytes:
        return _CONTENT + (len(blob) + 24).to_bytes(8, "little") + blob

    if described:
        _, at, content = described[0]
        place = Place(ASF.read(content), at, at + 24 + len(content), wrap)
    else:
        place = Place(ASF.new(), size, size, wrap, there=False)
    return Found([place], rest, finish)


def _objects(content: bytes, at: int) -> Iterator[tuple[bytes, int, bytes]]:
    while at < len(content):
        size = int.from_bytes(content[at + 16 : at + 24], "little")
        if size < 24 or at + size > len(content):
            raise Unwritable("its header is damaged")
        yield content[at : at + 16], at, content[at + 24 : at + size]
        at += size


def _in_libraries(content: bytes) -> bool:
    for name, _, inner in _objects(content, 22):
        at = 2
        while name in _LIBRARIES and at + 12 <= len(inner):
            n, size = (
                int.from_bytes(inner[at + i : at + j], "little") for i, j in ((4, 6), (8, 12))
            )
            if asf_name(inner[at + 12 : at + 12 + n]):
                return True
            at += 12 + n + size
    return False


def _mp4(file: FileBytes, start: int, stop: int) -> Found:
    found = mp4(file, stop)
    place = Place(found.tag, found.start, found.stop, found.wrap, found.there)
    return Found([place], found.rest)


_READERS: dict[str, Callable[[FileBytes, int, int], Found]] = {
    "FLAC": _flac,
    "Ogg": _ogg,
    "RIFF": _riff,
    "RIFX": _riff,
    "FORM": _riff,
    "DSF": _dsf,
    "ASF": _asf,
    "MP4": _mp4,
}
_FIXED = ("DSF", "ASF", "MP4")  # positions in them count from the start of the file
