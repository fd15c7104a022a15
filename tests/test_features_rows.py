"""Rows are copied as a loop over tracks would, from wherever they are and into whatever is given."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matt import DataError, FeatureStore
from matt.audio import SegmentPolicy
from matt.features import blocks
from matt.features.blocks import ROWS, create, write_block
from matt.features.spec import FeatureSpec

SPEC = FeatureSpec.logmel(
    sr=8_000, n_fft=256, hop_length=800, n_mels=3, segments=SegmentPolicy("first", 0.5)
)
N_VALUES = SPEC.n_bytes // 2  # of one segment


def write_store(path, blocks):
    """Write a store of blocks of {track: segments}, and give {track: values} back."""
    create(path, SPEC)
    found, count = {}, 0
    for number, tracks in enumerate(blocks):
        sizes = np.array(list(tracks.values()))
        values = np.arange(count, count + sizes.sum() * N_VALUES, dtype=np.float16)
        values = values.reshape(-1, *SPEC.shape)
        count += values.size
        starts = np.cumsum(sizes) - sizes
        table = (list(tracks), starts, sizes, ["ok"] * len(tracks), [""] * len(tracks))
        write_block(path, 0, number, values, dict(zip(ROWS, table, strict=True)))
        found |= {t: values[a : a + n] for t, a, n in zip(tracks, starts, sizes, strict=True)}
    return found


@st.composite
def stores(draw):
    """Blocks of tracks in any order, and which of them are asked for."""
    ids = draw(st.permutations(range(10, 10 + draw(st.integers(1, 12)))))
    cuts = sorted(draw(st.sets(st.integers(1, max(len(ids) - 1, 1)), max_size=4)))
    blocks = [
        {int(t): draw(st.integers(1, 4)) for t in part}
        for part in np.split(np.array(ids), cuts)
        if len(part)
    ]
    one = st.lists(st.sampled_from(ids), max_size=20)
    runs = st.integers(0, len(ids)).map(lambda n: ids[:n] + ids[n:] + ids[: n // 2])  # in order
    return blocks, draw(one | runs)


OUTS = {
    "none": lambda n: None,
    "same": lambda n: np.zeros((n + 2, *SPEC.shape), np.float16),
    "other dtype": lambda n: np.zeros((n, *SPEC.shape), np.float64),
    "every second row": lambda n: np.zeros((2 * n, *SPEC.shape), np.float16)[::2],
    "columns first": lambda n: np.zeros((*SPEC.shape, n), np.float16).transpose(2, 0, 1),
    "backwards": lambda n: np.zeros((n, *SPEC.shape), np.float32)[::-1],
}


@pytest.mark.parametrize("out", OUTS)
@pytest.mark.parametrize(("in_memory", "maps"), [(0, 128), (0, 0), (2**30, 128)])
@given(store=stores(), short=st.sampled_from([0, 80, 10**6]), long=st.sampled_from([0, 80, 10**6]))
@settings(max_examples=25, deadline=None)
def test_reading_equals_a_loop_over_tracks(
    out, in_memory, maps, store, short, long, tmp_path_factory
):
    blocks, asked = store
    path = tmp_path_factory.mktemp("store")
    tracks = write_store(path, blocks)
    features = FeatureStore.open(path, in_memory=in_memory)
    parts = [tracks[track_id] for track_id in asked]
    expected = np.concatenate([np.zeros((0, *SPEC.shape)), *parts])
    given_out = OUTS[out](len(expected))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MAPS", maps)
        patch.setattr(blocks, "SHORT_BYTES", short)
        patch.setattr(blocks, "LONG_BYTES", long)
        features.read(np.array(asked[::2], np.int64))  # below they are read once more
        values, offsets = features.read(np.array(asked, np.int64), out=given_out)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(np.diff(offsets), [len(part) for part in parts])
    if given_out is not None:
        assert values.size == 0 or np.shares_memory(values, given_out)
        assert not given_out[len(expected) :].any()


def test_a_store_of_many_blocks_leaves_no_file_open(tmp_path):
    tracks = write_store(tmp_path, [{block: 1} for block in range(blocks.MAPS + 2)])
    features = FeatureStore.open(tmp_path, in_memory=0)
    before = len(os.listdir("/dev/fd"))
    values, _ = features.read(np.array(list(tracks)))
    np.testing.assert_array_equal(values, np.concatenate(list(tracks.values())))
    assert len(os.listdir("/dev/fd")) == before


def test_at_most_so_many_files_are_mapped(tmp_path):
    before = len(os.listdir("/dev/fd"))
    for part in range(3):
        n = blocks.MAPS // 2 + 1
        tracks = write_store(tmp_path / str(part), [{block: 1} for block in range(n)])
        FeatureStore.open(tmp_path / str(part), in_memory=0).read(np.array(list(tracks)))
    assert len(os.listdir("/dev/fd")) <= before + blocks.MAPS


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path, monkeypatch):
    tracks = write_store(tmp_path, [{3: 2, 5: 4}])
    features = FeatureStore.open(tmp_path, in_memory=0)
    monkeypatch.setattr(blocks, "MAPS", 0)
    monkeypatch.setattr(blocks, "_layout", lambda *looked_at_before: (128, 6))
    file = tmp_path / "0000-00000.npy"
    file.write_bytes(file.read_bytes()[:-1])
    np.testing.assert_array_equal(features.read(np.array([3]))[0], tracks[3])
    with pytest.raises(
        DataError, match=r"0000-00000.npy is damaged .*it has become shorter.*; del"
    ):
        features.read(np.array([5]))
