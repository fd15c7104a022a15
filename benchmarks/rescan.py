"""Scanning a large library again: nothing has changed, and one album is new.

The library is generated: small files, an ID3 tag and a few frames of MP3 each, in folders of artist
and album. Its files are written once, to ``$MATT_BENCH_DIR`` or a folder of temporary files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import mutagen.flac
import numpy as np
import soundfile

from matt.datasets.folder import scan
from matt.datasets.memory import memory_file
from matt.features.blocks import create, write_block
from matt.features.plan import Plan, provenance, stamp_of
from matt.library.predict import predict_library
from matt.models.tagger import Tagger

from .paired import Claim

N_FILES, AN_ALBUM, ALBUMS_OF_ONE = 100_000, 12, 3
GENRES = ("Rock", "Indie Rock", "Hip-Hop", "hip hop", "Electronic", "Techno", "Folk", "Jazz", "")
NAMES = (
    *("ash", "bell", "crow", "dawn", "ember", "fox", "glass", "hill"),
    *("iron", "jade", "kite", "lake", "moss", "night", "oak", "pine"),
)
A_BLOCK = 256  # files
SECONDS, SR = 8.0, 16_000  # of a new track
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


def kept() -> Path:
    """Where it is remembered what files said."""
    return folder() / "scans"


def rescan(times: int) -> None:
    """Scan the library, which is remembered, so often."""
    for _ in range(times):
        scan(library(), remembered=kept())


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


def unchanged() -> tuple[float, float]:
    """Seconds of a scan, as the mean of one before and one after the loop, and of the loop."""
    if not memory_file(kept(), library()).exists():
        rescan(1)
    times = [timed(partial(rescan, 1)), timed(mutagen_loop), timed(partial(rescan, 1))]
    return (times[0] + times[2]) / 2, times[1]


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def filled_store() -> Path:
    """Write features of the whole library, made up, once."""
    store, spec = folder() / f"store-{N_FILES}", Tagger().spec
    if (store / "done").exists():
        return store
    tracks = scan(library(), remembered=kept()).tracks
    create(store, spec)
    order = np.lexsort((tracks.track_id, tracks.album_id))
    ids, paths = tracks.track_id[order], tracks.path[order]
    size, mtime_ns = map(np.array, zip(*map(stamp_of, paths.tolist()), strict=True))
    hashes, none = np.array([f"{one:032x}" for one in ids.tolist()]), np.full(len(ids), -1)
    blocks, rng = np.arange(len(ids)) // A_BLOCK, np.random.default_rng(0)
    plan = Plan(0, ids, paths, size, mtime_ns, hashes, none, blocks, False, provenance())
    plan.save(store)
    for block in range(plan.n_blocks):
        here = ids[blocks == block]
        n = len(here)
        rows = {"track_id": here, "start": np.arange(n), "n_segments": np.ones(n, np.int64)}
        values = rng.random((n, *spec.shape), dtype=np.float32).astype(spec.dtype)
        write_block(store, 0, block, values, {**rows, "status": ["ok"] * n, "reason": [""] * n})
    (store / "done").touch()
    return store


def one_more() -> tuple[float, float]:
    """Seconds from an album that is there to its genre, that of the others, and a minute."""
    store = filled_store()
    place = library() / "New Artist" / f"New Album {time.time_ns()}"
    place.mkdir(parents=True)
    rng = np.random.default_rng(time.time_ns())
    for track in range(1, AN_ALBUM + 1):
        sound = 0.2 * rng.standard_normal(int(SECONDS * SR))
        soundfile.write(place / f"{track:02d}.flac", sound, SR)
        file = mutagen.flac.FLAC(place / f"{track:02d}.flac")
        file.update({"artist": "New Artist", "album": place.name})
        file.save()
    try:
        start = time.perf_counter()
        found = scan(library(), remembered=kept())
        done = predict_library(found, Tagger(), store, workers=1).extraction
        seconds = time.perf_counter() - start
    finally:
        shutil.rmtree(place)
    if (done.extracted, done.unchanged) != (AN_ALBUM, N_FILES):
        raise RuntimeError(f"not the new album alone was extracted: {done}")
    return seconds, 60.0


def claims() -> list[Claim]:
    """100,000 files in 8,334 albums."""
    facts = {"n": N_FILES, "data": "made up"}
    return [
        Claim(
            claim=f"unchanged rescan of {N_FILES:,} files",
            peer="os.walk and mutagen.File",
            goal=10.0,
            pair=unchanged,
            runs=1,
            n_items=N_FILES,
            facts=facts,
        ),
        Claim(
            claim=f"memory of four rescans of {N_FILES:,} files, beside one",
            peer="one rescan",
            goal=0.9,
            ours=partial(rescan, 4),
            theirs=partial(rescan, 1),
            before=library,
            memory=True,
            runs=1,
            facts=facts,
        ),
        Claim(
            claim=f"scan, features and genres after one album more than {N_FILES:,} files",
            peer="a minute",
            goal=1.0,
            pair=one_more,
            runs=2,
            facts=facts,
        ),
    ]
