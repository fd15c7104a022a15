"""Blocks on a real scheduler and real workers on this machine: the same bytes, whoever dies."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from test_features_extract import SPEC, SUFFIXES, digests, light, table, write
from typer.testing import CliRunner

from matt import ConfigError, DataError, MattError
from matt.cli.app import app
from matt.features.cluster import WorkerNeeds, connected, matt_block
from matt.features.extract import extract
from matt.features.plan import provenance, stamp_of

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and signals of POSIX")
OWN_CWD = Path("/proc/self/cwd")  # an absolute path to another folder in each process
PLAIN = ("--no-nanny",)


# ---- extractors; they run in a child of a worker, which imports this module ----


def first_is_held(path, specs, salvage, alive):
    """The first of all files tells the number of its worker, and is never finished."""
    folder = Path(path).parents[1]
    with suppress(FileExistsError):
        (folder / "first").mkdir()
        (folder / "worker").write_text(str(os.getppid()))  # opens when somebody reads
        (folder / "never").read_text()
    return light(path, specs, salvage, alive)


def deadly(path, specs, salvage, alive):
    """A file that costs the worker its life."""
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait()


def one_waits(path, specs, salvage, alive):
    """The second block says that it has begun, and is finished when somebody allows it."""
    if Path(path).stem == "4":
        (Path(path).parents[1] / "begun").write_text("")
        (Path(path).parents[1] / "allowed").read_text()
    return light(path, specs, salvage, alive)


# ---- a cluster ----


def n_tasks(dask_scheduler):
    return len(dask_scheduler.tasks)


class Cluster:
    """A scheduler and workers as processes of this machine; ``close`` leaves none of them."""

    def __init__(self, folder, **environment):
        self.folder, self.started = folder, []
        self.scheduler = self.start("scheduler", "--port", "0", "--no-show", **environment)
        for line in self.scheduler.stderr:
            if found := re.search(r"Scheduler at:\s+(tcp://\S+)", line):
                break
        self.address = found[1]

    def start(self, what, *arguments, cwd=None, path=(), **environment):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "dask",
                what,
                *arguments,
                "--host",
                "127.0.0.1",
                "--no-dashboard",
            ],
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or self.folder,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*map(str, path), *sys.path]),
                **environment,
            },
        )
        self.started.append(process)
        return process

    def worker(self, *options, **settings):
        options = [*options, "--nthreads", "1", "--local-directory", str(self.folder / "dask")]
        return self.start("worker", self.address, *options, **settings)

    def ask(self, question):
        """What a function finds out with a client."""
        with distributed.Client(self.address, set_as_default=False) as client:
            return question(client)

    def await_workers(self, n):
        self.ask(lambda client: client.wait_for_workers(n, timeout=60))

    def close(self):
        for process in self.started:
            with suppress(ProcessLookupError):  # a group outlives its first process
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def cluster(tmp_path):
    """Start one with workers of these options each."""
    made = []

    def make(*workers, **environment):
        made.append(Cluster(tmp_path, **environment))
        for options in workers:
            made[0].worker(*options)
        if workers:
            made[0].await_workers(len(workers))
        return made[0]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def logged(monkeypatch):
    """What Dask says here."""
    stream = StringIO()
    for name in ("distributed", "distributed.client", "tornado.application", "asyncio"):
        handler = logging.StreamHandler(stream)
        monkeypatch.setattr(logging.getLogger(name), "handlers", [handler])
    return stream


@pytest.fixture
def files(tmp_path):
    (tmp_path / "music").mkdir()
    return [write(tmp_path / "music" / f"{i}.{SUFFIXES[i % 4]}", seed=i) for i in range(9)]


@pytest.fixture
def whole(files, tmp_path):
    """What a run on this machine alone writes: three blocks."""
    extract(table(files), SPEC, tmp_path / "whole", workers=1, extractor=light)
    return digests(tmp_path / "whole")


@pytest.fixture
def run(files, tmp_path):
    """Extract the files on a cluster."""

    def go(cluster, extractor, **options):
        store = tmp_path / "store"
        with connected(cluster.address, [store], list(map(str, files))) as executor:
            return extract(
                table(files), SPEC, store, executor=executor, extractor=extractor, **options
            )

    return go


# ---- the same bytes ----


def test_a_killed_worker_costs_nothing(cluster, run, whole, tmp_path, logged):
    both = cluster(PLAIN, PLAIN)
    for pipe in ("worker", "never"):
        os.mkfifo(tmp_path / pipe)
    victims = []

    def kill():
        victims.append(int((tmp_path / "worker").read_text()))
        os.kill(victims[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    report = run(both, first_is_held)
    killer.join()

    assert (report.extracted, report.failed, len(report.blocks)) == (9, 0, 3)
    assert digests(tmp_path / "store") == whole
    (victim,) = [process for process in both.started if process.pid == victims[0]]
    assert victim.wait() == -signal.SIGKILL
    assert logged.getvalue() == ""


def test_the_command_line_on_a_nanny_whose_worker_may_have_children(cluster, files, tmp_path):
    both = cluster()
    both.worker(DASK_DISTRIBUTED__WORKER__DAEMON="False")
    both.await_workers(1)
    music, user = tmp_path / "music", tmp_path / "user"
    user.mkdir()

    def command(store, *options):
        features = ["--features", "logmel", "--features", "mfcc", "--duration", "0.5"]
        options = [*features, "--store", store, *options]
        done = subprocess.run(
            [sys.executable, "-m", "matt", "extract", music, "--json", *options],
            capture_output=True,
            check=False,
            text=True,
            cwd=user,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [one["counts"] for one in json.loads(done.stdout)["stores"]]

    # A relative folder is one of the user's, not of the workers'.
    assert command("there", "--scheduler", both.address) == command("here", "--workers", "1")
    names = [path.name for path in (user / "here").iterdir()]
    assert len(names) == 2
    for name in names:
        assert digests(user / "there" / name) == digests(user / "here" / name)


def test_a_block_that_kills_its_workers_ends_the_run(cluster, run, whole, tmp_path):
    fragile = cluster(PLAIN, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    with pytest.raises(MattError, match=r"1 workers in turn died .*logs.* run the same command"):
        run(fragile, deadly)
    fragile.worker(*PLAIN)
    run(fragile, light)
    assert digests(tmp_path / "store") == whole


def test_without_its_scheduler_a_run_ends_and_can_go_on(cluster, run, whole, tmp_path, logged):
    lost = cluster(PLAIN)
    for pipe in ("worker", "never"):
        os.mkfifo(tmp_path / pipe)

    def kill():
        (tmp_path / "worker").read_text()
        lost.scheduler.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(MattError, match=r"the scheduler at tcp://.* ended .*run the same command"):
        run(lost, first_is_held)
    killer.join()
    assert logged.getvalue() == ""
    store = tmp_path / "store"
    assert digests(store).items() <= whole.items()
    extract(table(sorted((tmp_path / "music").iterdir())), SPEC, store, workers=1, extractor=light)
    assert digests(store) == whole


def test_after_an_interrupt_nothing_waits_and_what_is_finished_is_kept(
    cluster, run, whole, tmp_path, logged
):
    one = cluster(PLAIN)
    for pipe in ("begun", "allowed"):
        os.mkfifo(tmp_path / pipe)

    def interrupt(step):
        if step.block == 1:
            (tmp_path / "begun").read_text()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(one, one_waits, progress=interrupt)
    assert logged.getvalue() == ""
    assert (tmp_path / "store" / "0000-00000.parquet").exists()
    assert not (tmp_path / "store" / "0000-00001.parquet").exists()
    for _ in range(100):  # the scheduler may not have heard of it yet
        if not one.ask(lambda client: client.run_on_scheduler(n_tasks)):
            break
    else:
        pytest.fail("tasks are left on the scheduler")
    (tmp_path / "allowed").write_text("")
    run(one, light)
    assert digests(tmp_path / "store") == whole


# ---- what is refused ----


@pytest.mark.skipif(not OWN_CWD.exists(), reason="needs /proc")
def test_all_that_workers_lack_is_told_at_once(cluster, tmp_path, monkeypatch):
    for name, there in [("here", "x"), ("elsewhere", "xx")]:
        (tmp_path / name / "music").mkdir(parents=True)
        (tmp_path / name / "music" / "0.wav").write_text(there)
    (tmp_path / "here" / "music" / "1.wav").write_text("x")
    for name, content in [("old", "__version__ = '0.0.7'"), ("broken", "raise ImportError('no')")]:
        (tmp_path / name / "matt").mkdir(parents=True)
        (tmp_path / name / "matt" / "__init__.py").write_text(content)
    monkeypatch.chdir(tmp_path / "here")

    mixed = cluster()
    mixed.worker(*PLAIN, cwd=tmp_path / "here")
    mixed.worker(cwd=tmp_path / "here")  # Dask's default: a nanny, whose child is daemonic
    mixed.worker(*PLAIN, cwd=tmp_path / "elsewhere")
    for name in ("old", "broken"):
        mixed.worker(*PLAIN, path=[tmp_path / name])
    mixed.await_workers(5)

    music = [str(OWN_CWD / "music" / f"{i}.wav") for i in range(2)]
    with (
        pytest.raises(ConfigError) as caught,
        connected(mixed.address, [OWN_CWD / "a" / "store"], music),
    ):
        pass
    text = str(caught.value)
    assert text.startswith(f"4 of 5 workers of {mixed.address} cannot extract: tcp://127.0.0.1:")
    for part in (
        "may not start processes; start it with 'dask worker --no-nanny', or with DASK_",
        f"does not see the folder {OWN_CWD} of this machine; name a shared folder with --store",
        f"sees another size or time of {music[0]}; mount the same music",
        f"does not see {music[1]}; mount the music at the same path",
        "has matt 0.0.7 instead of",
        "cannot import matt (no); install matt-mgc",
    ):
        assert text.count(part) == 1, (part, text)
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["music"]


def test_a_worker_that_comes_later_is_looked_at_before_its_first_block(tmp_path):
    done = []
    task = partial(done.append, 1)
    versions = tuple(provenance().items())
    here = re.escape(dict(versions)["numba"])
    old = tuple((name, "0.1" if name == "numba" else version) for name, version in versions)
    with pytest.raises(DataError, match=rf"came later has numba {here} instead of 0\.1; install"):
        matt_block(WorkerNeeds(old, (), ()), task)
    (tmp_path / "x").touch()
    unseen = WorkerNeeds(versions, (), ((str(tmp_path / "x"), (1, 2)),))
    with pytest.raises(DataError, match="sees another size or time"):
        matt_block(unseen, task)
    assert not done
    matt_block(
        WorkerNeeds(versions, (), ((str(tmp_path / "x"), stamp_of(str(tmp_path / "x"))),)), task
    )
    assert done


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write all")
def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "token").touch()
    tmp_path.chmod(0o500)
    (problem,) = WorkerNeeds(tuple(provenance().items()), (str(tmp_path / "token"),), ()).lacking()
    assert problem.startswith(f"cannot write in {tmp_path} (Permission denied); check")
    with pytest.raises(ConfigError, match="cannot be written"), connected("", [tmp_path]):
        pass


def test_without_dask_the_error_names_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ConfigError, match=r"pip install 'matt-mgc\[cluster\]'"),
        connected("tcp://127.0.0.1:9", [tmp_path]),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "tls://127.0.0.1:9", ""])
def test_without_a_scheduler_the_error_names_the_address(address, tmp_path, logged):
    with (
        pytest.raises(ConfigError, match=rf"reached at {address} \(.*start one with 'dask sched"),
        connected(address, [tmp_path], patience=0.2),
    ):
        pass
    assert logged.getvalue() == ""


def test_without_workers_the_error_says_how_to_start_them(cluster, tmp_path, logged):
    empty = cluster()
    with (
        pytest.raises(ConfigError, match=f"has no workers; .*'dask worker {empty.address} --no-n"),
        connected(empty.address, [tmp_path], patience=0.2),
    ):
        pass
    assert logged.getvalue() == ""


def test_processes_here_and_a_cluster_exclude_each_other(files):
    arguments = ["extract", str(files[0].parent), "--scheduler", "tcp://127.0.0.1:9"]
    result = CliRunner().invoke(app, [*arguments, "--workers", "2", "--json"])
    assert result.exit_code == 2
    assert "leave one of them out" in json.loads(result.stdout)["error"]
