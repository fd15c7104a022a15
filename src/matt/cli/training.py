"""Commands that learn and score: ``train``, ``evaluate``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Output, Quiet, add_bar, outcome
from .extraction import Retry, Salvage, Scheduler, Store, Workers
from .processes import follow, follows, leading, n_processes
from .sources import (
    IN_PART,
    SourcePath,
    exit_if_failed,
    failure_rows,
    lost_files,
    open_source,
    source_features,
    tell_failures,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ..evaluation.tables import Table
    from ..models.classifier import GenreClassifier


def train(
    source: SourcePath,
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    config: Annotated[
        Path | None,
        typer.Option(
            help="Settings as TOML, see 'matt settings'; by default the best known recipe."
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change one setting, e.g. --set training.lr=0.01; 'matt settings' lists them.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split and the training.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Train on it: cpu, auto, cuda, cuda:0, ..., mps.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Compute in float32, bfloat16 or, with CUDA, float16.")
    ] = None,
    controls: Annotated[
        bool, typer.Option(help="Also train the control: a track model averaged over the bag.")
    ] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run in the folder was interrupted.")
    ] = False,
    store: Store = None,
    salvage: Salvage = False,
    retry_failed: Retry = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn genres from a folder of tagged albums or from a table, and say how well it worked.

    Artists are split into training, validation and test unless a table says otherwise; the data are
    audited first; features are extracted once. Several processes share the work under torchrun.
    Example: [bold]matt train ~/Music --out runs/mine[/bold]
    """
    output = Output(json, quiet)
    given = {"seed": seed, "training.device": device, "training.precision": precision}
    overrides = [
        *(override or []),
        *(f"{name}={value}" for name, value in given.items() if value is not None),
    ]
    if follows():
        follow(source, out, config, overrides, controls=controls)
        return
    # The others end once this process lets go of them; what failed has to be said before.
    with leading() as call_others, outcome(output):
        from .. import config as settings_module
        from .. import experiment
        from ..runs import check_free, check_resumable

        check_free(out)
        if resume:  # before features are extracted
            check_resumable(out, kind="train")
        settings = settings_module.load(config, overrides)
        found = open_source(source, output)
        spec = settings.features.spec()
        features, report, place = source_features(
            found,
            spec,
            store,
            output,
            salvage=salvage,
            retry_failed=retry_failed,
            workers=workers,
            scheduler=scheduler,
        )
        failures = lost_files(found, report)
        partial = report.partial if report else ()
        tell_failures(failures, output)
        tell_failures(partial, output, what=IN_PART)
        with output.progress() as bars:
            shown: dict[str, TaskID] = {}

            def show(name: str, epoch: Mapping[str, float]) -> None:
                if "network" in epoch:
                    name = f"{name}, network {epoch['network']:.0f}"
                if name not in shown:
                    shown[name] = add_bar(bars, name, settings.training.epochs)
                score = epoch.get("valid_macro_f1")
                detail = f"loss {epoch['loss']:.3f}" + (
                    "" if score is None else f", validation macro-F1 {score:.3f}"
                )
                recall = epoch.get("valid_tail_recall", math.nan)
                detail += "" if math.isnan(recall) else f", tail recall {recall:.3f}"
                bars.update(shown[name], completed=int(epoch["epoch"]), detail=detail)

            run = experiment.run(
                found.tracks,
                features,
                settings,
                out,
                title=f"Genres of {source.resolve().name}",
                controls=controls,
                notes=found.notes,
                progress=show,
                warn=output.warn,
                ready=lambda: call_others(place),
                resume=resume,
                processes=n_processes(),
                failures=failure_rows(failures),
                partial=failure_rows(partial),
                store=None if place is None else str(place),
            )
            for bar in shown.values():  # stopped early: no more epochs to wait for
                bars.update(bar, total=bars.tasks[bar].completed)
        tables = _saved_tables(out)
        output.tables(tables.values())
        for note in run.manifest["notes"]:
            output.warn(note)
        output.note(f"run folder: {run.path}; report: {run.report}")
        output.document(
            {
                "run": str(run.path),
                "scores": {name: table.to_json() for name, table in tables.items()},
                "audit": run.manifest["audit"],
                "warnings": run.manifest["warnings"],
                "untestable": run.manifest["untestable"],
                "failures": failure_rows(failures),
                "partial": failure_rows(partial),
            }
        )
        exit_if_failed(len(failures))


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder of 'matt train'.", show_default=False)],
    rounds: Annotated[
        int, typer.Option(min=0, help="Resamples of the artists for intervals; 0 for none.")
    ] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute the tables of a run again, from its saved predictions, with their intervals.

    Example: [bold]matt evaluate runs/mine --json[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        tables = _saved_tables(run, rounds=rounds, seed=seed)
        output.tables(tables.values())
        output.document({name: table.to_json() for name, table in tables.items()})


def load_model(path: Path) -> GenreClassifier:
    """Classifier of a run folder or of a model folder, of any kind."""
    from ..models.classifier import GenreClassifier
    from ..runs import Run

    if (path / "model.json").exists():
        return GenreClassifier.load(path)
    return GenreClassifier.load(Run.open(path).check_finished().model)


def _saved_tables(path: Path, *, rounds: int = 1_000, seed: int = 0) -> dict[str, Table]:
    from ..reports.subjects import model_name, saved, tables_of
    from ..runs import Run

    run = Run.open(path)
    made, model = saved(run), model_name(run)
    faults = run.manifest.get("faults", ())
    return tables_of(made, model=model, faults=faults, rounds=rounds, seed=seed)
