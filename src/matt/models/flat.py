"""Classifiers of bags for users of scikit-learn: flat arrays, and which bag each row is in."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from ..bags import Bags
from ..errors import ConfigError, DataError, check_arguments, did_you_mean
from ..features.store import FeatureStore
from ..predictions import Predictions
from ..tracks import Tracks
from .baselines import BaselineClassifier
from .neural import NeuralClassifier
from .settings import BaselineSettings, ModelSettings, TrainingSettings


class BagClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn estimator over `NeuralClassifier` or `BaselineClassifier`.

    Rows are tracks. Rows of equal ``bags`` are classified together and get the same prediction; a
    row whose bag is -1, NaN, None or "", and every row where ``bags`` is not given, is alone. In
    training a bag has the label of the majority of its rows, as in `Bags.from_tracks`.

    Parameters
    ----------
    model : ModelSettings or BaselineSettings, optional
        What is fitted; by default a network.
    training : TrainingSettings, optional
        Of a network.

    Every setting is also a parameter of its own, ``model__pooling`` or ``training__lr``, for
    `set_params` and for a search over them.

    Attributes
    ----------
    classes_ : array, shape (G,)
        Labels, sorted; the columns of `predict_proba`.
    classifier_ : GenreClassifier
        What was fitted; it can be saved.

    Notes
    -----
    Cross-validation has to hand each fold its part of ``bags``. With metadata routing
    (``sklearn.set_config(enable_metadata_routing=True)``) ``set_fit_request(bags=True)`` and
    ``set_score_request(bags=True)`` ask for it in training and in scoring. Without routing,
    ``cross_val_score(..., params={"bags": bags})`` gives it to training alone, and each row of the
    tested fold is predicted alone.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(0, 0.1, (40, 3))
    >>> y = np.where(np.arange(40) // 2 % 2, "Folk", "Rock")
    >>> X[:, 0] += y == "Rock"
    >>> albums = np.arange(40) // 2
    >>> model = BagClassifier(BaselineSettings(classifier="lr")).fit(X, y, bags=albums)
    >>> model.predict(X[:4], bags=albums[:4])
    array(['Rock', 'Rock', 'Folk', 'Folk'], dtype='<U4')
    """

    def __init__(
        self,
        model: ModelSettings | BaselineSettings | None = None,
        training: TrainingSettings | None = None,
    ) -> None:
        self.model = model
        self.training = training

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:  # its signature in scikit-learn
        fitted = "not fitted"
        if hasattr(self, "classes_"):
            fitted = f"fitted, {len(self.classes_)} classes"
        model = self._settings()["model"]
        kind = getattr(model, "classifier", type(model).__name__)
        if isinstance(model, ModelSettings):
            kind = f"{model.encoder} encoder, {model.pooling} pooling"
        return f"BagClassifier({kind}; {fitted})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name; with ``deep`` also each of theirs, as ``training__lr``."""
        params: dict[str, Any] = super().get_params(deep=False)
        if deep:
            for name, settings in self._settings().items():
                each = fields(settings) if is_dataclass(settings) else ()
                params |= {f"{name}__{one.name}": getattr(settings, one.name) for one in each}
        return params

    def set_params(self, **params: Any) -> Self:
        """Replace settings, whole ones first, then single ones such as ``training__lr=0.01``.

        Raises
        ------
        ConfigError
            If a name is unknown, or a value is impossible.
        """
        whole = {name: params[name] for name in ("model", "training") if name in params}
        made = BagClassifier(**(self.get_params(deep=False) | whole))
        known = made.get_params()
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            if key not in known:
                raise ConfigError(
                    f"unknown parameter {key!r} of BagClassifier; {did_you_mean(key, known)}"
                )
            name, deep, setting = key.partition("__")
            if deep:
                nested.setdefault(name, {})[setting] = value
        for name, changed in nested.items():  # at once, as settings are checked together
            setattr(made, name, replace(made._settings()[name], **changed))
        self.model, self.training = made.model, made.training  # all that was asked for, or nothing
        return self

    def _settings(self) -> dict[str, Any]:
        """Settings, or the default where there are none."""
        default = {"model": ModelSettings, "training": TrainingSettings}
        return {
            name: make() if getattr(self, name) is None else getattr(self, name)
            for name, make in default.items()
        }

    def fit(self, X: ArrayLike, y: ArrayLike, bags: ArrayLike | None = None) -> Self:
        """Learn from rows, their labels and their bags.

        Parameters
        ----------
        X : array, shape (n, F)
        y : array, shape (n,)
            Labels of any type, two or more of them.
        bags : array, shape (n,), optional
            Names of the bags: whole numbers or strings.

        Raises
        ------
        ValueError
            If an array has another length or holds NaN; `DataError` and `ConfigError` are such.
        """
        check_arguments(
            model=(self.model, ModelSettings | BaselineSettings | None),
            training=(self.training, TrainingSettings | None),
        )
        values, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"y holds only one class ({self.classes_[0]}): there is nothing to tell apart; "
                "add rows of another class"
            )
        store, _, which = _of_rows(values, codes, tuple(map(str, self.classes_)), bags)
        if isinstance(self.model, BaselineSettings):
            self.classifier_: BaselineClassifier | NeuralClassifier = BaselineClassifier(self.model)
        else:
            self.classifier_ = NeuralClassifier(self.model, self.training)
        self.classifier_.fit(store, which)
        return self

    def predict(self, X: ArrayLike, bags: ArrayLike | None = None) -> NDArray[Any]:
        """Label of each row's bag, shape (n,)."""
        found = self._predictions(X, bags)
        return np.asarray(self.classes_[found.best])

    def predict_proba(self, X: ArrayLike, bags: ArrayLike | None = None) -> NDArray[np.float64]:
        """Probabilities of each row's bag, shape (n, G)."""
        return self._predictions(X, bags).probabilities

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        bags: ArrayLike | None = None,
    ) -> float:
        """Share of rows whose bag is predicted with the row's own label."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(y, self.predict(X, bags), sample_weight=sample_weight))

    def _predictions(self, X: ArrayLike, bags: ArrayLike | None) -> Predictions:
        """One prediction a row, in the order of the rows."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float32, reset=False)
        unknown = np.full(len(values), -1)
        store, tracks, which = _of_rows(values, unknown, self.classifier_.genres, bags)
        spread = self.classifier_.predict(store, tracks, which).per_track()
        return spread.take(spread.tracks.rows(tracks.track_id))


def _of_rows(
    values: NDArray[np.float32],
    codes: NDArray[np.int64],
    genres: tuple[str, ...],
    bags: ArrayLike | None,
) -> tuple[FeatureStore, Tracks, Bags]:
    """Rows as tracks of one segment each, numbered from 0, and their bags."""
    ids = np.arange(len(values))
    columns = {}
    if bags is not None:
        if np.shape(bags)[1:] not in ((), (1,)) or not np.ndim(bags):
            raise DataError(
                f"bags must name the bag of each row, got the shape {np.shape(bags)}; give "
                f"{len(values):,} names, or leave bags out if every row is alone"
            )
        check_consistent_length(values, bags)
        columns["bags"] = column_or_1d(bags)
        if columns["bags"].dtype == object:  # strings of pandas, where a gap is None or NaN
            texts = ["" if name is None or name != name else str(name) for name in columns["bags"]]
            columns["bags"] = np.array(texts)
    tracks = Tracks(ids, codes, genres, columns=columns)
    by = "track" if bags is None else "bags"
    return FeatureStore.from_arrays("rows", ids, values), tracks, Bags.from_tracks(tracks, by=by)
