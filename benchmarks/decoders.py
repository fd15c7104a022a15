"""``python -m benchmarks.decoders``: what decodes MP3 fastest, and whether to the same samples.

libsndfile, which `matt` uses; PyAV, which it uses for other formats; and miniaudio, a wheel around
a decoder made of minimp3, where it is installed: it is no dependency. All decode the ten clips in
turn, on one core, to float32 of all channels. Milliseconds of processor time a clip are medians of
several rounds. Samples are compared from the end of a clip, where all have the same.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import clips

ROUNDS = 9
DIFFERENT = 1e-4  # -80 dB of full scale


def by_libsndfile(path: Path) -> NDArray[np.float32]:
    """Samples of all channels, shape (n, channels)."""
    import soundfile

    samples: NDArray[np.float32] = soundfile.read(path, dtype="float32", always_2d=True)[0]
    return samples


def by_pyav(path: Path) -> NDArray[np.float32]:
    """The same, with one thread."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
    return np.concatenate(frames, axis=1).T


def by_miniaudio(path: Path) -> NDArray[np.float32]:
    """The same."""
    import miniaudio

    decoded = miniaudio.mp3_read_file_f32(str(path))
    return np.frombuffer(decoded.samples, np.float32).reshape(-1, decoded.nchannels)


DECODERS: dict[str, tuple[str, Callable[[Path], NDArray[np.float32]]]] = {
    "libsndfile": ("soundfile", by_libsndfile),
    "PyAV": ("av", by_pyav),
    "miniaudio": ("miniaudio", by_miniaudio),
}


def differences(found: NDArray[Any], expected: NDArray[Any]) -> tuple[int, int, float]:
    """Samples that are missing, samples that differ, and the median of all differences."""
    n = min(len(found), len(expected))
    apart = np.abs(found[-n:] - expected[-n:]).max(axis=1)
    return len(expected) - len(found), int((apart > DIFFERENT).sum()), float(np.median(apart))


def main() -> None:
    """Measure and print."""
    paths = clips.paths()
    if not paths:
        print("the clips (../shared/data/fma_clips) are not beside this checkout")
        return
    there = {name: of for name, of in DECODERS.items() if find_spec(of[0])}
    spent: dict[str, list[float]] = {name: [] for name in there}
    with clips.one_core():
        for _ in range(ROUNDS + 1):
            for name, (_module, decode) in there.items():
                start = time.process_time()
                for path in paths:
                    decode(path)
                spent[name].append(1000 * (time.process_time() - start) / len(paths))
    for name, (module, decode) in there.items():
        ratios = [a / b for a, b in zip(spent["libsndfile"], spent[name], strict=True)][1:]
        told = [differences(decode(path), by_libsndfile(path)) for path in paths]
        missing, different, apart = (sum(column) for column in zip(*told, strict=True))
        print(
            f"{name} ({module} {version(module)}): {statistics.median(spent[name][1:]):.1f} ms a "
            f"clip, {statistics.median(ratios):.2f} times as fast as libsndfile "
            f"({min(ratios):.2f} to {max(ratios):.2f}, {ROUNDS} rounds of {len(paths)} clips); "
            f"{missing / len(paths):g} samples a clip are missing, {different / len(paths):g} "
            f"differ by more than {DIFFERENT:g}, the median by {apart / len(paths):.1g}"
        )


if __name__ == "__main__":
    main()
