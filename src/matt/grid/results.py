"""Finished cells on disk: a folder each, whole or not there.

::

    OUT/cells/DIGEST/cell.json              what it is, what decided it, versions, seconds
    OUT/cells/DIGEST/predictions/*.parquet  what the work returned
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..comparison import Cell
from ..errors import DataError
from ..files import read_json, write_json
from ..predictions import Predictions
from ..provenance import versions

_SCHEMA = "matt.cell/1"
_A_DAY = 86_400  # seconds: what is younger may still be written


@dataclass(frozen=True)
class Result:
    """A finished cell.

    Attributes
    ----------
    path : Path
    seconds : float
        That the work took.
    """

    path: Path
    seconds: float

    def predictions(self, name: str) -> Predictions:
        """What the work returned under a name."""
        return Predictions.load(self.path / "predictions" / f"{name}.parquet")


def find_result(out: Path, cell: Cell) -> Result | None:
    """Result of a cell, if it is finished.

    Raises
    ------
    DataError
        If its folder is damaged.
    """
    path = out / "cells" / cell.digest
    if not path.is_dir():
        return None
    content = read_json(path / "cell.json")
    seconds = content.get("seconds") if isinstance(content, dict) else None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != _SCHEMA or not isinstance(seconds, int | float):
        raise DataError(f"{path} is damaged (no {_SCHEMA}); delete it to have it made again")
    return Result(path, float(seconds))


def save_result(
    out: Path,
    cell: Cell,
    predictions: Mapping[str, Predictions],
    *,
    seconds: float,
    token: str,
) -> Result:
    """Write the folder of a cell under another name, then rename it.

    Parameters
    ----------
    out : Path
    cell : Cell
    predictions : mapping of str to Predictions
    seconds : float
    token : str
        Of the engine, part of the temporary name; see `remove_unfinished`.
    """
    path = out / "cells" / cell.digest
    temporary = path.with_name(f".{cell.digest}.{token}.{uuid.uuid4().hex[:8]}")
    try:
        for name, some in predictions.items():
            some.save(temporary / "predictions" / f"{name}.parquet")
        content: dict[str, Any] = {
            "schema": _SCHEMA,
            "name": cell.name,
            "facts": dict(cell.facts),
            "seconds": round(seconds, 3),
            "versions": versions(),
        }
        write_json(temporary / "cell.json", content)
        try:
            os.rename(temporary, path)
        except OSError:
            if not path.is_dir():  # else another engine has just finished the same cell
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Result(path, seconds)


def remove_unfinished(out: Path, token: str = "") -> None:
    """Remove what was begun and never finished: under a token, or a day ago and longer."""
    cells = out / "cells"
    if not cells.is_dir():
        return
    for entry in cells.glob(".*"):
        with suppress(OSError):  # somebody else was faster
            mine = bool(token) and f".{token}." in entry.name
            if mine or time.time() - entry.stat().st_mtime > _A_DAY:
                shutil.rmtree(entry, ignore_errors=True)
