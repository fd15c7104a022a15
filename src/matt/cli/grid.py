"""Running a grid from the command line: features once, cells with a bar, the ranked table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.tables import plain
from .bars import clock
from .console import Output, add_bar
from .extraction import extract_features
from .sources import (
    Source,
    default_store,
    exit_if_failed,
    failure_rows,
    lost_files,
    open_source,
    source_features,
    tell_failures,
    tell_list,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ..features.spec import FeatureSpec
    from ..features.store import FeatureStore
    from ..processes import Progress
    from .bars import Bars


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line said of a grid."""

    overrides: Sequence[str]
    protocol: Mapping[str, Any]
    jobs: int
    test: bool
    store: Path | None
    extraction: Mapping[str, Any]


def compare_grid(source: Path, grid: Path, out: Path, options: Options, output: Output) -> None:
    """Run a grid and print its table; exit with the code for partial work where cells failed."""
    from ..grid.setups import read_grid
    from ..grid.study import RepeatedSplits, check_out, compare

    check_out(out)
    protocol = RepeatedSplits(**options.protocol)
    read = read_grid(grid, options.overrides)
    found = open_source(source, output)
    features, failures = _features(found, read.specs, options, output)
    tell_failures(failures, output)
    with output.progress() as bars:
        study = compare(
            found.tracks,
            features,
            read,
            out,
            protocol=protocol,
            jobs=options.jobs,
            test=options.test,
            notes=found.notes,
            progress=Watcher(output, bars, options.jobs),
            file=str(grid),
            lost=failure_rows(failures),
        )
    told = [f"{failure.cell.name}: {failure.reason}" for failure in study.failures]
    tell_list(told, output, "cells failed")
    output.tables([study.ranking])
    output.note(f"folder: {study.run.path}; picture: {study.run.plot('ranking')}")
    output.document(
        {
            "run": str(study.run.path),
            "status": study.run.manifest["status"],
            "ranking": study.ranking.to_json(),
            "cells": study.cells.to_json(),
            "failures": study.run.manifest["failures"],
            "lost": failure_rows(failures),
        }
    )
    exit_if_failed(len(study.failures) + len(failures))


def _features(
    found: Source, specs: Mapping[str, FeatureSpec], options: Options, output: Output
) -> tuple[dict[str, FeatureStore], list[Any]]:
    """Features that cells ask for, by digest, and the files that were lost."""
    from ..errors import ConfigError
    from ..features.store import FeatureStore

    if len(specs) == 1:
        ((digest, spec),) = specs.items()
        store, report, _ = source_features(found, spec, options.store, output, **options.extraction)
        return {digest: store}, lost_files(found, report)
    tracks = found.tracks.take(found.tracks.path != "")
    if found.features is not None or not len(tracks):
        raise ConfigError(
            f"cells differ in their features, but {found.path} brings its own; leave out the keys "
            "features.* of the grid"
        )
    if options.store is not None:
        raise ConfigError(
            f"--store names one place, but the grid has {len(specs)} kinds of features; leave it "
            "out, and set MATT_CACHE for another place of all"
        )
    places = {spec: default_store(found.path, spec) for spec in specs.values()}
    reports = extract_features(tracks, places, output, **options.extraction)
    lost = {str(f.path): f for report in reports.values() for f in lost_files(found, report)}
    stores = {digest: FeatureStore.open(places[spec]) for digest, spec in specs.items()}
    return stores, list(lost.values())


class Watcher:
    """A bar of cells; before it, what is there already and how long the rest takes."""

    def __init__(self, output: Output, bars: Bars, jobs: int) -> None:
        self._output, self._bars, self._jobs = output, bars, jobs
        self._bar: TaskID | None = None
        self._said = False

    def __call__(self, progress: Progress) -> None:
        """Show how far an engine is."""
        if self._bar is None:
            self._bar = add_bar(self._bars, "fitting cells", progress.total)
            if progress.kept:
                kept = f"{progress.kept:,} of {progress.total:,} cells are there already"
                self._output.note(kept)
        open_cells = progress.total - progress.done - progress.failed
        if not self._said and progress.left is not None and open_cells:
            self._said = True
            cells = f"{open_cells:,} cell{'s' * (open_cells > 1)} to go"
            at_once = f", {self._jobs} at once" if self._jobs > 1 else ""
            self._output.note(f"{cells}{at_once}: about {clock(progress.left)}")
        failed = f"{progress.failed:,} failed" if progress.failed else ""
        if progress.last_failure:
            self._bars.footer = f"failed last: {plain(progress.last_failure)}"
        self._bars.update(
            self._bar,
            completed=progress.done + progress.failed,
            detail=", ".join(filter(None, [failed, plain(progress.last)])),
            left=progress.left,
        )
