"""What a worker on another machine must have before it extracts: looked at on the worker itself."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from .known import NO_FILE, Stamp, stamp_of
from .planning import provenance


@dataclass(frozen=True)
class Needs:
    """What a worker must have to do the work of this process.

    Attributes
    ----------
    versions : tuple of (str, str)
        Libraries and versions that compute the values, as the plan will state them.
    tokens : tuple of str
        Files just made where the stores will be.
    files : tuple of (str, (int, int))
        Audio, with size in bytes and time of change in nanoseconds.
    """

    versions: tuple[tuple[str, str], ...]
    tokens: tuple[str, ...]
    files: tuple[tuple[str, Stamp], ...]

    def lacking(self) -> list[str]:
        """What this process lacks, each with a remedy."""
        return [*self._processes(), *self._versions(), *self._folders(), *self._audio()]

    def _processes(self) -> Iterator[str]:
        if multiprocessing.current_process().daemon:
            yield (
                "may not start processes; start it with 'dask worker --no-nanny', or with "
                "DASK_DISTRIBUTED__WORKER__DAEMON=False in its environment"
            )

    def _versions(self) -> Iterator[str]:
        there = provenance()
        differ = [
            f"{name} {there.get(name, 'not at all')} instead of {version}"
            for name, version in self.versions
            if there.get(name) != version
        ]
        if differ:
            yield f"has {', '.join(differ)}; install the same versions on all machines"

    def _folders(self) -> Iterator[str]:
        for token in self.tokens:
            folder = os.path.dirname(token)
            if not os.path.exists(token):
                yield (
                    f"does not see the folder {folder} of this machine; name a shared folder with "
                    "--store, mounted at the same path everywhere"
                )
                continue
            try:
                tempfile.TemporaryFile(dir=folder).close()
            except OSError as error:
                yield f"cannot write in {folder} ({error.strerror}); check its permissions"

    def _audio(self) -> Iterator[str]:
        for path, stamp in self.files:
            there = stamp_of(path)
            if there == NO_FILE:
                yield f"does not see {path}; mount the music at the same path everywhere"
            elif there != stamp:
                yield (
                    f"sees another size or time of {path}; mount the same music at the same path "
                    "everywhere"
                )
