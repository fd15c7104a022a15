"""Scanning a folder: which files, what their tags say, which ids follow."""

import os
import string
import struct
import unicodedata

import mutagen.aiff
import mutagen.apev2
import mutagen.flac
import mutagen.id3
import mutagen.mp3
import mutagen.mp4
import mutagen.oggopus
import mutagen.oggvorbis
import mutagen.wave
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, ConfigError, DataError, Tracks, splits
from matt.datasets import folder as walk_module
from matt.datasets import tags as tags_module
from matt.datasets.folder import Tags, Told, normalise, read_tags, scan, scan_told
from matt.datasets.genres import parted
from matt.errors import AudioError

SR = 8000
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, SR // 2)  # half a second
FORMATS = {"flac": "FLAC", "mp3": "MP3", "ogg": "OGG", "opus": "OGG", "wav": "WAV", "aiff": "AIFF"}
VORBIS = {
    "title": "Tïtle",
    "artist": "Ärtist",
    "albumartist": "Band",
    "album": "Album",
    "genre": ["Rock/Pop", "Folk"],
    "discnumber": "2/3",
    "tracknumber": "7",
    "compilation": "1",
}
EXPECTED = {
    "title": "Tïtle",
    "artist": "Ärtist",
    "album_artist": "Band",
    "album": "Album",
    "genres": ("Rock/Pop", "Folk"),
    "disc": 2,
    "track_number": 7,
    "compilation": True,
}
ID3 = {
    "title": "TIT2",
    "artist": "TPE1",
    "albumartist": "TPE2",
    "album": "TALB",
    "genre": "TCON",
    "discnumber": "TPOS",
    "tracknumber": "TRCK",
    "compilation": "TCMP",
}


def audio(path, **vorbis):
    """Half a second of noise in the format of the suffix, with Vorbis comments if it takes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix[1:]
    subtype = {"opus": "OPUS", "ogg": "VORBIS"}.get(suffix)
    soundfile.write(path, NOISE, SR, format=FORMATS[suffix], subtype=subtype)
    if vorbis:
        kinds = {"flac": mutagen.flac.FLAC, "ogg": mutagen.oggvorbis.OggVorbis}
        file = kinds.get(suffix, mutagen.oggopus.OggOpus)(path)
        file.update(vorbis)
        file.save()
    return path


def id3_frames(tags):
    return [
        getattr(mutagen.id3, frame)(encoding=3, text=tags[name])
        for name, frame in ID3.items()
        if name in tags
    ]


def with_id3(path, tags, **how):
    audio(path)
    kinds = {"mp3": mutagen.mp3.MP3, "wav": mutagen.wave.WAVE, "aiff": mutagen.aiff.AIFF}
    file = kinds[path.suffix[1:]](path)
    file.add_tags()
    for frame in id3_frames(tags):
        file.tags.add(frame)
    file.save(**how)
    return path


def atom(name, *parts):
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def m4a(path):
    """The smallest MP4 with a sound track of two seconds; there is no sound in it."""
    mdhd = atom(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, SR, 2 * SR, 0, 0))
    hdlr = atom(b"hdlr", bytes(8), b"soun", bytes(13))
    trak = atom(b"trak", atom(b"mdia", mdhd, hdlr))
    path.write_bytes(atom(b"ftyp", b"M4A ", bytes(4)) + atom(b"moov", trak) + atom(b"mdat"))
    file = mutagen.mp4.MP4(path)
    file["\xa9nam"], file["\xa9ART"], file["aART"] = "Tïtle", "Ärtist", "Band"
    file["\xa9alb"], file["\xa9gen"] = "Album", ["Rock/Pop", "Folk"]
    file["disk"], file["trkn"], file["cpil"] = [(2, 3)], [(7, 0)], True
    file.save()
    return path


def ape_tags(path):
    tags = mutagen.apev2.APEv2()
    tags.update({"Title": "Tïtle", "Artist": "Ärtist", "Album Artist": "Band", "Album": "Album"})
    tags.update({"Genre": ["Rock/Pop", "Folk"], "Disc": "2/3", "Track": "7", "Compilation": "1"})
    tags.save(path)
    return path


def monkeys_audio(path):
    frames = struct.pack("<IIIHHI", SR, SR, 3, 16, 1, SR)  # three frames of a second each
    path.write_bytes(b"MAC " + struct.pack("<H", 3990) + bytes(50) + frames)
    return ape_tags(path)


TAGGED = {
    "flac": lambda folder: audio(folder / "a.flac", **VORBIS),
    "ogg": lambda folder: audio(folder / "a.ogg", **VORBIS),
    "opus": lambda folder: audio(folder / "a.opus", **VORBIS),
    "mp3, ID3v2.4": lambda folder: with_id3(folder / "a.mp3", VORBIS),
    "mp3, ID3v2.3": lambda folder: with_id3(folder / "a.mp3", VORBIS, v2_version=3, v23_sep=None),
    "mp3, APEv2": lambda folder: ape_tags(audio(folder / "a.mp3")),
    "wav": lambda folder: with_id3(folder / "a.wav", VORBIS),
    "aiff": lambda folder: with_id3(folder / "a.aiff", VORBIS),
    "m4a": lambda folder: m4a(folder / "a.m4a"),
    "ape": lambda folder: monkeys_audio(folder / "a.ape"),
}


@pytest.mark.parametrize("make", TAGGED.values(), ids=TAGGED)
def test_every_tag_format_says_the_same(make, tmp_path):
    tags = read_tags(make(tmp_path))
    assert {name: getattr(tags, name) for name in EXPECTED} == EXPECTED
    assert 0.4 < tags.duration < 3.1


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_without_tags_says_nothing(suffix, tmp_path):
    tags = read_tags(audio(tmp_path / f"a.{suffix}"))
    assert tags == Tags(duration=tags.duration)
    assert tags.duration == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(
    ("text", "genres"),
    [("(17)", ("Rock",)), ("17", ("Rock",)), ("Rock/Pop", ("Rock/Pop",)), ("(4)Eurodisco", None)],
)
def test_numbers_of_id3_genres_are_resolved_and_nothing_is_split(text, genres, tmp_path):
    path = with_id3(tmp_path / "a.mp3", {"genre": text})
    assert read_tags(path).genres == (genres or ("Disco", "Eurodisco"))


def test_the_content_decides_where_the_suffix_is_wrong(tmp_path):
    path = audio(tmp_path / "a.flac", artist="Somebody").rename(tmp_path / "a.mp3")
    assert read_tags(path).artist == "Somebody"


@given(st.text(max_size=30))  # lone surrogates too: such file names exist
def test_no_control_character_reaches_the_screen(text):
    shown = tags_module.printable(text)
    assert not any(unicodedata.category(char) == "Cc" for char in shown)
    assert shown.encode("utf-8").decode("utf-8") == shown


def test_hostile_tags_become_harmless(tmp_path):
    path = audio(tmp_path / "a.flac", title="red\x1b[31m\nline\u202etxt.exe", artist="x" * 10**5)
    tags = read_tags(path)
    assert tags.title == "red [31m line txt.exe"
    assert len(tags.artist) == 500


WORDS = st.text(alphabet=string.ascii_letters + "äöéñøçЖдΣλ åÅ", min_size=1, max_size=12)


@given(WORDS)
def test_case_spaces_and_unicode_forms_do_not_matter(name):
    same = normalise(name)
    assert normalise(same) == same
    assert normalise(name.upper()) == same
    assert normalise(name.lower()) == same
    assert normalise(f"\u00a0 {'  '.join(name.split(' '))}\t") == same
    assert normalise(unicodedata.normalize("NFD", name)) == same
    assert normalise(unicodedata.normalize("NFC", name)) == same


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("".join), st.data())
def test_names_that_differ_stay_apart(name, data):
    other = data.draw(st.text("abc", min_size=1, max_size=4))
    assert (normalise(name) == normalise(other)) == (name == other)


def library(root, rows):
    """One flac a row: file name without suffix -> Vorbis comments."""
    for name, tags in rows.items():
        audio(root / f"{name}.flac", **tags)
    return scan(root)


def bag_names(found):
    """Bags as sets of file names."""
    bags = Bags.from_tracks(found.tracks, by="album")
    name = {
        int(i): os.path.splitext(os.path.basename(path))[0]
        for i, path in zip(found.tracks.track_id, found.tracks.path)
    }
    parts = np.split(bags.track_ids, bags.offsets[1:-1])
    return {frozenset(name[int(i)] for i in part) for part in parts}


def bagged(*names):
    return {frozenset(part.split()) for part in names}


def test_an_album_is_its_title_and_its_artist(tmp_path):
    found = library(
        tmp_path,
        {
            "a": {"artist": "Sigur Rós", "album": "Best  Of"},
            "b": {"artist": unicodedata.normalize("NFD", "SIGUR RÓS"), "album": "best of "},
            "other/c": {"artist": "Sigur Rós", "album": "Best Of", "discnumber": "2"},
            "d": {"artist": "Sigur Rós feat. X", "albumartist": "Sigur Rós", "album": "Best Of"},
            "e": {"artist": "Somebody Else", "album": "Best Of"},
            "f": {"artist": "Sigur Rós", "album": "Worst Of"},
        },
    )
    assert bag_names(found) == bagged("a b c d", "e", "f")
    assert len(set(found.tracks.artist_id)) == 2
    assert len(set(found.tracks.album_id)) == 3


@pytest.mark.parametrize(
    "marks",
    [
        {"compilation": "1"},
        {"albumartist": "Various Artists"},
        {"albumartist": "VARIOUS  ARTISTS"},
        {"albumartist": "Verschiedene Interpreten"},
        {"albumartist": "V.A.", "compilation": "1"},
        {"albumartist": "Some Label", "compilation": "1"},
    ],
)
def test_a_compilation_is_one_album_with_a_bag_for_each_artist(tmp_path, marks):
    album = {"album": "Sampler", **marks}
    found = library(
        tmp_path,
        {
            "cd1/a": {"artist": "One", **album},
            "cd1/b": {"artist": "Two", **album},
            "cd2/c": {"artist": "one", **album},
            "d": {"artist": "One", "album": "Sampler"},  # an album of One's own
        },
    )
    assert bag_names(found) == bagged("a c", "b", "d")
    assert len(set(found.tracks.album_id)) == 2
    assert found.counts["in compilations"] == 3
    assert len(set(found.tracks.artist_id)) == 2  # One is one artist, here and there


def test_whoever_is_unknown_is_alone_and_listed(tmp_path):
    found = library(
        tmp_path,
        {
            "a": {},
            "b": {"artist": "A"},
            "c": {"album": "Greatest Hits"},
            "d": {"album": "Greatest Hits"},
            "e": {"artist": "Unknown Artist", "album": "Unknown Album"},
            "f": {"artist": "Various Artists", "album": "Sampler"},
            "g": {"artist": "Various Artists", "album": "Sampler"},
            "h": {"artist": "A", "album": "B"},
        },
    )
    assert bag_names(found) == bagged(*"abcdefgh")
    assert found.counts["without artist or album"] == 7
    assert found.untagged.tolist() == [True] * 7 + [False]


def test_a_guest_of_nobody_is_no_artist_and_is_kept_on_his_side(tmp_path):
    sampler = {"album": "Sampler"}
    found = library(
        tmp_path,
        {
            "a": {"artist": "Unknown Artist feat. Bob", "album": "Tape"},
            "b": {"artist": "<unknown> (with Bob)", "albumartist": "Unknown & Guests", "album": "Tape"},
            "c": {"artist": "Various Artists feat. Bob", **sampler},
            "d": {"artist": "Ann", "albumartist": "VA & Friends", **sampler},
            "e": {"artist": "Cleo", "albumartist": "Various Artists ft. Dan", **sampler},
            "f": {"artist": "Bob", "album": "Own"},
        },
    )  # fmt: skip
    tracks = found.tracks
    assert (tracks.artist_id < 0).tolist() == [True] * 3 + [False] * 3
    assert tracks.columns["compilation"].tolist() == [False, False, True, True, True, False]
    assert bag_names(found) == bagged(*"abcdef")
    assert len(set(tracks.album_id[2:5])) == 1
    named = tracks.columns["all_artists"]
    assert named.tolist() == [str(tracks.artist_id[5])] * 3 + [""] * 3


def test_spellings_of_a_genre_are_merged_and_the_first_is_the_label(tmp_path):
    found = library(
        tmp_path,
        {
            "a": {"genre": "Hip-Hop"},
            "b": {"genre": ["hip-hop", "Rock"]},
            "c": {"genre": "HIP-HOP "},
            "d": {"genre": "Hip-Hop"},
            "e": {"genre": ["Folk", "folk", "Hip-Hop"]},
            "f": {},
            "g": {"genre": "Unknown"},
        },
    )
    assert found.tracks.genres == ("Folk", "Hip-Hop")  # Rock is nobody's first
    assert found.tracks.labels.tolist() == [1, 1, 1, 1, 0, -1, -1]
    assert found.tracks.columns["genre_tags"].tolist() == [
        "Hip-Hop", "Hip-Hop; Rock", "Hip-Hop", "Hip-Hop", "Folk; Hip-Hop", "", "",
    ]  # fmt: skip
    assert found.counts["without genre"] == 2


def test_names_of_one_genre_are_one_and_what_was_written_is_kept(tmp_path):
    rows = {
        "a": {"genre": "Hip Hop/Rap"},
        "b": {"genre": "Rap; Hip-Hop"},
        "c": {"genre": ["Klassik", "Rock/Pop"]},
        "d": {"genre": "Qwxz & Folk"},
    }
    found = library(tmp_path, rows)
    assert found.tracks.columns["genre_tags"].tolist() == [
        *("Hip-Hop", "Hip-Hop", "Classical; Rock; Pop", "Qwxz & Folk"),
    ]
    assert found.tracks.columns["genre_written"].tolist() == [
        *("Hip Hop/Rap", "Rap; Hip-Hop", "Klassik; Rock/Pop", "Qwxz & Folk"),
    ]
    assert found.tracks.genres == ("Classical", "Hip-Hop", "Qwxz & Folk")
    assert {some.written for some in found.meanings if not some.known} == {"Qwxz & Folk"}
    assert found.vocabulary.related("Classical", "Baroque")
    left = scan(tmp_path, merge=False)
    assert left.tracks.columns["genre_tags"].tolist() == [
        *("Hip Hop/Rap", r"Rap\; Hip-Hop", "Klassik; Rock/Pop", "Qwxz & Folk"),
    ]


def test_a_genre_whose_name_looks_like_two_is_one(tmp_path):
    (tmp_path / "genres.toml").write_text('keep = ["Rock; Pop"]\n')
    tags = {"a": "Rock; Pop", "b": ["Qwxz; Foo", "Jazz"], "c": "Rock"}
    found = library(tmp_path, {name: {"genre": genre} for name, genre in tags.items()})
    assert found.tracks.genres == ("Qwxz; Foo", "Rock", "Rock; Pop")
    some = [parted(text) for text in found.tracks.columns["genre_tags"].tolist()]
    assert some == [("Rock; Pop",), ("Qwxz; Foo", "Jazz"), ("Rock",)]


def test_genres_of_the_library_count_unless_others_are_named(tmp_path):
    music = tmp_path / "music"
    library(music, {name: {"artist": name, "album": "x", "genre": name} for name in ("Rap", "Emo")})
    (music / "genres.toml").write_text('keep = ["Rap"]\n')
    (tmp_path / "other.toml").write_text('[aliases]\nRock = ["Emo"]\n')
    assert scan(music).tracks.genres == ("Emo", "Rap")
    assert scan(music).vocabulary.source == str(music / "genres.toml")
    other = scan(music, genres=tmp_path / "other.toml")
    assert other.tracks.genres == ("Hip-Hop", "Rock")
    assert scan(music, merge=False).vocabulary.source == ""
    named = scan(music, merge=False, genres=tmp_path / "other.toml")
    assert named.tracks.genres == ("Hip-Hop", "Rock")


def test_a_vocabulary_that_leaves_one_genre_refuses_no_scan(tmp_path):
    music = tmp_path / "music"
    names = {"One/1": "House", "One/2": "Techno", "Two/3": "Jazz"}
    library(music, {name: {"artist": "Ann", "genre": genre} for name, genre in names.items()})
    own = tmp_path / "genres.toml"
    own.write_text('[aliases]\nElectronic = ["House", "Techno"]\n')
    for part in ([music / "One"], [music / "One" / "1.flac", music / "One" / "2.flac"]):
        assert scan(part, genres=own).tracks.genres == ("Electronic",)
    assert scan(music / "One", within=music, genres=own).tracks.genres == ("Electronic",)


def test_how_many_albums_a_genre_has_is_told_by_a_whole_library_alone(tmp_path):
    music = tmp_path / "music"
    rows = {f"{i}/{i}": {"artist": f"a{i}", "album": "x", "genre": "Emo"} for i in range(3)}
    library(music, {**rows, "j/j": {"artist": "j", "album": "x", "genre": "Shoegaze"}})
    (music / "genres.toml").write_text("minimum_albums = 2\n")
    assert scan(music).tracks.genres == ("Emo", "Rock")
    for part in (music / "j", music / "j" / "j.flac", [music / "j", music / "0"]):
        found = scan(part, within=music)
        assert "Shoegaze" in found.tracks.genres
        assert "Rock" not in found.tracks.genres
    assert scan([music / "j", music / "0"]).tracks.genres == ("Emo", "Shoegaze")
    assert scan(music, within=music).tracks.genres == ("Emo", "Rock")


def test_names_that_stay_are_known_by_the_vocabulary_they_were_read_with(tmp_path):
    library(tmp_path, {"a": {"genre": "hip hop"}, "b": {"genre": "Deep House"}})
    found = scan(tmp_path, merge=False)
    assert [found.vocabulary.path(name) for name in found.tracks.genres] == [
        ("Deep House",), ("hip hop",),
    ]  # fmt: skip
    assert all(found.vocabulary.read(some.written) == some.becomes for some in found.meanings)


def test_the_table_survives_a_file(tmp_path):
    audio(tmp_path / "music" / "a.flac", **VORBIS)
    audio(tmp_path / "music" / "b.flac")
    tracks = scan(tmp_path / "music").tracks
    tracks.save(tmp_path / "tracks.parquet")
    again = Tracks.load(tmp_path / "tracks.parquet")
    assert set(again.columns) == set(tracks.columns)
    for name in ("track_id", "artist_id", "album_id", "labels", "path"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tracks, name))
    for name, column in tracks.columns.items():
        np.testing.assert_array_equal(again.columns[name], column)
    assert again.genres == tracks.genres
    assert tracks.columns["size"][0] == (tmp_path / "music" / "a.flac").stat().st_size


def test_ids_depend_on_the_place_inside_the_library_alone(tmp_path):
    for name in ("b/2", "a/1", "b/1"):
        audio(tmp_path / "here" / f"{name}.flac", artist="X", album="Y")
    before = scan(tmp_path / "here").tracks
    (tmp_path / "here").rename(tmp_path / "there")
    after = scan(tmp_path / "there").tracks
    np.testing.assert_array_equal(before.track_id, after.track_id)
    assert [os.path.relpath(p, tmp_path / "there") for p in after.path] == [
        "a/1.flac", "b/1.flac", "b/2.flac",
    ]  # fmt: skip
    assert all(os.path.isabs(path) for path in after.path)


def test_each_real_file_is_taken_once(tmp_path):
    root, outside = tmp_path / "music", tmp_path / "outside"
    audio(root / "m" / "real.flac")
    audio(outside / "far.flac")
    audio(outside / "deep" / "deeper.flac")
    (root / "a link.flac").symlink_to(root / "m" / "real.flac")  # sorts before the file
    (root / "one.flac").symlink_to(outside / "far.flac")
    (root / "two.flac").symlink_to(outside / "far.flac")
    (root / "x folder").symlink_to(outside, target_is_directory=True)
    (root / "y folder").symlink_to(outside, target_is_directory=True)
    (root / "m" / "up").symlink_to(root, target_is_directory=True)
    (root / "m" / "far up").symlink_to(tmp_path, target_is_directory=True)
    (outside / "deep" / "back").symlink_to(outside, target_is_directory=True)
    (root / "gone.flac").symlink_to(root / "nowhere.flac")
    (root / "self.flac").symlink_to(root / "self.flac")
    found = scan(root)
    assert [os.path.relpath(path, root) for path in found.tracks.path] == [
        "m/real.flac", "one.flac", "x folder/deep/deeper.flac",
    ]  # fmt: skip
    assert found.counts["loops of links"] == 3
    assert found.counts["links to files already seen"] == 4
    assert [(p.path, p.kept) for p in found.problems] == [
        ("gone.flac", False), ("self.flac", False),
    ]  # fmt: skip
    assert all("broken link" in problem.reason for problem in found.problems)


def test_hidden_files_and_indexes_of_a_nas_are_skipped_and_counted(tmp_path):
    for name in ("a", ".b", ".hidden/c", "@eaDir/d", "x/@eaDir/e", "x/._f", "x/f"):
        audio(tmp_path / f"{name}.flac")
    (tmp_path / "cover.jpg").write_bytes(b"jpeg")
    (tmp_path / "NO SUFFIX").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.flac")  # opening it would wait for ever
    audio(tmp_path / "LOUD.flac").rename(tmp_path / "LOUD.FLAC")
    found = scan(tmp_path)
    assert [os.path.relpath(path, tmp_path) for path in found.tracks.path] == [
        "LOUD.FLAC", "a.flac", "x/f.flac",
    ]  # fmt: skip
    assert found.counts["hidden, skipped"] == 3
    assert found.counts["@eaDir, skipped"] == 2
    assert found.counts["files seen"] == 6
    assert found.counts["not audio"] == 3
    assert not found.problems


def test_what_may_not_be_read_costs_itself_only(tmp_path, monkeypatch):
    """The refusal is put in by hand: root may read everything."""
    audio(tmp_path / "good.flac", artist="A", album="B")
    audio(tmp_path / "secret.flac")
    audio(tmp_path / "locked" / "c.flac")

    def refuse(path, *rest, **options):
        if "secret" in str(path) or "locked" in str(path):
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, *rest, **options)

    def refuse_folder(path):
        return refuse(path) if "locked" in str(path) else real_scandir(path)

    real_open, real_scandir = open, os.scandir
    monkeypatch.setattr(tags_module, "open", refuse, raising=False)
    monkeypatch.setattr(walk_module.os, "scandir", refuse_folder)
    found = scan(tmp_path)
    assert len(found.tracks) == 1
    assert [(problem.path, problem.kept) for problem in found.problems] == [
        ("locked", False), ("secret.flac", False),
    ]  # fmt: skip
    assert all("ermission denied" in problem.reason for problem in found.problems)


def test_a_name_that_is_not_utf8_is_left_out_with_a_remedy(tmp_path):
    audio(tmp_path / "good.flac")
    try:
        os.rename(audio(tmp_path / "b.flac"), os.fsencode(tmp_path) + b"/\xff.flac")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = scan(tmp_path)
    assert len(found.tracks) == 1
    assert [problem.path for problem in found.problems] == ["?.flac"]
    assert "rename it" in found.problems[0].reason


@pytest.mark.parametrize("make", TAGGED.values(), ids=TAGGED)
def test_no_damage_stops_a_scan(make, tmp_path):
    whole = make(tmp_path).read_bytes()
    suffix = next(tmp_path.iterdir()).suffix
    rng = np.random.default_rng(0)
    for number in range(12):
        damaged = bytearray(whole[: rng.integers(1, len(whole))] if number % 3 == 0 else whole)
        for place in rng.integers(0, min(len(damaged), 600), 20):
            damaged[place] = rng.integers(256)
        (tmp_path / f"{number}{suffix}").write_bytes(damaged)
    (tmp_path / f"empty{suffix}").write_bytes(b"")
    (tmp_path / f"text{suffix}").write_text("not music at all\n" * 50)
    found = scan(tmp_path)
    assert len(found.tracks) == 14  # all but the empty one
    problems = {problem.path: problem for problem in found.problems}
    assert not problems[f"empty{suffix}"].kept
    assert "empty (0 bytes)" in problems[f"empty{suffix}"].reason
    assert problems[f"text{suffix}"].kept
    assert found.counts["problems"] == len(found.problems)


def test_a_scan_reports_its_progress(tmp_path):
    for name in "abc":
        audio(tmp_path / f"{name}.flac")
    calls = []
    scan(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist; check the path"):
        scan(tmp_path / "nowhere")
    (tmp_path / "file.mp3").write_bytes(b"")
    with pytest.raises(DataError, match=r"no audio that can be opened.*file\.mp3.*empty"):
        scan(tmp_path / "file.mp3")
    with pytest.raises(DataError, match="no file or folder is named"):
        scan([])


def test_files_and_folders_are_named_as_their_library_names_them(tmp_path):
    names = ("a/1", "a/2", "b/1", "b/.hidden", "c/1")
    files = {name: audio(tmp_path / f"{name}.flac", artist="X", album="Y") for name in names}
    (tmp_path / "a" / "cover.jpg").write_bytes(b"jpeg")
    whole = scan(tmp_path)
    ids = {str(path): number for path, number in zip(whole.tracks.path, whole.tracks.track_id)}

    def found(*paths, within=None):
        made = scan(list(paths), within=within)
        return [os.path.relpath(path, tmp_path) for path in made.tracks.path.tolist()], made

    paths, some = found(files["b/1"], tmp_path / "a", files["a/2"], tmp_path / "a" / "cover.jpg")
    assert (paths, some.root) == (["a/1.flac", "a/2.flac", "b/1.flac"], tmp_path)  # once each
    assert [ids[path] for path in some.tracks.path.tolist()] == some.tracks.track_id.tolist()
    alone = scan(files["a/2"])
    assert alone.root == tmp_path / "a"
    assert alone.tracks.track_id.tolist() == scan(tmp_path / "a").tracks.track_id[1:].tolist()
    paths, inside = found(files["a/2"], within=tmp_path)
    assert inside.tracks.track_id.tolist() == [ids[str(files["a/2"])]]
    assert inside.root == tmp_path
    paths, _ = found(files["b/.hidden"])
    assert paths == ["b/.hidden.flac"]
    paths, most = found(files["c/1"], tmp_path / "a" / "gone.flac")
    assert paths == ["c/1.flac"]
    assert [(problem.path, problem.reason) for problem in most.problems] == [
        ("a/gone.flac", "does not exist; check the path")
    ]
    with pytest.raises(DataError, match=r"c/1\.flac does not lie in .*/a; name the library"):
        scan(files["c/1"], within=tmp_path / "a")


YEARS = {
    "flac": lambda path: audio(path, date="2004-11-03", originaldate="1971"),
    "ogg": lambda path: audio(path, originalyear="2004"),
    "opus": lambda path: audio(path, year="2004"),
}


@pytest.mark.parametrize("suffix", YEARS)
def test_the_year_of_vorbis_comments(suffix, tmp_path):
    YEARS[suffix](tmp_path / f"a.{suffix}")
    assert scan(tmp_path).tracks.columns["year"].tolist() == [2004]


@pytest.mark.parametrize("suffix", ["mp3", "wav", "aiff"])
@pytest.mark.parametrize("version", [3, 4])
def test_the_year_of_id3(suffix, version, tmp_path):
    path = with_id3(tmp_path / f"a.{suffix}", {})
    assert read_tags(path).year == -1
    file = {"mp3": mutagen.mp3.MP3, "wav": mutagen.wave.WAVE, "aiff": mutagen.aiff.AIFF}[suffix](
        path
    )
    file.tags.add(mutagen.id3.TDRC(encoding=3, text=["1987-02"]))
    file.save(v2_version=version, v23_sep=None)
    assert read_tags(path).year == 1987


def test_the_year_of_other_families(tmp_path):
    file = mutagen.mp4.MP4(m4a(tmp_path / "a.m4a"))
    file["\xa9day"] = "1999-01-01T08:00:00Z"
    file.save()
    ape_tags(audio(tmp_path / "a.mp3"))
    tags = mutagen.apev2.APEv2(tmp_path / "a.mp3")
    tags["Year"] = "1966"
    tags.save()
    assert [read_tags(tmp_path / f"a.{suffix}").year for suffix in ("m4a", "mp3")] == [1999, 1966]


def test_a_folder_without_audio(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    audio(tmp_path / ".hidden.flac")
    with pytest.raises(DataError, match=r"holds no audio \(1 files seen, 1 hidden.*\.mp3"):
        scan(tmp_path)
    (tmp_path / "empty.mp3").write_bytes(b"")
    with pytest.raises(DataError, match=r"no audio that can be opened.*empty\.mp3"):
        scan(tmp_path)


def test_an_unreadable_file_names_its_reason(tmp_path):
    with pytest.raises(AudioError, match="No such file or directory"):
        read_tags(tmp_path / "a.mp3")
    (tmp_path / "b.mp3").write_text("words")
    with pytest.raises(AudioError, match=r"tags cannot be read.*damaged"):
        read_tags(tmp_path / "b.mp3")


def test_real_clips_are_found_and_named(shared_data):
    found = scan(shared_data / "fma_clips")
    assert len(found.tracks) == 10
    assert not found.untagged.any()
    assert (found.tracks.columns["duration"] > 29).all()
    assert not found.problems


def mbid(digit):
    return f"{digit * 8}-1111-4111-8111-11111111111{digit}"


def test_ids_of_musicbrainz_are_read_in_every_family(tmp_path):
    ids = [mbid(digit) for digit in "abcd"]
    expected = {
        "artist_ids": (ids[0], ids[1]),
        "album_artist_ids": (ids[0],),
        "release_ids": (ids[2],),
        "release_group_ids": (ids[3],),
    }
    flac = audio(
        tmp_path / "a.flac",
        composer="Bach",
        musicbrainz_artistid=[ids[0].upper(), ids[1]],
        musicbrainz_albumartistid=ids[0],
        musicbrainz_albumid=ids[2],
        musicbrainz_releasegroupid=ids[3],
    )
    names = ("Artist Id", "Album Artist Id", "Album Id", "Release Group Id")
    values = (f"{ids[0]}/{ids[1]}", *[one for (one,) in list(expected.values())[1:]])
    mp3 = audio(tmp_path / "a.mp3")
    file = mutagen.mp3.MP3(mp3)
    file.add_tags()
    file.tags.add(mutagen.id3.TCOM(encoding=3, text="Bach"))
    for name, value in zip(names, values, strict=True):
        file.tags.add(mutagen.id3.TXXX(encoding=3, desc=f"MusicBrainz {name}", text=value))
    file.save()
    mp4 = m4a(tmp_path / "a.m4a")
    file = mutagen.mp4.MP4(mp4)
    file["\xa9wrt"] = "Bach"
    for name, value in zip(names, values, strict=True):
        file[f"----:com.apple.iTunes:MusicBrainz {name}"] = value.encode()
    file.save()
    for path in (flac, mp3, mp4):
        tags = read_tags(path)
        assert {name: getattr(tags, name) for name in expected} == expected
        assert tags.composer == "Bach"


def test_what_is_no_id_of_musicbrainz_is_none(tmp_path):
    path = audio(tmp_path / "a.flac", musicbrainz_artistid=["x", "0" * 36, f"{mbid('0')[:-1]}"])
    assert read_tags(path).artist_ids == ()


def test_artists_are_things_and_not_spellings(tmp_path):
    found = library(
        tmp_path,
        {
            "a": {"artist": "Ann", "album": "Hits (CD1)"},
            "b": {"artist": "Ann feat. Bob", "album": "Hits (CD2)"},
            "c": {"artist": ["ANN", "Cleo"], "album": "Hits (CD2)"},
            "d": {"artist": "Ann & Dan", "album": "Hits (CD2)"},
            "e": {"artist": "Bob", "album": "Solo", "title": "Song (feat. Eve)"},
            "f": {"artist": "Eve", "album": "Solo"},
            "g": {"artist": "Cleo", "album": "Solo"},
            "h": {"artist": "Zoe", "album": "Solo"},
        },
    )
    assert bag_names(found) == bagged("a b c d", "e", "f", "g", "h")
    assert [merge.what for merge in found.merges] == ["artist", "album"]
    for seed in range(9):
        split = splits.by_artist(found.tracks, validation=0, test=0.5, seed=seed).split
        assert len(set(split[:7])) == 1


def test_names_can_be_left_as_they_are(tmp_path):
    rows = {
        "a": {"artist": "Ann", "album": "Hits (CD1)", "genre": "Hip-Hop"},
        "b": {"artist": "Ann feat. Bob", "album": "Hits (CD2)", "genre": "Hip Hop"},
        "c": {"artist": "ANN", "album": "Hits (CD1)", "genre": "hip hop"},
    }
    library(tmp_path, rows)
    found = scan(tmp_path, merge=False)
    assert bag_names(found) == bagged("a c", "b")
    assert found.tracks.genres == ("Hip Hop", "Hip-Hop")
    assert found.merges == ()


def test_discs_in_folders_of_their_own_are_one_place(tmp_path):
    found = library(
        tmp_path,
        {
            "Hits/CD1/a": {"artist": "Ann", "album": "Hits"},
            "Hits/CD2/b": {"artist": "Ann & Bob", "album": "Hits"},
            "More/c": {"artist": "Ann & Bob", "album": "Hits"},
        },
    )
    assert bag_names(found) == bagged("a b", "c")


def test_musicbrainz_decides_in_a_folder(tmp_path):
    one, two = ({"musicbrainz_artistid": mbid(digit), "album": "Live"} for digit in "ab")
    various = "89ad4ac3-39f7-470e-963a-56509c546377"
    found = library(
        tmp_path,
        {
            "a": {"artist": "Nirvana", **one},
            "b": {"artist": "Nirv\u0101na", **one},
            "c": {"artist": "Nirvana", **two},
            "d": {
                "artist": "Ann",
                "album": "X",
                "albumartist": "Y",
                "musicbrainz_albumartistid": various,
            },
        },
    )
    assert bag_names(found) == bagged("a b", "c", "d")
    assert found.tracks.columns["compilation"].tolist() == [False, False, False, True]


def test_a_classical_album_is_under_its_album_artist_or_its_composers(tmp_path):
    album = {"album": "Concertos", "albumartist": "Hilary Hahn"}
    found = library(
        tmp_path,
        {
            "a": {"artist": "Hilary Hahn; LACO", "composer": "Bach", **album},
            "b": {"artist": "Hilary Hahn", "composer": "BACH", **album},
            "c": {"artist": "Hilary Hahn", "composer": "Elgar", **album},
            "d": {"artist": "Hilary Hahn", **album},
        },
    )
    assert bag_names(found) == bagged("a b c d")
    assert bag_names(scan(tmp_path, artist="composer")) == bagged("a b", "c", "d")
    with pytest.raises(ConfigError, match="did you mean 'composer'"):
        scan(tmp_path, artist="compser")


def test_what_looks_like_no_name_is_asked_for_and_a_file_says_it(tmp_path):
    rows = {
        f"{i}": {"artist": f"Artist {i}", "albumartist": "Hits GmbH", "album": "Best"}
        for i in range(4)
    }
    rows |= {
        f"{disc}/{i}": {"artist": "Xyz", "album": "Zyx", "tracknumber": str(i)}
        for disc in "abc"
        for i in (1, 2, 3)
    }
    music = tmp_path / "music"
    found = library(music, rows)
    several, nothing = found.questions
    assert "'Hits GmbH' above 4" in several
    assert "various = ['Hits GmbH']" in several
    assert "'Zyx' by 'Xyz'" in nothing
    assert "unknown = ['Zyx']" in nothing
    words = tmp_path / "words.toml"
    words.write_text("various = ['Hits GmbH']\nunknown = ['Zyx']")
    found = scan(music, words=words)
    assert found.questions == ()
    assert found.counts["in compilations"] == 4
    assert found.counts["without artist or album"] == 9


def test_words_for_nothing_are_nothing_in_a_folder(tmp_path):
    found = library(
        tmp_path,
        {
            "a": {
                "artist": "Tuntematon esitt\u00e4j\u00e4",
                "album": "Unknown Album (3)",
                "genre": "Other",
            },
            "b": {"artist": "Ann", "album": "-", "genre": "255"},
            "c": {"artist": "Ann", "album": "Hits", "albumartist": "\u7fa4\u661f", "genre": "Rock"},
        },
    )
    assert found.tracks.genres == ("Rock",)
    assert found.untagged.tolist() == [True, True, False]
    assert found.counts["in compilations"] == 1


def test_one_track_tells_who_it_is_by_the_known_words():
    nobody = walk_module._identity(Tags(artist="Unbekannter Interpret", album="Unknown Album"))
    assert (nobody.artist_id, nobody.album_id) == (-1, -1)
    several = walk_module._identity(Tags(artist="Ann", album_artist="V.A.", album="Hits"))
    assert several.compilation
    assert several.artist_id == walk_module._identity(Tags(artist="ANN")).artist_id >= 0


@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus"])
def test_zeros_part_the_values_of_a_field(suffix, tmp_path):
    tags = read_tags(audio(tmp_path / f"a.{suffix}", artist="Ann\0Bob", genre="Rock\0\0Folk\0"))
    assert (tags.artist, tags.genres) == ("Ann; Bob", ("Rock", "Folk"))


def test_what_is_told_counts_wherever_files_lie_and_whatever_they_say(tmp_path):
    """Nameless albums are albums, tracks of none are alone, and a compilation falls apart."""
    for place in ("a/1", "b/2", "c/3", "c/4", "c/5", "d/6", "d/7", "e/8"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        audio(tmp_path / f"{place}.flac", artist="Somebody", album="Something", genre="Polka")
    sampler = {"album": "Hits", "album_artist": "Various Artists"}
    told = [
        Told("a/1.flac", Tags(artist="Ann", album="", genres=("hip hop",)), "1"),
        Told("b/2.flac", Tags(artist="Bob", album=""), "1"),
        Told("c/3.flac", Tags(artist="Ann", **sampler), "2"),
        Told("c/4.flac", Tags(artist="Cleo", **sampler), "2"),
        Told("c/5.flac", Tags(artist="ANN", **sampler), "2"),
        Told("d/6.flac", Tags(artist="Ann", album="One", album_artist="Ann"), "3"),
        Told("d/7.flac", Tags(artist="Ann", album="One", album_artist="Ann"), "4"),
        Told("e/8.flac", Tags(artist="Ann", title="\x1b[31mRed")),
    ]
    told = [Told(str(tmp_path / one.path), one.tags, one.album) for one in told]
    found = scan_told(told, tmp_path / "a")
    assert found.tracks.path.tolist() != sorted(one.path for one in told)  # by what is relative
    assert {*found.tracks.path.tolist()} == {one.path for one in told}
    bags = Bags.from_tracks(found.tracks)
    numbers = dict(enumerate(found.tracks.take(found.tracks.rows(bags.track_ids)).path.tolist()))
    parts = [{numbers[i][-6] for i in range(a, b)} for a, b in zip(bags.offsets, bags.offsets[1:])]
    assert sorted(map(sorted, parts)) == [["1", "2"], ["3", "5"], ["4"], ["6"], ["7"], ["8"]]
    row = found.tracks.path.tolist().index(told[0].path)
    assert found.tracks.genres[found.tracks.labels[row]] == "Hip-Hop"
    assert found.tracks.columns["compilation"].sum() == 3
    assert "[31mRed" in found.tracks.columns["title"].tolist()


def test_ids_of_what_is_told_are_those_of_a_scan(tmp_path):
    paths = [audio(tmp_path / f"{name}.flac", artist="Ann", album="One") for name in "ab"]
    told = scan_told([Told(str(path), Tags(), "7") for path in paths], tmp_path)
    assert told.tracks.track_id.tolist() == scan(tmp_path).tracks.track_id.tolist()
    assert told.tracks.columns["size"].tolist() == [path.stat().st_size for path in paths]


def test_told_files_that_are_not_there_are_problems(tmp_path):
    (tmp_path / "empty.flac").touch()
    here = audio(tmp_path / "here.flac")
    names = ["away.flac", "empty.flac", "\udce9.flac", "n\0.flac"]
    told = [Told(str(tmp_path / name), Tags(), "1") for name in names]
    found = scan_told([*told, Told(str(here), Tags(), "1"), Told(str(here), Tags(), "2")], tmp_path)
    assert found.tracks.path.tolist() == [str(here)]
    assert [problem.kept for problem in found.problems] == [False] * 4
    reasons = " ".join(problem.reason for problem in found.problems)
    for word in ("cannot be found (No such file", "is empty", "not valid UTF-8", "null"):
        assert word in reasons
    nothing = scan_told([], tmp_path)
    assert (len(nothing.tracks), nothing.problems) == (0, ())
