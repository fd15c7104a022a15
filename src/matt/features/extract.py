"""Extraction: from files to a feature store, in a run that may be interrupted at any time.

A run finishes the plan that an earlier one left open, draws up a plan of what is missing, writes
it, and extracts it block by block. A block is one task: `extract_block` runs its files in a child
process and writes it whole. Threads share the tasks, or any executor of `concurrent.futures`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from ..errors import ConfigError, DataError, MattError
from ..tracks import Tracks
from .blocks import create
from .child import MEMORY_LIMIT, TIMEOUT
from .crew import Crew
from .plan import Plan, draw_up, plan_numbers
from .report import Problem, Progress, Report, Written, report
from .spec import FeatureSpec
from .task import extract_block
from .worker import Extractor, extract_file

__all__ = ["Problem", "Progress", "Report", "Written", "extract", "extract_block"]


def extract(
    tracks: Tracks,
    spec: FeatureSpec,
    store: Path | str,
    *,
    workers: int | None = None,
    timeout: float = TIMEOUT,
    memory_limit: int = MEMORY_LIMIT,
    salvage: bool = False,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    extractor: Extractor = extract_file,
    executor: Executor | None = None,
) -> Report:
    """Extract what a store lacks of some tracks; a bad file costs itself only.

    Interrupt it at any time: the next run repeats only the blocks in flight, and the store ends in
    the same bytes as if nothing had happened. In a script, call it under
    ``if __name__ == "__main__":``, as it starts processes.

    Parameters
    ----------
    tracks : Tracks
        With paths.
    spec : FeatureSpec
    store : path
        A store of this spec, or an empty folder, or one to be made.
    workers : int >= 1, optional
        Processes; by default one a core.
    timeout : float
        Seconds without a finished segment, after which a file fails. What comes before the first
        segment counts, too: ``"middle"`` decodes up to it. The length of a file does not matter.
    memory_limit : int
        Bytes for one file and what is computed from it.
    salvage : bool
        Whether a file with damage in its middle keeps what decodes; else it fails. A file that
        only ends early always keeps what there is. Both count as partial. Files that failed
        without it are tried again.
    retry_failed : bool
        Whether to try failed files again although they have not changed.
    progress : callable, optional
        Told after every file and block (with an executor: after every block), in the caller's
        thread.
    extractor : callable
        Computes one file in a child process: see `matt.features.child.Child`.
    executor : concurrent.futures.Executor, optional
        Runs `extract_block` once a block, instead of ``workers`` threads; it may run it in other
        processes, or on other machines that see the same files. It is left open.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the folder holds features of another spec or other files, is damaged, or cannot be
        written.
    ConfigError
        If the spec is not computed from audio, or ``workers`` is below 1.
    """
    if spec.segments is None:
        raise ConfigError(
            f"feature {spec.name!r} is not computed from audio; give its values to "
            "FeatureStore.from_arrays"
        )
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}; leave it out for all cores")
    tell = progress or _ignore

    def looking(done: int, total: int) -> None:
        tell(Progress("looking", done, total))

    try:
        store = create(store, spec)
        with Crew(
            workers,
            executor,
            {"timeout": timeout, "memory_limit": memory_limit, "extractor": extractor},
        ) as crew:
            for number in plan_numbers(store):
                crew.run(store, Plan.load(store, number), tell)
            plan = draw_up(
                tracks, spec, store, salvage=salvage, retry_failed=retry_failed, progress=looking
            )
            if plan is not None:
                plan.save(store)
                crew.run(store, plan, tell)
    except OSError as error:
        if isinstance(error, MattError) or error.errno is None:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DataError(
            f"{store} cannot be written ({error.strerror}); "
            f"{'free some space' if full else 'check the folder'} and run the same command again: "
            "what is finished is kept"
        ) from error
    return report(tracks, store, crew.written)


def _ignore(progress: Progress) -> None:
    """Nobody wants to know."""
