"""What is scored: one row an item, whatever its unit, with the artist that it belongs to.

Scores and intervals of one unit come from the same `Items`, so they cannot disagree about what an
item is or which were left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import group
from ..errors import ConfigError, DataError, check_arguments, did_you_mean, first_few, in_a_line
from ..predictions import Predictions
from ..tracks import relabel
from .metrics import truth_of

UNITS = ("bag", "track_of_bag", "track")
_EACH = ("track_id", "truth", "best", "balanced", "values", "sizes")  # what is there of every item
_EARLIER = {"spread": "track_of_bag"}  # read for one version


@dataclass(frozen=True, eq=False)
class Items:
    """Items whose genre is known.

    Attributes
    ----------
    unit : {"track", "bag", "bag over tracks"}
    genres : tuple of str, length G
    train_counts : int array, shape (G,)
    track_id : int array, shape (n,)
        The item's track; of a bag, its first.
    truth : bool array, shape (n, G)
    labels : int array, shape (n,), or None
        None where an item may have several genres.
    best : int array, shape (n,)
        Most likely genre.
    balanced : int array, shape (n,)
        Genre that is decided where rare ones are given a chance, see `Predictions.balanced`.
    values : float array, shape (n, G)
        What is ranked: probabilities, or scores that are none.
    link : str
        As in `Predictions`.
    sizes : int array, shape (n,)
        Tracks in the bag that the item is or lies in.
    artist : int array, shape (n,)
        Which artist the item belongs to, in [0, A): bags of one artist are no independent items. A
        bag of several has the first that is known; where none is, the bag stands for itself.
        Numbered by their lowest track id, so that resamples do not depend on the order of items.
    n_unknown : int
        Items left out because their genre is unknown.
    given : bool array, shape (n, G), or None
        Which genres are given to each item, where it may have several; None where it has one, and
        where scores are no probabilities of several.
    thresholds : float array, shape (G,), or None
        From which probability on they are given.
    """

    unit: str
    genres: tuple[str, ...]
    train_counts: NDArray[np.int64]
    track_id: NDArray[np.int64]
    truth: NDArray[np.bool_]
    labels: NDArray[np.int64] | None
    best: NDArray[np.int64]
    balanced: NDArray[np.int64]
    values: NDArray[np.floating]
    link: str
    sizes: NDArray[np.int64]
    artist: NDArray[np.int64]
    n_unknown: int = 0
    given: NDArray[np.bool_] | None = None
    thresholds: NDArray[np.float64] | None = None

    __repr__ = in_a_line

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def n_artists(self) -> int:
        """Artists, bags without one counting as an artist each."""
        return int(self.artist.max(initial=-1)) + 1

    @property
    def probabilities(self) -> NDArray[np.floating] | None:
        """Probabilities, shape (n, G), if they can be judged as such; see `no_probabilities`."""
        return None if self.no_probabilities else self.values

    @property
    def no_probabilities(self) -> str:
        """Why probabilities cannot be judged; nothing where they can."""
        if self.link == "none":
            return "scores are no probabilities (link none)"
        if self.labels is None and self.link == "softmax":
            return "a softmax shares one genre's probability, but an item may have several genres"
        return ""

    @property
    def no_ranking(self) -> str:
        """Why scores cannot be ranked; nothing where they can."""
        if self.link != "none" or not len(self):
            return ""
        hard = np.isin(self.values, (0, 1)).all() and (self.values.sum(axis=1) == 1).all()
        return "one genre is named and no other ranked (hard labels)" if hard else ""

    def take(self, which: NDArray[Any]) -> Items:
        """Return the chosen items; the artists that are left are numbered anew."""
        some: dict[str, Any] = {name: getattr(self, name)[which] for name in _EACH}
        labels = None if self.labels is None else self.labels[which]
        given = None if self.given is None else self.given[which]
        artist = _numbered(self.artist[which], self.track_id[which])
        return replace(self, **some, labels=labels, given=given, artist=artist, n_unknown=0)


def items_of(predictions: Predictions | Items, *, unit: str = "bag") -> Items:
    """Items of predictions.

    Parameters
    ----------
    predictions : Predictions or Items
        Items are given back as they are, whatever the unit.
    unit : {"bag", "track_of_bag", "track"}
        ``"bag"``: a bag under its own label. ``"track_of_bag"``: each track under the *track's own*
        label, with the prediction of its bag. ``"track"``: a lone track, predicted alone. Where
        every bag is a lone track all three are the same, and the result says ``"track"``.

    Raises
    ------
    ConfigError
        If the unit is unknown.
    DataError
        If the unit is ``"track"``, but bags were predicted.
    """
    if isinstance(predictions, Items):
        return predictions
    check_arguments(predictions=(predictions, Predictions))
    unit = _EARLIER.get(unit, unit)
    if unit not in UNITS:
        raise ConfigError(f"unknown unit {unit!r}; {did_you_mean(unit, UNITS)}")
    lone = bool((predictions.bags.sizes == 1).all())
    if unit == "track" and not lone:
        raise DataError(
            "these are predictions of bags, not of lone tracks; predict "
            'Bags.from_tracks(tracks, by="track"), or score unit="track_of_bag"'
        )
    each = unit == "track_of_bag" and not lone
    scored = predictions.per_track() if each else predictions
    repeats = predictions.bags.sizes if each else np.ones(len(predictions), np.int64)
    known = np.flatnonzero(scored.bags.known)
    track_id = scored.bags.track_ids[scored.bags.offsets[:-1]][known]
    values = scored.logits if scored.link == "none" else scored.probabilities
    given = thresholds = None
    if scored.bags.multi_label and scored.link == "sigmoid":
        given, thresholds = scored.given[known], scored.limits
    return Items(
        unit="track" if lone else "bag over tracks" if each else "bag",
        genres=scored.genres,
        train_counts=scored.train_counts,
        track_id=track_id,
        truth=truth_of(scored.labels[known], len(scored.genres)),
        labels=None if scored.bags.multi_label else scored.labels[known],
        best=scored.best[known],
        balanced=scored.balanced[known],
        values=values[known],
        link=scored.link,
        sizes=np.repeat(predictions.bags.sizes, repeats)[known],
        artist=_numbered(np.repeat(_artist_of_bags(predictions), repeats)[known], track_id),
        n_unknown=len(scored) - len(known),
        given=given,
        thresholds=thresholds,
    )


def matched(
    first: Predictions, second: Predictions, *, unit: str = "track_of_bag"
) -> tuple[Items, Items]:
    """Items of two predictions of the same tracks, in one order, with the artists of the first.

    Tracks are matched by id and genres by name; a table in another order is no obstacle.

    Parameters
    ----------
    first, second : Predictions
        The tail is the first's, by its training counts.
    unit : {"track_of_bag", "bag", "track"}
        See `items_of`. Predictions of other bags can only be compared track by track.

    Raises
    ------
    DataError
        If they know other genres, predict other tracks, disagree about a label, or group the
        tracks into other bags though the unit is ``"bag"``.
    """
    check_arguments(first=(first, Predictions), second=(second, Predictions))
    second = _with_genres(second, first.genres)
    ours, theirs = first.bags.track_ids, second.bags.track_ids
    apart = np.setxor1d(ours, theirs)
    if apart.size or len(ours) != len(theirs):
        raise DataError(
            f"{apart.size} tracks are predicted by one of the two only (first: "
            f"{first_few(apart)}); compare predictions of the same test tracks"
        )
    if unit == "bag":
        second = second.take(_same_bags(first, second))
        labels = first.labels, second.labels
    else:
        labels = first.tracks.labels, second.tracks.labels[second.tracks.rows(ours)]
    ids = ours[first.bags.offsets[:-1]] if unit == "bag" else ours
    if labels[0].ndim != labels[1].ndim:
        raise DataError(
            "one has a genre a track, the other may have several; compare predictions of one table"
        )
    other = labels[0] != labels[1]
    other = ids[other.any(axis=1) if other.ndim == 2 else other]
    if other.size:
        raise DataError(
            f"{other.size} {'bags' if unit == 'bag' else 'tracks'} have another label in the "
            f"second (first: track {first_few(other)}); compare predictions of one table of tracks"
        )
    one, two = items_of(first, unit=unit), items_of(second, unit=unit)
    place = np.argsort(two.track_id)
    two = two.take(place[np.searchsorted(two.track_id, one.track_id, sorter=place)])
    return one, replace(two, artist=one.artist, train_counts=one.train_counts)


def joined(first: Items, second: Items) -> Items:
    """Items of both, the artists of the second numbered behind those of the first."""
    both: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in _EACH
    }
    labels = None
    if first.labels is not None and second.labels is not None:
        labels = np.concatenate([first.labels, second.labels])
    given = None
    if first.given is not None and second.given is not None:
        given = np.concatenate([first.given, second.given])
    artist = np.concatenate([first.artist, first.n_artists + second.artist])
    return replace(first, **both, labels=labels, given=given, artist=artist)


def _artist_of_bags(predictions: Predictions) -> NDArray[np.int64]:
    """First known artist of each bag, or the bag itself: group numbers, shape (b,)."""
    artist, starts = predictions.tracks.artist_id, predictions.bags.offsets[:-1]
    if not len(starts):
        return np.array([], np.int64)
    n = len(artist)
    first = np.minimum.reduceat(np.where(artist >= 0, np.arange(n), n), starts)  # (b,)
    return group([np.append(artist, -1)[first]], len(starts))


def _numbered(artist: NDArray[np.int64], track_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Artists from 0, in the order of their lowest track id: the order of items has no say."""
    order = np.argsort(track_id, kind="stable")
    _, first, code = np.unique(artist[order], return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    found = np.empty(len(artist), np.int64)
    found[order] = number[code]
    return found


def _with_genres(predictions: Predictions, genres: tuple[str, ...]) -> Predictions:
    """Return the same predictions with columns and labels in another order."""
    if predictions.genres == genres:
        return predictions
    apart = sorted(set(genres) ^ set(predictions.genres))
    if apart:
        raise DataError(
            f"{len(apart)} genres are known to one of the two only (first: {first_few(apart)}); "
            "compare classifiers of the same genres"
        )
    order = [predictions.genres.index(genre) for genre in genres]
    bags = replace(
        predictions.bags,
        labels=relabel(predictions.labels, predictions.genres, genres),
        genres=genres,
        train_counts=predictions.train_counts[order],
        track_labels=None,
    )
    decision, thresholds = predictions.decision, predictions.thresholds
    return Predictions(
        bags,
        predictions.tracks.with_genres(genres),
        predictions.logits[:, order],
        predictions.link,
        thresholds=None if thresholds is None else thresholds[order],
        decision=None if decision is None else decision.take(order),
    )


def _same_bags(first: Predictions, second: Predictions) -> NDArray[np.int64]:
    """Bag of the second that holds the tracks of each bag of the first, shape (b,)."""
    there = np.repeat(np.arange(len(second)), second.bags.sizes)
    there = there[second.tracks.rows(first.bags.track_ids)]  # (n,)
    which = there[first.bags.offsets[:-1]]  # (b,)
    sizes = first.bags.sizes
    if (there != np.repeat(which, sizes)).any() or (second.bags.sizes[which] != sizes).any():
        raise DataError(
            f"the same tracks are in other bags ({len(first):,} and {len(second):,}), so bags "
            'cannot be compared; use unit="track_of_bag", which compares track by track'
        )
    return which
