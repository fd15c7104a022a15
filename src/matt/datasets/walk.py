"""Find the audio files of a folder: each real file once, in an order that does not vary."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .tags import printable

_COUNTS = (
    "files seen",
    "not audio",
    "links to files already seen",
    "loops of links",
    "hidden, skipped",
    "@eaDir, skipped",
)


@dataclass(frozen=True)
class Problem:
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
class Found:
    """Audio files under a root.

    Attributes
    ----------
    paths : tuple of str
        Relative to the root with ``/`` between the parts, sorted.
    problems : tuple of Problem
    counts : mapping of str to int
        ``files seen``, of which ``not audio``; ``links to files already seen``, ``loops of links``,
        ``hidden, skipped`` and ``@eaDir, skipped`` (files and folders; a folder counts once).
    """

    paths: tuple[str, ...]
    problems: tuple[Problem, ...]
    counts: Mapping[str, int]


def find_audio(root: Path | str, suffixes: Collection[str]) -> Found:
    """Walk a folder and everything below it.

    Real files come before links, so a link to a file of the same library is never taken instead of
    the file. A linked folder is entered once; a link to a folder around it is a loop and skipped.

    Parameters
    ----------
    root : path
    suffixes : collection of str
        Lower case, with the dot; letter case in file names does not matter.

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
    walk.folder("", os.path.realpath(root))
    # Links found on the way wait until every real file is known; following one may find more.
    while walk.links:
        links, walk.links = sorted(walk.links), []
        for link in links:
            walk.follow(link)
    order = sorted(walk.problems, key=lambda problem: problem.path)
    return Found(tuple(sorted(walk.paths)), tuple(order), {k: walk.counts[k] for k in _COUNTS})


class _Walk:
    """What has been found so far."""

    def __init__(self, root: str, suffixes: frozenset[str]) -> None:
        self.root, self.suffixes = root, suffixes
        self.paths: list[str] = []
        self.links: list[str] = []
        self.problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self.seen: set[str] = set()  # real paths of files and folders

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
            for entry in entries:
                path = f"{relative}/{entry.name}" if relative else entry.name
                try:
                    if self._skipped(entry):
                        continue
                    if entry.is_symlink():
                        self.links.append(path)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append((path, os.path.join(real, entry.name)))
                    else:
                        self._file(path, os.path.join(real, entry.name), entry.is_file())
                except OSError as error:
                    self._problem(path, f"cannot be looked at ({error.strerror}); skipped")

    def follow(self, link: str) -> None:
        full = os.path.join(self.root, link)
        try:
            mode = os.stat(full).st_mode
        except OSError as error:
            broken = isinstance(error, FileNotFoundError)
            reason = "its target does not exist" if broken else error.strerror
            self._problem(link, f"broken link ({reason}); mend or remove it")
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
        if not regular or os.path.splitext(path)[1].lower() not in self.suffixes:
            self.counts["not audio"] += 1
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
        self.problems.append(Problem(printable(path), reason))


def _hidden(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return True
    if os.name != "nt":
        return False
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return bool(attributes & stat.FILE_ATTRIBUTE_HIDDEN)
