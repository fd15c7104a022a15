"""Who extracts the blocks of plans: threads with a child process each, or an executor.

Threads are the default, because they tell of every file and can be stopped within a block.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import NamedTuple

from .blocks import read_spec
from .child import Child
from .limits import Limits
from .pace import Pace
from .report import Progress, Written
from .schedule import Task
from .task import extract_block, run_block

_AHEAD = 4096  # tasks that an executor holds at once; a thread holds two


class _File(NamedTuple):
    """A file that is done."""

    path: str
    reason: str
    work: float

    @property
    def failure(self) -> str:
        """What to say if it failed."""
        return f"{self.path}: {self.reason}" if self.reason else ""


class _Tally:
    """Where a run stands."""

    def __init__(self, tasks: Sequence[Task], n_bytes: int) -> None:
        self.total, self.n_blocks = sum(len(task.work) for task in tasks), len(tasks)
        self.n_bytes, self.last_failure = n_bytes, ""
        self.done = self.failed = self.blocks = 0
        self._worked = 0.0
        self._files = Pace(self.total)
        self._work = Pace(float(sum(task.work.sum() for task in tasks)))

    def add(self, files: int, work: float, failed: int) -> None:
        """Note files that are done."""
        self.done, self.failed = self.done + files, self.failed + failed
        self._worked += work
        now = time.monotonic()
        self._files.tell(self.done, now=now)
        self._work.tell(self._worked, now=now)

    def progress(self) -> Progress:
        """What there is to tell."""
        return Progress(
            "extracting",
            self.done,
            self.total,
            failed=self.failed,
            block=self.blocks,
            blocks=self.n_blocks,
            n_bytes=self.n_bytes,
            rate=self._files.rate,
            left=self._work.left,
            last_failure=self.last_failure,
        )


class Crew:
    """Extracts the blocks of plans; a context manager, which ends what it started.

    Parameters
    ----------
    workers : int >= 1, optional
        Threads, started when there is work; by default one a core.
    executor : concurrent.futures.Executor, optional
        Takes the blocks instead of own threads.
    limits : Limits

    Attributes
    ----------
    written : list of Written
        Blocks that were written so far.
    """

    def __init__(self, workers: int | None, executor: Executor | None, limits: Limits) -> None:
        self.written: list[Written] = []
        self._executor, self._limits = executor, limits
        self._mine = threading.local()
        self._children: list[Child] = []
        self._running: dict[Future[list[Written]], Task] = {}
        self._lock = threading.Lock()
        self._leaving = False
        workers = workers or _cores()
        self._most = 2 * workers if executor is None else _AHEAD
        self._threads = ThreadPoolExecutor(workers, "extract", initializer=_leave_interrupts)

    def run(
        self, tasks: Sequence[Task], tell: Callable[[Progress], None], *, n_bytes: int = 0
    ) -> None:
        """Extract blocks; the first one that cannot be written ends it.

        Parameters
        ----------
        tasks : sequence of Task
        tell : callable
            Told where the run stands, with ``n_bytes`` to be written.
        """
        waiting = deque(tasks)
        events: SimpleQueue[_File | Future[list[Written]]] = SimpleQueue()
        tally = _Tally(tasks, n_bytes)
        if tasks:
            tell(tally.progress())
        while waiting or self._running:
            while waiting and len(self._running) < self._most:
                self._submit(waiting.popleft(), events)
            event = events.get()
            if isinstance(event, _File):
                tally.add(1, event.work, int(bool(event.reason)))
                tally.last_failure = event.failure or tally.last_failure
            else:
                task = self._running.pop(event)
                written = event.result()
                self.written += written
                tally.blocks += 1
                if self._executor is not None:  # nobody told of its files
                    lost = {track for part in written for track in part.failed}
                    tally.add(len(task.work), float(task.work.sum()), len(lost))
            tell(tally.progress())

    def _submit(self, task: Task, events: SimpleQueue[_File | Future[list[Written]]]) -> None:
        if self._executor is None:
            future = self._threads.submit(self._block, task, events.put)
        else:
            future = self._executor.submit(extract_block, task.parts, self._limits)
        self._running[future] = task
        future.add_done_callback(events.put)

    def _block(self, task: Task, put: Callable[[_File], None]) -> list[Written]:
        specs = tuple(read_spec(part.store) for part in task.parts)
        if not hasattr(self._mine, "child"):
            with self._lock:
                if self._leaving:
                    raise CancelledError
                self._mine.child = Child(specs, self._limits)
                self._children.append(self._mine.child)
        work = iter(task.work.tolist())
        return run_block(
            task.parts,
            self._mine.child,
            tell=lambda path, reason: put(_File(path, reason, next(work))),
        )

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._leaving = True
        for future in self._running:
            future.cancel()
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
