"""Commands about single albums of one's own music: ``explain``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from ..errors import ConfigError, DataError, first_few
from .console import Output, command
from .sources import (
    Extraction,
    Reading,
    default_store,
    exit_if_failed,
    extract_features,
    scan_folder,
    tell_files,
)

if TYPE_CHECKING:
    from ..datasets.folder import Scan
    from ..features.spec import FeatureSpec
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
        "nearest folder around it of which there are any for this model.",
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
    from ..features.store import FeatureStore, with_features
    from ..files import check_new
    from ..library import explained
    from ..library.learned import Learned, load_model
    from ..library.predict import bar_of, spec_of
    from ..models.tagger import Tagger

    if picture is not None:
        style.check_format(picture)
        check_new(picture, force=force)
    classifier = Tagger() if model is None else load_model(model)
    spec, bar = spec_of(classifier), bar_of(classifier, below=None, accuracy=None, prior=None)
    found, root = scan_around(album, spec, output, reading, library=library)
    tracks = found.tracks.with_genres(classifier.genres, unknown="drop")
    tracks, by = one_album(tracks) if together else (albums_at(tracks, album), "album")
    if picture is not None and len(Bags.from_tracks(tracks, by=by)) > 1:
        raise ConfigError(f"--picture draws one album, and {album} holds several; name one of them")
    place = how.store or default_store(root, spec)
    report = extract_features(tracks, {spec: place}, output, how)[spec]
    files = tell_files(found, report, output)
    features = FeatureStore.open(place)
    heard = with_features(tracks, features)
    rows = explained.explained_rows(
        classifier,
        features,
        heard,
        Bags.from_tracks(heard, by=by),
        bar=bar,
        vocabulary=found.vocabulary,
        learned=None if model is None else Learned.of(model),
    )
    if any(row["in_training"] for row in rows):
        output.note(_TAUGHT)
    if picture is not None:
        style.save(explained.explained_picture(rows[0]), picture)
        output.note(f"drawn in {picture}")
    output.tables(explained.explained_tables(rows, os.path.abspath(album)))
    output.document({"schema": explained.SCHEMA, "albums": rows, **files})
    exit_if_failed(len(files["failures"]))


def scan_around(
    path: Path, spec: FeatureSpec, output: Output, reading: Reading, *, library: Path | None
) -> tuple[Scan, Path]:
    """Scan the folder of an album, as a part of its library; and the root of that.

    Raises
    ------
    DataError
        If the album does not exist, or lies elsewhere.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; check the path")
    folder = Path(os.path.abspath(path if path.is_dir() else path.parent))
    root = Path(os.path.abspath(library)) if library else library_around(folder, spec)
    found = scan_folder(folder, output, reading, within=root)
    if root != folder:
        output.note(f"as a part of the library {root}, whose features are used")
    return found, root


def library_around(folder: Path, spec: FeatureSpec) -> Path:
    """The nearest folder, upwards, of which features of a kind are kept; else the folder itself."""
    known = (one for one in (folder, *folder.parents) if default_store(one, spec).is_dir())
    return next(known, folder)


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
