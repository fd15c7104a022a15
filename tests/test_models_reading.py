"""Reading: straight into tensors, the same from memory and from disk, in chunks or at once.

Steps as large as memory allows, and maps larger than memory.

Values through the inputs once: the same numbers, and the network as it was afterwards.
"""

from dataclasses import replace
from threading import Semaphore
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_models_training import FAST, problem

from matt.bags import Bags
from matt.errors import DataError
from matt.features.blocks import ROWS, create, write_block
from matt.features.spec import FeatureSpec
from matt.features.store import FeatureStore
from matt.models import reading, trained
from matt.models.arrays import NetworkArrays, parts_of, segment_counts
from matt.models.network import BagNetwork, build_network
from matt.models.neural import NeuralClassifier
from matt.models.reading import (
    MOST,
    Reader,
    encode,
    encode_bags,
    inputs_once,
    log_counts,
    moments,
    read_tensor,
    settled,
)
from matt.models.settings import ModelSettings, PoolingName, TrainingSettings
from matt.models.training import prepare
from matt.tracks import Tracks

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


@pytest.mark.parametrize("pooling", get_args(PoolingName))
@pytest.mark.parametrize("spread", [True, False])
@pytest.mark.parametrize(("held", "max_segments"), [(1, 1), (4, 2), (4, 9), (100, 3), (100, 100)])
def test_bags_that_are_read_some_at_a_time_are_those_of_all(
    pooling, spread, held, max_segments, monkeypatch
):
    monkeypatch.setattr("matt.models.arrays._HELD", held)
    monkeypatch.setattr("matt.models.arrays._HELD_NUMBERS", 3 * held)
    settings = ModelSettings(hidden=(13,), pooling=pooling, spread=spread, inputs="standard")
    network = build_network(settings, (3,), 2)
    if spread:
        torch.nn.init.normal_(network.spread.weight)
    reader = Reader.open(store(), IDS, CPU, max_bytes=0)
    bags = np.array([0, 2, 3, 5])  # of 3, 3 and 5 segments
    parts = list(encode_bags(network, reader, IDS, bags, max_segments=max_segments))
    assert all(len(x.scores) <= held or len(offsets) == 2 for x, offsets in parts)
    whole, starts = encode(network, reader, IDS, max_segments=100)
    expected = network.pool(whole, torch.from_numpy(starts[bags]))
    found = [network.pool(x, offsets) for x, offsets in parts]
    for one, all_ in zip(zip(*found, strict=True), expected, strict=True):
        torch.testing.assert_close(torch.cat(one), all_)


@pytest.mark.parametrize("spread", [True, False])
def test_training_and_prediction_hold_few_segments_at_once(spread, tmp_path, monkeypatch):
    """Where inputs are kept no more than some; and the same comes out as if all had been."""
    bags, ids, values, offsets = problem()
    features = FeatureStore.from_arrays("toy", ids, values, offsets)
    tracks = Tracks(ids, np.full(len(ids), -1), bags.genres)
    settings = replace(MODEL, spread=spread), replace(FAST, epochs=3)
    some, valid = bags.take(np.arange(15)), bags.take(np.arange(15, 30))
    whole = NeuralClassifier(*settings).fit(features, some, valid=valid)
    whole.save(tmp_path)
    opened = NeuralClassifier.load(tmp_path)
    expected = whole.predict(features, tracks, bags).logits
    most = 8  # 4 tracks of 2 segments: no bag has more
    monkeypatch.setattr("matt.models.arrays._HELD_NUMBERS", 5 * most)
    held, encoded = [], BagNetwork.segments

    def watch(network, x, log_sizes, **asked):
        held.append(len(x))
        return encoded(network, x, log_sizes, **asked)

    kept, pool = [], NetworkArrays.pool

    def watch_pool(part, scores, values, inputs, *others):
        kept.append(inputs.size)
        return pool(part, scores, values, inputs, *others)

    monkeypatch.setattr(BagNetwork, "segments", watch)
    monkeypatch.setattr(NetworkArrays, "pool", watch_pool)
    again = NeuralClassifier(*settings).fit(features, some, valid=valid)
    assert (max(held) <= most) == spread
    for one, other in zip(again.history, whole.history, strict=True):
        assert one["valid_loss"] == pytest.approx(other["valid_loss"], rel=1e-5)
        assert one["valid_macro_f1"] == pytest.approx(other["valid_macro_f1"])
    for model in (again, opened):
        found = model.predict(features, tracks, bags).logits
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (0 < max(kept) <= 5 * most) if spread else not any(kept)


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


MODEL = ModelSettings(hidden=(11,), dropout=0.0)


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("encoder", "shape", "low", "high"),
    [
        ("mlp", (518,), MOST, MOST),
        ("identity", (518,), MOST, MOST),
        ("mlp", (96, 1360), 1000, MOST - 1),
        ("crnn", (96, 1360), 12, 48),
        ("crnn_tf", (96, 1360), 12, 96),
        ("lstm", (20, 1360), 100, 2000),
    ],
)
def test_a_step_holds_what_fits_into_two_gigabytes(encoder, shape, low, high):
    with torch.device("meta"):
        network = build_network(ModelSettings(encoder=encoder), shape, 16)
    chosen = settled(TrainingSettings(), network)
    assert low <= chosen.max_segments <= high
    assert chosen.max_segments == MOST or (
        chosen.max_segments * 4 * network.encoder.segment_floats
        <= reading.BUDGET
        < (chosen.max_segments + 1) * 4 * network.encoder.segment_floats
    )
    assert settled(TrainingSettings(max_segments=7), network).max_segments == 7
    assert settled(chosen, network) == chosen
    assert len(reading.room_notes(TrainingSettings(), network)) == (chosen.max_segments < MOST)
    assert reading.room_notes(chosen, network) == ()


@pytest.mark.parametrize("encoder", ["crnn", "crnn_tf", "lstm"])
def test_twice_the_frames_are_half_the_segments(encoder):
    numbers = []
    for frames in (512, 1024):
        with torch.device("meta"):
            network = build_network(ModelSettings(encoder=encoder), (96, frames), 5)
        numbers.append(network.encoder.segment_floats)
    assert numbers[1] == pytest.approx(2 * numbers[0], rel=0.01)


def test_a_budget_that_is_small_is_told_and_capped_bags_are_predicted_whole(monkeypatch):
    bags, ids, values, offsets = problem()
    features = FeatureStore.from_arrays("toy", ids, values, offsets)
    tracks = Tracks(ids, np.full(len(ids), -1), bags.genres)
    model = NeuralClassifier(MODEL, replace(FAST, epochs=2))
    floats = build_network(MODEL, (5,), 3).encoder.segment_floats
    monkeypatch.setattr(reading, "BUDGET", 4 * floats * 3)
    model.fit(features, bags)
    assert any("holds at most 3 segments" in note for note in model.notes)
    assert any("have more than 3 segments" in note for note in model.notes)
    in_parts = model.predict(features, tracks, bags).logits
    monkeypatch.setattr(reading, "BUDGET", 10**12)
    np.testing.assert_allclose(model.predict(features, tracks, bags).logits, in_parts, rtol=1e-5)


def maps_on_disk(folder, n):
    """A store of maps (6, 30) in blocks of 8 tracks, and bags of it in two genres."""
    rng = np.random.default_rng(0)
    store = create(folder, FeatureSpec.embedding("maps", (6, 30), dtype="float16"))
    for number, ids in enumerate(np.array_split(np.arange(n), n // 8)):
        values = rng.standard_normal((len(ids), 6, 30)).astype(np.float16)
        values[ids % 2 == 0, :3] += 1
        ones = np.ones(len(ids), np.int64)
        columns = (ids, ids - ids[0], ones, ["ok"] * len(ids), [""] * len(ids))
        write_block(store, 0, number, values, dict(zip(ROWS, columns, strict=True)))
    labels = np.arange(n) % 2
    return store, Bags(np.arange(n), np.arange(n + 1), labels, genres=("low", "high"))


def test_maps_larger_than_memory_are_trained_batch_by_batch(tmp_path, monkeypatch):
    """Blocks stay memory maps, and no more than a batch of them is ever read into a buffer."""
    n, most = 96, 5
    folder, bags = maps_on_disk(tmp_path / "store", n)
    settings = TrainingSettings(epochs=2, max_bags=most, lr=0.01)
    model = ModelSettings(encoder="lstm", recurrent_units=3)
    whole = NeuralClassifier(model, settings).fit(FeatureStore.open(folder), bags)
    real, read, opened = FeatureStore.read, [], reading.Reader.open

    def watch(store, track_ids, *, out=None):
        read.append((len(track_ids), None if out is None else out.nbytes))
        return real(store, track_ids, out=out)

    monkeypatch.setattr(FeatureStore, "read", watch)
    monkeypatch.setattr(reading, "_PART_BYTES", most * 6 * 30 * 2)
    monkeypatch.setattr(
        reading.Reader, "open", lambda *given, **_: opened(*given, max_bytes=most * 6 * 30 * 2)
    )
    store = FeatureStore.open(folder, in_memory=0)
    mapped = NeuralClassifier(model, settings).fit(store, bags)
    assert read
    assert max(count for count, _ in read) == most
    assert max(n_bytes for _, n_bytes in read) == most * 6 * 30 * 2  # of 96 * 6 * 30 * 2
    (network,), (other_network,) = mapped._networks, whole._networks
    for one, other in zip(
        network.state_dict().values(), other_network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert not any(isinstance(block, np.ndarray) and not is_map(block) for block in store.blocks)


def is_map(array):
    """Whether an array or what it is a view of lies in a mapped file."""
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def data(shape=(5,)):
    """Forty tracks on twenty albums, two segments each."""
    album = np.arange(40) // 2
    tracks = Tracks(np.arange(40), album % 2, ("a", "b"), album_id=album, artist_id=album)
    values = np.random.default_rng(0).lognormal(size=(80, *shape)).astype(np.float16)
    store = FeatureStore.from_arrays("toy", tracks.track_id, values, np.arange(0, 81, 2))
    return tracks, store, Bags.from_tracks(tracks, by="album")


@pytest.mark.parametrize("inputs", ["standard", "quantile"])
@pytest.mark.parametrize("n_at_once", [1, 3, 1000])
def test_the_values_are_those_of_the_inputs(inputs, n_at_once, monkeypatch):
    monkeypatch.setattr("matt.models.reading._PART", 5 * n_at_once)
    _, store, bags = data()
    network, reader = prepare(store, bags, None, ModelSettings(inputs=inputs), CPU)
    learned = network.inputs
    raw, offsets = reader.read(bags.track_ids[::-1].copy())
    with inputs_once(network, reader) as ready:
        found, where = ready.read(bags.track_ids[::-1].copy())
        torch.testing.assert_close(network.inputs(found), learned(raw), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(where, offsets)
    assert network.inputs is learned
    assert reader.memory.dtype == torch.float16  # as it was


def test_the_network_is_whole_after_an_error():
    _, store, bags = data()
    network, reader = prepare(store, bags, None, ModelSettings(), CPU)
    learned = network.inputs
    with pytest.raises(RuntimeError, match="stop"), inputs_once(network, reader):
        raise RuntimeError("stop")
    assert network.inputs is learned


@pytest.mark.parametrize(("shape", "settings"), [((5,), {}), ((8, 130), {"encoder": "lstm"})])
def test_a_model_is_the_same_with_and_without(shape, settings, monkeypatch):
    tracks, store, bags = data(shape)
    model = ModelSettings(**settings, hidden=(7,), recurrent_units=3)
    training = TrainingSettings(epochs=3, max_bags=6)
    learn, valid = bags.take(np.arange(14)), bags.take(np.arange(14, 20))
    once = NeuralClassifier(model, training).fit(store, learn, valid=valid)
    monkeypatch.setattr("matt.models.reading.IN_MEMORY_BYTES", 0)
    told = []
    monkeypatch.setattr(trained, "train", spied(trained.train, told))
    always = NeuralClassifier(model, training).fit(store, learn, valid=valid)
    assert told == [type(always._networks[0].inputs)]  # nothing was left out
    for one, other in zip(
        once._networks[0].state_dict().values(), always._networks[0].state_dict().values(), strict=True
    ):  # fmt: skip
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        once.predict(store, tracks, bags).logits,
        always.predict(store, tracks, bags).logits,
        atol=1e-5,
    )


def spied(train, told):
    def spy(network, *args, **kwargs):
        told.append(type(network.inputs))
        return train(network, *args, **kwargs)

    return spy
