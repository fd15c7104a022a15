"""Every configuration in ``experiments/`` loads, and becomes a complete run on a tiny data set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from matt import ConfigError, FeatureStore, Tracks, config, experiment
from matt.grid.setups import read_grid
from matt.models.classifier import GenreClassifier
from matt.models.network import build_network
from matt.recipes import PLAIN
from matt.runs import Run

FILES = sorted((Path(__file__).parents[1] / "experiments").glob("*.toml"))
GRIDS = [file for file in FILES if file.stem.startswith("grid_")]
BEYOND = [file for file in FILES if file.stem.startswith("beyond_")]
CONFIGS = [file for file in FILES if file not in (*GRIDS, *BEYOND)]
BASELINES = ("knn", "lr", "mlp_sklearn", "svm")
N_ALBUMS = 30
QUICK = ["training.epochs=1"]
SLOW = pytest.mark.slow


def each(configs):
    """Configurations by name; of those that read maps, all but one are slow."""
    maps = [file for file in configs if "logmel" in file.read_text()]
    slow = [file for file in maps if file.stem != "crnn_matt"]
    return [pytest.param(f, id=f.stem, marks=[SLOW] if f in slow else []) for f in configs]


def data(kind):
    """Albums of two tracks by artists of their own, and features of the kind, narrower."""
    torch.set_num_threads(1)
    album = np.repeat(np.arange(N_ALBUMS), 2)
    labels = album % 2
    tracks = Tracks(
        np.arange(len(album)), labels, ("A", "B"), artist_id=album, album_id=album,
        columns={"title": album.astype(str)},
    )  # fmt: skip
    shape = (24, 63) if kind == "logmel" else (7,)
    noise = np.random.default_rng(0).normal(size=(len(album), *shape))
    values = labels.reshape(-1, *[1] * len(shape)) + noise
    return tracks, FeatureStore.from_arrays("toy", tracks.track_id, values)


def test_every_row_has_a_configuration():
    networks = [f"{e}{p}" for e in ("mlp", "crnn", "crnn_tf") for p in ("", "_mil", "_matt")]
    assert {file.stem for file in CONFIGS} == {*networks, *BASELINES, "lstm", "release"}


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: file.stem)
def test_every_grid_can_be_read_and_is_no_configuration(file):
    text = file.read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) <= 20
    grid = read_grid(file)
    names = [row.name for row in grid.rows]
    assert len(set(names)) == len(names) > 2
    assert set(grid.controls.values()) <= set(names) == set(grid.controls)
    with pytest.raises(ConfigError, match=r"\[grid\] makes many runs .* 'matt compare --grid'"):
        config.load(file)


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_configuration_is_what_its_name_says(file):
    text = file.read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) <= 15
    settings = config.load(file)
    assert config.parse(settings.to_json()) == settings
    if file.stem in BASELINES:
        assert settings.baseline.classifier == file.stem
        return
    assert settings.baseline is None
    encoder, _, kind = file.stem.partition("_m")
    poolings = {"": ("track", "mean"), "il": ("album", "mean"), "att": ("album", "dot")}
    if file.stem != "release":
        assert (settings.bags, settings.model.pooling) == poolings[kind]
        assert settings.model.encoder == encoder
        assert (settings.features.kind == "logmel") == (encoder != "mlp")
    left = ("optimizer", "lr", "weight_decay", "max_bags", "dropped_batch")
    same = {name: getattr(settings.training, name) for name in left}
    assert settings.training == replace(PLAIN.training, **same)
    assert (settings.model.inputs, settings.model.spread) == ("standard", False)


def test_what_is_beyond_the_paper_says_so_and_is_the_default_on_other_features():
    (file,) = BEYOND
    settings = config.load(file)
    assert file.read_text().startswith("# Beyond the paper: ")
    assert settings.features.kind == "musicnn"
    assert replace(settings, features=config.load().features) == config.load()


def test_the_release_has_the_settings_and_the_faults_of_its_model():
    file = next(file for file in CONFIGS if file.stem == "release")
    settings = config.load(file)
    assert settings.present_faults == settings.faults
    assert set(settings.faults) == {"frozen_queries", "true_query", "tanh_pooled", "dropped_batch"}
    assert (settings.model.encoder, settings.model.pooling) == ("identity", "dot")
    assert (settings.model.scale, settings.model.pooled_dropout) == ("fixed", 0.5)
    assert (settings.training.optimizer, settings.training.lr) == ("sgd", 0.2)
    assert (settings.training.max_bags, settings.training.weight_decay) == (160, 1e-5)
    whole = config.with_faults(settings, "released")
    assert (whole.model, whole.training) == (settings.model, settings.training)


@pytest.mark.parametrize("file", each(CONFIGS))
def test_every_configuration_becomes_a_run(file, tmp_path):
    more = ["training.max_bags=4"] if file.stem == "release" else []  # fewer than a batch: dropped
    settings = config.load(file, [*QUICK, *more])
    tracks, features = data(settings.features.kind)
    run = experiment.run(
        tracks, features, settings, tmp_path / "run", controls=file.stem == "release"
    )
    test = run.predictions("test")
    assert np.isfinite(test.logits).all()
    model = GenreClassifier.load(run.model)
    again = model.predict(features, tracks, test.bags)
    np.testing.assert_allclose(again.logits, test.logits, atol=1e-5)
    assert Run.open(run.path).scores()


def test_the_page_of_models_lists_every_configuration_with_its_parameters():
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    listed = {row[0].strip("| ").replace("\\", ""): row for row in rows}
    for file in CONFIGS:
        settings = config.load(file)
        assert file.stem in listed
        if settings.baseline is None:
            shape = settings.features.spec().shape
            network = build_network(settings.model, shape, n_genres=16)
            n_parameters = sum(value.numel() for value in network.parameters())
            assert listed[file.stem][4] == f"{n_parameters:,}"
