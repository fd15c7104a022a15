"""Encoders, poolings and losses of one's own: checked, chosen, saved, missed, and in other processes."""

import json
import os
import pickle
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from matt import Bags, ConfigError, FeatureStore, Tracks, config
from matt.grid.setups import read_grid
from matt.models import register
from matt.models.classifier import GenreClassifier
from matt.models.encoders import ENCODERS
from matt.models.losses import LOSSES, cross_entropy
from matt.models.neural import NeuralClassifier
from matt.models.pooling import POOLINGS, Max, Mean, Pooling
from matt.models.settings import ModelSettings, TrainingSettings
from matt.settings import AtLeastOne, Checked, Fraction, Positive
from matt.testing import check_encoder, check_loss, check_pooling

ROOT = Path(__file__).parents[1]
SHAPES = {"mlp": (7, 5), "identity": (7,), "crnn": (18, 101), "crnn_tf": (18, 260), "lstm": (7, 5)}
SMALL = {"hidden": (11,), "recurrent_units": 6, "attention_dim": 6}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@dataclass(frozen=True, kw_only=True)
class HeadsSettings(Checked):
    """Several scores, of which the highest counts."""

    n_heads: AtLeastOne = 2
    """How many."""
    start: Positive = 1.0
    """Where the scale starts."""


class Heads(Pooling):
    def __init__(self, embedding_dim, n_genres, settings):
        super().__init__()
        self.heads = nn.Linear(embedding_dim, settings.n_heads)
        self.scale = nn.Parameter(torch.tensor(settings.start))

    def forward(self, h, genre=None):
        return self.scale * self.heads(h).amax(1, keepdim=True)


class Half(nn.Module):
    """Every second feature: an encoder that says no more than it has to."""

    def __init__(self, feature_shape):
        super().__init__()
        self.embedding_dim = (feature_shape[0] + 1) // 2
        self.scale = nn.Parameter(torch.ones(self.embedding_dim))

    def forward(self, x):
        return self.scale * x[:, ::2]


@dataclass(frozen=True, kw_only=True)
class SmoothSettings(Checked):
    """Labels that are not quite sure."""

    share: Fraction = 0.1
    """Of each label that is given to the other genres."""


def smooth(logits, labels, settings):
    if labels.ndim == 2:
        raise ConfigError("'smooth' needs one genre a bag; use another loss")
    return nn.functional.cross_entropy(
        logits, labels, reduction="none", label_smoothing=settings.share
    )


def register_all():
    register("pooling", "heads", settings=HeadsSettings)(Heads)
    register("encoder", "half")(Half)
    register("loss", "smooth", settings=SmoothSettings)(smooth)


# ---- what is promised ----


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_our_encoders_keep_what_is_promised(name):
    settings = ModelSettings(encoder=name, **SMALL)
    wide = nn.init.normal_

    def made(shape):
        encoder = ENCODERS[name](shape, settings)
        for module in encoder.modules():  # at its start a batch norm in evaluation changes nothing
            if isinstance(module, nn.BatchNorm2d):
                wide(module.running_mean)
        return encoder

    check_encoder(made, feature_shape=SHAPES[name])
    assert set(SHAPES) == set(ENCODERS)


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_our_poolings_keep_what_is_promised(name):
    settings = ModelSettings(pooling=name, **SMALL)
    check_pooling(lambda dim, n_genres: POOLINGS[name](dim, n_genres, settings))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_our_losses_keep_what_is_promised(name):
    check_loss(lambda logits, labels: LOSSES[name](logits, labels, TrainingSettings(loss=name)))


def test_those_of_the_tests_keep_it_too():
    check_pooling(Heads, settings=HeadsSettings(n_heads=3))
    check_encoder(Half)
    check_loss(smooth, settings=SmoothSettings())


class Seeing(Mean):
    def forward(self, h, genre=None):
        return h[:, :1] - h.mean()  # cancels in the softmax

    def attention(self, scores, offsets):
        return torch.softmax(scores, 0) * (len(offsets) - 1)


class Twice(Mean):
    def attention(self, scores, offsets):
        return 2 * super().attention(scores, offsets)


class Wide(Mean):
    def forward(self, h, genre=None):
        return h


class Kept(Mean):
    def __init__(self):
        super().__init__()
        self.start = torch.randn(())

    def forward(self, h, genre=None):
        return self.start * h[:, :1]


class Counting(Max):
    reads_logits = False

    def forward(self, h, genre=None):
        return torch.arange(len(h), dtype=h.dtype)[:, None]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Seeing, "attention does not sum to 1"),
        (Twice, "attention does not sum to 1"),
        (Wide, r"not \(11, 3\) or \(11, 1\)"),
        (Kept, "with the saved weights it gives other logits"),
        (Counting, "the order of the segments"),
        (lambda: nn.Linear(7, 3), "it is no matt.models.pooling.Pooling"),
        (lambda: 3, "it made int, no torch.nn.Module"),
    ],
)
def test_a_broken_promise_of_a_pooling_is_told(broken, told):
    with pytest.raises(AssertionError, match=told):
        check_pooling(lambda dim, n_genres: broken())


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (lambda self, x: x[:, ::2] - x[:, ::2].mean(0), "depends on the other segments"),
        (lambda self, x: x, r"not \(3, 3\)"),
        (lambda self, x: x[:, ::2] + torch.rand(()), "give other embeddings"),
        (lambda self, x: x[:, ::2].detach() * self.scale, "no gradient reaches some segment"),
        (lambda self, x: x[:, ::2], "no gradient reaches scale"),
        (lambda self, x: self.scale * x.mul_(2)[:, ::2], "work on a copy"),
    ],
)
def test_a_broken_promise_of_an_encoder_is_told(forward, told):
    with pytest.raises(AssertionError, match=told):
        check_encoder(type("Broken", (Half,), {"forward": forward}))


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda x, y: cross_entropy(x, y).mean(), r"a loss \(\), not \(B,\)"),
        (lambda x, y: -cross_entropy(x, y), "is its sign turned"),
        (lambda x, y: cross_entropy(x - x.mean(0), y), "depends on other bags"),
        (lambda x, y: -x.softmax(1)[range(len(y)), y].log() if y.ndim == 1 else x[:, 0], "finite"),
    ],
)
def test_a_broken_promise_of_a_loss_is_told(broken, told):
    with pytest.raises(AssertionError, match=told):
        check_loss(broken)


# ---- names and settings ----


def test_they_are_chosen_by_name_in_python_toml_overrides_and_grids(tmp_path):
    register_all()
    model = ModelSettings(pooling="heads", pooling_settings=HeadsSettings(n_heads=3))
    assert replace(model, pooling_settings={"n_heads": 3}) == model
    file = tmp_path / "own.toml"
    file.write_text(
        '[model]\npooling = "heads"\nencoder = "half"\n[model.pooling_settings]\nn_heads = 3\n'
        '[training]\nloss = "smooth"\n'
    )
    settings = config.load(file, ["training.loss_settings.share=0.2"])
    assert settings.model == replace(model, encoder="half")
    assert settings.training.loss_settings == SmoothSettings(share=0.2)
    assert config.parse(settings.to_json()) == settings
    written = tmp_path / "written.toml"
    written.write_text(config.to_toml(settings))
    assert config.load(written) == settings
    file.write_text('[grid.pooling]\nmean = {}\nheads = { "model.pooling" = "heads", "model.pooling_settings.n_heads" = 5 }\n')  # fmt: skip
    chosen = [row.model.pooling_settings for row in read_grid(file).rows]
    assert HeadsSettings(n_heads=5) in chosen


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["model.pooling=head"], r"unknown model.pooling 'head'; did you mean 'heads'\?"),
        (
            ["model.pooling=heads", "model.pooling_settings.n_heads=0"],
            "model: pooling_settings: n_heads must be a whole number of at least 1, got 0",
        ),
        (
            ["model.pooling=heads", "model.pooling_settings.heads=3"],
            "unknown key 'heads'; did you mean 'n_heads'",
        ),
        (["model.pooling_settings.n_heads=3"], "pooling 'mean' has no settings of its own"),
        (["model.encoder=half", "model.encoder_settings.x=3"], "encoder 'half' has no settings"),
        (["model.pooling=heads", "model.pooling_settings=3"], "must be HeadsSettings or a table"),
        (["model.pooling=heads", "model.query=true"], "query='true' needs one query a genre"),
    ],
)
def test_wrong_names_and_settings_are_told(wrong, told):
    register_all()
    with pytest.raises(ConfigError, match=told):
        config.load(overrides=wrong)


def test_settings_of_their_own_are_told():
    register_all()
    section = config.find("pooling.heads")
    assert [setting.name for setting in section.settings] == [
        "model.pooling_settings.n_heads",
        "model.pooling_settings.start",
    ]
    assert section.settings[0].text == "How many."
    assert "[model.pooling_settings]" in section.to_toml()
    with pytest.raises(ConfigError, match="pooling 'dot' has no settings of its own; see"):
        config.find("pooling.dot")


def test_what_cannot_be_registered_is_refused():
    register_all()
    register_all()  # as when a cell of a notebook is run again
    with pytest.raises(
        ConfigError, match=r"pooling 'heads' is registered already, .*:Heads; choose"
    ):
        register("pooling", "heads")(Mean)
    with pytest.raises(ConfigError, match="pooling 'dot' is one of ours"):
        register("pooling", "dot")(Mean)
    with pytest.raises(ConfigError, match="unknown kind 'poling'; did you mean 'pooling'"):
        register("poling", "x")
    with pytest.raises(ConfigError, match=r"derives from matt\.settings\.Checked"):
        register("pooling", "x", settings=dict)(Mean)
    with pytest.raises(ConfigError, match="register a class or a function"):
        register("pooling", "x")(3)


def test_without_one_nothing_new_is_written():
    """Runs, models and cells of before stay what they are."""
    for settings in (ModelSettings(), TrainingSettings()):
        content = settings.to_json()
        assert {key for key in asdict(settings) if key not in content} <= {
            "encoder_settings",
            "pooling_settings",
            "loss_settings",
        }
        assert not any(key.endswith("_settings") for key in content)


# ---- training, saving, opening ----


def data():
    album = np.arange(60) // 3
    label = album % 2
    tracks = Tracks(np.arange(60), label, ("Rock", "Folk"), album_id=album, artist_id=album)
    values = 4 * np.eye(2, 5)[label] + np.random.default_rng(0).standard_normal((60, 5))
    store = FeatureStore.from_arrays("toy", tracks.track_id, values)
    return tracks, store, Bags.from_tracks(tracks, by="album")


OWN = {"encoder": "half", "pooling": "heads", "pooling_settings": {"n_heads": 3}}
TRAINING = {"loss": "smooth", "epochs": 60, "lr": 0.05, "weight_average": 0.0}


@pytest.fixture
def saved(tmp_path):
    register_all()
    tracks, store, bags = data()
    model = NeuralClassifier(ModelSettings(**OWN), TrainingSettings(**TRAINING)).fit(store, bags)
    assert (model.predict(store, tracks, bags).best == bags.labels).mean() > 0.8
    model.save(tmp_path / "model")
    return model, tmp_path / "model"


def test_saved_and_opened_it_predicts_equal_bits(saved):
    model, path = saved
    tracks, store, bags = data()
    loaded = GenreClassifier.load(path)
    assert loaded.model == model.model
    np.testing.assert_array_equal(
        *(one.predict(store, tracks, bags).logits for one in (model, loaded))
    )


def test_opened_without_it_the_model_says_what_is_missing_and_imports_nothing(saved, tmp_path):
    _, path = saved
    content = json.loads((path / "model.json").read_text())
    assert content["plug_ins"] == {
        "encoder": f"{__name__}:Half",
        "pooling": f"{__name__}:Heads",
        "loss": f"{__name__}:smooth",
    }
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    content["plug_ins"] = {"pooling": "trap:Heads"}
    (path / "model.json").write_text(json.dumps(content))
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from matt import DataError, GenreClassifier
try:
    GenreClassifier.load({str(path)!r})
except DataError as error:
    print(error)
assert "trap" not in sys.modules
"""
    told = python("-c", code)
    assert "needs the pooling 'heads', which was 'trap:Heads' when it was saved" in told
    assert "import the module that registers it, or install the package that has it" in told


def test_a_loss_that_needs_one_genre_a_bag_says_so():
    register_all()
    tracks, store, _ = data()
    labels = np.eye(2, dtype=bool)[tracks.labels]
    several = Bags.from_tracks(replace(tracks, labels=labels), by="album")
    with pytest.raises(ConfigError, match="'smooth' needs one genre a bag; use another loss"):
        NeuralClassifier(training=TrainingSettings(**TRAINING)).fit(store, several)


def test_what_makes_something_else_is_refused_when_it_is_built():
    register("pooling", "linear")(nn.Linear)
    register("encoder", "mute")(lambda shape: nn.Identity())
    _, store, bags = data()
    for given, told in (
        ({"pooling": "linear"}, "pooling 'linear' made a Linear; derive it from"),
        ({"encoder": "mute"}, "encoder 'mute' has the embedding_dim None; set it"),
    ):
        with pytest.raises(ConfigError, match=told):
            NeuralClassifier(ModelSettings(**given), TrainingSettings(epochs=1)).fit(store, bags)


# ---- entry points and other processes ----


def python(*arguments, path=(), cwd=None):
    """Output of another process, which must end well."""
    places = os.pathsep.join([str(ROOT / "src"), *map(str, path)])
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(place, group, name, value, **modules):
    """A package as an installer leaves it."""
    info = place / f"{name}_package-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}_package\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    for module, code in modules.items():
        (place / f"{module}.py").write_text(code)


@contextmanager
def on_path(place):
    sys.path.insert(0, str(place))
    try:
        yield
    finally:
        sys.path.remove(str(place))


def test_a_broken_entry_point_is_told_by_its_name(tmp_path):
    install(tmp_path, "matt.poolings", "broken", "broken_module:X", broken_module="import nothing_")
    with (
        on_path(tmp_path),
        pytest.raises(
            ConfigError,
            match=r"pooling 'broken' of broken_package 1.2 \(broken_module:X\) cannot be loaded "
            r"\(ModuleNotFoundError: No module named 'nothing_'\); mend that package, or uninstall it",
        ),
    ):
        ModelSettings(pooling="broken")


def blocks():
    """Files that the page of training shows, by the name in their first line."""
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    shown = re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return dict(shown), re.search(r'^\[project.entry-points."(.*?)"\]\n(\w+) = "(.*?)"', page, re.M)


def test_following_the_page_adds_a_pooling(tmp_path):
    """Checked, trained, saved, and in a grid of two processes; then on the command line."""
    files, entry = blocks()
    assert set(files) == {"loud.py", "try_loud.py", "grid.toml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    told = python("try_loud.py", cwd=tmp_path)
    assert "Predictions(40 bags" in told
    assert "loud" in told
    (tmp_path / "site").mkdir()
    install(tmp_path / "site", *entry.groups(), loud=files["loud.py"])
    told = python("-m", "matt", "settings", "pooling.loud", "--json", path=[tmp_path / "site"])
    (section,) = json.loads(told)["sections"]
    assert section["name"] == "model.pooling_settings"
    assert [setting["name"] for setting in section["settings"]] == ["model.pooling_settings.start"]


def test_contributing_points_to_that_page():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert "docs/training.md#your-own-pooling-encoder-or-loss" in text


def test_another_process_gets_to_know_it_with_the_settings(tmp_path):
    (tmp_path / "mine.py").write_text(blocks()[0]["loud.py"])
    code = """
import pickle, sys
import mine
from matt.models.settings import ModelSettings
sys.stdout.write(pickle.dumps(ModelSettings(pooling="loud")).hex())
"""
    sent = python("-c", code, path=[tmp_path])
    code = f"""
import pickle
from matt.models.pooling import POOLINGS
settings = pickle.loads(bytes.fromhex({sent!r}))
print(type(POOLINGS["loud"](3, 2, settings)).__name__)
"""
    assert python("-c", code, path=[tmp_path]).strip() == "Loud"


def test_settings_without_plug_ins_are_sent_as_they_are():
    assert pickle.loads(pickle.dumps(ModelSettings())) == ModelSettings()
