"""Anyone's scores from a CSV file: a ``track_id`` column and one column a genre."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import DataError, did_you_mean, first_few


def read_scores(
    path: Path | str, genres: Sequence[str], *, probabilities: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Read scores by the names of the genres; further columns are ignored.

    Parameters
    ----------
    path : path
        CSV in UTF-8 with a header.
    genres : sequence of str, length G
    probabilities : bool
        Whether values must lie in [0, 1].

    Returns
    -------
    track_ids : int array, shape (n,)
    scores : float array, shape (n, G)

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, or a value is no number or no probability;
        the message names the line.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header, rows = set(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot read {path} ({error}); give a CSV file in UTF-8 with a header"
        ) from error
    absent = [name for name in ("track_id", *genres) if name not in header]
    if absent:
        raise DataError(
            f"{path}: {len(absent)} columns are missing (first: {first_few(absent)}); "
            f"{did_you_mean(absent[0], header or {'track_id'})}"
        )
    scores = np.empty((len(rows), len(genres)), np.float64)
    ids = np.empty(len(rows), np.int64)
    for i, row in enumerate(rows):
        try:
            ids[i] = int(row["track_id"])
            scores[i] = [float(row[genre]) for genre in genres]
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}, line {i + 2}: {error}; correct that line") from error
    bad = ~np.isfinite(scores).all(axis=1)
    if probabilities:
        bad |= ((scores < 0) | (scores > 1)).any(axis=1)
    if bad.any():
        raise DataError(
            f"{path}, line {int(np.flatnonzero(bad)[0]) + 2}: values must be probabilities in "
            "[0, 1]; for scores that are none use link='none'"
        )
    return ids, scores
