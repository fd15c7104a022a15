"""What runs where only `pip install matt-mgc` was done: torch and onnx cannot be imported."""

import json
import subprocess
import sys

import pytest
from test_cli import FAST, library, matt  # noqa: F401

from matt.models.neural import NeuralClassifier
from matt.models.saving import GRAPH, MODEL

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "onnxscript"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
COMMAND = BLOCKED + "from matt.cli import main\nsys.argv = ['matt', *sys.argv[1:]]\nmain()\n"


@pytest.fixture(scope="module")
def run(library, tmp_path_factory):  # noqa: F811
    """The default: networks, and classifiers of other kinds beside them."""
    out = tmp_path_factory.mktemp("runs") / "first"
    result = matt("train", library, "--out", out, "--json", "--no-controls", *FAST)
    assert result.exit_code == 3, result.output  # the planted bad files failed
    return out, json.loads(result.stdout)


def alone(*arguments, code=COMMAND):
    given = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(given, capture_output=True, text=True, check=False)


def test_a_blend_predicts_and_explains_the_same(library, run, tmp_path):  # noqa: F811
    folder, _ = run
    assert (folder / "model" / "network" / GRAPH).is_file()
    done = alone("predict", library, "--model", folder, "--json")
    assert done.returncode == 3, done.stderr  # the planted bad files failed
    told = json.loads(done.stdout)
    here = json.loads(matt("predict", library, "--model", folder, "--json").stdout)
    assert len(told["albums"]) == len(here["albums"]) > 5
    assert told == here
    album = max(told["albums"], key=lambda row: row["n_tracks"])["path"]
    given = "explain", album, "--library", library, "--model", folder, "--json"
    done = alone(*given)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(matt(*given).stdout)


@pytest.mark.parametrize("command", ["evaluate", "score", "report"])
def test_results_are_computed(run, tmp_path, command):
    folder, _ = run
    saved = next((folder / "predictions").glob("*.parquet"))
    given = {
        "evaluate": (folder, "--rounds", 20),
        "score": (saved, "--rounds", 20),
        "report": (folder, "--out", tmp_path / "page", "--rounds", 20),
    }
    done = alone(command, *given[command])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "music", "--out", "new"),
        ("demo", "--out", "new"),
        ("reproduce", "--table", "1", "--out", "new"),
    ],
)
def test_training_says_in_one_line_what_it_needs(tmp_path, arguments):
    (tmp_path / "music").mkdir()
    named = [str(tmp_path / word) if word in ("music", "new") else word for word in arguments]
    done = alone(*named)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert f"'matt {arguments[0]}' needs torch, which is not installed" in line
    assert line.endswith('pip install "matt-mgc[train]"')
    assert not (tmp_path / "new").exists()


def test_a_model_without_a_graph_says_so(run, tmp_path):
    network = NeuralClassifier.load(run[0] / "model" / "network")
    network.save(tmp_path)
    content = json.loads((tmp_path / MODEL).read_text())
    del content["graph_sha256"]
    (tmp_path / MODEL).write_text(json.dumps(content))
    code = BLOCKED + (
        "from matt.models.classifier import GenreClassifier\nGenreClassifier.load(sys.argv[1])\n"
    )
    done = alone(tmp_path, code=code)
    assert "ConfigError" in done.stderr
    assert done.stderr.strip().endswith(
        'needs torch, which is not installed: pip install "matt-mgc[train]"'
    )
    assert NeuralClassifier.load(tmp_path)._networks  # with torch
