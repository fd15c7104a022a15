"""Which tracks decided: for any model by asking it again, for networks from saved arrays alone.

`explain_album` takes an album apart and asks the model of every part: each track alone, the album
without each track, each segment alone. Nothing is assumed of the model, so this holds for a
network, a blend, a baseline and the shipped tagger alike.

`explain` reads what networks have told already. With attention a and segment logits l the logits of
a bag are a sum over its segments,

    o_g = sum_k a_kg l_kg,

so each track's part in it is known exactly. Two readings of it, both per track and genre:

- the **margin** is what the track added to o_g, centred over genres, because a constant that all
  genres share moves no probability;
- **leave-one-out** is what the probability would be without the track. The attention of the others
  then grows to sum to 1 again, which is exact too: o' = (sum of their parts) / (sum of their
  attention). Both are summed over the others, not subtracted from the whole, of which nothing but
  rounding is left where one track has nearly all attention.

A model that reads the spread of a bag adds what it says to all of the bag's segments alike; without
a track the spread is taken to be what it was. A blend does the same with what its members say that
are no networks, and with what averaging several networks bends: what is told of it is exact of the
sum, and of a track no more than what its networks have of it.

Margins say who spoke for a genre; leave-one-out says who could not be missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import DataError, check_arguments, in_a_line
from ..features.store import FeatureStore
from ..models.blend import BlendClassifier
from ..models.classifier import GenreClassifier
from ..models.neural import NeuralClassifier
from ..predictions import Predictions, probabilities_of
from ..tracks import Tracks

_ALONE = float(np.finfo(np.float32).tiny)  # attention below it has lost digits, or is 0
_ROUNDING = 1e-3  # of logits, relative to the largest: single precision over large bags
_ALIKE = 0.05  # of the share of a track: attention that differs by less is none
_ASKED_BYTES = 2**28  # of features, read again for albums without one of their tracks


@dataclass(frozen=True, eq=False)
class Explanation:
    """What each track of each bag did; rows are tracks in bag order.

    Attributes
    ----------
    attention : float array, shape (n, G)
        Share of its bag's attention, in [0, 1].
    margins : float array, shape (n, G)
        Part in the bag's logits, centred over genres; sums over a bag to its centred logits. NaN
        where logits are no sums over segments, because the model's head is not linear.
    effects : float array, shape (n, G)
        Probability of the bag less its probability without the track; NaN for the only track of a
        bag, where the others have no attention at all, and where margins are NaN.
    """

    attention: NDArray[np.float64]
    margins: NDArray[np.float64]
    effects: NDArray[np.float64]

    __repr__ = in_a_line


def explain(predictions: Predictions) -> Explanation:
    """Explain predictions that carry attention and segment logits.

    Parameters
    ----------
    predictions : Predictions
        Made with ``predict(..., explain=True)``.

    Returns
    -------
    Explanation

    Raises
    ------
    DataError
        If the predictions do not carry the segments.
    """
    check_arguments(predictions=(predictions, Predictions))
    a, logits = predictions.attention, predictions.segment_logits
    starts = predictions.segment_offsets
    if a is None or logits is None or starts is None:
        raise DataError(
            "these predictions carry no attention; make them with predict(..., explain=True)"
        )
    a = np.broadcast_to(a, logits.shape).astype(np.float64)  # (N, G)
    attention = np.add.reduceat(a, starts[:-1], axis=0)  # (n, G)
    parts = np.add.reduceat(a * logits, starts[:-1], axis=0)  # (n, G)
    bag = np.repeat(np.arange(len(predictions)), predictions.bags.sizes)  # (n,)
    rest = _of_others(attention, predictions.bags.offsets)  # (n, G)
    alone = np.asarray((rest < _ALONE).any(axis=1))  # (n,)
    whole = np.add.reduceat(parts, predictions.bags.offsets[:-1], axis=0)  # (b, G): the logits
    others = _of_others(parts, predictions.bags.offsets)
    without = others / np.where(alone[:, None], 1, rest)
    effects = probabilities_of(whole, predictions.link)[bag] - probabilities_of(
        without, predictions.link
    )
    effects[alone] = np.nan
    margins = parts - parts.mean(axis=1, keepdims=True)
    apart = np.abs(whole - predictions.logits).max(axis=1, initial=0)  # (b,)
    if (apart > _ROUNDING * (1 + np.abs(logits).max(initial=0))).any():
        margins[:], effects[:] = np.nan, np.nan
    return Explanation(attention, margins, effects)


def _of_others(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum over the other rows of each bag, shape (n, G), without a subtraction.

    >>> _of_others(np.array([[1.0], [1e-20], [3.0], [7.0]]), np.array([0, 3, 4]))[:, 0]
    array([3., 4., 1., 0.])
    """
    before, behind = np.zeros_like(values), np.zeros_like(values)
    sizes = np.diff(offsets)
    order = np.argsort(-sizes, kind="stable")
    first, last, larger = offsets[:-1][order], offsets[1:][order] - 1, -sizes[order]
    for step in range(1, int(sizes.max(initial=0))):
        n = int(np.searchsorted(larger, -step))  # bags of more than ``step`` rows
        row = first[:n] + step
        before[row] = before[row - 1] + values[row - 1]
        row = last[:n] - step
        behind[row] = behind[row + 1] + values[row + 1]
    return before + behind


@dataclass(frozen=True, eq=False)
class AlbumExplanation:
    """What a model says of an album, and of each of its parts.

    Rows are tracks, or segments of tracks, in the order of the album; columns are genres.

    Attributes
    ----------
    whole : Predictions
        Of the album: one bag.
    alone : float array, shape (n, G)
        Probabilities of each track, had it been the only one.
    without : float array, shape (n, G)
        Probabilities of the album without the track. NaN for the only track of an album, and in a
        very large one for tracks that are much like the others, which are not tried.
    segments : float array, shape (N, G)
        Probabilities of each segment, had it been all of its track.
    segment_offsets : int array, shape (n + 1,)
        Where each track's segments start.
    attention : float array, shape (n, G), or None
        Share of each track in the attention of the networks; None where the model has no
        attention, or gives all tracks the same.
    """

    whole: Predictions
    alone: NDArray[np.float64]
    without: NDArray[np.float64]
    segments: NDArray[np.float64]
    segment_offsets: NDArray[np.int64]
    attention: NDArray[np.float64] | None

    __repr__ = in_a_line

    @property
    def genre(self) -> int:
        """Column of the most likely genre of the album."""
        return int(self.whole.best[0])

    @property
    def effects(self) -> NDArray[np.float64]:
        """Probability of the album less that without the track, shape (n, G), NaN as `without`."""
        return np.asarray(self.whole.probabilities - self.without)


def explain_album(
    model: GenreClassifier, features: FeatureStore, tracks: Tracks, album: Bags
) -> AlbumExplanation:
    """Ask a model of any kind which tracks and segments of one album decided.

    Parameters
    ----------
    model : GenreClassifier
    features : FeatureStore
    tracks : Tracks
        Holds at least those of the album.
    album : Bags
        One bag.

    Returns
    -------
    AlbumExplanation

    Raises
    ------
    DataError
        If there is not exactly one album, the model says no probabilities, or as
        `GenreClassifier.predict`.

    Examples
    --------
    >>> from matt.models.baselines import BaselineClassifier
    >>> tracks = Tracks(range(8), [0, 1] * 4, ("Rock", "Folk"))
    >>> store = FeatureStore.from_arrays("toy", tracks.track_id, np.arange(8.0)[:, None] % 2)
    >>> model = BaselineClassifier().fit(store, Bags.from_tracks(tracks, by="track"))
    >>> odd = Bags([0, 2, 1], [0, 3], [-1], tracks.genres)
    >>> told = explain_album(model, store, tracks, odd)
    >>> told.alone.argmax(axis=1), told.effects[:, told.genre] > 0
    (array([0, 0, 1]), array([ True,  True, False]))
    """
    check_arguments(model=(model, GenreClassifier), album=(album, Bags))
    if len(album) != 1:
        raise DataError(f"one album is explained at a time, but these are {len(album)}; take one")
    if isinstance(model, NeuralClassifier | BlendClassifier):
        whole = model.predict(features, tracks, album, explain=True)
    else:
        whole = model.predict(features, tracks, album)
    parts = _Parts(model, features, album)
    alone = parts.probabilities([[track] for track in range(parts.n)])
    without = np.full_like(alone, np.nan)
    tried = _tried(alone[:, whole.best[0]], parts)
    rest = [[other for other in range(parts.n) if other != track] for track in tried]
    if rest:
        without[tried] = parts.probabilities(rest)
    segments = parts.probabilities([[row] for row in range(parts.n, len(parts.counts))])
    return AlbumExplanation(
        whole, alone, without, segments, parts.offsets, _attention_of_tracks(whole)
    )


class _Parts:
    """Tracks of an album, and behind them its segments, each as a track that can be asked about.

    Rows of features are read once; a part says where its own lie.
    """

    def __init__(self, model: GenreClassifier, features: FeatureStore, album: Bags) -> None:
        self.model, self.spec = model, features.spec
        self.values, self.offsets = features.read(album.track_ids)
        self.n = len(album.track_ids)
        rows = np.arange(len(self.values))
        self.starts = np.concatenate([self.offsets[:-1], rows])
        self.counts = np.concatenate([np.diff(self.offsets), np.ones_like(rows)])

    def probabilities(self, albums: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Of albums that are made of some of the parts, shape (b, G)."""
        parts = np.concatenate([np.asarray(album, np.int64) for album in albums])
        ids, unknown = np.arange(len(parts)), np.full(len(parts), -1)
        offsets = np.cumsum([0, *map(len, albums)])
        store = FeatureStore(
            self.spec,
            ids,
            np.zeros_like(ids),
            self.starts[parts],
            self.counts[parts],
            (self.values,),
        )
        genres = self.model.genres
        bags = Bags(ids, offsets, unknown[: len(albums)], genres)
        said = self.model.predict(store, Tracks(ids, unknown, genres), bags)
        return said.probabilities


def _tried(alone: NDArray[np.float64], parts: _Parts) -> NDArray[np.int64]:
    """Tracks that are left out in turn: all, or of a large album those that differ the most."""
    if parts.n < 2:
        return np.empty(0, np.int64)
    most = max(_ASKED_BYTES // (parts.spec.n_bytes * len(parts.values)), 1)
    strange = np.argsort(-np.abs(alone - alone.mean()), kind="stable")
    return np.sort(strange[:most])


def _attention_of_tracks(whole: Predictions) -> NDArray[np.float64] | None:
    """Share of each track in the attention of one bag, (n, G); None where all have the same."""
    if whole.attention is None or whole.segment_offsets is None or len(whole.tracks) < 2:
        return None
    found = np.add.reduceat(whole.attention.astype(np.float64), whole.segment_offsets[:-1], axis=0)
    if np.ptp(found, axis=0).max() * len(found) < _ALIKE:
        return None
    return np.broadcast_to(found, (len(found), len(whole.genres)))
