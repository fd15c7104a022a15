"""One vocabulary of genres: what a tag means, and which genre stands above which.

The names that come with the package lie in ``genres.toml``; a file of one's own goes over them,
with the same sections::

    ignore = ["Christmas"]         # no genre
    keep = ["Rap", "Rock; Pop"]    # stays as it is written here, whatever the rest says
    protect = ["Christmas"]        # 'matt tag' never takes it out of a file
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
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from ..errors import ConfigError, did_you_mean
from ..files import read_toml
from .credits import same_genre, same_name
from .tags import printable
from .words import Words, known_words, plain_word

MAINS = ("first", "most specific", "most general")
FILE = "genres.toml"
"""Name of a vocabulary in the root of a library that is used unasked."""

_SECTIONS = ("aliases", "parents")
_LISTS = ("ignore", "keep", "protect")
_KEYS = (*_SECTIONS, *_LISTS, "minimum_albums", "main")
_BETWEEN = (*";|\\>:", "/", "&")  # what may stand between genres, the surest first
_PARTED = re.compile(r"([;|\\>:/&])")
_AND = re.compile(r"\s*(?:\band\b|[&+])\s*|(?:\s*'|(?<=\w)\s)n(?:'\s*|\s(?=\w))")
_DASH = re.compile(r"\s[-\u2013\u2014]+\s|-{2,}")
_JOINED = 4  # parts that may be one name: "Rock & Roll" in "Blues & Rock & Roll"
_JOINT = "; "
_AT_JOINT = re.compile(r"(\\*)(; |\Z)")  # a joint or the end, and the backslashes before it
_LONGEST = 200  # characters of a name, and parts of a text that anybody looks at
_DEEPEST = 16  # genres above each other
_REMEMBERED = 2**17


@lru_cache(maxsize=_REMEMBERED)
def folded(name: str) -> str:
    """Form of a genre in which equal means the same; what may part genres stays.

    >>> folded("Drum & Bass") == folded("DRUM'N'BASS") == folded("drum-and-bass")
    True
    >>> folded("Hip Hop") == folded("Hip-Hop"), folded("Soul Jazz") == folded("Soul; Jazz")
    (True, False)
    """
    name = name.replace(",", ";").replace("-and-", " and ").replace("-n-", " n ")
    text = _AND.sub("&", same_name(name))
    parts = (part if part in _BETWEEN else plain_word(part) for part in _PARTED.split(text))
    return "".join(parts).strip("".join(_BETWEEN)) or text


def joined(genres: Iterable[str]) -> str:
    r"""Several genres as one text, as in the column ``genre_tags``: `parted` gives them back.

    Between two stands ``"; "``; where a name has that itself, a backslash stands before it.

    >>> joined(["Rock", "Pop"]), joined(["Rock; Pop", "Folk"])
    ('Rock; Pop', 'Rock\\; Pop; Folk')
    """
    return _JOINT.join(
        _AT_JOINT.sub(lambda at: 2 * at[1] + (f"\\{_JOINT}" if at[2] else ""), genre)
        for genre in genres
    )


@lru_cache(maxsize=2**14)
def parted(text: str) -> tuple[str, ...]:
    r"""The genres that `joined` made one text of; none of an empty one.

    >>> parted("Rock; Pop"), parted(r"Rock\; Pop; Folk"), parted("")
    (('Rock', 'Pop'), ('Rock; Pop', 'Folk'), ())
    """
    genres, name, start = [], "", 0
    for at in _AT_JOINT.finditer(text):
        inside = at[2] != "" and len(at[1]) % 2 == 1
        name += text[start : at.start()] + at[1][len(at[1]) // 2 + inside :] + _JOINT * inside
        start = at.end()
        if not inside:
            genres.append(name)
            name = ""
    return tuple(filter(None, [*genres, name]))


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
    protected : frozenset of str
        Names that are never taken out of a file, as `folded`.
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
    protected: frozenset[str] = frozenset()
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

    def keeping(self, names: Collection[str]) -> Vocabulary:
        """The same with some genres of just these names.

        >>> vocabulary().keeping(["Rap"]).read("rap"), vocabulary().keeping(["Rap"]).path("Rap")
        (('Rap',), ('Hip-Hop', 'Rap'))
        """
        return _File({"keep": [*names]}, "genres").over(self) if names else self

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

    def _is_name(self, key: str) -> bool:
        return key in self.names or key in self.ignored

    def _parts(self, key: str, sign: str) -> tuple[str, ...] | None:
        """Genres of a text that is cut at a sign; nothing unless all of it is known."""
        parts = [part.strip("&") for part in key.split(sign)][:_LONGEST]
        found: dict[str, None] = {}
        start = 0
        while start < len(parts):
            for stop in range(min(start + _JOINED, len(parts)), start, -1):
                joined = sign.join(parts[start:stop])
                if stop - start == len(parts) or (stop > start + 1 and not self._is_name(joined)):
                    continue
                if (some := self._meaning(joined, joined)) is not None:
                    found |= dict.fromkeys(some)
                    start = stop
                    break
            else:
                return None
        return tuple(found)


# ---- files ----


@cache
def _shipped() -> Vocabulary:
    with as_file(files(__package__) / FILE) as own:
        return _File(read_toml(own), FILE).over(Vocabulary())


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
    own = _File(read_toml(path), str(path)).over(known)
    return replace(own, source=str(path))


class _File:
    """What a file says, checked."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self.where = where
        for key in content:
            if key not in _KEYS:
                raise self._wrong(f"{key!r} is no key; {did_you_mean(key, _KEYS)}")
        self.ignore, self.keep, self.protect = (
            self._texts(content.get(key, []), key) for key in _LISTS
        )
        self.aliases, self.parents = (self._lists(content.get(key, {}), key) for key in _SECTIONS)
        self.minimum = content.get("minimum_albums")
        if self.minimum is not None and (type(self.minimum) is not int or self.minimum < 0):
            raise self._wrong(
                f"minimum_albums is {self.minimum!r}; give a whole number, 0 for none"
            )
        self.main = content.get("main")
        if self.main is not None and self.main not in MAINS:
            raise self._wrong(f"main is {self.main!r}; {did_you_mean(self.main, MAINS)}")
        self.target = self._pairs(self.aliases, "an alias of")
        self.above = self._pairs(self.parents, "below")
        named = {folded(name) for name in (*self.keep, *self.aliases, *self._children())}
        named |= {*map(folded, self.parents), *self.target}
        for name in self.ignore:
            if folded(name) in named:
                raise self._wrong(f"{name!r} is in ignore, and is a genre elsewhere; decide")
        for name in self.keep:
            if (other := self.target.get(folded(name))) is not None:
                raise self._wrong(f"{name!r} is in keep, and an alias of {other!r}; decide")

    def _wrong(self, told: str) -> ConfigError:
        return ConfigError(f"{self.where}: {told}")

    def _texts(self, given: Any, key: str) -> list[str]:
        if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
            raise self._wrong(f'{key} holds {given!r:.80}; give a list of names, e.g. ["Rap"]')
        return [self._name(text, key) for text in given]

    def _lists(self, given: Any, key: str) -> dict[str, list[str]]:
        if not isinstance(given, Mapping):
            raise self._wrong(f"{key} is {given!r:.80}; make it a section, [{key}]")
        return {
            self._name(name, key): self._texts(some, f"{key}, {name!r:.80},")
            for name, some in given.items()
        }

    def _name(self, text: str, key: str) -> str:
        name = " ".join(text.split())
        if not name or name != printable(name) or len(name) > _LONGEST:
            raise self._wrong(
                f"{key} names {text[:80]!r}; a name has 1 to {_LONGEST} characters that show"
            )
        return name

    def _pairs(self, lists: Mapping[str, list[str]], what: str) -> dict[str, str]:
        """The genre that each name points to; names as folded."""
        pairs: dict[str, str] = {}
        for name, some in lists.items():
            for other in some:
                key = folded(other)
                if other == name:
                    raise self._wrong(f"{name!r} is {what} itself; take it out of its own list")
                if key == folded(name):
                    continue
                if folded(pairs.setdefault(key, name)) != folded(name):
                    raise self._wrong(
                        f"{other!r} is {what} two genres, {pairs[key]!r} and {name!r}; keep one"
                    )
        for key in pairs:
            self._last(key, pairs, what)
        return pairs

    def _last(self, key: str, pairs: Mapping[str, str], what: str) -> str:
        """Where a way of names ends."""
        way = [key]
        while (name := pairs.get(way[-1])) is not None:
            if folded(name) in way:
                circle = [pairs[one] for one in way[way.index(folded(name)) :]]
                told = f" is {what} ".join(map(repr, [circle[-1], *circle]))
                raise self._wrong(f"{told}, a circle; take one of them out")
            way.append(folded(name))
            if len(way) > _DEEPEST:
                raise self._wrong(
                    f"{name!r} stands at the end of {_DEEPEST} names, each {what} the next; "
                    "name the last one at once"
                )
        return way[-1]

    def over(self, below: Vocabulary) -> Vocabulary:
        """A vocabulary as this file changes it."""
        names, parents = dict(below.names), dict(below.parents)
        mine: dict[str, str] = {}  # how this file spells its genres
        for name in (*self.keep, *self.aliases, *(n for n in self.parents), *self._children()):
            if folded(name) not in self.target:
                mine.setdefault(folded(name), name)
        for key, name in mine.items():
            old = names.get(key)
            if old is not None and folded(old) == key:
                _rename(names, parents, old, name)
            elif old is not None:  # an alias so far: a genre of its own, below that one
                parents[name] = old
            names[key] = name
        for key in self.target:
            self._alias(key, mine[self._last(key, self.target, "")], names, parents)
        fixed: dict[str, str] = {}
        for key, above in self.above.items():
            pair = names[key], names[folded(above)]
            if pair[0] != pair[1] and fixed.setdefault(*pair) != pair[1]:
                raise self._wrong(
                    f"{pair[0]!r} is, by its aliases, below two genres, {fixed[pair[0]]!r} and "
                    f"{pair[1]!r}; keep one"
                )
        parents |= fixed
        if circle := _without_circles(parents, fixed):
            raise self._wrong(
                f"{circle!r} is, by its aliases, below itself; take it out of parents or aliases"
            )
        own = frozenset({*mine, *self.target})
        return replace(
            below,
            names=names,
            parents=parents,
            ignored=(below.ignored - own) | {folded(name) for name in self.ignore},
            protected=below.protected | {folded(name) for name in self.protect},
            own=below.own | own if below.names else frozenset(),
            minimum_albums=below.minimum_albums if self.minimum is None else self.minimum,
            main=below.main if self.main is None else self.main,
            _asked={},
        )

    def _children(self) -> Iterator[str]:
        for some in self.parents.values():
            yield from some

    def _alias(self, key: str, name: str, names: dict[str, str], parents: dict[str, str]) -> None:
        """Make a name that of a genre; a genre that it was until now goes there as a whole."""
        old = names.get(key)
        names[key] = name
        if old is None or folded(old) != key:
            return
        if parents.get(name) == old or (name not in parents and name not in names.values()):
            parents.pop(name, None)
            if old in parents:
                parents[name] = parents[old]
        _rename(names, parents, old, name)


def _rename(names: dict[str, str], parents: dict[str, str], old: str, new: str) -> None:
    """Call a genre otherwise, or join it to another."""
    if old == new:
        return
    for key in [key for key, name in names.items() if name == old]:
        names[key] = new
    for child in [child for child, above in parents.items() if above == old]:
        parents[child] = new
    if old in parents:
        parents.setdefault(new, parents[old])
        del parents[old]
    if parents.get(new) == new:
        del parents[new]


def _without_circles(parents: dict[str, str], fixed: Collection[str]) -> str:
    """Cut what the package says where a user's file closes a circle; a genre of one that stays."""
    for genre in list(parents):
        way = [genre]
        while (above := parents.get(way[-1])) is not None:
            if above in way:
                loose = [one for one in way[way.index(above) :] if one not in fixed]
                if not loose:
                    return above
                del parents[loose[0]]
                break
            way.append(above)
    return ""
