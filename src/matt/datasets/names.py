"""Plain names of files and folders out of names that nobody vouches for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

_LONGEST = 100  # bytes of a name, far below what any file system allows
# Names that Windows keeps for devices, whatever the suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_name(text: str) -> str:
    """Plain name of a file or folder that every system takes.

    >>> safe_name("Old-Time / Historic"), safe_name("../.."), safe_name("CON")
    ('Old-Time - Historic', 'unnamed', 'CON_')
    """
    kept = "".join(
        " " if char.isspace() else "-" if char in '/\\:*?"<>|' else char
        for char in unicodedata.normalize("NFC", text)
        if char.isspace() or unicodedata.category(char)[0] != "C"  # controls, invisible marks
    )
    kept = re.sub(r" +", " ", kept).strip(" .").lstrip("-. ")
    while len(kept.encode()) > _LONGEST:
        kept = kept[:-1]
    kept = kept.rstrip(" .")
    if not kept:
        return "unnamed"
    return f"{kept}_" if _RESERVED.fullmatch(kept) else kept


def safe_file_name(path: Path) -> str:
    """Plain name of a file, with its suffix.

    >>> safe_file_name(Path("a/Who?.mp3"))
    'Who-.mp3'
    """
    return safe_name(path.stem) + re.sub(r"[^.\w]", "", path.suffix)[:12]


class Names:
    """Names in one folder, told apart by a number; letter case does not make a difference."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.casefold() for name in taken}
        self._next: dict[str, int] = {}

    def new(self, name: str) -> str:
        """The name, or the first like it that is free."""
        stem, dot, suffix = name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if stem else (name, "")
        candidate = name
        while candidate.casefold() in self._taken:
            number = self._next.get(name.casefold(), 2)
            self._next[name.casefold()] = number + 1
            candidate = f"{stem} ({number}){suffix}"
        self._taken.add(candidate.casefold())
        return candidate
