"""Attention over ragged bags beside a Python loop over the bags, one thread, simulated features.

A step is forward and backward of an MLP on 518 features, the paper's attention with 16 queries, and
the loss of the bags. The loop is what one would write first: the encoder on all segments at once,
then the paper's equations bag after bag.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from matt import Bags, FeatureStore
from matt.models.device import reproducible
from matt.models.network import BagNetwork, build_network
from matt.models.reading import Reader, inputs_once
from matt.models.settings import TrainingSettings
from matt.models.training import train
from matt.recipes import PLAIN

from .paired import Claim

N_FEATURES, N_GENRES, MEAN_SIZE = 518, 16, 20_000 / 3_000
GENRES = tuple(f"genre {number}" for number in range(N_GENRES))
ENCODERS = {"mlp": "one hidden layer", "identity": "no hidden layer, as the paper's MLP+MATT"}
N_EPOCHS = 10
TRAINING = replace(PLAIN.training, epochs=N_EPOCHS)
CPU = torch.device("cpu")
Logits = Callable[[BagNetwork, Tensor, Tensor], Tensor]


def bag_sizes(n_bags: int, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Tracks of each of the simulated bags."""
    rng = np.random.default_rng(0) if rng is None else rng
    return rng.geometric(1 / MEAN_SIZE, n_bags)


@cache
def data(n_bags: int) -> tuple[FeatureStore, Bags]:
    """Simulated bags of 6.7 tracks on average, most of them small; a segment each."""
    rng = np.random.default_rng(0)
    sizes = bag_sizes(n_bags, rng)
    ids = np.arange(sizes.sum())
    values = rng.standard_normal((len(ids), N_FEATURES), dtype=np.float32)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    labels = np.resize(np.arange(N_GENRES), n_bags)
    bags = Bags(ids, offsets, labels, GENRES, np.bincount(labels, minlength=N_GENRES))
    return FeatureStore.from_arrays("simulated", ids, values), bags


@cache
def network(encoder: str = "mlp") -> BagNetwork:
    """A network in training, its scale away from where it starts."""
    torch.manual_seed(0)
    settings = replace(PLAIN.model, encoder=encoder, pooling="dot")
    made = build_network(settings, (N_FEATURES,), N_GENRES)
    nn.init.ones_(made.pooling.scale)
    return made.train()


@cache
def plain_network(encoder: str) -> BagNetwork:
    """The same of torch's own layers, as anybody would write it."""
    made = copy.deepcopy(network(encoder))
    layers = getattr(made.encoder, "layers", nn.Sequential())
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Dropout):
            layers[place] = nn.Dropout(layer.p)
    return made


def ours(net: BagNetwork, x: Tensor, offsets: Tensor) -> Tensor:
    """Logits of all bags at once."""
    logits: Tensor = net(x, offsets, torch.zeros(len(x))).logits
    return logits


def looped(net: BagNetwork, x: Tensor, offsets: Tensor) -> Tensor:
    """Logits bag by bag, as eq. (2) to (5) of the paper read."""
    h = net.encoder(net.inputs(x))  # (N, D)
    rows, bias = net.classifier.weight, net.classifier.bias  # (G, D), (G,)
    logits = []
    for part in h.tensor_split(offsets[1:-1]):
        attention = net.pooling(part).softmax(0)  # (n, G)
        pooled = attention.T @ part  # (G, D)
        logits.append((rows * pooled).sum(1) + bias)
    return torch.stack(logits)


def encoder_alone(net: BagNetwork, x: Tensor, offsets: Tensor) -> Tensor:
    """Logits of as many single segments as there are bags: what no pooling can be cheaper than."""
    logits: Tensor = net.classifier(net.encoder(net.inputs(x)))
    return logits[: len(offsets) - 1]


def one_thread(work: Callable[[], Any]) -> None:
    """Do the work on one thread of torch, from the same seed."""
    with reproducible(TrainingSettings(threads=1), CPU):
        work()


def steps(logits_of: Logits, n_bags: int, n_steps: int) -> None:
    """Steps without an optimiser."""
    store, bags = data(n_bags)
    x, offsets = torch.from_numpy(store.read(bags.track_ids)[0]), torch.from_numpy(bags.offsets)
    labels = torch.from_numpy(bags.labels)

    def work() -> None:
        for _ in range(n_steps):
            network().zero_grad()
            nn.functional.cross_entropy(logits_of(network(), x, offsets), labels).backward()

    one_thread(work)


@cache
def held(n_bags: int) -> Reader:
    """The values in memory, once for all epochs."""
    store, bags = data(n_bags)
    return Reader.open(store, bags.track_ids, CPU)


def epochs(n_bags: int, encoder: str) -> None:
    """Epochs of ours: inputs once, then gather, attention, loss, AdamW."""
    bags, net = data(n_bags)[1], network(encoder)

    def work() -> None:
        with inputs_once(net, held(n_bags)) as reader:
            train(net, reader, bags, settings=TRAINING, history=[])

    one_thread(work)


def epochs_looped(n_bags: int, encoder: str, logits_of: Logits | None = None) -> None:
    """The same epochs with a loop over the bags, or with other logits of a batch."""
    x, bags = held(n_bags).memory, data(n_bags)[1]
    assert x is not None
    labels = torch.from_numpy(bags.labels)
    made = plain_network if logits_of is None else network

    def work() -> None:
        net, rng = made(encoder), np.random.default_rng(0)
        optimizer = torch.optim.AdamW(net.parameters(), lr=TRAINING.lr, weight_decay=1e-3)
        orders = [rng.permutation(n_bags) for _ in range(N_EPOCHS)]
        starts = range(0, n_bags, TRAINING.max_bags)
        for order, start in itertools.product(orders, starts):
            chosen = order[start : start + TRAINING.max_bags]
            rows = [np.arange(bags.offsets[bag], bags.offsets[bag + 1]) for bag in chosen]
            offsets = torch.tensor([0, *np.cumsum([len(row) for row in rows])])
            logits = (logits_of or looped)(net, x[np.concatenate(rows)], offsets)
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, labels[chosen]).backward()
            optimizer.step()

    one_thread(work)


def additive_step(n: int, *, recomputed: bool) -> None:
    """Scores of the additive attention for n segments, forward and backward."""
    from matt.models.pooling import additive_scores

    torch.set_num_threads(1)
    x, q, u = (
        torch.randn(*shape).requires_grad_() for shape in ((n, 128), (N_GENRES, 128), (128,))
    )
    scores = additive_scores(x, q, u) if recomputed else (x[:, None] + q).tanh() @ u
    scores.sum().backward()


def dot_step(n: int, *, embeddings: bool) -> None:
    """Pool n segments with logits (N, G), or with weighted embeddings (N, G, D); no encoder."""
    from matt.models.pooling import segment_softmax, segment_sum

    torch.set_num_threads(1)
    h = torch.randn(n, 128).requires_grad_()
    queries, rows = torch.randn(N_GENRES, 128), torch.randn(N_GENRES, 128)
    offsets = torch.arange(0, n + 1, 5)
    attention = segment_softmax(h @ queries.T, offsets)  # (N, G)
    if embeddings:
        weighted = (attention[:, :, None] * h[:, None]).reshape(n, -1)  # (N, G D)
        pooled = segment_sum(weighted, offsets).reshape(-1, N_GENRES, 128)
        logits = (pooled * rows).sum(-1)
    else:
        logits = segment_sum(attention * (h @ rows.T), offsets)
    logits.sum().backward()


def claims() -> list[Claim]:
    """Steps at two sizes, an epoch, and memory."""
    found: list[Claim] = []
    for n_bags, goal, n_steps in ((160, 2.5, 20), (1_000, 5.0, 4)):
        n = int(bag_sizes(n_bags).sum())
        step = f"attention forward and backward, {n_bags:,} bags, {n:,} segments, one thread"
        made: dict[str, Any] = {
            "ours": partial(steps, ours, n_bags, n_steps),
            "runs": 15,
            "facts": {"n": n_steps},
        }
        loop = partial(steps, looped, n_bags, n_steps)
        alone = partial(steps, encoder_alone, n_bags, n_steps)
        found += [
            Claim(claim=step, peer="a Python loop over the bags", goal=goal, theirs=loop, **made),
            Claim(
                claim=f"{step}: at most 1.4 times the encoder alone",
                peer="encoder and classifier without pooling",
                goal=round(1 / 1.4, 3),
                theirs=alone,
                **made,
            ),
        ]
    n_bags = 3_000
    n = int(bag_sizes(n_bags).sum())
    trainings = [
        Claim(
            claim=f"ten epochs of {n:,} tracks in {n_bags:,} bags, {N_FEATURES} features, {what}, "
            "one thread",
            peer="the same epochs with a Python loop over the bags",
            goal=3.5,
            ours=partial(epochs, n_bags, encoder),
            theirs=partial(epochs_looped, n_bags, encoder),
            facts={"n": n},
        )
        for encoder, what in ENCODERS.items()
    ]
    trainings.append(
        Claim(
            claim=f"ten epochs of {n:,} tracks in {n_bags:,} bags, {N_FEATURES} features, "
            f"{ENCODERS['mlp']}, one thread: at most 1.4 times the encoder alone",
            peer="the same epochs of encoder and classifier, without pooling",
            goal=round(1 / 1.4, 3),
            ours=partial(epochs, n_bags, "mlp"),
            theirs=partial(epochs_looped, n_bags, "mlp", encoder_alone),
            facts={"n": n},
        )
    )
    memory = [
        Claim(
            claim="peak memory of dot attention, 40,000 segments, 16 genres",
            peer="weighted embeddings of shape (N, G, D)",
            goal=2.0,
            ours=partial(dot_step, 40_000, embeddings=False),
            theirs=partial(dot_step, 40_000, embeddings=True),
            runs=3,
            memory=True,
        ),
        Claim(
            claim="peak memory of additive attention, 40,000 segments, 16 genres",
            peer="hidden units of shape (N, G, A)",
            goal=2.0,
            ours=partial(additive_step, 40_000, recomputed=True),
            theirs=partial(additive_step, 40_000, recomputed=False),
            runs=3,
            memory=True,
        ),
    ]
    return [*found, *trainings, *memory]
