"""Commands that learn and score, ``train`` and ``evaluate``, and what may be set, ``settings``."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError, DataError
from ..evaluation.tables import Column, Table
from .console import Output, command, outcome
from .report import Cost, Rounds, Seed
from .sources import (
    Extraction,
    Force,
    Reading,
    Source,
    SourcePath,
    check_learnable,
    default_store,
    exit_if_failed,
    extract_features,
    open_source,
    source_features,
    tell_files,
)
from .torchrun import follow, follows, leading, n_processes

if TYPE_CHECKING:
    from ..config import Settings
    from ..features.report import ExtractionReport
    from ..features.store import FeatureStore
    from ..review.corrections import Corrections
    from ..runs import Run
    from ..settings import SettingsSection


@command
def train(
    output: Output,
    source: SourcePath,
    out: Annotated[Path, Option(help="Run folder to write.")],
    config: Annotated[
        Path | None,
        Option(help="Settings as TOML, see 'matt settings'; by default the best known recipe."),
    ] = None,
    override: Annotated[
        list[str] | None,
        Option(
            "--set",
            help="Change one setting, e.g. --set training.lr=0.01; 'matt settings' lists them.",
        ),
    ] = None,
    seed: Annotated[int | None, Option(help="Of the split and the training.")] = None,
    device: Annotated[
        str | None, Option(help="Train on it: cpu, auto, cuda, cuda:0, ..., mps.")
    ] = None,
    precision: Annotated[
        str | None, Option(help="Compute in float32, bfloat16 or, with CUDA, float16.")
    ] = None,
    kind: Annotated[
        str | None,
        Option(
            "--features",
            help="summary, musicnn, combined (both), or another kind of 'matt extract'; auto lets "
            "validation choose between these three.",
            show_default="auto, of audio; as the settings say",
        ),
    ] = None,
    controls: Annotated[
        bool, Option(help="Also train what is simpler, track by track, to compare with.")
    ] = True,
    out_of_fold: Annotated[
        bool | None,
        Option(
            "--out-of-fold/--no-out-of-fold",
            help="Also answer each album that is learned from by a network that has heard none of "
            "its artists.",
            show_default="of a folder",
        ),
    ] = None,
    with_corrections: Annotated[
        bool,
        Option(
            "--with-corrections",
            help="Of a folder: what you decided in 'matt review' counts instead of the tags.",
        ),
    ] = False,
    details: Annotated[
        bool, Option("--details", help="Of a folder: print all tables and notes, too.")
    ] = False,
    resume: Annotated[
        bool, Option("--resume", help="Go on where a run in the folder was interrupted.")
    ] = False,
    force: Force = False,
    *,
    reading: Reading,
    how: Extraction,
) -> None:
    """Learn genres from a folder of tagged albums or from a table, and say how well it worked.

    Artists are split into training, validation and test unless a table says otherwise; the data are
    audited first; features are extracted once. Several processes share the work under torchrun.
    Example: [bold]matt train ~/Music --out runs/mine[/bold]
    """
    given = {"seed": seed, "training.device": device, "training.precision": precision}
    if kind not in (None, AUTO):
        given["features.kind"] = kind
    overrides = [
        *(override or []),
        *(f"{name}={value}" for name, value in given.items() if value is not None),
    ]
    if follows():
        follow(source, out, config, overrides, controls=controls)
        return
    # The others end once this process lets go of them; what failed has to be said before.
    with leading() as call_others, outcome(output), ExitStack() as held:
        from .. import config as settings_module
        from .. import experiment
        from ..comparison import check_rows, fitted_rows
        from ..files import lock, locks, read_toml
        from ..models.extra import check_extra
        from ..processes import cores
        from ..runs import Run, check_free, check_resumable, is_finished

        held.enter_context(locks())
        if (out / "run.json").exists():  # if somebody is at it, that is what to say
            lock(out)
        check_free(out, replaces=force or resume)
        settings = settings_module.load(config, overrides)
        said = any(text.strip().startswith("features.") for text in overrides)
        said = said or (config is not None and "features" in read_toml(config))
        if resume and is_finished(out, kind="train"):
            run = Run.open(out)
            if kind in (None, AUTO) and not said:  # chosen then
                settings = replace(settings, features=settings_module.load(run.settings).features)
            run.check_same(settings=settings.to_json(), seed=settings.seed)
            output.note(f"{out} is finished; there is nothing to resume")
            _show_run(run, source, output, details=details)
            return
        if resume:  # before features are extracted
            check_resumable(out, kind="train")
        check_extra("'matt train'")
        lock(out)
        found, corrections = open_source(source, output, reading), None
        if with_corrections:
            found, corrections = _corrected(found, output, reading)
        answers = _asks_out_of_fold(out_of_fold, found, output)
        if found.folder:
            _check_teachable(found, settings, output)
        first = settings.features.spec() if found.features is None else found.features.spec
        check_rows(fitted_rows(settings, controls=controls), {"": first.shape})
        if _is_auto(kind, found, output, how, said=said):
            settings, found, (features, report, place) = _chosen(
                settings, found, output, how, details=details or not found.folder
            )
        else:
            features, report, place = source_features(found, settings.features.spec(), output, how)
        files = tell_files(found, report, output)
        with output.progress() as bars:

            def show(name: str, epoch: Mapping[str, float]) -> None:
                if "network" in epoch:
                    name = f"{name}, network {epoch['network']:.0f}"
                detail = _detail(epoch, folder=found.folder)
                bars.show(name, int(epoch["epoch"]), settings.training.epochs, detail)

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
                library=found.folder,
                out_of_fold=answers,
                corrections=corrections,
                workers=how.workers or cores(),
                fitting=lambda done, total: bars.show("what stands beside", done, total),
                processes=n_processes(),
                store=None if place is None else str(place),
                failures=files["failures"],
                partial=files["partial"],
                silent=files["silent"],
            )
            bars.finish()  # stopped early: no more epochs to wait for
        _show_run(run, source, output, details=details)
        exit_if_failed(len(files["failures"]))


def _detail(epoch: Mapping[str, float], *, folder: bool) -> str:
    """How far a network has come; of a folder in a person's words.

    >>> epoch = {"loss": 0.5, "valid_macro_f1": 0.68, "valid_tail_recall": 0.4}
    >>> _detail(epoch, folder=False)
    'loss 0.500, validation macro-F1 0.680, tail recall 0.400'
    >>> _detail(epoch, folder=True)
    'score on artists kept aside: 68 of 100'
    """
    score = epoch.get("valid_macro_f1", math.nan)
    recall = epoch.get("valid_tail_recall", math.nan)
    if folder:
        return "" if math.isnan(score) else f"score on artists kept aside: {100 * score:.0f} of 100"
    told = [f"loss {epoch['loss']:.3f}"]
    told += [] if math.isnan(score) else [f"validation macro-F1 {score:.3f}"]
    return ", ".join(told + ([] if math.isnan(recall) else [f"tail recall {recall:.3f}"]))


AUTO = "auto"


def _is_auto(
    kind: str | None, found: Source, output: Output, how: Extraction, *, said: bool
) -> bool:
    """Whether validation chooses the features: of audio, where nobody else does.

    Raises
    ------
    ConfigError
        If they are named, or validation is to choose, where that cannot be.
    """
    reasons = {
        f"{found.path} brings its own": found.features is not None,
        "the settings say which": said,
        "--store names one store": how.store is not None,
        "several processes train, which have to read the same": n_processes() > 1,
    }
    why = next((why for why, holds in reasons.items() if holds), "")
    if kind == AUTO and why:
        raise ConfigError(f"--features auto cannot choose, as {why}; name one, or leave it out")
    if kind is not None and found.features is not None:
        raise ConfigError(
            f"--features {kind} is of audio, but {found.path} brings its own; leave it out"
        )
    audio = bool((found.tracks.path != "").any())
    if kind is None and audio and why and not said and found.features is None:
        output.note(f"features are a summary, and validation chooses none, as {why}")
    return kind in (None, AUTO) and not why and audio


TESTABLE = 10  # albums to test on, with fewer of which a score says little
_TAGGER = "the tagger that comes with matt needs no training: matt predict"


def _check_teachable(found: Source, settings: Settings, output: Output) -> None:
    """Refuse a folder from which nothing can be learned, before its features are computed.

    Raises
    ------
    DataError, ConfigError
    """
    from ..bags import Bags
    from ..experiment import divide

    check_learnable(found)
    tracks, remedy = found.tracks, f"{_TAGGER} {shlex.quote(str(found.path))}"
    genres = [name for name, n in zip(tracks.genres, tracks.counts, strict=True) if n]
    if len(genres) < 2:
        what = f"only one genre, {genres[0]}," if genres else "no genre"
        raise DataError(
            f"{found.path} has {what} in its tags, so there is nothing to tell apart; tag albums "
            f"of two genres or more; {remedy}"
        )
    try:
        divided = divide(tracks, settings)
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from error
    bags = Bags.from_tracks(divided, by=settings.bags)
    tested = Bags.from_tracks(divided, by=settings.bags, split="test")
    n, n_tested = int(bags.known.sum()), int(tested.known.sum())
    if n_tested < TESTABLE:
        output.warn(
            f"{n:,} albums have a genre, and {n_tested} of them are kept to test on: whatever "
            f"comes out, it says little; {remedy}"
        )


def _corrected(found: Source, output: Output, reading: Reading) -> tuple[Source, Corrections]:
    """A folder under the labels that a person decided, and what was made of these decisions.

    Raises
    ------
    ConfigError
        If it is no folder.
    DataError
        If nobody has decided anything that is of an album in it.
    """
    from ..datasets.credits import normalise, same_genre
    from ..review.corrections import corrected
    from ..review.decisions import Decisions

    if not found.folder or found.vocabulary is None:
        raise ConfigError(
            f"--with-corrections uses what was decided about a folder, but {found.path} is none; "
            "name the folder, or leave it out"
        )
    kept, review = Decisions.open(found.path), f"matt review {shlex.quote(str(found.path))}"
    decided = kept.latest()
    if n := kept.damaged:
        lines, are = ("line", "is") if n == 1 else ("lines", "are")
        output.warn(f"{n:,} {lines} of {kept.path} cannot be read, and {are} passed over")
    if not decided:
        above = (one for one in found.path.absolute().parents if Decisions.open(one).latest())
        wider = next((f", or learn from {one}, about which it was" for one in above), "")
        raise DataError(
            f"nobody has decided anything about {found.path} yet; do it with {review}{wider}"
        )
    same = same_genre if reading.merge else normalise
    root = Path(os.path.abspath(found.path))
    made = corrected(found.tracks, decided.values(), found.vocabulary, root=root, same=same)
    if not made.used:
        raise DataError(
            f"none of {len(decided):,} decisions is of an album in {found.path}; decide anew with "
            f"{review}, or leave out --with-corrections"
        )
    for note in made.notes:
        output.note(note)
    fault = "" if len(made.tracks.genres) > 1 else found.fault
    notes = (*found.notes, *made.notes)
    return replace(found, tracks=made.tracks, notes=notes, fault=fault), made


def _asks_out_of_fold(asked: bool | None, found: Source, output: Output) -> bool:
    """Whether to answer out of fold: what was asked, else of a folder.

    Raises
    ------
    ConfigError
        If it is asked of several processes.
    """
    if n_processes() == 1:
        return found.folder if asked is None else asked
    if asked:
        raise ConfigError("--out-of-fold is for one process; start it without torchrun")
    if found.folder and asked is None:
        output.note("nothing is answered out of fold, which is for one process")
    return False


def _chosen(
    settings: Settings, found: Source, output: Output, how: Extraction, *, details: bool
) -> tuple[Settings, Source, tuple[FeatureStore, ExtractionReport | None, Path | None]]:
    """Settings and tracks with the features that validation chose, and these as `source_features`.

    All are extracted at once, and the report tells what was lost of any.
    """
    from ..experiment import CANDIDATES, choose_features
    from ..features.spec import FeatureSettings
    from ..features.store import FeatureStore
    from ..settings import made

    every = {kind: made(FeatureSettings, {"kind": kind}, where="features") for kind in CANDIDATES}
    specs = {kind: features.spec() for kind, features in every.items()}
    places = {kind: default_store(found.path, spec) for kind, spec in specs.items()}
    tracks = found.tracks.take(found.tracks.path != "")
    reports = extract_features(tracks, {specs[k]: places[k] for k in CANDIDATES}, output, how)

    def of_any(name: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(f for one in reports.values() for f in getattr(one, name)))

    failures, partial, silent = map(of_any, ("failures", "partial", "silent"))
    report = next(iter(reports.values()))
    report = replace(report, failures=failures, partial=partial, silent=silent)
    stores = {kind: FeatureStore.open(place) for kind, place in places.items()}
    choice = choose_features(tracks, stores, settings)
    if choice.table.rows and details:
        output.tables([choice.table])
    plainly = f"features are {choice.kind}, which did best on artists kept aside"
    output.note(choice.note if details else plainly)
    kept = replace(found, tracks=choice.tracks, notes=(*found.notes, choice.note))
    features = stores[choice.kind], report, places[choice.kind]
    return replace(settings, features=every[choice.kind]), kept, features


def _show_run(run: Run, source: Path, output: Output, *, details: bool) -> None:
    """What a finished run came to: a few lines of a folder, else or also tables and notes."""
    lines = run.manifest.get("lines")
    tables = _saved_tables(run.path) if details or output.json or not lines else {}
    if not output.quiet:
        if details or not lines:
            output.tables(tables.values())
        for line in lines or ():
            output.say(line, words=True)
        if lines:
            output.say(_next(run, source))
    if details or not lines:
        for note in run.manifest["notes"]:
            output.warn(note)
        output.note(f"run folder: {run.path}; report: {run.report}")
    facts = ("data_notes", "audit", "warnings", "untestable", "failures", "partial", "silent")
    output.document(
        {
            "run": str(run.path),
            "lines": lines or [],
            "scores": {name: table.to_json() for name, table in tables.items()},
            **{fact: run.manifest.get(fact, []) for fact in facts},
        }
    )


def _next(run: Run, source: Path) -> str:
    """What to do with a run of a folder: use it, or the tagger where it is worth little."""
    folder, made = shlex.quote(str(source)), shlex.quote(str(run.path))
    begins = (
        f"As that is worth little: {_TAGGER} {folder}"
        if run.manifest.get("weak")
        else f"Next: matt predict {folder} --model {made}"
    )
    return f"{begins}; more: {run.report}, or matt evaluate {made}"


@command
def evaluate(
    output: Output,
    run: Annotated[Path, Argument(help="Run folder of 'matt train'.", show_default=False)],
    rounds: Rounds = 1_000,
    seed: Seed = 0,
    cost: Cost = None,
) -> None:
    """Compute the tables of a run again, from its saved predictions, with their intervals.

    Example: [bold]matt evaluate runs/mine --json[/bold]
    """
    tables = _saved_tables(run, rounds=rounds, seed=seed, cost=cost)
    output.tables(tables.values())
    output.document({name: table.to_json() for name, table in tables.items()})


@command
def export(
    output: Output,
    model: Annotated[
        Path, Argument(metavar="RUN", help="Run folder of 'matt train', or a model folder.")
    ],
    onnx: Annotated[Path, Option(help="File to write, e.g. genres.onnx.")],
    force: Force = False,
) -> None:
    """Write a network as one file of ONNX that other programs can run: a bag to probabilities.

    Example: [bold]matt export runs/mine --onnx genres.onnx[/bold]
    """
    from ..files import check_new
    from ..library.learned import load_model
    from ..models.blend import BlendClassifier
    from ..models.extra import check_extra
    from ..models.neural import NeuralClassifier

    check_new(onnx, force=force)
    check_extra("'matt export'")
    from ..models.exported import export_model

    classifier = load_model(model)
    if isinstance(classifier, BlendClassifier):
        raise ConfigError(
            f"{model} is a blend, and its SVM and trees are no graph; train with the recipe "
            f"'single', or export its networks alone: matt export {model}/model/network"
        )
    if not isinstance(classifier, NeuralClassifier):
        raise ConfigError(f"{model} is no network; export one of 'matt train'")
    export_model(classifier, onnx)
    output.note(f"written to {onnx}")
    output.document({"onnx": str(onnx), "genres": list(classifier.genres)})


@command
def settings(
    output: Output,
    section: Annotated[
        str | None,
        Argument(
            help="One section alone, e.g. training; run is what stands in none. pooling.NAME, "
            "encoder.NAME or loss.NAME is what one of your own has."
        ),
    ] = None,
    toml: Annotated[
        bool, Option("--toml", help="Print a commented TOML file with the defaults.")
    ] = False,
) -> None:
    """Show every setting with its type, values, default and meaning.

    What is printed with --toml is a file for [bold]matt train --config[/bold]. Example:
    [bold]matt settings model[/bold]
    """
    from .. import config

    if toml and output.json:
        raise ConfigError("--toml and --json print different documents; give one of them")
    shown = config.sections() if section is None else (config.find(section),)
    if toml:
        for line in "\n".join(part.to_toml() for part in shown).splitlines():
            output.say(line)
    else:
        output.tables(map(_settings_table, shown))
        output.document({"sections": [part.to_json() for part in shown]})


def _saved_tables(
    path: Path, *, rounds: int = 1_000, seed: int = 0, cost: Path | None = None
) -> dict[str, Table]:
    from ..calibration.costs import read_costs
    from ..reports.subjects import model_name, saved, tables_of
    from ..runs import Run

    run = Run.open(path)
    made, model = saved(run), model_name(run)
    faults = run.manifest.get("faults", ())
    costs = None if cost is None else read_costs(cost, next(iter(made.values())).genres)
    return tables_of(made, model=model, faults=faults, rounds=rounds, seed=seed, costs=costs)


def _settings_table(section: SettingsSection) -> Table:
    from ..settings import shown

    columns = [Column(name) for name in ("setting", "type", "values", "default", "meaning")]
    rows = tuple((s.name, s.kind, s.values, shown(s.default), s.meaning) for s in section.settings)
    notes = (f"Without a section [{section.name}] there is none of it.",) if section.absent else ()
    return Table(section.title, tuple(columns), rows, notes)
