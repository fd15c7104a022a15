"""Extraction at length: memory over 5,000 files, and two worker processes beside one.

Clips come from ``fma_clips/*.mp3`` in ``$MATT_SHARED_DATA``, by default ``../shared/data`` beside
the checkout; nothing is measured without them, as made-up audio compresses unlike music.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from matt import Tracks
from matt.features.extract import extract
from matt.features.spec import FeatureSpec
from matt.processes import Progress

from .paired import Claim

N_SHORT, N_CLIPS = 5_000, 128  # the clips make 16 blocks of 8, so two workers get as many each
SR, SECONDS = 22_050, 2.0
EVERY, WINDOW = 25, 500  # files between two looks at the memory, and between two lines about it
EARLY = 1_000  # files after which memory is to stay as it is
CLIPS = Path(os.environ.get("MATT_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
_numbers = count()


@cache
def folder() -> Path:
    """For files and stores."""
    _kept.append(tempfile.TemporaryDirectory(prefix="matt-bench-"))
    return Path(_kept[-1].name)


def table(paths: list[Path]) -> Tracks:
    """Tracks of files, ten an album."""
    ids = np.arange(len(paths))
    return Tracks(
        ids, np.zeros(len(ids), int), ("any",), album_id=ids // 10, path=list(map(str, paths))
    )


@cache
def short_files() -> Tracks:
    """Generated audio: noise under a tone, every fifth file an MP3."""
    rng = np.random.default_rng(0)
    t = np.arange(int(SR * SECONDS)) / SR
    paths = []
    for number in range(N_SHORT):
        path = folder() / f"{number}.{'wav' if number % 5 else 'mp3'}"
        tone = np.sin(2 * np.pi * rng.uniform(100, 2_000) * t)
        write(path, 0.3 * tone + 0.05 * rng.standard_normal(len(t)))
        paths.append(path)
    return table(paths)


@cache
def clips() -> Tracks:
    """Real clips, each beginning elsewhere and joined to its start, encoded again as MP3."""
    sources = sorted((CLIPS / "fma_clips").glob("*.mp3"))
    paths = []
    for number in range(N_CLIPS):
        y, sr = soundfile.read(sources[number % len(sources)], dtype="float32")
        path = folder() / f"clip-{number}.mp3"
        write(path, np.roll(y, -number * sr // 5, axis=0), sr)
        paths.append(path)
    return table(paths)


def write(path: Path, y: NDArray[np.floating], sr: int = SR) -> None:
    """Write WAV or MP3, by the suffix."""
    soundfile.write(path, np.asarray(y, np.float32), sr, format=path.suffix[1:].upper())


def run(tracks: Tracks, *, workers: int, tell: Callable[[Progress], None] | None = None) -> None:
    """Extract the 518 columns into a new store."""
    store = folder() / f"store-{next(_numbers)}"
    found = extract(tracks, FeatureSpec.summary(), store, workers=workers, progress=tell)
    assert found.extracted == found.total, found.failures


def seconds(workers: int) -> float:
    """Time from the first of the real clips that is finished to the last.

    What comes before is the start of the processes, which a collection of music does not notice;
    the claim of `pool` about one clip is about that.
    """
    times: list[float] = []

    def tell(progress: Progress) -> None:
        if progress.stage == "extracting" and progress.done:
            times.append(time.perf_counter())

    run(clips(), workers=workers, tell=tell)
    return times[-1] - times[0]


def one_and_two() -> tuple[float, float]:
    """Seconds of two workers, and of one."""
    return seconds(2), seconds(1)


def resident(pid: int) -> float:
    """MB of memory that a process holds now; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


def children(pid: int) -> list[int]:
    """Processes that a process started and that run, and theirs."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in thread.read_text().split()]
        except OSError:  # the thread has ended
            continue
    return found + [later for child in found for later in children(child)]


class Memory:
    """Watches memory over a run: a row of files done, parent and children in MB."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, float]] = []

    def __call__(self, progress: Progress) -> None:
        """Look, and print the medians of every window."""
        done = progress.done
        if progress.stage != "extracting" or done % EVERY or not done or self.seen(done):
            return
        me = os.getpid()
        self.rows.append((done, resident(me), sum(resident(child) for child in children(me))))
        if done % WINDOW == 0:
            own, theirs = (statistics.median(column) for column in self.until(done))
            print(f"  {done:5} files: parent {own:.0f} MB, children {theirs:.0f} MB", flush=True)

    def seen(self, done: int) -> bool:
        """Whether this number of files was looked at."""
        return bool(self.rows) and self.rows[-1][0] >= done

    def until(self, done: int) -> tuple[list[float], list[float]]:
        """Memory of the parent and of the children in the window that ends there."""
        chosen = [row for row in self.rows if done - WINDOW < row[0] <= done]
        return [own for _, own, _ in chosen], [theirs for _, _, theirs in chosen]

    def total(self, done: int) -> float:
        """Median of what all processes held in the window that ends there."""
        return statistics.median(map(sum, zip(*self.until(done), strict=True)))


def flatness() -> tuple[float, float]:
    """Memory in MB at the end of the run, and early in it."""
    memory = Memory()
    run(short_files(), workers=2, tell=memory)
    return memory.total(N_SHORT), memory.total(EARLY)


def claims() -> list[Claim]:
    """Memory stays as it is; two workers do nearly twice as much as one."""
    found = []
    if Path("/proc/self/status").exists():
        found.append(
            Claim(
                claim=f"memory of all processes at {N_SHORT:,} files, 518 features, 2 workers",
                peer=f"the same run at {EARLY:,} files",
                goal=0.9,
                pair=flatness,
                unit="MB",
                runs=1,
                facts={"n": N_SHORT, "data": f"made-up files of {SECONDS:g} s"},
            )
        )
    else:
        print("skipped: memory over many files, as this system has no /proc")
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not any((CLIPS / "fma_clips").glob("*.mp3")):
        print(f"skipped: two workers beside one, as there are no clips in {CLIPS / 'fma_clips'}")
    elif (n_cores or 1) < 2:
        print("skipped: two workers beside one, as there is one core")
    else:
        found.append(
            Claim(
                claim=f"518 features of {N_CLIPS} MP3 clips of 30 s, 2 workers, from the first on",
                peer="1 worker",
                goal=1.9,
                pair=one_and_two,
                runs=5,
                n_items=N_CLIPS - 1,
                facts={"n": N_CLIPS, "data": "fma_clips, cut elsewhere and encoded again"},
            )
        )
    return found
