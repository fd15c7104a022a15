"""What the files of a folder said when they were last read, so that only changed ones are read.

A file is the same as long as its size, its time of change and the time of change of its entry are.
The last one tells of programs that keep the first when they write tags; moving a library to another
disk changes it, which costs one more reading. A time proves nothing where there is none, or where
it is so young that a further change may bear the same one.

Kept are tags as they were read (`matt.datasets.tags.Tags`), never what is made of them: artists,
albums and genres follow from the whole library, and from settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..files import as_array, open_parquet, read_parquet, write_parquet
from ..processes import uncollected
from ..tracks import stable_id
from .tags import NAMES, Tags

SCHEMA = "matt.memory/1"
SUFFIX = ".parquet"
KEPT_DAYS = 180  # what is known of a file that is gone: its disk may come back
_EARLIEST = 347_155_200 * 10**9  # 1981: what bears an earlier time was written without a clock
_COARSEST = 2 * 10**9  # ns between two times of some file systems
_A_DAY = 86_400  # seconds
_STAMP = ("size", "mtime_ns", "ctime_ns")
_BETWEEN = "\0"  # of several values; no tag holds one


class FileTags(NamedTuple):
    """What a file said of itself, and what it looked like then.

    Attributes
    ----------
    tags : Tags
    size : int
        In bytes.
    mtime_ns, ctime_ns : int
        When it was changed, and when its entry was.
    problem : str
        What is wrong with its tags, or nothing.
    """

    tags: Tags
    size: int
    mtime_ns: int
    ctime_ns: int
    problem: str = ""

    def is_of(self, status: os.stat_result) -> bool:
        """Whether the file still looks as it did."""
        seen = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        return seen == (self.size, self.mtime_ns, self.ctime_ns)


def timed(mtime_ns: int, now_ns: int) -> bool:
    """Whether the time of change of a file is one, and not to come.

    >>> timed(0, 10**18), timed(2 * 10**18, 10**18), timed(9 * 10**17, 10**18)
    (False, False, True)
    """
    return _EARLIEST <= mtime_ns <= now_ns + _COARSEST


def settled(found: FileTags, now_ns: int) -> bool:
    """Whether a further change is sure to show, if the file was read from ``now_ns`` on."""
    return timed(found.mtime_ns, now_ns) and found.mtime_ns < now_ns - _COARSEST


@dataclass(frozen=True, eq=False)
class Memory:
    """What is remembered of the files of a folder.

    Attributes
    ----------
    path : Path
        Where it is kept.
    reader : str
        How tags were read: what was read in another way is no use.
    files : dict of str to FileTags
        By paths relative to the folder.
    gone : dict of str to int
        When a file was missed first, in seconds; of those that are not there.
    note : str
        Why nothing is remembered, if something was.
    folder : str
        Where the files were then; empty where nobody says.
    """

    path: Path
    reader: str
    files: dict[str, FileTags]
    gone: dict[str, int]
    note: str = ""
    folder: str = ""

    @classmethod
    def load(cls, path: Path) -> Memory:
        """Read what `save` wrote; what is damaged, or was read in another way, is forgotten."""
        reader = _reader()
        if not path.exists():
            return cls(path, reader, {}, {})
        try:
            table, meta = read_parquet(path, schema=SCHEMA)
            if meta.get("reader") != reader:
                return cls(path, reader, {}, {}, "tags are read in another way than last time")
            with uncollected():
                return cls(path, reader, *_unpacked(table), folder=meta.get("folder", ""))
        except DataError as error:
            return cls(path, reader, {}, {}, f"what was remembered is damaged ({error})")

    def save(
        self, found: Mapping[str, FileTags], named: Sequence[str], *, now: float, name: str
    ) -> None:
        """Keep what was found, and for a while what is gone; nothing is written without a change.

        Parameters
        ----------
        found : mapping of str to FileTags
            All that was read or remembered, by path.
        named : sequence of str
            Where it was looked for; what lies elsewhere stays as it is.
        now : float
            Seconds.
        name : str
            Of the folder, for those who look at what is kept, and ask whether it is gone.

        Raises
        ------
        DataError, OSError
            If it cannot be written.
        """
        start_ns = int(now * 1e9)
        kept = {path: one for path, one in found.items() if settled(one, start_ns)}
        gone: dict[str, int] = {}
        looked = _within(named)
        for path, one in self.files.items():
            if path in found:
                continue
            since = self.gone.get(path, 0)
            if looked(path):
                since = since or int(now)
            if not since or now - since < KEPT_DAYS * _A_DAY:
                kept[path] = one
                if since:
                    gone[path] = since
        same = name == self.folder and gone == self.gone and _same(kept, self.files)
        if same and not self.note:
            with suppress(OSError):
                os.utime(self.path)  # tells when the library was looked at last
            return
        table = _packed(kept, gone)
        write_parquet(self.path, table, schema=SCHEMA, reader=self.reader, folder=name)


def memory_file(folder: Path, root: Path | str) -> Path:
    """Where, in a folder of memories, that of a library lies."""
    return folder / f"{library_key(root)}{SUFFIX}"


def library_key(root: Path | str) -> str:
    """Name of a folder of music among what is kept of many; by its real path."""
    real = os.path.realpath(root)
    name = re.sub(r"[^\w-]+", "-", os.path.basename(real))[:40] or "music"
    return f"{name}-{stable_id(real):x}"


def remembered_folder(memory: Path) -> str:
    """The folder that a memory is of; empty where the file does not say."""
    try:
        with open_parquet(memory) as file:
            said = json.loads((file.schema_arrow.metadata or {}).get(b"matt", b"{}"))
        return str(said.get("folder", ""))
    except (DataError, ValueError, AttributeError):
        return ""


def remember_folder(memory: Path, folder: Path) -> None:
    """Have a memory, which stays what it is, be of another folder.

    Raises
    ------
    DataError, OSError
        If it is damaged, or cannot be written.
    """
    table, meta = read_parquet(memory, schema=SCHEMA)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    write_parquet(memory, columns, **{**meta, "folder": os.path.abspath(folder)})


def _same(one: Mapping[str, FileTags], other: Mapping[str, FileTags]) -> bool:
    """Whether both hold the same objects: what was read again is another one."""
    return len(one) == len(other) and all(other.get(path) is file for path, file in one.items())


def _within(named: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path lies in what is named."""
    if "" in named:
        return lambda path: True
    folders = tuple(f"{path}/" for path in named)
    return lambda path: path.startswith(folders) or path in named


def _reader() -> str:
    """What decides how bytes become tags."""
    versions = []
    for name in ("matt-mgc", "mutagen"):
        with suppress(metadata.PackageNotFoundError):
            versions.append(metadata.version(name))
    said = repr((versions, list(Tags._fields), NAMES))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


# ---- as columns ----

_SEVERAL = tuple(name for name, none in Tags._field_defaults.items() if isinstance(none, tuple))
_KINDS: dict[str, type] = {
    **dict.fromkeys(("path", "problem"), str),
    **dict.fromkeys(("gone", *_STAMP), int),
    **{name: type(none) for name, none in Tags._field_defaults.items()},
    **dict.fromkeys(_SEVERAL, str),
}


def _packed(files: Mapping[str, FileTags], gone: Mapping[str, int]) -> dict[str, Any]:
    some = list(files.values())
    columns: dict[str, Any] = {
        "path": list(files),
        "gone": np.array([gone.get(path, 0) for path in files], np.int64),
        "problem": [one.problem for one in some],
    }
    for name in _STAMP:
        columns[name] = np.array([getattr(one, name) for one in some], np.int64)
    for name in Tags._fields:
        values: Iterable[Any] = [getattr(one.tags, name) for one in some]
        if name in _SEVERAL:
            values = [_BETWEEN.join(value) for value in values]
        columns[name] = list(values)
    return columns


def _unpacked(table: Any) -> tuple[dict[str, FileTags], dict[str, int]]:
    """Files and those that are gone.

    Raises
    ------
    DataError
        If a column is missing or of another type.
    """
    columns: dict[str, list[Any]] = {}
    for name, kind in _KINDS.items():
        if name not in table.column_names or table[name].null_count:
            raise DataError(f"the column {name} is missing or has gaps")
        columns[name] = _values(table[name])
        if any(type(value) is not kind for value in columns[name][:1]):
            raise DataError(f"the column {name} has another type")
    for name in _SEVERAL:
        parts = {text: tuple(text.split(_BETWEEN)) if text else () for text in set(columns[name])}
        columns[name] = [parts[text] for text in columns[name]]
    columns["tags"] = _rows(Tags, columns)
    files = dict(zip(columns["path"], _rows(FileTags, columns), strict=True))
    gone = {p: since for p, since in zip(columns["path"], columns["gone"], strict=True) if since}
    return files, gone


def _rows(kind: Any, columns: Mapping[str, Sequence[Any]]) -> list[Any]:
    """Named tuples of columns."""
    return list(map(kind._make, zip(*(columns[name] for name in kind._fields), strict=True)))


def _values(column: Any) -> list[Any]:
    """Of an Arrow column; equal texts are one object, as most of a library repeats itself."""
    import pyarrow as pa

    if not pa.types.is_string(column.type):
        values: list[Any] = as_array(column).tolist()
        return values
    encoded = column.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    return [texts[place] for place in as_array(pa.chunked_array([encoded.indices])).tolist()]
