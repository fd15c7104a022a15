"""The engine: runs cells, here or in several processes, and knows which are finished.

What a cell does is up to the work: any function of a module, of what all cells share and of the
cell, that returns predictions by name. So one engine serves a grid and the tables of a paper.
Finished cells are on disk, a folder each, whole or not there::

    OUT/cells/DIGEST/cell.json              what it is, what decided it, versions, seconds
    OUT/cells/DIGEST/predictions/*.parquet  what the work returned
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..comparison import Cell
from ..errors import DataError, MattError
from ..files import read_json, write_json
from ..predictions import Predictions
from ..processes import CannotStart, Child, Estimate, Pool, ProcessDied, Progress
from ..provenance import versions

_SCHEMA = "matt.cell/1"
_A_DAY = 86_400  # seconds: what is younger may still be written
_UNSTARTABLE = (
    "the processes for several jobs cannot be started; in a script, call this under "
    "`if __name__ == '__main__':`, or use one job; what is your own, such as a pooling, has to be "
    "defined in a file"
)
# (what all cells share, the cell) -> predictions by name
Work = Callable[[Any, Cell], Mapping[str, Predictions]]


@dataclass(frozen=True)
class Result:
    """A finished cell.

    Attributes
    ----------
    path : Path
    seconds : float
        That the work took.
    """

    path: Path
    seconds: float

    def predictions(self, name: str) -> Predictions:
        """What the work returned under a name."""
        return Predictions.load(self.path / "predictions" / f"{name}.parquet")


def find_result(out: Path, cell: Cell) -> Result | None:
    """Result of a cell, if it is finished.

    Raises
    ------
    DataError
        If its folder is damaged.
    """
    path = out / "cells" / cell.digest
    if not path.is_dir():
        return None
    content = read_json(path / "cell.json")
    seconds = content.get("seconds") if isinstance(content, dict) else None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != _SCHEMA or not isinstance(seconds, int | float):
        raise DataError(f"{path} is damaged (no {_SCHEMA}); move it away to have it made again")
    return Result(path, float(seconds))


def save_result(
    out: Path, cell: Cell, predictions: Mapping[str, Predictions], *, seconds: float, token: str
) -> Result:
    """Write the folder of a cell under another name, then rename it.

    Parameters
    ----------
    out : Path
    cell : Cell
    predictions : mapping of str to Predictions
    seconds : float
    token : str
        Of the engine, part of the temporary name; see `remove_unfinished`.
    """
    path = out / "cells" / cell.digest
    temporary = path.with_name(f".{cell.digest}.{token}.{uuid.uuid4().hex[:8]}")
    try:
        for name, some in predictions.items():
            some.save(temporary / "predictions" / f"{name}.parquet")
        content: dict[str, Any] = {
            "schema": _SCHEMA,
            "name": cell.name,
            "facts": dict(cell.facts),
            "seconds": round(seconds, 3),
            "versions": versions(),
        }
        write_json(temporary / "cell.json", content)
        try:
            os.rename(temporary, path)
        except OSError:
            if not path.is_dir():  # else another engine has just finished the same cell
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Result(path, seconds)


def remove_unfinished(out: Path, token: str = "") -> None:
    """Remove what was begun and never finished: under a token, or a day ago and longer."""
    cells = out / "cells"
    if not cells.is_dir():
        return
    for entry in cells.glob(".*"):
        with suppress(OSError):  # somebody else was faster
            mine = bool(token) and f".{token}." in entry.name
            if mine or time.time() - entry.stat().st_mtime > _A_DAY:
                shutil.rmtree(entry, ignore_errors=True)


@dataclass(frozen=True)
class Failure:
    """A cell that could not be done, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class CellsReport:
    """What an engine did.

    Attributes
    ----------
    results : dict of str to Result
        Of every finished cell, by its digest.
    failures : tuple of Failure
    kept : int
        Cells that were finished before.
    """

    results: Mapping[str, Result]
    failures: tuple[Failure, ...]
    kept: int


def run_cells(
    cells: Sequence[Cell],
    work: Work,
    out: Path | str,
    *,
    shared: Any = None,
    jobs: int = 1,
    guess: Callable[[Cell], float | None] = lambda cell: None,
    progress: Callable[[Progress], None] | None = None,
) -> CellsReport:
    """Run every cell that is not finished, in the given order.

    A cell is known by its digest, and its folder is whole or not there; so after Ctrl-C, a crash or
    a power cut the same call goes on. A cell that fails costs itself only. Each process, this one
    too, computes with one thread.

    Parameters
    ----------
    cells : sequence of Cell
        Equal digests are run once.
    work : callable
        With several jobs it has to be importable by name.
    out : path
        Where ``cells/`` is.
    shared : object
        Given to each process once, when it starts.
    jobs : int >= 1
        Processes; with 1 everything is done in this one.
    guess : callable, optional
        Cell -> how many seconds it may take, for the time that is left; finished cells correct it.
    progress : callable, optional
        Called before the first cell and after each.

    Raises
    ------
    OSError
        If the disk is full.
    MattError
        If processes cannot be started.
    """
    out, token = Path(out), uuid.uuid4().hex[:12]
    remove_unfinished(out)
    unique = {cell.digest: cell for cell in cells}
    found = {digest: find_result(out, cell) for digest, cell in unique.items()}
    results = {digest: result for digest, result in found.items() if result is not None}
    open_cells = [cell for digest, cell in unique.items() if digest not in results]
    estimate = Estimate(jobs=jobs)
    for cell in open_cells:
        estimate.expect(cell.group, guess(cell))
    for digest, result in results.items():
        estimate.remember(unique[digest].group, result.seconds, guess(unique[digest]))
    kept, failures = len(results), list[Failure]()
    now = Progress("fitting", kept, len(unique), kept=kept, left=estimate.left)
    tell = progress or (lambda progress: None)
    tell(now)
    try:
        for cell, outcome in _outcomes(open_cells, _Hands(work, shared, out, token), jobs):
            if isinstance(outcome, Result):
                results[cell.digest] = outcome
                estimate.learn(cell.group, outcome.seconds)
            else:
                failures.append(Failure(cell, _reason(outcome)))
                now = replace(now, last_failure=f"{cell.name}: {failures[-1].reason}")
            estimate.drop(cell.group)
            now = replace(
                now, done=len(results), failed=len(failures), left=estimate.left, last=cell.name
            )
            tell(now)
    finally:
        remove_unfinished(out, token)
    return CellsReport(results, tuple(failures), kept)


@dataclass(frozen=True)
class _Hands:
    """What a process needs to do cells."""

    work: Work
    shared: Any
    out: Path
    token: str

    def do(self, cell: Cell) -> Result:
        start = time.perf_counter()
        predictions = self.work(self.shared, cell)
        seconds = time.perf_counter() - start
        return save_result(self.out, cell, predictions, seconds=seconds, token=self.token)


def _outcomes(
    cells: Sequence[Cell], hands: _Hands, jobs: int
) -> Iterator[tuple[Cell, Result | BaseException]]:
    """Yield each cell when it is done, with its result or with what it raised."""
    if jobs > 1 and len(cells) > 1:
        make = partial(Child, _start, (hands,), unstartable=_UNSTARTABLE)
        with Pool(min(jobs, len(cells)), make) as pool:
            futures = {pool.submit(Child.call, _do, cell): cell for cell in cells}
            for future in as_completed(futures):
                error = future.exception()
                if error is not None:
                    _refuse(error)
                yield futures[future], future.result() if error is None else error
        return
    import threadpoolctl

    for cell in cells:
        outcome: Result | Exception
        with threadpoolctl.threadpool_limits(limits=1):
            try:
                outcome = hands.do(cell)
            except Exception as error:
                _refuse(error)
                outcome = error
        yield cell, outcome


def _start(hands: _Hands) -> None:
    global _hands
    _hands = hands


_hands: _Hands | None = None


def _do(cell: Cell) -> Result:
    if _hands is None:
        raise MattError("this process has not been started by run_cells; call that")
    return _hands.do(cell)


def _refuse(error: BaseException) -> None:
    """Raise again what would be true of every further cell."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or isinstance(error, CannotStart):
        raise error


def _reason(error: BaseException) -> str:
    if isinstance(error, MattError):
        return str(error)
    if isinstance(error, ProcessDied):
        return (
            f"its process ended ({error}); if the machine is short of memory, use fewer jobs, "
            "and run the same command again"
        )
    return f"{type(error).__name__}: {error}"
