"""A comparison from beginning to end: divide, check, run the cells, rank, write it all down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..evaluation import style
from ..evaluation.plots import Dots, dots
from ..evaluation.scores import Scores
from ..evaluation.tables import Cell as TableCell
from ..evaluation.tables import Column, Table
from ..features.store import FeatureStore
from ..files import write_text
from ..processes import Progress
from ..provenance import digest
from ..runs import Run, check_free
from ..tracks import Tracks
from .cells import Cell
from .engine import Failure, Report, run_cells
from .fitting import (
    ALONE,
    PARTS,
    Material,
    check_setups,
    fit_cell,
    make_cells,
    shared_arrays,
)
from .protocol import RepeatedSplits
from .ranking import (
    MAJORITY,
    Standing,
    difference,
    majority_scores,
    part_scores,
    ranking_table,
    stand,
)
from .setups import Grid, Setup

KIND = "compare"
DRAWN = 40  # rows of a picture
GIVEN = (
    "The tracks came with splits, so repeats differ by seed alone: the intervals say nothing of "
    "other tracks."
)


@dataclass(frozen=True, eq=False)
class Study:
    """What a comparison found.

    Attributes
    ----------
    run : Run
        Of the kind ``"compare"``; its status is ``"partial"`` where cells failed.
    ranking : Table
    cells : Table
        Every cell: row, repeat, digest, seconds, and why it failed.
    failures : tuple of Failure
    standings : tuple of Standing
        What the ranking shows; with ``test``, scores of `fitting.ALONE` are there, too.
    """

    run: Run
    ranking: Table
    cells: Table
    failures: tuple[Failure, ...]
    standings: tuple[Standing, ...]


def check_out(path: Path | str) -> None:
    """Refuse a folder that holds something else, before any work is done for it.

    Raises
    ------
    DataError
    """
    path = check_free(path)
    if (path / "run.json").exists() and (kind := Run.open(path).manifest["kind"]) != KIND:
        raise DataError(f"{path} holds a run of 'matt {kind}'; choose another folder")


def compare(
    tracks: Tracks,
    features: Mapping[str, FeatureStore],
    grid: Grid,
    out: Path | str,
    *,
    protocol: RepeatedSplits,
    jobs: int = 1,
    test: bool = False,
    notes: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
    **facts: Any,
) -> Study:
    """Fit every row of a grid on every split, and rank them by validation.

    Cells that are finished in the folder are not run again, whatever grid made them.

    Parameters
    ----------
    tracks : Tracks
        Those without features, in any of the stores, are left out.
    features : dict of str to FeatureStore
        By the digest of the specification that cells ask for; see `Setup.features`.
    grid : Grid
    out : path
    protocol : RepeatedSplits
    jobs : int >= 1
        Processes.
    test : bool
        Also score the test splits. Rows are ranked by validation all the same.
    notes : sequence of str
        What is to be known of the data.
    progress : callable, optional
        See `run_cells`.
    **facts
        Kept in the manifest.

    Raises
    ------
    DataError
        If the data cannot be split, or the folder holds something else.
    ConfigError
        If any row could not be fitted to the data; nothing is run then.
    """
    check_out(out)
    usable = _with_features(tracks, features)
    settings = grid.settings
    divisions = protocol.divide(usable, settings.splits, seed=settings.seed, by=grid.setups[0].bags)
    material = Material(tuple(divisions), features)
    check_setups(grid.setups, material)
    run = Run.create(
        out,
        kind=KIND,
        settings={
            "rows": {setup.name: setup.facts() for setup in grid.setups},
            "splits": asdict(settings.splits),
            "protocol": asdict(protocol),
        },
        seed=settings.seed,
        data=digest(usable),
        data_notes=list(notes),
        **facts,
    )
    if (usable.split != "").any():
        notes = [GIVEN, *notes]
    notes = [*notes, *grid.notes]
    cells = make_cells(grid.setups, material)
    with shared_arrays(material, run.path, jobs) as given:
        report = run_cells(cells, fit_cell, run.path, shared=given, jobs=jobs, progress=progress)
    parts = PARTS if test else PARTS[:1]
    scored = (*parts, ALONE) if test else parts
    standings, reference = stand(grid.setups, _scores(grid.setups, cells, report, scored))
    ranking = ranking_table(standings, reference, parts=parts, notes=notes)
    table = _cell_table(cells, report)
    study = Study(run, ranking, table, report.failures, tuple(standings))
    _write(study, reference)
    told = [{"cell": f.cell.name, "reason": f.reason} for f in report.failures]
    if told:
        run.write(status="partial", failures=told)
    else:
        run.finish(failures=[])
    return study


def _with_features(tracks: Tracks, features: Mapping[str, FeatureStore]) -> Tracks:
    there = np.ones(len(tracks), bool)
    for store in features.values():
        there &= np.isin(tracks.track_id, store.track_ids)
    if not there.any():
        raise DataError(
            f"none of {len(tracks)} tracks has features; see 'matt extract' for the reasons"
        )
    return tracks.take(there)


def _scores(
    setups: Sequence[Setup], cells: Sequence[Cell], report: Report, parts: Sequence[str]
) -> dict[str, dict[str, list[Scores | None]]]:
    """By row, then part, one a split; None where a cell failed."""
    scores: dict[str, dict[str, list[Scores | None]]] = {
        name: {part: [] for part in parts} for name in (*(s.name for s in setups), MAJORITY)
    }
    n_splits = len(cells) // len(setups)
    for part in parts:
        constant: list[Scores | None] = [None] * n_splits
        for place, cell in enumerate(cells):
            result = report.results.get(cell.digest)
            setup, number = setups[place % len(setups)], place // len(setups)
            if result is None:
                scores[setup.name][part].append(None)
                continue
            predictions = result.predictions(part)
            scores[setup.name][part].append(part_scores(predictions))
            if constant[number] is None:
                constant[number] = majority_scores(predictions)
        scores[MAJORITY][part] = constant
    return scores


def _cell_table(cells: Sequence[Cell], report: Report) -> Table:
    failed = {failure.cell.digest: failure.reason for failure in report.failures}
    rows: list[tuple[TableCell, ...]] = []
    for cell in cells:
        result = report.results.get(cell.digest)
        seconds = None if result is None else result.seconds
        status = "failed" if cell.digest in failed else "done"
        rows.append((cell.name, cell.digest, status, seconds, failed.get(cell.digest, "")))
    columns = (
        Column("cell"),
        Column("folder"),
        Column("status"),
        Column("seconds", "number"),
        Column("why"),
    )
    return Table("Cells", columns, tuple(rows))


def _write(study: Study, reference: Standing | None) -> None:
    run = study.run
    run.save_scores({"ranking": study.ranking.to_json(), "cells": study.cells.to_json()})
    for name, table in {"ranking": study.ranking, "cells": study.cells}.items():
        write_text(run.path / f"{name}.csv", table.to_csv())
    write_text(run.path / "ranking.md", study.ranking.to_markdown())
    drawn = [row for row in study.standings if row.name != MAJORITY and row.n_splits]
    shown = [row for place, row in enumerate(drawn) if place < DRAWN or row is reference]
    if shown:
        rows = [Dots(r.name, r.values(), difference(r, reference), r.control) for r in shown]
        figure = dots(rows, label="macro-F1 of validation, a point a split", against="best control")
        style.save(figure, run.plot("ranking"))
