"""A file's genre, mood and grouping: what it says, and a copy of it that says something else.

Where a field is written, by what the file is:

============================== ====================================================================
file                           where
============================== ====================================================================
MP3, AAC (ADTS), True Audio    ID3v2, in the version that it has (new ones are 2.4): ``TCON``,
                               ``TMOO`` or before 2.4 ``TXXX:MOOD``, ``TIT1`` or, where there is
                               one, ``GRP1``; APEv2 where that is the only tag
WavPack, Monkey's Audio,       APEv2: ``Genre``, ``Mood``, ``Grouping``
Musepack
FLAC, Ogg Vorbis, Opus, Speex, comments ``GENRE``, ``MOOD``, ``GROUPING``
FLAC in Ogg
MP4 (m4a)                      ``©gen``, ``----:com.apple.iTunes:MOOD``, ``©grp``
WAV                            an ID3 chunk, and ``IGNR`` of an INFO list; only that where it is the
                               only tag
AIFF                           an ID3 chunk
ASF (WMA)                      ``WM/Genre``, ``WM/Mood``, ``WM/ContentGroupDescription``
============================== ====================================================================

Several values stay several, but in INFO and in ID3v2 before 2.4, which know one text a field. Any
other tag of the file that says something in the field says the same afterwards; so what a file says
is what all of them say. All else of a tag stays, byte for byte, or the file is refused: a refusal
costs nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Literal

from ..audio import chunks
from ..audio.containers import identify
from ..audio.structure import FileBytes, leading_tags, trailing_tags
from ..errors import DataError, MattError
from .asf import Asf
from .comments import Flac, Ogg, flac_stop
from .families import FIELDS, Ape, Id3v1, InBytes, Info, Tag, Values, Woven, said_in
from .id3 import Id3
from .mp4 import Mp4

_LIKE_MP3, _LIKE_WAVPACK = ("MP3", "ADTS"), ("WavPack", "Monkey's Audio", "Musepack")
_BOTH = ("True Audio",)
_WOVEN = (Ogg, Mp4)
_MOST_TAG = 1 << 28  # bytes of one tag; ID3v2 cannot be larger
_PIECE = 1 << 20  # bytes copied at once
BESIDE = "leave it out, or write its genres beside it with --sidecar"


@dataclass
class _Part:
    """Some bytes of a file: as they are, or a tag."""

    start: int
    stop: int
    tag: InBytes | None = None
    chunk: bytes = b""  # name of the chunk whose content the tag is


@dataclass
class _File:
    """Tags of a file, and its bytes in the order in which they lie.

    Attributes
    ----------
    own : Tag
        What its format has for tags.
    tags : list of Tag
        All, its own first.
    parts : list of _Part
    order : {"little", "big"} or None
        Of the sizes of its chunks, where it consists of chunks.
    """

    own: Tag
    tags: list[Tag]
    parts: list[_Part] = field(default_factory=list)
    order: Literal["little", "big"] | None = None
    start: int = 0  # of its first chunk's header, where it consists of chunks

    def wanted(self, name: str) -> list[Tag]:
        """Those that are to say something in a field."""
        return [tag for tag in self.tags if tag.values(name) or tag is self.own]


def family_of(path: Path | str) -> str:
    """Which tags the fields of a file are written into.

    Returns
    -------
    str
        ``"ID3v2.2"`` to ``"ID3v2.4"``, ``"APEv2"``, ``"Vorbis comments"``, ``"MP4"``, ``"RIFF"`` or
        ``"ASF"``.

    Raises
    ------
    DataError
        If it cannot be written, with what can be done instead.
    """
    with _opened(path) as found:
        return found.own.family


def read_fields(path: Path | str) -> dict[str, Values]:
    """Read what a file says in each of `FIELDS`; nothing is an empty tuple.

    Raises
    ------
    DataError
        As `family_of`.
    """
    with _opened(path) as found:
        return {name: _said(found, name) for name in FIELDS}


def _said(found: _File, name: str) -> Values:
    """What all tags say, each genre once: no tag has one that this does not name.

    What one tag joins in one text counts where no other says each part of it.
    """
    each = [tag.values(name) for tag in found.tags]
    joined = set()
    for values in each:
        others = {one.casefold() for other in each if other is not values for one in other}
        parts = {value: said_in(value) - {value.strip().casefold()} for value in values}
        joined |= {value for value in values if parts[value] and parts[value] <= others}
    found_so_far: list[str] = []
    for values in each:
        known = {part for value in found_so_far for part in said_in(value)}
        new = [value for value in values if value not in joined and value.casefold() not in known]
        found_so_far += dict.fromkeys(new)
    return tuple(found_so_far)


@dataclass(frozen=True)
class AllTags:
    """What a file says.

    Attributes
    ----------
    fields : dict of str to list of (str, tuple of str)
        Of each of `FIELDS`, what each of its tags says that says anything, with the tag's family.
    rest : Counter of (str, str, str)
        Family, name and SHA-256 of all else that its tags hold, byte for byte.
    """

    fields: Mapping[str, list[tuple[str, Values]]]
    rest: Counter[tuple[str, str, str]]

    def lost(self, copy: AllTags) -> str:
        """What a copy has not, or has besides; empty where it has all the same."""
        apart = [*(self.rest - copy.rest), *(copy.rest - self.rest)]
        return " ".join(apart[0][:2]) if apart else ""


def everything(path: Path | str, but: Collection[str] = FIELDS) -> AllTags:
    """Read all that the tags of a file hold.

    Parameters
    ----------
    path : Path or str
    but : collection of str
        Fields that are no part of what is compared.

    Raises
    ------
    DataError
        As `family_of`.
    """
    with _opened(path) as found:
        fields = {
            name: [(tag.family, values) for tag in found.tags if (values := tag.values(name))]
            for name in FIELDS
        }
        pieces = ((tag.family, *piece) for tag in found.tags for piece in tag.rest(but))
        rest = Counter((family, name, sha256(held).hexdigest()) for family, name, held in pieces)
        return AllTags(fields, rest)


def write_copy(
    source: Path | str, target: Path | str, new: Mapping[str, Values], *, separator: str = "/"
) -> dict[str, list[tuple[str, Values]]]:
    """Write a copy of a file with other values in some fields.

    Parameters
    ----------
    source : path
        Only read.
    target : path
        Replaced.
    new : mapping of str to tuple of str
        Values of some of `FIELDS`; an empty tuple removes the field.
    separator : str
        Between the values of a field in ID3v2 before 2.4.

    Returns
    -------
    dict of str to list of (str, tuple of str)
        What the copy has to say in these fields, with the family of the tag.

    Raises
    ------
    DataError
        As `family_of`, or if a field has no room in the file.
    """
    with _opened(source) as found:
        changed, stored = set(), {}
        for name, values in new.items():
            tags = found.wanted(name)
            for tag in tags:
                tag.put(name, values, separator)
                changed.add(id(tag))
            told = [(tag.family, tag.stored(values, separator)) for tag in tags]
            stored[name] = [(family, values) for family, values in told if values]
        with open(source, "rb") as file, open(target, "wb") as copy:
            _assemble(found, file, copy, changed)
    if isinstance(found.own, _WOVEN):
        with _opened(target, source) as copied:
            own: Woven = copied.own  # type: ignore[assignment]
            for name, values in new.items():
                own.put(name, values, separator)
            own.save()
    return stored


def _assemble(found: _File, file: BinaryIO, copy: BinaryIO, changed: set[int]) -> None:
    """Write the parts of a file, those that have changed anew."""
    for part in found.parts:
        if part.tag is None or id(part.tag) not in changed:
            _copy(file, copy, part.start, part.stop)
            continue
        content = part.tag.content()
        if part.chunk and found.order:
            copy.write(part.chunk + len(content).to_bytes(4, found.order))
            content += bytes(len(content) % 2)
        copy.write(content)
    if found.order:
        size = copy.tell() - found.start - 8
        if size >= 1 << 32:
            raise DataError("its chunks would be larger than 4 GiB")
        copy.seek(found.start + 4)
        copy.write(size.to_bytes(4, found.order))


def _copy(file: BinaryIO, copy: BinaryIO, start: int, stop: int) -> None:
    file.seek(start)
    while start < stop:
        piece = file.read(min(_PIECE, stop - start))
        if not piece:
            raise DataError("it became shorter while it was read")
        copy.write(piece)
        start += len(piece)


# ---- reading ----


@contextmanager
def _opened(path: Path | str, named: Path | str | None = None) -> Iterator[_File]:
    """Give the tags of a file, which an error names, or another in its place."""
    with _refusing(named or path):
        if not os.path.isfile(path):
            raise DataError("it is no regular file")
        with open(path, "rb") as stream:
            found = _find(FileBytes(stream), Path(path))
        yield found


@contextmanager
def _refusing(path: Path | str) -> Iterator[None]:
    """Say of which file it is that something cannot be done, whatever a parser raises."""
    try:
        yield
    except (OSError, MemoryError) as error:
        if isinstance(error, MattError) or getattr(error, "errno", None) is not None:
            raise
        raise DataError(f"{path} cannot be written: {error}; {BESIDE}") from error
    except Exception as error:  # of a parser of untrusted bytes
        told = str(error) or type(error).__name__
        if told.startswith(str(path)):
            raise
        raise DataError(f"{path} cannot be written: {told}; {BESIDE}") from error


def _find(file: FileBytes, path: Path) -> _File:
    before = list(leading_tags(file))
    start = before[-1][1] if before else 0
    behind = list(trailing_tags(file, start))[::-1]
    stop = behind[0][0] if behind else file.size
    kind = identify(file, start, stop)
    if kind == "chunks":
        kind = chunks.identify(file.at(start, 16))
    before_parts = [_Part(*span, _around(file, span)) for span in before]
    behind_parts = [_Part(*span, _around(file, span)) for span in behind]
    core = [_Part(start, stop)]
    own: Tag | None = None
    order: Literal["little", "big"] | None = None
    if kind in ("RIFF", "RIFX", "FORM"):
        order = "little" if kind == "RIFF" else "big"
        core = _chunk_parts(file, kind, start, stop, order)
        if before or behind:
            raise DataError("it has a foreign tag at one of its ends")
        inside = [part.tag for part in core if part.tag is not None]
        own = next((tag for tag in inside if isinstance(tag, Id3)), inside[0])
    elif kind == "FLAC":
        frames = flac_stop(file, start + 4, stop)
        own = Flac(_content(file, (start + 4, frames)))
        core = [_Part(start, start + 4), _Part(start + 4, frames, own), _Part(frames, stop)]
    elif kind == "ASF":
        header = start + int.from_bytes(file.at(start + 16, 8), "little")
        if before or header > stop:
            raise DataError("it has a foreign tag in front of its header, or no whole one")
        own = Asf(_content(file, (start, header)))
        core = [_Part(start, header, own), _Part(header, stop)]
    elif kind in ("Ogg", "MP4"):
        if before:
            raise DataError(f"it has a foreign tag in front of its {kind}")
        own = _woven(kind, file, path)
    elif kind in (*_LIKE_MP3, *_LIKE_WAVPACK, *_BOTH):
        own = _own_around(kind, before_parts, behind_parts, start, stop)
    if own is None:
        raise DataError(f"nothing is written into {kind or 'what is no known format'}")
    parts = [*before_parts, *core, *behind_parts]
    others = [part.tag for part in parts if part.tag is not None and part.tag is not own]
    return _File(own, [own, *others], parts, order, start)


def _content(file: FileBytes, span: tuple[int, int]) -> bytes:
    if span[1] - span[0] > _MOST_TAG:
        raise DataError(f"it has a tag of {span[1] - span[0]:,} bytes")
    return b"".join(file.span(*span))


def _around(file: FileBytes, span: tuple[int, int]) -> InBytes | None:
    """Read a tag before or behind the audio; None of lyrics, which hold no field."""
    content = _content(file, span)
    if content[:3] == b"ID3":
        return Id3(content)
    if content[:8] == b"APETAGEX" or content[-32:-24] == b"APETAGEX":
        return Ape(content)
    if content[:3] == b"TAG" and len(content) == 128:
        return Id3v1(content)
    if content.startswith(b"LYRICSBEGIN"):
        return None
    raise DataError("it has a tag at one of its ends that is not known, such as a long ID3v1")


def _own_around(
    kind: str, before: list[_Part], behind: list[_Part], start: int, stop: int
) -> InBytes:
    """Choose the tag of a file whose tags lie around its audio, or begin one."""
    here = [part.tag for part in (*before, *behind) if part.tag is not None]
    id3 = next((tag for tag in here if isinstance(tag, Id3)), None)
    ape = next((tag for tag in here if isinstance(tag, Ape)), None)
    first, second = (ape, id3) if kind in _LIKE_WAVPACK else (id3, ape)
    if kind in _LIKE_WAVPACK and ape is None:
        new = Ape(b"")
        # Before an ID3v1, which is found by the end of the file.
        behind.insert(0, _Part(stop, stop, new))
        return new
    if found := first or second:
        return found
    alone = next((tag.content() for tag in here if isinstance(tag, Id3v1)), b"")
    started = Id3(b"", alone)
    before.append(_Part(start, start, started))
    return started


def _woven(kind: str, file: FileBytes, path: Path) -> Woven:
    """Read tags that are woven into a file."""
    if kind == "Ogg":
        return Ogg(path, file.at(27 + file.at(26, 1)[0], 8))
    return Mp4(path, file)


def _chunk_parts(
    file: FileBytes, kind: str, start: int, stop: int, order: Literal["little", "big"]
) -> list[_Part]:
    """Take a WAV or AIFF apart; its own tag comes of it, new if there is none."""
    if file.at(start, 4) in (b"RF64", b"BW64"):
        raise DataError("nothing is written into a WAV of 64 bits (RF64)")
    parts, at = [], start
    for chunk in chunks.chunks(file, kind, start, stop):
        end = chunk.stop(stop)
        if chunk.size is None or chunk.unfinished or end - chunk.start != chunk.size:
            raise DataError("one of its chunks goes beyond its end")
        name, content = chunk.name, b""
        is_id3 = name.upper() == b"ID3 "
        if is_id3 or (name == b"LIST" and file.at(chunk.start, 4) == b"INFO"):
            content = _content(file, (chunk.start, end))
            parts.append(_Part(at, chunk.start - 8))
            after = min(end + chunk.size % 2, stop)
            tag: InBytes = Id3(content) if is_id3 else Info(content, order)
            parts.append(_Part(chunk.start - 8, after, tag, name))
            at = after
    stated = start + 8 + int.from_bytes(file.at(start + 4, 4), order)
    if stated not in (stop, stop + 1, stop - 1):
        raise DataError("it is not as long as it says")
    parts.append(_Part(at, stop))
    tagged = [part for part in parts if part.tag is not None]
    if not tagged:
        if (stop - start) % 2:
            raise DataError("its last chunk ends at an odd byte")
        new = Id3(b"")
        parts.append(_Part(stop, stop, new, b"id3 " if kind != "FORM" else b"ID3 "))
    return sorted(parts, key=lambda part: part.start) if tagged else parts
