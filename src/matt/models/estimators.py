"""The scikit-learn baselines as arrays: fitted by scikit-learn, applied by a few lines here.

A fitted object of scikit-learn can be kept only as a pickle. Arrays can be kept anywhere, and a
model predicts from them in the same way before it is saved and after. The result is that of
scikit-learn's own ``predict_proba``, which the tests compare. A support vector machine is one for
each pair of genres: of what they say, ``"svm"`` makes one score a genre, as scikit-learn does, and
calibrates it; ``"svm_stacked"`` gives it to a logistic regression, which tells more genres apart.

Of more tracks than `MOST_KERNEL` neither has the whole kernel, whose time goes like their
square: `fit_landmarks` takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .settings import BaselineSettings

FOLDS = 5  # of the calibration, scikit-learn's default
# Training tracks of a whole kernel. The paper's is fitted for one setting, and stays what it was on
# FMA; the other for each of a search.
MOST_KERNEL = {"svm": 50_000, "svm_stacked": 12_000}
LANDMARKS = 1_000  # training tracks to which all are compared instead
# Of more training tracks than the first, what a search chooses from is compared on the second; a
# classifier that is searched for learns from the third at most.
MOST_SEARCHED, SEARCHED_ON, MOST_LEARNED = 12_000, 6_000, 50_000
_VALUES = 24_000_000  # of the largest array of a fit by landmarks, where it has more rows than
_ROWS = 12_000


Each = NDArray[np.float64] | None  # (n,) how many tracks each stands for; None: itself


def fit_svm(
    settings: BaselineSettings,
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    one_genre: bool,
    each: Each = None,
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """Support vector machine, its decision values calibrated by cross-validation.

    There are as many folds as the rarest genre has tracks, up to 5. A genre of one track has it
    counted twice, so that no fold is without it.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    if approximated(settings.classifier, len(x)):
        return fit_landmarks(settings, x, y)
    x, labels, folds, notes = _in_folds(x, y)
    model = CalibratedClassifierCV(SVC(C=settings.c), ensemble=False, cv=folds).fit(x, labels)
    (fitted,) = model.calibrated_classifiers_
    calibration = np.array([(c.a_, c.b_) for c in fitted.calibrators])
    return {**_machine(fitted.estimator, x), "calibration": calibration}, notes


def fit_stacked(
    settings: BaselineSettings,
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    one_genre: bool,
    each: Each = None,
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """Support vector machine, and a logistic regression of what its pairs say of held-out folds.

    Folds are those of `fit_svm`. The regression is held down strongly, as pairs are many and alike.
    """
    from sklearn.ensemble import StackingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    if approximated(settings.classifier, len(x) if each is None else round(each.sum())):
        return fit_landmarks(settings, x, y, each)
    x, labels, folds, notes = _in_folds(x, y)
    pairs = SVC(C=settings.c, decision_function_shape="ovo")
    told = LogisticRegression(C=HELD / len(x), max_iter=settings.max_iter)
    model = StackingClassifier([("pairs", pairs)], told, cv=folds, stack_method="decision_function")
    with _quiet():
        model.fit(x, labels)
    told = model.final_estimator_
    coef, shift = _two_columns(told.coef_.T, told.intercept_)
    if len(told.classes_) == 2:  # where scikit-learn turns the sign
        coef = -coef
    return {**_machine(model.estimators_[0], x), "coef": coef, "shift": shift}, notes


def _in_folds(
    x: NDArray[np.float64], y: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], int, tuple[str, ...]]:
    """Tracks and labels that can be held out in folds, how many, and what is to be known of it."""
    labels = y.argmax(axis=1)
    counts = np.bincount(labels)
    rows = np.append(np.arange(len(x)), np.flatnonzero(counts[labels] == 1))
    x, labels = x[rows], labels[rows]
    folds = int(min(FOLDS, np.bincount(labels).min()))
    few = int((counts < FOLDS).sum())
    note = f"{few} genres have fewer than {FOLDS} training tracks: calibrated in {folds} folds"
    return x, labels, folds, (note,) if few else ()


def _machine(svc: Any, x: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Arrays of a fitted support vector machine."""
    return {
        "support": svc.support_vectors_,
        "dual": svc.dual_coef_,
        "n_support": svc.n_support_.astype(np.int64),
        "intercept": svc.intercept_,
        "gamma": np.array([_gamma(x)]),
    }


def _gamma(x: NDArray[np.float64]) -> float:
    """How narrow the kernel is: scikit-learn's ``"scale"``."""
    variance = float(x.var())
    return 1 / (x.shape[1] * variance) if variance else 1.0


def approximated(classifier: str, n_tracks: int) -> str:
    """What to tell of a support vector machine of so many training tracks; nothing if it is whole.

    >>> approximated("svm_stacked", 12_001)[:49]
    '12,001 training tracks are more than its 12,000: '
    """
    most = MOST_KERNEL.get(classifier, n_tracks)
    if n_tracks <= most:
        return ""
    return (
        f"{n_tracks:,} training tracks are more than its {most:,}: {LANDMARKS:,} landmarks "
        "stand for its kernel (Nystroem)"
    )


def fit_landmarks(
    settings: BaselineSettings, x: NDArray[np.float64], y: NDArray[np.bool_], each: Each = None
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """`fit_svm` or `fit_stacked` of many tracks, in bounded time and memory: Nystroem's kernel.

    A track is what its kernel with some landmarks says, and each pair of genres has a linear
    machine of that; what pairs say of held-out folds is calibrated, or weighed, as it is without.
    Still more tracks are drawn from, rare genres whole, and those of a large genre count for the
    rest of it. Landmarks and tracks are drawn alike for every seed.
    """
    from sklearn.kernel_approximation import Nystroem
    from sklearn.model_selection import StratifiedKFold

    counts = y.sum(axis=0) if each is None else each @ y
    told = [approximated(settings.classifier, round(counts.sum()))]
    pairs = y.shape[1] * (y.shape[1] - 1) // 2
    rows = drawn(y.argmax(axis=1), max(_ROWS, _VALUES // max(LANDMARKS, pairs)))
    if len(rows) < len(x):
        told.append(f"it learns from {len(rows):,} of them; some of a large genre count for all")
    x, labels, folds, notes = _in_folds(x[rows], y[rows])
    each = standing_for(labels, counts)
    gamma = _gamma(x)
    kernel = Nystroem(gamma=gamma, n_components=min(LANDMARKS, len(x)), random_state=0).fit(x)
    z, held = kernel.transform(x), np.empty((len(x), pairs))
    for known, out in StratifiedKFold(folds).split(z, labels):
        dual, intercept = _linear(settings, z[known], labels[known], each[known])
        held[out] = z[out] @ dual + intercept
    dual, intercept = _linear(settings, z, labels, each)
    finish = _weighed if settings.classifier == "svm_stacked" else _calibrated
    return {
        "support": kernel.components_,
        "dual": kernel.normalization_.T @ dual,
        "intercept": intercept,
        "gamma": np.array([gamma]),
        **finish(settings, held, labels, each),
    }, (*told, *notes)


def drawn(labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Rows of so many tracks at most: of each genre as many as of any other, or all that it has.

    Examples
    --------
    >>> labels = np.repeat([0, 1, 2], [100, 50, 3])
    >>> np.bincount(labels[drawn(labels, 43)]).tolist()
    [20, 20, 3]
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # in its genre
    return np.sort(order[np.argsort(place, kind="stable")[:most]])


def standing_for(labels: NDArray[np.int64], counts: NDArray[Any]) -> NDArray[np.float64]:
    """How many tracks each of those that were drawn stands for, shape (n,), at least itself.

    >>> standing_for(np.array([0, 0, 1]), np.array([10, 1])).tolist()
    [5.0, 5.0, 1.0]
    """
    return np.asarray(np.maximum(counts / np.bincount(labels), 1)[labels])


def _linear(
    settings: BaselineSettings,
    z: NDArray[np.float64],
    labels: NDArray[np.int64],
    each: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (m, pairs) and intercepts of a linear machine a pair, which leans to its first."""
    from sklearn.svm import LinearSVC

    made = []
    with _quiet():
        for i, j in combinations(range(labels.max() + 1), 2):
            here = (labels == i) | (labels == j)
            # dual where a pair has fewer tracks than landmarks, which is quicker
            one = LinearSVC(C=settings.c, dual="auto", max_iter=settings.max_iter, random_state=0)
            made.append(one.fit(z[here], labels[here] == i, each[here]))
    coef = np.concatenate([one.coef_ for one in made])
    return coef.T, np.concatenate([one.intercept_ for one in made])


def _calibrated(
    settings: BaselineSettings,
    held: NDArray[np.float64],
    labels: NDArray[np.int64],
    each: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """Calibration of what pairs say of held-out tracks (n, pairs), as `fit_svm` has it."""
    # It has no public name; the tests compare with CalibratedClassifierCV.
    from sklearn.calibration import _SigmoidCalibration

    n_genres = int(labels.max()) + 1
    votes = {1: -held[:, 0]} if n_genres == 2 else dict(enumerate(_votes(held, n_genres).T))
    fitted = [_SigmoidCalibration().fit(v, labels == genre, each) for genre, v in votes.items()]
    return {"calibration": np.array([(one.a_, one.b_) for one in fitted])}


def _weighed(
    settings: BaselineSettings,
    held: NDArray[np.float64],
    labels: NDArray[np.int64],
    each: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """Logistic regression of what pairs say of held-out tracks (n, pairs), as `fit_stacked` has."""
    from sklearn.linear_model import LogisticRegression

    told = LogisticRegression(C=HELD / each.sum(), max_iter=settings.max_iter)
    with _quiet():
        told.fit(held, labels, each)
    coef, shift = _two_columns(told.coef_.T, told.intercept_)
    return {"coef": coef, "shift": shift}


def apply_svm(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    x: NDArray[np.float64],
    one_genre: bool,
) -> NDArray[np.float64]:
    """Scores of `fit_svm`: decisions between pairs, one score a genre, then the calibration."""
    from scipy.special import expit

    slope, shift = arrays["calibration"].T
    pairs = _of_pairs(arrays, x)
    if pairs.shape[1] == 1:
        second = expit(-(slope[0] * -pairs[:, 0] + shift[0]))
        p = np.stack([1 - second, second], axis=1)
    else:
        p = expit(-(slope * _votes(pairs, len(slope)) + shift))
        total = p.sum(axis=1, keepdims=True)
        p = np.divide(p, total, out=np.full_like(p, 1 / p.shape[1]), where=total != 0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p))


def apply_stacked(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    x: NDArray[np.float64],
    one_genre: bool,
) -> NDArray[np.float64]:
    """Scores of `fit_stacked`."""
    return _log_softmax(_of_pairs(arrays, x) @ arrays["coef"] + arrays["shift"])


def _of_pairs(arrays: Mapping[str, NDArray[Any]], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each pair of genres leans towards its first, (n, P (P - 1) / 2)."""
    support, gamma = arrays["support"], float(arrays["gamma"][0])
    squared = np.square(x).sum(axis=1)[:, None] + np.square(support).sum(axis=1)
    kernel = np.exp(-gamma * np.maximum(squared - 2 * x @ support.T, 0))  # (n, S)
    if "n_support" not in arrays:
        return np.asarray(kernel @ arrays["dual"] + arrays["intercept"])
    dual, ends = arrays["dual"], np.cumsum(arrays["n_support"])
    of = [slice(stop - n, stop) for stop, n in zip(ends, arrays["n_support"], strict=True)]
    if len(of) == 2:  # of which libsvm's sign is turned
        return np.asarray(-(kernel @ dual[0] + arrays["intercept"][0])[:, None])
    values = [
        kernel[:, of[i]] @ dual[j - 1, of[i]] + kernel[:, of[j]] @ dual[i, of[j]]
        for i, j in combinations(range(len(of)), 2)
    ]
    return np.asarray(np.stack(values, axis=1) + arrays["intercept"])


def _votes(pairs: NDArray[np.float64], n_genres: int) -> NDArray[np.float64]:
    """One score a genre: its pairs won, and by how much as a fraction below 1/3 (n, P)."""
    won, sure = np.zeros((2, len(pairs), n_genres))
    for pair, (i, j) in enumerate(combinations(range(n_genres), 2)):
        value = pairs[:, pair]
        sure[:, i] += value
        sure[:, j] -= value
        won[:, i] += value >= 0
        won[:, j] += value < 0
    return np.asarray(won + sure / (3 * (np.abs(sure) + 1)))


def svm_shapes(
    settings: BaselineSettings, arrays: Mapping[str, NDArray[Any]], f: int, p: int
) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of `fit_svm` or `fit_stacked`, for f features and p genres."""
    pairs = p * (p - 1) // 2
    machine: dict[str, tuple[int, ...]]
    if "n_support" in arrays:
        s = int(arrays["n_support"].sum())
        machine = {"support": (s, f), "dual": (p - 1, s), "n_support": (p,)}
    else:
        s = max(1, len(arrays["support"]))
        machine = {"support": (s, f), "dual": (s, pairs)}
    calibration: dict[str, tuple[int, ...]] = {"calibration": (p if p > 2 else 1, 2)}
    if settings.classifier == "svm_stacked":
        calibration = {"coef": (pairs, p), "shift": (p,)}
    return machine | {"intercept": (pairs,), "gamma": (1,)} | calibration


Arrays = dict[str, NDArray[Any]]
Shapes = dict[str, tuple[int, ...]]

CERTAIN = 1000.0  # a logit whose probability is exactly 1, and its negative exactly 0


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """How a baseline is fitted and applied; x is (n, F), y is bool (n, P) of the P genres seen.

    Attributes
    ----------
    fit : callable
        (settings, x, y, one_genre, each) to arrays by name and notes; each (n,) is how many tracks
        a track stands for, and None of those that are not ``weighted``.
    scores : callable
        (settings, arrays, x, one_genre) to (n, P): log-probabilities with one genre a bag, else
        logits.
    shapes : callable
        (settings, arrays, F, P) to the shapes that the arrays must have.
    several : bool
        Whether a bag may have several genres.
    weighted : bool
        Whether a track may stand for several, so that of many tracks some are enough.
    wrong : callable, optional
        (arrays, F) to what else may be wrong with arrays from a file.
    """

    fit: Callable[
        [BaselineSettings, NDArray[np.float64], NDArray[np.bool_], bool, Each],
        tuple[Arrays, tuple[str, ...]],
    ]
    scores: Callable[
        [BaselineSettings, Mapping[str, NDArray[Any]], NDArray[np.float64], bool],
        NDArray[np.float64],
    ]
    shapes: Callable[[BaselineSettings, Mapping[str, NDArray[Any]], int, int], Shapes]
    several: bool = True
    weighted: bool = False
    wrong: Callable[[Mapping[str, NDArray[Any]], int], Iterator[str]] | None = None


def fit_lr(
    settings: BaselineSettings,
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    one_genre: bool,
    each: Each = None,
) -> tuple[Arrays, tuple[str, ...]]:
    """Multinomial logistic regression, or one binary one a genre."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=settings.c, max_iter=settings.max_iter)
    with _quiet():
        if one_genre:
            model.fit(x, y.argmax(axis=1), each)
            coef, intercept = _two_columns(model.coef_.T, model.intercept_)
            return {"coef": coef, "intercept": intercept}, _told(settings, model.n_iter_)
        coef, intercept, n_iter = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1]), []
        for genre, column in enumerate(y.T):
            if column.all():  # nothing to tell apart: certain, whatever the features
                intercept[genre] = CERTAIN
                continue
            model.fit(x, column, each)
            coef[:, genre], intercept[genre] = model.coef_[0], model.intercept_[0]
            n_iter.append(model.n_iter_[0])
    return {"coef": coef, "intercept": intercept}, _told(settings, np.array(n_iter))


def apply_lr(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    x: NDArray[np.float64],
    one_genre: bool,
) -> NDArray[np.float64]:
    """Scores of `fit_lr`."""
    logits = x @ arrays["coef"] + arrays["intercept"]
    return _log_softmax(logits) if one_genre else logits


def fit_knn(
    settings: BaselineSettings,
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    one_genre: bool,
    each: Each = None,
) -> tuple[Arrays, tuple[str, ...]]:
    """Keep the training tracks."""
    k, n = settings.n_neighbors, len(x)
    note = f"{k} neighbours were asked for, but there are {n} training tracks: all of them vote"
    return {"rows": x, "labels": y}, (note,) if k > n else ()


def apply_knn(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    x: NDArray[np.float64],
    one_genre: bool,
) -> NDArray[np.float64]:
    """Scores of `fit_knn`: the share of the nearest training tracks that have each genre."""
    from sklearn.neighbors import NearestNeighbors

    k = min(settings.n_neighbors, len(arrays["rows"]))
    near = NearestNeighbors(n_neighbors=k).fit(arrays["rows"]).kneighbors(x, return_distance=False)
    votes = np.zeros((len(x), arrays["labels"].shape[1]))
    for column in near.T:  # (n,): one neighbour of every row
        votes += arrays["labels"][column]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(votes / k) if one_genre else np.log(votes) - np.log(k - votes))


def fit_mlp(
    settings: BaselineSettings,
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    one_genre: bool,
    each: Each = None,
) -> tuple[Arrays, tuple[str, ...]]:
    """scikit-learn's MLP, with rectified linear units and Adam."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(settings.hidden, max_iter=settings.max_iter, random_state=settings.seed)
    with _quiet():
        model.fit(x, y.argmax(axis=1) if one_genre else y.astype(np.int64))
    weights, biases = [*model.coefs_], [*model.intercepts_]
    if one_genre:
        weights[-1], biases[-1] = _two_columns(weights[-1], biases[-1])
    arrays = {f"coef.{i}": weight for i, weight in enumerate(weights)}
    arrays |= {f"intercept.{i}": bias for i, bias in enumerate(biases)}
    # It also stops by itself, once the loss has not fallen for some epochs.
    return arrays, _told(settings, np.array([model.n_iter_]))


def apply_mlp(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    x: NDArray[np.float64],
    one_genre: bool,
) -> NDArray[np.float64]:
    """Scores of `fit_mlp`."""
    last = len(settings.hidden)
    for i in range(last):
        x = np.maximum(x @ arrays[f"coef.{i}"] + arrays[f"intercept.{i}"], 0)
    logits = x @ arrays[f"coef.{last}"] + arrays[f"intercept.{last}"]
    return _log_softmax(logits) if one_genre else logits


def fit_trees(
    settings: BaselineSettings,
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    one_genre: bool,
    each: Each = None,
) -> tuple[Arrays, tuple[str, ...]]:
    """Boosted trees of binned features, one a round and genre (of two genres, one)."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=min(STEP / settings.trees, 1.0),  # beyond which steps overshoot
        max_iter=settings.trees,
        max_leaf_nodes=settings.leaves,
        l2_regularization=RIDGE,
        early_stopping=False,
        random_state=settings.seed,
    )
    model.fit(x, y.argmax(axis=1), each)
    # Its trees have no public name; the tests compare what is made of them with predict_proba.
    trees = [tree.nodes for found in model._predictors for tree in found]
    nodes, sizes = np.concatenate(trees), np.array([len(tree) for tree in trees])
    starts = np.cumsum(sizes) - sizes
    leaf, first = nodes["is_leaf"] == 1, np.repeat(starts, sizes)
    here = np.arange(len(nodes))
    # A leaf is its own child, so that every way through a tree may be as long as the longest.
    sides = (np.where(leaf, here, first + nodes[name].astype(np.int64)) for name in _SIDES)
    return {
        "start": starts.astype(np.int64),
        "feature": np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        "threshold": np.where(leaf, 0.0, nodes["num_threshold"]),
        "value": np.where(leaf, nodes["value"], 0.0),
        **dict(zip(_SIDES, sides, strict=True)),
        "baseline": np.asarray(model._baseline_prediction[0], np.float64),
    }, ()


def apply_trees(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    x: NDArray[np.float64],
    one_genre: bool,
) -> NDArray[np.float64]:
    """Scores of `fit_trees`: the sum of the leaves that a track falls into."""
    n_columns, left, right = len(arrays["baseline"]), arrays["left"], arrays["right"]
    logits = np.tile(arrays["baseline"], (len(x), 1))
    rows = np.arange(len(x))
    for number, start in enumerate(arrays["start"]):
        at = np.full(len(x), start)
        while True:
            below = x[rows, arrays["feature"][at]] <= arrays["threshold"][at]
            new = np.where(below, left[at], right[at])
            if (new == at).all():
                break
            at = new
        logits[:, number % n_columns] += arrays["value"][at]
    if n_columns == 1:
        logits = np.hstack([np.zeros_like(logits), logits])
    return _log_softmax(logits)


def _tree_shapes(
    settings: BaselineSettings, arrays: Mapping[str, NDArray[Any]], f: int, p: int
) -> Shapes:
    n, columns = len(arrays["value"]), 1 if p == 2 else p
    shapes: Shapes = dict.fromkeys(("feature", "threshold", "value", *_SIDES), (n,))
    return shapes | {"start": (settings.trees * columns,), "baseline": (columns,)}


def _wrong_trees(arrays: Mapping[str, NDArray[Any]], f: int) -> Iterator[str]:
    """Ways that lead out of the arrays, or round in circles: children come behind their parent."""
    here = np.arange(len(arrays["value"]))
    sides = [arrays[name] for name in _SIDES]
    leaf = (sides[0] == here) & (sides[1] == here)
    if any(((side <= here) & ~leaf).any() or (side >= len(here)).any() for side in sides):
        yield "a node of a tree leads nowhere"
    if ((arrays["start"] < 0) | (arrays["start"] >= len(here))).any():
        yield "a tree starts nowhere"
    if ((arrays["feature"] < 0) | (arrays["feature"] >= f)).any():
        yield f"a tree asks for a feature that is none of {f}"


_SIDES = ("left", "right")
STEP, RIDGE = 9.0, 5.0  # of boosting: what all rounds count together, and the penalty of leaves
HELD = 50.0  # by how many tracks a loss outweighs the weights of pairs


def _lr_shapes(
    settings: BaselineSettings, arrays: Mapping[str, NDArray[Any]], f: int, p: int
) -> Shapes:
    return {"coef": (f, p), "intercept": (p,)}


def _knn_shapes(
    settings: BaselineSettings, arrays: Mapping[str, NDArray[Any]], f: int, p: int
) -> Shapes:
    n = max(1, len(arrays["rows"]))
    return {"rows": (n, f), "labels": (n, p)}


def _mlp_shapes(
    settings: BaselineSettings, arrays: Mapping[str, NDArray[Any]], f: int, p: int
) -> Shapes:
    sizes = list(enumerate(pairwise((f, *settings.hidden, p))))
    return {f"coef.{i}": size for i, size in sizes} | {
        f"intercept.{i}": (size[1],) for i, size in sizes
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without scikit-learn's warning of a fit that has not converged; a note tells it."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _told(settings: BaselineSettings, n_iter: NDArray[Any]) -> tuple[str, ...]:
    if not (n_iter >= settings.max_iter).any():
        return ()
    return (f"{settings.classifier} stopped at {settings.max_iter} iterations, not converged",)


def _two_columns(
    coef: NDArray[np.float64], intercept: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One column is the logit of the second of two genres: the first one's is 0."""
    if coef.shape[1] > 1:
        return coef, intercept
    return np.hstack([np.zeros_like(coef), coef]), np.append(0.0, intercept)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


ESTIMATORS = {
    "lr": Estimator(fit=fit_lr, scores=apply_lr, shapes=_lr_shapes, weighted=True),
    "knn": Estimator(fit=fit_knn, scores=apply_knn, shapes=_knn_shapes),
    "svm": Estimator(fit=fit_svm, scores=apply_svm, shapes=svm_shapes, several=False),
    "mlp_sklearn": Estimator(fit=fit_mlp, scores=apply_mlp, shapes=_mlp_shapes),
    "svm_stacked": Estimator(
        fit=fit_stacked, scores=apply_stacked, shapes=svm_shapes, several=False, weighted=True
    ),
    "hgb": Estimator(
        fit=fit_trees,
        scores=apply_trees,
        shapes=_tree_shapes,
        several=False,
        weighted=True,
        wrong=_wrong_trees,
    ),
}
WHOLE = {"seen", "n_support", "start", "feature", *_SIDES}
"""Arrays of whole numbers."""
SEARCHED: dict[str, tuple[dict[str, Any], ...]] = {
    "lr": ({"c": 0.03}, {"c": 0.3}, {"c": 3.0}),
    "svm": ({"c": 1.0}, {"c": 2.0}, {"c": 4.0}),
    "svm_stacked": ({"c": 1.0}, {"c": 2.0}, {"c": 4.0}),
    "hgb": ({"leaves": 6}, {"leaves": 12}, {"leaves": 24}),
}
"""What a search chooses from."""


def quicker(settings: BaselineSettings) -> BaselineSettings:
    """Settings by which others are compared where there are many tracks.

    Boosting has a third of the rounds, which count three times as much each.

    >>> quicker(BaselineSettings(classifier="hgb")).trees
    50
    """
    return replace(settings, trees=-(-settings.trees // 3))
