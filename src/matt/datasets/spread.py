"""Work spread over processes that leave Ctrl-C to the one that started them."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from pebble import ProcessPool

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
    # Spawned, because forking a process that has threads (torch, BLAS) may hang. Pebble, because
    # the standard library's executor may wait for ever when it is shut down while it starts.
    pool = ProcessPool(max_workers=workers, context=multiprocessing.get_context("spawn"))
    try:
        with uninterrupted_start():
            results = pool.map(work, items, chunksize=4)
        yield from results.result()
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


@contextmanager
def uninterrupted_start() -> Iterator[None]:
    """Ctrl-C waits a moment; threads that are started meanwhile, and their processes, ignore it."""
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
