"""How much disk an extraction needs, told before it starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .plan import NO_BLOCK, Plan
from .spec import FeatureSpec

_BYTES_A_SECOND = 32_000  # of audio of which only the size is known: 256 kbit a second


def expected_seconds(size: NDArray[np.int64]) -> NDArray[np.float64]:
    """Length of audio files of so many bytes, shape (n,): a guess, 0 where there is no file."""
    return size.clip(min=0) / _BYTES_A_SECOND


def expected_bytes(spec: FeatureSpec, size: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values of files in bytes, shape (n,): exact where a track has one segment, else a guess.

    Parameters
    ----------
    spec : FeatureSpec
    size : int array, shape (n,)
        Of each file in bytes; -1 where there is none.
    """
    policy = spec.segments
    segments = np.ones(len(size))
    if policy and policy.policy == "all" and policy.duration:
        segments += expected_seconds(size) / (policy.hop or policy.duration)
    return segments * spec.n_bytes


def needed(spec: FeatureSpec, plan: Plan) -> int:
    """Bytes that a plan adds to its store."""
    there = (plan.block != NO_BLOCK) & (plan.size >= 0)
    return int(expected_bytes(spec, plan.size[there]).sum())


def check_room(wanted: Iterable[tuple[FeatureSpec, Path, Plan]]) -> int:
    """Bytes that plans add to their stores, together.

    Raises
    ------
    DataError
        If a disk certainly cannot hold them. Where tracks have as many segments as they are long,
        the need is a guess and refuses nothing.
    """
    total = 0
    by_disk: dict[int, list[tuple[Path, int]]] = {}
    for spec, store, plan in wanted:
        n_bytes = needed(spec, plan)
        total += n_bytes
        if spec.segments and spec.segments.policy != "all":
            by_disk.setdefault(os.stat(store).st_dev, []).append((store, n_bytes))
    for stores in by_disk.values():
        store, least = stores[0][0], sum(n_bytes for _, n_bytes in stores)
        free = shutil.disk_usage(store).free
        if least > free:
            raise DataError(
                f"{store} needs {least / 1e9:.3g} GB for these features, but only "
                f"{free / 1e9:.3g} GB are free on its disk; free some space, or name another "
                "folder for the store"
            )
    return total
