"""Several genres a bag: probabilities at the shares of training, thresholds, and what is saved."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from matt import Bags, DataError, GenreClassifier, Tracks
from matt.comparison import FittedRow, Row, baseline, track_model
from matt.evaluation.metrics import average_precision, reliability
from matt.features.store import FeatureStore
from matt.models.augmentation import sub_bags
from matt.models.baselines import BaselineClassifier
from matt.models.neural import NeuralClassifier
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings

torch.set_num_threads(1)
SHARES = np.array([0.5, 0.2, 0.1, 0.06, 0.03])
GENRES = ("Pop", "Rock", "Folk", "Jazz", "Ska")
F = 7
FAST = TrainingSettings(lr=0.01, epochs=25, threads=1)
LR = BaselineSettings(classifier="lr")


@pytest.fixture(scope="module")
def world():
    """Albums of three tracks, two an artist; a genre is heard, and some of the album's own."""
    rng = np.random.default_rng(0)
    n_albums = 400
    album = np.repeat(np.arange(n_albums), 3)
    labels = rng.random((n_albums, len(GENRES))) < SHARES
    labels[~labels.any(axis=1), 0] = True
    heard = labels @ rng.normal(size=(len(GENRES), F)) + 0.5 * rng.normal(size=(n_albums, F))
    values = heard[album] + rng.normal(size=(len(album), F))
    artist = album // 2
    split = np.array(["training", "training", "validation", "test"])[artist % 4]
    tracks = Tracks(
        np.arange(len(album)), labels[album], GENRES, artist_id=artist, album_id=album, split=split
    )
    return FeatureStore.from_arrays("heard", tracks.track_id, values), tracks


def bags(tracks, split):
    return Bags.from_tracks(tracks, split=split).labelled()


def fitted(world, model=None, *, valid=True, tracks=None):
    store, every = world
    tracks = every if tracks is None else tracks
    model = model or NeuralClassifier(training=FAST)
    given = {"valid": bags(tracks, "validation")} if valid else {}
    return model.fit(store, bags(tracks, "training"), **given)


@pytest.fixture(scope="module")
def default(world):
    return fitted(world)


def test_probabilities_are_those_of_the_shares_of_training(world, default):
    store, tracks = world
    said = default.predict(store, tracks, bags(tracks, "test"))
    error = reliability(said.probabilities, said.labels, link="sigmoid").error
    # As if every genre were on half of the albums.
    even = default.predict(store, tracks, bags(tracks, "test"), prior="uniform")
    uncorrected = reliability(even.probabilities, said.labels, link="sigmoid").error
    assert error < 0.1 < 0.2 < uncorrected  # of 100 albums
    both = [default.predict(store, tracks, bags(tracks, name)) for name in ("validation", "test")]
    expected, true = (
        sum(float(getattr(one, what).sum()) for one in both) for what in ("probabilities", "labels")
    )
    assert expected == pytest.approx(true, rel=0.15)
    again = default.predict(store, tracks, bags(tracks, "test"), prior="training")
    np.testing.assert_allclose(again.logits, said.logits, atol=1e-6)
    # What is the same for all bags leaves their order as it is.
    for g in range(len(GENRES)):
        assert average_precision(even.logits[:, g], said.labels[:, g]) == pytest.approx(
            average_precision(said.logits[:, g], said.labels[:, g])
        )


@pytest.mark.parametrize("pooling", ["mean", "dot", "max", "abmil"])
def test_the_prior_put_back_is_the_shift_of_bayes_in_every_pooling(world, pooling, monkeypatch):
    """Against the same network without it: temperature, then the difference of the log odds."""
    store, tracks = world

    def settings():
        return NeuralClassifier(
            ModelSettings(pooling=pooling, spread=False), replace(FAST, epochs=3)
        )

    ours = fitted(world, settings())
    monkeypatch.setattr(
        "matt.models.finishing.put_back", lambda networks, prior, temperature, *, link: prior
    )
    theirs = fitted(world, settings())
    test = bags(tracks, "test")
    expected = theirs.predict(store, tracks, test, prior="training")
    said = ours.predict(store, tracks, test, explain=True)
    np.testing.assert_allclose(said.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(ours.prior.assumed, ours.prior.bags)
    assert ours.temperature == theirs.temperature
    bag = np.repeat(np.arange(len(test)), test.sizes)
    summed = np.zeros_like(said.logits)
    np.add.at(summed, bag, said.attention * said.segment_logits)
    np.testing.assert_allclose(summed, said.logits, atol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        NeuralClassifier(training=FAST),
        NeuralClassifier(training=replace(FAST, n_networks=2, epochs=9)),
        NeuralClassifier(ModelSettings(head="mlp"), replace(FAST, epochs=9)),
        BaselineClassifier(BaselineSettings(classifier="knn")),
        BaselineClassifier(LR),
    ],
    ids=["default", "two networks", "mlp head", "knn", "lr"],
)
def test_as_many_genres_are_given_as_are_true_and_all_is_saved(world, model, tmp_path):
    store, tracks = world
    fitted(world, model)
    test = bags(tracks, "test")
    said = model.predict(store, tracks, test)
    assert said.given.sum() == pytest.approx(test.labels.sum(), rel=0.25)
    model.save(tmp_path)
    opened = GenreClassifier.load(tmp_path).predict(store, tracks, test)
    np.testing.assert_array_equal(opened.thresholds, model.thresholds)
    np.testing.assert_array_equal(opened.given, said.given)
    valid = bags(tracks, "validation")
    there = model.predict(store, tracks, valid).given
    times = there.sum(axis=0) / valid.labels.sum(axis=0)
    assert ((times >= 0.7) & (times <= 1.4)).all()


def test_a_genre_on_no_validation_album_gets_the_threshold_of_the_others(world):
    _, tracks = world
    gone = (tracks.split == "validation") & tracks.labels[:, 3]
    less = tracks.take(~gone)
    for model in (NeuralClassifier(training=replace(FAST, epochs=3)), BaselineClassifier(LR)):
        fitted(world, model, tracks=less)
        others = np.delete(model.thresholds, 3)
        assert model.thresholds[3] == np.median(others)
        (note,) = [note for note in model.notes if "no validation album" in note]
        assert "1 genre is on no validation album (Jazz)" in note


def test_without_validation_albums_one_half_is_the_threshold(world):
    store, tracks = world
    model = fitted(world, NeuralClassifier(training=replace(FAST, epochs=3)), valid=False)
    said = model.predict(store, tracks, bags(tracks, "test"))
    assert model.thresholds is said.thresholds is None
    np.testing.assert_array_equal(said.given, said.probabilities >= 0.5)
    assert said.probabilities.mean() < 0.4  # the prior is put back all the same


def test_one_genre_a_bag_has_no_thresholds(world):
    store, tracks = world
    single = replace(tracks, labels=tracks.labels.argmax(axis=1))
    model = fitted((store, single), NeuralClassifier(training=replace(FAST, epochs=2)))
    assert model.thresholds is None
    assert model.predict(store, single, bags(single, "test")).thresholds is None


def test_models_of_before_open_and_damage_is_told(world, default, tmp_path):
    store, tracks = world
    test = bags(tracks, "test")
    default.save(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    limits = content.pop("thresholds")
    (tmp_path / "model.json").write_text(json.dumps(content))
    opened = GenreClassifier.load(tmp_path)
    assert opened.predict(store, tracks, test).thresholds is None
    for wrong in ([2.0, *limits[1:]], limits[1:], "all"):
        (tmp_path / "model.json").write_text(json.dumps({**content, "thresholds": wrong}))
        with pytest.raises(DataError):
            GenreClassifier.load(tmp_path)


@pytest.mark.parametrize("kind", ["network", "lr"])
def test_the_control_has_thresholds_of_its_averages(world, kind):
    store, tracks = world
    row: Row = baseline(LR)
    if kind == "network":
        row = track_model("control", ModelSettings(), replace(FAST, epochs=9), average=True)
    control = FittedRow.of(row, store, tracks, seed=0)
    valid = control.predict_row(control.bags("validation"))
    times = valid.given.sum(axis=0) / valid.labels.sum(axis=0)
    assert ((times >= 0.8) & (times <= 1.25)).all()
    test = control.predict_row(control.bags("test"))
    np.testing.assert_array_equal(test.thresholds, valid.thresholds)


def test_a_part_of_a_bag_has_the_genres_of_its_tracks(world):
    _, tracks = world
    rng = np.random.default_rng(0)
    own = tracks.labels.copy()
    own[::3, 4] = True  # on one of three tracks, and so on no whole album
    own[5] = False  # one track is unknown
    bags = Bags.from_tracks(replace(tracks, labels=own), split="training").labelled()
    assert not bags.labels[:, 4].all()
    shown = sub_bags(bags, rng)
    place = np.append(0, np.cumsum(shown.sizes))
    for b, (start, stop) in enumerate(pairwise(place)):
        part = own[tracks.rows(shown.track_ids[start:stop])]
        known = part[part.any(axis=1)]
        voted = 2 * known.sum(axis=0) >= len(known) if len(known) else bags.labels[b]
        np.testing.assert_array_equal(
            shown.labels[b], voted & (known.any(axis=0) if len(known) else True)
        )
    assert shown.labels[:, 4].sum() > bags.labels[:, 4].sum()


def test_a_genre_of_single_tracks_is_learned_from_them(world):
    """No whole album has it, so without the labels of tracks nothing could."""
    store, tracks = world
    own = np.zeros((len(tracks), 6), bool)
    own[:, :5] = tracks.labels
    rare = np.arange(len(tracks)) % 6 == 0  # of every other album the first
    own[rare, 5] = True
    values, _ = store.read(tracks.track_id)
    louder = values.copy()
    louder[rare] += 4
    several = replace(tracks, labels=own, genres=(*GENRES, "Dub"))
    features = FeatureStore.from_arrays("louder", tracks.track_id, louder)
    train = Bags.from_tracks(several, split="training").labelled()
    assert not train.labels[:, 5].any()
    lone = Bags.from_tracks(several, by="track", split="test").labelled()
    found = []
    for bags_ in (train, replace(train, track_labels=None)):
        model = NeuralClassifier(training=FAST).fit(features, bags_)
        said = model.predict(features, several, lone)
        found.append(average_precision(said.logits[:, 5], lone.labels[:, 5]))
    assert found[0] > 0.8 > found[1]
