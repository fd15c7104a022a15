"""Repeating: over seeds, over splits, and when one split is too small to say anything.

Resampling a test set says what other test artists would have changed. It says nothing of another
seed or another split, which only repeating the training can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..bags import Bags
from ..errors import ConfigError, DataError, first_few
from ..tracks import Tracks
from .scores import Scores
from .tally import HEADLINE

FEW_ITEMS = 10  # test tracks of a genre: below, one of them is more than a tenth of its recall
FEW_ARTISTS = 400  # of the test set: below, a 95 % interval of a share is wider than ± .05


@dataclass(frozen=True)
class Spread:
    """A score over seeds.

    Attributes
    ----------
    mean, sd : float
        The standard deviation is that of a sample (n - 1); NaN for a single run.
    n : int
        Runs in which the score is defined.
    n_undefined : int
    """

    mean: float
    sd: float
    n: int
    n_undefined: int = 0


@dataclass(frozen=True, eq=False)
class OverSeeds:
    """One model trained with several seeds.

    Attributes
    ----------
    seeds : tuple of int
        Those that were run; one where the model has no randomness.
    scores : tuple of Scores
        One a seed.
    spreads : dict of str to Spread
        By the name of the score.
    """

    seeds: tuple[int, ...]
    scores: tuple[Scores, ...]
    spreads: Mapping[str, Spread]


@dataclass(frozen=True)
class OverSplits:
    """Paired differences over splits, with their t interval.

    Attributes
    ----------
    mean, sd : float
    low, high : float
        NaN where there are fewer than two splits.
    p : float
        Two-sided; 1 where every difference is 0, NaN with fewer than two splits.
    n : int
        Splits in which the difference is defined.
    """

    mean: float
    sd: float
    low: float
    high: float
    p: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Protocol:
    """How a table of tracks is to be tested.

    Attributes
    ----------
    repeated : bool
        Whether artist-grouped cross-validation is to be repeated instead of one split.
    reasons : tuple of str
        Why; empty where one split will do.
    """

    repeated: bool
    reasons: tuple[str, ...]

    @property
    def note(self) -> str:
        """A sentence for the notes of a table; nothing where one split will do."""
        if not self.repeated:
            return ""
        return (
            f"One split is too small here: {'; '.join(self.reasons)}. Repeat artist-grouped "
            "cross-validation before models are ranked."
        )


def over_seeds(
    run: Callable[[int], Scores], seeds: Iterable[int], *, random: bool = True
) -> OverSeeds:
    """Score a model once a seed; one without randomness is run with the first seed only.

    Parameters
    ----------
    run : callable
        Trains and scores with a seed.
    seeds : iterable of int
    random : bool
        Whether a seed changes anything: false for nearest neighbours, say.

    Raises
    ------
    ConfigError
        If there is no seed, or one is given twice.
    """
    chosen = tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ConfigError(f"seeds {list(chosen)} are none or repeat; give different ones")
    chosen = chosen if random else chosen[:1]
    scores = tuple(run(seed) for seed in chosen)
    return OverSeeds(chosen, scores, spreads(scores))


def spreads(scores: Sequence[Scores]) -> dict[str, Spread]:
    """Mean and standard deviation of every score over runs."""
    return {name: spread_of([getattr(s, name) for s in scores]) for name in HEADLINE}


def paired_over_splits(
    differences: Sequence[float], *, confidence: float = 0.95, test_share: float | None = None
) -> OverSplits:
    """Find the t interval of differences between two models, one a split.

    Parameters
    ----------
    differences : sequence of float
        One a split or fold of (repeated) artist-grouped cross-validation; NaN is left out.
    confidence : float, 0 < confidence < 1
    test_share : float, 0 < test_share < 1, optional
        Share of the tracks that is tested in a split, 1/k for k folds. Splits share training
        tracks, so their differences are no independent ones and the plain interval is too narrow;
        with the share, the variance is enlarged as Nadeau & Bengio propose.

    Returns
    -------
    OverSplits

    References
    ----------
    .. [1] Nadeau & Bengio, "Inference for the generalization error", Machine Learning 52, 2003.

    Examples
    --------
    >>> found = paired_over_splits([0.02, 0.03, 0.01, 0.02])
    >>> round(found.low, 4), round(found.high, 4)
    (0.007, 0.033)
    >>> wider = paired_over_splits([0.02, 0.03, 0.01, 0.02], test_share=1 / 4)
    >>> round(wider.low, 4), round(wider.high, 4)
    (0.0002, 0.0398)
    """
    from scipy.stats import t

    if not 0 < confidence < 1 or (test_share is not None and not 0 < test_share < 1):
        raise ConfigError(
            f"confidence {confidence} and test_share {test_share} are shares; give e.g. 0.95 and "
            "0.2"
        )
    found = spread_of(differences)
    n, mean, sd = found.n, found.mean, found.sd
    if n < 2:
        return OverSplits(mean, math.nan, math.nan, math.nan, math.nan, n)
    factor = 1 / n + (0 if test_share is None else test_share / (1 - test_share))
    error = sd * math.sqrt(factor)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * error
    p = 2 * float(t.sf(abs(mean) / error, n - 1)) if error else float(mean == 0)
    return OverSplits(mean, sd, mean - half, mean + half, p, n)


def protocol_for(
    tracks: Tracks, *, few_items: int = FEW_ITEMS, few_artists: int = FEW_ARTISTS
) -> Protocol:
    """Say whether one split of these tracks can rank models.

    Artist-grouped cross-validation is to be repeated where a genre has fewer than 10 test tracks,
    or where the test set has so few artists that not even accuracy is known to ± .05: the 95 %
    interval of a share of a half, from n independent artists, is ± 1 / sqrt(n).

    Parameters
    ----------
    tracks : Tracks
        With splits; what is in the test split is looked at.
    few_items : int
        Test tracks that each genre of the table is to have. A genre without any is told too.
    few_artists : int
        Artists that the test set is to have; a bag without a known artist counts as one.

    Raises
    ------
    DataError
        If nothing is in the test split.

    Examples
    --------
    >>> tracks = Tracks([3, 5, 8], [0, 0, 1], ("Rock", "Folk"), split=["training", "test", "test"])
    >>> protocol_for(tracks, few_artists=2).reasons
    ('2 genres have fewer than 10 test tracks (Rock 1, Folk 1)',)
    """
    tested = tracks.take((tracks.split == "test") & tracks.labelled)
    if not len(tested):
        raise DataError(
            "no labelled track is in the test split; split the tracks with matt.splits.by_artist"
        )
    reasons = []
    small = [
        f"{genre} {n}"
        for genre, every, n in zip(tracks.genres, tracks.counts, tested.counts, strict=True)
        if every and n < few_items
    ]
    if small:
        have = "genre has" if len(small) == 1 else "genres have"
        told = first_few(small)
        reasons.append(f"{len(small)} {have} fewer than {few_items} test tracks ({told})")
    n_artists = len(np.unique(tested.artist_id[tested.artist_id >= 0]))
    alone = tested.take(tested.artist_id < 0)
    n_artists += len(Bags.from_tracks(alone)) if len(alone) else 0
    if n_artists < few_artists:
        half = f"{1 / math.sqrt(n_artists):.3f}".removeprefix("0")
        reasons.append(f"accuracy of {n_artists:,} test artists is known to ± {half} at best")
    return Protocol(bool(reasons), tuple(reasons))


def spread_of(values: Iterable[float]) -> Spread:
    """Mean and standard deviation of values; NaN is left out and counted."""
    given = [float(value) for value in values]
    defined = [value for value in given if not math.isnan(value)]
    n, missing = len(defined), len(given) - len(defined)
    if not n:
        return Spread(math.nan, math.nan, 0, missing)
    mean = math.fsum(defined) / n
    if n == 1:
        return Spread(mean, math.nan, 1, missing)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in defined) / (n - 1))
    return Spread(mean, sd, n, missing)
