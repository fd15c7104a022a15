"""Faults by name: what each does to settings, where it cannot be had, and protocols."""

from dataclasses import asdict
from itertools import combinations
from typing import get_args

import numpy as np
import pytest

from matt import (
    Bags,
    ConfigError,
    FeatureStore,
    NeuralClassifier,
    Tracks,
    config,
    experiment,
    faults,
)
from matt.comparison import genre_keyed
from matt.config import Settings, with_faults
from matt.datasets.fma import checking, loading
from matt.faults import FAULTS, PROTOCOLS
from matt.models.settings import QUERY_POOLINGS, PoolingName
from matt.runs import Run

DOT = ["model.pooling=dot"]
OF_QUERIES = ("frozen_queries", "true_query", "scalar_score", "tanh_pooled")
CHANGES = {
    "frozen_queries": {"model.frozen_queries": True, "model.scale": "fixed"},
    "true_query": {"model.query": "true", "model.scale": "fixed"},
    "scalar_score": {"model.pooling": "scalar"},
    "tanh_pooled": {"model.tanh_pooled": True},
    "dropped_batch": {"training.dropped_batch": True},
}


def flat(settings):
    return {
        f"{section}.{key}": value
        for section in ("features", "model", "training")
        for key, value in asdict(getattr(settings, section)).items()
    }


def test_there_are_ten_and_each_is_told_in_a_sentence():
    assert len(FAULTS) == 10
    for fault in FAULTS.values():
        assert fault.does.endswith(".")
        assert ". " not in fault.does.removeprefix("Eq. (1)")
        assert not fault.needs.endswith(".")


def test_protocols_are_those_of_the_method_page():
    assert PROTOCOLS["corrected"] == ()
    assert set(PROTOCOLS["paper"]) == {"true_query", "scalar_score"}
    assert set(FAULTS) - set(PROTOCOLS["released"]) == {"scalar_score"}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("pooling", QUERY_POOLINGS)
def test_a_fault_changes_its_settings_and_no_other(name, pooling):
    plain = config.load(overrides=[f"model.pooling={pooling}"])
    faulty = with_faults(plain, name)
    expected = {**flat(plain), **CHANGES[name]}
    assert flat(faulty) == expected
    assert name in faulty.present_faults
    assert faulty.inert_faults == ()
    assert set(faulty.present_faults) - {name} <= {"scalar_score"}


@pytest.mark.parametrize("pooling", sorted(set(get_args(PoolingName)) - set(QUERY_POOLINGS)))
@pytest.mark.parametrize("name", OF_QUERIES)
def test_without_queries_their_faults_do_nothing_and_say_so(name, pooling):
    plain = config.load(overrides=[f"model.pooling={pooling}"])
    faulty = with_faults(plain, name)
    assert flat(faulty) == flat(plain)
    assert faulty.present_faults == ()
    assert faulty.inert_faults == (
        f"fault {name} has no effect here: it needs a network with a query for each genre",
    )


def test_unscaled_is_of_a_baseline_alone():
    settings = config.load(overrides=["baseline.classifier=knn", "faults=unscaled"])
    assert settings.baseline.unscaled
    assert settings.present_faults == ("unscaled",)
    network = with_faults(Settings(), "unscaled")
    assert network.baseline is None
    assert network.present_faults == ()
    assert "needs a baseline" in network.inert_faults[0]


def test_a_baseline_has_no_fault_of_networks():
    settings = config.load(overrides=["baseline.classifier=lr", *DOT, "faults=released"])
    assert flat(settings) == flat(config.load(overrides=DOT))
    assert settings.present_faults == ("typed_tail", "triple_chroma", "unscaled")
    told = " ".join(settings.inert_faults)
    for name in ("genre_in_training_key", "test_selection", "dropped_batch", *OF_QUERIES[:2]):
        assert f"fault {name} has no effect here" in told


def test_a_fault_that_is_set_by_hand_is_named():
    settings = config.load(overrides=[*DOT, "model.query=true", "training.dropped_batch=true"])
    assert settings.faults == ()
    assert settings.present_faults == ("true_query", "dropped_batch")


@pytest.mark.parametrize("pair", list(combinations(CHANGES, 2)), ids="+".join)
def test_faults_can_be_combined_in_any_order(pair):
    settings = config.load(overrides=DOT)
    one, other = (with_faults(with_faults(settings, a), b) for a, b in (pair, pair[::-1]))
    assert one == other
    assert one.present_faults == tuple(name for name in FAULTS if name in pair)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pooling", get_args(PoolingName))
def test_every_protocol_fits_every_pooling_and_survives_json(protocol, pooling):
    settings = config.load(overrides=[f"model.pooling={pooling}", f"faults={protocol}"])
    assert set(settings.faults) == set(PROTOCOLS[protocol])
    assert config.parse(settings.to_json()) == settings
    assert with_faults(settings, protocol) == settings


@pytest.mark.parametrize(
    "given", ['faults=["true_query", "unscaled"]', "faults=true_query", "faults=paper"]
)
def test_faults_are_a_key_of_the_settings(given):
    assert "true_query" in config.load(overrides=[*DOT, given]).faults


def test_an_unknown_fault_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"^settings: unknown fault 'true_qeury'; did you mean"):
        config.load(overrides=['faults=["true_qeury"]'])
    with pytest.raises(ConfigError, match="unknown fault 'papers'"):
        with_faults(Settings(), "papers")
    with pytest.raises(ConfigError, match=r"'a'.*'b'"):
        faults.check_names(["b", "a", "unscaled"])


def test_the_faults_of_data_are_those_that_fma_knows():
    assert set(loading.FAULTS) < set(FAULTS)
    assert "typed_tail" in FAULTS
    assert checking.TYPED_TAILS


def mixed_albums(n_albums=40):
    """Albums of three tracks, every second of them mixed; splits by album."""
    album = np.repeat(np.arange(n_albums), 3)
    labels = np.where((album % 2 == 0) & (np.arange(len(album)) % 3 == 0), 1, album // 2 % 2)
    split = np.array(["training", "validation", "test", "training", "training"])[album % 5]
    tracks = Tracks(
        np.arange(len(album)), labels, ("A", "B"), artist_id=album, album_id=album, split=split
    )
    noise = np.random.default_rng(0).normal(size=(len(album), 5))
    return tracks, FeatureStore.from_arrays("toy", tracks.track_id, labels[:, None] + noise)


@pytest.mark.parametrize("by", ["album", "shelf"])
@pytest.mark.parametrize("several", [False, True])
def test_bags_keyed_by_genre_are_pure_and_hold_the_same_tracks(by, several):
    tracks, _ = mixed_albums()
    labels = np.eye(2, dtype=bool)[tracks.labels] if several else tracks.labels
    columns = {"shelf": tracks.album_id // 2}
    tracks = Tracks(tracks.track_id, labels, tracks.genres, tracks.artist_id, tracks.album_id, tracks.split, columns=columns)  # fmt: skip
    plain, keyed = Bags.from_tracks(tracks, by=by, split="training"), genre_keyed(tracks, by=by)
    assert len(keyed) > len(plain)
    assert sorted(keyed.track_ids) == sorted(plain.track_ids)
    own = labels[tracks.rows(keyed.track_ids)]
    np.testing.assert_array_equal(own, np.repeat(keyed.labels, keyed.sizes, axis=0))


def test_an_unknown_genre_is_not_a_key():
    tracks = Tracks([1, 2, 3], [-1, 0, -1], ("A",), album_id=[5] * 3, artist_id=[7] * 3, split=["training"] * 3)  # fmt: skip
    np.testing.assert_array_equal(genre_keyed(tracks, by="album").sizes, [1, 1, 1])


def run(tmp_path, *overrides, name="run"):
    tracks, features = mixed_albums()
    settings = config.load(
        overrides=["training.epochs=3", "training.lr=0.02", *overrides]
    )  # fmt: skip
    made = experiment.run(tracks, features, settings, tmp_path / name, controls=False)
    return Run.open(made.path)


@pytest.fixture
def fitted_on(monkeypatch):
    """Training and validation bags of every fit."""
    seen, fit = [], NeuralClassifier.fit

    def watch(self, features, bags, *, valid=None, **more):
        seen.append((bags, valid))
        return fit(self, features, bags, valid=valid, **more)

    monkeypatch.setattr(NeuralClassifier, "fit", watch)
    return seen


def test_selection_on_the_test_split_is_done_and_marked_in_red(tmp_path, fitted_on):
    clean, faulty = run(tmp_path, name="clean"), run(tmp_path, "faults=test_selection")
    tracks = faulty.tracks()
    for (_, valid), split in zip(fitted_on, ("validation", "test"), strict=True):
        assert set(valid.track_ids) == set(tracks.in_split(split).track_id)
    assert (clean.manifest["faults"], faulty.manifest["faults"]) == ([], ["test_selection"])
    page = faulty.report.read_text(encoding="utf-8")
    assert '<p class="warning" role="note">Fault test_selection' in page
    assert '<p class="warning"' not in clean.report.read_text(encoding="utf-8")
    assert any("test_selection" in note for note in faulty.scores()["scores"]["notes"])


def test_training_bags_are_keyed_by_genre_in_a_run(tmp_path, fitted_on):
    made = run(tmp_path, "faults=genre_in_training_key")
    (bags, valid), tracks = fitted_on[0], made.tracks()
    own = tracks.labels[tracks.rows(bags.track_ids)]
    np.testing.assert_array_equal(own, np.repeat(bags.labels, bags.sizes))
    assert (bags.sizes < 3).any()
    assert (valid.sizes == 3).all()
    page = made.report.read_text(encoding="utf-8")
    assert "Fault genre_in_training_key" in page
    assert '<p class="warning"' not in page


def test_what_has_no_effect_is_told_in_notes_and_report(tmp_path):
    made = run(tmp_path, 'faults=["frozen_queries", "typed_tail"]')
    assert made.manifest["faults"] == ["typed_tail"]
    told = " ".join(made.manifest["notes"])
    assert "fault frozen_queries has no effect here" in told
    assert "fault typed_tail is only noted" in told
    assert "fault frozen_queries has no effect here" in made.report.read_text(encoding="utf-8")
