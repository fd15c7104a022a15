"""All cores, as each is shipped: our workers beside the process pool of FMA's script.

What both need to start, the loading of libraries above all, is left out: the clock runs from the
first clip that is done to the last. FMA's script runs one and a half processes a core.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import clips, soak
from .paired import Claim

N_PEER = 48  # clips: the peer takes long, and its cost is told a clip
_peer: Callable[[Path], Any]


def _load() -> None:
    global _peer
    _peer = clips.peer()


def _compute(path: str) -> None:
    _peer(Path(path))


def _seconds_a_clip(ends: list[float]) -> float:
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def by_pool() -> float:
    """Seconds a clip of the peer in a pool of processes."""
    ends = []
    n = int(1.5 * (os.cpu_count() or 1))
    with multiprocessing.get_context("spawn").Pool(n, initializer=_load) as pool:
        for _ in pool.imap_unordered(_compute, soak.clips().path[:N_PEER].tolist()):
            ends.append(time.perf_counter())
    return _seconds_a_clip(ends)


def by_workers() -> float:
    """Seconds a clip of ours, a worker a core."""
    return soak.seconds(os.cpu_count() or 1) / (soak.N_CLIPS - 1)


def claims() -> list[Claim]:
    """The 518 columns on all cores."""
    if not clips.paths():
        print("pool: skipped, ../shared/data/fma_clips is not beside this checkout")
        return []
    return [
        Claim(
            claim=f"518 features of {soak.N_CLIPS} MP3 clips of 30 s on {os.cpu_count()} cores, "
            "as shipped, once under way, a clip",
            peer=f"{clips.peers_name()} in a pool of processes",
            goal=10.0,
            pair=lambda: (by_workers(), by_pool()),
            runs=2,
            facts={
                "n": soak.N_CLIPS,
                "n_peer": N_PEER,
                "data": "FMA clips, cut elsewhere and encoded again",
            },
        )
    ]
