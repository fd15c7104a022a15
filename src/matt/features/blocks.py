"""Layout of a feature store on disk: which files there are, and when a block counts.

- ``spec.json``: the `FeatureSpec` and its digest;
- ``plan-0000.parquet``: what one run extracts, written before any work;
- ``0000-00017.npy``: values of block 17 of plan 0, in plan order;
- ``0000-00017.parquet``: its rows, written last: it *is* the commit of the block.

There is no journal, lock or append: what has no row table was never there; the newest plan wins.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files import as_array, read_json, read_parquet, replacing, write_json, write_parquet
from .spec import FeatureSpec

ROWS_SCHEMA = "matt.features.rows/1"
ROWS = ("track_id", "start", "n_segments", "status", "reason")
OK, PARTIAL, FAILED = "ok", "partial", "failed"
_BLOCK = re.compile(r"(\d{4})-(\d{5})\.parquet")


def create(path: Path | str, spec: FeatureSpec) -> Path:
    """Make a store folder for a spec, or check that an existing one is of that spec.

    Raises
    ------
    DataError
        If the folder holds features of another spec; the message shows which settings differ.
    """
    path = Path(path)
    if not (path / "spec.json").exists():
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / "spec.json", {"digest": spec.digest, "spec": spec.to_json()})
        return path
    check_spec(read_spec(path), spec, f"the store {path}")
    return path


def read_spec(path: Path | str) -> FeatureSpec:
    """Spec of a store folder.

    Raises
    ------
    DataError
        If the folder is not a store.
    """
    file = Path(path) / "spec.json"
    if not file.exists():
        raise DataError(f"{path} is not a feature store (no spec.json); run 'matt extract' first")
    return FeatureSpec.from_json(read_json(file)["spec"])


def check_spec(found: FeatureSpec, wanted: FeatureSpec, where: str) -> None:
    """Refuse features of another spec.

    Raises
    ------
    DataError
        Naming the settings that differ.
    """
    if found.digest != wanted.digest:
        raise DataError(
            f"features of {where} do not fit; they differ in {'; '.join(found.differences(wanted))}"
            " (found / wanted); extract them again with the wanted settings, into another folder"
        )


def committed(path: Path | str) -> list[tuple[int, int, str]]:
    """Committed blocks of a store in plan order: (plan, block, file name without suffix)."""
    matches = (_BLOCK.fullmatch(entry.name) for entry in Path(path).iterdir())
    return sorted((int(m[1]), int(m[2]), f"{m[1]}-{m[2]}") for m in matches if m)


def write_block(
    path: Path, plan: int, block: int, values: NDArray[Any], rows: dict[str, Any]
) -> str:
    """Write and commit one block; two writers of the same block write equal bytes.

    Parameters
    ----------
    path : Path
        Of the store.
    plan, block : int
        Numbers, part of the file names.
    values : array, shape (rows, *spec.shape)
    rows : dict
        Columns `ROWS`, one entry a track; ``start`` is the first row in ``values``.

    Returns
    -------
    str
        Name of the two files, without suffix.
    """
    name = f"{plan:04d}-{block:05d}"
    with replacing(path / f"{name}.npy") as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    write_parquet(path / f"{name}.parquet", rows, schema=ROWS_SCHEMA)
    return name


def read_rows(path: Path) -> dict[str, NDArray[Any]]:
    """Columns of the row table of one block, as given to `write_block`."""
    table, _ = read_parquet(path, schema=ROWS_SCHEMA)
    return {name: as_array(table[name]) for name in table.column_names}
