"""The page of a reproduction and the page of the documentation: whole, labelled, and harmless."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from matt.errors import DataError
from matt.evaluation import style
from matt.evaluation.intervals import MeanScore
from matt.evaluation.plots import Interval, forest
from matt.evaluation.tables import Column, Table
from matt.files import write_text
from matt.reproduce.plan import Request
from matt.reproduce.run import SIMULATED, Reproduction, write_page
from matt.reproduce.targets import Made
from matt.runs import Run
from tools.write_reproduce import ShownRun, shortened, table_of, write_docs

HOSTILE = "<script>alert('x')</script> | [a](javascript:alert(1)) $x$"
TABLE = Table(
    "Faults: differences",
    (Column("fault"), Column("accuracy", "effect"), Column("on test", "alarm")),
    (
        (HOSTILE, (0.1, -0.05, 0.2), True),
        ("true_query", (0.1, np.nan, np.nan), False),
        ("b", None, False),
    ),
    ("A note with <b>.",),
)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def make_run(path, *, real=False, source="simulated", protocol="corrected", status="finished"):
    run = Run.create(
        path,
        kind="reproduce",
        settings={"seeds": 2},
        seed=0,
        data="0123",
        source=source,
        data_notes=["Simulated data <i>." if not real else "Real."],
    )
    folder = run.path / protocol
    picture = folder / "faults.png"
    rows = [Interval(HOSTILE, MeanScore(0.1, 0.0, 0.2))]
    style.save(forest({"accuracy": rows}, label="less"), picture)
    made = {"faults": Made(tables={"faults": TABLE}, pictures={"faults": picture})}
    failures = ["cell <x>: broken"] if status == "partial" else []
    data = SimpleNamespace(name=f"{'' if real else 'simulated '}FMA <u>", real=real, notes=())
    done = Reproduction(
        run=run,
        results=SimpleNamespace(data=data),
        request=Request(protocol=protocol),
        made=made,
        skipped={"recipes": "not <i> here"},
        failures=failures,
    )
    write_page(done, folder)
    made = {"tables": {"faults": TABLE.to_json()}, "pictures": {"faults": str(picture)}}
    content = {**made, "data": {"name": f"{'' if real else 'simulated '}FMA", "real": real}}
    run.save_scores({**content, "protocol": protocol})
    run.write(status=status)
    return run


def test_the_page_holds_everything_and_runs_nothing(run):
    text = (run.path / "corrected" / "report.html").read_text("utf-8")
    assert "<script" not in text
    assert "<u>" not in text
    assert text.count("data:image/png;base64,") == 1
    assert 'class="alarm">on test' in text
    assert "+.100 [-.050, +.200]" in text
    assert SIMULATED in text
    assert "not &lt;i&gt; here" in text
    assert not re.search(r'(src|href)="(?!data:image|#)', text)


def test_the_same_as_markdown(run):
    text = (run.path / "corrected" / "report.md").read_text("utf-8")
    assert "(faults.png)" in text
    assert "<script" not in text.replace("\\<", "")
    assert "](javascript" not in text.replace("\\]", "")


def test_a_protocol_with_test_selection_warns_in_red(tmp_path):
    make_run(tmp_path / "a", protocol="released")
    text = (tmp_path / "a" / "released" / "report.html").read_text("utf-8")
    warnings = re.findall(r'<p class="warning" role="note">(.*?)</p>', text)
    assert any("test_selection" in warning for warning in warnings)
    real = make_run(tmp_path / "b", real=True, source="fma-mfcc")
    text = (real.path / "corrected" / "report.html").read_text("utf-8")
    assert 'class="warning"' not in text.split("<main>")[0]


def test_the_documentation_is_made_of_run_files(tmp_path):
    runs = [
        make_run(tmp_path / "sim").path,
        make_run(tmp_path / "real", real=True, source="fma-mfcc").path,
    ]
    page = tmp_path / "docs" / "reproduce.md"
    write_docs(runs, page)
    text = page.read_text("utf-8")
    simulated, real = text.split("\n## ")[1:]
    assert simulated.startswith("Simulated: FMA, protocol corrected")
    assert SIMULATED in simulated
    assert real.startswith("FMA, protocol corrected")
    assert SIMULATED not in real
    assert "+.100 \\[-.050, +.200\\]" in text
    for link in re.findall(r"\]\((images/[^)]*)\)", text):
        assert (page.parent / link).read_bytes()[:4] == b"\x89PNG"
    assert "<script" not in text.replace("\\<", "")


def test_what_an_earlier_run_left_in_the_folder_is_not_shown(tmp_path, run):
    write_text(run.path / "corrected" / "table_2.json", json.dumps(TABLE.to_json()))
    page = tmp_path / "reproduce.md"
    write_docs([run.path], page)
    assert page.read_text("utf-8").count("Faults: differences") == 1


def test_a_partial_run_is_marked(tmp_path):
    run = make_run(tmp_path / "run", status="partial")
    html = (run.path / "corrected" / "report.html").read_text("utf-8")
    assert "PARTIAL: 1 cells failed" in html
    page = tmp_path / "reproduce.md"
    write_docs([run.path], page)
    assert "**PARTIAL" in page.read_text("utf-8")


def test_runs_that_are_none_or_equal_are_refused(tmp_path, run):
    page = tmp_path / "reproduce.md"
    with pytest.raises(DataError, match="same data and protocol"):
        write_docs([run.path, run.path], page)
    other = Run.create(tmp_path / "other", kind="train", settings={}, seed=0)
    with pytest.raises(DataError, match="another kind"):
        ShownRun.open(other.path)
    write_text(run.path / "scores.json", json.dumps({"data": []}))
    with pytest.raises(DataError, match="damaged"):
        ShownRun.open(run.path)


def test_a_table_survives_its_file():
    again = table_of(json.loads(json.dumps(TABLE.to_json(), allow_nan=False)), Path("t.json"))
    assert again.shown() == TABLE.shown()
    assert (again.title, again.notes, again.columns) == (TABLE.title, TABLE.notes, TABLE.columns)


@pytest.mark.parametrize("content", [[], {}, {"columns": 3}, {"columns": [{"name": "a"}]}, None])
def test_a_file_that_holds_no_table_is_refused(content):
    with pytest.raises(DataError, match="holds no table"):
        table_of(content, Path("t.json"))


def test_a_long_table_shows_its_last_feature_set():
    rows = tuple((name, i) for name in ("mfcc", "1-9") for i in range(30))
    table = Table("Case study", (Column("features"), Column("n", "int")), rows)
    assert len(shortened(table).rows) == 30
    assert {row[0] for row in shortened(table).rows} == {"1-9"}
    assert "Features 1-9 only" in shortened(table).notes[-1]
    short = Table("t", table.columns, rows[:5])
    assert shortened(short) is short
