import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from matt import DataError, Tracks, provenance
from matt.runs import Run, check_free


def start(path, **more):
    return Run.create(path, kind="train", settings={"lr": 0.1, "hidden": (7, 3)}, seed=7, **more)


def test_a_run_is_read_back(tmp_path):
    run = start(tmp_path / "run")
    assert Run.open(tmp_path / "run").manifest["status"] == "started"
    run.finish(seconds=1.5)
    manifest = Run.open(tmp_path / "run").manifest
    assert (manifest["status"], manifest["seed"], manifest["seconds"]) == ("finished", 7, 1.5)
    assert manifest["settings"] == {"lr": 0.1, "hidden": [7, 3]}
    assert {"python", "numpy", "torch"} <= set(manifest["versions"])


def test_a_run_may_be_repeated_but_nothing_else_is_overwritten(tmp_path):
    run = start(tmp_path / "run")
    run.save_scores({"accuracy": 1.0})
    run.plot("genres").parent.mkdir()
    run.plot("genres").touch()
    (run.path / "notes.txt").write_text("mine")
    start(tmp_path / "run")  # of the earlier run nothing is left that could be taken for this one's
    shown = {path.name for path in run.path.iterdir() if path.name[0] != "."}
    assert shown == {"run.json", "notes.txt"}
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(DataError, match="is not empty and is no run folder"):
        start(tmp_path / "photos")


def test_a_folder_that_is_no_run_is_explained(tmp_path):
    with pytest.raises(DataError, match=r"is not a run folder .* make one with 'matt train'"):
        Run.open(tmp_path)
    run = start(tmp_path / "run")
    run.write(schema="matt.run/99")
    with pytest.raises(DataError, match=r"schema 'matt.run/99', expected 'matt.run/1'"):
        Run.open(run.path)


def test_an_unfinished_run_is_told(tmp_path):
    run = start(tmp_path / "run")
    with pytest.raises(DataError, match="was not finished; run the same command again"):
        run.check_finished()
    run.finish()
    assert Run.open(run.path).check_finished().path == run.path


def test_checkpoints_stay_for_a_resumed_run_only(tmp_path):
    run = start(tmp_path, resume=True)  # nothing there yet: a run like any other
    kept = run.checkpoint("bag model") / "state"
    kept.parent.mkdir(parents=True)
    kept.touch()
    run.save_scores({"accuracy": 1.0})
    start(tmp_path, resume=True)
    assert kept.exists()
    assert not (tmp_path / "scores.json").exists()
    with pytest.raises(
        DataError, match=r"differs in data; go on with the command.*--force instead of --resume"
    ):
        start(tmp_path, resume=True, data="abd")
    assert kept.exists()
    start(tmp_path)
    assert not kept.exists()


def test_a_finished_run_is_not_resumed(tmp_path):
    run = start(tmp_path)
    run.checkpoint("bag model").mkdir(parents=True)
    run.finish()
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["run.json"]
    with pytest.raises(
        DataError, match="nothing to resume; make it anew with --force instead of --resume"
    ):
        start(tmp_path, resume=True)


@pytest.mark.parametrize("text", ["[]", "{}", "null", "3"])
def test_a_damaged_manifest_is_told(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match="schema None, expected"):
        Run.open(tmp_path)


def test_history_is_a_table(tmp_path):
    run = start(tmp_path / "run")
    run.save_history([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    with (run.path / "history.csv").open(newline="") as file:
        assert list(csv.DictReader(file))[1] == {"epoch": "2", "loss": "0.25"}


def test_the_digest_sees_labels_and_splits():
    tracks = Tracks([3, 5, 7], [0, 1, 0], ("A", "B"))
    same = Tracks(np.array([3, 5, 7]), np.array([0, 1, 0]), ("A", "B"), columns={"x": np.ones(3)})
    assert provenance.digest(tracks) == provenance.digest(same)
    assert provenance.digest(tracks) != provenance.digest(
        tracks.with_split(np.array(["test", "", ""]))
    )
    assert provenance.digest(tracks) != provenance.digest(Tracks([3, 5, 7], [0, 1, 1], ("A", "B")))


HOLDER = """
import sys, time
from pathlib import Path
from matt.files import lock

lock(Path(sys.argv[1]))
print("mine", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A folder that another process writes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout.readline() == "mine\n"
        yield tmp_path / "run", process
        process.kill()


def test_a_folder_has_one_writer_who_is_named_until_it_dies(held):
    path, process = held
    with pytest.raises(DataError, match=rf"run is being written by .*\(process {process.pid} on .*wait until"):  # fmt: skip
        start(path)
    assert not (path / "run.json").exists()
    process.kill()
    process.wait()
    run = start(path)  # whoever was killed holds nothing
    run.finish()
    assert not (path / ".writer").exists()


def test_who_writes_may_write_again_and_others_when_it_is_done(tmp_path):
    first = start(tmp_path / "run")
    second = start(tmp_path / "run")
    second.finish()
    first.write(status="partial")
    ask = HOLDER.replace("sys.stdin.read()", "")
    told = subprocess.run(
        [sys.executable, "-c", ask, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert told.stdout == "mine\n"


def test_a_finished_run_is_of_its_settings(tmp_path):
    run = start(tmp_path / "run")
    run.finish()
    Run.open(run.path).check_same(seed=7, settings={"lr": 0.1, "hidden": (7, 3)})
    with pytest.raises(DataError, match=r"the finished run .* differs in seed; go on with"):
        Run.open(run.path).check_same(seed=8)


def test_a_run_that_is_there_stays_unless_it_may_be_replaced(tmp_path):
    run = start(tmp_path / "run")
    with pytest.raises(DataError, match=r"is not finished; go on with it by --resume, .*--force"):
        check_free(tmp_path / "run", replaces=False)
    run.finish()
    with pytest.raises(DataError, match=r"is finished; choose another folder, .*--force"):
        check_free(tmp_path / "run", replaces=False)
    assert check_free(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".lock").touch()
    assert check_free(tmp_path / "new", replaces=False) == tmp_path / "new"


def test_a_model_is_told_from_a_run(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(
        DataError, match=r"is a model, and test results lie in runs.*'matt predict FOLDER --model"
    ):
        Run.open(tmp_path)
