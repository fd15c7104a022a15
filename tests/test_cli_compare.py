"""``matt compare --grid`` as a user meets it."""

import csv
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from matt.cli.app import app
from matt.cli.compare import watching
from matt.grid import study
from matt.processes import Progress
from matt.runs import Run

N_ARTISTS, N_FEATURES = 30, 5
GRID = """
training.epochs = 2
[grid]
"model.pooling" = ["mean", "dot"]
"training.logit_adjustment" = [0.0, 1.0]
"""


@pytest.fixture
def source(tmp_path):
    """A small table with its TOML, and a grid."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    with (tmp_path / "tracks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["track_id", "genre", "artist", "album", *(f"f{i}" for i in range(N_FEATURES))]
        )
        for track in range(2 * N_ARTISTS):
            artist = track // 2
            values = artist % 2 + rng.normal(size=N_FEATURES)
            writer.writerow([track, "AB"[artist % 2], artist, artist, *values])
    (tmp_path / "tracks.toml").write_text(
        'table = "tracks.csv"\ngenre = "genre"\nartist = "artist"\nalbum = "album"\nfeatures = "f*"\n'
    )
    (tmp_path / "grid.toml").write_text(GRID)
    return tmp_path


def matt(source, *more, out="out"):
    command = [
        "compare",
        source / "tracks.toml",
        "--grid",
        source / "grid.toml",
        "--out",
        source / out,
    ]
    return CliRunner().invoke(
        app, [str(word) for word in (*command, "--repeats", 2, "--no-controls", *more)]
    )


def test_a_grid_is_run_ranked_and_written(source):
    result = matt(source)
    assert result.exit_code == 0, result.output
    assert "Ranked by macro-F1 of validation" in result.stdout
    assert "control: logit_adjustment=0" in result.stdout
    assert "test" not in result.stdout.split("Unit.")[0]
    again = matt(source, "--json", "--repeats", 3)
    document = json.loads(again.stdout)
    assert "12 of 18 cells are there already" in again.stderr
    assert "6 cells to go: about 0:00:" in again.stderr
    assert document["status"] == "finished"
    names = [row["row"] for row in document["ranking"]["rows"]]
    assert len(names) == 4 + 2 + 1
    assert (source / "out" / "plots" / "ranking.png").stat().st_size > 1000
    with (source / "out" / "ranking.csv").open() as file:
        assert [row["row"] for row in csv.DictReader(file)] == names


def test_quiet_is_silent_and_test_is_shown_on_request_only(source):
    result = matt(source, "--quiet", "--json", "--test")
    assert result.stderr == ""
    rows = json.loads(result.stdout)["ranking"]["rows"]
    assert all("test macro-F1" in row for row in rows)
    assert rows == sorted(rows, key=lambda row: -row["macro-F1"]["mean"])


def test_failed_cells_are_told_and_the_exit_code_says_so(source, monkeypatch):
    real = study.fit_cell

    def broken(material, cell):
        if cell.name == "pooling=dot, logit_adjustment=1 (repeat 1)":
            raise ValueError("planted")
        return real(material, cell)

    monkeypatch.setattr(study, "fit_cell", broken)
    result = matt(source)
    assert result.exit_code == 3
    assert "1 cells failed" in result.stderr
    assert "pooling=dot, logit_adjustment=1 (repeat 1): ValueError: planted" in result.stderr
    assert Run.open(source / "out").manifest["status"] == "partial"
    monkeypatch.undo()
    assert matt(source).exit_code == 0
    assert Run.open(source / "out").manifest["status"] == "finished"


def test_settings_of_all_cells_can_be_changed(source):
    result = matt(source, "--set", "training.epochs=1", "--imbalance", 2, "--folds", 2)
    assert result.exit_code == 0, result.output
    settings = Run.open(source / "out").manifest["settings"]
    assert settings["protocol"] == {"repeats": 2, "folds": 2, "imbalance": 2, "keep": {}}
    assert {row["training"]["epochs"] for row in settings["rows"].values()} == {1}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["compare", "x.toml"], "two runs or more, or a grid file with --grid"),
        (["compare", "x.toml", "--grid", "g.toml"], "name one with --out"),
        (["compare", "a", "b", "--grid", "g.toml", "--out", "o"], "run on one source, got 2"),
    ],
)
def test_what_is_missing_is_told(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_wrong_grid_is_refused_as_a_whole(source):
    (source / "grid.toml").write_text(GRID + '"features.kind" = ["summary", "logmel"]\n')
    result = matt(source)
    assert result.exit_code == 2
    assert "cells differ in their features, but" in result.stderr
    (source / "grid.toml").write_text(
        GRID + '"model.encoder" = ["mpl", "mlp"]\n"training.lr" = [0.0]\n'
    )
    result = matt(source)
    assert "did you mean 'mlp'?" in result.stderr
    assert "lr must be finite and above 0" in result.stderr
    assert not (source / "out").exists()


class Told(list):
    """Notes; a bar that nobody draws."""

    note = list.append

    def follow(self, name, progress, detail):
        pass


def test_time_that_is_left_is_said_again_only_where_it_was_far_off(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("matt.cli.compare.time.monotonic", lambda: clock[0])
    notes = Told()
    tell = watching(notes, notes, jobs=2)
    for clock[0], done, left in (
        (0, 0, 600.0),
        (100, 1, 520.0),  # as was said, nearly
        (200, 2, 1500.0),  # no: it takes far longer
        (300, 3, 1400.0),
        (1690, 8, 50.0),  # a minute is no news
        (1700, 9, 0.0),
    ):
        tell(Progress("fitting", done, 9, left=left))
    assert notes == [
        "9 cells to go, 2 at once: about 0:10:00",
        "7 cells to go, 2 at once: about 0:25:00",
    ]
