"""A short command: ``matt predict`` on a folder whose features are there, with and without torch.

The folder is synthetic, 100 albums of short files; the model is the default's, three networks
beside an SVM, boosted trees and a logistic regression, trained briefly. The torch way is the same
model without its graph: it is opened with torch and predicts through it.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np

from matt.bags import Bags
from matt.datasets.folder import scan
from matt.datasets.synthetic import write_library
from matt.features.extract import extract
from matt.features.store import FeatureStore
from matt.models.baselines import BaselineClassifier
from matt.models.blend import BESIDE, CALLED, BlendClassifier
from matt.models.neural import NeuralClassifier
from matt.models.saving import GRAPH, MODEL
from matt.models.settings import TrainingSettings
from matt.splits import by_artist

from .paired import Claim

N_TRACKS = 420  # of about 100 albums
_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def folder() -> Path:
    """Hold music, features and the model in two forms."""
    from matt.config import Settings

    _kept.append(tempfile.TemporaryDirectory(prefix="matt-bench-"))
    root = Path(_kept[-1].name)
    write_library(root / "music", tracks=N_TRACKS, seconds=(1.0, 1.6))
    found = scan(root / "music")
    extract(found.tracks, Settings().features.spec(), root / "store", salvage=True)
    store = FeatureStore.open(root / "store")
    tracks = found.tracks.take(np.isin(found.tracks.track_id, store.track_ids))
    tracks = by_artist(tracks, validation=0.2, test=0.0)
    train, valid = (
        Bags.from_tracks(tracks.take(tracks.split == split)).labelled()
        for split in ("training", "validation")
    )
    network = NeuralClassifier(training=TrainingSettings(epochs=2, n_networks=3))
    model = BlendClassifier(network, ())
    for name in CALLED:  # without a search, which decides nothing here
        settings = {**vars(BESIDE), "classifier": name, "search": False}
        model.others[name] = BaselineClassifier(type(BESIDE)(**settings))
    model.fit(store, train, valid=valid).save(root / "arrays")
    shutil.copytree(root / "arrays", root / "torch")
    _take_graph(root / "torch")
    return root


def _take_graph(model: Path) -> None:
    """Leave a blend as it was saved before there were graphs."""
    from matt.models import blend

    content = json.loads((model / "network" / MODEL).read_text("utf-8"))
    del content["graph_sha256"]
    (model / "network" / MODEL).write_text(json.dumps(content), encoding="utf-8")
    (model / "network" / GRAPH).unlink()
    whole = json.loads((model / MODEL).read_text("utf-8"))
    whole["members"][0]["sha256"] = blend._digest(model / "network")
    (model / MODEL).write_text(json.dumps(whole), encoding="utf-8")


def predict(kind: str) -> None:
    """Run the command in a process of its own."""
    root = folder()
    command = [sys.executable, "-m", "matt", "predict", root / "music", "--model", root / kind]
    given = [*map(str, command), "--store", str(root / "store"), "--salvage", "--json", "--quiet"]
    done = subprocess.run(given, capture_output=True, check=False, env=dict(os.environ))
    if done.returncode not in (0, 3):  # planted files failed
        raise RuntimeError(done.stderr.decode())


def _processor(kind: str) -> float:
    """Seconds of processor time, which other work on the machine changes less than wall time."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start = spent()
    predict(kind)
    return spent() - start


def claims() -> list[Claim]:
    """Wall time and processor time of the command."""
    what = "matt predict on a folder of 100 albums whose features are there"
    facts = {"n": N_TRACKS, "data": "synthetic"}
    return [
        Claim(
            claim=f"{what}, wall time",
            peer="the same through torch",
            goal=2.0,
            ours=partial(predict, "arrays"),
            theirs=partial(predict, "torch"),
            before=folder,
            runs=3,
            facts=facts,
        ),
        Claim(
            claim=f"{what}, processor time",
            peer="the same through torch",
            goal=2.0,
            pair=lambda: (_processor("arrays"), _processor("torch")),
            before=folder,
            runs=3,
            facts=facts,
        ),
    ]
