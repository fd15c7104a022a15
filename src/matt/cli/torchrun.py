"""Several processes of one command, started by ``torchrun``: the first one speaks and writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from ..errors import ConfigError, MattError
from .console import Output, outcome


def n_processes() -> int:
    """How many processes ``torchrun`` started, or 1."""
    text = os.environ.get("WORLD_SIZE", "")
    return max(1, int(text)) if text.isdecimal() else 1


def follows() -> bool:
    """Whether this process is one of several, and not the first."""
    return n_processes() > 1 and os.environ.get("RANK", "0") != "0"


def check_command(name: str | None) -> None:
    """Refuse to run a command several times at once, but for ``train``.

    Raises
    ------
    ConfigError
    """
    if n_processes() > 1 and name not in (None, "train"):
        raise ConfigError(
            f"'matt {name}' is work for one process, but the variable WORLD_SIZE counts "
            f"{n_processes()}; start it without torchrun"
        )


def end_at_once(code: object) -> None:
    """End one of several processes without tearing down torch's threads, if the code is one.

    Now and then a thread of torch.distributed is still there when C++ destroys what it belongs to,
    which aborts a process whose work is done, and with it all the others.
    """
    if code is None or isinstance(code, int):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code or 0)


@contextmanager
def leading() -> Iterator[Callable[[Path | None], None]]:
    """Lead the other processes, if there are any.

    Yields
    ------
    callable
        Given the store of the features, if they are in one, it lets the others take part in the
        trainings of the run. If the body ends before, they end.
    """
    if n_processes() == 1:
        yield lambda place: None
        return
    from ..models.distributed import joined

    with joined() as ranks:

        def call(place: Path | None) -> None:
            ranks.first(lambda: None if place is None else str(place))

        yield call


def follow(
    source: Path, out: Path, config: Path | None, overrides: Sequence[str], *, controls: bool
) -> None:
    """Take part in the trainings of the first process, without a word unless this one fails."""
    from .. import comparison
    from .. import config as settings_module
    from ..features.store import FeatureStore
    from ..models.distributed import ProcessEnded, joined
    from ..runs import Run
    from .sources import open_source

    with joined() as ranks, outcome(Output(quiet=True)):
        try:
            place: str | None = ranks.first(str)  # which the first one computes
            settings = settings_module.load(config, overrides)
            if place is None:
                features = open_source(source, Output(quiet=True)).features
            else:
                features = FeatureStore.open(place)
            if features is None:
                raise ConfigError(f"{source} has no features for this process; start all alike")
            comparison.take_part(Run.open(out), features, settings, controls=controls)
        except ProcessEnded:
            return  # with 0: torchrun ends all at once for any other, even who has yet to say why
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error
        except MattError as error:
            raise type(error)(f"process {ranks.rank}: {error}") from error
