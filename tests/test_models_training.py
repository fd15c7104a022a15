"""The training loop: evaluation without dropout or gradients, best weights, seeds, broken losses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, recall_score

from matt.bags import Bags
from matt.errors import ConfigError
from matt.evaluation import metrics
from matt.features.store import FeatureStore
from matt.models import training
from matt.models.device import find_device, reproducible
from matt.models.network import BagNetwork, build_network
from matt.models.reading import Reader
from matt.models.settings import ModelSettings, TrainingSettings
from matt.models.training import train
from matt.recipes import PLAIN

CPU = torch.device("cpu")
F, G = 5, 3
FAST = TrainingSettings(lr=0.02, epochs=8, max_bags=7, threads=1)
COLUMNS = [
    "epoch",
    "loss",
    "valid_loss",
    "valid_macro_f1",
    "valid_tail_recall",
    "scale",
    "capped_bags",
    "seconds",
]


def problem(n_bags=30, seed=0, *, first_id=0, noise=0.7):
    """Bags of 1 to 4 tracks of 1 or 2 segments, whose genre shifts one feature."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, n_bags)
    labels = np.arange(n_bags) % G
    ids = first_id + np.arange(sizes.sum())
    counts = rng.integers(1, 3, len(ids))
    genre = np.repeat(np.repeat(labels, sizes), counts)
    values = np.eye(G, F)[genre] * 2 + noise * rng.standard_normal((len(genre), F))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    bags = Bags(ids, np.concatenate([[0], np.cumsum(sizes)]), labels, genres=("a", "b", "c"))
    return bags, ids, values, offsets


@pytest.fixture
def data():
    bags, ids, values, offsets = problem()
    valid, more_ids, more, more_offsets = problem(10, seed=1, first_id=1000)
    features = FeatureStore.from_arrays(
        "toy",
        np.append(ids, more_ids),
        np.concatenate([values, more]),
        np.concatenate([offsets, offsets[-1] + more_offsets[1:]]),
    )
    return features, bags, valid


def run(data, settings=FAST, *, model=None, valid=True, max_bytes=2**30, **given):
    features, bags, some = data
    history = []
    with reproducible(settings, CPU):
        network = build_network(model or ModelSettings(hidden=(11,)), (F,), G)
        every = np.append(bags.track_ids, some.track_ids)
        train(
            network,
            Reader.open(features, every, CPU, max_bytes=max_bytes),
            bags,
            settings=settings,
            history=history,
            valid=some if valid else None,
            **given,
        )
    return network, history


def weights(network):
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def without_seconds(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def test_history_has_one_row_an_epoch(data):
    told = []
    _, history = run(data, progress=told.append)
    assert told == history
    assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))
    assert all(list(row) == COLUMNS for row in history)
    assert history[-1]["loss"] < history[0]["loss"]
    seconds = [row["seconds"] for row in history]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("model", [{}, {"pooling": "dot", "query": "true"}, {"pooling": "shared"}])
def test_every_setting_learns(data, optimizer, model):
    settings = replace(FAST, optimizer=optimizer, lr=0.02 if optimizer == "adamw" else 0.2)
    given = {"true_query": model.get("query") == "true"}
    _, history = run(data, settings, model=ModelSettings(hidden=(11,), **model), **given)
    assert max(row["valid_macro_f1"] for row in history) > 0.8


@pytest.mark.parametrize("true_query", [True, False])
def test_bags_are_trained_with_the_query_that_was_asked_for(data, monkeypatch, true_query):
    given = []
    real = BagNetwork.forward

    def watch(network, *rest, genre=None):
        given.append(genre)
        return real(network, *rest, genre=genre)

    monkeypatch.setattr(BagNetwork, "forward", watch)
    model = ModelSettings(hidden=(11,), pooling="dot")
    run(data, replace(FAST, epochs=1), model=model, true_query=true_query)
    _, bags, _ = data
    if true_query:  # every training bag once, with its own label
        assert torch.cat(given).sort().values.tolist() == sorted(bags.labels.tolist())
    else:
        assert set(given) == {None}


def test_the_best_epoch_is_kept(data, monkeypatch):
    """The weights after training are those of the best macro-F1, ties going to the lower loss."""
    seen = []
    real = training.validate

    def watch(network, *rest):
        row = real(network, *rest)
        seen.append((row["valid_macro_f1"], -row["valid_loss"], weights(network)))
        return row

    monkeypatch.setattr(training, "validate", watch)
    network, history = run(data, replace(FAST, lr=0.3, epochs=15))
    best = max(seen, key=lambda entry: entry[:2])
    torch.testing.assert_close(weights(network), best[2], rtol=0, atol=0)
    assert not torch.equal(weights(network), seen[-1][2])
    assert len(history) == len(seen)
    assert not network.training


def test_training_stops_when_nothing_gets_better(data, monkeypatch):
    row = {"valid_loss": 1.0, "valid_macro_f1": 0.5, "valid_tail_recall": 0.0}
    monkeypatch.setattr(training, "validate", lambda *rest: dict(row))
    _, history = run(data, replace(FAST, epochs=50, patience=3))
    assert len(history) == 1 + 3


def test_without_validation_the_last_epoch_counts(data):
    network, history = run(data, valid=False)
    assert len(history) == FAST.epochs
    assert all(math.isnan(row["valid_macro_f1"]) for row in history)
    longer, _ = run(data, replace(FAST, epochs=FAST.epochs + 1), valid=False)
    assert not torch.equal(weights(network), weights(longer))


def test_equal_seeds_give_equal_models_and_others_do_not(data):
    first, history = run(data)
    torch.manual_seed(99)  # torch's own generator has no say
    second, again = run(data)
    torch.testing.assert_close(weights(first), weights(second), rtol=0, atol=0)
    assert str(without_seconds(history)) == str(
        without_seconds(again)
    )  # NaN is not equal to itself
    other, _ = run(data, replace(FAST, seed=1))
    assert not torch.equal(weights(first), weights(other))


def test_generator_and_threads_are_left_as_they_were(data):
    state, n_threads = torch.get_rng_state(), torch.get_num_threads()
    run(data)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == n_threads


def test_memory_and_store_train_the_same(data):
    from_memory, _ = run(data)
    from_store, _ = run(data, max_bytes=0)
    torch.testing.assert_close(weights(from_memory), weights(from_store), rtol=0, atol=0)


def test_evaluation_runs_without_dropout_and_gradients(data):
    modes = []
    settings = replace(FAST, epochs=2)
    features, bags, valid = data
    network = build_network(ModelSettings(hidden=(11,)), (F,), G)
    network.encoder.register_forward_hook(
        lambda module, x, h: modes.append((module.training, torch.is_grad_enabled(), len(h)))
    )
    every = np.append(bags.track_ids, valid.track_ids)
    reader = Reader.open(features, every, CPU)
    train(network, reader, bags, settings=settings, history=[], valid=valid)
    n_valid = features.counts(valid.track_ids).sum()
    evaluated = [mode for mode in modes if not mode[0]]
    assert evaluated == [(False, False, n_valid)] * 2
    assert {mode[1] for mode in modes if mode[0]} == {True}


def test_the_validation_score_is_track_weighted_macro_f1(data):
    model = ModelSettings(hidden=(11,), spread=False)
    network, history = run(data, replace(FAST, epochs=1), model=model)
    features, _, valid = data
    values, offsets = features.read(valid.track_ids)
    truth, said, shares = [], [], []
    for b in range(len(valid)):
        tracks = range(valid.offsets[b], valid.offsets[b + 1])
        alone = []
        for k in tracks:
            x = torch.from_numpy(values[offsets[k] : offsets[k + 1]])
            alone.append(network.classifier(network.encoder(network.inputs(x))).mean(0))
        logits = torch.stack(alone).mean(0)  # the mean of tracks, whatever their lengths
        shares.append(torch.stack(alone).softmax(1).mean(0).argmax().item())
        truth += [valid.labels[b]] * len(tracks)
        said += [logits.argmax().item()] * len(tracks)
    expected = metrics.macro_f1(metrics.confusion_matrix(np.array(truth), np.array(said), G))
    assert history[0]["valid_macro_f1"] == pytest.approx(expected)
    _, history = run(data, replace(FAST, epochs=1, validate="average"), model=model)
    said = np.repeat(shares, valid.sizes)
    expected = metrics.macro_f1(metrics.confusion_matrix(np.array(truth), said, G))
    assert history[0]["valid_macro_f1"] == pytest.approx(expected)


def test_plain_training_agrees_with_a_loop_over_bags(data):
    """One epoch of SGD, without dropout or sub-bags, written out bag by bag."""
    settings = replace(
        PLAIN.training, optimizer="sgd", lr=0.1, weight_decay=0.0, epochs=1, max_bags=1000
    )
    model = replace(PLAIN.model, hidden=(11,), dropout=0.0)
    ours, _ = run(data, settings, model=model, valid=False)
    features, bags, _ = data
    with reproducible(settings, CPU):
        theirs = build_network(model, (F,), G)
    values, offsets = features.read(bags.track_ids)
    losses = []
    for b in range(len(bags)):
        h = []
        for k in range(bags.offsets[b], bags.offsets[b + 1]):
            h.append(theirs.encoder(torch.from_numpy(values[offsets[k] : offsets[k + 1]])).mean(0))
        logits = theirs.classifier(torch.stack(h).mean(0))
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(bags.labels[b])))
    torch.stack(losses).mean().backward()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter -= 0.1 * parameter.grad
    torch.testing.assert_close(weights(ours), weights(theirs))


@pytest.mark.parametrize("decimals", [1, 9])
def test_the_score_of_several_genres_a_bag_agrees_with_scikit_learn(decimals):
    """At the threshold of its best F1, each bag counting as often as it has tracks."""
    rng = np.random.default_rng(0)
    sizes, labels = rng.integers(1, 5, 12), rng.random((12, 3)) < 0.4
    labels[:, 2] = False  # a genre without a bag does not count
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    bags = Bags(np.arange(sizes.sum()), offsets, labels, ("a", "b", "c"))
    said = rng.random((12, 3)).astype(np.float32).round(decimals)
    f1, recall = [], []
    for genre in (0, 1):
        truth, p = labels[:, genre], said[:, genre]
        limits = np.unique(p)[::-1]
        each = [f1_score(truth, p >= limit, sample_weight=sizes) for limit in limits]
        f1.append(max(each))
        best = limits[int(np.argmax(each))]
        recall.append(recall_score(truth, p >= best, sample_weight=sizes))
    found = training.agreement(bags, said, np.array([False, True, True]))
    assert found == pytest.approx((np.mean(f1), recall[1]))


def test_large_bags_are_capped_and_counted(data):
    features, bags, _ = data
    n_segments = np.add.reduceat(features.counts(bags.track_ids), bags.offsets[:-1])
    _, history = run(data, replace(FAST, sub_bags=False, max_segments=3, epochs=2))
    assert {row["capped_bags"] for row in history} == {int((n_segments > 3).sum())}


def test_a_broken_loss_stops_training_and_keeps_the_best_weights(data, monkeypatch):
    best, _ = run(data, replace(FAST, epochs=2), valid=False)
    real = training._epoch
    networks = []

    def breaks(network, *rest, epoch, **given):
        networks.append(network)
        loss, n_capped = real(network, *rest, epoch=epoch, **given)
        if epoch == 3:
            torch.nn.init.constant_(network.classifier.weight, math.nan)
        return (math.nan if epoch == 3 else loss), n_capped

    monkeypatch.setattr(training, "_epoch", breaks)
    kept, history = run(data, valid=False)
    assert kept is networks[-1]
    assert [row["epoch"] for row in history] == [1, 2]
    torch.testing.assert_close(weights(kept), weights(best), rtol=0, atol=0)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == CPU
    with pytest.raises(ConfigError, match="device 'cuda' is not available here; use device='cpu'"):
        find_device("cuda")
