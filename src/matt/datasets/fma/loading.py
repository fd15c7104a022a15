"""Tracks and genres of FMA, from the index: only the columns and rows that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, did_you_mean
from ...tracks import Tracks
from .genre_tree import GenreTree
from .index_reading import read_genres, read_tracks
from .indexing import Index, open_index
from .places import audio_of, check_split, check_subset, clip
from .track_columns import LISTS

SHORT = {
    "title": "track_title",
    "artist": "artist_name",
    "album": "album_title",
    "duration": "track_duration",
    "genre_top": "track_genre_top",
    "date": "track_date_recorded",
}
"""Shorter names of some columns."""

COLUMNS = ("title", "artist", "album", "duration", "subset")
_FIELDS = ("track_id", "artist_id", "album_id", "split")


def load_tracks(
    directory: Path | str,
    subset: str = "medium",
    split: str | None = None,
    *,
    labels: str = "top",
    columns: Sequence[str] = COLUMNS,
    audio: Path | str | None = None,
) -> Tracks:
    """Tracks of FMA.

    Parameters
    ----------
    directory : path
        Folder that holds ``fma_metadata``, after ``matt fma index``.
    subset : {"small", "medium", "large", "full"}
        8,000, 25,000 or all 106,574 tracks; each holds the ones before it. ``"full"`` has the
        tracks of ``"large"``, as whole tracks instead of clips.
    split : {"training", "validation", "test"}, optional
        Of all splits by default: what a rare genre is, is counted from the training tracks of the
        table, so take a split with ``Bags.from_tracks(tracks, split="test")``.
    labels : {"top", "all"}
        ``"top"``: the top genre, -1 where a track has several (never in small and medium).
        ``"all"``: every genre of the hierarchy that a track belongs to, one column a genre.
    columns : sequence of str
        Further columns: those of `COLUMNS`, ``"genre_tags"`` (titles of all genres given to a
        track), ``"genre_top"``, or any column of tracks.csv by its flat name
        (``"album_listens"``). Only these are read. Long texts come as objects.
    audio : path, optional
        Folder of the clips; by default the one below ``directory``, if it is there.

    Returns
    -------
    Tracks
        In the order of their ids. Genres are those that occur in the subset, by name. An album that
        FMA does not know is -1, so that its tracks are bags of one. ``path`` is empty where there
        is no folder of audio; that a file is there is seen when it is read. Of a simulated FMA
        there is a further column ``simulated``.

    Raises
    ------
    DataError
        If there is no index, a CSV has changed since, a name is unknown, or a folder is the wrong
        one.

    Examples
    --------
    >>> from matt.datasets import fma
    >>> tracks = fma.load_tracks("data/fma", subset="medium")  # doctest: +SKIP
    >>> len(tracks), len(tracks.genres)  # doctest: +SKIP
    (25000, 16)
    """
    check_subset(subset)
    check_split(split)
    if labels not in ("top", "all"):
        raise DataError(f"unknown labels {labels!r}; {did_you_mean(labels, ('top', 'all'))}")
    opened = open_index(directory)
    full_names = [_full_name(opened, name) for name in columns]
    label_column = "track_genre_top" if labels == "top" else "track_genres_all"
    found = read_tracks(opened, subset, [*_FIELDS, label_column, *full_names])
    values: NDArray[Any]
    if labels == "top":
        genres, values = _top(found[label_column])
    else:
        genres, values = _all(*found[label_column], names=read_genres(opened).names)
    order = np.argsort(found["track_id"])
    if split is not None:
        order = order[found["split"][order] == split]
    kept = {name: found[full][order] for name, full in zip(columns, full_names, strict=True)}
    if opened.simulated:
        kept["simulated"] = np.ones(len(order), bool)
    ids = found["track_id"][order]
    folder = audio_of(opened.root, subset, audio)
    paths = [f"{folder}/{clip(i)}" for i in ids.tolist()] if folder else [""] * len(ids)
    return Tracks(
        ids,
        values[order],
        genres,
        artist_id=found["artist_id"][order],
        album_id=found["album_id"][order],
        split=found["split"][order],
        path=np.array(paths, np.str_),
        columns=kept,
    )


def load_genres(directory: Path | str) -> GenreTree:
    """FMA's hierarchy of genres.

    Raises
    ------
    DataError
        If there is no index.
    """
    return read_genres(open_index(directory))


def _full_name(opened: Index, name: str) -> str:
    known = opened.manifest["columns"]
    full = SHORT.get(name, name)
    if full not in known or full in (*_FIELDS, *LISTS):
        guess = did_you_mean(name, [*SHORT, *known])
        raise DataError(f"FMA has no further column {name!r} of tracks; {guess}")
    return full


def _top(titles: NDArray[np.str_]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Genres by name, and the label of each track, -1 where it is empty."""
    found, code = np.unique(titles, return_inverse=True)
    genres = tuple(title for title in found.tolist() if title)
    return genres, code - int(len(genres) < len(found))  # "" sorts first


def _all(
    ids: NDArray[np.int32], offsets: NDArray[np.int64], *, names: Mapping[int, str]
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Genres by name, and one column a genre, shape (n, G)."""
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    found, code = np.unique(ids, return_inverse=True)
    used = sorted((i for i in found.tolist() if i in names), key=lambda i: names[i])
    place = {i: label for label, i in enumerate(used)}
    target = np.array([place.get(i, -1) for i in found.tolist()], np.int64)[code]
    labels = np.zeros((len(offsets) - 1, len(used)), bool)
    labels[row[target >= 0], target[target >= 0]] = True
    return tuple(names[i] for i in used), labels
