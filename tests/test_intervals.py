import math
import statistics
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scored import GENRES, TRAIN, catalogue, predictions, several_genres
from sklearn import metrics as sk

from matt import splits
from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.evaluation import intervals
from matt.evaluation import tally as tally_module
from matt.evaluation.intervals import (
    AGREES,
    ARTISTS,
    DIFFERS,
    NOTHING,
    OPEN,
    SPLITS,
    MeanScore,
    Repeated,
    bootstrap,
    draws,
    mean_of,
    overlap,
    paired_bootstrap,
    protocol_for,
    sign_flip,
    verdict_of,
    wilson,
    with_tail,
)
from matt.evaluation.items import items_of
from matt.evaluation.metrics import range_of, reliability
from matt.evaluation.scores import score, score_with_intervals
from matt.evaluation.tally import HEADLINE, Tally
from matt.predictions import Predictions
from matt.tracks import Tracks

G = len(GENRES)
seeds = st.integers(0, 99)


@settings(max_examples=25)
@given(seeds, st.sampled_from(["bag", "track_of_bag"]), st.sampled_from([None, 0]))
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


@pytest.mark.parametrize("unit", ["bag", "track_of_bag"])
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
        assert made.estimates[name] == pytest.approx(getattr(scores, name), abs=0, nan_ok=True), (
            name
        )
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
    assert items_of(some, unit="track_of_bag").artist.tolist() == [0, 0, 1, 1, 2, 0]


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


@pytest.mark.parametrize("unit", ["bag", "track_of_bag"])
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
    ours, theirs = (bootstrap(some, unit="track_of_bag", rounds=49) for some in (one, two))
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
    for unit in ("bag", "track_of_bag"):
        expected = paired_bootstrap(one, two, unit=unit, rounds=19)
        found = paired_bootstrap(one, moved, unit=unit, rounds=19)
        for name in HEADLINE:
            np.testing.assert_allclose(found.rounds[name], expected.rounds[name], atol=1e-12)


def test_a_track_model_is_compared_track_by_track():
    tracks = catalogue(4)
    album, alone = predictions(tracks), predictions(tracks, by="track")
    made = paired_bootstrap(album, alone, rounds=9)
    ours, theirs = score(album, unit="track_of_bag"), score(alone)
    assert made.estimates["macro_f1"] == pytest.approx(ours.macro_f1 - theirs.macro_f1)
    with pytest.raises(DataError, match=r'in other bags .* use unit="track_of_bag"'):
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
@pytest.mark.parametrize("unit", ["bag", "track_of_bag"])
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


@given(st.integers(0, 40), st.integers(0, 40))
def test_wilson_solves_its_equation(hits, misses):
    """The ends are where the normal test of that share would just reject: (p - h)^2 = z^2 p q / n."""
    n = hits + misses
    low, high = wilson(hits, n)
    if n == 0:
        assert np.isnan([low, high]).all()
        return
    assert 0 <= low <= hits / n <= high <= 1
    for end in (low, high):
        assert (hits / n - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n, abs=1e-6)
    flipped = wilson(misses, n)
    np.testing.assert_allclose(flipped, [1 - high, 1 - low], atol=1e-12)


def test_wilson_refuses_what_is_no_proportion():
    with pytest.raises(DataError, match="5 hits of 4"):
        wilson(5, 4)


scores_over_splits = st.lists(st.floats(0, 1).map(lambda x: round(x, 3)), min_size=2, max_size=12)
differences = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=12)
ratios = st.floats(0, 4)


@given(differences.filter(lambda values: len(set(values)) > 1), st.sampled_from([0.5, 0.9, 0.95]))
def test_without_overlap_it_is_the_t_interval_of_scipy(values, confidence):
    found = mean_of(values, confidence=confidence)
    theirs = stats.ttest_1samp(values, 0)
    ends = theirs.confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.half_width == pytest.approx((ends.high - ends.low) / 2)
    assert (found.value, found.sd) == pytest.approx(
        (statistics.mean(values), statistics.stdev(values))
    )
    corrected = mean_of(values, confidence=confidence, ratio=0.2 / 0.8)
    # Nadeau & Bengio: 1/n + n_test/n_train in place of 1/n.
    wider = math.sqrt((1 / len(values) + 0.2 / 0.8) * len(values))
    assert corrected.half_width == pytest.approx(wider * found.half_width)
    assert corrected.p >= found.p


@given(scores_over_splits, ratios, ratios)
def test_more_overlap_never_makes_an_interval_narrower(values, one, other):
    less, more = (mean_of(values, ratio=ratio) for ratio in sorted((one, other)))
    assert more.low <= less.low <= less.value <= less.high <= more.high
    assert more.p >= less.p


@given(scores_over_splits, ratios, st.booleans())
def test_intervals_stay_on_their_scale(values, ratio, difference):
    if difference:
        values = [one - other for one, other in zip(values, values[::-1], strict=True)]
    least, most = within = range_of("macro_f1", difference=difference)
    assert within == ((-1, 1) if difference else (0, 1))
    found, free = mean_of(values, ratio=ratio, within=within), mean_of(values, ratio=ratio)
    assert least <= found.low <= found.value <= found.high <= most
    # Cut off, and nothing else: what is true is in the one where it is in the other.
    assert (found.low, found.high) == (max(free.low, least), min(free.high, most))
    assert (found.p, found.value, found.sd) == pytest.approx(
        (free.p, free.value, free.sd), nan_ok=True
    )
    assert found.half_width <= free.half_width


@given(scores_over_splits, ratios, st.randoms())
def test_the_order_of_splits_has_no_say(values, ratio, random):
    mixed = [*values, math.nan]
    random.shuffle(mixed)
    one, other = mean_of(values, ratio=ratio), mean_of(mixed, ratio=ratio)
    told = [(m.value, m.sd, m.low, m.high, m.p, m.n) for m in (one, other)]
    assert told[0] == told[1]
    assert len(other.each) == len(values) + 1  # what is undefined is left out and counted


@given(st.floats(-1, 1).map(lambda x: round(x, 3)), st.integers(2, 9), ratios)
def test_equal_splits_leave_no_doubt(value, n, ratio):
    found = mean_of([value] * n, ratio=ratio)
    np.testing.assert_allclose([found.low, found.high], value, atol=1e-12)
    assert found.sd == pytest.approx(0, abs=1e-12)


def test_differences_that_say_nothing():
    same = mean_of([0, 0, 0])
    assert (same.value, same.low, same.high, same.p, same.sign) == (0, 0, 0, 1, 0)
    assert mean_of([0.5, 0.5, 0.5]).p == 0
    one = mean_of([0.25, math.nan])
    assert (one.value, one.n, one.interval) == (0.25, 1, None)
    assert np.isnan([one.low, one.high, one.p, one.sd]).all()
    assert one.mean_and_sd == pytest.approx((0.25, math.nan), nan_ok=True)
    for nothing in (mean_of([]), mean_of([math.nan] * 3), NOTHING):
        assert (nothing.n, nothing.interval, nothing.mean_and_sd) == (0, None, None)
        assert (nothing.difference, nothing.effect, nothing.sign) == (None, None, 0)
    for wrong in ({"ratio": -1}, {"ratio": math.nan}, {"within": (1, 0)}):
        with pytest.raises(ConfigError, match=r"ratio .* has to be 0"):
            mean_of([0.1, 0.2], **wrong)
    with pytest.raises(ConfigError, match="confidence 95 is no share"):
        mean_of([0.1, 0.2], confidence=95)


def test_the_corrected_interval_covers_the_truth_where_splits_overlap():
    """Scores of splits that share a part of what moves them, as Nadeau & Bengio have it.

    Of n splits each pair is correlated by r = ratio / (1 + ratio): for normal scores the corrected
    interval is then exact, and the plain one covers what an independent computation says.
    """
    n, ratio, truth, trials = 6, 0.25, 0.5, 2_000
    shared = ratio / (1 + ratio)
    rng = np.random.default_rng(7)
    common = np.sqrt(shared) * rng.normal(size=(trials, 1))
    values = truth + 0.05 * (common + np.sqrt(1 - shared) * rng.normal(size=(trials, n)))
    covered = {0.0: 0, ratio: 0}
    for row in values:
        for used in covered:
            found = mean_of(row, ratio=used, within=(0, 1))
            covered[used] += found.low <= truth <= found.high
    error = 1.96 * np.sqrt(0.95 * 0.05 / trials)
    assert covered[ratio] / trials == pytest.approx(0.95, abs=2 * error)
    # The t statistic is larger by the root of what the plain variance forgets.
    forgotten = math.sqrt(1 + n * shared / (1 - shared))
    plain = 1 - 2 * stats.t.sf(stats.t.ppf(0.975, n - 1) / forgotten, n - 1)
    assert covered[0.0] / trials == pytest.approx(plain, abs=2 * error * 2)
    assert plain < 0.85


@pytest.mark.parametrize("k", [3, 5])
def test_folds_overlap_by_what_each_leaves_out(k):
    tracks = catalogue(1, unknown=0)
    tracks = replace(tracks, split=np.full(len(tracks), ""))
    parted = []
    for rest, held in splits.folds(tracks, k=k, seed=0):
        assigned = np.full(len(tracks), "test", "<U10")
        assigned[tracks.rows(rest.track_id)] = "training"
        parted.append(tracks.with_split(assigned))
        assert len(held) + len(rest) == len(tracks)
    assert overlap(tracks, parted) == pytest.approx(1 / (k - 1), rel=1e-9)


def test_the_overlap_of_splits_counts_what_fits_read():
    tracks = catalogue(2)
    tracks = replace(tracks, split=np.full(len(tracks), ""))
    parted = [splits.by_artist(tracks, seed=seed) for seed in range(4)]
    n = {part: np.mean([(s.labelled & (s.split == part)).sum() for s in parted])
         for part in ("training", "validation", "test")}  # fmt: skip
    assert overlap(tracks, parted) == pytest.approx(n["test"] / (n["training"] + n["validation"]))
    part = "validation"
    assert overlap(tracks, parted, part) == pytest.approx(n[part] / n["training"])
    # Seeds on one split share all they are tested on: repeats say nothing of other tracks.
    assert overlap(parted[0], parted[:1] * 3) == overlap(parted[0], []) == 0


def two_genres(n_test, *, per_artist=1, artists=True):
    """Two genres with so many test tracks each, and a training track."""
    labels = np.repeat([0, 1], n_test)
    n = len(labels)
    artist = np.arange(n) // per_artist if artists else np.full(n, -1)
    return Tracks(
        np.arange(n + 1), [*labels, 0], ("Rock", "Folk"),
        artist_id=[*artist, n + 9], split=["test"] * n + ["training"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tracks", "said"),
    [
        (two_genres([200, 200]), []),
        (two_genres([391, 9]), ["1 genre has fewer than 10 test tracks (Folk 9)"]),
        (two_genres([200, 199]), ["accuracy of 399 test artists is known to ± .050 at best"]),
        (two_genres([400, 400], per_artist=8), ["100 test artists is known to ± .100"]),
        (two_genres([200, 200], artists=False), []),  # each track stands for itself
        (two_genres([20, 0]), []),  # a genre that the table does not have
        (
            two_genres([3, 5]),
            ["2 genres have fewer than 10 test tracks (Rock 3, Folk 5)", "8 test"],
        ),
    ],
)
def test_when_to_repeat(tracks, said):
    few = 20 if len(tracks) == 21 else 400
    protocol = protocol_for(tracks, few_artists=few)
    assert protocol.repeated == bool(said) == bool(protocol.note)
    assert len(protocol.reasons) == len(said)
    for reason, part in zip(protocol.reasons, said, strict=True):
        assert part in reason
        assert reason in protocol.note


def test_a_genre_that_is_only_trained_on_is_told():
    tracks = two_genres([400, 0])
    tracks = Tracks(
        tracks.track_id, [*tracks.labels[:-1], 1], tracks.genres,
        artist_id=tracks.artist_id, split=tracks.split,
    )  # fmt: skip
    assert "Folk 0" in protocol_for(tracks).note


def test_without_a_test_split_nothing_is_said():
    with pytest.raises(DataError, match="no labelled track is in the test split"):
        protocol_for(Tracks([3], [0], ("Rock",)))


ROUNDS = 40
TRACKS = catalogue()


def over_seeds(n, **settings):
    return {f"{seed}": predictions(TRACKS, seed, **settings) for seed in range(n)}


def test_a_single_repeat_is_the_bootstrap_of_it():
    made = over_seeds(1)
    found = Repeated.of(made, rounds=ROUNDS, seed=7)
    known = bootstrap(made["0"], unit="track_of_bag", rounds=ROUNDS, seed=7)
    for metric in ("accuracy", "macro_f1", "micro_ap", "tail_top_3"):
        mean = found.mean(metric)
        assert mean.value == known.estimates[metric]
        assert (mean.low, mean.high) == known.interval(metric)
    assert (found.n, found.unit, found.method) == (known.n, known.unit, ARTISTS)


def test_a_difference_of_single_repeats_is_the_paired_bootstrap():
    one, two = over_seeds(1), {"0": predictions(TRACKS, 9, skill=0.5)}
    less = Repeated.of(one, rounds=ROUNDS).less(Repeated.of(two, rounds=ROUNDS))
    known = paired_bootstrap(one["0"], two["0"], rounds=ROUNDS)
    for metric in ("accuracy", "macro_f1", "micro_ap"):
        mean = less.mean(metric)
        assert mean.value == pytest.approx(known.estimates[metric])
        np.testing.assert_allclose((mean.low, mean.high), known.interval(metric))


def test_the_mean_over_seeds_is_drawn_on_the_same_artists():
    made = over_seeds(3)
    found = Repeated.of(made, rounds=ROUNDS).mean("accuracy")
    parts = [bootstrap(p, unit="track_of_bag", rounds=ROUNDS) for p in made.values()]
    rounds = np.mean([part.rounds["accuracy"] for part in parts], axis=0)
    assert found.value == pytest.approx(np.mean([p.estimates["accuracy"] for p in parts]))
    np.testing.assert_allclose((found.low, found.high), np.quantile(rounds, (0.025, 0.975)))
    assert found.sd == pytest.approx(np.std(found.each, ddof=1))


def test_repeats_of_other_tracks_have_an_interval_over_splits():
    made = {f"{k}": predictions(catalogue(k), k) for k in range(4)}
    found = Repeated.of(made, rounds=ROUNDS, ratio=0.25)
    assert found.method == SPLITS
    for metric in ("accuracy", "macro_f1", "micro_ap", "log_loss"):
        mean = found.mean(metric)
        each = [score(some, unit="track_of_bag") for some in made.values()]
        assert mean.each == tuple(getattr(one, metric) for one in each)  # the very scores
        known = mean_of(mean.each, ratio=0.25, within=range_of(metric))
        assert (mean.low, mean.high, mean.p) == (known.low, known.high, known.p)
    sizes = [score(some, unit="track_of_bag").n for some in made.values()]
    assert len(set(sizes)) > 1
    assert found.n == round(np.mean(sizes))
    one = Repeated.of({"0": made["0"]}, rounds=ROUNDS)
    less = found.less(one)  # only the repeat that both have, of which no other split is known
    assert (len(less), less.method, less.mean("accuracy").interval) == (1, SPLITS, None)


@given(st.integers(0, 30), st.integers(2, 4), st.booleans())
@settings(max_examples=20, deadline=None)
def test_no_interval_of_repeats_leaves_its_scale(seed, n, same):
    rows = [
        Repeated.of(
            {f"{k}": predictions(catalogue(seed + (0 if same else k)), k, skill=skill)
             for k in range(n)},
            rounds=ROUNDS, ratio=0.25,
        )
        for skill in (9, 0)
    ]  # fmt: skip
    for name in HEADLINE:
        for row in rows:
            low, high = row.mean(name).interval or (0, 0)
            assert 0 <= low <= high
            assert high <= range_of(name)[1]
        low, high = rows[0].less(rows[1]).mean(name).interval or (0, 0)
        assert -range_of(name)[1] <= low <= high <= range_of(name)[1]


def test_a_row_less_itself_is_nothing():
    row = Repeated.of(over_seeds(2), rounds=ROUNDS)
    mean = row.less(row).mean("macro_f1")
    assert (mean.value, mean.low, mean.high, mean.sign) == (0, 0, 0, 0)


def test_rows_of_other_tracks_are_not_compared():
    ours = Repeated.of(over_seeds(1), rounds=ROUNDS)
    theirs = Repeated.of({"0": predictions(catalogue(5))}, rounds=ROUNDS)
    with pytest.raises(DataError, match="tested on other tracks"):
        ours.less(theirs)


def test_one_object_for_all_repeats_is_resampled_once(monkeypatch):
    calls, resample = [], intervals.resample
    monkeypatch.setattr(
        intervals, "resample", lambda *some, **more: calls.append(1) or resample(*some, **more)
    )
    same = predictions(TRACKS)
    found = Repeated.of({"0": same, "1": same, "2": same}, rounds=ROUNDS)
    assert (len(calls), len(found), len(found.runs)) == (1, 3, 1)
    assert np.isnan(found.mean("accuracy").sd)  # one training, however many seeds


def test_mixed_bags_are_resampled_by_the_artists_of_the_reference():
    """With every track in another's bag, artists would be those of the wrong bags."""
    reference = {"0": predictions(TRACKS)}
    rng = np.random.default_rng(0)
    columns = {"place": rng.permutation(len(TRACKS)) // 3}
    shuffled = type(TRACKS)(
        TRACKS.track_id,
        TRACKS.labels,
        TRACKS.genres,
        artist_id=TRACKS.artist_id,
        album_id=TRACKS.album_id,
        split=TRACKS.split,
        columns=columns,
    )
    mixed = {"0": predictions(shuffled, by="place")}
    plain = Repeated.of(reference, rounds=ROUNDS)
    like = Repeated.of(mixed, like=reference, rounds=ROUNDS)
    assert like.tests == plain.tests
    assert Repeated.of(mixed, rounds=ROUNDS).tests != plain.tests
    assert like.less(plain).mean("accuracy").interval is not None


def test_what_is_undefined_has_no_interval():
    balanced = np.full(len(GENRES), 500)
    row = Repeated.of({"0": predictions(TRACKS, train=balanced)}, rounds=ROUNDS)
    mean = row.mean("tail_recall")
    assert np.isnan(mean.value)
    assert mean.interval is None
    with pytest.raises(DataError, match="no repeat was predicted"):
        Repeated.of({})


def missing_the_tail(seed, hit=None):
    """Predictions of Rock for every bag, as probable as they may be; ``hit`` is found as well."""
    some = predictions(TRACKS, seed)
    logits = some.logits.copy()
    logits[:, 0] = 99
    if hit is not None:
        logits[some.bags.labels == hit, hit] = 999
    return replace(some, logits=logits)


RARE = len(GENRES) - 1


def test_a_tail_that_nobody_hits_compares_nothing():
    nobody = {f"{seed}": missing_the_tail(seed) for seed in range(3)}
    row, other = (Repeated.of(nobody, rounds=50) for _ in range(2))
    assert row.mean("tail_recall").value == 0
    less = row.less(other)
    for name in ("tail_recall", "few_recall"):
        assert np.isnan(less.mean(name).value)
        assert less.mean(name).interval is None
    assert less.mean("accuracy").effect == (0, 0, 0)  # Rock is found
    one = paired_bootstrap(missing_the_tail(0), missing_the_tail(1), rounds=50)
    p = sign_flip(missing_the_tail(0), missing_the_tail(1), rounds=50)
    assert np.isnan(one.estimates["tail_recall"])
    assert np.isnan(p["tail_recall"])
    assert (one.estimates["accuracy"], p["accuracy"]) == (0, 1)


def test_a_repeat_in_which_nobody_hits_the_tail_counts_where_another_does():
    ours = {"0": missing_the_tail(0), "1": missing_the_tail(1, hit=RARE)}
    theirs = {name: missing_the_tail(5) for name in ours}
    less = Repeated.of(ours, rounds=50).less(Repeated.of(theirs, rounds=50)).mean("tail_recall")
    assert less.each[0] == 0
    assert less.each[1] > 0
    assert less.value == less.each[1] / 2


ends = st.floats(-1, 1)


@given(ends, ends, st.floats(0.001, 0.5))
def test_to_agree_takes_an_interval_within_the_margin(one, two, margin):
    low, high = sorted((one, two))
    verdict = verdict_of(MeanScore((low + high) / 2, low, high), margin=margin)
    agrees = -margin < low and high < margin
    assert (verdict == AGREES) == agrees
    assert (verdict == DIFFERS) == (not agrees and (low > 0 or high < 0))
    assert (verdict == OPEN) == (not agrees and low <= 0 <= high)


def test_two_one_sided_tests_say_the_same():
    """Of the t interval: agreement is that both one-sided p values are below 2.5 %."""
    rng = np.random.default_rng(8)
    seen = set()
    for sd in (0.001, 0.01, 0.02, 0.05):
        for mean in (0, 0.005, 0.015, 0.03):
            values = rng.normal(mean, sd, 8)
            above = stats.ttest_1samp(values, -0.02, alternative="greater").pvalue
            below = stats.ttest_1samp(values, 0.02, alternative="less").pvalue
            verdict = verdict_of(mean_of(values), margin=0.02)
            assert (verdict == AGREES) == (max(above, below) < 0.025)
            seen.add(verdict)
    assert seen == {AGREES, DIFFERS, OPEN}


def test_without_an_interval_nothing_is_decided():
    assert verdict_of(MeanScore(0.0)) == verdict_of(MeanScore()) == OPEN
    assert not MeanScore(0.5).within(-1, 1)
    assert not MeanScore(0.5).outside(-1, 0)
    assert verdict_of(MeanScore(0.51, 0.49, 0.53).shifted(0.4)) == DIFFERS


@given(st.sets(st.sampled_from(GENRES)))
@settings(max_examples=15, deadline=None)
def test_a_named_tail_is_those_genres_and_no_others(names):
    items = items_of(predictions(TRACKS), unit="track_of_bag")
    rare = with_tail(items, sorted(names))
    assert {GENRES[g] for g in np.flatnonzero(rare.train_counts < 100)} == names
    assert (rare.labels == items.labels).all()
