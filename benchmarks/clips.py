"""Ten real clips, one pinned core, one BLAS thread; and FMA's own script, where it is at hand."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from matt.features.worker import keep_memory

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def paths() -> list[Path]:
    """MP3 files of 30 seconds, in ``fma_clips`` of ``$MATT_SHARED_DATA``; none where it is absent.

    By default the folder lies beside the checkout, as ``../shared/data``.
    """
    folder = Path(os.environ.get("MATT_SHARED_DATA", BESIDE)) / "fma_clips"
    return sorted(folder.glob("*.mp3"))


@cache
def _controller() -> Any:
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()


@contextmanager
def one_core() -> Iterator[None]:
    """Pin the process to one core and BLAS to one thread, and undo both.

    Freed memory is kept from then on, as a worker keeps it; the peer has it as well.
    """
    keep_memory()
    pinned: set[int] = set()
    with suppress(AttributeError):  # Linux only
        pinned = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(pinned)})
    try:
        with _controller().limit(limits=1):
            yield
    finally:
        if pinned:
            os.sched_setaffinity(0, pinned)


def each(work: Callable[[Any], Any], items: list[Any]) -> None:
    """Do the work for each item, on one core."""
    with one_core():
        for item in items:
            work(item)


def peers_name() -> str:
    """Whom the 518 columns are compared with.

    FMA's script where ``$MATT_FMA_SCRIPT`` says where it is, else our own transcription.
    """
    return "FMA's features.py" if os.environ.get("MATT_FMA_SCRIPT") else "plain librosa"


@cache
def peer() -> Callable[[Path], Any]:
    """Its work: decode a file and compute them."""
    script = os.environ.get("MATT_FMA_SCRIPT")
    if script:
        return _fmas_script(Path(script))
    from .plain_features import summary_of_file

    return summary_of_file


def _fmas_script(path: Path) -> Callable[[Path], Any]:
    """Its function for one track. What finds files and shows progress is not needed."""
    import librosa
    import pandas as pd

    files, progress = types.ModuleType("utils"), types.ModuleType("tqdm")
    files.get_audio_path = lambda folder, track: str(track)  # type: ignore[attr-defined]
    progress.tqdm = iter  # type: ignore[attr-defined]
    known = {name: sys.modules.get(name) for name in ("utils", "tqdm")}
    sys.modules |= {"utils": files, "tqdm": progress}
    try:
        spec = importlib.util.spec_from_file_location("fma_features", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name, before in known.items():
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
    if not hasattr(librosa.feature, "rmse"):
        librosa.feature.rmse = librosa.feature.rms  # its name when the script was written
    # Since then pandas has come to refuse float64 values for a float32 series.
    module.pd = types.SimpleNamespace(
        MultiIndex=pd.MultiIndex,
        Series=lambda index, dtype, name: pd.Series(index=index, dtype=float, name=name),
    )

    def compute(clip: Path) -> Any:
        with warnings.catch_warnings():  # the script turns librosa's into errors for good
            row = module.compute_features(clip)
        if row.isna().all():
            raise RuntimeError(f"{path} computed nothing of {clip}; see what it printed")
        return row

    return compute
