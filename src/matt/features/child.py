"""A process that computes one file after the other, seen from outside.

It loads its libraries once. When it crashes, hangs or asks for too much memory it is replaced, and
the file that it was at has failed; no other file has.

The process touches a file at every segment that it has computed. So a file may take as long as it
is long, and a process that hangs is still found after the limit, whatever length a file claims.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pebble

from ..errors import MattError
from .limits import DEFAULT, Limits
from .worker import Outcome, extract_file, guarded, prepare

if TYPE_CHECKING:
    from .spec import FeatureSpec

STARTUP = 300.0  # seconds; compiling librosa's loops takes half a minute where nothing is cached


class Child:
    """A process that computes one file at a time, with limits, and is replaced when it dies.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        What it gets ready for.
    limits : Limits
    """

    def __init__(self, specs: Sequence[FeatureSpec], limits: Limits = DEFAULT) -> None:
        self.specs, self.limits = tuple(specs), limits
        handle, name = tempfile.mkstemp(prefix="matt-")
        os.close(handle)
        self._pulse = Path(name)
        # A process that was itself started by multiprocessing waits for its children when it ends.
        Finalize(None, partial(_close, weakref.ref(self)), exitpriority=1)
        self._lock = threading.Lock()
        self._closed = False
        self._pool: pebble.ProcessPool | None = None
        self._future: Future[Any] | None = None

    def run(self, path: str, specs: Sequence[FeatureSpec], *, salvage: bool) -> list[Outcome]:
        """Compute one file; whatever happens to the process, there is an outcome for each spec.

        A process that crashed may have been killed by somebody else, say by a system that ran out
        of memory, so the file gets a second one.

        Raises
        ------
        CancelledError
            If the child was closed meanwhile.
        MattError
            If no process can be started.
        """
        limits, crash = self.limits, "the decoder crashed"
        for _ in range(2):
            if self._pool is None:
                self._start()
            try:
                outcomes: list[Outcome] = self._call(
                    guarded,
                    limits.extractor,
                    path,
                    tuple(specs),
                    salvage,
                    limits.memory,
                    str(self._pulse),
                )
                return outcomes
            except pebble.ProcessExpired as error:
                crash = f"the decoder crashed ({_exit(error.exitcode)})"
            except TimeoutError:
                crash = f"no segment was finished within {limits.timeout:g} s"
                break
            except RuntimeError:  # it died before it said what it was at, or died while answering
                self._stop()
        return [Outcome(None, f"{crash}; restore the file or leave it out")] * len(specs)

    def close(self) -> None:
        """End the process at once; a file that it is at has no outcome. May be called again."""
        with self._lock:
            self._closed = True
        self._stop()
        if self._future is not None:
            self._future.cancel()
        self._pulse.unlink(missing_ok=True)

    def __del__(self) -> None:
        if hasattr(self, "_pulse"):
            self.close()

    def _start(self) -> None:
        limits = self.limits
        specs_json = json.dumps([spec.to_json() for spec in self.specs])
        self._pool = pebble.ProcessPool(
            max_workers=1,
            initializer=prepare,
            initargs=(specs_json, limits.memory, limits.nice, limits.extractor is extract_file),
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
            self._pulse.touch()
            os.utime(self._pulse, ns=(0, 0))  # the process has not begun
            future = self._pool.schedule(function, args=args)
            self._future = future
        try:
            return self._awaited(future)
        except CancelledError:
            raise
        except Exception as error:
            if self._closed:
                raise CancelledError from error  # it did not fail, it was stopped
            if not future.done():
                self._stop()
            raise

    def _awaited(self, future: Future[Any]) -> Any:
        """Result of the process, as long as it gets on; its start counts apart."""
        last, since = 0, time.monotonic()
        while True:
            try:
                return future.result(timeout=min(1.0, self.limits.timeout / 4))
            except TimeoutError:
                if future.done():
                    return future.result()
            beat, now = self._pulse.stat().st_mtime_ns, time.monotonic()
            if beat != last:
                last, since = beat, now
            elif now - since > (self.limits.timeout if last else STARTUP + self.limits.timeout):
                raise TimeoutError

    def _stop(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()


def _exit(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _close(child: weakref.ref[Child]) -> None:
    if (found := child()) is not None:
        found.close()
