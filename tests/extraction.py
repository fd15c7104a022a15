"""A small library of real files, and extractors that run in a child, which imports this module."""

import hashlib
import os
import threading
from pathlib import Path

import numpy as np
import soundfile

from matt import Tracks
from matt.audio import SegmentPolicy, read_segments
from matt.features.spec import FeatureSpec
from matt.features.worker import Outcome

SR = 8_000
SPEC = FeatureSpec.logmel(
    "small", sr=SR, n_fft=256, hop_length=128, n_mels=17, segments=SegmentPolicy("first", 0.5)
)
SUFFIXES = ("wav", "flac", "mp3", "ogg")


def light(path, specs, salvage, alive):
    """Real audio, but no librosa, so that the child starts quickly."""
    return [lightly(path, spec, salvage) for spec in specs]


def lightly(path, spec, salvage):
    on_damage = "salvage" if salvage else "fail"
    damages = []
    parts = read_segments(
        path, sr=spec.sr, policy=spec.segments, on_damage=on_damage, damages=damages
    )
    values = [np.resize(part.samples, spec.shape).astype(spec.dtype) for part in parts]
    return Outcome(np.stack(values), "; ".join(map(str, damages)))


def hostile(path, specs, salvage, alive):
    """What a decoder may do, by the name of the file."""
    match Path(path).stem:
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "hang":
            threading.Event().wait()
        case "blow_up":
            return [Outcome(np.ones((2**24, *specs[0].shape)))]
        case "strange":
            raise ZeroDivisionError("of all things")
    return light(path, specs, salvage, alive)


def forbidden(path, specs, salvage, alive):
    """For runs that have nothing to decode."""
    raise AssertionError(f"{path} was decoded")


def write(path, *, seed, seconds=0.7):
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16_000)) / 16_000
    y = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 900) * t) + rng.normal(scale=0.01, size=len(t))
    soundfile.write(path, y, 16_000)
    return path


def table(paths, ids=None, albums=None):
    n = len(paths)
    return Tracks(
        np.arange(100, 100 + n) if ids is None else ids,
        np.full(n, -1),
        ("Rock", "Folk"),
        album_id=np.arange(n) // 3 if albums is None else albums,
        path=[str(path) for path in paths],
    )


def digests(store):
    """Of its files, without locks and what killed processes leave behind, which are hidden."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(store).glob("[!.]*")
    }
