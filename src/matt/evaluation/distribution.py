"""Tables and pictures of what a table of tracks holds: genres, bags, purity, what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import write_json, write_text
from . import metrics, plots, style
from .style import COMMON, TAIL
from .tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..datasets.describe import Description, SplitCounts

LARGEST = 20  # tracks; larger bags share one bar
SIMULATED = "Simulated: none of these tracks is real."
_IMPURE = (
    "A bag is an album-artist pair. Impure: the track's genre is not that of the majority of "
    "its bag; of all tracks with a known genre."
)


def tables(description: Description, *, fewer_than: int | None = None) -> dict[str, Table]:
    """Tables by name: ``"genres"``, ``"bags"`` and ``"missing"``.

    Parameters
    ----------
    description : Description
        Of `matt.datasets.describe.describe`.
    fewer_than : int, optional
        A genre is rare with fewer training tracks than this, as in `metrics.tail`.
    """
    notes = (SIMULATED,) if description.simulated else ()
    parts = description.parts
    rare = metrics.tail(description.train_counts, fewer_than=fewer_than)
    rule = metrics.tail_rule(description.train_counts, fewer_than=fewer_than)
    whole = parts[-1]

    def counted(part: SplitCounts) -> Callable[[int], int]:
        return lambda g: int(part.counts[g])

    return {
        "genres": Table.of(
            "Tracks of each genre",
            np.argsort(-description.train_counts, kind="stable").tolist(),
            ("genre", "text", lambda g: description.genres[g]),
            *((part.name, "int", counted(part)) for part in parts),
            ("bags", "int", lambda g: int(whole.bag_counts[g])),
            ("tail", "flag", lambda g: bool(rare[g])),
            notes=(rule, *notes),
        ),
        "bags": Table.of(
            "Bags and their purity",
            parts,
            ("tracks of", "text", lambda part: part.name),
            ("bags", "int", lambda part: len(part.sizes)),
            ("with genre in the key", "int", lambda part: part.n_genre_bags),
            ("mean size", "number", lambda part: float(part.sizes.mean())),
            ("median", "number", lambda part: float(np.median(part.sizes))),
            ("largest", "int", lambda part: int(part.sizes.max())),
            ("singletons", "int", lambda part: part.n_singletons),
            ("mixed bags", "int", lambda part: part.n_mixed),
            ("impure tracks", "int", lambda part: part.n_impure),
            ("of all", "share", lambda p: p.n_impure / p.n_labelled if p.n_labelled else None),
            notes=(_IMPURE, *notes),
        ),
        "missing": Table.of(
            "What is missing",
            parts,
            ("tracks of", "text", lambda part: part.name),
            ("tracks", "int", lambda part: part.n_tracks),
            ("no artist", "int", lambda part: part.n_without_artist),
            ("no album", "int", lambda part: part.n_without_album),
            ("either: alone", "int", lambda part: part.n_alone),
            ("no genre", "int", lambda part: part.n_unlabelled),
            notes=notes,
        ),
    }


def figures(description: Description, *, fewer_than: int | None = None) -> dict[str, Figure]:
    """Pictures by name: ``"genres"``, the long tail, and ``"bag_sizes"``."""
    rare = metrics.tail(description.train_counts, fewer_than=fewer_than)
    word = "simulated " if description.simulated else ""
    split = any(part.name == "training" for part in description.parts)
    return {
        "genres": plots.genre_distribution(
            description.train_counts,
            description.genres,
            tail=rare,
            unit=f"{word}{'training ' if split else ''}tracks",
        ),
        "bag_sizes": bag_sizes(description),
    }


def bag_sizes(description: Description) -> Figure:
    """How many bags have how many tracks, in each part; bags of one are in another colour."""
    parts = description.parts[:-1] or description.parts
    word = "simulated " if description.simulated else ""
    at = np.arange(1, LARGEST + 2)  # the last is for all larger ones
    with style.settings():
        figure, panes = style.panels(len(parts), height=2.6)
        highest = 0.0
        for pane, part in zip(panes, parts, strict=True):
            times = np.bincount(np.minimum(part.sizes, LARGEST + 1), minlength=LARGEST + 2)[1:]
            shares = times / len(part.sizes)
            highest = max(highest, float(shares.max()))
            pane.bar(at, shares, color=[TAIL, *[COMMON] * LARGEST], width=0.8)
            ticks = [1, 5, 10, 15, LARGEST + 1]
            pane.set_xticks(ticks, [*map(str, ticks[:-1]), f">{LARGEST}"])
            pane.set_title(
                f"{part.name}: {len(part.sizes):,} bags,\n{part.sizes.sum():,} tracks", loc="left"
            )
            pane.set_xlabel(f"{word}tracks in a bag")
            pane.yaxis.set_major_formatter("{x:.0%}")
        for pane in panes:
            pane.set_ylim(0, 1.05 * highest)
        panes[0].set_ylabel("share of bags")
        style.legend(figure, {TAIL: "one track", COMMON: "more"})
    return figure


def write(
    description: Description, out: Path | str, *, fewer_than: int | None = None
) -> list[Path]:
    """Write everything into a folder, atomically file by file.

    Returns
    -------
    list of Path
        ``description.json``, ``description.md``, a CSV a table and a PNG a picture.
    """
    out = Path(out)
    made = tables(description, fewer_than=fewer_than)
    content = {**description.to_json(), "tables": {k: t.to_json() for k, t in made.items()}}
    write_json(out / "description.json", content)
    write_text(out / "description.md", "\n".join(table.to_markdown() for table in made.values()))
    written = [out / "description.json", out / "description.md"]
    for name, table in made.items():
        written.append(out / f"{name}.csv")
        write_text(written[-1], table.to_csv())
    for name, figure in figures(description, fewer_than=fewer_than).items():
        written.append(out / f"{name}.png")
        style.save(figure, written[-1])
    return written
