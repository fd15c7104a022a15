"""Extraction: from files to a feature store, in a run that may be interrupted at any time.

A run finishes the plan that an earlier one left open, draws up a plan of what is missing, writes
it, and extracts it block by block. A block is one task: `extract_block` runs its files in a child
process and writes it whole. Any executor of `concurrent.futures` may call it; `extract` uses
threads.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, MattError
from ..tracks import Tracks
from .blocks import FAILED, OK, PARTIAL, ROWS, create, read_spec, write_block
from .child import Child
from .plan import NO_FILE, Plan, draw_up, open_blocks, plan_numbers, stamp_of
from .report import Problem, Progress, Report, Written, report
from .spec import FeatureSpec
from .store import FeatureStore
from .worker import Extractor, Outcome, extract_file

__all__ = ["Problem", "Progress", "Report", "Written", "extract", "extract_block"]

TIMEOUT = 120.0
MEMORY_LIMIT = 4 * 2**30


def extract(
    tracks: Tracks,
    spec: FeatureSpec,
    store: Path | str,
    *,
    workers: int | None = None,
    timeout: float = TIMEOUT,
    memory_limit: int = MEMORY_LIMIT,
    salvage: bool = False,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    extractor: Extractor = extract_file,
) -> Report:
    """Extract what a store lacks of some tracks; a bad file costs itself only.

    Interrupt it at any time: the next run repeats only the blocks in flight, and the store ends in
    the same bytes as if nothing had happened. In a script, call it under
    ``if __name__ == "__main__":``, as it starts processes.

    Parameters
    ----------
    tracks : Tracks
        With paths.
    spec : FeatureSpec
    store : path
        A store of this spec, or a folder to be made.
    workers : int >= 1, optional
        Processes; by default one a core.
    timeout : float
        Seconds for one file.
    memory_limit : int
        Bytes for one file and what is computed from it.
    salvage : bool
        Whether a file with damage in its middle keeps what decodes; else it fails. A file that
        only ends early always keeps what there is. Both count as partial.
    retry_failed : bool
        Whether to try failed files again although they have not changed.
    progress : callable, optional
        Told after every file and block, in the caller's thread.
    extractor : callable
        Computes one file in a child process: see `matt.features.child.Child`.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the folder holds features of another spec, or cannot be written.
    ConfigError
        If the spec is not computed from audio, or ``workers`` is below 1.
    """
    if spec.segments is None:
        raise ConfigError(
            f"feature {spec.name!r} is not computed from audio; give its values to "
            "FeatureStore.from_arrays"
        )
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}; leave it out for all cores")
    tell = progress or _ignore

    def looking(done: int, total: int) -> None:
        tell(Progress("looking", done, total))

    try:
        store = create(store, spec)
        with _Crew(
            workers or _cores(),
            lambda: Child(spec, timeout=timeout, memory_limit=memory_limit, extractor=extractor),
        ) as crew:
            for number in plan_numbers(store):
                crew.run(store, Plan.load(store, number), tell)
            plan = draw_up(
                tracks, spec, store, salvage=salvage, retry_failed=retry_failed, progress=looking
            )
            if plan is not None:
                plan.save(store)
                crew.run(store, plan, tell)
    except OSError as error:
        if isinstance(error, MattError) or error.errno is None:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DataError(
            f"{store} cannot be written ({error.strerror}); "
            f"{'free some space' if full else 'check the folder'} and run the same command again: "
            "what is finished is kept"
        ) from error
    return report(tracks, store, crew.written)


def extract_block(
    store: Path,
    plan: Plan,
    block: int,
    child: Child,
    *,
    tell: Callable[[bool], None] | None = None,
) -> Written:
    """Extract and commit one block; what happens to a file is in its row, never an exception.

    Parameters
    ----------
    store : Path
    plan : Plan
        Saved in the store.
    block : int
    child : Child
        Runs the files; it may serve other blocks before and after.
    tell : callable, optional
        Told after each file whether it failed.

    Returns
    -------
    Written

    Raises
    ------
    OSError
        If the block cannot be written.
    CancelledError
        If the child was closed meanwhile; nothing is written then.
    """
    spec = read_spec(store)
    rows = plan.rows(block)
    reusable = None
    if (plan.reuse[rows] >= 0).any():
        reusable = FeatureStore.open(store, before=plan.number, in_memory=0)
    values: list[Any] = [np.empty((0, *spec.shape), spec.dtype)]
    table: dict[str, list[Any]] = {name: [] for name in ROWS}
    tracks: dict[bool, list[int]] = {False: [], True: []}  # by whether they were reused
    start = 0
    for row in rows:
        outcome, reused = _outcome(plan, int(row), child, reusable)
        track_id, n = int(plan.track_id[row]), 0
        if outcome.values is not None:
            n = len(outcome.values)
            values.append(outcome.values)
            tracks[reused].append(track_id)
        status = FAILED if n == 0 else PARTIAL if outcome.reason else OK
        for name, value in zip(ROWS, (track_id, start, n, status, outcome.reason), strict=True):
            table[name].append(value)
        start += n
        if tell:
            tell(n == 0)
    name = write_block(store, plan.number, block, np.concatenate(values), table)
    return Written(name, tuple(tracks[False]), tuple(tracks[True]))


def _outcome(
    plan: Plan, row: int, child: Child, reusable: FeatureStore | None
) -> tuple[Outcome, bool]:
    """Values of one file, if it still is the file that was planned, and whether they are copied."""
    path = str(plan.path[row])
    planned = int(plan.size[row]), int(plan.mtime_ns[row])
    changed = Outcome(None, "changed since the plan was made; run the same command again")
    found = stamp_of(path)
    if found == NO_FILE:
        return Outcome(None, "file not found; restore it, or scan the folder again"), False
    if found != planned:
        return changed, False
    if reusable is not None and plan.reuse[row] >= 0:
        copied = _copied(int(plan.reuse[row]), reusable)
        if copied is not None:
            return copied, True
    outcome = child.run(path, salvage=plan.salvage)
    return (outcome if stamp_of(path) == planned else changed), False


def _copied(track_id: int, store: FeatureStore) -> Outcome | None:
    if track_id not in store:
        return None  # blocks were deleted by hand: the file is decoded
    values, _ = store.read(np.array([track_id]))
    here = store.partial["track_id"] == track_id
    return Outcome(values, str(store.partial["reason"][here][0]) if here.any() else "")


class _Crew:
    """Threads that extract blocks, each with a child of its own; started when there is work."""

    def __init__(self, workers: int, make_child: Callable[[], Child]) -> None:
        self.written: list[Written] = []
        self._make_child = make_child
        self._mine = threading.local()
        self._children: list[Child] = []
        self._lock = threading.Lock()
        self._leaving = False
        self._threads = ThreadPoolExecutor(workers, "extract", initializer=_leave_interrupts)

    def run(self, store: Path, plan: Plan, tell: Callable[[Progress], None]) -> None:
        """Extract the open blocks of a plan; the first block that cannot be written ends it."""
        blocks = open_blocks(store, plan)
        events: SimpleQueue[bool | Future[Written]] = SimpleQueue()
        for block in blocks:
            task = self._threads.submit(self._block, store, plan, block, events.put)
            task.add_done_callback(events.put)
        total = int(np.isin(plan.block, blocks).sum())
        done = failed = written = 0
        while written < len(blocks):
            event = events.get()
            if isinstance(event, Future):
                self.written.append(event.result())
                written += 1
            else:
                done, failed = done + 1, failed + event
            tell(Progress("extracting", done, total, failed, written, len(blocks)))

    def _block(self, store: Path, plan: Plan, block: int, tell: Callable[[bool], None]) -> Written:
        if not hasattr(self._mine, "child"):
            with self._lock:
                if self._leaving:
                    raise CancelledError
                self._mine.child = self._make_child()
                self._children.append(self._mine.child)
        return extract_block(store, plan, block, self._mine.child, tell=tell)

    def __enter__(self) -> _Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._leaving = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.close()
        self._threads.shutdown(wait=True)


def _leave_interrupts() -> None:
    """Ctrl-C is for the main thread; processes started from this thread ignore it, too."""
    if hasattr(signal, "pthread_sigmask"):
        # The first lock starts a process that unblocks signals in the thread that needed it.
        multiprocessing.get_context("spawn").Lock()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ignore(progress: Progress) -> None:
    """Nobody wants to know."""
