"""The page of the demonstration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation import plots
from ..evaluation.report import Picture, Section, write_report
from ..evaluation.scores import Scores
from ..evaluation.tables import Table
from ..files import write_bytes
from ..library.albums import decided_table, name_of
from ..provenance import made
from ..runs import Run

LEAD = (
    "What bags, attention and a prior-corrected loss are worth, on real features of the Free Music "
    "Archive and on a library of audio files made for this page. No artist is in two splits, the "
    "best epoch is chosen on the validation split, and the test split is used once."
)
REAL_TEXT = (
    "1,975 tracks of the Free Music Archive, 140 MFCC statistics each. Hip-Hop is cut to "
    "40 training tracks to make a long tail; validation and test are not cut. A bag is "
    "a run of neighbouring tracks of one artist, which stands in for the album. LA is logit "
    "adjustment, a loss that corrects for the training counts. Default is mean pooling with LA, "
    "random sub-bags, a per-segment loss, tracks drawn towards their bag, how far they are apart, "
    "averaged weights, and ranks as inputs; the control beside it has all of that that a track "
    "model can have."
)
SYNTHETIC_TEXT = (
    "Synthetic: the music and its tags are made by a program, so these numbers say nothing about "
    "real genres; they show that the way from audio files to a result works."
)


def write_page(
    run: Run,
    tables: Mapping[str, Table],
    albums: Mapping[str, Mapping[str, Any]],
    inner: Run,
    real: Mapping[str, Sequence[Scores]],
) -> None:
    """Write the pictures under ``plots``, and the page that holds everything.

    Parameters
    ----------
    run : Run
        The demonstration.
    tables, albums : mappings
        As in `Demo`.
    inner : Run
        The one on the synthetic library, whose pictures are shown as well.
    real : dict of str to sequence of Scores
        Of each row on real data, one a split.
    """
    compared = Picture.of(
        plots.comparison(
            {name: [s.macro_f1 for s in scores] for name, scores in real.items()},
            label="macro-F1 on test: points are splits, bars means",
            highlight=["default"],
        ),
        "Real FMA features: macro-F1 of each row (unit as in the table).",
    )
    write_bytes(run.plot("real"), compared.png)
    pictures = []
    for number, (kind, row) in enumerate(albums.items()):
        figure = plots.contributions(
            [name_of(track) for track in row["tracks"]],
            np.array([track["margin"] for track in row["tracks"]]),
            genre=row["genre"],
            title=f"{row['album']} by {row['artist']}",
            effects=np.array([np.nan if (e := t["effect"]) is None else e for t in row["tracks"]]),
        )
        right = f"true genre {row['tagged']}, predicted {row['genre']} ({row['probability']:.2f})"
        picture = Picture.of(figure, f"Synthetic album, {kind}: {right}.")
        write_bytes(run.plot(f"album-{number}"), picture.png)
        pictures.append(picture)
    drawn = [
        Picture(inner.plot(name).read_bytes(), f"Synthetic library: {caption}.")
        for name, caption in (
            ("genres", "training tracks of each genre, the tail in its colour"),
            ("confusion", "confusion on the test split (unit: bag over tracks)"),
        )
    ]
    sections = [
        Section("Real music", [REAL_TEXT, compared, tables["real"]]),
        Section(
            "From audio files to genres: a synthetic library",
            [SYNTHETIC_TEXT, tables["synthetic"], tables["genres"], *drawn, tables["files"]],
        ),
        Section("Which tracks decided", [*pictures, *(decided_table(r) for r in albums.values())]),
    ]
    write_report(
        run.report,
        title="matt: the demonstration",
        lead=LEAD,
        sections=sections,
        footer=made(run.manifest),
    )
