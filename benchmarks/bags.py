"""Grouping tracks into bags."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from matt import Bags, Tracks

from .paired import Claim

GENRES = tuple(f"genre {number}" for number in range(16))


def catalogue(n: int) -> Tracks:
    """Tracks of a made-up catalogue: four albums an artist, four tracks an album."""
    rng = np.random.default_rng(0)
    artist = rng.integers(0, n // 15, n)
    return Tracks(
        np.arange(n),
        rng.integers(-1, 16, n),
        GENRES,
        artist_id=artist,
        album_id=4 * artist + rng.integers(0, 4, n),
        split=rng.choice(["training", "validation", "test"], n),
    )


def by_pandas(tracks: Tracks) -> Any:
    """The same groups and majority labels with pandas, ties left as they fall."""
    import pandas as pd

    table = pd.DataFrame(
        {"artist": tracks.artist_id, "album": tracks.album_id, "label": tracks.labels}
    )
    group = table.groupby(["album", "artist"], sort=False).ngroup()
    known = table["label"] >= 0
    votes = pd.DataFrame({"group": group[known], "label": table["label"][known]}).value_counts()
    return group.argsort(), votes.reset_index().drop_duplicates("group")


def repeatedly(tracks: Tracks, times: int) -> None:
    """Make the bags of the same tracks several times."""
    for _ in range(times):
        Bags.from_tracks(tracks)


def claims() -> list[Claim]:
    """A million tracks beside pandas; and that ten times the tracks cost ten times as much."""
    small, middle, large = (catalogue(n) for n in (10_000, 100_000, 1_000_000))
    linear = [
        Claim(
            claim=f"Bags.from_tracks of {len(more):,} tracks: cost a track as at {len(fewer):,}",
            peer=f"ten times Bags.from_tracks of {len(fewer):,} tracks",
            goal=0.5,  # a million no longer fits the caches
            ours=partial(Bags.from_tracks, more),
            theirs=partial(repeatedly, fewer, 10),
            facts={"n": len(more)},
        )
        for fewer, more in ((small, middle), (middle, large))
    ]
    beside = Claim(
        claim=f"Bags.from_tracks of {len(large):,} tracks",
        peer="pandas groupby and value_counts",
        goal=0.9,
        ours=partial(Bags.from_tracks, large),
        theirs=partial(by_pandas, large),
        facts={"n": len(large)},
    )
    return [*linear, beside]
