"""A model as one file of ONNX that needs nothing of ours: segments of one bag to probabilities.

Inputs, spread, pooling and what follows them are written out here, too, which `graph` leaves to
arrays. Ranks are found by bisection, and the inverse error function is a polynomial [1]_, as ONNX
has neither.

References
----------
.. [1] Giles, "Approximating the erfinv function", GPU Computing Gems, 2011: single precision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from ..errors import ConfigError, DataError
from ..files import replacing
from .arrays import CLIP, FEW, N_QUANTILES, PRIOR_TRACKS, USUAL
from .network import BagNetwork, Quantiles, Standardise
from .neural import NeuralClassifier
from .pooling import Max
from .trained import load_networks
from .written import Graph, UnknownLayer, finish_model, write_network

_ERFINV = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)  # of -log(1 - x^2) - 2.5, which is below 2.5 for all ranks


def export_model(model: NeuralClassifier, path: Path) -> None:
    """Write a model as one file.

    Its inputs are ``segments``, float32 (N, *feature_shape), and ``track``, int64 (N,), equal for
    the segments of one track. Its output is ``probabilities``, float32 (G,), of the bag that they
    make. Genres and the specification of the features are in its metadata, as JSON.

    Parameters
    ----------
    model : NeuralClassifier
        Fitted, or opened.
    path : Path

    Raises
    ------
    DataError
        If the model is not fitted.
    ConfigError
        If a plug-in has layers that cannot be written.
    """
    from onnx import TensorProto, checker, helper

    if model.spec is None or not model.genres:
        raise DataError("this model is not fitted; call fit(...), or load a saved one")
    shape, n_genres = model.spec.shape, len(model.genres)
    networks = model._networks
    if model._graph is not None:
        arrays, n = model._graph.arrays, model.training.n_networks
        networks = load_networks(model.model, shape, n_genres, arrays, path, n)
    graph = Graph()
    try:
        said = [_logits(graph, network) for network in networks]
    except UnknownLayer as error:
        raise ConfigError(
            f"the model cannot be written as ONNX ({error}); export one without plug-ins"
        ) from error
    graph.name(_probabilities(graph, said, model), "probabilities")
    inputs = [
        helper.make_tensor_value_info("segments", TensorProto.FLOAT, ["n", *shape]),
        helper.make_tensor_value_info("track", TensorProto.INT64, ["n"]),
    ]
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [n_genres])
    made = finish_model(graph, inputs, [output])
    told = {"genres": json.dumps(model.genres), "features": json.dumps(model.spec.to_json())}
    helper.set_model_props(made, told)
    checker.check_model(made, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(made.SerializeToString())


def _logits(graph: Graph, network: BagNetwork) -> str:
    """Logits (1, G) of the bag by one network."""
    x = _inputs(graph, network, "segments")
    made = write_network(graph, network, x)
    sizes = _sizes(graph)  # (N, 1)
    alone = made["values"]
    if network.pooled_first:
        alone = _head(graph, network, alone)
    if isinstance(network.pooling, Max):
        highest = graph.add("ReduceMax", alone, axes=[0], keepdims=1)
        one = graph.add("Cast", graph.add("Equal", alone, highest), to=1)
        attention = graph.add("Div", one, graph.sum(one, 0))
    else:
        scores = graph.add("Sub", made["scores"], graph.add("Log", sizes))
        attention = graph.add("Softmax", scores, axis=0)  # (N, K)
    if network.pooled_first:
        turned = graph.add("Transpose", attention, perm=[1, 0])
        logits = _head(graph, network, graph.add("MatMul", turned, made["values"]))  # (K, G)
        if not _one_column(network):  # of each genre its own
            own = graph.constant(np.eye(_n_genres(network)))
            logits = graph.sum(graph.add("Mul", logits, own), 0)
    else:
        logits = graph.sum(graph.add("Mul", attention, made["values"]), 0)
    if network.spread is None:
        return logits
    return graph.add("Add", logits, _spread(graph, network, x, sizes))


def _n_genres(network: BagNetwork) -> int:
    last = [layer for layer in network.classifier.modules() if isinstance(layer, torch.nn.Linear)]
    return last[-1].out_features


def _one_column(network: BagNetwork) -> bool:
    """Whether one attention is shared by all genres."""
    if isinstance(network.pooling, Max):
        return False
    with torch.no_grad():
        h = torch.zeros(1, cast(int, network.encoder.embedding_dim))
        found: torch.Tensor = network.pooling(h)
    return found.shape[1] == 1


def _head(graph: Graph, network: BagNetwork, h: str) -> str:
    """Embeddings (K, D) to logits (K, G)."""
    if not network.tanh:
        return graph.layer(network.classifier, h)
    return graph.add("LogSoftmax", graph.layer(network.classifier, graph.add("Tanh", h)), axis=1)


def _sizes(graph: Graph) -> str:
    """Number of segments of each segment's track, (N, 1)."""
    rows = graph.reshape("track", -1, 1)
    same = graph.add("Cast", graph.add("Equal", rows, graph.reshape("track", 1, -1)), to=1)
    return graph.sum(same, 1)


def _spread(graph: Graph, network: BagNetwork, x: str, sizes: str) -> str:
    """See `matt.models.network.BagSpread`."""
    assert network.spread is not None
    flat, votes = graph.add("Flatten", x), graph.add("Reciprocal", sizes)
    n = graph.sum(votes, 0)  # (1, 1)
    mean = graph.add("Div", graph.sum(graph.add("Mul", votes, flat), 0), n)
    apart = graph.add("Sub", flat, mean)
    squares = graph.sum(graph.add("Mul", votes, graph.add("Mul", apart, apart)), 0)
    drawn = graph.constant(PRIOR_TRACKS * USUAL)
    less = graph.add("Mul", graph.add("Sub", n, graph.constant(1.0)), graph.constant(USUAL))
    ratio = graph.add("Div", graph.add("Add", squares, drawn), graph.add("Add", less, drawn))
    weight = network.spread.weight.T * min(1.0, FEW / network.spread.weight.shape[1]) / 2
    return graph.matmul(graph.add("Log", ratio), weight)


def _probabilities(graph: Graph, said: list[str], model: NeuralClassifier) -> str:
    """Mean over networks, then the temperature: logits (1, G) to probabilities (G,)."""
    warm = graph.constant(model.temperature)
    if model.link == "none":
        each = [graph.add("Exp", logits) for logits in said]
        return graph.reshape(graph.add("Mean", *each), -1)
    last = {"softmax": "Softmax", "sigmoid": "Sigmoid"}[model.link]
    if len(said) == 1:
        logits = said[0]
    else:
        p = graph.add("Mean", *(graph.add(last, logits) for logits in said))
        logits = graph.add("Log", graph.add("Clip", p, graph.constant(1e-30)))
        if last == "Sigmoid":
            no = graph.add("Mean", *(graph.add(last, graph.add("Neg", one)) for one in said))
            no = graph.add("Log", graph.add("Clip", no, graph.constant(1e-30)))
            logits = graph.add("Sub", logits, no)
    return graph.reshape(graph.add(last, graph.add("Div", logits, warm)), -1)


def _inputs(graph: Graph, network: BagNetwork, x: str) -> str:
    module: Any = network.inputs
    if isinstance(module, Standardise):
        scaled = graph.add(
            "Div", graph.add("Sub", x, graph.weight(module.mean)), graph.weight(module.scale)
        )
        return graph.add("Clip", scaled, graph.constant(-CLIP), graph.constant(CLIP))
    if not isinstance(module, Quantiles):
        raise UnknownLayer(f"inputs of {type(module).__name__}")
    rank = _rank(graph, module.table.T.cpu().numpy(), x)
    x = graph.add("Sub", graph.add("Add", rank, rank), graph.constant(1.0))
    rest = graph.add("Sub", graph.constant(1.0), graph.add("Mul", x, x))
    w = graph.add("Sub", graph.add("Neg", graph.add("Log", rest)), graph.constant(2.5))
    p = graph.constant(_ERFINV[0])
    for coefficient in _ERFINV[1:]:
        p = graph.add("Add", graph.add("Mul", p, w), graph.constant(coefficient))
    return graph.add("Mul", graph.add("Mul", p, x), graph.constant(2**0.5))


def _rank(graph: Graph, table: np.ndarray[Any, Any], x: str) -> str:
    """Rank in [0, 1] of vectors (N, F) in a table (Q, F), see `matt.models.network.Quantiles`."""
    if table.shape[0] != N_QUANTILES:
        raise UnknownLayer("a table of other quantiles")
    last = N_QUANTILES - 1
    padded = np.full((2 ** N_QUANTILES.bit_length() - 1, table.shape[1]), np.inf, np.float32)
    padded[:N_QUANTILES] = table
    steps = [2**power for power in range(N_QUANTILES.bit_length() - 1, -1, -1)]
    quantiles = graph.weight(padded)

    def search(below: str) -> str:
        """How many quantiles are below (or not above) each value: 9 halvings."""
        first = graph.add(below, graph.weight(padded[steps[0] - 1]), x)
        at = graph.add("Where", first, graph.whole(steps[0]), graph.whole(0))
        for step in steps[1:]:
            tried = graph.add("Add", at, graph.whole(step - 1))
            value = graph.add("GatherElements", quantiles, tried, axis=0)
            further = graph.add("Add", at, graph.whole(step))
            at = graph.add("Where", graph.add(below, value, x), further, at)
        return at

    low, high = search("Less"), search("LessOrEqual")
    before = graph.add("Sub", low, graph.whole(1))
    left = graph.add("Max", graph.add("Min", before, graph.whole(last - 1)), graph.whole(0))
    start = graph.add("GatherElements", quantiles, left, axis=0)
    right = graph.add("Add", left, graph.whole(1))
    width = graph.add("Sub", graph.add("GatherElements", quantiles, right, axis=0), start)
    tiny = graph.constant(float(np.finfo(np.float32).tiny))
    part = graph.add("Div", graph.add("Sub", x, start), graph.add("Max", width, tiny))
    part = graph.add("Clip", part, graph.constant(0.0), graph.constant(1.0))
    between = graph.add("Add", graph.add("Cast", left, to=1), part)
    both = graph.add("Cast", graph.add("Add", before, high), to=1)
    shared = graph.add("Mul", both, graph.constant(0.5))
    rank = graph.add("Where", graph.add("Less", low, high), shared, between)
    edge = 1 / (2 * N_QUANTILES)
    rank = graph.add("Mul", rank, graph.constant(1 / last))
    return graph.add("Clip", rank, graph.constant(edge), graph.constant(1 - edge))
