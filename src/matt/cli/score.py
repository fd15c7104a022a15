"""The command ``score``: anyone's predictions in the tables of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Output, Quiet, outcome
from .sources import open_source

if TYPE_CHECKING:
    from ..tracks import Tracks

TracksOf = Annotated[
    Path | None,
    typer.Option(
        "--tracks",
        help="Tracks of CSV predictions: folder, TOML of a table, tracks.parquet, run, FMA folder.",
        show_default=False,
    ),
]
Link = Annotated[
    str | None,
    typer.Option(
        help="What a CSV holds: softmax or sigmoid probabilities, or none. By default softmax, or "
        "none where it names genres alone.",
        show_default=False,
    ),
]
Rounds = Annotated[
    int, typer.Option(min=0, help="Resamples of the artists for intervals; 0 for none.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the resamples.")]
Grouped = Annotated[str, typer.Option(help="What a bag is: album, track or a column.")]
Split = Annotated[
    str | None,
    typer.Option(help="Score this split, or all; by default test.", show_default=False),
]


def score(
    predictions: Annotated[
        Path,
        typer.Argument(help="CSV with track_id and a column a genre.", show_default=False),
    ],
    tracks: TracksOf = None,
    link: Link = None,
    by: Grouped = "album",
    split: Split = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a report: HTML, Markdown, CSV, pictures.")
    ] = None,
    rounds: Rounds = 1_000,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score the predictions of any system, per track and averaged over the bag, with intervals.

    Example: [bold]matt score theirs.csv --tracks tracks.toml --out report[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..reports.page import check_out, write
        from ..reports.subjects import open_subjects

        if out is not None:
            check_out(out)
        known = None if tracks is None else open_tracks(tracks, output)
        (subject,), _ = open_subjects([predictions], known, link=link, by=by, split=split)
        tables = subject.tables(rounds=rounds, seed=seed)
        output.tables(tables.values())
        for note in subject.notes:
            output.warn(note)
        if out is not None:
            from ..reports.page import make_report

            write(make_report([subject], rounds=rounds, seed=seed), out)
            output.note(f"report: {out / 'report.html'}")
        main = subject.main
        output.document(
            {
                "predictions": str(predictions),
                "link": main.link,
                "genres": list(main.genres),
                "tracks": len(main.tracks),
                "partial": subject.remark or None,
                "notes": list(subject.notes),
                "report": None if out is None else str(out / "report.html"),
                "scores": {name: table.to_json() for name, table in tables.items()},
            }
        )


def open_tracks(path: Path, output: Output) -> Tracks:
    """Tracks of a run folder, an indexed FMA folder, or anything that `open_source` takes."""
    if (path / "run.json").exists():
        from ..runs import Run

        return Run.open(path).tracks()
    if (path / "fma_metadata").is_dir() or path.name == "fma_metadata":
        from ..datasets import fma

        return fma.load_tracks(path)
    return open_source(path, output).tracks
