"""How a track is cut into segments: fixed-length excerpts.

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

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError, did_you_mean

_POLICIES = ("first", "middle", "all")
_SHORT = ("pad", "tile", "keep")


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
