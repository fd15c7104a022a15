"""Decisions: on the disk when they are said, and damage costs one line."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matt.errors import ConfigError
from matt.review.decisions import Decisions, ReviewDecision, album_key

ONE = ReviewDecision("a", (1, 2), "accepted", ("Rock",), "Rock", 0.75, 10.0)
TWO = ReviewDecision("b", (3,), "changed", ("Füldú/Ünd", "\u202eJazz"), None, None, 11.0)
THREE = ReviewDecision("a", (1, 2), "rejected", (), "Rock", 0.75, 12.0)


@pytest.fixture(autouse=True)
def journals(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_JOURNALS", str(tmp_path / "journals"))


def test_what_was_decided_is_there_for_another_process(tmp_path):
    first, second = Decisions.open(tmp_path / "Music"), Decisions.open(tmp_path / "Music")
    assert second.latest() == {}
    for decision in (ONE, TWO, THREE):
        first.add(decision)
    assert second.latest() == {"a": THREE, "b": TWO}
    assert [*second.latest()] == ["b", "a"]  # the one made last is the last
    assert second.log() == [ONE, TWO, THREE]
    assert Decisions.open(tmp_path / "Other").latest() == {}


def test_undoing_goes_back_one_at_a_time_whoever_decided(tmp_path):
    first, second = Decisions.open(tmp_path), Decisions.open(tmp_path)
    first.add(ONE)
    second.add(TWO)
    first.add(THREE)
    assert second.undo_last() == THREE
    assert first.latest() == {"a": ONE, "b": TWO}
    assert first.undo_last() == TWO
    assert first.undo_last() == ONE
    assert first.undo_last() is None
    assert second.latest() == {}
    second.add(TWO)
    assert first.latest() == {"b": TWO}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_that_is_cut_off_anywhere_keeps_all_whole_lines(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "one.jsonl"
    whole = Decisions(path)
    ends = []
    for decision in (ONE, TWO, THREE):
        whole.add(decision)
        ends.append(path.stat().st_size)
    end = data.draw(st.integers(0, ends[-1]))
    path.write_bytes(path.read_bytes()[:end])
    left = Decisions(path)
    expected = [one for one, last in zip((ONE, TWO, THREE), ends, strict=True) if last - 1 <= end]
    assert left.log() == expected
    left.add(TWO)
    assert Decisions(path).log() == [*expected, TWO]
    assert Decisions(path).damaged <= 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_byte_costs_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "one.jsonl"
    for decision in (ONE, TWO, THREE):
        Decisions(path).add(decision)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = Decisions(path).log()
    assert len(found) >= 1  # of two, where the byte was the end of a line
    assert all(one in (ONE, TWO, THREE) for one in found)


def test_what_is_not_ours_is_passed_over_and_counted(tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"\xff\xfe\n00000000 {}\n" + b"[" * 100_000 + b"\n")
    found = Decisions(path)
    assert found.log() == []
    assert found.damaged == 3
    found.add(ONE)
    assert found.log() == [ONE]


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"verdict": "acepted"}, "did you mean 'accepted'"),
        ({"genres": ()}, "only 'rejected' has none"),
        ({"verdict": "rejected"}, "only 'rejected' has none"),
        ({"genres": ("",)}, "say 1 to 200 letters"),
        ({"genres": ("x" * 201,)}, "say 1 to 200 letters"),
        ({"genres": ("x",) * 21}, "at most 20"),
        ({"sure": 1.5}, "in \\[0, 1\\]"),
        ({"when": float("nan")}, "give seconds"),
        ({"track_ids": ("1",)}, "whole numbers"),
    ],
)
def test_what_cannot_be_decided_is_refused(wrong, match):
    with pytest.raises(ConfigError, match=match):
        replace(ONE, **wrong)


def test_a_key_differs_with_artist_title_and_folder():
    row = {"artist": "Ann", "album": "One", "title": None, "path": "/m/Ann/One"}
    others = [{"artist": "Bob"}, {"album": "Two"}, {"path": "/m/Ann/Two"}, {"artist": None}]
    keys = {album_key(row | other, "/m") for other in ({}, *others)}
    assert len(keys) == 5
    lone = {"artist": "Ann", "album": None, "title": "\udcff", "path": "/m/\udcff.mp3"}
    assert len(album_key(lone, "/m")) == 16
