"""Commands about single albums of one's own music: ``explain``, ``similar``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError, DataError, first_few
from ..evaluation.tables import Table
from .console import Output, command
from .sources import (
    Extraction,
    Reading,
    default_store,
    exit_if_failed,
    given_library,
    heard,
    scan_folder,
    tell_files,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..library.predict import AskedModel
    from ..tracks import Tracks

MOST = 12  # albums of one folder that are explained
Album = Annotated[
    Path,
    Argument(metavar="ALBUM", help="Folder of an album, or a file of it.", show_default=False),
]
Model = Annotated[
    Path | None,
    Option(
        help="Run folder of 'matt train', model folder or packed model. By default the tagger "
        "that comes with matt.",
        show_default=False,
    ),
]
Library = Annotated[
    Path | None,
    Option(
        help="The library that the album is part of, whose features are used. By default the "
        "outermost folder around it of which there are any for this model.",
        show_default=False,
    ),
]


_TAUGHT = (
    "the model was trained on this music, so it may repeat what the tags say; 'matt predict' "
    "answers such albums by networks that have not heard the artist"
)


@command
def explain(
    output: Output,
    album: Album,
    model: Model = None,
    library: Library = None,
    together: Annotated[
        bool, Option("--together", help="Take all files as one album, whatever their tags say.")
    ] = False,
    picture: Annotated[
        Path | None, Option(help="Also draw it, as .png, .svg or .pdf.", show_default=False)
    ] = None,
    force: Annotated[
        bool, Option("--force", help="Replace what --picture names, if it is there.")
    ] = False,
    *,
    reading: Reading,
    how: Extraction,
) -> None:
    """Say why an album gets its genre: which tracks decide, and which does not fit.

    The model is asked for each track alone, and for the album without it; of a file its excerpts
    are listed, too. No file of yours is changed.
    Example: [bold]matt explain ~/Music/Portishead/Dummy[/bold]
    """
    from ..bags import Bags
    from ..evaluation import style
    from ..files import check_new
    from ..library import explained
    from ..library.cache import own_folder

    if picture is not None:
        style.check_format(picture)
        check_new(picture, force=force)
    asked = ask_model(model, output)
    root = given_library(library, album, how, asked.spec)
    folder = own_folder(album)
    found = scan_folder(folder, output, reading, within=root)
    if root != folder:
        used = "" if how.store else ", whose features are used"
        output.note(f"as a part of the library {root}{used}")
    tracks = found.tracks.with_genres(asked.model.genres, unknown="drop")
    tracks, by = one_album(tracks) if together else (albums_at(tracks, album), "album")
    if picture is not None and len(Bags.from_tracks(tracks, by=by)) > 1:
        raise ConfigError(f"--picture draws one album, and {album} holds several; name one of them")
    place = how.store or default_store(found.root, asked.spec)
    features, usable, report = heard(tracks, asked.spec, place, output, how)
    files = tell_files(found, report, output)
    rows = explained.explained_rows(
        asked.model,
        features,
        usable,
        Bags.from_tracks(usable, by=by),
        bar=asked.bar,
        vocabulary=found.vocabulary,
        learned=asked.learned,
    )
    if any(row["in_training"] for row in rows):
        output.note(_TAUGHT)
    if picture is not None:
        style.save(explained.explained_picture(rows[0]), picture)
        output.note(f"drawn in {picture}")
    output.tables(explained.explained_tables(rows, os.path.abspath(album)))
    output.document({"schema": explained.SCHEMA, "albums": rows, **files})
    exit_if_failed(len(files["failures"]))


def ask_model(model: Path | None, output: Output | None) -> AskedModel:
    """Open a model, the shipped tagger where none is named, and tell what to know of it."""
    from ..library.predict import AskedModel

    asked = AskedModel.open(model)
    if output is not None:
        for note in asked.notes:
            output.note(note)
    return asked


def albums_at(tracks: Tracks, path: Path) -> Tracks:
    """Tracks of the albums that a folder holds, or of the one that a file belongs to.

    Raises
    ------
    DataError
        If the file is none of the tracks, or the folder holds too many albums.
    """
    import numpy as np

    from ..bags import Bags

    bags = Bags.from_tracks(tracks)
    if path.is_dir():
        if len(bags) > MOST:
            names = dict.fromkeys(map(os.path.dirname, tracks.path.tolist()))
            raise DataError(
                f"{path} holds {len(bags):,} albums and lone tracks, of which at most {MOST} are "
                f"explained at once; name the folder of one (first: {first_few(names)}), or say "
                "--together if all of it is one"
            )
        return tracks
    bag = np.repeat(np.arange(len(bags)), bags.sizes)
    own = tracks.track_id[[os.path.samefile(one, path) for one in tracks.path.tolist()]]
    if not len(own):
        raise DataError(f"{path} is no audio that can be opened; name a file of an album")
    return tracks.take(tracks.rows(bags.take(bag[bags.track_ids == own[0]]).track_ids))


def one_album(tracks: Tracks) -> tuple[Tracks, str]:
    """The same tracks with a column that all of them share, and its name."""
    import numpy as np

    name = "together"
    return replace(tracks, columns={**tracks.columns, name: np.ones(len(tracks))}), name


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
            help="Folder to look for similar albums in; by default the outermost one around it of "
            "which there are features for this model.",
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
    from ..library.cache import has_features
    from ..library.similar import rows_at, similar_albums, space_of

    asked = ask_model(model, output)
    root = given_library(library, album, how, asked.spec)
    if library is None and not has_features(root, asked.spec):
        raise DataError(
            f"no folder above {album} has been looked at with this model; name one: --library DIR"
        )
    found = scan_folder(root, output, reading)
    rows_at(found.tracks, album)  # before any work
    place = how.store or default_store(found.root, asked.spec)
    features, tracks, report = heard(found.tracks, asked.spec, place, output, how)
    space = space_of(asked.model, features, tracks)
    rows = similar_albums(tracks, space, rows_at(tracks, album), most=most)
    output.tables([_similar_table(rows, album)])
    files = tell_files(found, report, output)
    told = {"album": str(album), "library": str(root), "similar": rows}
    output.document({"schema": "matt.similar/1", **told, **files})
    exit_if_failed(len(files["failures"]))


def _similar_table(rows: Sequence[Mapping[str, Any]], album: Path) -> Table:
    dated = any(row["year"] for row in rows)
    return Table.of(
        f"Albums like {album.absolute().name}",
        rows,
        ("likeness", "share", lambda row: row["likeness"]),
        ("artist", "text", lambda row: row["artist"] or ""),
        ("album", "text", lambda row: row["album"] or row["title"] or Path(row["path"]).name),
        *([("year", "text", lambda row: str(row["year"] or ""))] if dated else []),
        ("genre", "text", lambda row: row["tagged"] or ""),
        ("tracks", "int", lambda row: row["n_tracks"]),
        notes=("Likeness: 1 for the same sound, about 0 for two albums taken at random.",),
    )
