"""Processes that do one thing after the other for this one, and how long the rest of it takes.

A `Child` is one process seen from outside: it loads its libraries once, computes with one thread,
and keeps to `Limits`. When it crashes, hangs or asks for too much memory it is replaced, and only
what it was at has failed. A `Pool` has several. Ctrl-C is left to the process that started them;
they end with it, even if it is killed.

Children import what they are to do before they limit themselves to one thread, so nothing large
is imported at the top here.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import fsum
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.util import Finalize
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from .errors import ConfigError, MattError

Item = TypeVar("Item")
Result = TypeVar("Result")
P = ParamSpec("P")
Kind = TypeVar("Kind", bound="Child")

STARTUP = 300.0  # seconds; compiling the loops of features may take half a minute, once
_STARTS = 6  # of a process that is killed each time, as many as a killed file costs
_LEAST_MEMORY = 2**26
_WINDOW = 600.0  # seconds: what was longer ago says little of what comes
_ENOUGH = 60  # pieces, which say more than their scatter however long they took
_SURE = 5.0  # seconds of work before anything is said
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


# ---- how far it is, and how long it takes ----


@dataclass(frozen=True)
class Progress:
    """Where work stands that is done piece by piece.

    Attributes
    ----------
    stage : {"looking", "extracting", "fitting"}
        Whether files are compared with a store, features computed, or cells fitted.
    done, total : int
        Tracks, or cells; those of cells include what was kept, not what failed.
    failed : int
        Tracks without features, of those that are done; or cells.
    kept : int
        Cells that were finished before.
    rate : float or None
        Pieces a second; None until it can be told.
    left : float or None
        Seconds until all is done, by the work so far; None until it can be told.
    last, last_failure : str
        What was done last, and what failed last with its reason, if it is known here.
    block, blocks : int
        Blocks of features written, and to write.
    n_bytes : int
        What they add to the stores; a guess where tracks have as many segments as they are long.
    """

    stage: str
    done: int
    total: int
    failed: int = 0
    kept: int = 0
    rate: float | None = None
    left: float | None = None
    last: str = ""
    last_failure: str = ""
    block: int = 0
    blocks: int = 0
    n_bytes: int = 0


class Pace:
    """Rate and remaining time of many small pieces of work.

    The clock starts when the first pieces are done, so that what processes need to get ready is
    not taken for work.

    Parameters
    ----------
    total : float
        All that is to be done, in any unit.

    Examples
    --------
    Two units a second after a slow start; 60 are left:

    >>> pace = Pace(100)
    >>> for second in range(21):
    ...     pace.tell(2 * second, now=300 + second)
    >>> pace.left
    30.0
    """

    def __init__(self, total: float) -> None:
        self.total = total
        self._seen: deque[tuple[float, float]] = deque()  # (time, done)

    def tell(self, done: float, *, now: float | None = None) -> None:
        """Note how much is done, at a time in seconds of any clock that does not go back."""
        now = time.monotonic() if now is None else now
        self._seen.append((now, done))
        while len(self._seen) > _ENOUGH and self._seen[1][0] < now - _WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """Units a second; None until it can be told."""
        if not self._seen:
            return None
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        if end - start < _SURE or after <= before:
            return None
        return (after - before) / (end - start)

    @property
    def left(self) -> float | None:
        """Seconds until all is done, by the rate so far; None until it can be told."""
        rate = self.rate
        return None if rate is None else (self.total - self._seen[-1][1]) / rate


class Estimate:
    """Remaining time of few long pieces of work, by those that are done.

    A piece takes as long as those of its group that are done now, on average. Where there is none,
    it takes as long as those that were done **before**, by the pace of now: another machine, or
    more jobs on it, make all of them slower. Else it takes as long as was guessed, by how far the
    guesses of those that are done were off; or, without a guess, as long as all on average.

    Parameters
    ----------
    jobs : int >= 1
        How many are done at once.

    Examples
    --------
    >>> estimate = Estimate(jobs=1)
    >>> for group, guess in (("small", 1.0), ("small", 1.0), ("large", 30.0)):
    ...     estimate.expect(group, guess)
    >>> estimate.left
    32.0
    >>> estimate.learn("small", 2.0)  # twice as long as was guessed, and so will be the large one
    >>> estimate.drop("small")
    >>> estimate.left
    62.0
    """

    def __init__(self, *, jobs: int) -> None:
        self._jobs = jobs
        self._open: Counter[str] = Counter()
        # Seconds by group: of those done now, of those done before, and as they were guessed.
        self._now: defaultdict[str, list[float]] = defaultdict(list)
        self._before: defaultdict[str, list[float]] = defaultdict(list)
        self._guesses: defaultdict[str, list[float]] = defaultdict(list)

    def expect(self, group: str, guess: float | None = None) -> None:
        """Note that a piece is to be done, and how many seconds it may take."""
        self._open[group] += 1
        self._guess(group, guess)

    def remember(self, group: str, seconds: float, guess: float | None = None) -> None:
        """Note how long a piece took that was done before, and what would have been guessed."""
        self._before[group].append(seconds)
        self._guess(group, guess)

    def learn(self, group: str, seconds: float) -> None:
        """Note how long a piece took."""
        self._now[group].append(seconds)

    def drop(self, group: str) -> None:
        """Note that a piece is done, or has failed."""
        self._open[group] -= 1

    @property
    def left(self) -> float | None:
        """Seconds that are left; None while nothing is known."""
        open_ = +self._open
        pace = _ratio(self._now, self._before)
        before = {group: [pace * each for each in some] for group, some in self._before.items()}
        done = before | self._now
        off = _ratio(done, self._guesses)
        every = [seconds for some in done.values() for seconds in some]
        total = 0.0
        for group, n in open_.items():
            guesses = [off * guess for guess in self._guesses.get(group, ())]
            like = done.get(group) or guesses or every
            if not like:
                return None
            total += n * fsum(like) / len(like)
        return total / max(1, min(self._jobs, open_.total()))

    def _guess(self, group: str, guess: float | None) -> None:
        if guess is not None:
            self._guesses[group].append(guess)


def _ratio(done: Mapping[str, list[float]], told: Mapping[str, list[float]]) -> float:
    """Seconds of what is done, to those that were told of it; 1 where nothing was."""
    both = [group for group in done if told.get(group)]
    expected = fsum(len(done[group]) * fsum(told[group]) / len(told[group]) for group in both)
    return fsum(sum(done[group]) for group in both) / expected if expected else 1.0


# ---- one process ----


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a process may use, so that no file can hurt.

    Attributes
    ----------
    timeout : float > 0
        Seconds without a finished segment, after which a file fails. What comes before the first
        segment counts, too: ``"middle"`` decodes up to it. The length of a file does not matter.
    memory : int > 0
        Bytes for one file and what is computed from it, beyond what the libraries take.
    nice : int
        Added to the priority number of the process where the system has one: 19 yields to
        everything else.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """

    timeout: float = 120.0
    memory: int = 4 * 2**30
    nice: int = 0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ConfigError(f"timeout must be above 0 seconds, got {self.timeout}; 120 is usual")
        if self.memory < _LEAST_MEMORY:
            raise ConfigError(
                f"memory must be at least {_LEAST_MEMORY:,} bytes, got {self.memory:,}; nothing "
                "could be decoded in less"
            )
        if not 0 <= self.nice <= 19:
            raise ConfigError(f"nice must be 0 to 19, got {self.nice}; 0 is ordinary")


class ProcessDied(Exception):
    """A process ended while it was at something.

    Attributes
    ----------
    code : int
        Its exit code, below zero that of a signal.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        if self.code >= 0:
            return f"exit code {self.code}"
        with suppress(ValueError):  # some signals have no name
            return signal.Signals(-self.code).name
        return f"signal {-self.code}"


class CannotStart(MattError):
    """Processes cannot be started at all."""


class Child:
    """A process that does one thing at a time, and is replaced when it dies.

    It is started when there is something to do. It ends with `close`, with the last reference to
    this object, or with this process, however that ends.

    Parameters
    ----------
    start : callable, optional
        Called in the new process, with ``args``, before it limits itself to one thread and its
        memory: to load libraries, or to keep what all calls share.
    args : tuple
    limits : Limits, optional
        By default it may take what it wants.
    unstartable : str
        What to say if it ends by itself while it starts. One that is killed then is started again.
    """

    def __init__(
        self,
        start: Callable[..., None] | None = None,
        args: tuple[Any, ...] = (),
        *,
        limits: Limits | None = None,
        unstartable: str = "processes cannot be started; in a script, call this under "
        "`if __name__ == '__main__':`",
    ) -> None:
        self._lock = threading.Lock()
        self._closed = False
        # A pipe of its own, and no pool of a library: processes of a pool share locks, and one that
        # is killed while it holds them stops all that come after it.
        self._running: tuple[SpawnProcess, Connection] | None = None
        self._limits, self._unstartable = limits, unstartable
        # Spawned, because forking a process that has threads (torch, BLAS) may hang.
        self._context = multiprocessing.get_context("spawn")
        self._pulse = self._context.Value("q", lock=False)  # counts the calls of `alive`
        self._begin = partial(_begin, limits, start, args)
        self._mine = os.getpid()
        # A process that was itself started by multiprocessing waits for its children when it ends.
        self._finalizer = Finalize(None, partial(_close, weakref.ref(self)), exitpriority=1)

    def call(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Give the result of a function, which has to be importable by name; one call at a time.

        With limits the function has to call `alive` when it begins and whenever it got on, so it
        may take as long as it gets on.

        Raises
        ------
        ProcessDied
            If its process did; the next call has another one.
        TimeoutError
            If it did not get on for as long as the limits say.
        CancelledError
            If the child was closed meanwhile.
        CannotStart
            If no process can be started.
        """
        self.ready()  # it may have died when it had no work
        return self._called(partial(function, *args, **kwargs))

    def ready(self) -> None:
        """Start its process, if none runs; `call` does it, too.

        Raises
        ------
        CancelledError, CannotStart
            As `call`.
        """
        if not self._runs():
            self._start()

    def close(self) -> None:
        """End the process at once; what it is at has no result. May be called again."""
        self._closed = True
        self._stop()
        self._finalizer.cancel()

    def __del__(self) -> None:
        # A fork of this process has a copy of this object, and no children.
        if hasattr(self, "_finalizer") and self._mine == os.getpid():
            self.close()

    def _runs(self) -> bool:
        with self._lock:
            return self._running is not None and self._running[0].is_alive()

    def _start(self) -> None:
        for left in reversed(range(_STARTS)):
            self._stop()
            try:
                self._spawn()
                self._called(self._begin)
                return
            except CancelledError:
                raise
            except Exception as error:
                self._stop()
                if not isinstance(error, ProcessDied) or error.code >= 0:
                    raise CannotStart(self._unstartable) from error
                if not left:
                    raise CannotStart(
                        f"a process was killed {_STARTS} times while it started ({error}), "
                        "perhaps for want of memory; use fewer workers, and run the same command "
                        "again"
                    ) from error

    def _spawn(self) -> None:
        with self._lock:
            if self._closed:
                raise CancelledError
            mine, its = self._context.Pipe()
            with its:  # its end is closed here, so that its death is the end of the pipe
                process = self._context.Process(target=_serve, args=(its, self._pulse))
                process.start()
            self._running = process, mine

    def _called(self, function: Callable[[], Result]) -> Result:
        asked = pickle.dumps(function)
        with self._lock:
            if self._closed or self._running is None:
                raise CancelledError
            process, pipe = self._running
            self._pulse.value = 0  # it has not begun
        try:
            pipe.send_bytes(asked)
            del asked  # which may hold all features, as long as the work takes
            self._await(process, pipe)
            answer = pipe.recv_bytes()
        except BaseException as error:  # what it says after this belongs to no call
            code = self._stop()
            if self._closed:
                raise CancelledError from error  # it did not fail, it was stopped
            ended = isinstance(error, EOFError | OSError) and not isinstance(error, TimeoutError)
            if ended and code is not None:
                raise ProcessDied(code) from error
            raise
        result, raised = pickle.loads(answer)
        if raised is not None:
            raise raised
        return cast(Result, result)

    def _await(self, process: SpawnProcess, pipe: Connection) -> None:
        """Wait for an answer, or the end, of a process that gets on; its start counts apart."""
        timeout = None if self._limits is None else self._limits.timeout
        last, since = 0, time.monotonic()
        while not wait([pipe, process.sentinel], min(1.0, (timeout or 4.0) / 4)):
            beat, now = self._pulse.value, time.monotonic()
            if not process.is_alive():  # and what it started keeps the pipe open
                break
            if beat != last:
                last, since = beat, now
            elif timeout and now - since > (timeout if last else STARTUP + timeout):
                raise TimeoutError
        if not pipe.poll():
            raise EOFError

    def _stop(self) -> int | None:
        """Exit code of what was running."""
        with self._lock:
            if self._running is None:
                return None
            (process, _), self._running = self._running, None
            process.kill()
            process.join()
            for _ in range(1000):  # another thread may be about to note it
                if process.exitcode is not None:
                    return process.exitcode
                time.sleep(0.001)
            return -signal.SIGTERM  # nobody ever will: the system was told to forget children


def _close(child: weakref.ref[Child]) -> None:
    if (found := child()) is not None:
        found.close()


# ---- inside of it ----

_pulse: Any = None


def alive() -> None:
    """Say that this process gets on; elsewhere than in a `Child` it says nothing."""
    if _pulse is not None:
        _pulse.value += 1


def _serve(pipe: Connection, pulse: Any) -> None:
    """Answer one call after the other, until the other end is closed."""
    global _pulse
    _pulse = pulse
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _answer(asked: bytes) -> bytes:
    """Result of a function and what it raised, one of them None."""
    try:
        function = pickle.loads(asked)
        del asked  # or it would be held twice
        return pickle.dumps((function(), None))
    except Exception as error:
        try:
            told = "".join(traceback.format_exception(error))
            pickle.loads(pickle.dumps(error))  # some can be sent, and not be read
        except Exception:
            told = "".join(traceback.format_tb(error.__traceback__))
            error = RuntimeError(_in_words(error))
        error.add_note(f"It was raised in another process:\n{told}")
        return pickle.dumps((None, error))


def _in_words(error: Exception) -> str:
    with suppress(Exception):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


def _begin(limits: Limits | None, start: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
    """Start-up of a process: one thread, libraries loaded, memory limited."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))  # for libraries that are loaded later
    if limits is not None and limits.nice and hasattr(os, "nice"):
        os.nice(limits.nice)
    if start is not None:
        start(*args)
    import threadpoolctl

    threadpoolctl.threadpool_limits(limits=1)
    if limits is not None:
        _limit_memory(limits.memory)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            parent.join()
        os._exit(1)


def _limit_memory(most: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        used = 0
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = used + most
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


# ---- several ----


class Pool(Generic[Kind]):
    """Threads with a child each; a context manager, which ends all of them at once when it is left.

    Parameters
    ----------
    workers : int >= 1, optional
        By default one a core. They start when there is something to do.
    make : callable
        Makes the child of a thread.
    """

    def __init__(self, workers: int | None, make: Callable[[], Kind]) -> None:
        self.workers = workers or cores()
        self._make = make
        self._mine = threading.local()
        self._children: list[Kind] = []
        self._lock = threading.Lock()
        self._leaving = False
        self._threads = ThreadPoolExecutor(self.workers, "child", initializer=_leave_interrupts)

    def submit(
        self, work: Callable[Concatenate[Kind, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Future[Result]:
        """Have a thread call a function with its child and the arguments."""
        return self._threads.submit(lambda: work(self._child(), *args, **kwargs))

    def _child(self) -> Kind:
        if not hasattr(self._mine, "child"):
            with self._lock:
                if self._leaving:
                    raise CancelledError
                self._mine.child = self._make()
                self._children.append(self._mine.child)
        child: Kind = self._mine.child
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything at once."""
        with self._lock:
            self._leaving = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.close()
        self._threads.shutdown(wait=True)


def mapped(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Generator[Result]:
    """Give the result of each item, in order.

    Close the generator (`contextlib.closing`) where its end may not be reached: what has not been
    started is then left.

    Parameters
    ----------
    work : callable
        With more than one process it has to be importable by name.
    items : iterable
    workers : int >= 1
        Processes; with 1 everything is done in this one.
    """
    if workers == 1:
        yield from map(work, items)
        return
    with Pool(workers, Child) as pool:
        for future in [pool.submit(Child.call, work, item) for item in items]:
            yield future.result()


def _leave_interrupts() -> None:
    """Ctrl-C is for the main thread; processes started from this thread ignore it, too."""
    if hasattr(signal, "pthread_sigmask"):
        # The first lock starts a process that unblocks signals in the thread that needed it.
        multiprocessing.get_context("spawn").Lock()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many small objects without being stopped: none of them is garbage."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
