"""Files: written whole or not at all, and read with errors that say what to do.

What is written has another name until it is synced, then takes its place. A folder of results has
one process that writes at a time (`lock`). JSON, TOML, Parquet and safetensors have one reader
each, which lets nothing but our own errors through.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError, DataError, MattError, check_arguments

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_META = b"matt"
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.\w+")
_A_DAY = 86_400  # seconds: a file that somebody still writes is younger
_ROWS_IN_GROUP = 2**16  # read at once by who wants some rows only
_MOST_JSON, _MOST_TOML = 2**26, 2**20  # bytes; parsed, they take up to twenty times as much
_LONG_KEY = re.compile(
    r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')(?:[ \t]*\.[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')){32}"""
)
_SWOLLEN = 2**31, 2000  # bytes of a table, and how many times those of its file: made to do harm


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; what is written there takes its place at the end.

    If the body raises, the temporary file is removed and ``path`` is left as it was. That it cannot
    be written is a `DataError`, except on a full disk.

    Yields
    ------
    Path
        Where to write. It ends in the same suffix.
    """
    check_arguments(path=(path, str | os.PathLike))
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:100]}.{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno == errno.ENOSPC or isinstance(error, MattError):
            raise  # a full disk stops more than this file, so the caller has to know
        raise DataError(
            f"cannot write {path}: {error.strerror or error}; check the path and its permissions"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def lock(folder: Path) -> None:
    """Be the only process that writes into a folder, until `unlock` or the end of `locks`.

    The system lets go of a lock when its process ends, however that ends. Where the file system
    knows no locks, or nothing can be written, there is none.

    Parameters
    ----------
    folder : Path
        Made if it is missing.

    Raises
    ------
    DataError
        If another process writes there; says which.
    """
    import filelock

    folder = folder.resolve()
    if folder in _locks:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(folder / ".lock", timeout=0)
        held.acquire()
    except filelock.Timeout:
        with suppress(OSError):
            who = (folder / _WRITER).read_text("utf-8", "replace")[:300]
            raise DataError(
                f"{folder} is being written by another process ({ascii(who)[1:-1]}); wait until "
                "it is done, or choose another folder"
            ) from None
        raise DataError(
            f"{folder} is being written by another process; wait until it is done, or choose "
            "another folder"
        ) from None
    except (OSError, NotImplementedError):
        return
    _locks[folder] = held
    if (taken := _taken.get()) is not None:
        taken.append(folder)
    now, command = time.strftime("%Y-%m-%d %H:%M"), " ".join(sys.argv)
    who = f"process {os.getpid()} on {platform.node()} since {now}: {command}"
    with suppress(OSError):
        (folder / _WRITER).write_text(who, "utf-8", "replace")


def unlock(folder: Path) -> None:
    """Let others write into a folder that this process has locked; no harm where it has not."""
    folder = folder.resolve()
    if held := _locks.pop(folder, None):
        with suppress(OSError):
            (folder / _WRITER).unlink()
        held.release()


@contextmanager
def locks() -> Iterator[None]:
    """Unlock, on leaving, what was locked within; decorates functions, too."""
    taken: list[Path] = []
    token = _taken.set(taken)
    try:
        yield
    finally:
        _taken.reset(token)
        for folder in taken:
            unlock(folder)


_locks: dict[Path, Any] = {}
_taken: ContextVar[list[Path] | None] = ContextVar("_taken", default=None)
_WRITER = ".writer"  # who has the lock, for those who want it


def check_new(path: Path, *, force: bool) -> None:
    """Refuse to write over a file unless that is wanted.

    Raises
    ------
    DataError
    """
    if path.exists() and not force:
        raise DataError(f"{path} is there already; choose another name, or replace it with --force")


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of `replacing` whose process was killed a day ago or longer."""
    for entry in folder.iterdir():
        if _TEMPORARY.fullmatch(entry.name):
            with suppress(OSError):  # somebody else was faster
                if time.time() - entry.stat().st_mtime > _A_DAY:
                    entry.unlink()


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, content: Any) -> None:
    """Write a JSON file, atomically; NaN is not JSON, so it is refused."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def reading(
    path: Path | str, wrong: str, remedy: str, *, kind: type[MattError] = DataError
) -> Iterator[None]:
    """Let nothing but our own errors out of reading a file.

    Parsers raise whatever they like on bytes that they did not expect, so all of it is caught: keep
    the body short.

    Parameters
    ----------
    path : path
    wrong : str
        What to say of a file that a parser refuses, e.g. ``"is not JSON ({})"``.
    remedy : str
        What to do about it.
    kind : type of MattError
        Which of our errors it becomes.
    """
    try:
        yield
    except MattError:
        raise
    except FileNotFoundError:
        raise kind(f"{path} does not exist; check the path") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # the file, not what it holds
            what = error.strerror or error
            raise kind(f"cannot read {path}: {what}; check it and its permissions") from error
        why = f"no {error}" if isinstance(error, KeyError) else error
        raise kind(f"{path} {wrong.format(why)}; {remedy}") from error


def read_json(
    path: Path | str,
    *,
    most: int = _MOST_JSON,
    remedy: str = "restore it or make it again",
    kind: type[MattError] = DataError,
) -> Any:
    """Read a JSON file of at most so many bytes.

    Raises
    ------
    DataError, or another kind
        If it is missing, is larger, or is not JSON; the message names file and line.
    """
    with reading(path, "is not JSON ({})", remedy, kind=kind):
        return _parsed(_text(path, most, kind), json.loads)


def read_toml(path: Path | str) -> dict[str, Any]:
    """Content of a TOML file, unchecked.

    Raises
    ------
    ConfigError
        If it cannot be read, or is not TOML; the message names file and line.
    """
    with reading(path, "is not TOML: {}", "correct that line", kind=ConfigError):
        text = _text(path, _MOST_TOML, ConfigError)
        if found := _LONG_KEY.search(text):  # whose parser takes memory by the square of its parts
            line = text.count("\n", 0, found.start()) + 1
            raise ValueError(f"a key of more than 32 parts (at line {line})")
        content: dict[str, Any] = _parsed(text, tomllib.loads)
        return content


def _parsed(text: str, parse: Callable[[str], Any]) -> Any:
    """What a parser makes of a text; names the line where it does not, and gives no advice."""
    try:
        return parse(text)
    except RecursionError:
        signs = (char for char in text if char in "[]{}\n")
        line, depth, deepest = 1, 0, (0, -1)
        for sign in signs:
            line += sign == "\n"
            depth += (sign in "[{") - (sign in "]}")
            deepest = max(deepest, (depth, -line))
        raise ValueError(f"values lie too deep in each other (at line {-deepest[1]})") from None
    except ValueError as error:
        if "set_int_max_str_digits" not in str(error):
            raise
        most = sys.get_int_max_str_digits()
        long = (found for found in re.finditer(r"[\d_]+", text) if len(found[0]) > most)
        at = text.count("\n", 0, next(long).start()) + 1
        raise ValueError(f"a number of more than {most:,} digits (at line {at})") from None


def read_text(path: Path | str, *, most: int = _MOST_TOML) -> str:
    """Text of a file in UTF-8.

    Raises
    ------
    DataError
        If it is another kind of file, or larger than ``most`` bytes.
    """
    return _text(path, most, DataError)


def _text(path: Path | str, most: int, kind: type[MattError]) -> str:
    """Text of a file of at most so many bytes, with or without a mark before it."""
    with Path(path).open("rb") as file:
        content = file.read(most + 1)
    if told := not_text(content):
        raise kind(f"{path} {told}")
    if len(content) > most:
        raise kind(f"{path} has more than {most:,} bytes; name the file that is meant")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise kind(f"{path} is not written in UTF-8 (at line {line}); save it as UTF-8") from error


_ARCHIVE, _EXPORT = "unpack it and name the file in it", "open it and export the table as CSV"
_KINDS = (
    (rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]",
     "is written in UTF-16 or UTF-32; save it as UTF-8"),
    (rb"PK\x03\x04.{26}(?:\[Content_Types\]|_rels/|docProps/|xl/)", f"is an Excel file; {_EXPORT}"),
    (rb"PK\x03\x04.{26}mimetype", f"is an OpenDocument file; {_EXPORT}"),
    (rb"PK\x03\x04", f"is a ZIP archive or of an office program; {_ARCHIVE}, or {_EXPORT}"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"is a file of an old Excel; {_EXPORT}"),
    (rb"%PDF-", "is a PDF; get the table that it was made of"),
    (rb"\x1f\x8b", f"is compressed with gzip; let its name end in .gz, or {_ARCHIVE}"),
    (rb"BZh[1-9]1AY&SY", f"is compressed with bzip2; let its name end in .bz2, or {_ARCHIVE}"),
    (rb"\x28\xb5\x2f\xfd", f"is compressed with zstd; let its name end in .zst, or {_ARCHIVE}"),
    (rb"\x04\x22\x4d\x18", f"is compressed with lz4; let its name end in .lz4, or {_ARCHIVE}"),
    (rb"\xfd7zXZ\0|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07", f"is an archive; {_ARCHIVE}"),
    (rb"PAR1", "is a Parquet file; let its name end in .parquet"),
    (rb"SQLite format 3\0", f"is a database of SQLite; {_EXPORT}"),
    (rb"\x89HDF\r\n|\x93NUMPY", f"holds arrays in binary; {_EXPORT}"),
    (rb"(?i)(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)\b", "is a web page; get the file itself"),
    (rb"version https://git-lfs", "is a pointer of Git LFS; get the file with 'git lfs pull'"),
)  # fmt: skip


def not_text(head: bytes) -> str:
    """What a file is by its first bytes if it is no text in UTF-8, and what to do; else nothing.

    >>> not_text(b"%PDF-1.7"), not_text(b"track,genre")
    ('is a PDF; get the table that it was made of', '')
    """
    return next((told for sign, told in _KINDS if re.match(sign, head, re.DOTALL)), "")


def read_arrays(path: Path | str, *, remedy: str) -> tuple[dict[str, NDArray[Any]], Any]:
    """Arrays of a safetensors file by name, and the JSON that its metadata holds as ``"matt"``.

    Raises
    ------
    DataError
        If it is missing or damaged; ends in the remedy.
    """
    from safetensors import safe_open

    with reading(path, "cannot be read ({})", remedy), safe_open(path, "numpy") as file:
        note = _parsed((file.metadata() or {}).get(_META.decode(), "null"), json.loads)
        return {name: file.get_tensor(name) for name in file.keys()}, note  # noqa: SIM118


def write_parquet(path: Path | str, columns: dict[str, Any], *, schema: str, **meta: Any) -> None:
    """Write columns as one Parquet file, atomically, with a schema name and JSON metadata.

    Parameters
    ----------
    path : path
    columns : dict of str to array
        Numpy arrays, lists or Arrow arrays, all of one length.
    schema : str
        Name and version of the layout, e.g. ``"matt.tracks/1"``; checked by `read_parquet`.
    **meta
        JSON-serialisable values kept in the file's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: as_arrow(column) for name, column in columns.items()})
    note = json.dumps({"schema": schema, **meta}).encode()
    with replacing(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({_META: note}),
            temporary,
            compression="zstd",
            row_group_size=_ROWS_IN_GROUP,
        )


@contextmanager
def open_parquet(
    path: Path | str, *, remedy: str = "make it again", **options: Any
) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, whoever wrote it; what goes wrong in the body is told, too.

    Parameters
    ----------
    path : path
    remedy : str
        How to get another one.
    **options
        Of `pyarrow.parquet.ParquetFile`. (Not ``read_table``: it would take a folder name like
        ``split=test`` for a column.)

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    import pyarrow.parquet as pq

    wrong = "is not a readable Parquet file ({})"
    with reading(path, wrong, remedy), pq.ParquetFile(path, **options) as file:
        cells = file.metadata.num_rows * file.metadata.num_columns
        most, times = _SWOLLEN
        if 8 * cells > max(most, times * Path(path).stat().st_size):
            raise ValueError(f"{cells:,} values in so small a file")
        yield file


def read_parquet(
    path: Path | str,
    *,
    schema: str,
    columns: list[str] | None = None,
    rows: tuple[str, int] | None = None,
) -> tuple[pa.Table, dict[str, Any]]:
    """Read what `write_parquet` wrote.

    Parameters
    ----------
    path : path
    schema : str
        As it was written.
    columns : list of str, optional
        Only these.
    rows : (str, int), optional
        Only rows that hold this number in this column.

    Returns
    -------
    table : pyarrow.Table
        All that was asked for.
    meta : dict

    Raises
    ------
    DataError
        If the file is missing, is not Parquet, or has another schema.
    """
    with open_parquet(path) as file:
        groups = _groups_with(file, rows) if rows else range(file.num_row_groups)
        table = file.read_row_groups(list(groups), columns=columns)
        if rows:
            import pyarrow.compute as pc

            # Arrow's own scalars and expressions import pandas.
            table = table.filter(pc.equal(table[rows[0]], as_arrow([rows[1]])[0]))
        table.validate(full=True)  # a damaged text would fail only later
        meta = dict(json.loads((table.schema.metadata or {}).get(_META, b"{}")))
    if meta.get("schema") != schema:
        raise DataError(
            f"{path} holds {meta.get('schema', 'an unknown table')!r}, expected {schema!r}; "
            "is it another file, or from another version of matt?"
        )
    return table, meta


def _groups_with(file: Any, rows: tuple[str, int]) -> Iterator[int]:
    """Parts of an open Parquet file that may hold a number in a column."""
    column, number = rows
    place = file.schema_arrow.get_field_index(column)
    for group in range(file.num_row_groups):
        found = file.metadata.row_group(group).column(place).statistics
        if found is None or not found.has_min_max or found.min <= number <= found.max:
            yield group


def as_arrow(column: Any) -> pa.Array:
    """Arrow array of a column, equal to what `pyarrow.array` makes of it.

    But for texts of numpy with a NUL inside: they are kept whole, where that cuts them off.
    `pyarrow.array` imports pandas, where it is installed, whatever it is given, and takes longer
    for it than most tables take to be written. So texts and numbers, nearly all, go another way.
    """
    import pyarrow as pa

    kinds = set(map(type, column)) if isinstance(column, list) else set()
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind == "U":
        column, kinds = column.tolist(), {str}
    if kinds in ({str}, {bytes}):
        cells = [cell.encode() for cell in column] if kinds == {str} else column
        ends = np.cumsum([0, *map(len, cells)])
        if ends[-1] < 2**31:  # Arrow counts the bytes in 32 bits
            type_ = pa.string() if kinds == {str} else pa.binary()
            return _arrow(type_, len(cells), ends.astype(np.int32), b"".join(cells))
    if kinds in ({bool}, {int}, {float}):
        with suppress(OverflowError):  # Arrow says it better
            column = np.array(column, {bool: bool, int: np.int64, float: np.float64}[kinds.pop()])
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.isnative:
        if column.dtype.kind == "b":
            return _arrow(pa.bool_(), len(column), np.packbits(column, bitorder="little"))
        if column.dtype.kind in "iuf":
            type_ = pa.from_numpy_dtype(column.dtype)
            return _arrow(type_, len(column), np.ascontiguousarray(column))
    return pa.array(column)


def _arrow(type_: pa.DataType, n: int, *buffers: Any) -> pa.Array:
    """Arrow array without gaps."""
    import pyarrow as pa

    return pa.Array.from_buffers(type_, n, [None, *map(pa.py_buffer, buffers)])


def as_array(column: pa.ChunkedArray) -> NDArray[Any]:
    """Numpy array of an Arrow column: text as str, lists of one length as a 2-d array."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    if pa.types.is_list(column.type):
        flat = as_array(pa.chunked_array([chunk.flatten() for chunk in column.chunks]))
        return np.asarray(flat.reshape(len(column), -1))
    # Arrow's own way imports pandas, where it is installed, and that takes half a second.
    numbers = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if numbers and column.num_chunks and not column.null_count:
        return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])
    if pa.types.is_boolean(column.type) and column.num_chunks and not column.null_count:
        return np.concatenate([_booleans(chunk) for chunk in column.chunks])
    array: NDArray[Any] = column.to_numpy()
    return array


def _booleans(chunk: pa.BooleanArray) -> NDArray[np.bool_]:
    """Of an Arrow array, which has eight in a byte."""
    packed = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)
    bits = np.unpackbits(packed, count=chunk.offset + len(chunk), bitorder="little")
    return bits[chunk.offset :].astype(bool)
