import csv
import html
import io
import json
import statistics
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from scipy.stats import ttest_1samp

from matt.bags import Bags
from matt.errors import DataError
from matt.evaluation.intervals import wilson
from matt.evaluation.scores import majority, score
from matt.evaluation.summaries import genre_table, score_table, split_table
from matt.evaluation.tables import KINDS, Column, Table, plain
from matt.predictions import Predictions
from matt.tracks import Tracks

NAN = float("nan")
EVERY_KIND = {  # cell, as shown
    "text": ("Rock", "Rock"),
    "flag": (True, "flag"),
    "alarm": (True, "alarm"),
    "int": (12345, "12,345"),
    "number": (0.012345, "0.0123"),
    "share": (0.6826, ".683"),
    "percent": (0.6826, "68 %"),
    "signed": (0.184, "+0.18"),
    "mean and sd": ((0.6834, 0.0209), ".683 ± .02"),
    "interval": ((0.612, 0.744), ".61-.74"),
    "signed interval": ((-0.0184, 0.0052), "-.018 to +.005"),
    "difference": ((-0.0184, 0.013), "-.018 ± .013"),
    "effect": ((-0.0184, -0.0412, 0.0052), "-.018 [-.041, +.005]"),
}
FLAGS = ("flag", "alarm")
UNDEFINED = {
    **{kind: None for kind in KINDS},
    **{kind: False for kind in FLAGS},
    **{"share": NAN, "mean and sd": (NAN, NAN), "effect": (NAN, NAN, NAN)},
}


def every_kind():
    columns = tuple(Column(kind, kind) for kind in EVERY_KIND)
    defined = tuple(cell for cell, _ in EVERY_KIND.values())
    return Table("All", columns, (defined, tuple(UNDEFINED[k] for k in EVERY_KIND)), ("A note.",))


def console_text(table, width=200):
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    console.print(table.to_rich(), crop=False)
    return out.getvalue()


def test_every_kind_is_shown():
    assert set(EVERY_KIND) == set(KINDS)
    first, second = every_kind().shown()
    assert first == [shown for _, shown in EVERY_KIND.values()]
    assert second == ["" if kind in FLAGS else "-" for kind in EVERY_KIND]
    assert Column("gain", "effect").show((0.25, NAN, NAN)) == "+.250"
    assert Column("F1", "mean and sd").show((0.25, NAN)) == ".250"  # a single split
    assert Column("F1", "share").show(1.0) == "1.000"
    assert Column("gain", "difference").show((0.25, NAN)) == "+.250"
    assert Column("gain", "signed").show(-0.184) == "-0.18"


def test_json_survives_a_strict_writer():
    document = json.loads(json.dumps(every_kind().to_json(), allow_nan=False))
    assert document["title"] == "All"
    assert document["notes"] == ["A note."]
    assert document["columns"][5] == {"name": "share", "kind": "share"}
    defined, undefined = document["rows"]
    assert defined["share"] == 0.6826
    assert defined["mean and sd"] == {"mean": 0.6834, "sd": 0.0209}
    assert defined["interval"] == {"low": 0.612, "high": 0.744}
    assert defined["signed interval"] == {"low": -0.0184, "high": 0.0052}
    assert defined["effect"] == {"difference": -0.0184, "low": -0.0412, "high": 0.0052}
    assert undefined == {kind: False if kind in FLAGS else None for kind in KINDS}
    single = Table("", (Column("F1", "mean and sd"),), (((0.5, NAN),),)).to_json()
    assert single["rows"] == [{"F1": {"mean": 0.5, "sd": None}}]


def test_csv_keeps_all_digits():
    rows = list(csv.DictReader(io.StringIO(every_kind().to_csv())))
    assert float(rows[0]["share"]) == 0.6826
    assert (float(rows[0]["mean and sd mean"]), float(rows[0]["mean and sd sd"])) == (
        0.6834,
        0.0209,
    )
    assert (float(rows[0]["interval low"]), float(rows[0]["interval high"])) == (0.612, 0.744)
    assert rows[0]["int"] == "12345"
    assert float(rows[0]["effect low"]) == -0.0412
    assert {value for name, value in rows[1].items() if name not in FLAGS} == {""}
    assert all(len(row) == len(KINDS) + 6 and None not in row for row in rows)


@given(st.lists(st.text(), min_size=2, max_size=2))
def test_any_text_survives_csv_and_never_breaks_a_line_elsewhere(texts):
    table = Table(texts[0], (Column("genre"), Column("n", "int")), ((texts[1], 7),), (texts[0],))
    written = table.to_csv()
    _, row = csv.reader(io.StringIO(written, newline=""))
    assert row == [plain(texts[1]), "7"]
    assert len(table.to_markdown().splitlines()) == 7  # title, head, rule, one row, note
    assert "\x1b" not in table.to_markdown()


HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "a | b",
    "![x](http://example.org/x.png)",
    "*bold* _it_ `code` ~~no~~ $x$ &lt;",
    "# no heading",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_names_as_they_are(text):
    lines = Table(text, (Column("genre"),), ((text,),), (text,)).to_markdown().splitlines()
    for line in (lines[0], lines[4], lines[6]):
        unescaped = line.replace("\\\\", "")
        for char in "<>[]|`*_!$&#~":
            bare = unescaped.replace(f"\\{char}", "")
            allowed = {"|": line.count("| ") and 2, "*": 4 if line is lines[0] else 0}
            assert bare.count(char) <= allowed.get(char, 0), (char, line)


@pytest.mark.parametrize(
    "text", ["[bold red]x[/]", "[link=http://example.org]x[/link]", "[/]", ":smile: a", "\\[b]"]
)
def test_a_terminal_shows_names_as_they_are(text):
    table = Table(text, (Column(text), Column("n", "int")), ((text, 3),), (text,))
    assert console_text(table).count(text) == 4


LONG = "Electro-acoustic Improvisation of the Late Twentieth Century"


NAMES = st.text(st.sampled_from("ab 電気グ\u0301\U0001f3b8\u202e\n\x1b[\u00e9"), max_size=40)


@given(names=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6), width=st.integers(45, 130))
def test_a_table_that_is_cut_has_one_line_a_row_and_fits(names, width):
    columns = Column("artist"), Column("album"), Column("sure", "percent"), Column("mark")
    rows = tuple((artist, album, 0.5, "disagrees") for artist, album in names)
    head, rule, *lines = console_text(Table("", columns, rows, cut=True), width).splitlines()[1:]
    assert len(lines) == len(rows)
    assert max(map(cell_len, [head, rule, *lines])) <= width
    assert {rule[0]} == {*rule}
    for line, (artist, _) in zip(lines, names, strict=True):
        assert line.endswith("50 %  disagrees")
        assert line.startswith(plain(artist).rstrip()) or "\u2026" in line


def test_names_are_cut_only_where_there_is_no_room():
    columns = Column("artist"), Column("sure", "percent")
    table = Table("", columns, (("電気グルーヴ" * 3, 0.5), ("ab", 1.0)), cut=True)
    wide = console_text(table, 80).splitlines()[3:]
    assert wide == [f"{'電気グルーヴ' * 3}   50 %", f"ab{' ' * 34}  100 %"]
    narrow = console_text(table, 20).splitlines()[3:]
    assert narrow == ["電気グルーヴ…   50 %", f"ab{' ' * 13}100 %"]


@pytest.mark.parametrize("width", [24, 40, 300])
@pytest.mark.parametrize("name", [LONG, "Donaudampfschifffahrtsgesellschaft"])
def test_a_narrow_terminal_folds_names_and_cuts_nothing(name, width):
    columns = Column("genre"), Column("training tracks", "int")
    lines = console_text(Table("", columns, ((name, 1_234_567),)), width).splitlines()
    body = lines[[line.startswith("─") for line in lines].index(True) + 1 :]
    assert "1,234,567" in body[0]
    assert "".join("".join(body).replace("1,234,567", "").split()) == "".join(name.split())
    assert (len(body) == 1) == (width == 300)


def test_names_and_numbers_stay_whole_where_a_table_is_wider_than_the_terminal():
    columns = (Column("genre"), *(Column(f"score {i}", "mean and sd") for i in range(9)))
    printed = console_text(Table("T", columns, (("Electronic", *[(0.5, 0.02)] * 9),)), width=40)
    assert "Electronic" in printed
    assert printed.count(".500 ± .02") == 9


def test_long_names_share_what_a_narrow_terminal_has():
    columns = Column("genre"), Column("short"), Column("album")
    lines = console_text(Table("T", columns, ((LONG, "Rock", LONG),)), width=20).splitlines()
    assert max(map(len, lines)) <= 12 + 1 + 5 + 1 + 12  # what names keep, and space
    assert sum("Rock" in line for line in lines) == 1


@given(st.data(), st.integers(34, 120), st.integers(0, 3))
def test_no_line_is_wider_than_the_terminal_and_every_cell_is_there(data, width, n_rows):
    kinds = data.draw(st.lists(st.sampled_from(list(EVERY_KIND)), min_size=1, max_size=14))
    columns = tuple(Column(f"{kind} {place}", kind) for place, kind in enumerate(kinds))
    texts = st.text("ab ", min_size=1, max_size=30).map(str.strip) | st.just("\u97f3" * 9)
    rows = tuple(
        tuple(data.draw(texts) if kind == "text" else EVERY_KIND[kind][0] for kind in kinds)
        for _ in range(n_rows)
    )
    table = Table("T", columns, rows)
    lines = console_text(table, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    printed = Counter("".join("".join(lines).split()))
    numbers = [
        cell
        for row in table.shown()
        for column, cell in zip(columns, row, strict=True)
        if column.numeric
    ]
    assert all("".join(lines).count(cell) >= numbers.count(cell) for cell in numbers)
    shown = "".join("".join([column.name for column in columns] + sum(table.shown(), [])).split())
    assert not Counter(shown) - printed


def test_what_does_not_fit_stands_below_the_columns_that_tell_rows_apart():
    columns = Column("unit"), Column("model"), *(Column(f"m{i}", "share") for i in range(12))
    rows = tuple((u, m, *[0.5] * 12) for u in ("track", "bag") for m in ("a", "b"))
    lines = console_text(Table("T", columns, rows), 30).splitlines()
    for unit, model, *_ in rows:
        assert sum(line.split()[:2] == [unit, model] for line in lines) > 1
    assert sum(line.split()[:2] == ["unit", "model"] for line in lines) > 1


def test_a_terminal_cannot_be_steered():
    evil = "a\x1b]8;;http://example.org\x07b\x9bc\u202egnp.exe\r\nd"
    printed = console_text(Table(evil, (Column(evil),), ((evil,),), (evil,)))
    assert not set(printed) & {"\x07", "\x9b", "\u202e", "\r"}
    assert "\x1b]" not in printed
    assert plain(evil) == "a\ufffd]8;;http://example.org\ufffdb\ufffdcgnp.exe  d"
    assert plain("Björk · 東京 🎸") == "Björk · 東京 🎸"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Column("n", "integer"), r"'integer'; did you mean 'int"),
        (lambda: Table("T", (Column("n"), Column("n")), ()), "columns of one name"),
        (lambda: Table("T", (Column("n"),), (("a",), ("b", "c"))), "row 1: 2 cells for 1 columns"),
    ],
)
def test_tables_that_cannot_be(make, message):
    with pytest.raises(DataError, match=message):
        make()


GENRES = ("Rock", "Folk <i>", "Jazz")


def predictions(seed, n=40, unknown=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 0, 0, 1, 2], n)
    labels[:unknown] = -1
    tracks = Tracks(np.arange(n), labels, GENRES, album_id=np.arange(n) // 2 + 1, artist_id=[1] * n)
    bags = Bags.from_tracks(tracks)
    bags = Bags(bags.track_ids, bags.offsets, bags.labels, GENRES, np.array([500, 20, 300]))
    logits = rng.normal(size=(len(bags), 3)).astype(np.float32)
    return Predictions(bags, tracks, logits)


def test_scores_stand_with_unit_and_n():
    some = predictions(0, unknown=4)
    bag, spread = score(some), score(some, unit="track_of_bag")
    rows = [("MATT", bag), ("MATT", spread), ("majority", score(majority(some)))]
    table = score_table(rows)
    first, second, control = table.to_json()["rows"]
    assert (first["model"], first["unit"], first["n"]) == ("MATT", "bag", 18)
    assert (second["unit"], second["n"]) == ("bag over tracks", 36)
    assert first["macro-F1"] == bag.macro_f1
    assert second["n tail"] == spread.n_tail > 0
    assert control["tail recall"] == 0
    notes = " ".join(table.notes)
    assert "fewer than 100 training tracks" in notes
    assert "2 (bag), 4 (bag over tracks)" in notes
    assert "under its own label, with its bag's prediction" in notes


def test_what_is_undefined_is_explained():
    none_rare = score(predictions(0), fewer_than=3)
    table = score_table([("MATT", none_rare)])
    assert table.to_json()["rows"][0]["tail recall"] is None
    assert "Tail recall is undefined where no genre is rare." in table.notes


def test_mean_and_standard_deviation_over_splits():
    splits = [score(predictions(seed, n=40 + 2 * seed)) for seed in range(4)]
    odd = score(predictions(9), fewer_than=3)  # without a tail
    table = split_table({"MATT": splits, "one": splits[:1], "odd": [*splits, odd]})
    rows = table.to_json()["rows"]
    f1 = [s.macro_f1 for s in splits]
    assert rows[0]["macro-F1"]["mean"] == pytest.approx(statistics.mean(f1))
    assert rows[0]["macro-F1"]["sd"] == pytest.approx(statistics.stdev(f1))
    assert "4 splits of 20 to 23 items: MATT." in table.notes
    assert rows[1]["accuracy"] == {"mean": splits[0].accuracy, "sd": None}
    assert "1 split of 20 items: one." in table.notes
    assert rows[2]["tail recall"]["mean"] == pytest.approx(rows[0]["tail recall"]["mean"])
    assert "odd: tail recall is of 4 of 5 splits." in table.notes


def test_differences_are_paired_by_split():
    ours, control = (
        [score(predictions(seed)) for seed in seeds] for seeds in ((0, 1, 2), (3, 4, 5))
    )
    table = split_table({"control": control, "ours": ours}, against="control")
    first, second = (row["macro-F1 less control"] for row in table.to_json()["rows"])
    assert first is None
    pairs = [a.macro_f1 - b.macro_f1 for a, b in zip(ours, control, strict=True)]
    interval = ttest_1samp(pairs, 0).confidence_interval()
    assert second["difference"] == pytest.approx(statistics.mean(pairs))
    assert second["half width"] == pytest.approx((interval.high - interval.low) / 2)


def test_genres_from_common_to_rare():
    scores = score(predictions(2), unit="track_of_bag")
    table = genre_table(scores)
    assert table.title == "By genre (40 items, unit: bag over tracks)"
    rows = table.to_json()["rows"]
    assert [row["genre"] for row in rows] == ["Rock", "Jazz", "Folk <i>"]
    assert [row["tail"] for row in rows] == [False, False, True]
    assert sum(row["n"] for row in rows) == 40 == sum(row["predicted"] for row in rows)
    for row, g in zip(rows, (0, 2, 1), strict=True):
        low, high = wilson(scores.confusion[g, g], scores.confusion[g].sum())
        assert row["95 % of recall"] == {"low": low, "high": high}
        assert low <= row["recall"] <= high
    assert "true intervals are wider" in table.notes[-1]
    assert html.escape("Folk <i>") not in table.to_csv()  # CSV is not HTML


def test_scores_of_genres_fit_an_ordinary_terminal(monkeypatch):
    monkeypatch.setitem(globals(), "GENRES", ("Electronica", "Folk", "Jazz"))
    table = genre_table(score(predictions(2), unit="track_of_bag"))
    lines = console_text(table, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("Electronica "))
    assert row.split() == [cell for cell in table.shown()[0] if cell]


def test_genres_of_several_labels_have_what_is_given_to_them():
    labels = np.array([[1, 1, 0], [0, 0, 1]], bool)
    tracks = Tracks([4, 5], labels, GENRES)
    several = Predictions(
        Bags.from_tracks(tracks, by="track"), tracks, np.eye(2, 3, dtype=np.float32), "sigmoid"
    )
    row = genre_table(score(several)).to_json()["rows"][0]
    assert (row["recall"], row["n"]) == (1, 1)
    assert row["AP"] == 1
