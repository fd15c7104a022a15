"""Tracks, features and genres of an indexed tree."""

import numpy as np
import pandas as pd
import pytest
from fma_tree import BIO, TRACKS, features, features_csv, tracks_csv, write

from matt import Bags, ConfigError, DataError
from matt.datasets import fma
from matt.datasets.fma.loading import NAMES, PAPER, descriptors, set_name
from matt.features.kernels.frames import COLUMNS

RANK = {"small": 0, "medium": 1, "large": 2, "full": 2}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = write(tmp_path_factory.mktemp("fma"))
    fma.index(root)
    return root


def chosen(subset):
    return [t for t in TRACKS if RANK[t[4]] <= RANK[subset]]


@pytest.mark.parametrize("subset", RANK)
def test_a_subset_holds_the_smaller_ones(tree, subset):
    tracks = fma.load_tracks(tree, subset)
    rows = chosen(subset)
    assert tracks.track_id.tolist() == [t[0] for t in rows]
    assert tracks.album_id.tolist() == [t[1] for t in rows]
    assert tracks.artist_id.tolist() == [t[2] for t in rows]
    assert tracks.columns["subset"].tolist() == [t[4] for t in rows]
    names = np.array([*tracks.genres, ""])  # -1 is ""
    assert names[tracks.labels].tolist() == [t[5] for t in rows]
    assert tracks.columns["title"].tolist() == [f"Title, {t[0]}" for t in rows]
    assert tracks.columns["duration"].tolist() == [30 + t[0] % 7 for t in rows]


def test_one_split(tree):
    tracks = fma.load_tracks(tree, "full", "test")
    assert tracks.track_id.tolist() == [5, 1486, 155320]
    assert tracks.genres == ("Hip-Hop", "Rock")  # of the subset, not of the split


def test_tracks_without_album_are_bags_of_one(tree):
    bags = Bags.from_tracks(fma.load_tracks(tree, "full"))
    assert sorted(map(list, np.split(bags.track_ids, bags.offsets[1:-1]))) == [
        [2, 3], [5], [10, 20], [1486], [2624], [98565], [155320],
    ]  # fmt: skip


def test_all_genres_of_the_hierarchy_as_labels(tree):
    tracks = fma.load_tracks(tree, "full", labels="all")
    assert tracks.genres == ("Alternative Hip-Hop", "Hip-Hop", "Punk", "Rock")
    titles = {21: "Hip-Hop", 83: "Alternative Hip-Hop", 12: "Rock", 25: "Punk"}
    for row, track in zip(tracks.labels, TRACKS, strict=True):
        found = {genre for genre, on in zip(tracks.genres, row, strict=True) if on}
        assert found == {titles[i] for i in track[7]}
    assert not tracks.labelled[-1]
    assert fma.load_tracks(tree, "small", labels="all").genres == ("Hip-Hop", "Rock")


def test_further_columns_by_flat_name(tree):
    names = ("genre_tags", "artist_bio", "artist_latitude", "track_listens", "artist", "genre_top")
    tracks = fma.load_tracks(tree, "full", columns=names)
    assert tuple(tracks.columns) == names
    columns = tracks.columns
    assert columns["genre_tags"].tolist() == [
        "Hip-Hop", "Alternative Hip-Hop", "Hip-Hop; Punk", "Punk", "Rock", "Rock", "", "Hip-Hop", "",
    ]  # fmt: skip
    assert set(columns["artist_bio"]) == {"", BIO}
    assert np.isnan(columns["artist_latitude"]).tolist() == [t[2] == 1 for t in TRACKS]
    assert columns["track_listens"].dtype == np.int64
    assert columns["artist"][2] == "NA"  # a band, not a missing value
    assert fma.load_tracks(tree, columns=()).columns == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subset": "mediun"}, "no subset 'mediun'; did you mean 'medium'"),
        ({"split": "train"}, "no split 'train'; did you mean 'training'"),
        ({"labels": "tops"}, "unknown labels 'tops'; did you mean 'top'"),
        ({"columns": ["titel"]}, "column 'titel' of tracks; did you mean 'title'"),
        ({"columns": ["track_genres_all"]}, "no further column 'track_genres_all'"),
        ({"columns": ["album_id"]}, "no further column 'album_id'"),
    ],
)
def test_unknown_names_get_a_guess(tree, arguments, message):
    with pytest.raises(DataError, match=message):
        fma.load_tracks(tree, **arguments)


def test_paths_of_the_clips(tmp_path):
    write(tmp_path)
    fma.index(tmp_path)
    assert set(fma.load_tracks(tmp_path).path) == {""}
    for name in ("fma_large", "fma_medium"):
        (tmp_path / name / "000").mkdir(parents=True)
    small, large, full = (
        fma.load_tracks(tmp_path, name).path for name in ("small", "large", "full")
    )
    assert small[-1] == f"{tmp_path}/fma_medium/098/098565.mp3"  # the smallest that holds them
    assert large[-1] == f"{tmp_path}/fma_large/155/155320.mp3"
    assert set(full) == {""}  # clips are no whole tracks
    elsewhere = tmp_path / "disk"
    (elsewhere / "001").mkdir(parents=True)
    assert fma.load_tracks(tmp_path, "full", audio=elsewhere).path[0] == f"{elsewhere}/000/000002.mp3"  # fmt: skip
    assert fma.load_tracks(tmp_path, audio=tmp_path).path[0].endswith("fma_medium/000/000002.mp3")


def test_tables_where_audio_is_expected(tmp_path):
    write(tmp_path)
    fma.index(tmp_path)
    with pytest.raises(DataError, match="holds tables, where audio is expected; name the folder fma_medium"):  # fmt: skip
        fma.load_tracks(tmp_path, audio=tmp_path / "fma_metadata")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no folders 000, 001"):
        fma.load_tracks(tmp_path, audio=tmp_path / "empty")
    with pytest.raises(DataError, match="check the path of the audio"):
        fma.load_tracks(tmp_path, audio=tmp_path / "nowhere")


# Features


SIZES = {
    "chroma": 84, "tonnetz": 42, "mfcc": 140, "centroid": 7, "bandwidth": 7, "contrast": 49,
    "rolloff": 7, "rms": 7, "zcr": 7, "3+6": 189, "3+6+4": 196, "1-9": 518,
}  # fmt: skip


@pytest.mark.parametrize(("groups", "size"), SIZES.items())
def test_the_twelve_sets_of_the_paper(tree, groups, size):
    assert groups in PAPER
    store = fma.load_features(tree, groups, subset="full")
    assert store.spec.shape == (size,)
    frame = pd.read_csv(tree / "fma_metadata/features.csv", index_col=0, header=[0, 1, 2])
    expected = np.concatenate([frame[name].to_numpy() for name in descriptors(groups)], axis=1)
    values, offsets = store.read(frame.index.to_numpy())
    np.testing.assert_array_equal(values, expected.astype(np.float32))
    assert np.diff(offsets).tolist() == [1] * len(frame)


def test_numbers_are_the_nine_sets_in_the_order_of_the_paper():
    for number, (name, long) in enumerate(NAMES.items(), start=1):
        assert descriptors(str(number)) == descriptors(name) == descriptors(long) == (long,)
    assert descriptors("3+6+4") == descriptors(["mfcc", "contrast", "spectral_centroid"])


@pytest.mark.parametrize("subset", RANK)
def test_features_of_a_subset(tree, subset):
    store = fma.load_features(tree, "3+6", subset=subset)
    rows = chosen(subset)
    assert store.track_ids.tolist() == [t[0] for t in rows]
    ids = np.array([t[0] for t in rows][::-1])
    wanted = [i for i, column in enumerate(COLUMNS) if column[0] in ("mfcc", "spectral_contrast")]
    expected = features()[[[t[0] for t in TRACKS].index(i) for i in ids]][:, wanted]
    np.testing.assert_array_equal(store.read(ids)[0], expected.astype(np.float32))


def test_the_order_of_the_columns_in_the_file_does_not_matter(tmp_path):
    order = np.random.default_rng(3).permutation(len(COLUMNS))
    shuffled = features_csv(features()[:, order], columns=[COLUMNS[i] for i in order])
    fma.index(write(tmp_path, features=shuffled))
    store = fma.load_features(tmp_path, "1-9", subset="full")
    values = store.read(np.array([t[0] for t in TRACKS]))[0]
    np.testing.assert_array_equal(values, features().astype(np.float32))


def test_a_file_with_some_descriptors_only(tmp_path):
    some = [i for i, column in enumerate(COLUMNS) if column[0] in ("mfcc", "zcr")]
    content = features_csv(features()[:, some], columns=[COLUMNS[i] for i in some])
    fma.index(write(tmp_path, features=content))
    assert fma.load_features(tmp_path, "mfcc+zcr").spec.shape == (147,)
    with pytest.raises(DataError, match="holds no tonnetz"):
        fma.load_features(tmp_path, ("mfcc", "tonnetz"))


def test_the_fault_triple_chroma_repeats_one_chroma(tree):
    ids = np.array([t[0] for t in TRACKS])
    right = fma.load_features(tree, subset="full")
    wrong = fma.load_features(tree, subset="full", faults=["triple_chroma"])
    assert right.spec.digest != wrong.spec.digest
    values, sound = wrong.read(ids)[0], right.read(ids)[0]
    assert values.shape == sound.shape
    assert len(np.unique(values, axis=1).T) == 350
    for start in (0, 84, 168):
        np.testing.assert_array_equal(values[:, start : start + 84], sound[:, :84])
    np.testing.assert_array_equal(values[:, 252:], sound[:, 252:])


@pytest.mark.parametrize(
    ("groups", "faults", "message"),
    [
        ("mfc", (), "unknown features 'mfc'; did you mean 'mfcc'"),
        ("3+10", (), "unknown features '10'"),
        ("3+mfcc", (), "name a descriptor twice"),
        ([], (), "or none"),
        ("1-9", ["triple_croma"], "unknown fault 'triple_croma'; did you mean 'triple_chroma'"),
        ("3+6", ["triple_chroma"], "concerns all three chromas"),
    ],
)
def test_wrong_names_of_features(groups, faults, message):
    with pytest.raises(ConfigError, match=message):
        descriptors(groups, faults=faults)


def test_the_name_of_a_set_does_not_depend_on_how_it_is_said():
    assert set_name("3+6") == set_name("mfcc+contrast") == set_name(("3", "6"))
    assert set_name("6+3") != set_name("3+6")  # other columns


@pytest.fixture
def holes(tmp_path):
    values = features()
    ids = [t[0] for t in TRACKS]
    values[ids.index(20), 5] = np.nan  # chroma_cens
    values[ids.index(3)] = np.nan
    values[ids.index(2624), -1] = np.inf  # zcr
    fma.index(write(tmp_path, features=features_csv(values)))
    return tmp_path


def test_rows_without_values_are_left_out_and_told(holes):
    store = fma.load_features(holes, "1-9", subset="full")
    assert store.failures["track_id"].tolist() == [3, 20, 2624]
    assert set(store.failures["reason"]) == {"NaN or infinite values"}
    assert store.track_ids.tolist() == [2, 5, 10, 1486, 98565, 155320]
    tracks = fma.load_tracks(holes, "full").drop(store.failures["track_id"])
    assert np.isfinite(store.read(tracks.track_id)[0]).all()


def test_only_the_columns_in_question_count(holes):
    store = fma.load_features(holes, "mfcc", subset="full")
    assert store.failures["track_id"].tolist() == [3]


def test_rows_without_values_may_be_an_error(holes):
    with pytest.raises(
        DataError, match=r"2 of 6 tracks have NaN or infinite values \(first: 3, 20\)"
    ):
        fma.load_features(holes, unknown="error")
    with pytest.raises(DataError, match="unknown is 'eror'; did you mean 'error'"):
        fma.load_features(holes, unknown="eror")


def test_echonest(tree):
    audio = fma.load_echonest(tree)
    assert audio.spec.shape == (2,)
    assert audio.failures["track_id"].tolist() == [20]
    np.testing.assert_array_equal(audio.read(np.array([3]))[0], [[0.25, 0.5]])
    temporal = fma.load_echonest(tree, "temporal_features")
    np.testing.assert_array_equal(temporal.read(np.array([20, 3]))[0], [range(5, 10), range(5)])
    with pytest.raises(DataError, match="did you mean 'audio_features'"):
        fma.load_echonest(tree, "audio_feature")


def test_features_that_fmas_own_script_wrote(tmp_path, shared_data):
    content = (shared_data / "fma_clips" / "features_fma_script.csv").read_text()
    frame = pd.read_csv(shared_data / "fma_clips" / "features_fma_script.csv", index_col=0, header=[0, 1, 2])  # fmt: skip
    tracks = [(i, 1, 1, "training", "small", "Rock", [12], [12]) for i in frame.index]
    made = fma.index(write(tmp_path, features=content, tracks=tracks_csv(tracks), echonest=None))
    assert made.counts["with features"] == len(frame) == 10
    values = fma.load_features(tmp_path, "mfcc").read(frame.index.to_numpy())[0]
    np.testing.assert_allclose(values, frame["mfcc"], rtol=1e-6)


# Genres


def test_the_hierarchy(tree):
    genres = fma.load_genres(tree)
    assert len(genres) == 4
    assert genres.path(25) == ("Rock", "Punk")
    assert [g.title for g in genres.roots] == ["Hip-Hop", "Rock"]
    assert [g.genre_id for g in genres.children(21)] == [83]
    assert genres.find("PUNK").n_tracks == 3
    with pytest.raises(DataError, match="did you mean 'Punk'"):
        genres.find("Pnuk")
    with pytest.raises(DataError, match="no genre with the id 1"):
        genres.path(1)


def test_genres_that_share_a_title_stay_apart(tmp_path):
    lines = ["genre_id,#tracks,parent,title,top_level", "12,5,0,Rock,12", "21,7,0,Hip-Hop,21"]
    lines += ["25,3,12,Live,12", "83,2,21,Live,21"]
    fma.index(write(tmp_path, genres="\n".join(lines) + "\n", tracks=tracks_csv()))
    assert fma.load_tracks(tmp_path, "full", labels="all").genres == (
        "Hip-Hop", "Live (25)", "Live (83)", "Rock",
    )  # fmt: skip
