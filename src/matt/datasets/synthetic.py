"""A synthetic music library: real audio files with real tags and invented music.

Nine invented genres ("Mock House" and so on), the most common with 10 to 15 times the tracks of the
rarest; artists and albums with a sound of their own; relatives that are hard to tell apart; and
what any real folder holds: a truncated, an empty and a mislabelled file, missing tags, a
compilation. It shows and tests the way from files to results. Nothing about real music follows
from it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..files import replacing, write_json
from ..processes import mapped
from .invented import made_with
from .invented.catalogue import ARTISTS, plan_library
from .invented.sound import GENRES, MUSIC, STYLES, played_by, render, write_audio
from .tags import NAMES

MANIFEST = "library.json"
_STARTED = "library.unfinished.json"
_KIND = "synthetic library"
_VERSION = 2  # of the sound and the tags: raise it whenever either changes
_FORMATS = ("mp3", "flac", "mp3", "ogg", "wav", "mp3", "flac", "ogg")  # of one album after another
_SAMPLER = "All Of Them (Synthetic)"
_LOST = ("everything", "artist", "album", "genre")  # of the tags of the untagged files
_ID3 = {vorbis[0]: id3[0] for id3, _, _, vorbis in NAMES.values()}
_TRUTH = ("file", "genre", "artist", "album", "planted", "tags")  # what the manifest says


@dataclass(frozen=True)
class PlannedTrack:
    """One file to write.

    Attributes
    ----------
    number : int
        Of the track; its random numbers depend on the seed and on this alone.
    file : str
        Relative to the root, with ``/``.
    genre : str
        What is played.
    artist, album : int
        Numbers of those whose character it has.
    sr, channels : int
    seconds : float
    tags : dict of str to str
        Vorbis names; several genres are separated by ``"; "``.
    planted : str
        ``"truncated"``, ``"untagged"``, ``"compilation"`` or ``""``.
    """

    number: int
    file: str
    genre: str
    artist: int
    album: int
    sr: int
    channels: int
    seconds: float
    tags: dict[str, str]
    planted: str = ""


def plan_files(*, seed: int, tracks: int, seconds: tuple[float, float]) -> list[PlannedTrack]:
    """Decide everything but the sound.

    Each genre has at least four artists, each artist at least one album and each album at least
    one track. Besides ``tracks`` sound and tagged files, five are planted: one truncated, four with
    tags missing (all, artist, album, genre). Some of the ``tracks`` are on a compilation.

    Raises
    ------
    ConfigError
        If there are too few tracks for every genre, or the durations make no sense.
    """
    least = len(GENRES) * ARTISTS + 10
    if tracks < least:
        raise ConfigError(
            f"tracks={tracks} is too few for {len(GENRES)} genres; use {least} or more"
        )
    if not 0.5 <= seconds[0] <= seconds[1]:
        raise ConfigError(f"seconds={seconds} must be (shortest, longest), at least 0.5 s")
    rng = np.random.default_rng([seed, 0])
    catalogue = plan_library(rng, tracks, extra=1 + len(_LOST))
    planned: list[PlannedTrack] = []
    columns = (catalogue.genre, catalogue.artist, catalogue.album, catalogue.place)
    for number, (genre, artist, album, place) in enumerate(
        zip(*(column.tolist() for column in columns))
    ):
        if place == 1:
            sr = 44100 if rng.random() < 0.12 else 22050
            channels = 2 if rng.random() < 0.3 else 1
            titles = rng.permutation(90).tolist()
        written = GENRES[genre]
        if album % 11 == 5:
            written = f"{written}; Mock Music"  # a second genre
        if album % 11 == 8:
            written = written.upper()  # another spelling of the first
        tags = {
            "title": _title(titles[place - 1]),
            "artist": _artist(artist),
            "album": f"{_title(album * 37)} (Synthetic)",
            "genre": written,
            "tracknumber": str(place),
        }
        name = f"{place:02d} {tags['title']}.{_FORMATS[album % len(_FORMATS)]}"
        planned.append(
            PlannedTrack(
                number=number,
                file=f"{tags['artist']}/{tags['album']}/{name}",
                genre=GENRES[genre],
                artist=artist,
                album=album,
                sr=sr,
                channels=channels,
                seconds=round(float(rng.uniform(*seconds)), 3),
                tags=tags,
            )
        )
    return [*_compile(planned[:tracks]), *_plant(planned[tracks:])]


def _compile(planned: list[PlannedTrack]) -> list[PlannedTrack]:
    """Move tracks of four genres to a sampler: two of an artist where its albums can spare them."""
    left = Counter(track.album for track in planned)
    taken: Counter[str] = Counter()
    done = []
    for track in planned:
        genre, artist = track.genre, track.tags["artist"]
        chosen = genre in GENRES[:4] and left[track.album] > 1
        chosen = chosen and taken[artist] < 2 and (taken[artist] > 0 or taken[genre] == 0)
        if chosen:
            left[track.album] -= 1
            taken.update([artist, genre, _SAMPLER])
            place = taken[_SAMPLER]
            suffix = track.file.rsplit(".", 1)[1]
            track = replace(
                track,
                file=f"Various Artists/{_SAMPLER}/{place:02d} {track.tags['title']}.{suffix}",
                tags=track.tags
                | {
                    "album": _SAMPLER,
                    "albumartist": "Various Artists",
                    "compilation": "1",
                    "tracknumber": str(place),
                },
                planted="compilation",
            )
        done.append(track)
    return done


def _plant(extra: list[PlannedTrack]) -> list[PlannedTrack]:
    first, *others = extra
    planted = [replace(first, file="Damaged/truncated.mp3", planted="truncated")]
    for track, lost in zip(others, _LOST):
        tags = {k: v for k, v in track.tags.items() if k != lost and lost != "everything"}
        suffix = track.file.rsplit(".", 1)[1]
        file = f"Untagged/no {lost if tags else 'tags'}.{suffix}"
        planted.append(replace(track, file=file, tags=tags, planted="untagged"))
    return planted


def _artist(number: int) -> str:
    """A made-up name, one for each number.

    >>> _artist(0), _artist(1)
    ('Baba Dofeba', 'Fera Dorado')
    """
    syllables = MUSIC["names"]["syllables"]
    pairs = [a + b for a, b in product(syllables, repeat=2)]
    a, b, c = number * 31 % 144, (number * 5 + 14) % 144, number % 12
    return f"{pairs[a].title()} {(pairs[b] + syllables[c]).title()}"


def _title(number: int) -> str:
    pairs = [f"{a} {b}" for b, a in product(MUSIC["names"]["second"], MUSIC["names"]["first"])]
    again, pair = divmod(number, len(pairs))
    return pairs[pair] + (f" {again + 1}" if again else "")


def write_library(
    root: Path | str,
    *,
    seed: int = 0,
    tracks: int = 400,
    difficulty: float = 0.5,
    seconds: tuple[float, float] = (8.0, 12.0),
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the synthetic library, unless it is there already.

    Decoded samples and tags depend on the arguments only, not on ``workers``. The manifest is
    written last: a folder without it is unfinished, and the same call starts it again.

    Parameters
    ----------
    root : path
        An empty or new folder, or one that an equal call has begun.
    seed : int >= 0
    tracks : int >= 46
        Sound and tagged tracks; the planted files come on top. An imbalance of 10 needs 160.
    difficulty : float
        From 0 (styles plainly different) to 1 (hardly told apart).
    seconds : (float, float)
        Shortest and longest track, at least 0.5.
    workers : int >= 1
        Processes. With more than 1, a script that calls this needs the usual
        ``if __name__ == "__main__":``.
    progress : callable, optional
        Called with (files written, files to write).

    Returns
    -------
    Path
        ``root/library.json``: ``parameters``, ``digest`` of all samples and tags, ``counts``,
        ``planted`` (kind to files), ``sizes`` in bytes, and as ``truth`` the genre, artist and
        album of every file.

    Raises
    ------
    DataError
        If the folder holds something else.
    ConfigError
        If an argument makes no sense.
    """
    if not 0 <= difficulty <= 1:
        raise ConfigError(f"difficulty={difficulty} is out of range; use 0 to 1")
    if seed < 0:
        raise ConfigError(f"seed={seed} is negative; use 0 or more")
    if workers < 1:
        raise ConfigError(f"workers={workers} is too few; use 1 or more")
    root = Path(root)
    parameters = {
        "version": _VERSION,
        "seed": seed,
        "tracks": tracks,
        "difficulty": difficulty,
        "seconds": list(seconds),
    }
    planned = plan_files(seed=seed, tracks=tracks, seconds=seconds)
    noted = made_with(root, [MANIFEST, _STARTED], kind=_KIND, parameters=parameters)
    sizes = noted.get("sizes", {})  # missing where only the start was noted
    if sizes and all(_size(root / file) == size for file, size in sizes.items()):
        return root / MANIFEST
    root.mkdir(parents=True, exist_ok=True)
    write_json(root / _STARTED, {"kind": _KIND, "parameters": parameters})
    (root / MANIFEST).unlink(missing_ok=True)
    write = partial(_write_track, root, seed=seed, difficulty=difficulty)
    digests = []
    with closing(mapped(write, planned, workers=workers)) as written:
        for done, digest in enumerate(written, start=1):
            digests.append(digest)
            if progress is not None:
                progress(done, len(planned))
    planted = _plant_bad_files(root)
    for track in planned:
        if track.planted:
            planted.setdefault(track.planted, []).append(track.file)
    files = [track.file for track in planned] + planted["empty"] + planted["text"]
    write_json(
        root / MANIFEST,
        {
            "kind": _KIND,
            "parameters": parameters,
            "digest": hashlib.sha256("".join(digests).encode()).hexdigest(),
            "counts": _counts(planned),
            "planted": planted,
            "sizes": {file: (root / file).stat().st_size for file in files},
            "truth": [{name: getattr(track, name) for name in _TRUTH} for track in planned],
        },
    )
    (root / _STARTED).unlink()
    return root / MANIFEST


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _write_track(root: Path, track: PlannedTrack, *, seed: int, difficulty: float) -> str:
    """Play, encode and tag one track; returns a digest of its samples and tags."""
    scale = 0.2 + 1.2 * difficulty
    levels = [
        ((seed, 1, track.artist), 0.6 * scale, 0.06 * difficulty),
        ((seed, 2, track.album), 0.4 * scale, 0.0),
        ((seed, 3, track.number), 0.5 * scale, 0.45 * difficulty),
    ]
    samples = render(
        *played_by(STYLES[GENRES.index(track.genre)], levels),
        sr=track.sr,
        seconds=track.seconds,
        channels=track.channels,
    )
    with replacing(root / track.file) as temporary:
        write_audio(temporary, samples, track.sr)
        if track.tags:
            _write_tags(temporary, track.tags)
        if track.planted == "truncated":
            os.truncate(temporary, temporary.stat().st_size // 2)
    digest = hashlib.sha256(samples.astype("<i2").tobytes())
    digest.update(json.dumps([track.file, track.sr, track.tags]).encode())
    return digest.hexdigest()


def _write_tags(path: Path, tags: dict[str, str]) -> None:
    import mutagen
    import mutagen.id3

    file: Any = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    for name, text in tags.items():
        texts = text.split("; ") if name == "genre" else [text]
        if path.suffix in (".mp3", ".wav"):
            file.tags.add(getattr(mutagen.id3, _ID3[name])(encoding=3, text=texts))
        else:
            file.tags[name] = texts
    file.save()


def _plant_bad_files(root: Path) -> dict[str, list[str]]:
    bad = {"empty": "Damaged/empty.flac", "text": "Damaged/text.mp3"}
    (root / "Damaged").mkdir(exist_ok=True)
    (root / bad["empty"]).write_bytes(b"")
    (root / bad["text"]).write_text("This is a text file with the wrong suffix.\n" * 20, "utf-8")
    return {kind: [file] for kind, file in bad.items()}


def _counts(planned: Sequence[PlannedTrack]) -> dict[str, Any]:
    sound = [track for track in planned if track.planted in ("", "compilation")]
    genres = Counter(track.genre for track in sound)
    return {
        "tracks": len(sound),
        "artists": len({track.artist for track in sound}),
        "albums": len({track.tags["album"] for track in sound}),
        "genres": {genre: genres[genre] for genre in GENRES},
        "formats": dict(Counter(track.file.rsplit(".", 1)[1] for track in planned)),
    }
