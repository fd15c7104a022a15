"""Rows of blocks into the memory of one array: each value is copied once.

How depends on what lies together and on where it is. The thresholds are measured ones (see
``benchmarks/reading.py``); the result does not depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .blocks import check_rows, intact, map_values
from .spec import FeatureSpec

MAPS = 128  # maps are cheap, open files are not: at most so many
SHORT_BYTES = 2**13  # runs below this, on average: one call for all is quicker than one for each
LONG_BYTES = 2**16  # tracks above this: longer runs are not quicker, and leave the caches


@dataclass(frozen=True, eq=False)
class Mapped:
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
class Runs:
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

    def take(self, which: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Runs:
        """Some of them."""
        return Runs(self.source[which], self.target[which], self.length[which])

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
    runs = Runs(start[first], target[first], np.add.reduceat(n_segments, first))
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


def _from_map(path: Path, spec: FeatureSpec, runs: Runs, out: NDArray[Any]) -> None:
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


def _from_array(values: NDArray[Any], n_bytes: int, runs: Runs, out: NDArray[Any]) -> None:
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


def _from_file(path: Path, spec: FeatureSpec, runs: Runs, out: NDArray[Any]) -> None:
    begin, n_rows = _layout(path, spec, *_stamp(path))
    straight = out.flags.c_contiguous and out.dtype == spec.dtype
    with intact(path), path.open("rb", buffering=0) as file:
        check_rows(n_rows, runs.end)
        for source, target, length in runs.take(np.argsort(runs.source)):  # as they lie there
            there = out[target : target + length]
            here = there if straight else np.empty((length, *spec.shape), spec.dtype)
            file.seek(begin + source * spec.n_bytes)
            left = here.reshape(-1).view(np.uint8).data
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
def _map(path: Path, spec: FeatureSpec, *stamp: int) -> Mapped:
    values = np.asarray(map_values(path, spec))  # a slice of a memmap takes longer to make
    return Mapped(values, np.zeros(len(values), np.bool_))


@lru_cache(maxsize=2**14)
def _layout(path: Path, spec: FeatureSpec, *stamp: int) -> tuple[int, int]:
    """First byte of the values of a file, and how many rows there are."""
    values = map_values(path, spec)
    return int(values.offset), len(values)
