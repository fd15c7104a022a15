"""Commands about FMA as a whole: ``matt fma describe``, ``export`` and ``simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Json, Output, Quiet, add_bar, outcome
from .describe import Pictures, Tail, show_description
from .sources import exit_if_failed, tell_list

Directory = Annotated[
    Path, typer.Argument(help="Folder that holds fma_metadata.", show_default=False)
]
Subset = Annotated[str, typer.Option(help="small, medium, large or full.")]


def describe(
    directory: Directory,
    subset: Subset = "medium",
    out: Pictures = None,
    tail: Tail = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the long tail, sizes and purity of bags, and what is missing.

    Needs the index ([bold]matt fma index[/bold]).
    Example: [bold]matt fma describe data/fma --out pictures[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..datasets import fma

        show_description(fma.load_tracks(directory, subset), out, tail, output)


def export(
    directory: Directory,
    to: Annotated[Path, typer.Option("--to", help="Folder to write.", show_default=False)],
    subset: Subset = "medium",
    by_genre: Annotated[
        bool, typer.Option("--by-genre", help="Also a folder of audio for each genre.")
    ] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copies of the audio, not links.")] = False,
    audio: Annotated[
        Path | None, typer.Option(help="Folder of the clips, if elsewhere.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one tidy row a track as CSV and Parquet, and folders of genres.

    Nothing that is there is written over. Needs the index ([bold]matt fma index[/bold]).
    Example: [bold]matt fma export data/fma --to genres --by-genre[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..datasets import fma
        from ..datasets.export import export_by_genre

        tracks = fma.load_tracks(directory, subset, audio=audio)
        how = ("copy" if copy else "link") if by_genre else "none"
        with output.progress() as bars:
            bar = add_bar(bars, "files")
            done = export_by_genre(
                tracks,
                to,
                audio=how,
                dry_run=dry_run,
                progress=lambda n, of: bars.update(bar, completed=n, total=of),
            )
        would = "Would write" if dry_run else "Written"
        output.say(f"{would}: {', '.join(str(table) for table in done.tables)}")
        if by_genre:
            kind = "copies" if copy else "links"
            output.say(
                f"{would}: {len(done.entries)} {kind} in {len(done.folders)} folders of genres; "
                f"{len(done.present)} were there already"
            )
        for entries, what in (
            (done.missing, "are missing"),
            (done.taken, "found their place taken"),
        ):
            lines = [f"{entry.source} -> {entry.target}" for entry in entries]
            tell_list(lines, output, f"audio files {what}")
        output.document(
            {
                "dry_run": dry_run,
                "tables": [str(table) for table in done.tables],
                "folders": done.folders,
                "made": len(done.entries),
                "present": len(done.present),
                "missing": [{"track_id": e.track_id, "path": str(e.source)} for e in done.missing],
                "taken": [{"track_id": e.track_id, "path": e.target} for e in done.taken],
            }
        )
        exit_if_failed(len(done.missing) + len(done.taken))


def simulate(
    directory: Annotated[Path, typer.Argument(help="New folder to write.", show_default=False)],
    tracks: Annotated[
        int, typer.Option(help="50 to 106574; up to 25000 all are in medium.")
    ] = 25_000,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.", min=0)] = 0,
    features: Annotated[str, typer.Option(help="Of which tracks: all, medium or none.")] = "all",
    digits: Annotated[
        int, typer.Option(help="Digits after the point in features.csv.", min=1, max=9)
    ] = 9,
    audio: Annotated[
        bool, typer.Option("--audio", help="Also clips: about a second of work each.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="Length of a clip.", min=0.5)] = 30.0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a simulated FMA, to test and to time with: nothing in it is real.

    Example: [bold]matt fma simulate data/simulated --tracks 2000[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..datasets.fma.simulate import write_tree
        from ..files import read_json

        with output.progress() as bars:
            shown = {}

            def show(what: str, done: int, total: int) -> None:
                if what not in shown:
                    shown[what] = add_bar(bars, what, total)
                bars.update(shown[what], completed=done, total=total)

            marker = write_tree(
                directory,
                n_tracks=tracks,
                seed=seed,
                features=features,
                digits=digits,
                audio=audio,
                seconds=seconds,
                progress=show,
            )
        content = read_json(marker)
        output.say(f"Simulated FMA of {tracks:,} tracks: {directory}")
        output.say(f"How it was made: {marker}")
        output.document({"marker": str(marker), **content})
