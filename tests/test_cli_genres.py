"""What ``matt genres`` tells and writes."""

import json
import tomllib

import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC
from typer.testing import CliRunner

from matt.cli.app import app
from matt.datasets import meanings

GENRES = {
    "a": "Hip-Hop",
    "b": "Hip Hop/Rap",
    "c": "Indie",
    "d": "Mathcoar",
    "e": "Gabba Folk",
    "f": "gabba-folk",
    "g": "Other",
    "h": "",
}


def matt(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("music")
    for name, genre in GENRES.items():
        soundfile.write(root / f"{name}.flac", np.zeros(1600), 8000)
        file = FLAC(root / f"{name}.flac")
        file.update(
            {"artist": f"artist {name}", "album": "x", **({"genre": genre} if genre else {})}
        )
        file.save()
    return root


def told(*arguments):
    result = matt(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_what_the_tags_become(folder):
    document = told("genres", folder)
    rows = {row["genre"]: row for row in document["genres"]}
    assert rows["Hip-Hop"]["albums"] == rows["Hip-Hop"]["tracks"] == 2
    assert sorted(rows["Hip-Hop"]["written"]) == ["Hip Hop/Rap", "Hip-Hop"]
    assert rows["Indie Rock"]["path"] == ["Rock", "Indie Rock"]
    assert document["look_alike"] == {"Mathcoar": "Mathcore"}
    unknown = {some["written"] for some in document["meanings"] if not some["known"]}
    assert unknown == {"Mathcoar", "Gabba Folk", "gabba-folk"}
    assert document["vocabulary"] is None
    screen = matt("genres", folder).stdout
    assert "Rock > Indie Rock" in screen
    assert "Mathcore" in screen
    assert screen.count("Other") == 1


def test_a_file_to_begin_with_is_written_once_and_changes_nothing(folder, tmp_path):
    out = tmp_path / "genres.toml"
    before = told("genres", folder, "--out", out)
    assert tomllib.loads(out.read_text(encoding="utf-8"))["aliases"] == {}
    after = told("genres", folder, "--genres", out)
    assert after["genres"] == before["genres"]
    assert after["vocabulary"] == str(out)
    again = matt("genres", folder, "--out", out)
    assert again.exit_code == 2
    text = out.read_text(encoding="utf-8").replace('# "Mathcore" =', '"Mathcore" =')
    out.write_text(text, encoding="utf-8")
    rows = told("genres", folder, "--genres", out)["genres"]
    assert ["Rock", "Mathcore"] in [row["path"] for row in rows]
    assert matt("genres", folder, "--out", out, "--force").exit_code == 0


def test_whoever_reads_a_folder_is_told_by_what(folder, tmp_path):
    out = tmp_path / "mine.toml"
    out.write_text("minimum_albums = 2")
    playlist = ("playlist", folder, "--genre", "Indie", "--go-by", "tags", "--force")
    playlist = (*playlist, "--out", tmp_path / "a.m3u8")
    check = ("check", folder, "--tags-only")
    for command in (("scan", folder), ("genres", folder), check, playlist):
        said = " ".join(matt(*command, "--genres", out).stderr.split())
        assert said.count(f"genres are read by {out}") == 1, command
        assert "3 genre tags are read as another genre, several or none" in said
        said = " ".join(matt(*command, "--no-merge").stderr.split())
        assert said.count("names are taken as they are (--no-merge)") == 1, command


def test_a_vocabulary_that_leaves_one_genre_is_warned_of_and_learned_by_nobody(folder, tmp_path):
    mine = tmp_path / "mine.toml"
    some = ["Hip-Hop", "Indie Rock", "Mathcoar", "Gabba Folk"]
    mine.write_text(f"[aliases]\nAll = {json.dumps(some)}\n")
    shown = matt("genres", folder, "--genres", mine)
    assert shown.exit_code == 0
    refused = matt("train", folder, "--genres", mine, "--out", tmp_path / "run")
    assert refused.exit_code == 2
    for result in (shown, refused):
        assert "leaves one genre, 'All', of the 4" in " ".join(result.stderr.split())


def test_names_that_stay_are_listed_as_they_are(folder):
    rows = {row["genre"]: row["path"] for row in told("genres", folder, "--no-merge")["genres"]}
    assert rows["Indie"] == ["Indie"]
    assert rows["gabba-folk"] == ["gabba-folk"]


def test_what_looks_alike_is_compared_once(folder, tmp_path, monkeypatch):
    asked = []

    def counting(*given):
        asked.append(given)
        return look_alike(*given)

    look_alike = meanings.look_alike
    monkeypatch.setattr(meanings, "look_alike", counting)
    assert matt("genres", folder, "--out", tmp_path / "genres.toml").exit_code == 0
    assert len(asked) == 1
