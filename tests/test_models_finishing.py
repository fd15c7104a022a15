"""Heads tuned after training: by hand, against scikit-learn, and leaving the rest as it was."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score

from matt.bags import Bags
from matt.errors import ConfigError
from matt.features.store import FeatureStore
from matt.models import finishing
from matt.models.finishing import Fixed, normalise, retrain, tune_head
from matt.models.network import build_network
from matt.models.neural import NeuralClassifier
from matt.models.reading import Reader
from matt.models.settings import ModelSettings, TrainingSettings
from matt.tracks import Tracks

F, G, D = 5, 3, 7
CPU = torch.device("cpu")
GENRES = ("a", "b", "c")
FAST = TrainingSettings(lr=0.01, epochs=15, decision="argmax")


def data(sizes, seed=0, *, first_id=0):
    """Albums of 1 to 4 tracks, as many of each genre as ``sizes`` says."""
    rng = np.random.default_rng(seed)
    albums = np.repeat(np.arange(sum(sizes)), rng.integers(1, 5, sum(sizes)))
    labels = np.repeat(np.arange(G), sizes)[albums]
    ids = first_id + np.arange(len(albums))
    values = 1.1 * np.eye(G, F)[labels] + rng.standard_normal((len(ids), F))
    tracks = Tracks(ids, labels, GENRES, artist_id=albums, album_id=albums)
    return tracks, values


@pytest.fixture(scope="module")
def problem():
    tracks, values = data((60, 20, 5))
    more, theirs = data((15, 15, 15), seed=1, first_id=1000)
    store = FeatureStore.from_arrays(
        "toy", np.append(tracks.track_id, more.track_id), np.concatenate([values, theirs])
    )
    both = [Bags.from_tracks(t, by="album") for t in (tracks, more)]
    return store, *both, more


def weights_of(network):
    state = {k: v.clone() for k, v in network.state_dict().items()}
    return {k: v for k, v in state.items() if not k.startswith("classifier")}


@pytest.mark.parametrize("pooling", ["mean", "dot", "abmil"])
@pytest.mark.parametrize("tuning", ["crt", "tau_norm"])
def test_the_head_alone_changes(problem, tuning, pooling):
    store, bags, valid, _ = problem
    network = build_network(ModelSettings(hidden=(D,), pooling=pooling), (F,), G).eval()
    before, head = weights_of(network), network.classifier.weight.clone()
    reader = Reader.open(store, np.append(bags.track_ids, valid.track_ids), CPU)
    settings = replace(FAST, head_tuning=tuning)
    _, (note,) = tune_head(network, reader, bags, valid, settings)
    for name, value in weights_of(network).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not network.pooled_first
    assert note.startswith(f"head tuned by {tuning}: ")
    if tuning == "crt":
        assert not torch.equal(network.classifier.weight, head)


def test_normalised_rows_are_worked_by_hand():
    head = torch.nn.Linear(2, 3)
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.25], [0.0, 0.0]])
    head.weight.data, head.bias.data = rows.clone(), torch.tensor([1.0, 2.0, 3.0])
    scores = {0.5: 0.9}

    def score():  # tau is read off the first row: 5 / 5^tau
        tau = 1 - math.log(head.weight[0].norm().item(), 5)
        return scores.get(round(tau, 1), 0.1)

    assert normalise(head, score) == (0.5, 0.9)
    expected = torch.tensor([[3.0, 4.0], [0.0, 0.5 * 5**0.5], [0, 0]]) / 5**0.5
    torch.testing.assert_close(head.weight.data, expected)
    assert not head.bias.any()


def test_without_a_gain_nothing_is_normalised():
    head = torch.nn.Linear(D, G)
    weight, bias = head.weight.clone(), head.bias.clone()
    assert normalise(head, lambda: 0.3) == (0.0, 0.3)
    torch.testing.assert_close(head.weight, weight, rtol=0, atol=0)
    torch.testing.assert_close(head.bias, bias, rtol=0, atol=0)


def test_retraining_agrees_with_balanced_logistic_regression():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(G), (40, 12, 5))
    z = np.eye(G, D)[labels] + rng.standard_normal((len(labels), D))
    network = build_network(ModelSettings(encoder="identity"), (D,), G).eval()
    network.pooled_first = True
    given = Fixed(torch.tensor(z, dtype=torch.float32)[:, None], torch.tensor(labels), 0.0)
    penalty, _ = retrain(network, given, given, 0.0, lambda: math.nan, seed=0)
    assert penalty == finishing.USUAL_PENALTY
    # Theirs sums over bags, with weights of mean 1 over them.
    theirs = LogisticRegression(
        C=1 / (penalty * len(labels)), class_weight="balanced", tol=1e-8, max_iter=1000
    ).fit(z, labels)
    with torch.no_grad():
        ours = network.classify(given[0]).softmax(1)
    np.testing.assert_allclose(ours, theirs.predict_proba(z), atol=2e-3)


def test_the_penalty_is_chosen_by_the_score():
    network = build_network(ModelSettings(encoder="identity"), (D,), G).eval()
    network.pooled_first = True
    z, labels = (
        torch.randn(20, 1, D, generator=torch.Generator().manual_seed(0)),
        torch.arange(20) % G,
    )
    lengths = []

    def score():
        lengths.append(float(network.classifier.weight.detach().norm()))
        return {2: 0.8, 3: 0.8}.get(len(lengths) - 1, 0.2)

    given = Fixed(z, labels, 0.0)
    penalty, best = retrain(network, given, given, 0.0, score, seed=0)
    assert (penalty, best) == (1e-2, 0.8)  # the stronger of two equals
    assert lengths[1:] == sorted(lengths[1:], reverse=True)
    assert float(network.classifier.weight.detach().norm()) == pytest.approx(lengths[3], rel=1e-3)


def test_a_retrained_head_finds_more_of_the_tail(problem):
    store, bags, valid, tracks = problem
    plain = replace(FAST, logit_adjustment=0.0)
    recalls = []
    for settings in (plain, replace(plain, head_tuning="crt")):
        model = NeuralClassifier(ModelSettings(hidden=(D,)), settings).fit(store, bags, valid=valid)
        said = model.predict(store, tracks, valid).best
        recalls.append(recall_score(valid.labels, said, labels=[2], average="macro"))
    assert recalls[1] > recalls[0] + 0.1


def test_a_normalised_head_is_never_worse_on_the_validation_bags(problem):
    store, bags, valid, _ = problem
    model = NeuralClassifier(ModelSettings(hidden=(D,)), replace(FAST, head_tuning="tau_norm"))
    (note,) = model.fit(store, bags, valid=valid).notes
    after, before = map(float, re.findall(r"\d\.\d{3}", note))
    assert after >= before
    assert before == round(max(row["valid_macro_f1"] for row in model.history), 3)


def test_what_the_outputs_assume_afterwards(problem, monkeypatch):
    store, bags, valid, tracks = problem
    plain = replace(FAST, logit_adjustment=0.0, epochs=2)
    for tau, known in ((0.0, True), (0.5, False)):
        monkeypatch.setattr(finishing, "normalise", lambda *_, tau=tau: (tau, 0.5))
        model = NeuralClassifier(ModelSettings(hidden=(D,)), replace(plain, head_tuning="tau_norm"))
        model.fit(store, bags, valid=valid)
        assert (model.prior.assumed is not None) == known
    model = NeuralClassifier(ModelSettings(hidden=(D,)), replace(plain, head_tuning="crt"))
    model.fit(store, bags, valid=valid)
    np.testing.assert_allclose(model.prior.assumed, 1 / G, atol=1e-6)
    said = model.predict(store, tracks, valid, prior="training")
    shift = said.logits - model.predict(store, tracks, valid).logits
    expected = np.log(np.array([60.5, 20.5, 5.5]) / 86.5 * G)
    np.testing.assert_allclose(shift, np.tile(expected, (len(valid), 1)), atol=1e-5)


def test_a_head_with_a_hidden_layer_is_tuned(problem):
    store, bags, valid, tracks = problem
    settings = replace(FAST, head_tuning="crt")
    model = NeuralClassifier(ModelSettings(hidden=(D,), head="mlp", head_hidden=11), settings)
    said = model.fit(store, bags, valid=valid).predict(store, tracks, valid)
    assert (said.best == valid.labels).mean() > 0.5  # of three genres alike


@pytest.mark.parametrize(
    ("tuning", "model", "with_valid", "message"),
    [
        ("tau_norm", {}, False, "tau_norm' is chosen on validation bags, but there are none"),
        ("crt", {"pooling": "max"}, True, "pooling='max' reads the very head"),
        ("crt", {"tanh_pooled": True}, True, "use tanh_pooled=false, or head_tuning='none'"),
    ],
)
def test_what_cannot_be_tuned_is_refused(problem, tuning, model, with_valid, message):
    store, bags, valid, _ = problem
    classifier = NeuralClassifier(ModelSettings(**model), replace(FAST, head_tuning=tuning))
    with pytest.raises(ConfigError, match=message):
        classifier.fit(store, bags, valid=valid if with_valid else None)
