"""What a damaged file lost when it was salvaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OnDamage = Literal["fail", "salvage"]


@dataclass(frozen=True)
class Damage:
    """What a salvaged file lost.

    Attributes
    ----------
    path : str
    reason : str
    kept : float
        Seconds that decoded.
    stated : float or None
        Seconds that the file says it has; None where it does not say.
    finished : bool
        Whether all of the file was read; otherwise more may have been kept.

    Examples
    --------
    >>> str(Damage("a.flac", "lost sync", kept=12.34, stated=30.0, finished=True))
    'kept 12.3 of 30.0 s: lost sync'
    """

    path: str
    reason: str
    kept: float
    stated: float | None
    finished: bool

    def __str__(self) -> str:
        least = "" if self.finished else "at least "
        of = "" if self.stated is None else f" of {self.stated:.1f}"
        return f"kept {least}{self.kept:.1f}{of} s: {self.reason}"
