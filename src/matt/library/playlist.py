"""Playlists: extended M3U in UTF-8, which every player opens.

The format knows lines and nothing else: a line that begins with ``#`` says something of the file
that the next line names. So titles are put on one line, and a file whose path would break one, or
is no UTF-8, cannot stand in a playlist and is left out.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..datasets.credits import same_genre
from ..datasets.folder import Scan
from ..datasets.genres import Vocabulary, parted
from ..errors import ConfigError, DataError, did_you_mean, first_few
from ..evaluation.tables import plain
from ..features.extract import extract
from ..features.report import ExtractionReport
from ..features.store import FeatureStore, with_features
from ..files import check_new, write_text
from ..tracks import Tracks
from .predict import AskedModel, predict_library
from .similar import ranked_albums, rows_at, space_of

SUFFIX = ".m3u8"
_LIKE = 100  # tracks of a playlist of albums that are alike
By = Literal["both", "tags", "sound"]
_WHERE: dict[By, str] = {
    "both": "by its tags, nor surely by its sound",
    "tags": "by its tags",
    "sound": "surely by its sound",
}


def check_by(name: str) -> By:
    """Take the name of a way to tell genres.

    Raises
    ------
    ConfigError
        If it is none.
    """
    for by in _WHERE:
        if name == by:
            return by
    raise ConfigError(f"a genre is told by {name!r}; {did_you_mean(name, _WHERE)}")


def tracks_to_play(
    scan: Scan,
    asked: AskedModel,
    store: Path,
    *,
    genre: str | None = None,
    like: Path | None = None,
    by: By = "both",
    most: int | None = None,
    **options: Any,
) -> tuple[Tracks, ExtractionReport | None]:
    """Tracks of a genre, of albums that sound like one, or of both, in the order to play them.

    Parameters
    ----------
    scan : Scan
    asked : AskedModel
    store : Path
        Where features are kept.
    genre : str, optional
        As in `rows_of_genre`.
    like : Path, optional
        Folder of an album or an artist, or a file: it comes first.
    by : {"both", "tags", "sound"}
        As in `rows_of_genre`. If nothing but a genre is asked for by its tags, nothing is heard.
    most : int, optional
        How many at most; by default 100 if they shall be like an album, else all.
    **options
        For `matt.features.extract.extract`.

    Returns
    -------
    tracks : Tracks
    report : ExtractionReport or None
        Which files could not be used; None where nothing was heard.

    Raises
    ------
    DataError
        If there are none, or nothing can be heard.
    """
    tracks, albums, report = scan.tracks, [], None
    if like is not None:
        rows_at(tracks, like)  # before any work
    if genre is not None and by != "tags":
        said = predict_library(
            scan, asked.model, store, bar=asked.bar, learned=asked.learned, alone=False, **options
        )
        albums, report = said.rows, said.extraction
    elif like is not None:
        report = extract(tracks, asked.spec, store, **options)
    chosen = tracks
    if genre is not None:
        chosen = tracks.take(rows_of_genre(tracks, genre, scan.vocabulary, albums, by=by))
    if like is not None:
        features = FeatureStore.open(store)
        usable = with_features(tracks, features, report=report)
        near = rows_like(usable, space_of(asked.model, features, usable), rows_at(usable, like))
        wanted, chosen = chosen.track_id, usable.take(near)
        chosen = chosen.take(np.isin(chosen.track_id, wanted))
    n = most or (len(chosen) if like is None else _LIKE)
    return chosen.take(np.arange(min(n, len(chosen)))), report


def rows_of_genre(
    tracks: Tracks,
    genre: str,
    vocabulary: Vocabulary,
    albums: Sequence[Mapping[str, Any]] = (),
    *,
    by: By = "both",
) -> NDArray[np.int64]:
    """Rows of the tracks of a genre and of those below it, album by album, the surest first.

    Parameters
    ----------
    tracks : Tracks
        Of a scanned folder.
    genre : str
        As the vocabulary knows it, or as tags or the model have it.
    vocabulary : Vocabulary
    albums : sequence of mapping
        Rows of the albums that were heard (`LibraryPrediction.rows`).
    by : {"both", "tags", "sound"}
        Tags alone; or what albums surely sound like, whatever their tags are; or tags, and the
        sound where a track has none.

    Raises
    ------
    DataError
        If there are none; says which genre may have been meant.
    ConfigError
        If ``by`` is none of them.
    """
    check_by(by)
    wanted = {same_genre(vocabulary.path(name)[-1]) for name in vocabulary.read(genre) or (genre,)}

    def of_it(name: str) -> bool:
        return not wanted.isdisjoint(map(same_genre, vocabulary.path(name)))

    sounds, sure = np.zeros(len(tracks), bool), np.zeros(len(tracks))
    heard: dict[str, None] = {}
    row_of = {track_id: row for row, track_id in enumerate(tracks.track_id.tolist())}
    for album in albums:
        rows = [row_of[track["track_id"]] for track in album["tracks"]]
        sure[rows] = sum(top["probability"] for top in album["top"] if of_it(top["genre"]))
        given = album.get("genres") or [album["genre"]] if album["genre"] else []
        sounds[rows] = not album["unsure"] and any(map(of_it, given))
        heard |= dict.fromkeys(given)
    tags = [parted(str(text)) for text in tracks.columns["genre_tags"]]
    tagged = np.array([any(map(of_it, some)) for some in tags], bool)
    untagged = np.array([not some for some in tags], bool)
    chosen = {"both": tagged | (untagged & sounds), "tags": tagged, "sound": sounds}[by]
    if not chosen.any():
        known = {
            above for some in (*tags, [*heard]) for name in some for above in vocabulary.path(name)
        }
        raise DataError(f"no track is {genre!r} {_WHERE[by]}; {did_you_mean(genre, known)}")
    return in_order(tracks, np.flatnonzero(chosen), -sure)


def rows_like(
    tracks: Tracks, space: NDArray[np.float32], album: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows of an album, then of those by other artists that sound most like it.

    Parameters
    ----------
    tracks, space, album
        As in `matt.library.similar.ranked_albums`.
    """
    place = np.full(len(tracks), np.inf)
    bags, _ = ranked_albums(tracks, space, album)
    place[tracks.rows(bags.track_ids)] = np.repeat(np.arange(len(bags)), bags.sizes)
    place[album] = -1
    return in_order(tracks, np.flatnonzero(np.isfinite(place)), place)


def in_order(
    tracks: Tracks, rows: NDArray[np.int64], first: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Rows album by album: the album of least ``first``, shape (n,), then by artist and number."""
    columns = tracks.columns
    keys = (
        tracks.path[rows],
        columns["track_number"][rows],
        columns["disc"][rows],
        tracks.album_id[rows],
        columns["album"][rows],
        tracks.artist_id[rows],
        first[rows],
    )
    return np.asarray(rows[np.lexsort(keys)])


def title_of(genre: str | None, like: Path | None) -> str:
    """What a playlist is called.

    Raises
    ------
    ConfigError
        If it shall hold nothing in particular.

    Examples
    --------
    >>> title_of("Jazz", Path("/music/Ann"))
    'Jazz like Ann'
    """
    if genre is None and like is None:
        raise ConfigError("a playlist of what? say genre, like (an album), or both")
    return " ".join(filter(None, (genre, f"like {like.absolute().name}" if like else "")))


def check_playlist(path: Path, *, force: bool) -> None:
    """Refuse a name that players do not read as UTF-8, and a file that is there already.

    Raises
    ------
    DataError
    """
    if path.suffix.lower() != SUFFIX:
        raise DataError(f"cannot write {path}: the name of a playlist must end in {SUFFIX}")
    check_new(path, force=force)


def write_playlist(
    path: Path, tracks: Tracks, *, title: str = "", absolute: bool = False, force: bool = False
) -> tuple[str, ...]:
    """Write tracks, in their order, as a playlist that is whole or absent.

    Parameters
    ----------
    path : Path
        Ends in ``.m3u8``.
    tracks : Tracks
        With paths; of the columns ``artist``, ``title`` and ``duration`` those that are there.
    title : str
        Of the playlist, for players that show it.
    absolute : bool
        Name files by their whole path: the playlist may then be moved, and the music may not.
        Otherwise paths are relative to the playlist.
    force : bool
        Replace a file that is there.

    Returns
    -------
    tuple of str
        Files that a playlist cannot name.

    Raises
    ------
    DataError
        If the name is no playlist's, the file is there and not to be replaced, no track is left,
        or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> tracks = Tracks([1], [-1], (), path=[str(folder / "#1.mp3")], columns={"title": ["#1"]})
    >>> write_playlist(folder / "x.m3u8", tracks)
    ()
    >>> print((folder / "x.m3u8").read_text())
    #EXTM3U
    #EXTINF:-1,#1
    ./#1.mp3
    <BLANKLINE>
    """
    check_playlist(path, force=force)
    folder = os.path.realpath(path.parent)
    lines = ["#EXTM3U", *([f"#PLAYLIST:{plain(title)}"] if title else [])]
    unnamed = []
    for row, file in enumerate(tracks.path.tolist()):
        named = os.path.abspath(file) if absolute else _relative(file, folder)
        if not file or not _fits_a_line(named):
            unnamed.append(file)
            continue
        lines += [f"#EXTINF:{_seconds(tracks, row)},{_told(tracks, row)}", named]
    if len(unnamed) == len(tracks):
        why = f" that a playlist can name (not: {first_few(map(plain, unnamed))})"
        raise DataError(f"no track{why if unnamed else ''} is left for {path}; ask for others")
    write_text(path, "\n".join(lines) + "\n")
    return tuple(unnamed)


def _relative(file: str, folder: str) -> str:
    """Path from a folder to a file, both without links; absolute if they are on two drives."""
    real = os.path.join(_real(os.path.dirname(os.path.abspath(file))), os.path.basename(file))
    try:
        named = os.path.relpath(real, folder)
    except ValueError:
        return real
    # Else "#1.mp3" were a remark, and "http:" or " x" another thing than a file.
    return named if named[0] == "." or (named[0].isalnum() and ":" not in named) else f"./{named}"


_real = lru_cache(maxsize=2**12)(os.path.realpath)


def _fits_a_line(named: str) -> bool:
    try:
        named.encode()
    except UnicodeEncodeError:
        return False
    return named.splitlines() == [named] and "\0" not in named


def _seconds(tracks: Tracks, row: int) -> int:
    """Length of a track, -1 unknown."""
    duration = float(tracks.columns["duration"][row]) if "duration" in tracks.columns else math.nan
    return round(duration) if math.isfinite(duration) and duration >= 0 else -1


def _told(tracks: Tracks, row: int) -> str:
    """Artist and title; where there is no title, the name of the file."""
    said = {
        name: str(tracks.columns[name][row]).strip() if name in tracks.columns else ""
        for name in ("artist", "title")
    }
    said["title"] = said["title"] or Path(str(tracks.path[row])).stem
    return plain(" - ".join(filter(None, said.values()))).strip()
