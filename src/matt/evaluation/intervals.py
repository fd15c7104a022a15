"""How sure a score is: the only place that makes intervals of scores, means and differences.

- **One test set**: its *artists* are resampled, with all bags and tracks that are theirs
  (`bootstrap`; `paired_bootstrap` and `sign_flip` of two models). Tracks of an artist sound alike,
  so they are right or wrong together, and intervals that take them for independent are too narrow.
  A bag without a known artist stands for itself.
- **The mean over repeats of one test set**, seeds that is: the same resamples, of the mean
  (`Repeated`). It says what other test artists would change.
- **The mean over repeats with other test sets**, splits or folds that is: a t interval over repeats
  (`mean_of`). Splits share training tracks, so what they score varies less than what new data
  would, and the variance is enlarged as Nadeau & Bengio propose.
- **One proportion** of independent items: Wilson's interval (`wilson`).

Not to differ surely is not to be equal: two scores **agree** where the whole interval of their
difference lies within a margin (`verdict_of`), which is an equivalence test; else it is undecided.

An interval never holds what cannot be. Percentiles of resamples and Wilson's interval cannot leave
[0, 1] by themselves; a t interval is **cut off** at the ends of the scale (0 and 1; -1 and 1 for a
difference). That costs no coverage, because the true mean is never outside, it leaves the interval
in accord with the p value, and it is plain t wherever the end is far. On a scale of logits instead,
one split that scores 0 or 1 would have no value at all, and the tail has many such splits.

**n** is the number of items of a repeat; of repeats that differ, their mean, rounded.

Everything is seeded and gives the same numbers again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..errors import ConfigError, DataError, first_few, in_a_line
from ..predictions import Predictions
from ..tracks import Tracks
from .items import Items, items_of, joined, matched
from .metrics import range_of
from .tally import GUESSED, PROBABLE, RANKED, Tally, rounds_at_once

ROUNDS = 1_000
CONFIDENCE = 0.95
ARTISTS, SPLITS = "artists", "splits"
MARGIN = 0.02
"""Scores in [0, 1] that are closer than this are taken for equal.

Two items of a hundred: what a test set of about 2,500 tracks can just tell from nothing.
"""
AGREES, DIFFERS, OPEN = "agrees", "differs", "undecided"
EQUAL = f"equal within {MARGIN:.2f}".replace("0.", ".")
VERDICTS = (
    f"{AGREES}: the whole 95 % interval of the difference lies within ± {MARGIN:.2f}, as two "
    f"one-sided tests at 2.5 % have it; {DIFFERS}: it lies on one side of 0, and not within; else "
    f"it is {OPEN}."
).replace("0.", ".")
"""What a table with such verdicts says of them."""
WIDENED = "widened for the tracks that splits share (Nadeau & Bengio)"
FEW_ITEMS = 10  # test tracks of a genre: below, one of them is more than a tenth of its recall
FEW_ARTISTS = 400  # of the test set: below, a 95 % interval of a share is wider than ± .05
_TYPED = 100  # between the counts that `with_tail` makes up

Tail = Sequence[str] | Callable[[Predictions], Sequence[str]]
_Key = TypeVar("_Key")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class MeanScore:
    """The mean of a score, or of a difference, over repeats.

    Attributes
    ----------
    value : float
        Over the repeats in which it is defined; NaN where there is none.
    low, high : float
        Interval of the mean; NaN where there is none.
    each : tuple of float
        One a repeat; a model without randomness has one a test set.
    p : float
        Of the t interval: two-sided; 1 where every difference is 0, NaN without an interval.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    each: tuple[float, ...] = ()
    p: float = math.nan

    @property
    def n(self) -> int:
        """Repeats in which it is defined."""
        return sum(not math.isnan(value) for value in self.each)

    @property
    def sd(self) -> float:
        """Standard deviation of a sample (n - 1) over repeats; NaN for a single one."""
        return _moments(self.each)[1]

    @property
    def mean_and_sd(self) -> tuple[float, float] | None:
        """Mean and standard deviation, as tables hold them."""
        return (self.value, self.sd) if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Low and high, where there is an interval."""
        return None if math.isnan(self.low) else (self.low, self.high)

    @property
    def half_width(self) -> float:
        """From the mean to the end that is farther: half the width where neither is cut off."""
        return max(self.high - self.value, self.value - self.low)

    @property
    def difference(self) -> tuple[float, float] | None:
        """Mean and half width, as tables hold differences."""
        return (self.value, self.half_width) if self.n else None

    @property
    def effect(self) -> tuple[float, float, float] | None:
        """Mean, low and high, as tables hold differences with both ends."""
        return (self.value, self.low, self.high) if self.n else None

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0."""
        return (self.low > 0) - (self.high < 0)

    def within(self, least: float, most: float) -> bool:
        """Whether the whole interval lies between two numbers; without an interval it does not."""
        return least < self.low <= self.high < most

    def outside(self, least: float, most: float) -> bool:
        """Whether all of it lies elsewhere; without an interval it does not, either."""
        return self.high < least or self.low > most

    def shifted(self, by: float) -> MeanScore:
        """Itself and its interval less a number that has none."""
        each = tuple(value - by for value in self.each)
        return MeanScore(self.value - by, self.low - by, self.high - by, each)


NOTHING = MeanScore()


def verdict_of(difference: MeanScore, *, margin: float = MARGIN) -> str:
    """Say whether two scores agree, by the interval of their difference.

    Parameters
    ----------
    difference : MeanScore
    margin : float > 0
        Up to which scores are taken for equal.

    Returns
    -------
    {"agrees", "differs", "undecided"}
        `AGREES` where the whole interval lies within ± the margin; `DIFFERS` where it lies on one
        side of 0 and not within; `OPEN` else, and where there is no interval.

    References
    ----------
    .. [1] Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for
       assessing the equivalence of average bioavailability", 1987.

    Examples
    --------
    >>> verdict_of(MeanScore(0.004, -0.006, 0.014))
    'agrees'
    >>> verdict_of(MeanScore(0.004, -0.060, 0.068))
    'undecided'
    """
    if difference.within(-margin, margin):
        return AGREES
    return DIFFERS if difference.sign else OPEN


def mean_of(
    values: Sequence[float],
    *,
    ratio: float = 0.0,
    within: tuple[float, float] = (-math.inf, math.inf),
    confidence: float = CONFIDENCE,
) -> MeanScore:
    """Mean over repeats, with its t interval.

    Parameters
    ----------
    values : sequence of float
        Scores, or paired differences of two models, one a repeat; NaN is left out.
    ratio : float >= 0
        Scored tracks for each that is read by fits, as `overlap` gives it: 1/(k-1) for k folds.
        With 0 repeats are independent and the interval is Student's. Else the variance of the mean
        is taken as (1/n + ratio) times that of the values, in place of 1/n.
    within : (float, float)
        Least and most that the mean can be; the interval is cut off there. See `range_of`.
    confidence : float, 0 < confidence < 1

    Returns
    -------
    MeanScore
        Without an interval where fewer than two values are defined.

    References
    ----------
    .. [1] Nadeau & Bengio, "Inference for the generalization error", Machine Learning 52, 2003.
    .. [2] Bouckaert & Frank, "Evaluating the replicability of significance tests for comparing
       learning algorithms", PAKDD 2004: the same for repeated cross-validation.

    Examples
    --------
    >>> found = mean_of([0.02, 0.03, 0.01, 0.02])
    >>> round(found.low, 4), round(found.high, 4)
    (0.007, 0.033)
    >>> wider = mean_of([0.02, 0.03, 0.01, 0.02], ratio=1 / 3)
    >>> round(wider.low, 4), round(wider.high, 4)
    (0.0002, 0.0398)
    """
    from scipy.stats import t

    _check_confidence(confidence)
    if not ratio >= 0 or not within[0] < within[1]:
        raise ConfigError(
            f"ratio {ratio} has to be 0 (independent repeats) or more, and within {within} an "
            "interval; give e.g. 0.25 and (0, 1)"
        )
    each = tuple(float(value) for value in values)
    mean, sd, n = _moments(each)
    if n < 2:
        return MeanScore(mean, each=each)
    error = sd * math.sqrt(1 / n + ratio)
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * error
    p = 2 * float(t.sf(abs(mean) / error, n - 1)) if error else float(mean == 0)
    return MeanScore(mean, max(mean - half, within[0]), min(mean + half, within[1]), each, p)


def paired_note(ratio: float) -> str:
    """Say what the differences of a table are, for its notes.

    >>> paired_note(0)
    'Differences are paired by split, ± half of the 95 % t interval.'
    """
    widened = f", {WIDENED}" if ratio else ""
    return f"Differences are paired by split, ± half of the 95 % t interval{widened}."


def overlap(tracks: Tracks, splits: Sequence[Tracks], part: str = "test") -> float:
    """Scored tracks for each track that fits read: the ratio by which splits share tracks.

    Fits read training and validation tracks, which choose the epoch; of validation scores training
    tracks alone. Tracks that are thinned out of the training of some splits count as read: they are
    drawn from the same part. 0 where all splits score the same tracks, so that repeats differ by
    their seed alone.

    Parameters
    ----------
    tracks : Tracks
        All of them.
    splits : sequence of Tracks
        One a repeat.
    part : {"test", "validation"}
    """
    scored, others = [], []
    for split in splits:
        here = split.labelled & (split.split == part)
        scored.append(frozenset(split.track_id[here].tolist()))
        others.append(int((split.labelled & (split.split == "test")).sum()) * (part != "test"))
    if len(set(scored)) < 2:
        return 0.0
    n = sum(map(len, scored)) / len(scored)
    read = int(tracks.labelled.sum()) - n - sum(others) / len(others)
    return n / max(read, 1.0)


@dataclass(frozen=True, eq=False)
class Resampled:
    """Metrics, or their differences, with what resampling made of them.

    Attributes
    ----------
    unit : str
        What an item is, as in `Scores`.
    n, n_artists : int
        Items, and artists that were resampled.
    seed : int
    confidence : float
        Of `interval`.
    estimates : dict of str to float
        On all items, by the name of the metric; NaN where undefined.
    rounds : dict of str to array, shape (R,)
        On each resample; NaN where undefined there.
    n_of : dict of str to int
        Items of the genres of each group of `Tally`.
    link : str
        Of the predictions.
    is_difference : bool
    """

    unit: str
    n: int
    n_artists: int
    seed: int
    confidence: float
    estimates: Mapping[str, float]
    rounds: Mapping[str, NDArray[np.float64]]
    n_of: Mapping[str, int]
    link: str
    is_difference: bool = False

    __repr__ = in_a_line

    def interval(self, name: str) -> tuple[float, float]:
        """Percentile interval over the rounds in which the metric is defined.

        Returns
        -------
        low, high : float
            NaN where the metric is undefined, or where there are fewer than two artists: one artist
            says nothing of another.
        """
        return self._percentiles(self.estimates[name], self.rounds[name])

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Every interval that is defined, by the name of its metric."""
        found = {name: self.interval(name) for name in self.estimates}
        return {name: ends for name, ends in found.items() if not np.isnan(ends[0])}

    def less(self, other: Resampled) -> Resampled:
        """Differences to another model on the same resamples.

        Those of probabilities are undefined where the links differ, those of a score that is 0 for
        both because nobody hit anything, and there are no rounds where one of the two was not
        resampled.
        """
        return self._less(other, unhit([(self, other)]))

    def _less(self, other: Resampled, undefined: Collection[str]) -> Resampled:
        apart = {*undefined, *(PROBABLE if self.link != other.link else ())}
        estimates = {
            name: math.nan if name in apart else value - other.estimates[name]
            for name, value in self.estimates.items()
        }
        rounds = {
            name: made[: len(theirs := other.rounds[name])] - theirs[: len(made)]
            for name, made in self.rounds.items()
        }
        return replace(self, estimates=estimates, rounds=rounds, is_difference=True)

    def _percentiles(self, estimate: float, made: NDArray[np.float64]) -> tuple[float, float]:
        made = made[~np.isnan(made)]
        if not made.size or self.n_artists < 2 or np.isnan(estimate):
            return math.nan, math.nan
        low, high = np.quantile(made, ((1 - self.confidence) / 2, (1 + self.confidence) / 2))
        return float(low), float(high)


def unhit(pairs: Sequence[tuple[Resampled, Resampled]]) -> frozenset[str]:
    """Scores that are above 0 in none of the pairs: nobody hit anything, so nothing is compared.

    Losses are no such scores: 0 is the best of them.
    """
    return _never_above_0([run.estimates for pair in pairs for run in pair])


def _never_above_0(runs: Sequence[Mapping[str, float]]) -> frozenset[str]:
    names = set(runs[0]) - set(PROBABLE) if runs else set()
    return frozenset(name for name in names if not any(run[name] > 0 for run in runs))


def bootstrap(
    predictions: Predictions | Items,
    *,
    unit: str = "bag",
    rounds: int = ROUNDS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    fewer_than: int | None = None,
) -> Resampled:
    """Resample the artists with replacement and compute every metric on each resample.

    Parameters
    ----------
    predictions : Predictions or Items
    unit : {"bag", "track_of_bag", "track"}
        As in `score`; of `Items`, theirs.
    rounds : int >= 1
    seed : int
    confidence : float, 0 < confidence < 1
    fewer_than : int, optional
        Tail threshold in training tracks, as in `score`.

    Returns
    -------
    Resampled
        The metrics of `tally.HEADLINE`, and recall and top k of many-, medium- and few-shot genres;
        those of `tally.SETS` where an item may have several genres.

    References
    ----------
    .. [1] Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 8 and 13.
    """
    _check_rounds(rounds)
    items = items_of(predictions, unit=unit)
    tally = Tally.of(items, fewer_than=fewer_than)
    return resample(items, tally, rounds=rounds, seed=seed, confidence=confidence)


def resample(
    items: Items, tally: Tally, *, rounds: int, seed: int = 0, confidence: float = CONFIDENCE
) -> Resampled:
    """Resample items that are counted already; with 0 rounds there are estimates alone."""
    _check_confidence(confidence)
    made = [tally.metrics(counts) for counts in draws(tally.n_artists, rounds, seed)]
    return Resampled(
        items.unit,
        len(items),
        items.n_artists,
        seed,
        confidence,
        tally.scores,
        {
            name: np.concatenate([np.empty(0), *(part[name] for part in made)])
            for name in tally.names
        },
        {name: tally.n_of(name) for name in tally.groups},
        items.link,
    )


def draws(n_artists: int, rounds: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each artist is drawn: (R, A) in blocks, the same whatever their size."""
    rng = np.random.default_rng(seed)
    if not n_artists:
        yield np.zeros((rounds, 0))
        return
    for wide in _blocks(rounds, n_artists):
        shares = np.full(n_artists, 1 / n_artists)
        yield rng.multinomial(n_artists, shares, size=wide).astype(np.float64)


def paired_bootstrap(
    first: Predictions,
    second: Predictions,
    *,
    unit: str = "track_of_bag",
    rounds: int = ROUNDS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Resampled:
    """Differences first - second of every metric, both on the same resamples.

    What makes a resample hard makes it hard for both, so the interval of the difference is
    narrower than two intervals side by side suggest.

    Parameters
    ----------
    first, second : Predictions
        Of the same tracks, matched by track id and by the names of genres.
    unit : {"track_of_bag", "bag", "track"}
        ``"track_of_bag"`` compares track by track, whatever the bags; ``"bag"`` needs equal bags.
    rounds, seed, confidence
        As in `bootstrap`; the tail is the first's.

    Raises
    ------
    DataError
        If they are of other tracks, labels or genres.
    """
    ours, theirs = (
        bootstrap(items, rounds=rounds, seed=seed, confidence=confidence)
        for items in matched(first, second, unit=unit)
    )
    return ours.less(theirs)


def sign_flip(
    first: Predictions,
    second: Predictions,
    *,
    unit: str = "track_of_bag",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, float]:
    """Find p values of differences: how often are they as large where models are swapped?

    If the two models were equally good, it would not matter which of them an artist's predictions
    are from. In each round a coin decides so for every artist, and the metrics are computed again.

    Parameters
    ----------
    first, second, unit, rounds, seed
        As in `paired_bootstrap`.

    Returns
    -------
    dict of str to float
        Two-sided, in (0, 1], at least ``1 / (rounds + 1)``; 1 where the models predict the same.
        NaN where a metric is undefined or a score is 0 for both, and for average precision where
        the links differ, because the scores of two links have no order among each other.

    Raises
    ------
    DataError
        If they are of other tracks, labels or genres.

    References
    ----------
    .. [1] Noreen, *Computer-Intensive Methods for Testing Hypotheses*, 1989; two-sided, and the
       observed arrangement counts as one of the rounds (Phipson & Smyth 2010).
    """
    _check_rounds(rounds)
    one, two = matched(first, second, unit=unit)
    tally = Tally.of(joined(one, two))
    n_artists, rng = one.n_artists, np.random.default_rng(seed)

    def sides(flips: NDArray[np.float64]) -> tuple[dict[str, NDArray[np.float64]], ...]:
        """Metrics of both where the artists with flip 1 change models: (R, A) -> (R,)."""
        return (
            tally.metrics(np.hstack([1 - flips, flips])),
            tally.metrics(np.hstack([flips, 1 - flips])),
        )

    def swapped(flips: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        ours, theirs = sides(flips)
        return {name: values - theirs[name] for name, values in ours.items()}

    ours, theirs = (
        {name: values[0] for name, values in side.items()}
        for side in sides(np.zeros((1, n_artists)))
    )
    observed = {name: value - theirs[name] for name, value in ours.items()}
    missed = _never_above_0([ours, theirs])
    extreme, defined = dict.fromkeys(tally.names, 0), dict.fromkeys(tally.names, 0)
    for wide in _blocks(rounds, 2 * n_artists):
        for name, values in swapped(
            rng.integers(2, size=(wide, n_artists)).astype(np.float64)
        ).items():
            seen = ~np.isnan(values)
            # Sums in another order differ in the last digits.
            large = np.abs(values[seen]) >= abs(observed[name]) - 1e-9
            extreme[name] += int(large.sum())
            defined[name] += int(seen.sum())
    return {
        name: math.nan
        if np.isnan(observed[name]) or name in missed or _apart(name, one, two)
        else (1 + extreme[name]) / (1 + defined[name])
        for name in tally.names
    }


def _apart(name: str, one: Items, two: Items) -> bool:
    """Whether a metric judges two models by what they do not share: a link, or any ranking."""
    guessed = name in GUESSED or "top_" in name
    if (one.no_ranking or two.no_ranking) and (name in RANKED or guessed):
        return True
    return one.link != two.link and name in (*RANKED, *PROBABLE)


@dataclass(frozen=True, eq=False)
class Repeated:
    """Metrics of one row of a table that was predicted several times, by seed or by split.

    Attributes
    ----------
    parts : dict of str to Resampled
        By the name of the repeat.
    tests : dict of str to str
        Which tracks and artists each repeat was tested on, as a digest.
    ratio : float
        By which splits share tracks, as `overlap` gives it.
    method : {"artists", "splits"}
        What intervals are over: artists where every repeat has the same test tracks.
    """

    parts: Mapping[str, Resampled]
    tests: Mapping[str, str]
    ratio: float
    method: str

    @classmethod
    def of(
        cls,
        predictions: Mapping[str, Predictions],
        *,
        unit: str = "track_of_bag",
        like: Mapping[str, Predictions] | None = None,
        tail: Tail | None = None,
        rounds: int = ROUNDS,
        seed: int = 0,
        ratio: float = 0.0,
    ) -> Repeated:
        """Score the predictions of each repeat, and resample them where all are of one test set.

        Parameters
        ----------
        predictions : dict of str to Predictions
            By the name of the repeat. The same object for several repeats, of a model without
            randomness, is resampled once.
        unit : {"track_of_bag", "bag", "track"}
        like : dict of str to Predictions, optional
            Of the same tracks and repeats: whose artists count, for bags that were mixed up.
        tail : sequence of str, or callable, optional
            Genres that count as rare instead of those with few training tracks, or what gives them
            for the predictions of a repeat.
        rounds : int >= 0
            With 0 there are no intervals over artists.
        seed : int
        ratio : float >= 0

        Raises
        ------
        DataError
            If there are no predictions, or ``like`` is of other tracks.
        """
        if not predictions:
            raise DataError("no repeat was predicted; run it first")
        keys = {name: (id(p), id(like and like[name])) for name, p in predictions.items()}

        def items(name: str) -> Items:
            some = predictions[name]
            if like is None:
                found = items_of(some, unit=unit)
            else:
                found = matched(like[name], some, unit=unit)[1]
            if tail is None:
                return found
            return with_tail(found, tail(some) if callable(tail) else tail)

        made = _once(keys, items)
        digests = {key: _test_of(some) for key, some in made.items()}
        method = ARTISTS if len(set(digests.values())) == 1 else SPLITS
        fewer_than = None if tail is None else _TYPED
        parts = {
            key: resample(
                some,
                Tally.of(some, fewer_than=fewer_than),
                rounds=rounds if method == ARTISTS else 0,
                seed=seed,
            )
            for key, some in made.items()
        }
        return cls(
            {name: parts[key] for name, key in keys.items()},
            {name: digests[key] for name, key in keys.items()},
            ratio,
            method,
        )

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def runs(self) -> tuple[Resampled, ...]:
        """One a repeat; a model without randomness has one a test set."""
        return tuple({id(part): part for part in self.parts.values()}.values())

    @property
    def n(self) -> int:
        """Items of a repeat; of repeats that differ, their mean, rounded."""
        return self._rounded([part.n for part in self.parts.values()])

    def n_of(self, group: str) -> int:
        """The same of the items of a group of genres, ``"tail"`` or one of `tally.SHOTS`."""
        return self._rounded([part.n_of[group] for part in self.parts.values()])

    @property
    def unit(self) -> str:
        """What an item is."""
        return next((part.unit for part in self.parts.values()), "")

    def mean(self, name: str) -> MeanScore:
        """Mean of a metric over repeats, with its 95 % interval."""
        runs = self.runs
        each = [part.estimates[name] for part in runs]
        difference = any(part.is_difference for part in runs)
        found = mean_of(each, ratio=self.ratio, within=range_of(name, difference=difference))
        if self.method == SPLITS:
            return found
        used = [part.rounds[name] for part in runs if not math.isnan(part.estimates[name])]
        ends = math.nan, math.nan
        if used:
            ends = runs[0]._percentiles(found.value, np.mean(used, axis=0))
        return MeanScore(found.value, *ends, found.each)

    def less(self, other: Repeated) -> Repeated:
        """Differences to another row, repeat by repeat; repeats that one of them lacks are left
        out. Of a score that is 0 for both in all repeats there is none.

        Raises
        ------
        DataError
            If a repeat of the two was tested on other tracks.
        """
        common = [name for name in self.parts if name in other.parts]
        apart = [name for name in common if self.tests[name] != other.tests[name]]
        if apart:
            raise DataError(
                f"repeats {first_few(apart)} of two rows were tested on other tracks; compare "
                "predictions of the same test tracks"
            )
        keys = {name: (id(self.parts[name]), id(other.parts[name])) for name in common}
        nothing = unhit([(self.parts[name], other.parts[name]) for name in common])
        made = _once(keys, lambda name: self.parts[name]._less(other.parts[name], nothing))
        return replace(
            self,
            method=SPLITS if SPLITS in (self.method, other.method) else ARTISTS,
            parts={name: made[key] for name, key in keys.items()},
            tests={name: self.tests[name] for name in common},
        )

    def _rounded(self, counts: Sequence[int]) -> int:
        return round(sum(counts) / max(len(counts), 1))


def with_tail(items: Items, genres: Sequence[str]) -> Items:
    """Items whose rare genres are the named ones, whatever was trained on.

    The training counts are made up then: 0 for those genres, and many for the others.
    """
    rare = np.isin(items.genres, list(genres))
    counts: NDArray[np.int64] = np.where(rare, 0, 10 * _TYPED).astype(np.int64)
    return replace(items, train_counts=counts)


def wilson(hits: int, n: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion; sound where counts are small or the share is 0 or 1.

    Parameters
    ----------
    hits, n : int, 0 <= hits <= n
    confidence : float, 0 < confidence < 1

    Returns
    -------
    low, high : float
        In [0, 1]; NaN where n is 0.

    Examples
    --------
    >>> low, high = wilson(0, 4)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.49)
    """
    from scipy.stats import binomtest

    if not 0 <= hits <= n:
        raise DataError(f"{hits} hits of {n} is no proportion; give 0 <= hits <= n")
    if n == 0:
        return math.nan, math.nan
    ends = binomtest(int(hits), int(n)).proportion_ci(confidence, method="wilson")
    return float(ends.low), float(ends.high)


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


def _moments(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean, standard deviation and number of the values that are not NaN, in any order."""
    defined = [value for value in values if not math.isnan(value)]
    n = len(defined)
    mean = math.fsum(defined) / n if n else math.nan
    if n < 2:
        return mean, math.nan, n
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in defined) / (n - 1)), n


def _once(keys: Mapping[str, _Key], make: Callable[[str], _Made]) -> dict[_Key, _Made]:
    """What each key comes to, made for the first name that has it."""
    first = {key: name for name, key in reversed(list(keys.items()))}
    return {key: make(first[key]) for key in dict.fromkeys(keys.values())}


def _test_of(items: Items) -> str:
    order = np.argsort(items.track_id)
    told = np.concatenate([items.track_id[order], items.artist[order]])
    return hashlib.sha256(np.ascontiguousarray(told, "<i8").tobytes()).hexdigest()[:16]


def _blocks(rounds: int, n_artists: int) -> Iterator[int]:
    """Sizes of the blocks of rounds that fit into memory; their sum is ``rounds``."""
    most = rounds_at_once(n_artists)
    for start in range(0, rounds, most):
        yield min(most, rounds - start)


def _check_rounds(rounds: int) -> None:
    """Refuse what gives no interval."""
    if rounds < 1:
        raise ConfigError(f"{rounds} rounds of resampling give no interval; use 1,000")


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence {confidence} is no share; use e.g. 0.95")
