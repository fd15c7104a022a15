"""Flat arrays: scikit-learn's own checks, bags that count, folds that get their part of them."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import matt
from matt.errors import ConfigError, DataError
from matt.models.baselines import BaselineClassifier
from matt.models.flat import BagClassifier
from matt.models.neural import NeuralClassifier
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings

LR = BaselineSettings(classifier="lr")
MODELS = {
    "baseline": lambda: BagClassifier(LR),
    "neural": lambda: BagClassifier(
        ModelSettings(hidden=(8,)), TrainingSettings(epochs=10, lr=0.02)
    ),
}


@pytest.fixture(scope="module")
def data():
    """Albums of three tracks, one column that tells the genres apart by and large."""
    rng = np.random.default_rng(0)
    album = rng.permutation(np.arange(60) // 3)
    y = np.array(["Rock", "Folk"])[rng.permutation(np.arange(20) % 2)[album]]
    X = rng.standard_normal((60, 4))
    X[:, 1] += 1.5 * (y == "Rock")
    return X, y, album


def test_scikit_learn_finds_nothing_to_complain_of():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)  # array API, which is not supported
        check_estimator(BagClassifier(LR))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_bags_are_predicted_together_and_rows_alone(make, data):
    X, y, album = data
    model = make().fit(X, y, bags=album)
    together, alone = model.predict_proba(X, bags=album), model.predict_proba(X)
    assert together.shape == (60, 2)
    np.testing.assert_allclose(together.sum(axis=1), 1)
    for bag in range(20):  # rows of a bag have one prediction
        assert (together[album == bag] == together[album == bag][0]).all()
    assert len(np.unique(alone, axis=0)) == 60
    assert model.score(X, y, bags=album) > model.score(X, y) > 0.7
    np.testing.assert_array_equal(
        model.predict(X, bags=album), model.classes_[together.argmax(axis=1)]
    )


def test_a_baseline_averages_its_rows(data):
    X, y, album = data
    model = BagClassifier(LR).fit(X, y, bags=album)
    alone = model.predict_proba(X)
    expected = np.stack([alone[album == bag].mean(axis=0) for bag in album])
    np.testing.assert_allclose(model.predict_proba(X, bags=album), expected, rtol=1e-5)


def test_bags_may_have_names_and_gaps(data):
    X, y, album = data
    model = BagClassifier(LR).fit(X, y)
    names = np.array([f"album {n}" for n in album], object)
    np.testing.assert_array_equal(
        model.predict_proba(X, bags=names), model.predict_proba(X, bags=album)
    )
    for gap in (None, np.nan, ""):
        some = names.copy()
        some[album == 4] = gap
        expected = np.where(
            (album == 4)[:, None], model.predict_proba(X), model.predict_proba(X, bags=album)
        )
        np.testing.assert_array_equal(model.predict_proba(X, bags=some), expected)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_folds_get_their_part_of_the_bags(make, data):
    X, y, album = data
    cv = GroupKFold(4)
    expected = [
        [
            make().fit(X[a], y[a], bags=album[a]).score(X[b], y[b], **given(album[b]))
            for a, b in cv.split(X, y, album)
        ]
        for given in (lambda part: {}, lambda part: {"bags": part})
    ]
    plain = cross_val_score(make(), X, y, groups=album, cv=cv, params={"bags": album})
    np.testing.assert_array_equal(plain, expected[0])
    with sklearn.config_context(enable_metadata_routing=True):
        model = make().set_fit_request(bags=True).set_score_request(bags=True)
        routed = cross_val_score(model, X, y, cv=cv, params={"bags": album, "groups": album})
    np.testing.assert_array_equal(routed, expected[1])


def test_settings_can_be_searched(data):
    X, y, album = data
    choices = [LR, BaselineSettings(classifier="knn", n_neighbors=3)]
    search = GridSearchCV(BagClassifier(), {"model": choices}, cv=GroupKFold(3))
    search.fit(X, y, groups=album, bags=album)
    assert search.best_params_["model"] in choices


def test_single_settings_are_parameters_of_their_own(data):
    model = BagClassifier()
    deep = model.get_params()
    assert deep["training__lr"] == TrainingSettings().lr
    assert deep["model__pooling"] == ModelSettings().pooling
    assert model.get_params(deep=False) == {"model": None, "training": None}
    assert {key: deep[key] for key in ("model", "training")} == model.get_params(deep=False)
    before = TrainingSettings(epochs=7)
    model.set_params(training=before, training__lr=0.25, model__pooling="dot", model__scale="fixed")
    assert model.training == TrainingSettings(epochs=7, lr=0.25)
    assert before == TrainingSettings(epochs=7)  # frozen: another one took its place
    # Neither of these two is possible without the other.
    model.set_params(model__frozen_queries=True, model__query="all")
    assert model.model == ModelSettings(pooling="dot", scale="fixed", frozen_queries=True)
    assert clone(model).get_params() == model.get_params()
    model.set_params(model=LR, model__classifier="knn", model__n_neighbors=3)
    assert model.model == BaselineSettings(classifier="knn", n_neighbors=3)
    assert clone(model).set_params() is not model


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"training__lrr": 1}, "unknown parameter 'training__lrr' of BagClassifier; did you mean 'training__lr'"),
        ({"lr": 1}, "unknown parameter 'lr'"),
        ({"trainig__lr": 1}, "did you mean 'training__lr'"),
        ({"model__n_neighbors": 1}, "unknown parameter 'model__n_neighbors'"),
        ({"training__lr": -1.0}, "lr"),
        ({"model__pooling": "dott"}, "did you mean 'dot'"),
    ],
)  # fmt: skip
def test_a_parameter_that_is_none_is_refused_and_nothing_changes(wrong, message):
    model = BagClassifier(training=TrainingSettings(epochs=3))
    before = model.get_params()
    with pytest.raises(ConfigError, match=message):
        model.set_params(training__epochs=5, **wrong)
    assert model.get_params() == before


@pytest.mark.parametrize(
    ("model", "grid"),
    [
        (BagClassifier(LR), {"model__max_iter": [1, 50], "model__classifier": ["lr"]}),
        (MODELS["neural"](), {"training__lr": [1e-9, 0.02], "model__pooling": ["mean", "dot"]}),
    ],
    ids=MODELS,
)
def test_single_settings_can_be_searched(model, grid, data):
    X, y, album = data
    search = GridSearchCV(model, grid, cv=GroupKFold(3)).fit(X, y, groups=album, bags=album)
    assert len(search.cv_results_["params"]) == np.prod([len(values) for values in grid.values()])
    assert search.best_params_.items() <= search.best_estimator_.get_params().items()
    assert search.best_score_ > 0.6
    for params, value in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        again = clone(model).set_params(**params)
        scores = cross_val_score(
            again, X, y, groups=album, cv=GroupKFold(3), params={"bags": album}
        )
        assert scores.mean() == value


def test_what_is_inside_can_be_saved(data, tmp_path):
    X, y, album = data
    for make, kind in zip(MODELS.values(), (BaselineClassifier, NeuralClassifier), strict=True):
        model = make().fit(X, y, bags=album)
        model.classifier_.save(tmp_path)
        assert isinstance(matt.GenreClassifier.load(tmp_path), kind)
        assert clone(model).get_params() == model.get_params()
    assert matt.BagClassifier is BagClassifier


def test_what_does_not_fit_is_refused(data):
    X, y, album = data
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        BagClassifier(LR).fit(X, y, bags=album[1:])
    for bags in ("abc", 3, np.stack([album, album], axis=1)):
        with pytest.raises(DataError, match=r"bags must name the bag of each row, got the shape"):
            BagClassifier(LR).fit(X, y).predict(X, bags=bags)
    with pytest.raises(ValueError, match="NaN"):
        BagClassifier(LR).fit(np.where(X > 1, np.nan, X), y)
    with pytest.raises(ValueError, match="5 features, but BagClassifier is expecting 4"):
        BagClassifier(LR).fit(X, y).predict(np.hstack([X, X[:, :1]]))
    with pytest.raises(DataError, match=r"only one class \(Rock\): .*; add rows of another"):
        BagClassifier(LR).fit(X[:7], ["Rock"] * 7)
