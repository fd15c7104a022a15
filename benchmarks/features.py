"""Features of ten real clips, decoding included, on one core with one thread.

Costs are seconds of that core, so that what else a machine is at counts little.

The peer is FMA's own script where ``python -m benchmarks --fma-script PATH`` says where it is, and
otherwise a plain librosa transcription of ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matt import FeatureSpec
from matt.audio import read_segments
from matt.features.computing import computed
from matt.features.worker import extract_file

from . import clips, plain_features
from .paired import Claim, Work, nothing

SUMMARY, LOG_MEL = FeatureSpec.summary(), FeatureSpec.logmel()
RUNS = 7  # pairs
FAST_LOG_MEL = FeatureSpec.logmel(precision="fast")


def features_of(path: Path, spec: FeatureSpec) -> Any:
    """Decode a clip and compute one feature."""
    (segment,) = read_segments(path, sr=spec.sr, policy=spec.segments)
    return computed(segment.samples, segment.sr, spec)


def both_of(path: Path) -> Any:
    """Decode a clip once and compute the 518 columns and the log-mel, as a worker does."""
    return extract_file(str(path), [SUMMARY, LOG_MEL], False, nothing)


def log_mel_by_librosa(path: Path) -> Any:
    """Decode, resample, mel, decibels."""
    import librosa

    y, sr = librosa.load(path, sr=12_000, duration=29.0)
    return plain_features.log_mel(y, int(sr))


def summary_by_peer(path: Path) -> Any:
    """The peer's 518 columns."""
    return clips.peer()(path)


def both_by_peer(path: Path) -> Any:
    """The peer's 518 columns, then librosa's log-mel: each decodes for itself."""
    return summary_by_peer(path), log_mel_by_librosa(path)


def decoded(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode a clip and mix it to mono, with nothing around it."""
    import soundfile

    y, sr = soundfile.read(path, dtype="float32", always_2d=True)
    return (y[:, 0] + y[:, -1]) * np.float32(0.5), sr


def at_12k(path: Path) -> NDArray[np.float32]:
    """29 seconds at 12 kHz."""
    (segment,) = read_segments(path, sr=12_000, policy=LOG_MEL.segments)
    return segment.samples


@cache
def samples() -> list[NDArray[np.float32]]:
    """Of all clips."""
    return [at_12k(path) for path in clips.paths()]


def log_mels(of: Callable[[NDArray[np.float32]], Any]) -> None:
    """Log-mels of the clips, decoded before."""
    clips.each(of, samples())


@cache
def once(*works: Work) -> None:
    """What is not measured: libraries are loaded, loops compiled."""
    for work in works:
        work()


def of_processor(before: Work, ours: Work, theirs: Work) -> tuple[float, float]:
    """Seconds of the processor that each takes."""
    once(before, ours, theirs)
    times = []
    for work in (ours, theirs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return times[0], times[1]


def claims() -> list[Claim]:
    """The 518 columns, the log-mel, both, and what they cost beside decoding."""
    paths = clips.paths()
    if not paths:
        print("features: skipped, ../shared/data/fma_clips is not beside this checkout")
        return []
    name = clips.peers_name()
    n = len(paths)
    clip = f"{n} clips of 30 s, one core"
    facts = {"n": n, "data": "FMA clips"}

    def claim(
        text: str, against: str, goal: float, ours: Work, theirs: Work, before: Work = nothing
    ) -> Claim:
        pair = partial(of_processor, before, ours, theirs)
        return Claim(f"{text}, {clip}", against, goal, pair=pair, runs=RUNS, facts=facts)

    def log_mel(spec: FeatureSpec) -> Any:
        return partial(log_mels, lambda y: computed(y, 12_000, spec))

    librosas = partial(log_mels, plain_features.log_mel)
    ours = partial(clips.each, partial(features_of, spec=SUMMARY), paths)
    return [
        claim(
            "518 features from MP3, exact",
            name,
            7,
            ours,
            partial(clips.each, summary_by_peer, paths),
        ),
        claim(
            "518 features and log-mel from one decode of MP3, exact",
            f"{name}, then librosa.load and log-mel",
            5,
            partial(clips.each, both_of, paths),
            partial(clips.each, both_by_peer, paths),
        ),
        claim(
            "log-mel from MP3, exact",
            "librosa.load and melspectrogram",
            1.5,
            partial(clips.each, partial(features_of, spec=LOG_MEL), paths),
            partial(clips.each, log_mel_by_librosa, paths),
        ),
        claim(
            "log-mel from MP3, fast",
            "librosa.load and melspectrogram",
            1.5,
            partial(clips.each, partial(features_of, spec=FAST_LOG_MEL), paths),
            partial(clips.each, log_mel_by_librosa, paths),
        ),
        claim(
            "log-mel of decoded audio, exact", "librosa", 2.2, log_mel(LOG_MEL), librosas, samples
        ),
        claim(
            "log-mel of decoded audio, fast",
            "librosa",
            2.2,
            log_mel(FAST_LOG_MEL),
            librosas,
            samples,
        ),
        claim(
            "518 features from MP3, at most twice the time of decoding alone, exact",
            "decoding alone, by soundfile",
            0.5,
            ours,
            partial(clips.each, decoded, paths),
        ),
    ]
