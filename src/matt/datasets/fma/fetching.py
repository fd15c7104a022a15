"""FMA's archives: where they are, how they are known, and how they get here and unpacked.

Addresses, sizes and SHA-1 sums are those of FMA's README (github.com/mdeff/fma).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError, did_you_mean
from ...files import read_json, write_json
from .archive import MARGIN, Unpacked, unpack
from .download import download, forget, part_of

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
                else f"delete {path} and run the same command again"
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
