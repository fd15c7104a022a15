"""Damaged bags: what is cut, taken away or mixed up, and that equal tracks are scored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reproduced import GENRES, data_of, results_of, said, tracks_of

from matt import Bags, Predictions
from matt.errors import DataError
from matt.evaluation.scores import score
from matt.reproduce import degradation
from matt.reproduce.degradation import (
    CONDITIONS,
    WHOLE,
    Condition,
    called,
    curves,
    cut,
    damaged,
    degradation_picture,
    degradation_table,
    mixed_up,
    regrouped,
    without_tags,
)
from matt.reproduce.measures import Bench, bench_of
from matt.reproduce.plan import Request

SIZES = st.lists(st.integers(1, 13), min_size=1, max_size=9)


def bags_of(sizes):
    n = sum(sizes)
    return Bags(10 + 3 * np.arange(n), np.append(0, np.cumsum(sizes)), np.zeros(len(sizes), int))


@given(SIZES, st.integers(1, 6), st.integers(0, 9))
def test_a_cut_bag_keeps_some_of_its_own_tracks(sizes, most, seed):
    bags = bags_of(sizes)
    small = cut(bags, most, rng=np.random.default_rng(seed))
    assert small.sizes.tolist() == [min(size, most) for size in sizes]
    for b in range(len(bags)):
        mine = bags.track_ids[bags.offsets[b] : bags.offsets[b + 1]]
        kept = small.track_ids[small.offsets[b] : small.offsets[b + 1]]
        assert set(kept) <= set(mine)
        assert (np.diff(kept) > 0).all()  # in the order of the bag, none twice


def test_every_track_of_a_bag_may_be_the_one_that_is_left():
    bags = bags_of([4])
    left = [cut(bags, 1, rng=np.random.default_rng(seed)).track_ids[0] for seed in range(60)]
    assert set(left) == set(bags.track_ids)


def test_a_cut_to_nothing_is_refused():
    with pytest.raises(DataError, match="cut to 1 or more"):
        cut(bags_of([2]), 0, rng=np.random.default_rng(0))


@given(SIZES, st.floats(0, 1), st.integers(0, 9))
def test_the_named_share_of_tracks_is_damaged(sizes, share, seed):
    bags = bags_of(sizes)
    whole = np.repeat(np.arange(len(sizes)), sizes)
    lost = without_tags(bags, share, rng=np.random.default_rng(seed))
    assert (lost == -1).sum() == round(share * sum(sizes))
    assert (lost[lost >= 0] == whole[lost >= 0]).all()
    mixed = mixed_up(bags, share, rng=np.random.default_rng(seed))
    assert np.bincount(mixed, minlength=len(sizes)).tolist() == list(sizes)
    assert (mixed != whole).sum() <= round(share * sum(sizes))


FOLK, ROCK = GENRES.index("Folk"), GENRES.index("Rock")
ALBUMS = np.repeat([0, 1, 2], [4, 3, 1])
TRACKS = tracks_of([FOLK] * 4 + [ROCK] * 4, ALBUMS)
TEST = Bags.from_tracks(TRACKS, by="album", split="test")


def by_vote(bags):
    """A model of bags that says what its first track is."""
    rows = TRACKS.rows(bags.track_ids[bags.offsets[:-1]])
    logits = np.full((len(bags), len(GENRES)), -9, np.float32)
    logits[np.arange(len(bags)), TRACKS.labels[rows]] = 0
    return Predictions(bags, TRACKS.take(TRACKS.rows(bags.track_ids)), logits)


def test_tracks_without_a_tag_are_alone():
    place = np.array([-1, 0, 0, -1, 1, 1, 1, 2])
    bags = regrouped(TRACKS, TEST, place)
    assert sorted(bags.sizes) == [1, 1, 1, 2, 3]
    assert set(bags.track_ids) == set(TEST.track_ids)
    assert (bags.train_counts == TEST.train_counts).all()


def test_every_condition_scores_the_same_tracks():
    made = dict(damaged(by_vote, TRACKS, TEST, seed=0))
    assert list(made) == [condition.part for condition in CONDITIONS]
    wanted = sorted(TEST.track_ids)
    for part, predictions in made.items():
        assert sorted(predictions.per_track().bags.track_ids) == wanted, part
        assert score(predictions, unit="track_of_bag").n == 8
    # Bags of one genre each lose nothing by being cut or by standing alone ...
    for condition in CONDITIONS:
        if condition.kind != "wrong":
            assert score(made[condition.part], unit="track_of_bag").accuracy == 1
    # ... but a bag that says what its first track is errs about those that came from elsewhere.
    assert score(made["wrong-100"], unit="track_of_bag").accuracy < 1


def test_a_cut_bag_speaks_for_all_its_tracks():
    made = dict(damaged(by_vote, TRACKS, TEST, seed=0))["cut-1"]
    assert made.bags.sizes.tolist() == TEST.sizes.tolist()
    assert len(made.per_track()) == len(TEST.track_ids)


def test_damage_is_drawn_by_the_seed():
    parts = [dict(damaged(by_vote, TRACKS, TEST, seed=s)) for s in (0, 0, 1)]
    told = [
        [(p.bags.track_ids.tolist(), p.bags.offsets.tolist()) for p in d.values()] for d in parts
    ]
    assert told[0] == told[1] != told[2]


def rows_of(*, wrong):
    whole = said(TRACKS, [[FOLK]] * 4 + [[ROCK]] * 4, by="album")
    worse = said(TRACKS, [[ROCK]] * 8, by="album")
    parts = {condition.part: whole for condition in CONDITIONS} | {WHOLE: whole}
    return parts | {wrong: worse}


def bench():
    made = {called("MLP+MIL"): rows_of(wrong="wrong-50")}
    return Bench(
        lambda feature_set, model, part: {"0": made[model][part]} if model in made else {},
        rounds=30,
    )


def test_the_table_says_what_damage_cost_and_what_was_not_run():
    made = curves(bench(), ["MLP+MIL", "MLP+MATT"], feature_set="1-9")
    table = degradation_table(made)
    rows = {row[:2]: row for row in table.rows}
    assert len(rows) == 2 * (1 + len(CONDITIONS))
    accuracy = [column.name for column in table.columns].index("accuracy")
    worse = rows["tracks with the tags of another: 50 %", "MLP+MIL"]
    assert worse[accuracy] == 0.5
    assert worse[accuracy + 2][0] == -0.5
    untouched = rows["tracks left of each bag, at most: 1", "MLP+MIL"]
    assert (untouched[accuracy], untouched[accuracy + 2]) == (1, (0, 0, 0))
    missing = rows["none: whole bags", "MLP+MATT"]
    assert np.isnan(missing[accuracy])
    assert missing[2] is None
    assert Condition("cut", 3).part == "cut-3"


@pytest.mark.parametrize("kind", ["cut", "missing", "wrong"])
def test_a_picture_has_a_line_a_model_from_whole_bags_on(kind):
    made = curves(bench(), ["MLP+MIL", "MLP+MATT"], feature_set="1-9")
    (ax,) = degradation_picture(made, kind).axes
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert ticks[-1 if kind == "cut" else 0] == ("all" if kind == "cut" else "0 %")
    lines = [line for line in ax.lines if len(line.get_xdata()) == len(ticks)]
    assert len(lines) == 2
    whole = np.asarray(lines[0].get_ydata(), float)[-1 if kind == "cut" else 0]
    assert whole == 1


def test_degradation_is_made_from_saved_cells(tmp_path):
    data = data_of(TRACKS, feature_sets=("mfcc",))
    rows = degradation.needs(data, Request(epochs=1))
    assert all(row.further is not None for row in rows)
    parts = rows_of(wrong="wrong-50")
    results = results_of(tmp_path, data, rows, {"every": {"test": parts[WHOLE], **parts}})
    made = degradation.make(results, bench_of(results, rounds=20), tmp_path)
    assert set(made.pictures) == {"damage_cut", "damage_missing", "damage_wrong"}
    assert len(made.tables["degradation"].rows) == 3 * (1 + len(CONDITIONS))
