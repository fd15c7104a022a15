"""``matt fma`` as a user meets it."""

import hashlib
import json

import pytest
from fma_server import serving
from fma_tree import features_csv, genres_csv, tracks_csv, write
from test_fma_fetching import pack
from typer.testing import CliRunner

from matt.cli.app import app
from matt.datasets import fma

COMMANDS = ("fetch", "verify", "index", "check")


def matt(*arguments):
    return CliRunner().invoke(app, ["fma", *map(str, arguments)])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_in_an_example(command):
    result = matt(command, "--help")
    assert result.exit_code == 0
    assert f"matt fma {command}" in " ".join(result.output.split("Example:")[1].split())


def test_from_download_to_index(tmp_path):
    bodies = {
        "tracks.csv": tracks_csv(),
        "genres.csv": genres_csv(),
        "features.csv": features_csv(),
    }
    bodies = {name: body.encode() for name, body in bodies.items()}
    sums = "".join(f"{hashlib.sha1(b).hexdigest()}  {name}\n" for name, b in bodies.items())
    bodies["checksums"] = sums.encode()
    packed = pack(tmp_path / "m.zip", {f"fma_metadata/{n}": b for n, b in bodies.items()}).read_bytes()  # fmt: skip
    root = tmp_path / "fma"
    with serving({"fma_metadata.zip": packed}) as (_, address):
        options = ["--to", root, "--url", address, "--sha1", hashlib.sha1(packed).hexdigest()]
        result = matt("fetch", "metadata", *options, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == {
            "archive": str(root / "fma_metadata.zip"),
            "folder": str(root / "fma_metadata"),
            "downloaded": True,
            "written": 4,
            "skipped": 0,
        }
        assert "4 there" in matt("fetch", "metadata", *options).stdout
    (root / "fma_metadata.zip").unlink()
    verified = matt("verify", root).stdout
    assert "3 ok, 0 differs" in verified
    assert "0 clips in 0 groups" in verified
    result = matt("index", root, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["counts"]["medium"] == 6
    assert told["faults"][0] == {"kind": "no audio", "left_out": True, "track_ids": [1486]}
    shown = matt("index", root)
    assert "unchanged" in shown.stderr
    assert "short clip" in shown.stdout


def test_a_simulated_tree_is_called_that_and_has_no_known_faults(tmp_path):
    write(tmp_path)
    (tmp_path / "fma_metadata" / "SIMULATED.json").write_text("{}")
    result = matt("index", tmp_path)
    assert "(a simulated FMA)" in " ".join(result.stdout.split())
    assert "short clip" not in result.stdout
    assert json.loads(matt("check", tmp_path, "--json").stdout)["simulated"]


def test_bad_files_exit_with_3(tmp_path):
    (tmp_path / "checksums").write_text(f"{'0' * 40}  a.mp3\n{'0' * 40}  b.mp3\n")
    (tmp_path / "b.mp3").write_bytes(b"x")
    result = matt("verify", tmp_path, "--json", "--quiet")
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert told["counts"] == {"files": 2, "ok": 0, "differs": 1, "missing": 1, "unreadable": 0}
    assert "missing" in told["failures"][0]["reason"]
    assert result.stderr == ""


def test_counts_that_differ_exit_with_3(tmp_path):
    write(tmp_path)
    fma.index(tmp_path)
    result = matt("check", tmp_path, "--json")
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    found = {line["what"]: line for line in told["lines"]}
    assert found["tracks"]["found"] == "9"
    assert found["tracks"]["verdict"] == "differs"
    assert found["FMA-medium, artists in more than one split"]["verdict"] == "ok"
    assert (
        found["FMA-medium, Rock: total = training / validation / test"]["found"] == "3 = 0 / 2 / 1"
    )
    assert told["differ"] == sum(line["verdict"] == "differs" for line in told["lines"])
    shown = matt("check", tmp_path)
    assert "expected" in shown.stdout
    assert f"of {len(told['lines'])} counts are as expected" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "{empty}"], "get it with 'matt fma fetch metadata"),
        (["index", "{empty}/nowhere"], "is no folder"),
        (["fetch", "tiny", "--to", "{empty}"], "no archive 'tiny'"),
        (["verify", "{empty}"], "holds neither FMA's archives"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, message, tmp_path):
    result = matt(*(argument.format(empty=tmp_path) for argument in arguments))
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
