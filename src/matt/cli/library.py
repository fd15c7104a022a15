"""Commands for people with a music library: ``scan``, ``genres``, ``predict``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError, first_few
from ..evaluation.tables import Column, Table, percent
from .console import Output, command
from .report import Cost
from .sources import (
    SHOWN,
    Extraction,
    Folder,
    Force,
    Reading,
    exit_if_failed,
    extracting,
    failure_rows,
    from_input,
    holding_folder,
    scan_folder,
    scan_in_library,
    tell_failures,
    tell_files,
)
from .watch import watching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..datasets.folder import Scan
    from ..datasets.identity import Merge
    from ..datasets.meanings import Meaning
    from ..library.predict import AskedModel, LibraryPrediction
    from ..library.selection import Selection


@command
def scan(
    output: Output,
    folder: Folder,
    out: Annotated[
        Path | None, Option(help="Write the tracks as a Parquet table.", show_default=False)
    ] = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """Read the tags of a folder: tracks, albums, genres, and what is wrong.

    Nothing is decoded and nothing is changed. Example: [bold]matt scan ~/Music[/bold]
    """
    import numpy as np

    from ..bags import Bags
    from ..files import check_new

    if out is not None:
        check_new(out, force=force)
    found = scan_folder(folder, output, reading, names_listed=True)
    tracks = found.tracks
    bags = Bags.from_tracks(tracks, by="album")
    counts = {
        **found.counts,
        "artists": len(np.unique(tracks.artist_id[tracks.artist_id >= 0])),
        "albums and lone tracks": len(bags),
        "artists and albums under several names": len(found.merges),
    }
    albums = [int((bags.labels == g).sum()) for g in range(len(tracks.genres))]
    genres = sorted(
        zip(tracks.genres, tracks.counts.tolist(), albums, strict=True), key=lambda g: -g[1]
    )
    output.tables(
        [
            Table("Library", (Column("what"), Column("count", "int")), tuple(counts.items())),
            Table(
                "Genres",
                (Column("genre"), Column("tracks", "int"), Column("albums", "int")),
                tuple(genres),
            ),
            *([_merged(found.merges)] if found.merges else []),
        ]
    )
    for question in found.questions:
        output.warn(question)
    tell_failures(found.problems, output, what="have problems")
    if out is not None:
        tracks.save(out)
        output.note(f"tracks written to {out}")
    untagged = tracks.take(found.untagged).path
    output.document(
        {
            "counts": counts,
            "left_out": dict(found.left_out),
            "genres": [{"genre": genre, "tracks": n, "bags": b} for genre, n, b in genres],
            "untagged": [str(path) for path in untagged],
            "problems": failure_rows(found.problems),
            "merges": [asdict(merge) for merge in found.merges],
            "questions": list(found.questions),
        }
    )
    exit_if_failed(len(found.problems))


def _merged(merges: Sequence[Merge]) -> Table:
    """Names that count as one, at most twenty of artists and of albums."""
    rows, notes = [], []
    for what in dict.fromkeys(merge.what for merge in merges):
        some = [merge for merge in merges if merge.what == what]
        for merge in some[:SHOWN]:
            rows.append((what, merge.name, first_few(merge.others, most=3), merge.n_tracks))
        if len(some) > SHOWN:
            notes.append(f"{len(some) - SHOWN:,} more {what}s, all with --json.")
    notes.append("Where they are not one, --no-merge keeps all of them apart.")
    columns = Column("what"), Column("name"), Column("also written"), Column("tracks", "int")
    return Table("Names that count as one", columns, tuple(rows), tuple(notes))


@command
def genres(
    output: Output,
    folder: Folder,
    out: Annotated[
        Path | None,
        Option(help="Write a genres.toml of your own to begin with.", show_default=False),
    ] = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """Show what the genre tags of a folder become, and what is not known.

    Nothing is changed. Example: [bold]matt genres ~/Music --out ~/Music/genres.toml[/bold]
    """
    from ..datasets.meanings import look_alike, starting_file, too_few_left
    from ..files import check_new, write_text

    if out is not None:
        check_new(out, force=force)
    found = scan_folder(folder, output, reading)
    if fault := too_few_left(found.meanings, found.tracks.genres, found.vocabulary):
        output.warn(fault)
    alike = look_alike(found.meanings, found.vocabulary)
    output.tables(_tables(found, alike))
    if out is not None:
        write_text(out, starting_file(found.meanings, alike))
        output.note(f"written to {out}: edit it, and look again")
    output.document(
        {
            "schema": "matt.genres/1",
            "vocabulary": found.vocabulary.source or None,
            "genres": _rows(found),
            "meanings": [asdict(meaning) for meaning in found.meanings],
            "look_alike": alike,
        }
    )


def _rows(found: Scan) -> list[dict[str, Any]]:
    """The genres of a library, those of the most albums first."""
    from ..bags import Bags

    tracks, bags = found.tracks, Bags.from_tracks(found.tracks, by="album")
    written: dict[str, list[str]] = {}
    for meaning in found.meanings:
        for genre in meaning.becomes:
            written.setdefault(genre, []).append(meaning.written)
    rows: list[tuple[int, int, str]] = [
        (int((bags.labels == g).sum()), n, genre)
        for g, (genre, n) in enumerate(zip(tracks.genres, tracks.counts.tolist(), strict=True))
    ]
    return [
        {
            "genre": genre,
            "path": found.vocabulary.path(genre),
            "albums": albums,
            "tracks": n,
            "written": written.get(genre, []),
        }
        for albums, n, genre in sorted(rows, key=lambda row: (-row[0], -row[1], row[2]))
    ]


def _tables(found: Scan, alike: Mapping[str, str]) -> Iterator[Table]:
    from ..datasets.meanings import unmapped

    columns = Column("genre"), Column("albums", "int"), Column("tracks", "int"), Column("written")
    rows = tuple(
        (" > ".join(row["path"]), row["albums"], row["tracks"], _few(row["written"]))
        for row in _rows(found)
    )
    yield Table("Genres, each with those above it", columns, rows)
    if unknown := unmapped(found.meanings):
        yield _list("Not known, and left as they are", unknown, alike, "looks like")
    none = [meaning for meaning in found.meanings if not meaning.becomes]
    if none:
        yield _list("No genre", none, {}, "")


def _list(title: str, some: Sequence[Meaning], beside: Mapping[str, str], heading: str) -> Table:
    """The first of some names, with what is said of each."""
    columns = Column("written"), Column("albums", "int"), Column("tracks", "int")
    rows = [(one.written, one.n_albums, one.n_tracks) for one in some[:SHOWN]]
    notes = [f"{len(some) - SHOWN:,} more, all with --json."] if len(some) > SHOWN else []
    if not heading:
        return Table(title, columns, tuple(rows), tuple(notes))
    notes.append("A genres.toml says what they are: --out writes one to edit.")
    told = tuple((*row, beside.get(row[0], "")) for row in rows)
    return Table(title, (*columns, Column(heading)), told, tuple(notes))


def _few(written: Sequence[str]) -> str:
    return first_few(written, most=3)


@dataclass(frozen=True)
class Asked:
    """Options that say which albums are asked for."""

    untagged: Annotated[bool, Option("--untagged", help="Only albums that have no genre yet.")] = (
        False
    )
    disagree: Annotated[
        bool, Option("--disagree", help="Only albums whose tag and music differ.")
    ] = False
    since: Annotated[
        str | None,
        Option(
            metavar="TIME",
            help="Only albums with a file changed since then: 7d, 36h, 2w, or 2026-11-01.",
            show_default=False,
        ),
    ] = None
    only: Annotated[
        list[str] | None,
        Option(
            metavar="GLOB",
            help="Only these files or folders, e.g. 'Jazz/*' or '*.flac'. May be repeated.",
            show_default=False,
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        Option(
            metavar="GLOB", help="Not these files or folders. May be repeated.", show_default=False
        ),
    ] = None

    def selection(self) -> Selection:
        """What is asked for.

        Raises
        ------
        ConfigError
        """
        from ..library.selection import Selection, since

        return Selection(
            only=tuple(self.only or ()),
            exclude=tuple(self.exclude or ()),
            since=None if self.since is None else since(self.since),
            untagged=self.untagged,
            disagree=self.disagree,
        )


@command
@watching("paths")
def predict(
    output: Output,
    paths: Annotated[
        list[Path],
        Argument(
            metavar="PATH...",
            help="Folder of tagged music; or files, or several folders; or - for those that "
            "standard input names, a NUL after each.",
            callback=from_input,
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        Option(
            help="Run folder of 'matt train', model folder or packed model. By default the tagger "
            "that comes with matt, which knows 17 genres, see 'matt model card'.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Option(help="Also write to a .json, .csv or .parquet file.", show_default=False),
    ] = None,
    level: Annotated[
        str, Option(metavar="album|track", help="One line an album, or a track.")
    ] = "album",
    top: Annotated[int, Option(help="Genres named for each in files and --json.", min=2)] = 3,
    bom: Annotated[
        bool, Option("--bom", help="Begin a .csv so that spreadsheets read it as UTF-8.")
    ] = False,
    force: Force = False,
    prior: Annotated[
        str | None,
        Option(
            help="How frequent genres are here: training, uniform, estimate (from these albums), "
            "or a JSON file or text of shares. By default as the model was trained to see them.",
            show_default=False,
        ),
    ] = None,
    abstain_below: Annotated[
        float | None, Option(help="Give no genre below this probability.", show_default=False)
    ] = None,
    accuracy: Annotated[
        float | None,
        Option(
            help="Give no genre where so many would not be right, e.g. 0.8, going by the "
            "validation albums of the model.",
            show_default=False,
        ),
    ] = None,
    cost: Cost = None,
    *,
    asked: Asked,
    reading: Reading,
    how: Extraction,
) -> None:
    """Predict a genre for every album of a folder, what to look at first; no file is changed.

    Albums are new (no genre yet), disagree with their tag, unsure, or agree.
    Example: [bold]matt predict ~/Music[/bold], with a model of your own
    [bold]matt predict ~/Music --model runs/mine --out genres.csv[/bold]
    """
    from ..calibration.costs import DECISION, check_link, read_costs
    from ..calibration.priors import check_prior, read_prior
    from ..files import check_new
    from ..library import albums, export
    from ..library.predict import AskedModel, bar_of
    from ..models.tagger import Tagger, check_asked

    export.check_level(level)
    if out is not None:
        export.check_format(out, bom=bom)
        check_new(out, force=force)
    elif bom:
        raise ConfigError("--bom is about the file that --out names; name one, e.g. genres.csv")
    asked.selection()  # refused before any work
    opened = AskedModel.open(model)
    classifier = opened.model
    if isinstance(classifier, Tagger):
        check_asked(prior=prior, accuracy=accuracy, cost=cost)
    shares = None if prior is None else read_prior(prior)
    if shares is not None:
        check_prior(shares, classifier.genres, link=classifier.link, trained=classifier.prior)
    bar = bar_of(classifier, below=abstain_below, accuracy=accuracy, prior=shares)
    costs = None
    if cost is not None:
        check_link(classifier.link)
        if bar is not None:
            raise ConfigError(
                "a bar is about the likely genre, --cost answers another; give --cost, or "
                "--abstain-below or --accuracy"
            )
        costs = read_costs(cost, classifier.genres)
    found, result = predict_named(
        paths,
        opened,
        output,
        asked=asked,
        reading=reading,
        how=how,
        prior=shares,
        bar=bar,
        costs=costs,
        top=top,
        alone=level == "track" or out is not None or output.json,
    )
    rows = result.at(level)
    if out is not None:
        result.write(out, level=level, bom=bom, force=force)
        output.note(f"written to {out}")
    table = albums.albums_table if level == "album" else albums.tracks_table
    output.tables([table(rows)])
    _tell_learned(result.rows, output)
    n_unsure = sum(row["unsure"] for row in rows)
    if not rows:
        output.note(
            f"no {level} is what was asked for; see --only, --exclude, --since and the like"
        )
    elif bar is not None:
        output.note(
            f"{n_unsure:,} of {len(rows):,} {level}s are below {percent(bar)}: no genre is given "
            "there, and the likeliest has a question mark"
        )
    files = tell_files(found, result.extraction, output)
    output.document(
        {
            **export.document(rows, level=level),
            "bar": bar,
            **({} if costs is None else {"decision": DECISION}),
            **files,
        }
    )
    exit_if_failed(len(files["failures"]))


def predict_named(
    paths: Sequence[Path],
    opened: AskedModel,
    output: Output,
    *,
    asked: Asked,
    reading: Reading,
    how: Extraction,
    **options: Any,
) -> tuple[Scan, LibraryPrediction]:
    """Predict the albums of what is named that are asked for, and show how it goes."""
    from ..library.predict import predict_library

    selection = asked.selection()
    for note in opened.notes:
        output.note(note)
    found, place = scan_in_library(paths, opened.spec, output, reading, how)
    chosen = selection.of(found, root=holding_folder(paths))
    if len(chosen.tracks) < len(found.tracks):
        output.note(f"{len(chosen.tracks):,} of {len(found.tracks):,} tracks are asked for")
    with extracting(chosen.tracks, {opened.spec: place}, output, how) as given:
        result = predict_library(
            chosen, opened.model, place, learned=opened.learned, **options, **given
        )
    return found, result.of(selection)


def _tell_learned(rows: Sequence[Mapping[str, Any]], output: Output) -> None:
    """Say who answers for the albums that the model was trained on."""
    n = sum(bool(row["in_training"]) for row in rows)
    held_out = sum(row["out_of_fold"] for row in rows)
    if held_out:
        output.note(
            f"the model has learned from {n:,} of these albums; networks that have not heard the "
            f"artists answer for {held_out:,} of them"
        )
    if alone := n - held_out:
        output.note(
            f"nobody but the model itself answers for {alone:,} album{'s' * (alone > 1)} that it "
            "has learned from, so nothing is said against the tags there"
        )
