"""Segments: fixed-length excerpts of a track, cut from the resampled stream.

Where segments lie, for ``L`` samples at the wanted rate, ``n`` samples a segment, hop ``h``:

======== ===========================================================================
policy   start of each segment, in samples
======== ===========================================================================
first    0
middle   ``max(L - n, 0) // 2``
all      0, h, 2h, ... while the segment fits; then one more if at least n/2 is left
======== ===========================================================================

Audio shorter than a segment, and the last incomplete one of ``all``, are padded with zeros, tiled
(repeated from their beginning), or kept at their own length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, did_you_mean
from .blocks import resampled
from .damage import Damage, OnDamage
from .decoder import Decoder

_POLICIES = ("first", "middle", "all")
_SHORT = ("pad", "tile", "keep")
_LONGEST_WHOLE = 15 * 60  # seconds in one segment: 160 MB at 44.1 kHz


@dataclass(frozen=True)
class SegmentPolicy:
    """How a track is cut into segments.

    Attributes
    ----------
    policy : {"first", "middle", "all"}
    duration : float or None
        Of a segment in seconds; None = the whole file is one segment of its own length (at most
        15 minutes, because it lies in memory).
    hop : float or None
        From one segment to the next in seconds, for ``"all"``; None = ``duration``.
    short : {"pad", "tile", "keep"}
        What becomes of audio shorter than a segment. ``"keep"`` leaves it at its own length; only
        features that do not depend on the length can be computed from it.

    Raises
    ------
    ConfigError
        If a value is impossible or does not fit the others.
    """

    policy: Literal["first", "middle", "all"]
    duration: float | None
    hop: float | None = None
    short: Literal["pad", "tile", "keep"] = "pad"

    def __post_init__(self) -> None:
        if self.policy not in _POLICIES:
            raise ConfigError(
                f"unknown segment policy {self.policy!r}; {did_you_mean(self.policy, _POLICIES)}"
            )
        if self.short not in _SHORT:
            raise ConfigError(f"unknown short={self.short!r}; {did_you_mean(self.short, _SHORT)}")
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
    none or is salvaged, by decoding it once before to count.

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
        Salvaging appends a `Damage` to it when reading ends, if the file is not sound.

    Yields
    ------
    Segment
        In order of time, at least one.

    Raises
    ------
    AudioError
        As `read_blocks`, and if a whole file is asked for that is longer than 15 minutes.
        Nothing is read before the first segment is asked for.
    """
    with Decoder(path, on_damage=on_damage) as decoder:
        rate = sr or decoder.sr
        blocks = resampled(decoder, sr=sr)
        try:
            if policy.duration is None:
                yield Segment(0.0, _whole(decoder, blocks, rate), rate)
                return
            n = max(round(policy.duration * rate), 1)
            hop = n if policy.hop is None else max(round(policy.hop * rate), 1)
            begin = 0
            if policy.policy == "middle":
                begin = max(_length(decoder, rate, on_damage) - n, 0) // 2
            empty = True
            for start, samples in _cut(blocks, n=n, hop=hop, begin=begin):
                yield Segment(start / rate, _lengthened(samples, n, policy.short), rate)
                empty = False
                if policy.policy != "all":
                    return
            if empty:
                raise decoder.error("ends before its middle, by the length it states")
        finally:
            if damages is not None and decoder.damage is not None:
                damages.append(decoder.damage)


def _length(decoder: Decoder, rate: int, on_damage: OnDamage) -> int:
    """Samples of a file at another rate; counted where the file does not say, or may be wrong."""
    n = decoder.stated
    if n is None or on_damage == "salvage":
        with Decoder(decoder.path, on_damage=on_damage) as counter:
            n = sum(len(block) for block in counter.blocks(seconds=5.0))
    return (2 * n * rate + decoder.sr) // (2 * decoder.sr)  # halves are rounded up, as by soxr


def _cut(
    blocks: Iterator[NDArray[np.float32]], *, n: int, hop: int, begin: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Starts and samples of segments, from a stream; the last may be incomplete."""
    held: list[NDArray[np.float32]] = []  # what was read from sample `first` on
    first = size = count = 0
    start = begin
    for block in blocks:
        held.append(block)
        size += len(block)
        if first + size <= start:
            first, size, held = first + size, 0, []  # nothing of it is wanted
        if first + size < start + n:
            continue
        joined = np.concatenate(held)
        while start + n <= first + len(joined):
            yield start, joined[start - first : start - first + n].copy()
            count, start = count + 1, start + hop
        drop = min(start - first, len(joined))
        held, first, size = [joined[drop:]], first + drop, len(joined) - drop
    left = first + size - start
    if left > 0 and (count == 0 or 2 * left >= n):
        yield start, np.concatenate(held)[start - first :].copy()


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
