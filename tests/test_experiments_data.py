"""Every configuration trains on audio of the synthetic library, and on tables of FMA.

Log-mels are narrow, so that the networks that read them are quick; the networks are whole.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from matt import FeatureStore, config, experiment
from matt.datasets import fma, table
from matt.datasets.fma.simulate import write_tree
from matt.datasets.folder import scan
from matt.datasets.synthetic import write_library
from matt.datasets.table import parse
from matt.features.extract import extract_all

CONFIGS = sorted((Path(__file__).parents[1] / "experiments").glob("*.toml"))
OF_MAPS = [file for file in CONFIGS if "logmel" in file.read_text(encoding="utf-8")]
OTHERS = ("grid_", "beyond_")  # of several runs, of features with a length of their own
OF_FEATURES = [f for f in CONFIGS if f not in OF_MAPS and not f.stem.startswith(OTHERS)]
NARROW = (
    *("features.sr=8000", "features.n_fft=512", "features.hop_length=256"),
    *("features.n_mels=24", "features.duration=2"),
)
SHORT = ("features.policy=first", "features.duration=2")
QUICK = ("training.epochs=2", "baseline.max_iter=60", "baseline.n_neighbors=20")
FEWER = {"release": ["training.max_bags=8"]}  # its last batch is dropped, and may be all there is
SLOW = ("crnn", "crnn_mil", "crnn_tf", "crnn_tf_mil", "svm", "mlp_sklearn")
TABLES = {
    "fma_small_46": {
        "table": "fma_small_46.csv.gz",
        "features": ["zcr_*", "spec_*", "mfcc_*"],
        "log1p": "*_var*",
        "genre": "genre_top",
    },
    "fma_mfcc_2000": {
        "table": "fma_mfcc_2000.csv.gz",
        "header_rows": 3,
        "features": "mfcc_*",
    },
}
BAGS = {"album": "artist_run", "join": [{"table": "fma_medium_tracks.csv.gz"}]}


def each(files, slow=SLOW):
    marks = {True: [pytest.mark.slow], False: []}
    return [pytest.param(file, id=file.stem, marks=marks[file.stem in slow]) for file in files]


def settings_of(file, *overrides):
    """Settings of a configuration with two epochs; what is of a baseline goes to baselines alone."""
    loaded = config.load(file)
    wanted = [o for o in QUICK if loaded.baseline or not o.startswith("baseline.")]
    return config.load(file, [*wanted, *FEWER.get(file.stem, []), *overrides])


def trained(tracks, features, settings, path):
    """A run without controls whose loss is finite, and whose predictions differ from bag to bag."""
    run = experiment.run(tracks, features, settings, path / "run", controls=False)
    logits = run.predictions("test").logits
    assert np.isfinite(logits).all()
    assert np.ptp(logits, axis=0).max() > 0
    loss = [row["loss"] for row in _history(run)]
    assert len(loss) == (0 if settings.baseline else settings.training.epochs)
    assert np.isfinite(loss).all()
    return run


def _history(run):
    lines = (run.path / "history.csv").read_text().splitlines()
    names = lines[0].split(",") if lines else []
    return [dict(zip(names, map(float, line.split(",")), strict=True)) for line in lines[1:]]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The synthetic library with both kinds of features, by kind."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("library")
    write_library(root / "music", tracks=60, seconds=(2.0, 3.0), workers=1)
    found = scan(root / "music")
    specs = {
        config.load(overrides=overrides).features.spec(): root / name
        for name, overrides in (
            ("summary", SHORT),
            ("logmel", ["features.kind=logmel", *NARROW]),
        )
    }
    extract_all(found.tracks, specs, workers=1)
    return found.tracks, {spec.kind: FeatureStore.open(path) for spec, path in specs.items()}


@pytest.mark.parametrize("file", each([*OF_FEATURES, *OF_MAPS]))
def test_it_trains_on_the_synthetic_library(file, library, tmp_path):
    tracks, stores = library
    overrides = NARROW if file in OF_MAPS else SHORT
    settings = settings_of(file, *overrides)
    features = stores[settings.features.kind]
    assert features.spec == settings.features.spec()
    trained(tracks, features, settings, tmp_path)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    root = tmp_path_factory.mktemp("fma")
    write_tree(root, n_tracks=600)
    fma.index(root)
    return fma.load_tracks(root), fma.load_features(root)


@pytest.mark.parametrize("file", each(OF_FEATURES))
def test_it_trains_on_a_simulated_fma(file, simulated, tmp_path):
    tracks, features = simulated
    run = trained(tracks, features, settings_of(file), tmp_path)
    assert run.manifest["audit"]["artists across splits"] == 0


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("file", each(OF_FEATURES, slow=[f.stem for f in OF_FEATURES if f.stem != "mlp_matt"]))  # fmt: skip
def test_it_trains_on_a_real_table(file, name, shared_data, tmp_path):
    """The runs of an artist stand in for albums, of which the table knows none."""
    torch.set_num_threads(1)
    loaded = table.read(parse({**TABLES[name], **BAGS}), shared_data)
    more = {"release": ["training.max_bags=160"]}.get(file.stem, [])
    epochs = ["training.epochs=3"] if config.load(file).baseline is None else []
    run = trained(loaded.tracks, loaded.features, settings_of(file, *epochs, *more), tmp_path)
    sizes = run.predictions("test").bags.sizes
    alone = config.load(file).bags == "track"
    assert (sizes.max() > 1) != alone
