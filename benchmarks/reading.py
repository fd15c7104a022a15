"""Reading bags of log-mels from a store, beside a contiguous HDF5 data set read by h5py.

Both hold the same 4,000 made-up tracks of (96, 1360) float16 values in the same order, a gigabyte
each, in temporary files. Both are read run by run into the same buffer, as 160 bags of 5 tracks at
a time: in the order in which the tracks lie, and with the bags shuffled.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matt import FeatureStore
from matt.features.blocks import ROWS, create, write_block
from matt.features.spec import FeatureSpec

from .paired import Claim

if TYPE_CHECKING:
    import torch

N_TRACKS, BAG, BATCH, BLOCK = 4_000, 5, 800, 250
SHAPE = (96, 1360)
SMALL_BATCH, PRODUCT = 100, 1_000  # of the made-up training: tracks, rows of its matrices
Batches = list[NDArray[np.int64]]
_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def files() -> tuple[Path, Path]:
    """A store and an HDF5 file of the same values, both read once since they were written."""
    import h5py

    _kept.append(tempfile.TemporaryDirectory(prefix="matt-bench-"))
    folder = Path(_kept[-1].name)
    store = create(folder / "store", FeatureSpec.embedding("made up", SHAPE, dtype="float16"))
    rng = np.random.default_rng(0)
    with h5py.File(folder / "contiguous.h5", "w") as file:
        data = file.create_dataset("values", (N_TRACKS, *SHAPE), np.float16)
        for number, first in enumerate(range(0, N_TRACKS, BLOCK)):
            values = rng.standard_normal((BLOCK, *SHAPE), dtype=np.float32).astype(np.float16)
            ids, ones = np.arange(first, first + BLOCK), np.ones(BLOCK, np.int64)
            columns = (ids, ids - first, ones, ["ok"] * BLOCK, [""] * BLOCK)
            write_block(store, 0, number, values, dict(zip(ROWS, columns, strict=True)))
            data[first : first + BLOCK] = values
    empty_cache((store, folder / "contiguous.h5"))
    for path in all_of((store, folder / "contiguous.h5")):
        path.read_bytes()  # how a file came into the page cache decides how fast it leaves it
    return store, folder / "contiguous.h5"


def all_of(paths: tuple[Path, ...]) -> list[Path]:
    """Files, and the files of folders."""
    return [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]


def empty_cache(paths: tuple[Path, ...]) -> None:
    """Have the system forget what it holds of files."""
    for path in all_of(paths):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def batches(order: str, size: int = BATCH) -> Batches:
    """Tracks of the batches of one epoch."""
    bags = np.arange(N_TRACKS).reshape(-1, BAG)
    if order == "random":
        np.random.default_rng(0).shuffle(bags)
    return np.split(bags.ravel(), N_TRACKS // size)


@cache
def buffer() -> NDArray[np.float16]:
    """Memory of a tensor of one batch; touched once, so that it is there."""
    import torch

    values: NDArray[np.float16] = torch.zeros((BATCH, *SHAPE), dtype=torch.float16).numpy()
    return values


@cache
def store() -> FeatureStore:
    """Our store, opened and mapped."""
    return FeatureStore.open(files()[0], in_memory=0)


@cache
def data_set() -> Any:
    """The peer's, opened."""
    import h5py

    return h5py.File(files()[1], "r")["values"].id


def ours(parts: Batches, epochs: int) -> None:
    """Read from the store."""
    for _ in range(epochs):
        for ids in parts:
            store().read(ids, out=buffer())


def by_h5py(parts: Batches, epochs: int) -> None:
    """Read each run of rows with one call of the low-level interface, its quickest for this."""
    import h5py

    data, out = data_set(), buffer()
    for _ in range(epochs):
        for rows in parts:
            whole = data.get_space()
            starts = np.concatenate([[0], np.flatnonzero(np.diff(rows) != 1) + 1, [len(rows)]])
            for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
                count = (end - begin, *SHAPE)
                whole.select_hyperslab((int(rows[begin]), 0, 0), count)
                data.read(h5py.h5s.create_simple(count), whole, out[begin:end])


def forget() -> None:
    """Empty the cache of both; what is mapped would stay, so the store is opened anew."""
    from matt.features import blocks

    blocks._map.cache_clear()
    empty_cache(files())


@cache
def weights() -> torch.Tensor:
    """A matrix for the made-up training step."""
    import torch

    return torch.ones(PRODUCT, PRODUCT)


def step(values: torch.Tensor) -> torch.Tensor:
    """What stands for training: a product of matrices, about as long as reading from disk takes."""
    import torch

    x = values.ravel()[: PRODUCT * PRODUCT].float().reshape(PRODUCT, PRODUCT)
    return torch.tanh(x @ weights())


def on_one_core(epoch: Callable[[], None]) -> None:
    """Leave the other core to the reading thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        epoch()
    finally:
        torch.set_num_threads(threads)


def ahead() -> None:
    """An epoch while a thread reads the next batch."""
    import torch

    from matt.models.reading import Reader

    ids = np.arange(N_TRACKS)
    reader = Reader.open(store(), ids, torch.device("cpu"), max_bytes=0)
    for values, _ in reader.each(batches("random", SMALL_BATCH)):
        step(values)


def in_line() -> None:
    """An epoch that reads each batch when it needs it, into memory that is there."""
    import torch

    for ids in batches("random", SMALL_BATCH):
        values, _ = store().read(ids, out=buffer())
        step(torch.from_numpy(values))


def claims() -> list[Claim]:
    """Warm and cold, in plan order and with shuffled bags; and reading ahead."""
    facts = {"h5py": version("h5py"), "n": N_TRACKS, "data": "made up"}
    what = f"bags of {BAG} of {N_TRACKS:,} float16 log-mels {SHAPE}"
    found = [
        Claim(
            claim=f"reading {what}, {order} order, warm",
            peer="h5py, contiguous HDF5",
            goal=1.0,
            ours=partial(ours, batches(order), 4),
            theirs=partial(by_h5py, batches(order), 4),
            runs=9,
            n_items=4 * N_TRACKS,
            facts=facts,
        )
        for order in ("plan", "random")
    ]
    if not hasattr(os, "posix_fadvise"):
        print("skipped: reading from a cold cache, which this system cannot be asked to empty")
        return found
    found += [
        Claim(
            claim=f"reading {what}, {order} order, cold",
            peer="h5py, contiguous HDF5",
            goal=1.0,
            ours=partial(ours, batches(order), 1),
            theirs=partial(by_h5py, batches(order), 1),
            before=forget,
            runs=21,  # a disk takes now this long, now that
            n_items=N_TRACKS,
            facts=facts,
        )
        for order in ("plan", "random")
    ]
    found.append(
        Claim(
            claim=f"an epoch over {what}, random order, cold: a thread reads the next batch",
            peer="the same epoch, reading in line",
            goal=1.3,
            ours=partial(on_one_core, ahead),
            theirs=partial(on_one_core, in_line),
            before=forget,
            runs=9,
            n_items=N_TRACKS,
            facts=facts,
        )
    )
    return found
