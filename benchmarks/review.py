"""First paint of a review of 20,000 albums in headless Chromium, beside the goal and beside few.

The albums are invented; none of their files is there, so that covers are drawn ones. Each time a
server and a browser are started, let in, and asked for the first contentful paint of a list.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

from matt.review.albums import PAGE
from matt.review.server import Review

from .paired import Claim

N_ALBUMS, GOAL = 20_000, 300.0  # milliseconds
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@cache
def _library(n: int) -> Review:
    """A review of so many albums, of which nothing is decided."""
    from tests.review_library import large_library

    os.environ["MATT_JOURNALS"] = str(Path(tempfile.gettempdir()) / "matt-bench-no-journals")
    return large_library(Path("/invented"), n)


def _painted(n: int, show: str) -> float:
    """Milliseconds until something of a list is seen."""
    from tests.browser import Browser
    from tests.review_library import served

    library = _library(n)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, served(library) as url:
        browser = Browser(Path(folder))
        try:
            tab = browser.tab()
            tab.goto(url)  # lets in, and shows the first list once
            tab.goto(f"{url.partition('?')[0]}?show={show}")
            return float(tab.until(_PAINT))
        finally:
            browser.close()


def _beside_goal(show: str) -> tuple[float, float]:
    return _painted(N_ALBUMS, show), GOAL


def _beside_few() -> tuple[float, float]:
    return _painted(N_ALBUMS, "todo"), _painted(PAGE, "todo")


def claims() -> list[Claim]:
    """What there is to do, and what teaches most, beside the goal; and beside few albums."""
    of = f"review, first paint, {N_ALBUMS:,} albums"
    goal, few = f"the goal of {GOAL:.0f} ms", f"{PAGE} albums"
    how: dict[str, Any] = {"unit": "ms", "runs": 10}
    return [
        Claim(f"{of}, what there is to do", goal, 1.0, pair=partial(_beside_goal, "todo"), **how),
        Claim(f"{of}, what teaches most", goal, 1.0, pair=partial(_beside_goal, "teaches"), **how),
        Claim(f"{of}, beside few", few, 0.7, pair=_beside_few, **how),
    ]
