"""One page that holds everything: tables and pictures in a single HTML file, or as Markdown.

It opens offline, prints, and runs nothing: there is no script in it, pictures are inside the file,
and a content security policy forbids the browser to load anything else. Text is escaped wherever it
stands, so a tag or a file name is shown, never obeyed. As Markdown the same page has tables as
text, and links to pictures beside it.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from ..files import write_text
from .style import DPI, png
from .tables import Column, Table, escape_markdown, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONG = 20  # letters of a cell, from which on its column is a wide one
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A PNG picture with what is said beneath it.

    Attributes
    ----------
    png : bytes
        Content of a PNG file; `of` takes a figure.
    caption : str
        Said beneath the picture.
    alt : str
        Said instead of the picture to those who cannot see it; by default the caption.

    Raises
    ------
    DataError
        If the bytes are no PNG file.
    """

    png: bytes
    caption: str = ""
    alt: str = ""

    def __post_init__(self) -> None:
        if self.png[:8] != _PNG or self.png[12:16] != b"IHDR" or len(self.png) < 24:
            raise DataError(
                f"picture {self.caption!r} is no PNG file (it begins with {self.png[:8]!r}); "
                "make it with matt.evaluation.style.png(figure)"
            )

    @classmethod
    def of(cls, figure: Figure, caption: str = "", alt: str = "") -> Picture:
        """Draw a figure."""
        return cls(png(figure), caption, alt)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = struct.unpack(">II", self.png[16:24])
        return width, height


@dataclass(frozen=True)
class Section:
    """A heading with what belongs under it.

    Attributes
    ----------
    title : str
    parts : sequence of str, Table or Picture
        In this order. In a text, an empty line begins a new paragraph.
    level : {2, 3}
        Of the heading; 3 is a part of the last section of level 2.
    """

    title: str
    parts: Sequence[str | Table | Picture]
    level: int = 2


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """Everything that a page says, as HTML or as Markdown.

    Attributes
    ----------
    title : str
        Heading, and name of the browser's tab.
    sections : sequence of Section
    lead : str
        What the page is about, beneath the heading.
    footer : str
        Versions, settings, how it was made.
    warnings : sequence of str
        What nobody may miss, in red beneath the lead.
    """

    title: str
    sections: Sequence[Section]
    lead: str = ""
    footer: str = ""
    warnings: Sequence[str] = ()

    def to_html(self) -> str:
        """One file that holds everything."""
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("matt.evaluation", "."),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("report.html.jinja").render(
            title=plain(self.title),
            nested=any(section.level > 2 for section in self.sections),
            lead=_paragraphs(self.lead),
            sections=[
                {
                    "title": plain(section.title),
                    "parts": [_part(part) for part in section.parts],
                    "level": section.level,
                }
                for section in self.sections
            ],
            footer=_paragraphs(self.footer),
            warnings=[plain(warning) for warning in self.warnings],
        )

    def write(self, path: Path | str) -> None:
        """Write the HTML atomically."""
        write_text(path, self.to_html())

    def to_markdown(self, picture: Callable[[Picture], str]) -> str:
        """Text from outside is shown, never obeyed.

        Parameters
        ----------
        picture : callable
            Where the file of a picture lies, relative to the page, of letters, digits and
            ``-_./``.
        """
        lines = [f"# {escape_markdown(self.title)}", "", *_escaped(self.lead)]
        lines += [line for text in self.warnings for line in (f"**{escape_markdown(text)}**", "")]
        for section in self.sections:
            lines += ["#" * section.level + f" {escape_markdown(section.title)}", ""]
            for part in section.parts:
                if isinstance(part, Table):
                    lines += [part.to_markdown()]
                elif isinstance(part, Picture):
                    alt = escape_markdown(part.alt or part.caption)
                    lines += [f"![{alt}]({picture(part)})", "", *_escaped(part.caption)]
                else:
                    lines += _escaped(part)
        return "\n".join([*lines, *_escaped(self.footer)]).rstrip() + "\n"


def _part(part: str | Table | Picture) -> dict[str, Any]:
    """What the template shows of a part."""
    if isinstance(part, Table):
        rows = part.shown()
        return {
            "kind": "table",
            "title": plain(part.title),
            "columns": [
                {"name": plain(column.name), "look": _look(column, [row[i] for row in rows])}
                for i, column in enumerate(part.columns)
            ],
            "rows": rows,
            "notes": [plain(note) for note in part.notes],
        }
    if isinstance(part, Picture):
        width, height = (round(pixels * 96 / DPI) for pixels in part.size)
        return {
            "kind": "picture",
            "base64": base64.b64encode(part.png).decode("ascii"),
            "width": width,
            "height": height,
            "caption": plain(part.caption),
            "alt": plain(part.alt or part.caption),
        }
    return {"kind": "text", "texts": _paragraphs(part)}


def _look(column: Column, cells: Sequence[str]) -> str:
    """Classes of a column; one with long texts gets room before the others."""
    if column.kind == "text":
        return "text long" if max(map(len, cells), default=0) > _LONG else "text"
    return column.kind if column.kind in ("flag", "alarm") else "number"


def _paragraphs(text: str) -> list[str]:
    return [plain(part.strip()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _escaped(text: str) -> list[str]:
    """Paragraphs with an empty line behind each."""
    return [line for part in _paragraphs(text) for line in (escape_markdown(part), "")]
