"""Make src/matt/datasets/embedded/fma_mfcc.parquet from FMA's metadata.

    python tools/embed_fma_mfcc.py FMA_MFCC_2000.csv.gz FMA_MEDIUM_TRACKS.csv.gz

The first file holds MFCC statistics in the layout of FMA's features.csv, the second one row a track
with artist, title and genre.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from matt.datasets.embedded import FILE, SCHEMA
from matt.files import write_parquet


def main(features: str, table: str) -> None:
    """Join, drop what has no values or no artist, write."""
    mfcc = pd.read_csv(features, header=[0, 1, 2], index_col=0).dropna()
    tracks = pd.read_csv(table, index_col="track_id").dropna(subset="artist_id")
    tracks = tracks[tracks.index.isin(mfcc.index)].sort_index()
    genres = sorted(tracks["genre_top"].unique())
    out = Path(__file__).parents[1] / "src/matt/datasets/embedded" / FILE
    write_parquet(
        out,
        {
            "track_id": tracks.index.to_numpy(np.int64),
            "label": tracks["genre_top"].map(genres.index).to_numpy(np.int64),
            "artist_id": tracks["artist_id"].to_numpy(np.int64),
            "artist_run": tracks["artist_run"].to_numpy(np.int64),
            "artist": tracks["artist_name"].to_numpy(str),
            "title": tracks["title"].to_numpy(str),
            "mfcc": list(mfcc.loc[tracks.index].to_numpy(np.float32)),
        },
        schema=SCHEMA,
        genres=genres,
        source="FMA: A Dataset For Music Analysis (Defferrard et al., ISMIR 2017), CC BY 4.0",
    )
    sys.stdout.write(f"{len(tracks)} tracks, {genres}, {out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
