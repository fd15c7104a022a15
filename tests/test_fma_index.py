"""The index: what of FMA's CSVs is read, refused and noticed."""

import json

import numpy as np
import pandas as pd
import pytest
from fma_tree import GENRES, TRACK_COLUMNS, TRACKS, features_csv, genres_csv, tracks_csv, write

from matt import DataError
from matt.datasets import fma
from matt.datasets.fma import indexing


@pytest.fixture
def tree(tmp_path):
    return write(tmp_path / "data")


def sheet(tree, name):
    return tree / "fma_metadata" / f"{name}.csv"


def test_pandas_reads_the_same_tracks(tree):
    """As FMA's own loader does."""
    frame = pd.read_csv(sheet(tree, "tracks"), index_col=0, header=[0, 1])
    fma.index(tree)
    names = ("title", "artist_bio", "artist_latitude", "track_listens", "album_comments")
    tracks = fma.load_tracks(tree, "full", columns=names)
    np.testing.assert_array_equal(tracks.track_id, frame.index)
    for name in names:
        level, column = ("track", name) if name == "title" else name.split("_")
        theirs = frame[level, column]
        theirs = theirs if theirs.dtype.kind in "if" else theirs.fillna("")
        np.testing.assert_array_equal(tracks.columns[name], theirs)
    np.testing.assert_array_equal(tracks.album_id, frame["album", "id"])
    np.testing.assert_array_equal(tracks.split, frame["set", "split"])


def test_an_index_is_made_once(tree):
    calls = []
    first = fma.index(tree, progress=lambda *call: calls.append(call))
    assert first.fresh
    assert first.counts == {
        "small": 3, "medium": 6, "large": 9, "full": 9, "genres": 4,
        "with features": 9, "with Echonest features": 3,
    }  # fmt: skip
    assert [step for step, _, _ in calls][-1] == "done"
    assert calls[-1][1:] == (8, 8)
    before = {p.name: p.stat().st_mtime_ns for p in first.path.glob("*.parquet")}
    again = fma.index(tree)
    assert not again.fresh
    assert {p.name: p.stat().st_mtime_ns for p in first.path.glob("*.parquet")} == before
    assert fma.index(tree, force=True).fresh


def test_ids_in_one_file_only_are_counted_and_listed(tree):
    ids = (*(t[0] for t in TRACKS if t[0] != 10), 7, 8)
    sheet(tree, "features").write_text(features_csv(ids=ids))
    made = fma.index(tree)
    assert made.notes == (
        "2 tracks of features.csv are not in tracks.csv, and left out (first: 7, 8)",
        "1 tracks are not in features.csv (first: 10)",
        "1 tracks of echonest.csv are not in tracks.csv, and left out (first: 99)",
    )
    assert [entry["track_ids"] for entry in made.unmatched] == [[7, 8], [10], [99]]
    assert set(fma.load_features(tree, "zcr", subset="full").track_ids) == set(ids) - {7, 8}


def test_genres_in_one_file_only_are_told(tree):
    sheet(tree, "genres").write_text(genres_csv(GENRES[:2]))
    notes = fma.index(tree).notes
    assert notes[0].startswith("1 top genres are not in genres.csv (first: Rock)")
    assert notes[1].startswith("2 genre ids are not in genres.csv, and left out (first: 12, 25)")
    assert fma.load_tracks(tree, "full", labels="all").genres == ("Alternative Hip-Hop", "Hip-Hop")


def test_features_and_echonest_need_not_be_there(tmp_path):
    tree = write(tmp_path, features=None, echonest=None)
    assert "with features" not in fma.index(tree).counts
    with pytest.raises(DataError, match=r"holds no zcr; put FMA's features.csv into"):
        fma.load_features(tree, "zcr")
    with pytest.raises(DataError, match=r"holds no echonest.csv"):
        fma.load_echonest(tree)
    write(tmp_path)  # now they are
    assert fma.index(tree).fresh
    assert len(fma.load_features(tree, "zcr", subset="full")) == len(TRACKS)


# What is noticed


@pytest.mark.parametrize("name", ["tracks", "genres", "features", "echonest"])
def test_a_changed_source_is_noticed(tree, name):
    fma.index(tree)
    path = sheet(tree, name)
    path.write_text(path.read_text().replace("1", "9"))  # of the same size
    with pytest.raises(DataError, match=rf"{name}.csv has changed .*run 'matt fma index .*' again"):
        fma.load_genres(tree)


def test_a_source_that_was_only_touched_has_not_changed(tree):
    fma.index(tree)
    sheet(tree, "tracks").touch()
    assert len(fma.load_tracks(tree)) == 6
    assert not fma.index(tree).fresh


def test_sources_may_go_when_the_index_is_there(tree):
    fma.index(tree)
    for path in (tree / "fma_metadata").iterdir():
        path.unlink()
    assert len(fma.load_tracks(tree)) == 6


def test_what_is_interrupted_is_no_index(tree, monkeypatch):
    fma.index(tree)
    sheet(tree, "tracks").write_text(tracks_csv(TRACKS[:5]))
    real = indexing.write_index

    def interrupt(place, sources, reading):
        real(place, sources, reading)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "write_index", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fma.index(tree)
    with pytest.raises(DataError, match="has no index yet"):
        fma.load_tracks(tree)
    assert fma.index(tree).fresh
    assert len(fma.load_tracks(tree, "full")) == 5


@pytest.mark.parametrize("how", ["cut", "gone", "schema", "text"])
def test_what_is_not_whole_is_no_index(tree, how):
    made = fma.index(tree)
    matrix, manifest = made.path / "features-mfcc.npy", made.path / "index.json"
    if how == "cut":
        matrix.write_bytes(matrix.read_bytes()[:-4])
    elif how == "gone":
        matrix.unlink()
    elif how == "schema":
        manifest.write_text(json.dumps({**made.manifest, "schema": "matt.fma.index/0"}))
    else:
        manifest.write_text("{")
    with pytest.raises(DataError, match="not whole, or of another version; run 'matt fma index"):
        fma.load_tracks(tree)
    assert fma.index(tree).fresh
    assert len(fma.load_tracks(tree)) == 6


def test_files_of_a_killed_run_do_not_stay(tree):
    (tree / "matt-index").mkdir()
    (tree / "matt-index" / ".features-mfcc.0123.npy").write_bytes(b"half")
    made = fma.index(tree)
    assert {path.name for path in made.path.iterdir()} == {*made.manifest["files"], "index.json"}


# What is refused


def cut(content, at):
    return content[:at]


LAST = tracks_csv().rindex("\n155320,")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tracks", cut(tracks_csv(), LAST + 40), r"line 18 has \d+ cells, expected 17; the file is cut off"),
        ("tracks", cut(tracks_csv(), -1), r"line 18 does not end: the file is cut off"),
        ("tracks", cut(tracks_csv(), tracks_csv().index("lives") + 5), r"row that begins in line 7 does not end"),
        ("tracks", "", r"is empty"),
        ("tracks", tracks_csv().split("\n", 1)[1], r"line 3 begins with '2': expected 2 rows of column names"),
        ("tracks", tracks_csv().split("\n", 3)[3], r"line 3 begins with '5': expected 2 rows"),
        ("tracks", tracks_csv(columns=[c for c in TRACK_COLUMNS if c != ("set", "split")]), r"lacks 1 columns \(first: set_split; "),
        ("tracks", tracks_csv().replace("genre_top", "genres_top"), r"first: track_genre_top; did you mean 'track_genres_top'"),
        ("tracks", tracks_csv().replace(",training,", ",trainning,"), r"4 tracks have an unknown split \(first: track 2 has 'trainning'; did you mean 'training'"),
        ("tracks", tracks_csv().replace(",small,", ",tiny,"), r"3 tracks have an unknown subset \(first: track 2 has 'tiny'"),
        ("tracks", tracks_csv().replace("[83]", "[83"), r"genres of track 3 are '\[83', expected ids"),
        ("tracks", tracks_csv().replace("[83]", "eval(1)"), r"genres of track 3 are 'eval\(1\)'"),
        ("tracks", tracks_csv().replace("\n10,", "\n3,"), r"1 ids occur more than once \(first: 3\)"),
        ("tracks", tracks_csv().replace("\n10,", "\nten,"), r"line 7: track_id is 'ten', expected a number"),
        ("tracks", tracks_csv().replace("\n10,0,2,", "\n10,0,two,"), r"line 7: album_id is 'two', expected a number"),
        ("tracks", tracks_csv().replace("\n10,0,2,", "\n10,0,2.5,"), r"album_id holds a number with a fraction"),
        ("tracks", tracks_csv().replace("\n20,", "\n20,,"), r"line 11 has 18 cells, expected 17; fetch"),
        ("genres", genres_csv().replace("12,5,0", "12,x,0"), r"line 4: #tracks is 'x', expected a number"),
        ("genres", genres_csv().replace("83,2,21", "83,2,77"), r"1 genres have a parent that is not there \(first: 83\)"),
        ("genres", genres_csv().replace("21,7,0", "21,7,83"), r"above each other"),
        ("genres", genres_csv().replace("parent", "parents"), r"lacks 1 columns \(first: parent; did you mean 'parents'"),
        ("genres", genres_csv().split("\n", 1)[1], r"line 1 begins with '21': expected 1 row of column names"),
        ("features", cut(features_csv(), -30), r"line 13 has \d+ cells, expected 519; the file is cut off"),
        ("features", cut(features_csv(), -1), r"line 13 does not end"),
        ("features", features_csv().split("\n", 1)[1], r"line 4 begins with '2': expected 3 rows of column names"),
        ("features", features_csv().replace("kurtosis", "kurtoses"), r"chroma_cens_kurtosis_01 is missing"),
        ("features", features_csv().replace("tonnetz", "tonnets"), r"tonnets_kurtosis_01 is unknown"),
        ("features", features_csv().replace("\n10,", "\n10,abc"), r"line 8: chroma_cens_kurtosis_01 is 'abc.*expected a number"),
    ],
)  # fmt: skip
def test_a_damaged_csv_is_told_with_file_and_line(tree, name, content, message):
    sheet(tree, name).write_text(content, newline="")
    with pytest.raises(DataError, match=message) as caught:
        fma.index(tree)
    assert f"{name}.csv" in str(caught.value)
    with pytest.raises(DataError, match="has no index yet"):
        fma.load_tracks(tree)


def test_a_csv_that_is_no_text(tree):
    sheet(tree, "tracks").write_bytes(b"PK\x03\x04\xff\xfe\n" * 9)
    with pytest.raises(DataError, match=r"tracks.csv is not a CSV in UTF-8"):
        fma.index(tree)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", r"is no folder; name the one that holds fma_metadata"),
        (lambda root: root / "empty", r"holds no fma_metadata/tracks.csv; get it with 'matt fma fetch"),
        (lambda root: root / "fma_small", r"holds audio, not FMA's tables; name the folder above"),
    ],
)  # fmt: skip
def test_the_wrong_folder_is_recognised(tmp_path, make, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "fma_small" / "000").mkdir(parents=True)
    for function in (fma.index, fma.load_tracks):
        with pytest.raises(DataError, match=message):
            function(make(tmp_path))


def test_genres_csv_must_be_there(tmp_path):
    with pytest.raises(DataError, match=r"genres.csv does not exist; fetch it again"):
        fma.index(write(tmp_path, genres=None))


def test_the_folder_of_the_tables_may_be_named_too(tree):
    made = fma.index(tree / "fma_metadata")
    assert made.root == tree
    assert len(fma.load_tracks(tree / "fma_metadata")) == 6


def test_a_folder_that_cannot_be_written_is_told(tree):
    (tree / "matt-index").write_text("a file")
    with pytest.raises(DataError, match=r"matt-index cannot be written"):
        fma.index(tree)


def test_the_simulated_say_so(tree):
    (tree / "fma_metadata" / "SIMULATED.json").write_text("{}")
    assert fma.index(tree).simulated
    assert fma.load_tracks(tree).columns["simulated"].all()
    assert fma.load_features(tree, "zcr").spec.name == "simulated fma:zcr"
