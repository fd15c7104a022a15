import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matt import Bags, FeatureStore, Tracks, config, experiment, folds, splits
from matt.comparison import FittedRow, fitted_rows
from matt.runs import OUT_OF_FOLD, Run

BASELINE = config.load(overrides=["baseline.classifier=lr"])
NETWORK = config.load(
    overrides=["training.epochs=3", "training.threads=1", "recipe=single", "training.lr=0.02"]
)


def library(
    n_artists=20, *, guests=(), labels=None, split=("training",) * 8 + ("test",),
    genres=("Folk", "Rock"),
):  # fmt: skip
    """Two albums of two tracks an artist; ``guests`` are also named by each track of an artist."""
    artist = np.repeat(np.arange(n_artists), 4)
    album = np.arange(len(artist)) // 2
    label = (artist % 2) if labels is None else np.asarray(labels)[artist]
    named = {}
    for one, other in guests:
        named.setdefault(one, []).append(other)
    everybody = [" ".join(map(str, [a, *named[a]])) if a in named else "" for a in artist.tolist()]
    tracks = Tracks(
        np.arange(len(artist)) + 100, label, genres, artist_id=artist, album_id=album,
        split=np.array(split)[artist % len(split)], columns={"all_artists": np.array(everybody)},
    )  # fmt: skip
    noise = np.random.default_rng(0).normal(size=(len(artist), 3))
    values = np.maximum(label, 0)[:, None] + 0.3 * noise
    return tracks, FeatureStore.from_arrays("toy", tracks.track_id, values)


def watched(monkeypatch):
    """Tracks of every fold that is fitted."""
    seen, fit = [], FittedRow.of

    def of(row, features, tracks, **options):
        seen.append(tracks)
        return fit(row, features, tracks, **options)

    monkeypatch.setattr(FittedRow, "of", of)
    return seen


def people(tracks):
    return set(tracks.everybody(alike=True)[1].tolist())


def test_every_album_that_is_learned_from_is_answered_once_in_order():
    tracks, features = library(split=("training", "validation", "test"))
    said = folds.answer_out_of_fold(tracks, features, BASELINE).predictions
    learned = tracks.take(tracks.split != "test")
    bags = Bags.from_tracks(learned)
    np.testing.assert_array_equal(said.bags.track_ids, bags.track_ids)
    np.testing.assert_array_equal(said.bags.offsets, bags.offsets)
    np.testing.assert_array_equal(said.labels, bags.labels)
    np.testing.assert_array_equal(said.tracks.split, learned.split)
    np.testing.assert_array_equal(said.train_counts, tracks.train_counts)


pairs = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 15)), max_size=12)


@settings(deadline=None, max_examples=30)
@given(pairs)
def test_nobody_whom_an_album_names_is_heard_by_what_answers_it(guests):
    tracks, features = library(12, guests=[(a, b) for a, b in guests if a != b])
    with pytest.MonkeyPatch.context() as patch:
        seen = watched(patch)
        answer = folds.answer_out_of_fold(tracks, features, BASELINE)
    answered = [] if answer.predictions is None else answer.predictions.tracks.track_id
    in_folds = [one.in_split("test").track_id for one in seen]
    assert sorted(answered) == sorted(np.concatenate([[], *in_folds]))
    for one in seen:
        heard = one.take(one.split != "test")
        assert not people(heard) & people(one.in_split("test"))
        assert set(heard.split) <= {"training", "validation"}


def test_a_guest_of_half_of_all_artists_is_on_no_two_sides(monkeypatch):
    """Whom `splits` lets go, so that a fold alone would not keep apart."""
    tracks, features = library(20, guests=[(artist, 99) for artist in (*range(12), 13)])
    learned = tracks.take(tracks.split != "test")
    rest, part = next(splits.folds(learned, k=5))
    assert people(rest) & people(part)
    seen = watched(monkeypatch)
    folds.answer_out_of_fold(tracks, features, BASELINE)
    assert len(seen) >= 4
    assert not any(people(t.take(t.split != "test")) & people(t.in_split("test")) for t in seen)


def test_what_was_learned_by_heart_is_not_known_out_of_fold():
    """Labels without a meaning: a neighbour knows its own album again, and nobody else's."""
    rng = np.random.default_rng(3)
    tracks, features = library(60, labels=rng.integers(2, size=60), split=("training",))
    noise = np.repeat(rng.normal(size=(60, 4)), 4, axis=0)
    features = FeatureStore.from_arrays("noise", tracks.track_id, noise)
    by_heart = config.load(overrides=["baseline.classifier=knn", "baseline.n_neighbors=1"])
    (row,) = fitted_rows(by_heart, controls=False)
    fitted = FittedRow.of(row, features, tracks, seed=0)
    known = fitted.predict_row(fitted.bags("training"))
    said = folds.answer_out_of_fold(tracks, features, by_heart).predictions
    assert (known.best == known.labels).all()
    assert (said.best == said.labels).mean() < 0.7


def test_a_genre_that_nobody_else_plays_is_held_against_no_album():
    labels = [0, 1] * 9 + [0, 2]
    tracks, features = library(20, labels=labels, split=("training",), genres=("A", "B", "C"))
    answer = folds.answer_out_of_fold(tracks, features, BASELINE)
    said = answer.predictions
    alone = said.tracks.labels[said.bags.offsets[:-1]] == 2
    assert alone.sum() == 2
    np.testing.assert_array_equal(said.bags.known, ~alone)
    assert "2 are of a genre that nobody else plays" in answer.note


def test_albums_without_a_genre_are_left_out():
    tracks, features = library(20, labels=[-1, 0, 1, 0] * 5, split=("training",))
    said = folds.answer_out_of_fold(tracks, features, BASELINE).predictions
    assert said.bags.known.all()
    assert len(said) == 30


def test_logits_of_all_folds_assume_one_prior(monkeypatch):
    """What each fold says, with the shares of all training albums in place of its own."""
    tracks, features = library(22, labels=[0, 0, 1] * 7 + [0], split=("training",))
    parts, predict = [], FittedRow.predict_row

    def noted(fitted, bags, **options):
        parts.append(predict(fitted, bags, **options))
        return parts[-1]

    monkeypatch.setattr(FittedRow, "predict_row", noted)
    said = folds.answer_out_of_fold(tracks, features, NETWORK).predictions
    shares = said.decision.bags
    np.testing.assert_allclose(shares, [30.5 / 45, 14.5 / 45], rtol=1e-6)
    assert any((part.decision.bags != shares).any() for part in parts)
    for part in parts:
        mine = np.isin(said.bags.track_ids[said.bags.offsets[:-1]], part.bags.track_ids)
        expected = part.logits - np.log(part.decision.bags) + np.log(shares)
        np.testing.assert_allclose(said.logits[mine], expected, rtol=1e-4, atol=1e-4)
    assert (said.best == said.labels).mean() > 0.8


@pytest.mark.parametrize(
    ("labels", "told"),
    [([0, 1], "none of 4 albums was answered"), ([0, 0, 1], "could not be|none of 6 albums")],
)
def test_too_few_artists_are_told(labels, told):
    tracks, features = library(len(labels), labels=labels, split=("training",))
    answer = folds.answer_out_of_fold(tracks, features, BASELINE)
    assert re.search(told, answer.note)


def test_a_run_keeps_them_if_asked_and_resumes_to_the_same(tmp_path):
    tracks, features = library()

    def cut(name, row):
        if name == "fold 3 of 5":
            raise KeyboardInterrupt

    made = dict(controls=False, out_of_fold=True)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(tracks, features, NETWORK, tmp_path / "cut", progress=cut, **made)
    seen = []
    cut_run = experiment.run(
        tracks, features, NETWORK, tmp_path / "cut", resume=True,
        progress=lambda name, row: seen.append(name), **made,
    )  # fmt: skip
    whole = experiment.run(tracks, features, NETWORK, tmp_path / "whole", **made)
    assert set(seen) == {"fold 3 of 5", "fold 4 of 5", "fold 5 of 5"}
    one, two = (Run.open(run.path).predictions(OUT_OF_FOLD) for run in (cut_run, whole))
    np.testing.assert_array_equal(one.logits, two.logits)
    assert any("out of fold: " in note for note in whole.manifest["notes"])
    assert not (whole.path / "checkpoints").exists()
    without = experiment.run(tracks, features, NETWORK, tmp_path / "cut", controls=False)
    assert not without.has_predictions(OUT_OF_FOLD)
