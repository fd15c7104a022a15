"""How a table is written down: suffix, delimiter, heading, encoding."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, DataError

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".parquet")
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a CSV is written; Parquet says so itself.

    Attributes
    ----------
    header_rows : int >= 1
        Rows that together name the columns.
    delimiter : str
        One character; ``""`` is a tab for ``.tsv`` and ``.tab``, else a comma.
    encoding : str
    missing : tuple of str
        Cells without a value.

    Raises
    ------
    ConfigError
        If a value makes no sense.
    """

    header_rows: int = 1
    delimiter: str = ""
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        if self.header_rows < 1:
            raise ConfigError(f"header_rows is {self.header_rows}; columns need at least one row")
        if len(self.delimiter) > 1:
            raise ConfigError(f"delimiter is {self.delimiter!r}; use one character")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ConfigError(
                f"encoding is {self.encoding!r}, which is unknown; try 'utf-8' or 'latin-1'"
            ) from None

    def separator(self, path: Path) -> str:
        """The delimiter of a file."""
        return self.delimiter or ("\t" if kind_of(path) in (".tsv", ".tab") else ",")


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


def kind_of(path: Path) -> str:
    """Suffix that tells the format, without that of a compression.

    Raises
    ------
    DataError
        If it is none that can be read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in SUFFIXES:
        raise DataError(f"{path} is no table; its name must end in {', '.join(SUFFIXES)} (or .gz)")
    return suffixes[-1]
