"""Albums worth a look: who decided, where the model was right and where it was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation import plots
from ..evaluation.report import Picture
from ..evaluation.style import cut
from ..evaluation.tables import Table
from ..grouping import gather
from ..library.albums import album_rows, decided_table, name_of, telling_bags
from ..predictions import Predictions

MIN_TRACKS = 3  # smaller bags have little to show
LISTED = 12  # tracks of one album in a table
NONE = (
    "No album is shown: there is none of three tracks or more whose genre is known, or the model "
    "weighs no tracks."
)


def examples(predictions: Predictions) -> dict[str, Table | Picture]:
    """Tables and pictures of a few albums, right ones before wrong ones.

    Returns
    -------
    dict of str to Table or Picture
        ``album-1``, ``album-1-tracks``, ``album-2``, ... Empty where no track's part is known.
    """
    if predictions.attention is None or predictions.bags.multi_label or predictions.link == "none":
        return {}
    found: dict[str, Table | Picture] = {}
    chosen = {_KINDS[kind]: bag for kind, bag in telling_bags(predictions).items()}
    sure = _surest_mistake(predictions, list(chosen.values()))
    if sure is not None:
        chosen["wrong, and sure of it"] = sure
    if not chosen:
        return {}
    rows = album_rows(only(predictions, np.array(list(chosen.values()))))
    for number, (kind, row) in enumerate(zip(chosen, rows, strict=True), start=1):
        if row["tracks"][0]["margin"] is not None:
            found[f"album-{number}"] = _picture(row, kind)
        found[f"album-{number}-tracks"] = _table(row, kind)
    return found


def only(predictions: Predictions, which: NDArray[np.int64]) -> Predictions:
    """Return the chosen bags, in the given order, with their segments."""
    made = predictions.take(which)
    offsets = predictions.segment_offsets
    if offsets is None or predictions.attention is None or predictions.segment_logits is None:
        return made
    tracks, _ = gather(predictions.bags.offsets, which)
    segments, starts = gather(offsets, tracks)
    return replace(
        made,
        segment_offsets=starts,
        attention=predictions.attention[segments],
        segment_logits=predictions.segment_logits[segments],
    )


_KINDS = {
    "the surest": "right, the surest",
    "of the rarest genre": "right, of the rarest genre",
    "mistaken": "wrong, narrowly",
}


def _surest_mistake(predictions: Predictions, seen: list[int]) -> int | None:
    """Bag that was wrong with the most confidence."""
    bags, sure = predictions.bags, predictions.probabilities.max(axis=1)
    wrong = bags.known & (bags.sizes >= MIN_TRACKS) & (predictions.best != predictions.labels)
    wrong[seen] = False
    return int(np.where(wrong, sure, -1).argmax()) if wrong.any() else None


def _told(row: Mapping[str, Any]) -> str:
    """Which album this is; where nothing says so, by its first track."""
    album = cut(str(row["album"] or name_of(row["tracks"][0])), most=80)
    return f"{album} by {cut(str(row['artist']), most=60)}" if row["artist"] else album


def _picture(row: Mapping[str, Any], kind: str) -> Picture:
    figure = plots.contributions(
        [name_of(track) for track in row["tracks"]],
        np.array([np.nan if (m := track["margin"]) is None else m for track in row["tracks"]]),
        genre=row["genre"],
        title=_told(row),
        effects=np.array([np.nan if (e := t["effect"]) is None else e for t in row["tracks"]]),
    )
    said = f"true genre {row['tagged']}, predicted {row['genre']} ({row['probability']:.2f})"
    return Picture.of(figure, f"{kind[:1].upper()}{kind[1:]}: {_told(row)}; {said}.")


def _table(row: Mapping[str, Any], kind: str) -> Table:
    table = decided_table(row)
    rest = len(table.rows) - LISTED
    more = (f"{rest:,} more tracks are not listed.",) if rest > 0 else ()
    title = f"{cut(table.title, most=140)} ({kind})"
    return replace(table, title=title, rows=table.rows[:LISTED], notes=(*table.notes, *more))
