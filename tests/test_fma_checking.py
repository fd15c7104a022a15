"""Known counts of FMA and faults of its clips: that they agree, and how they are counted."""

import numpy as np
import pytest

from matt import DataError, Tracks
from matt.datasets import fma
from matt.datasets.fma import checking
from matt.datasets.fma.checking import KINDS, MEDIUM_GENRES, TAILS, TYPED_TAILS, fault_ids


def test_the_expected_counts_agree_with_each_other():
    """Columns sum to the splits, tails follow from the table."""
    assert tuple(map(sum, zip(*MEDIUM_GENRES.values(), strict=True))) == (19_922, 2_505, 2_573)
    for fewer, n in TAILS.items():
        assert sum(test for train, _, test in MEDIUM_GENRES.values() if train < fewer) == n
    for names, n in TYPED_TAILS.values():
        assert sum(MEDIUM_GENRES[name][2] for name in names) == n


def made(train, test, genres, artist):
    """Tracks of which `train` and `test` of each genre, albums of two tracks."""
    label = np.repeat(np.tile(np.arange(len(genres)), 2), [*train, *test])
    split = np.repeat(["training", "test"], [sum(train), sum(test)])
    n = len(label)
    album = np.arange(n) // 2
    columns = {"genre_top": np.array(genres)[label]}
    return Tracks(
        np.arange(n), label, genres, split=split, album_id=album, artist_id=artist(n), columns=columns
    )  # fmt: skip


def found(lines):
    return {line.what: line.found for line in lines}


def test_tails_are_counted_by_training_tracks_and_by_name():
    genres = ("Blues", "International", "Jazz", "Rock")
    tracks = made((90, 120, 150, 200), (5, 3, 7, 11), genres, lambda n: np.ones(n, int))
    lines = found(checking._bag_lines(tracks))
    assert lines["test tracks of genres below 100 training tracks"] == "5"
    assert lines["test tracks of genres below 200 training tracks"] == "15"
    assert lines["test tracks of the genres typed in as below 100 (fault typed_tail)"] == "8"
    assert lines["FMA-medium, test bags (album, artist)"] == "13"  # 26 tracks
    assert lines["FMA-medium, training bags (album, artist, genre)"] == "280"  # 560 tracks


def test_mixed_albums_count_once_a_genre_in_training_and_once_in_test():
    tracks = made((3, 3), (1, 1), ("Folk", "Rock"), lambda n: np.ones(n, int))
    lines = found(checking._bag_lines(tracks))
    assert lines["FMA-medium, training bags (album, artist, genre)"] == "4"  # FF FR RR
    assert lines["FMA-medium, test bags (album, artist)"] == "1"  # FR


def test_artists_that_cross_splits_are_counted():
    tracks = made((4,), (4,), ("Rock",), lambda n: np.array([1, 2, -1, 3, 1, 2, -1, 4]))
    lines = found(checking._artist_lines(tracks, tracks.take(np.arange(4))))
    assert lines["FMA-medium, artists in more than one split"] == "2"
    assert lines["all tracks, artists in more than one split"] == "0"


@pytest.mark.slow
def test_a_simulated_fma_of_full_size_has_all_counts(tmp_path):
    from matt.datasets.fma.simulate import write_tree

    write_tree(tmp_path / "fma", n_tracks=106_574, features="none")
    fma.index(tmp_path / "fma")
    assert [line.what for line in fma.check(tmp_path / "fma") if not line.ok] == []


FAULTS = {fault.track_id: fault for fault in fma.known_faults()}


def test_ids_are_unique():
    assert len(FAULTS) == len(fma.known_faults()) == 168


def test_the_clips_of_fma_small_without_audio_are_there():
    """github.com/mdeff/fma/issues/44"""
    assert {FAULTS[i].kind for i in (99134, 108925, 133297)} == {"no audio"}


def test_clips_are_as_long_as_cutting_by_a_wrong_length_makes_them():
    """30 s from half the stated length less 15 s; a decoder may find up to 2 s more."""
    for fault in fma.known_faults():
        if fault.kind != "doubtful":
            start = fault.reported_seconds // 2 - 15
            left = min(max(fault.real_seconds - start, 0), 30)
            assert left - 0.1 <= fault.clip_seconds <= left + 2, fault
            assert (fault.clip_seconds == 0) == (fault.kind == "no audio")


def test_what_the_shared_table_of_fma_medium_lacks_are_these(shared_data):
    """Others extracted features from FMA-medium: 13 / 1 / 1 clips gave none, and two very short."""
    import pandas as pd

    there = pd.read_csv(shared_data / "fma_medium_tracks.csv.gz")["track_id"]
    assert not np.isin(fault_ids(["no audio", "doubtful"]), there).any()
    short = fault_ids(["short clip"])
    assert short[np.isin(short, there)].tolist() == [98565, 98567, 98569, 108924]
    assert len(there) == 25_000 - 15 - 2


def test_faulty_tracks_are_left_out_by_default():
    ids = np.array([2, 1486, 2624, 98565, 98566])
    tracks = Tracks(ids, [0] * 5, ("Rock",), split=["training", "test", "test", "training", "test"])
    assert fma.without_faults(tracks).track_id.tolist() == [2, 2624]
    assert fma.without_faults(tracks, KINDS).track_id.tolist() == [2]
    assert fma.without_faults(tracks, ["no audio"]).track_id.tolist() == [2, 2624, 98565, 98566]
    counts = fma.count_faults(tracks)
    assert [(f.kind, f.n, f.by_split, f.left_out) for f in counts] == [
        ("no audio", 1, (0, 0, 1), True),
        ("short clip", 2, (1, 0, 1), True),
        ("doubtful", 1, (0, 0, 1), False),
    ]
    assert counts[1].track_ids == (98565, 98566)
    with pytest.raises(DataError, match="did you mean 'no audio'"):
        fma.without_faults(tracks, ["no_audio"])
