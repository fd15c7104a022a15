"""Words that are no names: "unknown", "several", "and a guest", in many languages.

They lie in one file, ``words.toml``; a file of one's own adds to it. Folders and tables ask the
same words, each as `plain_word`: letter case, accents, spaces and punctuation do not matter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from ..errors import ConfigError, did_you_mean
from ..files import read_toml

_PLAIN = ("unknown", "genre", "various", "nobody", "names")
_AS_THEY_ARE = ("guest", "with", "and")
_SECTIONS = (*_PLAIN, *_AS_THEY_ARE)
# Signs that stand for nothing. Others may be names: "!!!", "+" and "=" are a band and two albums.
_SIGNS = re.compile(r"[-?._*\s/\\<>()\[\]\u2010-\u2015\u2026\uff1f]*")
_BEHIND = re.compile(r"[\s_#]*(?:[(\[][^()\[\]]*\d[^()\[\]]*[)\]]|\d+)\s*$")
_TITLED = re.compile(
    r"([^()\[\]]+?)\s*(?:\s[-\u2013\u2014]\s.*|[(\[][^()\[\]]*[)\]]\s*)$", re.DOTALL
)
_ACCENTS = re.compile("[\u0300-\u036f]")
_NO_LETTER = re.compile(r"[\W_]+")
_SHORT = 5  # letters: behind fewer, a number may be part of a name


def without_accents(text: str) -> str:
    """Text in lower case and normal width, with the accents of its letters taken away.

    >>> without_accents("Beyonc\u00e9"), without_accents("I\u015f\u0131k")
    ('beyonce', 'isik')
    """
    if text.isascii():
        return text.casefold()
    wide = unicodedata.normalize("NFKD", text).casefold()
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", wide)).replace("\u0131", "i")


@lru_cache(maxsize=2**17)
def plain_word(text: str) -> str:
    """Letters and digits of a text alone, without case and accents.

    >>> plain_word("V.A.") == plain_word("v/a"), plain_word("[K\u00fcnstler]")
    (True, 'kunstler')
    """
    return _NO_LETTER.sub("", without_accents(text))


@dataclass(frozen=True, eq=False)
class Words:
    """Words that are no names, each as `plain_word`.

    Attributes
    ----------
    unknown : frozenset of str
        Nobody, no album, no title, no genre.
    genre : frozenset of str
        No genre, besides these.
    various : frozenset of str
        Several artists.
    nobody : frozenset of str
        What may be named beside an artist, and is nobody in particular.
    names : frozenset of str
        Names after all, whatever the others say.
    joints : mapping of str to frozenset of str
        What stands between several artists, in lower case: ``"guest"`` before a guest, ``"with"``
        and ``"and"`` before a guest or inside a name.
    """

    unknown: frozenset[str] = frozenset()
    genre: frozenset[str] = frozenset()
    various: frozenset[str] = frozenset()
    nobody: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    joints: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: dict.fromkeys(_AS_THEY_ARE, frozenset())
    )
    _asked: dict[tuple[str, str], bool] = field(default_factory=dict, repr=False)

    def is_unknown(self, text: str) -> bool:
        """Whether a text says that the artist, album or title is unknown; an empty one does.

        >>> known_words().is_unknown("Unbekannter Interpret (2)"), known_words().is_unknown("!!!")
        (True, False)
        """
        return not text or self._says("unknown", text) or self._is_sign(text)

    def is_no_genre(self, text: str) -> bool:
        """Whether a text says that the genre is unknown, or is none."""
        return self.is_unknown(text) or self._says("genre", text)

    def is_various(self, text: str) -> bool:
        """Whether a text says that an album is by several artists."""
        return bool(text) and (self._says("various", text) or self._says("various", _head(text)))

    def is_name(self, text: str) -> bool:
        """Whether a text was said to be a name after all."""
        return (plain_word(text) or text) in self.names

    def _is_sign(self, text: str) -> bool:
        return _SIGNS.fullmatch(text) is not None and not self.is_name(text)

    def _says(self, section: str, text: str) -> bool:
        # Libraries ask for the same few thousand names again and again.
        if (section, text) not in self._asked:
            self._asked[section, text] = self._look_up(getattr(self, section), text)
        return self._asked[section, text]

    def _look_up(self, words: frozenset[str], text: str) -> bool:
        if self.is_name(text):
            return False
        word = plain_word(text)
        if word in words:
            return bool(word)
        rest = _BEHIND.sub("", text)  # "Unknown Album (3)", "Unknown Artist 2"
        return rest != text and len(word := plain_word(rest)) >= _SHORT and word in words

    def and_those_of(self, path: Path | str) -> Words:
        """These words and those of a file.

        Raises
        ------
        ConfigError
            If it is no TOML, or holds anything else than lists of texts under the known sections.
        """
        return self._and(read_toml(path), str(path))

    def _and(self, content: Mapping[str, Any], where: str) -> Words:
        plain: dict[str, set[str]] = {name: set(getattr(self, name)) for name in _PLAIN}
        joints = {name: set(some) for name, some in self.joints.items()}
        for section, given in content.items():
            if section not in _SECTIONS:
                told = did_you_mean(section, _SECTIONS)
                raise ConfigError(f"{where}: {section!r} is no list of words; {told}")
            for text in _texts(given, section, where):
                if section in joints:
                    joints[section].add(unicodedata.normalize("NFKC", text).casefold())
                else:
                    plain[section].add(plain_word(text) or text)
        return replace(
            self,
            **{name: frozenset(some) for name, some in plain.items()},
            joints={name: frozenset(some) for name, some in joints.items()},
            _asked={},
        )


def _head(text: str) -> str:
    """What stands before a title, in "VA - Title" and "VA (Title)"; or nothing."""
    found = _TITLED.match(text)
    return found[1] if found else ""


def _texts(given: Any, section: str, where: str) -> Iterator[str]:
    lists = list(given.values()) if isinstance(given, Mapping) else [given]
    for some in lists:
        if not isinstance(some, list) or not all(isinstance(text, str) for text in some):
            raise ConfigError(
                f"{where}: {section} holds {some!r}; give a list of texts, e.g. "
                f'{section} = ["Sampler"]'
            )
        yield from some


def known_words(path: Path | None = None) -> Words:
    """The words that come with the package, and those of a file if one is named.

    >>> known_words().is_various("VV.AA."), known_words().is_no_genre("Other")
    (True, True)
    """
    return _shipped() if path is None else _shipped().and_those_of(path)


@cache
def _shipped() -> Words:
    with as_file(files(__package__) / "words.toml") as own:
        return Words().and_those_of(own)
