import sys

import numpy as np
import pytest

from matt import ConfigError, DataError, Tracks
from matt.tracks import MAX_ID, stable_id

GENRES = ("Folk", "Jazz", "Rock")


def table(**changes):
    given = {
        "track_id": [11, 7, 5, 3, 2],
        "labels": [0, 2, -1, 2, 0],
        "genres": GENRES,
        "artist_id": [1, 1, 4, 4, -1],
        "album_id": [9, 9, 8, -1, -1],
        "split": ["training", "training", "training", "test", ""],
        "columns": {"title": np.array(["a", "b", "c", "d", "e"]), "seconds": np.arange(5) / 2},
    }
    return Tracks(**{**given, **changes})


MANY = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]], bool)


@pytest.mark.parametrize("labels", [[0, 2, -1, 2, 0], MANY], ids=["single", "multi"])
def test_a_saved_table_comes_back_equal(tmp_path, labels):
    tracks = table(labels=labels)
    tracks.save(tmp_path / "tracks.parquet")
    back = Tracks.load(tmp_path / "tracks.parquet")
    assert back.genres == tracks.genres
    for name in ("track_id", "labels", "artist_id", "album_id", "split", "path"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tracks, name))
    for name, column in tracks.columns.items():
        np.testing.assert_array_equal(back.columns[name], column)


def test_a_table_is_shown_in_one_line():
    known = "Tracks(5 tracks of 3 genres (Folk, Jazz, Rock), 1 unknown; 3 training, 1 test)"
    assert repr(table()) == repr(table(labels=MANY)) == known
    assert repr(Tracks([], [], ())) == "Tracks(0 tracks of 0 genres (); no splits)"
    odd = Tracks([1], [0], ["a\nb\x1b[31m" + "c" * 99, *"defghij"])
    assert (
        repr(odd)
        == f"Tracks(1 tracks of 8 genres (a?b?[31m{'c' * 16}, d, e, f, g, ...); no splits)"
    )


@pytest.mark.parametrize("labels", [[0, 2, -1, 2, 0], MANY], ids=["single", "multi"])
def test_a_frame_of_pandas_loses_nothing(labels):
    tracks = table(labels=labels)
    frame = tracks.to_pandas()
    names = [[GENRES[g] for g in np.flatnonzero(row)] for row in MANY]
    if tracks.multi_label:
        assert frame["labels"].tolist() == [tuple(row) for row in names]
        codes = [[genre in row for genre in frame.attrs["genres"]] for row in frame["labels"]]
    else:
        assert frame["labels"].tolist() == [
            "Folk",
            "Rock",
            pytest.approx(np.nan, nan_ok=True),
            "Rock",
            "Folk",
        ]
        codes = frame["labels"].cat.codes
    back = Tracks.from_columns(
        {name: frame[name].to_numpy() for name in frame} | {"labels": np.array(codes)},
        frame.attrs["genres"],
    )
    assert back.genres == tracks.genres
    for name, column in tracks.to_columns().items():
        np.testing.assert_array_equal(back.to_columns()[name], column)


def test_without_pandas_a_frame_is_refused_with_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="not installed; run: pip install 'matt-mgc"):
        table().to_pandas()


def test_training_counts_see_known_training_tracks_only():
    assert table().train_counts.tolist() == [1, 0, 1]
    assert table().counts.tolist() == [2, 0, 2]
    assert table(labels=MANY).train_counts.tolist() == [1, 1, 1]


def test_without_splits_every_track_trains():
    assert table(split=[]).train_counts.tolist() == [2, 0, 2]


def test_rows_finds_ids_in_any_order():
    assert table().rows(np.array([2, 11, 2])).tolist() == [4, 0, 4]
    with pytest.raises(DataError, match=r"2 of 3 tracks are not in the table \(first: 1, 99\)"):
        table().rows(np.array([99, 11, 1]))


def test_drop_ignores_unknown_ids():
    assert table().drop([7, 999]).track_id.tolist() == [11, 5, 3, 2]


def test_genres_are_matched_by_name():
    other = table().with_genres(["Rock", "Punk", "Folk"])
    assert [other.genres[label] if label >= 0 else None for label in other.labels] == [
        "Folk", "Rock", None, "Rock", "Folk",
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"1 genres are unknown here .*did you mean 'Rocks'"):
        table().with_genres(["Folk", "Rocks"])
    assert table().with_genres(["Folk"], unknown="drop").labels.tolist() == [0, -1, -1, -1, 0]


def test_several_genres_are_matched_by_name():
    other = table(labels=MANY).with_genres(["Rock", "Folk"], unknown="drop")
    np.testing.assert_array_equal(other.labels, MANY[:, [2, 0]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1]}, "column 'labels' has 2 rows, track_id has 5"),
        ({"track_id": [1, 1, 2, 3, 4]}, r"1 track ids occur more than once \(first: 1\)"),
        ({"track_id": [0, 1, 2, 3, MAX_ID]}, r"in \[0, 2\*\*53\)"),
        ({"labels": [0, 1, 2, 3, 0]}, "labels run from 0 to 3 but there are 3 genres"),
        ({"labels": MANY[:, :2]}, "2 columns for 3 genres"),
        ({"genres": ("Folk", "Folk", "Rock")}, "genres repeat"),
        ({"split": ["train", "", "", "", ""]}, "unknown split 'train'; did you mean 'training'"),
        ({"genres": "Rock"}, "genres is the text 'Rock'"),
        ({"track_id": [1.5, 2, 3, 4, 5]}, r"track_id must hold whole numbers, got float64"),
        (
            {"labels": [0.0, 1, 2, 0, 1]},
            r"labels must hold whole numbers, got float64 \(first: 0\.0\)",
        ),
        (
            {"labels": [0, 1, np.nan, 0, 1]},
            r"labels must .* \(first: nan\); .*genres, -1 where unknown",
        ),
        (
            {"labels": [0, None, 1, 0, 1]},
            r"labels must .* \(first: None\); .*genres, -1 where unknown",
        ),
        ({"labels": [*"abcde"]}, r"labels must .* \(first: 'a'\); give the place of .* in genres"),
        ({"track_id": [*"12c45"]}, r"track_id must .* \(first: 'c'\); .*stable_id"),
        ({"columns": {"path": np.arange(5)}}, r"\['path'\] are fields of Tracks"),
    ],
)
def test_impossible_tables_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        table(**changes)


def test_an_empty_split_is_explained():
    with pytest.raises(DataError, match="no track is in the validation split"):
        table().in_split("validation")
    with pytest.raises(DataError, match="did you mean 'validation'"):
        table().in_split("valid")


def test_another_file_is_not_taken_for_tracks(tmp_path):
    (tmp_path / "a.parquet").write_text("not parquet")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        Tracks.load(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="does not exist"):
        Tracks.load(tmp_path / "b.parquet")


def test_ids_of_names_are_stable_and_exact_in_json():
    assert stable_id("a") != stable_id("b")
    assert 0 <= stable_id("Bj\u00f6rk/Homogenic/01.flac") < MAX_ID
    assert float(stable_id("x")) == stable_id("x")
