"""Recipes by name: what lies under the settings of a file, and that the rest stays as it is."""

from dataclasses import replace

import pytest

from matt import ConfigError, config
from matt.models.settings import ModelSettings, TrainingSettings
from matt.recipes import DEFAULT, PLAIN, RECIPES


def test_the_default_is_what_settings_are_by_themselves():
    assert (DEFAULT.model, DEFAULT.training) == (ModelSettings(), TrainingSettings())
    assert config.load(overrides=["recipe=default"]) == config.load()


def test_plain_is_the_cross_entropy_of_bags_alone_on_standardised_features():
    training = PLAIN.training
    assert PLAIN.model == ModelSettings(inputs="standard", spread=False)
    assert (training.loss, training.logit_adjustment, training.segment_loss) == (
        "cross_entropy", 0, 0,
    )  # fmt: skip
    assert (training.agreement, training.weight_average, training.sub_bags) == (0, 0, False)
    same = replace(
        TrainingSettings(), lr=1e-3, logit_adjustment=0.0, sub_bags=False, segment_loss=0.0,
        agreement=0.0, weight_average=0.0, decision="argmax",
    )  # fmt: skip
    assert training == same


@pytest.mark.parametrize("name", RECIPES)
def test_a_file_with_a_recipe_is_its_settings(name):
    settings = config.load(overrides=[f"recipe={name}"])
    assert (settings.model, settings.training) == (RECIPES[name].model, RECIPES[name].training)
    assert config.parse(settings.to_json()) == settings  # what a run keeps needs no recipe


def test_what_a_file_says_lies_on_top(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('recipe = "plain"\nmodel.pooling = "dot"\n[training]\nlr = 0.2\n')
    settings = config.load(file, ["training.sub_bags=true"])
    assert settings.model == replace(PLAIN.model, pooling="dot")
    assert settings.training == replace(PLAIN.training, lr=0.2, sub_bags=True)


def test_an_unknown_recipe_is_told_with_all_other_mistakes():
    with pytest.raises(ConfigError) as error:
        config.load(overrides=["recipe=plane", "model.poling=dot"])
    assert "unknown recipe 'plane'; did you mean 'plain'?" in str(error.value)
    assert "unknown key 'model.poling'; did you mean 'pooling'?" in str(error.value)


@pytest.mark.parametrize("wrong", ["3", "[1]"])
def test_a_recipe_is_a_name(wrong):
    with pytest.raises(ConfigError, match="unknown recipe"):
        config.load(overrides=[f"recipe={wrong}"])


def test_a_section_that_is_a_value_is_still_told():
    with pytest.raises(ConfigError, match="training"):
        config.parse({"recipe": "plain", "training": 3})
