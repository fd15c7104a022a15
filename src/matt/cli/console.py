"""What every command shares: where output goes, progress, errors and exit codes.

Results go to stdout, as text or with ``--json`` as one document. Progress and warnings go to
stderr; ``--quiet`` silences them. Exit codes: 0 done, 1 internal error, 2 wrong usage or input, 3
done but some files failed, 130 interrupted.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MattError
from ..evaluation.tables import plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..evaluation.tables import Table
    from .terminal import Terminal

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

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no warnings.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes that decode; by default one a core.", min=1)
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Decode on the workers of a Dask scheduler, e.g. tcp://10.0.0.1:8786.",
        show_default=False,
    ),
]


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
        from .terminal import Terminal

        return Terminal(quiet=self.json)

    @property
    def err(self) -> Terminal:
        """Console of progress and warnings, on stderr."""
        from .terminal import Terminal

        return Terminal(stderr=True, quiet=self.quiet)

    def say(self, text: str) -> None:
        """Print a line of a result, unless results are JSON."""
        from .terminal import results

        with results():
            self.out.print(plain(text), soft_wrap=True)

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
        from .terminal import results

        if self.json:
            return
        with results():
            for table in tables:
                # Not cropped: what is wider than the terminal goes on in its next line.
                self.out.print(table.to_rich(), crop=False)
                self.out.print()

    def document(self, content: Mapping[str, Any]) -> None:
        """Print the JSON document, if results are JSON."""
        from .terminal import results

        if self.json and sys.stdout is not None:
            with results():
                sys.stdout.write(_document(content, sys.stdout.encoding) + "\n")

    def _tell(self, text: str, style: str) -> None:
        from .terminal import abandon

        try:
            self.err.print(plain(text), style=style, soft_wrap=True)
        except OSError:  # nobody listens; the work goes on
            abandon(sys.stderr)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Progress bars with ETA on stderr; silent if quiet or not on a terminal."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
        )
        err = self.err
        with Progress(*columns, console=err, disable=self.quiet or not err.is_terminal) as bars:
            yield bars


def add_bar(bars: Progress, name: str, total: int | None = None) -> TaskID:
    """Start a progress bar."""
    return bars.add_task(name, total=total, detail="")


@contextmanager
def outcome(output: Output) -> Iterator[None]:
    """Turn what a command raises into a line for people (or JSON) and an exit code."""
    try:
        yield
    except MattError as error:
        output.fail(str(error), 2)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        output.fail("interrupted; run the same command again to go on", 130)
        raise typer.Exit(130) from error
    except typer.Exit:
        raise
    except Exception as error:
        from .terminal import ReaderGone

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
