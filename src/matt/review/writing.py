"""What was decided, written into files: the same plan, the same journals as of ``matt tag``."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..datasets.genres import Vocabulary
from ..errors import ConfigError, DataError, MattError
from ..features.plan import stamp_of
from ..library.status import NEW
from ..processes import Pace
from ..tagging.journal import Journal, all_journals
from ..tagging.plan import TagPlan
from ..tagging.policy import MODES, MOST, Policy
from ..tagging.writing import FileOutcome, apply, undo
from .albums import Albums
from .decisions import Decisions, ReviewDecision

MODE = "replace"  # a person has said what is right
_GIVEN = "accepted", "changed"
_TOLD = {
    "Written": ("file was written", "files were written"),
    "Undone": ("file is as it was", "files are as they were"),
}


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


class WriteRun:
    """Files that are written, or given back, while pages are answered.

    Attributes
    ----------
    what : str
        What is done.
    total : int
        Files.
    outcomes : list of FileOutcome
        Of those that are done.
    failure : str
        Why it ended before all were done; empty where it did not.
    """

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total = what, total
        self.outcomes: list[FileOutcome] = []
        self.failure = ""
        self._pace = Pace(total)
        self._stopped, self._over = threading.Event(), threading.Event()

    @property
    def over(self) -> bool:
        """Whether nothing is written any more."""
        return self._over.is_set()

    def told(self, n: int) -> str:
        """What is told of so many files."""
        one, several = _TOLD[self.what]
        return one if n == 1 else several

    @property
    def left(self) -> float | None:
        """Seconds until all is done; None until it can be told."""
        return self._pace.left

    def begin(self, work: Callable[..., Any]) -> None:
        """Work in a thread; ``work(told=...)`` tells of each file."""
        threading.Thread(target=self._work, args=(work,), name="writing").start()

    def wait(self, seconds: float) -> None:
        """Wait until it is over, but not longer."""
        self._over.wait(seconds)

    def stop(self) -> None:
        """End it after the file that is being written, and wait for that."""
        self._stopped.set()
        self._over.wait()

    def _work(self, work: Callable[..., Any]) -> None:
        self.failure = "it broke off; what is in the files is whole: see the terminal"
        try:
            work(told=self._tell)
            self.failure = ""
        except _Stopped:
            self.failure = "stopped; what is written is whole, and the rest is as it was"
        except MattError as error:
            self.failure = str(error)
        finally:
            self._over.set()

    def _tell(self, outcome: FileOutcome) -> None:
        self.outcomes.append(outcome)
        self._pace.tell(len(self.outcomes))
        if self._stopped.is_set() and len(self.outcomes) < self.total:
            raise _Stopped


class _Stopped(Exception):
    """Somebody wants no more to be written."""


class DecidedFiles:
    """What is to be written of the decisions about a library, and what was.

    Parameters
    ----------
    library : Path
    albums : Albums
    decisions : Decisions
    vocabulary : Vocabulary

    Attributes
    ----------
    run : WriteRun or None
        What is being written, or was last.
    """

    def __init__(
        self, library: Path, albums: Albums, decisions: Decisions, vocabulary: Vocabulary
    ) -> None:
        self._library, self._albums, self._decisions = library, albums, decisions
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._made: tuple[Any, ShownPlan] | None = None
        self.run: WriteRun | None = None

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
            rows = decided_rows(self._albums, latest)
            files = [stamp_of(track["path"]) for row in rows for track in row["tracks"]]
            asked = mode, tuple(latest.values()), files
            if self._made is None or self._made[0] != asked:
                plan = TagPlan.of(rows, policy, self._vocabulary, library=self._library)
                said = repr([(one.path, one.new, one.stamp) for one in plan.changes])
                name = blake2b(said.encode(errors="replace"), digest_size=12).hexdigest()
                self._made = asked, ShownPlan(plan, mode, name)
            return self._made[1]

    def write(self, mode: str, name: str) -> WriteRun:
        """Begin to write the plan that a page has shown.

        Raises
        ------
        ConfigError
            If something else would be written by now, or it is being written.
        """
        shown = self.plan(mode)
        if shown.name != name:
            raise ConfigError("something else was decided meanwhile; look at the plan again")
        wishes = shown.plan.wishes()
        work = partial(apply, wishes, f"matt review, {mode}")
        return self._begin(WriteRun("Written", len(wishes)), work)

    def journals(self) -> list[ShownJournal]:
        """Runs that wrote into this library, the last first."""
        return [_shown(journal) for journal in self._own()]

    def undo(self, name: str) -> WriteRun:
        """Begin to take back what a run wrote.

        Raises
        ------
        ConfigError
            If it wrote nothing here, or something is being written.
        """
        journal = next((one for one in self._own() if one.name == name), None)
        if journal is None:
            raise ConfigError("there is no such run of this library; look at the list again")
        run = WriteRun("Undone", journal.n_left)
        return self._begin(run, partial(undo, journal))

    def stop(self) -> None:
        """Write no further file, and wait for the one that is being written."""
        if self.run is not None:
            self.run.stop()

    def _begin(self, run: WriteRun, work: Callable[..., Any]) -> WriteRun:
        with self._lock:
            if self.run is not None and not self.run.over:
                raise ConfigError("files are being written; wait, or stop that")
            self.run, self._made = run, None
        run.begin(partial(self._done, work))
        return run

    def _done(self, work: Callable[..., Any], *, told: Callable[[FileOutcome], None]) -> None:
        try:
            work(told=told)
        finally:
            with self._lock:
                self._made = None  # files say something else now

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
                "status": NEW,  # what the tag says is no reason against what a person says
                "why": decision.verdict,
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
