"""What a file says in the fields that matt writes, and how they are written.

All tags of a file that hold a field are changed together, and the one that counts most gets it in
any case. What each format has, and gets where it has none:

=================== ============================ =====================================
format              tags                         a file without any gets
=================== ============================ =====================================
MP3, AAC (ADTS),    ID3v2.2, 2.3, 2.4; APEv2;    ID3v2.4; beside ID3v1 alone, with
True Audio          the genre of ID3v1           its texts
FLAC                Vorbis comments              Vorbis comments
Ogg Vorbis, Opus,   Vorbis comments of the       (they always have them)
Speex, FLAC in Ogg  first stream
MP4, M4A            ``ilst``                     ``ilst``
WAV                 ID3 chunk; INFO (genre)      ID3v2.4 chunk
AIFF                ID3 chunk                    ID3v2.4 chunk
WavPack, Monkey's   APEv2; ID3v2                 APEv2
Audio, Musepack
WMA (ASF)           extended content description extended content description
DSF                 ID3                          ID3v2.4
=================== ============================ =====================================

======== ============= =================== ======== =============== ================= ====
field    ID3v2.4       ID3v2.3 (2.2)       Vorbis,  MP4             ASF               INFO
                                           APEv2
======== ============= =================== ======== =============== ================= ====
genre    TCON          TCON (TCO)          GENRE    ©gen            WM/Genre          IGNR
mood     TMOO          TXXX:MOOD (TXX)     MOOD     ----:com.apple. WM/Mood           none
                                                    iTunes:MOOD
grouping TIT1, GRP1    TIT1, GRP1 (TT1,    GROUPING ©grp            WM/ContentGroup-
                       GP1)                                         Description
======== ============= =================== ======== =============== ================= ====

Several values are values of their own, but one text with a separator in ID3v2.2, ID3v2.3 and INFO.
Versions stay. A number, as in MP4's ``gnre``, becomes a text when it is changed.

Refused, because nobody could tell what would be lost: AU, CAF, RF64, Wave64, Matroska, AC-3, DTS;
tags of ID3 with an extended header or a footer; MP4 in fragments without room; files that are
damaged where their tags are, or where sizes would have to change. A sidecar holds what such a file
cannot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..audio.structure import FileBytes, Hopeless
from ..errors import AudioError, DataError
from .families import FIELDS, ID3V1, Item, Tag, Unwritable, Values
from .places import Found, Place, find_places, splice

_MOST_CHARACTERS = 10_000  # of all values of a field
_V1_TEXTS = {  # where the texts of ID3v1 lie, and what they are called in ID3v2.4 and APEv2
    "TIT2": (3, 33, "title"),
    "TPE1": (33, 63, "artist"),
    "TALB": (63, 93, "album"),
    "TDRC": (93, 97, "year"),
}


def kind_of(path: Path | str) -> str:
    """Which family of tags is written into a file, e.g. ``"ID3v2.3"``.

    Raises
    ------
    DataError
        If it cannot be written; says why, and what to do instead.
    AudioError
        If it cannot be read.
    """
    with _found(path) as (_, found):
        return _usual(found, "genre").tag.family.name


def read_fields(path: Path | str) -> dict[str, Values]:
    """What a file says in each of `FIELDS`, as its tags have it; ``()`` where nothing.

    Raises
    ------
    DataError, AudioError
        As of `kind_of`.
    """
    with _found(path) as (_, found):
        said = {field: [place.tag.values(field) for place in found.places] for field in FIELDS}
    return {field: next(filter(None, values), ()) for field, values in said.items()}


def stored(
    path: Path | str, new: Mapping[str, Values], *, separator: str = "/"
) -> dict[str, Values]:
    """What `read_fields` has to give after `set_fields`, of the fields that were set."""
    with _found(path) as (_, found):
        return {
            field: (separator.join(values),)
            if values and _usual(found, field).tag.family.joined
            else tuple(values)
            for field, values in new.items()
        }


def set_fields(path: Path | str, new: Mapping[str, Values], *, separator: str = "/") -> None:
    """Write fields into a file, in place; ``()`` removes one.

    Nothing is safe here: whoever has only one copy of a file has to make another one first.

    Parameters
    ----------
    path : path
    new : mapping of str to tuple of str
        By names of `FIELDS`.
    separator : str
        Between several values where the format holds one text only.

    Raises
    ------
    DataError
        If a value cannot be written, or the file not without loss. It is as it was then.
    AudioError
        If the file cannot be read or written.
    """
    for field, values in new.items():
        _check(field, values)
    with _found(path, "r+b") as (file, found):
        edits = []
        tags = {id(place): place.tag for place in found.places}
        for field, values in new.items():
            usual = _usual(found, field)
            for place in found.places:
                tag = tags[id(place)]
                if tag.holds(field) or (place is usual and values):
                    tags[id(place)] = tag.changed(field, tuple(values), separator)
        for place in found.places:
            tag = tags[id(place)]
            if tag != place.tag:
                if not place.there and (copies := _of_id3v1(found, tag)):
                    tag = Tag(tag.family, (*copies, *tag.items), tag.head, tag.room)
                edits.append((place.start, place.stop, place.wrap(tag.blob())))
        if edits:
            splice(file, found.finish(edits))


def rest_of(path: Path | str) -> Any:
    """All that the tags of a file say besides the fields, to compare before and after with ``==``.

    Raises
    ------
    DataError, AudioError
        As of `kind_of`.
    """
    with _found(path) as (_, found):
        said = []
        for place in found.places:
            copies = _of_id3v1(found, place.tag)
            others = tuple(item for item in place.tag.items if not item.slot)
            if not (copies and others == copies):
                said.append(place.tag.rest)
        return tuple(filter(None, said)), found.rest


def _usual(found: Found, field: str) -> Place:
    """The first tag that has a place for a field, of those that are there if one has; not ID3v1."""
    able = (p for p in found.places if field in p.tag.family.slots and p.tag.family is not ID3V1)
    place = next(able, None)
    if place is None:
        raise Unwritable(f"its tags have no place for the {field}")
    return place


def _of_id3v1(found: Found, tag: Tag) -> tuple[Item, ...]:
    """What ID3v1 says, as items of another tag, which players would otherwise read instead."""
    v1 = next((p.tag.items[0].raw for p in found.places if p.tag.family is ID3V1), b"")
    named = tag.family.name in ("ID3v2.4", "APEv2")
    items = []
    for name, (start, stop, other) in _V1_TEXTS.items() if named else ():
        text = v1[start:stop].split(b"\0")[0].decode("latin-1").rstrip()
        if text:
            slot = name if tag.family.name == "ID3v2.4" else other
            items.append(Item(tag.family.item(slot, (text,))))
    return tuple(items)


def _check(field: str, values: Values) -> None:
    if field not in FIELDS:
        raise DataError(f"field {field!r} cannot be written; known: {', '.join(FIELDS)}")
    for value in values:
        try:
            sound = bool(value.strip()) and "\0" not in value and value.encode() is not None
        except UnicodeEncodeError:
            sound = False
        if not sound:
            raise DataError(
                f"{field} {value!r} cannot be written: give a text, without zeros in it"
            )
    if sum(map(len, values)) > _MOST_CHARACTERS:
        raise DataError(f"{field} has more than {_MOST_CHARACTERS:,} characters; give less")


@contextmanager
def _found(path: Path | str, mode: str = "rb") -> Iterator[tuple[Any, Found]]:
    try:
        with open(path, mode) as file:
            held = FileBytes(cast(BinaryIO, file))
            if not held.size:
                raise AudioError(f"{path} is empty (0 bytes); restore it or leave it out")
            yield file, find_places(held)
    except (Unwritable, Hopeless) as error:
        raise DataError(
            f"{os.fspath(path)}: {error}; it is left as it is, write its genre beside it "
            "with --sidecar"
        ) from error
    except AudioError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise AudioError(
            f"{path} cannot be read or written: {reason}; check its mode and the disk"
        ) from error
