"""``python -m benchmarks.gpu``: what only a machine with a CUDA device can show.

``make check-gpu`` runs it: the tests marked ``gpu``; steps, epochs and predictions of networks in
float32 and in 16 bits; ``matt train`` as one process under torchrun. The figures go to
``benchmarks/gpu.json``, and ``python -m benchmarks.models --gpu`` puts them into docs/models.md.
Without a CUDA device it says so and ends with exit code 2; ``--device cpu --quick`` rehearses every
part of it, and measures nothing that is worth keeping.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from matt import Bags, NeuralClassifier
from matt.config import Settings
from matt.provenance import versions

from .crnn import training_step
from .models import GPU_FIGURES, N_GENRES, ROOT, settings_of, simulated

PRECISIONS = ("float32", "bfloat16", "float16")
WARM, TIMED = 3, 9  # steps
PATIENCE = 300  # seconds that the tests, or torchrun, may take

Row = dict[str, Any]


class Card:
    """The device that is measured; the CPU in a rehearsal, which has no memory of its own."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.is_cuda = self.device.type == "cuda"

    def describe(self) -> Row:
        """Name, memory and software."""
        if not self.is_cuda:
            return {"card": "none (a rehearsal)", "cuda": None, "versions": versions()}
        found = torch.cuda.get_device_properties(self.device)
        return {
            "card": found.name,
            "memory_gb": round(found.total_memory / 1e9, 1),
            "cuda": torch.version.cuda,
            "versions": versions(),
        }

    def forget(self) -> None:
        """Begin to count memory anew."""
        gc.collect()
        if self.is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_mb(self) -> int | None:
        """Most that torch held since `forget`."""
        return round(torch.cuda.max_memory_allocated(self.device) / 1e6) if self.is_cuda else None

    def seconds(self, work: Callable[[], Any]) -> float:
        """Seconds until all that the work started is done."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)
        start = time.perf_counter()
        work()
        if self.is_cuda:
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - start


def row(card: Card, model: str, work: str, precision: str, n: int, seconds: float) -> Row:
    """One line of the figures."""
    return {
        "model": model,
        "work": work,
        "precision": precision,
        "segments": n,
        "seconds": float(f"{seconds:.4g}"),
        "segments_a_second": round(n / seconds),
        "peak_mb": card.peak_mb(),
    }


def step_row(card: Card, model: str, precision: str, n: int, *, warm: int, timed: int) -> Row:
    """Median of some training steps on made-up log-mels that lie on the card."""
    settings = settings_of(model)
    training = replace(settings.training, precision=precision, device="auto")
    tracks, store = simulated(n, settings)
    x = torch.from_numpy(store.read(tracks.track_id)[0]).to(card.device)
    card.forget()
    step = training_step(settings.model, training, x, torch.arange(n) % N_GENRES)
    took = [card.seconds(step) for _ in range(warm + timed)][warm:]
    return row(card, model, "step", precision, n, statistics.median(took))


def epoch_rows(
    card: Card, model: str, settings: Settings, precisions: Sequence[str], n: int, *, epochs: int
) -> list[Row]:
    """Epochs of a training as it is, without the first one, and prediction of what was learned."""
    tracks, store = simulated(n, settings)
    bags = Bags.from_tracks(tracks, by=settings.bags)
    rows = []
    for precision in precisions:
        card.forget()
        training = replace(
            settings.training, precision=precision, device=card.device.type, epochs=epochs
        )
        classifier = NeuralClassifier(settings.model, training).fit(store, bags)
        ends = [epoch["seconds"] for epoch in classifier.history]
        took = statistics.median(after - before for before, after in pairwise(ends))
        rows.append(row(card, model, "epoch", precision, n, took))
        if precision == "float32":  # as all prediction is
            card.forget()
            classifier.predict(store, tracks, bags)
            took = card.seconds(partial(classifier.predict, store, tracks, bags))
            rows.append(row(card, model, "predict", precision, n, took))
    return rows


def tests(card: Card, *, quick: bool) -> Row:
    """Run the tests marked ``gpu``: how many passed, failed and were skipped."""
    marked = re.compile(r"^(pytestmark|@pytest)\b.*\n?.*mark\.gpu\b", re.MULTILINE)
    files = [
        str(path)
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if marked.search(path.read_text(encoding="utf-8"))
    ]
    # Elsewhere than in the project's own environment other versions warn of other things.
    options = ["-q", "-m", "gpu", "-p", "no:cacheprovider", "-o", "filterwarnings=default"]
    chosen = ["-k", "few or mlp-mean"] if quick else []
    command = [sys.executable, "-m", "pytest", *options, *chosen, *files]
    start = time.perf_counter()
    env = {**os.environ, "MATT_TEST_DEVICE": card.device.type}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    counts = {
        word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)
    }
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", flush=True)
        raise RuntimeError(f"pytest ended with {done.returncode}: {counts}")
    return {**counts, "seconds": round(time.perf_counter() - start, 1)}


def under_torchrun(card: Card) -> Row:
    """``matt train`` of a small table, one process under torchrun: its seconds."""
    with tempfile.TemporaryDirectory(prefix="matt-gpu-") as folder:
        table = write_table(Path(folder))
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=1",
        ]
        options = ["--set", "training.epochs=5", "--device", card.device.type, "--json", "--quiet"]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "-m", "matt", "train", str(table), "--out", f"{folder}/run", *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path])},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        took = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"torchrun ended with {done.returncode}: {done.stderr[-2000:]}")
    return {"seconds": round(took, 1), "tables": len(json.loads(done.stdout)["scores"])}


def write_table(folder: Path, n: int = 480, n_features: int = 12) -> Path:
    """Write a table whose genres differ in one feature each."""
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(n, n_features, generator=draw)
    lines = ["track,artist,album,genre," + ",".join(f"x{k}" for k in range(n_features))]
    for track in range(n):
        genre = track // 8 % 3
        values[track, genre] += 3
        numbers = ",".join(f"{value:.5f}" for value in values[track].tolist())
        lines.append(f"{track},a{track // 8},b{track // 4},g{genre},{numbers}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = ("track", "artist", "album", "genre")
    told = ['table = "table.csv"', *(f'{name} = "{name}"' for name in names), 'features = "x*"']
    (folder / "table.toml").write_text("\n".join(told) + "\n", encoding="utf-8")
    return folder / "table.toml"


def parts(card: Card, *, quick: bool) -> dict[str, Callable[[], list[Row]]]:
    """What is measured, by name; each part gives rows."""
    models, sizes, songs, columns = ("crnn", "crnn_tf"), (16, 256), 1_024, 20_000
    precisions, warm, timed = PRECISIONS, WARM, TIMED
    if quick:
        models, sizes, songs, columns, warm, timed = ("crnn",), (2,), 8, 200, 0, 1
    if not card.is_cuda:
        precisions = PRECISIONS[:2]
    steps = {
        f"{model}, step of {n}, {precision}": partial(
            step_row, card, model, precision, n, warm=warm, timed=timed
        )
        for model in models
        for precision in precisions
        for n in sizes
    }
    crnn, default = (settings_of("crnn"), precisions[:2]), (Settings(), precisions[:1])
    return {
        **{name: lambda work=work: [work()] for name, work in steps.items()},
        "crnn, epochs": partial(epoch_rows, card, "crnn", *crnn, songs, epochs=3),
        "default, epochs": partial(epoch_rows, card, "default", *default, columns, epochs=8),
    }


def measure(card: Card, out: Path, *, quick: bool) -> Row:
    """Do every part and write what was found after each, in case that one does not end.

    A part that fails is told among the problems, and the others go on.
    """
    start = time.perf_counter()
    found: Row = {**card.describe(), "rows": [], "problems": []}

    def attempt(name: str, work: Callable[[], Any]) -> Any:
        print(f"{time.perf_counter() - start:6.1f} s  {name}", flush=True)
        write(out, {**found, "problems": [*found["problems"], f"{name} did not end"]})
        try:
            return work()
        except Exception as error:  # whatever it is, the other figures are worth having
            found["problems"].append(f"{name}: {type(error).__name__}: {error}")
            print(found["problems"][-1], flush=True)
            return None

    for name, work in parts(card, quick=quick).items():
        found["rows"] += attempt(name, work) or []
    found["torchrun"] = attempt("one process under torchrun", partial(under_torchrun, card))
    found["tests"] = attempt("tests", partial(tests, card, quick=quick))
    found["seconds"] = round(time.perf_counter() - start, 1)
    write(out, found)
    return found


def write(out: Path, found: Row) -> None:
    """Write figures as JSON."""
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Check, measure, print the figures and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="little of everything")
    parser.add_argument("--out", type=Path, default=GPU_FIGURES)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("this check needs a CUDA device, and torch finds none here", file=sys.stderr)
        sys.exit(2)
    found = measure(Card(options.device), options.out, quick=options.quick)
    print(json.dumps(found, indent=2))
    sys.exit(1 if found["problems"] else 0)


if __name__ == "__main__":
    main()
