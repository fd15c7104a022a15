"""A process that computes one file after the other, seen from outside.

It loads its libraries once. When it crashes, hangs or asks for too much memory it is replaced, and
the file that it was at has failed; no other file has.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

import pebble

from ..errors import MattError
from .worker import Extractor, Outcome, extract_file, guarded, prepare

if TYPE_CHECKING:
    from .spec import FeatureSpec

STARTUP = 300.0  # seconds; compiling librosa's loops takes half a minute where nothing is cached


class Child:
    """A process that computes one file at a time, with limits, and is replaced when it dies.

    Parameters
    ----------
    spec : FeatureSpec
    timeout : float
        Seconds for one file.
    memory_limit : int
        Bytes that the process may use beyond what its libraries take.
    extractor : callable
        ``extractor(path, spec, salvage) -> Outcome``; by default `extract_file`. It must be
        importable by name.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        timeout: float,
        memory_limit: int,
        extractor: Extractor = extract_file,
    ) -> None:
        self.spec, self.timeout, self.memory_limit = spec, timeout, memory_limit
        self.extractor = extractor
        self._lock = threading.Lock()
        self._closed = False
        self._pool: pebble.ProcessPool | None = None
        self._future: Future[Any] | None = None

    def run(self, path: str, *, salvage: bool) -> Outcome:
        """Compute one file; whatever happens to the process, there is an outcome.

        Raises
        ------
        CancelledError
            If the child was closed meanwhile.
        MattError
            If no process can be started.
        """
        for _ in range(2):
            if self._pool is None:
                self._start()
            try:
                outcome: Outcome = self._call(
                    guarded, self.extractor, path, self.spec, salvage, self.memory_limit
                )
                return outcome
            except pebble.ProcessExpired as error:
                return Outcome(None, f"the decoder crashed ({_exit(error.exitcode)})")
            except TimeoutError:
                return Outcome(None, f"took longer than {self.timeout:g} s")
            except RuntimeError:  # it died before it said what it was at, or died while answering
                self._stop()
        return Outcome(None, "the decoder crashed")

    def close(self) -> None:
        """End the process at once; a file that it is at has no outcome. May be called again."""
        with self._lock:
            self._closed = True
        self._stop()
        if self._future is not None:
            self._future.cancel()

    def _start(self) -> None:
        arguments = json.dumps(self.spec.to_json()), self.memory_limit
        self._pool = pebble.ProcessPool(
            max_workers=1,
            initializer=prepare,
            initargs=(*arguments, self.extractor is extract_file),
            context=multiprocessing.get_context("spawn"),
        )
        try:
            self._call(os.getpid)
        except (RuntimeError, TimeoutError, pebble.ProcessExpired) as error:
            self._stop()
            raise MattError(
                "the process that computes features cannot be started; in a script, call extract "
                "under `if __name__ == '__main__':`"
            ) from error

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        with self._lock:
            if self._closed or self._pool is None:
                raise CancelledError
            future = self._pool.schedule(function, args=args, timeout=self.timeout)
            self._future = future
        try:
            # The pool's own timeout counts from when the process is ready; this one is a net.
            return future.result(timeout=STARTUP + self.timeout)
        except CancelledError:
            raise
        except Exception as error:
            if self._closed:
                raise CancelledError from error  # it did not fail, it was stopped
            if not future.done():
                self._stop()
            raise

    def _stop(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()


def _exit(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
