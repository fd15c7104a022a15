"""Reports of runs and of anyone's predictions: what is in them, and what becomes of what is not."""

import csv
import json
import re

import numpy as np
import pytest
from page import Page
from report_runs import explained, tracks, write_run
from scored import GENRES

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.evaluation import plots, style
from matt.evaluation.scores import score
from matt.evaluation.tables import plain
from matt.predictions import Predictions
from matt.reports import sections
from matt.reports.page import SCHEMA, compare_subjects, make_report, write
from matt.reports.sections import NO_VALIDATION, examples, only
from matt.reports.subjects import UNFINISHED, open_predictions, open_subjects, saved, tables_of
from matt.runs import Run

TABLES = {
    *("scores", "detail", "genres", "pairs", "calibration", "sizes", "shots"),
    *("album-1-tracks", "audit", "tracks-of-genres", "bags", "missing", "versions", "settings"),
}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }} [x](javascript:alert(1)) ![y](http://example.org/z.png)",
    "\u202egnp.exe\u2066 \u200f right to left",
    "very long " * 200,
    "esc\x1b[31m\x07 | pipe\nline",
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Draw once and show it everywhere: drawing is slow, and tested elsewhere."""
    figure = plots.genre_distribution(np.array([30, 4]), ["a", "b"])
    content = style.png(figure)
    monkeypatch.setattr("matt.evaluation.report.png", lambda figure: content)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    for name, skill in (("weak", 0.5), ("strong", 2.0)):
        write_run(place / name, seed=len(name), skill=skill, audit={"tracks": 9, "bags": None})
    return place


def report(paths, out, **options):
    made = make_report(*open_subjects(paths), rounds=9, **options)
    write(made, out)
    return made, Page((out / "report.html").read_text(encoding="utf-8"))


def test_a_report_of_a_folder_opens_with_its_albums(tmp_path):
    run = write_run(tmp_path / "mine", tracks(names=HOSTILE), skill=1.0, library=True)
    made, page = report([run.path], tmp_path / "report")
    assert page.said("h2")[:2] == ["Albums", "Scores"]
    said = run.predictions("test")
    chapter = made.chapters["mine"]["Albums"]
    listed = [part for key, part in chapter.items() if key.startswith("albums-")]
    assert sum(len(table.rows) for table in listed) == said.bags.known.sum()
    assert chapter["albums"].startswith(f"{said.bags.known.sum()} albums by artists ")


def test_a_report_of_one_run_holds_every_part(runs, tmp_path):
    made, page = report([runs / "weak"], tmp_path)
    assert made.problems == ()
    assert page.said("h2") == [
        *("Scores", "Genres", "Precision and recall", "Mistakes", "Calibration"),
        *("By size and by training tracks", "Which tracks decided", "Training", "Data"),
        "Settings and versions",
    ]
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["schema"] == SCHEMA == "matt.report/1"
    assert set(content) == {
        *("schema", "version", "runs", "left_out", "problems", "comparison", "tables"),
    }
    assert set(content["tables"]["weak"]) >= TABLES
    assert content["comparison"] is None
    assert content["runs"][0]["partial"] is None
    for key in TABLES:
        with (tmp_path / "tables" / f"{key}.csv").open(newline="") as file:
            assert len(list(csv.reader(file))) == 1 + len(content["tables"]["weak"][key]["rows"])
    pictures = {path.stem for path in (tmp_path / "plots").iterdir()}
    assert pictures >= {"curves", "genre-curves", "confusion", "reliability", "coverage", "history"}
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for path in (tmp_path / "plots").iterdir():
        assert f"](plots/{path.name})" in text
    said = page.said("td")
    assert {"training.lr", "0.01", "numpy"} <= set(said)


def test_the_tables_are_those_of_evaluate(runs, tmp_path):
    run = Run.open(runs / "weak")
    expected = tables_of(saved(run), rounds=9)
    made, _ = report([run.path], tmp_path)
    shown = made.to_json()["tables"]["weak"]
    assert {name: shown[name] for name in expected} == {
        name: table.to_json() for name, table in expected.items()
    }


def test_several_runs_are_compared_and_each_has_its_part(runs, tmp_path):
    made, page = report([runs / "weak", runs / "strong"], tmp_path, baseline="weak")
    assert page.said("h2") == ["Comparison", "weak", "strong"]
    assert page.said("h3").count("Scores") == 2
    ranking = made.to_json()["comparison"]["ranking"]["rows"]
    assert ranking[0]["model"] == "strong"
    names = {row["model"] for row in ranking}
    assert names == {
        *("weak", "strong", "weak, control", "strong, control", "control: majority class")
    }
    files = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {
        "all-ranking.csv",
        "all-differences.csv",
        "weak-scores.csv",
        "strong-scores.csv",
    } <= files


def test_one_model_is_the_same_in_every_table_of_a_page(runs, tmp_path):
    """To the last digit: score, interval, n and artists, ranked beside others or in its own part."""
    made, _ = report([runs / "weak", runs / "strong"], tmp_path, baseline="weak")
    content = made.to_json()
    ranked = {row["model"]: row for row in content["comparison"]["ranking"]["rows"]}
    for name in ("weak", "strong"):
        tables = content["tables"][name]
        rows = tables["scores"]["rows"]
        (own,) = (
            r for r in rows if r["unit"] == "bag over tracks" and r["model"] == rows[0]["model"]
        )
        shared = ranked[name].keys() & own.keys() - {"model"}
        assert {"n", "artists", "macro-F1", "95 % of macro-F1", "95 % of micro AP"} <= shared
        assert {key: ranked[name][key] for key in shared} == {key: own[key] for key in shared}
        (majority,) = (
            r for r in rows if r["unit"] == own["unit"] and r["model"] == "control: majority class"
        )
        assert {key: ranked["control: majority class"][key] for key in shared} == {
            key: majority[key] for key in shared
        }
        assert sum(row["n"] for row in tables["genres"]["rows"]) == own["n"]


def test_what_is_unfinished_or_lost_is_named_and_the_rest_is_kept(runs, tmp_path):
    write_run(tmp_path / "cut", finish=False)
    write_run(tmp_path / "begun", finish=False, predicted=False)
    broken = write_run(tmp_path / "broken")
    (broken.path / "predictions" / "test.parquet").write_bytes(b"no parquet")
    (tmp_path / "other").mkdir()
    names = ("cut", "begun", "broken", "other")
    paths = [runs / "weak", *(tmp_path / name for name in names)]
    made, page = report(paths, tmp_path / "out")
    assert [subject.name for subject in made.subjects] == ["weak", "cut"]
    reasons = {out.path.name: out.reason for out in made.left_out}
    assert set(reasons) == {"begun", "broken", "other"}
    assert "was not finished" in reasons["begun"]
    assert "Parquet" in reasons["broken"]
    assert "no run folder" in reasons["other"] or "not a run folder" in reasons["other"]
    assert made.subjects[1].remark == UNFINISHED
    warned = [text for text in page.said("p") if text.startswith("Partial. ")]
    assert len(warned) == 4
    assert any(text.startswith("Partial. cut: partial") for text in warned)
    assert "Left out" in page.said("h3") or "Left out" in page.said("h2")
    remarks = {r["model"]: r["remark"] for r in made.to_json()["comparison"]["ranking"]["rows"]}
    assert (remarks["cut"], remarks["weak"]) == (UNFINISHED, "")
    with pytest.raises(DataError, match="was not finished"):
        open_subjects([tmp_path / "begun"])
    with pytest.raises(DataError, match="none of 2 can be used"):
        open_subjects([tmp_path / "begun", tmp_path / "other"])


def test_a_run_without_validation_says_so(tmp_path):
    run = write_run(tmp_path / "run")
    nan = float("nan")
    run.save_history([{"epoch": 1, "loss": 1.0, "valid_loss": nan, "valid_macro_f1": nan}])
    _, page = report([run.path], tmp_path / "out")
    assert NO_VALIDATION in page.said("p")


@pytest.mark.parametrize("text", ["epoch,loss\n1,x\n", "epoch,loss\n1\n", "loss\n1\n", "\0"])
def test_a_damaged_history_costs_its_picture_alone(runs, text, tmp_path):
    (tmp_path / "history.csv").write_text(text)
    told = sections.training(Run(tmp_path, {"notes": ["kept"]}))
    assert "notes" in told
    assert isinstance(told.get("history", ""), str)


def test_runs_of_other_tracks_are_reported_and_not_compared(runs, tmp_path):
    write_run(tmp_path / "other", tracks(seed=7))
    made, page = report([runs / "weak", tmp_path / "other"], tmp_path / "out")
    assert made.comparison is None
    assert any("There is no comparison" in problem for problem in made.problems)
    assert page.said("h2") == ["weak", "other"]


def test_a_fault_that_makes_scores_too_good_is_shown_in_red(runs, tmp_path):
    write_run(tmp_path / "cheat", faults=["test_selection"])
    made, _page = report([runs / "weak", tmp_path / "cheat"], tmp_path / "out")
    assert any("Fault test_selection" in text for text in made.warnings)
    rows = {r["model"]: r["remark"] for r in made.to_json()["comparison"]["ranking"]["rows"]}
    assert "chosen on the test split" in rows["cheat"]


def test_equal_names_are_told_apart_and_a_path_is_named_once(runs, tmp_path):
    write_run(tmp_path / "a" / "weak")
    subjects, _ = open_subjects([runs / "weak", tmp_path / "a" / "weak"])
    assert [s.name for s in subjects] == [f"{runs.name}/weak", "a/weak"]
    with pytest.raises(DataError, match="named twice"):
        open_subjects([runs / "weak", runs / "weak" / ".." / "weak"])


def test_a_report_goes_where_nothing_else_is(runs, tmp_path):
    made = make_report(*open_subjects([runs / "weak"]), rounds=0)
    with pytest.raises(DataError, match="is a run folder"):
        write(made, runs / "weak")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds no report"):
        write(made, tmp_path)
    with pytest.raises(DataError, match="is a file"):
        write(made, tmp_path / "notes.txt")
    for _ in range(2):  # a second report takes the place of the first
        write(made, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_too_few_and_unknown_names_are_refused(runs):
    subjects, _ = open_subjects([runs / "weak", runs / "strong"])
    with pytest.raises(DataError, match="needs two"):
        compare_subjects(subjects[:1])
    with pytest.raises(ConfigError, match="did you mean 'strong'"):
        compare_subjects(subjects, baseline="stron")
    alone = compare_subjects(subjects, controls=False, rounds=0)
    assert len(alone.standings) == 3


def test_examples_are_right_and_wrong_and_say_what_the_whole_says():
    table = tracks(3)
    made = explained(Bags.from_tracks(table, split="test"), table, skill=0.7)
    found = examples(made)
    titles = [t.title for key, t in found.items() if key.endswith("tracks")]
    assert any("(right" in title for title in titles)
    assert any("(wrong, and sure of it)" in title for title in titles)
    which = np.array([5, 2])
    some = only(made, which)
    np.testing.assert_array_equal(some.logits, made.logits[which])
    starts = some.bags.offsets[:-1]
    by_segment = some.attention * some.segment_logits
    sums = np.add.reduceat(by_segment, some.segment_offsets[starts], axis=0)
    np.testing.assert_allclose(sums, some.logits, atol=1e-5)
    plain_logits = Predictions(made.bags, made.tracks, made.logits)
    assert examples(plain_logits) == {}


def test_no_name_or_tag_becomes_markup_or_a_link(tmp_path):
    genres = tuple(f"{text[:60]} {i}" for i, text in enumerate(HOSTILE[:7]))
    table = tracks(names=HOSTILE, genres=genres)
    said = {
        "settings": {"baseline": None, HOSTILE[0]: {HOSTILE[1]: HOSTILE[2]}},
        "data_notes": HOSTILE,
        "warnings": HOSTILE,
        "audit": {HOSTILE[0]: 3},
        "failures": [{"path": HOSTILE[1], "reason": HOSTILE[4]}],
    }
    for i, name in enumerate(("<b>run&", "javascript:alert(1)", "x" * 200)):
        write_run(tmp_path / name, table, seed=i, **said)
    paths = sorted(path for path in tmp_path.iterdir())
    out = tmp_path / "out"
    _, page = report(paths, out, title=HOSTILE[0])
    assert not {"script", "b", "svg", "iframe", "object", "form", "link"} & set(page.elements)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith("#part-") for value in page.values("href"))
    assert {value.split(",")[0] for value in page.values("src")} == {"data:image/png;base64"}
    shown = " ".join(text for _, text in page.texts)
    assert HOSTILE[0] in shown
    assert not any(mark in shown for mark in "\u202e\u2066\x1b\x07")
    for path in out.rglob("*"):
        assert "<" not in path.name
        assert len(path.name) < 100
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "<script>alert" not in text.replace("\\<", "")
    assert not any(mark in text for mark in "\u202e\u2066\x1b\x07")
    links = re.findall(r"(?<!\\)\]\(([^)]*)\)", text)
    assert links
    assert all(link.startswith("plots/") and (out / link).exists() for link in links)


def test_names_are_cut_in_headings_and_whole_in_tables(tmp_path):
    name = "very long name " * 8
    write_run(tmp_path / name.strip())
    write_run(tmp_path / "b", seed=1)
    made, page = report([tmp_path / name.strip(), tmp_path / "b"], tmp_path / "out")
    assert max(map(len, page.said("h2"))) <= 70
    assert plain(name).strip() in {
        row["model"] for row in made.to_json()["comparison"]["ranking"]["rows"]
    }


def csv_of(predictions, path):
    rows = zip(predictions.tracks.track_id, predictions.probabilities, strict=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", *GENRES])
        writer.writerows([i, *map(repr, p.tolist())] for i, p in rows)
    return path


def test_a_csv_of_a_track_model_scores_as_the_model_itself(runs, tmp_path):
    run = Run.open(runs / "weak")
    path = csv_of(run.predictions("test-alone"), tmp_path / "theirs.csv")
    (subject,), _ = open_subjects([path], run.tracks())
    made = subject.tables(rounds=0)["scores"].to_json()["rows"]
    expected = run.predictions("test-alone").average_over(run.predictions("test").bags)
    for row, unit in zip(made[:2], ("bag", "track_of_bag"), strict=True):
        scores = score(expected, unit=unit)
        assert row["unit"] == scores.unit
        assert row["macro-F1"] == pytest.approx(scores.macro_f1)
        assert row["tail recall"] == pytest.approx(scores.tail_recall)
    assert made[2]["accuracy"] == score(run.predictions("test-alone")).accuracy
    assert [row["model"] for row in made[:3]] == [
        *["theirs, averaged over the bag"] * 2,
        "theirs, each track alone",
    ]


def test_only_the_split_is_scored_and_what_is_missing_is_said(runs, tmp_path):
    table = tracks()
    alone = Bags.from_tracks(table, by="track")
    every = explained(alone, table)
    path = csv_of(every, tmp_path / "all.csv")
    n_test = int((table.split == "test").sum())
    test = open_predictions(path, table)
    assert (len(test.main), test.title) == (n_test, "Test split")
    assert f"{len(table) - n_test:,} predicted tracks outside the test split" in test.notes[0]
    whole = open_predictions(path, table, split="all")
    assert (len(whole.main), whole.title) == (len(table), "All tracks")
    known = np.flatnonzero((every.tracks.split == "test") & every.tracks.labelled)
    part = csv_of(every.take(known[:-2]), tmp_path / "part.csv")
    assert f"Partial: 2 of {len(known):,} test tracks" in " ".join(
        open_predictions(part, table).notes
    )
    train = csv_of(every.take(np.flatnonzero(every.tracks.split == "training")), tmp_path / "t.csv")
    with pytest.raises(DataError, match="is in the test split; predict those"):
        open_predictions(train, table)
    with pytest.raises(DataError, match="did you mean 'test'"):
        open_predictions(path, table, split="tets")
    unsplit = table.with_split(np.full(len(table), ""))
    assert "in no split" in " ".join(open_predictions(path, unsplit).notes)
    with pytest.raises(DataError, match="leave out --split"):
        open_predictions(path, unsplit, split="test")


def test_parquet_predictions_carry_their_tracks(runs, tmp_path):
    run = Run.open(runs / "weak")
    path = run.path / "predictions" / "test.parquet"
    made = open_predictions(path)
    assert list(made.made) == ["test"]
    assert open_predictions(path, run.tracks()).main.genres == made.main.genres
    other = run.tracks()
    swapped = type(other)(other.track_id, np.roll(other.labels, 1), other.genres, split=other.split)
    with pytest.raises(DataError, match="another genre in the tracks given"):
        open_predictions(path, swapped)
    with pytest.raises(DataError, match="has the link 'softmax'"):
        open_predictions(path, link="none")
    with pytest.raises(DataError, match=r"no bag .* training split"):
        open_predictions(path, split="training")
    with pytest.raises(DataError, match="--tracks"):
        open_predictions(tmp_path / "x.csv")
