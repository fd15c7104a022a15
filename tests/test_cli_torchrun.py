"""``torchrun -m matt``: one run folder, one voice, one exit, and the results of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from matt.predictions import Predictions
from matt.runs import Run

PATIENCE = 300  # seconds, after which a test fails: never waited for
OPTIONS = ["training.epochs=4", "training.max_bags=9", "model.hidden=[7]", "model.dropout=0"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Three genres, eight artists each, two albums each of 1 to 4 tracks, 5 features."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    lines = ["track,artist,album,genre,x0,x1,x2,x3,x4"]
    for artist in range(24):
        for album in range(2):
            for _ in range(rng.integers(1, 5)):
                x = np.eye(3, 5)[artist % 3] * 2 + rng.standard_normal(5)
                row = [
                    len(lines),
                    f"a{artist}",
                    f"b{artist}-{album}",
                    ["folk", "jazz", "rock"][artist % 3],
                ]
                lines.append(",".join(map(str, [*row, *x])))
    (folder / "small.csv").write_text("\n".join(lines) + "\n")
    (folder / "small.toml").write_text(
        'table = "small.csv"\ntrack = "track"\nartist = "artist"\nalbum = "album"\n'
        'genre = "genre"\nfeatures = "x*"\n'
    )
    return folder / "small.toml"


def matt(*arguments, processes=1, **variables):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    source = str(Path(__file__).parents[1] / "src")
    return subprocess.run(
        [sys.executable, *(launcher if processes > 1 else []), "-m", "matt", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def train(table, out, *options, **given):
    settings = [part for option in (*OPTIONS, *options) for part in ("--set", option)]
    return matt("train", table, "--out", out, "--json", *settings, **given)


def test_two_processes_write_what_one_does_and_speak_once(table, tmp_path):
    alone = train(table, tmp_path / "one")
    assert alone.returncode == 0, alone.stderr
    both = train(table, tmp_path / "two", processes=2)
    assert both.returncode == 0, both.stderr
    one, two = json.loads(alone.stdout), json.loads(both.stdout)  # one document each
    assert both.stderr.count("run folder") == 1
    assert (one.pop("run"), two.pop("run")) == (str(tmp_path / "one"), str(tmp_path / "two"))
    assert two["scores"].keys() == one["scores"].keys()
    assert two["audit"] == one["audit"]
    names = [
        sorted(str(path.relative_to(tmp_path / run)) for path in (tmp_path / run).rglob("*"))
        for run in ("one", "two")
    ]
    assert names[0] == names[1]
    assert Run.open(tmp_path / "two").manifest["processes"] == 2
    for file in (tmp_path / "one" / "predictions").iterdir():
        ours, theirs = (
            Predictions.load(file),
            Predictions.load(tmp_path / "two/predictions" / file.name),
        )
        np.testing.assert_array_equal(ours.bags.track_ids, theirs.bags.track_ids)
        np.testing.assert_allclose(ours.logits, theirs.logits, rtol=1e-4, atol=1e-5)


def test_what_several_processes_cannot_train_is_told_once(table, tmp_path):
    """The first process fails while the second one waits, and both end."""
    found = train(table, tmp_path / "run", "model.encoder=crnn", processes=2)
    assert found.returncode != 0
    assert json.loads(found.stdout)["exit_code"] == 2
    said = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1


def test_other_commands_are_for_one_process():
    found = matt("demo", WORLD_SIZE="2", RANK="0")
    assert found.returncode == 2
    assert (
        "'matt demo' is work for one process, but the variable WORLD_SIZE counts 2; start it"
        in found.stderr
    )
    follower = matt("scan", "--help", WORLD_SIZE="2", RANK="1")
    assert follower.stdout == ""


@pytest.mark.parametrize(("processes", "torn_down"), [(1, True), (2, False)])
@pytest.mark.parametrize(("option", "code"), [("--version", 0), ("--no-such-option", 2)])
def test_one_of_several_processes_ends_at_once_with_its_code(processes, torn_down, option, code):
    """What Python does at its end is left out, and what was written is there all the same."""
    program = (
        "import atexit, sys; from matt.cli import main; atexit.register(print, 'torn down');"
        f"sys.argv = ['matt', '{option}']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "WORLD_SIZE": str(processes), "RANK": "0"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code
    assert ("torn down" in done.stdout) is torn_down
    assert done.stdout.replace("torn down", "").strip() or done.stderr
