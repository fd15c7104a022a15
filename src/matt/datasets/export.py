"""Folders of genres, for tools that want them: a tidy table, and links to or copies of the audio.

Names of genres and files are untrusted: they become plain file names, two that would become the
same are told apart, and nothing that is there already is ever written over.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, check_arguments, did_you_mean
from ..files import write_bytes, write_parquet
from ..tracks import Tracks
from .names import Names, safe_file_name, safe_name

AUDIO = ("none", "link", "copy")
UNKNOWN = "unknown genre"
CSV, PARQUET = "tracks.csv", "tracks.parquet"
SCHEMA = "matt.export/1"


@dataclass(frozen=True)
class ExportedTrack:
    """One file to make.

    Attributes
    ----------
    track_id : int
    source : Path
        Audio of the track.
    target : str
        Relative to the folder of the export, with ``/``.
    """

    track_id: int
    source: Path
    target: str


@dataclass(frozen=True)
class Export:
    """What an export did, or would do.

    Attributes
    ----------
    out : Path
    tables : tuple of Path
        One row a track: ``tracks.csv`` and ``tracks.parquet``.
    folders : dict of str to str
        Folder of each genre that has tracks.
    entries : tuple of ExportedTrack
        Audio files that are now there.
    present : tuple of ExportedTrack
        Those that an earlier export had made.
    missing : tuple of ExportedTrack
        Those whose audio is not there.
    taken : tuple of ExportedTrack
        Those in whose place something else is; it was left alone.
    dry_run : bool
    """

    out: Path
    tables: tuple[Path, ...]
    folders: dict[str, str]
    entries: tuple[ExportedTrack, ...]
    present: tuple[ExportedTrack, ...]
    missing: tuple[ExportedTrack, ...]
    taken: tuple[ExportedTrack, ...]
    dry_run: bool


def export_by_genre(
    tracks: Tracks,
    out: Path | str,
    *,
    audio: str = "none",
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Export:
    """Write a table with one row a track and, if asked for, a folder of audio for each genre.

    Parameters
    ----------
    tracks : Tracks
        Where a track has several genres, its audio is put into the folder of each.
    out : path
    audio : {"none", "link", "copy"}
        Symbolic links cost no space; copies can be moved.
    dry_run : bool
        Only say what would be done.
    progress : callable, optional
        Called with (files done, files in all).

    Returns
    -------
    Export

    Raises
    ------
    ConfigError
        If ``audio`` is unknown.
    DataError
        If a table of other content is there already, no track has audio, or links cannot be made.
    """
    check_arguments(tracks=(tracks, Tracks))
    if audio not in AUDIO:
        raise ConfigError(f"unknown audio {audio!r}; {did_you_mean(audio, AUDIO)}")
    out = Path(out)
    folders = _folders(tracks)
    planned = _plan(tracks, folders) if audio != "none" else []
    if audio != "none" and not planned:
        raise DataError(
            f"none of {len(tracks):,} tracks has a path to audio; name its folder (--audio), or "
            "export the table alone"
        )
    columns = _columns(tracks, planned)
    table = _csv(columns)
    _refuse_other(out, table)
    if not dry_run:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / CSV).exists():
            write_bytes(out / CSV, table)
        if not (out / PARQUET).exists():
            write_parquet(out / PARQUET, columns, schema=SCHEMA)
    sorted_: dict[str, list[ExportedTrack]] = {"new": [], "present": [], "missing": [], "taken": []}
    for done, entry in enumerate(planned, start=1):
        sorted_[_make(out, entry, audio, dry_run=dry_run)].append(entry)
        if progress is not None:
            progress(done, len(planned))
    return Export(
        out=out,
        tables=(out / CSV, out / PARQUET),
        folders=folders,
        entries=tuple(sorted_["new"]),
        present=tuple(sorted_["present"]),
        missing=tuple(sorted_["missing"]),
        taken=tuple(sorted_["taken"]),
        dry_run=dry_run,
    )


def _folders(tracks: Tracks) -> dict[str, str]:
    """Folder of each genre that has tracks."""
    genres = [g for g, n in zip(tracks.genres, tracks.counts.tolist(), strict=True) if n]
    names = Names([CSV, PARQUET])
    folders = {genre: names.new(safe_name(genre)) for genre in genres}
    if not tracks.labelled.all():
        folders[""] = names.new(UNKNOWN)
    return folders


def _genres_of(tracks: Tracks) -> list[list[str]]:
    """Genres of each track; none where they are unknown."""
    if tracks.multi_label:
        return [[tracks.genres[g] for g in np.flatnonzero(row)] for row in tracks.labels]
    return [[tracks.genres[label]] if label >= 0 else [] for label in tracks.labels.tolist()]


def _plan(tracks: Tracks, folders: dict[str, str]) -> list[ExportedTrack]:
    names = {folder: Names() for folder in folders.values()}
    planned = []
    for track_id, path, genres in zip(
        tracks.track_id.tolist(), tracks.path.tolist(), _genres_of(tracks), strict=True
    ):
        if path:
            source = Path(path)
            for folder in (folders[genre] for genre in genres or [""]):
                name = names[folder].new(safe_file_name(source))
                planned.append(ExportedTrack(track_id, source, f"{folder}/{name}"))
    return planned


def _columns(tracks: Tracks, planned: list[ExportedTrack]) -> dict[str, Any]:
    """One row a track, genres in words."""
    files: dict[int, list[str]] = {}
    for entry in planned:
        files.setdefault(entry.track_id, []).append(entry.target)
    ids = tracks.track_id.tolist()
    columns: dict[str, Any] = {
        "track_id": ids,
        "genre": ["; ".join(genres) for genres in _genres_of(tracks)],
        "split": tracks.split.tolist(),
        "artist_id": tracks.artist_id.tolist(),
        "album_id": tracks.album_id.tolist(),
        "path": tracks.path.tolist(),
        "file": ["; ".join(files.get(i, [])) for i in ids],
    }
    taken = {"genre", "file"}
    for name, values in tracks.columns.items():
        columns[f"{name}_given" if name in taken else name] = values.tolist()
    # Names of files may hold bytes that are no text.
    return {
        name: [v.encode(errors="replace").decode() if isinstance(v, str) else v for v in values]
        for name, values in columns.items()
    }


def _csv(columns: dict[str, Any]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode()


def _refuse_other(out: Path, table: bytes) -> None:
    """The CSV is written first, so a folder with the Parquet file alone is somebody else's."""
    there = (out / CSV).exists()
    if (there and (out / CSV).read_bytes() != table) or (not there and (out / PARQUET).exists()):
        raise DataError(
            f"{out / (CSV if there else PARQUET)} is there already and holds something else; name "
            "another folder, or move it"
        )


def _make(out: Path, entry: ExportedTrack, audio: str, *, dry_run: bool) -> str:
    """Make one file; returns what became of it."""
    target = out / entry.target
    if not entry.source.is_file():
        return "missing"
    if os.path.lexists(target):
        return "present" if _is_same(entry.source, target, audio) else "taken"
    if dry_run:
        return "new"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if audio == "link":
            target.symlink_to(entry.source.resolve())
        else:
            _copy(entry.source, target)
    except FileExistsError:
        return "taken"
    except OSError as error:
        what = "linked; try copies (--audio copy)" if audio == "link" else "copied"
        raise DataError(
            f"{entry.source} cannot be {what}: {error.strerror}; what was made so far stays, and "
            "the same call goes on"
        ) from error
    return "new"


def _is_same(source: Path, target: Path, audio: str) -> bool:
    if audio == "link":
        return target.is_symlink() and target.resolve() == source.resolve()
    return (
        not target.is_symlink()
        and target.is_file()
        and target.stat().st_size == source.stat().st_size
    )


def _copy(source: Path, target: Path) -> None:
    """Copy to another name, then put it in its place, which must be free."""
    temporary = target.with_name(f".{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        shutil.copyfile(source, temporary)
        try:
            os.link(temporary, target)  # fails where something is, unlike a rename
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if os.path.lexists(target):
                raise FileExistsError(str(target)) from None
            os.rename(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
