"""Ranks as inputs: scikit-learn's quantile transform, and what must hold for any values."""

import tracemalloc
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer

from matt.bags import Bags
from matt.errors import DataError
from matt.features.store import FeatureStore
from matt.models.network import INPUTS, N_QUANTILES, Quantiles, Standardise, build_network
from matt.models.neural import NeuralClassifier
from matt.models.reading import Reader, quantiles
from matt.models.settings import (
    MAP_ENCODERS,
    EncoderName,
    InputsName,
    ModelSettings,
    TrainingSettings,
)
from matt.tracks import Tracks

CPU = torch.device("cpu")


def learned(values):
    """Quantiles of segments (N, *shape), one a track."""
    store = FeatureStore.from_arrays("toy", np.arange(len(values)), values)
    reader = Reader.open(store, store.track_ids, CPU)
    inputs = Quantiles(values.shape[1:])
    inputs.table.copy_(torch.from_numpy(quantiles(reader, store.track_ids)[0]))
    return inputs


def test_ranks_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 2, (1500, 3)).astype(np.float32)
    values[:, 1] = rng.integers(0, 4, 1500)  # ties
    values[:, 2] = 7.0
    theirs = QuantileTransformer(
        n_quantiles=N_QUANTILES, output_distribution="normal", subsample=None
    ).fit(values[:, :2].astype(np.float64))
    new = np.concatenate([values[:200], rng.lognormal(0, 2, (100, 3)).astype(np.float32)])
    new[200:, 1] = rng.integers(0, 4, 100)
    found = learned(values)(torch.from_numpy(new)).numpy()
    expected = theirs.transform(new[:, :2].astype(np.float64))
    inside = np.abs(expected) < 2.8  # at the ends theirs goes on to ±5.2
    assert inside[:, 0].mean() > 0.95
    np.testing.assert_allclose(found[:, :2][inside], expected[inside], atol=2e-3)
    np.testing.assert_allclose(found[:200, 2], 0, atol=1e-6)  # a constant says nothing


def test_the_order_is_kept_and_outliers_end():
    values = np.random.default_rng(1).standard_normal((400, 2))
    inputs = learned(values)
    line = torch.linspace(-1e6, 1e6, 999)[:, None].repeat(1, 2)
    said = inputs(line)
    assert (said.diff(dim=0) >= 0).all()
    assert said.abs().max() < 3
    assert said.isfinite().all()


def test_a_map_has_one_table_a_band():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((60, 3, 7)) * np.array([1, 10, 100])[:, None] + 5
    inputs = learned(values)
    assert inputs.table.shape == (3, N_QUANTILES)
    said = inputs(torch.from_numpy(values)).numpy()
    assert said.shape == values.shape
    for band in range(3):
        alone = learned(values[:, band].reshape(-1, 1))
        expected = alone(torch.from_numpy(values[:, band].reshape(-1, 1))).numpy()
        np.testing.assert_allclose(said[:, band].ravel(), expected.ravel(), atol=1e-4)


def test_quantiles_of_many_values_are_those_of_every_kth_track(monkeypatch):
    values = np.random.default_rng(3).standard_normal((900, 2)).astype(np.float32)
    store = FeatureStore.from_arrays("toy", np.arange(900), values)
    reader = Reader.open(store, store.track_ids, CPU)
    monkeypatch.setattr("matt.models.reading._QUANTILE_BYTES", 900 * 8 // 3)
    (table,) = quantiles(reader, store.track_ids)
    expected = np.quantile(values[::3], np.linspace(0, 1, N_QUANTILES), axis=0).T
    np.testing.assert_allclose(table, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shape", [(1,), (7,), (5, 3)])
@pytest.mark.parametrize(("column_bytes", "part_bytes"), [(1, 1), (900, 64), (2**20, 2**20)])
@pytest.mark.parametrize("max_bytes", [0, 2**30])
def test_quantiles_in_parts_are_those_of_numpy(
    dtype, shape, column_bytes, part_bytes, max_bytes, monkeypatch
):
    """Ragged tracks in no order, one of them twice, with ties and values that are far off."""
    rng = np.random.default_rng(6)
    counts = rng.integers(1, 5, 40)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    values = rng.lognormal(0, 2, (offsets[-1], *shape)).astype(dtype)
    values[rng.random(values.shape) < 0.2] = 1
    store = FeatureStore.from_arrays("toy", np.arange(40), values, offsets)
    monkeypatch.setattr("matt.models.reading._COLUMN_BYTES", column_bytes)
    monkeypatch.setattr("matt.models.reading._PART_BYTES", part_bytes)
    reader = Reader.open(store, store.track_ids, CPU, max_bytes=max_bytes)
    ids = np.append(rng.permutation(40)[:30], 7)
    (table,) = quantiles(reader, ids)
    read = np.moveaxis(store.read(ids)[0].astype(np.float32), 1, 0).reshape(shape[0], -1)
    expected = np.quantile(read, np.linspace(0, 1, N_QUANTILES), axis=1).T
    np.testing.assert_array_equal(table, np.maximum.accumulate(expected, axis=1))


def test_no_more_than_some_columns_are_held_while_quantiles_are_learned(monkeypatch):
    monkeypatch.setattr("matt.models.reading._COLUMN_BYTES", 2**20)
    monkeypatch.setattr("matt.models.reading._PART_BYTES", 2**18)
    values = np.random.default_rng(7).standard_normal((20_000, 200), dtype=np.float32)  # 16 MB
    store = FeatureStore.from_arrays("toy", np.arange(len(values)), values)
    reader = Reader.open(store, store.track_ids, CPU, max_bytes=0)
    tracemalloc.start()
    try:
        quantiles(reader, store.track_ids)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < values.nbytes / 4


@pytest.mark.parametrize("at_once", [1, 7, 300])
def test_values_are_ranked_in_parts_as_at_once(at_once, monkeypatch):
    values = np.random.default_rng(8).standard_normal((60, 3, 5)).astype(np.float32)
    inputs, x = learned(values), torch.from_numpy(values)
    whole = inputs(x)
    monkeypatch.setattr("matt.models.network._AT_ONCE", at_once)
    assert torch.equal(inputs(x), whole)
    assert inputs(x[:0]).shape == (0, 3, 5)


def test_values_that_are_not_finite_are_refused():
    store = FeatureStore.from_arrays("toy", np.arange(4), np.ones((4, 2)))
    values = store.blocks[0].copy()
    values[2, 1] = np.nan
    reader = Reader.open(replace(store, blocks=(values,)), store.track_ids, CPU)
    with pytest.raises(DataError, match=r"1 training tracks \(first: 2\)"):
        quantiles(reader, store.track_ids)


def test_names_are_those_that_exist():
    assert set(get_args(InputsName)) == {"auto", *INPUTS}


@pytest.mark.parametrize("encoder", get_args(EncoderName))
def test_vectors_are_ranked_and_maps_standardised_unless_told_otherwise(encoder):
    is_map = encoder in MAP_ENCODERS
    shape = (96, 1366) if is_map else (7,)
    found = build_network(ModelSettings(encoder=encoder), shape, 3).inputs
    assert type(found) is (Standardise if is_map else Quantiles)
    for name, kind in INPUTS.items():
        assert (
            type(build_network(ModelSettings(encoder=encoder, inputs=name), shape, 3).inputs)
            is kind
        )


@pytest.mark.parametrize("inputs", INPUTS)
def test_monotone_changes_of_a_feature_do_not_touch_ranks(inputs):
    """exp of every value: the same ranks, other deviations."""
    rng = np.random.default_rng(4)
    labels = np.arange(60) % 3
    values = np.eye(3, 5)[labels] + rng.standard_normal((60, 5))
    tracks = Tracks(np.arange(60), labels, ("a", "b", "c"))
    bags = Bags.from_tracks(tracks, by="track")
    logits = []
    for some in (values, np.exp(3 * values)):
        store = FeatureStore.from_arrays("toy", tracks.track_id, some)
        model = NeuralClassifier(ModelSettings(inputs=inputs), TrainingSettings(epochs=3))
        logits.append(model.fit(store, bags).predict(store, tracks, bags).logits)
    apart = np.abs(logits[0] - logits[1]).max()
    assert (apart < 0.05) == (inputs == "quantile")


def test_ranks_are_saved_with_the_model(tmp_path):
    tracks = Tracks(np.arange(20), np.arange(20) % 2, ("a", "b"))
    values = np.random.default_rng(5).standard_normal((20, 3)).astype(np.float32)
    store, bags = FeatureStore.from_arrays("toy", tracks.track_id, values), Bags.from_tracks(tracks, by="track")  # fmt: skip
    model = NeuralClassifier(ModelSettings(inputs="quantile"), TrainingSettings(epochs=2))
    model.fit(store, bags).save(tmp_path)
    loaded = NeuralClassifier.load(tmp_path)
    found, was = (one.predict(store, tracks, bags).logits for one in (loaded, model))
    np.testing.assert_allclose(found, was, rtol=0, atol=1e-5)
