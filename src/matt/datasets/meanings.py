"""What the genre tags of a library come to, by a vocabulary."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .credits import same_genre
from .genres import MAINS, Vocabulary, folded
from .genres import vocabulary as shipped


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

    @property
    def as_written(self) -> bool:
        """Whether it stayed the one genre that it was, however it is spelled."""
        return len(self.becomes) == 1 and folded(self.becomes[0]) == folded(self.written)


@dataclass(frozen=True, eq=False)
class Meanings:
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
) -> Meanings:
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
    """
    rows = Counter(value for values in written for value in dict.fromkeys(values))
    read = _spelled({value: vocabulary.read(value) for value in rows}, rows, vocabulary, same)
    of_values: dict[tuple[str, ...], tuple[str, ...]] = {}
    genres = []
    for values in map(tuple, written):
        if values not in of_values:
            named = dict.fromkeys(genre for value in values for genre in read[value])
            of_values[values] = vocabulary.in_order(tuple(named))
        genres.append(of_values[values])
    becomes = vocabulary.too_small(genres, albums)
    if becomes:
        read = {value: _become(some, becomes) for value, some in read.items()}
        changed = {some: _become(some, becomes) for some in dict.fromkeys(genres)}
        genres = [changed[some] for some in genres]
    seen: dict[str, set[Hashable]] = {value: set() for value in rows}
    for tags, album in zip(written, albums, strict=True):
        for value in tags:
            seen[value].add(album)
    order = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    meanings = (
        Meaning(value, read[value], vocabulary.tells(value), n, len(seen[value]))
        for value, n in order
    )
    return Meanings(tuple(genres), tuple(meanings))


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


def too_few_left(
    meanings: Iterable[Meaning], genres: Collection[str], vocabulary: Vocabulary
) -> str:
    """What is wrong where a user's vocabulary leaves one main genre, or none, of several.

    That is no fault of a single album, which may well have one, but of whatever is to be learned.

    Parameters
    ----------
    meanings : iterable of Meaning
    genres : collection of str
        Main genres that are left.
    vocabulary : Vocabulary

    Returns
    -------
    str
        Empty where nothing is.
    """
    if not vocabulary.source or len(genres) > 1:
        return ""
    usual = shipped(words=vocabulary.words)
    before = {folded(genre) for some in meanings for genre in usual.read(some.written)}
    if len(before) < 2:
        return ""
    told = f"one genre, {next(iter(genres))!r}," if genres else "no genre"
    return (
        f"{vocabulary.source} leaves {told} of the {len(before)} in the tags, and nothing can be "
        "told apart; take something out of aliases or ignore, or lower minimum_albums"
    )


# ---- what to look at ----

_ALIKE = 0.84  # of difflib's ratio, from which on two names may be one that is misspelled
_MOST = 300  # unknown names that anybody compares with all known ones


def unmapped(meanings: Sequence[Meaning]) -> list[Meaning]:
    """Genres that the vocabulary does not know, each once, however it is spelled."""
    found: dict[str, Meaning] = {}
    for some in meanings:
        if not some.known:
            name = some.becomes[0]
            before = found.get(name, Meaning(name, some.becomes, False, 0, 0))
            tracks, albums = before.n_tracks + some.n_tracks, before.n_albums + some.n_albums
            found[name] = replace(before, n_tracks=tracks, n_albums=albums)
    return list(found.values())


def look_alike(meanings: Sequence[Meaning], vocabulary: Vocabulary) -> dict[str, str]:
    """Names that the vocabulary does not know, and the name that each may be.

    Names with the same words, or nearly the same letters; among unknown ones that of more tracks.
    """
    unknown = [meaning.written for meaning in unmapped(meanings)][:_MOST]
    known = {key: vocabulary.names[key] for key in vocabulary.names}
    words = {_words(name): name for name in reversed(vocabulary.genres)}
    found = {}
    for name in unknown:
        key = folded(name)
        near = difflib.get_close_matches(key, known, n=1, cutoff=_ALIKE)
        other = words.get(_words(name)) or (known[near[0]] if near else "")
        if other and other != name:
            found[name] = other
        if not other:
            known[key] = name
            words.setdefault(_words(name), name)
    return found


def _words(name: str) -> tuple[str, ...]:
    return tuple(sorted(folded(word) for word in name.replace("-", " ").split()))


_START = """\
# Genres of this library, for every command of matt that reads it: save it as genres.toml in the
# library, or name it with --genres. Nothing below counts until you take a # away, and what a tag
# says here goes over the names that come with matt. Letter case, dashes and spaces do not matter.
# On the left stands the genre that you want.

# minimum_albums = 5  # a genre of fewer albums becomes the one above it
# main = "first"      # of several genres of a track; or {others}

# What is no genre.
ignore = [
{none}]

# What stays as it is written here, although it is read as something else.
keep = [
{keep}]

# A genre, and what else it is called.
[aliases]
{aliases}
# A genre, and those below it. Of the names here nothing is known.
[parents]
{parents}"""


def starting_file(meanings: Sequence[Meaning], alike: Mapping[str, str]) -> str:
    """A vocabulary of one's own to edit, in TOML, which changes nothing as it is.

    Parameters
    ----------
    meanings : sequence of Meaning
    alike : mapping of str to str
        What unknown names may be: `look_alike`.
    """
    changed = [some for some in meanings if some.known and not some.as_written]
    aliases: dict[str, list[Meaning]] = {}
    unknown = []
    for some in unmapped(meanings):
        if some.written in alike:
            aliases.setdefault(alike[some.written], []).append(some)
        else:
            unknown.append(some)
    listed = "".join(
        f"# {_text(genre)} = [{', '.join(_text(some.written) for some in found)}]"
        f"  # {_albums(sum(some.n_albums for some in found))}\n"
        for genre, found in aliases.items()
    )
    below = [f"#   {_text(some.written)},  # {_albums(some.n_albums)}\n" for some in unknown]
    return _START.format(
        others=" or ".join(_text(main) for main in MAINS[1:]),
        none="".join(f"  # {_text(some.written)},\n" for some in unknown),
        keep="".join(
            f"  # {_text(some.written)},  # {some.told}, {_albums(some.n_albums)}\n"
            for some in changed
        ),
        aliases=listed,
        parents=f'# "Genre" = [\n{"".join(below)}# ]\n' if below else "",
    )


def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _albums(n: int) -> str:
    return f"{n:,} album{'s' if n > 1 else ''}"
