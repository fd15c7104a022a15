"""How often the model was right when a person decided, against counting it by hand."""

import math
from itertools import pairwise
from statistics import NormalDist

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib import pyplot

from matt.evaluation import style
from matt.review.curve import (
    BIAS,
    RECENT,
    curve,
    curve_picture,
    curve_table,
    in_words,
    was_right,
)
from matt.review.decisions import ReviewDecision

NAMES = ("Rock", "Hip-Hop", "R&B")
SPELLED = {"Rock": ("rock", "ROCK "), "Hip-Hop": ("hip hop", "HIP-HOP"), "R&B": ("r and b", "R & B")}  # fmt: skip


def decided(verdict, genres=(), said="Rock"):
    return ReviewDecision(
        "a", (1,), verdict, tuple(genres), said, None if said is None else 0.5, 0.0
    )


def points_at(n):
    """The curve of so many decisions, every third of which was right."""
    return curve(decided("changed", ["Jazz" if i % 3 else "Rock"]) for i in range(n))


spelled = st.sampled_from(NAMES).flatmap(lambda name: st.sampled_from((name, *SPELLED[name])))
said = st.none() | spelled
some_genres = st.lists(spelled, min_size=1, max_size=3)
decisions = st.lists(
    st.builds(decided, st.sampled_from(["accepted", "changed"]), some_genres, said)
    | st.builds(decided, st.just("kept"), st.just([]) | some_genres, said)
    | st.builds(decided, st.just("rejected"), said=said),
    max_size=120,
)


def plain(name):
    """The genre that a spelling is of."""
    return next(genre for genre in NAMES if name in (genre, *SPELLED[genre]))


def by_hand(some):
    """Right, wrong or unknown of each decision, from the words of the module alone."""
    for one in some:
        if one.said is None or (one.verdict == "kept" and not one.genres):
            continue
        yield one.verdict != "rejected" and plain(one.said) in {plain(g) for g in one.genres}


def wilson(hits, n):
    """The formula of the textbooks, for 95 %."""
    z, share = NormalDist().inv_cdf(0.975), hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half


@given(decisions)
@example([decided("accepted", ["Rock"])] * (2 * RECENT))
def test_each_point_counts_all_decisions_until_then(some):
    right = list(by_hand(some))
    points = curve(some, most=len(some) + 1)
    assert [point.n for point in points] == [*range(1, len(right) + 1)]
    for point in points:
        until = right[: point.n]
        assert point.right == sum(until)
        assert point.share == sum(until) / len(until)
        ends = (point.low, point.high)
        assert ends == pytest.approx(wilson(sum(until), len(until)), abs=1e-9)
        assert 0 <= point.low <= point.share <= point.high <= 1
        if len(until) < RECENT:
            assert math.isnan(point.recent)
        else:
            assert point.recent == sum(until[-RECENT:]) / RECENT


@given(st.integers(0, 400), st.integers(1, 130))
@example(7, 1)
def test_of_many_decisions_some_points_at_equal_distances_are_left_and_the_last_is_one(n, most):
    some = [decided("accepted", ["Rock"])] * n
    points = curve(some, most=most)
    every = {point.n: point for point in curve(some, most=n + 1)}
    assert len(points) == min(most, n)
    assert [point.right for point in points] == [every[point.n].right for point in points]
    if n:
        assert points[-1].n == n
        steps = [after.n - before.n for before, after in pairwise(points)]
        assert max(steps, default=1) - min(steps, default=1) <= 1


def test_who_rejects_says_that_the_model_was_wrong():
    assert was_right(decided("rejected")) is False
    assert [point.right for point in curve([decided("rejected")] * 3)] == [0, 0, 0]


@pytest.mark.parametrize(
    "unknown",
    [
        decided("accepted", ["Rock"], said=None),
        decided("changed", ["Rock"], said=None),
        decided("rejected", said=None),
        decided("kept"),
    ],
)
def test_what_nobody_knows_is_left_out(unknown):
    assert was_right(unknown) is None
    assert curve([unknown]) == ()
    one = decided("accepted", ["Rock"])
    assert [point.n for point in curve([unknown, one, unknown, one])] == [1, 2]


def test_one_of_several_genres_is_right_and_a_part_of_a_name_is_not():
    assert was_right(decided("changed", ["Jazz", "rock"])) is True
    assert was_right(decided("changed", ["Rock; Jazz"])) is False
    assert was_right(decided("changed", ["Indie Rock"])) is False


# ---- as people see it ----


@pytest.mark.parametrize("n", [0, 1, 2, 9, 10, 11, RECENT - 1, RECENT, RECENT + 1, 250])
def test_the_table_ends_with_the_last_point_and_has_few_rows(n):
    points = points_at(n)
    table = curve_table(points)
    assert table.notes == (BIAS,)
    assert len(table.rows) == (n if n <= 10 else len(table.rows)) <= 10
    known = {(point.n, point.right, point.share) for point in points}
    assert {row[:3] for row in table.rows} <= known
    if n:
        assert table.rows[-1][:4] == (n, points[-1].right, points[-1].share, (points[-1].low, points[-1].high))  # fmt: skip
    assert len(table.shown()) == len(table.to_json()["rows"]) == len(table.rows)


@pytest.mark.parametrize("n", [0, 1, 2, RECENT, RECENT + 1, 250])
def test_the_picture_shows_the_points_there_are(n):
    points = points_at(n)
    figure = curve_picture(points)
    try:
        (pane,) = figure.axes
        lines = {line.get_label(): line for line in pane.lines}
        assert len(lines) == (n > 0) + (n > RECENT)
        assert pane.get_ylim() == (0, 1)
        told = [text.get_text() for text in pane.texts]
        assert told == ([] if n else ["no decision yet says whether matt was right"])
        for label, line in lines.items():
            assert line.get_xdata().tolist() == [point.n for point in points]
            mine = [point.recent if f"{RECENT}" in label else point.share for point in points]
            assert line.get_ydata().tolist() == pytest.approx(mine, nan_ok=True)
        if n == 1:  # a line of one point would not be seen
            assert [line.get_marker() for line in lines.values()] == ["o"]
        assert style.png(figure).startswith(b"\x89PNG")
    finally:
        pyplot.close(figure)


@pytest.mark.parametrize("n", [0, 1, 2, RECENT, 2 * RECENT - 1, 2 * RECENT, 1500])
def test_the_sentence_tells_the_last_point(n):
    points = points_at(n)
    told = in_words(points)
    if not n:
        assert told == ""
        return
    last = points[-1]
    assert told.startswith(f"Of the {n:,} that {'tells' if n == 1 else 'tell'}, ")
    assert f"matt had said {last.right:,} as you decided" in told
    low, high = wilson(last.right, n)
    assert f"({100 * low:.0f} to {100 * high:.0f} %)" in told
    # A share of the last ones differs from that of all only where there are many more.
    recent = sum(i % 3 == 0 for i in range(n - RECENT, n))
    assert (f"of the last {RECENT}, {recent}." in told) == (n >= 2 * RECENT)
