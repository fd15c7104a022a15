"""Networks as a graph of ONNX, run by onnxruntime: what a saved model predicts with, without torch.

The graph holds the encoder, the scores and the logits of segments, of all networks of a model;
`arrays` does the rest. `written` makes it. It comes with a model, so it is not trusted: it is read
field by field first, and refused if anything is in it that `written` does not write, above all
what would read another file or run other code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import DataError, in_a_line
from ..features.kernels.runtime import import_runtime, open_session
from ..features.store import FeatureStore
from .arrays import (
    N_QUANTILES,
    Floats,
    NetworkArrays,
    NetworkSaid,
    Said,
    moment_shape,
    most_held,
    parts_of,
    segment_counts,
    together,
)
from .settings import ModelSettings

if TYPE_CHECKING:
    import onnxruntime

OPSET, IR_VERSION = 17, 8
OPERATORS = frozenset(
    (
        *("Add", "BatchNormalization", "Concat", "Conv", "Elu", "Flatten", "GRU", "Gemm"),
        *("Identity", "LSTM", "MatMul", "MaxPool", "Mul", "ReduceMean", "Relu", "Reshape"),
        *("Sigmoid", "Tanh", "Transpose", "Unsqueeze"),
    )
)
_AGAIN = "copy the whole model folder again, or train again"

# Fields that messages of onnx.proto may have here, by number; a nested mapping is a message, True
# anything else. Left out are, among others, functions, external data, and graphs inside of nodes.
_TENSOR = dict.fromkeys((1, 2, 4, 7, 8, 9), True)
_VALUE = dict.fromkeys((1, 2), True)
_ATTRIBUTE = dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 20), True)
_NODE = {1: True, 2: True, 3: True, 4: True, 5: _ATTRIBUTE}
_GRAPH = {1: _NODE, 2: True, 5: _TENSOR, 11: _VALUE, 12: _VALUE}
_MODEL = {1: True, 2: True, 3: True, 7: _GRAPH, 8: {1: True, 2: True}}


def check_graph(data: bytes) -> None:
    """Refuse what `written` does not write.

    Raises
    ------
    ValueError
        Saying what.
    """
    _check(memoryview(data), _MODEL, ())


def _check(data: memoryview, allowed: Mapping[int, Any], path: tuple[int, ...]) -> None:
    for number, value in _fields(data):
        here = (*path, number)
        kind = allowed.get(number)
        if kind is None:
            raise ValueError(f"field {'.'.join(map(str, here))} is not allowed")
        if kind is not True:
            if not isinstance(value, memoryview):
                raise ValueError(f"field {'.'.join(map(str, here))} is no message")
            _check(value, kind, here)
        elif here == (7, 1, 4):
            name = bytes(value).decode("utf-8") if isinstance(value, memoryview) else str(value)
            if name not in OPERATORS:
                raise ValueError(f"operator {name[:40]!r} is not allowed")
        elif here == (8, 1) and value:
            raise ValueError("operators of another domain are not allowed")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Numbers and values of the fields of a message of protocol buffers."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind, value = key & 7, 0
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"no field has the type {kind}")
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size, at = _varint(data, at)
        if at + size > len(data):
            raise ValueError("it ends too early")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends too early")
        byte = data[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
    raise ValueError("a number is too long")


@dataclass(frozen=True, eq=False)
class Networks:
    """All networks of a saved model; make them with `open`.

    Attributes
    ----------
    data : bytes
        Of ``model.onnx``.
    arrays : dict of str to array
        All weights of the networks, as `weights.safetensors` has them.
    parts : tuple of NetworkArrays
        Of each network, what the graph has not.
    most_segments : int
        Encoded at once.
    """

    data: bytes
    arrays: Mapping[str, NDArray[Any]]
    parts: tuple[NetworkArrays, ...]
    most_segments: int

    __repr__ = in_a_line

    @classmethod
    def open(
        cls,
        data: bytes,
        arrays: Mapping[str, NDArray[Any]],
        settings: ModelSettings,
        shape: Sequence[int],
        n_genres: int,
        *,
        n_networks: int,
        most_segments: int,
        place: Path,
    ) -> Networks:
        """Check the graph, and what belongs to it, on one segment of zeros.

        Parameters
        ----------
        data, arrays, most_segments
            As in `Networks`.
        settings : ModelSettings
        shape : sequence of int
            Of a segment.
        n_genres, n_networks : int
        place : Path
            Of the graph, for messages.

        Raises
        ------
        DataError
            If they do not fit each other.
        ConfigError
            If there is no onnxruntime to run it.
        """
        parts = tuple(
            _parts(arrays, f"{number}." if n_networks > 1 else "", settings, shape, n_genres, place)
            for number in range(1, n_networks + 1)
        )
        try:
            check_graph(data)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is no graph of a model ({error}); {_AGAIN}") from error
        found = cls(data, dict(arrays), parts, most_segments)
        runtime = import_runtime()
        try:
            said = found.encode(np.zeros((1, *shape), np.float32))
        except Exception as error:  # onnxruntime has many kinds, derived from Exception alone
            if isinstance(error, MemoryError):
                raise
            why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise DataError(
                f"{place} cannot be run by onnxruntime {runtime.__version__} ({why}); {_AGAIN}"
            ) from error
        for part, (scores, values, embeddings) in zip(parts, said, strict=True):
            width = embeddings.shape[-1]
            head = [len(weight) for weight, _ in part.head[:1]]
            fits = values.shape == (1, width if head else n_genres) and embeddings.shape == (
                1,
                width,
            )
            if not (fits and head in ([], [width]) and scores.shape in ((1, 1), (1, n_genres))):
                raise DataError(
                    f"{place} does not fit the model (it makes values of the shape {values.shape} "
                    f"and scores of the shape {scores.shape}); {_AGAIN}"
                )
        return found

    def __len__(self) -> int:
        return len(self.parts)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the session out: another process makes its own."""
        return {key: value for key, value in vars(self).items() if key != "_session"}

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return open_session(self.data)

    def encode(self, *inputs: Floats) -> list[tuple[Floats, Floats, Floats]]:
        """Scores, values and embeddings of segments, of each network.

        Parameters
        ----------
        *inputs : array, shape (N, *feature_shape)
            What each encoder reads, or one for all.
        """
        each = inputs if len(inputs) == len(self) else inputs * len(self)
        fed = {f"inputs.{number}": x for number, x in enumerate(each, start=1)}
        names = ("scores", "values", "embeddings")
        wanted = [f"{name}.{number}" for number in range(1, len(self) + 1) for name in names]
        found = self._session.run(wanted, fed)
        return [(found[i], found[i + 1], found[i + 2]) for i in range(0, len(found), 3)]

    def say(
        self, features: FeatureStore, bags: Bags, *, link: str, only: int | None = None
    ) -> Said:
        """Predict bags with all networks and average, or with one, keeping its embeddings.

        Parameters
        ----------
        features : FeatureStore
        bags : Bags
        link : {"softmax", "sigmoid", "none"}
        only : int, optional
            The number of that one, from 0.
        """
        counts = segment_counts(features, bags.track_ids)
        chosen = range(len(self)) if only is None else (only,)
        found: list[list[NetworkSaid]] = [[] for _ in chosen]
        spread = any(part.spread is not None for part in self.parts)
        most = most_held(features.spec.shape, spread=spread)
        for part in parts_of(np.add.reduceat(counts, bags.offsets[:-1]), most=most):
            some = bags.take(np.arange(part.start, part.stop))
            sizes = segment_counts(features, some.track_ids)
            log_sizes = np.log(np.repeat(sizes, sizes)).astype(np.float32)
            offsets = np.concatenate([[0], np.cumsum(sizes)])[some.offsets]
            at_once = min(self.most_segments, most)
            encoded = self._encoded(features, some.track_ids, sizes, at_once, spread)
            for place, number in enumerate(chosen):
                scores, values, embeddings, inputs = encoded[number]
                logits, attention, alone = self.parts[number].pool(
                    scores, values, inputs, log_sizes, offsets
                )
                kept = embeddings if only is not None else embeddings[:, :0]
                found[place].append(NetworkSaid(logits, attention, alone, kept))
        return together(found, link, counts)

    def _encoded(
        self,
        features: FeatureStore,
        track_ids: NDArray[np.int64],
        sizes: NDArray[np.int64],
        most: int,
        spread: bool,
    ) -> list[list[Floats]]:
        """Scores, values and embeddings of the segments of tracks, of each network.

        Their inputs, too, where a spread is read.
        """
        done: list[list[tuple[Floats, ...]]] = [[] for _ in self.parts]
        for part in parts_of(sizes, most=most):
            x, _ = features.read(track_ids[part])
            for start in range(0, len(x), most):  # one track alone may hold more
                inputs = self._prepared(x[start : start + most])
                for rows, said, ready in zip(done, self.encode(*inputs), inputs, strict=True):
                    rows.append((*said, ready if spread else np.empty((len(ready), 0))))
        return [[np.concatenate(column) for column in zip(*rows, strict=True)] for rows in done]

    def _prepared(self, x: Floats) -> list[Floats]:
        """What each encoder reads: made once where several read the same, as they usually do."""
        ready: list[Floats] = []
        for number, part in enumerate(self.parts):
            ready.append(
                part.prepare(x) if self._like[number] == number else ready[self._like[number]]
            )
        return ready

    @cached_property
    def _like(self) -> list[int]:
        """For each network the first one with the same inputs."""
        return [
            next(
                first
                for first, other in enumerate(self.parts)
                if len(other.inputs) == len(part.inputs)
                and all(map(np.array_equal, other.inputs, part.inputs))
            )
            for part in self.parts
        ]


def _parts(
    arrays: Mapping[str, NDArray[Any]],
    prefix: str,
    settings: ModelSettings,
    shape: Sequence[int],
    n_genres: int,
    place: Path,
) -> NetworkArrays:
    """What the graph has not, from the weights, whose shapes are checked."""

    def get(name: str, *wanted: int | None) -> NDArray[Any]:
        array = arrays.get(prefix + name)
        found = () if array is None else array.shape
        fits = len(found) == len(wanted) and all(
            n in (None, m) for n, m in zip(wanted, found, strict=True)
        )
        if array is None or not fits or array.dtype != np.float32:
            raise DataError(
                f"the weights do not fit {place}: {prefix + name} has the shape "
                f"{None if array is None else found}, expected {wanted}; {_AGAIN}"
            )
        return array

    kept = moment_shape(shape)
    inputs: tuple[Floats, ...]
    if settings.chosen_inputs == "quantile":
        inputs = (get("inputs.table", math.prod(kept), N_QUANTILES),)
    else:
        inputs = (get("inputs.mean", *kept), get("inputs.scale", *kept))
    head: list[tuple[Floats, Floats]] = []
    if settings.head == "mlp":
        hidden = settings.head_hidden
        first = get("classifier.0.weight", hidden, None).T, get("classifier.0.bias", hidden)
        last = get("classifier.2.weight", n_genres, hidden).T, get("classifier.2.bias", n_genres)
        head = [first, last]
    elif settings.tanh_pooled:
        head = [(get("classifier.weight", n_genres, None).T, get("classifier.bias", n_genres))]
    spread = None
    if settings.reads_spread:
        spread = get("spread.weight", n_genres, math.prod(shape))
    highest = settings.pooling == "max"
    return NetworkArrays(inputs, tuple(head), spread, settings.tanh_pooled, highest)
