"""Columns of a CSV, TSV or Parquet file by name, whatever wrote it, and how it is written down.

What the settings leave open is recognised from the file (`matt.datasets.layout`). Arrow reads;
Python's csv module is only asked afterwards, to name the line that is wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, first_few
from ..files import open_parquet
from .layout import (
    NO_NUMBER,
    Layout,
    better_delimiter,
    decoding,
    is_number,
    kind_of,
    may_part,
    not_written_in,
    what_it_may_be,
)

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Heading:
    """Names of the columns, and how many lines they take.

    Attributes
    ----------
    names : tuple of str
    lines : int
        0 in Parquet.
    """

    names: tuple[str, ...]
    lines: int


TO_READ_AGAIN = "copy or download it again"


def csv_heading(path: Path, layout: Layout) -> Heading:
    """Names of the columns of a CSV.

    Raises
    ------
    DataError
        If it has too few rows, or they differ in length.
    """
    with named_faults(path, layout), lines_of(path, layout) as reader:
        for _ in range(layout.skip):
            if next(reader, None) is None:
                break
        return _heading(path, reader, layout)


def _heading(path: Path, reader: Any, layout: Layout) -> Heading:
    header_rows = layout.header_rows
    rows: list[list[str]] = []
    for row in reader:
        if row:
            rows.append([cell.strip() for cell in row])
        if len(rows) == header_rows:
            break
    if len(rows) < header_rows:
        where = f" below the {layout.skip:,} lines that skip leaves out" if layout.skip else ""
        remedy = "say a smaller skip" if layout.skip else TO_READ_AGAIN
        raise DataError(
            f"{path} has {len(rows)} rows{where}, expected {header_rows} with the names of the "
            f"columns and then the data; {remedy if header_rows == 1 else 'check header_rows'}"
        )
    if len({len(row) for row in rows}) > 1:
        raise DataError(
            f"{path}: its {header_rows} rows of names have {first_few(map(len, rows))} cells; "
            "check header_rows"
        )
    if better := better_delimiter(rows[0], layout.delimiter):
        raise DataError(
            f"{path}: delimiter = {layout.delimiter!r} parts its heading into "
            f"{first_few(map(repr, rows[0]))}; say delimiter = {better!r}"
        )
    names = ["_".join(part for part in parts if part) for parts in zip(*rows, strict=True)]
    lines = int(reader.line_num)
    if header_rows > 1:
        below: list[str] = next(reader, [])
        if below and below[0].strip() and not any(below[1:]) and not is_number(below[0]):
            names[0], lines = below[0].strip(), int(reader.line_num)
    return Heading(tuple(name or f"column_{i}" for i, name in enumerate(names)), lines)


def how_to_find(path: Path, layout: Layout, is_wanted: Callable[[str], bool]) -> str:
    """The setting by which a file of text would have a column that is wanted; empty if none.

    The names may lie below other lines, and between signs that part no columns so far.
    """
    if kind_of(path) == ".parquet" or layout.header_rows != 1:
        return ""
    with suppress(UnicodeError, OSError, csv.Error), lines_of(path, layout) as reader:
        for row, cells in enumerate(islice(reader, _TITLE_ROWS)):
            signs = {sign for sign in "".join(cells) if may_part(sign)}
            for sign in (layout.delimiter, *sorted(signs - {layout.delimiter})):
                names = [part.strip() for cell in cells for part in cell.split(sign)]
                if row >= layout.skip and len(names) > 1 and any(map(is_wanted, names)):
                    said = [f"skip = {row}"] if row > layout.skip else []
                    said += [f"delimiter = {sign!r}"] if sign != layout.delimiter else []
                    return f"{path.name} has it in line {reader.line_num}: say {', '.join(said)}"
    return ""


_TITLE_ROWS = 30  # rows of a file among which its names are looked for


@contextmanager
def lines_of(path: Path, layout: Layout) -> Iterator[Any]:
    """A csv reader over a file, compressed or not."""
    import pyarrow as pa

    with (
        pa.input_stream(str(path), compression="detect") as raw,
        io.TextIOWrapper(raw, encoding=decoding(layout.encoding), newline="") as stream,
    ):
        yield csv.reader(stream, delimiter=layout.delimiter, strict=True)


def line_numbers(path: Path, layout: Layout, rows: Collection[int]) -> list[int]:
    """Lines of a CSV in which the given rows of data end; in Parquet, the rows from 1.

    Parameters
    ----------
    rows : collection of int
        From 0.
    """
    if kind_of(path) == ".parquet":
        return [row + 1 for row in sorted(rows)]
    heading, wanted, found = csv_heading(path, layout), set(rows), []
    with lines_of(path, layout) as reader:
        row = 0
        for cells in reader:
            if cells and reader.line_num > heading.lines:
                found += [int(reader.line_num)] if row in wanted else []
                row += 1
            if len(found) == len(wanted):
                break
    return found


def find_fault(
    path: Path,
    layout: Layout,
    heading: Heading,
    numbers: Collection[str],
    missing: Collection[str],
) -> str:
    """What is wrong with a CSV, with its line; empty if nothing is found."""
    n_cells = len(heading.names)
    gone = {*NO_NUMBER, *missing}
    checked = [(i, name) for i, name in enumerate(heading.names) if name in numbers]
    first = True
    with lines_of(path, layout) as reader:
        try:
            for row in reader:
                if not row or reader.line_num <= heading.lines:
                    continue
                if len(row) != n_cells:
                    line = reader.line_num
                    following = next(reader, None)
                    remedy = "mend that row"
                    rest = (some for some in chain((row, following), reader) if some)
                    if first and following and all(len(some) == n_cells + 1 for some in rest):
                        return (
                            f"its rows have {n_cells + 1} cells, the heading {n_cells}, as R "
                            "writes names of rows; write it with row.names = FALSE, or name that "
                            "column, too"
                        )
                    if len(row) > n_cells:
                        remedy = "a cell that holds the delimiter needs quotes"
                    elif following is None:
                        remedy = f"the file looks cut off, {TO_READ_AGAIN}"
                    return f"line {line} has {len(row)} cells, the heading {n_cells}; {remedy}"
                first = False
                for i, name in checked:
                    cell = row[i].strip()
                    if cell not in gone and not is_number(cell, layout.decimal):
                        remedy = what_it_may_be(cell, layout.decimal)
                        return (
                            f"line {reader.line_num}: {name} is {cell!r}, which is no number; "
                            f"{remedy or 'correct it, or leave that column out of the features'}"
                        )
        except csv.Error as error:
            return (
                f"line {reader.line_num}: {error}; a quoted cell is not closed, or the file is "
                f"cut off: mend that row, or {TO_READ_AGAIN}"
            )
        except UnicodeError:
            return f"after line {reader.line_num} it {not_written_in(path, layout.encoding)}"
    return ""


@contextmanager
def named_faults(path: Path, layout: Layout) -> Iterator[None]:
    """Name the file in whatever reading it raises."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a file in it") from None
    except (UnicodeError, csv.Error) as error:
        if isinstance(error, UnicodeError):
            raise DataError(f"{path} {not_written_in(path, layout.encoding)}") from error
        raise DataError(f"{path}: its heading cannot be read ({error})") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read to its end ({error}); it is cut off or damaged, {TO_READ_AGAIN}"
        ) from error


BLOCK_BYTES = 2**24  # a single row must fit into a block


def read_heading(path: Path, layout: Layout) -> Heading:
    """Names of the columns of a file.

    Raises
    ------
    DataError
        If the file cannot be read, or names repeat.
    """
    if kind_of(path) == ".parquet":
        with open_parquet(path, remedy=TO_READ_AGAIN) as file:
            heading = Heading(tuple(file.schema_arrow.names), 0)
    else:
        heading = csv_heading(path, layout)
    twice = sorted({name for name in heading.names if heading.names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: {len(twice)} names of columns repeat (first: {first_few(twice)}); rename "
            "them, or say header_rows if several rows make up the names"
        )
    return heading


def read_columns(
    path: Path,
    layout: Layout,
    *,
    text: Collection[str] = (),
    numbers: Collection[str] = (),
    missing: Collection[str] = (),
) -> tuple[dict[str, pa.ChunkedArray], tuple[str, ...]]:
    """Read all columns of a file.

    Parameters
    ----------
    path : Path
    layout : Layout
    text, numbers : collections of str
        Columns of a CSV that are not left to guessing. ``"007"`` stays as it is in a text.
    missing : collection of str
        Cells of a CSV without a value.

    Returns
    -------
    columns : dict of str to pyarrow.ChunkedArray
    notes : tuple of str
        What looks wrong but need not be.

    Raises
    ------
    DataError
        If it cannot be read; the message names the line.
    """
    heading = read_heading(path, layout)
    if kind_of(path) == ".parquet":
        notes: tuple[str, ...] = ()
        with open_parquet(path, remedy=TO_READ_AGAIN) as file:
            table = file.read()
            table.validate(full=True)  # a damaged text would fail only later
    else:
        table, notes = _read_csv(path, layout, heading, text, numbers, missing)
    if not table.num_rows:
        raise DataError(f"{path} has names of columns but no row of data; {TO_READ_AGAIN}")
    return dict(zip(table.column_names, table.columns, strict=True)), notes


class _Watched(io.RawIOBase):
    """A stream that remembers how it ended, and whether its quotes were balanced."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.last, self.quotes = b"\n", 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = bytes(self._raw.read(size) if size >= 0 else self._raw.read())
        self.last, self.quotes = data[-1:] or self.last, self.quotes + data.count(b'"')
        return data


def _read_csv(
    path: Path,
    layout: Layout,
    heading: Heading,
    text: Collection[str],
    numbers: Collection[str],
    missing: Collection[str],
) -> tuple[pa.Table, tuple[str, ...]]:
    import pyarrow as pa
    import pyarrow.csv as pc

    gone = [*dict.fromkeys([*NO_NUMBER, *missing])]
    kinds = {name: pa.string() for name in text} | {name: pa.float64() for name in numbers}
    with named_faults(path, layout), pa.input_stream(str(path), compression="detect") as raw:
        if decoding(layout.encoding) != "utf-8-sig":
            raw = pa.transcoding_input_stream(raw, layout.encoding, "utf-8")
        watched = _Watched(raw)
        try:
            table = pc.read_csv(
                watched,
                read_options=pc.ReadOptions(
                    column_names=list(heading.names),
                    skip_rows=heading.lines,
                    block_size=BLOCK_BYTES,
                ),
                parse_options=pc.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
                convert_options=pc.ConvertOptions(
                    null_values=gone, column_types=kinds, decimal_point=layout.decimal
                ),
            )
        except (pa.ArrowInvalid, UnicodeError) as error:
            why = find_fault(path, layout, heading, numbers, missing) or str(error)
            raise DataError(f"{path}: {why}") from error
    if watched.quotes % 2 and (why := find_fault(path, layout, heading, numbers, missing)):
        raise DataError(f"{path}: {why}")
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_binary(column.type):
            raise DataError(f"{path}: column {name!r} {not_written_in(path, layout.encoding)}")
    if watched.last not in (b"\n", b"\r"):
        note = f"{path.name} does not end in a line break; compare its last row, it may be cut off"
        return table, (note,)
    return table, ()
