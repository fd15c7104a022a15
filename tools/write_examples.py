"""Write docs/examples: each script of examples/ with its text, its code and what it prints.

    python tools/write_examples.py            # all of them; seconds each

A script is a notebook in the percent format: `# %% [markdown]` begins text, `# %%` begins code. It
is run once, as a user runs it, with a mark printed between its cells.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = ROOT / "docs" / "examples"
_MARK = "\x1e"  # between the outputs of two cells
_CELL = re.compile(r"^# %%( \[markdown\])?\n", re.M)


def cells_of(script: Path) -> list[tuple[bool, str]]:
    """Cells of a script: whether each is text, and what it holds."""
    before, *parts = _CELL.split(script.read_text(encoding="utf-8"))
    if before.strip():
        raise SystemExit(f"{script}: a script begins with `# %%`, found {before[:40]!r}")
    return [
        (True, re.sub(r"^# ?", "", body, flags=re.M)) if text else (False, body)
        for text, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def outputs_of(script: Path) -> list[str]:
    """What each cell of code prints; a warning is an error.

    Raises
    ------
    RuntimeError
        With all that the script said, if it fails.
    """
    mark = f'\nif __name__ == "__main__":\n    print({_MARK!r}, end="", flush=True)\n'
    code = mark.join(body for text, body in cells_of(script) if not text)
    with tempfile.TemporaryDirectory() as folder:
        marked = Path(folder) / script.name
        marked.write_text(code, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", str(marked)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{script} fails:\n{done.stderr}")
    return done.stdout.split(_MARK)


def page_of(script: Path, outputs: list[str]) -> str:
    """Page of the documentation, in Markdown."""
    said = iter(outputs)
    parts = []
    for text, body in cells_of(script):
        if text:
            parts.append(body.strip())
            continue
        parts.append(f"```python\n{body.strip()}\n```")
        if output := next(said).strip("\n"):
            parts.append(f"```text\n{output}\n```")
    title, *rest = parts
    where = f"This page is `examples/{script.name}` and what it prints."
    first, _, more = title.partition("\n")
    return "\n\n".join([first, where, *([more.strip()] if more.strip() else []), *rest]) + "\n"


def main() -> None:
    """Run every example and write its page."""
    PAGES.mkdir(exist_ok=True)
    for script in EXAMPLES:
        page = page_of(script, outputs_of(script))
        (PAGES / f"{script.stem}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
