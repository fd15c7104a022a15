"""Columns of a CSV, TSV or Parquet file by name, whatever wrote it.

Arrow reads; Python's csv module is only asked afterwards, to name the line that is wrong.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, first_few
from ..files import open_parquet
from .csv_lines import (
    NO_NUMBER,
    TO_READ_AGAIN,
    csv_heading,
    find_fault,
    named_faults,
    not_written_in,
)
from .layout import Heading, Layout, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

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
    path: Path, layout: Layout, *, text: Collection[str] = (), numbers: Collection[str] = ()
) -> tuple[dict[str, pa.ChunkedArray], tuple[str, ...]]:
    """Read all columns of a file.

    Parameters
    ----------
    path : Path
    layout : Layout
    text, numbers : collections of str
        Columns of a CSV that are not left to guessing. ``"007"`` stays as it is in a text.

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
        table, notes = _read_csv(path, layout, heading, text, numbers)
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
) -> tuple[pa.Table, tuple[str, ...]]:
    import pyarrow as pa
    import pyarrow.csv as pc

    missing = [*dict.fromkeys([*NO_NUMBER, *layout.missing])]
    kinds = {name: pa.string() for name in text} | {name: pa.float64() for name in numbers}
    with named_faults(path, layout), pa.input_stream(str(path), compression="detect") as raw:
        watched = _Watched(raw)
        try:
            table = pc.read_csv(
                watched,
                read_options=pc.ReadOptions(
                    column_names=list(heading.names),
                    skip_rows=heading.lines,
                    encoding=layout.encoding,
                    block_size=BLOCK_BYTES,
                ),
                parse_options=pc.ParseOptions(
                    delimiter=layout.separator(path), newlines_in_values=True
                ),
                convert_options=pc.ConvertOptions(null_values=missing, column_types=kinds),
            )
        except pa.ArrowInvalid as error:
            why = find_fault(path, layout, heading, numbers) or str(error)
            raise DataError(f"{path}: {why}") from error
    if watched.quotes % 2 and (why := find_fault(path, layout, heading, numbers)):
        raise DataError(f"{path}: {why}")
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_binary(column.type):
            raise DataError(f"{path}: column {name!r} {not_written_in(layout.encoding)}")
    if watched.last not in (b"\n", b"\r"):
        note = f"{path.name} does not end in a line break; compare its last row, it may be cut off"
        return table, (note,)
    return table, ()
