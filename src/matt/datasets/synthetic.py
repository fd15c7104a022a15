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
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..files import read_json, replacing, write_json
from ..processes import mapped
from .catalogue import PlannedTrack, plan_library
from .styles import GENRES, STYLES
from .synthesis import Character, borrow, render

MANIFEST = "library.json"
_STARTED = "library.unfinished.json"
_KIND = "synthetic library"
_VERSION = 1  # of the sound and the tags: raise it whenever either changes
_ARTIST, _ALBUM, _TRACK = 1, 2, 3  # streams of random numbers
_BLOCK = 2**15  # frames; libsndfile's Vorbis encoder wants small writes


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
    planned = plan_library(seed=seed, tracks=tracks, seconds=seconds)
    if _is_complete(root, parameters):
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
            "truth": [_truth(track) for track in planned],
        },
    )
    (root / _STARTED).unlink()
    return root / MANIFEST


def _is_complete(root: Path, parameters: dict[str, Any]) -> bool:
    """Whether there is nothing left to do; a folder of somebody else's raises."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; name a new folder for the synthetic library")
    if not root.exists() or not any(root.iterdir()):
        return False
    manifest = _own_manifest(root)
    made_with = manifest["parameters"]
    for key, value in parameters.items():
        if made_with.get(key) != value:
            raise DataError(
                f"{root} holds a synthetic library made with {key}={made_with.get(key)!r}, not "
                f"{value!r}; delete it or name another folder"
            )
    sizes: dict[str, int] = manifest.get("sizes", {})  # missing where only the start was noted
    return bool(sizes) and all(_size(root / file) == size for file, size in sizes.items())


def _own_manifest(root: Path) -> dict[str, Any]:
    for name in (MANIFEST, _STARTED):
        with suppress(DataError):  # missing, or not JSON
            manifest = read_json(root / name)
            if isinstance(manifest, dict) and manifest.get("kind") == _KIND:
                return manifest
    raise DataError(f"{root} is not empty and holds no synthetic library; name a new folder")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _write_track(root: Path, track: PlannedTrack, *, seed: int, difficulty: float) -> str:
    """Play, encode and tag one track; returns a digest of its samples and tags."""
    samples = _play(track, seed=seed, difficulty=difficulty)
    with replacing(root / track.file) as temporary:
        _encode(temporary, samples, track.sr)
        if track.tags:
            _write_tags(temporary, track.tags)
        if track.planted == "truncated":
            os.truncate(temporary, temporary.stat().st_size // 2)
    digest = hashlib.sha256(samples.astype("<i2").tobytes())
    digest.update(json.dumps([track.file, track.sr, track.tags]).encode())
    return digest.hexdigest()


def _play(track: PlannedTrack, *, seed: int, difficulty: float) -> NDArray[np.int16]:
    scale = 0.2 + 1.2 * difficulty
    style = STYLES[GENRES.index(track.genre)]
    character = None
    for stream, number, strength, chance in (
        (_ARTIST, track.artist_number, 0.6, 0.06),
        (_ALBUM, track.album_number, 0.4, 0.0),
        (_TRACK, track.number, 0.5, 0.45),
    ):
        rng = np.random.default_rng([seed, stream, number])
        own = Character.draw(rng, scale=strength * scale)
        character = own if character is None else character + own
        style = borrow(style, rng, chance=chance * difficulty)
    assert character is not None
    return render(
        style, character, rng, sr=track.sr, seconds=track.seconds, channels=track.channels
    )


def _encode(path: Path, samples: NDArray[np.int16], sr: int) -> None:
    import soundfile

    kinds = {"mp3": ("MP3", None), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS")}
    kind, subtype = kinds.get(path.suffix[1:], ("WAV", "PCM_16"))
    with soundfile.SoundFile(
        path, "w", samplerate=sr, channels=samples.shape[1], format=kind, subtype=subtype
    ) as file:
        for start in range(0, len(samples), _BLOCK):
            file.write(samples[start : start + _BLOCK])


def _write_tags(path: Path, tags: dict[str, str]) -> None:
    import mutagen.flac
    import mutagen.id3
    import mutagen.mp3
    import mutagen.oggvorbis
    import mutagen.wave

    values = {name: text.split("; ") if name == "genre" else [text] for name, text in tags.items()}
    if path.suffix in (".flac", ".ogg"):
        opened = mutagen.flac.FLAC if path.suffix == ".flac" else mutagen.oggvorbis.OggVorbis
        vorbis: Any = opened(path)
        vorbis.update(values)
        vorbis.save()
        return
    file: Any = (mutagen.mp3.MP3 if path.suffix == ".mp3" else mutagen.wave.WAVE)(path)
    if file.tags is None:
        file.add_tags()
    for name, frame in _ID3.items():
        if name in values:
            file.tags.add(getattr(mutagen.id3, frame)(encoding=3, text=values[name]))
    file.save()


_ID3 = {
    "title": "TIT2",
    "artist": "TPE1",
    "albumartist": "TPE2",
    "album": "TALB",
    "genre": "TCON",
    "tracknumber": "TRCK",
    "compilation": "TCMP",
}


def _plant_bad_files(root: Path) -> dict[str, list[str]]:
    bad = {"empty": "Damaged/empty.flac", "text": "Damaged/text.mp3"}
    (root / "Damaged").mkdir(exist_ok=True)
    (root / bad["empty"]).write_bytes(b"")
    (root / bad["text"]).write_text("This is a text file with the wrong suffix.\n" * 20, "utf-8")
    return {kind: [file] for kind, file in bad.items()}


def _truth(track: PlannedTrack) -> dict[str, Any]:
    return {
        "file": track.file,
        "genre": track.genre,
        "artist": track.artist_number,
        "album": track.album_number,
        "planted": track.planted,
        "tags": track.tags,
    }


def _counts(planned: Sequence[PlannedTrack]) -> dict[str, Any]:
    sound = [track for track in planned if track.planted in ("", "compilation")]
    genres = Counter(track.genre for track in sound)
    return {
        "tracks": len(sound),
        "artists": len({track.artist_number for track in sound}),
        "albums": len({track.tags["album"] for track in sound}),
        "genres": {genre: genres[genre] for genre in GENRES},
        "formats": dict(Counter(track.file.rsplit(".", 1)[1] for track in planned)),
    }
