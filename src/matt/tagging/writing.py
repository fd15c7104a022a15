"""Writing into people's files, and undoing it: a file is the old one or the new one, never a third.

The new file is made beside the old one, compared with it (the audio by its hash, all that was not
to change by reading it, what was to change by reading it back), and how to undo it is in a journal
on the disk, before it takes the old one's place.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..audio.containers import audio_hash
from ..errors import AudioError, DataError
from ..files import lock, locks
from .delta import Delta, digest_of
from .families import Values
from .fields import BESIDE, everything, family_of, read_fields, write_copy
from .journal import SIDECAR, Journal, Record, journals_folder, make_folder, sync_folder

_COPY, _NOTE = re.compile(r"\.matt-[0-9a-f]{32}.*"), ".copies"
_FULL = errno.ENOSPC, errno.EDQUOT
_ELSEWHERE = "make the folder writable, or name another with MATT_JOURNALS"
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
    library : Path or None
        Folder that must hold the file, wherever links lead.
    """

    path: Path
    new: Mapping[str, Values]
    stamp: tuple[int, int] | None = None
    old: Mapping[str, Values] = field(default_factory=dict)
    library: Path | None = None


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


_MEANWHILE = "it was changed by another program meanwhile"


class _Refused(DataError):
    """A file that is left as it is."""


class _NoJournal(DataError):
    """Nothing can be noted of a file, nor of any after it."""


Told = Callable[[FileOutcome], None]


@locks()
def apply(
    wishes: Iterable[Wish],
    command: str = "matt",
    *,
    options: WriteOptions = WriteOptions(),
    journals: Path | None = None,
    told: Told | None = None,
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
        If another process writes, the disk is full, or no journal can be written: what was done by
        then is whole, is told in a note of the error, and the same call goes on.
    """
    run = _Run(command, journals or journals_folder())
    with _ended(run, "written"):
        for wish in wishes:
            with _telling(wish.path, run.outcomes, told):
                run.outcomes.append(_outcome(wish.path, _write(run, wish, options)))
    return run.outcomes, run.journal


@locks()
def put(
    contents: Mapping[Path, Callable[[], bytes]],
    command: str = "matt",
    *,
    library: Path | None = None,
    break_links: bool = False,
    journals: Path | None = None,
    told: Told | None = None,
) -> tuple[list[FileOutcome], Journal | None]:
    """Put sidecars into folders, or others in their place, as `apply` writes into files.

    Parameters
    ----------
    contents : mapping of Path to callable
        What gives the bytes of each; a `DataError` that it raises is why the file is left alone.
    command, journals, told
        As in `apply`.
    library : Path, optional
        Folder that must hold them all, wherever links lead.
    break_links : bool
        As in `WriteOptions`.

    Returns
    -------
    outcomes, journal
        As `apply`.

    Raises
    ------
    DataError
        As `apply`.
    """
    run = _Run(command, journals or journals_folder())
    with _ended(run, "written"):
        for path, content in contents.items():
            with _telling(path, run.outcomes, told):
                run.outcomes.append(_outcome(path, _put(run, path, content, library, break_links)))
    return run.outcomes, run.journal


@locks()
def undo(
    journal: Journal, *, break_links: bool = False, told: Told | None = None
) -> list[FileOutcome]:
    """Give files the bytes that they had before a run, the last one first.

    A journal is not trusted: where it does not lead back to what was there, or would change audio,
    or leads through a link or out of the library that was written, a file is left alone.

    Parameters
    ----------
    journal : Journal
    break_links : bool
        As in `WriteOptions`.
    told : callable, optional
        Called after each file.

    Returns
    -------
    list of FileOutcome
        One a file that is not undone yet. One that has changed since, or is gone, is left alone.
        What was interrupted is done by undoing again. A damaged line of the journal is a file that
        is left alone, too.

    Raises
    ------
    DataError
        If another process writes, the disk is full, or the journal cannot be written.
    """
    run = _Run("", journal.path.parent, journal)
    with _ended(run, "given back"):
        for record in reversed(journal.open_records()):
            path = Path(record.path)
            with _telling(path, run.outcomes, told):
                done = _restore(run, record, break_links=break_links)
                with run.noting():
                    journal.add_undone(record)
                run.outcomes.append(_outcome(path, done, "it is as it was"))
        for number in journal.damaged:
            with _telling(journal.path, run.outcomes, told):
                raise _Refused(
                    f"line {number} is damaged; what file it told of, if any, stays as it is"
                )
    return run.outcomes


@locks()
def clean_up(journals: Path | None = None) -> None:
    """Remove the copies that a killed run has left, as each run does when it begins.

    Parameters
    ----------
    journals : Path, optional
        As in `apply`.

    Raises
    ------
    DataError
        If another process writes, or the folder of journals cannot be written.
    """
    _Run("", journals or journals_folder())


def _outcome(path: Path, done: bool, otherwise: str = "it says so already") -> FileOutcome:
    return FileOutcome(path, done, "" if done else otherwise)


class _Run:
    """One run: the only one with these journals; its own begins with the first file written.

    Copies lie beside files, one at a time. Where is noted beside the journals before it is made, so
    that the next run removes what a killed one has left, and nothing else.
    """

    def __init__(self, command: str, folder: Path, journal: Journal | None = None) -> None:
        with suppress(OSError):
            make_folder(folder)
        lock(folder)
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise _NoJournal(f"no journal can be written in {folder}, and so no file; {_ELSEWHERE}")
        self.outcomes: list[FileOutcome] = []
        self.journal = journal
        self._command, self._folder, self._note = command, folder, folder / _NOTE
        self._left = [name for name in self._noted() if not _removed(name)]

    def add(self, record: Record) -> None:
        """Note how to undo what is about to be done."""
        with self.noting():
            journal = self.journal or Journal.create(self._command, self._folder)
            journal.add(record)
        self.journal = journal

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Have what goes wrong with the folder of journals be told of it, and end the run."""
        try:
            yield
        except OSError as error:
            if _is_full(error):
                raise _NoJournal(
                    f"the disk of the journals is full, at {self._folder}; no file is half done; "
                    "free some space there and do the same again"
                ) from error
            raise _NoJournal(
                f"no journal can be written in {self._folder} ({error.strerror or error}), and so "
                f"no file; {_ELSEWHERE}"
            ) from error

    @contextmanager
    def beside(self, path: Path) -> Iterator[Path]:
        """Give a place for a copy in the same folder, which is gone afterwards."""
        copy = path.with_name(f".matt-{uuid.uuid4().hex}{path.suffix[:16]}")
        with self.noting(), open(self._note, "wb") as file:
            file.write(b"".join(os.fsencode(name) + b"\0" for name in (*self._left, str(copy))))
            file.flush()
            os.fsync(file.fileno())
        try:
            yield copy
        finally:
            with suppress(OSError):
                copy.unlink()

    def _noted(self) -> list[str]:
        try:
            names = self._note.read_bytes().split(b"\0")
        except FileNotFoundError:
            return []
        return [os.fsdecode(name) for name in names if _COPY.fullmatch(_name(name))]


def _name(path: bytes) -> str:
    """The last part of an absolute path; nothing of another."""
    return os.path.basename(os.fsdecode(path)) if os.path.isabs(path) else ""


def _removed(copy: str) -> bool:
    """Remove what a killed run has left; False where its disk may be away."""
    try:
        if stat.S_ISREG(os.lstat(copy).st_mode):
            os.unlink(copy)
    except FileNotFoundError:
        return os.path.isdir(os.path.dirname(copy))
    except OSError:
        return False
    return True


@contextmanager
def _ended(run: _Run, what: str) -> Iterator[None]:
    """Note on whatever ends a run early how many files were done, and how that is undone."""
    try:
        yield
    except BaseException as error:
        n = sum(one.done for one in run.outcomes)
        note = f"{n:,} file{'s were' if n != 1 else ' was'} {what}"
        if run.journal is not None and what == "written":
            note += f", and 'matt undo {run.journal.name}' takes it back"
        error.add_note(note)
        raise


@contextmanager
def _telling(path: Path, outcomes: list[FileOutcome], told: Told | None) -> Iterator[None]:
    """Make an outcome of what goes wrong with one file, and tell it; a full disk ends the run."""
    try:
        yield
    except _NoJournal:
        raise
    except (DataError, AudioError, OSError) as error:
        if _is_full(error):
            raise DataError(
                f"the disk is full at {path}; no file is half done; free some space and do the "
                "same again"
            ) from error
        why = str(error).removeprefix(f"{path} ")  # which stands before it wherever it is shown
        if isinstance(error, OSError) and not isinstance(error, AudioError):
            why = f"{error.strerror or error}; check its permissions, and those of its folder"
        outcomes.append(FileOutcome(path, False, why, failed=True))
    if told is not None:
        told(outcomes[-1])


def _is_full(error: BaseException | None) -> bool:
    """Whether it is of a full disk, or of a quota, or comes of one: parsers wrap what they meet."""
    seen: set[int] = set()
    asked = [error]
    while asked:
        one = asked.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, OSError) and one.errno in _FULL:
                return True
            asked += [one.__cause__, one.__context__]
    return False


# ---- one file ----


def _write(run: _Run, wish: Wish, options: WriteOptions) -> bool:
    """Write one file; whether there was anything to change."""
    path = _real(wish.path, wish.library)
    was = _regular(path)
    said = read_fields(path)
    new = {name: values for name, values in wish.new.items() if said[name] != values}
    if not new:
        return False
    stale = _stale(wish, was, said)
    # It may say so as far as its format can: a copy tells.
    perhaps = all(value in "\0".join(said[name]) for name in new for value in new[name])
    if stale and not perhaps:
        raise _Refused(stale)
    _check_usable(path, was, break_links=options.break_links)
    with _held(path):
        before, audio, whole = digest_of(path), audio_hash(path), everything(path, new)
        with run.beside(path) as copy:
            stored = write_copy(path, copy, new, separator=options.separator)
            if all(stored[name] == whole.fields[name] for name in new):
                return False  # as far as its format can say so
            if stale:
                raise _Refused(stale)
            _dress(copy, path, was, was.st_mtime_ns if options.keep_times else None)
            now = everything(copy, new)
            if audio_hash(copy) != audio:
                raise _Refused(f"its audio would have changed; {BESIDE}")
            if lost := whole.lost(now):
                raise _Refused(f"{lost} would not have stayed as it is; {BESIDE}")
            if any(now.fields[name] != told for name, told in stored.items()):
                raise _Refused(f"what was written did not read back; {BESIDE}")
            old = {name: said[name] for name in new}
            _exchange(run, copy, path, was, before, _library(wish.library), old, new)
    return True


def _stale(wish: Wish, was: os.stat_result, said: Mapping[str, Values]) -> str:
    """Why a file is not the one that was planned for; empty where it is."""
    if wish.stamp not in (None, (was.st_size, was.st_mtime_ns)):
        return "it has changed since the plan was made"
    if any(said[name] != values for name, values in wish.old.items()):
        return "it says something else than the plan takes it to say; make a new plan"
    return ""


def _put(
    run: _Run, path: Path, content: Callable[[], bytes], library: Path | None, break_links: bool
) -> bool:
    """Put one sidecar where it belongs; whether that changed anything."""
    path = _real(path.parent, library) / path.name
    with _held(path.parent):
        was = before = None
        if os.path.lexists(path):
            was = _regular(path)
            before = digest_of(path)
        new = content()
        if before == sha256(new).hexdigest():
            return False
        if was is None:
            _check_writable(path.parent, os.stat(path.parent), "its folder")
        else:
            _check_usable(path, was, break_links=break_links)
        with run.beside(path) as copy:
            copy.write_bytes(new)
            if was is None:
                _sync(copy)
            else:
                _dress(copy, path, was, None)
            _exchange(run, copy, path, was, before, _library(library))
    return True


def _exchange(
    run: _Run,
    copy: Path,
    path: Path,
    was: os.stat_result | None,
    before: str | None,
    library: str | None,
    old: Mapping[str, Values] | None = None,
    new: Mapping[str, Values] | None = None,
) -> None:
    """Have a copy take the place of a file, once the journal holds how to undo that."""
    if was is None:
        delta = Delta(0, 0, 0, copy.stat().st_size, ())
    else:
        delta = Delta.between(path, copy)
        if delta.digest(copy) != before or not _same(path, was):
            raise _Refused(_MEANWHILE)
    mtime_ns = 0 if was is None else was.st_mtime_ns
    after = digest_of(copy)
    run.add(Record(str(path), before, after, mtime_ns, delta, old or {}, new or {}, library))
    _replace(copy, path, was)


def _restore(run: _Run, record: Record, *, break_links: bool) -> bool:
    """Give one file its old bytes; whether that changed it."""
    path = Path(record.path)
    _check_place(path, record.library)
    if not os.path.lexists(path):
        if record.before is None:
            return False
        raise _Refused(_gone(record.library))
    was = _regular(path)
    now = digest_of(path)
    if now == record.before:
        return False
    if now != record.after:
        raise _Refused("it has changed since; if matt did that, undo the later run first")
    _check_usable(path, was, break_links=break_links)
    with _held(path.parent if path.name == SIDECAR else path):
        if record.before is None:
            if not _same(path, was):
                raise _Refused(_MEANWHILE)
            os.unlink(path)
            sync_folder(path.parent)
            return True
        with run.beside(path) as copy:
            with open(copy, "wb") as file:
                for piece in record.delta.undone(path):
                    file.write(piece)
            if digest_of(copy) != record.before:
                raise _Refused("the journal does not lead back to what it was")
            if path.name != SIDECAR:
                _check_audio(path, copy)
            _dress(copy, path, was, record.mtime_ns)
            _replace(copy, path, was)
    return True


def _gone(library: str | None) -> str:
    """What is to be done about a file that is not where it was written."""
    if library is None or os.path.isdir(library):
        return "it is gone; put it back in its place and undo again"
    return f"its library {library} is not there; put it, or its disk, back there and undo again"


def _check_audio(path: Path, copy: Path) -> None:
    """Refuse what no run has written: a file of another kind, or with other audio."""
    for each in (path, copy):
        family_of(each)
    if audio_hash(copy) != audio_hash(path):
        raise _Refused("its audio would change; the journal is damaged or forged")


# ---- which files ----


def _real(path: Path, library: Path | None) -> Path:
    """What a path leads to, through links, if that lies in the library."""
    try:
        real = Path(os.path.realpath(path, strict=True))
    except OSError as error:
        raise _Refused(error.strerror or str(error)) from error
    _check_inside(real, _library(library))
    return real


def _library(library: Path | None) -> str | None:
    return None if library is None else os.path.realpath(library)


def _check_inside(path: Path, library: str | None) -> None:
    if library is not None and not path.is_relative_to(library):
        raise _Refused(f"it lies outside of the library {library}")


def _check_place(path: Path, library: str | None) -> None:
    """Refuse a path of a journal that is not, or not any more, that of a file of its library."""
    if (real := Path(os.path.realpath(path))) != path:
        raise _Refused(
            f"a link leads from there to {real}; put what was there in the place of the link"
        )
    _check_inside(path, library)


def _regular(path: Path) -> os.stat_result:
    """What a file is; refuses what is none, which might never end."""
    was = os.lstat(path)
    if not stat.S_ISREG(was.st_mode):
        raise _Refused("it is no regular file")
    return was


def _check_usable(path: Path, was: os.stat_result, *, break_links: bool) -> None:
    """Refuse what is not to be written."""
    if was.st_nlink > 1 and not break_links:
        raise _Refused(
            "it has several names (hard links); --break-links writes this one and leaves the others"
        )
    _check_writable(path, was, "it")
    _check_writable(path.parent, os.stat(path.parent), "its folder")


def _check_writable(place: Path, was: os.stat_result, what: str) -> None:
    """Refuse what is read-only, and say what makes it writable."""
    if os.access(place, os.W_OK) and was.st_mode & 0o222:
        return
    name = shlex.quote(str(place))
    if sys.platform == "win32":
        remedy = f'attrib -R "{place}" makes it writable'
    elif os.statvfs(place).f_flag & os.ST_RDONLY:
        remedy = "its file system is mounted so; mount it for writing"
    elif not was.st_mode & stat.S_IWUSR and os.geteuid() in (0, was.st_uid):
        remedy = f"chmod u+w {name} makes it writable"
    else:
        remedy = f"ls -ld {name} says who may write it; be one of them, or have them let you"
    raise _Refused(f"{what} is read-only; {remedy}")


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """Keep other runs off a file, or the sidecar of a folder, wherever their journals lie.

    The lock is one of the open file, and the system lets go of it however a run ends. On Windows,
    and on file systems without locks, there is none: there, `_same` alone tells whether anything
    happened until the file is replaced.

    Raises
    ------
    _Refused
        If another run has it.
    """
    if sys.platform == "win32":  # where, moreover, what is open cannot be replaced
        yield
        return
    import fcntl

    way = os.O_RDONLY if place.is_dir() else os.O_RDWR  # NFS locks no file that is only read
    descriptor = os.open(place, way | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _Refused(
                "another run is writing it; when that is done, run the same command again"
            ) from None
        except OSError:
            pass  # no locks here
        yield
    finally:
        os.close(descriptor)


# ---- copies ----


def _dress(copy: Path, path: Path, was: os.stat_result, mtime_ns: int | None) -> None:
    """Give a copy mode, owner, attributes of the file, a time of change, and put it on the disk."""
    now = os.stat(copy)
    shutil.copystat(path, copy)
    os.utime(copy, ns=(was.st_atime_ns, now.st_mtime_ns if mtime_ns is None else mtime_ns))
    if hasattr(os, "chown"):
        made = os.stat(copy)
        if (made.st_uid, made.st_gid) != (was.st_uid, was.st_gid):
            try:
                os.chown(copy, was.st_uid, was.st_gid)
            except OSError as error:
                raise _Refused("it belongs to somebody else, who would lose it") from error
            os.chmod(copy, stat.S_IMODE(was.st_mode))  # a change of owner takes bits away
    if inherited := _attributes(copy).keys() - _attributes(path).keys():  # of the folder
        for name in inherited:
            os.removexattr(copy, name)
        os.chmod(copy, stat.S_IMODE(was.st_mode))
    if _attributes(copy) != _attributes(path):
        raise _Refused("its extended attributes or access lists cannot be kept here")
    _sync(copy)


def _sync(copy: Path) -> None:
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


def _replace(copy: Path, path: Path, was: os.stat_result | None) -> None:
    """Put a copy in the place of a file, or where there was none."""
    if os.path.lexists(path) if was is None else not _same(path, was):
        raise _Refused(_MEANWHILE)
    os.replace(copy, path)
    sync_folder(path.parent)
