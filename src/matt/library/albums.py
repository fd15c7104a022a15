"""Albums as rows: who, which genre, how sure, and which tracks decided; for people and programs."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration.costs import DECISION, cheapest
from ..errors import DataError
from ..evaluation.tables import Table
from ..files import write_json, write_parquet, write_text
from ..models.tagger import ASPECTS
from ..predictions import Predictions
from ..tracks import Tracks
from .explain import Explanation, explain

SCHEMA = "matt.albums/1"
_FORMATS = (".json", ".csv", ".parquet")
_HOW_TO_READ = (
    "Margin: what the track added to the logit of the genre, against the mean of all genres. "
    "Effect: how much probability the genre would lose without the track."
)
_NAMES = (
    *("artist", "album", "title", "path", "n_tracks"),
    *("tagged", "genre", "probability", "unsure", "if_rare"),
)
_MORE = ("genres", "decision", *ASPECTS)  # of some models
LEAST = 3  # tracks of a bag that is worth a look: smaller ones have little to show
UNSURE = "(unsure)"  # on a screen, where a genre would be


def album_rows(
    predictions: Predictions,
    *,
    top: int = 3,
    bar: float | None = None,
    aspects: Sequence[Mapping[str, str | None]] = (),
    costs: NDArray[np.float64] | None = None,
) -> list[dict[str, Any]]:
    """One JSON-ready dictionary a bag: who, what was said, with which probability, who decided.

    Parameters
    ----------
    predictions : Predictions
        With tracks that have the columns of `matt.datasets.folder`. Without attention, no track's
        part is known, and its attention, margin and effect are None.
    top : int >= 1
        How many genres are named, most likely first.
    bar : float, optional
        An album whose most likely genre has less probability is unsure: its genre is None, and
        what it might be is named in ``top`` alone.
    aspects : sequence of mapping, optional
        What else is known of each bag, by name, such as its mood.
    costs : array, shape (G, G), optional
        The genre of an album is the one of least expected cost then, see `matt.calibration.costs`,
        not the most likely, and ``decision`` says so.

    Returns
    -------
    list of dict
        Where predictions have thresholds, an album may have several genres: ``genres`` names those
        that reach theirs (and the bar), most likely first. ``genre`` is the first of them, and an
        album without any is unsure.
    """
    told = None if predictions.attention is None else explain(predictions)
    probabilities, balanced = predictions.probabilities, predictions.balanced
    answers = None if costs is None else cheapest(predictions, costs)
    given = None
    if predictions.thresholds is not None:
        given = predictions.given & (probabilities >= (bar or 0))
    rows = []
    for bag in range(len(predictions)):
        here = slice(int(predictions.bags.offsets[bag]), int(predictions.bags.offsets[bag + 1]))
        tracks = predictions.tracks.take(np.arange(here.start, here.stop))
        order = np.argsort(-probabilities[bag], kind="stable")
        best = int(order[0])
        unsure = bar is not None and bool(probabilities[bag, best] < bar)
        if answers is not None:
            best = int(answers[bag])
        several: dict[str, list[str]] = {}
        if given is not None:
            chosen = order[given[bag][order]]
            unsure = not chosen.size
            best = best if unsure else int(chosen[0])
            several["genres"] = [predictions.genres[g] for g in chosen]
        rows.append(
            {
                "artist": _common(tracks.columns.get("artist")),
                "album": _common(tracks.columns.get("album")),
                "title": _common(tracks.columns.get("title")),
                "path": _place(tracks),
                "n_tracks": len(tracks),
                "tagged": _known(predictions, bag) or _tags(tracks),
                "genre": None if unsure else predictions.genres[best],
                **several,
                **({} if costs is None else {"decision": DECISION}),
                "probability": round(float(probabilities[bag, best]), 4),
                "unsure": unsure,
                "if_rare": predictions.genres[balanced[bag]] if balanced[bag] != best else None,
                **(aspects[bag] if aspects else {}),
                "top": [
                    {"genre": predictions.genres[g], "probability": round(float(p), 4)}
                    for g, p in zip(order[:top], probabilities[bag, order[:top]], strict=True)
                ],
                "tracks": [
                    {
                        "track_id": int(tracks.track_id[i]),
                        "title": str(tracks.columns["title"][i])
                        if "title" in tracks.columns
                        else "",
                        "path": str(tracks.path[i]),
                        **_part(told, here.start + i, best),
                    }
                    for i in range(len(tracks))
                ],
            }
        )
    return rows


def write_albums(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write album rows as .json (everything), .csv or .parquet (one row an album, no tracks).

    Raises
    ------
    DataError
        If the suffix is none of these.
    """
    check_format(path)
    if path.suffix.lower() == ".json":
        write_json(path, {"schema": SCHEMA, "albums": list(rows)})
        return
    names = (*_NAMES, *(name for row in rows[:1] for name in _MORE if name in row))
    flat = [{name: _visible(_joined(row[name])) for name in names} for row in rows]
    if path.suffix.lower() == ".parquet":
        columns = {name: [row[name] for row in flat] for name in names}
        write_parquet(path, columns, schema=SCHEMA)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _inert(value) for key, value in row.items()} for row in flat)
    write_text(path, text.getvalue())


def check_format(path: Path) -> None:
    """Refuse a file whose suffix names no format, before any work.

    Raises
    ------
    DataError
    """
    if path.suffix.lower() not in _FORMATS:
        raise DataError(f"cannot write {path}: its name must end in {', '.join(_FORMATS)}")


def albums_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Table of album rows: one line an album."""

    def following(row: Mapping[str, Any]) -> str:
        said = row.get("genres", [row["genre"]])
        rest = [g for g in row["top"] if row["unsure"] or g["genre"] not in said]
        return ", ".join(f"{g['genre']} {g['probability']:.2f}" for g in rest)

    any_rare = any(row["if_rare"] for row in rows)
    own = any("decision" in row for row in rows)
    return Table.of(
        f"Albums, decided by {DECISION}" if own else "Albums",
        rows,
        ("artist", "text", itemgetter("artist")),
        ("album", "text", _title),
        ("tracks", "int", itemgetter("n_tracks")),
        ("tagged", "text", itemgetter("tagged")),
        ("genre", "text", _said),
        ("probability", "share", itemgetter("probability")),
        *([("if rare", "text", lambda row: row["if_rare"] or "")] if any_rare else []),
        ("next", "text", following),
        *[(name, "text", _heard(name)) for name in ASPECTS if any(row.get(name) for row in rows)],
    )


def _heard(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: row.get(name) or ""


def decided_table(row: Mapping[str, Any]) -> Table:
    """Table of the tracks of one album: who spoke for its genre, and who could not be missed."""
    tagged = f", tagged {row['tagged']}" if row["tagged"] else ""
    return Table.of(
        f"{_title(row)}: {_said(row)}, probability {row['probability']:.2f}{tagged}",
        sorted(row["tracks"], key=lambda track: -(track["margin"] or 0)),
        ("track", "text", name_of),
        ("attention", "share", itemgetter("attention")),
        ("margin", "signed", itemgetter("margin")),
        ("effect", "signed", itemgetter("effect")),
        notes=(_HOW_TO_READ,),
    )


def telling_bags(predictions: Predictions, *, sure_mistake: bool = False) -> dict[str, int]:
    """Bags worth a look, by what they are an example of; a kind that does not occur is left out.

    Parameters
    ----------
    predictions : Predictions
        Single-label.
    sure_mistake : bool
        Also the mistaken bag with the most confidence.

    Returns
    -------
    dict of str to int
        The surest right bag, the right one of the rarest genre, and the least sure mistaken one.
    """
    best, sure = predictions.best, predictions.probabilities.max(axis=1)
    large = predictions.bags.known & (predictions.bags.sizes >= LEAST)
    right = large & (best == predictions.labels)
    rarity = sure - predictions.train_counts[predictions.labels]  # counts differ by 1 or more
    kinds = [
        ("the surest", right, sure),
        ("of the rarest genre", right, rarity),
        ("mistaken", large & ~right, -sure),
        ("surely mistaken", large & ~right, sure),
    ]
    found: dict[str, int] = {}
    for kind, those, order in kinds if sure_mistake else kinds[:-1]:
        ranked = [int(bag) for bag in np.argsort(-order, kind="stable") if those[bag]]
        left = [bag for bag in ranked if bag not in found.values()]
        if left:
            found[kind] = left[0]
    return found


def name_of(track: Mapping[str, Any]) -> str:
    """Title of a track, or where it has none the name of its file, or else its id."""
    return str(track["title"] or Path(track["path"]).name or f"track {track['track_id']}")


def _said(row: Mapping[str, Any]) -> str:
    """The genre of an album, or all that it is given."""
    return _joined(row.get("genres")) or row["genre"] or UNSURE


def _joined(value: Any) -> Any:
    """Several names as one text."""
    return "; ".join(value) if isinstance(value, list) else value


def _known(predictions: Predictions, bag: int) -> str:
    """Genres that the tags name and the model knows."""
    label = predictions.labels[bag]
    those = np.flatnonzero(label) if predictions.bags.multi_label else [label][: int(label >= 0)]
    return "; ".join(predictions.genres[g] for g in those)


def _title(row: Mapping[str, Any]) -> str:
    return str(row["album"] or name_of(row["tracks"][0]))


def _visible(value: Any) -> Any:
    r"""Text without characters that steer: they are written as Python would, e.g. ``\x1b``."""
    if not isinstance(value, str):
        return value
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char)[0] == "C" else char
        for char in value
    )


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def _place(tracks: Tracks) -> str:
    """The file of a lone track, the folder that holds all files of an album."""
    paths = [str(path) for path in tracks.path]
    return paths[0] if len(paths) == 1 else os.path.commonpath(paths) if all(paths) else ""


def _tags(tracks: Tracks) -> str | None:
    """Genre tags that the model does not know, as they are written in the files."""
    tags = sorted({str(tag) for tag in tracks.columns.get("genre_tags", ()) if tag})
    return "; ".join(tags) or None


def _common(column: Any) -> str | None:
    """The value all tracks share, else None."""
    values = set() if column is None else set(column.tolist())
    return values.pop() or None if len(values) == 1 else None


def _part(told: Explanation | None, row: int, genre: int) -> dict[str, float | None]:
    """What a track did for a genre."""
    found: dict[str, float | None] = {"attention": None, "margin": None, "effect": None}
    if told is not None:
        arrays = told.attention, told.margins, told.effects
        for name, value in zip(found, (float(array[row, genre]) for array in arrays), strict=True):
            found[name] = round(value, 4) if np.isfinite(value) else None
    return found
