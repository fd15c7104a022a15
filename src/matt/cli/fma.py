"""``matt fma``: the Free Music Archive data set, from its archives to what can be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ..evaluation.tables import Column, Table
from .audit import Pictures, Tail, show_description
from .console import Output, command
from .sources import exit_if_failed, failure_rows, tell_failures, tell_list

if TYPE_CHECKING:
    from ..datasets.fma import Index

app = typer.Typer(
    name="fma",
    help="The Free Music Archive data set: fetch, verify, index, check, describe, export.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Root = Annotated[
    Path,
    Argument(
        metavar="DIR",
        help="Folder that holds fma_metadata, fma_medium and so on.",
        show_default=False,
    ),
]

Directory = Annotated[Path, Argument(help="Folder that holds fma_metadata.", show_default=False)]
Subset = Annotated[str, Option(help="small, medium, large or full.")]


@app.command()
@command
def fetch(
    output: Output,
    name: Annotated[
        str,
        Argument(
            metavar="ARCHIVE",
            help="metadata (342 MiB), small (7.2 GiB), medium (22 GiB), large (93 GiB), "
            "full (879 GiB).",
        ),
    ] = "metadata",
    to: Annotated[Path, Option(help="Folder for the archive and what it holds.")] = Path("fma"),
    url: Annotated[
        str, Option(help="Mirror: the folder of the archives, or an address ending in .zip.")
    ] = "",
    sha1: Annotated[str, Option(help="Sum to expect, if a mirror packed the files anew.")] = "",
    unpack: Annotated[bool, Option(help="Unpack the archive.")] = True,
    keep: Annotated[bool, Option(help="Keep the archive after unpacking.")] = True,
) -> None:
    """Download one of FMA's archives, check its sum, unpack it.

    Interrupted or cut off, the same command goes on where it stopped.
    Example: [bold]matt fma fetch metadata --to data/fma[/bold]
    """
    from ..datasets import fma

    with output.progress() as bars:
        done = fma.fetch(
            name,
            to,
            url=url,
            sha1=sha1,
            unpacking=unpack,
            keep=keep,
            progress=lambda step, done, total: bars.show(
                step, done >> 20, (total >> 20) or None, "MiB"
            ),
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
@command
def verify(
    output: Output,
    directory: Root,
    workers: Annotated[
        int | None, Option(help="Files read at once; by default one a core.", min=1)
    ] = None,
) -> None:
    """Compare every file with the sums that came with it, and archives with the published ones.

    Exits with 3 if a file is missing or differs. Example: [bold]matt fma verify data/fma[/bold]
    """
    from ..datasets import fma
    from ..datasets.fma.checking import listed_folders

    with output.progress() as bars:
        verdicts = fma.verify(directory, workers=workers, progress=bars.counting("verifying"))
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
@command
def index(
    output: Output,
    directory: Root,
    force: Annotated[bool, Option("--force", help="Even if nothing has changed.")] = False,
) -> None:
    """Read FMA's tables once, so that tracks and features load in a moment.

    Reads tracks.csv and genres.csv, and features.csv and echonest.csv where they are; writes
    DIR/matt-index. Example: [bold]matt fma index data/fma[/bold]
    """
    from ..datasets import fma

    with output.progress() as bars:
        show = bars.counting("reading tables")
        made = fma.index(
            directory, force=force, progress=lambda step, done, total: show(done, total, step)
        )
    # The ids of a simulated FMA are nobody's, so no fault is known of them.
    everything = fma.load_tracks(made.root, "full", columns=())
    faults = () if made.simulated else fma.count_faults(everything)
    counts = Table(
        _title("Tracks", made), (Column("what"), Column("n", "int")), tuple(made.counts.items())
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
@command
def check(output: Output, directory: Root) -> None:
    """Compare the indexed tables with the known counts of FMA.

    Exits with 3 if a count differs: all lines were made, but not all are right.
    Example: [bold]matt fma check data/fma[/bold]
    """
    from ..datasets import fma

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


@app.command()
@command
def describe(
    output: Output,
    directory: Directory,
    subset: Subset = "medium",
    out: Pictures = None,
    tail: Tail = None,
) -> None:
    """Show the long tail, sizes and purity of bags, and what is missing.

    Needs the index ([bold]matt fma index[/bold]).
    Example: [bold]matt fma describe data/fma --out pictures[/bold]
    """
    from ..datasets import fma

    show_description(fma.load_tracks(directory, subset), out, tail, output)


@app.command()
@command
def export(
    output: Output,
    directory: Directory,
    to: Annotated[Path, Option("--to", help="Folder to write.", show_default=False)],
    subset: Subset = "medium",
    by_genre: Annotated[
        bool, Option("--by-genre", help="Also a folder of audio for each genre.")
    ] = False,
    copy: Annotated[bool, Option("--copy", help="Copies of the audio, not links.")] = False,
    audio: Annotated[
        Path | None, Option(help="Folder of the clips, if elsewhere.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Write one tidy row a track as CSV and Parquet, and folders of genres.

    Nothing that is there is written over. Needs the index ([bold]matt fma index[/bold]).
    Example: [bold]matt fma export data/fma --to genres --by-genre[/bold]
    """
    from ..datasets import fma
    from ..datasets.export import export_by_genre

    tracks = fma.load_tracks(directory, subset, audio=audio)
    how = ("copy" if copy else "link") if by_genre else "none"
    with output.progress() as bars:
        done = export_by_genre(
            tracks, to, audio=how, dry_run=dry_run, progress=bars.counting("files")
        )
    would = "Would write" if dry_run else "Written"
    output.say(f"{would}: {', '.join(str(table) for table in done.tables)}")
    if by_genre:
        kind = "copies" if copy else "links"
        output.say(
            f"{would}: {len(done.entries)} {kind} in {len(done.folders)} folders of genres; "
            f"{len(done.present)} were there already"
        )
    for entries, what in ((done.missing, "are missing"), (done.taken, "found their place taken")):
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


@app.command()
@command
def simulate(
    output: Output,
    directory: Annotated[Path, Argument(help="New folder to write.", show_default=False)],
    tracks: Annotated[int, Option(help="50 to 106574; up to 25000 all are in medium.")] = 25_000,
    seed: Annotated[int, Option(help="Of everything that is drawn.", min=0)] = 0,
    features: Annotated[str, Option(help="Of which tracks: all, medium or none.")] = "all",
    digits: Annotated[
        int, Option(help="Digits after the point in features.csv.", min=1, max=9)
    ] = 9,
    audio: Annotated[
        bool, Option("--audio", help="Also clips: about a second of work each.")
    ] = False,
    seconds: Annotated[float, Option(help="Length of a clip.", min=0.5)] = 30.0,
) -> None:
    """Write a simulated FMA, to test and to time with: nothing in it is real.

    Example: [bold]matt fma simulate data/simulated --tracks 2000[/bold]
    """
    from ..datasets.fma.simulate import write_tree
    from ..files import read_json

    with output.progress() as bars:
        marker = write_tree(
            directory,
            n_tracks=tracks,
            seed=seed,
            features=features,
            digits=digits,
            audio=audio,
            seconds=seconds,
            progress=bars.show,
        )
    content = read_json(marker)
    output.say(f"Simulated FMA of {tracks:,} tracks: {directory}")
    output.say(f"How it was made: {marker}")
    output.document({"marker": str(marker), **content})


def _title(text: str, made: Index) -> str:
    return f"{text} (a simulated FMA)" if made.simulated else text
