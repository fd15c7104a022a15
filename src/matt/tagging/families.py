"""Tags as bytes: what they say in the fields that are written, and the same with other values.

A family takes a tag apart into items: frames, comments, boxes. All but those of the fields asked
for stay the bytes that they are, whatever they hold, and in their order: nothing is rendered anew
that nobody asked to change. So what no parser understands survives, which it would not in mutagen:
that drops frames it cannot read and of frames of one name all but one.

What does not follow its format to the last byte is refused, as nobody could say what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal

Values = tuple[str, ...]
FIELDS = ("genre", "mood", "grouping")
"""Fields that can be written."""

_ROOM = 1024  # bytes left free in a new ID3 tag, so that the next one fits in


class Unwritable(Exception):
    """What is in the way of writing, in words that go on from the name of a file."""


@dataclass(frozen=True)
class Item:
    """A frame, comment or box as its bytes are; with a slot where it is one of the fields."""

    raw: bytes
    slot: str = ""
    values: Values = ()


@dataclass(frozen=True)
class Family:
    """How one kind of tag is taken apart and put together.

    Attributes
    ----------
    name : str
        As people call it.
    slots : mapping of str to tuple of str
        Where each field is written; then where else it may be, and is changed if it is there.
    read : callable
        Of a tag's bytes: the `Tag`.
    item : callable
        Of a slot and values: the bytes that say so.
    write : callable
        Of a `Tag`: its bytes.
    joined : bool
        Whether several values are one text.
    head : Any
        Of a new tag.
    room : int
        Of a new tag.
    """

    name: str
    slots: Mapping[str, tuple[str, ...]]
    read: Callable[[bytes], Tag]
    item: Callable[[str, Values], bytes]
    write: Callable[[Tag], bytes]
    joined: bool = False
    head: Any = None
    room: int = 0

    def new(self, items: tuple[Item, ...] = ()) -> Tag:
        """Make a tag that says nothing, or what it is given."""
        return Tag(self, items, self.head, self.room)


@dataclass(frozen=True)
class Tag:
    """A tag in items.

    Attributes
    ----------
    head : Any
        What else of it stays, comparable.
    room : int
        Bytes that it may take without moving what follows.
    """

    family: Family
    items: tuple[Item, ...]
    head: Any = None
    room: int = 0

    def values(self, field: str) -> Values:
        """What it says in a field; of several places the first that says anything."""
        for slot in self.family.slots.get(field, ()):
            found = [value for item in self.items if item.slot == slot for value in item.values]
            if any(found):
                return tuple(filter(None, found))
        return ()

    def holds(self, field: str) -> bool:
        """Whether the field is there, if only empty."""
        return any(item.slot in self.family.slots.get(field, ()) for item in self.items)

    @property
    def rest(self) -> tuple[Any, ...]:
        """All that it says besides, comparable; nothing where a new tag would say no less."""
        others = tuple(sha256(item.raw).hexdigest() for item in self.items if not item.slot)
        fresh = not others and self.head == self.family.head
        return () if fresh else (self.family.name, self.head, *others)

    def changed(self, field: str, values: Values, separator: str) -> Tag:
        """Say something else in a field, in all places that have it, and in the usual one."""
        if self.family.joined and values:
            values = (separator.join(values),)
        usual, *others = self.family.slots[field]
        items = list(self.items)
        for slot in (usual, *others):
            there = [at for at, item in enumerate(items) if item.slot == slot]
            at = there[0] if there else len(items)
            for old in reversed(there):
                del items[old]
            if values and (there or slot == usual) and (raw := self.family.item(slot, values)):
                items.insert(at, Item(raw, slot, values))
        return replace(self, items=tuple(items))

    def blob(self) -> bytes:
        """Its bytes."""
        return self.family.write(self)


def _all_raw(tag: Tag) -> bytes:
    return b"".join(item.raw for item in tag.items)


# ---- ID3v2 ----

_ID3_SLOTS = {
    2: {"genre": ("TCO",), "mood": ("TXX:MOOD",), "grouping": ("TT1", "GP1")},
    3: {"genre": ("TCON",), "mood": ("TXXX:MOOD", "TMOO"), "grouping": ("TIT1", "GRP1")},
    4: {"genre": ("TCON",), "mood": ("TMOO", "TXXX:MOOD"), "grouping": ("TIT1", "GRP1")},
}
_ID3_KNOWN = {
    version: frozenset(slot for of_field in slots.values() for slot in of_field)
    for version, slots in _ID3_SLOTS.items()
}
_UNSYNC, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10
_FRAME = {2: re.compile(rb"[A-Z0-9]{3}"), 3: re.compile(rb"[A-Z0-9]{3}[A-Z0-9 \0]")}
_CODECS = ("latin-1", "utf-16", "utf-16-be", "utf-8")


def _read_id3(blob: bytes) -> Tag:
    """Take a tag apart that begins with ``ID3``; what follows it in its chunk stays, too."""
    if len(blob) < 10 or blob[:3] != b"ID3" or blob[3] not in ID3 or max(blob[6:10]) >= 0x80:
        raise Unwritable("its ID3 tag has no header that is known")
    version, flags = blob[3], blob[5]
    end = 10 + _number7(blob[6:10])
    if end > len(blob):
        raise Unwritable("its ID3 tag is cut")
    if flags & (_EXTENDED | _FOOTER | 0x0F):
        raise Unwritable("its ID3 tag has an extended header, a footer, or flags that are unknown")
    body = blob[10:end]
    if flags & _UNSYNC and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    frames = _frames(body, version, syncsafe=version == 4)
    plain = frames is None and version == 4  # as iTunes once wrote
    if plain:
        frames = _frames(body, version, syncsafe=False)
    if frames is None:
        raise Unwritable("its ID3 tag holds what is no frame")
    items = tuple(_id3_item(frame, version, flags) for frame in frames)
    return Tag(ID3[version], items, (blob[3:6], plain, blob[end:]), end - 10)


def _frames(body: bytes, version: int, *, syncsafe: bool) -> list[bytes] | None:
    """All frames of a tag, which nothing but zeros may follow; None if there is anything else."""
    n = 3 if version == 2 else 4  # bytes of a name, and of a size
    header = 6 if version == 2 else 10
    pattern, at, found = _FRAME[min(version, 3)], 0, []
    while at + header <= len(body) and body[at]:
        size = body[at + n : at + 2 * n]
        if not pattern.fullmatch(body[at : at + n]) or (syncsafe and max(size) >= 0x80):
            return None
        stop = at + header + (_number7(size) if syncsafe else int.from_bytes(size, "big"))
        if stop > len(body):
            return None
        found.append(body[at:stop])
        at = stop
    return None if body[at:].strip(b"\0") else found


def _id3_item(frame: bytes, version: int, flags: int) -> Item:
    name = frame[: 3 if version == 2 else 4].decode("latin-1")
    slots = _ID3_KNOWN[version]
    if name not in slots and name not in ("TXXX", "TXX"):
        return Item(frame)
    content = frame[6 if version == 2 else 10 :]
    odd = frame[9] if version > 2 else 0  # packed, encrypted, of a group
    if version == 4:
        if odd & 1:  # its length is stated once more
            content = content[4:]
        if odd & 2 or flags & _UNSYNC:
            content = content.replace(b"\xff\0", b"\xff")
        odd &= ~3
    if odd:
        if name in slots:
            raise Unwritable(f"its ID3 frame {name} is packed, encrypted, or of a group")
        return Item(frame)
    texts = _texts(content)
    if name in slots:
        return Item(frame, name, tuple(texts))
    slot = f"{name}:{texts[0].upper()}" if texts else ""
    return Item(frame, slot, tuple(texts[1:])) if slot in slots else Item(frame)


def _texts(content: bytes) -> list[str]:
    """Values of a frame of text, which zeros part."""
    if not content or content[0] >= len(_CODECS):
        return []
    texts = content[1:].decode(_CODECS[content[0]], "replace").rstrip("\0").split("\0")
    return [text.removeprefix("\ufeff") for text in texts]


def _id3_writer(version: int) -> Callable[[str, Values], bytes]:
    def frame(slot: str, values: Values) -> bytes:
        name, _, description = slot.partition(":")
        texts = (description, *values) if description else values
        content = b"\3" + "\0".join(texts).encode()
        if version < 4:
            try:
                content = b"\0" + "\0".join(texts).encode("latin-1")
            except UnicodeEncodeError:
                content = b"\1" + b"\0\0".join(b"\xff\xfe" + t.encode("utf-16-le") for t in texts)
        n = 3 if version == 2 else 4
        size = _bytes7(len(content)) if version == 4 else len(content).to_bytes(n, "big")
        return name.encode() + size + bytes(0 if version == 2 else 2) + content

    return frame


def _write_id3(tag: Tag) -> bytes:
    """Put it together, in the room that it had if that is enough."""
    start, plain, behind = tag.head
    if plain and any(item.slot and len(item.raw) >= 138 for item in tag.items):
        raise Unwritable("its ID3v2.4 tag states sizes as only ID3v2.3 does")
    body = _all_raw(tag)
    if start[2] & _UNSYNC and start[0] < 4:
        body = re.sub(rb"\xff(?=[\0\xe0-\xff])|\xff\Z", b"\xff\0", body)
    room = tag.room if len(body) <= tag.room else len(body) + _ROOM
    if room >= 1 << 28:
        raise Unwritable("its ID3 tag would be larger than any may be")
    return b"".join((b"ID3", start, _bytes7(room), body.ljust(room, b"\0"), behind))


def _number7(four: bytes) -> int:
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]


def _bytes7(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


ID3 = {
    version: Family(
        f"ID3v2.{version}",
        _ID3_SLOTS[version],
        _read_id3,
        _id3_writer(version),
        _write_id3,
        joined=version < 4,
        head=(bytes([version, 0, 0]), False, b""),
        room=_ROOM,
    )
    for version in (2, 3, 4)
}


# ---- ID3v1 ----


def _read_id3v1(blob: bytes) -> Tag:
    names = _id3_genres()
    number = blob[127]
    genre = Item(blob[127:], "genre", (names[number],) if number < len(names) else ())
    return Tag(ID3V1, (Item(blob[:127]), *([genre] if genre.values else [])))


def _id3v1_genre(slot: str, values: Values) -> bytes:
    """The number of the first genre that has one; 255 if none has."""
    names = [name.casefold() for name in _id3_genres()]
    numbers = (names.index(value.casefold()) for value in values if value.casefold() in names)
    return bytes([next(numbers, 255)])


def _id3_genres() -> list[str]:
    from mutagen.id3 import TCON

    return list(TCON.GENRES)


ID3V1 = Family(
    "ID3v1",
    {"genre": ("genre",)},
    _read_id3v1,
    _id3v1_genre,
    lambda tag: _all_raw(tag).ljust(128, b"\xff"),
)


# ---- APEv2 ----

_APE_HEADER, _APE_IS_HEADER = 1 << 31, 1 << 29


def _read_ape(blob: bytes) -> Tag:
    head = blob[:32] if blob[:8] == b"APETAGEX" else b""
    foot = blob[-32:] if blob[-32:-24] == b"APETAGEX" else b""
    known = foot or head
    content = blob[len(head) : len(blob) - len(foot)]
    items, at = [], 0
    for _ in range(min(int.from_bytes(known[16:20], "little"), len(content))):
        size, flags = (int.from_bytes(content[at + i : at + i + 4], "little") for i in (0, 4))
        middle = content.find(b"\0", at + 8, at + 8 + 256)
        stop = middle + 1 + size
        if middle < 0 or stop > len(content):
            raise Unwritable("its APEv2 tag is damaged")
        key = content[at + 8 : middle].decode("latin-1").lower()
        values = content[middle + 1 : stop].decode("utf-8", "replace").split("\0")
        text = tuple(values) if flags & 6 == 0 else ()
        items.append(Item(content[at:stop], *((key, text) if key in FIELDS else ())))
        at = stop
    if at < len(content) or not known:
        raise Unwritable("its APEv2 tag holds what is no item")
    return Tag(APE, tuple(items), tuple(_anonymous(part) for part in (head, foot)))


def _anonymous(part: bytes) -> bytes:
    """A header or footer without size and number of items."""
    return part[:12] + bytes(8 if part else 0) + part[20:]


def _ape_item(slot: str, values: Values) -> bytes:
    text = "\0".join(values).encode()
    return len(text).to_bytes(4, "little") + bytes(4) + slot.capitalize().encode() + b"\0" + text


def _write_ape(tag: Tag) -> bytes:
    content = _all_raw(tag)
    size = (len(content) + 32).to_bytes(4, "little") + len(tag.items).to_bytes(4, "little")
    head, foot = (part[:12] + (part and size) + part[20:] for part in tag.head)
    return bytes(head + content + foot)


def _ape_end(flags: int) -> bytes:
    return (
        b"APETAGEX"
        + (2000).to_bytes(4, "little")
        + bytes(8)
        + flags.to_bytes(4, "little")
        + bytes(8)
    )


APE = Family(
    "APEv2",
    {field: (field,) for field in FIELDS},
    _read_ape,
    _ape_item,
    _write_ape,
    head=(_ape_end(_APE_HEADER | _APE_IS_HEADER), _ape_end(_APE_HEADER)),
)


# ---- Vorbis comments ----

_VENDOR = b"matt"


def _read_vorbis(blob: bytes) -> Tag:
    """Take comments apart: the vendor's name, their number, each with its length; then the rest."""

    def piece(at: int) -> bytes:
        size = int.from_bytes(blob[at : at + 4], "little")
        if at + 4 + size > len(blob):
            raise Unwritable("its Vorbis comments are damaged")
        return blob[at : at + 4 + size]

    vendor = piece(0)
    at = len(vendor) + 4
    n = int.from_bytes(blob[at - 4 : at], "little")
    if at + 4 * n > len(blob):
        raise Unwritable("its Vorbis comments are damaged")
    items = []
    for _ in range(n):
        raw = piece(at)
        at += len(raw)
        key, _, value = raw[4:].partition(b"=")
        name = key.decode("latin-1").lower()
        ours = (name, (value.decode("utf-8", "replace"),)) if name in FIELDS else ()
        items.append(Item(raw, *ours))
    return Tag(VORBIS, tuple(items), (vendor[4:], blob[at:]))


def _vorbis_item(slot: str, values: Values) -> bytes:
    comments = (f"{slot.upper()}={value}".encode() for value in values)
    return b"".join(len(c).to_bytes(4, "little") + c for c in comments)


def _write_vorbis(tag: Tag) -> bytes:
    vendor, behind = tag.head
    n = sum(len(item.values) if item.slot else 1 for item in tag.items)
    sizes = len(vendor).to_bytes(4, "little"), n.to_bytes(4, "little")
    return bytes(sizes[0] + vendor + sizes[1] + _all_raw(tag) + behind)


VORBIS = Family(
    "Vorbis comments",
    {field: (field,) for field in FIELDS},
    _read_vorbis,
    _vorbis_item,
    _write_vorbis,
    head=(_VENDOR, b""),
)


# ---- INFO of RIFF ----


def info(order: Literal["little", "big"]) -> Family:
    """Texts of the ``INFO`` list of a WAV, of either byte order; its bytes begin with ``INFO``."""

    def read(blob: bytes) -> Tag:
        items, at = [], 4
        while at < len(blob):
            size = int.from_bytes(blob[at + 4 : at + 8], order)
            stop = at + 8 + size
            if stop > len(blob):
                raise Unwritable("its INFO list is damaged")
            value = blob[at + 8 : stop].split(b"\0")[0]
            ours = ("IGNR", (_either(value),)) if blob[at : at + 4].upper() == b"IGNR" else ()
            if size % 2 and blob[stop : stop + 1] == b"\0":
                stop += 1
            items.append(Item(blob[at:stop], *ours))
            at = stop
        return Tag(family, tuple(items))

    def item(slot: str, values: Values) -> bytes:
        text = values[0].encode() + b"\0"
        return slot.encode() + len(text).to_bytes(4, order) + text + bytes(len(text) % 2)

    def write(tag: Tag) -> bytes:
        return b"INFO" + _all_raw(tag)

    family = Family("RIFF INFO", {"genre": ("IGNR",)}, read, item, write, joined=True)
    return family


def _either(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


# ---- ASF ----

_ASF_SLOTS = {
    "genre": ("WM/Genre",),
    "mood": ("WM/Mood",),
    "grouping": ("WM/ContentGroupDescription",),
}
_ASF_NAMES = {slot.lower(): slot for slots in _ASF_SLOTS.values() for slot in slots}


def _read_asf(blob: bytes) -> Tag:
    """Take descriptors apart, behind their number; each is a name, a type and a value."""
    items, at = [], 2

    def piece(at: int) -> bytes:
        size = int.from_bytes(blob[at : at + 2], "little")
        if at + 2 + size > len(blob):
            raise Unwritable("its descriptors are damaged")
        return blob[at + 2 : at + 2 + size]

    for _ in range(int.from_bytes(blob[:2], "little")):
        name = piece(at)
        middle = at + 2 + len(name)
        value = piece(middle + 2)
        stop = middle + 4 + len(value)
        slot = _ASF_NAMES.get(_utf16(name).lower(), "")
        text = (_utf16(value),) if blob[middle : middle + 2] == b"\0\0" else ()
        items.append(Item(blob[at:stop], slot, text if slot else ()))
        at = stop
    if at < len(blob):
        raise Unwritable("its descriptors are damaged")
    return Tag(ASF, tuple(items))


def _utf16(text: bytes) -> str:
    return text.decode("utf-16-le", "replace").rstrip("\0")


def asf_name(text: bytes) -> str:
    """The slot of a name in ASF; empty if it is none."""
    return _ASF_NAMES.get(_utf16(text).lower(), "")


def _asf_item(slot: str, values: Values) -> bytes:
    def text(of: str) -> tuple[bytes, bytes]:
        content = (of + "\0").encode("utf-16-le")
        if len(content) >= 1 << 16:
            raise Unwritable("a value is too long for ASF")
        return len(content).to_bytes(2, "little"), content

    name = b"".join(text(slot))
    return b"".join(name + bytes(2) + b"".join(text(value)) for value in values)


def _write_asf(tag: Tag) -> bytes:
    n = sum(max(len(item.values), 1) for item in tag.items)
    if n >= 1 << 16:
        raise Unwritable("it has too many descriptors")
    return n.to_bytes(2, "little") + _all_raw(tag)


ASF = Family("ASF", _ASF_SLOTS, _read_asf, _asf_item, _write_asf)


# ---- ilst of MP4 ----

_FREE_FORM = "----:com.apple.iTunes:"
_MP4_SLOTS = {
    "genre": ("\xa9gen", "gnre"),
    "mood": (f"{_FREE_FORM}MOOD",),
    "grouping": ("\xa9grp",),
}
_MP4_KNOWN = frozenset(slot for of_field in _MP4_SLOTS.values() for slot in of_field)


def boxes(content: bytes, end: bytes = b"") -> list[tuple[bytes, bytes, bytes]]:
    """Name, header and content of all boxes in a row; nothing may follow them but an ``end``."""
    found, at = [], 0
    while at < len(content) and content[at:] != end:
        size, skip = int.from_bytes(content[at : at + 4], "big"), 8
        if size == 1:
            size, skip = int.from_bytes(content[at + 8 : at + 16], "big"), 16
        if size < skip or at + size > len(content):
            raise Unwritable("its boxes are damaged")
        box = content[at : at + size]
        found.append((box[4:8], box[:skip], box[skip:]))
        at += size
    return found


def box(name: bytes, content: bytes) -> bytes:
    """One box."""
    if len(content) + 8 >= 1 << 32:
        raise Unwritable("a box would be larger than its size can say")
    return (len(content) + 8).to_bytes(4, "big") + name + content


def _read_ilst(blob: bytes) -> Tag:
    return Tag(MP4, tuple(_mp4_item(*found) for found in boxes(blob)))


def _mp4_item(name: bytes, header: bytes, content: bytes) -> Item:
    slot = name.decode("latin-1")
    if slot == "----" or slot in ("\xa9gen", "gnre", "\xa9grp"):
        inner = boxes(content)
        if slot == "----":
            parts = {n: c[4:].decode("utf-8", "replace") for n, _, c in inner if n != b"data"}
            slot = f"----:{parts.get(b'mean', '')}:{parts.get(b'name', '').upper()}"
        if slot in _MP4_KNOWN:
            data = [c for n, _, c in inner if n == b"data" and len(c) >= 8]
            return Item(header + content, slot, tuple(_mp4_text(slot, c) for c in data))
    return Item(header + content)


def _mp4_text(slot: str, data: bytes) -> str:
    if slot == "gnre":  # a number of ID3v1, from 1 on
        names = _id3_genres()
        number = int.from_bytes(data[8:], "big")
        return names[number - 1] if 0 < number <= len(names) else ""
    return data[8:].decode("utf-16-be" if data[3] == 2 else "utf-8", "replace")


def _mp4_box(slot: str, values: Values) -> bytes:
    content = b"".join(box(b"data", bytes([0, 0, 0, 1]) + bytes(4) + v.encode()) for v in values)
    if slot == "gnre":
        return b""  # a number says less than the text that is written
    if slot.startswith(_FREE_FORM):
        mean = box(b"mean", bytes(4) + b"com.apple.iTunes")
        return box(
            b"----", mean + box(b"name", bytes(4) + slot[len(_FREE_FORM) :].encode()) + content
        )
    return box(slot.encode("latin-1"), content)


MP4 = Family("MP4", _MP4_SLOTS, _read_ilst, _mp4_box, _all_raw)
