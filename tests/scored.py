"""Predictions of made-up bags, for tests of scores and intervals."""

import numpy as np

from matt.bags import Bags
from matt.predictions import Predictions
from matt.tracks import Tracks

GENRES = ("Rock", "Folk", "Jazz", "Punk", "Soul", "Ska", "Dub")
TRAIN = np.array([900, 400, 150, 70, 30, 11, 5])  # training tracks: many, medium and few


def catalogue(seed=0, *, n_bags=53, mixed=0.2, unknown=0.1, artists=True, genres=GENRES):
    """Tracks of albums of one to twelve; an artist has about two albums."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1, 2, 3, 5, 11], n_bags)
    album = np.repeat(np.arange(n_bags), sizes)
    n = len(album)
    labels = rng.integers(len(genres), size=n_bags)[album]
    other = rng.random(n) < mixed
    labels[other] = rng.integers(len(genres), size=other.sum())
    labels[rng.random(n) < unknown] = -1
    ids = rng.permutation(10 * n)[:n]
    artist = (album // 2) if artists else -1 - 0 * album
    return Tracks(ids, labels, genres, artist_id=artist, album_id=album, split=["test"] * n)


def predictions(
    tracks, seed=0, *, by="album", skill=1.5, link="softmax", decimals=None, train=TRAIN
):
    """Noisy logits that know something of the label; rounded ones have ties."""
    rng = np.random.default_rng([seed, 1])
    bags = Bags.from_tracks(tracks, by=by)
    bags = Bags(bags.track_ids, bags.offsets, bags.labels, tracks.genres, train)
    logits = rng.normal(size=(len(bags), len(tracks.genres)))
    if bags.multi_label:
        logits += skill * bags.labels
    else:
        logits += skill * (bags.labels[:, None] == np.arange(len(tracks.genres)))
    if decimals is not None:
        logits = logits.round(decimals)
    there = tracks.take(tracks.rows(bags.track_ids))
    return Predictions(bags, there, logits.astype(np.float32), link)


def several_genres(seed=0, n_bags=23):
    """Tracks with up to three genres each."""
    rng = np.random.default_rng(seed)
    tracks = catalogue(seed, n_bags=n_bags)
    labels = rng.random((len(tracks), len(GENRES))) < 0.3
    return Tracks(
        tracks.track_id, labels, GENRES, artist_id=tracks.artist_id, album_id=tracks.album_id
    )
