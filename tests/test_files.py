import os

import numpy as np
import pyarrow as pa
import pytest

from matt import DataError
from matt.files import (
    as_array,
    read_json,
    read_parquet,
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


def test_equal_content_is_equal_bytes(tmp_path):
    for name in "ab":
        write_parquet(tmp_path / name, {"id": np.arange(5)}, schema="test/1")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_schema_is_refused(tmp_path):
    write_parquet(tmp_path / "a", {"id": np.arange(5)}, schema="test/1")
    with pytest.raises(DataError, match="holds 'test/1', expected 'test/2'"):
        read_parquet(tmp_path / "a", schema="test/2")
    pa.parquet.write_table(pa.table({"x": [1]}), tmp_path / "b")
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
