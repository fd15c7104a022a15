"""Which albums are asked for, against what a reader would say of each file."""

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import ConfigError, Tracks
from matt.datasets.folder import Scan
from matt.library.selection import Selection, _Patterns, since

FILES = ("Jazz/Miles/01.mp3", "Jazz/Miles/02.flac", "Rock/Live/01.mp3", "Rock/a.MP3", "b.flac")
NOW = datetime(2026, 11, 29, 12)


def scanned(*, labels=(-1, 0, -1, -1, 1), days=(9, 1, 9, 9, 0)):
    """An album of two tracks of which one is tagged, one of two without, and a lone track."""
    root = Path(os.path.abspath("/music"))
    times = [(NOW - timedelta(days=d)).timestamp() * 1e9 for d in days]
    tracks = Tracks(
        np.arange(5), np.array(labels), ("Jazz", "Rock"), artist_id=[1, 1, 2, 2, -1],
        album_id=[1, 1, 2, 2, -1], path=[os.path.join(root, *file.split("/")) for file in FILES],
        columns={"mtime_ns": np.array(times, np.int64)},
    )  # fmt: skip
    return Scan(tracks, (), {}, root=root)


def chosen(selection, found=None):
    return selection.of(found or scanned()).tracks.track_id.tolist()


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["Jazz"], [0, 1]),  # a folder, and all in it
        (["Jazz/*"], [0, 1]),
        (["jazz/miles/"], [0, 1]),  # letter case does not matter
        (["*.mp3"], [0, 2, 3]),
        (["Live"], [2]),  # a name anywhere
        (["Rock/Live"], [2]),
        (["Miles/01.mp3"], []),  # with a slash it begins at the root
        (["01.*", "b.flac"], [0, 2, 4]),
        (["Jaz"], []),
    ],
)
def test_patterns_name_files_and_folders(only, expected):
    assert chosen(Selection(only=tuple(only))) == expected
    rest = [i for i in range(5) if i not in expected]
    assert chosen(Selection(exclude=tuple(only))) == rest


@given(st.lists(st.text("ab/*?[", min_size=1).filter(lambda p: p.strip("/")), min_size=1))
def test_several_patterns_are_each_of_them(patterns):
    for path in ("a/b/ab", "b", "ab/a"):
        assert _Patterns(patterns).match(path) == any(_Patterns([p]).match(path) for p in patterns)
    assert not _Patterns([]).match("a")


def test_an_album_is_untagged_if_none_of_its_tracks_names_a_genre():
    assert chosen(Selection(untagged=True)) == [2, 3]
    assert chosen(Selection(disagree=True)) == [0, 1, 4]  # only these have what may be contradicted
    assert chosen(Selection(untagged=True), scanned(labels=(0, 0, 1, 1, 1))) == []


def test_an_album_is_as_new_as_its_newest_file_and_no_time_counts_as_new():
    assert chosen(Selection(since=NOW - timedelta(days=2))) == [0, 1, 4]
    assert chosen(Selection(since=NOW - timedelta(days=30))) == [0, 1, 2, 3, 4]
    found = scanned()
    times = found.tracks.columns["mtime_ns"].copy()
    times[3] = 0
    timeless = replace(found.tracks, columns={"mtime_ns": times})
    assert chosen(Selection(since=NOW), replace(found, tracks=timeless)) == [2, 3, 4]


def test_only_what_disagrees_is_kept_once_that_is_known():
    rows = [{"status": "new"}, {"status": "disagrees"}]
    assert Selection(disagree=True).rows(rows) == rows[1:]
    assert Selection().rows(rows) == rows


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ConfigError, match="give untagged or disagree"):
        Selection(untagged=True, disagree=True)
    with pytest.raises(ConfigError, match="exclude has an empty pattern"):
        Selection(exclude=("/",))


def test_a_time_is_a_date_or_how_long_ago():
    assert since("2026-11-01T10:30", now=NOW) == datetime(2026, 11, 1, 10, 30)
    assert since(" 2W ", now=NOW) == NOW - timedelta(weeks=2)
    assert since("99999w", now=NOW) < datetime(1980, 1, 1)
    assert since("2026-11-01T00:00+02:00", now=NOW).utcoffset() == timedelta(hours=2)
    for wrong in ("yesterday", "7", "", "2026-13-01"):
        with pytest.raises(ConfigError, match="which is no time"):
            since(wrong, now=NOW)
    with pytest.raises(ConfigError, match="yet to come"):
        since("2026-12-24", now=NOW)


def test_a_time_is_no_text():
    with pytest.raises(ConfigError, match="since is '7d'"):
        Selection(since="7d")
