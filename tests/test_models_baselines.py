"""Baselines say what scikit-learn's own pipelines say, and survive files that lie."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import matt
from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.features.store import FeatureStore
from matt.models.baseline_settings import BASELINE_NAMES, BaselineSettings
from matt.models.baselines import BaselineClassifier
from matt.models.classifier import GenreClassifier
from matt.models.estimators import ESTIMATORS
from matt.models.neural import NeuralClassifier
from matt.models.saving import MODEL, WEIGHTS, write_model
from matt.models.settings import read_settings
from matt.tracks import Tracks

F = 4
NAMES = pytest.mark.parametrize("name", BASELINE_NAMES)
OURS = {
    "lr": {},
    "knn": {"n_neighbors": 7},
    "svm": {},
    "mlp_sklearn": {"hidden": (6, 3), "max_iter": 30},
}
THEIRS = {
    "lr": lambda: LogisticRegression(max_iter=2000),
    "knn": lambda: KNeighborsClassifier(7),
    "svm": lambda: CalibratedClassifierCV(SVC(), ensemble=False),
    "mlp_sklearn": lambda: MLPClassifier((6, 3), max_iter=30, random_state=0),
}
RELEASE = {
    "lr": lambda: LogisticRegression(),
    "knn": lambda: KNeighborsClassifier(),
    "svm": lambda: CalibratedClassifierCV(SVC(), ensemble=False),
    "mlp_sklearn": lambda: MLPClassifier(max_iter=200, random_state=0),
}
NOT_CONVERGED = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"  # of scikit-learn's own, the oracle
)


def make_data(n_genres, *, n=70, several=False):
    """Tracks of one segment each, genres that overlap, columns of very different scale."""
    rng = np.random.default_rng(n_genres)
    labels = rng.permutation(np.arange(n) % n_genres)
    x = rng.standard_normal((n, F)) * [1, 20, 0.1, 3] + labels[:, None] * [1, 10, 0.1, 0]
    if several:
        labels = np.eye(n_genres, dtype=bool)[labels] | (rng.random((n, n_genres)) < 0.2)
    genres = [f"genre {g}" for g in range(n_genres)]
    tracks = Tracks(
        np.arange(n), labels, genres, split=np.where(np.arange(n) < 50, "training", "test")
    )
    store = FeatureStore.from_arrays("toy", tracks.track_id, x)
    return tracks, store, x.astype(np.float32).astype(np.float64)


def fit_both(ours, theirs, tracks, store, x):
    """Predictions of test tracks: ours and scikit-learn's probabilities, from the same rows."""
    train, test = (Bags.from_tracks(tracks, by="track", split=s) for s in ("training", "test"))
    theirs.fit(x[train.track_ids], train.labels)
    model = BaselineClassifier(ours).fit(store, train)
    return model.predict(store, tracks, test), theirs.predict_proba(x[test.track_ids])


@NOT_CONVERGED
@pytest.mark.parametrize("n_genres", [2, 3, 5])
@NAMES
def test_probabilities_are_those_of_a_pipeline_of_scikit_learn(name, n_genres):
    ours = BaselineSettings(classifier=name, **OURS[name])
    theirs = make_pipeline(StandardScaler(), THEIRS[name]())
    predictions, expected = fit_both(ours, theirs, *make_data(n_genres))
    np.testing.assert_allclose(predictions.probabilities, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(predictions.best, expected.argmax(axis=1))


@NOT_CONVERGED
@NAMES
def test_arrays_give_what_scikit_learn_gives_in_double_precision(name):
    tracks, _, x = make_data(4)
    settings = BaselineSettings(classifier=name, **OURS[name])
    y = np.eye(4, dtype=bool)[tracks.labels]
    arrays, _ = ESTIMATORS[name].fit(settings, x, y, True)
    found = np.exp(ESTIMATORS[name].scores(settings, arrays, x[:9] + 0.5, True))
    expected = THEIRS[name]().fit(x, tracks.labels).predict_proba(x[:9] + 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@NOT_CONVERGED
@pytest.mark.parametrize("name", [name for name in BASELINE_NAMES if name != "svm"])
def test_several_genres_are_one_against_the_rest(name):
    ours = BaselineSettings(classifier=name, **OURS[name])
    single = THEIRS[name]()
    theirs = make_pipeline(
        StandardScaler(), OneVsRestClassifier(single) if name == "lr" else single
    )
    predictions, expected = fit_both(ours, theirs, *make_data(3, several=True))
    if name == "knn":  # two columns a genre: without and with it
        expected = np.stack([column[:, 1] for column in expected], axis=1)
    np.testing.assert_allclose(predictions.probabilities, expected, rtol=0, atol=1e-6)


@NOT_CONVERGED
@NAMES
def test_unscaled_is_the_release(name):
    """Raw features, and scikit-learn's defaults instead of the settings that were given."""
    ours = BaselineSettings(classifier=name, **OURS[name], unscaled=True)
    predictions, expected = fit_both(ours, RELEASE[name](), *make_data(3))
    np.testing.assert_allclose(predictions.probabilities, expected, rtol=0, atol=1e-6)
    scaled, _ = fit_both(BaselineSettings(classifier=name), RELEASE[name](), *make_data(3))
    assert np.abs(scaled.probabilities - expected).max() > 0.01


@pytest.mark.parametrize("several", [False, True])
@NAMES
def test_a_bag_is_the_mean_of_its_tracks(name, several):
    if several and name == "svm":
        pytest.skip("one genre a bag only")
    tracks, store, _ = make_data(3, several=several)
    model = BaselineClassifier(BaselineSettings(classifier=name, **OURS[name]))
    model.fit(store, Bags.from_tracks(tracks, by="track", split="training"))
    bags = Bags([51, 64, 53, 69, 60, 55], [0, 1, 4, 6], tracks.labels[[51, 53, 60]], tracks.genres)
    alone = model.predict(store, tracks, Bags.from_tracks(tracks, by="track"))
    np.testing.assert_allclose(
        model.predict(store, tracks, bags).probabilities,
        alone.average_over(bags).probabilities,
        rtol=1e-5,
        atol=1e-7,
    )


def test_a_track_is_the_mean_of_its_segments():
    tracks, store, x = make_data(3)
    apart = np.stack([x - 1, x + 1], axis=1).reshape(-1, F)
    longer = FeatureStore.from_arrays("toy", tracks.track_id, apart, np.arange(len(x) + 1) * 2)
    bags = Bags.from_tracks(tracks, by="track", split="training")
    one, two = (BaselineClassifier().fit(some, bags) for some in (store, longer))
    np.testing.assert_allclose(
        one.predict(store, tracks, bags).probabilities,
        two.predict(longer, tracks, bags).probabilities,
        atol=1e-5,
    )


def test_a_genre_that_no_training_track_has_is_impossible():
    tracks, store, _ = make_data(3)
    wider = tracks.with_genres(("Jazz", *tracks.genres))
    bags = Bags.from_tracks(wider, by="track")
    for name in BASELINE_NAMES:
        settings = BaselineSettings(classifier=name, **OURS[name])
        found = BaselineClassifier(settings).fit(store, bags).predict(store, wider, bags)
        assert (found.probabilities[:, 0] == 0).all()
        assert np.isfinite(found.logits).all()


def test_a_genre_that_every_track_has_is_certain():
    tracks, store, _ = make_data(3, several=True)
    always = Tracks(tracks.track_id, np.insert(tracks.labels, 1, True, axis=1), tuple("ABCD"))
    bags = Bags.from_tracks(always, by="track")
    for name in ("lr", "knn"):
        settings = BaselineSettings(classifier=name, **OURS[name])
        found = BaselineClassifier(settings).fit(store, bags).predict(store, always, bags)
        assert (found.probabilities[:, 1] == 1).all()


def test_more_neighbours_than_tracks_are_all_tracks():
    tracks, store, _ = make_data(3)
    bags = Bags.from_tracks(tracks, by="track", split="training")
    model = BaselineClassifier(BaselineSettings(classifier="knn")).fit(store, bags)
    assert model.notes == (
        "200 neighbours were asked for, but there are 50 training tracks: all of them vote",
    )
    shares = np.bincount(bags.labels) / 50
    found = model.predict(store, tracks, bags).probabilities
    np.testing.assert_allclose(found, np.tile(shares, (50, 1)), atol=1e-6)


@pytest.mark.parametrize(("rare", "folds"), [(1, 2), (2, 2), (3, 3)])
def test_a_rare_genre_is_calibrated_in_fewer_folds(rare, folds):
    tracks, store, _ = make_data(3)
    rows = np.append(np.flatnonzero(tracks.labels != 2), np.flatnonzero(tracks.labels == 2)[:rare])
    few = tracks.take(rows)
    bags = Bags.from_tracks(few, by="track")
    model = BaselineClassifier(BaselineSettings(classifier="svm")).fit(store, bags)
    assert model.notes == (
        f"1 genres have fewer than 5 training tracks: calibrated in {folds} folds",
    )
    found = model.predict(store, few, bags).probabilities
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_what_has_not_converged_is_told():
    tracks, store, _ = make_data(3)
    bags = Bags.from_tracks(tracks, by="track")
    for name in ("lr", "mlp_sklearn"):
        model = BaselineClassifier(BaselineSettings(classifier=name, max_iter=2)).fit(store, bags)
        assert model.notes == (f"{name} stopped at 2 iterations, not converged",)


def test_features_that_are_not_finite_are_not_predicted():
    tracks, store, x = make_data(3)
    bags = Bags.from_tracks(tracks, by="track")
    model = BaselineClassifier().fit(store, bags)
    x = x.astype(np.float32)
    x[8, 2] = np.inf
    broken = FeatureStore(
        store.spec, store.track_ids, store.block, store.start, store.n_segments, (x,)
    )
    with pytest.raises(DataError, match=r"infinite values for 1 tracks \(first: 8\); extract"):
        model.predict(broken, tracks, bags)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classifier": "knm"}, "unknown classifier 'knm'; did you mean 'knn'"),
        ({"n_neighbors": 0}, "n_neighbors must be a whole number of at least 1, got 0"),
        ({"max_iter": 2.5}, "max_iter must be a whole number of at least 1, got 2.5"),
        ({"hidden": ()}, r"hidden must be a list .*, got \(\); .* use classifier='lr'"),
        ({"hidden": (3, 0)}, "hidden must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"unscaled": 1}, "unscaled must be true or false, got 1; choose one"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        BaselineSettings(**wrong)


def test_settings_survive_json_and_the_table_of_estimators_is_complete():
    settings = BaselineSettings(classifier="mlp_sklearn", hidden=(5, 2), unscaled=True)
    assert read_settings(BaselineSettings, json.loads(json.dumps(asdict(settings)))) == settings
    assert tuple(ESTIMATORS) == BASELINE_NAMES
    assert matt.BaselineClassifier is BaselineClassifier


@pytest.fixture(params=BASELINE_NAMES)
def saved(request, tmp_path):
    tracks, store, _ = make_data(3)
    settings = BaselineSettings(classifier=request.param, **OURS[request.param])
    bags = Bags.from_tracks(tracks, by="track")
    BaselineClassifier(settings).fit(store, bags).save(tmp_path)
    return tmp_path


def rewrite(folder, arrays=None, **changes):
    """Write a model again with other parts, with the right sum: a lie that nobody can see."""
    content = json.loads((folder / MODEL).read_text()) | changes
    body = {k: v for k, v in content.items() if k not in ("schema", "kind", "weights_sha256")}
    write_model(folder, "baseline", body, arrays or load_file(folder / WEIGHTS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"classifer": "lr"}}, "is damaged .unknown setting 'classifer'"),
        ({"settings": 3}, "is damaged"),
        ({"genres": ["Rock"]}, "is damaged .genres and training counts"),
        ({"train_counts": [[1], [2]]}, "is damaged .genres and training counts"),
        ({"train_counts": [10**30, 1, 1]}, "is damaged"),
        ({"link": "none"}, "is damaged .unknown link 'none'"),
        ({"spec_digest": "0"}, "is damaged .the digest of its spec differs"),
        ({"genres": [], "train_counts": []}, "genres 0, 1, 2 of 0 are no genres that differ"),
    ],
)
def test_a_damaged_description_is_refused(saved, changes, message):
    rewrite(saved, **changes)
    with pytest.raises(DataError, match=message):
        GenreClassifier.load(saved)


def test_another_kind_is_refused(saved):
    with pytest.raises(DataError, match="kind 'baseline', not 'neural'; open it with Genre"):
        NeuralClassifier.load(saved)
    write_model(saved, "neural", {}, {"a": np.ones(2)})
    with pytest.raises(DataError, match="kind 'neural', not 'baseline'; open it with Genre"):
        BaselineClassifier.load(saved)


def test_every_array_is_checked(saved):
    """Any array that is absent, of another shape or type, or not finite, is named."""
    arrays = load_file(saved / WEIGHTS)
    for name, array in arrays.items():
        lies = {
            "absent": {k: v for k, v in arrays.items() if k != name},
            "longer": arrays | {name: np.concatenate([array, array])},
            "flat": arrays | {name: np.zeros(0, array.dtype)},
            "scalar": arrays | {name: np.zeros((), array.dtype)},
            "type": arrays | {name: array.astype(np.float32)},
        }
        if array.dtype == np.float64:
            lies["infinite"] = arrays | {name: np.full_like(array, np.inf)}
        for lie in lies.values():
            rewrite(saved, arrays=lie)
            with pytest.raises(DataError, match=r"the weights do not fit .*; copy the model again"):
                GenreClassifier.load(saved)
    rewrite(saved, arrays=arrays | {"more": np.ones(2)})
    with pytest.raises(DataError, match=r"more has the shape \(2,\), expected None"):
        GenreClassifier.load(saved)


def test_values_out_of_range_are_refused(saved):
    arrays = load_file(saved / WEIGHTS)
    lies = {"seen": [[0, 1, 3], [-1, 0, 1], [0, 0, 1]], "scale": [[1, 1, 0, 1]]}
    if "n_support" in arrays:
        n = arrays["n_support"]
        lies["n_support"] = [[-1, n[0] + n[1] + 1, n[2]]]
    for name, values in lies.items():
        for value in values:
            rewrite(saved, arrays=arrays | {name: np.array(value, arrays[name].dtype)})
            with pytest.raises(DataError, match="the weights do not fit"):
                GenreClassifier.load(saved)


def test_a_description_cannot_ask_for_memory(saved):
    settings = json.loads((saved / MODEL).read_text())["settings"]
    rewrite(saved, settings={**settings, "hidden": [10**9, 10**9], "n_neighbors": 10**12})
    if settings["classifier"] == "mlp_sklearn":
        with pytest.raises(DataError, match="the weights do not fit"):
            GenreClassifier.load(saved)
    else:
        tracks, store, _ = make_data(3)
        bags = Bags.from_tracks(tracks, by="track")
        assert len(GenreClassifier.load(saved).predict(store, tracks, bags)) == 70
