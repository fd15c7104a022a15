"""Corrections: what a person decided of albums becomes their labels, before anything is learned.

- ``accepted`` and ``changed`` give all tracks of the album these genres, whatever their tags say,
  understood by the vocabulary of the library like a tag.
- ``rejected`` leaves the album without a label: nobody has said what is right.
- ``kept`` leaves it with its tag.

A decision is of the album that holds most of the tracks that it was made of; where none of them is
there any more, of the one that goes by the same key.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..bags import Bags
from ..datasets.credits import normalise, same_genre
from ..datasets.genres import Vocabulary, joined, parted
from ..datasets.meanings import bags_of, understand
from ..errors import DataError, check_arguments
from ..library.albums import who_made
from ..tracks import Tracks
from .curve import curve, in_words
from .decisions import ReviewDecision, album_key

TAGS = "genre_tags"
_SCHEMA = "matt.corrections/1"
_NAMED = 3  # genres of a sentence


@dataclass(frozen=True, eq=False)
class Corrections:
    """Tracks under the labels that a person decided, and what was made of the decisions.

    Attributes
    ----------
    tracks : Tracks
        The same tracks; the genres are those that are used now, and the column ``genre_tags`` has
        what was decided.
    used : tuple of ReviewDecision
        Those that are of an album here, in the order in which they were made.
    lost : tuple of ReviewDecision
        Those that match no album any more.
    new, changed : mapping of str to int
        Albums that had no label and have one, or have another one, by the genre that they have now.
    removed : int
        Albums that had a label and have none.
    """

    tracks: Tracks
    used: tuple[ReviewDecision, ...]
    lost: tuple[ReviewDecision, ...]
    new: Mapping[str, int]
    changed: Mapping[str, int]
    removed: int

    @property
    def same(self) -> int:
        """Albums whose label is what it was."""
        return len(self.used) - self.removed - sum([*self.new.values(), *self.changed.values()])

    @cached_property
    def digest(self) -> str:
        """64 hex digits of the decisions that are used: tells whether two runs had the same."""
        return hashlib.sha256(json.dumps([asdict(one) for one in self.used]).encode()).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """For the manifest of a run."""
        return {
            "digest": self.digest,
            "used": len(self.used),
            "lost": len(self.lost),
            "new": dict(self.new),
            "changed": dict(self.changed),
            "removed": self.removed,
        }

    def to_json(self) -> dict[str, Any]:
        """All decisions, for a file of a run."""
        lists = {name: [asdict(one) for one in getattr(self, name)] for name in ("used", "lost")}
        return {"schema": _SCHEMA, "digest": self.digest, **lists}

    @property
    def notes(self) -> list[str]:
        """What was corrected, and what could not be, in words."""
        parts = (
            (self.new, "had no genre and {has} one now"),
            (self.changed, "{has} another genre than in the tags"),
        )
        told = [
            f"{_albums(n)} {what.format(has=_has(n))} ({_listed(genres)})"
            for genres, what in parts
            if (n := sum(genres.values()))
        ]
        if self.removed:
            told.append(f"{_albums(self.removed)} {_has(self.removed)} none any more")
        if self.same:
            told.append(f"{_albums(self.same)} {'is' if self.same == 1 else 'are'} as before")
        found = []
        if self.used:
            found.append(
                f"your decisions about {_albums(len(self.used))} are used: {', '.join(told)}"
            )
        if self.lost:
            names = [f"{'; '.join(one.genres) or one.verdict}, {one.album}" for one in self.lost]
            more = f" and {len(names) - _NAMED:,} more" * (len(names) > _NAMED)
            n = len(names)
            found.append(
                f"{n:,} decision{'s match' if n > 1 else ' matches'} no album any more, as "
                f"files were moved or removed ({', '.join(names[:_NAMED])}{more})"
            )
        return found

    @property
    def line(self) -> str:
        """What is told of a training: how many there are, and how often the model was right."""
        n = sum([*self.new.values(), *self.changed.values()]) + self.removed
        told = f"You decided {_albums(len(self.used))}, and {n:,} of the labels changed by that."
        growth = in_words(curve(self.used))
        hard = (
            " Albums that are decided first are mostly harder than the library." if growth else ""
        )
        return f"{told}{' ' * bool(growth)}{growth}{hard}"


def corrected(
    tracks: Tracks,
    decisions: Iterable[ReviewDecision],
    vocabulary: Vocabulary,
    *,
    root: Path | str = "",
    same: Callable[[str], str] = same_genre,
) -> Corrections:
    """Give albums the labels that a person decided.

    All genres of the library are understood anew, so that the rules of the vocabulary, such as the
    fewest albums that a genre has, hold of what there is now. A genre that had too few before is
    the one above it in the tracks already, and stays that.

    Parameters
    ----------
    tracks : Tracks
        Of `matt.datasets.folder.scan`, without splits.
    decisions : iterable of ReviewDecision
        One an album, in the order in which they were made; of two about one album the later counts.
    vocabulary : Vocabulary
        By which the tags were read.
    root : path
        The library, for keys.
    same : callable
        As in `matt.datasets.meanings.understand`.

    Raises
    ------
    DataError
        If the tracks have no column ``genre_tags``: they are of no folder.
    """
    check_arguments(tracks=(tracks, Tracks), vocabulary=(vocabulary, Vocabulary))
    if TAGS not in tracks.columns:
        raise DataError(
            f"the tracks have no column {TAGS!r}, so they are of no folder; correct those of "
            "matt.datasets.folder.scan"
        )
    bags = Bags.from_tracks(tracks, by="album")
    of_bag, lost = _matched(list(decisions), tracks, bags, root)
    written = [parted(text) for text in tracks.columns[TAGS].tolist()]
    rows = np.split(tracks.rows(bags.track_ids), bags.offsets[1:-1])
    for bag, decision in of_bag.items():
        named = dict.fromkeys(one for text in decision.genres for one in vocabulary.read(text))
        for row in rows[bag].tolist() if decision.verdict != "kept" else ():
            written[row] = vocabulary.in_order(tuple(named))
    albums = bags_of(tracks.artist_id, tracks.album_id)
    ordered = replace(vocabulary, main="first")  # as all are by now
    genres = understand(written, albums, ordered, same=same).genres
    made = _labelled(tracks, genres)
    return Corrections(made, tuple(of_bag.values()), lost, *_compared(bags, made, [*of_bag], same))


def _matched(
    decisions: list[ReviewDecision], tracks: Tracks, bags: Bags, root: Path | str
) -> tuple[dict[int, ReviewDecision], tuple[ReviewDecision, ...]]:
    """The decision of each bag, in the order in which they were made; and those of none."""
    bag_of = dict(
        zip(bags.track_ids.tolist(), np.repeat(np.arange(len(bags)), bags.sizes).tolist())
    )
    keys: dict[str, int] | None = None
    found: dict[int, ReviewDecision] = {}
    lost = []
    for decision in decisions:
        held = Counter(bag_of[one] for one in decision.track_ids if one in bag_of)
        if held:
            bag = max(held, key=lambda one: (held[one], -one))
        else:
            keys = _keys(tracks, bags, root) if keys is None else keys
            bag = keys.get(decision.album, -1)
        if bag < 0:
            lost.append(decision)
            continue
        found.pop(bag, None)
        found[bag] = decision
    return found, tuple(lost)


def _keys(tracks: Tracks, bags: Bags, root: Path | str) -> dict[str, int]:
    """Each bag by its key; two of one key are taken for none."""
    names = ("artist_id", "path")
    columns = {name: getattr(tracks, name).tolist() for name in names}
    columns |= {name: column.tolist() for name, column in tracks.columns.items()}
    found: dict[str, int] = {}
    for bag, rows in enumerate(np.split(tracks.rows(bags.track_ids), bags.offsets[1:-1])):
        told = {name: [column[row] for row in rows] for name, column in columns.items()}
        key = album_key(who_made(told), root)
        found[key] = -1 if key in found else bag
    return found


def _labelled(tracks: Tracks, genres: tuple[tuple[str, ...], ...]) -> Tracks:
    """The same tracks under other genres, the main one first, as a scan makes them."""
    names = tuple(sorted({some[0] for some in genres if some}, key=normalise))
    index = {name: place for place, name in enumerate(names)}
    return replace(
        tracks,
        labels=np.array([index[some[0]] if some else -1 for some in genres], np.int64),
        genres=names,
        columns={**tracks.columns, TAGS: np.array([joined(some) for some in genres], np.str_)},
    )


def _compared(
    before: Bags, made: Tracks, decided: list[int], same: Callable[[str], str]
) -> tuple[dict[str, int], dict[str, int], int]:
    """Albums that have a first genre or another one, by genre, and those that lost theirs."""
    after = Bags.from_tracks(made, by="album")
    new: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    removed = 0
    for bag in decided:
        old, label = (_name(bags, bag) for bags in (before, after))
        if old and not label:
            removed += 1
        elif label and not old:
            new[label] += 1
        elif same(label) != same(old):
            changed[label] += 1
    return dict(new.most_common()), dict(changed.most_common()), removed


def _name(bags: Bags, bag: int) -> str:
    label = int(bags.labels[bag])
    return bags.genres[label] if label >= 0 else ""


def _listed(counts: Mapping[str, int]) -> str:
    told = [f"{name} {n:,}" for name, n in counts.items()]
    more = len(told) - _NAMED
    return ", ".join(told[:_NAMED]) + f" and {more:,} more genres" * (more > 0)


def _albums(n: int) -> str:
    return f"{n:,} album{'s' * (n != 1)}"


def _has(n: int) -> str:
    return "has" if n == 1 else "have"
