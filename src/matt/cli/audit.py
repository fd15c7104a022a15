"""The commands ``audit``, for leaks, copies and labels that disagree, and ``describe``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from ..evaluation.tables import Column, Table
from .console import Output, command
from .report import Grouped
from .sources import SHOWN, Reading, Source, SourcePath, Store, default_store, open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..datasets.audit import Audit, Group
    from ..datasets.near_duplicates import NearDuplicates
    from ..tracks import Tracks

Pictures = Annotated[
    Path | None, Option(help="Folder for tables, JSON and pictures.", show_default=False)
]
Tail = Annotated[
    int | None,
    Option(
        help="A genre with fewer training tracks is rare; by default 100, or the rarest third.",
        min=1,
    ),
]


@command
def audit(
    output: Output,
    source: SourcePath,
    by: Grouped = "album",
    hash_audio: Annotated[
        bool, Option("--hash", help="Read every audio file to find exact copies.")
    ] = False,
    threshold: Annotated[
        float | None, Option(help="Distance of near-duplicates; by default 0.2 or less.", min=0.0)
    ] = None,
    store: Store = None,
    *,
    reading: Reading,
) -> None:
    """Say what would make results too good: artists, albums, copies in two splits; mixed labels.

    Features and hashes of a store are used where there is one. Example: [bold]matt audit
    tracks.toml[/bold]
    """
    from ..datasets import audit as module
    from ..features.store import FeatureStore

    found = open_source(source, output, reading)
    place = store or _usual_store(found)
    features = found.features
    if features is None and place is not None:
        features = FeatureStore.open(place)
    hashes = None
    if hash_audio or place is not None:
        with output.progress() as bars:
            hashes = module.hashes_of(
                found.tracks,
                store=place,
                compute=hash_audio,
                progress=bars.counting("hashing audio", len(found.tracks)),
            )
    result = module.audit(
        found.tracks, by=by, features=features, hashes=hashes, threshold=threshold
    )
    output.tables(audit_tables(result, found.tracks))
    for note in result.notes:
        output.note(note)
    for warning in result.warnings():
        output.warn(warning)
    output.document({**result.to_json(), "data_notes": list(found.notes)})


def audit_tables(result: Audit, tracks: Tracks) -> list[Table]:
    """Counts first, then what was found, at most twenty rows of each."""
    splits = ", ".join(f"{n:,} {name or 'in none'}" for name, n in result.splits.items())
    tables = [
        Table(
            f"Audit of {result.n_tracks:,} tracks ({splits})",
            (Column("what"), Column("count", "int")),
            tuple(result.counts().items()),
        )
    ]
    listed = {
        "Artists in more than one split": result.artists.groups,
        "Artists of nearly one name in more than one split": result.near_names,
        "Albums in more than one split": result.albums.groups,
        f"Bags (by {result.by}) in more than one split": result.bags.groups,
        "Equal audio": result.duplicates,
        "Bags whose labels disagree": result.mixed,
    }
    tables += [_groups(title, groups) for title, groups in listed.items() if groups]
    if result.near and result.near.n_pairs:
        tables.insert(len(tables) - bool(result.mixed), _pairs(result.near, tracks))
    return tables


def _usual_store(found: Source) -> Path | None:
    """The store that 'matt extract' and 'matt train' keep of a source, if there is one."""
    from ..features.spec import FeatureSettings

    usual = default_store(found.path, FeatureSettings().spec())
    return usual if found.features is None and (usual / "spec.json").is_file() else None


def _groups(title: str, groups: Sequence[Group]) -> Table:
    return Table.of(
        title,
        groups[:SHOWN],
        ("name", "text", lambda group: group.name),
        ("tracks", "int", lambda group: len(group.tracks)),
        ("splits", "text", lambda group: _counted(group.splits)),
        ("genres", "text", lambda group: _counted(group.genres)),
        notes=_more(len(groups)),
    )


def _pairs(near: NearDuplicates, tracks: Tracks) -> Table:
    told = (
        f"{near.n_pairs:,} pairs of {near.n_tracks:,} tracks ({near.n_columns} columns) are no "
        f"farther apart than {near.threshold:.3g}; the tenth neighbour of a track typically is "
        f"{near.typical:.3g} away. Marked: pairs in two splits, pairs of two artists."
    )
    return Table.of(
        "Near-duplicates",
        range(min(len(near.first), SHOWN)),
        ("distance", "number", lambda pair: float(near.distance[pair])),
        ("splits", "flag", lambda pair: bool(near.across_splits[pair])),
        ("artists", "flag", lambda pair: bool(near.across_artists[pair])),
        ("first", "text", lambda pair: _named(tracks, near.first[pair])),
        ("second", "text", lambda pair: _named(tracks, near.second[pair])),
        notes=(told, *_more(near.n_pairs)),
    )


def _named(tracks: Tracks, track_id: int) -> str:
    row = int((tracks.track_id == track_id).argmax())
    names = (
        str(tracks.columns[name][row])
        for name in ("artist", "artist_name", "title")
        if name in tracks.columns
    )
    return " ".join([str(track_id), *(name for name in names if name)])


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())


def _more(n: int) -> Iterator[str]:
    if n > SHOWN:
        yield f"{n - SHOWN:,} more, all with --json."


@command
def describe(
    output: Output,
    source: SourcePath,
    out: Pictures = None,
    tail: Tail = None,
    *,
    reading: Reading,
) -> None:
    """Show the long tail, sizes and purity of bags, and what is missing.

    Example: [bold]matt describe tracks.toml --out pictures[/bold]
    """
    show_description(open_source(source, output, reading).tracks, out, tail, output)


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
