"""Anyone's scores from a CSV file, schema ``matt.scores/1``; docs/evaluation.md describes it."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError, did_you_mean, first_few

SCHEMA = "matt.scores/1"
LABEL = "genre"
_KEYS = ("track_id", "path")
_LEAST = 1e-12  # probability: a logit is finite


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """What a file of scores holds, one row a track.

    Attributes
    ----------
    keys : array, shape (n,)
        Ids or paths of the tracks.
    by : {"track_id", "path"}
        Which of the two.
    scores : float array, shape (n, G)
        In the order of the genres that were asked for; 1 for the named genre of hard labels.
    link : {"softmax", "sigmoid", "none"}
        What scores are.
    hard : bool
        Whether the file names one genre a track and has no scores.
    ignored : tuple of str
        Columns that are none of the schema.
    """

    keys: NDArray[Any]
    by: str
    scores: NDArray[np.float64]
    link: str
    hard: bool
    ignored: tuple[str, ...]

    @property
    def logits(self) -> NDArray[np.float32]:
        """Scores as logits of the link, shape (n, G)."""
        given = self.scores
        if self.link == "softmax":
            given = np.log(given.clip(_LEAST))
        elif self.link == "sigmoid":
            given = np.log(given.clip(_LEAST) / (1 - given).clip(_LEAST))
        return given.astype(np.float32)


def read_scores(path: Path | str, genres: Sequence[str], *, link: str | None = None) -> ScoreFile:
    """Read scores by the names of the genres; further columns are ignored.

    Parameters
    ----------
    path : path
        CSV in UTF-8 with a header.
    genres : sequence of str, length G
    link : {"softmax", "sigmoid", "none"}, optional
        ``"softmax"`` by default, ``"none"`` for hard labels. With the first two, values must be
        probabilities, and those of a softmax sum to 1, give or take 0.02 times the root of G, which
        is more than rounding to two digits does.

    Raises
    ------
    DataError
        If the file cannot be read, is of another schema, lacks a column, names a track twice or an
        unknown genre, or a value is no number or no probability; the message names the line.
    """
    header, rows, lines = _read(Path(path))
    twice = [name for name, times in Counter(header).items() if times > 1 and name]
    if twice:
        raise DataError(f"{path}: the column {twice[0]!r} occurs twice; rename or drop one")
    hard = LABEL in header and not any(genre in header for genre in genres if genre != LABEL)
    by = next((key for key in _KEYS if key in header), _KEYS[0])
    absent = [name for name in (by, *(() if hard else genres)) if name not in header]
    if absent:
        raise DataError(
            f"{path}: {len(absent)} columns are missing (first: {first_few(absent)}); columns are "
            f"matched by name, one a genre, or {LABEL!r} for the best alone: "
            f"{did_you_mean(absent[0], header or [_KEYS[0]])}"
        )
    if hard and link not in (None, "none"):
        raise DataError(
            f"{path} names genres and has no scores, so its link is 'none', not {link!r}; give one "
            "column of probabilities a genre, or leave the link out"
        )
    used = (by, LABEL) if hard else (by, *genres)
    places = [header.index(name) for name in used]
    keys: list[Any] = []
    scores = np.zeros((len(rows), len(genres)), np.float64)
    number = {genre: g for g, genre in enumerate(genres)}
    for i, row in enumerate(rows):
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} values for {len(header)} columns")
            key, *given = (row[place] for place in places)
            keys.append(int(key) if by == "track_id" else key)
            if not hard:
                scores[i] = [float(value) for value in given]
            elif given[0] in number:
                scores[i, number[given[0]]] = 1
            else:
                raise ValueError(
                    f"unknown genre {given[0]!r}, {did_you_mean(given[0], genres).rstrip('?')}"
                )
        except ValueError as error:
            raise DataError(f"{path}, line {lines[i]}: {error}; correct that line") from error
    found = ScoreFile(
        np.array(keys, np.int64 if by == "track_id" else np.str_),
        by,
        scores,
        "none" if hard else link or "softmax",
        hard,
        tuple(name for name in header if name not in used),
    )
    _check(path, found, lines)
    return found


def _read(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows, and the line that each row ends on."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        skipped = 0
        if text.startswith("#"):
            said, _, text = text.partition("\n")
            skipped, schema = 1, said.strip("#\r ").removeprefix("schema:").strip()
            if schema != SCHEMA:
                raise DataError(
                    f"{path} has schema {schema!r}, expected {SCHEMA!r}; is it from another "
                    "version of matt?"
                )
        reader = csv.reader(io.StringIO(text, newline=""))
        header = [name.strip() for name in next(reader, [])]
        numbered = [(row, skipped + reader.line_num) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot read {path} ({error}); give a CSV file in UTF-8 with a header"
        ) from error
    return header, [row for row, _ in numbered], [line for _, line in numbered]


def _check(path: Path | str, found: ScoreFile, lines: Sequence[int]) -> None:
    """Refuse tracks that repeat and values that are not what the link says."""
    keys, place = np.unique(found.keys, return_index=True)
    if len(keys) < len(found.keys):
        again = int(np.setdiff1d(np.arange(len(found.keys)), place)[0])
        raise DataError(
            f"{path}, line {lines[again]}: {found.by} {found.keys[again]} was there before "
            f"({len(found.keys) - len(keys)} rows repeat a track); give every track one row"
        )
    scores = found.scores
    bad = ~np.isfinite(scores).all(axis=1)
    remedy = "values must be finite numbers; correct that line"
    if found.link != "none":
        bad |= ((scores < 0) | (scores > 1)).any(axis=1)
        remedy = "values must be probabilities in [0, 1]; for scores that are none use link='none'"
    if not bad.any() and found.link == "softmax":
        sums = scores.sum(axis=1)
        bad = np.abs(sums - 1) > 0.02 * math.sqrt(scores.shape[1])
        total = f"{sums[bad][0]:.3g}" if bad.any() else ""
        others = f" (columns left out: {first_few(found.ignored)})" if found.ignored else ""
        remedy = (
            f"probabilities sum to {total}, not 1; are they of other genres{others}? If several "
            "genres may be true use link='sigmoid', for scores that are no probabilities 'none'"
        )
    if bad.any():
        raise DataError(f"{path}, line {lines[int(np.flatnonzero(bad)[0])]}: {remedy}")


def places_of(keys: NDArray[np.str_], paths: NDArray[np.str_]) -> NDArray[np.int64]:
    """Row of each path in a table, shape (n,): the whole path, or as much of its end as is given.

    Raises
    ------
    DataError
        If a path is not there, or is the end of several.
    """
    ends: dict[str, int] = {}
    wanted = {str(key): 0 for key in keys}
    for row, path in enumerate(paths.tolist()):
        parts = path.replace("\\", "/").split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if end in wanted:
                wanted[end] += 1
                ends[end] = row
    absent = [key for key, times in wanted.items() if not times]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(keys)} paths are not in the table (first: "
            f"{first_few(absent, most=2)}); write them as the table does, or use track_id"
        )
    vague = [key for key, times in wanted.items() if times > 1]
    if vague:
        raise DataError(
            f"{len(vague)} paths are the end of several in the table (first: "
            f"{first_few(vague, most=2)}); give more of each path, or use track_id"
        )
    return np.array([ends[str(key)] for key in keys], np.int64)
