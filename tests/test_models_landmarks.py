"""Many tracks: kernels known by landmarks, searches and learning by some that stand for all."""

from dataclasses import replace

import numpy as np
import pytest
from baseline_data import F, make_data
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsOneClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from matt.bags import Bags
from matt.features.store import FeatureStore
from matt.models import baselines, estimators
from matt.models.baselines import BaselineClassifier, TrainingTracks
from matt.models.estimators import ESTIMATORS, HELD, MOST_KERNEL, SEARCHED, approximated
from matt.models.settings import BaselineSettings
from matt.tracks import Tracks

NAMES = pytest.mark.parametrize("name", ["svm", "svm_stacked"])


class Pairs(OneVsOneClassifier):
    """What each pair says, where scikit-learn's own makes votes of it."""

    def decision_function(self, x):
        return np.stack([one.decision_function(x) for one in self.estimators_], axis=1)


def theirs(name, x, n_landmarks, n_genres):
    """scikit-learn's own kernel, the same for all folds, and machine."""
    kernel = Nystroem(gamma=1 / (F * x.var()), n_components=n_landmarks, random_state=0)
    linear = LinearSVC(dual="auto", max_iter=2000, random_state=0)
    if name == "svm":
        machine = linear if n_genres == 2 else OneVsOneClassifier(linear)
        return kernel, CalibratedClassifierCV(machine, ensemble=False)
    return kernel, StackingClassifier(
        [("pairs", Pairs(linear))],
        LogisticRegression(C=HELD / len(x), max_iter=2000),
        stack_method="decision_function",
    )


@pytest.fixture
def many(monkeypatch):
    """As if the tests' few tracks were more than a whole kernel may have."""
    for name in MOST_KERNEL:
        monkeypatch.setitem(MOST_KERNEL, name, 49)


def standard(n_genres, n=70):
    tracks, _, x = make_data(n_genres, n=n)
    return tracks.labels, StandardScaler().fit_transform(x)


@pytest.mark.parametrize("n_landmarks", [11, 1000])
@pytest.mark.parametrize("n_genres", [2, 3, 5])
@NAMES
def test_probabilities_are_those_of_a_pipeline_of_scikit_learn(
    many, monkeypatch, name, n_genres, n_landmarks
):
    monkeypatch.setattr(estimators, "LANDMARKS", n_landmarks)
    labels, x = standard(n_genres)
    kernel, machine = theirs(name, x, min(n_landmarks, len(x)), n_genres)
    z = kernel.fit_transform(x)
    expected = machine.fit(z, labels).predict_proba(kernel.transform(x[:9] + 0.5))
    settings, y = BaselineSettings(classifier=name), np.eye(n_genres, dtype=bool)[labels]
    arrays, _ = ESTIMATORS[name].fit(settings, x, y, True)
    found = np.exp(ESTIMATORS[name].scores(settings, arrays, x[:9] + 0.5, True))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_genres", [2, 4])
@NAMES
def test_with_every_track_for_a_landmark_it_is_nearly_the_whole_machine(
    monkeypatch, name, n_genres
):
    """Its kernel is the same then; its loss is squared, and its intercepts held down."""
    labels, x = standard(n_genres, n=400)
    settings, y = BaselineSettings(classifier=name), np.eye(n_genres, dtype=bool)[labels]
    said = []
    for most, n_landmarks in ((300, 300), (299, 300), (299, 2)):
        monkeypatch.setitem(MOST_KERNEL, name, most)
        monkeypatch.setattr(estimators, "LANDMARKS", n_landmarks)
        arrays, _ = ESTIMATORS[name].fit(settings, x[:300], y[:300], True)
        assert ("n_support" in arrays) == (most == 300)
        said.append(np.exp(ESTIMATORS[name].scores(settings, arrays, x[300:], True)))
    whole, every, two = said
    assert (whole.argmax(axis=1) == every.argmax(axis=1)).mean() >= 0.94
    assert 2 * np.abs(whole - every).mean() < np.abs(whole - two).mean()


@NAMES
def test_it_says_so_and_comes_back_from_its_file_the_same(many, monkeypatch, tmp_path, name):
    monkeypatch.setattr(estimators, "LANDMARKS", 11)
    tracks, store, _ = make_data(4)
    train = Bags.from_tracks(tracks, by="track", split="training")
    model = BaselineClassifier(BaselineSettings(classifier=name)).fit(store, train)
    assert model.notes == (
        "50 training tracks are more than its 49: 11 landmarks stand for its kernel (Nystroem)",
    )
    model.save(tmp_path)
    loaded = BaselineClassifier.load(tmp_path)
    assert loaded.notes == model.notes
    bags = Bags.from_tracks(tracks, by="album")
    said = [one.predict(store, tracks, bags) for one in (model, loaded)]
    np.testing.assert_array_equal(said[0].logits, said[1].logits)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    again = BaselineClassifier(replace(model.settings, seed=5)).fit(store, train)
    np.testing.assert_array_equal(again.predict(store, tracks, bags).logits, said[0].logits)


def test_a_whole_kernel_says_nothing():
    for name, most in MOST_KERNEL.items():
        assert approximated(name, most) == ""
        told = approximated(name, 1_000_000)
        assert told.startswith(f"1,000,000 training tracks are more than its {most:,}")
    assert approximated("lr", 1_000_000) == ""


# ---- more tracks than the linear machines get ----


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=7),
    spare=st.integers(0, 100),
)
def test_of_rare_genres_all_tracks_are_drawn(counts, spare):
    labels = np.random.default_rng(3).permutation(np.repeat(np.arange(len(counts)), counts))
    most = len(counts) + spare
    rows = estimators.drawn(labels, most)
    assert len(rows) == min(most, len(labels))
    assert (np.diff(rows) > 0).all()
    drawn = np.bincount(labels[rows], minlength=len(counts))
    whole = drawn == counts
    if not whole.all():  # the others have as many as each other, and no fewer than whole ones
        assert np.ptp(drawn[~whole]) <= 1
        assert drawn[whole].max(initial=0) <= drawn[~whole].min() + 1


@NAMES
def test_tracks_that_were_drawn_count_for_the_rest(monkeypatch, name):
    """Shares of genres are those of all tracks; nothing grows with their number but the input."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [900, 60, 40])
    x = rng.normal(size=(1000, F)) + 0.8 * np.eye(3, F)[labels]
    seen = []
    linear = estimators._linear

    def watched(settings, z, *rest):
        seen.append(z.shape)
        return linear(settings, z, *rest)

    monkeypatch.setattr(estimators, "_linear", watched)
    monkeypatch.setitem(MOST_KERNEL, name, 300)
    monkeypatch.setattr(estimators, "_ROWS", 300)
    monkeypatch.setattr(estimators, "LANDMARKS", 50)
    monkeypatch.setattr(estimators, "_VALUES", 50 * 400)
    settings, y = BaselineSettings(classifier=name), np.eye(3, dtype=bool)[labels]
    arrays, notes = ESTIMATORS[name].fit(settings, x, y, True)
    assert max(seen) == (400, 50)
    assert notes[1] == "it learns from 400 of them; some of a large genre count for all"
    found = np.exp(ESTIMATORS[name].scores(settings, arrays, x, True)).mean(axis=0)
    np.testing.assert_allclose(found, [0.9, 0.06, 0.04], atol=0.01)


@NAMES
def test_a_genre_of_one_track_is_held_out_all_the_same(many, name):
    labels, x = standard(3)
    keep = np.append(np.flatnonzero(labels != 2), np.flatnonzero(labels == 2)[:1])
    x, y = (
        np.repeat(x[keep], 2, axis=0)[:-1],
        np.eye(3, dtype=bool)[np.repeat(labels[keep], 2)[:-1]],
    )
    settings = BaselineSettings(classifier=name)
    arrays, notes = ESTIMATORS[name].fit(settings, x, y, True)
    assert "calibrated in 2 folds" in notes[-1]
    assert np.isfinite(ESTIMATORS[name].scores(settings, arrays, x, True)).all()


# ---- searches, and learning, by some of many tracks ----


@pytest.fixture
def few(monkeypatch):
    """As if 120 tracks were many."""
    monkeypatch.setattr(baselines, "MOST_SEARCHED", 120)
    monkeypatch.setattr(baselines, "SEARCHED_ON", 70)
    monkeypatch.setitem(MOST_KERNEL, "svm_stacked", 100)
    monkeypatch.setattr(estimators, "LANDMARKS", 40)


def album_tracks(n=400):
    """Tracks of three genres, one of them rare, four in five of them for training."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2], [n - n // 3 - 12, n // 3, 12]))
    x = rng.normal(size=(n, F)) + np.eye(3, F)[labels]
    split = np.where(np.arange(n) % 5 == 0, "validation", "training")
    tracks = Tracks(np.arange(n), labels, ("A", "B", "C"), split=split)
    bags = {s: Bags.from_tracks(tracks, by="track", split=s) for s in ("training", "validation")}
    return tracks, FeatureStore.from_arrays("toy", tracks.track_id, x), bags


@pytest.mark.parametrize("name", ["lr", "svm_stacked", "hgb"])
def test_what_few_tracks_choose_learns_from_all(few, name):
    tracks, store, bags = album_tracks()
    given = BaselineSettings(classifier=name, inputs="quantile", trees=9, search=True)
    model = BaselineClassifier(given).fit(store, bags["training"], valid=bags["validation"])
    assert "was chosen by macro-F1 on validation, with 70 tracks" in " ".join(model.notes)
    assert model.settings.trees == 9
    alone = BaselineClassifier(model.settings).fit(store, bags["training"])
    said = [one.predict(store, tracks, bags["validation"]).logits for one in (model, alone)]
    np.testing.assert_array_equal(*said)


@pytest.mark.parametrize("name", ["lr", "svm_stacked", "hgb"])
def test_few_tracks_choose_what_finds_most_when_they_are_learned_from(few, name):
    """Each setting, fitted by what was drawn, is judged on all of validation."""
    _, store, bags = album_tracks()
    given = BaselineSettings(classifier=name, trees=9, search=True)
    model = BaselineClassifier(given).fit(store, bags["training"], valid=bags["validation"])
    values, _ = store.read(bags["training"].track_ids)
    x = StandardScaler().fit_transform(values.astype(np.float64))
    held, _ = store.read(bags["validation"].track_ids)
    held = StandardScaler().fit(values.astype(np.float64)).transform(held.astype(np.float64))
    labels = bags["training"].labels
    rows = estimators.drawn(labels, 70)
    each = (np.bincount(labels) / np.bincount(labels[rows]))[labels[rows]]
    assert each.sum() == pytest.approx(len(labels))
    found = {}
    for changed in SEARCHED[name]:
        tried = replace(given, trees=3, **changed)
        y = np.eye(3, dtype=bool)[labels]
        arrays, _ = ESTIMATORS[name].fit(tried, x[rows], y[rows], True, each)
        best = ESTIMATORS[name].scores(tried, arrays, held, True).argmax(axis=1)
        truth = bags["validation"].labels
        found[replace(given, search=False, **changed)] = f1_score(truth, best, average="macro")
    assert found[model.settings] == pytest.approx(max(found.values()))


def test_a_track_that_stands_for_three_is_three(few):
    """Oracle: the same tracks, written three times."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    x, y = rng.normal(size=(60, F)) + np.eye(3, F)[labels], np.eye(3, dtype=bool)[labels]
    each = np.where(labels == 0, 3.0, 1.0)
    rows = np.repeat(np.arange(60), each.astype(int))
    for c in (0.1, 1.0):
        settings = BaselineSettings(classifier="lr", c=c)
        weighed, _ = ESTIMATORS["lr"].fit(settings, x, y, True, each)
        written, _ = ESTIMATORS["lr"].fit(settings, x[rows], y[rows], True)
        np.testing.assert_allclose(weighed["coef"], written["coef"], atol=1e-3)


@pytest.mark.parametrize("name", ["lr", "svm_stacked", "hgb"])
def test_more_tracks_than_can_be_learned_from_are_drawn(monkeypatch, few, name):
    """No more are read, and shares of genres are still those of all."""
    monkeypatch.setattr(baselines, "MOST_LEARNED", 150)
    tracks, store, bags = album_tracks(1000)
    read, means = [], baselines.track_means

    def watched(features, track_ids, **options):
        read.append(len(track_ids))
        return means(features, track_ids, **options)

    monkeypatch.setattr(baselines, "track_means", watched)
    given = BaselineSettings(classifier=name, search=True, trees=30)
    model = BaselineClassifier(given).fit(store, bags["training"])
    assert read == [150]
    assert "it learns from 150 of 800 training tracks" in model.notes
    shares = model.predict(store, tracks, bags["training"]).probabilities.mean(axis=0)
    truth = np.bincount(bags["training"].labels) / 800
    np.testing.assert_allclose(shares, truth, atol=0.06)
    assert model.train_counts.tolist() == np.bincount(bags["training"].labels).tolist()


def test_without_a_search_every_track_is_learned_from(monkeypatch, few):
    """So FMA's baselines stay what they are, however many tracks there are."""
    monkeypatch.setattr(baselines, "MOST_LEARNED", 150)
    _, store, bags = album_tracks()
    model = BaselineClassifier(BaselineSettings(classifier="lr")).fit(store, bags["training"])
    assert not any("training tracks" in note for note in model.notes)


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=6),
    steps=st.lists(st.integers(6, 120), min_size=1, max_size=3),
)
def test_tracks_that_are_drawn_again_still_stand_for_all(counts, steps):
    labels = np.repeat(np.arange(len(counts)), counts)
    taught = TrainingTracks(
        np.arange(len(labels))[:, None], np.eye(len(counts), dtype=bool)[labels]
    )
    for most in steps:
        taught = taught.drawn(most)
    each = np.ones(len(taught.x)) if taught.each is None else taught.each
    np.testing.assert_allclose(each @ taught.y, counts)
    assert len(taught.x) == min(len(labels), *steps)
    assert (labels[taught.x[:, 0]] == taught.y.argmax(axis=1)).all()
