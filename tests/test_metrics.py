import csv
import gzip
import re
import warnings

import numpy as np
import pytest
import scored
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.evaluation.metrics import (
    accuracy,
    average_precision,
    balanced_accuracy,
    brier,
    confusion_matrix,
    f1_scores,
    log_loss,
    macro_f1,
    micro_curve,
    precision_recall,
    ranks,
    recalls,
    reliability,
    step_sum,
    tail,
    tail_recall,
    tail_rule,
)
from matt.evaluation.scores import majority, reliability_of, score
from matt.evaluation.tally import HEADLINE
from matt.predictions import Predictions
from matt.tracks import Tracks

COUNTS = np.array([5000, 40, 700, 11, 130])  # training tracks of 5 genres
G = len(COUNTS)

pairs = st.lists(
    st.tuples(st.integers(-1, G - 2), st.integers(0, G - 1)), max_size=60
)  # genre G - 1 is predicted but never true


@given(pairs)
def test_agrees_with_scikit_learn(items):
    labels = np.array([label for label, _ in items], int)
    predicted = np.array([best for _, best in items], int)
    confusion = confusion_matrix(labels, predicted, G)
    known = labels >= 0
    y, p = labels[known], predicted[known]
    assert confusion.sum() == known.sum()
    if not known.any():
        for metric in (accuracy, macro_f1, balanced_accuracy):
            assert np.isnan(metric(confusion))
        return
    present = np.unique(y)
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(y, p, labels=range(G)))
    assert accuracy(confusion) == pytest.approx(sk.accuracy_score(y, p))
    with warnings.catch_warnings():  # of predicted genres that are never true
        warnings.simplefilter("ignore")
        assert balanced_accuracy(confusion) == pytest.approx(sk.balanced_accuracy_score(y, p))
    expected = sk.f1_score(y, p, average="macro", labels=present, zero_division=0)
    assert macro_f1(confusion) == pytest.approx(expected)
    _, recall, f1, _ = sk.precision_recall_fscore_support(
        y, p, labels=range(G), zero_division=np.nan
    )
    np.testing.assert_allclose(recalls(confusion), recall)
    # scikit-learn calls the F1 of a genre that is only predicted 0; here it is undefined.
    np.testing.assert_allclose(f1_scores(confusion)[present], f1[present])
    assert np.isnan(np.delete(f1_scores(confusion), present)).all()


def test_weights_count_items_several_times():
    labels, predicted = np.array([0, 1, 1, 2, -1]), np.array([0, 1, 0, 1, 2])
    weights = np.array([3, 1, 2, 4, 9])
    np.testing.assert_array_equal(
        confusion_matrix(labels, predicted, 3, weights),
        confusion_matrix(labels.repeat(weights), predicted.repeat(weights), 3),
    )


def test_by_hand():
    """Rock 3 of 4 found, Folk 1 of 2, Jazz without an item but predicted once."""
    confusion = np.array([[3, 1, 0], [0, 1, 1], [0, 0, 0]])
    np.testing.assert_allclose(recalls(confusion), [3 / 4, 1 / 2, np.nan])
    np.testing.assert_allclose(f1_scores(confusion), [6 / 7, 1 / 2, np.nan])
    assert accuracy(confusion) == pytest.approx(4 / 6)
    assert macro_f1(confusion) == pytest.approx((6 / 7 + 1 / 2) / 2)
    assert tail_recall(confusion, np.array([False, True, True])) == 1 / 2
    assert np.isnan(tail_recall(confusion, np.array([False, False, True])))


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 3], [0, 1], "labels run to 3"),
        ([0, 1], [0, 3], "but there are 3 genres; use 0 to 2"),
        ([0, 1], [0, -1], "predictions from -1"),
        ([0, 1], [0], "give one genre index an item"),
        ([[True, False]], [0], "several genres an item"),
    ],
)
def test_wrong_items_are_refused(labels, predicted, message):
    with pytest.raises(DataError, match=message):
        confusion_matrix(np.array(labels), np.array(predicted), 3)


@pytest.mark.parametrize(
    ("counts", "fewer_than", "expected"),
    [
        ([900, 99, 100, 700], None, [0, 1, 0, 0]),  # the paper's threshold divides them
        ([900, 500, 400, 700, 300, 800], None, [0, 0, 1, 0, 1, 0]),  # none below: rarest third
        ([50, 9, 30, 70, 20, 60], None, [0, 1, 0, 0, 1, 0]),  # all below: rarest third
        ([700, 40], None, [0, 1]),
        ([700, 300], None, [0, 1]),  # at least one
        ([560, 560, 560], None, [0, 0, 0]),  # balanced: nothing is rare
        ([800, 799, 800], None, [0, 0, 0]),  # as good as balanced
        ([500, 300, 300, 900], None, [0, 1, 1, 0]),  # a tie of the rarest cannot be divided
        ([12, 7, 5, 4, 2, 2, 2, 2, 2], None, [0, 0, 0, 0, 1, 1, 1, 1, 1]),
        ([30, 20, 20, 20, 10, 40], None, [0, 0, 0, 0, 1, 0]),  # a tie at the edge is left out
        ([100, 300, 100, 700, 200, 900], None, [1, 0, 1, 0, 0, 0]),  # at, not below, the threshold
        ([900, 150, 199, 200], 200, [0, 1, 1, 0]),
        ([12], None, [1]),
        ([120], None, [0]),
    ],
)
def test_what_is_rare(counts, fewer_than, expected):
    counts = np.array(counts)
    rare = tail(counts, fewer_than=fewer_than)
    np.testing.assert_array_equal(rare, np.array(expected, bool))
    rule = tail_rule(counts, fewer_than=fewer_than)
    said = int(rule.split("fewer than ")[1].split()[0])
    np.testing.assert_array_equal(counts < said, rare)
    assert ("no genre" in rule) is not rare.any()


@given(hnp.arrays(int, st.integers(2, 12), elements=st.integers(0, 130)))
def test_only_a_balanced_table_has_no_tail(counts):
    rare = tail(counts)
    uneven = counts.min() < counts.max() and 1.5 * counts.min() <= counts.max()
    assert rare.any() == (uneven or 0 < (counts < 100).sum() <= len(counts) / 2)
    assert not rare.all()
    if rare.any():
        assert counts[rare].max() < counts[~rare].min()


def test_words_of_the_tail_are_true():
    tied, third = np.array([12, 7, 5, 4, 2, 2, 2, 2, 2]), np.array([100, 90, 300, 20, 30, 40])
    assert tail_rule(tied).endswith(
        "3 training tracks (the rarest, which are equal), 5 of 9 genres"
    )
    assert tail_rule(third).endswith("40 training tracks (the rarest third), 2 of 6 genres")
    paper, given_ = np.array([900, 40, 300]), tail_rule(third, fewer_than=31)
    assert tail_rule(paper).endswith("100 training tracks, 1 of 3 genres")
    assert given_.endswith("31 training tracks, 2 of 6 genres")


@given(
    hnp.arrays(float, (13, 3), elements=st.sampled_from([0.1, 0.25, 0.5, 0.9])),  # many ties
    hnp.arrays(int, 13, elements=st.integers(-1, 2)),
)
def test_average_precision_agrees_with_scikit_learn(scores, labels):
    known = labels >= 0
    truth = labels[:, None] == np.arange(3)
    if not known.any():
        assert np.isnan(average_precision(scores, labels))
        return
    expected = sk.average_precision_score(truth[known], scores[known], average="micro")
    assert average_precision(scores, labels) == pytest.approx(expected)
    assert average_precision(scores, truth) == pytest.approx(expected)
    column = truth[:, 1]
    if column.any():
        expected = sk.average_precision_score(column, scores[:, 1])
        assert average_precision(scores[:, 1], column) == pytest.approx(expected)


def test_average_precision_wants_a_truth_for_every_score():
    with pytest.raises(DataError, match="4 labels for 3 scores"):
        average_precision(np.arange(3.0), np.ones(4, bool))


@given(
    hnp.arrays(float, (17, 3), elements=st.sampled_from([0.1, 0.25, 0.5, 0.9])),
    hnp.arrays(int, 17, elements=st.integers(-1, 2)),
)
def test_curves_agree_with_scikit_learn(scores, labels):
    known = labels >= 0
    truth = labels[known, None] == np.arange(3)
    curves = [(truth.ravel(), scores[known].ravel(), micro_curve(scores, labels))]
    alone = [precision_recall(scores[known, g], truth[:, g]) for g in range(3)]
    curves += [(truth[:, g], scores[known, g], alone[g]) for g in range(3)]
    for y, p, (precision, recall) in curves:
        if not y.any():
            assert len(precision) == len(recall) == 0
            continue
        theirs = sk.precision_recall_curve(y, p)  # from low to high, with an end point of its own
        np.testing.assert_allclose(precision[::-1], theirs[0][:-1])
        np.testing.assert_allclose(recall[::-1], theirs[1][:-1])
        assert step_sum(precision, recall) == pytest.approx(sk.average_precision_score(y, p))


PUBLISHED = {  # the areas stated beside the published curves
    "MLP+MIL-fma_all": 0.6523,
    "MLP+MATT-fma_all": 0.7321,
    "PR-CRNN_mel_1360_6": 0.6244,
    "PR-CRNN-TF_mel_1360_96": 0.6244,
    "PR-CRNN+MIL_mel_1360_96": 0.6959,
    "PR-CRNN-TF+MIL_mel_1360_96": 0.6107,
    "PR-CRNN+MATT_mel_1360_96": 0.7357,
    "PR-CRNN-TF+MATT_mel_1360_96": 0.7268,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_area_of_the_published_curves(name, shared_data):
    with gzip.open(shared_data / "paper_pr_curves" / f"{name}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    precision = np.array([float(row["precision"]) for row in rows])
    recall = np.array([float(row["recall"]) for row in rows])
    assert step_sum(precision, recall) == pytest.approx(PUBLISHED[name], abs=5e-5)


def test_top_k_agrees_with_scikit_learn_on_the_tail():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(G), size=211), rng.integers(G, size=211)
    rare = COUNTS[labels] < 200
    for k in (1, 2, 3):
        ours = (ranks(probabilities[rare], labels[rare]) <= k).mean()
        oracle = sk.top_k_accuracy_score(labels[rare], probabilities[rare], k=k, labels=range(G))
        assert ours == oracle


def test_top_k_by_hand():
    """Genre 0 is alone on top; 1 is tied with it; 2 is last but for nothing."""
    scores = np.array([[0.6, 0.3, 0.1], [0.4, 0.4, 0.2], [0.5, 0.4, 0.1]])
    assert ranks(scores, np.array([0, 1, 2])).tolist() == [1, 2, 3]
    assert ranks(np.full((7, G), 0.2), np.full(7, 3)).tolist() == [G] * 7  # says nothing: last
    rng = np.random.default_rng(1)
    p, y = rng.dirichlet(np.ones(G), size=97), rng.integers(G, size=97)
    for k in (1, 2, 3):
        oracle = sk.top_k_accuracy_score(y, p, k=k, labels=range(G))
        assert (ranks(p, y) <= k).mean() == oracle


def test_scores_hold_top_k_of_all_and_of_the_tail():
    labels = np.array([0, 1, 2, 1, 0])
    bags = Bags(np.arange(5), np.arange(6), labels, ("a", "b", "c", "d"), [900, 20, 300, 800])
    tracks = Tracks(np.arange(5), labels, bags.genres)
    logits = np.array([[4, 3, 2, 1], [4, 3, 2, 1], [4, 3, 2, 1], [4, 1, 2, 3], [1, 1, 1, 1]])
    scores = score(Predictions(bags, tracks, logits.astype(np.float32)))
    assert (scores.top_2, scores.top_3, scores.tail_top_2) == (2 / 5, 3 / 5, 1 / 2)
    assert scores.reasons["top_5"] == "5 guesses leave none of 4 genres out"


GENRES = ("Rock", "Folk", "Jazz")
SCORES = HEADLINE[:6]  # those that three genres can have; so can they have Top@2
TRAIN = np.array([500, 20, 300])


def predictions(labels, sizes, best, bag_labels, link="softmax"):
    """Bags of the given sizes, predicted as ``best`` with a margin that grows with the bag."""
    ids = np.arange(100, 100 + sum(sizes))
    tracks = Tracks(ids, labels, GENRES)
    bags = Bags(ids, np.cumsum([0, *sizes]), bag_labels, GENRES, TRAIN)
    logits = np.eye(3, dtype=np.float32)[best] * np.arange(1, len(sizes) + 1)[:, None]
    return Predictions(bags, tracks, logits.astype(np.float32), link)


@pytest.fixture
def mixed():
    """Bag 0 is called Rock but holds a Folk track and an unknown one; bag 2 is unknown but for one."""
    labels = [0, 0, 1, -1, 1, 2, -1]
    return predictions(labels, [4, 1, 2], best=[0, 1, 1], bag_labels=[0, 1, -1])


def test_a_mixed_bag_is_scored_as_a_bag_and_as_tracks(mixed):
    bag = score(mixed)
    assert (bag.unit, bag.n, bag.n_unknown, bag.n_tail) == ("bag", 2, 1, 1)
    assert bag.accuracy == 1
    spread = score(mixed, unit="track_of_bag")
    # Rock, Rock, Folk called Rock; Folk alone called Folk; Jazz called Folk; two unknown.
    assert (spread.unit, spread.n, spread.n_unknown, spread.n_tail) == ("bag over tracks", 5, 2, 2)
    np.testing.assert_array_equal(spread.confusion, [[2, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert spread.accuracy == 3 / 5
    assert spread.tail_recall == 1 / 2  # Folk is rare: 20 training tracks
    folk = spread.genres[1]
    assert (folk.genre, folk.train_tracks, folk.tail) == ("Folk", 20, True)
    assert (folk.n, folk.n_predicted, folk.hits) == (2, 2, 1)
    assert (folk.precision, folk.recall, folk.f1) == (1 / 2, 1 / 2, 1 / 2)


def test_lone_tracks_are_tracks_in_either_unit():
    lone = predictions([0, 1, -1, 2], [1] * 4, best=[0, 0, 1, 2], bag_labels=[0, 1, -1, 2])
    for unit in ("bag", "track_of_bag"):
        scores = score(lone, unit=unit)
        assert (scores.unit, scores.n, scores.n_unknown) == ("track", 3, 1)
        assert scores.accuracy == 2 / 3


def test_average_precision_ranks_probabilities_and_other_scores(mixed):
    known = mixed.labels >= 0
    truth = mixed.labels[known, None] == np.arange(3)
    expected = sk.average_precision_score(truth, mixed.probabilities[known], average="micro")
    assert score(mixed).micro_ap == pytest.approx(expected)
    scores = predictions([0, 1], [1, 1], best=[1, 1], bag_labels=[0, 1], link="none")
    assert score(scores).micro_ap == sk.average_precision_score(
        np.eye(2, 3), scores.logits, average="micro"
    )


def test_several_genres_have_no_accuracy():
    labels = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]], bool)
    tracks = Tracks(np.arange(4), labels, GENRES)
    logits = np.array([[2, 1, -1], [0, 3, 1], [1, -2, 0], [0, 1, -3]], np.float32)
    bags = Bags(np.arange(4), np.arange(5), labels, GENRES, TRAIN)
    scores = score(Predictions(bags, tracks, logits, "sigmoid"))
    known = [0, 2, 3]
    assert (scores.n, scores.n_unknown, scores.n_tail, scores.confusion) == (3, 1, 1, None)
    assert scores.micro_ap == pytest.approx(
        sk.average_precision_score(labels[known], logits[known], average="micro")
    )
    assert scores.macro_ap == pytest.approx(
        sk.average_precision_score(labels[known], logits[known], average="macro")
    )
    assert [row.n for row in scores.genres] == [2, 1, 1]
    assert [row.n_predicted for row in scores.genres] == [3, 2, 1]  # from one half on
    assert [row.hits for row in scores.genres] == [2, 1, 1]
    assert scores.macro_f1 == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)
    for name in ("accuracy", "balanced_accuracy"):
        assert np.isnan(getattr(scores, name))
        assert "several genres" in scores.reasons[name]
    assert "micro_ap" not in scores.reasons


@pytest.mark.parametrize(
    ("bag_labels", "fewer_than", "undefined", "reason"),
    [
        ([0, 1], None, set(), ""),
        ([0, 2], None, {"tail_recall"}, "no item has a rare genre"),
        ([0, 1], 5, {"tail_recall"}, "no genre is rare"),
        (
            [-1, -1],
            None,
            set(SCORES),
            "no item has a known genre",
        ),
    ],
)
def test_what_is_undefined_has_a_reason(bag_labels, fewer_than, undefined, reason):
    given_ = predictions(bag_labels, [1, 1], best=[0, 1], bag_labels=bag_labels)
    scores = score(given_, fewer_than=fewer_than)
    told = {name: scores.reasons[name] for name in set(SCORES) & set(scores.reasons)}
    assert set(told) == undefined
    assert set(told.values()) <= {reason}
    for name in HEADLINE:
        assert np.isnan(getattr(scores, name)) == (name in scores.reasons)


def test_an_unknown_unit_is_refused(mixed):
    with pytest.raises(ConfigError, match=r"unknown unit 'trak'; did you mean 'track'\?"):
        score(mixed, unit="trak")


def test_the_earlier_spelling_of_a_unit_is_read(mixed):
    earlier, now = score(mixed, unit="spread"), score(mixed, unit="track_of_bag")
    assert (earlier.unit, earlier.n, earlier.accuracy) == (now.unit, now.n, now.accuracy)


def test_majority_says_the_largest_training_genre(mixed):
    control = majority(mixed)
    assert (control.best == 0).all()
    np.testing.assert_allclose(
        control.probabilities, np.tile((TRAIN + 0.5) / (TRAIN + 0.5).sum(), (3, 1)), rtol=1e-5
    )
    scores = score(control, unit="track_of_bag")
    assert scores.accuracy == 2 / 5
    assert scores.macro_f1 == pytest.approx((2 * 2 / (2 + 5)) / 3)
    assert scores.tail_recall == 0


def test_majority_of_several_genres_is_no_probability():
    tracks = Tracks([3, 8], [[True, True, False], [False, False, True]], GENRES)
    bags = Bags.from_tracks(tracks, by="track")
    control = majority(Predictions(bags, tracks, np.zeros((2, 3), np.float32), "sigmoid"))
    assert control.link == "none"
    assert score(control).micro_ap == pytest.approx(0.5)  # 3 of 6 pairs are true, all tied


seeds = st.integers(0, 99)


def drawn(seed, n=61, n_genres=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_genres, size=n)
    return rng.dirichlet(np.ones(n_genres), n), labels, labels[:, None] == np.arange(n_genres)


@given(seeds)
def test_log_loss_and_brier_agree_with_scikit_learn(seed):
    p, labels, truth = drawn(seed)
    assert log_loss(p, truth) == pytest.approx(sk.log_loss(labels, p, labels=range(5)))
    # Brier's own score sums over the genres; a mean squared error averages over them.
    assert brier(p, truth) == pytest.approx(5 * sk.mean_squared_error(truth, p))
    pairs = sk.log_loss(truth.ravel(), p.ravel())
    assert log_loss(p, truth, link="sigmoid") == pytest.approx(pairs)
    pairs = sk.brier_score_loss(truth.ravel(), p.ravel())
    assert brier(p, truth, link="sigmoid") == pytest.approx(pairs)


def test_the_ends_of_the_scales():
    truth = np.eye(3, dtype=bool)
    sure = np.eye(3)
    assert log_loss(sure, truth) == brier(sure, truth) == reliability(sure, truth).error == 0
    wrong = np.roll(sure, 1, axis=1)
    assert brier(wrong, truth) == 2
    assert log_loss(wrong, truth) == pytest.approx(-np.log(np.finfo(float).eps))
    assert reliability(wrong, truth).error == 1
    uniform = np.full((3, 3), 1 / 3)
    assert log_loss(uniform, truth) == pytest.approx(np.log(3))
    for metric in (log_loss, brier):
        assert np.isnan(metric(np.empty((0, 3)), np.empty((0, 3), bool)))
    assert np.isnan(reliability(np.empty((0, 3)), np.empty((0, 3), bool)).error)


@given(seeds, st.integers(1, 12))
def test_bins_agree_with_scikit_learn(seed, bins):
    p, _, truth = drawn(seed, n=301)
    found = reliability(p, truth, bins=bins)
    best = p.argmax(axis=1)
    right, confidence = truth[np.arange(len(p)), best], p.max(axis=1)
    share, mean = calibration_curve(right, confidence, n_bins=bins)
    held = found.n > 0
    np.testing.assert_allclose(found.share[held], share)
    np.testing.assert_allclose(found.confidence[held], mean)
    assert np.isnan(found.share[~held]).all()
    assert found.n.sum() == len(p)
    assert found.error == pytest.approx(np.sum(found.n[held] * np.abs(share - mean)) / len(p))


def test_calibration_by_hand():
    """Sure to .9 twice and right once, sure to .6 twice and right twice: (.4 + .4) / 2."""
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    truth = np.array([0, 1, 0, 1])[:, None] == np.arange(2)
    found = reliability(p, truth, bins=10)
    assert np.flatnonzero(found.n).tolist() == [6, 9]
    assert found.error == pytest.approx(0.4)
    assert reliability(p, truth, bins=1).error == pytest.approx(0)  # .75 in all, 3 of 4
    with pytest.raises(ConfigError, match="0 bins hold nothing"):
        reliability(p, truth, bins=0)


def test_probabilities_that_are_true_are_calibrated():
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(3), 20_000)
    labels = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    truth = labels[:, None] == np.arange(3)
    assert reliability(p, truth).error < 0.02
    assert reliability(np.sqrt(p) / np.sqrt(p).sum(axis=1, keepdims=True), truth).error > 0.1


def test_scores_have_them_with_a_fitting_link():
    some = scored.predictions(scored.catalogue())
    known = some.labels >= 0
    scores = score(some)
    assert scores.log_loss == pytest.approx(
        sk.log_loss(some.labels[known], some.probabilities[known], labels=range(len(some.genres)))
    )
    assert scores.calibration_error == pytest.approx(reliability_of(some).error)
    several = scored.predictions(scored.several_genres(), link="sigmoid")
    known = several.bags.known
    truth, p = several.labels[known].ravel(), several.probabilities[known].ravel()
    assert score(several).log_loss == pytest.approx(sk.log_loss(truth, p))
    assert score(several).brier == pytest.approx(sk.brier_score_loss(truth, p))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (scored.predictions(scored.catalogue(), link="none"), "no probabilities \\(link none\\)"),
        (scored.predictions(scored.several_genres()), "a softmax shares one genre's probability"),
    ],
)
def test_what_is_no_probability_is_refused_with_the_reason(made, reason):
    with pytest.raises(DataError, match=reason):
        reliability_of(made)
    scores = score(made)
    for name in ("log_loss", "brier", "calibration_error"):
        assert np.isnan(getattr(scores, name))
        assert re.search(reason, scores.reasons[name])
    assert scores.micro_ap > 0
