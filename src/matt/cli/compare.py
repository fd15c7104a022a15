"""``matt compare``: many models on the same tracks, ranked."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError
from .console import Output, clock, command
from .report import Files, Link, Rounds, Seed, TracksOf, compare_runs
from .sources import (
    UNHEARD,
    Extraction,
    Reading,
    Source,
    check_learnable,
    default_store,
    exit_if_failed,
    extract_features,
    failure_rows,
    lost_files,
    open_source,
    source_features,
    tell_failures,
    tell_list,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..features.spec import FeatureSpec
    from ..features.store import FeatureStore
    from ..processes import Progress
    from .console import Bars

_SOON = 60.0  # seconds: nobody has to know of a time that is off by less
Jobs = Annotated[int, Option(help="Cells at once, a process each.", min=1)]


@command
def compare(
    output: Output,
    paths: Annotated[
        list[Path],
        Argument(
            metavar="PATHS",
            help="Run folders and files of predictions, on the same test tracks. With --grid: a "
            "folder of tagged music, the TOML of a table, or tracks.parquet.",
            show_default=False,
        ),
    ],
    grid: Annotated[
        Path | None, Option(help="Settings with a section \\[grid]: every combination is fitted.")
    ] = None,
    out: Annotated[
        Path | None, Option(help="Folder to write: of the grid, or for a report.")
    ] = None,
    baseline: Annotated[
        str | None,
        Option(help="Of runs: the one that others are compared with; by default the first."),
    ] = None,
    unit: Annotated[
        str, Option(help="Of runs: track_of_bag (track by track), bag or track.")
    ] = "track_of_bag",
    controls: Annotated[
        bool,
        Option(help="Rank controls, too: those of runs; of a grid SVM, boosted trees and such."),
    ] = True,
    tracks: TracksOf = None,
    link: Link = None,
    rounds: Rounds = 1_000,
    seed: Seed = 0,
    override: Annotated[
        list[str] | None,
        Option("--set", help="Change one setting of all cells, e.g. --set training.epochs=9"),
    ] = None,
    repeats: Annotated[int, Option(help="Artist-disjoint splits, or foldings.", min=1)] = 5,
    folds: Annotated[
        int, Option(help="Each repeat is a cross-validation of so many folds; 0: none.")
    ] = 0,
    imbalance: Annotated[
        float, Option(help="Cut training to a tail of 1 to so many; 1: leave it.", min=1)
    ] = 1.0,
    keep: Annotated[
        list[str] | None, Option(help="Cut training tracks of a genre, e.g. --keep Hip-Hop=40.")
    ] = None,
    jobs: Jobs = 1,
    test: Annotated[
        bool, Option("--test", help="Show scores of test, too. They rank nothing.")
    ] = False,
    *,
    reading: Reading,
    how: Extraction,
) -> None:
    """Rank runs that are there by their test split; or, with --grid, models by validation.

    Runs stand beside the first, or --baseline, with paired intervals over artists. A grid fits
    every cell on every split, each beside its control; interrupted, the same command goes on, and
    more repeats add to those that are there. Example: [bold]matt compare runs/mine runs/other
    [/bold], or [bold]matt compare tracks.toml --grid grid.toml --out runs/grid[/bold]
    """
    if grid is None:
        given = {"--set": override, "--store": how.store, "--test": test, "--jobs": jobs > 1}
        alien = [name for name, value in given.items() if value]
        if alien:
            raise ConfigError(f"{alien[0]} is of grids; name a grid file with --grid")
        if len(paths) < 2:
            raise ConfigError(
                "name what is to be compared: two runs or more, or a grid file with --grid"
            )
        compare_runs(
            paths,
            output,
            Files(tracks, link),
            baseline=baseline,
            controls=controls,
            unit=unit,
            rounds=rounds,
            seed=seed,
            out=out,
            reading=reading,
        )
        return
    if out is None:
        raise ConfigError("a grid needs a folder for its results; name one with --out")
    if len(paths) != 1:
        raise ConfigError(f"a grid is run on one source, got {len(paths)}; name one")
    compare_grid(
        paths[0],
        grid,
        out,
        output,
        overrides=override or [],
        protocol={
            "repeats": repeats,
            "folds": folds,
            "imbalance": imbalance,
            "keep": dict(map(_genre_and_number, keep or [])),
        },
        jobs=jobs,
        test=test,
        controls=controls,
        reading=reading,
        how=how,
    )


def _genre_and_number(text: str) -> tuple[str, int]:
    """Read ``GENRE=N``; a name of a genre may hold ``=`` itself."""
    genre, equals, number = text.rpartition("=")
    if not equals or not genre or not number.isdecimal():
        raise ConfigError(f"--keep {text!r} is no genre and number; write it as Hip-Hop=40")
    return genre, int(number)


def compare_grid(
    source: Path,
    grid: Path,
    out: Path,
    output: Output,
    *,
    overrides: Sequence[str],
    protocol: Mapping[str, Any],
    jobs: int,
    test: bool,
    controls: bool,
    reading: Reading,
    how: Extraction,
) -> None:
    """Run a grid and print its table; exit with the code for partial work where cells failed."""
    from ..comparison import check_rows
    from ..grid.setups import read_grid
    from ..grid.study import KIND, RepeatedSplits, compare
    from ..models.extra import check_extra
    from ..runs import check_free

    check_free(out, kind=KIND)
    splits = RepeatedSplits(**protocol)
    read = read_grid(grid, overrides)
    check_extra("'matt compare --grid'")
    found = open_source(source, output, reading)
    check_learnable(found)
    own = found.features
    shapes = {name: (own.spec if own else spec).shape for name, spec in read.specs.items()}
    check_rows(read.rows, shapes)
    features, failures, silent = _features(found, read.specs, output, how)
    tell_failures(failures, output)
    tell_failures(silent, output, what=UNHEARD)
    with output.progress() as bars:
        study = compare(
            found.tracks,
            features,
            read,
            out,
            protocol=splits,
            jobs=jobs,
            test=test,
            controls=controls,
            notes=found.notes,
            progress=watching(output, bars, jobs),
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
            "silent": failure_rows(silent),
        }
    )
    exit_if_failed(len(study.failures) + len(failures))


def _features(
    found: Source, specs: Mapping[str, FeatureSpec], output: Output, how: Extraction
) -> tuple[dict[str, FeatureStore], list[Any], list[Any]]:
    """Features that cells ask for, by digest, the files that were lost, and those not heard."""
    from ..features.store import FeatureStore

    if len(specs) == 1:
        ((digest, spec),) = specs.items()
        store, report, _ = source_features(found, spec, output, how)
        silent = report.silent if report else ()
        return {digest: store}, lost_files(found, report), list(silent)
    tracks = found.tracks.take(found.tracks.path != "")
    if found.features is not None or not len(tracks):
        raise ConfigError(
            f"cells differ in their features, but {found.path} brings its own; leave out the keys "
            "features.* of the grid"
        )
    if how.store is not None:
        raise ConfigError(
            f"--store names one place, but the grid has {len(specs)} kinds of features; leave it "
            "out, and set MATT_CACHE for another place of all"
        )
    places = {spec: default_store(found.path, spec) for spec in specs.values()}
    reports = extract_features(tracks, places, output, how)
    lost = {str(f.path): f for report in reports.values() for f in lost_files(found, report)}
    stores = {digest: FeatureStore.open(places[spec]) for digest, spec in specs.items()}
    unheard = {f.path: f for report in reports.values() for f in report.silent}
    return stores, list(lost.values()), list(unheard.values())


def watching(output: Output, bars: Bars, jobs: int) -> Callable[[Progress], None]:
    """Somebody to tell of cells: what is there already, how long the rest takes, then a bar.

    How long is said again where finished cells show that it was far off.
    """
    name, end = "fitting cells", math.nan  # when all was said to be done

    def tell(progress: Progress) -> None:
        nonlocal end
        if name not in bars and progress.kept:
            output.note(f"{progress.kept:,} of {progress.total:,} cells are there already")
        open_cells, left = progress.total - progress.done - progress.failed, progress.left
        if open_cells and left is not None:
            now = time.monotonic() + left
            if not abs(now - end) <= max(_SOON, left / 2):  # of NaN, too: nothing was said yet
                end = now
                cells = f"{open_cells:,} cell{'s' * (open_cells > 1)} to go"
                at_once = f", {jobs} at once" if jobs > 1 else ""
                output.note(f"{cells}{at_once}: about {clock(left)}")
        bars.follow(name, progress, progress.last)

    return tell
