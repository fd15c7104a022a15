"""``matt compare``: many models on the same tracks, ranked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Json, Output, Quiet, outcome
from .extraction import Retry, Salvage, Scheduler, Store, Workers
from .grid import Options, compare_grid
from .report import compare_runs
from .score import Link, Rounds, Seed, TracksOf


def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATHS",
            help="Run folders and files of predictions, on the same test tracks. With --grid: a "
            "folder of tagged music, the TOML of a table, or tracks.parquet.",
            show_default=False,
        ),
    ],
    grid: Annotated[
        Path | None,
        typer.Option(help="Settings with a section \\[grid]: every combination is fitted."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write: of the grid, or for a report.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Of runs: the one that others are compared with; by default the first."),
    ] = None,
    unit: Annotated[
        str, typer.Option(help="Of runs: spread (track by track), bag or track.")
    ] = "spread",
    controls: Annotated[bool, typer.Option(help="Of runs: rank their controls, too.")] = True,
    tracks: TracksOf = None,
    link: Link = None,
    rounds: Rounds = 1_000,
    seed: Seed = 0,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one setting of all cells, e.g. --set training.epochs=9"),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Artist-disjoint splits, or foldings.", min=1)] = 5,
    folds: Annotated[
        int, typer.Option(help="Each repeat is a cross-validation of so many folds; 0: none.")
    ] = 0,
    imbalance: Annotated[
        float, typer.Option(help="Cut training to a tail of 1 to so many; 1: leave it.", min=1)
    ] = 1.0,
    jobs: Annotated[int, typer.Option(help="Cells at once, a process each.", min=1)] = 1,
    test: Annotated[
        bool, typer.Option("--test", help="Show scores of test, too. They rank nothing.")
    ] = False,
    store: Store = None,
    salvage: Salvage = False,
    retry_failed: Retry = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rank runs that are there by their test split; or, with --grid, models by validation.

    Runs stand beside the first, or --baseline, with paired intervals over artists. A grid fits
    every cell on every split, each beside its control; interrupted, the same command goes on, and
    more repeats add to those that are there. Example: [bold]matt compare runs/mine runs/other
    [/bold], or [bold]matt compare tracks.toml --grid grid.toml --out runs/grid[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..errors import ConfigError

        if grid is None:
            given = {"--set": override, "--store": store, "--test": test, "--jobs": jobs > 1}
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
                tracks=tracks,
                baseline=baseline,
                controls=controls,
                unit=unit,
                rounds=rounds,
                seed=seed,
                out=out,
                link=link,
            )
            return
        if out is None:
            raise ConfigError("a grid needs a folder for its results; name one with --out")
        if len(paths) != 1:
            raise ConfigError(f"a grid is run on one source, got {len(paths)}; name one")
        extraction = {
            "salvage": salvage,
            "retry_failed": retry_failed,
            "workers": workers,
            "scheduler": scheduler,
        }
        options = Options(
            overrides=override or [],
            protocol={"repeats": repeats, "folds": folds, "imbalance": imbalance},
            jobs=jobs,
            test=test,
            store=store,
            extraction=extraction,
        )
        compare_grid(paths[0], grid, out, options, output)
