"""Tables of the simulated FMA in the layout of FMA's own CSV files."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...features.kernels.frames import COLUMNS
from ...files import replacing
from .parameters import genres
from .simulated_catalogue import SUBSETS, Catalogue
from .taxonomy import taxonomy, track_genres

TRACK_COLUMNS = {
    "album": (
        "comments date_created date_released engineer favorites id information listens producer "
        "tags title tracks type"
    ),
    "artist": (
        "active_year_begin active_year_end associated_labels bio comments date_created favorites "
        "id latitude location longitude members name related_projects tags website wikipedia_page"
    ),
    "set": "split subset",
    "track": (
        "bit_rate comments composer date_created date_recorded duration favorites genre_top genres "
        "genres_all information interest language_code license listens lyricist number publisher "
        "tags title"
    ),
}
"""The 52 columns of FMA's tracks.csv: names in each group."""

_SPLITS = ("training", "validation", "test")
_CREATED = "2008-11-26 01:44:45"  # of everything: dates are no part of the simulation
_LICENSE = "None: simulated"


def durations(catalogue: Catalogue, *, seed: int) -> NDArray[np.int64]:
    """Seconds of each track, 60 to 600, shape (n,)."""
    rng = np.random.default_rng([seed, 5])
    seconds = np.exp(rng.normal(5.4, 0.45, len(catalogue)))
    return np.clip(seconds, 60, 600).astype(np.int64)


def write_tracks(path: Path, catalogue: Catalogue, *, seed: int) -> None:
    """Write tracks.csv: two header rows, one row of the index' name, one row a track."""
    groups = [group for group, names in TRACK_COLUMNS.items() for _ in names.split()]
    names = [name for text in TRACK_COLUMNS.values() for name in text.split()]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *groups])
        writer.writerow(["", *names])
        writer.writerow(["track_id", *[""] * len(names)])
        for track_id, values in _track_rows(catalogue, seed=seed):
            row = (values.get((group, name), "") for group, name in zip(groups, names))
            writer.writerow([track_id, *row])


def _track_rows(
    catalogue: Catalogue, *, seed: int
) -> Iterator[tuple[int, dict[tuple[str, str], object]]]:
    given, complete = track_genres(catalogue, seed=seed)
    seconds = durations(catalogue, seed=seed).tolist()
    rng = np.random.default_rng([seed, 6])
    plays = np.exp(rng.normal(6.5, 1.2, len(catalogue))).astype(np.int64).tolist()
    on_album = np.bincount(catalogue.album)[catalogue.album].tolist()
    titles = (*genres(), "")  # -1 is the last
    for i, (track_id, artist, album) in enumerate(
        zip(
            catalogue.track_id.tolist(),
            catalogue.artist_id.tolist(),
            catalogue.album_id.tolist(),
        )
    ):
        row: dict[tuple[str, str], object] = {
            ("album", "comments"): 0,
            ("album", "favorites"): 0,
            ("album", "id"): album,
            ("album", "listens"): plays[i] * on_album[i],
            ("album", "tags"): "[]",
            ("album", "tracks"): on_album[i],
            ("artist", "comments"): 0,
            ("artist", "date_created"): _CREATED,
            ("artist", "favorites"): 0,
            ("artist", "id"): artist,
            ("artist", "name"): artist_name(artist),
            ("artist", "tags"): "[]",
            ("set", "split"): _SPLITS[catalogue.split[i]],
            ("set", "subset"): SUBSETS[catalogue.subset[i]],
            ("track", "bit_rate"): 256_000,
            ("track", "comments"): 0,
            ("track", "date_created"): _CREATED,
            ("track", "duration"): seconds[i],
            ("track", "favorites"): plays[i] // 300,
            ("track", "genre_top"): titles[catalogue.label[i]],
            ("track", "genres"): given[i],
            ("track", "genres_all"): complete[i],
            ("track", "interest"): 3 * plays[i],
            ("track", "language_code"): "en",
            ("track", "license"): _LICENSE,
            ("track", "listens"): plays[i],
            ("track", "number"): int(catalogue.place[i]),
            ("track", "tags"): "[]",
            ("track", "title"): title(track_id),
        }
        if album >= 0:
            row[("album", "title")] = album_title(album)
            row[("album", "type")] = "Album" if on_album[i] > 2 else "Single Tracks"
            row[("album", "date_created")] = _CREATED
        yield track_id, row


def title(track_id: int) -> str:
    """Title of a track."""
    return f"Simulated Track {track_id}"


def artist_name(artist_id: int) -> str:
    """Name of an artist."""
    return f"Simulated Artist {artist_id}"


def album_title(album_id: int) -> str:
    """Title of an album, nothing where it is missing."""
    return f"Simulated Album {album_id}" if album_id >= 0 else ""


def write_genres(path: Path, catalogue: Catalogue, *, seed: int) -> None:
    """Write genres.csv: one row a genre, with the tracks that have it or one below it."""
    _, complete = track_genres(catalogue, seed=seed)
    tracks = Counter(genre_id for ids in complete for genre_id in ids)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["genre_id", "#tracks", "parent", "title", "top_level"])
        for genre in sorted(taxonomy(), key=lambda genre: genre.genre_id):
            count = tracks[genre.genre_id]
            writer.writerow([genre.genre_id, count, genre.parent, genre.title, genre.top_level])


def write_features(
    path: Path,
    blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]],
    *,
    digits: int = 9,
) -> None:
    """Write features.csv: three header rows, one of the index' name, one row a track.

    Parameters
    ----------
    path : path
    blocks : iterable of (track ids, shape (n,), features, shape (n, 518))
        Only one block is in memory at a time.
    digits : int
        After the point, in scientific notation; FMA has 9.
    """
    line = "%d" + f",%.{digits}e" * len(COLUMNS) + "\n"
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        for name, cells in zip(("feature", "statistics", "number"), zip(*COLUMNS)):
            file.write(",".join((name, *cells)) + "\n")
        file.write("track_id" + "," * len(COLUMNS) + "\n")
        for track_ids, values in blocks:
            for track_id, row in zip(track_ids.tolist(), values.tolist()):
                file.write(line % (track_id, *row))
