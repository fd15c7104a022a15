"""Any process of a run, killed at any point: the next run ends in the same bytes."""

import os
import random
import select
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from extraction import SPEC, digests, light, table, write

from matt.audio import SegmentPolicy
from matt.features.extract import extract_all
from matt.features.spec import FeatureSpec

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

WORKERS, N_FILES, IN_A_BLOCK = 2, 37, 4
WIDE = FeatureSpec.logmel(
    "wide", sr=9_000, n_fft=256, hop_length=64, n_mels=19, segments=SegmentPolicy("all", 0.3)
)
PROGRAM = """
import sys
from pathlib import Path
import test_features_kill as here

def say(step):
    print(step.done, flush=True)
    sys.stdin.readline()  # a kill never comes too late: the run waits for an answer

if __name__ == "__main__":
    here.run(*map(Path, sys.argv[1:]), say)
"""


def logged(path, specs, salvage, alive):
    """Tell of every decode in a file, a line each."""
    with (Path(path).parents[1] / "decoded.txt").open("a") as log:
        log.write(f"{Path(path).name}\n")
    return light(path, specs, salvage, alive)


def run(music, stores, progress=None):
    places = {SPEC: stores / "small", WIDE: stores / "wide"}
    tracks = table(sorted(music.iterdir()))
    return extract_all(tracks, places, workers=WORKERS, progress=progress, extractor=logged)


def finished(stores):
    found = {name: digests(stores / name) for name in ("small", "wide")}
    return {
        (store, name): digest for store, files in found.items() for name, digest in files.items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Files, and what their stores hold after a run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "music").mkdir()
    for i in range(N_FILES):
        write(folder / "music" / f"{i:02d}.wav", seed=i, seconds=0.4 + 0.01 * i)
    places = {SPEC: folder / "small", WIDE: folder / "wide"}
    extract_all(table(sorted((folder / "music").iterdir())), places, workers=2, extractor=light)
    return folder / "music", finished(folder)


def processes(session):
    """Ids of the processes of a session, the first one included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(after_name[3]) == session and after_name[0] != "Z":
                found.append(int(entry.name))
    return found


def started(script, music, stores):
    return subprocess.Popen(
        [sys.executable, str(script), str(music), str(stores)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def wait_until_gone(pids):
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert select.select([handle], [], [], 30)[0], f"process {pid} outlives its run"
        os.close(handle)


def killed_at(process, points, rng):
    """Kill some process of a run whenever so many files are done; how often there was one left."""
    kills = 0
    for number, _ in enumerate(process.stdout):
        if number in points and (found := processes(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(rng.choice(found), signal.SIGKILL)
                kills += 1
        with suppress(BrokenPipeError):
            os.write(process.stdin.fileno(), b"\n")
    process.wait(timeout=60)
    wait_until_gone(processes(process.pid))
    return kills


def kill_and_go_on(whole, folder, seed, most):
    music, expected = whole
    log = music.parent / "decoded.txt"
    log.unlink(missing_ok=True)
    rng = random.Random(seed)
    script, stores = folder / "run.py", folder / "stores"
    script.write_text(PROGRAM)
    kills, returncode = 0, None
    while returncode != 0:
        points = rng.sample(range(2 * N_FILES), min(2, most - kills))
        with started(script, music, stores) as process:
            kills += killed_at(process, points, rng)
        returncode = process.returncode
        assert returncode == 0 or kills, "it fails by itself"
        assert finished(stores).items() <= expected.items()
    assert kills
    assert finished(stores) == expected
    decodes = Counter(log.read_text().split())
    assert len(decodes) == N_FILES
    # A kill repeats the blocks in flight, one a worker, and no other.
    assert decodes.total() - N_FILES <= kills * WORKERS * IN_A_BLOCK


@pytest.mark.parametrize("seed", range(2))
def test_the_next_run_ends_in_the_same_bytes(whole, tmp_path, seed):
    kill_and_go_on(whole, tmp_path, seed, most=4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
def test_however_often_it_is_killed(whole, tmp_path, seed):
    kill_and_go_on(whole, tmp_path, seed, most=12)


def test_one_decode_serves_both_stores(whole, tmp_path):
    music, expected = whole
    log = music.parent / "decoded.txt"
    log.unlink(missing_ok=True)
    run(music, tmp_path)
    assert Counter(log.read_text().split()) == {path.name: 1 for path in music.iterdir()}
    assert finished(tmp_path) == expected
    assert np.diff([len(digests(tmp_path / name)) for name in ("small", "wide")]) == 0
