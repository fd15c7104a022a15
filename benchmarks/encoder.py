"""The pretrained encoder: its graph beside the plain one, and what it adds to an extraction."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matt import FeatureSpec
from matt.audio import read_segments
from matt.features.kernels import musicnn
from matt.features.worker import extract_file

from . import clips
from .paired import Claim, nothing

SUMMARY, MUSICNN = FeatureSpec.summary(), FeatureSpec.musicnn()
WEIGHTS = Path("musicnn_msd") / "weights.safetensors"
TIMES = 10  # each excerpt, so that a run takes a second


@cache
def plain() -> Any:
    """The network as it was published, node by node, ready to run on one thread."""
    import onnxruntime
    from safetensors.numpy import load_file

    from tools.make_musicnn import published

    folder = clips.paths()[0].parents[1]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = published(load_file(folder / WEIGHTS)).SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@cache
def mels() -> list[NDArray[np.float32]]:
    """Log-mels of three excerpts of a clip."""
    policy = MUSICNN.segments
    if policy is None:
        return []
    cut = read_segments(clips.paths()[0], sr=MUSICNN.sr, policy=policy)
    return [musicnn.log_mel(segment.samples) for segment in cut]


def run(session: Any) -> None:
    """Logits of each excerpt, one after the other."""
    for _ in range(TIMES):
        for mel in mels():
            session().run(["logits"], {"mel": mel[None]})


def ready() -> None:
    """Make what is not measured."""
    mels()
    musicnn.session()
    plain()


def of_clip(path: Path, *, specs: list[FeatureSpec]) -> Any:
    """Decode a clip once and compute features, as a worker does."""
    return extract_file(str(path), specs, False, nothing)


def claims() -> list[Claim]:
    """The encoder alone, with what is before it, and its memory."""
    paths = clips.paths()
    if not paths:
        print("encoder: skipped, ../shared/data/fma_clips is not beside this checkout")
        return []
    facts = {"n": len(paths), "data": "FMA clips"}
    alone = partial(clips.each, partial(of_clip, specs=[SUMMARY]), paths)
    both = partial(clips.each, partial(of_clip, specs=[SUMMARY, MUSICNN]), paths)
    name = f"{len(paths)} clips of 30 s, one core"
    return [
        Claim(
            "musicnn, three excerpts, one core",
            "onnxruntime's plain graph, excerpt by excerpt",
            1.5,
            partial(clips.each, run, [musicnn.session]),
            partial(clips.each, run, [plain]),
            before=ready,
            facts={"n": 3 * TIMES, "data": "FMA clips"},
        ),
        Claim(
            f"518 features and musicnn from one decode of MP3, {name}",
            "518 features alone",
            0.5,
            both,
            alone,
            before=musicnn.session,
            facts=facts,
        ),
        Claim(
            "memory of 518 features and musicnn of ten clips",
            "518 features alone",
            0.6,
            both,
            alone,
            runs=3,
            memory=True,
            facts=facts,
        ),
    ]
