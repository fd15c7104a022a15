"""What is told of a training counts what the tables score, and nothing else."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_runs import explained, tracks
from scored import GENRES

from matt.bags import Bags
from matt.library.status import SURE
from matt.predictions import Predictions
from matt.reports import sections
from matt.reports.lines import LEARNABLE, lines_of
from matt.reports.subjects import tables_of
from matt.tracks import Tracks

ROUNDS = 50


def made_of(table, seed=0, skill=0.9, simple=0.3):
    bags = Bags.from_tracks(table, split="test")
    said = explained(bags, table, seed, skill)
    return {"test": said, "control-lr": explained(bags, table, seed + 50, simple)}


def told(table, made, **options):
    return lines_of(made, table, rounds=ROUNDS, **options)


def numbers(text):
    return [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?![\d%])", text)]


def by_hand(said):
    """Right, scored and sure albums, one after the other."""
    right = sure = right_and_sure = n = 0
    for logits, label in zip(said.logits.astype(float), said.labels.tolist(), strict=True):
        if label < 0:
            continue
        n += 1
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        hit = int(logits.argmax()) == label
        right += hit
        if shares.max() >= SURE:
            sure += 1
            right_and_sure += hit
    return right, n, sure, right_and_sure


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(0, 6))
def test_albums_are_counted_as_by_hand(seed, skill):
    table = tracks(seed)
    made = made_of(table, seed, skill)
    first, second, *_ = told(table, made).told
    right, n, sure, right_and_sure = by_hand(made["test"])
    assert numbers(first)[:2] == [right, n]
    if sure:
        assert f"f the {sure:,} album{'s' * (sure != 1)} it is sure of (50 % or more)" in second
        assert re.search(rf", {right_and_sure:,} (is|are) right", second)
    else:
        assert "t is sure (50 % or more) of no album" in second


def test_a_number_is_the_same_in_lines_tables_and_albums():
    table = tracks(3)
    made = made_of(table, 3, skill=0.7)
    said = made["test"].take(range(len(made["test"])))
    made["test"] = replace(said, logits=4 * said.logits)  # often sure, and not always right
    first, second, *_ = told(table, made).told
    rows = tables_of(made, rounds=ROUNDS)["scores"].to_json()["rows"]
    of_bags = {row["model"]: row for row in rows if row["unit"] == "bag"}
    row, always = of_bags["bag model"], of_bags["control: majority class"]
    right, n, others = numbers(first)
    assert n == row["n"]
    assert right == round(row["accuracy"] * n)
    assert others == round(always["accuracy"] * n)
    low, high = numbers(second)[:2]
    ends = row["95 % of accuracy"]
    assert [low, high] == [round(ends[end] * n) for end in ("low", "high")]
    assert low < right < high
    page = sections.albums(made["test"])
    listed = {kind: len(page[f"albums-{kind}"].rows) for kind in ("wrong", "unsure", "right")}
    assert sum(listed.values()) == n
    of_unsure = numbers(page["albums"])[-1]
    assert listed["right"] + of_unsure == right
    assert min(listed.values()) > 0
    assert "related genres" in page["albums"]  # which 'matt predict' lets agree
    column = [c.name for c in page["albums-right"].columns].index("how sure")
    sure = made["test"].probabilities.max(axis=1)
    assert {row[column] for row in page["albums-right"].shown()} <= {
        f"{100 * s:.0f} %" for s in sure
    }


def test_genres_are_found_as_they_are():
    table = tracks(1)
    made = made_of(table, 1)
    said = made["test"]
    never = GENRES[2]
    logits = said.logits.copy()
    logits[:, 2] = logits.min() - 5
    made["test"] = replace(
        said.take(range(len(said))), logits=logits, attention=None, segment_logits=None
    )
    third = told(table, made).told[2]
    learned = Bags.from_tracks(table, split="training").labelled()
    n = int((learned.labels == 2).sum())
    assert re.search(rf"[Nn]ever found: {never} \(from {n} albums?\)", third)
    assert third.endswith(", which are too few.") == (n < LEARNABLE)
    best = re.search(r"Found best: (\w+) \((\d+) of (\d+)\)", third)
    g = GENRES.index(best[1])
    known = said.labels == g
    assert int(best[3]) == known.sum()
    assert int(best[2]) == (known & (made["test"].best == g)).sum()


@pytest.mark.parametrize(
    ("skill", "simple", "said"),
    [
        (0.2, 5.0, "A simple model does as well: logistic regression, track by track, got"),
        (8.0, 0.0, r"The best simple model, logistic regression, track by track, got \d+\.$"),
    ],
)
def test_a_simple_model_that_does_as_well_is_named(skill, simple, said):
    table = tracks(2)
    made = made_of(table, 2, skill, simple)
    (line,) = [line for line in told(table, made).told if "simple model" in line]
    assert re.search(said, line)
    right = int((made["control-lr"].best == made["control-lr"].labels).sum())
    assert right in numbers(line)


def test_one_album_more_is_too_close_to_call():
    table = tracks(2)
    made = made_of(table, 2)
    said = made["test"]
    hit = int(np.flatnonzero(said.best == said.labels)[0])
    logits = said.logits.copy()
    logits[hit] = -logits[hit]
    made["control-lr"] = replace(said.take(range(len(said))), logits=logits)
    assert "too close to call" in told(table, made).told[3]


@pytest.mark.parametrize("skill", [-20.0, 9.0])
def test_what_is_worth_no_more_than_one_answer_is_weak(skill):
    table = tracks(4)
    made = made_of(table, 4, skill)
    found = told(table, made)
    right, _, always = numbers(found.told[0])
    assert found.weak == (right <= always) == (skill < 0)
    assert ("more" in found.told[0]) == (always > right)


def test_without_controls_and_of_baselines_nothing_is_compared():
    table = tracks(2)
    made = made_of(table, 2)
    assert len(told(table, {"test": made["test"]}).told) == 3
    assert len(told(table, made, model="lr").told) == 3


def test_one_artist_says_nothing_of_others():
    table = Tracks(
        np.arange(6), [0, 1, 0, 1, 0, 1], ("Folk", "Rock"), artist_id=[1, 1, 2, 2, 3, 3],
        album_id=np.arange(6), split=["training"] * 4 + ["test"] * 2,
    )  # fmt: skip
    bags = Bags.from_tracks(table, split="test")
    made = {"test": Predictions(bags, table.take([4, 5]), np.array([[1, 0], [0, 1]], np.float32))}
    first, second, _ = told(table, made).told
    assert first.startswith("2 of 2 albums by artists it had not heard were right")
    assert "one artist, which says nothing of others" in second


def test_hostile_names_are_shown_on_one_line():
    names = ("a\nb\x1b[31m", "x" * 400, *GENRES[2:])
    table = tracks(5, genres=names)
    for line in told(table, made_of(table, 5)).told:
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        assert len(line) < 400
