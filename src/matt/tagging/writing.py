"""Writing into people's files, and undoing it: a file is the old one or the new one, never a third.

The new file is made beside the old one, compared with it (the audio by its hash, all that was not
to change by reading it, what was to change by reading it back), and how to undo it is in a journal
on the disk, before it takes the old one's place.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..audio.containers import audio_hash
from ..errors import AudioError, DataError
from ..files import lock, locks
from .delta import Delta, digest_of
from .families import Values
from .fields import everything, read_fields, write_copy
from .journal import Journal, Record, journals_folder, sync_folder

_LEFT_OVER = "matt-"  # in the names of copies, which are removed when their folder is written again
_FULL = errno.ENOSPC, errno.EDQUOT
_KEPT_BY_THE_SYSTEM = ("security.", "trusted.", "system.nfs4")  # attributes nobody else may set


@dataclass(frozen=True)
class Wish:
    """What a file is to say.

    Attributes
    ----------
    path : Path
    new : dict of str to tuple of str
        Values of some fields; an empty tuple removes one.
    stamp : (int, int) or None
        Size in bytes and time of change in nanoseconds that the file must still have.
    old : dict of str to tuple of str, optional
        What the file must still say in some fields.
    """

    path: Path
    new: Mapping[str, Values]
    stamp: tuple[int, int] | None = None
    old: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class FileOutcome:
    """What became of a file.

    Attributes
    ----------
    path : Path
    done : bool
        Whether it was changed.
    reason : str
        Why not.
    failed : bool
        Whether it should have been; not so where it says already what it is to say.
    """

    path: Path
    done: bool
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True)
class WriteOptions:
    """How files are written.

    Attributes
    ----------
    break_links : bool
        Whether a file with several names (hard links) is written; the others keep the old one.
    keep_times : bool
        Whether the time of change stays; programs that go by it then do not notice the new tags.
    separator : str
        Between the values of a field in ID3v2.3.
    """

    break_links: bool = False
    keep_times: bool = False
    separator: str = "/"


class _Refused(DataError):
    """A file that is left as it is."""


@locks()
def apply(
    wishes: Iterable[Wish],
    command: str = "matt",
    *,
    options: WriteOptions = WriteOptions(),
    journals: Path | None = None,
    told: Callable[[FileOutcome], None] | None = None,
) -> tuple[list[FileOutcome], Journal | None]:
    """Write into files, one after the other.

    Parameters
    ----------
    wishes : iterable of Wish
    command : str
        For the list of journals.
    options : WriteOptions
    journals : Path, optional
        Folder of journals; by default `journals_folder`.
    told : callable, optional
        Called after each file. What it raises ends the run; nothing is half done.

    Returns
    -------
    outcomes : list of FileOutcome
        One a file. One that cannot be written, or has changed, costs itself only.
    journal : Journal or None
        None where nothing was written.

    Raises
    ------
    DataError
        If another process writes, or the disk is full: what was done by then is whole, and the same
        call goes on.
    """
    folder = journals or journals_folder()
    lock(folder)
    outcomes: list[FileOutcome] = []
    kept = _Kept(command, folder)
    cleaned: set[Path] = set()
    for wish in wishes:
        with _telling(wish.path, outcomes, "written"):
            path = _real(wish.path)
            if path.parent not in cleaned:
                _remove_leftovers(path.parent)
                cleaned.add(path.parent)
            written = _write(path, wish, kept, options)
            outcomes.append(
                FileOutcome(wish.path, written, "" if written else "it says so already")
            )
        if told is not None:
            told(outcomes[-1])
    return outcomes, kept.journal


@dataclass
class _Kept:
    """The journal of a run, begun with the first file that is written."""

    command: str
    folder: Path
    journal: Journal | None = field(default=None)

    def add(self, record: Record) -> None:
        if self.journal is None:
            self.journal = Journal.create(self.command, self.folder)
        self.journal.add(record)


@locks()
def undo(
    journal: Journal, *, told: Callable[[FileOutcome], None] | None = None
) -> list[FileOutcome]:
    """Give files the bytes that they had before a run, the last one first.

    Parameters
    ----------
    journal : Journal
    told : callable, optional
        Called after each file.

    Returns
    -------
    list of FileOutcome
        One a file that is not undone yet. One that has changed since, or is gone, is left alone.
        What was interrupted is done by undoing again.

    Raises
    ------
    DataError
        If another process writes, or the disk is full.
    """
    lock(journal.path.parent)
    outcomes: list[FileOutcome] = []
    for record in reversed(journal.open_records()):
        path = Path(record.path)
        with _telling(path, outcomes, "undone"):
            _remove_leftovers(path.parent)
            done = _restore(path, record)
            journal.add_undone(record)
            outcomes.append(FileOutcome(path, done, "" if done else "it is as it was"))
        if told is not None:
            told(outcomes[-1])
    return outcomes


@contextmanager
def _telling(path: Path, outcomes: list[FileOutcome], what: str) -> Iterator[None]:
    """Make an outcome of what goes wrong with one file; a full disk ends the run."""
    try:
        yield
    except _Refused as refusal:
        outcomes.append(FileOutcome(path, False, str(refusal), failed=True))
    except OSError as error:
        if error.errno in _FULL:
            n = sum(one.done for one in outcomes)
            raise DataError(
                f"the disk is full at {path}; {n:,} file{'s were' if n != 1 else ' was'} {what} "
                "before, this one is as it was; free some space and run the same command again"
            ) from error
        told = error.strerror or str(error)
        outcomes.append(FileOutcome(path, False, told, failed=True))
    except (DataError, AudioError) as error:
        told = str(error).removeprefix(f"{path} ")  # which stands before it wherever it is shown
        outcomes.append(FileOutcome(path, False, told, failed=True))


# ---- one file ----


def _write(path: Path, wish: Wish, kept: _Kept, options: WriteOptions) -> bool:
    """Write one file; whether there was anything to change."""
    was = _usable(path, wish.stamp, break_links=options.break_links)
    said = read_fields(path)
    if any(said[name] != values for name, values in wish.old.items()):
        raise _Refused("it says something else than the plan takes it to say; make a new plan")
    new = {name: values for name, values in wish.new.items() if said[name] != values}
    if not new:
        return False
    before, audio, whole = digest_of(path), audio_hash(path), everything(path)
    with _beside(path) as copy:
        stored = write_copy(path, copy, new, separator=options.separator)
        if all(stored[name] == dict(whole.fields[name]) for name in new):
            return False  # as far as its format can say so
        _dress(copy, path, was, keep_times=options.keep_times)
        now = everything(copy)
        if audio_hash(copy) != audio:
            raise _Refused("its audio would have changed")
        others = {name: told for name, told in whole.fields.items() if name not in new}
        if now.rest != whole.rest or any(now.fields[name] != told for name, told in others.items()):
            raise _Refused("other tags of it would have changed")
        if any(dict(now.fields[name]) != told for name, told in stored.items()):
            raise _Refused("what was written did not read back")
        delta = Delta.between(path, copy)
        if delta.digest(copy) != before or not _same(path, was):
            raise _Refused("it was changed by another program meanwhile")
        kept.add(
            Record(
                str(path),
                before,
                digest_of(copy),
                was.st_mtime_ns,
                delta,
                {name: said[name] for name in new},
                dict(new),
            )
        )
        _replace(copy, path, was)
    return True


def _restore(path: Path, record: Record) -> bool:
    """Give one file its old bytes; whether that changed it."""
    if not path.exists():
        raise _Refused("it is gone")
    was = _usable(path, None, break_links=True)
    now = digest_of(path)
    if now == record.before:
        return False
    if now != record.after:
        raise _Refused("it has changed since; if matt did that, undo the later run first")
    with _beside(path) as copy:
        with open(copy, "wb") as file:
            for piece in record.delta.undone(path):
                file.write(piece)
        _dress(copy, path, was, keep_times=True)
        os.utime(copy, ns=(was.st_atime_ns, record.mtime_ns))
        if digest_of(copy) != record.before:
            raise _Refused("the journal does not lead back to what it was")
        if not _same(path, was):
            raise _Refused("it was changed by another program meanwhile")
        _replace(copy, path, was)
    return True


def _real(path: Path) -> Path:
    """The file that a path leads to, through links."""
    try:
        return Path(os.path.realpath(path, strict=True))
    except OSError as error:
        raise _Refused(error.strerror or str(error)) from error


def _usable(path: Path, stamp: tuple[int, int] | None, *, break_links: bool) -> os.stat_result:
    """Refuse what is not to be written."""
    was = os.lstat(path)
    if not stat.S_ISREG(was.st_mode):
        raise _Refused("it is no regular file")
    if stamp is not None and stamp != (was.st_size, was.st_mtime_ns):
        raise _Refused("it has changed since the plan was made")
    if was.st_nlink > 1 and not break_links:
        raise _Refused(
            "it has several names (hard links); --break-links writes this one and leaves the others"
        )
    if not os.access(path, os.W_OK) or not was.st_mode & 0o222:
        raise _Refused("it is read-only")
    if not os.access(path.parent, os.W_OK):
        raise _Refused("its folder is read-only")
    return was


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a place for a copy in the same folder, which is gone afterwards."""
    copy = path.with_name(f".{_LEFT_OVER}{uuid.uuid4().hex}{path.suffix[:16]}")
    try:
        yield copy
    finally:
        with suppress(OSError):
            copy.unlink()


def _remove_leftovers(folder: Path) -> None:
    """Remove copies of a run that was killed; there is no other now, as this one has the lock."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(f".{_LEFT_OVER}") and _is_copy(entry):
                os.unlink(entry.path)


def _is_copy(entry: os.DirEntry[str]) -> bool:
    name = entry.name.removeprefix(f".{_LEFT_OVER}")[:32]
    return (
        len(name) == 32
        and set(name) <= set("0123456789abcdef")
        and entry.is_file(follow_symlinks=False)
    )


def _dress(copy: Path, path: Path, was: os.stat_result, *, keep_times: bool) -> None:
    """Give a copy mode, owner and attributes of the file, and put it on the disk."""
    now = os.stat(copy)
    shutil.copystat(path, copy)
    if not keep_times:
        os.utime(copy, ns=(was.st_atime_ns, now.st_mtime_ns))
    if hasattr(os, "chown"):
        made = os.stat(copy)
        if (made.st_uid, made.st_gid) != (was.st_uid, was.st_gid):
            try:
                os.chown(copy, was.st_uid, was.st_gid)
            except OSError as error:
                raise _Refused("it belongs to somebody else, who would lose it") from error
            os.chmod(copy, stat.S_IMODE(was.st_mode))  # a change of owner takes bits away
    if _attributes(copy) != _attributes(path):
        raise _Refused("its extended attributes or access lists cannot be kept here")
    with open(copy, "rb+") as file:
        os.fsync(file.fileno())


def _attributes(path: Path) -> dict[str, Any]:
    """Extended attributes, and lists of who may read, which Linux keeps there."""
    if not hasattr(os, "listxattr"):
        return {}
    with suppress(OSError):
        return {
            name: os.getxattr(path, name)
            for name in os.listxattr(path)
            if not name.startswith(_KEPT_BY_THE_SYSTEM)
        }
    return {}


def _same(path: Path, was: os.stat_result) -> bool:
    """Whether a file is still the one that was looked at."""
    names = ("st_ino", "st_dev", "st_size", "st_mtime_ns", "st_ctime_ns")
    now = os.lstat(path)
    return all(getattr(now, name) == getattr(was, name) for name in names)


def _replace(copy: Path, path: Path, was: os.stat_result) -> None:
    if not _same(path, was):
        raise _Refused("it was changed by another program meanwhile")
    os.replace(copy, path)
    sync_folder(path.parent)
