"""The command ``settings``: every setting of a run, from the code that it configures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, Output, Quiet, outcome

if TYPE_CHECKING:
    from ..evaluation.tables import Table
    from ..settings import Section


def settings(
    section: Annotated[
        str | None,
        typer.Argument(help="One section alone, e.g. training; run is what stands in none."),
    ] = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print a commented TOML file with the defaults.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show every setting with its type, values, default and meaning.

    What is printed with --toml is a file for [bold]matt train --config[/bold]. Example:
    [bold]matt settings model[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from .. import config
        from ..errors import ConfigError

        if toml and json:
            raise ConfigError("--toml and --json print different documents; give one of them")
        shown = config.sections() if section is None else (config.find(section),)
        if toml:
            for line in "\n".join(part.to_toml() for part in shown).splitlines():
                output.say(line)
        else:
            output.tables(map(_table, shown))
            output.document({"sections": [part.to_json() for part in shown]})


def _table(section: Section) -> Table:
    from ..evaluation.tables import Column, Table
    from ..settings import shown

    columns = [Column(name) for name in ("setting", "type", "values", "default", "meaning")]
    rows = tuple((s.name, s.kind, s.values, shown(s.default), s.meaning) for s in section.settings)
    notes = (f"Without a section [{section.name}] there is none of it.",) if section.absent else ()
    return Table(section.title, tuple(columns), rows, notes)
