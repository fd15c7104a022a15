"""Several processes train what one would: the same losses, weights, best epoch, stop and end."""

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ranks import keep, kept, launch
from test_models_training import problem

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.features.store import FeatureStore
from matt.models import training
from matt.models.distributed import ProcessEnded, Ranks, current
from matt.models.losses import BagLoss
from matt.models.network import Output, build_network
from matt.models.neural import NeuralClassifier
from matt.models.reading import Reader
from matt.models.settings import ModelSettings
from matt.models.training_settings import TrainingSettings

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


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=23),
    size=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_a_batch_is_dealt_whole_and_evenly(sizes, size, seed):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(sum(sizes))
    labels = np.arange(len(sizes)) % 3
    bags = Bags(ids, np.concatenate([[0], np.cumsum(sizes)]), labels, genres=("a", "b", "c"))
    counts = rng.integers(1, 6, len(ids))  # of each id
    shares = [Ranks(rank, size).deal(bags, counts.__getitem__) for rank in range(size)]
    dealt = np.concatenate([share.bags.track_ids for share in shares])
    assert sorted(dealt) == sorted(ids)
    assert sum(share.of_bags for share in shares) == pytest.approx(1)
    assert sum(share.of_segments for share in shares) == pytest.approx(1)
    loads = [int(counts[share.bags.track_ids].sum()) for share in shares]
    largest = np.add.reduceat(counts[ids], bags.offsets[:-1]).max()
    assert max(loads) - min(loads) <= largest
    for share, load in zip(shares, loads, strict=True):
        assert share.of_bags == pytest.approx(len(share.bags) / len(bags))
        assert share.of_segments == pytest.approx(load / counts.sum())
        where = [int(np.flatnonzero(ids == one)[0]) for one in share.bags.track_ids]
        assert where == sorted(where)  # in the order of the batch


def test_the_losses_of_shares_sum_to_that_of_the_batch():
    rng = np.random.default_rng(0)
    features, bags, _ = data()
    objective = BagLoss.of(bags, np.ones(len(bags), np.int64), tau=1.0, segment_weight=0.5)
    network = build_network(DOT, (5,), 3)

    def loss(share):
        values, offsets = features.read(share.bags.track_ids)
        whole = torch.from_numpy(offsets[share.bags.offsets])
        output = network(torch.from_numpy(values), whole, torch.zeros(len(values)))
        bag = torch.arange(len(share.bags)).repeat_interleave(whole.diff())
        parts = share.of_bags, share.of_segments
        return objective(output, torch.from_numpy(share.bags.labels), bag, share=parts)

    batch = bags.take(rng.permutation(len(bags))[:2])
    whole = loss(Ranks().deal(batch, features.counts))
    parts = [loss(Ranks(rank, 3).deal(batch, features.counts)) for rank in range(3)]
    torch.testing.assert_close(sum(parts), whole)
    assert min(parts) == 0  # one of three has none of two bags


@pytest.mark.parametrize("memory", [2**30, 0])
@pytest.mark.parametrize("pooling", ["mean", "max", "shared", "abmil", "dot", "additive", "scalar"])
def test_a_network_takes_no_bag_at_all(pooling, memory):
    """It has to: batch normalisation of several ranks waits for all of them."""
    features, bags, _ = data()
    reader = Reader.open(features, bags.track_ids, CPU, max_bytes=memory)
    network = build_network(replace(DOT, pooling=pooling, pooled_dropout=0.5), (5,), 3)
    none = bags.take([])
    ((x, track_offsets),) = reader.each([none.track_ids])
    output = network(x, torch.from_numpy(track_offsets[none.offsets]), torch.zeros(0))
    assert isinstance(output, Output)
    objective = BagLoss.of(bags, bags.sizes, tau=1.0, segment_weight=0.5)
    loss = objective(output, torch.from_numpy(none.labels), torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss == 0
    assert all(w.grad is None or not w.grad.any() for w in network.parameters())


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


def test_batch_normalisation_is_refused_where_ranks_cannot_share_it():
    network = build_network(ModelSettings(encoder="crnn"), (96, 16), 3)
    with pytest.raises(ConfigError, match=r"batch normalisation, which 2 processes .* one process"):
        Ranks(0, 2).adapt(network, CPU)
    assert Ranks().adapt(network, CPU) is network
    plain = build_network(PLAIN, (5,), 3)
    assert Ranks(1, 2).adapt(plain, CPU) is plain


def test_each_rank_has_a_device_of_its_own(monkeypatch):
    set_to = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", set_to.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Ranks(3, 4).device("auto") == Ranks(3, 4).device("cuda") == torch.device("cuda:1")
    assert set_to == [1, 1]
    assert Ranks(3, 4).device("cpu") == CPU
    with pytest.raises(ConfigError, match="'cuda:0' cannot serve 4 processes; use device='cuda'"):
        Ranks(3, 4).device("cuda:0")
    assert Ranks().device("cuda:0") == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match=r"process 2 .* has no GPU, there are 2; start --nproc"):
        Ranks(3, 4).device("auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Ranks(3, 4).device("auto") == CPU
