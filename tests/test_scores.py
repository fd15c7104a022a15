import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored import GENRES, TRAIN, catalogue, predictions, several_genres
from sklearn import metrics as sk

from matt.bags import Bags
from matt.errors import DataError
from matt.evaluation.intervals import bootstrap
from matt.evaluation.scores import by_shot, by_size, score
from matt.predictions import Predictions
from matt.tracks import Tracks


def mixed():
    """Bag 0 holds four tracks of A and B and is called A; bags of one and two, and a huge one."""
    sizes, n = [4, 1, 2, 11], 18
    labels = np.repeat([0, 1, 0, 1], sizes)
    labels[3] = 1
    artist = np.repeat([7, 8, 7, 9], sizes)
    tracks = Tracks(np.arange(n), labels, ("A", "B"), artist_id=artist, album_id=artist)
    bags = Bags(np.arange(n), np.cumsum([0, *sizes]), [0, 1, 0, 1], ("A", "B"), [200, 12])
    return Predictions(bags, tracks, np.eye(2, dtype=np.float32)[[0, 0, 1, 1]])


def test_sizes_by_hand_in_either_unit():
    bag, spread = by_size(mixed()), by_size(mixed(), unit="track_of_bag")
    assert list(bag) == list(spread) == ["1", "2-3", "4-9", "10+"]
    assert [s.n for s in bag.values()] == [1, 1, 1, 1]
    assert [s.n for s in spread.values()] == [1, 2, 4, 11]
    assert [s.accuracy for s in bag.values()] == [0, 0, 1, 1]
    # The track of B in bag 0 is wrong under its own label, though the bag is right.
    assert [s.accuracy for s in spread.values()] == [0, 0, 3 / 4, 1]
    assert bag["4-9"].n_artists == 1


@given(st.integers(0, 99), st.sampled_from(["bag", "track_of_bag"]))
def test_sizes_divide_the_items(seed, unit):
    some = predictions(catalogue(seed), seed)
    whole, parts = score(some, unit=unit), by_size(some, unit=unit)
    assert sum(s.n for s in parts.values()) == whole.n
    hits = sum(s.n * s.accuracy for s in parts.values() if s.n)
    assert hits == pytest.approx(whole.n * whole.accuracy)
    for s in parts.values():
        assert s.tail_rule == whole.tail_rule
        assert s.n or s.reasons["accuracy"] == "no item has a known genre"


def test_lone_tracks_are_told_apart_by_their_albums():
    tracks = catalogue(1)
    alone, albums = predictions(tracks, by="track"), Bags.from_tracks(tracks)
    assert by_size(alone)["1"].n == score(alone).n
    parts = by_size(alone, bags=albums)
    size = dict(zip(albums.track_ids, np.repeat(albums.sizes, albums.sizes), strict=True))
    known = alone.bags.track_ids[alone.bags.known]
    expected = sum(2 <= size[track] <= 3 for track in known)
    assert parts["2-3"].n == expected > 0
    assert {s.unit for s in parts.values()} == {"track"}
    with pytest.raises(DataError, match="predicted tracks are in none of the bags"):
        by_size(alone, bags=albums.take(np.arange(5)))


def test_shots_by_hand():
    some = predictions(catalogue(2))
    spread = some.per_track()
    known = spread.labels >= 0
    y, p = spread.labels[known], spread.probabilities[known]
    shots = {shot.name: shot for shot in by_shot(some)}
    assert [shot.rule for shot in shots.values()] == ["> 100", "20-100", "< 20", "< 100", "< 200"]
    assert [shot.n_genres for shot in shots.values()] == [3, 2, 2, 4, 5]
    for name, genres in {"many": TRAIN > 100, "few": TRAIN < 20, "below_200": TRAIN < 200}.items():
        shot, inside = shots[name], genres[y]
        assert shot.n == inside.sum()
        recall = sk.recall_score(
            y, p.argmax(axis=1), labels=np.flatnonzero(genres), average="macro"
        )
        assert shot.recall == pytest.approx(recall)
        for k in (2, 3, 5):
            top = sk.top_k_accuracy_score(y[inside], p[inside], k=k, labels=range(len(GENRES)))
            assert getattr(shot, f"top_{k}") == pytest.approx(top)
        ap = [sk.average_precision_score(y == g, p[:, g]) for g in np.flatnonzero(genres)]
        assert shot.macro_ap == pytest.approx(np.mean(ap))


@pytest.mark.parametrize(
    ("n_train", "name"),
    [(101, "many"), (100, "medium"), (20, "medium"), (19, "few"), (0, "few")],
)
def test_the_edges_of_shots(n_train, name):
    train = np.array([n_train, *TRAIN[1:]])
    before = {shot.name: shot.n_genres for shot in by_shot(predictions(catalogue(2)))}
    after = {s.name: s.n_genres for s in by_shot(predictions(catalogue(2), train=train))}
    assert after[name] - before[name] == (name != "many")


def test_intervals_of_shots_are_those_of_the_bootstrap():
    some = predictions(catalogue(3))
    made = bootstrap(some, unit="track_of_bag", rounds=49, seed=2)
    for shot in by_shot(some, rounds=49, seed=2):
        assert shot.intervals["recall"] == made.interval(f"{shot.name}_recall")
        assert shot.intervals["top_3"] == made.interval(f"{shot.name}_top_3")
    assert by_shot(some)[0].intervals == {}


def test_several_genres_have_recall_and_average_precision_by_shot_and_size():
    some = predictions(several_genres(), link="sigmoid")
    for shot in by_shot(some, rounds=9):
        assert np.isnan(shot.top_2)
        assert min(shot.recall, shot.macro_ap) > 0
    assert by_size(some)["2-3"].micro_ap > 0
