"""FMA's archives: where they are, how they are known, and how they get here and unpacked.

Addresses, sizes and SHA-1 sums are those of FMA's README (github.com/mdeff/fma).

Downloads go on where they stopped: bytes go to ``NAME.part``, what they are of beside it. A server
may cut the connection, ignore ranges, or hold another file by now; the disk may be full. Whatever
happens, the part that is there stays usable, or is thrown away because it is known to be of another
file. It is renamed once its checksum is right.

Unpacking lets nothing leave the folder and leaves nothing half-written. An archive is judged by its
directory before a byte is written: names that lead elsewhere, links, methods that Python lacks and
more bytes than the disk holds are refused. A file is written under another name and renamed when
its size and checksum are right, so unpacking may be interrupted at any time; files that are there
already, with the right size and checksum, are left alone.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ... import __version__
from ...errors import DataError, did_you_mean, first_few
from ...files import read_json, write_json

CHUNK = 2**18
PROGRESS = 2**20  # bytes after which earlier failures are forgiven
_PASSING = (408, 425, 429)  # of the 4xx, those that may go away
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

_Told = Callable[[int, int], None]
"""Told bytes done and bytes in all; the latter is 0 where the server does not say."""


class _Cut(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True)
class _Remote:
    """What a part is a part of."""

    url: str
    total: int | None
    etag: str


def part_of(path: Path) -> Path:
    """Where the bytes of an unfinished download lie."""
    return path.with_name(path.name + ".part")


def download(
    url: str,
    path: Path,
    *,
    room: Callable[[int], None] = lambda missing: None,
    progress: _Told = lambda done, total: None,
    tries: int = 5,
    wait: float = 2.0,
    timeout: float = 60.0,
) -> Path:
    """Download a file, going on with what an earlier call left.

    Parameters
    ----------
    url : str
        ``http`` or ``https``.
    path : Path
        Where the file is meant to go; the bytes go to ``path.part``.
    room : callable
        Told how many bytes are still missing, before the first is written; may raise.
    tries : int >= 1
        Attempts in a row that bring next to nothing before it is given up.
    wait : float
        Seconds before the second attempt, doubled each time.
    timeout : float
        Seconds without a byte after which a connection counts as cut.

    Returns
    -------
    Path
        The complete part.

    Raises
    ------
    DataError
        If the server has no such file or fails again and again, or the disk is full. What was
        downloaded is kept.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError

    if not url.lower().startswith(("http://", "https://")):
        raise DataError(f"{url} is no web address; give one that begins with http:// or https://")
    part = part_of(path)
    with _writing(part.parent, "nothing was downloaded"):
        part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = _size(part)
        try:
            _go_on(url, part, room, progress, timeout)
            return part
        except HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in _PASSING:
                raise DataError(
                    f"{url}: the server answers {error.code} ({error.reason}); check the address, "
                    "or name a mirror with --url"
                ) from error
            reason = f"the server answers {error.code} ({error.reason})"
        except _Cut as error:
            reason = str(error)
        except (OSError, HTTPException) as error:
            cause = getattr(error, "reason", None) or error
            reason = str(cause) or type(cause).__name__
        failures = 1 if _size(part) - before >= PROGRESS else failures + 1
        if failures >= tries:
            raise DataError(
                f"{url}: {reason}, {failures} times in a row; {_size(part):,} bytes are kept in "
                f"{part.name}. Run the same command again to go on from there"
            )
        time.sleep(wait * 2 ** (failures - 1))


def forget(path: Path) -> None:
    """Remove the part of a download, and what is known of it."""
    part_of(path).unlink(missing_ok=True)
    _note(part_of(path)).unlink(missing_ok=True)


def write_all(file: Any, data: bytes, kept: str) -> None:
    """Write to an unbuffered file, or say why that is impossible and what is kept.

    Raises
    ------
    DataError
        Whatever the system objects to.
    """
    view = memoryview(data)
    with _writing(file.name, kept):
        while view:
            view = view[file.write(view) :]


@contextmanager
def _writing(path: Any, kept: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            why = f"the disk is full ({kept}); free some space"
        elif error.errno == errno.EFBIG:
            why = f"files of that size are not possible there ({kept}); use another file system"
        else:
            why = f"it cannot be written: {error.strerror} ({kept}); check the disk"
        raise DataError(f"{path}: {why} and run the same command again") from error


def _go_on(
    url: str, part: Path, room: Callable[[int], None], progress: _Told, timeout: float
) -> None:
    """One connection: returns when the part is complete, else raises."""
    # Imported late, like its errors above: loading tracks does not need the network.
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    known, have = _known(part), _size(part)
    headers = {"User-Agent": f"matt/{__version__}", "Accept-Encoding": "identity"}
    if have and known:  # a part of nobody knows what is not continued
        headers["Range"] = f"bytes={have}-"
        if known.url == url and known.etag.startswith('"'):
            headers["If-Range"] = known.etag
    try:
        response = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        # No byte from there on: all of it is here, or the file is another one by now.
        if known and known.total == have == _total(error.headers):
            return
        forget(part.with_suffix(""))
        raise _Cut("the file on the server has changed") from error
    with response:
        remote = _Remote(url, _total(response.headers), response.headers.get("ETag", ""))
        if response.status == 206 and known:
            if not _continues(response.headers, have) or _changed(known, remote):
                forget(part.with_suffix(""))
                raise _Cut("the file on the server has changed; starting again")
        else:
            have = 0
            with _writing(part, "nothing is kept"):
                part.unlink(missing_ok=True)
        room((remote.total or 0) - have)
        with _writing(part, f"{have:,} bytes are kept"):
            write_json(_note(part), asdict(remote))
            opened = part.open("ab", buffering=0)
        with opened as file:
            while data := response.read1(CHUNK):
                write_all(file, data, f"{have:,} bytes are kept")
                have += len(data)
                progress(have, remote.total or 0)
    if remote.total is not None and have != remote.total:
        raise _Cut(f"the connection was cut after {have:,} of {remote.total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _known(part: Path) -> _Remote | None:
    try:
        return _Remote(**read_json(_note(part)))
    except (DataError, TypeError):
        return None


def _changed(known: _Remote, remote: _Remote) -> bool:
    if known.total != remote.total:
        return True
    # A mirror has tags of its own; its bytes are judged by the checksum.
    return known.url == remote.url and bool(known.etag) and known.etag != remote.etag


def _continues(headers: Any, have: int) -> bool:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return bool(found) and int(found[1]) == have  # type: ignore[index]


def _total(headers: Any) -> int | None:
    """Bytes of the whole file, whatever part of it is being sent."""
    found = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    text = found[1] if found else headers.get("Content-Length", "")
    return int(text) if text and text.isdigit() else None


_PIECE = 2**20
MARGIN = 2**26  # bytes of disk that are left free

# What Python unpacks: number in the archive, name, module.
_METHODS = {
    0: ("stored", "zlib"),
    8: ("deflate", "zlib"),
    12: ("bzip2", "_bz2"),
    14: ("lzma", "_lzma"),
}
_OTHER = {9: "deflate64", 93: "zstandard", 95: "xz", 96: "jpeg", 97: "wavpack", 98: "ppmd"}
_ENCRYPTED = 0x1
_DAMAGE: tuple[type[Exception], ...] = (EOFError, ValueError, zlib.error)
if importlib.util.find_spec("_lzma"):
    import lzma

    _DAMAGE += (lzma.LZMAError,)


@dataclass(frozen=True)
class Unpacked:
    """What unpacking did.

    Attributes
    ----------
    written, skipped : int
        Files; skipped are those that were there already.
    n_bytes : int
        Of all files.
    """

    written: int
    skipped: int
    n_bytes: int


def unpack(
    archive: Path,
    to: Path,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Unpacked:
    """Unpack a zip archive into a folder; interrupted, the same call goes on.

    Parameters
    ----------
    archive : Path
    to : Path
        Made if it is not there.
    progress : callable
        Told bytes done and bytes in all.

    Raises
    ------
    DataError
        If the archive is damaged, holds anything but plain files inside the folder, unpacks to
        other bytes than its directory states, or the disk is too small.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            files = _checked(archive, opened, to)
            total = sum(info.file_size for info in files)
            done = written = 0
            for info in files:
                target = to / info.filename
                if not _same(target, info):
                    _write(archive, opened, info, target)
                    written += 1
                done += info.file_size
                progress(done, total)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} does not exist; check the path") from error
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{archive} is damaged or cut off ({error}); move it away and fetch it again"
        ) from error
    return Unpacked(written, len(files) - written, total)


def _checked(archive: Path, opened: zipfile.ZipFile, to: Path) -> list[zipfile.ZipInfo]:
    """Files of the archive, if all of them may be unpacked there."""
    files = [info for info in opened.infolist() if not info.is_dir()]
    for info in opened.infolist():
        _check_name(archive, info)
    names = [info.filename for info in files]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"{archive} holds {first_few(twice)} more than once; do not unpack it")
    for info in files:
        _check_method(archive, info, to)
    to.mkdir(parents=True, exist_ok=True)
    missing = sum(info.file_size for info in files if not (to / info.filename).exists())
    free = shutil.disk_usage(to).free
    if missing + MARGIN > free:
        raise DataError(
            f"{archive.name} unpacks to {missing:,} more bytes, and {to} has {free:,} free; make "
            "room or name another folder"
        )
    return files


def _check_name(archive: Path, info: zipfile.ZipInfo) -> None:
    name = info.filename
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise DataError(
            f"{archive} holds the name {name!r}, which leads out of the folder; do not unpack it, "
            "and fetch the archive from its own server"
        )
    mode = info.external_attr >> 16
    # FMA's archives carry permissions without a type; those are plain files.
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(
            f"{archive}: {name!r} is a link or a device, not a plain file; do not unpack it"
        )


def _check_method(archive: Path, info: zipfile.ZipInfo, to: Path) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise DataError(f"{archive}: {info.filename!r} is encrypted; FMA's archives are not")
    method, module = _METHODS.get(info.compress_type, (_OTHER.get(info.compress_type, "?"), ""))
    if not module or importlib.util.find_spec(module) is None:
        why = f"Python was built without {method}" if module else "Python cannot unpack that"
        raise DataError(
            f"{archive}: {info.filename!r} is packed by method {info.compress_type} ({method}); "
            f"{why}. Unpack it with 7-Zip into {to}, then run 'matt fma verify {to}'"
        )


def _same(target: Path, info: zipfile.ZipInfo) -> bool:
    if not target.is_file() or target.stat().st_size != info.file_size:
        return False
    checksum = 0
    with target.open("rb") as file:
        while data := file.read(_PIECE):
            checksum = zlib.crc32(data, checksum)
    return checksum == info.CRC


def _write(archive: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    # Not files.replacing: 100,000 syncs take long, and a file that a crash emptied is found by its
    # checksum. The name is always the same, so what a killed process left is written over.
    temporary = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(info) as packed, temporary.open("wb", buffering=0) as file:
            n = 0
            while data := packed.read(_PIECE):
                n += len(data)
                if n > info.file_size:
                    raise zipfile.BadZipFile(f"{info.filename!r} is larger than stated")
                write_all(file, data, f"of {archive.name}, all files before it are complete")
        if n != info.file_size:
            raise zipfile.BadZipFile(f"{info.filename!r} has {n:,} of {info.file_size:,} bytes")
        os.replace(temporary, target)
    except DataError:
        raise
    except _DAMAGE as error:
        raise zipfile.BadZipFile(f"{info.filename!r}: {error}") from error
    except OSError as error:
        # bz2 says "Invalid data stream" as an OSError without a number.
        if error.errno is None:
            raise zipfile.BadZipFile(f"{info.filename!r}: {error}") from error
        raise DataError(
            f"{target} cannot be written: {error.strerror}; check the folder and run the same "
            "command again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


BASE_URL = "https://os.unil.cloud.switch.ch/fma/"
UNPACKED = ".matt-unpacked.json"  # in a folder that was unpacked to its end
GIB = 2**30

Progress = Callable[[str, int, int], None]
"""Told the step, and of how many bytes how many are done; the total is 0 if unknown."""


@dataclass(frozen=True)
class Archive:
    """One of FMA's archives.

    Attributes
    ----------
    name : str
    sha1 : str
    n_bytes : int
        Roughly, for people; the server knows better.
    growth : float
        Unpacked bytes per packed byte, on the high side. Audio does not shrink, text does.
    holds : str
    """

    name: str
    sha1: str
    n_bytes: int
    growth: float
    holds: str

    @property
    def folder(self) -> str:
        """Folder that it unpacks to."""
        return f"fma_{self.name}"

    @property
    def file(self) -> str:
        """Name of the archive."""
        return f"fma_{self.name}.zip"


ARCHIVES = {
    archive.name: archive
    for archive in (
        Archive(
            "metadata",
            "f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
            342 * 2**20,
            5.0,
            "tables of all 106,574 tracks",
        ),
        Archive(
            "small",
            "ade154f733639d52e35e32f5593efe5be76c6d70",
            int(7.2 * GIB),
            1.05,
            "8,000 clips of 30 s, 8 genres",
        ),
        Archive(
            "medium",
            "c67b69ea232021025fca9231fc1c7c1a063ab50b",
            22 * GIB,
            1.05,
            "25,000 clips of 30 s, 16 genres",
        ),
        Archive(
            "large",
            "497109f4dd721066b5ce5e5f250ec604dc78939e",
            93 * GIB,
            1.05,
            "106,574 clips of 30 s",
        ),
        Archive(
            "full",
            "0f0ace23fbe9ba30ecb7e95f763e435ea802b8ab",
            879 * GIB,
            1.05,
            "106,574 whole tracks",
        ),
    )
}


@dataclass(frozen=True)
class Fetched:
    """What a fetch left.

    Attributes
    ----------
    archive : Path or None
        None if it was deleted after unpacking.
    folder : Path or None
        None if it was not unpacked.
    downloaded : bool
        Whether anything came over the network.
    unpacked : Unpacked or None
    """

    archive: Path | None
    folder: Path | None
    downloaded: bool
    unpacked: Unpacked | None = None


def fetch(
    name: str,
    to: Path | str,
    *,
    url: str = "",
    sha1: str = "",
    unpacking: bool = True,
    keep: bool = True,
    tries: int = 5,
    wait: float = 2.0,
    progress: Progress = lambda step, done, total: None,
) -> Fetched:
    """Download, check and unpack one of FMA's archives; interrupted, the same call goes on.

    Parameters
    ----------
    name : {"metadata", "small", "medium", "large", "full"}
    to : path
        Folder for the archive, and for the folder that it unpacks to.
    url : str
        A mirror: the folder of the archives, or an address that ends in ``.zip``.
    sha1 : str
        The sum to expect, if a mirror packed the files anew.
    unpacking : bool
        Whether to unpack it.
    keep : bool
        Whether to keep the archive after unpacking.
    tries, wait : int, float
        As in `download`.

    Raises
    ------
    DataError
        If the name is unknown, the disk too small, the server does not give the file, its sum is
        another, or the archive is not sound.
    """
    if name not in ARCHIVES:
        raise DataError(f"FMA has no archive {name!r}; {did_you_mean(name, ARCHIVES)}")
    archive, to = ARCHIVES[name], Path(to)
    wanted = (sha1 or archive.sha1).lower()
    path, folder = to / archive.file, to / archive.folder
    if not path.exists() and unpacking and _unpacked_from(folder) == wanted:
        return Fetched(None, folder, downloaded=False)
    downloaded = not path.exists()
    if downloaded:
        growth = archive.growth if unpacking else 0.0
        download(
            _address(archive, url),
            path,
            room=lambda missing: _check_room(to, path, missing, growth),
            progress=lambda done, total: progress("downloading", done, total),
            tries=tries,
            wait=wait,
        )
    candidate = part_of(path) if downloaded else path
    found = file_sha1(candidate, progress=lambda d, t: progress("checking", d, t))
    if found != wanted:
        if downloaded:
            forget(path)
        raise DataError(
            f"{archive.file} has the SHA-1 sum {found}, expected {wanted}; "
            + (
                "the download was thrown away: run the same command again, or name a mirror with "
                "--url"
                if downloaded
                else f"move {path} away and run the same command again"
            )
        )
    if downloaded:
        os.replace(candidate, path)
        forget(path)
    if not unpacking:
        return Fetched(path, None, downloaded)
    did = unpack(path, to, progress=lambda done, total: progress("unpacking", done, total))
    if not folder.is_dir():
        raise DataError(f"{path} holds no folder {archive.folder}; is it another archive?")
    write_json(folder / UNPACKED, {"archive": archive.file, "sha1": wanted})
    if not keep:
        path.unlink()
    return Fetched(path if keep else None, folder, downloaded, did)


def file_sha1(
    path: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> str:
    """SHA-1 of a file, as 40 hex digits.

    SHA-1 is what FMA publishes: it tells damage and mix-ups, not a determined forger.
    """
    digest, done, total = hashlib.sha1(usedforsecurity=False), 0, path.stat().st_size
    with path.open("rb") as file:
        while data := file.read(2**22):
            digest.update(data)
            done += len(data)
            progress(done, total)
    return digest.hexdigest()


def _address(archive: Archive, url: str) -> str:
    if url.endswith(".zip"):
        return url
    return (url or BASE_URL).rstrip("/") + "/" + archive.file


def _check_room(to: Path, path: Path, missing: int, growth: float) -> None:
    have = part_of(path).stat().st_size if part_of(path).exists() else 0
    needed = missing + int((have + missing) * growth) + MARGIN
    free = shutil.disk_usage(to).free
    if needed > free:
        unpacked = " and what it unpacks to" if growth else ""
        raise DataError(
            f"{path.name}{unpacked} need about {needed / GIB:.1f} GiB more, and {to} has "
            f"{free / GIB:.1f} GiB free; make room or name another folder with --to"
        )


def _unpacked_from(folder: Path) -> str:
    with suppress(DataError, KeyError, TypeError):
        return str(read_json(folder / UNPACKED)["sha1"])
    return ""
