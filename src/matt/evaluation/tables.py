"""Tables: made once, written as JSON, CSV, Markdown, on a terminal or, by `report`, as HTML.

Names, titles and tags are untrusted. A table keeps them as they are, and every writer makes them
harmless for its own reader: no cell can become markup. A terminal may be as narrow as it likes.
"""

from __future__ import annotations

import csv
import io
import math
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import DataError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderResult
    from rich.segment import Segment
    from rich.table import Table as RichTable

UNDEFINED = "-"
# Kinds whose cells hold several numbers, and what these are called where they stand alone.
_PAIRS = {
    "mean and sd": ("mean", "sd"),
    "interval": ("low", "high"),
    "signed interval": ("low", "high"),
    "difference": ("difference", "half width"),
    "effect": ("difference", "low", "high"),
}
KINDS = ("text", "flag", "alarm", "int", "number", "share", "percent", "signed", *_PAIRS)
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|&~$#!])")

Cell = str | bool | int | float | tuple[float, ...] | None
_Item = TypeVar("_Item")
# Name and kind of a column, and its cell of an item.
ColumnOf = tuple[str, str, Callable[[_Item], Cell]]


def capital(text: str) -> str:
    """Text whose first letter is a capital one; the others stay what they are."""
    return text[:1].upper() + text[1:]


def percent(share: float) -> str:
    """A share in [0, 1] as a person reads it.

    >>> percent(0.683)
    '68 %'
    """
    return f"{100 * share:.0f} %"


def plain(text: object) -> str:
    r"""Text on one line that cannot steer a terminal or turn the direction of what follows.

    Line breaks and tabs become spaces, control characters a replacement mark, and invisible
    direction marks go.

    >>> plain("Best of\n\x1b[31mLive")
    'Best of �[31mLive'
    """
    text = str(text)
    if text.isascii() and text.isprintable():  # nearly all texts
        return text
    kept = []
    for char in text:
        category = unicodedata.category(char)
        if char.isspace():
            kept.append(" ")
        elif category in ("Cc", "Cs"):
            kept.append("\ufffd")
        elif unicodedata.bidirectional(char) not in _DIRECTIONS and char not in _MARKS:
            kept.append(char)
    return "".join(kept)


_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MARKS = "\u200e\u200f\u061c"  # invisible letters of a direction


@dataclass(frozen=True)
class Column:
    """A column of a `Table`.

    Attributes
    ----------
    name : str
    kind : str
        How its cells are read and written:

        =================== ============================ =================
        kind                cell                         written
        =================== ============================ =================
        ``text``            str                          as it is
        ``flag``            bool                         the column's name, or nothing
        ``alarm``           bool                         the same, in red where there is colour
        ``int``             int                          12,345
        ``number``          float                        three digits: 0.0123, 4.56
        ``share``           float in [0, 1]              .683
        ``percent``         float in [0, 1]              68 %
        ``signed``          float                        +0.18
        ``mean and sd``     (mean, standard deviation)   .683 ± .02
        ``interval``        (low, high)                  .61-.74
        ``signed interval`` (low, high)                  -.012 to +.034
        ``difference``      (difference, half width)     +.018 ± .013
        ``effect``          (difference, low, high)      +.018 [-.004, +.040]
        =================== ============================ =================

        None and NaN are undefined and written as a dash, in JSON as null, in CSV as nothing.
    """

    name: str
    kind: str = "text"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(
                f"unknown kind of column {self.kind!r}; {did_you_mean(self.kind, KINDS)}"
            )

    @property
    def numeric(self) -> bool:
        """Whether cells are aligned to the right."""
        return self.kind not in ("text", "flag", "alarm")

    def show(self, cell: Cell) -> str:
        """Write one cell for people.

        >>> Column("macro-F1", "mean and sd").show((0.6834, 0.021))
        '.683 ± .02'
        """
        if self.kind in ("flag", "alarm"):
            return plain(self.name) if cell else ""
        if _undefined(cell):
            return UNDEFINED
        if isinstance(cell, tuple):
            first, second = cell[:2]
            if self.kind == "effect":
                return _share(first, sign="+") + _bounds(*cell[1:])
            if self.kind == "interval":
                return f"{_share(first, 2)}-{_share(second, 2)}"
            if self.kind == "signed interval":
                return f"{_share(first, sign='+')} to {_share(second, sign='+')}"
            if self.kind == "difference":
                return _share(first, sign="+") + _plus_minus(second, 3)
            return _share(first) + _plus_minus(second, 2)
        if self.kind == "share" and isinstance(cell, float | int):
            return _share(cell)
        if self.kind == "percent" and isinstance(cell, float | int):
            return percent(cell)
        layout = {"int": ",", "number": ".3g", "signed": "+.2f"}.get(self.kind)
        return plain(cell) if layout is None else format(cell, layout)


@dataclass(frozen=True)
class Table:
    """Rows and columns with a title, and notes that say what a reader has to know.

    Attributes
    ----------
    title : str
    columns : tuple of Column
        With names that differ.
    rows : tuple of tuple
        One cell a column.
    notes : tuple of str
    cut : bool
        On a terminal each row is one line: names that are too long for it end in "…".

    Raises
    ------
    DataError
        If a row has too few or too many cells, or two columns share a name.

    Examples
    --------
    >>> columns = Column("genre"), Column("n", "int")
    >>> table = Table("Sizes", columns, (("Rock", 1200), ("Folk", 40)))
    >>> print(table.to_markdown())
    **Sizes**
    <BLANKLINE>
    | genre | n |
    |:---|---:|
    | Rock | 1,200 |
    | Folk | 40 |
    <BLANKLINE>
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    cut: bool = False

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise DataError(f"table {self.title!r} has columns of one name; rename them: {names}")
        for i, row in enumerate(self.rows):
            if len(row) != len(names):
                raise DataError(
                    f"table {self.title!r}, row {i}: {len(row)} cells for {len(names)} columns; "
                    "give one a column, None where there is nothing"
                )

    @classmethod
    def of(
        cls,
        title: str,
        items: Iterable[_Item],
        *columns: ColumnOf[_Item],
        notes: Iterable[str] = (),
        cut: bool = False,
    ) -> Table:
        """One row an item; a column is its name, its kind, and its cell of an item.

        >>> Table.of("Sizes", {"Rock": 3}.items(), ("genre", "text", lambda item: item[0])).rows
        (('Rock',),)
        """
        rows = tuple(tuple(cell(item) for *_, cell in columns) for item in items)
        return cls(title, tuple(Column(*told) for *told, _ in columns), rows, tuple(notes), cut)

    def shown(self) -> list[list[str]]:
        """Every cell as people read it."""
        return [
            [column.show(cell) for column, cell in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps(..., allow_nan=False)``: one object a row, by column name.

        Cells of several numbers are objects: mean and sd, or low and high.
        """
        return {
            "title": self.title,
            "columns": [{"name": column.name, "kind": column.kind} for column in self.columns],
            "rows": [
                {
                    column.name: _json(column, cell)
                    for column, cell in zip(self.columns, row, strict=True)
                }
                for row in self.rows
            ],
            "notes": list(self.notes),
        }

    def to_csv(self) -> str:
        """All digits, for programs; cells of several numbers become as many columns.

        Text is put on one line and else left alone; mind that a spreadsheet takes text that begins
        with ``=`` for a formula.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            [
                plain(f"{column.name} {part}").strip()
                for column in self.columns
                for part in _PAIRS.get(column.kind, ("",))
            ]
        )
        for row in self.rows:
            cells: list[Cell] = []
            for column, cell in zip(self.columns, row, strict=True):
                n = len(_PAIRS.get(column.kind, ("",)))
                cells += cell if isinstance(cell, tuple) else (cell, *[None] * (n - 1))
            writer.writerow([_csv(cell) for cell in cells])
        return out.getvalue()

    def to_markdown(self) -> str:
        """A table of GitHub's Markdown with the title above and the notes below."""
        lines = [f"**{escape_markdown(self.title)}**", ""]
        lines.append(_line(escape_markdown(column.name) for column in self.columns))
        lines.append("|" + "|".join("---:" if c.numeric else ":---" for c in self.columns) + "|")
        lines += [_line(escape_markdown(cell) for cell in row) for row in self.shown()]
        for note in self.notes:
            lines += ["", escape_markdown(note)]
        return "\n".join(lines) + "\n"

    def to_rich(self) -> Group:
        """Title, table and notes for a terminal; square brackets in names are shown, not obeyed.

        Where it is narrow, names are folded, or `cut`. What does not fit even then stands below,
        beside the columns that tell the rows apart. No number is broken, so only a single one may
        be wider than the terminal, whose line then goes on in the next. Print it with
        ``crop=False``: nothing else is then cut.
        """
        from rich.console import Group
        from rich.text import Text

        told = [Text(plain(note), style="dim") for note in self.notes]
        space = [Text()] if told else []
        return Group(Text(plain(self.title), style="bold"), _Fitting(self), *space, *told)


def _share(value: float, digits: int = 3, sign: str = "-") -> str:
    """Write a share without the zero that all of them begin with."""
    return re.sub(r"^([-+]?)0\.", r"\1.", f"{value:{sign}.{digits}f}")


def _plus_minus(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f" ± {_share(value, digits)}"


def _bounds(low: float, high: float) -> str:
    if math.isnan(low):
        return ""
    return f" [{_share(low, sign='+')}, {_share(high, sign='+')}]"


def _undefined(cell: Cell) -> bool:
    if isinstance(cell, tuple):
        return math.isnan(cell[0])
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _csv(cell: Cell) -> Cell:
    if _undefined(cell):
        return ""
    return plain(cell) if isinstance(cell, str) else cell


def _json(column: Column, cell: Cell) -> Any:
    if _undefined(cell):
        return None
    if isinstance(cell, tuple):
        parts = [None if math.isnan(value) else value for value in cell]
        return dict(zip(_PAIRS[column.kind], parts, strict=True))
    return cell


def escape_markdown(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", plain(text))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


_NARROW = 12  # columns that names keep; numbers keep what they need
_LEAST = 4  # and beside a number that leaves no more


@dataclass(frozen=True)
class _Fitting:
    """A table as wide as a terminal at most: columns that have no room beside others lie below.

    Before that happens columns stand one space apart instead of two.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.cells import cell_len
        from rich.text import Text

        rows, room = self.table.shown(), options.max_width
        headings, widths, least = [], [], []
        for place, column in enumerate(self.table.columns):
            heading, cells = plain(column.name), [row[place] for row in rows]
            if column.numeric:  # the heading is broken rather than make numbers stand apart
                width = max(map(cell_len, ("-", *heading.split(), *cells)))
                heading = textwrap.fill(heading, width)
            else:
                width = max(map(cell_len, ("-", heading, *cells)))
            headings.append(heading)
            widths.append(width)
            least.append(width if column.numeric else min(width, _LEAST))
        numeric = [column.numeric for column in self.table.columns]
        kept = _NARROW if not self.table.cut else _LEAST
        narrow = [w if n else min(w, kept) for w, n in zip(widths, numeric, strict=True)]
        for number, places in enumerate(_blocks(narrow, least, _n_telling(rows), room)):
            if number:
                yield Text()
            apart = int(_wide(narrow[place] for place in places) + len(places) - 1 <= room)
            left = room - apart * (len(places) - 1)
            fitted = _fitted([widths[i] for i in places], [least[i] for i in places], left)
            if self.table.cut:
                yield from self._lines(places, headings, fitted, rows, apart)
                continue
            made = self._block(places, headings, fitted, rows, apart)
            yield from console.render(made, options.update(width=max(room, _wide(fitted) + 1)))

    def _lines(
        self,
        places: Sequence[int],
        headings: Sequence[str],
        widths: Sequence[int],
        rows: Sequence[Sequence[str]],
        apart: int,
    ) -> Iterator[Segment]:
        """The same, each row on one line. Ten thousand take rich a minute, and this a moment."""
        from rich.segment import Segment
        from rich.style import Style

        numeric = [self.table.columns[place].numeric for place in places]
        between = " " * (1 + apart)

        def line(cells: Sequence[str]) -> str:
            fitted = map(_in_cells, cells, widths, numeric)
            return between.join(fitted).rstrip()

        whole = sum(widths) + len(between) * (len(widths) - 1)
        names = [headings[place].replace("\n", " ") for place in places]
        yield Segment(line(names), Style(bold=True))
        yield Segment.line()
        yield Segment("\u2500" * whole)
        yield Segment.line()
        for row in rows:
            yield Segment(line([row[place] for place in places]))
            yield Segment.line()

    def _block(
        self,
        places: Sequence[int],
        headings: Sequence[str],
        widths: Sequence[int],
        rows: Sequence[Sequence[str]],
        apart: int,
    ) -> RichTable:
        """Some of the columns, one space apart and so many more."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as RichTable
        from rich.text import Text

        made = RichTable(box=SIMPLE_HEAD, padding=(0, apart, 0, 0), pad_edge=False, show_edge=False)
        for place, width in zip(places, widths, strict=True):
            numeric = self.table.columns[place].numeric
            made.add_column(
                Text(headings[place]),
                justify="right" if numeric else "left",
                no_wrap=numeric,
                overflow="fold",
                width=width,
            )
        for row in rows:
            made.add_row(*(Text(row[place]) for place in places))
        return made


def _in_cells(text: str, width: int, right: bool = False) -> str:
    """Text that takes so many columns of a terminal, where a letter may take two or none.

    >>> _in_cells("Portishead", 6), _in_cells("電気グルーヴ", 6), _in_cells("8", 3, right=True)
    ('Porti…', '電気… ', '  8')
    >>> _in_cells("Electronic?", 8)
    'Electr…?'
    """
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width:
        end = "\u2026?" if text.endswith("?") and width > 2 else "\u2026"  # a question stays one
        text = set_cell_size(text, width - len(end)).rstrip() + end
        length = cell_len(text)
    space = " " * (width - length)
    return space + text if right else text + space


def _fitted(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths of columns side by side: the widest give way, as far as they can.

    >>> _fitted([30, 8, 20], [4, 8, 4], 40)
    [15, 8, 15]
    """
    fitted = [max(low, min(width, room)) for width, low in zip(widths, least, strict=True)]
    while _wide(fitted) > room:
        spare = [i for i, low in enumerate(least) if fitted[i] > low]
        if not spare:
            break
        fitted[max(spare, key=lambda i: fitted[i])] -= 1
    return fitted


def _wide(widths: Iterable[int]) -> int:
    """Width of columns that stand one space apart."""
    return sum(width + 1 for width in widths) - 1


def _n_telling(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first columns tell the rows apart; one if none do."""
    for n in range(1, len(rows[0]) if rows else 1):
        if len({tuple(row[:n]) for row in rows}) == len(rows):
            return n
    return 1


def _blocks(
    widths: Sequence[int], least: Sequence[int], n_first: int, room: int
) -> list[list[int]]:
    """Columns that fit side by side: all, or several lots that share the first ones.

    Parameters
    ----------
    widths, least : sequences of int
        Of the columns, and where need be.
    n_first : int
        How many columns tell the rows apart.
    room : int

    Examples
    --------
    >>> widths = [9, 5, 5, 5]
    >>> _blocks(widths, widths, 1, 22), _blocks(widths, widths, 1, 27)
    ([[0, 1, 2], [0, 3]], [[0, 1, 2, 3]])
    """
    if _wide(widths) <= room:
        return [[*range(len(widths))]]
    first = [*range(n_first if 2 * _wide(widths[:n_first]) <= room else 1)]
    blocks = [first]
    for place in range(len(first), len(widths)):
        if _wide(widths[i] for i in (*blocks[-1], place)) <= room:
            blocks[-1] = [*blocks[-1], place]
            continue
        alone = _wide(least[i] for i in (*first, place)) > room
        if blocks == [first] and not alone:
            blocks = []
        blocks.append([place] if alone else [*first, place])
    return blocks
