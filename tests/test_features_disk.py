"""A disk that is too small is told before the start; one that fills up stops a run cleanly."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from extraction import SPEC, digests, forbidden, light, table, write

from matt import DataError
from matt.audio import SegmentPolicy
from matt.features.extract import extract, extract_all
from matt.features.spec import FeatureSpec

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
def tracks(tmp_path):
    return table([write(tmp_path / f"{i}.wav", seed=i) for i in range(9)])


def test_a_disk_that_fills_up_stops_the_run_and_loses_nothing(tracks, small_disk, tmp_path):
    extract(tracks, SPEC, tmp_path / "whole", workers=1, extractor=light)
    whole, store = digests(tmp_path / "whole"), small_disk / "store"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(96 * KIB))  # the values fit in what is left, but not all tables do
    with pytest.raises(DataError, match=r"No space left on device\); free some space and run"):
        extract(tracks, SPEC, store, workers=1, extractor=light)
    assert digests(store).items() <= whole.items()
    assert len(digests(store)) > 1
    ballast.unlink()
    extract(tracks, SPEC, store, workers=1, extractor=light)
    assert digests(store) == whole


def test_what_cannot_fit_is_refused_before_anything_is_decoded(tracks, small_disk):
    """Nine log-mels of 96 x 1360 in float16 are 2.35 MB."""
    with pytest.raises(
        DataError, match=r"store needs 0\.00235 GB .*, but only 0\.000\d+ GB are fr"
    ):
        extract(tracks, FeatureSpec.logmel(), small_disk / "store", extractor=forbidden)
    assert list(digests(small_disk / "store")) == ["spec.json"]


def test_stores_on_one_disk_are_counted_together(tracks, small_disk):
    """Each of two would fit: nine times 9,504 bytes are 86 kB."""
    short = SegmentPolicy("first", 0.4)
    stores = {
        FeatureSpec.logmel(sr=sr, n_fft=256, hop_length=64, n_mels=99, segments=short): sr
        for sr in (7_600, 7_616)
    }
    assert {spec.n_bytes for spec in stores} == {2 * 99 * 48}
    places = {spec: small_disk / str(sr) for spec, sr in stores.items()}
    with pytest.raises(DataError, match=r"needs 0\.000171 GB"):
        extract_all(tracks, places, extractor=forbidden)


def test_a_guess_refuses_nothing(tracks, small_disk):
    """As many segments as a file is long: only decoding tells how many."""
    spec = FeatureSpec.logmel(
        sr=8_000, n_fft=256, hop_length=64, n_mels=31, segments=SegmentPolicy("all", 0.5, hop=0.02)
    )
    with pytest.raises(DataError, match="No space left on device"):
        extract(tracks, spec, small_disk / "store", workers=1, extractor=light)
