"""Tracks that are in a library twice: the same audio, an album in two places, or encoded anew.

Each pair of tracks is told once, by what is surest of it, and pairs of the same two folders
together.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..datasets.audit import equal_audio
from ..datasets.credits import same_name
from ..datasets.near_duplicates import find_near_duplicates
from ..errors import DataError
from ..features.store import FeatureStore
from ..tracks import Tracks

_SAME, _ALBUM, _LIKELY, _NEAR = 1.0, 0.9, 0.7, 0.5  # how sure
_APART, _SHARE = 2.0, 0.01  # seconds, and share of a track, by which its copies differ in length

_Pairs = dict[tuple[int, int], tuple[float, str]]  # rows; how sure, and why


@dataclass(frozen=True)
class Copies:
    """Tracks of one folder that are in another folder, or in the same one, again.

    Attributes
    ----------
    places : tuple of two str
        Folders.
    first, second : tuple of int
        Rows of the tracks, pair by pair.
    sure : float in [0, 1]
        Of the surest pair.
    why : str
        What speaks for it.
    """

    places: tuple[str, str]
    first: tuple[int, ...]
    second: tuple[int, ...]
    sure: float
    why: str


def find_copies(
    tracks: Tracks,
    *,
    features: FeatureStore | None = None,
    hashes: NDArray[np.str_] | None = None,
) -> list[Copies]:
    """Find tracks that are there twice, the surest first.

    Parameters
    ----------
    tracks : Tracks
        Of a scanned folder.
    features : FeatureStore, optional
        Compare every track with every other.
    hashes : str array, shape (n,), optional
        Of the audio, ``""`` unknown.
    """
    pairs: _Pairs = {}
    if hashes is not None:
        row_of = {track_id: row for row, track_id in enumerate(tracks.track_id.tolist())}
        for group in equal_audio(tracks, hashes):
            first, *others = (row_of[track_id] for track_id in group.tracks)
            for other in others:
                _keep(pairs, first, other, _SAME, "the same audio")
    _in_two_places(tracks, pairs)
    if features is not None:
        _nearly_equal(tracks, features, pairs)
    together: dict[tuple[str, str], list[tuple[int, int, float, str]]] = defaultdict(list)
    for (first, second), (sure, why) in sorted(pairs.items()):
        here, there = (os.path.dirname(str(tracks.path[row])) for row in (first, second))
        if here > there:
            first, second, here, there = second, first, there, here
        together[here, there].append((first, second, sure, why))
    found = [
        Copies(
            places,
            tuple(pair[0] for pair in some),
            tuple(pair[1] for pair in some),
            *max((sure, why) for *_, sure, why in some),
        )
        for places, some in together.items()
    ]
    return sorted(found, key=lambda copies: (-copies.sure, -len(copies.first), copies.places))


def _keep(pairs: _Pairs, one: int, other: int, sure: float, why: str) -> None:
    """Keep what is surest of a pair."""
    pair = min(one, other), max(one, other)
    pairs[pair] = max(pairs.get(pair, (0.0, "")), (sure, why))


def _in_two_places(tracks: Tracks, pairs: _Pairs) -> None:
    """Tracks of one album, number and title in two folders, or in two formats."""
    columns = {name: tracks.columns[name].tolist() for name in ("disc", "track_number", "title")}
    ids = zip(tracks.artist_id.tolist(), tracks.album_id.tolist(), strict=True)
    seen: dict[tuple[int | str, ...], list[int]] = defaultdict(list)
    for row, (artist, album) in enumerate(ids):
        title, number = same_name(columns["title"][row]), columns["track_number"][row]
        if artist >= 0 and album >= 0 and title:
            seen[artist, album, max(columns["disc"][row], 1), number, title].append(row)
    for first, *others in seen.values():
        for other in others:
            alike = _as_long(tracks, first, other)
            if alike is not False and _kept_apart(tracks, first, other):
                _keep(pairs, first, other, _ALBUM if alike else _LIKELY, "one album and title")


def _kept_apart(tracks: Tracks, one: int, other: int) -> bool:
    """Whether two files lie in two folders or have two formats."""
    first, second = (os.path.splitext(str(tracks.path[row])) for row in (one, other))
    return os.path.dirname(first[0]) != os.path.dirname(second[0]) or first[1] != second[1]


def _nearly_equal(tracks: Tracks, features: FeatureStore, pairs: _Pairs) -> None:
    """Tracks as long as each other whose features nearly agree."""
    try:
        near = find_near_duplicates(tracks, features)
    except DataError:  # too few of them, or of the features
        return
    firsts, seconds = tracks.rows(near.first).tolist(), tracks.rows(near.second).tolist()
    titles = tracks.columns["title"]
    for one, other, distance in zip(firsts, seconds, near.distance.tolist(), strict=True):
        if not _as_long(tracks, one, other):
            continue
        title = same_name(str(titles[one]))
        same = bool(title) and title == same_name(str(titles[other]))
        sure = _ALBUM if same else _NEAR + (_ALBUM - _NEAR) * (1 - distance / near.threshold)
        _keep(pairs, one, other, round(sure, 4), "nearly the same sound")


def _as_long(tracks: Tracks, one: int, other: int) -> bool | None:
    """Whether two tracks are equally long, None where that is unknown."""
    lengths = tracks.columns["duration"][[one, other]]
    if not np.isfinite(lengths).all():
        return None
    return bool(abs(lengths[0] - lengths[1]) <= max(_APART, _SHARE * lengths.max()))
