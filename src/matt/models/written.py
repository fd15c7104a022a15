"""Networks written as a graph of ONNX: inputs of the encoder in, scores and logits out.

Each kind of layer has one rule, found by its ``forward``, so a class that inherits that from one of
these is written, too, and any other is not. torch's own exporter is not used: it takes seconds for
every network that is saved, and its tracing would have to be led around `FoldedBlock`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .crnn import CRNN, CRNNTF, ConvBlocks, FoldedBlock, FrameLSTM, Recurrent, SamePool
from .dropout import Dropout
from .encoders import MLP, Identity
from .graph import IR_VERSION, OPSET
from .network import BagNetwork
from .pooling import (
    AdditiveQueries,
    GatedAttention,
    GenreQueries,
    Max,
    Mean,
    Pooling,
    ScalarQueries,
    SharedAttention,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 2**31 - 1  # bytes that a message of protocol buffers may have


class UnknownLayer(Exception):
    """A layer for which there is no rule."""


class Graph:
    """Nodes and weights of a graph in the making; values have names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return the name of its first output; the others end in .1, .2, ..."""
        from onnx import helper

        name = f"value-{len(self.nodes)}"
        names = [name, *(f"{name}.{number}" for number in range(1, outputs))]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return name

    def name(self, value: str, name: str) -> None:
        """Give a value one more name, under which it is an output."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def weight(self, value: Tensor | NDArray[Any] | Sequence[int]) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        name = f"weight-{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def layer(self, module: nn.Module, x: str) -> str:
        """Add a layer that reads x.

        Raises
        ------
        UnknownLayer
            If there is no rule for it.
        """
        rule = RULES.get(type(module).forward)
        if rule is None:
            raise UnknownLayer(f"a layer of {type(module).__name__} cannot be written as ONNX")
        return rule(self, module, x)

    def matmul(self, x: str, weight: Tensor) -> str:
        """(N, D) times (D, K)."""
        return self.add("MatMul", x, self.weight(weight))

    def constant(self, value: float | NDArray[Any]) -> str:
        """Of float32."""
        return self.weight(np.asarray(value, np.float32))

    def whole(self, value: int) -> str:
        """Of int64."""
        return self.weight(np.asarray(value, np.int64))

    def sum(self, x: str, axis: int) -> str:
        """Along an axis, which stays."""
        return self.add("ReduceSum", x, self.weight(np.array([axis], np.int64)), keepdims=1)

    def reshape(self, x: str, *shape: int) -> str:
        """To a shape in which 0 leaves an axis as it is."""
        return self.add("Reshape", x, self.weight(np.array(shape, np.int64)))


def write_graph(networks: Sequence[BagNetwork], shape: Sequence[int]) -> bytes | None:
    """Graph of all networks of a model, or None if one has layers that cannot be written.

    Its inputs are ``inputs.1``, ..., what the encoder of each network reads, (N, *shape). Its
    outputs are ``scores.1``, (N, G) or (N, 1), without -log n_k; ``values.1``, (N, G), or the
    embeddings where those are pooled; ``embeddings.1``, (N, D).
    """
    from onnx import TensorProto, helper

    graph, inputs, outputs = Graph(), [], []
    try:
        for number, network in enumerate(networks, start=1):
            x = f"inputs.{number}"
            inputs.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", *shape]))
            for name, value in write_network(graph, network, x).items():
                graph.name(value, f"{name}.{number}")
                outputs.append(
                    helper.make_tensor_value_info(
                        f"{name}.{number}", TensorProto.FLOAT, ["n", None]
                    )
                )
    except UnknownLayer:
        return None
    made = finish_model(graph, inputs, outputs)
    return made.SerializeToString() if made.ByteSize() < _MOST else None


def finish_model(graph: Graph, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Model of a graph, as `onnx.ModelProto`."""
    from onnx import helper

    whole = helper.make_graph(graph.nodes, "matt", inputs, outputs, graph.weights)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(
        whole, opset_imports=opset, ir_version=IR_VERSION, producer_name="matt"
    )


def write_network(graph: Graph, network: BagNetwork, x: str) -> dict[str, str]:
    """Values of one network by name, see `write_graph`."""
    pooling = network.pooling
    ours = Max if isinstance(pooling, Max) else Pooling
    if type(pooling).attention is not ours.attention or pooling.reads_logits != (ours is Max):
        raise UnknownLayer(f"{type(pooling).__name__} has an attention of its own")
    h = graph.layer(network.encoder, x)
    values = h if network.pooled_first else graph.layer(network.classifier, h)
    if ours is Max or type(pooling).forward is Mean.forward:  # nothing is read of them
        scores = graph.matmul(h, torch.zeros(cast(int, network.encoder.embedding_dim), 1))
    else:
        scores = graph.layer(pooling, h)
    return {"scores": scores, "values": values, "embeddings": h}


def _linear(graph: Graph, layer: nn.Linear, x: str) -> str:
    bias = [] if layer.bias is None else [graph.weight(layer.bias)]
    return graph.add("Gemm", x, graph.weight(layer.weight), *bias, transB=1)


def _sequential(graph: Graph, layers: nn.Sequential | Sequence[nn.Module], x: str) -> str:
    for layer in layers:
        x = graph.layer(layer, x)
    return x


def _convolution(graph: Graph, layer: nn.Conv2d, x: str) -> str:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise UnknownLayer("a convolution with other padding")
    bias = [] if layer.bias is None else [graph.weight(layer.bias)]
    return graph.add(
        "Conv",
        x,
        graph.weight(layer.weight),
        *bias,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        pads=[*layer.padding, *layer.padding],
        dilations=layer.dilation,
        group=layer.groups,
    )


def _normalisation(graph: Graph, layer: nn.BatchNorm2d, x: str) -> str:
    given = layer.weight, layer.bias, layer.running_mean, layer.running_var
    if any(value is None for value in given):
        raise UnknownLayer("a normalisation without weights or statistics")
    weights = [graph.weight(cast(Tensor, value)) for value in given]
    return graph.add("BatchNormalization", x, *weights, epsilon=layer.eps)


def _blocks(graph: Graph, module: ConvBlocks, x: str) -> str:
    maps = graph.add("Unsqueeze", x, graph.weight(np.array([1], np.int64)))  # (N, 1, F, T)
    return _sequential(graph, module.blocks, maps)


def _pool(graph: Graph, module: SamePool, x: str) -> str:
    # What TensorFlow, and so Keras, calls "same".
    return graph.add(
        "MaxPool", x, kernel_shape=module.pool, strides=module.pool, auto_pad="SAME_UPPER"
    )


_GATES = {"GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}  # torch's order of gates in that of ONNX


def _recurrent(graph: Graph, layer: Recurrent, steps: str) -> tuple[str, str]:
    """Steps (S, N, I) to the outputs (S, N, directions * H) and last states (N, directions * H)."""
    kind = "GRU" if isinstance(layer, nn.GRU) else "LSTM"
    sides = ("", "_reverse") if layer.bidirectional else ("",)
    if not layer.bias or layer.proj_size:
        raise UnknownLayer("a recurrent layer without biases, or with projections")
    states = ""
    for number in range(layer.num_layers):

        def stacked(*names: str, number: int = number) -> str:
            """Of both directions, each name along the first axis, gates in the other order."""
            rows = [
                np.concatenate([_gates(layer, f"{name}_l{number}{side}", kind) for name in names])
                for side in sides
            ]
            return graph.weight(np.stack(rows))

        given = stacked("weight_ih"), stacked("weight_hh"), stacked("bias_ih", "bias_hh")
        further = {"linear_before_reset": 1} if kind == "GRU" else {}
        found = graph.add(
            kind,
            steps,
            *given,
            outputs=2,
            hidden_size=layer.hidden_size,
            direction="bidirectional" if layer.bidirectional else "forward",
            **further,
        )
        steps = graph.reshape(graph.add("Transpose", found, perm=[0, 2, 1, 3]), 0, 0, -1)
        states = f"{found}.1"  # (directions, N, H)
    return steps, graph.reshape(graph.add("Transpose", states, perm=[1, 0, 2]), 0, -1)


def _gates(layer: Recurrent, name: str, kind: str) -> NDArray[Any]:
    value = getattr(layer, name).detach().cpu().numpy()
    gates = np.split(value, len(_GATES[kind]))
    return np.concatenate([gates[place] for place in _GATES[kind]])


def _over(graph: Graph, maps: str, axis: int) -> str:
    """Maps (N, C, F', T') as steps along rows or frames, (S, N, C * others)."""
    rest = 5 - axis
    return graph.reshape(graph.add("Transpose", maps, perm=[axis, 0, 1, rest]), 0, 0, -1)


def _crnn(graph: Graph, module: CRNN, x: str) -> str:
    maps = graph.layer(module.convolutions, x)
    return _recurrent(graph, module.gru, _over(graph, maps, 3))[1]


def _crnn_tf(graph: Graph, module: CRNNTF, x: str) -> str:
    maps = graph.layer(module.convolutions, x)
    states = [
        _recurrent(graph, cast(nn.GRU, gru), _over(graph, maps, axis))[1]
        for axis, layers in ((2, module.over_rows), (3, module.over_frames))
        for gru in layers
    ]
    return graph.add("Elu", graph.layer(module.last, graph.add("Concat", *states, axis=1)))


def _lstm(graph: Graph, module: FrameLSTM, x: str) -> str:
    steps = graph.add("Transpose", x, perm=[2, 0, 1])  # (T, N, F)
    out, _ = _recurrent(graph, module.lstm, steps)
    return graph.add("ReduceMean", out, axes=[0], keepdims=0)


def _gated(graph: Graph, module: GatedAttention, h: str) -> str:
    value, gate = graph.layer(module.value, h), graph.layer(module.gate, h)
    gated = graph.add("Mul", graph.add("Tanh", value), graph.add("Sigmoid", gate))
    return graph.matmul(gated, module.scale * module.weight.T)


def _additive(graph: Graph, module: AdditiveQueries, h: str) -> str:
    of_segment, of_query = module.hidden.weight.chunk(2, dim=1)  # both (A, D)
    x = graph.matmul(h, of_segment.T)  # (N, A)
    weight = graph.weight(module.scale * module.weight.T)  # (A, 1)
    each = [
        graph.add("MatMul", graph.add("Tanh", graph.add("Add", x, graph.weight(row))), weight)
        for row in module.table() @ of_query.T + module.hidden.bias
    ]
    return graph.add("Concat", *each, axis=1)


def _scalar(graph: Graph, module: ScalarQueries, h: str) -> str:
    w, v = module.weight.chunk(2, dim=1)  # both (1, D)
    added = graph.add("Add", graph.matmul(h, w.T), graph.weight((module.table() @ v.T).T))
    return graph.add("Add", graph.add("Tanh", added), graph.weight(module.bias))


def _simple(operator: str) -> Rule:
    return lambda graph, module, x: graph.add(operator, x)


Rule = Callable[[Graph, Any, str], str]
RULES: dict[Callable[..., Any], Rule] = {
    nn.Linear.forward: _linear,
    nn.Sequential.forward: _sequential,
    FoldedBlock.forward: _sequential,
    nn.Conv2d.forward: _convolution,
    nn.BatchNorm2d.forward: _normalisation,
    SamePool.forward: _pool,
    nn.ReLU.forward: _simple("Relu"),
    nn.ELU.forward: lambda graph, module, x: graph.add("Elu", x, alpha=module.alpha),
    nn.Tanh.forward: _simple("Tanh"),
    nn.Sigmoid.forward: _simple("Sigmoid"),
    nn.Dropout.forward: lambda graph, module, x: x,
    Dropout.forward: lambda graph, module, x: x,
    nn.Dropout2d.forward: lambda graph, module, x: x,
    nn.Identity.forward: lambda graph, module, x: x,
    MLP.forward: lambda graph, module, x: graph.layer(module.layers, graph.add("Flatten", x)),
    Identity.forward: _simple("Flatten"),
    ConvBlocks.forward: _blocks,
    CRNN.forward: _crnn,
    CRNNTF.forward: _crnn_tf,
    FrameLSTM.forward: _lstm,
    SharedAttention.forward: lambda graph, module, h: graph.matmul(
        h, module.scale * module.query.T
    ),
    GatedAttention.forward: _gated,
    GenreQueries.forward: lambda graph, module, h: graph.matmul(h, module.scale * module.table().T),
    AdditiveQueries.forward: _additive,
    ScalarQueries.forward: _scalar,
}
