"""The simulated FMA: read by FMA's own way of reading, counted against FMA's own counts."""

import ast
import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, ConfigError, DataError
from matt.datasets import fma
from matt.datasets.fma.simulate import simulate, write_tree
from matt.datasets.invented.catalogue import (
    FMA_GENRES,
    SUBSETS,
    BagSizes,
    apportion,
    medium_counts,
    plan_fma,
)
from matt.datasets.invented.features import BLOCK, Hierarchy
from matt.features.kernels.frames import COLUMNS
from tools.fit_bag_sizes import fit, probabilities

# Training, validation and test tracks of FMA-medium.
MEDIUM = {
    "Rock": (5681, 711, 711),
    "International": (814, 102, 102),
    "Folk": (1215, 152, 152),
    "Experimental": (1801, 225, 225),
    "Instrumental": (1045, 131, 174),
    "Pop": (945, 122, 119),
    "Hip-Hop": (1761, 220, 220),
    "Electronic": (5050, 632, 632),
    "Soul-RnB": (94, 18, 42),
    "Blues": (58, 8, 8),
    "Old-Time / Historic": (408, 51, 51),
    "Jazz": (306, 39, 39),
    "Country": (142, 18, 18),
    "Classical": (495, 62, 62),
    "Spoken": (94, 12, 12),
    "Easy Listening": (13, 2, 6),
}
TOP_IDS = {
    "Rock": 12,
    "International": 2,
    "Folk": 17,
    "Experimental": 38,
    "Instrumental": 1235,
    "Pop": 10,
    "Hip-Hop": 21,
    "Electronic": 15,
    "Soul-RnB": 14,
    "Blues": 3,
    "Old-Time / Historic": 8,
    "Jazz": 4,
    "Country": 9,
    "Classical": 5,
    "Spoken": 20,
    "Easy Listening": 13,
}
SPLITS = ("training", "validation", "test")
SMALL_GENRES = {
    "Electronic",
    "Experimental",
    "Folk",
    "Hip-Hop",
    "Instrumental",
    "International",
    "Pop",
    "Rock",
}
N_SMALL_TREE = 130


def load_as_fma_does(path):
    """What FMA's own loader does with its files."""
    if "features" in path.name:
        return pd.read_csv(path, index_col=0, header=[0, 1, 2])
    if "genres" in path.name:
        return pd.read_csv(path, index_col=0)
    tracks = pd.read_csv(path, index_col=0, header=[0, 1])
    lists = [("track", "tags"), ("album", "tags"), ("artist", "tags")]
    for column in [*lists, ("track", "genres"), ("track", "genres_all")]:
        tracks[column] = tracks[column].map(ast.literal_eval)
    dates = [("track", "date_created"), ("track", "date_recorded"), ("album", "date_created")]
    dates += [("album", "date_released"), ("artist", "date_created")]
    dates += [("artist", "active_year_begin"), ("artist", "active_year_end")]
    for column in dates:
        tracks[column] = pd.to_datetime(tracks[column])
    subsets = pd.CategoricalDtype(categories=("small", "medium", "large"), ordered=True)
    tracks["set", "subset"] = tracks["set", "subset"].astype(subsets)
    words = [("track", "genre_top"), ("track", "license"), ("album", "type")]
    for column in [*words, ("album", "information"), ("artist", "bio")]:
        tracks[column] = tracks[column].astype("category")
    return tracks


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated")
    write_tree(root, n_tracks=N_SMALL_TREE, seed=3, audio=True, seconds=0.5)
    return root


def plan(n_tracks, *, seed):
    """Columns of the plan; splits and subsets as numbers, the smallest subset first."""
    catalogue, tracks = plan_fma(n_tracks, seed=seed)
    return SimpleNamespace(
        catalogue=catalogue,
        track_id=tracks.track_id,
        artist_id=tracks.artist_id,
        album_id=tracks.album_id,
        album=catalogue.album,
        sound=catalogue.genre,
        label=tracks.labels,
        split=np.array([SPLITS.index(split) for split in tracks.split]),
        subset=np.array([SUBSETS.index(subset) for subset in tracks.columns["subset"]]),
        place=catalogue.place,
    )


@pytest.fixture(scope="module")
def medium():
    """FMA-medium's catalogue, without the features."""
    return plan(25_000, seed=0)


@pytest.fixture(scope="module")
def everything():
    return plan(106_574, seed=1)


# --- counts -------------------------------------------------------------------------------------


def test_medium_has_the_counts_of_fma(medium):
    assert list(FMA_GENRES) == sorted(MEDIUM)
    for label, genre in enumerate(FMA_GENRES):
        found = [int(((medium.label == label) & (medium.split == s)).sum()) for s in range(3)]
        assert tuple(found) == MEDIUM[genre], genre
    assert np.bincount(medium.split).tolist() == [19_922, 2_505, 2_573]
    assert (medium.album_id >= 0).all()


def test_the_small_subset_has_a_thousand_tracks_of_eight_genres(medium):
    for label, genre in enumerate(FMA_GENRES):
        here = (medium.subset == 0) & (medium.label == label)
        wanted = [800, 100, 100] if genre in SMALL_GENRES else [0, 0, 0]
        assert np.bincount(medium.split[here], minlength=3).tolist() == wanted, genre


def test_everything_has_the_counts_of_fma(everything):
    assert len(everything.catalogue) == len(everything.label) == 106_574
    assert np.bincount(everything.split).tolist() == [84_353, 10_958, 11_263]
    assert np.bincount(everything.subset).tolist() == [8_000, 17_000, 81_574]
    within = everything.subset < 2
    for label, genre in enumerate(FMA_GENRES):
        here = within & (everything.label == label)
        assert tuple(np.bincount(everything.split[here], minlength=3)) == MEDIUM[genre]
    # FMA: 1,025 tracks without an album; the last album that fits is not cut.
    assert 1_025 - 60 < (everything.album_id < 0).sum() <= 1_025
    assert (everything.album_id[within] >= 0).all()
    assert 0.65 < (everything.label < 0).sum() / (~within).sum() < 0.75


@given(st.integers(50, 25_000))
def test_every_genre_is_in_every_split_at_any_size(n):
    counts = medium_counts(n)
    assert counts.sum() == n
    assert counts.min() >= 1
    # In proportion, but for rounding and the one that every cell has.
    full = np.array([MEDIUM[genre] for genre in FMA_GENRES])
    assert np.abs(counts - full * n / 25_000).max() <= 1 + 48 * full.max() / 25_000


@given(st.integers(0, 999), st.lists(st.floats(0.01, 100), min_size=1, max_size=7))
def test_shares_are_rounded_up_or_down_and_add_up(total, shares):
    parts = apportion(total, np.array(shares))
    exact = total * np.array(shares) / sum(shares)
    assert parts.sum() == total
    assert (np.abs(parts - exact) < 1 + 1e-9).all()


def test_ids_are_unique_and_begin_with_2(everything):
    assert everything.track_id[0] == 2
    assert (np.diff(everything.track_id) > 0).all()
    assert everything.track_id[-1] <= 155_320


# --- bags, artists, purity ----------------------------------------------------------------------


def frame(catalogue):
    names = ("album_id", "artist_id", "label", "split", "subset", "place", "album")
    return pd.DataFrame({name: getattr(catalogue, name) for name in names})


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_medium_has_as_many_bags_as_fma(seed):
    table = frame(plan(25_000, seed=seed))
    test, training = table[table.split == 2], table[table.split == 0]
    assert test.groupby(["album_id", "artist_id"]).ngroups == 750
    assert 6_000 <= training.groupby(["album_id", "artist_id", "label"]).ngroups < 7_000


def test_bags_have_the_shape_of_a_catalogue(medium):
    sizes = frame(medium).groupby(["album_id", "artist_id"]).size()
    assert sizes.max() <= 50  # as in FMA-medium
    assert 0.25 < (sizes == 1).mean() < 0.45  # a third at Jamendo
    assert sizes.median() == 2
    assert (sizes >= 8).mean() > 0.05  # albums beside singles


def test_no_artist_and_no_album_is_in_two_splits(medium, everything):
    for catalogue in (medium, everything):
        table = frame(catalogue)
        assert table.groupby("artist_id").split.nunique().max() == 1
        known = table[table.album_id >= 0]
        assert known.groupby("album_id").split.nunique().max() == 1
        assert known.groupby("album_id").artist_id.nunique().max() == 1


def test_some_artists_have_several_albums(medium):
    albums = frame(medium).groupby("artist_id").album_id.nunique()
    assert 1.2 < albums.mean() < 1.5
    assert albums.max() > 5


@pytest.mark.parametrize("split", range(3))
def test_about_one_track_in_a_hundred_is_not_of_its_albums_genre(medium, split):
    table = frame(medium)[medium.split == split]
    most = table.groupby("album_id").label.agg(lambda labels: labels.value_counts().iloc[0])
    impure = len(table) - most.sum()
    assert 0.008 < impure / len(table) < 0.012


def test_tracks_of_an_album_are_neighbours_and_numbered(medium):
    table = frame(medium)
    runs = (table.album.diff() != 0).sum()
    assert runs == table.album.nunique()
    assert (table.groupby("album").place.max() == table.groupby("album").size()).all()
    # Splits are mixed: ids say nothing about them.
    assert len(set(medium.split[:500])) == len(set(medium.split[-500:])) == 3


# --- bag sizes ----------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(0, 300), st.integers(0, 9))
def test_drawn_sizes_add_up_and_leave_no_bag_empty(n_bags, more, seed):
    sizes = BagSizes.fitted("bag_sizes").draw(
        np.random.default_rng(seed), n_bags=n_bags, n_tracks=n_bags + more
    )
    assert len(sizes) == n_bags
    assert sizes.sum() == n_bags + more
    assert sizes.min() >= 1


def test_too_few_tracks_for_the_bags_is_an_error():
    with pytest.raises(DataError, match="3 tracks cannot fill 4 bags; ask for"):
        BagSizes.fitted("bag_sizes").draw(np.random.default_rng(0), n_bags=4, n_tracks=3)


def mean_of(sizes):
    return 1 + np.dot(sizes.weights, sizes.means)


def test_a_fit_finds_what_was_drawn():
    true = BagSizes((0.7, 0.3), (1.0, 30.0), (1.5, 11.0))
    rng = np.random.default_rng(5)
    drawn = true.draw(rng, n_bags=20_000, n_tracks=round(20_000 * mean_of(true)))
    fitted = fit(drawn)
    at = np.arange(1, 40)
    assert np.abs(probabilities(fitted, at) - probabilities(true, at)).max() < 0.01
    assert mean_of(fitted) == pytest.approx(drawn.mean(), rel=0.02)


@pytest.mark.parametrize("sizes", [[3, 3, 3], [0, 1, 2]])
def test_sizes_that_cannot_be_fitted_are_refused(sizes):
    with pytest.raises(DataError, match="sizes must be 1 or more and differ"):
        fit(np.array(sizes))


def test_the_shipped_shape_is_that_of_jamendo(shared_data):
    table = pd.read_csv(shared_data / "mtg_jamendo_genre_split0.tsv.gz", sep="\t")
    sizes = table.groupby(["album_id", "artist_id"]).size().to_numpy()
    shape = BagSizes.fitted("bag_sizes")
    at = np.arange(1, 60)
    real = np.array([(sizes <= size).mean() for size in at])
    assert np.abs(np.cumsum(probabilities(shape, at)) - real).max() < 0.02
    assert mean_of(shape) == pytest.approx(sizes.mean(), rel=0.05)
    assert at[np.searchsorted(np.cumsum(probabilities(shape, at)), 0.5)] == np.median(sizes) == 3


# --- features -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def features():
    """A catalogue that is longer than a block, and its 518 columns by name."""
    catalogue = plan(BLOCK + 1_000, seed=4)
    values = np.concatenate(list(Hierarchy.calibrated().blocks(catalogue.catalogue, seed=4)))
    return catalogue, pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(COLUMNS))


def test_statistics_fit_together(features):
    _, values = features
    assert np.isfinite(values.to_numpy()).all()
    by = {name: values.xs(name, axis=1, level=1).to_numpy() for name in ("min", "max", "mean")}
    by |= {name: values.xs(name, axis=1, level=1).to_numpy() for name in ("median", "std", "skew")}
    kurtosis = values.xs("kurtosis", axis=1, level=1).to_numpy()
    slack = 1e-5 * np.abs(by["max"])
    assert (by["min"] <= by["median"] + slack).all()
    assert (by["median"] <= by["max"] + slack).all()
    assert (by["min"] <= by["mean"] + slack).all()
    assert (by["mean"] <= by["max"] + slack).all()
    assert (by["std"] > 0).all()
    assert (np.abs(by["mean"] - by["median"]) <= by["std"] + slack).all()  # of any distribution
    assert (kurtosis >= by["skew"] ** 2 - 2 - 1e-3).all()  # likewise


def test_values_lie_where_they_can(features):
    _, values = features
    for feature in ("chroma_cens", "chroma_cqt", "chroma_stft", "zcr"):
        levels = values[feature][["min", "mean", "median", "max"]]
        assert levels.min().min() >= 0
        assert levels.max().max() <= 1
    for feature in ("rmse", "spectral_centroid", "spectral_bandwidth", "spectral_rolloff"):
        assert values[feature][["min", "mean", "median", "max"]].min().min() >= 0


def test_tails_are_heavy_and_columns_correlated(features):
    _, values = features
    kurtosis = values["mfcc"]["kurtosis"].to_numpy()
    assert kurtosis.max() > 10 * kurtosis.std()
    correlation = np.corrcoef(values["spectral_contrast"].to_numpy().T)
    off = np.abs(correlation[~np.eye(len(correlation), dtype=bool)])
    assert (off > 0.5).mean() > 0.02
    assert np.median(off) > 0.03


def test_an_album_sounds_more_alike_than_an_artist_than_a_genre(features):
    """Correlation of pairs of tracks, after the mean of their genre."""
    catalogue, values = features
    x = values["mfcc"]["mean"].to_numpy(np.float64, copy=True)
    for genre in np.unique(catalogue.sound):
        x[catalogue.sound == genre] -= x[catalogue.sound == genre].mean(axis=0)
    x /= x.std(axis=0)
    table = frame(catalogue).assign(row=np.arange(len(x)), sound=catalogue.sound)
    # The first tracks of an artist's first two albums; the first two tracks of an album.
    firsts = table[table.place == 1].groupby("artist_id").row.apply(list)
    of_artist = np.array([rows[:2] for rows in firsts if len(rows) > 1])
    albums = table.groupby("album").row.apply(list)
    of_album = np.array([rows[:2] for rows in albums if len(rows) > 1])
    rng = np.random.default_rng(0)
    of_genre = np.array(
        [rng.choice(rows.row, 2, replace=False) for _, rows in table.groupby("sound")]
    )
    alike = [(x[a] * x[b]).mean() for a, b in (of_album.T, of_artist.T, of_genre.T)]
    assert alike[0] > alike[1] + 0.02
    assert alike[1] > 0.03


def test_a_classifier_beats_the_majority_on_a_small_simulation():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    tracks, store = simulate(3_000, 2)
    train, test = tracks.in_split("training"), tracks.in_split("test")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    model.fit(store.read(train.track_id)[0], train.labels)
    majority = (test.labels == train.counts.argmax()).mean()
    assert model.score(store.read(test.track_id)[0], test.labels) > majority + 0.1


@pytest.mark.slow
def test_a_classifier_reaches_at_full_size_what_it_reaches_on_fma():
    """Test accuracies of FMA's notebooks, by descriptor: .61 on all, .58 on MFCC, .40 on tonnetz."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    tracks, store = simulate(25_000, 0)
    train, test = tracks.in_split("training"), tracks.in_split("test")
    x, y = store.read(train.track_id)[0], train.labels
    descriptor = np.array([feature for feature, _, _ in COLUMNS])
    scores = {}
    for name in ("all", "mfcc", "spectral_contrast", "tonnetz", "rmse"):
        columns = np.flatnonzero((descriptor == name) | (name == "all"))
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1, max_iter=2000, tol=1e-3))
        model.fit(x[:, columns], y)
        scores[name] = model.score(store.read(test.track_id)[0][:, columns], test.labels)
    assert scores["all"] == pytest.approx(0.61, abs=0.04)
    assert scores["mfcc"] == pytest.approx(0.578, abs=0.04)
    assert scores["spectral_contrast"] == pytest.approx(0.509, abs=0.04)
    assert scores["tonnetz"] == pytest.approx(0.401, abs=0.04)
    assert scores["rmse"] == pytest.approx(0.373, abs=0.04)


# --- in memory ----------------------------------------------------------------------------------


def test_in_memory_it_is_tracks_and_features_of_one_table():
    tracks, store = simulate(300, 5)
    assert len(tracks) == len(store) == 300
    assert store.spec.shape == (518,)
    assert store.spec.name == "simulated-fma"
    assert tracks.columns["simulated"].all()
    assert all(title.startswith("Simulated ") for title in tracks.columns["title"])
    assert all(artist.startswith("Simulated ") for artist in tracks.columns["artist"])
    bags = Bags.from_tracks(tracks, by="album", split="test")
    assert bags.sizes.sum() == (tracks.split == "test").sum()


def test_equal_seeds_give_equal_tracks_and_features_and_others_do_not():
    (tracks, store), (again, store_again), (other, store_other) = (
        simulate(90, seed) for seed in (6, 6, 7)
    )
    assert tracks.to_columns().keys() == again.to_columns().keys()
    for name, column in tracks.to_columns().items():
        np.testing.assert_array_equal(column, again.to_columns()[name])
    np.testing.assert_array_equal(*(s.read(tracks.track_id)[0] for s in (store, store_again)))
    assert not np.array_equal(tracks.track_id, other.track_id)
    values = [s.read(s.track_ids)[0] for s in (store, store_other)]
    assert not np.array_equal(*values)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((49, 0), "n_tracks=49 is out of range; use 50 to 106,574"),
        ((106_575, 0), "n_tracks=106575 is out of range"),
        ((50, -1), "seed=-1 is negative; use 0 or more"),
    ],
)
def test_impossible_arguments_are_refused(arguments, match):
    with pytest.raises(ConfigError, match=match):
        simulate(*arguments)


# --- files --------------------------------------------------------------------------------------


def test_fmas_own_way_of_reading_reads_it(tree):
    tracks = load_as_fma_does(tree / "fma_metadata" / "tracks.csv")
    assert tracks.shape == (N_SMALL_TREE, 52)
    assert tracks.index.name == "track_id"
    assert tracks.columns.get_level_values(0).unique().tolist() == [
        "album",
        "artist",
        "set",
        "track",
    ]
    medium = tracks[tracks["set", "subset"] <= "medium"]
    assert len(medium) == N_SMALL_TREE
    assert set(medium["track", "genre_top"]) == set(MEDIUM)
    assert set(tracks["set", "split"]) == set(SPLITS)
    assert tracks["track", "duration"].between(60, 600).all()
    features = load_as_fma_does(tree / "fma_metadata" / "features.csv")
    assert features.index.equals(tracks.index)
    assert features.columns.names == ["feature", "statistics", "number"]
    assert features.columns.tolist() == list(COLUMNS)


def test_what_is_read_is_what_is_in_memory(tree):
    tracks, store = simulate(N_SMALL_TREE, 3)
    read = load_as_fma_does(tree / "fma_metadata" / "tracks.csv")
    np.testing.assert_array_equal(read.index, tracks.track_id)
    np.testing.assert_array_equal(
        read["track", "genre_top"], np.array(tracks.genres)[tracks.labels]
    )
    for name, column in (
        (("album", "id"), tracks.album_id),
        (("artist", "id"), tracks.artist_id),
        (("set", "split"), tracks.split),
        (("set", "subset"), tracks.columns["subset"]),
        (("track", "title"), tracks.columns["title"]),
        (("artist", "name"), tracks.columns["artist"]),
        (("album", "title"), tracks.columns["album"]),
        (("track", "duration"), tracks.columns["duration"]),
    ):
        np.testing.assert_array_equal(read[name].astype(column.dtype), column)
    features = load_as_fma_does(tree / "fma_metadata" / "features.csv")
    np.testing.assert_array_equal(
        features.to_numpy(np.float32), store.read(tracks.track_id)[0]
    )  # nine digits keep float32


def test_matts_own_loader_reads_the_same(tree):
    fma.index(tree)
    tracks, store = simulate(N_SMALL_TREE, 3)
    loaded = fma.load_tracks(tree)
    assert loaded.genres == tracks.genres
    assert loaded.columns["simulated"].all()
    for name in ("track_id", "labels", "artist_id", "album_id", "split"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(tracks, name))
    values = fma.load_features(tree).read(tracks.track_id)[0]
    np.testing.assert_array_equal(values, store.read(tracks.track_id)[0])


def test_genres_are_a_tree_with_fmas_top_genres(tree):
    table = load_as_fma_does(tree / "fma_metadata" / "genres.csv")
    assert len(table) == 163
    top = table[table.parent == 0]
    assert dict(zip(top.title, top.index)) == TOP_IDS
    assert (top.top_level == top.index).all()
    for genre_id, row in table[table.parent != 0].iterrows():
        assert row.title.startswith("Simulated ")
        assert genre_id > 1235  # no id of FMA is used for what is made up
        assert table.loc[row.parent].top_level == row.top_level
    assert any(table.parent.isin(table[table.parent != 0].index))  # three levels


def roots_of(ids, table):
    return {int(table.loc[i].top_level) for i in ids}


def test_genres_of_tracks_agree_with_their_top_genre(tmp_path):
    write_tree(tmp_path, n_tracks=25_600, seed=2, features="none")
    tracks = load_as_fma_does(tmp_path / "fma_metadata" / "tracks.csv")
    table = load_as_fma_does(tmp_path / "fma_metadata" / "genres.csv")
    large = tracks[tracks["set", "subset"] == "large"]
    assert len(large) == 600
    some = pd.concat([large, tracks[tracks["set", "subset"] != "large"].iloc[:800]])
    for _, row in some.iterrows():
        given, complete = row["track", "genres"], row["track", "genres_all"]
        roots = roots_of(given, table)
        assert set(given) <= set(complete)
        assert roots_of(complete, table) == roots
        assert all(int(table.loc[i].parent) in (0, *complete) for i in complete)
        top = row["track", "genre_top"]
        assert roots == {TOP_IDS[top]} if isinstance(top, str) else len(roots) != 1
    counted = pd.Series([i for ids in tracks["track", "genres_all"] for i in ids]).value_counts()
    assert (table["#tracks"].reindex(counted.index) == counted).all()
    assert not (tmp_path / "fma_metadata" / "features.csv").exists()


def test_the_clips_decode(tree):
    ids = load_as_fma_does(tree / "fma_metadata" / "tracks.csv").index
    files = sorted((tree / "fma_medium").rglob("*.mp3"))
    assert [int(file.stem) for file in files] == ids.tolist()
    assert files[0] == tree / "fma_medium" / "000" / "000002.mp3"
    for file in files[:4]:
        samples, sr = soundfile.read(file)
        assert sr == 44_100
        assert len(samples) / sr == pytest.approx(0.5, abs=0.1)
        assert np.abs(samples).max() > 0.1
    loudness = {file.read_bytes() for file in files[:4]}
    assert len(loudness) == 4


def test_everything_says_that_it_is_simulated(tree):
    assert "None of it is real" in (tree / "README.txt").read_text("utf-8")
    content = json.loads((tree / "fma_metadata" / "SIMULATED.json").read_text("utf-8"))
    assert content["kind"] == "simulated FMA"
    assert content["complete"] is True
    assert content["parameters"]["seed"] == 3
    assert content["parameters"]["n_tracks"] == content["counts"]["tracks"] == N_SMALL_TREE
    read = load_as_fma_does(tree / "fma_metadata" / "tracks.csv")
    for column in (("track", "title"), ("artist", "name"), ("album", "title")):
        assert read[column].str.startswith("Simulated ").all()


def test_equal_calls_write_equal_bytes_and_a_finished_tree_is_left_alone(tmp_path):
    trees = [tmp_path / name for name in ("one", "two")]
    for root in trees:
        write_tree(root, n_tracks=60, seed=1)
    names = ("tracks.csv", "genres.csv", "features.csv", "SIMULATED.json")
    for name in names:
        one, two = (root / "fma_metadata" / name for root in trees)
        assert one.read_bytes() == two.read_bytes()
    before = [(trees[0] / "fma_metadata" / name).stat().st_mtime_ns for name in names]
    write_tree(trees[0], n_tracks=60, seed=1)
    assert before == [(trees[0] / "fma_metadata" / name).stat().st_mtime_ns for name in names]


def test_an_unfinished_tree_is_marked_and_finished_by_the_same_call(tmp_path):
    class Stop(Exception):
        pass

    def stop(what, done, total):
        raise Stop

    root = tmp_path / "tree"
    with pytest.raises(Stop):
        write_tree(root, n_tracks=70, seed=1, progress=stop)
    marker = json.loads((root / "fma_metadata" / "SIMULATED.json").read_text("utf-8"))
    assert marker["complete"] is False
    assert not (root / "fma_metadata" / "features.csv").exists()  # no half of a file
    assert not (root / "fma_metadata" / "tracks.csv").exists()
    told = []
    write_tree(root, n_tracks=70, seed=1, progress=lambda *step: told.append(step))
    assert told == [("features.csv", 70, 70)]
    assert (root / "fma_metadata" / "tracks.csv").exists()


def test_fewer_digits_make_a_smaller_file_of_nearly_the_same_values(tmp_path):
    for digits in (9, 4):
        write_tree(tmp_path / str(digits), n_tracks=80, seed=1, digits=digits)
    paths = [tmp_path / name / "fma_metadata" / "features.csv" for name in ("9", "4")]
    assert paths[1].stat().st_size < 0.75 * paths[0].stat().st_size
    exact, rounded = (load_as_fma_does(path).to_numpy() for path in paths)
    np.testing.assert_allclose(rounded, exact, rtol=1e-4)


@pytest.mark.slow
def test_features_of_medium_alone_are_those_of_its_tracks(tmp_path):
    write_tree(tmp_path, n_tracks=25_100, seed=1, digits=1, features="medium")
    tracks = load_as_fma_does(tmp_path / "fma_metadata" / "tracks.csv")
    ids = pd.read_csv(
        tmp_path / "fma_metadata" / "features.csv", skiprows=4, header=None, usecols=[0]
    )
    assert ids[0].tolist() == tracks.index[tracks["set", "subset"] != "large"].tolist()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"features": "medum"}, "unknown features 'medum'; did you mean 'medium'"),
        ({"digits": 0}, "digits=0 is out of range; use 1 to 9"),
        ({"seconds": 0.1}, "seconds=0.1 is too short"),
        ({"seconds": float("nan")}, "seconds=nan is too short"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_written(tmp_path, options, match):
    with pytest.raises(ConfigError, match=match):
        write_tree(tmp_path / "tree", n_tracks=50, **options)
    assert not (tmp_path / "tree").exists()


def test_another_folder_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work", "utf-8")
    with pytest.raises(DataError, match="not empty and holds no simulated FMA; name a new"):
        write_tree(tmp_path, n_tracks=50)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(DataError, match="is a file; name a new folder"):
        write_tree(tmp_path / "thesis.txt", n_tracks=50)


def test_real_tables_are_not_written_over(tmp_path):
    (tmp_path / "fma_metadata").mkdir()
    (tmp_path / "fma_metadata" / "tracks.csv").write_text("real", "utf-8")
    with pytest.raises(DataError, match="holds no simulated FMA"):
        write_tree(tmp_path, n_tracks=50)
    assert (tmp_path / "fma_metadata" / "tracks.csv").read_text("utf-8") == "real"


def test_a_tree_made_otherwise_is_not_mixed_with(tree):
    with pytest.raises(DataError, match="made with seed=3, not 4; name another"):
        write_tree(tree, n_tracks=N_SMALL_TREE, seed=4, audio=True, seconds=0.5)


def test_progress_ends_at_the_end(tmp_path):
    told = []
    write_tree(tmp_path / "tree", n_tracks=50, progress=lambda *step: told.append(step))
    assert all(a[1] <= b[1] for a, b in pairwise(told))
    assert told[-1] == ("features.csv", 50, 50)
