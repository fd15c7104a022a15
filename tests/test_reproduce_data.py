"""Data by name: splits, tails, feature sets, simulated log-mels."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from matt.datasets import fma
from matt.datasets.fma import loading
from matt.datasets.fma.simulate import write_tree
from matt.datasets.invented.features import LOGMEL_SHAPE, simulated_logmels
from matt.errors import ConfigError, DataError
from matt.features.blocks import create
from matt.features.spec import FeatureSpec
from matt.features.store import FeatureStore
from matt.reproduce.data import (
    FOLDER,
    LOGMEL,
    MFCC,
    SIMULATED,
    SMALL,
    TABLE,
    open_data,
    some_tracks,
)


@pytest.fixture(scope="module")
def simulated():
    return open_data(SIMULATED, n_tracks=900, n_logmels=300)


def test_simulated_has_the_twelve_sets_and_says_what_it_is(simulated):
    assert not simulated.real
    assert simulated.official
    assert simulated.feature_sets == loading.PAPER
    sizes = {name: simulated.features(name).spec.shape for name in simulated.feature_sets}
    assert sizes["3+6+4"] == (196,)
    assert sizes["1-9"] == (518,)
    assert "Simulated" in simulated.notes[0]
    assert "simulated log-mels" in simulated.logmel_notes[0]


def test_tripled_chroma_is_three_times_the_same(simulated):
    ids = simulated.tracks.track_id[:40]
    values, _ = simulated.features("1-9", ["triple_chroma", "true_query"]).read(ids)
    assert len(np.unique(values, axis=1).T) == 350
    assert simulated.features("mfcc", ["triple_chroma"]) is simulated.features("mfcc")


def test_seeds_of_the_official_split_share_it(simulated):
    one, two = simulated.divisions(2, seed=4)
    assert (one.seed, two.seed) == (4, 5)
    assert np.array_equal(one.tracks.track_id, two.tracks.track_id)
    assert np.array_equal(one.tracks.split, simulated.tracks.split)


def test_folds_put_the_official_split_aside(simulated):
    divisions = simulated.divisions(1, folds=3)
    assert len(divisions) == 3
    tested = [d.tracks.track_id[d.tracks.split == "test"] for d in divisions]
    assert np.sort(np.concatenate(tested)).tolist() == simulated.tracks.track_id.tolist()


def test_imbalance_cuts_training_alone_in_an_order_of_each_split():
    data = open_data(SIMULATED, n_tracks=900, imbalance=20)
    one, two = data.divisions(2)
    for division in (one, two):
        for split in ("validation", "test"):
            left = division.tracks.split == split
            assert left.sum() == (data.tracks.split == split).sum()
    assert one.tracks.train_counts.sum() < data.tracks.train_counts.sum()
    assert one.tracks.train_counts.tolist() != two.tracks.train_counts.tolist()


def test_some_tracks_are_whole_artists_of_every_genre_and_split(simulated):
    tracks = simulated.tracks
    rows = tracks.rows(some_tracks(tracks, 300, seed=2))
    assert 250 < len(rows) < 400
    for split in ("training", "validation", "test"):
        here = rows[tracks.split[rows] == split]
        assert set(tracks.labels[here]) == set(tracks.labels[tracks.split == split])
    kept = np.isin(np.arange(len(tracks)), rows)
    key = np.stack([tracks.artist_id, tracks.labels], axis=1)
    whole = {tuple(k) for k in key[kept]} & {tuple(k) for k in key[~kept]}
    assert not whole


def test_simulated_logmels_tell_genres_artists_and_albums_apart(simulated):
    tracks = simulated.tracks
    store = simulated_logmels(tracks, seed=1)
    assert store.spec.shape == LOGMEL_SHAPE
    values, _ = store.read(tracks.track_id)
    again, _ = simulated_logmels(tracks, seed=1).read(tracks.track_id)
    assert np.array_equal(values, again)
    spectra = values.astype(np.float32).mean(axis=2)  # (n, mels)
    spectra -= spectra.mean(axis=0)
    spectra /= spectra.std(axis=0)
    train = tracks.split == "training"
    fitted = LogisticRegression(C=0.01, max_iter=2_000).fit(spectra[train], tracks.labels[train])
    test = tracks.split == "test"
    majority = np.bincount(tracks.labels[test]).max() / test.sum()
    assert fitted.score(spectra[test], tracks.labels[test]) > majority + 0.1
    # Tracks of an album are nearer to each other than to others of their genre.
    rock = np.flatnonzero(tracks.labels == tracks.train_counts.argmax())
    apart = np.linalg.norm(spectra[rock][:, None] - spectra[rock][None], axis=2)
    album = tracks.album_id[rock]
    same = (album[:, None] == album) & ~np.eye(len(rock), dtype=bool)
    assert apart[same].mean() < apart[album[:, None] != album].mean()


def test_the_embedded_tracks_have_a_tail_of_forty():
    data = open_data(MFCC)
    for division in data.divisions(2):
        assert division.tracks.train_counts[data.tracks.genres.index("Hip-Hop")] == 40
    assert data.real
    assert data.logmel() is None
    with pytest.raises(ConfigError, match="no log-mels; the rows of CRNNs cannot be run"):
        data.features(LOGMEL)
    with pytest.raises(ConfigError, match="has no features 'zcr'; use mfcc"):
        data.features("zcr")


def test_fma_small_comes_with_its_albums_and_without_its_split(shared_data, monkeypatch):
    monkeypatch.setenv(FOLDER, str(shared_data))
    data = open_data(SMALL, imbalance=50)
    assert (len(data.tracks), data.usual_seeds) == (7_997, 10)
    assert data.features("46").spec.shape == (46,)
    assert not data.official
    cut = data.divisions(1)[0].tracks.train_counts
    whole = open_data(SMALL).divisions(1)[0].tracks.train_counts
    assert (cut <= whole).all()
    assert cut.min() == round(whole.max() / 50)


def test_a_tree_of_fma_is_read_by_its_index(tmp_path):
    write_tree(tmp_path, n_tracks=400, features="all", digits=4)
    fma.index(tmp_path)
    data = open_data(str(tmp_path))
    assert not data.real
    assert data.official
    assert data.features("3+6").spec.shape == (189,)
    assert data.logmel() is None
    assert "matt extract" in data.no_logmels


def test_features_beyond_the_paper_are_those_of_a_store_and_say_so(tmp_path, monkeypatch):
    write_tree(tmp_path, n_tracks=400, features="all", digits=4)
    fma.index(tmp_path)
    with pytest.raises(DataError, match="holds no features of musicnn; extract them there"):
        open_data(str(tmp_path), features="musicnn")
    create(tmp_path / "musicnn", FeatureSpec.musicnn())
    ids = open_data(str(tmp_path)).tracks.track_id[::2]
    values = np.zeros((len(ids), 250), np.float32)
    store = FeatureStore.from_arrays("musicnn", ids, values)
    store = replace(store, spec=FeatureSpec.musicnn())
    monkeypatch.setattr(FeatureStore, "open", lambda place: store)
    data = open_data(str(tmp_path), features="musicnn")
    assert data.fullest == "musicnn"
    assert data.features("musicnn") is store
    assert sorted(data.tracks.track_id) == sorted(ids)
    assert any(note.startswith("Beyond the paper") for note in data.notes)
    store = replace(store, spec=FeatureSpec.embedding("clap", (250,)))
    with pytest.raises(DataError, match="holds embedding, not musicnn"):
        open_data(str(tmp_path), features="musicnn")


@pytest.mark.parametrize(
    ("name", "facts", "message"),
    [
        (SIMULATED, {"features": "musicnn"}, "only in a folder of FMA that has its audio"),
        ("simulatd", {}, "did you mean 'simulated'"),
        (MFCC, {"imbalance": 9.0}, "has a tail of its own"),
        (MFCC, {"n_tracks": 70}, "has as many tracks as it has"),
        (SIMULATED, {"n_tracks": 200, "n_logmels": 2_001}, "2,001 simulated log-mels are too many"),
    ],
)
def test_what_makes_no_sense_is_refused(name, facts, message):
    with pytest.raises(ConfigError, match=message):
        open_data(name, **facts)


def test_a_missing_folder_is_named(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    with pytest.raises(DataError, match=f"{FOLDER} is not set, but fma_small_46"):
        open_data(SMALL)


def test_any_table_with_features_and_one_genre_is_data(tmp_path):
    rows = ["id,who,record,style,x1,x2"]
    rows += [f"{i},a{i // 4},r{i // 2},{'Folk' if i % 8 < 4 else 'Rock'},{i},{-i}" for i in range(40)]  # fmt: skip
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    toml = tmp_path / "mine.toml"
    roles = 'table = "mine.csv"\ntrack = "id"\nartist = "who"\nalbum = "record"\ngenre = "style"\n'
    toml.write_text(f'{roles}features = "x*"\n')
    data = open_data(str(toml), imbalance=5)
    assert (data.key, data.name, data.real, data.imbalance) == (TABLE, "the table mine", True, 5)
    (name,) = data.feature_sets
    assert data.features(name).spec.shape == (2,)
    assert data.tracks.genres == ("Folk", "Rock")
    assert not data.official
    assert len(data.divisions(3, seed=0)) == 3
    toml.write_text(roles)
    with pytest.raises(DataError, match=r"mine.toml names no features; add features"):
        open_data(str(toml))
    toml.write_text(f'{roles}features = "x*"\ngenre_separator = "/"\n')
    with pytest.raises(DataError, match="several genres a track"):
        open_data(str(toml))
