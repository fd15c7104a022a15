import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scored import GENRES as SEVEN
from scored import TRAIN, catalogue, predictions

from matt import Bags, DataError, Predictions, Tracks
from matt.evaluation.intervals import paired_bootstrap, sign_flip
from matt.evaluation.scores import by_shot, score, score_with_intervals
from matt.predictions import places_of, read_scores
from matt.tracks import stable_id

GENRES = ("Folk", "Jazz", "Rock")
SEGMENTS = np.array([1, 2, 1, 3, 1])  # of each track


def make(*, by="album", link="softmax", labels=(0, 2, -1, 2, 0), seed=0, **more):
    tracks = Tracks(
        [11, 7, 5, 3, 2],
        np.asarray(labels),
        GENRES,
        artist_id=[1, 1, 4, 4, 4],
        album_id=[9, 9, 8, 8, 8],
        columns={"title": np.array(["a", "b", "<i>", "", "\u03c0"])},
    )
    bags = Bags.from_tracks(tracks, by=by)
    logits = np.random.default_rng(seed).normal(size=(len(bags), 3)).astype(np.float32)
    return Predictions(bags, tracks.take(tracks.rows(bags.track_ids)), logits, link, **more)


def segments(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "segment_offsets": np.concatenate([[0], np.cumsum(SEGMENTS)]),
        "attention": rng.random((SEGMENTS.sum(), 1)).astype(np.float32),
        "segment_logits": rng.normal(size=(SEGMENTS.sum(), 3)).astype(np.float32),
    }


MANY = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]], bool)


@pytest.mark.parametrize("labels", [(0, 2, -1, 2, 0), MANY], ids=["single", "multi"])
@pytest.mark.parametrize(
    "more",
    [{}, segments(), {"thresholds": np.array([0.1, 0.75, 0.5])}],
    ids=["bags", "segments", "thresholds"],
)
def test_saved_predictions_come_back_equal(tmp_path, labels, more):
    before = make(labels=labels, link="sigmoid", **more)
    before.save(tmp_path / "p.parquet")
    after = Predictions.load(tmp_path / "p.parquet")
    assert (after.link, after.genres) == (before.link, before.genres)
    names = ("logits", "attention", "segment_logits", "segment_offsets", "labels", "thresholds")
    for name in names:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(after.bags.offsets, before.bags.offsets)
    np.testing.assert_array_equal(after.train_counts, before.train_counts)
    np.testing.assert_array_equal(after.tracks.columns["title"], before.tracks.columns["title"])
    np.testing.assert_array_equal(after.tracks.labels, before.tracks.labels)


def test_genres_are_given_from_their_thresholds_on_or_one_half():
    some = make(labels=MANY, link="sigmoid", by="track")
    np.testing.assert_array_equal(some.given, some.probabilities >= 0.5)
    limits = some.probabilities[2]
    some = make(labels=MANY, link="sigmoid", by="track", thresholds=limits)
    np.testing.assert_array_equal(some.given, some.probabilities >= limits)
    assert some.given[2].all()
    frame = some.to_pandas()
    assert frame["given"][2] == GENRES
    for moved in (some.take([2, 0]), some.per_track(), some.average_over(some.bags)):
        np.testing.assert_array_equal(moved.thresholds, limits)
    with pytest.raises(DataError, match="given by the link 'sigmoid', not by 'softmax'; use best"):
        _ = make().given


@pytest.mark.parametrize(
    ("link", "limits", "message"),
    [
        ("softmax", [0.5, 0.5, 0.5], "but the link is 'softmax'; leave them out"),
        ("sigmoid", [0.5, 0.5], r"shape \(2,\).* one in \[0, 1\] for each of 3 genres"),
        ("sigmoid", [0.5, 1.5, 0.5], "from 0.5 to 1.5; give one in"),
        ("sigmoid", [0.5, np.nan, 0.5], "give one in"),
    ],
)
def test_thresholds_that_are_none_are_refused(link, limits, message):
    with pytest.raises(DataError, match=message):
        make(labels=MANY, link=link, thresholds=np.array(limits))


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "none"])
def test_a_frame_of_pandas_has_a_row_a_bag(link):
    said = make(link=link, labels=MANY if link == "sigmoid" else (0, 2, -1, 2, 0))
    frame, tracks = said.to_pandas(), said.bags.to_pandas()
    logits = frame[[f"logit.{genre}" for genre in GENRES]].to_numpy()
    np.testing.assert_array_equal(logits, said.logits)
    assert ("probability.Jazz" in frame) == (link != "none")
    if link != "none":
        columns = [f"probability.{genre}" for genre in GENRES]
        np.testing.assert_array_equal(frame[columns].to_numpy(), said.probabilities)
    assert frame["best"].cat.codes.tolist() == said.best.tolist()
    assert frame.attrs["link"] == link
    assert frame["n_tracks"].tolist() == tracks.groupby("bag").size().tolist() == [2, 3]
    joined = tracks.merge(frame, on="bag")
    assert joined["track_id"].tolist() == said.tracks.track_id.tolist()
    assert joined["bag_label_x"].tolist() == joined["bag_label_y"].tolist()


def test_predictions_are_shown_in_one_line():
    words = "Predictions(2 bags of 5 tracks; 3 genres (Folk, Jazz, Rock); link softmax"
    assert repr(make()) == f"{words})"
    assert repr(make(**segments())) == f"{words}, explained by 8 segments)"


def test_probabilities_follow_the_link():
    soft, sigmoid = make(link="softmax"), make(link="sigmoid")
    np.testing.assert_allclose(soft.probabilities, softmax(soft.logits, axis=1), rtol=1e-5)
    np.testing.assert_allclose(sigmoid.probabilities, expit(sigmoid.logits), rtol=1e-5)
    with pytest.raises(DataError, match="no probabilities"):
        make(link="none").probabilities.sum()


@given(st.integers(0, 99))
def test_averaging_is_the_mean_of_the_tracks_probabilities(seed):
    alone = make(by="track", seed=seed)
    album = Bags.from_tracks(alone.tracks)
    expected = [part.mean(axis=0) for part in np.split(alone.probabilities, [2])]
    np.testing.assert_allclose(alone.average_over(album).probabilities, expected, rtol=1e-5)


def test_only_lone_tracks_can_be_averaged():
    album = make()
    with pytest.raises(DataError, match="only predictions of lone tracks"):
        album.average_over(album.bags)


def test_spread_scores_each_track_under_its_own_label():
    album = make()
    tracks = album.per_track()
    assert album.labels.tolist() == [0, 0]  # Folk and Rock tie in votes and counts: the first
    assert tracks.labels.tolist() == [0, 2, -1, 2, 0]
    np.testing.assert_array_equal(tracks.logits, album.logits[[0, 0, 1, 1, 1]])


def test_anyones_csv_is_read_by_name(tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text("Rock,track_id,note,Folk,Jazz\n0.7,3,x,0.2,0.1\n0,11,y,1,0\n")
    tracks = make().tracks
    theirs = Predictions.from_csv(file, tracks)
    np.testing.assert_allclose(theirs.probabilities, [[0.2, 0.1, 0.7], [1, 0, 0]], atol=1e-6)
    assert theirs.labels.tolist() == [2, 0]
    np.testing.assert_array_equal(theirs.train_counts, tracks.train_counts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("track_id,Folk,Jazz\n3,0,1\n", r"1 columns are missing \(first: Rock\)"),
        ("track_id,Folk,Jazz,Rock\n3,0,1,x\n", "line 2: could not convert"),
        ("track_id,Folk,Jazz,Rock\n3,0,1,0\n2,0,1,7\n", "line 3: values must be probabilities"),
        ("track_id,Folk,Jazz,Rock\n99,0,1,0\n", r"not in the table \(first: 99\)"),
        ("", "4 columns are missing"),
        ("track_id\n", r"3 columns are missing \(first: Folk, Jazz, Rock\)"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path, text, message):
    file = tmp_path / "theirs.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        Predictions.from_csv(file, make().tracks)


def test_a_csv_that_cannot_be_read_is_told(tmp_path):
    file = tmp_path / "theirs.csv"
    with pytest.raises(DataError, match="cannot read"):
        Predictions.from_csv(file, make().tracks)
    file.write_bytes("track_id,B\u00e4nd\n".encode("latin-1"))
    with pytest.raises(DataError, match="in UTF-8"):
        Predictions.from_csv(file, make().tracks)
    with pytest.raises(DataError, match="did you mean 'softmax'"):
        Predictions.from_csv(file, make().tracks, link="softmax ")
    file.write_text(
        "track_id,Folk,Jazz,Rock\n3,1,0,0\n", encoding="utf-8-sig"
    )  # as Excel writes it
    assert len(Predictions.from_csv(file, make().tracks)) == 1


def test_what_does_not_fit_is_refused():
    good = make()
    with pytest.raises(DataError, match=r"logits have shape \(2, 2\) for 2 bags and 3 genres"):
        Predictions(good.bags, good.tracks, good.logits[:, :2])
    with pytest.raises(DataError, match="in bag order"):
        Predictions(good.bags, good.tracks.take([1, 0, 2, 3, 4]), good.logits)
    with pytest.raises(DataError, match="did you mean 'softmax'"):
        Predictions(good.bags, good.tracks, good.logits, "softmx")
    with pytest.raises(DataError, match="give all or none"):
        make(attention=segments()["attention"])


# Scores from any system, schema matt.scores/1


def tracks(n=5, genres=SEVEN[:3]):
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
    columns = [SEVEN[g] for g in order]
    values = made.probabilities[:, list(order)]
    lines = [[*map(repr, values[i].tolist()), made.tracks.track_id[i]] for i in rows]
    write(path, [*columns, "track_id"], lines)
    again = Predictions.from_csv(path, made.tracks)
    place = again.tracks.rows(made.tracks.track_id)
    np.testing.assert_allclose(again.probabilities[place], made.probabilities, atol=1e-6)
    np.testing.assert_array_equal(again.labels[place], made.labels)


def test_tracks_are_found_by_path_or_by_its_end(tmp_path):
    known, half = tracks(), [0.5, 0.25, 0.25]
    path = write(tmp_path / "p.csv", ["path", *SEVEN[:3]], [["album 1/01.flac", *half]])
    assert Predictions.from_csv(path, known).tracks.track_id.tolist() == [4]
    assert places_of(np.array(["music/album 0/04.flac"]), known.path).tolist() == [4]
    with pytest.raises(DataError, match=r"1 of 1 paths are not in the table \(first: 9.flac\)"):
        places_of(np.array(["9.flac"]), known.path)
    twice = np.array(["a/x.flac", "b/x.flac"])
    with pytest.raises(DataError, match="end of several"):
        places_of(np.array(["x.flac"]), twice)


def test_a_version_may_be_stated_and_another_is_refused(tmp_path):
    rows, header = [[3, 1, 0, 0]], ["track_id", *SEVEN[:3]]
    path = write(tmp_path / "v.csv", header, rows, "# matt.scores/1\n")
    assert read_scores(path, SEVEN[:3]).keys.tolist() == ["3"]
    path = write(tmp_path / "w.csv", header, [[3, 1, "x", 0]], "# schema: matt.scores/1\r\n")
    with pytest.raises(DataError, match="line 3"):
        read_scores(path, SEVEN[:3])
    path = write(tmp_path / "x.csv", header, rows, "# matt.scores/2\n")
    with pytest.raises(DataError, match=r"expected 'matt\.scores/1'"):
        read_scores(path, SEVEN[:3])


@pytest.mark.parametrize(
    ("header", "rows", "link", "message"),
    [
        (["track_id", "Rock", "Folk", "Rock"], [], None, "'Rock' occurs twice"),
        (["track_id", "Rok", "Folk", "Jazz"], [], None, r"first: Rock\).*did you mean 'Rok'"),
        (["track_id", "0", "1", "2"], [], None, "matched by name"),
        (["track_id", *SEVEN[:3]], [[3, 1, 0]], None, "line 2: 3 values for 4 columns"),
        (["track_id", *SEVEN[:3]], [[3, 1, 0, 0]] * 2, None, "line 3: track_id 3 was there"),
        (["track_id", *SEVEN[:3]], [[3, 0.2, 0.2, 0.2]], None, "sum to 0.6, not 1"),
        (["track_id", *SEVEN[:3], "Ska"], [[3, 0.2, 0, 0, 0.8]], None, "left out: Ska"),
        (["track_id", *SEVEN[:3]], [[3, "nan", 0, 0]], "none", "finite"),
        (["track_id", *SEVEN[:3]], [[3, 2, 0, 0]], "sigmoid", "link='none'"),
        (["track_id", "genre"], [[3, "Flok"]], None, "unknown genre 'Flok', did you mean 'Folk'"),
        (["track_id", "genre"], [[3, ""]], None, "line 2: unknown genre ''"),
        (["track_id", "genre"], [[3, "Folk"]], "softmax", "names genres and has no scores"),
        (["track_id", *SEVEN[:3]], [[99, 1, 0, 0]], None, "another data set"),
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
    rows = [[i, SEVEN[g]] for i, g in zip(made.tracks.track_id, made.best, strict=True)]
    path = write(tmp_path / "hard.csv", ["track_id", "genre"], rows)
    labels = Predictions.from_csv(path, made.tracks)
    counts = labels.bags.__class__(
        labels.bags.track_ids, labels.bags.offsets, labels.labels, SEVEN, TRAIN
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


@pytest.mark.parametrize(
    ("ids", "written"),
    [
        (["1", "2"], ["001", "2.0"]),
        (["track_01", "track_02"], ["track_02", " track_01"]),
        (["0f3c-aa", "0f3c-bb"], ["0f3c-bb", "0f3c-aa"]),
        (["007", "x"], ["x", "007"]),
    ],
)
def test_tracks_are_found_under_what_their_table_calls_them(tmp_path, ids, written):
    numbers = [int(i) if "1" in ids else stable_id(i) for i in ids]
    columns = {} if "1" in ids else {"track": np.array(ids)}
    known = Tracks(numbers, [0, 1], SEVEN[:2], columns=columns)
    rows = [[name, 0.5, 0.5] for name in written]
    made = Predictions.from_csv(write(tmp_path / "t.csv", ["track_id", *SEVEN[:2]], rows), known)
    wanted = [
        name.strip().lstrip("0").removesuffix(".0") if "1" in ids else name.strip()
        for name in written
    ]
    expected = [numbers[ids.index(name)] for name in wanted]
    assert made.tracks.track_id.tolist() == expected


def test_a_column_track_that_is_no_id_names_nothing(tmp_path):
    known = Tracks([7, 8], [0, 1], SEVEN[:2], columns={"track": np.array(["8", "7"])})
    path = write(tmp_path / "t.csv", ["track_id", *SEVEN[:2]], [["7", 0.5, 0.5]])
    assert Predictions.from_csv(path, known).tracks.track_id.tolist() == [7]


def test_one_track_in_two_spellings_is_refused(tmp_path):
    rows = [["3", 1, 0, 0], ["03", 1, 0, 0]]
    path = write(tmp_path / "t.csv", ["track_id", *SEVEN[:3]], rows)
    with pytest.raises(DataError, match=r"1 tracks have several rows \(first: 3, 03 are one\)"):
        Predictions.from_csv(path, tracks())


def test_paths_are_known_where_ids_are_paths(tmp_path):
    names = ["blues/1.wav", "rock/1.wav"]
    known = Tracks(
        list(map(stable_id, names)), [0, 1], SEVEN[:2], columns={"track": np.array(names)}
    )
    path = write(tmp_path / "t.csv", ["path", *SEVEN[:2]], [["rock/1.wav", 0.5, 0.5]])
    assert Predictions.from_csv(path, known).labels.tolist() == [1]
