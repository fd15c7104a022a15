"""Which album is to be decided next: the one that would teach a model most.

An album is worth

    (1 - (p_1 - p_2)) / (1 + a),

with the probabilities p_1 and p_2 of its two likeliest genres and ``a`` albums of its artist that
are decided, or stand before it: the more, the less sure its genre is and the less is known of its
artist. It may also count how few labelled albums these genres have: times the mean of
1 / sqrt(1 + n_g) over both, weighted by their probabilities. By default it does not: validation
chose so among seven rules, see `benchmarks/teaching.py` and docs/library/train.md. People are told
how many albums a genre has all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.credits import same_name
from ..datasets.genres import folded
from ..errors import DataError
from ..evaluation.tables import percent
from ..library.status import AGREES
from .decisions import ReviewDecision

_UNSURE = 0.5  # margin below which an album is called unsure between two genres


@dataclass(frozen=True)
class Lesson:
    """An album that nobody has decided yet.

    Attributes
    ----------
    row : int
        Its place among the rows.
    worth : float
        In [0, 1]; only the order means something.
    """

    row: int
    worth: float
    _told: Callable[[], str] = field(repr=False, compare=False)

    @property
    def reason(self) -> str:
        """Why it stands where it stands, for people."""
        return self._told()


def next_to_label(
    rows: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    decisions: Mapping[str, ReviewDecision],
    *,
    most: int | None = None,
) -> list[Lesson]:
    """Albums that nobody has decided, the one that would teach most first.

    An album whose tag agrees with the music comes after all others: its label is learned from
    already. Where two are worth the same, the one that stands first among the rows is first.

    Parameters
    ----------
    rows : sequence of mapping
        Of `matt.library.albums.album_rows`: ``artist``, ``tagged``, ``status`` and ``top`` are
        read, with two genres or more. What a model has learned from is answered out of fold.
    keys : sequence of str
        `matt.review.decisions.album_key` of each.
    decisions : mapping of str to ReviewDecision
        Those that stand, by the same keys: `matt.review.decisions.Decisions.latest`.
    most : int, optional
        How many are wanted; by default all.

    Raises
    ------
    DataError
        If there is not one key a row.

    Examples
    --------
    >>> top = [{"genre": "Rock", "probability": 0.5}, {"genre": "Folk", "probability": 0.4}]
    >>> row = {"artist": "Ann", "tagged": None, "status": "new", "top": top}
    >>> next_to_label([row], ["a"], {})[0].reason
    'unsure between Rock and Folk; Folk has no album yet'
    """
    if len(rows) != len(keys):
        raise DataError(f"{len(rows)} rows have {len(keys)} keys; give the key of each row")
    counts = labelled_albums(rows, keys, decisions)
    artists = [same_name(row["artist"] or "") for row in rows]
    decided = Counter(
        artist for artist, key in zip(artists, keys, strict=True) if artist and key in decisions
    )
    open_rows = [row for row, key in enumerate(keys) if key not in decisions]
    probabilities, n_albums = _likely([rows[row] for row in open_rows], counts)
    of_artist = [decided[artists[row]] for row in open_rows]
    worths = worth(probabilities, n_albums, np.array(of_artist, np.int64))
    taught = [rows[row]["status"] == AGREES for row in open_rows]
    groups = [artists[row] or row for row in open_rows]
    found = []
    for place, value in in_turn(worths, groups, of_artist, last=taught)[:most]:
        row = open_rows[place]
        told = partial(_reason, rows[row], counts, of_artist[place])
        found.append(Lesson(row, value, told))
    return found


def worth(
    probabilities: NDArray[np.float64],
    n_albums: NDArray[np.int64],
    decided: NDArray[np.int64],
    *,
    by_margin: bool = True,
    by_genre: bool = False,
    by_artist: bool = True,
) -> NDArray[np.float64]:
    """What each album would teach, shape (b,), in [0, 1]; see the head of this module.

    Parameters
    ----------
    probabilities : array, shape (b, G)
        Of each album; columns that nobody knows are 0.
    n_albums : int array, shape (G,)
        Labelled albums of each genre.
    decided : int array, shape (b,)
        Albums of the same artist that are decided.
    by_margin, by_genre, by_artist : bool
        Whether doubt, rare genres and artists count.

    Examples
    --------
    >>> likely = np.array([[0.5, 0.4, 0.1], [0.9, 0.1, 0.0]])
    >>> worth(likely, np.array([0, 0, 0]), np.array([0, 1])).round(2)
    array([0.9, 0.1])
    """
    b, n_genres = probabilities.shape
    if not b or not n_genres:
        return np.zeros(b)
    places = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    two = np.take_along_axis(probabilities, places, axis=1)
    second = two[:, 1] if n_genres > 1 else np.zeros(b)
    found = 1.0 - np.clip(two[:, 0] - second, 0.0, 1.0) if by_margin else np.ones(b)
    if by_genre:
        shares = two / np.maximum(two.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        found = found * (shares / np.sqrt(1.0 + n_albums[places])).sum(axis=1)
    return np.asarray(found / (1.0 + decided) if by_artist else found, np.float64)


def in_turn(
    worths: NDArray[np.float64],
    artists: Sequence[Any],
    decided: Sequence[int],
    *,
    last: Sequence[bool] | None = None,
) -> list[tuple[int, float]]:
    """Albums in the order in which they are best decided, each with what it is worth by then.

    What stands before an album counts for its artist as if it were decided: the order is the one
    that comes of taking the best again and again.

    Parameters
    ----------
    worths : array, shape (b,)
        Of `worth`, with artists.
    artists : sequence, length b
        Equal where they are the same.
    decided : sequence of int, length b
        Albums of the artist that were decided before.
    last : sequence of bool, length b, optional
        Which come after all others.

    Examples
    --------
    >>> in_turn(np.array([0.9, 0.8, 0.5]), ["Ann", "Ann", "Ben"], [0, 0, 0])
    [(0, 0.9), (2, 0.5), (1, 0.4)]
    """
    behind = [False] * len(artists) if last is None else list(last)
    before: Counter[Any] = Counter()
    found = []
    for place in sorted(range(len(artists)), key=lambda i: (behind[i], -worths[i], i)):
        artist, n = artists[place], decided[place]
        found.append((place, float(worths[place]) * (1 + n) / (1 + n + before[artist])))
        before[artist] += 1
    return sorted(found, key=lambda one: (behind[one[0]], -one[1], one[0]))


def labelled_albums(
    rows: Sequence[Mapping[str, Any]], keys: Sequence[str], decisions: Mapping[str, ReviewDecision]
) -> Counter[str]:
    """How many albums have each genre as a label, by its name as `folded`; decisions before tags.

    Of several genres of an album the first counts.
    """
    found: Counter[str] = Counter()
    for row, key in zip(rows, keys, strict=True):
        decision = decisions.get(key)
        if decision is None or decision.verdict == "kept":
            told = (row["tagged"] or "").split("; ")
        else:
            told = [*decision.genres]
        if told and told[0]:
            found[folded(told[0])] += 1
    return found


def _likely(
    rows: Sequence[Mapping[str, Any]], counts: Mapping[str, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities of the genres that are named, shape (b, G), and albums of each, shape (G,)."""
    names = sorted({one["genre"] for row in rows for one in row["top"]})
    column = {name: place for place, name in enumerate(names)}
    found = np.zeros((len(rows), len(names)))
    for place, row in enumerate(rows):
        for one in row["top"]:
            found[place, column[one["genre"]]] = one["probability"]
    return found, np.array([counts.get(folded(name), 0) for name in names], np.int64)


def _reason(row: Mapping[str, Any], counts: Mapping[str, int], decided: int) -> str:
    first, *others = row["top"]
    told, pair = f"{first['genre']} ({percent(first['probability'])})", [first["genre"]]
    if others and first["probability"] - others[0]["probability"] < _UNSURE:
        pair.append(others[0]["genre"])
        told = f"unsure between {pair[0]} and {pair[1]}"
    rarest = min(reversed(pair), key=lambda name: counts.get(folded(name), 0))
    n = counts.get(folded(rarest), 0)
    told += f"; {rarest} has {_albums(n) if n else 'no album yet'}"
    if decided:
        told += f"; {_albums(decided)} of this artist {'is' if decided == 1 else 'are'} decided"
    return f"{told}{'; its tag is learned from already' * (row['status'] == AGREES)}"


def _albums(n: int) -> str:
    return f"{n:,} album{'s' * (n != 1)}"
