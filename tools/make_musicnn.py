"""``python tools/make_musicnn.py WEIGHTS.safetensors``: write the encoder that the package ships.

The graph is that of musicnn [1]_ with the same weights, arranged to take less time:

* A batch norm behind a ReLU and before a maximum is monotone in each channel, rising or falling. So
  the maximum comes first, of the channel or of its negative, and all else is done to what is left.
* The two wide kernels, 7 frames by 38 and by 67 bands, are applied by a discrete Fourier transform
  over the 96 bands: one product for each frequency over the 7 frames, then one back to the places
  where the kernel lies within the bands, where the circular result is the linear one. All three are
  products of matrices, and take a third of the multiplications.

References
----------
.. [1] Pons & Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
   ISMIR 2019 late-breaking demos.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

PLACE = Path(__file__).parents[1] / "src" / "matt" / "features" / "kernels" / "musicnn.onnx"
EPSILON = 1e-3
FRAMES, BANDS = 187, 96
TIME = 7  # frames of every kernel but the long ones
GROUP = 34  # channels whose products lie in the cache together
OPSET, IR = 17, 8  # of onnxruntime 1.14 and later

Weights = Mapping[str, NDArray[np.float32]]


class Graph:
    """Nodes and weights, named in the order in which they come."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, NDArray[Any]] = {}

    def add(self, kind: str, *inputs: str | NDArray[Any], **attributes: Any) -> str:
        """A node; arrays among its inputs become weights. Its output."""
        names = [one if isinstance(one, str) else self.weight(one) for one in inputs]
        output = attributes.pop("name", f"{kind.lower()}_{len(self.nodes)}")
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        return str(output)

    def weight(self, array: NDArray[Any]) -> str:
        """Name of an array; equal ones are kept once."""
        for name, kept in self.weights.items():
            if kept.dtype == array.dtype and np.array_equal(kept, array):
                return name
        name = f"w_{len(self.weights)}"
        self.weights[name] = array
        return name


def integers(*values: int) -> NDArray[np.int64]:
    """As shapes and axes are given."""
    return np.array(values, np.int64)


def norm(weights: Weights, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factor and term of a batch norm."""
    name = f"batch_normalization_{number}" if number else "batch_normalization"
    found = [
        weights[f"{name}/{part}"].astype(np.float64)
        for part in ("gamma", "moving_variance", "beta", "moving_mean")
    ]
    gamma, variance, beta, mean = found
    factor = gamma / np.sqrt(variance + EPSILON)
    return factor.astype(np.float32), (beta - mean * factor).astype(np.float32)


def kernel(weights: Weights, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel (time, bands, out) and bias of a convolution of one channel."""
    name = f"conv2d_{number}" if number else "conv2d"
    return weights[f"{name}/kernel"][:, :, 0], weights[f"{name}/bias"]


def finished(
    graph: Graph,
    highest: str,
    bias: NDArray[np.float32],
    scale: Any,
    sign: Any,
    axes: tuple[int, ...],
) -> str:
    """Bias, ReLU and norm of channels whose maximum, or minimum, over bands is there."""
    factor, term = scale

    def channels(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values.reshape([-1 if axis == 0 else 1 for axis in axes]).astype(np.float32)

    signed = graph.add("Mul", highest, channels(sign))
    positive = graph.add("Relu", graph.add("Add", signed, channels(bias)))
    return graph.add("Add", graph.add("Mul", positive, channels(factor)), channels(term))


def wide(graph: Graph, spectra: str, weights: Weights, number: int) -> Iterable[str]:
    """Channels (C, N T) of a kernel of 7 frames, group by group, from spectra (49, 14, N T)."""
    taps, bias = kernel(weights, number)  # (7, width, C)
    factor, term = norm(weights, number + 1)
    sign = np.where(factor < 0, -1.0, 1.0).astype(np.float32)
    width = taps.shape[1]
    places = BANDS - width + 1
    # Correlation: sum_b x[p + b] k[b] = inverse of X conj(K), without wrapping for p < places.
    of_kernel = np.fft.rfft(taps * sign, BANDS, axis=1).conj()  # (7, 49, C)
    n = np.arange(BANDS // 2 + 1)
    twice = np.where((n == 0) | (n == BANDS // 2), 1.0, 2.0) / BANDS
    angle = 2 * np.pi * np.outer(np.arange(places), n) / BANDS
    back = np.stack([np.cos(angle) * twice, -np.sin(angle) * twice], axis=2)  # (places, 49, 2)
    back = back.reshape(places, -1).astype(np.float32)
    for first in range(0, taps.shape[2], GROUP):
        some = slice(first, first + GROUP)
        real = of_kernel[..., some].real.transpose(1, 2, 0)  # (49, c, 7)
        imaginary = of_kernel[..., some].imag.transpose(1, 2, 0)
        above = np.concatenate([real, -imaginary], axis=2)  # of the real part: [Re, Im] of x
        below = np.concatenate([imaginary, real], axis=2)
        product = np.concatenate([above, below], axis=1).astype(np.float32)  # (49, 2 c, 14)
        size = real.shape[1]
        found = graph.add("MatMul", product, spectra)  # (49, 2 c, N T)
        flat = graph.add("Reshape", found, integers(2 * len(n), -1))  # (98, c N T)
        everywhere = graph.add("MatMul", back, flat)  # (places, c N T)
        highest = graph.add("ReduceMax", everywhere, axes=[0], keepdims=0)
        rows = graph.add("Reshape", highest, integers(size, -1))
        yield finished(graph, rows, bias[some], (factor[some], term[some]), sign[some], (0, 1))


def long(graph: Graph, x: str, weights: Weights, number: int) -> str:
    """Channels (N, C, T) of a kernel of one band and many frames, from (N, 1, T, 96)."""
    taps, bias = kernel(weights, number)  # (length, 1, C)
    factor, term = norm(weights, number + 1)
    sign = np.where(factor < 0, -1.0, 1.0).astype(np.float32)
    length = len(taps)
    before = (length - 1) // 2
    filters = (taps * sign).transpose(2, 1, 0)[..., None].astype(np.float32)  # (C, 1, length, 1)
    found = graph.add("Conv", x, filters, pads=[before, 0, length - 1 - before, 0])
    highest = graph.add("ReduceMax", found, axes=[3], keepdims=0)
    return finished(graph, highest, bias, (factor, term), sign, (1, 0, 1))


def spectra_of(graph: Graph, x: str) -> str:
    """(N, T, 96) -> (49, 14, N T): transforms over the bands, of 7 frames around each."""
    n = np.arange(BANDS // 2 + 1)
    angle = 2 * np.pi * np.outer(np.arange(BANDS), n) / BANDS
    forth = np.concatenate([np.cos(angle), -np.sin(angle)], axis=1).astype(np.float32)  # (96, 98)
    there = graph.add("MatMul", x, forth)  # (N, T, 98)
    side = TIME // 2
    padded = graph.add("Pad", there, integers(0, side, 0, 0, side, 0))
    frames = [
        graph.add("Slice", padded, integers(first), integers(first + FRAMES), integers(1))
        for first in range(TIME)
    ]
    stacked = graph.add(
        "Concat", *[graph.add("Unsqueeze", one, integers(0)) for one in frames], axis=0
    )
    parts = graph.add("Reshape", stacked, integers(TIME, -1, 2, len(n)))  # (7, N T, 2, 49)
    turned = graph.add("Transpose", parts, perm=[3, 2, 0, 1])  # (49, 2, 7, N T)
    return graph.add("Reshape", turned, integers(len(n), 2 * TIME, -1))


def middle(graph: Graph, x: str, weights: Weights, number: int) -> str:
    """(N, channels, T) -> (N, 64, T)."""
    taps, bias = kernel(weights, number)  # (7, channels, 64)
    found = graph.add("Conv", x, taps.transpose(2, 1, 0).copy(), bias, pads=[3, 3])
    return _normed(graph, graph.add("Relu", found), weights, number + 1, (1, -1, 1))


def build(weights: Weights) -> onnx.ModelProto:
    """The whole graph."""
    graph = Graph()
    x = _normed(graph, "mel", weights, 0, (1,))  # (N, T, 96)
    spectra = spectra_of(graph, x)
    wides = []
    for number in (0, 1):
        channels = graph.add("Concat", *wide(graph, spectra, weights, number), axis=0)
        parts = graph.add("Reshape", channels, integers(channels_of(weights, number), -1, FRAMES))
        wides.append(graph.add("Transpose", parts, perm=[1, 0, 2]))  # (N, 204, T)
    image = graph.add("Unsqueeze", x, integers(1))
    longs = [long(graph, image, weights, number) for number in (2, 3, 4)]
    every = _with_middle(graph, [*wides, *longs], weights)
    return _finished(graph, every, weights)


def published(weights: Weights) -> onnx.ModelProto:
    """The same function, layer by layer as it was published: what is gained is measured by it."""
    graph = Graph()
    x = _normed(graph, "mel", weights, 0, (1,))
    image = graph.add("Unsqueeze", x, integers(1))  # (N, 1, T, 96)
    branches = []
    for number in range(5):
        taps, bias = kernel(weights, number)  # (time, bands, C)
        spare = len(taps) - 1
        pads = [spare // 2, 0, spare - spare // 2, 0]
        found = graph.add("Conv", image, taps.transpose(2, 0, 1)[:, None].copy(), bias, pads=pads)
        scaled = _normed(graph, graph.add("Relu", found), weights, number + 1, (-1, 1, 1))
        branches.append(graph.add("ReduceMax", scaled, axes=[3], keepdims=0))
    return _finished(graph, _with_middle(graph, branches, weights), weights)


def _normed(graph: Graph, x: str, weights: Weights, number: int, shape: tuple[int, ...]) -> str:
    factor, term = norm(weights, number)
    return graph.add("Add", graph.add("Mul", x, factor.reshape(shape)), term.reshape(shape))


def _with_middle(graph: Graph, branches: Iterable[str], weights: Weights) -> str:
    """(N, 753, T): the branches of the front end and what the middle makes of them."""
    front = graph.add("Concat", *branches, axis=1)  # (N, 561, T)
    first = middle(graph, front, weights, 5)
    second = graph.add("Add", first, middle(graph, first, weights, 6))
    third = graph.add("Add", second, middle(graph, second, weights, 7))
    return graph.add("Concat", front, first, second, third, axis=1)


def _finished(graph: Graph, every: str, weights: Weights) -> onnx.ModelProto:
    """The model of a graph whose front end and middle are there."""
    highest = graph.add("ReduceMax", every, axes=[2], keepdims=1)
    mean = graph.add("ReduceMean", every, axes=[2], keepdims=1)
    both = graph.add("Concat", highest, mean, axis=2)  # (N, 753, 2)
    pooled = graph.add("Reshape", both, integers(-1, 2 * 753), name="pooled")
    factor, term = norm(weights, 9)
    dense = weights["dense/kernel"].astype(np.float64)
    folded = (factor[:, None] * dense).astype(np.float32)
    bias = (weights["dense/bias"] + term @ dense).astype(np.float32)
    hidden = graph.add("Relu", graph.add("Gemm", pooled, folded, bias))
    factor, term = norm(weights, 10)
    penultimate = graph.add("Add", graph.add("Mul", hidden, factor), term, name="penultimate")
    graph.add(
        "Gemm", penultimate, weights["dense_1/kernel"], weights["dense_1/bias"], name="logits"
    )
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "musicnn",
            [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["n", FRAMES, BANDS])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
                for name, size in (("pooled", 1506), ("penultimate", 200), ("logits", 50))
            ],
            [numpy_helper.from_array(array, name) for name, array in graph.weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        doc_string="musicnn (MSD_musicnn), (c) 2019 Music Technology Group, UPF; ISC licence",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def channels_of(weights: Weights, number: int) -> int:
    """Channels that a convolution makes."""
    return int(kernel(weights, number)[0].shape[2])


if __name__ == "__main__":
    PLACE.write_bytes(build(load_file(sys.argv[1])).SerializeToString())
