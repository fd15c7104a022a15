"""Albums that sound alike: the nearest by other artists, in the space of any model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, BaselineClassifier, DataError, FeatureStore, NeuralClassifier, Tracks
from matt.features.spec import FeatureSpec
from matt.library.similar import rows_at, similar_albums, space_of
from matt.models.settings import TrainingSettings
from matt.models.tagger import Tagger
from matt.tracks import ALL_ARTISTS


def library(artists, albums, *, others=None, titles=None):
    n = len(artists)
    columns = {ALL_ARTISTS: np.array(others or [""] * n, np.str_)}
    paths = [f"/m/{a}/{b}/{i}.mp3" for i, (a, b) in enumerate(zip(artists, albums, strict=True))]
    return Tracks(
        np.arange(n) + 100, np.zeros(n, np.int64), ("Folk",), artist_id=artists, album_id=albums,
        path=paths, columns=columns,
    )  # fmt: skip


@st.composite
def libraries(draw):
    n = draw(st.integers(2, 12))
    ids = st.integers(-1, 4)
    artists = draw(st.lists(ids, min_size=n, max_size=n))
    albums = draw(st.lists(ids, min_size=n, max_size=n))
    guests = st.lists(st.tuples(st.sampled_from(["", "~"]), st.integers(0, 4)), max_size=3)
    others = [" ".join(f"{sign}{one}" for sign, one in draw(guests)) for _ in range(n)]
    values = st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=3)
    space = np.array([draw(values) for _ in range(n)], np.float32)
    return library(artists, albums, others=others), space, draw(st.integers(0, n - 1))


def people(tracks, row):
    """Everybody whom a row names, read by hand."""
    named = {int(part.strip("~")) for part in str(tracks.columns[ALL_ARTISTS][row]).split()}
    return named | {int(tracks.artist_id[row])} - {-1}


@given(libraries())
def test_no_album_shares_an_artist_and_all_others_are_there_in_order(drawn):
    tracks, space, row = drawn
    bags = Bags.from_tracks(tracks)
    rows = [tracks.rows(part).tolist() for part in np.split(bags.track_ids, bags.offsets[1:-1])]
    me = people(tracks, row)
    expected = [
        some for some in rows if row not in some and not any(me & people(tracks, i) for i in some)
    ]
    if not expected:
        with pytest.raises(DataError, match="by another artist"):
            similar_albums(tracks, space, np.array([row]), most=99)
        return
    found = similar_albums(tracks, space, np.array([row]), most=99)
    assert sorted(f["track_ids"] for f in found) == sorted(
        (np.array(some) + 100).tolist() for some in expected
    )
    likeness = [f["likeness"] for f in found]
    assert likeness == sorted(likeness, reverse=True)
    assert all(-1.0001 <= one <= 1.0001 for one in likeness)


def test_likeness_is_the_cosine_of_the_means():
    tracks = library([1, 2, 2, 3], [1, 2, 2, 3])
    space = np.array([[3, 4], [8, 0], [0, 6], [-3, -4]], np.float32)
    first, last = similar_albums(tracks, space, np.array([0]))
    assert first["likeness"] == pytest.approx((3 * 4 + 4 * 3) / 25, abs=1e-4)
    assert (last["likeness"], last["path"]) == (-1, "/m/3/3/3.mp3")
    assert [len(first["track_ids"]), first["n_tracks"], first["path"]] == [2, 2, "/m/2/2"]
    assert len(similar_albums(tracks, space, np.array([0]), most=1)) == 1


def test_an_album_is_found_by_folder_file_or_link(tmp_path):
    tracks = Tracks(
        [1, 2, 3], [0, 0, 0], ("Folk",),
        path=[str(tmp_path / name) for name in ("One/a.mp3", "One/b.mp3", "One more/c.mp3")],
    )  # fmt: skip
    (tmp_path / "One").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "One")
    assert rows_at(tracks, tmp_path / "One").tolist() == [0, 1]
    assert rows_at(tracks, tmp_path / "link").tolist() == [0, 1]
    assert rows_at(tracks, f"{tmp_path}/One/../One more/").tolist() == [2]
    assert rows_at(tracks, tmp_path / "One" / "b.mp3").tolist() == [1]
    with pytest.raises(DataError, match="name a folder or a file of the library"):
        rows_at(tracks, tmp_path / "Two")


LABELS = np.arange(24) % 2
TRACKS = Tracks(np.arange(24), LABELS, ("Folk", "Rock"), artist_id=np.arange(24), album_id=np.arange(24),
                path=[f"/m/{i}" for i in range(24)])  # fmt: skip


def store_of(width, name="toy"):
    """Two segments a track, of two kinds of sound."""
    rng = np.random.default_rng(0)
    values = np.repeat(4 * LABELS, 2)[:, None] + rng.standard_normal((48, width))
    return FeatureStore.from_arrays(name, TRACKS.track_id, values, 2 * np.arange(25))


@pytest.mark.parametrize("networks", [1, 2])
def test_a_network_a_baseline_and_a_tagger_have_a_space_each(networks):
    store, bags = store_of(5), Bags.from_tracks(TRACKS)
    training = TrainingSettings(epochs=5, n_networks=networks)
    network = NeuralClassifier(training=training).fit(store, bags)
    assert space_of(network, store, TRACKS).shape[1] <= 128 * networks
    for model in (network, BaselineClassifier().fit(store, bags)):
        space = space_of(model, store, TRACKS)
        found = similar_albums(TRACKS, space, np.array([0]), most=6)
        assert {int(LABELS[f["track_ids"][0]]) for f in found} == {0}


def test_the_tagger_hears_more_than_its_tags():
    """What is compared are its values, not the tags, which are a few words of them."""
    spec = FeatureSpec.musicnn()
    values = np.random.default_rng(1).standard_normal((24, 250)).astype(np.float32)
    plain = FeatureStore.from_arrays("musicnn", TRACKS.track_id, values)
    store = FeatureStore(
        spec, plain.track_ids, plain.block, plain.start, plain.n_segments, plain.blocks
    )
    space = space_of(Tagger(), store, TRACKS)
    assert space.shape == (24, 200)
    values[:, 200:] = 0
    np.testing.assert_array_equal(space, space_of(Tagger(), store, TRACKS))


def test_tracks_that_all_sound_the_same_leave_nothing_to_compare():
    store = FeatureStore.from_arrays("toy", TRACKS.track_id, np.ones((24, 3)))
    model = BaselineClassifier().fit(store_of(3), Bags.from_tracks(TRACKS))
    with pytest.raises(DataError, match="sound the same"):
        space_of(model, store, TRACKS)
