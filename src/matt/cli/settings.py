"""The command ``settings``: every setting of a run, from the code that it configures."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Json, Output, Quiet, outcome


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
        from .. import schema
        from ..errors import ConfigError

        if toml and json:
            raise ConfigError("--toml and --json print different documents; give one of them")
        shown = schema.sections() if section is None else (schema.find(section),)
        if toml:
            for line in "\n".join(map(schema.commented, shown)).splitlines():
                output.say(line)
        else:
            output.tables(part.table() for part in shown)
            output.document({"sections": [part.to_json() for part in shown]})
