"""Albums that a model was trained on are answered by who was not, and nobody else is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, DataError, Predictions, Tracks
from matt.calibration.priors import TrainedPrior, reprior
from matt.library.albums import album_rows
from matt.library.learned import Learned, load_model, rows_in
from matt.models.tagger import Tagger
from matt.predictions import Decision
from matt.runs import OUT_OF_FOLD, Run

GENRES = ("Folk", "Jazz", "Rock")
FOLK, JAZZ, ROCK = np.log([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]).astype(np.float32)


shares = st.lists(st.integers(1, 9), min_size=3, max_size=3).map(
    lambda some: np.array(some) / sum(some)
)


def tracks_of(albums, *, root="/m", labels=None, genres=GENRES, split=None, start=0):
    """Two tracks an album, ids and lengths of their own; an album and its artist have one number."""
    albums = np.repeat(albums, 2)
    ids = albums * 10 + np.arange(len(albums)) % 2 + start
    return Tracks(
        ids, np.zeros(len(ids), int) if labels is None else np.repeat(labels, 2), genres,
        artist_id=albums, album_id=albums, path=[f"{root}/{i}.mp3" for i in ids],
        split=[] if split is None else np.repeat(split, 2),
        columns={"duration": ids + 0.25, "genre_tags": np.repeat("Folk", len(ids))},
    )  # fmt: skip


def said(tracks, logits, genres=GENRES):
    bags = Bags.from_tracks(tracks)
    return Predictions(bags, tracks, np.array(logits, np.float32))


def test_an_album_of_the_training_is_answered_out_of_fold_and_the_model_is_not_asked():
    now = tracks_of([1, 2, 3])
    learned = Learned(tracks_of([1, 2]), said(tracks_of([2, 1]), [ROCK, JAZZ]))
    judged = learned.judge(said(now, [FOLK, FOLK, FOLK]))
    assert judged.in_training == [True, True, False]
    assert judged.held_out.tolist() == [True, True, False]
    rows = album_rows(said(now, [FOLK] * 3), judged=judged, alone=said(now, [FOLK] * 3).per_track())
    assert [row["genre"] for row in rows] == ["Jazz", "Rock", "Folk"]
    assert [row["status"] for row in rows] == ["disagrees", "disagrees", "agrees"]
    assert [row["out_of_fold"] for row in rows] == [True, True, False]
    # Nor does the model speak for the tracks that it knows by heart.
    assert [[t["genre"] for t in row["tracks"]] for row in rows] == [["Jazz"] * 2, ["Rock"] * 2, ["Folk"] * 2]  # fmt: skip
    assert [[t["alone"] for t in row["tracks"]] for row in rows] == [[False] * 2] * 2 + [[True] * 2]


def test_an_album_with_any_known_track_is_answered_by_the_album_of_most_of_them():
    now = tracks_of([1])
    one = Tracks(
        [*now.track_id, 99], [0] * 3, GENRES, artist_id=[1] * 3, album_id=[1] * 3,
        path=[*now.path, "/m/new.mp3"], columns={"duration": [*now.columns["duration"], 7.0]},
    )  # fmt: skip
    judged = Learned(now, said(now, [JAZZ])).judge(said(one, [FOLK]))
    np.testing.assert_allclose(judged.predictions.logits, [JAZZ])


def test_without_answers_out_of_fold_nothing_that_was_learned_may_disagree():
    now = tracks_of([1, 2])
    judged = Learned(tracks_of([1])).judge(said(now, [ROCK, ROCK]))
    assert judged.in_training == [True, False]
    assert not judged.held_out.any()
    rows = album_rows(said(now, [ROCK, ROCK]), judged=judged)
    assert [row["status"] for row in rows] == ["unsure", "disagrees"]
    assert [row["genre"] for row in rows] == ["Rock", "Rock"]


def test_genres_in_another_order_are_the_same_and_other_genres_are_no_answer():
    now = tracks_of([1])
    turned = ("Rock", "Folk", "Jazz")
    there = said(tracks_of([1], genres=turned), [[5, 1, 2]])
    judged = Learned(now, there).judge(said(now, [FOLK]))
    np.testing.assert_array_equal(judged.predictions.logits, [[1, 2, 5]])
    other = said(tracks_of([1], genres=("Folk", "Jazz", "Polka")), [[5, 1, 2]])
    assert not Learned(now, other).judge(said(now, [FOLK])).held_out.any()


def test_a_prior_counts_out_of_fold_too():
    now, even = tracks_of([1]), np.full(3, 1 / 3)
    wanted = {"Folk": 0.0, "Jazz": 0.0, "Rock": 1.0}
    judged = Learned(now, said(now, [JAZZ])).judge(
        said(now, [FOLK]), prior=wanted, trained=TrainedPrior(even, even, even)
    )
    assert judged.predictions.best.tolist() == [2]


def test_an_album_whose_genre_nobody_else_plays_is_the_models_own_and_never_disagrees():
    now = tracks_of([1, 2])
    there = said(tracks_of([1, 2], labels=[-1, 0]), [JAZZ, JAZZ])
    judged = Learned(now, there).judge(said(now, [ROCK, ROCK]))
    assert judged.in_training == [True, True]
    assert judged.held_out.tolist() == [False, True]
    np.testing.assert_array_equal(judged.predictions.logits, [ROCK, JAZZ])
    rows = album_rows(said(now, [ROCK, ROCK]), judged=judged)
    assert [row["status"] for row in rows] == ["unsure", "disagrees"]


@given(shares, shares, shares, st.sampled_from([0.0, 0.5, 1.0]))
def test_out_of_fold_genres_are_as_frequent_as_in_the_models_own_answers(here, there, wanted, tau):
    """What the library's shares are is told by its albums, not by those of the training."""
    now, learned = tracks_of([1, 2, 3, 4]), tracks_of([1, 2])
    trained = TrainedPrior(here, here, here, here, tau)
    mine = replace(said(now, [FOLK, FOLK, JAZZ, ROCK]), decision=Decision(here, here, tau))
    other = replace(said(learned, [JAZZ, ROCK]), decision=Decision(there, there, 0.0))
    likely = np.exp(np.array([JAZZ, ROCK])) / there
    for prior in (None, "estimate", dict(zip(GENRES, wanted.tolist(), strict=True))):
        asked = mine if prior is None else reprior(mine, prior, trained=trained)
        judged = Learned(learned, other).judge(asked, prior=prior, trained=trained)
        assert judged.held_out.tolist() == [True, True, False, False]
        expected = likely * asked.decision.bags
        np.testing.assert_allclose(
            judged.predictions.probabilities[:2],
            expected / expected.sum(axis=1, keepdims=True),
            rtol=1e-4,
        )
        rare = likely * asked.decision.bags ** (1 - tau)
        best = rare[[0, 1], judged.predictions.balanced[:2]]
        np.testing.assert_allclose(best, rare.max(axis=1), rtol=1e-4)
        np.testing.assert_array_equal(judged.predictions.logits[2:], asked.logits[2:])


def test_any_track_of_an_album_makes_it_known():
    known, now = tracks_of([1, 2]), tracks_of([1, 2, 3])
    bags = Bags.from_tracks(now)
    assert Learned(known.take([0, 2])).knows(now, bags).tolist() == [True, True, False]
    assert Learned(known).knows(now, bags.take([2, 1])).tolist() == [False, True]


def test_a_track_is_known_by_its_path_or_where_the_library_moved_by_id_and_length():
    known = tracks_of([1, 2])
    assert rows_in(known, known).tolist() == [0, 1, 2, 3]
    assert rows_in(tracks_of([2, 1], root="/elsewhere"), known).tolist() == [2, 3, 0, 1]
    # Another library has other music in the same place.
    lengths = {"duration": known.columns["duration"] + 9}
    another = Tracks(known.track_id, known.labels, GENRES, path=["/x/a", "/x/b", "/x/c", "/x/d"], columns=lengths)  # fmt: skip
    assert rows_in(another, known).tolist() == [-1] * 4
    nameless = Tracks(known.track_id, known.labels, GENRES)
    assert rows_in(nameless, nameless).tolist() == [-1] * 4  # nothing says that they are the same


@pytest.fixture
def run(tmp_path):
    run = Run.create(tmp_path / "run", kind="train", settings={}, seed=0)
    split = ["training", "validation", "test", "training"]
    run.save_tracks(tracks_of([1, 2, 3, 4], labels=[0, 1, 2, -1], split=split))
    Tagger().save(run.model)
    return run


def test_a_run_says_what_it_has_learned_from(run):
    run.finish()
    learned = Learned.of(run.path)
    assert learned.tracks.track_id.tolist() == [10, 11, 20, 21]  # not the test, nor the unlabelled
    assert learned.predictions is None
    run.save_predictions(OUT_OF_FOLD, said(tracks_of([1]), [JAZZ]))
    assert len(Learned.of(run.model).predictions) == 1
    assert isinstance(load_model(run.path), Tagger)


def test_a_model_without_its_run_says_nothing(run, tmp_path):
    assert Learned.of(run.path / "predictions") is None
    run.model.rename(tmp_path / "model")
    assert Learned.of(tmp_path / "model") is None
    with pytest.raises(DataError, match="does not exist"):
        load_model(tmp_path / "none")
