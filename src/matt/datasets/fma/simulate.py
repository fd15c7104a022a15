"""A simulated FMA: tracks and features of FMA's shape, none of it real.

FMA's genres and its counts by genre and split are kept, bag sizes have the shape of a real
catalogue, and features are drawn from a model (`matt.datasets.invented.features`) that was
calibrated to what simple classifiers reach on FMA. It serves to test, to time and to try things
without a download. Nothing about music follows from it, and every number that comes from it has to
be called simulated.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, did_you_mean
from ...features.kernels.frames import COLUMNS
from ...features.store import FeatureStore
from ...files import replacing, write_json, write_text
from ...tracks import SPLITS, Tracks
from ..invented import made_with
from ..invented.catalogue import FMA, MEDIUM, SUBSETS, Catalogue, plan_fma
from ..invented.features import Hierarchy
from ..invented.sound import STYLES, borrow, played_by, render, write_audio
from .places import METADATA, SIMULATED, clip
from .tables import Genre

Progress = Callable[[str, int, int], None]

AUDIO = "fma_medium"
FEATURES = ("all", "medium", "none")
_FIRST_MADE_UP_ID = 2001  # FMA's own ids end below
_SR = 44_100  # of clips
_KIND = "simulated FMA"
_NOTE = "none of this is real; call every number that comes from it simulated"
_VERSION = 1  # of what a seed means: raise it whenever a value changes
_README = """\
This is a simulated FMA. None of it is real.

It has the layout of the FMA data set (tracks.csv, genres.csv, features.csv and, where asked for,
clips), its genres and, in full size, its numbers of tracks by genre and split. Titles, artists,
albums, durations, features and sounds are made up by a random number generator.

Use it to test and to time software. Nothing about music follows from it. Call every number that
comes from it simulated. fma_metadata/SIMULATED.json says how it was made.
"""


def simulate(n_tracks: int = MEDIUM, seed: int = 0) -> tuple[Tracks, FeatureStore]:
    """Simulate in memory: what `write_tree` writes, without the files.

    Parameters
    ----------
    n_tracks : int
        50 to 106,574. Up to 25,000 all are in medium; 25,000 gives FMA-medium's counts exactly.
    seed : int >= 0

    Returns
    -------
    tracks : Tracks
        ``columns`` hold ``title``, ``artist``, ``album``, ``duration`` in seconds, ``subset``
        (small, medium, large: the smallest that holds the track) and ``simulated``, true
        everywhere.
    features : FeatureStore
        Float32, shape (518,), in the order of `matt.features.kernels.frames.COLUMNS`.

    Raises
    ------
    ConfigError
        If an argument is out of range.

    Examples
    --------
    >>> tracks, features = simulate(50)
    >>> len(tracks.genres), features.spec.shape, bool(tracks.columns["simulated"].all())
    (16, (518,), True)
    """
    catalogue, tracks = plan_fma(n_tracks, seed=seed)
    values = np.concatenate(list(Hierarchy.calibrated().blocks(catalogue, seed=seed)))
    return tracks, FeatureStore.from_arrays("simulated-fma", tracks.track_id, values)


def write_tree(
    root: Path | str,
    *,
    n_tracks: int = MEDIUM,
    seed: int = 0,
    features: str = "all",
    digits: int = 9,
    audio: bool = False,
    seconds: float = 30.0,
    progress: Progress | None = None,
) -> Path:
    """Write a simulated FMA in FMA's layout, unless it is there already.

    The marker ``fma_metadata/SIMULATED.json`` is there from the start, so that no part of the tree
    can be taken for real; it says ``"complete": true`` at the end. The same call finishes an
    unfinished tree. Memory does not grow with features.csv (950 MB at full size with 9 digits).

    Parameters
    ----------
    root : path
        An empty or new folder, or one that an equal call has begun.
    n_tracks, seed
        As in `simulate`.
    features : {"all", "medium", "none"}
        Of which tracks features.csv has rows; with ``"none"`` there is no such file.
    digits : int
        Digits after the point in features.csv, 1 to 9. FMA has 9, which keep float32 exactly.
    audio : bool
        Also write a clip of every track of medium: about 240 kB each at 30 s.
    seconds : float
        Length of a clip, at least 0.5.
    progress : callable, optional
        Called with (what is written, rows done, rows in all).

    Returns
    -------
    Path
        The marker: parameters, seed and counts.

    Raises
    ------
    ConfigError
        If an argument makes no sense.
    DataError
        If the folder holds something else.
    """
    if features not in FEATURES:
        raise ConfigError(f"unknown features {features!r}; {did_you_mean(features, FEATURES)}")
    if not 1 <= digits <= 9:
        raise ConfigError(f"digits={digits} is out of range; use 1 to 9")
    if not seconds >= 0.5:
        raise ConfigError(f"seconds={seconds} is too short for a clip; use 0.5 or more")
    root = Path(root)
    catalogue, tracks = plan_fma(n_tracks, seed=seed)
    tell = progress or (lambda what, done, total: None)
    metadata = root / METADATA
    marker = metadata / SIMULATED
    content: dict[str, Any] = {
        "kind": _KIND,
        "note": _NOTE,
        "parameters": {
            "version": _VERSION,
            "n_tracks": n_tracks,
            "seed": seed,
            "features": features,
            "digits": digits,
            "audio": audio,
            "seconds": seconds,
        },
    }
    place = f"{METADATA}/{SIMULATED}"
    if made_with(root, [place], kind=_KIND, parameters=content["parameters"]).get("complete"):
        return marker
    write_json(marker, {**content, "complete": False})
    write_text(root / "README.txt", _README)
    genres = _track_genres(catalogue, tracks, seed=seed)
    _write_genres(metadata / "genres.csv", genres)
    if features != "none":
        wanted = (tracks.columns["subset"] != "large") | (features == "all")
        path = metadata / "features.csv"
        _write_features(path, catalogue, tracks, wanted, seed=seed, digits=digits, progress=tell)
    _write_tracks(metadata / "tracks.csv", catalogue, tracks, genres, seed=seed)
    if audio:
        folder = root / AUDIO
        _write_clips(folder, catalogue, tracks, seed=seed, seconds=seconds, progress=tell)
    write_json(marker, {**content, "counts": _counts(tracks), "complete": True})
    return marker


def taxonomy() -> tuple[Genre, ...]:
    """All genres, the 16 real top genres first; every third made-up genre lies below another one.

    Their numbers of tracks are 0: these depend on the catalogue.
    """
    known = FMA["genres"]
    tops = [Genre(genre["id"], genre["title"], 0, genre["id"], 0) for genre in known]
    made_up: list[Genre] = []
    for top, genre in zip(tops, known, strict=True):
        for k in range(genre["made_up"]):
            parent = made_up[-1].genre_id if k % 3 == 2 else top.genre_id
            genre_id = _FIRST_MADE_UP_ID + len(made_up)
            title = f"Simulated {top.title} {k + 1}"
            made_up.append(Genre(genre_id, title, parent, top.genre_id, 0))
    return (*tops, *made_up)


def _track_genres(catalogue: Catalogue, tracks: Tracks, *, seed: int) -> dict[str, list[list[int]]]:
    """Genre ids of each track, as given and with all that lie above: columns of tracks.csv.

    A track with one top genre has genres of that one only; a track without has genres of two, or,
    rarely, none at all. An artist keeps to one genre.
    """
    genres = taxonomy()
    above = {genre.genre_id: genre.parent for genre in genres}
    tops = [genre.genre_id for genre in genres if not genre.parent]
    below = {top: [g.genre_id for g in genres if g.top_level == top and g.parent] for top in tops}
    rng = np.random.default_rng([seed, 4])
    taste = rng.random(int(catalogue.artist.max()) + 1)[catalogue.artist]  # (n,)
    luck = rng.random((3, len(catalogue)))
    given, complete = [], []
    for sound, label, own, plain, second, other in zip(
        catalogue.genre.tolist(), tracks.labels.tolist(), taste.tolist(), *luck.tolist()
    ):
        top = tops[sound]
        mine = below[top][int(own * len(below[top]))]
        ids = [top] if plain < 0.3 else [mine]
        if label >= 0 and second < 0.2 and top not in ids:
            ids.append(top)
        if label < 0:
            ids.append(tops[(sound + 1 + int(other * (len(tops) - 1))) % len(tops)])
            ids = [] if second < 0.04 else ids
        all_ids = set(ids)
        for genre_id in ids:
            while genre_id := above[genre_id]:
                all_ids.add(genre_id)
        given.append(sorted(ids))
        complete.append(sorted(all_ids))
    return {"track genres": given, "track genres_all": complete}


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """Give a file for lines; it is there when all are written."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        yield file


def _write_genres(path: Path, genres: dict[str, list[list[int]]]) -> None:
    """Write genres.csv: one row a genre, with the tracks that have it or one below it."""
    tracks = Counter(genre_id for ids in genres["track genres_all"] for genre_id in ids)
    with _text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["genre_id", "#tracks", "parent", "title", "top_level"])
        for genre in sorted(taxonomy(), key=lambda genre: genre.genre_id):
            count = tracks[genre.genre_id]
            writer.writerow([genre.genre_id, count, genre.parent, genre.title, genre.top_level])


def _write_tracks(
    path: Path,
    catalogue: Catalogue,
    tracks: Tracks,
    genres: dict[str, list[list[int]]],
    *,
    seed: int,
) -> None:
    """Write tracks.csv: two header rows, one row of the index' name, one row a track."""
    plays = np.exp(np.random.default_rng([seed, 6]).normal(6.5, 1.2, len(tracks))).astype(np.int64)
    on_album = np.bincount(catalogue.album)[catalogue.album]
    known = tracks.album_id >= 0
    values: dict[str, NDArray[Any]] = {
        "album date_created": np.where(known, FMA["columns"]["track"]["date_created"], ""),
        "album id": tracks.album_id,
        "album listens": plays * on_album,
        "album title": tracks.columns["album"],
        "album tracks": on_album,
        "album type": np.where(known, np.where(on_album > 2, "Album", "Single Tracks"), ""),
        "artist id": tracks.artist_id,
        "artist name": tracks.columns["artist"],
        "set split": tracks.split,
        "set subset": tracks.columns["subset"],
        "track duration": tracks.columns["duration"],
        "track favorites": plays // 300,
        "track genre_top": np.array((*tracks.genres, ""))[tracks.labels],  # -1 is the last
        "track interest": 3 * plays,
        "track listens": plays,
        "track number": catalogue.place,
        "track title": tracks.columns["title"],
    }
    columns = {name: column.tolist() for name, column in values.items()} | genres
    # The 52 columns of FMA, with what all tracks have in those that are no part of the simulation.
    header = [(group, name) for group, names in FMA["columns"].items() for name in names]
    cells = [columns.get(f"{g} {n}", repeat(FMA["columns"][g][n])) for g, n in header]
    with _text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *(group for group, _ in header)])
        writer.writerow(["", *(name for _, name in header)])
        writer.writerow(["track_id", *[""] * len(header)])
        writer.writerows(zip(tracks.track_id.tolist(), *cells))


def _write_features(
    path: Path,
    catalogue: Catalogue,
    tracks: Tracks,
    wanted: NDArray[np.bool_],
    *,
    seed: int,
    digits: int,
    progress: Progress,
) -> None:
    """Write features.csv: three header rows, one of the index' name, one row a wanted track.

    One block of them is in memory at a time.
    """
    line = "%d" + f",%.{digits}e" * len(COLUMNS) + "\n"
    done = 0
    with _text(path) as file:
        for name, cells in zip(("feature", "statistics", "number"), zip(*COLUMNS)):
            file.write(",".join((name, *cells)) + "\n")
        file.write("track_id" + "," * len(COLUMNS) + "\n")
        for block in Hierarchy.calibrated().blocks(catalogue, seed=seed):
            here = slice(done, done + len(block))
            ids, values = tracks.track_id[here][wanted[here]], block[wanted[here]]
            file.writelines(line % (i, *row) for i, row in zip(ids.tolist(), values.tolist()))
            done = here.stop
            progress("features.csv", done, len(tracks))


def _write_clips(
    folder: Path,
    catalogue: Catalogue,
    tracks: Tracks,
    *,
    seed: int,
    seconds: float,
    progress: Progress,
) -> None:
    """Write a clip of every track of medium that has none yet."""
    rows = np.flatnonzero(tracks.columns["subset"] != "large").tolist()
    for done, row in enumerate(rows, start=1):
        genre, track_id = int(catalogue.genre[row]), int(tracks.track_id[row])
        # There are more genres than styles: the others mix two of them, always the same way.
        style = STYLES[genre % len(STYLES)]
        if genre >= len(STYLES):
            style = borrow(style, np.random.default_rng(genre), chance=0.5)
        numbers = (int(catalogue.artist[row]), int(catalogue.album[row]), track_id)
        levels = [((seed, 7 + i, number), 0.4, None) for i, number in enumerate(numbers)]
        if not (target := folder / clip(track_id)).exists():
            samples = render(*played_by(style, levels), sr=_SR, seconds=seconds, channels=1)
            with replacing(target) as temporary:
                write_audio(temporary, samples, _SR)
        progress("clips", done, len(rows))


def _counts(tracks: Tracks) -> dict[str, Any]:
    subset = Counter(tracks.columns["subset"].tolist())
    split = Counter(tracks.split.tolist())
    return {
        "tracks": len(tracks),
        "subsets": {name: subset[name] for name in SUBSETS},
        "splits": {name: split[name] for name in SPLITS},
        "artists": len(np.unique(tracks.artist_id)),
        "without an album": int((tracks.album_id < 0).sum()),
        "without one top genre": int((tracks.labels < 0).sum()),
    }
