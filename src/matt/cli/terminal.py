"""Streams that may be narrow, closed, full, or unable to write every character."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console

from ..errors import DataError

WIDE = 300  # columns where nobody looks at a screen: tables are as wide as their content


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
