"""Plans: what is missing in stores, written down once before any work.

A plan lists files with what they looked like (size, time of change, hash of their audio) and the
block that each goes to. It never changes, so that any number of interrupted runs end in the same
bytes. Before it is written, the disk that it needs is told.

To find what is missing, a file is looked at in three steps, each only where the one before leaves
doubt:

1. size and time of change are those of the store: unchanged;
2. else its audio hash is that of the store: only its tags changed, which is noted (`NO_BLOCK`);
3. else the hash is known from another track: the file was moved, and its rows are reused.

Files that several stores lack form the same blocks in the plan of each, so that one decode serves
all of them.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import decoder_version
from ..errors import DataError, in_a_line
from ..files import as_array, read_parquet, write_parquet
from ..processes import uncollected
from ..tracks import Tracks
from .blocks import KILLED, LOST, committed, intact, read_rows
from .spec import FeatureSpec
from .worker import hash_files

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

    __repr__ = in_a_line

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
        return cls(number, **_read(store, number, *_COLUMNS, block=block))


_COLUMNS = ("block", "track_id", "path", "size", "mtime_ns", "audio_hash", "reuse")


def _read(store: Path, number: int, *names: str, block: int | None = None) -> dict[str, Any]:
    """Some columns of a plan, and how it was made; paths, which are long, only where asked for."""
    file = store / f"plan-{number:04d}.parquet"
    with intact(file):
        rows = None if block is None else ("block", block)
        table, meta = read_parquet(file, schema=PLAN_SCHEMA, columns=[*names], rows=rows)
        found: dict[str, Any] = {name: meta[name] for name in ("salvage", "provenance")}
        for name in names:
            if name == "path":
                found[name] = np.array(list(map(os.fsdecode, table[name].to_pylist())), np.str_)
            else:
                found[name] = as_array(table[name])
    return found


def plan_numbers(store: Path) -> list[int]:
    """Numbers of the plans of a store, in order."""
    return sorted(int(m[1]) for entry in store.iterdir() if (m := _NAME.fullmatch(entry.name)))


def open_blocks(store: Path, plan: int) -> list[int]:
    """Blocks of a plan, which is named by its number, that are not committed yet."""
    done = {block for number, block, _ in committed(store) if number == plan}
    last = int(_read(store, plan, "block")["block"].max(initial=NO_BLOCK))
    return [block for block in range(last + 1) if block not in done]


NO_FILE = (-1, -1)

Stamp = tuple[int, int]


class TrackStatus(NamedTuple):
    """The last word of a store on a track; a stamp is size in bytes and time of change in ns."""

    status: str
    reason: str
    stamp: Stamp
    audio_hash: str
    salvage: bool  # whether it was extracted with
    kills: int = 0  # how often in a row its process was killed from outside


@uncollected()
def read_known(store: Path) -> dict[int, TrackStatus]:
    """What a store knows of each track, from its plans and committed blocks."""
    tables: dict[int, list[dict[str, NDArray[Any]]]] = {}
    for number, _, name in committed(store):
        tables.setdefault(number, []).append(read_rows(store / f"{name}.parquet")[0])
    known: dict[int, TrackStatus] = {}
    for number in plan_numbers(store):
        plan = _read(store, number, "track_id", "size", "mtime_ns", "audio_hash", "block")
        outcomes: dict[int, tuple[str, str]] = {}
        for table in tables.get(number, []):
            told = zip(table["status"].tolist(), table["reason"].tolist(), strict=True)
            outcomes.update(zip(table["track_id"].tolist(), told, strict=True))
        stamps = zip(plan["size"].tolist(), plan["mtime_ns"].tolist(), strict=True)
        columns = (plan[name].tolist() for name in ("track_id", "audio_hash", "block"))
        for stamp, track_id, seen, block in zip(stamps, *columns, strict=True):
            before = known.get(track_id)
            if block == NO_BLOCK:
                # A block that was deleted may have failed since: then the file is to be looked at.
                if before is not None and before.status not in LOST:
                    known[track_id] = before._replace(stamp=stamp, audio_hash=seen)
            elif track_id in outcomes:
                status, reason = outcomes[track_id]
                kills = 0
                if status == KILLED:
                    kills = 1 if before is None else before.kills + 1
                known[track_id] = TrackStatus(status, reason, stamp, seen, plan["salvage"], kills)
    return known


def paths_of(store: Path, track_ids: Collection[int]) -> list[str]:
    """Where the files of tracks of a store were when it last saw them."""
    found: dict[int, str] = {}
    wanted = np.fromiter(track_ids, np.int64, len(track_ids))
    for number in plan_numbers(store) if len(wanted) else ():
        ids = _read(store, number, "track_id")["track_id"]
        there = np.isin(ids, wanted)
        if there.any():
            paths = _read(store, number, "path")["path"]
            found |= zip(ids[there].tolist(), paths[there].tolist(), strict=True)
    return list(found.values())


def stamp_of(path: str) -> Stamp:
    """Size and time of change of a regular file; `NO_FILE` where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return NO_FILE
    return (found.st_size, found.st_mtime_ns) if S_ISREG(found.st_mode) else NO_FILE


_BYTES_A_SECOND = 32_000  # of audio of which only the size is known: 256 kbit a second


def expected_seconds(size: NDArray[np.int64]) -> NDArray[np.float64]:
    """Length of audio files of so many bytes, shape (n,): a guess, 0 where there is no file."""
    return size.clip(min=0) / _BYTES_A_SECOND


def expected_bytes(spec: FeatureSpec, size: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values of files in bytes, shape (n,): exact where a track has one segment, else a guess.

    Parameters
    ----------
    spec : FeatureSpec
    size : int array, shape (n,)
        Of each file in bytes; -1 where there is none.
    """
    policy = spec.segments
    segments = np.ones(len(size))
    if policy and policy.policy == "all" and policy.duration:
        segments += expected_seconds(size) / (policy.hop or policy.duration)
    return segments * spec.n_bytes


def check_room(wanted: Iterable[tuple[FeatureSpec, Path, Plan]]) -> int:
    """Bytes that plans add to their stores, together.

    Raises
    ------
    DataError
        If a disk certainly cannot hold them. Where tracks have as many segments as they are long,
        the need is a guess and refuses nothing.
    """
    total = 0
    by_disk: dict[int, list[tuple[Path, int]]] = {}
    for spec, store, plan in wanted:
        there = (plan.block != NO_BLOCK) & (plan.size >= 0)
        n_bytes = int(expected_bytes(spec, plan.size[there]).sum())
        total += n_bytes
        if spec.segments and spec.segments.policy != "all":
            by_disk.setdefault(os.stat(store).st_dev, []).append((store, n_bytes))
    for stores in by_disk.values():
        store, least = stores[0][0], sum(n_bytes for _, n_bytes in stores)
        free = shutil.disk_usage(store).free
        if least > free:
            raise DataError(
                f"{store} needs {least / 1e9:.3g} GB for these features, but only "
                f"{free / 1e9:.3g} GB are free on its disk; free some space, or name another "
                "folder for the store"
            )
    return total


BLOCK_BYTES = 64 * 2**20
BLOCK_TRACKS = 4, 256  # a block of a small plan, of a large one
_PART = 1024  # files looked at together
_TOLD = 256  # of files that need no look into them, how many pass unsaid
_TRIED_AGAIN = 2  # times: a file whose process was killed, in later runs
BLOCKS = 16  # wanted of a small plan: enough to share among workers and to lose little
_LIBRARIES = ("matt-mgc", "numba", "numpy", "scipy", "soundfile", "soxr")


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
    hashes: Callable[[Sequence[str]], Iterable[str]] = hash_files,
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
        Told how many tracks were looked at, and of how many; after each that was looked into.
    hashes : callable
        Gives the audio hash of each of some files, in order; `hash_files` does, in this process.

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
    for part in np.array_split(order, range(_PART, len(order), _PART)):
        ids, paths = tracks.track_id[part].tolist(), tracks.path[part].tolist()
        stamps = list(map(stamp_of, paths))
        curious = [
            [want for want in wants.values() if want.looks(track_id, stamp)]
            for track_id, stamp in zip(ids, stamps, strict=True)
        ]
        there = [bool(who) and stamp != NO_FILE for stamp, who in zip(stamps, curious, strict=True)]
        looked_into = [path for path, looks in zip(paths, there, strict=True) if looks and path]
        found = iter(hashes(looked_into) if looked_into else ())
        for row, track_id, path, stamp, who, looks in zip(
            part.tolist(), ids, paths, stamps, curious, there, strict=True
        ):
            seen = next(found) if looks and path else ""
            for want in who:
                want.note(row, track_id, stamp, seen)
            done += 1
            if progress and (looks or done % _TOLD == 0 or done == len(tracks)):
                progress(done, len(tracks))
    blocks = _cut({spec: want.rows for spec, want in wants.items()})
    return {
        spec: _plan(tracks, stores[spec], want.rows, blocks[spec], salvage=salvage)
        for spec, want in wants.items()
        if want.rows
    }


class _Wants:
    """What one store lacks, file by file."""

    def __init__(self, known: dict[int, TrackStatus], *, salvage: bool, retry_failed: bool) -> None:
        self.rows: list[_Row] = []
        self._known, self._salvage, self._retry_failed = known, salvage, retry_failed
        self._owners = {
            entry.audio_hash: track_id
            for track_id, entry in sorted(known.items(), reverse=True)
            if entry.status not in LOST and entry.audio_hash
        }

    def looks(self, track_id: int, stamp: Stamp) -> bool:
        """Whether a file has to be looked into."""
        entry = self._known.get(track_id)
        if entry is None:
            return True
        if entry.status == KILLED and entry.kills <= _TRIED_AGAIN:
            return True
        if entry.status in LOST:
            may_be_salvaged = self._salvage and not entry.salvage and stamp != NO_FILE
            return self._retry_failed or may_be_salvaged or stamp != entry.stamp
        return stamp not in (entry.stamp, NO_FILE)  # features outlive their file

    def note(self, row: int, track_id: int, stamp: Stamp, seen: str) -> None:
        """Note a file that was looked into."""
        entry = self._known.get(track_id)
        same = entry and entry.status not in LOST and seen and entry.audio_hash == seen
        block = NO_BLOCK if same else 0
        self.rows.append(_Row(row, *stamp, seen, self._owners.get(seen, -1), block))


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
    chosen, size, mtime_ns, seen, reuse, _ = map(np.array, zip(*rows, strict=True))
    return Plan(
        1 + max([*plan_numbers(store), *(number for number, _, _ in committed(store))], default=-1),
        tracks.track_id[chosen],
        tracks.path[chosen],
        size,
        mtime_ns,
        seen,
        reuse,
        np.array([blocks.get(row.row, NO_BLOCK) for row in rows]),
        salvage,
        dict(provenance()),
    )


@cache
def provenance() -> Mapping[str, str]:
    """Versions of what computes values in this process, by name."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for library in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return {**found, "decoder": decoder_version()}
