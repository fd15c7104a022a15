"""Figure 1: how many training tracks each genre has, and which are rare."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..comparison import Row
from ..evaluation.tables import Column, Table
from .data import Data
from .figures import FEW, distribution
from .layout import save_picture
from .plan import Request, Results
from .targets import Made


def needs(data: Data, request: Request) -> tuple[Row, ...]:
    """Nothing: it is of the tracks alone."""
    return ()


def make(results: Results, request: Request, folder: Path) -> Made:
    """The picture, and its numbers: of the first split, where each seed has one of its own."""
    tracks = results.divisions[0].tracks
    path = folder / "figure_1.png"
    save_picture(distribution(tracks.train_counts, tracks.genres), path, results.data)
    order = np.argsort(-tracks.train_counts, kind="stable")
    test = tracks.take(tracks.split == "test").counts
    columns = (
        Column("genre"),
        Column("training tracks", "int"),
        Column("test tracks", "int"),
        *(Column(f"below {few}", "flag") for few in FEW),
    )
    rows = tuple(
        (
            tracks.genres[g],
            int(tracks.train_counts[g]),
            int(test[g]),
            *(bool(tracks.train_counts[g] < few) for few in FEW),
        )
        for g in order
    )
    table = Table("Fig. 1: genres by their training tracks", columns, rows, results.data.notes)
    return Made(tables={"figure_1": table}, pictures={"figure_1": path})
