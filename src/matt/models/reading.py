"""Segments as tensors: from memory where all fit, else from the store, one batch ahead.

A step holds as many as fit into the memory that it is to take. Vectors are small, and a step of
20,000 of them takes a few hundred megabytes; a log-mel of 96 x 1360 takes 80 MB through a CRNN
alone. The encoders tell how many numbers they keep. Values in memory go through the inputs of a
network once, not at every step of a training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..bags import gather
from ..features.store import FeatureStore
from .arrays import (
    N_QUANTILES,
    check_finite,
    moment_shape,
    most_held,
    parts_of,
    segment_counts,
)
from .encoders import Encoder
from .network import BagNetwork, Encoded
from .settings import TrainingSettings

BUDGET = 2_000_000_000  # bytes of a training step, in float32 on a CPU
MOST = 20_000


def settled(settings: TrainingSettings, network: BagNetwork) -> TrainingSettings:
    """Return the same settings with ``max_segments`` chosen where it is 0."""
    if settings.max_segments:
        return settings
    return replace(settings, max_segments=most_segments(settings, network))


def most_segments(settings: TrainingSettings, network: BagNetwork) -> int:
    """Segments that a step may hold: those of the settings, or as many as memory has room for."""
    if settings.max_segments:
        return settings.max_segments
    n_bytes = 4 * cast(Encoder, network.encoder).segment_floats
    return max(1, min(MOST, BUDGET // n_bytes))


def room_notes(settings: TrainingSettings, network: BagNetwork) -> tuple[str, ...]:
    """Say how many segments a step holds, where memory decided it."""
    most = most_segments(settings, network)
    if settings.max_segments or most == MOST:
        return ()
    size = f"a step holds at most {most} segments, which take about {BUDGET / 1e9:g} GB"
    return (f"{size}; max_segments sets another number",)


IN_MEMORY_BYTES = 2**30  # values below this are read once
_QUANTILE_BYTES = 2**28  # values that are ranked, at most
_COLUMN_BYTES = 2**25  # of them, sorted at once: the values of some features
_PART_BYTES = 2**21  # read at once when values are only looked at
_FLOAT32 = 4  # bytes


@dataclass(frozen=True, eq=False)
class Reader:
    """Values of tracks as tensors on a device, in the dtype of the store.

    Make one with `open`.

    Attributes
    ----------
    features : FeatureStore
    device : torch.device
    ids : int array, shape (n,)
        Tracks held in memory, sorted.
    offsets : int array, shape (n + 1,)
        Where each starts in ``memory``.
    memory : Tensor, shape (N, *feature_shape), or None
        Their values; None reads from the store.
    """

    features: FeatureStore
    device: torch.device
    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    memory: Tensor | None = None

    @classmethod
    def open(
        cls,
        features: FeatureStore,
        track_ids: NDArray[np.int64],
        device: torch.device,
        *,
        max_bytes: int = IN_MEMORY_BYTES,
    ) -> Reader:
        """Reader of some tracks, which are read now if they take less than ``max_bytes``.

        Raises
        ------
        DataError
            If a track has no features or no segment.
        """
        ids = np.unique(track_ids)
        counts = segment_counts(features, ids)
        if int(counts.sum()) * features.spec.n_bytes >= max_bytes:
            return cls(features, device, ids, np.concatenate([[0], np.cumsum(counts)]))
        values, offsets = read_tensor(features, ids)
        return cls(features, device, ids, offsets, values.to(device))

    def read(self, track_ids: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
        """Values (N, *feature_shape) of tracks, in that order, and their offsets (n + 1,)."""
        if self.memory is None:
            values, offsets = read_tensor(self.features, track_ids)
            return values.to(self.device), offsets
        rows, offsets = gather(self.offsets, np.searchsorted(self.ids, track_ids))
        # Not memory[rows], which takes four times as long on a CPU.
        return self.memory.index_select(0, torch.from_numpy(rows).to(self.device)), offsets

    def each(
        self, parts: Sequence[NDArray[np.int64]]
    ) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        """Yield `read` of each part; from the store, one thread reads the next one meanwhile.

        What is yielded then holds only until the next is asked for: two tensors are filled in turn,
        as a new one for every part would take several times as long to fill, page by page.
        """
        if self.memory is not None:
            yield from map(self.read, parts)
            return
        most = max((int(self.features.counts(part).sum()) for part in parts), default=0)
        buffers = [_empty(self.features, most) for _ in parts[:2]]
        with ThreadPoolExecutor(1) as thread:
            ahead = [thread.submit(self._fill, buffers[0], part) for part in parts[:1]]
            for number, part in enumerate([*parts[1:], None], start=1):
                if not ahead:
                    return
                ready = ahead.pop().result()
                if part is not None:
                    ahead.append(thread.submit(self._fill, buffers[number % 2], part))
                yield ready

    def _fill(
        self, buffer: Tensor, track_ids: NDArray[np.int64]
    ) -> tuple[Tensor, NDArray[np.int64]]:
        _, offsets = self.features.read(track_ids, out=buffer.numpy())
        return buffer[: int(offsets[-1])].to(self.device), offsets


def read_tensor(
    features: FeatureStore, track_ids: NDArray[np.int64]
) -> tuple[Tensor, NDArray[np.int64]]:
    """Values of tracks, read straight into the memory of a new tensor, and their offsets."""
    values = _empty(features, int(features.counts(track_ids).sum()))
    _, offsets = features.read(track_ids, out=values.numpy())
    return values, offsets


def _empty(features: FeatureStore, n_segments: int) -> Tensor:
    dtype = torch.float16 if features.spec.dtype == "float16" else torch.float32
    return torch.empty((n_segments, *features.spec.shape), dtype=dtype)


def log_counts(offsets: NDArray[np.int64], device: torch.device) -> Tensor:
    """Log of the number of segments of each segment's track: (n + 1,) -> (N,)."""
    sizes = np.diff(offsets)
    return torch.from_numpy(np.log(np.repeat(sizes, sizes)).astype(np.float32)).to(device)


@torch.no_grad()
def encode(
    network: BagNetwork,
    reader: Reader,
    track_ids: NDArray[np.int64],
    *,
    max_segments: int,
    embeddings: bool = False,
) -> tuple[Encoded, NDArray[np.int64]]:
    """All segments of tracks, read and encoded in chunks.

    The network is set to evaluation; no gradient is kept. `BagNetwork.pool` makes bags of any size
    from the result, the same as if they had been encoded at once. Embeddings are kept on request.
    `encode_bags` does not hold all of them.

    Returns
    -------
    encoded : Encoded
    offsets : int array, shape (n + 1,)
        Where each track starts.
    """
    every = [slice(0, len(track_ids))]
    (encoded,) = _encode(network, reader, track_ids, every, max_segments, embeddings)
    counts = reader.features.counts(track_ids)
    return encoded, np.concatenate([[0], np.cumsum(counts)])


@torch.no_grad()
def encode_bags(
    network: BagNetwork,
    reader: Reader,
    track_ids: NDArray[np.int64],
    offsets: NDArray[np.int64],
    *,
    max_segments: int,
    embeddings: bool = False,
) -> Iterator[tuple[Encoded, Tensor]]:
    """Yield what `encode` gives, of some whole bags at a time.

    Where the spread of bags is read, their inputs are as large as their features: so no more than
    2 MB of them are held, or those of one bag.

    Parameters
    ----------
    network, reader, track_ids, max_segments, embeddings
        As in `encode`.
    offsets : int array, shape (b + 1,)
        Where each bag starts among the tracks.

    Yields
    ------
    encoded : Encoded
    offsets : int Tensor
        Where each bag starts among the segments of ``encoded``, with their end.
    """
    most = most_held(reader.features.spec.shape, spread=network.spread is not None)
    counts = segment_counts(reader.features, track_ids)
    ends = np.concatenate([[0], np.cumsum(counts)])[offsets]
    groups = parts_of(np.diff(ends), most=most)
    tracks = [slice(offsets[group.start], offsets[group.stop]) for group in groups]
    each = _encode(network, reader, track_ids, tracks, min(max_segments, most), embeddings)
    for group, encoded in zip(groups, each, strict=True):
        starts = ends[group.start : group.stop + 1] - ends[group.start]
        yield encoded, torch.from_numpy(starts).to(reader.device)


def _encode(
    network: BagNetwork,
    reader: Reader,
    track_ids: NDArray[np.int64],
    groups: Sequence[slice],
    most: int,
    embeddings: bool,
) -> Iterator[Encoded]:
    """All segments of each group of tracks, read and encoded at most so many at once."""
    network.eval()
    parts = [
        [ids[part] for part in parts_of(segment_counts(reader.features, ids), most=most)]
        for ids in (track_ids[group] for group in groups)
    ]
    each = reader.each(list(chain.from_iterable(parts)))
    for group in parts:
        done: list[Encoded] = []
        for x, offsets in islice(each, len(group)):
            log_sizes = log_counts(offsets, reader.device)
            for start in range(0, len(x), most):  # one track alone may hold more
                chunk = slice(start, start + most)
                done.append(network.segments(x[chunk], log_sizes[chunk], embeddings=embeddings))
        yield Encoded(*(torch.cat(column) for column in zip(*done, strict=True)))


def moments(
    reader: Reader, track_ids: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over segments, in float64 and in one pass over the values.

    Parameters
    ----------
    reader : Reader
    track_ids : int array, shape (n,)
        One that occurs twice counts twice.

    Returns
    -------
    mean, scale : array, shape as `moment_shape`
        The scale is the standard deviation, or 1 where a feature does not vary.

    Raises
    ------
    DataError
        If a value is NaN or infinite.
    """
    spec = reader.features.spec
    axes = (0, *range(2, len(spec.shape) + 1))  # all but the first of the feature itself
    n = 0
    mean = squares = np.zeros(moment_shape(spec.shape))
    for ids, values, offsets in _parts(reader, track_ids):
        x = values.astype(np.float64)
        check_finite(x, ids, offsets, spec.name)
        new_mean = x.mean(axis=axes).reshape(mean.shape)
        new_squares = np.square(x - new_mean).sum(axis=axes).reshape(mean.shape)
        # Two parts as one: the squares grow by how far apart their means are (Chan et al. 1983).
        new = x.size // mean.size
        apart = new_mean - mean
        squares = squares + new_squares + np.square(apart) * (n * new / (n + new))
        mean = mean + apart * (new / (n + new))
        n += new
    scale = np.sqrt(squares / n)
    # Below the resolution of float32 there is only rounding left to divide by.
    constant = scale <= np.finfo(np.float32).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, scale)


def quantiles(reader: Reader, track_ids: NDArray[np.int64]) -> tuple[NDArray[np.float64]]:
    """Quantiles over segments, of each entry of a vector or each band of a map.

    Parameters
    ----------
    reader : Reader
    track_ids : int array, shape (n,)
        One that occurs twice counts twice. Of more than 256 MB of values every k-th track counts.

    Returns
    -------
    tuple of one array, shape (F, `N_QUANTILES`)
        Each row rises from the smallest value to the largest.

    Raises
    ------
    DataError
        If a value is NaN or infinite.
    """
    spec = reader.features.spec
    for ids, values, offsets in _parts(reader, track_ids):
        check_finite(values, ids, offsets, spec.name)
    step = -(
        -int(segment_counts(reader.features, track_ids).sum()) * spec.n_bytes // _QUANTILE_BYTES
    )
    ranks = np.linspace(0, 1, N_QUANTILES)
    rows = [
        np.quantile(columns, ranks, axis=1, overwrite_input=True).T
        for columns in _sorted_columns(reader, track_ids[::step])
    ]
    return (np.maximum.accumulate(np.concatenate(rows).astype(np.float64), axis=1),)


def _sorted_columns(reader: Reader, track_ids: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """Values of some features at a time, each in order: (f, N), in the same memory each time.

    The tracks are read anew for each: to hold the values of all features would take as much as
    they do, beside which an epoch that is streamed from the store is small.
    """
    shape = reader.features.spec.shape
    n_features = math.prod(moment_shape(shape))
    n_segments = int(reader.features.counts(track_ids).sum())
    n_values = n_segments * (math.prod(shape) // n_features)  # of each feature
    size = min(n_features, max(1, _COLUMN_BYTES // (_FLOAT32 * n_values)))
    memory = np.empty((size, n_values), np.float32)
    for first in range(0, n_features, size):
        here = slice(first, min(first + size, n_features))
        columns, done = memory[: here.stop - first], 0
        of_segment = columns.reshape(len(columns), n_segments, -1)  # (f, N, T)
        for _, values, offsets in _parts(reader, track_ids):
            new = slice(done, done := done + int(offsets[-1]))
            flat = values.reshape(len(values), n_features, -1)[:, here]
            of_segment[:, new] = np.moveaxis(flat, 1, 0)
        columns.sort(axis=1)  # to look for so many quantiles takes longer
        yield columns


def _parts(
    reader: Reader, track_ids: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]]:
    """Yield ids of tracks, their values and offsets, so many that they take `_PART_BYTES`."""
    counts = segment_counts(reader.features, track_ids)
    most = max(1, _PART_BYTES // reader.features.spec.n_bytes)
    parts = [track_ids[part] for part in parts_of(counts, most=most)]
    for ids, (values, offsets) in zip(parts, reader.each(parts), strict=True):
        yield ids, values.cpu().numpy(), offsets


_PART = 2**16  # values of inputs beyond this many are made part by part


@contextmanager
def inputs_once(network: BagNetwork, reader: Reader) -> Iterator[Reader]:
    """Reader of what the network's inputs make of the values, which it leaves out meanwhile.

    What the inputs have learned does not change in a training, so the weights that result are the
    same but for rounding. Ranks as normal scores take longer than the step of an MLP behind them.

    Parameters
    ----------
    network : BagNetwork
    reader : Reader
        If its values are not in memory, or would no longer fit as float32, nothing is changed.
    """
    memory = reader.memory
    if memory is None or memory.numel() * _FLOAT32 > IN_MEMORY_BYTES:
        yield reader
        return
    inputs = network.inputs
    size = max(1, _PART // max(1, memory[:1].numel()))
    with torch.no_grad():
        ready = torch.cat([inputs(part) for part in torch.split(memory, size)])
    network.inputs = nn.Identity()
    try:
        yield replace(reader, memory=ready)
    finally:
        network.inputs = inputs
