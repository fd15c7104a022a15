"""What is read is what was written, in any order, from arrays and from blocks on disk.

Rows are copied as a loop over tracks would, from wherever they are and into whatever is given.
"""

import io
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matt import ArgumentError, Bags, DataError, FeatureStore, Tracks
from matt.audio import SegmentPolicy
from matt.features import blocks as blocks_module
from matt.features.blocks import (
    ROWS,
    ROWS_SCHEMA,
    create,
    read_spec,
    verify_blocks,
    write_block,
)
from matt.features.report import ExtractionReport, TrackProblem
from matt.features.spec import FeatureSpec
from matt.features.store import with_features
from matt.files import write_parquet

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
        values = np.asarray(values_of(chosen, lengths), order="FC"[block % 2])
        write_block(path, 0, block, values, rows(chosen, lengths))
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
        ([4, 6], np.zeros((3, 5)), [1, 2, 3], "must start at 0 .* but start at 1"),
        ([4, 6, 8], np.zeros((3, 5)), [0, 2, 2, 3], r"1 of 3 tracks have none \(first: 6\); drop"),
        ([4, 6], np.zeros((3, 5)), [0, 5, 3], r"1 of 2 tracks have none \(first: 6\); drop"),
        ([], np.zeros((0, 5)), None, "'clap' has no tracks; give it at least one"),
        ([], np.zeros((0, 5)), [], "'clap' has no tracks; give it at least one"),
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


def small_store(path):
    """Two blocks, one of them with a failure."""
    create(path, SPEC)
    write_block(path, 0, 0, values_of([2, 3], [1, 2]), rows([2, 3], [1, 2]))
    status, reason = ["ok", "failed", "ok"], ["", "no audio", ""]
    write_block(path, 0, 1, values_of([5, 11], [4, 1]), rows([5, 7, 11], [4, 0, 1], status, reason))
    return path


def damages(content):
    """A file cut at many places, emptied, overwritten, or gone (None)."""
    for size in np.linspace(0, len(content) - 1, 40).astype(int):
        yield content[:size]
    garbage = np.random.default_rng(0).integers(0, 256, len(content), np.uint8).tobytes()
    yield from (garbage, bytes(len(content)), b"{}", b'{"spec": {}}', b"PK\3\4" + garbage)
    yield content[: len(content) // 2] + garbage[len(content) // 2 :]
    yield content[:6] + garbage[6:]
    archive = io.BytesIO()
    np.savez(archive, np.zeros(3))
    yield archive.getvalue()
    turned = np.zeros((9, *SPEC.shape), SPEC.dtype, order="F")
    for array in (np.array([{}]), np.zeros((9, 4)), np.zeros((1, *SPEC.shape), SPEC.dtype), turned):
        other = io.BytesIO()
        np.save(other, array)
        yield other.getvalue()
    yield None


REMEDIES = {
    "spec.json": "spec.json is gone; move the folder away and extract again"
    "|spec.json is damaged .*; restore it, or move the folder away and run 'matt extract' again",
    "0000-00000": r"0000-00000.(npy|parquet) is damaged .*; run 'matt extract --verify', or move "
    "0000-00000.npy and 0000-00000.parquet away and extract again",
}


@pytest.mark.parametrize(
    ("in_memory", "maps"), [(0, 128), (0, 0), (2**30, 128)], ids=["mapped", "read", "in memory"]
)
@pytest.mark.parametrize("name", ["spec.json", "0000-00000.npy", "0000-00000.parquet"])
def test_a_damaged_file_is_named_with_the_remedy_or_does_no_harm(
    name, in_memory, maps, tmp_path, monkeypatch
):
    monkeypatch.setattr("matt.features.blocks.MAPS", maps)
    path = small_store(tmp_path / "store")
    content = (path / name).read_bytes()
    ids, sizes = np.array([2, 3, 5, 11]), [1, 2, 4, 1]
    outcomes = []
    for damage in damages(content):
        (path / name).unlink(missing_ok=True)
        if damage is not None:
            (path / name).write_bytes(damage)
        try:
            values, _ = FeatureStore.open(path, in_memory=in_memory).read(ids)
        except DataError as error:
            message = str(error)
            if damage is None and name.endswith("parquet"):  # then the block was never there
                assert "missing for 2 of 4 tracks (first: 2, 3); extract them" in message
            else:
                assert re.search(
                    REMEDIES[name.removesuffix(".npy").removesuffix(".parquet")], message
                )
                assert message.startswith(str(path))
            outcomes.append(True)
        else:
            # Without the end of line of the JSON, or with values that are values of other audio.
            changed = name.endswith("npy") and len(damage) == len(content)
            assert changed or np.array_equal(values, values_of(ids, sizes))
            outcomes.append(False)
    assert outcomes[0]
    assert outcomes[-1]
    assert sum(outcomes) > len(outcomes) - 3


def test_row_tables_that_contradict_themselves_are_refused(tmp_path, monkeypatch):
    path = create(tmp_path / "store", SPEC)
    for columns, what in [
        (rows([2, 3], [1, 2]) | {"start": [0, 7]}, "do not lie one behind the other"),
        (rows([2, 3], [3, 0]), "contradict their status"),
        (rows([2, 3], [1, 2]) | {"track_id": [2.5, 3.0]}, "no whole numbers"),
        (rows([2, 3], [1, 2]) | {"start": ["a", "b"]}, "no whole numbers"),
        (rows([2, 3], [2, 2]), "holds 3 rows, but its table tells of 4"),
        (
            {key: column for key, column in rows([2, 3], [1, 2]).items() if key != "reason"},
            "reason",
        ),
    ]:
        write_block(path, 0, 0, values_of([2, 3], [1, 2]), columns)
        for in_memory, maps in [(0, 128), (0, 0), (2**30, 128)]:
            monkeypatch.setattr("matt.features.blocks.MAPS", maps)
            with pytest.raises(
                DataError, match=f"0000-00000.* is damaged .*{what}.*; run .* or move 0000"
            ):
                FeatureStore.open(path, in_memory=in_memory).read(np.array([2, 3]))


@given(place=st.floats(0, 1), mask=st.integers(1, 255), how=st.sampled_from(["whole", "map", "read"]))  # fmt: skip
def test_a_value_that_was_damaged_is_never_read(tmp_path_factory, place, mask, how):
    path = create(tmp_path_factory.mktemp("store"), SPEC)
    for block in range(2):
        write_block(path, 0, block, values_of([2, 3], [1, 2]), rows([2 + block, 5 + block], [1, 2]))
    file = path / "0000-00001.npy"
    content = bytearray(file.read_bytes())
    header = len(content) - values_of([2, 3], [1, 2]).nbytes
    content[header + int(place * (len(content) - header - 1))] ^= mask
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matt.features.blocks.MAPS", 0 if how == "read" else 128)
        with pytest.raises(DataError, match=r"0000-00001.npy is damaged .*not those that were .*--verify"):  # fmt: skip
            FeatureStore.open(path, in_memory=2**30 if how == "whole" else 0).read(np.array([3]))
    damaged, unchecked = verify_blocks(path, SPEC)
    assert (list(damaged), unchecked) == (["0000-00001"], ())


def test_blocks_of_before_have_no_checksum_and_are_read(tmp_path):
    path = create(tmp_path / "store", SPEC)
    values = values_of([2, 3], [1, 2])
    name = write_block(path, 0, 0, values, rows([2, 3], [1, 2]))
    write_parquet(path / f"{name}.parquet", rows([2, 3], [1, 2]), schema=ROWS_SCHEMA)
    for in_memory in (0, 2**30):
        found, _ = FeatureStore.open(path, in_memory=in_memory).read(np.array([2, 3]))
        np.testing.assert_array_equal(found, values)
    assert verify_blocks(path, SPEC) == ({}, (name,))


def test_a_table_that_tells_of_more_than_any_memory_is_refused(tmp_path):
    path = create(tmp_path / "store", SPEC)
    write_block(path, 0, 0, values_of([2, 3], [1, 2]), rows([2, 3], [1, 2**50]))
    with pytest.raises(DataError, match=r"0000-00000.npy is damaged .*holds 3 rows, but its table"):
        FeatureStore.open(path)


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_as_a_spec_are_a_spec_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("store")
    (path / "spec.json").write_bytes(content)
    with pytest.raises(DataError, match=r"spec.json is damaged"):
        read_spec(path)


def test_a_setting_that_was_changed_in_the_file_is_found_out(tmp_path):
    file = create(tmp_path / "store", SPEC) / "spec.json"
    file.write_text(file.read_text().replace('"sr": 8000', '"sr": 8001'))
    with pytest.raises(DataError, match=r"it was changed: its digest is not .*restore it"):
        read_spec(tmp_path / "store")


@pytest.mark.parametrize("maps", [128, 0], ids=["mapped", "read"])
def test_a_store_that_was_made_anew_in_its_place_is_read_anew(maps, tmp_path, monkeypatch):
    monkeypatch.setattr("matt.features.blocks.MAPS", maps)
    path = tmp_path / "store"
    for salt in (0, 100, 200):
        shutil.rmtree(path, ignore_errors=True)
        create(path, SPEC)
        write_block(path, 0, 0, values_of([2, 3], [1, 2], salt=salt), rows([2, 3], [1, 2]))
        values, _ = FeatureStore.open(path, in_memory=0).read(np.array([2, 3]))
        np.testing.assert_array_equal(values[:, 0, 0], np.array([2, 3, 3]) + salt)


def test_only_an_empty_folder_becomes_a_store(tmp_path):
    (tmp_path / ".DS_Store").touch()
    create(tmp_path, SPEC)
    (tmp_path / "spec.json").unlink()
    (tmp_path / "song.mp3").touch()
    with pytest.raises(DataError, match="is not empty and is no feature store; choose another"):
        create(tmp_path, SPEC)
    assert not (tmp_path / "spec.json").exists()
    write_block(tmp_path, 0, 0, values_of([2], [1]), rows([2], [1]))
    for refused in (lambda: create(tmp_path, SPEC), lambda: FeatureStore.open(tmp_path)):
        with pytest.raises(
            DataError, match=r"its spec.json is gone; move the folder away and extract"
        ):
            refused()


def test_a_folder_is_of_one_spec(tmp_path):
    create(tmp_path, SPEC)
    create(tmp_path, SPEC)
    other = replace(SPEC, n_mels=7)
    with pytest.raises(DataError, match=r"n_mels: 5 / 7 .*ask for features.n_mels = 5 in settings; or name another"):  # fmt: skip
        create(tmp_path, other)


SPEC_ROWS = FeatureSpec.logmel(
    sr=8_000, n_fft=256, hop_length=800, n_mels=3, segments=SegmentPolicy("first", 0.5)
)
N_VALUES = SPEC_ROWS.n_bytes // 2  # of one segment


def write_store(path, blocks):
    """Write a store of blocks of {track: segments}, and give {track: values} back."""
    create(path, SPEC_ROWS)
    found, count = {}, 0
    for number, tracks in enumerate(blocks):
        sizes = np.array(list(tracks.values()))
        values = np.arange(count, count + sizes.sum() * N_VALUES, dtype=np.float16)
        values = values.reshape(-1, *SPEC_ROWS.shape)
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
    "same": lambda n: np.zeros((n + 2, *SPEC_ROWS.shape), np.float16),
    "other dtype": lambda n: np.zeros((n, *SPEC_ROWS.shape), np.float64),
    "every second row": lambda n: np.zeros((2 * n, *SPEC_ROWS.shape), np.float16)[::2],
    "columns first": lambda n: np.zeros((*SPEC_ROWS.shape, n), np.float16).transpose(2, 0, 1),
    "backwards": lambda n: np.zeros((n, *SPEC_ROWS.shape), np.float32)[::-1],
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
    expected = np.concatenate([np.zeros((0, *SPEC_ROWS.shape)), *parts])
    given_out = OUTS[out](len(expected))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "MAPS", maps)
        patch.setattr(blocks_module, "SHORT_BYTES", short)
        patch.setattr(blocks_module, "LONG_BYTES", long)
        features.read(np.array(asked[::2], np.int64))  # below they are read once more
        values, offsets = features.read(np.array(asked, np.int64), out=given_out)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(np.diff(offsets), [len(part) for part in parts])
    if given_out is not None:
        assert values.size == 0 or np.shares_memory(values, given_out)
        assert not given_out[len(expected) :].any()


def test_a_store_of_many_blocks_leaves_no_file_open(tmp_path):
    tracks = write_store(tmp_path, [{block: 1} for block in range(blocks_module.MAPS + 2)])
    features = FeatureStore.open(tmp_path, in_memory=0)
    before = len(os.listdir("/dev/fd"))
    values, _ = features.read(np.array(list(tracks)))
    np.testing.assert_array_equal(values, np.concatenate(list(tracks.values())))
    assert len(os.listdir("/dev/fd")) == before


def test_at_most_so_many_files_are_mapped(tmp_path):
    before = len(os.listdir("/dev/fd"))
    for part in range(3):
        n = blocks_module.MAPS // 2 + 1
        tracks = write_store(tmp_path / str(part), [{block: 1} for block in range(n)])
        FeatureStore.open(tmp_path / str(part), in_memory=0).read(np.array(list(tracks)))
    assert len(os.listdir("/dev/fd")) <= before + blocks_module.MAPS


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path, monkeypatch):
    tracks = write_store(tmp_path, [{3: 2, 5: 4}])
    features = FeatureStore.open(tmp_path, in_memory=0)
    monkeypatch.setattr(blocks_module, "MAPS", 0)
    monkeypatch.setattr(blocks_module, "_layout", lambda *looked_at_before: (128, 6))
    file = tmp_path / "0000-00000.npy"
    file.write_bytes(file.read_bytes()[:-1])
    np.testing.assert_array_equal(features.read(np.array([3]))[0], tracks[3])
    with pytest.raises(
        DataError, match=r"0000-00000.npy is damaged .*it has become shorter.*; run"
    ):
        features.read(np.array([5]))


def test_arguments_in_another_order_are_told():
    ids, values = np.arange(5), np.ones((5, 3))
    with pytest.raises(
        ArgumentError, match="name must be a str, but got ndarray; track_ids is the"
    ):
        FeatureStore.from_arrays(ids, "toy", values)
    with pytest.raises(
        DataError, match=r"track_ids have the shape \(5, 3\).*the name, then the ids"
    ):
        FeatureStore.from_arrays("toy", values, ids)


def test_of_tracks_without_features_the_report_says_why():
    tracks = Tracks([10**9], [-1], (), path=["a.mp3"])
    lost = TrackProblem(10**9, "a.mp3", "it holds no audio")
    report = ExtractionReport(1, 0, 0, 0, 0, failures=(lost,))
    with pytest.raises(DataError, match=r"none of 1 files .*a\.mp3: it holds no audio"):
        with_features(tracks, STORE, report=report)
    with pytest.raises(DataError, match="none of 1 tracks has features"):
        with_features(tracks, STORE)
