"""How long cells still take, by those that are done."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from .cells import Cell


class Estimate:
    """Seconds that are left, from the seconds of finished cells.

    A cell takes as long as those of its group on average; where none of them is finished, as long
    as all.

    Parameters
    ----------
    cells : iterable of Cell
        That are to be done.
    jobs : int >= 1

    Examples
    --------
    >>> small, large = Cell(name="s", facts={}, group="S"), Cell(name="l", facts={}, group="L")
    >>> estimate = Estimate([small, small, large], jobs=1)
    >>> estimate.learn(small, 2.0)
    >>> estimate.forget(small)
    >>> estimate.left  # two seconds for the small one; nothing else is known of the large one
    4.0
    """

    def __init__(self, cells: Iterable[Cell], *, jobs: int) -> None:
        self._open = Counter(cell.group for cell in cells)
        self._jobs = jobs
        self._seconds: dict[str, float] = defaultdict(float)
        self._n: Counter[str] = Counter()

    def learn(self, cell: Cell, seconds: float) -> None:
        """Note how long a cell took."""
        self._seconds[cell.group] += seconds
        self._n[cell.group] += 1

    def forget(self, cell: Cell) -> None:
        """Note that a cell is done, or has failed."""
        self._open[cell.group] -= 1

    @property
    def left(self) -> float | None:
        """Seconds that are left; None while nothing is known."""
        open_ = {group: n for group, n in self._open.items() if n}
        if not open_:
            return 0.0
        if not self._n:
            return None
        means = {group: self._seconds[group] / n for group, n in self._n.items()}
        usual = math.fsum(self._seconds.values()) / self._n.total()
        total = math.fsum(n * means.get(group, usual) for group, n in open_.items())
        return total / min(self._jobs, sum(open_.values()))
