"""What an album is given and which status that makes, over any tree of genres."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt.datasets.genres import Vocabulary
from matt.library.status import AGREES, DISAGREES, NEW, UNSURE, Above, status_of, summary

TREE = Vocabulary(parents={"Indie Rock": "Rock", "Punk": "Rock", "Hardcore": "Punk"})
GENRES = ("Hardcore", "Indie Rock", "Jazz", "Punk", "Rock")


@pytest.mark.parametrize(
    ("shares", "bar", "expected"),
    [
        ([0.6, 0.1, 0.1, 0.1, 0.1], 0.5, ("Hardcore", 0.6)),
        ([0.4, 0.1, 0.2, 0.2, 0.1], 0.5, ("Punk", 0.6)),
        ([0.3, 0.2, 0.3, 0.1, 0.1], 0.5, ("Rock", 0.7)),
        ([0.1, 0.1, 0.6, 0.1, 0.1], 0.7, ("Jazz", 0.6)),  # nothing stands above it
        ([0.3, 0.0, 0.2, 0.2, 0.3], 0.9, ("Hardcore", 0.3)),  # nor reaches Rock the bar
    ],
)
def test_the_lowest_genre_that_reaches_the_bar_is_given(shares, bar, expected):
    shares = np.array(shares)
    (name,), (together,) = Above(GENRES, TREE).surest(shares.argmax()[None], shares[None], bar=bar)
    assert (name, pytest.approx(together)) == expected


@given(
    counts=st.lists(
        st.lists(st.integers(1, 100), min_size=len(GENRES), max_size=len(GENRES)), max_size=7
    ),
    bar=st.floats(0.01, 0.99),
)
def test_what_is_given_is_the_lowest_that_reaches_the_bar_and_adds_up(counts, bar):
    shares = np.array([np.divide(row, sum(row)) for row in counts]).reshape(-1, len(GENRES))
    best = shares.argmax(axis=1)
    names, together = Above(GENRES, TREE).surest(best, shares, bar=bar)
    assert len(names) == len(together) == len(counts)
    for name, held, row, first in zip(names, together.tolist(), shares, best, strict=True):
        path = TREE.path(GENRES[first])
        sums = {
            above: min(row[[above in TREE.path(genre) for genre in GENRES]].sum(), 1.0)
            for above in path[:-1]
        } | {path[-1]: row[first]}
        reached = [above for above in path if sums[above] >= bar]
        assert name == (reached[-1] if reached else path[-1])
        assert held == sums[name]


@given(
    tags=st.lists(st.sampled_from((*GENRES, "Polka")), max_size=3, unique=True),
    answer=st.sampled_from(GENRES),
    sure=st.booleans(),
    fair=st.booleans(),
)
def test_each_album_has_the_one_status_that_its_definition_says(tags, answer, sure, fair):
    above = Above(GENRES, TREE)
    found = status_of(tags, [answer], sure=sure, fair=fair, above=above)
    near = {*TREE.path(answer)} | {g for g in GENRES if answer in TREE.path(g)}
    foreign = bool(tags) and {*tags} == {"Polka"}
    assert found["tag_unknown"] == foreign
    assert (found["status"] == NEW) == (not tags)
    assert (found["status"] == AGREES) == bool(near & {*tags})
    if found["status"] == DISAGREES:
        assert (sure, fair, foreign) == (True, True, False)
        assert not near & {*tags}
    if found["status"] == UNSURE:
        assert foreign or not sure or not fair


def test_a_tag_below_or_above_the_answer_agrees_and_a_sibling_does_not():
    def told(tag, answer):
        return status_of([tag], [answer], sure=True, fair=True, above=Above(GENRES, TREE))["status"]

    assert told("Rock", "Hardcore") == told("Hardcore", "Rock") == AGREES
    assert told("Indie Rock", "Punk") == DISAGREES


def test_the_summary_names_what_there_is_in_the_order_of_what_to_do():
    rows = [{"status": s} for s in (AGREES, UNSURE, NEW, DISAGREES, NEW)]
    assert summary(rows) == "2 new (no genre yet), 1 disagrees with its tag, 1 unsure, 1 agrees"
    assert summary([]) == ""
