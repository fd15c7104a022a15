"""What the genre tags of a library come to, by a vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .credits import same_genre
from .genres import Vocabulary


@dataclass(frozen=True)
class Meaning:
    """What one tag value became in a library.

    Attributes
    ----------
    written : str
        As files have it.
    becomes : tuple of str
        Genres; none where it is no genre.
    known : bool
        Whether the vocabulary knows the name, or all of its parts.
    n_tracks, n_albums : int
    """

    written: str
    becomes: tuple[str, ...]
    known: bool
    n_tracks: int
    n_albums: int

    @property
    def told(self) -> str:
        """What it became, in words."""
        return "; ".join(self.becomes) or "no genre"


@dataclass(frozen=True, eq=False)
class Understood:
    """The genres of a library.

    Attributes
    ----------
    genres : tuple of tuple of str
        Of each track, the main one first; none where unknown.
    meanings : tuple of Meaning
        What each tag value became, the most tracks first.
    """

    genres: tuple[tuple[str, ...], ...]
    meanings: tuple[Meaning, ...]


def understand(
    written: Sequence[Sequence[str]],
    albums: Sequence[Hashable],
    vocabulary: Vocabulary,
    *,
    same: Callable[[str], str] = same_genre,
) -> Understood:
    """Read the tags of a whole library.

    A name that the vocabulary does not know is spelled as it is most often, ties going to the first
    in the alphabet.

    Parameters
    ----------
    written : sequence of sequences of str, length n
        Tag values of each track.
    albums : sequence, length n
        The album of each track, for `Vocabulary.minimum_albums`.
    vocabulary : Vocabulary
    same : callable
        Form in which unknown names that mean the same are equal.

    Raises
    ------
    ConfigError
        If a user's vocabulary leaves one genre, or none, of several.
    """
    rows = Counter(value for values in written for value in dict.fromkeys(values))
    read = _spelled({value: vocabulary.read(value) for value in rows}, rows, vocabulary, same)
    of_values: dict[tuple[str, ...], tuple[str, ...]] = {}
    genres = []
    for values in map(tuple, written):
        if values not in of_values:
            some = dict.fromkeys(genre for value in values for genre in read[value])
            of_values[values] = vocabulary.in_order(tuple(some))
        genres.append(of_values[values])
    becomes = vocabulary.too_small(genres, albums)
    if becomes:
        read = {value: _become(some, becomes) for value, some in read.items()}
        changed = {some: _become(some, becomes) for some in dict.fromkeys(genres)}
        genres = [changed[some] for some in genres]
    if vocabulary.source:
        _check_left(rows, genres, vocabulary)
    seen: dict[str, set[Hashable]] = {value: set() for value in rows}
    for values, album in zip(written, albums, strict=True):
        for value in values:
            seen[value].add(album)
    order = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    meanings = (
        Meaning(value, read[value], vocabulary.tells(value), n, len(seen[value]))
        for value, n in order
    )
    return Understood(tuple(genres), tuple(meanings))


def bags_of(artist_id: NDArray[np.int64], album_id: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The album of each track; one without album or artist is alone."""
    pairs = zip(artist_id.tolist(), album_id.tolist(), strict=True)
    return [pair if min(pair) >= 0 else (-1, -row) for row, pair in enumerate(pairs, start=1)]


def _spelled(
    read: Mapping[str, tuple[str, ...]],
    rows: Counter[str],
    vocabulary: Vocabulary,
    same: Callable[[str], str],
) -> dict[str, tuple[str, ...]]:
    """Unknown names, each as it is written most often."""
    times: Counter[str] = Counter()
    for value, some in read.items():
        if some and not vocabulary.tells(value):
            times[some[0]] += rows[value]
    shown: dict[str, str] = {}
    for spelling, _ in sorted(times.items(), key=lambda item: (-item[1], item[0])):
        shown.setdefault(same(spelling), spelling)
    return {
        value: some if not some or some[0] not in times else (shown[same(some[0])],)
        for value, some in read.items()
    }


def _become(some: tuple[str, ...], becomes: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(becomes.get(genre, genre) for genre in some))


def _check_left(
    rows: Collection[str], genres: Iterable[tuple[str, ...]], vocabulary: Vocabulary
) -> None:
    before = {same_genre(value) for value in rows if not vocabulary.words.is_no_genre(value)}
    left = {some[0] for some in genres if some}
    if len(before) > 1 and len(left) < 2:
        told = f"one genre, {next(iter(left))!r}," if left else "no genre"
        raise ConfigError(
            f"{vocabulary.source} leaves {told} of the {len(before)} in the tags, and nothing can "
            "be told apart; take something out of aliases or ignore, or lower minimum_albums"
        )
