"""A plan: sorted by album, cut by size, the same for the same files.

A disk that is too small is told before the start; one that fills up stops a run cleanly.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from extraction import SPEC as SPEC_disk_module
from extraction import digests, forbidden, light, table, write
from hypothesis import given
from hypothesis import strategies as st

from matt import DataError, Tracks
from matt.audio import SegmentPolicy
from matt.features.blocks import create, write_block
from matt.features.extract import extract, extract_all
from matt.features.plan import (
    BLOCK_BYTES,
    BLOCK_TRACKS,
    Plan,
    _consecutive,
    draw_up,
    expected_bytes,
    stamp_of,
)
from matt.features.spec import FeatureSpec
from matt.features.task import open_tasks

SPEC = FeatureSpec.logmel()


@pytest.fixture
def tracks(tmp_path):
    """Seven tracks of three albums, in no order; files that are no audio, but files."""
    paths = [tmp_path / f"{i}.wav" for i in range(7)]
    for i, path in enumerate(paths[:-1]):
        path.write_bytes(bytes(100 + i))
    return Tracks(
        [17, 3, 11, 5, 13, 2, 7],
        [-1] * 7,
        ("Rock",),
        album_id=[9, 4, 9, -1, 4, 9, 4],
        path=[str(path) for path in paths],
    )


def test_tracks_of_an_album_lie_side_by_side(tracks, tmp_path):
    plan = one(tracks, create(tmp_path / "store", SPEC))
    assert plan.track_id.tolist() == [5, 3, 7, 13, 2, 11, 17]
    assert plan.block.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert plan.size.tolist() == [103, 101, -1, 104, 105, 102, 100]


def one(tracks, store, **options):
    """Plan of a single store."""
    return draw_up(tracks, {SPEC: store}, **options)[SPEC]


def test_the_rows_of_one_block_are_read_alone(tracks, tmp_path):
    store = create(tmp_path / "store", SPEC)
    one(tracks, store).save(store)
    block = Plan.load(store, 0, block=1)
    assert block.track_id.tolist() == [2, 11, 17]
    assert block.block.tolist() == [1, 1, 1]
    assert Plan.load(store, 0, block=7).track_id.tolist() == []


def test_files_that_two_stores_lack_form_the_same_blocks_in_both(tracks, tmp_path):
    """One store knows an album already; what both lack lies in equal blocks, of the same rows."""
    other = FeatureSpec.summary()
    stores = {spec: create(tmp_path / spec.kind, spec) for spec in (SPEC, other)}
    known = tracks.take(tracks.album_id == 4)
    one(known, stores[SPEC]).save(stores[SPEC])
    rows = {"track_id": [3, 7, 13], "start": [0, 1, 1], "n_segments": [1, 0, 1]}
    rows |= {"status": ["ok", "failed", "ok"], "reason": ["", "x", ""]}
    write_block(stores[SPEC], 0, 0, np.zeros((2, *SPEC.shape), "f2"), rows)

    plans = draw_up(tracks, stores)
    blocks = {
        spec: [plan.track_id[plan.block == b].tolist() for b in range(plan.n_blocks)]
        for spec, plan in plans.items()
    }
    assert blocks[SPEC] == [[5, 2, 11, 17]]
    assert blocks[other] == [[5, 2, 11, 17], [3, 7, 13]]
    assert (plans[SPEC].number, plans[other].number) == (1, 0)
    for spec, plan in plans.items():
        plan.save(stores[spec])
    tasks = [[(Path(p.store).name, p.plan, p.block) for p in t.parts] for t in open_tasks(stores)]
    assert tasks == [[("logmel", 1, 0), ("summary", 0, 0)], [("summary", 0, 1)]]


def test_the_order_of_the_table_does_not_matter(tracks, tmp_path):
    store = create(tmp_path / "store", SPEC)
    for order in (np.arange(7), np.arange(7)[::-1]):
        one(tracks.take(order), store).save(store)
        found = (store / "plan-0000.parquet").read_bytes()
        (store / "plan-0000.parquet").rename(store / f"{order[0]}.bytes")
    assert (store / "0.bytes").read_bytes() == found


def test_a_plan_survives_its_file(tracks, tmp_path):
    store = create(tmp_path / "store", SPEC)
    plan = one(tracks, store, salvage=True)
    plan.save(store)
    again = Plan.load(store, 0)
    for name in ("track_id", "path", "size", "mtime_ns", "audio_hash", "reuse", "block"):
        np.testing.assert_array_equal(getattr(again, name), getattr(plan, name))
    assert (again.salvage, again.provenance) == (True, plan.provenance)
    assert {"numpy", "numba", "soxr", "decoder", "python"} <= set(plan.provenance)


def test_nothing_to_do_is_no_plan(tracks, tmp_path):
    nothing = tracks.take(np.array([], int))
    assert draw_up(nothing, {SPEC: create(tmp_path / "store", SPEC)}) == {}


@given(st.lists(st.integers(-1, 10**8), min_size=1, max_size=700), st.booleans())
def test_blocks_are_full_but_never_too_full(sizes, whole_tracks):
    policy = SegmentPolicy("all" if whole_tracks else "first", 29.0)
    spec = FeatureSpec.logmel(segments=policy)
    blocks = _consecutive(expected_bytes(spec, np.array(sizes)))
    assert blocks[0] == 0
    assert set(np.diff(blocks)) <= {0, 1}
    counts = np.bincount(blocks)
    assert counts.max() <= min(BLOCK_TRACKS[1], max(BLOCK_TRACKS[0], -(-len(sizes) // 16)))
    if not whole_tracks:
        assert (counts * spec.n_bytes <= BLOCK_BYTES).all()
        assert len(set(counts[:-1])) <= 1


def test_a_large_plan_has_blocks_of_256_tracks_or_64_mib():
    sizes = np.full(10_000, 10**6)
    assert np.bincount(_consecutive(expected_bytes(SPEC, sizes))).max() == 256
    finer = FeatureSpec.logmel(n_mels=128, hop_length=128)
    assert np.bincount(_consecutive(expected_bytes(finer, sizes))).max() == BLOCK_BYTES // (
        128 * 2719 * 2
    )


def test_only_a_regular_file_has_a_stamp(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(bytes(5))
    assert stamp_of(str(path)) == (5, path.stat().st_mtime_ns)
    for nothing in (tmp_path, tmp_path / "absent", tmp_path / "a\0b", ""):
        assert stamp_of(str(nothing)) == (-1, -1)


KIB = 1024


@pytest.fixture
def small_disk():
    """A file system of 128 KiB; not below pytest's own folder, which is removed with all in it."""
    place = Path(tempfile.mkdtemp(prefix="matt-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        place.rmdir()
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # maps may still be open
    place.rmdir()


@pytest.fixture
def tracks_disk(tmp_path):
    return table([write(tmp_path / f"{i}.wav", seed=i) for i in range(9)])


def test_a_disk_that_fills_up_stops_the_run_and_loses_nothing(tracks_disk, small_disk, tmp_path):
    extract(tracks_disk, SPEC_disk_module, tmp_path / "whole", workers=1, extractor=light)
    whole, store = digests(tmp_path / "whole"), small_disk / "store"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(96 * KIB))  # the values fit in what is left, but not all tables do
    with pytest.raises(DataError, match=r"No space left on device\); free some space and run"):
        extract(tracks_disk, SPEC_disk_module, store, workers=1, extractor=light)
    assert digests(store).items() <= whole.items()
    assert len(digests(store)) > 1
    ballast.unlink()
    extract(tracks_disk, SPEC_disk_module, store, workers=1, extractor=light)
    assert digests(store) == whole


def test_what_cannot_fit_is_refused_before_anything_is_decoded(tracks_disk, small_disk):
    """Nine log-mels of 96 x 1360 in float16 are 2.35 MB."""
    with pytest.raises(
        DataError, match=r"store needs 0\.00235 GB .*, but only 0\.000\d+ GB are fr"
    ):
        extract(tracks_disk, FeatureSpec.logmel(), small_disk / "store", extractor=forbidden)
    assert list(digests(small_disk / "store")) == ["spec.json"]


def test_stores_on_one_disk_are_counted_together(tracks_disk, small_disk):
    """Each of two would fit: nine times 9,504 bytes are 86 kB."""
    short = SegmentPolicy("first", 0.4)
    stores = {
        FeatureSpec.logmel(sr=sr, n_fft=256, hop_length=64, n_mels=99, segments=short): sr
        for sr in (7_600, 7_616)
    }
    assert {spec.n_bytes for spec in stores} == {2 * 99 * 48}
    places = {spec: small_disk / str(sr) for spec, sr in stores.items()}
    with pytest.raises(DataError, match=r"needs 0\.000171 GB"):
        extract_all(tracks_disk, places, extractor=forbidden)


def test_a_guess_refuses_nothing(tracks_disk, small_disk):
    """As many segments as a file is long: only decoding tells how many."""
    spec = FeatureSpec.logmel(
        sr=8_000, n_fft=256, hop_length=64, n_mels=31, segments=SegmentPolicy("all", 0.5, hop=0.02)
    )
    with pytest.raises(DataError, match="No space left on device"):
        extract(tracks_disk, spec, small_disk / "store", workers=1, extractor=light)
