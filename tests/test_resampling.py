import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import GENRES, TRAIN, catalogue, predictions, several_genres
from sklearn import metrics as sk

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.evaluation import tally as tally_module
from matt.evaluation.paired import paired_bootstrap, sign_flip
from matt.evaluation.probability import reliability
from matt.evaluation.resampling import bootstrap, draws, score_with_intervals
from matt.evaluation.scores import score
from matt.evaluation.tally import HEADLINE, Tally
from matt.evaluation.units import items_of
from matt.predictions import Predictions
from matt.tracks import Tracks

G = len(GENRES)
seeds = st.integers(0, 99)


@settings(max_examples=25)
@given(seeds, st.sampled_from(["bag", "spread"]), st.sampled_from([None, 0]))
def test_weighted_metrics_agree_with_scikit_learn(seed, unit, decimals):
    """With decimals=0 nearly all scores are tied."""
    some = predictions(catalogue(seed), seed, decimals=decimals)
    items = items_of(some, unit=unit)
    tally = Tally.of(items)
    counts = next(draws(tally.n_artists, 3, seed))[1:]
    found = tally.metrics(counts)
    for i, row in enumerate(counts):
        w = row[items.artist]
        y, best, p = items.labels, items.best, items.values
        present = np.unique(y[w > 0])
        told = {name: values[i] for name, values in found.items()}
        assert told["accuracy"] == pytest.approx(sk.accuracy_score(y, best, sample_weight=w))
        with warnings.catch_warnings():  # of genres that are predicted only, or weigh nothing
            warnings.simplefilter("ignore")
            recall = sk.recall_score(y, best, labels=range(G), average=None, sample_weight=w)
            f1 = sk.f1_score(y, best, labels=present, average="macro", sample_weight=w)
        assert told["balanced_accuracy"] == pytest.approx(recall[present].mean())
        assert told["macro_f1"] == pytest.approx(f1)
        rare = np.intersect1d(present, np.flatnonzero(TRAIN < 20))
        if rare.size:
            assert told["few_recall"] == pytest.approx(recall[rare].mean())
        truth = items.truth
        ap = sk.average_precision_score(truth, p, average="micro", sample_weight=w)
        assert told["micro_ap"] == pytest.approx(ap)
        ap = [sk.average_precision_score(truth[:, g], p[:, g], sample_weight=w) for g in present]
        assert told["macro_ap"] == pytest.approx(np.mean(ap))
        loss = sk.log_loss(y, p, labels=range(G), sample_weight=w)
        assert told["log_loss"] == pytest.approx(loss)
        squares = G * sk.mean_squared_error(truth, p, sample_weight=w)
        assert told["brier"] == pytest.approx(squares)
        times = np.repeat(np.arange(len(w)), w.astype(int))
        assert told["calibration_error"] == pytest.approx(reliability(p[times], truth[times]).error)
        if decimals is None:  # scikit-learn breaks ties by the order of the genres
            for k in (2, 3, 5):
                top = sk.top_k_accuracy_score(y, p, k=k, labels=range(G), sample_weight=w)
                assert told[f"top_{k}"] == pytest.approx(top)
                chosen = TRAIN[y] < 200
                top = sk.top_k_accuracy_score(
                    y[chosen], p[chosen], k=k, labels=range(G), sample_weight=w[chosen]
                )
                assert told[f"below_200_top_{k}"] == pytest.approx(top)


@pytest.mark.parametrize("unit", ["bag", "spread"])
@pytest.mark.parametrize(
    "some",
    [
        predictions(catalogue(3), decimals=1),
        predictions(catalogue(3), link="none"),
        predictions(several_genres(), link="sigmoid", decimals=1),
        predictions(catalogue(5), by="track"),
    ],
    ids=["ties", "no probabilities", "several genres", "lone tracks"],
)
def test_estimates_are_the_scores(some, unit):
    made, scores = bootstrap(some, unit=unit, rounds=3), score(some, unit=unit)
    for name in HEADLINE:
        assert made.estimates[name] == pytest.approx(getattr(scores, name), nan_ok=True), name
        assert np.isnan(made.estimates[name]) == (name in scores.reasons), name
    assert (made.unit, made.n, made.n_artists) == (scores.unit, scores.n, scores.n_artists)


def test_the_order_of_bags_and_the_size_of_blocks_change_nothing(monkeypatch):
    some = predictions(catalogue(4))
    order = np.random.default_rng(0).permutation(len(some))
    ours, theirs = bootstrap(some, rounds=31), bootstrap(some.take(order), rounds=31)
    monkeypatch.setattr(tally_module, "_CELLS", 97)
    blocks = bootstrap(some, rounds=31)
    for name in HEADLINE:
        np.testing.assert_allclose(theirs.rounds[name], ours.rounds[name])
        np.testing.assert_allclose(blocks.rounds[name], ours.rounds[name])
    other = bootstrap(some, rounds=31, seed=1)
    assert (other.rounds["accuracy"] != ours.rounds["accuracy"]).any()
    assert len(ours.rounds["accuracy"]) == len(blocks.rounds["accuracy"]) == 31


def copies(right, times, *, artists=True):
    """Artists with so many equal bags each, predicted right or wrong; two genres."""
    artist = np.repeat(np.arange(len(right)), times)
    n = len(artist)
    labels = artist % 2
    known = artist if artists else np.full(n, -1)
    tracks = Tracks(np.arange(n), labels, ("A", "B"), artist_id=known, split=["test"] * n)
    best = np.where(np.repeat(right, times), labels, 1 - labels)
    logits = np.eye(2, dtype=np.float32)[best]
    return Predictions(Bags.from_tracks(tracks, by="track"), tracks, logits)


def test_bags_of_an_artist_move_together():
    right = np.random.default_rng(2).random(23) < 0.6
    once, often = (bootstrap(copies(right, n), rounds=101) for n in (1, 7))
    np.testing.assert_allclose(often.rounds["macro_f1"], once.rounds["macro_f1"])
    assert often.n == 7 * once.n
    assert often.n_artists == once.n_artists == 23
    alone = bootstrap(copies(right, 7, artists=False), rounds=101)
    assert alone.n_artists == 7 * 23
    assert np.std(alone.rounds["accuracy"]) < 0.6 * np.std(once.rounds["accuracy"])


def test_tracks_without_artist_stay_with_their_bag():
    tracks = Tracks(np.arange(6), [0, 1, 0, 1, 0, 1], ("A", "B"), artist_id=[4, -1, -1, -1, -1, 4])
    bags = Bags([0, 1, 2, 3, 4, 5], [0, 2, 4, 5, 6], [0, 1, 0, 1], ("A", "B"))
    some = Predictions(bags, tracks, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]])
    assert items_of(some).artist.tolist() == [0, 1, 2, 0]
    assert items_of(some, unit="spread").artist.tolist() == [0, 0, 1, 1, 2, 0]


def test_intervals_cover_what_is_true_if_artists_are_what_moves():
    """An artist's six tracks are right with a chance of its own, .6 in the mean."""
    rng, covered = np.random.default_rng(1), {True: 0, False: 0}
    n_trials = 200
    for trial in range(n_trials):
        chance = np.repeat(rng.beta(1.2, 0.8, 60), 6)
        right = rng.random(len(chance)) < chance
        some = copies(right, 1)
        for artists in covered:
            known = np.repeat(np.arange(60), 6) if artists else np.full(360, -1)
            tracks = replace(some.tracks, artist_id=known)
            items = items_of(Predictions(some.bags, tracks, some.logits))
            low, high = bootstrap(items, rounds=199, seed=trial).interval("accuracy")
            covered[artists] += low <= 0.6 <= high
    assert 0.9 <= covered[True] / n_trials <= 0.985
    assert covered[False] / n_trials < 0.85  # tracks taken for independent


def test_intervals_come_with_the_scores():
    some = predictions(catalogue(6))
    scores = score_with_intervals(some, rounds=199, seed=3)
    assert (scores.rounds, scores.seed, scores.confidence) == (199, 3, 0.95)
    assert set(scores.intervals) >= set(HEADLINE) - set(scores.reasons)
    for name in ("accuracy", "macro_f1", "micro_ap", "log_loss"):
        low, high = scores.intervals[name]
        assert low < getattr(scores, name) < high
    narrow = score_with_intervals(some, rounds=199, seed=3, confidence=0.5).intervals
    assert scores.intervals["accuracy"][0] < narrow["accuracy"][0]
    assert score_with_intervals(some, rounds=0).intervals == {}


def test_where_there_is_no_interval():
    one_artist = copies(np.array([True]), 5)
    assert bootstrap(one_artist, rounds=7).intervals() == {}
    nothing = predictions(catalogue(2, unknown=1.0))
    assert bootstrap(nothing, rounds=7).intervals() == {}
    assert score_with_intervals(nothing, rounds=7).n == 0
    no_tail = bootstrap(predictions(catalogue(2)), rounds=7, fewer_than=2)
    assert np.isnan(no_tail.interval("tail_recall")).all()
    with pytest.raises(ConfigError, match="0 rounds of resampling"):
        bootstrap(one_artist, rounds=0)
    with pytest.raises(ConfigError, match="confidence 95 is no share"):
        bootstrap(one_artist, confidence=95)


def pair(seed=0, skills=(1.5, 1.5), **more):
    tracks = catalogue(seed, **more)
    return [predictions(tracks, i, skill=skill) for i, skill in enumerate(skills)]


@pytest.mark.parametrize("unit", ["bag", "spread"])
def test_a_model_does_not_differ_from_itself(unit):
    some = predictions(catalogue(1))
    made = paired_bootstrap(some, some, unit=unit, rounds=19)
    p = sign_flip(some, some, unit=unit, rounds=19)
    for name in set(HEADLINE):
        assert made.estimates[name] == 0
        assert made.interval(name) == (0, 0)
        assert p[name] == 1


def test_a_clearly_better_model_is_told_apart():
    good, bad = pair(skills=(4, 0.5), n_bags=101)
    made, p = paired_bootstrap(good, bad, rounds=499), sign_flip(good, bad, rounds=499)
    for name in ("accuracy", "macro_f1", "micro_ap", "macro_ap", "top_3"):
        assert made.interval(name)[0] > 0, name
        assert p[name] == 1 / 500, name
    assert made.interval("log_loss")[1] < 0  # lower is better
    assert p["log_loss"] == 1 / 500


def test_equal_models_are_not_told_apart_more_often_than_by_chance():
    p = [sign_flip(*pair(seed), rounds=99)["accuracy"] for seed in range(60)]
    assert np.mean(np.array(p) <= 0.1) < 0.25
    assert np.mean(np.array(p) <= 0.5) > 0.25


def test_differences_turn_their_sign_with_the_order_of_the_models():
    one, two = pair(2)
    there = paired_bootstrap(one, two, rounds=49)
    back = paired_bootstrap(two, one, rounds=49)
    for name in HEADLINE:
        assert back.estimates[name] == pytest.approx(-there.estimates[name])
        np.testing.assert_allclose(back.rounds[name], -there.rounds[name], atol=1e-12)
    flips = sign_flip(one, two, rounds=49), sign_flip(two, one, rounds=49)
    assert flips[0] == pytest.approx(flips[1], nan_ok=True)
    ours, theirs = (bootstrap(some, unit="spread", rounds=49) for some in (one, two))
    lone = ours.rounds["accuracy"] - theirs.rounds["accuracy"]
    np.testing.assert_allclose(there.rounds["accuracy"], lone)  # the same resamples


def test_sign_flips_by_hand():
    """Five artists, always right against always wrong: only all or no swaps differ as much."""
    good, bad = copies(np.ones(5, bool), 2), copies(np.zeros(5, bool), 2)
    p = sign_flip(good, bad, unit="track", rounds=8_000)
    assert p["accuracy"] == pytest.approx(2 / 2**5, abs=0.01)


def test_rows_and_genres_are_matched_by_id_and_name():
    one, two = pair(3)
    expected = paired_bootstrap(one, two, unit="bag", rounds=19)
    order = np.random.default_rng(5).permutation(G)
    genres = tuple(GENRES[g] for g in order)
    tracks = two.tracks.with_genres(genres)
    bags = Bags.from_tracks(tracks)
    labels = np.append(np.argsort(order), -1)[two.labels]
    bags = Bags(bags.track_ids, bags.offsets, labels, genres, TRAIN[order])
    moved = Predictions(bags, tracks, two.logits[:, order])
    moved = moved.take(np.random.default_rng(6).permutation(len(moved)))
    for unit in ("bag", "spread"):
        expected = paired_bootstrap(one, two, unit=unit, rounds=19)
        found = paired_bootstrap(one, moved, unit=unit, rounds=19)
        for name in HEADLINE:
            np.testing.assert_allclose(found.rounds[name], expected.rounds[name], atol=1e-12)


def test_a_track_model_is_compared_track_by_track():
    tracks = catalogue(4)
    album, alone = predictions(tracks), predictions(tracks, by="track")
    made = paired_bootstrap(album, alone, rounds=9)
    ours, theirs = score(album, unit="spread"), score(alone)
    assert made.estimates["macro_f1"] == pytest.approx(ours.macro_f1 - theirs.macro_f1)
    with pytest.raises(DataError, match=r'in other bags .* use unit="spread"'):
        paired_bootstrap(album, alone, unit="bag")


def test_other_links_have_no_common_order():
    tracks = catalogue(4)
    soft, none = predictions(tracks), predictions(tracks, 1, link="none")
    made, p = paired_bootstrap(soft, none, rounds=9), sign_flip(soft, none, rounds=9)
    assert np.isnan([made.estimates["log_loss"], p["log_loss"], p["micro_ap"]]).all()
    assert not np.isnan([made.estimates["micro_ap"], p["accuracy"]]).any()


def test_several_genres_are_compared_by_their_ranks():
    tracks = several_genres()
    one, two = (predictions(tracks, i, link="sigmoid", skill=s) for i, s in enumerate((3, 0)))
    made, p = paired_bootstrap(one, two, rounds=99), sign_flip(one, two, rounds=99)
    assert made.interval("micro_ap")[0] > 0
    assert p["micro_ap"] == 1 / 100
    assert np.isnan([made.estimates["accuracy"], p["accuracy"]]).all()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda t: predictions(t.take(np.arange(len(t) - 3))), "3 tracks are predicted by one"),
        (
            lambda t: predictions(replace(t, labels=(t.labels + 1) % G)),
            "tracks have another label in the second",
        ),
        (lambda t: predictions(replace(t, genres=(*GENRES[:-1], "Funk"))), "Dub, Funk"),
        (lambda t: predictions(several_like(t), link="sigmoid"), "one has a genre a track"),
    ],
    ids=["tracks", "labels", "genres", "several genres"],
)
@pytest.mark.parametrize("unit", ["bag", "spread"])
def test_predictions_of_something_else_are_refused(second, message, unit):
    tracks = catalogue(7, unknown=0)
    for compare in (paired_bootstrap, sign_flip):
        with pytest.raises(DataError, match=message.replace("tracks have", r"\w+ have")):
            compare(predictions(tracks), second(tracks), unit=unit)


def several_like(tracks):
    return replace(tracks, labels=tracks.labels[:, None] == np.arange(G))


def test_bags_are_not_lone_tracks():
    with pytest.raises(DataError, match="predictions of bags, not of lone tracks"):
        score(predictions(catalogue()), unit="track")
