"""MTG-Jamendo's tables: as published and merged, crafted, broken, and the real one."""

import gzip
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from matt import Bags, DataError
from matt.cli.app import app
from matt.datasets import table
from matt.datasets.jamendo import is_jamendo, load_tracks
from matt.tracks import stable_id

HEAD = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
PARTS = ("train", "validation", "test")
MEANING = dict(zip(PARTS, ("training", "validation", "test"), strict=True))


def row(track, artist, album, *tags, duration="210.5"):
    return (
        f"track_{track:07}",
        f"artist_{artist:06}",
        f"album_{album:06}",
        f"{track % 100:02}/{track}.mp3",
        duration,
        *tags,
    )


def write(path, rows, head=HEAD, *, ends="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join("\t".join(cells) + ends for cells in (head, *rows)).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


ROWS = {
    "train": [
        row(214, 14, 31, "genre---punkrock", "genre---rock"),
        row(215, 14, 31, "genre---rock", "instrument---guitar", "mood/theme---dark"),
        row(9, 2, 5, "genre---ambient"),
    ],
    "validation": [row(400, 3, 7, "genre---rock")],
    "test": [
        row(500, 4, 8, "genre---ambient", "genre---rock"),
        row(501, 4, 8, "mood/theme---dark"),
    ],
}


def repository(root, rows=ROWS, *, split=0, stem="autotagging_genre", suffix=".tsv", ends="\n"):
    for part in PARTS:
        place = root / "data" / "splits" / f"split-{split}"
        write(place / f"{stem}-{part}{suffix}", rows[part], ends=ends)
    every = [line for part in PARTS for line in rows[part]]
    write(root / "data" / f"{stem}{suffix}", every, ends=ends)
    return root


def names(tracks):
    return [
        {genre for genre, has in zip(tracks.genres, some, strict=True) if has}
        for some in tracks.labels
    ]


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_published_tables_are_read_wherever_they_are_named(tmp_path, suffix, ends):
    repository(tmp_path, suffix=suffix, ends=ends)
    for named in ("", "data", "data/splits/split-0", f"data/autotagging_genre{suffix}"):
        assert is_jamendo(tmp_path / named)
        tracks = load_tracks(tmp_path / named)
        assert tracks.genres == ("ambient", "punkrock", "rock")
        assert names(tracks) == [
            {"punkrock", "rock"}, {"rock"}, {"ambient"}, {"rock"}, {"ambient", "rock"}, set(),
        ]  # fmt: skip
        assert tracks.split.tolist() == ["training"] * 3 + ["validation"] + ["test"] * 2
        assert tracks.columns["track"][0] == "track_0000214"
        assert tracks.track_id[0] == stable_id("track_0000214")
        assert tracks.artist_id[0] == stable_id("artist_000014") == tracks.artist_id[1]
        assert tracks.album_id[3] == stable_id("album_000007")
        assert tracks.columns["duration"].tolist() == [210.5] * 6
        assert (tracks.path == "").all()
    assert len(Bags.from_tracks(tracks, split="training")) == 2


def test_a_split_is_chosen_and_a_table_without_splits_has_none(tmp_path):
    turned = {"train": ROWS["test"], "validation": ROWS["train"], "test": ROWS["validation"]}
    repository(tmp_path)
    repository(tmp_path, turned, split=3)
    whole = tmp_path / "data" / "autotagging_genre.tsv"
    for named in (tmp_path, whole):
        assert (load_tracks(named, split=3).split == "training").sum() == 2
        assert (load_tracks(named).split == "training").sum() in (2, 3)
    assert (load_tracks(tmp_path / "data/splits/split-3").split == "validation").sum() == 3
    with pytest.raises(DataError, match="no tables of split 2"):
        load_tracks(tmp_path, split=2)
    with pytest.raises(DataError, match="names no splits, and there are no tables of split 1"):
        load_tracks(whole, split=1)
    with pytest.raises(DataError, match="split 5 is none of MTG-Jamendo's; give 0 to 4"):
        load_tracks(tmp_path, split=5)
    alone = write(tmp_path / "elsewhere" / "autotagging_genre.tsv", ROWS["train"])
    assert (load_tracks(alone).split == "").all()


def test_kinds_of_tags_are_told_apart(tmp_path):
    place = write(tmp_path / "autotagging.tsv", [*ROWS["train"], *ROWS["test"]])
    assert load_tracks(place, kind="instrument").genres == ("guitar",)
    assert load_tracks(place, kind="mood/theme").counts.tolist() == [2]
    with pytest.raises(DataError, match="unknown kind of tags 'mood'; known: genre, instrument"):
        load_tracks(place, kind="mood")
    less = write(tmp_path / "less.tsv", ROWS["validation"])
    with pytest.raises(DataError, match="no track has a tag of the kind 'instrument'"):
        load_tracks(less, kind="instrument")


def merged(rows=ROWS):
    head = ("split", *(name.lower() for name in HEAD))
    told = [
        (MEANING[part].replace("training", "train"), *line[:5], "|".join(t.partition("---")[2] for t in line[5:]))
        for part in PARTS
        for line in rows[part]
    ]  # fmt: skip
    return head, told


def test_the_merged_table_is_the_same(tmp_path):
    genres = {part: [line for line in ROWS[part] if "mood" not in str(line)] for part in PARTS}
    published = load_tracks(repository(tmp_path / "there", genres))
    head, rows = merged(genres)
    one = load_tracks(write(tmp_path / "merged.tsv", rows, head))
    for name in ("track_id", "artist_id", "album_id", "labels", "split"):
        np.testing.assert_array_equal(getattr(one, name), getattr(published, name))
    assert one.genres == published.genres


def test_audio_files_that_are_there_are_found(tmp_path):
    repository(tmp_path)
    audio = tmp_path / "audio"
    for name in ("14/214.mp3", "00/400.mp3"):
        (audio / name).parent.mkdir(parents=True)
        (audio / name).write_bytes(b"")
    tracks = load_tracks(tmp_path, audio=audio)
    assert tracks.path[0] == str(audio / "14/214.mp3")
    assert (tracks.path != "").tolist() == [True, False, False, True, False, False]
    with pytest.raises(DataError, match="none of 6 audio files is under"):
        load_tracks(tmp_path, audio=tmp_path / "data")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("test", [row(600, 14, 99, "genre---rock")], r"1 artists are in more than one split \(artist_000014\)"),
        ("test", [row(400, 9, 99, "genre---rock")], "test.tsv: track_0000400 is in the validation table, too"),
        ("train", [row(1, 1, 1, "genre---rock"), row(1, 1, 1, "genre---rock")], "line 3: track_0000001 is on line 2, too"),
        ("train", [row(1, 1, 1, "genre---rock", duration="long")], "line 2: the duration 'long' is no number"),
        ("train", [row(1, 1, 1, "genre---rock", duration="-3")], "line 2: the duration '-3' is none"),
        ("train", [("track_1", "artist_1")], "line 2: 2 cells for 6 columns"),
        ("train", [("", "a", "b", "c", "1", "genre---rock")], "line 2: no track is named"),
        ("train", [("t", "a", "b", '"c', "1", "genre---rock")], "line 2: .*; copy the table again"),
    ],
    ids=["artist", "two splits", "twice", "duration", "negative", "short", "nameless", "quote"],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path, part, change, message):
    repository(tmp_path, {**ROWS, part: change})
    with pytest.raises(DataError, match=message):
        load_tracks(tmp_path)


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_tracks(tmp_path / "no.tsv")
    with pytest.raises(DataError, match="holds no tables of MTG-Jamendo"):
        load_tracks(tmp_path)
    other = tmp_path / "other.tsv"
    other.write_text("track_id\tgenre\n1\tRock\n")
    with pytest.raises(DataError, match="has no column artist_id, album_id, path"):
        load_tracks(other)
    cut = tmp_path / "cut.tsv.gz"
    cut.write_bytes(gzip.compress(b"TRACK_ID\tx\n" * 1000)[:40])
    with pytest.raises(DataError, match=r"cut\.tsv\.gz"):
        load_tracks(cut)
    for path in (other, cut, tmp_path):
        assert not is_jamendo(path)
    repository(tmp_path / "part")
    (tmp_path / "part/data/splits/split-0/autotagging_genre-test.tsv").unlink()
    with pytest.raises(DataError, match=r"has no table autotagging_genre-test\.tsv"):
        load_tracks(tmp_path / "part")
    head, rows = merged()
    rows = [("dev-clean", *rows[0][1:])]
    with pytest.raises(DataError, match="line 2: unknown split 'dev-clean'"):
        load_tracks(write(tmp_path / "m.tsv", rows, head))


NAMES = (
    st.text(string.ascii_letters + "\u00e9&' ", min_size=1, max_size=8).map(str.strip).filter(bool)
)


@settings(max_examples=40)
@given(st.lists(st.lists(NAMES, max_size=4), min_size=1, max_size=9), st.data())
def test_any_tags_come_back(tmp_path_factory, tags, data):
    place = tmp_path_factory.mktemp("tables")
    parts = data.draw(st.lists(st.sampled_from(PARTS), min_size=len(tags), max_size=len(tags)))
    rows = {part: [] for part in PARTS}
    for i, (some, part) in enumerate(zip(tags, parts, strict=True)):
        rows[part].append(row(i, i, i, *(f"genre---{tag}" for tag in some)))
    repository(place, rows)
    if not any(tags):
        with pytest.raises(DataError, match="no track has a tag"):
            load_tracks(place)
        return
    tracks = load_tracks(place)
    expected = {f"track_{i:07}": set(some) for i, some in enumerate(tags)}
    assert dict(zip(tracks.columns["track"].tolist(), names(tracks), strict=True)) == expected
    told = {f"track_{i:07}": MEANING[part] for i, part in enumerate(parts)}
    assert dict(zip(tracks.columns["track"].tolist(), tracks.split.tolist(), strict=True)) == told


def test_the_command_line_takes_the_tables(tmp_path):
    repository(tmp_path)
    result = CliRunner().invoke(app, ["audit", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    assert "tables of MTG-Jamendo: 6 tracks" in result.stderr
    refused = CliRunner().invoke(app, ["audit", str(tmp_path), "--artist", "composer"])
    assert refused.exit_code != 0


def test_the_real_table_has_no_artist_in_two_splits(shared_data):
    path = shared_data / "mtg_jamendo_genre_split0.tsv.gz"
    tracks = load_tracks(path)
    assert (len(tracks), len(tracks.genres), tracks.multi_label) == (55_094, 87, True)
    assert (len(np.unique(tracks.artist_id)), len(np.unique(tracks.album_id))) == (3_546, 11_186)
    assert [int((tracks.split == s).sum()) for s in ("training", "validation", "test")] == [
        32_572, 11_043, 11_479,
    ]  # fmt: skip
    assert tracks.labelled.all()
    settings_ = table.TableSettings(table=path.name, genre="tags", genre_separator="|")
    as_table = table.read(settings_, shared_data).tracks
    assert as_table.genres == tracks.genres
    for name in ("track_id", "artist_id", "album_id", "split", "labels"):
        np.testing.assert_array_equal(getattr(tracks, name), getattr(as_table, name))
