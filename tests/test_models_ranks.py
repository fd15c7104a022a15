"""What one of several ranks is given: a share of a batch and its loss, a device, a network that fits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_models_distributed import DOT, PLAIN, data

from matt.bags import Bags
from matt.errors import ConfigError
from matt.models.distributed import Ranks
from matt.models.losses import BagLoss
from matt.models.network import build_network
from matt.models.reading import Reader
from matt.models.settings import ModelSettings, TrainingSettings

CPU = torch.device("cpu")


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
    objective = BagLoss.of(bags, np.ones(len(bags), np.int64), TrainingSettings())
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
    objective = BagLoss.of(bags, bags.sizes, TrainingSettings())
    loss = objective(output, torch.from_numpy(none.labels), torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss == 0
    assert all(w.grad is None or not w.grad.any() for w in network.parameters())


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
