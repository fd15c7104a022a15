"""matt check, similar and playlist on real files: exit codes, nothing changed, nothing overwritten."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC
from typer.testing import CliRunner

from matt.cli.app import app
from matt.library import playlist as playlist_module
from matt.library import predict as predict_module
from matt.tracks import stable_id

ALBUMS = {
    "Ann/One": ("Rock", 110),
    "Bob/Two": ("hip hop", 220),
    "Cleo/Three": ("Hip-Hop", 230),
    "Dan/Four": ("", 880),
}


def matt(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(root, folder, genre, pitch, *, n=2):
    (root / folder).mkdir(parents=True, exist_ok=True)
    artist, album = folder.split("/")
    rng = np.random.default_rng(int(pitch))
    for number in range(1, n + 1):
        time = np.arange(32_000) / 16_000
        sound = 0.3 * np.sin(2 * np.pi * (pitch + 3 * number) * time) + 0.01 * rng.standard_normal(
            32_000
        )
        path = root / folder / f"{number:02}.flac"
        soundfile.write(path, sound, 16_000)
        tags = FLAC(path)
        tags.update(
            {
                "artist": artist,
                "album": album,
                "title": f"{album} {number}",
                "tracknumber": str(number),
            }
        )
        if genre:
            tags["genre"] = genre
        tags.save()


def digests(root):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    root = tmp_path_factory.mktemp("home") / "music"
    for folder, (genre, pitch) in ALBUMS.items():
        write(root, folder, genre, pitch)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MATT_CACHE", str(tmp_path_factory.mktemp("cache")))
        before = digests(root)
        yield root
        assert digests(root) == before, "the music was changed"


@pytest.fixture(scope="module")
def heard(music):
    """What was extracted of it once."""
    return json.loads(matt("check", music, "--json", "--workers", 1).stdout)


def test_check_finds_what_is_there_and_exits_with_3(music, heard):
    (spelling,) = (one for one in heard["findings"] if one["kind"] == "spelling")
    assert spelling["told"] == "'Hip-Hop' 2, 'hip hop' 2"
    assert heard["counts"]["spelling"] == 1
    result = matt("check", music)
    assert result.exit_code == 3
    assert "Nothing was changed." in result.output


def test_tags_alone_need_no_sound(music, tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))
    result = matt("check", music, "--tags-only", "--json")
    assert result.exit_code == 3
    assert {one["kind"] for one in json.loads(result.stdout)["findings"]} == {"spelling"}
    assert not (tmp_path / "cache" / "features").exists()
    clean = matt("check", music / "Ann", "--tags-only")
    assert clean.exit_code == 0
    assert "Nothing odd was found." in clean.output


def test_similar_looks_where_matt_has_been_and_never_at_the_artist_itself(music, heard, tmp_path):
    result = matt("similar", music / "Ann" / "One", "--json", "--most", 2)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["library"] == str(music)
    assert len(told["similar"]) == 2
    assert "Ann" not in {row["artist"] for row in told["similar"]}
    assert (
        told["similar"]
        == json.loads(
            matt("similar", music / "Ann", "--library", music, "--json", "--most", 2).stdout
        )["similar"]
    )
    write(tmp_path, "Eve/Five", "", 440)
    lost = matt("similar", tmp_path / "Eve")
    assert lost.exit_code == 2
    assert "name one: --library DIR" in " ".join(lost.output.split())


def plans():
    """What was ever extracted: a plan a store, unless something was missing."""
    return sorted(Path(os.environ["MATT_CACHE"]).rglob("plan-*.parquet"))


@pytest.mark.parametrize("place", ["Ann/One", "Ann/One/01.flac"])
def test_a_part_of_a_library_is_answered_from_its_features(music, heard, tmp_path, place):
    before = plans()
    assert len(before) == 1
    asked = [["predict", music / place], ["explain", music / place]]
    asked.append(["similar", music / place])
    if (music / place).is_dir():
        asked.append(["check", music / place])
        like = ["--like", music / place, "--most", 1]
        asked.append(["playlist", music / "Ann", *like, "--out", tmp_path / "a.m3u8"])
    for command, *options in asked:
        result = matt(command, *options, "--json", "--workers", 1)
        told = json.loads(result.stdout)
        if command == "playlist":  # nobody else is there; the library is known all the same
            assert "no album by another artist is left" in told["error"]
        elif command == "similar":
            assert (told["schema"], told["library"]) == ("matt.similar/1", str(music))
        if command in ("predict", "explain"):
            ids = {track["track_id"] for row in told["albums"] for track in row["tracks"]}
            assert ids <= {stable_id(f"Ann/One/{n:02}.flac") for n in (1, 2)}
            assert ids
        if command != "similar":
            assert f"as a part of the library {music}" in " ".join(result.stderr.split())
        assert "the tagger that comes with matt" in " ".join(result.stderr.split())
        assert plans() == before, command


@pytest.mark.parametrize("command", ["explain", "similar"])
def test_a_store_without_its_library_is_refused(music, heard, tmp_path, command):
    result = matt(command, music / "Ann" / "One", "--store", tmp_path / "store")
    assert result.exit_code == 2
    assert "add --library DIR, the folder that it was made of" in " ".join(result.stderr.split())
    assert not (tmp_path / "store").exists()


def test_files_that_cannot_be_used_are_listed_and_exit_with_3(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "music"
    write(root, "Ann/One", "Rock", 110)
    write(root, "Bob/Two", "Rock", 330)
    (root / "Bob" / "Two" / "02.flac").write_bytes(b"no music")
    out = ["--out", tmp_path / "a.m3u8", "--force"]
    for command in (
        ["similar", root / "Ann" / "One", "--library", root],
        ["playlist", root, "--like", root / "Ann" / "One", *out],
        ["playlist", root, "--genre", "Rock", *out],
    ):
        result = matt(*command, "--json", "--workers", 1)
        assert result.exit_code == 3, result.output
        (failure,) = json.loads(result.stdout)["failures"]
        assert failure["path"] == str(root / "Bob" / "Two" / "02.flac")


def test_a_playlist_hears_a_library_once_and_asks_what_the_model_has_learned(
    music, heard, tmp_path, monkeypatch
):
    extractions, given = [], []

    def extracts(real):
        def run(*arguments, **options):
            extractions.append(arguments)
            return real(*arguments, **options)

        return run

    def predicts(*arguments, **options):
        given.append(options)
        return real_predict(*arguments, **options)

    real_predict = playlist_module.predict_library
    for module in (predict_module, playlist_module):
        monkeypatch.setattr(module, "extract", extracts(module.extract))
    monkeypatch.setattr(playlist_module, "predict_library", predicts)
    like = ["--like", music / "Ann" / "One", "--out", tmp_path / "a.m3u8"]
    assert matt("playlist", music, "--genre", "Rock", *like).exit_code == 0
    assert len(extractions) == 1
    assert [options["learned"] for options in given] == [None]
    by_tags = ["--genre", "Rock", "--go-by", "tags", "--out", tmp_path / "b.m3u8"]
    result = matt("playlist", music, *by_tags)
    assert result.exit_code == 0
    assert len(extractions) == 1
    assert "tagger" not in result.output  # nobody asked it


def test_a_playlist_is_written_once(music, heard, tmp_path):
    out = tmp_path / "hop.m3u8"
    result = matt("playlist", music, "--genre", "hiphop", "--go-by", "tags", "--out", out)
    assert result.exit_code == 0, result.output
    files = [line for line in out.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert sorted((tmp_path / file).resolve() for file in files) == sorted(
        (music / folder / f"{n:02}.flac").resolve()
        for folder in ("Bob/Two", "Cleo/Three")
        for n in (1, 2)
    )
    before = out.read_bytes()
    again = matt("playlist", music, "--genre", "Rock", "--out", out)
    assert again.exit_code == 2
    assert out.read_bytes() == before
    like = matt(
        "playlist", music, "--like", music / "Dan" / "Four", "--most", 3, "--absolute", "--out", out, "--force", "--json",
    )  # fmt: skip
    told = json.loads(like.stdout)["tracks"]
    assert [path.split("/")[-3] for path in told[:2]] == ["Dan", "Dan"]
    assert len(told) == 3
    assert [line for line in out.read_text("utf-8").splitlines() if line[0] != "#"] == told


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ((), "a playlist of what? say genre, like (an album), or both"),
        (
            ("--genre", "Polka", "--go-by", "tags"),
            "no track is 'Polka' by its tags; known: Hip-Hop, Rock",
        ),
        (("--like", "elsewhere"), "name a folder or a file of the library"),
        (("--genre", "Rock", "--go-by", "tag"), "did you mean 'tags'"),
    ],
)
def test_a_playlist_of_nothing_is_refused_and_leaves_no_file(music, tmp_path, arguments, remedy):
    out = tmp_path / "x.m3u8"
    result = matt("playlist", music, "--out", out, *arguments)
    assert result.exit_code == 2
    assert remedy in " ".join(result.output.split())
    assert not out.exists()


def test_nothing_is_read_for_a_name_that_is_no_playlist(tmp_path):
    result = matt("playlist", tmp_path / "gone", "--genre", "Rock", "--out", tmp_path / "x.txt")
    assert result.exit_code == 2
    assert "must end in .m3u8" in " ".join(result.output.split())


def test_a_copy_with_other_tags_is_found_by_its_audio(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "music"
    write(root, "Ann/One", "Rock", 110)
    write(root, "Bob/Two", "Rock", 330)
    (root / "Old").mkdir()
    (root / "Old" / "x.flac").write_bytes((root / "Ann" / "One" / "01.flac").read_bytes())
    tags = FLAC(root / "Old" / "x.flac")
    tags.update({"artist": "\x1b[31mEve\n#EXTM3U", "album": "=1+1", "title": "../../x"})
    tags.save()
    result = matt("check", root, "--json", "--workers", 1)
    (copy,) = (one for one in json.loads(result.stdout)["findings"] if one["kind"] == "copy")
    assert (copy["sure"], copy["told"]) == (1.0, "One 1, the same audio: Ann/One and Old")
    assert copy["paths"] == [str(root / "Ann" / "One" / "01.flac"), str(root / "Old" / "x.flac")]
    shown = matt("check", root)
    assert shown.exit_code == 3
    assert "\x1b[31mEve" not in shown.output
