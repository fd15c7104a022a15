"""``--watch``: a command that answers again whenever its music has changed."""

from __future__ import annotations

import functools
import inspect
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from ..errors import ConfigError, DataError, MattError
from .console import Output
from .sources import holding_folder

Watch = Annotated[
    bool,
    Option("--watch", help="Go on, and answer again when music, or how tags are read, changes."),
]
Every = Annotated[
    float | None,
    Option(
        help="With --watch: seconds from look to look, by default 30.", min=0.1, show_default=False
    ),
]
_EVERY = 30.0  # seconds


def watching(argument: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options ``--watch`` and ``--every``.

    Parameters
    ----------
    argument : str
        Name of its argument that says where the music is: a path, or several. How tags are read is
        said by ``reading``, a `matt.cli.sources.Reading`.
    """

    def decorate(work: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(work)
        def run(output: Output, *, watch: bool, every: float | None, **given: Any) -> None:
            if not watch:
                if every is not None:
                    raise ConfigError(
                        "--every says how often --watch looks; add --watch, or leave --every out"
                    )
                work(output, **given)
                return
            later = {**given, **({"force": True} if "force" in given else {})}
            answers = [lambda: work(output, **given)]  # the first may refuse to replace a file

            def answer() -> None:
                (answers.pop() if answers else lambda: work(output, **later))()

            from ..datasets.genres import FILE

            reading = given["reading"]
            also = [path for path in (reading.genres, reading.words) if path is not None]
            if (folder := holding_folder(given[argument])) is not None:
                also += [above / FILE for above in folder.parents]  # of a library around it
            with ended_by_the_system():
                keep_watch(
                    answer, given[argument], output, also=also, pause=lambda: _wait(every or _EVERY)
                )

        own = inspect.signature(work, eval_str=True)
        keyword = inspect.Parameter.KEYWORD_ONLY
        options = [
            inspect.Parameter("watch", keyword, default=False, annotation=Watch),
            inspect.Parameter("every", keyword, default=None, annotation=Every),
        ]
        # Not after the groups of options: their help is listed in this order.
        parameters = [*own.parameters.values()]
        groups = [p for p in parameters if p.kind is keyword]
        first = [p for p in parameters if p.kind is not keyword]
        run.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[*first, *options, *groups]
        )
        return run

    return decorate


def keep_watch(
    answer: Callable[[], None],
    music: Path | list[Path],
    output: Output,
    *,
    also: Sequence[Path] = (),
    pause: Callable[[], bool],
) -> None:
    """Answer, then again after every change; it ends between two answers when it is interrupted.

    Music that changes from look to look is still being copied, and waited for. Where it is gone,
    as a disk that is not mounted, it is waited for, too.

    Parameters
    ----------
    answer : callable
        What to do. After the first time, what goes wrong is told and does not end the watch.
    music : Path or list of Path
    output : Output
    also : sequence of Path
        Files by which tags are read; a change of these is one, too, as is one of the vocabulary in
        the library.
    pause : callable
        Waits from look to look; says whether to go on.
    """
    from ..datasets.folder import look

    missed = False

    def looked() -> str:
        try:
            return look(music, also=also)
        except DataError as error:
            nonlocal missed
            if not missed:
                output.warn(f"{error}; waiting for it")
            missed = True
            return ""

    answered = look(music, also=also)
    with suppress(typer.Exit):  # some files failed
        answer()
    output.note("watching; Ctrl-C ends it")
    with suppress(KeyboardInterrupt):
        before = answered
        while pause():
            now = looked()
            if now and missed:
                missed = False
                output.note("the music is there again")
            if now and now == before and now != answered:
                answered = now
                _answer_again(answer, output)
            before = now
    output.note("no longer watching")


def _answer_again(answer: Callable[[], None], output: Output) -> None:
    try:
        answer()
    except typer.Exit:
        pass
    except MattError as error:
        output.warn(f"{error}; trying again after the next change")


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return True


@contextmanager
def ended_by_the_system() -> Iterator[None]:
    """Take a request to end, as of a container that is stopped, for Ctrl-C."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
