"""Extraction from real files: bad files cost themselves, and interruptions cost nothing."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import flip, without_length
from extraction import (
    SPEC,
    SR,
    SUFFIXES,
    digests,
    forbidden,
    hostile,
    light,
    lightly,
    table,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from matt import ConfigError, DataError, FeatureStore
from matt.audio import SegmentPolicy, audio_hash, read_segments
from matt.features.blocks import ROWS_SCHEMA, create, read_rows
from matt.features.computing import LOUDEST, computed, fitted
from matt.features.extract import Decoders, extract
from matt.features.kernels.frames import logmel, summary
from matt.features.plan import Plan, draw_up
from matt.features.spec import FeatureSpec
from matt.features.task import SharedTask, hash_in, open_tasks
from matt.features.worker import Outcome, extract_file, guarded
from matt.files import write_parquet
from matt.processes import Limits, ProcessDied

LIMIT = 2.0  # seconds


# ---- extractors; they run in the child, which imports this module ----


def probe(path, specs, salvage, alive):
    """What the child looks like from inside, after it has computed a feature."""
    import threadpoolctl

    (outcome,) = extract_file(path, specs, salvage, alive)
    facts = {
        "loaded": [name for name in ("torch", "pandas", "matplotlib") if name in sys.modules],
        "threads": max(library["num_threads"] for library in threadpoolctl.threadpool_info()),
        "stderr": os.path.sameopenfile(2, os.open(os.devnull, os.O_WRONLY)),
        "nice": os.nice(0),
    }
    return [Outcome(outcome.values, json.dumps(facts))]


def signed(path, specs, salvage, alive):
    """Light, with the number of its process for a reason."""
    (outcome,) = light(path, specs, salvage, alive)
    return [Outcome(outcome.values, str(os.getpid()))]


def patient(path, specs, salvage, alive):
    """Longer at a file than the limit allows between two segments: reports progress till then."""
    end = time.monotonic() + 1.5 * LIMIT
    while time.monotonic() < end:
        threading.Event().wait(LIMIT / 40)
        if Path(path).stem != "silent":
            alive()
    return light(path, specs, salvage, alive)


def sociable(path, specs, salvage, alive):
    """Light, once every file beside this one is being decoded, too."""
    (Path(path).parent / f"{Path(path).name}.begun").touch()
    files = [path for path in Path(path).parent.iterdir() if path.suffix != ".begun"]
    while not all(file.with_name(f"{file.name}.begun").exists() for file in files):
        threading.Event().wait(0.01)
    return light(path, specs, salvage, alive)


def murdered(path, specs, salvage, alive):
    """Killed from outside as often as the file beside it says, then light."""
    left = Path(path).with_suffix(".kills")
    kills = int(left.read_text()) if left.exists() else 0
    if kills:
        left.write_text(str(kills - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return light(path, specs, salvage, alive)


# ---- a small library ----


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Nine files, three blocks of a small plan, and a store of them made without interruption."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "music").mkdir()
    paths = [write(folder / "music" / f"{i}.{SUFFIXES[i % 4]}", seed=i) for i in range(9)]
    extract(table(paths), SPEC, folder / "whole", workers=2, extractor=light)
    return paths, digests(folder / "whole"), folder


@pytest.fixture
def files(original, tmp_path):
    """Copies of the nine files, to do with as one likes."""
    shutil.copytree(original[2] / "music", tmp_path / "music")
    return sorted((tmp_path / "music").iterdir())


@pytest.fixture
def store(original, tmp_path):
    """A copy of their store."""
    shutil.copytree(original[2] / "whole", tmp_path / "store")
    return tmp_path / "store"


def reasons(report):
    return {Path(problem.path).name: problem.reason for problem in report.failures}


# ---- the whole way ----


def test_real_files_in_four_formats_and_bad_ones_beside_them(files, tmp_path):
    folder = files[0].parent
    cut = folder / "cut.mp3"
    cut.write_bytes(write(folder / "long.mp3", seed=11, seconds=3).read_bytes()[:9000])
    (folder / "empty.mp3").touch()
    (folder / "text.mp3").write_text("Dear diary, this is no music at all. " * 50)
    soundfile.write(folder / "loud.wav", np.full(16_000, 1e25), 16_000, subtype="FLOAT")
    soundfile.write(folder / "hole.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    bad = ["empty.mp3", "text.mp3", "loud.wav", "hole.wav", "absent.mp3"]
    paths = [*files, cut, *(folder / name for name in bad)]
    steps = []
    tracks = table(paths)

    report = extract(tracks, SPEC, tmp_path / "store", workers=1, progress=steps.append)

    assert (report.total, report.extracted, report.failed) == (15, 10, 5)
    assert (report.reused, report.unchanged, report.deleted) == (0, 0, 0)
    assert set(reasons(report)) == set(bad)
    assert "not found" in reasons(report)["absent.mp3"]
    assert "peaks at 1.08e+25, where full scale is 1" in reasons(report)["loud.wav"]
    assert "NaN" in reasons(report)["hole.wav"]
    assert not any(str(folder) in reason for reason in reasons(report).values())
    (partial,) = report.partial
    assert (partial.track_id, partial.path) == (109, str(cut))
    assert "truncated" in partial.reason

    store = FeatureStore.open(tmp_path / "store")
    assert len(store) == 10
    values, _ = store.read(tracks.track_id[:10])
    for found, path in zip(values, paths, strict=False):
        (segment,) = read_segments(path, sr=SR, policy=SPEC.segments, on_damage="salvage")
        expected = logmel(segment.samples, sr=SR, n_fft=256, hop_length=128, n_mels=17)
        np.testing.assert_array_equal(found, expected)
    assert dict(
        zip(store.failures["track_id"].tolist(), store.failures["reason"], strict=True)
    ) == {problem.track_id: problem.reason for problem in report.failures}

    last = steps[-1]
    assert (last.stage, last.done, last.total, last.failed) == ("extracting", 15, 15, 5)
    assert last.block == last.blocks == len(report.blocks) == 4
    assert [step.done for step in steps if step.stage == "looking"] == list(range(1, 16))


def test_summaries_at_the_files_own_rate_from_a_child_without_torch_or_threads(files, tmp_path):
    """Values of FMA's columns; and what the process looked like that computed them."""
    spec = FeatureSpec.summary()
    report = extract(
        table(files[:2]),
        spec,
        tmp_path / "store",
        workers=1,
        limits=Limits(nice=3),
        extractor=probe,
    )
    silent = {"loaded": [], "threads": 1, "stderr": True}
    assert len(report.partial) == 2
    for problem in report.partial:
        assert json.loads(problem.reason) == {**silent, "nice": os.nice(0) + 3}
    store = FeatureStore.open(tmp_path / "store")
    for i, path in enumerate(files[:2]):
        y, sr = soundfile.read(path, dtype="float32")
        # Several threads, as here, sum in another order than one.
        np.testing.assert_allclose(store.read(np.array([100 + i]))[0][0], summary(y, sr), rtol=1e-4)


def test_one_track_may_have_several_segments(files, tmp_path):
    policy = SegmentPolicy("all", 0.2)
    spec = FeatureSpec.logmel(sr=SR, n_fft=256, hop_length=128, n_mels=17, segments=policy)
    write(files[0], seed=0, seconds=1.3)
    extract(table(files[:2]), spec, tmp_path / "store", workers=1, extractor=light)
    store = FeatureStore.open(tmp_path / "store")
    counts = store.counts(np.array([100, 101]))
    for path, count in zip(files, counts, strict=False):
        assert count == len(list(read_segments(path, sr=SR, policy=policy)))
    assert counts[0] > counts[1] > 1


# ---- crashes and limits ----


def test_a_track_without_sound_has_no_features_and_is_no_failure(tmp_path):
    paths = [write(tmp_path / "0.wav", seed=0), tmp_path / "1.wav", tmp_path / "2.wav"]
    soundfile.write(paths[1], np.zeros(9_000), 16_000)
    soundfile.write(paths[2], np.concatenate([np.zeros(33_600), 0.3 * np.sin(np.arange(9_000))]), 16_000)  # fmt: skip
    spec = replace(SPEC, segments=SegmentPolicy("all", 0.5))
    report = extract(table(paths), spec, tmp_path / "store")
    assert (report.total, report.extracted, report.failed) == (3, 3, 0)
    (silent,) = report.silent
    assert silent.track_id == 101
    assert silent.reason.startswith("nothing to hear")
    store = FeatureStore.open(tmp_path / "store")
    assert store.track_ids.tolist() == [100, 102]
    assert store.silent["track_id"].tolist() == [101]
    assert store.failures["track_id"].size == store.partial["track_id"].size == 0
    assert "1 silent" in repr(store)
    assert store.counts(np.array([100, 102])).tolist() == [1, 1]  # of the last, four are silent
    again = extract(table(paths), spec, tmp_path / "store", extractor=forbidden)
    assert (again.unchanged, again.silent) == (3, report.silent)


def test_crash_hang_and_blow_up_cost_one_file_each(files, tmp_path):
    folder = files[0].parent
    names = ["abort", "exit", "hang", "blow_up", "strange"]
    bad = [files[i].rename(folder / f"{name}.wav") for i, name in enumerate(names)]
    paths = [files[5], bad[0], files[6], bad[1], bad[2], files[7], bad[3], bad[4], files[8]]
    report = extract(
        table(paths, albums=[0] * 9),
        SPEC,
        tmp_path / "store",
        workers=2,
        limits=Limits(timeout=2, memory=2**29),
        extractor=hostile,
    )
    assert report.extracted == 4
    remedy = "; restore the file or leave it out"
    assert reasons(report) == {
        "abort.wav": "the decoder crashed (SIGABRT)" + remedy,
        "exit.wav": "the decoder crashed (exit code 3)" + remedy,
        "hang.wav": "no segment was finished within 2 s" + remedy,
        "blow_up.wav": "needs more memory than the limit of 512 MiB" + remedy,
        "strange.wav": "its features cannot be computed (ZeroDivisionError: of all things)"
        + remedy,
    }


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("kills", [1, 2, 5])
def test_a_process_that_is_killed_from_outside_is_no_fault_of_the_file(kills, original, tmp_path):
    """The store ends in the same bytes: the file gets its turn again when the others are done."""
    files, whole, _ = original
    (files[4].with_suffix(".kills")).write_text(str(kills))
    report = extract(table(files), SPEC, tmp_path / "store", workers=2, extractor=murdered)
    files[4].with_suffix(".kills").unlink()
    assert report.failed == 0
    assert digests(tmp_path / "store") == whole


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_file_whose_process_is_always_killed_is_tried_in_two_more_runs(tmp_path):
    paths = [write(tmp_path / f"{name}.wav", seed=i) for i, name in enumerate("abc")]
    left = tmp_path / "b.kills"
    left.write_text("1000")
    settings = {"workers": 1, "extractor": murdered}
    for run in range(5):
        before = int(left.read_text())
        report = extract(table(paths), SPEC, tmp_path / "store", **settings)
        (failure,) = report.failures
        assert failure.path == str(paths[1])
        assert "killed from outside" in failure.reason
        assert "SIGKILL" in failure.reason
        assert (int(left.read_text()) < before) == (run < 3)
    assert FeatureStore.open(tmp_path / "store").failures["track_id"].tolist() == [101]
    left.write_text("0")
    assert extract(table(paths), SPEC, tmp_path / "store", **settings).failed == 1
    assert extract(table(paths), SPEC, tmp_path / "store", retry_failed=True, **settings).failed == 0  # fmt: skip


def test_processes_share_the_files_of_a_block(tmp_path):
    (tmp_path / "music").mkdir()
    paths = [write(tmp_path / "music" / f"{i}.wav", seed=i) for i in range(3)]
    limits, store = Limits(timeout=60), tmp_path / "store"
    report = extract(table(paths), SPEC, store, workers=3, limits=limits, extractor=sociable)
    assert (report.extracted, len(report.blocks)) == (3, 1), report.failures


class Scripted:
    """In place of a process: files are killed as often as told, and it says who was at what."""

    def __init__(self, kills):
        self.kills, self.at, self.lock = dict(kills), [], threading.Lock()

    def run(self, path, specs, *, salvage):
        with self.lock:
            self.at.append(path)
            killed = self.kills.get(path, 0) > 0
            self.kills[path] = self.kills.get(path, 0) - 1
        if killed:
            return [Outcome(None, "killed", killed=True)] * len(specs)
        return [Outcome(np.zeros((1, *spec.shape), spec.dtype)) for spec in specs]


@given(st.lists(st.integers(0, 4), min_size=9, max_size=9), st.integers(1, 5))
def test_whoever_shares_a_task_each_file_is_told_and_the_blocks_are_written_once(
    planned, kills, n_threads
):
    files, place = planned
    (task,) = open_tasks({SPEC: place})
    told, barrier = [], threading.Barrier(n_threads)
    shared = SharedTask(task.parts, lambda *what: told.append(what))
    process = Scripted(zip(files, kills, strict=True))

    def work():
        barrier.wait()
        return shared.work(process)

    with ThreadPoolExecutor(n_threads) as threads:
        written = [future.result() for future in [threads.submit(work) for _ in range(n_threads)]]
    ((block,),) = (blocks for blocks in written if blocks is not None)
    (place / f"{block.name}.parquet").unlink()  # open again
    lost = [n > 2 for n in kills]  # two more chances
    assert sorted(told) == [
        (row, path, "killed" if gone else "")
        for row, (path, gone) in enumerate(zip(files, lost, strict=True))
    ]
    assert len(block.failed) == sum(lost)
    assert Counter(process.at) == {p: min(n, 2) + 1 for p, n in zip(files, kills, strict=True)}
    first = [path for path, n in zip(files, kills, strict=True) if n]
    assert set(process.at[9 : 9 + len(first)]) == set(first)  # once all the others are done


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Nine files, and a store where they are planned as one block."""
    folder = tmp_path_factory.mktemp("planned")
    paths = [write(folder / f"{i}.wav", seed=i) for i in range(9)]
    place = create(folder / "store", SPEC)
    (plan,) = draw_up(table(paths), {SPEC: place}).values()
    replace(plan, block=np.zeros(9, np.int64)).save(place)
    return list(map(str, paths)), place


def test_a_file_may_take_longer_than_the_limit_as_long_as_it_gets_on(files, tmp_path):
    silent = files[0].rename(files[0].with_name("silent.wav"))
    report = extract(
        table([silent, files[1]]),
        SPEC,
        tmp_path / "store",
        workers=1,
        limits=Limits(timeout=LIMIT),
        extractor=patient,
    )
    assert (report.extracted, list(reasons(report))) == (1, ["silent.wav"])


@pytest.mark.parametrize("spec", [FeatureSpec.summary(), SPEC], ids=["summary", "logmel"])
@pytest.mark.parametrize("peak", [1e15, 1e30, 3e38])
def test_audio_that_is_far_too_loud_fails_in_our_words(spec, peak, tmp_path):
    path = tmp_path / "loud.wav"
    tone = np.sin(np.arange(40_000) / 9)
    soundfile.write(path, peak * tone, 16_000, subtype="FLOAT")
    (outcome,) = guarded(extract_file, str(path), [spec], False)
    assert outcome.values is None
    assert "far too loud, replace" in outcome.reason or "not finite" in outcome.reason
    assert "ParameterError" not in outcome.reason


@pytest.mark.parametrize("spec", [FeatureSpec.summary(), SPEC], ids=["summary", "logmel"])
def test_audio_just_below_that_has_finite_features(spec):
    square = np.float32(LOUDEST) * np.sign(np.sin(np.arange(40_000, dtype="f4") / 9 + 0.1))
    samples = np.resize(square, 4_000 if spec is SPEC else 40_000)
    assert np.isfinite(computed(samples, spec.sr or 16_000, spec)).all()


def test_files_that_do_not_state_their_length_are_counted(files, tmp_path):
    """An MP3 without its header of lengths; the store does not remember it."""
    (mp3, other) = [path for path in files if path.suffix == ".mp3"]
    without_length(mp3)
    tracks, store = table([mp3, other, files[0]]), tmp_path / "store"
    assert extract(tracks, SPEC, store, workers=1).undetectable == 1
    assert extract(tracks, SPEC, store, workers=1).undetectable == 0


@pytest.mark.parametrize("value", [1e5, -np.inf, np.nan])
def test_a_value_that_does_not_fit_its_dtype_is_refused(value):
    values = np.zeros(SPEC.shape)
    values[3, 2] = value
    with pytest.raises(DataError, match="1 of 544 values are NaN or do not fit float16"):
        fitted(values, SPEC)
    with pytest.raises(DataError, match="the spec says"):
        fitted(values.T, SPEC)


def test_damage_in_the_middle_fails_a_file_unless_it_is_salvaged(tmp_path):
    path = write(tmp_path / "damaged.flac", seed=0, seconds=6)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = bytes(600)
    path.write_bytes(content)
    spec = FeatureSpec.logmel(
        sr=SR, n_fft=256, hop_length=128, n_mels=17, segments=SegmentPolicy("first", 5.0)
    )
    (outcome,) = extract_file(str(path), [spec], False, int)
    assert outcome.values is None
    assert "salvage" in outcome.reason
    (outcome,) = extract_file(str(path), [spec], True, int)
    assert outcome.values.shape == (1, *spec.shape)
    assert "kept" in outcome.reason


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_what_failed_is_salvaged_when_that_is_asked_for_later(suffix, files, tmp_path):
    """As the message of the failure recommends; once, and sound files are left alone."""
    path = write(tmp_path / f"damaged.{suffix}", seed=0, seconds=6)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = bytes(600)
    path.write_bytes(content)
    tracks, store = table([path, files[0], files[0].with_name("absent.wav")]), tmp_path / "store"
    spec = FeatureSpec.logmel(
        sr=SR, n_fft=256, hop_length=128, n_mels=17, segments=SegmentPolicy("first", 5.0)
    )
    run = partial(extract, tracks, spec, store, workers=1, extractor=light)

    report = run()
    assert (report.extracted, report.unchanged) == (1, 0)
    assert reasons(report)[path.name].endswith("keep what decodes with --salvage")
    assert run().blocks == ()
    report = run(salvage=True)
    assert (report.extracted, report.unchanged, report.failed) == (1, 1, 1)
    assert [problem.path for problem in report.partial] == [str(path)]
    assert (run(salvage=True).blocks, run().blocks) == ((), ())
    assert run().partial == report.partial


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_costs_itself(files, tmp_path):
    files[1].chmod(0)
    report = extract(table(files[:3]), SPEC, tmp_path / "store", workers=1, extractor=light)
    assert (report.extracted, list(reasons(report))) == (2, [files[1].name])


# ---- interruptions ----


def test_an_interrupted_run_continues_to_the_same_bytes(original, tmp_path):
    files, whole, _ = original

    def interrupt(step):
        if step.block == 1:
            raise KeyboardInterrupt

    # The blocks are so small that all may be written before the interrupt is: then once more.
    for attempt in range(50):
        store = tmp_path / f"store-{attempt}"
        with pytest.raises(KeyboardInterrupt):
            extract(table(files), SPEC, store, workers=1, progress=interrupt, extractor=light)
        there = digests(store)
        if len(there) < len(whole):
            break
    assert len(there) < len(whole)
    assert there.items() <= whole.items()  # what is there is whole, and nothing else is there

    # The open plan is finished as it was drawn up, whatever is asked for now.
    other_order = table(files).take(np.arange(9)[::-1])
    report = extract(other_order, SPEC, store, workers=1, extractor=light)
    assert there.items() <= digests(store).items()
    assert set(report.blocks) == {n.removesuffix(".npy") for n in whole if n.endswith("npy")} - {
        n.removesuffix(".parquet") for n in there
    }
    assert {name: digests(store)[name] for name in whole} == whole


PROGRAM = """
import sys
from pathlib import Path
from extraction import SPEC, light, table
from matt.features.extract import extract

def say(step):
    print(step.stage, step.block, flush=True)
    if step.block == 1:
        sys.stdin.read()  # until the signal comes, so that it never comes too late

if __name__ == "__main__":
    folder, store = map(Path, sys.argv[1:])
    files = sorted(folder.iterdir())
    extract(table(files), SPEC, store, workers=2, progress=say, extractor=light)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "Ctrl-C"])
def test_a_killed_run_leaves_no_process_and_continues_to_the_same_bytes(number, original, tmp_path):
    files, whole, _ = original
    script, store = tmp_path / "run.py", tmp_path / "store"
    script.write_text(PROGRAM)
    run = subprocess.Popen(
        [sys.executable, str(script), str(files[0].parent), str(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with run:
        for line in run.stdout:
            if line == "extracting 1\n":
                break
        if number == signal.SIGKILL:
            run.kill()
        else:
            os.killpg(run.pid, number)  # as a terminal does: the children get it, too
        # The children hold the pipes: they end only when every one of them is gone.
        _, stderr = run.communicate(timeout=60)
    assert run.returncode != 0
    assert stderr.count("Traceback") == (number == signal.SIGINT), stderr
    assert digests(store).items() <= whole.items()

    extract(table(files), SPEC, store, workers=2, extractor=light)
    assert digests(store) == whole


EXECUTOR = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from extraction import SPEC, light, table
from matt.features.extract import extract

if __name__ == "__main__":
    folder, store = map(Path, sys.argv[1:])
    steps = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        report = extract(
            table(sorted(folder.iterdir())), SPEC, store, extractor=light, executor=pool,
            progress=steps.append,
        )
    print(report.extracted, steps[-1].done, steps[-1].total, steps[-1].block)
"""


def test_an_executor_of_processes_gives_the_same_bytes_and_leaves_nothing(original, tmp_path):
    files, whole, _ = original
    script, store = tmp_path / "run.py", tmp_path / "store"
    script.write_text(EXECUTOR)
    (tmp_path / "temporary").mkdir()
    # It ends only when all processes are gone: they hold its output.
    run = subprocess.run(
        [sys.executable, str(script), str(files[0].parent), str(store)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TMPDIR": str(tmp_path / "temporary"),
        },
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "9 9 9 3\n", "")
    assert digests(store) == whole
    assert not list((tmp_path / "temporary").glob("matt-*"))


def test_threads_of_ones_own_may_extract_blocks_and_their_children_end_with_them(
    original, tmp_path
):
    files, whole, _ = original
    before = set(multiprocessing.active_children())
    with ThreadPoolExecutor(2) as pool:
        extract(table(files), SPEC, tmp_path / "store", extractor=light, executor=pool)
    assert digests(tmp_path / "store") == whole
    assert set(multiprocessing.active_children()) <= before


def test_decoders_that_are_kept_serve_one_extraction_after_the_other(original, tmp_path):
    files, whole, _ = original
    before, found = set(multiprocessing.active_children()), []
    with Decoders([SPEC], 1, extractor=signed) as decoders:
        for number, some in enumerate((files[:4], files[4:])):
            report = extract(table(some), SPEC, tmp_path / str(number), decoders=decoders)
            found += [one.reason for one in report.partial]
        assert len(found) == 9
        (process,) = set(multiprocessing.active_children()) - before
        assert set(found) == {str(process.pid)}
    assert set(multiprocessing.active_children()) <= before
    with Decoders([SPEC], 2, extractor=light) as decoders:
        extract(table(files), SPEC, tmp_path / "store", decoders=decoders)
    assert digests(tmp_path / "store") == whole


def test_decoders_that_are_kept_end_with_an_extraction_that_does_not(original, tmp_path):
    files, whole, _ = original
    before = set(multiprocessing.active_children())

    def stop(step):
        if step.stage == "extracting" and step.done:
            raise KeyboardInterrupt

    decoders = Decoders([SPEC], 2, extractor=light)
    with pytest.raises(KeyboardInterrupt):
        extract(table(files), SPEC, tmp_path / "store", decoders=decoders, progress=stop)
    assert set(multiprocessing.active_children()) <= before
    assert digests(tmp_path / "store").items() <= whole.items()
    extract(table(files), SPEC, tmp_path / "store", workers=2, extractor=light)
    assert digests(tmp_path / "store") == whole


# ---- running again ----


def test_a_second_run_has_nothing_to_do(files, store):
    before = digests(store)
    report = extract(table(files), SPEC, store, extractor=forbidden)
    assert (report.unchanged, report.blocks) == (9, ())
    assert digests(store) == before


def test_damaged_blocks_are_made_again_when_they_are_verified(files, store):
    whole = digests(store)
    damaged = sorted(store.glob("*.npy"))[1]
    flip(damaged, damaged.stat().st_size - 3)
    told = extract(table(files), SPEC, store, extractor=forbidden)
    assert told.damaged == ()
    told = extract(table(files), SPEC, store, verify=True, extractor=light)
    assert told.damaged == (damaged.stem,)
    assert digests(store) == whole
    assert extract(table(files), SPEC, store, verify=True, extractor=forbidden).damaged == ()


def test_blocks_without_a_checksum_are_said_to_be_unchecked(files, store):
    old = sorted(store.glob("0000-*.parquet"))[2]
    write_parquet(old, read_rows(old)[0], schema=ROWS_SCHEMA)  # as before there were checksums
    before = digests(store)
    told = extract(table(files), SPEC, store, verify=True, extractor=forbidden)
    assert (told.damaged, told.unchecked) == ((), (old.stem,))
    assert digests(store) == before
    assert extract(table(files), SPEC, store, extractor=forbidden).unchecked == ()


def test_files_of_another_folder_are_not_deleted(files, store):
    others = [write(files[0].with_name(f"other-{n}.wav"), seed=50 + n) for n in range(2)]
    report = extract(table(others, [1, 2]), SPEC, store, workers=1, extractor=light)
    assert (report.total, report.deleted, report.others) == (2, 0, 9)
    others[1].unlink()
    report = extract(table(others[:1], [1]), SPEC, store, workers=1, extractor=forbidden)
    assert (report.total, report.deleted, report.others) == (1, 1, 9)
    assert set(range(100, 109)) | {1, 2} == set(FeatureStore.open(store).track_ids.tolist())


def test_moved_and_retagged_files_are_not_decoded_again(files, store):
    from mutagen.flac import FLAC

    before, (values, _) = digests(store), FeatureStore.open(store).read(np.arange(100, 109))
    moved = files[0].rename(files[0].with_name("moved.wav"))
    tags = FLAC(files[1])
    tags["artist"] = "Somebody else " * 99
    tags.save()
    ids = np.arange(100, 109)
    ids[0] = 777  # ids follow paths
    tracks = table([moved, *files[1:]], ids)

    report = extract(tracks, SPEC, store, workers=1, extractor=forbidden)
    assert (report.reused, report.unchanged, report.extracted, report.failed) == (1, 8, 0, 0)
    assert (report.deleted, report.others) == (0, 1)  # track 100, whose first file is there
    np.testing.assert_array_equal(FeatureStore.open(store).read(ids)[0], values)
    assert before.items() <= digests(store).items()

    noted = digests(store)
    again = extract(tracks, SPEC, store, workers=1, extractor=forbidden)
    assert (again.unchanged, again.reused) == (9, 0)
    assert digests(store) == noted


def test_a_new_and_a_changed_file_leave_the_old_blocks_alone(files, store):
    before = digests(store)
    write(files[4], seed=99)
    more = [*files, write(files[0].with_name("new.flac"), seed=98)]
    report = extract(table(more), SPEC, store, workers=1, extractor=light)
    assert (report.extracted, report.unchanged, report.blocks) == (2, 8, ("0001-00000",))
    assert before.items() <= digests(store).items()
    values, _ = FeatureStore.open(store).read(np.array([104, 109]))
    expected = [lightly(str(path), SPEC, False).values[0] for path in (files[4], more[-1])]
    np.testing.assert_array_equal(values, expected)


def test_two_files_that_change_places_keep_their_own_values(files, store):
    """Rows are copied from the store as it was before, not from what the run itself writes."""
    before, _ = FeatureStore.open(store).read(np.array([100, 104]))
    files[0].rename(files[0].with_name("third.wav"))
    files[4].rename(files[0])
    files[0].with_name("third.wav").rename(files[4])
    report = extract(table(files), SPEC, store, workers=1, extractor=forbidden)
    assert report.reused == 2
    after, _ = FeatureStore.open(store).read(np.array([104, 100]))
    np.testing.assert_array_equal(after, before)


def test_a_file_that_changes_after_the_plan_fails_and_is_taken_next_time(files, tmp_path):
    def meddle(step):
        if (step.stage, step.done) == ("looking", 3):
            write(files[1], seed=55, seconds=0.9)

    tracks, store = table(files[:3]), tmp_path / "store"
    report = extract(tracks, SPEC, store, workers=1, progress=meddle, extractor=light)
    assert reasons(report) == {
        files[1].name: "changed since the plan was made; run the same command again"
    }
    report = extract(tracks, SPEC, store, workers=1, extractor=light)
    assert (report.extracted, report.unchanged, report.failed) == (1, 2, 0)


def test_failures_are_tried_again_when_asked_for_or_when_the_file_changed(files, tmp_path):
    first = files[0].rename(files[0].with_name("strange.wav"))
    absent = files[1].rename(files[1].with_name("elsewhere.flac"))
    tracks, store = table([first, files[1], files[2]]), tmp_path / "store"
    report = extract(tracks, SPEC, store, workers=1, extractor=hostile)
    assert (report.extracted, report.failed) == (1, 2)

    absent.rename(files[1])
    report = extract(tracks, SPEC, store, workers=1, extractor=light)
    assert (report.extracted, report.unchanged, list(reasons(report))) == (1, 1, ["strange.wav"])

    report = extract(tracks, SPEC, store, workers=1, retry_failed=True, extractor=light)
    assert (report.extracted, report.unchanged, report.failed) == (1, 2, 0)


def test_a_block_that_was_deleted_is_extracted_again_although_a_file_was_retagged(files, store):
    """The open block of the old plan fails for that file; the file itself is still looked at."""
    from mutagen.flac import FLAC

    tracks, (values, _) = table(files), FeatureStore.open(store).read(np.arange(100, 109))
    tags = FLAC(files[1])
    tags["artist"] = "Somebody else " * 99
    tags.save()
    extract(tracks, SPEC, store, workers=1, extractor=forbidden)  # notes the tags
    for path in store.glob("0000-00000.*"):
        path.unlink()
    report = extract(tracks, SPEC, store, workers=1, extractor=light)
    assert (report.extracted, report.failed) == (4, 0)
    again, _ = FeatureStore.open(store).read(np.arange(100, 109))
    np.testing.assert_array_equal(again, values)


def test_features_outlive_their_file(files, store):
    files[3].unlink()
    report = extract(table(files), SPEC, store, extractor=forbidden)
    assert (report.unchanged, report.failed) == (9, 0)


# ---- what is refused ----


def test_a_store_of_another_spec_is_refused(files, store):
    before = digests(store)
    spec = FeatureSpec.logmel(sr=SR, n_fft=512, hop_length=128, n_mels=17, segments=SPEC.segments)
    with pytest.raises(DataError, match="n_fft: 256 / 512"):
        extract(table(files), spec, store)
    assert digests(store) == before


def test_a_folder_of_other_files_is_no_place_for_a_store(files):
    folder = files[0].parent
    before = digests(folder)
    with pytest.raises(DataError, match="is not empty and is no feature store; choose another"):
        extract(table(files), SPEC, folder)
    assert digests(folder) == before


def test_a_store_whose_spec_is_gone_is_not_given_another(files, store):
    (store / "spec.json").unlink()
    before = digests(store)
    for spec in (SPEC, FeatureSpec.summary()):
        with pytest.raises(
            DataError, match=r"its spec.json is gone; move the folder away and extr"
        ):
            extract(table(files), spec, store)
    assert digests(store) == before


@pytest.mark.parametrize(
    "damage", [b"", b"PAR1 and nothing more", None], ids=["empty", "cut", "gone"]
)
def test_a_plan_that_is_damaged_says_so_and_can_be_deleted(damage, files, store):
    plan = store / "plan-0000.parquet"
    if damage is None:
        plan.unlink()
    else:
        plan.write_bytes(damage)
        with pytest.raises(
            DataError,
            match=r"plan-0000.parquet is damaged .*; move it away .*: blocks that are done stay",
        ):
            extract(table(files), SPEC, store, workers=1, extractor=light)
        plan.unlink()  # as the message says
    assert extract(table(files), SPEC, store, workers=1, extractor=light).extracted == 9
    assert len(FeatureStore.open(store)) == 9


def test_settings_that_cannot_work_are_refused_before_anything_is_written(files, tmp_path):
    with pytest.raises(ConfigError, match="not computed from audio"):
        extract(table(files), FeatureSpec.embedding("clap", (5,)), tmp_path / "store")
    with pytest.raises(ConfigError, match="workers must be at least 1, got 0"):
        extract(table(files), SPEC, tmp_path / "store", workers=0)
    assert not (tmp_path / "store").exists()


def test_a_store_that_cannot_be_written_is_an_error_with_a_remedy(files, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written .*; check the folder and run"):
        extract(table(files), SPEC, tmp_path / "file" / "store", extractor=light)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_names_of_files_may_hold_any_bytes(files, tmp_path):
    names = [os.fsdecode(b"caf\xe9.wav"), os.fsdecode(b"\xff.mp3")]
    good = files[0].rename(files[0].with_name(names[0]))
    bad = files[0].with_name(names[1])
    bad.write_text("no audio")
    report = extract(table([good, bad]), SPEC, tmp_path / "store", workers=1, extractor=light)
    assert (report.extracted, report.failed) == (1, 1)
    assert Plan.load(tmp_path / "store", 0).path.tolist() == [str(good), str(bad)]


# ---- hashing ----


class FragileChild:
    """Calls functions here, and dies of one file as a process would."""

    def __init__(self, fault):
        self.fault, self.calls = fault, 0

    def call(self, function, paths):
        self.calls += 1
        if any(Path(path).stem == "bad" for path in paths):
            raise self.fault
        return function(paths)


@pytest.mark.parametrize("fault", [ProcessDied(-9), TimeoutError()], ids=["died", "hangs"])
def test_a_file_that_cannot_be_hashed_costs_itself_only(fault, files):
    bad = files[3].rename(files[3].with_stem("bad"))
    paths = [str(path) for path in (*files[:3], bad, *files[4:])]
    expected = [audio_hash(path) for path in paths]
    expected[3] = ""
    child = FragileChild(fault)
    assert hash_in(child, paths) == expected
    assert child.calls == 1 + len(paths)


def test_files_are_hashed_elsewhere_and_an_interrupt_ends_it(files, tmp_path, monkeypatch):
    def here(path, *, alive=None):
        raise AssertionError("hashed in the process that plans")

    def interrupt(step):
        if step.stage == "looking" and step.done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("matt.audio.audio_hash", here)
    before = set(multiprocessing.active_children())
    store = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        extract(table(files), SPEC, store, workers=1, progress=interrupt, extractor=light)
    assert set(multiprocessing.active_children()) <= before
    assert not list(store.glob("plan-*"))
    extract(table(files), SPEC, store, workers=1, extractor=light)
    assert all(len(seen) == 64 for seen in Plan.load(store, 0).audio_hash.tolist())
