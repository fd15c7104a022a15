"""Cells: the smallest things that an engine runs, and everything that decides their result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .. import __version__
from ..bags import Bags
from ..features.store import FeatureStore
from ..provenance import digest
from ..tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One piece of work with a result of its own.

    Attributes
    ----------
    name : str
        For people; it decides nothing.
    facts : mapping
        Everything that decides the result, JSON-serialisable: settings, data, split, seed.
    task : object
        What the work needs to do it, besides what all cells share; small, since it goes to another
        process.
    group : str
        Cells of one group take about equally long: they differ in split or seed.

    Examples
    --------
    >>> Cell(name="one", facts={"lr": 0.1}).digest == Cell(name="two", facts={"lr": 0.1}).digest
    True
    """

    name: str
    facts: Mapping[str, Any]
    task: Any = None
    group: str = ""

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits of the facts and of the version of matt."""
        content = {"facts": dict(self.facts), "matt": __version__}
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_digest(tracks: Tracks, by: str) -> str:
    """Sixteen hex digits of ids, labels, splits and bags: what a cell learns from and is tested on.

    Parameters
    ----------
    tracks : Tracks
    by : str
        What a bag is, as in `Bags.from_tracks`.
    """
    content = hashlib.sha256(digest(tracks).encode())
    bags = Bags.from_tracks(tracks, by=by)
    for array in (bags.track_ids, bags.offsets):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def features_digest(features: FeatureStore) -> str:
    """Sixteen hex digits of features: spec and tracks, and the values where they are in memory.

    Extracted features are known by their spec and their files, which nothing changes once they are
    written.
    """
    content = hashlib.sha256(features.spec.digest.encode())
    for array in (features.track_ids, features.n_segments):
        content.update(np.ascontiguousarray(array).tobytes())
    for block in features.blocks:
        if isinstance(block, np.ndarray):
            content.update(features.start.tobytes())
            content.update(np.ascontiguousarray(block).view(np.uint8).data)
        else:
            content.update(f"{block.name} {block.stat().st_size}".encode())
    return content.hexdigest()[:16]
