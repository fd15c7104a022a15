"""Processes that may die, hang or be interrupted, and the time that is left."""

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matt.processes import (
    CannotStart,
    Child,
    Estimate,
    Limits,
    Pace,
    Pool,
    ProcessDied,
    alive,
    mapped,
)

# ---- one process ----


def hang(say):
    """Never end; ``say`` how the parent hears of it."""
    Path(say).touch()
    alive()
    threading.Event().wait()


def lively(n):
    """Get on for longer than the limit."""
    for _ in range(n):
        threading.Event().wait(0.1)
        alive()
    return n


def raising(error):
    raise error


def kept(value):
    global _value
    _value = value


def found():
    return _value, os.environ["OMP_NUM_THREADS"]


def die_at_start():
    os._exit(1)


def killed_at_start(folder, times, by):
    """Die by a signal, as often as this; each start leaves a file."""
    starts = len(list(Path(folder).iterdir()))
    (Path(folder) / str(starts)).touch()
    if starts < times:
        os.kill(os.getpid(), by)


@pytest.fixture
def child():
    with closing(Child()) as child:
        yield child


def test_a_process_does_one_thing_after_the_other_until_it_dies(child):
    first = child.call(os.getpid)
    assert first == child.call(os.getpid) != os.getpid()
    with pytest.raises(ProcessDied) as died:
        child.call(os._exit, 3)
    assert died.value.code == 3
    assert child.call(os.getpid) != first


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
def test_a_process_that_was_killed_while_it_had_no_work_costs_nothing(child):
    pid = child.call(os.getpid)
    handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    os.kill(pid, signal.SIGKILL)
    if handle is not None:
        assert select.select([handle], [], [], 30)[0]
        os.close(handle)
    assert child.call(os.getpid) != pid


class Deadly:
    """Kills the process that does something with it, if that is not this one."""

    def __init__(self, when, here):
        self.when, self.here = when, here

    def die(self, now):
        if now == self.when and os.getpid() != self.here:
            os.kill(os.getpid(), signal.SIGKILL)

    def __getstate__(self):
        self.die("answers")
        return self.__dict__

    def __setstate__(self, state):
        self.__dict__ |= state
        self.die("reads")

    def __call__(self):
        self.die("works")
        return self


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
@pytest.mark.parametrize("limits", [None, Limits()], ids=["without limits", "with limits"])
@pytest.mark.parametrize("when", ["reads", "works", "answers"])
def test_a_process_may_be_killed_whatever_it_is_at_and_as_often(when, limits):
    with closing(Child(limits=limits)) as child:
        for _ in range(3):
            with pytest.raises(ProcessDied, match="SIGKILL") as died:
                child.call(Deadly(when, os.getpid()))
            assert died.value.code == -signal.SIGKILL
            assert child.call(abs, -7) == 7


class Half:
    """A large answer, of which a part is on its way when its process is killed."""

    def __reduce_ex__(self, protocol):
        threading.Thread(target=self.kill_when_sent, daemon=True).start()
        return bytes, (b"x" * 2**26,)

    def kill_when_sent(self):
        while True:  # the pipe is full and the parent reads
            frames = sys._current_frames()[threading.main_thread().ident]
            while frames is not None:
                if frames.f_code.co_name == "_send":
                    os.kill(os.getpid(), signal.SIGKILL)
                frames = frames.f_back


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
def test_a_process_may_be_killed_while_it_answers(child):
    for _ in range(5):
        with pytest.raises(ProcessDied, match="SIGKILL"):
            child.call(Half)
        assert child.call(abs, -7) == 7


def fork_and_die(say):
    """Leave a process behind that keeps all that this one had open."""
    pid = os.fork()
    if not pid:
        os.close(0)
        while Path(say).exists():
            threading.Event().wait(0.05)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.parametrize("limits", [None, Limits()], ids=["without limits", "with limits"])
def test_a_death_is_noticed_though_what_the_process_started_lives(tmp_path, limits):
    say = tmp_path / "live"
    say.touch()
    with closing(Child(limits=limits)) as child:
        with pytest.raises(ProcessDied, match="SIGKILL"):
            child.call(fork_and_die, str(say))
        assert say.exists()
        say.unlink()


FORK = """
import os, signal, sys
from matt.processes import Child

if __name__ == "__main__":
    if sys.argv[1] == "forgotten":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    child = Child()
    first = child.call(os.getpid)
    if sys.argv[1] == "fork":
        pid = os.fork()
        if not pid:
            del child
            os._exit(0)
        os.waitpid(pid, 0)
    assert child.call(os.getpid) == first
    child.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.parametrize("case", ["fork", "forgotten"])
def test_a_child_is_its_parents_alone_and_may_be_forgotten_by_the_system(tmp_path, case):
    script = tmp_path / "script.py"
    script.write_text(FORK)
    done = subprocess.run(
        [sys.executable, script, case], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
def test_a_process_may_be_killed_at_any_moment(child):
    """Whenever a kill comes, its call says so or is right, and the next has another process."""
    gone, killed = threading.Event(), []

    def kill():
        rng = np.random.default_rng(0)
        while not gone.wait(rng.uniform(0, 0.02)):
            with suppress(IndexError, ProcessLookupError):
                os.kill(started.pop(), signal.SIGKILL)
                killed.append(True)

    started, codes = [], []
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        while len(codes) < 12:
            try:
                started.append(child.call(os.getpid))
                assert child.call(sum, range(1_000)) == 499_500
            except ProcessDied as error:
                codes.append(error.code)
    finally:
        gone.set()
        killer.join()
    assert set(codes) == {-signal.SIGKILL}
    assert len(killed) >= len(codes)


class Unsendable(Exception):
    """Its class cannot be called with what it was told, as pickle does."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raise_unsendable():
    raise Unsendable("this", "that")


class Untellable(Exception):
    """It cannot be put into words either."""

    def __init__(self):
        super().__init__(threading.Lock())

    def __str__(self):
        raise ValueError("no words")


def raise_untellable():
    raise Untellable


def unsendable():
    return lambda: None


def test_what_cannot_be_sent_is_told_and_the_process_stays(child):
    first = child.call(os.getpid)
    with pytest.raises(RuntimeError, match="Unsendable: this and that"):
        child.call(raise_unsendable)
    with pytest.raises(RuntimeError, match="Untellable"):
        child.call(raise_untellable)
    with pytest.raises((AttributeError, pickle.PicklingError), match="unsendable"):
        child.call(unsendable)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        child.call(lambda: None)
    assert child.call(os.getpid) == first


def held(values=None):
    return tracemalloc.get_traced_memory()[0]


def test_what_is_sent_is_held_once_in_each_process_while_it_is_worked_on(monkeypatch):
    """It may be all features of a training."""
    values, here, waits = np.ones(2_000_000), [], Child._await

    def watched(child, *args):
        here.append(held())
        waits(child, *args)

    monkeypatch.setattr(Child, "_await", watched)
    with closing(Child(tracemalloc.start)) as child:
        before = child.call(held)
        tracemalloc.start()
        try:
            there = child.call(held, values)
        finally:
            tracemalloc.stop()
    assert here[-1] < 0.1 * values.nbytes  # beside the values, which were there before
    assert values.nbytes <= there - before < 1.1 * values.nbytes


def test_where_an_error_was_raised_is_told_beside_it(child):
    with pytest.raises(Unfit) as found:
        child.call(raising, Unfit("mine"))
    assert found.value.args == ("mine",)
    assert "in raising" in "".join(found.value.__notes__)


class Unfit(Exception):
    """Of this module, which the other process imports."""


@pytest.mark.parametrize("error", [RuntimeError("mine"), TimeoutError("mine"), OSError(5, "mine")])
def test_what_a_function_raises_is_raised_here_and_its_process_stays(child, error):
    first = child.call(os.getpid)
    with pytest.raises(type(error), match="mine"):
        child.call(raising, error)
    assert child.call(os.getpid) == first


def test_a_process_that_hangs_is_replaced_and_one_that_gets_on_is_not(tmp_path):
    with closing(Child(limits=Limits(timeout=0.5))) as child:
        assert child.call(lively, 12) == 12
        first = child.call(os.getpid)
        with pytest.raises(TimeoutError):
            child.call(hang, str(tmp_path / "hangs"))
        assert child.call(os.getpid) != first


def test_what_calls_share_is_given_to_each_process_once():
    with closing(Child(kept, (7,))) as child:
        assert child.call(found) == (7, "1")
        with pytest.raises(ProcessDied):
            child.call(os._exit, 3)
        assert child.call(found) == (7, "1")


def test_a_process_that_cannot_be_started_is_told_in_our_words():
    with (
        closing(Child(die_at_start, unstartable="no; call it again")) as child,
        pytest.raises(CannotStart, match="no; call it again"),
    ):
        child.call(os.getpid)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
@pytest.mark.parametrize("by", ["SIGKILL", "SIGTERM"])
def test_a_process_that_is_killed_while_it_starts_is_started_again(tmp_path, by):
    args = (str(tmp_path), 2, getattr(signal, by))
    with closing(Child(killed_at_start, args, unstartable="a false reason")) as child:
        assert child.call(abs, -7) == 7
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
def test_processes_that_are_killed_again_and_again_are_given_up_with_the_reason(tmp_path):
    args = (str(tmp_path), 100, signal.SIGKILL)
    with (
        closing(Child(killed_at_start, args, unstartable="a false reason")) as child,
        pytest.raises(CannotStart, match=r"killed 6 times while it started \(SIGKILL\)"),
    ):
        child.call(os.getpid)
    assert len(list(tmp_path.iterdir())) == 6


def test_nothing_is_called_after_the_end(child):
    child.call(os.getpid)
    child.close()
    child.close()
    with pytest.raises(CancelledError):
        child.call(os.getpid)


# ---- several ----


def test_results_come_in_order_from_several_processes():
    assert list(mapped(abs, range(-9, 0), workers=2)) == list(range(9, 0, -1))
    assert list(mapped(abs, [-1], workers=1)) == [1]
    with pytest.raises(ValueError, match="invalid literal"):
        list(mapped(int, ["1", "x", "2"], workers=2))


def test_a_pool_that_is_left_ends_what_it_is_at_and_leaves_the_rest(tmp_path):
    with Pool(1, Child) as pool:
        at_it = pool.submit(Child.call, hang, str(tmp_path / "hangs"))
        waiting = pool.submit(Child.call, os.getpid)
        while not (tmp_path / "hangs").exists():
            threading.Event().wait(0.05)
    assert isinstance(at_it.exception(), CancelledError)
    assert waiting.cancelled()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no masks of signals here")
def test_processes_leave_interrupts_to_the_one_that_started_them():
    mine = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert list(mapped(signal.getsignal, [signal.SIGINT], workers=2)) == [signal.SIG_IGN]
    masks = list(mapped(partial(signal.pthread_sigmask, signal.SIG_BLOCK), [[], []], workers=2))
    assert all(signal.SIGINT in mask for mask in masks)  # from the first, before any import
    assert (signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])) == mine


WRITE = """
import os
import sys
from multiprocessing.context import SpawnProcess
from matt.datasets.synthetic import write_library

start = SpawnProcess.start

def tell(process):
    start(process)
    os.write(1, b"started\\n")  # whole: two threads start a process each

if __name__ == "__main__":
    SpawnProcess.start = tell
    write_library(sys.argv[1], seconds=(0.5, 0.6), workers=2)
"""


@pytest.mark.skipif(os.name == "nt", reason="process groups are those of POSIX")
def test_an_interrupt_is_told_by_the_parent_alone(tmp_path):
    script = tmp_path / "write.py"
    script.write_text(WRITE)
    with subprocess.Popen(
        [sys.executable, script, tmp_path / "library"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        try:
            for _ in range(2):
                assert parent.stdout.readline() == "started\n"
            # Now, while they load their libraries, is when they would say most.
            os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to all of them
            _, err = parent.communicate(timeout=120)
        finally:
            parent.kill()  # a failure fails instead of lasting
    assert parent.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1  # of this script, which does not catch it
    assert err.endswith("KeyboardInterrupt\n")


# ---- the time that is left ----


@example(2018, 33.0, 0.0, 1, 2681)  # eighteen long files in ten minutes, by chance all of them
@given(
    st.integers(20, 5_000),
    st.floats(0.01, 40),
    st.floats(0, 300),
    st.integers(1, 16),
    st.integers(0, 2**32 - 1),
)
def test_after_a_minute_it_is_right_within_a_third(n, seconds, startup, workers, seed):
    """Workers need a while to get ready; files vary by half about their mean."""
    cost = seconds * np.random.default_rng(seed).uniform(0.5, 1.5, n)
    free = np.full(workers, float(startup))  # when each worker is free
    ends = []
    for each in cost:
        worker = free.argmin()
        free[worker] += each
        ends.append(free[worker])
    ends = np.sort(ends)
    pace = Pace(n)
    for done, now in enumerate(ends, start=1):
        pace.tell(done, now=now)
        if now > ends[0] + 60 and done > 30 * workers and n - done > 30 * workers:
            assert pace.left == pytest.approx(ends[-1] - now, rel=1 / 3)


def test_nothing_is_told_before_anything_is_known():
    pace = Pace(10)
    assert (pace.rate, pace.left) == (None, None)
    pace.tell(3, now=100)
    pace.tell(4, now=104)
    assert pace.left is None
    pace.tell(5, now=110)
    assert pace.left == 25


def test_what_was_long_ago_is_forgotten():
    pace = Pace(10_000)
    for now in range(0, 2_000, 10):  # 1 a second, then 5
        pace.tell(now if now < 1_000 else 5 * now - 4_000, now=now)
    assert pace.rate == pytest.approx(5)


def test_work_that_stands_still_has_no_end():
    pace = Pace(10)
    for now in range(0, 100, 10):
        pace.tell(3, now=now)
    assert pace.left is None


def test_an_estimate_is_by_group_and_shared_by_the_jobs():
    estimate = Estimate(jobs=2)
    for group in ["fast"] * 6 + ["slow"] * 2:
        estimate.expect(group)
    assert estimate.left is None
    estimate.learn("fast", 1.0)
    estimate.learn("fast", 3.0)
    estimate.learn("slow", 10.0)
    for group in ("fast", "fast", "slow"):
        estimate.drop(group)
    assert estimate.left == (4 * 2.0 + 1 * 10.0) / 2


def test_what_is_done_corrects_the_guesses():
    estimate = Estimate(jobs=1)
    for group, guess in (("fast", 2.0), ("fast", 4.0), ("slow", 50.0)):
        estimate.expect(group, guess)
    assert estimate.left == 56
    estimate.learn("fast", 1.0)  # a third of what is guessed of its group
    estimate.drop("fast")
    assert estimate.left == pytest.approx(1 + 50 / 3)
    estimate.learn("slow", 40.0)
    estimate.drop("slow")
    assert estimate.left == 1


def test_what_was_done_before_is_known_until_the_pace_of_now_is():
    estimate = Estimate(jobs=1)
    estimate.remember("fast", 2.0, 1.0)
    estimate.remember("slow", 20.0, 10.0)
    for group, guess in (("fast", 1.0), ("fast", 1.0), ("slow", 10.0), ("other", 30.0)):
        estimate.expect(group, guess)
    assert estimate.left == 2 + 2 + 20 + 2 * 30  # guesses are half of what it takes
    estimate.learn("fast", 6.0)  # three times as long as before
    estimate.drop("fast")
    known = 6 + 3 * 20
    off = (6 + 3 * 20) / (1 + 10)
    assert estimate.left == pytest.approx(known + off * 30)


def test_without_guesses_unknown_pieces_take_as_long_as_others():
    estimate = Estimate(jobs=3)
    estimate.remember("a", 4.0)
    estimate.expect("b")
    assert estimate.left == 4
    estimate.expect("b")
    assert estimate.left == 4  # both at once
