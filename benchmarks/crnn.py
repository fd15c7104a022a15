"""A training step of the paper's CRNN beside a plain one, and the accuracy of either precision.

Both take 16 made-up log-mels of 96 x 1360 forward and backward through four convolution blocks with
a dropout of 0.1 and two GRUs, and AdamW does its step. The plain one is the network as one would
first write it: float32, torch's own layout of maps, each block in the order of the paper
(convolution, normalisation, activation, pooling) with a dropout of single values. Ours computes the
same function in bfloat16 and in float32; beside them stands bfloat16 with a dropout of whole
channels, which is another regulariser.

``python -m benchmarks.crnn`` prints the validation macro-F1 of both precisions on the synthetic
library, seed by seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from matt import Bags, FeatureSpec, FeatureStore, Tracks
from matt.audio import SegmentPolicy
from matt.models.crnn import CHANNELS, CRNN_POOLS, same_max_pool
from matt.models.device import reproducible
from matt.models.network import build_network
from matt.models.neural import NeuralClassifier
from matt.models.optimisation import autocast, make_optimizer, make_scaler, step
from matt.models.settings import ModelSettings, TrainingSettings
from matt.splits import by_artist

from .paired import Claim

N_CLIPS, SHAPE, N_GENRES, THREADS = 16, (96, 1360), 16, 2
BLOCK_DROPOUT, DROPOUT, UNITS = 0.1, 0.3, 32
MODEL = ModelSettings(encoder="crnn", dropout=DROPOUT, block_dropout=BLOCK_DROPOUT)
TRAINING = TrainingSettings(precision="bfloat16", threads=THREADS)
CPU = torch.device("cpu")
FLAGS = ("amx_bf16", "avx512_bf16")  # matrix instructions, as Linux calls them
SEEDS, N_TRACKS, EPOCHS = range(5), 400, 12  # of the accuracies
KINDS = {  # precision, and whether dropout is of whole channels
    "float32, values": ("float32", False),
    "float32, channels": ("float32", True),
    "bfloat16, values": ("bfloat16", False),
    "bfloat16, channels": ("bfloat16", True),
}


class Plain(nn.Module):
    """The CRNN layer by layer, with torch's own start of weights."""

    def __init__(self) -> None:
        super().__init__()
        sizes = list(pairwise((1, *CHANNELS)))
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b, eps=1e-3) for _, b in sizes)
        self.gru = nn.GRU(CHANNELS[-1], UNITS, num_layers=2, batch_first=True)
        self.between, self.last = nn.Dropout(BLOCK_DROPOUT), nn.Dropout(DROPOUT)
        self.head = nn.Linear(UNITS, N_GENRES)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, T) -> (N, G)."""
        maps = x[:, None]  # (N, 1, F, T)
        for convolution, norm, pool in zip(self.convolutions, self.norms, CRNN_POOLS, strict=True):
            maps = self.between(same_max_pool(norm(convolution(maps)).relu(), pool))
        steps = maps.permute(0, 3, 1, 2).flatten(2)  # (N, T', C * F')
        logits: Tensor = self.head(self.last(self.gru(steps)[0][:, -1]))
        return logits


@cache
def batch() -> tuple[Tensor, Tensor]:
    """Standardised log-mels and their genres."""
    draw = torch.Generator().manual_seed(0)
    return torch.randn(N_CLIPS, *SHAPE, generator=draw), torch.arange(N_CLIPS) % N_GENRES


def training_step(
    model: ModelSettings, training: TrainingSettings, x: Tensor, genres: Tensor
) -> Callable[[], None]:
    """One step of a network, each segment being a bag, on the device of the segments."""
    torch.manual_seed(0)
    device = x.device
    network = build_network(model, x.shape[1:], N_GENRES).to(device).train()
    optimizer, scaler = make_optimizer(network, training), make_scaler(training, device)
    offsets = torch.arange(len(x) + 1, device=device)
    alone, genres = torch.zeros(len(x), device=device), genres.to(device)

    def work() -> None:
        with autocast(training, device):
            output = network(x, offsets, alone)
        loss = nn.functional.cross_entropy(output.logits, genres)
        step(loss, network, optimizer, clip_norm=0.0, scaler=scaler)

    return work


@cache
def ours(precision: str, by_channel: bool) -> Callable[[], None]:
    """One step of ours, made once."""
    model = replace(MODEL, channel_dropout=by_channel)
    return training_step(model, replace(TRAINING, precision=precision), *batch())


@cache
def theirs() -> Any:
    """One step of the plain network, made once."""
    torch.manual_seed(0)
    network = Plain().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=TRAINING.lr)

    def work() -> None:
        x, genres = batch()
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), genres).backward()
        optimizer.step()

    return work


def done(make: Any) -> None:
    """Do a step on the threads of the claim."""
    with reproducible(TRAINING, CPU):
        make()()


def matrix_instructions() -> list[str]:
    """Which the CPU has for bfloat16; empty where that cannot be read."""
    file = Path("/proc/cpuinfo")
    words = set(file.read_text(encoding="utf-8").split()) if file.exists() else set()
    return [flag for flag in FLAGS if flag in words]


def claims() -> list[Claim]:
    """A step in either precision; the goals are those of CPUs with and without instructions."""
    there = matrix_instructions()
    told = ", ".join(there) or "none"
    kinds = {
        f"bfloat16 (instructions: {told})": (3.0 if there else 1.8, "bfloat16", False),
        f"bfloat16, dropout of channels (instructions: {told})": (
            3.0 if there else 1.8,
            "bfloat16",
            True,
        ),
        "float32": (1.8, "float32", False),
    }
    return [
        Claim(
            f"CRNN training step, {N_CLIPS} log-mels of 96 x 1360, {THREADS} threads, {name}",
            "a plain float32 CRNN",
            goal,
            partial(done, partial(ours, precision, by_channel)),
            partial(done, theirs),
            facts={"instructions": told},
        )
        for name, (goal, precision, by_channel) in kinds.items()
    ]


def library(folder: Path) -> tuple[Tracks, FeatureStore]:
    """The synthetic library, and log-mels of 8 s of it with half the bands."""
    from matt.datasets.folder import scan
    from matt.datasets.synthetic import write_library
    from matt.features.extract import extract

    write_library(folder / "music", tracks=N_TRACKS)
    tracks = scan(folder / "music").tracks
    cut = SegmentPolicy("first", duration=8.0, short="pad")
    spec = FeatureSpec.logmel("narrow", hop_length=512, n_mels=48, segments=cut)
    extract(tracks, spec, folder / "store", workers=1)
    return tracks, FeatureStore.open(folder / "store")


def reached(tracks: Tracks, features: FeatureStore, seed: int) -> dict[str, float]:
    """Validation macro-F1 of each kind of training, which begin with the same weights."""
    given = tracks.take(np.isin(tracks.track_id, features.track_ids) & tracks.labelled)
    given = by_artist(given, validation=0.3, test=0.05, seed=seed)
    bags, valid = (
        Bags.from_tracks(given, by="track", split=split) for split in ("training", "validation")
    )
    found = {}
    for name, (precision, by_channel) in KINDS.items():
        training = TrainingSettings(
            precision=precision, epochs=EPOCHS, patience=EPOCHS, max_bags=N_CLIPS, seed=seed
        )
        model = NeuralClassifier(replace(MODEL, channel_dropout=by_channel), training)
        history = model.fit(features, bags, valid=valid).history
        found[name] = max(row["valid_macro_f1"] for row in history)
    return found


def main() -> None:
    """Print the validation macro-F1 of each kind of training, seed by seed and on average."""
    every = []
    with tempfile.TemporaryDirectory(prefix="matt-bench-") as folder:
        tracks, features = library(Path(folder))
        for seed in SEEDS:
            every.append(reached(tracks, features, seed))
            print(seed, {name: round(value, 3) for name, value in every[-1].items()}, flush=True)
    first = np.array([row["float32, values"] for row in every])
    for name in KINDS:
        own = np.array([row[name] for row in every])
        apart = own - first
        print(
            f"{name}: {own.mean():.3f}; to {next(iter(KINDS))} {apart.mean():+.3f} "
            f"+- {1.96 * apart.std(ddof=1) / len(own) ** 0.5:.3f}"
        )


if __name__ == "__main__":
    main()
