"""scikit-learn's support vector machine as arrays: a machine a pair of genres, calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .baseline_settings import BaselineSettings

FOLDS = 5  # of the calibration, scikit-learn's default


def fit_svm(
    settings: BaselineSettings, x: NDArray[np.float64], y: NDArray[np.bool_], one_genre: bool
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """Support vector machine, its decision values calibrated by cross-validation.

    There are as many folds as the rarest genre has tracks, up to 5. A genre of one track has it
    counted twice, so that no fold is without it.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    labels = y.argmax(axis=1)
    counts = np.bincount(labels)
    rows = np.append(np.arange(len(x)), np.flatnonzero(counts[labels] == 1))
    x, labels = x[rows], labels[rows]
    folds = int(min(FOLDS, np.bincount(labels).min()))
    model = CalibratedClassifierCV(SVC(), ensemble=False, cv=folds).fit(x, labels)
    (fitted,) = model.calibrated_classifiers_
    svc = fitted.estimator
    variance = float(x.var())
    arrays = {
        "support": svc.support_vectors_,
        "dual": svc.dual_coef_,
        "n_support": svc.n_support_.astype(np.int64),
        "intercept": svc.intercept_,
        "gamma": np.array([1 / (x.shape[1] * variance) if variance else 1.0]),
        "calibration": np.array([(c.a_, c.b_) for c in fitted.calibrators]),
    }
    few = int((counts < FOLDS).sum())
    note = f"{few} genres have fewer than {FOLDS} training tracks: calibrated in {folds} folds"
    return arrays, (note,) if few else ()


def apply_svm(
    settings: BaselineSettings,
    arrays: Mapping[str, NDArray[Any]],
    x: NDArray[np.float64],
    one_genre: bool,
) -> NDArray[np.float64]:
    """Scores of `fit_svm`: decisions between pairs, one score a genre, then the calibration."""
    from scipy.special import expit
    from sklearn.metrics.pairwise import rbf_kernel

    kernel = rbf_kernel(x, arrays["support"], gamma=float(arrays["gamma"][0]))  # (n, S)
    slope, shift = arrays["calibration"].T
    if len(arrays["n_support"]) == 2:
        decision = kernel @ arrays["dual"][0] + arrays["intercept"][0]
        second = expit(-(slope[0] * decision + shift[0]))
        p = np.stack([1 - second, second], axis=1)
    else:
        p = expit(-(slope * _of_pairs(kernel, arrays) + shift))
        total = p.sum(axis=1, keepdims=True)
        p = np.divide(p, total, out=np.full_like(p, 1 / p.shape[1]), where=total != 0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p))


def _of_pairs(
    kernel: NDArray[np.float64], arrays: Mapping[str, NDArray[Any]]
) -> NDArray[np.float64]:
    """One score a genre: its pairs won, and by how much as a fraction below 1/3 (n, P)."""
    dual, ends = arrays["dual"], np.cumsum(arrays["n_support"])
    of = [slice(stop - n, stop) for stop, n in zip(ends, arrays["n_support"], strict=True)]
    won, sure = np.zeros((2, len(kernel), len(of)))
    for pair, (i, j) in enumerate(combinations(range(len(of)), 2)):
        value = arrays["intercept"][pair] + (
            kernel[:, of[i]] @ dual[j - 1, of[i]] + kernel[:, of[j]] @ dual[i, of[j]]
        )
        sure[:, i] += value
        sure[:, j] -= value
        won[:, i] += value >= 0
        won[:, j] += value < 0
    return np.asarray(won + sure / (3 * (np.abs(sure) + 1)))


def svm_shapes(
    settings: BaselineSettings, arrays: Mapping[str, NDArray[Any]], f: int, p: int
) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of `fit_svm`, for f features and p genres."""
    s, pairs = int(arrays["n_support"].sum()), p * (p - 1) // 2
    return {
        "support": (s, f),
        "dual": (p - 1, s),
        "n_support": (p,),
        "intercept": (pairs,),
        "gamma": (1,),
        "calibration": (p if p > 2 else 1, 2),
    }
