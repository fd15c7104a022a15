"""Segments, cut from the stream of a file: one decode serves every way to cut it.

Where segments lie, for ``L`` samples at the wanted rate, ``n`` samples a segment, hop ``h``:

======== ===========================================================================
policy   start of each segment, in samples
======== ===========================================================================
first    0
middle   ``max(L - n, 0) // 2``
spread   ``max(l - n, 0) // 2``, then every l, where the file is k parts of
         ``l = L // k`` samples: the middle of each part; fewer parts where ``L < k n``
all      0, h, 2h, ... while the segment fits; then one more if at least n/2 is left
======== ===========================================================================

Audio shorter than a segment, and the last incomplete one of ``all``, are padded with zeros, tiled
(repeated from their beginning), or kept at their own length.

Silence is no segment, unless it is to be kept: where nothing can be heard in a tenth of a second
(`audible`), nothing is said either. A segment in which nothing is heard, or nearly nothing, such as
a click, is left out. ``first`` and ``middle``, where more than half of their segment is silence, go
to where most can be heard; so does each segment of ``spread`` within its part. A file whose
channels cancel each other is heard by one of them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, did_you_mean, in_a_line
from .decoder import Damage, Decoder, OnDamage, resampled

QUIETEST = 10 ** (-72 / 20)  # root of the mean square of what is just heard
_POLICIES = ("first", "middle", "spread", "all")
_SHORT = ("pad", "tile", "keep")
_SILENCE = ("skip", "keep")
_MOMENT = 0.1  # seconds that are heard or not
_LEAST_SHARE, _LEAST_SECONDS = 0.05, 0.5  # heard of a segment: less of both is no evidence
_EIGHT_BITS, _COARSEST = ("PCM_U8", "PCM_S8"), 1 / 128  # whose steps are coarser than others
_RINGING = 0.02  # seconds: longer than the filter that resamples
_MOST_CHANNELS = 32  # tried where their mean is silence
_N_SEGMENTS = 3
_LONGEST_WHOLE = 15 * 60  # seconds in one segment: 160 MB at 44.1 kHz
_BLOCK_SECONDS = 1.0  # at most so much is decoded behind the end of an excerpt
_PER_SECOND = 48_000  # samples, where a file is planned and not read
_LEAD = 0.1  # more in the first block: whole seconds, resampled, then end just before a block does


@dataclass(frozen=True)
class SegmentPolicy:
    """How a track is cut into segments.

    Attributes
    ----------
    policy : {"first", "middle", "spread", "all"}
    duration : float or None
        Of a segment in seconds; None = the whole file is one segment of its own length (at most
        15 minutes, because it lies in memory).
    hop : float or None
        From one segment to the next in seconds, for ``"all"``; None = ``duration``.
    short : {"pad", "tile", "keep"}
        What becomes of audio shorter than a segment. ``"keep"`` leaves it at its own length; only
        features that do not depend on the length can be computed from it.
    silence : {"skip", "keep"}
        Whether silence is left out, as no evidence of anything, or taken as it comes.
    n_segments : int >= 1, optional
        How many segments ``"spread"`` makes, 3 by default; fewer of a file that is too short.

    Raises
    ------
    ConfigError
        If a value is impossible or does not fit the others.
    """

    policy: Literal["first", "middle", "spread", "all"]
    duration: float | None
    hop: float | None = None
    short: Literal["pad", "tile", "keep"] = "pad"
    silence: Literal["skip", "keep"] = "skip"
    n_segments: int | None = None

    def __post_init__(self) -> None:
        if self.policy not in _POLICIES:
            raise ConfigError(
                f"unknown segment policy {self.policy!r}; {did_you_mean(self.policy, _POLICIES)}"
            )
        for name, known in (("short", _SHORT), ("silence", _SILENCE)):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"unknown {name}={value!r}; {did_you_mean(value, known)}")
        for name in ("duration", "hop"):
            seconds = getattr(self, name)
            if seconds is None:
                continue
            number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not (number and 0 < seconds < float("inf")):
                raise ConfigError(f"{name} must be a positive number of seconds, got {seconds!r}")
            object.__setattr__(self, name, float(seconds))  # 30 and 30.0 are the same policy
        if self.hop is not None and (self.policy != "all" or self.duration is None):
            raise ConfigError(
                f"hop={self.hop} has no meaning for policy {self.policy!r} with "
                f"duration={self.duration}; leave it out, or use policy 'all' with a duration"
            )
        if self.policy == "spread":
            self._check_spread()
        elif self.n_segments is not None:
            raise ConfigError(
                f"n_segments={self.n_segments} has no meaning for policy {self.policy!r}; leave it "
                "out, or use policy 'spread'"
            )

    def _check_spread(self) -> None:
        if self.duration is None:
            raise ConfigError("policy 'spread' needs a duration; give one, or use 'first'")
        if self.n_segments is None:
            object.__setattr__(self, "n_segments", _N_SEGMENTS)
        n = self.n_segments
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ConfigError(
                f"n_segments must be a whole number from 1 on, got {self.n_segments!r}"
            )


@dataclass(frozen=True)
class Cut:
    """What a feature wants of a file.

    Attributes
    ----------
    sr : int or None
        Sampling rate in Hz; None keeps the file's own.
    policy : SegmentPolicy
    """

    sr: int | None
    policy: SegmentPolicy


@dataclass(frozen=True, eq=False)
class Segment:
    """An excerpt of a track.

    Attributes
    ----------
    start : float
        Where it begins, in seconds of the decoded audio.
    samples : float32 array, shape (n,)
        Mono, ``n >= 1``, all finite.
    sr : int
        Sampling rate in Hz.
    """

    start: float
    samples: NDArray[np.float32]
    sr: int

    __repr__ = in_a_line


def read_segments(
    path: Path | str,
    *,
    sr: int | None,
    policy: SegmentPolicy,
    on_damage: OnDamage = "fail",
    damages: list[Damage] | None = None,
) -> Iterator[Segment]:
    """Decode a file and cut it into segments.

    The samples are those of a whole decode, resampled as one stream and then sliced. Memory holds
    a segment and a block. ``"first"`` stops decoding when it has enough, ``"middle"`` after the
    middle excerpt; that excerpt is placed by the length the file states, or, where it states
    none or is salvaged, by decoding it once before to count. Where silence has to be gone round,
    the file is decoded once more.

    Parameters
    ----------
    path : path
    sr : int or None
        Sampling rate in Hz; None keeps the file's own.
    policy : SegmentPolicy
    on_damage : {"fail", "salvage"}
        What to do with a damaged or truncated file. Damage that only decoding shows (FLAC) fails
        a file when it is reached.
    damages : list, optional
        A `Damage` is appended to it when reading ends, if the file is salvaged and not sound, or
        was never finished.

    Yields
    ------
    Segment
        In order of time; none where there is nothing to hear.

    Raises
    ------
    AudioError
        As `read_blocks`, and if a whole file is asked for that is longer than 15 minutes.
        Nothing is read before the first segment is asked for.
    """
    found: list[Damage | None] = [None]
    try:
        for _, segment in read_cuts(path, [Cut(sr, policy)], on_damage=on_damage, damages=found):
            yield segment
    finally:
        if damages is not None and found[0] is not None:
            damages.append(found[0])


def read_cuts(
    path: Path | str,
    cuts: Sequence[Cut],
    *,
    on_damage: OnDamage = "fail",
    damages: list[Damage | None] | None = None,
) -> Iterator[tuple[int, Segment]]:
    """Decode a file once and cut it in several ways; each gets what it would get alone.

    The cut that is furthest behind goes on first, so that little lies in memory.

    Parameters
    ----------
    path, on_damage
        As in `read_segments`.
    cuts : sequence of Cut
    damages : list, optional
        One entry a cut; its damage is put there when that cut has all that it needs.

    Yields
    ------
    (int, Segment)
        Which cut, and its next segment; the segments of one cut in order of time.

    Raises
    ------
    AudioError
        As `read_segments`; of whichever cut, it ends all of them.
    """
    found: list[Damage | None] = [None] * len(cuts)
    silent = set(range(len(cuts)))
    try:
        channel, channels = None, 1
        while silent:
            with Decoder(path, on_damage=on_damage, channel=channel) as decoder:
                channels = min(decoder.channels, _MOST_CHANNELS)
                for number, segment in _read_together(decoder, cuts, sorted(silent), found):
                    silent.discard(number)
                    yield number, segment
            channel = 0 if channel is None else channel + 1
            if channels < 2 or channel == channels:  # the mean of one is that one
                break
    finally:
        if damages is not None:
            damages[:] = found


def _read_together(
    decoder: Decoder, cuts: Sequence[Cut], which: Sequence[int], damages: list[Damage | None]
) -> Iterator[tuple[int, Segment]]:
    """Segments of some of the cuts from one decode, and their damages."""
    source = _watched(decoder)
    readers = [_Reader(decoder, cuts[number]) for number in which]
    going = {n: reader.segments(_shared(source, readers, n)) for n, reader in enumerate(readers)}
    try:
        while going:
            number = min(going, key=lambda n: readers[n].seconds)
            segment = next(going[number], None)
            if segment is not None:
                yield which[number], segment
                continue
            del going[number]
            readers[number].ahead = None
    finally:
        for number, reader in zip(which, readers, strict=True):
            damages[number] = reader.damage


_Watched = tuple[NDArray[np.float32] | None, Damage | None]


def _watched(decoder: Decoder) -> Iterator[_Watched]:
    """Blocks of a file with the damage that is known after each, then the damage at the end."""
    for block in decoder.blocks(seconds=_BLOCK_SECONDS, lead=_LEAD):
        yield block, decoder.damage
    yield None, decoder.damage


# Not itertools.tee: it lets go of 57 blocks at a time, which are minutes of audio.
def _shared(
    source: Iterator[_Watched], readers: Sequence[_Reader], number: int
) -> Iterator[_Watched]:
    """The whole source for one of several readers; what one reads first is kept for the others."""
    ahead = readers[number].ahead
    while ahead is not None:
        if not ahead:
            item = next(source, None)
            if item is None:
                return
            for reader in readers:
                if reader.ahead is not None:
                    reader.ahead.append(item)
        yield ahead.popleft()


class _Reader:
    """One way to cut a stream of blocks that others read too.

    Attributes
    ----------
    ahead : deque of (block or None, Damage or None), or None
        What others have read and this one has not; None once it needs no more.
    damage : Damage or None
        What was known to be lost when this reader last read.
    seconds : float
        How far it has read.
    coarse : bool
        Whether all samples so far are of 8 bits, whatever the file calls them.
    moments : dict of float to bool array
        In which tenths of a second of the whole file something is heard, by the threshold.
    """

    def __init__(self, decoder: Decoder, cut: Cut) -> None:
        self.decoder, self.cut = decoder, cut
        self.ahead: deque[_Watched] | None = deque()
        self.damage = decoder.damage
        self.seconds = 0.0
        self.coarse = True
        self.moments: dict[float, NDArray[np.bool_]] = {}

    def segments(self, stream: Iterator[_Watched]) -> Iterator[Segment]:
        """Cut as the policy says."""
        decoder, policy = self.decoder, self.cut.policy
        rate = self.cut.sr or decoder.sr
        blocks = resampled(decoder, self._read(stream), sr=self.cut.sr)
        if policy.duration is None:
            whole = _whole(decoder, blocks, rate)
            heard = audible(whole, rate, quietest=self._quietest)
            if policy.silence == "keep" or _says(heard):
                yield Segment(0.0, whole, rate)
            return
        n = max(round(policy.duration * rate), 1)
        begin, hop, most = self._plan(n, rate)
        empty = True
        for number, (start, samples) in enumerate(_cut(blocks, n=n, hop=hop, begin=begin)):
            if number == most:
                return
            empty = False
            if policy.silence == "skip":
                part = (number * hop, (number + 1) * hop if number + 1 < most else math.inf)
                start, samples = self._heard(start, samples, n, rate, part)
            if len(samples):
                yield Segment(start / rate, _lengthened(samples, n, policy.short), rate)
            if number + 1 == most:
                return
        if empty:
            raise decoder.error("ends before its middle, by the length it states")

    def _plan(self, n: int, rate: int) -> tuple[int, int, float]:
        """Where the first segment of ``n`` samples begins, how far to the next, how many at most.

        All of a file but ``"all"`` is so many parts, each as long as one is from the next.
        """
        policy = self.cut.policy
        if policy.policy == "all":
            return 0, n if policy.hop is None else max(round(policy.hop * rate), 1), math.inf
        if policy.policy == "first":
            return 0, n, 1
        return spread(_length(self.decoder, rate), n, policy.n_segments or 1)

    def _heard(
        self,
        start: int,
        samples: NDArray[np.float32],
        n: int,
        rate: int,
        part: tuple[float, float],
    ) -> tuple[int, NDArray[np.float32]]:
        """A segment of ``n`` samples, or one in its place in a part of the file; empty: silence."""
        own, edge = samples, round(_RINGING * rate)
        if rate != self.decoder.sr and len(samples) > 4 * edge:
            own = samples[edge:-edge]  # resampled, a neighbour's sound rings across the edges
        here = audible(own, rate, quietest=self._quietest)
        if self.cut.policy.policy != "all" and 2 * here.sum() < len(here):
            heard = self._everywhere()
            moment = _moment(self.decoder.sr) / self.decoder.sr * rate
            first = min(math.ceil(part[0] / moment), len(heard))
            last = math.floor(min(part[1] / moment, len(heard)))
            better = first + _most_heard(
                heard[first:last], len(here), earliest=self.cut.policy.policy == "first"
            )
            usual = round(start / moment) if here.any() else len(heard)
            counts = [heard[at : at + len(here)].sum() for at in (usual, better)]
            if counts[1] > counts[0]:
                if not _says(heard[better : better + len(here)]):
                    return start, samples[:0]
                begin = round(better * moment)
                with self.decoder.again() as decoder:
                    blocks = decoder.blocks(seconds=_BLOCK_SECONDS, lead=_LEAD)
                    cut = _cut(resampled(decoder, blocks, sr=self.cut.sr), n=n, hop=n, begin=begin)
                    return next(cut, (start, samples[:0]))
        return start, samples if _says(here) else samples[:0]

    def _everywhere(self) -> NDArray[np.bool_]:
        """What is heard of the whole file; decoded again only if another threshold holds now."""
        quietest = self._quietest
        if quietest not in self.moments:
            with self.decoder.again() as decoder:
                self.moments[quietest] = _moments_heard(decoder, quietest=quietest)
        return self.moments[quietest]

    @property
    def _quietest(self) -> float:
        return _COARSEST if self.coarse else QUIETEST

    def _read(self, stream: Iterator[_Watched]) -> Iterator[NDArray[np.float32]]:
        eight = self.decoder.format.endswith(_EIGHT_BITS)
        for block, damage in stream:
            self.damage = damage
            if block is not None:
                self.coarse = self.coarse and (eight or _of_eight_bits(block))
                self.seconds += len(block) / self.decoder.sr
                yield block


def spread(length: int, n: int, most: int) -> tuple[int, int, int]:
    """Where the first of at most so many segments of ``n`` samples begins, the hop, and how many.

    Each lies in the middle of its part of ``length`` samples; there are fewer where they would
    overlap, and one at least.

    >>> spread(100, 10, 3), spread(15, 10, 3), spread(5, 10, 3)
    ((11, 33, 3), (2, 15, 1), (0, 5, 1))
    """
    parts = max(min(most, length // n), 1)
    each = length // parts
    return max(each - n, 0) // 2, max(each, 1), parts


def planned(policy: SegmentPolicy, seconds: float) -> list[tuple[float, float]]:
    """Where the segments of a file lie before anything is known of silence: starts and ends.

    Parameters
    ----------
    policy : SegmentPolicy
    seconds : float > 0
        Length of the file.

    Returns
    -------
    list of (float, float)
        In seconds; what is padded or repeated behind the end of a file does not count.

    Examples
    --------
    >>> planned(SegmentPolicy("all", duration=3), 8.0), planned(SegmentPolicy("first", 30), 8.0)
    ([(0.0, 3.0), (3.0, 6.0), (6.0, 8.0)], [(0.0, 8.0)])
    """
    length = round(seconds * _PER_SECOND)
    n = length if policy.duration is None else round(policy.duration * _PER_SECOND)
    begin, hop, most = 0, n, 1
    if policy.policy == "all":
        hop = round((policy.hop or policy.duration or seconds) * _PER_SECOND)
        fit = (length - n) // hop + 1 if length >= n else 0
        most = max(fit + (2 * (length - fit * hop) >= n), 1)
    elif policy.policy != "first":
        begin, hop, most = spread(length, n, policy.n_segments or 1)
    starts = [begin + number * hop for number in range(most)]
    return [(at / _PER_SECOND, min(at + n, length) / _PER_SECOND) for at in starts]


def audible(
    samples: NDArray[np.float32], sr: int, *, quietest: float = QUIETEST
) -> NDArray[np.bool_]:
    """In which moments of a tenth of a second something can be heard.

    Parameters
    ----------
    samples : float32 array, shape (n,)
        Mono, full scale is 1.
    sr : int > 0
    quietest : float
        Root of the mean square, around the mean, of what is just heard; by default -72 dB of full
        scale, which is above the dither of 16 bits and below any music.

    Returns
    -------
    bool array, shape (ceil(n / moment),)
        The last moment may be shorter.

    Examples
    --------
    >>> audible(np.array([0.5] * 800 + [0.5, -0.5] * 400, "f4"), 8000)
    array([False,  True])
    """
    n = _moment(sr)
    whole = len(samples) - len(samples) % n
    rows = samples[:whole].reshape(-1, n)
    # What is heard of a part is heard of the whole: squares around the mean of all are no fewer
    # than those of some around their own. In double precision, lest what is far too loud for a
    # feature overflows into silence.
    some = rows[:, : -(-n // 16)]
    heard: NDArray[np.bool_] = some.var(axis=1, dtype=np.float64) * some.shape[1] > n * quietest**2
    heard[~heard] = rows[~heard].std(axis=1, dtype=np.float64) > quietest
    if whole < len(samples):
        heard = np.append(heard, samples[whole:].std(dtype=np.float64) > quietest)
    return heard


def _says(heard: NDArray[np.bool_]) -> bool:
    """Whether enough of a segment is heard to say anything, of all its moments.

    A short file that is sound for the most part does; a click in a minute of silence does not.
    """
    n = int(heard.sum())
    return n > 0 and (n >= _LEAST_SHARE * len(heard) or n * _MOMENT >= _LEAST_SECONDS)


def _moment(sr: int) -> int:
    """Samples of a tenth of a second."""
    return max(sr // 10, 2)  # of one sample nothing varies


def _of_eight_bits(block: NDArray[np.float32]) -> bool:
    """Whether no sample, nor the mean of two channels, lies between the steps of 8 bits."""
    with np.errstate(over="ignore"):  # what is that large is a whole number, and so is infinity
        steps = block * np.float32(256)
    return bool((steps == np.rint(steps)).all())


def _moments_heard(decoder: Decoder, *, quietest: float) -> NDArray[np.bool_]:
    """What `audible` says of a whole file, at its own rate."""
    n = _moment(decoder.sr)
    moments = _cut(
        decoder.blocks(seconds=_BLOCK_SECONDS), n=10 * n, hop=10 * n, begin=0, short=True
    )
    found = [audible(samples, decoder.sr, quietest=quietest) for _, samples in moments]
    return np.concatenate(found)


def _most_heard(heard: NDArray[np.bool_], length: int, *, earliest: bool) -> int:
    """Where so many moments begin of which most are heard: the first, or amid the longest run."""
    sums = np.cumsum(np.concatenate([[0], heard]))
    begins = np.arange(max(len(heard) - length, 0) + 1)
    counts = sums[np.minimum(begins + length, len(heard))] - sums[begins]
    best = np.flatnonzero(counts == counts.max())
    if earliest:
        return int(best[0])
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)
    return int(longest[len(longest) // 2])


def _length(decoder: Decoder, rate: int) -> int:
    """Samples of a file at another rate; counted where the file does not say, or may be wrong."""
    n = decoder.stated
    if n is None or decoder.on_damage == "salvage":
        with decoder.again() as counter:
            n = sum(len(block) for block in counter.blocks(seconds=_BLOCK_SECONDS))
    return (2 * n * rate + decoder.sr) // (2 * decoder.sr)  # halves are rounded up, as by soxr


def _cut(
    blocks: Iterator[NDArray[np.float32]], *, n: int, hop: int, begin: int, short: bool = False
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Starts and samples of segments, from a stream; the last may be incomplete, ever so short."""
    held: deque[NDArray[np.float32]] = deque()  # what was read from sample `first` on
    first = size = count = 0
    start = begin
    for block in blocks:
        held.append(block)
        size += len(block)
        while start + n <= first + size:
            yield start, _between(held, start - first, start - first + n)
            count, start = count + 1, start + hop
        while held and first + len(held[0]) <= start:  # nothing of it is wanted
            first, size = first + len(held[0]), size - len(held.popleft())
    left = first + size - start
    if left > 0 and (count == 0 or 2 * left >= n or short):
        yield start, _between(held, start - first, size)


def _between(held: Iterable[NDArray[np.float32]], start: int, stop: int) -> NDArray[np.float32]:
    """A new array of the samples from ``start`` to ``stop`` of blocks that follow each other."""
    pieces, at = [], 0
    for block in held:
        pieces.append(block[max(start - at, 0) : max(stop - at, 0)])
        at += len(block)
    return np.concatenate(pieces)


def _whole(
    decoder: Decoder, blocks: Iterator[NDArray[np.float32]], rate: int
) -> NDArray[np.float32]:
    """All of a file, unless it is too long to lie in memory."""
    held, size = [], 0
    stated = (decoder.stated or 0) / decoder.sr
    for block in blocks:
        held.append(block)
        size += len(block)
        seconds = max(stated, size / rate)
        if seconds > _LONGEST_WHOLE:
            raise decoder.error(
                f"{seconds / 60:.0f} minutes are too long for one segment (at most 15)",
                "give the segment policy a duration",
            )
    return np.concatenate(held)


def _lengthened(samples: NDArray[np.float32], n: int, short: str) -> NDArray[np.float32]:
    """(m,) -> (n,), or (m,) if it is to be kept."""
    if len(samples) == n or short == "keep":
        return samples
    if short == "tile":
        return np.resize(samples, n)  # repeats
    return np.pad(samples, (0, n - len(samples)))
