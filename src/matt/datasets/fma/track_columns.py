"""Columns of tracks.csv and genres.csv: what they hold, and what is checked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import DataError, did_you_mean, first_few
from ...tracks import SPLITS
from .genre_tree import Genre, GenreTree
from .tables import INDEX, Source, check_names, read_names, read_table

if TYPE_CHECKING:
    import pyarrow as pa

RANKS = {"small": 0, "medium": 1, "large": 2}
"""Order of the subsets: each holds those before it."""

_INTEGERS = {
    "album": ("comments", "favorites", "id", "listens", "tracks"),
    "artist": ("comments", "favorites", "id"),
    "track": (
        "bit_rate",
        "comments",
        "duration",
        "favorites",
        "interest",
        "listens",
        "number",
    ),
}
_FLOATS = {"artist": ("latitude", "longitude")}
_NEEDED = (
    ("track", "title"),
    ("track", "genre_top"),
    ("track", "genres"),
    ("track", "genres_all"),
    ("album", "id"),
    ("artist", "id"),
    ("set", "split"),
    ("set", "subset"),
)
LISTS = ("track_genres", "track_genres_all")


def read_genres(source: Source) -> GenreTree:
    """Read genres.csv.

    Raises
    ------
    DataError
        If it cannot be read, or is no hierarchy.
    """
    import pyarrow as pa

    needed = ("#tracks", "parent", "title", "top_level")
    names = read_names(source.path, levels=1, index="genre_id")
    check_names(source.path, names, [(name,) for name in needed])
    numbers = {name: pa.int64() for name in needed if name != "title"}
    table = read_table(source, levels=1, numbers=numbers, index="genre_id")
    columns = [table[name].to_pylist() for name in ("genre_id", "title", "parent", "top_level")]
    counts = [n or 0 for n in table["#tracks"].to_pylist()]
    try:
        return GenreTree.of(
            Genre(genre_id, title, parent or 0, top or genre_id, n)
            for genre_id, title, parent, top, n in zip(*columns, counts, strict=True)
        )
    except DataError as error:
        raise DataError(f"{source.path}: {error}") from error


def read_tracks(
    source: Source, genres: GenreTree
) -> tuple[dict[str, pa.Array], list[dict[str, Any]]]:
    """Read tracks.csv.

    Returns
    -------
    columns : dict of str to pyarrow.Array
        By flat names (``"album_title"``); ``split`` and ``subset`` without a prefix; lists of ids
        as lists; -1 for whole numbers that are missing; ``genre_tags`` holds the titles of all
        genres that were given to a track.
    unmatched : list of dict
        Genres that genres.csv does not have.

    Raises
    ------
    DataError
        If the file cannot be read, or a split, a subset or a list of genres is none.
    """
    import pyarrow as pa

    path = source.path
    names = read_names(path, levels=2)
    check_names(path, names, _NEEDED)
    integers = {f"{level}_{name}" for level, all_ in _INTEGERS.items() for name in all_}
    floats = {f"{level}_{name}" for level, all_ in _FLOATS.items() for name in all_}
    numbers = dict.fromkeys(integers | floats, pa.float64())
    table = read_table(source, levels=2, numbers=numbers)
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if name in integers:
            column = _whole(path, name, column)
        elif name in floats:
            column = column.fill_null(float("nan"))
        columns[name.removeprefix("set_")] = column
    ids = columns[INDEX].to_pylist()
    for name, known in (("split", SPLITS), ("subset", tuple(RANKS))):
        _check_words(path, ids, columns[name].to_pylist(), name, known)
    for name in LISTS:
        columns[name] = pa.array(_lists(path, ids, columns[name].to_pylist()), pa.list_(pa.int32()))
    titles = {i: genre.title for i, genre in genres.genres.items()}
    columns["genre_tags"] = pa.array(
        "; ".join(titles[i] for i in row if i in titles)
        for row in columns["track_genres"].to_pylist()
    )
    return columns, _strange_genres(columns, genres)


def _whole(path: Any, name: str, column: pa.Array) -> pa.Array:
    """Whole numbers, -1 where there is none; Arrow may have read them as 12.0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.fill_null(column.cast(pa.int64()), -1)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {name} holds a number with a fraction ({error})") from error


def _check_words(
    path: Any, ids: list[int], words: list[str], name: str, known: tuple[str, ...]
) -> None:
    wrong = [(i, word) for i, word in zip(ids, words, strict=True) if word not in known]
    if wrong:
        track_id, word = wrong[0]
        raise DataError(
            f"{path}: {len(wrong)} tracks have an unknown {name} (first: track {track_id} has "
            f"{word!r}; {did_you_mean(word, known)})"
        )


def _lists(path: Any, ids: list[int], texts: list[str]) -> list[list[int]]:
    read: dict[str, list[int]] = {"": []}
    for track_id, text in zip(ids, texts, strict=True):
        if text in read:
            continue
        try:
            if text[0] + text[-1] != "[]":
                raise ValueError(text)
            read[text] = [int(part) for part in text[1:-1].split(",") if part.strip()]
        except ValueError:
            raise DataError(
                f"{path}: the genres of track {track_id} are {text[:60]!r}, expected ids like "
                "[21, 10]; fetch it again"
            ) from None
    return [read[text] for text in texts]


def _strange_genres(columns: dict[str, pa.Array], genres: GenreTree) -> list[dict[str, Any]]:
    titles = {genre.title for genre in genres.genres.values()}
    tops = sorted(set(columns["track_genre_top"].to_pylist()) - titles - {""})
    ids = set(columns["track_genres_all"].flatten().to_pylist())
    strange = sorted(ids - set(genres.genres))
    found = []
    if tops:
        told = f"top genres are not in genres.csv (first: {first_few(tops)})"
        found.append({"what": told, "n": len(tops), "genres": tops})
    if strange:
        told = f"genre ids are not in genres.csv, and left out (first: {first_few(strange)})"
        found.append({"what": told, "n": len(strange), "genres": strange})
    return found
