import io
import math
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import cbook
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.text import Text

from matt.errors import DataError
from matt.evaluation import metrics, plots, style
from matt.evaluation.intervals import MeanScore
from matt.evaluation.metrics import precision_recall, step_sum
from matt.evaluation.plots import RED, Dots, Interval, along, dots, forest
from matt.evaluation.tables import plain

HOSTILE = [
    "A$AP $x_1$",
    "$x_1$ and $\\frac{",
    "price: \\$5",
    "under_score^2",
    "東京の夜",
    "ⵜⴰⵎⴰⵣⵉⵖⵜ 🎸",
    "two\nlines\x07",
    "a very long title that goes on and on, and then on for a little while more",
    "<script>alert(1)</script>",
    "",
]
COUNTS = np.array([500, 7, 120, 60, 300, 40, 90, 2000, 11, 80])
RARE = COUNTS < 50
MARGINS = np.array([1.2, -0.4, 0.9, 0.01, -0.02, 0.3, 0.2, -1.5, 0.0, 0.05])
HISTORY = [
    {
        "epoch": epoch,
        "loss": 1 / epoch,
        "valid_loss": 2 / epoch,
        "valid_macro_f1": 1 - 1 / epoch,
        "valid_tail_recall": float("nan"),
    }
    for epoch in range(1, 8)
]


def confused(n_genres=10):
    rng = np.random.default_rng(3)
    confusion = rng.poisson(1.5, (n_genres, n_genres)) + np.diag(rng.poisson(30, n_genres))
    confusion[4] = 0  # a genre without an item
    return confusion


FIGURES = {
    "distribution": lambda: plots.genre_distribution(COUNTS, HOSTILE, tail=RARE),
    "one genre": lambda: plots.genre_distribution(np.array([0]), ["none"]),
    "confusion": lambda: plots.confusion(confused(), HOSTILE, tail=RARE),
    "two genres": lambda: plots.confusion(np.array([[90, 7], [3, 11]]), ["Rock", "A$AP"]),
    "many genres": lambda: plots.confusion(confused(25), [f"genre {g}" for g in range(25)]),
    "history": lambda: plots.history(HISTORY),
    "contributions": lambda: plots.contributions(
        HOSTILE, MARGINS, genre="R$B$", title=HOSTILE[7] * 3, effects=MARGINS / 10
    ),
    "heard": lambda: plots.heard(
        HOSTILE,
        abs(MARGINS) / 2,
        MARGINS / 10,
        HOSTILE[::-1],
        [[(k, k + 3, 0.1 * k), (60 * k, 60 * k + 3, 1.0)] for k in range(10)],
        genre="R$B$",
        title=HOSTILE[7] * 3,
    ),
    "heard, one track": lambda: plots.heard(
        ["Intro"], np.array([1.0]), np.array([np.nan]), [""], [], genre="Folk", title="Single"
    ),
    "comparison": lambda: plots.comparison(
        {name: [0.0, 0.5, 1.0] for name in HOSTILE}, label="macro-F1", highlight=HOSTILE[:1]
    ),
    "one track": lambda: plots.contributions(
        ["Intro"], np.array([-0.3]), genre="Folk", title="Single", effects=np.array([np.nan])
    ),
}


def made_up(seed=0, n=31, n_genres=10):
    """Items of which some are right."""
    rng = np.random.default_rng(seed)
    truth = np.eye(n_genres, dtype=bool)[rng.integers(n_genres, size=n)]
    values = rng.dirichlet(np.ones(n_genres), size=n) + 0.3 * truth
    return values / values.sum(axis=1, keepdims=True), truth


def lines(draw, *, many=6):
    return {name: draw(*made_up(i)) for i, name in enumerate(HOSTILE[:many])}


def micro(values, truth):
    return precision_recall(values.ravel(), truth.ravel())


def panel(genre, *, models=2, n=7):
    some = {f"m{i}": precision_recall(v[:, 0], t[:, 0]) for i in range(models)
            for v, t in [made_up(i)]}  # fmt: skip
    return plots.GenrePanel(genre, n, 0.1, some, rare=n < 9)


FIGURES |= {
    "micro curves": lambda: plots.micro_curves(lines(micro), chance=0.1, unit="bag", n=31),
    "genre curves": lambda: plots.genre_curves([panel(g) for g in HOSTILE], unit="bag"),
    "reliability": lambda: plots.reliability(lines(metrics.reliability), unit="track"),
    "coverage": lambda: plots.coverage(
        {name: (np.array([0.5, 1.0]), np.array([1.0, 0.5])) for name in HOSTILE[:2]}, unit="x", n=2
    ),
    "no validation": lambda: plots.history(HISTORY, losses=["loss"], scores=[]),
}


def visible_texts(figure):
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


@pytest.mark.parametrize("name", FIGURES)
def test_every_text_lies_inside_the_picture(name):
    figure = FIGURES[name]()
    pixels = imread(io.BytesIO(style.png(figure)))  # a PNG file, decoded
    assert pixels.shape[2] in (3, 4)
    width, height = figure.get_size_inches() * figure.dpi
    assert (abs(pixels.shape[1] - width), abs(pixels.shape[0] - height)) < (1, 1)
    drawn = [t for t in visible_texts(figure) if t.get_window_extent().width > 0]
    assert drawn
    for text in drawn:
        box = text.get_window_extent()
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        axis_number = not any(char.isalpha() for char in text.get_text())
        assert inside or axis_number, (text.get_text(), box)


@pytest.mark.parametrize("name", ["distribution", "contributions", "heard", "history"])
def test_names_keep_off_each_other(name):
    figure = FIGURES[name]()
    style.png(figure)
    for pane in figure.axes:
        names = [t.get_window_extent() for t in pane.get_yticklabels() if t.get_text().strip()]
        texts = [t.get_window_extent() for t in pane.texts if t.get_text()]
        for i, box in enumerate(boxes := names + texts):
            for other in boxes[i + 1 :]:
                apart = (
                    box.x1 <= other.x0 + 1
                    or other.x1 <= box.x0 + 1
                    or box.y1 <= other.y0 + 2
                    or other.y1 <= box.y0 + 2
                )
                assert apart


@given(st.text(max_size=30) | st.text(alphabet="$\\ax_{} ", max_size=12))
@settings(max_examples=200)
def test_no_name_is_read_as_a_formula(text):
    label = style.label(text, most=200)
    assert not cbook.is_math_text(label)
    assert label.replace(r"\$", "$") == plain(text)  # what is drawn
    assert len(style.cut(text, most=8)) <= 8


def test_cutting_counts_wide_letters_twice():
    assert style.cut("abcdef", most=6) == "abcdef"
    assert style.cut("abcdefg", most=6) == "abcde…"
    assert style.cut("東京の夜", most=8) == "東京の夜"
    assert style.cut("東京の夜", most=7) == "東京の…"
    assert style.cut("東京の夜", most=6) == "東京…"


def bar_colours(pane):
    return [to_hex(bar.get_facecolor()).upper() for bar in pane.patches]


def test_distribution_runs_from_common_to_rare():
    figure = plots.genre_distribution(COUNTS, list("abcdefghij"), tail=RARE)
    pane = figure.axes[0]
    order = sorted(range(10), key=lambda g: -COUNTS[g])
    assert [bar.get_width() for bar in pane.patches] == [COUNTS[g] for g in order]
    expected = [style.TAIL if RARE[g] else style.COMMON for g in order]
    assert bar_colours(pane) == expected
    labels = pane.get_yticklabels()
    assert [label.get_text() for label in labels] == ["abcdefghij"[g] for g in order]
    assert [to_hex(label.get_color()).upper() == style.TAIL for label in labels] == [
        RARE[g] for g in order
    ]
    assert [t.get_text() for t in pane.texts] == [f"{COUNTS[g]:,}" for g in order]
    assert pane.get_xlabel() == "training tracks (n = 3,208)"


def test_confusion_shows_every_count_in_its_cell():
    confusion = np.array([[2, 1, 0], [0, 0, 0], [5, 0, 9]])
    figure = plots.confusion(confusion, ["Folk", "Jazz", "Rock"], unit="bag")
    pane = figure.axes[0]
    order = [2, 0, 1]  # from most items to none
    cells = {t.get_position(): t.get_text() for t in pane.texts}
    expected = {
        (j, i): str(confusion[order[i], order[j]])
        for i in range(3)
        for j in range(3)
        if confusion[order[i], order[j]]
    }
    assert cells == expected
    assert [t.get_text() for t in pane.get_yticklabels()] == ["Rock (14)", "Folk (3)", "Jazz (0)"]
    assert [t.get_text() for t in pane.get_xticklabels()] == ["Rock", "Folk", "Jazz"]
    shares = pane.images[0].get_array()
    assert shares.mask[2].all()  # no item: no share
    np.testing.assert_allclose(shares[:2].sum(axis=1), 1)
    assert "n = 17, unit: bag" in {pane.get_title(loc="left")}


def test_contributions_are_sorted_and_complete():
    figure = plots.contributions(
        list("abcdefghij"),
        MARGINS,
        genre="Folk",
        title="An album",
        effects=np.arange(10) / 10,
        most=4,
    )
    left, right = figure.axes
    widths = [bar.get_width() for bar in left.patches]
    assert widths[:4] == [1.2, 0.9, -0.4, -1.5]  # the four largest of either sign
    assert sum(widths) == pytest.approx(MARGINS.sum())
    names = [t.get_text() for t in left.get_yticklabels()]
    assert names == ["a", "c", "b", "h", "(6 others, sum)"]
    assert bar_colours(left)[:4] == [style.FOR, style.FOR, style.AGAINST, style.AGAINST]
    assert [bar.get_width() for bar in right.patches][:4] == [0.0, 0.2, 0.1, 0.7]
    assert [t.get_text() for t in right.texts] == ["+0.00", "+0.20", "+0.10", "+0.70", ""]
    assert "n = 10 tracks" in figure.get_suptitle()


def test_what_was_heard_is_drawn_track_by_track():
    """Of a large album the first and the last tracks, which are those that add most and least."""
    n = 50
    effects = np.linspace(0.1, -0.1, n)
    spans = [[(0.0, 3.0, k / n), (57.0, 60.0, 0.5)] for k in range(n)]
    names = [f"track {k}" for k in range(n)]
    others = ["" if k < 25 else "Folk .900" for k in range(n)]
    figure = plots.heard(names, np.linspace(1, 0, n), effects, others, spans, genre="Rock", title="X", most=6)  # fmt: skip
    alone, adds, excerpts = figure.axes
    shown = [0, 1, 2, 47, 48, 49]
    assert [t.get_text() for t in alone.get_yticklabels()] == [names[k] for k in shown]
    bars = [bar.get_width() for bar in alone.patches]
    np.testing.assert_allclose(bars, np.linspace(1, 0, n)[shown])
    np.testing.assert_allclose([bar.get_width() for bar in adds.patches], effects[shown])
    assert [t.get_text() for t in alone.texts] == ["Folk .900"] * 3
    assert len(excerpts.patches) == 12
    assert excerpts.get_xlim()[1] >= 60  # seconds
    assert "44 between them not drawn" in figure.get_suptitle()


def test_history_draws_what_it_is_given():
    figure = plots.history(HISTORY)
    left, right = figure.axes
    loss, valid = left.lines
    np.testing.assert_allclose(loss.get_ydata(), [row["loss"] for row in HISTORY])
    np.testing.assert_allclose(valid.get_ydata(), [row["valid_loss"] for row in HISTORY])
    assert right.get_ylim() == (0, 1)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.genre_distribution(COUNTS, ["a"]), "10 counts for 1 names"),
        (lambda: plots.confusion(confused(4 + 1), list("abcd")), "5 rows for 4 names"),
        (
            lambda: plots.contributions(["a"], MARGINS[:2], genre="", title=""),
            "2 margins for 1 names",
        ),
        (
            lambda: plots.heard(["a"], MARGINS[:2], MARGINS[:1], [""], [], genre="", title=""),
            "2 alone for 1 names",
        ),
        (lambda: plots.history(HISTORY, losses=["valid_los"]), r"did you mean 'valid_loss'\?"),
    ],
)
def test_what_does_not_fit_together_is_refused(draw, message):
    with pytest.raises(DataError, match=message):
        draw()


def test_the_users_own_settings_change_nothing():
    before = dict(matplotlib.rcParams)
    plain_bytes = style.png(plots.history(HISTORY))
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "lines.linewidth": 9}):
        assert style.png(plots.history(HISTORY)) == plain_bytes


def test_saving_by_the_ending(tmp_path):
    figure = plots.history(HISTORY)
    heads = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    for ending, head in heads.items():
        style.save(figure, tmp_path / f"h.{ending}")
        assert (tmp_path / f"h.{ending}").read_bytes().startswith(head)
    assert (tmp_path / "h.png").read_bytes() == style.png(figure)
    with pytest.raises(DataError, match="pictures are not written as 'jpg'"):
        style.save(figure, tmp_path / "h.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.pdf", "h.png", "h.svg"]


def test_neither_importing_nor_drawing_touches_pyplot():
    code = (
        "import sys, numpy as np; from matt.evaluation import plots, report, summaries, style;"
        "assert not {'matplotlib', 'jinja2', 'rich', 'pandas', 'torch'} & set(sys.modules);"
        "style.png(plots.genre_distribution(np.array([3, 1]), ['a', 'b']));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_comparison_has_a_point_a_split_and_the_mean():
    rows = {"ours": [0.2, 0.5, 0.8], "theirs": [0.1, np.nan, 0.4], "nobody": [np.nan] * 3}
    figure = plots.comparison(rows, label="macro-F1", highlight=["ours"])
    (ax,) = figure.axes
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in points] == [[0.2, 0.5, 0.8], [0.1, 0.4], []]
    bars = [line.get_xdata()[0] for line in ax.lines if line.get_marker() != "o"]
    assert bars == pytest.approx([0.5, 0.25])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(rows)


def test_dots_show_every_split_and_differences_with_their_interval():
    rows = [
        Dots("one", [0.25, np.nan, 0.75]),
        Dots("two $x$", [0.5, 0.5, 0.5], (-0.125, 0.25)),
        Dots("three", [np.nan], (0.0625, np.nan), control=True),
    ]
    left, right = dots(rows, label="macro-F1", against="control").axes
    drawn = [line.get_xdata().tolist() for line in left.lines]
    assert drawn == [[0.25, 0.75], [0.5, 0.5], [0.5] * 3, [0.5, 0.5], []]
    assert [list(line.get_xdata()) for line in right.lines] == [
        [-0.375, 0.125], [-0.125], [0.0625], [0, 0],
    ]  # fmt: skip
    assert [name.get_text() for name in left.get_yticklabels()] == ["one", r"two \$x\$", "three"]


def test_curves_tell_models_apart_without_colour():
    figure = FIGURES["micro curves"]()
    drawn = figure.axes[0].get_lines()[:6]
    patterns = {str(line._dash_pattern) for line in drawn}
    assert len(patterns) == len({to_hex(line.get_color()) for line in drawn}) == 6


def test_a_drawn_curve_has_the_area_that_its_name_says():
    curve = micro(*made_up(4))
    figure = plots.micro_curves({"one": curve}, chance=0.1, unit="bag", n=31)
    (line,) = figure.axes[0].get_lines()[:1]
    x, y = line.get_xdata(), line.get_ydata()
    assert np.sum(np.diff(x) * y[1:]) == pytest.approx(step_sum(*curve))
    assert f"one (AP {step_sum(*curve):.3f})".replace("0.", ".") in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]


def test_reliability_shows_every_bin_and_which_are_small():
    values, truth = made_up(2, n=301)
    found = metrics.reliability(values, truth)
    figure = plots.reliability({"m": found}, unit="bag")
    top = figure.axes[0].get_lines()
    np.testing.assert_array_equal(top[1].get_ydata(), found.share[found.n > 0])
    full, hollow = top[2], top[3]
    np.testing.assert_array_equal(full.get_xdata(), found.confidence[found.n >= plots.FEW])
    small = (found.n > 0) & (found.n < plots.FEW)
    assert small.any()
    np.testing.assert_array_equal(hollow.get_xdata(), found.confidence[small])
    assert hollow.get_markerfacecolor() == "white"


def test_only_so_many_lines_and_panels_are_drawn():
    with pytest.raises(DataError, match="7 lines in one picture; draw 1 to 6"):
        plots.coverage(lines(micro, many=7), unit="bag", n=31)
    many = [panel(f"g{i}", models=1) for i in range(plots.PANELS + 3)]
    figure = plots.genre_curves(many, unit="bag")
    assert sum(pane.get_visible() for pane in figure.axes) == plots.PANELS


HOSTILE_FOREST = ("A$AP $x_1$", "<script>alert(1)</script>", "two\nlines\x07", "東京の夜", "x" * 90)
MEAN = MeanScore(0.1, -0.05, 0.2, (0.05, 0.15))


def panels():
    rows = [Interval(name, MEAN, i == 1, i == 2) for i, name in enumerate(HOSTILE_FOREST)]
    nothing = [Interval(name, MeanScore()) for name in HOSTILE_FOREST]
    bare = [Interval(name, MeanScore(0.3)) for name in HOSTILE_FOREST]
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
    names = HOSTILE_FOREST[:5]
    means = [MeanScore(0.5, 0.4, 0.6), MeanScore(0.4), MeanScore()]
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
