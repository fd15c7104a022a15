"""Command ``genres``: what the genre tags of a library become."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from ..errors import first_few
from ..evaluation.tables import Column, Table
from .console import Output, command
from .sources import SHOWN, Folder, Force, Reading, scan_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..datasets.folder import Scan
    from ..datasets.meanings import Meaning


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
