"""What may make a result better than it is: leaks between splits, copies, labels that disagree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import DataError, check_arguments, first_few, in_a_line
from ..features.plan import read_known
from ..features.store import FeatureStore
from ..features.task import DEFAULT, HASHED, hash_in
from ..processes import Child, Pool
from ..tracks import SPLITS, Tracks
from .credits import like_names
from .near_duplicates import NearDuplicates, find_near_duplicates


@dataclass(frozen=True)
class Group:
    """Tracks that belong together.

    Attributes
    ----------
    name : str
        The artist, the album, ... as the table calls it; else its id.
    tracks : tuple of int
        Ids.
    splits, genres : mapping of str to int
        In how many tracks each occurs.
    """

    name: str
    tracks: tuple[int, ...]
    splits: Mapping[str, int]
    genres: Mapping[str, int]

    @property
    def crosses(self) -> bool:
        """Whether its tracks are in more than one split."""
        return len(self.splits) > 1


@dataclass(frozen=True)
class Crossing:
    """Artists, albums or bags that are in more than one split.

    Attributes
    ----------
    n : int
        How many there are.
    n_tracks_without : int
        Tracks without such a group, because it is unknown.
    groups : tuple of Group
        Those that cross, the largest first.
    """

    n: int
    n_tracks_without: int
    groups: tuple[Group, ...]

    @property
    def n_tracks(self) -> int:
        """Tracks in groups that cross."""
        return sum(len(group.tracks) for group in self.groups)


def crossing_groups(tracks: Tracks, key: NDArray[np.int64], role: str) -> Crossing:
    """Groups by a key, shape (n,), -1 unknown, that have tracks in more than one split."""
    rows = np.flatnonzero(key >= 0)
    n_without = len(tracks) - len(rows)
    return Crossing(len(np.unique(key[rows])), n_without, _crossing(tracks, rows, key[rows], role))


def crossing_artists(tracks: Tracks) -> Crossing:
    """Artists with tracks in more than one split, or named there: a guest is heard, too."""
    rows, ids = np.unique(np.stack(tracks.everybody()), axis=1)
    n_without = int((tracks.artist_id < 0).sum())
    n_artists = len(np.unique(tracks.artist_id[tracks.artist_id >= 0]))
    return Crossing(n_artists, n_without, _crossing(tracks, rows, ids, "artist"))


def _crossing(
    tracks: Tracks, rows: NDArray[np.int64], key: NDArray[np.int64], role: str
) -> tuple[Group, ...]:
    """Groups of the given rows, which may occur in several, that are in more than one split."""
    assigned = tracks.split[rows] != ""
    rows = rows[assigned]
    _, code = np.unique(key[assigned], return_inverse=True)
    pairs = np.unique(code * 4 + np.unique(tracks.split[rows], return_inverse=True)[1])
    times = np.bincount(pairs // 4, minlength=1)
    return _groups(tracks, rows, code, times > 1, role)


_LONG = 8  # letters of a name in which one more or less may be a slip


def near_names(tracks: Tracks) -> tuple[Group, ...]:
    """Artists of nearly the same name that are in more than one split, though no artist is.

    Nearly the same are names that differ in accents, signs, spaces, "the" or the order of words,
    and long ones that differ in one letter.
    """
    names = _artist_names(tracks)
    known = np.flatnonzero((tracks.artist_id >= 0) & (tracks.split != "") & (names != ""))
    shortest: dict[int, str] = {}  # without guests
    for artist, name in zip(tracks.artist_id[known].tolist(), names[known].tolist(), strict=True):
        if artist not in shortest or len(name) < len(shortest[artist]):
            shortest[artist] = name
    alike: dict[str, set[int]] = defaultdict(set)
    for artist, name in shortest.items():
        for form in like_names(name):
            alike[form].add(artist)
            if len(form) >= _LONG and not any(char.isdigit() for char in form):
                for place in range(len(form)):
                    alike[f"{form[:place]}*{form[place + 1 :]}"].add(artist)
                    alike[f"{form[:place]}{form[place + 1 :]}"].add(artist)
    found = {frozenset(some) for some in alike.values() if len(some) > 1}
    groups = []
    for some in found:
        rows = known[np.isin(tracks.artist_id[known], list(some))]
        group = _group(tracks, rows, "")
        if group.crosses:
            told = (shortest[artist] for artist in sorted(some, key=shortest.__getitem__))
            groups.append(replace(group, name=first_few(told, most=4)))
    return tuple(sorted(groups, key=lambda group: (-len(group.tracks), group.tracks)))


def _artist_names(tracks: Tracks) -> NDArray[np.str_]:
    """What the artist of each track is called, shape (n,), ``""`` where nothing says so."""
    columns = tracks.columns
    known = (c for c in ("artist_key", "artist", "artist_name") if c in columns)
    names = next((columns[c] for c in known if columns[c].dtype.kind == "U"), None)
    if names is None:
        return np.full(len(tracks), "")
    if "album_artist" in columns and "compilation" in columns:  # a folder's
        own = columns["compilation"].astype(bool) | (columns["album_artist"] == "")
        names = np.where(own, names, columns["album_artist"])
    return np.asarray(names, np.str_)


def equal_audio(tracks: Tracks, hashes: NDArray[np.str_]) -> tuple[Group, ...]:
    """Tracks with equal hashes, shape (n,); an empty one is unknown."""
    rows = np.flatnonzero(hashes != "")
    _, code = np.unique(hashes[rows], return_inverse=True)
    return _groups(tracks, rows, code, np.bincount(code, minlength=1) > 1, "hash")


def mixed_groups(
    tracks: Tracks, bag: NDArray[np.int64], n_bags: int
) -> tuple[int, tuple[Group, ...]]:
    """Bags of two labelled tracks or more, and those of them that disagree."""
    rows = np.flatnonzero(tracks.labelled)
    here = bag[rows]
    if not len(rows):
        return 0, ()
    labels = tracks.labels[rows]
    if tracks.multi_label:
        labels = np.packbits(labels, axis=1)  # an eighth of the bytes to sort
    _, kind = np.unique(labels, axis=0, return_inverse=True)
    kind = kind.reshape(-1)  # numpy 2.0 gives it another shape
    pairs = np.unique(here * (int(kind.max()) + 1) + kind)
    kinds = np.bincount(pairs // (int(kind.max()) + 1), minlength=n_bags)
    n_comparable = int((np.bincount(here, minlength=n_bags) > 1).sum())
    return n_comparable, _groups(tracks, rows, here, kinds > 1, "")


def _groups(
    tracks: Tracks,
    rows: NDArray[np.int64],
    code: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    role: str,
) -> tuple[Group, ...]:
    """The chosen groups, by a code for each of the given rows; the largest first."""
    if not len(rows):
        return ()
    order = np.argsort(code, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=len(chosen)))])
    groups = [
        _group(tracks, rows[order[starts[number] : starts[number + 1]]], role)
        for number in np.flatnonzero(chosen)
    ]
    return tuple(sorted(groups, key=lambda group: (-len(group.tracks), group.tracks)))


def _group(tracks: Tracks, rows: NDArray[np.int64], role: str) -> Group:
    splits, in_split = np.unique(tracks.split[rows], return_counts=True)
    labels = tracks.labels[rows]
    if tracks.multi_label:
        held = labels.sum(axis=0)
    else:
        held = np.bincount(labels[labels >= 0], minlength=len(tracks.genres))
    return Group(
        _name(tracks, int(rows[0]), role),
        tuple(tracks.track_id[rows].tolist()),
        {str(name): int(n) for name, n in zip(splits, in_split, strict=True) if name},
        {tracks.genres[g]: int(held[g]) for g in np.flatnonzero(held)},
    )


def _name(tracks: Tracks, row: int, role: str) -> str:
    """What a group is called, by its first track; a bag by artist and album."""
    if not role:
        parts = (_name(tracks, row, "artist"), _name(tracks, row, "album"))
        return " / ".join(part for part in parts if part) or f"track {_id(tracks, row)}"
    if role == "hash":
        return f"track {_id(tracks, row)}"
    columns = (role, f"{role}_name", f"{role}_key", f"{role}_title")
    named = next((str(tracks.columns[c][row]) for c in columns if c in tracks.columns), "")
    number = int(getattr(tracks, f"{role}_id")[row])
    return named or (f"{role} {number}" if number >= 0 else "")


def _id(tracks: Tracks, row: int) -> str:
    """Id of a track as its table has it."""
    return str(tracks.known_as[row])


CHEAP = 100_000  # tracks of which near-duplicates are found in some ten seconds on two cores
MANY_LABELS = 0.02  # share of bags with labels that disagree, from which on it is worth a warning


@dataclass(frozen=True, eq=False)
class Audit:
    """Findings about a table of tracks.

    Attributes
    ----------
    by : str
        What a bag is.
    n_tracks : int
    splits : mapping of str to int
        Tracks in each split; ``""`` are in none.
    artists, albums, bags : Crossing
        Artists count wherever they are named. A bag may cross only with its artist; an album of
        several artists may cross without.
    n_hashed : int
        Tracks whose audio was compared.
    duplicates : tuple of Group
        Tracks with the same audio.
    near : NearDuplicates or None
        Pairs with nearly the same features; None where there are none to compare.
    n_comparable : int
        Bags with two labelled tracks or more.
    mixed : tuple of Group
        Those of them whose tracks disagree on the genre, the largest first.
    notes : tuple of str
        What was not looked at, and why.
    near_names : tuple of Group
        Artists of nearly the same name in more than one split, see `near_names`.
    """

    by: str
    n_tracks: int
    splits: Mapping[str, int]
    artists: Crossing
    albums: Crossing
    bags: Crossing
    n_hashed: int
    duplicates: tuple[Group, ...]
    near: NearDuplicates | None
    n_comparable: int
    mixed: tuple[Group, ...]
    notes: tuple[str, ...]
    near_names: tuple[Group, ...] = ()

    __repr__ = in_a_line

    def counts(self) -> dict[str, int | None]:
        """Every finding as a number, for the manifest of a run; None where nobody looked."""
        near, hashed = self.near, self.n_hashed > 0
        copies = sum(group.crosses for group in self.duplicates)
        return {
            "tracks": self.n_tracks,
            "artists": self.artists.n,
            "artists across splits": len(self.artists.groups),
            "artists of nearly one name across splits": len(self.near_names),
            "tracks without artist": self.artists.n_tracks_without,
            "albums": self.albums.n,
            "albums across splits": len(self.albums.groups),
            "tracks without album": self.albums.n_tracks_without,
            "bags": self.bags.n,
            "bags across splits": len(self.bags.groups),
            "tracks with hashed audio": self.n_hashed,
            "groups of equal audio": len(self.duplicates) if hashed else None,
            "groups of equal audio across splits": copies if hashed else None,
            "near-duplicate pairs": near.n_pairs if near else None,
            "near-duplicate pairs across splits": near.n_across_splits if near else None,
            "near-duplicate pairs across artists": near.n_across_artists if near else None,
            "bags with two labelled tracks": self.n_comparable,
            "bags with labels that disagree": len(self.mixed),
        }

    def warnings(self) -> tuple[str, ...]:
        """What makes results doubtful, in sentences that end in what to do."""
        told = []
        remedies = {
            "artists": (self.artists, "split again with matt.splits.by_artist"),
            "bags": (self.bags, "give the tracks of each bag one split"),
        }
        for unit, (crossing, again) in remedies.items():
            if crossing.groups:
                told.append(
                    f"{len(crossing.groups):,} of {crossing.n:,} {unit} are in more than one split "
                    f"({crossing.n_tracks:,} tracks), so the test measures memory too; {again}"
                )
        without = self.artists.n_tracks_without
        if 2 * without > self.n_tracks and any(map(self.splits.get, SPLITS)):
            told.append(
                f"{without:,} of {self.n_tracks:,} tracks have no known artist, so nobody can tell "
                "whether their artists are in two splits; name the column of the artist"
            )
        if self.near_names:
            told.append(
                f"{len(self.near_names):,} times artists of nearly one name are in more than one "
                f"split (first: {self.near_names[0].name}); see 'matt audit', and if they are one "
                "give them one name or one split"
            )
        copies = sum(group.crosses for group in self.duplicates)
        if copies:
            told.append(f"{copies:,} groups of equal audio are in two splits; drop the copies")
        if self.near and self.near.n_across_splits:
            told.append(
                f"{self.near.n_across_splits:,} pairs of tracks in two splits nearly agree in "
                "their features; see 'matt audit', and drop those that are copies"
            )
        if len(self.mixed) > MANY_LABELS * self.n_comparable:
            told.append(
                f"{len(self.mixed):,} of {self.n_comparable:,} bags of several labelled tracks "
                "disagree on the genre; see 'matt audit'"
            )
        return tuple(told)

    def to_json(self) -> dict[str, Any]:
        """Everything, for ``json.dumps``."""
        near = None
        if self.near:
            columns = ("first", "second", "distance", "across_splits", "across_artists")
            listed = [getattr(self.near, name).tolist() for name in columns]
            near = {
                name: getattr(self.near, name)
                for name in ("threshold", "typical", "n_tracks", "n_columns", "n_pairs")
            }
            near["pairs"] = [dict(zip(columns, row)) for row in zip(*listed, strict=True)]
        return {
            "by": self.by,
            "splits": dict(self.splits),
            "counts": self.counts(),
            "warnings": list(self.warnings()),
            "notes": list(self.notes),
            "crossing": {
                name: [asdict(group) for group in getattr(self, name).groups]
                for name in ("artists", "albums", "bags")
            },
            "near_names": [asdict(group) for group in self.near_names],
            "duplicates": [asdict(group) for group in self.duplicates],
            "near_duplicates": near,
            "mixed": [asdict(group) for group in self.mixed],
        }


def audit(
    tracks: Tracks,
    *,
    by: str | Sequence[str] = "album",
    features: FeatureStore | None = None,
    hashes: NDArray[np.str_] | None = None,
    threshold: float | None = None,
) -> Audit:
    """Look for what should not be in a table of tracks.

    Parameters
    ----------
    tracks : Tracks
        With splits, or without: then nothing can cross, and copies and labels are looked at.
    by : str or sequence of str
        What a bag is, as in `Bags.from_tracks`.
    features : FeatureStore, optional
        Search it for near-duplicates.
    hashes : str array, shape (n,), optional
        Hash of each track's audio, ``""`` where unknown: `hashes_of`.
    threshold : float > 0, optional
        Of the near-duplicates.

    Returns
    -------
    Audit

    Examples
    --------
    >>> tracks = Tracks([1, 2, 3], [0, 0, 1], ("Folk", "Rock"), artist_id=[5, 5, 6],
    ...                 split=["training", "test", "test"])
    >>> audit(tracks).artists.groups[0].tracks
    (1, 2)
    """
    check_arguments(tracks=(tracks, Tracks), features=(features, FeatureStore | None))
    if not len(tracks):
        raise DataError("no tracks to audit; check the filters")
    if hashes is not None and len(hashes) != len(tracks):
        raise DataError(f"{len(hashes)} hashes for {len(tracks)} tracks; give one a track")
    bags = Bags.from_tracks(tracks, by=by)
    bag = np.empty(len(tracks), np.int64)
    bag[tracks.rows(bags.track_ids)] = np.repeat(np.arange(len(bags)), bags.sizes)
    notes = []
    if not (tracks.split != "").any():
        notes.append("no track is in a split, so nothing can cross")
    near = None
    if features is not None:
        try:
            near = find_near_duplicates(tracks, features, threshold=threshold)
        except DataError as error:
            notes.append(f"near-duplicates were not looked for: {error}")
    else:
        notes.append("near-duplicates were not looked for: no features are given")
    if hashes is None:
        notes.append("copies of the same audio were not looked for: no hashes are given")
    there = np.full(len(tracks), "") if hashes is None else np.asarray(hashes, np.str_)
    n_comparable, mixed = mixed_groups(tracks, bag, len(bags))
    return Audit(
        by=by if isinstance(by, str) else " and ".join(by),
        n_tracks=len(tracks),
        splits={name: n for name in (*SPLITS, "") if (n := int((tracks.split == name).sum()))},
        artists=crossing_artists(tracks),
        albums=crossing_groups(tracks, tracks.album_id, "album"),
        bags=crossing_groups(tracks, bag, ""),
        n_hashed=int((there != "").sum()),
        duplicates=equal_audio(tracks, there),
        near=near,
        n_comparable=n_comparable,
        mixed=mixed,
        notes=tuple(notes),
        near_names=near_names(tracks),
    )


def is_cheap(features: FeatureStore) -> bool:
    """Whether near-duplicates are found quickly beside a training: vectors, and not too many."""
    return not why_costly(features)


def why_costly(features: FeatureStore) -> str:
    """Why near-duplicates are not found quickly, empty where they are."""
    shape, n = features.spec.shape, len(features)
    if len(shape) != 1:
        return f"features of the kind {features.spec.name!r} are no vectors"
    if any(isinstance(block, Path) for block in features.blocks):
        return "the features are too large for memory"
    return f"{n:,} tracks are too many" if n > CHEAP else ""


def hashes_of(
    tracks: Tracks,
    *,
    store: Path | None = None,
    compute: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.str_]:
    """Hash of each track's audio, shape (n,), ``""`` where it is unknown.

    Parameters
    ----------
    tracks : Tracks
    store : Path, optional
        Folder of a feature store, whose plans hold the hashes of what was extracted.
    compute : bool
        Read the files of the others, in a process with limits (in a script, under
        ``if __name__ == "__main__":``); one that cannot be read stays unknown.
    progress : callable, optional
        Told how many tracks are done, and of how many.
    """
    known = (
        {} if store is None else {id_: seen.audio_hash for id_, seen in read_known(store).items()}
    )
    found = [known.get(track_id, "") for track_id in tracks.track_id.tolist()]
    unknown = [
        row for row, path in enumerate(tracks.path.tolist()) if compute and path and not found[row]
    ]
    done = len(tracks) - len(unknown)
    with Pool(1, lambda: Child(limits=DEFAULT)) as processes:  # no file can hurt this one
        for at in range(0, len(unknown), HASHED):
            rows = unknown[at : at + HASHED]
            hashed = processes.submit(hash_in, tracks.path[rows].tolist()).result()
            for row, seen in zip(rows, hashed, strict=True):
                found[row] = seen
            done += len(rows)
            if progress is not None:
                progress(done, len(tracks))
    return np.array(found, np.str_)
