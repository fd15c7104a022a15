"""The command ``matt``."""

from __future__ import annotations

from typing import Annotated

import typer

from . import demo, doctor, library, training

app = typer.Typer(
    name="matt",
    help="Genres for albums: tracks of an album and artist form a bag, pooled with attention.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"matt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of ``matt`` itself."""


app.command("demo")(demo.demo)
app.command("scan")(library.scan)
app.command("extract")(library.extract)
app.command("train")(training.train)
app.command("evaluate")(training.evaluate)
app.command("predict")(library.predict)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line."""
    app()
