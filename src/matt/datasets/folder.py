"""Own music: a folder of tagged files becomes `Tracks`. Tags are read, nothing is decoded.

How tags become ids
-------------------
Names are compared after `normalise`: letter case, spaces and Unicode forms do not matter.

- **Track**: hash of the path relative to the library's root, so the library may move as a whole.
- **Artist**: the album artist, or where there is none the artist. In a compilation the track's own
  artist, so grouping by (album, artist) gives a compilation one bag per artist and needs no special
  case.
- **Album**: hash of (album artist or artist, album). Albums of one name by two artists are two; the
  discs of a set that share the album tag are one. A compilation is (album artist unless it means
  "various", album), wherever its files lie: two samplers of one name by nobody in particular count
  as one album, which joins two tracks only if they have the same artist.
- **Compilation**: the file says so, or the artist of the album is one of `VARIOUS`.
- Without artist or album, or with a ripper's stand-in for one (`PLACEHOLDERS`), the id is -1 and
  the track is a bag of one.

The label of a track is its first genre; all of them are in the column ``genre_tags``. Spellings
that differ only in letter case or spaces are one genre, shown as it is spelled most often.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..audio import EXTRA_SUFFIXES, SUFFIXES
from ..errors import AudioError, DataError
from ..tracks import Tracks, stable_id
from .tags import Tags, printable, read_tags
from .walk import Problem, find_audio

__all__ = ["PLACEHOLDERS", "VARIOUS", "Problem", "Scan", "Tags", "normalise", "read_tags", "scan"]

VARIOUS = frozenset(
    {
        "various",
        "various artists",
        "various artist",
        "va",
        "v.a.",
        "v/a",
        "v. a.",
        "verschiedene",
        "verschiedene interpreten",
        "diverse",
        "diverse interpreten",
        "artistes divers",
        "varios artistas",
        "varios",
        "artisti vari",
        "vários artistas",
        "разные исполнители",
        "ヴァリアス・アーティスト",
    }
)
"""Album artists that mean "several", normalised."""

PLACEHOLDERS = frozenset(
    {"unknown artist", "unknown album", "<unknown>", "[unknown]", "unknown genre"}
)
"""What rippers write when they do not know, normalised; read as missing."""

_NO_GENRE = PLACEHOLDERS | {"unknown"}  # the latter also for a number that ID3 does not define
# Also what needs an extra to decode: better told so by the extraction than silently not there.
_SUFFIXES = SUFFIXES | EXTRA_SUFFIXES
_READERS = 8  # threads: on a network drive the time goes into waiting


@dataclass(frozen=True, eq=False)
class Scan:
    """What a folder of music holds.

    Attributes
    ----------
    tracks : Tracks
        One row a file, sorted by path; `path` is absolute. Columns: ``title``, ``artist``,
        ``album_artist``, ``album``, ``genre_tags`` (joined with ``"; "``), ``disc`` and
        ``track_number`` (-1 missing), ``compilation``, ``duration`` (seconds by the header, NaN
        unknown), ``size`` (bytes), ``mtime_ns``.
    problems : tuple of Problem
        Sorted by path. A file whose tags are damaged is kept, as its audio may be sound; an empty
        or unreadable one is left out.
    counts : mapping of str to int
        For a table: what was seen, skipped and found.
    """

    tracks: Tracks
    problems: tuple[Problem, ...]
    counts: Mapping[str, int]

    @property
    def untagged(self) -> NDArray[np.bool_]:
        """Tracks whose artist or album is unknown, each a bag of one, shape (n,)."""
        return _untagged(self.tracks)


def scan(root: Path | str, *, progress: Callable[[int, int], None] | None = None) -> Scan:
    """Find the music under a folder and read its tags.

    Files are found in a fixed order, each real file once; hidden files and folders and ``@eaDir``
    are skipped (`matt.datasets.walk`). No file stops the scan.

    Parameters
    ----------
    root : path
        The library.
    progress : callable, optional
        Called with (files read, files to read) after each file.

    Raises
    ------
    DataError
        If the folder does not exist, is a file, or holds no audio that can be opened.
    """
    found = find_audio(root, _SUFFIXES)
    base = os.path.abspath(root)
    files = [os.path.join(base, *path.split("/")) for path in found.paths]
    problems = list(found.problems)
    kept: list[str] = []
    read: list[_Read] = []
    with closing(_read_all(files)) as outcomes:
        for done, (path, outcome) in enumerate(zip(found.paths, outcomes), start=1):
            if isinstance(outcome, str):
                problems.append(Problem(printable(path), outcome))
            else:
                kept.append(path)
                read.append(outcome)
                if outcome.problem:
                    problems.append(Problem(printable(path), outcome.problem, kept=True))
            if progress is not None:
                progress(done, len(files))
    if not kept:
        raise DataError(_nothing(root, found.counts, problems))
    tracks = _tracks(base, kept, read)
    counts = {
        **found.counts,
        "problems": len(problems),
        "tracks": len(tracks),
        "without artist or album": int(_untagged(tracks).sum()),
        "without genre": int((~tracks.labelled).sum()),
        "in compilations": int(tracks.columns["compilation"].sum()),
    }
    return Scan(tracks, tuple(sorted(problems, key=lambda problem: problem.path)), counts)


def normalise(text: str) -> str:
    r"""Form of a name in which equal means the same: case, spaces and Unicode forms are gone.

    Examples
    --------
    >>> normalise("  SIGUR   R\u00d3S ") == normalise("Sigur Ro\u0301s")
    True
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


@dataclass(frozen=True)
class _Read:
    tags: Tags
    size: int
    mtime_ns: int
    problem: str = ""


def _read_all(files: Sequence[str]) -> Generator[_Read | str]:
    pool = ThreadPoolExecutor(_READERS)
    try:
        yield from pool.map(_read, files)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest of the library


def _read(file: str) -> _Read | str:
    """Tags of a file; or, where not even an attempt at decoding makes sense, why not."""
    try:
        status = os.stat(file)
        size, changed = status.st_size, status.st_mtime_ns
        return _Read(read_tags(file), size, changed)
    except AudioError as error:
        reason = str(error).removeprefix(f"{printable(file)}: ")
        hopeless = size == 0 or isinstance(error.__cause__, OSError)
        return reason if hopeless else _Read(Tags(), size, changed, reason)
    except OSError as error:
        return f"cannot be read ({error.strerror}); check its permissions and the disk"


def _tracks(base: str, paths: Sequence[str], read: Sequence[_Read]) -> Tracks:
    tags = [one.tags for one in read]
    spelling = _spellings([genre for one in tags for genre in one.genres])
    known = [
        list(dict.fromkeys(spelling[key] for genre in one.genres if (key := normalise(genre))))
        for one in tags
    ]  # the genres of each track as they are shown; none is an empty list
    known = [[genre for genre in genres if genre] for genres in known]
    genres = tuple(sorted({some[0] for some in known if some}, key=normalise))
    index = {genre: number for number, genre in enumerate(genres)}
    identities = [_identity(one) for one in tags]
    return Tracks(
        track_id=np.array([stable_id(path) for path in paths], np.int64),
        labels=np.array([index[some[0]] if some else -1 for some in known], np.int64),
        genres=genres,
        artist_id=np.array([one.artist_id for one in identities], np.int64),
        album_id=np.array([one.album_id for one in identities], np.int64),
        path=np.array([os.path.join(base, *path.split("/")) for path in paths], np.str_),
        columns={
            "title": np.array([one.title for one in tags], np.str_),
            "artist": np.array([one.artist for one in tags], np.str_),
            "album_artist": np.array([one.album_artist for one in tags], np.str_),
            "album": np.array([one.album for one in tags], np.str_),
            "genre_tags": np.array(["; ".join(some) for some in known], np.str_),
            "disc": np.array([one.disc for one in tags], np.int64),
            "track_number": np.array([one.track_number for one in tags], np.int64),
            "compilation": np.array([one.compilation for one in identities], np.bool_),
            "duration": np.array([one.duration for one in tags], np.float64),
            "size": np.array([one.size for one in read], np.int64),
            "mtime_ns": np.array([one.mtime_ns for one in read], np.int64),
        },
    )


def _spellings(genres: Sequence[str]) -> dict[str, str]:
    """Most common spelling of each genre by its normal form; ties to the first in the alphabet."""
    shown: dict[str, str] = {}
    counted = Counter(" ".join(genre.split()) for genre in genres)
    for spelling, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        shown.setdefault(normalise(spelling), spelling)
    return {key: "" if key in _NO_GENRE else name for key, name in shown.items()}


@dataclass(frozen=True)
class _Identity:
    artist_id: int
    album_id: int
    compilation: bool


def _identity(tags: Tags) -> _Identity:
    """Who made the track, and which album it is on; the rules are at the head of this module."""
    artist, album_artist, album = (
        "" if (name := normalise(text)) in PLACEHOLDERS else name
        for text in (tags.artist, tags.album_artist, tags.album)
    )
    by_several = (album_artist or artist) in VARIOUS
    compilation = tags.compilation or by_several
    if artist in VARIOUS:
        artist = ""  # "Various Artists" as the artist of one track: nobody knows who it is
    owner = "" if album_artist in VARIOUS else album_artist
    maker = artist if compilation else owner or artist
    if not compilation:
        owner = maker
    known = bool(album and (compilation or maker))
    kind = "compilation" if compilation else "album"
    return _Identity(
        artist_id=stable_id(f"artist\n{maker}") if maker else -1,
        album_id=stable_id(f"{kind}\n{owner}\n{album}") if known else -1,
        compilation=compilation,
    )


def _untagged(tracks: Tracks) -> NDArray[np.bool_]:
    return (tracks.artist_id < 0) | (tracks.album_id < 0)


def _nothing(root: Path | str, counts: Mapping[str, int], problems: Sequence[Problem]) -> str:
    shown = printable(os.fspath(root))
    if problems:
        return (
            f"{shown} holds no audio that can be opened; {len(problems)} problems "
            f"(first: {problems[0].path}: {problems[0].reason})"
        )
    return (
        f"{shown} holds no audio ({counts['files seen']} files seen, "
        f"{counts['hidden, skipped']} hidden skipped); "
        f"name a folder with files in {', '.join(sorted(_SUFFIXES))}"
    )
