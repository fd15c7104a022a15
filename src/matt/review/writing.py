"""What was decided, written into files: the same plan, the same journals as of ``matt tag``."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..datasets.genres import Vocabulary
from ..errors import ConfigError, DataError
from ..tagging.journal import Journal, all_journals
from ..tagging.plan import TagPlan
from ..tagging.policy import MODES, MOST, Policy
from ..tagging.writing import FileOutcome, apply, undo
from .albums import Albums
from .decisions import Decisions, ReviewDecision

MODE = "replace"  # a person has said what is right
_GIVEN = "accepted", "changed"


@dataclass(frozen=True)
class ShownPlan:
    """A plan as a page shows it.

    Attributes
    ----------
    plan : TagPlan
    mode : str
        Of the policy.
    name : str
        Of what it says: a page asks for it by this name, so that nothing else is written.
    """

    plan: TagPlan
    mode: str
    name: str


@dataclass(frozen=True)
class ShownJournal:
    """A run that wrote into this library.

    Attributes
    ----------
    name : str
    when : str
        Local time.
    command : str
    n_files, n_open : int
        Files that were written, and those that are not undone.
    """

    name: str
    when: str
    command: str
    n_files: int
    n_open: int


class DecidedFiles:
    """What is to be written of the decisions about a library, and what was.

    Parameters
    ----------
    library : Path
    albums : Albums
    decisions : Decisions
    vocabulary : Vocabulary
    """

    def __init__(
        self, library: Path, albums: Albums, decisions: Decisions, vocabulary: Vocabulary
    ) -> None:
        self._library, self._albums, self._decisions = library, albums, decisions
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._made: tuple[Any, ShownPlan] | None = None

    def plan(self, mode: str) -> ShownPlan:
        """What would be written now; files are read anew where something else was decided.

        Raises
        ------
        ConfigError
            If there is no such mode.
        """
        policy = Policy(mode, most=MOST)
        with self._lock:
            latest = self._decisions.latest()
            asked = mode, tuple(latest.values())
            if self._made is None or self._made[0] != asked:
                rows = decided_rows(self._albums, latest)
                plan = TagPlan.of(rows, policy, self._vocabulary, library=self._library)
                said = repr([(one.path, one.new, one.stamp) for one in plan.changes])
                name = blake2b(said.encode(errors="replace"), digest_size=12).hexdigest()
                self._made = asked, ShownPlan(plan, mode, name)
            return self._made[1]

    def write(self, mode: str, name: str) -> Sequence[FileOutcome]:
        """Write the plan that a page has shown.

        Raises
        ------
        ConfigError
            If something else would be written by now.
        DataError
            If another process writes, or the disk is full.
        """
        shown = self.plan(mode)
        if shown.name != name:
            raise ConfigError("something else was decided meanwhile; look at the plan again")
        with self._lock:
            self._made = None
            outcomes, _ = apply(shown.plan.wishes(), f"matt review, {mode}")
        return outcomes

    def journals(self) -> list[ShownJournal]:
        """Runs that wrote into this library, the last first."""
        return [_shown(journal) for journal in self._own()]

    def undo(self, name: str) -> Sequence[FileOutcome]:
        """Take back what a run wrote.

        Raises
        ------
        ConfigError
            If it wrote nothing here.
        DataError
            If another process writes, or the disk is full.
        """
        journal = next((one for one in self._own() if one.name == name), None)
        if journal is None:
            raise ConfigError("there is no such run of this library; look at the list again")
        with self._lock:
            self._made = None
            return undo(journal)

    def _own(self) -> Iterator[Journal]:
        inside = os.path.join(os.path.realpath(self._library), "")
        for journal in all_journals():
            try:
                records = journal.records()
            except (DataError, OSError):  # pruned, or damaged: the others are listed
                continue
            if any(os.path.realpath(one.path).startswith(inside) for one in records[:1]):
                yield journal


def decided_rows(albums: Albums, latest: Mapping[str, ReviewDecision]) -> list[dict[str, Any]]:
    """Rows as `matt.tagging.plan.TagPlan.of` takes them, of albums that were given a genre."""
    rows = []
    for key, decision in latest.items():
        album = albums.get(key)
        if album is None or decision.verdict not in _GIVEN:
            continue
        rows.append(
            {
                "artist": album.artist or None,
                "album": album.name,
                "genre": decision.genres[0],
                "genres": list(decision.genres),
                "probability": 1.0,  # nobody is surer than who has heard it
                "unsure": False,
                "status": album.status,
                "tag_unknown": False,
                "in_training": False,
                "out_of_fold": False,
                "tracks": [{"path": track.path} for track in album.tracks],
            }
        )
    return rows


def mode_of(text: str) -> str:
    """A mode that somebody sent; that of a review for anything else."""
    return text if text in MODES else MODE


def _shown(journal: Journal) -> ShownJournal:
    return ShownJournal(
        journal.name,
        time.strftime("%Y-%m-%d %H:%M", time.localtime(journal.when)),
        str(journal.head.get("command", "")),
        len(journal.records()),
        len(journal.open_records()),
    )
