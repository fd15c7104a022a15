"""Known faults of FMA's clips."""

import numpy as np
import pytest

from matt import DataError, Tracks
from matt.datasets import fma
from matt.datasets.fma.checking import KINDS, fault_ids

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
