"""Draw docs/images/house.png: the packages and modules of matt, layer over layer.

python tools/draw_house.py

The order is that of the contract in pyproject.toml which import-linter checks, so the picture
cannot show another house than the one that is built.
"""

from __future__ import annotations

import sys
import textwrap
import tomllib
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from matt.evaluation import style

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "matt"
FLOORS = {
    "what people type": ("cli", "demo"),
    "what is made of it": ("reproduce", "grid", "experiment", "reports", "folds", "comparison"),
    "settings": ("config", "faults", "recipes"),
    "one's own music": ("review", "tagging", "library"),
    "models": ("testing", "models"),
    "results": ("evaluation", "runs", "provenance"),
    "data": ("datasets", "features", "audio"),
    "nouns": ("calibration", "splits", "predictions", "bags", "tracks"),
    "ground": ("processes", "files", "settings", "errors"),
}
WIDTH = 118  # characters of a line of modules


def layers() -> list[str]:
    """Names of the contract, top to bottom; neighbours of one layer one after the other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (found,) = [c["layers"] for c in contracts["contracts"] if c["type"] == "layers"]
    return [name for layer in found for name in layer.split("|")]


def modules(name: str) -> list[str]:
    """Modules of a package, those of a package in it behind its name; none of a plain module."""
    folder = SOURCE / name
    found = [path.stem for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        inside = [path.stem for path in sorted(inner.glob("*.py")) if path.stem != "__init__"]
        found.append(f"{inner.name}({' '.join(inside)})" if inside else inner.name)
    return found


def draw() -> Figure:
    """A floor a row, from the ground to the street."""
    order = layers()
    drawn = [name for floor in FLOORS.values() for name in floor]
    if missing := set(order) - set(drawn) - {"__main__"}:
        raise SystemExit(f"no floor for {', '.join(sorted(missing))}; add it to FLOORS")
    rows = []
    for floor, names in FLOORS.items():
        plain = [name for name in names if not modules(name)]
        lines = [f"{name}/  {' '.join(modules(name))}" for name in names if modules(name)]
        lines += ["  ".join(plain)] if plain else []
        wrapped = [part for line in lines for part in textwrap.wrap(line, WIDTH)]
        rows.append((floor, wrapped))
    height = sum(len(lines) + 1 for _, lines in rows)
    with style.settings():
        figure = Figure(figsize=(10, 0.16 * height + 0.3))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 1), ylim=(height, 0))
        axes.axis("off")
        top = 0.0
        for floor, lines in rows:
            place, size = (0.15, top + 0.15), (0.84, len(lines) + 0.6)
            shape = "round,pad=0,rounding_size=0.005"
            looks = {"facecolor": "#f4f4f4", "edgecolor": "#999999", "mutation_aspect": height}
            axes.add_patch(FancyBboxPatch(place, *size, boxstyle=shape, **looks))
            axes.text(0.14, top + len(lines) / 2 + 0.5, floor, ha="right", va="center", fontsize=8)
            for number, line in enumerate(lines):
                axes.text(
                    0.16, top + number + 0.95, line, va="center", fontsize=7, family="monospace"
                )
            top += len(lines) + 1
    return figure


if __name__ == "__main__":
    target = ROOT / "docs" / "images" / "house.png"
    style.save(draw(), target)
    sys.stdout.write(f"{target}\n")
