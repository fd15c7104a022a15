"""Commands that act on what is known of a library: ``similar``, ``playlist``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ..errors import DataError
from ..evaluation.tables import Table
from .console import Output, command
from .sources import (
    Extraction,
    Folder,
    Force,
    Reading,
    default_store,
    exit_if_failed,
    extract_features,
    scan_folder,
    tell_files,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..datasets.folder import Scan
    from ..features.spec import FeatureSpec
    from ..features.store import FeatureStore
    from ..models.classifier import GenreClassifier
    from ..tracks import Tracks

Model = Annotated[
    Path | None,
    Option(
        help="Run folder of 'matt train', model folder or packed model; by default the tagger "
        "that comes with matt.",
        show_default=False,
    ),
]


@command
def similar(
    output: Output,
    album: Annotated[
        Path,
        Argument(
            metavar="ALBUM",
            help="Folder of an album, of an artist, or one file.",
            show_default=False,
        ),
    ],
    library: Annotated[
        Path | None,
        Option(
            help="Folder to look for similar albums in; by default the one above that matt has "
            "been in with this model.",
            show_default=False,
        ),
    ] = None,
    model: Model = None,
    most: Annotated[int, Option(help="How many albums are named.", min=1)] = 10,
    *,
    reading: Reading,
    how: Extraction,
) -> None:
    """Name the albums by other artists that sound most like one.

    What was extracted before is not extracted again. Example: [bold]matt similar
    ~/Music/Ann/One --library ~/Music[/bold]
    """
    from ..library.similar import rows_in, similar_albums, space_of

    classifier, spec = _opened(model)
    folder = library or _library_of(album, spec)
    found = scan_folder(folder, output, reading)
    rows_in(found.tracks, album)  # before any work
    features, tracks, files = _heard(found, folder, spec, output, how)
    chosen = rows_in(tracks, album)
    space = space_of(classifier, features, tracks)
    rows = similar_albums(tracks, space, chosen, most=most)
    output.tables([_similar_table(rows, album)])
    output.document({"album": str(album), "library": str(folder), "similar": rows, **files})


def _similar_table(rows: Sequence[Mapping[str, Any]], album: Path) -> Table:
    return Table.of(
        f"Albums like {album.absolute().name}",
        rows,
        ("likeness", "share", lambda row: row["likeness"]),
        ("artist", "text", lambda row: row["artist"]),
        ("album", "text", lambda row: row["album"] or row["title"] or Path(row["path"]).name),
        ("genre", "text", lambda row: row["tagged"]),
        ("tracks", "int", lambda row: row["n_tracks"]),
        notes=("Likeness: 1 for the same sound, about 0 for two albums taken at random.",),
    )


def _opened(model: Path | None) -> tuple[GenreClassifier, FeatureSpec]:
    """A model, the shipped tagger where none is named, and what it reads."""
    from ..library.predict import spec_of
    from ..models.tagger import Tagger
    from .training import load_model

    classifier = Tagger() if model is None else load_model(model)
    return classifier, spec_of(classifier)


def _heard(
    found: Scan, folder: Path, spec: FeatureSpec, output: Output, how: Extraction
) -> tuple[FeatureStore, Tracks, dict[str, list[dict[str, str]]]]:
    """Features of what was found, the tracks that have some, and what became of the files."""
    import numpy as np

    from ..features.store import FeatureStore

    place = how.store or default_store(folder, spec)
    report = extract_features(found.tracks, {spec: place}, output, how)[spec]
    files = tell_files(found, report, output)
    features = FeatureStore.open(place)
    tracks = found.tracks.take(np.isin(found.tracks.track_id, features.track_ids))
    if not len(tracks):
        raise DataError(f"none of {len(found.tracks)} files could be used; name other music")
    return features, tracks, files


def _library_of(album: Path, spec: FeatureSpec) -> Path:
    """The outermost folder above an album of which there are features.

    Raises
    ------
    DataError
        If there is none.
    """
    above = [
        folder
        for folder in album.absolute().parents
        if (default_store(folder, spec) / "spec.json").is_file()
    ]
    if not above:
        raise DataError(
            f"no folder above {album} has been looked at with this model; name one: --library DIR"
        )
    return above[-1]
