import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import GENRES, catalogue, predictions

from matt.errors import DataError
from matt.evaluation.paired import paired_bootstrap
from matt.evaluation.repeated import ARTISTS, SPLITS, OverRepeats, Repeated, with_tail
from matt.evaluation.repeats import paired_over_splits
from matt.evaluation.resampling import bootstrap
from matt.evaluation.units import items_of

ROUNDS = 40
TRACKS = catalogue()


def over_seeds(n, **settings):
    return {f"{seed}": predictions(TRACKS, seed, **settings) for seed in range(n)}


def test_a_single_repeat_is_the_bootstrap_of_it():
    made = over_seeds(1)
    found = Repeated.of(made, rounds=ROUNDS, seed=7)
    known = bootstrap(made["0"], unit="spread", rounds=ROUNDS, seed=7)
    for metric in ("accuracy", "macro_f1", "micro_ap", "tail_top_3"):
        mean = found.mean(metric)
        assert mean.value == known.estimates[metric]
        assert (mean.low, mean.high) == known.interval(metric)
    assert (found.n_items, found.unit, found.method) == (known.n, known.unit, ARTISTS)


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
    parts = [bootstrap(p, unit="spread", rounds=ROUNDS) for p in made.values()]
    rounds = np.mean([part.rounds["accuracy"] for part in parts], axis=0)
    assert found.value == pytest.approx(np.mean([p.estimates["accuracy"] for p in parts]))
    np.testing.assert_allclose((found.low, found.high), np.quantile(rounds, (0.025, 0.975)))
    assert found.sd == pytest.approx(np.std(found.each, ddof=1))


def test_repeats_of_other_tracks_have_an_interval_over_splits():
    made = {f"{k}": predictions(catalogue(k), k) for k in range(4)}
    found = Repeated.of(made, rounds=ROUNDS, test_share=0.25)
    assert found.method == SPLITS
    mean = found.mean("accuracy")
    known = paired_over_splits(mean.each, test_share=0.25)
    assert (mean.low, mean.high) == (known.low, known.high)
    alone = Repeated.of({"0": made["0"]}, rounds=ROUNDS)
    assert found.less(alone).method == ARTISTS  # only the repeat that both have


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
    from matt.evaluation import repeated

    calls = []
    monkeypatch.setattr(
        repeated, "bootstrap", lambda *some, **more: calls.append(1) or bootstrap(*some, **more)
    )
    same = predictions(TRACKS)
    found = Repeated.of({"0": same, "1": same, "2": same}, rounds=ROUNDS)
    assert (len(calls), len(found)) == (1, 3)


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
    assert OverRepeats().sign == 0
    with pytest.raises(DataError, match="no repeat was predicted"):
        Repeated.of({})


@given(st.sets(st.sampled_from(GENRES)))
@settings(max_examples=15, deadline=None)
def test_a_named_tail_is_those_genres_and_no_others(names):
    items = items_of(predictions(TRACKS), unit="spread")
    rare = with_tail(items, sorted(names))
    assert {GENRES[g] for g in np.flatnonzero(rare.train_counts < 100)} == names
    assert (rare.labels == items.labels).all()
