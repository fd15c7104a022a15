"""Plans: what is to be written into which file, and why; made, shown, kept in a file, edited.

A plan is a file of JSON lines. The first names the schema and the library, each other one a field
of a file. It is not trusted: nothing outside the library is ever named by one, no plan alone makes
all files of somebody a library, and nothing but text goes into a field.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..datasets.genres import Vocabulary
from ..datasets.tags import printable
from ..errors import DataError, MattError
from ..files import reading, write_text
from ..library.status import AGREES, NEW, is_fair
from .families import FIELDS, Values
from .fields import read_fields
from .policy import LONGEST, MODES, MOST, Policy
from .writing import Wish

SCHEMA = "matt.plan/1"
_LINE = 2**16  # bytes of a line
_LINES = 5_000_000
_LONE = re.compile("[\ud800-\udfff]")
_SHARE = 0.5  # of the first genre's probability, that a further one needs
_UNSURE = "unsure"
_DIFFERS = "tagged otherwise than it sounds"
_SILENT = "nothing to be said against its tag"
_FULL, _STANDS = "tagged already", "protected, or says so already"

Read = Callable[[Path], Mapping[str, Values]]
Stamp = tuple[int, int]


@dataclass(frozen=True)
class Change:
    """One field of one file.

    Attributes
    ----------
    path : Path
        Whole path of the file.
    field : {"genre", "mood", "grouping"}
    old, new : tuple of str
        What it says and what it is to say; ``new`` is never empty.
    why : str
        How the answer stands to the tags of the album: its status.
    sure : float or None
        Probability in [0, 1]; None where nobody knows.
    stamp : (int, int) or None
        Size in bytes and time of change in ns of the file when the plan was made; a file with
        others is not written.
    album : str
        What it is shown under.
    """

    path: Path
    field: str
    old: Values
    new: Values
    why: str = ""
    sure: float | None = None
    stamp: Stamp | None = None
    album: str = ""


@dataclass(frozen=True)
class Left:
    """A file that is not written, and why; ``failed`` where it cannot be."""

    path: Path
    why: str
    failed: bool = False


@dataclass(frozen=True)
class TagPlan:
    """What is to be written into a library.

    Attributes
    ----------
    library : Path
        Folder that holds every file of the plan.
    changes : tuple of Change
        Those of an album together.
    left : tuple of Left
        Files without any change; not kept in a file.
    """

    library: Path
    changes: tuple[Change, ...] = ()
    left: tuple[Left, ...] = ()

    @classmethod
    def of(
        cls,
        rows: Iterable[Mapping[str, Any]],
        policy: Policy,
        vocabulary: Vocabulary,
        *,
        library: Path,
        level: str = "album",
        read: Read = read_fields,
        progress: Callable[[int, int], None] | None = None,
    ) -> TagPlan:
        """Plan what is to be written, from what was predicted. Files are only read.

        Parameters
        ----------
        rows : iterable of mapping
            Of ``matt.albums/2``, each with its ``tracks``; at the level of tracks of
            ``matt.albums.tracks/1``.
        policy : Policy
        vocabulary : Vocabulary
        library : Path
            Files outside it are left alone.
        level : {"album", "track"}
            Whose genre a file gets.
        read : callable, optional
            Gives what the fields of a file say.
        progress : callable, optional
            Called with the files that were looked at, and how many there are.
        """
        inside = _Inside(library)
        named = ((row, track["path"]) for row in rows for track in _files(row, level))
        asked = {path: row for row, path in reversed([*named])}  # of two answers the first
        changes: list[Change] = []
        left: list[Left] = []
        for done, (name, row) in enumerate(reversed(asked.items()), start=1):
            path = Path(name)
            try:
                some = _changes(path, row, policy, vocabulary, inside, read)
                changes += some
                if not some:
                    left.append(Left(path, _FULL if policy.mode == MODES[0] else _STANDS))
            except _Leave as reason:
                left.append(Left(path, str(reason)))
            except MattError as error:
                left.append(Left(path, _without(str(error), path), failed=True))
            except OSError as error:
                left.append(Left(path, error.strerror or str(error), failed=True))
            if progress is not None:
                progress(done, len(asked))
        return cls(library, tuple(changes), tuple(left))

    @property
    def files(self) -> dict[Path, list[Change]]:
        """The changes of each file."""
        found: dict[Path, list[Change]] = {}
        for change in self.changes:
            found.setdefault(change.path, []).append(change)
        return found

    @property
    def reasons(self) -> Counter[str]:
        """Why files are left alone that could be written, and how many each time."""
        return Counter(one.why for one in self.left if not one.failed)

    @property
    def failures(self) -> list[Left]:
        """Files that cannot be read or written."""
        return [one for one in self.left if one.failed]

    @property
    def summary(self) -> str:
        """How many files would be written, and which are left alone and why."""
        n, left = len(self.files), self.reasons
        told = [f"{n:,} file{'s' * (n != 1)} to write"]
        if left:
            why = ", ".join(f"{many:,} {reason}" for reason, many in left.most_common())
            told.append(f"{left.total():,} left alone: {why}")
        return "; ".join(told)

    def wishes(self) -> list[Wish]:
        """What is asked of `matt.tagging.writing.apply`, one a file."""
        return [
            Wish(
                path,
                {change.field: change.new for change in some},
                some[0].stamp,
                {change.field: change.old for change in some},
                self.library,
            )
            for path, some in self.files.items()
        ]

    def save(self, path: Path) -> None:
        """Write the plan as JSON lines, to be looked at, edited, and applied later."""
        lines: list[Mapping[str, Any]] = [{"schema": SCHEMA, "library": str(self.library)}]
        for change in self.changes:
            size, mtime_ns = change.stamp or (None, None)
            told = asdict(change) | {"path": os.path.relpath(change.path, self.library)}
            del told["stamp"]
            lines.append(told | {"size": size, "mtime_ns": mtime_ns})
        write_text(path, "".join(f"{_line(one)}\n" for one in lines))

    @classmethod
    def open(cls, path: Path, *, library: Path | None = None) -> TagPlan:
        """Read a plan that may have been edited, or made by anybody.

        Parameters
        ----------
        path : Path
        library : Path, optional
            Folder that is to hold the files; by default that which the plan names, if it is not one
            that `is_all` calls so.

        Raises
        ------
        DataError
            If a line is no change, or names a file outside the library: then none of it counts.
        """
        with reading(path, "is no plan ({})", "make it again with 'matt tag --plan'"):
            lines = _lines(path)
            head = next(lines, (0, {}))[1]
            if head.get("schema") != SCHEMA or not isinstance(head.get("library"), str):
                raise DataError(
                    f"{path} is no plan: its first line names no {SCHEMA} and no library; make it "
                    "again with 'matt tag --plan'"
                )
            root = Path(os.path.abspath(library or head["library"]))
            if library is None and is_all(root):
                raise DataError(
                    f"{path} has {printable(str(root))} for its library, which holds more than "
                    "music; say yourself which folder may be written in, with --library DIR"
                )
            return cls(root, tuple(_read_changes(path, lines, root)))


def is_all(folder: Path) -> bool:
    """Whether a folder holds everything of a disk, or of who runs this: a root, a home, or above.

    Such a library keeps nobody out of anything, so a plan alone cannot name it.
    """
    real, home = os.path.realpath(folder), os.path.expanduser("~")
    within = os.path.isabs(home) and Path(os.path.realpath(home)).is_relative_to(real)
    return within or os.path.dirname(real) == real


class _Leave(Exception):
    """Why a file is left alone."""


class _Inside:
    """Whether files lie in a folder, whatever links there are; each folder is asked once."""

    def __init__(self, library: Path) -> None:
        self.root = Path(os.path.abspath(library))
        self._real = os.path.join(os.path.realpath(library), "")
        self._known: dict[Path, str] = {}

    def check(self, path: Path) -> None:
        """Refuse a path that is not in the library, or leads out of it."""
        plain = Path(os.path.abspath(path))
        if ".." in path.parts or not plain.is_relative_to(self.root) or plain == self.root:
            raise _Leave(f"not a file in {printable(str(self.root))}")
        if plain.is_symlink():
            real = os.path.realpath(plain)
        else:
            if plain.parent not in self._known:
                self._known[plain.parent] = os.path.realpath(plain.parent)
            real = os.path.join(self._known[plain.parent], plain.name)
        if not real.startswith(self._real):
            raise _Leave("a link leads out of the library; name the folder that it leads to")


# ---- from rows to changes ----


def _files(row: Mapping[str, Any], level: str) -> Iterable[Mapping[str, Any]]:
    """The files of a row."""
    return [row] if level == "track" else row["tracks"]


def _changes(
    path: Path,
    row: Mapping[str, Any],
    policy: Policy,
    vocabulary: Vocabulary,
    inside: _Inside,
    read: Read,
) -> list[Change]:
    """What is to be written into one file.

    Raises
    ------
    _Leave, MattError, OSError
        If nothing is.
    """
    if reason := refusal(row, policy):
        raise _Leave(reason)
    inside.check(path)
    seen = path.stat()
    if not stat.S_ISREG(seen.st_mode):
        raise DataError("it is no regular file")
    said = read(path)
    asked = heard(row, policy, vocabulary)
    if not any(asked.values()):
        raise _Leave(f"nothing was said of its {' and '.join(asked)}")
    found = []
    for field, given in asked.items():
        old = tuple(said.get(field, ()))
        if given and (new := policy.values(old, given, vocabulary)) is not None:
            stamp = seen.st_size, seen.st_mtime_ns
            told = row.get("why", row["status"]), row["probability"], stamp, _album(row, path)
            change = Change(path, field, old, new, *told)
            _check_size(change)
            found.append(change)
    return found


def _check_size(change: Change) -> None:
    """Leave a file alone of which no plan could tell."""
    if len(change.new) > MOST or max(map(len, change.new)) > LONGEST:
        raise _Leave(f"it would have more than {MOST} values, or one of over {LONGEST} characters")
    if 8 * sum(len(one) + 1 for one in change.old) > _LINE:
        raise _Leave("what it says is too much for a plan")


def _without(told: str, path: Path) -> str:
    """What an error tells without the name of the file that it begins with."""
    return told.removeprefix(str(path)).removeprefix(":").strip()


def _album(row: Mapping[str, Any], path: Path) -> str:
    """What an album, or a track alone, is shown as."""
    who = [row.get("artist") or "", row.get("album") or row.get("title") or ""]
    return printable(" - ".join(filter(None, map(str, who)))) or printable(path.parent.name)


def refusal(row: Mapping[str, Any], policy: Policy) -> str:
    """Why nothing is written for an album, or a track alone; empty where something may be."""
    sure = row["probability"]
    if row["genre"] is None or sure is None:
        return _UNSURE
    if row["unsure"] if policy.min_sure is None else sure < policy.min_sure:
        return _UNSURE
    if row["status"] in (NEW, AGREES):
        return ""
    if policy.mode == "fill-empty":
        return _DIFFERS
    fair = is_fair(row["in_training"], out_of_fold=row["out_of_fold"])
    if not fair or (row["tag_unknown"] and policy.mode == "replace"):
        return _SILENT
    return ""


def heard(row: Mapping[str, Any], policy: Policy, vocabulary: Vocabulary) -> dict[str, Values]:
    """What is given an album in each field that is asked for, most likely first.

    Genres have the names that the vocabulary gives them, whatever the model calls them.
    """

    def called(genres: Iterable[str]) -> Iterator[str]:
        return (name for genre in genres for name in vocabulary.read(genre))

    path = row.get("genre_path") or ()
    told: dict[str, Values] = {
        "genre": tuple(called(_genres(row)))[: policy.most],
        "mood": (row["mood"],) if row.get("mood") else (),
        "grouping": tuple(called(path[:1])),
    }
    return {field: told[field] for field in policy.fields}


def _genres(row: Mapping[str, Any]) -> Values:
    """Genres of an album: those that are given, else the first and what is half as likely."""
    if given := row.get("genres"):
        return tuple(given)
    least = _SHARE * row["probability"]
    also = (one["genre"] for one in row.get("top", ()) if one["probability"] >= least)
    return tuple(dict.fromkeys([row["genre"], *also]))


# ---- lines ----


def _line(told: Mapping[str, Any]) -> str:
    """One line; halves of characters, by which names of any bytes are told, as escapes."""
    text = json.dumps(told, ensure_ascii=False, allow_nan=False)
    return _LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and content of each line that is not empty."""
    with path.open("rb") as file:
        for number in range(1, _LINES + 2):
            line = file.readline(_LINE + 1)
            if not line:
                return
            if number > _LINES:
                raise DataError(f"{path} has more than {_LINES:,} lines; make several plans")
            if len(line) > _LINE:
                raise DataError(
                    f"{path}, line {number}: more than {_LINE:,} bytes; correct the line or "
                    "leave it out"
                )
            if not line.strip():
                continue
            try:
                said = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number}: no JSON ({error}); correct the line or leave it out"
                ) from None
            if not isinstance(said, dict):
                raise DataError(
                    f"{path}, line {number}: no object; correct the line or leave it out"
                )
            yield number, said


def _read_changes(
    path: Path, lines: Iterable[tuple[int, Mapping[str, Any]]], root: Path
) -> Iterator[Change]:
    """The changes that a plan names, each field of a file once.

    Raises
    ------
    DataError
    """
    inside, known, stamps = _Inside(root), set(), dict[Path, Any]()
    for number, said in lines:
        try:
            change = _read_change(said, root, inside)
            name = printable(str(change.path))
            if (change.path, change.field) in known:
                raise ValueError(f"{name} has another line for its {change.field}")
            if stamps.setdefault(change.path, change.stamp) != change.stamp:
                raise ValueError(f"{name} has another size or mtime_ns in another line")
        except (ValueError, OSError, _Leave) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise DataError(
                f"{path}, line {number}: {why}; correct the line or leave it out"
            ) from None
        known.add((change.path, change.field))
        yield change


def _read_change(said: Mapping[str, Any], root: Path, inside: _Inside) -> Change:
    """One line, checked.

    Raises
    ------
    ValueError, OSError, _Leave
    """
    name = said.get("path")
    if not isinstance(name, str) or not name or "\0" in name or os.path.isabs(name):
        raise ValueError(f"path is {name!r:.80}, not the path of a file below the library")
    path = root / name
    inside.check(path)
    if said.get("field") not in FIELDS:
        raise ValueError(f"field is {said.get('field')!r:.80}, none of {', '.join(FIELDS)}")
    old, new = _values(said, "old"), _values(said, "new")
    if not new:
        raise ValueError("new is empty, and a plan takes nothing away; leave the line out instead")
    for value in new:
        if value != printable(value) or not value.strip() or len(value) > LONGEST:
            raise ValueError(
                f"new has {value!r:.80}, not 1 to {LONGEST} characters that show, on one line"
            )
    sure = said.get("sure")
    if isinstance(sure, bool) or not isinstance(sure, float | int | None):
        raise ValueError(f"sure is {sure!r:.80}, no number")
    if sure is not None and not 0 <= sure <= 1:
        raise ValueError(f"sure is {sure!r:.80}, not between 0 and 1")
    size, mtime_ns = (said.get(key) for key in ("size", "mtime_ns"))
    if type(size) is not int or type(mtime_ns) is not int or size < 0:
        raise ValueError("size and mtime_ns are not those of a file, as whole numbers")
    why, album = (printable(str(said.get(key) or "")) for key in ("why", "album"))
    return Change(path, said["field"], old, new, why, sure, (size, mtime_ns), album)


def _values(said: Mapping[str, Any], key: str) -> Values:
    found = said.get(key)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError(f"{key} is {found!r:.80}, no list of texts")
    if key == "new" and len(found) > MOST:
        raise ValueError(f"{key} has {len(found):,} values, more than {MOST}")
    return tuple(found)
