"""Groups of tracks that belong together: those that cross splits, sound equal, or disagree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..tracks import Tracks


@dataclass(frozen=True)
class Group:
    """Tracks that belong together.

    Attributes
    ----------
    name : str
        The artist, the album, ... as the table calls it; else its id.
    tracks : tuple of int
        Ids.
    splits, genres : mapping of str to int
        In how many tracks each occurs.
    """

    name: str
    tracks: tuple[int, ...]
    splits: Mapping[str, int]
    genres: Mapping[str, int]

    @property
    def crosses(self) -> bool:
        """Whether its tracks are in more than one split."""
        return len(self.splits) > 1


@dataclass(frozen=True)
class Crossing:
    """Artists, albums or bags that are in more than one split.

    Attributes
    ----------
    n : int
        How many there are.
    n_tracks_without : int
        Tracks without such a group, because it is unknown.
    groups : tuple of Group
        Those that cross, the largest first.
    """

    n: int
    n_tracks_without: int
    groups: tuple[Group, ...]

    @property
    def n_tracks(self) -> int:
        """Tracks in groups that cross."""
        return sum(len(group.tracks) for group in self.groups)


def crossing_groups(tracks: Tracks, key: NDArray[np.int64], role: str) -> Crossing:
    """Groups by a key, shape (n,), -1 unknown, that have tracks in more than one split."""
    known = key >= 0
    rows = np.flatnonzero(known & (tracks.split != ""))
    _, code = np.unique(key[rows], return_inverse=True)
    pairs = np.unique(code * 4 + np.unique(tracks.split[rows], return_inverse=True)[1])
    times = np.bincount(pairs // 4, minlength=1)
    groups = _groups(tracks, rows, code, times > 1, role)
    return Crossing(len(np.unique(key[known])), int((~known).sum()), groups)


def equal_audio(tracks: Tracks, hashes: NDArray[np.str_]) -> tuple[Group, ...]:
    """Tracks with equal hashes, shape (n,); an empty one is unknown."""
    rows = np.flatnonzero(hashes != "")
    _, code = np.unique(hashes[rows], return_inverse=True)
    return _groups(tracks, rows, code, np.bincount(code, minlength=1) > 1, "hash")


def mixed_groups(
    tracks: Tracks, bag: NDArray[np.int64], n_bags: int
) -> tuple[int, tuple[Group, ...]]:
    """Bags of two labelled tracks or more, and those of them that disagree."""
    rows = np.flatnonzero(tracks.labelled)
    here = bag[rows]
    if not len(rows):
        return 0, ()
    labels = tracks.labels[rows]
    if tracks.multi_label:
        labels = np.packbits(labels, axis=1)  # an eighth of the bytes to sort
    _, kind = np.unique(labels, axis=0, return_inverse=True)
    kind = kind.reshape(-1)  # numpy 2.0 gives it another shape
    pairs = np.unique(here * (int(kind.max()) + 1) + kind)
    kinds = np.bincount(pairs // (int(kind.max()) + 1), minlength=n_bags)
    n_comparable = int((np.bincount(here, minlength=n_bags) > 1).sum())
    return n_comparable, _groups(tracks, rows, here, kinds > 1, "")


def _groups(
    tracks: Tracks,
    rows: NDArray[np.int64],
    code: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    role: str,
) -> tuple[Group, ...]:
    """The chosen groups, by a code for each of the given rows; the largest first."""
    if not len(rows):
        return ()
    order = np.argsort(code, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=len(chosen)))])
    groups = [
        _group(tracks, rows[order[starts[number] : starts[number + 1]]], role)
        for number in np.flatnonzero(chosen)
    ]
    return tuple(sorted(groups, key=lambda group: (-len(group.tracks), group.tracks)))


def _group(tracks: Tracks, rows: NDArray[np.int64], role: str) -> Group:
    splits, in_split = np.unique(tracks.split[rows], return_counts=True)
    labels = tracks.labels[rows]
    if tracks.multi_label:
        held = labels.sum(axis=0)
    else:
        held = np.bincount(labels[labels >= 0], minlength=len(tracks.genres))
    return Group(
        _name(tracks, int(rows[0]), role),
        tuple(tracks.track_id[rows].tolist()),
        {str(name): int(n) for name, n in zip(splits, in_split, strict=True) if name},
        {tracks.genres[g]: int(held[g]) for g in np.flatnonzero(held)},
    )


def _name(tracks: Tracks, row: int, role: str) -> str:
    """What a group is called, by its first track; a bag by artist and album."""
    if not role:
        parts = (_name(tracks, row, "artist"), _name(tracks, row, "album"))
        return " / ".join(part for part in parts if part) or f"track {_id(tracks, row)}"
    if role == "hash":
        return f"track {_id(tracks, row)}"
    columns = (role, f"{role}_name", f"{role}_key", f"{role}_title")
    named = next((str(tracks.columns[c][row]) for c in columns if c in tracks.columns), "")
    number = int(getattr(tracks, f"{role}_id")[row])
    return named or (f"{role} {number}" if number >= 0 else "")


def _id(tracks: Tracks, row: int) -> str:
    """Id of a track as its table has it."""
    return str(tracks.columns.get("track", tracks.track_id)[row])
