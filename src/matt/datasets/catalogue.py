"""Who plays what in the synthetic library: artists, albums, tags and files, before any sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ..errors import ConfigError
from .styles import GENRES

_IMBALANCE = 14  # tracks of the most common genre for one of the rarest
_ARTISTS = 4  # of the rarest genre: enough for artist-disjoint training, validation and test
_TRACKS_PER_ARTIST, _TRACKS_PER_ALBUM = 7.7, 4.6
_FORMATS = ("mp3", "flac", "mp3", "ogg", "wav", "mp3", "flac", "ogg")  # of one album after another
_SAMPLER = "All Of Them (Synthetic)"
_SYLLABLES = ("ba", "do", "fe", "ka", "li", "mo", "nu", "ra", "si", "to", "va", "ze")
_FIRST = (
    "Amber",
    "Broken",
    "Distant",
    "Early",
    "Glass",
    "Hidden",
    "Iron",
    "Late",
    "Northern",
    "Paper",
)
_SECOND = (
    "Harbour",
    "Lantern",
    "Machine",
    "Meadow",
    "Mirror",
    "Orchard",
    "Signal",
    "Staircase",
    "Tide",
)


@dataclass(frozen=True)
class PlannedTrack:
    """One file to write.

    Attributes
    ----------
    number : int
        Of the track; its random numbers depend on the seed and on this alone.
    file : str
        Relative to the root, with ``/``.
    genre : str
        What is played.
    artist_number, album_number : int
        Whose character it has.
    sr, channels : int
    seconds : float
    tags : dict of str to str
        Vorbis names; several genres are separated by ``"; "``.
    planted : str
        ``"truncated"``, ``"untagged"``, ``"compilation"`` or ``""``.
    """

    number: int
    file: str
    genre: str
    artist_number: int
    album_number: int
    sr: int
    channels: int
    seconds: float
    tags: dict[str, str]
    planted: str = ""


def plan_library(
    *, seed: int, tracks: int, seconds: tuple[float, float]
) -> tuple[PlannedTrack, ...]:
    """Decide everything but the sound.

    Each genre has at least four artists, each artist at least one album and each album at least
    one track. Besides ``tracks`` sound and tagged files, five are planted: one truncated, four with
    tags missing (all, artist, album, genre). Some of the ``tracks`` are on a compilation.

    Raises
    ------
    ConfigError
        If there are too few tracks for every genre, or the durations make no sense.
    """
    least = len(GENRES) * _ARTISTS + 10
    if tracks < least:
        raise ConfigError(
            f"tracks={tracks} is too few for {len(GENRES)} genres; use {least} or more"
        )
    if not 0.5 <= seconds[0] <= seconds[1]:
        raise ConfigError(f"seconds={seconds} must be (shortest, longest), at least 0.5 s")
    rng = np.random.default_rng([seed, 0])
    albums = list(_albums(rng, tracks))
    planned = [
        track
        for number, (genre, artist, size) in enumerate(albums)
        for track in _album(rng, seconds, genre, artist, number, size)
    ]
    planned = _compile(planned)
    extra = _album(rng, seconds, GENRES[0], 0, len(albums), 5)
    planned += _plant(extra)
    return tuple(replace(track, number=number) for number, track in enumerate(planned))


def genre_sizes(tracks: int) -> list[int]:
    """Tracks of each genre: falling exponentially, never below one an artist.

    >>> genre_sizes(400)
    [119, 85, 61, 44, 32, 23, 16, 12, 8]
    """
    share = _IMBALANCE ** (-np.arange(len(GENRES)) / (len(GENRES) - 1))
    floor = np.full(len(GENRES), _ARTISTS)
    low, high = 0.0, float(tracks)
    for _ in range(60):  # bisection on the size of the largest genre
        middle = (low + high) / 2
        sizes = np.maximum(np.round(middle * share).astype(int), floor)
        low, high = (middle, high) if sizes.sum() <= tracks else (low, middle)
    sizes = np.maximum(np.round(low * share).astype(int), floor)
    sizes[0] += tracks - sizes.sum()
    return [int(size) for size in sizes]


def _albums(rng: np.random.Generator, tracks: int) -> Iterator[tuple[str, int, int]]:
    """Genre, artist number and number of tracks of each album."""
    first_artist = 0
    for genre, size in zip(GENRES, genre_sizes(tracks)):
        n_artists = max(_ARTISTS, round(size / _TRACKS_PER_ARTIST))
        n_albums = max(n_artists, round(size / _TRACKS_PER_ALBUM))
        more = rng.integers(n_artists, size=n_albums - n_artists)
        artists = np.sort(np.append(np.arange(n_artists), more))
        fame = rng.dirichlet(np.full(n_albums, 4.0))
        sizes = 1 + rng.multinomial(size - n_albums, fame)
        for artist, tracks_on_it in zip(artists, sizes):
            yield genre, first_artist + int(artist), int(tracks_on_it)
        first_artist += n_artists


def _album(
    rng: np.random.Generator,
    seconds: tuple[float, float],
    genre: str,
    artist_number: int,
    album_number: int,
    size: int,
) -> list[PlannedTrack]:
    suffix = _FORMATS[album_number % len(_FORMATS)]
    sr = 44100 if rng.random() < 0.12 else 22050
    channels = 2 if rng.random() < 0.3 else 1
    artist, album = _artist(artist_number), f"{_title(album_number * 37)} (Synthetic)"
    written = genre
    if album_number % 11 == 5:
        written = f"{genre}; Mock Music"  # a second genre
    if album_number % 11 == 8:
        written = genre.upper()  # another spelling of the first
    return [
        PlannedTrack(
            number=-1,
            file=f"{artist}/{album}/{place:02d} {_title(title)}.{suffix}",
            genre=genre,
            artist_number=artist_number,
            album_number=album_number,
            sr=sr,
            channels=channels,
            seconds=round(float(rng.uniform(*seconds)), 3),
            tags={
                "title": _title(title),
                "artist": artist,
                "album": album,
                "genre": written,
                "tracknumber": str(place),
            },
        )
        for place, title in enumerate(rng.permutation(90)[:size].tolist(), start=1)
    ]


def _compile(planned: list[PlannedTrack]) -> list[PlannedTrack]:
    """Move tracks of four genres to a sampler: two of an artist where its albums can spare them."""
    left = Counter(track.album_number for track in planned)
    taken: Counter[str] = Counter()
    done = []
    for track in planned:
        genre, artist = track.genre, track.tags["artist"]
        chosen = genre in GENRES[:4] and left[track.album_number] > 1
        chosen = chosen and taken[artist] < 2 and (taken[artist] > 0 or taken[genre] == 0)
        if chosen:
            left[track.album_number] -= 1
            taken.update([artist, genre, _SAMPLER])
            place, title = taken[_SAMPLER], track.tags["title"]
            suffix = track.file.rsplit(".", 1)[1]
            track = replace(
                track,
                file=f"Various Artists/{_SAMPLER}/{place:02d} {title}.{suffix}",
                tags=track.tags
                | {
                    "album": _SAMPLER,
                    "albumartist": "Various Artists",
                    "compilation": "1",
                    "tracknumber": str(place),
                },
                planted="compilation",
            )
        done.append(track)
    return done


def _plant(extra: list[PlannedTrack]) -> list[PlannedTrack]:
    first, *others = extra
    planted = [replace(first, file="Damaged/truncated.mp3", planted="truncated")]
    for track, lost in zip(others, ("everything", "artist", "album", "genre")):
        tags = {k: v for k, v in track.tags.items() if k != lost and lost != "everything"}
        suffix = track.file.rsplit(".", 1)[1]
        file = f"Untagged/no {lost}.{suffix}" if tags else f"Untagged/no tags.{suffix}"
        planted.append(replace(track, file=file, tags=tags, planted="untagged"))
    return planted


def _artist(number: int) -> str:
    """A made-up name, one for each number.

    >>> _artist(0), _artist(1)
    ('Baba Dofeba', 'Fera Dorado')
    """
    pairs = [a + b for a, b in product(_SYLLABLES, repeat=2)]
    a, b, c = number * 31 % 144, (number * 5 + 14) % 144, number % 12
    return f"{pairs[a].title()} {(pairs[b] + _SYLLABLES[c]).title()}"


def _title(number: int) -> str:
    a, b = number % len(_FIRST), (number // len(_FIRST)) % len(_SECOND)
    again = number // (len(_FIRST) * len(_SECOND))
    return f"{_FIRST[a]} {_SECOND[b]}" + (f" {again + 1}" if again else "")
