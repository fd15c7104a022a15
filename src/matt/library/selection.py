"""Which albums of a library are asked for: some files, what is new, what has no genre."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import translate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..datasets.folder import Scan
from ..errors import ConfigError
from ..tracks import Tracks
from .status import DISAGREES

_AGO = re.compile(r"(\d{1,5})\s*([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Selection:
    """What is asked of a library; by default everything.

    Attributes
    ----------
    only, exclude : tuple of str
        Patterns of files, as in ``Jazz/*``, relative to the folder that is named; ``*`` stands for
        any text, and letter case does not matter. What matches a folder matches all in it, and a
        pattern without ``/`` is also that of a name anywhere. An album is what is left of it.
    since : datetime, optional
        Only albums with a file that was changed since then; a file without a usable time counts.
    untagged : bool
        Only albums without any genre tag.
    disagree : bool
        Only albums whose tag and music differ.

    Raises
    ------
    ConfigError
        If a pattern is empty, or an album would have to be untagged and yet disagree with its tag.
    """

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    since: datetime | None = None
    untagged: bool = False
    disagree: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.since, datetime | None):
            raise ConfigError(
                f"since is {self.since!r}; give a datetime, as matt.library.selection.since does"
            )
        for name in ("only", "exclude"):
            if not all(pattern.strip("/") for pattern in getattr(self, name)):
                raise ConfigError(f"{name} has an empty pattern; say which files, as in 'Jazz/*'")
        if self.untagged and self.disagree:
            raise ConfigError(
                "an album without a tag cannot disagree with it; give untagged or disagree"
            )

    def of(
        self, scan: Scan, *, by: str | Sequence[str] = "album", root: Path | None = None
    ) -> Scan:
        """The same scan with the tracks that are asked for, perhaps none, before they are heard.

        Patterns are relative to ``root``, by default that of the scan.
        """
        tracks = scan.tracks
        if self.only or self.exclude:
            tracks = tracks.take(self.named(_relative(tracks.path.tolist(), root or scan.root)))
        if self.since is not None and len(tracks):
            changed = tracks.columns["mtime_ns"]
            late = (changed <= 0) | (changed >= self.since.timestamp() * 1e9)
            tracks = tracks.take(_in_any(tracks, late, by))
        if (self.untagged or self.disagree) and len(tracks):
            tagged = _in_any(tracks, tracks.labelled, by)
            tracks = tracks.take(~tagged if self.untagged else tagged)
        return replace(scan, tracks=tracks)

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Of album rows those that are asked for, now that it is known what they say."""
        return [row for row in rows if not self.disagree or row["status"] == DISAGREES]

    def named(self, paths: Sequence[str]) -> NDArray[np.bool_]:
        """Which of some paths, relative to the folder that is named, `only` and `exclude` leave."""
        only, exclude = (_Patterns(patterns) for patterns in (self.only, self.exclude))
        return np.array(
            [(not self.only or only.match(path)) and not exclude.match(path) for path in paths],
            bool,
        )


class _Patterns:
    """Patterns of files, each compiled once; folders are asked once for all of their files."""

    def __init__(self, patterns: Sequence[str]) -> None:
        given = [pattern.strip("/") for pattern in patterns]
        self._whole = _compiled(given)
        self._name = _compiled(pattern for pattern in given if "/" not in pattern)
        self._known: dict[str, bool] = {}

    def match(self, path: str) -> bool:
        """Whether a path, or a folder above it, is meant."""
        ends = [place for place, char in enumerate(path) if char == "/"]
        return any(self._folder(path[:end]) for end in ends) or self._meant(path)

    def _folder(self, path: str) -> bool:
        if path not in self._known:
            self._known[path] = self._meant(path)
        return self._known[path]

    def _meant(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        return bool(
            (self._whole is not None and self._whole.match(path))
            or (self._name is not None and self._name.match(name))
        )


def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern for several; None for none, since an empty one would match anything."""
    told = "|".join(map(translate, patterns))
    return re.compile(told, re.IGNORECASE) if told else None


def _relative(paths: Sequence[str], root: Path) -> list[str]:
    """Paths below the root, with ``/`` between the parts."""
    above = os.path.join(root, "")
    return [path.removeprefix(above).replace(os.sep, "/") for path in paths]


def _in_any(tracks: Tracks, which: NDArray[np.bool_], by: str | Sequence[str]) -> NDArray[np.bool_]:
    """Tracks of the albums of which any track is one of these, shape (n,)."""
    bags = Bags.from_tracks(tracks, by=by)
    rows = tracks.rows(bags.track_ids)
    found = np.zeros(len(tracks), bool)
    found[rows] = np.repeat(np.logical_or.reduceat(which[rows], bags.offsets[:-1]), bags.sizes)
    return found


def since(text: str, *, now: datetime | None = None) -> datetime:
    """The time that a text means: a date, with a time of day if need be, or how long ago.

    Raises
    ------
    ConfigError
        If it is neither, or lies in the future.

    Examples
    --------
    >>> now = datetime(2026, 11, 29, 12)
    >>> [since(text, now=now).isoformat(" ", "hours") for text in ("2026-11-01", "7d", "36h")]
    ['2026-11-01 00', '2026-11-22 12', '2026-11-28 00']
    """
    now = now or datetime.now()
    if ago := _AGO.fullmatch(text.strip().lower()):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            return datetime.fromtimestamp(0)
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"since is {text!r}, which is no time; give a date as 2026-11-01, or how long ago as "
            "7d, 36h or 2w"
        ) from None
    if when.timestamp() > now.timestamp():
        raise ConfigError(f"since is {text!r}, which is yet to come; give a time that has been")
    return when
