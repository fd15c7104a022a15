"""Commands that write into files, and take it back: ``tag``, ``undo``."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..calibration.coverage import check_share
from ..errors import ConfigError, DataError
from ..evaluation.tables import Column, Table, percent
from .albums import Model
from .console import Output, command
from .library import Asked, predict_named
from .sources import (
    Extraction,
    Reading,
    exit_if_failed,
    holding_folder,
    tell_files,
    tell_list,
)
from .watch import ended_by_the_system

if TYPE_CHECKING:
    from ..tagging.journal import Journal
    from ..tagging.plan import Change, TagPlan
    from ..tagging.policy import Policy
    from ..tagging.writing import FileOutcome, Told, WriteOptions

_PLAN = ".jsonl"


@dataclass(frozen=True)
class Written:
    """Options that say what is written, and where."""

    mode: Annotated[
        str,
        Option(
            metavar="fill-empty|append|replace",
            help="Only where no genre is; add to those that are there; put others in their place.",
        ),
    ] = "fill-empty"
    protect: Annotated[
        list[str] | None,
        Option(
            metavar="GENRE",
            help="What has it stays as it is. May be repeated; 'protect' in genres.toml is a list.",
            show_default=False,
        ),
    ] = None
    min_sure: Annotated[
        float | None,
        Option(
            help="Probability that an answer needs, e.g. 0.6. By default what 'matt predict' calls "
            "sure.",
            show_default=False,
        ),
    ] = None
    fields: Annotated[
        str,
        Option(
            metavar="NAMES",
            help="Of genre, mood (of the shipped tagger) and grouping (the topmost genre), commas "
            "between.",
        ),
    ] = "genre"
    top: Annotated[
        int, Option(help="Genres that an album is given at most, up to 20.", min=1, max=20)
    ] = 1
    separator: Annotated[
        str, Option(help="Between several genres in ID3v2.3, which has no list, e.g. '; '.")
    ] = "/"

    def policy(self) -> Policy:
        """The same, checked.

        Raises
        ------
        ConfigError
        """
        from ..tagging.policy import Policy

        if self.min_sure is not None:
            check_share("--min-sure", self.min_sure)
        return Policy(
            self.mode,
            tuple(self.protect or ()),
            self.min_sure,
            tuple(dict.fromkeys(name.strip() for name in self.fields.split(",") if name.strip())),
            self.top,
            self.separator,
        )


@command
def tag(
    output: Output,
    what: Annotated[
        Path,
        Argument(
            metavar="WHAT",
            help="Folder of music; or a .json, .csv or .parquet of 'matt predict --out'; or a "
            "plan, a .jsonl of --plan.",
            show_default=False,
        ),
    ],
    model: Model = None,
    apply: Annotated[bool, Option("--apply", help="Write. Without it the plan is shown.")] = False,
    plan: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Write the plan to a .jsonl, to be edited, and applied later.",
            show_default=False,
        ),
    ] = None,
    sidecar: Annotated[
        bool,
        Option("--sidecar", help="With --apply: a matt-genres.json in each folder, no audio file."),
    ] = False,
    mp3tag: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Write a list that Mp3tag imports; no audio file is written.",
            show_default=False,
        ),
    ] = None,
    level: Annotated[
        str | None,
        Option(
            metavar="album|track",
            help="Whose genre a file gets; by default its album's, or what the predictions are of.",
            show_default=False,
        ),
    ] = None,
    library: Annotated[
        Path | None,
        Option(
            metavar="DIR",
            help="Nothing outside of it is written; by default what the plan names, or holds all "
            "files.",
            show_default=False,
        ),
    ] = None,
    break_links: Annotated[
        bool,
        Option("--break-links", help="Also write files with several names (hard links)."),
    ] = False,
    keep_times: Annotated[
        bool, Option("--keep-times", help="Keep the time at which a file was last changed.")
    ] = False,
    force: Annotated[
        bool,
        Option("--force", help="Replace what --plan or --mp3tag names, if it is there."),
    ] = False,
    *,
    written: Written,
    asked: Asked,
    reading: Reading,
    how: Extraction,
) -> None:
    """Show which genres would go into which files; --apply writes them, 'matt undo' takes it back.

    Example: [bold]matt tag ~/Music --model runs/mine[/bold], then the same with
    [bold]--apply[/bold]
    """
    from ..files import check_new
    from ..tagging import sidecar as beside
    from ..tagging.writing import WriteOptions

    policy = written.policy()
    if apply and mp3tag is not None:
        raise ConfigError("--mp3tag writes a list and no audio file; leave --apply out")
    if sidecar and mp3tag is not None:
        raise ConfigError("--sidecar and --mp3tag are two places; give one of them")
    if plan is not None and plan.suffix != _PLAN:
        raise ConfigError(f"--plan is {plan}; let its name end in {_PLAN}")
    for out in filter(None, (plan, mp3tag)):
        check_new(out, force=force)
    make = _Planning(output, written, level, library, model, asked, reading, how)
    made, n_lost = make.plan(what)
    failures = [{"path": str(one.path), "reason": one.why} for one in made.failures]
    told: dict[str, Any] = {}
    if plan is not None:
        made.save(plan)
        output.note(f"plan written to {plan}; '{_doing(plan, made.library)}' does it")
    if mp3tag is not None:
        failures += _rows(beside.write_mp3tag(made, mp3tag))
        output.note(
            f"written to {mp3tag}; in Mp3tag, Convert, Text file - Tag, with the format string "
            f"{beside.mp3tag_format(made)}"
        )
    if not apply:
        output.tables([_table(made)] if made.changes else [])
        output.say(made.summary, words=True)
        if made.changes and plan is None and mp3tag is None:
            output.note("nothing is written; --apply does it, and 'matt undo' takes it back")
    else:
        options = WriteOptions(break_links, keep_times, policy.separator)
        told, refused = _apply(made, options, output, beside=sidecar)
        failures += refused
    tell_list([f"{row['path']}: {row['reason']}" for row in failures], output, "files left alone")
    output.document({**_document(made), "applied": apply, **told, "failures": failures})
    exit_if_failed(len(failures) + n_lost)


@dataclass(frozen=True)
class _Planning:
    """How a plan is made of whatever is named."""

    output: Output
    written: Written
    level: str | None
    library: Path | None
    model: Path | None
    asked: Asked
    reading: Reading
    how: Extraction

    def plan(self, what: Path) -> tuple[TagPlan, int]:
        """The plan, and how many files could not be heard."""
        from ..library.export import check_level
        from ..tagging.plan import TagPlan

        if self.level is not None:
            check_level(self.level)
        if not what.exists():
            raise DataError(f"{what} does not exist; check the path")
        if what.is_dir():
            return self._of_folder(what)
        if what.suffix.lower() != _PLAN:
            return self._of_file(what)
        other = replace(self.written, separator=Written.separator)  # how it is written, not what
        why = f"{what} is a plan and says what is written; edit it, or leave that out"
        self._refuse(why, other, self.asked, self.reading, level=self.level)
        return TagPlan.open(what, library=self.library), 0

    def _refuse(self, why: str, *groups: Any, **single: Any) -> None:
        """Refuse options that would change nothing, besides those of what was heard already.

        Raises
        ------
        ConfigError
        """
        single |= {"model": self.model}
        given = [f"--{name}" for name, value in single.items() if value is not None]
        for group in (*groups, self.how):
            for each in fields(group):
                if (value := getattr(group, each.name)) != each.default:
                    no = "no-" * (value is False)
                    given.append(f"--{no}{each.name.replace('_', '-')}")
        if given:
            raise ConfigError(f"{', '.join(given)} would change nothing: {why}")

    @property
    def policy(self) -> Policy:
        """What is written, and where."""
        return self.written.policy()

    def _of_folder(self, folder: Path) -> tuple[TagPlan, int]:
        from ..library.predict import AskedModel, bar_of

        opened, level = AskedModel.open(self.model), self.level or "album"
        bar = bar_of(opened.model, below=self.policy.min_sure, accuracy=None, prior=None)
        found, result = predict_named(
            [folder],
            opened,
            self.output,
            asked=self.asked,
            reading=self.reading,
            how=self.how,
            bar=bar,
            top=max(3, self.policy.most),
            alone=level == "track",
        )
        n_lost = len(tell_files(found, result.extraction, self.output)["failures"])
        root = self.library or holding_folder([folder]) or folder
        return self._of(result.at(level), level, root, found.vocabulary), n_lost

    def _of_file(self, path: Path) -> tuple[TagPlan, int]:
        from ..datasets.genres import FILE, vocabulary
        from ..datasets.words import known_words
        from ..tagging.predicted import read_predictions

        why = f"{path} says what was heard; leave that out, or name the folder of the music"
        self._refuse(why, replace(self.reading, genres=None, words=None))
        level, rows = read_predictions(path)
        if self.level not in (None, level):
            raise ConfigError(
                f"{path} is of {level}s; predict with --level {self.level}, or leave --level out"
            )
        files = [track["path"] for row in rows for track in row.get("tracks", [row])]
        root = self.library or _holding(files)
        own = self.reading.genres or root / FILE
        words = known_words(self.reading.words)
        known = vocabulary(own if self.reading.genres or own.is_file() else None, words)
        return self._of(self._chosen(rows, root), level, root, known), 0

    def _chosen(self, rows: list[dict[str, Any]], root: Path) -> list[dict[str, Any]]:
        """Rows of what is asked for, each with the files that are."""
        selection = self.asked.selection()
        if selection.untagged:
            rows = [row for row in rows if not row["tagged"]]
        since = 0 if selection.since is None else selection.since.timestamp()
        chosen = []
        for row in selection.rows(rows):
            tracks = row.get("tracks", [row])
            names = [os.path.relpath(track["path"], root).replace(os.sep, "/") for track in tracks]
            left = [
                track for track, asked in zip(tracks, selection.named(names), strict=True) if asked
            ]
            if left and (not since or any(_changed(track["path"]) >= since for track in left)):
                chosen.append({**row, "tracks": left} if "tracks" in row else row)
        return chosen

    def _of(self, rows: list[Any], level: str, root: Path, vocabulary: Any) -> TagPlan:
        from ..tagging.plan import TagPlan

        with self.output.progress() as bars:
            return TagPlan.of(
                rows,
                self.policy,
                vocabulary,
                library=Path(os.path.abspath(root)),
                level=level,
                progress=bars.counting("reading genres"),
            )


def _doing(plan: Path, library: Path) -> str:
    """The command that does what a plan says."""
    from ..tagging.plan import is_all

    named = ["--library", str(library)] if is_all(library) else []
    return shlex.join(["matt", "tag", str(plan), "--apply", *named])


def _holding(files: Sequence[str]) -> Path:
    """The folder that holds all files."""
    if not files:
        return Path.cwd()
    try:
        return Path(os.path.commonpath([os.path.dirname(file) for file in files]))
    except ValueError:
        raise DataError("the files are on several drives; name one with --library DIR") from None


def _changed(path: str) -> float:
    """When a file was changed; one that cannot be asked counts as new."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return float("inf")


# ---- what is told of a plan ----


def _table(plan: TagPlan) -> Table:
    """One line a file under one of its album, which says why."""
    several = len({change.field for change in plan.changes}) > 1
    rows: list[tuple[str, ...]] = []
    albums: dict[tuple[Path, str, str, float | None], list[Change]] = {}
    for change in plan.changes:
        key = change.path.parent, change.album, change.why, change.sure
        albums.setdefault(key, []).append(change)
    for (folder, album, why, sure), changes in albums.items():
        told = why if sure is None else f"{percent(sure)}, {why}"
        rows.append((album or folder.name, *[""] * several, "", told))
        for change in changes:
            field = [change.field] if several else []
            has, gets = "; ".join(change.old), "; ".join(change.new)
            rows.append((f"  {change.path.name}", *field, has, gets))
    names = ["file", *["field"] * several, "has", "gets"]
    return Table(
        f"What would be written below {plan.library}",
        tuple(Column(name) for name in names),
        tuple(rows),
        cut=True,
    )


def _document(plan: TagPlan) -> dict[str, Any]:
    changes = [
        {
            "path": str(change.path),
            **{name: getattr(change, name) for name in ("field", "old", "new", "why", "sure")},
        }
        for change in plan.changes
    ]
    left = [{"path": str(one.path), "reason": one.why} for one in plan.left if not one.failed]
    return {
        "schema": "matt.tag/1",
        "library": str(plan.library),
        "changes": changes,
        "left_alone": left,
    }


def _rows(failures: Sequence[tuple[Path, str]]) -> list[dict[str, str]]:
    return [{"path": str(path), "reason": reason} for path, reason in failures]


# ---- writing, and taking it back ----


def _apply(
    plan: TagPlan, options: WriteOptions, output: Output, *, beside: bool
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Write what a plan says; what to tell of it, and what was refused."""
    from ..tagging.sidecar import write_sidecars
    from ..tagging.writing import apply

    said, links = f"matt {shlex.join(sys.argv[1:])}", options.break_links
    total = len({path.parent for path in plan.files}) if beside else len(plan.files)
    with ended_by_the_system(), _counting(output, "writing", total) as tell:
        if beside:
            outcomes, journal = write_sidecars(plan, said, break_links=links, told=tell)
        else:
            outcomes, journal = apply(plan.wishes(), said, options=options, told=tell)
    refused = _told(outcomes, "sidecar" if beside else "file", "written", output)
    if journal is not None:
        output.note(f"'matt undo {journal.name}' takes it back")
    done = [str(one.path) for one in outcomes if one.done]
    already = [str(one.path) for one in outcomes if not (one.done or one.failed)]
    kind = "sidecars" if beside else "written"
    return {kind: done, "done_already": already, "journal": journal and journal.name}, refused


def _told(
    outcomes: Sequence[FileOutcome], kind: str, what: str, output: Output
) -> list[dict[str, str]]:
    """Say how many files were done; which were refused, and why."""
    n = sum(one.done for one in outcomes)
    already = sum(not (one.done or one.failed) for one in outcomes)
    also = f"; {already:,} done already" if already else ""
    output.say(f"{n:,} {kind}{'s' * (n != 1)} {what}{also}")
    return [{"path": str(one.path), "reason": one.reason} for one in outcomes if one.failed]


@contextmanager
def _counting(output: Output, what: str, total: int) -> Iterator[Told]:
    """Show how far a run over files is; gives what is called after each."""
    with output.progress() as bars:
        show, done = bars.counting(what, total), count(1)
        yield lambda _: show(next(done), total)


@command
def undo(
    output: Output,
    name: Annotated[
        str | None,
        Argument(
            metavar="[NAME]",
            help="The run to take back, as --list names it; by default the last that still can be.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, Option("--list", help="List the runs that can be taken back.")] = False,
    prune: Annotated[
        str | None,
        Option(
            metavar="TIME|NAME",
            help="Forget runs older than that, e.g. 90d, or one: it cannot be taken back then.",
            show_default=False,
        ),
    ] = None,
    break_links: Annotated[
        bool,
        Option("--break-links", help="Also write files that have several names by now."),
    ] = False,
) -> None:
    """Give files the bytes that they had before 'matt tag --apply'.

    What has changed since is left alone, and named. Example: [bold]matt undo[/bold], or
    [bold]matt undo --list[/bold]
    """
    from ..tagging.writing import clean_up
    from ..tagging.writing import undo as take_back

    if sum((name is not None, show, prune is not None)) > 1:
        raise ConfigError("a name, --list and --prune are three things; give one of them")
    if show:
        _list(output)
        return
    if prune is not None:
        gone = _forget(prune)
        output.say(f"{len(gone):,} run{'s' * (len(gone) != 1)} forgotten")
        output.document({"schema": "matt.undo.prune/1", "forgotten": gone})
        return
    with ended_by_the_system():
        clean_up()
        journal, passed = _named(name, output)
        with _counting(output, "undoing", journal.n_left) as tell:
            outcomes = take_back(journal, break_links=break_links, told=tell)
    failures = _told(outcomes, "file", "as before", output)
    tell_list([f"{row['path']}: {row['reason']}" for row in failures], output, "files left alone")
    if failures:
        output.note(
            f"'matt undo {journal.name}' tries them again, 'matt undo --prune {journal.name}' "
            "forgets them"
        )
    done = [str(one.path) for one in outcomes if one.done]
    told = {"journal": journal.name, "passed_over": passed, "undone": done, "failures": failures}
    output.document({"schema": "matt.undo/1", **told})
    exit_if_failed(len(failures))


def _named(name: str | None, output: Output) -> tuple[Journal, list[str]]:
    """The run that is to be taken back, and the names of those that are passed over."""
    from ..tagging.journal import Journal, passed_over

    if name is not None:
        return Journal.open(name), []
    journal, passed = Journal.last()
    if passed:
        output.warn(passed_over(passed))
    return journal, [one.name for one in passed]


def _forget(what: str) -> list[str]:
    """Remove the journal of this name, or those older than that; their names."""
    from ..library.selection import since
    from ..tagging.journal import all_journals, prune

    for journal in all_journals():
        if what in (journal.name, journal.path.name):
            journal.forget()
            return [journal.name]
    try:
        before = since(what).timestamp()
    except ConfigError:
        raise ConfigError(
            f"--prune is {what!r}, neither a run that 'matt undo --list' names nor a time; give "
            "one, as 90d, 36h, 3w or 2026-11-01"
        ) from None
    return [journal.name for journal in prune(before=before)]


def _list(output: Output) -> None:
    """List the journals, the newest first."""
    from ..tagging.journal import all_journals, journals_folder

    rows = [_journal_row(journal) for journal in all_journals()]
    table = Table.of(
        "What was written, the last first",
        rows,
        ("name", "text", lambda row: row["name"]),
        ("files", "int", lambda row: row["n_files"]),
        ("undone", "int", lambda row: row["n_undone"]),
        ("kB", "int", lambda row: -(-row["n_bytes"] // 1000)),
        ("command", "text", lambda row: row["command"]),
        notes=(f"Kept in {journals_folder()}.",),
        cut=True,
    )
    output.tables([table])
    output.document({"schema": "matt.journals/1", "journals": rows})


def _journal_row(journal: Journal) -> dict[str, Any]:
    n_files = len(journal.records())
    return {
        "name": journal.name,
        "when": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(journal.when)),
        "command": str(journal.head.get("command", "")),
        "n_files": n_files,
        "n_undone": n_files - len(journal.open_records()),
        "n_bytes": journal.n_bytes,
        "n_damaged": len(journal.damaged),
    }
