import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from matt import Bags, DataError, Predictions, Tracks
from matt.calibration.costs import costs_of
from matt.library.albums import album_rows, albums_table, decided_table, telling_bags
from matt.library.export import write_rows
from matt.predictions import Decision

GENRES = ("Folk", "Jazz", "Rock")


def predictions(logits, *, labels=(0, 0, 0, 2, 2, 2, 1), titles=None, train_counts=(9, 1, 5)):
    """Albums of three, three and one track; every track of an album says the same."""
    albums = np.array([1, 1, 1, 2, 2, 2, 3])
    tracks = Tracks(
        np.arange(7) + 10, np.array(labels), GENRES, artist_id=albums, album_id=albums,
        path=[f"m/{album}/{i}.mp3" for i, album in enumerate(albums)],
        columns={
            "title": np.array(titles or [f"t{i}" for i in range(7)]),
            "artist": albums.astype(str),
            "album": np.array(["=1+1", "=1+1", "=1+1", "b", "b", "b", "c"]),
        },
    )  # fmt: skip
    bags = Bags.from_tracks(tracks)
    bags = Bags(bags.track_ids, bags.offsets, bags.labels, GENRES, np.array(train_counts))
    logits = np.array(logits, np.float32)
    share = (1 / np.repeat(bags.sizes, bags.sizes))[:, None].astype(np.float32)
    return Predictions(
        bags, tracks, logits, segment_offsets=np.arange(8), attention=share,
        segment_logits=np.repeat(logits, bags.sizes, axis=0),
    )  # fmt: skip


RIGHT = [[2, 0, 0], [0, 0, 5], [0, 1, 0]]


def test_a_row_names_album_genre_and_all_tracks():
    rows = album_rows(predictions(RIGHT), top=2)
    assert [row["genre"] for row in rows] == ["Folk", "Rock", "Jazz"]
    assert [row["tagged"] for row in rows] == ["Folk", "Rock", "Jazz"]
    assert [row["path"] for row in rows] == ["m/1", "m/2", "m/3/6.mp3"]
    assert [len(row["tracks"]) for row in rows] == [3, 3, 1]
    assert rows[0]["probability"] == pytest.approx(np.exp(2) / (np.exp(2) + 2), abs=1e-4)
    assert [g["genre"] for g in rows[1]["top"]] == ["Rock", "Folk"]
    assert rows[2]["tracks"][0]["effect"] is None  # the only track cannot be left out
    json.dumps(rows, allow_nan=False)


def test_equal_tracks_share_the_margin_and_none_is_missed():
    (first, *_) = album_rows(predictions(RIGHT))
    for track in first["tracks"]:
        assert track["margin"] == pytest.approx((2 - 2 / 3) / 3, abs=1e-4)
        assert track["effect"] == pytest.approx(0, abs=1e-6)


def test_examples_are_the_surest_the_rarest_and_a_mistake():
    both_right = predictions(RIGHT)
    assert telling_bags(both_right) == {"the surest": 1, "of the rarest genre": 0}
    one_wrong = predictions([[2, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert telling_bags(one_wrong) == {"the surest": 0, "mistaken": 1}
    # Of the two that are right, the surest is Folk; Rock is the rarer genre.
    sure_folk = predictions([[9, 0, 0], [0, 0, 5], [0, 1, 0]])
    assert telling_bags(sure_folk) == {"the surest": 0, "of the rarest genre": 1}


def test_no_cell_of_a_csv_begins_like_a_formula(tmp_path):
    write_rows(tmp_path / "a.csv", album_rows(predictions(RIGHT)))
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["album"] == "'=1+1"
    assert not any(value[:1] in ("=", "+", "-", "@") for row in rows for value in row.values())


def test_every_format_holds_the_same_genres(tmp_path):
    rows = album_rows(predictions(RIGHT))
    for name in ("a.json", "a.parquet"):
        write_rows(tmp_path / name, rows)
    assert json.loads((tmp_path / "a.json").read_text())["albums"] == rows
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "a.parquet")
    assert table["genre"].to_pylist() == [row["genre"] for row in rows]
    with pytest.raises(DataError, match=r"must end in .json, .csv, .parquet"):
        write_rows(tmp_path / "a.xlsx", rows)


def test_tables_name_a_lone_track_by_its_title_or_file():
    rows = album_rows(predictions(RIGHT, titles=[""] * 7))
    rows[2]["album"] = None
    assert albums_table(rows).shown()[2][1] == "6.mp3"
    assert [line[0] for line in decided_table(rows[0]).shown()] == ["0.mp3", "1.mp3", "2.mp3"]


def test_below_the_bar_no_genre_is_given_but_what_it_might_be(tmp_path):
    said = predictions(RIGHT)
    sure = said.probabilities.max(axis=1)  # .99 for Rock, then Folk, then Jazz
    bar = float(np.sort(sure)[1])  # at the bar is not below it
    rows = album_rows(said, bar=bar)
    assert [row["genre"] for row in rows] == ["Folk", "Rock", None]
    assert [row["unsure"] for row in rows] == [False, False, True]
    assert rows[2]["top"][0]["genre"] == "Jazz"
    shown = albums_table(rows).shown()
    assert [row[2] for row in shown] == ["Folk", "Rock", "Jazz?"]
    assert shown[2][4] in ("Folk", "Rock")
    assert decided_table(rows[2]).title.startswith("c: (unsure), ")
    write_rows(tmp_path / "a.csv", rows)
    with (tmp_path / "a.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [(row["genre"], row["unsure"]) for row in written] == [
        ("Folk", "False"), ("Rock", "False"), ("", "True"),
    ]  # fmt: skip
    assert not any(row["unsure"] for row in album_rows(said))


def test_a_rare_genre_that_is_nearly_as_likely_is_named():
    said = predictions([[2.0, 1.9, 0.0], [5.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    shares = np.array([0.8, 0.1, 0.1])
    rows = album_rows(replace(said, decision=Decision(shares, shares)))
    genres = said.genres
    assert [row["if_rare"] for row in rows] == [genres[1], None, None]
    assert all(row["if_rare"] is None for row in album_rows(said))


def test_own_costs_decide_the_genre_and_say_so(tmp_path):
    said = predictions([[2.0, 1.9, 0.0], [5.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    first, second, _ = said.genres
    costs = costs_of({second: {first: 3.0}}, said.genres)
    rows = album_rows(said, costs=costs)
    assert [row["genre"] for row in rows] == [second, first, second]
    p = said.probabilities[0]
    assert rows[0]["probability"] == pytest.approx(p[1], abs=1e-4)
    assert rows[0]["top"][0]["genre"] == first  # most likely, as ever
    assert {row["decision"] for row in rows} == {"own cost"}
    table = albums_table(rows)
    assert table.title == "3 albums, decided by own cost"
    assert table.shown()[0][4] == first  # what else it may be: the likeliest
    for name in ("a.json", "a.csv", "a.parquet"):
        write_rows(tmp_path / name, rows)
    with (tmp_path / "a.csv").open(newline="") as file:
        written = [(row["genre"], row["decision"]) for row in csv.DictReader(file)]
    assert written == [(row["genre"], "own cost") for row in rows]
    assert "decision" not in album_rows(said)[0]
    with pytest.raises(DataError, match="leave the costs out"):
        album_rows(several([[2, 0, -1]] * 3, [0.5] * 3), costs=costs)


def several(logits, thresholds):
    """The same albums by a model of several genres."""
    single = predictions(logits)
    return Predictions(
        single.bags, single.tracks, single.logits, "sigmoid", thresholds=np.array(thresholds)
    )


def test_an_album_is_given_every_genre_that_reaches_its_threshold(tmp_path):
    said = several([[2, 0, -1], [-3, -3, -3], [-1, 3, 1]], [0.5, 0.6, 0.7])
    rows = album_rows(said)
    assert [row["genres"] for row in rows] == [["Folk"], [], ["Jazz", "Rock"]]
    assert [row["genre"] for row in rows] == ["Folk", None, "Jazz"]
    assert [row["unsure"] for row in rows] == [False, True, False]
    rare = several([[1, -2, -1]] * 3, [0.9, 0.1, 0.9])  # Jazz alone reaches what is asked of it
    (row, *_) = album_rows(rare)
    assert (row["genre"], row["probability"]) == ("Jazz", pytest.approx(0.1192, abs=1e-4))
    assert row["top"][0]["genre"] == "Folk"
    assert [row["genres"] for row in album_rows(said, bar=0.8)] == [["Folk"], [], ["Jazz"]]
    text = albums_table(rows).to_markdown()
    assert "Jazz; Rock" in text
    assert "Folk?" in text
    for name in ("a.json", "a.csv", "a.parquet"):
        write_rows(tmp_path / name, rows)
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [row["genres"] for row in csv.DictReader(file)] == ["Folk", "", "Jazz; Rock"]
    assert json.loads((tmp_path / "a.json").read_text())["albums"][2]["genres"] == ["Jazz", "Rock"]
    assert "genres" not in album_rows(predictions(RIGHT))[0]


def test_tags_of_several_genres_are_all_named():
    single = several([[2, 0, -1], [-3, -3, -3], [-1, 3, 1]], [0.5, 0.6, 0.7])
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], bool)
    tracks = Tracks(
        single.tracks.track_id, np.repeat(labels, [3, 3, 1], axis=0), GENRES,
        artist_id=single.tracks.artist_id, album_id=single.tracks.album_id,
    )  # fmt: skip
    bags = Bags.from_tracks(tracks)
    rows = album_rows(Predictions(bags, tracks, single.logits, "sigmoid"))
    assert [row["tagged"] for row in rows] == ["Folk; Rock", None, "Jazz"]


def test_a_tag_that_looks_like_two_genres_is_one():
    said = predictions(RIGHT, labels=[-1] * 7)
    texts = [r"Jazz\; Qwxz"] * 6 + [r"Folk; Jazz\; Qwxz"]
    columns = {**said.tracks.columns, "genre_tags": np.array(texts)}
    rows = album_rows(replace(said, tracks=replace(said.tracks, columns=columns)))
    assert [row["tagged"] for row in rows] == ["Jazz; Qwxz", "Jazz; Qwxz", "Folk; Jazz; Qwxz"]
    assert {track["tagged"] for row in rows for track in row["tracks"][:2]} == {
        *("Jazz; Qwxz", "Folk; Jazz; Qwxz"),
    }
    assert rows[1]["status"] != "agrees"  # Jazz is another genre
