"""Steps as large as memory allows, and maps larger than memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_models_training import FAST, problem

from matt.bags import Bags
from matt.features.blocks import ROWS, create, write_block
from matt.features.spec import FeatureSpec
from matt.features.store import FeatureStore
from matt.models import reading
from matt.models.network import build_network
from matt.models.neural import NeuralClassifier
from matt.models.reading import MOST, settled
from matt.models.settings import ModelSettings, TrainingSettings
from matt.tracks import Tracks

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
