"""Verdicts file by file, by the lists of SHA-1 sums that FMA's archives carry along."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import DataError
from .fetching import ARCHIVES, file_sha1

CHECKSUMS = "checksums"
_LINE = re.compile(r"([0-9a-fA-F]{40}) [ *](.+)")


@dataclass(frozen=True)
class Verdict:
    """One file.

    Attributes
    ----------
    path : Path
    verdict : {"ok", "differs", "missing", "unreadable"}
    expected, found : str
        SHA-1 sums; ``found`` is empty where there is none.
    """

    path: Path
    verdict: str
    expected: str
    found: str = ""

    @property
    def reason(self) -> str:
        """What is wrong, and what to do."""
        if self.verdict == "differs":
            return f"SHA-1 {self.found}, expected {self.expected}; delete it and fetch again"
        return f"{self.verdict}; fetch again"


def verify(
    directory: Path | str,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Verdict, ...]:
    """Compare every file with the list that came with it, and archives with the published sums.

    Parameters
    ----------
    directory : path
        Folder with ``fma_metadata``, ``fma_medium`` and so on, or one of these.
    workers : int, optional
        Files that are read at once; by default one a core.
    progress : callable
        Told files done and files in all.

    Returns
    -------
    tuple of Verdict
        In the order of the lists.

    Raises
    ------
    DataError
        If there is no list of sums and no archive, or a list is not one.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory} is no folder; check the path")
    jobs = [*_archives(directory)]
    for folder in listed_folders(directory):
        jobs += read_checksums(folder)
    if not jobs:
        raise DataError(
            f"{directory} holds neither FMA's archives nor a folder with a list {CHECKSUMS!r}; "
            "name the folder that 'matt fma fetch' was told with --to"
        )
    verdicts = []
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:  # hashing lets other threads run
        for verdict in pool.map(lambda job: _judge(*job), jobs):
            verdicts.append(verdict)
            progress(len(verdicts), len(jobs))
    return tuple(verdicts)


def listed_folders(directory: Path) -> list[Path]:
    """Folders with a list of sums: the one that is named, and FMA's folders in it."""
    folders = (directory, *sorted(directory.glob("fma_*")))
    return [folder for folder in folders if (folder / CHECKSUMS).is_file()]


def read_checksums(folder: Path) -> list[tuple[Path, str]]:
    """Files of a folder and the SHA-1 sums they should have, from its list.

    Raises
    ------
    DataError
        If the list is not one, or names a file outside the folder.
    """
    listed = []
    path = folder / CHECKSUMS
    text = path.read_text("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(
                f"{path}, line {number}: {line[:60]!r} is no SHA-1 sum with a file name; unpack "
                "the archive again"
            )
        name = PurePosixPath(match[2])
        if name.is_absolute() or ".." in name.parts:
            raise DataError(f"{path}, line {number}: {match[2]!r} leads out of the folder")
        listed.append((folder / name, match[1].lower()))
    return listed


def _archives(directory: Path) -> Iterator[tuple[Path, str]]:
    for archive in ARCHIVES.values():
        if (directory / archive.file).is_file():
            yield directory / archive.file, archive.sha1


def _judge(path: Path, expected: str) -> Verdict:
    try:
        found = file_sha1(path)
    except FileNotFoundError:
        return Verdict(path, "missing", expected)
    except OSError:
        return Verdict(path, "unreadable", expected)
    return Verdict(path, "ok" if found == expected else "differs", expected, found)
