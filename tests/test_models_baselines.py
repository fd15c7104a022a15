"""Baselines say what scikit-learn's own pipelines say, of tracks and of bags."""

import json
from dataclasses import asdict, replace
from typing import get_args

import numpy as np
import pytest
from baseline_data import OURS, F, make_data
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier
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
from matt.models.baselines import BaselineClassifier, faults
from matt.models.estimators import ESTIMATORS, HELD, RIDGE, SEARCHED, STEP
from matt.models.settings import BaselineName, BaselineSettings
from matt.settings import made
from matt.tracks import Tracks

NAMES = pytest.mark.parametrize("name", get_args(BaselineName))
THEIRS = {
    "lr": lambda: LogisticRegression(max_iter=2000),
    "knn": lambda: KNeighborsClassifier(7),
    "svm": lambda: CalibratedClassifierCV(SVC(), ensemble=False),
    "mlp_sklearn": lambda: MLPClassifier((6, 3), max_iter=30, random_state=0),
    "svm_stacked": lambda n=50: StackingClassifier(
        [("pairs", SVC(decision_function_shape="ovo"))],
        LogisticRegression(C=HELD / n, max_iter=2000),
        stack_method="decision_function",
    ),
    "hgb": lambda: HistGradientBoostingClassifier(
        learning_rate=STEP / 9,
        max_iter=9,
        max_leaf_nodes=4,
        l2_regularization=RIDGE,
        early_stopping=False,
        random_state=0,
    ),
}
RELEASE = {
    "lr": lambda: LogisticRegression(),
    "knn": lambda: KNeighborsClassifier(),
    "svm": lambda: CalibratedClassifierCV(SVC(), ensemble=False),
    "mlp_sklearn": lambda: MLPClassifier(max_iter=200, random_state=0),
}
SINGLE = ("svm", "svm_stacked", "hgb")  # give a bag one genre
NOT_CONVERGED = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"  # of scikit-learn's own, the oracle
)


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
    of = (len(x),) if name == "svm_stacked" else ()
    expected = THEIRS[name](*of).fit(x, tracks.labels).predict_proba(x[:9] + 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@NOT_CONVERGED
@pytest.mark.parametrize("name", [name for name in get_args(BaselineName) if name not in SINGLE])
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
@pytest.mark.parametrize("name", RELEASE)
def test_unscaled_is_the_release(name):
    """Raw features, and scikit-learn's defaults instead of the settings that were given."""
    ours = BaselineSettings(classifier=name, **OURS[name], unscaled=True)
    predictions, expected = fit_both(ours, RELEASE[name](), *make_data(3))
    np.testing.assert_allclose(predictions.probabilities, expected, rtol=0, atol=1e-6)
    scaled, _ = fit_both(BaselineSettings(classifier=name), RELEASE[name](), *make_data(3))
    assert np.abs(scaled.probabilities - expected).max() > 0.01


@pytest.mark.parametrize(
    ("name", "several"),
    [
        *((name, False) for name in get_args(BaselineName)),
        ("lr", True),
        ("knn", True),
        ("mlp_sklearn", True),
    ],
)
def test_a_bag_is_the_mean_of_its_tracks(name, several):
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
    for name in get_args(BaselineName):
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
    alone = ("1 of 3 genres have one training bag alone: genre 2",) if rare == 1 else ()
    assert model.notes == (
        *alone,
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


def test_what_scikit_learn_refuses_is_said_so_and_leaves_no_model(monkeypatch):
    def refuses(*given):
        raise ValueError("no solution")

    tracks, store, _ = make_data(3)
    bags = Bags.from_tracks(tracks, by="track")
    model = BaselineClassifier().fit(store, bags)
    monkeypatch.setitem(ESTIMATORS, "lr", replace(ESTIMATORS["lr"], fit=refuses))
    with pytest.raises(DataError, match=r"'lr' could not be fitted on 'toy' \(no solution\); look"):
        model.fit(store, bags)
    with pytest.raises(DataError, match="this model is not fitted"):
        model.predict(store, tracks, bags)


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
    assert made(BaselineSettings, json.loads(json.dumps(asdict(settings)))) == settings
    assert tuple(ESTIMATORS) == get_args(BaselineName)
    assert matt.BaselineClassifier is BaselineClassifier


@pytest.mark.parametrize("name", ["lr", "svm_stacked", "hgb"])
def test_balanced_tracks_are_averaged_as_if_all_genres_were_alike(name):
    tracks, store, _ = make_data(3)
    settings = BaselineSettings(
        classifier=name, **OURS[name], inputs="quantile", decision="balanced"
    )
    train = Bags.from_tracks(tracks, by="track", split="training")
    model = BaselineClassifier(settings).fit(store, train)
    whole = Bags([51, 64, 53, 69, 60, 55], [0, 1, 4, 6], tracks.labels[[51, 53, 60]], tracks.genres)
    alone = model.predict(store, tracks, Bags.from_tracks(tracks, by="track"))
    said = model.predict(store, tracks, whole)
    np.testing.assert_allclose(
        said.probabilities, alone.average_over(whole).probabilities, rtol=1e-4, atol=1e-6
    )
    shares = np.bincount(train.labels, minlength=3) + 0.5
    np.testing.assert_allclose(said.decision.bags, shares / shares.sum())
    plain = BaselineClassifier(replace(settings, decision="argmax")).fit(store, train)
    one = Bags.from_tracks(tracks, by="track")
    np.testing.assert_allclose(  # of lone tracks nothing but the decision is added
        plain.predict(store, tracks, one).probabilities, alone.probabilities, rtol=1e-4, atol=1e-6
    )


def test_ranks_do_not_change_where_values_are_bent():
    """Whatever rises with a value has its ranks."""
    tracks, _, x = make_data(3)
    bags = Bags.from_tracks(tracks, by="track", split="training")
    settings = BaselineSettings(inputs="quantile")
    said = []
    for values in (x, np.sinh(x / np.abs(x).max(axis=0))):
        store = FeatureStore.from_arrays("toy", tracks.track_id, values)
        model = BaselineClassifier(settings).fit(store, bags)
        said.append(model.predict(store, tracks, bags).probabilities)
    np.testing.assert_allclose(*said, atol=0.05)


@pytest.mark.parametrize("name", ["lr", "svm_stacked", "hgb"])
def test_a_search_takes_what_finds_most_on_validation(name):
    from matt.evaluation.metrics import confusion_matrix, macro_f1

    tracks, store, _ = make_data(3, n=90)
    train = Bags.from_tracks(tracks, by="track", split="training")
    valid = Bags.from_tracks(tracks, by="track", split="test")
    given = BaselineSettings(classifier=name, **OURS[name], decision="balanced", search=True)
    model = BaselineClassifier(given).fit(store, train, valid=valid)
    found = {}
    for changed in SEARCHED[name]:
        tried = replace(given, search=False, **changed)
        one = BaselineClassifier(tried).fit(store, train, valid=valid)
        best = one.predict(store, tracks, valid, prior="uniform").best
        found[tried] = macro_f1(confusion_matrix(valid.labels, best, 3))
    assert found[model.settings] == max(found.values())
    assert any("was chosen by macro-F1 on validation" in note for note in model.notes)
    # Without validation bags there is nothing to choose by.
    assert BaselineClassifier(given).fit(store, train).settings == given


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("left", 10**6, "a node of a tree leads nowhere"),
        ("right", 0, "a node of a tree leads nowhere"),
        ("start", -1, "a tree starts nowhere"),
        ("feature", F, f"a feature that is none of {F}"),
    ],
)
def test_trees_of_a_file_lead_somewhere(name, value, message):
    tracks, store, _ = make_data(3)
    settings = BaselineSettings(classifier="hgb", **OURS["hgb"])
    model = BaselineClassifier(settings).fit(
        store, Bags.from_tracks(tracks, by="track", split="training")
    )
    arrays = {key: array.copy() for key, array in model._arrays.items()}
    assert not list(faults(settings, arrays, store.spec, tracks.genres, "softmax"))
    arrays[name][1 if name == "right" else 0] = value
    assert any(
        message in wrong for wrong in faults(settings, arrays, store.spec, tracks.genres, "softmax")
    )


@pytest.mark.parametrize("trees", [1, 2, 3, 5, 8])
def test_a_few_rounds_say_more_than_none(trees):
    """However few, they count together less than would overshoot."""
    tracks, _, x = make_data(3)
    settings, y = (
        BaselineSettings(classifier="hgb", trees=trees),
        np.eye(3, dtype=bool)[tracks.labels],
    )
    arrays, _ = ESTIMATORS["hgb"].fit(settings, x, y, True)
    loss = -ESTIMATORS["hgb"].scores(settings, arrays, x, True)[y].mean()
    shares = y.mean(axis=0)
    assert loss < -np.log(shares) @ shares


def test_a_value_on_a_threshold_goes_where_scikit_learn_sends_it():
    tracks, _, x = make_data(3)
    settings = BaselineSettings(classifier="hgb", **OURS["hgb"])
    arrays, _ = ESTIMATORS["hgb"].fit(settings, x, np.eye(3, dtype=bool)[tracks.labels], True)
    rows = np.repeat(x[:1], len(arrays["feature"]), axis=0)
    rows[np.arange(len(rows)), arrays["feature"]] = arrays["threshold"]
    expected = THEIRS["hgb"]().fit(x, tracks.labels).predict_proba(rows)
    found = np.exp(ESTIMATORS["hgb"].scores(settings, arrays, rows, True))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
