"""A small library that is reviewed, with what a model would have said of it; and its server."""

import os
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from mutagen.flac import FLAC, Picture

from matt.datasets.genres import Vocabulary
from matt.review.albums import Albums
from matt.review.decisions import Decisions
from matt.review.server import Review
from matt.review.serving import bound, server_of

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
HOSTILE = "<script>alert(1)</script>\u202etxt.exe\x1b[31m"
ALBUMS = [  # artist, title, tag, status, genres and probabilities
    ("Ann", "Blue", None, "new", [("Folk", 0.9), ("Rock", 0.06), ("Jazz", 0.04)]),
    ("Bob", "Red", "Rock", "disagrees", [("Jazz", 0.8), ("Rock", 0.15), ("Folk", 0.05)]),
    ("Cy", HOSTILE, "Jazz", "disagrees", [("Folk", 0.7), ("Jazz", 0.2), ("Rock", 0.1)]),
    ("Di", "Green", "Folk", "unsure", [("Rock", 0.4), ("Folk", 0.35), ("Jazz", 0.25)]),
    ("Ed", "Grey", "Rock", "agrees", [("Rock", 0.95), ("Jazz", 0.03), ("Folk", 0.02)]),
]
TRACKS = 3


def sound(path, *, seconds=2.0, cover=b"", **tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(int(seconds * 8000)) / 8000
    soundfile.write(os.fsencode(path), 0.1 * np.sin(2 * np.pi * 440 * times), 8000, format="FLAC")
    file = FLAC(path)
    file.update({name: value for name, value in tags.items() if value})
    if cover:
        picture = Picture()
        picture.data, picture.type, picture.mime = (
            cover,
            3,
            "text/html",
        )  # what it says of itself counts for nothing
        file.add_picture(picture)
    file.save()
    return path


def a_row(paths, artist, title, tagged, status, likely, *, first=0):
    tracks = [
        {
            "track_id": first + n,
            "title": f"Song {n}",
            "artist": artist,
            "path": str(path),
            "tagged": tagged,
        }
        for n, path in enumerate(paths)
    ]
    return {
        "artist": artist, "album": title, "title": None, "year": None, "path": str(Path(paths[0]).parent), "n_tracks": len(paths),
        "tagged": tagged, "status": status, "genre": likely[0][0], "probability": likely[0][1], "unsure": status == "unsure",
        "top": [{"genre": genre, "probability": sure} for genre, sure in likely],
        "in_training": False, "out_of_fold": False, "tracks": tracks,
    }  # fmt: skip


def small_library(folder, *, explain=None):
    """A review of five albums of three tracks, whose files are there."""
    root, rows = folder / "Music", []
    for number, (artist, title, tagged, status, likely) in enumerate(ALBUMS):
        place = root / artist / f"album {number}"
        paths = [
            sound(
                place / f"{n}.flac", artist=artist, album=title, title=f"Song {n}", genre=tagged or "",
                cover=PNG if number == 0 else b"<svg onload='alert(1)'>" if number == 1 else b"",
            )
            for n in range(TRACKS)
        ]  # fmt: skip
        rows.append(a_row(paths, artist, title, tagged, status, likely, first=10 * number))
    return review_of(rows, root, explain=explain)


def review_of(rows, root, *, explain=None):
    decisions = Decisions.open(root)
    return Review(
        root=root, albums=Albums(rows, root), decisions=decisions, genres=("Folk", "Jazz", "Rock", "Hip-Hop"),
        vocabulary=Vocabulary(), explain=explain, place=decisions.path.with_suffix(".place.json"),
    )  # fmt: skip


def large_library(root, n=20_000):
    """A review of so many albums of twelve tracks, none of which is there."""
    statuses, genres = ("new", "disagrees", "unsure", "agrees"), ("Folk", "Jazz", "Rock")
    rows = []
    for number in range(n):
        paths = [
            f"{root}/Artist {number % 3000}/Album {number}/{track:02} Song.flac"
            for track in range(12)
        ]
        likely = [
            (genres[(number + i) % 3], p) for i, p in enumerate((0.9 - number / n / 2, 0.05, 0.01))
        ]
        status = statuses[number % 4]
        tagged = None if status == "new" else "Folk"
        rows.append(
            a_row(
                paths,
                f"Artist {number % 3000}",
                f"Album {number}",
                tagged,
                status,
                likely,
                first=12 * number,
            )
        )
    return review_of(rows, root)


@contextmanager
def served(review, *, port=0):
    """Serve a review in a thread; gives the address that lets in."""
    listening, told, said = bound(port), threading.Event(), []

    def ready(url, _):
        said.append(url)
        told.set()

    server = server_of(review, listening, ready)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        assert told.wait(30)
        yield said[0]
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
