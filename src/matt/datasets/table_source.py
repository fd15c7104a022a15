"""The rows of a table with the columns of all tables that are joined to it, and which is what."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, did_you_mean, first_few
from ..tracks import Tracks
from . import cells
from .columns import read_columns, read_heading
from .csv_lines import line_numbers
from .layout import kind_of
from .table_settings import JoinSettings, TableSettings, layout_of

if TYPE_CHECKING:
    import pyarrow as pa

USUAL: Mapping[str, tuple[str, ...]] = {
    "track": ("track_id", "track", "song_id", "id"),
    "artist": ("artist_id", "artist", "artist_name"),
    "album": ("album_id", "album", "album_title"),
    "genre": ("genre", "genre_top", "genres", "label"),
    "split": ("split", "set_split"),
}
"""Names of columns that are looked for, in this order, where the TOML names none."""

ROLES = (*USUAL, "embeddings", "audio")
_RESERVED = {field.name for field in fields(Tracks)}


@dataclass(frozen=True, eq=False)
class Source:
    """The first table with the columns of all, and which of them is what."""

    settings: TableSettings
    path: Path
    columns: dict[str, pa.ChunkedArray]
    roles: dict[str, str]
    feature_names: tuple[str, ...]
    notes: list[str]

    @classmethod
    def open(cls, settings: TableSettings, folder: Path) -> Source:
        """Read the files, find the columns, join.

        Raises
        ------
        ConfigError, DataError
            As `matt.datasets.table.load`.
        """
        joins = settings.join
        paths = [folder / settings.table, *(folder / join.table for join in joins)]
        layouts = [layout_of(settings, settings.missing)]
        layouts += [layout_of(join, settings.missing) for join in joins]
        headings = [
            read_heading(path, layout).names for path, layout in zip(paths, layouts, strict=True)
        ]
        known = [*dict.fromkeys(name for names in headings for name in names)]
        told = paths[0].name + (f" and {len(joins)} more" if joins else "")
        roles = {role: _role(settings, role, known, told) for role in ROLES}
        chosen = matching(settings.features, known, told, "features", without=roles.values())
        keys = [
            _keys(join, roles, headings[: i + 1], headings[i + 1]) for i, join in enumerate(joins)
        ]
        text = {*roles.values(), *(key for pair in keys for key in pair)} - {""}
        notes: list[str] = []
        parts = []
        for path, layout, names in zip(paths, layouts, headings, strict=True):
            columns, some = read_columns(
                path,
                layout,
                text=[name for name in names if name in text],
                numbers=[name for name in names if name in chosen],
            )
            parts.append(columns)
            notes += some
        columns = parts[0]
        for path, other, (on, key) in zip(paths[1:], parts[1:], keys, strict=True):
            columns = _joined(columns, other, on, key, paths[0], path, notes)
        return cls(settings, paths[0], columns, roles, chosen, notes)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def texts(self, role: str) -> NDArray[np.str_]:
        """Cells of the column that has a role, shape (n,)."""
        return cells.texts(self.columns[self.roles[role]], self.settings.missing)

    def where(self, rows: Collection[int]) -> str:
        """The lines of some rows of the first table, for a message."""
        lines = line_numbers(self.path, layout_of(self.settings, self.settings.missing), rows)
        unit = "row" if kind_of(self.path) == ".parquet" else "line"
        return f"{unit}{'s' if len(lines) > 1 else ''} {first_few(lines)} of {self.path.name}"

    def further(self, taken: Collection[str]) -> dict[str, NDArray[Any]]:
        """Columns that are neither features nor have a role of their own."""
        used = {*self.roles.values(), *self.feature_names}
        found, left = {}, []
        for name, column in self.columns.items():
            if name in used:
                continue
            array = cells.further(column)
            if array is None:
                left.append(name)
            else:
                clash = name in _RESERVED or name in taken
                found[f"table_{name}" if clash else name] = array
        if left:
            self.notes.append(f"{first_few(left)}: left out, lists or very long texts")
        return found


def _role(settings: TableSettings, role: str, known: Sequence[str], told: str) -> str:
    named: str = getattr(settings, role)
    if named and named not in known:
        raise ConfigError(
            f"{role} = {named!r}, but {told} has no such column; {did_you_mean(named, known)}"
        )
    return named or next((name for name in USUAL.get(role, ()) if name in known), "")


def matching(
    patterns: Sequence[str], known: Sequence[str], told: str, key: str, *, without: Collection[str]
) -> tuple[str, ...]:
    """Columns that match a pattern, in the order of the table."""
    free = [name for name in known if name not in without]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in free):
            raise ConfigError(
                f"{key} = {pattern!r} matches no column of {told}; {did_you_mean(pattern, free)}"
            )
    return tuple(name for name in free if any(fnmatchcase(name, p) for p in patterns))


def _keys(
    join: JoinSettings,
    roles: Mapping[str, str],
    before: Sequence[Sequence[str]],
    second: Sequence[str],
) -> tuple[str, str]:
    """Columns that say which rows belong together: of the tables so far, and of the next one."""
    first = [name for names in before for name in names]
    on = join.on or roles["track"]
    key = join.key or on
    for name, names, where in ((on, first, "what is joined so far"), (key, second, join.table)):
        if name not in names:
            raise ConfigError(
                f"join needs the column {name!r}, which {where} has not; "
                f"{did_you_mean(name, names)} (keys: on, key)"
            )
    return on, key


def _joined(
    columns: dict[str, pa.ChunkedArray],
    other: dict[str, pa.ChunkedArray],
    on: str,
    key: str,
    first: Path,
    second: Path,
    notes: list[str],
) -> dict[str, pa.ChunkedArray]:
    """Columns of another table beside the rows that they belong to; missing where none does."""
    import pyarrow as pa

    left, right = cells.texts(columns[on]), cells.texts(other[key])
    numbers = [cells.ids(side, negative_is_missing=False) for side in (left, right)]
    if all(side.names is None for side in numbers):  # so that 000002 finds 2
        left, right = (side.values.astype(np.str_) for side in numbers)
    different, rows, times = np.unique(right, return_index=True, return_counts=True)
    if (twice := different[times > 1]).size:
        raise DataError(
            f"{second}: {twice.size} values of {key!r} occur more than once (first: "
            f"{first_few(twice)}), so nobody knows which row to take; keep one of each"
        )
    place = np.searchsorted(different, left).clip(max=len(different) - 1)
    absent = different[place] != left
    if absent.all():
        raise DataError(
            f"no {on!r} of {first} is among the {key!r} of {second} (e.g. {str(left[0])!r} and "
            f"{str(right[0])!r}); name the columns that fit with on and key"
        )
    if absent.any():
        notes.append(
            f"{int(absent.sum()):,} of {len(left):,} tracks are not in {second.name} "
            f"(first: {first_few(left[absent])}); what it says of them is unknown"
        )
    taken = pa.array(rows[place], mask=absent)
    clash = sorted((columns.keys() & other.keys()) - {key})
    if clash:
        notes.append(f"{first_few(clash)}: taken from {first.name}, although {second.name} has it")
    added = {name: column.take(taken) for name, column in other.items() if name not in columns}
    return columns | added
