"""Folders of genres: safe names, nothing written over, one tidy row a track."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import ConfigError, DataError, Tracks
from matt.datasets.export import export_by_genre
from matt.datasets.names import Names, safe_file_name, safe_name

GENRES = ("Rock", "Old-Time / Historic", "Old-Time : Historic", "../../etc", "rock", "Unused")
FILES = ("a/01.mp3", "b/01.mp3", "b/01.MP3", "c/tune.flac", "c/other.ogg", "d/x.wav", "d/y.wav")
LABELS = [0, 0, 0, 1, 2, 3, 4]


@pytest.fixture
def tracks(tmp_path):
    """Seven files of five genres whose names collide or would lead elsewhere, and one unlabelled."""
    paths = [tmp_path / "music" / file for file in (*FILES, "e/z.mp3")]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound %d" % i)
    return Tracks(
        np.arange(8) + 20,
        [*LABELS, -1],
        GENRES,
        artist_id=[1, 1, 2, 2, 3, 3, 4, -1],
        album_id=np.arange(8) // 2,
        split=["training", "test"] * 4,
        path=[str(path) for path in paths],
        columns={"title": ["a", 'say "b"', "c\nd", "=1+1", "", "é", "g", "h"], "genre": ["x"] * 8},
    )


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if not p.is_dir())


def test_copies_lie_in_the_folder_of_their_genre_and_nowhere_else(tracks, tmp_path):
    out = tmp_path / "out"
    before = files_in(tmp_path)
    done = export_by_genre(tracks, out, audio="copy")
    assert files_in(out) == sorted(
        [
            "Rock/01.mp3",
            "Rock/01 (2).mp3",
            "Rock/01 (3).MP3",  # the same name where letter case does not count
            "Old-Time - Historic/tune.flac",
            "Old-Time - Historic (2)/other.ogg",
            "etc/x.wav",
            "rock (2)/y.wav",
            "unknown genre/z.mp3",
            "tracks.csv",
            "tracks.parquet",
        ]
    )
    assert [f for f in files_in(tmp_path) if not f.startswith("out/")] == before
    assert len(done.entries) == 8
    assert (done.present, done.missing, done.taken) == ((), (), ())
    for entry in done.entries:
        assert (out / entry.target).read_bytes() == entry.source.read_bytes()
        assert not (out / entry.target).is_symlink()


def test_links_lead_to_the_audio(tracks, tmp_path):
    done = export_by_genre(tracks, tmp_path / "out", audio="link")
    for entry in done.entries:
        assert (tmp_path / "out" / entry.target).is_symlink()
        assert (tmp_path / "out" / entry.target).resolve() == entry.source.resolve()


def test_links_from_relative_paths_lead_to_the_audio(tracks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = Tracks(
        tracks.track_id, tracks.labels, GENRES, path=[os.path.relpath(p) for p in tracks.path]
    )
    done = export_by_genre(relative, "out", audio="link")
    assert len(done.entries) == 8
    assert (tmp_path / "out" / "Rock" / "01.mp3").read_bytes() == b"sound 0"


def test_the_table_has_one_tidy_row_a_track(tracks, tmp_path):
    done = export_by_genre(tracks, tmp_path / "out", audio="copy")
    table = pd.read_csv(tmp_path / "out" / "tracks.csv", keep_default_na=False)
    assert table.columns[:3].tolist() == ["track_id", "genre", "split"]
    assert table.track_id.tolist() == tracks.track_id.tolist()
    assert table.genre.tolist() == [*(GENRES[label] for label in LABELS), ""]
    assert table.title.tolist() == tracks.columns["title"].tolist()
    assert table.genre_given.tolist() == ["x"] * 8  # a column of that name is kept, under another
    assert table.file.tolist() == [entry.target for entry in done.entries]
    parquet = pq.read_table(tmp_path / "out" / "tracks.parquet").to_pandas()
    assert parquet.columns.tolist() == table.columns.tolist()
    assert parquet.title.tolist() == table.title.tolist()


def test_without_audio_there_is_the_table_alone(tracks, tmp_path):
    done = export_by_genre(tracks, tmp_path / "out")
    assert files_in(tmp_path / "out") == ["tracks.csv", "tracks.parquet"]
    assert done.entries == ()
    assert done.folders["../../etc"] == "etc"
    assert "Unused" not in done.folders


def test_a_dry_run_says_the_same_and_writes_nothing(tracks, tmp_path):
    dry = export_by_genre(tracks, tmp_path / "out", audio="copy", dry_run=True)
    assert not (tmp_path / "out").exists()
    wet = export_by_genre(tracks, tmp_path / "out", audio="copy")
    assert dry.entries == wet.entries
    assert (dry.dry_run, wet.dry_run) == (True, False)


@pytest.mark.parametrize("audio", ["link", "copy"])
def test_the_same_call_again_finds_everything_there(tracks, tmp_path, audio):
    first = export_by_genre(tracks, tmp_path / "out", audio=audio)
    stamps = [(tmp_path / "out" / f).lstat().st_mtime_ns for f in files_in(tmp_path / "out")]
    again = export_by_genre(tracks, tmp_path / "out", audio=audio)
    assert again.present == first.entries
    assert again.entries == ()
    assert stamps == [
        (tmp_path / "out" / f).lstat().st_mtime_ns for f in files_in(tmp_path / "out")
    ]


@pytest.mark.parametrize("audio", ["link", "copy"])
def test_what_is_in_the_way_stays_as_it_is(tracks, tmp_path, audio):
    out = tmp_path / "out"
    (out / "Rock").mkdir(parents=True)
    (out / "Rock" / "01.mp3").write_bytes(b"mine, and longer than the other")
    (out / "etc").write_bytes(b"a file where a folder should be")
    (out / "rock (2)").mkdir()
    (out / "rock (2)" / "y.wav").symlink_to(tmp_path / "nowhere")
    done = export_by_genre(tracks, out, audio=audio)
    assert {entry.target for entry in done.taken} == {"Rock/01.mp3", "etc/x.wav", "rock (2)/y.wav"}
    assert (out / "Rock" / "01.mp3").read_bytes() == b"mine, and longer than the other"
    assert (out / "etc").read_bytes() == b"a file where a folder should be"
    assert not (tmp_path / "nowhere").exists()  # no link was followed
    assert len(done.entries) == 5


def test_missing_audio_is_listed_and_the_rest_is_made(tracks, tmp_path):
    Path(tracks.path[3]).unlink()
    done = export_by_genre(tracks, tmp_path / "out", audio="link")
    assert [entry.track_id for entry in done.missing] == [23]
    assert len(done.entries) == 7
    assert not os.path.lexists(tmp_path / "out" / "Old-Time - Historic" / "tune.flac")


@pytest.mark.parametrize("name", ["tracks.csv", "tracks.parquet"])
def test_a_table_that_is_somebody_elses_is_an_error(tracks, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(b"mine")
    with pytest.raises(DataError, match=f"{name} is there already .* name another folder"):
        export_by_genre(tracks, tmp_path / "out", audio="copy")
    assert files_in(tmp_path / "out") == [name]
    assert (tmp_path / "out" / name).read_bytes() == b"mine"


def test_a_track_of_several_genres_is_in_each_folder(tracks, tmp_path):
    labels = np.zeros((3, 4), bool)
    labels[0, [0, 2]] = labels[1, 2] = True
    some = Tracks([7, 8, 9], labels, ("a", "b", "c", "d"), path=tracks.path[:3])
    export_by_genre(some, tmp_path / "out", audio="copy")
    found = [f for f in files_in(tmp_path / "out") if "/" in f]
    assert found == ["a/01.mp3", "c/01 (2).mp3", "c/01.mp3", "unknown genre/01.MP3"]
    table = pd.read_csv(tmp_path / "out" / "tracks.csv", keep_default_na=False)
    assert table.genre.tolist() == ["a; c", "c", ""]
    assert table.file.tolist()[0] == "a/01.mp3; c/01.mp3"


def test_no_audio_at_all_is_an_error(tmp_path):
    tracks = Tracks([1, 2], [0, 0], ("a",))
    with pytest.raises(DataError, match="none of 2 tracks has a path to audio; name its folder"):
        export_by_genre(tracks, tmp_path / "out", audio="link")
    assert not (tmp_path / "out").exists()


def test_unknown_audio_is_an_error(tracks, tmp_path):
    with pytest.raises(ConfigError, match="unknown audio 'links'; did you mean 'link'"):
        export_by_genre(tracks, tmp_path / "out", audio="links")


def test_names_that_are_no_text_do_not_stop_the_table(tmp_path):
    tracks = Tracks([1, 2, 3], [0, 0, 0], ("a",), columns={"title": ["x", "caf\udce9", "y"]})
    export_by_genre(tracks, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "tracks.csv")
    assert table.title.tolist() == ["x", "caf?", "y"]


@given(st.text(max_size=300))
def test_a_safe_name_is_one_plain_name_everywhere(text):
    name = safe_name(text)
    assert name == safe_name(name)
    assert 0 < len(name.encode()) <= 101
    assert not set(name) & set('/\\:*?"<>|\n\t\0')
    assert name[0] not in ".- "
    assert name[-1] not in ". "
    assert Path(name).name == name


@pytest.mark.parametrize(
    ("given_name", "wanted"),
    [
        ("con", "con_"),
        ("COM1.mix", "COM1.mix_"),
        ("Console", "Console"),
        ("...", "unnamed"),
        ("", "unnamed"),
        (" Drum  & Bass\n", "Drum & Bass"),
        ("-rf", "rf"),
        ("a\u202egpj", "agpj"),
        ("e\u0301", "é"),
        ("x" * 300, "x" * 100),
    ],
)
def test_safe_names_of_hard_cases(given_name, wanted):
    assert safe_name(given_name) == wanted


def test_a_file_keeps_a_plain_suffix():
    assert safe_file_name(Path("a/b/Hello: you?.mp3")) == "Hello- you-.mp3"
    assert safe_file_name(Path(".hidden")) == "hidden"


@given(st.lists(st.sampled_from(["a.mp3", "A.mp3", "a (2).mp3", "b"]), max_size=25))
def test_names_in_one_folder_all_differ(wanted):
    names = Names(taken=["b"])
    told = [names.new(name) for name in wanted]
    assert len({name.casefold() for name in [*told, "b"]}) == len(told) + 1
