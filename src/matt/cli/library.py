"""Commands for people with a music library: ``scan``, ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from ..evaluation.tables import Column, Table
from .console import Output, command
from .sources import (
    IN_PART,
    Extraction,
    Folder,
    default_store,
    exit_if_failed,
    extracting,
    failure_rows,
    lost_files,
    scan_folder,
    tell_failures,
)


@command
def scan(
    output: Output,
    folder: Folder,
    out: Annotated[
        Path | None, Option(help="Write the tracks as a Parquet table.", show_default=False)
    ] = None,
    genre_separator: Annotated[
        str,
        Option(
            help="What separates genres within one tag, e.g. ';'. By default a tag is one genre.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Read the tags of a folder: tracks, albums, genres, and what is wrong.

    Nothing is decoded and nothing is changed. Example: [bold]matt scan ~/Music[/bold]
    """
    import numpy as np

    from ..bags import Bags

    found = scan_folder(folder, output, genre_separator=genre_separator)
    tracks = found.tracks
    bags = Bags.from_tracks(tracks, by="album")
    counts = {
        **found.counts,
        "artists": len(np.unique(tracks.artist_id[tracks.artist_id >= 0])),
        "albums and lone tracks (bags)": len(bags),
    }
    albums = [int((bags.labels == g).sum()) for g in range(len(tracks.genres))]
    genres = sorted(
        zip(tracks.genres, tracks.counts.tolist(), albums, strict=True), key=lambda g: -g[1]
    )
    output.tables(
        [
            Table("Library", (Column("what"), Column("count", "int")), tuple(counts.items())),
            Table(
                "Genres",
                (Column("genre"), Column("tracks", "int"), Column("bags", "int")),
                tuple(genres),
            ),
        ]
    )
    tell_failures(found.problems, output, what="have problems")
    if out is not None:
        tracks.save(out)
        output.note(f"tracks written to {out}")
    untagged = tracks.take(found.untagged).path
    output.document(
        {
            "counts": counts,
            "left_out": dict(found.left_out),
            "genres": [{"genre": genre, "tracks": n, "bags": b} for genre, n, b in genres],
            "untagged": [str(path) for path in untagged],
            "problems": failure_rows(found.problems),
        }
    )
    exit_if_failed(len(found.problems))


@command
def predict(
    output: Output,
    folder: Folder,
    model: Annotated[Path, Option(help="Run folder of 'matt train', or a model folder.")],
    out: Annotated[
        Path | None,
        Option(help="Also write to a .json, .csv or .parquet file.", show_default=False),
    ] = None,
    explain: Annotated[
        bool, Option("--explain", help="Show which tracks decided each album.")
    ] = False,
    prior: Annotated[
        str | None,
        Option(
            help="How frequent genres are here: training, uniform, estimate (from these albums), "
            "or a JSON file or text of shares. By default as the model was trained to see them.",
            show_default=False,
        ),
    ] = None,
    abstain_below: Annotated[
        float | None, Option(help="Give no genre below this probability.", show_default=False)
    ] = None,
    accuracy: Annotated[
        float | None,
        Option(
            help="Give no genre where so many would not be right, e.g. 0.8, going by the "
            "validation albums of the model.",
            show_default=False,
        ),
    ] = None,
    *,
    how: Extraction,
) -> None:
    """Predict a genre for every album of a folder; no file of yours is changed.

    Example: [bold]matt predict ~/Music --model runs/mine --out genres.csv[/bold]
    """
    from ..calibration.priors import check_prior, read_prior
    from ..library import albums
    from ..library.predict import bar_of, check_explains, predict_library, spec_of
    from .training import load_model

    if out is not None:
        albums.check_format(out)
    classifier = load_model(model)
    if explain:
        check_explains(classifier)
    shares = None if prior is None else read_prior(prior)
    if shares is not None:
        check_prior(shares, classifier.genres, link=classifier.link, trained=classifier.prior)
    bar = bar_of(classifier, below=abstain_below, accuracy=accuracy, prior=shares)
    spec = spec_of(classifier)
    found = scan_folder(folder, output)
    place = how.store or default_store(folder, spec)
    with extracting(found.tracks, {spec: place}, output, how) as options:
        result = predict_library(found, classifier, place, prior=shares, **options)
    rows = albums.album_rows(result.predictions, bar=bar)
    if out is not None:
        albums.write_albums(out, rows)
        output.note(f"written to {out}")
    decided = [albums.decided_table(row) for row in rows] if explain else []
    output.tables([albums.albums_table(rows), *decided])
    n_unsure = sum(row["unsure"] for row in rows)
    if bar is not None:
        output.note(f"{n_unsure} of {len(rows)} albums are unsure: below {bar:.2f}, no genre")
    failures = lost_files(found, result.extraction)
    partial = result.extraction.partial
    tell_failures(failures, output)
    tell_failures(partial, output, what=IN_PART)
    output.document(
        {
            "schema": albums.SCHEMA,
            "bar": bar,
            "albums": rows,
            "failures": failure_rows(failures),
            "partial": failure_rows(partial),
        }
    )
    exit_if_failed(len(failures))
