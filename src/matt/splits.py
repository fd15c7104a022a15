"""Splits: who may learn and who is tested, with every artist on one side only.

A split by track leaks: tracks of an artist sound alike, so a model is tested on what it has heard.
Here the unit is always the artist; a track without a known artist is an artist of its own. Artists
whom one track names, or whose names are nearly the same (`Tracks.everybody`), are a company, which
stays together, so that a duet puts nobody on two sides. Without such tracks every artist is one. A
guest of so many that half of all artists were one company binds nobody; the audit says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from .bags import Bags
from .errors import DataError, check_arguments, did_you_mean
from .settings import AtLeastTwo, Fraction, Ratio, Whole, check_values
from .tracks import SPLITS, Tracks


def by_artist(
    tracks: Tracks, *, validation: float = 0.1, test: float = 0.2, seed: int = 0
) -> Tracks:
    """Assign every artist to training, validation or test, genre by genre.

    The artists of each genre (an artist belongs to the genre of most of its tracks) are shuffled
    and dealt out: at least one to test where a genre has two, at least one to validation where it
    has three. The only artist of a genre stays in training; `untestable` names such genres. So do
    artists without a known genre, who could teach a test nothing. A company of more artists than a
    side has room for stays in training, too, unless all of a genre are like that.

    Parameters
    ----------
    tracks : Tracks
    validation, test : float in [0, 1)
        Share of the artists of each genre.
    seed : int >= 0

    Returns
    -------
    Tracks
        The same tracks in other splits.

    Raises
    ------
    ConfigError
        If a number is none of these.
    DataError
        If the shares leave nothing to train on.
    """
    check_arguments(tracks=(tracks, Tracks))
    check_values(validation=(validation, Fraction), test=(test, Fraction), seed=(seed, Whole))
    if validation + test >= 1:
        raise DataError(
            f"shares must sum to less than 1, got validation={validation} and "
            f"test={test}; the rest is for training"
        )
    company, stratum, size = _companies(tracks)
    rng = np.random.default_rng(seed)
    assigned = np.full(len(stratum), SPLITS[0], "<U10")
    for genre in np.unique(stratum[stratum >= 0]):
        order = rng.permutation(np.flatnonzero(stratum == genre))
        n_artists = int(size[order].sum())
        n_test = _share(n_artists, test, needs=2) if len(order) > 1 else 0
        n_validation = _share(n_artists, validation, needs=3) if len(order) > 2 else 0
        for name, room in (("test", n_test), ("validation", n_validation)):
            dealt = _fitting(size[order], room)
            assigned[order[dealt]] = name
            order = order[~dealt]
    return tracks.with_split(assigned[company])


def _fitting(sizes: NDArray[np.int64], room: int) -> NDArray[np.bool_]:
    """Which companies go where there is room for so many artists: in order, while they fit.

    Where none fits it is the smallest.
    """
    dealt = np.zeros(len(sizes), bool)
    left = room
    for place, size in enumerate(sizes.tolist()):
        if size <= left:
            dealt[place] = True
            left -= size
    if room and not dealt.any():
        dealt[sizes.argmin()] = True
    return dealt


def untestable(tracks: Tracks) -> tuple[str, ...]:
    """Genres with known tracks of which none is in the test split: nothing can be said of them."""
    check_arguments(tracks=(tracks, Tracks))
    tested = tracks.take(tracks.split == "test").counts
    return tuple(
        genre
        for genre, all_, some in zip(tracks.genres, tracks.counts, tested, strict=True)
        if all_ and not some
    )


def folds(tracks: Tracks, *, k: int = 5, seed: int = 0) -> Iterator[tuple[Tracks, Tracks]]:
    """Yield (rest, test) for cross-validation, with artists whole and genres dealt out evenly.

    Parameters
    ----------
    tracks : Tracks
    k : int >= 2
        Every track is in the test part exactly once.
    seed : int >= 0

    Yields
    ------
    rest, test : Tracks
        ``rest`` is in the training split, ``test`` in the test split.

    Raises
    ------
    ConfigError
        If a number is none of these.
    DataError
        If there are fewer artists than folds, where those who appear together count as one.
    """
    check_arguments(tracks=(tracks, Tracks))
    check_values(k=(k, AtLeastTwo), seed=(seed, Whole))
    company, stratum, _ = _companies(tracks)
    if k > len(stratum):
        raise DataError(
            f"k={k} folds need as many artists, and there are {len(stratum)}; choose another k"
        )
    rng = np.random.default_rng(seed)
    order = np.concatenate(
        [rng.permutation(np.flatnonzero(stratum == g)) for g in np.unique(stratum)]
    )
    fold = np.empty(len(stratum), np.int64)
    fold[order] = np.arange(len(order)) % k
    for number in range(k):
        here = fold[company] == number
        marked = tracks.with_split(np.where(here, "test", "training"))
        yield marked.take(~here), marked.take(here)


def thin(tracks: Tracks, keep: Mapping[str, int], *, by: str = "album", seed: int = 0) -> Tracks:
    """Drop training tracks until each named genre has at most so many: an artificial long tail.

    Whole bags are kept in random order, and the last one is cut to size; validation and test are
    never cut.

    Parameters
    ----------
    tracks : Tracks
        Single-label, with splits.
    keep : mapping of genre to int >= 0
        Training tracks to keep; a genre that is not named keeps all.
    by : str
        What a bag is, as in `Bags.from_tracks`.
    seed : int >= 0

    Raises
    ------
    ConfigError
        If a number is none of these.
    DataError
        If a genre is unknown.
    """
    check_arguments(tracks=(tracks, Tracks), keep=(keep, Mapping))
    most_of = {f"keep[{genre!r}]": (most, Whole) for genre, most in keep.items()}
    check_values(**most_of, by=(by, str), seed=(seed, Whole))
    training = np.flatnonzero((tracks.split == "training") & tracks.labelled)
    rng = np.random.default_rng(seed)
    dropped = []
    for genre, most in keep.items():
        if genre not in tracks.genres:
            raise DataError(f"cannot thin {genre!r}; {did_you_mean(genre, tracks.genres)}")
        rows = training[tracks.labels[training] == tracks.genres.index(genre)]
        if len(rows) > most:
            bags = Bags.from_tracks(tracks.take(rows), by=by)
            shuffled = bags.take(rng.permutation(len(bags)))
            dropped.append(shuffled.track_ids[most:])
    return tracks.drop(np.concatenate(dropped)) if dropped else tracks


def long_tail(tracks: Tracks, *, ratio: float, seed: int = 0) -> dict[str, int]:
    """Training tracks to keep for an exponential tail, from the largest genre to 1/ratio.

    The order of the genres is drawn by ``seed``; give the result to `thin`.

    Parameters
    ----------
    tracks : Tracks
        With splits.
    ratio : float >= 1
    seed : int >= 0

    Raises
    ------
    ConfigError
        If a number is none of these.

    Examples
    --------
    >>> tracks = Tracks(range(90), [0, 1, 2] * 30, ("A", "B", "C"), split=["training"] * 90)
    >>> sorted(long_tail(tracks, ratio=9).values())
    [3, 10, 30]
    """
    check_arguments(tracks=(tracks, Tracks))
    check_values(ratio=(ratio, Ratio), seed=(seed, Whole))
    largest, n_genres = int(tracks.train_counts.max()), len(tracks.genres)
    steps = np.arange(n_genres) / max(n_genres - 1, 1)
    sizes = np.maximum(1, np.round(largest * ratio**-steps)).astype(int)
    order = np.random.default_rng(seed).permutation(n_genres)
    return {tracks.genres[genre]: int(size) for genre, size in zip(order, sizes, strict=True)}


def _share(n: int, share: float, *, needs: int) -> int:
    """How many of n artists: the rounded share, at least one if it is wanted and n allows it."""
    return max(1, round(n * share)) if share and n >= needs else 0


def companies(tracks: Tracks) -> NDArray[np.int64]:
    """Company of each track, shape (n,), numbered from 0: who stays together in every split.

    Examples
    --------
    >>> everybody = {"all_artists": ["7 9", "", ""]}
    >>> duet = Tracks([1, 2, 3], [0, 0, 0], ("Folk",), artist_id=[7, 8, 9], columns=everybody)
    >>> companies(duet).tolist()
    [0, 1, 0]
    """
    check_arguments(tracks=(tracks, Tracks))
    return _companies(tracks)[0]


def _companies(
    tracks: Tracks,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Company of each track (n,); genre of each company, -1 unknown, and its artists: (c,)."""
    if tracks.multi_label:
        # One genre a track: its rarest, since that is the one hardest to spread over the splits.
        cost = np.where(tracks.labels, tracks.counts, np.iinfo(np.int64).max)
        labels = np.where(tracks.labelled, cost.argmin(axis=1), -1)
    else:
        labels = tracks.labels
    together = {_TOGETHER: _together(tracks)}
    grouped = Tracks(tracks.track_id, labels, tracks.genres, columns=together)
    bags = Bags.from_tracks(grouped, by=_TOGETHER)
    company = np.empty(len(tracks), np.int64)
    company[tracks.rows(bags.track_ids)] = np.repeat(np.arange(len(bags)), bags.sizes)
    pairs = np.unique(np.stack([company, tracks.artist_id]), axis=1)[0]
    return company, bags.labels, np.bincount(pairs, minlength=len(bags))


_TOGETHER = "together"


_FEW = 5  # artists of a company that is never too large


def _together(tracks: Tracks) -> NDArray[np.int64]:
    """One number for all artists who are joined by tracks, -1 where nobody is known: (n,).

    A company of more than half of all artists would leave little to test on. Then whoever is named
    beside the most others binds them no longer, until there is no such company.
    """
    rows, ids = tracks.everybody(alike=True)
    if len(rows) == (tracks.artist_id >= 0).sum():  # nobody is named but artists of their own
        return tracks.artist_id
    own = np.arange(len(rows)) < (tracks.artist_id >= 0).sum()
    own |= ids == tracks.artist_id[rows]
    known = np.flatnonzero(tracks.artist_id >= 0)
    most = max(_FEW, len(np.unique(tracks.artist_id[known])) // 2)
    while True:
        number = _joined(rows, ids, len(tracks))
        pairs = np.unique(np.stack([number[known], tracks.artist_id[known]]), axis=1)[0]
        sizes = np.bincount(pairs, minlength=1)
        within = ~own & (sizes.max(initial=0) > most) & (number[rows] == sizes.argmax())
        beside = np.unique(np.stack([ids[within], tracks.artist_id[rows[within]]]), axis=1)[0]
        named, times = np.unique(beside, return_counts=True)
        if not len(named) or times.max() <= 2:
            break
        let_go = ~own & np.isin(ids, named[2 * times > times.max()])
        rows, ids, own = rows[~let_go], ids[~let_go], own[~let_go]
    there = np.zeros(len(tracks), bool)
    there[rows] = True
    return np.where(there, number, -1)


def _joined(rows: NDArray[np.int64], ids: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Number of each of n tracks, the same for all that share an id, directly or not: (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    different, artist = np.unique(ids, return_inverse=True)
    shape = (n + len(different),) * 2  # tracks, then artists: an edge from each to whom it names
    edges = coo_array((np.ones(len(rows), bool), (rows, n + artist)), shape=shape)
    return np.asarray(connected_components(edges, directed=False)[1][:n], np.int64)
