"""What is read is what was written, in any order, from arrays and from blocks on disk."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matt import Bags, DataError, FeatureStore
from matt.audio import SegmentPolicy
from matt.features.blocks import ROWS, create, read_spec, write_block
from matt.features.spec import FeatureSpec

IDS = np.array([13, 2, 11, 3, 7, 5])  # not sorted
SEGMENTS = np.array([2, 1, 3, 4, 1, 2])
OWNER = np.repeat(IDS, SEGMENTS)  # which track each segment belongs to
VALUES = np.stack([OWNER, np.arange(len(OWNER))], axis=1).astype(np.float32)  # (13, 2)
OFFSETS = np.concatenate([[0], np.cumsum(SEGMENTS)])
STORE = FeatureStore.from_arrays("clap", IDS, VALUES, OFFSETS)
SPEC = FeatureSpec.logmel(
    sr=8_000, n_fft=256, hop_length=800, n_mels=5, segments=SegmentPolicy("first", 1.0)
)


def rows(ids, sizes, status=None, reason=None):
    n = len(ids)
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    return dict(
        zip(ROWS, (ids, starts, sizes, status or ["ok"] * n, reason or [""] * n), strict=True)
    )


def values_of(ids, sizes, *, salt=0):
    """Segments that say whose they are: (N, 5, 11)."""
    owner = np.repeat(ids, sizes)
    return np.broadcast_to(owner[:, None, None] + salt, (len(owner), *SPEC.shape)).astype("f2")


# ---- reading ----


@given(st.lists(st.sampled_from(list(IDS)), min_size=1))
def test_every_track_comes_back_whole_and_in_the_order_asked_for(track_ids):
    values, offsets = STORE.read(np.array(track_ids))
    parts = np.split(values, offsets[1:-1])
    for track_id, part in zip(track_ids, parts, strict=True):
        np.testing.assert_array_equal(part, VALUES[track_id == OWNER])
    np.testing.assert_array_equal(STORE.counts(np.array(track_ids)), np.diff(offsets))


@given(st.lists(st.integers(0, 3), min_size=len(IDS), max_size=len(IDS)))
def test_segments_of_a_bag_are_the_segments_of_its_tracks(keys):
    order = np.argsort(keys, kind="stable")
    sizes = np.unique(keys, return_counts=True)[1]
    bags = Bags(IDS[order], np.concatenate([[0], np.cumsum(sizes)]), np.zeros(len(sizes), int))
    values, track_offsets = STORE.read(bags.track_ids)
    segment_offsets = track_offsets[bags.offsets]
    for key, part in zip(sorted(set(keys)), np.split(values, segment_offsets[1:-1]), strict=True):
        assert set(part[:, 0]) == set(IDS[np.array(keys) == key])


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_blocks_on_disk_read_as_one_array_mapped_or_in_memory(data, tmp_path_factory):
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=9))
    ids = np.array(data.draw(st.permutations(range(10, 10 + len(sizes)))))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(ids) - 1, 1)), max_size=3)))
    path = create(tmp_path_factory.mktemp("store"), SPEC)
    for block, here in enumerate(np.split(np.arange(len(ids)), cuts)):
        chosen, lengths = ids[here], np.array(sizes)[here]
        write_block(path, 0, block, values_of(chosen, lengths), rows(chosen, lengths))
    asked = np.array(data.draw(st.lists(st.sampled_from(list(ids)), min_size=1)))
    wanted = [sizes[list(ids).index(track_id)] for track_id in asked]
    for in_memory in (0, 2**30):
        store = FeatureStore.open(path, in_memory=in_memory)
        np.testing.assert_array_equal(store.track_ids, np.sort(ids))
        values, offsets = store.read(asked)
        assert values.dtype == np.float16
        np.testing.assert_array_equal(values, values_of(asked, wanted))
        np.testing.assert_array_equal(np.diff(offsets), wanted)


def test_values_may_be_read_into_memory_of_another_dtype():
    out = np.full((9, 2), -1.0)
    values, offsets = STORE.read(np.array([3, 2]), out=out)
    assert np.shares_memory(values, out)
    assert len(values) == offsets[-1] == 5
    np.testing.assert_array_equal(values[:4], VALUES[OWNER == 3])
    assert (out[5:] == -1).all()


def test_memory_that_is_too_small_or_of_another_shape_is_refused():
    for shape in [(3, 2), (9, 3)]:
        with pytest.raises(DataError, match=r"but \(5, 2\) is needed; make it larger"):
            STORE.read(np.array([3, 2]), out=np.empty(shape))


@pytest.mark.parametrize("absent", [1, 4, 17])
def test_missing_tracks_are_counted_and_named(absent):
    with pytest.raises(DataError, match=rf"missing for 1 of 2 tracks \(first: {absent}\)"):
        STORE.read(np.array([3, absent, absent]))
    assert absent not in STORE
    assert 3 in STORE


# ---- from arrays ----


@pytest.mark.parametrize(
    ("ids", "values", "offsets", "message"),
    [
        ([1, 2], np.zeros((3, 5)), None, "2 tracks and 3 rows do not fit offsets of length 3"),
        ([1, 2], np.zeros((3, 5)), [0, 3], "offsets of length 2 that end at 3"),
        ([4, 4], np.zeros((2, 5)), None, "track ids repeat"),
        ([7, 9], np.array([[0.0, 1], [np.nan, 1]]), None, r"1 of 2 tracks hold NaN .*first: 9\)"),
        ([7, 9], np.array([[np.inf, 1], [0, 1]]), None, r"drop those tracks"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(ids, values, offsets, message):
    with pytest.raises(DataError, match=message):
        FeatureStore.from_arrays("clap", np.array(ids), values, offsets)


def test_half_precision_stays_half_precision():
    half = FeatureStore.from_arrays("clap", np.array([1]), np.ones((1, 3), np.float16))
    assert half.read(np.array([1]))[0].dtype == np.float16
    double = FeatureStore.from_arrays("clap", np.array([1]), np.ones((1, 3)))
    assert double.read(np.array([1]))[0].dtype == np.float32


# ---- folders ----


def test_the_newest_plan_wins_and_the_store_as_it_was_can_still_be_read(tmp_path):
    path = create(tmp_path / "store", SPEC)
    write_block(path, 0, 0, values_of([2, 3, 5], [1, 2, 1]), rows([2, 3, 5], [1, 2, 1]))
    status, reason = ["ok", "failed", "partial"], ["", "took longer than 1 s", "cut off"]
    table = rows([3, 2, 7], [3, 0, 1], status, reason)
    write_block(path, 1, 0, values_of([3, 7], [3, 1], salt=100), table)

    store = FeatureStore.open(path)
    np.testing.assert_array_equal(store.track_ids, [3, 5, 7])  # 2 failed since
    np.testing.assert_array_equal(store.counts(np.array([3, 5])), [3, 1])
    values, _ = store.read(np.array([3, 5, 7]))
    np.testing.assert_array_equal(values[:, 0, 0], [103, 103, 103, 5, 107])
    assert store.failures["track_id"].tolist() == [2]
    assert store.failures["reason"].tolist() == ["took longer than 1 s"]
    assert store.partial["track_id"].tolist() == [7]

    before = FeatureStore.open(path, before=1)
    np.testing.assert_array_equal(before.track_ids, [2, 3, 5])
    np.testing.assert_array_equal(before.read(np.array([3]))[0][:, 0, 0], [3, 3])


def test_a_block_without_its_row_table_was_never_there(tmp_path):
    path = create(tmp_path / "store", SPEC)
    write_block(path, 0, 0, values_of([2], [1]), rows([2], [1]))
    write_block(path, 0, 1, values_of([3], [1]), rows([3], [1]))
    (path / "0000-00001.parquet").unlink()
    assert FeatureStore.open(path).track_ids.tolist() == [2]


def test_a_store_in_which_everything_failed_says_so(tmp_path):
    path = create(tmp_path / "store", SPEC)
    write_block(path, 0, 0, values_of([], []), rows([2], [0], ["failed"], ["not found"]))
    store = FeatureStore.open(path)
    assert (len(store), store.failures["track_id"].tolist()) == (0, [2])
    with pytest.raises(DataError, match="has no track; run 'matt extract'"):
        store.read(np.array([2]))


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"is not a feature store .* run 'matt extract' first"):
        FeatureStore.open(tmp_path)
    create(tmp_path, SPEC)
    assert read_spec(tmp_path) == SPEC
    with pytest.raises(DataError, match="holds no extracted features"):
        FeatureStore.open(tmp_path)


def test_a_folder_is_of_one_spec(tmp_path):
    create(tmp_path, SPEC)
    create(tmp_path, SPEC)
    other = replace(SPEC, n_mels=7)
    with pytest.raises(DataError, match=r"differ in .*n_mels: 5 / 7.* into another folder"):
        create(tmp_path, other)
