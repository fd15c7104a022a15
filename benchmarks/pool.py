"""All cores, as each is shipped, beside FMA's script: once under way, and how long that takes.

On all cores the clock runs from the first clip that is done to the last; FMA's script runs one and
a half processes a core. What both need to start, the loading of libraries above all, is a claim of
its own: one clip, from the command to its features, ours in a store, theirs in a process that
loads no more than the script does.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
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


@cache
def _one_clip() -> Path:
    """For a folder with one clip, and what comes of it."""
    folder = soak.folder() / "one"
    (folder / "music").mkdir(parents=True)
    shutil.copy(clips.paths()[0], folder / "music")
    return folder


def _forget() -> None:
    for name in ("store", "cache"):
        shutil.rmtree(_one_clip() / name, ignore_errors=True)


def _ours_of_one() -> None:
    folder = _one_clip()
    words = ("-m", "matt", "extract", str(folder / "music"), "--store", str(folder / "store"))
    _run(*words, MATT_CACHE=str(folder / "cache"))


def _theirs_of_one() -> None:
    code = "import sys; from pathlib import Path; from benchmarks import clips; "
    _run("-c", f"{code} clips.peer()(Path(sys.argv[1]))", str(clips.paths()[0]))


def _run(*words: str, **variables: str) -> None:
    subprocess.run(
        [sys.executable, *words],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, **variables},
    )


def claims() -> list[Claim]:
    """The 518 columns on all cores, and of one clip by a command."""
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
        ),
        Claim(
            claim="518 features of one MP3 clip of 30 s, from the command to the store",
            peer=f"{clips.peers_name()}, from the start of its process to the features",
            goal=1.5,
            before=_forget,
            ours=_ours_of_one,
            theirs=_theirs_of_one,
        ),
    ]
