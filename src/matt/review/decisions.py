"""Decisions: what a person said of albums, in one file a library that only ever grows.

Each line is JSON with a check sum of its own and is synced before anybody is told that it is kept.
A line that a kill cut off, or a disk damaged, costs itself alone. Undoing adds a line, too. Files
lie in ``$MATT_JOURNALS/decisions``, by default in the user's data: nothing can compute them again.
"""

from __future__ import annotations

import json
import math
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..datasets.memory import library_key
from ..errors import ConfigError, DataError, check_arguments, did_you_mean

VERDICTS = ("accepted", "changed", "rejected", "kept")
MOST_GENRES, MOST_LETTERS = 20, 200  # of one decision, of one genre
_SCHEMA = "matt.decisions/1"
_MOST = 2**28  # bytes of a file: a million decisions
_WAIT = 10.0  # seconds for another process that adds a line
_locks: dict[Path, threading.Lock] = {}


@dataclass(frozen=True)
class ReviewDecision:
    """What a person said of one album.

    Attributes
    ----------
    album : str
        Which: its `album_key`.
    track_ids : tuple of int
        Its tracks when it was decided.
    verdict : {"accepted", "changed", "rejected", "kept"}
        The model's genre is right; another one is; it is wrong and nobody says what is right; the
        tag stays as it is.
    genres : tuple of str
        What is right: of ``accepted`` what the model said, of ``changed`` what the person says, of
        ``kept`` the genres of the tag, of ``rejected`` nothing.
    said : str or None
        The likeliest genre of the model then.
    sure : float or None
        Its probability, in [0, 1].
    when : float
        In seconds since 1970.

    Raises
    ------
    ConfigError
        If one of them cannot be so.
    """

    album: str
    track_ids: tuple[int, ...]
    verdict: str
    genres: tuple[str, ...]
    said: str | None
    sure: float | None
    when: float

    def __post_init__(self) -> None:
        check_arguments(
            album=(self.album, str),
            track_ids=(self.track_ids, tuple),
            genres=(self.genres, tuple),
            said=(self.said, str | None),
            sure=(self.sure, float | None),
            when=(self.when, float),
        )
        if self.verdict not in VERDICTS:
            raise ConfigError(
                f"verdict is {self.verdict!r}; {did_you_mean(self.verdict, VERDICTS)}"
            )
        if not all(type(one) is int for one in self.track_ids):
            raise ConfigError("track_ids holds something else than whole numbers")
        if len(self.genres) > MOST_GENRES:
            raise ConfigError(
                f"genres has {len(self.genres)} of them; at most {MOST_GENRES} are one album's"
            )
        for genre in self.genres:
            if not isinstance(genre, str) or not 0 < len(genre.strip()) <= MOST_LETTERS:
                raise ConfigError(
                    f"a genre is {str(genre)[:50]!r}; say 1 to {MOST_LETTERS} letters"
                )
        if (self.verdict == "rejected") != (not self.genres) and self.verdict != "kept":
            raise ConfigError(
                f"verdict is {self.verdict!r} with {len(self.genres)} genres; only 'rejected' "
                "has none, and it has none"
            )
        if self.sure is not None and not 0 <= self.sure <= 1:
            raise ConfigError(f"sure is {self.sure}; a probability is in [0, 1]")
        if not math.isfinite(self.when):
            raise ConfigError(f"when is {self.when}; give seconds")


def album_key(row: Mapping[str, Any], root: Path | str) -> str:
    """Name of an album that lasts: 16 hex digits of its artist, title and folder in the library.

    Parameters
    ----------
    row : mapping
        Of `matt.library.albums.album_rows`.
    root : path
        The library, which may move as a whole.

    Examples
    --------
    >>> row = {"artist": "Ann", "album": "One", "title": None, "path": "/music/Ann/One"}
    >>> album_key(row, "/music") == album_key(row | {"path": "/nas/Ann/One"}, "/nas")
    True
    """
    place = os.path.relpath(row["path"], root) if row["path"] else ""
    names = [row["artist"], row["album"], None if row["album"] else row["title"], place]
    text = json.dumps(names).encode()  # ASCII: names may hold halves of characters
    return blake2b(text, digest_size=8).hexdigest()


def decisions_folder() -> Path:
    """Where decisions are kept; it need not be there."""
    import platformdirs

    given = os.environ.get("MATT_JOURNALS")
    journals = Path(given).absolute() if given else platformdirs.user_data_path("matt") / "journals"
    return journals / "decisions"


class Decisions:
    """All decisions about one library; what other processes add is seen, too.

    Parameters
    ----------
    path : Path
        The file; made with the first decision.

    Attributes
    ----------
    damaged : int
        Lines that could not be read, and were passed over.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.damaged = path, 0
        self._log: list[
            ReviewDecision
        ] = []  # those that stand, in the order in which they were made
        self._read = 0  # bytes
        self._lock = _locks.setdefault(path, threading.Lock())

    @classmethod
    def open(cls, library: Path) -> Decisions:
        """Open the decisions about a library, there or not yet."""
        return cls(decisions_folder() / f"{library_key(library)}.jsonl")

    def add(self, decision: ReviewDecision) -> None:
        """Keep a decision: it is on the disk when this returns.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        check_arguments(decision=(decision, ReviewDecision))
        with self._held():
            self._append({"decision": asdict(decision)})

    def undo_last(self) -> ReviewDecision | None:
        """Take back the last decision that stands, and give it; None where there is none."""
        with self._held():
            self._catch_up()
            if not self._log:
                return None
            last = self._log[-1]
            self._append({"undo": True})
            return last

    def latest(self) -> dict[str, ReviewDecision]:
        """The decision that stands of each album, by its key, the one made last at the end."""
        found: dict[str, ReviewDecision] = {}
        for decision in self.log():
            found.pop(decision.album, None)
            found[decision.album] = decision
        return found

    def log(self) -> list[ReviewDecision]:
        """All decisions that were not undone, also those that later ones replaced, in order."""
        with self._lock:
            self._catch_up()
            return list(self._log)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Be the only one who adds, among threads and processes."""
        import filelock

        with self._lock:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with filelock.FileLock(f"{self.path}.lock", timeout=_WAIT):
                    yield
            except filelock.Timeout:
                raise DataError(
                    f"{self.path} is being written by another process; try again"
                ) from None
            except OSError as error:
                raise DataError(
                    f"cannot write {self.path}: {error.strerror or error}; nothing was decided: "
                    "check the folder, its permissions and the room on the disk"
                ) from error

    def _append(self, content: dict[str, Any]) -> None:
        text = json.dumps({"schema": _SCHEMA, **content}, allow_nan=False)
        line = f"{zlib.crc32(text.encode()):08x} {text}\n".encode()
        with open(self.path, "ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                line = b"\n" + line  # after what a kill cut off
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)  # what is half there is nothing
                raise
        if not end and os.name == "posix":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._catch_up()

    def _catch_up(self) -> None:
        """Read what was added since."""
        try:
            self._read_on()
        except OSError as error:
            raise DataError(
                f"cannot read {self.path}: {error.strerror or error}; nothing was decided: check "
                "its permissions, or move it away"
            ) from error

    def _read_on(self) -> None:
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            size = 0
        if size > _MOST:
            raise DataError(f"{self.path} has more than {_MOST:,} bytes; move it away")
        if size < self._read:  # somebody has put another one in its place
            self._log, self._read, self.damaged = [], 0, 0
        if size == self._read:
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read(size - self._read)
        whole = text.rfind(b"\n") + 1
        if _is_whole(text[whole:]):  # else it is being written, or was cut off
            whole = len(text)
        for line in text[:whole].split(b"\n"):
            if line:
                self._take(line)
        self._read += whole

    def _take(self, line: bytes) -> None:
        try:
            found, text = line.split(b" ", 1)
            if int(found, 16) != zlib.crc32(text):
                raise ValueError("the check sum differs")
            content = json.loads(text)
            if content["schema"] != _SCHEMA:
                raise ValueError("another schema")
            if content.get("undo"):
                del self._log[-1:]
                return
            told = content["decision"]
            told |= {name: tuple(told[name]) for name in ("track_ids", "genres")}
            self._log.append(ReviewDecision(**told))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.damaged += 1


def _is_whole(line: bytes) -> bool:
    """Whether a line without an end lacks only that."""
    check, _, text = line.partition(b" ")
    return bool(text) and check == b"%08x" % zlib.crc32(text)
