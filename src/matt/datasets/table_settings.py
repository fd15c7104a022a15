"""What a small TOML says of a table: which file, and what its columns are."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError, did_you_mean
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

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class JoinSettings:
    """A second table whose columns are added to the rows of the first.

    Attributes
    ----------
    table : str
        Its file, relative to the TOML.
    on : str
        Column of the first table that says which row belongs to it; the track by default.
    key : str
        Name of that column in the second table; the same by default.
    header_rows, delimiter, encoding
        As in `TableSettings`.
    """

    table: str
    on: str = ""
    key: str = ""
    header_rows: int = 1
    delimiter: str = ""
    encoding: str = "utf-8"


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """A table of tracks; only ``table`` has to be said if the columns have usual names.

    Attributes
    ----------
    table : str
        File, relative to the TOML: ``.csv``, ``.tsv`` (also compressed, e.g. ``.csv.gz``) or
        ``.parquet``.
    track, artist, album, genre, split : str
        Columns. Without a name the usual ones are looked for (`matt.datasets.table.USUAL`).
    genre_separator : str
        What stands between the genres of a track, e.g. ``","``; without it a cell is one genre.
    several : {"all", "first"}
        Of several genres keep all (multi-label), or the first alone.
    genres : list of str
        The genres that are wanted; others become unknown. All by default.
    split_names : table of str to str
        What the table's names of splits mean: ``"training"``, ``"validation"``, ``"test"``, or
        ``""`` for tracks that are in none. `SPLIT_NAMES` are understood anyway.
    features : str or list of str
        Columns of numbers, as names or patterns such as ``"mfcc_*"``.
    log1p : str or list of str
        Those of them that are replaced by log(1 + x), such as variances.
    embeddings : str
        Column with the path of a ``.npy`` file for each track, relative to the TOML, or in Parquet
        with lists of numbers. One axis more than a vector means several segments a track.
    audio : str
        Column with the path of the audio file of each track, relative to the TOML.
    not_finite : {"drop", "error"}
        What happens to tracks whose features hold NaN or infinite values.
    name : str
        Of the features; the name of the file by default.
    missing : list of str
        Cells that mean "unknown".
    join : list of tables
        See `JoinSettings`.
    header_rows : int >= 1
        Rows of a CSV that together name the columns, joined with ``_``. With several, a row below
        them that names nothing but the first column belongs to them, as pandas writes it.
    delimiter : str
        Of a CSV; by default a tab for ``.tsv`` and else a comma.
    encoding : str
        Of a CSV.

    Raises
    ------
    ConfigError
        Naming the setting, its value and what would do.
    """

    table: str
    track: str = ""
    artist: str = ""
    album: str = ""
    genre: str = ""
    genre_separator: str = ""
    several: str = "all"
    genres: tuple[str, ...] = ()
    split: str = ""
    split_names: Mapping[str, str] | None = None
    features: tuple[str, ...] = ()
    log1p: tuple[str, ...] = ()
    embeddings: str = ""
    audio: str = ""
    not_finite: str = "drop"
    name: str = ""
    missing: tuple[str, ...] = MISSING
    join: tuple[JoinSettings, ...] = ()
    header_rows: int = 1
    delimiter: str = ""
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        _choice("several", self.several, ("all", "first"))
        _choice("not_finite", self.not_finite, ("drop", "error"))
        for name, meaning in (self.split_names or {}).items():
            if meaning not in ("", *SPLITS):
                raise ConfigError(
                    f"split_names: {name!r} means {meaning!r}; {did_you_mean(meaning, SPLITS)}"
                )
        if self.features and self.embeddings:
            raise ConfigError("features and embeddings are both named; keep one of them")
        if self.log1p and not self.features:
            raise ConfigError("log1p names columns, but features names none; name both")

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
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}; correct that line") from error
    return parse(content, where=str(path))


def parse(content: Mapping[str, Any], *, where: str = "table settings") -> TableSettings:
    """Check a dictionary as it comes out of a TOML file.

    Examples
    --------
    >>> parse({"table": "tracks.csv", "features": "mfcc_*"}).features
    ('mfcc_*',)
    """
    content = dict(content)
    joins = content.pop("join", [])
    if isinstance(joins, Mapping):
        joins = [joins]
    if not isinstance(joins, list) or not all(isinstance(join, Mapping) for join in joins):
        raise ConfigError(f"{where}: join is {joins!r}; write join = [{{ table = 'other.csv' }}]")
    try:
        settings = _made(TableSettings, content, where)
        made = tuple(_made(JoinSettings, join, f"{where}: join") for join in joins)
        layout_of(settings, settings.missing)
        for each in made:
            layout_of(each, settings.missing)
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(where) else f"{where}: {text}") from error
    return replace(settings, join=made)


def _made(schema: type[S], content: Mapping[str, Any], where: str) -> S:
    known: dict[str, Any] = {f.name: f.type for f in fields(schema) if f.name != "join"}  # type: ignore[arg-type]
    problems = [
        f"unknown key {key!r}; {did_you_mean(key, [*known, 'join'])}"
        for key in content
        if key not in known
    ]
    values = {}
    for key, value in content.items():
        if key in known:
            values[key], problem = _typed(value, str(known[key]))
            problems += [f"{key} is {value!r}, expected {problem}"] if problem else []
    if not content.get("table") and not problems:
        problems.append("no table is named; add a line such as table = 'tracks.csv'")
    if problems:
        raise ConfigError(f"{where}: {'; '.join(problems)}")
    return schema(**values)


def _typed(value: Any, kind: str) -> tuple[Any, str]:
    """Value of a setting as its dataclass wants it; or what was expected."""
    if kind == "int":
        fine = isinstance(value, int) and not isinstance(value, bool)
        return value, "" if fine else "a whole number"
    if kind == "str":
        return value, "" if isinstance(value, str) else "text"
    if kind.startswith("tuple"):
        if isinstance(value, str):
            return (value,), ""
        fine = isinstance(value, list) and _all_text(value)
        return tuple(value) if fine else value, "" if fine else "text or a list of texts"
    fine = isinstance(value, Mapping) and _all_text([*value, *value.values()])
    return value, "" if fine else "a table of texts, such as { train = 'training' }"


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}; {did_you_mean(value, known)}")
