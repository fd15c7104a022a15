"""Extraction: from files to feature stores, in a run that may be interrupted at any time.

A run finishes the plans that an earlier one left open, draws up plans of what is missing, writes
them, and extracts them block by block. A block is one task, which is written whole. Threads with a
child process each share its files; or any executor of `concurrent.futures` runs `extract_block`.
Several features are computed from one decode, each into a store of its own.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, Self, TypedDict, Unpack

from ..errors import ConfigError, DataError, MattError, check_arguments
from ..files import lock, locks, remove_leftovers
from ..processes import Limits, Pace, Pool, Progress
from ..tracks import Tracks
from .blocks import create, read_spec, verify_blocks
from .kernels.runtime import import_runtime
from .plan import BLOCK_TRACKS, check_room, draw_up, provenance
from .report import CommittedBlock, ExtractionReport, report
from .spec import ENCODED, FeatureSpec
from .task import (
    DEFAULT,
    HASHED,
    FeatureProcess,
    SharedTask,
    Task,
    extract_block,
    hash_in,
    open_tasks,
)
from .worker import Extractor, extract_file

_AHEAD = 4096  # tasks that an executor holds at once; a thread holds two


class ExtractionOptions(TypedDict, total=False):
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
    verify : bool
        Whether to read all values that are there, and make blocks again that were damaged since.
    progress : callable
        Told of a `Progress` after every file and block (with an executor: after every block), in
        the caller's thread.
    limits : Limits
        Of the processes that decode: time, memory, priority.
    extractor : callable
        See `extract_block`.
    decoders : Decoders
        Processes that stay for the next extraction, instead of ``workers``, ``limits`` and
        ``extractor``, of an own that end with this one.
    executor : concurrent.futures.Executor
        Runs `extract_block` once a block, instead of ``workers`` threads; it may run it in other
        processes, or on other machines that see the same files. It is left open.
    """

    workers: int | None
    salvage: bool
    retry_failed: bool
    verify: bool
    progress: Callable[[Progress], None] | None
    limits: Limits
    extractor: Extractor
    decoders: Decoders | None
    executor: Executor | None


class Decoders(Pool[FeatureProcess]):
    """Threads with a decoding process each, for one extraction or many; a context manager.

    To load what computes features takes seconds, so whoever extracts a few files again and again
    keeps them. An extraction that does not come to its end closes them.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        What they get ready for when they start; other features come later.
    workers : int >= 1, optional
        By default one a core.
    limits, extractor
        As in `ExtractionOptions`.
    """

    def __init__(
        self,
        specs: Sequence[FeatureSpec],
        workers: int | None = None,
        *,
        limits: Limits = DEFAULT,
        extractor: Extractor = extract_file,
    ) -> None:
        super().__init__(workers, lambda: FeatureProcess(self.specs, limits, extractor))
        self.specs = tuple(specs)


def extract(
    tracks: Tracks, spec: FeatureSpec, store: Path | str, **options: Unpack[ExtractionOptions]
) -> ExtractionReport:
    """Extract one feature: see `extract_all`."""
    check_arguments(tracks=(tracks, Tracks), spec=(spec, FeatureSpec), store=(store, Path | str))
    return extract_all(tracks, {spec: store}, **options)[spec]


@locks()
def extract_all(
    tracks: Tracks, stores: Mapping[FeatureSpec, Path | str], **options: Unpack[ExtractionOptions]
) -> dict[FeatureSpec, ExtractionReport]:
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
        See `ExtractionOptions`.

    Returns
    -------
    dict of FeatureSpec to ExtractionReport

    Raises
    ------
    DataError
        If a folder holds features of another spec or other files, is damaged, cannot be
        written, another process is at it, or its disk cannot hold what is to come.
    ConfigError
        If a spec is not computed from audio, two name one folder, ``workers`` is below 1, or
        onnxruntime is needed and missing.
    """
    check_arguments(tracks=(tracks, Tracks), stores=(stores, Mapping))
    workers = options.get("workers")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}; leave it out for all cores")
    # Whole, because an executor's processes may have other working folders.
    places = {spec: Path(store).absolute() for spec, store in stores.items()}
    for spec in places:
        _ = spec.cut  # refuses what is not computed from audio
    if any(spec.kind in ENCODED for spec in places):
        import_runtime()  # whose absence is no fault of any file
    if len(set(places.values())) < len(places):
        raise ConfigError("two features name one folder; give each a store of its own")
    written: list[CommittedBlock] = []
    found: dict[FeatureSpec, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    try:
        for spec, place in places.items():
            lock(create(place, spec))
        if options.get("verify", False):
            found = {spec: _verified(place, spec) for spec, place in places.items()}
        _extract(tracks, places, written, options)
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
        spec: replace(
            report(tracks, place, [block for block in written if block.store == str(place)]),
            damaged=damaged,
            unchecked=unchecked,
        )
        for spec, place in places.items()
        for damaged, unchecked in [found.get(spec, ((), ()))]
    }


def _verified(place: Path, spec: FeatureSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of damaged blocks of a store, which are committed no more, and of unchecked ones."""
    damaged, unchecked = verify_blocks(place, spec)
    for name in damaged:
        (place / f"{name}.parquet").unlink()
    return tuple(damaged), unchecked


def _extract(
    tracks: Tracks,
    stores: Mapping[FeatureSpec, Path],
    written: list[CommittedBlock],
    options: ExtractionOptions,
) -> None:
    tell = options.get("progress") or (lambda progress: None)
    for place in stores.values():
        remove_leftovers(place)

    def looking(done: int, total: int) -> None:
        pace.tell(done)
        tell(Progress("looking", done, total, rate=pace.rate, left=pace.left))

    with _Crew(options, written, tuple(stores)) as crew:
        while tasks := open_tasks(stores):
            crew.run(tasks, tell)
        pace = Pace(len(tracks))
        plans = draw_up(
            tracks,
            stores,
            salvage=options.get("salvage", False),
            retry_failed=options.get("retry_failed", False),
            progress=looking,
            hashes=crew.hashes,
        )
        n_bytes = check_room((spec, stores[spec], plan) for spec, plan in plans.items())
        for spec, plan in plans.items():
            plan.save(stores[spec])
        if plans:
            crew.run(open_tasks(stores), tell, n_bytes=n_bytes)


class _File(NamedTuple):
    """A file that is done."""

    path: str
    reason: str
    work: float


_Events = SimpleQueue[_File | Future[list[CommittedBlock] | None]]


class _Crew:
    """Who extracts the blocks of plans: threads with a decoder each, or an executor.

    Threads are the default, because they tell of every file and can be stopped within a block.
    """

    def __init__(
        self,
        options: ExtractionOptions,
        written: list[CommittedBlock],
        specs: tuple[FeatureSpec, ...],
    ) -> None:
        self._how = options.get("limits", DEFAULT), options.get("extractor", extract_file)
        kept, (limits, extractor) = options.get("decoders"), self._how
        self._decoders = kept or Decoders(
            specs, options.get("workers"), limits=limits, extractor=extractor
        )
        self._kept = kept is not None
        self._executor, self._written = options.get("executor"), written
        self._running: dict[Future[list[CommittedBlock] | None], Task] = {}

    def hashes(self, paths: Sequence[str]) -> Iterator[str]:
        """Give the audio hash of each file, computed within the limits of the processes.

        They are dealt so that every process that will have something to do loads its libraries now,
        and not one after the other.
        """
        n = max(BLOCK_TRACKS[0], min(HASHED, -(-len(paths) // self._decoders.workers)))
        starts = range(0, len(paths), n)
        parts = [self._decoders.submit(hash_in, paths[at : at + n]) for at in starts]
        import_module("pyarrow.parquet")  # which the plan needs, while there is nothing else to do
        provenance()
        for part in parts:
            yield from part.result()

    def run(
        self, tasks: Sequence[Task], tell: Callable[[Progress], None], *, n_bytes: int = 0
    ) -> None:
        """Extract blocks, of which ``n_bytes`` come; the first that cannot be written ends it."""
        if not self._kept:  # those of an older plan may be fewer
            stores = {part.store for task in tasks for part in task.parts}
            self._decoders.specs = tuple(map(read_spec, stores))
        waiting = deque(tasks)
        most = 2 * self._decoders.workers if self._executor is None else _AHEAD
        events: _Events = SimpleQueue()
        files = Pace(sum(len(task.work) for task in tasks))
        audio, worked = Pace(float(sum(task.work.sum() for task in tasks))), 0.0
        now = Progress("extracting", 0, int(files.total), blocks=len(tasks), n_bytes=n_bytes)
        if tasks:
            tell(now)
        while waiting or self._running:
            while waiting and len(self._running) < most:
                self._submit(waiting.popleft(), events)
            event = events.get()
            n, work, failed = 0, 0.0, 0
            if isinstance(event, _File):
                n, work, failed = 1, event.work, int(bool(event.reason))
                if failed:
                    now = replace(now, last_failure=f"{event.path}: {event.reason}")
            else:
                task = self._running.pop(event)
                written = event.result()
                if written is None:  # others are at it
                    continue
                self._written += written
                now = replace(now, block=now.block + 1)
                if self._executor is not None:  # nobody told of its files
                    failed = len({track for part in written for track in part.failed})
                    n, work = len(task.work), float(task.work.sum())
            if n:
                worked += work
                now = replace(now, done=now.done + n, failed=now.failed + failed)
                files.tell(now.done)
                audio.tell(worked)
                now = replace(now, rate=files.rate, left=audio.left)
            tell(now)

    def _submit(self, task: Task, events: _Events) -> None:
        futures: list[Future[list[CommittedBlock] | None]]
        if self._executor is None:

            def tell(row: int, path: str, reason: str) -> None:
                events.put(_File(path, reason, float(task.work[row])))

            shared = SharedTask(task.parts, tell)
            helpers = min(self._decoders.workers, len(task.work)) - 1
            futures = [self._decoders.submit(_work, shared)]
            futures += [self._decoders.submit(_help, shared) for _ in range(helpers)]
        else:
            futures = [self._executor.submit(extract_block, task.parts, *self._how)]
        for future in futures:
            self._running[future] = task
            future.add_done_callback(events.put)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        """Leave what has not begun, and end what has; decoders that are kept stay after an end."""
        for future in self._running:
            future.cancel()
        if kind is not None or not self._kept:
            self._decoders.close()


def _work(decoder: FeatureProcess, task: SharedTask) -> list[CommittedBlock] | None:
    return task.work(decoder)


def _help(decoder: FeatureProcess, task: SharedTask) -> list[CommittedBlock] | None:
    decoder.ready()  # or a file would wait for it that another process might do meanwhile
    return task.work(decoder)
