"""Saved baselines: whatever a file says that is not so is refused, by name."""

import json
from typing import get_args

import numpy as np
import pytest
from baseline_data import OURS, make_data
from safetensors.numpy import load_file

from matt.bags import Bags
from matt.errors import ArgumentError, DataError
from matt.models.baselines import BaselineClassifier
from matt.models.classifier import GenreClassifier
from matt.models.estimators import MOST_KERNEL
from matt.models.neural import NeuralClassifier
from matt.models.saving import MODEL, WEIGHTS, write_model
from matt.models.settings import BaselineName, BaselineSettings


@pytest.fixture(params=[*get_args(BaselineName), "svm by landmarks", "svm_stacked by landmarks"])
def saved(request, tmp_path, monkeypatch):
    tracks, store, _ = make_data(3)
    name, _, by_landmarks = request.param.partition(" by ")
    if by_landmarks:
        monkeypatch.setitem(MOST_KERNEL, name, 49)
    settings = BaselineSettings(classifier=name, **OURS[name])
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
        ({"settings": {"classifer": "lr"}}, "is damaged .unknown key 'classifer'"),
        ({"settings": 3}, "is damaged"),
        ({"genres": ["Rock"]}, "is damaged .genres and training counts"),
        ({"train_counts": [[1], [2]]}, "is damaged .genres and training counts"),
        ({"train_counts": [10**30, 1, 1]}, "is damaged"),
        ({"link": "none"}, "is damaged .unknown link 'none'"),
        ({"spec_digest": "0"}, "is damaged .the digest of its spec differs"),
        (
            {"genres": [], "train_counts": [], "prior": None},
            "genres 0, 1, 2 of 0 are no genres that differ",
        ),
        ({"prior": {"bags": [1, 0, 0]}}, "is damaged .no 'segments'"),
        ({"coverage": {"confidence": [1], "answered": [2], "right": [3], "n": 4}}, "out of order"),
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
        for lie in lies.values():
            rewrite(saved, arrays=lie)
            with pytest.raises(DataError, match=r"the weights do not fit .*; copy the model again"):
                GenreClassifier.load(saved)
        if array.dtype == np.float64:
            rewrite(saved, arrays=arrays | {name: np.full_like(array, np.inf)})
            with pytest.raises(
                DataError, match=rf"numbers of '{name}' are NaN or infinite.*; copy"
            ):
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


@pytest.mark.parametrize("path", [None, 3])
def test_a_path_that_is_none_is_told_by_name(path):
    with pytest.raises(ArgumentError, match=r"path must be a str or a PathLike.*; give a text"):
        write_model(path, "baseline", {}, {})
    with pytest.raises(ArgumentError, match=r"path must be a str or a PathLike.*; give a text"):
        GenreClassifier.load(path)
