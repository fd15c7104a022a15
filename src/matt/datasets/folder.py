"""Own music: a folder of tagged files becomes `Tracks`. Tags are read, nothing is decoded.

Each real file is found once, in an order that does not vary.

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
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..audio import EXTRA_SUFFIXES, SUFFIXES
from ..errors import AudioError, DataError, in_a_line
from ..tracks import Tracks, stable_id
from .tags import Tags, printable, read_tags

_COUNTS = (
    "files seen",
    "not audio",
    "links to files already seen",
    "loops of links",
    "hidden, skipped",
    "@eaDir, skipped",
)


@dataclass(frozen=True)
class FileProblem:
    """A file or folder that could not be used as it should.

    Attributes
    ----------
    path : str
        Relative to the root, safe to show.
    reason : str
        What is wrong and what to do.
    kept : bool
        Whether the file is among the tracks all the same.
    """

    path: str
    reason: str
    kept: bool = False


@dataclass(frozen=True)
class FoundFiles:
    """Audio files under a root.

    Attributes
    ----------
    paths : tuple of str
        Relative to the root with ``/`` between the parts, sorted.
    problems : tuple of FileProblem
    counts : mapping of str to int
        ``files seen``, of which ``not audio``; ``links to files already seen``, ``loops of links``,
        ``hidden, skipped`` and ``@eaDir, skipped`` (files and folders; a folder counts once).
    left_out : mapping of str to int
        Files that are not audio by their suffixes, the most common one first.
    """

    paths: tuple[str, ...]
    problems: tuple[FileProblem, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, int]


def find_audio(root: Path | str, suffixes: Collection[str]) -> FoundFiles:
    """Walk a folder and everything below it.

    Real files come before links, so a link to a file of the same library is never taken instead of
    the file. A linked folder is entered once; a link to a folder around it is a loop and skipped.

    Parameters
    ----------
    root : path
    suffixes : collection of str
        Lower case, with the dot; letter case in file names does not matter.

    Raises
    ------
    DataError
        If the root does not exist, is not a folder, or cannot be read.
    """
    shown = printable(os.fspath(root))
    try:
        if not stat.S_ISDIR(os.stat(root).st_mode):
            raise DataError(f"{shown} is a file, not a folder; name the folder that holds it")
        os.scandir(root).close()
    except FileNotFoundError:
        raise DataError(f"{shown} does not exist; check the path") from None
    except OSError as error:
        raise DataError(
            f"{shown} cannot be read ({error.strerror}); check its permissions"
        ) from error
    walk = _Walk(os.path.abspath(root), frozenset(suffixes))
    walk.folder("", os.path.realpath(root))
    # Links found on the way wait until every real file is known; following one may find more.
    while walk.links:
        links, walk.links = sorted(walk.links), []
        for link in links:
            walk.follow(link)
    order = sorted(walk.problems, key=lambda problem: problem.path)
    counts = {k: walk.counts[k] for k in _COUNTS}
    return FoundFiles(tuple(sorted(walk.paths)), tuple(order), counts, _ranked(walk.left_out))


def _ranked(counted: Counter[str]) -> dict[str, int]:
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


class _Walk:
    """What has been found so far."""

    def __init__(self, root: str, suffixes: frozenset[str]) -> None:
        self.root, self.suffixes = root, suffixes
        self.paths: list[str] = []
        self.links: list[str] = []
        self.problems: list[FileProblem] = []
        self.counts: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()  # suffixes of what is not audio
        self.seen: set[str] = set()  # real paths of files and folders

    def folder(self, top: str, real_top: str) -> None:
        """Take a real folder and all real ones in it; ``top`` is relative, links wait."""
        waiting = [(top, real_top)]
        while waiting:
            relative, real = waiting.pop()
            if real in self.seen:
                continue
            self.seen.add(real)
            try:
                with os.scandir(os.path.join(self.root, relative)) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                self._problem(relative, f"the folder cannot be read ({error.strerror}); skipped")
                continue
            for entry in entries:
                path = f"{relative}/{entry.name}" if relative else entry.name
                try:
                    if self._skipped(entry):
                        continue
                    if entry.is_symlink():
                        self.links.append(path)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append((path, os.path.join(real, entry.name)))
                    else:
                        self._file(path, os.path.join(real, entry.name), entry.is_file())
                except OSError as error:
                    self._problem(path, f"cannot be looked at ({error.strerror}); skipped")

    def follow(self, link: str) -> None:
        full = os.path.join(self.root, link)
        try:
            mode = os.stat(full).st_mode
        except OSError as error:
            broken = isinstance(error, FileNotFoundError)
            reason = "its target does not exist" if broken else error.strerror
            self._problem(link, f"broken link ({reason}); mend the link")
            return
        real = os.path.realpath(full)
        if not stat.S_ISDIR(mode):
            self._file(link, real, stat.S_ISREG(mode))
        elif Path(os.path.realpath(os.path.dirname(full))).is_relative_to(real):
            self.counts["loops of links"] += 1
        elif real in self.seen:
            self.counts["links to files already seen"] += 1
        else:
            self.folder(link, real)

    def _file(self, path: str, real: str, regular: bool) -> None:
        if real in self.seen:
            self.counts["links to files already seen"] += 1
            return
        self.counts["files seen"] += 1
        suffix = os.path.splitext(path)[1].lower()
        if not regular or suffix not in self.suffixes:
            self.counts["not audio"] += 1
            self.left_out[printable(suffix)[:_LONGEST_SUFFIX] or "no suffix"] += 1
            return
        self.seen.add(real)
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            self._problem(path, "its name is not valid UTF-8; rename it")
            return
        self.paths.append(path)

    def _skipped(self, entry: os.DirEntry[str]) -> bool:
        kind = "@eaDir" if entry.name == "@eaDir" else "hidden" if _hidden(entry) else ""
        if kind:
            self.counts[f"{kind}, skipped"] += 1
        return bool(kind)

    def _problem(self, path: str, reason: str) -> None:
        self.problems.append(FileProblem(printable(path), reason))


def _hidden(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return True
    if os.name != "nt":
        return False
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return bool(attributes & stat.FILE_ATTRIBUTE_HIDDEN)


__all__ = [
    "PLACEHOLDERS",
    "VARIOUS",
    "FileProblem",
    "Scan",
    "Tags",
    "normalise",
    "read_tags",
    "scan",
]

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
_LONGEST_SUFFIX = 12  # characters shown
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
    problems : tuple of FileProblem
        Sorted by path. A file whose tags are damaged is kept, as its audio may be sound; an empty
        or unreadable one is left out.
    counts : mapping of str to int
        For a table: what was seen, skipped and found.
    left_out : mapping of str to int
        Files that are not audio by their suffixes, the most common one first.
    """

    tracks: Tracks
    problems: tuple[FileProblem, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)

    __repr__ = in_a_line

    @property
    def untagged(self) -> NDArray[np.bool_]:
        """Tracks whose artist or album is unknown, each a bag of one, shape (n,)."""
        return _untagged(self.tracks)


def scan(
    root: Path | str,
    *,
    progress: Callable[[int, int], None] | None = None,
    genre_separator: str = "",
) -> Scan:
    """Find the music under a folder and read its tags.

    Files are found in a fixed order, each real file once; hidden files and folders and ``@eaDir``
    are skipped (`matt.datasets.folder`). No file stops the scan.

    Parameters
    ----------
    root : path
        The library.
    progress : callable, optional
        Called with (files read, files to read) after each file.
    genre_separator : str
        What separates genres within one tag, e.g. ``";"``; by default nothing does but what the
        format of the tag says.

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
    with closing(_read_all(files, genre_separator)) as outcomes:
        for done, (path, outcome) in enumerate(zip(found.paths, outcomes), start=1):
            if isinstance(outcome, str):
                problems.append(FileProblem(printable(path), outcome))
            else:
                kept.append(path)
                read.append(outcome)
                if outcome.problem:
                    problems.append(FileProblem(printable(path), outcome.problem, kept=True))
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
    in_order = tuple(sorted(problems, key=lambda problem: problem.path))
    return Scan(tracks, in_order, counts, found.left_out)


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


def _read_all(files: Sequence[str], genre_separator: str) -> Generator[_Read | str]:
    pool = ThreadPoolExecutor(_READERS)
    try:
        yield from pool.map(partial(_read, genre_separator=genre_separator), files)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest of the library


def _read(file: str, *, genre_separator: str) -> _Read | str:
    """Tags of a file; or, where not even an attempt at decoding makes sense, why not."""
    try:
        status = os.stat(file)
        size, changed = status.st_size, status.st_mtime_ns
        return _Read(read_tags(file, genre_separator=genre_separator), size, changed)
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


def _nothing(root: Path | str, counts: Mapping[str, int], problems: Sequence[FileProblem]) -> str:
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
