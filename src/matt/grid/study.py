"""A comparison from beginning to end: divide, check, run the cells, rank, write it all down."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import splits
from ..comparison import (
    Cell,
    FittedRow,
    Row,
    check_rows,
    data_digest,
    features_digest,
    strong_controls,
)
from ..config import SplitSettings
from ..errors import ConfigError, DataError
from ..evaluation import style
from ..evaluation.intervals import overlap
from ..evaluation.plots import Dots, dots
from ..evaluation.scores import Scores, majority, score
from ..evaluation.summaries import MAJORITY
from ..evaluation.tables import Table
from ..features.blocks import write_values
from ..features.store import FeatureStore, with_features
from ..files import locks, write_text
from ..predictions import Predictions
from ..processes import Progress
from ..provenance import digest
from ..runs import Run, check_free
from ..tracks import Tracks
from .engine import CellsReport, Failure, run_cells
from .ranking import RankedRow, difference, ranking_table, stand
from .setups import Grid, row_facts

KIND = "compare"
PARTS = ("validation", "test")
ALONE = "test-alone"  # tracks of test, each as a bag of one
DRAWN = 40  # rows of a picture
GIVEN = (
    "The tracks came with splits, so repeats differ by seed alone: the intervals say nothing of "
    "other tracks."
)


@dataclass(frozen=True, eq=False)
class Division:
    """One split of the tracks.

    Attributes
    ----------
    name : str
    seed : int
        Of the split and of the trainings on it.
    tracks : Tracks
        With splits; training is thinned where the protocol says so.
    """

    name: str
    seed: int
    tracks: Tracks


@dataclass(frozen=True, kw_only=True)
class RepeatedSplits:
    """How often tracks are split, and how.

    Attributes
    ----------
    repeats : int >= 1
        Each with a seed of its own, of the split and of the training.
    folds : int, 0 or >= 2
        0: each repeat is one split of training, validation and test artists. Else each repeat is a
        cross-validation of so many folds; validation artists are drawn from the others.
    imbalance : float >= 1
        Cut training tracks to an exponential tail, from the largest genre to 1/imbalance of it, in
        an order of the genres that each repeat draws; whole bags. 1 leaves all. Validation and
        test are never cut.
    keep : dict of str to int
        Cut training tracks of these genres to so many, in the same way.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    repeats: int = 5
    folds: int = 0
    imbalance: float = 1.0
    keep: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ConfigError(
                f"repeats must be at least 1, got {self.repeats}; 5 or more are usual"
            )
        if self.folds < 0 or self.folds == 1:
            raise ConfigError(f"folds must be 0 (none) or at least 2, got {self.folds}; try 5")
        if not self.imbalance >= 1:
            raise ConfigError(f"imbalance must be at least 1 (none), got {self.imbalance}; try 50")

    def divide(
        self, tracks: Tracks, shares: SplitSettings, *, seed: int, by: str
    ) -> list[Division]:
        """Split the tracks as often as the protocol says.

        Parameters
        ----------
        tracks : Tracks
            Tracks that come with splits keep them: repeats then differ in the training's seed (and
            in what is thinned) alone.
        shares : SplitSettings
        seed : int
            Of the first repeat; the others follow.
        by : str
            What a bag is: thinning cuts whole ones.

        Raises
        ------
        DataError
            If nothing can be trained, validated or tested; or folds are wanted of given splits.
        """
        given = bool((tracks.split != "").any())
        if given and self.folds:
            raise DataError(
                "the tracks come with splits, so there is nothing to fold; leave out --folds, or "
                "the column of the splits"
            )
        found = []
        for number in range(self.repeats):
            here = seed + number
            for name, split in self._splits(tracks, shares, here, given=given):
                if self.imbalance > 1:
                    keep = splits.long_tail(split, ratio=self.imbalance, seed=here)
                    split = splits.thin(split, keep, by=by, seed=here)
                if self.keep:
                    split = splits.thin(split, self.keep, by=by, seed=here)
                _check_split(split)
                found.append(Division(f"{number}{name}", here, split))
        return found

    def _splits(
        self, tracks: Tracks, shares: SplitSettings, seed: int, *, given: bool
    ) -> Iterator[tuple[str, Tracks]]:
        if given:
            yield "", tracks
        elif not self.folds:
            chosen = {"validation": shares.validation, "test": shares.test}
            yield "", splits.by_artist(tracks, **chosen, seed=seed)
        else:
            # Of the artists that are not tested, validation takes as large a part as without folds.
            validation = shares.validation / (1 - shares.test)
            for number, (rest, _) in enumerate(splits.folds(tracks, k=self.folds, seed=seed)):
                inner = splits.by_artist(rest, validation=validation, test=0, seed=seed + number)
                assigned = np.full(len(tracks), "test", "<U10")
                assigned[tracks.rows(rest.track_id)] = inner.split
                yield f".{number}", tracks.with_split(assigned)


def _check_split(tracks: Tracks) -> None:
    n_trained = int((tracks.train_counts > 0).sum())
    if n_trained < 2:
        raise DataError(
            f"{('no', 'only one')[n_trained]} genre has labelled training tracks, "
            "a comparison needs two; label more "
            "tracks, or use a smaller imbalance"
        )
    for split in ("validation", "test"):
        if not (tracks.labelled & (tracks.split == split)).any():
            raise DataError(
                f"no {split} track has a known genre, and rows are ranked on validation; a genre "
                "needs three artists for that (or give a split of your own with all three parts)"
            )


@dataclass(frozen=True, eq=False)
class Material:
    """What all cells share.

    Attributes
    ----------
    divisions : tuple of Division
    features : dict of str to FeatureStore
        By `Row.features`.
    """

    divisions: tuple[Division, ...]
    features: Mapping[str, FeatureStore]

    def fitted(self, cell: Cell) -> FittedRow:
        """Fit the row of a cell on its split."""
        row, division = cell.row, self.divisions[cell.split]
        if row is None:
            raise DataError(f"the cell {cell.name!r} has no row, so there is nothing to fit")
        return FittedRow.of(row, self.features[row.features], division.tracks, seed=division.seed)


@contextmanager
def shared_arrays(material: Material, out: Path, jobs: int) -> Iterator[Material]:
    """Material with arrays in files below ``out``, which several processes map as one copy."""
    if jobs == 1:
        yield material
        return
    folder = out / "shared"
    try:
        stores = {key: _mapped(store, folder) for key, store in material.features.items()}
        yield replace(material, features=stores)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _mapped(store: FeatureStore, folder: Path) -> FeatureStore:
    blocks: list[Any] = []
    for number, block in enumerate(store.blocks):
        if isinstance(block, np.ndarray):
            path = folder / f"{features_digest(store)}-{number}.npy"
            write_values(path, block)
            block = path
        blocks.append(block)
    return FeatureStore(
        store.spec, store.track_ids, store.block, store.start, store.n_segments, blocks
    )


def make_cells(
    rows: Sequence[Row],
    material: Material,
    facts: Callable[[Row, Mapping[str, Any]], Mapping[str, Any]],
    *,
    called: Callable[[Row], str] = lambda row: row.name,
    split: str = "repeat",
) -> list[Cell]:
    """Every row on every split; all rows of a split before the next one.

    Parameters
    ----------
    rows : sequence of Row
    material : Material
    facts : callable
        (row, digests of its data and features and the seed) -> all that decides a cell.
    called : callable
        Row -> its name in that of a cell.
    split : str
        What a split is called.
    """
    features = {key: features_digest(store) for key, store in material.features.items()}
    cells = []
    for number, division in enumerate(material.divisions):
        data = {by: data_digest(division.tracks, by) for by in {row.bags for row in rows}}
        for row in rows:
            read = {"data": data[row.bags], "features": features[row.features]}
            decided = facts(row, {**read, "seed": division.seed})
            name = called(row)
            named = {"name": f"{name} ({split} {division.name})", "group": name}
            cells.append(Cell(facts=decided, row=row, split=number, **named))
    return cells


def fit_cell(material: Material, cell: Cell) -> dict[str, Predictions]:
    """Fit the row of a cell, and predict validation and test; see `matt.grid.engine`."""
    fitted = material.fitted(cell)
    made = {ALONE: fitted.predict(fitted.bags("test", by="track"))}
    for part in PARTS:
        made[part] = fitted.predict_row(fitted.bags(part))
    return made


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
        What the ranking shows; with ``test``, scores of `ALONE` are there, too.
    """

    run: Run
    ranking: Table
    cells: Table
    failures: tuple[Failure, ...]
    standings: tuple[RankedRow, ...]


@locks()
def compare(
    tracks: Tracks,
    features: Mapping[str, FeatureStore],
    grid: Grid,
    out: Path | str,
    *,
    protocol: RepeatedSplits,
    jobs: int = 1,
    test: bool = False,
    controls: bool = True,
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
        By the digest of the specification that cells ask for; see `Grid.specs`.
    grid : Grid
    out : path
    protocol : RepeatedSplits
    jobs : int >= 1
        Processes.
    test : bool
        Also score the test splits. Rows are ranked by validation all the same.
    controls : bool
        Also fit the `strong_controls` of each feature, once a split for all rows.
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
    check_free(out, kind=KIND)
    usable = with_features(tracks, *features.values())
    settings, rows, its_own = grid.settings, grid.rows, dict(grid.controls)
    divisions = protocol.divide(usable, settings.splits, seed=settings.seed, by=grid.rows[0].bags)
    material = Material(tuple(divisions), features)
    shapes = {name: store.spec.shape for name, store in features.items()}
    if controls:
        tracks, by = divisions[0].tracks, rows[0].bags
        for key, store in features.items():
            strong, left_out = strong_controls(tracks, store.spec.shape, bags=by, features=key)
            of = f" of {store.spec.name} {key[:4]}" if len(features) > 1 else ""
            rows = (*rows, *(replace(row, name=row.name + of) for row in strong.values()))
            notes = [*notes, *left_out]
        its_own = {row.name: row.name for row in rows} | its_own
    check_rows(rows, shapes, n_genres=len(usable.genres))
    run = Run.create(
        out,
        kind=KIND,
        settings={
            "rows": {row.name: row_facts(row) for row in rows},
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
    cells = make_cells(rows, material, lambda row, read: {"setup": row_facts(row), **read})
    with shared_arrays(material, run.path, jobs) as given:
        report = run_cells(cells, fit_cell, run.path, shared=given, jobs=jobs, progress=progress)
    parts = PARTS if test else PARTS[:1]
    scored = (*parts, ALONE) if test else parts
    # Rows alone are scored on the test tracks.
    parted = [division.tracks for division in divisions]
    ratios = {part: overlap(usable, parted, part) for part in PARTS}
    ratios[ALONE] = ratios["test"]
    made = _scores(rows, cells, report, scored)
    standings, reference = stand(its_own, made, ratios)
    ranking = ranking_table(standings, reference, parts=parts, notes=notes)
    table = _cell_table(cells, report)
    study = Study(run, ranking, table, report.failures, tuple(standings))
    _write(study, reference)
    told = [{"cell": f.cell.name, "reason": f.reason} for f in report.failures]
    run.finish(failed=bool(told), failures=told)
    return study


def _scores(
    rows: Sequence[Row], cells: Sequence[Cell], report: CellsReport, parts: Sequence[str]
) -> dict[str, dict[str, list[Scores | None]]]:
    """By row, then part, one a split; None where a cell failed. All rows have this one unit."""
    names = (*(row.name for row in rows), MAJORITY)
    n_splits = len(cells) // len(rows)
    scores: dict[str, dict[str, list[Scores | None]]] = {
        name: {part: [None] * n_splits for part in parts} for name in names
    }
    for part in parts:
        constant = scores[MAJORITY][part]
        for place, cell in enumerate(cells):
            result = report.results.get(cell.digest)
            if result is not None:
                predictions = result.predictions(part)
                row = rows[place % len(rows)]
                scores[row.name][part][cell.split] = score(predictions, unit="track_of_bag")
                if constant[cell.split] is None:
                    constant[cell.split] = score(majority(predictions), unit="track_of_bag")
    return scores


def _cell_table(cells: Sequence[Cell], report: CellsReport) -> Table:
    failed = {failure.cell.digest: failure.reason for failure in report.failures}
    seconds = {digest: result.seconds for digest, result in report.results.items()}
    return Table.of(
        "Cells",
        cells,
        ("cell", "text", lambda cell: cell.name),
        ("folder", "text", lambda cell: cell.digest),
        ("status", "text", lambda cell: "failed" if cell.digest in failed else "done"),
        ("seconds", "number", lambda cell: seconds.get(cell.digest)),
        ("why", "text", lambda cell: failed.get(cell.digest, "")),
    )


def _write(study: Study, reference: RankedRow | None) -> None:
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
