"""How a CSV is written is seen from its bytes, or asked by name where they do not tell."""

import csv
import gzip
import io
import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matt import ConfigError, DataError
from matt.datasets import table
from matt.datasets.layout import Layout, recognised

NAMES = (
    "K\u00fcnstler",
    "\u0141\u00f3d\u017a",
    "\u041c\u0443\u0437\u044b\u043a\u0430",
    "\u97f3\u697d",
    "Ann; B, C|D\tE",
    'say "x"',
)
OPTIONS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
TOML = 'table = "t.csv"\ngenre = "genre"\nfeatures = "f_*"\n'


def text_of(rows, delimiter=",", decimal=".", end="\n"):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(["track_id", "artist", "genre", "f_a", "f_b"])
    for i, (name, value) in enumerate(rows):
        number = f"{value:.4f}".replace(".", decimal)  # three digits could be thousands
        writer.writerow([i + 1, name, ("Rock", "Jazz")[i % 2], number, i])
    return out.getvalue()


def load(folder, content, toml=TOML):
    (folder / "t.csv").write_bytes(content)
    (folder / "t.toml").write_text(toml)
    return table.load(folder / "t.toml")


ROWS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(-9999, 9999).map(lambda n: n / 1000)),
    min_size=2,
    max_size=9,
)


@settings(max_examples=60, **OPTIONS)
@given(
    ROWS,
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([".", ","]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_a_file_says_itself_how_it_is_written(
    tmp_path, rows, delimiter, decimal, encoding, end, said
):
    decimal = "." if delimiter == "," else decimal
    text = (f"sep={delimiter}{end}" if said else "") + text_of(rows, delimiter, decimal, end)
    loaded = load(tmp_path, text.encode(encoding), TOML + "merge = false\n")
    assert loaded.tracks.columns["artist"].tolist() == [name.strip() for name, _ in rows]
    values, _ = loaded.features.read(loaded.tracks.track_id)
    expected = np.array([[value, i] for i, (_, value) in enumerate(rows)], "f4")
    np.testing.assert_array_equal(values, expected)


@settings(max_examples=30, **OPTIONS)
@given(ROWS)
def test_what_is_said_is_not_looked_for(tmp_path, rows):
    path = tmp_path / "t.csv"
    path.write_text(text_of(rows, ";"), encoding="utf-8")
    given_ = Layout(delimiter="|", decimal=",", encoding="latin-1")
    found, notes = recognised(path, given_)
    assert (found.delimiter, found.decimal, found.encoding) == ("|", ",", "latin-1")
    assert notes == ()


def test_what_was_found_is_told(tmp_path):
    text = text_of([("Ann", 0.25), ("Bob", 0.5)], ";", ",")
    loaded = load(tmp_path, text.encode("utf-16"))
    assert loaded.notes[0] == (
        "t.csv is read with encoding = 'utf-16', delimiter = ';', decimal = ','"
    )
    with pytest.raises(DataError, match=r"line 2: f_a is '0,2500'.* say decimal = ','"):
        load(tmp_path, text.encode(), TOML + 'delimiter = ";"\ndecimal = "."\n')


@pytest.mark.parametrize(
    ("name", "encoding", "expected"),
    [
        ("K\u00fcnstler", "cp1252", r"say encoding = 'cp1252', in which it says K\u00fcnstler"),
        ("\u041c\u0443\u0437\u044b\u043a\u0430", "cp1251", r"'cp1251'"),
        (
            "\u0141\u00f3d\u017a",
            "iso8859-2",
            r"do not tell in what.*\u0141\u00f3d\u017a in 'iso8859-2'",
        ),
        ("\u97f3\u697d", "cp932", r"'cp932', in which it says \u97f3\u697d"),
    ],
)
def test_other_bytes_are_asked_for_with_what_they_may_say(tmp_path, name, encoding, expected):
    content = text_of([(name, 0.25), ("Bob", 0.5)]).encode(encoding)
    with pytest.raises(DataError, match=expected) as caught:
        load(tmp_path, content)
    assert "encoding = " in str(caught.value)
    loaded = load(tmp_path, content, TOML + f'encoding = "{encoding}"\n')
    assert loaded.tracks.columns["artist"][0] == name


# Names in some scripts, and the encodings that they are met in.
SCRIPTS = {
    ("cp1252",): ["K\u00fcnstler", "Beyonc\u00e9", "Sigur R\u00f3s", "Fran\u00e7ois", "Bj\u00f6rk", "Se\u00f1or", "MOT\u00d6RHEAD"],
    ("cp1250", "iso8859-2"): ["\u0141\u00f3d\u017a", "Dvo\u0159\u00e1k", "\u0160koda", "Jan\u00e1\u010dek", "Bart\u00f3k B\u00e9la", "Przyby\u0142o"],
    ("cp1251", "koi8-r"): ["\u041c\u0443\u0437\u044b\u043a\u0430", "\u0410\u043b\u043b\u0430 \u041f\u0443\u0433\u0430\u0447\u0451\u0432\u0430", "\u0417\u0435\u043c\u0444\u0438\u0440\u0430", "\u0426\u043e\u0439", "\u0411\u0440\u0430\u0432\u043e"],
    ("cp1253",): ["\u039c\u03bf\u03c5\u03c3\u03b9\u03ba\u03ae", "\u0386\u03bd\u03bd\u03b1 \u0392\u03af\u03c3\u03c3\u03b7", "\u039d\u03b1\u03bd\u03ac"],
    ("cp932", "euc-jp"): ["\u5b87\u591a\u7530\u30d2\u30ab\u30eb", "\u3055\u304f\u3089", "\u97f3\u697d\u306e\u6642\u9593", "\u4e2d\u5cf6\u307f\u3086\u304d", "\u30b5\u30ab\u30ca\u30af\u30b7\u30e7\u30f3"],
    ("gb18030",): ["\u5468\u6770\u4f26", "\u738b\u83f2", "\u9093\u4e3d\u541b", "\u9648\u5955\u8fc5", "\u97f3\u4e50", "\u5218\u5fb7\u534e"],
    ("cp949",): ["\ubc29\ud0c4\uc18c\ub144\ub2e8", "\uc544\uc774\uc720", "\uc870\uc6a9\ud544", "\uc74c\uc545", "\uc774\ubb38\uc138"],
    ("big5",): ["\u5468\u6770\u502b", "\u738b\u83f2", "\u9127\u9e97\u541b", "\u9673\u5955\u8fc5", "\u5289\u5fb7\u83ef"],
}  # fmt: skip
FOUND = [(encoding, names) for encodings, names in SCRIPTS.items() for encoding in encodings]


@settings(max_examples=40, **OPTIONS)
@given(st.sampled_from(FOUND), st.randoms(use_true_random=False))
def test_the_encoding_that_is_named_first_reads_right(tmp_path, found, random):
    encoding, names = found
    shown = random.sample(names, len(names))
    content = text_of([(name, 0.25) for name in shown]).encode(encoding)
    with pytest.raises(DataError, match="is not written in utf-8") as caught:
        load(tmp_path, content)
    named = re.search("say encoding = '([^']+)'", str(caught.value))[1]
    assert content.decode(named) == content.decode(encoding)


WRONG = {
    "another delimiter": ("1;Ann;Rock;1.5", 'delimiter = ","', r"t\.csv: delimiter = ',' parts.*say delimiter = ';'"),
    "no delimiter": ("1;Ann;Rock;1.5", 'delimiter = "x"', r"t\.csv: delimiter = 'x' parts.*say delimiter = ';'"),
    "a quote": ("1;Ann;Rock;1.5", "delimiter = '\"'", r"t\.toml: delimiter is '\"'; use one character"),
    "two decimal signs": ("1;Ann;Rock;1,5\n2;Bob;Jazz;2.5", "", r"line 3: f_a is '2\.5'.*write them alike"),
    "a point": ("1;Ann;Rock;1.5\n2;Bob;Jazz;2.5", 'decimal = ","', r"line 2: f_a is '1\.5'.*say decimal = '\.'"),
    "thousands": ("1;Ann;Rock;1.234,5\n2;Bob;Jazz;2,5", "", r"line 2: f_a is '1\.234,5'.*thousands"),
    "skip": ("1;Ann;Rock;1.5", "skip = 2", r"t\.csv has 0 rows below the 2 lines.*say a smaller skip"),
    "a large skip": ("1;Ann;Rock;1.5", "skip = 1000000000000", r"t\.csv has 0 rows.*say a smaller skip"),
    "header_rows": ("1;Ann;Rock;1.5", "header_rows = 9", r"t\.csv has 2 rows.*check header_rows"),
    "too large": ("1;Ann;Rock;1e300", "", r"first: 1; f_a is 1e\+300, and 32 bits hold no more than 3\.4e\+38"),
    "infinite": ("1;Ann;Rock;inf", "", r"first: 1; f_a is inf\);"),
    "missing": ("1;Ann;Rock;", "", r"first: 1; f_a is empty\);"),
    "min_tracks": ("1;Ann;Rock;1\n2;Bob;Rock;1", "min_tracks = 3", r"t\.toml: min_tracks = 3, but.*'Rock', has 2 tracks"),
    "digits": ("1;Ann;Rock;1", "min_tracks = " + "9" * 5000, r"t\.toml .*4,300 digits \(at line 4\)"),
    "depth": ("1;Ann;Rock;1", "skip = [\n" + "[" * 5000 + "]" * 5000 + "]", r"t\.toml .*too deep.*line 5"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "toml", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_place_and_remedy(tmp_path, rows, toml, message):
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        load(tmp_path, f"track_id;artist;genre;f_a\n{rows}\n".encode(), f"{TOML}{toml}\n")
    assert "\n" not in str(caught.value)
    assert "sys." not in str(caught.value)


@given(st.text("0123456789", min_size=17, max_size=5000))
@settings(max_examples=20, **OPTIONS)
def test_ids_of_any_number_of_digits_are_ids(tmp_path, digits):
    rows = f"track_id,artist,genre,f_a\n{digits},{digits},Rock,1\nb{digits},2,Rock,1\n"
    loaded = load(tmp_path, rows.encode())
    assert len(set(loaded.tracks.track_id)) == len(set(loaded.tracks.artist_id)) == 2


def test_thousands_are_not_taken_for_decimals(tmp_path):
    rows = "track_id;genre;f_a\n1;Rock;1,234\n2;Jazz;5,678\n"
    with pytest.raises(DataError, match=r"line 2: f_a is '1,234'.*decimal = ','"):
        load(tmp_path, rows.encode())


def test_a_delimiter_inside_of_cells_parts_nothing(tmp_path):
    rows = 'track_id,artist,genre,f_a\n1,"A; B",Rock,1\n2,C; D,Jazz,2\n'
    loaded = load(tmp_path, rows.encode(), TOML + "merge = false\n")
    assert loaded.tracks.columns["artist"].tolist() == ["A; B", "C; D"]


def test_one_column_is_one_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("name\nA; B\nC\n")
    assert recognised(path, Layout())[0].delimiter == ","


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ",", "decimal": ","}, "delimiter and decimal are both ','"),
        ({"encoding": "utf-9"}, "'utf-9', which is unknown"),
        ({"skip": -1}, "skip"),
    ],
)
def test_a_wrong_layout_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Layout(**options)


@settings(max_examples=60, **OPTIONS)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    with suppress(ConfigError, DataError):
        load(tmp_path, content)


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: b"PK\x03\x04" + content])
def test_what_is_no_text_is_told_by_its_bytes(tmp_path, pack):
    with pytest.raises(DataError, match=r"t\.csv is .*; .*unpack it"):
        load(tmp_path, pack(b"track_id,genre,f_a\n1,Rock,2\n"))


HEADING, ROW = "track_id,artist,genre,f_a", "1,Ann,Rock,2"
ELSEWHERE = {
    "another sign": (f"{HEADING}\n{ROW}\n".replace(",", "^"), r"t\.csv has it in line 1: say delimiter = '\^'"),
    "a title": (f"My table\n\n{HEADING}\n{ROW}\n", r"t\.csv has it in line 3: say skip = 2"),
    "a title and a sign": (f"My table\n{HEADING}\n{ROW}\n".replace(",", "~"), r"line 2: say skip = 1, delimiter = '~'"),
    "capitals": (f"{HEADING.upper()}\n{ROW}\n", r"did you mean 'GENRE'\?"),
    "nowhere": (f"{HEADING}\n{ROW}\n".replace("genre", "style"), "known: artist, f_a, style, track_id"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_where_a_missing_column_may_be(tmp_path, text, message):
    with pytest.raises(ConfigError, match=rf"genre = 'genre', but t\.csv has no such column; .*{message}"):  # fmt: skip
        load(tmp_path, text.encode())
    for said in re.findall(r"(?:skip|delimiter) = [^\s,]+", message.replace("\\", "")):
        with suppress(ConfigError):  # one of two settings, which alone does not do
            assert load(tmp_path, text.encode(), f"{TOML}{said}\n").tracks.genres == ("Rock",)


def test_patterns_of_features_are_looked_for_too(tmp_path):
    toml = 'table = "t.csv"\nfeatures = "f_*"\n'
    with pytest.raises(ConfigError, match=r"features = 'f_\*' matches no column.*say skip = 1"):
        load(tmp_path, f"My table\n{HEADING}\n{ROW}\n".encode(), toml)
    with pytest.raises(ConfigError, match=r"features = 'art\*' matches 'artist' alone, which is the artist"):  # fmt: skip
        load(tmp_path, f"{HEADING}\n{ROW}\n".encode(), toml.replace("f_*", "art*"))


def test_names_of_rows_as_r_writes_them(tmp_path):
    text = f'{HEADING}\n"1",{ROW}\n"2",{ROW}\n'
    with pytest.raises(DataError, match=r"its rows have 5 cells, the heading 4, as R .*row\.names"):
        load(tmp_path, text.encode())
    with pytest.raises(DataError, match=r"line 2 has 5 cells.*needs quotes"):
        load(tmp_path, f"{text}{ROW}\n".encode())


def test_a_feature_without_values_is_named(tmp_path):
    text = f"{HEADING},f_b\n{ROW},\n2,Bob,Rock,3,\n"
    with pytest.raises(DataError, match=r"2 of 2 tracks hold.*sound nowhere: f_b$"):
        load(tmp_path, text.encode())
    with pytest.raises(DataError, match=r"correct them$"):
        load(tmp_path, f"{HEADING},f_b\n{ROW},\n2,Bob,Rock,,3\n".encode())
