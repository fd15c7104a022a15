"""What every command shares: options, where output goes, progress, errors and exit codes.

Results go to stdout, as text or with ``--json`` as one document. Progress and warnings go to
stderr; ``--quiet`` silences them. Exit codes: 0 done, 1 internal error, 2 wrong usage or input, 3
done but some files failed, 130 interrupted.
"""

from __future__ import annotations

import errno
import functools
import inspect
import io
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TextIO, get_type_hints

import typer
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text
from typer import Option

from ..errors import DataError, MattError
from ..evaluation.tables import plain

if TYPE_CHECKING:
    from ..evaluation.tables import Table
    from ..processes import Progress as Standing

WIDE = 300  # columns where nobody looks at a screen: tables are as wide as their content
SOME_FAILED = 3
# What JSON may hold as it is, but a terminal would obey.
_COMMANDS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# What a disk or its owner may refuse, and what to do about it.
_DENIED = "check its permissions"
_FULL = "make room, or name another place"
_REFUSALS = {
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "nothing can be written there; name another place",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
}
_REMEDIES = {
    **_REFUSALS,
    errno.EISDIR: "that is a folder; name a file",
    errno.ENOTDIR: "a part of the path is no folder; check the path",
    errno.EEXIST: "something else is there; name another place",
}


@dataclass(frozen=True)
class Output:
    """Where a command writes.

    Attributes
    ----------
    json : bool
        Results are one JSON document on stdout.
    quiet : bool
        Progress and warnings go nowhere.
    """

    json: bool = False
    quiet: bool = False

    @property
    def out(self) -> Terminal:
        """Console of results, on stdout."""
        return Terminal(quiet=self.json)

    @property
    def err(self) -> Terminal:
        """Console of progress and warnings, on stderr."""
        return Terminal(stderr=True, quiet=self.quiet)

    def say(self, text: str, *, words: bool = False) -> None:
        """Print a line of a result, unless results are JSON.

        What a terminal is too narrow for goes on in its next line, between two ``words`` if asked.
        """
        out = self.out
        with results():
            out.print(plain(text), soft_wrap=not (words and out.is_terminal))

    def note(self, text: str) -> None:
        """Print a line about progress."""
        self._tell(text, "dim")

    def warn(self, text: str) -> None:
        """Print a warning, on one line."""
        self._tell(f"warning: {text}", "yellow")

    def fail(self, text: str, code: int) -> None:
        """Say why a command ends with an exit code other than 0.

        It is said even with ``--quiet``: a script must be able to log it.
        """
        Output()._tell(text if code in (1, 130) else f"error: {text}", "red")
        # Where stdout is broken, the exit code and stderr have to do.
        with suppress(MattError, BrokenPipeError):
            self.document({"error": text, "exit_code": code})

    def tables(self, tables: Iterable[Table]) -> None:
        """Print tables, unless results are JSON."""
        if self.json:
            return
        with results():
            for table in tables:
                # Not cropped: what is wider than the terminal goes on in its next line.
                self.out.print(table.to_rich(), crop=False)
                self.out.print()

    def document(self, content: Mapping[str, Any]) -> None:
        """Print the JSON document, if results are JSON."""
        if self.json and sys.stdout is not None:
            with results():
                sys.stdout.write(_document(content, sys.stdout.encoding) + "\n")

    def _tell(self, text: str, style: str) -> None:
        try:
            self.err.print(plain(text), style=style, soft_wrap=True)
        except OSError:  # nobody listens; the work goes on
            abandon(sys.stderr)

    @contextmanager
    def progress(self) -> Iterator[Bars]:
        """Progress bars with ETA on stderr; silent if quiet or not on a terminal."""
        err = self.err
        with Bars(console=err, disable=self.quiet or not err.is_terminal) as bars:
            yield bars


# ---- commands ----


def command(work: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose first argument is its `Output`.

    ``--json`` and ``--quiet`` come last. An argument that is a dataclass stands for the options
    that are its fields.
    """
    _, *own = inspect.signature(work, eval_str=True).parameters.values()
    groups: dict[str, Any] = {
        each.name: each.annotation for each in own if is_dataclass(each.annotation)
    }

    @functools.wraps(work)
    def run(*, json: bool, quiet: bool, **given: Any) -> None:
        output = Output(json, quiet)
        with outcome(output):
            for name, group in groups.items():
                given[name] = group(**{each.name: given.pop(each.name) for each in fields(group)})
            work(output, **given)

    options = [
        option
        for each in own
        for option in (_options(groups[each.name]) if each.name in groups else [each])
    ] + _options(_How)
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    )
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _options(group: Any) -> list[inspect.Parameter]:
    """Parameters of the fields of a dataclass."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=hints[each.name],
        )
        for each in fields(group)
    ]


@dataclass(frozen=True)
class _How:
    """Options of every command."""

    json: Annotated[bool, Option("--json", help="Print one JSON document.")] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress and no warnings.")] = False


@contextmanager
def outcome(output: Output) -> Iterator[None]:
    """Turn what a command raises into a line for people (or JSON) and an exit code."""
    try:
        yield
    except MattError as error:
        output.fail("; ".join([str(error), *_notes(error)]), 2)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        told = ["interrupted", *_notes(error), "run the same command again to go on"]
        output.fail("; ".join(told), 130)
        raise typer.Exit(130) from error
    except typer.Exit:
        raise
    except Exception as error:
        if isinstance(error, ReaderGone):  # say `| head`: it has what it wanted
            raise typer.Exit(0) from error
        if os.environ.get("MATT_DEBUG"):
            raise
        refused = _refused(error) if isinstance(error, OSError) else ""
        internal = (
            f"internal error: {type(error).__name__}: {error}; set MATT_DEBUG=1 for the details"
        )
        code = 2 if refused else 1
        output.fail(refused or internal, code)
        raise typer.Exit(code) from error


def _notes(error: BaseException) -> list[str]:
    """What was noted on an error on its way: how far the work was."""
    return getattr(error, "__notes__", [])


def _refused(error: OSError) -> str:
    """Why a file cannot be read or written; nothing if it is not a matter of files."""
    path = error.filename2 or error.filename
    if path is None and error.errno not in _REFUSALS:
        return ""
    place = "a file" if path is None else os.fsdecode(path) if isinstance(path, bytes) else path
    remedy = _REMEDIES.get(error.errno or 0, "check the path")
    return f"cannot read or write {place}: {error.strerror}; {remedy}"


def _document(content: Mapping[str, Any], encoding: str | None) -> str:
    """JSON that the stream can hold and that no terminal obeys; the values stay what they are."""
    unicode = (encoding or "utf-8").lower().startswith("utf")
    text = json.dumps(_plain(content), indent=2, ensure_ascii=not unicode)
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: Any) -> Any:
    """JSON has no NaN: undefined numbers become null. Nor has it halves of characters."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# ---- progress ----


class Bars(Progress):
    """Bars with a line below them.

    Attributes
    ----------
    footer : str
        The line; none where it is empty. It is cut to the width of the terminal.
    """

    footer = ""

    def __init__(self, *, console: Console, disable: bool) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            Remaining(),
        )
        super().__init__(*columns, console=console, disable=disable)
        self._named: dict[str, TaskID] = {}

    def __contains__(self, name: str) -> bool:
        """Whether there is a bar of this name."""
        return name in self._named

    def show(
        self, name: str, done: int = 0, total: int | None = None, detail: str = "", **told: Any
    ) -> None:
        """Move the bar of this name, or start it; ``left`` is better known than rich can guess."""
        if name not in self._named:
            self._named[name] = self.add_task(name, total=total, detail="")
        self.update(self._named[name], completed=done, total=total, detail=detail, **told)

    def counting(self, name: str, total: int | None = None) -> Callable[..., None]:
        """Start a bar, and give what moves it when it is called with what is done and the total."""
        self.show(name, total=total)
        return functools.partial(self.show, name)

    def finish(self) -> None:
        """Say of all bars that nothing more is to come."""
        for task in self.tasks:
            self.update(task.id, total=task.completed)

    def follow(self, name: str, progress: Standing, detail: str) -> str:
        """Show where work stands, and give the text beside its bar."""
        failed = f"{progress.failed:,} failed" if progress.failed else ""
        detail = ", ".join(filter(None, [failed, plain(detail)]))
        if progress.last_failure:
            self.footer = f"failed last: {plain(progress.last_failure)}"
        # Tracks that failed are among those done; cells are not.
        done = progress.done + progress.failed * (progress.stage == "fitting")
        self.show(name, done, progress.total, detail, left=progress.left)
        return detail

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, then the line."""
        yield from super().get_renderables()
        if self.footer:
            yield Text(self.footer, style="yellow", no_wrap=True, overflow="ellipsis")


class Remaining(ProgressColumn):
    """Time that is left: what the task was told in its field ``left``, else rich's estimate."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Hours, minutes and seconds."""
        left = task.fields.get("left", task.time_remaining)
        return Text(clock(0 if task.finished else left), style="progress.remaining")


def clock(seconds: float | None) -> str:
    """Hours, minutes and seconds.

    >>> clock(3_723.4), clock(None)
    ('1:02:03', '-:--:--')
    """
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))


# ---- streams that may be narrow, closed, full, or unable to write every character ----


class Terminal(Console):
    """Console for text of other people, on stdout or stderr.

    Nothing in a text is a code: no markup, no emoji, no highlighting. A reader that has gone is an
    error like any other, not the end of the process.
    """

    def __init__(self, *, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
        if not self.is_terminal:
            self.width = WIDE

    def on_broken_pipe(self) -> None:
        """Raise again what is being handled."""
        raise


class ReaderGone(BrokenPipeError):
    """Whoever read stdout, say ``head``, wants no more."""


@contextmanager
def results() -> Iterator[None]:
    """Write to stdout, to the last byte.

    Raises
    ------
    ReaderGone
        If nobody reads any more.
    DataError
        If the disk is full, or whatever else a stream may suffer from.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError as error:
        abandon(sys.stdout)
        raise ReaderGone from error
    except OSError as error:
        abandon(sys.stdout)
        raise DataError(
            f"cannot write the results to standard output: {error.strerror}; "
            "check where it is sent to"
        ) from error


def abandon(stream: TextIO) -> None:
    """Let what is left in a broken stream go nowhere; else Python complains about it at its end."""
    with suppress(OSError, ValueError):  # without a descriptor there is nothing to redirect
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def write_any_text() -> None:
    """Have stdout and stderr write what their encoding lacks as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
