"""Who made a track and which album it is on, told from what all tracks of a library say.

Artists and albums are things, their names are spellings. In this order:

1. A MusicBrainz id says which artist or album it is. A name that goes with one id alone goes with
   it everywhere.
2. Names are one where `matt.datasets.credits.same_name` or `same_album` says so.
3. Of a credit such as "Ann feat. Bob" the one who leads is the artist. "Ann & Bob" and "Ann with
   Bob" are cut only where the library knows Ann: in the same album by herself, or beside several
   others; before "with" anywhere. Else it is one name, as "Simon & Garfunkel" is.

Everybody who is named is kept beside the artist, for splits that nobody is on two sides of, and so
are names that are nearly equal (`like_names`): these stay two artists, on one side.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tracks import stable_id
from .credits import Credit, Credits, like_names, normalise, same_album, same_name
from .words import Words, known_words

_ID, _NAME = "id", "name"
_ARTIST = ("artist", "")
Node = tuple[str, str]  # an artist: a MusicBrainz id, or a name as `same_name`
_Title = tuple[bool, Node | None, str]  # of a compilation or not, whose, as `same_album`
IdOf = Callable[[str, str, str], int]
"""Makes an id of a kind (artist, album, compilation), the artist of an album, and a name."""


@dataclass(frozen=True)
class Claim:
    """What one track says of who made it, and of its album; what is unknown is empty.

    Attributes
    ----------
    artist : str
        Credit of whom its bag belongs to.
    album : str
    owner : str
        Credit of whom the album belongs to; of a compilation of nobody in particular, nobody.
    others : tuple of str
        Further credits of the track: who is named there is no stranger.
    guests : tuple of str
        Further names.
    compilation : bool
        Whether the album is by several artists.
    place : str
        Where it lies: tracks of one title in one place are on one album.
    artist_ids, owner_ids, other_ids : tuple of str
        MusicBrainz ids of the artist, of the album's artist, of the first of the others.
    release : tuple of str
        MusicBrainz ids of the album: of its group of releases, then of the release.
    """

    artist: str
    album: str
    owner: str = ""
    others: tuple[str, ...] = ()
    guests: tuple[str, ...] = ()
    compilation: bool = False
    place: str = ""
    artist_ids: tuple[str, ...] = ()
    owner_ids: tuple[str, ...] = ()
    other_ids: tuple[str, ...] = ()
    release: tuple[str, ...] = ()

    @property
    def artist_id(self) -> int:
        """Id of the artist by this track alone, -1 unknown."""
        return int(identify([self], known_words()).artist_id[0])

    @property
    def album_id(self) -> int:
        """Id of the album by this track alone, -1 unknown."""
        return int(identify([self], known_words()).album_id[0])


@dataclass(frozen=True)
class Merge:
    """Names that were found to mean the same artist or album.

    Attributes
    ----------
    what : {"artist", "album"}
    name : str
        The most frequent.
    others : tuple of str
        The others.
    n_tracks : int
        Tracks under any of them.
    """

    what: str
    name: str
    others: tuple[str, ...]
    n_tracks: int


@dataclass(frozen=True, eq=False)
class Identified:
    """Who is who.

    Attributes
    ----------
    artist_id, album_id : int array, shape (n,)
        -1 unknown.
    all_artists : str array, shape (n,)
        As in `matt.tracks.ALL_ARTISTS`.
    merges : tuple of Merge
        The most tracks first.
    """

    artist_id: NDArray[np.int64]
    album_id: NDArray[np.int64]
    all_artists: NDArray[np.str_]
    merges: tuple[Merge, ...] = ()


def identify(
    claims: Sequence[Claim],
    words: Words,
    *,
    merge: bool = True,
    id_of: IdOf | None = None,
    credits: Credits | None = None,
) -> Identified:
    """Tell who is who.

    Parameters
    ----------
    claims : sequence of Claim, length n
    words : Words
    merge : bool
        Otherwise only letter case, spaces and Unicode forms do not matter, and a credit is a name.
    id_of : callable, optional
        Makes an id of a kind (artist, album, compilation), the artist of an album, and a name as it
        is written most often; by default `name_id`.
    credits : Credits, optional
        By these words, that has read some of the credits before.

    Examples
    --------
    >>> from .words import known_words
    >>> claims = [Claim("Ann feat. Bob", "One"), Claim("ANN", "One (CD2)"), Claim("Bob", "")]
    >>> same = identify(claims, known_words())
    >>> bool(same.artist_id[0] == same.artist_id[1]), bool(same.album_id[0] == same.album_id[1])
    (True, True)
    >>> str(same.artist_id[2]) in same.all_artists[0].split()
    True
    """
    different = {id(claim): claim for claim in claims}  # tracks of an album often share theirs
    place = {key: row for row, key in enumerate(different)}
    rows = np.array([place[id(claim)] for claim in claims], np.int64)
    times = np.bincount(rows, minlength=len(different)).tolist()
    library = _Library(list(different.values()), times, credits or Credits(words), merge=merge)
    found = library.identities(id_of or name_id)
    return replace(
        found,
        artist_id=found.artist_id[rows],
        album_id=found.album_id[rows],
        all_artists=found.all_artists[rows],
    )


def name_id(kind: str, of: str, name: str) -> int:
    """Id of an artist or album of a folder."""
    parts = (kind, normalise(name)) if kind == "artist" else (kind, normalise(of), normalise(name))
    return stable_id("\n".join(parts))


class _Library:
    """All claims, and what they tell of each other."""

    def __init__(
        self, claims: Sequence[Claim], times: Sequence[int], credits: Credits, *, merge: bool
    ) -> None:
        self.claims, self.times, self.merge = claims, times, merge
        self.credits = credits
        self.same_name = same_name if merge else normalise
        self.same_album = same_album if merge else normalise
        self.groups = dict(
            (release, group)
            for group, *rest in (claim.release for claim in claims if len(claim.release) > 1)
            for release in rest
        )
        self.whole: set[str] = set()  # every lead, as it stands
        self.heads: dict[Hashable, dict[str, Credit]] = defaultdict(dict)  # by album, by key
        if merge:
            self._listen()
        self.shared = self._shared()
        self._leads: dict[tuple[str, Hashable], Credit] = {}
        self.ids_of: dict[str, set[str]] = defaultdict(set)  # MusicBrainz ids that go with a name
        if merge:
            self._pair()

    def read(self, text: str) -> Credit:
        return self.credits.read(text) if self.merge else Credit(text)

    # ---- albums, as far as they say who is known ----

    def disc(self, claim: Claim) -> Hashable:
        """What is one album whoever it is by; None where it is unknown."""
        return (claim.place, self.same_album(claim.album)) if claim.album else None

    def release(self, claim: Claim) -> str:
        """Id of the group of a release, else its own."""
        first = claim.release[0]
        return self.groups.get(first, first)

    def _listen(self) -> None:
        for claim in self.claims:
            album = self.disc(claim)
            for text in (claim.artist, *claim.others):
                if text:
                    credit = self.read(text)
                    key = same_name(credit.lead)
                    self.whole.add(key)
                    if album is not None:
                        self.heads[album].setdefault(key, credit)

    def _shared(self) -> dict[Hashable, set[str]]:
        """By album, who leads several credits in it that nothing else explains."""
        shared = {}
        for album, heads in self.heads.items():
            if len(heads) > 1 and any(credit.cuts for credit in heads.values()):
                times: Counter[str] = Counter()
                for credit in heads.values():
                    keys = {same_name(cut.lead): cut.joint for cut in credit.cuts}
                    if not keys.keys() & heads.keys():
                        times.update(key for key, joint in keys.items() if joint != "list")
                shared[album] = {key for key, n in times.items() if n > 1}
        return shared

    # ---- who leads ----

    def lead(self, text: str, album: Hashable) -> Credit:
        """A credit, cut where the library says so."""
        known = self._leads.get((text, album))
        if known is None:
            known = self._leads[text, album] = self._cut(self.read(text), album)
        return known

    def _cut(self, credit: Credit, album: Hashable) -> Credit:
        if not credit.cuts:
            return credit
        heads, shared = self.heads.get(album, {}), self.shared.get(album, set())
        keyed = [(cut, same_name(cut.lead)) for cut in credit.cuts]
        wanted = [cut for cut, key in keyed if key in heads]
        wanted += [cut for cut, key in keyed if cut.joint == "with" and key in self.whole]
        wanted += [cut for cut, key in keyed if key in shared]
        if wanted:
            guests = (*credit.guests, *self.credits.parts(wanted[0].rest))
            return Credit(wanted[0].lead, guests)
        # It stays one name; parts of it that are artists elsewhere are kept on its side.
        parts = (part for cut in credit.cuts for part in self.credits.parts(cut.rest))
        every = (*parts, *(cut.lead for cut in credit.cuts))
        known = (part for part in every if same_name(part) in self.whole)
        return Credit(credit.lead, (*credit.guests, *known))

    # ---- MusicBrainz ----

    def _pair(self) -> None:
        """Which ids go with which names."""
        for claim in self.claims:
            album = self.disc(claim)
            for text, ids in (
                (claim.artist, claim.artist_ids),
                (claim.owner, claim.owner_ids),
                (claim.others[0] if claim.others else "", claim.other_ids),
            ):
                if text and ids:
                    credit = self.lead(text, album)
                    if len(ids) == 1 or credit.lead != self.read(text).lead or credit.guests:
                        self.ids_of[same_name(credit.lead)].add(ids[0])
                    elif len(credit.cuts) == len(ids) - 1:
                        self.ids_of[same_name(credit.cuts[-1].lead)].add(ids[0])

    def named(self, name: str) -> Node:
        """Who goes by a name."""
        key = self.same_name(name)
        ids = self.ids_of.get(key, ())
        return (_ID, min(ids)) if len(ids) == 1 else (_NAME, key)

    def node(self, text: str, ids: Sequence[str], album: Hashable) -> Node | None:
        """Whoever leads a credit."""
        if ids and self.merge:
            return (_ID, ids[0])
        return self.named(self.lead(text, album).lead) if text else None

    # ---- everything ----

    def identities(self, id_of: IdOf) -> Identified:
        """Ids of all claims, and what was merged."""
        artists, albums, owners = _Named(), _Named(), _Named()
        makers: list[Node | None] = []
        titles: list[_Title | None] = []
        pressed: dict[_Title, set[str]] = defaultdict(set)  # releases that a title goes with
        for claim, n in zip(self.claims, self.times, strict=True):
            disc = self.disc(claim)
            maker = self.node(claim.artist, claim.artist_ids, disc)
            if maker is not None and claim.artist:
                name = self.lead(claim.artist, disc).lead
                artists.add(maker, name, claim.artist, _ARTIST, n)
            elif maker is not None:
                artists.mention(maker, maker[1])
            makers.append(maker)
            owner = self.node(claim.owner, claim.owner_ids, disc)
            title = None
            if claim.album and (claim.compilation or owner is not None):
                title = (claim.compilation, owner, self.same_album(claim.album))
                if claim.owner and owner is not None:
                    name = self.lead(claim.owner, disc).lead
                    owners.add(owner, name, claim.owner, _ARTIST, n)
                if claim.release and self.merge:
                    pressed[title].add(self.release(claim))
            titles.append(title)
        covers: list[Hashable] = []
        for claim, title, n in zip(self.claims, titles, self.times, strict=True):
            if title is None:
                covers.append(None)
                continue
            album: Hashable = title
            if claim.release and self.merge:
                album = (_ID, self.release(claim))
            elif len(pressed.get(title, ())) == 1:  # another track of this title says which
                album = (_ID, *pressed[title])
            whose = "" if title[1] is None else owners.name(title[1])
            kind = "compilation" if claim.compilation else "album"
            albums.add(album, claim.album, claim.album, (kind, whose), n)
            covers.append(album)
        company = self._company(artists)
        artist_ids, album_ids = artists.ids(id_of), albums.ids(id_of)
        merges = (*artists.merges("artist"), *albums.merges("album")) if self.merge else ()
        return Identified(
            np.array([-1 if m is None else artist_ids.get(m, -1) for m in makers], np.int64),
            np.array([album_ids.get(cover, -1) for cover in covers], np.int64),
            _listed(makers, company, artist_ids, artists if self.merge else _Named()),
            tuple(sorted(merges, key=lambda merge: -merge.n_tracks)),
        )

    def _company(self, artists: _Named) -> list[tuple[Node, ...]]:
        """Everybody whom each track names."""
        if not self.merge:
            return [()] * len(self.claims)
        known: dict[Hashable, tuple[Node, ...]] = {}
        company = []
        for claim in self.claims:
            disc = self.disc(claim)
            ids = (*claim.artist_ids, *claim.other_ids)
            key = (claim.artist, claim.others, claim.guests, ids, disc)
            if key not in known:
                names = list(claim.guests)
                for text in filter(None, (claim.artist, *claim.others)):
                    credit = self.lead(text, disc)
                    names += [credit.lead, *credit.guests]
                nodes = dict.fromkeys((_ID, one) for one in ids)
                for name in names:
                    node = self.named(name)
                    artists.mention(node, name)
                    # Several ids of one name: nobody knows which of them it is here.
                    nodes |= dict.fromkeys(
                        (node, *((_ID, i) for i in self.ids_of.get(node[1], ())))
                    )
                known[key] = tuple(nodes)
            company.append(known[key])
        return company


class _Named:
    """Artists or albums, and under which names they were met."""

    def __init__(self) -> None:
        # By node, how often; plain dictionaries, since there are as many as artists and albums.
        self.names: dict[Hashable, dict[str, int]] = {}
        self.written: dict[Hashable, dict[str, int]] = {}  # whole, as in the tags
        self.of: dict[Hashable, dict[tuple[str, str], int]] = {}

    def add(self, node: Hashable, name: str, written: str, of: tuple[str, str], times: int) -> None:
        """Meet one under a name; ``of`` is its kind, and of an album whose it is."""
        if node not in self.written:
            self.names.setdefault(node, {})
            self.written[node] = {}
            self.of.setdefault(node, {})
        names, whole, kinds = self.names[node], self.written[node], self.of[node]
        names[name] = names.get(name, 0) + times
        whole[written] = whole.get(written, 0) + times
        kinds[of] = kinds.get(of, 0) + times

    def mention(self, node: Hashable, name: str) -> None:
        """Hear of an artist who has no track so far."""
        if node not in self.names:
            self.names[node] = {name: 0}
            self.of[node] = {_ARTIST: 0}

    def name(self, node: Hashable) -> str:
        """The most frequent name, of equally frequent ones the first in the alphabet."""
        counted = self.names.get(node, {})
        return _most(counted) if counted else ""

    def ids(self, id_of: IdOf) -> dict[Hashable, int]:
        """An id each; two of one name, which MusicBrainz tells apart, are two."""
        told = {}
        for node in self.names:
            told[node] = (*_most(self.of[node]), self.name(node))
        times = Counter((kind, of, normalise(name)) for kind, of, name in told.values())
        made = {}
        for node, (kind, of, name) in told.items():
            if times[kind, of, normalise(name)] > 1 and isinstance(node, tuple) and node[0] == _ID:
                name = f"{name} {node[1]}"
            made[node] = id_of(kind, of, name)
        return made

    def merges(self, what: str) -> Iterator[Merge]:
        """Those that were met under several names, whose case and spaces do not matter."""
        for node, written in self.written.items():
            if len(written) > 1:
                shown: dict[str, str] = {}
                for text in (self.name(node), *sorted(written, key=lambda t: (-written[t], t))):
                    shown.setdefault(normalise(text), text)
                if len({normalise(text) for text in written}) > 1:
                    first, *others = shown.values()
                    yield Merge(what, first, tuple(others), sum(written.values()))


def _most(counted: Mapping[Any, int]) -> Any:
    """The most frequent, of equally frequent ones the first."""
    if len(counted) == 1:
        return next(iter(counted))
    return min(counted, key=lambda one: (-counted[one], one))


def _listed(
    makers: Sequence[Node | None],
    company: Sequence[tuple[Node, ...]],
    ids: Mapping[Hashable, int],
    artists: _Named,
) -> NDArray[np.str_]:
    """Ids of everybody whom each track names, where that is more than its artist, shape (n,)."""
    like: dict[int, list[str]] = defaultdict(list)  # of an artist: what stands for names like its
    alike: dict[str, set[int]] = defaultdict(set)
    for node in artists.names:
        for form in like_names(artists.name(node)):
            alike[form].add(ids[node])
    for form, some in alike.items():
        if len(some) > 1:
            mark = stable_id(f"like\n{form}")
            for number in some:
                like[number].append(f"~{mark}")
    made: dict[tuple[Node | None, tuple[Node, ...]], str] = {}
    for maker, others in zip(makers, company, strict=True):
        if (maker, others) not in made:
            nodes = dict.fromkeys((*([maker] if maker else []), *others))
            # An id of MusicBrainz without a name is known by itself.
            named = [ids[n] if n in ids else stable_id(f"artist\n{n[1]}") for n in nodes]
            same = [form for one in named for form in like[one]]
            every = dict.fromkeys([*map(str, named), *same])
            alone = maker is not None and len(every) == 1
            made[maker, others] = "" if alone else " ".join(every)
    return np.array([made[pair] for pair in zip(makers, company, strict=True)], np.str_)
