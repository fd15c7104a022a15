"""Tasks: blocks of the same files in several stores, which are open, and what runs them.

A task is named by numbers and folders, so it can be sent to another process, on another machine
that sees the same folders. The files themselves are run by a child process that the thread keeps
for its next task. Several threads may share the files of a task.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..processes import Child, Limits, ProcessDied
from .blocks import FAILED, KILLED, OK, PARTIAL, ROWS, SILENT, read_spec, write_block
from .plan import NO_FILE, Plan, expected_seconds, open_blocks, plan_numbers, stamp_of
from .report import CommittedBlock
from .spec import FeatureSpec
from .store import FeatureStore
from .worker import Extractor, Outcome, extract_file, guarded, hash_files, prepare

_CHANGED = "changed since the plan was made; run the same command again"
_GONE = "file not found; restore it, or scan the folder again"
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM")  # a decoder that fails gets others
_MORE_CHANCES = 2  # of a file whose process was killed, within its block
DEFAULT = Limits()
HASHED = 32  # files that a process hashes in one go
_mine = threading.local()  # loading the libraries takes seconds, so a child outlives its task


@dataclass(frozen=True)
class StoreBlock:
    """One block of one store.

    Attributes
    ----------
    store : str
        Its folder.
    plan, block : int
        Number of a plan that is saved there, and of a block of it.
    """

    store: str
    plan: int
    block: int


@dataclass(frozen=True, eq=False)
class Task:
    """Blocks of the same files, one in each of some stores.

    Attributes
    ----------
    parts : tuple of StoreBlock
    work : float array, shape (n,)
        Of each file, in seconds of audio that are decoded or computed from: a guess.
    """

    parts: tuple[StoreBlock, ...]
    work: NDArray[np.float64]


def open_tasks(stores: Mapping[FeatureSpec, Path]) -> list[Task]:
    """What is to be done first: the open blocks of the oldest unfinished plan of each store."""
    parts: dict[bytes, list[tuple[FeatureSpec, StoreBlock]]] = {}
    sizes: dict[bytes, NDArray[np.int64]] = {}
    for spec, store in stores.items():
        for number in plan_numbers(store):
            blocks = open_blocks(store, number)
            if not blocks:
                continue
            plan = Plan.load(store, number)
            order = np.argsort(plan.block, kind="stable")
            starts = np.searchsorted(plan.block[order], [*blocks, *(b + 1 for b in blocks)])
            for block, start, stop in zip(
                blocks, starts[: len(blocks)], starts[len(blocks) :], strict=True
            ):
                rows = order[start:stop]
                same = _identity(plan, rows)
                parts.setdefault(same, []).append((spec, StoreBlock(str(store), number, block)))
                sizes[same] = plan.size[rows]
            break
    return [
        Task(tuple(part for _, part in found), _work([spec for spec, _ in found], sizes[same]))
        for same, found in parts.items()
    ]


def _identity(plan: Plan, rows: NDArray[np.intp]) -> bytes:
    """Equal for two blocks only if they are extracted from the same files in the same way."""
    columns = (plan.track_id, plan.size, plan.mtime_ns, plan.path)
    told = repr((plan.salvage, [column[rows].tolist() for column in columns]))
    return told.encode(errors="surrogateescape")


def _work(specs: Sequence[FeatureSpec], size: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds of audio decoded, plus those that each feature is computed from, shape (n,)."""
    seconds = expected_seconds(size)
    decoded, computed = np.zeros(len(size)), np.zeros(len(size))
    for spec in specs:
        policy = spec.cut.policy
        if policy.policy == "all" or policy.duration is None:
            until = within = seconds
        else:
            within = np.minimum(seconds, policy.duration)
            until = within if policy.policy == "first" else (seconds + within) / 2
        decoded = np.maximum(decoded, until)
        computed = computed + within
    return decoded + computed + 1e-3  # a file that is gone is soon done, but not at once


class FeatureProcess(Child):
    """A process that computes features of one file at a time.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        What it gets ready for.
    limits : Limits
    extractor : callable
        See `extract_block`.
    """

    def __init__(
        self,
        specs: Sequence[FeatureSpec],
        limits: Limits = DEFAULT,
        extractor: Extractor = extract_file,
    ) -> None:
        specs_json = json.dumps([spec.to_json() for spec in specs])
        super().__init__(
            prepare,
            (specs_json, extractor is extract_file),
            limits=limits,
            unstartable="the process that computes features cannot be started; in a script, call "
            "extract under `if __name__ == '__main__':`",
        )
        self.limits, self.extractor = limits, extractor

    def run(self, path: str, specs: Sequence[FeatureSpec], *, salvage: bool) -> list[Outcome]:
        """Compute one file; whatever happens to the process, there is an outcome for each spec.

        A process that ended may have been killed by somebody else, say by a system that ran out
        of memory, so the file gets a second one; that it was is told in its outcomes.

        Raises
        ------
        CancelledError
            If the child was closed meanwhile.
        MattError
            If no process can be started.
        """
        what, killed = "", False
        for _ in range(2):
            try:
                return self.call(guarded, self.extractor, path, tuple(specs), salvage)
            except ProcessDied as error:
                killed = str(error) in _FROM_OUTSIDE
                what = "the decoder crashed"
                if killed:
                    what = "its process was killed from outside, perhaps for want of memory"
                what += f" ({error})"
            except MemoryError:
                limit = f"{self.limits.memory / 2**20:.0f} MiB"
                what, killed = f"needs more memory than the limit of {limit}", False
                break
            except TimeoutError:
                what, killed = f"no segment was finished within {self.limits.timeout:g} s", False
                break
        remedy = "run the same command again" if killed else "restore the file or leave it out"
        return [Outcome(None, f"{what}; {remedy}", killed=killed)] * len(specs)


def hash_in(child: Child, paths: Sequence[str]) -> list[str]:
    """Do what `hash_files` does in a child process; a file that it cannot bear costs itself only.

    Raises
    ------
    CancelledError
        If the child was closed meanwhile.
    MattError
        If no process can be started.
    """
    try:
        return child.call(hash_files, tuple(paths))
    except (ProcessDied, TimeoutError):
        return [seen for path in paths for seen in hash_in(child, [path])] if paths[1:] else [""]


def extract_block(
    parts: Sequence[StoreBlock], limits: Limits = DEFAULT, extractor: Extractor = extract_file
) -> list[CommittedBlock]:
    """Extract and commit one block in each of some stores; each file is decoded once for all.

    What happens to a file is in its rows, never an exception. The thread that calls this keeps a
    child process, which ends with the thread.

    Parameters
    ----------
    parts : sequence of StoreBlock
        Of stores of different specs; they list the same files.
    limits : Limits
    extractor : callable
        ``extractor(path, specs, salvage, alive)`` gives one `Outcome` a spec; it calls ``alive()``
        whenever it got on, and must be importable by name.

    Returns
    -------
    list of CommittedBlock
        One a part.

    Raises
    ------
    DataError
        If a store or its plan is damaged.
    OSError
        If a block cannot be written.
    """
    specs = tuple(read_spec(part.store) for part in parts)
    settings = specs, limits, extractor
    if getattr(_mine, "settings", None) != settings:
        _mine.decoder, _mine.settings = FeatureProcess(*settings), settings
    written = SharedTask(parts).work(_mine.decoder)
    assert written is not None  # nobody shares it
    return written


class SharedTask:
    """A task that is worked on by one thread or several, file by file.

    Threads that share files end together, where of blocks each would have the last one to itself.

    Parameters
    ----------
    parts : sequence of StoreBlock
    tell : callable, optional
        Told after each file: its row in the task, its path and why it failed, or an empty text.
    """

    def __init__(
        self,
        parts: Sequence[StoreBlock],
        tell: Callable[[int, str, str], None] = lambda row, path, reason: None,
    ) -> None:
        self._parts = [_Open.of(part) for part in parts]
        self._tell = tell
        n = len(self._parts[0].plan.track_id)
        self._found: dict[int, list[Outcome]] = {}
        self._lock = threading.Lock()  # of what follows
        self._waiting = deque(range(n))
        self._unfinished = n
        self._killed: list[int] = []
        self._chances = _MORE_CHANCES  # of those that were killed
        self._written = False

    def work(self, decoder: FeatureProcess) -> list[CommittedBlock] | None:
        """Do files until all are begun; who finds all of them done writes the blocks.

        Parameters
        ----------
        decoder : FeatureProcess
            It may serve other tasks before and after.

        Returns
        -------
        list of CommittedBlock or None
            One a part; None if others are still at some files, or wrote them.

        Raises
        ------
        CancelledError
            If the decoder was closed meanwhile; nothing is written then.
        """
        while True:
            with self._lock:
                if not self._waiting:
                    mine = not self._unfinished and not self._written
                    self._written |= mine
                    break
                row = self._waiting.popleft()
            self._finish(row, _file(self._parts, row, decoder))
        return self._write() if mine else None

    def _finish(self, row: int, outcomes: list[Outcome]) -> None:
        self._found[row] = outcomes
        # Chances stay as they are while a file is unfinished, as this one is.
        again = self._chances > 0 and any(outcome.killed for outcome in outcomes)
        if not again:
            reasons = (outcome.reason for outcome in outcomes if outcome.values is None)
            self._tell(row, str(self._parts[0].plan.path[row]), next(reasons, ""))
        with self._lock:
            self._unfinished -= 1
            if again:
                self._killed.append(row)
            if not self._unfinished and self._killed:
                # When the others are done, the machine may have more room.
                self._waiting.extend(sorted(self._killed))
                self._unfinished, self._killed = len(self._killed), []
                self._chances -= 1

    def _write(self) -> list[CommittedBlock]:
        for row, outcomes in sorted(self._found.items()):
            for part, outcome in zip(self._parts, outcomes, strict=True):
                part.add(row, outcome)
        return [part.commit() for part in self._parts]


@dataclass(frozen=True, eq=False)
class _Open:
    """A part while it is worked on: its rows so far."""

    part: StoreBlock
    spec: FeatureSpec
    plan: Plan  # the rows of this block
    values: list[Any]
    table: dict[str, list[Any]]
    told: dict[str, list[int]]

    @classmethod
    def of(cls, part: StoreBlock) -> _Open:
        plan = Plan.load(Path(part.store), part.plan, block=part.block)
        told = ("extracted", "reused", "failed", "undetectable")
        table: dict[str, list[Any]] = {name: [] for name in ROWS}
        return cls(part, read_spec(part.store), plan, [], table, {name: [] for name in told})

    @cached_property
    def before(self) -> FeatureStore:
        """The store as it was when the plan was made."""
        return FeatureStore.open(self.part.store, before=self.part.plan, in_memory=0)

    def copied(self, row: int) -> Outcome | None:
        """Values of a track with the same audio, if there is one."""
        track_id = int(self.plan.reuse[row])
        if track_id < 0 or track_id not in self.before:
            return None  # or blocks were deleted by hand: the file is decoded
        values, _ = self.before.read(np.array([track_id]))
        here = self.before.partial["track_id"] == track_id
        reason = str(self.before.partial["reason"][here][0]) if here.any() else ""
        return Outcome(values, reason, copied=True)

    def add(self, row: int, outcome: Outcome) -> None:
        """Note what became of a file."""
        track_id = int(self.plan.track_id[row])
        failed, n = outcome.values is None, 0 if outcome.values is None else len(outcome.values)
        self.told["failed" if failed else "reused" if outcome.copied else "extracted"].append(
            track_id
        )
        if n and outcome.undetectable:
            self.told["undetectable"].append(track_id)
        lost = KILLED if outcome.killed else FAILED
        status = lost if failed else SILENT if n == 0 else PARTIAL if outcome.reason else OK
        start = sum(self.table["n_segments"][-1:], start=sum(self.table["start"][-1:]))
        for name, value in zip(ROWS, (track_id, start, n, status, outcome.reason), strict=True):
            self.table[name].append(value)
        if outcome.values is not None:
            self.values.append(outcome.values)

    def commit(self) -> CommittedBlock:
        """Write the block."""
        nothing = np.empty((0, *self.spec.shape), self.spec.dtype)
        values = np.concatenate([nothing, *self.values])
        part = self.part
        name = write_block(Path(part.store), part.plan, part.block, values, self.table)
        return CommittedBlock(
            part.store, name, **{what: tuple(ids) for what, ids in self.told.items()}
        )


def _file(parts: Sequence[_Open], row: int, decoder: FeatureProcess) -> list[Outcome]:
    """What becomes of one file in each part, if it still is the file that was planned."""
    plan = parts[0].plan
    path, planned = str(plan.path[row]), (int(plan.size[row]), int(plan.mtime_ns[row]))
    found = stamp_of(path)
    if found == NO_FILE or found != planned:
        return [Outcome(None, _GONE if found == NO_FILE else _CHANGED)] * len(parts)
    outcomes = [part.copied(row) for part in parts]
    specs = [part.spec for part, copy in zip(parts, outcomes, strict=True) if copy is None]
    computed = iter(decoder.run(path, specs, salvage=plan.salvage) if specs else ())
    if stamp_of(path) != planned:
        computed = iter([Outcome(None, _CHANGED)] * len(specs))
    return [next(computed) if copy is None else copy for copy in outcomes]
