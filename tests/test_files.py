import bz2
import gzip
import io
import json
import lzma
import os
import re
import subprocess
import sys
import zipfile
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from matt import ConfigError, DataError, files
from matt.files import (
    as_array,
    as_arrow,
    not_text,
    read_arrays,
    read_json,
    read_parquet,
    read_toml,
    remove_leftovers,
    replacing,
    write_json,
    write_parquet,
)


def test_what_fails_half_way_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def write_and_fail():
        with replacing(file) as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_parquet_keeps_columns_schema_and_notes(tmp_path):
    file = tmp_path / "deep" / "a.parquet"
    columns = {"id": np.arange(3), "name": np.array(["a", "\u00e9", ""]), "v": [[1.0, 2.0]] * 3}
    write_parquet(file, columns, schema="test/1", note=[1, 2])
    table, meta = read_parquet(file, schema="test/1")
    assert meta == {"schema": "test/1", "note": [1, 2]}
    for name, column in columns.items():
        np.testing.assert_array_equal(as_array(table[name]), column)


CELLS = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-5, 2**64 + 5),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.none() | st.integers(0, 9),
    st.none() | st.text(max_size=3),
    st.lists(st.text(max_size=3), max_size=3),
]
TYPES = ["?", "i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8", "U3", ">i4", "M8[s]"]


def made(make, column):
    """Type and cells of what a function makes of a column, or which error it is."""
    try:
        array = make(column)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        return type(error), ""
    array.validate(full=True)
    return array.type, repr(array.to_pylist())  # in which NaN is NaN


@given(st.one_of(st.lists(cell, max_size=9) for cell in CELLS))
def test_lists_become_the_columns_that_arrow_makes_of_them(column):
    assert made(as_arrow, column) == made(pa.array, column)


@given(st.sampled_from(TYPES), st.integers(0, 70), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_arrays_become_the_columns_that_arrow_makes_of_them(dtype, n, step, seed):
    column = np.random.default_rng(seed).integers(0, 128, n * step).astype(dtype)[::step]
    assert made(as_arrow, column) == made(pa.array, column)


@given(st.lists(st.text(max_size=5), max_size=5))
def test_texts_of_numpy_are_kept_whole(texts):
    """What numpy itself does not keep, a NUL at the end, aside."""
    array = np.array(texts, dtype=np.str_)
    assert as_arrow(array).to_pylist() == array.tolist()


def test_to_write_and_read_a_table_pandas_is_not_imported(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from matt.files import read_parquet, write_parquet\n"
        "columns = {'i': np.arange(2), 'b': np.arange(2) > 0, 's': ['a', 'b'], 'p': [b'a', b'']}\n"
        "write_parquet(sys.argv[1], columns, schema='any/1')\n"
        "assert len(read_parquet(sys.argv[1], schema='any/1', rows=('i', 1))[0]) == 1\n"
        "print('pandas' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.parquet"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "False\n"


def test_equal_content_is_equal_bytes(tmp_path):
    for name in "ab":
        write_parquet(tmp_path / name, {"id": np.arange(5)}, schema="test/1")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_schema_is_refused(tmp_path):
    write_parquet(tmp_path / "a", {"id": np.arange(5)}, schema="test/1")
    with pytest.raises(DataError, match="holds 'test/1', expected 'test/2'"):
        read_parquet(tmp_path / "a", schema="test/2")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "b")
    with pytest.raises(DataError, match="holds 'an unknown table'"):
        read_parquet(tmp_path / "b", schema="test/2")


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read_json(tmp_path / "b.json")


def test_what_a_killed_process_left_is_removed_a_day_later_and_nothing_else(tmp_path):
    with replacing(tmp_path / "a.npy") as temporary:
        names = [
            temporary.name,
            temporary.name.replace("a", "b", 1),
            ".hidden.txt",
            "a.0123456789ab.npy",
        ]
        temporary.touch()
    for name in names:
        (tmp_path / name).touch()
        if name != names[1]:
            os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a.npy", *names[1:]}


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"9" * 5000, b"", b"\x00"])
@pytest.mark.parametrize(
    ("reader", "kind"), [(read_json, "JSON"), (read_toml, "TOML")], ids=["json", "toml"]
)
def test_what_is_no_json_and_no_toml_is_told(tmp_path, reader, kind, text):
    file = tmp_path / "a"
    file.write_bytes(b"a = " + text if reader is read_toml else text)
    error = DataError if reader is read_json else ConfigError
    with pytest.raises(error, match=rf"a is not {kind}.*; (restore it|correct that line)"):
        reader(file)


@pytest.mark.parametrize(
    ("reader", "text", "error"),
    [(read_json, '{"k": "\u00e9"}\n', DataError), (read_toml, "k = '\u00e9'\n", ConfigError)],
    ids=["json", "toml"],
)
def test_text_is_read_with_a_mark_and_told_in_other_encodings(tmp_path, reader, text, error):
    file = tmp_path / "a"
    file.write_bytes(text.encode("utf-8-sig"))
    assert reader(file) == {"k": "\u00e9"}
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        file.write_bytes(text.encode(encoding))
        with pytest.raises(error, match=r"a is written in UTF-16 or UTF-32; save it as UTF-8"):
            reader(file)
    file.write_bytes(b"\n\n" + text.encode("cp1252"))
    with pytest.raises(error, match=r"a is not written in UTF-8 \(at line 3\); save it as UTF-8"):
        reader(file)


def _zipped(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "text")
    return file.getvalue()


PARQUET = io.BytesIO()
pq.write_table(pa.table({"x": [1]}), PARQUET)
NO_TEXTS = {
    "xlsx": (_zipped("[Content_Types].xml"), "Excel.*as CSV"),
    "ods": (_zipped("mimetype"), "OpenDocument.*as CSV"),
    "zip": (_zipped("tracks.csv"), "ZIP archive.*unpack"),
    "gzip": (gzip.compress(b"a,b"), r"gzip.*\.gz"),
    "bz2": (bz2.compress(b"a,b"), r"bzip2.*\.bz2"),
    "xz": (lzma.compress(b"a,b"), "archive; unpack"),
    "zstd": (pa.compress(b"a,b", "zstd", asbytes=True), r"zstd.*\.zst"),
    "parquet": (PARQUET.getvalue(), r"Parquet.*\.parquet"),
    "html": (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html>", "web page"),
}


@pytest.mark.parametrize(("content", "told"), NO_TEXTS.values(), ids=NO_TEXTS)
def test_first_bytes_tell_what_is_no_text(tmp_path, content, told):
    assert re.search(told, not_text(content))
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"a\.toml is .*{told}"):
        read_toml(tmp_path / "a.toml")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50))
def test_text_is_text(text):
    assert not not_text(f"track_id,{text}".encode())


@pytest.mark.parametrize("parts", [33, 50_000])
@pytest.mark.parametrize("part", ["a", "'a b'", '"a"'])
@pytest.mark.parametrize("line", ["{}=1", "x=1\n[{}]", "x={{ {}=1 }}", "[[ {}]]", "y.{} = 2"])
def test_toml_whose_keys_have_too_many_parts_is_not_parsed(tmp_path, parts, part, line):
    """tomllib takes memory by the square of their number: 10 GB for the longer one."""
    file = tmp_path / "a.toml"
    file.write_text(line.format(" . ".join([part] * parts)))
    with pytest.raises(ConfigError, match=r"a key of more than 32 parts \(at line \d\)"):
        read_toml(file)


@given(keys=st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True), min_size=1, max_size=9))
def test_toml_of_dots_in_texts_and_numbers_is_read(tmp_path_factory, keys):
    file = tmp_path_factory.mktemp("toml") / "a.toml"
    text = {"what": "Well ... " * 50, "numbers": [0.5] * 100}
    file.write_text(f"[{'.'.join(keys)}]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in text.items()))  # fmt: skip
    found = read_toml(file)
    for key in keys:
        found = found[key]
    assert found == text


@pytest.mark.parametrize(("reader", "error"), [(read_json, DataError), (read_toml, ConfigError)])
def test_a_file_that_is_too_large_is_not_parsed(tmp_path, reader, error, monkeypatch):
    (tmp_path / "a").write_text("[1]\n" if reader is read_json else "[a]\n")
    if reader is read_json:
        assert read_json(tmp_path / "a", most=4) == [1]
        with pytest.raises(error, match="more than 3 bytes"):
            read_json(tmp_path / "a", most=3)
        return
    monkeypatch.setattr(files, "_MOST_TOML", 3)
    with pytest.raises(error, match="more than 3 bytes"):
        read_toml(tmp_path / "a")


def test_a_table_that_swells_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_SWOLLEN", (10_000, 20))
    write_parquet(tmp_path / "zeros.parquet", {"x": np.zeros(10**5, np.int8)}, schema="test/1")
    with pytest.raises(DataError, match=r"100,000 values in so small a file"):
        read_parquet(tmp_path / "zeros.parquet", schema="test/1")
    rng = np.random.default_rng(0)
    write_parquet(tmp_path / "noise.parquet", {"x": rng.random(10**5)}, schema="test/1")
    assert len(read_parquet(tmp_path / "noise.parquet", schema="test/1")[0]) == 10**5


@pytest.mark.parametrize(
    ("reader", "error"),
    [
        (read_json, DataError),
        (read_toml, ConfigError),
        (lambda file: read_parquet(file, schema="test/1"), DataError),
        (lambda file: read_arrays(file, remedy="make it again"), DataError),
    ],
    ids=["json", "toml", "parquet", "arrays"],
)
def test_what_is_no_file_is_told(tmp_path, reader, error):
    with pytest.raises(error, match=r"nowhere does not exist; check the path"):
        reader(tmp_path / "nowhere")
    with pytest.raises(error, match=rf"{tmp_path.name}.*; (check it|make it again)"):
        reader(tmp_path)


@given(cut=st.floats(0, 1), flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255))))
def test_damaged_parquet_and_arrays_raise_nothing_but_ours(tmp_path_factory, cut, flips):
    folder = tmp_path_factory.mktemp("damaged")
    text = np.array(["Bänd", "", "Ünd"] * 7)
    columns = {"id": np.arange(21), "name": text, "values": [[1.0, 2.0]] * 21}
    write_parquet(folder / "a.parquet", columns, schema="test/1", genres=["Folk"])
    save_file({"w": np.eye(3)}, folder / "a.safetensors", metadata={"matt": '{"epoch": 3}'})
    for file, reader in [
        (folder / "a.parquet", lambda file: read_parquet(file, schema="test/1", rows=("id", 5))),
        (folder / "a.parquet", lambda file: read_parquet(file, schema="test/1")),
        (folder / "a.safetensors", lambda file: read_arrays(file, remedy="train again")),
    ]:
        data = bytearray(file.read_bytes())
        for place, mask in flips:
            data[int(place * (len(data) - 1))] ^= mask
        damaged = folder / f"b{file.suffix}"
        damaged.write_bytes(data[: round(cut * len(data))])
        with suppress(DataError):  # a flip of a value cannot be seen
            found, note = reader(damaged)
            assert isinstance(note, dict | None)
            if file.suffix == ".parquet":
                found.to_pylist()


def test_arrays_come_back_with_their_note(tmp_path):
    weights = {"w": np.arange(15, dtype=np.float32).reshape(3, 5), "n": np.array(7)}
    save_file(weights, tmp_path / "a", metadata={"matt": '{"epoch": 3}'})
    arrays, note = read_arrays(tmp_path / "a", remedy="train again")
    assert note == {"epoch": 3}
    assert arrays.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(arrays[name], array)


@given(st.lists(st.lists(st.booleans(), max_size=19), max_size=4), st.integers(0, 9))
def test_booleans_are_unpacked_wherever_a_chunk_begins(chunks, start):
    column = pa.chunked_array([pa.array(chunk, pa.bool_())[start:] for chunk in chunks], pa.bool_())
    found = as_array(column)
    assert found.tolist() == column.to_pylist()
    assert found.dtype == bool
