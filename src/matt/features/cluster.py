"""Blocks on a Dask cluster: an executor for `matt.features.extract.extract`.

A block is named by a folder and numbers, so it can be run by any machine that sees the same files.
Whether the workers do is looked at before there is any work, on all of them at once, because a
million files that one worker cannot see would be a million failures in the store. `WorkerNeeds` is
what a worker must have, and is looked at on the worker itself.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import pkgutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .. import __version__
from ..errors import ConfigError, DataError, MattError, first_few
from .plan import NO_FILE, Stamp, provenance, stamp_of

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class WorkerNeeds:
    """What a worker must have to do the work of this process.

    Attributes
    ----------
    versions : tuple of (str, str)
        Libraries and versions that compute the values, as the plan will state them.
    tokens : tuple of str
        Files just made where the stores will be.
    files : tuple of (str, (int, int))
        Audio, with size in bytes and time of change in nanoseconds.
    """

    versions: tuple[tuple[str, str], ...]
    tokens: tuple[str, ...]
    files: tuple[tuple[str, Stamp], ...]

    def lacking(self) -> list[str]:
        """What this process lacks, each with a remedy."""
        return [*self._processes(), *self._versions(), *self._folders(), *self._audio()]

    def _processes(self) -> Iterator[str]:
        if multiprocessing.current_process().daemon:
            yield (
                "may not start processes; start it with 'dask worker --no-nanny', or with "
                "DASK_DISTRIBUTED__WORKER__DAEMON=False in its environment"
            )

    def _versions(self) -> Iterator[str]:
        there = provenance()
        differ = [
            f"{name} {there.get(name, 'not at all')} instead of {version}"
            for name, version in self.versions
            if there.get(name) != version
        ]
        if differ:
            yield f"has {', '.join(differ)}; install the same versions on all machines"

    def _folders(self) -> Iterator[str]:
        for token in self.tokens:
            folder = os.path.dirname(token)
            if not os.path.exists(token):
                yield (
                    f"does not see the folder {folder} of this machine; name a shared folder with "
                    "--store, mounted at the same path everywhere"
                )
                continue
            try:
                tempfile.TemporaryFile(dir=folder).close()
            except OSError as error:
                yield f"cannot write in {folder} ({error.strerror}); check its permissions"

    def _audio(self) -> Iterator[str]:
        for path, stamp in self.files:
            there = stamp_of(path)
            if there == NO_FILE:
                yield f"does not see {path}; mount the music at the same path everywhere"
            elif there != stamp:
                yield (
                    f"sees another size or time of {path}; mount the same music at the same path "
                    "everywhere"
                )


PATIENCE = 10.0  # seconds, for the scheduler to answer and for the first worker to come
RETRIES = 2  # of a block that could not be written: a network's file system may be back by then
SAMPLE = 3  # files that every worker has to see as they are seen here
_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application")
_AGAIN = "run the same command again: what is finished is kept"

T = TypeVar("T")


@contextmanager
def connected(
    address: str,
    stores: Sequence[Path],
    files: Sequence[str] = (),
    *,
    patience: float = PATIENCE,
) -> Iterator[Executor]:
    """Executor whose tasks run on the workers of a Dask scheduler, one a thread of a worker.

    A block whose worker dies is given to another worker, which writes the same bytes. Left by an
    exception, what has not begun is cancelled. What Dask logs here is silenced meanwhile.

    Parameters
    ----------
    address : str
        Of the scheduler, e.g. ``"tcp://10.0.0.1:8786"``; settings of TLS are Dask's own.
    stores : sequence of Path
        Folders that are, or will be, the stores.
    files : sequence of str
        Audio that is to be extracted; the first, the middle and the last are looked for on every
        worker.
    patience : float
        Seconds, for the scheduler to answer and for the first worker to come.

    Raises
    ------
    ConfigError
        If Dask is not installed, the scheduler cannot be reached or has no workers, or a worker
        has other versions, sees other files or cannot start processes; all of it is told at once.
    MattError
        In the block, if a task lost several workers in turn, or the scheduler is gone.
    """
    try:
        from distributed import KilledWorker
    except ImportError as error:
        raise ConfigError(
            "a cluster needs Dask, which is not installed; run: pip install 'matt-mgc[cluster]'"
        ) from error
    with ExitStack() as stack:
        stack.enter_context(_silence())
        client = stack.enter_context(_client(address, patience))
        tokens = tuple(stack.enter_context(_token(store.absolute())) for store in stores)
        needs = WorkerNeeds(tuple(provenance().items()), tokens, _sample(files))
        _check(client, address, needs)
        executor = client.get_executor(pure=False, retries=RETRIES)
        stack.callback(executor.shutdown, wait=False)
        try:
            yield _Careful(executor, needs)
        except KilledWorker as error:
            raise MattError(
                f"{error.allowed_failures + 1} workers in turn died at the same block, the last at "
                f"{error.last_worker.address}; look at their logs (did the machine run out of "
                f"memory?), mend that, and {_AGAIN}"
            ) from error
        except CancelledError as error:
            raise MattError(
                f"the scheduler at {address} ended or cancelled the blocks; start scheduler and "
                f"workers again if they are gone, and {_AGAIN}"
            ) from error


class _Careful(Executor):
    """Hands tasks on, each with what its worker must have: workers may come at any time."""

    def __init__(self, executor: Executor, needs: WorkerNeeds) -> None:
        self._executor, self._needs = executor, needs

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run a function on a worker; its arguments are none of Dask's."""
        return self._executor.submit(matt_block, self._needs, partial(fn, *args, **kwargs))


_fit: set[WorkerNeeds] = set()  # what this process was seen to have


def matt_block(needs: WorkerNeeds, task: Callable[[], T]) -> T:
    """Run a task on a worker, unless the worker lacks something; Dask shows this name.

    Raises
    ------
    DataError
        If it does.
    """
    if needs not in _fit:
        if lacking := needs.lacking():
            raise DataError(f"a worker that came later {'; and it '.join(lacking)}; then {_AGAIN}")
        _fit.add(needs)
    return task()


def _check(client: Client, address: str, needs: WorkerNeeds) -> None:
    """Look at all workers at once; nothing of matt is sent to a worker before it is there."""
    found: dict[str, list[str]] = {}
    versions = client.run(pkgutil.resolve_name, "matt:__version__", on_error="return")
    same = [worker for worker, version in versions.items() if version == __version__]
    for worker, version in versions.items():
        if isinstance(version, ImportError):
            there = f"cannot import matt ({version}); install matt-mgc {__version__} there"
        elif isinstance(version, Exception):
            there = f"does not answer ({version}); restart it"
        else:
            there = f"has matt {version} instead of {__version__}; install the same version there"
        if worker not in same:
            found.setdefault(there, []).append(worker)
    answers = client.run(needs.lacking, workers=same, on_error="return") if same else {}
    for worker, answer in answers.items():
        if isinstance(answer, Exception):
            answer = [f"cannot be looked at ({type(answer).__name__}: {answer}); restart it"]
        for problem in answer:
            found.setdefault(problem, []).append(worker)
    if found:
        n_unfit = len({worker for workers in found.values() for worker in workers})
        told = "; ".join(
            f"{first_few(sorted(workers))} {problem}" for problem, workers in found.items()
        )
        raise ConfigError(
            f"{n_unfit} of {len(versions)} workers of {address} cannot extract: {told}"
        )


@contextmanager
def _client(address: str, patience: float) -> Iterator[Client]:
    """Client of a scheduler that has workers."""
    from distributed import Client

    try:
        # A client that cannot connect is never quite closed, so somebody else knocks first. In a
        # thread, because a notebook has a running loop in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _knock(address, patience)).result()
        client = Client(address, timeout=patience, set_as_default=False)
    except ImportError as error:
        raise ConfigError(
            f"the scheduler at {address} has another Dask ({error}); install the same there"
        ) from error
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(
            f"no Dask scheduler can be reached at {address} ({error}); start one with 'dask "
            "scheduler' and give the address that it prints, e.g. tcp://10.0.0.1:8786"
        ) from error
    try:
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError as error:
            raise ConfigError(
                f"the scheduler at {address} has no workers; start some with 'dask worker "
                f"{address} --no-nanny --nthreads N' and run the same command again"
            ) from error
        yield client
    finally:
        with suppress(TimeoutError):
            client.close(timeout=patience)


async def _knock(address: str, patience: float) -> None:
    from distributed import Security
    from distributed.comm.core import connect

    arguments = Security().get_connection_args("client")
    (await connect(address, timeout=patience, **arguments)).abort()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Dask logs off the terminal: what matters of it is raised in our words."""
    loggers = [logging.getLogger(name) for name in (*_LOGGERS, "asyncio")]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


@contextmanager
def _token(store: Path) -> Iterator[str]:
    """A new hidden file in a folder, or where the folder will be made; no store minds it."""
    folder = next(parent for parent in (store, *store.parents) if parent.is_dir())
    try:
        handle, token = tempfile.mkstemp(prefix=".matt-", dir=folder)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror}); check it, or name another folder"
        ) from error
    os.close(handle)
    try:
        yield token
    finally:
        Path(token).unlink(missing_ok=True)


def _sample(files: Sequence[str]) -> tuple[tuple[str, Stamp], ...]:
    last = len(files) - 1
    rows = sorted({i * last // (SAMPLE - 1) for i in range(SAMPLE)}) if len(files) else []
    stamps = [(str(files[row]), stamp_of(str(files[row]))) for row in rows]
    return tuple((path, stamp) for path, stamp in stamps if stamp != NO_FILE)
