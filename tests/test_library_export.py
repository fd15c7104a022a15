"""The schema of docs/library/predict.md, and files that hold what rows say."""

import csv
import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, ConfigError, DataError, Predictions, Tracks
from matt.library.albums import album_rows, in_order, track_rows, tracks_table
from matt.library.export import SCHEMAS, _visible, write_rows

DOCS = Path(__file__).parents[1] / "docs" / "library" / "predict.md"


def rows(*, top=3, year=(1999, 1999, -1), bar=None):
    tracks = Tracks(
        [1, 2, 3], [0, 0, -1], ("Folk", "Jazz", "Rock"), artist_id=[1, 1, 2], album_id=[1, 1, 2],
        path=["/m/a/1.mp3", "/m/a/2.mp3", "/m/ü/=3.mp3"],
        columns={
            "title": ["one", "two", "ü"], "artist": ["Ann", "Ann feat. Bob", "-1\x1b"],
            "album_artist": ["Ann", "Ann", ""], "album": ["A", "A", "=1+1"],
            "genre_tags": ["Folk; Jazz", "Folk", ""], "year": np.array(year),
        },
    )  # fmt: skip
    logits = np.array([[0, 3, 0], [0, 0, 1]], np.float32)
    alone = np.array([[2, 0, 0], [0, 0.1, 0], [0, 0, 1]], np.float32)
    bags, lone = Bags.from_tracks(tracks), Bags.from_tracks(tracks, by="track")
    return album_rows(
        Predictions(bags, tracks, logits), alone=Predictions(lone, tracks, alone), top=top, bar=bar
    )


def documented(level):
    """Columns and types of a level, as the page promises them."""
    text = DOCS.read_text(encoding="utf-8")
    table = text.split(f"<!-- columns of {level} -->")[1].split("\n\n")[1]
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", table, re.MULTILINE))


@pytest.mark.parametrize("level", ["album", "track"])
def test_the_columns_are_those_that_the_page_promises(level, tmp_path):
    told = rows() if level == "album" else list(track_rows(rows()))
    write_rows(tmp_path / "a.parquet", told, level=level)
    schema = pq.read_schema(tmp_path / "a.parquet")
    names = {"text": "string", "flag": "bool", "number": "double", "whole": "int64"}
    wanted = {name: names[kind] for name, kind in documented(level).items()}
    likely = {}
    for place in (1, 2, 3):
        likely |= {f"top_{place}": "string", f"top_probability_{place}": "double"}
    assert {field.name: str(field.type) for field in schema} == wanted | likely
    assert json.loads(schema.metadata[b"matt"])["schema"] == SCHEMAS[level]
    assert SCHEMAS[level] in DOCS.read_text(encoding="utf-8")


@given(st.text())
def test_what_steers_is_written_out_and_all_else_is_kept(text):
    steering = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn")}
    shown = _visible(text)
    assert not any(unicodedata.category(c).startswith("C") for c in shown)
    for char in steering:
        text = text.replace(char, char.encode("unicode_escape").decode())
    assert shown == text


def test_rows_of_tracks_need_tracks_that_were_asked_alone():
    told = [{**row, "tracks": [{"title": "one", "genre": None}]} for row in rows()]
    with pytest.raises(ConfigError, match=r"'one' by itself.*predict with alone=True"):
        list(track_rows(told))


def test_types_do_not_depend_on_what_there_is(tmp_path):
    write_rows(tmp_path / "none.parquet", [])
    write_rows(tmp_path / "some.parquet", rows())
    none, some = (pq.read_schema(tmp_path / f"{name}.parquet") for name in ("none", "some"))
    assert not any(pa.types.is_null(field.type) for field in [*none, *some])
    assert all(some.field(field.name).type == field.type for field in none)


def test_csv_and_parquet_say_what_the_rows_say(tmp_path):
    told = rows(top=2)
    write_rows(tmp_path / "a.parquet", told)
    write_rows(tmp_path / "a.csv", told)
    first, second = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert (first["artist"], first["album"], first["year"]) == ("Ann", "A", 1999)
    assert (first["genre"], first["status"], first["tagged"]) == ("Jazz", "agrees", "Folk; Jazz")
    assert first["track_ids"] == "1 2"
    assert first["top_1"] == "Jazz"
    assert "top_3" not in first
    assert (second["year"], second["in_training"], second["status"]) == (None, None, "new")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [*lines[0]] == [*first]
    assert lines[1]["artist"] == "'-1\\x1b"  # no formula, and nothing that steers
    assert lines[1]["album"] == "'=1+1"
    assert float(lines[1]["probability"]) == second["probability"]


def test_a_track_has_its_own_genre_and_that_of_its_album():
    one, two, three = track_rows(rows())
    assert [track["genre"] for track in (one, two, three)] == ["Folk", "Jazz", "Rock"]
    assert {track["album_genre"] for track in (one, two)} == {"Jazz"}
    assert (one["artist"], two["artist"]) == ("Ann", "Ann feat. Bob")
    assert [track["status"] for track in (one, two, three)] == ["agrees", "unsure", "new"]
    assert two["genre_path"] == ["Jazz"]
    # Below a bar that somebody set no genre is given, to tracks as to albums.
    assert [t["genre"] for t in track_rows(rows(bar=0.5), bar=0.5)] == ["Folk", None, "Rock"]
    assert tracks_table(in_order([one, two, three])).shown()[0][:2] == ["-1\ufffd", "ü"]


def test_a_mark_is_written_for_spreadsheets_alone(tmp_path):
    write_rows(tmp_path / "a.csv", rows(), bom=True)
    assert (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbfartist,")
    with pytest.raises(ConfigError, match=r"a byte order mark is for \.csv"):
        write_rows(tmp_path / "a.json", rows(), bom=True)


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"level is 'albums'; did you mean 'album'"):
        write_rows(tmp_path / "a.csv", rows(), level="albums")
    with pytest.raises(DataError, match=r"must end in \.json, \.csv, \.parquet"):
        write_rows(tmp_path / "a", rows())


def test_rows_come_in_the_order_of_what_there_is_to_do():
    told = [
        {"status": s, "probability": p, "artist": a, "album": "", "path": ""}
        for s, p, a in [("agrees", 1, "a"), ("new", 0.2, "b"), ("new", 0.9, "c"), ("disagrees", 1, ""),
                        ("unsure", 0.5, None), ("new", 0.9, "B")]
    ]  # fmt: skip
    found = [(row["status"], row["artist"]) for row in in_order(told)]
    assert found == [("new", "B"), ("new", "c"), ("new", "b"), ("disagrees", ""), ("unsure", None), ("agrees", "a")]  # fmt: skip
