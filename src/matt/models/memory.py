"""How many segments a step may hold: as many as fit into the memory that it is to take.

Vectors are small, and a step of 20,000 of them takes a few hundred megabytes; a log-mel of
96 x 1360 takes 80 MB through a CRNN alone. The encoders tell how many numbers they keep.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from .encoders import Encoder
from .network import BagNetwork
from .training_settings import TrainingSettings

BUDGET = 2_000_000_000  # bytes of a training step, in float32 on a CPU
MOST = 20_000


def settled(settings: TrainingSettings, network: BagNetwork) -> TrainingSettings:
    """Return the same settings with ``max_segments`` chosen where it is 0."""
    if settings.max_segments:
        return settings
    n_bytes = 4 * cast(Encoder, network.encoder).segment_floats
    return replace(settings, max_segments=max(1, min(MOST, BUDGET // n_bytes)))


def room_notes(settings: TrainingSettings, network: BagNetwork) -> tuple[str, ...]:
    """Say how many segments a step holds, where memory decided it."""
    most = settled(settings, network).max_segments
    if settings.max_segments or most == MOST:
        return ()
    size = f"a step holds at most {most} segments, which take about {BUDGET / 1e9:g} GB"
    return (f"{size}; max_segments sets another number",)
