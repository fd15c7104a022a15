import pytest

from matt import ConfigError, FeatureSpec, config
from matt.config import Settings
from matt.features.spec import FeatureSettings
from matt.models.settings import BaselineSettings


def test_an_empty_file_is_the_defaults(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("")
    assert config.load(file) == Settings() == config.load()


def test_a_file_and_overrides_are_composed(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('bags = "track"\n[training]\nlr = 0.5\nepochs = 7\n[model]\nhidden = [3, 5]\n')
    settings = config.load(file, ["training.lr=0.25", "features.kind=logmel"])
    assert (settings.bags, settings.training.lr, settings.training.epochs) == ("track", 0.25, 7)
    assert settings.model.hidden == (3, 5)
    assert settings.features.spec().kind == "logmel"


def test_each_kind_of_feature_is_by_default_what_it_is_known_for():
    assert FeatureSettings().spec() == FeatureSpec.summary()
    logmel = FeatureSettings(kind="logmel")
    assert logmel.spec() == FeatureSpec.logmel()
    assert logmel.spec().shape == (96, 1360)
    assert FeatureSettings(kind="logmel", n_fft=512).spec() == FeatureSpec.logmel(n_fft=512)


def test_the_seed_of_a_run_is_the_seed_of_its_training():
    assert config.load(overrides=["seed=3"]).training.seed == 3


def test_a_baseline_is_a_section_that_may_be_absent():
    assert Settings().baseline is None
    settings = config.load(
        overrides=["baseline.classifier=knn", "baseline.n_neighbors=3", "seed=2"]
    )
    assert settings.baseline == BaselineSettings(classifier="knn", n_neighbors=3, seed=2)


@pytest.mark.parametrize("more", [[], ["baseline.classifier=svm"]])
def test_settings_survive_json(more):
    settings = config.load(overrides=["model.pooling=dot", "seed=3", *more])
    assert config.parse(settings.to_json()) == settings


def test_all_unknown_keys_are_named_at_once_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        config.parse({"trainig": {}, "training": {"learning_rte": 1, "epoch": 2}}, where="x.toml")
    message = str(caught.value)
    assert message.startswith("x.toml: ")
    for part in ("did you mean 'training'", "training.learning_rte", "did you mean 'epochs'"):
        assert part in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.lr=fast"], r"training.lr must be a number, got 'fast'; its default is 0.002"),
        (["training.lr=-1"], r"lr must be"),
        (["model.pooling=dto", "training.epochs=0"], r"(?s)did you mean 'dot'.*epochs"),
        (["features.kind=mel"], r"did you mean 'logmel'"),
        (["features.kind=logmel", "features.short=keep"], r"short audio cannot be kept"),
        (["features.n_fft=512"], r"features.n_fft = 512 belongs to logmel, not to summary"),
        (["training.seed=3"], r"a run has one seed"),
        (["baseline.seed=3"], r"a run has one seed"),
        (["baseline.classifier=knnn"], r"did you mean 'knn'"),
        (["baseline.neighbors=3"], r"unknown key 'baseline.neighbors'.*'n_neighbors'"),
        (["seed=-1"], r"seed must be a whole number of at least 0"),
        (["splits.test=2"], r"sum to less than 1"),
        (["splits.test=0"], r"splits.test must be finite and above 0, got 0"),
        (["training.lr=abc", "foo=1", "seed=-2"], r"(?s)training.lr.*'foo'.*seed"),
        (["seed"], r"has no '='"),
        (["seed.x.y=1"], r"seed"),
    ],
)
def test_wrong_values_are_explained(overrides, message):
    with pytest.raises(ConfigError, match=message):
        config.load(overrides=overrides)


def test_a_broken_file_is_explained(tmp_path):
    (tmp_path / "a.toml").write_text("lr = = 3")
    with pytest.raises(ConfigError, match=r"a.toml is not TOML.*line 1"):
        config.load(tmp_path / "a.toml")
    with pytest.raises(ConfigError, match="does not exist"):
        config.load(tmp_path / "b.toml")
