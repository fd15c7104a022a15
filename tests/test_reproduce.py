"""`matt reproduce` from nothing to its tables: small, resumed, partial, refused."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from matt import Bags
from matt.cli.app import app
from matt.errors import ConfigError, DataError, MattError
from matt.reproduce import plan
from matt.reproduce.data import MFCC, SIMULATED, open_data
from matt.reproduce.plan import SCORES, Request, Results, fit_cell
from matt.reproduce.run import TARGETS, reproduce
from matt.runs import Run

QUICK = Request(epochs=2, crnn_epochs=1, rounds=20)
SIZE = ("--n-tracks", "150", "--n-logmels", "60", "--epochs", "1", "--crnn-epochs", "1")


@pytest.fixture(scope="module")
def mfcc():
    return open_data(MFCC)


@pytest.fixture(scope="module")
def simulated():
    return open_data(SIMULATED, n_tracks=150, n_logmels=60)


@pytest.fixture
def tiny(tmp_path):
    """Ninety-six tracks of four genres, two an album, without a split."""
    rng = np.random.default_rng(0)
    lines = ["id,who,record,style,x1,x2,x3"]
    for track in range(96):
        genre = track // 4 % 4
        x = ",".join(f"{value:.3f}" for value in rng.normal(size=3) + (genre == np.arange(3)))
        lines.append(f"{track},a{track // 4},r{track // 2},{'FGHJ'[genre]},{x}")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    toml = tmp_path / "mine.toml"
    toml.write_text(
        'table = "mine.csv"\ntrack = "id"\nartist = "who"\nalbum = "record"\ngenre = "style"\n'
        'features = "x*"\n'
    )
    return open_data(str(toml))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Everything, from the command line."""
    out = tmp_path_factory.mktemp("whole") / "out"
    arguments = ["--all", "--data", "simulated", *SIZE, "--seeds", "1", "--out", str(out)]
    done = CliRunner().invoke(app, ["reproduce", *arguments, "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    return out, json.loads(done.stdout)


def test_everything_is_made_of_simulated_data(whole):
    out, document = whole
    assert document["schema"] == "matt.reproduce/1"
    assert (document["status"], document["protocol"]) == ("finished", "corrected")
    assert document["data"]["real"] is False
    assert document["failures"] == []
    assert "recipes" in document["skipped"]
    assert (out / "corrected" / "report.html").stat().st_size > 100_000
    for name in ("faults", "claims", "figure_1", "figure_4", "degradation"):
        assert document["tables"][name]["rows"]
    for name in ("table_1", "table_1_wide", "table_2", "case_study"):
        table = document["tables"][name]
        assert json.loads((out / "corrected" / f"{name}.json").read_text("utf-8")) == table
        assert (out / "corrected" / f"{name}.csv").read_text("utf-8").count("\n") > 12
        assert "Simulated data" in " ".join(table["notes"])
    rows = document["tables"]["table_2"]["rows"]
    scored = {f"{base}+MATT ({score})" for base in ("CRNN", "CRNN-TF") for score in SCORES}
    assert {row["model"] for row in rows} >= {"CRNN", "CRNN-TF"} | scored
    answered = {row["score"]: row["verdict"] for row in document["tables"]["claims"]["rows"]}
    assert {*SCORES} < answered.keys()
    assert "simulated log-mels" in " ".join(document["tables"]["table_2"]["notes"])
    assert Run.open(out).manifest["status"] == "finished"


def test_tables_are_the_same_from_what_is_saved(whole, monkeypatch):
    out, document = whole

    def refuse(material, cell):
        raise AssertionError("a finished cell was run again")

    monkeypatch.setattr(plan, "fit_cell", refuse)
    request = Request(epochs=1, crnn_epochs=1)
    data = open_data(SIMULATED, n_tracks=150, n_logmels=60)
    again = reproduce(data, ["table 1", "case study"], out, request=request, seeds=1)
    assert again.to_json()["tables"]["table_1"] == document["tables"]["table_1"]


def test_a_finished_cell_is_not_run_again(tmp_path, mfcc, monkeypatch):
    done = []

    def counted(material, cell):
        done.append(cell.name)
        return fit_cell(material, cell)

    monkeypatch.setattr(plan, "fit_cell", counted)
    starts = []
    for seeds in (1, 2, 2):
        seen = []
        reproduce(mfcc, ["case study"], tmp_path, request=QUICK, seeds=seeds, progress=seen.append)
        starts.append(seen[0])
    assert len(done) == len(set(done)) == 10
    assert [(start.total, start.kept) for start in starts] == [(5, 0), (10, 5), (10, 10)]
    assert starts[0].left > 0  # by guesses
    assert starts[2].left == 0


def test_failed_cells_are_told_and_the_others_kept(tmp_path, mfcc, monkeypatch):
    def broken(material, cell):
        if cell.name.startswith("MLP+MATT (dot)"):
            raise DataError("no luck; try again")
        return fit_cell(material, cell)

    monkeypatch.setattr(plan, "fit_cell", broken)
    made = reproduce(mfcc, ["case study"], tmp_path, request=QUICK, seeds=1)
    assert made.status == Run.open(tmp_path).manifest["status"] == "partial"
    assert made.failures == ("MLP+MATT (dot), mfcc (split 0): no luck; try again",)
    assert "PARTIAL" in " ".join(made.made["case study"].tables["case_study"].notes)
    monkeypatch.setattr(plan, "fit_cell", fit_cell)
    assert reproduce(mfcc, ["case study"], tmp_path, request=QUICK, seeds=1).status == "finished"


def test_a_fault_that_so_few_data_cannot_have_is_left_out_and_named(tmp_path, tiny):
    request = replace(QUICK, epochs=1, protocol="released")
    done = reproduce(tiny, ["faults"], tmp_path / "out", request=request, seeds=1)
    assert (done.status, done.failures) == ("finished", ())
    rows = done.made["faults"].tables["faults"].rows
    assert rows
    assert not any("dropped_batch" in str(row) for row in rows)
    told = " ".join(done.made["faults"].tables["faults"].notes)
    assert "This data cannot show: typed_tail, triple_chroma, dropped_batch." in told
    names = ", ".join(name for name in plan.MODELS if name.startswith("MLP+"))
    assert f"Fault dropped_batch is left out of {names}: their training bags" in told


def test_a_batch_is_dropped_where_another_is_left(tiny):
    request = Request(protocol="released")
    tiny = tiny.divided(2)
    counts = [
        len(Bags.from_tracks(division.tracks, by="album", split="training"))
        for division in tiny.splits
    ]
    assert tiny.fewest_bags(tiny.fullest) == min(counts)
    for n_bags, has in ((None, True), (min(counts), False), (159, False), (160, True)):
        row = plan.make_row("MLP+MATT (dot)", "released", n_bags=n_bags)
        assert row.training.dropped_batch is has
        assert replace(row, training=replace(row.training, dropped_batch=True)) == plan.make_row(
            "MLP+MATT (dot)", "released"
        )
    rows = plan.rows_on(tiny, request, plan.MODELS)
    assert not any(row.training.dropped_batch for row in rows)
    assert plan.undropped(tiny, Request()) == ()


def test_a_folder_of_something_else_is_refused(tmp_path, mfcc, simulated):
    reproduce(mfcc, ["case study"], tmp_path / "mfcc", request=QUICK, seeds=1)
    with pytest.raises(DataError, match=r"holds results of other data \(fma-mfcc, digest"):
        reproduce(simulated, ["table 1"], tmp_path / "mfcc", request=QUICK)
    Run.create(tmp_path / "train", kind="train", settings={}, seed=0)
    with pytest.raises(DataError, match="holds a run of 'matt train'; choose another folder"):
        reproduce(mfcc, ["case study"], tmp_path / "train", request=QUICK)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="is not empty and is no run folder"):
        reproduce(mfcc, ["case study"], tmp_path / "other", request=QUICK)


def test_predictions_of_other_data_are_refused(tmp_path, mfcc):
    made = reproduce(mfcc, ["case study"], tmp_path, request=QUICK, seeds=1)
    other = open_data(MFCC)
    tracks = other.tracks.drop(other.tracks.track_id[-300:])
    results = replace(made.results, data=replace(other, tracks=tracks))
    with pytest.raises(DataError, match=r"predictions of other data: .* not in the data"):
        results.by_split("mfcc", "MLP")


@pytest.mark.parametrize(
    ("wanted", "facts", "message"),
    [
        (["table 3"], {}, "nothing is called 'table 3'; did you mean 'table 2'"),
        (["table 1"], {}, "cannot be made of fma-mfcc: table 1: fma-mfcc has one set of features"),
        ([], {"request": Request(protocol="papr")}, "unknown protocol 'papr'; did you mean 'paper"),
        ([], {"seeds": 0}, "repeats must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, mfcc, wanted, facts, message):
    with pytest.raises(ConfigError, match=message):
        reproduce(mfcc, wanted, tmp_path / "out", **facts)


def test_equal_seeds_of_a_model_without_randomness_are_one_cell(simulated):
    rows = TARGETS["table 1"].needs(simulated, QUICK)
    planned = Results.planned(simulated, rows, simulated.divisions(3))
    assert len({cell.digest for cell in planned.cells["mfcc", "KNN"]}) == 1
    assert len({cell.digest for cell in planned.cells["mfcc", "MLP"]}) == 3
    # Under the corrected protocol the MLP of the paper is the track model: one fit serves both.
    assert planned.cells["mfcc", "MLP"][0].digest == planned.cells["mfcc", "track model"][0].digest


def test_what_is_left_is_known_from_what_is_finished(tmp_path, mfcc, monkeypatch):
    """Cells that are there took an hour each: those like them will, and the others in proportion."""
    reproduce(mfcc, ["case study"], tmp_path, request=QUICK, seeds=1)
    for path in tmp_path.glob("cells/*/cell.json"):
        content = json.loads(path.read_text("utf-8")) | {"seconds": 3600.0}
        path.write_text(json.dumps(content), "utf-8")
    seen = []
    reproduce(mfcc, ["case study"], tmp_path, request=QUICK, seeds=2, progress=seen.append)
    assert seen[0].left == pytest.approx(5 * 3600)
    assert seen[1].left < 3600  # one of them was done in seconds
    assert seen[-1].left == 0


def test_a_run_without_validation_is_refused(tmp_path, mfcc):
    tracks = mfcc.tracks
    split = tracks.with_split(["test" if i % 3 == 0 else "training" for i in range(len(tracks))])
    data = replace(mfcc, tracks=split)
    with pytest.raises(MattError, match="no validation track has a known genre"):
        reproduce(data, ["case study"], tmp_path / "out", request=QUICK)


def test_the_command_names_what_is_wrong(tmp_path):
    out = str(tmp_path / "out")
    nothing = CliRunner().invoke(app, ["reproduce", "--out", out, "--json"])
    assert nothing.exit_code == 2
    assert "name what to make" in json.loads(nothing.stdout)["error"]
    wrong = CliRunner().invoke(
        app, ["reproduce", "--all", "--data", "simulatd", "--out", out, "--json"]
    )
    assert "did you mean 'simulated'" in json.loads(wrong.stdout)["error"]


@pytest.mark.slow
def test_two_processes_make_the_same_tables(tmp_path, mfcc):
    one = reproduce(mfcc, ["case study"], tmp_path / "one", request=QUICK, seeds=1)
    arguments = ["--case-study", "--data", MFCC, "--seeds", "1", "--epochs", "2", "--jobs", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "matt", "reproduce", *arguments, "--out", tmp_path / "two", "-q"],
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "two" / "corrected" / "case_study.json").read_text("utf-8"))
    ours = one.made["case study"].tables["case_study"].to_json()
    for mine, theirs in zip(ours["rows"], table["rows"], strict=True):
        assert mine["accuracy"] == theirs["accuracy"]
    assert not (tmp_path / "two" / "shared").exists()
