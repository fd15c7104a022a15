"""Scanning a large library again: nothing has changed, and one album is new.

The library is generated: small files, an ID3 tag and a few frames of MP3 each, in folders of artist
and album. Its files are written once, to ``$MATT_BENCH_DIR`` or a folder of temporary files.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .paired import Claim

N_FILES, AN_ALBUM, ALBUMS_OF_ONE = 100_000, 12, 3
GENRES = ("Rock", "Indie Rock", "Hip-Hop", "hip hop", "Electronic", "Techno", "Folk", "Jazz", "")
NAMES = "ash bell crow dawn ember fox glass hill iron jade kite lake moss night oak pine".split()
FRAME = bytes.fromhex("fffb9064") + bytes(413)  # 128 kbit a second, 44,100 Hz, nothing in it
_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def folder() -> Path:
    """For the library and what is remembered of it."""
    if given := os.environ.get("MATT_BENCH_DIR"):
        return Path(given)
    _kept.append(tempfile.TemporaryDirectory(prefix="matt-bench-"))
    return Path(_kept[-1].name)


def library(n: int = N_FILES) -> Path:
    """Write a library of so many files, once."""
    root = folder() / f"library-{n}"
    if not (root / "done").exists():
        for number in range(-(-n // AN_ALBUM)):
            write_album(root, number, n_tracks=min(AN_ALBUM, n - number * AN_ALBUM))
        (root / "done").touch()
    return root


def write_album(root: Path, number: int, *, n_tracks: int = AN_ALBUM) -> Path:
    """Write one album; every seventh has guests, every fortieth is a sampler."""
    rng = np.random.default_rng(number)
    artist = _name(number // ALBUMS_OF_ONE)
    album = f"{' '.join(rng.choice(NAMES, 2))} {number}".title()
    place = root / ("Various" if number % 40 == 39 else artist) / album
    place.mkdir(parents=True, exist_ok=True)
    genre = GENRES[int(rng.integers(len(GENRES)))]
    for track in range(1, n_tracks + 1):
        by = _name(int(rng.integers(1 + number))) if number % 40 == 39 else artist
        title = f"{' '.join(rng.choice(NAMES, 3))}".title()
        if number % 7 == 0 and track % 4 == 0:
            by += f" feat. {_name(int(rng.integers(1 + number)))}"
        tags = {
            "TIT2": title, "TPE1": by, "TALB": album, "TRCK": f"{track}/{n_tracks}",
            "TPE2": "Various Artists" if number % 40 == 39 else artist,
            "TDRC": str(1960 + number % 60), "TCON": genre,
        }  # fmt: skip
        (place / f"{track:02d} {title}.mp3").write_bytes(_id3(tags) + 5 * FRAME)
    return place


def _name(number: int) -> str:
    rng = np.random.default_rng([number, 1])
    return f"{' '.join(rng.choice(NAMES, 2))} {number:x}".title()


def _id3(tags: dict[str, str]) -> bytes:
    """ID3v2.4."""
    frames = b"".join(
        name.encode() + _size(1 + len(text.encode())) + b"\0\0\3" + text.encode()
        for name, text in tags.items()
        if text
    )
    return b"ID3\4\0\0" + _size(len(frames)) + frames


def _size(n: int) -> bytes:
    return bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127])


def mutagen_loop() -> int:
    """What anybody writes: walk, and open each file with mutagen."""
    import mutagen

    n = 0
    for place, _, names in os.walk(library()):
        for name in names:
            if name.endswith(".mp3"):
                file = mutagen.File(os.path.join(place, name), easy=True)
                n += bool(file.get("artist"))
    return n
