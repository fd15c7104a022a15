"""Progress bars that people watch: counts, rate, time gone and left, and what went wrong last."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text


class Bars(Progress):
    """Bars with a line below them.

    Attributes
    ----------
    footer : str
        The line; none where it is empty. It is cut to the width of the terminal.
    """

    footer = ""

    def __init__(self, *, console: Console, disable: bool) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            Remaining(),
        )
        super().__init__(*columns, console=console, disable=disable)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, then the line."""
        yield from super().get_renderables()
        if self.footer:
            yield Text(self.footer, style="yellow", no_wrap=True, overflow="ellipsis")


class Remaining(ProgressColumn):
    """Time that is left: what the task was told in its field ``left``, else rich's estimate."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Hours, minutes and seconds."""
        left = task.fields.get("left", task.time_remaining)
        return Text(clock(0 if task.finished else left), style="progress.remaining")


def clock(seconds: float | None) -> str:
    """Hours, minutes and seconds.

    >>> clock(3_723.4), clock(None)
    ('1:02:03', '-:--:--')
    """
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))
