"""What every classifier keeps, a network or a baseline: one test each, run over all of them."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from matt.bags import Bags
from matt.calibration.coverage import coverage
from matt.errors import ConfigError, DataError
from matt.features.store import FeatureStore
from matt.models.baselines import BaselineClassifier
from matt.models.classifier import GenreClassifier
from matt.models.neural import NeuralClassifier
from matt.models.saving import GRAPH, MODEL, WEIGHTS
from matt.models.settings import (
    BaselineName,
    BaselineSettings,
    HeadTuning,
    LossName,
    ModelSettings,
    Sampler,
    TrainingSettings,
)
from matt.tracks import Tracks

F = 5
GENRES = ("Rock", "Folk", "Noise", "Jazz")  # nothing is Jazz
FAST = TrainingSettings(lr=0.02, epochs=40)


def baseline(name, **settings):
    return BaselineClassifier(BaselineSettings(classifier=name, n_neighbors=7, **settings))


def neural(**training):
    pooling = "shared" if "attention_entropy" in training else "mean"
    model = ModelSettings(
        hidden=(11,), pooling=pooling, input_dropout=training.pop("input_dropout", 0.0)
    )
    return NeuralClassifier(model, replace(FAST, **training))


LONG_TAIL = {  # every loss, sampler, head and augmentation
    "cross_entropy": {},
    "class_balanced": {"loss": "class_balanced", "logit_adjustment": 0.0},  # either corrects
    "focal": {"loss": "focal", "lr": 0.05, "agreement": 0.0, "epochs": 120},  # its loss is small
    "plain cross-entropy": {"logit_adjustment": 0.0},
    **{f"{sampler} sampler": {"sampler": sampler} for sampler in get_args(Sampler)},
    **{head: {"head_tuning": head} for head in get_args(HeadTuning) if head != "none"},
    "mixing": {"mix": 0.4},
    "segment dropout": {"segment_dropout": 0.5},
    "attention entropy": {"attention_entropy": 0.1},
    "agreement": {"agreement": 0.1},
    "averaged weights": {"weight_average": 0.9},
    "input dropout": {"input_dropout": 0.2},
    "three networks": {"n_networks": 3},
}
SINGLE = ("svm", "svm_stacked", "hgb")
ONE_GENRE = ("class_balanced", "sqrt sampler", "balanced sampler", "crt", "tau_norm")

assert {settings.get("loss", "cross_entropy") for settings in LONG_TAIL.values()} == set(
    get_args(LossName)
)

CLASSIFIERS = {
    **{name: lambda settings=settings: neural(**settings) for name, settings in LONG_TAIL.items()},
    **{name: lambda name=name: baseline(name) for name in get_args(BaselineName)},
    **{
        f"{name}, unscaled": lambda name=name: baseline(name, unscaled=True)
        for name in get_args(BaselineName)
    },
}


@pytest.fixture(scope="module")
def tracks():
    """Albums of three tracks; two thirds of the tracks are Rock."""
    album = np.arange(90) // 3
    labels = np.array([0, 0, 1, 0, 0, 2])[album % 6]
    split = np.array(["training", "training", "training", "validation", "test"])[album % 5]
    return Tracks(
        np.arange(90) * 7 + 1, labels, GENRES, artist_id=album, album_id=album, split=split
    )


@pytest.fixture(scope="module")
def store(tracks):
    """Two segments of every third track, one of the others."""
    rng = np.random.default_rng(0)
    counts = 1 + (np.arange(len(tracks)) % 3 == 0)
    labels = np.repeat(tracks.labels, counts)
    values = 2 * np.eye(3, F)[labels] + 0.6 * rng.standard_normal((len(labels), F))
    return FeatureStore.from_arrays(
        "toy", tracks.track_id, values, np.concatenate([[0], np.cumsum(counts)])
    )


def of(tracks, split, by="album"):
    return Bags.from_tracks(tracks, by=by, split=split)


@pytest.fixture(params=CLASSIFIERS, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def make(name):
    return CLASSIFIERS[name]


@pytest.fixture(scope="module")
def fitted(make, store, tracks):
    return make().fit(store, of(tracks, "training"), valid=of(tracks, "validation"))


def test_it_is_a_genre_classifier(fitted):
    assert isinstance(fitted, GenreClassifier)


def test_it_beats_the_majority(fitted, store, tracks):
    for by in ("album", "track"):
        bags = of(tracks, "test", by)
        found = (fitted.predict(store, tracks, bags).best == bags.labels).mean()
        assert found > (bags.labels == 0).mean() + 0.1


def test_saved_and_loaded_it_predicts_the_same(fitted, store, tracks, tmp_path):
    fitted.save(tmp_path / "model")
    assert {entry.name for entry in (tmp_path / "model").iterdir()} - {GRAPH} == {MODEL, WEIGHTS}
    loaded = GenreClassifier.load(tmp_path / "model")
    assert type(loaded) is type(fitted)
    bags = of(tracks, "test")
    before, after = (model.predict(store, tracks, bags) for model in (fitted, loaded))
    np.testing.assert_allclose(after.logits, before.logits, rtol=0, atol=1e-5)
    for name in ("genres", "spec", "link", "notes"):
        assert getattr(loaded, name) == getattr(fitted, name)
    assert loaded.prior.to_json() == fitted.prior.to_json()
    assert loaded.coverage.to_json() == fitted.coverage.to_json()
    np.testing.assert_array_equal(loaded.train_counts, fitted.train_counts)


def test_equal_seeds_predict_equal_bits(make, fitted, store, tracks):
    again = make().fit(store, of(tracks, "training"), valid=of(tracks, "validation"))
    bags = of(tracks, "test")
    first, second = (model.predict(store, tracks, bags) for model in (fitted, again))
    np.testing.assert_array_equal(first.logits, second.logits)


def test_inputs_are_not_changed(make, store, tracks):
    bags, valid = of(tracks, "training"), of(tracks, "validation")
    arrays = [
        store.blocks[0], store.track_ids, tracks.labels, tracks.track_id,
        *(part for b in (bags, valid) for part in (b.track_ids, b.offsets, b.labels, b.train_counts)),
    ]  # fmt: skip
    before = [array.copy() for array in arrays]
    make().fit(store, bags, valid=valid).predict(store, tracks, valid)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_predictions_carry_tracks_and_training_counts(fitted, store, tracks):
    bags = of(tracks, "test").take([3, 0])
    predictions = fitted.predict(store, tracks, replace(bags, train_counts=np.arange(4)))
    np.testing.assert_array_equal(predictions.tracks.track_id, bags.track_ids)
    np.testing.assert_array_equal(predictions.labels, bags.labels)
    np.testing.assert_array_equal(predictions.train_counts, tracks.train_counts)
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)


def test_a_genre_without_training_bags_keeps_its_column_and_is_noted(fitted, store, tracks):
    assert "1 of 4 genres have no training bag: Jazz" in fitted.notes
    predictions = fitted.predict(store, tracks, of(tracks, "test"))
    assert predictions.logits.shape == (6, 4)
    assert np.isfinite(predictions.logits).all()
    assert not (predictions.best == 3).any()


def test_genres_are_matched_by_name(fitted, store, tracks):
    bags = of(tracks, "test")
    other = tracks.with_genres(("Polka", "Noise", "Rock", "Folk"))
    predictions = fitted.predict(store, other, of(other, "test"))
    assert predictions.genres == GENRES
    np.testing.assert_array_equal(predictions.labels, bags.labels)
    np.testing.assert_array_equal(predictions.logits, fitted.predict(store, tracks, bags).logits)


def test_unlabelled_bags_are_predicted_but_not_learned(make, fitted, store, tracks):
    unknown = replace(tracks, labels=np.full(len(tracks), -1))
    predictions = fitted.predict(store, unknown, of(unknown, "test"))
    assert (predictions.labels == -1).all()
    with pytest.raises(DataError, match=r"18 of 18 training bags .* with bags.labelled\(\)"):
        make().fit(store, of(unknown, "training"))


def test_what_cannot_be_learned_is_refused(make, store, tracks):
    rock = tracks.take(tracks.labels == 0)
    with pytest.raises(DataError, match=r"only 1 genre \(Rock\): .*; add bags of another genre"):
        make().fit(store, of(rock, "training"))
    with pytest.raises(DataError, match="54 tracks are both in training and in validation"):
        make().fit(store, of(tracks, "training"), valid=of(tracks, "training"))
    values = store.blocks[0].copy()
    values[4] = np.nan
    damaged, valid = replace(store, blocks=(values,)), of(tracks, "validation")
    with pytest.raises(
        DataError, match=r"NaN or infinite values for 1 training tracks \(first: 22\)"
    ):
        make().fit(damaged, of(tracks, "training"), valid=valid)


def test_features_that_do_not_fit_are_refused(fitted, store, tracks):
    wide = FeatureStore.from_arrays("toy", tracks.track_id, np.ones((len(tracks), F + 1)))
    with pytest.raises(DataError, match=r"differ in shape: \[6\] / \[5\] \(found / wanted\)"):
        fitted.predict(wide, tracks, of(tracks, "test"))
    with pytest.raises(DataError, match="feature 'toy' is missing for 1 of 1 tracks"):
        fitted.predict(store, Tracks([5000], [0], GENRES), Bags([5000], [0, 1], [0], GENRES))


def test_an_unfitted_model_is_refused(make, store, tracks, tmp_path):
    with pytest.raises(DataError, match="this model is not fitted; call fit"):
        make().predict(store, tracks, of(tracks, "test"))
    with pytest.raises(DataError, match="this model is not fitted; call fit"):
        make().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_another_prior_moves_the_shares_of_the_genres(fitted, store, tracks):
    bags = of(tracks, "test")
    said = fitted.predict(store, tracks, bags)
    if fitted.prior.assumed is None:
        with pytest.raises(DataError, match="the head was normalised"):
            fitted.predict(store, tracks, bags, prior="uniform")
        return
    assumed = dict(zip(GENRES, fitted.prior.assumed, strict=True))
    same = fitted.predict(store, tracks, bags, prior=assumed)
    np.testing.assert_allclose(same.logits, said.logits, atol=1e-4)
    noise = {"Rock": 0.05, "Folk": 0.05, "Noise": 0.85, "Jazz": 0.05}
    most, least = (
        fitted.predict(store, tracks, bags, prior=prior).probabilities[:, 2].mean()
        for prior in (noise, noise | {"Rock": 0.85, "Noise": 0.05})
    )
    assert most >= said.probabilities[:, 2].mean() >= least
    np.testing.assert_allclose(fitted.prior.bags.sum(), 1)
    fitted.predict(store, tracks, bags, prior="estimate")
    with pytest.raises(ConfigError, match="unknown genre 'Jaz'; did you mean 'Jazz'"):
        fitted.predict(store, tracks, bags, prior=noise | {"Jaz": 0.0})


def test_the_coverage_is_that_of_the_validation_bags(fitted, store, tracks):
    bags = of(tracks, "validation")
    ours, theirs = fitted.coverage, coverage(fitted.predict(store, tracks, bags))
    np.testing.assert_allclose(ours.confidence, theirs.confidence, atol=1e-5)
    np.testing.assert_array_equal(ours.right, theirs.right)


def test_several_genres_a_bag_are_learned_or_refused(name, make, store, tracks, tmp_path):
    labels = np.eye(4, dtype=bool)[tracks.labels]
    labels[tracks.labels == 2, 0] = True  # Noise is Rock too
    several = replace(tracks, labels=labels)
    model = make()
    if isinstance(model, BaselineClassifier) and model.settings.classifier in SINGLE:
        with pytest.raises(ConfigError, match=r"' gives a bag one genre, .* use 'lr', 'knn'"):
            model.fit(store, of(several, "training"))
        return
    if name in ONE_GENRE:
        with pytest.raises(ConfigError, match=r"goes by the one genre of a bag, .* several; use"):
            model.fit(store, of(several, "training"), valid=of(several, "validation"))
        return
    model.fit(store, of(several, "training")).save(tmp_path)
    assert model.coverage is None  # not just right or wrong
    bags = of(several, "test")
    predictions = GenreClassifier.load(tmp_path).predict(store, several, bags)
    assert predictions.link == "sigmoid"
    assert ((predictions.probabilities > 0.5) == bags.labels).mean() > 0.9
    was = model.predict(store, several, bags).logits
    np.testing.assert_allclose(predictions.logits, was, rtol=0, atol=1e-5)
