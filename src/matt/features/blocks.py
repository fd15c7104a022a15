"""Blocks: the files of a feature store, when they count, and their rows in one array.

- ``spec.json``: the `FeatureSpec` and its digest;
- ``plan-0000.parquet``: what one run extracts, written before any work;
- ``0000-00017.npy``: values of block 17 of plan 0, in plan order;
- ``0000-00017.parquet``: its rows, and the checksum of their values, written last: it *is* the
  commit of the block.

There is no journal and no append: what has no row table was never there; the newest plan wins.

Rows are copied into an array once. How depends on what lies together and on where it is; the
thresholds are measured ones (``benchmarks/reading.py``), the result does not depend on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, MattError
from ..files import as_array, read_json, read_parquet, replacing, write_json, write_parquet
from .spec import FeatureSpec

ROWS_SCHEMA = "matt.features.rows/1"
ROWS = ("track_id", "start", "n_segments", "status", "reason")
OK, PARTIAL, SILENT, FAILED, KILLED = "ok", "partial", "silent", "failed", "killed"
LOST = (FAILED, KILLED)
_BLOCK = re.compile(r"(\d{4})-(\d{5})\.parquet")


def create(path: Path | str, spec: FeatureSpec) -> Path:
    """Make a store folder for a spec, or check that an existing one is of that spec.

    Raises
    ------
    DataError
        If the folder holds features of another spec (the message shows which settings differ), or
        anything else: only an absent or empty folder becomes a store. Hidden files do not count.
    """
    path = Path(path)
    if not (path / "spec.json").exists():
        path.mkdir(parents=True, exist_ok=True)
        _check_no_remains(path)
        if any(not entry.name.startswith(".") for entry in path.iterdir()):
            raise DataError(f"{path} is not empty and is no feature store; choose another folder")
        write_json(path / "spec.json", {"digest": spec.digest, "spec": spec.to_json()})
        return path
    found = read_spec(path)
    if found.digest != spec.digest:
        asked = found.asked(spec)
        remedy = f"to go on with it, ask for {asked}; or" if asked else "to have both,"
        raise DataError(
            f"{_unlike(found, spec, f'the store {path}')}; {remedy} name another folder"
        )
    return path


def read_spec(path: Path | str) -> FeatureSpec:
    """Spec of a store folder.

    Raises
    ------
    DataError
        If the folder is not a store, or its spec is damaged.
    """
    file = Path(path) / "spec.json"
    if not file.exists():
        if file.parent.is_dir():
            _check_no_remains(file.parent)
        raise DataError(f"{path} is not a feature store (no spec.json); run 'matt extract' first")
    with intact(file):
        content = read_json(file)
        if not isinstance(content, dict) or not isinstance(content.get("spec"), dict):
            raise DataError("it describes no feature")
        spec = FeatureSpec.from_json(content["spec"])
        if content.get("digest") != spec.digest:
            raise DataError(f"it was changed: its digest is not {spec.digest}")
    return spec


def _check_no_remains(path: Path) -> None:
    if any(path.glob("plan-*.parquet")) or committed(path):
        raise DataError(
            f"{path} holds extracted features, but its spec.json is gone; move the folder "
            "away and extract again"
        )


def check_spec(found: FeatureSpec, wanted: FeatureSpec, where: str) -> None:
    """Refuse features of another spec.

    Raises
    ------
    DataError
        Naming the settings that differ.
    """
    if found.digest != wanted.digest:
        asked = wanted.asked(found) or "the wanted settings"
        raise DataError(
            f"{_unlike(found, wanted, where)}; extract them again with {asked}, into another folder"
        )


def _unlike(found: FeatureSpec, wanted: FeatureSpec, where: str) -> str:
    told = "; ".join(found.differences(wanted))
    return f"features of {where} do not fit; they differ in {told} (found / wanted)"


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
    values = np.ascontiguousarray(values)
    write_values(path / f"{name}.npy", values)
    write_parquet(path / f"{name}.parquet", rows, schema=ROWS_SCHEMA, crc32=crc32(_bytes(values)))
    return name


def write_values(path: Path, values: NDArray[Any]) -> None:
    """Write an array row by row, as it is read, however it lies in memory."""
    values = np.ascontiguousarray(values)
    with replacing(path) as temporary, temporary.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(values)
        np.lib.format.write_array_header_1_0(file, header)
        # Not np.save: on a full disk it raises an error that does not say so.
        file.write(_bytes(values))


def _bytes(values: NDArray[Any]) -> memoryview:
    """Of an array that lies row by row in memory."""
    return values.reshape(-1).view(np.uint8).data


def read_rows(path: Path, *, again: bool = False) -> tuple[dict[str, NDArray[Any]], int | None]:
    """Read the row table of one block; a run asks for it several times, and it never changes.

    Parameters
    ----------
    path : Path
    again : bool
        Whether to read it though it is known.

    Returns
    -------
    rows : dict of str to array
        Its columns, as given to `write_block`.
    checksum : int or None
        Of the values; blocks of before there were any have none.

    Raises
    ------
    DataError
        If the table is missing, damaged, or contradicts itself.
    """
    read = _read_rows.__wrapped__ if again else _read_rows
    return read(path, *_stamp(path))


@lru_cache(maxsize=2**14)
def _read_rows(path: Path, *stamp: int) -> tuple[dict[str, NDArray[Any]], int | None]:
    with intact(path):
        table, meta = read_parquet(path, schema=ROWS_SCHEMA)
        rows = {name: as_array(table[name]) for name in ROWS}
        n = rows["n_segments"]
        if any(rows[name].dtype.kind != "i" for name in ("track_id", "start", "n_segments")):
            raise DataError("its columns are no whole numbers")
        if (n < 0).any() or (rows["start"] != np.cumsum(n) - n).any():
            raise DataError("its rows do not lie one behind the other")
        if ((n == 0) != np.isin(rows["status"], (SILENT, *LOST))).any():
            raise DataError("its rows contradict their status")
    for column in rows.values():
        column.flags.writeable = False
    return rows, meta.get("crc32")


def map_values(path: Path, spec: FeatureSpec) -> np.memmap[Any, Any]:
    """Values of one block, mapped: shape (rows, *spec.shape).

    Raises
    ------
    DataError
        If the file is missing or damaged, or holds arrays of another shape, type or order.
    """
    with intact(path):
        # Not np.load: it would open archives and look for pickles.
        values = np.lib.format.open_memmap(path, mode="r")
        if values.shape[1:] != spec.shape or values.ndim < 1 or values.dtype != spec.dtype:
            raise DataError(
                f"it holds {values.dtype} values of shape {values.shape}, but {spec.dtype} of "
                f"shape (rows, {', '.join(map(str, spec.shape))}) belong there"
            )
        if not values.flags.c_contiguous:  # rows are read by their place in the file
            raise DataError(
                "it holds its values column by column, but they belong there row by row"
            )
    return values


def check_values(path: Path, values: NDArray[Any], checksum: int | None) -> None:
    """Refuse values of a block that are not those that were written.

    Parameters
    ----------
    path : Path
        Of the values.
    values : array, shape (rows, *spec.shape)
        As they lie in the file.
    checksum : int or None
        That of the row table; None tells nothing.

    Raises
    ------
    DataError
    """
    with intact(path):
        if checksum is not None and crc32(_bytes(values)) != checksum:
            raise DataError("its values are not those that were written")


def verify_blocks(path: Path, spec: FeatureSpec) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read every value of a store.

    Returns
    -------
    damaged : dict of str to str
        What is wrong with blocks, by their names.
    unchecked : tuple of str
        Names of blocks without a checksum, whose values may be any.
    """
    damaged, unchecked = {}, []
    for _, _, name in committed(path):
        try:
            rows, checksum = read_rows(path / f"{name}.parquet", again=True)
            values = map_values(path / f"{name}.npy", spec)
            check_rows(len(values), int(rows["n_segments"].sum()))
            check_values(path / f"{name}.npy", values, checksum)
            if checksum is None:
                unchecked.append(name)
        except DataError as error:
            damaged[name] = str(error)
    return damaged, tuple(unchecked)


def check_rows(n_rows: int, needed: int) -> None:
    """Refuse values that end before the rows that their table tells of."""
    if n_rows < needed:
        raise DataError(f"it holds {n_rows} rows, but its table tells of {needed}")


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Say of everything that goes wrong in the body that a file of a store is damaged.

    Parameters
    ----------
    path : Path
        Decides the remedy.

    Raises
    ------
    DataError
    """
    try:
        yield
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and not isinstance(error, MattError):
            what = error.strerror or str(error)
        elif isinstance(error, MattError):  # its own remedy is not the one of a store
            what = str(error).removeprefix(f"{path} ").rsplit("; ", 1)[0]
        remedy = _remedy(path)
        if isinstance(error.__cause__ or error, PermissionError):
            remedy = "make it readable, e.g. with chmod u+r"
        raise DataError(
            f"{path} is damaged or cannot be read ({' '.join(what.split())}); {remedy}"
        ) from error


def _remedy(path: Path) -> str:
    if path.name == "spec.json":
        return "restore it, or move the folder away and run 'matt extract' again"
    if _BLOCK.fullmatch(f"{path.stem}.parquet"):
        files = f"{path.stem}.npy and {path.stem}.parquet"
        return f"run 'matt extract --verify', or move {files} away and extract again"
    if path.name.startswith("plan-"):
        return "move it away and run 'matt extract' again: blocks that are done stay"
    return "move it away and run 'matt extract' again"


MAPS = 128  # maps are cheap, open files are not: at most so many
SHORT_BYTES = 2**13  # runs below this, on average: one call for all is quicker than one for each
LONG_BYTES = 2**16  # tracks above this: longer runs are not quicker, and leave the caches


@dataclass(frozen=True, eq=False)
class MappedBlock:
    """Values of a block, mapped.

    Attributes
    ----------
    values : array, shape (rows, *spec.shape)
    seen : bool array, shape (rows,)
        Where runs began that were read before. What comes from a disk is read, which is quicker
        than to have it fetched page by page; what was read is in memory by then, and the map is
        quicker.
    """

    values: NDArray[Any]
    seen: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RowRanges:
    """Rows that follow one another in a block and in the result.

    Attributes
    ----------
    source, target, length : int array, shape (r,)
        First row in the block, first row in the result, number of rows.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    length: NDArray[np.int64]

    def __iter__(self) -> Any:
        return zip(self.source.tolist(), self.target.tolist(), self.length.tolist(), strict=True)

    @property
    def end(self) -> int:
        """Rows that the block must have."""
        return int((self.source + self.length).max())

    def short(self, n_bytes: int) -> bool:
        """Whether they are so short that one call for each would take longer than to copy them."""
        return int(self.length.sum()) * n_bytes < SHORT_BYTES * len(self.length)

    def take(self, which: slice | NDArray[np.intp] | NDArray[np.bool_]) -> RowRanges:
        """Some of them."""
        return RowRanges(self.source[which], self.target[which], self.length[which])

    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every row by itself: in the block, and in the result."""
        if (self.length == 1).all():
            return self.source, self.target
        ends = np.cumsum(self.length)
        within = np.arange(ends[-1]) - np.repeat(ends - self.length, self.length)
        return (
            within + np.repeat(self.source, self.length),
            within + np.repeat(self.target, self.length),
        )


def copy_tracks(
    blocks: Sequence[Path | NDArray[Any]],
    spec: FeatureSpec,
    block: NDArray[np.int64],
    start: NDArray[np.int64],
    n_segments: NDArray[np.int64],
    out: NDArray[Any],
) -> None:
    """Copy the segments of tracks into an array, one track behind the other.

    Parameters
    ----------
    blocks : sequence of path or array, shape (rows, *spec.shape)
        More than `MAPS` files are not mapped but read: to map a file for a few rows costs more than
        the rows.
    spec : FeatureSpec
    block, start, n_segments : int array, shape (n,)
        Where each track lies.
    out : array, shape (>= n_segments.sum(), *spec.shape)

    Raises
    ------
    DataError
        If a file is damaged.
    """
    if not len(block):
        return
    follows = (block[1:] == block[:-1]) & (start[1:] == start[:-1] + n_segments[:-1])
    follows &= n_segments[1:] * spec.n_bytes < LONG_BYTES
    first = np.concatenate([[0], np.flatnonzero(~follows) + 1])
    target = np.cumsum(n_segments) - n_segments
    runs = RowRanges(start[first], target[first], np.add.reduceat(n_segments, first))
    block = block[first]
    order = np.argsort(block, kind="stable")
    block, runs = block[order], runs.take(order)
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(block)]
    for begin, end in pairwise(cuts):
        values, here = blocks[block[begin]], runs.take(slice(begin, end))
        if not isinstance(values, Path):
            _from_array(values, spec.n_bytes, here, out)
        elif len(blocks) > MAPS:
            _from_file(values, spec, here, out)
        else:
            _from_map(values, spec, here, out)


def _from_map(path: Path, spec: FeatureSpec, runs: RowRanges, out: NDArray[Any]) -> None:
    mapped = _map(path, spec, *_stamp(path))
    with intact(path):
        check_rows(len(mapped.values), runs.end)
    if not runs.short(spec.n_bytes):
        new = ~mapped.seen[runs.source]
        if new.any():
            _from_file(path, spec, runs.take(new), out)
            mapped.seen[runs.source] = True
            runs = runs.take(~new)
    if len(runs.length):
        _from_array(mapped.values, spec.n_bytes, runs, out)


def _from_array(values: NDArray[Any], n_bytes: int, runs: RowRanges, out: NDArray[Any]) -> None:
    if not runs.short(n_bytes):
        for source, target, length in runs:
            out[target : target + length] = values[source : source + length]
        return
    rows, target = runs.rows()
    whole = out[target[0] : target[-1] + 1]
    if len(whole) == len(rows) and whole.flags.c_contiguous and whole.dtype == values.dtype:
        # All rows are there; the default mode would go through a copy, lest some are not.
        np.take(values, rows, axis=0, out=whole, mode="clip")
    else:
        out[target] = values[rows]


def _from_file(path: Path, spec: FeatureSpec, runs: RowRanges, out: NDArray[Any]) -> None:
    begin, n_rows = _layout(path, spec, *_stamp(path))
    straight = out.flags.c_contiguous and out.dtype == spec.dtype
    with intact(path), path.open("rb", buffering=0) as file:
        check_rows(n_rows, runs.end)
        for source, target, length in runs.take(np.argsort(runs.source)):  # as they lie there
            there = out[target : target + length]
            here = there if straight else np.empty((length, *spec.shape), spec.dtype)
            file.seek(begin + source * spec.n_bytes)
            left = _bytes(here)
            while left and (n := file.readinto(left)):
                left = left[n:]
            if left:
                raise DataError("it has become shorter")
            if not straight:
                there[...] = here


def _stamp(path: Path) -> tuple[int, int, int]:
    """What tells a file from another that was made in its place."""
    with intact(path):
        found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=MAPS)
def _map(path: Path, spec: FeatureSpec, *stamp: int) -> MappedBlock:
    _layout(path, spec, *stamp)  # checks the values, through a map that is given back
    values = np.asarray(map_values(path, spec))  # a slice of a memmap takes longer to make
    return MappedBlock(values, np.zeros(len(values), np.bool_))


@lru_cache(maxsize=2**14)
def _layout(path: Path, spec: FeatureSpec, *stamp: int) -> tuple[int, int]:
    """First byte of the values of a file, and how many rows there are; the values are checked."""
    values, rows, checksum = map_values(path, spec), path.with_suffix(".parquet"), None
    if rows.exists():  # else it is no block of a store, but an array that processes share
        with intact(path):
            checksum = read_parquet(rows, schema=ROWS_SCHEMA, columns=[])[1].get("crc32")
    check_values(path, values, checksum)
    return int(values.offset), len(values)
