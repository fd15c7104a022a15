"""How long a run still takes, by what it did so far."""

from __future__ import annotations

from collections import deque

_WINDOW = 600.0  # seconds: what was longer ago says little of what comes
_SURE = 5.0  # seconds of work before anything is said


class Pace:
    """Rate and remaining time of work that is done piece by piece.

    The clock starts when the first pieces are done, so that what workers need to get ready is
    not taken for work.

    Parameters
    ----------
    total : float
        All that is to be done, in any unit.

    Examples
    --------
    Two units a second after a slow start; 60 are left:

    >>> pace = Pace(100)
    >>> for second in range(21):
    ...     pace.tell(2 * second, now=300 + second)
    >>> pace.left
    30.0
    """

    def __init__(self, total: float) -> None:
        self.total = total
        self._seen: deque[tuple[float, float]] = deque()  # (time, done)

    def tell(self, done: float, *, now: float) -> None:
        """Note how much is done, at a time in seconds of any clock that does not go back."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - _WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """Units a second; None until it can be told."""
        if not self._seen:
            return None
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        if end - start < _SURE or after <= before:
            return None
        return (after - before) / (end - start)

    @property
    def left(self) -> float | None:
        """Seconds until all is done, by the rate so far; None until it can be told."""
        rate = self.rate
        return None if rate is None else (self.total - self._seen[-1][1]) / rate
