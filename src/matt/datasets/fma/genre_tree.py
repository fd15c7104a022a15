"""FMA's hierarchy of genres: 163 genres, each below another or at the top."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ...errors import DataError, did_you_mean, first_few


@dataclass(frozen=True)
class Genre:
    """One genre.

    Attributes
    ----------
    genre_id : int
    title : str
    parent : int
        Id of the genre above it, 0 at the top.
    top_level : int
        Id of the top genre above it; its own at the top.
    n_tracks : int
        As FMA counts them, over everything.
    """

    genre_id: int
    title: str
    parent: int
    top_level: int
    n_tracks: int


@dataclass(frozen=True)
class GenreTree:
    """All genres, by id.

    Attributes
    ----------
    genres : mapping of int to Genre

    Raises
    ------
    DataError
        If a parent is missing, or genres are above each other in a circle.

    Examples
    --------
    >>> tree = GenreTree.of([Genre(12, "Rock", 0, 12, 90), Genre(25, "Punk", 12, 12, 40)])
    >>> tree.path(25), tree.find("punk").genre_id, [genre.title for genre in tree.roots]
    (('Rock', 'Punk'), 25, ['Rock'])
    """

    genres: Mapping[int, Genre]

    def __post_init__(self) -> None:
        lost = [i for i, g in self.genres.items() if g.parent and g.parent not in self.genres]
        if lost:
            raise DataError(
                f"{len(lost)} genres have a parent that is not there (first: {first_few(lost)}); "
                "add them to genres.csv"
            )
        for genre_id in self.genres:
            self._above(genre_id)

    @classmethod
    def of(cls, genres: Iterable[Genre]) -> GenreTree:
        """Tree of some genres."""
        return cls({genre.genre_id: genre for genre in genres})

    def __len__(self) -> int:
        return len(self.genres)

    @property
    def roots(self) -> tuple[Genre, ...]:
        """Genres at the top."""
        return tuple(genre for genre in self.genres.values() if not genre.parent)

    def children(self, genre_id: int) -> tuple[Genre, ...]:
        """Genres directly below one."""
        return tuple(genre for genre in self.genres.values() if genre.parent == genre_id)

    def path(self, genre_id: int) -> tuple[str, ...]:
        """Titles from the top genre down to this one."""
        return tuple(self.genres[i].title for i in reversed(self._above(genre_id)))

    def find(self, title: str) -> Genre:
        """Genre of a title, whatever its letter case.

        Raises
        ------
        DataError
            If there is none; the message has the nearest.
        """
        for genre in self.genres.values():
            if genre.title.casefold() == title.casefold():
                return genre
        known = [genre.title for genre in self.genres.values()]
        raise DataError(f"FMA has no genre {title!r}; {did_you_mean(title, known)}")

    @cached_property
    def names(self) -> Mapping[int, str]:
        """Titles by id; where two genres share a title, with the id behind it."""
        titles = [genre.title for genre in self.genres.values()]
        return {
            i: genre.title if titles.count(genre.title) == 1 else f"{genre.title} ({i})"
            for i, genre in self.genres.items()
        }

    def _above(self, genre_id: int) -> list[int]:
        """The genre and all above it, upwards."""
        if genre_id not in self.genres:
            raise DataError(f"FMA has no genre with the id {genre_id}; see load_genres(...).genres")
        found = [genre_id]
        while parent := self.genres[found[-1]].parent:
            if parent in found:
                raise DataError(
                    f"genres {first_few(found)} are above each other; correct genres.csv"
                )
            found.append(parent)
        return found
