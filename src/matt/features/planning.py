"""What is missing in stores, drawn up as their next plans; nothing is written here.

A file is looked at in three steps, each only where the one before leaves doubt:

1. size and time of change are those of the store: unchanged;
2. else its audio hash is that of the store: only its tags changed, which is noted (`NO_BLOCK`);
3. else the hash is known from another track: the file was moved, and its rows are reused.

Files that several stores lack form the same blocks in the plan of each, so that one decode serves
all of them.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import audio_hash, decoder_version
from ..tracks import Tracks
from .blocks import FAILED, committed
from .known import NO_FILE, Known, Stamp, read_known, stamp_of
from .plan import NO_BLOCK, Plan, plan_numbers
from .room import expected_bytes
from .spec import FeatureSpec

BLOCK_BYTES = 64 * 2**20
BLOCK_TRACKS = 4, 256  # a block of a small plan, of a large one
_HASHED_AT_ONCE, _PART = 8, 1024  # files
BLOCKS = 16  # wanted of a small plan: enough to share among workers and to lose little
_LIBRARIES = ("matt-mgc", "librosa", "numba", "numpy", "scipy", "soundfile", "soxr")


class _Row(NamedTuple):
    """A file that a store has to be told of."""

    row: int  # in the tracks
    size: int
    mtime_ns: int
    audio_hash: str
    reuse: int
    block: int


def draw_up(
    tracks: Tracks,
    stores: Mapping[FeatureSpec, Path],
    *,
    salvage: bool = False,
    retry_failed: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[FeatureSpec, Plan]:
    """Look at every file once, and plan what is missing in each store.

    Parameters
    ----------
    tracks : Tracks
        With paths.
    stores : mapping of FeatureSpec to Path
        Without open blocks.
    salvage, retry_failed : bool
        As in `matt.features.extract.extract`.
    progress : callable, optional
        Told how many tracks were looked at, and of how many.

    Returns
    -------
    dict of FeatureSpec to Plan
        Without the stores where nothing changed.
    """
    wants = {
        spec: _Wants(read_known(store), salvage=salvage, retry_failed=retry_failed)
        for spec, store in stores.items()
    }
    order = np.lexsort((tracks.track_id, tracks.album_id))
    done = 0
    # Hashing waits for the disk, or for a network: some files at a time.
    with ThreadPoolExecutor(_HASHED_AT_ONCE, "hash") as threads:
        for part in np.array_split(order, range(_PART, len(order), _PART)):
            ids, paths = tracks.track_id[part].tolist(), tracks.path[part].tolist()
            stamps = list(map(stamp_of, paths))
            curious = [
                [want for want in wants.values() if want.looks(track_id, stamp)]
                for track_id, stamp in zip(ids, stamps, strict=True)
            ]
            looked_into = [
                path if who and stamp != NO_FILE else ""
                for path, stamp, who in zip(paths, stamps, curious, strict=True)
            ]
            rows = zip(part.tolist(), ids, stamps, curious, strict=True)
            for (row, track_id, stamp, who), seen in zip(
                rows, threads.map(_hash, looked_into), strict=True
            ):
                for want in who:
                    want.note(row, track_id, stamp, seen)
                done += 1
                if progress:
                    progress(done, len(tracks))
    blocks = _cut({spec: want.rows for spec, want in wants.items()})
    return {
        spec: _plan(tracks, stores[spec], want.rows, blocks[spec], salvage=salvage)
        for spec, want in wants.items()
        if want.rows
    }


class _Wants:
    """What one store lacks, file by file."""

    def __init__(self, known: dict[int, Known], *, salvage: bool, retry_failed: bool) -> None:
        self.rows: list[_Row] = []
        self._known, self._salvage, self._retry_failed = known, salvage, retry_failed
        self._owners = {
            entry.audio_hash: track_id
            for track_id, entry in sorted(known.items(), reverse=True)
            if entry.status != FAILED and entry.audio_hash
        }

    def looks(self, track_id: int, stamp: Stamp) -> bool:
        """Whether a file has to be looked into."""
        entry = self._known.get(track_id)
        if entry is None:
            return True
        if entry.status == FAILED:
            may_be_salvaged = self._salvage and not entry.salvage and stamp != NO_FILE
            return self._retry_failed or may_be_salvaged or stamp != entry.stamp
        return stamp not in (entry.stamp, NO_FILE)  # features outlive their file

    def note(self, row: int, track_id: int, stamp: Stamp, seen: str) -> None:
        """Note a file that was looked into."""
        entry = self._known.get(track_id)
        same = entry and entry.status != FAILED and seen and entry.audio_hash == seen
        block = NO_BLOCK if same else 0
        self.rows.append(_Row(row, *stamp, seen, self._owners.get(seen, -1), block))


def _hash(path: str) -> str:
    try:
        return audio_hash(path) if path else ""
    except Exception:  # whatever is wrong with the file: its extraction will say so
        return ""


def _cut(wanted: dict[FeatureSpec, list[_Row]]) -> dict[FeatureSpec, dict[int, int]]:
    """Block of each file of each store; follows from the rows alone.

    Files that the same stores lack are cut together, as the largest of their features asks.
    """
    lacking: dict[int, list[FeatureSpec]] = {}
    sizes: dict[int, int] = {}
    for spec, rows in wanted.items():
        for row in rows:
            if row.block != NO_BLOCK:
                lacking.setdefault(row.row, []).append(spec)
                sizes[row.row] = row.size
    groups: dict[tuple[FeatureSpec, ...], list[int]] = {}
    for number, specs in lacking.items():
        groups.setdefault(tuple(specs), []).append(number)
    blocks: dict[FeatureSpec, dict[int, int]] = {spec: {} for spec in wanted}
    for alike, numbers in groups.items():
        size = np.array([sizes[number] for number in numbers])
        cut = _consecutive(np.max([expected_bytes(spec, size) for spec in alike], axis=0))
        for spec in alike:
            first = 1 + max(blocks[spec].values(), default=-1)
            blocks[spec] |= zip(numbers, (first + cut).tolist(), strict=True)
    return blocks


def _consecutive(n_bytes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Block of each of so many files, from 0, shape (n,)."""
    fewest, most = BLOCK_TRACKS
    most = min(most, max(fewest, -(-len(n_bytes) // BLOCKS)))
    blocks = np.zeros(len(n_bytes), np.int64)
    block = count = 0
    held = 0.0
    for row, more in enumerate(n_bytes):
        if count and (count == most or held + more > BLOCK_BYTES):
            block, count, held = block + 1, 0, 0.0
        blocks[row] = block
        count, held = count + 1, held + more
    return blocks


def _plan(
    tracks: Tracks, store: Path, rows: list[_Row], blocks: dict[int, int], *, salvage: bool
) -> Plan:
    # In the order of the blocks; those that are only noted come first.
    rows = sorted(rows, key=lambda row: blocks.get(row.row, NO_BLOCK))
    chosen = [row.row for row in rows]
    return Plan(
        1 + max([*plan_numbers(store), *(number for number, _, _ in committed(store))], default=-1),
        tracks.track_id[chosen],
        tracks.path[chosen],
        np.array([row.size for row in rows]),
        np.array([row.mtime_ns for row in rows]),
        np.array([row.audio_hash for row in rows]),
        np.array([row.reuse for row in rows]),
        np.array([blocks.get(row.row, NO_BLOCK) for row in rows]),
        salvage,
        provenance(),
    )


def provenance() -> dict[str, str]:
    """Versions of what computes values in this process, by name."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for library in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return {**found, "decoder": decoder_version()}
