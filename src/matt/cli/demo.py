"""``matt demo``: real data first, then the way from audio files to genres."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Output, Quiet, add_bar, outcome
from .extraction import Workers

if TYPE_CHECKING:
    from rich.progress import TaskID


def demo(
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("matt-demo"),
    seed: Annotated[int, typer.Option(help="Of splits, training and the synthetic library.")] = 0,
    tracks: Annotated[
        int, typer.Option(help="Size of the synthetic library (46 or more).", min=46)
    ] = 400,
    splits: Annotated[int, typer.Option(help="Artist-disjoint splits.", min=1)] = 5,
    workers: Workers = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what matt does: on real features, then from (synthetic) audio files to genres.

    Takes some minutes; a second run uses the audio and the features again.
    Example: [bold]matt demo --out runs/demo[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..demo import run_demo

        with output.progress() as bars:
            shown: dict[str, TaskID] = {}

            def show(step: str, done: int, total: int, detail: str) -> None:
                if step not in shown:
                    output.note(f"{step} ...")
                    shown[step] = add_bar(bars, step, total)
                bars.update(shown[step], completed=done, total=total, detail=detail)

            result = run_demo(
                out,
                seed=seed,
                n_splits=splits,
                n_tracks=tracks,
                workers=workers,
                progress=show,
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
