"""Tables as a terminal shows them, however narrow it is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

_NARROW = 12  # columns that names keep; numbers keep what they need


def render(
    title: str,
    columns: Sequence[tuple[str, bool]],
    rows: Sequence[Sequence[str]],
    notes: Iterable[str],
) -> Group:
    """Title, table and notes; where it is narrow, names are folded. No number is broken.

    Where even that does not fit, the table is wider than the terminal, whose lines then go on in
    the next: print with ``crop=False``.

    Parameters
    ----------
    title : str
        On one line without control characters, like all other text.
    columns : sequence of (str, bool)
        Heading, and whether the cells are numbers.
    rows : sequence of sequences of str
        As people read them; square brackets are shown, not obeyed.
    notes : iterable of str
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    least = -2
    for (heading, numeric), *cells in zip(columns, *rows, strict=True):
        if numeric:  # the heading is broken rather than make numbers stand apart
            width = max(map(cell_len, ("-", *heading.split(), *cells)))
            heading = textwrap.fill(heading, width)
        else:
            width = min(_NARROW, max(map(cell_len, ("-", heading, *cells))))
        table.add_column(
            Text(heading),
            justify="right" if numeric else "left",
            no_wrap=numeric,
            overflow="fold",
            min_width=width,
        )
        least += width + 2  # and the space between columns
    for row in rows:
        table.add_row(*map(Text, row))
    told = [Text(note, style="dim") for note in notes]
    space = [Text()] if told else []
    return Group(Text(title, style="bold"), _AtLeast(table, least), *space, *told)


@dataclass(frozen=True)
class _AtLeast:
    """A table that is given some width even where there is less: columns would else vanish.

    Before that happens its columns stand one space apart instead of two.
    """

    table: Table
    width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = self.width
        if options.max_width < width:
            self.table.padding = (0, 0, 0, 0)
            width -= len(self.table.columns) - 1
        yield from console.render(self.table, options.update(width=max(options.max_width, width)))
