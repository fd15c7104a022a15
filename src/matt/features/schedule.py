"""Open blocks of several stores, joined where they list the same files: what there is to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .plan import Plan, expected_seconds, open_blocks, plan_numbers
from .spec import FeatureSpec
from .task import Part


@dataclass(frozen=True, eq=False)
class Task:
    """Blocks of the same files, one in each of some stores.

    Attributes
    ----------
    parts : tuple of Part
    work : float array, shape (n,)
        Of each file, in seconds of audio that are decoded or computed from: a guess.
    """

    parts: tuple[Part, ...]
    work: NDArray[np.float64]


def open_tasks(stores: Mapping[FeatureSpec, Path]) -> list[Task]:
    """What is to be done first: the open blocks of the oldest unfinished plan of each store."""
    parts: dict[bytes, list[tuple[FeatureSpec, Part]]] = {}
    sizes: dict[bytes, NDArray[np.int64]] = {}
    for spec, store in stores.items():
        for number in plan_numbers(store):
            plan = Plan.load(store, number)
            blocks = open_blocks(store, plan)
            order = np.argsort(plan.block, kind="stable")
            starts = np.searchsorted(plan.block[order], [*blocks, *(b + 1 for b in blocks)])
            for block, start, stop in zip(
                blocks, starts[: len(blocks)], starts[len(blocks) :], strict=True
            ):
                rows = order[start:stop]
                same = _identity(plan, rows)
                parts.setdefault(same, []).append((spec, Part(str(store), number, block)))
                sizes[same] = plan.size[rows]
            if blocks:
                break
    return [
        Task(tuple(part for _, part in found), _work([spec for spec, _ in found], sizes[same]))
        for same, found in parts.items()
    ]


def _identity(plan: Plan, rows: NDArray[np.intp]) -> bytes:
    """Equal for two blocks only if they are extracted from the same files in the same way."""
    numbers = np.stack([plan.track_id[rows], plan.size[rows], plan.mtime_ns[rows]])
    return repr((plan.salvage, numbers.tolist(), plan.path[rows].tolist())).encode(
        errors="surrogateescape"
    )


def _work(specs: Sequence[FeatureSpec], size: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds of audio decoded, plus those that each feature is computed from, shape (n,)."""
    seconds = expected_seconds(size)
    decoded, computed = np.zeros(len(size)), np.zeros(len(size))
    for spec in specs:
        policy = spec.cut.policy
        if policy.policy == "all" or policy.duration is None:
            until = within = seconds
        else:
            within = np.minimum(seconds, policy.duration)
            until = within if policy.policy == "first" else (seconds + within) / 2
        decoded = np.maximum(decoded, until)
        computed = computed + within
    return decoded + computed + 1e-3  # a file that is gone is soon done, but not at once
