"""``python -m benchmarks.models``: parameters, speed and memory of every model in ``experiments/``.

Writes docs/models.md. Features are simulated, with the shapes of FMA's columns and of the paper's
log-mel; every row is measured in a process of its own, on one thread. What a GPU does stands in
gpu.json, see `benchmarks.gpu`; ``--gpu`` puts that alone into the page.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from matt import Bags, FeatureStore, Tracks, config
from matt.config import Settings
from matt.evaluation.tables import Column, Table
from matt.runs import versions

from .paired import resident_peak

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "models.md"
GPU_FIGURES = Path(__file__).parent / "gpu.json"
GPU_HEADING = "## On a GPU\n"
N_GENRES, ALBUM, RUNS = 16, 4, 3
N_VECTORS, N_MAPS, N_FITTED = 640, 16, 4_000  # segments of a step; tracks that a baseline learns
GENRES = tuple(f"genre {number}" for number in range(N_GENRES))
NETWORKS_NOTE = (
    "A step is forward, backward and the optimiser. Times are a segment, where a step or a "
    f"prediction took {N_VECTORS} segments of 518 columns or {N_MAPS} log-mels at once. Memory is "
    "what it took at its peak beyond what was there before. It grows with training.max_segments."
)
BASELINES_NOTE = (
    f"Of scikit-learn; each learned {N_FITTED:,} lone tracks of random values, which is harder "
    "than music, and predicted them."
)
GPU_NOTE = (
    "A step is forward, backward and the optimiser, on log-mels that lie on the card; an epoch is "
    "training alone, crnn with 16 lone tracks a step, the default with up to 160 albums of four. "
    "Peak memory is what torch held on the card, the features of an epoch included."
)
TEXT = """\
# The models

<!-- Written by `python -m benchmarks.models`: change that, not this page. -->

Every model of the paper is a file in `experiments/`, for example `matt train SOURCE --config
experiments/mlp_matt.toml --out runs/mlp_matt`. [Method](method.md) has the rows of the paper,
{py:class}`matt.models.settings.ModelSettings` says what each setting means.

Measured on one thread of one core with simulated features: FMA's 518 columns, or the paper's
log-mel of 96 bands and 1,360 frames; one segment a track, albums of four tracks, sixteen genres;
each row in a process of its own.

"""


def names() -> list[str]:
    """Names of the configurations of one model."""
    found = (ROOT / "experiments").glob("*.toml")
    others = ("grid_", "beyond_")
    return sorted(path.stem for path in found if not path.stem.startswith(others))


def settings_of(name: str) -> Settings:
    """Settings of a file in ``experiments/``."""
    return config.load(ROOT / "experiments" / f"{name}.toml")


def simulated(n: int, settings: Settings) -> tuple[Tracks, FeatureStore]:
    """Tracks in albums of four, with values of the shape that the model reads."""
    rng = np.random.default_rng(0)
    album = np.arange(n) // ALBUM
    spec = settings.features.spec()
    tracks = Tracks(np.arange(n), album % N_GENRES, GENRES, artist_id=album, album_id=album)
    values = rng.standard_normal((n, *spec.shape), dtype=np.float32).astype(spec.dtype)
    return tracks, FeatureStore.from_arrays(spec.name, tracks.track_id, values)


def network_row(name: str) -> dict[str, Any]:
    """Parameters, milliseconds a segment and megabytes of a network."""
    import torch

    from matt.models.losses import BagLoss
    from matt.models.network import build_network
    from matt.models.optimisation import make_optimizer
    from matt.models.pooling import bag_index

    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = settings_of(name)
    spec = settings.features.spec()
    n = N_MAPS if len(spec.shape) > 1 else N_VECTORS
    tracks, store = simulated(n, settings)
    bags = Bags.from_tracks(tracks, by=settings.bags)
    x = torch.from_numpy(store.read(bags.track_ids)[0])
    offsets, labels = torch.from_numpy(bags.offsets), torch.from_numpy(bags.labels)
    alone = torch.zeros(n)  # log of one segment a track
    network = build_network(settings.model, spec.shape, N_GENRES)
    n_parameters = sum(value.numel() for value in network.parameters())
    optimizer = make_optimizer(network, settings.training)
    objective = BagLoss.of(bags, bags.sizes, settings.training)
    genre = labels if settings.model.query == "true" else None

    def step() -> None:
        network.train()
        optimizer.zero_grad()
        output = network(x, offsets, alone, genre=genre)
        objective(output, labels, bag_index(offsets)).backward()
        optimizer.step()

    @torch.no_grad()
    def predict() -> None:
        network.eval()
        network.pool(network.segments(x, alone), offsets)

    before = resident_peak()
    predict()
    in_prediction = resident_peak() - before
    step()
    in_training = resident_peak() - before
    return {
        "model": name,
        "encoder": settings.model.encoder,
        "pooling": settings.model.pooling,
        "trained on": "lone tracks" if settings.bags == "track" else "albums",
        "parameters": n_parameters,
        "predict": 1e3 * _seconds(predict) / n,
        "step": 1e3 * _seconds(step) / n,
        "memory predict": round(in_prediction),
        "memory step": round(in_training),
    }


@threadpool_limits.wrap(limits=1)
def baseline_row(name: str) -> dict[str, Any]:
    """Seconds and kilobytes of a baseline of scikit-learn."""
    from matt.models.baselines import BaselineClassifier

    settings = settings_of(name)
    assert settings.baseline is not None
    tracks, store = simulated(N_FITTED, settings)
    bags = Bags.from_tracks(tracks, by="track")
    model = BaselineClassifier(settings.baseline)
    start = time.perf_counter()
    model.fit(store, bags)
    fitted = time.perf_counter() - start
    return {
        "model": name,
        "fit": fitted,
        "predict": 1e3 * _seconds(lambda: model.predict(store, tracks, bags)) / N_FITTED,
    }


def _seconds(work: Callable[[], Any]) -> float:
    """Median of a few runs."""
    found = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def alone(work: Callable[[str], dict[str, Any]], name: str) -> dict[str, Any]:
    """Do the work in a process of its own, whose peak of memory is its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(work, (name,))


def network_table(rows: list[dict[str, Any]]) -> Table:
    """What networks cost."""
    names = ("model", "encoder", "pooling", "trained on")
    numbers = (("parameters", "int"), ("predict, ms", "number"), ("step, ms", "number"))
    memory = (("predict, MB", "int"), ("step, MB", "int"))
    columns = (*map(Column, names), *(Column(*pair) for pair in (*numbers, *memory)))
    return Table(
        "Networks",
        columns,
        tuple(tuple(row.values()) for row in rows),
        (NETWORKS_NOTE,),
    )


def baseline_table(rows: list[dict[str, Any]]) -> Table:
    """What baselines cost."""
    columns = Column("model"), Column("fit, s", "number"), Column("predict, ms a track", "number")
    return Table(
        "Baselines",
        columns,
        tuple(tuple(row.values()) for row in rows),
        (BASELINES_NOTE,),
    )


def gpu_section(figures: dict[str, Any] | None) -> str:
    """What the page says of a GPU, from the figures of `benchmarks.gpu`."""
    if figures is None:
        return (
            f"{GPU_HEADING}\nNot measured yet. Where there is a CUDA device, `make check-gpu` runs "
            "the tests that need one, and measures.\n"
        )
    names, numbers = ("model", "work", "precision"), ("segments a second", "peak memory, MB")
    columns = (
        *map(Column, names),
        Column("segments", "int"),
        Column("seconds", "number"),
        *(Column(name, "int") for name in numbers),
    )
    rows = tuple(tuple(row.values()) for row in figures["rows"])
    used = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    tests, launched = figures["tests"], figures["torchrun"]["seconds"]
    return (
        f"{GPU_HEADING}\nOn one {figures['card']}, with simulated features as above. "
        f"`make check-gpu` took {figures['seconds'] / 60:.1f} minutes: {tests['passed']} tests "
        f"that need a GPU passed in {tests['seconds']:.0f} s, and `matt train` of a small table "
        f"as one process under torchrun took {launched:.0f} s, most of it to start.\n\n"
        f"{Table('On a GPU', columns, rows, (GPU_NOTE,)).to_markdown()}\n"
        f"Measured with CUDA {figures['cuda']}, {used}.\n"
    )


def gpu_figures() -> dict[str, Any] | None:
    """What was measured on a GPU, if anything was."""
    if not GPU_FIGURES.exists():
        return None
    found: dict[str, Any] = json.loads(GPU_FIGURES.read_text(encoding="utf-8"))
    if found["problems"]:
        raise SystemExit(f"{GPU_FIGURES} is not whole: {'; '.join(found['problems'])}")
    return found


def page(networks: list[dict[str, Any]], baselines: list[dict[str, Any]]) -> str:
    """The text of docs/models.md."""
    tables = network_table(networks).to_markdown(), baseline_table(baselines).to_markdown()
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    measured = TEXT + "\n".join(tables) + f"\nMeasured with {used}.\n"
    return f"{measured}\n{gpu_section(gpu_figures())}"


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models")
    parser.add_argument("--gpu", action="store_true", help="only what gpu.json holds")
    if parser.parse_args().gpu:
        kept, _, _ = PAGE.read_text(encoding="utf-8").partition(f"\n{GPU_HEADING}")
        PAGE.write_text(f"{kept}\n{gpu_section(gpu_figures())}", encoding="utf-8")
        return
    networks: list[dict[str, Any]] = []
    baselines: list[dict[str, Any]] = []
    for name in names():
        if settings_of(name).baseline is None:
            networks.append(alone(network_row, name))
        else:
            baselines.append(alone(baseline_row, name))
        print(name, flush=True)
    PAGE.write_text(page(networks, baselines), encoding="utf-8")
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
