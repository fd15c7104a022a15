"""Grouping tracks into bags."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from matt import Bags, Tracks

from .paired import Claim

GENRES = tuple(f"genre {number}" for number in range(16))


@cache
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


def made(*sizes: int) -> None:
    """Make catalogues, unless they are there."""
    for n in sizes:
        catalogue(n)


def bags(n: int, times: int = 1) -> None:
    """Make the bags of the same tracks, several times."""
    for _ in range(times):
        Bags.from_tracks(catalogue(n))


def by_pandas(n: int) -> Any:
    """The same groups and majority labels with pandas, ties left as they fall."""
    import pandas as pd

    tracks = catalogue(n)
    table = pd.DataFrame(
        {"artist": tracks.artist_id, "album": tracks.album_id, "label": tracks.labels}
    )
    group = table.groupby(["album", "artist"], sort=False).ngroup()
    known = table["label"] >= 0
    votes = pd.DataFrame({"group": group[known], "label": table["label"][known]}).value_counts()
    return group.argsort(), votes.reset_index().drop_duplicates("group")


def claims() -> list[Claim]:
    """A million tracks beside pandas; and that ten times the tracks cost ten times as much."""
    small, middle, large = 10_000, 100_000, 1_000_000
    linear = [
        Claim(
            claim=f"Bags.from_tracks of {more:,} tracks: cost a track as at {fewer:,}",
            peer=f"ten times Bags.from_tracks of {fewer:,} tracks",
            goal=0.5,  # a million no longer fits the caches
            ours=partial(bags, more),
            theirs=partial(bags, fewer, 10),
            before=partial(made, fewer, more),
            facts={"n": more},
        )
        for fewer, more in ((small, middle), (middle, large))
    ]
    beside = Claim(
        claim=f"Bags.from_tracks of {large:,} tracks",
        peer="pandas groupby and value_counts",
        goal=0.9,
        ours=partial(bags, large),
        theirs=partial(by_pandas, large),
        before=partial(made, large),
        facts={"n": large},
    )
    return [*linear, beside]
