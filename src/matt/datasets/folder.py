"""Own music: a folder of tagged files becomes `Tracks`. Tags are read, nothing is decoded.

Each real file is found once, in an order that does not vary.

How tags become ids
-------------------
- **Track**: hash of the path relative to the library's root, so the library may move as a whole.
- **Artist**: the album artist, or where there is none the artist. In a compilation the track's own
  artist, so grouping by (album, artist) gives a compilation one bag per artist and needs no special
  case. On demand the composer, where one is tagged.
- **Album**: (album artist or artist, album). Albums of one name by two artists are two; the discs
  of a set are one. A compilation is (album artist unless it means "various", album), wherever its
  files lie: two samplers of one name by nobody in particular count as one album, which joins two
  tracks only if they have the same artist.
- **Compilation**: the file says so, or the artist of the album is a word for several artists.
- Without artist or album, or with a word that stands for none (`matt.datasets.words`), the id is -1
  and the track is a bag of one.
- Which names mean the same, and who leads where several are named, is told by
  `matt.datasets.identity` from the whole library.

Genres are read by a vocabulary (`matt.datasets.genres`): the one that comes with the package, and
over it the file that is named, or ``genres.toml`` in the root of the library. The label of a track
is its main genre; all of them are in the column ``genre_tags``, what was written in
``genre_written``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import EXTRA_SUFFIXES, SUFFIXES
from ..bags import group
from ..errors import AudioError, ConfigError, DataError, did_you_mean, first_few, in_a_line
from ..features.plan import stamp_of
from ..processes import uncollected
from ..tracks import ALL_ARTISTS, Tracks, stable_id
from .credits import Credits, normalise, same_album, same_genre
from .genres import FILE, Vocabulary, joined, vocabulary
from .identity import Claim, Identified, Merge, identify
from .meanings import Meaning, Meanings, bags_of, understand
from .memory import FileTags, Memory, memory_file, timed
from .tags import Tags, genres_in, printable, read_tags
from .words import Words, known_words

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


def find_audio(
    root: Path | str, suffixes: Collection[str], named: Sequence[str] = ("",)
) -> FoundFiles:
    """Walk a folder and everything below it, or what is named in it.

    Real files come before links, so a link to a file of the same library is never taken instead of
    the file. A linked folder is entered once; a link to a folder around it is a loop and skipped.

    Parameters
    ----------
    root : path
    suffixes : collection of str
        Lower case, with the dot; letter case in file names does not matter.
    named : sequence of str
        Files and folders below the root, relative to it; those that are hidden, too.

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
    for path in sorted(named, key=lambda path: os.path.islink(os.path.join(walk.root, path))):
        walk.named(path)
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

    def named(self, path: str) -> None:
        """Take what the user named, whatever it is."""
        full = os.path.join(self.root, path)
        try:
            mode = os.stat(full).st_mode
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "does not exist" if missing else f"cannot be read ({error.strerror})"
            self._problem(path, f"{reason}; check the path")
            return
        if stat.S_ISDIR(mode):
            self.folder(path, os.path.realpath(full))
        else:
            self._file(path, os.path.realpath(full), stat.S_ISREG(mode))

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
            before, real_before = f"{relative}/" if relative else "", os.path.join(real, "")
            for entry in entries:
                path = before + entry.name
                try:
                    if self._skipped(entry):
                        continue
                    if entry.is_symlink():
                        self.links.append(path)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append((path, real_before + entry.name))
                    else:
                        self._file(path, real_before + entry.name, entry.is_file())
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
    "FileProblem",
    "Merge",
    "Scan",
    "Tags",
    "Told",
    "look",
    "normalise",
    "read_tags",
    "scan",
    "scan_told",
]

# Also what needs an extra to decode: better told so by the extraction than silently not there.
_SUFFIXES = SUFFIXES | EXTRA_SUFFIXES
_LONGEST_SUFFIX = 12  # characters shown
_READERS = 8  # threads: on a network drive the time goes into waiting
_PART = 64  # files that a thread takes at once
ARTISTS = ("artist", "composer")
_TEXTS = ("title", "artist", "album_artist", "album", "composer")
_BY = attrgetter(
    *("artist", "album_artist", "album", "composer", "compilation"),
    *("artist_ids", "album_artist_ids", "release_ids", "release_group_ids"),
)
_MANY = 3  # artists of an album, or its tracks of one number, from which on it is worth a question


@dataclass(frozen=True, eq=False)
class Scan:
    """What a folder of music holds.

    Attributes
    ----------
    tracks : Tracks
        One row a file, sorted by path; `path` is absolute. Columns: ``title``, ``artist``,
        ``album_artist``, ``album``, ``composer``, ``all_artists`` (see
        `matt.tracks.Tracks.everybody`), ``genre_tags`` (the main genre first; see
        `matt.datasets.genres.parted`), ``genre_written`` (as tags have them, for people: what
        stands between, ``"; "``, may stand in one, too), ``disc`` and ``track_number`` (-1
        missing), ``compilation``, ``duration`` (seconds by the header, NaN unknown), ``year`` (-1
        unknown), ``size`` (bytes), ``mtime_ns``.
    problems : tuple of FileProblem
        Sorted by path. A file whose tags are damaged is kept, as its audio may be sound; an empty
        or unreadable one is left out.
    counts : mapping of str to int
        For a table: what was seen, skipped and found.
    left_out : mapping of str to int
        Files that are not audio by their suffixes, the most common one first.
    merges : tuple of Merge
        Names that count as the same artist or album, the most tracks first.
    questions : tuple of str
        What looks as if it were no name, and what to say if so.
    vocabulary : Vocabulary
        By which genres were read; an empty one where all names stay as they are.
    meanings : tuple of Meaning
        What each genre tag became, the most tracks first.
    root : Path
        The folder that ids and the paths of problems are relative to.
    notes : tuple of str
        What whoever asked should know of files that are gone, or read each time.
    """

    tracks: Tracks
    problems: tuple[FileProblem, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    merges: tuple[Merge, ...] = ()
    questions: tuple[str, ...] = ()
    vocabulary: Vocabulary = field(default_factory=vocabulary)
    meanings: tuple[Meaning, ...] = ()
    root: Path = Path()
    notes: tuple[str, ...] = ()

    __repr__ = in_a_line

    @property
    def untagged(self) -> NDArray[np.bool_]:
        """Tracks whose artist or album is unknown, each a bag of one, shape (n,)."""
        return _untagged(self.tracks)


def scan(
    root: Path | str | Sequence[Path | str],
    *,
    within: Path | str | None = None,
    artist: str = "artist",
    merge: bool = True,
    words: Path | str | None = None,
    genre_separator: str = "",
    genres: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    remembered: Path | str | None = None,
) -> Scan:
    """Find the music under a folder, or some files of it, and read their tags.

    Files are found in a fixed order, each real file once; hidden files and folders and ``@eaDir``
    are skipped (`matt.datasets.folder`). No file stops the scan.

    Parameters
    ----------
    root : path, or several
        The library; or a file, or files and folders.
    within : path, optional
        The library that these belong to: ids are hashes of paths relative to it. By default the
        folder itself, that of the file, or the one that holds all of them.
    artist : {"artist", "composer"}
        Whose a track is. With ``"composer"`` it is the composer's, where one is tagged; albums stay
        under their album artist.
    merge : bool
        Whether names that mean the same, guests and discs are seen through
        (`matt.datasets.identity`), and genres are read by the vocabulary; otherwise only letter
        case, spaces and Unicode forms are seen through.
    words : path, optional
        TOML with further words that are no names (`matt.datasets.words`).
    progress : callable, optional
        Called now and then with (files looked at, files to look at).
    genre_separator : str
        What separates genres within one tag, e.g. ``";"``, whatever they are; by default a tag is
        split only where the vocabulary knows every part.
    genres : path, optional
        A vocabulary of one's own (`matt.datasets.genres`), which counts without ``merge``, too. By
        default ``genres.toml`` in the root, if there is one.
    remembered : path, optional
        Folder that keeps what files say: those that have not changed since are not read again
        (`matt.datasets.memory`).

    Raises
    ------
    DataError
        If what is named does not exist, or holds no audio that can be opened, or lies elsewhere
        than ``within``. Of several, those that do not exist are problems.
    ConfigError
        If the words or the vocabulary cannot be read, or the artist is neither.
    """
    if artist not in ARTISTS:
        raise ConfigError(f"artist is {artist!r}; {did_you_mean(artist, ARTISTS)}")
    known = known_words(None if words is None else Path(words))
    base, named = _below(root, within)
    known_genres = _vocabulary(base, genres, known, merge=merge)
    if "" not in named:  # how many albums a genre has is told by the whole library alone
        known_genres = replace(known_genres, minimum_albums=0)
    started = time.time()
    found = find_audio(base, _SUFFIXES, named)
    memory = None
    if remembered is not None:
        place = memory_file(Path(remembered), base)
        memory = Memory.load(place)
    kept: list[str] = []
    read: list[FileTags] = []
    try:
        problems = _read_all(base, found, memory, progress, kept, read)
    except KeyboardInterrupt:
        if memory is not None:  # the next time goes on from here
            with suppress(DataError, OSError):
                memory.save(dict(zip(kept, read)), (), now=started, name=base)
        raise
    if not kept:
        shown = printable(os.path.join(base, named[0]) if len(named) == 1 else base)
        raise DataError(_nothing(shown, found.counts, problems))
    seen = dict(zip(kept, read))
    notes = () if memory is None else tuple(_remember(memory, seen, named, base, started))
    if genre_separator:
        read = [_separated(one, genre_separator) for one in read]
    with uncollected():
        tags = [one.tags for one in read]
        credits = Credits(known)  # which remembers what it has read
        claims = _claims(tags, kept, credits, artist=artist)
        same = identify(claims, known, merge=merge, credits=credits)
        said = understand(
            [one.genres for one in tags],
            bags_of(same.artist_id, same.album_id),
            known_genres,
            same=same_genre if merge else normalise,
        )
        tracks = _tracks(kept, _whole(base, kept), read, claims, same, said)
    counts = {
        **found.counts,
        "problems": len(problems),
        "tracks": len(tracks),
        "without artist or album": int(_untagged(tracks).sum()),
        "without genre": int((~tracks.labelled).sum()),
        "in compilations": int(tracks.columns["compilation"].sum()),
    }
    in_order = tuple(sorted(problems, key=lambda problem: problem.path))
    questions = (*_many_artists(tags, claims), *_many_albums(tracks))
    return Scan(
        tracks,
        in_order,
        counts,
        found.left_out,
        same.merges,
        questions,
        known_genres,
        said.meanings,
        Path(base),
        notes,
    )


@dataclass(frozen=True)
class Told:
    """A file, as a program knows it that keeps a list of music.

    Attributes
    ----------
    path : str
        Of the file, whole.
    tags : Tags
        What the program holds to be true of it, whatever is written in the file.
    album : str
        By which name or number the program knows its album; empty where the track is alone.
    """

    path: str
    tags: Tags
    album: str = ""


def scan_told(
    files: Iterable[Told], within: Path | str, *, genres: Path | str | None = None
) -> Scan:
    """Take the word of another program for what files are; none of them is opened.

    An album is what the program says, wherever its files lie and whatever it is called. Of a
    compilation each artist has an album, as in `scan`.

    Parameters
    ----------
    files : iterable of Told
        The first that names a file counts.
    within : path
        The library: ids are hashes of paths relative to it, wherever the files lie.
    genres : path, optional
        As in `scan`.

    Raises
    ------
    ConfigError
        If the vocabulary cannot be read.
    """
    base, words = os.path.abspath(within), known_words()
    # How many albums a genre has is told by the whole library alone.
    known = replace(_vocabulary(base, genres, words, merge=True), minimum_albums=0)
    given = {_relative(told.path, base): told for told in reversed([*files])}
    read, problems = {}, []
    for path, told in sorted(given.items()):
        found = _taken(told)
        if isinstance(found, FileTags):
            read[path] = found
        else:
            problems.append(FileProblem(printable(path), found))
    tags, kept = [one.tags for one in read.values()], [given[path] for path in read]
    credits = Credits(words)
    claims = _claims(tags, [*read], credits, artist="artist")
    same = _as_told(identify(claims, words, credits=credits), [told.album for told in kept], claims)
    said = understand(
        [one.genres for one in tags], bags_of(same.artist_id, same.album_id), known, same=same_genre
    )
    tracks = _tracks([*read], [told.path for told in kept], [*read.values()], claims, same, said)
    return Scan(
        tracks,
        tuple(problems),
        {"problems": len(problems), "tracks": len(tracks)},
        merges=same.merges,
        vocabulary=known,
        meanings=said.meanings,
        root=Path(base),
    )


def _relative(path: str, base: str) -> str:
    try:
        return Path(os.path.relpath(path, base)).as_posix()
    except ValueError:  # on another drive
        return Path(path).as_posix()


def _taken(told: Told) -> FileTags | str:
    """What is told of a file, if it is there, safe to show; or else why it does not count."""
    try:
        told.path.encode("utf-8")
        status = os.stat(told.path)
    except UnicodeEncodeError:
        return "its name is not valid UTF-8; rename it"
    except (OSError, ValueError) as error:
        return f"cannot be found ({getattr(error, 'strerror', None) or error}); check the path"
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return "is empty, or no file; replace it"
    tags = told.tags
    shown: dict[str, Any] = {name: printable(getattr(tags, name)) for name in _TEXTS}
    genres = tuple(filter(None, map(printable, tags.genres)))
    return FileTags(
        tags._replace(genres=genres, **shown),
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _as_told(same: Identified, albums: Sequence[str], claims: Sequence[Claim]) -> Identified:
    """The same with albums as they are told; one that is no compilation has one artist."""
    artists, whose = same.artist_id.copy(), dict[str, int]()
    for row, (album, claim) in enumerate(zip(albums, claims, strict=True)):
        if album and not claim.compilation:
            artist = int(artists[row])
            first = artist if artist >= 0 else stable_id(f"artist of {album}")
            artists[row] = whose.setdefault(album, first)
    ids = [stable_id(f"told\n{album}") if album else -1 for album in albums]
    return replace(same, artist_id=artists, album_id=np.array(ids, np.int64))


def look(root: Path | str | Sequence[Path | str], *, also: Sequence[Path | str] = ()) -> str:
    """Digest of which audio files there are, and of their sizes and times; none is opened.

    The vocabulary in the root counts as well, whether it is there or not.

    Parameters
    ----------
    root : path, or several
        As of `scan`.
    also : sequence of path
        What else counts, such as words and a vocabulary elsewhere.

    Raises
    ------
    DataError
        As `scan`.
    """
    base, named = _below(root, None)
    found = find_audio(base, _SUFFIXES, named)
    if not found.paths:
        raise DataError(_nothing(printable(base), found.counts, found.problems))
    digest = hashlib.sha256()
    for path, file in zip(found.paths, _whole(base, found.paths), strict=True):
        digest.update(f"{path}\0{stamp_of(file)}\n".encode())
    for other in (os.path.join(base, FILE), *also):
        digest.update(f"{stamp_of(os.fspath(other))}\n".encode())
    return digest.hexdigest()


def _below(
    named: Path | str | Sequence[Path | str], within: Path | str | None
) -> tuple[str, list[str]]:
    """The folder that paths are relative to, and what is named, relative to it, "" being itself."""
    given = [named] if isinstance(named, str | os.PathLike) else list(named)
    if not given:
        raise DataError("no file or folder is named; name one")
    if len(given) == 1 and not os.path.lexists(given[0]):
        raise DataError(f"{printable(os.fspath(given[0]))} does not exist; check the path")
    whole = [os.path.abspath(path) for path in given]
    holding = [path if os.path.isdir(path) else os.path.dirname(path) for path in whole]
    try:
        base = os.path.commonpath(holding) if within is None else os.path.abspath(within)
        outside = [path for path in whole if os.path.commonpath([base, path]) != base]
    except ValueError:
        raise DataError(
            f"{printable(whole[0])} and others lie on several drives; name those of one"
        ) from None
    if outside:
        raise DataError(
            f"{printable(outside[0])} does not lie in {printable(base)}; name the library that "
            "holds it"
        )
    relative = [Path(os.path.relpath(path, base)).as_posix() for path in whole]
    return base, ["" if path == "." else path for path in relative]


def _whole(base: str, paths: Sequence[str]) -> list[str]:
    """Paths of files, from those relative to a folder."""
    before = os.path.join(base, "")
    return [before + path.replace("/", os.sep) for path in paths]


def _read_all(
    base: str,
    found: FoundFiles,
    memory: Memory | None,
    progress: Callable[[int, int], None] | None,
    kept: list[str],
    read: list[FileTags],
) -> list[FileProblem]:
    """Note the paths of the files that count and what they say; gives all problems."""
    problems, done = list(found.problems), 0
    before = [memory.files.get(path) if memory else None for path in found.paths]
    with closing(_outcomes(_whole(base, found.paths), before)) as parts:
        for part in parts:
            for path, outcome in zip(found.paths[done : done + len(part)], part, strict=True):
                if isinstance(outcome, str):
                    problems.append(FileProblem(printable(path), outcome))
                    continue
                kept.append(path)
                read.append(outcome)
                if outcome.problem:
                    problems.append(FileProblem(printable(path), outcome.problem, kept=True))
            done += len(part)
            if progress is not None:
                progress(done, len(found.paths))
    return problems


def _outcomes(
    files: Sequence[str], before: Sequence[FileTags | None]
) -> Generator[list[FileTags | str]]:
    """What becomes of the files, in order and in parts."""
    size = min(_PART, -(-len(files) // _READERS)) or 1
    starts = range(0, len(files), size)
    parts = [(files[at : at + size], before[at : at + size]) for at in starts]
    pool = ThreadPoolExecutor(_READERS)
    try:
        yield from pool.map(_read_part, *zip(*parts))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest of the library


def _read_part(files: Sequence[str], before: Sequence[FileTags | None]) -> list[FileTags | str]:
    return [_read(file, known) for file, known in zip(files, before, strict=True)]


def _read(file: str, known: FileTags | None) -> FileTags | str:
    """Tags of a file; or, where not even an attempt at decoding makes sense, why not."""
    try:
        status = os.stat(file)
        if known is not None and known.is_of(status):
            return known
        stamp = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        return FileTags(read_tags(file), *stamp)
    except AudioError as error:
        reason = str(error).removeprefix(f"{printable(file)}: ")
        hopeless = stamp[0] == 0 or isinstance(error.__cause__, OSError)
        return reason if hopeless else FileTags(Tags(), *stamp, reason)
    except OSError as error:
        return f"cannot be read ({error.strerror}); check its permissions and the disk"


def _separated(found: FileTags, separator: str) -> FileTags:
    genres = genres_in(found.tags.genre_values, separator)
    return found._replace(tags=found.tags._replace(genres=genres))


def _remember(
    memory: Memory, found: Mapping[str, FileTags], named: Sequence[str], base: str, started: float
) -> Iterator[str]:
    """Keep what was read, and say what is not as usual."""
    if memory.note:
        yield f"all tags are read anew: {memory.note}"
    gone = sum(path not in found for path in memory.files) if "" in named else 0
    if gone > _MANY and gone > len(memory.files) / 2:
        yield (
            f"{gone:,} of {len(memory.files):,} files that were here are gone; if their disk is "
            "not mounted, mount it: what is known of them is kept"
        )
    timeless = sum(not timed(one.mtime_ns, int(started * 1e9)) for one in found.values())
    if timeless:
        yield f"{timeless:,} files bear no usable time of change, so they are read each time"
    try:
        memory.save(found, named, now=started, name=base)
    except (DataError, OSError) as error:
        yield f"what tags say is not remembered for the next time: {error}"


def _vocabulary(
    root: Path | str, genres: Path | str | None, words: Words, *, merge: bool
) -> Vocabulary:
    """The vocabulary that is named, or lies in the library; none where names are to stay."""
    if genres is None and not merge:
        return Vocabulary(words=words)
    if genres is None and os.path.isfile(own := os.path.join(root, FILE)):
        genres = own
    return vocabulary(genres, words)


def _tracks(
    paths: Sequence[str],
    files: Sequence[str],
    read: Sequence[FileTags],
    claims: Sequence[Claim],
    same: Identified,
    said: Meanings,
) -> Tracks:
    tags = [one.tags for one in read]
    known = said.genres
    genres = tuple(sorted({some[0] for some in known if some}, key=normalise))
    index = {genre: number for number, genre in enumerate(genres)}
    as_text = {some: joined(some) for some in {*known}}
    return Tracks(
        track_id=np.array([stable_id(path) for path in paths], np.int64),
        labels=np.array([index[some[0]] if some else -1 for some in known], np.int64),
        genres=genres,
        artist_id=same.artist_id,
        album_id=same.album_id,
        path=np.array(files, np.str_),
        columns={
            "title": np.array([one.title for one in tags], np.str_),
            "artist": np.array([one.artist for one in tags], np.str_),
            "album_artist": np.array([one.album_artist for one in tags], np.str_),
            "album": np.array([one.album for one in tags], np.str_),
            "composer": np.array([one.composer for one in tags], np.str_),
            ALL_ARTISTS: same.all_artists,
            "genre_tags": np.array([as_text[some] for some in known], np.str_),
            "genre_written": np.array(["; ".join(one.genres) for one in tags], np.str_),
            "disc": np.array([one.disc for one in tags], np.int64),
            "track_number": np.array([one.track_number for one in tags], np.int64),
            "compilation": np.array([one.compilation for one in claims], np.bool_),
            "duration": np.array([one.duration for one in tags], np.float64),
            "year": np.array([one.year for one in tags], np.int64),
            "size": np.array([one.size for one in read], np.int64),
            "mtime_ns": np.array([one.mtime_ns for one in read], np.int64),
        },
    )


def _claims(
    tags: Sequence[Tags], paths: Sequence[str], credits: Credits, *, artist: str
) -> list[Claim]:
    places, known = {}, {}
    named = cache(partial(_named, credits=credits))
    claims = []
    for one, path in zip(tags, paths, strict=True):
        folder = path.rpartition("/")[0]
        if folder not in places:
            places[folder] = _without_disc(folder)
        guests = tuple(credits.in_title(one.title)) if artist == "artist" else ()
        # The tracks of an album mostly say the same, so it is asked for once what that means.
        said = _BY(one), guests, folder
        if said not in known:
            place = places[folder]
            known[said] = _identity(
                one, credits, artist=artist, guests=guests, place=place, named=named
            )
        claims.append(known[said])
    return claims


def _without_disc(folder: str) -> str:
    """The folder of an album, of which the given one may hold a disc."""
    above, _, name = folder.rpartition("/")
    rest = same_album(f". {name}").removeprefix(".").strip()
    return f"{above}/{rest}".strip("/") if rest else above


def _identity(
    tags: Tags,
    credits: Credits | None = None,
    *,
    artist: str = "artist",
    guests: tuple[str, ...] = (),
    place: str = "",
    named: Callable[[str, tuple[str, ...]], _Named] | None = None,
) -> Claim:
    """Who made the track and which album it is on, by its own tags; see the head of this module."""
    credits = credits or Credits(known_words())
    named = named or partial(_named, credits=credits)
    by = named(tags.artist, tags.artist_ids)
    over = named(tags.album_artist, tags.album_artist_ids)
    if by.several and not over.text:  # nobody knows who it is
        over = _Named(several=True)
    guests, guest_ids = (*guests, *by.guests), by.guest_ids
    if not over.several:
        guests, guest_ids = (*guests, *over.guests), (*guest_ids, *over.guest_ids)
    compilation = tags.compilation or over.several
    maker, others, other_ids = by, [""], guest_ids
    if not compilation and (over.text or over.ids):
        maker, others, other_ids = over, [by.text], (*by.ids, *guest_ids)
    owner = over if compilation else maker
    if artist == "composer" and not credits.is_unknown(tags.composer):
        maker, others, other_ids, guests = _Named(tags.composer), [], (), ()
    return Claim(
        artist=maker.text,
        album="" if credits.words.is_unknown(tags.album) else tags.album,
        owner=owner.text,
        others=tuple(filter(None, others)),
        guests=guests,
        compilation=compilation,
        place=place,
        artist_ids=maker.ids,
        owner_ids=owner.ids,
        other_ids=other_ids,
        release=(*tags.release_group_ids[:1], *tags.release_ids[:1]),
    )


@dataclass(frozen=True)
class _Named:
    """Whom a tag names. Where it is nobody, or several, guests may be named all the same."""

    text: str = ""
    ids: tuple[str, ...] = ()
    guests: tuple[str, ...] = ()
    guest_ids: tuple[str, ...] = ()
    several: bool = False


def _named(text: str, ids: tuple[str, ...], credits: Credits) -> _Named:
    words, guests = credits.words, credits.read(text).guests
    several = credits.is_various(text) or any(map(words.is_various, ids))
    nobody = several or credits.is_unknown(text)
    known = tuple(one for one in ids if not (words.is_unknown(one) or words.is_various(one)))
    if several or known[:1] != ids[:1] or (nobody and guests):  # then no id is of whoever leads
        return _Named("" if nobody else text, (), guests if nobody else (), known, several)
    return _Named("" if nobody else text, known)


def _many_artists(tags: Sequence[Tags], claims: Sequence[Claim]) -> Iterator[str]:
    """Ask after album artists of many artists, but of no track: perhaps "several" in disguise."""
    made = {normalise(artist) for artist in {one.artist for one in tags}}
    above: dict[str, set[str]] = defaultdict(set)
    shown: dict[str, str] = {}
    told = dict.fromkeys(
        (one.artist, one.album_artist, claim.owner) for one, claim in zip(tags, claims, strict=True)
    )
    for artist, album_artist, owner in told:
        if artist and owner and owner == album_artist:
            above[key := normalise(album_artist)].add(normalise(artist))
            shown.setdefault(key, album_artist)
    found = {
        shown[key]: len(some)
        for key, some in above.items()
        if len(some) >= _MANY and key not in made
    }
    if found:
        order = sorted(found, key=lambda name: (-found[name], name))
        yield (
            f"{len(found):,} album artists stand above {_MANY} artists or more and made no track "
            f"(first: {first_few(f'{name!r} above {found[name]}' for name in order)}); if such a "
            f'name means "various artists", say so in a file for --words: various = [{order[0]!r}]'
        )


def _many_albums(tracks: Tracks) -> Iterator[str]:
    """Ask after albums that have many tracks of one number: what nobody had a name for, maybe."""
    numbers, discs = (tracks.columns[name] for name in ("track_number", "disc"))
    rows = np.flatnonzero(~_untagged(tracks) & (numbers > 0))
    if not len(rows):
        return
    bag = group((tracks.artist_id[rows], tracks.album_id[rows]), len(rows))
    place = group((bag, discs[rows] + 2, numbers[rows]), len(rows))  # no disc is a disc, too
    _, first = np.unique(place, return_index=True)
    often = bag[first][np.bincount(place) >= _MANY]
    _, first = np.unique(bag, return_index=True)
    found = rows[first[np.bincount(often, minlength=len(first)) >= _MANY]].tolist()
    if found:
        albums = [str(tracks.columns["album"][row]) for row in found]
        artists = [str(tracks.columns["artist"][row]) for row in found]
        told = (f"{album!r} by {by!r}" for album, by in zip(albums, artists, strict=True))
        yield (
            f"{len(found):,} albums have {_MANY} tracks or more of many a number (first: "
            f"{first_few(told)}); if such a name means that the album is unknown, say so in a file "
            f"for --words: unknown = [{albums[0]!r}]"
        )


def _untagged(tracks: Tracks) -> NDArray[np.bool_]:
    return (tracks.artist_id < 0) | (tracks.album_id < 0)


def _nothing(shown: str, counts: Mapping[str, int], problems: Sequence[FileProblem]) -> str:
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
