"""Albums that are reviewed: compact, in one order, found by status and text, and by their keys."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..library.albums import in_order, name_of
from ..library.status import AGREES, DISAGREES, NEW, UNSURE
from .decisions import ReviewDecision, album_key
from .teaching import Lesson, next_to_label

TODO, TEACHES, DECIDED, ALL = "todo", "teaches", "decided", "all"
SHOWS = {
    TODO: "To do",
    TEACHES: "Teaches most",
    NEW: "New",
    DISAGREES: "Disagree",
    UNSURE: "Unsure",
    AGREES: "Agree",
    DECIDED: "Decided",
    ALL: "All",
}
"""Which albums are listed, and what a person reads."""
_TO_DO = NEW, DISAGREES, UNSURE
PAGE = 50  # albums


class ReviewTrack(NamedTuple):
    """A track as it is listed and played."""

    track_id: int
    name: str
    artist: str
    path: str
    tagged: str


class LikelyGenre(NamedTuple):
    """A genre and its probability."""

    genre: str
    sure: float


@dataclass(frozen=True, slots=True)
class ReviewAlbum:
    """An album, or a lone track, with what was said of it.

    Attributes
    ----------
    key : str
        See `matt.review.decisions.album_key`.
    name, artist : str
    year : int or None
    status : str
        See `matt.library.status`.
    tagged : tuple of str
        Genres of its tags.
    said : tuple of str
        The genres that are accepted: those given, or the likeliest where none is.
    given : bool
        Whether one was given: of an unsure album mostly none is.
    sure : float
        Probability of the first.
    others : tuple of LikelyGenre
        Further likely genres.
    in_training : bool
        Whether the model itself knows its tag by heart.
    tracks : tuple of ReviewTrack
    text : str
        What is searched.
    """

    key: str
    name: str
    artist: str
    year: int | None
    status: str
    tagged: tuple[str, ...]
    said: tuple[str, ...]
    given: bool
    sure: float
    others: tuple[LikelyGenre, ...]
    in_training: bool
    tracks: tuple[ReviewTrack, ...]
    text: str

    @classmethod
    def of(cls, row: Mapping[str, Any], root: Path) -> ReviewAlbum:
        """Make one of a row of `matt.library.albums.album_rows`."""
        said = tuple(row.get("genres") or [row["genre"] or row["top"][0]["genre"]])
        tracks = tuple(
            ReviewTrack(
                track["track_id"],
                name_of(track),
                str(track["artist"] or ""),
                track["path"],
                str(track["tagged"] or ""),
            )
            for track in row["tracks"]
        )
        name = str(row["album"] or (tracks[0].name if len(tracks) == 1 else ""))
        name = name or os.path.basename(row["path"]) or tracks[0].name
        artist = str(row["artist"] or "")
        tagged = tuple(filter(None, str(row["tagged"] or "").split("; ")))
        words = (artist, name, *said, *tagged)
        return cls(
            key=album_key(row, root),
            name=name,
            artist=artist,
            year=row["year"],
            status=row["status"],
            tagged=tagged,
            said=said,
            given=bool(row["genre"]),
            sure=float(row["probability"]),
            others=tuple(
                LikelyGenre(one["genre"], float(one["probability"]))
                for one in row["top"]
                if one["genre"] not in said
            ),
            in_training=bool(row["in_training"]) and not row["out_of_fold"],
            tracks=tracks,
            text="\n".join(words).casefold(),
        )

    @property
    def title(self) -> str:
        """Album and artist, for people."""
        return f"{self.name} by {self.artist}" if self.artist else self.name

    def decided(self, verdict: str, genres: Sequence[str], when: float) -> ReviewDecision:
        """Make what a person says of it a decision."""
        said = {"accepted": self.said, "kept": self.tagged, "rejected": ()}
        return ReviewDecision(
            self.key,
            tuple(track.track_id for track in self.tracks),
            verdict,
            tuple(said.get(verdict, genres)),
            self.said[0],
            self.sure,
            when,
        )


@dataclass(frozen=True)
class AskedAlbums:
    """Which albums are listed.

    Attributes
    ----------
    show : str
        One of `SHOWS`; anything else is to do.
    text : str
        Each of its words is in artist, title or genres.
    """

    show: str = TODO
    text: str = ""
    _words: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "show", self.show if self.show in SHOWS else TODO)
        object.__setattr__(self, "text", self.text.strip()[:200])
        object.__setattr__(self, "_words", tuple(self.text.casefold().split()))

    def holds(self, album: ReviewAlbum, decisions: Mapping[str, ReviewDecision]) -> bool:
        """Whether an album is one of these, be it decided or not unless that is asked."""
        if self.show == DECIDED:
            if album.key not in decisions:
                return False
        elif self.show == TODO:
            if album.status not in _TO_DO:
                return False
        elif self.show not in (ALL, TEACHES) and album.status != self.show:
            return False
        return all(word in album.text for word in self._words)

    def lists(self, album: ReviewAlbum, decisions: Mapping[str, ReviewDecision]) -> bool:
        """Whether it is in the list: what is decided is nothing to do."""
        open_alone = self.show in (TODO, TEACHES)
        return self.holds(album, decisions) and not (open_alone and album.key in decisions)


class Albums:
    """All albums of a library in the order of what there is to do.

    Parameters
    ----------
    rows : iterable of mapping
        Of `matt.library.albums.album_rows`.
    root : Path
        The library.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], root: Path) -> None:
        self.all: list[ReviewAlbum] = []
        self._rows = list(in_order(rows))
        self._places: dict[str, int] = {}
        self._taught: tuple[Any, list[Lesson]] | None = None
        for row in self._rows:
            album = ReviewAlbum.of(row, root)
            key, n = album.key, 1
            while album.key in self._places:  # all of the three are the same: a second of the kind
                n += 1
                album = replace(album, key=f"{key}-{n}")
            self._places[album.key] = len(self.all)
            self.all.append(album)

    def __len__(self) -> int:
        return len(self.all)

    def get(self, key: str) -> ReviewAlbum | None:
        """The album of a key."""
        place = self._places.get(key)
        return None if place is None else self.all[place]

    def listed(
        self, asked: AskedAlbums, decisions: Mapping[str, ReviewDecision]
    ) -> list[ReviewAlbum]:
        """Albums that are asked for: those that teach most are a page of them."""
        ordered = self._ordered(asked, decisions)
        found = [album for album in ordered if asked.lists(album, decisions)]
        return found[:PAGE] if asked.show == TEACHES else found

    def reasons(
        self, albums: Sequence[ReviewAlbum], decisions: Mapping[str, ReviewDecision]
    ) -> dict[str, str]:
        """Why some albums that nobody has decided would teach a model, by their keys."""
        wanted = {self._places[album.key] for album in albums}
        found = (lesson for lesson in self._lessons(decisions) if lesson.row in wanted)
        return {self.all[lesson.row].key: lesson.reason for lesson in found}

    def counts(self, decisions: Mapping[str, ReviewDecision]) -> dict[str, int]:
        """How many there are of most of `SHOWS`; of a status, how many are not decided."""
        left = Counter(album.status for album in self.all if album.key not in decisions)
        return {
            TODO: sum(left[status] for status in _TO_DO),
            **{status: left[status] for status in (*_TO_DO, AGREES)},
            DECIDED: len(self.all) - left.total(),
            ALL: len(self.all),
        }

    def after(
        self,
        key: str,
        asked: AskedAlbums,
        decisions: Mapping[str, ReviewDecision],
        *,
        step: int = 1,
    ) -> ReviewAlbum | None:
        """The next album that is asked for, or the one before; None at the end."""
        ordered = self._ordered(asked, decisions)
        place = self._place(key, ordered)
        around = ordered[place + 1 :] if step > 0 else ordered[:place][::-1]
        return next((one for one in around if asked.holds(one, decisions)), None)

    def left_after(
        self, key: str, asked: AskedAlbums, decisions: Mapping[str, ReviewDecision]
    ) -> ReviewAlbum | None:
        """The next album that is not decided, from the start again behind the last one."""
        ordered = self._ordered(asked, decisions)
        place = self._place(key, ordered)
        around = [*ordered[place + 1 :], *ordered[: max(place, 0)]]
        return next(
            (one for one in around if one.key not in decisions and asked.holds(one, decisions)),
            None,
        )

    def _ordered(
        self, asked: AskedAlbums, decisions: Mapping[str, ReviewDecision]
    ) -> list[ReviewAlbum]:
        """All albums, or those that nobody has decided in the order of what they teach."""
        if asked.show != TEACHES:
            return self.all
        return [self.all[lesson.row] for lesson in self._lessons(decisions)]

    def _place(self, key: str, ordered: list[ReviewAlbum]) -> int:
        """Where an album stands; before all others where it is none of these."""
        if ordered is self.all:
            return self._places[key]
        return next((place for place, one in enumerate(ordered) if one.key == key), -1)

    def _lessons(self, decisions: Mapping[str, ReviewDecision]) -> list[Lesson]:
        made, stand = self._taught, tuple(decisions.values())
        if made is None or made[0] != stand:
            made = stand, next_to_label(self._rows, [*self._places], decisions)
            self._taught = made
        return made[1]
