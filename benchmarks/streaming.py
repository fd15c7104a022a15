"""Memory of training that is streamed from a store: it grows with the tables of tracks alone.

Features are made up: 518 columns a track, in a store on disk, in a temporary folder. A fresh
process trains the single network for an epoch, with a tenth of the tracks for validation, and
predicts another tenth. Its memory is what is its own, looked at every few milliseconds: pages of
the mapped store are the system's, which takes them back when it needs them. Values that take less
than 1 GB would be read into memory; here none are, however few.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from matt import Bags, FeatureSpec, FeatureStore, Tracks
from matt.features.blocks import ROWS, create, write_block

from .paired import Claim

N_FEW, N_MANY, N_MOST = 25_000, 250_000, 1_000_000
N_COLUMNS, BLOCK = 518, 10_000
GENRES = tuple(f"genre {number}" for number in range(16))
MOST_MB = 1_000.0
EVERY = 0.004  # seconds between two looks
STATUS = "/proc/{}/status"
_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def store(n: int) -> Path:
    """Folder of made-up features."""
    _kept.append(tempfile.TemporaryDirectory(prefix="matt-bench-"))
    path = create(Path(_kept[-1].name) / "store", FeatureSpec.embedding("made up", (N_COLUMNS,)))
    rng = np.random.default_rng(0)
    for number, first in enumerate(range(0, n, BLOCK)):
        ids = np.arange(first, min(n, first + BLOCK))
        values = rng.standard_normal((len(ids), N_COLUMNS), dtype=np.float32)
        columns = (ids, ids - first, np.ones_like(ids), ["ok"] * len(ids), [""] * len(ids))
        write_block(path, 0, number, values, dict(zip(ROWS, columns, strict=True)))
    return path


def bags_of(n: int) -> tuple[Tracks, dict[str, Bags]]:
    """Tracks on about four albums of each of their artists, and the bags of each split."""
    rng = np.random.default_rng(0)
    artist = rng.integers(0, n // 15, n)
    names = np.array(["validation", "test", *["training"] * 8])
    tracks = Tracks(
        np.arange(n),
        artist % len(GENRES),
        GENRES,
        artist_id=artist,
        album_id=4 * artist + rng.integers(0, 4, n),
        split=names[artist % 10],
    )
    splits = np.unique(names).tolist()
    return tracks, {s: Bags.from_tracks(tracks.take(tracks.split == s)) for s in splits}


def train(path: Path, n: int, told: Connection) -> None:
    """Train and predict, in a process of its own, which says when it begins and ends."""
    from matt.models import reading
    from matt.models.neural import NeuralClassifier
    from matt.models.settings import TrainingSettings

    # Whoever opens a store says from which size on it is mapped; a training does not say so.
    reading.Reader.open = partial(reading.Reader.open, max_bytes=0)  # type: ignore[method-assign]
    tracks, bags = bags_of(n)
    features = FeatureStore.open(path, in_memory=0)
    told.send("tables")
    model = NeuralClassifier(training=TrainingSettings(epochs=1))
    model.fit(features, bags["training"], valid=bags["validation"])
    model.predict(features, tracks, bags["test"])
    told.send("end")


def own(pid: int) -> float:
    """MB of memory of a process that are no pages of files."""
    lines = Path(STATUS.format(pid)).read_text().splitlines()
    kinds = ("RssAnon:", "RssShmem:")
    return sum(int(line.split()[1]) for line in lines if line.startswith(kinds)) * 1024 / 1e6


def memory(n: int) -> tuple[float, float]:
    """MB that a process holds before it trains, and its peak."""
    path = store(n)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=train, args=(path, n, sender))
    process.start()
    sender.close()
    before = peak = 0.0
    while True:
        peak = max(peak, own(process.pid or 0))
        if receiver.poll(EVERY):
            if receiver.recv() == "end":
                break
            before = own(process.pid or 0)
    process.join()
    return before, peak


def whole(n: int) -> float:
    """Peak of a process."""
    return memory(n)[1]


def added(n: int) -> float:
    """What training and prediction take, beside all that was there before."""
    before, peak = memory(n)
    return peak - before


def claims() -> list[Claim]:
    """Ten times the tracks; and a million."""
    status = Path(STATUS.format("self"))
    if not (status.exists() and "RssAnon:" in status.read_text()):
        print("skipped: memory of streamed training, as this system does not tell it apart")
        return []
    what = f"x {N_COLUMNS} features streamed from a store"
    facts = {"data": "made up"}
    return [
        Claim(
            claim=f"memory that training takes beside the tables, {N_MANY:,} {what}",
            peer=f"the same training of {N_FEW:,}",
            goal=0.9,
            pair=lambda: (added(N_MANY), added(N_FEW)),
            unit="MB",
            runs=3,
            facts={"n": N_MANY, **facts},
        ),
        Claim(
            claim=f"memory of a process that trains, {N_MANY:,} {what}",
            peer=f"the same training of {N_FEW:,}",
            goal=0.75,
            pair=lambda: (whole(N_MANY), whole(N_FEW)),
            unit="MB",
            runs=3,
            facts={"n": N_MANY, **facts},
        ),
        Claim(
            claim=f"memory of a process that trains, {N_MOST:,} {what}",
            peer="1 GB",
            goal=1.0,
            pair=lambda: (whole(N_MOST), MOST_MB),
            unit="MB",
            runs=1,
            facts={"n": N_MOST, **facts},
        ),
    ]
