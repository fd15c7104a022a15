"""Scanning again: what has not changed is not read, what has is, and nothing else can tell."""

import os

import mutagen.flac
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from matt.datasets import folder as folder_module
from matt.datasets import memory as memory_module
from matt.datasets.folder import Tags, look, read_tags, scan
from matt.datasets.memory import KEPT_DAYS, FileTags, Memory, memory_file
from matt.files import write_parquet

LONG_AGO = 1_000_000_000  # seconds: 2001
A_DAY = 86_400
TAGS = {"genre": ["Rock", "Folk"], "date": "1999"}
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 800)


def audio(path, *, at=LONG_AGO, **tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        soundfile.write(path, NOISE, 8000)
    file = mutagen.flac.FLAC(path)
    file.delete()
    file.update(tags)
    file.save(padding=lambda info: 4096)
    os.utime(path, (at, at))
    return path


@pytest.fixture
def music(tmp_path):
    """Three albums, one by two artists."""
    for number in range(6):
        name = "AB"[number % 2]
        audio(
            tmp_path / "music" / f"{number % 3}" / f"{number}.flac",
            **{**TAGS, "artist": name, "album": f"{number % 3}"},
        )
    return tmp_path / "music"


@pytest.fixture
def opened(monkeypatch):
    """Names of the files whose tags were read."""
    names = []

    def noting(path, **options):
        names.append(os.path.basename(path))
        return real(path, **options)

    real = folder_module.read_tags
    monkeypatch.setattr(folder_module, "read_tags", noting)
    return names


def same(one, other):
    """Whether two scans say the same."""
    columns = [{**scan.tracks.columns, **{
        name: getattr(scan.tracks, name)
        for name in ("track_id", "artist_id", "album_id", "labels", "path")
    }} for scan in (one, other)]  # fmt: skip
    for name in columns[0]:
        np.testing.assert_array_equal(columns[0][name], columns[1][name])
    for name in ("problems", "counts", "left_out", "merges", "questions", "root"):
        assert getattr(one, name) == getattr(other, name)
    assert one.tracks.genres == other.tracks.genres


def test_nothing_is_read_twice_and_nothing_else_differs(music, tmp_path, opened):
    fresh = scan(music)
    opened.clear()
    first = scan(music, remembered=tmp_path / "kept")
    assert len(opened) == 6
    again = scan(music, remembered=tmp_path / "kept")
    assert len(opened) == 6
    same(fresh, first)
    same(fresh, again)
    assert not again.notes
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept == memory_file(tmp_path / "kept", music)


CHANGES = {
    "tagged anew": lambda path: audio(path, at=LONG_AGO + 1, artist="New"),
    "of another size": lambda path: path.write_bytes(path.read_bytes() + bytes(10)),
    "with size and time of before": lambda path: audio(path, **TAGS, artist="Z", album="1"),
    "in its place": lambda path: os.replace(audio(path.with_name("other.flac"), artist="N"), path),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_read_and_nothing_else(change, music, tmp_path, opened):
    scan(music, remembered=tmp_path / "kept")
    before = (music / "1" / "4.flac").stat()
    change(music / "1" / "4.flac")
    after = (music / "1" / "4.flac").stat()
    if change is CHANGES["with size and time of before"]:
        assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    opened.clear()
    again = scan(music, remembered=tmp_path / "kept")
    assert opened == ["4.flac"]
    same(again, scan(music))


def test_an_album_that_is_added_and_one_that_goes(music, tmp_path, opened):
    scan(music, remembered=tmp_path / "kept")
    audio(music / "new" / "7.flac", artist="C", album="new")
    (music / "0" / "0.flac").unlink()
    opened.clear()
    again = scan(music, remembered=tmp_path / "kept")
    assert opened == ["7.flac"]
    same(again, scan(music))


def test_a_file_that_bears_no_usable_time_is_read_each_time(music, tmp_path, opened):
    os.utime(music / "0" / "0.flac", (0, 0))
    os.utime(music / "1" / "1.flac", (2**33, 2**33))  # to come
    first = scan(music, remembered=tmp_path / "kept")
    opened.clear()
    again = scan(music, remembered=tmp_path / "kept")
    assert sorted(opened) == ["0.flac", "1.flac"]
    for found in (first, again):
        assert found.notes == ("2 files bear no usable time of change, so they are read each time",)


def test_a_file_that_is_as_young_as_the_scan_is_read_again(music, tmp_path, opened, monkeypatch):
    """It may be changed again within one tick of the clock of its disk."""
    monkeypatch.setattr(folder_module.time, "time", lambda: LONG_AGO + 1.5)
    scan(music, remembered=tmp_path / "kept")
    opened.clear()
    monkeypatch.setattr(folder_module.time, "time", lambda: LONG_AGO + 10.0)
    assert not scan(music, remembered=tmp_path / "kept").notes
    assert len(opened) == 6
    opened.clear()
    scan(music, remembered=tmp_path / "kept")
    assert not opened


def test_damaged_tags_are_remembered_and_what_cannot_be_opened_is_tried_again(
    music, tmp_path, opened
):
    text, empty = music / "text.mp3", music / "empty.mp3"
    text.write_text("not music at all\n" * 50)
    empty.write_bytes(b"")
    for path in (text, empty):
        os.utime(path, (LONG_AGO, LONG_AGO))
    first = scan(music, remembered=tmp_path / "kept")
    opened.clear()
    again = scan(music, remembered=tmp_path / "kept")
    assert opened == ["empty.mp3"]
    same(first, again)
    assert [problem.path for problem in again.problems] == ["empty.mp3", "text.mp3"]


@pytest.mark.parametrize("separator", ["", "/", ";", "\n"])
def test_another_separator_reads_nothing_anew(tmp_path, opened, separator):
    music = tmp_path / "music"
    for number, genre in enumerate(["Folk/17", "Soul; 9", "Rock\nPop", ["(4)/Jazz", "Jazz;Dub"]]):
        audio(music / f"{number}.flac", genre=genre)
    scan(music, remembered=tmp_path / "kept", genre_separator="|")
    opened.clear()
    again = scan(music, remembered=tmp_path / "kept", genre_separator=separator)
    assert not opened
    assert not again.notes
    said = [
        "; ".join(read_tags(path, genre_separator=separator).genres)
        for path in again.tracks.path.tolist()
    ]
    assert again.tracks.columns["genre_written"].tolist() == said
    same(again, scan(music, genre_separator=separator))


def test_names_are_told_apart_anew_each_time(music, tmp_path):
    """Words, merging and whose a track is are no part of what is remembered."""
    scan(music, remembered=tmp_path / "kept")
    words = tmp_path / "words.toml"
    words.write_text('unknown = ["A"]')
    for options in ({"words": words}, {"merge": False}, {"artist": "composer"}):
        same(scan(music, remembered=tmp_path / "kept", **options), scan(music, **options))


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other schema", "other columns"])
def test_a_damaged_memory_is_read_anew_and_mended(damage, music, tmp_path, opened):
    scan(music, remembered=tmp_path / "kept")
    kept = memory_file(tmp_path / "kept", music)
    table, meta = pq.read_table(kept), pq.read_schema(kept).metadata
    whole = kept.read_bytes()
    if damage == "other schema":
        write_parquet(kept, {"a": [1]}, schema="matt.tracks/1")
    elif damage == "other columns":
        column = table.schema.get_field_index("size")
        changed = table.set_column(column, "size", [["a text"] * len(table)])
        pq.write_table(changed.replace_schema_metadata(meta), kept)
    else:
        kept.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello"}[damage])
    opened.clear()
    again = scan(music, remembered=tmp_path / "kept")
    assert len(opened) == 6
    assert "all tags are read anew: what was remembered is damaged" in again.notes[0]
    same(again, scan(music))
    opened.clear()
    assert not scan(music, remembered=tmp_path / "kept").notes
    assert not opened


def test_a_disk_that_is_not_mounted_loses_nothing(music, tmp_path, opened):
    scan(music, remembered=tmp_path / "kept")
    away = tmp_path / "away"
    music.rename(away)
    with pytest.raises(folder_module.DataError, match="does not exist"):
        scan(music, remembered=tmp_path / "kept")
    music.mkdir()
    with pytest.raises(folder_module.DataError, match="holds no audio"):
        scan(music, remembered=tmp_path / "kept")
    (away / "0").rename(music / "0")  # one of three disks is there
    half = scan(music, remembered=tmp_path / "kept")
    assert "4 of 6 files that were here are gone; if their disk is not mounted" in half.notes[0]
    for name in "12":
        (away / name).rename(music / name)
    opened.clear()
    assert not scan(music, remembered=tmp_path / "kept").notes
    assert not opened


def test_what_is_named_in_part_forgets_nothing_of_the_rest(music, tmp_path, opened):
    scan(music, remembered=tmp_path / "kept")
    opened.clear()
    some = scan([music / "0", music / "1" / "4.flac"], within=music, remembered=tmp_path / "kept")
    assert len(some.tracks) == 3
    assert not some.notes
    (music / "0" / "0.flac").unlink()
    scan([music / "0"], within=music, remembered=tmp_path / "kept")
    scan(music, remembered=tmp_path / "kept")
    assert not opened


def test_where_nothing_can_be_kept_the_scan_is_the_same(music, tmp_path):
    (tmp_path / "kept").write_text("a file where the folder should be")
    found = scan(music, remembered=tmp_path / "kept")
    same(found, scan(music))
    assert "not remembered for the next time" in found.notes[0]


def test_the_library_is_never_written_to(music, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in music.rglob("*")}
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    scan(music, remembered=tmp_path / "kept")
    assert {path: path.stat().st_mtime_ns for path in music.rglob("*")} == before
    for path in before:
        path.chmod(0o755)


def test_what_is_gone_is_kept_for_a_while(tmp_path):
    now = LONG_AGO + 10.0
    here, gone = (FileTags(Tags(title=name), 1, LONG_AGO * 10**9, 2) for name in "ab")

    def at(days, **found):
        memory = Memory.load(tmp_path / "m.parquet")
        memory.save(found, [""], now=now + days * A_DAY, name="music")
        return set(Memory.load(tmp_path / "m.parquet").files)

    assert at(0, here=here, gone=gone) == {"here", "gone"}
    young = here._replace(tags=Tags(title="c"))
    assert at(1000, here=young) == {"here", "gone"}  # missed for the first time
    assert at(1000 + KEPT_DAYS - 1, here=here) == {"here", "gone"}
    assert at(1000 + KEPT_DAYS + 1, here=young) == {"here"}


def test_nothing_is_written_where_nothing_has_changed(music, tmp_path, monkeypatch):
    scan(music, remembered=tmp_path / "kept")
    monkeypatch.setattr(memory_module, "write_parquet", None)
    assert not scan(music, remembered=tmp_path / "kept").notes


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-1, 2**40)
OF_KIND = {
    str: texts, int: numbers, bool: st.booleans(), float: st.floats(0, 1e6),
    tuple: st.lists(texts.filter(bool), max_size=3).map(tuple),
}  # fmt: skip
tags = st.builds(Tags, **{name: OF_KIND[type(none)] for name, none in Tags._field_defaults.items()})
files = st.builds(FileTags, tags, numbers, st.just(LONG_AGO), numbers, texts)


@given(st.dictionaries(texts, files, max_size=5))
def test_all_that_tags_may_say_survives(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("memory") / "m.parquet"
    found = {name: one._replace(mtime_ns=LONG_AGO * 10**9) for name, one in found.items()}
    Memory.load(path).save(found, [""], now=2.0 * LONG_AGO, name="music")
    assert Memory.load(path).files == found


def test_a_look_sees_what_a_scan_would(music):
    before = look(music)
    assert look(music) == before
    for change in (
        lambda: os.utime(music / "0" / "0.flac", (LONG_AGO, LONG_AGO + 1)),
        lambda: audio(music / "0" / "9.flac"),
        lambda: (music / "0" / "9.flac").rename(music / "0" / "8.flac"),
        lambda: (music / "0" / "8.flac").write_bytes(b"1"),
        lambda: (music / "0" / "8.flac").unlink(),
    ):
        change()
        now = look(music)
        assert now != before
        before = now
    (music / "cover.jpg").write_bytes(b"jpeg")
    assert look(music) == now


def test_many_files_in_one_folder_are_each_found(tmp_path, opened):
    """More than a thread takes at once."""
    first = audio(tmp_path / "music" / "0.flac", artist="A", album="B").read_bytes()
    for number in range(1, 200):
        (tmp_path / "music" / f"{number}.flac").write_bytes(first)
        os.utime(tmp_path / "music" / f"{number}.flac", (LONG_AGO, LONG_AGO))
    told = []
    found = scan(
        tmp_path / "music",
        remembered=tmp_path / "kept",
        progress=lambda done, total: told.append((done, total)),
    )
    assert len(found.tracks) == len(opened) == 200
    assert told == sorted(told)
    assert told[-1] == (200, 200)
    scan(tmp_path / "music", remembered=tmp_path / "kept")
    assert len(opened) == 200


def test_an_interrupted_scan_goes_on_from_where_it_was(music, tmp_path, opened):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    audio(music / "0" / "0.flac", at=LONG_AGO + 1)
    with pytest.raises(KeyboardInterrupt):
        scan(music, remembered=tmp_path / "kept", progress=interrupt)
    opened.clear()
    scan(music, remembered=tmp_path / "kept")
    assert len(opened) == 4
    audio(music / "0" / "0.flac", at=LONG_AGO + 2)
    with pytest.raises(KeyboardInterrupt):  # what was known before stays known
        scan(music, remembered=tmp_path / "kept", progress=interrupt)
    opened.clear()
    scan(music, remembered=tmp_path / "kept")
    assert not opened
