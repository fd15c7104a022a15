"""A plan: what is to be written into which file, and why; a file that can be edited."""

from __future__ import annotations

import json
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.genres import Vocabulary
from ..errors import AudioError, DataError
from ..evaluation.tables import Table, percent
from ..files import read_json, write_text
from ..library.export import SCHEMAS
from .families import FIELDS, Values
from .fields import read_fields
from .policy import Policy
from .writing import Wish

SCHEMA, SUFFIX = "matt.plan/1", ".jsonl"
_MOST_LINE, _MOST_CHANGES = 1 << 20, 5_000_000
_MOST_JSON = 1 << 30  # bytes
_LONGEST, _MOST_VALUES = 200, 20  # characters of a value, and values of a field
_SAID = "they say so already", "they have a genre already"
_FURTHER = 0.5  # of the likeliest genre's probability: what a further one needs


@dataclass(frozen=True)
class Change:
    """One field of one file.

    Attributes
    ----------
    path : str
        Absolute.
    field : {"genre", "mood", "grouping"}
    old, new : tuple of str
    why : str
    size, mtime_ns : int
        That the file had when the plan was made.
    """

    path: str
    field: str
    old: Values
    new: Values
    why: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Plan:
    """What is to be written.

    Attributes
    ----------
    root : str
        Folder outside of which nothing is written.
    changes : tuple of Change
    left : mapping of str to int
        Files in which nothing is to be changed, by the reason.
    failures : tuple of (str, str)
        Files that cannot be read or written, and why.
    """

    root: str
    changes: tuple[Change, ...]
    left: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        rows: Iterable[Mapping[str, Any]],
        policy: Policy,
        vocabulary: Vocabulary,
        *,
        root: Path | str | None = None,
        told: Callable[[], None] | None = None,
    ) -> Plan:
        """Make a plan of what was predicted.

        Parameters
        ----------
        rows : iterable of mapping
            Of albums or of tracks, as ``matt predict`` writes them (`matt.library.export`).
        policy : Policy
        vocabulary : Vocabulary
        root : path, optional
            Folder outside of which nothing is written; by default the one that holds all files.
        told : callable, optional
            Called after each file that was looked at.
        """
        wanted = list(_wanted(rows, policy))
        paths = [path for path, *_ in wanted]
        root = os.path.realpath(root if root is not None else _common(paths))
        changes: list[Change] = []
        left: Counter[str] = Counter()
        failures: list[tuple[str, str]] = []
        for path, given, why in wanted:
            if not given:
                left[why] += 1
                continue
            try:
                some = list(_changes(path, given, why, policy, vocabulary))
                _check_inside(path, root)
            except (DataError, AudioError, OSError) as error:
                failures.append((path, str(error)))
                continue
            changes += some
            left[_SAID[policy.mode == "fill-empty"]] += not some
            if told is not None:
                told()
        return cls(root, tuple(changes), {why: n for why, n in left.items() if n}, tuple(failures))

    def save(self, path: Path) -> None:
        """Write it as JSON lines: one for the plan, one for each change, to be edited."""
        head = {"schema": SCHEMA, "root": self.root}
        lines = [head, *(_line(change) for change in self.changes)]
        write_text(path, "".join(json.dumps(line) + "\n" for line in lines))

    @classmethod
    def open(cls, path: Path) -> Plan:
        """Read a plan, which anybody may have edited.

        Raises
        ------
        DataError
            If a line is none of a plan, or leads out of its folder.
        """
        root, changes = "", []
        for number, told in enumerate(_lines(path), start=1):
            try:
                if number == 1:
                    if told.get("schema") != SCHEMA:
                        raise ValueError(f"the schema is not {SCHEMA}")
                    root = os.path.realpath(_text(told["root"], most=1 << 15))
                    continue
                change = _change(told)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{path}, line {number}: {error!s}; mend or remove the line, or make a new plan"
                ) from error
            _check_inside(change.path, root)
            changes.append(change)
        if not root:
            raise DataError(f"{path} is empty; make a plan with 'matt tag ... --plan {path.name}'")
        return cls(root, tuple(changes))

    def wishes(self) -> list[Wish]:
        """What is to be written, one a file."""
        new: dict[str, dict[str, Values]] = {}
        stamps: dict[str, tuple[int, int]] = {}
        for one in self.changes:
            new.setdefault(one.path, {})[one.field] = one.new
            stamps[one.path] = one.size, one.mtime_ns
        return [Wish(Path(path), values, stamps[path]) for path, values in new.items()]

    def table(self) -> Table:
        """One line a change, as a person reads it."""
        several = len({one.field for one in self.changes}) > 1
        return Table.of(
            "What would be written",
            self.changes,
            ("file", "text", lambda one: os.path.relpath(one.path, self.root)),
            *([("field", "text", lambda one: one.field)] if several else []),
            ("has", "text", lambda one: "; ".join(one.old)),
            ("gets", "text", lambda one: "; ".join(one.new)),
            ("why", "text", lambda one: one.why),
            cut=True,
        )

    def summary(self) -> str:
        """What it comes to, in a line."""
        n = len({one.path for one in self.changes})
        parts = [f"{n:,} file{'s' * (n != 1)} to write"]
        parts += [f"{many:,} left alone: {why}" for why, many in sorted(self.left.items())]
        if self.failures:
            parts.append(f"{len(self.failures):,} that cannot be written")
        return "; ".join(parts)


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """Read the .json that ``matt predict --out`` wrote: of albums, or of tracks.

    Raises
    ------
    DataError
        If it is nothing of the kind.
    """
    if path.suffix.lower() != ".json":
        raise DataError(
            f"{path} does not tell all that is needed; give the folder, or what "
            "'matt predict --out genres.json' writes"
        )
    told = read_json(path, most=_MOST_JSON, remedy="make the predictions again")
    for level, schema in SCHEMAS.items():
        if isinstance(told, dict) and told.get("schema") == schema:
            return _objects(told.get(f"{level}s"), path)
    raise DataError(f"{path} is nothing that 'matt predict --out genres.json' wrote")


def _objects(told: Any, path: Path) -> list[dict[str, Any]]:
    if not isinstance(told, list) or not all(isinstance(row, dict) for row in told):
        raise DataError(f"{path} is damaged: its rows are no objects")
    return told


# ---- of predictions ----


def _wanted(
    rows: Iterable[Mapping[str, Any]], policy: Policy
) -> Iterator[tuple[str, dict[str, Values], str]]:
    """Each file with what its fields are to get and why, or with nothing and why not."""
    for row in rows:
        given, why = given_by(row, policy)
        tracks = row.get("tracks") or [row]
        for track in tracks:
            path = track.get("path") if isinstance(track, dict) else None
            if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:
                raise DataError(
                    f"{path!r} is no absolute path of a file; make the predictions anew"
                )
            yield path, given, why


def given_by(row: Mapping[str, Any], policy: Policy) -> tuple[dict[str, Values], str]:
    """What a row gives each field, and why; or nothing, and why not."""
    genre, sure = row.get("genre"), row.get("probability")
    if not isinstance(genre, str) or not genre:
        return {}, "not sure"
    if not isinstance(sure, int | float) or not math.isfinite(sure):
        return {}, "not sure"
    if policy.min_sure is None and row.get("unsure") is not False:
        return {}, "not sure"
    if policy.min_sure is not None and sure < policy.min_sure:
        return {}, f"less sure than {percent(policy.min_sure)}"
    if row.get("in_training") is True and not row.get("out_of_fold"):
        return {}, "the model knows their tag by heart"
    given: dict[str, Values] = {}
    if "genre" in policy.fields:
        given["genre"] = _genres(row, genre, sure, policy.most)
    if "mood" in policy.fields and isinstance(row.get("mood"), str):
        given["mood"] = (row["mood"],)
    if "grouping" in policy.fields:
        above = row.get("genre_path")
        way = above if isinstance(above, list) else str(above or genre).split(" > ")
        given["grouping"] = (str(way[0]),)
    return {name: values for name, values in given.items() if values[0]}, _why(row, sure)


def _genres(row: Mapping[str, Any], genre: str, sure: float, most: int) -> Values:
    """The genre, and further ones that are nearly as likely, or that a model gives besides."""
    several = row.get("genres")
    found = [genre, *(several if isinstance(several, list) else [])]
    for one in row.get("top") or ():
        if isinstance(one, dict) and (one.get("probability") or 0) >= _FURTHER * sure:
            found.append(one.get("genre"))
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))[:most]


def _why(row: Mapping[str, Any], sure: float) -> str:
    return str(row.get("why") or f"{percent(sure)} sure")


def _changes(
    path: str, given: Mapping[str, Values], why: str, policy: Policy, vocabulary: Vocabulary
) -> Iterator[Change]:
    found = os.stat(path)
    said = read_fields(path)
    for name, values in given.items():
        new = policy.values(said[name], values, vocabulary)
        if new is not None:
            yield Change(path, name, said[name], new, why, found.st_size, found.st_mtime_ns)


def _common(paths: Sequence[str]) -> str:
    folders = {os.path.dirname(path) for path in paths}
    try:
        return os.path.commonpath(folders) if folders else os.getcwd()
    except ValueError as error:  # two drives
        raise DataError("the files lie on two drives; make a plan for each") from error


def _check_inside(path: str, root: str) -> None:
    """Refuse a file that lies, or leads, out of a folder."""
    real = os.path.realpath(path)
    if os.path.commonpath([root, real]) != root:
        raise DataError(f"{path} lies, or leads, out of {root}; nothing is written there")


# ---- files ----


def _line(change: Change) -> dict[str, Any]:
    return {
        "path": change.path,
        "field": change.field,
        "old": change.old,
        "new": change.new,
        "why": change.why,
        "size": change.size,
        "mtime_ns": change.mtime_ns,
    }


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, "rb") as file:
            for number in range(1, _MOST_CHANGES):
                line = file.readline(_MOST_LINE + 1)
                if not line:
                    return
                if len(line) > _MOST_LINE:
                    raise DataError(f"{path}, line {number} is longer than any line of a plan")
                if not line.strip():
                    continue
                told = json.loads(line, parse_constant=_no_number)
                if not isinstance(told, dict):
                    raise ValueError(f"line {number} is no object")
                yield told
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no plan: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _change(told: Mapping[str, Any]) -> Change:
    path, name = _text(told["path"], most=1 << 15), told["field"]
    if not os.path.isabs(path) or "\0" in path:
        raise ValueError(f"{path!r} is no absolute path")
    if name not in FIELDS:
        raise ValueError(f"{name!r} is no field; there are {', '.join(FIELDS)}")
    new = _values(told["new"])
    if not new:
        raise ValueError("'new' is empty, and nothing is ever removed")
    size, mtime_ns = told["size"], told["mtime_ns"]
    if type(size) is not int or type(mtime_ns) is not int:
        raise ValueError("'size' and 'mtime_ns' are whole numbers")
    return Change(path, name, _values(told["old"]), new, _text(told["why"]), size, mtime_ns)


def _values(told: Any) -> Values:
    if not isinstance(told, list) or len(told) > _MOST_VALUES:
        raise ValueError(f"values are a list of at most {_MOST_VALUES} texts")
    return tuple(_text(one) for one in told)


def _text(told: Any, *, most: int = _LONGEST) -> str:
    if not isinstance(told, str) or len(told) > most:
        raise ValueError(f"{str(told)[:40]!r} is no text of at most {most} characters")
    if most == _LONGEST and any(unicodedata.category(char) == "Cc" for char in told):
        raise ValueError(f"{told!r} has a character that steers")
    return told
