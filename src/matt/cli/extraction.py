"""Extraction as commands need it: options, who does it, and how it is shown."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..evaluation.tables import plain
from .bars import clock
from .console import Output, add_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rich.progress import TaskID

    from ..features.extract import Report
    from ..features.spec import FeatureSpec
    from ..processes import Progress
    from ..tracks import Tracks
    from .bars import Bars

Store = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Where features are kept; by default in the user's cache ($MATT_CACHE)."
    ),
]
Salvage = Annotated[bool, typer.Option("--salvage", help="Use what decodes of damaged files.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Try files again that failed before.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes that decode; by default one a core.", min=1)
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Decode on the workers of a Dask scheduler, e.g. tcp://10.0.0.1:8786.",
        show_default=False,
    ),
]

_WORTH_A_WORD = 10**8  # bytes to be written
_LINE_EVERY = 60.0  # seconds from line to line where nobody looks at a terminal


def extract_features(
    tracks: Tracks,
    stores: Mapping[FeatureSpec, Path],
    output: Output,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    **options: Any,
) -> dict[FeatureSpec, Report]:
    """Extract what is missing, and show how it goes."""
    from ..features.extract import extract_all

    with (
        hands(workers, scheduler, stores.values(), tracks) as workforce,
        watched(output, stores) as progress,
    ):
        return extract_all(tracks, stores, progress=progress, **options, **workforce)


@contextmanager
def hands(
    workers: int | None, scheduler: str | None, stores: Iterable[Path], tracks: Tracks
) -> Iterator[dict[str, Any]]:
    """Who extracts, as options of `matt.features.extract.extract_all`: processes or a cluster."""
    if scheduler is None:
        yield {"workers": workers}
        return
    from ..errors import ConfigError
    from ..features.cluster import connected

    if workers is not None:
        raise ConfigError(
            "--workers counts processes of this machine, but --scheduler has the blocks done by "
            "its workers' threads; leave one of them out"
        )
    with connected(scheduler, list(stores), tracks.path.tolist()) as executor:
        yield {"executor": executor}


@contextmanager
def watched(output: Output, specs: Iterable[FeatureSpec]) -> Iterator[Callable[[Progress], None]]:
    """Somebody to tell of progress: bars on a terminal, else a line a minute."""
    names = ", ".join(spec.kind for spec in specs)
    with output.progress() as bars:
        yield _Watcher(output, bars, names)


class _Watcher:
    """Files are compared with the store, then features are computed: a bar for each."""

    def __init__(self, output: Output, bars: Bars, names: str) -> None:
        self._output, self._bars = output, bars
        self._names = {"looking": "comparing", "extracting": f"extracting {names}"}
        self._shown: dict[str, TaskID] = {}
        self._next_line = time.monotonic() + _LINE_EVERY

    def __call__(self, progress: Progress) -> None:
        name = self._names[progress.stage]
        if progress.stage not in self._shown:
            self._shown[progress.stage] = add_bar(self._bars, name)
            if progress.n_bytes > _WORTH_A_WORD:
                self._output.note(f"about {progress.n_bytes / 1e9:.3g} GB will be written")
        detail = _detail(progress)
        if progress.last_failure:
            self._bars.footer = f"failed last: {plain(progress.last_failure)}"
        self._bars.update(
            self._shown[progress.stage],
            completed=progress.done,
            total=progress.total,
            detail=detail,
            left=progress.left,
        )
        if self._bars.disable and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY
            left = "" if progress.left is None else f", about {clock(progress.left)} left"
            counts = f"{progress.done:,} of {progress.total:,}"
            self._output.note(f"{name}: {counts}{detail and ', ' + detail}{left}")


def _detail(progress: Progress) -> str:
    """Failures and rate, as far as there are any."""
    failed = f"{progress.failed:,} failed" if progress.failed else ""
    rate = "" if progress.rate is None else f"{progress.rate:.3g} a second"
    return ", ".join(filter(None, [failed, rate]))


def extraction_counts(report: Report) -> dict[str, int]:
    """What an extraction did, in numbers."""
    names = ("total", "extracted", "reused", "unchanged", "failed", "deleted", "undetectable")
    return {**{name: getattr(report, name) for name in names}, "partial": len(report.partial)}
