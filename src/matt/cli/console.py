"""What every command shares: where output goes, progress, errors and exit codes.

Results go to stdout, as text or with ``--json`` as one document. Progress and warnings go to
stderr; ``--quiet`` silences them. Exit codes: 0 done, 1 internal error, 2 wrong usage or input, 3
done but some files failed, 130 interrupted.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MattError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from ..evaluation.tables import Table

SOME_FAILED = 3

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no warnings.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes that decode; by default one a core.", min=1)
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
    def out(self) -> Console:
        """Console of results, on stdout."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=False, quiet=self.json)

    @property
    def err(self) -> Console:
        """Console of progress and warnings, on stderr."""
        from rich.console import Console

        return Console(stderr=True, highlight=False, quiet=self.quiet)

    def say(self, text: str) -> None:
        """Print a line of a result, unless results are JSON."""
        self.out.print(text, markup=False)

    def note(self, text: str) -> None:
        """Print a line about progress."""
        self.err.print(text, markup=False, style="dim")

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.err.print(f"warning: {text}", markup=False, style="yellow")

    def tables(self, tables: Iterable[Table]) -> None:
        """Print tables, unless results are JSON."""
        if self.json:
            return
        for table in tables:
            self.out.print(table.to_rich())
            self.out.print()

    def document(self, content: Mapping[str, Any]) -> None:
        """Print the JSON document, if results are JSON."""
        if self.json:
            sys.stdout.write(json.dumps(_plain(content), indent=2, ensure_ascii=False) + "\n")

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
        _fail(output, str(error), 2)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        _fail(output, "interrupted; run the same command again to go on", 130)
        raise typer.Exit(130) from error
    except BrokenPipeError as error:
        # Whoever read us (say `| head`) has gone: no traceback, and nothing more to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from error
    except typer.Exit:
        raise
    except Exception as error:
        if os.environ.get("MATT_DEBUG"):
            raise
        text = f"internal error: {type(error).__name__}: {error}; set MATT_DEBUG=1 for the details"
        _fail(output, text, 1)
        raise typer.Exit(1) from error


def _fail(output: Output, text: str, code: int) -> None:
    # An error is said even with --quiet: a script must be able to log why it got an exit code.
    Output().err.print(text if code in (1, 130) else f"error: {text}", markup=False, style="red")
    output.document({"error": text, "exit_code": code})


def _plain(value: Any) -> Any:
    """JSON has no NaN: undefined numbers become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
