"""What a music file says about itself: tags of every common format as one small tuple.

A file may carry several (`found_tags`). The richest counts, and each fills what those before it
lack.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import AudioError
from .found_tags import find_tags

_MAX_TEXT = 500  # characters; a tag is a name, and a table of 100,000 tracks has to fit in memory
_MAX_VALUE = 10_000  # characters of one value that may hold many genres
# Control characters, and marks that reorder or hide text on a terminal.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# Field by field, the names under which ID3, MP4, ASF and the free-form formats (Vorbis comments,
# APEv2; letter case does not matter there) keep it. The first that is filled counts; the first one
# is written.
_FAMILIES = ("ID3", "MP4Tags", "ASFTags")
NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "title": (("TIT2",), ("\xa9nam",), ("Title",), ("title",)),
    "artist": (("TPE1",), ("\xa9ART",), ("Author",), ("artist",)),
    "album_artist": (
        ("TPE2", "TXXX:ALBUMARTIST", "TXXX:ALBUM ARTIST"),
        ("aART",),
        ("WM/AlbumArtist",),
        ("albumartist", "album artist", "album_artist"),
    ),
    "album": (("TALB",), ("\xa9alb",), ("WM/AlbumTitle",), ("album",)),
    "genre": (("TCON",), ("\xa9gen",), ("WM/Genre",), ("genre",)),
    "disc": (("TPOS",), ("disk",), ("WM/PartOfSet",), ("discnumber", "disc")),
    "track": (("TRCK",), ("trkn",), ("WM/TrackNumber",), ("tracknumber", "track")),
    "compilation": (
        ("TCMP", "TXXX:COMPILATION"),
        ("cpil",),
        ("WM/IsCompilation",),
        ("compilation",),
    ),
    "composer": (("TCOM",), ("\xa9wrt",), ("WM/Composer",), ("composer",)),
    "year": (
        ("TDRC", "TDRL", "TDOR"),  # mutagen makes one of these of ID3v2.3's TYER and TORY
        ("\xa9day",),
        ("WM/Year", "WM/OriginalReleaseYear"),
        ("date", "year", "date_released", "date_recorded", "originaldate", "originalyear"),
    ),
}
# Genres of ID3: numbers in parentheses, and perhaps a name that refines them; or a number alone.
_NUMBERED = re.compile(r"((?:\((?:[0-9]+|RX|CR)\))+)(.*)", re.DOTALL)
# MusicBrainz: each id under its name in ID3, MP4 and ASF, and without "spaces" in the free forms.
for _field, _name in {
    "artist_ids": "Artist Id",
    "album_artist_ids": "Album Artist Id",
    "release_ids": "Album Id",
    "release_group_ids": "Release Group Id",
}.items():
    _free = f"musicbrainz_{_name.replace(' ', '').lower()}"
    NAMES[_field] = (
        (f"TXXX:MusicBrainz {_name}", f"TXXX:{_free.upper()}"),
        (f"----:com.apple.iTunes:MusicBrainz {_name}", f"----:com.apple.iTunes:{_free.upper()}"),
        (f"MusicBrainz/{_name}",),
        (_free,),
    )
# A day may follow without a sign between, in front stand at most day and month.
_YEAR = re.compile(r"(?<![0-9])[12][0-9]{3}(?=[0-9]{4}(?![0-9])|(?![0-9]))")
_MBID = re.compile(r"(?i)(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])")


class Tags(NamedTuple):
    """Tags of one file; what is missing is ``""``, ``()``, -1 or NaN.

    No dataclass: those of 100,000 files are remembered, and a tuple is made in a tenth of the time.

    Attributes
    ----------
    title, artist, album_artist, album : str
        Several values of one field are joined with ``"; "``.
    genres : tuple of str
        One entry a value, in order. A value is split only where its format or whoever reads it says
        so: ``"Rock/Pop"`` is one genre, as is ``"Rock; Pop"``, because nobody can tell a separator
        from a name. The numbers that ID3 gives to genres are these genres in every format.
    disc, track_number : int
    compilation : bool
        The file's own flag; an album artist such as "Various Artists" is not looked at.
    composer : str
    artist_ids, album_artist_ids, release_ids, release_group_ids : tuple of str
        What MusicBrainz calls them, in lower case.
    year : int
        Of the release; where only that of the first release is told, that one.
    duration : float
        Seconds, as the header claims; nothing is decoded.
    genre_values : tuple of str
        What ``genres`` were made of, for `genres_in` with another separator; not safe to show.
    """

    title: str = ""
    artist: str = ""
    album_artist: str = ""
    album: str = ""
    genres: tuple[str, ...] = ()
    disc: int = -1
    track_number: int = -1
    compilation: bool = False
    duration: float = math.nan
    composer: str = ""
    artist_ids: tuple[str, ...] = ()
    album_artist_ids: tuple[str, ...] = ()
    release_ids: tuple[str, ...] = ()
    release_group_ids: tuple[str, ...] = ()
    year: int = -1
    genre_values: tuple[str, ...] = ()


def read_tags(path: Path | str, *, genre_separator: str = "") -> Tags:
    """Read the tags of a file; the audio is not decoded.

    ID3 (mp3, aac, wav, aiff, tta, dsf), Vorbis comments (flac, ogg, opus), MP4 atoms (m4a), APEv2
    (ape, wv), ASF (wma), INFO (wav), the texts of AIFF and CAF and Matroska's tags are understood,
    and ID3 and APEv2 around any of them. A file with a wrong suffix is read by its content where
    its first bytes tell what it is.

    Parameters
    ----------
    path : path
    genre_separator : str
        What separates genres within one value; empty where nothing does.

    Raises
    ------
    AudioError
        If the file cannot be opened, is empty, or is damaged where the tags are. Hostile files may
        cost no more than that.

    Examples
    --------
    >>> read_tags("nowhere.mp3")
    Traceback (most recent call last):
        ...
    matt.errors.AudioError: nowhere.mp3: cannot be read (No such file or directory); check ...
    """
    name = printable(os.fspath(path))
    try:
        with open(path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise AudioError(f"{name}: the file is empty (0 bytes); copy it again")
            found = find_tags(file)
            return _collect(found.tags, found.duration, genre_separator)
    except AudioError:
        raise
    except OSError as error:
        raise AudioError(
            f"{name}: cannot be read ({error.strerror or error}); "
            "check its permissions and the disk"
        ) from error
    except Exception as error:  # a parser of untrusted bytes may fail in any way at all
        raise AudioError(
            f"{name}: its tags cannot be read ({_reason(error)}); "
            "it is damaged, or no audio file in spite of its suffix"
        ) from error


def printable(text: str) -> str:
    r"""Make text safe to show: no control, reordering or invisible characters, at most 500 long.

    Each run of them becomes one space, and what cannot be written as UTF-8 a question mark, so that
    a title cannot move the cursor, break a table or hide its end.

    Examples
    --------
    >>> printable("Two\x1b[31m lines\n")
    'Two [31m lines'
    """
    return _SURROGATE.sub("?", _UNPRINTABLE.sub(" ", text[:_MAX_TEXT])).strip()


def _collect(tags: Sequence[Any], duration: float, separator: str) -> Tags:
    named = [(_family(tag), _by_name(tag)) for tag in tags]

    def written(field: str) -> Iterator[list[str]]:
        for family, tag in named:
            for key in NAMES[field][family]:
                # A zero parts the values of one field, as ID3 has it, whoever writes it.
                yield [part for one in _values(tag, key) for part in _text(one).split("\0")]

    def texts(field: str) -> list[str]:
        for values in written(field):
            if found := [text for value in values if (text := printable(value))]:
                return list(dict.fromkeys(found))
        return []

    def first(field: str) -> str:
        return next(iter(texts(field)), "")

    def mbids(field: str) -> tuple[str, ...]:
        # Several may stand in one value, with any sign between them.
        found = (one.lower() for text in texts(field) for one in _MBID.findall(text))
        return tuple(one for one in dict.fromkeys(found) if one.strip("0-"))

    of_genre = next(filter(genres_in, written("genre")), [])
    values = tuple(_SURROGATE.sub("?", value[:_MAX_VALUE]) for value in of_genre if value)
    return Tags(
        title=printable("; ".join(texts("title"))),
        artist=printable("; ".join(texts("artist"))),
        album_artist=printable("; ".join(texts("album_artist"))),
        album=printable("; ".join(texts("album"))),
        genres=genres_in(values, separator),
        disc=_number(first("disc")),
        track_number=_number(first("track")),
        compilation=first("compilation").casefold() in ("1", "true", "yes"),
        duration=duration if 0 < duration < math.inf else math.nan,
        composer=printable("; ".join(texts("composer"))),
        artist_ids=mbids("artist_ids"),
        album_artist_ids=mbids("album_artist_ids"),
        release_ids=mbids("release_ids"),
        release_group_ids=mbids("release_group_ids"),
        year=_year(first("year")),
        genre_values=values,
    )


def genres_in(values: Iterable[str], separator: str = "") -> tuple[str, ...]:
    """Genres of the values of a tag, in order; a separator parts those of one value.

    >>> genres_in(["17", "Soul/Funk"]), genres_in(["17", "Soul/Funk"], "/")
    (('Rock', 'Soul/Funk'), ('Rock', 'Soul', 'Funk'))
    """
    names = (printable(name) for value in values for name in _genres(value, separator))
    return tuple(dict.fromkeys(filter(None, names)))


def _genres(value: str, separator: str) -> list[str]:
    r"""Genres of one value; a number that stands for no genre is none.

    >>> _genres("(17)", ""), _genres("17", ""), _genres("(4)(9)Nu Metal", ""), _genres("255", "")
    (['Rock'], ['Rock'], ['Disco', 'Metal', 'Nu Metal'], [])
    >>> _genres("Rock/Pop", ""), _genres("Rock / Pop", "/"), _genres("((Nu) Metal", "")
    (['Rock/Pop'], ['Rock', 'Pop'], ['(Nu) Metal'])
    """
    from mutagen.id3 import TCON

    parts = [part.strip() for part in value.split(separator)] if separator else [value.strip()]
    found = []
    for part in parts:
        numbered = _NUMBERED.fullmatch(part)
        numbers, name = numbered.groups() if numbered else ("", part)
        if re.fullmatch("[0-9]+|RX|CR", name):
            numbers, name = f"{numbers}({name})", ""
        for number in re.findall("[0-9]+|RX|CR", numbers):
            if number.isdigit():
                found += TCON.GENRES[int(number[:6]) :][:1]
            else:
                found.append({"RX": "Remix", "CR": "Cover"}[number])
        found.append(name[1:] if name.startswith("((") else name)
    return [name for name in found if name]


def _family(tags: Any) -> int:
    """Place among the names of a field. ID3 in wav and aiff has classes derived from ID3."""
    names = {kind.__name__ for kind in type(tags).__mro__}
    return next((i for i, family in enumerate(_FAMILIES) if family in names), len(_FAMILIES))


def _by_name(tags: Any) -> Any:
    """Vorbis comments by their names: as they come, each question goes through all of them."""
    if not isinstance(tags, list) or _family(tags) < len(_FAMILIES):  # those of ASF are a list, too
        return tags
    named: dict[str, list[str]] = {}
    for name, value in tags:
        named.setdefault(name.lower(), []).append(value)
    return named


def _values(tags: Any, key: str) -> Iterable[Any]:
    value = tags.get(key)
    if value is None:
        return []
    if hasattr(value, "text") and hasattr(value, "HashKey"):  # an ID3 frame
        return list(value.text)
    if isinstance(value, bool | str | bytes):
        return [value]
    return list(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, tuple):  # MP4: (number, total)
        return str(value[0]) if value and value[0] else ""
    return str(value)


def _number(text: str) -> int:
    """``"3/12"`` is 3; -1 where there is no number."""
    found = re.match(r"[0-9]{1,6}(?![0-9])", text)
    return int(found.group()) if found else -1


def _year(text: str) -> int:
    """Year of a date, however it is written; -1 where there is none.

    >>> [_year(text) for text in ("1999", "2004-11-03", "20041103", "3.11.2004", "0000", "1234567")]
    [1999, 2004, 2004, 2004, -1, -1]
    """
    found = _YEAR.search(text)
    return int(found.group()) if found else -1


def _reason(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)[:120]
