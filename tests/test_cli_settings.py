"""The command ``settings``, as a user meets it."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from matt import config
from matt.cli.app import app
from matt.faults import FAULTS, PROTOCOLS

NAMES = [section.name for section in config.sections()]


def said(*arguments):
    result = CliRunner().invoke(app, ["settings", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_all_settings_are_shown_by_section():
    text = said()
    for section in config.sections():
        for setting in section.settings:
            assert setting.name in text


@pytest.mark.parametrize("name", NAMES)
def test_a_section_alone_is_shown(name):
    text = said(name)
    for section in config.sections():
        shown = [re.search(rf"^{re.escape(s.name)}\s", text, re.M) for s in section.settings]
        assert all(shown) if section.name == name else not any(shown)


def test_the_toml_is_a_file_for_train(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(said("--toml"), encoding="utf-8")
    assert config.load(file) == config.load()
    assert set(tomllib.loads(said("model", "--toml"))) == {"model"}


def test_the_document_says_the_same():
    told = json.loads(said("--json"))["sections"]
    assert [section["name"] for section in told] == NAMES
    settings = {s["name"]: s for section in told for s in section["settings"]}
    lr = settings["training.lr"]
    assert (lr["type"], lr["values"], lr["default"]) == ("number", "> 0", 0.002)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["modle"], "did you mean 'model'"), (["--toml", "--json"], "give one of them")],
)
def test_wrong_usage_is_explained(arguments, message):
    result = CliRunner().invoke(app, ["settings", *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_the_help_of_train_points_there():
    result = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"})
    assert "matt settings" in result.stdout


def test_the_method_page_lists_the_faults_and_protocols_of_the_code():
    page = (Path(__file__).parents[1] / "docs" / "method.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (x?) ?\| (x?) ?\|$", page, re.MULTILINE)
    assert [name for name, *_ in rows] == list(FAULTS)
    for column, protocol in ((1, "paper"), (2, "released")):
        assert tuple(row[0] for row in rows if row[column]) == PROTOCOLS[protocol]
