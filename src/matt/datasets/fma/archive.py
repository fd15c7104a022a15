"""Unpacking of archives from outside: nothing leaves the folder, nothing is left half-written.

An archive is judged by its directory before a byte is written: names that lead elsewhere, links,
methods that Python lacks and more bytes than the disk holds are refused. A file is written under
another name and renamed when its size and checksum are right, so unpacking may be interrupted at
any time; files that are there already, with the right size and checksum, are left alone.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import DataError, first_few
from .download import write_all

CHUNK = 2**20
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
            f"{archive} is damaged or cut off ({error}); delete it and fetch it again"
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
        while data := file.read(CHUNK):
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
            while data := packed.read(CHUNK):
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
