"""Loading FMA's tables: from the index, and as FMA's own loader reads the CSV files.

The tables are simulated at full size (106,574 tracks), because the real ones cannot be shipped;
they are written once to ``$MATT_BENCH_DIR``, by default a folder of the system's temporary files.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from matt.datasets import fma

from .paired import Claim

N_TRACKS = 106_574


def tree() -> Path:
    """The simulated tree with its index, made when it is missing."""
    root = Path(os.environ.get("MATT_BENCH_DIR", tempfile.gettempdir())) / "matt-bench-fma"
    if not (root / "matt-index" / "index.json").exists():
        from matt.datasets.fma.simulate import write_tree

        write_tree(root, n_tracks=N_TRACKS, seed=0)
        fma.index(root)
    return root


def from_index() -> Any:
    """Tracks of medium and all 518 features of them."""
    root = tree()
    tracks = fma.load_tracks(root, subset="medium")
    features = fma.load_features(root, "1-9", subset="medium")
    return features.read(tracks.track_id[:1])


# Columns that FMA's loader parses further: texts of Python lists, dates, and categories.
LISTS = [("track", "tags"), ("album", "tags"), ("artist", "tags")]
LISTS += [("track", "genres"), ("track", "genres_all")]
DATES = [("track", "date_created"), ("track", "date_recorded"), ("album", "date_created")]
DATES += [("album", "date_released"), ("artist", "date_created")]
CATEGORIES = [("track", "genre_top"), ("track", "license"), ("album", "type")]
CATEGORIES += [("album", "information"), ("artist", "bio")]


def by_pandas() -> Any:
    """The same, read from the CSV files and parsed as FMA's loader does, then filtered."""
    import ast

    import pandas as pd

    metadata = tree() / "fma_metadata"
    tracks = pd.read_csv(metadata / "tracks.csv", index_col=0, header=[0, 1])
    for column in LISTS:
        tracks[column] = tracks[column].map(ast.literal_eval, na_action="ignore")
    for column in DATES:
        tracks[column] = pd.to_datetime(tracks[column])
    for column in CATEGORIES:
        tracks[column] = tracks[column].astype("category")
    features = pd.read_csv(metadata / "features.csv", index_col=0, header=[0, 1, 2])
    medium = tracks[tracks["set", "subset"].isin(["small", "medium"])]
    return medium, features.loc[medium.index]


def claims() -> list[Claim]:
    """Time and memory of medium's tracks and "1-9" out of 106,574 tracks."""
    facts = {"n": N_TRACKS, "data": "simulated"}
    what = f'FMA-medium tracks and "1-9" of {N_TRACKS:,} simulated tracks'
    work = {"ours": from_index, "theirs": by_pandas, "before": tree}
    peer = "pandas.read_csv of tracks.csv and features.csv"
    return [
        Claim(claim=f"time to load {what}", peer=peer, goal=20, runs=3, facts=facts, **work),
        Claim(
            claim=f"peak memory to load {what}",
            peer=peer,
            goal=5,
            runs=2,
            memory=True,
            facts=facts,
            **work,
        ),
    ]
