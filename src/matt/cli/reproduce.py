"""``matt reproduce``, the paper's tables and figures beside ours, and ``matt demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from ..errors import ConfigError
from .compare import Jobs, watching
from .console import Output, command
from .sources import Workers, exit_if_failed, tell_list

TableNumber = Annotated[
    list[int] | None, Option("--table", help="Table 1 or 2 of the paper.", min=1, max=2)
]
FigureNumber = Annotated[list[int] | None, Option("--figure", help="Figure 1 or 4 of the paper.")]


@command
def reproduce(
    output: Output,
    out: Annotated[Path, Option(help="Folder to write; finished cells in it are kept.")],
    data: Annotated[
        str,
        Option(
            help="Folder of an indexed FMA, the TOML of a table, or: simulated, fma-mfcc (inside "
            "the package), fma-small-46 (files of yours)."
        ),
    ] = "simulated",
    features: Annotated[
        str,
        Option(
            help="musicnn: in place of the paper's features, beyond the paper; of a folder of FMA "
            "in which they were extracted.",
            show_default="the paper's",
        ),
    ] = "",
    table: TableNumber = None,
    figure: FigureNumber = None,
    faults: Annotated[
        bool, Option("--faults", help="What each fault changes, alone and added up.")
    ] = False,
    claims: Annotated[
        bool, Option("--claims", help="Each claim of the paper, answered with a number.")
    ] = False,
    degradation: Annotated[
        bool, Option("--degradation", help="Bags that lack tracks, tags or truth.")
    ] = False,
    case_study: Annotated[bool, Option("--case-study", help="Tracks without their album.")] = False,
    recipes: Annotated[
        bool, Option("--recipes", help="Ways to train, on fma-small-46 and fma-mfcc.")
    ] = False,
    everything: Annotated[
        bool, Option("--all", help="Everything that can be made of the data.")
    ] = False,
    protocol: Annotated[
        str, Option(help="corrected, paper, or released: which faults are switched on.")
    ] = "corrected",
    imbalance: Annotated[
        float | None, Option(help="Cut training to a tail of 1 to so many, by whole bags.", min=1)
    ] = None,
    folds: Annotated[
        int, Option(help="Cross-validation of so many folds a seed; 0: the given split.")
    ] = 0,
    seeds: Annotated[
        int | None, Option(help="Trainings, or splits where none is given; 5 by default.", min=1)
    ] = None,
    seed: Annotated[int, Option(help="The first of them.", min=0)] = 0,
    jobs: Jobs = 1,
    n_tracks: Annotated[int | None, Option(help="Simulated tracks; 25,000 by default.")] = None,
    n_logmels: Annotated[
        int | None, Option(help="Of them with simulated log-mels; 2,000 at most.", min=50)
    ] = None,
    epochs: Annotated[
        int | None, Option(help="At most so many epochs of a network.", min=1)
    ] = None,
    crnn_epochs: Annotated[
        int | None, Option(help="At most so many epochs of a CRNN.", min=1)
    ] = None,
    crnn_scores: Annotated[
        bool,
        Option(
            help="CRNNs with eq. (1) as it may be read, too, or with the score of the release only."
        ),
    ] = True,
) -> None:
    """Make the paper's tables and figures, with controls, seeds and intervals, beside its own.

    Interrupted, the same command goes on; more seeds add to those that are there. Example:
    [bold]matt reproduce --table 1 --data simulated --seeds 3 --out runs/paper[/bold]
    """
    from ..models.extra import check_extra
    from ..reproduce.data import open_data
    from ..reproduce.plan import Request
    from ..reproduce.run import reproduce as make

    wanted = [f"table {number}" for number in table or ()]
    wanted += [f"figure {number}" for number in figure or ()]
    wanted += ["faults"] * faults + ["claims"] * claims + ["degradation"] * degradation
    wanted += ["case study"] * case_study + ["recipes"] * recipes
    if not wanted and not everything:
        raise ConfigError(
            "name what to make: --table 1, --figure 4, --faults, --claims, ..., or --all"
        )
    check_extra("'matt reproduce'")
    found = open_data(
        data,
        seed=seed,
        imbalance=imbalance,
        n_tracks=n_tracks,
        n_logmels=n_logmels,
        features=features,
    )
    for note in found.notes:
        output.note(note)
    with output.progress() as bars:
        done = make(
            found,
            [] if everything else wanted,
            out,
            request=Request(
                protocol=protocol,
                epochs=epochs,
                crnn_epochs=crnn_epochs,
                crnn_scores=crnn_scores,
            ),
            seeds=seeds or found.usual_seeds,
            folds=folds,
            seed=seed,
            n_jobs=jobs,
            progress=watching(output, bars, jobs),
        )
    for name, reason in done.skipped.items():
        output.note(f"left out {name}: {reason}")
    tell_list(list(done.failures), output, "cells failed; tables are partial")
    output.tables([made for some in done.made.values() for made in some.tables.values()])
    output.note(f"folder: {done.run.path / protocol}")
    output.document(done.to_json())
    exit_if_failed(len(done.failures))


@command
def demo(
    output: Output,
    out: Annotated[Path, Option(help="Run folder to write.")] = Path("matt-demo"),
    seed: Annotated[int, Option(help="Of splits, training and the synthetic library.")] = 0,
    tracks: Annotated[
        int, Option(help="Size of the synthetic library (46 or more).", min=46)
    ] = 400,
    splits: Annotated[int, Option(help="Artist-disjoint splits.", min=1)] = 5,
    workers: Workers = None,
) -> None:
    """Show what matt does: on real features, then from (synthetic) audio files to genres.

    Takes some minutes; a second run uses the audio and the features again.
    Example: [bold]matt demo --out runs/demo[/bold]
    """
    from ..demo import run_demo
    from ..models.extra import check_extra

    check_extra("'matt demo'")
    with output.progress() as bars:

        def show(step: str, done: int, total: int, detail: str) -> None:
            if step not in bars:
                output.note(f"{step} ...")
            bars.show(step, done, total, detail)

        result = run_demo(
            out, seed=seed, n_splits=splits, n_tracks=tracks, workers=workers, progress=show
        )
    output.tables(result.shown)
    seconds = ", ".join(f"{step} {time:.0f} s" for step, time in result.seconds.items())
    output.say(f"Time: {seconds}.")
    output.say(f"Report: {result.run.report}")
    output.document(
        {
            "run": str(result.run.path),
            "tables": {name: table.to_json() for name, table in result.tables.items()},
            "albums": result.albums,
            "seconds": {step: round(time, 1) for step, time in result.seconds.items()},
        }
    )
