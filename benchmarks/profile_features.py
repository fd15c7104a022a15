"""``python -m benchmarks.profile_features``: where the time of the 518 columns goes.

Milliseconds of processor time a clip by stage, the medians of several rounds over all clips, on one
core with one thread; and the floor, that is decoding and the spectra that no method can do without.
The same of an exact log-mel of decoded audio, in two lines.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np

from matt.features.kernels import chroma, fourier, frames, shapes, spectra, statistics
from matt.features.kernels.filters import hann

from . import clips
from .features import at_12k, decoded

ROUNDS = 7
ALONE = "the spectra alone"


class Stopwatch:
    """Time spent in functions, without that of other watched functions inside them."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    def _switch(self) -> None:
        now = time.process_time()
        if self._running:
            self.spent[self._running[-1]] += now - self._since
        self._since = now

    def begin(self, stage: str) -> None:
        """From here on, time belongs to the stage."""
        self._switch()
        self._running.append(stage)

    def end(self) -> None:
        """From here on, it belongs to the stage around it."""
        self._switch()
        self._running.pop()

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Replace a function by itself under the watch."""
        function: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **options: Any) -> Any:
            self.begin(stage)
            try:
                return function(*args, **options)
            finally:
                self.end()

        setattr(owner, name, watched)

    def watch_blocks(self, owner: Any, name: str, stage: str) -> None:
        """The same for a generator: only the time until the next item is its own."""
        function: Callable[..., Iterator[Any]] = getattr(owner, name)

        def watched(*args: Any, **options: Any) -> Iterator[Any]:
            items = function(*args, **options)
            while True:
                self.begin(stage)
                try:
                    item = next(items, None)
                finally:
                    self.end()
                if item is None:
                    return
                yield item

        setattr(owner, name, watched)


def watched() -> Stopwatch:
    """A watch on every stage of `matt.features.kernels.frames`, for the rest of the process."""
    watch = Stopwatch()
    watch.watch_blocks(frames, "spectra", "spectra: window, transform, power")
    watch.watch(chroma.Peaks, "add", "tuning: find peaks")
    watch.watch(chroma.Peaks, "tuning", "tuning: estimate, twice")
    watch.watch(spectra.MelBank, "apply", "mel")
    watch.watch(shapes, "contrast", "spectral contrast")
    watch.watch(shapes, "shapes", "centroid, bandwidth, rolloff")
    watch.watch(fourier, "halved", "constant-Q: halve the rate")
    watch.watch(chroma, "_respond", "constant-Q: respond")
    for name in ("fold", "cens", "normalised", "tonnetz"):
        watch.watch(frames, name, "chroma and tonnetz")
    watch.watch(frames, "zero_crossing_rate", "zero crossings")
    watch.watch(statistics, "statistics", "statistics")
    return watch


def transform_alone(y: np.ndarray[Any, Any], hop_length: int = 512) -> None:
    """Nothing but the power of as many frames, in double precision, to where it was just before."""
    samples = y[: 63 * hop_length + fourier.N_FFT]
    out = np.empty((64, 1 + fourier.HALF), np.float32)
    for _ in range(round((1 + len(y) // hop_length) / 64)):
        fourier.powers(samples, 0, hop_length, hann(fourier.N_FFT), out)


def log_mel_and_floor(samples: list[np.ndarray[Any, Any]]) -> tuple[float, float]:
    """Milliseconds of a log-mel of decoded audio, and of its spectra alone."""
    watch, rounds = Stopwatch(), []
    for _ in range(ROUNDS + 1):
        watch.spent.clear()
        for y in samples:
            watch.begin("log-mel")
            frames.logmel(y)
            watch.end()
            watch.begin(ALONE)
            transform_alone(y, 256)
            watch.end()
        rounds.append([1000 * seconds / len(samples) for seconds in watch.spent.values()])
    log_mel, alone = map(median, zip(*rounds[1:], strict=True))
    return log_mel, alone


def main() -> None:
    """Measure and print."""
    paths = clips.paths()
    if not paths:
        print("the clips (../shared/data/fma_clips) are not beside this checkout")
        return
    rounds: dict[str, list[float]] = defaultdict(list)
    with clips.one_core():
        frames.summary(*decoded(paths[0]))
        log_mel, its_own = log_mel_and_floor([at_12k(path) for path in paths])
        watch = watched()  # from here on
        for _ in range(ROUNDS):
            watch.spent.clear()
            for path in paths:
                watch.begin("decoding")
                y, sr = decoded(path)
                watch.end()
                watch.begin("all else")
                frames.summary(y, sr)
                watch.end()
                watch.begin(ALONE)
                transform_alone(y)
                watch.end()
            for stage, seconds in watch.spent.items():
                rounds[stage].append(1000 * seconds / len(paths))
    found = {stage: median(times) for stage, times in rounds.items()}
    alone = found.pop(ALONE)
    for stage, milliseconds in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{stage:42}{milliseconds:7.2f} ms")
    total, floor = sum(found.values()), found["decoding"] + alone
    print(f"{'all':42}{total:7.2f} ms, {total / found['decoding']:.2f} times decoding")
    print(f"{'floor: decoding and the spectra alone':42}{floor:7.2f} ms, {total / floor:.2f} times")
    print(f"{'a log-mel of decoded audio':42}{log_mel:7.2f} ms")
    print(f"{'floor: its spectra alone':42}{its_own:7.2f} ms, {log_mel / its_own:.2f} times")


if __name__ == "__main__":
    main()
