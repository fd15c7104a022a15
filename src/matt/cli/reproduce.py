"""``matt reproduce``: the paper's tables and figures, ours beside theirs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Output, Quiet, outcome
from .grid import Watcher
from .sources import exit_if_failed, tell_list

if TYPE_CHECKING:
    from ..reproduce.run import Forecast

TableNumber = Annotated[
    list[int] | None, typer.Option("--table", help="Table 1 or 2 of the paper.", min=1, max=2)
]
FigureNumber = Annotated[
    list[int] | None, typer.Option("--figure", help="Figure 1 or 4 of the paper.")
]


def reproduce(
    out: Annotated[Path, typer.Option(help="Folder to write; finished cells in it are kept.")],
    data: Annotated[
        str,
        typer.Option(
            help="Folder of an indexed FMA, or: simulated, fma-small-46, fma-mfcc.",
        ),
    ] = "simulated",
    table: TableNumber = None,
    figure: FigureNumber = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="What each fault changes, alone and added up.")
    ] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="Each claim of the paper, answered with a number.")
    ] = False,
    degradation: Annotated[
        bool, typer.Option("--degradation", help="Bags that lack tracks, tags or truth.")
    ] = False,
    case_study: Annotated[
        bool, typer.Option("--case-study", help="Tracks without their album.")
    ] = False,
    recipes: Annotated[
        bool, typer.Option("--recipes", help="Ways to train, on fma-small-46 and fma-mfcc.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that can be made of the data.")
    ] = False,
    protocol: Annotated[
        str, typer.Option(help="corrected, paper, or released: which faults are switched on.")
    ] = "corrected",
    imbalance: Annotated[
        float | None,
        typer.Option(help="Cut training to a tail of 1 to so many, by whole bags.", min=1),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Cross-validation of so many folds a seed; 0: the given split.")
    ] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(help="Trainings, or splits where none is given; 5 by default.", min=1),
    ] = None,
    seed: Annotated[int, typer.Option(help="The first of them.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Cells at once, a process each.", min=1)] = 1,
    n_tracks: Annotated[
        int | None, typer.Option(help="Simulated tracks; 25,000 by default.")
    ] = None,
    n_logmels: Annotated[
        int | None, typer.Option(help="Of them with simulated log-mels; 2,000 at most.", min=50)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="At most so many epochs of a network.", min=1)
    ] = None,
    crnn_epochs: Annotated[
        int | None, typer.Option(help="At most so many epochs of a CRNN.", min=1)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the paper's tables and figures, with controls, seeds and intervals, beside its own.

    Interrupted, the same command goes on; more seeds add to those that are there. Example:
    [bold]matt reproduce --table 1 --data simulated --seeds 3 --out runs/paper[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..errors import ConfigError
        from ..reproduce.plan import Request
        from ..reproduce.run import reproduce as make
        from ..reproduce.sources import open_data

        wanted = [f"table {number}" for number in table or ()]
        wanted += [f"figure {number}" for number in figure or ()]
        wanted += ["faults"] * faults + ["claims"] * claims + ["degradation"] * degradation
        wanted += ["case study"] * case_study + ["recipes"] * recipes
        if not wanted and not everything:
            raise ConfigError(
                "name what to make: --table 1, --figure 4, --faults, --claims, ..., or --all"
            )
        found = open_data(
            data, seed=seed, imbalance=imbalance, n_tracks=n_tracks, n_logmels=n_logmels
        )
        for note in found.notes:
            output.note(note)
        with output.progress() as bars:
            done = make(
                found,
                [] if everything else wanted,
                out,
                request=Request(protocol=protocol, epochs=epochs, crnn_epochs=crnn_epochs),
                seeds=seeds or found.usual_seeds,
                folds=folds,
                seed=seed,
                n_jobs=jobs,
                told=lambda forecast: _tell(forecast, jobs, output),
                progress=Watcher(output, bars, jobs),
            )
        for name, reason in done.skipped.items():
            output.note(f"left out {name}: {reason}")
        tell_list(list(done.failures), output, "cells failed; tables are partial")
        output.tables([made for some in done.made.values() for made in some.tables.values()])
        output.note(f"folder: {done.run.path / protocol}")
        output.document(done.to_json())
        exit_if_failed(len(done.failures))


def _tell(forecast: Forecast, jobs: int, output: Output) -> None:
    from .bars import clock

    left = forecast.cells - forecast.kept
    if left:
        at_once = f", {jobs} at once" if jobs > 1 else ""
        output.note(f"{left:,} cells to fit{at_once}: about {clock(forecast.seconds)}")
