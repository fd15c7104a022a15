"""Silence for the C code of decoders, which writes to file descriptor 2 on damaged files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Send file descriptor 2 nowhere, because C code of the decoders writes to it.

    The descriptor belongs to the whole process, other threads included, so this is meant for
    processes that only decode. Python's own ``sys.stderr`` is silent too while it lasts.
    """
    with suppress(OSError, ValueError, AttributeError):  # no stderr at all, or a closed one
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # descriptor 2 is closed: nothing can be written
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
