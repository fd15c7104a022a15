"""``matt doctor``: versions, decoders, and which formats can really be read here."""

from __future__ import annotations

import sys

from .console import Json, Output, Quiet, outcome


def doctor(json: Json = False, quiet: Quiet = False) -> None:
    """Show versions, decoders, a format x decoder matrix and the build of torch.

    Every format is written and read back here and now, so the matrix says what works, not what
    should. Example: [bold]matt doctor[/bold]
    """
    output = Output(json, quiet)
    with outcome(output):
        from .. import audio, provenance
        from ..evaluation.tables import Column, Table
        from ..models.device import torch_build
        from .formats import try_formats

        found = provenance.versions()
        versions = {"matt": found.pop("matt-mgc", "not installed"), **found}
        formats = try_formats()
        build = torch_build()
        output.tables(
            [
                Table(
                    f"Formats, read by {audio.decoder_version()}",
                    (
                        Column("format"),
                        Column("suffix"),
                        Column("decoder"),
                        Column("reads"),
                        Column("truncation seen"),
                    ),
                    tuple(
                        (f.name, f.suffix, f.decoder.split()[0], f.reads, f.truncation)
                        for f in formats
                    ),
                ),
                Table("Versions", (Column("package"), Column("version")), tuple(versions.items())),
                Table(
                    "torch",
                    (Column("what"), Column("value")),
                    tuple((key, str(value)) for key, value in build.items()),
                ),
            ]
        )
        output.document(
            {
                "python": sys.version,
                "versions": versions,
                "decoder": audio.decoder_version(),
                "formats": [f.to_json() for f in formats],
                "torch": build,
            }
        )
