"""Columns and rows of the index, by the shortest way.

Arrow's own ``to_numpy`` imports pandas where that is installed, which takes longer than all of the
reading. Here numbers come through their memory, text as Python text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...files import open_parquet, read_parquet
from .genre_tree import Genre, GenreTree
from .index_files import GENRES_SCHEMA, feature_file, tracks_file
from .indexing import Index
from .track_columns import RANKS

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 4096  # rows of features that are in memory twice
LONG = 500  # characters; numpy gives every text of a column the room of the longest


def read_tracks(opened: Index, subset: str, columns: list[str]) -> dict[str, Any]:
    """Columns of the tracks of a subset, subset after subset.

    Returns
    -------
    dict
        Arrays, shape (n,); lists as an array of values and one of offsets.
    """
    names = list(dict.fromkeys(columns))
    highest = RANKS.get(subset, len(RANKS))
    parts = [part for part, rank in RANKS.items() if rank <= highest]
    with _small_pool():
        tables = [_read_parquet(opened.path / tracks_file(part), names) for part in parts]
    return {name: _joined([table[name] for table in tables]) for name in names}


def read_genres(opened: Index) -> GenreTree:
    """The hierarchy of genres."""
    table, _ = read_parquet(opened.path / "genres.parquet", schema=GENRES_SCHEMA)
    return GenreTree.of(
        Genre(row["genre_id"], row["title"], row["parent"], row["top_level"], row["n_tracks"])
        for row in table.to_pylist()
    )


def read_features(
    opened: Index, descriptors: tuple[str, ...], subset: str
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Values of some descriptors, side by side.

    Returns
    -------
    track_ids : int array, shape (n,)
        Not sorted.
    values : float32 array, shape (n, columns)
    known : bool array, shape (n,)
        Whether all values of a row are finite.
    """
    n = opened.manifest["feature_rows"][subset]
    paths = [opened.path / feature_file(name) for name in descriptors]
    widths = [_shape(path)[0][1] for path in paths]
    values = np.empty((n, sum(widths)), np.float32)
    known = np.ones(n, bool)
    start = 0
    for path, width in zip(paths, widths, strict=True):
        _read_matrix(path, values[:, start : start + width], known)
        start += width
    ids = opened.path / feature_file("ids")
    return np.fromfile(ids, np.int64, n, offset=_shape(ids)[1]), values, known


def _shape(path: Path) -> tuple[tuple[int, ...], int]:
    """Shape of the array in a .npy file, and where its values begin."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
        return shape, file.tell()


def _read_matrix(path: Path, into: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
    """Fill the rows of a matrix, and unset ``known`` where a value is not finite.

    Block by block, so that the matrix is neither mapped nor held twice.
    """
    _, begin = _shape(path)
    width = into.shape[1]
    with path.open("rb") as file:
        file.seek(begin)
        for start in range(0, len(into), BLOCK):
            rows = slice(start, min(start + BLOCK, len(into)))
            block = np.fromfile(file, np.float32, (rows.stop - start) * width)
            into[rows] = block.reshape(-1, width)
            known[rows] &= np.isfinite(block).reshape(-1, width).all(axis=1)


def _read_parquet(path: Path, columns: list[str]) -> pa.Table:
    """As `files.read_parquet`, with less memory: one thread, one column after the other."""
    with open_parquet(
        path, remedy="run 'matt fma index' again with --force", pre_buffer=False
    ) as file:
        return file.read(columns=columns, use_threads=False)


@contextmanager
def _small_pool() -> Iterator[None]:
    """Let Arrow allocate as everybody does: its own pool takes 40 MB for tables of 3 MB.

    What others allocate meanwhile is not harmed: every buffer knows the pool it came from.
    """
    import pyarrow as pa

    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)


def _joined(columns: list[pa.ChunkedArray]) -> Any:
    import pyarrow as pa

    kind = columns[0].type
    if pa.types.is_string(kind):
        texts = [text for column in columns for text in column.to_pylist()]
        longest = max(map(len, texts), default=0)
        return np.array(texts, np.str_ if longest <= LONG else object)
    arrays = [column.combine_chunks() for column in columns]
    if not pa.types.is_list(kind):
        return np.concatenate([np.from_dlpack(array) for array in arrays])
    values = np.concatenate([np.from_dlpack(array.flatten()) for array in arrays])
    sizes = [np.diff(np.from_dlpack(array.offsets)) for array in arrays]
    return values, np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
