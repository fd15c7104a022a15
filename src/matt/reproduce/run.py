"""A reproduction from beginning to end: open data, run what is not finished, make the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..comparison import Row, data_digest
from ..errors import ConfigError, DataError, did_you_mean, first_few
from ..faults import PROTOCOLS
from ..files import write_json, write_text
from ..processes import Progress
from ..runs import Run, check_free
from .data import Data
from .forecast import forecast
from .page import write_page
from .plan import Request, Results, key_of
from .registry import TARGETS
from .targets import Made

KIND = "reproduce"
_SCHEMA = "matt.reproduce/1"


@dataclass(frozen=True, eq=False, kw_only=True)
class Reproduction:
    """What was made.

    Attributes
    ----------
    run : Run
        Of the kind ``"reproduce"``; its status is ``"partial"`` where a cell failed.
    results : Results
    request : Request
    made : dict of str to Made
        By the name of the target, in the order of `registry.TARGETS`.
    skipped : dict of str to str
        Targets that cannot be made of this data, and why.
    failures : tuple of str
        Cells that failed, and why.
    """

    run: Run
    results: Results
    request: Request
    made: Mapping[str, Made]
    skipped: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """``"finished"`` or ``"partial"``."""
        return "partial" if self.failures else "finished"

    def to_json(self) -> dict[str, Any]:
        """Everything that was made, as one document of the schema ``matt.reproduce/1``."""
        data = self.results.data
        return {
            "schema": _SCHEMA,
            "run": str(self.run.path),
            "status": self.status,
            "data": {"name": data.name, "real": data.real, "notes": list(data.notes)},
            "protocol": self.request.protocol,
            "splits": [division.name for division in self.results.divisions],
            "tables": {
                name: table.to_json()
                for made in self.made.values()
                for name, table in made.tables.items()
            },
            "pictures": {
                name: str(path)
                for made in self.made.values()
                for name, path in made.pictures.items()
            },
            "notes": [note for made in self.made.values() for note in made.notes],
            "skipped": dict(self.skipped),
            "failures": list(self.failures),
        }


@dataclass(frozen=True)
class Forecast:
    """What is to come, before it starts.

    Attributes
    ----------
    cells, kept : int
        In all, and those that are finished already.
    seconds : float
        About how long the others take; a rough guess until some are finished.
    """

    cells: int
    kept: int
    seconds: float


def reproduce(
    data: Data,
    wanted: Sequence[str],
    out: Path | str,
    *,
    request: Request | None = None,
    seeds: int = 5,
    folds: int = 0,
    seed: int = 0,
    n_jobs: int = 1,
    told: Callable[[Forecast], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Reproduction:
    """Make what is wanted, from cells that are finished and cells that are run now.

    Parameters
    ----------
    data : Data
    wanted : sequence of str
        Names of `registry.TARGETS`; none for all that can be made of the data.
    out : path
        A new folder, or one of an earlier reproduction of the same data: its finished cells are
        not run again. ``OUT/PROTOCOL`` gets the tables.
    request : Request, optional
    seeds : int >= 1
        Of the training or, where there is no official split, of splits.
    folds : int, 0 or >= 2
        As in `Data.divisions`.
    seed : int >= 0
        The first.
    n_jobs : int >= 1
        Processes.
    told : callable, optional
        Called with a `Forecast` before anything is run.
    progress : callable, optional
        See `matt.grid.engine.run_cells`.

    Raises
    ------
    ConfigError
        If a name is unknown, or a target cannot be made of the data.
    DataError
        If the folder holds something else, or results of other data.
    """
    request = request or Request()
    if request.protocol not in PROTOCOLS:
        raise ConfigError(
            f"unknown protocol {request.protocol!r}; {did_you_mean(request.protocol, PROTOCOLS)}"
        )
    chosen, skipped = _choose(data, wanted)
    path = check_out(out, data)
    rows = [row for name in chosen for row in TARGETS[name].needs(data, request)]
    divisions = data.divisions(seeds, folds=folds, seed=seed)
    planned = Results.planned(data, _unique(rows), divisions, protocol=request.protocol)
    run = Run.create(
        path,
        kind=KIND,
        settings={
            "targets": list(chosen),
            "request": asdict(request),
            "seeds": seeds,
            "folds": folds,
            "imbalance": data.imbalance,
        },
        seed=seed,
        data=data_digest(data.tracks, data.bags),
        source=data.key,
        real=data.real,
        data_notes=list(data.notes),
    )
    if told is not None:
        told(_forecast(planned, path, n_jobs))
    results = planned.run(path, n_jobs=n_jobs, progress=progress)
    folder = path / request.protocol
    made = {}
    for name in chosen:
        made[name] = TARGETS[name].make(results, request, folder)
        for called, table in made[name].tables.items():
            write_text(folder / f"{called}.csv", table.to_csv())
            write_text(folder / f"{called}.md", table.to_markdown())
            write_json(folder / f"{called}.json", table.to_json())
    failures = tuple(f"{f.cell.name}: {f.reason}" for f in results.report.failures)
    write_page(
        run,
        folder,
        made,
        {name: target.title for name, target in TARGETS.items()},
        data=data.name,
        real=data.real,
        protocol=request.protocol,
        notes=data.notes,
        skipped=skipped,
        failures=failures,
    )
    done = Reproduction(
        run=run,
        results=results,
        request=request,
        made=made,
        skipped=skipped,
        failures=failures,
    )
    run.save_scores(done.to_json())
    if failures:
        run.write(status="partial", failures=list(failures))
    else:
        run.finish(failures=[])
    return done


def check_out(out: Path | str, data: Data) -> Path:
    """Refuse a folder that holds something else, or cells of other data.

    Raises
    ------
    DataError
    """
    path = check_free(out)
    if not (path / "run.json").exists():
        return path
    manifest = Run.open(path).manifest
    if manifest["kind"] != KIND:
        raise DataError(f"{path} holds a run of 'matt {manifest['kind']}'; choose another folder")
    now = data_digest(data.tracks, data.bags)
    if manifest.get("data") != now:
        raise DataError(
            f"{path} holds results of other data ({manifest.get('source')}, digest "
            f"{manifest.get('data')}; this is {data.key}, {now}); choose another folder"
        )
    return path


def _choose(data: Data, wanted: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of targets in their order; of all, those that cannot be made are told."""
    for name in wanted:
        if name not in TARGETS:
            raise ConfigError(f"nothing is called {name!r}; {did_you_mean(name, TARGETS)}")
    reasons = {name: TARGETS[name].impossible(data) for name in wanted or TARGETS}
    skipped = {name: reason for name, reason in reasons.items() if reason}
    if wanted and skipped:
        told = first_few([f"{name}: {reason}" for name, reason in skipped.items()])
        raise ConfigError(f"cannot be made of {data.key}: {told}; leave it out, or use other data")
    return tuple(n for n in TARGETS if n in reasons and n not in skipped), skipped


def _unique(rows: Sequence[Row]) -> list[Row]:
    """Each key once; what is predicted besides is kept."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = key_of(row)
        before = found.get(key)
        if before is not None and replace(before, further=row.further) != row:
            raise ConfigError(f"two targets mean different models by {key}; give one another name")
        if before is None or before.further is None:
            found[key] = row
    return list(found.values())


def _forecast(planned: Results, path: Path, n_jobs: int) -> Forecast:
    cells, kept = planned.every(), planned.finished(path)
    seconds = forecast(cells, kept, planned.material, n_jobs=n_jobs)
    return Forecast(len(cells), len(kept), seconds)
