"""What a run of extraction says when it is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..tracks import Tracks
from .blocks import FAILED, KILLED, LOST, PARTIAL, SILENT
from .plan import NO_FILE, paths_of, read_known, stamp_of


@dataclass(frozen=True)
class TrackProblem:
    """A track whose audio is missing, or not all there, and why."""

    track_id: int
    path: str
    reason: str


@dataclass(frozen=True)
class ExtractionReport:
    """What a run did: ``total = extracted + reused + unchanged + failed``.

    Attributes
    ----------
    total : int
        Tracks that were asked for.
    extracted : int
        Decoded by this run.
    reused : int
        Moved or copied files, whose features were in the store.
    unchanged : int
        In the store before; nothing was done.
    deleted : int
        Tracks in the store that were not asked for and whose files are gone.
    others : int
        Tracks in the store that were not asked for and whose files are there: of another folder, or
        left out.
    failures : tuple of TrackProblem
        Tracks without features, also those that failed earlier and were not tried again.
    partial : tuple of TrackProblem
        Tracks with features of a part of their audio; counted above as well.
    silent : tuple of TrackProblem
        Tracks in which nothing can be heard, so that they have no features; counted above as well.
    blocks : tuple of str
        Blocks written by this run, by the names of their files.
    undetectable : int
        Of the extracted: how many do not state their length, so that nobody sees if they were cut
        off (MP3 without a length header). Not remembered by the store.
    damaged : tuple of str
        Blocks that were there and damaged, by the names of their files; they were made again.
    unchecked : tuple of str
        Blocks that were read to be verified, but were written before there were checksums: whether
        their values are those that were written nobody can tell.
    """

    total: int
    extracted: int
    reused: int
    unchanged: int
    deleted: int
    others: int = 0
    failures: tuple[TrackProblem, ...] = ()
    partial: tuple[TrackProblem, ...] = ()
    silent: tuple[TrackProblem, ...] = ()
    blocks: tuple[str, ...] = ()
    undetectable: int = 0
    damaged: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def failed(self) -> int:
        """How many tracks have no features."""
        return len(self.failures)


@dataclass(frozen=True)
class CommittedBlock:
    """One block that was written.

    Attributes
    ----------
    store : str
        Its folder.
    name : str
        Of its files, without suffix.
    extracted, reused, failed : tuple of int
        Ids of its tracks, by what became of them.
    undetectable : tuple of int
        Of the extracted: those that do not state their length.
    """

    store: str
    name: str
    extracted: tuple[int, ...]
    reused: tuple[int, ...]
    failed: tuple[int, ...]
    undetectable: tuple[int, ...]


def report(tracks: Tracks, store: Path, written: Iterable[CommittedBlock]) -> ExtractionReport:
    """Compare the tracks that were asked for with what the store now holds."""
    blocks = sorted(written, key=lambda block: block.name)
    known = read_known(store)
    asked = dict(zip(tracks.track_id.tolist(), tracks.path.tolist(), strict=True))
    failures: list[TrackProblem] = []
    problems = {FAILED: failures, KILLED: failures, PARTIAL: [], SILENT: []}
    for track_id, path in asked.items():
        entry = known[track_id]
        if entry.status in problems:
            problems[entry.status].append(TrackProblem(track_id, path, entry.reason))
    # The newest block of a track has the last word.
    how: dict[int, str] = {}
    unsure: set[int] = set()
    for block in blocks:
        how |= {i: "extracted" for i in block.extracted} | {i: "reused" for i in block.reused}
        unsure = (unsure - {*block.extracted, *block.reused, *block.failed}) | {*block.undetectable}
    counts = {"extracted": 0, "reused": 0, "unchanged": 0}
    for track_id in asked:
        if known[track_id].status not in LOST:
            counts[how.get(track_id, "unchanged")] += 1
    here = [stamp_of(path) != NO_FILE for path in paths_of(store, known.keys() - asked.keys())]
    return ExtractionReport(
        len(asked),
        counts["extracted"],
        counts["reused"],
        counts["unchanged"],
        deleted=here.count(False),
        others=here.count(True),
        failures=tuple(failures),
        partial=tuple(problems[PARTIAL]),
        silent=tuple(problems[SILENT]),
        blocks=tuple(block.name for block in blocks),
        undetectable=len(unsure & asked.keys()),
    )
