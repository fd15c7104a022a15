"""Figures of the paper: the published curves, ours beside them, hostile names, files that are none."""

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from reproduced import GENRES, data_of, results_of, said, tracks_of

from matt import Predictions
from matt.errors import DataError
from matt.evaluation import style
from matt.evaluation.intervals import MeanScore
from matt.evaluation.metrics import micro_curve, step_sum
from matt.reproduce import figures
from matt.reproduce.figures import (
    Bar,
    accuracy_bars,
    distribution,
    mean_curve,
    precision_recall,
)
from matt.reproduce.measures import bench_of
from matt.reproduce.plan import SCORES, Request
from matt.reproduce.published import AVERAGE_PRECISION_4, FOLDER, read_curves
from matt.reproduce.targets import save_picture
from tools.draw_method import MOST, Album, bag_example, workflow

HOSTILE = ("A$AP $x_1$", "<script>alert(1)</script>", "two\nlines\x07", "東京の夜", "x" * 90)
SHARED = Path(os.environ.get("MATT_SHARED_DATA", "no such folder")) / FOLDER
CURVE = np.array([1.0, 0.8, 0.5]), np.array([0.2, 0.6, 1.0])


def is_picture(figure):
    return style.png(figure)[:4] == b"\x89PNG"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the published curves")
def test_our_sum_gives_the_published_average_precision():
    curves = read_curves(SHARED)
    assert set(AVERAGE_PRECISION_4) < set(curves)
    for model, expected in AVERAGE_PRECISION_4.items():
        assert round(step_sum(*curves[model]), 4) == expected, model


def test_curves_are_read_from_the_highest_threshold_down(tmp_path):
    lines = ["precision,recall", "0.5,1.0", "0.8,0.6", "1.0,0.2", "1.0,0.0", ""]
    (tmp_path / "MLP+MIL-fma_all.csv").write_text("\n".join(lines))
    packed = gzip.compress("\n".join(lines).encode())
    (tmp_path / "PR-CRNN_mel_1360_6.csv.gz").write_bytes(packed)
    (tmp_path / "something else.csv").write_text("precision,recall\n")
    curves = read_curves(tmp_path)
    assert set(curves) == {"MLP+MIL", "CRNN"}
    for precision, recall in curves.values():
        np.testing.assert_array_equal(precision, CURVE[0])
        np.testing.assert_array_equal(recall, CURVE[1])
    assert step_sum(*curves["CRNN"]) == pytest.approx(0.2 * 1 + 0.4 * 0.8 + 0.4 * 0.5)
    assert read_curves(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("recall,precision\n0.1,0.2\n", "no header"),
        ("precision,recall\n0.1,x\n", "could not convert"),
        ("precision,recall\n0.1,1.2\n", "two shares"),
        ("precision,recall\n0.1,nan\n", "two shares"),
        ("precision,recall\n0.1\n", "two shares"),
        ("precision,recall\n0.1,0.2,0.3\n", "two shares"),
        ("precision,recall\n0.5,0.2\n0.4,0.8\n", "rises"),
        ("", "no header"),
    ],
)
def test_a_file_that_is_no_curve_is_refused(tmp_path, content, message):
    (tmp_path / "LR-fma_all.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_curves(tmp_path)


def test_a_damaged_archive_is_refused(tmp_path):
    whole = gzip.compress(b"precision,recall\n0.5,1.0\n")
    for content in (whole[:-9], b"no archive"):
        (tmp_path / "LR-fma_all.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            read_curves(tmp_path)


def test_the_mean_of_one_curve_has_its_area():
    rng = np.random.default_rng(0)
    truth = rng.random((50, 3)) < 0.4
    precision, recall = micro_curve(rng.random((50, 3)) + truth, truth)
    mean, grid = mean_curve([(precision, recall)])
    assert np.mean(mean[1:]) == pytest.approx(step_sum(precision, recall), abs=0.01)
    both, _ = mean_curve([(precision, recall), (precision, recall)])
    np.testing.assert_allclose(both, mean)
    assert (grid[0], grid[-1]) == (0, 1)


def test_genres_are_drawn_from_the_most_tracks_to_the_fewest():
    figure = distribution(np.array([120, 5000, 14, 1000, 99]), HOSTILE)
    (ax,) = figure.axes
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == sorted(widths, reverse=True)
    assert len({bar.get_facecolor() for bar in ax.patches}) == 3  # both tails and the others
    assert is_picture(figure)
    with pytest.raises(DataError, match="one a genre"):
        distribution(np.array([1, 2]), HOSTILE)


def test_ours_are_solid_and_the_papers_dotted():
    ours = {"LR": (CURVE, 0.72), "MLP+MATT": (CURVE, 0.8)}
    figure = precision_recall(ours, {"LR": CURVE, "SVM": CURVE}, title="<b> $x$")
    (ax,) = figure.axes
    drawn = [line for line in ax.lines if len(line.get_xdata())]
    assert sorted(line.get_linestyle() for line in drawn) == ["-", "-", ":", ":"]
    markers = {line.get_marker() for line in drawn if line.get_linestyle() == "-"}
    assert len(markers) == 2
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["LR .720 / .720*", "SVM - / .720*", "MLP+MATT .800"]
    assert is_picture(figure)
    assert is_picture(precision_recall({HOSTILE[0]: (CURVE, np.nan)}, {}, title=""))
    with pytest.raises(DataError, match="1 to 6"):
        precision_recall({}, {}, title="")
    with pytest.raises(DataError, match="1 to 6"):
        precision_recall({f"{i}": (CURVE, 0.5) for i in range(7)}, {}, title="")


def test_a_bar_without_a_result_or_a_paper_stays_empty():
    bars = [
        Bar("LR", MeanScore(0.5, 0.4, 0.6), 0.61),
        Bar(HOSTILE[1], MeanScore(), 0.7),
        Bar("C", MeanScore(0.3)),
    ]
    figure = accuracy_bars(bars)
    (ax,) = figure.axes
    widths = [bar.get_width() for bar in ax.patches if not np.isnan(bar.get_width())]
    assert widths == [0.5, 0.3]
    diamonds = [
        line.get_xdata()[0]
        for line in ax.lines
        if line.get_marker() == "D" and len(line.get_xdata())
    ]
    assert diamonds == [0.61, 0.7]
    assert is_picture(figure)


def album(n, **more):
    rng = np.random.default_rng(n)
    facts = {
        "title": HOSTILE[1],
        "tracks": [HOSTILE[i % 5] for i in range(n)],
        "values": rng.normal(size=(n, 11)),
        "genre": HOSTILE[0],
        "genres": ["Rock"] * n,
    }
    return Album(**(facts | more))


def test_bags_are_drawn_with_their_tracks():
    figure = bag_example([album(3), album(1), album(MOST)])
    assert len(figure.axes[0].images) == 3 + 1 + MOST
    assert is_picture(figure)
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert all("\n" not in text or text.endswith(("track", "tracks")) for text in texts)
    for wrong in ({"genres": ["Rock"]}, {"tracks": []}, {"values": np.zeros((2, 3))}):
        with pytest.raises(DataError, match="one each a track"):
            album(3, **wrong)


def explained(n=3):
    tracks = tracks_of([3] * n, [0] * n)
    bare = said(tracks, [[3]] * n, by="album")
    rng = np.random.default_rng(0)
    attention = rng.random((n, len(GENRES)))
    return Predictions(
        bare.bags,
        bare.tracks,
        bare.logits,
        "softmax",
        np.arange(n + 1),
        (attention / attention.sum(axis=0)).astype(np.float32),
        rng.normal(size=(n, len(GENRES))).astype(np.float32),
    )


def test_a_workflow_shows_the_numbers_of_one_bag():
    figure = workflow(explained(), np.zeros((3, 11)), title=HOSTILE[0], encoder="128 $x$")
    made = explained()
    told = {text.get_text() for text in figure.findobj(Text)}
    assert f"{made.attention[0, 0]:.2f}".replace("0.", ".", 1) in told
    assert is_picture(figure)
    with pytest.raises(DataError, match="one bag with its attention"):
        workflow(explained(), np.zeros((2, 11)), title="", encoder="")
    bare = explained()
    bare = Predictions(bare.bags, bare.tracks, bare.logits)
    with pytest.raises(DataError, match="one bag with its attention"):
        workflow(bare, np.zeros((3, 11)), title="", encoder="")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Figures of hand-made cells: bags are right on 6 of 8, lone tracks on 4."""
    monkeypatch.delenv("MATT_SHARED_DATA", raising=False)
    folk, rock = GENRES.index("Folk"), GENRES.index("Rock")
    tracks = tracks_of([folk] * 8, range(8))
    data = data_of(tracks, feature_sets=("mfcc", "1-9"))
    rows = (
        *figures.no_rows(data, Request()),
        *figures.needs_figure_4(data, Request(epochs=1)),
    )
    parts = {
        name: said(tracks, [[folk]] * n + [[rock]] * (8 - n), by="album")
        for name, n in (("test", 6), ("alone", 4))
    }
    failing = [("1-9", "KNN")]
    return results_of(tmp_path, data, rows, {"every": parts}, failing=failing), tmp_path


def test_figure_4_says_what_was_not_run(made):
    results, folder = made
    found = figures.make_figure_4(results, bench_of(results, rounds=20), folder)
    rows = {row[0]: row for row in found.tables["figure_4"].rows}
    accuracy = [column.name for column in found.tables["figure_4"].columns].index("accuracy")
    for score in SCORES:
        assert rows[f"MLP+MATT ({score})"][accuracy] == 0.75
    assert rows["LR"][accuracy] == 0.5  # each track alone, as in the paper
    assert rows["KNN"][-1].endswith("ours was not run")
    assert np.isnan(rows["CRNN"][accuracy])
    assert rows["CRNN"][6] == AVERAGE_PRECISION_4["CRNN"]
    assert "not at hand" in " ".join(found.tables["figure_4"].notes)
    assert rows["MLP+MATT (dot)"][6] == AVERAGE_PRECISION_4["MLP+MATT"]
    assert rows["MLP+MATT (scalar)"][6] is None  # the paper has no other score
    # no curve of a CRNN, ours or theirs
    assert set(found.pictures) == {"figure_4a", "figure_4a_scores", "figure_4c"}


def test_figure_4_has_the_papers_curves_where_they_are(made, monkeypatch):
    results, folder = made
    curves = folder / "shared" / FOLDER
    curves.mkdir(parents=True)
    (curves / "PR-CRNN_mel_1360_6.csv").write_text("precision,recall\n0.5,1.0\n1.0,0.5\n")
    monkeypatch.setenv("MATT_SHARED_DATA", str(folder / "shared"))
    found = figures.make_figure_4(results, bench_of(results, rounds=20), folder)
    rows = {row[0]: row for row in found.tables["figure_4"].rows}
    assert rows["CRNN"][6] == 0.75
    assert "figure_4b" in found.pictures


def test_figure_1_counts_training_tracks(made):
    results, folder = made
    found = figures.make_figure_1(results, bench_of(results), folder)
    rows = found.tables["figure_1"].rows
    assert [row[0] for row in rows[-3:]] == ["Country", "Spoken", "Blues"]
    assert [row[3:] for row in rows[-3:]] == [(False, True), (True, True), (True, True)]
    assert found.pictures["figure_1"].is_file()


def test_other_data_is_not_compared_with_the_paper(tmp_path):
    folk = GENRES.index("Folk")
    tracks = tracks_of([folk] * 8, range(8))
    data = data_of(tracks, feature_sets=("mfcc",))
    rows = figures.needs_figure_4(data, Request(epochs=1))
    bags = said(tracks, [[folk]] * 8, by="album")
    results = results_of(tmp_path, data, rows, {"every": {"test": bags, "alone": bags}})
    table = figures.make_figure_4(results, bench_of(results, rounds=20), tmp_path).tables[
        "figure_4"
    ]
    names = [column.name for column in table.columns]
    for name in ("the paper's AP", "the paper's accuracy"):
        assert {row[names.index(name)] for row in table.rows} == {None}
    assert "not these" in " ".join(table.notes)


@pytest.mark.parametrize("real", [True, False])
def test_a_picture_of_simulated_data_says_so_itself(tmp_path, real):
    figure, data = Figure(), replace(data_of(tracks_of([0, 3], [0, 1])), real=real)
    save_picture(figure, tmp_path / "picture.png", data)
    assert (tmp_path / "picture.png").stat().st_size
    assert [text.get_text() for text in figure.texts] == ([] if real else ["simulated"])
