"""Commands that write into files, and undo it: ``tag``, ``undo``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError
from ..evaluation.tables import Table
from .albums import Model, ask_model
from .console import Output, command
from .library import Asked
from .sources import (
    Extraction,
    Force,
    Reading,
    exit_if_failed,
    extracting,
    scan_in_library,
    tell_files,
    tell_list,
)

if TYPE_CHECKING:
    from ..tagging.journal import Journal
    from ..tagging.plan import Plan
    from ..tagging.policy import Policy
    from ..tagging.writing import Outcome

_NOTHING_WRITTEN = "nothing was written; --apply does, and 'matt undo' takes it back"


@command
def tag(
    output: Output,
    what: Annotated[
        Path,
        Argument(
            metavar="WHAT",
            help="A folder of music, a .json of 'matt predict --out', or a plan (.jsonl).",
            show_default=False,
        ),
    ],
    model: Model = None,
    apply: Annotated[bool, Option("--apply", help="Write. Without it the plan is shown.")] = False,
    mode: Annotated[
        str,
        Option(
            metavar="fill-empty|append|replace",
            help="Leave files alone that have a genre, add to it, or put another in its place.",
        ),
    ] = "fill-empty",
    protect: Annotated[
        list[str] | None,
        Option(metavar="GENRE", help="It always stays. May be repeated.", show_default=False),
    ] = None,
    min_sure: Annotated[
        float | None,
        Option(
            help="Write from this probability on, 0 to 1. By default what 'matt predict' calls "
            "sure.",
            show_default=False,
        ),
    ] = None,
    fields: Annotated[
        str, Option(metavar="NAMES", help="Of genre, mood, grouping, with commas between.")
    ] = "genre",
    most: Annotated[int, Option("--top", help="Genres an album gets at most.", min=1)] = 1,
    level: Annotated[
        str, Option(metavar="album|track", help="One genre for an album, or one for each track.")
    ] = "album",
    plan: Annotated[
        Path | None,
        Option(help="Write the plan to a .jsonl, to be edited and applied.", show_default=False),
    ] = None,
    sidecar: Annotated[
        bool,
        Option("--sidecar", help="Write matt-genres.json into each folder, and no audio file."),
    ] = False,
    mp3tag: Annotated[
        Path | None,
        Option(help="Write a list that Mp3tag can read, and no audio file.", show_default=False),
    ] = None,
    separator: Annotated[
        str, Option(help="Between several genres in ID3v2.3, which knows one text a field.")
    ] = "/",
    break_links: Annotated[
        bool, Option("--break-links", help="Also write files that have several names.")
    ] = False,
    keep_times: Annotated[
        bool, Option("--keep-times", help="Keep the time at which a file was changed last.")
    ] = False,
    force: Force = False,
    *,
    asked: Asked,
    reading: Reading,
    how: Extraction,
) -> None:
    """Show what genres would be written into files; --apply writes them, so that it can be undone.

    Example: [bold]matt tag ~/Music --model runs/mine[/bold], then the same with
    [bold]--apply[/bold]
    """
    from ..files import check_new
    from ..library.export import check_level
    from ..tagging import sidecar as beside
    from ..tagging.policy import Policy
    from ..tagging.writing import WriteOptions

    check_level(level)
    if apply and (sidecar or mp3tag):
        raise ConfigError("--sidecar and --mp3tag write no audio file; leave --apply out")
    for out in filter(None, (plan, mp3tag)):
        check_new(out, force=force)
    if plan is not None and plan.suffix != ".jsonl":
        raise ConfigError(f"--plan writes a .jsonl, and {plan} is none")
    names = tuple(dict.fromkeys(name.strip() for name in fields.split(",") if name.strip()))
    policy = Policy(mode, tuple(protect or ()), min_sure, names, most)  # type: ignore[arg-type]
    options = WriteOptions(break_links, keep_times, separator)
    made, lost = _plan_of(what, policy, level, output, model, asked, reading, how)
    if plan is not None:
        made.save(plan)
        output.note(f"the plan is in {plan}: edit it, then 'matt tag {plan} --apply'")
    if sidecar:
        written = beside.write_sidecars(made)
        output.note(f"{beside.NAME} was written into {len(written):,} folders")
    if mp3tag is not None:
        beside.write_mp3tag(made, mp3tag)
        told = beside.mp3tag_format(made).replace("\t", "<tab>")
        output.note(f"written to {mp3tag}; in Mp3tag: Convert, Text file - Tag, format {told}")
    failures = [{"path": path, "reason": reason} for path, reason in made.failures]
    if not apply:
        output.tables([made.table()] if made.changes else [])
        output.say(made.summary(), words=True)
        tell_list([f"{one['path']}: {one['reason']}" for one in failures], output, "left alone")
        if made.changes:
            output.note(_NOTHING_WRITTEN)
        document = {"applied": False, "failures": failures}
    else:
        outcomes, journal = _applied(made, options, output)
        failures += _failures(outcomes)
        _tell_outcomes(outcomes, failures, "written", output)
        if journal is not None:
            output.note(f"'matt undo {journal.name}' makes them what they were")
        document = {
            "applied": True,
            "written": [str(one.path) for one in outcomes if one.done],
            "journal": None if journal is None else journal.name,
            "failures": failures,
        }
    changes = [change.__dict__ for change in made.changes]
    output.document(
        {
            "schema": "matt.tag/1",
            "root": made.root,
            "changes": changes,
            "left": made.left,
            **document,
        }
    )
    exit_if_failed(len(failures) + lost)


def _plan_of(
    what: Path,
    policy: Policy,
    level: str,
    output: Output,
    model: Path | None,
    asked: Asked,
    reading: Reading,
    how: Extraction,
) -> tuple[Plan, int]:
    """Read a plan, or make one of predictions; and how many files could not be heard."""
    from ..datasets.genres import vocabulary
    from ..library.predict import bar_of, predict_library
    from ..tagging.plan import SUFFIX, Plan, read_predictions

    if what.suffix == SUFFIX:
        return Plan.open(what), 0
    if not what.is_dir() and what.suffix.lower() == ".json":
        rows = read_predictions(what)
        with _looking(output, "reading tags", _n_files(rows)) as told:
            return Plan.of(rows, policy, vocabulary(reading.genres), told=told), 0
    opened = ask_model(model, output)
    selection = asked.selection()
    found, place = scan_in_library([what], opened.spec, output, reading, how)
    chosen = selection.of(found, root=what)
    with extracting(chosen.tracks, {opened.spec: place}, output, how) as options:
        result = predict_library(
            chosen,
            opened.model,
            place,
            bar=bar_of(opened.model, below=policy.min_sure, accuracy=None, prior=None),
            learned=opened.learned,
            alone=level == "track",
            **options,
        )
    lost = len(tell_files(found, result.extraction, output)["failures"])
    shown = result.of(selection).at(level)
    with _looking(output, "reading tags", _n_files(shown)) as told:
        return Plan.of(shown, policy, found.vocabulary, told=told), lost


def _n_files(rows: Sequence[dict[str, Any]]) -> int:
    return sum(len(row.get("tracks") or [row]) for row in rows)


def _applied(plan: Plan, options: Any, output: Output) -> tuple[list[Outcome], Journal | None]:
    """Write what a plan says."""
    from ..tagging.writing import apply

    wishes = plan.wishes()
    with _looking(output, "writing", len(wishes)) as told:
        return apply(wishes, "matt tag", options=options, told=lambda _: told())


@command
def undo(
    output: Output,
    name: Annotated[
        str | None,
        Argument(
            metavar="[NAME]",
            help="The run to take back; by default the last one.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, Option("--list", help="List the runs that can be taken back.")] = False,
    prune: Annotated[
        str | None,
        Option(
            metavar="DAYS",
            help="Forget runs older than so many days, e.g. 90d: they cannot be taken back then.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Give files the bytes that they had before 'matt tag --apply'.

    Files that have changed since are left alone, and listed.
    """
    from ..tagging import journal as journals
    from ..tagging.writing import undo as take_back

    if sum((name is not None, show, prune is not None)) > 1:
        raise ConfigError("name a run, or say --list, or --prune; not two of them")
    if prune is not None:
        gone = journals.prune(older_than=_days(prune))
        output.say(f"{len(gone):,} run{'s' * (len(gone) != 1)} forgotten")
        output.document({"schema": "matt.undo/1", "forgotten": [one.name for one in gone]})
        return
    if show:
        _list(output)
        return
    opened = journals.Journal.open(name)
    if opened.n_damaged:
        output.warn(
            f"{opened.n_damaged} line(s) of {opened.path} are damaged or cut off and are left out"
        )
    records = opened.open_records()
    with _looking(output, "undoing", len(records)) as told:
        outcomes = take_back(opened, told=lambda _: told())
    failures = _failures(outcomes)
    _tell_outcomes(outcomes, failures, "as they were", output)
    output.document(
        {
            "schema": "matt.undo/1",
            "journal": opened.name,
            "undone": [str(one.path) for one in outcomes if one.done],
            "failures": failures,
        }
    )
    exit_if_failed(len(failures))


def _list(output: Output) -> None:
    """List the journals."""
    import time

    from ..tagging.journal import all_journals, journals_folder

    rows: list[dict[str, Any]] = [
        {
            "name": one.name,
            "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(one.when)),
            "command": str(one.head.get("command", "")),
            "files": len(one.records()),
            "written": len(one.open_records()),
            "bytes": one.n_bytes,
        }
        for one in all_journals()
    ]
    table = Table.of(
        "Runs that wrote into files",
        rows,
        ("name", "text", lambda row: row["name"]),
        ("files", "int", lambda row: row["files"]),
        ("not undone", "int", lambda row: row["written"]),
        ("bytes", "int", lambda row: row["bytes"]),
        notes=(f"kept in {journals_folder()}",),
    )
    output.tables([table])
    output.document({"schema": "matt.journals/1", "journals": rows})


def _days(text: str) -> float:
    if not (found := re.fullmatch(r"(\d{1,5})d?", text.strip())):
        raise ConfigError(f"--prune is {text!r}; give a number of days, e.g. 90d")
    return float(found[1])


def _failures(outcomes: Sequence[Outcome]) -> list[dict[str, str]]:
    return [{"path": str(one.path), "reason": one.reason} for one in outcomes if one.failed]


def _tell_outcomes(
    outcomes: Sequence[Outcome], failures: Sequence[dict[str, str]], what: str, output: Output
) -> None:
    n = sum(one.done for one in outcomes)
    said = f"{n:,} file{'s' * (n != 1)} {what}"
    output.say(said + (f"; {len(failures):,} left alone" if failures else ""))
    tell_list([f"{one['path']}: {one['reason']}" for one in failures], output, "left alone")


@contextmanager
def _looking(output: Output, what: str, total: int) -> Iterator[Any]:
    """Show how far a run over files is; gives what is called after each."""
    with output.progress() as bars:
        show, done = bars.counting(what, total), count(1)
        yield lambda: show(next(done), total)
