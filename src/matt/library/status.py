"""What there is to do about an album: it is new, disagrees with its tag, is unsure, or agrees.

Which status an answer makes is decided here alone. Where no genre is sure, one that stands above
the likeliest may be: `Rock` for an album between `Indie Rock` and `Punk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NEW, DISAGREES, UNSURE, AGREES = "new", "disagrees", "unsure", "agrees"
STATUSES = (NEW, DISAGREES, UNSURE, AGREES)
"""In the order of what there is to do."""
SURE = 0.5
"""Probability from which on an answer counts as sure, unless a bar is given."""


class Tree(Protocol):
    """What is asked of a vocabulary of genres: what stands above what."""

    def path(self, genre: str) -> tuple[str, ...]:
        """The genre with those above it, the highest first."""
        ...

    def related(self, a: str, b: str) -> bool:
        """Whether two genres are one, or one stands above the other."""
        ...


class Flat:
    """A tree of genres of which none stands above another.

    >>> Flat().path("Rock"), Flat().related("Rock", "rock")
    (('Rock',), True)
    """

    def path(self, genre: str) -> tuple[str, ...]:
        """The genre alone."""
        return (genre,)

    def related(self, a: str, b: str) -> bool:
        """Whether they are one, in any letter case."""
        return a.casefold() == b.casefold()


@dataclass(frozen=True)
class Above:
    """The genres above those of a model, and which of these each of them holds.

    Attributes
    ----------
    genres : tuple of str, length G
        Of the model.
    tree : Tree

    Examples
    --------
    >>> class Rocks(Flat):
    ...     def path(self, genre):
    ...         return (genre,) if genre == "Jazz" else ("Rock", genre)
    >>> Above(("Indie Rock", "Jazz", "Punk"), Rocks()).surest(0, np.array([0.4, 0.3, 0.3]), bar=0.6)
    ('Rock', 0.7)
    """

    genres: tuple[str, ...]
    tree: Tree
    _held: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for place, genre in enumerate(self.genres):
            for name in self.tree.path(genre):
                self._held.setdefault(name, []).append(place)

    def surest(
        self, best: int, probabilities: NDArray[np.float64], *, bar: float
    ) -> tuple[str, float]:
        """The genre itself if it reaches the bar, else the lowest above it that does, else itself.

        Parameters
        ----------
        best : int
            Place of the genre.
        probabilities : array, shape (G,)
            That exclude each other: those of the genres that one holds add up to its own.
        bar : float

        Returns
        -------
        genre : str
        probability : float
        """
        own = float(probabilities[best])
        if own < bar:
            for name in reversed(self.tree.path(self.genres[best])[:-1]):
                together = float(probabilities[self._held[name]].sum())
                if together >= bar:
                    return name, min(together, 1.0)
        return self.genres[best], own

    def knows(self, tag: str) -> bool:
        """Whether a genre tag is one of the genres, or above or below one."""
        return any(self.tree.related(tag, genre) for genre in self.genres)


def status_of(
    tags: Sequence[str], answers: Sequence[str], *, sure: bool, known: bool, tree: Tree
) -> str:
    """Status of an album.

    Parameters
    ----------
    tags : sequence of str
        Genres that its tags name.
    answers : sequence of str
        What it was said to be: mostly one genre.
    sure : bool
        Whether that was said with enough probability.
    known : bool
        Whether what was said may contradict a tag: the model knows such genres, and has not learned
        from this very album.
    tree : Tree

    Examples
    --------
    >>> def told(*tags, **given):
    ...     return status_of(tags, ["Rock"], **{"sure": True, "known": True, **given}, tree=Flat())
    >>> told(), told("Jazz"), told("Jazz", sure=False), told("Jazz", "rock", sure=False)
    ('new', 'disagrees', 'unsure', 'agrees')
    """
    if not tags:
        return NEW
    if any(tree.related(tag, answer) for tag in tags for answer in answers):
        return AGREES
    return DISAGREES if sure and known else UNSURE
