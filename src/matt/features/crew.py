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

_AHEAD = 256  # tasks that an executor holds at once; a thread holds two


class _File(NamedTuple):
    """A file that is done."""

    path: str
    reason: str
    work: float


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
        total, work = sum(len(task.work) for task in tasks), sum(t.work.sum() for t in tasks)
        files, pace = Pace(total), Pace(float(work))
        done, failed, blocks, worked, last_failure = 0, 0, 0, 0.0, ""
        while waiting or self._running:
            while waiting and len(self._running) < self._most:
                self._submit(waiting.popleft(), events)
            event = events.get()
            if isinstance(event, _File):
                done, worked = done + 1, worked + event.work
                if event.reason:
                    failed, last_failure = failed + 1, f"{event.path}: {event.reason}"
            else:
                task = self._running.pop(event)
                written = event.result()
                self.written += written
                blocks += 1
                if self._executor is not None:  # nobody told of its files
                    done, worked = done + len(task.work), worked + float(task.work.sum())
                    failed += len({track for part in written for track in part.failed})
            now = time.monotonic()
            files.tell(done, now=now)
            pace.tell(worked, now=now)
            tell(
                Progress(
                    "extracting",
                    done,
                    total,
                    failed=failed,
                    block=blocks,
                    blocks=len(tasks),
                    n_bytes=n_bytes,
                    rate=files.rate,
                    left=pace.left,
                    last_failure=last_failure,
                )
            )

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
