"""A CSV line by line, slowly: its heading, and which line is wrong when Arrow cannot read it."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DataError, first_few
from .layout import Heading, Layout, kind_of

TO_READ_AGAIN = "copy or download it again"
NO_NUMBER = ("", "nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "#NA", "null", "NULL")
"""Cells that stand for no number, whatever else the settings name; a text may well be "NA"."""


def csv_heading(path: Path, layout: Layout) -> Heading:
    """Names of the columns of a CSV.

    Raises
    ------
    DataError
        If it has too few rows, or they differ in length.
    """
    with named_faults(path, layout), lines_of(path, layout) as reader:
        return _heading(path, reader, layout.header_rows)


def _heading(path: Path, reader: Any, header_rows: int) -> Heading:
    rows: list[list[str]] = []
    for row in reader:
        if row:
            rows.append([cell.strip() for cell in row])
        if len(rows) == header_rows:
            break
    if len(rows) < header_rows:
        raise DataError(
            f"{path} has {len(rows)} rows, expected {header_rows} with the names of the columns "
            f"and then the data; {TO_READ_AGAIN}"
        )
    if len({len(row) for row in rows}) > 1:
        raise DataError(
            f"{path}: its {header_rows} rows of names have {first_few(map(len, rows))} cells; "
            "check header_rows"
        )
    names = ["_".join(part for part in parts if part) for parts in zip(*rows, strict=True)]
    lines = int(reader.line_num)
    if header_rows > 1:
        below: list[str] = next(reader, [])
        if below and below[0].strip() and not any(below[1:]) and not is_number(below[0]):
            names[0], lines = below[0].strip(), int(reader.line_num)
    return Heading(tuple(name or f"column_{i}" for i, name in enumerate(names)), lines)


@contextmanager
def lines_of(path: Path, layout: Layout) -> Iterator[Any]:
    """A csv reader over a file, compressed or not."""
    import pyarrow as pa

    encoding = "utf-8-sig" if codecs.lookup(layout.encoding).name == "utf-8" else layout.encoding
    with (
        pa.input_stream(str(path), compression="detect") as raw,
        io.TextIOWrapper(raw, encoding=encoding, newline="") as stream,
    ):
        yield csv.reader(stream, delimiter=layout.separator(path), strict=True)


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


def find_fault(path: Path, layout: Layout, heading: Heading, numbers: Collection[str]) -> str:
    """What is wrong with a CSV, with its line; empty if nothing is found."""
    n_cells = len(heading.names)
    missing = {*NO_NUMBER, *layout.missing}
    checked = [(i, name) for i, name in enumerate(heading.names) if name in numbers]
    with lines_of(path, layout) as reader:
        try:
            for row in reader:
                if not row or reader.line_num <= heading.lines:
                    continue
                if len(row) != n_cells:
                    line = reader.line_num
                    last = next(reader, None) is None
                    remedy = "mend that row"
                    if len(row) > n_cells:
                        remedy = "a cell that holds the delimiter needs quotes"
                    elif last:
                        remedy = f"the file looks cut off, {TO_READ_AGAIN}"
                    return f"line {line} has {len(row)} cells, the heading {n_cells}; {remedy}"
                for i, name in checked:
                    cell = row[i].strip()
                    if cell not in missing and not is_number(cell):
                        return (
                            f"line {reader.line_num}: {name} is {cell!r}, which is no number; "
                            "correct it, or leave that column out of the features"
                        )
        except csv.Error as error:
            return (
                f"line {reader.line_num}: {error}; a quoted cell is not closed, or the file is "
                f"cut off: mend that row, or {TO_READ_AGAIN}"
            )
        except UnicodeDecodeError:
            return f"after line {reader.line_num} it {not_written_in(layout.encoding)}"
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
    except (UnicodeDecodeError, csv.Error) as error:
        wrong = not_written_in(layout.encoding)
        why = wrong if isinstance(error, UnicodeDecodeError) else f"cannot be read ({error})"
        raise DataError(f"{path}: its heading {why}") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read to its end ({error}); it is cut off or damaged, {TO_READ_AGAIN}"
        ) from error


def not_written_in(encoding: str) -> str:
    """End of a message about bytes that are no text."""
    return f"is not written in {encoding}; say encoding = 'latin-1', or save the file as UTF-8"


def is_number(text: str) -> bool:
    """Whether a cell reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
