"""Several processes train what one would: the same losses, weights, best epoch, stop and end."""

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ranks import keep, kept, launch
from test_models_training import problem

from matt.errors import DataError
from matt.features.store import FeatureStore
from matt.models import training
from matt.models.distributed import ProcessEnded, Ranks, current
from matt.models.neural import NeuralClassifier
from matt.models.settings import ModelSettings, TrainingSettings

HERE = "test_models_distributed"
CPU = torch.device("cpu")
BASE = TrainingSettings(lr=0.02, epochs=5, max_bags=7)  # with sub-bags and the loss of segments
PLAIN = ModelSettings(hidden=(11,), dropout=0.0)
DOT = replace(PLAIN, pooling="dot")
CASES = {
    "mean": (PLAIN, BASE),
    "dot": (DOT, BASE),
    "several genres": (DOT, BASE),
    "true query": (replace(DOT, query="true"), BASE),
    "max": (replace(PLAIN, pooling="max"), replace(BASE, segment_loss=0.0)),
    "clipped": (PLAIN, replace(BASE, optimizer="sgd", lr=0.3, clip_norm=0.1)),
    "capped": (PLAIN, replace(BASE, max_segments=3)),
    "fewer bags than ranks": (DOT, replace(BASE, max_bags=1, epochs=2)),
    "long tail": (
        DOT,
        replace(
            BASE, sampler="sqrt", loss="focal", segment_dropout=0.5, attention_entropy=0.1, lr=0.05
        ),
    ),
    "agreeing average": (
        DOT,
        replace(BASE, agreement=0.5, weight_average=0.9, max_bags=3),
    ),
    "retrained head": (  # where L-BFGS stops must hang on no rounding
        replace(PLAIN, inputs="standard", spread=False),
        replace(BASE, loss="class_balanced", head_tuning="crt", agreement=0.0, weight_average=0.0),
    ),
    "several networks": (
        replace(PLAIN, inputs="quantile"),
        replace(BASE, n_networks=2, epochs=2),
    ),
    "stops early": (PLAIN, replace(BASE, epochs=60, patience=2, lr=0.3)),
    "breaks down": (PLAIN, replace(BASE, optimizer="sgd", lr=0.02)),
}


def data(*, several=False):
    """Thirty bags, of which five of one genre are one: whoever has it has fewer bags."""
    bags, ids, values, offsets = problem(noise=1.5)
    alike = bags.take([0, 3, 6, 9, 12, *np.setdiff1d(np.arange(30), [0, 3, 6, 9, 12])])
    bags = replace(alike, offsets=np.delete(alike.offsets, [1, 2, 3, 4]), labels=alike.labels[4:])
    valid, more_ids, more, more_offsets = problem(10, seed=1, first_id=1000, noise=1.5)
    features = FeatureStore.from_arrays(
        "toy",
        np.append(ids, more_ids),
        np.concatenate([values, more]),
        np.concatenate([offsets, offsets[-1] + more_offsets[1:]]),
    )
    if several:  # each bag has its genre, and every other bag the last one, too
        bags, valid = (
            replace(some, labels=np.eye(3, dtype=bool)[some.labels] | mask(some), train_counts=())
            for some in (bags, valid)
        )
    return features, bags, valid


def mask(bags):
    also = np.zeros((len(bags), 3), bool)
    also[::2, 2] = True
    return also


def fit(name, checkpoint=None):
    model, settings = CASES[name]
    features, bags, valid = data(several=name == "several genres")
    return NeuralClassifier(model, settings).fit(features, bags, valid=valid, checkpoint=checkpoint)


def explode(monkeypatch):
    """Let the third epoch end in weights that are not finite."""
    real = training._epoch

    def epoch(network, *rest, epoch, **given):
        found = real(network, *rest, epoch=epoch, **given)
        if epoch == 3:
            torch.nn.init.constant_(network.classifier.weight, math.inf)
        return found

    monkeypatch.setattr(training, "_epoch", epoch)


def train_all(rank, folder):
    """What each of the processes does for the tests below."""
    talk(rank)
    for name in CASES:
        with pytest.MonkeyPatch.context() as monkeypatch:
            if name == "breaks down":
                explode(monkeypatch)
            keep(fit(name), place(folder, name, rank))


def place(folder, name, rank):
    return Path(folder) / f"{name.replace(' ', '-')}-{rank}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with what two processes made of every case."""
    folder = tmp_path_factory.mktemp("ranks")
    for output, code in launch(folder, HERE, "train_all", folder):
        assert code == 0, output
    return folder


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_what_one_does(trained, name, monkeypatch):
    if name == "breaks down":
        explode(monkeypatch)
    alone = fit(name)
    keep(alone, trained / "alone")
    weights, columns, notes = kept(trained / "alone")
    for rank in (0, 1):  # each has all of it, not only the one that writes
        their_weights, their_columns, their_notes = kept(place(trained, name, rank))
        assert list(their_columns) == list(columns)
        for column, values in columns.items():
            np.testing.assert_allclose(their_columns[column], values, rtol=1e-5, atol=1e-5)
        for key, values in weights.items():
            np.testing.assert_allclose(their_weights[key], values, rtol=1e-4, atol=1e-5)
        assert their_notes == notes
    if name == "stops early":
        assert len(columns["epoch"]) < CASES[name][1].epochs
    if name == "breaks down":
        assert columns["epoch"] == [1, 2]
        assert "training broke down in epoch 3" in notes[0]


def test_both_processes_end_with_the_same_bytes(trained):
    for name in CASES:
        first, second = (kept(place(trained, name, rank)) for rank in (0, 1))
        assert str(first[1:]) == str(second[1:])
        assert all((first[0][key] == second[0][key]).all() for key in first[0])


def test_the_ranks_of_these_tests_have_unequal_bags():
    features, bags, _ = data()
    batches = list(bags.batches(max_bags=7))
    sizes = [
        [len(Ranks(rank, 2).deal(batch, features.counts).bags) for rank in (0, 1)]
        for batch in batches
    ]
    assert any(abs(first - second) > 1 for first, second in sizes)


def talk(rank):
    """What processes tell each other."""
    ranks = current()
    assert (ranks.rank, ranks.size) == (rank, 2)
    assert ranks.first(lambda: {"x": [0.1, math.inf], "of": rank}) == {
        "x": [0.1, math.inf],
        "of": 0,
    }
    assert ranks.first(lambda: None) is None
    assert ranks.total(torch.tensor(rank + 0.5, dtype=torch.float64)) == 2.0
    one, both, none = (torch.nn.Parameter(torch.ones(n)) for n in (2, 3, 5))
    both.grad = torch.full((3,), rank + 1.0)
    one.grad = torch.full((2,), 7.0) if rank else None
    ranks.sum_gradients(torch.nn.ParameterList([one, both, none]))
    assert one.grad.tolist() == [7.0] * 2
    assert both.grad.tolist() == [3.0] * 3
    assert none.grad is None  # so that weight decay leaves it alone, as it does for one process
    ranks.agree("training", {"lr": 0.1})
    with pytest.raises(ProcessEnded if rank else DataError, match="process 1 has another training"):
        ranks.agree("training", {"lr": rank})
    for failing in (0, 1):
        expected = (
            (DataError, "my own")
            if rank == failing
            else (ProcessEnded, f"process {failing} failed")
        )
        with pytest.raises(expected[0], match=expected[1]), ranks.together():
            fail("my own", here=rank == failing)
    with pytest.raises(ProcessEnded if rank else DataError), ranks.together():
        fail("both")
    with pytest.raises(ProcessEnded if rank else DataError):
        ranks.first(fail)


def fail(text="of the first one alone", *, here=True):
    if here:
        raise DataError(text)


def die_in_the_third_epoch(rank, victim, folder):
    real = training._epoch

    def epoch(*rest, epoch, **given):
        if epoch == 3 and rank == int(victim):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*rest, epoch=epoch, **given)

    training._epoch = epoch
    fit("dot", checkpoint=folder)


def go_on(rank, folder, out):
    keep(fit("dot", checkpoint=folder), place(out, "dot", rank))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_and_both_can_go_on(trained, tmp_path, victim):
    folder = tmp_path / "checkpoint"
    found = launch(tmp_path / "killed", HERE, "die_in_the_third_epoch", victim, folder)
    output, code = found[1 - victim]
    assert found[victim][1] == -signal.SIGKILL
    assert code == 1
    assert "ProcessEnded: another process of this training has ended" in output
    if victim == 0:
        assert len(fit("dot", checkpoint=folder).history) == 5  # one can go on for two
        return
    for output, code in launch(tmp_path / "again", HERE, "go_on", folder, tmp_path):
        assert code == 0, output
    for rank in (0, 1):
        (weights, *rest), (resumed, *more) = (
            kept(place(where, "dot", rank)) for where in (trained, tmp_path)
        )
        assert str(more) == str(rest)
        assert all((resumed[name] == weights[name]).all() for name in weights)


MAPS = (32, 64)  # mel bands and frames: narrow ones


def fit_crnn(name, max_bags):
    """Bags of log-mels on the GPU, whose genre is a loud band."""
    bags, ids, _, offsets = problem(11)
    rng = np.random.default_rng(0)
    genre = np.repeat(np.repeat(bags.labels, bags.sizes), np.diff(offsets))
    maps = rng.standard_normal((offsets[-1], *MAPS)) + 3 * np.eye(3, MAPS[0])[genre][..., None]
    features = FeatureStore.from_arrays("maps", ids, maps, offsets)
    settings = replace(BASE, device="cuda", max_bags=int(max_bags), epochs=2)
    return NeuralClassifier(ModelSettings(encoder=name, dropout=0.0), settings).fit(features, bags)


def train_crnn(rank, folder, name, max_bags):
    keep(fit_crnn(name, max_bags), place(folder, "crnn", rank))


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("max_bags", [7, 1])  # 1: one rank has no bag
@pytest.mark.parametrize("name", ["crnn", "crnn_tf"])
def test_two_gpus_share_batch_normalisation(tmp_path, name, max_bags):
    here = tmp_path, name, max_bags
    for output, code in launch(tmp_path, HERE, "train_crnn", *here, backend="cpu:gloo,cuda:nccl"):
        assert code == 0, output
    keep(fit_crnn(name, max_bags), tmp_path / "alone")
    _, columns, _ = kept(tmp_path / "alone")
    for rank in (0, 1):
        _, theirs, _ = kept(place(tmp_path, "crnn", rank))
        np.testing.assert_allclose(theirs["loss"], columns["loss"], rtol=1e-3)
