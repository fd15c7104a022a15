"""What docs/library/players.md says of files is what they hold, read by mutagen."""

import re
from pathlib import Path

import pytest
from audio_files import make, make_pyav
from mutagen import File, id3

from matt.tagging.fields import family_of, write_copy

PAGE = Path(__file__).resolve().parents[1] / "docs/library/players.md"
GENRES = ("Shoegaze", "Dream Pop")
MADE = {  # how a file of a row comes to be
    "MP3": ".mp3",
    "FLAC": ".flac",
    "Ogg Vorbis": ".ogg",
    "Opus": ".opus",
    "WAV": ".wav",
    "AIFF": ".aiff",
    "M4A": "aac",
    "WavPack": "wavpack",
    "WMA": "wma",
}


def rows():
    text = PAGE.read_text(encoding="utf-8").split("<!-- formats -->")[1].split("##")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def held(path, name):
    """All values of one tag, as mutagen reads them."""
    tags = id3.ID3(path, translate=False) if path.suffix == ".mp3" else File(path).tags
    value = tags[name]
    return [str(each) for each in (value.text if isinstance(value, id3.Frame) else value)]


def test_every_row_can_be_tried():
    assert {row[0] for row in rows()} == set(MADE)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]} {row[1]}")
def test_a_file_holds_what_the_page_says(row, tmp_path):
    name, tags, where, several, stored = row
    how = MADE[name]
    path = make(tmp_path, how, 1.0) if how.startswith(".") else make_pyav(tmp_path, how, 1.0)
    if tags.startswith("ID3"):
        audio = File(path)
        if audio.tags is None:
            audio.add_tags()
        audio.tags["TIT2"] = id3.TIT2(encoding=3, text="T")
        audio.tags.update_to_v23() if tags == "ID3v2.3" else audio.tags.update_to_v24()
        audio.save(v2_version=int(tags[-1]))
    assert family_of(path).startswith(tags)
    copy = path.with_stem("copy")
    write_copy(path, copy, {"genre": GENRES})
    values = held(copy, where.strip("`"))
    assert values == re.findall("`([^`]+)`", stored)
    assert {"values": 2, "one text": 1}[several] == len(values)
