"""The command ``describe``: the long tail, bags, purity and what is missing, of any tracks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Output, Quiet, outcome
from .sources import SourcePath, open_source

if TYPE_CHECKING:
    from ..tracks import Tracks

Pictures = Annotated[
    Path | None, typer.Option(help="Folder for tables, JSON and pictures.", show_default=False)
]
Tail = Annotated[
    int | None,
    typer.Option(
        help="A genre with fewer training tracks is rare; by default 100, or the rarest third.",
        min=1,
    ),
]


def describe(
    source: SourcePath,
    out: Pictures = None,
    tail: Tail = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the long tail, sizes and purity of bags, and what is missing.

    Example: [bold]matt describe tracks.toml --out pictures[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        show_description(open_source(source, output).tracks, out, tail, output)


def show_description(tracks: Tracks, out: Path | None, tail: int | None, output: Output) -> None:
    """Print the tables, and write them with their pictures where a folder is named."""
    from ..datasets.describe import describe as describe_tracks
    from ..evaluation import distribution

    description = describe_tracks(tracks)
    tables = distribution.tables(description, fewer_than=tail)
    written = distribution.write(description, out, fewer_than=tail) if out else []
    output.tables(tables.values())
    for path in written:
        output.say(f"Written: {path}")
    output.document(
        {
            **description.to_json(),
            "tables": {name: table.to_json() for name, table in tables.items()},
            "files": [str(path) for path in written],
        }
    )
