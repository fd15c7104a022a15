"""Processes that train together, for tests: each runs a function of a module of tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from matt.models.trained import network_arrays

PATIENCE = 300  # seconds, after which a test fails: never waited for
PROGRAM = """
import importlib, os, sys
import torch.distributed as dist

backend, rank, size, place, module, function, *rest = sys.argv[1:]
dist.init_process_group(
    backend, init_method="file://" + place, rank=int(rank), world_size=int(size)
)
getattr(importlib.import_module(module), function)(int(rank), *rest)
dist.destroy_process_group()
sys.stdout.flush()
os._exit(0)  # as matt.cli ends: torch's threads abort some processes that tear them down
"""


def launch(folder, module, function, *rest, size=2, backend="gloo"):
    """Output and exit code of each rank, once all have ended."""
    folder.mkdir(exist_ok=True)
    place = folder / "meeting"
    here = Path(__file__).parent
    paths = [str(here.parent / "src"), str(here), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [
                *(sys.executable, "-c", PROGRAM, backend, str(rank), str(size), str(place)),
                *(module, function, *map(str, rest)),
            ],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        return [(rank.communicate(timeout=PATIENCE)[0], rank.returncode) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()


def keep(model, path):
    """Write what a training came to."""
    state = network_arrays(model._networks)
    np.savez(path, **state)
    path.with_suffix(".json").write_text(json.dumps([model.history, list(model.notes)]))


def kept(path):
    """Weights by name, the history by column, and the notes."""
    history, notes = json.loads(path.with_suffix(".json").read_text())
    columns = {name: [row[name] for row in history] for name in history[0] if name != "seconds"}
    with np.load(path.with_suffix(".npz")) as weights:
        return dict(weights), columns, notes
