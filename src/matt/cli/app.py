"""The command ``matt``."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer import Option

from . import (
    albums,
    audit,
    cache,
    compare,
    doctor,
    extract,
    fma,
    library,
    model,
    report,
    reproduce,
    review,
    tag,
    training,
)
from .console import Output, abandon, outcome, write_any_text
from .torchrun import check_command, end_at_once, follows, n_processes

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
    context: typer.Context,
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of ``matt`` itself."""
    check_command(context.invoked_subcommand)


app.command("demo")(reproduce.demo)
app.command("scan")(library.scan)
app.command("genres")(library.genres)
app.command("extract")(extract.extract)
app.command("train")(training.train)
app.command("settings")(training.settings)
app.command("export")(training.export)
app.command("evaluate")(training.evaluate)
app.command("score")(report.score)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("reproduce")(reproduce.reproduce)
app.command("predict")(library.predict)
app.command("explain")(albums.explain)
app.command("check")(albums.check)
app.command("similar")(albums.similar)
app.command("playlist")(albums.playlist)
app.command("review")(review.review)
app.command("tag")(tag.tag)
app.command("undo")(tag.undo)
app.command("audit")(audit.audit)
app.command("describe")(audit.describe)
app.add_typer(model.app)
app.add_typer(cache.app)
app.add_typer(fma.app)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line."""
    try:
        _main()
    except SystemExit as done:
        if n_processes() > 1:
            end_at_once(done.code)
        raise


def _main() -> None:
    write_any_text()
    if follows() and sys.stdout is not None:
        abandon(sys.stdout)
    options = sys.argv[1:]
    options = options[: options.index("--")] if "--" in options else options
    output = Output(json="--json" in options)
    try:
        with outcome(output):
            sys.exit(_run_json(output) if output.json else app())
    except typer.Exit as done:
        sys.exit(done.exit_code)


def _run_json(output: Output) -> int:
    """Run a command whose wrong usage is told as JSON, too."""
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.Abort:
        return 130
    except Exception as error:
        # The class of such an error moved from package to package; what it can do has not changed.
        usage: Any = error
        if not hasattr(error, "format_message"):
            raise
        context = getattr(usage, "ctx", None)
        command = context.command_path if context else "matt"
        text = f"{usage.format_message().rstrip('.')}; see '{command} --help'"
        output.fail(text, int(usage.exit_code))
        return int(usage.exit_code)
