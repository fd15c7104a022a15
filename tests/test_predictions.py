import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from matt import Bags, DataError, Predictions, Tracks

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
@pytest.mark.parametrize("more", [{}, segments()], ids=["bags", "segments"])
def test_saved_predictions_come_back_equal(tmp_path, labels, more):
    before = make(labels=labels, link="sigmoid", **more)
    before.save(tmp_path / "p.parquet")
    after = Predictions.load(tmp_path / "p.parquet")
    assert (after.link, after.genres) == (before.link, before.genres)
    for name in ("logits", "attention", "segment_logits", "segment_offsets", "labels"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    np.testing.assert_array_equal(after.bags.offsets, before.bags.offsets)
    np.testing.assert_array_equal(after.train_counts, before.train_counts)
    np.testing.assert_array_equal(after.tracks.columns["title"], before.tracks.columns["title"])
    np.testing.assert_array_equal(after.tracks.labels, before.tracks.labels)


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
    tracks = album.spread()
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
