"""The commands ``report`` and ``score``, and ``compare`` of runs that are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .console import Output, command
from .sources import Reading, exit_if_failed, open_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..reports.subjects import LeftOut, Subject
    from ..tracks import Tracks

TracksOf = Annotated[
    Path | None,
    Option(
        "--tracks",
        help="Tracks of CSV predictions: folder, TOML of a table, tracks.parquet, run, FMA folder.",
        show_default=False,
    ),
]
Link = Annotated[
    str | None,
    Option(
        help="What a CSV holds: softmax or sigmoid probabilities, or none. By default softmax, or "
        "none where it names genres alone.",
        show_default=False,
    ),
]
Rounds = Annotated[int, Option(min=0, help="Resamples of the artists for intervals; 0 for none.")]
Seed = Annotated[int, Option(min=0, help="Of the resamples.")]
Cost = Annotated[
    Path | None,
    Option(
        help="TOML of what answers cost: a section a true genre, a line an answer, e.g. Rock = 3. "
        "What is unnamed costs 1, the right answer nothing.",
        show_default=False,
    ),
]
Grouped = Annotated[str, Option(help="What a bag is: album, track or a column.")]


@dataclass(frozen=True)
class Files:
    """Options of files of predictions: what they are of, what they hold, what is scored of them."""

    tracks: TracksOf = None
    link: Link = None
    by: Grouped = "album"
    split: Annotated[
        str | None, Option(help="Score this split, or all; by default test.", show_default=False)
    ] = None


@command
def report(
    output: Output,
    paths: Annotated[
        list[Path],
        Argument(
            metavar="RUNS",
            help="Run folders of 'matt train', and files of predictions.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, Option(help="Folder to write.", show_default=False)],
    baseline: Annotated[
        str | None,
        Option(help="Name of the run that others are compared with; by default the first."),
    ] = None,
    title: Annotated[str, Option(help="Of the page.")] = "",
    *,
    files: Files,
    rounds: Rounds = 1_000,
    seed: Seed = 0,
    reading: Reading,
) -> None:
    """Write one page of one run or several: tables, curves, mistakes, albums, data, settings.

    The HTML holds everything, opens offline and runs no script; Markdown, CSV, JSON and pictures
    lie beside it. Example: [bold]matt report runs/mine runs/other --out report[/bold]
    """
    from ..reports.page import check_out, make_report, write

    check_out(out)
    subjects, left_out = opened(paths, output, files, reading)
    made = make_report(subjects, left_out, title=title, baseline=baseline, rounds=rounds, seed=seed)
    write(made, out)
    for problem in made.problems:
        output.warn(problem)
    if made.comparison is not None:
        output.tables([made.comparison.ranking, made.comparison.differences])
    output.say(f"report: {out / 'report.html'}")
    output.document({"report": str(out / "report.html"), **made.to_json()})
    exit_if_failed(len(made.problems))


def compare_runs(
    paths: Sequence[Path],
    output: Output,
    files: Files,
    *,
    baseline: str | None,
    controls: bool,
    unit: str,
    rounds: int,
    seed: int,
    out: Path | None,
    reading: Reading,
) -> None:
    """Rank runs and files of predictions that are there, on their test tracks."""
    from ..reports.page import check_out, compare_subjects, make_report, write

    if out is not None:
        check_out(out)
    subjects, left_out = opened(paths, output, files, reading)
    settings: dict[str, Any] = {"baseline": baseline, "rounds": rounds, "seed": seed}
    made = compare_subjects(subjects, controls=controls, unit=unit, **settings)
    partial = {subject.name: subject.remark for subject in subjects if subject.remark}
    for lost in left_out:
        output.warn(f"{lost.path} is left out: {lost.reason}")
    for name, remark in partial.items():
        output.warn(f"{name}: {remark}")
    output.tables([made.ranking, *([made.differences] if made.differences.rows else [])])
    if out is not None:
        write(make_report(subjects, left_out, **settings), out)
        output.note(f"report: {out / 'report.html'}")
    output.document(
        {
            "baseline": made.baseline,
            "unit": made.standings[0].scores.unit,
            "ranking": made.ranking.to_json(),
            "differences": made.differences.to_json(),
            "partial": partial,
            "left_out": [{"path": str(lost.path), "reason": lost.reason} for lost in left_out],
        }
    )
    exit_if_failed(len(left_out) + len(partial))


def opened(
    paths: Sequence[Path], output: Output, files: Files, reading: Reading
) -> tuple[list[Subject], list[LeftOut]]:
    """Runs and files, with the tracks of the files."""
    from ..reports.subjects import open_subjects

    tracks = None if files.tracks is None else open_tracks(files.tracks, output, reading)
    return open_subjects(paths, tracks, link=files.link, by=files.by, split=files.split)


@command
def score(
    output: Output,
    predictions: Annotated[
        Path, Argument(help="CSV with track_id and a column a genre.", show_default=False)
    ],
    *,
    files: Files,
    out: Annotated[
        Path | None, Option(help="Folder for a report: HTML, Markdown, CSV, pictures.")
    ] = None,
    rounds: Rounds = 1_000,
    seed: Seed = 0,
    cost: Cost = None,
    reading: Reading,
) -> None:
    """Score the predictions of any system, per track and averaged over the bag, with intervals.

    Example: [bold]matt score theirs.csv --tracks tracks.toml --out report[/bold]
    """
    from ..calibration.costs import read_costs
    from ..reports.page import check_out, make_report, write

    if out is not None:
        check_out(out)
    (subject,), _ = opened([predictions], output, files, reading)
    if cost is not None:
        subject = replace(subject, costs=read_costs(cost, subject.main.genres))
    tables = subject.tables(rounds=rounds, seed=seed)
    output.tables(tables.values())
    for note in subject.notes:
        output.warn(note)
    if out is not None:
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


def open_tracks(path: Path, output: Output, reading: Reading | None = None) -> Tracks:
    """Tracks of a run folder, an indexed FMA folder, or anything that `open_source` takes."""
    if (path / "run.json").exists():
        from ..runs import Run

        return Run.open(path).tracks()
    if (path / "fma_metadata").is_dir() or path.name == "fma_metadata":
        from ..datasets import fma

        return fma.load_tracks(path)
    return open_source(path, output, reading, files=False).tracks
