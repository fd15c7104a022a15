"""Extraction: from files to feature stores, in a run that may be interrupted at any time.

A run finishes the plans that an earlier one left open, draws up plans of what is missing, writes
them, and extracts them block by block. A block is one task: `extract_block` runs its files in a
child process and writes it whole. Threads share the tasks, or any executor of `concurrent.futures`.
Several features are computed from one decode, each into a store of its own.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TypedDict, Unpack

from ..errors import ConfigError, DataError, MattError
from ..files import remove_leftovers
from ..tracks import Tracks
from .blocks import create
from .crew import Crew
from .limits import DEFAULT, Limits
from .pace import Pace
from .plan import check_room, draw_up
from .report import Problem, Progress, Report, Written, report
from .schedule import open_tasks
from .spec import FeatureSpec
from .task import Part, extract_block

__all__ = [
    "Part",
    "Problem",
    "Progress",
    "Report",
    "Written",
    "extract",
    "extract_all",
    "extract_block",
]


class Options(TypedDict, total=False):
    """How files are extracted; all of it may be left out.

    Attributes
    ----------
    workers : int >= 1
        Processes; by default one a core.
    salvage : bool
        Whether a file with damage in its middle keeps what decodes; else it fails. A file that
        only ends early always keeps what there is. Both count as partial. Files that failed
        without it are tried again.
    retry_failed : bool
        Whether to try failed files again although they have not changed.
    progress : callable
        Told of a `Progress` after every file and block (with an executor: after every block), in
        the caller's thread.
    limits : Limits
        Of the processes that decode: time, memory, priority.
    executor : concurrent.futures.Executor
        Runs `extract_block` once a block, instead of ``workers`` threads; it may run it in other
        processes, or on other machines that see the same files. It is left open.
    """

    workers: int | None
    salvage: bool
    retry_failed: bool
    progress: Callable[[Progress], None] | None
    limits: Limits
    executor: Executor | None


def extract(
    tracks: Tracks, spec: FeatureSpec, store: Path | str, **options: Unpack[Options]
) -> Report:
    """Extract one feature: see `extract_all`."""
    return extract_all(tracks, {spec: store}, **options)[spec]


def extract_all(
    tracks: Tracks, stores: Mapping[FeatureSpec, Path | str], **options: Unpack[Options]
) -> dict[FeatureSpec, Report]:
    """Extract what stores lack of some tracks, decoding each file once; a bad one costs itself.

    Interrupt it at any time: the next run repeats only the blocks in flight, and the stores end in
    the same bytes as if nothing had happened. In a script, call it under
    ``if __name__ == "__main__":``, as it starts processes.

    Parameters
    ----------
    tracks : Tracks
        With paths.
    stores : mapping of FeatureSpec to path
        For each feature a store of it, or an empty folder, or one to be made.
    **options
        See `Options`.

    Returns
    -------
    dict of FeatureSpec to Report

    Raises
    ------
    DataError
        If a folder holds features of another spec or other files, is damaged, cannot be
        written, or its disk cannot hold what is to come.
    ConfigError
        If a spec is not computed from audio, two name one folder, or ``workers`` is below 1.
    """
    workers = options.get("workers")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}; leave it out for all cores")
    # Whole, because an executor's processes may have other working folders.
    places = {spec: Path(store).absolute() for spec, store in stores.items()}
    for spec in places:
        _ = spec.cut  # refuses what is not computed from audio
    if len(set(places.values())) < len(places):
        raise ConfigError("two features name one folder; give each a store of its own")
    crew = Crew(workers, options.get("executor"), options.get("limits", DEFAULT))
    try:
        with crew:
            _run(tracks, places, crew, options)
    except OSError as error:
        if isinstance(error, MattError) or error.errno is None:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        where = " or ".join(map(str, places.values()))
        raise DataError(
            f"{where} cannot be written ({error.strerror}); "
            f"{'free some space' if full else 'check the folder'} and run the same command again: "
            "what is finished is kept"
        ) from error
    return {
        spec: report(tracks, place, [block for block in crew.written if block.store == str(place)])
        for spec, place in places.items()
    }


def _run(tracks: Tracks, stores: Mapping[FeatureSpec, Path], crew: Crew, options: Options) -> None:
    tell = options.get("progress") or _ignore
    for spec, place in stores.items():
        remove_leftovers(create(place, spec))
    while tasks := open_tasks(stores):
        crew.run(tasks, tell)
    pace = Pace(len(tracks))

    def looking(done: int, total: int) -> None:
        pace.tell(done, now=time.monotonic())
        tell(Progress("looking", done, total, rate=pace.rate, left=pace.left))

    plans = draw_up(
        tracks,
        stores,
        salvage=options.get("salvage", False),
        retry_failed=options.get("retry_failed", False),
        progress=looking,
    )
    n_bytes = check_room((spec, stores[spec], plan) for spec, plan in plans.items())
    for spec, plan in plans.items():
        plan.save(stores[spec])
    crew.run(open_tasks(stores), tell, n_bytes=n_bytes)


def _ignore(progress: Progress) -> None:
    """Nobody wants to know."""
