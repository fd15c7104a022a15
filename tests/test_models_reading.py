"""Reading: straight into tensors, the same from memory and from disk, in chunks or at once."""

from dataclasses import replace
from threading import Semaphore
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matt.errors import DataError
from matt.features.store import FeatureStore
from matt.models.network import build_network
from matt.models.reading import (
    Reader,
    encode,
    log_counts,
    moments,
    parts_of,
    read_tensor,
    segment_counts,
)
from matt.models.settings import ModelSettings, PoolingName

CPU = torch.device("cpu")
COUNTS = np.array([2, 1, 3, 1, 4])  # 11 segments of 5 tracks
IDS = np.array([31, 7, 19, 2, 23])
OFFSETS = np.concatenate([[0], np.cumsum(COUNTS)])


def store(shape=(3,), *, dtype=np.float32, values=None):
    if values is None:
        values = np.random.default_rng(0).normal(5, 2, (11, *shape)).astype(dtype)
    return FeatureStore.from_arrays("toy", IDS, values, OFFSETS)


class Watched:
    """A store that remembers what it was asked to write to."""

    def __init__(self, inner):
        self.inner, self.spec, self.counts = inner, inner.spec, inner.counts
        self.outs = []

    def read(self, track_ids, *, out=None):
        self.outs.append(out)
        return self.inner.read(track_ids, out=out)


def test_values_are_read_into_the_memory_of_the_tensor():
    watched = Watched(store())
    values, offsets = read_tensor(watched, IDS[[3, 0]])
    assert np.shares_memory(values.numpy(), watched.outs[0])
    assert offsets.tolist() == [0, 1, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("max_bytes", [0, 2**30])
def test_memory_and_store_give_the_same(dtype, max_bytes):
    features = store((3, 2), dtype=dtype)
    reader = Reader.open(features, IDS, CPU, max_bytes=max_bytes)
    assert (reader.memory is None) == (max_bytes == 0)
    parts = [IDS[[4]], IDS[[0, 2]], IDS[[2, 1, 3]]]
    found = [(values.clone(), offsets) for values, offsets in reader.each(parts)]
    assert len(found) == len(parts)
    for part, (values, offsets) in zip(parts, found, strict=True):
        expected, expected_offsets = features.read(part)
        np.testing.assert_array_equal(values.numpy(), expected)
        np.testing.assert_array_equal(offsets, expected_offsets)
        assert values.numpy().dtype == dtype


def test_one_read_of_the_store_fills_the_memory():
    watched = Watched(store())
    reader = Reader.open(watched, IDS, CPU)
    list(reader.each([IDS, IDS[:2]]))
    assert len(watched.outs) == 1


def test_an_error_of_the_reading_thread_arrives():
    features = store()
    reader = Reader.open(features, IDS, CPU, max_bytes=0)
    with pytest.raises(DataError, match="missing for 1 of 1 tracks"):
        list(reader.each([IDS, np.array([1000])]))
    assert list(reader.each([])) == []


class Failing(Watched):
    """A store that breaks at the second read."""

    def read(self, track_ids, *, out=None):
        if self.outs:
            raise DataError("0000-00000.npy is damaged")
        return super().read(track_ids, out=out)


def test_a_file_that_breaks_meanwhile_is_told_after_what_was_read():
    reader = Reader.open(Failing(store()), IDS, CPU, max_bytes=0)
    each = reader.each([IDS[[1]], IDS[[2]], IDS[[0]]])
    assert len(next(each)[0]) == 1
    with pytest.raises(DataError, match=r"0000-00000.npy is damaged"):
        next(each)


def test_what_is_in_use_is_left_alone_and_memory_is_used_again():
    class Signalling(Watched):
        def read(self, track_ids, *, out=None):
            found = super().read(track_ids, out=out)
            reads.release()
            return found

    reads = Semaphore(0)
    watched = Signalling(store())
    reader = Reader.open(watched, IDS, CPU, max_bytes=0)
    parts = [IDS[[4]], IDS[[0, 2]], IDS[[2, 1, 3]], IDS[[1]]]
    assert reads.acquire(timeout=0) is False
    for number, (values, _) in enumerate(reader.each(parts)):
        for _ in range(2 if number == 0 else number < len(parts) - 1):
            assert reads.acquire(timeout=60)  # the next part has been read
        np.testing.assert_array_equal(values.numpy(), store().read(parts[number])[0])
    first, second, *others = watched.outs
    assert not np.shares_memory(first, second)
    assert [np.shares_memory(out, first) for out in others] == [True, False]
    assert [np.shares_memory(out, second) for out in others] == [False, True]


def test_log_counts_are_those_of_the_track():
    expected = np.log([2, 2, 1, 3, 3, 3, 1, 4, 4, 4, 4])
    np.testing.assert_allclose(log_counts(OFFSETS, CPU), expected, rtol=1e-6)


def test_a_track_without_segments_is_named():
    whole = FeatureStore.from_arrays("toy", [4, 8], np.ones((2, 3)))
    features = replace(whole, n_segments=np.array([2, 0]))
    with pytest.raises(DataError, match=r"1 tracks have no segment in 'toy' \(first: 8\); leave"):
        segment_counts(features, np.array([4, 8]))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 12))
def test_parts_hold_every_track_once_and_not_too_much(counts, most):
    counts = np.array(counts)
    parts = parts_of(counts, most=most)
    rows = np.concatenate([np.arange(len(counts))[part] for part in parts])
    np.testing.assert_array_equal(rows, np.arange(len(counts)))
    for part, after in zip(parts, [*parts[1:], None], strict=True):
        assert counts[part].sum() <= most or part.stop - part.start == 1
        if after is not None:  # no part could have been larger
            assert counts[part.start : after.start + 1].sum() > most


@pytest.mark.parametrize("pooling", get_args(PoolingName))
@pytest.mark.parametrize("max_segments", [1, 3, 5])
def test_chunked_encoding_is_the_whole(pooling, max_segments):
    network = build_network(ModelSettings(hidden=(13,), pooling=pooling, dropout=0.9), (3,), 2)
    if hasattr(network.pooling, "scale"):
        torch.nn.init.constant_(network.pooling.scale, 0.7)
    reader = Reader.open(store(), IDS, CPU, max_bytes=0)
    network.train()  # encode has to switch dropout off itself
    chunked = encode(network, reader, IDS, max_segments=max_segments)
    assert not network.training
    values, offsets = store().read(IDS)
    whole = network.segments(torch.from_numpy(values), log_counts(offsets, CPU))
    np.testing.assert_array_equal(chunked[1], OFFSETS)
    for found, expected in zip(chunked[0], whole, strict=True):
        assert not found.requires_grad
        torch.testing.assert_close(found, expected.detach())


@pytest.mark.parametrize(("shape", "axes"), [((3,), 0), ((3, 2), (0, 2))])
def test_moments_in_parts_equal_numpy_at_once(shape, axes, monkeypatch):
    monkeypatch.setattr("matt.models.reading._PART_BYTES", 40)  # a few segments at a time
    features = store(shape)
    track_ids = IDS[[2, 4, 0, 2]]  # one twice
    mean, scale = moments(Reader.open(features, IDS, CPU), track_ids)
    values = features.read(track_ids)[0].astype(np.float64)
    np.testing.assert_allclose(mean.ravel(), values.mean(axis=axes), rtol=1e-12)
    np.testing.assert_allclose(scale.ravel(), values.std(axis=axes), rtol=1e-12)


def test_moments_are_exact_far_from_zero():
    values = np.random.default_rng(0).integers(-3, 4, (11, 3)) + 2.0**20
    mean, scale = moments(Reader.open(store(values=values), IDS, CPU), IDS)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(scale, values.std(axis=0), rtol=1e-12)


def test_a_feature_that_does_not_vary_has_scale_one():
    values = np.random.default_rng(0).normal(size=(11, 3))
    values[:, 1], values[:, 2] = 0.1, 0.0
    _, scale = moments(Reader.open(store(values=values), IDS, CPU), IDS)
    assert scale[0] != 1
    assert scale[1:].tolist() == [1, 1]
