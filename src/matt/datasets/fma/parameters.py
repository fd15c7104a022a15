"""What the simulated FMA is made with: counts of FMA, fitted shapes, calibrated strengths."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from .bag_sizes import BagSizes

FEWEST, MEDIUM, MOST = 50, 25_000, 106_574  # tracks


@cache
def parameters() -> dict[str, Any]:
    """Content of ``simulation.json``, which says how each part came about."""
    text = files(__package__).joinpath("simulation.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def shape_of(name: str) -> BagSizes:
    """Fitted distribution ``"bag_sizes"`` or ``"albums_per_artist"``."""
    fitted = parameters()[name]
    return BagSizes(*(tuple(fitted[part]) for part in ("weights", "shapes", "means")))


def genres() -> tuple[str, ...]:
    """Titles of the 16 top genres, in alphabetical order."""
    return tuple(genre["title"] for genre in parameters()["genres"])


def medium_counts(n_tracks: int) -> NDArray[np.int64]:
    """Tracks of each genre in training, validation and test, shape (16, 3).

    FMA-medium's own counts at 25,000 tracks or more, in proportion below that, and never less than
    one.

    Raises
    ------
    ConfigError
        If there are too few or too many tracks.

    Examples
    --------
    >>> medium_counts(25_000).sum(axis=0), int(medium_counts(50).min())
    (array([19922,  2505,  2573]), 1)
    """
    if not FEWEST <= n_tracks <= MOST:
        raise ConfigError(f"n_tracks={n_tracks} is out of range; use {FEWEST} to {MOST:,}")
    full = np.array([genre["medium"] for genre in parameters()["genres"]])
    n_cells = full.size
    more = apportion(min(n_tracks, MEDIUM) - n_cells, (full - 1).ravel())
    return 1 + more.reshape(full.shape)


def large_counts(n_tracks: int) -> NDArray[np.int64]:
    """Tracks outside medium, by the genre that they sound like, in each split, shape (16, 3)."""
    full = np.array([genre["full"] - sum(genre["medium"]) for genre in parameters()["genres"]])
    splits = apportion(max(0, n_tracks - MEDIUM), np.array(parameters()["large"]["tracks"]))
    return np.stack([apportion(int(n), full) for n in splits], axis=1)


def apportion(total: int, shares: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers that add up to ``total``, as near to the shares as can be, shape (n,).

    >>> apportion(10, np.array([2.0, 1.0, 0.5]))
    array([6, 3, 1])
    """
    exact = total * shares / shares.sum()
    parts: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    left = total - int(parts.sum())
    parts[np.argsort(parts - exact, kind="stable")[:left]] += 1
    return parts
