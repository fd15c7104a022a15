"""The time that is left, as it is told while a run goes on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt.features.pace import Pace


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
