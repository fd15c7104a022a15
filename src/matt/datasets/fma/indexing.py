"""The index: FMA's CSVs read once, so that a part of them is read in a moment.

``matt-index`` holds

- ``tracks-small.parquet``, ``-medium``, ``-large``: what each subset adds to the one before, in the
  order of the ids. FMA-medium is the first two; one row a track, one flat name a column;
- ``features-mfcc.npy`` and so on: one float32 matrix a descriptor, and ``features-ids.npy``. Rows
  are in the order small, medium, large, so that a subset is one piece of the file;
- ``genres.parquet``, ``echonest.parquet``;
- ``index.json``: the hashes of the CSVs and the sizes of the other files. It is removed before
  those are written and written after them: without it there is no index.

Arrow's own ``to_numpy`` imports pandas where that is installed, which takes longer than all of the
reading. So numbers come through their memory, text as Python text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, first_few
from ...features.blocks import write_values
from ...features.kernels.frames import COLUMNS, SIZES
from ...files import open_parquet, read_json, read_parquet, write_json, write_parquet
from .places import INDEX, SIMULATED, metadata_of, root_of
from .tables import (
    RANKS,
    Genre,
    GenreTree,
    Sheet,
    read_genres,
    read_names,
    read_table,
    read_tracks,
    survey,
)

if TYPE_CHECKING:
    import pyarrow as pa

TRACKS_SCHEMA, GENRES_SCHEMA, ECHONEST_SCHEMA = (
    f"matt.fma.{name}/1" for name in ("tracks", "genres", "echonest")
)
LISTED = 1000  # ids that are listed one by one


def feature_file(descriptor: str) -> str:
    """Name of the matrix of a descriptor; of the ids with ``"ids"``."""
    return f"features-{descriptor}.npy"


def tracks_file(subset: str) -> str:
    """Name of the table of what a subset adds."""
    return f"tracks-{subset}.parquet"


def write_index(
    place: Path, sources: Mapping[str, Sheet], reading: Callable[[str], None]
) -> dict[str, Any]:
    """Write all files of an index but its manifest.

    Parameters
    ----------
    place : Path
        Folder of the index.
    sources : mapping of str to Sheet
        CSVs by name.
    reading : callable
        Told the name of each CSV before it is read.

    Returns
    -------
    dict
        What the manifest says about them.

    Raises
    ------
    DataError
        If a CSV cannot be read, or is not FMA's.
    """
    reading("genres.csv")
    genres = read_genres(sources["genres.csv"])
    write_parquet(
        place / "genres.parquet",
        {
            "genre_id": [genre.genre_id for genre in genres.genres.values()],
            "title": [genre.title for genre in genres.genres.values()],
            "parent": [genre.parent for genre in genres.genres.values()],
            "top_level": [genre.top_level for genre in genres.genres.values()],
            "n_tracks": [genre.n_tracks for genre in genres.genres.values()],
        },
        schema=GENRES_SCHEMA,
    )
    reading("tracks.csv")
    columns, unmatched = read_tracks(sources["tracks.csv"], genres)
    ids = columns["track_id"].to_numpy()
    rank = np.array([RANKS[subset] for subset in columns["subset"].to_pylist()], np.int64)
    for subset in RANKS:
        rows = np.flatnonzero(rank == RANKS[subset])
        rows = rows[np.argsort(ids[rows], kind="stable")]
        part = {name: column.take(rows) for name, column in columns.items()}
        write_parquet(place / tracks_file(subset), part, schema=TRACKS_SCHEMA)
    counts = {name: int((rank <= RANKS[name]).sum()) for name in RANKS}
    content: dict[str, Any] = {
        "counts": {**counts, "full": len(ids), "genres": len(genres)},
        "columns": list(columns),
        "feature_rows": {},
        "descriptors": [],
        "unmatched": unmatched,
    }
    del columns
    if "features.csv" in sources:
        reading("features.csv")
        content |= _write_features(place, sources["features.csv"], ids, rank, unmatched)
        content["counts"]["with features"] = content["feature_rows"]["full"]
    if "echonest.csv" in sources:
        reading("echonest.csv")
        table = _echonest(sources["echonest.csv"])
        _compare(unmatched, "echonest.csv", table["track_id"].to_numpy(), ids, both=False)
        parts = {name: table[name].combine_chunks() for name in table.column_names}
        write_parquet(place / "echonest.parquet", parts, schema=ECHONEST_SCHEMA)
        content["counts"]["with Echonest features"] = table.num_rows
    return content


def _write_features(
    place: Path,
    source: Sheet,
    ids: NDArray[np.int64],
    rank: NDArray[np.int64],
    unmatched: list[dict[str, Any]],
) -> dict[str, Any]:
    import pyarrow as pa

    names = read_names(source.path, levels=3)
    known = [d for d in SIZES if any(name[0] == d for name in names)]
    wanted = [column for column in COLUMNS if column[0] in known]
    lost = [column for column in wanted if column not in names]
    strange = [name for name in names if name not in COLUMNS]
    if lost or strange or not known:
        first = "_".join((lost or strange or names)[0])
        raise DataError(
            f"{source.path}: its three rows of names are not those of FMA's features.csv (first: "
            f"{first} is {'missing' if lost else 'unknown'}); fetch it again"
        )
    numbers = {"_".join(name): pa.float32() for name in names}
    table = read_table(source, levels=3, numbers=numbers)
    found = table["track_id"].to_numpy()
    _compare(unmatched, "features.csv", found, ids, both=True)
    order = np.argsort(ids)
    row = np.searchsorted(ids, found, sorter=order).clip(max=len(ids) - 1)
    of_track = np.where(ids[order[row]] == found, rank[order[row]], len(RANKS))  # strangers last
    rows = np.lexsort((found, of_track))
    rows = rows[of_track[rows] < len(RANKS)]
    write_values(place / feature_file("ids"), found[rows])
    for descriptor in known:
        parts = [c for c in COLUMNS if c[0] == descriptor]
        matrix = np.empty((len(rows), len(parts)), np.float32)
        for i, part in enumerate(parts):
            matrix[:, i] = table["_".join(part)].to_numpy()[rows]
        write_values(place / feature_file(descriptor), matrix)
    n = {name: int((of_track <= RANKS[name]).sum()) for name in RANKS}
    return {"descriptors": known, "feature_rows": {**n, "full": len(rows)}}


def _echonest(source: Sheet) -> pa.Table:
    import pyarrow as pa

    names = ["_".join(name) for name in read_names(source.path, levels=3)]
    # The names of bands and places are text, what was heard and how well it is known are numbers.
    numbers = {name: pa.float32() for name in names if not name.startswith("echonest_metadata_")}
    return read_table(source, levels=3, numbers=numbers)


def _compare(
    unmatched: list[dict[str, Any]],
    name: str,
    found: NDArray[np.int64],
    ids: NDArray[np.int64],
    *,
    both: bool,
) -> None:
    pairs = [(np.setdiff1d(found, ids), f"tracks of {name} are not in tracks.csv, and left out")]
    if both:
        pairs.append((np.setdiff1d(ids, found), f"tracks are not in {name}"))
    for odd, what in pairs:
        if odd.size:
            told = f"{what} (first: {first_few(odd)})"
            listed = odd[:LISTED].tolist()
            unmatched.append({"what": told, "n": int(odd.size), "track_ids": listed})


SCHEMA = "matt.fma.index/1"
MANIFEST = "index.json"
_KEYS = {
    *("metadata", "simulated", "sources", "files"),
    *("counts", "columns", "unmatched", "descriptors", "feature_rows"),
}
REQUIRED, OPTIONAL = ("tracks.csv", "genres.csv"), ("features.csv", "echonest.csv")

Progress = Callable[[str, int, int], None]
"""Told what is being done, and of how many steps how many are done."""


@dataclass(frozen=True)
class Index:
    """An index that is whole and fits its sources.

    Attributes
    ----------
    root : Path
        Folder that holds FMA's folders and the index.
    manifest : dict
        Content of ``index.json``.
    fresh : bool
        Whether it was made just now.
    """

    root: Path
    manifest: Mapping[str, Any]
    fresh: bool = False

    @property
    def path(self) -> Path:
        """Folder of the index."""
        return self.root / INDEX

    @property
    def simulated(self) -> bool:
        """Whether it is not FMA, but made up by `simulate`."""
        return bool(self.manifest["simulated"])

    @property
    def counts(self) -> dict[str, int]:
        """Tracks of each subset, genres, and tracks with features."""
        return dict(self.manifest["counts"])

    @property
    def notes(self) -> tuple[str, ...]:
        """What does not fit between the CSVs, with counts."""
        return tuple(f"{entry['n']} {entry['what']}" for entry in self.manifest["unmatched"])

    @property
    def unmatched(self) -> list[dict[str, Any]]:
        """The same as ``what``, ``n`` and the first ids."""
        return list(self.manifest["unmatched"])


def index(
    directory: Path | str,
    *,
    force: bool = False,
    progress: Progress = lambda step, done, total: None,
) -> Index:
    """Read FMA's CSVs once; where they have not changed since, only check that.

    Parameters
    ----------
    directory : path
        Folder that holds ``fma_metadata``.
    force : bool
        Make it again even if nothing has changed.

    Raises
    ------
    DataError
        If a CSV is missing, cut off, or is not FMA's; the message names file and line.
    """
    root = root_of(directory)
    folder = metadata_of(root)
    names = [*REQUIRED, *(name for name in OPTIONAL if (folder / name).is_file())]
    sources, steps = {}, 2 * len(names)
    for i, name in enumerate(names):
        progress(f"looking at {name}", i, steps)
        sources[name] = survey(folder / name)
    stamps = {name: _stamp(source) for name, source in sources.items()}
    known = _manifest(root)
    if known is not None and not force and _hashes(known["sources"]) == _hashes(stamps):
        known = {**known, "sources": stamps}
        with suppress(OSError):  # in a folder that cannot be written, the stamps stay as they were
            write_json(root / INDEX / MANIFEST, known)
        return Index(root, known)
    try:
        place = root / INDEX
        place.mkdir(exist_ok=True)
        (place / MANIFEST).unlink(missing_ok=True)
        for left in (*place.glob("*.parquet"), *place.glob("*.npy")):  # also of a killed run
            left.unlink()
        content = write_index(
            place,
            sources,
            lambda name: progress(f"reading {name}", len(names) + names.index(name), steps),
        )
        files = {path.name: path.stat().st_size for path in sorted(place.iterdir())}
        manifest = {
            "schema": SCHEMA,
            "metadata": folder.relative_to(root).as_posix(),
            "simulated": (folder / SIMULATED).exists(),
            "sources": stamps,
            "files": files,
            **content,
        }
        write_json(place / MANIFEST, manifest)
    except OSError as error:
        raise DataError(
            f"{root / INDEX} cannot be written ({error.strerror or error}); make room there, or "
            "copy the tables to a folder of yours"
        ) from error
    progress("done", steps, steps)
    return Index(root, manifest, fresh=True)


def open_index(directory: Path | str) -> Index:
    """Open an index that was made before.

    Raises
    ------
    DataError
        If there is none, it is not whole, or a CSV has changed since.
    """
    root = root_of(directory)
    remedy = f"run 'matt fma index {root}'"
    if not (root / INDEX / MANIFEST).exists():
        metadata_of(root)
        raise DataError(f"{root} has no index yet; {remedy}")
    manifest = _manifest(root)
    if manifest is None:
        raise DataError(f"the index of {root} is not whole, or of another version; {remedy} again")
    for name, stamp in manifest["sources"].items():
        path = root / manifest["metadata"] / name
        if not path.exists():  # the index holds all of it
            continue
        now = path.stat()
        if now.st_size == stamp["bytes"] and now.st_mtime_ns == stamp["mtime_ns"]:
            continue
        if now.st_size != stamp["bytes"] or survey(path).sha256 != stamp["sha256"]:
            raise DataError(f"{path} has changed since it was indexed; {remedy} again")
    return Index(root, manifest)


def _stamp(source: Sheet) -> dict[str, Any]:
    return {"bytes": source.n_bytes, "mtime_ns": source.mtime_ns, "sha256": source.sha256}


def _hashes(stamps: Mapping[str, Any]) -> dict[str, str]:
    return {name: stamp["sha256"] for name, stamp in stamps.items()}


def _manifest(root: Path) -> dict[str, Any] | None:
    """The manifest, if every file is there in its full size."""
    try:
        manifest: dict[str, Any] = read_json(root / INDEX / MANIFEST)
        if manifest["schema"] != SCHEMA or not manifest.keys() >= _KEYS:
            return None
        for name, size in manifest["files"].items():
            if (root / INDEX / name).stat().st_size != size:
                return None
    except (DataError, OSError, KeyError, TypeError, AttributeError):
        return None
    return manifest


BLOCK = 4096  # rows of features that are in memory twice
LONG = 500  # characters; numpy gives every text of a column the room of the longest


def indexed_tracks(opened: Index, subset: str, columns: list[str]) -> dict[str, Any]:
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


def indexed_genres(opened: Index) -> GenreTree:
    """The hierarchy of genres."""
    table, _ = read_parquet(opened.path / "genres.parquet", schema=GENRES_SCHEMA)
    return GenreTree.of(
        Genre(row["genre_id"], row["title"], row["parent"], row["top_level"], row["n_tracks"])
        for row in table.to_pylist()
    )


def indexed_features(
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
