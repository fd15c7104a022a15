"""Several ways to cut a file from one decode: each gets what it would get alone."""

import tracemalloc

import numpy as np
import pytest
from audio_files import SR, cut, flip, make, music, write
from hypothesis import given, settings
from hypothesis import strategies as st

from matt.audio import Cut, SegmentPolicy, read_cuts, read_segments
from matt.errors import AudioError

policies = st.builds(
    SegmentPolicy,
    st.sampled_from(["first", "middle", "all"]),
    duration=st.floats(0.2, 8),
    short=st.sampled_from(["pad", "tile", "keep"]),
)
cuts = st.lists(
    st.builds(Cut, st.sampled_from([None, 7_000, SR]), policies), min_size=1, max_size=4
)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return write(tmp_path_factory.mktemp("long") / "a.flac", music(17.3))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Damage in the middle, which only decoding shows, and the end is missing."""
    path = write(tmp_path_factory.mktemp("damaged") / "a.flac", music(17.3))
    return cut(flip(path, 0.4, 300), 0.8)


def together(path, wanted, **options):
    damages = []
    found = [[] for _ in wanted]
    for number, segment in read_cuts(path, wanted, damages=damages, **options):
        found[number].append(segment)
    return found, damages


def assert_as_alone(path, wanted, **options):
    found, damages = together(path, wanted, **options)
    for one, segments, damage in zip(wanted, found, damages, strict=True):
        alone = []
        expected = read_segments(path, sr=one.sr, policy=one.policy, damages=alone, **options)
        for segment, other in zip(segments, expected, strict=True):
            assert (segment.start, segment.sr) == (other.start, other.sr)
            np.testing.assert_array_equal(segment.samples, other.samples)
        assert [damage] == (alone or [None])


@settings(max_examples=30)
@given(wanted=cuts)
def test_each_gets_what_it_would_get_alone(long, wanted):
    assert_as_alone(long, wanted)


@settings(max_examples=20)
@given(wanted=cuts)
def test_so_it_does_of_a_salvaged_file_with_its_own_damage(damaged, wanted):
    assert_as_alone(damaged, wanted, on_damage="salvage")


def test_a_cut_that_has_all_it_needs_does_not_tell_of_damage_behind_it(damaged):
    short, whole = (Cut(None, SegmentPolicy("first", d)) for d in (1.0, 17.0))
    _, (early, late) = together(damaged, [short, whole], on_damage="salvage")
    assert not early.finished
    assert late.finished
    assert early.kept < late.kept


def test_an_error_of_one_ends_all(damaged):
    short, whole = (Cut(None, SegmentPolicy("first", d)) for d in (1.0, 17.0))
    with pytest.raises(AudioError, match="salvage"):
        together(damaged, [short, whole])


def test_memory_does_not_grow_with_the_file(tmp_path):
    """The same segments of a file that is eight times as long; a stream that is done is let go."""
    wanted = [
        Cut(None, SegmentPolicy("first", 2.0)),
        Cut(9_000, SegmentPolicy("all", 3.0)),
        Cut(None, SegmentPolicy("all", 5.0, hop=2.0)),
    ]
    peaks = []
    for seconds in (30, 240):
        path = make(tmp_path, ".wav", seconds)
        tracemalloc.start()
        for _ in read_cuts(path, wanted):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
