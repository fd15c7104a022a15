"""Journals: what was written into which file, and how to make it what it was.

A journal is a file of JSON lines, one run each. A line carries a check sum, is only ever added, and
is on the disk before the file that it tells of is replaced. So a last line that is cut off tells of
nothing that was done, and a journal that is damaged loses the damaged lines alone.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import DataError, first_few
from ..files import lock, locks
from .delta import Delta, digest_of
from .families import FIELDS, Values

SCHEMA, SUFFIX = "matt.journal/1", ".jsonl"
SIDECAR = "matt-genres.json"  # what is no audio has this name, and may have been made anew
_NAME = re.compile(r"\d{4}-\d\d-\d\d-\d{6}-[0-9a-f]{6}")
_MOST_LINE = 1 << 28  # bytes


def journals_folder() -> Path:
    """Where journals lie: not in the cache, which can be made again.

    ``$MATT_JOURNALS`` names the folder; by default it is in the system's for data of users.
    """
    import platformdirs

    given = os.environ.get("MATT_JOURNALS")
    return Path(given).absolute() if given else platformdirs.user_data_path("matt") / "journals"


@dataclass(frozen=True)
class Record:
    """What was done to one file.

    Attributes
    ----------
    path : str
        Absolute; bytes that are no UTF-8 as the file system's decoding has them.
    before, after : str
        SHA-256 of the whole file; ``before`` is None of a sidecar that was not there.
    mtime_ns : int
        When it had been changed last; before 1970 below 0.
    delta : Delta
    old, new : dict of str to tuple of str
        Values of the fields that were written; none of a sidecar.
    library : str or None
        Absolute, without links: the folder that nothing outside of was written; None if not known.
    """

    path: str
    before: str | None
    after: str
    mtime_ns: int
    delta: Delta
    old: Mapping[str, Values]
    new: Mapping[str, Values]
    library: str | None = None

    def line(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        told = self.delta
        return {
            "kind": "written",
            "path": self.path,
            "library": self.library,
            "before": self.before,
            "after": self.after,
            "mtime_ns": self.mtime_ns,
            "sizes": [told.old_size, told.new_size, told.prefix, told.suffix],
            "pieces": [base64.b64encode(piece).decode("ascii") for piece in told.pieces],
            "old": {name: list(values) for name, values in self.old.items()},
            "new": {name: list(values) for name, values in self.new.items()},
        }

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Record:
        """Read it from JSON.

        Raises
        ------
        DataError
            If it is none.
        """
        try:
            path, before, after = (line[name] for name in ("path", "before", "after"))
            old_size, new_size, prefix, suffix = (_whole(n) for n in line["sizes"])
            pieces = tuple(base64.b64decode(one, validate=True) for one in line["pieces"])
            library = line.get("library")
            if not all(os.path.isabs(one) and "\0" not in one for one in (path, library or path)):
                raise ValueError("no absolute path")
            made = before is None and os.path.basename(path) == SIDECAR
            if any(len(bytes.fromhex(one)) != 32 for one in (after if made else before, after)):
                raise ValueError("no SHA-256")
            delta = Delta(prefix, suffix, old_size, new_size, pieces)
            old, new = (_values(line[name]) for name in ("old", "new"))
            mtime_ns = _whole(line["mtime_ns"], -(1 << 63))
            return cls(path, before, after, mtime_ns, delta, old, new, library)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"a line of a journal makes no sense: {error}") from error

    @property
    def stands(self) -> bool:
        """Whether undoing may do anything: the file is neither gone nor changed since."""
        told = self.delta
        try:
            now = os.stat(self.path)
            if not stat.S_ISREG(now.st_mode) or now.st_size not in (told.old_size, told.new_size):
                return False
            return digest_of(Path(self.path)) in (self.before, self.after)
        except (FileNotFoundError, NotADirectoryError):
            return self.before is None
        except OSError:  # it is there, and what keeps it from being read may pass
            return True


def _whole(value: Any, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 1 << 63:
        raise ValueError(f"{value!r} is no whole number from {least} on")
    return value


def _values(told: Any) -> dict[str, Values]:
    if type(told) is not dict:
        raise ValueError("fields are no object")
    if not all(name in FIELDS and all(type(v) is str for v in some) for name, some in told.items()):
        raise ValueError("fields and their texts are something else")
    return {name: tuple(values) for name, values in told.items()}


class Journal:
    """One journal.

    Parameters
    ----------
    path : Path
    head : dict, optional
        First line of a new one, which is written with the second: a journal tells of something.
    """

    def __init__(self, path: Path, head: Mapping[str, Any] | None = None) -> None:
        self.path, self._first = path, head

    @classmethod
    def create(cls, command: str, folder: Path | None = None) -> Journal:
        """Begin a journal; it is a file from its first record on.

        Parameters
        ----------
        command : str
            What is done, for who reads the list.
        folder : Path, optional
            By default `journals_folder`.
        """
        folder = folder or journals_folder()
        make_folder(folder)
        name = f"{time.strftime('%Y-%m-%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        head = {"kind": "begun", "schema": SCHEMA, "command": command, "when": time.time()}
        return cls(folder / f"{name}{SUFFIX}", head)

    @classmethod
    def open(cls, name: str, folder: Path | None = None) -> Journal:
        """Open a journal of a folder, by default of `journals_folder`, by its name.

        Raises
        ------
        DataError
            If there is none.
        """
        for journal in all_journals(folder):
            if name in (journal.name, journal.path.name):
                return journal
        raise DataError(
            f"there is no run {name}; 'matt undo --list' names those that are there, by names "
            "alone: MATT_JOURNALS names another folder of them"
        )

    @classmethod
    def last(cls, folder: Path | None = None) -> tuple[Journal, list[Journal]]:
        """Find the last run that can still be taken back.

        Returns
        -------
        journal : Journal
        passed : list of Journal
            Later ones: what is left of them is gone, has changed since, or is damaged.

        Raises
        ------
        DataError
            If there is none; names those that are passed over.
        """
        folder = folder or journals_folder()
        passed: list[Journal] = []
        for journal in all_journals(folder):
            if any(record.stands for record in journal.open_records()):
                return journal, passed
            if journal.n_left:
                passed.append(journal)
        why = passed_over(passed) if passed else f"no journal in {folder} has a file left"
        raise DataError(f"there is nothing to undo: {why}")

    @property
    def name(self) -> str:
        """By which a person names it."""
        return self.path.stem

    def add(self, record: Record) -> None:
        """Note what is about to be done; it is on the disk when this returns.

        Raises
        ------
        DataError
            If it could not be read again: then nothing is noted.
        """
        line = record.line()
        Record.of(line)
        self._append(line)

    def add_undone(self, record: Record) -> None:
        """Note that a file is what it was."""
        self._append({"kind": "undone", "path": record.path, "after": record.after})

    def forget(self) -> None:
        """Remove it: what it tells of cannot be undone any more.

        Raises
        ------
        DataError
            If another process writes journals.
        """
        with locks():
            lock(self.path.parent)
            self.path.unlink()

    def _append(self, told: Mapping[str, Any]) -> None:
        first = [] if self._first is None else [_line(self._first)]
        new = b"".join([*first, _line(told)])
        if len(new) > _MOST_LINE:
            raise DataError(
                f"undoing it would need {len(new) / 1e6:,.0f} MB, more than a journal holds of a "
                "file; write its genres beside it with --sidecar"
            )
        with open(self.path, "ab+") as file:
            end = file.seek(0, 2)
            try:
                tail = _tail(file, end)  # where a run was killed
                if _parsed(tail) is not None:
                    new = b"\n" + new
                else:
                    end -= len(tail)
                    file.truncate(end)
                file.write(new)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                os.ftruncate(file.fileno(), end)  # no half line where the disk is full
                if not end:
                    self.path.unlink()
                raise
        if self._first is not None:
            self._first = None
            sync_folder(self.path.parent)

    def _lines(self) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Number and content of each line, None where it is damaged; none that is cut off."""
        with open(self.path, "rb") as file:
            for number, line in enumerate(iter(partial(file.readline, _MOST_LINE), b""), start=1):
                told = _parsed(line)
                if told is not None or (line.endswith(b"\n") and line.strip()):
                    yield number, told

    def _read(self) -> tuple[list[Record], set[tuple[str, str]], list[int]]:
        """What was done, what of it is undone, and the numbers of damaged lines."""
        records, undone, damaged = [], set(), []
        for number, line in self._lines():
            try:
                kind = None if line is None else line.get("kind")
                if line is None:
                    raise DataError("it is damaged")
                if kind == "written":
                    records.append(Record.of(line))
                elif kind == "undone":
                    undone.add((str(line.get("path")), str(line.get("after"))))
            except DataError:
                damaged.append(number)
        return records, undone, damaged

    @property
    def damaged(self) -> list[int]:
        """Numbers of the lines, from 1 on, that are damaged or make no sense."""
        return self._read()[2]

    @property
    def n_left(self) -> int:
        """How many files are not undone; a damaged line counts as one."""
        records, undone, damaged = self._read()
        return sum((one.path, one.after) not in undone for one in records) + len(damaged)

    @property
    def head(self) -> Mapping[str, Any]:
        """The first line: ``command`` and ``when``; empty where it is damaged."""
        line = next((line for _, line in self._lines()), None) or {}
        return line if line.get("kind") == "begun" else {}

    @property
    def when(self) -> float:
        """Seconds since 1970."""
        told = self.head.get("when")
        usable = isinstance(told, float) and math.isfinite(told)
        return told if usable and told is not None else self.path.stat().st_mtime

    @property
    def n_bytes(self) -> int:
        """On disk."""
        return self.path.stat().st_size

    def records(self) -> list[Record]:
        """All that was done, in order; lines that make no sense are left out."""
        return self._read()[0]

    def open_records(self) -> list[Record]:
        """What was done and is not undone, in order."""
        records, undone, _ = self._read()
        return [one for one in records if (one.path, one.after) not in undone]


def passed_over(journals: Sequence[Journal]) -> str:
    """Why runs are passed over, and what can be done with them."""
    name = journals[0].name
    return (
        f"what is left of {first_few(one.name for one in journals)} is gone, has changed since, or "
        f"is damaged in the journal; 'matt undo {name}' names it and tries again, "
        f"'matt undo --prune {name}' forgets it"
    )


def _check(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:16]


def _line(told: Mapping[str, Any]) -> bytes:
    text = json.dumps(told)
    return f"{_check(text)} {text}\n".encode("ascii")


def _tail(file: BinaryIO, end: int) -> bytes:
    """What stands after the end of the last line."""
    file.seek(max(end - 1, 0))
    if file.read(1) in (b"\n", b""):
        return b""
    file.seek(max(end - _MOST_LINE, 0))
    return file.read().rpartition(b"\n")[2]


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line whose check sum is right, whatever one or two signs end it."""
    try:
        check, text = line.decode("latin-1").split(" ", 1)
        told, end = json.JSONDecoder().raw_decode(text)
        whole = check == _check(text[:end]) and len(text) - end <= 2
    except (ValueError, RecursionError):
        return None
    return told if whole and type(told) is dict else None


def all_journals(folder: Path | None = None) -> list[Journal]:
    """All journals of a folder, the newest first; what is none, such as a plan, is left out."""
    folder = folder or journals_folder()
    found = [Journal(path) for path in folder.glob(f"*{SUFFIX}") if path.is_file()]
    journals = [one for one in found if _NAME.fullmatch(one.name) or one.head]
    return sorted(journals, key=lambda journal: (journal.when, journal.name), reverse=True)


@locks()
def prune(folder: Path | None = None, *, before: float) -> list[Journal]:
    """Forget what was begun before a time, in seconds since 1970.

    Raises
    ------
    DataError
        If another process writes journals.
    """
    lock(folder or journals_folder())
    gone = [one for one in all_journals(folder) if one.when < before]
    for journal in gone:
        journal.forget()
    return gone


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, and have them on the disk."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in new:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Have the entries of a folder on the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
