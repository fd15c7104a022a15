"""Pages: templates filled in, in which every text is text.

What is escaped is told by jinja; characters that steer or turn the direction of what follows are
taken out of everything that is filled in, wherever it stands.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from ..evaluation.tables import percent, plain
from ..library.status import AGREES, DISAGREES, NEW, UNSURE

STATICS = {
    "review.css": "text/css; charset=utf-8",
    "review.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""Files that are served as they are, and what they are."""
_VERDICTS = {
    "accepted": "Accepted",
    "changed": "Changed",
    "rejected": "Rejected",
    "kept": "Kept",
}
_MARKS = {NEW: "new", DISAGREES: "disagrees", UNSURE: "unsure", AGREES: "agrees"}


@cache
def static(name: str) -> bytes:
    """Bytes of a file of `STATICS`."""
    return (files("matt.review") / "static" / name).read_bytes()


def render(template: str, **given: Any) -> str:
    """Fill in a template."""
    return str(_environment().get_template(f"{template}.html.jinja").render(**given))


@cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("matt.review", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finished,
    )
    environment.filters |= {
        "percent": percent,
        "thousands": lambda n: f"{n:,}",
        "clock": lambda seconds: str(timedelta(seconds=round(seconds))),
    }
    environment.globals |= {"verdicts": _VERDICTS, "marks": _MARKS}
    return environment


def _finished(value: Any) -> Any:
    """A text without what steers; what is marked as HTML was filled in so before."""
    return plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def told(decision: Any, title: str) -> str:
    """What a decision was, in a sentence.

    >>> from .decisions import ReviewDecision
    >>> told(ReviewDecision("a", (1,), "changed", ("Folk",), "Rock", 0.5, 0.0), "Blue by Ann")
    'Changed to Folk: Blue by Ann'
    """
    genres = ", ".join(decision.genres)
    said = {
        "accepted": f"Accepted {genres}",
        "changed": f"Changed to {genres}",
        "rejected": "Rejected",
        "kept": f"Kept {genres}" if genres else "Kept as it is",
    }
    return f"{said[decision.verdict]}: {title}"
