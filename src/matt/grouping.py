"""Which rows belong together, and what they vote: on plain arrays, linear in their number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def group(columns: Iterable[NDArray[Any]], n: int) -> NDArray[np.int64]:
    """Group of each row, by equal values in all columns; a row with an unknown value is alone.

    Parameters
    ----------
    columns : iterable of array, shape (n,)
        -1, NaN and "" are unknown.
    n : int

    Returns
    -------
    int array, shape (n,)
        Numbered in order of first appearance.

    Examples
    --------
    >>> group([np.array([7, 3, 7, -1, -1])], 5)
    array([0, 1, 0, 2, 3])
    """
    key, alone = np.zeros(n, np.int64), np.zeros(n, bool)
    for column in columns:
        alone |= _unknown(column)
        code = _codes(column)
        key = _codes(key * (code.max() + 1) + code)
    return _codes(np.where(alone, n + np.arange(n), key))


def gather(
    offsets: NDArray[np.int64], which: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the chosen parts of a ragged array, and the offsets of the result.

    >>> gather(np.array([0, 2, 5, 6]), np.array([2, 0]))
    (array([5, 0, 1]), array([0, 1, 3]))
    """
    sizes = np.diff(offsets)[which]
    new = np.concatenate([[0], np.cumsum(sizes)])
    # Row i of the result sits (i - start of its new part) into its old part.
    return np.arange(new[-1]) + np.repeat(offsets[which] - new[:-1], sizes), new


def vote(
    bag: NDArray[np.int64], labels: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Majority of the known tracks of each bag, ties to the rarer genre: (n,) -> (b,)."""
    winner = np.full(int(bag.max()) + 1, -1, np.int64)
    known = labels >= 0
    if not known.any():
        return winner
    # Genres from the most common to the rarest, equal ones from the last to the first: of equal
    # votes the highest rank wins.
    order = np.lexsort((-np.arange(len(counts)), -counts))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(counts))
    # Only pairs that occur, so memory grows with tracks and not with bags x genres.
    pairs, votes = np.unique(bag[known] * len(counts) + labels[known], return_counts=True)
    which, genre = np.divmod(pairs, len(counts))  # sorted by bag
    starts = np.flatnonzero(np.diff(which, prepend=-1))
    best = np.maximum.reduceat(votes * len(counts) + rank[genre], starts)
    winner[which[starts]] = order[best % len(counts)]
    return winner


def vote_many(
    bag: NDArray[np.int64], labels: NDArray[np.bool_], counts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Genres of at least half the known tracks of each bag: (n, G) -> (b, G)."""
    n_bags = int(bag.max()) + 1
    row, genre = np.nonzero(labels)
    # Only pairs that occur: bags x genres counts of eight bytes would be much larger.
    pairs, votes = np.unique(bag[row] * len(counts) + genre, return_counts=True)
    which, genre = np.divmod(pairs, len(counts))
    known = np.bincount(bag, labels.any(axis=1), minlength=n_bags)
    majority = np.zeros((n_bags, len(counts)), bool)
    majority[which, genre] = 2 * votes >= known[which]
    return majority


def _codes(column: NDArray[Any]) -> NDArray[np.int64]:
    """Number of each value, in order of first appearance: by hashing, so linear in n."""
    import pyarrow as pa

    return np.asarray(pa.array(column).dictionary_encode().indices, np.int64)


def _unknown(column: NDArray[Any]) -> NDArray[np.bool_]:
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column) | (column == -1))
    return np.asarray(column == ("" if column.dtype.kind in "US" else -1))
