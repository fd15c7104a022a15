"""Features of the simulated FMA: what genre, artist, album and track add up to, seen dimly.

Each track has a hidden sound of `DIMENSIONS` numbers: the mean of its genre, and on top what its
artist, its album and the track itself add. Each of the 11 descriptors sees that sound through noise
of its own, and from what it sees come the seven statistics of each of its rows. Columns are
therefore correlated, descriptors differ in what they tell, the tracks of an album resemble each
other, and kurtosis has a heavy tail. Statistics fit together as those of real frames do:
``min <= median <= max``, and a row that cannot be negative is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...features.kernels.frames import SIZES, STATISTICS
from .parameters import parameters
from .simulated_catalogue import Catalogue

Floats = NDArray[np.float64]

DIMENSIONS = 16
BLOCK = 4096  # tracks that are computed together; part of what a seed means
# Genres differ most in the first numbers, and all descriptors see these best.
_WEIGHT = np.exp(-np.arange(DIMENSIONS) / 4)
_WORLD = 2017  # seed of what all simulated catalogues share: how genres sound
_DRIVERS = len(STATISTICS)  # hidden numbers behind the seven statistics of a row
_ARTIST, _ALBUM, _TRACK = 1, 2, 3  # streams of random numbers


@dataclass(frozen=True)
class _Range:
    """Where the values of a descriptor lie: bounds, usual level and deviation over time."""

    low: float
    high: float
    level: float
    deviation: float  # relative to the level where there is a lower bound only


_RANGES = {
    "chroma_cens": _Range(0, 1, 0.25, 0.35),
    "chroma_cqt": _Range(0, 1, 0.40, 0.45),
    "chroma_stft": _Range(0, 1, 0.42, 0.50),
    "mfcc": _Range(-np.inf, np.inf, 0, 30),
    "rmse": _Range(0, np.inf, 3.5, 0.5),
    "spectral_bandwidth": _Range(0, np.inf, 1400, 0.25),
    "spectral_centroid": _Range(0, np.inf, 1150, 0.4),
    "spectral_contrast": _Range(0, np.inf, 20, 0.25),
    "spectral_rolloff": _Range(0, np.inf, 2300, 0.5),
    "tonnetz": _Range(-np.inf, np.inf, 0, 0.04),
    "zcr": _Range(0, 1, 0.06, 0.15),
}


@dataclass(frozen=True)
class Hierarchy:
    """How simulated music sounds, the same for every seed.

    Attributes
    ----------
    separation : float
        Distance of the genres; deviations within a genre are 1.
    shares : dict of str to float
        Of the variance within a genre: ``"artist"``, ``"album"`` and ``"track"``.
    noise : dict of str to float
        Deviation of the noise through which each descriptor sees the sound.
    """

    separation: float
    shares: dict[str, float]
    noise: dict[str, float]

    @classmethod
    def calibrated(cls) -> Hierarchy:
        """With the strengths of ``simulation.json``."""
        known = parameters()["features"]
        return cls(known["separation"], known["shares"], known["noise"])

    @cached_property
    def genre_means(self) -> Floats:
        """Mean sound of each genre, shape (16, `DIMENSIONS`): near those of its family."""
        rng = np.random.default_rng([_WORLD, 0])
        names = [genre["family"] for genre in parameters()["genres"]]
        _, family = np.unique(names, return_inverse=True)
        of_family = rng.standard_normal((family.max() + 1, DIMENSIONS))
        own = rng.standard_normal((len(names), DIMENSIONS))
        means: Floats = self.separation * _WEIGHT * (0.8 * of_family[family] + 0.6 * own)
        return means

    @cached_property
    def _views(self) -> dict[str, Floats]:
        """Of each descriptor: from a sound to its drivers, shape (DIMENSIONS, rows, drivers)."""
        rng = np.random.default_rng([_WORLD, 1])
        views = {}
        for feature, size in SIZES.items():
            view = rng.standard_normal((DIMENSIONS, size, _DRIVERS))
            view *= _WEIGHT[:, None, None]
            # Level and deviation say more than the shape of a distribution does.
            view *= np.array([1, 0.8, 0.4, 0.3, 0.6, 0.6, 0.1])
            views[feature] = view / np.sqrt(np.square(_WEIGHT).sum())
        return views

    def blocks(self, catalogue: Catalogue, *, seed: int) -> Iterator[NDArray[np.float32]]:
        """Yield the features of the tracks in their order, `BLOCK` tracks at a time.

        Yields
        ------
        float32 array, shape (at most `BLOCK`, 518)
            Columns as in `matt.features.kernels.frames.COLUMNS`.
        """
        artists = self._effects("artist", [seed, _ARTIST], int(catalogue.artist.max()) + 1)
        albums = self._effects("album", [seed, _ALBUM], int(catalogue.album.max()) + 1)
        for number, start in enumerate(range(0, len(catalogue), BLOCK)):
            rows = slice(start, start + BLOCK)
            rng = np.random.default_rng([seed, _TRACK, number])
            sound = self.genre_means[catalogue.sound[rows]]
            sound = sound + artists[catalogue.artist[rows]] + albums[catalogue.album[rows]]
            own = rng.standard_normal(sound.shape)
            yield self._heard(rng, sound + np.sqrt(self.shares["track"]) * own)

    def _effects(self, level: str, seed: list[int], n: int) -> Floats:
        drawn = np.random.default_rng(seed).standard_normal((n, DIMENSIONS))
        effects: Floats = np.sqrt(self.shares[level]) * drawn
        return effects

    def _heard(self, rng: np.random.Generator, sound: Floats) -> NDArray[np.float32]:
        """(n, DIMENSIONS) -> (n, 518)."""
        columns = []
        for feature, view in self._views.items():
            noise = self.noise[feature]
            seen = sound + noise * rng.standard_normal(sound.shape)
            seen /= np.sqrt(1 + noise**2 + self.separation**2)  # about 1 again
            drivers = np.einsum("nk,krd->nrd", seen, view, optimize=True)  # (n, rows, drivers)
            drivers += 0.5 * rng.standard_normal(drivers.shape)
            columns.append(_statistics(feature, drivers).reshape(len(sound), -1))
        return np.concatenate(columns, axis=1).astype(np.float32)


def _statistics(feature: str, drivers: Floats) -> Floats:
    """(n, rows, drivers) -> (n, 7, rows), in the order of `STATISTICS`."""
    within = _RANGES[feature]
    level, spread, lean, tail, up, down, wobble = np.moveaxis(drivers, 2, 0)
    size: Any = np.exp(0.35 * spread)
    if np.isinf(within.low):
        first = np.arange(1, level.shape[1] + 1)
        # As in MFCC: the first rows vary much, the last ones little.
        scale = within.deviation * (2 / (1 + first) + 0.3)
        mean = within.level + scale * level
        std = scale * size
    elif np.isinf(within.high):
        mean = within.level * np.exp(0.3 * level)
        std = np.minimum(within.deviation * mean * size, 2 * mean)
    else:
        odds = np.log(within.level / (1 - within.level))
        mean = 1 / (1 + np.exp(-(odds + 0.4 * level)))
        std = np.sqrt(mean * (1 - mean)) * np.minimum(within.deviation * size, 0.95)
    skew = np.sinh(0.7 * lean)
    # No distribution has less than skew**2 - 2.
    kurtosis = skew**2 - 1.2 + np.exp(0.9 * tail)
    highest = np.clip(mean + std * (1.2 + np.exp(0.4 * up)), None, within.high)
    lowest = np.clip(mean - std * (1.0 + np.exp(0.4 * down)), within.low, None)
    median = mean - 0.25 * std * np.tanh(0.5 * skew + wobble)
    statistics: Floats = np.stack([kurtosis, highest, mean, median, lowest, skew, std], axis=1)
    return statistics
