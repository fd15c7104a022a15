"""``matt cache``: what is kept between two runs, where, and how to be rid of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ..errors import ConfigError
from ..evaluation.tables import Column, Table
from .console import Output, command

if TYPE_CHECKING:
    from ..library.cache import KeptLibrary

app = typer.Typer(
    name="cache",
    help="What is kept between two runs: features and tags of libraries. Show, prune, move.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
_A_DAY = 86_400  # seconds


@app.command()
@command
def show(output: Output) -> None:
    """List what is kept of which library, how large it is, and when it was used last.

    Example: [bold]matt cache show[/bold]
    """
    from ..library.cache import cache_folder, kept_libraries

    place = cache_folder()
    found = kept_libraries(place)
    _show(output, found, f"Kept in {place}")
    rows = [_row(one) for one in found]
    output.document({"schema": "matt.cache/1", "cache": str(place), "libraries": rows})


@app.command()
@command
def prune(
    output: Output,
    folders: Annotated[
        list[Path] | None,
        Argument(
            metavar="DIR",
            help="Libraries to forget, whether they are there or not; where nobody remembers the "
            "folder, by the name that 'matt cache show' lists.",
            show_default=False,
        ),
    ] = None,
    unused: Annotated[
        float | None,
        Option(
            metavar="DAYS",
            help="Forget what was not used for so many days; not where the library's folder is "
            "gone or not known, as its disk may not be mounted.",
            min=0,
            show_default=False,
        ),
    ] = None,
    gone: Annotated[
        bool, Option("--gone", help="Forget libraries whose folder is gone or empty.")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Only show what would be forgotten.")
    ] = False,
) -> None:
    """Forget libraries: what is kept of them goes, their music stays as it is.

    Example: [bold]matt cache prune --unused 365[/bold]
    """
    from ..library.cache import cache_folder, forget, kept_libraries, named_libraries

    if not folders and unused is None and not gone:
        raise ConfigError(
            "nothing says what to forget; name libraries, or give --unused DAYS or --gone"
        )
    place = cache_folder()
    chosen = {one.key: one for one in named_libraries(place, folders or [])}
    since, spared = None if unused is None else time.time() - unused * _A_DAY, 0
    for one in kept_libraries(place):
        old = since is not None and one.used < since
        there = bool(one.folder) and not one.gone
        if (old and there) or (gone and one.gone):
            chosen[one.key] = one
        spared += old and one.key not in chosen
    some = list(chosen.values())
    n_bytes = sum(one.n_bytes for one in some) if dry_run else forget(some)
    _show(output, some, "Would be forgotten" if dry_run else "Forgotten")
    if spared:
        output.note(
            f"{spared:,} more are not used, but their folders are gone or not known: if it is not "
            "only a disk that is not mounted, --gone forgets the former, their names the others"
        )
    told = {"forgotten": [_row(one) for one in some], "n_bytes": n_bytes, "dry_run": dry_run}
    output.document({"schema": "matt.cache.prune/1", **told})


@app.command()
@command
def move(
    output: Output,
    to: Annotated[
        Path, Argument(help="Folder for all that is kept; with --from, where the library is now.")
    ],
    library: Annotated[
        Path | None,
        Option(
            "--from",
            metavar="DIR",
            help="Do not move the cache: have what is kept of the library that was here count for "
            "the folder it was moved to.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Move what is kept to another disk, or have it follow a library that was moved.

    Example: [bold]matt cache move /mnt/large/matt[/bold], and after
    [bold]mv ~/Music /mnt/music[/bold]: [bold]matt cache move /mnt/music --from ~/Music[/bold]
    """
    from ..library.cache import cache_folder, move_cache, move_library

    place = cache_folder()
    if library is not None:
        move_library(place, library, to)
        output.say(f"what is kept of {library.absolute()} counts for {to.absolute()}")
        told = {"from": str(library.absolute()), "to": str(to.absolute())}
        output.document({"schema": "matt.cache.follow/1", **told})
        return
    moved = []
    for part in move_cache(place, to):
        moved.append(str(part))
        output.note(f"moved to {part}")
    remedy = f"set MATT_CACHE={to.absolute()}, so that matt finds it"
    output.say(f"{len(moved):,} things moved; {remedy}" if moved else "nothing is kept")
    where = {"from": str(place), "to": str(to.absolute())}
    output.document({"schema": "matt.cache.move/1", **where, "moved": moved})


def _show(output: Output, some: list[KeptLibrary], title: str) -> None:
    rows = tuple(
        (
            one.folder or one.key,
            _size(one.n_bytes),
            ", ".join(sorted({store.name.rpartition("-")[0] for store in one.stores})) or "tags",
            time.strftime("%Y-%m-%d", time.localtime(one.used)),
            "gone" if one.gone else "",
        )
        for one in some
    )
    names = "library", "size", "what", "used last", ""
    output.tables([Table(title, tuple(Column(name) for name in names), rows)])


def _size(n_bytes: int) -> str:
    """Bytes for people.

    >>> _size(0), _size(47_641), _size(3_210_000_000)
    ('0 kB', '48 kB', '3.21 GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.3g} {name}"
    return f"{n_bytes / 1e3:.0f} kB"


def _row(one: KeptLibrary) -> dict[str, object]:
    return {
        "key": one.key,
        "folder": one.folder or None,
        "gone": one.gone,
        "n_bytes": one.n_bytes,
        "used": one.used,
        "stores": [str(store) for store in one.stores],
        "tags": None if one.memory is None else str(one.memory),
    }
