"""Who recorded what in an invented world: genres, artists, albums and tracks, before any sound.

Two worlds are planned. The synthetic library has the invented styles as genres, the most common one
with 14 times the tracks of the rarest. The simulated FMA keeps FMA's genres and its counts by genre
and split: a bag is first a number of tracks of one genre in one split; bags become albums, some of
which take in a track of another genre; albums are given to artists.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DataError
from ...tracks import SPLITS, Tracks
from .sound import GENRES

Ints = NDArray[np.int64]

FMA: dict[str, Any] = json.loads(files(__package__).joinpath("fma.json").read_text("utf-8"))
"""Counts of FMA, fitted shapes, calibrated strengths: each part says how it came about."""
FMA_GENRES: tuple[str, ...] = tuple(genre["title"] for genre in FMA["genres"])
"""The 16 top genres, in alphabetical order."""
FEWEST, MEDIUM, MOST = 50, 25_000, 106_574  # tracks of a simulated FMA
SUBSETS = ("small", "medium", "large")
ARTISTS = 4  # of the library's rarest genre: enough for artist-disjoint splits
_IMBALANCE = 14  # tracks of the library's most common genre for one of the rarest
_TRACKS_PER_ARTIST, _TRACKS_PER_ALBUM = 7.7, 4.6
_HIGHEST_ID = 155_320  # of a track in FMA
_MEDIUM = np.array([genre["medium"] for genre in FMA["genres"]])  # (16, 3), as all by split
_SMALL = np.array([genre["small"] for genre in FMA["genres"]])
_LARGE = np.array([genre["full"] for genre in FMA["genres"]]) - _MEDIUM.sum(axis=1)  # (16,)
FAMILY: Ints = np.unique([genre["family"] for genre in FMA["genres"]], return_inverse=True)[1]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Who recorded what: one row a track, the tracks of an album one after another.

    Attributes
    ----------
    genre : int array, shape (n,)
        Genre that the track sounds like.
    artist, album : int array, shape (n,)
        Numbers, from 0.
    place : int array, shape (n,)
        Position on the album, from 1.
    """

    genre: Ints
    artist: Ints
    album: Ints
    place: Ints

    @classmethod
    def of_bags(cls, bag: Ints, genre: Ints, artist: Ints, album: Ints) -> Catalogue:
        """From the bag of each track, shape (n,), and what holds for each bag, shape (bags,)."""
        starts = np.flatnonzero(np.diff(album[bag], prepend=-1))
        begun = np.repeat(starts, np.diff(starts, append=len(bag)))
        return cls(genre[bag], artist[bag], album[bag], np.arange(len(bag)) - begun + 1)

    def __len__(self) -> int:
        return len(self.genre)


# --- the synthetic library ----------------------------------------------------------------------


def plan_library(rng: np.random.Generator, n_tracks: int, *, extra: int) -> Catalogue:
    """Give each genre at least four artists, each artist an album and each album a track.

    Parameters
    ----------
    rng : numpy Generator
    n_tracks : int
    extra : int
        Tracks of one album more, by the first artist: what is planted.
    """
    genre, artist, size = [], [], []
    begun = 0
    for number, n in enumerate(genre_sizes(n_tracks)):
        n_artists = max(ARTISTS, round(n / _TRACKS_PER_ARTIST))
        n_albums = max(n_artists, round(n / _TRACKS_PER_ALBUM))
        more = rng.integers(n_artists, size=n_albums - n_artists)
        fame = rng.dirichlet(np.full(n_albums, 4.0))
        genre += [number] * n_albums
        artist += (begun + np.sort(np.append(np.arange(n_artists), more))).tolist()
        size += (1 + rng.multinomial(n - n_albums, fame)).tolist()
        begun += n_artists
    albums = np.arange(len(size) + 1)
    bag = np.repeat(albums, [*size, extra])
    return Catalogue.of_bags(bag, np.array([*genre, 0]), np.array([*artist, 0]), albums)


def genre_sizes(n_tracks: int) -> list[int]:
    """Tracks of each genre of the library: falling exponentially, never below one an artist.

    >>> genre_sizes(400)
    [119, 85, 61, 44, 32, 23, 16, 12, 8]
    """
    share = _IMBALANCE ** (-np.arange(len(GENRES)) / (len(GENRES) - 1))

    def sizes(largest: float) -> Ints:
        return np.maximum(np.round(largest * share).astype(np.int64), ARTISTS)

    low, high = 0.0, float(n_tracks)
    for _ in range(60):  # bisection on the size of the largest genre
        middle = (low + high) / 2
        low, high = (middle, high) if sizes(middle).sum() <= n_tracks else (low, middle)
    others = sizes(low)[1:].tolist()
    return [n_tracks - sum(others), *others]


# --- the simulated FMA --------------------------------------------------------------------------


def plan_fma(n_tracks: int, *, seed: int) -> tuple[Catalogue, Tracks]:
    """Decide everything but the sound.

    Parameters
    ----------
    n_tracks : int
        50 to 106,574. Up to 25,000 all are in medium; the others are large only.
    seed : int >= 0

    Returns
    -------
    catalogue : Catalogue
        Albums are known even where the tracks do not say so; genres likewise.
    tracks : Tracks
        The same rows, as `matt.datasets.fma.simulate.simulate` gives them.

    Raises
    ------
    ConfigError
        If an argument is out of range.
    """
    if seed < 0:
        raise ConfigError(f"seed={seed} is negative; use 0 or more")
    rng = np.random.default_rng([seed, 0])
    bags = _bags(rng, n_tracks)
    artist = _artists(rng, bags)  # (albums,)
    # Albums in random order, so that ids say nothing about genre or split.
    rank = rng.permutation(len(artist))
    order = np.lexsort((np.arange(len(bags.album)), rank[bags.album]))
    bag = np.repeat(order, bags.size[order])  # (n,)
    catalogue = Catalogue.of_bags(bag, bags.genre, artist[bags.album], bags.album)
    split, large = bags.split[bag], bags.large[bag]
    unlabelled = rng.random(len(bags.genre)) < FMA["large"]["unlabelled"]
    lost = _without_album(rng, bags, n_tracks)[catalogue.album]
    album_id = np.where(lost, -1, 1 + rng.permutation(len(artist))[catalogue.album])
    ids = rng.choice(np.arange(3, _HIGHEST_ID + 1), size=len(bag) - 1, replace=False)
    track_id = np.append(2, np.sort(ids))  # FMA's first track is 2
    artist_id = 1 + rng.permutation(int(artist.max()) + 1)[catalogue.artist]
    subset = np.where(large, 2, _small_or_medium(rng, catalogue.genre, split, large))
    seconds = np.exp(np.random.default_rng([seed, 5]).normal(5.4, 0.45, len(bag)))
    albums = [f"Simulated Album {i}" if i >= 0 else "" for i in album_id.tolist()]
    return catalogue, Tracks(
        track_id,
        np.where(large & unlabelled[bag], -1, catalogue.genre),
        FMA_GENRES,
        artist_id=artist_id,
        album_id=album_id,
        split=np.array(SPLITS)[split],
        columns={
            "title": np.array([f"Simulated Track {i}" for i in track_id.tolist()]),
            "artist": np.array([f"Simulated Artist {i}" for i in artist_id.tolist()]),
            "album": np.array(albums),
            "duration": np.clip(seconds, 60, 600).astype(np.int64),
            "subset": np.array(SUBSETS)[subset],
            "simulated": np.ones(len(bag), bool),
        },
    )


@dataclass(frozen=True)
class BagSizes:
    """Mixture of negative binomial distributions of the tracks beyond the first one.

    A catalogue holds singles and albums, so one component does not do: with ``s`` the size of a
    bag, ``s - 1`` is a Poisson number whose rate is gamma distributed with a component's shape and
    mean.

    Attributes
    ----------
    weights : tuple of float
        Share of each component; they add up to 1.
    shapes : tuple of float
        Shape of each gamma distribution, above 0.
    means : tuple of float
        Tracks beyond the first, on average, in each component.

    Examples
    --------
    >>> sizes = BagSizes((1.0,), (2.0,), (3.0,))
    >>> drawn = sizes.draw(np.random.default_rng(0), n_bags=4, n_tracks=20)
    >>> len(drawn), int(drawn.sum())
    (4, 20)
    """

    weights: tuple[float, ...]
    shapes: tuple[float, ...]
    means: tuple[float, ...]

    @classmethod
    def fitted(cls, name: str) -> BagSizes:
        """To a real catalogue: ``"bag_sizes"``, or ``"albums_per_artist"`` in place of tracks."""
        return cls(*(tuple(FMA[name][part]) for part in ("weights", "shapes", "means")))

    def draw(self, rng: np.random.Generator, *, n_bags: int, n_tracks: int) -> Ints:
        """Sizes of bags that hold a given number of tracks in all, shape (n_bags,).

        The rates keep their shape and are rescaled to the wanted mean; given their sum, independent
        Poisson numbers are multinomial, so the total is exact.

        Raises
        ------
        DataError
            If there are fewer tracks than bags, or no bag for some tracks.
        """
        if not n_bags <= n_tracks or (n_tracks and not n_bags):
            raise DataError(
                f"{n_tracks} tracks cannot fill {n_bags} bags; ask for at least one track a bag"
            )
        if not n_bags:
            return np.zeros(0, np.int64)
        component = rng.choice(len(self.weights), size=n_bags, p=self.weights)
        shape = np.array(self.shapes)[component]
        rate = rng.gamma(shape) / shape * np.array(self.means)[component]  # (n_bags,)
        return 1 + rng.multinomial(n_tracks - n_bags, rate / rate.sum()).astype(np.int64)


def medium_counts(n_tracks: int) -> Ints:
    """Tracks of each genre in training, validation and test, shape (16, 3).

    FMA-medium's own counts at 25,000 tracks or more, in proportion below that, and never less than
    one.

    Raises
    ------
    ConfigError
        If there are too few or too many tracks.

    Examples
    --------
    >>> medium_counts(25_000).sum(axis=0), int(medium_counts(50).min())
    (array([19922,  2505,  2573]), 1)
    """
    if not FEWEST <= n_tracks <= MOST:
        raise ConfigError(f"n_tracks={n_tracks} is out of range; use {FEWEST} to {MOST:,}")
    more = apportion(min(n_tracks, MEDIUM) - _MEDIUM.size, (_MEDIUM - 1).ravel())
    return 1 + more.reshape(_MEDIUM.shape)


def apportion(total: int, shares: NDArray[Any]) -> Ints:
    """Whole numbers that add up to ``total``, as near to the shares as can be, shape (n,).

    >>> apportion(10, np.array([2.0, 1.0, 0.5]))
    array([6, 3, 1])
    """
    exact = total * shares / shares.sum()
    parts: Ints = np.floor(exact).astype(np.int64)
    left = total - int(parts.sum())
    parts[np.argsort(parts - exact, kind="stable")[:left]] += 1
    return parts


@dataclass
class _Bags:
    """One row a bag of one genre, as columns of equal length."""

    genre: Ints
    split: Ints  # 0 training, 1 validation, 2 test
    large: NDArray[np.bool_]  # whether outside medium
    size: Ints
    album: Ints  # number of the album


def _bags(rng: np.random.Generator, n_tracks: int) -> _Bags:
    """Bags of medium and of large, those of mixed albums joined."""
    sizes, share = BagSizes.fitted("bag_sizes"), FMA["impure"]
    medium = medium_counts(n_tracks)
    splits = apportion(max(0, n_tracks - MEDIUM), np.array(FMA["large"]["tracks"]))
    outside = np.stack([apportion(int(n), _LARGE) for n in splits], axis=1)  # (16, 3)
    kinds, drawn = [], []
    for large, counts in enumerate((medium, outside)):
        for split, name in enumerate(SPLITS):
            n = int(counts[:, split].sum())
            of_full = FMA["bags"][name] * n / _MEDIUM[:, split].sum()
            wanted = n / FMA["large"]["tracks_per_bag"] if large else of_full
            # Those of training are counted with the genre in the key, the others without.
            n_bags = round(wanted) + (round(share * n) if split else 0)
            for genre, (n_here, bags_here) in enumerate(
                zip(counts[:, split].tolist(), _bags_of_genres(n_bags, counts[:, split]).tolist())
            ):
                drawn.append(sizes.draw(rng, n_bags=bags_here, n_tracks=n_here))
                kinds += [(genre, split, large)] * bags_here
    kind, size = np.array(kinds), np.concatenate(drawn)  # (bags, 3) and (bags,)
    album = np.arange(len(size))
    for cell in np.unique(kind[:, 1:], axis=0):
        here = np.flatnonzero((kind[:, 1:] == cell).all(axis=1))
        guests, hosts = _mixed(rng, kind[here, 0], size[here], share)
        album[here[guests]] = album[here[hosts]]
    number = np.unique(album, return_inverse=True)[1]
    return _Bags(kind[:, 0], kind[:, 1], kind[:, 2].astype(bool), size, number)


def _bags_of_genres(n_bags: int, counts: Ints) -> Ints:
    """Bags of each genre: in proportion to its tracks, one at least where it has any."""
    some = (counts > 0).astype(np.int64)
    spare, left = counts - some, n_bags - int(some.sum())
    return some + (apportion(left, spare) if left > 0 and spare.any() else 0)


def _mixed(
    rng: np.random.Generator, genre: Ints, size: Ints, share: float
) -> tuple[list[int], list[int]]:
    """Bags of one track that move to an album of another genre, and those albums.

    Neighbouring genres mix most; a host has three tracks at least, so its majority stays.
    """
    singles = np.flatnonzero(size == 1)
    # A genre keeps one bag of its own.
    first = np.unique(genre[singles], return_index=True)[1]
    singles = rng.permutation(np.delete(singles, first))
    free = rng.permutation(np.flatnonzero(size >= 3)).tolist()
    guests, hosts = [], []
    for single in singles[: round(share * int(size.sum()))].tolist():
        near = [h for h in free if FAMILY[genre[h]] == FAMILY[genre[single]]]
        pool = [h for h in (near if rng.random() < 0.7 else free) if genre[h] != genre[single]]
        if pool:
            guests.append(single)
            hosts.append(pool[0])
            free.remove(pool[0])
    return guests, hosts


def _artists(rng: np.random.Generator, bags: _Bags) -> Ints:
    """Artist of each album, shape (albums,): one split and, but for mixed albums, one genre."""
    albums = BagSizes.fitted("albums_per_artist")
    host = np.lexsort((bags.size, bags.album))  # the largest bag of an album comes last
    last = host[np.append(np.flatnonzero(np.diff(bags.album[host])), len(host) - 1)]  # (albums,)
    cell = (bags.split[last] * 2 + bags.large[last]) * len(FMA_GENRES) + bags.genre[last]
    artist = np.empty(len(last), np.int64)
    begun = 0
    for number in np.unique(cell):
        here = rng.permutation(np.flatnonzero(cell == number))
        n_artists = max(1, round(len(here) / FMA["albums_per_artist"]["wanted_mean"]))
        drawn = albums.draw(rng, n_bags=n_artists, n_tracks=len(here))
        artist[here] = begun + np.repeat(np.arange(n_artists), drawn)
        begun += n_artists
    return artist


def _without_album(rng: np.random.Generator, bags: _Bags, n_tracks: int) -> NDArray[np.bool_]:
    """Albums, outside medium, whose tracks say nothing of an album, shape (albums,)."""
    large = FMA["large"]
    wanted = large["without_album"] * max(0, n_tracks - MEDIUM) / sum(large["tracks"])
    tracks = np.bincount(bags.album, bags.size * bags.large)
    order = rng.permutation(np.flatnonzero(tracks))
    lost = np.zeros(len(tracks), bool)
    lost[order[np.cumsum(tracks[order]) <= wanted]] = True
    return lost


def _small_or_medium(
    rng: np.random.Generator, genre: Ints, split: Ints, large: NDArray[np.bool_]
) -> Ints:
    """0 for the tracks of the small subset, 1 for others, shape (n,)."""
    subset = np.ones(len(genre), np.int64)
    for (number, part), n_full in np.ndenumerate(_MEDIUM):
        here = np.flatnonzero((genre == number) & (split == part) & ~large)
        n_small = round(len(here) * int(_SMALL[number, part]) / int(n_full))
        subset[rng.permutation(here)[:n_small]] = 0
    return subset
