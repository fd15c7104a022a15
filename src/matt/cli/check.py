"""Commands that act on what is known of a library: ``check``, ``playlist``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from ..evaluation.tables import Table
from .albums import Model, ask_model
from .console import Output, command
from .sources import (
    SHOWN,
    Extraction,
    Folder,
    Force,
    Reading,
    exit_if_failed,
    extracting,
    scan_folder,
    scan_in_library,
    tell_files,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..library.check import Finding

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
