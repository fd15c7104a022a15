"""A training that is killed goes on to the same bytes; what does not belong to it is refused."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from test_models_training import problem

from matt.bags import Bags
from matt.errors import DataError
from matt.features.store import FeatureStore
from matt.models.checkpoint import FILE
from matt.models.neural import NeuralClassifier
from matt.models.settings import ModelSettings, TrainingSettings

SETTINGS = TrainingSettings(lr=0.05, epochs=9, max_bags=7, threads=1, patience=9, step_epochs=4)
MODELS = {
    "dropout": ModelSettings(hidden=(11,), dropout=0.5),
    "queries": ModelSettings(hidden=(11,), pooling="dot"),
    "input dropout": ModelSettings(hidden=(11,), input_dropout=0.3),
    "frozen": ModelSettings(hidden=(11,), pooling="dot", scale="fixed", frozen_queries=True),
}
PROGRAM = """
import os, signal, sys
import test_models_checkpoint as here

def die(row):
    if row["epoch"] == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

more = {"optimizer": sys.argv[3], "schedule": sys.argv[5], "weight_average": float(sys.argv[6])}
here.fit(sys.argv[1], model=sys.argv[2], progress=die, **more)
"""


def data(shift=0):
    bags, ids, values, offsets = problem(noise=1.5)
    valid, more_ids, more, more_offsets = problem(10, seed=1, first_id=1000, noise=1.5)
    features = FeatureStore.from_arrays(
        "toy",
        np.append(ids, more_ids),
        np.concatenate([values, more]) + shift,
        np.concatenate([offsets, offsets[-1] + more_offsets[1:]]),
    )
    return features, bags, valid


def fit(checkpoint=None, *, model="dropout", settings=SETTINGS, given=None, progress=None, **more):
    features, bags, valid = given or data()
    classifier = NeuralClassifier(MODELS[model], replace(settings, **more))
    return classifier.fit(features, bags, valid=valid, checkpoint=checkpoint, progress=progress)


def saved(model, path):
    model.save(path)
    return (path / "weights.safetensors").read_bytes()


def rows(model):
    """History without seconds, as text: NaN is not equal to itself."""
    return str([{k: v for k, v in row.items() if k != "seconds"} for row in model.history])


def rewrite(path, change):
    """Change the JSON in the header, or the arrays, of a checkpoint."""
    file = path / FILE
    with safe_open(file, "numpy") as opened:
        head = json.loads(opened.metadata()["matt"])
    content = load_file(file)
    change(head, content)
    save_file(content, file, metadata={"matt": json.dumps(head)})


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("model", "optimizer", "epoch", "schedule", "average"),
    [
        ("dropout", "adamw", 4, "cosine", 0.0),
        ("queries", "sgd", 1, "step", 0.0),
        ("frozen", "adamw", 9, "constant", 0.0),
        ("input dropout", "adamw", 3, "constant", 0.9),
    ],
)
def test_a_killed_training_goes_on_to_the_same_bytes(
    tmp_path, model, optimizer, epoch, schedule, average
):
    more = {"optimizer": optimizer, "schedule": schedule, "weight_average": average}
    given = [model, optimizer, str(epoch), schedule, str(average)]
    folder = tmp_path / "kept"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), *given],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    seen = []
    resumed = fit(folder, model=model, progress=seen.append, **more)
    assert [row["epoch"] for row in seen] == list(range(epoch + 1, SETTINGS.epochs + 1))
    whole = fit(model=model, **more)
    assert saved(resumed, tmp_path / "resumed") == saved(whole, tmp_path / "whole")
    assert rows(resumed) == rows(whole)
    seconds = [row["seconds"] for row in resumed.history]
    assert seconds == sorted(seconds)


def test_a_checkpoint_changes_nothing_and_a_whole_one_gives_the_model_at_once(tmp_path):
    plain, kept = fit(), fit(tmp_path / "kept")
    told = []
    again = fit(tmp_path / "kept", progress=told.append)
    files = [saved(model, tmp_path / str(i)) for i, model in enumerate([plain, kept, again])]
    assert files[0] == files[1] == files[2]
    assert told == []
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [FILE]


def test_a_training_that_stopped_early_stays_stopped(tmp_path):
    first = fit(tmp_path / "kept", patience=1, epochs=60)
    assert len(first.history) < 60
    again = fit(tmp_path / "kept", patience=1, epochs=60)
    assert str(again.history) == str(first.history)  # NaN is not equal to itself
    assert saved(again, tmp_path / "a") == saved(first, tmp_path / "b")


def test_a_checkpoint_of_another_training_is_refused(tmp_path, monkeypatch):
    fit(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(DataError, match=r"another training \(training.lr 0.05, now 0.01\)"):
        fit(tmp_path, lr=0.01)
    with pytest.raises(DataError, match=r"model.pooling 'mean', now 'dot'"):
        fit(tmp_path, model="queries")
    features, bags, valid = data()
    labels = bags.labels.copy()
    labels[0] = (labels[0] + 1) % 3
    other = Bags(bags.track_ids, bags.offsets, labels, genres=bags.genres)
    with pytest.raises(DataError, match=r"data.training bags"):
        fit(tmp_path, given=(features, other, valid))
    with pytest.raises(DataError, match=r"data.validation bags .*, now 'none'"):
        fit(tmp_path, given=(features, bags, None))
    with pytest.raises(DataError, match=r"data.moments of the features"):
        fit(tmp_path, given=data(shift=1))
    monkeypatch.setattr(torch, "__version__", "0.0.1")
    with pytest.raises(DataError, match=r"versions.torch .*, now '0.0.1'.* move it away to start"):
        fit(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def _forget(head, arrays):
    del head["columns"]


def _misshape(head, arrays):
    arrays["optimizer.0.exp_avg"] = np.zeros((2, 3), np.float32)


def _lose(head, arrays):
    del arrays["best.classifier.weight"]


def _exceed(head, arrays):
    head["best_epoch"] = 99


def test_a_checkpoint_without_its_average_is_damaged(tmp_path):
    fit(tmp_path, epochs=1, weight_average=0.9)
    rewrite(tmp_path, lambda head, arrays: arrays.pop("average.steps"))
    with pytest.raises(
        DataError, match=r"is damaged .* move it away to start from the first epoch"
    ):
        fit(tmp_path, epochs=1, weight_average=0.9)


@pytest.mark.parametrize("change", [_forget, _misshape, _lose, _exceed])
def test_a_damaged_checkpoint_is_told(tmp_path, change):
    fit(tmp_path, epochs=2)
    rewrite(tmp_path, change)
    with pytest.raises(
        DataError, match=r"is damaged .* move it away to start from the first epoch"
    ):
        fit(tmp_path, epochs=2)


def test_a_file_that_is_no_checkpoint_is_told(tmp_path):
    fit(tmp_path, epochs=1)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot be read .* move it away"):
        fit(tmp_path, epochs=1)
    save_file({"a": np.zeros(2)}, tmp_path / FILE)
    with pytest.raises(DataError, match="has the schema None"):
        fit(tmp_path, epochs=1)
