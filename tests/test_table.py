"""Any table: small files made here, the real tables beside the checkout, and everything wrong."""

import csv
import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from matt import Bags, ConfigError, DataError, FeatureStore, Tracks
from matt.cli.app import app
from matt.datasets import table
from matt.datasets.cells import ids
from matt.datasets.table import parse
from matt.evaluation.scores import majority, score
from matt.models.neural import NeuralClassifier
from matt.models.settings import TrainingSettings
from matt.runs import Run
from matt.tracks import stable_id

HEAD = "track_id,artist,album,genre,split,f_1,f_2,title\n"
ROWS = (
    "11,Ann,First,Rock,train,1,0.5,One\n"
    "12,Ann,First,Rock,train,2,1.5,Two\n"
    "13,Ann,Second,Folk,valid,3,2.5,\n"
    "14,Bob,First,Folk,test,4,3.5,Four\n"
    "15,,,,test,5,4.5,Five\n"
)  # fmt: skip
ANY = 'table = "any.csv"\ndelimiter = ","\nfeatures = "f"\nmissing = [""]\nmerge = false\n'
THREE_LINES = 'table = "tracks.csv"\ngenre = "genre"\nfeatures = "f_*"\n'


def write(folder, toml=THREE_LINES, **files):
    """A TOML beside the files that it names."""
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path = folder / "tracks.toml"
    path.write_text(toml)
    return path


def load(folder, toml=THREE_LINES, **files):
    return table.load(write(folder, toml, **(files or {"tracks__csv": HEAD + ROWS})))


def test_three_lines_do(tmp_path):
    loaded = load(tmp_path)
    tracks, features = loaded.tracks, loaded.features
    assert tracks.track_id.tolist() == [11, 12, 13, 14, 15]
    assert tracks.genres == ("Folk", "Rock")
    assert tracks.labels.tolist() == [1, 1, 0, 0, -1]
    assert tracks.artist_id.tolist() == [*[stable_id("Ann")] * 3, stable_id("Bob"), -1]
    assert tracks.columns["artist"].tolist() == ["Ann", "Ann", "Ann", "Bob", ""]
    assert tracks.columns["title"].tolist() == ["One", "Two", "", "Four", "Five"]
    assert tracks.split.tolist() == ["training", "training", "validation", "test", "test"]
    np.testing.assert_array_equal(
        features.read(np.array([15, 11]))[0], np.array([[5, 4.5], [1, 0.5]], "f4")
    )
    # Two albums called First are two bags, since a bag is (album, artist).
    assert Bags.from_tracks(tracks).sizes.tolist() == [2, 1, 1, 1]
    assert any("1 of 5 tracks have no genre" in note for note in loaded.notes)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "parquet", "semicolon", "bom", "crlf"])
def test_the_format_does_not_matter(tmp_path, kind):
    expected = load(tmp_path)
    rows = list(csv.reader((HEAD + ROWS).splitlines()))
    text, toml = HEAD + ROWS, THREE_LINES
    name = {"semicolon": "other.txt", "bom": "other.csv", "crlf": "other.csv"}.get(
        kind, f"other.{kind}"
    )
    if kind == "parquet":
        columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
        numbers = {"track_id": np.int32, "f_1": np.int64, "f_2": np.float64}
        arrays = {
            key: pa.array(np.array(values).astype(numbers[key]))
            if key in numbers
            else pa.array([value or None for value in values]).dictionary_encode()
            for key, values in columns.items()
        }
        pq.write_table(pa.table(arrays), tmp_path / name)
    else:
        if kind == "tsv":
            text = text.replace(",", "\t")
        if kind == "semicolon":
            text, toml = text.replace(",", ";"), toml + 'delimiter = ";"\n'
        if kind == "crlf":
            text = text.replace("\n", "\r\n")
        raw = text.encode("utf-8-sig" if kind == "bom" else "utf-8")
        (tmp_path / name).write_bytes(gzip.compress(raw) if kind == "csv.gz" else raw)
    found = table.load(write(tmp_path, toml.replace("tracks.csv", name)))
    for field in ("track_id", "labels", "artist_id", "album_id", "split"):
        np.testing.assert_array_equal(getattr(found.tracks, field), getattr(expected.tracks, field))
    wanted = expected.tracks.track_id
    np.testing.assert_array_equal(found.features.read(wanted)[0], expected.features.read(wanted)[0])


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6),
            st.floats(-1e6, 1e6, width=32),
        ),
        min_size=1,
        max_size=7,
    )
)
def test_what_pythons_csv_module_writes_is_read_back(tmp_path, rows):
    """Commas, quotes and line breaks in cells included."""
    with (tmp_path / "any.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "artist", "f", "genre"])
        for i, (name, value) in enumerate(rows):
            writer.writerow([i, name, value, "Rock"])
    loaded = table.load(write(tmp_path, ANY, none=b""))
    values, _ = loaded.features.read(np.arange(len(rows)))
    np.testing.assert_array_equal(values[:, 0], np.array([value for _, value in rows], "f4"))
    named = [stable_id(name.strip()) if name.strip() else -1 for name, _ in rows]
    if not all(
        name.strip().lstrip("-").replace(".", "").isdigit() for name, _ in rows if name.strip()
    ):
        assert loaded.tracks.artist_id.tolist() == named


def test_ids_are_kept_or_made_from_names():
    assert ids(np.array(["7", "2.0", "", "-1"])).values.tolist() == [7, 2, -1, -1]
    mixed = ids(np.array(["7", "", "seven"]))
    assert mixed.values.tolist() == [stable_id("7"), -1, stable_id("seven")]
    assert mixed.names.tolist() == ["7", "", "seven"]
    too_large = ids(np.array([str(2**53), "1"]))
    assert too_large.values.tolist() == [stable_id(str(2**53)), stable_id("1")]


def test_ids_of_several_rows_of_names(tmp_path):
    """As pandas writes three levels of columns: the row below them names the index."""
    head = "feature,mfcc,mfcc,zcr\nstatistics,mean,mean,mean\nnumber,01,02,01\n"
    toml = 'table = "f.csv"\nheader_rows = 3\nfeatures = ["zcr_*", "mfcc_mean_*"]\n'
    for index in ("track_id,,,\n", ""):
        loaded = load(tmp_path, toml if index else toml + 'track = "feature_statistics_number"\n',
                      f__csv=head + index + "2,,,\n5,1,2,3\n")  # fmt: skip
        assert loaded.tracks.track_id.tolist() == [5]
        assert loaded.features.read(np.array([5]))[0].tolist() == [[1, 2, 3]]
        assert any(
            "1 of 2 tracks with NaN" in note and "first: 2;" in note for note in loaded.notes
        )


def test_joined_columns_belong_to_their_rows(tmp_path):
    toml = """
    table = "f.csv"
    features = "f_*"
    join = [{ table = "meta.tsv", key = "song" }, { table = "albums.csv", on = "album" }]
    """
    loaded = load(
        tmp_path,
        toml,
        f__csv="track_id,f_1,title\n000003,1,Three\n2,2,Two\n9,3,Nine\n",
        meta__tsv="song\tartist\talbum\tgenre\ttitle\n1\tX\tA\tRock\tx\n2\tY\tB\tFolk\ty\n3\tZ\tA\tRock\tz\n",
        albums__csv="album,year\nA,1990\nB,\nC,2000\n",
    )
    tracks = loaded.tracks
    assert tracks.track_id.tolist() == [3, 2, 9]
    assert tracks.columns["artist"].tolist() == ["Z", "Y", ""]
    assert tracks.columns["year"].tolist() == [1990, -1, -1]
    assert tracks.columns["title"].tolist() == ["Three", "Two", "Nine"]
    assert tracks.labels.tolist() == [1, 0, -1]
    assert any("1 of 3 tracks are not in meta.tsv (first: 9)" in note for note in loaded.notes)
    assert any("title: taken from f.csv" in note for note in loaded.notes)


def test_several_genres(tmp_path):
    text = "id,tags\na,Rock; Folk\nb,\nc,Folk\nd,\"['Jazz'; 'Rock']\"\n"
    every = load(tmp_path, 'table = "t.csv"\ngenre = "tags"\ngenre_separator = ";"\n', t__csv=text)
    assert every.tracks.genres == ("Folk", "Jazz", "Rock")
    assert every.tracks.labels.tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1]]
    toml = 'table = "t.csv"\ngenre = "tags"\ngenre_separator = ";"\nseveral = "first"\ngenres = ["Rock", "Folk"]\n'
    first = load(tmp_path, toml, t__csv=text)
    assert first.tracks.labels.tolist() == [0, -1, 1, -1]
    assert any(
        "1 labels are of 1 genres that are not wanted (first: Jazz)" in n for n in first.notes
    )
    assert any("2 of 4 tracks have several genres" in note for note in first.notes)
    told = load(tmp_path, 'table = "t.csv"\ngenre = "tags"\n', t__csv=text)
    assert any("genre_separator = ';'" in note for note in told.notes)


def test_lists_of_genres_in_parquet(tmp_path):
    genres = pa.array([["Rock", "Folk"], None, ["Folk"]])
    pq.write_table(pa.table({"id": ["a", "b", "c"], "genre": genres}), tmp_path / "t.parquet")
    assert load(tmp_path, 'table = "t.parquet"\n', x=b"").tracks.labels.tolist() == [
        [1, 1],
        [0, 0],
        [1, 0],
    ]


def test_embeddings_of_several_segments(tmp_path):
    toml = 'table = "t.csv"\nembeddings = "file"\n'
    arrays = {"a": np.ones((2, 3, 5)), "c": np.full((1, 3, 5), 7.0)}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    loaded = load(tmp_path, toml, t__csv="id,genre,file\n1,Rock,a.npy\n2,Rock,\n3,Folk,c.npy\n")
    assert loaded.tracks.track_id.tolist() == [1, 3]
    assert loaded.features.spec.shape == (3, 5)
    assert loaded.features.counts(np.array([1, 3])).tolist() == [2, 1]
    assert any("1 of 3 tracks without features are left out (first: 2)" in n for n in loaded.notes)


def test_embeddings_as_lists_in_parquet(tmp_path):
    vectors = pa.array([[1.0, 2.0, 3.0], None, [4.0, 5.0, float("nan")], [6.0, 7.0, 8.0]])
    content = {"id": [4, 5, 6, 7], "genre": ["Rock", "Rock", "Folk", "Folk"], "e": vectors}
    pq.write_table(pa.table(content), tmp_path / "t.parquet")
    loaded = load(tmp_path, 'table = "t.parquet"\nembeddings = "e"\n', x=b"")
    assert loaded.tracks.track_id.tolist() == [4, 7]
    assert loaded.features.read(np.array([7]))[0].tolist() == [[6, 7, 8]]
    segments = pa.array([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
    pq.write_table(pa.table({"id": [1, 2], "e": segments}), tmp_path / "t.parquet")
    loaded = load(tmp_path, 'table = "t.parquet"\nembeddings = "e"\n', x=b"")
    assert loaded.features.counts(np.array([1, 2])).tolist() == [1, 2]


def test_log1p_takes_the_logarithm_of_some_columns(tmp_path):
    loaded = load(tmp_path, THREE_LINES + 'log1p = "f_2"\n', tracks__csv=HEAD + ROWS)
    values, _ = loaded.features.read(loaded.tracks.track_id)
    np.testing.assert_allclose(values[:, 1], np.log1p([0.5, 1.5, 2.5, 3.5, 4.5]), rtol=1e-6)
    assert values[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert loaded.features.spec.digest != load(tmp_path).features.spec.digest


def test_not_a_number_costs_its_track_only(tmp_path):
    text = HEAD + ROWS.replace("2.5", "nan").replace("3.5", "1e60")
    loaded = load(tmp_path, tracks__csv=text)
    assert loaded.tracks.track_id.tolist() == [11, 12, 15]
    assert any(
        "2 of 5 tracks with NaN, infinite or too large features are left out (first: 13, 14;" in n
        for n in loaded.notes
    )
    with pytest.raises(DataError, match=r"2 of 5 tracks hold NaN.*13, 14.*not_finite = 'drop'"):
        load(tmp_path, THREE_LINES + 'not_finite = "error"\n', tracks__csv=text)


def test_names_that_clash_with_fields_get_another(tmp_path):
    loaded = load(tmp_path, 'table = "t.csv"\ntrack = "key"\n',
                  t__csv="key,path,labels,artist_id,artist\nx,a/b.mp3,loud,i1,Ann\n")  # fmt: skip
    columns = loaded.tracks.columns
    assert columns["table_path"].tolist() == ["a/b.mp3"]
    assert columns["table_labels"].tolist() == ["loud"]
    assert (columns["artist"].tolist(), columns["artist_key"].tolist()) == (["Ann"], ["i1"])


def test_tracks_of_a_table_survive_a_file(tmp_path):
    tracks = load(tmp_path).tracks
    tracks.save(tmp_path / "tracks.parquet")
    again = Tracks.load(tmp_path / "tracks.parquet")
    assert again.columns.keys() == tracks.columns.keys()
    np.testing.assert_array_equal(again.labels, tracks.labels)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('table = "tracks.csv"\ngenr = "genre"\n', r"unknown key 'genr'; did you mean 'genre'\?"),
        ('table = "tracks.csv"\ngenre = "gnere"\n', r"tracks.toml: genre = 'gnere'.*did you mean 'genre'\?"),
        ('table = "tracks.csv"\nfeatures = "g_*"\n', r"features = 'g_\*' matches no column"),
        ('table = "tracks.csv"\nfeatures = 3\n', "features must be a list of texts, got 3"),
        ('genre = "genre"\n', "no table is named"),
        ('table = "tracks.csv"\nseveral = "al"\n', r"did you mean 'all'\?"),
        ('table = "tracks.csv"\nsplit_names = { a = "trainin" }\n', r"did you mean 'training'\?"),
        ('table = "tracks.csv"\nheader_rows = 0\n', "header_rows is 0"),
        ('table = "tracks.csv"\nencoding = "utf-9"\n', "encoding is 'utf-9'"),
        ('table = "tracks.csv"\njoin = [{ tabel = "x.csv" }]\n', r"unknown key 'join.tabel'; did you mean 'table'\?"),
        ('table = "tracks.csv"\njoin = [{ table = "other.csv", on = "titel" }]\n', r"did you mean 'title'\?"),
        ('table = "tracks.csv"\nfeatures = "f_*"\nembeddings = "title"\n', "both named"),
        ('table = "tracks.csv"\nlog1p = "f_1"\n', "features names none"),
        ('table = "tracks.csv"\nfeatures = "f_1"\nlog1p = "f_2"\n', r"log1p = 'f_2' matches no column"),
        ("table = \n", "is not TOML"),
    ],
)  # fmt: skip
def test_a_wrong_toml_says_what_was_meant(tmp_path, toml, message):
    path = write(tmp_path, toml, tracks__csv=HEAD + ROWS, other__csv="id,x\n1,2\n")
    with pytest.raises(ConfigError, match=message) as caught:
        table.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEAD + ROWS[:-12], r"line 6 has 5 cells, the heading 8; the file looks cut off"),
        (HEAD + "11,Ann\n" + ROWS, r"line 2 has 2 cells, the heading 8; mend"),
        (HEAD + ROWS + "16,Ann,x,y,Rock,train,1,2,3,4\n", r"line 7 has 10 cells.*needs quotes"),
        (HEAD + ROWS + '16,"Ann,x,Rock,train,1,2,\n', r"quoted cell is not closed"),
        (HEAD + ROWS + '16,Ann,x,Rock,train,1,2,"un', r"quoted cell is not closed"),
        (HEAD + ROWS.replace("3.5", "loud"), r"line 5: f_2 is 'loud', which is no number"),
        (HEAD + ROWS.replace("13,", "11,"), r"'11', lines 2, 4 of tracks.csv"),
        (HEAD + ROWS.replace("13,", ","), r"1 of 5 tracks have no track_id \(line 4 of"),
        (HEAD + ROWS.replace("valid", "dve"), r"split 'dve' \(line 4 of tracks.csv\).*split_names"),
        (HEAD, "no row of data"),
        ("", "has 0 rows, expected 1"),
        (HEAD.replace("f_2", "f_1") + ROWS, "names of columns repeat .first: f_1"),
        ((HEAD + ROWS.replace("Bob", "Bób")).encode("latin-1"), "not written in utf-8; say encoding"),
        (HEAD + ROWS.replace("4.5", "nan").replace(".5,", "nan,"), "which is no number"),
    ],
)  # fmt: skip
def test_a_damaged_csv_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, tracks__csv=content)
    assert "tracks.csv" in str(caught.value)


def test_lines_are_those_of_the_file_even_if_cells_hold_line_breaks(tmp_path):
    text = HEAD + '10,"A\n\nnn",First,Rock,train,1,2,\n' + ROWS.replace("valid", "dve")
    with pytest.raises(DataError, match=r"line 7 of tracks.csv"):
        load(tmp_path, tracks__csv=text)


def test_other_encodings_are_read_if_named(tmp_path):
    content = (HEAD + ROWS.replace("Bob", "Bób")).encode("latin-1")
    loaded = load(tmp_path, THREE_LINES + 'encoding = "latin-1"\n', tracks__csv=content)
    assert loaded.tracks.columns["artist"].tolist()[3] == "Bób"


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_compressed_table_that_is_cut_off_is_never_read_in_part(tmp_path, share):
    rng = np.random.default_rng(0)
    text = "id,f_1\n" + "".join(f"{i},{x}\n" for i, x in enumerate(rng.random(5000)))
    whole = gzip.compress(text.encode())
    with pytest.raises(DataError, match=r"tracks.csv.gz cannot be read to its end"):
        load(tmp_path, 'table = "tracks.csv.gz"\nfeatures = "f_1"\n',
             tracks__csv__gz=whole[: int(len(whole) * share)])  # fmt: skip


def test_a_last_line_without_an_end_is_noted(tmp_path):
    loaded = load(tmp_path, tracks__csv=HEAD + ROWS.rstrip("\n"))
    assert any("does not end in a line break" in note for note in loaded.notes)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none.toml does not exist"):
        table.load(tmp_path / "none.toml")
    with pytest.raises(DataError, match=r"tracks.csv does not exist"):
        load(tmp_path, x=b"")
    text = "id,genre,file,audio\n1,Rock,a.npy,x.mp3\n2,Folk,b.npy,y.mp3\n"
    with pytest.raises(DataError, match=r"2 of 2 embeddings do not exist \(first: .*a.npy\)"):
        load(tmp_path, 'table = "t.csv"\nembeddings = "file"\n', t__csv=text)
    with pytest.raises(DataError, match=r"none of 2 audio files exists \(first: .*x.mp3\)"):
        load(tmp_path, 'table = "t.csv"\naudio = "audio"\n', t__csv=text)


def test_audio_paths_count_from_the_toml(tmp_path):
    (tmp_path / "x.mp3").write_bytes(b"")
    loaded = load(
        tmp_path, 'table = "t.csv"\naudio = "file"\n', t__csv="id,file\n1,x.mp3\n2,y.mp3\n3,\n"
    )
    assert loaded.tracks.path.tolist() == [str(tmp_path / "x.mp3"), str(tmp_path / "y.mp3"), ""]
    assert any("2 of 3 tracks have no audio file (first: " in note for note in loaded.notes)


def test_bad_embeddings_are_refused(tmp_path):
    toml, text = 'table = "t.csv"\nembeddings = "file"\n', "id,file\n1,a.npy\n2,b.npy\n3,c.npy\n"
    for name, size in (("a", 4), ("b", 4), ("c", 5)):
        np.save(tmp_path / f"{name}.npy", np.zeros(size))
    with pytest.raises(DataError, match=r"1 of 3 .*another shape than \(4,\).*c.npy with \(5,\)"):
        load(tmp_path, toml, t__csv=text)
    np.save(tmp_path / "c.npy", np.zeros((0, 4)))
    with pytest.raises(DataError, match=r"1 of 3 embeddings are empty \(first: .*c.npy"):
        load(tmp_path, toml, t__csv=text)
    (tmp_path / "c.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"c.npy is no array of numpy"):
        load(tmp_path, toml, t__csv=text)


def test_a_pickle_is_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    np.save(tmp_path / "a.npy", np.array([Bomb()], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"a.npy is no array of numpy"):
        load(tmp_path, 'table = "t.csv"\nembeddings = "file"\n', t__csv="id,file\n1,a.npy\n")
    assert not (tmp_path / "exploded").exists()


def test_a_join_that_fits_nowhere_or_twice_is_refused(tmp_path):
    toml = 'table = "tracks.csv"\njoin = [{ table = "o.csv" }]\n'
    with pytest.raises(DataError, match=r"no 'track_id' of .*'11' and '1'"):
        load(tmp_path, toml, tracks__csv=HEAD + ROWS, o__csv="track_id,x\n1,2\n")
    with pytest.raises(
        DataError, match=r"o.csv: 1 values of 'track_id' occur more than once \(first: 12\)"
    ):
        load(tmp_path, toml, tracks__csv=HEAD + ROWS, o__csv="track_id,x\n12,2\n12,3\n")


def test_a_parquet_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"t.parquet is not a readable Parquet file"):
        load(tmp_path, 'table = "t.parquet"\n', t__parquet=b"PAR1")
    with pytest.raises(DataError, match=r"t.xlsx is no table"):
        load(tmp_path, 'table = "t.xlsx"\n', t__xlsx=b"")


# Real tables -----------------------------------------------------------------------------------


SMALL = """
features = ["zcr_*", "spec_*", "mfcc_*"]
log1p = "*_var*"
album = "artist_run"
join = [{ table = "fma_medium_tracks.csv.gz" }]
"""


def real(shared_data, name, **more):
    return table.read(parse({"table": name, **more}), shared_data)


def test_fma_medium(shared_data):
    tracks = real(shared_data, "fma_medium_tracks.csv.gz", album="artist_run").tracks
    counts = [int((tracks.split == name).sum()) for name in ("training", "validation", "test")]
    assert (len(tracks), counts) == (24_983, [19_907, 2_504, 2_572])
    assert int((tracks.artist_id >= 0).sum()) == 7_904
    # Test tracks by genre as FMA's own notebook prints them: no genre may exceed them.
    printed = {"Rock": 711, "International": 102, "Folk": 152, "Experimental": 225,
               "Instrumental": 174, "Pop": 119, "Hip-Hop": 220, "Electronic": 632, "Soul-RnB": 42,
               "Blues": 8, "Old-Time / Historic": 51, "Jazz": 39, "Country": 18, "Classical": 62,
               "Spoken": 12, "Easy Listening": 6}  # fmt: skip
    test = tracks.in_split("test")
    found = dict(zip(test.genres, test.counts.tolist(), strict=True))
    assert found.keys() == printed.keys()
    assert all(found[genre] <= printed[genre] for genre in printed)


def test_fma_mfcc(shared_data):
    loaded = real(
        shared_data,
        "fma_mfcc_2000.csv.gz",
        header_rows=3,
        features="mfcc_*",
        album="artist_run",
        join=[{"table": "fma_medium_tracks.csv.gz"}],
    )
    assert loaded.features.spec.shape == (140,)
    assert any("10 of 2,000 tracks with NaN" in note for note in loaded.notes)
    tracks = loaded.tracks
    assert (len(tracks), int((tracks.artist_id >= 0).sum())) == (1_990, 1_975)
    assert tracks.genres == ("Hip-Hop", "Rock")
    with gzip.open(shared_data / "fma_mfcc_2000.csv.gz", "rt") as file:
        row = next(row for row in csv.reader(file) if row[0] == "777")
    values, _ = loaded.features.read(np.array([777]))
    np.testing.assert_array_equal(values[0], np.array(row[1:], "f4"))


def test_fma_small_trains_from_a_toml(shared_data, tmp_path):
    for name in ("fma_small_46.csv.gz", "fma_medium_tracks.csv.gz"):
        (tmp_path / name).symlink_to(shared_data / name)
    path = write(tmp_path, 'table = "fma_small_46.csv.gz"' + SMALL, x=b"")
    torch.set_num_threads(1)
    result = CliRunner().invoke(
        app, ["train", str(path), "--out", str(tmp_path / "run"), "--json", "--no-controls",
              "--set", "training.epochs=2", "--set", "training.threads=1"]
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    rows = told["scores"]["scores"]["rows"]
    assert rows[0]["n"] > 300
    assert rows[0]["accuracy"] > 2 * rows[-1]["accuracy"]
    manifest = Run.open(tmp_path / "run").manifest
    assert manifest["audit"]["artists across splits"] == 0
    assert manifest["audit"]["near-duplicate pairs"] > 0
    assert "93 of 7,997 tracks have no artist" in manifest["data_notes"]
    assert "93 of 7,997 tracks have no artist" in (tmp_path / "run" / "report.html").read_text()


def test_jamendo_goes_end_to_end_with_several_genres(shared_data):
    loaded = real(shared_data, "mtg_jamendo_genre_split0.tsv.gz", genre="tags", genre_separator="|")
    tracks = loaded.tracks
    assert (len(tracks), len(tracks.genres), tracks.multi_label) == (55_094, 87, True)
    assert (len(np.unique(tracks.artist_id)), len(np.unique(tracks.album_id))) == (3_546, 11_186)
    assert tracks.columns["track"][0] == "track_0000241"
    assert tracks.track_id[0] == stable_id("track_0000241")
    rng = np.random.default_rng(0)
    some = tracks.take(np.sort(rng.permutation(len(tracks))[:3000]))
    # Random numbers, but for one genre that can be heard.
    rock = some.labels[:, some.genres.index("rock")]
    values = rng.standard_normal((len(some), 5)).astype("f4")
    values[:, 3] += 3 * rock
    features = FeatureStore.from_arrays("random", some.track_id, values)
    train = Bags.from_tracks(some, split="training").labelled()
    test = Bags.from_tracks(some, split="test")
    assert train.multi_label
    model = NeuralClassifier(training=TrainingSettings(epochs=8, lr=0.01, threads=1))
    predictions = model.fit(features, train).predict(features, some, test)
    assert predictions.link == "sigmoid"
    scores = score(predictions)
    by_genre = {genre.genre: genre for genre in scores.genres}
    prior = by_genre["rock"].n / scores.n
    assert by_genre["rock"].average_precision > 2 * prior
    assert np.isnan(scores.accuracy)
    assert scores.macro_ap > score(majority(predictions)).macro_ap
    undefined = [genre for genre in scores.genres if np.isnan(genre.average_precision)]
    assert all(genre.n == 0 for genre in undefined)


def test_a_multi_label_table_trains_from_the_command_line(tmp_path):
    rng = np.random.default_rng(1)
    lines = ["song,artist,album,tags,f_a,f_b,f_c"]
    for i in range(160):
        artist = i // 4
        tags = [["Rock"], ["Folk"], ["Rock", "Folk"]][artist % 3]
        x = np.array([2.0 * ("Rock" in tags), 2.0 * ("Folk" in tags), 0]) + rng.standard_normal(3)
        lines.append(",".join([f"s{i}", f"a{artist}", f"b{artist}", "|".join(tags), *map(str, x)]))
    toml = (
        'table = "t.csv"\ntrack = "song"\ngenre = "tags"\ngenre_separator = "|"\nfeatures = "f_*"\n'
    )
    path = write(tmp_path, toml, t__csv="\n".join(lines) + "\n")
    torch.set_num_threads(1)
    result = CliRunner().invoke(
        app, ["train", str(path), "--out", str(tmp_path / "run"), "--json",
              "--set", "training.epochs=20", "--set", "training.lr=0.01", "--set", "training.threads=1"]
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    genres = {row["genre"]: row["AP"] for row in told["scores"]["genres"]["rows"]}
    assert min(genres.values()) > 0.9
    assert told["scores"]["scores"]["rows"][0]["accuracy"] is None


def test_tables_train_or_say_why_not(tmp_path):
    path = write(tmp_path, 'table = "tracks.csv"\n', tracks__csv=HEAD + ROWS)
    for source, message in (
        (path, "names neither features nor audio"),
        (tmp_path / "tracks.csv", "describe a table by a small TOML"),
    ):
        result = CliRunner().invoke(app, ["train", str(source), "--out", str(tmp_path / "run")])
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())


def test_dropped_tracks_are_named_as_the_table_names_them(tmp_path):
    rows = "id,artist,genre,f\nta,Ann,Folk,1\ntb,Bob,Rock,\ntc,Cy,Rock,3\n"
    path = write(tmp_path, 'table = "t.csv"\ntrack = "id"\nfeatures = "f"\n', t__csv=rows)
    assert any("(first: tb; f is empty)" in note for note in table.load(path).notes)
    path.write_text(path.read_text() + 'not_finite = "error"\n')
    with pytest.raises(DataError, match=r"1 of 3 tracks hold NaN.*first: tb; f is empty\)"):
        table.load(path)


# Names, words and repeated rows


NAMES_HEAD = "track_id,artist,album,genre,f_1\n"


def names(folder, rows, more=""):
    text = NAMES_HEAD + "".join(f"{i},{row},{i}\n" for i, row in enumerate(rows, start=1))
    return load(folder, THREE_LINES + more, tracks__csv=text)


def test_names_that_mean_the_same_are_one(tmp_path):
    rows = ["Ann,Hits (CD1),Rock", "ANN,Hits [Disc 2],ROCK", "Ann feat. Bob,hits,rock ",
            '"Beatles, The",Help!,Hip-Hop', "The Beatles,Help!,hip hop", "Bob,Solo,HipHop"]  # fmt: skip
    loaded = names(tmp_path, rows)
    tracks = loaded.tracks
    assert tracks.genres == ("Hip-Hop", "Rock")
    assert tracks.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert Bags.from_tracks(tracks).sizes.tolist() == [3, 2, 1]
    assert tracks.artist_id[0] == stable_id("Ann")
    assert str(tracks.artist_id[5]) in tracks.columns["all_artists"][2].split()
    assert any("2 artists go by several names" in note for note in loaded.notes)
    assert any("2 genres are spelled in several ways" in note for note in loaded.notes)
    left = names(tmp_path, rows, "merge = false\n").tracks
    assert len(left.genres) == 6
    assert left.artist_id.tolist() == [
        stable_id(name)
        for name in ("Ann", "ANN", "Ann feat. Bob", "Beatles, The", "The Beatles", "Bob")
    ]


def test_ids_are_no_names(tmp_path):
    text = "track_id,artist_id,genre,f_1\n1,aB,Rock,1\n2,Ab,Rock,2\n"
    tracks = load(tmp_path, tracks__csv=text).tracks
    assert tracks.artist_id.tolist() == [stable_id("aB"), stable_id("Ab")]


@pytest.mark.parametrize(
    "word", ["NA", "-", "?", "unknown", "Artiste inconnu", "\u672a\u77e5", "N/A", "<unknown>"]
)
def test_words_for_nothing_are_missing(tmp_path, word):
    loaded = names(tmp_path, [f"{word},{word},{word}", f"{word},{word},{word}", "Ann,Hits,Rock"])
    tracks = loaded.tracks
    assert tracks.genres == ("Rock",)
    assert tracks.labels.tolist() == tracks.artist_id.clip(max=0).tolist() == [-1, -1, 0]
    assert tracks.album_id[:2].tolist() == [-1, -1]
    assert any("2 of 3 tracks have no genre" in note for note in loaded.notes)


def test_a_guest_of_nobody_is_no_artist(tmp_path):
    nobody = ["Unknown Artist feat. Bob", "VA & Friends", "Various Artists (feat. Bob)"]
    tracks = names(tmp_path, [f"{who},Hits,Rock" for who in (*nobody, "Bob", "Ann")]).tracks
    assert (tracks.artist_id < 0).tolist() == [True] * 3 + [False] * 2
    bob = str(tracks.artist_id[3])
    assert tracks.columns["all_artists"].tolist() == [bob, "", bob, "", ""]
    assert len(set(tracks.artist_id)) == 3


def test_other_is_no_genre_unless_it_is_wanted(tmp_path):
    rows = ["Ann,Hits,Other", "Bob,Hits,Rock", "Various Artists,Hits,255"]
    loaded = names(tmp_path, rows)
    assert loaded.tracks.labels.tolist() == [-1, 0, -1]
    assert loaded.tracks.artist_id[2] == -1
    assert any("read as no genre: '255' 1, 'Other' 1" in note for note in loaded.notes)
    assert names(tmp_path, rows, 'genres = ["Rock", "Other"]\n').tracks.labels.tolist() == [
        1,
        0,
        -1,
    ]
    (tmp_path / "mine.toml").write_text('unknown = ["Rock"]\nnames = ["Other"]\n')
    assert names(tmp_path, rows, 'words = "mine.toml"\n').tracks.genres == ("Other",)


def test_a_vocabulary_reads_the_genres_of_a_table(tmp_path):
    rows = ["Ann,A,Hip-Hop", "Bob,B,Rap", "Cleo,C,Klassik", "Dan,D,Emo", "Eve,E,Other"]
    as_written = names(tmp_path, rows).tracks.genres
    assert as_written == ("Emo", "Hip-Hop", "Klassik", "Rap")
    loaded = names(tmp_path, rows, "vocabulary = true\n")
    assert loaded.tracks.genres == ("Classical", "Emo", "Hip-Hop")
    assert loaded.tracks.labels.tolist() == [2, 2, 0, 1, -1]
    assert any("3 names of genres are read by the vocabulary" in note for note in loaded.notes)
    (tmp_path / "mine.toml").write_text("minimum_albums = 2\n")
    own = names(tmp_path, rows, 'vocabulary = "mine.toml"\n').tracks
    assert own.genres == ("Classical", "Hip-Hop", "Rock")
    wanted = 'vocabulary = true\ngenres = ["Rap", "Hip-Hop"]\n'
    assert names(tmp_path, rows, wanted).tracks.labels.tolist() == [1, 0, -1, -1, -1]
    with pytest.raises(ConfigError, match=r"none\.toml does not exist"):
        names(tmp_path, rows, 'vocabulary = "none.toml"\n')
    listed = 'vocabulary = true\ngenre_separator = "|"\n'
    several = names(tmp_path, ["A,A,Rap|Rock/Pop", "B,B,Rock"], listed).tracks
    assert several.genres == ("Hip-Hop", "Pop", "Rock")
    assert several.labels.tolist() == [[True, True, True], [False, False, True]]


def test_rare_genres_become_unknown_and_are_counted(tmp_path):
    rows = ["A,,Rock", "B,,Rock", "C,,Folk", "D,,Ska", "E,,Rock"]
    loaded = names(tmp_path, rows, "min_tracks = 2\n")
    assert loaded.tracks.genres == ("Rock",)
    assert loaded.tracks.labels.tolist() == [0, 0, -1, -1, 0]
    assert any(
        "2 genres have fewer than 2 tracks and count as unknown, 2 labels in all ('Folk' 1, 'Ska' 1)"
        in note
        for note in loaded.notes
    )
    several = names(tmp_path, ["A,,Rock;Ska", "B,,Rock"], 'min_tracks = 2\ngenre_separator = ";"\n')
    assert several.tracks.labels.tolist() == [[True], [True]]


@given(
    rows=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["", "Ann"]), st.sampled_from(["", "Rock"])),
        min_size=1,
        max_size=9,
    ),
    how=st.sampled_from(["first", "best_known"]),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_of_repeated_rows_one_is_kept(tmp_path, rows, how):
    text = "track_id,artist,genre,f_1\n"
    text += "".join(f"{i},{a},{g},{k}\n" for k, (i, a, g) in enumerate(rows))
    found = load(tmp_path, f'{THREE_LINES}repeated = "{how}"\n', tracks__csv=text)
    kept = {}
    for k, (i, a, g) in enumerate(rows):
        rank = (how == "best_known") * (bool(a) + bool(g))
        if i not in kept or rank > kept[i][0]:
            kept[i] = rank, k
    expected = sorted(k for _, k in kept.values())
    assert found.features.read(found.tracks.track_id)[0][:, 0].tolist() == expected
    said = [note for note in found.notes if "repeat a track" in note]
    assert bool(said) == (len(kept) < len(rows))


def test_lines_are_those_of_the_file_though_rows_are_left_out(tmp_path):
    text = "track_id,split,genre,f_1\n1,train,Rock,1\n1,train,Rock,2\n2,dve,Rock,3\n"
    with pytest.raises(DataError, match="line 4 of"):
        load(tmp_path, THREE_LINES + 'repeated = "first"\n', tracks__csv=text)


def test_tracks_are_known_without_their_files(tmp_path):
    text = "track_id,audio,genre\nx,far/x.mp3,Rock\ny,far/y.mp3,Folk\n"
    path = write(tmp_path, 'table = "t.csv"\naudio = "audio"\n', t__csv=text)
    with pytest.raises(DataError, match="none of 2 audio files exists"):
        table.load(path)
    tracks = table.load(path, files=False).tracks
    assert [place.endswith(f"far/{name}.mp3") for place, name in zip(tracks.path, "xy")] == [
        True
    ] * 2
