from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from matt import Bags, FeatureStore, Tracks, splits
from matt.comparison import (
    LONE_BATCH,
    STRONG,
    FittedRow,
    Row,
    baseline,
    strong_controls,
    track_model,
)
from matt.models.decision import DECIDED
from matt.models.estimators import MOST_KERNEL
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings

QUICK = TrainingSettings(epochs=4, lr=0.02, threads=1)


@pytest.fixture(scope="module")
def data():
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    album = np.arange(120) // 3
    labels = album % 2
    tracks = Tracks(np.arange(120), labels, ("A", "B"), artist_id=album, album_id=album)
    values = labels[:, None] + rng.normal(size=(120, 5))
    return splits.by_artist(tracks, seed=0), FeatureStore.from_arrays(
        "toy", tracks.track_id, values
    )


def fitted(row, data):
    tracks, features = data
    made = FittedRow.of(row, features, tracks, seed=3)
    test = Bags.from_tracks(tracks, by="album", split="test")
    return made.model, made.predict_row(test, explain=True)


def test_bags_are_predicted_whole_with_their_attention(data):
    _, predictions = fitted(Row(name="bags", model=ModelSettings(), training=QUICK), data)
    assert (predictions.bags.sizes == 3).all()
    assert predictions.attention is not None


def test_the_control_averages_the_probabilities_of_lone_tracks(data):
    row = track_model("control", ModelSettings(), replace(QUICK, decision="argmax"), average=True)
    model, predictions = fitted(row, data)
    tracks, features = data
    albums = Bags.from_tracks(tracks, by="album", split="test")
    np.testing.assert_array_equal(predictions.bags.offsets, albums.offsets)
    lone = Bags.from_tracks(tracks, by="track", split="test")
    alone = model.predict(features, tracks, lone).probabilities
    at = {track: place for place, track in enumerate(lone.track_ids.tolist())}
    for bag, ids in enumerate(np.split(predictions.bags.track_ids, predictions.bags.offsets[1:-1])):
        mean = np.mean([alone[at[track]] for track in ids.tolist()], axis=0)
        np.testing.assert_allclose(predictions.probabilities[bag], mean, rtol=1e-5)


@pytest.fixture(scope="module")
def uneven():
    """Albums of A have five tracks, those of B two and are fewer: shares depend on the unit."""
    rng = np.random.default_rng(0)
    sizes = np.where(np.arange(60) % 3 == 0, 2, 5)
    album = np.repeat(np.arange(60), sizes)
    labels = (album % 3 == 0).astype(int)
    tracks = Tracks(np.arange(len(album)), labels, ("A", "B"), artist_id=album, album_id=album)
    own = 0.8 * rng.normal(size=(60, 5))  # of each album: its tracks say the same, too surely
    values = 0.7 * labels[:, None] + own[album] + 0.3 * rng.normal(size=(len(album), 5))
    store = FeatureStore.from_arrays("toy", tracks.track_id, values)
    return splits.by_artist(tracks, validation=0.3, test=0.3, seed=0), store


def test_averages_are_as_sure_and_decided_as_bags_need_it(uneven):
    tracks, features = uneven
    row = baseline(BaselineSettings(classifier="svm_stacked", decision="balanced"))
    made = FittedRow.of(row, features, tracks, seed=0)
    train, valid = made.bags("training"), made.bags("validation")
    said = made.predict_row(valid)
    bags = np.bincount(train.labels) + 0.5
    each = np.bincount(train.labels, train.sizes) + 0.5
    np.testing.assert_allclose(said.decision.bags, bags / bags.sum())
    np.testing.assert_allclose(said.decision.tracks, each / each.sum())
    assert said.decision.tau in DECIDED
    # Up to how sure they are, likelihoods are those of the mean of even probabilities.
    alone = made.predict(Bags.from_tracks(tracks, by="track", split="validation"))
    even = softmax(alone.likelihoods, axis=1)[alone.tracks.rows(valid.track_ids)]
    mean = np.add.reduceat(even, valid.offsets[:-1], axis=0) / valid.sizes[:, None]
    odds, theirs = np.diff(said.likelihoods)[:, 0], np.diff(np.log(mean))[:, 0]
    temperature = float(np.median(theirs / odds))
    assert abs(temperature - 1) > 0.05  # or nothing would be seen of it
    np.testing.assert_allclose(odds, theirs / temperature, rtol=1e-3, atol=1e-3)
    # It is the one that suits these bags under their own shares.
    own = np.log((np.bincount(valid.labels) + 0.5) / (len(valid) + 1))
    losses = [
        log_loss(valid.labels, softmax(logits + own, axis=1))
        for logits in (said.likelihoods, np.log(mean))
    ]
    assert losses[0] < losses[1]


def test_without_validation_averages_are_as_they_come(uneven):
    tracks, features = uneven
    without = tracks.with_split(np.where(tracks.split == "validation", "training", tracks.split))
    row = baseline(BaselineSettings(decision="balanced"))
    made = FittedRow.of(row, features, without, seed=0)
    said, alone = made.predict_row(made.bags("test")), made.bags("test", by="track")
    expected = made.predict(alone).average_over(made.bags("test"))
    np.testing.assert_allclose(
        softmax(said.likelihoods, axis=1), softmax(expected.likelihoods, axis=1), rtol=1e-5
    )
    assert said.decision.tau == 1


def test_strong_controls_are_those_that_can_be_fitted(data):
    tracks, _ = data
    rows, notes = strong_controls(tracks, (5,), bags="artist", features="f")
    assert set(rows) == set(STRONG)
    assert not notes
    assert {(row.bags, row.features, row.lone, row.average) for row in rows.values()} == {
        ("artist", "f", True, True)
    }
    assert strong_controls(tracks, (96, 100))[0] == {}
    several = replace(tracks, labels=np.eye(2, dtype=bool)[tracks.labels])
    rows, notes = strong_controls(several, (5,))
    assert list(rows) == ["control-lr"]
    assert len(notes) == 1
    assert "SVM, boosted trees, as a track may have several genres" in notes[0]
    n = MOST_KERNEL["svm_stacked"] + 1
    many = Tracks(np.arange(n), np.arange(n) % 2, ("A", "B"), split=["training"] * n)
    rows, (note,) = strong_controls(many, (5,))
    assert set(rows) == set(STRONG)
    assert "the SVM: 12,001 training tracks are more than its 12,000: 1,000 landmarks" in note
    rows, (note,) = strong_controls(many, (96, 100))
    assert "landmarks" not in note


def test_cells_of_before_there_was_a_choice_are_found():
    """What decided a baseline then decides it now, by the same names."""
    facts = baseline(BaselineSettings(classifier="knn")).facts()
    assert facts["model"] == {
        "classifier": "knn", "n_neighbors": 200, "hidden": (100,), "max_iter": 2000,
        "unscaled": False,
    }  # fmt: skip
    chosen = baseline(BaselineSettings(c=2.0, decision="balanced")).facts()["model"]
    assert (chosen["c"], chosen["decision"]) == (2.0, "balanced")
    plain = Row(name="plain", model=ModelSettings(), training=replace(QUICK, decision="argmax"))
    assert "decision" not in plain.facts()["training"]
    assert replace(plain, training=QUICK).facts()["training"]["decision"] == "balanced"


def test_lone_tracks_are_scored_alone(data):
    _, predictions = fitted(track_model("tracks", ModelSettings(), QUICK, average=False), data)
    assert (predictions.bags.sizes == 1).all()


def test_the_control_is_plain_and_gets_the_same_loss():
    given = TrainingSettings(logit_adjustment=0.7, lr=0.5, agreement=0.3, weight_average=0.9)
    row = track_model("control", ModelSettings(), given, average=True)
    assert (row.training.sub_bags, row.training.segment_loss) == (False, 0.0)
    assert (row.training.agreement, row.training.weight_average) == (0.0, 0.9)
    assert (row.training.logit_adjustment, row.training.lr) == (0.7, 0.5)
    assert row.training.validate == "average"
    assert row.training.max_bags == LONE_BATCH > TrainingSettings().max_bags
    wide = track_model("control", ModelSettings(hidden=(7, 5), pooling="dot"), QUICK, average=True)
    assert (wide.model.hidden, wide.model.pooling) == ((7, 5), "mean")
    assert not wide.model.spread  # a lone track has none


def test_the_control_has_no_fault_of_the_model_beside_it():
    faulty = ModelSettings(pooling="dot", scale="fixed", frozen_queries=True, tanh_pooled=True)
    dropping = TrainingSettings(dropped_batch=True)
    row = track_model("control", faulty, dropping, average=True)
    flags = (row.model.frozen_queries, row.model.tanh_pooled, row.training.dropped_batch)
    assert flags == (False, False, False)


def test_a_baseline_learns_lone_tracks_and_is_averaged_over_the_bags(data):
    """Held against scikit-learn itself, on the same tracks."""
    tracks, features = data
    row = baseline(BaselineSettings(classifier="knn", n_neighbors=7))
    model, predictions = fitted(row, data)
    assert predictions.attention is None
    values, _ = features.read(tracks.track_id)
    train = tracks.split == "training"
    oracle = make_pipeline(StandardScaler(), KNeighborsClassifier(7))
    oracle.fit(values[train].astype(float), tracks.labels[train])
    at = tracks.rows(predictions.bags.track_ids)
    alone = oracle.predict_proba(values[at].astype(float))
    mean = np.add.reduceat(alone, predictions.bags.offsets[:-1]) / predictions.bags.sizes[:, None]
    np.testing.assert_allclose(predictions.probabilities, mean, atol=1e-6)
    whole = model.predict(features, tracks, predictions.bags)
    np.testing.assert_allclose(whole.probabilities, mean, atol=1e-6)


def test_test_labels_are_never_looked_at_in_fitting(data):
    """Other test labels, the same model: nothing leaks from the test split."""
    tracks, features = data
    turned = np.where(tracks.split == "test", 1 - tracks.labels, tracks.labels)
    other = Tracks(
        tracks.track_id, turned, tracks.genres,
        artist_id=tracks.artist_id, album_id=tracks.album_id, split=tracks.split,
    )  # fmt: skip
    row = Row(name="bags", model=ModelSettings(), training=QUICK)
    test = Bags.from_tracks(tracks, by="album", split="test")
    fits = [FittedRow.of(row, features, some, seed=3) for some in (tracks, other)]
    one, two = (fit.predict_row(test) for fit in fits)
    np.testing.assert_array_equal(one.logits, two.logits)
