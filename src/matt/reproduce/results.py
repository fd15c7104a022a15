"""Finished cells, back as predictions; what failed, by name; what is partial, marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import DataError, first_few
from ..evaluation.scores import majority
from ..grid.cells import Cell
from ..grid.engine import Report, run_cells
from ..grid.fitting import Material, shared_arrays
from ..grid.protocol import Division
from ..grid.results import Result, find_result
from ..predictions import Predictions
from ..processes import Progress
from .data import Data
from .measures import Sums
from .work import Job, make_cells, make_material, work

Key = tuple[str, str]


@dataclass(frozen=True)
class Fit:
    """One finished cell.

    Attributes
    ----------
    split : str
        Name of the division.
    seed : int
    result : Result
    """

    split: str
    seed: int
    result: Result

    def predictions(self, part: str = "test") -> Predictions:
        """What it predicted: ``"test"``, ``"alone"``, ``"valid"``; see `work.work`."""
        return self.result.predictions(part)


@dataclass(frozen=True, eq=False)
class Results:
    """What is there of all jobs.

    Attributes
    ----------
    data : Data
    protocol : str
    divisions : tuple of Division
    jobs : dict of (str, str) to Job
        By feature set and name of the model.
    cells : dict of (str, str) to tuple of Cell
        One a division.
    report : Report
    """

    data: Data
    protocol: str
    divisions: tuple[Division, ...]
    jobs: Mapping[Key, Job]
    cells: Mapping[Key, tuple[Cell, ...]]
    report: Report
    _sums: dict[tuple[str, str, str, str], tuple[Sums, ...]] = field(
        default_factory=dict, repr=False
    )

    def fits(self, feature_set: str, model: str) -> tuple[Fit, ...]:
        """Finished cells of a model, one a division; of a model without randomness once."""
        found: dict[str, Fit] = {}
        for cell, division in zip(
            self.cells.get((feature_set, model), ()), self.divisions, strict=False
        ):
            result = self.report.results.get(cell.digest)
            if result is not None:
                found.setdefault(cell.digest, Fit(division.name, division.seed, result))
        return tuple(found.values())

    def predictions(
        self, feature_set: str, model: str, part: str = "test"
    ) -> tuple[Predictions, ...]:
        """Predictions of the finished cells of a model.

        Raises
        ------
        DataError
            If a file holds predictions of other tracks, labels or genres: nothing of it is used.
        """
        made = []
        for fit in self.fits(feature_set, model):
            made.append(fit.predictions(part))
            _check(made[-1], self.data, fit.result.path)
        return tuple(made)

    def sums(
        self, feature_set: str, model: str, *, part: str = "test", unit: str = "spread"
    ) -> tuple[Sums, ...]:
        """Items of the finished cells of a model, summed by artist; made once."""
        key = feature_set, model, part, unit
        if key not in self._sums:
            made = self.predictions(feature_set, model, part)
            self._sums[key] = tuple(Sums.of(some, unit=unit) for some in made)
        return self._sums[key]

    def majority(self, feature_set: str) -> tuple[Sums, ...]:
        """What the counts of training alone say of every test track; one a split that differs."""
        for key in self.cells:
            made = self.predictions(*key, "alone") if key[0] == feature_set else ()
            if made:
                runs = tuple(Sums.of(majority(some), unit="track") for some in made)
                return runs[:1] if self.data.official and self.data.imbalance == 1 else runs
        return ()

    def failed(self, feature_set: str, model: str) -> tuple[str, ...]:
        """Which cells of a model failed, and why: ``"split 3: ..."``."""
        reasons = {failure.cell.digest: failure.reason for failure in self.report.failures}
        return tuple(
            f"split {division.name}: {reasons[cell.digest]}"
            for cell, division in zip(
                self.cells.get((feature_set, model), ()), self.divisions, strict=False
            )
            if cell.digest in reasons
        )

    @property
    def partial(self) -> bool:
        """Whether any cell failed or was not run."""
        return any(
            cell.digest not in self.report.results
            for cells in self.cells.values()
            for cell in cells
        )


def _check(predictions: Predictions, data: Data, path: Path) -> None:
    """Refuse predictions of other data."""
    ids, labels = data.known
    found = predictions.tracks.track_id
    place = np.searchsorted(ids, found).clip(max=len(ids) - 1)
    unknown = found[ids[place] != found]
    wrong = ""
    if predictions.genres != data.tracks.genres:
        wrong = f"genres {first_few(predictions.genres)}, not {first_few(data.tracks.genres)}"
    elif unknown.size:
        wrong = f"{unknown.size} tracks that are not in the data (first: {first_few(unknown)})"
    elif (labels[place] != predictions.tracks.labels).any():
        wrong = "other genres of some tracks than the data has"
    if wrong:
        raise DataError(f"{path} holds predictions of other data: {wrong}; delete it")


@dataclass(frozen=True, eq=False)
class Plan:
    """Jobs and their cells, before anything is run.

    Attributes
    ----------
    data : Data
    protocol : str
    divisions : tuple of Division
    jobs : dict of (str, str) to Job
    cells : dict of (str, str) to tuple of Cell
    material : Material
        What all cells share.
    """

    data: Data
    protocol: str
    divisions: tuple[Division, ...]
    jobs: Mapping[Key, Job]
    cells: Mapping[Key, tuple[Cell, ...]]
    material: Material

    def every(self) -> list[Cell]:
        """Each cell once: all models on the first split, then on the next."""
        rounds = zip(*self.cells.values(), strict=True)
        return list({cell.digest: cell for some in rounds for cell in some}.values())

    def finished(self, out: Path) -> dict[str, float]:
        """Seconds of the cells that are finished in a folder, by digest."""
        found = ((cell, find_result(out, cell)) for cell in self.every())
        return {cell.digest: result.seconds for cell, result in found if result is not None}


def plan_jobs(
    data: Data,
    jobs: Sequence[Job],
    divisions: Sequence[Division],
    *,
    protocol: str = "corrected",
) -> Plan:
    """Make the cells of jobs.

    Parameters
    ----------
    data : Data
    jobs : sequence of Job
        Equal keys have to be equal jobs.
    divisions : sequence of Division
        See `Data.divisions`.
    protocol : str
        For people.
    """
    by_key = {job.key: job for job in jobs}
    unique = list(by_key.values())
    material = make_material(data, unique, divisions)
    cells = make_cells(data, unique, divisions, material)
    return Plan(data, protocol, tuple(divisions), by_key, cells, material)


def run_plan(
    plan: Plan,
    out: Path | str,
    *,
    n_jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Results:
    """Run what is not finished in the folder, and return all.

    Parameters
    ----------
    plan : Plan
    out : path
    n_jobs : int >= 1
        Processes.
    progress : callable, optional
        See `run_cells`.
    """
    with shared_arrays(plan.material, Path(out), n_jobs) as shared:
        report = run_cells(plan.every(), work, out, shared=shared, jobs=n_jobs, progress=progress)
    return Results(plan.data, plan.protocol, plan.divisions, plan.jobs, plan.cells, report)


def run_jobs(
    data: Data,
    jobs: Sequence[Job],
    divisions: Sequence[Division],
    out: Path | str,
    *,
    protocol: str = "corrected",
    n_jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Results:
    """Plan jobs and run them."""
    plan = plan_jobs(data, jobs, divisions, protocol=protocol)
    return run_plan(plan, out, n_jobs=n_jobs, progress=progress)
