"""Albums as rows: who, which genre, how sure, and which tracks decided; for people and programs."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration.costs import DECISION
from ..datasets.genres import Vocabulary
from ..errors import DataError
from ..evaluation.tables import Table
from ..files import write_json, write_parquet, write_text
from ..models.tagger import ASPECTS
from ..predictions import Predictions
from .answers import Answer, Answers
from .explain import Explanation, explain
from .learned import Judged
from .status import Above, status_of

SCHEMA = "matt.albums/2"
JOINT = "; "  # between genres in one text
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
    alone: Predictions | None = None,
    judged: Judged | None = None,
    vocabulary: Vocabulary | None = None,
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
        An album whose most likely genre has less probability is unsure, unless a genre that stands
        above it reaches the bar, which is given then. An unsure album has no genre, and what it
        might be is named in ``top`` alone. By default the bar is one half, and takes no genre away.
    aspects : sequence of mapping, optional
        What else is known of each bag, by name, such as its mood.
    costs : array, shape (G, G), optional
        The genre of an album is the one of least expected cost then, see `matt.calibration.costs`,
        not the most likely, and ``decision`` says so.
    alone : Predictions, optional
        Of each track by itself, in the same order; without it no track has a genre of its own.
    judged : Judged, optional
        Which bags the model was trained on, and what is said of these by who was not.
    vocabulary : Vocabulary, optional
        Which genre stands above which; by default none does.

    Returns
    -------
    list of dict
        In the order of the bags. Where predictions have thresholds, an album may have several
        genres: ``genres`` names those that reach theirs (and the bar), most likely first. ``genre``
        is the first of them, and an album without any is unsure.
    """
    told = None if predictions.attention is None else explain(predictions)
    judged = judged or Judged.of(predictions)
    above = Above(predictions.genres, vocabulary or Vocabulary())
    said = Answers(judged.predictions, above, bar=bar, costs=costs)
    own = None if alone is None else Answers(alone, above)
    columns = {
        "track_id": predictions.tracks.track_id.tolist(),
        "path": predictions.tracks.path.tolist(),
        "artist_id": predictions.tracks.artist_id.tolist(),
        **{name: column.tolist() for name, column in predictions.tracks.columns.items()},
    }
    offsets, rows = predictions.bags.offsets.tolist(), []
    for bag in range(len(predictions)):
        first, held_out = offsets[bag], bool(judged.held_out[bag])
        tracks = {name: column[first : offsets[bag + 1]] for name, column in columns.items()}
        answer, main = said.of(bag), _main(predictions, bag)
        tags = _tags(tracks) or main
        unknown = bool(tags) and not any(map(above.knows, tags))
        fair = not unknown and (held_out or not judged.in_training[bag])
        rows.append(
            {
                **_who(tracks),
                "tagged": "; ".join(main or tags) or None,
                **(row := said.told(bag, answer, top)),
                "status": status_of(
                    tags,
                    answer.genres,
                    sure=not answer.unsure,
                    fair=fair,
                    vocabulary=above.vocabulary,
                ),
                "tag_unknown": unknown,
                "in_training": judged.in_training[bag],
                **(aspects[bag] if aspects else {}),
                "top": row["top"],
                "tracks": [
                    {
                        **track,
                        **_alone(None if held_out else own, first + i, answer, known=bool(own)),
                        **_part(None if held_out else told, first + i, answer.best),
                    }
                    for i, track in enumerate(_each(tracks))
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


def _main(predictions: Predictions, bag: int) -> list[str]:
    """Genres of a bag that the model knows: its label."""
    label = predictions.labels[bag]
    those = np.flatnonzero(label) if predictions.bags.multi_label else [label][: int(label >= 0)]
    return [predictions.genres[g] for g in those]


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


def _who(tracks: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Whose album it is, which, of which year, and where."""
    one = len({*tracks["artist_id"]}) == 1 and tracks["artist_id"][0] >= 0
    artist = _common(tracks.get("artist")) or _common(tracks.get("album_artist"))
    return {
        "artist": artist or (_most(tracks.get("artist")) if one else None),
        "album": _most(tracks.get("album")) if one else _common(tracks.get("album")),
        "title": _common(tracks.get("title")),
        "year": _common([year for year in tracks.get("year", ()) if year > 0]),
        "path": _place(tracks["path"]),
        "n_tracks": len(tracks["path"]),
    }


def _each(tracks: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """What is told of each track, whatever a model says."""
    for i, (track_id, path) in enumerate(zip(tracks["track_id"], tracks["path"], strict=True)):
        yield {
            "track_id": track_id,
            "title": tracks["title"][i] if "title" in tracks else "",
            "artist": tracks["artist"][i] if "artist" in tracks else "",
            "path": path,
            "tagged": (tracks["genre_tags"][i] if "genre_tags" in tracks else "") or None,
        }


def _place(paths: Sequence[str]) -> str:
    """The file of a lone track, the folder that holds all files of an album."""
    return paths[0] if len(paths) == 1 else os.path.commonpath(paths) if all(paths) else ""


def _tags(tracks: Mapping[str, list[Any]]) -> list[str]:
    """Genres that half of the tagged tracks name, or else all that one names."""
    named = [tags.split(JOINT) for tags in tracks.get("genre_tags", ()) if tags]
    counted = Counter(genre for some in named for genre in dict.fromkeys(some))
    often = [genre for genre, n in counted.items() if 2 * n >= len(named)]
    return often or sorted(counted)


def _common(values: Sequence[Any] | None) -> Any:
    """The value all tracks share, else None."""
    found = {*(values or ())}
    return (found.pop() or None) if len(found) == 1 else None


def _most(values: Sequence[Any] | None) -> Any:
    """The value of most tracks that have one."""
    return max(Counter(filter(None, values or ())).items(), key=itemgetter(1), default=(None,))[0]


def _alone(
    own: Answers | None, row: int, album: Answer, *, known: bool
) -> dict[str, str | float | bool | None]:
    """What a track would be by itself; where that is not to be asked, as its album."""
    if not known:
        return {"genre": None, "probability": None, "alone": False}
    answer = album if own is None else own.of(row)
    genre, probability = answer.genres[0], round(answer.probability, 4)
    return {"genre": genre, "probability": probability, "alone": own is not None}


def _part(told: Explanation | None, row: int, genre: int) -> dict[str, float | None]:
    """What a track did for a genre."""
    found: dict[str, float | None] = {"attention": None, "margin": None, "effect": None}
    if told is not None:
        arrays = told.attention, told.margins, told.effects
        for name, value in zip(found, (float(array[row, genre]) for array in arrays), strict=True):
            found[name] = round(value, 4) if np.isfinite(value) else None
    return found
