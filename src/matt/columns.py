"""What columns of a table of tracks must be: whole ids, one length, labels that name a genre."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError, first_few

MAX_ID = 2**53


def stable_id(text: str) -> int:
    """Id of a text, in [0, 2**53): the same on every machine and in every run.

    Examples
    --------
    >>> stable_id("Artist/Album/01.flac") == stable_id("Artist/Album/01.flac")
    True
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % MAX_ID


def check_whole(**columns: Any) -> None:
    """Refuse fractions where whole numbers are meant: they would be cut silently.

    Raises
    ------
    DataError
    """
    for name, column in columns.items():
        array = np.asarray(column)
        if array.dtype.kind not in "iub" and array.size:
            raise DataError(
                f"{name} must hold whole numbers, got {array.dtype} (first: {array.flat[0]!r}); "
                "for names make ids with matt.tracks.stable_id"
            )


def check_lengths(columns: Mapping[str, NDArray[Any]], n: int) -> None:
    """Refuse columns of another length than n.

    Raises
    ------
    DataError
    """
    for name, column in columns.items():
        if len(column) != n:
            raise DataError(
                f"column {name!r} has {len(column)} rows, track_id has {n}; give one a track"
            )


def check_ids(track_id: NDArray[np.int64]) -> None:
    """Refuse ids that repeat or lie outside [0, 2**53).

    Raises
    ------
    DataError
    """
    ids, times = np.unique(track_id, return_counts=True)
    if (times > 1).any():
        raise DataError(
            f"{int((times > 1).sum())} track ids occur more than once (first: "
            f"{first_few(ids[times > 1])}); give every track its own id"
        )
    if len(ids) and (ids[0] < 0 or ids[-1] >= MAX_ID):
        raise DataError(
            f"track ids must be in [0, 2**53), got {ids[0]} to {ids[-1]}; "
            "make ids from names with matt.tracks.stable_id"
        )


def check_labels(labels: NDArray[Any], genres: Sequence[str]) -> None:
    """Refuse genres that repeat and labels that name no genre.

    Parameters
    ----------
    labels : int array, shape (n,), or bool array, shape (n, G)
    genres : sequence of str, length G

    Raises
    ------
    DataError
    """
    if len(set(genres)) != len(genres):
        raise DataError(f"genres repeat: {first_few(genres)}; merge them first")
    if labels.ndim == 2:
        if labels.shape[1] != len(genres):
            raise DataError(
                f"labels have {labels.shape[1]} columns for {len(genres)} genres; "
                "give one column a genre"
            )
    elif len(labels) and (labels.min() < -1 or labels.max() >= len(genres)):
        raise DataError(
            f"labels run from {labels.min()} to {labels.max()} but there are "
            f"{len(genres)} genres; use -1 for unknown and 0 to {len(genres) - 1}"
        )


def relabel(labels: NDArray[Any], old: Sequence[str], new: Sequence[str]) -> NDArray[Any]:
    """Labels in another order of genres, matched by name; a genre that is not there is unknown.

    Parameters
    ----------
    labels : int array, shape (n,), or bool array, shape (n, len(old))
    old, new : sequence of str

    Returns
    -------
    int array, shape (n,), or bool array, shape (n, len(new))

    Examples
    --------
    >>> relabel(np.array([0, 1, -1]), ["Folk", "Rock"], ["Rock", "Jazz"])
    array([-1,  0, -1])
    """
    place = {genre: index for index, genre in enumerate(new)}
    target = np.array([place.get(genre, -1) for genre in old], np.int64)
    if labels.ndim == 1:
        return np.asarray(np.append(target, -1)[labels])  # -1, unknown, reads the last entry
    moved = np.zeros((len(labels), len(new)), bool)
    moved[:, target[target >= 0]] = labels[:, target >= 0]
    return moved
