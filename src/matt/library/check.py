"""What is odd in a library: tags that disagree, names spelled in two ways, copies, odd tracks.

Nothing is changed. Each finding says how sure it is, in [0, 1]:

- **disagrees**: an album sounds like another genre than its tag says; as sure as the model is. By a
  model that was trained on the album, that is only told of those answered out of fold.
- **mixed tags**: tracks of one album have genres of which none stands above the other; as sure as
  the others are many.
- **spelling**: genres, artists or albums that are one under several names (1), or may be (less).
- **odd track**: a track that, alone, surely sounds like something else than most of the others of
  its album, and than the album as a whole; of an album that the model was trained on, none is.
- **copy**: tracks with the same audio (1), of one album that lies in two places or formats, or
  whose features nearly agree (`matt.datasets.near_duplicates`) and which are equally long.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..datasets.credits import like_names
from ..datasets.folder import Scan
from ..datasets.genres import Vocabulary, folded, parted
from ..datasets.meanings import look_alike
from ..errors import check_arguments, first_few
from ..evaluation.tables import percent
from ..features.store import FeatureStore
from ..tracks import Tracks
from .copies import find_copies
from .status import DISAGREES, SURE, is_fair

KINDS = ("copy", "spelling", "disagrees", "mixed tags", "odd track")
_ALIAS, _NEARLY = 0.9, 0.8  # how sure: another name of one genre; artists or albums of nearly one
_FEWEST = 3  # tracks of an album of which one may be odd
_SHOWN = 4  # names in a sentence


@dataclass(frozen=True)
class Finding:
    """Something worth a look.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    sure : float in [0, 1]
    about : str
        The album or the name that it is about.
    told : str
        What was found.
    paths : tuple of str
        Files or folders to look at; none where it is about a name.
    """

    kind: str
    sure: float
    about: str
    told: str
    paths: tuple[str, ...] = ()


def check_library(
    scan: Scan,
    rows: Sequence[Mapping[str, Any]] = (),
    *,
    features: FeatureStore | None = None,
    hashes: NDArray[np.str_] | None = None,
) -> tuple[Finding, ...]:
    """Look for what is odd in a library, the surest first.

    Parameters
    ----------
    scan : Scan
    rows : sequence of mapping
        Of its albums (`LibraryPrediction.rows`); without them, only tags and copies are looked at.
    features : FeatureStore, optional
        To find copies that were encoded anew. Every track is compared with every other, which
        `matt.datasets.audit.is_cheap` of up to 100,000 tracks.
    hashes : str array, shape (n,), optional
        Of the audio of each scanned track, ``""`` unknown: `matt.datasets.audit.hashes_of`.
    """
    check_arguments(scan=(scan, Scan), features=(features, FeatureStore | None))
    found = [
        *_copies(scan, features, hashes),
        *_genre_names(scan),
        *_names(scan),
        *_disagreeing(rows),
        *_mixed(scan),
        *_odd(rows, scan),
    ]
    return tuple(sorted(found, key=lambda one: (-one.sure, KINDS.index(one.kind), one.about)))


# ---- copies ----


def _copies(
    scan: Scan, features: FeatureStore | None, hashes: NDArray[np.str_] | None
) -> Iterator[Finding]:
    tracks = scan.tracks
    for copies in find_copies(tracks, features=features, hashes=hashes):
        n, (first, second), row = len(copies.first), copies.places, copies.first[0]
        rows = [*copies.first, *copies.second]
        formats = sorted({Path(path).suffix.lower() for path in tracks.path[rows].tolist()})
        as_ = f" ({', '.join(formats)})" if len(formats) > 1 else ""
        many = f"{n:,} tracks" if n > 1 else _title(tracks, row)
        apart = first != second
        where = " and ".join(_shown(scan, place) for place in copies.places[: 1 + apart])
        if n == 1 and not apart:  # else their title, or their folders, tell them apart
            where = f"{' and '.join(Path(tracks.path[r]).name for r in rows)} in {where}"
        elif not apart:
            where = f"both in {where}"
        paths = (first, second) if n > 1 and apart else tuple(tracks.path[rows[::n]].tolist())
        about = _album(tracks, row) if n == 1 or tracks.album_id[row] >= 0 else _shown(scan, first)
        told = f"{many}{as_}, {copies.why}: {where}"
        yield Finding("copy", copies.sure, about, told, paths)


def _shown(scan: Scan, folder: str) -> str:
    """A folder as it lies in the library."""
    return Path(os.path.relpath(folder, scan.root)).as_posix()


# ---- spelling ----


def _genre_names(scan: Scan) -> Iterator[Finding]:
    """Genres that tags write in several ways, and those that may be misspelled."""
    written: dict[str, Counter[str]] = defaultdict(Counter)
    for meaning in scan.meanings:
        means = scan.vocabulary.read(meaning.written) if meaning.known else meaning.becomes
        if len(means) == 1:
            written[means[0]][" ".join(meaning.written.split())] += meaning.n_tracks
    for genre, counted in written.items():
        alike: dict[str, Counter[str]] = defaultdict(Counter)
        for name, n in counted.items():
            alike[folded(name)][name] += n
        for some in alike.values():
            if len(some) > 1:
                yield Finding("spelling", 1.0, f"genre {genre}", _times(some))
        if len(alike) > 1:
            names = {some.most_common(1)[0][0]: some.total() for some in alike.values()}
            yield Finding("spelling", _ALIAS, f"genre {genre}", _times(names))
    for name, other in look_alike(scan.meanings, scan.vocabulary).items():
        yield Finding("spelling", _NEARLY, f"genre {name}", f"looks like {other!r}")


def _names(scan: Scan) -> Iterator[Finding]:
    """Artists and albums of one name in several spellings, and those of nearly one name."""
    for merge in scan.merges:
        forms = set(like_names(merge.name))
        others = [other for other in merge.others if forms & {*like_names(other)}]
        if others:  # else guests, discs, or names that only an id joins
            names = first_few([merge.name, *others], most=_SHOWN)
            told = f"written in {len(others) + 1} ways: {names}"
            yield Finding("spelling", 1.0, f"{merge.what} {merge.name}", told)
    tracks = scan.tracks
    by = {
        "artist": (tracks.artist_id, np.zeros(len(tracks), np.int64)),
        "album": (tracks.album_id, tracks.artist_id),
    }
    for what, (ids, within) in by.items():
        for counted in _nearly_one(tracks.columns[what].tolist(), ids.tolist(), within.tolist()):
            name = next(iter(counted))
            yield Finding("spelling", _NEARLY, f"{what} {name}", f"may be one: {_times(counted)}")


def _nearly_one(
    names: Sequence[str], ids: Sequence[int], within: Sequence[int]
) -> Iterator[dict[str, int]]:
    """Names of different things of one owner that may well be the same, with their tracks."""
    called: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for name, number, owner in zip(names, ids, within, strict=True):
        if number >= 0 and owner >= 0:
            called[owner, number][name] += 1
    alike: dict[tuple[int, str], dict[int, tuple[str, int]]] = defaultdict(dict)
    for (owner, number), counted in called.items():
        name = min(counted, key=lambda one: (-counted[one], one))
        for form in like_names(name):
            alike[owner, form][number] = name, counted.total()
    told = set()
    for some in alike.values():
        if len(some) > 1 and (key := frozenset(some)) not in told:
            told.add(key)
            counts: Counter[str] = Counter()
            for name, n in some.values():
                counts[name] += n
            if len(counts) > 1:
                yield dict(counts.most_common())


def _times(counted: Mapping[str, int]) -> str:
    order = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return first_few((f"{name!r} {n:,}" for name, n in order), most=_SHOWN)


# ---- sound ----


def _disagreeing(rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for row in rows:
        if row["status"] == DISAGREES:
            told = f"tagged {row['tagged']}, sounds like {row['genre']}"
            yield Finding("disagrees", row["probability"], _called(row), told, (row["path"],))


def _odd(rows: Sequence[Mapping[str, Any]], scan: Scan) -> Iterator[Finding]:
    """Tracks that are sure of another genre than most of the others of their album."""
    for row in rows:
        fair = is_fair(row["in_training"], out_of_fold=row["out_of_fold"])
        tracks = [track for track in row["tracks"] if fair and track["alone"]]
        counted = Counter(track["genre"] for track in tracks)
        others = {genre: _most_of(counted - Counter([genre]), scan.vocabulary) for genre in counted}
        for track in tracks if len(tracks) >= _FEWEST else ():
            given = scan.vocabulary.related(track["genre"], row["genre"] or row["top"][0]["genre"])
            if track["probability"] < SURE or given:
                continue
            genre, share = others[track["genre"]]
            if 2 * share > 1 and not scan.vocabulary.related(track["genre"], genre):
                title = track["title"] or Path(track["path"]).name
                sounds = f"{title} sounds like {track['genre']} ({percent(track['probability'])})"
                told = f"{sounds}, {percent(share)} of the others like {genre}"
                sure = round(track["probability"] * share, 4)
                yield Finding("odd track", sure, _called(row), told, (track["path"],))


def _most_of(counted: Mapping[str, int], vocabulary: Vocabulary) -> tuple[str, float]:
    """The genre that most of some are, or stand below or above, and their share.

    >>> from ..datasets.genres import vocabulary
    >>> _most_of({"Indie Rock": 2, "Punk": 1, "Jazz": 1}, vocabulary())
    ('Rock', 0.75)
    """
    found: dict[str, int] = {"": 0}
    for name in {name: 0 for genre in counted for name in reversed(vocabulary.path(genre))}:
        found[name] = sum(n for one, n in counted.items() if vocabulary.related(one, name))
    genre = max(found, key=lambda name: (found[name], len(vocabulary.path(name))))
    return genre, found[genre] / max(1, sum(counted.values()))


# ---- tags of one album ----


def _mixed(scan: Scan) -> Iterator[Finding]:
    """Albums whose tracks have genres that are not related."""
    tracks, related = scan.tracks, scan.vocabulary.related
    bags = Bags.from_tracks(tracks)
    tags = tracks.columns["genre_tags"][tracks.rows(bags.track_ids)]
    rows = tracks.rows(bags.track_ids)
    for start, stop in zip(bags.offsets[:-1].tolist(), bags.offsets[1:].tolist(), strict=True):
        counted = Counter(tag for tag in tags[start:stop].tolist() if tag)
        if len(counted) < 2:
            continue
        ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        main = parted(ranked[0][0])
        others = {
            tag: n
            for tag, n in ranked[1:]
            if not any(related(a, b) for a in main for b in parted(tag))
        }
        if others:
            here = rows[start:stop]
            paths = [
                tracks.path[row] for row in here if tracks.columns["genre_tags"][row] in others
            ]
            sure = 1 - sum(others.values()) / counted.total()
            shown = {"; ".join(parted(tag)): n for tag, n in (ranked[0], *others.items())}
            told = f"tagged {_times(shown)}"
            about = _album(tracks, int(here[0]))
            yield Finding("mixed tags", round(sure, 4), about, told, tuple(map(str, paths)))


def _album(tracks: Tracks, row: int) -> str:
    """Artist and album of a track; its title or file where it has none."""
    artist, album = (str(tracks.columns[name][row]) for name in ("artist", "album"))
    return _joined(artist, album or _title(tracks, row))


def _title(tracks: Tracks, row: int) -> str:
    return str(tracks.columns["title"][row]) or Path(str(tracks.path[row])).name


def _called(row: Mapping[str, Any]) -> str:
    return _joined(row["artist"], row["album"] or row["title"] or Path(row["path"]).name)


def _joined(artist: str | None, album: str) -> str:
    return f"{artist}: {album}" if artist else album
