import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scored import catalogue, predictions

from matt.errors import ConfigError, DataError
from matt.evaluation.repeats import over_seeds, paired_over_splits, protocol_for
from matt.evaluation.scores import score
from matt.tracks import Tracks

differences = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=12)


@given(differences.filter(lambda values: len(set(values)) > 1), st.sampled_from([0.5, 0.9, 0.95]))
def test_the_t_interval_agrees_with_scipy(values, confidence):
    found = paired_over_splits(values, confidence=confidence)
    theirs = stats.ttest_1samp(values, 0)
    ends = theirs.confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.half_width == pytest.approx((ends.high - ends.low) / 2)
    corrected = paired_over_splits(values, confidence=confidence, test_share=0.2)
    # Nadeau & Bengio: 1/n + n_test/n_train in place of 1/n.
    wider = math.sqrt((1 / len(values) + 0.2 / 0.8) * len(values))
    assert corrected.half_width == pytest.approx(wider * found.half_width)
    assert corrected.p >= found.p


def test_differences_that_say_nothing():
    same = paired_over_splits([0, 0, 0])
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert paired_over_splits([0.5, 0.5, 0.5]).p == 0
    one = paired_over_splits([0.25, math.nan])
    assert (one.mean, one.n) == (0.25, 1)
    assert np.isnan([one.low, one.high, one.p, one.sd]).all()
    assert paired_over_splits([]).n == 0
    with pytest.raises(ConfigError, match="test_share 5 are shares"):
        paired_over_splits([0.1, 0.2], test_share=5)


def test_seeds_are_told_as_mean_and_spread():
    made, tracks = [], catalogue()

    def run(seed):
        made.append(seed)
        return score(predictions(tracks, seed))

    found = over_seeds(run, [3, 5, 7])
    f1 = [s.macro_f1 for s in found.scores]
    assert made == list(found.seeds) == [3, 5, 7]
    assert found.spreads["macro_f1"].mean == pytest.approx(statistics.mean(f1))
    assert found.spreads["macro_f1"].sd == pytest.approx(statistics.stdev(f1))
    once = over_seeds(run, [3, 5, 7], random=False)
    assert made == [3, 5, 7, 3]
    assert once.spreads["macro_f1"].n == len(once.scores) == 1
    assert math.isnan(once.spreads["macro_f1"].sd)
    for wrong in ([], [2, 2]):
        with pytest.raises(ConfigError, match="none or repeat"):
            over_seeds(run, wrong)


def test_undefined_scores_are_counted():
    scores = iter(
        [score(predictions(catalogue(), 0)), score(predictions(catalogue(), 1, link="none"))]
    )
    spread = over_seeds(lambda seed: next(scores), [0, 1]).spreads["log_loss"]
    assert (spread.n, spread.n_undefined) == (1, 1)


def split(n_test, *, per_artist=1, artists=True):
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
        (split([200, 200]), []),
        (split([391, 9]), ["1 genre has fewer than 10 test tracks (Folk 9)"]),
        (split([200, 199]), ["accuracy of 399 test artists is known to ± .050 at best"]),
        (split([400, 400], per_artist=8), ["100 test artists is known to ± .100"]),
        (split([200, 200], artists=False), []),  # each track stands for itself
        (split([20, 0]), []),  # a genre that the table does not have
        (split([3, 5]), ["2 genres have fewer than 10 test tracks (Rock 3, Folk 5)", "8 test"]),
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
    tracks = split([400, 0])
    tracks = Tracks(
        tracks.track_id, [*tracks.labels[:-1], 1], tracks.genres,
        artist_id=tracks.artist_id, split=tracks.split,
    )  # fmt: skip
    assert "Folk 0" in protocol_for(tracks).note


def test_without_a_test_split_nothing_is_said():
    with pytest.raises(DataError, match="no labelled track is in the test split"):
        protocol_for(Tracks([3], [0], ("Rock",)))
