"""What a field becomes: whether it is filled, added to or replaced, and what always stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..calibration.coverage import check_share
from ..datasets.genres import Vocabulary, folded
from ..datasets.tags import printable
from ..errors import ConfigError, did_you_mean
from .families import FIELDS, Values

MODES = ("fill-empty", "append", "replace")
LONGEST = 200  # characters of a value that is written
MOST = 20  # values of a field that are written by a plan
_BETWEEN = re.compile(r"[;,|\\/]")


@dataclass(frozen=True)
class Policy:
    """How what is heard goes into a file.

    Attributes
    ----------
    mode : {"fill-empty", "append", "replace"}
        Write only where nothing is; add to what is there; put it in the place of what is there.
    protected : tuple of str
        Genres, by any of their names, besides those that the vocabulary protects: a field that
        holds one is left as it is in every mode.
    min_sure : float or None
        Probability that an answer needs, in (0, 1); by default that with which it was predicted.
    fields : tuple of str
        Of ``"genre"``, ``"mood"`` and ``"grouping"``.
    most : int, 1 <= most <= 20
        Genres that are given an album.
    separator : str
        What stands between several values where a format has no list: in ID3v2.3.

    Raises
    ------
    ConfigError
        If one is nothing of that.
    """

    mode: str = "fill-empty"
    protected: tuple[str, ...] = ()
    min_sure: float | None = None
    fields: tuple[str, ...] = ("genre",)
    most: int = 1
    separator: str = "/"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"mode is {self.mode!r}; {did_you_mean(self.mode, MODES)}")
        if not self.fields:
            raise ConfigError("no field is to be written; name some of genre, mood and grouping")
        for field in self.fields:
            if field not in FIELDS:
                raise ConfigError(f"fields has {field!r}; {did_you_mean(field, FIELDS)}")
        if not 1 <= self.most <= MOST:
            raise ConfigError(f"most is {self.most!r}; give a whole number from 1 to {MOST}")
        if self.min_sure is not None:
            check_share("min_sure", self.min_sure)
        if any(not genre.strip() for genre in self.protected):
            raise ConfigError("protected has an empty name; name a genre, e.g. 'Christmas'")
        if not self.separator or self.separator != printable(f"x{self.separator}x")[1:-1]:
            raise ConfigError(
                f"separator is {self.separator!r}; give characters that show, such as '/' or '; '"
            )

    def values(self, old: Values, given: Values, vocabulary: Vocabulary) -> Values | None:
        """What a field shall hold; None where it is left as it is.

        What names a genre is taken away in the mode ``"replace"`` alone. A field that says nothing
        but "Other" or "unknown" is empty.

        Parameters
        ----------
        old : tuple of str
            What the file says.
        given : tuple of str
            What was heard, most likely first.
        vocabulary : Vocabulary
            Which names mean the same, and which are protected.

        Examples
        --------
        >>> from matt.datasets.genres import vocabulary
        >>> words, given = vocabulary(), ("Hip-Hop",)
        >>> Policy().values((), given, words), Policy().values(("Jazz",), given, words)
        (('Hip-Hop',), None)
        >>> Policy("append").values(("Jazz",), given, words)
        ('Jazz', 'Hip-Hop')
        >>> Policy("append").values(("hip hop/rap",), given, words) is None
        True
        >>> Policy("replace").values(("Jazz", "Pop"), given, words)
        ('Hip-Hop',)
        >>> Policy("replace", protected=("Jazz",)).values(("jazz", "Pop"), given, words) is None
        True
        """
        told = tuple(value for value in old if not _says_nothing(value, vocabulary))
        if self.mode == "fill-empty" and told:
            return None
        if any(self.protects(value, vocabulary) for value in told):
            return None
        kept = () if self.mode == "replace" else told
        seen = {name for value in kept for name in self._names(value, vocabulary)}
        new = []
        heard = [value for value in map(_clean, given) if not _says_nothing(value, vocabulary)]
        for value in heard[: self.most]:
            if seen.isdisjoint(names := {*self._whole(value, vocabulary)}):
                new.append(value)
            seen |= names
        if not new or (*kept, *new) == old or (self.separator.join((*kept, *new)),) == old:
            return None
        return (*kept, *new)

    def protects(self, value: str, vocabulary: Vocabulary) -> bool:
        """Whether a value of a file names a genre that stays, alone or among others."""
        stays = vocabulary.protected.union(*(self._whole(n, vocabulary) for n in self.protected))
        return not stays.isdisjoint(self._names(value, vocabulary))

    def _names(self, value: str, vocabulary: Vocabulary) -> Iterator[str]:
        """What a value may mean, as `folded`: as a whole, and what stands between signs in it."""
        parts = [part for whole in value.split(self.separator) for part in _BETWEEN.split(whole)]
        for part in (value, *value.split(self.separator), *parts):
            if part.strip():
                yield from self._whole(part, vocabulary)

    @staticmethod
    def _whole(value: str, vocabulary: Vocabulary) -> Iterable[str]:
        return [folded(value), *map(folded, vocabulary.read(value))]


def _says_nothing(value: str, vocabulary: Vocabulary) -> bool:
    """Whether a value is blank, or a word for "unknown"."""
    name = printable(value)
    return folded(name) not in vocabulary.own and vocabulary.words.is_no_genre(name)


def _clean(value: str) -> str:
    """A value on one line, without what steers a terminal."""
    return " ".join(printable(value).split())[:LONGEST].strip()
