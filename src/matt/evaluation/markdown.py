"""The same page as Markdown: tables as text, pictures as links to files beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .report import Picture, Section
from .tables import Table, escape_markdown


def render_markdown(
    *,
    title: str,
    sections: Iterable[Section],
    picture: Callable[[Picture], str],
    lead: str = "",
    footer: str = "",
    warnings: Iterable[str] = (),
) -> str:
    """Markdown of a page; text from outside is shown, never obeyed.

    Parameters
    ----------
    title, sections, lead, footer, warnings
        As in `matt.evaluation.report.write_report`.
    picture : callable
        Where the file of a picture lies, relative to the page, of letters, digits and ``-_./``.
    """
    lines = [f"# {escape_markdown(title)}", "", *_paragraphs(lead)]
    lines += [line for text in warnings for line in (f"**{escape_markdown(text)}**", "")]
    for section in sections:
        lines += ["#" * section.level + f" {escape_markdown(section.title)}", ""]
        for part in section.parts:
            if isinstance(part, Table):
                lines += [part.to_markdown()]
            elif isinstance(part, Picture):
                alt = escape_markdown(part.alt or part.caption)
                lines += [f"![{alt}]({picture(part)})", "", *_paragraphs(part.caption)]
            else:
                lines += _paragraphs(part)
    return "\n".join([*lines, *_paragraphs(footer)]).rstrip() + "\n"


def _paragraphs(text: str) -> list[str]:
    """Paragraphs with an empty line behind each."""
    given = [part.strip() for part in re.split(r"\n\s*\n", text)]
    return [line for part in given if part for line in (escape_markdown(part), "")]
