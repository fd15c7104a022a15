"""Draw what a person with a library sees: docs/images/library/*.svg, for light and dark pages.

    python tools/draw_terminal.py            # a few minutes: it trains

Every picture is what the command in its first line shows in 80 columns, on the synthetic library
(invented music, so nothing in it is a result), or on files that hold nothing but tags. Of a long
list the middle is left out.
"""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np
import soundfile
from mutagen.flac import FLAC
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "images" / "library"
COLUMNS = 80
TRACKS = 400
LEAST = 4  # tracks of an album that is explained
_ANSI = (
    ((36, 41, 47), (207, 34, 46), (17, 99, 41), (125, 78, 0)),
    ((9, 105, 218), (130, 80, 223), (27, 124, 131), (110, 119, 129)),
)
_DARK = (
    ((139, 148, 158), (255, 123, 114), (126, 231, 135), (227, 179, 65)),
    ((121, 192, 255), (210, 168, 255), (118, 227, 234), (201, 209, 217)),
)
THEMES = {
    "light": TerminalTheme((246, 248, 250), (36, 41, 47), [*_ANSI[0], *_ANSI[1]]),
    "dark": TerminalTheme((22, 27, 34), (201, 209, 217), [*_DARK[0], *_DARK[1]]),
}
# Rich's own asks for a font from the network, and draws a window around it.
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -8 {terminal_width} {terminal_height}">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<rect x="-12" y="-8" width="100%" height="100%" rx="6" fill="BACKGROUND"/>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g>
</svg>
"""
TAGS = {  # written how often
    "Hip-Hop": 4,
    "hip hop": 2,
    "Hip Hop/Rap": 1,
    "Rap; Hip-Hop": 1,
    "Rock/Pop": 3,
    "indie rock": 2,
    "Drum'n'Bass": 2,
    "Drum & Bass": 1,
    "Jaz": 1,
    "Gabba Folk": 2,
    "Other": 3,
}
MODEL = ("--model", "mine")
SCENES = {
    "genres": ("genres", "Tags"),
    "train": ("train", "Music", "--out", "mine"),
    "predict": ("predict", "Music", *MODEL),
    "explain": ("explain", "ALBUM", *MODEL),
    "check": ("check", "Music", *MODEL),
    "similar": ("similar", "ALBUM", *MODEL),
}
LINES = 30  # of a picture
ROOM = 2  # columns left free on the right


def main() -> None:
    """Run every scene, in one library."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        from matt.datasets.synthetic import write_library

        write_tags(place / "Tags")
        write_library(place / "Music", tracks=TRACKS)
        for name, words in SCENES.items():
            named = [mixed(place) if word == "ALBUM" else word for word in words]
            draw(name, f"$ matt {shlex.join(named)}", short(seen(named, place)))


def mixed(place: Path) -> str:
    """The folder of an album that the model has not learned from, and is least sure of."""
    albums = json.loads(seen(("predict", "Music", *MODEL, "--json"), place))["albums"]
    large = [one for one in albums if one["n_tracks"] >= LEAST and not one["in_training"]]
    return str(Path(min(large, key=itemgetter("probability"))["path"]).relative_to(place))


def write_tags(folder: Path) -> None:
    """An album of one file for each genre tag."""
    folder.mkdir()
    every = [tag for tag, times in TAGS.items() for _ in range(times)]
    for number, tag in enumerate(every):
        path = folder / f"{number}.flac"
        soundfile.write(path, np.zeros(800, np.float32), 8000)
        file = FLAC(path)
        file.update({"artist": f"Artist {number}", "album": f"Album {number}", "genre": tag})
        file.save()


def short(told: str) -> str:
    """The first lines of a text, and its last paragraph."""
    before, _, last = told.rstrip("\n").rpartition("\n\n")
    lines = before.split("\n")
    if len(lines) > LINES:
        lines[LINES:] = ["..."]
    return "\n".join([*lines, "", last] if before else [last])


def seen(words: Sequence[str], place: Path) -> str:
    """What a command writes to a terminal, without its progress."""
    env = {
        **os.environ,
        "COLUMNS": str(COLUMNS),
        "TERM": "xterm-256color",
        "MATT_CACHE": str(place / "cache"),
        "PYTHONPATH": str(ROOT / "src"),
    }
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "matt", *words],
        cwd=place,
        env=env,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as running:
        os.close(theirs)
        told = b"".join(iter(lambda: _read(ours), b""))
        error = running.communicate()[1]
    if running.returncode not in (0, 3):  # 3: the library has damaged files
        raise RuntimeError(f"matt {' '.join(words)} fails:\n{error.decode()}")
    return told.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # nobody writes any more
        return b""


def draw(name: str, prompt: str, told: str) -> None:
    """Write one picture for each theme."""
    for theme, colours in THEMES.items():
        console = Console(record=True, width=COLUMNS + ROOM, file=open(os.devnull, "w"))  # noqa: SIM115
        console.print(Text(prompt, style="bold"))
        console.print(Text.from_ansi(told + "\n"))  # room below
        svg = console.export_svg(
            theme=colours,
            code_format=SVG.replace("BACKGROUND", colours.background_color.hex),
            unique_id=name,
        )
        (PICTURES / f"{name}-{theme}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
