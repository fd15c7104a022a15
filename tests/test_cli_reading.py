"""Options that say how a folder or a table is read, each through the command line."""

import json

import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC
from typer.testing import CliRunner

from matt import Tracks
from matt.cli.app import app

TOML = 'table = "t.csv"\ngenre = "genre"\nfeatures = "f_*"\n'
FILES = {
    "a": {"artist": "Ann", "album": "Hits (CD1)", "composer": "Bach", "genre": "Rock; Folk"},
    "b": {
        "artist": "ANN feat. Bob",
        "album": "Hits (CD2)",
        "composer": "Bach",
        "genre": "Rock; Foo",
    },
    "c": {"artist": "Hits GmbH", "album": "Party", "composer": "Holst", "genre": "Pop"},
}
GENRES = 'keep = ["Rock; Folk"]\nignore = ["Pop"]\n'
WORDS = 'various = ["Hits GmbH"]\nunknown = ["Pop"]\n'


def matt(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three tracks of a fifth of a second."""
    root = tmp_path_factory.mktemp("music")
    (root / "words.toml").write_text(WORDS)
    (root / "mine.toml").write_text(GENRES)
    for name, tags in FILES.items():
        soundfile.write(root / f"{name}.flac", np.zeros(1600), 8000)
        file = FLAC(root / f"{name}.flac")
        file.update(tags)
        file.save()
    return root


READINGS = {  # artists, albums, genres of the labels
    "": ([0, 0, 1], [0, 0, 1], ("Pop", "Rock", "Rock; Foo")),
    "--no-merge": ([0, 1, 2], [0, 1, 2], ("Pop", "Rock; Folk", "Rock; Foo")),
    "--artist composer": ([0, 0, 1], [0, 0, 1], ("Pop", "Rock", "Rock; Foo")),
    "--artist composer --no-merge": ([0, 0, 1], [0, 1, 2], ("Pop", "Rock; Folk", "Rock; Foo")),
    "--words {}/words.toml": ([0, 0, -1], [0, 0, 1], ("Rock", "Rock; Foo")),
    "--genre-separator ;": ([0, 0, 1], [0, 0, 1], ("Pop", "Rock")),
    "--genres {}/mine.toml": ([0, 0, 1], [0, 0, 1], ("Rock; Folk", "Rock; Foo")),
    "--genres {}/mine.toml --no-merge": ([0, 1, 2], [0, 1, 2], ("Rock; Folk", "Rock; Foo")),
}


def numbered(ids):
    """Ids by where each is first met; what is unknown stays -1."""
    known = list(dict.fromkeys(one for one in ids.tolist() if one >= 0))
    return [known.index(one) if one >= 0 else -1 for one in ids.tolist()]


@pytest.mark.parametrize("options", READINGS)
def test_a_folder_is_read_as_it_is_said(folder, tmp_path, options):
    out = tmp_path / "tracks.parquet"
    code, result = matt("scan", folder, "--out", out, "-q", *options.format(folder).split())
    assert code == 0, result.output
    tracks = Tracks.load(out)
    artists, albums, genres = READINGS[options]
    assert numbered(tracks.artist_id) == artists
    assert numbered(tracks.album_id) == albums
    assert tracks.genres == genres


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--artist", "componist"], "artist is 'componist'; did you mean 'composer'?"),
        (["--words", "{}/none.toml"], "none.toml does not exist; check the path"),
        (["--words", "{}/a.flac"], "a.flac is not written in UTF-8"),
        (["--genres", "{}/none.toml"], "none.toml does not exist; check the path"),
        (["--genres", "{}/words.toml"], "words.toml: 'various' is no key; "),
    ],
)
def test_a_wrong_way_to_read_is_refused(folder, options, message):
    code, result = matt("scan", folder, "--json", *(o.format(folder) for o in options))
    assert code == 2
    assert message in json.loads(result.stdout)["error"]


HEAD = "track_id;artist;genre;f_a\n"
ROWS = "1;Ann;Rock;0,5\n2;Bob;Rock;1,5\n3;Cleo;Jazz;2,5\n"
ALL = {"Jazz": 1, "Rock": 2}
# What a file holds, tracks by genre without an option or what is told, the option, tracks with it.
TABLES = {
    "repeated": (HEAD + ROWS + "3;Cleo;Jazz;2,5\n", "say repeated = 'first'", 'repeated = "first"', ALL),
    "min_tracks": (HEAD + ROWS, ALL, "min_tracks = 2", {"Rock": 2}),
    "decimal": (HEAD + ROWS.replace(",5", "1,250").replace(";0", ";"), "say decimal = ','", 'decimal = ","', ALL),
    "delimiter": ((HEAD + ROWS).replace(";", "#"), "no such column", 'delimiter = "#"', ALL),
    "skip": ("Made by me\n" + HEAD + ROWS, "no such column", "skip = 1", ALL),
    "encoding": (HEAD + ROWS.replace("Ann", "J\u00fcrgen"), "say encoding = 'cp1252'", 'encoding = "cp1252"', ALL),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_as_its_toml_says(tmp_path, name):
    text, before, option, after = TABLES[name]
    (tmp_path / "t.csv").write_bytes(text.encode("cp1252"))
    for line, expected in (("", before), (option, after)):
        (tmp_path / "t.toml").write_text(f"{TOML}{line}\n")
        code, result = matt("describe", tmp_path / "t.toml", "--json", "-q")
        told = json.loads(result.stdout)
        assert code == (2 if isinstance(expected, str) else 0)
        if isinstance(expected, str):
            assert expected in told["error"]
        else:
            counts = told["parts"]["all"]["tracks_by_genre"]
            assert dict(zip(told["genres"], counts, strict=True)) == expected


REFUSED = {
    'repeated = "last"': "unknown repeated 'last'; known: best_known, error, first",
    "min_tracks = 9": "t.toml: min_tracks = 9, but the largest genre, 'Rock', has 2 tracks",
    'decimal = ";"': "unknown decimal ';'",
    'delimiter = ","': "t.csv: delimiter = ',' parts its heading",
    "skip = 9": "t.csv has 0 rows below the 9 lines",
    'encoding = "utf-9"': "encoding is 'utf-9', which is unknown",
}


@pytest.mark.parametrize("command", ["describe", "train", "reproduce"])
@pytest.mark.parametrize("option", REFUSED)
def test_a_wrong_option_of_a_table_is_one_line(tmp_path, command, option):
    toml = tmp_path / "t.toml"
    (tmp_path / "t.csv").write_text(HEAD + ROWS)
    toml.write_text(f"{TOML}{option}\n")
    options = {
        "train": ["--out", tmp_path / "run"],
        "reproduce": ["--out", tmp_path / "run", "--table", "1", "--data"],
    }
    code, result = matt(command, *options.get(command, []), toml, "--json")
    assert code == 2, result.output
    error = json.loads(result.stdout)["error"]
    assert REFUSED[option] in error
    assert "\n" not in error
