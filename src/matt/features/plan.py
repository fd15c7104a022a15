"""What is still to be extracted, written down once before any work, and what is known already.

A plan lists files with what they looked like (size, time of change, hash of their audio) and the
block that each goes to. It never changes, so that any number of interrupted runs end in the same
bytes. A file is looked at in three steps, each only where the one before leaves doubt:

1. size and time of change are those of the store: unchanged;
2. else its audio hash is that of the store: only its tags changed, which is noted (`NO_BLOCK`);
3. else the hash is known from another track: the file was moved, and its rows are reused.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import audio_hash, decoder_version
from ..files import as_array, read_parquet, write_parquet
from ..tracks import Tracks
from .blocks import FAILED, committed, intact, read_rows
from .spec import FeatureSpec

PLAN_SCHEMA = "matt.features.plan/1"
BLOCK_BYTES = 64 * 2**20
BLOCK_TRACKS = 4, 256  # a block of a small plan, of a large one
BLOCKS = 16  # wanted of a small plan: enough to share among workers and to lose little
NO_BLOCK = -1  # in a plan only to note that the file was seen again, with the same audio
NO_FILE = (-1, -1)
_NAME = re.compile(r"plan-(\d{4})\.parquet")
_LIBRARIES = ("matt-mgc", "librosa", "numba", "numpy", "scipy", "soundfile", "soxr")

Stamp = tuple[int, int]


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

    def rows(self, block: int) -> NDArray[np.intp]:
        """Rows of the plan that make up one block."""
        return np.flatnonzero(self.block == block)

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
    def load(cls, store: Path, number: int) -> Plan:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If it is missing or is no plan.
        """
        file = store / f"plan-{number:04d}.parquet"
        with intact(file):
            table, meta = read_parquet(file, schema=PLAN_SCHEMA)
            columns = {name: as_array(table[name]) for name in _COLUMNS if name != "path"}
            columns["path"] = np.array([os.fsdecode(p) for p in table["path"].to_pylist()], np.str_)
            return cls(number, salvage=meta["salvage"], provenance=meta["provenance"], **columns)


_COLUMNS = ("block", "track_id", "path", "size", "mtime_ns", "audio_hash", "reuse")


@dataclass(frozen=True)
class Known:
    """The last word of a store on a track; a stamp is size in bytes and time of change in ns."""

    status: str
    reason: str
    stamp: Stamp
    audio_hash: str
    salvage: bool  # whether it was extracted with


def plan_numbers(store: Path) -> list[int]:
    """Numbers of the plans of a store, in order."""
    return sorted(int(m[1]) for entry in store.iterdir() if (m := _NAME.fullmatch(entry.name)))


def open_blocks(store: Path, plan: Plan) -> list[int]:
    """Blocks of a plan that are not committed yet."""
    done = {block for number, block, _ in committed(store) if number == plan.number}
    return [block for block in range(plan.n_blocks) if block not in done]


def read_known(store: Path) -> dict[int, Known]:
    """What a store knows of each track, from its plans and committed blocks."""
    tables: dict[int, list[dict[str, NDArray[Any]]]] = {}
    for number, _, name in committed(store):
        tables.setdefault(number, []).append(read_rows(store / f"{name}.parquet"))
    known: dict[int, Known] = {}
    for number in plan_numbers(store):
        plan = Plan.load(store, number)
        outcomes = {
            int(track_id): (str(status), str(reason))
            for table in tables.get(number, [])
            for track_id, status, reason in zip(
                table["track_id"], table["status"], table["reason"], strict=True
            )
        }
        for row, track_id in enumerate(plan.track_id.tolist()):
            stamp = int(plan.size[row]), int(plan.mtime_ns[row])
            seen = str(plan.audio_hash[row])
            if plan.block[row] == NO_BLOCK:
                # A block that was deleted may have failed since: then the file is to be looked at.
                if track_id in known and known[track_id].status != FAILED:
                    known[track_id] = replace(known[track_id], stamp=stamp, audio_hash=seen)
            elif track_id in outcomes:
                known[track_id] = Known(*outcomes[track_id], stamp, seen, plan.salvage)
    return known


def stamp_of(path: str) -> Stamp:
    """Size and time of change of a regular file; `NO_FILE` where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return NO_FILE
    return (found.st_size, found.st_mtime_ns) if S_ISREG(found.st_mode) else NO_FILE


def draw_up(
    tracks: Tracks,
    spec: FeatureSpec,
    store: Path,
    *,
    salvage: bool = False,
    retry_failed: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Plan | None:
    """Look at every file, and plan what is missing in a store; nothing is written.

    Parameters
    ----------
    tracks : Tracks
        With paths.
    spec : FeatureSpec
        Of the store; only the size of its values matters here.
    store : Path
        Without open blocks.
    salvage, retry_failed : bool
        As in `matt.features.extract.extract`.
    progress : callable, optional
        Told how many tracks were looked at, and of how many.

    Returns
    -------
    Plan or None
        None if nothing changed.
    """
    known = read_known(store)
    owners = {
        entry.audio_hash: track_id
        for track_id, entry in sorted(known.items(), reverse=True)
        if entry.status != FAILED and entry.audio_hash
    }
    rows: list[tuple[int, int, int, str, int, int]] = []
    order = np.lexsort((tracks.track_id, tracks.album_id))
    for done, row in enumerate(order, start=1):
        track_id, path = int(tracks.track_id[row]), str(tracks.path[row])
        entry, stamp = known.get(track_id), stamp_of(path)
        if _worth_a_look(entry, stamp, salvage=salvage, retry_failed=retry_failed):
            seen = _hash(path) if stamp != NO_FILE else ""
            same = entry and entry.status != FAILED and seen and entry.audio_hash == seen
            block = NO_BLOCK if same else 0
            rows.append((row, *stamp, seen, owners.get(seen, -1), block))
        if progress:
            progress(done, len(tracks))
    if not rows:
        return None
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    chosen, size, mtime_ns, hashes, reuse, blocks = columns
    here = blocks != NO_BLOCK
    blocks[here] = _cut(spec, size[here])
    return Plan(
        1 + max([*plan_numbers(store), *(number for number, _, _ in committed(store))], default=-1),
        tracks.track_id[chosen],
        tracks.path[chosen],
        size,
        mtime_ns,
        hashes,
        reuse,
        blocks,
        salvage,
        _provenance(),
    )


def _worth_a_look(entry: Known | None, stamp: Stamp, *, salvage: bool, retry_failed: bool) -> bool:
    if entry is None:
        return True
    if entry.status == FAILED:
        may_be_salvaged = salvage and not entry.salvage and stamp != NO_FILE
        return retry_failed or may_be_salvaged or stamp != entry.stamp
    return stamp not in (entry.stamp, NO_FILE)  # features outlive their file


def _hash(path: str) -> str:
    try:
        return audio_hash(path)
    except Exception:  # whatever is wrong with the file: its extraction will say so
        return ""


def _cut(spec: FeatureSpec, size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Block of each file, shape (n,); follows from the plan alone."""
    policy = spec.segments
    segments = np.ones(len(size))
    if policy and policy.policy == "all" and policy.duration:
        # Only the length of a block depends on this guess: 256 kbit a second.
        segments += size.clip(min=0) / 32_000 / (policy.hop or policy.duration)
    n_bytes = segments * spec.n_bytes
    fewest, most = BLOCK_TRACKS
    most = min(most, max(fewest, -(-len(size) // BLOCKS)))
    blocks = np.zeros(len(size), np.int64)
    block = count = 0
    held = 0.0
    for row, more in enumerate(n_bytes):
        if count and (count == most or held + more > BLOCK_BYTES):
            block, count, held = block + 1, 0, 0.0
        blocks[row] = block
        count, held = count + 1, held + more
    return blocks


def _provenance() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for library in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return {**found, "decoder": decoder_version()}
