"""Who extracts the blocks of a plan: threads with a child process each, or an executor.

Threads are the default, because they tell of every file and can be stopped within a block.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import TypedDict

import numpy as np

from .blocks import read_spec
from .child import Child
from .plan import Plan, open_blocks
from .report import Progress, Written
from .task import extract_block, run_block
from .worker import Extractor


class Limits(TypedDict):
    """Settings of a child: see `matt.features.child.Child`."""

    timeout: float
    memory_limit: int
    extractor: Extractor


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
        self._tasks: list[Future[Written]] = []
        self._lock = threading.Lock()
        self._leaving = False
        self._threads = ThreadPoolExecutor(
            workers or _cores(), "extract", initializer=_leave_interrupts
        )

    def run(self, store: Path, plan: Plan, tell: Callable[[Progress], None]) -> None:
        """Extract the open blocks of a plan; the first block that cannot be written ends it."""
        blocks = open_blocks(store, plan)
        events: SimpleQueue[bool | Future[Written]] = SimpleQueue()
        for block in blocks:
            if self._executor is None:
                task = self._threads.submit(self._block, store, plan, block, events.put)
            else:
                task = self._executor.submit(
                    extract_block, store, plan.number, block, **self._limits
                )
            self._tasks.append(task)
            task.add_done_callback(events.put)
        total = int(np.isin(plan.block, blocks).sum())
        done = failed = written = 0
        while written < len(blocks):
            event = events.get()
            if isinstance(event, bool):
                done, failed = done + 1, failed + event
            else:
                block_written = event.result()
                self.written.append(block_written)
                written += 1
                if self._executor is not None:  # nobody told of its files
                    lost = len(block_written.failed)
                    done += len(block_written.extracted) + len(block_written.reused) + lost
                    failed += lost
            tell(Progress("extracting", done, total, failed, written, len(blocks)))

    def _block(self, store: Path, plan: Plan, block: int, tell: Callable[[bool], None]) -> Written:
        if not hasattr(self._mine, "child"):
            with self._lock:
                if self._leaving:
                    raise CancelledError
                self._mine.child = Child(read_spec(store), **self._limits)
                self._children.append(self._mine.child)
        return run_block(store, plan, block, self._mine.child, tell=tell)

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
        for task in self._tasks:
            task.cancel()
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
