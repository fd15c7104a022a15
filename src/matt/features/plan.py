"""What is to be extracted, written down once before any work.

A plan lists files with what they looked like (size, time of change, hash of their audio) and the
block that each goes to. It never changes, so that any number of interrupted runs end in the same
bytes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import as_array, read_parquet, write_parquet
from .blocks import committed, intact

PLAN_SCHEMA = "matt.features.plan/1"
NO_BLOCK = -1  # in a plan only to note that the file was seen again, with the same audio
_NAME = re.compile(r"plan-(\d{4})\.parquet")


@dataclass(frozen=True, eq=False)
class Plan:
    """Files to extract, sorted by (album, track), so that a bag lies close together.

    Attributes
    ----------
    number : int
        Plans of a store are numbered from 0; the newest wins.
    track_id : int array, shape (n,)
    path : str array, shape (n,)
    size, mtime_ns : int array, shape (n,)
        Of the file in bytes and nanoseconds; -1 where it could not be found.
    audio_hash : str array, shape (n,)
        ``""`` where the file could not be hashed.
    reuse : int array, shape (n,)
        Track whose rows are copied, -1 where the file is to be decoded.
    block : int array, shape (n,)
        From 0; `NO_BLOCK` where nothing is to be done.
    salvage : bool
        Whether damaged files keep what decodes.
    provenance : dict of str to str
        Versions of what computes the values.
    """

    number: int
    track_id: NDArray[np.int64]
    path: NDArray[np.str_]
    size: NDArray[np.int64]
    mtime_ns: NDArray[np.int64]
    audio_hash: NDArray[np.str_]
    reuse: NDArray[np.int64]
    block: NDArray[np.int64]
    salvage: bool
    provenance: dict[str, str]

    @property
    def n_blocks(self) -> int:
        """How many blocks there are to extract."""
        return int(self.block.max(initial=NO_BLOCK)) + 1

    def save(self, store: Path) -> None:
        """Write it into a store folder."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        # As bytes, which is what names of files are: not all of them are valid UTF-8.
        columns["path"] = [os.fsencode(path) for path in self.path]
        write_parquet(
            store / f"plan-{self.number:04d}.parquet",
            columns,
            schema=PLAN_SCHEMA,
            salvage=self.salvage,
            provenance=self.provenance,
        )

    @classmethod
    def load(cls, store: Path, number: int, *, block: int | None = None) -> Plan:
        """Read what `save` wrote: all of it, or the rows of one block.

        Raises
        ------
        DataError
            If it is missing or is no plan.
        """
        file = store / f"plan-{number:04d}.parquet"
        with intact(file):
            rows = None if block is None else ("block", block)
            table, meta = read_parquet(file, schema=PLAN_SCHEMA, rows=rows)
            columns = {name: as_array(table[name]) for name in _COLUMNS if name != "path"}
            columns["path"] = np.array([os.fsdecode(p) for p in table["path"].to_pylist()], np.str_)
            return cls(number, salvage=meta["salvage"], provenance=meta["provenance"], **columns)


_COLUMNS = ("block", "track_id", "path", "size", "mtime_ns", "audio_hash", "reuse")


def plan_numbers(store: Path) -> list[int]:
    """Numbers of the plans of a store, in order."""
    return sorted(int(m[1]) for entry in store.iterdir() if (m := _NAME.fullmatch(entry.name)))


def open_blocks(store: Path, plan: Plan) -> list[int]:
    """Blocks of a plan that are not committed yet."""
    done = {block for number, block, _ in committed(store) if number == plan.number}
    return [block for block in range(plan.n_blocks) if block not in done]
