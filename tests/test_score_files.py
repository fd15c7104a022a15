"""Scores from any system, schema matt.scores/1."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import GENRES, TRAIN, catalogue, predictions

from matt.errors import DataError
from matt.evaluation.intervals import paired_bootstrap, sign_flip
from matt.evaluation.scores import by_shot, score, score_with_intervals
from matt.predictions import Predictions
from matt.score_files import places_of, read_scores
from matt.tracks import Tracks


def tracks(n=5, genres=GENRES[:3]):
    paths = [f"music/album {i % 2}/0{i}.flac" for i in range(n)]
    return Tracks(range(3, 3 + n), [i % 3 for i in range(n)], genres, path=paths)


def write(path, header, rows, first=""):
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(first)
        csv.writer(file).writerows([header, *rows])
    return path


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(7)), seed=st.integers(0, 99))
def test_columns_are_matched_by_name_whatever_their_order(tmp_path_factory, order, seed):
    made = predictions(catalogue(seed, n_bags=11), seed, by="track")
    path = tmp_path_factory.mktemp("csv") / "theirs.csv"
    rows = np.random.default_rng(seed).permutation(len(made))
    columns = [GENRES[g] for g in order]
    values = made.probabilities[:, list(order)]
    lines = [[*map(repr, values[i].tolist()), made.tracks.track_id[i]] for i in rows]
    write(path, [*columns, "track_id"], lines)
    again = Predictions.from_csv(path, made.tracks)
    place = again.tracks.rows(made.tracks.track_id)
    np.testing.assert_allclose(again.probabilities[place], made.probabilities, atol=1e-6)
    np.testing.assert_array_equal(again.labels[place], made.labels)


def test_tracks_are_found_by_path_or_by_its_end(tmp_path):
    known, half = tracks(), [0.5, 0.25, 0.25]
    path = write(tmp_path / "p.csv", ["path", *GENRES[:3]], [["album 1/01.flac", *half]])
    assert Predictions.from_csv(path, known).tracks.track_id.tolist() == [4]
    assert places_of(np.array(["music/album 0/04.flac"]), known.path).tolist() == [4]
    with pytest.raises(DataError, match=r"1 of 1 paths are not in the table \(first: 9.flac\)"):
        places_of(np.array(["9.flac"]), known.path)
    twice = np.array(["a/x.flac", "b/x.flac"])
    with pytest.raises(DataError, match="end of several"):
        places_of(np.array(["x.flac"]), twice)


def test_a_version_may_be_stated_and_another_is_refused(tmp_path):
    rows, header = [[3, 1, 0, 0]], ["track_id", *GENRES[:3]]
    path = write(tmp_path / "v.csv", header, rows, "# matt.scores/1\n")
    assert read_scores(path, GENRES[:3]).keys.tolist() == [3]
    path = write(tmp_path / "w.csv", header, [[3, 1, "x", 0]], "# schema: matt.scores/1\r\n")
    with pytest.raises(DataError, match="line 3"):
        read_scores(path, GENRES[:3])
    path = write(tmp_path / "x.csv", header, rows, "# matt.scores/2\n")
    with pytest.raises(DataError, match=r"expected 'matt\.scores/1'"):
        read_scores(path, GENRES[:3])


@pytest.mark.parametrize(
    ("header", "rows", "link", "message"),
    [
        (["track_id", "Rock", "Folk", "Rock"], [], None, "'Rock' occurs twice"),
        (["track_id", "Rok", "Folk", "Jazz"], [], None, r"first: Rock\).*did you mean 'Rok'"),
        (["track_id", "0", "1", "2"], [], None, "matched by name"),
        (["track_id", *GENRES[:3]], [[3, 1, 0]], None, "line 2: 3 values for 4 columns"),
        (["track_id", *GENRES[:3]], [[3, 1, 0, 0]] * 2, None, "line 3: track_id 3 was there"),
        (["track_id", *GENRES[:3]], [[3, 0.2, 0.2, 0.2]], None, "sum to 0.6, not 1"),
        (["track_id", *GENRES[:3], "Ska"], [[3, 0.2, 0, 0, 0.8]], None, "left out: Ska"),
        (["track_id", *GENRES[:3]], [[3, "nan", 0, 0]], "none", "finite"),
        (["track_id", *GENRES[:3]], [[3, 2, 0, 0]], "sigmoid", "link='none'"),
        (["track_id", "genre"], [[3, "Flok"]], None, "unknown genre 'Flok', did you mean 'Folk'"),
        (["track_id", "genre"], [[3, ""]], None, "line 2: unknown genre ''"),
        (["track_id", "genre"], [[3, "Folk"]], "softmax", "names genres and has no scores"),
        (["track_id", *GENRES[:3]], [[99, 1, 0, 0]], None, "another data set"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, header, rows, link, message):
    path = write(tmp_path / "theirs.csv", header, rows)
    with pytest.raises(DataError, match=message):
        Predictions.from_csv(path, tracks(), link=link)


def test_rounded_probabilities_pass(tmp_path):
    """Two digits of many genres do not sum to 1 exactly."""
    rng = np.random.default_rng(0)
    genres = [f"g{i}" for i in range(40)]
    known = Tracks(range(60), rng.integers(40, size=60), genres)
    rows = [[i, *(f"{p:.2f}" for p in rng.dirichlet(np.ones(40)))] for i in range(60)]
    path = write(tmp_path / "r.csv", ["track_id", *genres], rows)
    made = Predictions.from_csv(path, known)
    np.testing.assert_allclose(made.probabilities.sum(axis=1), 1)


@pytest.fixture
def hard(tmp_path):
    """Hard labels of a model, and the model."""
    made = predictions(catalogue(3), by="track")
    rows = [[i, GENRES[g]] for i, g in zip(made.tracks.track_id, made.best, strict=True)]
    path = write(tmp_path / "hard.csv", ["track_id", "genre"], rows)
    labels = Predictions.from_csv(path, made.tracks)
    counts = labels.bags.__class__(
        labels.bags.track_ids, labels.bags.offsets, labels.labels, GENRES, TRAIN
    )
    return made, Predictions(counts, labels.tracks, labels.logits, labels.link)


def test_hard_labels_score_as_the_model_that_they_are_of_and_rank_nothing(hard):
    made, labels = hard
    theirs, ours = score(labels), score(made)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "tail_recall"):
        assert getattr(theirs, name) == getattr(ours, name)
    for name in ("micro_ap", "macro_ap", "top_2", "tail_top_5"):
        assert np.isnan(getattr(theirs, name))
        assert "hard labels" in theirs.reasons[name]
    assert "no probabilities" in theirs.reasons["log_loss"]
    assert all(np.isnan(genre.average_precision) for genre in theirs.genres)
    assert set(score_with_intervals(labels, rounds=9).intervals) >= {"accuracy", "macro_f1"}
    assert "micro_ap" not in score_with_intervals(labels, rounds=9).intervals
    assert all(np.isnan([shot.macro_ap, shot.top_3]).all() for shot in by_shot(labels))


def test_hard_labels_compare_with_scores_where_both_are_defined(hard):
    made, labels = hard
    less, p = paired_bootstrap(made, labels, rounds=9), sign_flip(made, labels, rounds=9)
    assert (less.estimates["macro_f1"], p["macro_f1"]) == (0, 1)
    for name in ("micro_ap", "macro_ap", "top_2", "many_top_3", "log_loss"):
        assert np.isnan([less.estimates[name], p[name]]).all()


def test_scores_with_the_link_none_are_still_ranked():
    some = predictions(catalogue(3), by="track", link="none")
    assert not np.isnan(score(some).micro_ap)
