"""One block of a plan -> two files in the store: what an executor is given to do.

The task is named by numbers and settings, so it can be sent to another process. The files
themselves are run by a child process that the thread keeps for its next block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .blocks import FAILED, OK, PARTIAL, ROWS, read_spec, write_block
from .child import MEMORY_LIMIT, TIMEOUT, Child
from .plan import NO_FILE, Plan, stamp_of
from .report import Written
from .store import FeatureStore
from .worker import Extractor, Outcome, extract_file

if TYPE_CHECKING:
    from .spec import FeatureSpec

_mine = threading.local()  # loading the libraries takes seconds, so a child outlives its block


def extract_block(
    store: Path | str,
    plan: int,
    block: int,
    *,
    timeout: float = TIMEOUT,
    memory_limit: int = MEMORY_LIMIT,
    extractor: Extractor = extract_file,
) -> Written:
    """Extract and commit one block; what happens to a file is in its row, never an exception.

    The thread that calls it keeps a child process, which ends with the thread.

    Parameters
    ----------
    store : path
    plan, block : int
        Number of a plan that is saved in the store, and of a block of it.
    timeout, memory_limit, extractor
        As in `matt.features.extract.extract`.

    Returns
    -------
    Written

    Raises
    ------
    DataError
        If the store or its plan is damaged.
    OSError
        If the block cannot be written.
    """
    store = Path(store)
    child = _own_child(read_spec(store), timeout, memory_limit, extractor)
    return run_block(store, Plan.load(store, plan), block, child)


def _own_child(spec: FeatureSpec, timeout: float, memory_limit: int, extractor: Extractor) -> Child:
    settings = spec, timeout, memory_limit, extractor
    if getattr(_mine, "settings", None) != settings:
        _mine.child = Child(spec, timeout=timeout, memory_limit=memory_limit, extractor=extractor)
        _mine.settings = settings
    child: Child = _mine.child
    return child


def run_block(
    store: Path,
    plan: Plan,
    block: int,
    child: Child,
    *,
    tell: Callable[[bool], None] | None = None,
) -> Written:
    """Do what `extract_block` does, with a given child.

    Parameters
    ----------
    store : Path
    plan : Plan
        Saved in the store.
    block : int
    child : Child
        It may serve other blocks before and after.
    tell : callable, optional
        Told after each file whether it failed.

    Raises
    ------
    CancelledError
        If the child was closed meanwhile; nothing is written then.
    """
    spec = read_spec(store)
    rows = plan.rows(block)
    reusable = None
    if (plan.reuse[rows] >= 0).any():
        reusable = FeatureStore.open(store, before=plan.number, in_memory=0)
    values: list[Any] = [np.empty((0, *spec.shape), spec.dtype)]
    table: dict[str, list[Any]] = {name: [] for name in ROWS}
    extracted, reused, failed, undetectable = (list[int]() for _ in range(4))
    start = 0
    for row in rows:
        outcome, copied = _outcome(plan, int(row), child, reusable)
        track_id, n = int(plan.track_id[row]), 0
        if outcome.values is not None:
            n = len(outcome.values)
            values.append(outcome.values)
        (failed if n == 0 else reused if copied else extracted).append(track_id)
        if n and outcome.undetectable:
            undetectable.append(track_id)
        status = FAILED if n == 0 else PARTIAL if outcome.reason else OK
        for name, value in zip(ROWS, (track_id, start, n, status, outcome.reason), strict=True):
            table[name].append(value)
        start += n
        if tell:
            tell(n == 0)
    name = write_block(store, plan.number, block, np.concatenate(values), table)
    return Written(name, tuple(extracted), tuple(reused), tuple(failed), tuple(undetectable))


def _outcome(
    plan: Plan, row: int, child: Child, reusable: FeatureStore | None
) -> tuple[Outcome, bool]:
    """Values of one file, if it still is the file that was planned, and whether they are copied."""
    path = str(plan.path[row])
    planned = int(plan.size[row]), int(plan.mtime_ns[row])
    changed = Outcome(None, "changed since the plan was made; run the same command again")
    found = stamp_of(path)
    if found == NO_FILE:
        return Outcome(None, "file not found; restore it, or scan the folder again"), False
    if found != planned:
        return changed, False
    if reusable is not None and plan.reuse[row] >= 0:
        copied = _copied(int(plan.reuse[row]), reusable)
        if copied is not None:
            return copied, True
    outcome = child.run(path, salvage=plan.salvage)
    return (outcome if stamp_of(path) == planned else changed), False


def _copied(track_id: int, store: FeatureStore) -> Outcome | None:
    if track_id not in store:
        return None  # blocks were deleted by hand: the file is decoded
    values, _ = store.read(np.array([track_id]))
    here = store.partial["track_id"] == track_id
    return Outcome(values, str(store.partial["reason"][here][0]) if here.any() else "")
