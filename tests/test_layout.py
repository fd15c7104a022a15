"""How a CSV is written is seen from its bytes, or asked by name where they do not tell."""

import csv
import io
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
        ("\u97f3\u697d", "cp932", r"\u97f3\u697d in 'cp932'"),
    ],
)
def test_other_bytes_are_asked_for_with_what_they_may_say(tmp_path, name, encoding, expected):
    content = text_of([(name, 0.25), ("Bob", 0.5)]).encode(encoding)
    with pytest.raises(DataError, match=expected) as caught:
        load(tmp_path, content)
    assert "encoding = " in str(caught.value)
    loaded = load(tmp_path, content, TOML + f'encoding = "{encoding}"\n')
    assert loaded.tracks.columns["artist"][0] == name


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
