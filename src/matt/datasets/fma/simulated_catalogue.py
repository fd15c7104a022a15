"""Who recorded what in the simulated FMA: bags, albums, artists, splits and ids, before any sound.

A bag is first a number of tracks of one genre in one split. Bags become albums, some of which take
in a track of another genre, albums are given to artists, and all of it is laid out in one table in
which the tracks of an album have neighbouring ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .parameters import (
    MEDIUM,
    apportion,
    large_counts,
    medium_counts,
    parameters,
    shape_of,
)

Ints = NDArray[np.int64]

HIGHEST_ID = 155_320  # of a track in FMA
SUBSETS = ("small", "medium", "large")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """One row a track, in the order of their ids.

    Attributes
    ----------
    track_id, artist_id, album_id : int array, shape (n,)
        ``album_id`` is -1 where it is missing.
    album : int array, shape (n,)
        Number of the album, from 0; known even where the id is missing.
    artist : int array, shape (n,)
        Number of the artist, from 0.
    sound : int array, shape (n,)
        Genre that the track sounds like.
    label : int array, shape (n,)
        Its top genre; -1 where it has several.
    split : int array, shape (n,)
        0 training, 1 validation, 2 test.
    subset : int array, shape (n,)
        0 small, 1 medium, 2 large: the smallest subset that holds the track.
    place : int array, shape (n,)
        Position on the album, from 1.
    """

    track_id: Ints
    artist_id: Ints
    album_id: Ints
    album: Ints
    artist: Ints
    sound: Ints
    label: Ints
    split: Ints
    subset: Ints
    place: Ints

    def __len__(self) -> int:
        return len(self.track_id)


@dataclass
class _Bags:
    """One row a bag of one genre, as columns of equal length."""

    genre: Ints
    split: Ints
    size: Ints
    large: NDArray[np.bool_]
    album: Ints  # number of the album


def plan(n_tracks: int, *, seed: int) -> Catalogue:
    """Decide everything but the sound.

    Parameters
    ----------
    n_tracks : int
        50 to 106,574. Up to 25,000 all are in medium; the others are large only.
    seed : int >= 0

    Raises
    ------
    ConfigError
        If the number of tracks is out of range.
    """
    rng = np.random.default_rng([seed, 0])
    bags = _bags(rng, n_tracks)
    artist_of_album = _artists(rng, bags)
    n_albums = len(artist_of_album)

    # Albums in random order, so that ids say nothing about genre or split.
    rank = rng.permutation(n_albums)
    order = np.lexsort((np.arange(len(bags.album)), rank[bags.album]))
    bag = np.repeat(order, bags.size[order])  # (n,)
    album, split, large = bags.album[bag], bags.split[bag], bags.large[bag]
    n = len(bag)
    starts = np.flatnonzero(np.diff(album, prepend=-1))
    place = np.arange(n) - np.repeat(starts, np.diff(starts, append=n)) + 1

    unlabelled = rng.random(len(bags.genre)) < parameters()["large"]["unlabelled"]
    label = np.where(large & unlabelled[bag], -1, bags.genre[bag])
    lost = _without_album(rng, bags, n_albums, n_tracks)
    album_id = np.where(lost[album], -1, 1 + rng.permutation(n_albums)[album])
    artist = artist_of_album[album]
    ids = rng.choice(np.arange(3, HIGHEST_ID + 1), size=n - 1, replace=False)
    return Catalogue(
        track_id=np.append(2, np.sort(ids)),  # FMA's first track is 2
        artist_id=1 + rng.permutation(int(artist.max()) + 1)[artist],
        album_id=album_id,
        album=album,
        artist=artist,
        sound=bags.genre[bag],
        label=label,
        split=split,
        subset=np.where(large, 2, _small_or_medium(rng, bags.genre[bag], split, large)),
        place=place,
    )


def _bags(rng: np.random.Generator, n_tracks: int) -> _Bags:
    """Bags of medium and of large, those of mixed albums joined."""
    known, sizes, share = parameters()["bags"], shape_of("bag_sizes"), parameters()["impure"]
    full = medium_counts(MEDIUM).sum(axis=0)
    parts = []
    for large, counts in ((False, medium_counts(n_tracks)), (True, large_counts(n_tracks))):
        for split, name in enumerate(("training", "validation", "test")):
            of_genre = counts[:, split]
            n = int(of_genre.sum())
            n_guests = round(share * n)
            wanted = n / parameters()["large"]["tracks_per_bag"]
            if not large:
                wanted = known[name] * n / full[split]
            # Those of training are counted with the genre in the key, the others without.
            n_bags = max(round(wanted) + (n_guests if split else 0), np.count_nonzero(of_genre))
            for genre, (n_here, bags_here) in enumerate(
                zip(of_genre, _bags_of_genres(n_bags, of_genre), strict=True)
            ):
                drawn = sizes.draw(rng, n_bags=int(bags_here), n_tracks=int(n_here))
                parts.append((genre, split, large, drawn))
    size = np.concatenate([drawn for *_, drawn in parts])
    many = [len(drawn) for *_, drawn in parts]
    of_bag = np.array([part[:3] for part in parts], np.int64).repeat(many, axis=0)  # (bags, 3)
    genres, splits, larges = of_bag.T
    album = np.arange(len(size))
    for cell in np.unique(of_bag[:, 1:], axis=0):
        here = np.flatnonzero((of_bag[:, 1:] == cell).all(axis=1))
        guests, hosts = _mixed(rng, genres[here], size[here], share)
        album[here[guests]] = album[here[hosts]]
    number = np.unique(album, return_inverse=True)[1]
    return _Bags(genres, splits, size, larges.astype(bool), number)


def _bags_of_genres(n_bags: int, counts: Ints) -> Ints:
    """Bags of each genre: in proportion to its tracks, one at least where it has any."""
    some = (counts > 0).astype(np.int64)
    spare = np.maximum(counts - some, 0)
    left = n_bags - int(some.sum())
    return some + (apportion(left, spare) if left > 0 and spare.sum() else 0)


def _mixed(rng: np.random.Generator, genre: Ints, size: Ints, share: float) -> tuple[Ints, Ints]:
    """Bags of one track that move to an album of another genre, and those albums.

    Neighbouring genres mix most; a host has three tracks at least, so its majority stays.
    """
    singles, albums = np.flatnonzero(size == 1), np.flatnonzero(size >= 3)
    # A genre keeps one bag of its own.
    first = np.unique(genre[singles], return_index=True)[1]
    singles = rng.permutation(np.delete(singles, first))
    free = rng.permutation(albums).tolist()
    family = np.unique([g["family"] for g in parameters()["genres"]], return_inverse=True)[1]
    guests, hosts = [], []
    for single in singles[: round(share * int(size.sum()))].tolist():
        near = [h for h in free if family[genre[h]] == family[genre[single]]]
        pool = [h for h in (near if rng.random() < 0.7 else free) if genre[h] != genre[single]]
        if pool:
            guests.append(single)
            hosts.append(pool[0])
            free.remove(pool[0])
    return np.array(guests, np.int64), np.array(hosts, np.int64)


def _artists(rng: np.random.Generator, bags: _Bags) -> Ints:
    """Artist of each album, shape (albums,): one split and, but for mixed albums, one genre."""
    shape, mean = shape_of("albums_per_artist"), parameters()["albums_per_artist"]["wanted_mean"]
    host = np.lexsort((bags.size, bags.album))  # the largest bag of an album comes last
    last = host[np.append(np.flatnonzero(np.diff(bags.album[host])), len(host) - 1)]  # (albums,)
    cell = (bags.split[last] * 2 + bags.large[last]) * len(parameters()["genres"])
    cell += bags.genre[last]
    artist = np.empty(len(last), np.int64)
    begun = 0
    for number in np.unique(cell):
        here = rng.permutation(np.flatnonzero(cell == number))
        n_artists = max(1, round(len(here) / mean))
        albums = shape.draw(rng, n_bags=n_artists, n_tracks=len(here))
        artist[here] = begun + np.repeat(np.arange(n_artists), albums)
        begun += n_artists
    return artist


def _without_album(
    rng: np.random.Generator, bags: _Bags, n_albums: int, n_tracks: int
) -> NDArray[np.bool_]:
    """Albums, outside medium, whose tracks say nothing of an album, shape (albums,)."""
    large = parameters()["large"]
    wanted = large["without_album"] * max(0, n_tracks - MEDIUM) / sum(large["tracks"])
    tracks = np.bincount(bags.album, bags.size * bags.large, minlength=n_albums)
    order = rng.permutation(np.flatnonzero(tracks))
    lost = np.zeros(n_albums, bool)
    lost[order[np.cumsum(tracks[order]) <= wanted]] = True
    return lost


def _small_or_medium(
    rng: np.random.Generator, genre: Ints, split: Ints, large: NDArray[np.bool_]
) -> Ints:
    """0 for the tracks of the small subset, 1 for others, shape (n,)."""
    subset = np.ones(len(genre), np.int64)
    for number, known in enumerate(parameters()["genres"]):
        for part in range(3):
            here = np.flatnonzero((genre == number) & (split == part) & ~large)
            n_small = round(len(here) * known["small"][part] / known["medium"][part])
            subset[rng.permutation(here)[:n_small]] = 0
    return subset
