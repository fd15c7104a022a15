"""Simulated log-mels: maps of 96 x 128 in which genre, artist, album and track can be heard.

They serve to run the rows of the CRNNs where there is no audio. As in the simulated features
(`matt.datasets.fma.hierarchy`) every track has a hidden sound: the mean of its genre, and on top
what its artist, its album and the track itself add, in the same shares. What is seen of it is a
spectrum, whose shape the sound decides, beats, whose pace and depth it decides, and noise. Nothing
about music follows from them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..datasets.fma.hierarchy import DIMENSIONS, Hierarchy
from ..datasets.fma.parameters import genres as fma_genres
from ..features.store import FeatureStore
from ..grouping import group
from ..tracks import SPLITS, Tracks

SHAPE = (96, 128)  # mel bands, frames
MOST = 2_000
_NOISE = (
    1.5  # deviation with which a track's sound is seen; that of the best descriptors is 1 to 1.4
)
_BANDS = 12  # cosines of which a spectrum is made
_WORLD = 1936  # seed of what all such maps share: how a sound becomes a map


def some_tracks(tracks: Tracks, most: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Ids of about so many tracks, artists whole, with every genre of every split in proportion.

    Parameters
    ----------
    tracks : Tracks
        With splits, and one genre each.
    most : int
    seed : int
    """
    if len(tracks) <= most:
        return tracks.track_id
    rng = np.random.default_rng(seed)
    artist = group([tracks.artist_id], len(tracks))
    share = most / len(tracks)
    kept = np.zeros(len(tracks), bool)
    for split in SPLITS:
        for genre in range(len(tracks.genres)):
            rows = np.flatnonzero((tracks.split == split) & (tracks.labels == genre))
            wanted = int(np.floor(share * len(rows)))
            # Cut before the artist with which there would be too many, but keep one of each genre.
            order = rng.permutation(np.unique(artist[rows]))
            sizes = np.bincount(artist[rows], minlength=artist.max() + 1)[order]
            n = max(1, int((np.cumsum(sizes) <= wanted).sum()))
            kept[rows[np.isin(artist[rows], order[:n])]] = True
    return tracks.track_id[kept]


def simulated_logmels(tracks: Tracks, *, seed: int = 0) -> FeatureStore:
    """Log-mels of tracks of FMA's genres, in dB, float16 of shape `SHAPE`, one a track.

    Parameters
    ----------
    tracks : Tracks
        At most `MOST`: 25 kB each. A track without a known genre sounds like the first.
    seed : int
    """
    sound = _sounds(tracks, seed)  # (n, D)
    rng = np.random.default_rng([seed, 4])
    world = np.random.default_rng(_WORLD)
    n_mels, n_frames = SHAPE
    band = np.linspace(0, 1, n_mels)
    cosines = np.cos(np.pi * band[:, None] * np.arange(1, _BANDS + 1))  # (mels, bands)
    mixing = world.standard_normal((DIMENSIONS, _BANDS)) / np.arange(1, _BANDS + 1) ** 0.5
    rhythm = world.standard_normal((DIMENSIONS, 3)) / np.sqrt(DIMENSIONS)
    spectrum = -40 - 25 * band + 3 * (sound @ mixing) @ cosines.T  # (n, mels)
    pace, depth, where = (sound @ rhythm).T  # (n,) each
    beats = 8 * np.exp(0.3 * np.tanh(pace))  # in the whole map
    phase = rng.uniform(0, 2 * np.pi, len(tracks))
    frame = np.linspace(0, 2 * np.pi, n_frames, endpoint=False)
    beat = np.cos(beats[:, None] * frame + phase[:, None])  # (n, frames)
    centre = 0.5 + 0.3 * np.tanh(where)
    loud = (
        6 * np.exp(0.3 * np.tanh(depth))[:, None] * np.exp(-(((band - centre[:, None]) / 0.3) ** 2))
    )  # (n, mels)
    values = np.empty((len(tracks), *SHAPE), np.float16)
    for row in range(len(tracks)):
        noise = 6 * rng.standard_normal(SHAPE)
        values[row] = spectrum[row][:, None] + np.outer(loud[row], beat[row]) + noise
    return FeatureStore.from_arrays("simulated log-mels 96 x 128", tracks.track_id, values)


def _sounds(tracks: Tracks, seed: int) -> NDArray[np.float64]:
    """Sound of each track, seen through noise: shape (n, DIMENSIONS)."""
    known = Hierarchy.calibrated()
    names = fma_genres()
    place = np.array(
        [names.index(g) if g in names else i % 16 for i, g in enumerate(tracks.genres)]
    )
    rng = np.random.default_rng([seed, 3])
    sound = known.genre_means[place[np.maximum(tracks.labels, 0)]].copy()
    owners = {
        "artist": group([tracks.artist_id], len(tracks)),
        "album": group([tracks.album_id, tracks.artist_id], len(tracks)),
        "track": np.arange(len(tracks)),
    }
    for level, owner in owners.items():
        drawn = rng.standard_normal((int(owner.max()) + 1, DIMENSIONS))
        sound += np.sqrt(known.shares[level]) * drawn[owner]
    seen: NDArray[np.float64] = sound + _NOISE * rng.standard_normal(sound.shape)
    return seen
