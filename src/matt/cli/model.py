"""``matt model``: what a model is, and one file to share it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from .console import Output, command
from .sources import Force

app = typer.Typer(
    name="model",
    help="Models: what they are, what to ask before they are used, one file to share them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
Model = Annotated[
    Path,
    Argument(
        metavar="MODEL",
        help="Run folder of 'matt train', model folder, or packed model.",
        show_default=False,
    ),
]


@app.command()
@command
def card(
    output: Output,
    model: Annotated[
        Path | None,
        Argument(
            metavar="[MODEL]",
            help="Run folder, model folder or packed model; by default the tagger that comes "
            "with matt.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the card of a model: what it was trained on, and what it must not be used for.

    Example: [bold]matt model card[/bold]
    """
    from ..library.learned import model_folder
    from ..models import packing, tagger

    if model is None:
        text = tagger.card()
    else:
        found = packing.shown(model_folder(model))
        text = found["card"] or found["facts"]
    _print(output, text)
    output.document({"card": text})


def _print(output: Output, text: str) -> None:
    for line in text.splitlines():
        output.say(line)


@app.command()
@command
def show(output: Output, model: Model) -> None:
    """Say what to ask before a model is used, then print its card.

    Example: [bold]matt model show friends-model.zip[/bold]
    """
    from ..library.learned import model_folder
    from ..models import packing

    found = packing.shown(model_folder(model))
    digest, versions = found["sha256"], found["made_with"]
    lines = [
        "Before you use it",
        "- Is it the file that its maker packed?",
        f"  Compare its SHA-256 with theirs: {digest}"
        if digest
        else "  It is a folder: its parts fit each other, and more is not known.",
        "- Can it run anything here? No: it holds numbers, JSON and graphs, and no code.",
        "- May you use it? "
        + ("Its licence is LICENCE.md inside." if found["licence"] else "It grants no licence."),
        "- Is it for music like yours? Below stands what it was trained on.",
        f"- Made with {', '.join(f'{name} {version}' for name, version in versions.items())}.",
        "",
        found["facts"],
    ]
    if found["card"]:
        quoted = [f"> {line}" for line in found["card"].splitlines()]
        lines += ["What its maker says, which nobody has checked:", "", *quoted]
    _print(output, "\n".join(lines))
    output.document(found)


@app.command()
@command
def pack(
    output: Output,
    model: Model,
    out: Annotated[Path, Option(help="File to write, ending in .zip.", show_default=False)],
    about: Annotated[
        Path | None,
        Option(
            help="Text file that heads the card: who made it, on what music, for what.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        Path | None,
        Option(help="Text file: under which licence it is given away.", show_default=False),
    ] = None,
    force: Force = False,
) -> None:
    """Write a model, its card and licences into one file that opens safely.

    Example: [bold]matt model pack runs/mine --out mine.zip --about about.md[/bold]
    """
    from ..files import read_text
    from ..library.learned import model_folder
    from ..models import packing

    texts = ["" if file is None else read_text(file) for file in (about, licence)]
    digest = packing.pack(model_folder(model), out, about=texts[0], licence=texts[1], force=force)
    output.say(f"{out}: {out.stat().st_size:,} bytes, SHA-256 {digest}")
    if licence is None:
        output.note("it grants nobody a licence; --licence FILE adds one")
    output.document({"file": str(out), "bytes": out.stat().st_size, "sha256": digest})
