"""Albums that sound alike: near in what a model makes of them, and by other artists.

Each track has one vector: of a network the mean embedding of its segments (of several networks one
after another), of the shipped tagger the values of musicnn before its tags, of any other model the
features that it reads. Columns are brought to one scale over the library, an album is the mean of
its tracks, and **likeness** is the cosine of two albums: 1 where they are the same, about 0 for two
taken at random.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..datasets.near_duplicates import standardised, track_vectors
from ..errors import DataError, check_arguments
from ..features.spec import N_TAGS
from ..features.store import FeatureStore
from ..models.blend import BlendClassifier
from ..models.classifier import GenreClassifier
from ..models.neural import NeuralClassifier
from ..models.tagger import Tagger
from ..tracks import Tracks
from .albums import who_made

_AT_ONCE = 4096  # tracks whose segments are held


def rows_at(tracks: Tracks, place: Path | str) -> NDArray[np.int64]:
    """Rows of the tracks that lie in a folder, or of the one that is a file.

    Raises
    ------
    DataError
        If there are none.
    """
    paths = tracks.path.tolist()
    for wanted in (os.path.abspath(place), os.path.realpath(place)):
        inside = os.path.join(wanted, "")
        found = [row for row, path in enumerate(paths) if path == wanted or path.startswith(inside)]
        if found:
            return np.array(found, np.int64)
    raise DataError(
        f"{place} holds none of the {len(tracks):,} tracks that were read; name a folder or a file "
        "of the library"
    )


def space_of(model: GenreClassifier, features: FeatureStore, tracks: Tracks) -> NDArray[np.float32]:
    """One vector a track, shape (n, d), on one scale: what the model makes of it.

    Parameters
    ----------
    model : GenreClassifier
    features : FeatureStore
        Of the specification that the model reads.
    tracks : Tracks
        All with features.

    Raises
    ------
    DataError
        If features are missing, or all tracks have the same.
    """
    check_arguments(
        model=(model, GenreClassifier), features=(features, FeatureStore), tracks=(tracks, Tracks)
    )
    network = model.network if isinstance(model, BlendClassifier) else model
    if isinstance(network, NeuralClassifier):
        x = _embedded(network, features, tracks)
    else:
        x = track_vectors(features, tracks.track_id)
        x = x[:, :-N_TAGS] if isinstance(model, Tagger) else x
    z = standardised(x)
    if not z.shape[1]:
        raise DataError(
            f"{len(tracks)} tracks that sound the same leave nothing to compare; name a larger "
            "library"
        )
    return z


def _embedded(
    network: NeuralClassifier, features: FeatureStore, tracks: Tracks
) -> NDArray[np.float32]:
    """Mean embedding of each track by each network, (n, networks · D)."""
    alone = Bags.from_tracks(tracks, by="track")
    parts = [
        np.concatenate(
            [
                _means(network, features, tracks, alone.take(rows), number)
                for number in range(network.training.n_networks)
            ],
            axis=1,
        )
        for rows in np.array_split(np.arange(len(tracks)), -(-len(tracks) // _AT_ONCE))
    ]
    return np.concatenate(parts)


def _means(
    network: NeuralClassifier, features: FeatureStore, tracks: Tracks, alone: Bags, number: int
) -> NDArray[np.float32]:
    inside = network.embed(features, tracks, alone, network=number)
    summed = np.add.reduceat(inside.embeddings, inside.bag_offsets[:-1])  # (n, D)
    return np.asarray(summed / np.diff(inside.bag_offsets)[:, None], np.float32)


def ranked_albums(
    tracks: Tracks, space: NDArray[np.float32], album: NDArray[np.int64]
) -> tuple[Bags, NDArray[np.float64]]:
    """All albums by other artists, those that sound most like some tracks first.

    Parameters
    ----------
    tracks : Tracks
    space : float array, shape (n, d)
        `space_of` these tracks.
    album : int array
        Rows of the tracks to compare with, together.

    Returns
    -------
    bags : Bags
        None has an artist that is named by one of those tracks, or has nearly such a name.
    likeness : float array, shape (b,)
        In [-1, 1].

    Raises
    ------
    DataError
        If no album by another artist is left.
    """
    bags = Bags.from_tracks(tracks)
    rows = tracks.rows(bags.track_ids)
    barred = set(_named_in(tracks, album).tolist())
    there, ids = tracks.everybody(alike=True)
    out = np.isin(np.arange(len(tracks)), album)
    out[there[np.isin(ids, list(barred))]] = True
    left = np.flatnonzero(~np.logical_or.reduceat(out[rows], bags.offsets[:-1]))
    if not left.size:
        raise DataError("no album by another artist is left to compare with; name a larger library")
    means = np.add.reduceat(space[rows], bags.offsets[:-1]) / bags.sizes[:, None]
    likeness = _cosines(means[left], space[album].mean(axis=0))
    nearest = np.argsort(-likeness, kind="stable")
    return bags.take(left[nearest]), likeness[nearest]


def similar_albums(
    tracks: Tracks, space: NDArray[np.float32], album: NDArray[np.int64], *, most: int = 10
) -> list[dict[str, Any]]:
    """Albums by other artists that sound most like some tracks, the nearest first.

    Parameters
    ----------
    tracks, space, album
        As in `ranked_albums`.
    most : int >= 1

    Returns
    -------
    list of dict
        JSON-ready: artist, album, title, year, path, n_tracks, tagged (its genre, or None),
        likeness in [-1, 1], track_ids.

    Raises
    ------
    DataError
        If no album by another artist is left.

    Examples
    --------
    >>> tracks = Tracks([1, 2, 3, 4], [0] * 4, ("Folk",), artist_id=[5, 5, 6, 7],
    ...                 album_id=[5, 8, 6, 7], path=["a/1", "b/2", "c/3", "d/4"])
    >>> space = np.array([[1, 0], [1, 0], [0, 1], [1, 1]])
    >>> [row["path"] for row in similar_albums(tracks, space, np.array([0]))]
    ['d/4', 'c/3']
    """
    bags, likeness = ranked_albums(tracks, space, album)
    bags = bags.take(np.arange(min(most, len(bags))))
    rows = np.split(tracks.rows(bags.track_ids), bags.offsets[1:-1])
    return [
        {
            **_about(tracks, some),
            "tagged": bags.genres[label] if label >= 0 else None,
            "likeness": round(float(near), 4),
        }
        for some, label, near in zip(rows, bags.labels, likeness[: len(bags)], strict=True)
    ]


def _named_in(tracks: Tracks, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ids of everybody whom some tracks name, and of names like theirs."""
    there, ids = tracks.everybody(alike=True)
    return np.unique(ids[np.isin(there, rows)])


def _cosines(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of each row with a vector, (n, d), (d,) -> (n,); 0 where one of them is 0."""
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y)
    return np.asarray(np.divide(x @ y, lengths, out=np.zeros(len(x)), where=lengths > 0))


def _about(tracks: Tracks, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Who and where an album is, and its tracks."""
    some = tracks.take(rows)
    columns = {"artist_id": some.artist_id.tolist(), "path": some.path.tolist()}
    columns |= {name: column.tolist() for name, column in some.columns.items()}
    return {**who_made(columns), "track_ids": some.track_id.tolist()}
