"""Results of benchmarks: kept by claim and processor, judged from all of them, told to the pages."""

import json
import os
import re
from collections import Counter
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import pages, paired, results
from matt.errors import DataError

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC

processor\t: 1
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
"""


def row(claim="a loop", on="Abacus", ratio=3.0, *, peer="by hand", goal=2.0, **others):
    """What `benchmarks.paired.measure` gives; without a processor, as rows were once."""
    told = {"claim": claim, "peer": peer, **({"processor": on} if on else {})}
    costs = {"runs": 5, "goal": goal, "ours": 7.0, "theirs": 7.0 * ratio, "unit": "s"}
    return {**told, "ratio": ratio, "low": ratio - 0.5, "high": ratio + 1, **costs, **others}


CLAIMS = st.tuples(st.sampled_from(["a loop", "a sum", "a sort"]), st.sampled_from(["hand", "ear"]))
RATIOS = st.floats(0.5, 9.0)
OLD = st.lists(st.tuples(CLAIMS, RATIOS), unique_by=lambda pair: pair[0])
RUNS = st.lists(
    st.tuples(CLAIMS, st.sampled_from(["Abacus", "Slide rule"]), RATIOS, st.sampled_from([1, 2, 4]))
)


@given(OLD, RUNS)
def test_the_last_measurement_of_each_claim_on_each_processor_is_kept(old, runs):
    rows = [row(claim, None, ratio, peer=peer) for (claim, peer), ratio in old]
    for (claim, peer), on, ratio, goal in runs:
        rows = results.merged(rows, row(claim, on, ratio, peer=peer, goal=goal))
    last = {(key, on): ratio for key, on, ratio, _ in runs}
    measured = {key for key, _ in last}
    last |= {(key, results.NOT_NOTED): ratio for key, ratio in old if key not in measured}
    found = [((each["claim"], each["peer"]), results.where(each)) for each in rows]
    assert Counter(found) == Counter(last.keys())
    assert [each["ratio"] for each in rows] == [last[key] for key in found]
    # A claim has one goal, the newest, and its rows lie together.
    goals = {key: goal for key, _, _, goal in runs}
    for group in results.claims(rows):
        key = group[0]["claim"], group[0]["peer"]
        assert {each["goal"] for each in group} == {goals.get(key, 2.0)}
        at = rows.index(group[0])
        assert rows[at : at + len(group)] == group


@given(OLD.filter(bool), st.data())
def test_measuring_again_moves_no_other_row(old, data):
    rows = [row(claim, "Abacus", ratio, peer=peer) for (claim, peer), ratio in old]
    place = data.draw(st.integers(0, len(rows) - 1))
    new = {**rows[place], "ratio": 9.5}
    assert results.merged(rows, new) == [*rows[:place], new, *rows[place + 1 :]]


def test_what_this_run_cannot_measure_stays(tmp_path, monkeypatch, capsys):
    """Claims of data that are not here, and of code that is gone, are not for a run to remove."""
    main = import_module("benchmarks.__main__")
    path = tmp_path / "results.json"
    elsewhere = [row("real clips", None), row("a sum", "Slide rule", 1.5)]
    path.write_text(json.dumps(elsewhere))
    times = iter([(1.0, 3.0), (2.0, 5.0), (1.0, 4.0)])
    claim = paired.Claim("a sum", "by hand", 2.0, pair=lambda: next(times), runs=3)
    monkeypatch.setattr(main, "all_claims", lambda: [claim])
    monkeypatch.setattr(main, "read", partial(results.read, path))
    monkeypatch.setattr(main, "keep", partial(results.keep, path=path))
    monkeypatch.setattr(paired, "processor", lambda: "Abacus")
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    main.main()
    first, *sums = results.read(path)
    assert first == elsewhere[0]
    assert {each["processor"]: each["ratio"] for each in sums} == {"Abacus": 3.0, "Slide rule": 1.5}
    assert (sums[0]["low"], sums[0]["high"], sums[0]["cores"] >= 1) == (2.5, 4.0, True)
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("goal 2.0x reached here; in all missed: Slide rule")
    assert told[1] == results.summary(results.read(path))


def test_what_another_run_wrote_in_the_meantime_stays(tmp_path):
    path = tmp_path / "results.json"
    assert results.read(path) == []
    assert results.keep(row("a sum"), path) == [row("a sum")]
    assert results.keep(row("a loop", "Slide rule"), path) == [row("a loop", "Slide rule")]
    assert results.read(path) == [row("a sum"), row("a loop", "Slide rule")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[{", "is not JSON"),
        ("", "is not JSON"),
        ('{"claim": "a sum"}', "holds no rows"),
        ("[3]", "holds no rows"),
        (json.dumps([row(), {"claim": "a sum", "peer": "x"}]), "row 2: no goal, high, low"),
    ],
    ids=["cut", "empty", "an object", "numbers", "half a row"],
)
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path, content, told):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"results\.json.*{told}.*restore it with git"):
        results.keep(row(), path)
    assert path.read_text() == content


@given(st.lists(RATIOS, min_size=1, max_size=3))
def test_reached_is_what_every_one_of_two_processors_reaches(ratios):
    rows = [row(on=f"number {i}", ratio=ratio) for i, ratio in enumerate(ratios)]
    reached = [ratio >= 2.0 for ratio in ratios]
    assert (results.state(rows) == "reached") == (all(reached) and len(rows) > 1)
    assert (results.state(rows) == "missed") == (not all(reached))
    told = results.verdict(rows)
    for i, good in enumerate(reached):
        assert (f"number {i}" in told) == (not good or all(reached))


def test_the_table_shows_where_it_gains_least():
    rows = [
        row(ratio=3.0),
        row(on="Slide rule", ratio=2.5, runs=9),
        row("a sum", None, 4.0),
        row("a sort", ratio=1.0),
    ]
    table = results.table(rows)
    shown = [dict(zip([c.name for c in table.columns], r, strict=True)) for r in table.rows]
    assert [each["claim"] for each in shown] == ["a loop", "a sum", "a sort"]
    first = {name: shown[0][name] for name in ("ratio", "lowest", "highest", "runs", "processors")}
    assert first == {"ratio": 2.5, "lowest": 2.0, "highest": 3.5, "runs": 9, "processors": 2}
    assert [each["state"] for each in shown] == [
        "reached: Abacus, Slide rule",
        "reached on one: a processor not noted",
        "missed: Abacus",
    ]
    (note,) = table.notes
    assert re.findall(r"\d+", note) == ["3", "1", "1", "1"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (CPUINFO, "AMD EPYC (family 25, model 17)"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "0x41, part 0xd0c)"),
        ("", ""),
        (None, ""),
    ],
    ids=["x86", "ARM", "nothing said", "no such file"],
)
def test_a_processor_has_a_name(tmp_path, content, name):
    path = tmp_path / "cpuinfo"
    if content is not None:
        path.write_text(content)
    found = paired.processor(path)
    assert found
    assert found.endswith(name)


def test_pages_say_what_was_measured():
    stale = [
        path
        for path, text in pages.pages(results.read()).items()
        if (pages.ROOT / path).read_text("utf-8") != text
    ]
    assert stale == [], "python -m benchmarks.pages writes them"


@pytest.mark.skipif(find_spec("h5py") is None, reason="the benchmarks name the version of h5py")
def test_what_pages_tell_of_is_claimed(tmp_path, monkeypatch):
    folder = tmp_path / "fma_clips"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.mp3").touch()
    monkeypatch.setenv("MATT_SHARED_DATA", str(tmp_path))
    monkeypatch.setenv("MATT_FMA_SCRIPT", "features.py")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    claims = import_module("benchmarks.__main__").all_claims()
    assert pages.SENTENCES.keys() <= {(claim.claim, claim.peer) for claim in claims}


FIGURES = st.fixed_dictionaries(
    {"ratio": st.floats(0.01, 999), "theirs": st.floats(0, 99_999), "on": st.sampled_from("AB")}
)
SENTENCE = "takes {ratio:.2f} times as long, {theirs:,.0f} s, (on {on})."
PAGE = "Before 1.5 times.\nIt takes {} times\nas long, {} s,\n  (on {}). And 3 s after."


@given(FIGURES, FIGURES)
def test_figures_go_into_their_sentence_alone(old, new):
    def page(of):
        return PAGE.format(f"{of['ratio']:.2f}", f"{of['theirs']:,.0f}", of["on"])

    assert pages.told("page.md", page(old), SENTENCE, new) == page(new)
    assert pages.told("page.md", page(old), SENTENCE, old) == page(old)


@pytest.mark.parametrize("times", [0, 2])
def test_a_sentence_that_is_not_there_once_is_told(times):
    with pytest.raises(DataError, match=rf"page\.md has 'takes .*' {times} times; change"):
        pages.told("page.md", "It takes 3 s. " * times, "takes {ours} s.", row())


def test_a_page_cannot_tell_what_nobody_measured():
    with pytest.raises(DataError, match="no 'a sum' beside 'by ear'; measure it"):
        pages.figures("a sum", "by ear", [row("a sum")])


def test_figures_are_those_of_the_processor_that_gains_least():
    quick = row(ratio=2.5, ours=4.0, theirs=10.0, n=5)
    slow = row(on="Slide rule", ratio=3.0, ours=20.0, theirs=60.0, n=5)
    found = pages.figures("a loop", "by hand", [slow, row("a sum", None), quick])
    assert {name: found[name] for name in quick} == quick
    assert (found["each"], found["their_each"], found["longest_each"]) == (0.8, 2.0, 4.0)
    assert (found["soonest"], found["latest"]) == (10 / 3.5, 10 / 2.0)
    assert found["processors"] == "Abacus, Slide rule, a processor not noted"


def test_examples_say_what_they_print_now():
    page = "It\n\n```python\n>>> n = {}\n>>> for k in (n, 2 * n):\n...     print(k)\n{}\n{}\n>>> n\n{}\n\n```\n\nends."
    assert pages.run_again(page.format(7, 3, 6, 3)) == page.format(7, 7, 14, 7)
    assert pages.run_again(page.format(7, 7, 14, 7)) == page.format(7, 7, 14, 7)
