"""What there is to do about an album: it is new, disagrees with its tag, is unsure, or agrees.

Which status an answer makes is decided here alone. Where no genre is sure, one that stands above
the likeliest may be: `Rock` for an album between `Indie Rock` and `Punk`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.genres import Vocabulary

NEW, DISAGREES, UNSURE, AGREES = "new", "disagrees", "unsure", "agrees"
STATUSES = (NEW, DISAGREES, UNSURE, AGREES)
"""In the order of what there is to do."""
SURE = 0.5
"""Probability from which on an answer counts as sure, unless a bar is given."""


@dataclass(frozen=True)
class Above:
    """The genres above those of a model, and which of these each of them holds.

    Attributes
    ----------
    genres : tuple of str, length G
        Of the model.
    vocabulary : Vocabulary

    Examples
    --------
    >>> tree = Vocabulary(parents={"Indie Rock": "Rock", "Punk": "Rock"})
    >>> above = Above(("Indie Rock", "Jazz", "Punk"), tree)
    >>> above.surest(np.array([0]), np.array([[0.4, 0.3, 0.3]]), bar=0.6)
    (['Rock'], array([0.7]))
    """

    genres: tuple[str, ...]
    vocabulary: Vocabulary
    _held: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)
    _paths: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)
    _related: dict[tuple[str, str], bool] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for place, genre in enumerate(self.genres):
            for name in self.path(genre):
                self._held.setdefault(name, []).append(place)

    def path(self, genre: str) -> tuple[str, ...]:
        """As `Vocabulary.path`, remembered: it is asked of every track."""
        if genre not in self._paths:
            self._paths[genre] = self.vocabulary.path(genre)
        return self._paths[genre]

    def related(self, tag: str, answer: str) -> bool:
        """As `Vocabulary.related`, remembered."""
        if (tag, answer) not in self._related:
            self._related[tag, answer] = self.vocabulary.related(tag, answer)
        return self._related[tag, answer]

    def knows(self, tag: str) -> bool:
        """Whether a genre tag is one of the genres, or above or below one."""
        return any(self.related(tag, genre) for genre in self.genres)

    def surest(
        self, best: NDArray[np.int64], probabilities: NDArray[np.float64], *, bar: float
    ) -> tuple[list[str], NDArray[np.float64]]:
        """Each genre itself if it reaches the bar, else the lowest above it that does, else itself.

        Parameters
        ----------
        best : int array, shape (n,)
            Places of the genres.
        probabilities : array, shape (n, G)
            That exclude each other: those of the genres that one holds add up to its own.
        bar : float

        Returns
        -------
        genres : list of str, length n
        probabilities : array, shape (n,)
        """
        names = [self.genres[place] for place in best.tolist()]
        own = probabilities[np.arange(len(best)), best]
        for place in np.unique(best[own < bar]).tolist():
            left = np.flatnonzero((best == place) & (own < bar))
            for name in reversed(self.path(self.genres[place])[:-1]):
                together = probabilities[np.ix_(left, np.array(self._held[name]))].sum(axis=1)
                reached = together >= bar
                own[left[reached]] = together[reached].clip(max=1.0)
                for row in left[reached].tolist():
                    names[row] = name
                left = left[~reached]
        return names, own


def is_fair(in_training: bool | None, *, out_of_fold: bool) -> bool:
    """Whether an answer may speak against a tag: not of a model that knows the album by heart."""
    return out_of_fold or not in_training


def status_of(
    tags: Sequence[str], answers: Sequence[str], *, sure: bool, fair: bool, above: Above
) -> dict[str, Any]:
    """Status of an album or a track, and whether its tag is foreign to the model, by name.

    Parameters
    ----------
    tags : sequence of str
        Genres that its tags name.
    answers : sequence of str
        What it was said to be: mostly one genre.
    sure : bool
        Whether that was said with enough probability.
    fair : bool
        Whether it may contradict a tag: `is_fair`.
    above : Above
        Of the genres of the model.

    Examples
    --------
    >>> above = Above(("Jazz", "Rock"), Vocabulary())
    >>> def told(*tags, sure=True, fair=True):
    ...     return status_of(tags, ["Rock"], sure=sure, fair=fair, above=above)["status"]
    >>> told(), told("Jazz"), told("Jazz", sure=False), told("Jazz", "rock", sure=False)
    ('new', 'disagrees', 'unsure', 'agrees')
    >>> told("Polka"), told("Jazz", fair=False)
    ('unsure', 'unsure')
    """
    if not tags:
        return {"status": NEW, "tag_unknown": False}
    if any(above.related(tag, answer) for tag in tags for answer in answers):
        return {"status": AGREES, "tag_unknown": False}
    unknown = not any(map(above.knows, tags))
    status = DISAGREES if sure and fair and not unknown else UNSURE
    return {"status": status, "tag_unknown": unknown}


def summary(rows: Iterable[Mapping[str, Any]]) -> str:
    """How many albums or tracks there are of each status.

    >>> summary([{"status": "new"}, {"status": "agrees"}, {"status": "agrees"}])
    '1 new (no genre yet), 2 agree'
    >>> summary([{"status": "disagrees"}, {"status": "agrees"}])
    '1 disagrees with its tag, 1 agrees'
    """
    counted = Counter(row["status"] for row in rows)
    told = {
        NEW: ("new (no genre yet)",) * 2,
        DISAGREES: ("disagrees with its tag", "disagree with their tag"),
        UNSURE: ("unsure",) * 2,
        AGREES: ("agrees", "agree"),
    }
    return ", ".join(
        f"{counted[status]:,} {told[status][counted[status] > 1]}"
        for status in STATUSES
        if counted[status]
    )
