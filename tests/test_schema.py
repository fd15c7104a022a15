"""What is told of settings against the settings themselves."""

import re
import tomllib
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import ConfigError, config
from matt.config import Settings
from matt.settings import toml_value

EVERY = [setting for section in config.sections() for setting in section.settings]
NEEDS = {
    "training.precision": [
        "training.device=cuda"
    ],  # which float16 needs; looked for at the start  # what a value needs beside it
    "model.query": ["model.pooling=dot"],
    "features.short": ["features.kind=summary"],
    "features.frequencies": ["features.kind=summary"],
    "features.layer": ["features.kind=musicnn"],
    "features.n_segments": ["features.policy=spread"],
}
KINDS_OF = {"n_fft": "logmel", "hop_length": "logmel", "n_mels": "logmel", "sr": "logmel"}


def with_value(setting, value):
    """Settings with one value, and whatever that setting needs."""
    kind = [f"features.kind={KINDS_OF[setting.key]}"] if setting.key in KINDS_OF else []
    return config.load(overrides=[*kind, *NEEDS.get(setting.name, []), f"{setting.name}={value}"])


def test_every_field_is_told_once():
    told = [setting.name for setting in EVERY]
    expected = []
    for field in fields(Settings):
        section = getattr(config.load(overrides=["baseline.classifier=lr"]), field.name)
        if hasattr(section, "__dataclass_fields__"):
            expected += [f"{field.name}.{inner.name}" for inner in fields(section)]
        else:
            expected.insert(0, field.name)
    assert sorted(told) == sorted(set(expected) - {"training.seed", "baseline.seed"})


@pytest.mark.parametrize("setting", EVERY, ids=lambda setting: setting.name)
def test_every_setting_has_a_meaning_a_kind_and_its_default(setting):
    assert len(setting.text) > len(setting.key)
    assert setting.meaning[0] == setting.text.replace("`", "")[0]
    place = config.load(overrides=["baseline.classifier=lr"])
    for part in setting.name.split("."):
        place = getattr(place, part)
    assert place == setting.default


@pytest.mark.parametrize(
    "setting", [s for s in EVERY if "{" in s.values], ids=lambda setting: setting.name
)
def test_every_choice_is_one_and_nothing_else_is(setting):
    choices = re.findall(r'"([^"]+)"', setting.values)
    assert len(choices) > 1
    for choice in choices:
        with_value(setting, choice)
    if "or the name" not in setting.values:
        with pytest.raises(ConfigError):
            with_value(setting, "nothing of this name")


@pytest.mark.parametrize(
    "setting", [s for s in EVERY if re.search("[<>]", s.values)], ids=lambda setting: setting.name
)
def test_every_range_is_that_of_the_code(setting):
    low = re.search(r"(>=?) (\d+)$|^(\d+) (<=?) ", setting.values)
    bound = int(low[2] or low[3])
    open_end = (low[1] or low[4]) in (">", "<")
    wrapped = (lambda x: f"[{x}]") if "each" in setting.values else str
    for value in (bound - 1, *([bound] if open_end else [])):
        with pytest.raises(ConfigError):
            with_value(setting, wrapped(value))
    if not open_end and setting.key not in KINDS_OF and setting.key != "validation":
        with_value(setting, wrapped(bound))
    high = re.search(r"(<=?) (\d+)$", setting.values)
    if high:
        with pytest.raises(ConfigError):
            with_value(setting, int(high[2]) + (high[1] == "<="))


def test_the_commented_file_loads_to_the_defaults(tmp_path):
    file = tmp_path / "defaults.toml"
    file.write_text(config.to_toml(), encoding="utf-8")
    assert config.load(file) == Settings()
    assert max(map(len, file.read_text(encoding="utf-8").splitlines())) <= 100


def test_what_is_commented_out_may_be_commented_in():
    text = re.sub(r"^# (?=(\w+ = |\[))", "", config.to_toml(), flags=re.MULTILINE)
    settings = config.parse(tomllib.loads(text))
    assert settings.baseline == config.load(overrides=["baseline.classifier=lr"]).baseline
    assert (settings.features, settings.training) == (Settings().features, Settings().training)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["seed=3", "training.lr=1e-5", "model.hidden=[3,5]", 'bags=a "b" \\ é'],
        ["baseline.classifier=knn", "seed=5"],
        ["training.threads=none", "features.kind=logmel", "features.n_mels=8"],
        ["model.pooling=dot", "faults=released"],
    ],
)
def test_resolved_settings_survive_toml(overrides):
    settings = config.load(overrides=overrides)
    assert config.parse(tomllib.loads(config.to_toml(settings))) == settings


@given(st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.lists(st.integers(-9, 9)))  # fmt: skip
def test_values_survive_toml(value):
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value


def test_the_page_has_a_row_for_every_setting():
    page = config.to_markdown()
    for setting in EVERY:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{setting.key}` |") and setting.text in line)  # fmt: skip
        assert row.count(" | ") == 3


def test_an_unknown_section_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'training'"):
        config.find("trainig")
