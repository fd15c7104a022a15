"""Work spread over processes that leave Ctrl-C to the one that started them."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Generator[Result]:
    """Give the result of each item, in order.

    Close the generator (`contextlib.closing`) where its end may not be reached: what has not been
    started is then left.

    Parameters
    ----------
    work : callable
        With more than one process it has to be importable by name.
    items : sequence
    workers : int >= 1
        Processes; with 1 everything is done in this one.
    """
    if workers == 1:
        yield from map(work, items)
        return
    # Spawned, because forking a process that has threads (torch, BLAS) may hang.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        with _uninterrupted_start():
            results = pool.map(work, items, chunksize=4)
        yield from results
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _uninterrupted_start() -> Iterator[None]:
    """Ctrl-C waits a moment, and processes that are started meanwhile ignore it from the first."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The first lock starts a process that unblocks signals in the thread that needed it.
    multiprocessing.get_context("spawn").Lock()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
