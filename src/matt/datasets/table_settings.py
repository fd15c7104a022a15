"""What a small TOML says of a table: which file, and what its columns are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from ..errors import did_you_mean
from ..files import read_toml
from ..settings import Checked, Many, Texts, made
from ..tracks import SPLITS
from .columns import Layout

SPLIT_NAMES = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of splits that are understood without being told, in any letter case."""

MISSING = ("", "nan", "NaN", "<NA>", "None", "null", "NULL", "N/A", "#N/A")
"""Cells that mean "unknown" unless the TOML says otherwise."""


@dataclass(frozen=True, kw_only=True)
class JoinSettings(Checked):
    """A second table whose columns are added to the rows of the first."""

    table: str
    """Its file, relative to the TOML."""
    on: str = ""
    """Column of the first table that says which row belongs to it; the track by default."""
    key: str = ""
    """Name of that column in the second table; the same by default."""
    header_rows: int = 1
    """As in `TableSettings`."""
    delimiter: str = ""
    """As in `TableSettings`."""
    encoding: str = "utf-8"
    """As in `TableSettings`."""

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        layout_of(self, ())  # which refuses what it cannot be
        yield from ()


@dataclass(frozen=True, kw_only=True)
class TableSettings(Checked):
    """A table of tracks; only ``table`` has to be said if the columns have usual names."""

    table: str = ""
    """File, relative to the TOML: ``.csv``, ``.tsv`` (also compressed, e.g. ``.csv.gz``) or
    ``.parquet``.
    """
    track: str = ""
    """Column with the ids; without a name, of this or the next three or ``split``, the usual ones
    are looked for (`matt.datasets.table.USUAL`).
    """
    artist: str = ""
    """Column with the artists."""
    album: str = ""
    """Column with the albums."""
    genre: str = ""
    """Column with the genres."""
    genre_separator: str = ""
    """What stands between the genres of a track, e.g. ``","``; without it a cell is one genre."""
    several: Literal["all", "first"] = "all"
    """Of several genres keep all (multi-label), or the first alone."""
    genres: Texts = ()
    """The genres that are wanted; others become unknown. All by default."""
    split: str = ""
    """Column with the names of the splits."""
    split_names: Mapping[str, str] | None = None
    """What the table's names of splits mean: ``"training"``, ``"validation"``, ``"test"``, or
    ``""`` for tracks that are in none. `SPLIT_NAMES` are understood anyway.
    """
    features: Texts = ()
    """Columns of numbers, as names or patterns such as ``"mfcc_*"``."""
    log1p: Texts = ()
    """Those of them that are replaced by log(1 + x), such as variances."""
    embeddings: str = ""
    """Column with the path of a ``.npy`` file for each track, relative to the TOML, or in Parquet
    with lists of numbers. One axis more than a vector means several segments a track.
    """
    audio: str = ""
    """Column with the path of the audio file of each track, relative to the TOML."""
    not_finite: Literal["drop", "error"] = "drop"
    """What happens to tracks whose features hold NaN or infinite values."""
    name: str = ""
    """Of the features; the name of the file by default."""
    missing: Texts = MISSING
    """Cells that mean "unknown"."""
    join: Annotated[tuple[JoinSettings, ...], Many] = ()
    """See `JoinSettings`."""
    header_rows: int = 1
    """Rows of a CSV that together name the columns, joined with ``_``. With several, a row below
    them that names nothing but the first column belongs to them, as pandas writes it.
    """
    delimiter: str = ""
    """Of a CSV; by default a tab for ``.tsv`` and else a comma."""
    encoding: str = "utf-8"
    """Of a CSV."""

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        if not self.table:
            yield "no table is named; add a line such as table = 'tracks.csv'"
        for name, meaning in (self.split_names or {}).items():
            if meaning not in ("", *SPLITS):
                yield f"split_names: {name!r} means {meaning!r}; {did_you_mean(meaning, SPLITS)}"
        if self.features and self.embeddings:
            yield "features and embeddings are both named; keep one of them"
        if self.log1p and not self.features:
            yield "log1p names columns, but features names none; name both"
        layout_of(self, self.missing)  # which refuses what it cannot be

    @property
    def splits(self) -> dict[str, str]:
        """Every understood name of a split in lower case, and what it means."""
        given = {name.casefold(): meaning for name, meaning in (self.split_names or {}).items()}
        return {**SPLIT_NAMES, **given}


def layout_of(settings: TableSettings | JoinSettings, missing: tuple[str, ...]) -> Layout:
    """How the file is to be read.

    Raises
    ------
    ConfigError
        If it cannot be read so.
    """
    return Layout(
        header_rows=settings.header_rows,
        delimiter=settings.delimiter,
        encoding=settings.encoding,
        missing=missing,
    )


def read_settings(path: Path | str) -> TableSettings:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        Naming the file and everything that is wrong in it.
    """
    return parse(read_toml(path), where=str(path))


def parse(content: Mapping[str, Any], *, where: str = "table settings") -> TableSettings:
    """Check a dictionary as it comes out of a TOML file.

    Examples
    --------
    >>> parse({"table": "tracks.csv", "features": "mfcc_*"}).features
    ('mfcc_*',)
    """
    return made(TableSettings, content, where=where)
