"""What `python -m benchmarks` does before it measures."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

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
