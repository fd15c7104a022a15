"""``matt fma``: the Free Music Archive data set, from its archives to what can be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import catalogue
from .console import Json, Output, Quiet, add_bar, outcome
from .sources import exit_if_failed, failure_rows, tell_failures

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import TaskID

    from ..datasets.fma import Index
    from .bars import Bars

app = typer.Typer(
    name="fma",
    help="The Free Music Archive data set: fetch, verify, index, check, describe, export.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Root = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="Folder that holds fma_metadata, fma_medium and so on.",
        show_default=False,
    ),
]


@app.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ARCHIVE",
            help="metadata (342 MiB), small (7.2 GiB), medium (22 GiB), large (93 GiB), "
            "full (879 GiB).",
        ),
    ] = "metadata",
    to: Annotated[Path, typer.Option(help="Folder for the archive and what it holds.")] = Path(
        "fma"
    ),
    url: Annotated[
        str, typer.Option(help="Mirror: the folder of the archives, or an address ending in .zip.")
    ] = "",
    sha1: Annotated[
        str, typer.Option(help="Sum to expect, if a mirror packed the files anew.")
    ] = "",
    unpack: Annotated[bool, typer.Option(help="Unpack the archive.")] = True,
    keep: Annotated[bool, typer.Option(help="Keep the archive after unpacking.")] = True,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download one of FMA's archives, check its sum, unpack it.

    Interrupted or cut off, the same command goes on where it stopped.
    Example: [bold]matt fma fetch metadata --to data/fma[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..datasets import fma

        with output.progress() as bars:
            done = fma.fetch(
                name,
                to,
                url=url,
                sha1=sha1,
                unpacking=unpack,
                keep=keep,
                progress=_mebibytes(bars),
            )
        if done.folder is None:
            output.say(f"Archive: {done.archive}")
        else:
            files = done.unpacked
            told = f", {files.written:,} files written, {files.skipped:,} there" if files else ""
            output.say(f"Folder: {done.folder}{told}")
        output.document(
            {
                "archive": str(done.archive) if done.archive else None,
                "folder": str(done.folder) if done.folder else None,
                "downloaded": done.downloaded,
                "written": done.unpacked.written if done.unpacked else 0,
                "skipped": done.unpacked.skipped if done.unpacked else 0,
            }
        )


@app.command()
def verify(
    directory: Root,
    workers: Annotated[
        int | None, typer.Option(help="Files read at once; by default one a core.", min=1)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare every file with the sums that came with it, and archives with the published ones.

    Exits with 3 if a file is missing or differs. Example: [bold]matt fma verify data/fma[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..datasets import fma
        from ..datasets.fma.checking import listed_folders

        with output.progress() as bars:
            bar = add_bar(bars, "verifying")
            verdicts = fma.verify(
                directory,
                workers=workers,
                progress=lambda done, total: bars.update(bar, completed=done, total=total),
            )
        bad = [verdict for verdict in verdicts if verdict.verdict != "ok"]
        counts = {"files": len(verdicts), "ok": len(verdicts) - len(bad)}
        for kind in ("differs", "missing", "unreadable"):
            counts[kind] = sum(verdict.verdict == kind for verdict in bad)
        same = fma.exact_duplicates(directory) if listed_folders(directory) else ()
        output.say("Files: " + ", ".join(f"{n:,} {what}" for what, n in counts.items()))
        output.say(f"Equal byte for byte: {sum(map(len, same)):,} clips in {len(same):,} groups")
        tell_failures(bad, output, what="are not as published")
        output.document({"counts": counts, "failures": failure_rows(bad), "equal": same})
        exit_if_failed(len(bad))


@app.command()
def index(
    directory: Root,
    force: Annotated[bool, typer.Option("--force", help="Even if nothing has changed.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read FMA's tables once, so that tracks and features load in a moment.

    Reads tracks.csv and genres.csv, and features.csv and echonest.csv where they are; writes
    DIR/matt-index. Example: [bold]matt fma index data/fma[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..datasets import fma
        from ..evaluation.tables import Column, Table

        with output.progress() as bars:
            bar = add_bar(bars, "reading tables")
            made = fma.index(
                directory,
                force=force,
                progress=lambda step, done, total: bars.update(
                    bar, completed=done, total=total, detail=step
                ),
            )
        # The ids of a simulated FMA are nobody's, so no fault is known of them.
        everything = fma.load_tracks(made.root, "full", columns=())
        faults = () if made.simulated else fma.count_faults(everything)
        counts = Table(
            _title("Tracks", made),
            (Column("what"), Column("n", "int")),
            tuple(made.counts.items()),
        )
        numbers = ("n", "training", "validation", "test")
        known = Table(
            "Clips with known faults, by split",
            (Column("kind"), *(Column(name, "int") for name in numbers), Column("by default")),
            tuple((f.kind, f.n, *f.by_split, "left out" if f.left_out else "kept") for f in faults),
        )
        output.tables([counts, known] if faults else [counts])
        for note in made.notes:
            output.warn(note)
        output.note(f"{'written' if made.fresh else 'unchanged'}: {made.path}")
        output.document(
            {
                "index": str(made.path),
                "written": made.fresh,
                "simulated": made.simulated,
                "counts": made.counts,
                "unmatched": made.unmatched,
                "faults": [
                    {"kind": f.kind, "left_out": f.left_out, "track_ids": list(f.track_ids)}
                    for f in faults
                ],
            }
        )


@app.command()
def check(directory: Root, json: Json = False, quiet: Quiet = False) -> None:
    """Compare the indexed tables with the known counts of FMA.

    Exits with 3 if a count differs: all lines were made, but not all are right.
    Example: [bold]matt fma check data/fma[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from ..datasets import fma
        from ..evaluation.tables import Column, Table

        made = fma.open_index(directory)
        lines = fma.check(made.root)
        table = Table(
            _title("Known counts of FMA", made),
            tuple(Column(name) for name in ("what", "expected", "found", "verdict")),
            tuple((line.what, line.expected, line.found, line.verdict) for line in lines),
        )
        output.tables([table])
        wrong = [line for line in lines if not line.ok]
        output.say(f"{len(lines) - len(wrong)} of {len(lines)} counts are as expected.")
        output.document(
            {
                "simulated": made.simulated,
                "lines": [line.to_json() for line in lines],
                "differ": len(wrong),
            }
        )
        exit_if_failed(len(wrong))


app.command()(catalogue.describe)
app.command()(catalogue.export)
app.command()(catalogue.simulate)


def _title(text: str, made: Index) -> str:
    return f"{text} (a simulated FMA)" if made.simulated else text


def _mebibytes(bars: Bars) -> Callable[[str, int, int], None]:
    """A progress callback with one bar a step."""
    shown: dict[str, TaskID] = {}

    def show(step: str, done: int, total: int) -> None:
        if step not in shown:
            shown[step] = add_bar(bars, step)
        bars.update(shown[step], completed=done >> 20, total=(total >> 20) or None, detail="MiB")

    return show
