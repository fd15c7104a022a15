"""What is asked of matt, and what becomes of its answer. Knows nothing of Picard or Qt."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SCHEMA = "matt.albums/"
VERSION = 2
MODES = ("fill-empty", "append", "replace")
MOST_BYTES = 128 * 2**20
"""An answer longer than this is none: 100,000 tracks need half."""
MOST_PERCENT = 99
_MOST_GENRES = 20  # of one file
_LONGEST_GENRE = 200  # characters
_PROGRESS = re.compile(r"[^:]+: [\d,]+ of [\d,]+")
NO_GENRE = frozenset(
    ("other", "misc", "miscellaneous", "unknown", "unknown genre", "none", "no genre", "genre")
)
"""What stands for no genre; matt itself knows more such words, in more languages."""
_NAME_IT = "under Options > Plugins > matt: genres by ear"


class NoAnswer(Exception):
    """What matt said is no answer; its text says why."""


@dataclass(frozen=True)
class Settings:
    """What a person chose.

    Attributes
    ----------
    command : str
        Name or path of the program. It is one file, no command line.
    model : str
        Folder or file of a model; empty: the tagger that comes with matt.
    mode : {"fill-empty", "append", "replace"}
        Only files without a genre; beside the genres there are; instead of them.
    percent : int
        How sure matt must be, from 0 to 99; 0: as sure as the model thinks right.
    """

    command: str = "matt"
    model: str = ""
    mode: str = "fill-empty"
    percent: int = 0

    @classmethod
    def of(cls, stored: Mapping[str, object]) -> Settings:
        """Read what was stored; what makes no sense is as if it were not there."""
        command, model = (_text(stored.get(name)) for name in ("command", "model"))
        mode, percent = stored.get("mode"), stored.get("percent")
        sane = isinstance(percent, int) and 0 <= percent <= MOST_PERCENT
        return cls(
            command=command or cls.command,
            model=model,
            mode=mode if isinstance(mode, str) and mode in MODES else cls.mode,
            percent=percent if sane else cls.percent,
        )

    def arguments(self) -> list[str]:
        """Arguments of the program; the files are told by `listed`, on its standard input."""
        bar = ["--abstain-below", f"{self.percent / 100:g}"] if self.percent else []
        # One word, so that no name is taken for an option.
        model = [f"--model={os.path.expanduser(self.model)}"] if self.model else []
        return ["predict", "--json", *bar, *model, "-"]


def listed(paths: Iterable[str]) -> bytes:
    """Files as the program reads them: absolute, each once, a NUL after each."""
    names = dict.fromkeys(os.path.abspath(path) for path in paths)
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def environment(own: Mapping[str, str], *, frozen: bool) -> dict[str, str]:
    """Environment of the program: that of Picard without what is meant for Picard's own Python."""
    env = {name: value for name, value in own.items() if name != "PYTHONHOME"}
    if frozen:  # a bundle lends its libraries to its children, and keeps what was there before
        for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
            before = env.pop(f"{name}_ORIG", "")
            env.pop(name, None)
            if before:
                env[name] = before
    return env


@dataclass(frozen=True)
class Answer:
    """What matt said.

    Attributes
    ----------
    genres : dict
        Genres of a file, by `known_as` of its path. Empty where matt is not sure.
    failed : dict
        Why files could not be heard, likewise.
    """

    genres: dict[str, tuple[str, ...]]
    failed: dict[str, str]

    def of(self, path: str) -> tuple[str, ...] | None:
        """Genres of a file; None where nothing is said of it.

        Of a file and links to it matt hears one, so a link has the answer of what it leads to.
        """
        for name in (path, os.path.realpath(path)):
            known = known_as(name)
            if known in self.genres:
                return self.genres[known]
            if known in self.failed:
                return ()
        return None

    @classmethod
    def read(cls, said: bytes) -> Answer:
        """Read what the program printed. Whatever has not the shape it must have is left out.

        Raises
        ------
        NoAnswer
            If it is no answer at all, of another version, or says itself what went wrong.
        """
        try:
            document = json.loads(said.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError) as error:
            raise NoAnswer(f"what it printed is no JSON ({error})") from None
        if not isinstance(document, dict):
            raise NoAnswer("what it printed is no answer")
        if isinstance(document.get("error"), str):
            raise NoAnswer(document["error"])
        schema = document.get("schema")
        if not isinstance(schema, str) or not schema.startswith(SCHEMA):
            raise NoAnswer("what it printed has no albums")
        if schema != f"{SCHEMA}{VERSION}":
            raise NoAnswer(
                f"it answers in {schema}, and {SCHEMA}{VERSION} is read here; bring both up to date"
            )
        genres = {
            known_as(path): _given(album)
            for album in _dicts(document.get("albums"))
            for track in _dicts(album.get("tracks"))
            if (path := _text(track.get("path")))
        }
        failed = {
            known_as(path): _text(failure.get("reason")) or "no reason was said"
            for failure in _dicts(document.get("failures"))
            if (path := _text(failure.get("path")))
        }
        return cls(genres, failed)


def tells_progress(line: str) -> bool:
    """Whether a line of matt says how far it is; others are for a terminal, and for the log."""
    return _PROGRESS.match(line) is not None


def unstartable(command: str, why: str) -> str:
    """What is said of a program that the system does not start, and why that is."""
    path = os.path.expanduser(command)
    if os.path.dirname(path) and os.path.isdir(path):
        return f"{command!r} is a folder; name the program that lies in it {_NAME_IT}"
    if os.path.dirname(path) and os.path.exists(path):
        return f"{command!r} cannot be executed ({why}); name a program {_NAME_IT}"
    return (
        f"the program {command!r} was not found; install it with 'pip install matt-mgc', or name "
        f"where it is {_NAME_IT}"
    )


def known_as(path: str) -> str:
    """Name by which a file is the same for Picard and for matt."""
    return os.path.normcase(os.path.abspath(path))


def chosen(old: Sequence[str], given: Sequence[str], mode: str) -> list[str] | None:
    """Genres that a file gets; None where it is left as it is, as always where nothing is given.

    Parameters
    ----------
    old : sequence of str
        What stands there.
    given : sequence of str
        What matt says; nothing where it is not sure.
    mode : {"fill-empty", "append", "replace"}

    Examples
    --------
    >>> chosen(["Rock"], ["Indie"], "fill-empty")
    >>> chosen(["Rock"], ["rock", "Indie"], "append")
    ['Rock', 'Indie']
    """
    kept = [value for value in old if value.strip() and value.strip().casefold() not in NO_GENRE]
    if not given or (kept and mode == "fill-empty"):
        return None
    before = kept if mode == "append" else []
    new: dict[str, str] = {}
    for value in [*before, *given]:
        new.setdefault(value.casefold(), value)
    values = list(new.values())
    nothing_new = {value.casefold() for value in given} <= {value.casefold() for value in before}
    return None if nothing_new or values == list(old) else values


def told(done: Mapping[str, int], answer: Answer, n_files: int) -> str:
    """What is said when a run is over.

    Parameters
    ----------
    done : mapping of str to int
        How many files were ``"changed"``, and how many ``"unanswered"``.
    answer : Answer
    n_files : int
    """
    n_changed, n_unanswered = done.get("changed", 0), done.get("unanswered", 0)
    parts = [f"genres suggested for {n_changed:,} of {n_files:,} files"]
    n_unsure = sum(not genres for genres in answer.genres.values())
    if n_unsure:
        parts.append(f"{n_unsure:,} not sure enough")
    if answer.failed:
        parts.append(f"{len(answer.failed):,} could not be heard, see the log")
    if n_unanswered:
        parts.append(f"{n_unanswered:,} that matt said nothing of")
    return "; ".join(parts) + (". Save to keep them" if n_changed else "")


def _given(album: Mapping[str, object]) -> tuple[str, ...]:
    """Genres of an album: several, or one, or none."""
    several = album.get("genres")
    values = several if isinstance(several, list) and several else [album.get("genre")]
    names = (" ".join(_text(value).split()) for value in values)
    return tuple(name for name in names if 0 < len(name) <= _LONGEST_GENRE)[:_MOST_GENRES]


def _dicts(value: object) -> list[dict]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value.strip("\0") if isinstance(value, str) else ""
