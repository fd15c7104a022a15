import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, DataError, Tracks

GENRES = ("Folk", "Jazz", "Rock")
ROWS = st.lists(
    st.tuples(st.integers(-1, 4), st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=20
)  # (album, artist, genre) of each track


def tracks_of(rows, **more):
    albums, artists, genres = np.array(rows).T
    ids = 100 + np.arange(len(rows))[::-1]
    return Tracks(ids, genres, GENRES, artist_id=artists, album_id=albums, **more)


def contents(bags):
    return [set(ids.tolist()) for ids in np.split(bags.track_ids, bags.offsets[1:-1])]


@given(ROWS)
def test_tracks_share_a_bag_exactly_when_they_share_album_and_artist(rows):
    tracks = tracks_of(rows)
    bags = Bags.from_tracks(tracks)
    owner = {track: number for number, ids in enumerate(contents(bags)) for track in ids}
    for i, one in enumerate(tracks.track_id):
        for j, other in enumerate(tracks.track_id):
            same = i == j or (rows[i][:2] == rows[j][:2] and -1 not in rows[i][:2])
            assert (owner[one] == owner[other]) == same


@given(ROWS)
def test_label_is_a_most_frequent_known_genre_and_ties_go_to_the_rarer(rows):
    tracks = tracks_of(rows)
    bags = Bags.from_tracks(tracks)
    counts = tracks.train_counts
    for label, ids in zip(bags.labels, contents(bags), strict=True):
        known = [genre for genre in tracks.labels[tracks.rows(list(ids))] if genre >= 0]
        if not known:
            assert label == -1
            continue
        votes = np.bincount(known, minlength=len(GENRES))
        assert votes[label] == votes.max()
        assert counts[label] == min(
            counts[genre] for genre in range(3) if votes[genre] == votes.max()
        )


@given(ROWS)
def test_a_bag_of_one_has_the_genre_of_its_track(rows):
    tracks = tracks_of(rows)
    bags = Bags.from_tracks(tracks, by="track")
    assert (bags.sizes == 1).all()
    np.testing.assert_array_equal(bags.track_ids, tracks.track_id)
    np.testing.assert_array_equal(bags.labels, tracks.labels)


@given(ROWS, st.integers(1, 9), st.integers(0, 99))
def test_batches_hold_every_track_once_under_its_own_label(rows, size, seed):
    def pairs(some):
        return sorted(zip(some.track_ids, np.repeat(some.labels, some.sizes), strict=True))

    bags = Bags.from_tracks(tracks_of(rows))
    batches = list(bags.batches(max_bags=size, rng=np.random.default_rng(seed)))
    assert sorted(sum(map(pairs, batches), [])) == pairs(bags)
    assert all(len(batch) == size for batch in batches[:-1])


@given(ROWS, st.integers(1, 9), st.data())
def test_batches_stay_under_the_cap_unless_a_bag_exceeds_it_alone(rows, cap, data):
    bags = Bags.from_tracks(tracks_of(rows))
    segments = {int(track): data.draw(st.integers(1, 4)) for track in bags.track_ids}
    counts = np.array([segments[int(track)] for track in bags.track_ids])
    batches = list(bags.batches(max_bags=99, max_segments=cap, counts=counts))
    assert sum(map(len, batches)) == len(bags)
    for batch in batches:
        total = sum(segments[int(track)] for track in batch.track_ids)
        assert total <= cap or len(batch) == 1


@given(ROWS, st.data())
def test_take_gives_the_chosen_bags_in_order(rows, data):
    bags = Bags.from_tracks(tracks_of(rows))
    which = data.draw(st.lists(st.integers(0, len(bags) - 1)))
    taken = bags.take(which)
    assert contents(taken) == [contents(bags)[bag] for bag in which] or not which
    np.testing.assert_array_equal(taken.labels, bags.labels[which])


def test_several_genres_need_half_of_the_known_tracks():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    tracks = Tracks([1, 2, 3, 5, 8], labels, GENRES, artist_id=[1] * 5, album_id=[1, 1, 1, 1, 2])
    bags = Bags.from_tracks(tracks)
    assert bags.labels.tolist() == [[True, True, False], [False, False, False]]
    assert bags.known.tolist() == [True, False]


@given(st.lists(st.tuples(st.integers(0, 4), st.sets(st.integers(0, 6))), min_size=1, max_size=20))
def test_several_genres_agree_with_counting_bag_by_bag(rows):
    labels = np.array([[genre in held for genre in range(7)] for _, held in rows])
    albums = [album for album, _ in rows]
    tracks = Tracks(
        np.arange(len(rows)), labels, tuple("abcdefg"), artist_id=albums, album_id=albums
    )
    bags = Bags.from_tracks(tracks)
    for ids, label in zip(np.split(bags.track_ids, bags.offsets[1:-1]), bags.labels, strict=True):
        held = labels[ids][labels[ids].any(axis=1)]
        expected = 2 * held.sum(axis=0) >= max(len(held), 1)
        np.testing.assert_array_equal(label, expected)


def test_any_columns_make_bags():
    tracks = tracks_of([(1, 1, 0)] * 4, columns={"run": np.array(["x", "y", "", ""])})
    assert Bags.from_tracks(tracks, by="run").sizes.tolist() == [1, 1, 1, 1]
    assert Bags.from_tracks(tracks, by=["artist_id"]).sizes.tolist() == [4]
    with pytest.raises(DataError, match="cannot group by 'runs'; did you mean 'run'"):
        Bags.from_tracks(tracks, by="runs")


def test_counts_and_ties_come_from_the_training_tracks_of_the_whole_table():
    split = ["training"] * 3 + ["test"] * 2
    rows = [(1, 1, 0), (1, 1, 0), (2, 1, 2), (3, 1, 0), (3, 1, 2)]
    bags = Bags.from_tracks(tracks_of(rows, split=split), split="test")
    assert bags.train_counts.tolist() == [2, 0, 1]
    assert bags.labels.tolist() == [2]  # a tie between Folk and Rock: Rock is rarer in training


@pytest.mark.parametrize("room", [{"max_bags": 0}, {"max_bags": 2, "max_segments": 0}])
def test_a_batch_without_room_is_refused(room):
    with pytest.raises(DataError, match="a batch needs room"):
        list(Bags([1, 2], [0, 1, 2], [0, 1]).batches(**room))


def test_a_label_that_names_nothing_is_refused():
    with pytest.raises(DataError, match="label -2 names no genre"):
        Bags([1, 2], [0, 1, 2], [0, -2])


def test_labelled_keeps_known_bags():
    bags = Bags.from_tracks(tracks_of([(1, 1, 0), (2, 1, -1), (3, 1, 2)]))
    assert bags.labelled().labels.tolist() == [0, 2]
    with pytest.raises(DataError, match="none of 1 bags has a known genre"):
        bags.take([1]).labelled()


def test_no_tracks_is_an_error_with_a_remedy():
    with pytest.raises(DataError, match="check the split"):
        Bags.from_tracks(tracks_of([(1, 1, 0)]).take([]))


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 2], "2 labels need 3 offsets, got 2"),
        ([0, 1, 2], r"from 0 to n=3, got 0 to 2"),
        ([0, 3, 3], r"1 of 2 bags are empty \(first: bag 1\)"),
    ],
)
def test_impossible_bags_are_refused(offsets, message):
    with pytest.raises(DataError, match=message):
        Bags(np.arange(3), np.array(offsets), np.zeros(2, int))


@given(ROWS)
def test_a_frame_of_pandas_loses_nothing(rows):
    bags = Bags.from_tracks(tracks_of(rows), by="album")
    frame = bags.to_pandas()
    starts = np.flatnonzero(np.diff(frame["bag"], prepend=-1))
    back = Bags(
        frame["track_id"],
        np.append(starts, len(frame)),
        frame["bag_label"].cat.codes[starts],
        frame.attrs["genres"],
        [frame.attrs["train_counts"][genre] for genre in frame.attrs["genres"]],
    )
    assert contents(back) == contents(bags)
    for name in ("labels", "offsets", "train_counts"):
        np.testing.assert_array_equal(getattr(back, name), getattr(bags, name))
    assert repr(bags).startswith(f"Bags({len(bags)} bags of {len(rows)} tracks; ")


def test_tracks_of_several_genres_keep_their_own_labels():
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]], bool)
    tracks = Tracks([5, 7, 2, 9, 4], labels, ("a", "b", "c"), [1] * 5, album_id=[1, 2, 1, 2, 1])
    bags = Bags.from_tracks(tracks)
    np.testing.assert_array_equal(bags.track_labels, tracks.labels[tracks.rows(bags.track_ids)])
    some = bags.take([1])
    np.testing.assert_array_equal(some.track_labels, tracks.labels[tracks.rows(some.track_ids)])
    single = Tracks([5, 7], [0, 1], ("a", "b"))
    assert Bags.from_tracks(single).track_labels is None
    for given_ in ({"labels": [[True, False]]}, {"labels": [0], "genres": ("a", "b")}):
        with pytest.raises(DataError, match=r"track_labels have shape \(3, 2\)"):
            Bags([1, 2], [0, 2], track_labels=np.zeros((3, 2), bool), **given_)
