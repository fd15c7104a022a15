"""One vocabulary of genres: what a tag means, and which genre stands above which.

The names that come with the package lie in ``genres.toml``; a file of one's own goes over them,
with the same sections::

    ignore = ["Christmas"]         # no genre
    keep = ["Rap", "Rock; Pop"]    # stays as it is written here, whatever the rest says
    minimum_albums = 5             # a genre of fewer albums becomes the one above it
    main = "first"                 # of several, or "most specific", "most general"

    [aliases]                      # a genre, and what else it is called
    Hip-Hop = ["Rap", "hip hop / rap"]

    [parents]                      # a genre, and those below it
    Rock = ["Indie Rock", "Shoegaze"]

Names are compared as `folded`: letter case, accents, dashes and spaces do not matter, and "&", "+",
"and" and "'n'" are one. What stands between genres does: "Jazz; Funk" is not "Jazz-Funk". A text is
split only where the whole is no known name and every part is one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from ..errors import ConfigError, did_you_mean, first_few
from ..files import read_toml
from .credits import same_genre, same_name
from .words import Words, known_words, plain_word

MAINS = ("first", "most specific", "most general")
FILE = "genres.toml"
"""Name of a vocabulary in the root of a library that is used unasked."""

_SECTIONS = ("aliases", "parents")
_LISTS = ("ignore", "keep")
_KEYS = (*_SECTIONS, *_LISTS, "minimum_albums", "main")
_BETWEEN = (*";|\\>:", ",", "/", "&")  # what may stand between genres, the surest first
_PARTED = re.compile(r"([;|\\>:,/&])")
_AND = re.compile(r"\s*(?:\band\b|[&+])\s*|(?:\s*'|(?<=\w)\s)n(?:'\s*|\s(?=\w))")
_DASH = re.compile(r"\s[-\u2013\u2014]+\s|-{2,}")
_JOINED = 4  # parts that may be one name: "Rock & Roll" in "Blues & Rock & Roll"
_LONGEST = 200  # characters of a name, and parts of a text that anybody looks at
_REMEMBERED = 2**17


@lru_cache(maxsize=_REMEMBERED)
def folded(name: str) -> str:
    """Form of a genre in which equal means the same; what may part genres stays.

    >>> folded("Drum & Bass") == folded("DRUM'N'BASS") == folded("drum-and-bass")
    True
    >>> folded("Hip Hop") == folded("Hip-Hop"), folded("Soul Jazz") == folded("Soul; Jazz")
    (True, False)
    """
    text = _AND.sub("&", same_name(name.replace("-and-", " and ").replace("-n-", " n ")))
    parts = (part if part in _BETWEEN else plain_word(part) for part in _PARTED.split(text))
    return "".join(parts).strip("".join(_BETWEEN)) or text


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


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Names of genres, and how they stand to each other.

    Attributes
    ----------
    names : mapping of str to str
        The genre that each name means; names as `folded`.
    parents : mapping of str to str
        The genre above a genre.
    ignored : frozenset of str
        Names that are no genre, as `folded`.
    own : frozenset of str
        Names of a user's file, which count whatever the words for "unknown" are.
    minimum_albums : int
        A genre of fewer albums becomes the one above it.
    main : {"first", "most specific", "most general"}
        Which of several genres is the one of a track.
    source : str
        The user's file, ``""`` without one.
    words : Words
        Placeholders, such as "Other".
    """

    names: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    minimum_albums: int = 0
    main: str = "first"
    source: str = ""
    words: Words = field(default_factory=known_words)
    _asked: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def genres(self) -> tuple[str, ...]:
        """Every genre, in the order of the files."""
        return tuple(dict.fromkeys(self.names.values()))

    def read(self, tag: str) -> tuple[str, ...]:
        """What one tag value means: genres in order, none where it is no genre.

        A name that nobody knows stays as it is written.

        >>> read = vocabulary().read
        >>> read("hip hop"), read("Rock/Pop"), read("R&B"), read("Other"), read("Gabba Folk")
        (('Hip-Hop',), ('Rock', 'Pop'), ('R&B',), (), ('Gabba Folk',))
        """
        if (known := self._asked.get(tag)) is None:
            if len(self._asked) >= _REMEMBERED:
                self._asked.clear()
            found = self._found(tag)
            known = self._asked[tag] = (" ".join(tag.split()),) if found is None else found
        return known

    def knows(self, name: str) -> bool:
        """Whether a name is that of a genre, or an alias of one.

        >>> vocabulary().knows("HIPHOP"), vocabulary().knows("Gabba Folk")
        (True, False)
        """
        return folded(name) in self.names

    def path(self, genre: str) -> tuple[str, ...]:
        """The genres above one, the highest first, and itself.

        >>> vocabulary().path("indie rock"), vocabulary().path("Gabba Folk")
        (('Rock', 'Indie Rock'), ('Gabba Folk',))
        """
        way = [self.names.get(folded(genre), genre)]
        while (above := self.parents.get(way[-1])) is not None:
            way.append(above)
        return tuple(reversed(way))

    def related(self, a: str, b: str) -> bool:
        """Whether two genres are the same, or one stands above the other.

        >>> vocabulary().related("Rock", "Indie Rock"), vocabulary().related("Rock", "Jazz")
        (True, False)
        """
        one, other = self.path(a), self.path(b)
        if one[-1] in other or other[-1] in one:
            return True
        return same_genre(a) == same_genre(b)

    def tells(self, tag: str) -> bool:
        """Whether what a tag value means is known: a name, several, or no genre."""
        return self._found(tag) is not None

    def in_order(self, genres: tuple[str, ...]) -> tuple[str, ...]:
        """Several genres of a track, the main one first.

        >>> from dataclasses import replace
        >>> replace(vocabulary(), main="most specific").in_order(("Rock", "Indie Rock"))
        ('Indie Rock', 'Rock')
        """
        if self.main == "first" or len(genres) < 2:
            return genres
        sign = -1 if self.main == "most specific" else 1
        main = min(genres, key=lambda genre: sign * len(self.path(genre)))
        return (main, *(genre for genre in genres if genre != main))

    def too_small(
        self, genres: Sequence[Sequence[str]], albums: Sequence[Hashable]
    ) -> dict[str, str]:
        """Genres that too few albums have as their main one, and what they become."""
        having: dict[str, set[Hashable]] = {}
        if self.minimum_albums < 2:
            return {}
        for some, album in zip(genres, albums, strict=True):
            if some:
                having.setdefault(some[0], set()).add(album)
        becomes: dict[str, str] = {}
        deepest = max((len(self.path(genre)) for genre in having), default=0)
        for depth in range(deepest, 1, -1):  # the parent of a genre may be saved by its children
            for genre in [genre for genre in having if len(self.path(genre)) == depth]:
                if len(having[genre]) < self.minimum_albums:
                    above = becomes[genre] = self.parents[genre]
                    having.setdefault(above, set()).update(having[genre])
        for genre in reversed(becomes):
            becomes[genre] = becomes.get(becomes[genre], becomes[genre])
        return becomes

    def _found(self, tag: str) -> tuple[str, ...] | None:
        """What a tag means if the vocabulary or a word for "unknown" tells."""
        found = self._meaning(folded(tag), tag)
        if found is None and _DASH.search(tag[:_LONGEST]):  # Electronic - House
            found = self._meaning(folded(_DASH.sub(";", tag)), tag)
        return found

    def _meaning(self, key: str, text: str) -> tuple[str, ...] | None:
        if key in self.ignored:
            return ()
        if key not in self.own and self.words.is_no_genre(text):
            return ()
        if (name := self.names.get(key)) is not None:
            return () if folded(name) in self.ignored else (name,)
        for sign in _BETWEEN:
            if sign in key:
                return self._parts(key, sign)
        return None

    def _parts(self, key: str, sign: str) -> tuple[str, ...] | None:
        """Genres of a text that is cut at a sign; nothing unless all of it is known."""
        parts = [part.strip("&,") for part in key.split(sign)][:_LONGEST]
        found: dict[str, None] = {}
        start = 0
        while start < len(parts):
            for stop in range(min(start + _JOINED, len(parts)), start, -1):
                joined = sign.join(parts[start:stop])
                if stop - start == len(parts) or (stop > start + 1 and joined not in self.names):
                    continue
                if (some := self._meaning(joined, joined)) is not None:
                    found |= dict.fromkeys(some)
                    start = stop
                    break
            else:
                return None
        return tuple(found)


# ---- a library ----


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


# ---- files ----


@cache
def _shipped() -> Vocabulary:
    with as_file(files(__package__) / "genres.toml") as own:
        return _over(Vocabulary(), read_toml(own), "genres.toml")


def vocabulary(path: Path | str | None = None, words: Words | None = None) -> Vocabulary:
    """The genres that come with the package, and a file of one's own over them.

    Parameters
    ----------
    path : path, optional
        Such a file.
    words : Words, optional
        What is no genre.

    Raises
    ------
    ConfigError
        If the file cannot be read, or names something twice, in a circle or by an unknown key.
    """
    known = _shipped()
    if words is not None:
        known = replace(known, words=words, _asked={})
    if path is None:
        return known
    return replace(_over(known, read_toml(path), str(path)), source=str(path))


def _over(below: Vocabulary, content: Mapping[str, Any], where: str) -> Vocabulary:
    names = dict(below.names)
    parents = dict(below.parents)
    given = content.get("parents", {})
    for above, some in given.items():
        for name in (above, *some):
            names.setdefault(folded(name), name)
    for name, others in content.get("aliases", {}).items():
        names.setdefault(folded(name), name)
        for other in others:
            names[folded(other)] = names[folded(name)]
    for above, some in given.items():
        for name in some:
            parents[names[folded(name)]] = names[folded(above)]
    return replace(below, names=names, parents=parents, _asked={})
