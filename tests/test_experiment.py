from dataclasses import replace

import numpy as np
import pytest
import torch

from matt import DataError, FeatureStore, Tracks, config, experiment, provenance
from matt.comparison import STRONG
from matt.models.baselines import BaselineClassifier
from matt.reports.subjects import NAMES, model_name, tables_of
from matt.reports.subjects import saved as read_saved
from matt.runs import Run

SETTINGS = config.load(overrides=["training.epochs=3", "training.threads=1", "training.lr=0.02"])


def toy(n_albums=40, labels=None, split=()):
    torch.set_num_threads(1)
    album = np.repeat(np.arange(n_albums), 3)
    labels = album % 2 if labels is None else labels
    tracks = Tracks(
        np.arange(len(album)), labels, ("A", "B"),
        artist_id=album, album_id=album, split=split, columns={"title": album.astype(str)},
    )  # fmt: skip
    values = np.maximum(labels, 0)[:, None] + np.random.default_rng(0).normal(size=(len(album), 5))
    return tracks, FeatureStore.from_arrays("toy", tracks.track_id, values)


def test_a_run_is_complete_and_its_tables_can_be_made_again(tmp_path):
    tracks, features = toy()
    run = experiment.run(tracks, features, SETTINGS, tmp_path / "run")
    saved = read_saved(Run.open(run.path))
    assert set(saved) == set(NAMES)
    again = {name: table.to_json() for name, table in tables_of(saved).items()}
    assert again == run.scores()
    strong = {NAMES[key] for key in STRONG}
    told = {name: {row["model"] for row in again[name]["rows"]} for name in ("scores", "sizes")}
    assert strong < told["scores"]
    assert told["sizes"] == set(NAMES.values()) - strong  # looked at closely
    units = {row["unit"] for row in again["scores"]["rows"]}
    assert units == {"bag", "bag over tracks", "track"}


def test_a_run_folder_says_all_that_is_needed_to_make_it_again(tmp_path):
    tracks, features = toy()
    settings = replace(SETTINGS, seed=4)
    run = experiment.run(tracks, features, settings, tmp_path / "run", controls=False)
    assert config.load(run.settings) == settings
    manifest = Run.open(run.path).manifest
    assert config.parse(manifest["settings"]) == settings
    assert (manifest["seed"], manifest["faults"]) == (4, [])
    assert manifest["data"] == provenance.digest(run.tracks())
    assert {"python", "numpy", "torch", "scikit-learn"} <= manifest["versions"].keys()
    assert manifest["commit"] == provenance.commit()
    again = experiment.run(
        tracks, features, config.load(run.settings), tmp_path / "again", controls=False
    )
    for name in ("model/weights.safetensors", "scores.json", "settings.toml"):
        assert (run.path / name).read_bytes() == (again.path / name).read_bytes()


def test_a_run_of_a_baseline_says_its_name_and_has_the_same_controls(tmp_path):
    tracks, features = toy()
    settings = config.load(overrides=["baseline.classifier=lr", "training.epochs=2"])
    run = Run.open(experiment.run(tracks, features, settings, tmp_path / "run").path)
    saved = read_saved(run)
    assert set(saved) == set(NAMES)
    assert model_name(run) == "lr"
    tables = tables_of(saved, model="lr")
    assert {name: table.to_json() for name, table in tables.items()} == run.scores()
    rows = {row["model"] for row in run.scores()["scores"]["rows"]}
    assert {"lr, averaged over the bag", "lr, each track alone"} < rows
    assert not any("bag model" in row for row in rows)
    alone = saved["test-alone"].average_over(saved["test"].bags)
    np.testing.assert_allclose(alone.probabilities, saved["test"].probabilities, atol=1e-6)
    assert "bag model" not in run.report.read_text(encoding="utf-8").lower()


def test_a_second_run_into_the_folder_keeps_nothing_of_the_first(tmp_path):
    tracks, features = toy()
    experiment.run(tracks, features, SETTINGS, tmp_path / "run")
    second = experiment.run(tracks, features, SETTINGS, tmp_path / "run", controls=False)
    assert set(read_saved(second)) == {"test", "test-alone"}


def test_equal_seeds_give_equal_runs(tmp_path):
    tracks, features = toy()
    one, two = (
        experiment.run(tracks, features, SETTINGS, tmp_path / name, controls=False) for name in "ab"
    )
    np.testing.assert_array_equal(one.predictions("test").logits, two.predictions("test").logits)
    assert one.manifest["data"] == two.manifest["data"]


@pytest.mark.parametrize("at", [("bag model", 2), ("track model", 1)])
def test_an_interrupted_run_is_resumed_to_the_same_result(tmp_path, at):
    tracks, features = toy()
    names = [*["bag model"] * 3, "track model"]  # its networks, then the control
    steps = [(name, epoch) for name in names for epoch in (1, 2, 3)]

    def cut(name, row):
        if (name, row["epoch"]) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        experiment.run(tracks, features, SETTINGS, tmp_path / "cut", progress=cut)
    other = replace(SETTINGS, seed=5)
    with pytest.raises(DataError, match=r"unfinished run .* differs in settings, seed, data; go"):
        experiment.run(tracks, features, other, tmp_path / "cut", resume=True)
    seen = []

    def note(name, row):
        seen.append((name, row["epoch"]))

    again = experiment.run(tracks, features, SETTINGS, tmp_path / "cut", progress=note, resume=True)
    assert seen == steps[steps.index(at) + 1 :]
    whole = experiment.run(tracks, features, SETTINGS, tmp_path / "whole")
    for name in ("model/weights.safetensors", "scores.json"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert {p.name for p in again.path.iterdir()} == {p.name for p in whole.path.iterdir()}
    with pytest.raises(DataError, match="is finished, so there is nothing to resume"):
        experiment.run(tracks, features, SETTINGS, tmp_path / "cut", resume=True)


def test_given_splits_are_kept():
    split = np.array(["training"] * 60 + ["validation"] * 30 + ["test"] * 30)
    tracks, features = toy(split=split)
    np.testing.assert_array_equal(experiment.prepare(tracks, features, SETTINGS).split, split)


def test_tracks_without_features_are_left_out():
    tracks, features = toy()
    more = Tracks(
        np.append(tracks.track_id, 999), np.append(tracks.labels, 0), tracks.genres,
        artist_id=np.append(tracks.artist_id, 7), album_id=np.append(tracks.album_id, 7),
    )  # fmt: skip
    assert 999 not in experiment.prepare(more, features, SETTINGS).track_id


def test_what_cannot_be_trained_or_tested_is_explained(tmp_path):
    one_genre, features = toy(labels=np.zeros(120, np.int64))
    with pytest.raises(DataError, match="only one genre has labelled training tracks"):
        experiment.prepare(one_genre, features, SETTINGS)
    unknown = np.where(np.arange(120) < 90, np.arange(120) // 3 % 2, -1)
    split = np.array(["training"] * 90 + ["test"] * 30)
    untested, features = toy(labels=unknown, split=split)
    with pytest.raises(DataError, match="no test track has a known genre"):
        experiment.prepare(untested, features, SETTINGS)
    with pytest.raises(DataError, match="none of 30 tracks has features"):
        experiment.prepare(untested.take(np.arange(30)), _other(features), SETTINGS)
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match="is not a run folder"):
        Run.open(tmp_path / "run")


def test_an_unfinished_run_has_no_tables(tmp_path):
    run = Run.create(tmp_path / "run", kind="train", settings={}, seed=0)
    with pytest.raises(DataError, match="was not finished"):
        read_saved(run)
    with pytest.raises(DataError, match="is a run of 'matt demo'"):
        read_saved(Run.create(tmp_path / "demo", kind="demo", settings={}, seed=0))


def _other(features):
    return FeatureStore.from_arrays("toy", features.track_ids + 1000, features.blocks[0])


def test_what_is_in_the_blend_is_fitted_and_told_once(tmp_path, monkeypatch):
    tracks, features = toy()
    fit, fitted = BaselineClassifier.fit, []

    def noted(model, *args, **kwargs):
        fitted.append(model.settings.classifier)
        return fit(model, *args, **kwargs)

    monkeypatch.setattr(BaselineClassifier, "fit", noted)
    run = experiment.run(tracks, features, SETTINGS, tmp_path / "run")
    assert sorted(fitted) == ["hgb", "lr", "svm_stacked"]
    chosen = [note for note in run.manifest["notes"] if "was chosen by macro-F1" in note]
    assert len(chosen) == 3
    fitted.clear()
    alone = replace(SETTINGS, blend=())
    run = experiment.run(tracks, features, alone, tmp_path / "alone")
    assert sorted(fitted) == ["hgb", "lr", "svm_stacked"]
    assert sum("was chosen by macro-F1" in note for note in run.manifest["notes"]) == 3
