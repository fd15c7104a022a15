"""The baselines: scikit-learn classifiers of a track's mean over its segments.

Those of the paper, and stronger ones that every table of ours has to be read beside.

Whether the arrays of a saved baseline are what its description says is checked: nothing is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.coverage import coverage_of
from ..calibration.priors import Prior, as_logits, natural_prior, reprior
from ..calibration.thresholds import choose_thresholds
from ..errors import ConfigError, DataError, check_arguments, first_few
from ..evaluation.metrics import confusion_matrix, macro_f1
from ..features.spec import FeatureSpec
from ..features.store import FeatureStore
from ..predictions import Predictions, probabilities_of
from ..settings import made
from ..tracks import Tracks
from .arrays import N_QUANTILES, check_finite, parts_of, ranked, segment_counts
from .estimators import (
    CERTAIN,
    ESTIMATORS,
    MOST_LEARNED,
    MOST_SEARCHED,
    SEARCHED,
    SEARCHED_ON,
    WHOLE,
    Arrays,
    Each,
    drawn,
    quicker,
    standing_for,
)
from .saving import (
    MODEL,
    Fitted,
    check_bags,
    check_fit,
    check_fitted,
    described,
    fit_notes,
    fitted_in_words,
    read_model,
    read_weights,
    readied,
    restore,
    telling_damage,
    write_model,
)
from .settings import BaselineSettings, ModelSettings


def faults(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    spec: FeatureSpec,
    genres: Sequence[str],
    link: str,
) -> Iterator[str]:
    """Yield what is wrong with the names, types, shapes and ranges of arrays; nothing if they fit.

    Parameters
    ----------
    settings : BaselineSettings
    arrays : mapping of str to array
        As read from a file.
    spec : FeatureSpec
    genres : sequence of str
    link : {"softmax", "sigmoid"}
    """
    settings = settings.effective
    estimator = ESTIMATORS[settings.classifier]
    for name, array in arrays.items():
        wanted = "int64" if name in WHOLE else "bool" if name == "labels" else "float64"
        if array.dtype != wanted:
            yield f"{name} does not hold numbers of type {wanted}"
            return
    n_features = int(np.prod(spec.shape))
    n_seen = arrays["seen"].size if "seen" in arrays else 0
    try:
        shapes: dict[str, tuple[int, ...]] = {
            "seen": (n_seen,),
            "mean": (n_features,),
            "scale": (n_features,),
        }
        if settings.inputs == "quantile":
            shapes["quantiles"] = (N_QUANTILES, n_features)
        shapes |= estimator.shapes(settings, arrays, n_features, n_seen)
    except (KeyError, TypeError, OverflowError) as error:
        yield f"no array {error}"
        return
    found = {name: array.shape for name, array in arrays.items()}
    for name in sorted(shapes.keys() | found):
        if shapes.get(name) != found.get(name):
            yield f"{name} has the shape {found.get(name)}, expected {shapes.get(name)}"
            return
    seen = arrays["seen"]
    if n_seen < 2 or seen[0] < 0 or seen[-1] >= len(genres) or (np.diff(seen) < 1).any():
        yield f"genres {first_few(seen.tolist())} of {len(genres)} are no genres that differ"
    if (arrays["scale"] <= 0).any():
        yield "scale is not above 0"
    if (arrays.get("n_support", seen) < 0).any():
        yield "n_support is below 0"
    if link == "sigmoid" and not estimator.several:
        yield f"the link 'sigmoid' is none of {settings.classifier!r}"
    if "quantiles" in arrays and (np.diff(arrays["quantiles"], axis=0) < 0).any():
        yield "quantiles do not rise"
    if estimator.wrong is not None:
        yield from estimator.wrong(arrays, n_features)


class TrainingTracks(NamedTuple):
    """Training tracks, as a classifier learns from them.

    Attributes
    ----------
    x : array, shape (n, F)
    y : bool array, shape (n, P)
        Of the P genres seen.
    each : array, shape (n,), or None
        How many tracks each stands for; by default itself.
    """

    x: NDArray[Any]
    y: NDArray[np.bool_]
    each: Each = None

    def drawn(self, most: int) -> TrainingTracks:
        """So many at most: rare genres whole, and those of a large genre stand for all of it.

        Examples
        --------
        >>> labels = [0, 1, 1, 1, 1, 1, 1, 1, 1]
        >>> tracks = TrainingTracks(np.arange(9)[:, None], np.eye(2, dtype=bool)[labels])
        >>> tracks.drawn(5).each.tolist()
        [1.0, 2.0, 2.0, 2.0, 2.0]
        """
        labels = self.y.argmax(axis=1)
        rows = drawn(labels, most)
        if len(rows) == len(labels):
            return self
        counts = self.y.sum(axis=0) if self.each is None else self.each @ self.y
        return TrainingTracks(self.x[rows], self.y[rows], standing_for(labels[rows], counts))


KIND = "baseline"
_PART_BYTES = 2**26  # values read at once
_PART_TRACKS = 2048  # tracks predicted at once


class BaselineClassifier(Fitted):
    """A classifier of scikit-learn: see `matt.models.settings.BaselineSettings`.

    It sees one row a track, the mean over its segments, standardised. A bag of several tracks is
    taken apart: in training each of its tracks has the bag's label; in prediction each track is
    predicted alone and the probabilities are averaged, as in `Predictions.average_over`.

    Parameters
    ----------
    settings : BaselineSettings, optional

    Attributes
    ----------
    genres, train_counts, spec, coverage, notes
        As in `GenreClassifier`.
    link : {"softmax", "sigmoid"}
        ``"sigmoid"`` if a bag may have several genres. Logits are log-probabilities, or log-odds;
        a probability of 0 has the logit -1000.
    prior : TrainedPrior or None
        How frequent genres were among the training tracks, which its outputs assume.
    thresholds : array, shape (G,), or None
        As in `NeuralClassifier`.
    history : list of dict
        Empty: there are no epochs.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(40) % 2
    >>> tracks = Tracks(np.arange(40), labels, ("Rock", "Folk"))
    >>> values = labels[:, None] + 0.1 * rng.standard_normal((40, 3))
    >>> store = FeatureStore.from_arrays("toy", tracks.track_id, values)
    >>> bags = Bags.from_tracks(tracks, by="track")
    >>> model = BaselineClassifier(BaselineSettings(classifier="lr")).fit(store, bags)
    >>> bool((model.predict(store, tracks, bags).best == labels).all())
    True
    """

    def __init__(self, settings: BaselineSettings | None = None) -> None:
        check_arguments(settings=(settings, BaselineSettings | None))
        super().__init__()
        self.settings = settings or BaselineSettings()
        self._arrays: dict[str, NDArray[Any]] = {}

    def __repr__(self) -> str:
        return f"BaselineClassifier({self.settings.classifier}; {fitted_in_words(self)})"

    def fit(
        self,
        features: FeatureStore,
        bags: Bags,
        *,
        valid: Bags | None = None,
        progress: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Self:
        """Learn from labelled bags.

        Parameters
        ----------
        features : FeatureStore
        bags : Bags
            All labelled, of two genres or more; a genre without a bag has probability 0.
        valid : Bags, optional
            They give the coverage, or with several genres a bag the thresholds.
        progress : callable, optional
            Not called: there are no epochs.

        Returns
        -------
        BaselineClassifier
            Itself, fitted.

        Raises
        ------
        DataError
            If labels or features are missing or not finite, fewer than two genres have bags, or
            scikit-learn finds no solution.
        ConfigError
            If bags have several genres and the classifier is ``"svm"``.
        """
        check_fit(features, bags, valid)
        settings = self.settings.effective
        check_bags(bags, valid, ModelSettings())
        estimator = ESTIMATORS[settings.classifier]
        if bags.multi_label and not estimator.several:
            raise ConfigError(
                f"classifier={settings.classifier!r} gives a bag one genre, but these bags may "
                "have several; use 'lr', 'knn' or 'mlp_sklearn'"
            )
        self._arrays = {}
        labels, several = np.repeat(bags.labels, bags.sizes, axis=0), bags.multi_label
        y = labels if several else np.eye(len(bags.genres), dtype=bool)[labels]
        seen = np.flatnonzero(y.any(axis=0))
        taught = TrainingTracks(np.arange(len(y))[:, None], y[:, seen])
        searched = settings.search and settings.classifier in SEARCHED and not several
        if searched and estimator.weighted:  # rows alone, so that no others are read
            taught = taught.drawn(MOST_LEARNED)
        x = track_means(features, bags.track_ids[taught.x[:, 0]], role="training ")
        shared = {"seen": seen, **_scales(x, settings)}
        taught = taught._replace(x=_scaled(shared, x))
        self.genres, self.train_counts = bags.genres, bags.train_counts.copy()
        self.spec, self.link = features.spec, "sigmoid" if several else "softmax"
        self.prior = natural_prior(bags, segment_counts(features, bags.track_ids))
        if settings.decision == "balanced" and not several:
            self.prior = replace(self.prior, tracks=self.prior.bags)
        heard = np.empty((0, x.shape[1]))
        if valid is not None:
            heard = _scaled(shared, track_means(features, valid.track_ids))
        if valid is not None and searched:
            told = self._search(settings, shared, taught, heard, valid)
        else:
            told = self._learn(settings, shared, taught)
        if len(taught.x) < len(y):
            told = (*told, f"it learns from {len(taught.x):,} of {len(y):,} training tracks")
        self.notes = (*fit_notes(bags, [], 0), *told)
        self.coverage, self.thresholds = None, None
        if valid is not None:
            said = probabilities_of(self._logits(heard.__getitem__, valid), self.link)
            if several:
                limits = choose_thresholds(said, valid.labels)
                self.thresholds = limits.values
                self.notes += limits.notes(self.genres)
            else:
                self.coverage = coverage_of(said, valid.labels)
        return self

    def _learn(
        self, settings: BaselineSettings, shared: Arrays, taught: TrainingTracks
    ) -> tuple[str, ...]:
        """Fit with some settings; gives what is to be known of it."""
        fit, one_genre = ESTIMATORS[settings.classifier].fit, self.link == "softmax"
        try:
            arrays, told = fit(settings, taught.x, taught.y, one_genre, taught.each)
        except ValueError as error:
            name = "" if self.spec is None else self.spec.name
            raise DataError(
                f"{settings.classifier!r} could not be fitted on {name!r} ({error}); look at the "
                "features with 'matt audit', or standardise them"
            ) from error
        self._arrays = shared | arrays
        return told

    def _search(
        self,
        settings: BaselineSettings,
        shared: Arrays,
        taught: TrainingTracks,
        heard: NDArray[np.float64],
        valid: Bags,
    ) -> tuple[str, ...]:
        """Fit with the settings of the highest macro-F1 on validation, where many tracks by few."""
        weighted = ESTIMATORS[settings.classifier].weighted
        few = taught.drawn(SEARCHED_ON) if weighted and len(taught.x) > MOST_SEARCHED else taught
        found: list[tuple[float, BaselineSettings, Arrays, tuple[str, ...]]] = []
        for changed in SEARCHED[settings.classifier]:
            tried = replace(settings, **changed)
            told = self._learn(tried if few is taught else quicker(tried), shared, few)
            self.settings = tried
            told = (*told, _choice(changed))
            found.append((self._judged(heard, valid), tried, self._arrays, told))
        _, best, self._arrays, told = max(found, key=itemgetter(0))
        if few is not taught:
            told = (*self._learn(best, shared, taught), f"{told[-1]}, with {len(few.x):,} tracks")
        self.settings = replace(best, search=False)
        return told

    def _judged(self, x: NDArray[np.float64], valid: Bags) -> float:
        """Macro-F1 on validation bags, whose tracks count, as if all genres were alike."""
        logits = self._logits(x.__getitem__, valid).astype(np.float64)
        if self.prior is not None and self.prior.decision is not None:
            logits -= as_logits(self.prior.bags, self.link)
        n, sizes = len(self.genres), valid.sizes * 1.0
        return macro_f1(confusion_matrix(valid.labels, logits.argmax(axis=1), n, sizes))

    def predict(
        self, features: FeatureStore, tracks: Tracks, bags: Bags, *, prior: Prior | None = None
    ) -> Predictions:
        """Predict bags: each track alone, then the mean of the probabilities.

        Parameters
        ----------
        features, tracks, bags, prior
            As in `GenreClassifier.predict`.
        """
        rows, known = readied(self, self._arrays, features, tracks, bags)

        def read(part: slice) -> NDArray[np.float64]:
            return _scaled(self._arrays, track_means(features, bags.track_ids[part]))

        logits = self._logits(read, bags)
        decision = None if self.prior is None else self.prior.decision
        predictions = Predictions(
            known, rows, logits, self.link, thresholds=self.thresholds, decision=decision
        )
        return predictions if prior is None else reprior(predictions, prior, trained=self.prior)

    def _logits(
        self, read: Callable[[slice], NDArray[np.float64]], bags: Bags
    ) -> NDArray[np.float32]:
        """Logits of bags, shape (b, G); read gives features (n, F) of a part of their tracks."""
        arrays, one_genre = self._arrays, self.link == "softmax"
        settings = self.settings.effective
        apply = ESTIMATORS[settings.classifier].scores
        n_tracks = len(bags.track_ids)
        scores = np.full((n_tracks, len(self.genres)), -np.inf)
        for start in range(0, n_tracks, _PART_TRACKS):
            part = slice(start, start + _PART_TRACKS)
            scores[part, arrays["seen"]] = apply(settings, arrays, read(part), one_genre)
        apart = None if self.prior is None else self.prior.decision
        if apart is not None:  # as if genres were alike
            scores = scores - as_logits(apart.bags, self.link)
            scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        logits = _mean_of(scores, bags.offsets, one_genre=one_genre)
        if apart is not None:
            logits = logits + as_logits(apart.bags, self.link)
        return np.asarray(logits.clip(-CERTAIN, CERTAIN), np.float32)

    def save(self, path: Path | str) -> None:
        """Write a model folder: ``model.json`` and ``weights.safetensors``.

        Raises
        ------
        DataError
            If the model is not fitted.
        """
        from sklearn import __version__ as sklearn_version

        spec = check_fitted(self.spec, self._arrays)
        content = {
            **described(self, spec, {"scikit-learn": sklearn_version}),
            "settings": self.settings.to_json(),
        }
        write_model(path, KIND, content, self._arrays)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open a model folder; nothing is fitted again.

        Raises
        ------
        DataError
            If the folder is no model of this kind, or its parts do not fit each other.
        """
        content = read_model(path, kind=KIND)
        place = Path(path) / MODEL
        with telling_damage(place):
            model = cls(made(BaselineSettings, content["settings"]))
            spec = restore(model, content, links=("softmax", "sigmoid"))
        arrays = read_weights(path, content)
        wrong = first_few(faults(model.settings, arrays, spec, model.genres, model.link))
        if wrong:
            raise DataError(
                f"the weights do not fit {place} ({wrong}); copy the model again, or train again"
            )
        model._arrays = arrays
        return model


def _scales(x: NDArray[np.float64], settings: BaselineSettings) -> Arrays:
    """What makes features comparable, learned from the training tracks (n, F)."""
    arrays: Arrays = {}
    if settings.inputs == "quantile":
        columns = np.sort(x.T, axis=1)  # sorted at once: to look for so many takes longer
        arrays["quantiles"] = np.quantile(columns, np.linspace(0, 1, N_QUANTILES), axis=1)
        x = ranked(x, arrays["quantiles"].T)
    if settings.unscaled:
        return arrays | {"mean": np.zeros(x.shape[1]), "scale": np.ones(x.shape[1])}
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    return arrays | {"mean": scaler.mean_, "scale": scaler.scale_}


def _scaled(arrays: Mapping[str, NDArray[Any]], x: NDArray[np.float64]) -> NDArray[np.float64]:
    if "quantiles" in arrays:
        x = ranked(x, arrays["quantiles"].T)
    return np.asarray((x - arrays["mean"]) / arrays["scale"])


def _choice(changed: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name} {value:g}" for name, value in changed.items())
    return f"{told} was chosen by macro-F1 on validation"


def track_means(
    features: FeatureStore, track_ids: NDArray[np.int64], *, role: str = ""
) -> NDArray[np.float64]:
    """Mean over the segments of each track, shape (n, F): F values of a segment, flattened.

    Raises
    ------
    DataError
        If a track has no features, or a value is not finite.
    """
    counts = segment_counts(features, track_ids)
    means = np.empty((len(track_ids), int(np.prod(features.spec.shape))))
    for part in parts_of(counts, most=max(1, _PART_BYTES // features.spec.n_bytes)):
        values, offsets = features.read(track_ids[part])
        x = values.reshape(len(values), -1).astype(np.float64)
        check_finite(x, track_ids[part], offsets, features.spec.name, role=role)
        means[part] = np.add.reduceat(x, offsets[:-1], axis=0) / counts[part, None]
    return means


def _mean_of(
    scores: NDArray[np.float64], offsets: NDArray[np.int64], *, one_genre: bool
) -> NDArray[np.float64]:
    """Logits of the mean probability of each bag's tracks: (n, G) -> (b, G), without underflow."""
    starts, size = offsets[:-1], np.log(np.diff(offsets))[:, None]
    if one_genre:
        return np.asarray(np.logaddexp.reduceat(scores, starts, axis=0) - size)
    yes, no = (
        np.logaddexp.reduceat(-np.logaddexp(0, sign * scores), starts, axis=0) for sign in (-1, 1)
    )
    return np.asarray(yes - no)
