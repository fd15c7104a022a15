"""A library whose names and tags attack the terminal, JSON, markup and spreadsheets."""

import csv
import json
import re
import shutil

import mutagen
import pytest
import torch
from typer.testing import CliRunner

from matt.cli.app import app
from matt.datasets.synthetic import write_library

TEXTS = (
    "[red]x[/red] :cat:",
    "[red]x[bold] :cat:",
    "[link=http://example.org]x",
    "esc\x1b[31m\x1b]0;title\x07 \x9b2J",
    "new\nline\rover",
    "=1+1",
    '+cmd|"/c calc"!A0',
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "very long " * 300,
    "\u202egnp.exe\u2066 \u200f",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }} %s %(x)s $(id)",
)
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
FAST = ("training.epochs=2", "features.duration=0.5", "features.short='pad'", "training.threads=1")


def is_name(text):
    return len(text) < 100 and "/" not in text


def _tags(path):
    try:
        return mutagen.File(path, easy=True)
    except mutagen.MutagenError:  # planted by the synthetic library
        return None


@pytest.fixture(scope="module")
def attack(tmp_path_factory):
    """A library with a hostile artist, album, title and genre each, and a run learned from it."""
    place = tmp_path_factory.mktemp("hostile")
    music = place / "music [bold]"
    write_library(music, tracks=46, seconds=(0.5, 0.6), workers=1)
    tagged = sorted(path for path in music.rglob("*.flac") if path.stat().st_size)
    for i, text in enumerate(TEXTS):
        target = music / (f"{text}.flac" if is_name(text) else f"{i}.flac")
        shutil.copy(tagged[i % len(tagged)], target)
        tags = mutagen.File(target)
        for name in ("artist", "albumartist", "album", "title"):
            tags[name] = text
        tags.save()
    for text in filter(is_name, TEXTS):
        (music / f"{text}.mp3").write_text("no audio")
    for path in music.rglob("*"):  # the name of a genre, too, and of the most common one
        tags = path.suffix in (".flac", ".ogg", ".mp3") and _tags(path)
        if tags and tags.get("genre") == ["Mock House"]:
            tags["genre"] = "=[red]House\x1b[31m<b>"
            tags.save()
    return place, music


def run(attack, *arguments):
    torch.set_num_threads(1)
    environment = {"MATT_CACHE": str(attack[0] / "cache")}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


@pytest.fixture(scope="module")
def trained(attack):
    out = attack[0] / "run\x1b[31m[red]"
    chosen = [part for setting in FAST for part in ("--set", setting)]
    return out, run(attack, "train", attack[1], "--out", out, "--no-controls", *chosen)


def check(result, *, as_json):
    assert result.exit_code in (0, 3), result.output
    for stream in (result.stdout, result.stderr):
        assert not STEERING.search(stream), STEERING.search(stream)
        assert "🐱" not in stream
    if as_json:
        json.loads(result.stdout)


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    "command",
    [
        *("scan", "extract", "train", "evaluate", "predict", "explain", "compare", "report"),
        *("score", "genres", "check", "similar", "playlist"),
    ],
)
def test_no_name_or_tag_reaches_further_than_its_text(command, as_json, attack, trained):
    music, out = attack[1], trained[0]
    saved = out / "predictions" / "test.parquet"
    arguments = {
        "scan": [music],
        "extract": [music, "--duration", "0.5", "--short", "pad", "--workers", "1"],
        "train": [music, "--out", f"{out} again", "--no-controls", "--set", "training.epochs=1"],
        "evaluate": [out],
        "compare": [out, saved, "--rounds", "0"],
        "report": [out, "--out", attack[0] / f"report [red]\x1b[31m {as_json}", "--rounds", "0"],
        "score": [saved, "--rounds", "0"],
        "genres": [music],
        "check": [music, "--model", out],
        "similar": [music / "[red]x[bold] :cat:.flac", "--library", music, "--model", out],
        "playlist": [
            *(music, "--like", music / "[red]x[bold] :cat:.flac", "--model", out, "--force"),
            *("--out", attack[0] / "[red]\x1b[31m.m3u8"),
        ],
        "explain": [
            *(music, "--together", "--model", out),
            *("--picture", attack[0] / "[red]\x1b[31m.svg", "--force"),
        ],
        "predict": [
            music,
            "--model",
            out,
            "--force",
            "--out",
            attack[0] / "genres.csv",
        ],
    }[command]
    if command == "train" and not as_json:
        result = trained[1]
    elif command == "train":
        chosen = [part for setting in FAST for part in ("--set", setting)]
        result = run(attack, "train", *arguments, *chosen[2:], "--json")
    else:
        result = run(attack, command, *arguments, *(["--json"] if as_json else []))
    check(result, as_json=as_json)
    if not as_json and command in ("evaluate", "score"):
        assert "=[red]House [31m<b>" in result.stdout
    elif not as_json and command in ("compare", "report"):
        assert "[31m" in result.stdout.replace("\ufffd", "")
    elif not as_json and command not in ("genres", "similar", "playlist"):  # shown, not obeyed
        assert f"{music}/[red]x[bold] :cat:.mp3: " in result.stderr


def test_no_cell_of_a_report_is_a_formula(attack, trained):
    out = attack[0] / "tables"
    result = run(attack, "report", trained[0], "--out", out, "--rounds", "0", "--json")
    assert result.exit_code == 0, result.output
    cells = set()
    for path in (out / "tables").iterdir():
        with path.open(newline="", encoding="utf-8") as file:
            cells |= {cell for row in csv.reader(file) for cell in row}
    formulas = [cell for cell in cells if cell[:1] in tuple("=+-@") and not _is_number(cell)]
    assert formulas == []
    assert "'=[red]House [31m<b>" in cells
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not STEERING.search(page.replace("\t", " "))


def _is_number(text):
    try:
        return float(text) is not None
    except ValueError:
        return False


def test_no_cell_of_a_table_of_albums_is_a_formula(attack, trained):
    table = attack[0] / "again.csv"
    result = run(attack, "predict", attack[1], "--model", trained[0], "--out", table, "--json")
    assert result.exit_code == 3, result.output
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = {cell for row in rows for cell in row.values()}
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]
    for text in ("=1+1", "-2+3", "@SUM(A1)", "=[red]House [31m<b>"):
        assert f"'{text}" in cells
    albums = json.loads(result.stdout)["albums"]
    assert "=1+1" in {album["album"] for album in albums}  # JSON runs nothing
