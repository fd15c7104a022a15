"""The engine: what is finished stays, what failed is told, however many processes there are."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import grid_work
import numpy as np
import pytest

from matt import DataError
from matt.comparison import Cell
from matt.grid import engine
from matt.grid.engine import run_cells

N = 5


def run(tmp_path, out="out", orders=(), jobs=1, n=N, progress=None):
    shared = tmp_path / f"{out}.log", dict(orders)
    return run_cells(
        grid_work.cells(n),
        grid_work.work,
        tmp_path / out,
        shared=shared,
        jobs=jobs,
        progress=progress,
    )


def logits(report, n=N):
    found = [report.results[cell.digest] for cell in grid_work.cells(n)]
    return np.stack([r.predictions(part).logits for r in found for part in ("validation", "test")])


def expected(n=N):
    return np.stack([grid_work.predict(seed).logits for i in range(n) for seed in (i, 100 + i)])


def test_cells_are_run_in_order_and_their_predictions_saved(tmp_path):
    report = run(tmp_path)
    assert grid_work.done(tmp_path / "out.log") == list(range(N))
    np.testing.assert_array_equal(logits(report), expected())
    assert (report.failures, report.kept) == ((), 0)


def test_several_processes_give_what_one_gives(tmp_path):
    report = run(tmp_path, jobs=2)
    assert sorted(grid_work.done(tmp_path / "out.log")) == list(range(N))
    np.testing.assert_array_equal(logits(report), expected())


def test_finished_cells_are_not_run_again_and_more_are_added(tmp_path):
    run(tmp_path, n=2)
    report = run(tmp_path)
    assert grid_work.done(tmp_path / "out.log") == list(range(N))
    assert report.kept == 2
    assert run(tmp_path).kept == N
    assert grid_work.done(tmp_path / "out.log") == list(range(N))


def test_equal_cells_are_run_once(tmp_path):
    twice = [*grid_work.cells(3), *grid_work.cells(3)]
    report = run_cells(twice, grid_work.work, tmp_path / "out", shared=(tmp_path / "log", {}))
    assert grid_work.done(tmp_path / "log") == [0, 1, 2]
    assert len(report.results) == 3


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_cell_is_told_and_the_others_go_on(tmp_path, jobs):
    seen = []
    report = run(tmp_path, orders={1: "fail"}, jobs=jobs, progress=seen.append)
    (failure,) = report.failures
    assert (failure.cell.name, failure.reason) == ("cell 1", "ValueError: planted")
    assert sorted(grid_work.done(tmp_path / "out.log")) == [0, 2, 3, 4]
    assert (seen[-1].done, seen[-1].failed, seen[-1].left) == (4, 1, 0)
    assert seen[-1].last_failure == "cell 1: ValueError: planted"
    again = run(tmp_path, jobs=jobs)  # mended: only that one is run
    assert sorted(grid_work.done(tmp_path / "out.log")) == list(range(N))
    np.testing.assert_array_equal(logits(again), expected())


def test_a_process_that_dies_costs_its_cell_only(tmp_path):
    report = run(tmp_path, orders={2: "die"}, jobs=2)
    (failure,) = report.failures
    assert failure.cell.name == "cell 2"
    assert "its process ended" in failure.reason
    assert sorted(grid_work.done(tmp_path / "out.log")) == [0, 1, 3, 4]


def test_progress_counts_what_was_there_and_knows_how_long_the_rest_takes(tmp_path):
    run(tmp_path, n=3)
    seen = []
    run(tmp_path, progress=seen.append)
    first, last = seen[0], seen[-1]
    assert (first.total, first.kept, first.done) == (N, 3, 3)
    assert first.left > 0  # by the three, before anything is run
    assert (last.done, last.kept, last.left, last.last) == (N, 3, 0, "cell 4")


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import grid_work
from matt.grid.engine import run_cells

if __name__ == "__main__":
    shared = Path({log!r}), {{2: "wait", 3: "wait"}}
    run_cells(grid_work.cells({n}), grid_work.work, {out!r}, shared=shared, jobs={jobs})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_engine_that_is_killed_goes_on_where_it_was(tmp_path, jobs):
    log, script = tmp_path / "out.log", tmp_path / "script.py"
    tests = str(Path(__file__).parent)
    script.write_text(
        KILLED.format(tests=tests, log=str(log), out=str(tmp_path / "out"), n=N, jobs=jobs)
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as process:
        waiting = [process.stdout.readline() for _ in range(jobs)]
        process.kill()
        assert process.stdout.read() == b""  # its end: the processes that it started are gone, too
    assert all(b"waiting" in line for line in waiting)
    assert sorted(grid_work.done(log)) == [0, 1]
    report = run(tmp_path, jobs=jobs)
    assert report.kept == 2
    assert sorted(grid_work.done(log)[2:]) == [2, 3, 4]
    np.testing.assert_array_equal(logits(report), expected())
    whole = run(tmp_path, out="whole")
    for name, result in whole.results.items():
        for part in ("validation", "test"):
            file = f"predictions/{part}.parquet"
            assert (report.results[name].path / file).read_bytes() == (
                result.path / file
            ).read_bytes()


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    def stop(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=stop)
    assert run(tmp_path).kept == 2
    assert grid_work.done(tmp_path / "out.log") == list(range(N))


@pytest.mark.parametrize("begun", [1, 2])
def test_a_cell_is_written_whole_or_not_at_all(tmp_path, monkeypatch, begun):
    real, calls = engine.write_json, []

    def cut(path, content):
        calls.append(path)
        if len(calls) == begun:
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(engine, "write_json", cut)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.undo()
    assert len(list((tmp_path / "out" / "cells").iterdir())) == begun - 1
    assert run(tmp_path).kept == begun - 1


def test_a_full_disk_stops_everything(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(engine, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path)
    assert grid_work.done(tmp_path / "out.log") == [0]


def test_what_was_left_behind_a_day_ago_is_removed(tmp_path):
    old, young = (tmp_path / "out" / "cells" / f".0.{name}" for name in ("old", "young"))
    for folder in (old, young):
        (folder / "predictions").mkdir(parents=True)
    os.utime(old, (0, 0))
    run(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_a_damaged_cell_is_named(tmp_path):
    report = run(tmp_path)
    path = next(iter(report.results.values())).path
    (path / "cell.json").write_text("[]")
    with pytest.raises(DataError, match=rf"{path.name} is damaged .*; move it away"):
        run(tmp_path)


def test_digests_are_of_the_facts_alone():
    one = Cell(name="x", facts={"a": 1, "b": [2]}, split=3)
    assert one.digest == Cell(name="y", facts={"b": [2], "a": 1}).digest
    assert one.digest != Cell(name="x", facts={"a": 1, "b": [3]}, split=3).digest


def test_another_version_of_matt_has_other_digests(monkeypatch):
    def made():
        return Cell(name="x", facts={"a": 1}).digest

    before = made()
    monkeypatch.setattr("matt.comparison.__version__", "99.0")
    assert made() != before
