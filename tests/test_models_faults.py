"""Faults of the paper and its release: each is off by default, and does what it is blamed for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.features.store import FeatureStore
from matt.models import training
from matt.models.device import reproducible
from matt.models.network import build_network
from matt.models.neural import NeuralClassifier
from matt.models.reading import Reader
from matt.models.settings import QUERY_POOLINGS, ModelSettings, TrainingSettings
from matt.models.training import train
from matt.recipes import PLAIN
from matt.tracks import Tracks

CPU = torch.device("cpu")
F, G = 5, 3
SIZES = [2, 1, 4, 3, 1, 2, 1, 3, 2, 4]  # tracks of 10 bags
RELEASED = ModelSettings(
    inputs="standard", encoder="identity", pooling="dot", query="true", scale="fixed", pooled_dropout=0.5,
    frozen_queries=True, tanh_pooled=True,
)  # fmt: skip
RELEASED_TRAINING = replace(
    PLAIN.training, optimizer="sgd", lr=0.2, weight_decay=1e-5, max_bags=4, epochs=3,
    dropped_batch=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def tracks():
    album = np.repeat(np.arange(len(SIZES)), SIZES)
    return Tracks(
        np.arange(len(album)) * 3 + 2, album % G, ("a", "b", "c"), artist_id=album, album_id=album
    )


@pytest.fixture(scope="module")
def store(tracks):
    noise = np.random.default_rng(0).standard_normal((len(tracks), F))
    return FeatureStore.from_arrays(
        "toy", tracks.track_id, (2 * np.eye(G, F)[tracks.labels] + noise).astype(np.float32)
    )


@pytest.fixture(scope="module")
def bags(tracks):
    return Bags.from_tracks(tracks)


def run(store, bags, settings, *, model):
    """Train on features as they are: neither mean nor scale are taken off."""
    with reproducible(settings, CPU):
        network = build_network(model, (F,), G)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        reader = Reader.open(store, bags.track_ids, CPU)
        true = model.query == "true"
        train(network, reader, bags, settings=settings, history=[], true_query=true)
    return network, before


def test_none_is_on_by_default():
    model = ModelSettings()
    assert (model.frozen_queries, model.tanh_pooled, model.query) == (False, False, "all")
    assert model.pooling != "scalar"
    assert TrainingSettings().dropped_batch is False


@pytest.mark.parametrize("pooling", QUERY_POOLINGS)
def test_frozen_queries_are_never_trained_and_differ_between_training_and_inference(
    pooling, store, bags
):
    model = ModelSettings(pooling=pooling, hidden=(7,), scale="fixed")
    settings = TrainingSettings(epochs=3, lr=0.05)
    network, before = run(store, bags, settings, model=replace(model, frozen_queries=True))
    after = network.state_dict()
    tables = ["pooling.queries", "pooling.training_queries"]
    for name in tables:
        assert torch.equal(after[name], before[name])
        assert name not in dict(network.named_parameters())
    assert not torch.isclose(after[tables[0]], after[tables[1]]).any()
    trained, before = run(store, bags, settings, model=model)
    assert tables[1] not in before
    assert not torch.equal(trained.state_dict()[tables[0]], before[tables[0]])


@pytest.mark.parametrize("pooling", QUERY_POOLINGS)
def test_frozen_queries_read_with_the_table_of_their_time(pooling):
    torch.manual_seed(0)
    model = ModelSettings(pooling=pooling, scale="fixed", frozen_queries=True)
    frozen = build_network(model, (F,), G).pooling
    plain = build_network(replace(model, frozen_queries=False), (F,), G).pooling
    h = torch.randn(11, 128)
    for mode, table in ((True, frozen.training_queries), (False, frozen.queries)):
        frozen.train(mode)
        plain.load_state_dict({**frozen.state_dict(), "queries": table}, strict=False)
        torch.testing.assert_close(frozen(h), plain.train(mode)(h))
        genre = torch.arange(11) % G
        torch.testing.assert_close(frozen(h, genre), plain(h, genre))


def released_scores(network, h):
    """Scores (G,) of a bag h (n, D) by the release: the diagonal of a softmax for each query."""
    scores = []
    for g in range(G):
        a = (h @ network.pooling.queries[g]).softmax(0)
        r = torch.tanh((a[:, None] * h).sum(0))
        scores.append(network.classifier(r).softmax(0)[g])
    return torch.stack(scores)


def test_tanh_pooled_predicts_the_diagonal_of_a_softmax_per_query(store, tracks, bags, tmp_path):
    fitted = NeuralClassifier(RELEASED, RELEASED_TRAINING).fit(store, bags)
    fitted.save(tmp_path)
    model = NeuralClassifier.load(tmp_path)
    said = model.predict(store, tracks, bags, explain=True)
    network = fitted._networks[0]
    values, _ = store.read(bags.track_ids)
    h = network.inputs(torch.from_numpy(values))
    with torch.no_grad():
        expected = [released_scores(network, part) for part in h.split(bags.sizes.tolist())]
    np.testing.assert_allclose(said.logits, torch.stack(expected), rtol=1e-4)
    sums = said.logits.sum(axis=1)
    lone = bags.sizes == 1
    np.testing.assert_allclose(sums[lone], 1, rtol=1e-5)  # every query sees the same there
    assert (np.abs(sums[~lone] - 1) > 1e-4).all()
    assert said.link == "none"
    with pytest.raises(DataError, match="no probabilities"):
        _ = said.probabilities
    again = fitted.predict(store, tracks, bags).logits
    np.testing.assert_allclose(said.logits, again, atol=1e-5)
    first = said.segment_offsets[bags.offsets[:-1][lone]]
    np.testing.assert_allclose(said.segment_logits[first], said.logits[lone], rtol=1e-5)


def test_a_tanh_model_with_another_link_is_damaged(store, bags, tmp_path):
    NeuralClassifier(RELEASED, RELEASED_TRAINING).fit(store, bags).save(tmp_path)
    place = tmp_path / "model.json"
    place.write_text(place.read_text().replace('"link": "none"', '"link": "softmax"'))
    with pytest.raises(DataError, match=r"damaged .unknown link 'softmax'"):
        NeuralClassifier.load(tmp_path)


def test_tanh_pooled_needs_one_genre_a_bag(store, bags):
    several = replace(bags, labels=np.eye(G, dtype=bool)[bags.labels])
    model = NeuralClassifier(ModelSettings(tanh_pooled=True))
    with pytest.raises(ConfigError, match="bags may have several; use tanh_pooled=false"):
        model.fit(store, several)


def test_the_release_trains_as_written_out_bag_by_bag(store, bags):
    """One step of its SGD on all bags, without dropout: true query, other table, raw logits."""
    settings = replace(RELEASED_TRAINING, max_bags=len(bags), epochs=1)
    model = replace(RELEASED, pooled_dropout=0.0)
    ours, before = run(store, bags, settings, model=model)
    weight, bias = (before[f"classifier.{name}"].requires_grad_() for name in ("weight", "bias"))
    values, _ = store.read(bags.track_ids)
    losses = []
    for h, y in zip(torch.from_numpy(values).split(bags.sizes.tolist()), bags.labels, strict=True):
        a = (h @ before["pooling.training_queries"][y]).softmax(0)
        logits = weight @ torch.tanh(a @ h) + bias
        losses.append(logits.logsumexp(0) - logits[y])
    loss = torch.stack(losses).mean()
    for name, value in (("weight", weight), ("bias", bias)):
        (gradient,) = torch.autograd.grad(loss, value, retain_graph=True)
        expected = value - 0.2 * (gradient + 1e-5 * value)
        torch.testing.assert_close(getattr(ours.classifier, name), expected)


@pytest.mark.parametrize("max_bags", [4, 5])
def test_dropped_batch_leaves_out_what_does_not_fill_a_batch(store, bags, monkeypatch, max_bags):
    seen = []

    def watch(output, labels, bag):
        seen.append(len(labels))
        return output.logits.square().mean()

    monkeypatch.setattr(training.BagLoss, "__call__", lambda self, *given, **_: watch(*given))
    settings = TrainingSettings(max_bags=max_bags, epochs=2, sub_bags=False)
    run(store, bags, settings, model=ModelSettings())
    rest = len(bags) % max_bags
    epoch = [max_bags] * (len(bags) // max_bags)
    assert seen == 2 * (epoch + [rest] * (rest > 0))
    seen.clear()
    run(store, bags, replace(settings, dropped_batch=True), model=ModelSettings())
    assert seen == 2 * epoch


def test_dropped_batch_refuses_to_leave_nothing(store, bags):
    settings = replace(RELEASED_TRAINING, max_bags=11)
    with pytest.raises(ConfigError, match="nothing of 10 training bags in batches of 11; lower"):
        run(store, bags, settings, model=ModelSettings())
