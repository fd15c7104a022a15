"""FMA's own CSVs: several rows of column names, then a row with the name of the index, then data.

Arrow reads them. Where it cannot, or where a file looks cut off, the file is read a second time,
line by line, to name the line.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError, did_you_mean, first_few

if TYPE_CHECKING:
    import pyarrow as pa

INDEX = "track_id"
AGAIN = "fetch it again with 'matt fma fetch metadata', or copy it again"
_BLOCK = 2**24  # bytes that Arrow reads at once; a row has to fit in


@dataclass(frozen=True)
class Source:
    """A file as a whole: what identifies it, and how it ends.

    Attributes
    ----------
    path : Path
    n_bytes, mtime_ns : int
    sha256 : str
    lines : int
        Line breaks.
    whole : bool
        Whether the last byte is a line break and quotes are balanced.
    """

    path: Path
    n_bytes: int
    mtime_ns: int
    sha256: str
    lines: int
    whole: bool


def survey(path: Path) -> Source:
    """Read a file once, for its hash and its end.

    Raises
    ------
    DataError
        If it is not there, is empty, or cannot be read.
    """
    digest, lines, quotes, last = hashlib.sha256(), 0, 0, b""
    try:
        stat = path.stat()
        with path.open("rb") as file:
            while data := file.read(2**22):
                digest.update(data)
                lines += data.count(b"\n")
                quotes += data.count(b'"')
                last = data[-1:]
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; {AGAIN}, or name the folder above fma_metadata"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {AGAIN}") from error
    if not last:
        raise DataError(f"{path} is empty; {AGAIN}")
    whole = last == b"\n" and quotes % 2 == 0
    return Source(path, stat.st_size, stat.st_mtime_ns, digest.hexdigest(), lines, whole)


def read_names(path: Path, *, levels: int, index: str = INDEX) -> tuple[tuple[str, ...], ...]:
    """Names of the columns after the index, one tuple of ``levels`` parts each.

    Raises
    ------
    DataError
        If the rows of names are not there, differ in length, or repeat a name.
    """
    with _rows(path) as rows:
        head: list[list[str]] = [next(rows, []) for _ in range(levels + (levels > 1))]
    kind = f"{levels} row{'s' if levels > 1 else ''} of column names"
    where = 0 if levels == 1 else levels
    if not head[where] or head[where][0].strip() != index or (levels > 1 and any(head[where][1:])):
        seen = head[where][0] if head[where] else ""
        raise DataError(
            f"{path}, line {where + 1} begins with {seen[:40]!r}: expected {kind}"
            + (f", then a row with {index!r} alone" if levels > 1 else f", the first {index!r}")
            + f"; this is not FMA's {path.name}, {AGAIN}"
        )
    widths = {len(row) for row in head}
    if len(widths) > 1:
        raise DataError(
            f"{path}: the {len(head)} rows of its head have {first_few(sorted(widths))} cells; "
            f"{AGAIN}"
        )
    names = tuple(zip(*([cell.strip() for cell in row[1:]] for row in head[:levels]), strict=True))
    twice = sorted({"_".join(name) for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: columns {first_few(twice)} occur more than once; {AGAIN}")
    return names


def check_names(path: Path, names: tuple[tuple[str, ...], ...], needed: Any) -> None:
    """Refuse a file that lacks a column.

    Raises
    ------
    DataError
        Naming the columns, and what the first was perhaps called.
    """
    missing = [name for name in needed if name not in names]
    if missing:
        first = "_".join(missing[0])
        guess = did_you_mean(first, ["_".join(name) for name in names])
        raise DataError(
            f"{path} lacks {len(missing)} columns (first: {first}; "
            f"{guess if guess.startswith('did') else 'nothing like it is there'}); "
            "check its rows of column names"
        )


def read_table(
    source: Source, *, levels: int, numbers: Mapping[str, Any], index: str = INDEX
) -> pa.Table:
    """Read one of FMA's CSVs.

    Parameters
    ----------
    source : Source
    levels : int
        Rows of column names.
    numbers : mapping of str to Arrow type
        Columns that are numbers, by their joined names (``"track_duration"``); all others are text.
        Nothing is null in a text; an empty number is.

    Returns
    -------
    pyarrow.Table
        The index first, under its name; the other columns under their joined names.

    Raises
    ------
    DataError
        If the file is cut off, a row has too few or too many cells, a number is none, or an index
        repeats; the message names file and line.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    path = source.path
    names = read_names(path, levels=levels, index=index)
    joined = [index, *("_".join(name) for name in names)]
    types = {name: numbers.get(name, pa.string()) for name in joined} | {index: pa.int64()}
    if not source.whole:
        raise DataError(f"{path}: {_explain(path, types, levels) or _last_line(source)}")
    try:
        table = pc.read_csv(
            path,
            read_options=pc.ReadOptions(
                column_names=joined, skip_rows=levels + (levels > 1), block_size=_BLOCK
            ),
            parse_options=pc.ParseOptions(newlines_in_values=len(numbers) < len(names)),
            convert_options=pc.ConvertOptions(column_types=types),
        )
    except pa.ArrowInvalid as error:
        why = _explain(path, types, levels) or f"it cannot be read ({error}); {AGAIN}"
        raise DataError(f"{path}: {why}") from error
    _check_index(path, table[index])
    return table


def _check_index(path: Path, column: pa.ChunkedArray) -> None:
    import numpy as np

    if column.null_count:
        raise DataError(f"{path}: {column.null_count} rows have no id; {AGAIN}")
    ids, times = np.unique(column.to_numpy(), return_counts=True)
    if (times > 1).any():
        raise DataError(
            f"{path}: {int((times > 1).sum())} ids occur more than once (first: "
            f"{first_few(ids[times > 1])}); {AGAIN}"
        )
    if len(ids) and ids[0] < 0:
        raise DataError(f"{path}: the id {ids[0]} is negative; {AGAIN}")


def _last_line(source: Source) -> str:
    return f"line {source.lines + 1} does not end: the file is cut off; {AGAIN}"


def _explain(path: Path, types: Mapping[str, Any], levels: int) -> str:
    """Find the first line that is wrong; empty if there is none."""
    checked = {i: (name, kind) for i, (name, kind) in enumerate(types.items()) if _number(kind)}
    began = 1
    with _rows(path) as rows:
        try:
            for number, row in enumerate(rows):
                began, line = _line_of(rows) + 1, began
                if number < levels + (levels > 1) or not row:
                    continue
                if len(row) != len(types):
                    cut = next(rows, None) is None
                    return (
                        f"line {line} has {len(row)} cells, expected {len(types)}"
                        + ("; the file is cut off" if cut else "")
                        + f"; {AGAIN}"
                    )
                for i, (name, kind) in checked.items():
                    if not _fits(row[i], kind, empty=i > 0):
                        return f"line {line}: {name} is {row[i][:40]!r}, expected a number; {AGAIN}"
        except csv.Error as error:
            return f"the row that begins in line {began} does not end ({error}); {AGAIN}"
        except UnicodeDecodeError:
            return f"below line {began} it is not UTF-8 text; {AGAIN}"
    return ""


def _line_of(rows: Any) -> int:
    return int(rows.line_num)


def _number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _fits(text: str, kind: Any, *, empty: bool) -> bool:
    import pyarrow as pa

    if not text.strip():
        return empty
    try:
        (int if pa.types.is_integer(kind) else float)(text)
    except ValueError:
        return text in ("NA", "N/A", "null", "NULL") and empty
    return True


@contextmanager
def _rows(path: Path) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield csv.reader(file, strict=True)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; {AGAIN}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV in UTF-8 ({error}); {AGAIN}") from error
