"""Journals: what was written into which file, and how to make it what it was.

A journal is a file of JSON lines, one run each. A line carries a check sum, is only ever added, and
is on the disk before the file that it tells of is replaced. So a journal that is cut off has lost
nothing that was done, and one that is damaged loses the damaged lines alone.
"""

from __future__ import annotations

import base64
import json
import math
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import DataError
from .delta import Delta
from .families import FIELDS, Values

SCHEMA, SUFFIX = "matt.journal/1", ".jsonl"
SIDECAR = "matt-genres.json"  # what is no audio has this name, and may have been made anew
_MOST_LINE = 1 << 28  # bytes
_A_DAY = 86_400.0


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
        When it had been changed last.
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
            return cls(path, before, after, _whole(line["mtime_ns"]), delta, old, new, library)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"a line of a journal makes no sense: {error}") from error


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r} is no whole number from 0 on")
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
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, command: str, folder: Path | None = None) -> Journal:
        """Begin a journal.

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
        journal = cls(folder / f"{name}{SUFFIX}")
        journal._append(
            {"kind": "begun", "schema": SCHEMA, "command": command, "when": time.time()}
        )
        sync_folder(folder)
        return journal

    @classmethod
    def open(cls, name: str | Path | None = None, folder: Path | None = None) -> Journal:
        """Open a journal by its name or file; by default the last one that is not undone.

        Raises
        ------
        DataError
            If there is none.
        """
        folder = folder or journals_folder()
        if name is None:
            for journal in all_journals(folder):
                if journal.open_records():
                    return journal
            raise DataError(f"there is nothing to undo: no journal in {folder} has a file left")
        for place in (Path(name), folder / f"{name}{SUFFIX}"):
            if place.suffix == SUFFIX and place.is_file():
                return cls(place)
        raise DataError(
            f"there is no journal {name}; 'matt undo --list' names those that are there"
        )

    @property
    def name(self) -> str:
        """By which a person names it."""
        return self.path.stem

    def add(self, record: Record) -> None:
        """Note what is about to be done; it is on the disk when this returns."""
        self._append(record.line())

    def add_undone(self, record: Record) -> None:
        """Note that a file is what it was."""
        self._append({"kind": "undone", "path": record.path, "after": record.after})

    def _append(self, told: Mapping[str, Any]) -> None:
        text = json.dumps(told)
        line = f"{_check(text)} {text}\n".encode("ascii")
        with open(self.path, "ab") as file:
            end = file.seek(0, 2)
            try:
                # After one that was cut off, a line of its own.
                file.write((b"\n" if end and not _ends_a_line(self.path, end) else b"") + line)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                os.ftruncate(file.fileno(), end)  # no half line where the disk is full
                raise

    def _lines(self) -> tuple[list[dict[str, Any]], int]:
        """Lines that are whole, and how many are not."""
        found, damaged = [], 0
        with open(self.path, "rb") as file:
            while line := file.readline(_MOST_LINE):
                told = _parsed(line)
                if told is None:
                    damaged += bool(line.strip())
                else:
                    found.append(told)
        return found, damaged

    @property
    def n_damaged(self) -> int:
        """How many lines are damaged or cut off."""
        return self._lines()[1]

    @property
    def head(self) -> Mapping[str, Any]:
        """The first line: ``command`` and ``when``; empty where it is damaged."""
        return next((line for line in self._lines()[0] if line.get("kind") == "begun"), {})

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
        return list(self._records())

    def _records(self) -> Iterator[Record]:
        for line in self._lines()[0]:
            if line.get("kind") == "written":
                try:
                    yield Record.of(line)
                except DataError:
                    continue

    def open_records(self) -> list[Record]:
        """What was done and is not undone, in order."""
        undone = {
            (line.get("path"), line.get("after"))
            for line in self._lines()[0]
            if line.get("kind") == "undone"
        }
        return [one for one in self._records() if (one.path, one.after) not in undone]


def _check(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:16]


def _ends_a_line(path: Path, end: int) -> bool:
    with open(path, "rb") as file:
        file.seek(end - 1)
        return file.read(1) == b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line whose check sum is right."""
    try:
        check, text = line.decode("ascii").rstrip("\n").split(" ", 1)
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if line.endswith(b"\n") and check == _check(text) and type(told) is dict else None


def all_journals(folder: Path | None = None) -> list[Journal]:
    """All journals of a folder, the newest first."""
    folder = folder or journals_folder()
    found = [Journal(path) for path in folder.glob(f"*{SUFFIX}") if path.is_file()]
    return sorted(found, key=lambda journal: (journal.when, journal.name), reverse=True)


def prune(folder: Path | None = None, *, older_than: float) -> list[Journal]:
    """Remove journals older than some days: what they tell of cannot be undone any more."""
    gone = [one for one in all_journals(folder) if time.time() - one.when > older_than * _A_DAY]
    for journal in gone:
        journal.path.unlink()
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
