"""Files of the index, and how they come from the CSVs.

- ``tracks-small.parquet``, ``-medium``, ``-large``: what each subset adds to the one before, in the
  order of the ids. FMA-medium is the first two; one row a track, one flat name a column;
- ``features-mfcc.npy`` and so on: one float32 matrix a descriptor, and ``features-ids.npy``. Rows
  are in the order small, medium, large, so that a subset is one piece of the file;
- ``genres.parquet``, ``echonest.parquet``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, first_few
from ...features.blocks import write_values
from ...features.kernels.frames import COLUMNS, SIZES
from ...files import write_parquet
from .tables import Source, read_names, read_table
from .track_columns import RANKS, read_genres, read_tracks

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
    place: Path, sources: Mapping[str, Source], reading: Callable[[str], None]
) -> dict[str, Any]:
    """Write all files of an index but its manifest.

    Parameters
    ----------
    place : Path
        Folder of the index.
    sources : mapping of str to Source
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
    source: Source,
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


def _echonest(source: Source) -> pa.Table:
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
