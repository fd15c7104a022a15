"""A reproduction from beginning to end: open data, run what is not finished, make the tables.

Its pages are one HTML file that holds everything, and the same as Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..comparison import Row, data_digest
from ..errors import ConfigError, DataError, did_you_mean, first_few
from ..evaluation.report import Picture, ReportPage, Section
from ..faults import PROTOCOLS, fault_texts
from ..files import locks, write_json, write_text
from ..processes import Progress
from ..provenance import made as made_by
from ..runs import Run, check_free
from . import claims, degradation, fault_study, figures, recipes, tables
from .data import MFCC, SMALL, TABLE, Data
from .measures import bench_of
from .plan import Request, Results, key_of, undropped
from .targets import Made, Target

KIND = "reproduce"
_SCHEMA = "matt.reproduce/1"
LEAD = (
    "The tables and figures of Liu & Zhang, MATT: A Multiple-instance Attention Mechanism for "
    "Long-tail Music Genre Classification (IEEE SMC 2022), made again: with controls, several "
    "seeds and intervals, and every fault of the paper or its released code measured alone."
)
SIMULATED = "SIMULATED: nothing about music follows from any number on this page."
CAPTIONS = {
    "faults": "Each fault less the corrected model, on equal test tracks. Red crosses: chosen on "
    "the test split. A line with + adds its fault to those of the line above.",
    "figure_1": "Training tracks of each genre; the paper's two tails are marked.",
    "figure_4a": "Micro-flattened precision and recall, the mean over repeats at equal recall; the "
    "paper's own curves dotted, with hollow marks. Each track under its own label.",
    "figure_4b": "The same of the models that read log-mels.",
    "figure_4a_scores": "The scores of MLP+MATT: that of the release, dot, and eq. (1) read with a "
    "weight matrix, additive, or to the letter, scalar.",
    "figure_4b_scores": "The same of the models that read log-mels.",
    "figure_4c": "Accuracy with its 95 % interval; diamonds are the paper's.",
    "damage_cut": "Accuracy as test bags are cut to a few random tracks.",
    "damage_missing": "Accuracy as tracks lose their album or artist, and are alone.",
    "damage_wrong": "Accuracy as tracks swap their places at random.",
}
"""What is said beneath a picture, by its name."""


def _not_of_recipes(data: Data) -> str:
    if data.key in (SMALL, MFCC, TABLE):
        name = data.name if data.key == TABLE else data.key
        return f"{name} has one set of features, and not FMA-medium's genres"
    return ""


TARGETS: dict[str, Target] = {
    "faults": Target("Faults, alone and one after the other", fault_study.needs, fault_study.make),
    "claims": Target("What the paper claims", claims.needs, claims.make),
    "table 1": Target("Table I", tables.needs_table_1, tables.make_table_1, _not_of_recipes),
    "table 2": Target("Table II", tables.needs_table_2, tables.make_table_2, _not_of_recipes),
    "case study": Target("Case study", tables.needs_case_study, tables.make_case_study),
    "figure 1": Target("Fig. 1: distribution of genres", figures.no_rows, figures.make_figure_1),
    "figure 4": Target(
        "Fig. 4: curves and accuracy", figures.needs_figure_4, figures.make_figure_4
    ),
    "degradation": Target(
        "Bags that lack tracks, tags or truth", degradation.needs, degradation.make
    ),
    "recipes": Target("Recipes on real tracks", recipes.needs, recipes.make, recipes.impossible),
}
"""Everything that can be made, by the name of its option, in the order of the finished page."""


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


@locks()
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
    data = data.divided(seeds, folds=folds, seed=seed)
    data = replace(data, notes=(*data.notes, *undropped(data, request)))
    rows = [row for name in chosen for row in TARGETS[name].needs(data, request)]
    planned = Results.planned(data, _unique(rows), data.splits, protocol=request.protocol)
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
    results = planned.run(path, n_jobs=n_jobs, progress=progress)
    folder = path / request.protocol
    bench, made = bench_of(results, rounds=request.rounds), {}
    for name in chosen:
        made[name] = TARGETS[name].make(results, bench, folder)
        for called, table in made[name].tables.items():
            write_text(folder / f"{called}.csv", table.to_csv())
            write_text(folder / f"{called}.md", table.to_markdown())
            write_json(folder / f"{called}.json", table.to_json())
    failures = tuple(f"{f.cell.name}: {f.reason}" for f in results.report.failures)
    done = Reproduction(
        run=run, results=results, request=request, made=made, skipped=skipped, failures=failures
    )
    write_page(done, folder)
    run.save_scores(done.to_json())
    run.finish(failed=bool(failures), failures=list(failures))
    return done


def check_out(out: Path | str, data: Data) -> Path:
    """Refuse a folder that holds something else, or cells of other data.

    Raises
    ------
    DataError
    """
    path = check_free(out, kind=KIND)
    if not (path / "run.json").exists():
        return path
    manifest, now = Run.open(path).manifest, data_digest(data.tracks, data.bags)
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


def _sections(done: Reproduction) -> list[Section]:
    """What a page holds: of each target its pictures and tables, then what is missing."""
    sections = []
    for name, made in done.made.items():
        pictures = [
            Picture(path.read_bytes(), CAPTIONS.get(called, called))
            for called, path in made.pictures.items()
        ]
        sections.append(Section(TARGETS[name].title, [*pictures, *made.tables.values()]))
    if done.skipped or done.failures:
        lines = [f"{TARGETS[name].title}: {reason}." for name, reason in done.skipped.items()]
        told = ["Not made of this data.", *lines] if lines else []
        if done.failures:
            told += ["Cells that failed; what needs them is partial.", *done.failures]
        sections.append(Section("What is missing", ["\n\n".join(told)]))
    return sections


def cut_short(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Say that trainings were cut short, where the run asked for it.

    >>> cut_short({"settings": {"request": {"epochs": None, "crnn_epochs": 3}}})
    ('CUT SHORT: CRNNs were trained for at most 3 epochs, so their rows say little.',)
    """
    settings = manifest.get("settings")
    request = settings.get("request") if isinstance(settings, Mapping) else None
    asked = request if isinstance(request, Mapping) else {}
    names = {"epochs": "networks of features", "crnn_epochs": "CRNNs"}
    return tuple(
        f"CUT SHORT: {name} were trained for at most {asked[key]} epochs, so their rows say little."
        for key, name in names.items()
        if asked.get(key) is not None
    )


def write_page(done: Reproduction, folder: Path) -> None:
    """Write ``report.html`` and ``report.md`` into the folder of a protocol, beside its pictures.

    Where the data are not real, the page says so in red.
    """
    data, protocol, manifest = done.results.data, done.request.protocol, done.run.manifest
    warnings = [] if data.real else [SIMULATED]
    warnings += cut_short(manifest)
    warnings += fault_texts(PROTOCOLS[protocol], red=True)
    if done.failures:
        warnings.append(f"PARTIAL: {len(done.failures)} cells failed, see the end of the page.")
    page = ReportPage(
        title=f"MATT, reproduced: {data.name}",
        lead=f"{LEAD}\n\nData: {data.name}. Protocol: {protocol}. {' '.join(data.notes)}",
        sections=_sections(done),
        warnings=warnings,
        footer=made_by(manifest),
    )
    page.write(folder / "report.html")
    pictures = (path for made in done.made.values() for path in made.pictures.values())
    files = {path.read_bytes(): path.name for path in pictures}
    write_text(folder / "report.md", page.to_markdown(lambda picture: files[picture.png]))
