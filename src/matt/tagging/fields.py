"""A file's genre, mood and grouping: what it says, and a copy of it that says something else.

Where a field is written, by what the file is:

============================== ====================================================================
file                           where
============================== ====================================================================
MP3, AAC (ADTS), True Audio    ID3v2, in the version that it has (2.2 becomes 2.3; new ones are
                               2.4): ``TCON``, ``TMOO`` or in 2.3 ``TXXX:MOOD``, ``TIT1``; APEv2
                               where that is the only tag
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

Several values stay several, but in ID3v2.3 and INFO, which know one text a field. Any other tag of
the file that says something in the field says the same afterwards. All else is refused: a refusal
costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ..audio import chunks
from ..audio.containers import identify
from ..audio.structure import FileBytes, leading_tags, trailing_tags
from ..errors import DataError, MattError
from .families import FIELDS, Ape, Id3, Id3v1, InBytes, Info, Tag, Values, Woven

_LIKE_MP3, _LIKE_WAVPACK = ("MP3", "ADTS"), ("WavPack", "Monkey's Audio", "Musepack")
_BOTH = ("True Audio",)
_MOST_TAG = 1 << 28  # bytes of one tag; ID3v2 cannot be larger
_PIECE = 1 << 20  # bytes copied at once
_OTHERWISE = "leave it out, or write its genres beside it with --sidecar"


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
        return [tag for tag in self.tags if tag is self.own or tag.values(name)]


def family_of(path: Path | str) -> str:
    """Which tags the fields of a file are written into.

    Returns
    -------
    str
        ``"ID3v2.3"``, ``"ID3v2.4"``, ``"APEv2"``, ``"Vorbis comments"``, ``"MP4"``, ``"RIFF"`` or
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
    return next((values for tag in found.tags if (values := tag.values(name))), ())


@dataclass(frozen=True)
class AllTags:
    """What a file says.

    Attributes
    ----------
    fields : dict of str to tuple of str
        Of each of `FIELDS`, what each of its tags says that says anything, by the tag's family.
    rest : object
        Everything else, comparable.
    """

    fields: Mapping[str, Mapping[str, Values]]
    rest: Any


def everything(path: Path | str) -> AllTags:
    """Read all that the tags of a file say.

    Raises
    ------
    DataError
        As `family_of`.
    """
    with _opened(path) as found:
        fields = {
            name: {tag.family: values for tag in found.tags if (values := tag.values(name))}
            for name in FIELDS
        }
        rest = [(tag.family.split(".")[0], tag.rest()) for tag in found.tags]
        return AllTags(fields, [(family, told) for family, told in rest if told])


def write_copy(
    source: Path | str, target: Path | str, new: Mapping[str, Values], *, separator: str = "/"
) -> dict[str, dict[str, Values]]:
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
        Between the values of a field in ID3v2.3.

    Returns
    -------
    dict of str to dict of str to tuple of str
        What the copy has to say in these fields, by the family of the tag.

    Raises
    ------
    DataError
        As `family_of`, or if a field has no room in the file.
    """
    with _opened(source) as found, _refusing(source):
        changed, stored = set(), {}
        for name, values in new.items():
            tags = found.wanted(name)
            for tag in tags:
                tag.put(name, values, separator)
                changed.add(id(tag))
            told = {tag.family: tag.stored(values, separator) for tag in tags}
            stored[name] = {family: values for family, values in told.items() if values}
        with open(source, "rb") as file, open(target, "wb") as copy:
            _assemble(found, file, copy, changed)
    if isinstance(found.own, Woven):
        with _opened(target) as copied, _refusing(source):
            own = copied.own
            for name, values in new.items():
                own.put(name, values, separator)
            own.save()  # type: ignore[attr-defined]
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
def _opened(path: Path | str) -> Iterator[_File]:
    """Give the tags of a file."""
    with _refusing(path):
        if not os.path.isfile(path):
            raise DataError("it is no regular file")
        with open(path, "rb") as stream:
            found = _find(FileBytes(stream), path)
    yield found


@contextmanager
def _refusing(path: Path | str) -> Iterator[None]:
    """Say of which file it is that something cannot be done, whatever a parser raises."""
    try:
        yield
    except (OSError, MemoryError) as error:
        if isinstance(error, MattError) or getattr(error, "errno", None) is not None:
            raise
        raise DataError(f"{path} cannot be written: {error}; {_OTHERWISE}") from error
    except Exception as error:  # of a parser of untrusted bytes
        told = str(error) or type(error).__name__
        if told.startswith(str(path)):
            raise
        raise DataError(f"{path} cannot be written: {told}; {_OTHERWISE}") from error


def _find(file: FileBytes, path: Path | str) -> _File:
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
    elif read := _weaver(kind, file.at(start, 48)):
        if before and kind != "FLAC":
            raise DataError(f"it has a foreign tag in front of its {kind}")
        own = read(os.fspath(path))
    elif kind in (*_LIKE_MP3, *_LIKE_WAVPACK, *_BOTH):
        own = _own_around(kind, before_parts, behind_parts, start, stop)
    if own is None:
        raise DataError(f"nothing is written into {kind or 'what is no known format'}")
    parts = [*before_parts, *core, *behind_parts]
    others = [part.tag for part in parts if part.tag is not None and part.tag is not own]
    return _File(own, [own, *others], parts, order, start)


def _around(file: FileBytes, span: tuple[int, int]) -> InBytes | None:
    """Read a tag before or behind the audio; None of what holds no field, such as Lyrics3."""
    if span[1] - span[0] > _MOST_TAG:
        raise DataError(f"it has a tag of {span[1] - span[0]:,} bytes")
    content = b"".join(file.span(*span))
    if content[:3] == b"ID3":
        return Id3(content)
    if content[:8] == b"APETAGEX" or content[-32:-24] == b"APETAGEX":
        return Ape(content)
    return Id3v1(content) if content[:3] == b"TAG" and len(content) == 128 else None


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


def _weaver(kind: str, head: bytes) -> Callable[[str], Woven] | None:
    """What reads tags that are woven into a file."""
    from mutagen import asf, flac, mp4, oggflac, oggopus, oggspeex, oggvorbis

    ogg: dict[bytes, Any] = {
        b"OpusHead": oggopus.OggOpus,
        b"\x01vorbis": oggvorbis.OggVorbis,
        b"Speex   ": oggspeex.OggSpeex,
        b"\x7fFLAC": oggflac.OggFLAC,
    }
    family, read = {
        "FLAC": ("Vorbis comments", flac.FLAC),
        "MP4": ("MP4", mp4.MP4),
        "ASF": ("ASF", asf.ASF),
        "Ogg": (
            "Vorbis comments",
            next((ogg[name] for name in ogg if head[28:].startswith(name)), None),
        ),
    }.get(kind, ("", None))
    return None if read is None else lambda path: Woven(family, read(path))


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
            if chunk.size > _MOST_TAG:
                raise DataError(f"it has a tag of {chunk.size:,} bytes")
            content = b"".join(file.span(chunk.start, end))
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
