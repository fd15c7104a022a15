"""What benchmarks do before they measure, and what is told of a GPU."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, models

ROOT = Path(__file__).parents[1]
HEAVY = ("h5py", "librosa", "sklearn", "numba")
CHOOSE = """
import runpy, sys
from benchmarks import features
assert features.claims()
sys.argv = ["benchmarks", "no claim says this"]
runpy.run_module("benchmarks", run_name="__main__")
print([name for name in {heavy} if name in sys.modules])
"""


@pytest.mark.skipif(find_spec("h5py") is None, reason="the benchmarks name the version of h5py")
def test_claims_that_nobody_asked_for_cost_nothing(tmp_path):
    """No tables are simulated, no clips decoded (this one could not be), no libraries loaded."""
    clips, temporary = tmp_path / "fma_clips", tmp_path / "temporary"
    clips.mkdir()
    temporary.mkdir()
    (clips / "1.mp3").touch()
    places = {
        "MATT_SHARED_DATA": str(tmp_path),
        "TMPDIR": str(temporary),
        "MATT_BENCH_DIR": str(temporary),
    }
    done = subprocess.run(
        [sys.executable, "-c", CHOOSE.format(heavy=HEAVY)],
        cwd=ROOT,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert not list(temporary.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_check_for_a_gpu_says_in_a_line_that_there_is_none(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path / "gpu.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "this check needs a CUDA device, and torch finds none here\n"
    assert not list(tmp_path.iterdir())


def test_the_page_says_of_a_gpu_what_was_measured():
    assert models.PAGE.read_text(encoding="utf-8").endswith(
        f"\n{models.gpu_section(models.gpu_figures())}"
    )


def test_figures_of_a_gpu_are_told_when_they_are_whole(tmp_path, monkeypatch):
    card = gpu.Card("cpu")
    figures = {
        **card.describe(),
        "card": "Pocket calculator",
        "rows": [gpu.row(card, "crnn", "step", "bfloat16", 14, 0.25)],
        "problems": [],
        "torchrun": {"seconds": 9.0},
        "tests": {"passed": 77, "seconds": 31.0},
        "seconds": 150.0,
    }
    monkeypatch.setattr(models, "GPU_FIGURES", tmp_path / "gpu.json")
    assert "Not measured yet" in models.gpu_section(models.gpu_figures())
    models.GPU_FIGURES.write_text(json.dumps(figures))
    told = models.gpu_section(models.gpu_figures())
    for text in ("Pocket calculator", "77 tests", "2.5 minutes", "| crnn | step | bfloat16 | 14 |"):
        assert text in told
    assert "| 0.25 | 56 |" in told  # 14 segments in a quarter of a second
    models.GPU_FIGURES.write_text(json.dumps({**figures, "problems": ["tests: 3 failed"]}))
    with pytest.raises(SystemExit, match="not whole: tests: 3 failed"):
        models.gpu_figures()
