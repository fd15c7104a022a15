"""Commands about the albums of a library: ``explain``, ``similar``, ``check``, ``playlist``."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError, DataError, first_few
from ..evaluation.tables import Table
from .console import Output, command
from .sources import (
    SHOWN,
    Extraction,
    Folder,
    Force,
    Reading,
    default_store,
    exit_if_failed,
    extracting,
    given_library,
    heard,
    scan_folder,
    scan_in_library,
    tell_files,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..library.check import Finding
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
_TITLES = {
    "copy": "Likely duplicates",
    "spelling": "Names in several spellings",
    "disagrees": "Albums that sound like something else than their tag",
    "mixed tags": "Albums whose tracks have unlike genres",
    "odd track": "Tracks that do not fit their album",
}
_SHORT = {"copy": "duplicates", "spelling": "spellings", "odd track": "odd tracks"}


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


@command
def check(
    output: Output,
    folder: Folder,
    model: Model = None,
    tags_only: Annotated[
        bool, Option("--tags-only", help="Look at tags alone; nothing is heard.")
    ] = False,
    *,
    reading: Reading,
    how: Extraction,
) -> None:
    """Say what is odd in a library: tags, spellings, tracks that do not fit, likely duplicates.

    The surest comes first, nothing is changed. The exit code is 3 if there is something to look
    at, and 0 if not. Example: [bold]matt check ~/Music[/bold]
    """
    from ..datasets.audit import hashes_of, why_costly
    from ..features.store import FeatureStore
    from ..library.check import KINDS, check_library
    from ..library.predict import predict_library

    if tags_only:
        found = scan_folder(folder, output, reading)
        findings = check_library(found)
        files = tell_files(found, None, output)
    else:
        asked = ask_model(model, output)
        found, place = scan_in_library([folder], asked.spec, output, reading, how)
        with extracting(found.tracks, {asked.spec: place}, output, how) as options:
            result = predict_library(
                found, asked.model, place, bar=asked.bar, learned=asked.learned, **options
            )
        features, hashes = FeatureStore.open(place), hashes_of(found.tracks, store=place)
        if why := why_costly(features):
            output.note(f"copies are told by equal audio and names, not by sound: {why}")
        near = None if why else features
        findings = check_library(found, result.rows, features=near, hashes=hashes)
        files = tell_files(found, result.extraction, output)
    output.tables(_findings(kind, findings) for kind in KINDS if _of(kind, findings))
    output.say(_summary(findings))
    output.document(
        {
            "schema": "matt.check/1",
            "counts": {kind: len(_of(kind, findings)) for kind in KINDS},
            "findings": [asdict(finding) for finding in findings],
            **files,
        }
    )
    exit_if_failed(len(findings) + len(files["failures"]))


def _of(kind: str, findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind]


def _findings(kind: str, findings: Sequence[Finding]) -> Table:
    some = _of(kind, findings)
    return Table.of(
        _TITLES[kind],
        some[:SHOWN],
        ("sure", "percent", lambda finding: finding.sure),
        ("what", "text", lambda finding: finding.about),
        ("found", "text", lambda finding: finding.told),
        notes=[f"{len(some) - SHOWN:,} more, all with --json."] if len(some) > SHOWN else [],
    )


def _summary(findings: Sequence[Finding]) -> str:
    if not findings:
        return "Nothing odd was found."
    counts = Counter(finding.kind for finding in findings)
    told = ", ".join(f"{_SHORT.get(kind, kind)} {n:,}" for kind, n in counts.items())
    return f"{len(findings):,} to look at: {told}. Nothing was changed."


@command
def playlist(
    output: Output,
    folder: Folder,
    out: Annotated[Path, Option(help="The playlist, an .m3u8 file.", show_default=False)],
    genre: Annotated[
        str | None, Option(help="Tracks of a genre, and of those below it.", show_default=False)
    ] = None,
    like: Annotated[
        Path | None,
        Option(
            metavar="ALBUM",
            help="An album (or an artist, or a file), then what sounds most like it.",
            show_default=False,
        ),
    ] = None,
    go_by: Annotated[
        str,
        Option(
            metavar="both|tags|sound",
            help="What a genre is told by: tags, sound, or the sound where no tag is.",
        ),
    ] = "both",
    most: Annotated[
        int | None,
        Option(help="Tracks at most; by default 100 with --like, else all.", min=1),
    ] = None,
    absolute: Annotated[
        bool, Option("--absolute", help="Name files by their whole path, not from the playlist.")
    ] = False,
    force: Force = False,
    model: Model = None,
    *,
    reading: Reading,
    how: Extraction,
) -> None:
    """Write a playlist of a genre, or of albums that sound like one.

    Albums follow each other, the surest or most alike first. Example: [bold]matt playlist ~/Music
    --genre Jazz --out jazz.m3u8[/bold]
    """
    from ..library.playlist import (
        check_by,
        check_playlist,
        title_of,
        tracks_to_play,
        write_playlist,
    )

    by, title = check_by(go_by), title_of(genre, like)
    check_playlist(out, force=force)
    asked = ask_model(model, output if like is not None or by != "tags" else None)
    found, place = scan_in_library([folder], asked.spec, output, reading, how)
    with extracting(found.tracks, {asked.spec: place}, output, how) as options:
        tracks, report = tracks_to_play(
            found, asked, place, genre=genre, like=like, by=by, most=most, **options
        )
    files = tell_files(found, report, output)
    left_out = write_playlist(out, tracks, title=title, absolute=absolute, force=force)
    for path in left_out:
        output.warn(f"{path} cannot stand in a playlist: its name breaks lines; rename it")
    output.say(f"{out}: {len(tracks) - len(left_out):,} tracks")
    output.document(
        {
            "schema": "matt.playlist/1",
            "out": str(out),
            "tracks": [str(path) for path in tracks.path if path not in left_out],
            "left_out": list(left_out),
            **files,
        }
    )
    exit_if_failed(len(files["failures"]))
