"""Real data inside the package: 2,000 tracks of the Free Music Archive, so that a demo needs no
download.

140 MFCC statistics (the layout of FMA's features.csv) of 1,985 tracks with a known artist, half of
them Rock and half Hip-Hop, less ten without values. FMA has no album ids for them here;
``artist_run`` (tracks of one artist with neighbouring ids) stands in for the album.

Source: Defferrard, Benzi, Vandergheynst, Bresson, "FMA: A Dataset For Music Analysis", ISMIR 2017;
metadata and features under CC BY 4.0. ``README.md`` beside this file says what was changed.
"""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np

from ...features.store import FeatureStore
from ...files import as_array, read_parquet
from ...tracks import Tracks

SCHEMA = "matt.embedded/1"
FILE = "fma_mfcc.parquet"


def fma_mfcc() -> tuple[Tracks, FeatureStore]:
    """Load the embedded tracks and their features.

    Returns
    -------
    tracks : Tracks
        Genres Hip-Hop and Rock, no splits; ``columns["artist_run"]`` for `Bags.from_tracks`.
    features : FeatureStore
        Float32, shape (140,).

    Examples
    --------
    >>> tracks, features = fma_mfcc()
    >>> tracks.genres, features.spec.shape
    (('Hip-Hop', 'Rock'), (140,))
    """
    with as_file(files(__name__) / FILE) as path:
        table, meta = read_parquet(path, schema=SCHEMA)
    columns = {name: as_array(table[name]) for name in table.column_names}
    values = columns.pop("mfcc").astype(np.float32)
    genres = tuple(meta["genres"])
    tracks = Tracks(
        columns.pop("track_id"),
        columns.pop("label"),
        genres,
        artist_id=columns.pop("artist_id"),
        columns=columns,
    )
    return tracks, FeatureStore.from_arrays("fma-mfcc", tracks.track_id, values)
