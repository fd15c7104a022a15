"""Several processes of one command, started by ``torchrun``: the first one speaks and writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from ..errors import ConfigError, MattError
from .console import Output, outcome

_ALONE = ("", "0", "1")


def several() -> bool:
    """Whether ``torchrun`` started this process with others."""
    return os.environ.get("WORLD_SIZE", "") not in _ALONE


def follows() -> bool:
    """Whether this process is one of several, and not the first."""
    return several() and os.environ.get("RANK", "0") != "0"


def check_command(name: str | None) -> None:
    """Refuse to run a command several times at once, but for ``train``.

    Raises
    ------
    ConfigError
    """
    if several() and name not in (None, "train"):
        raise ConfigError(
            f"'matt {name}' is work for one process (the variable WORLD_SIZE counts "
            f"{os.environ['WORLD_SIZE']}); start it without torchrun"
        )


@contextmanager
def leading() -> Iterator[Callable[[Path | None], None]]:
    """Lead the other processes, if there are any.

    Yields
    ------
    callable
        Given the store of the features, if they are in one, it lets the others take part in the
        trainings of the run. If the body ends before, they end.
    """
    if not several():
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
    with outcome(Output(quiet=True)):
        from ..models.distributed import ProcessEnded, joined

        try:
            with joined() as ranks:
                place: str | None = ranks.first(str)  # which the first one computes
                _train(source, out, config, overrides, place, controls=controls)
        except ProcessEnded as error:
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error
        except MattError as error:
            raise type(error)(f"process {os.environ['RANK']}: {error}") from error


def _train(
    source: Path,
    out: Path,
    config: Path | None,
    overrides: Sequence[str],
    place: str | None,
    *,
    controls: bool,
) -> None:
    from .. import comparison
    from .. import config as settings_module
    from ..features.store import FeatureStore
    from ..runs import Run
    from .sources import open_source

    settings = settings_module.load(config, overrides)
    if place is None:
        features = open_source(source, Output(quiet=True)).features
    else:
        features = FeatureStore.open(place)
    if features is None:
        raise ConfigError(f"{source} has no features for this process; start all alike")
    comparison.take_part(Run.open(out), features, settings, controls=controls)
