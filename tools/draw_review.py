"""Draw the pages of a review: docs/images/library/review-*.png, for light and dark pages.

    python tools/draw_review.py MUSIC RUN   # a synthetic library, and a run of it

Needs Chromium. Nothing of the library is written; decisions go to a folder that is removed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "images" / "library"
KEYS = "aaraaarraaaaraaaaaaraaaaraaa"  # decided for the curve, and taken back
SIZE = {"width": 1180, "height": 760}
LARGE = "[...document.querySelectorAll('.row')].find(row => /[5-9] tracks/.test(row.textContent))"
WHOLE = "[...document.images].filter(one => one.loading != 'lazy').every(one => one.complete)"


def main(music: str, run: str) -> None:
    """Serve a review, look at it twice, and end it."""
    sys.path.insert(0, str(ROOT))
    from tests.browser import Browser

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "matt", "review", music, "--model", run, "--no-browser"]
        server = subprocess.Popen(
            [*command, "--json", "--quiet"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MATT_JOURNALS": folder},
        )
        browser = Browser(Path(folder))
        try:
            url = _address(server)
            for dark in (False, True):
                draw(browser.tab(dark=dark, **SIZE), url, "dark" if dark else "light")
        finally:
            browser.close()
            server.terminate()
            server.communicate()


def _address(server: subprocess.Popen[str]) -> str:
    """What the first document of the command says."""
    text = ""
    for line in server.stdout or ():
        text += line
        if line == "}\n":
            return str(json.loads(text)["url"])
    raise SystemExit("matt review did not start")


def draw(tab, url, name):
    """A list with something decided, an album, what teaches most, and what would be written."""
    base = url.partition("?")[0]
    tab.goto(url)
    tab.goto(base)
    tab.press("j")
    tab.press("a")
    tab.until("document.querySelector('.row.done') && document.querySelector('#said').textContent")
    tab.until(WHOLE)
    tab.picture(PICTURES / f"review-{name}.png")
    tab.goto(tab.run(f"{LARGE}.querySelector('.name').href"))
    tab.until("!document.querySelector('#ask')")
    tab.until(WHOLE)
    tab.picture(PICTURES / f"review-album-{name}.png")
    tab.goto(base + "?show=agrees")
    for key in "j" + KEYS:
        tab.press(key)
    tab.until(f"document.querySelectorAll('.row.done').length === {len(KEYS)}")
    tab.goto(base + "?show=teaches")
    tab.click("summary")
    tab.until("document.querySelector('.growth img').complete")
    tab.until(WHOLE)
    tab.picture(PICTURES / f"review-teaches-{name}.png")
    for n in range(len(KEYS), 0, -1):
        with tab.loads():
            tab.click("#undo button")
        tab.until(f"document.querySelector('[data-count=decided]').textContent === '{n}'")
    tab.goto(base + "write")
    tab.picture(PICTURES / f"review-write-{name}.png")
    tab.goto(base)
    with tab.loads():
        tab.click("#undo button")  # the next tab begins as this one


if __name__ == "__main__":
    main(*sys.argv[1:])
