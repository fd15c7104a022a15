"""What would teach most: the order is that of taking the best again and again, and says why."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matt.errors import DataError
from matt.review.albums import PAGE, TEACHES, Albums, AskedAlbums
from matt.review.decisions import ReviewDecision
from matt.review.teaching import in_turn, labelled_albums, next_to_label, worth
from tests.review_library import a_row, large_library

GENRES = ("Folk", "Jazz", "Rock")
artists = st.sampled_from(["Ann", "ann", "Bob", "", "Cy"])
shares = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)


@st.composite
def libraries(draw):
    """Rows, their keys, and decisions about some of them."""
    rows, decisions = [], {}
    for number in range(draw(st.integers(0, 11))):
        given = np.array(draw(shares))
        likely = sorted(
            zip(GENRES, (given / given.sum()).tolist(), strict=True), key=lambda one: -one[1]
        )
        status = draw(st.sampled_from(["new", "disagrees", "unsure", "agrees"]))
        tagged = None if status == "new" else draw(st.sampled_from(GENRES))
        row = a_row([f"/m/{number}.mp3"], draw(artists), f"Album {number}", tagged, status, likely)
        rows.append(row)
        if draw(st.booleans()):
            verdict = draw(st.sampled_from(["accepted", "changed", "rejected", "kept"]))
            genres = () if verdict == "rejected" else (draw(st.sampled_from(GENRES)),)
            decisions[str(number)] = ReviewDecision(
                str(number), (number,), verdict, genres, "Rock", 0.5, 0.0
            )
    return rows, [str(number) for number in range(len(rows))], decisions


def taken_one_by_one(rows, keys, decisions):
    """The best of those that are left, again and again, each as if it were decided then."""
    decided = Counter(
        row["artist"].lower()
        for row, key in zip(rows, keys, strict=True)
        if row["artist"] and key in decisions
    )
    left, order = [row for row, key in enumerate(keys) if key not in decisions], []
    while left:

        def value(row):
            one, artist = rows[row], rows[row]["artist"].lower()
            two = [each["probability"] for each in one["top"][:2]]
            known = decided[artist] if artist else 0
            return one["status"] == "agrees", -(1 - (two[0] - two[1])) / (1 + known), row

        best = min(left, key=lambda row: (value(row)[0], round(value(row)[1], 9), row))
        order.append((best, -value(best)[1]))
        decided[rows[best]["artist"].lower()] += bool(rows[best]["artist"])
        left.remove(best)
    return order


@given(libraries())
@settings(max_examples=200, deadline=None)
def test_the_order_is_that_of_taking_the_best_again_and_again(library):
    found, expected = next_to_label(*library), taken_one_by_one(*library)
    assert sorted(one.row for one in found) == sorted(row for row, _ in expected)
    np.testing.assert_allclose([one.worth for one in found], [value for _, value in expected])
    rows = library[0]
    # Ties may stand either way where sums differ in the last bit.
    if len({round(value, 9) for _, value in expected}) == len(expected):
        assert [one.row for one in found] == [row for row, _ in expected]
    last = [rows[one.row]["status"] == "agrees" for one in found]
    assert last == sorted(last)
    assert next_to_label(*library, most=3) == found[:3]


@given(libraries())
@settings(max_examples=50, deadline=None)
def test_reasons_tell_the_numbers(library):
    rows, keys, decisions = library
    counts = labelled_albums(rows, keys, decisions)
    by_hand = Counter()
    for row, key in zip(rows, keys, strict=True):
        decision = decisions.get(key)
        told = (
            [row["tagged"]] if decision is None or decision.verdict == "kept" else decision.genres
        )
        by_hand.update(name.lower() for name in told if name)
    assert counts == by_hand
    for lesson in next_to_label(*library):
        first, second, _ = rows[lesson.row]["top"]
        unsure = first["probability"] - second["probability"] < 0.5
        assert (f"unsure between {first['genre']} and {second['genre']}" in lesson.reason) == unsure
        assert ("learned from already" in lesson.reason) == (rows[lesson.row]["status"] == "agrees")


def test_worth_grows_with_doubt_and_falls_with_what_is_known_of_the_artist():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.5, 0.5, 0.0]])
    n_albums = np.zeros(3, np.int64)
    fresh = worth(probabilities, n_albums, np.zeros(3, np.int64))
    assert (np.diff(fresh) > 0).all()
    assert fresh[2] == 1
    known = worth(probabilities, n_albums, np.array([1, 2, 3]))
    np.testing.assert_allclose(known, fresh / [2, 3, 4])
    rare = worth(probabilities[:1], np.array([0, 5, 0]), np.zeros(1, np.int64), by_genre=True)
    common = worth(probabilities[:1], np.array([80, 5, 0]), np.zeros(1, np.int64), by_genre=True)
    assert rare > common


@given(st.integers(0, 3), st.integers(0, 2))
def test_worth_of_nothing_and_of_one_genre(b, n_genres):
    found = worth(np.ones((b, n_genres)), np.zeros(n_genres, np.int64), np.zeros(b, np.int64))
    assert found.shape == (b,)
    assert ((found >= 0) & (found <= 1)).all()


def test_nothing_is_asked_twice_of_an_unknown_artist():
    """Albums without an artist are of no common one: none makes another worth less."""
    assert in_turn(np.array([0.9, 0.8]), [0, 1], [0, 0]) == [(0, 0.9), (1, 0.8)]


def test_keys_are_those_of_the_rows():
    with pytest.raises(DataError, match="1 rows have 0 keys"):
        next_to_label([{}], [], {})


# ---- as a page lists it ----


@given(libraries())
@settings(max_examples=60, deadline=None)
def test_a_page_lists_what_is_open_in_that_order(library):
    rows, _, decided = library
    albums, asked = Albums(rows, Path("/m")), AskedAlbums(TEACHES)
    of_name = {album.name: album for album in albums.all}
    decisions = {
        of_name[rows[int(key)]["album"]].key: decision for key, decision in decided.items()
    }
    listed = albums.listed(asked, decisions)
    reasons = albums.reasons(albums.all, decisions)
    assert [album.key for album in listed] == [*reasons][:PAGE]
    assert not set(reasons) & set(decisions)
    for before, after in pairwise(listed):
        assert albums.after(before.key, asked, decisions) is after
        assert albums.after(after.key, asked, decisions, step=-1) is before
    for album in albums.all:
        if album.key in decisions:  # from one that is decided it goes on with the best
            assert albums.left_after(album.key, asked, decisions) is (listed[0] if listed else None)


def test_a_decision_moves_the_other_albums_of_the_artist_back(tmp_path):
    likely = [("Rock", 0.5), ("Folk", 0.45), ("Jazz", 0.05)]
    surer = [("Rock", 0.6), ("Folk", 0.35), ("Jazz", 0.05)]
    rows = [
        a_row([tmp_path / f"{n}.mp3"], artist, f"Album {n}", None, "new", some, first=n)
        for n, (artist, some) in enumerate([("Ann", likely), ("Ann", likely), ("Bob", surer)])
    ]
    albums, asked = Albums(rows, tmp_path), AskedAlbums(TEACHES)
    assert [one.name for one in albums.listed(asked, {})] == ["Album 0", "Album 2", "Album 1"]
    first = albums.listed(asked, {})[0]
    decisions = {first.key: first.decided("accepted", (), 0.0)}
    assert [one.name for one in albums.listed(asked, decisions)] == ["Album 2", "Album 1"]
    last = albums.listed(asked, decisions)[1]
    assert "1 album of this artist is decided" in albums.reasons([last], decisions)[last.key]


def test_of_many_albums_a_page_is_listed(tmp_path):
    albums = large_library(tmp_path, 200).albums
    assert len(albums.listed(AskedAlbums(TEACHES), {})) == PAGE
    (found,) = albums.listed(AskedAlbums(TEACHES, "199"), {})  # also behind the first page
    assert found.name == "Album 199"
