"""What a store knows of each track, and what a file looks like now."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG
from typing import Any

from numpy.typing import NDArray

from .blocks import FAILED, committed, read_rows
from .plan import NO_BLOCK, Plan, plan_numbers

NO_FILE = (-1, -1)

Stamp = tuple[int, int]


@dataclass(frozen=True)
class Known:
    """The last word of a store on a track; a stamp is size in bytes and time of change in ns."""

    status: str
    reason: str
    stamp: Stamp
    audio_hash: str
    salvage: bool  # whether it was extracted with


def read_known(store: Path) -> dict[int, Known]:
    """What a store knows of each track, from its plans and committed blocks."""
    tables: dict[int, list[dict[str, NDArray[Any]]]] = {}
    for number, _, name in committed(store):
        tables.setdefault(number, []).append(read_rows(store / f"{name}.parquet"))
    known: dict[int, Known] = {}
    for number in plan_numbers(store):
        plan = Plan.load(store, number)
        outcomes = {
            int(track_id): (str(status), str(reason))
            for table in tables.get(number, [])
            for track_id, status, reason in zip(
                table["track_id"], table["status"], table["reason"], strict=True
            )
        }
        for row, track_id in enumerate(plan.track_id.tolist()):
            stamp = int(plan.size[row]), int(plan.mtime_ns[row])
            seen = str(plan.audio_hash[row])
            if plan.block[row] == NO_BLOCK:
                # A block that was deleted may have failed since: then the file is to be looked at.
                if track_id in known and known[track_id].status != FAILED:
                    known[track_id] = replace(known[track_id], stamp=stamp, audio_hash=seen)
            elif track_id in outcomes:
                known[track_id] = Known(*outcomes[track_id], stamp, seen, plan.salvage)
    return known


def stamp_of(path: str) -> Stamp:
    """Size and time of change of a regular file; `NO_FILE` where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return NO_FILE
    return (found.st_size, found.st_mtime_ns) if S_ISREG(found.st_mode) else NO_FILE
