import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from matt.errors import DataError
from matt.evaluation import style
from matt.evaluation.plots import RED, Interval, along, forest
from matt.evaluation.repeated import OverRepeats

HOSTILE = ("A$AP $x_1$", "<script>alert(1)</script>", "two\nlines\x07", "東京の夜", "x" * 90)
MEAN = OverRepeats(0.1, -0.05, 0.2, (0.05, 0.15))


def panels():
    rows = [Interval(name, MEAN, i == 1, i == 2) for i, name in enumerate(HOSTILE)]
    nothing = [Interval(name, OverRepeats()) for name in HOSTILE]
    bare = [Interval(name, OverRepeats(0.3)) for name in HOSTILE]
    return {"accuracy": rows, "undefined": nothing, "without": bare}


def test_a_row_is_drawn_where_it_is_defined():
    figure = forest(panels(), label="less $x$")
    dots = [
        [line for line in pane.lines if line.get_marker() in ("o", "X")] for pane in figure.axes
    ]
    assert [len(some) for some in dots] == [5, 0, 5]
    assert [to_hex(line.get_color()) for line in dots[0]].count(RED.lower()) == 1
    bars = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert sum(tuple(line.get_xdata()) == (MEAN.low, MEAN.high) for line in bars) == 5
    assert style.png(figure)[:4] == b"\x89PNG"


def test_a_red_row_is_told_apart_without_colour():
    figure = forest(panels(), label="")
    markers = [line.get_marker() for line in figure.axes[0].lines]
    assert markers.count("X") == 1


def test_panels_with_other_rows_are_refused():
    rows = [Interval("a", MEAN)]
    with pytest.raises(DataError, match="same rows"):
        forest({"one": rows, "two": [Interval("b", MEAN)]}, label="")


def test_lines_are_told_apart_without_colour():
    names = HOSTILE[:5]
    means = [OverRepeats(0.5, 0.4, 0.6), OverRepeats(0.4), OverRepeats()]
    figure = along(dict.fromkeys(names, means), ["1", "2", "all"], label="left", score="accuracy")
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    looks = {(line.get_marker(), str(line._unscaled_dash_pattern)) for line in lines}
    assert len(looks) == len(lines) == 5
    assert all(math.isnan(np.asarray(line.get_ydata(), float)[2]) for line in lines)
    assert style.png(figure)[:4] == b"\x89PNG"


def test_too_many_lines_or_points_are_refused():
    with pytest.raises(DataError, match="at most 5 lines"):
        along({f"{i}": [MEAN] for i in range(6)}, ["1"], label="", score="")
    with pytest.raises(DataError, match="a mean a tick"):
        along({"a": [MEAN]}, ["1", "2"], label="", score="")
