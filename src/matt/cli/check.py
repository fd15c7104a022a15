"""Commands that act on what is known of a library: ``check``, ``similar``, ``playlist``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from ..errors import ConfigError, DataError
from ..evaluation.tables import Table
from .albums import Model
from .console import Output, command
from .sources import (
    SHOWN,
    Extraction,
    Folder,
    Force,
    Reading,
    default_store,
    exit_if_failed,
    extract_features,
    extracting,
    lost_files,
    scan_folder,
    tell_files,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..datasets.folder import Scan
    from ..features.spec import FeatureSpec
    from ..features.store import FeatureStore
    from ..library.check import Finding
    from ..models.classifier import GenreClassifier
    from ..tracks import Tracks

By = Literal["both", "tags", "sound"]
_LIKE = 100  # tracks of a playlist of albums that are alike
_TITLES = {
    "copy": "Likely duplicates",
    "spelling": "Names in several spellings",
    "disagrees": "Albums that sound like something else than their tag",
    "mixed tags": "Albums whose tracks have unlike genres",
    "odd track": "Tracks that do not fit their album",
}
_SHORT = {"copy": "duplicates", "spelling": "spellings", "odd track": "odd tracks"}


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
    from ..library.learned import Learned
    from ..library.predict import bar_of, predict_library

    if tags_only:
        found = scan_folder(folder, output, reading)
        findings = check_library(found)
        files = tell_files(found, None, output)
    else:
        classifier, spec = _opened(model)
        found = scan_folder(folder, output, reading)
        place = how.store or default_store(folder, spec)
        with extracting(found.tracks, {spec: place}, output, how) as options:
            result = predict_library(
                found,
                classifier,
                place,
                bar=bar_of(classifier, below=None, accuracy=None, prior=None),
                learned=None if model is None else Learned.of(model),
                **options,
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
    features, tracks = _heard(found, folder, spec, output, how)
    chosen = rows_in(tracks, album)
    space = space_of(classifier, features, tracks)
    rows = similar_albums(tracks, space, chosen, most=most)
    output.tables([_similar_table(rows, album)])
    output.document({"album": str(album), "library": str(folder), "similar": rows})


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
        By, Option(help="What a genre is told by: tags, sound, or the sound where no tag is.")
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
    import numpy as np

    from ..library.playlist import check_playlist, write_playlist
    from ..library.similar import rows_in

    check_playlist(out, force=force)
    if genre is None and like is None:
        raise ConfigError("a playlist of what? say --genre GENRE, --like ALBUM, or both")
    found = scan_folder(folder, output, reading)
    if like is not None:
        rows_in(found.tracks, like)  # before any work
    tracks = _chosen(found, folder, _Wanted(genre, like, go_by, model), output, how)
    n = most or (_LIKE if like else len(tracks))
    tracks = tracks.take(np.arange(min(n, len(tracks))))
    title = " ".join(filter(None, (genre, f"like {like.absolute().name}" if like else "")))
    left_out = write_playlist(out, tracks, title=title, absolute=absolute, force=force)
    for path in left_out:
        output.warn(f"{path} cannot stand in a playlist: its name breaks lines; rename it")
    output.say(f"{out}: {len(tracks) - len(left_out):,} tracks")
    output.document(
        {
            "out": str(out),
            "tracks": [str(path) for path in tracks.path if path not in left_out],
            "left_out": list(left_out),
        }
    )


@dataclass(frozen=True)
class _Wanted:
    """What a playlist is asked to hold."""

    genre: str | None
    like: Path | None
    by: By
    model: Path | None


def _chosen(found: Scan, folder: Path, wanted: _Wanted, output: Output, how: Extraction) -> Tracks:
    """Tracks of a playlist, in their order."""
    import numpy as np

    from ..library.playlist import rows_like, rows_of_genre
    from ..library.predict import bar_of, predict_library
    from ..library.similar import rows_in, space_of

    tracks, words, rows = found.tracks, found.vocabulary, None
    if wanted.by == "tags" and wanted.like is None and wanted.genre is not None:
        return tracks.take(rows_of_genre(tracks, wanted.genre, words, by="tags"))
    classifier, spec = _opened(wanted.model)
    features, heard = _heard(found, folder, spec, output, how)
    if wanted.genre is not None:
        bar = bar_of(classifier, below=None, accuracy=None, prior=None)
        place = how.store or default_store(folder, spec)
        said = predict_library(found, classifier, place, bar=bar, alone=False)
        rows = rows_of_genre(tracks, wanted.genre, words, said.rows, by=wanted.by)
    if wanted.like is None and rows is not None:
        return tracks.take(rows)
    space = space_of(classifier, features, heard)
    near = heard.take(rows_like(heard, space, rows_in(heard, wanted.like or folder)))
    return near if rows is None else near.take(np.isin(near.track_id, tracks.track_id[rows]))


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


def _opened(model: Path | None) -> tuple[GenreClassifier, FeatureSpec]:
    """A model, the shipped tagger where none is named, and what it reads."""
    from ..library.learned import load_model
    from ..library.predict import spec_of
    from ..models.tagger import Tagger

    classifier = Tagger() if model is None else load_model(model)
    return classifier, spec_of(classifier)


def _heard(
    found: Scan, folder: Path, spec: FeatureSpec, output: Output, how: Extraction
) -> tuple[FeatureStore, Tracks]:
    """Features of what was found, and the tracks that have some."""
    from ..features.store import FeatureStore, with_features

    place = how.store or default_store(folder, spec)
    report = extract_features(found.tracks, {spec: place}, output, how)[spec]
    if n := len(lost_files(found, report)):
        output.note(f"{n:,} files could not be used; 'matt predict' lists them")
    features = FeatureStore.open(place)
    return features, with_features(found.tracks, features)


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
