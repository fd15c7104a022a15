"""How a simulated FMA sounds to a computer: what genre, artist, album and track add up to.

Each track has a hidden sound of `DIMENSIONS` numbers: the mean of its genre, and on top what its
artist, its album and the track itself add. It is seen dimly, in two ways:

- as the 518 features of FMA. Each of the 11 descriptors sees the sound through noise of its own,
  and from what it sees come the seven statistics of each of its rows. Columns are therefore
  correlated, descriptors differ in what they tell, the tracks of an album resemble each other, and
  kurtosis has a heavy tail. Statistics fit together as those of real frames do:
  ``min <= median <= max``, and a row that cannot be negative is not;
- as a log-mel, where there is no audio. The sound decides the shape of a spectrum and the pace and
  the depth of beats; noise comes on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...bags import group
from ...features.kernels.frames import SIZES, STATISTICS
from ...features.store import FeatureStore
from ...tracks import Tracks
from .catalogue import FAMILY, FMA, FMA_GENRES, Catalogue, Ints

Floats = NDArray[np.float64]

DIMENSIONS = 16
BLOCK = 4096  # tracks that are computed together; part of what a seed means
LOGMEL_SHAPE = (96, 128)  # mel bands, frames
# Genres differ most in the first numbers, and all descriptors see these best.
_WEIGHT = np.exp(-np.arange(DIMENSIONS) / 4)
_WORLD = 2017  # seed of what all simulated catalogues share: how genres sound
_LOGMEL_WORLD = 1936  # likewise: how a sound becomes a map
_DRIVERS = len(STATISTICS)  # hidden numbers behind the seven statistics of a row
_BANDS = 12  # cosines of which a spectrum is made
# Deviation with which a log-mel shows a sound; that of the best descriptors is 1 to 1.4.
_NOISE = 1.5


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
        """With the strengths of ``fma.json``."""
        known = FMA["features"]
        return cls(known["separation"], known["shares"], known["noise"])

    @cached_property
    def genre_means(self) -> Floats:
        """Mean sound of each genre, shape (16, `DIMENSIONS`): near those of its family."""
        rng = np.random.default_rng([_WORLD, 0])
        of_family = rng.standard_normal((FAMILY.max() + 1, DIMENSIONS))
        own = rng.standard_normal((len(FAMILY), DIMENSIONS))
        means: Floats = self.separation * _WEIGHT * (0.8 * of_family[FAMILY] + 0.6 * own)
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

    def sound(self, genre: Ints, **drawn: Floats) -> Floats:
        """Sound of each track, shape (n, `DIMENSIONS`).

        Parameters
        ----------
        genre : int array, shape (n,)
        **drawn : float array, shape (n, `DIMENSIONS`)
            Normal numbers of each track's ``artist``, ``album`` and ``track``.
        """
        sound = self.genre_means[genre]
        for level, numbers in drawn.items():
            sound = sound + np.sqrt(self.shares[level]) * numbers
        return sound

    def blocks(self, catalogue: Catalogue, *, seed: int) -> Iterator[NDArray[np.float32]]:
        """Yield the features of the tracks in their order, `BLOCK` tracks at a time.

        Yields
        ------
        float32 array, shape (at most `BLOCK`, 518)
            Columns as in `matt.features.kernels.frames.COLUMNS`.
        """
        artists = _normal(np.random.default_rng([seed, 1]), catalogue.artist)
        albums = _normal(np.random.default_rng([seed, 2]), catalogue.album)
        for number, start in enumerate(range(0, len(catalogue), BLOCK)):
            rows = slice(start, start + BLOCK)
            rng = np.random.default_rng([seed, 3, number])
            own = rng.standard_normal(artists[rows].shape)
            genre = catalogue.genre[rows]
            sound = self.sound(genre, artist=artists[rows], album=albums[rows], track=own)
            yield self._heard(rng, sound)

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


def simulated_logmels(tracks: Tracks, *, seed: int = 0) -> FeatureStore:
    """Log-mels of tracks of FMA's genres, in dB, float16 of shape `LOGMEL_SHAPE`: 25 kB a track.

    Parameters
    ----------
    tracks : Tracks
        A track without a known genre sounds like the first.
    seed : int
    """
    known = Hierarchy.calibrated()
    like = [FMA_GENRES.index(g) if g in FMA_GENRES else i % 16 for i, g in enumerate(tracks.genres)]
    rng = np.random.default_rng([seed, 3])
    n = len(tracks)
    sound = known.sound(
        np.array(like)[np.maximum(tracks.labels, 0)],
        artist=_normal(rng, group([tracks.artist_id], n)),
        album=_normal(rng, group([tracks.album_id, tracks.artist_id], n)),
        track=_normal(rng, np.arange(n)),
    )
    seen = sound + _NOISE * rng.standard_normal(sound.shape)
    rng = np.random.default_rng([seed, 4])
    world = np.random.default_rng(_LOGMEL_WORLD)
    n_mels, n_frames = LOGMEL_SHAPE
    band = np.linspace(0, 1, n_mels)
    cosines = np.cos(np.pi * band[:, None] * np.arange(1, _BANDS + 1))  # (mels, bands)
    mixing = world.standard_normal((DIMENSIONS, _BANDS)) / np.arange(1, _BANDS + 1) ** 0.5
    rhythm = world.standard_normal((DIMENSIONS, 3)) / np.sqrt(DIMENSIONS)
    spectrum = -40 - 25 * band + 3 * (seen @ mixing) @ cosines.T  # (n, mels)
    pace, depth, where = (seen @ rhythm).T  # (n,) each
    beats = 8 * np.exp(0.3 * np.tanh(pace))  # in the whole map
    phase = rng.uniform(0, 2 * np.pi, n)
    frame = np.linspace(0, 2 * np.pi, n_frames, endpoint=False)
    beat = np.cos(beats[:, None] * frame + phase[:, None])  # (n, frames)
    centre = 0.5 + 0.3 * np.tanh(where)
    near = np.exp(-(((band - centre[:, None]) / 0.3) ** 2))
    loud = 6 * np.exp(0.3 * np.tanh(depth))[:, None] * near  # (n, mels)
    values = np.empty((n, *LOGMEL_SHAPE), np.float16)
    for row in range(n):
        noise = 6 * rng.standard_normal(LOGMEL_SHAPE)
        values[row] = spectrum[row][:, None] + np.outer(loud[row], beat[row]) + noise
    return FeatureStore.from_arrays("simulated log-mels 96 x 128", tracks.track_id, values)


def _normal(rng: np.random.Generator, owner: Ints) -> Floats:
    """Normal numbers of each owner, given to its tracks: (n,) -> (n, DIMENSIONS)."""
    return rng.standard_normal((int(owner.max()) + 1, DIMENSIONS))[owner]


def _statistics(feature: str, drivers: Floats) -> Floats:
    """(n, rows, drivers) -> (n, 7, rows), in the order of `STATISTICS`."""
    within, usual, deviation = FMA["ranges"][feature]
    level, spread, lean, tail, up, down, wobble = np.moveaxis(drivers, 2, 0)
    size: Any = np.exp(0.35 * spread)
    low, high = {"any": (-np.inf, np.inf), "positive": (0, np.inf), "share": (0, 1)}[within]
    if within == "any":
        first = np.arange(1, level.shape[1] + 1)
        # As in MFCC: the first rows vary much, the last ones little.
        scale = deviation * (2 / (1 + first) + 0.3)
        mean = usual + scale * level
        std = scale * size
    elif within == "positive":
        mean = usual * np.exp(0.3 * level)
        std = np.minimum(deviation * mean * size, 2 * mean)
    else:
        odds = np.log(usual / (1 - usual))
        mean = 1 / (1 + np.exp(-(odds + 0.4 * level)))
        std = np.sqrt(mean * (1 - mean)) * np.minimum(deviation * size, 0.95)
    skew = np.sinh(0.7 * lean)
    # No distribution has less than skew**2 - 2.
    kurtosis = skew**2 - 1.2 + np.exp(0.9 * tail)
    highest = np.clip(mean + std * (1.2 + np.exp(0.4 * up)), None, high)
    lowest = np.clip(mean - std * (1.0 + np.exp(0.4 * down)), low, None)
    median = mean - 0.25 * std * np.tanh(0.5 * skew + wobble)
    statistics: Floats = np.stack([kurtosis, highest, mean, median, lowest, skew, std], axis=1)
    return statistics
